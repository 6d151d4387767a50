/* A whole shop in tasks with noise: what it pays, when, and what it shows to whom. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "whole.h"

#include "common/base/plant.h"
#include "common/plan/privacy_plan.h"
#include "common/privacy/encode.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOPS 5
#define BUDGET(epsilon, more)                                                                                          \
    POLICY_HEAD POLICY_PURPOSES POLICY_COLUMNS                                                                         \
        "training_basis: consent\nunnoised: refuse\nmin_customers: 10\nbudgets:\n  customers:\n    unit: customer\n"   \
        "    epsilon_max: " epsilon "\n    delta: 1.0e-5\n" more POLICY_TAIL
#define ENOUGH BUDGET("50", "")

/* The four others: their noise, and no customers. */
static enum ft_status
noise_alone(struct rig_shop *shop, const struct ft_work *work, uint64_t **words)
{
    const struct ft_privacy_plan *plan = &work->plan->privacy;
    const struct ft_encoder_config config = { .params = plan->params,
                                              .clip = plan->clip,
                                              .coordinates = plan->coordinates,
                                              .rotation_seed = plan->rotated ? work->task->privacy.rotation_seed : NULL,
                                              .indicator = plan->indicator,
                                              .coordinate_max = work->plan->codec.quant_max };
    struct ft_noise *noise = NULL;
    struct ft_encoder *e = NULL;
    int64_t *z = ft_calloc((size_t)plan->dim, sizeof *z);
    *words = ft_big_alloc((size_t)work->plan->codec.words * 8);
    assert_int_equal(ft_noise_draw(&shop->env.env, plan->dim, plan->params.sigma_share, &noise), FT_OK);
    assert_int_equal(ft_encoder_open(&config, &shop->env.env, &noise, &e, NULL), FT_OK);
    assert_int_equal(ft_encoder_finish(e, z), FT_OK);
    ft_encoder_close(e);
    assert_int_equal(ft_ss_pack(&work->plan->codec, 0, z, *words), FT_OK);
    ft_free(z);
    return FT_OK;
}

static void
open_private(struct whole *w, const char *policy, int consents, double expected)
{
    static struct ft_task_shop declared[SHOPS];
    static char names[SHOPS][8];

    whole_open(w, policy, consents);
    for (uint32_t i = 0; i < SHOPS; i++) {
        snprintf(names[i], sizeof names[i], "shop-%u", i);
        declared[i] = (struct ft_task_shop){ names[i], 1000 };
        w->rig.shops[i].contribute = noise_alone;
    }
    struct ft_task *t = &w->rig.task;
    t->noise = 1;
    t->rounds = 3;
    t->lane_bits = 32;
    t->n_min = t->n_cap = SHOPS;
    t->h_min = 3;
    t->drop_permille = 200;
    t->privacy = (struct ft_task_privacy){ .noise_multiplier = 1,
                                           .delta = 1e-6,
                                           .expected_customers = expected,
                                           .shops = declared,
                                           .shop_count = SHOPS,
                                           .m_stores = 1,
                                           .spare_rounds = 3,
                                           .contribution = FT_CONTRIBUTION_GRADIENT };
}

static void
publish_private(struct whole *w)
{
    struct ft_error err = { 0 };
    if (ft_plan_privacy_derive(&w->rig.task, &err) != FT_OK)
        fail_msg("%s", err.text);
    whole_publish(w);
}

static void
ledger_path(const struct whole *w, char out[112])
{
    snprintf(out, 112, "%s/" FT_HOME_LEDGER, w->state);
}

/* The task's entry as the file has it now, read as another process would. */
static struct ft_ledger_task
entry(const struct whole *w)
{
    struct ft_ledger_task none = { 0 };
    struct ft_budget *b;
    assert_int_equal(
        ft_budget_open(w->state, "shop-0", &w->key, &w->rig.env.env, FT_BUDGET_LOOK, NULL, &b, NULL), FT_OK);
    assert_int_equal(ft_budget_fault(b, NULL), 0);
    const struct ft_ledger_task *t =
        ft_budget_ledger(b) != NULL ? ft_ledger_task_find(ft_budget_ledger(b), w->task) : NULL;
    const struct ft_ledger_task out = t != NULL ? *t : none;
    ft_budget_close(b);
    return out;
}

