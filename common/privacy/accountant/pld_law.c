/*
 * The privacy loss of one step, put on a grid. P is what is released with the customer, a mixture of N(k, z^2), and
 * Q = N(0, z^2) without; l(x) = ln(P/Q) rises with x. The mass of every cell is shared between its two ends so that both
 * its P-mass and its Q-mass stay what they are ("connect the dots"), which is never below the truth.
 */
#include "common/privacy/accountant/accountant_internal.h"

#include "common/base/alloc.h"
#include <math.h>
#include <string.h>

#define REACH     13.4 /* deviations covered: 3e-41 of the mass lies outside */
#define CELLS_MAX ((double)(1 << 23))
#define SAMPLES   4000

/* The mixture, ready to be asked. */
struct mixture {
    double z, q;
    uint32_t m;
    double log_w[FT_ACCOUNT_STORES_MAX + 1], w[FT_ACCOUNT_STORES_MAX + 1];
};

static struct mixture
mixture_of(const struct ft_account_event *e)
{
    struct mixture mix = { .z = e->z, .q = e->q, .m = e->m };
    if (e->q >= 1) { /* every shop uses the customer: one Gaussian moved by m */
        mix.z = e->z / e->m;
        mix.m = 1;
        mix.log_w[0] = -INFINITY;
        mix.w[1] = 1;
        return mix;
    }
    ft_binomial_log_weights(mix.m, mix.q, mix.log_w);
    for (uint32_t k = 0; k <= mix.m; k++)
        mix.w[k] = exp(mix.log_w[k]);
    return mix;
}

static double
loss_at(const struct mixture *mix, double x)
{
    if (mix->q >= 1)
        return (2 * x - 1) / (2 * mix->z * mix->z);
    return ft_mixture_log_ratio(mix->log_w, mix->m, mix->z, x);
}

/* x with loss l, given some x before it: closed for m = 1; else Newton's method, which on a convex rising function
 * comes down to the root from the right after at most one jump over it. */
static double
place_of(const struct mixture *mix, double l, double before, double last)
{
    const double z2 = mix->z * mix->z, q = mix->q;
    if (mix->m == 1) {
        if (q >= 1)
            return z2 * l + 0.5;
        if (!(l > log1p(-q)))
            return -INFINITY;
        const double excess = l > 1 ? l + log1p((q - 1) * exp(-l)) : log(expm1(l) + q);
        return isnan(excess) ? -INFINITY : z2 * (excess - log(q)) + 0.5;
    }
    if (!(l > mix->log_w[0]))
        return -INFINITY;
    double x = fmax(before, -REACH * mix->z);
    for (int i = 0; i < 200; i++) {
        double top = -INFINITY, sum = 0, slope = 0;
        for (uint32_t k = 0; k <= mix->m; k++)
            top = fmax(top, mix->log_w[k] + (2.0 * k * x - (double)k * k) / (2 * z2));
        for (uint32_t k = 0; k <= mix->m; k++) {
            const double term = exp(mix->log_w[k] + (2.0 * k * x - (double)k * k) / (2 * z2) - top);
            sum += term;
            slope += k * term;
        }
        const double next = x + (l - top - log(sum)) * z2 * sum / slope;
        if (!isfinite(next) || next > last + 1) {
            x = last + 1;
            continue;
        }
        const bool done = fabs(next - x) <= 1e-13 * (1 + fabs(x));
        x = next;
        if (done)
            break;
    }
    return x;
}

void
ft_pld_spread(const struct ft_account_event *e, double *deviation, double *low, double *high)
{
    const struct mixture mix = mixture_of(e);
    const double from = -REACH * mix.z, to = mix.m + REACH * mix.z, dx = (to - from) / SAMPLES;
    double mass = 0, mean = 0, square = 0;

    *low = loss_at(&mix, from);
    *high = loss_at(&mix, to);
    for (int i = 0; i <= SAMPLES; i++) {
        const double x = from + i * dx, l = loss_at(&mix, x);
        const double p = exp(l - x * x / (2 * mix.z * mix.z)); /* P is Q times e^l */
        mass += p;
        mean += p * l;
        square += p * l * l;
    }
    mean /= mass;
    *deviation = sqrt(fmax(square / mass - mean * mean, 0));
}

/* A boundary between cells: the normal tails of all components there. */
struct edge {
    double u[FT_ACCOUNT_STORES_MAX + 1], tail[FT_ACCOUNT_STORES_MAX + 1];
};

