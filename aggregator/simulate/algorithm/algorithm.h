/*
 * Federated algorithms behind one interface: what a client contributes, and what the server does with the weighted sum of
 * the contributions. Each is a file of this folder named for it; its head gives the paper and the rule.
 *
 *   round:  client k starts from theta, writes contribution z_k (vector) and weight w_k
 *           the sum of w_k z_k and of w_k over the clients that came through is all the server sees
 *
 * That is what a secure sum can serve. FedBuff, whose updates belong to different models, is not of this kind: its rounds
 * are made in engine/buffered.c.
 */
#ifndef FT_SIMULATE_ALGORITHM_H
#define FT_SIMULATE_ALGORITHM_H

#include "aggregator/simulate/experiment/experiment.h"
#include "common/base/env.h"
#include "common/model/server.h"
#include "common/model/train.h"

struct sim_algorithm;

/* The server's side: the model and what the algorithm keeps beside it. */
struct sim_server {
    const struct sim_algorithm *algorithm;
    const struct ft_sim_experiment *e;
    uint64_t parameters;
    uint32_t population;        /* clients there are */
    struct ft_model_spec spec;
    uint64_t rounds;            /* done before the one at hand */
    double noise_sum, noise_number; /* Lloyd's with privacy: standard deviations in each sum and number; else 0 */
    float *params;              /* (parameters) */
    float *shared;              /* (parameters) clients know it too: SCAFFOLD's c, Ditto's first model; NULL: nothing */
    double *m, *v;              /* (parameters) or NULL */
    struct ft_server *product;  /* the aggregator's own optimiser, where the algorithm is one of its */
};

/* One client's turn. */
struct sim_turn {
    const struct sim_server *server;
    struct ft_trainer *trainer;
    struct ft_dataset data;
    const struct ft_env *env;
    uint32_t epochs;     /* of this turn */
    uint64_t steps;      /* SGD steps of this turn */
    double rate;         /* learning rate of this round */
    const float *theta;  /* the model to start from */
    const float *own;    /* (parameters) the client's own state; NULL: the algorithm has none */
    float *own_change;   /* (parameters) what is added to it */
    float *vector;       /* (sim_vector) the contribution */
    float *scratch;      /* (2 parameters) */
    double weight;
};

struct sim_algorithm {
    enum ft_sim_algorithm_kind kind;
    uint64_t extra_vectors, extra_numbers; /* a contribution's length is parameters (1 + extra_vectors) + extra_numbers */
    bool own_state;      /* clients keep (parameters) floats from turn to turn, zero at first */
    bool shared;         /* server->shared is there */
    bool moments;        /* server->m and v are there */
    bool equal_weights;  /* whatever the experiment says */
    enum ft_status (*client)(struct sim_turn *t);
    /* sum (sim_vector), weight: of `clients` contributions. */
    enum ft_status (*server)(struct sim_server *s, const double *sum, double weight, uint32_t clients);
};

const struct sim_algorithm *sim_algorithm(enum ft_sim_algorithm_kind kind);
uint64_t sim_vector(const struct sim_algorithm *a, uint64_t parameters); /* Lloyd's: with the clusters' numbers beside */

/* params are copied. Errors: ARGUMENT, NOMEM. */
FT_NODISCARD enum ft_status sim_server_open(const struct ft_sim_experiment *e, const struct ft_model_spec *spec,
                                            uint32_t population, const float *params, struct sim_server *out,
                                            struct ft_error *err);
void sim_server_close(struct sim_server *s);
/* Everything that a resumed run needs. Errors: FORMAT (of another shape), NOMEM. */
FT_NODISCARD enum ft_status sim_server_save(const struct sim_server *s, struct ft_buf *out);
FT_NODISCARD enum ft_status sim_server_load(struct sim_server *s, struct ft_bytes *in);

/* What most clients do: train from theta; the contribution begins with the change. */
FT_NODISCARD enum ft_status sim_train(struct sim_turn *t);
/* theta += rate * step(i), parameter by parameter. Errors: NONFINITE, which ends a run. */
FT_NODISCARD enum ft_status sim_apply(struct sim_server *s, double rate, double (*step)(void *ctx, uint64_t i), void *ctx);
/* The same with step(i) = sum[i] / divisor. */
FT_NODISCARD enum ft_status sim_apply_mean(struct sim_server *s, double rate, const double *sum, double divisor);

extern const struct sim_algorithm sim_fedsgd, sim_fedavg, sim_fedavgm, sim_fedprox, sim_scaffold, sim_fedadam, sim_fedyogi,
    sim_fedadagrad, sim_fednova, sim_ditto, sim_fedbuff, sim_lloyd;

#endif
