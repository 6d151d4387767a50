#include "aggregator/simulate/cmd_data.h"

#include "aggregator/simulate/engine/pool.h"
#include "aggregator/simulate/retail/retail.h"
#include "common/base/date.h"

#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

const struct ft_cli_option ft_cmd_data_options[] = {
    { .name = "out",
      .kind = FT_CLI_TEXT,
      .required = true,
      .argument = "DIR",
      .help = "folder for the data" },
    { .name = "stores", .kind = FT_CLI_UINT, .argument = "N", .help = "shops (default 12)" },
    { .name = "customers",
      .kind = FT_CLI_UINT,
      .argument = "M",
      .help = "customers of all shops (default 5000)" },
    { .name = "weeks",
      .kind = FT_CLI_UINT,
      .argument = "W",
      .help = "1 to 520 (default 52, what the task looks at)" },
    { .name = "start",
      .kind = FT_CLI_TEXT,
      .argument = "DATE",
      .help = "first day",
      .fallback = "2024-01-01" },
    { .name = "seed",
      .kind = FT_CLI_UINT,
      .argument = "S",
      .help = "the same seed, the same bytes (default 1)" },
    { .name = "regions",
      .kind = FT_CLI_UINT,
      .argument = "R",
      .help = "with their own tastes, prices and promotions (default 3, or fewer with few shops)" },
    { .name = "skew",
      .kind = FT_CLI_REAL,
      .argument = "S",
      .help = "how shops differ in their segments: 0 alike, 0.99 one segment each (default 0.1)" },
    { .name = "size-skew",
      .kind = FT_CLI_REAL,
      .argument = "Z",
      .help = "the k-th largest shop has customers as k^-Z (default 0.5)" },
    { .name = "regional",
      .kind = FT_CLI_REAL,
      .argument = "D",
      .help = "how regions differ in taste (default 0.3)" },
    { .name = "season",
      .kind = FT_CLI_REAL,
      .argument = "A",
      .help = "amplitude of visits over the year (default 0.2)" },
    { .name = "loyalty",
      .kind = FT_CLI_REAL,
      .argument = "P",
      .help = "share of customers with a card (default 0.8)" },
    { .name = "loyalty-lift",
      .kind = FT_CLI_REAL,
      .argument = "L",
      .help = "visits with a card, times those without "
              "(default 1.25)" },
    { .name = "promotions",
      .kind = FT_CLI_REAL,
      .argument = "N",
      .help = "a year and department in each region, two weeks each (default 6)" },
    { .name = "baskets", .kind = FT_CLI_REAL, .argument = "B", .help = "a customer and week (default 0.8)" },
    { .name = "lines", .kind = FT_CLI_REAL, .argument = "L", .help = "a basket (default 4)" },
    { .name = "churn",
      .kind = FT_CLI_REAL,
      .argument = "P",
      .help = "share of customers who leave in 52 weeks (default 0.3)" },
    { .name = "roaming",
      .kind = FT_CLI_REAL,
      .argument = "P",
      .help = "share of visits to a second shop of the region (default 0.05)" },
    { .name = "consent",
      .kind = FT_CLI_REAL,
      .argument = "P",
      .help = "share of cards whose holder agreed (default 0.85)" },
    { .name = "threads",
      .kind = FT_CLI_UINT,
      .argument = "N",
      .least = 1,
      .most = SIM_THREADS_MAX,
      .help = "as many as there are processors by default; the bytes do not depend on it" },
    { .name = "force", .kind = FT_CLI_FLAG, .help = "replace the data that DIR holds" },
    FT_CLI_OPTIONS_END,
};

