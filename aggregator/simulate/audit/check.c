#include "aggregator/simulate/audit/audit.h"

#include "common/privacy/parameters.h"

#define PEOPLE_MOST 4096.0 /* of any of the tests */

struct ft_audit_cohort
ft_audit_cohort(const struct ft_audit_wish *w)
{
    const uint32_t permille = (w->dropouts * 1000 + w->shops - 1) / w->shops, n_min = w->shops - w->dropouts;
    return (struct ft_audit_cohort){ n_min, permille,
                                     (int64_t)n_min - n_min * permille / 1000 - w->corrupted };
}

enum ft_status
ft_audit_check(const struct ft_audit_wish *w, struct ft_error *err)
{
    const double delta_most = 1 / (10 * PEOPLE_MOST);

    if (w->shops < 4 || w->shops > 1000)
        return ft_fail(err, FT_ERR_ARGUMENT, "--shops is %u, expected 4 to 1000", w->shops);
    if (w->corrupted < 1)
        return ft_fail(err, FT_ERR_ARGUMENT,
                       "--corrupted is 0: every shop knows its own share, so at least 1");
    if (w->dropouts >= w->shops)
        return ft_fail(err, FT_ERR_ARGUMENT, "--dropouts is %u of %u shops", w->dropouts, w->shops);
    const int64_t honest = ft_audit_cohort(w).t_min;
    if (honest < 2)
        return ft_fail(
            err, FT_ERR_ARGUMENT,
            "%u shops less %u dropouts less %u corrupted leave %lld shares to credit, expected at least 2",
            w->shops, w->dropouts, w->corrupted, (long long)honest);
    if ((w->shops + w->corrupted) / 2 + 1 > w->shops - w->dropouts)
        return ft_fail(
            err, FT_ERR_ARGUMENT,
            "%u dropouts of %u shops leave no quorum of %u beside %u corrupted: a secure sum would not close",
            w->dropouts, w->shops, (w->shops + w->corrupted) / 2 + 1, w->corrupted);
    if ((w->epsilon > 0) == (w->noise > 0))
        return ft_fail(err, FT_ERR_ARGUMENT, "give one of --epsilon and --noise, above 0");
    if (w->noise > 0 && !(w->noise >= FT_PRIVACY_Z_MIN && w->noise <= 1000))
        return ft_fail(err, FT_ERR_ARGUMENT, "--noise is %g, expected %g to 1000", w->noise,
                       FT_PRIVACY_Z_MIN);
    if (!(w->epsilon < 100))
        return ft_fail(err, FT_ERR_ARGUMENT, "--epsilon is %g, expected below 100", w->epsilon);
    if (!(w->delta >= FT_PRIVACY_DELTA_MIN && w->delta <= delta_most))
        return ft_fail(err, FT_ERR_ARGUMENT,
                       "--delta is %g, expected %g to %.3g, 1/(10 n) for the audit's own customers", w->delta,
                       FT_PRIVACY_DELTA_MIN, delta_most);
    if (!(w->q >= 0.001 && w->q <= 1))
        return ft_fail(err, FT_ERR_ARGUMENT, "--q is %g, expected 0.001 to 1", w->q);
    if (w->rounds < 1 || w->rounds > 10000)
        return ft_fail(err, FT_ERR_ARGUMENT, "--rounds is %llu, expected 1 to 10000",
                       (unsigned long long)w->rounds);
    if (w->canaries < FT_AUDIT_CANARIES_MIN || w->canaries > FT_AUDIT_CANARIES_MAX)
        return ft_fail(err, FT_ERR_ARGUMENT, "--canaries is %u, expected %u to %u", w->canaries,
                       FT_AUDIT_CANARIES_MIN, FT_AUDIT_CANARIES_MAX);
    if (!(w->significance >= 1e-6 && w->significance <= 0.5))
        return ft_fail(err, FT_ERR_ARGUMENT, "--significance is %g, expected 1e-6 to 0.5", w->significance);
    return FT_OK;
}
