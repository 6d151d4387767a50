/* One shop's rows from its client's home, under that shop's own policy and consent: what a contribution would use. */
#ifndef FT_SIMULATE_HOME_H
#define FT_SIMULATE_HOME_H

#include "client/vault/examples.h"

/* Clear *out with ft_examples_clear. A shop without rows by rule (consent, policy) gives zero rows and FT_OK. Errors:
 * those of client.yaml, the source, the policy and the query. */
FT_NODISCARD enum ft_status ft_sim_rows_from_home(const char *home, const struct ft_task *task,
                                                  struct ft_examples *out, struct ft_error *err);

/* The task in `path`: YAML, or signed; then the signature must be by a key that the home's trust.json pins. Errors:
 * as ft_task_from_yaml and ft_task_open; CONFIG when a signed task comes without a home. */
FT_NODISCARD enum ft_status ft_sim_task(const char *path, const char *home, struct ft_task *out,
                                        struct ft_error *err);

#endif
