#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/examples/shop_examples.h"

/* Rows of (customer, split, y, f) over the three eligible customers, by a VALUES list that names baskets. */
#define ROWS(values)                                                                                         \
    "WITH v(b, split, y, f) AS (VALUES " values ") SELECT t.customer_id, v.split, v.y, v.f FROM v JOIN "     \
    "(SELECT DISTINCT customer_id, basket_id FROM transactions) t ON t.basket_id = v.b"

static void
expect_invalid(struct example_shop *s, const char *sql, const char *code, const char *text)
{
    assert_int_equal(example_build(s, sql), FT_ERR_FORMAT);
    if (strstr(s->err.text, text) == NULL)
        fail_msg("%s", s->err.text);
    assert_string_equal(s->refusals.list[0].code, code);
    assert_null(s->out.x_train);
}

/* Columns are found by name in any order; others are left alone. */
static void
examples_build_finds_columns_by_name(void **state)
{
    struct example_shop *s = *state;
    s->task.feature_count = 2;
    s->features[1] = (struct ft_task_feature){ (char *)"g", -5, 5 };
    s->task.rows_per_customer = 4;
    assert_int_equal(
        example_build(
            s, "SELECT 3 AS extra, quantity AS f, week > 2 AS y, CASE WHEN week = 1 THEN 'test' ELSE "
               "'train' END AS split, customer_id, -week AS g FROM transactions ORDER BY quantity DESC"),
        FT_OK);
    assert_int_equal(s->out.rows_train, 2);
    assert_int_equal(s->out.rows_test, 2);
    assert_int_equal(s->out.feature_count, 2);
    const float x_train[] = { 4, -3, 3, -2 }, x_test[] = { 2, -1, 1, -1 };
    assert_memory_equal(s->out.x_train, x_train, sizeof x_train);
    assert_memory_equal(s->out.x_test, x_test, sizeof x_test);
    assert_true(s->out.y_train[0] == 1.0f && s->out.y_train[1] == 0.0f);
    assert_int_equal(s->out.customers_train, 2);
    assert_int_equal(s->out.customers_test, 1);
}

/* A missing column is named, and one that is there twice is as bad. */
static void
examples_build_names_missing_columns(void **state)
{
    struct example_shop *s = *state;
    expect_invalid(s, "SELECT customer_id, 'train' AS split, 0 AS y FROM transactions", "QUERY_RESULT",
                   "one column f");
    expect_invalid(s, "SELECT customer_id, 'train' AS split, 1 AS f FROM transactions", "QUERY_RESULT",
                   "one column y");
    expect_invalid(s, "SELECT 'train' AS split, 0 AS y, 1 AS f FROM transactions", "QUERY_RESULT",
                   "one column customer_id");
    expect_invalid(s, "SELECT customer_id, 0 AS y, 1 AS f FROM transactions", "QUERY_RESULT",
                   "one column split");
    expect_invalid(s, "SELECT customer_id, 'train' AS split, 0 AS y, 1 AS f, 2 AS f FROM transactions",
                   "QUERY_RESULT", "one column f");
    expect_invalid(s, "SELECT 1", "QUERY_RESULT", "one column customer_id");
    assert_int_equal(s->refusals.count, 4);
}

/* A value that is no number is told with its column and how many rows have it, never the value. */
static void
examples_build_refuses_values_that_are_no_number(void **state)
{
    struct example_shop *s = *state;
    static const char *const bad[] = { "NULL", "'SECRET'", "x'00'", "9e999", "-9e999", "'1'" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char sql[600];
        snprintf(sql, sizeof sql, ROWS("('b1','train',0,%s), ('b2','train',0,1), ('b3','test',0,%s)"), bad[i],
                 bad[i]);
        expect_invalid(s, sql, "DATA_NONFINITE", "feature f is no number in 2 of 3 rows");
        assert_null(strstr(s->err.text, "SECRET"));
        snprintf(sql, sizeof sql, ROWS("('b1','train',%s,0), ('b2','train',0,1)"), bad[i]);
        expect_invalid(s, sql, "DATA_NONFINITE", "label y is no number in 1 of 2 rows");
    }
}

