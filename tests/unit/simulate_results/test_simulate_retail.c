/* Generated shops: the same bytes again, marginals as asked, and what was planted is found in the rows alone.
 */
#include "aggregator/simulate/retail/retail.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SEGMENTS    FT_RETAIL_SEGMENTS
#define DEPARTMENTS FT_RETAIL_DEPARTMENTS
#define WEEKS       52

static char top[64];
static const char *const segment_names[SEGMENTS] = { "families", "pensioners", "students", "gourmets",
                                                     "bargain hunters" };
static const double segment_shares[SEGMENTS] = { 0.28, 0.20, 0.15, 0.12, 0.25 }; /* retail/planted.c */
static const char *const department_names[DEPARTMENTS] = { "GROCERY",   "PRODUCE", "MEAT",   "DAIRY",
                                                           "BAKERY",    "FROZEN",  "DELI",   "DRINKS",
                                                           "HOUSEHOLD", "DRUG",    "GARDEN", "SEASONAL" };

static int
set_up(void **state)
{
    (void)state;
    strcpy(top, "/tmp/fedtill-retail.XXXXXX");
    return mkdtemp(top) != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    char command[100];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command);
}

static void
make(const struct ft_retail_settings *s, const char *name, unsigned threads, struct ft_retail_totals *totals)
{
    char dir[100];
    struct ft_error err = { 0 };
    snprintf(dir, sizeof dir, "%s/%s", top, name);
    const struct ft_retail_job job = { .settings = s, .dir = dir, .threads = threads };
    if (ft_retail_make(&job, totals, &err) != FT_OK)
        fail_msg("%s", err.text);
}

static void
read_all(const char *name, const char *file, struct ft_buf *out)
{
    char path[200];
    struct ft_error err = { 0 };
    snprintf(path, sizeof path, "%s/%s/%s", top, name, file);
    assert_int_equal(ft_file_read(path, (size_t)1 << 30, out, &err), FT_OK);
    assert_int_equal(ft_buf_u8(out, 0), FT_OK);
}

/* Fields of a line, cut in place; no field has a comma. */
static size_t
cut(char *line, char **fields, size_t most)
{
    size_t n = 0;
    char *field;
    while (n < most && (field = strsep(&line, ",")) != NULL)
        fields[n++] = field;
    return n;
}

static unsigned
index_of(const char *name, const char *const *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0)
            return i;
    fail_msg("%s is not known", name);
    return 0;
}

/* ---- the same again ---- */

/* One thread or three, the bytes are the same; another seed gives others. */
static void
retail_bytes_depend_on_the_settings_alone(void **state)
{
    static const char *const files[] = { "shops/store-0001.csv",   "shops/store-0006.csv",
                                         "consent/store-0003.csv", "truth.json",
                                         "truth/customers.csv",    "task.yaml",
                                         "experiment.yaml" };
    struct ft_retail_settings s = ft_retail_defaults();
    struct ft_retail_totals one, three, other;
    (void)state;
    s.stores = 6;
    s.customers = 300;
    make(&s, "one", 1, &one);
    make(&s, "three", 3, &three);
    s.seed = 2;
    make(&s, "other", 1, &other);
    assert_int_equal(one.rows, three.rows);
    assert_int_not_equal(one.rows, other.rows);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct ft_buf a = { 0 }, b = { 0 }, c = { 0 };
        read_all("one", files[i], &a);
        read_all("three", files[i], &b);
        read_all("other", files[i], &c);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.data, b.data, a.size);
        if (i < 5)
            assert_true(a.size != c.size || memcmp(a.data, c.data, a.size) != 0);
        ft_buf_clear(&a);
        ft_buf_clear(&b);
        ft_buf_clear(&c);
    }
}

/* ---- marginals and effects, from the rows alone ---- */

struct seen {
    uint64_t rows, baskets, card_baskets, week_baskets[WEEKS];
    uint64_t lines[SEGMENTS][WEEKS][DEPARTMENTS]; /* of one shop's customers with a card */
};

