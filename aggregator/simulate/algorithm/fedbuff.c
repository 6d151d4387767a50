/*
 * FedBuff: clients train without waiting for each other; the server takes a step whenever `buffer` updates have come,
 * each weighted by its staleness (the model versions made since its client began): s(tau) = 1 / sqrt(1 + tau).
 *
 *   theta += server_rate / K * sum s(tau_k) delta_k
 *
 * Nguyen et al. 2022, "Federated learning with buffered asynchronous aggregation", algorithm 1. The sum divides by K, not
 * by the summed weights: `weight` is the number of updates here. Who comes when is engine/buffered.c's business.
 */
#include "aggregator/simulate/algorithm/algorithm.h"

static enum ft_status
server(struct sim_server *s, const double *sum, double weight, uint32_t clients)
{
    (void)weight;
    return sim_apply_mean(s, s->e->algorithm.server_rate, sum, clients);
}

const struct sim_algorithm sim_fedbuff = { .kind = FT_SIM_FEDBUFF, .equal_weights = true, .client = sim_train, .server = server };
