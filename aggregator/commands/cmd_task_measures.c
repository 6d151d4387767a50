#include "aggregator/commands/cmd_task_measures.h"

#include "common/plan/measured.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>

#define Z95 1.959963984540054

/* Half of a 95 % interval that a figure will have by noise and sampling, when all n_cap shops and all their declared
 * customers are in the sum. */
struct reach {
    double count; /* customers, of a cell that holds all of them; NAN: the measure has no counts */
    double mean;  /* in the feature's own unit */
    double rank;  /* of a quantile: in parts of all customers, at the median */
};

static struct reach
reach_of(const struct ft_task *task, const struct ft_measure_plan *plan, const struct ft_measure_block *b)
{
    const double customers = (double)ft_plan_customers(task), q = ft_plan_q(task);
    const double noise = Z95 * ft_measure_noise(task, b, task->n_cap, customers) / q;
    const double of_count = Z95 * ft_measure_noise(task, &plan->blocks[0], task->n_cap, customers) / q;
    const double drawn = Z95 * sqrt((1 - q) / (q * customers)); /* of a share, at most */
    struct reach r = { NAN, NAN, NAN };

    switch (b->kind) {
    case FT_MEASURE_MEAN:
    case FT_MEASURE_DEVIATION: /* at the middle of the range; at its ends the count's noise comes to it */
        r.mean = (b->axes[0].high - b->axes[0].low) / 2 * hypot(noise / customers, drawn);
        break;
    case FT_MEASURE_QUANTILES: /* half of all is one cell of the first level, less half of the count */
        r.rank = hypot(hypot(noise, of_count / 2) / customers, drawn / 2);
        break;
    default:
        r.count = hypot(noise, drawn * customers);
        break;
    }
    return r;
}

static const char *
counted(const struct ft_task *task)
{
    return task->unit == FT_UNIT_STORE ? "shops" : task->unit == FT_UNIT_RECORD ? "records" : "customers";
}

static void
print_one(const struct ft_task *task, const struct ft_measure_block *b, const struct reach *r)
{
    char what[160];

    if (b->kind == FT_MEASURE_COUNT)
        snprintf(what, sizeof what, "count of %s", counted(task));
    else
        snprintf(what, sizeof what, "%s of %s%s%s", ft_measure_name(b->kind),
                 task->features[b->axes[0].feature].name, b->kind == FT_MEASURE_CROSS ? " and " : "",
                 b->kind == FT_MEASURE_CROSS ? task->features[b->axes[1].feature].name : "");
    printf("  figure       %s, %zu number%s", what, b->cells, b->cells == 1 ? "" : "s");
    if (task->noise == 0)
        puts(": exact");
    else if (!isnan(r->count))
        printf(": a count is off by at most +-%.0f at 95%%\n", ceil(r->count));
    else if (!isnan(r->mean))
        printf(": the mean is off by at most +-%.3g at 95%%\n", r->mean);
    else
        printf(": the median is off by at most +-%.2g%% of all %s at 95%%\n", 100 * r->rank, counted(task));
}

void
ft_task_measures_print(const struct ft_task *task)
{
    struct ft_measure_plan plan;

    if (task->kind != FT_TASK_STATISTICS || ft_measure_plan_init(&plan, task) != FT_OK)
        return;
    for (uint32_t i = 0; i < plan.count; i++) {
        const struct reach r = reach_of(task, &plan, &plan.blocks[i]);
        print_one(task, &plan.blocks[i], &r);
    }
    ft_measure_plan_clear(&plan);
}

static json_t *
real_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

json_t *
ft_task_measures_json(const struct ft_task *task)
{
    struct ft_measure_plan plan;
    json_t *list = json_array();

    if (task->kind != FT_TASK_STATISTICS || ft_measure_plan_init(&plan, task) != FT_OK)
        return list;
    for (uint32_t i = 0; i < plan.count; i++) {
        const struct ft_measure_block *b = &plan.blocks[i];
        const struct reach r = reach_of(task, &plan, b);
        json_t *one = json_pack("{s:s, s:I, s:o, s:o, s:o}", "measure", ft_measure_name(b->kind), "cells",
                                (json_int_t)b->cells, "count_reach", real_or_null(r.count), "mean_reach",
                                real_or_null(r.mean), "median_rank_reach", real_or_null(r.rank));
        for (uint32_t a = 0; a < ft_measure_axes(b->kind); a++)
            json_object_set_new(one, a == 0 ? "feature" : "with",
                                json_string(task->features[b->axes[a].feature].name));
        json_array_append_new(list, one);
    }
    ft_measure_plan_clear(&plan);
    return list;
}