/* A whole private task: five rounds, five contributions paid, and what was left over is given back at the end. */
static void
private_task_is_reserved_paid_and_closed(void **state)
{
    struct whole w;
    (void)state;
    open_private(&w, ENOUGH, CUSTOMERS, 500);
    publish_private(&w);
    assert_true(rig_run(&w.rig, rig_task_done, w.task, 60000));
    (void)rig_run(&w.rig, rig_never, NULL, 2000); /* its Result */
    const struct ft_ledger_task t = entry(&w);
    assert_int_equal(w.contributions, 5);
    assert_int_equal(t.reserved.steps, 3 + 2 + 3);
    assert_int_equal(t.spent, 5);
    assert_int_equal(t.charged, 5);
    assert_false(t.open);
    assert_int_equal(t.reason, FT_LEDGER_FINISHED);
    whole_close(&w);
}

static uint64_t uploads_seen;

/* Before a masked byte is handed out, the file holds one SPEND for this upload and each before it. */
static void
is_paid_already(struct whole *w, const struct ft_out *message)
{
    if (message->kind != FT_OUT_UPLOAD)
        return;
    uploads_seen++;
    assert_true(entry(w).spent >= uploads_seen);
}

static void
private_contribution_is_paid_before_its_first_masked_byte(void **state)
{
    struct whole w;
    (void)state;
    open_private(&w, ENOUGH, CUSTOMERS, 500);
    uploads_seen = 0;
    w.look = is_paid_already;
    publish_private(&w);
    assert_true(rig_run(&w.rig, rig_task_done, w.task, 60000));
    assert_int_equal(uploads_seen, 5);
    whole_close(&w);
}

#ifdef FT_PLANTED
static uint64_t unpaid_seen;

static void
count_unpaid(struct whole *w, const struct ft_out *message)
{
    if (message->kind == FT_OUT_UPLOAD)
        unpaid_seen += entry(w).spent < ++uploads_seen;
}

/* The look above is tested too: a shop that pays once its bytes are gone is found, in every round, though all is paid in
 * the end. */
static void
private_ledger_written_after_the_send_is_found(void **state)
{
    struct whole w;
    (void)state;
    open_private(&w, ENOUGH, CUSTOMERS, 500);
    uploads_seen = unpaid_seen = 0;
    w.look = count_unpaid;
    ft_planted = FT_PLANT_LEDGER_AFTER_SEND;
    publish_private(&w);
    const bool done = rig_run(&w.rig, rig_task_done, w.task, 60000);
    ft_planted = FT_PLANT_NOTHING;
    assert_true(done);
    assert_int_equal(uploads_seen, 5);
    assert_int_equal(unpaid_seen, 5);
    assert_int_equal(entry(&w).spent, 5);
    whole_close(&w);
}
#endif

/* A ledger that cannot be written: nothing masked leaves. */
static void
private_contribution_stays_when_the_ledger_cannot_be_written(void **state)
{
    struct whole w;
    (void)state;
    open_private(&w, ENOUGH, CUSTOMERS, 500);
    w.no_spend = true;
    publish_private(&w);
    (void)rig_run(&w.rig, rig_task_done, w.task, 60000);
    assert_true(w.contributions > 0);
    assert_int_equal(w.uploads, 0);
    whole_close(&w);
}

/* Terms that the policy does not accept, a budget that is too small and one that is missing: refused by their codes,
 * and nothing is charged or computed. */
static void
private_task_is_refused_by_the_policys_budget(void **state)
{
    static const struct {
        const char *policy;
        uint32_t code;
    } cases[] = {
        { BUDGET("0.5", ""), FT_REFUSAL_REFUSED_BUDGET },
        { BUDGET("50", "    epsilon_task_max: 0.5\n"), FT_REFUSAL_EPSILON_TOO_LARGE },
        { BUDGET("50", "    t_min: 4\n"), FT_REFUSAL_SHARES_TOO_FEW },
        { BUDGET("50", "    q_max: 0.01\n"), FT_REFUSAL_SAMPLING_TOO_HIGH },
        { BUDGET("50", "    m_stores: 2\n"), FT_REFUSAL_STORES_TOO_FEW },
        { POLICY, FT_REFUSAL_BUDGET_MISSING },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct whole w;
        open_private(&w, cases[i].policy, CUSTOMERS, 500);
        publish_private(&w);
        (void)rig_run(&w.rig, rig_never, NULL, 3000);
        if (w.verdict != FT_WORD_REFUSED || w.code != cases[i].code)
            fail_msg("case %zu: verdict %u code %u", i, w.verdict, w.code);
        assert_int_equal(w.contributions, 0);
        assert_int_equal(entry(&w).reserved.steps, 0);
        whole_close(&w);
    }
}

