#include "aggregator/commands/serve.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *
stage_name(uint32_t stage)
{
    switch (stage) {
    case FT_STAGE_STATISTICS:
        return "statistics";
    case FT_STAGE_TRAIN:
        return "train";
    default:
        return "evaluate";
    }
}

enum ft_status
serve_progress_open(const struct ft_cli *cli, struct serve_progress *out, struct ft_error *err)
{
    const char *to = ft_cli_text(cli, "progress-json");
    char *end = NULL;
    long fd;

    *out = (struct serve_progress){ .json_fd = -1, .lively = ft_cli_lively(stdout) };
    if (to == NULL)
        return FT_OK;
    fd = strtol(to, &end, 10);
    if (*to != '\0' && *end == '\0') {
        if (fd < 0 || fd > 1023 || fcntl((int)fd, F_GETFD) < 0)
            return ft_fail(err, FT_ERR_ARGUMENT, "--progress-json %s: no such open file descriptor", to);
        out->json_fd = (int)fd;
        return FT_OK;
    }
    out->json_fd = open(to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (out->json_fd < 0)
        return ft_fail(err, ft_status_of_errno(errno), "%s: %s", to, strerror(errno));
    out->owned = true;
    return FT_OK;
}

void
serve_progress_close(struct serve_progress *p)
{
    if (p->owned)
        close(p->json_fd);
    p->json_fd = -1;
}

static json_t *
value_of(json_t *metrics, const char *name)
{
    json_t *v = json_object_get(metrics, name);

    if (json_is_object(v))
        v = json_object_get(v, "value");
    return v != NULL ? v : json_null();
}

static void
write_json(const struct serve_progress *p, const struct ft_engine_event *e, json_t *metrics)
{
    const struct ft_round_row *r = e->row;
    char hex[65], model[65];
    json_t *reasons = json_loads(r->reasons, 0, NULL);
    json_t *o = json_pack(
        "{s:i, s:s, s:s, s:I, s:i, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:O, s:O, s:O, s:O, s:O, s:O,"
        " s:I, s:I, s:f, s:s, s:O?, s:b}",
        "version", 1, "task", e->task_name, "task_hash", ft_hex(hex, r->task, 32), "round",
        (json_int_t)r->round, "attempt", (int)r->attempt, "stage", stage_name(r->stage), "state",
        ft_round_state_name(r->state), "trained", (int)e->trained, "rounds", (int)e->rounds, "cohort",
        (int)r->cohort, "shops", (int)r->survivors, "dropped", (int)e->dropped, "loss",
        value_of(metrics, "loss"), "auc", value_of(metrics, "auc"), "accuracy", value_of(metrics, "accuracy"),
        "objective", value_of(metrics, "objective"), "train_loss", value_of(metrics, "train_loss"), "metrics",
        metrics, "bytes_in", (json_int_t)r->bytes_in, "bytes_out", (json_int_t)r->bytes_out, "seconds",
        (double)(r->ended_ms - r->started_ms) / 1000.0, "model_hash", ft_hex(model, r->model_hash, 32),
        "reasons", reasons, "done", (int)e->task_done);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;

    if (text != NULL && dprintf(p->json_fd, "%s\n", text) < 0) {
        /* Whoever read it is gone; the round is in the database all the same. */
    }
    free(text);
    json_decref(o);
    json_decref(reasons);
}

static void
print_number(const char *name, json_t *v)
{
    if (json_is_number(v))
        printf("  %s %.4f", name, json_number_value(v));
}

static void
write_line(const struct ft_engine_event *e, json_t *metrics)
{
    const struct ft_round_row *r = e->row;

    printf("round %-4llu %-10s %-9s", (unsigned long long)r->round, stage_name(r->stage),
           ft_round_state_name(r->state));
    if (r->stage == FT_STAGE_TRAIN)
        printf(" %u/%u", e->trained, e->rounds);
    printf("  shops %u in, %u dropped", r->survivors, e->dropped);
    print_number("loss", value_of(metrics, "loss"));
    print_number("auc", value_of(metrics, "auc"));
    printf("  %.1f kB in  %.2f s\n", (double)r->bytes_in / 1000.0,
           (double)(r->ended_ms - r->started_ms) / 1000.0);
    fflush(stdout);
}

void
serve_progress_event(void *ctx, const struct ft_engine_event *event)
{
    const struct serve_progress *p = ctx;
    json_t *metrics = json_loads(event->row->metrics != NULL ? event->row->metrics : "{}", 0, NULL);

    if (metrics == NULL)
        metrics = json_object();
    if (p->json_fd >= 0)
        write_json(p, event, metrics);
    if (p->lively)
        write_line(event, metrics);
    json_decref(metrics);
}
