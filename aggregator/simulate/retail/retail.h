/*
 * Retail transactions from a seed, with everything that was planted in them written beside them: shops of
 * several regions, customers of five segments who come by their own rates, leave for good, hold a loyalty
 * card or not, and react to promotions; seasons; private and national brands.
 *
 * The model is the one of repeat buying: visits of a customer are Poisson at a rate of their own, rates are
 * gamma within a segment (Ehrenberg 1959), and a customer leaves after each week with a chance of their
 * segment's (Fader, Hardie and Lee 2005). A line's department is chosen in proportion to share x segment's
 * taste x region's taste x season x exp(elasticity of the segment x depth of a promotion)
 *
 *   DIR/shops/store-0001.csv     the standard columns, in time's order; a line without a card has no
 * customer_id DIR/consent/store-0001.csv   who agreed, refused, withdrew; who is not in it was never asked
 *   DIR/task.yaml, experiment.yaml   a task that fits and an experiment: fedtill-simulate run
 * DIR/experiment.yaml DIR/truth.json               settings, segments, regions, shops, promotions, effects,
 * counts; written last DIR/truth/customers.csv      each customer's segment, shop, card, rate, last week,
 * decision
 *
 * The same settings give the same bytes for any number of threads: every shop and every customer has a stream
 * of its own.
 */
#ifndef FT_SIMULATE_RETAIL_H
#define FT_SIMULATE_RETAIL_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_RETAIL_STORES_MAX    100000u
#define FT_RETAIL_CUSTOMERS_MAX 100000000u
#define FT_RETAIL_REGIONS_MAX   64u
#define FT_RETAIL_WEEKS_MAX     520u
#define FT_RETAIL_SEGMENTS      5u
#define FT_RETAIL_DEPARTMENTS   12u

struct ft_retail_settings {
    uint64_t seed;
    uint32_t stores, customers, regions, weeks;
    int64_t start;       /* first day, days since 1970-01-01 */
    double skew;         /* 0 .. 0.99: of a segment's share p between shops, the variance is skew p (1 - p) */
    double size_skew;    /* 0 .. 3: the k-th largest shop has customers in proportion to k^-size_skew */
    double regional;     /* 0 .. 2: deviation of the logarithm of a region's taste for a department */
    double season;       /* 0 .. 0.9: visits of a week are 1 + season x cos(2 pi (week - 50) / 52) */
    double loyalty;      /* 0 .. 1: share of customers with a card */
    double loyalty_lift; /* 0.1 .. 10: their visits, times those without */
    double promotions;   /* 0 .. 26: a year, of each department in each region; each lasts two weeks */
    double baskets;      /* 0.01 .. 20: a customer and week, the mean while they are customers */
    double lines;        /* 1 .. 40: a basket, the mean */
    double churn;        /* 0 .. 0.99: share of customers who leave within 52 weeks */
    double roaming;      /* 0 .. 0.5: share of a customer's visits to a second shop of the region */
    double consent;      /* 0 .. 1: share of cards whose holder agreed; of the others 3 in 5 refused, 1 in 5
                            withdrew later,      1 in 5 was never asked */
};
struct ft_retail_settings ft_retail_defaults(void);

/* What is impossible, with what was found and expected. Errors: CONFIG. */
FT_NODISCARD enum ft_status ft_retail_check(const struct ft_retail_settings *s, struct ft_error *err);

struct ft_retail_totals {
    uint64_t rows, baskets, rows_with_card, promoted_rows, bytes;
    uint64_t customers, cards, given, refused, withdrawn, unasked;
    double baskets_expected; /* by the model; the real number is Poisson around it */
};

struct ft_retail_job {
    const struct ft_retail_settings *settings;
    const char *dir; /* must not hold data yet, unless `force` */
    bool force;
    unsigned threads;
    void (*progress)(void *ctx, uint32_t stores_done); /* NULL: quiet; called in the first thread */
    void *ctx;
};

/* Errors: CONFIG (settings; a folder with data), IO, FULL, NOMEM, INTERNAL (threads). */
FT_NODISCARD enum ft_status ft_retail_make(const struct ft_retail_job *job, struct ft_retail_totals *out,
                                           struct ft_error *err);

#endif
