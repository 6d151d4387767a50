/* Shops that use what they may send to keep the others from their work. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#include "aggregator/round/engine_internal.h"
#include "client/link/federation.h"
#include "common/base/alloc.h"

#include <string.h>

#define HOSTILE  4u
#define EVERY_MS 20
#define MANY     64
#define LIMIT_MS 600000
#define FEW      100

/* One SYNC of a shop that is not held; *reply is the aggregator's. */
static void
sync_once(struct rig *r, struct rig_shop *s, const struct ft_fed_sync *request, struct ft_fed_reply *reply)
{
    struct ft_buf bytes = { 0 }, answer = { 0 };
    struct ft_engine_call *call = NULL;
    bool ready = false;

    assert_int_equal(ft_fed_sync_encode(request, &bytes), FT_OK);
    assert_int_equal(ft_engine_sync_begin(r->engine, s->number, ft_buf_bytes(&bytes), &call), FT_OK);
    assert_int_equal(ft_engine_sync_poll(r->engine, call, true, &answer, &ready), FT_OK);
    assert_true(ready);
    ft_engine_sync_end(r->engine, call);
    assert_int_equal(ft_fed_reply_decode(ft_buf_bytes(&answer), reply), FT_OK);
    ft_buf_clear(&bytes);
    ft_buf_clear(&answer);
}

/* The shop's program rests while the test speaks for it, every EVERY_MS. */
static bool
its_turn(struct rig *r, struct rig_shop *s)
{
    const bool due = !s->busy || s->action.kind != FT_OUT_IDLE || r->env.now >= s->idle_until_ms;

    s->busy = true;
    s->action.kind = FT_OUT_IDLE;
    if (due)
        s->idle_until_ms = r->env.now + EVERY_MS;
    return due;
}

struct changer {
    uint8_t *task;
    uint64_t sent, held_off;
};

static bool
changes_its_key(struct rig *r, void *ctx)
{
    struct changer *c = ctx;
    struct rig_shop *s = &r->shops[HOSTILE];
    struct ft_engine_status status;
    struct ft_ss_epoch_key key;
    struct ft_fed_reply reply;
    uint8_t xsk[32], bytes[FT_SS_EPOCH_KEY_SIZE];

    if (its_turn(r, s)) {
        ft_engine_status(r->engine, &status);
        ft_ss_epoch_key_make(&s->env.env, s->identity_sk, r->deployment, s->index, status.epoch, xsk, &key);
        ft_ss_epoch_key_encode(&key, bytes);
        sync_once(r, s,
                  &(struct ft_fed_sync){
                      .roster_serial = 1, .epoch = status.epoch, .epoch_key = FT_BYTES(bytes, sizeof bytes) },
                  &reply);
        c->sent++;
        c->held_off += reply.kind == FT_FED_RETRY;
        ft_fed_reply_clear(&reply);
    }
    return rig_task_done(r, c->task);
}

/* Every new key makes a new directory, which all shops must fetch before a session can open. A shop that
 * changes its key all the time is told to wait, longer each time, and the task is done meanwhile. */
static void
round_shop_that_changes_its_key_all_the_time_stops_nobody(void **state)
{
    struct rig r;
    uint8_t hash[32];
    struct changer c = { .task = hash };

    (void)state;
    rig_open(&r, 5);
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, changes_its_key, &c, LIMIT_MS));
    assert_true(c.held_off > c.sent / 2);
    assert_int_equal(r.engine_errors, 0);
    rig_close(&r);
}

static bool
everyone_ready(struct rig *r, void *ctx)
{
    struct ft_engine_status status;
    (void)ctx;
    ft_engine_status(r->engine, &status);
    return status.present == r->shop_count && r->store.writes > 0 && !status.session;
}

/* A verdict is a write to the disk. A shop that changes its mind within one message, and message after
 * message, is heard at a bounded rate; the others' rounds go on. */
static void
round_shop_that_changes_its_mind_all_the_time_is_heard_seldom(void **state)
{
    struct rig r;
    uint8_t hash[32];
    struct ft_fed_verdict verdicts[FT_FED_VERDICTS_MAX] = { 0 };
    struct ft_fed_sync request = { .roster_serial = 1, .verdicts = verdicts };
    struct ft_fed_reply reply = { 0 };
    uint64_t before;

    (void)state;
    rig_open(&r, 5);
    rig_publish(&r, "first", false, hash);
    assert_true(rig_run(&r, everyone_ready, NULL, 60000));
    request.verdict_count = sizeof verdicts / sizeof verdicts[0];
    for (size_t i = 0; i < request.verdict_count; i++) {
        verdicts[i].verdict = i % 2 == 0 ? 1 : 2;
        memcpy(verdicts[i].task_hash, hash, 32);
    }
    rig_shop_down(&r, HOSTILE);
    before = r.store.writes;
    sync_once(&r, &r.shops[HOSTILE], &request, &reply);
    ft_fed_reply_clear(&reply);
    assert_in_range(r.store.writes - before, 0, 1); /* the last word counts */
    request.verdict_count = 1;
    for (size_t i = 0; i < 1000; i++) {
        verdicts[0].verdict = i % 2 == 0 ? 1 : 2;
        sync_once(&r, &r.shops[HOSTILE], &request, &reply);
        ft_fed_reply_clear(&reply);
    }
    assert_true(r.store.writes - before <= FEW);
    rig_close(&r);
}