/* Features are clipped to their declared bounds, in float as in double, and each is counted. */
static void
examples_build_clips_and_counts(void **state)
{
    struct example_shop *s = *state;
    s->features[0].min = -0.1;
    s->features[0].max = 0.1;
    assert_int_equal(
        example_build(
            s, ROWS("('b1','train',0,5), ('b2','train',0,-5), ('b3','train',0,0.05), ('b3','test',0,0.1)")),
        FT_OK);
    assert_int_equal(s->out.clipped_values, 2);
    assert_true((double)s->out.x_train[0] <= 0.1 && (double)s->out.x_train[0] > 0.0999);
    assert_true((double)s->out.x_train[1] >= -0.1 && (double)s->out.x_train[1] < -0.0999);
    assert_true(s->out.x_train[2] == 0.05f);
    assert_true((double)s->out.x_test[0] <= 0.1); /* 0.1f is above 0.1 */
}

/* A class label is a whole number of the classes; a count or a real label is clipped like a feature. */
static void
examples_build_checks_labels_by_model(void **state)
{
    struct example_shop *s = *state;
    expect_invalid(s, ROWS("('b1','train',0.5,1)"), "QUERY_RESULT",
                   "label y is no class from 0 to 1 in 1 of 1 rows");
    expect_invalid(s, ROWS("('b1','train',2,1), ('b2','train',-1,1)"), "QUERY_RESULT", "in 2 of 2 rows");
    s->task.model = FT_MODEL_SOFTMAX;
    s->task.classes = 3;
    s->task.label_max = 2;
    assert_int_equal(example_build(s, ROWS("('b1','train',2,1)")), FT_OK);
    assert_true(s->out.y_train[0] == 2.0f);
    expect_invalid(s, ROWS("('b1','train',3,1)"), "QUERY_RESULT", "no class");
    s->task.model = FT_MODEL_MLP;
    s->task.classes = 0;
    expect_invalid(s, ROWS("('b1','train',2,1)"), "QUERY_RESULT", "no class");
    s->task.model = FT_MODEL_POISSON;
    s->task.label_max = 10;
    assert_int_equal(example_build(s, ROWS("('b1','train',99,1), ('b2','train',7,1)")), FT_OK);
    assert_true(s->out.y_train[0] == 10.0f && s->out.y_train[1] == 7.0f);
    assert_int_equal(s->out.clipped_values, 1);
}

/* Only train and test are splits, and every row says whose it is. */
static void
examples_build_checks_split_and_customer(void **state)
{
    struct example_shop *s = *state;
    expect_invalid(s, ROWS("('b1','Train',0,1)"), "QUERY_RESULT",
                   "split is neither train nor test in 1 of 1 rows");
    expect_invalid(s, ROWS("('b1',NULL,0,1), ('b2',1,0,1)"), "QUERY_RESULT", "in 2 of 2 rows");
    expect_invalid(s, "SELECT NULL AS customer_id, 'train' AS split, 0 AS y, 1 AS f", "QUERY_RESULT",
                   "customer_id is missing in 1 of 1");
    expect_invalid(s, "SELECT 1 AS customer_id, 'train' AS split, 0 AS y, 1 AS f", "QUERY_RESULT",
                   "customer_id is missing");
}

/* One customer's purchases cannot be handed out under many names. */
static void
examples_build_refuses_made_up_customers(void **state)
{
    struct example_shop *s = *state;
    expect_invalid(
        s,
        "SELECT customer_id || product_id AS customer_id, 'train' AS split, 0 AS y, 1 AS f FROM transactions",
        "QUERY_RESULT", "customer_id is not a customer of this shop in 4 of 4 rows");
    s->task.unit = FT_UNIT_RECORD; /* there the name is the record's own */
    assert_int_equal(example_build(s, s->task.sql), FT_OK);
    assert_int_equal(s->out.rows_train, 4);
}

/* Unit customer: the first rows of one customer in each split count, the others are dropped and counted. */
static void
examples_build_caps_rows_of_a_customer(void **state)
{
    struct example_shop *s = *state;
    const char *sql = ROWS(
        "('b1','train',0,1), ('b1','train',0,2), ('b1','train',0,3), ('b2','train',0,4), ('b1','test',0,5), "
        "('b1','test',0,6)") " ORDER BY v.f";
    assert_int_equal(example_build(s, sql), FT_OK);
    assert_int_equal(s->out.rows_train, 2);
    assert_int_equal(s->out.rows_test, 1);
    assert_int_equal(s->out.rows_over_cap, 3);
    assert_true(s->out.x_train[0] == 1.0f && s->out.x_train[1] == 4.0f && s->out.x_test[0] == 5.0f);
    s->task.rows_per_customer = 2;
    assert_int_equal(example_build(s, sql), FT_OK);
    assert_int_equal(s->out.rows_train, 3);
    assert_int_equal(s->out.rows_over_cap, 1);
    s->task.unit = FT_UNIT_RECORD;
    assert_int_equal(example_build(s, sql), FT_OK);
    assert_int_equal(s->out.rows_train, 4);
    assert_int_equal(s->out.rows_over_cap, 0);
}

