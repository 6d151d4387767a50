#include "aggregator/simulate/retail/retail_internal.h"
#include "common/base/date.h"

#include <math.h>

#define ROWS_MAX 4e9

struct ft_retail_settings
ft_retail_defaults(void)
{
    struct ft_retail_settings s = { .seed = 1,
                                    .stores = 12,
                                    .customers = 5000,
                                    .regions = 3,
                                    .weeks = 52,
                                    .skew = 0.1,
                                    .size_skew = 0.5,
                                    .regional = 0.3,
                                    .season = 0.2,
                                    .loyalty = 0.8,
                                    .loyalty_lift = 1.25,
                                    .promotions = 6,
                                    .baskets = 0.8,
                                    .lines = 4,
                                    .churn = 0.3,
                                    .roaming = 0.05,
                                    .consent = 0.85 };
    (void)ft_date_parse("2024-01-01", &s.start); /* a Monday */
    return s;
}

static enum ft_status
whole(const char *name, uint64_t found, uint64_t least, uint64_t most, struct ft_error *err)
{
    return found >= least && found <= most
               ? FT_OK
               : ft_fail(err, FT_ERR_CONFIG, "%s is %llu, expected %llu to %llu", name,
                         (unsigned long long)found, (unsigned long long)least, (unsigned long long)most);
}

static enum ft_status
real(const char *name, double found, double least, double most, struct ft_error *err)
{
    return found >= least && found <= most
               ? FT_OK
               : ft_fail(err, FT_ERR_CONFIG, "%s is %g, expected %g to %g", name, found, least, most);
}

enum ft_status
ft_retail_check(const struct ft_retail_settings *s, struct ft_error *err)
{
    enum ft_status st;
    FT_TRY(whole("stores", s->stores, 1, FT_RETAIL_STORES_MAX, err));
    FT_TRY(whole("customers", s->customers, 1, FT_RETAIL_CUSTOMERS_MAX, err));
    FT_TRY(whole("weeks", s->weeks, 1, FT_RETAIL_WEEKS_MAX, err));
    FT_TRY(whole("regions", s->regions, 1, FT_RETAIL_REGIONS_MAX, err));
    FT_TRY(real("skew", s->skew, 0, 0.99, err));
    FT_TRY(real("size-skew", s->size_skew, 0, 3, err));
    FT_TRY(real("regional", s->regional, 0, 2, err));
    FT_TRY(real("season", s->season, 0, 0.9, err));
    FT_TRY(real("loyalty", s->loyalty, 0, 1, err));
    FT_TRY(real("loyalty-lift", s->loyalty_lift, 0.1, 10, err));
    FT_TRY(real("promotions", s->promotions, 0, 26, err));
    FT_TRY(real("baskets", s->baskets, 0.01, 20, err));
    FT_TRY(real("lines", s->lines, 1, 40, err));
    FT_TRY(real("churn", s->churn, 0, 0.99, err));
    FT_TRY(real("roaming", s->roaming, 0, 0.5, err));
    FT_TRY(real("consent", s->consent, 0, 1, err));
    if (s->customers < s->stores)
        st = ft_fail(err, FT_ERR_CONFIG, "customers is %u, expected at least one for each of %u stores",
                     s->customers, s->stores);
    else if (s->regions > s->stores)
        st = ft_fail(err, FT_ERR_CONFIG, "regions is %u, expected at most one for each of %u stores",
                     s->regions, s->stores);
    else if (s->roaming > 0 && s->stores < 2 * s->regions)
        st = ft_fail(err, FT_ERR_CONFIG,
                     "roaming is %g, but %u stores in %u regions leave some without a second store; expected "
                     "0, or at least "
                     "%u stores",
                     s->roaming, s->stores, s->regions, 2 * s->regions);
    else if ((double)s->customers * s->weeks * s->baskets * s->lines > ROWS_MAX)
        st = ft_fail(err, FT_ERR_CONFIG,
                     "%u customers for %u weeks make some %.3g rows, expected at most %.0g", s->customers,
                     s->weeks, (double)s->customers * s->weeks * s->baskets * s->lines, ROWS_MAX);
    else if (s->start < 0 || s->start > 80000)
        st = ft_fail(err, FT_ERR_CONFIG, "start is no day that can be written");
out:
    return st;
}
