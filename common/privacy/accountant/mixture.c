/*
 * A customer in up to m shops, each sampling apart: the sum moves by k clips with the weights of Binomial(m,
 * q). E[r^a] and E[r^(1-a)] by the trapezoid rule in log space. Both integrands are analytic in a strip
 * around the real line and fall off like a Gaussian, so a step of z/12 is already exact to the last digits
 * (Trefethen, Weideman, "The exponentially convergent trapezoidal rule", 2014).
 */
#include "common/privacy/accountant/accountant_internal.h"

#include "common/base/alloc.h"
#include <math.h>

#define NOTHING                                                                                              \
    60.0 /* e^-60 of the largest term: with every point of a grid such, still below the last digit */
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

/* ln r on a grid of step z/12 from -REACH z - 2 on. */
struct grid {
    double low, dx;
    size_t points;
    double *log_ratio;
};

static enum ft_status
grid_make(double q, double z, uint32_t m, uint32_t order, struct grid *g)
{
    double log_w[FT_ACCOUNT_STORES_MAX + 1];

    g->low = -REACH * z - 2;
    g->dx = z / 12;
    g->points = (size_t)ceil(((double)order * m + REACH * z - g->low) / g->dx) + 1;
    g->log_ratio = ft_calloc(g->points, sizeof *g->log_ratio);
    if (g->log_ratio == NULL)
        return FT_ERR_NOMEM;
    ft_binomial_log_weights(m, q, log_w);
    for (size_t i = 0; i < g->points; i++)
        g->log_ratio[i] = ft_mixture_log_ratio(log_w, m, z, g->low + (double)i * g->dx);
    return FT_OK;
}

/* ln E[r(x)^power] for x ~ N(0, z^2) up to `high`: a running sum about the largest term so far. */
static double
log_moment(const struct grid *g, double z, double power, double high)
{
    const double wanted = ceil((high - g->low) / g->dx) + 1;
    const size_t points = wanted < (double)g->points ? (size_t)wanted : g->points;
    double most = -INFINITY, sum = 0;

    for (size_t i = 0; i < points; i++) {
        const double x = g->low + (double)i * g->dx;
        const double l = power * g->log_ratio[i] - x * x / (2 * z * z);
        if (l > most) {
            sum = sum * exp(most - l) + 1;
            most = l;
        } else if (l > most - NOTHING) {
            sum += exp(l - most);
        }
    }
    return most + log(sum) + log(g->dx) - 0.5 * log(2 * M_PI) - log(z);
}

enum ft_status
ft_mixture_rdp(double q, double z, uint32_t m, const uint16_t *orders, size_t count, double *r)
{
    struct grid g = { 0 };
    uint32_t most = 0;
    enum ft_status st;

    for (size_t o = 0; o < count; o++)
        most = orders[o] > most ? orders[o] : most;
    FT_TRY(grid_make(q, z, m, most, &g));
    for (size_t o = 0; o < count; o++) {
        const double a = orders[o];
        const double forth = log_moment(&g, z, a, a * m + REACH * z);
        const double back = log_moment(&g, z, 1 - a, m + REACH * z);
        const double v = fmax(forth, back) / (a - 1);
        if (!isfinite(v)) {
            st = FT_ERR_NONFINITE;
            goto out;
        }
        r[o] = fmax(v, 0);
    }
out:
    ft_free(g.log_ratio);
    return st;
}