/* Below the shop's minimum there are no examples at all, and the message does not say how many there were. */
static void
examples_build_needs_the_minimum_crowd(void **state)
{
    struct example_shop *s = *state;
    s->rules.min_customers = 3;
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_OK);
    s->rules.min_customers = 4;
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_ERR_REFUSED);
    assert_string_equal(s->err.text, "fewer than 4 customers have train rows");
    assert_string_equal(s->refusals.list[0].code, "CUSTOMERS_TOO_FEW");
    assert_null(s->out.x_train);
}

/* Without a basis, or without a registry to tell who agreed, there are zero rows and the reason. */
static void
examples_build_without_basis_gives_nothing(void **state)
{
    struct example_shop *s = *state;
    s->rules.consent_source = false; /* although the set in the database names three */
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_OK);
    assert_int_equal(s->out.rows_train + s->out.rows_test, 0);
    assert_int_equal(s->out.zero_code, FT_REFUSAL_CONSENT_SOURCE_MISSING);
    assert_string_equal(s->out.zero_reason, "no consent source is set up, so no customer is eligible");
    s->rules.consent_source = true;
    s->rules.basis = FT_EXAMPLES_NONE;
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_OK);
    assert_int_equal(s->out.rows_train, 0);
    assert_int_equal(s->out.zero_code, FT_REFUSAL_BASIS_NONE);
    s->rules.basis = (enum ft_examples_basis)77; /* a broken rule is no basis */
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_OK);
    assert_int_equal(s->out.rows_train, 0);
}

/* Records are data without people: not these, and not for a task about customers. */
static void
examples_build_records_is_for_data_without_people(void **state)
{
    struct example_shop *s = *state;
    s->rules.basis = FT_EXAMPLES_RECORDS;
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_ERR_REFUSED);
    assert_string_equal(s->refusals.list[0].code, "BASIS_MISMATCH");
    s->task.unit = FT_UNIT_RECORD;
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_ERR_REFUSED);
    assert_non_null(strstr(s->err.text, "maps customer_id"));
    s->task.unit = FT_UNIT_STORE;
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_ERR_REFUSED);
    assert_non_null(strstr(s->err.text, "maps customer_id"));
}

/* A source without customers has its records, under that basis only. */
static void
examples_build_reads_records_of_a_source_without_customers(void **state)
{
    struct example_shop *s = *state;
    struct test_shop *shop = &s->shop;
    ft_source_close(shop->source);
    ft_source_config_clear(&shop->config);
    ft_source_config_init(&shop->config);
    shop->config.base_dir = ft_strdup(shop->folder);
    shop_map(&shop->config.transactions, "lines.csv", "basket_id product_id quantity");
    assert_int_equal(shop_open(shop), FT_OK);
    s->task.unit = FT_UNIT_RECORD;
    const char *sql =
        "SELECT product_id AS customer_id, 'train' AS split, 0 AS y, sum(quantity) AS f FROM transactions "
        "GROUP BY 1 ORDER BY 1";
    s->rules.basis = FT_EXAMPLES_RECORDS;
    assert_int_equal(example_build(s, sql), FT_OK);
    assert_int_equal(s->out.rows_train, 3);
    assert_true(s->out.x_train[0] == 504.0f);
    s->rules.one_by_one = true; /* with noise: a bad row is no refusal, which would tell of it */
    assert_int_equal(
        example_build(
            s, "SELECT product_id AS customer_id, CASE sum(quantity) WHEN 504 THEN 'never' ELSE 'train' "
               "END AS split, 0 AS y, 1 AS f FROM transactions GROUP BY 1 ORDER BY 1"),
        FT_OK);
    assert_int_equal(s->out.rows_train, 2);
    assert_int_equal(s->out.rows_unusable, 1);
    s->task.unit = FT_UNIT_STORE; /* a shop's own records: no people to ask, and no cap on a made-up customer_id */
    assert_int_equal(example_build(s, "SELECT 'x' AS customer_id, 'train' AS split, 0 AS y, 1 AS f FROM transactions"), FT_OK);
    assert_int_equal(s->out.rows_train, 7);
    s->task.unit = FT_UNIT_RECORD;
    s->rules.basis = FT_EXAMPLES_CONSENT; /* nobody is named, so nobody agreed */
    assert_int_equal(example_build(s, sql), FT_OK);
    assert_int_equal(s->out.rows_train, 0);
}

