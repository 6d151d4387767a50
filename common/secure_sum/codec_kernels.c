/*
 * One body a loop, written without branches so that the compiler makes vectors of it, and compiled three
 * times: for any machine, for AVX2 and for AVX-512. Every form gives the same bits: the arithmetic is IEEE
 * without contraction.
 */
#include "common/secure_sum/codec_internal.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* 1.5 * 2^52: adding it to |x| < 2^51 rounds x to an integer and leaves that integer in the low bits. */
#define SHIFTER 6755399441055744.0

INLINE uint64_t
bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

INLINE double
double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* All ones when v is negative, else zero. */
INLINE uint64_t
sign_mask(double v)
{
    return 0 - (bits_of(v) >> 63);
}

INLINE double
select(uint64_t mask, double when_set, double when_clear)
{
    return double_of((bits_of(when_set) & mask) | (bits_of(when_clear) & ~mask));
}

/*
 * floor(x) + [ (r + 1/2) / 2^32 < x - floor(x) ]: the expectation is x to within 2^-33. *bad is set for a NaN or
 * infinity. Decisions are taken by sign bits and masks, which no compiler turns into branches.
 */
INLINE int64_t
round_one(double x, double q, uint32_t r, uint64_t *bad)
{
    const uint64_t exponent = 0x7FF0000000000000ULL;
    const double u = double_of(0x4330000000000000ULL | r) - (4503599627370496.0 - 0.5); /* r + 1/2, exact */
    double nearest, rest;
    uint64_t below, up;
    *bad |= ((bits_of(x) & exponent) + (uint64_t)0x0010000000000000ULL) >> 63;
    x = select(sign_mask(q - x), q, x);
    x = select(sign_mask(x + q), -q, x);
    nearest = (x + SHIFTER) - SHIFTER;
    rest = x - nearest; /* exact, -1/2 .. 1/2 */
    below = sign_mask(rest);
    rest += double_of(below & bits_of(1.0)); /* x - floor(x) */
    up = bits_of(u * 0x1p-32 - rest) >> 63;
    return (int64_t)(bits_of(nearest + SHIFTER) - bits_of(SHIFTER) + below + up); /* below is -1 or 0 */
}

INLINE bool
quantise_body(const struct ft_ss_round *how, const double *restrict v, const uint32_t *restrict random,
              size_t count, int64_t *restrict z)
{
    const double step = how->step, q = how->q;
    uint64_t bad = 0;
    for (size_t i = 0; i < count; i++)
        z[i] = round_one(v[i] / step, q, random[i], &bad);
    return bad == 0;
}

INLINE bool
quantise_f32_body(const struct ft_ss_round *how, const float *restrict u, double weight,
                  const uint32_t *restrict random, size_t count, int64_t *restrict z)
{
    const double step = how->step, q = how->q;
    uint64_t bad = 0;
    for (size_t i = 0; i < count; i++)
        z[i] = round_one((double)u[i] * weight / step, q, random[i], &bad);
    return bad == 0;
}

INLINE bool
pack_body(unsigned w, unsigned lanes, int64_t z_max, const int64_t *restrict z, size_t words,
          uint64_t *restrict out)
{
    uint64_t bad = 0;
    for (size_t i = 0; i < words; i++) {
        uint64_t word = 0;
        for (unsigned l = 0; l < lanes; l++) {
            const int64_t v = z[i * lanes + l];
            bad |= (uint64_t)(v > z_max) | (uint64_t)(v < -z_max);
            word += (uint64_t)v << (w * l);
        }
        out[i] = word;
    }
    return bad == 0;
}

INLINE uint64_t
lane_bias(unsigned w, unsigned lanes)
{
    uint64_t bias = 0;
    for (unsigned l = 0; l < lanes; l++)
        bias += (uint64_t)1 << (w * l + w - 1);
    return bias;
}

INLINE uint64_t
unpack_body(unsigned w, unsigned lanes, const uint64_t *restrict sum, size_t words, int64_t *restrict z)
{
    const uint64_t bias = lane_bias(w, lanes);
    const uint64_t mask = w == 64 ? UINT64_MAX : ((uint64_t)1 << w) - 1;
    const uint64_t half = (uint64_t)1 << (w - 1);
    const uint64_t spare_mask = w * lanes == 64 ? 0 : UINT64_MAX << (w * lanes);
    uint64_t spare = 0;
    for (size_t i = 0; i < words; i++) {
        const uint64_t v = sum[i] + bias;
        spare |= v & spare_mask;
        for (unsigned l = 0; l < lanes; l++)
            z[i * lanes + l] = (int64_t)(((v >> (w * l)) & mask) - half);
    }
    return spare;
}

