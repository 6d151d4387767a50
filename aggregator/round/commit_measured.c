/*
 * The round of a statistics task: from its sum to the result that is released. What is to be withheld is gone
 * before anything is stored (common/plan/measured.h).
 */
#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"
#include "common/plan/measured.h"

#include <jansson.h>
#include <stdlib.h>

/* The round's own figures: how many there were. The rest is in the result. */
static char *
round_metrics(const struct ft_measured *m)
{
    const struct ft_figure count = ft_measured_count(m);
    json_t *object = json_pack("{s:I, s:I}", "min_group", (json_int_t)m->found->min_group, "cells",
                               (json_int_t)m->found->count);
    char *text, *out;

    if (!count.withheld)
        json_object_set_new(object, "count",
                            json_pack("{s:f, s:f, s:f}", "value", count.estimate.value, "low",
                                      count.estimate.low, "high", count.estimate.high));
    text = object != NULL ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    out = ft_strdup(text);
    free(text);
    json_decref(object);
    return out;
}

static enum ft_status
release(const struct engine_task *task, const struct ft_model_found *found, struct engine_step *step)
{
    struct ft_measured m = { 0 };
    enum ft_status st;

    FT_TRY(ft_measured_init(&m, &task->task, found, NULL));
    FT_TRY(ft_model_state_init_found(&step->next, task->row.hash, found));
    step->progress.version = 1;
    step->task_done = step->result = true;
    step->row.metrics = round_metrics(&m);
    st = step->row.metrics != NULL ? FT_OK : FT_ERR_NOMEM;
out:
    ft_measured_clear(&m);
    return st;
}

enum ft_status
engine_measured(struct ft_engine *e, const struct engine_task *task, uint32_t shops, uint64_t customers,
                struct engine_step *step)
{
    struct ft_measure_plan plan = { 0 };
    enum ft_status st;

    FT_TRY(ft_measure_plan_init(&plan, &task->task));
    FT_TRY(ft_measured_check(&plan, e->reals, customers));
    ft_measured_withhold(&plan, e->reals, e->config.min_group);
    FT_TRY(
        release(task, &(struct ft_model_found){ e->reals, plan.cells, shops, 0, e->config.min_group }, step));
out:
    ft_measure_plan_clear(&plan);
    return st;
}

enum ft_status
engine_measured_private(struct ft_engine *e, const struct engine_task *task, struct ft_private_sum *sum,
                        struct engine_step *step)
{
    struct ft_measure_plan plan = { 0 };
    /* With unit store counts are of shops, in a sum of enough of them, and the crowd of customers is each shop's own. */
    const uint64_t min_group = task->task.unit == FT_UNIT_STORE ? 0 : e->config.min_group;
    enum ft_status st;

    FT_TRY(ft_measure_plan_init(&plan, &task->task));
    ft_measured_unscale(&plan, sum->values);
    FT_TRY(release(
        task,
        &(struct ft_model_found){ sum->values, plan.cells, sum->shops, sum->customers, min_group },
        step));
out:
    ft_measure_plan_clear(&plan);
    return st;
}
