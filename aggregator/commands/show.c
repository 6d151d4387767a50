#include "aggregator/commands/show.h"
#include "common/base/buf.h"
#include "common/base/kinds.h"

#include <jansson.h>

const char *
ft_show_stage(uint32_t stage)
{
    switch (stage) {
    case FT_STAGE_STATISTICS:
        return "statistics";
    case FT_STAGE_TRAIN:
        return "train";
    case FT_STAGE_EVALUATE:
        return "evaluate";
    default:
        return "?";
    }
}

/* Stored JSON text as a value; what is none (or absent) is null. */
static json_t *
stored_json(const char *text)
{
    json_t *value = text != NULL ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    return value != NULL ? value : json_null();
}

json_t *
ft_round_json(const struct ft_round_row *row)
{
    char model[65], result[65];
    ft_hex(model, row->model_hash, 32);
    ft_hex(result, row->result_hash, 32);
    return json_pack("{s:I, s:i, s:s, s:s, s:i, s:i, s:I, s:I, s:f, s:s, s:s, s:o, s:o}", "round",
                     (json_int_t)row->round, "attempt", (int)row->attempt, "stage", ft_show_stage(row->stage), "state",
                     ft_round_state_name(row->state), "cohort", (int)row->cohort, "survivors", (int)row->survivors,
                     "bytes_in", (json_int_t)row->bytes_in, "bytes_out", (json_int_t)row->bytes_out, "seconds",
                     (double)(row->ended_ms - row->started_ms) / 1000, "model_hash", model, "result_hash", result,
                     "metrics", stored_json(row->metrics), "reasons", stored_json(row->reasons));
}

/* A metric that may be a number or {"value":...}. */
static void
metric_text(const json_t *metrics, const char *name, char *out, size_t size)
{
    const json_t *value = json_object_get(metrics, name);
    if (json_is_object(value))
        value = json_object_get(value, "value");
    if (json_is_number(value))
        snprintf(out, size, "%.5f", json_number_value(value));
    else
        snprintf(out, size, "-");
}

void
ft_rounds_print(const struct ft_round_row *rows, size_t count, FILE *out)
{
    fprintf(out, "%6s %-10s %-10s %6s %6s %10s %10s %10s %10s %8s\n", "round", "stage", "state", "shops", "lost", "loss",
            "auc", "bytes in", "bytes out", "seconds");
    for (size_t i = 0; i < count; i++) {
        const struct ft_round_row *r = &rows[i];
        char loss[32], auc[32];
        json_t *metrics = stored_json(r->metrics);
        metric_text(metrics, "loss", loss, sizeof loss);
        metric_text(metrics, "auc", auc, sizeof auc);
        json_decref(metrics);
        fprintf(out, "%6llu %-10s %-10s %6u %6u %10s %10s %10llu %10llu %8.2f\n", (unsigned long long)r->round,
                ft_show_stage(r->stage), ft_round_state_name(r->state), r->survivors,
                r->cohort >= r->survivors ? r->cohort - r->survivors : 0, loss, auc, (unsigned long long)r->bytes_in,
                (unsigned long long)r->bytes_out, (double)(r->ended_ms - r->started_ms) / 1000);
    }
}
