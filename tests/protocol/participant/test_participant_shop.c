/*
 * A whole shop, with files, consent registry, policy and training, in a federation with four others that only
 * add numbers: the real participant, the real engine, virtual time. What it hands out is looked at byte by
 * byte.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "whole.h"

#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum ft_status failing_journal(struct ft_vault_store *s, const struct ft_ss_journal_record *record_,
                                      int64_t at_s);
static struct whole *failing;                            /* of the test at hand */
static const struct ft_vault_store_calls *failing_inner; /* what it stands before */

static enum ft_status
failing_journal(struct ft_vault_store *s, const struct ft_ss_journal_record *record_, int64_t at_s)
{
    return record_->step == failing->fail_step ? FT_ERR_IO : failing_inner->journal_put(s, record_, at_s);
}

/* ---- R1: rows stay in the vault ---- */

struct needle {
    const char *what;
    uint8_t bytes[96];
    size_t size;
};

static size_t
add_text(struct needle *list, size_t n, const char *what, const char *text)
{
    const size_t size = strlen(text);
    list[n] = (struct needle){ .what = what, .size = size };
    memcpy(list[n++].bytes, text, size);
    list[n] = (struct needle){ .what = what, .size = 2 * size }; /* UTF-16 */
    for (size_t i = 0; i < size; i++)
        list[n].bytes[2 * i] = (uint8_t)text[i];
    n++;
    list[n] = (struct needle){ .what = what, .size = 2 * size };
    sodium_bin2hex((char *)list[n].bytes, sizeof list[n].bytes, (const uint8_t *)text, size);
    n++;
    list[n] = (struct needle){ .what = what };
    sodium_bin2base64((char *)list[n].bytes, sizeof list[n].bytes, (const uint8_t *)text, size / 3 * 3,
                      sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
    list[n].size = strlen((const char *)list[n].bytes);
    return n + 1;
}

static size_t
make_needles(const struct whole *w, struct needle *list)
{
    size_t n = 0;
    char id[32];
    struct ft_pseudonym p;
    const double amount = strtod(AMOUNT, NULL), x = amount / 100;
    const float small = (float)x;
    n = add_text(list, n, "basket", BASKET);
    n = add_text(list, n, "any customer id", "CANARYCUST-");
    n = add_text(list, n, "amount", AMOUNT);
    for (int i = 0; i < 3; i++) {
        whole_customer(i, id);
        ft_pseudonym_make(&w->key, id, strlen(id), &p);
        n = add_text(list, n, "pseudonym", p.text);
    }
    list[n] = (struct needle){ .what = "amount as double", .size = 8 };
    memcpy(list[n++].bytes, &amount, 8);
    list[n] = (struct needle){ .what = "feature as double", .size = 8 };
    memcpy(list[n++].bytes, &x, 8);
    list[n] = (struct needle){ .what = "feature as float", .size = 4 };
    memcpy(list[n++].bytes, &small, 4);
    list[n] = (struct needle){ .what = "node key", .size = 32 };
    memcpy(list[n++].bytes, w->key.bytes, 32);
    return n;
}

static void
assert_clean(const struct needle *list, size_t n, struct ft_bytes hay, const char *where)
{
    for (size_t i = 0; i < n; i++)
        if (memmem(hay.data, hay.size, list[i].bytes, list[i].size) != NULL)
            fail_msg("%s holds the %s", where, list[i].what);
}

/* A whole task runs, and no row, id, pseudonym or value is in any byte handed out, in the log or in the audit
 * log; the database holds pseudonyms of consents and nothing else of them. */
static void
participant_shop_hands_out_nothing_of_a_row(void **state)
{
    struct whole w;
    struct needle list[64];
    struct ft_buf file = { 0 };
    (void)state;
    whole_open(&w, POLICY, CUSTOMERS);
    whole_publish(&w);
    assert_true(rig_run(&w.rig, rig_task_done, w.task, 60000));
    assert_int_equal(w.contributions,
                     5); /* statistics, three of training, evaluation: it was in all of them */
    assert_true(w.uploads >= 5);
    assert_int_equal(w.last_weight, CUSTOMERS);

    const size_t n = make_needles(&w, list);
    assert_true(w.handed.size > 5000);
    assert_clean(list, n, ft_buf_bytes(&w.handed), "what was handed out");
    assert_int_equal(ft_file_read(w.log, 1 << 24, &file, NULL), FT_OK);
    assert_true(file.size > 500);
    assert_clean(list, n, ft_buf_bytes(&file), "the log");
    ft_buf_clear(&file);
    char path[112];
    snprintf(path, sizeof path, "%s/audit.jsonl", w.state);
    assert_int_equal(ft_file_read(path, 1 << 24, &file, NULL), FT_OK);
    assert_clean(list, n, ft_buf_bytes(&file), "the audit log");
    assert_int_equal(ft_audit_verify(path, NULL, NULL), FT_OK);
    ft_buf_clear(&file);
    assert_int_equal(ft_file_read(w.db, 1 << 24, &file, NULL), FT_OK);
    struct needle raw[16];
    size_t m = add_text(raw, 0, "basket", BASKET);
    m = add_text(raw, m, "any customer id", "CANARYCUST-");
    m = add_text(raw, m, "amount", AMOUNT);
    assert_clean(raw, m, ft_buf_bytes(&file), "state.db");
    ft_buf_clear(&file);
    whole_close(&w);
}

/* The search itself finds what is there: a planted message with the id in it is reported. */
static void
participant_canary_search_finds_a_leak(void **state)
{
    struct whole w = { 0 };
    struct needle list[64];
    (void)state;
    memset(w.key.bytes, 7, sizeof w.key.bytes);
    const size_t n = make_needles(&w, list);
    size_t found = 0;
    static const char leak[] = "verdict of CANARYCUST-0001, 73.519";
    for (size_t i = 0; i < n; i++)
        found += memmem(leak, sizeof leak, list[i].bytes, list[i].size) != NULL;
    assert_int_equal(found, 2);
}

/* ---- fail closed ---- */

static const struct closed_case {
    const char *name, *policy;
    int consents;
    uint32_t verdict, code;
} closed_cases[] = {
    { "unreadable policy", "version: [", CUSTOMERS, FT_WORD_REFUSED, FT_REFUSAL_POLICY_UNREADABLE },
    { "no consent recorded", POLICY, 0, FT_WORD_REFUSED, FT_REFUSAL_CONSENT_SOURCE_MISSING },
    { "too few customers", POLICY, 9, FT_WORD_REFUSED, FT_REFUSAL_CUSTOMERS_TOO_FEW },
    { "past review",
      "version: 1\nowner: self\nreview_by: 2025-01-01\ngrace_days: 0\n" POLICY_PURPOSES POLICY_COLUMNS
          POLICY_REST POLICY_TAIL,
      CUSTOMERS, FT_WORD_REFUSED, FT_REFUSAL_POLICY_EXPIRED },
    { "another purpose",
      POLICY_HEAD
      "purposes: [train/demand]\ncolumns:\n  train/demand: [transactions.week]\n" POLICY_REST POLICY_TAIL,
      CUSTOMERS, FT_WORD_REFUSED, FT_REFUSAL_PURPOSE_NOT_ALLOWED },
    { "a column not allowed",
      POLICY_HEAD POLICY_PURPOSES
      "columns:\n  train/propensity: [transactions.customer_id, transactions.week, "
      "transactions.quantity, transactions.coupon]\n" POLICY_REST POLICY_TAIL,
      CUSTOMERS, FT_WORD_REFUSED, FT_REFUSAL_COLUMN_NOT_ALLOWED },
    { "no basis",
      POLICY_HEAD POLICY_PURPOSES POLICY_COLUMNS
      "training_basis: none\nunnoised: allow\nmin_customers: 10\n" POLICY_TAIL,
      CUSTOMERS, FT_WORD_REFUSED, FT_REFUSAL_BASIS_NONE },
    { "sums without noise not accepted",
      POLICY_HEAD POLICY_PURPOSES POLICY_COLUMNS
      "training_basis: consent\nunnoised: refuse\nmin_customers: 10\n" POLICY_TAIL,
      CUSTOMERS, FT_WORD_REFUSED, FT_REFUSAL_UNNOISED_NOT_ALLOWED },
    { "nobody has approved",
      POLICY_HEAD "purposes: [train/propensity]\n" POLICY_COLUMNS POLICY_REST POLICY_TAIL, CUSTOMERS,
      FT_WORD_WAITING, FT_REFUSAL_TASK_NOT_APPROVED },
};

/* Whatever stands against it, the shop takes no part, says why by its code, and computes nothing. */
static void
participant_shop_sits_out_and_says_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof closed_cases / sizeof closed_cases[0]; i++) {
        const struct closed_case *c = &closed_cases[i];
        struct whole w;
        whole_open(&w, c->policy, c->consents);
        whole_publish(&w);
        assert_true(rig_run(&w.rig, rig_task_done, w.task, 60000)); /* the others go on without it */
        if (w.contributions != 0 || w.uploads != 0 || w.verdict != c->verdict || w.code != c->code)
            fail_msg("%s: verdict %u code %u, %llu contributions", c->name, w.verdict, w.code,
                     (unsigned long long)w.contributions);
        for (int k = FT_SS_UP_JOIN; k < 8; k++)
            assert_false(w.kinds[k]);
        whole_close(&w);
    }
}

