#include "common/secure_sum/params.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>

#define GRAPH_K_MAX 1024u /* beyond this many holders the graph profile is no gain over the classical one */

static const double LN2 = 0.693147180559945309417;

struct ft_ss_rules
ft_ss_rules_of(const struct ft_ss_descriptor *d)
{
    return (struct ft_ss_rules){ .n_min = d->n_min,
                                 .n_cap = d->n_cap,
                                 .h_min = d->h_min,
                                 .corrupted = d->corrupted,
                                 .drop_permille = d->drop_permille,
                                 .sigma = d->sigma,
                                 .eta = d->eta };
}

uint32_t
ft_ss_dropouts_max(uint32_t n, uint16_t drop_permille)
{
    return (uint32_t)((uint64_t)n * drop_permille / 1000);
}

static double
ln_factorial(uint32_t n)
{
    int sign;
    return lgamma_r((double)n + 1.0, &sign);
}

/* ln C(n, k) for 0 <= k <= n. */
static double
ln_choose(uint32_t n, uint32_t k)
{
    return ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
}

/* ln(e^a + e^b) */
static double
ln_add(double a, double b)
{
    const double high = a > b ? a : b, low = a > b ? b : a;
    return isinf(low) ? high : high + log1p(exp(low - high));
}

/* ln(p / 2^64) and ln(1 - p / 2^64). */
static double
ln_p(uint64_t p)
{
    return p == 0 ? -INFINITY : log(ldexp((double)p, -64));
}

static double
ln_not_p(uint64_t p)
{
    return p < (uint64_t)1 << 63 ? log1p(-ldexp((double)p, -64)) : log(ldexp((double)(0 - p), -64));
}

double
ft_ss_ln_hypergeometric_tail(uint32_t total, uint32_t bad, uint32_t drawn, int64_t at_least)
{
    const uint32_t good = total - bad;
    const uint32_t most = bad < drawn ? bad : drawn;
    const uint32_t least = drawn > good ? drawn - good : 0;
    uint32_t from = least;
    double sum = -INFINITY, all;

    assert(bad <= total && drawn <= total);
    if (at_least <= (int64_t)least)
        return 0.0; /* certain */
    if (at_least > (int64_t)most)
        return -INFINITY;
    from = (uint32_t)at_least;
    all = ln_choose(total, drawn);
    for (uint32_t i = from; i <= most; i++)
        sum = ln_add(sum, ln_choose(bad, i) + ln_choose(good, drawn - i) - all);
    return sum;
}

double
ft_ss_ln_binomial_tail(uint32_t trials, uint64_t p, int64_t at_least)
{
    const double yes = ln_p(p), no = ln_not_p(p);
    double sum = -INFINITY;
    if (at_least <= 0)
        return 0.0;
    for (int64_t i = at_least; i <= (int64_t)trials; i++) {
        const double misses = (double)(trials - i);
        sum =
            ln_add(sum, ln_choose(trials, (uint32_t)i) + (double)i * yes + (misses > 0 ? misses * no : 0.0));
    }
    return sum;
}

double
ft_ss_ln_disconnected(uint32_t m, uint64_t p)
{
    const double no = ln_not_p(p);
    double sum = -INFINITY;
    for (uint32_t s = 1; s <= m / 2; s++)
        sum = ln_add(sum, ln_choose(m, s) + (double)s * (double)(m - s) * no);
    return sum;
}

/* A cohort's derived numbers. */
struct cohort {
    uint32_t n, dropouts, corrupted, honest, quorum;
};

/* P1 and P2, alike for both profiles and both sides. */
static enum ft_status
cohort_of(const struct ft_ss_rules *rules, uint32_t n, struct cohort *out, struct ft_error *err)
{
    const uint32_t f = rules->corrupted, d = ft_ss_dropouts_max(n, rules->drop_permille);
    if (n < rules->n_min || n > rules->n_cap)
        return ft_fail(err, FT_ERR_COHORT, "P1: a cohort of %u is outside %u .. %u", n, rules->n_min,
                       rules->n_cap);
    if (n < 2 || n > FT_SS_COHORT_MAX)
        return ft_fail(err, FT_ERR_COHORT, "P1: a cohort of %u is outside 2 .. %u", n, FT_SS_COHORT_MAX);
    if (f >= n || d >= n - f || n - f - d < rules->h_min || n - f - d < 2)
        return ft_fail(
            err, FT_ERR_COHORT,
            "P1: of %u clients, %u may drop out and %u collude; fewer than %u honest ones are certain", n, d,
            f, rules->h_min < 2 ? 2 : rules->h_min);
    *out = (struct cohort){
        .n = n, .dropouts = d, .corrupted = f, .honest = n - f - d, .quorum = (n + f) / 2 + 1
    };
    if (out->quorum > n - d)
        return ft_fail(err, FT_ERR_COHORT,
                       "P2: the quorum %u of %u clients exceeds the %u that stay when %u drop out",
                       out->quorum, n, n - d, d);
    return FT_OK;
}

