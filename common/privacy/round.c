#include "common/privacy/round.h"
#include "common/privacy/wide.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define PAIR   ((size_t)2 * FT_ROUND_LANES)
#define SPAN   4096u /* coordinates whose squares, 2^44 each, are added in 64 bits */

FT_WIDE double
ft_round_norm(const float *v, size_t count)
{
    uint32_t most = 0;
    double sums[PAIR] = { 0 };
    size_t i = 0;

    for (size_t k = 0; k < count; k++) {
        uint32_t bits;
        memcpy(&bits, &v[k], sizeof bits);
        bits &= 0x7fffffffu; /* ordered as the magnitudes are, infinities and NaNs on top */
        most = bits > most ? bits : most;
    }
    if (most >= 0x7f800000u)
        return (double)INFINITY;
    if (most == 0)
        return 0;
    float magnitude;
    memcpy(&magnitude, &most, sizeof magnitude);
    const double inverse = 1.0 / (double)magnitude;
    for (; i + PAIR <= count; i += PAIR)
        for (size_t k = 0; k < PAIR; k++) {
            const double x = (double)v[i + k] * inverse;
            sums[k] += x * x;
        }
    for (; i < count; i++)
        sums[0] += ((double)v[i] * inverse) * ((double)v[i] * inverse);
    double sum = 0;
    for (size_t k = 0; k < PAIR; k++)
        sum += sums[k];
    return (double)magnitude * sqrt(sum);
}

/* u factor in units of 2^-32, kept within the integers' range whatever comes in. */
INLINE int64_t
fixed_point(float u, double factor)
{
    double x = (double)u * factor;
    x = x < FT_ROUND_MOST - 1 ? x : FT_ROUND_MOST - 1;
    x = x > 1 - FT_ROUND_MOST ? x : 1 - FT_ROUND_MOST;
    return (int64_t)(x * 0x1p32);
}

INLINE void
next_bits(struct ft_round_bits *s, uint64_t *out)
{
    for (size_t k = 0; k < FT_ROUND_LANES; k++) {
        uint64_t x = s->a[k];
        const uint64_t y = s->b[k];
        s->a[k] = y;
        x ^= x << 23;
        x ^= x >> 18;
        x ^= y ^ (y >> 5);
        s->b[k] = x;
        out[k] = x + y;
    }
}

/* Sixteen coordinates: the high and the low halves of eight random numbers. */
INLINE uint64_t
round_pair(const float *u, double factor, struct ft_round_bits *bits, int32_t *w)
{
    uint64_t random[FT_ROUND_LANES], squares = 0;
    next_bits(bits, random);
    for (size_t k = 0; k < FT_ROUND_LANES; k++) {
        const int64_t r = (int64_t)(random[k] >> 32);
        w[k] = (int32_t)((fixed_point(u[k], factor) + r) >> 32);
    }
    for (size_t k = 0; k < FT_ROUND_LANES; k++) {
        const int64_t r = (int64_t)(random[k] & 0xffffffffu);
        w[FT_ROUND_LANES + k] = (int32_t)((fixed_point(u[FT_ROUND_LANES + k], factor) + r) >> 32);
    }
    for (size_t k = 0; k < PAIR; k++)
        squares += (uint64_t)((int64_t)w[k] * w[k]);
    return squares;
}

FT_WIDE ft_u128
ft_round_fairly(const float *u, double factor, size_t count, struct ft_round_bits *bits, int32_t *w)
{
    struct ft_round_bits local = *bits;
    ft_u128 total = 0;
    uint64_t squares = 0;
    size_t i = 0;

    for (; i + PAIR <= count; i += PAIR) {
        squares += round_pair(u + i, factor, &local, w + i);
        if (i % SPAN == 0) {
            total += squares;
            squares = 0;
        }
    }
    if (i < count) {
        float rest[PAIR] = { 0 };
        int32_t rounded[PAIR];
        memcpy(rest, u + i, (count - i) * sizeof rest[0]);
        squares += round_pair(rest, factor, &local, rounded); /* a zero rounds to zero */
        memcpy(w + i, rounded, (count - i) * sizeof w[0]);
    }
    *bits = local;
    return total + squares;
}

FT_WIDE ft_u128
ft_round_to_zero(const float *u, double factor, size_t count, int32_t *w)
{
    ft_u128 total = 0;
    for (size_t i = 0; i < count; i++) {
        w[i] = (int32_t)(fixed_point(u[i], factor) / ((int64_t)1 << 32));
        total += (uint64_t)((int64_t)w[i] * w[i]);
    }
    return total;
}

FT_WIDE void
ft_round_add(int64_t *sum, const int32_t *w, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += w[i];
}
