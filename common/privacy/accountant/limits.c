#include "common/privacy/accountant/accountant_internal.h"

#include <math.h>

enum ft_status
ft_account_event_check(const struct ft_account_event *e, struct ft_error *err)
{
    if (!(e->q > 0) || !(e->q <= 1)) /* a NaN is neither */
        return ft_fail(err, FT_ERR_LIMIT, "q is %g, expected above 0 and at most 1", e->q);
    if (!(e->z >= FT_PRIVACY_Z_MIN) || !(e->z <= FT_ACCOUNT_Z_MAX))
        return ft_fail(err, FT_ERR_LIMIT, "noise multiplier is %g, expected %g to %g", e->z, FT_PRIVACY_Z_MIN,
                       FT_ACCOUNT_Z_MAX);
    if (e->steps > FT_PRIVACY_STEPS_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "%llu steps, expected at most %llu", (unsigned long long)e->steps,
                       (unsigned long long)FT_PRIVACY_STEPS_MAX);
    if (e->m < 1 || e->m > FT_ACCOUNT_STORES_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "%u shops of one customer, expected 1 to %u", e->m, FT_ACCOUNT_STORES_MAX);
    return FT_OK;
}

enum ft_status
ft_account_events_check(const struct ft_account_event *events, size_t count)
{
    if (count > FT_ACCOUNT_EVENTS_MAX)
        return FT_ERR_LIMIT;
    for (size_t i = 0; i < count; i++) {
        const enum ft_status st = ft_account_event_check(&events[i], NULL);
        if (st != FT_OK)
            return st;
    }
    return FT_OK;
}

enum ft_status
ft_account_delta_check(double delta)
{
    return delta >= FT_PRIVACY_DELTA_MIN && delta <= FT_PRIVACY_DELTA_MAX ? FT_OK : FT_ERR_LIMIT;
}