/* The useful widths with their numbers known to the compiler, any other by the general loop. */
#define BY_WIDTH(body, ...)                                                                                  \
    switch (w) {                                                                                             \
    case 12:                                                                                                 \
        return body(12, 5, __VA_ARGS__);                                                                     \
    case 16:                                                                                                 \
        return body(16, 4, __VA_ARGS__);                                                                     \
    case 21:                                                                                                 \
        return body(21, 3, __VA_ARGS__);                                                                     \
    case 32:                                                                                                 \
        return body(32, 2, __VA_ARGS__);                                                                     \
    case 64:                                                                                                 \
        return body(64, 1, __VA_ARGS__);                                                                     \
    default:                                                                                                 \
        return body(w, lanes, __VA_ARGS__);                                                                  \
    }

#define FORMS(suffix, attributes)                                                                            \
    attributes static bool quantise_##suffix(const struct ft_ss_round *how, const double *v,                 \
                                             const uint32_t *random, size_t count, int64_t *z)               \
    {                                                                                                        \
        return quantise_body(how, v, random, count, z);                                                      \
    }                                                                                                        \
    attributes static bool quantise_f32_##suffix(const struct ft_ss_round *how, const float *u,              \
                                                 double weight, const uint32_t *random, size_t count,        \
                                                 int64_t *z)                                                 \
    {                                                                                                        \
        return quantise_f32_body(how, u, weight, random, count, z);                                          \
    }                                                                                                        \
    attributes static bool pack_##suffix(unsigned w, unsigned lanes, int64_t z_max, const int64_t *z,        \
                                         size_t words, uint64_t *out){                                       \
        BY_WIDTH(pack_body, z_max, z, words, out)                                                            \
    } attributes static uint64_t unpack_##suffix(unsigned w, unsigned lanes, const uint64_t *sum,            \
                                                 size_t words, int64_t *z)                                   \
    {                                                                                                        \
        BY_WIDTH(unpack_body, sum, words, z)                                                                 \
    }

FORMS(any, )
#if defined(__x86_64__)
FORMS(avx2, __attribute__((target("avx2"))))
FORMS(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,prefer-vector-width=512"))))
#define HAS_AVX512                                                                                           \
    (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&                             \
     __builtin_cpu_supports("avx512bw"))
#define CALL(name, ...)                                                                                      \
    (HAS_AVX512 ? name##_avx512(__VA_ARGS__)                                                                 \
                : (__builtin_cpu_supports("avx2") ? name##_avx2(__VA_ARGS__) : name##_any(__VA_ARGS__)))
#else
#define CALL(name, ...) name##_any(__VA_ARGS__)
#endif

bool
ft_ss_kernel_quantise(const struct ft_ss_round *how, const double *v, const uint32_t *random, size_t count,
                      int64_t *z)
{
    return CALL(quantise, how, v, random, count, z);
}

bool
ft_ss_kernel_quantise_f32(const struct ft_ss_round *how, const float *u, double weight,
                          const uint32_t *random, size_t count, int64_t *z)
{
    return CALL(quantise_f32, how, u, weight, random, count, z);
}

bool
ft_ss_kernel_pack(unsigned lane_bits, unsigned lanes, int64_t z_max, const int64_t *z, size_t words,
                  uint64_t *out)
{
    return CALL(pack, lane_bits, lanes, z_max, z, words, out);
}

uint64_t
ft_ss_kernel_unpack(unsigned lane_bits, unsigned lanes, const uint64_t *sum, size_t words, int64_t *z)
{
    return CALL(unpack, lane_bits, lanes, sum, words, z);
}

uint64_t
ft_ss_kernel_spare(unsigned lane_bits, unsigned lanes, const uint64_t *sum, size_t words)
{
    const uint64_t bias = lane_bias(lane_bits, lanes);
    uint64_t all = 0;
    if (lane_bits * lanes == 64)
        return 0;
    for (size_t i = 0; i < words; i++)
        all |= sum[i] + bias;
    return all & (UINT64_MAX << (lane_bits * lanes));
}

bool
ft_ss_plain_quantise(const struct ft_ss_round *how, const double *v, const uint32_t *random, size_t count,
                     int64_t *z)
{
    bool finite = true;
    for (size_t i = 0; i < count; i++) {
        double x = v[i] / how->step;
        finite = finite && isfinite(x);
        x = x > how->q ? how->q : x;
        x = x < -how->q ? -how->q : x;
        z[i] = isnan(x) ? 0 : (int64_t)floor(x) + (((double)random[i] + 0.5) * 0x1p-32 < x - floor(x));
    }
    return finite;
}

bool
ft_ss_plain_pack(unsigned lane_bits, unsigned lanes, int64_t z_max, const int64_t *z, size_t words,
                 uint64_t *out)
{
    return pack_any(lane_bits, lanes, z_max, z, words, out);
}

uint64_t
ft_ss_plain_unpack(unsigned lane_bits, unsigned lanes, const uint64_t *sum, size_t words, int64_t *z)
{
    return unpack_any(lane_bits, lanes, sum, words, z);
}