static uint16_t
classical_threshold(const struct cohort *c)
{
    const uint32_t t = (c->n - 1 + c->corrupted) / 2 + 1;
    return (uint16_t)(t < 2 ? 2 : t);
}

/* P3's privacy line of the graph profile: ln of n Pr[Hyp(n-1, F, k) >= 2t-k]. */
static double
ln_both_secrets(const struct cohort *c, uint32_t k, uint32_t t)
{
    return log(c->n) + ft_ss_ln_hypergeometric_tail(c->n - 1, c->corrupted, k, 2 * (int64_t)t - k);
}

/* P3's survival line: ln of n Pr[Hyp(n-1, D, k) > k-t]. */
static double
ln_holders_lost(const struct cohort *c, uint32_t k, uint32_t t)
{
    return log(c->n) + ft_ss_ln_hypergeometric_tail(c->n - 1, c->dropouts, k, (int64_t)k - t + 1);
}

/* P4. With m = h - D below 2 its sum is empty and would admit p = 0: no mask between any two clients. */
static bool
stays_connected(const struct cohort *c, uint64_t p, double ln_limit)
{
    return c->honest >= c->dropouts + 2 && ft_ss_ln_disconnected(c->honest - c->dropouts, p) <= ln_limit;
}

static double
ln_escrow_overflow(const struct cohort *c, uint64_t p, uint32_t e_max)
{
    return log(c->n) + ft_ss_ln_binomial_tail(c->n - 1, p, (int64_t)e_max + 1);
}

/* The least k that admits a t, and for it the least t that meets the privacy line. */
static bool
graph_choose_shares(const struct cohort *c, double ln_private, double ln_alive, struct ft_ss_params *out)
{
    const uint32_t k_end = c->n - 1 < GRAPH_K_MAX ? c->n - 1 : GRAPH_K_MAX;
    for (uint32_t k = 2; k <= k_end; k++) {
        uint32_t low = 2, high = k + 1; /* least private t in low .. high; k + 1: none */
        while (low < high) {
            const uint32_t t = low + (high - low) / 2;
            if (ln_both_secrets(c, k, t) <= ln_private)
                high = t;
            else
                low = t + 1;
        }
        if (low <= k && ln_holders_lost(c, k, low) <= ln_alive) {
            out->k = (uint16_t)k;
            out->t = (uint16_t)low;
            return true;
        }
    }
    return false;
}

static enum ft_status
graph_choose(const struct cohort *c, unsigned sigma, unsigned eta, struct ft_ss_params *out,
             struct ft_error *err)
{
    const double ln_connected = -(double)(sigma + 2) * LN2;
    uint64_t low = 0, high = UINT64_MAX - 1;
    uint32_t e_low = 0, e_high = c->n - 1;

    if (!graph_choose_shares(c, -(double)(sigma + 1) * LN2, -(double)eta * LN2, out))
        return ft_fail(err, FT_ERR_COHORT,
                       "P3: no number of share holders up to %u is safe for %u clients, %u colluding and %u "
                       "dropping out",
                       GRAPH_K_MAX, c->n, c->corrupted, c->dropouts);
    if (!stays_connected(c, high, ln_connected))
        return ft_fail(err, FT_ERR_COHORT,
                       "P4: no edge probability keeps %u clients connected when %u drop out", c->n,
                       c->dropouts);
    while (high - low > 1) {
        const uint64_t p = low + (high - low) / 2;
        if (stays_connected(c, p, ln_connected))
            high = p;
        else
            low = p;
    }
    out->p = high;
    while (e_low < e_high) {
        const uint32_t e = e_low + (e_high - e_low) / 2;
        if (ln_escrow_overflow(c, out->p, e) <= -(double)sigma * LN2)
            e_high = e;
        else
            e_low = e + 1;
    }
    out->e_max = (uint16_t)e_low;
    return FT_OK;
}

enum ft_status
ft_ss_params_choose(const struct ft_ss_rules *rules, uint32_t n, enum ft_ss_profile profile,
                    struct ft_ss_params *out, struct ft_error *err)
{
    struct cohort c;
    struct ft_ss_params chosen = { 0 };
    enum ft_status st = cohort_of(rules, n, &c, err);

