#include "aggregator/simulate/pooled_figures.h"

#include "aggregator/export/statistics.h"
#include "common/base/alloc.h"
#include "common/plan/measure_plan.h"

/* One shop's units, each with the mean of its rows, as the shop itself adds them up. */
static enum ft_status
add_shop(const struct ft_measure_plan *plan, const struct ft_examples *e, double *sums)
{
    const enum ft_unit unit = plan->task->unit;
    const size_t units = unit == FT_UNIT_RECORD ? e->rows_train
                         : unit == FT_UNIT_STORE ? e->rows_train > 0
                                                 : (size_t)e->customers_train;
    uint32_t *own;

    if (unit == FT_UNIT_CUSTOMER && e->rows_train > 0 && e->customer_train == NULL)
        return FT_ERR_ARGUMENT; /* nobody knows whose the rows are */
    own = ft_calloc(units + 1, sizeof *own);
    if (own == NULL)
        return FT_ERR_NOMEM;
#define UNIT(r) (unit == FT_UNIT_RECORD ? (r) : unit == FT_UNIT_STORE ? 0 : e->customer_train[r])
    for (size_t r = 0; r < e->rows_train; r++)
        own[UNIT(r)]++;
    for (size_t r = 0; r < e->rows_train; r++)
        ft_measure_add(plan, e->x_train + r * e->feature_count, 1.0 / own[UNIT(r)], sums);
#undef UNIT
    ft_free(own);
    return FT_OK;
}

enum ft_status
ft_sim_pooled_figures(const struct ft_task *task, const struct ft_examples *shops, size_t count, json_t **out,
                      struct ft_error *err)
{
    struct ft_task plain = *task; /* its lists are the task's */
    struct ft_measure_plan plan = { 0 };
    double *sums = NULL;
    enum ft_status st;

    *out = NULL;
    plain.noise = 0;
    FT_TRY(ft_measure_plan_init(&plan, &plain));
    sums = ft_calloc(plan.cells, sizeof *sums);
    if (sums == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (size_t i = 0; i < count; i++)
        FT_TRY(add_shop(&plan, &shops[i], sums));
    if (!(sums[0] > 0)) {
        st = ft_fail(err, FT_ERR_ARGUMENT, "no shop has a row to measure");
        goto out;
    }
    const struct ft_model_found found = { sums, plan.cells, (uint32_t)count, 0, 0 };
    FT_TRY(ft_statistics_figures(&plain, &found, out, err));
out:
    ft_free(sums);
    ft_measure_plan_clear(&plan);
    return st;
}
