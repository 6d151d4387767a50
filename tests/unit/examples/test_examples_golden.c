#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/examples/shop_examples.h"

#include <glob.h>
#include <math.h>

#define FEATURES_MAX 24

/* The two tasks with their features in the query's order. */
static const char *const cj_features[] = { "log_recency", "log_first",       "log_lines",   "log_baskets",
                                           "log_weeks",   "log_departments", "log_amount",  "share_discount",
                                           "used_coupon", "share_private",   "log_lines_4", "log_lines_13" };
static const char *const iowa_features[] = { "log_days_since",
                                             "log_days_known",
                                             "log_n_182",
                                             "log_n_91",
                                             "log_n_28",
                                             "rate",
                                             "log_gap_ratio",
                                             "log_bottles_per_order",
                                             "log_price",
                                             "log_order_days_91",
                                             "year_sin",
                                             "year_cos",
                                             "vodka",
                                             "whisky",
                                             "rum",
                                             "tequila",
                                             "liqueur",
                                             "brandy",
                                             "ready_or_gift" };

struct task_of {
    struct ft_task task;
    struct ft_task_feature features[FEATURES_MAX];
    struct ft_buf sql;
};

static void
task_init(struct task_of *t, const char *name, const char *const *features, uint32_t count, enum ft_unit unit)
{
    char path[128];
    memset(t, 0, sizeof *t);
    snprintf(path, sizeof path, "tests/data/tasks/%s.sql", name);
    assert_int_equal(ft_file_read(path, FT_TASK_SQL_MAX, &t->sql, NULL), FT_OK);
    assert_int_equal(ft_buf_u8(&t->sql, 0), FT_OK);
    for (uint32_t i = 0; i < count; i++)
        t->features[i] = (struct ft_task_feature){ (char *)(uintptr_t)features[i], -100, 100 };
    t->task = (struct ft_task){ .purpose = (char *)"train/propensity",
                                .label = (char *)"y",
                                .sql = (char *)t->sql.data,
                                .features = t->features,
                                .feature_count = count,
                                .rows_per_customer = 1,
                                .rows_max = 100000,
                                .label_max = 1,
                                .model = FT_MODEL_LOGISTIC,
                                .unit = unit };
}

static void
run(struct test_shop *shop, const struct task_of *t, enum ft_examples_basis basis, struct ft_examples *out)
{
    const struct ft_examples_rules rules = { .basis = basis,
                                             .consent_source = true,
                                             .allowed = all_allowed,
                                             .key = &shop->key,
                                             .env = ft_env_system() };
    struct ft_error err = { 0 };
    if (ft_examples_build(shop->db, &t->task, &rules, out, NULL, &err) != FT_OK)
        fail_msg("%s", err.text);
    assert_int_equal(out->clipped_values, 0);
}

static void
open_shop(struct test_shop *shop, const char *file, const char *columns, const char *timestamp)
{
    shop_init(shop);
    ft_free(shop->config.base_dir);
    shop->config.base_dir = NULL;
    shop->config.max_reject_ratio = 0;
    shop_map(&shop->config.transactions, file, columns);
    shop->config.transactions.timestamp = ft_strdup(timestamp);
    if (shop_open(shop) != FT_OK)
        fail_msg("%s", shop->err.text);
}

/* One row as it is compared: split, label, features. */
struct row {
    double v[FEATURES_MAX + 2];
};

static int
row_order(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    for (size_t i = 0; i < FEATURES_MAX + 2; i++)
        if (fabs(x->v[i] - y->v[i]) > 1e-6)
            return x->v[i] < y->v[i] ? -1 : 1;
    return 0;
}

static struct row *
rows_of(const struct ft_examples *ex, size_t *count)
{
    struct row *rows = calloc(ex->rows_train + ex->rows_test + 1, sizeof *rows);
    *count = 0;
    for (int split = 0; split < 2; split++) {
        const size_t n = split == 0 ? ex->rows_train : ex->rows_test;
        const float *x = split == 0 ? ex->x_train : ex->x_test, *y = split == 0 ? ex->y_train : ex->y_test;
        for (size_t i = 0; i < n; i++, (*count)++) {
            rows[*count].v[0] = split;
            rows[*count].v[1] = (double)y[i];
            for (size_t k = 0; k < ex->feature_count; k++)
                rows[*count].v[2 + k] = (double)x[i * ex->feature_count + k];
        }
    }
    return rows;
}

/* The golden file's rows; `skip` columns lie between the label and the first feature. */
static struct row *
rows_of_golden(const char *path, size_t features, size_t skip, size_t *count)
{
    struct row *rows = calloc(4096, sizeof *rows);
    char line[2048];
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    *count = 0;
    assert_non_null(fgets(line, sizeof line, f));
    while (fgets(line, sizeof line, f) != NULL) {
        char *p = strchr(line, ',') + 1; /* after the customer */
        rows[*count].v[0] = strncmp(p, "test,", 5) == 0;
        p = strchr(p, ',') + 1;
        rows[*count].v[1] = strtod(p, &p);
        for (size_t i = 0; i < skip; i++)
            p = strchr(p + 1, ',');
        for (size_t k = 0; k < features; k++)
            rows[*count].v[2 + k] = strtod(p + 1, &p);
        assert_true(++*count < 4096);
    }
    fclose(f);
    return rows;
}

