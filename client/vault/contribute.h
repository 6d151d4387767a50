/*
 * From examples to the packed contribution of one round:
 *
 *   STATISTICS  sum of u and of u^2 of each feature over the train rows; of a task of kind statistics: of what it
 *               measures, each customer's values (common/plan/measure_plan.h)
 *   TRAIN       metrics of the incoming model; local training from it; the update clipped in L2, weighted; of k-means
 *               sums and numbers of each cluster's rows
 *   EVALUATE    metrics of the incoming model
 *
 * A task with noise: in every stage a sum of the vectors of customers drawn in secret, and this shop's share of the
 * noise (contribute_private.c, common/plan/privacy_plan.h). There is no way from a task's customers to words that
 * leaves the noise out but for a task whose signed bytes say noise 0, which the policy allows or not.
 *
 * then laid out, quantised and packed into words that are still unmasked. What is computed here leaves the
 * process only behind ft_ss_client_mask.
 *
 * The buffers of a round are made once and used again; they are wiped when they are given back. Not
 * thread-safe.
 */
#ifndef FT_VAULT_CONTRIBUTE_H
#define FT_VAULT_CONTRIBUTE_H

#include "client/vault/examples.h"
#include "client/vault/participant.h"

struct ft_contributor;

FT_NODISCARD enum ft_status ft_contributor_open(const struct ft_env *env, struct ft_contributor **out);
void ft_contributor_close(struct ft_contributor *c); /* wipes; NULL is allowed */

/* Vectors that the exact gate let through in no way, since open: a fault of this machine, for its operator only. */
uint64_t ft_contributor_faults(const struct ft_contributor *c);

/*
 * Make the contribution to `work`. The examples' features are raw values within their declared bounds; for
 * TRAIN and EVALUATE they are standardised in place with the model's means and stds when *standardised is
 * false, and it is set. Examples that are standardised already must have been so with the same means and
 * stds. A task with noise leaves them raw and needs them raw. *words is from ft_big_alloc, plan->codec.words * 8 bytes. Errors: NONFINITE (data, or training
 * diverged), LIMIT (a value does not fit its field), ARGUMENT, NOMEM.
 */
FT_NODISCARD enum ft_status ft_contribute(struct ft_contributor *c, const struct ft_work *work,
                                          struct ft_examples *examples, bool *standardised, uint64_t **words,
                                          struct ft_error *err);

#endif