static void
scan(const char *name, uint32_t store, const uint8_t *segment_of, struct seen *seen)
{
    char file[40], last[24] = "", before[24] = "", *text, *line;
    struct ft_buf shop = { 0 };
    snprintf(file, sizeof file, "shops/store-%04u.csv", store);
    read_all(name, file, &shop);
    text = (char *)shop.data;
    line = strsep(&text, "\n");
    assert_string_equal(
        line, "customer_id,basket_id,ts,product_id,department,category,brand,quantity,amount,discount,coupon,"
              "coupon_match,week");
    while ((line = strsep(&text, "\n")) != NULL && *line != '\0') {
        char *f[13];
        assert_int_equal(cut(line, f, 13), 13);
        const unsigned week = (unsigned)atoi(f[12]) - 1;
        assert_true(week < WEEKS);
        assert_true(strcmp(before, f[2]) <= 0); /* in time's order */
        strcpy(before, f[2]);
        assert_true(atof(f[8]) >= 0 && atof(f[9]) >= 0 && atoi(f[7]) >= 1);
        assert_true(f[0][0] != '\0' || (atof(f[9]) == 0 && atof(f[10]) == 0)); /* discounts are the card's */
        seen->rows++;
        if (strcmp(last, f[1]) != 0) {
            seen->baskets++;
            seen->card_baskets += f[0][0] != '\0';
            seen->week_baskets[week]++;
            strcpy(last, f[1]);
        }
        if (f[0][0] != '\0' && segment_of != NULL)
            seen->lines[segment_of[atoi(f[0])]][week][index_of(f[4], department_names, DEPARTMENTS)]++;
    }
    ft_buf_clear(&shop);
}

static double
near(double found, double expected, double deviation)
{
    return fabs(found - expected) / deviation;
}

/* Customers, baskets, lines, cards, season and lift come as they were asked for: within five deviations. */
static void
retail_marginals_are_as_asked(void **state)
{
    struct ft_retail_settings s = ft_retail_defaults();
    struct ft_retail_totals t;
    struct seen *seen = ft_calloc(1, sizeof *seen);
    double cosine = 0;
    (void)state;
    s.stores = 4;
    s.regions = 2;
    s.customers = 3000;
    s.churn = 0;
    s.skew = 0;
    s.season = 0.4;
    s.loyalty = 0.6;
    s.loyalty_lift = 1.5;
    s.baskets = 0.5;
    s.lines = 3;
    make(&s, "marginals", 2, &t);
    for (uint32_t k = 1; k <= s.stores; k++)
        scan("marginals", k, NULL, seen);
    assert_int_equal(seen->rows, t.rows);
    assert_int_equal(seen->baskets, t.baskets);
    assert_true(near((double)t.baskets, t.baskets_expected, sqrt(t.baskets_expected)) < 5);
    /* a customer's rate: gamma of shape 2, so that the mean's deviation is mean / sqrt(2 customers), and
     * segments add some */
    assert_true(
        near((double)t.baskets / s.customers / WEEKS, s.baskets, s.baskets * sqrt(0.7 / s.customers)) < 5);
    assert_true(near((double)t.rows / (double)t.baskets, s.lines, 0.05) < 2);
    assert_true(near((double)t.cards, s.loyalty * s.customers, sqrt(s.customers * 0.24)) < 5);
    assert_true(near((double)t.given, s.consent * (double)t.cards, sqrt((double)t.cards * 0.1275)) < 5);
    assert_int_equal(t.given + t.refused + t.withdrawn + t.unasked, t.cards);
    for (unsigned w = 0; w < WEEKS; w++)
        cosine += 2 * (double)seen->week_baskets[w] * cos(6.283185307179586 * ((double)w - 49) / 52) /
                  (double)t.baskets;
    assert_true(near(cosine, s.season, sqrt(2 / (double)t.baskets)) < 5);
    const double with = (double)seen->card_baskets / (double)t.cards;
    const double without = (double)(t.baskets - seen->card_baskets) / (double)(s.customers - t.cards);
    assert_true(near(with / without, s.loyalty_lift, s.loyalty_lift * sqrt(0.7 / 1800 + 0.7 / 1200)) < 5);
    ft_free(seen);
}

/* {region, department, first_week, last_week, depth} of the truth, by plain search in its text. */
static double
depth_of(const char *truth, unsigned region, unsigned department, unsigned week)
{
    for (const char *at = strstr(truth, "\"promotions\": ["), *end = strstr(truth, "\"stores\": [");
         at != NULL && at < end;) {
        unsigned r, first, last;
        char name[20];
        double depth;
        at = strstr(at, "{");
        if (at == NULL || at > end ||
            sscanf(at,
                   "{ \"region\": %u, \"department\": \"%19[A-Z]\", \"first_week\": %u, \"last_week\": %u, "
                   "\"depth\": %lf",
                   &r, name, &first, &last, &depth) != 5)
            break;
        if (r == region && strcmp(name, department_names[department]) == 0 && week + 1 >= first &&
            week + 1 <= last)
            return depth;
        at = strstr(at, "}");
    }
    return 0;
}

/* Elasticities, from the rows of one region: the odds of a department in a week with a promotion against
 * those without, their logarithm over the depth, is what was planted (bargain hunters 4.5, gourmets 0.4).
 * Weeks with one promotion only, so that no other one moves the odds; a season of the department is divided
 * out by pairing with the weeks around. */
