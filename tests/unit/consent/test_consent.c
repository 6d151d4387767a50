#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/consent/consent.h"
#include "client/source/db_internal.h"
#include "common/base/env.h"
#include "tests/support/shop.h"

#include <sqlite3.h>

#define P     "train/propensity"
#define OTHER "score/propensity"
#define NOW   ((uint64_t)1000000)

struct registry {
    struct test_shop shop; /* for its folder, key and database */
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
record(struct registry *r, const char *id, const char *purpose, enum ft_consent_state state, uint64_t at,
       uint64_t expires)
{
    struct ft_consent_event e = {
        .state = state, .at_ms = at, .expires_ms = expires, .notice = "v1", .method = "desk"
    };
    struct ft_error err = { 0 };
    bool added;
    snprintf(e.purpose, sizeof e.purpose, "%s", purpose);
    if (ft_consent_record(r->consent, id, &e, NOW, &added, &err) != FT_OK)
        fail_msg("%s", err.text);
    return added;
}

static enum ft_consent_state
state_of(struct registry *r, const char *id, const char *purpose, uint64_t now)
{
    enum ft_consent_state s;
    assert_int_equal(ft_consent_state_of(r->consent, id, purpose, now, &s, NULL), FT_OK);
    return s;
}

static uint64_t
eligible(struct registry *r, const char *purpose, uint64_t now, struct ft_consent_mark *mark)
{
    uint64_t count = 99;
    assert_int_equal(ft_consent_eligible(r->consent, purpose, now, r->shop.db, &count, mark, NULL), FT_OK);
    return count;
}

/* Nobody is eligible before anything was recorded, and one customer's consent is no other's. */
static void
consent_unknown_means_no(void **state)
{
    struct registry *r = *state;
    assert_int_equal(state_of(r, "906", P, NOW), FT_CONSENT_UNKNOWN);
    assert_int_equal(eligible(r, P, NOW, NULL), 0);
    record(r, "906", P, FT_CONSENT_GIVEN, 1, 0);
    assert_int_equal(state_of(r, "906", P, NOW), FT_CONSENT_GIVEN);
    assert_int_equal(state_of(r, "907", P, NOW), FT_CONSENT_UNKNOWN);
    assert_int_equal(eligible(r, P, NOW, NULL), 1);
}

/* One purpose never implies another. */
static void
consent_is_for_one_purpose(void **state)
{
    struct registry *r = *state;
    record(r, "906", P, FT_CONSENT_GIVEN, 1, 0);
    assert_int_equal(state_of(r, "906", OTHER, NOW), FT_CONSENT_UNKNOWN);
    assert_int_equal(eligible(r, OTHER, NOW, NULL), 0);
}

/* The later event wins whatever was recorded first; at equal times the one that is no grant. */
static void
consent_later_event_wins(void **state)
{
    struct registry *r = *state;
    record(r, "1", P, FT_CONSENT_GIVEN, 20, 0);
    record(r, "1", P, FT_CONSENT_WITHDRAWN, 10, 0);
    assert_int_equal(state_of(r, "1", P, NOW), FT_CONSENT_GIVEN);
    record(r, "1", P, FT_CONSENT_WITHDRAWN, 20, 0);
    assert_int_equal(state_of(r, "1", P, NOW), FT_CONSENT_WITHDRAWN);
    record(r, "1", P, FT_CONSENT_GIVEN, 21, 0);
    assert_int_equal(state_of(r, "1", P, NOW), FT_CONSENT_GIVEN);
    assert_int_equal(state_of(r, "1", P, 20), FT_CONSENT_WITHDRAWN); /* as it was then */
    assert_int_equal(state_of(r, "1", P, 9), FT_CONSENT_UNKNOWN);
    record(r, "2", P, FT_CONSENT_REFUSED, 5, 0);
    record(r, "2", P, FT_CONSENT_GIVEN, 5, 0);
    assert_int_equal(state_of(r, "2", P, NOW), FT_CONSENT_REFUSED);
}

/* A consent with a term ends with it; of two terms given at once the shorter counts. */
static void
consent_expires(void **state)
{
    struct registry *r = *state;
    record(r, "1", P, FT_CONSENT_GIVEN, 10, 100);
    assert_int_equal(state_of(r, "1", P, 99), FT_CONSENT_GIVEN);
    assert_int_equal(state_of(r, "1", P, 100), FT_CONSENT_EXPIRED);
    assert_int_equal(eligible(r, P, 99, NULL), 1);
    assert_int_equal(eligible(r, P, 100, NULL), 0);
    record(r, "1", P, FT_CONSENT_GIVEN, 10, 0);
    assert_int_equal(state_of(r, "1", P, 100), FT_CONSENT_EXPIRED);
}

/* What cannot be recorded is refused with a sentence. */
static void
consent_record_refuses_bad_events(void **state)
{
    struct registry *r = *state;
    struct ft_consent_event e = { .purpose = P, .state = FT_CONSENT_GIVEN, .at_ms = NOW };
    struct ft_consent_event bad;
    assert_int_equal(ft_consent_record(r->consent, "", &e, NOW, NULL, NULL), FT_ERR_FORMAT);
    bad = e;
    strcpy(bad.purpose, "train/everything");
    assert_int_equal(ft_consent_record(r->consent, "1", &bad, NOW, NULL, NULL), FT_ERR_FORMAT);
    bad = e;
    bad.at_ms = NOW + 1;
    assert_int_equal(ft_consent_record(r->consent, "1", &bad, NOW, NULL, NULL), FT_ERR_FORMAT);
    bad = e;
    bad.state = FT_CONSENT_EXPIRED;
    assert_int_equal(ft_consent_record(r->consent, "1", &bad, NOW, NULL, NULL), FT_ERR_FORMAT);
    bad = e;
    bad.expires_ms = NOW;
    assert_int_equal(ft_consent_record(r->consent, "1", &bad, NOW, NULL, NULL), FT_ERR_FORMAT);
    bad = e;
    memset(bad.notice, 'x', sizeof bad.notice);
    assert_int_equal(ft_consent_record(r->consent, "1", &bad, NOW, NULL, NULL), FT_ERR_FORMAT);
    assert_int_equal(eligible(r, P, NOW, NULL), 0);
    assert_int_equal(ft_consent_record(r->consent, "1", &e, NOW, NULL, NULL), FT_OK);
}

static bool
collect(void *ctx, const struct ft_consent_event *event)
{
    char *text = ctx;
    sprintf(text + strlen(text), "%s@%llu/%s ", ft_consent_state_name(event->state),
            (unsigned long long)event->at_ms, event->notice);
    return true;
}

/* The history is there for the asking, oldest first, and the same event twice is one event. */
static void
consent_history_is_kept_once(void **state)
{
    struct registry *r = *state;
    char text[200] = "";
    assert_true(record(r, "1", P, FT_CONSENT_WITHDRAWN, 20, 0));
    assert_true(record(r, "1", P, FT_CONSENT_GIVEN, 10, 0));
    assert_false(record(r, "1", P, FT_CONSENT_GIVEN, 10, 0));
    assert_int_equal(ft_consent_history(r->consent, "1", P, collect, text, NULL), FT_OK);
    assert_string_equal(text, "given@10/v1 withdrawn@20/v1 ");
}

/* Not even a person with the file open can change or remove an event through SQL. */
static void
consent_history_is_append_only(void **state)
{
    struct registry *r = *state;
    sqlite3 *db;
    record(r, "1", P, FT_CONSENT_REFUSED, 10, 0);
    assert_int_equal(sqlite3_open(r->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE consent_event SET state = 1", NULL, NULL, NULL),
                     SQLITE_CONSTRAINT);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM consent_event", NULL, NULL, NULL), SQLITE_CONSTRAINT);
    sqlite3_close(db);
    assert_int_equal(state_of(r, "1", P, NOW), FT_CONSENT_REFUSED);
}

/* The files on disk hold no customer id; and another node's key finds nobody. */
static void
consent_disk_holds_pseudonyms_only(void **state)
{
    struct registry *r = *state;
    struct ft_node_key other = { { 9 } };
    struct ft_consent *foreign;
    static const char *const names[] = { "", "-wal" };
    bool found = false;
    struct ft_pseudonym p;
    record(r, "IDCANARY906", P, FT_CONSENT_GIVEN, 10, 0);
    ft_pseudonym_make(&r->shop.key, "IDCANARY906", 11, &p);
    for (size_t i = 0; i < 2; i++) {
        char path[300];
        struct ft_buf data;
        snprintf(path, sizeof path, "%s%s", r->path, names[i]);
        if (ft_file_read(path, (size_t)1 << 24, &data, NULL) != FT_OK)
            continue;
        assert_null(memmem(data.data, data.size, "IDCANARY906", 11));
        found = found || memmem(data.data, data.size, p.text, FT_PSEUDONYM_LENGTH) != NULL;
        ft_buf_clear(&data);
    }
    assert_true(found);
    assert_int_equal(ft_consent_open(r->path, &other, &foreign, NULL), FT_OK);
    enum ft_consent_state s;
    assert_int_equal(ft_consent_state_of(foreign, "IDCANARY906", P, NOW, &s, NULL), FT_OK);
    assert_int_equal(s, FT_CONSENT_UNKNOWN);
    ft_consent_close(foreign);
}

/* The eligible set is exactly those who agreed, under the pseudonyms the source gives; a withdrawal empties
 * it. */
static void
consent_eligible_set_matches_the_source(void **state)
{
    struct registry *r = *state;
    sqlite3_stmt *stmt = NULL;
    shop_map(&r->shop.config.transactions, "*.csv", "customer_id basket_id");
    shop_text(&r->shop, "a.csv", "customer_id,basket_id\n1,a\n2,b\n3,c\n,d\n");
    assert_int_equal(shop_open(&r->shop), FT_OK);
    record(r, "1", P, FT_CONSENT_GIVEN, 10, 0);
    record(r, "2", P, FT_CONSENT_REFUSED, 10, 0);
    record(r, "4", P, FT_CONSENT_GIVEN, 10, 0);
    assert_int_equal(eligible(r, P, NOW, NULL), 2);
    assert_int_equal(
        sqlite3_prepare_v2(r->shop.db->handle,
                           "SELECT group_concat(basket_id) FROM ft_base_transactions WHERE customer_id IN "
                           "ft_base_eligible",
                           -1, &stmt, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "a");
    sqlite3_finalize(stmt);
    record(r, "1", P, FT_CONSENT_WITHDRAWN, 11, 0);
    assert_int_equal(eligible(r, P, NOW, NULL), 1);
    uint64_t count;
    assert_int_equal(ft_consent_eligible(r->consent, "no/purpose", NOW, r->shop.db, &count, NULL, NULL),
                     FT_ERR_FORMAT);
    assert_int_equal(
        sqlite3_prepare_v2(r->shop.db->handle, "SELECT count(*) FROM ft_base_eligible", -1, &stmt, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(stmt, 0), 0); /* after an error: nobody */
    sqlite3_finalize(stmt);
}

/* Between reading the set and sealing: an event, an expiry and a clock set back are each a change; nothing
 * else is. */
static void
consent_mark_tells_what_happened_since(void **state)
{
    struct registry *r = *state;
    struct ft_consent_mark mark;
    struct ft_consent *desk; /* another process records */
    record(r, "1", P, FT_CONSENT_GIVEN, 10, 5000);
    record(r, "2", P, FT_CONSENT_GIVEN, 10, 0);
    assert_int_equal(eligible(r, P, 1000, &mark), 2);
    assert_true(ft_consent_unchanged(r->consent, &mark, 1000));
    assert_true(ft_consent_unchanged(r->consent, &mark, 4999));
    assert_false(ft_consent_unchanged(r->consent, &mark, 5000));
    assert_false(ft_consent_unchanged(r->consent, &mark, 999));
    record(r, "1", OTHER, FT_CONSENT_WITHDRAWN, 10, 0);
    assert_true(ft_consent_unchanged(r->consent, &mark, 1001));
    assert_int_equal(ft_consent_open(r->path, &r->shop.key, &desk, NULL), FT_OK);
    const struct ft_consent_event e = { .purpose = P, .state = FT_CONSENT_WITHDRAWN, .at_ms = 1001 };
    assert_int_equal(ft_consent_record(desk, "2", &e, NOW, NULL, NULL), FT_OK);
    ft_consent_close(desk);
    assert_false(ft_consent_unchanged(r->consent, &mark, 1002));
    assert_int_equal(eligible(r, P, 1002, &mark), 1);
    assert_true(ft_consent_unchanged(r->consent, &mark, 1002));
}

/* The registry survives being closed; what is no database is refused. */
static void
consent_open_reads_back_and_refuses_rubbish(void **state)
{
    struct registry *r = *state;
    struct ft_consent *none;
    char path[300];
    record(r, "1", P, FT_CONSENT_GIVEN, 10, 0);
    ft_consent_close(r->consent);
    assert_int_equal(ft_consent_open(r->path, &r->shop.key, &r->consent, NULL), FT_OK);
    assert_int_equal(state_of(r, "1", P, NOW), FT_CONSENT_GIVEN);
    shop_text(&r->shop, "rubbish.db",
              "this is no database, however long one makes it: 0123456789 0123456789 0123456789");
    snprintf(path, sizeof path, "%s/rubbish.db", r->shop.folder);
    assert_int_equal(ft_consent_open(path, &r->shop.key, &none, NULL), FT_ERR_FORMAT);
    assert_null(none);
    assert_int_equal(ft_consent_open("/nonexistent/state.db", &r->shop.key, &none, NULL), FT_ERR_IO);
    assert_int_equal(ft_consent_open(":memory:", &r->shop.key, &none, NULL), FT_ERR_STATE); /* takes no WAL */
}

/* The reference: all events in a table, the rules of the header by hand. */
struct model_event {
    int customer, purpose;
    enum ft_consent_state state;
    uint64_t at, expires;
};

static enum ft_consent_state
model_state(const struct model_event *events, size_t count, int customer, int purpose, uint64_t now)
{
    const struct model_event *best = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct model_event *e = &events[i];
        if (e->customer != customer || e->purpose != purpose || e->at > now)
            continue;
        if (best == NULL || e->at > best->at) {
            best = e;
            continue;
        }
        if (e->at < best->at || e->state == best->state)
            continue;
        if (best->state == FT_CONSENT_GIVEN)
            best = e;
    }
    if (best == NULL)
        return FT_CONSENT_UNKNOWN;
    if (best->state != FT_CONSENT_GIVEN)
        return best->state;
    for (size_t i = 0; i < count; i++) /* of grants given at once the shortest term counts */
        if (events[i].customer == customer && events[i].purpose == purpose && events[i].at == best->at &&
            events[i].expires != 0 && events[i].expires <= now)
            return FT_CONSENT_EXPIRED;
    return FT_CONSENT_GIVEN;
}

/* Against the reference, over random histories recorded in random order: every state, every eligible count
 * and every total agrees at random times. (Which of refused and withdrawn stands at one time is of no
 * account.) */
static void
consent_agrees_with_a_reference_table(void **state)
{
    static const char *const purposes[] = { P, OTHER };
    static const enum ft_consent_state states[] = { FT_CONSENT_GIVEN, FT_CONSENT_GIVEN, FT_CONSENT_REFUSED,
                                                    FT_CONSENT_WITHDRAWN };
    struct registry *r = *state;
    struct model_event events[300];
    struct ft_env_seeded env;
    ft_env_seeded_init(&env, 20, 1);
    for (size_t n = 0; n < 300; n++) {
        struct model_event *e = &events[n];
        char id[8];
        *e = (struct model_event){ .customer = (int)ft_random_below(&env.env, 12),
                                   .purpose = (int)ft_random_below(&env.env, 2),
                                   .state = states[ft_random_below(&env.env, 4)],
                                   .at = ft_random_below(&env.env, 40) };
        if (e->state == FT_CONSENT_GIVEN && ft_random_below(&env.env, 3) == 0)
            e->expires = e->at + 1 + ft_random_below(&env.env, 20);
        snprintf(id, sizeof id, "%d", e->customer);
        record(r, id, purposes[e->purpose], e->state, e->at, e->expires);
        if (n % 10 != 9)
            continue;
        for (int purpose = 0; purpose < 2; purpose++) {
            const uint64_t now = ft_random_below(&env.env, 70);
            struct ft_consent_totals totals;
            uint64_t given = 0, no = 0, expired = 0;
            for (int customer = 0; customer < 12; customer++) {
                const enum ft_consent_state want = model_state(events, n + 1, customer, purpose, now);
                snprintf(id, sizeof id, "%d", customer);
                const enum ft_consent_state got = state_of(r, id, purposes[purpose], now);
                const bool both_no = (want == FT_CONSENT_REFUSED || want == FT_CONSENT_WITHDRAWN) &&
                                     (got == FT_CONSENT_REFUSED || got == FT_CONSENT_WITHDRAWN);
                if (want != got && !both_no)
                    fail_msg("event %zu customer %d at %llu: %d, expected %d", n, customer,
                             (unsigned long long)now, got, want);
                given += want == FT_CONSENT_GIVEN;
                no += want == FT_CONSENT_REFUSED || want == FT_CONSENT_WITHDRAWN;
                expired += want == FT_CONSENT_EXPIRED;
            }
            assert_int_equal(eligible(r, purposes[purpose], now, NULL), given);
            assert_int_equal(ft_consent_totals(r->consent, purposes[purpose], now, &totals, NULL), FT_OK);
            assert_int_equal(totals.given, given);
            assert_int_equal(totals.refused + totals.withdrawn, no);
            assert_int_equal(totals.expired, expired);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(consent_unknown_means_no),
        TEST(consent_is_for_one_purpose),
        TEST(consent_later_event_wins),
        TEST(consent_expires),
        TEST(consent_record_refuses_bad_events),
        TEST(consent_history_is_kept_once),
        TEST(consent_history_is_append_only),
        TEST(consent_disk_holds_pseudonyms_only),
        TEST(consent_eligible_set_matches_the_source),
        TEST(consent_mark_tells_what_happened_since),
        TEST(consent_open_reads_back_and_refuses_rubbish),
        TEST(consent_agrees_with_a_reference_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
