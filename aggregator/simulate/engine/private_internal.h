/* What the files of private rounds share. */
#ifndef FT_SIMULATE_PRIVATE_INTERNAL_H
#define FT_SIMULATE_PRIVATE_INTERNAL_H

#include "aggregator/simulate/engine/engine_internal.h"
#include "aggregator/simulate/engine/private.h"
#include "common/model/per_customer.h"
#include "common/privacy/parameters.h"

/* One thread's tools. */
struct private_worker {
    struct ft_per_customer *gradients; /* NULL: local changes */
    uint32_t *drawn;                   /* (most customers of a client, or all) */
    float *x, *y;                      /* a block's rows */
    uint32_t *first;                   /* (BLOCK + 1) */
    uint32_t *nearest;                 /* k-means: of the block's rows */
    float *vector;                     /* (parameters) */
    int64_t *z;                        /* (parameters) */
    uint64_t *words, *total;           /* packed */
};

struct sim_private {
    struct ft_privacy_params params;
    struct ft_ss_codec codec;
    double q, z; /* z: what the wish leads to, before shares are rounded up */
    bool central, by_gradient;
    double *sum; /* (vector) of the round at hand */
    /* customers of all clients, each client's together */
    uint64_t *order;                               /* (train rows) rows by customer */
    uint64_t *first;                               /* (customers + 1) into order */
    uint64_t *of_client;                           /* (clients + 1) into customers */
    uint64_t *declared;                            /* (clients) */
    uint64_t customers, most_customers, most_rows; /* all; of a client; of a customer */
    struct private_worker workers[SIM_THREADS_MAX];
};

#define PRIVATE_BLOCK 256 /* customers whose vectors are made together */

/* Rows of drawn customers, drawn[at ..] counted from customer `base`: at most PRIVATE_BLOCK of them. */
struct ft_customer_rows private_gather(const struct ft_sim_engine *g, struct private_worker *w, uint64_t base,
                                       size_t at, size_t drawn);
/* One customer's change of the model by local training; zeros where training breaks down. */
void private_change(struct ft_sim_engine *g, unsigned number, const struct ft_customer_rows *rows, size_t i,
                    const struct ft_env *env, float *vector);
/* private_central.c */
FT_NODISCARD enum ft_status private_central_round(struct ft_sim_engine *g, double *weight);

#endif
