/*
 * Rounds under differential privacy, as shops run them: every shop draws its customers in secret, each
 * customer's vector passes the encoder's exact gate, each shop adds its share of discrete noise, and only the
 * packed sum of all shops is looked at (privacy-accounting.md). Masks would cancel exactly, so they are left
 * out.
 *
 *   fedsgd     a customer's vector is the mean gradient of the customer's rows, times the learning rate
 * behind the sum others     the change of the model by local training on the customer's rows alone
 *
 * Denominators are q times the declared sizes of the shops in the sum: each shop's customers, rounded up to a
 * multiple of ten.
 *
 * With unit store a client is the one customer of its rows, in every round, declared as one.
 *
 * The central baseline sees all rows: one Poisson sample of all customers, the sum of their clipped vectors,
 * Gaussian noise of the same multiplier (Abadi et al. 2016, "Deep learning with differential privacy",
 * algorithm 1).
 */
#ifndef FT_SIMULATE_PRIVATE_H
#define FT_SIMULATE_PRIVATE_H

#include "aggregator/simulate/engine/engine.h"

struct sim_private;

/* Errors: CONFIG (a wish that cannot be: err names the field and the bound), LIMIT, NOMEM. */
FT_NODISCARD enum ft_status sim_private_open(struct ft_sim_engine *g, struct ft_error *err);
void sim_private_close(struct ft_sim_engine *g);

/* g->places to *sum (vector), with the weight that makes it a mean; all processes together. Too few shops for
 * the shares that are credited: *came is 0 and the sum stays closed. Errors: NONFINITE, NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status sim_private_round(struct ft_sim_engine *g, const double **sum, double *weight,
                                              uint32_t *came, struct ft_error *err);
uint64_t sim_private_bytes(const struct ft_sim_engine *g); /* of one shop's contribution */

#endif
