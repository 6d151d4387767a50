/* The least noise for an epsilon. */
#include "common/privacy/accountant/accountant_internal.h"

#include <math.h>

#define Z_MOST 1000.0

struct goal {
    struct ft_account_event event;
    double delta, target;
    enum ft_account_method method;
};

/* Epsilon at noise z; +infinity where it is beyond any number. */
static enum ft_status
epsilon_at(const struct goal *g, double z, double *epsilon)
{
    struct ft_account_event e = g->event;
    struct ft_pld_answer pld;
    enum ft_status st;

    e.z = z;
    if (g->method == FT_ACCOUNT_RDP) {
        st = ft_account_cost_rdp(&e, 1, g->delta, epsilon, NULL);
    } else {
        st = ft_pld_epsilon(&e, 1, g->delta, &pld);
        *epsilon = pld.worst + FT_ACCOUNT_SLACK;
    }
    if (st == FT_ERR_NONFINITE) {
        *epsilon = INFINITY;
        st = FT_OK;
    }
    return st;
}

/* Bisection: epsilon falls as z rises. high stays a z that is enough. */
static enum ft_status
bisect(const struct goal *g, double low, double high, double relative, double *z)
{
    enum ft_status st = FT_OK;
    double e;
    while (high - low > relative * high) {
        const double middle = low + (high - low) / 2;
        FT_TRY(epsilon_at(g, middle, &e));
        if (e <= g->target)
            high = middle;
        else
            low = middle;
    }
    *z = high;
out:
    return st;
}

/* PLD is dear: start from the interval that RDP's answer leaves, and go by secants on ln epsilon over ln z, which is
 * nearly a line. high stays a z that is enough, low one that is not. */
static enum ft_status
secants(const struct goal *g, double rdp, double *z)
{
    double low = rdp * 0.9, high = rdp, at_low, at_high;
    enum ft_status st;

    FT_TRY(epsilon_at(g, high, &at_high));
    while (!(at_high <= g->target)) {
        high = fmin(high * 1.02, Z_MOST);
        FT_TRY(epsilon_at(g, high, &at_high));
        if (high >= Z_MOST && !(at_high <= g->target))
            return FT_ERR_LIMIT;
    }
    for (;;) {
        low = fmax(low, FT_PRIVACY_Z_MIN);
        FT_TRY(epsilon_at(g, low, &at_low));
        if (!(at_low <= g->target))
            break;
        high = low;
        at_high = at_low;
        if (low <= FT_PRIVACY_Z_MIN)
            break;
        low *= 0.8;
    }
    for (int i = 0; i < 60 && high > low && high - low > 1e-5 * high; i++) {
        const double slope = (log(at_high) - log(at_low)) / (log(high) - log(low));
        double next = exp(log(high) + (log(g->target) - log(at_high)) / slope) * (1 + 3e-6);
        if (!isfinite(next) || next <= low || next >= high || i > 8)
            next = low + (high - low) / 2;
        double e;
        FT_TRY(epsilon_at(g, next, &e));
        if (e <= g->target) {
            high = next;
            at_high = e;
        } else {
            low = next;
            at_low = e;
        }
        if (high - low > 1e-5 * high && high * (1 - 8e-6) > low) { /* is the answer just below? */
            const double below = high * (1 - 8e-6);
            FT_TRY(epsilon_at(g, below, &e));
            if (!(e <= g->target))
                low = below;
            else {
                high = below;
                at_high = e;
            }
        }
    }
    *z = high;
out:
    return st;
}

enum ft_status
ft_account_noise(double q, uint64_t steps, uint32_t m, double delta, double target, enum ft_account_method method,
                 double *z)
{
    struct goal g = { { q, Z_MOST, steps, m }, delta, target, FT_ACCOUNT_RDP };
    double e, found;
    enum ft_status st;

    FT_TRY(ft_account_event_check(&g.event, NULL));
    FT_TRY(ft_account_delta_check(delta));
    if (!(target > 0) || !isfinite(target) || steps == 0)
        return FT_ERR_LIMIT;
    FT_TRY(epsilon_at(&g, Z_MOST, &e));
    if (!(e <= target)) {
        st = FT_ERR_LIMIT;
        goto out;
    }
    FT_TRY(epsilon_at(&g, FT_PRIVACY_Z_MIN, &e));
    found = FT_PRIVACY_Z_MIN;
    if (!(e <= target))
        FT_TRY(bisect(&g, FT_PRIVACY_Z_MIN, Z_MOST, 1e-10, &found));
    if (method == FT_ACCOUNT_PLD && found > FT_PRIVACY_Z_MIN) {
        g.method = FT_ACCOUNT_PLD;
        FT_TRY(secants(&g, found, &found));
    } else {
        found = fmin(ceil(found * 1e9) / 1e9, Z_MOST);
    }
    if (!isfinite(found))
        return FT_ERR_NONFINITE;
    *z = found;
out:
    return st;
}
