/*
 * The result of a statistics task as a file: JSON with every figure, the sums they follow from and the privacy
 * statement, so that `fedtill-verify release FILE` works all of it out again; CSV for a spreadsheet.
 *
 * figures (ft_statistics_figures), an object:
 *
 *   unit     what is counted: customer, record or store
 *   count    {value, low, high, noisy}: how many with data in the shops of the sum; noisy as the noise left it
 *   figures  [{measure, feature, ...}], one a measure, in the task's order, with
 *              mean       mean
 *              deviation  mean, variance, deviation of the population
 *              histogram  cells [{from, to, count}]; from <= x < to, in the last <= to
 *              quantiles  quantiles [{at, value, low, high}]
 *              cross      with, cells [{from, to, with_from, with_to, count}]
 *            and reach, half of the widest 95 % interval of its counts (noise and sampling), where there is noise
 *
 * A withheld figure is {"withheld": true}; what the noise leaves open has a null value. In CSV each line is one of these,
 * with a count's `noisy` beside its value (which is never below 0) and min_group, below which nothing is told.
 */
#ifndef FT_EXPORT_STATISTICS_H
#define FT_EXPORT_STATISTICS_H

#include "common/model/state.h"
#include "common/task/task.h"

typedef struct json_t json_t;

#define FT_EXPORT_STATISTICS_FORMAT "fedtill-statistics"

/* Errors: ARGUMENT (no result of this task), NOMEM. */
FT_NODISCARD enum ft_status ft_statistics_figures(const struct ft_task *task,
                                                  const struct ft_model_found *found, json_t **out,
                                                  struct ft_error *err);

/* Append the file's bytes to *out. Errors: as above. */
FT_NODISCARD enum ft_status ft_export_statistics_json(const struct ft_task *task,
                                                      const struct ft_model_state *state,
                                                      const json_t *statement, struct ft_buf *out,
                                                      struct ft_error *err);
FT_NODISCARD enum ft_status ft_export_statistics_csv(const struct ft_task *task,
                                                     const struct ft_model_found *found, struct ft_buf *out,
                                                     struct ft_error *err);

/* Is a JSON value such a file? */
bool ft_export_is_statistics(const json_t *root);
/* Read back what the result's hash covers; clear it with ft_model_state_clear. Any JSON may come. Errors:
 * FORMAT, NOMEM. */
FT_NODISCARD enum ft_status ft_export_read_statistics(const json_t *root, struct ft_model_state *out,
                                                      struct ft_error *err);

#endif