/* A number that no setting has, so that the check refuses it, if it does not fit. */
static uint32_t
whole(const struct ft_cli *cli, const char *name, uint32_t otherwise)
{
    const uint64_t v = ft_cli_uint(cli, name, otherwise);
    return v <= UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

static struct ft_retail_settings
settings_of(const struct ft_cli *cli)
{
    struct ft_retail_settings s = ft_retail_defaults();
    s.seed = ft_cli_uint(cli, "seed", s.seed);
    s.stores = whole(cli, "stores", s.stores);
    s.customers = whole(cli, "customers", s.customers);
    s.weeks = whole(cli, "weeks", s.weeks);
    s.roaming = ft_cli_real(cli, "roaming", s.stores < 2 ? 0 : s.roaming);
    s.regions =
        whole(cli, "regions", s.stores / 2 < s.regions ? (s.stores < 2 ? 1 : s.stores / 2) : s.regions);
    s.skew = ft_cli_real(cli, "skew", s.skew);
    s.size_skew = ft_cli_real(cli, "size-skew", s.size_skew);
    s.regional = ft_cli_real(cli, "regional", s.regional);
    s.season = ft_cli_real(cli, "season", s.season);
    s.loyalty = ft_cli_real(cli, "loyalty", s.loyalty);
    s.loyalty_lift = ft_cli_real(cli, "loyalty-lift", s.loyalty_lift);
    s.promotions = ft_cli_real(cli, "promotions", s.promotions);
    s.baskets = ft_cli_real(cli, "baskets", s.baskets);
    s.lines = ft_cli_real(cli, "lines", s.lines);
    s.churn = ft_cli_real(cli, "churn", s.churn);
    s.consent = ft_cli_real(cli, "consent", s.consent);
    return s;
}

static void
show_progress(void *ctx, uint32_t done)
{
    const struct ft_retail_settings *s = ctx;
    fprintf(stderr, "\r%u of %u stores ", done, s->stores);
}

static unsigned
processors(void)
{
    cpu_set_t set;
    const int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > SIM_THREADS_MAX ? SIM_THREADS_MAX : (unsigned)count;
}

static double
now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int
tell(const struct ft_cli *cli, const char *dir, const struct ft_retail_totals *t, double seconds)
{
    if (ft_cli_json(cli))
        return ft_cli_print_json(json_pack(
            "{s:s, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:f}", "dir", dir, "rows", (json_int_t)t->rows,
            "baskets", (json_int_t)t->baskets, "baskets_expected", t->baskets_expected, "customers",
            (json_int_t)t->customers, "cards", (json_int_t)t->cards, "consents_given", (json_int_t)t->given,
            "bytes", (json_int_t)t->bytes, "seconds", seconds));
    printf("%" PRIu64 " rows in %" PRIu64 " baskets of %" PRIu64 " customers, %" PRIu64
           " of them with a card; %" PRIu64 " agreed\n",
           t->rows, t->baskets, t->customers, t->cards, t->given);
    printf("%.2f million rows a second; what was planted is in %s/truth.json\n",
           (double)t->rows / seconds / 1e6, dir);
    return FT_EXIT_OK;
}

int
ft_cmd_data(struct ft_cli *cli)
{
    struct ft_retail_settings settings = settings_of(cli);
    struct ft_retail_totals totals;
    struct ft_error err = { 0 };
    const bool lively = ft_cli_lively(stderr) && !ft_cli_json(cli);
    const struct ft_retail_job job = { .settings = &settings,
                                       .dir = ft_cli_text(cli, "out"),
                                       .force = ft_cli_flag(cli, "force"),
                                       .threads = (unsigned)ft_cli_uint(cli, "threads", processors()),
                                       .progress = lively ? show_progress : NULL,
                                       .ctx = &settings };
    const double begin = now();
    enum ft_status st;

    if (!ft_date_parse(ft_cli_text(cli, "start"), &settings.start)) {
        st = ft_fail(&err, FT_ERR_CONFIG, "start is '%s', expected a day as 2024-01-01",
                     ft_cli_text(cli, "start"));
        return ft_cli_fail(cli, st, &err);
    }
    st = ft_retail_make(&job, &totals, &err);
    if (lively)
        fprintf(stderr, "\r\033[K");
    if (st != FT_OK)
        return ft_cli_fail(cli, st, &err);
    return tell(cli, job.dir, &totals, now() - begin);
}
