/* Rules shared by the task's two forms, YAML and canonical bytes. */
#ifndef FT_TASK_INTERNAL_H
#define FT_TASK_INTERNAL_H

#include "common/base/config.h"
#include "common/task/task.h"
#include <stdint.h>

/* Ranges, for the schema of the YAML form and for task_check. */
#define TASK_TITLE_MAX       200
#define TASK_OWNER_MAX       128
#define TASK_ROWS_PER_MAX    10000
#define TASK_ROWS_MAX        (1u << 24)
#define TASK_BOUND_MAX       1e9 /* a wider range than this bounds nothing */
#define TASK_CLASSES_MAX     1000
#define TASK_CLUSTERS_MAX    256
#define TASK_CLUSTER_MIN     10 /* least members, where the task says nothing */
#define TASK_WIDTH_MAX       16384
#define TASK_CHANNELS_MAX    1024
#define TASK_KERNEL_MAX      15
#define TASK_POOL_MAX        8
#define TASK_PATCHES_MAX     (UINT64_C(1) << 24) /* floats that one image's patches take in a convolution */
#define TASK_PARAMETERS_MAX  (UINT64_C(1) << 24)
#define TASK_ROUNDS_MAX      100000
#define TASK_EPOCHS_MAX      1000
#define TASK_BATCH_MAX       (1u << 24)
#define TASK_RATE_MAX        1e3
#define TASK_MOMENTUM_MAX    0.9999
#define TASK_DECAY_MAX       10.0
#define TASK_CLIP_MAX        1e6
#define TASK_WEIGHT_MAX      (1u << 24)
#define TASK_EPSILON_MAX     1.0
#define TASK_N_MAX           16384
#define TASK_DROP_MAX        499
#define TASK_SIGMA_MIN       30
#define TASK_SIGMA_MAX       128
#define TASK_ETA_MIN         10
#define TASK_DURATION_MAX    ((uint64_t)30 * 24 * 3600 * 1000)
#define TASK_BINS_MAX        4096
#define TASK_CALIBRATION_MAX 100
#define TASK_STORES_MAX      64
#define TASK_CUSTOMERS_MAX   UINT64_C(1000000000)
#define TASK_DELTA_MIN       1e-12
#define TASK_DELTA_MAX       1e-3
#define TASK_NOISE_MIN       0.3 /* least noise multiplier, and most epsilon, that can be asked for */
#define TASK_NOISE_MAX       1000.0
#define TASK_BUDGET_MAX      1000.0
#define TASK_WEIGHT_LEAST    1e-3
#define TASK_WEIGHT_MOST     1e3
#define TASK_QUANTILE_BINS   64
#define TASK_CELLS_MAX       (UINT64_C(1) << 18) /* of all measures together */
#define TASK_QUANT_MIN       64 /* fewer steps than this to one side make an update mostly rounding */

/* One broken rule: the key's path in the YAML form, and the sentence. */
typedef void task_report(void *ctx, const char *path, const char *sentence);

/* Every rule; each broken one is reported. Safe on any contents with non-NULL strings. */
void task_check(const struct ft_task *task, task_report *report, void *ctx);
/* task_measures.c: what a task of kind statistics measures, and that it has nothing of a training task. */
void task_check_statistics(const struct ft_task *task, task_report *report, void *ctx);

/* Checks of base/config.h. */
const char *task_is_name(const char *text);       /* [a-z0-9_]{1,48} */
const char *task_is_identifier(const char *text); /* a column's name */

bool task_is_network(const struct ft_task *task); /* MLP or CNN */

/* Parameters of a CNN's convolutions, and the values behind the last of them. */
uint64_t task_convolutions(const struct ft_task *task, uint64_t *outputs);

#endif
