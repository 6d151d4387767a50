/* The rules of what a task of kind statistics measures. */
#include "common/task/task_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct checker {
    const struct ft_task *task;
    task_report *report;
    void *ctx;
    uint32_t at; /* of the measure at hand */
};

/* About a key of the measure at hand, or about the measure itself (key ""). */
static void tell(const struct checker *c, const char *key, const char *fmt, ...) FT_PRINTF(3, 4);
static void
tell(const struct checker *c, const char *key, const char *fmt, ...)
{
    char text[360], path[64];
    va_list args;

    snprintf(path, sizeof path, "statistics[%u]%s%s", c->at, key[0] != '\0' ? "." : "", key);
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->report(c->ctx, path, text);
}

/* Ascending and inside the open range (min, max): the range's own ends are ends of cells already. */
static void
check_edges(const struct checker *c, const char *key, const struct ft_task_axis *axis,
            const struct ft_task_feature *f)
{
    char at[32];

    for (uint32_t i = 0; i < axis->edge_count; i++) {
        snprintf(at, sizeof at, "%s[%u]", key, i);
        if (!(axis->edges[i] >= f->min && axis->edges[i] <= f->max)) /* a NaN too */
            tell(c, at, "edge %.9g lies outside the declared range of %s, %.9g to %.9g", axis->edges[i],
                 f->name, f->min, f->max);
        else if (axis->edges[i] == f->min || axis->edges[i] == f->max)
            tell(c, at,
                 "edge %.9g is an end of the declared range of %s, where a cell ends in any case: leave it "
                 "out",
                 axis->edges[i], f->name);
        else if (i > 0 && !((float)axis->edges[i] > (float)axis->edges[i - 1]))
            tell(c, at, "edge %.9g comes after %.9g: edges must ascend", axis->edges[i], axis->edges[i - 1]);
        else
            continue;
        return;
    }
}

static void
check_cells(const struct checker *c, const struct ft_task_measure *m, uint32_t a,
            const struct ft_task_feature *f)
{
    const struct ft_task_axis *axis = &m->axes[a];
    const char *bins = a == 0 ? "bins" : "with_bins", *edges = a == 0 ? "edges" : "with_edges";

    if ((axis->bins > 0) == (axis->edge_count > 0)) {
        tell(c, "", "a %s of %s needs one of %s and %s", ft_measure_name(m->kind), axis->feature, bins,
             edges);
        return;
    }
    if (axis->edge_count == 0 && (axis->bins < 2 || axis->bins > FT_TASK_BINS_MAX))
        tell(c, bins, "%s is %u, expected 2 to %d", bins, axis->bins, FT_TASK_BINS_MAX);
    if (axis->edge_count >= FT_TASK_BINS_MAX)
        tell(c, edges, "%s has %u edges, expected at most %d", edges, axis->edge_count, FT_TASK_BINS_MAX - 1);
    else if (f != NULL)
        check_edges(c, edges, axis, f);
}

static uint64_t
cells_of(const struct ft_task_axis *axis)
{
    return axis->edge_count > 0 ? (uint64_t)axis->edge_count + 1 : axis->bins;
}

static void
check_quantiles(const struct checker *c, const struct ft_task_measure *m)
{
    const struct ft_task_axis *axis = &m->axes[0];

    if (axis->edge_count > 0)
        tell(c, "edges", "quantiles are found over bins of equal width: leave edges out");
    if (axis->bins < 4 || axis->bins > FT_TASK_BINS_MAX || (axis->bins & (axis->bins - 1)) != 0)
        tell(c, "bins", "bins is %u, expected a power of two from 4 to %d", axis->bins, FT_TASK_BINS_MAX);
    if (m->quantile_count < 1 || m->quantile_count > FT_TASK_POINTS_MAX)
        tell(c, "at", "%u quantiles, expected 1 to %d in at: [0.25, 0.5, 0.75]", m->quantile_count,
             FT_TASK_POINTS_MAX);
    for (uint32_t i = 0; i < m->quantile_count && i < FT_TASK_POINTS_MAX; i++)
        if (!(m->quantiles[i] > 0 && m->quantiles[i] < 1) ||
            (i > 0 && !(m->quantiles[i] > m->quantiles[i - 1]))) {
            tell(c, "at",
                 "quantile %.9g: expected more than 0, less than 1, and each more than the one before",
                 m->quantiles[i]);
            return;
        }
}

