/*
 * FedProx: each client minimises F_k(w) + mu/2 |w - theta|^2, that is, mu (w - theta) is added to every gradient; clients
 * may do fewer epochs (clients.stragglers). The server averages as FedAvg does.
 * Li et al. 2020, "Federated optimization in heterogeneous networks", algorithm 2.
 */
#include "aggregator/simulate/algorithm/algorithm.h"

static enum ft_status
client(struct sim_turn *t)
{
    enum ft_status st = ft_trainer_set_correction(t->trainer, t->server->e->algorithm.mu, NULL);
    return st == FT_OK ? sim_train(t) : st;
}

static enum ft_status
server(struct sim_server *s, const double *sum, double weight, uint32_t clients)
{
    (void)clients;
    return ft_server_step(s->product, sum, weight, s->params);
}

const struct sim_algorithm sim_fedprox = { .kind = FT_SIM_FEDPROX, .client = client, .server = server };
