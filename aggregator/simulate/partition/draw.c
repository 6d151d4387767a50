#include "aggregator/simulate/partition/draw.h"

#include <math.h>

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

double
sim_draw_normal(struct sim_draw *d)
{
    const double u = 1 - sim_draw_uniform(d), v = sim_draw_uniform(d);
    return sqrt(-2 * ft_real_log(u)) * ft_real_cos_turn(v);
}

/* Below 1 by ln G(alpha + 1) + ln(U) / alpha. */
double
sim_draw_log_gamma(struct sim_draw *d, double alpha)
{
    const double boost = alpha < 1 ? ft_real_log(1 - sim_draw_uniform(d)) / alpha : 0;
    const double shape = (alpha < 1 ? alpha + 1 : alpha) - 1.0 / 3, scale = 1 / sqrt(9 * shape);
    for (;;) {
        const double x = sim_draw_normal(d), t = 1 + scale * x;
        if (t <= 0)
            continue;
        const double v = t * t * t, u = 1 - sim_draw_uniform(d);
        if (ft_real_log(u) < 0.5 * x * x + shape * (1 - v + ft_real_log(v)))
            return ft_real_log(shape * v) + boost;
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
        sum += shares[i] = ft_real_exp(shares[i] - most);
    for (uint32_t i = 0; i < count; i++)
        shares[i] /= sum;
}