    if (st != FT_OK)
        return st;
    chosen.q = c.quorum;
    if (profile == FT_SS_CLASSICAL) {
        chosen.k = (uint16_t)(n - 1);
        chosen.t = classical_threshold(&c);
        chosen.p = FT_SS_P_CLASSICAL;
        chosen.e_max = (uint16_t)(n - 1);
        if (chosen.t > chosen.k || chosen.t > n - c.dropouts)
            return ft_fail(err, FT_ERR_COHORT, "P3: the threshold %u of %u clients exceeds the %u that stay",
                           chosen.t, n, n - c.dropouts < chosen.k ? n - c.dropouts : chosen.k);
    } else {
        if (n <= FT_SS_CLASSICAL_ONLY_UPTO)
            return ft_fail(err, FT_ERR_COHORT,
                           "a cohort of %u is too small for the graph profile; it starts above %u", n,
                           FT_SS_CLASSICAL_ONLY_UPTO);
        st = graph_choose(&c, rules->sigma + 1u, rules->eta, &chosen, err);
        if (st != FT_OK)
            return st;
    }
    *out = chosen;
    return FT_OK;
}

static enum ft_status
check_classical(const struct cohort *c, const struct ft_ss_params *params, struct ft_error *err)
{
    if (params->k != c->n - 1)
        return ft_fail(err, FT_ERR_VERIFY, "P3: k is %u, the classical profile has %u", params->k, c->n - 1);
    if (params->t != classical_threshold(c) || params->t > c->n - c->dropouts)
        return ft_fail(err, FT_ERR_VERIFY, "P3: t is %u, the classical profile has %u, at most %u", params->t,
                       classical_threshold(c), c->n - c->dropouts);
    if (params->e_max != c->n - 1)
        return ft_fail(err, FT_ERR_VERIFY, "P5: e_max is %u, the classical profile has %u", params->e_max,
                       c->n - 1);
    return FT_OK;
}

static enum ft_status
check_graph(const struct cohort *c, unsigned sigma, const struct ft_ss_params *params, struct ft_error *err)
{
    if (!(ln_both_secrets(c, params->k, params->t) <= -(double)(sigma + 1) * LN2)) /* a NaN must not pass */
        return ft_fail(err, FT_ERR_VERIFY, "P3: with k %u and t %u both secrets of a client could be rebuilt",
                       params->k, params->t);
    if (!stays_connected(c, params->p, -(double)(sigma + 2) * LN2))
        return ft_fail(err, FT_ERR_VERIFY, "P4: the edge probability %.3g is too low for %u clients",
                       ldexp((double)params->p, -64), c->n);
    if (!(ln_escrow_overflow(c, params->p, params->e_max) <= -(double)sigma * LN2))
        return ft_fail(err, FT_ERR_VERIFY, "P5: %u escrow slots are too few for edge probability %.3g",
                       params->e_max, ldexp((double)params->p, -64));
    return FT_OK;
}

enum ft_status
ft_ss_params_check(const struct ft_ss_rules *rules, uint32_t n, const struct ft_ss_params *params,
                   const struct ft_ss_params_policy *policy, struct ft_error *err)
{
    struct cohort c;
    const enum ft_status st = cohort_of(rules, n, &c, err);

    if (st != FT_OK)
        return st;
    if (params->t < 2 || params->t > params->k || params->k >= n)
        return ft_fail(err, FT_ERR_VERIFY, "P3: 2 <= t %u <= k %u < n %u does not hold", params->t, params->k,
                       n);
    if (params->q != c.quorum)
        return ft_fail(err, FT_ERR_VERIFY, "P2: q is %u, it must be %u", params->q, c.quorum);
    if (params->p == FT_SS_P_CLASSICAL)
        return check_classical(&c, params, err);
    if (!policy->graph_allowed)
        return ft_fail(err, FT_ERR_REFUSED, "the graph profile is off in this client's policy");
    if (n <= FT_SS_CLASSICAL_ONLY_UPTO || n <= policy->graph_min)
        return ft_fail(
            err, FT_ERR_REFUSED, "the graph profile needs more than %u clients, this cohort has %u",
            policy->graph_min < FT_SS_CLASSICAL_ONLY_UPTO ? FT_SS_CLASSICAL_ONLY_UPTO : policy->graph_min, n);
    if (params->e_max >= n)
        return ft_fail(err, FT_ERR_VERIFY, "P5: e_max is %u for %u clients", params->e_max, n);
    return check_graph(&c, rules->sigma, params, err);
}
