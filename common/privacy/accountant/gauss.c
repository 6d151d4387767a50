/* The Gaussian mechanism without sampling, exactly: Balle, Wang 2018; Dong, Roth, Su 2022. */
#include "common/privacy/accountant/accountant_internal.h"

#include <math.h>

/* Phi(mu/2 - e/mu) - exp(e) Phi(-mu/2 - e/mu); the second term in log space, since exp(e) alone overflows. */
static double
delta_at(double mu, double e)
{
    const double first = ft_normal_log_cdf(mu / 2 - e / mu);
    const double second = e + ft_normal_log_cdf(-mu / 2 - e / mu);
    return second >= first ? 0 : exp(first) * -expm1(second - first);
}

static enum ft_status
strength(double z, uint64_t steps, double *mu)
{
    const struct ft_account_event e = { 1, z, steps, 1 };
    const enum ft_status st = ft_account_event_check(&e, NULL);
    *mu = sqrt((double)steps) / z;
    return st != FT_OK ? st : steps == 0 ? FT_ERR_LIMIT : FT_OK;
}

enum ft_status
ft_gauss_delta(double z, uint64_t steps, double epsilon, double *delta)
{
    double mu;
    const enum ft_status st = strength(z, steps, &mu);
    if (st != FT_OK)
        return st;
    if (!(epsilon >= 0) || !isfinite(epsilon))
        return FT_ERR_LIMIT;
    const double v = delta_at(mu, epsilon);
    if (!isfinite(v))
        return FT_ERR_NONFINITE;
    *delta = v;
    return FT_OK;
}

enum ft_status
ft_gauss_epsilon(double z, uint64_t steps, double delta, double *epsilon)
{
    double mu, low = 0, high = 1;
    enum ft_status st;

    FT_TRY(strength(z, steps, &mu));
    FT_TRY(ft_account_delta_check(delta));
    if (delta_at(mu, 0) <= delta) {
        *epsilon = 0;
        return FT_OK;
    }
    while (delta_at(mu, high) > delta) {
        high *= 2;
        if (!(high < 1e300))
            return FT_ERR_NONFINITE;
    }
    for (int i = 0; i < 200 && high - low > 1e-14 * high; i++) {
        const double middle = low + (high - low) / 2;
        if (delta_at(mu, middle) > delta)
            low = middle;
        else
            high = middle;
    }
    *epsilon = high;
out:
    return st;
}
