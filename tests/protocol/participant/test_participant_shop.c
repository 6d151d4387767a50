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

#include "look.h"
#include "rig.h"

#include "client/consent/consent.h"
#include "client/vault/audit.h"
#include "client/vault/shop.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/secure_sum/wire.h"
#include "common/task/refusal_codes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CUSTOMERS 24
#define PURPOSE   "train/propensity"
#define AMOUNT    "73.519" /* every amount of the shop: planted */
#define BASKET    "BASKETCANARY7"

#define POLICY_HEAD "version: 1\nowner: self\nreview_by: 2027-12-31\ngrace_days: 0\n"
#define POLICY_PURPOSES                                                                                      \
    "purposes: [train/propensity]\nauto_approve:\n  purposes: [train/propensity]\n  rounds_max: 100\n"
#define POLICY_COLUMNS                                                                                       \
    "columns:\n  train/propensity: [transactions.customer_id, transactions.week, transactions.amount, "      \
    "transactions.quantity, transactions.coupon]\n"
#define POLICY_TAIL                                                                                          \
    "cohort: {n_min: 3, h_min: 2, corrupted: 1, drop_permille_max: 300, sigma_min: 40}\n"                    \
    "limits: {clip_max: 10, parameters_max: 1000, rounds_max: 500, session_ms_max: 600000, query_ms: "       \
    "20000, "                                                                                                \
    "query_rows: 500000, query_memory_mib: 64}\n"                                                            \
    "graph_profile: {allow: false, cohort_min: 512}\nexclude: []\n"                                          \
    "participation: {window: \"00:00-24:00\", days: [mon, tue, wed, thu, fri, sat, sun], min_gap_s: 0, "     \
    "rounds_per_month: 1000}\n"
#define POLICY_REST "training_basis: consent\nunnoised: allow\nmin_customers: 10\n"
#define POLICY      POLICY_HEAD POLICY_PURPOSES POLICY_COLUMNS POLICY_REST POLICY_TAIL

struct whole {
    struct rig rig;
    uint8_t task[32];
    char folder[64], state[80], policy[96], db[96], log[96];
    struct ft_source_config source;
    struct ft_node_key key;
    struct ft_consent *consent;
    struct ft_shop *shop;
    struct ft_participant_world inner, outer;
    struct ft_audit *audit;
    struct ft_buf handed; /* every byte handed out, masked input included */
    uint64_t contributions;
    uint64_t last_weight;
    uint32_t verdict, code; /* reported last */
    bool kinds[8];          /* enum ft_ss_up_kind seen */
    uint64_t uploads;
    void (*during)(struct whole *w, const struct ft_work *work); /* between contribution and sealing */
    struct ft_vault_store_calls calls;
    uint32_t fail_step; /* journal records of this step fail */
};

static void
customer_id(int i, char out[32])
{
    snprintf(out, 32, "CANARYCUST-%04d", i);
}

static void
write_text(const char *path, const char *text)
{
    struct ft_error err = { 0 };
    if (ft_file_write(path, FT_BYTES(text, strlen(text)), 0600, &err) != FT_OK)
        fail_msg("%s", err.text);
}

static void
write_data(struct whole *w)
{
    char path[112];
    struct ft_buf b = { 0 };
    snprintf(path, sizeof path, "%s/data.csv", w->folder);
    assert_int_equal(ft_buf_str(&b, "customer_id,basket_id,week,amount,quantity,coupon,secret\n"), FT_OK);
    for (int i = 0; i < CUSTOMERS; i++)
        for (int week = 1; week <= 2; week++) {
            char id[32];
            customer_id(i, id);
            assert_int_equal(
                ft_buf_printf(&b, "%s," BASKET ",%d," AMOUNT ",%d,%d,never read\n", id, week, i % 7, i % 2),
                FT_OK);
        }
    assert_int_equal(ft_file_write(path, ft_buf_bytes(&b), 0600, NULL), FT_OK);
    ft_buf_clear(&b);
}

static void
map_column(struct ft_source_table *t, const char *name)
{
    t->columns[t->column_count].name = ft_strdup(name);
    t->columns[t->column_count++].source = ft_strdup(name);
}

static void
record(struct whole *w, int customer, enum ft_consent_state state)
{
    char id[32];
    struct ft_error err = { 0 };
    struct ft_consent_event e = { .purpose = PURPOSE,
                                  .state = state,
                                  .notice = "1",
                                  .method = "desk",
                                  .at_ms = w->rig.env.wall - (state == FT_CONSENT_GIVEN ? 1000 : 0) };
    customer_id(customer, id);
    if (ft_consent_record(w->consent, id, &e, w->rig.env.wall, NULL, &err) != FT_OK)
        fail_msg("%s", err.text);
}

/* ---- what the shop hands out ---- */