static void
expect_same(struct row *a, size_t a_count, struct row *b, size_t b_count, bool sorted)
{
    assert_int_equal(a_count, b_count);
    if (sorted) { /* customers are pseudonyms here, so a query that orders by them has another order */
        qsort(a, a_count, sizeof *a, row_order);
        qsort(b, b_count, sizeof *b, row_order);
    }
    for (size_t i = 0; i < a_count; i++)
        for (size_t k = 0; k < FEATURES_MAX + 2; k++)
            if (fabs(a[i].v[k] - b[i].v[k]) > 1e-6 * (1 + fabs(b[i].v[k])))
                fail_msg("row %zu, value %zu: %.9g, expected %.9g", i, k, a[i].v[k], b[i].v[k]);
    free(a);
    free(b);
}

static void
stable_by_split(struct row *rows, size_t count)
{
    struct row *copy = calloc(count + 1, sizeof *copy);
    size_t at = 0;
    for (int split = 0; split < 2; split++)
        for (size_t i = 0; i < count; i++)
            if (rows[i].v[0] == (double)split)
                copy[at++] = rows[i];
    memcpy(rows, copy, count * sizeof *rows);
    free(copy);
}

/* cj_return over one shop is what the sqlite3 command line tool finds. */
static void
examples_cj_return_equals_an_independent_sqlite(void **state)
{
    struct test_shop shop;
    struct task_of t;
    struct ft_examples ex;
    size_t n, want_n;
    (void)state;
    open_shop(&shop, "deploy/demo/shops/store-367.csv", CJ_COLUMNS, "%Y-%m-%d %H:%M:%S");
    assert_int_equal(ft_db_eligible_everyone(shop.db, NULL, NULL), FT_OK);
    task_init(&t, "cj_return", cj_features, 12, FT_UNIT_CUSTOMER);
    run(&shop, &t, FT_EXAMPLES_CONSENT, &ex);
    struct row *got = rows_of(&ex, &n),
               *want = rows_of_golden("tests/data/golden/cj_return.store-367.csv", 12, 1, &want_n);
    expect_same(got, n, want, want_n, true);
    assert_int_equal(ex.customers_train, ex.rows_train);
    ft_examples_clear(&ex);
    ft_buf_clear(&t.sql);
    shop_close(&shop);
}

/* iowa_reorder, records without people, too, in the query's order. */
static void
examples_iowa_reorder_equals_an_independent_sqlite(void **state)
{
    struct test_shop shop;
    struct task_of t;
    struct ft_examples ex;
    size_t n, want_n;
    (void)state;
    open_shop(&shop, FT_TEST_SHOPS "/iowa/store-5094.csv", IOWA_COLUMNS, "%Y-%m-%d");
    task_init(&t, "iowa_reorder", iowa_features, 19, FT_UNIT_RECORD);
    run(&shop, &t, FT_EXAMPLES_RECORDS, &ex);
    struct row *got = rows_of(&ex, &n);
    struct row *want = rows_of_golden("tests/data/golden/iowa_reorder.store-5094.csv", 19, 0, &want_n);
    stable_by_split(want, want_n);
    expect_same(got, n, want, want_n, false);
    ft_examples_clear(&ex);
    ft_buf_clear(&t.sql);
    shop_close(&shop);
}

/* Over all shops of 100 lines or more: the number of examples, means and standard deviations that the pooled
 * computation of tests/data/tasks/README.md found. */
static void
examples_cj_return_matches_the_pooled_reference(void **state)
{
    static const double mean[] = { 1.65785496, 1.86759746, 1.40308489, 1.06741325, 0.98994502, 0.72150737,
                                   2.54561949, 0.47452289, 0.06984786, 0.29249209, 0.52979854, 1.16697375 };
    static const double deviation[] = { 1.05119057, 0.88692572, 1.18016274, 1.03247593,
                                        0.95306036, 0.66258450, 1.20918351, 0.33700978,
                                        0.25489043, 0.30895044, 0.70239779, 0.95185153 };
    double sum[12] = { 0 }, square[12] = { 0 };
    size_t train = 0, test = 0, shops = 0;
    struct task_of t;
    glob_t files;
    (void)state;
    task_init(&t, "cj_return", cj_features, 12, FT_UNIT_CUSTOMER);
    assert_int_equal(glob(FT_TEST_SHOPS "/cj/store-*.csv", 0, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, 110);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        struct test_shop shop;
        struct ft_examples ex;
        open_shop(&shop, files.gl_pathv[i], CJ_COLUMNS, "%Y-%m-%d %H:%M:%S");
        assert_int_equal(ft_db_eligible_everyone(shop.db, NULL, NULL), FT_OK);
        run(&shop, &t, FT_EXAMPLES_CONSENT, &ex);
        train += ex.rows_train;
        test += ex.rows_test;
        shops += ex.rows_train + ex.rows_test > 0;
        for (size_t row = 0; row < ex.rows_train; row++) {
            for (size_t k = 0; k < 12; k++) {
                const double x = (double)ex.x_train[row * 12 + k];
                sum[k] += x;
                square[k] += x * x;
            }
        }
        ft_examples_clear(&ex);
        shop_close(&shop);
    }
    globfree(&files);
    ft_buf_clear(&t.sql);
    assert_int_equal(train, 4338);
    assert_int_equal(test, 4463);
    assert_int_equal(shops, 108);
    for (size_t k = 0; k < 12; k++) {
        const double m = sum[k] / (double)train;
        assert_true(fabs(m - mean[k]) < 1e-6);
        assert_true(fabs(sqrt(square[k] / (double)train - m * m) - deviation[k]) < 1e-6);
    }
}

