/* What the contribute*.c files share. */
#ifndef FT_VAULT_CONTRIBUTE_INTERNAL_H
#define FT_VAULT_CONTRIBUTE_INTERNAL_H

#include "client/vault/contribute.h"
#include "common/model/per_customer.h"
#include "common/model/statistics.h"
#include "common/model/train.h"
#include "common/plan/measure_plan.h"
#include "common/privacy/encode.h"

/* A buffer that keeps its largest size. */
struct room {
    void *data;
    size_t size;
};
void *contributor_room(struct room *r, size_t count, size_t size); /* NULL without memory */
void contributor_room_clear(struct room *r);                       /* wipes */

/* Rows of one split by whose they are, and the customers drawn for one contribution. */
struct people {
    struct room first, order, drawn;     /* (customers + 1), (rows), (customers) uint32_t */
    struct room x, y, block_first;       /* the rows of a block of drawn customers, standardised */
    struct room vector, sums, z, losses; /* one customer's */
};

struct ft_contributor {
    const struct ft_env *env;
    struct ft_trainer *trainer; /* of trainer_task, for trainer_rows */
    uint8_t trainer_task[32];
    size_t trainer_rows;
    struct ft_per_customer *gradients; /* of gradients_task */
    uint8_t gradients_task[32];
    uint64_t faults; /* of the encoder's gate, all contributions: the operator's number */
    struct room z, delta, values, bounds, sums;
    struct people people;
};

/* The declared ranges of the task's features; NULL without memory. */
const struct ft_bounds *contributor_bounds(struct ft_contributor *c, const struct ft_task *task);
/* c->trainer for this task and so many rows. */
FT_NODISCARD enum ft_status contributor_trainer(struct ft_contributor *c, const struct ft_work *work,
                                                size_t rows, struct ft_error *err);

/* contribute_measures.c: a statistics task without noise. */
uint64_t contribute_measures_weight(const struct ft_work *work, const struct ft_examples *e);
FT_NODISCARD enum ft_status contribute_measures(struct ft_contributor *c, const struct ft_work *work,
                                                const struct ft_examples *e, int64_t *z);

/* contribute_private.c: a task with noise. z (plan->privacy.dim) holds sampled customers and noise. */
FT_NODISCARD enum ft_status contribute_private(struct ft_contributor *c, const struct ft_work *work,
                                               const struct ft_examples *e, int64_t *z, struct ft_error *err);
void contribute_private_clear(struct ft_contributor *c);

/* contribute_clusters.c: the block of standardised rows to coordinates, z (plan->layout.real_coordinates); and the vectors
 * of a block of customers to the encoder, in TRAIN and EVALUATE. Both need c->trainer. */
FT_NODISCARD enum ft_status contribute_clusters(struct ft_contributor *c, const struct ft_work *work, const float *x,
                                                size_t rows, int64_t *z);
FT_NODISCARD enum ft_status contribute_cluster_customers(struct ft_contributor *c, const struct ft_work *work,
                                                         const struct ft_customer_rows *block, uint64_t number,
                                                         struct ft_encoder *encoder);

#endif
