/*
 * Which virtual client owns which train row. Every partition is disjoint and complete: each row has one owner. The same
 * seed gives the same bytes on every machine.
 *
 *   column     the rows' own owners (a column, or the shop a row is from)
 *   iid        rows shuffled and dealt out evenly
 *   dirichlet  each class is dealt out by shares drawn from Dirichlet(alpha); small alpha: few classes a client
 *              (Yurochkin et al. 2019, "Bayesian nonparametric federated learning of neural networks", section 4)
 *   shards     rows sorted by label, cut into clients x shards_per_client pieces, dealt out at random: the pathological
 *              split of McMahan et al. 2017, section 3
 *   quantity   shuffled, and sizes by shares drawn from Dirichlet(alpha)
 *
 * Where it is known whose rows are whose (ft_sim_data.customer), iid and quantity deal out customers, each with all rows;
 * dirichlet and shards go by the labels of rows, and column by the owners of rows, so a customer may be at several clients.
 */
#ifndef FT_SIMULATE_PARTITION_H
#define FT_SIMULATE_PARTITION_H

#include "aggregator/simulate/data/dataset.h"

enum ft_sim_split { FT_SIM_COLUMN = 1, FT_SIM_IID, FT_SIM_DIRICHLET, FT_SIM_SHARDS, FT_SIM_QUANTITY };

struct ft_sim_partition_config {
    enum ft_sim_split kind;
    uint32_t clients;           /* not for column */
    uint32_t shards_per_client; /* shards */
    double alpha;               /* dirichlet, quantity; > 0 */
    uint32_t rows_least;        /* dirichlet, quantity: drawn again until no client has fewer */
};

struct ft_sim_clients {
    uint32_t count;
    uint64_t *offsets; /* (count + 1): client k owns train rows offsets[k] .. offsets[k + 1] - 1 */
};

/* Reorders the train rows (and data->owner) so that each client's are contiguous. Errors: CONFIG (found and expected),
 * NOMEM. Clear *out. */
FT_NODISCARD enum ft_status ft_sim_partition(const struct ft_sim_partition_config *config, uint64_t seed,
                                             struct ft_sim_data *data, struct ft_sim_clients *out, struct ft_error *err);
void ft_sim_clients_clear(struct ft_sim_clients *clients);

/* For the report: rows a client, and how far labels are from evenly spread. */
struct ft_sim_spread {
    uint64_t rows_least, rows_median, rows_most;
    double classes_mean;   /* different labels a client has, on average; NAN without classes */
    double label_distance; /* mean total variation distance between a client's labels and all; NAN without classes */
};
FT_NODISCARD enum ft_status ft_sim_describe(const struct ft_sim_data *data, const struct ft_sim_clients *clients,
                                            struct ft_sim_spread *out);

#endif
