#include "aggregator/simulate/audit/federation.h"

#include "common/base/alloc.h"

#include <math.h>

#define INTEGERS_LEAST 20000.0
#define INTEGERS_MOST  4e6
#define ONE_IN_MILLION 4.753424 /* deviations of the normal law */
#define FEATURES       256u

/* So many integers that one share of t_min left out is found but one time in a million, over two rounds and
 * more. */
static double
integers_for(uint32_t t_min)
{
    const double missing = 1.0 / t_min, both = 2 * ONE_IN_MILLION / missing;
    return fmin(fmax(2 * both * both, INTEGERS_LEAST), INTEGERS_MOST);
}

struct sums {
    double squares, differences, products;
};

static void
look(const int64_t *z, const int64_t *before, size_t dim, double variance, struct sums *s)
{
    for (size_t i = 0; i < dim; i++) {
        const double v = (double)z[i], d = before != NULL ? v - (double)before[i] : 0;
        s->squares += v * v / variance;
        s->differences += d * d / (2 * variance);
        s->products += i > 0 ? v * (double)z[i - 1] / variance : 0;
    }
}

static enum ft_status
rounds(const struct ft_audit_wish *wish, struct audit_federation *f, struct ft_audit_floor *out,
       struct ft_error *err)
{
    const size_t dim = audit_dim(f);
    const double share = out->claim.sigma_share, variance = out->claim.t_min * share * share;
    int64_t *before = ft_calloc(dim, sizeof *before);
    struct sums s = { 0 };
    enum ft_status st = FT_ERR_NOMEM;

    if (before == NULL)
        goto out;
    for (uint64_t r = 0; r < out->rounds; r++) {
        const int64_t *z;
        FT_TRY(audit_round(f, NULL, &z, err));
        look(z, r > 0 ? before : NULL, dim, variance, &s);
        for (size_t i = 0; i < dim; i++)
            before[i] = z[i];
        if (wish->progress != NULL)
            wish->progress(wish->progress_ctx, "noise floor", r + 1, out->rounds);
    }
    const double n = (double)out->integers, between = (double)((out->rounds - 1) * dim);
    out->variance = s.squares / n;
    out->least = audit_chi_square(n, -ONE_IN_MILLION);
    out->most = audit_chi_square(n, ONE_IN_MILLION);
    out->again = s.differences / between;
    out->related = s.products / n;
    out->related_most = ONE_IN_MILLION / sqrt(n);
    /* differences of neighbouring rounds share a round each: their mean square spreads by a factor of at most
     * sqrt(3/2) more */
    const double loose = ONE_IN_MILLION * sqrt(1.5);
    out->pass = out->variance >= out->least && out->variance <= out->most &&
                out->again >= audit_chi_square(between, -loose) &&
                out->again <= audit_chi_square(between, loose) && fabs(out->related) <= out->related_most;
out:
    ft_free(before);
    return st;
}

enum ft_status
ft_audit_noise_floor(const struct ft_audit_wish *wish, struct ft_audit_floor *out, struct ft_error *err)
{
    const uint32_t t_min = (uint32_t)ft_audit_cohort(wish).t_min;
    const double integers = integers_for(t_min);
    struct audit_federation *f = NULL;
    struct audit_setting setting = { .model = FT_MODEL_MLP,
                                     .features = FEATURES,
                                     .range = 1,
                                     .customers = wish->canaries,
                                     .rounds = wish->rounds,
                                     .learning_rate = 0.1 };
    enum ft_status st;

    setting.hidden = (uint32_t)ceil(integers / 2 / (FEATURES + 3));
    if (setting.hidden > 2000)
        setting.hidden = 2000;
    *out = (struct ft_audit_floor){ 0 };
    FT_TRY(audit_open(wish, &setting, &f, err));
    FT_TRY(audit_claim(f, wish->rounds, &out->claim));
    out->rounds = (uint64_t)fmax(2, ceil(integers / (double)audit_dim(f)));
    out->integers = out->rounds * audit_dim(f);
    FT_TRY(rounds(wish, f, out, err));
out:
    audit_close(f);
    return st;
}