/* A budget that was opened for who came by a date which policy.yaml does not keep to: the task is refused, explained with
 * that date, and no row is made an example, whatever was decided before. */
static void
private_budget_opened_later_than_before_takes_no_part(void **state)
{
    struct whole w;
    struct ft_policy_line *lines = ft_calloc(FT_POLICY_LINES_MAX, sizeof *lines);
    const struct ft_examples *examples;
    bool told = false;
    (void)state;
    open_private(&w, ENOUGH, CUSTOMERS, 500);
    struct ft_vault_store *store = w.rig.shops[0].store;
    assert_int_equal(store->calls->opened_put(store, "customers", "2027-01-31"), FT_OK);
    publish_private(&w);
    (void)rig_run(&w.rig, rig_never, NULL, 3000);
    assert_int_equal(w.verdict, FT_WORD_REFUSED);
    assert_int_equal(w.code, FT_REFUSAL_BUDGET_MISSING);
    assert_int_equal(w.contributions, 0);
    assert_int_equal(entry(&w).reserved.steps, 0);
    assert_int_equal(ft_shop_examples(w.shop, &w.rig.task, &examples), FT_ERR_REFUSED);
    const size_t count = ft_shop_explain(w.shop, &w.rig.task, w.task, FT_VAULT_OPEN, lines, NULL);
    for (size_t i = 0; i < count; i++)
        told |= lines[i].code == FT_REFUSAL_BUDGET_MISSING && strstr(lines[i].text, "2027-01-31") != NULL;
    assert_true(told);
    ft_free(lines);
    whole_close(&w);
}

/* One customer or many, all drawn or hardly any: the same messages of the same sizes in the same order. */
static void
private_task_looks_the_same_whoever_is_drawn(void **state)
{
    static const struct {
        int consents;
        double expected;
    } cases[] = { { CUSTOMERS, 4000 }, { 1, 4000 }, { CUSTOMERS, 0.01 }, { 1, 0.01 } };
    struct ft_buf first = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct whole w;
        open_private(&w, BUDGET("1000", ""), cases[i].consents, cases[i].expected);
        publish_private(&w);
        assert_true(rig_run(&w.rig, rig_task_done, w.task, 60000));
        assert_int_equal(w.uploads, 5);
        if (i == 0) {
            assert_int_equal(ft_buf_append(&first, w.sizes.data, w.sizes.size), FT_OK);
        } else {
            assert_int_equal(w.sizes.size, first.size);
            assert_memory_equal(w.sizes.data, first.data, first.size);
        }
        whole_close(&w);
    }
    ft_buf_clear(&first);
}

/* The export cannot be read any more, none of its lines, or it is gone: the same messages of the same sizes as with good data,
 * and no code. The shop's noise goes alone, and only its own log says so. */
static void
private_task_looks_the_same_when_the_data_cannot_be_used(void **state)
{
    enum { GOOD, MALFORMED, GONE, CASES };
    struct ft_buf first = { 0 };
    (void)state;
    for (int i = 0; i < CASES; i++) {
        struct whole w;
        struct ft_buf log = { 0 };
        char path[112];
        open_private(&w, BUDGET("1000", ""), CUSTOMERS, 4000);
        snprintf(path, sizeof path, "%s/data.csv", w.folder);
        whole_kill(&w);
        if (i == MALFORMED)
            whole_write(path, "customer_id,basket_id,week,amount,quantity,coupon\nA,B,one,two,three,four\n");
        else if (i == GONE)
            assert_int_equal(unlink(path), 0);
        assert_true(whole_start(&w));
        publish_private(&w);
        assert_true(rig_run(&w.rig, rig_task_done, w.task, 60000));
        assert_int_equal(w.uploads, 5);
        assert_int_equal(entry(&w).spent, 5);
        assert_int_equal(w.verdict, FT_WORD_ACCEPTED);
        assert_int_equal(w.code, 0);
        assert_int_equal(ft_file_read(w.log, 1 << 20, &log, NULL), FT_OK);
        assert_int_equal(ft_buf_append(&log, "", 1), FT_OK);
        assert_int_equal(strstr((const char *)log.data, "contribution.noise_alone") != NULL, i != GOOD);
        if (i == GOOD) {
            assert_int_equal(ft_buf_append(&first, w.sizes.data, w.sizes.size), FT_OK);
        } else {
            assert_int_equal(w.sizes.size, first.size);
            assert_memory_equal(w.sizes.data, first.data, first.size);
        }
        ft_buf_clear(&log);
        whole_close(&w);
    }
    ft_buf_clear(&first);
}

