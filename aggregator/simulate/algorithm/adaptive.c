/*
 * FedYogi and FedAdagrad, with D the mean change, m = beta1 m + (1 - beta1) D, v = tau^2 at first:
 *
 *   FedYogi     v = v - (1 - beta2) D^2 sign(v - D^2)
 *   FedAdagrad  v = v + D^2
 *   both        theta += server_rate * m / (sqrt(v) + tau)
 *
 * Reddi et al. 2021, "Adaptive federated optimization", algorithm 2. (FedAdagrad there has beta1 = 0: server_momentum 0.)
 */
#include "aggregator/simulate/algorithm/algorithm.h"

#include <math.h>

struct moments {
    struct sim_server *s;
    const double *sum;
    double weight;
};

static double
yogi(void *ctx, uint64_t i)
{
    const struct moments *w = ctx;
    struct sim_server *s = w->s;
    const double d = w->sum[i] / w->weight, beta = s->e->algorithm.server_momentum;
    s->m[i] = beta * s->m[i] + (1 - beta) * d;
    s->v[i] -= (1 - s->e->algorithm.beta2) * d * d * (s->v[i] > d * d ? 1 : s->v[i] < d * d ? -1 : 0);
    return s->m[i] / (sqrt(s->v[i]) + s->e->algorithm.tau);
}

static double
adagrad(void *ctx, uint64_t i)
{
    const struct moments *w = ctx;
    struct sim_server *s = w->s;
    const double d = w->sum[i] / w->weight, beta = s->e->algorithm.server_momentum;
    s->m[i] = beta * s->m[i] + (1 - beta) * d;
    s->v[i] += d * d;
    return s->m[i] / (sqrt(s->v[i]) + s->e->algorithm.tau);
}

static enum ft_status
yogi_server(struct sim_server *s, const double *sum, double weight, uint32_t clients)
{
    struct moments w = { s, sum, weight };
    (void)clients;
    return sim_apply(s, s->e->algorithm.server_rate, yogi, &w);
}

static enum ft_status
adagrad_server(struct sim_server *s, const double *sum, double weight, uint32_t clients)
{
    struct moments w = { s, sum, weight };
    (void)clients;
    return sim_apply(s, s->e->algorithm.server_rate, adagrad, &w);
}

const struct sim_algorithm sim_fedyogi = { .kind = FT_SIM_FEDYOGI, .moments = true, .client = sim_train,
                                           .server = yogi_server };
const struct sim_algorithm sim_fedadagrad = { .kind = FT_SIM_FEDADAGRAD, .moments = true, .client = sim_train,
                                              .server = adagrad_server };
