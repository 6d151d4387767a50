/*
 * Random numbers of an experiment: SplitMix64, the same on every machine; streams by number. Nothing secret.
 */
#ifndef FT_SIMULATE_DRAW_H
#define FT_SIMULATE_DRAW_H

#include "common/base/real.h"

#include <stdint.h>

struct sim_draw {
    uint64_t state;
};

void sim_draw_init(struct sim_draw *d, uint64_t seed, uint64_t stream);
uint64_t sim_draw_u64(struct sim_draw *d);
double sim_draw_uniform(struct sim_draw *d);                  /* [0, 1) */
uint64_t sim_draw_below(struct sim_draw *d, uint64_t bound);  /* 0 .. bound-1, without modulo bias; bound >= 1 */
double sim_draw_normal(struct sim_draw *d);                   /* Box and Muller 1958 */
double sim_draw_log_gamma(struct sim_draw *d, double alpha); /* ln of a Gamma(alpha, 1) variable */
/* Shares (count) that add up to one: gammas by Marsaglia and Tsang 2000, in logarithms, so that a small alpha is exact. */
void sim_draw_dirichlet(struct sim_draw *d, double alpha, uint32_t count, double *shares);

#endif