static void
edge_at(const struct mixture *mix, double x, struct edge *edge)
{
    for (uint32_t k = 0; k <= mix->m; k++) {
        edge->u[k] = (x - k) / mix->z;
        edge->tail[k] = mix->w[k] > 0 || k == 0 ? ft_normal_tail(edge->u[k]) : 0;
    }
}

/* Mass of component k between two edges, in the nearer tail. */
static double
between(const struct edge *a, const struct edge *b, uint32_t k)
{
    if (a->u[k] >= 0)
        return fmax(a->tail[k] - b->tail[k], 0);
    if (b->u[k] <= 0)
        return fmax(b->tail[k] - a->tail[k], 0);
    return 1 - a->tail[k] - b->tail[k];
}

/* Mass of component k below or above an edge. */
static double
beyond(const struct edge *e, uint32_t k, bool above)
{
    return (e->u[k] >= 0) == above ? e->tail[k] : 1 - e->tail[k];
}

/* Share of a cell's mass that goes to its upper end, for a loss of `l` between the two ends. */
static double
upper_share(double lower_end, double l, double step)
{
    const double f = expm1(lower_end - l) / expm1(-step);
    return f >= 0 ? fmin(f, 1) : isnan(f) ? 1 : 0;
}

static enum ft_status
law_init(struct ft_pld_law *law, size_t count, int64_t first)
{
    *law = (struct ft_pld_law){ .mass = ft_calloc(count, sizeof *law->mass), .count = count, .first = first };
    return law->mass != NULL ? FT_OK : FT_ERR_NOMEM;
}

void
ft_pld_event_clear(struct ft_pld_event *e)
{
    ft_free(e->law[0].mass);
    ft_free(e->law[1].mass);
    *e = (struct ft_pld_event){ 0 };
}

static double
weighted_beyond(const struct mixture *mix, const struct edge *e, bool above)
{
    double mass = 0;
    for (uint32_t k = 0; k <= mix->m; k++)
        mass += mix->w[k] > 0 ? mix->w[k] * beyond(e, k, above) : 0;
    return mass;
}

enum ft_status
ft_pld_event_make(const struct ft_account_event *e, double step, struct ft_pld_event *out)
{
    const struct mixture mix = mixture_of(e);
    const double x_first = -REACH * mix.z, x_last = mix.m + REACH * mix.z;
    const double from = floor(loss_at(&mix, x_first) / step), to = ceil(loss_at(&mix, x_last) / step);
    struct ft_pld_event made = { .steps = e->steps };
    struct edge edges[2];
    enum ft_status st;

    if (!isfinite(from) || !isfinite(to))
        return FT_ERR_NONFINITE;
    if (to - from > CELLS_MAX || fabs(from) > 1e15)
        return FT_ERR_LIMIT;
    const size_t cells = to > from ? (size_t)(to - from) : 1;
    FT_TRY(law_init(&made.law[0], cells + 1, (int64_t)from));
    FT_TRY(law_init(&made.law[1], cells + 1, -((int64_t)from + (int64_t)cells)));

    double x = place_of(&mix, from * step, x_first, x_last);
    edge_at(&mix, x, &edges[0]);
    made.law[0].mass[0] += weighted_beyond(&mix, &edges[0], false);
    made.law[1].infinite = beyond(&edges[0], 0, false);
    for (size_t j = 0; j < cells; j++) {
        const double g = (from + (double)j) * step;
        const struct edge *left = &edges[j % 2];
        struct edge *right = &edges[(j + 1) % 2];
        x = fmax(place_of(&mix, g + step, x, x_last), x);
        edge_at(&mix, x, right);
        double p = 0;
        for (uint32_t k = 0; k <= mix.m; k++)
            p += mix.w[k] > 0 ? mix.w[k] * between(left, right, k) : 0;
        const double r = between(left, right, 0);
        if (p > 0) {
            const double up = p * upper_share(g, log(p / r), step);
            made.law[0].mass[j + 1] += up;
            made.law[0].mass[j] += p - up;
        }
        if (r > 0) {
            const double up = r * upper_share(-(g + step), log(r / p), step);
            made.law[1].mass[cells - j] += up;
            made.law[1].mass[cells - j - 1] += r - up;
        }
    }
    made.law[0].infinite = weighted_beyond(&mix, &edges[cells % 2], true);
    made.law[1].mass[0] += beyond(&edges[cells % 2], 0, true);
    *out = made;
    return FT_OK;
out:
    ft_pld_event_clear(&made);
    return st;
}
