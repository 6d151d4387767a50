/*
 * The weighted sum of a round's contributions, in one association whatever the number of threads and
 * processes: a binary tree over the places of the round. Leaf i is w_i z_i of place i in double; a node is
 * its left half plus its right half; a half without anybody adds nothing. What is left open at the right edge
 * is folded from the right.
 *
 * A process adds up places that follow each other, in waves; it keeps the roots of the complete trees so far:
 * at most two for each power of two. Process 0 then takes in the others' roots, in their order.
 */
#ifndef FT_SIMULATE_SUM_H
#define FT_SIMULATE_SUM_H

#include "aggregator/simulate/engine/pool.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_SUM_ROOTS 66

struct sim_root {
    uint32_t level; /* 2^level places, from index 2^level on */
    uint32_t index;
    bool empty;
};

struct sim_sum {
    uint64_t length;
    struct sim_root roots[SIM_SUM_ROOTS];
    double *data[SIM_SUM_ROOTS]; /* (length) each; NULL until needed */
    unsigned count;
};

void sim_sum_open(struct sim_sum *s, uint64_t length);
void sim_sum_close(struct sim_sum *s);

void sim_sum_begin(struct sim_sum *s);
/* Places first .. first + count - 1: contributions (count, length) and weights (count), 0: did not come.
 * Errors: NOMEM. */
FT_NODISCARD enum ft_status sim_sum_add(struct sim_sum *s, struct sim_pool *pool, const float *vectors,
                                        const double *weights, uint32_t first, uint32_t count);
/* All processes together: the sum, (length), the same in each; valid until begin. Zeros when nobody came.
 * Errors: NOMEM. */
FT_NODISCARD enum ft_status sim_sum_end(struct sim_sum *s, const double **out);

#endif
