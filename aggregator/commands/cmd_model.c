/* fedtill-aggregator model list|show: the versions a task has made. Export is in cmd_model_export.c. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "aggregator/commands/show.h"
#include "common/base/alloc.h"
#include "common/base/kinds.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The committed round that measured the model with this hash, newest first; NULL when none did yet. */
static const struct ft_round_row *
measured_by(const struct ft_round_row *rounds, size_t count, const uint8_t hash[32])
{
    for (size_t i = count; i-- > 0;)
        if (rounds[i].state == FT_ROUND_COMMITTED && memcmp(rounds[i].model_hash, hash, 32) == 0)
            return &rounds[i];
    return NULL;
}

/* It is the result of a task that only measures: made by a round of statistics, and no first model (version 0). */
static bool
makes_figures(const struct ft_model_row *model, const struct ft_round_row *rounds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rounds[i].round == model->round && rounds[i].stage == FT_STAGE_STATISTICS && model->version == 1)
            return true;
    return false;
}

static json_t *
model_json(const struct ft_model_row *model, const struct ft_round_row *rounds, size_t round_count)
{
    const struct ft_round_row *round = measured_by(rounds, round_count, model->hash);
    char hex[65], stamp[32];
    const time_t s = (time_t)(model->created_ms / 1000);
    struct tm tm;
    json_t *metrics = round != NULL && round->metrics != NULL ? json_loads(round->metrics, JSON_DECODE_ANY, NULL) : NULL;

    ft_hex(hex, model->hash, 32);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&s, &tm));
    return json_pack("{s:I, s:s, s:I, s:s, s:I, s:o, s:b}", "version", (json_int_t)model->version, "hash", hex, "round",
                     (json_int_t)model->round, "created", stamp, "bytes", (json_int_t)model->size, "metrics",
                     metrics != NULL ? metrics : json_null(), "figures", (int)makes_figures(model, rounds, round_count));
}

/* "0.53642", or "-" for what was not measured. */
static const char *
metric(const json_t *model, const char *name, char out[32])
{
    const json_t *value = json_object_get(json_object_get(model, "metrics"), name);
    if (json_is_object(value))
        value = json_object_get(value, "value");
    if (json_is_number(value))
        snprintf(out, 32, "%.5f", json_number_value(value));
    else
        strcpy(out, "-");
    return out;
}

/* "0.81929 (0.78190 to 0.85844)"; "-" for what was not measured, or is withheld. */
static void
print_metric(const json_t *metrics, const char *name, const char *title)
{
    const json_t *m = json_object_get(metrics, name);
    const json_t *value = json_is_object(m) ? json_object_get(m, "value") : m;
    const json_t *low = json_object_get(m, "low"), *high = json_object_get(m, "high");

    if (!json_is_number(value))
        printf("%-18s -\n", title);
    else if (json_is_integer(value))
        printf("%-18s %lld\n", title, (long long)json_integer_value(value));
    else if (json_is_number(low) && json_is_number(high))
        printf("%-18s %.5f  (95%% interval %.5f to %.5f)\n", title, json_number_value(value), json_number_value(low),
               json_number_value(high));
    else
        printf("%-18s %.5f\n", title, json_number_value(value));
}

static void
print_segments(const json_t *metrics)
{
    const json_t *list = json_object_get(metrics, "clusters"), *rest = json_object_get(metrics, "other_clusters");
    char title[32];

    for (size_t i = 0; i < json_array_size(list); i++) { /* "-": too few members */
        const json_t *one = json_array_get(list, i);
        snprintf(title, sizeof title, "segment %lld", (long long)json_integer_value(json_object_get(one, "cluster")));
        print_metric(one, "share", title);
    }
    if (json_is_number(json_object_get(json_object_get(rest, "share"), "value")))
        print_metric(rest, "share", "too small, together");
}