static void
retail_planted_elasticities_are_found(void **state)
{
    static const struct {
        unsigned segment;
        double planted, tolerance;
    } wanted[] = { { 4, 4.5, 0.5 }, { 3, 0.4, 0.5 }, { 0, 2.0, 0.5 } };
    struct ft_retail_settings s = ft_retail_defaults();
    struct ft_retail_totals t;
    struct seen *seen = ft_calloc(1, sizeof *seen);
    struct ft_buf truth = { 0 }, customers = { 0 };
    uint8_t *segment_of;
    char *text, *line, *flat;
    (void)state;
    s.stores = s.regions = 1;
    s.roaming = 0;
    s.customers = 6000;
    s.churn = 0;
    s.promotions = 3;
    make(&s, "effects", 2, &t);
    segment_of = ft_calloc(s.customers + 1, 1);
    read_all("effects", "truth/customers.csv", &customers);
    text = (char *)customers.data;
    for (line = strsep(&text, "\n"); (line = strsep(&text, "\n")) != NULL && *line != '\0';) {
        char *f[8];
        assert_int_equal(cut(line, f, 8), 8);
        segment_of[atoi(f[0])] = (uint8_t)index_of(f[3], segment_names, SEGMENTS);
    }
    scan("effects", 1, segment_of, seen);
    read_all("effects", "truth.json", &truth);
    flat = (char *)truth.data; /* one space for every run of blanks */
    for (char *from = flat, *to = flat;; from++) {
        const bool blank = *from == ' ' || *from == '\n';
        if (!blank || (to > flat && to[-1] != ' '))
            *to++ = blank ? ' ' : *from;
        if (*from == '\0')
            break;
    }
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        double sum = 0, weight = 0;
        for (unsigned d = 0; d < 8; d++)
            for (unsigned w = 1; w + 1 < WEEKS; w++) {
                const double depth = depth_of(flat, 1, d, w);
                double in = 0, all = 0, base_in = 0, base_all = 0;
                if (depth == 0)
                    continue;
                for (unsigned other = w > 4 ? w - 4 : 0; other < WEEKS && other <= w + 4; other++) {
                    double lines = 0; /* of departments without a promotion in either week */
                    for (unsigned k = 0; k < DEPARTMENTS; k++)
                        if (k != d && depth_of(flat, 1, k, other) == 0 && depth_of(flat, 1, k, w) == 0)
                            lines += (double)seen->lines[wanted[i].segment][other][k];
                    double now = 0;
                    for (unsigned k = 0; k < DEPARTMENTS; k++)
                        if (k != d && depth_of(flat, 1, k, other) == 0 && depth_of(flat, 1, k, w) == 0)
                            now += (double)seen->lines[wanted[i].segment][w][k];
                    if (depth_of(flat, 1, d, other) != 0 || lines == 0 || now == 0)
                        continue;
                    base_in += (double)seen->lines[wanted[i].segment][other][d] / lines;
                    in += (double)seen->lines[wanted[i].segment][w][d] / now;
                    base_all++;
                    all++;
                }
                if (base_all < 2 || in <= 0 || base_in <= 0)
                    continue;
                const double evidence = depth * depth * (double)seen->lines[wanted[i].segment][w][d];
                sum += evidence * log((in / all) / (base_in / base_all)) / depth;
                weight += evidence;
            }
        assert_true(weight > 0);
        if (!(fabs(sum / weight - wanted[i].planted) < wanted[i].tolerance))
            fail_msg("%s: elasticity %.2f, planted %.1f", segment_names[wanted[i].segment], sum / weight,
                     wanted[i].planted);
    }
    ft_free(seen);
    ft_free(segment_of);
    ft_buf_clear(&truth);
    ft_buf_clear(&customers);
}

/* Between shops a segment's share varies as asked: skew p (1 - p), and what drawing so many customers adds.
 */
static void
retail_shops_differ_as_asked(void **state)
{
    enum { STORES = 400 };
    struct ft_retail_settings s = ft_retail_defaults();
    struct ft_retail_totals t;
    struct ft_buf customers = { 0 };
    static double counts[STORES][SEGMENTS], sizes[STORES];
    double left = 0;
    char *text, *line;
    (void)state;
    s.stores = STORES;
    s.customers = 40000;
    s.size_skew = 0;
    s.skew = 0.3;
    s.baskets = 0.01;
    s.lines = 1;
    make(&s, "skew", 2, &t);
    read_all("skew", "truth/customers.csv", &customers);
    text = (char *)customers.data;
    for (line = strsep(&text, "\n"); (line = strsep(&text, "\n")) != NULL && *line != '\0';) {
        char *f[8];
        assert_int_equal(cut(line, f, 8), 8);
        const unsigned store = (unsigned)atoi(f[1] + strlen("store-")) - 1;
        assert_true(store < STORES);
        counts[store][index_of(f[3], segment_names, SEGMENTS)]++;
        sizes[store]++;
        left += atoi(f[6]) < WEEKS;
    }
    for (unsigned g = 0; g < SEGMENTS; g++) {
        const double p = segment_shares[g];
        double mean = 0, square = 0;
        for (unsigned k = 0; k < STORES; k++) {
            assert_true(sizes[k] == 100); /* all alike */
            mean += counts[k][g] / sizes[k] / STORES;
        }
        for (unsigned k = 0; k < STORES; k++)
            square += pow(counts[k][g] / sizes[k] - mean, 2) / (STORES - 1);
        const double expected = p * (1 - p) * (s.skew + (1 - s.skew) / 100);
        assert_true(near(mean, p, sqrt(expected / STORES)) < 5);
        assert_true(near(square, expected, expected * 2 * sqrt(2.0 / STORES)) < 5);
    }
    assert_true(near(left / s.customers, s.churn, 0.02) < 1);
    ft_buf_clear(&customers);
}

