/* Unit store in a task: what its file may leave out, what contradicts it, and its canonical bytes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "task_sample.h"

static struct ft_findings findings;

#define SHOPS "  shops: [{shop: a}, {shop: b}, {shop: c}, {shop: d}, {shop: e}, {shop: f}]\n"
#define WISH  "privacy:\n  noise: discrete-gaussian\n  epsilon: 8\n  delta: 1.0e-3\n"

/* The sample with another unit and privacy section; static storage. */
static const char *
sample_of(const char *unit, const char *privacy)
{
    static char text[4096];
    const char *all = sample_with("privacy: {noise: none}\n", privacy), *at = strstr(all, "unit: customer");

    snprintf(text, sizeof text, "%.*sunit: %s%s", (int)(at - all), all, unit, at + strlen("unit: customer"));
    return text;
}

static struct ft_task
good(const char *privacy)
{
    struct ft_task t;
    if (sample_read(sample_of("store", privacy), &t, &findings) != FT_OK)
        fail_msg("%u:%u: %s", findings.list[0].line, findings.list[0].column, findings.list[0].text);
    return t;
}

static void
expect(const char *unit, const char *privacy, const char *golden)
{
    struct ft_task task;
    char told[512];

    assert_int_equal(sample_read(sample_of(unit, privacy), &task, &findings), FT_ERR_CONFIG);
    snprintf(told, sizeof told, "%u:%u: %s", findings.list[0].line, findings.list[0].column,
             findings.list[0].text);
    assert_string_equal(told, golden);
    assert_int_equal(findings.total, 1);
    assert_null(task.name);
}

/* Shops are listed by name; each is one unit that takes part in every round with the change of the model over
 * its rows. */
static void
task_store_lists_shops_by_name_alone(void **state)
{
    const size_t live = ft_alloc_live();
    struct ft_task t = good(WISH SHOPS);
    (void)state;

    assert_int_equal(t.unit, FT_UNIT_STORE);
    assert_string_equal(ft_unit_name(t.unit), "store");
    assert_int_equal(t.privacy.shop_count, 6);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(t.privacy.shops[i].customers, 1);
    assert_true(t.privacy.expected_customers == 6);
    assert_int_equal(t.privacy.m_stores, 1);
    assert_int_equal(t.privacy.contribution, FT_CONTRIBUTION_DELTA);
    ft_task_clear(&t);
    t = good(
        WISH
        "  expected_customers: 6\n  m_stores: 1\n  contribution: local-delta\n  spare_rounds: 2\n" SHOPS);
    assert_int_equal(t.privacy.spare_rounds, 2); /* saying what follows is no contradiction */
    ft_task_clear(&t);
    assert_int_equal(ft_alloc_live(), live);
}

/* What contradicts the unit is told at its place, with what was found and what was expected. */
static void
task_store_contradictions_are_told_at_their_place(void **state)
{
    (void)state;
    expect("shop", WISH SHOPS, "8:7: 'unit' is 'shop', expected one of customer, record, store");
    expect("store", "privacy: {noise: none}\n",
           "20:11: privacy.noise is none, expected discrete-gaussian: unit store is a claim about shops, and "
           "without noise "
           "there is none; a task without noise is of unit customer or record");
    expect("store", WISH "  expected_customers: 3\n" SHOPS,
           "24:3: privacy.expected_customers is 3, expected 6, each of the named shops, or no such key: with "
           "unit store "
           "there is no sampling (q = 1)");
    expect("store", WISH "  expected_customers: 7\n" SHOPS,
           "24:3: privacy.expected_customers is 7, expected 6, each of the named shops, or no such key: with "
           "unit store "
           "there is no sampling (q = 1)");
    expect("store", WISH "  m_stores: 3\n" SHOPS,
           "24:3: privacy.m_stores is 3, expected 1 or no such key: with unit store a unit is one shop");
    expect("store", WISH "  contribution: gradient\n" SHOPS,
           "24:3: privacy.contribution is gradient, expected local-delta or no such key: with unit store a "
           "shop adds one "
           "vector, the change of the model over all its rows");
    expect("store",
           WISH
           "  shops: [{shop: a}, {shop: b}, {shop: c, customers: 40}, {shop: d}, {shop: e}, {shop: f}]\n",
           "24:43: 'customers' is 40, but with unit store each shop counts as one: leave the key out");
    expect("store", WISH "  shops: [{shop: a}, {shop: b}]\n",
           "24:3: privacy.shops names 2 shops, expected at least cohort.n_min 6");
}

/* The other units still need every shop's declared customers. */
static void
task_store_other_units_declare_customers(void **state)
{
    (void)state;
    expect("customer",
           WISH "  expected_customers: 60\n  m_stores: 1\n  contribution: gradient\n"
                "  shops: [{shop: a, customers: 20}, {shop: b, customers: 20}, {shop: c, customers: 20},\n"
                "          {shop: d, customers: 20}, {shop: e}, {shop: f, customers: 20}]\n",
           "28:37: missing key 'customers', expected a whole number from 1 to 1000000000");
}

static void
refused(const struct ft_task *t, const char *says)
{
    struct ft_error err = { 0 };
    assert_int_equal(ft_task_validate(t, &err), FT_ERR_CONFIG);
    if (strstr(err.text, says) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, says);
}

/* Canonical bytes carry the unit, and a shop that opens them holds them to the same rules as the file. */
static void
task_store_bytes_keep_the_same_rules(void **state)
{
    struct ft_task t = good(WISH SHOPS), back;
    const struct ft_task_privacy kept = t.privacy;
    struct ft_buf bytes = { 0 };
    (void)state;

    assert_int_equal(ft_task_encode(&t, &bytes), FT_OK);
    assert_int_equal(ft_task_decode(ft_buf_bytes(&bytes), &back, NULL), FT_OK);
    assert_int_equal(back.unit, FT_UNIT_STORE);
    assert_int_equal(back.privacy.shops[5].customers, 1);
    ft_task_clear(&back);
    ft_buf_clear(&bytes);

    t.privacy.shops[2].customers = 2;
    refused(&t, "privacy.shops: shop 3 declares 2 customers, expected 1");
    t.privacy.shops[2].customers = 1;
    t.privacy.expected_customers = 5.5;
    refused(&t, "privacy.expected_customers is 5.5, expected 6");
    t.privacy = kept;
    t.privacy.m_stores = 0;
    refused(&t, "privacy.m_stores is 0, expected 1");
    t.privacy = kept;
    t.privacy.contribution = 0;
    refused(&t, "privacy.contribution is missing, expected local-delta");
    t.privacy = kept;
    t.unit = (enum ft_unit)4;
    refused(&t, "unit is 4, expected customer (1), record (2) or store (3)");
    t.unit = FT_UNIT_STORE;
    t.noise = 0;
    refused(&t, "privacy.noise is none, expected discrete-gaussian");
    ft_task_clear(&t);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(task_store_lists_shops_by_name_alone),
        cmocka_unit_test(task_store_contradictions_are_told_at_their_place),
        cmocka_unit_test(task_store_other_units_declare_customers),
        cmocka_unit_test(task_store_bytes_keep_the_same_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
