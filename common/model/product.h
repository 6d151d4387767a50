/*
 * Products of matrices for whatever is too large for the fused kernels: chunks of rows, convolutions,
 * evaluation. By the kernel that was chosen, so the same bits on every processor that has one and safe in any
 * number of threads; by OpenBLAS (one thread at a time: its serial build shares its buffers) where there is
 * none, or where "blas" was asked for.
 */
#ifndef FT_MODEL_PRODUCT_H
#define FT_MODEL_PRODUCT_H

#include "common/model/kernel/kernel.h"

#define PRODUCT_ROOM KERNEL_PRODUCT_ROOM /* floats that each caller keeps for it */

/* C (m, n) = [C +] A B, all row-major and packed; A is (m, k), B (k, n). k 0 adds nothing. */
void product_plain(size_t m, size_t n, size_t k, const float *a, const float *b, bool add, float *c,
                   float *room);
/* C (m, n) = [C +] A^T B; A is (k, m). */
void product_left_turned(size_t m, size_t n, size_t k, const float *a, const float *b, bool add, float *c,
                         float *room);
/* C (m, n) = [C +] A B^T; B is (n, k). */
void product_right_turned(size_t m, size_t n, size_t k, const float *a, const float *b, bool add, float *c,
                          float *room);
/* y (rows) = X (rows, count) w + bias. */
void product_rows_by_vector(const float *x, size_t rows, size_t count, const float *w, float bias, float *y);
/* y (count) = [y +] X^T v, X (rows, count), v (rows). */
void product_sum_of_rows(const float *x, size_t rows, size_t count, const float *v, bool add, float *y,
                         float *room);

#endif