/* ---- what cannot be ---- */

static void
refused(struct ft_retail_settings s, const char *word)
{
    struct ft_error err = { 0 };
    struct ft_retail_totals totals;
    char dir[100];
    snprintf(dir, sizeof dir, "%s/refused", top);
    const struct ft_retail_job job = { .settings = &s, .dir = dir, .threads = 1 };
    assert_int_equal(ft_retail_make(&job, &totals, &err), FT_ERR_CONFIG);
    if (strstr(err.text, word) == NULL)
        fail_msg("no word of '%s' in: %s", word, err.text);
    assert_int_not_equal(access(dir, F_OK), 0); /* nothing was begun */
}
#define REFUSED(member, value, word)                                                                         \
    do {                                                                                                     \
        struct ft_retail_settings s_ = ft_retail_defaults();                                                 \
        s_.member = value;                                                                                   \
        refused(s_, word);                                                                                   \
    } while (0)

static void
retail_impossible_settings_are_refused(void **state)
{
    (void)state;
    REFUSED(stores, 0, "stores is 0");
    REFUSED(stores, FT_RETAIL_STORES_MAX + 1, "stores is");
    REFUSED(customers, 5, "at least one for each of 12 stores");
    REFUSED(regions, 13, "regions is 13");
    REFUSED(regions, 7, "without a second store");
    REFUSED(weeks, 0, "weeks is 0");
    REFUSED(weeks, 521, "weeks is 521");
    REFUSED(skew, 1, "skew is 1, expected 0 to 0.99");
    REFUSED(skew, -0.1, "skew");
    REFUSED(season, 1, "season");
    REFUSED(loyalty, 1.01, "loyalty is 1.01");
    REFUSED(loyalty, NAN, "loyalty");
    REFUSED(loyalty_lift, 0, "loyalty-lift");
    REFUSED(promotions, 27, "promotions");
    REFUSED(lines, 0.5, "lines");
    REFUSED(churn, 1, "churn");
    REFUSED(roaming, 0.6, "roaming");
    REFUSED(consent, 2, "consent");
    REFUSED(customers, 100000000, "rows");
}

/* Data that are there are not replaced, but on request, and then none of the former shops stays. */
static void
retail_data_are_not_replaced_unasked(void **state)
{
    struct ft_retail_settings s = ft_retail_defaults();
    struct ft_retail_totals t;
    struct ft_error err = { 0 };
    struct ft_buf before = { 0 }, after = { 0 };
    char dir[100], path[200];
    (void)state;
    s.stores = 3;
    s.regions = 1;
    s.customers = 60;
    make(&s, "there", 1, &t);
    read_all("there", "truth.json", &before);
    snprintf(dir, sizeof dir, "%s/there", top);
    struct ft_retail_job job = { .settings = &s, .dir = dir, .threads = 1 };
    s.stores = 2;
    assert_int_equal(ft_retail_make(&job, &t, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "--force"));
    read_all("there", "truth.json", &after);
    assert_int_equal(before.size, after.size);
    snprintf(path, sizeof path, "%s/shops/store-0003.csv", dir);
    assert_int_equal(access(path, F_OK), 0);
    job.force = true;
    assert_int_equal(ft_retail_make(&job, &t, &err), FT_OK);
    assert_int_not_equal(access(path, F_OK), 0);
    ft_buf_clear(&before);
    ft_buf_clear(&after);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retail_bytes_depend_on_the_settings_alone),
        cmocka_unit_test(retail_marginals_are_as_asked),
        cmocka_unit_test(retail_planted_elasticities_are_found),
        cmocka_unit_test(retail_shops_differ_as_asked),
        cmocka_unit_test(retail_impossible_settings_are_refused),
        cmocka_unit_test(retail_data_are_not_replaced_unasked),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
