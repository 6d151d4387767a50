/* From Renyi divergences to epsilon at a delta. */
#include "common/privacy/accountant/accountant_internal.h"

#include <math.h>

static double
convert(double r, double a, double delta, enum ft_rdp_conversion conversion)
{
    if (conversion == FT_RDP_MIRONOV2017)
        return r - log(delta) / (a - 1);
    return r + log1p(-1 / a) - (log(delta) + log(a)) / (a - 1);
}

enum ft_status
ft_rdp_epsilon(const struct ft_rdp *rdp, double delta, enum ft_rdp_conversion conversion, double *epsilon,
               uint32_t *order)
{
    const enum ft_status st = ft_account_delta_check(delta);
    double best = INFINITY;
    uint32_t at = 0;

    if (st != FT_OK)
        return st;
    for (size_t o = 0; o < FT_RDP_ORDER_COUNT; o++) {
        const double e = convert(rdp->total[o], ft_rdp_orders[o], delta, conversion);
        if (isnan(e))
            return FT_ERR_NONFINITE;
        if (e < best) {
            best = e;
            at = ft_rdp_orders[o];
        }
    }
    if (!isfinite(best))
        return FT_ERR_NONFINITE;
    *epsilon = fmax(best, 0);
    if (order != NULL)
        *order = at;
    return FT_OK;
}

enum ft_status
ft_account_filter(double epsilon, double delta, uint32_t order, double *rdp_budget)
{
    const double a = order;
    const enum ft_status st = ft_account_delta_check(delta);

    if (st != FT_OK)
        return st;
    if (!(epsilon > 0) || !isfinite(epsilon) || order < 2 || order > FT_ACCOUNT_ORDER_MAX)
        return FT_ERR_LIMIT;
    *rdp_budget = epsilon - log1p(-1 / a) + (log(delta) + log(a)) / (a - 1);
    return FT_OK;
}

/* The order that serves most: the one at which a Gaussian that uses epsilon up has its least epsilon. For R(a) = rho a
 * the budget divided by a is the rho that fits. */
uint32_t
ft_account_filter_order(double epsilon, double delta)
{
    double best = -INFINITY, budget;
    uint32_t at = 0;
    for (size_t o = 0; o < FT_RDP_ORDER_COUNT; o++) {
        const uint32_t a = ft_rdp_orders[o];
        if (ft_account_filter(epsilon, delta, a, &budget) == FT_OK && budget / a > best) {
            best = budget / a;
            at = a;
        }
    }
    return at;
}

static double
zcdp_at(double rho, double delta, double log_excess_order)
{
    const double a = 1 + exp(log_excess_order);
    return convert(rho * a, a, delta, FT_RDP_CKS2020);
}

enum ft_status
ft_zcdp_epsilon(double rho, double delta, double *epsilon)
{
    const double ratio = 0.6180339887498949;
    const enum ft_status st = ft_account_delta_check(delta);

    if (st != FT_OK)
        return st;
    if (!(rho > 0) || !(rho <= 1e6))
        return FT_ERR_LIMIT;
    double low = log(1e-6), high = log(1e9); /* ln(order - 1); the function falls, then rises */
    double x1 = high - ratio * (high - low), x2 = low + ratio * (high - low);
    double f1 = zcdp_at(rho, delta, x1), f2 = zcdp_at(rho, delta, x2);
    for (int i = 0; i < 200 && high - low > 1e-9; i++) {
        if (f1 < f2) {
            high = x2;
            x2 = x1;
            f2 = f1;
            x1 = high - ratio * (high - low);
            f1 = zcdp_at(rho, delta, x1);
        } else {
            low = x1;
            x1 = x2;
            f1 = f2;
            x2 = low + ratio * (high - low);
            f2 = zcdp_at(rho, delta, x2);
        }
    }
    const double e = fmin(f1, f2);
    if (!isfinite(e))
        return FT_ERR_NONFINITE;
    *epsilon = fmax(e, 0);
    return FT_OK;
}

enum ft_status
ft_zcdp_epsilon_simple(double rho, double delta, double *epsilon)
{
    const enum ft_status st = ft_account_delta_check(delta);
    if (st != FT_OK)
        return st;
    if (!(rho > 0) || !(rho <= 1e6))
        return FT_ERR_LIMIT;
    *epsilon = rho + 2 * sqrt(rho * -log(delta));
    return FT_OK;
}
