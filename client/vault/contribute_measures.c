/*
 * A statistics task without noise: this shop's customers' values, added up (common/plan/measure_plan.h). With
 * noise the same values go through the encoder, contribute_private.c.
 */
#include "client/vault/contribute_internal.h"

#include <sodium.h>
#include <string.h>

uint64_t
contribute_measures_weight(const struct ft_work *work, const struct ft_examples *e)
{
    const uint64_t n = work->task->unit == FT_UNIT_RECORD ? e->rows_train : e->customers_train;
    return ft_layout_weight(&work->plan->layout, n);
}

/* Each row counts with 1 / the number of its customer's rows. `own` (customers) is room. */
static void
add_up(const struct ft_measure_plan *plan, const struct ft_examples *e, bool by_row, uint32_t *own,
       double *sums)
{
    for (size_t r = 0; !by_row && r < e->rows_train; r++)
        own[e->customer_train[r]]++;
    for (size_t r = 0; r < e->rows_train; r++)
        ft_measure_add(plan, e->x_train + r * e->feature_count, by_row ? 1 : 1.0 / own[e->customer_train[r]],
                       sums);
}

enum ft_status
contribute_measures(struct ft_contributor *c, const struct ft_work *work, const struct ft_examples *e,
                    int64_t *z)
{
    const bool by_row = work->task->unit == FT_UNIT_RECORD;
    const size_t cells = work->plan->layout.real_coordinates;
    double *sums = contributor_room(&c->sums, cells, sizeof *sums);
    uint32_t *own = contributor_room(&c->people.first, (size_t)e->customers_train, sizeof *own);
    struct ft_measure_plan plan = { 0 };
    enum ft_status st;

    if (sums == NULL || own == NULL)
        return FT_ERR_NOMEM;
    memset(sums, 0, cells * sizeof *sums);
    memset(own, 0, (size_t)e->customers_train * sizeof *own);
    FT_TRY(ft_measure_plan_init(&plan, work->task));
    add_up(&plan, e, by_row, own, sums);
    sums[0] =
        (double)contribute_measures_weight(work, e); /* a whole number, whatever the parts were rounded to */
    FT_TRY(ft_layout_encode_sums(&work->plan->layout, sums, z));
out:
    ft_measure_plan_clear(&plan);
    sodium_memzero(sums, cells * sizeof *sums);
    sodium_memzero(own, (size_t)e->customers_train * sizeof *own);
    return st;
}