/* Lines without a customer are out unless the shop includes them; and then they still make no example of a
 * customer. */
static void
examples_build_leaves_anonymous_baskets_out(void **state)
{
    struct example_shop *s = *state;
    assert_int_equal(example_build(s, feature_sql("(SELECT sum(quantity) FROM transactions)")), FT_OK);
    assert_true(s->out.x_train[0] == 10.0f);
    s->rules.anonymous_baskets = true;
    assert_int_equal(example_build(s, feature_sql("(SELECT sum(quantity) FROM transactions)")), FT_OK);
    assert_true(s->out.x_train[0] == 710.0f);
    assert_int_equal(s->out.rows_train, 3);
    assert_int_equal(s->out.rows_without_customer, 1);
}

static float
total(struct example_shop *s, const struct ft_examples_exclude *rules, size_t count)
{
    s->rules.exclude = rules;
    s->rules.exclude_count = count;
    const enum ft_status st =
        example_build(s, "SELECT customer_id, 'train' AS split, 0 AS y, (SELECT sum(quantity) FROM "
                         "transactions) AS f FROM customers");
    if (st != FT_OK)
        fail_msg("%s", s->err.text);
    return s->out.rows_train > 0 ? s->out.x_train[0] : 0.0f;
}

/* A customer who is known in several shops is used by one: every row of theirs must name this shop, and with a
 * last date, as a budget has, the day they came must be no later. */
static void
examples_build_keeps_to_customers_of_this_home_store(void **state)
{
    struct example_shop *s = *state;
    struct test_shop *shop = &s->shop;
    ft_source_close(shop->source);
    shop_text(shop, "customers.csv",
              "customer_id,age,home,since\n"
              "101,30,here,2016-05-01\n"
              "102,17,there,2016-05-01\n"
              "103,60,here,2017-02-01\n"
              "104,50,here,2016-05-01\n" /* not eligible */
              "105,40,here,2016-05-01\n"
              "105,40,it's,2016-05-01\n" /* two shops call 105 theirs */
              "106,40,here,soon\n");
    ft_source_config_clear(&shop->config);
    ft_source_config_init(&shop->config);
    shop->config.base_dir = ft_strdup(shop->folder);
    shop_map(&shop->config.transactions, "lines.csv", "customer_id quantity");
    shop_map(&shop->config.customers, "customers.csv", "customer_id age home since");
    assert_int_equal(shop_open(shop), FT_OK);
    shop_eligible(shop, (const char *const[]){ "101", "102", "103", "105", "106", "999", NULL });

    assert_true(total(s, NULL, 0) == 610.0f); /* 104 has not agreed */
    s->rules.home = (struct ft_examples_home){ .column = "home", .is = "here" };
    assert_true(total(s, NULL, 0) == 7.0f);
    assert_int_equal(s->out.rows_train, 3); /* 101, 103, 106 */
    s->rules.home.since = "since";
    assert_true(total(s, NULL, 0) == 7.0f); /* outside a budget the date says nothing */
    s->rules.home.not_after = "2017-01-31";
    assert_true(total(s, NULL, 0) == 3.0f);
    assert_int_equal(s->out.rows_train, 1);
    s->rules.home.not_after = "2017-02-01";
    assert_true(total(s, NULL, 0) == 7.0f);
    assert_int_equal(s->out.rows_train, 2);
    s->rules.home = (struct ft_examples_home){ .column = "home", .is = "it's" };
    assert_true(total(s, NULL, 0) == 0.0f);
    s->rules.home = (struct ft_examples_home){ .column = "region", .is = "here" };
    assert_int_equal(example_build(s, feature_sql("1")), FT_ERR_CONFIG);
    assert_string_equal(s->err.text, "home_store: column customers.region is not mapped by this shop's source");
}

/* Standing exclusions leave no trace: a customer's rule takes the customer, a product's rule its lines,
 * others rows. */
