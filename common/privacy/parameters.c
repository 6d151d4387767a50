#include "common/privacy/parameters.h"

#include <math.h>

static uint64_t
isqrt(uint64_t n)
{
    uint64_t r = (uint64_t)sqrt((double)n);
    while (r > 0 && r > n / r)
        r--;
    while ((r + 1) <= n / (r + 1))
        r++;
    return r;
}

uint32_t
ft_privacy_scale(uint64_t dim)
{
    uint64_t scale = FT_PRIVACY_SCALE_MIN;
    while (scale <= FT_PRIVACY_SCALE_MAX && scale * scale / 256 < dim)
        scale *= 2;
    return scale <= FT_PRIVACY_SCALE_MAX ? (uint32_t)scale : 0;
}

uint64_t
ft_privacy_delta_int_sq(uint32_t scale, uint64_t dim, uint32_t lambda)
{
    return (uint64_t)scale * scale + scale + (dim + 3) / 4 + (isqrt(dim) + 2) / 2 + (uint64_t)lambda * lambda;
}

double
ft_privacy_z_eff(uint64_t delta_int_sq, uint32_t t_min, uint32_t sigma_share)
{
    const uint64_t share_var = (uint64_t)sigma_share * sigma_share; /* at most 2^48 */
    const double noise = (double)t_min * (double)share_var - 4.0;
    return noise > 0 && delta_int_sq > 0 ? sqrt(noise / (double)delta_int_sq) : 0;
}

enum ft_status
ft_privacy_sigma_share(double z, uint64_t delta_int_sq, uint32_t t_min, uint32_t *sigma_share)
{
    if (!(z > 0) || !isfinite(z) || t_min == 0 || delta_int_sq == 0)
        return FT_ERR_ARGUMENT;
    const double least = ceil(sqrt((z * z * (double)delta_int_sq + 4) / (double)t_min));
    if (!(least <= (double)FT_PRIVACY_SHARE_MAX))
        return FT_ERR_LIMIT;
    uint32_t share = least < (double)FT_PRIVACY_SHARE_MIN ? FT_PRIVACY_SHARE_MIN : (uint32_t)least;
    while (ft_privacy_z_eff(delta_int_sq, t_min, share) < z)
        if (++share > FT_PRIVACY_SHARE_MAX)
            return FT_ERR_LIMIT;
    *sigma_share = share;
    return FT_OK;
}

double
ft_privacy_q(uint64_t q_num)
{
    return (double)q_num / (double)FT_PRIVACY_Q_ONE;
}

uint64_t
ft_privacy_q_num(double customers, double n_pub)
{
    const double q_num = floor((double)FT_PRIVACY_Q_ONE * customers / n_pub);
    if (!(q_num >= 1))
        return 1;
    return q_num >= (double)FT_PRIVACY_Q_ONE ? FT_PRIVACY_Q_ONE : (uint64_t)q_num;
}

double
ft_privacy_quant_step(double clip, uint32_t scale)
{
    return clip / ((double)scale * (1.0 - 0x1p-20));
}

enum ft_status
ft_privacy_params_check(const struct ft_privacy_params *p, struct ft_error *err)
{
    if (p->q_num < 1 || p->q_num > FT_PRIVACY_Q_ONE)
        return ft_fail(err, FT_ERR_CONFIG, "q_num is %llu, expected 1 to 4294967296",
                       (unsigned long long)p->q_num);
    if (p->dim < 1 || p->dim > FT_PRIVACY_DIM_MAX)
        return ft_fail(err, FT_ERR_CONFIG, "dim is %llu, expected 1 to %llu", (unsigned long long)p->dim,
                       (unsigned long long)FT_PRIVACY_DIM_MAX);
    if (!(p->clip >= 1e-20) || !(p->clip <= 1e20)) /* a NaN is neither */
        return ft_fail(err, FT_ERR_CONFIG, "clip is %g, expected a number above 0", p->clip);
    if (p->scale < FT_PRIVACY_SCALE_MIN || p->scale > FT_PRIVACY_SCALE_MAX || (p->scale & (p->scale - 1)) != 0)
        return ft_fail(err, FT_ERR_CONFIG, "scale is %u, expected a power of two from 4096 to 1048576", p->scale);
    if ((uint64_t)p->scale * p->scale / 256 < p->dim)
        return ft_fail(err, FT_ERR_CONFIG, "scale is %u, too coarse for %llu coordinates: at least %u is needed",
                       p->scale, (unsigned long long)p->dim, ft_privacy_scale(p->dim));
    if (p->lambda > p->scale / 4)
        return ft_fail(err, FT_ERR_CONFIG, "lambda is %u, expected 0 to scale/4 = %u", p->lambda, p->scale / 4);
    const uint64_t expected = ft_privacy_delta_int_sq(p->scale, p->dim, p->lambda);
    if (p->delta_int_sq != expected)
        return ft_fail(err, FT_ERR_CONFIG, "delta_int_sq is %llu, but it follows to be %llu",
                       (unsigned long long)p->delta_int_sq, (unsigned long long)expected);
    if (p->sigma_share < FT_PRIVACY_SHARE_MIN || p->sigma_share > FT_PRIVACY_SHARE_MAX)
        return ft_fail(err, FT_ERR_CONFIG, "sigma_share is %u, expected %u to %u", p->sigma_share,
                       FT_PRIVACY_SHARE_MIN, FT_PRIVACY_SHARE_MAX);
    if (p->t_min < 1 || p->t_min > 65535)
        return ft_fail(err, FT_ERR_CONFIG, "t_min is %u, expected 1 to 65535", p->t_min);
    if (p->m_stores < 1 || p->m_stores > FT_PRIVACY_STORES_MAX)
        return ft_fail(err, FT_ERR_CONFIG, "m_stores is %u, expected 1 to %u", p->m_stores,
                       FT_PRIVACY_STORES_MAX);
    if (p->steps < 1 || p->steps > FT_PRIVACY_STEPS_MAX)
        return ft_fail(err, FT_ERR_CONFIG, "%llu rounds, expected 1 to 4294967296", (unsigned long long)p->steps);
    const double z = ft_privacy_z_eff(p->delta_int_sq, p->t_min, p->sigma_share);
    if (!(z >= FT_PRIVACY_Z_MIN))
        return ft_fail(err, FT_ERR_CONFIG,
                       "%u shares of %u make a noise multiplier of %.3f, and below %g nothing is claimed", p->t_min,
                       p->sigma_share, z, FT_PRIVACY_Z_MIN);
    return FT_OK;
}

static double
clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

double
ft_privacy_below_share(int64_t indicator, uint32_t lambda, uint64_t q_num, double customers)
{
    const double expected = ft_privacy_q(q_num) * customers;
    if (lambda == 0 || !(expected > 0))
        return 0.5;
    return clamp(0.5 + (double)indicator / (2.0 * lambda * expected), 0, 1);
}

double
ft_privacy_next_clip(const struct ft_privacy_adapt *adapt, double clip, double below_share)
{
    return clamp(clip * exp(-adapt->rate * (below_share - adapt->quantile)), adapt->clip_min, adapt->clip_max);
}
