#include "aggregator/simulate/partition/draw.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

void
sim_draw_init(struct sim_draw *d, uint64_t seed, uint64_t stream)
{
    d->state = seed * UINT64_C(0x9e3779b97f4a7c15) ^ stream;
    d->state = sim_draw_u64(d) ^ (stream * UINT64_C(0xd1342543de82ef95) + seed);
}

uint64_t
sim_draw_u64(struct sim_draw *d)
{
    uint64_t z = (d->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

double
sim_draw_uniform(struct sim_draw *d)
{
    return (double)(sim_draw_u64(d) >> 11) * 0x1p-53;
}

uint64_t
sim_draw_below(struct sim_draw *d, uint64_t bound)
{
    const uint64_t least = (0 - bound) % bound; /* 2^64 mod bound */
    uint64_t v;
    do
        v = sim_draw_u64(d);
    while (v < least);
    return v % bound;
}

/* 2 atanh((m - 1) / (m + 1)) for the fraction m in [0.7, 1.4]. */
double
sim_log(double x)
{
    int exponent;
    double m = frexp(x, &exponent), s, square, sum = 0;
    if (m < 0.7071067811865476) {
        m *= 2;
        exponent--;
    }
    s = (m - 1) / (m + 1);
    square = s * s;
    for (int k = 12; k > 0; k--)
        sum = (sum + 1.0 / (2 * k + 1)) * square;
    return exponent * 0.6931471805599453 + 2 * s * (1 + sum);
}

/* Taylor's sum in [-0.35, 0.35], then a power of two. */
double
sim_exp(double x)
{
    static const double inverse_factorials[] = {
        /* of 14 down to 0 */
        0x1.93974a8c07c9dp-37, 0x1.6124613a86d09p-33, 0x1.1eed8eff8d898p-29, 0x1.ae64567f544e4p-26,
        0x1.27e4fb7789f5cp-22, 0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-13,
        0x1.6c16c16c16c17p-10, 0x1.1111111111111p-7,  0x1.5555555555555p-5,  0x1.5555555555555p-3,
        0x1.0000000000000p-1,  0x1.0000000000000p+0,  0x1.0000000000000p+0,
    };
    double k, r, sum = 0;
    if (x < -745)
        return 0;
    k = floor(x * 1.4426950408889634 + 0.5);
    r = x - k * 0x1.62e42feep-1 -
        k * 0x1.a39ef35793c76p-33; /* ln 2 in two parts: k times the first is exact */
    for (size_t i = 0; i < sizeof inverse_factorials / sizeof inverse_factorials[0]; i++)
        sum = sum * r + inverse_factorials[i];
    return ldexp(sum, (int)k);
}

/* Taylor's sums in an eighth of a turn around the nearest quarter. */
double
sim_cos_turn(double v)
{
    const double quarter = floor(4 * v + 0.5), t = (v - quarter / 4) * 6.283185307179586, square = t * t;
    const int which = (int)(quarter - 4 * floor(quarter / 4));
    const bool sine = which % 2 != 0;
    double sum = 1;
    for (int i = 16 + sine; i > 1; i -= 2)
        sum = 1 - sum * square / (i * (i - 1));
    if (sine)
        sum *= t;
    return which == 1 || which == 2 ? -sum : sum;
}

double
sim_power(double base, uint64_t exponent)
{
    double power = 1;
    for (; exponent > 0; exponent >>= 1, base *= base)
        if (exponent & 1)
            power *= base;
    return power;
}

double
sim_draw_normal(struct sim_draw *d)
{
    const double u = 1 - sim_draw_uniform(d), v = sim_draw_uniform(d);
    return sqrt(-2 * sim_log(u)) * sim_cos_turn(v);
}

/* Below 1 by ln G(alpha + 1) + ln(U) / alpha. */
double
sim_draw_log_gamma(struct sim_draw *d, double alpha)
{
    const double boost = alpha < 1 ? sim_log(1 - sim_draw_uniform(d)) / alpha : 0;
    const double shape = (alpha < 1 ? alpha + 1 : alpha) - 1.0 / 3, scale = 1 / sqrt(9 * shape);
    for (;;) {
        const double x = sim_draw_normal(d), t = 1 + scale * x;
        if (t <= 0)
            continue;
        const double v = t * t * t, u = 1 - sim_draw_uniform(d);
        if (sim_log(u) < 0.5 * x * x + shape * (1 - v + sim_log(v)))
            return sim_log(shape * v) + boost;
    }
}

void
sim_draw_dirichlet(struct sim_draw *d, double alpha, uint32_t count, double *shares)
{
    double most = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        shares[i] = sim_draw_log_gamma(d, alpha);
        if (shares[i] > most)
            most = shares[i];
    }
    for (uint32_t i = 0; i < count; i++)
        sum += shares[i] = sim_exp(shares[i] - most);
    for (uint32_t i = 0; i < count; i++)
        shares[i] /= sum;
}
