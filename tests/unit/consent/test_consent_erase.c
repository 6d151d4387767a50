/* Erasure: no byte of the customer is left, they do not come back, and an interruption is made good. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/consent/erase.h"
#include "client/source/forget.h"
#include "tests/support/shop.h"

#include <sqlite3.h>

#define P   "train/propensity"
#define NOW ((uint64_t)1000000)

struct registry {
    struct test_shop shop;
    char path[256];
    struct ft_consent *consent;
};

static int
setup(void **state)
{
    struct registry *r = calloc(1, sizeof *r);
    shop_init(&r->shop);
    snprintf(r->path, sizeof r->path, "%s/state.db", r->shop.folder);
    if (ft_consent_open(r->path, &r->shop.key, &r->consent, NULL) != FT_OK)
        return -1;
    *state = r;
    return 0;
}

static int
teardown(void **state)
{
    struct registry *r = *state;
    ft_consent_close(r->consent);
    shop_close(&r->shop);
    free(r);
    return 0;
}

static bool
give(struct registry *r, const char *id, uint64_t at)
{
    const struct ft_consent_event e = {
        .purpose = P, .state = FT_CONSENT_GIVEN, .at_ms = at, .notice = "v1", .method = "desk"
    };
    bool added;
    assert_int_equal(ft_consent_record(r->consent, id, &e, NOW, &added, NULL), FT_OK);
    return added;
}

static uint64_t
eligible(struct registry *r, struct ft_consent_mark *mark)
{
    uint64_t count = 99;
    assert_int_equal(ft_consent_eligible(r->consent, P, NOW, r->shop.db, &count, mark, NULL), FT_OK);
    return count;
}

static struct ft_erasure
erase(struct registry *r, const char *id)
{
    struct ft_erasure e;
    struct ft_error err = { 0 };
    if (ft_consent_erase(r->consent, id, NOW, &e, &err) != FT_OK)
        fail_msg("%s", err.text);
    return e;
}

/* Does any file of the database hold the customer's pseudonym? */
static bool
on_disk(struct registry *r, const char *id)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    struct ft_pseudonym p;
    bool found = false;
    ft_pseudonym_make(&r->shop.key, id, strlen(id), &p);
    for (size_t i = 0; i < 3; i++) {
        char path[300];
        struct ft_buf bytes = { 0 };
        snprintf(path, sizeof path, "%s%s", r->path, ends[i]);
        if (ft_file_read(path, 1 << 26, &bytes, NULL) != FT_OK)
            continue;
        found = found || memmem(bytes.data, bytes.size, p.text, FT_PSEUDONYM_LENGTH) != NULL;
        ft_buf_clear(&bytes);
    }
    return found;
}

/* With hundreds of neighbours, whose pages were split and merged: not one byte of the pseudonym stays. */
static void
an_erased_customer_is_in_no_byte_of_the_registry(void **state)
{
    struct registry *r = *state;
    char id[16];
    for (int i = 0; i < 600; i++) {
        snprintf(id, sizeof id, "c%d", i);
        give(r, id, 1000 + (uint64_t)i);
        give(r, id, 2000 + (uint64_t)i);
    }
    assert_true(on_disk(r, "c123"));
    const struct ft_erasure e = erase(r, "c123");
    assert_int_equal(e.events, 2);
    assert_true(e.scrubbed);
    assert_false(e.again);
    assert_int_equal(strlen(e.receipt), 32);
    assert_false(on_disk(r, "c123"));
    assert_true(on_disk(r, "c124"));
    assert_int_equal(eligible(r, NULL), 599);
}

/* Whoever read the eligible set before has to read it anew, though the last event may be the one that went. */
static void
an_erasure_changes_every_mark(void **state)
{
    struct registry *r = *state;
    struct ft_consent_mark mark;
    give(r, "a", 1000);
    give(r, "b", 1001);
    assert_int_equal(eligible(r, &mark), 2);
    assert_true(ft_consent_unchanged(r->consent, &mark, NOW));
    (void)erase(r, "b");
    assert_false(ft_consent_unchanged(r->consent, &mark, NOW));
    assert_int_equal(eligible(r, &mark), 1);
    give(r, "c", 1002); /* its number fills the gap */
    assert_false(ft_consent_unchanged(r->consent, &mark, NOW));
}

