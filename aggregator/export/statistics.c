#include "aggregator/export/statistics.h"

#include "aggregator/export/export.h"
#include "common/base/alloc.h"
#include "common/plan/measured.h"
#include "common/statement/statement.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static json_t *
number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *
estimate_json(const struct ft_figure *f)
{
    if (f->withheld)
        return json_pack("{s:b}", "withheld", 1);
    return json_pack("{s:o, s:o, s:o}", "value", number(f->estimate.value), "low", number(f->estimate.low),
                     "high", number(f->estimate.high));
}

static json_t *
count_json(const struct ft_measured *m, const struct ft_figure *f)
{
    json_t *out = estimate_json(f);
    if (m->noisy && !f->withheld)
        json_object_set_new(out, "noisy", number(f->noisy));
    return out;
}

static json_t *
histogram_json(const struct ft_measured *m, const struct ft_measure_block *b)
{
    json_t *cells = json_array();

    for (uint32_t i = 0; i < b->axes[0].cells; i++) {
        const struct ft_figure f = ft_measured_cell(m, b, i);
        json_array_append_new(cells, json_pack("{s:f, s:f, s:o}", "from", b->axes[0].ends[i], "to",
                                               b->axes[0].ends[i + 1], "count", count_json(m, &f)));
    }
    return cells;
}

static json_t *
cross_json(const struct ft_measured *m, const struct ft_measure_block *b)
{
    const struct ft_measure_axis *x = &b->axes[0], *y = &b->axes[1];
    json_t *cells = json_array();

    for (uint32_t i = 0; i < x->cells; i++)
        for (uint32_t j = 0; j < y->cells; j++) {
            const struct ft_figure f = ft_measured_cell(m, b, (size_t)i * y->cells + j);
            json_array_append_new(cells, json_pack("{s:f, s:f, s:f, s:f, s:o}", "from", x->ends[i], "to",
                                                   x->ends[i + 1], "with_from", y->ends[j], "with_to",
                                                   y->ends[j + 1], "count", count_json(m, &f)));
        }
    return cells;
}

static enum ft_status
quantiles_json(const struct ft_measured *m, const struct ft_measure_block *b, json_t **out)
{
    const struct ft_task_measure *asked = &m->plan.task->measures[b->measure];
    struct ft_figure figures[FT_TASK_POINTS_MAX];
    const enum ft_status st = ft_measured_quantiles(m, b, figures);

    if (st != FT_OK)
        return st;
    *out = json_array();
    for (uint32_t i = 0; i < asked->quantile_count; i++) {
        json_t *one = estimate_json(&figures[i]);
        json_object_set_new(one, "at", json_real(asked->quantiles[i]));
        json_array_append_new(*out, one);
    }
    return FT_OK;
}

static enum ft_status
block_json(const struct ft_measured *m, const struct ft_measure_block *b, json_t *list)
{
    const struct ft_task *t = m->plan.task;
    json_t *one = json_pack("{s:s, s:s}", "measure", ft_measure_name(b->kind), "feature",
                            t->features[b->axes[0].feature].name);
    struct ft_figure f, deviation;
    json_t *inner = NULL;
    enum ft_status st = FT_OK;

    if (b->kind == FT_MEASURE_MEAN || b->kind == FT_MEASURE_DEVIATION) {
        f = ft_measured_mean(m, b);
        json_object_set_new(one, "mean", estimate_json(&f));
    }
    if (b->kind == FT_MEASURE_DEVIATION) {
        f = ft_measured_variance(m, b, &deviation);
        json_object_set_new(one, "variance", estimate_json(&f));
        json_object_set_new(one, "deviation", estimate_json(&deviation));
    }
    if (b->kind == FT_MEASURE_HISTOGRAM)
        json_object_set_new(one, "cells", histogram_json(m, b));
    if (b->kind == FT_MEASURE_QUANTILES) {
        st = quantiles_json(m, b, &inner);
        json_object_set_new(one, "quantiles", inner);
    }
    if (b->kind == FT_MEASURE_CROSS) {
        json_object_set_new(one, "with", json_string(t->features[b->axes[1].feature].name));
        json_object_set_new(one, "cells", cross_json(m, b));
    }
    if (m->noisy && (b->kind == FT_MEASURE_HISTOGRAM || b->kind == FT_MEASURE_CROSS))
        json_object_set_new(one, "reach", json_real(ft_measured_reach(m, b)));
    if (json_array_append_new(list, one) != 0 && st == FT_OK)
        st = FT_ERR_NOMEM;
    return st;
}

enum ft_status
ft_statistics_figures(const struct ft_task *task, const struct ft_model_found *found, json_t **out,
                      struct ft_error *err)
{
    struct ft_measured m = { 0 };
    json_t *list = json_array();
    struct ft_figure count;
    enum ft_status st;

