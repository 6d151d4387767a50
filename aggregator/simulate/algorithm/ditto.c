/*
 * Ditto: beside the global model, trained as FedAvg does, each client keeps one of its own, v_k, that minimises
 * F_k(v) + lambda/2 |v - theta|^2: in each of its turns it goes on from where it was, with lambda (v - theta) added to
 * every gradient. The personal models never leave their clients, so a secure sum serves the rest.
 * Li et al. 2021, "Ditto: fair and robust federated learning through personalization", algorithm 1. lambda is `mu`.
 *
 * The client's state is v_k - theta_0, theta_0 the first model, so that it is zero before the first turn.
 */
#include "aggregator/simulate/algorithm/algorithm.h"

static enum ft_status
client(struct sim_turn *t)
{
    const uint64_t parameters = t->server->parameters;
    const double lambda = t->server->e->algorithm.mu;
    const float *first = t->server->shared;
    float *shift = t->scratch, *v = t->scratch + parameters;
    enum ft_status st;

    FT_TRY(sim_train(t));
    for (uint64_t i = 0; i < parameters; i++) {
        v[i] = first[i] + t->own[i];
        shift[i] = (float)(lambda * ((double)v[i] - (double)t->theta[i]));
    }
    FT_TRY(ft_trainer_set_correction(t->trainer, lambda, shift)); /* lambda (v - v_start) + lambda (v_start - theta) */
    FT_TRY(ft_train_local(t->trainer, &t->data, t->env, v, t->own_change));
out:
    return st;
}

static enum ft_status
server(struct sim_server *s, const double *sum, double weight, uint32_t clients)
{
    (void)clients;
    return ft_server_step(s->product, sum, weight, s->params);
}

const struct sim_algorithm sim_ditto = { .kind = FT_SIM_DITTO, .own_state = true, .shared = true, .client = client,
                                         .server = server };