static int withdrawals;
static bool nobody_at_last;

/* While each of the first two contributions of the second round is computed, another customer withdraws. */
static void
withdraw_while_computed(struct whole *w, const struct ft_work *work)
{
    nobody_at_last |= work->nobody;
    if (w->contributions >= 2 && withdrawals < 2 && !work->nobody)
        whole_record(w, withdrawals++, FT_CONSENT_WITHDRAWN);
}

/* Consent that changes again and again while a contribution is made: those who withdrew are in nothing, and
 * the shop stays in the round all the same, for dropping out would tell of it. It sends its noise alone. */
static void
private_task_does_not_drop_out_when_consent_changes(void **state)
{
    struct whole w;
    (void)state;
    withdrawals = 0;
    nobody_at_last = false;
    open_private(&w, ENOUGH, CUSTOMERS, 500);
    w.during = withdraw_while_computed;
    publish_private(&w);
    assert_true(rig_run(&w.rig, rig_task_done, w.task, 60000));
    assert_int_equal(withdrawals, 2);
    assert_true(nobody_at_last);
    assert_int_equal(w.uploads, 5);
    assert_int_equal(w.contributions, 5 + 2);
    assert_int_equal(entry(&w).spent, 5);
    assert_int_not_equal(w.verdict, FT_WORD_LATER);
    whole_close(&w);
}

static uint64_t upload_ms[8];

static void
note_upload(struct whole *w, const struct ft_out *message)
{
    if (message->kind == FT_OUT_UPLOAD && w->uploads < 8)
        upload_ms[w->uploads] = w->rig.env.now;
}

/* Whether somebody's consent changed while a contribution was under way is not to be seen in when it is sent. */
static void
private_upload_comes_at_its_time_when_consent_changes(void **state)
{
    uint64_t usual[8];
    (void)state;
    for (int changes = 0; changes < 2; changes++) {
        struct whole w;
        withdrawals = 0;
        memset(upload_ms, 0, sizeof upload_ms);
        open_private(&w, ENOUGH, CUSTOMERS, 500);
        w.during = changes ? withdraw_while_computed : NULL;
        w.look = note_upload;
        publish_private(&w);
        assert_true(rig_run(&w.rig, rig_task_done, w.task, 60000));
        assert_int_equal(w.uploads, 5);
        assert_int_equal(withdrawals, changes ? 2 : 0);
        if (changes)
            assert_memory_equal(upload_ms, usual, sizeof usual);
        memcpy(usual, upload_ms, sizeof usual);
        whole_close(&w);
    }
}

static bool
has_paid(struct rig *r, void *ctx)
{
    const struct whole *w = ctx;
    (void)r;
    return w->uploads >= 2;
}

static enum ft_status
no_head(struct ft_vault_store *s, uint64_t *seq, uint8_t chain[32])
{
    (void)s;
    (void)seq;
    (void)chain;
    return FT_ERR_NOTFOUND;
}

/* The shop's state was put back with its ledger, or began anew: it remembers no head. */
static void
forget_head(struct whole *w)
{
    struct ft_vault_store *store = w->rig.shops[0].store;
    w->calls = *store->calls;
    w->calls.ledger_get = no_head;
    store->calls = &w->calls;
}

/* An older ledger put back, or none at all, beside a state that has seen more of it: nothing starts, with a new task or an
 * old one, and whatever the aggregator remembers. The newest copy starts again. */
static void
private_ledger_behind_the_shops_own_state_starts_nothing(void **state)
{
    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        struct whole w;
        struct ft_buf old = { 0 }, newest = { 0 };
        char path[112];
        open_private(&w, ENOUGH, CUSTOMERS, 500);
        ledger_path(&w, path);
        assert_int_equal(ft_file_read(path, 1 << 20, &old, NULL), FT_OK);
        w.rig.task.rounds = 20;
        publish_private(&w);
        assert_true(rig_run(&w.rig, has_paid, &w, 60000));
        whole_kill(&w);
        assert_int_equal(ft_file_read(path, 1 << 20, &newest, NULL), FT_OK);
        if (lost == 1)
            assert_int_equal(unlink(path), 0);
        else
            assert_int_equal(ft_file_write(path, ft_buf_bytes(&old), 0600, NULL), FT_OK);
        for (int again = 0; again < 2; again++) {
            assert_false(whole_start(&w));
            assert_int_equal(w.error.status, FT_ERR_VERIFY);
            assert_non_null(strstr(w.error.text, "LEDGER_ROLLBACK"));
        }
        assert_int_equal(ft_file_write(path, ft_buf_bytes(&newest), 0600, NULL), FT_OK);
        assert_true(whole_start(&w));
        ft_buf_clear(&old);
        ft_buf_clear(&newest);
        whole_close(&w);
    }
}