/* A later grant of the same customer is passed over; erasing twice, or somebody unknown, is no error. */
static void
an_erased_customer_does_not_come_back(void **state)
{
    struct registry *r = *state;
    give(r, "a", 1000);
    (void)erase(r, "a");
    assert_false(give(r, "a", 5000));
    assert_int_equal(eligible(r, NULL), 0);
    assert_true(erase(r, "a").again);
    assert_false(erase(r, "nobody").again);
    ft_consent_close(r->consent);
    assert_int_equal(ft_consent_open(r->path, &r->shop.key, &r->consent, NULL), FT_OK);
    assert_false(give(r, "a", 6000));
    assert_int_equal(eligible(r, NULL), 0);
}

/* The history of everybody else is as append-only as before. */
static void
an_erasure_leaves_the_history_append_only(void **state)
{
    struct registry *r = *state;
    sqlite3 *db = NULL;
    give(r, "a", 1000);
    give(r, "b", 1000);
    (void)erase(r, "a");
    assert_int_equal(sqlite3_open(r->path, &db), SQLITE_OK);
    assert_int_not_equal(sqlite3_exec(db, "DELETE FROM consent_event", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* While somebody reads an old snapshot the log cannot be cut: that is owed, told, and made good at the next chance. */
static void
a_rewriting_that_was_hindered_is_made_good(void **state)
{
    struct registry *r = *state;
    sqlite3 *reader = NULL;
    bool clean = true;
    give(r, "a", 1000);
    give(r, "b", 1000);
    assert_int_equal(sqlite3_open(r->path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM consent_event", NULL, NULL, NULL), SQLITE_OK);
    assert_false(erase(r, "a").scrubbed);
    assert_int_equal(eligible(r, NULL), 1); /* the erasure itself stands */
    assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    ft_consent_close(r->consent); /* the program ends here */
    assert_int_equal(ft_consent_open(r->path, &r->shop.key, &r->consent, NULL), FT_OK);
    assert_int_equal(ft_consent_scrub(r->consent, &clean, NULL), FT_OK);
    assert_true(clean);
    assert_false(on_disk(r, "a"));
    assert_true(on_disk(r, "b"));
}

static bool
is_erased(void *ctx, const struct ft_pseudonym *customer)
{
    return ft_consent_is_erased(ctx, customer);
}

/* Rows of the records go too, and only those; a hold is found by what the records say. */
static void
rows_of_erased_customers_leave_the_records(void **state)
{
    struct registry *r = *state;
    static const char *const yes[] = { "yes" }, *const no[] = { "no" };
    struct ft_pseudonym b;
    uint64_t customers = 0;
    bool has = false;
    shop_text(&r->shop, "t.csv", "customer_id,week,amount\na,1,10\nb,1,20\na,2,30\n,2,5\nb,3,40\n");
    shop_text(&r->shop, "c.csv", "customer_id,vip\na,no\nb,yes\n");
    shop_map(&r->shop.config.transactions, "t.csv", "customer_id week amount");
    shop_map(&r->shop.config.customers, "c.csv", "customer_id vip");
    assert_int_equal(shop_open(&r->shop), FT_OK);
    ft_pseudonym_make(&r->shop.key, "b", 1, &b);
    assert_int_equal(ft_db_customer_has(r->shop.db, &b, "customers", "vip", yes, 1, 0, &has, NULL), FT_OK);
    assert_true(has);
    assert_int_equal(ft_db_customer_has(r->shop.db, &b, "customers", "vip", no, 1, 0, &has, NULL), FT_OK);
    assert_false(has);
    assert_int_equal(ft_db_customer_has(r->shop.db, &b, "transactions", "week", NULL, 0, 2, &has, NULL), FT_OK);
    assert_true(has);
    assert_int_equal(ft_db_customer_has(r->shop.db, &b, "transactions", "nothing", NULL, 0, 2, &has, NULL),
                     FT_ERR_CONFIG);
    (void)erase(r, "b");
    assert_int_equal(ft_db_forget(r->shop.db, is_erased, r->consent, &customers, NULL), FT_OK);
    assert_int_equal(customers, 1);
    assert_int_equal(ft_db_eligible_everyone(r->shop.db, &customers, NULL), FT_OK);
    assert_int_equal(customers, 1);
    assert_int_equal(ft_db_customer_has(r->shop.db, &b, "customers", "vip", yes, 1, 0, &has, NULL), FT_OK);
    assert_false(has);
    assert_int_equal(ft_db_forget(r->shop.db, is_erased, r->consent, &customers, NULL), FT_OK);
    assert_int_equal(customers, 0);
}

int
main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(an_erased_customer_is_in_no_byte_of_the_registry),
        CASE(an_erasure_changes_every_mark),
        CASE(an_erased_customer_does_not_come_back),
        CASE(an_erasure_leaves_the_history_append_only),
        CASE(a_rewriting_that_was_hindered_is_made_good),
        CASE(rows_of_erased_customers_leave_the_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
