/*
 * FedNova: clients that take more local steps do not pull the model more. With a_k the length of the vector of weights
 * that local SGD gives its gradients (t_k for plain SGD; [t - rho (1 - rho^t)/(1 - rho)]/(1 - rho) with momentum rho):
 *
 *   d_k = delta_k / a_k,   tau_eff = sum p_k a_k,   theta += server_rate * tau_eff * sum p_k d_k,   p_k = n_k / n
 *
 * Wang et al. 2020, "Tackling the objective inconsistency problem in heterogeneous federated optimization", equation 9.
 */
#include "aggregator/simulate/algorithm/algorithm.h"
#include "aggregator/simulate/partition/draw.h"

static double
steps_weight(uint64_t steps, double rho)
{
    return rho > 0 ? ((double)steps - rho * (1 - ft_real_power(rho, steps)) / (1 - rho)) / (1 - rho) : (double)steps;
}

static enum ft_status
client(struct sim_turn *t)
{
    const uint64_t parameters = t->server->parameters;
    const double a = steps_weight(t->steps, t->server->e->training.momentum);
    const enum ft_status st = sim_train(t);
    for (uint64_t i = 0; st == FT_OK && i < parameters; i++)
        t->vector[i] = (float)((double)t->vector[i] / a);
    t->vector[parameters] = (float)a;
    return st;
}

static enum ft_status
server(struct sim_server *s, const double *sum, double weight, uint32_t clients)
{
    (void)clients;
    return sim_apply_mean(s, s->e->algorithm.server_rate * sum[s->parameters] / weight, sum, weight);
}

const struct sim_algorithm sim_fednova = { .kind = FT_SIM_FEDNOVA, .extra_numbers = 1, .client = client, .server = server };
