/*
 * Integer noise. The law of a discrete Gaussian and its whole shifts is known without approximation: sums of
 * exp(-(x - s)^2 / (2 sigma^2)) over all integers do not depend on a whole s, so Renyi divergences at whole orders
 * equal the continuous ones, and delta is two tails (Canonne, Kamath, Steinke 2020, theorem 7).
 */
#include "common/privacy/accountant/accountant_internal.h"

#include <math.h>

#define SIGMA_MAX 1e6 /* of the direct sum: 80 million terms at most */

static bool
positive(double v)
{
    return v > 0 && isfinite(v);
}

enum ft_status
ft_dgauss_rdp(double q, double sigma, uint64_t shift, uint32_t order, double *r)
{
    if (!positive(sigma) || shift == 0)
        return FT_ERR_LIMIT;
    return ft_rdp_step(q, sigma / (double)shift, 1, order, r);
}

/* Sum of exp(-x^2 / (2 sigma^2)) over integers x > above, smallest terms first. */
static double
tail_weight(double sigma, double above)
{
    const double last = ceil(40 * sigma);
    const double first = fmax(floor(above) + 1, -last);
    double sum = 0;
    for (double x = last; x >= first; x--)
        sum += exp(-x * x / (2 * sigma * sigma));
    return sum;
}

enum ft_status
ft_dgauss_delta(double sigma, uint64_t shift, double epsilon, double *delta)
{
    if (!positive(sigma) || sigma > SIGMA_MAX || shift == 0 || !(epsilon >= 0) || !(epsilon < 700))
        return FT_ERR_LIMIT;
    const double s = (double)shift, middle = epsilon * sigma * sigma / s;
    const double all = tail_weight(sigma, -INFINITY);
    const double v = (tail_weight(sigma, middle - s / 2) - exp(epsilon) * tail_weight(sigma, middle + s / 2)) / all;
    if (!isfinite(v))
        return FT_ERR_NONFINITE;
    *delta = fmax(v, 0);
    return FT_OK;
}

enum ft_status
ft_ddg_tau(double sigma_share, uint32_t shares, double *tau)
{
    double sum = 0;
    if (!positive(sigma_share) || shares == 0)
        return FT_ERR_LIMIT;
    for (uint32_t k = 1; k < shares; k++)
        sum += exp(-2 * M_PI * M_PI * sigma_share * sigma_share * k / (k + 1.0));
    *tau = 10 * sum;
    return FT_OK;
}

enum ft_status
ft_ddg_rdp(double sigma_share, uint32_t shares, double l2, uint64_t dim, uint32_t order, double *r)
{
    double tau = 0;
    const enum ft_status st = ft_ddg_tau(sigma_share, shares, &tau);

    if (st != FT_OK)
        return st;
    if (!positive(l2) || dim == 0 || order < 2)
        return FT_ERR_LIMIT;
    const double d = (double)dim, deviation = sqrt((double)shares) * sigma_share;
    const double base = l2 * l2 / (deviation * deviation), l1 = sqrt(d) * l2;
    const double one = base + tau * d / 2;
    const double two = base + 2 * l1 / deviation * tau + tau * tau * d;
    const double three = (l2 / deviation + tau * sqrt(d)) * (l2 / deviation + tau * sqrt(d));
    const double v = order * fmin(one, fmin(two, three)) / 2;
    if (!isfinite(v))
        return FT_ERR_NONFINITE;
    *r = v;
    return FT_OK;
}

enum ft_status
ft_skellam_rdp(double variance, double l2_squared, double l1, uint32_t order, double *r)
{
    if (!positive(variance) || !positive(l2_squared) || !positive(l1) || order < 2)
        return FT_ERR_LIMIT;
    const double a = order;
    const double extra = fmin(((2 * a - 1) * l2_squared + 6 * l1) / (4 * variance * variance), 3 * l1 / (2 * variance));
    const double v = a * l2_squared / (2 * variance) + extra;
    if (!isfinite(v))
        return FT_ERR_NONFINITE;
    *r = v;
    return FT_OK;
}

enum ft_status
ft_rounded_l2_bound(double scale, uint64_t dim, double *bound)
{
    if (!positive(scale) || dim == 0)
        return FT_ERR_LIMIT;
    const double d = (double)dim, root = sqrt(d);
    const double v = fmin(scale * scale + d / 4 + scale + root / 2, (scale + root) * (scale + root));
    if (!isfinite(v))
        return FT_ERR_NONFINITE;
    *bound = sqrt(v);
    return FT_OK;
}
