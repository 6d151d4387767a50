/*
 * What one unit (a customer, a record, a shop) adds to the sum of a statistics task. One block of cells a
 * measure, in the task's order; the first block is the count, which is always there.
 *
 *   measure     cells     of a row x; u = x scaled from its declared range to 0 .. 1, w = 2 u - 1
 *
 *   count       1         1
 *
 *   mean        1         u
 *
 *   deviation   2         u, w^2
 *
 *   histogram   B         1 in the cell of x, 0 in the others
 *
 *   quantiles   2 B - 2   the same for 2 cells of equal width, 4 cells ... up to B (dyadic counts)
 *
 *   cross       A B       1 in the cell of both features, row by row of the first
 *
 * A unit's values are the mean over its rows, so each counts once, however many rows there are; every value
 * lies in 0 .. 1. Without noise a shop adds up its units' values. With noise a unit's vector is bounded by
 * construction, before the clip and the gate bound it once more:
 *
 *   v = sqrt(weight / all weights) / length x (2 value - 1 for mean and deviation, the value for the others)
 *
 * length, the norm that a block cannot exceed: 1; deviation sqrt 2; quantiles sqrt(log2 B). So |v| <= 1, and
 * the noise of a block in units is the sum's noise / scale.
 */
#ifndef FT_PLAN_MEASURE_PLAN_H
#define FT_PLAN_MEASURE_PLAN_H

#include "common/base/status.h"
#include "common/task/task.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ft_measure_axis {
    uint32_t feature;   /* its number in the task */
    double low, high;   /* the declared range */
    uint32_t cells;     /* 1: not cut */
    const double *ends; /* (cells + 1) low .. high; NULL where not cut */
    const float *cuts;  /* (cells - 1) the inner ones as rows have them: float32 */
};

struct ft_measure_block {
    uint32_t kind;    /* enum ft_measure_kind */
    uint32_t measure; /* its number in the task; UINT32_MAX: the count that the task does not list */
    struct ft_measure_axis axes[FT_TASK_AXES_MAX];
    uint32_t levels; /* quantiles: log2 of the cells */
    size_t at, cells;
    double scale; /* of the private vector */
};

struct ft_measure_plan {
    const struct ft_task *task; /* borrowed */
    struct ft_measure_block *blocks;
    uint32_t count; /* of blocks */
    size_t cells;   /* of all */
    double *ends;   /* all axes' */
    float *cuts;
};

/* Cells of a validated statistics task. */
size_t ft_measure_cells(const struct ft_task *task);

/* Errors: ARGUMENT (not a statistics task), NOMEM. */
FT_NODISCARD enum ft_status ft_measure_plan_init(struct ft_measure_plan *plan, const struct ft_task *task);
void ft_measure_plan_clear(struct ft_measure_plan *plan);

/* cells (plan->cells) += part of a row's values. */
void ft_measure_add(const struct ft_measure_plan *plan, const float *x, double part, double *cells);

/* values (plan->cells): the mean over one customer's rows x (rows, features), rows >= 1. A value outside its
 * range counts as the nearer end, a NaN as the lower one. */
void ft_measure_values(const struct ft_measure_plan *plan, const float *x, size_t rows, double *values);

/* v (plan->cells) = the private vector of these values. */
void ft_measure_vector(const struct ft_measure_plan *plan, const double *values, float *v);

/* The cell of an axis that holds x: 0 .. cells - 1. An inner end belongs to the cell above it. */
uint32_t ft_measure_cell(const struct ft_measure_axis *axis, float x);

/* Where level 1 .. levels of a dyadic block begins in it: 2^level cells each. */
size_t ft_measure_level(uint32_t level);

#endif
