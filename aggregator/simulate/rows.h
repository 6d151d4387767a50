/*
 * The rows of many shops in one process, made by the same code as in each shop: the task's SELECT over the shop's own
 * records. Only a simulation, or a demonstration that owns all the data, may hold them together.
 */
#ifndef FT_SIMULATE_ROWS_H
#define FT_SIMULATE_ROWS_H

#include "client/vault/examples.h"
#include "common/model/state.h"
#include "common/model/statistics.h"

/* One shop from a CSV file of transactions with standard column names, everybody eligible: for published data.
 * Columns with other names are passed over. Clear with ft_examples_clear. Errors: as ft_source_open and
 * ft_examples_build. */
FT_NODISCARD enum ft_status ft_sim_rows_from_csv(const char *path, const struct ft_task *task,
                                                 struct ft_examples *out, struct ft_error *err);

/* All shops' rows as one set. Errors: LIMIT, NOMEM. */
FT_NODISCARD enum ft_status ft_sim_pool(const struct ft_examples *shops, size_t count, struct ft_examples *out);

/* Means and deviations of the train rows. `bounds` has feature_count entries. Errors: ARGUMENT (no rows),
 * NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status ft_sim_statistics(const struct ft_examples *rows, const struct ft_bounds *bounds,
                                              double *means, double *stds);

/* Standardise both splits in place. Errors: NONFINITE. */
FT_NODISCARD enum ft_status ft_sim_standardise(struct ft_examples *rows, const struct ft_bounds *bounds,
                                               const double *means, const double *stds);

/* A deep copy of one shop: rows, and whose the train rows are. Errors: NOMEM. */
FT_NODISCARD enum ft_status ft_sim_copy(const struct ft_examples *from, struct ft_examples *out);

/* The task's declared bounds, (feature_count); free with ft_free. NULL without memory. */
struct ft_bounds *ft_sim_bounds(const struct ft_task *task);

#endif
