/* The tables of a sweep. What a seed does not repeat (time, memory) is in costs.csv alone. */
#include "aggregator/simulate/sweep/sweep.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const states[] = { "waiting", "running", "done", "invalid", "failed" };

double
sim_cell_metric(const struct sim_sweep *s, uint32_t cell)
{
    char path[40];
    if (s->cells[cell].state != SIM_CELL_DONE)
        return NAN;
    (void)snprintf(path, sizeof path, "metrics.%s", sim_metric_name(s->metric));
    return sim_run_number(&s->cells[cell].run, path);
}

uint32_t
sim_sweep_best(const struct sim_sweep *s)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < s->count; i++) {
        const double v = sim_cell_metric(s, i);
        if (isfinite(v) && (best == UINT32_MAX || (s->metric == SIM_LOSS ? v < sim_cell_metric(s, best)
                                                                         : v > sim_cell_metric(s, best))))
            best = i;
    }
    return best;
}

uint32_t
sim_grid_seed_axis(const struct sim_grid *grid)
{
    for (uint32_t a = 0; a < grid->axis_count; a++)
        if (strcmp(grid->axes[a].key, "seed") == 0)
            return a;
    return UINT32_MAX;
}

static bool
same_group(const struct sim_grid *g, uint32_t a, uint32_t b)
{
    for (uint32_t axis = 0; axis < g->axis_count; axis++)
        if (strcmp(g->axes[axis].key, "seed") != 0 &&
            sim_grid_place(g, a, axis) != sim_grid_place(g, b, axis))
            return false;
    return true;
}

static void
group_add(struct sim_group *g, double v)
{
    const double before = g->mean; /* Welford 1962; deviation holds the sum of squares until the end */
    g->count++;
    g->mean += (v - g->mean) / g->count;
    g->deviation += (v - before) * (v - g->mean);
    g->least = fmin(g->least, v);
    g->most = fmax(g->most, v);
}

enum ft_status
sim_sweep_groups(const struct sim_sweep *s, struct sim_group **out, uint32_t *count)
{
    const uint32_t seeds = sim_grid_seed_axis(s->grid);
    *count = 0;
    *out = ft_calloc(s->count, sizeof **out);
    if (*out == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t i = 0; i < s->count; i++) {
        struct sim_group *g = NULL;
        for (uint32_t k = 0; seeds != UINT32_MAX && k < *count && g == NULL; k++)
            if (same_group(s->grid, (*out)[k].first, i))
                g = &(*out)[k];
        if (g == NULL) {
            g = &(*out)[(*count)++];
            *g = (struct sim_group){ .first = i, .least = INFINITY, .most = -INFINITY };
        }
        if (isfinite(sim_cell_metric(s, i)))
            group_add(g, sim_cell_metric(s, i));
    }
    for (uint32_t k = 0; k < *count; k++) {
        struct sim_group *g = &(*out)[k];
        g->deviation = g->count > 1 ? sqrt(g->deviation / (g->count - 1)) : NAN;
        if (g->count == 0)
            g->mean = g->least = g->most = NAN;
    }
    return FT_OK;
}

/* ---- CSV ---- */

static enum ft_status
add_text(struct ft_buf *out, const char *text)
{
    enum ft_status st = FT_OK;
    if (text[strcspn(text, ",\"\r\n")] == '\0')
        return ft_buf_str(out, text);
    FT_TRY(ft_buf_u8(out, '"'));
    for (; *text != '\0'; text++) {
        if (*text == '"')
            FT_TRY(ft_buf_u8(out, '"'));
        FT_TRY(ft_buf_u8(out, (uint8_t)*text));
    }
    st = ft_buf_u8(out, '"');
out:
    return st;
}

static enum ft_status
add_number(struct ft_buf *out, double v)
{
    return isfinite(v) ? ft_buf_printf(out, ",%.9g", v) : ft_buf_u8(out, ',');
}

static enum ft_status
add_values(const struct sim_sweep *s, uint32_t cell, bool seeds, struct ft_buf *out)
{
    enum ft_status st = FT_OK;
    for (uint32_t a = 0; a < s->grid->axis_count; a++) {
        if (!seeds && strcmp(s->grid->axes[a].key, "seed") == 0)
            continue;
        FT_TRY(ft_buf_u8(out, ','));
        FT_TRY(add_text(out, s->grid->axes[a].values[sim_grid_place(s->grid, cell, a)]));
    }
out:
    return st;
}

static enum ft_status
add_keys(const struct sim_sweep *s, bool seeds, struct ft_buf *out)
{
    enum ft_status st = FT_OK;
    for (uint32_t a = 0; a < s->grid->axis_count; a++)
        if (seeds || strcmp(s->grid->axes[a].key, "seed") != 0)
            FT_TRY(ft_buf_printf(out, ",%s", s->grid->axes[a].key));
out:
    return st;
}

