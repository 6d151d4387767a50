/*
 * Random numbers of an experiment: SplitMix64, the same on every machine; streams by number. Nothing secret.
 *
 * The C library's log, exp and cos differ in their last bits from one processor to another (glibc chooses by what the
 * processor has), and a last bit can move a row: these are sums and products of a fixed order instead.
 */
#ifndef FT_SIMULATE_DRAW_H
#define FT_SIMULATE_DRAW_H

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

/* Within 4 units in the last place of 1 or of the result, whichever is larger. x > 0; x <= 700; cos(2 pi v). */
double sim_log(double x);
double sim_exp(double x);
double sim_cos_turn(double v);
double sim_power(double base, uint64_t exponent);

#endif
