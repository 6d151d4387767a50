#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/source/check.h"
#include "tests/support/shop.h"

#include <jansson.h>

#define HEADER "customer_id,basket_id,ts,department,quantity,amount\n"
#define NOW_MS ((uint64_t)1500000000 * 1000) /* 2017-07-14 */

static int
setup(void **state)
{
    struct test_shop *shop = calloc(1, sizeof *shop);
    shop_init(shop);
    shop_map(&shop->config.transactions, "*.csv", "customer_id basket_id ts department quantity amount");
    shop->config.max_reject_ratio = 0.5;
    *state = shop;
    return 0;
}

static int
teardown(void **state)
{
    shop_close(*state);
    free(*state);
    return 0;
}

static const struct ft_source_summary *
summarise(struct test_shop *shop, const char *text)
{
    static struct ft_source_summary s;
    shop_text(shop, "a.csv", text);
    assert_int_equal(shop_open(shop), FT_OK);
    assert_int_equal(ft_source_summarise(shop->source, NOW_MS, &s, NULL), FT_OK);
    return &s;
}

static bool
warned(const struct ft_source_summary *s, const char *name)
{
    for (size_t i = 0; i < s->warning_count; i++)
        if (strcmp(s->warnings[i].name, name) == 0)
            return true;
    return false;
}

/* The golden summary of three lines, as text. */
static void
source_check_summarises_in_counts(void **state)
{
    struct test_shop *shop = *state;
    const struct ft_source_summary *s = summarise(shop, HEADER "CUSTOMER1,b1,2017-01-01 08:00:00,FOOD,1,2.5\n"
                                                               "CUSTOMER1,b1,2017-01-01 08:00:00,FOOD,2,\n"
                                                               ",b2,2017-03-01 09:00:00,,3,10\n"
                                                               "CUSTOMER1,b1,2017-01-01,FOOD,2,1\n");
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    ft_source_summary_print(s, ft_source_quarantine(shop->source), f);
    fclose(f);
    assert_string_equal(text,
                        "files      1 (0 skipped as duplicates)\n"
                        "lines      3 (1 rejected)\n"
                        "customers  1 (1 lines without one)\n"
                        "baskets    2\n"
                        "products   0\n"
                        "dates      2017-01-01 08:00:00 to 2017-03-01 09:00:00\n"
                        "columns\n"
                        "  customer_id     33.33 % missing\n"
                        "  basket_id        0.00 % missing, 2 values\n"
                        "  ts               0.00 % missing\n"
                        "  department      33.33 % missing, 1 values\n"
                        "  quantity         0.00 % missing, 1 to 3\n"
                        "  amount          33.33 % missing, 2.5 to 10\n"
                        "warning[REJECTED_ROWS]: 1 rows were rejected\n"
                        "rejected a.csv:5: column ts: expected a date and time in the configured format\n");
    assert_null(strstr(text, "CUSTOMER1"));
    free(text);
}

/* The same as an object that a program can read. */
static void
source_check_gives_the_same_as_json(void **state)
{
    struct test_shop *shop = *state;
    const struct ft_source_summary *s = summarise(shop, HEADER "1,b1,2017-01-01 08:00:00,FOOD,1,2.5\n");
    json_t *object = ft_source_summary_json(s, ft_source_quarantine(shop->source));
    json_t *amount = json_array_get(json_object_get(object, "columns"), 5);
    assert_int_equal(json_integer_value(json_object_get(object, "rows")), 1);
    assert_int_equal(json_integer_value(json_object_get(object, "customers")), 1);
    assert_string_equal(json_string_value(json_object_get(object, "first_ts")), "2017-01-01 08:00:00");
    assert_string_equal(json_string_value(json_object_get(amount, "name")), "amount");
    assert_true(json_real_value(json_object_get(amount, "min")) == 2.5);
    assert_int_equal(json_array_size(json_object_get(object, "warnings")), 0);
    json_decref(object);
}

/* Each named warning appears for its cause. */
static void
source_check_names_its_warnings(void **state)
{
    struct test_shop *shop = *state;
    const struct ft_source_summary *s = summarise(shop, HEADER);
    assert_true(warned(s, "EMPTY_SOURCE"));
    ft_source_close(shop->source);
    s = summarise(shop, HEADER "1,b1,2017-08-01 08:00:00,,1,2.5\n1,b1,2017-07-14 20:00:00,,-1,2.5\n");
    assert_true(warned(s, "FUTURE_DATES"));
    assert_true(warned(s, "NEGATIVE_QUANTITIES"));
    assert_true(warned(s, "MISSING_VALUES"));
    assert_false(warned(s, "EMPTY_SOURCE"));
    assert_false(warned(s, "DOMINANT_CUSTOMER"));
}

/* Lines of `all`, of which `mine` are one customer's and the rest everybody's own. */
static const struct ft_source_summary *
shared(struct test_shop *shop, int all, int mine)
{
    const struct ft_source_summary *s;
    struct ft_buf text = { 0 };
    assert_int_equal(ft_buf_str(&text, HEADER), FT_OK);
    for (int i = 0; i < all; i++)
        assert_int_equal(ft_buf_printf(&text, "%d,b,2017-01-01 00:00:00,x,1,1\n", i < mine ? 0 : i), FT_OK);
    assert_int_equal(ft_buf_u8(&text, 0), FT_OK);
    s = summarise(shop, (const char *)text.data);
    ft_buf_clear(&text);
    return s;
}

/* A till's default card shows as one customer with more than a tenth of the lines, in a shop large enough to
 * tell. */
static void
source_check_finds_an_implausible_customer(void **state)
{
    struct test_shop *shop = *state;
    assert_true(warned(shared(shop, 1000, 101), "DOMINANT_CUSTOMER"));
    ft_source_close(shop->source);
    assert_false(warned(shared(shop, 1000, 100), "DOMINANT_CUSTOMER"));
    ft_source_close(shop->source);
    assert_false(warned(shared(shop, 999, 500), "DOMINANT_CUSTOMER"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(source_check_summarises_in_counts),
        TEST(source_check_gives_the_same_as_json),
        TEST(source_check_names_its_warnings),
        TEST(source_check_finds_an_implausible_customer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