static void
tap(struct rig_shop *s, const struct ft_out *message)
{
    struct whole *w = s->tap_ctx;
    struct ft_buf frame = { 0 };
    assert_int_equal(ft_out_encode(message, &frame), FT_OK);
    assert_int_equal(ft_audit_append(w->audit, ft_out_kind_name(message->kind), ft_buf_bytes(&frame), false),
                     FT_OK);
    assert_int_equal(ft_buf_append(&w->handed, frame.data, frame.size), FT_OK);
    w->uploads += message->kind == FT_OUT_UPLOAD;
    if (message->kind == FT_OUT_SYNC) {
        struct look seen;
        assert_true(look_at_sync(message->request, &seen));
        if (seen.has_verdict) {
            w->verdict = seen.verdict;
            w->code = seen.code;
        }
        w->kinds[seen.answer] = true;
    }
    ft_buf_clear(&frame);
}

static void
decide(void *ctx, const struct ft_task *task, const uint8_t hash[32], enum ft_vault_approval approval,
       struct ft_decision *out)
{
    struct whole *w = ctx;
    w->inner.decide(w->inner.ctx, task, hash, approval, out);
}

static enum ft_status
contribute(void *ctx, const struct ft_work *work, uint64_t **words, uint32_t *code)
{
    struct whole *w = ctx;
    int64_t *z = ft_calloc(work->plan->layout.dim, sizeof *z);
    const enum ft_status st = w->inner.contribute(w->inner.ctx, work, words, code);
    w->contributions++;
    if (st == FT_OK)
        assert_int_equal(ft_ss_unpack(&work->plan->codec, *words, 1, z, &w->last_weight), FT_OK);
    if (w->during != NULL)
        w->during(w, work);
    ft_free(z);
    return st;
}

static bool
unchanged(void *ctx)
{
    struct whole *w = ctx;
    return w->inner.unchanged(w->inner.ctx);
}

static enum ft_status failing_journal(struct ft_vault_store *s, const struct ft_ss_journal_record *record_,
                                      int64_t at_s);
static struct whole *failing;                            /* of the test at hand */
static const struct ft_vault_store_calls *failing_inner; /* what it stands before */

static enum ft_status
failing_journal(struct ft_vault_store *s, const struct ft_ss_journal_record *record_, int64_t at_s)
{
    return record_->step == failing->fail_step ? FT_ERR_IO : failing_inner->journal_put(s, record_, at_s);
}

/* ---- the federation around it ---- */