static bool
has_waited(struct rig *r, void *ctx)
{
    struct whole *w = ctx;
    (void)r;
    return w->verdict == FT_WORD_WAITING;
}

static bool
has_uploaded(struct rig *r, void *ctx)
{
    struct whole *w = ctx;
    (void)r;
    return w->uploads > 0;
}

/* A task that waits for a person starts after `task approve`, without a restart. */
static void
participant_shop_starts_once_a_person_approves(void **state)
{
    struct whole w;
    (void)state;
    whole_open(&w, POLICY_HEAD "purposes: [train/propensity]\n" POLICY_COLUMNS POLICY_REST POLICY_TAIL,
               CUSTOMERS);
    w.rig.task.rounds = 30;
    w.rig.task.pause_ms = 3000; /* so that the others are not done before anybody has read it */
    whole_publish(&w);
    assert_true(rig_run(&w.rig, has_waited, &w, 20000));
    assert_int_equal(w.contributions, 0);
    struct ft_vault_store *store = w.rig.shops[0].store;
    assert_int_equal(store->calls->task_approve(store, w.task, FT_VAULT_APPROVED, w.rig.env.wall), FT_OK);
    assert_true(rig_run(&w.rig, has_uploaded, &w, 60000));
    whole_close(&w);
}

/* ---- S-13 ---- */

