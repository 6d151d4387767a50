/* The encoder's loops over one vector: its length, stochastic rounding with the exact squared length of the result,
 * and adding it up. */
#ifndef FT_PRIVACY_ROUND_H
#define FT_PRIVACY_ROUND_H

#include <stddef.h>
#include <stdint.h>

#define FT_ROUND_LANES 8
#define FT_ROUND_MOST  (1 << 22) /* integers are within +-this, four times the largest scale */

/* xorshift128+ (Vigna 2017), eight side by side. Seed with random bytes. */
struct ft_round_bits {
    uint64_t a[FT_ROUND_LANES], b[FT_ROUND_LANES];
};

typedef unsigned __int128 ft_u128;

/* L2 norm in double of the vector over its largest magnitude, times that magnitude: no overflow. Infinite for a
 * vector with a NaN or infinity. */
double ft_round_norm(const float *v, size_t count);

/* w[j] = floor(u[j] factor) + (f < frac(u[j] factor)), f uniform with 32 bits. Returns sum w[j]^2. */
ft_u128 ft_round_fairly(const float *u, double factor, size_t count, struct ft_round_bits *bits, int32_t *w);
ft_u128 ft_round_to_zero(const float *u, double factor, size_t count, int32_t *w);

void ft_round_add(int64_t *sum, const int32_t *w, size_t count);

#endif
