/* Shops that die, at every step; cohorts that become too small; messages that are no messages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#include "aggregator/round/wire_federation.h"
#include "client/link/federation.h"
#include "common/base/alloc.h"

#include <string.h>

/* The row of the first round in which this shop is missing; NULL when there is none. */
static const struct ft_round_row *
first_without(const struct ft_round_row *rows, size_t count, const char *shop)
{
    for (size_t i = 0; i < count; i++)
        if (strstr(rows[i].reasons, shop) != NULL)
            return &rows[i];
    return NULL;
}

static void
one_shop_dies_at(uint32_t step, const char *reason, uint32_t survivors)
{
    struct rig r;
    uint8_t hash[32];
    size_t count = 0;
    struct ft_round_row *rows;
    const struct ft_round_row *row;

    rig_open(&r, 6);
    r.shops[3].die_at_step = step;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 120000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(r.round_events[FT_ROUND_COMMITTED], 5);
    assert_int_equal(r.round_events[FT_ROUND_ABANDONED], 0);
    if (survivors == 6) { /* its part was in: nobody is missing from that round */
        assert_int_equal(rows[0].survivors, 6);
        assert_int_equal(rows[1].survivors, 5);
    } else {
        row = first_without(rows, count, "shop-3");
        assert_non_null(row);
        assert_non_null(strstr(row->reasons, reason));
        assert_int_equal(row->round, 1);
        assert_int_equal(row->survivors, survivors);
    }
    /* Its broken connection told: nobody waited for the phase's end. */
    for (size_t i = 0; i < count; i++)
        assert_true(rows[i].ended_ms - rows[i].started_ms < 2500);
    /* Whoever was in has moved the model; the dead shop has not. */
    assert_true(rig_parameter(&r, hash) > 3 * rig_mean_step(&r, 3) - 1e-6);
    assert_true(rig_parameter(&r, hash) < 3 * rig_mean_step(&r, 3) + 1e-6);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* A shop killed after joining has shared no keys: the round goes on without it and says so. */
static void
round_survives_a_shop_that_dies_after_joining(void **state)
{
    (void)state;
    one_shop_dies_at(FT_SS_STEP_JOIN, "LATE_SHARES", 5);
}

/* A shop killed after sharing keys is taken out of the sum with the shares others hold. */
static void
round_survives_a_shop_that_dies_after_sharing_keys(void **state)
{
    (void)state;
    one_shop_dies_at(FT_SS_STEP_SHARES, "LATE_INPUT", 5);
}

/* A shop killed after its upload stays in the sum. */
static void
round_keeps_the_input_of_a_shop_that_dies_after_uploading(void **state)
{
    (void)state;
    one_shop_dies_at(FT_SS_STEP_MASKED, "", 6);
}

/* A shop killed after confirming stays in the sum: its self mask is rebuilt from shares. */
static void
round_keeps_the_input_of_a_shop_that_dies_after_confirming(void **state)
{
    (void)state;
    one_shop_dies_at(FT_SS_STEP_CONFIRM, "", 6);
}

/* A shop killed while it trains is waited for no longer than join_ms. */
static void
round_waits_for_a_shop_that_dies_in_training_until_join_ms(void **state)
{
    struct rig r;
    uint8_t hash[32];
    size_t count = 0;
    struct ft_round_row *rows;

    (void)state;
    rig_open(&r, 6);
    r.shops[0].die_before_join = true;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 120000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(rows[0].cohort, 5);
    assert_non_null(strstr(rows[0].reasons, "\"shop-0\":\"LATE_JOIN\""));
    assert_true(rows[0].ended_ms - rows[0].started_ms >= r.task.join_ms);
    assert_true(rows[0].ended_ms - rows[0].started_ms < r.task.join_ms + 1000);
    /* It is known to be gone: the next rounds do not wait. */
    assert_true(rows[2].ended_ms - rows[2].started_ms < 1000);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* A shop that comes back takes part again in a later round, with a new key and a new directory. */
static void
round_lets_a_shop_come_back(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t two = 2;
    size_t count = 0;
    struct ft_round_row *rows;

    (void)state;
    rig_open(&r, 5);
    r.task.rounds = 8;
    r.task.pause_ms = 1000;
    r.shops[4].die_at_step = FT_SS_STEP_SHARES;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &two, 60000));
    r.shops[4].die_at_step = FT_SS_STEP_NONE;
    rig_shop_up(&r, 4);
    assert_true(rig_run(&r, rig_task_done, hash, 120000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(rows[0].survivors, 4);
    assert_int_equal(rows[count - 1].survivors, 5);
    assert_int_equal(r.round_events[FT_ROUND_COMMITTED], 10);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* Too few join: the round fails before anybody can have uploaded, and its next attempt does the work. */
static void
round_is_attempted_again_when_too_few_join(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t one = 1;
    size_t count = 0;
    struct ft_round_row *rows;

    (void)state;
    rig_open(&r, 4);
    r.task.n_min = 4;
    r.shops[1].die_before_join = true;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &one, 60000));
    r.shops[1].die_before_join = false;
    rig_shop_up(&r, 1);
    assert_true(rig_run(&r, rig_task_done, hash, 120000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(rows[0].state, FT_ROUND_FAILED);
    assert_non_null(strstr(rows[0].reasons, "\"session\":\"FAILED_JOIN\""));
    assert_int_equal(rows[1].state, FT_ROUND_COMMITTED);
    assert_int_equal(rows[1].round, rows[0].round);
    assert_int_equal(rows[1].attempt, rows[0].attempt + 1);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* More die than are tolerated once inputs may be out: the round's number is spent and the next one does its
 * work. */
static void
round_is_abandoned_when_too_many_die_with_inputs_out(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t one = 1;
    size_t count = 0;
    struct ft_round_row *rows;

    (void)state;
    rig_open(&r, 4); /* one dropout of four is tolerated */
    r.shops[0].die_at_step = r.shops[1].die_at_step = FT_SS_STEP_SHARES;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &one, 60000));
    for (uint32_t i = 0; i < 2; i++) {
        r.shops[i].die_at_step = FT_SS_STEP_NONE;
        rig_shop_up(&r, i);
    }
    assert_true(rig_run(&r, rig_task_done, hash, 120000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(rows[0].state, FT_ROUND_ABANDONED);
    assert_int_equal(rows[0].round, 1);
    assert_int_equal(rows[1].state, FT_ROUND_COMMITTED);
    assert_int_equal(rows[1].round, 2);
    assert_int_equal(rows[1].stage, FT_STAGE_STATISTICS); /* the same work */
    assert_int_equal(r.round_events[FT_ROUND_COMMITTED], 5);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* Everyone dies in the middle: the round ends by its own deadlines, and nothing waits for ever. */
static void
round_ends_when_every_shop_dies(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t one = 1;

    (void)state;
    rig_open(&r, 4);
    for (uint32_t i = 0; i < 4; i++)
        r.shops[i].die_at_step = FT_SS_STEP_SHARES;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &one, 2 * r.task.session_ms));
    assert_int_equal(r.round_events[FT_ROUND_ABANDONED], 1);
    rig_close(&r);
}

static void
send_raw(struct rig *r, uint32_t shop, struct ft_bytes request, enum ft_sync_kind *kind)
{
    struct ft_engine_call *call = NULL;
    struct ft_buf reply = { 0 };
    struct ft_fed_reply parsed;
    bool ready = false;

    assert_int_equal(ft_engine_sync_begin(r->engine, r->shops[shop].number, request, &call), FT_OK);
    assert_int_equal(ft_engine_sync_poll(r->engine, call, true, &reply, &ready), FT_OK);
    assert_true(ready);
    assert_int_equal(ft_fed_reply_decode(ft_buf_bytes(&reply), &parsed), FT_OK);
    *kind = (enum ft_sync_kind)parsed.kind;
    ft_fed_reply_clear(&parsed);
    ft_buf_clear(&reply);
    ft_engine_sync_end(r->engine, call);
}

/* Bytes that are no SyncRequest are refused, whatever they are, and change nothing. */
static void
round_refuses_bytes_that_are_no_request(void **state)
{
    struct rig r;
    struct ft_engine_call *call = NULL;
    static const uint8_t bad[][4] = { { 0xff, 0xff, 0xff, 0xff },
                                      { 0x22, 0x01, 0x00, 0 },
                                      { 0x2a, 0x03, 1, 2 } };

    (void)state;
    rig_open(&r, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ft_engine_sync_begin(r.engine, r.shops[0].number, FT_BYTES(bad[i], 4), &call),
                         FT_ERR_FORMAT);
    assert_int_equal(ft_engine_sync_begin(r.engine, 99, FT_BYTES("", 0), &call), FT_ERR_NOTFOUND);
    rig_close(&r);
}

/* A forged answer inside a session is REJECTED and does not hurt it; a position of no session is told that it
 * is over. */
static void
round_rejects_forged_answers_and_ends_unknown_positions(void **state)
{
    struct rig r;
    uint8_t hash[32];
    struct ft_fed_sync sync = { .wait_ms = 0 };
    struct ft_buf request = { 0 };
    struct ft_engine_status status;
    enum ft_sync_kind kind;

    (void)state;
    rig_open(&r, 5);
    rig_publish(&r, "first", true, hash);
    r.shops[4].die_before_join = true; /* so that the session stays OPEN for a while */
    rig_run(&r, rig_never, NULL, 1000);
    ft_engine_status(r.engine, &status);
    assert_true(status.session);
    sync.position.round = status.round;
    sync.position.attempt = status.attempt;
    sync.position.step = FT_SS_STEP_JOIN;
    memcpy(sync.position.task_hash, hash, 32);
    sync.answer = FT_BYTES("not a message", 13);
    assert_int_equal(ft_fed_sync_encode(&sync, &request), FT_OK);
    send_raw(&r, 4, ft_buf_bytes(&request), &kind);
    assert_int_equal(kind, FT_SYNC_REJECTED);

    ft_buf_clear(&request);
    sync.answer = FT_BYTES(NULL, 0);
    sync.position.round = 77;
    assert_int_equal(ft_fed_sync_encode(&sync, &request), FT_OK);
    send_raw(&r, 4, ft_buf_bytes(&request), &kind);
    assert_int_equal(kind, FT_SYNC_SESSION); /* SumEnded */
    ft_buf_clear(&request);

    assert_true(rig_run(&r, rig_task_done, hash, 120000));
    assert_int_equal(r.round_events[FT_ROUND_COMMITTED], 5);
    rig_close(&r);
}

/* A shop that runs until all is done ends with the last task, also when it took no part in it, and not before. */
static void
round_tells_a_shop_that_asks_when_no_task_is_left(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t two = 2;
    struct ft_participant_status status;

    (void)state;
    rig_open(&r, 5);
    rig_shop_down(&r, 4);
    r.shops[4].until_done = true;
    r.shops[4].word = FT_WORD_REFUSED;
    rig_shop_up(&r, 4);
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &two, 60000));
    ft_participant_status(r.shops[4].participant, &status);
    assert_false(status.finished);
    assert_true(rig_run(&r, rig_task_done, hash, 120000));
    rig_run(&r, rig_never, NULL, 100); /* no long poll is waited for */
    ft_participant_status(r.shops[4].participant, &status);
    assert_true(status.finished);
    assert_int_equal(r.shops[4].contributions, 0);
    rig_close(&r);
}

/* An upload that nobody asked for is rejected, with and without a session. */
static void
round_rejects_uploads_nobody_asked_for(void **state)
{
    struct rig r;
    struct ft_engine_upload *upload = NULL;
    struct ft_upload_reply reply = { 0 };
    bool busy = false;

    (void)state;
    rig_open(&r, 3);
    assert_int_equal(
        ft_engine_upload_begin(r.engine, r.shops[0].number, FT_BYTES("x", 1), &upload, &reply, &busy), FT_OK);
    assert_null(upload);
    assert_false(busy);
    assert_int_equal(reply.kind, FT_UPLOAD_REJECTED);
    rig_close(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_survives_a_shop_that_dies_after_joining),
        cmocka_unit_test(round_survives_a_shop_that_dies_after_sharing_keys),
        cmocka_unit_test(round_keeps_the_input_of_a_shop_that_dies_after_uploading),
        cmocka_unit_test(round_keeps_the_input_of_a_shop_that_dies_after_confirming),
        cmocka_unit_test(round_waits_for_a_shop_that_dies_in_training_until_join_ms),
        cmocka_unit_test(round_lets_a_shop_come_back),
        cmocka_unit_test(round_is_attempted_again_when_too_few_join),
        cmocka_unit_test(round_is_abandoned_when_too_many_die_with_inputs_out),
        cmocka_unit_test(round_ends_when_every_shop_dies),
        cmocka_unit_test(round_refuses_bytes_that_are_no_request),
        cmocka_unit_test(round_rejects_forged_answers_and_ends_unknown_positions),
        cmocka_unit_test(round_tells_a_shop_that_asks_when_no_task_is_left),
        cmocka_unit_test(round_rejects_uploads_nobody_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