static void
examples_build_applies_standing_exclusions(void **state)
{
    struct example_shop *s = *state;
    static const char *const id[] = { "101" }, *const tobacco[] = { "TOBACCO" },
                             *const basket[] = { "b2", "b3" };
    static const char *const two[] = { "2" }, *const quote[] = { "it's" }, *const word[] = { "x" };
    const struct ft_examples_exclude by_id = { "transactions", "customer_id", id, 1, 0 };
    const struct ft_examples_exclude by_product = { "products", "category", tobacco, 1, 0 };
    const struct ft_examples_exclude by_basket = { "transactions", "basket_id", basket, 2, 0 };
    const struct ft_examples_exclude by_number = { "transactions", "quantity", two, 1, 0 };
    const struct ft_examples_exclude minors = { "customers", "age", NULL, 0, 18 };
    const struct ft_examples_exclude adults = { "customers", "age", NULL, 0, 31 };
    const struct ft_examples_exclude small = { "transactions", "quantity", NULL, 0, 2.5 };
    const struct ft_examples_exclude nobody = { "transactions", "basket_id", quote, 1, 0 };
    const struct ft_examples_exclude bad_number = { "transactions", "quantity", word, 1, 0 };
    const struct ft_examples_exclude unmapped = { "transactions", "department", word, 1, 0 };
    const struct ft_examples_exclude unknown = { "transactions", "nonsense", word, 1, 0 };

    assert_true(total(s, NULL, 0) == 10.0f);
    assert_true(total(s, &by_id, 1) == 7.0f);
    assert_int_equal(s->out.rows_train, 2);
    assert_true(total(s, &by_product, 1) == 8.0f);
    assert_true(total(s, &by_basket, 1) == 3.0f);
    assert_true(total(s, &by_number, 1) == 8.0f);
    assert_true(total(s, &minors, 1) == 7.0f); /* 102 is 17 */
    assert_int_equal(s->out.rows_train, 2);
    assert_true(total(s, &adults, 1) == 4.0f);
    assert_true(total(s, &small, 1) == 7.0f);
    assert_true(total(s, &nobody, 1) == 10.0f);
    shop_eligible(&s->shop,
                  (const char *const[]){ "101", "105", "999", NULL }); /* 105 has no age, 999 no row */
    assert_true(total(s, &minors, 1) == 3.0f);
    shop_eligible(&s->shop, eligible_ids);

    s->rules.exclude = &unmapped;
    s->rules.exclude_count = 1;
    assert_int_equal(example_build(s, feature_sql("1")), FT_ERR_CONFIG);
    assert_string_equal(s->err.text,
                        "exclude: column transactions.department is not mapped by this shop's source");
    s->rules.exclude = &unknown;
    assert_int_equal(example_build(s, feature_sql("1")), FT_ERR_CONFIG);
    s->rules.exclude = &bad_number;
    assert_int_equal(example_build(s, feature_sql("1")), FT_ERR_CONFIG);
}