/* An older ledger put back, or none at all: the aggregator's memory of it, kept over its own restart, shows it at the
 * first call. Nothing is joined any more, and the client is to end. */
static void
private_ledger_put_back_is_noticed(void **state)
{
    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        struct whole w;
        struct ft_buf old = { 0 };
        struct ft_participant_status status;
        char path[112];
        open_private(&w, ENOUGH, CUSTOMERS, 500);
        ledger_path(&w, path);
        assert_int_equal(ft_file_read(path, 1 << 20, &old, NULL), FT_OK);
        w.rig.task.rounds = 20;
        publish_private(&w);
        assert_true(rig_run(&w.rig, has_paid, &w, 60000));
        (void)rig_run(&w.rig, rig_never, NULL, 500); /* heads are stored soon, not at once */
        whole_kill(&w);
        if (lost == 1)
            assert_int_equal(unlink(path), 0);
        else
            assert_int_equal(ft_file_write(path, ft_buf_bytes(&old), 0600, NULL), FT_OK);
        rig_engine_down(&w.rig);
        rig_engine_up(&w.rig);
        forget_head(&w);
        assert_true(whole_start(&w));
        const uint64_t before = w.uploads, joined = w.contributions;
        (void)rig_run(&w.rig, rig_never, NULL, 5000);
        ft_participant_status(w.rig.shops[0].participant, &status);
        assert_true(status.rolled_back);
        assert_int_equal(w.uploads, before);
        assert_int_equal(w.contributions, joined);
        assert_int_equal(w.verdict, FT_WORD_REFUSED);
        assert_int_equal(w.code, FT_REFUSAL_LEDGER_ROLLBACK);
        ft_buf_clear(&old);
        whole_close(&w);
    }
}

/* The same with an aggregator that remembers nothing, or does not want to: the shop's own state knows that it
 * contributed to a round which this ledger would pay for again. Nothing is joined. */
static void
private_ledger_put_back_is_found_without_the_aggregator(void **state)
{
    (void)state;
    for (int lost = 0; lost < 2; lost++) {
        struct whole w;
        struct ft_buf old = { 0 };
        char path[112];
        open_private(&w, ENOUGH, CUSTOMERS, 500);
        ledger_path(&w, path);
        assert_int_equal(ft_file_read(path, 1 << 20, &old, NULL), FT_OK);
        w.rig.task.rounds = 20;
        publish_private(&w);
        assert_true(rig_run(&w.rig, has_paid, &w, 60000));
        (void)rig_run(&w.rig, rig_never, NULL, 500);
        whole_kill(&w);
        if (lost == 1)
            assert_int_equal(unlink(path), 0);
        else
            assert_int_equal(ft_file_write(path, ft_buf_bytes(&old), 0600, NULL), FT_OK);
        w.heads_forgotten = true;
        forget_head(&w);
        assert_true(whole_start(&w));
        const uint64_t before = w.uploads, joined = w.contributions;
        (void)rig_run(&w.rig, rig_never, NULL, 60000);
        assert_int_equal(w.uploads, before);
        assert_int_equal(w.contributions, joined);
        assert_int_equal(entry(&w).spent, 0);
        ft_buf_clear(&old);
        whole_close(&w);
    }
}

/* A flipped byte, another shop's ledger, a second process: the client does not start, by its code. A torn end is cut
 * off and charged. */
