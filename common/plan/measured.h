/*
 * What a statistics task found, from its released sums: figures with 95 % intervals. All of it follows from
 * the task and the sums (struct ft_model_found), so everybody works out the same figures again. `sums` are
 * (ft_measure_cells) numbers in measure_plan.h's order.
 *
 * Without noise they are the sums of the units' values. A count of fewer than min_group is not in them:
 * ft_measured_withhold has put FT_MEASURED_WITHHELD there before anything was stored. Sums that would tell it
 * by subtraction are withheld with it: of a block that adds up to the count, so many cells that together they
 * hold min_group; of dyadic counts, both halves of a node. When the count itself is too small, everything is.
 * A feature is in one table only (a task without noise is not valid otherwise). A mean's sum of u is withheld when it or
 * n less it is below min_group, for of a feature that is 0 or 1 it is a count; so is the sum of w^2, and with the first
 * the second; and both when so few counts of a table over their feature are hidden (up to 8) that they might be solved
 * for. More than these hold for features of few values is not claimed: noise is the answer to that.
 * An interval is the figure itself; of a quantile, the finest cell that it is known to lie in.
 *
 * With noise they are the sums of the vectors / scale: units, or units' values 2 u - 1 and 2 w^2 - 1. All of
 * them are there, for none is about anybody for certain; a figure is withheld when its noisy count is below
 * min_group (0 with unit store, where counts are of shops: none is).
 *
 * Counts are of units with data in the shops of the sum. With sampling (q < 1) they are estimated from those
 * drawn, and the intervals cover that too. The noise is known exactly: sqrt(shops) sigma_share, and rounding
 * beside it of at most expected / 4 in square. A mean is a ratio of two noisy sums; its interval is Fieller's
 * (1954), exact for these. A variance's is to the first order in noise / count, with the second added. A
 * quantile's is found by testing each end of a cell, with the exact variance of the fitted tree (dyadic.h).
 */
#ifndef FT_PLAN_MEASURED_H
#define FT_PLAN_MEASURED_H

#include "common/model/metrics.h"
#include "common/model/state.h"
#include "common/plan/measure_plan.h"
#include "common/plan/private_sum.h"

#define FT_MEASURED_WITHHELD (-1.0)

struct ft_measured {
    struct ft_measure_plan plan;
    const struct ft_model_found *found; /* borrowed */
    bool noisy;
    double noise; /* standard deviation of a coordinate of the summed vectors; 0 without noise */
    double q;
};

/* From a private sum (its values become sums, in place) or from plain sums as they were decoded; found->sums
 * is borrowed from them. Errors of check: VERIFY (no rows lead to these sums). */
void ft_measured_unscale(const struct ft_measure_plan *plan, double *values);
FT_NODISCARD enum ft_status ft_measured_check(const struct ft_measure_plan *plan, const double *sums,
                                              uint64_t customers);
void ft_measured_withhold(const struct ft_measure_plan *plan, double *sums, uint64_t min_group);

/* Does a result that somebody else has made keep to its own terms: as many sums as the task makes, of so many shops, no
 * more customers than the task declares, and without noise nothing in it that would have been withheld? Errors: VERIFY
 * (names it), ARGUMENT (not a statistics task), NOMEM. */
FT_NODISCARD enum ft_status ft_measured_check_found(const struct ft_task *task, const struct ft_model_found *found,
                                                    uint32_t shops, struct ft_error *err);

/* Read a result. Errors: ARGUMENT (not a result of this task), NOMEM. */
FT_NODISCARD enum ft_status ft_measured_init(struct ft_measured *m, const struct ft_task *task,
                                             const struct ft_model_found *found, struct ft_error *err);
void ft_measured_clear(struct ft_measured *m);

/* Standard deviation of the noise in a cell of a block, in its own unit (customers, before division by q). */
double ft_measured_block_noise(const struct ft_measured *m, const struct ft_measure_block *b);
/* Half of the widest 95 % interval of a block's counts, in customers: noise and sampling. */
double ft_measured_reach(const struct ft_measured *m, const struct ft_measure_block *b);
/* The noise before anything is summed, for a sum of so many shops with so many declared customers: `task
 * check`. */
double ft_measure_noise(const struct ft_task *task, const struct ft_measure_block *b, uint32_t shops,
                        double customers);

/* One figure. Withheld: value, low and high are NAN. An open figure is NAN with the widest interval there is.
 */
struct ft_figure {
    struct ft_estimate estimate; /* a count is never below 0, nor is an end of its interval */
    double noisy; /* a count as the noise left it, unbiased; the estimate's value where there is no noise */
    bool withheld;
};
struct ft_figure ft_measured_cell(const struct ft_measured *m, const struct ft_measure_block *b, size_t cell);
struct ft_figure ft_measured_count(const struct ft_measured *m);
struct ft_figure ft_measured_mean(const struct ft_measured *m, const struct ft_measure_block *b);
/* Of the population: divided by n. deviation NULL allowed. */
struct ft_figure ft_measured_variance(const struct ft_measured *m, const struct ft_measure_block *b,
                                      struct ft_figure *deviation);
/* out (count of the task's quantiles). Errors: NOMEM. */
FT_NODISCARD enum ft_status ft_measured_quantiles(const struct ft_measured *m,
                                                  const struct ft_measure_block *b, struct ft_figure *out);

#endif
