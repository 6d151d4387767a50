/* The figures of a statistics task over all shops' rows in one place, without noise and with nothing withheld: what the
 * federation's figures are compared with. Only a simulation may hold the rows together. */
#ifndef FT_SIMULATE_POOLED_FIGURES_H
#define FT_SIMULATE_POOLED_FIGURES_H

#include "client/vault/examples.h"

typedef struct json_t json_t;

/* *out as export/statistics.h describes figures. Errors: ARGUMENT (not a statistics task, no rows), NOMEM. */
FT_NODISCARD enum ft_status ft_sim_pooled_figures(const struct ft_task *task, const struct ft_examples *shops,
                                                  size_t count, json_t **out, struct ft_error *err);

#endif
