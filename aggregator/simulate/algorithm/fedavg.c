/*
 * FedAvg: theta += server_rate * sum(n_k delta_k) / sum(n_k), delta_k the change by local epochs of minibatch SGD.
 * FedSGD is the same with one epoch of one batch of all rows: delta_k = -rate * gradient.
 * McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data", algorithm 1.
 */
#include "aggregator/simulate/algorithm/algorithm.h"

static enum ft_status
server(struct sim_server *s, const double *sum, double weight, uint32_t clients)
{
    (void)clients;
    return ft_server_step(s->product, sum, weight, s->params);
}

const struct sim_algorithm sim_fedavg = { .kind = FT_SIM_FEDAVG, .client = sim_train, .server = server };
const struct sim_algorithm sim_fedsgd = { .kind = FT_SIM_FEDSGD, .client = sim_train, .server = server };
/* FedAvgM: m = beta m + mean delta; theta += server_rate * m. Hsu, Qi, Brown 2019, section 4.4. */
const struct sim_algorithm sim_fedavgm = { .kind = FT_SIM_FEDAVGM, .client = sim_train, .server = server };
/*
 * FedAdam: m = beta1 m + (1 - beta1) D; v = beta2 v + (1 - beta2) D^2; theta += server_rate * m / (sqrt(v) + tau), with
 * D the mean change, v = tau^2 at first. Reddi et al. 2021, "Adaptive federated optimization", algorithm 2.
 */
const struct sim_algorithm sim_fedadam = { .kind = FT_SIM_FEDADAM, .client = sim_train, .server = server };