static void
print_model(const char *task, const json_t *model)
{
    static const char *const names[][2] = {
        { "loss", "loss" },           { "accuracy", "accuracy" },
        { "auc", "AUC" },             { "calibration_error", "calibration error" },
        { "deviance", "deviance" },   { "train_loss", "training loss" },
        { "objective", "objective" }, { "test_rows", "held-out rows" },
        { "train_rows", "training rows" },
    };
    const json_t *metrics = json_object_get(model, "metrics"), *list = json_object_get(metrics, "calibration");

    printf("%s, model version %lld\n", task, (long long)json_integer_value(json_object_get(model, "version")));
    printf("%-18s %s\n", "hash", json_string_value(json_object_get(model, "hash")));
    printf("%-18s round %lld, %s, %lld bytes\n", "made by", (long long)json_integer_value(json_object_get(model, "round")),
           json_string_value(json_object_get(model, "created")),
           (long long)json_integer_value(json_object_get(model, "bytes")));
    if (!json_is_object(metrics)) {
        puts(json_is_true(json_object_get(model, "figures")) ? "figures, and no model: `statistics show` has them"
                                                              : "not measured yet: a round that starts from it does so");
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        print_metric(metrics, names[i][0], names[i][1]);
    print_segments(metrics);
    if (json_array_size(list) > 0)
        printf("\n%10s %10s %10s %22s\n", "rows", "predicted", "observed", "95% interval");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i);
        if (json_is_number(json_object_get(row, "score")))
            printf("%10.0f %10.5f %10.5f   %.5f to %.5f\n", json_number_value(json_object_get(row, "rows")),
                   json_number_value(json_object_get(row, "score")), json_number_value(json_object_get(row, "rate")),
                   json_number_value(json_object_get(row, "low")), json_number_value(json_object_get(row, "high")));
    }
}

static int
list_models(struct ft_cli *cli, bool one)
{
    struct ft_home home;
    struct ft_task_row task;
    struct ft_model_row *models = NULL;
    struct ft_round_row *rounds = NULL;
    size_t model_count = 0, round_count = 0;
    struct ft_error err = { 0 };
    enum ft_status st;
    json_t *list = json_array();
    uint64_t version = 0;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK) {
        json_decref(list);
        return code;
    }
    FT_TRY(ft_home_task(&home, ft_cli_operand(cli, 0), &task, &err));
    FT_TRY(ft_store_models(home.store, task.hash, &models, &model_count));
    FT_TRY(ft_store_rounds(home.store, task.hash, 1000000, &rounds, &round_count));
    version = one ? ft_cli_uint(cli, "model-version", task.progress.version) : 0;
    for (size_t i = 0; i < model_count; i++)
        if (!one || models[i].version == version)
            json_array_append_new(list, model_json(&models[i], rounds, round_count));
    if (one && json_array_size(list) == 0) {
        st = ft_fail(&err, FT_ERR_NOTFOUND, "%s has no model version %llu; `model list %s` shows them", task.name,
                     (unsigned long long)version, task.name);
        goto out;
    }
    if (ft_cli_json(cli)) {
        /* Under its own key: the object's "version" is that of the output. */
        code = ft_cli_print_json(
            one ? json_pack("{s:s, s:O}", "task", task.name, "model", json_array_get(list, json_array_size(list) - 1))
                : json_pack("{s:s, s:O}", "task", task.name, "models", list));
    } else if (one) {
        print_model(task.name, json_array_get(list, json_array_size(list) - 1));
    } else {
        printf("%8s %-16s %8s %10s %10s %s\n", "version", "hash", "round", "loss", "auc", "created");
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *m = json_array_get(list, i);
            char loss[32], auc[32];
            printf("%8lld %.16s %8lld %10s %10s %s\n",
                   (long long)json_integer_value(json_object_get(m, "version")),
                   json_string_value(json_object_get(m, "hash")),
                   (long long)json_integer_value(json_object_get(m, "round")), metric(m, "loss", loss),
                   metric(m, "auc", auc),
                   json_string_value(json_object_get(m, "created")));
        }
    }
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    json_decref(list);
    ft_free(models);
    ft_round_rows_free(rounds, round_count);
    ft_home_close(&home);
    return code;
}

int
ft_cmd_model_list(struct ft_cli *cli)
{
    return list_models(cli, false);
}

int
ft_cmd_model_show(struct ft_cli *cli)
{
    return list_models(cli, true);
}