/* A model that is no longer the current one is read from the disk. Shops that ask for it again and again, and
 * never let go, share one copy. */
static void
round_old_model_is_in_memory_once(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t three = 3;
    struct ft_round_row *rows;
    struct ft_blob *held[MANY] = { 0 };
    size_t count = 0;

    (void)state;
    rig_open(&r, 4);
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &three, 60000));
    rows = rig_rounds(&r, &count);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(ft_engine_blob(r.engine, rows[0].model_hash, &held[i]), FT_OK);
        assert_ptr_equal(held[i], held[0]);
    }
    for (size_t i = 0; i < MANY; i++)
        ft_engine_blob_release(r.engine, held[i]);
    assert_int_equal(ft_engine_blob(r.engine, rows[0].model_hash, &held[0]), FT_OK);
    ft_engine_blob_release(r.engine, held[0]);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* Shops that hold many different old models at once are told to come later; what the rounds need is there. */
static void
round_old_models_at_a_time_are_few(void **state)
{
    struct rig r;
    uint8_t hash[32];
    struct ft_round_row *rows;
    struct ft_blob *held[MANY] = { 0 };
    size_t count = 0, had = 0;

    (void)state;
    rig_open(&r, 4);
    r.task.rounds = 12;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 240000));
    rows = rig_rounds(&r, &count);
    assert_true(count >= 12);
    for (size_t i = 0; i + 2 < count; i++) {
        const enum ft_status st = ft_engine_blob(r.engine, rows[i].model_hash, &held[i]);
        assert_true(st == FT_OK || st == FT_ERR_LATER);
        had += st == FT_OK;
    }
    assert_in_range(had, 2, 8);
    for (size_t i = 0; i < count; i++)
        if (held[i] != NULL)
            ft_engine_blob_release(r.engine, held[i]);
    assert_int_equal(ft_engine_blob(r.engine, rows[count - 3].model_hash, &held[0]), FT_OK);
    ft_engine_blob_release(r.engine, held[0]);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* A shop that states a weight below zero makes all the others' updates weigh more than they may. What no
 * honest cohort can have summed up to is not taken into the model. */
static void
round_sum_beyond_what_the_clip_allows_is_no_model(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t two = 2;
    struct ft_round_row *rows;
    size_t count = 0;

    (void)state;
    rig_open(&r, 4);
    r.task.clip = 0.02;
    r.shops[3].weight_lie = 1 - 4 * RIG_WEIGHT; /* the sum of all weights becomes 1 */
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &two, 60000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(rows[1].stage, FT_STAGE_TRAIN);
    assert_int_equal(rows[1].state, FT_ROUND_ABANDONED);
    assert_non_null(strstr(rows[1].reasons, "SUM_UNUSABLE"));
    assert_int_equal(r.engine_errors, 0);
    r.shops[3].weight_lie = 0;
    assert_true(rig_run(&r, rig_task_done, hash, 120000));
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

static bool
bar_before_its_join(struct rig *r, void *count)
{
    struct rig_shop *s = &r->shops[HOSTILE];
    struct ft_participant_status status;

    ft_participant_status(s->participant, &status);
    if (status.session_step == FT_SS_STEP_JOIN && s->call == NULL)
        r->engine->shops[HOSTILE].barred = true;
    return rig_rounds_ended(r, count);
}

/* A shop that is barred gets no announcement. With another shop's it could still join: it is not let in. */
static void
round_barred_shop_cannot_join_with_anothers_announcement(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t one = 1;
    struct ft_round_row *rows;
    size_t count = 0;

    (void)state;
    rig_open(&r, 5);
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, bar_before_its_join, &one, 60000));
    rows = rig_rounds(&r, &count);
    assert_true(r.engine->shops[HOSTILE].barred);
    assert_int_equal(rows[0].state, FT_ROUND_COMMITTED);
    assert_int_equal(rows[0].cohort, 4);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_shop_that_changes_its_key_all_the_time_stops_nobody),
        cmocka_unit_test(round_shop_that_changes_its_mind_all_the_time_is_heard_seldom),
        cmocka_unit_test(round_old_model_is_in_memory_once),
        cmocka_unit_test(round_old_models_at_a_time_are_few),
        cmocka_unit_test(round_sum_beyond_what_the_clip_allows_is_no_model),
        cmocka_unit_test(round_barred_shop_cannot_join_with_anothers_announcement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