/* Does it have cells? */
static bool
cut(const struct ft_task_measure *m)
{
    return m->kind == FT_MEASURE_HISTOGRAM || m->kind == FT_MEASURE_QUANTILES || m->kind == FT_MEASURE_CROSS;
}

/* Parts of the vector that another kind would have. */
static void
check_unused(const struct checker *c, const struct ft_task_measure *m)
{
    const uint32_t axes = ft_measure_axes(m->kind);

    if (axes < 1 && m->axes[0].feature[0] != '\0')
        tell(c, "feature", "a count is of no feature: leave it out");
    if (axes < 2 && (m->axes[1].feature[0] != '\0' || m->axes[1].bins != 0 || m->axes[1].edge_count != 0))
        tell(c, "with", "only a cross table has a second feature: leave it out");
    if (!cut(m) && (m->axes[0].bins != 0 || m->axes[0].edge_count != 0))
        tell(c, "bins", "a %s has no cells: leave bins and edges out", ft_measure_name(m->kind));
    if (m->kind != FT_MEASURE_QUANTILES && m->quantile_count != 0)
        tell(c, "at", "a %s has no quantiles: leave at out", ft_measure_name(m->kind));
}

static bool
same_axis(const struct ft_task_axis *a, const struct ft_task_axis *b)
{
    return strcmp(a->feature, b->feature) == 0 && a->bins == b->bins && a->edge_count == b->edge_count &&
           (a->edge_count == 0 || memcmp(a->edges, b->edges, a->edge_count * sizeof *a->edges) == 0);
}

/* A figure that is measured twice would be paid for twice. A deviation has the mean in it. */
static bool
same_measure(const struct ft_task_measure *a, const struct ft_task_measure *b)
{
    const bool moments = (a->kind == FT_MEASURE_MEAN || a->kind == FT_MEASURE_DEVIATION) &&
                         (b->kind == FT_MEASURE_MEAN || b->kind == FT_MEASURE_DEVIATION);
    if (a->kind != b->kind && !moments)
        return false;
    return same_axis(&a->axes[0], &b->axes[0]) && same_axis(&a->axes[1], &b->axes[1]);
}

/* Without noise what one table of a feature withholds another gives back: each feature is cut into cells once. */
static void
check_cut_once(const struct checker *c, const struct ft_task_measure *m)
{
    for (uint32_t a = 0; cut(m) && a < ft_measure_axes(m->kind); a++)
        for (uint32_t i = 0; i < c->at; i++) {
            const struct ft_task_measure *before = &c->task->measures[i];
            bool same = false;
            for (uint32_t k = 0; cut(before) && k < ft_measure_axes(before->kind); k++)
                same = same || strcmp(before->axes[k].feature, m->axes[a].feature) == 0;
            if (!same)
                continue;
            tell(c, a == 0 ? "feature" : "with",
                 "%s is in the %s of entry %u: without noise, counts withheld in one table come back from another, so a "
                 "feature is in one of histogram, quantiles and cross",
                 m->axes[a].feature, ft_measure_name(before->kind), i + 1);
            break;
        }
}