/* Fail each allocation of our own and all later ones: a clean status and no leak. */
static void
examples_build_survives_any_failed_allocation(void **state)
{
    struct example_shop *s = *state;
    const size_t live = ft_alloc_live();
    const char *sql = feature_sql("count(*)");
    for (uint64_t nth = 1;; nth++) {
        ft_alloc_fail_at(nth, true);
        const enum ft_status st = example_build(s, sql);
        const bool fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        if (!fired) {
            assert_int_equal(st, FT_OK);
            break;
        }
        assert_int_equal(st, FT_ERR_NOMEM);
        assert_int_equal(ft_alloc_live(), live);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, example_setup, example_teardown)

/* Run for one customer after the other, a query sees nobody else's rows: what it computes over "all" is each
 * one's own. */
static void
examples_one_by_one_shows_a_customer_nobody_else(void **state)
{
    struct example_shop *s = *state;
    static const char sql[] =
        "SELECT customer_id, 'train' AS split, 0 AS y, (SELECT sum(quantity) FROM transactions) AS f "
        "FROM transactions GROUP BY customer_id";
    s->features[0].max = 100;
    assert_int_equal(example_build(s, sql), FT_OK);
    assert_int_equal(s->out.rows_train, 3);
    const float all = s->out.x_train[0];
    assert_true(s->out.x_train[1] == all && s->out.x_train[2] == all);
    s->rules.one_by_one = true;
    assert_int_equal(example_build(s, sql), FT_OK);
    assert_int_equal(s->out.rows_train, 3);
    assert_int_equal(s->out.customers_train, 3);
    assert_true(s->out.x_train[0] < all && s->out.x_train[0] + s->out.x_train[1] + s->out.x_train[2] == all);
}

/* The limit is on what a customer's query takes, not on how much data the shop has beside it. */
static void
examples_one_by_one_takes_part_however_much_data_there_is(void **state)
{
    struct example_shop *s = *state;
    struct test_shop *shop = &s->shop;
    struct ft_buf lines = { 0 };

    assert_int_equal(ft_buf_str(&lines, "customer_id,basket_id,quantity\n101,b1,1\n102,b2,3\n103,b3,4\n"), FT_OK);
    for (int i = 0; i < 40000; i++)
        assert_int_equal(ft_buf_printf(&lines, "104,c%d,1\n", i), FT_OK);
    ft_source_close(shop->source);
    shop_file(shop, "lines.csv", (const char *)lines.data, lines.size);
    ft_buf_clear(&lines);
    ft_source_config_clear(&shop->config);
    ft_source_config_init(&shop->config);
    shop->config.base_dir = ft_strdup(shop->folder);
    shop_map(&shop->config.transactions, "lines.csv", "customer_id basket_id quantity");
    assert_int_equal(shop_open(shop), FT_OK);
    shop_eligible(shop, eligible_ids);
    s->rules.one_by_one = true;
    s->rules.query_memory = (uint64_t)1 << 19; /* the index that is made at first takes more */
    assert_int_equal(example_build(s, feature_sql("sum(quantity)")), FT_OK);
    assert_int_equal(s->out.rows_train, 3);
    assert_int_equal(s->out.customers_failed, 0);
}

/* A row that is no good, a made-up name and a query that fails for one customer leave that row or customer
 * out: no error, no refusal, and no minimum crowd, for each would tell something of the rows. */
static void
examples_one_by_one_leaves_out_what_is_bad(void **state)
{
    struct example_shop *s = *state;
    s->rules.one_by_one = true;
    s->rules.min_customers = 0;
    assert_int_equal(
        example_build(
            s, ROWS("('b1','train',0,NULL), ('b2','train',0,1), ('b3','never',0,1), ('b3','train',7,1)")),
        FT_OK);
    assert_int_equal(s->out.rows_train, 1);
    assert_int_equal(s->out.customers_train, 1);
    assert_int_equal(s->out.rows_unusable, 3);
    assert_int_equal(
        example_build(s, "SELECT 'x' AS customer_id, 'train' AS split, 0 AS y, 1 AS f FROM transactions"),
        FT_OK);
    assert_int_equal(s->out.rows_train, 0);
    assert_int_equal(
        example_build(s, "SELECT customer_id, 'train' AS split, 0 AS y, abs(CASE WHEN basket_id = 'b2' THEN "
                         "-9223372036854775807 - 1 ELSE 1 END) AS f FROM transactions ORDER BY basket_id"),
        FT_OK);
    assert_int_equal(s->out.customers_failed, 1);
    assert_int_equal(s->out.customers_train, 2);
    assert_int_equal(s->refusals.count, 0);
}

/* A query that never ends, or eats all memory, for one customer only: that customer is left out and the shop
 * takes part as ever. Else an aggregator's query could ask yes or no about one customer, with no noise on the
 * answer. */
static void
examples_one_by_one_bounds_what_one_customer_can_take(void **state)
{
    static const char *const sql[] = {
        "WITH RECURSIVE k(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE EXISTS (SELECT 1 FROM "
        "transactions WHERE "
        "basket_id = 'b2')) SELECT customer_id, 'train' AS split, 0 AS y, (SELECT max(i) FROM k) >= 0 AS f "
        "FROM transactions ORDER BY basket_id",
        "WITH RECURSIVE k(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE EXISTS (SELECT 1 FROM "
        "transactions WHERE "
        "basket_id = 'b2')) SELECT customer_id, 'train' AS split, 0 AS y, 1 AS f FROM k, transactions",
    };
    struct example_shop *s = *state;
    s->rules.one_by_one = true;
    for (size_t i = 0; i < sizeof sql / sizeof sql[0]; i++) {
        s->rules.query_ms = 60000;
        s->rules.query_memory = (uint64_t)256 << 20;
        if (example_build(s, sql[i]) != FT_OK)
            fail_msg("query %zu: %s", i, s->refusals.count > 0 ? s->refusals.list[0].reason : "?");
        assert_int_equal(s->out.customers_failed, 1);
        assert_int_equal(s->out.customers_train, 2);
        assert_int_equal(s->refusals.count, 0);
    }
    /* What memory holds while it runs is free again once it has ended: 5000 texts of 1 KiB, for one customer.
     */
    static const char big[] =
        "WITH RECURSIVE k(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE i < 5000 * (SELECT count(*) "
        "FROM "
        "transactions WHERE basket_id = 'b2')), a(s) AS (SELECT "
        "'0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'), b(s) AS (SELECT s || s || s || "
        "s FROM a), "
        "m AS MATERIALIZED (SELECT i || b.s || b.s || b.s || b.s AS t FROM k, b ORDER BY t) SELECT "
        "customer_id, "
        "'train' AS split, 0 AS y, (SELECT max(t) FROM m) > '' AS f FROM transactions ORDER BY basket_id";
    for (int wide = 0; wide < 2; wide++) {
        s->rules.query_memory = (uint64_t)(wide ? 256 : 2) << 20;
        if (example_build(s, big) != FT_OK)
            fail_msg("memory: %s", s->refusals.count > 0 ? s->refusals.list[0].reason : s->err.text);
        assert_int_equal(s->out.customers_failed, wide ? 0 : 1);
        assert_int_equal(s->out.customers_train, wide ? 3 : 2);
        assert_int_equal(s->refusals.count, 0);
    }
}

/* A task of unit store, as the shop builds every task with noise. */
static struct example_shop *
store_task(void **state)
{
    struct example_shop *s = *state;
    s->task.unit = FT_UNIT_STORE;
    s->rules.one_by_one = true;
    return s;
}

/* Unit store: the rows are those of customers who agreed, at most rows_per_customer of each, though they count as one
 * shop's; a name that is nobody's gives no row, and a row that is no good is left out, all of it untold. */
static void
examples_of_a_store_are_of_consenting_customers(void **state)
{
    struct example_shop *s = store_task(state);
    assert_int_equal(example_build(s, "SELECT customer_id, 'train' AS split, 0 AS y, quantity AS f FROM transactions ORDER BY "
                                      "basket_id, quantity"),
                     FT_OK);
    assert_int_equal(s->out.rows_train, 3); /* 101, once of two, 102 and 103; never 104, 105 or nobody */
    assert_int_equal(s->out.customers_train, 3);
    assert_int_equal(s->out.rows_over_cap, 1);
    assert_true(s->out.x_train[0] == 1 && s->out.x_train[1] == 3 && s->out.x_train[2] == 4);
    assert_int_equal(example_build(s, "SELECT 'x' || customer_id AS customer_id, 'train' AS split, 0 AS y, 1 AS f FROM "
                                      "transactions"),
                     FT_OK);
    assert_int_equal(s->out.rows_train, 0);
    assert_int_equal(s->out.rows_unusable, 4);
    assert_int_equal(
        example_build(s, ROWS("('b1','train',0,NULL), ('b2','train',0,1), ('b3','never',0,1), ('b3','train',7,1)")), FT_OK);
    assert_int_equal(s->out.rows_train, 1);
    assert_int_equal(s->out.rows_unusable, 3);
    s->rules.consent_source = false; /* nobody has agreed: the shop takes part with no rows */
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_OK);
    assert_int_equal(s->out.rows_train, 0);
    assert_int_equal(s->refusals.count, 0);
}