    *out = NULL;
    FT_TRY(ft_measured_init(&m, task, found, err));
    for (uint32_t i = 1; i < m.plan.count; i++)
        FT_TRY(block_json(&m, &m.plan.blocks[i], list));
    count = ft_measured_count(&m);
    *out = json_pack("{s:s, s:o, s:O}", "unit", ft_unit_name(task->unit), "count", count_json(&m, &count), "figures", list);
    st = *out != NULL ? FT_OK : FT_ERR_NOMEM;
out:
    json_decref(list);
    ft_measured_clear(&m);
    return st;
}

static int
append_text(const char *text, size_t size, void *ctx)
{
    return ft_buf_append(ctx, text, size) == FT_OK ? 0 : -1;
}

static json_t *
sums_json(const struct ft_model_found *found)
{
    json_t *sums = json_array();
    for (size_t i = 0; i < found->count; i++)
        json_array_append_new(sums, json_real(found->sums[i]));
    return sums;
}

enum ft_status
ft_export_statistics_json(const struct ft_task *task, const struct ft_model_state *state,
                          const json_t *statement, struct ft_buf *out, struct ft_error *err)
{
    const struct ft_model_found *found = &state->found;
    const size_t before = out->size;
    json_t *figures = NULL, *root = NULL;
    char hash[65];
    enum ft_status st;

    if (ft_statement_text(statement) == NULL)
        return ft_fail(err, FT_ERR_ARGUMENT,
                       "a result is exported with its privacy statement, or not at all");
    FT_TRY(ft_statistics_figures(task, found, &figures, err));
    ft_hex(hash, state->task_hash, 32);
    root = json_pack(
        "{s:s, s:i, s:{s:s, s:s, s:s, s:s, s:s}, s:I, s:I, s:I, s:I, s:O, s:O, s:o, s:s, s:o}", "format",
        FT_EXPORT_STATISTICS_FORMAT, "format_version", FT_EXPORT_VERSION, "task", "name", task->name, "hash",
        hash, "purpose", task->purpose, "title", task->title, "unit", ft_unit_name(task->unit),
        "model_version", (json_int_t)state->version, "shops", (json_int_t)found->shops, "customers_declared",
        (json_int_t)found->customers, "min_group", (json_int_t)found->min_group, "count",
        json_object_get(figures, "count"), "figures", json_object_get(figures, "figures"), "sums",
        sums_json(found), "privacy", ft_statement_text(statement), "statement", json_deep_copy(statement));
    if (root == NULL ||
        json_dump_callback(root, append_text, out, JSON_COMPACT | JSON_REAL_PRECISION(17)) != 0 ||
        ft_buf_append(out, "\n", 1) != FT_OK) {
        out->size = before;
        st = FT_ERR_NOMEM;
    }
out:
    json_decref(root);
    json_decref(figures);
    return st;
}

/* ---- CSV ---- */

struct line {
    uint64_t min_group;
    const char *measure, *feature, *figure, *with;
    double ends[4]; /* from, to, with_from, with_to; NAN: none */
    double at;      /* a quantile's; NAN: none */
};

static enum ft_status
put_real(struct ft_buf *out, double v)
{
    return isfinite(v) ? ft_buf_printf(out, "%.12g,", v) : ft_buf_str(out, ",");
}

