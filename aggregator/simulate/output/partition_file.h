/* partition.csv of a run's folder: client,name,rows,label_0,... one row a client. Labels are counted up to 64
 * classes. */
#ifndef FT_SIMULATE_PARTITION_FILE_H
#define FT_SIMULATE_PARTITION_FILE_H

#include "aggregator/simulate/partition/partition.h"

#define SIM_PARTITION_LABELS_MAX 64

/* The data are partitioned already (ft_sim_partition); with `owners` a client is an owner of the data and has its name.
 * Errors: IO, FULL, NOMEM. */
FT_NODISCARD enum ft_status ft_sim_write_partition(const char *dir, const struct ft_sim_data *data,
                                                   const struct ft_sim_clients *clients, bool owners,
                                                   struct ft_error *err);

#endif