/* Copy a shop's file, keeping the lines whose customer `keep` allows, in the file's order or backwards. */
static void
copy_lines(const char *from, const char *to, bool (*keep)(long customer), bool backwards)
{
    struct ft_buf text = { 0 };
    char *lines[4096], *save = NULL;
    size_t count = 0;
    FILE *f = fopen(to, "w");
    assert_non_null(f);
    assert_int_equal(ft_file_read(from, (size_t)1 << 24, &text, NULL), FT_OK);
    assert_int_equal(ft_buf_u8(&text, 0), FT_OK);
    char *line = strtok_r((char *)text.data, "\n", &save);
    fprintf(f, "%s\n", line);
    while ((line = strtok_r(NULL, "\n", &save)) != NULL)
        if (keep == NULL || keep(strtol(line, NULL, 10)))
            lines[count++] = line;
    for (size_t i = 0; i < count; i++)
        fprintf(f, "%s\n", lines[backwards ? count - 1 - i : i]);
    fclose(f);
    ft_buf_clear(&text);
}

static bool
agreed(long customer)
{
    return customer % 3 != 1;
}

static struct row *
examples_of(const char *file, bool (*eligible)(long customer), size_t *count)
{
    struct test_shop shop;
    struct task_of t;
    struct ft_examples ex;
    open_shop(&shop, file, CJ_COLUMNS, "%Y-%m-%d %H:%M:%S");
    if (eligible == NULL) {
        assert_int_equal(ft_db_eligible_everyone(shop.db, NULL, NULL), FT_OK);
    } else {
        assert_int_equal(ft_db_eligible_begin(shop.db, NULL), FT_OK);
        for (long id = 0; id < 4000; id++) {
            struct ft_pseudonym p;
            char text[16];
            const int size = snprintf(text, sizeof text, "%ld", id);
            ft_pseudonym_make(&shop.key, text, (size_t)size, &p);
            if (eligible(id))
                assert_int_equal(ft_db_eligible_add(shop.db, &p, NULL), FT_OK);
        }
        assert_int_equal(ft_db_eligible_end(shop.db, NULL, NULL), FT_OK);
    }
    task_init(&t, "cj_return", cj_features, 12, FT_UNIT_CUSTOMER);
    run(&shop, &t, FT_EXAMPLES_CONSENT, &ex);
    struct row *rows = rows_of(&ex, count);
    ft_examples_clear(&ex);
    ft_buf_clear(&t.sql);
    shop_close(&shop);
    return rows;
}

/* Examples with consents are the examples of a shop that never had the others as customers; same rows, same
 * order. */
static void
examples_with_consents_equal_the_consenting_subset(void **state)
{
    size_t n, alone_n, all_n;
    struct row *with, *alone;
    (void)state;
    copy_lines("deploy/demo/shops/store-367.csv", FT_TEST_SHOPS "/subset.csv", agreed, false);
    with = examples_of("deploy/demo/shops/store-367.csv", agreed, &n);
    alone = examples_of(FT_TEST_SHOPS "/subset.csv", NULL, &alone_n);
    free(examples_of("deploy/demo/shops/store-367.csv", NULL, &all_n));
    assert_true(n > 50 && n < all_n);
    expect_same(with, n, alone, alone_n, false);
}

/* The order of the lines in the shop's export does not matter. */
static void
examples_do_not_depend_on_the_order_of_lines(void **state)
{
    size_t n, back_n;
    struct row *rows, *back;
    (void)state;
    copy_lines("deploy/demo/shops/store-367.csv", FT_TEST_SHOPS "/backwards.csv", NULL, true);
    rows = examples_of("deploy/demo/shops/store-367.csv", NULL, &n);
    back = examples_of(FT_TEST_SHOPS "/backwards.csv", NULL, &back_n);
    expect_same(rows, n, back, back_n, true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_cj_return_equals_an_independent_sqlite),
        cmocka_unit_test(examples_iowa_reorder_equals_an_independent_sqlite),
        cmocka_unit_test(examples_cj_return_matches_the_pooled_reference),
        cmocka_unit_test(examples_with_consents_equal_the_consenting_subset),
        cmocka_unit_test(examples_do_not_depend_on_the_order_of_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