static const char *const result_columns[] = { "rounds",
                                              "metrics.loss",
                                              "metrics.accuracy",
                                              "metrics.auc",
                                              "baselines.pooled.loss",
                                              "baselines.pooled.accuracy",
                                              "baselines.pooled.auc",
                                              "bytes_up" };
static const char *const cost_columns[] = { "seconds", "clients_per_second", "peak_bytes" };

static enum ft_status
results_csv(const struct sim_sweep *s, struct ft_buf *out)
{
    const size_t columns = sizeof result_columns / sizeof result_columns[0];
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "cell"));
    FT_TRY(add_keys(s, true, out));
    FT_TRY(
        ft_buf_str(out, ",state,rounds,loss,accuracy,auc,pooled_loss,pooled_accuracy,pooled_auc,bytes_up"));
    if (s->targets)
        FT_TRY(ft_buf_str(out, ",rounds_to_target"));
    FT_TRY(ft_buf_str(out, ",model_sha256,folder,error\n"));
    for (uint32_t i = 0; i < s->count; i++) {
        const struct sim_cell *c = &s->cells[i];
        const bool done = c->state == SIM_CELL_DONE;
        FT_TRY(ft_buf_printf(out, "%u", i + 1));
        FT_TRY(add_values(s, i, true, out));
        FT_TRY(ft_buf_printf(out, ",%s", states[c->state]));
        for (size_t k = 0; k < columns; k++)
            FT_TRY(add_number(out, done ? sim_run_number(&c->run, result_columns[k]) : NAN));
        if (s->targets)
            FT_TRY(add_number(out, c->rounds_to));
        FT_TRY(ft_buf_printf(out, ",%s,", done ? sim_run_text(&c->run, "model_sha256") : ""));
        FT_TRY(add_text(out, c->name));
        FT_TRY(ft_buf_u8(out, ','));
        FT_TRY(add_text(out, c->error != NULL ? c->error : ""));
        FT_TRY(ft_buf_u8(out, '\n'));
    }
out:
    return st;
}

static enum ft_status
costs_csv(const struct sim_sweep *s, struct ft_buf *out)
{
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "cell,seconds,clients_per_second,peak_bytes\n"));
    for (uint32_t i = 0; i < s->count; i++) {
        FT_TRY(ft_buf_printf(out, "%u", i + 1));
        for (size_t k = 0; k < sizeof cost_columns / sizeof cost_columns[0]; k++)
            FT_TRY(add_number(out, s->cells[i].state == SIM_CELL_DONE
                                       ? sim_run_number(&s->cells[i].run, cost_columns[k])
                                       : NAN));
        FT_TRY(ft_buf_u8(out, '\n'));
    }
out:
    return st;
}

static enum ft_status
groups_csv(const struct sim_sweep *s, struct ft_buf *out)
{
    struct sim_group *groups = NULL;
    uint32_t count = 0;
    enum ft_status st;
    FT_TRY(sim_sweep_groups(s, &groups, &count));
    FT_TRY(ft_buf_str(out, "group"));
    FT_TRY(add_keys(s, false, out));
    FT_TRY(ft_buf_printf(out, ",runs,%s_mean,%s_deviation,%s_least,%s_most\n", sim_metric_name(s->metric),
                         sim_metric_name(s->metric), sim_metric_name(s->metric), sim_metric_name(s->metric)));
    for (uint32_t k = 0; k < count; k++) {
        FT_TRY(ft_buf_printf(out, "%u", k + 1));
        FT_TRY(add_values(s, groups[k].first, false, out));
        FT_TRY(ft_buf_printf(out, ",%u", groups[k].count));
        FT_TRY(add_number(out, groups[k].mean));
        FT_TRY(add_number(out, groups[k].deviation));
        FT_TRY(add_number(out, groups[k].least));
        FT_TRY(add_number(out, groups[k].most));
        FT_TRY(ft_buf_u8(out, '\n'));
    }
out:
    ft_free(groups);
    return st;
}

/* ---- JSON ---- */

static json_t *
number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *
values_json(const struct sim_sweep *s, uint32_t cell, bool seeds)
{
    json_t *o = json_object();
    for (uint32_t a = 0; a < s->grid->axis_count; a++)
        if (seeds || strcmp(s->grid->axes[a].key, "seed") != 0)
            (void)json_object_set_new(o, s->grid->axes[a].key,
                                      json_string(s->grid->axes[a].values[sim_grid_place(s->grid, cell, a)]));
    return o;
}