static void
open_whole(struct whole *w, const char *policy, int consents)
{
    struct ft_error err = { 0 };
    char path[96];

    memset(w, 0, sizeof *w);
    rig_open(&w->rig, 5);
    strcpy(w->folder, "/tmp/fedtill-whole.XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    snprintf(w->state, sizeof w->state, "%s/state", w->folder);
    snprintf(w->policy, sizeof w->policy, "%s/policy.yaml", w->folder);
    snprintf(w->db, sizeof w->db, "%s/state.db", w->state);
    snprintf(w->log, sizeof w->log, "%s/log", w->folder);
    assert_int_equal(mkdir(w->state, 0700), 0);
    ft_log_open("test", FT_LOG_DEBUG, open(w->log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    memset(w->key.bytes, 7, sizeof w->key.bytes);
    snprintf(path, sizeof path, "%s/" FT_HOME_NODE, w->state);
    assert_int_equal(ft_file_write(path, FT_BYTES(w->key.bytes, 32), 0600, NULL), FT_OK);
    write_text(w->policy, policy);
    write_data(w);
    ft_source_config_init(&w->source);
    w->source.base_dir = ft_strdup(w->folder);
    w->source.transactions.files = ft_strdup("data.csv");
    w->source.transactions.columns = ft_calloc(8, sizeof *w->source.transactions.columns);
    static const char *const columns[] = {
        "customer_id", "basket_id", "week", "amount", "quantity", "coupon"
    };
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
        map_column(&w->source.transactions, columns[i]);
    if (ft_consent_open(w->db, &w->key, &w->consent, &err) != FT_OK)
        fail_msg("%s", err.text);
    for (int i = 0; i < consents; i++)
        record(w, i, FT_CONSENT_GIVEN);
    assert_int_equal(ft_audit_open(w->state, &w->rig.env.env, FT_AUDIT_ROTATE_SIZE, &w->audit, &err), FT_OK);

    struct rig_shop *s = &w->rig.shops[0];
    struct ft_shop_config config = { .env = &s->env.env,
                                     .store = s->store,
                                     .policy_path = w->policy,
                                     .state_dir = w->state,
                                     .source = &w->source,
                                     .basis = FT_BASIS_CONSENT,
                                     .service_uid = geteuid() };
    memcpy(config.deployment, w->rig.deployment, 16);
    if (ft_shop_open(&config, &w->shop, &err) != FT_OK)
        fail_msg("%s", err.text);
    ft_shop_world(w->shop, &w->inner);
    w->outer = (struct ft_participant_world){ .env = &s->env.env,
                                              .store = s->store,
                                              .ctx = w,
                                              .decide = decide,
                                              .contribute = contribute,
                                              .unchanged = unchanged };
    if (s->participant != NULL)
        rig_shop_down(&w->rig, 0);
    s->world = &w->outer;
    s->tap = tap;
    s->tap_ctx = w;
    rig_shop_up(&w->rig, 0);

    w->rig.task.sql =
        (char *)(uintptr_t) "SELECT customer_id, CASE WHEN week = 1 THEN 'train' ELSE 'test' END AS split,"
                            " coupon AS label, amount / 100 AS x, quantity / 10 AS y FROM transactions";
}

static void
publish(struct whole *w)
{
    rig_publish(&w->rig, "first", true, w->task);
}

static void
close_whole(struct whole *w)
{
    char command[100];
    rig_close(&w->rig);
    ft_shop_close(w->shop);
    ft_consent_close(w->consent);
    ft_audit_close(w->audit);
    ft_source_config_clear(&w->source);
    ft_buf_clear(&w->handed);
    snprintf(command, sizeof command, "rm -rf '%s'", w->folder);
    assert_int_equal(system(command), 0);
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
        customer_id(i, id);
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
    open_whole(&w, POLICY, CUSTOMERS);
    publish(&w);
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
    close_whole(&w);
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
        open_whole(&w, c->policy, c->consents);
        publish(&w);
        assert_true(rig_run(&w.rig, rig_task_done, w.task, 60000)); /* the others go on without it */
        if (w.contributions != 0 || w.uploads != 0 || w.verdict != c->verdict || w.code != c->code)
            fail_msg("%s: verdict %u code %u, %llu contributions", c->name, w.verdict, w.code,
                     (unsigned long long)w.contributions);
        for (int k = FT_SS_UP_JOIN; k < 8; k++)
            assert_false(w.kinds[k]);
        close_whole(&w);
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
    open_whole(&w, POLICY_HEAD "purposes: [train/propensity]\n" POLICY_COLUMNS POLICY_REST POLICY_TAIL,
               CUSTOMERS);
    w.rig.task.rounds = 30;
    w.rig.task.pause_ms = 3000; /* so that the others are not done before anybody has read it */
    publish(&w);
    assert_true(rig_run(&w.rig, has_waited, &w, 20000));
    assert_int_equal(w.contributions, 0);
    struct ft_vault_store *store = w.rig.shops[0].store;
    assert_int_equal(store->calls->task_approve(store, w.task, FT_VAULT_APPROVED, w.rig.env.wall), FT_OK);
    assert_true(rig_run(&w.rig, has_uploaded, &w, 60000));
    close_whole(&w);
}

/* ---- S-13 ---- */

static void
withdraw_one(struct whole *w, const struct ft_work *work)
{
    (void)work;
    w->during = NULL;
    record(w, 5, FT_CONSENT_WITHDRAWN);
}

/* A withdrawal between training and sealing: what is sealed was made again, without the customer. */
static void
participant_shop_seals_nothing_of_who_withdrew_meanwhile(void **state)
{
    struct whole w;
    (void)state;
    open_whole(&w, POLICY, CUSTOMERS);
    w.during = withdraw_one;
    publish(&w);
    assert_true(rig_run(&w.rig, has_uploaded, &w, 60000));
    assert_int_equal(w.contributions, 2);
    assert_int_equal(w.last_weight, CUSTOMERS - 1);
    close_whole(&w);
}

static void
withdraw_most(struct whole *w, const struct ft_work *work)
{
    (void)work;
    w->during = NULL;
    for (int i = 0; i < CUSTOMERS - 5; i++)
        record(w, i, FT_CONSENT_WITHDRAWN);
}

/* If too few remain the shop leaves the session: an Abort goes out, and no upload. */
static void
participant_shop_leaves_when_too_few_remain(void **state)
{
    struct whole w;
    (void)state;
    open_whole(&w, POLICY, CUSTOMERS);
    w.during = withdraw_most;
    publish(&w);
    assert_true(rig_run(&w.rig, rig_task_done, w.task, 120000));
    assert_int_equal(w.uploads, 0);
    assert_true(w.kinds[FT_SS_UP_ABORT]);
    assert_int_equal(w.code, FT_REFUSAL_CUSTOMERS_TOO_FEW);
    close_whole(&w);
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
        open_whole(&w, POLICY, CUSTOMERS);
        struct ft_vault_store *store = w.rig.shops[0].store;
        failing = &w;
        failing_inner = store->calls;
        w.calls = *failing_inner;
        w.calls.journal_put = failing_journal;
        w.fail_step = steps[i] != 0 ? steps[i] : UINT32_MAX;
        store->calls = &w.calls;
        publish(&w);
        (void)rig_run(&w.rig, rig_task_done, w.task, 120000);
        assert_int_equal(w.kinds[FT_SS_UP_JOIN], steps[i] != FT_SS_STEP_JOIN);
        assert_int_equal(w.kinds[FT_SS_UP_SHARES], steps[i] == 0 || steps[i] > FT_SS_STEP_SHARES);
        assert_int_equal(w.uploads > 0, steps[i] == 0 || steps[i] > FT_SS_STEP_MASKED);
        assert_int_equal(w.kinds[FT_SS_UP_CONFIRM], steps[i] == 0 || steps[i] > FT_SS_STEP_CONFIRM);
        assert_int_equal(w.kinds[FT_SS_UP_UNMASK], steps[i] == 0 || steps[i] > FT_SS_STEP_UNMASK);
        store->calls = failing_inner;
        close_whole(&w);
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