static double
real_of(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static enum ft_status
put_line(struct ft_buf *out, const struct line *l, const json_t *estimate)
{
    const bool hidden = json_is_true(json_object_get(estimate, "withheld"));
    enum ft_status st;

    /* Names are identifiers, so nothing in a line needs quotes. */
    FT_TRY(ft_buf_printf(out, "%s,%s,%s,", l->measure, l->feature, l->figure));
    FT_TRY(put_real(out, l->at));
    FT_TRY(put_real(out, l->ends[0]));
    FT_TRY(put_real(out, l->ends[1]));
    FT_TRY(ft_buf_printf(out, "%s,", l->with));
    FT_TRY(put_real(out, l->ends[2]));
    FT_TRY(put_real(out, l->ends[3]));
    FT_TRY(put_real(out, real_of(estimate, "value")));
    FT_TRY(put_real(out, real_of(estimate, "low")));
    FT_TRY(put_real(out, real_of(estimate, "high")));
    FT_TRY(ft_buf_printf(out, "%s,", hidden ? "withheld" : ""));
    FT_TRY(put_real(out, real_of(estimate, "noisy")));
    FT_TRY(ft_buf_printf(out, "%llu\r\n", (unsigned long long)l->min_group));
out:
    return st;
}

static enum ft_status
put_figure(struct ft_buf *out, const json_t *figure, uint64_t min_group)
{
    static const char *const moments[] = { "mean", "variance", "deviation" };
    const json_t *with = json_object_get(figure, "with"), *cells = json_object_get(figure, "cells"),
                 *quantiles = json_object_get(figure, "quantiles");
    struct line l = { .min_group = min_group,
                      .measure = json_string_value(json_object_get(figure, "measure")),
                      .feature = json_string_value(json_object_get(figure, "feature")),
                      .with = with != NULL ? json_string_value(with) : "",
                      .ends = { NAN, NAN, NAN, NAN },
                      .at = NAN };
    enum ft_status st = FT_OK;

    for (size_t i = 0; i < 3; i++) {
        l.figure = moments[i];
        if (json_object_get(figure, moments[i]) != NULL)
            FT_TRY(put_line(out, &l, json_object_get(figure, moments[i])));
    }
    l.figure = "quantile";
    for (size_t i = 0; i < json_array_size(quantiles); i++) {
        l.at = real_of(json_array_get(quantiles, i), "at");
        FT_TRY(put_line(out, &l, json_array_get(quantiles, i)));
    }
    l.figure = "count";
    l.at = NAN;
    for (size_t i = 0; i < json_array_size(cells); i++) {
        const json_t *cell = json_array_get(cells, i);
        l.ends[0] = real_of(cell, "from");
        l.ends[1] = real_of(cell, "to");
        l.ends[2] = real_of(cell, "with_from");
        l.ends[3] = real_of(cell, "with_to");
        FT_TRY(put_line(out, &l, json_object_get(cell, "count")));
    }
out:
    return st;
}

enum ft_status
ft_export_statistics_csv(const struct ft_task *task, const struct ft_model_found *found, struct ft_buf *out,
                         struct ft_error *err)
{
    const struct line count = { found->min_group, "count", "", "count", "", { NAN, NAN, NAN, NAN }, NAN };
    json_t *figures = NULL, *list;
    enum ft_status st;

    FT_TRY(ft_statistics_figures(task, found, &figures, err));
    FT_TRY(ft_buf_str(
        out, "measure,feature,figure,at,from,to,with,with_from,with_to,value,low,high,withheld,noisy,min_group\r\n"));
    FT_TRY(put_line(out, &count, json_object_get(figures, "count")));
    list = json_object_get(figures, "figures");
    for (size_t i = 0; i < json_array_size(list); i++)
        FT_TRY(put_figure(out, json_array_get(list, i), found->min_group));
out:
    json_decref(figures);
    return st;
}

/* ---- back ---- */

bool
ft_export_is_statistics(const json_t *root)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    return format != NULL && strcmp(format, FT_EXPORT_STATISTICS_FORMAT) == 0;
}

static bool
whole(const json_t *root, const char *name, json_int_t most, uint64_t *out)
{
    const json_t *v = json_object_get(root, name);

    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > most)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

enum ft_status
ft_export_read_statistics(const json_t *root, struct ft_model_state *out, struct ft_error *err)
{
    const json_t *sums = json_object_get(root, "sums");
    const char *hash = json_string_value(json_object_get(json_object_get(root, "task"), "hash"));
    struct ft_model_found found = { 0 };
    uint64_t format = 0, version = 0, shops = 0;
    uint8_t task_hash[32];
    enum ft_status st;

    memset(out, 0, sizeof *out);
    if (!whole(root, "format_version", 1000, &format) || format != FT_EXPORT_VERSION)
        return ft_fail(err, FT_ERR_FORMAT, "format_version: expected %d", FT_EXPORT_VERSION);
    if (!whole(root, "model_version", 1, &version) || version != 1 ||
        !whole(root, "shops", 1000000, &shops) ||
        !whole(root, "customers_declared", (json_int_t)1 << 53, &found.customers) ||
        !whole(root, "min_group", 1000000, &found.min_group) || json_array_size(sums) < 1 || hash == NULL ||
        ft_unhex(task_hash, 32, hash) != FT_OK)
        return ft_fail(err, FT_ERR_FORMAT,
                       "expected model_version 1, shops, customers_declared, min_group, sums and task.hash");
    found.shops = (uint32_t)shops;
    found.count = json_array_size(sums);
    found.sums = ft_calloc(found.count, sizeof *found.sums);
    if (found.sums == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < found.count; i++) {
        const json_t *v = json_array_get(sums, i);
        if (!json_is_number(v)) {
            st = ft_fail(err, FT_ERR_FORMAT, "sums[%zu]: expected a number", i);
            goto out;
        }
        found.sums[i] = json_number_value(v);
    }
    st = ft_model_state_init_found(out, task_hash, &found);
    if (st == FT_ERR_ARGUMENT || st == FT_ERR_NONFINITE)
        st = ft_fail(err, FT_ERR_FORMAT, "no result of a statistics task");
out:
    ft_free(found.sums);
    return st;
}