/* Unit store: lines without a customer are the shop's own rows where its policy includes them, and only there. */
static void
examples_of_a_store_hold_anonymous_lines_where_the_policy_says_so(void **state)
{
    static const char sql[] = "SELECT customer_id, 'train' AS split, 0 AS y, quantity AS f FROM transactions ORDER BY basket_id, "
                              "quantity";
    struct example_shop *s = store_task(state);
    s->rules.anonymous_baskets = true;
    assert_int_equal(example_build(s, sql), FT_OK);
    assert_int_equal(s->out.rows_train, 4);
    assert_true(s->out.x_train[3] == 700);
    assert_int_equal(s->out.customers_train, 3);
    s->rules.anonymous_baskets = false;
    assert_int_equal(example_build(s, "SELECT NULL AS customer_id, 'train' AS split, 0 AS y, 1 AS f FROM transactions"), FT_OK);
    assert_int_equal(s->out.rows_train, 0);
    assert_int_equal(s->out.rows_unusable, 4);
}

/* A millisecond passes each time it is looked at. */
static uint64_t
racing_clock(void *ctx)
{
    return ++*(uint64_t *)ctx;
}

/* Unit store: nothing that the rows do to the query keeps the shop out, or is told: no failure, no limit of time or of
 * rows. Else an aggregator's query could ask yes or no about the shop, with no noise on the answer. */