static void
withdraw_one(struct whole *w, const struct ft_work *work)
{
    (void)work;
    w->during = NULL;
    whole_record(w, 5, FT_CONSENT_WITHDRAWN);
}

/* A withdrawal between training and sealing: what is sealed was made again, without the customer. */
static void
participant_shop_seals_nothing_of_who_withdrew_meanwhile(void **state)
{
    struct whole w;
    (void)state;
    whole_open(&w, POLICY, CUSTOMERS);
    w.during = withdraw_one;
    whole_publish(&w);
    assert_true(rig_run(&w.rig, has_uploaded, &w, 60000));
    assert_int_equal(w.contributions, 2);
    assert_int_equal(w.last_weight, CUSTOMERS - 1);
    whole_close(&w);
}

static void
withdraw_most(struct whole *w, const struct ft_work *work)
{
    (void)work;
    w->during = NULL;
    for (int i = 0; i < CUSTOMERS - 5; i++)
        whole_record(w, i, FT_CONSENT_WITHDRAWN);
}

/* If too few remain the shop leaves the session: an Abort goes out, and no upload. */
static void
participant_shop_leaves_when_too_few_remain(void **state)
{
    struct whole w;
    (void)state;
    whole_open(&w, POLICY, CUSTOMERS);
    w.during = withdraw_most;
    whole_publish(&w);
    assert_true(rig_run(&w.rig, rig_task_done, w.task, 120000));
    assert_int_equal(w.uploads, 0);
    assert_true(w.kinds[FT_SS_UP_ABORT]);
    assert_int_equal(w.code, FT_REFUSAL_CUSTOMERS_TOO_FEW);
    whole_close(&w);
}

/* ---- the journal comes first ---- */

/* While the journal cannot be written for a step, no message of that step leaves; with it, all of them do. */
static void
participant_shop_sends_nothing_the_journal_does_not_know(void **state)
{
    static const uint32_t steps[] = {
        0, FT_SS_STEP_JOIN, FT_SS_STEP_SHARES, FT_SS_STEP_MASKED, FT_SS_STEP_CONFIRM, FT_SS_STEP_UNMASK
    };
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct whole w;
        whole_open(&w, POLICY, CUSTOMERS);
        struct ft_vault_store *store = w.rig.shops[0].store;
        failing = &w;
        failing_inner = store->calls;
        w.calls = *failing_inner;
        w.calls.journal_put = failing_journal;
        w.fail_step = steps[i] != 0 ? steps[i] : UINT32_MAX;
        store->calls = &w.calls;
        whole_publish(&w);
        (void)rig_run(&w.rig, rig_task_done, w.task, 120000);
        assert_int_equal(w.kinds[FT_SS_UP_JOIN], steps[i] != FT_SS_STEP_JOIN);
        assert_int_equal(w.kinds[FT_SS_UP_SHARES], steps[i] == 0 || steps[i] > FT_SS_STEP_SHARES);
        assert_int_equal(w.uploads > 0, steps[i] == 0 || steps[i] > FT_SS_STEP_MASKED);
        assert_int_equal(w.kinds[FT_SS_UP_CONFIRM], steps[i] == 0 || steps[i] > FT_SS_STEP_CONFIRM);
        assert_int_equal(w.kinds[FT_SS_UP_UNMASK], steps[i] == 0 || steps[i] > FT_SS_STEP_UNMASK);
        store->calls = failing_inner;
        whole_close(&w);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(participant_shop_hands_out_nothing_of_a_row),
        cmocka_unit_test(participant_canary_search_finds_a_leak),
        cmocka_unit_test(participant_shop_sits_out_and_says_why),
        cmocka_unit_test(participant_shop_starts_once_a_person_approves),
        cmocka_unit_test(participant_shop_seals_nothing_of_who_withdrew_meanwhile),
        cmocka_unit_test(participant_shop_leaves_when_too_few_remain),
        cmocka_unit_test(participant_shop_sends_nothing_the_journal_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