static json_t *
cell_json(const struct sim_sweep *s, uint32_t i)
{
    static const char *const copied[] = { "rounds", "metrics", "baselines", "bytes_up", "model_sha256" };
    const struct sim_cell *c = &s->cells[i];
    json_t *o = json_pack("{s:i, s:o, s:s, s:s}", "cell", (int)i + 1, "values", values_json(s, i, true),
                          "state", states[c->state], "folder", c->name),
           *value;
    for (size_t k = 0; c->state == SIM_CELL_DONE && k < sizeof copied / sizeof copied[0]; k++)
        if ((value = json_object_get(c->run.summary, copied[k])) != NULL)
            (void)json_object_set(o, copied[k], value);
    if (s->targets)
        (void)json_object_set_new(o, "rounds_to_target", number(c->rounds_to));
    if (c->error != NULL) {
        json_t *text = json_string(c->error);
        (void)json_object_set_new(o, "error", text != NULL ? text : json_string("(no text)"));
    }
    if (c->state == SIM_CELL_FAILED)
        (void)json_object_set_new(o, "exit", json_integer(c->exit));
    return o;
}

json_t *
sim_sweep_json(const struct sim_sweep *s)
{
    json_t *grid = json_object(), *cells = json_array(), *groups_list = json_array(), *o;
    const uint32_t best = sim_sweep_best(s);
    struct sim_group *groups = NULL;
    uint32_t count = 0;

    for (uint32_t a = 0; a < s->grid->axis_count; a++) {
        json_t *values = json_array();
        for (uint32_t i = 0; i < s->grid->axes[a].count; i++)
            (void)json_array_append_new(values, json_string(s->grid->axes[a].values[i]));
        (void)json_object_set_new(grid, s->grid->axes[a].key, values);
    }
    for (uint32_t i = 0; i < s->count; i++)
        (void)json_array_append_new(cells, cell_json(s, i));
    if (sim_sweep_groups(s, &groups, &count) == FT_OK)
        for (uint32_t k = 0; k < count; k++)
            (void)json_array_append_new(groups_list,
                                        json_pack("{s:o, s:i, s:o, s:o, s:o, s:o}", "values",
                                                  values_json(s, groups[k].first, false), "runs",
                                                  (int)groups[k].count, "mean", number(groups[k].mean),
                                                  "deviation", number(groups[k].deviation), "least",
                                                  number(groups[k].least), "most", number(groups[k].most)));
    ft_free(groups);
    o = json_pack(
        "{s:i, s:s, s:s, s:o, s:o, s:i, s:i, s:i, s:o, s:o, s:o}", "version", 1, "experiment",
        s->grid->experiment, "metric", sim_metric_name(s->metric), "target", number(s->grid->target), "grid",
        grid, "done", (int)s->done, "failed", (int)s->failed, "invalid", (int)s->invalid, "best",
        best != UINT32_MAX ? json_integer(best + 1) : json_null(), "cells", cells, "groups", groups_list);
    return o;
}

/* ---- files ---- */

static enum ft_status
results_json(const struct sim_sweep *s, struct ft_buf *out)
{
    json_t *o = sim_sweep_json(s);
    char *text = o != NULL ? json_dumps(o, JSON_INDENT(1)) : NULL;
    enum ft_status st = text != NULL ? ft_buf_str(out, text) : FT_ERR_NOMEM;
    free(text);
    json_decref(o);
    return st == FT_OK ? ft_buf_u8(out, '\n') : st;
}

static enum ft_status
plot_svg(const struct sim_sweep *s, struct ft_buf *out)
{
    return sim_sweep_plot(s, true, out);
}

enum ft_status
sim_sweep_write(const struct sim_sweep *s, struct ft_error *err)
{
    static const struct {
        const char *name;
        enum ft_status (*make)(const struct sim_sweep *s, struct ft_buf *out);
    } files[] = { { "results.csv", results_csv }, { "costs.csv", costs_csv },
                  { "groups.csv", groups_csv },   { "results.json", results_json },
                  { "sweep.svg", plot_svg },      { "report.html", sim_sweep_page } };
    enum ft_status st = FT_OK;
    for (size_t i = 0; st == FT_OK && i < sizeof files / sizeof files[0]; i++) {
        struct ft_buf text = { 0 };
        char *path = ft_asprintf("%s/%s", s->dir, files[i].name);
        st = path != NULL ? files[i].make(s, &text) : FT_ERR_NOMEM;
        if (st == FT_OK)
            st = ft_file_write(path, ft_buf_bytes(&text), 0644, err);
        ft_buf_clear(&text);
        ft_free(path);
    }
    return st;
}
