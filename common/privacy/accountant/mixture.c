/*
 * A customer in up to m shops, each sampling apart: the sum moves by k clips with the weights of Binomial(m, q).
 * E[r^a] and E[r^(1-a)] by the trapezoid rule in log space. Both integrands are analytic in a strip around the real
 * line and fall off like a Gaussian, so a step of z/12 is already exact to the last digits (Trefethen, Weideman,
 * "The exponentially convergent trapezoidal rule", 2014).
 */
#include "common/privacy/accountant/accountant_internal.h"

#include <math.h>

#define REACH 38.0 /* deviations: beyond, a double cannot tell the integrand from 0 */

void
ft_binomial_log_weights(uint32_t m, double q, double *out)
{
    int sign;
    for (uint32_t k = 0; k <= m; k++) {
        const double choose =
            lgamma_r(m + 1.0, &sign) - lgamma_r(k + 1.0, &sign) - lgamma_r((double)(m - k) + 1.0, &sign);
        out[k] = choose + (k > 0 ? k * log(q) : 0) + (k < m ? (double)(m - k) * log1p(-q) : 0);
    }
}

double
ft_mixture_log_ratio(const double *log_w, uint32_t m, double z, double x)
{
    double terms[FT_ACCOUNT_STORES_MAX + 1], most = -INFINITY, sum = 0;
    for (uint32_t k = 0; k <= m; k++) {
        terms[k] = log_w[k] + (2.0 * k * x - (double)k * k) / (2 * z * z);
        most = fmax(most, terms[k]);
    }
    for (uint32_t k = 0; k <= m; k++)
        sum += exp(terms[k] - most);
    return most + log(sum);
}

/* ln E[r(x)^power] for x ~ N(0, z^2), over [low, high]: a running sum about the largest term so far. */
static double
log_moment(const double *log_w, uint32_t m, double z, double power, double low, double high)
{
    const double width = high - low;
    const double points = fmin(ceil(width / (z / 12)), 4e6);
    const double dx = width / points;
    double most = -INFINITY, sum = 0;

    for (double i = 0; i <= points; i++) {
        const double x = low + i * dx;
        const double l = power * ft_mixture_log_ratio(log_w, m, z, x) - x * x / (2 * z * z);
        if (l > most) {
            sum = sum * exp(most - l) + 1;
            most = l;
        } else {
            sum += exp(l - most);
        }
    }
    return most + log(sum) + log(dx) - 0.5 * log(2 * M_PI) - log(z);
}

enum ft_status
ft_mixture_rdp(double q, double z, uint32_t m, uint32_t order, double *r)
{
    double log_w[FT_ACCOUNT_STORES_MAX + 1];
    const double a = order, low = -REACH * z - 2;

    ft_binomial_log_weights(m, q, log_w);
    const double forth = log_moment(log_w, m, z, a, low, a * m + REACH * z);
    const double back = log_moment(log_w, m, z, 1 - a, low, m + REACH * z);
    const double v = fmax(forth, back) / (a - 1);
    if (!isfinite(v))
        return FT_ERR_NONFINITE;
    *r = fmax(v, 0);
    return FT_OK;
}
