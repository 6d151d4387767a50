/*
 * SCAFFOLD: control variates c (server) and c_k (client) correct every local gradient by c - c_k, so that client drift
 * cancels. After K steps at rate r from theta to y:
 *
 *   c_k+ = c_k - c + (theta - y) / (K r)                             (option II)
 *   theta += server_rate * mean(y - theta);   c += |S|/N mean(c_k+ - c_k)
 *
 * Means are plain, clients count equally. Karimireddy et al. 2020, "SCAFFOLD: stochastic controlled averaging for
 * federated learning", algorithm 1. Both means are sums, so a secure sum serves them.
 */
#include "aggregator/simulate/algorithm/algorithm.h"

static enum ft_status
client(struct sim_turn *t)
{
    const uint64_t parameters = t->server->parameters;
    const float *c = t->server->shared;
    float *change = t->vector + parameters;
    const double scale = 1 / ((double)t->steps * t->rate);
    enum ft_status st;

    for (uint64_t i = 0; i < parameters; i++)
        t->scratch[i] = c[i] - t->own[i];
    FT_TRY(ft_trainer_set_correction(t->trainer, 0, t->scratch));
    FT_TRY(sim_train(t));
    for (uint64_t i = 0; i < parameters; i++)
        t->own_change[i] = change[i] = (float)(-(double)c[i] - (double)t->vector[i] * scale);
out:
    return st;
}

static enum ft_status
server(struct sim_server *s, const double *sum, double weight, uint32_t clients)
{
    const double share = (double)clients / (double)s->population;
    enum ft_status st = sim_apply_mean(s, s->e->algorithm.server_rate, sum, weight);
    for (uint64_t i = 0; st == FT_OK && i < s->parameters; i++)
        s->shared[i] = (float)((double)s->shared[i] + share * sum[s->parameters + i] / weight);
    return st;
}

const struct sim_algorithm sim_scaffold = { .kind = FT_SIM_SCAFFOLD,
                                            .extra_vectors = 1,
                                            .own_state = true,
                                            .shared = true,
                                            .equal_weights = true,
                                            .client = client,
                                            .server = server };
