#include "common/privacy/rotate.h"
#include "common/privacy/wide.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#define BLOCK 4096u /* floats that are transformed while they stay in the first cache */

size_t
ft_rotate_padded(size_t count)
{
    size_t p = 1;
    while (p < count && p < ((size_t)1 << 29))
        p *= 2;
    return p <= (size_t)1 << 28 ? p : 0;
}

void
ft_rotate_signs(const uint8_t seed[FT_ROTATE_SEED_SIZE], uint8_t *signs, size_t padded)
{
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    crypto_stream_chacha20(signs, (padded + 7) / 8, nonce, seed);
}

/* Two levels at once: four rows of `step` elements each, so that the data is walked half as often. */
#define HADAMARD(type, name)                                                                                  \
    static inline __attribute__((always_inline)) void name##_four(type *u, size_t count, size_t step)         \
    {                                                                                                         \
        for (size_t from = 0; from < count; from += 4 * step) {                                               \
            type *restrict a = u + from, *restrict b = a + step, *restrict c = b + step, *restrict d = c + step; \
            for (size_t i = 0; i < step; i++) {                                                               \
                const type ab = a[i] + b[i], ba = a[i] - b[i], cd = c[i] + d[i], dc = c[i] - d[i];            \
                a[i] = ab + cd;                                                                               \
                b[i] = ba + dc;                                                                               \
                c[i] = ab - cd;                                                                               \
                d[i] = ba - dc;                                                                               \
            }                                                                                                 \
        }                                                                                                     \
    }                                                                                                         \
    static inline __attribute__((always_inline)) void name##_two(type *u, size_t count, size_t step)          \
    {                                                                                                         \
        for (size_t from = 0; from < count; from += 2 * step) {                                               \
            type *restrict a = u + from, *restrict b = a + step;                                              \
            for (size_t i = 0; i < step; i++) {                                                               \
                const type sum = a[i] + b[i], difference = a[i] - b[i];                                       \
                a[i] = sum;                                                                                   \
                b[i] = difference;                                                                            \
            }                                                                                                 \
        }                                                                                                     \
    }                                                                                                         \
    static inline __attribute__((always_inline)) void name##_levels(type *u, size_t count, size_t from)       \
    {                                                                                                         \
        size_t step = from;                                                                                   \
        for (; 4 * step <= count; step *= 4)                                                                  \
            name##_four(u, count, step);                                                                      \
        if (2 * step <= count)                                                                                \
            name##_two(u, count, step);                                                                       \
    }                                                                                                         \
    FT_WIDE void name(type *u, size_t padded)                                                                 \
    {                                                                                                         \
        const size_t block = padded < BLOCK ? padded : BLOCK;                                                 \
        for (size_t at = 0; at < padded; at += block) {                                                       \
            if (block >= 16) {                                                                                \
                name##_sixteen(u + at, block);                                                                \
                name##_levels(u + at, block, 16);                                                             \
            } else {                                                                                          \
                name##_levels(u + at, block, 1);                                                              \
            }                                                                                                 \
        }                                                                                                     \
        name##_levels(u, padded, block);                                                                      \
    }

/* The four lowest levels of sixteen neighbours each, 16 groups side by side: transposed into columns so that every
 * step is a whole vector. */
#define SIXTEEN(type, name)                                                                                   \
    static inline __attribute__((always_inline)) void name##_sixteen(type *u, size_t count)                   \
    {                                                                                                         \
        size_t at = 0;                                                                                        \
        for (; at + 256 <= count; at += 256) {                                                                \
            type t[16][16];                                                                                   \
            for (size_t r = 0; r < 16; r++)                                                                   \
                for (size_t k = 0; k < 16; k++)                                                               \
                    t[r][k] = u[at + 16 * k + r];                                                             \
            for (size_t step = 1; step < 16; step *= 2)                                                       \
                for (size_t r = 0; r < 16; r += 2 * step)                                                     \
                    for (size_t s = r; s < r + step; s++)                                                     \
                        for (size_t k = 0; k < 16; k++) {                                                     \
                            const type sum = t[s][k] + t[s + step][k];                                        \
                            t[s + step][k] = t[s][k] - t[s + step][k];                                        \
                            t[s][k] = sum;                                                                    \
                        }                                                                                     \
            for (size_t k = 0; k < 16; k++)                                                                   \
                for (size_t r = 0; r < 16; r++)                                                               \
                    u[at + 16 * k + r] = t[r][k];                                                             \
        }                                                                                                     \
        for (; at < count; at += 16)                                                                          \
            for (size_t step = 1; step < 16; step *= 2)                                                       \
                for (size_t r = at; r < at + 16; r += 2 * step)                                               \
                    for (size_t s = r; s < r + step; s++) {                                                   \
                        const type sum = u[s] + u[s + step];                                                  \
                        u[s + step] = u[s] - u[s + step];                                                     \
                        u[s] = sum;                                                                           \
                    }                                                                                         \
    }

SIXTEEN(float, ft_hadamard_f32)
SIXTEEN(double, ft_hadamard_f64)
HADAMARD(float, ft_hadamard_f32)
HADAMARD(double, ft_hadamard_f64)

void
ft_rotate(const uint8_t *signs, float *u, size_t padded)
{
    const float plus = (float)(1.0 / sqrt((double)padded));
    for (size_t i = 0; i < padded; i++)
        u[i] *= (signs[i / 8] >> (i % 8) & 1) != 0 ? -plus : plus;
    ft_hadamard_f32(u, padded);
}

void
ft_rotate_back(const uint8_t *signs, double *u, size_t padded)
{
    const double plus = 1.0 / sqrt((double)padded);
    ft_hadamard_f64(u, padded);
    for (size_t i = 0; i < padded; i++)
        u[i] *= (signs[i / 8] >> (i % 8) & 1) != 0 ? -plus : plus;
}
