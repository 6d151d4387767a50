/*
 * Training with small batches on the kernels of kernel/kernel.h: the weights stay packed for a whole call, a batch
 * passes them once forward and once backward, and the backward pass makes the step. Used by train.c only.
 */
#ifndef FT_MODEL_FUSED_H
#define FT_MODEL_FUSED_H

#include "common/model/kernel/kernel.h"
#include "common/model/model_internal.h"
#include "common/model/train.h"

#define FUSED_ROWS_MAX 256 /* up to here quicker than OpenBLAS 0.3, also with its AVX-512 kernels */

struct fused;

/* Is there a kernel for this model and batch? NULL: train through OpenBLAS. */
const struct model_kernel *fused_kernel(const struct ft_model_spec *spec, uint32_t batch_rows);

FT_NODISCARD enum ft_status fused_open(const struct ft_model *m, const struct model_kernel *kernel, uint32_t batch_rows,
                                       bool momentum, struct fused **out);
void fused_close(struct fused *f); /* wipes; NULL is allowed */

/* Make room for a pull towards the start, or a shift. */
FT_NODISCARD enum ft_status fused_reserve(struct fused *f, bool pull, bool shift);

/* Parameters in; pull 0 and shift NULL are none. */
void fused_begin(struct fused *f, const struct ft_train_config *config, const float *theta, double pull,
                 const float *shift);
/* One batch: the rows order[0 .. count); `ahead` numbers that follow in order are fetched into the cache. */
void fused_batch(struct fused *f, const struct ft_dataset *data, const uint32_t *order, size_t count, size_t ahead);
bool fused_finite(const struct fused *f);
/* What the batches changed, (parameters), from `start`; false when a number of it is not finite. */
bool fused_change(const struct fused *f, const float *start, float *change);

#endif