static void
check_measure(struct checker *c, const struct ft_task_measure *m)
{
    const struct ft_task *t = c->task;
    const uint32_t axes = ft_measure_axes(m->kind);
    uint64_t cells = 1;

    if (m->kind < FT_MEASURE_COUNT || m->kind > FT_MEASURE_CROSS) {
        tell(c, "measure", "measure is %u, expected 1 to 6", m->kind);
        return;
    }
    check_unused(c, m);
    for (uint32_t a = 0; a < axes; a++) {
        const uint32_t number = ft_task_feature(t, m->axes[a].feature);
        const struct ft_task_feature *f = number < t->feature_count ? &t->features[number] : NULL;
        const char *key = a == 0 ? "feature" : "with";
        if (m->axes[a].feature[0] == '\0')
            tell(c, "", "a %s needs a %s", ft_measure_name(m->kind), key);
        else if (f == NULL)
            tell(c, key, "%s is no feature of examples.features", m->axes[a].feature);
        if (m->kind == FT_MEASURE_HISTOGRAM || m->kind == FT_MEASURE_CROSS) {
            check_cells(c, m, a, f);
            cells *= cells_of(&m->axes[a]);
        }
    }
    if (axes == 2 && strcmp(m->axes[0].feature, m->axes[1].feature) == 0)
        tell(c, "with", "a cross table of %s with itself is its histogram", m->axes[0].feature);
    if (cells > FT_TASK_BINS_MAX)
        tell(c, "", "the %s has %llu cells, expected at most %d", ft_measure_name(m->kind),
             (unsigned long long)cells, FT_TASK_BINS_MAX);
    if (m->kind == FT_MEASURE_QUANTILES)
        check_quantiles(c, m);
    if (!(m->weight >= TASK_WEIGHT_LEAST && m->weight <= TASK_WEIGHT_MOST))
        tell(c, "weight", "weight is %.9g, expected %g to %g", m->weight, TASK_WEIGHT_LEAST,
             TASK_WEIGHT_MOST);
    for (uint32_t i = 0; i < c->at; i++)
        if (same_measure(&t->measures[i], m)) {
            tell(c, "", "the %s%s%s is measured already, by entry %u", ft_measure_name(m->kind),
                 axes > 0 ? " of " : "", m->axes[0].feature, i + 1);
            return;
        }
    if (t->noise == 0)
        check_cut_once(c, m);
}

static void
check_nothing_trained(const struct checker *c)
{
    const struct ft_task *t = c->task;
    const struct ft_task_privacy *p = &t->privacy;

    if (t->model != 0 || t->classes != 0 || t->hidden_count != 0 || t->activation != 0 ||
        t->image_count != 0 || t->channels_count != 0 || t->kernels_count != 0 || t->pools_count != 0 ||
        t->clusters != 0 || t->min_cluster != 0)
        c->report(c->ctx, "model", "a task of kind statistics has no model");
    if (t->rounds != 0 || t->local_epochs != 0 || t->batch_size != 0 || t->learning_rate != 0 ||
        t->momentum != 0 || t->weight_decay != 0 || t->clip != 0 || t->weight_cap != 0 || t->server != 0 ||
        t->server_learning_rate != 0 || t->server_momentum != 0 || t->server_beta2 != 0 ||
        t->server_epsilon != 0 || t->seed != 0)
        c->report(c->ctx, "training", "a task of kind statistics has no training");
    if (t->label[0] != '\0' || t->label_min != 0 || t->label_max != 0)
        c->report(c->ctx, "examples.label", "a task of kind statistics has no label");
    if (t->bins != 0 || t->calibration_bins != 0)
        c->report(c->ctx, "evaluation", "a task of kind statistics has no evaluation");
    if (p->contribution != 0)
        c->report(c->ctx, "privacy.contribution",
                  "a customer's vector holds what statistics names: leave contribution out");
    if (p->clip_quantile != 0 || p->clip_rate != 0 || p->clip_min != 0 || p->clip_max != 0)
        c->report(c->ctx, "privacy.adaptive_clip",
                  "a customer's vector has length 1 at most: leave adaptive_clip out");
}

void
task_check_statistics(const struct ft_task *task, task_report *report, void *ctx)
{
    struct checker c = { .task = task, .report = report, .ctx = ctx };
    uint64_t cells = 0;

    check_nothing_trained(&c);
    if (strncmp(task->purpose, "measure/", 8) != 0)
        report(ctx, "purpose", "a task of kind statistics has a purpose measure/...");
    if (task->measure_count < 1 || task->measure_count > FT_TASK_MEASURES_MAX) {
        report(ctx, "statistics", "statistics names nothing to measure, or more than 256 measures");
        return;
    }
    for (c.at = 0; c.at < task->measure_count; c.at++) {
        const struct ft_task_measure *m = &task->measures[c.at];
        check_measure(&c, m);
        cells += cells_of(&m->axes[0]) * (m->kind == FT_MEASURE_CROSS ? cells_of(&m->axes[1]) : 2);
    }
    if (cells > TASK_CELLS_MAX)
        report(ctx, "statistics", "the measures have more than 262144 cells together");
}