static void
private_ledger_that_cannot_be_trusted_starts_nothing(void **state)
{
    struct whole w;
    struct ft_buf good = { 0 };
    struct ft_budget *second;
    struct ft_error err = { 0 };
    char path[112];
    (void)state;
    open_private(&w, ENOUGH, CUSTOMERS, 500);
    ledger_path(&w, path);
    w.rig.task.rounds = 20;
    publish_private(&w);
    assert_true(rig_run(&w.rig, has_paid, &w, 60000));
    assert_int_equal(
        ft_budget_open(w.state, "shop-0", &w.key, &w.rig.env.env, FT_BUDGET_KEEP, NULL, &second, &err),
        FT_ERR_LATER);
    assert_non_null(strstr(err.text, "LEDGER_BUSY"));
    whole_kill(&w);
    assert_int_equal(ft_file_read(path, 1 << 20, &good, NULL), FT_OK);

    const size_t places[] = { 4, good.size / 2, good.size - 1 };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        good.data[places[i]] ^= 1;
        assert_int_equal(ft_file_write(path, ft_buf_bytes(&good), 0600, NULL), FT_OK);
        good.data[places[i]] ^= 1;
        assert_false(whole_start(&w));
        assert_int_equal(w.error.status, FT_ERR_VERIFY);
        assert_non_null(strstr(w.error.text, "LEDGER_CORRUPT"));
    }
    assert_int_equal(ft_file_write(path, ft_buf_bytes(&good), 0600, NULL), FT_OK);
    err = (struct ft_error){ 0 };
    assert_int_equal(
        ft_budget_open(w.state, "shop-9", &w.key, &w.rig.env.env, FT_BUDGET_KEEP, NULL, &second, &err),
        FT_ERR_VERIFY);
    assert_non_null(strstr(err.text, "LEDGER_FOREIGN"));

    /* A record that the state has noted was durable: that it is torn now is no crash's doing. */
    const uint64_t spent = entry(&w).spent;
    assert_int_equal(ft_file_write(path, FT_BYTES(good.data, good.size - 9), 0600, NULL), FT_OK);
    assert_false(whole_start(&w));
    assert_non_null(strstr(w.error.text, "LEDGER_ROLLBACK"));
    assert_int_equal(ft_file_write(path, FT_BYTES(good.data, good.size - 9), 0600, NULL), FT_OK);
    forget_head(&w);
    assert_true(whole_start(&w));
    assert_int_equal(entry(&w).spent + entry(&w).recovered, spent);
    assert_int_equal(entry(&w).recovered, 1);
    ft_buf_clear(&good);
    whole_close(&w);
}

static uint64_t die_at, messages;

static void
count_messages(struct whole *w, const struct ft_out *message)
{
    is_paid_already(w, message);
    messages++;
}

static bool
is_time_to_die(struct rig *r, void *ctx)
{
    (void)r;
    (void)ctx;
    return messages >= die_at;
}

/* Killed after any of its messages and started again: never more uploads than the ledger has steps for, no round twice,
 * and the task comes to its end. */
static void
private_shop_killed_anywhere_never_pays_too_little(void **state)
{
    (void)state;
    for (die_at = 1; die_at < 60; die_at += 4) {
        struct whole w;
        open_private(&w, ENOUGH, CUSTOMERS, 500);
        w.rig.task.privacy.spare_rounds = 6;
        uploads_seen = messages = 0;
        w.look = count_messages;
        publish_private(&w);
        (void)rig_run(&w.rig, is_time_to_die, NULL, 60000);
        whole_kill(&w);
        assert_true(whole_start(&w));
        assert_true(rig_run(&w.rig, rig_task_done, w.task, 300000));
        const struct ft_ledger_task t = entry(&w);
        assert_true(t.spent + t.recovered >= w.uploads);
        assert_true(t.spent <= t.reserved.steps);
        whole_close(&w);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_task_is_reserved_paid_and_closed),
        cmocka_unit_test(private_contribution_is_paid_before_its_first_masked_byte),
#ifdef FT_PLANTED
        cmocka_unit_test(private_ledger_written_after_the_send_is_found),
#endif
        cmocka_unit_test(private_contribution_stays_when_the_ledger_cannot_be_written),
        cmocka_unit_test(private_task_is_refused_by_the_policys_budget),
        cmocka_unit_test(private_budget_opened_later_than_before_takes_no_part),
        cmocka_unit_test(private_task_looks_the_same_whoever_is_drawn),
        cmocka_unit_test(private_task_looks_the_same_when_the_data_cannot_be_used),
        cmocka_unit_test(private_task_does_not_drop_out_when_consent_changes),
        cmocka_unit_test(private_upload_comes_at_its_time_when_consent_changes),
        cmocka_unit_test(private_ledger_put_back_is_found_without_the_aggregator),
        cmocka_unit_test(private_ledger_put_back_is_noticed),
        cmocka_unit_test(private_ledger_behind_the_shops_own_state_starts_nothing),
        cmocka_unit_test(private_ledger_that_cannot_be_trusted_starts_nothing),
        cmocka_unit_test(private_shop_killed_anywhere_never_pays_too_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