static void
examples_of_a_store_never_decide_whether_it_takes_part(void **state)
{
    struct example_shop *s = store_task(state);
    uint64_t clock = 0;
    const struct ft_env env = { .now_ms = racing_clock, .ctx = &clock };
    s->rules.env = &env;
    assert_int_equal(example_build(s, "SELECT customer_id, 'train' AS split, 0 AS y, abs(CASE WHEN basket_id = 'b2' THEN "
                                      "-9223372036854775807 - 1 ELSE 1 END) AS f FROM transactions ORDER BY basket_id"),
                     FT_OK);
    assert_int_equal(s->out.rows_train, 0);
    assert_int_equal(s->out.customers_train, 0);
    assert_int_equal(s->out.customers_failed, 1);
    s->rules.query_ms = 2000;
    assert_int_equal(example_build(s, "WITH RECURSIVE k(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE EXISTS (SELECT 1 "
                                      "FROM transactions WHERE basket_id = 'b2')) SELECT customer_id, 'train' AS split, 0 AS y, "
                                      "(SELECT max(i) FROM k) >= 0 AS f FROM transactions"),
                     FT_OK);
    assert_int_equal(s->out.rows_train, 0);
    assert_int_equal(s->out.customers_failed, 1);
    s->rules.query_ms = 0;
    s->rules.query_rows = 2;
    s->task.rows_per_customer = 9;
    assert_int_equal(example_build(s, "SELECT customer_id, 'train' AS split, 0 AS y, quantity AS f FROM transactions ORDER BY "
                                      "quantity"),
                     FT_OK);
    assert_int_equal(s->out.rows_train, 2); /* the first ones */
    assert_true(s->out.x_train[0] == 1 && s->out.x_train[1] == 2);
    assert_int_equal(s->out.rows_over_cap, 1);
    assert_int_equal(s->refusals.count, 0);
    /* What is wrong with the task itself is told as ever: it says nothing of the rows. */
    assert_int_equal(example_build(s, "SELECT customer_id, 'train' AS split, 0 AS y FROM transactions"), FT_ERR_FORMAT);
    assert_int_equal(example_build(s, "SELECT customer_id, 'train' AS split, 0 AS y, amount AS f FROM transactions"),
                     FT_ERR_REFUSED);
}

/* The customers together have no limit that one more of them could break, or the shop would take part or not
 * by their number and all of their rows hang on it; each has its share of the time by the number that the
 * shop declares. */
static void
examples_one_by_one_has_no_limit_on_all_customers_together(void **state)
{
    static const char slow[] =
        "WITH RECURSIVE k(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE i < 40000) "
        "SELECT customer_id, 'train' AS split, 0 AS y, (SELECT max(i) FROM k) > 0 AS f FROM transactions "
        "GROUP BY customer_id";
    struct example_shop *s = *state;
    uint64_t clock = 0;
    const struct ft_env env = { .now_ms = racing_clock, .ctx = &clock };
    s->rules.one_by_one = true;
    s->rules.env = &env;
    s->rules.query_ms = 1000;
    for (int declared = 0; declared < 2; declared++) {
        s->rules.declared_customers = declared ? 1000 : 0;
        if (example_build(s, slow) != FT_OK)
            fail_msg("%s", s->err.text);
        assert_int_equal(s->out.customers_train, declared ? 0 : 3);
        assert_int_equal(s->out.customers_failed, declared ? 3 : 0);
        assert_int_equal(s->refusals.count, 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(examples_one_by_one_has_no_limit_on_all_customers_together),
        TEST(examples_one_by_one_bounds_what_one_customer_can_take),
        TEST(examples_build_finds_columns_by_name),
        TEST(examples_one_by_one_shows_a_customer_nobody_else),
        TEST(examples_one_by_one_takes_part_however_much_data_there_is),
        TEST(examples_one_by_one_leaves_out_what_is_bad),
        TEST(examples_of_a_store_are_of_consenting_customers),
        TEST(examples_of_a_store_hold_anonymous_lines_where_the_policy_says_so),
        TEST(examples_of_a_store_never_decide_whether_it_takes_part),
        TEST(examples_build_names_missing_columns),
        TEST(examples_build_refuses_values_that_are_no_number),
        TEST(examples_build_clips_and_counts),
        TEST(examples_build_checks_labels_by_model),
        TEST(examples_build_checks_split_and_customer),
        TEST(examples_build_refuses_made_up_customers),
        TEST(examples_build_caps_rows_of_a_customer),
        TEST(examples_build_needs_the_minimum_crowd),
        TEST(examples_build_without_basis_gives_nothing),
        TEST(examples_build_records_is_for_data_without_people),
        TEST(examples_build_reads_records_of_a_source_without_customers),
        TEST(examples_build_leaves_anonymous_baskets_out),
        TEST(examples_build_applies_standing_exclusions),
        TEST(examples_build_keeps_to_customers_of_this_home_store),
        TEST(examples_build_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
