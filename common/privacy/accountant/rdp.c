/*
 * Renyi divergence of the sampled Gaussian at whole orders. With k = 0 and k = 1 taken out of the binomial
 * sum what is left is all positive and of the size of the answer: the textbook sum loses every digit for
 * small q.
 */
#include "common/privacy/accountant/accountant_internal.h"

#include <math.h>

/* For very many shops the large orders cost seconds and never win; to leave them out is still a bound. */
#define MIXTURE_MANY  8
#define MIXTURE_ORDER 64

#define T1(n)  n
#define T8(n)  T1(n), T1(n + 1), T1(n + 2), T1(n + 3), T1(n + 4), T1(n + 5), T1(n + 6), T1(n + 7)
#define T64(n) T8(n), T8(n + 8), T8(n + 16), T8(n + 24), T8(n + 32), T8(n + 40), T8(n + 48), T8(n + 56)
const uint16_t ft_rdp_orders[FT_RDP_ORDER_COUNT] = {
    T64(2), T64(66), T64(130), T8(194), T8(202), T8(210), T8(218), T8(226), T8(234), T8(242), 250,
    251,    252,     253,      254,     255,     256,     320,     384,     512,     768,     1024,
};

/* ln of the factorials up to `most`; lgamma_r, because lgamma writes a global. */
static void
log_factorials(uint32_t most, double *out)
{
    int sign;
    for (uint32_t k = 0; k <= most; k++)
        out[k] = lgamma_r((double)k + 1, &sign);
}

static double
log_expm1(double x)
{
    return x > 1 ? x + log1p(-exp(-x)) : log(expm1(x));
}

/* ln sum_{k=2}^{a} C(a,k) q^k (1-q)^(a-k) expm1(k(k-1)/(2 z^2)), its terms summed from the largest on. */
static double
log_excess(double q, double z, uint32_t a, const double *log_fact)
{
    const double log_q = log(q), log_1q = log1p(-q);
    double terms[FT_ACCOUNT_ORDER_MAX + 1], most = -INFINITY, sum = 0;

    for (uint32_t k = 2; k <= a; k++) {
        const double x = (double)k * (k - 1.0) / (2 * z * z);
        const double choose = log_fact[a] - log_fact[k] - log_fact[a - k];
        terms[k] = choose + k * log_q + (double)(a - k) * log_1q + log_expm1(x);
        most = fmax(most, terms[k]);
    }
    for (uint32_t k = 2; k <= a; k++)
        sum += exp(terms[k] - most);
    return most + log(sum);
}

static double
sampled(double q, double z, uint32_t a, const double *log_fact)
{
    const double l = log_excess(q, z, a, log_fact);
    return (l > 0 ? l + log1p(exp(-l)) : log1p(exp(l))) / (a - 1.0);
}

static enum ft_status
step(double q, double z, uint32_t m, uint32_t order, const double *log_fact, double *r)
{
    const uint16_t one = (uint16_t)order;
    if (m > 1 && q < 1)
        return ft_mixture_rdp(q, z, m, &one, 1, r);
    /* all m shops use the customer with q = 1: one Gaussian moved by m */
    const double v =
        q >= 1 ? (double)order * (double)m * (double)m / (2 * z * z) : sampled(q, z, order, log_fact);
    if (!isfinite(v) || v < 0)
        return FT_ERR_NONFINITE;
    *r = v;
    return FT_OK;
}

enum ft_status
ft_rdp_step(double q, double z, uint32_t m, uint32_t order, double *r)
{
    const struct ft_account_event e = { q, z, 1, m };
    double log_fact[FT_ACCOUNT_ORDER_MAX + 1];
    const enum ft_status st = ft_account_event_check(&e, NULL);

    if (st != FT_OK)
        return st;
    if (order < 2 || order > FT_ACCOUNT_ORDER_MAX)
        return FT_ERR_LIMIT;
    log_factorials(order, log_fact);
    return step(q, z, m, order, log_fact, r);
}

enum ft_status
ft_rdp_at(const struct ft_account_event *events, size_t count, uint32_t order, double *total)
{
    double log_fact[FT_ACCOUNT_ORDER_MAX + 1], sum = 0, r = 0;
    enum ft_status st;

    FT_TRY(ft_account_events_check(events, count));
    if (order < 2 || order > FT_ACCOUNT_ORDER_MAX)
        return FT_ERR_LIMIT;
    log_factorials(order, log_fact);
    for (size_t i = 0; i < count; i++) {
        if (events[i].steps == 0)
            continue;
        FT_TRY(step(events[i].q, events[i].z, events[i].m, order, log_fact, &r));
        sum += (double)events[i].steps * r;
    }
    if (!isfinite(sum))
        return FT_ERR_NONFINITE;
    *total = sum;
out:
    return st;
}

/* Add one event at all orders. */
static enum ft_status
add_event(const struct ft_account_event *e, const double *log_fact, struct ft_rdp *sum)
{
    const bool mixture = e->m > 1 && e->q < 1;
    const size_t most =
        mixture && e->m > MIXTURE_MANY ? MIXTURE_ORDER - 1 : FT_RDP_ORDER_COUNT; /* orders from 2 on */
    double r[FT_RDP_ORDER_COUNT];
    enum ft_status st = FT_OK;

    if (mixture)
        FT_TRY(ft_mixture_rdp(e->q, e->z, e->m, ft_rdp_orders, most, r));
    else
        for (size_t o = 0; o < most; o++)
            FT_TRY(step(e->q, e->z, e->m, ft_rdp_orders[o], log_fact, &r[o]));
    for (size_t o = 0; o < FT_RDP_ORDER_COUNT; o++)
        sum->total[o] += o < most ? (double)e->steps * r[o] : INFINITY;
out:
    return st;
}

enum ft_status
ft_rdp_compose(const struct ft_account_event *events, size_t count, struct ft_rdp *rdp)
{
    double log_fact[FT_ACCOUNT_ORDER_MAX + 1];
    struct ft_rdp sum = { { 0 } };
    enum ft_status st;

    FT_TRY(ft_account_events_check(events, count));
    log_factorials(FT_ACCOUNT_ORDER_MAX, log_fact);
    for (size_t i = 0; i < count; i++)
        if (events[i].steps > 0)
            FT_TRY(add_event(&events[i], log_fact, &sum));
    *rdp = sum;
out:
    return st;
}
