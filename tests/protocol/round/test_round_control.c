/* What the central team does while rounds run: pause, resume, stop, several tasks, revoked shops, a new
 * epoch. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#include "common/base/alloc.h"

#include <stdlib.h>
#include <string.h>

/* Two tasks run one after the other, the older one first; each has its own rounds and its own model. */
static void
round_tasks_run_one_after_the_other(void **state)
{
    struct rig r;
    uint8_t first[32], second[32];
    struct ft_round_row *rows;
    size_t count = 0;

    (void)state;
    rig_open(&r, 4);
    rig_publish(&r, "first", true, first);
    rig_publish(&r, "second", true, second);
    assert_true(rig_run(&r, rig_task_done, second, 120000));
    assert_true(rig_task_done(&r, first));
    rows = rig_rounds(&r, &count);
    assert_int_equal(count, 10);
    assert_memory_equal(rows[4].task, first, 32);
    assert_memory_equal(rows[5].task, second, 32);
    assert_int_equal(rows[5].round, 1); /* rounds count within a task */
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* A published task is offered and judged, but runs only when it is started. */
static void
round_published_task_waits_for_its_start(void **state)
{
    struct rig r;
    uint8_t hash[32];
    struct ft_verdict_row *verdicts = NULL;
    size_t count = 0;

    (void)state;
    rig_open(&r, 4);
    rig_publish(&r, "first", false, hash);
    rig_run(&r, rig_never, NULL, 30000);
    assert_int_equal(r.round_events[FT_ROUND_COMMITTED], 0);
    assert_int_equal(ft_store_verdicts(r.db, hash, &verdicts, &count), FT_OK);
    assert_int_equal(count, 4);
    assert_int_equal(ft_store_task_set_state(r.db, hash, FT_TASK_RUNNING, r.env.wall), FT_OK);
    rig_reload(&r);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    ft_free(verdicts);
    rig_close(&r);
}

static bool
reason_is(struct rig *r, void *ctx)
{
    const uint8_t *hash = ctx;
    struct ft_verdict_row *rows = NULL;
    size_t count = 0;
    bool is;

    assert_int_equal(ft_store_verdicts(r->db, hash, &rows, &count), FT_OK);
    is = count == 4 && rows[3].verdict == FT_WORD_REFUSED && atoi(rows[3].codes) == (int)r->shops[3].reason;
    ft_free(rows);
    return is;
}

/* A shop that refuses for another reason than before: the register has the new one, after a restart too. */
static void
round_register_has_the_newest_reason_of_a_refusal(void **state)
{
    struct rig r;
    uint8_t hash[32];

    (void)state;
    rig_open(&r, 4);
    r.shops[3].word = FT_WORD_REFUSED;
    r.shops[3].reason = 24;
    rig_publish(&r, "first", false, hash);
    assert_true(rig_run(&r, reason_is, hash, 60000));
    r.shops[3].reason = 27;
    assert_true(rig_run(&r, reason_is, hash, 600000));
    rig_engine_down(&r);
    rig_engine_up(&r);
    r.shops[3].reason = 11;
    assert_true(rig_run(&r, reason_is, hash, 600000));
    rig_close(&r);
}

/* A paused task finishes the round at hand and starts no other until it is resumed. */
static void
round_paused_task_starts_no_further_round(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t two = 2, committed;

    (void)state;
    rig_open(&r, 4);
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &two, 60000));
    assert_int_equal(ft_store_task_set_state(r.db, hash, FT_TASK_PAUSED, r.env.wall), FT_OK);
    rig_reload(&r);
    rig_run(&r, rig_never, NULL, 30000);
    committed = r.round_events[FT_ROUND_COMMITTED];
    assert_in_range(committed, 2, 3);
    rig_run(&r, rig_never, NULL, 30000);
    assert_int_equal(r.round_events[FT_ROUND_COMMITTED], committed);
    assert_int_equal(ft_store_task_set_state(r.db, hash, FT_TASK_RUNNING, r.env.wall), FT_OK);
    rig_reload(&r);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    rig_close(&r);
}

static bool
session_open(struct rig *r, void *ctx)
{
    struct ft_engine_status status;
    (void)ctx;
    ft_engine_status(r->engine, &status);
    return status.session && status.joined > 0;
}

/* A stopped task takes its session with it, at once, and never runs again. */
static void
round_stopped_task_ends_its_session(void **state)
{
    struct rig r;
    uint8_t hash[32];
    struct ft_round_row *rows;
    struct ft_engine_status status;
    size_t count = 0;

    (void)state;
    rig_open(&r, 5);
    r.shops[4].die_before_join = true; /* keeps the session OPEN */
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, session_open, NULL, 60000));
    assert_int_equal(ft_store_task_set_state(r.db, hash, FT_TASK_STOPPED, r.env.wall), FT_OK);
    rig_reload(&r);
    ft_engine_status(r.engine, &status);
    assert_false(status.session);
    rig_run(&r, rig_never, NULL, 60000);
    rows = rig_rounds(&r, &count);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].state, FT_ROUND_FAILED);
    assert_non_null(strstr(rows[0].reasons, "TASK_STOPPED"));
    assert_int_equal(ft_store_task_set_state(r.db, hash, FT_TASK_RUNNING, r.env.wall), FT_ERR_REFUSED);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* A task stopped while the aggregator is down has its session ended at the next start. */
static void
round_task_stopped_while_down_is_not_resumed(void **state)
{
    struct rig r;
    uint8_t hash[32];
    struct ft_engine_status status;
    struct ft_round_row *rows;
    size_t count = 0;

    (void)state;
    rig_open(&r, 5);
    r.shops[4].die_before_join = true;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, session_open, NULL, 60000));
    rig_engine_down(&r);
    assert_int_equal(ft_store_task_set_state(r.db, hash, FT_TASK_STOPPED, r.env.wall), FT_OK);
    rig_engine_up(&r);
    ft_engine_status(r.engine, &status);
    assert_false(status.session);
    rows = rig_rounds(&r, &count);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].state, FT_ROUND_FAILED);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* A revoked shop is not served from the next call on, and the rounds go on without it. */
static void
round_goes_on_without_a_revoked_shop(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t two = 2;
    struct ft_round_row *rows;
    size_t count = 0;

    (void)state;
    rig_open(&r, 5);
    r.task.rounds = 6;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &two, 60000));
    assert_int_equal(ft_store_shop_set_state(r.db, r.shops[1].number, FT_SHOP_REVOKED, r.env.wall), FT_OK);
    rig_reload(&r);
    assert_true(rig_run(&r, rig_task_done, hash, 120000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(rows[0].survivors, 5);
    assert_int_equal(rows[count - 1].cohort, 4);
    assert_int_equal(rows[count - 1].state, FT_ROUND_COMMITTED);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* A shop that enrolled later waits until the registrar has signed it in; the next roster lets it take part at
 * once. */
static void
round_lets_a_shop_in_with_the_next_roster(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t two = 2;
    struct ft_round_row *rows;
    size_t count = 0;

    (void)state;
    rig_open_listing(&r, 5, 4);
    r.task.rounds = 6;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &two, 60000));
    assert_int_equal(r.shops[4].contributions, 0);
    rig_roster(&r, 2, 5);
    assert_true(rig_run(&r, rig_task_done, hash, 120000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(count, 8);
    assert_int_equal(rows[0].cohort, 4);
    assert_int_equal(rows[count - 1].cohort, 5);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* A new day is a new epoch: every shop makes a new key, and the rounds go on. */
static void
round_goes_on_in_a_new_epoch(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t two = 2;
    struct ft_engine_status status;

    (void)state;
    rig_open(&r, 4);
    r.task.rounds = 6;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &two, 60000));
    ft_engine_status(r.engine, &status);
    assert_int_equal(status.epoch, 1);
    r.env.now += 90000000;
    r.env.wall += 90000000;
    assert_true(rig_run(&r, rig_task_done, hash, 200000));
    ft_engine_status(r.engine, &status);
    assert_int_equal(status.epoch, 2);
    assert_int_equal(r.round_events[FT_ROUND_COMMITTED], 8);
    rig_close(&r);
}

/* A task past its expiry date starts no round, however long one waits. */
static void
round_expired_task_does_not_run(void **state)
{
    struct rig r;
    uint8_t hash[32];

    (void)state;
    rig_open(&r, 4);
    r.task.expires = (char *)(uintptr_t) "2025-01-31";
    r.task.review = (char *)(uintptr_t) "2025-01-31";
    rig_publish(&r, "first", true, hash);
    rig_run(&r, rig_never, NULL, 60000);
    assert_int_equal(r.round_events[FT_ROUND_COMMITTED], 0);
    assert_int_equal(r.round_events[FT_ROUND_FAILED], 0);
    rig_close(&r);
}

/* Every wait has an end: whatever the engine is in, it names a time to look again, or there is nothing to do.
 */
static void
round_shops_without_a_task_are_held_without_work(void **state)
{
    struct rig r;
    struct ft_engine_status status;

    (void)state;
    rig_open(&r, 4);
    rig_run(&r, rig_never, NULL, 60000);
    ft_engine_status(r.engine, &status);
    assert_false(status.session);
    assert_int_equal(status.present, 4);
    assert_int_equal(r.engine_errors, 0);
    rig_close(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_tasks_run_one_after_the_other),
        cmocka_unit_test(round_published_task_waits_for_its_start),
        cmocka_unit_test(round_register_has_the_newest_reason_of_a_refusal),
        cmocka_unit_test(round_paused_task_starts_no_further_round),
        cmocka_unit_test(round_stopped_task_ends_its_session),
        cmocka_unit_test(round_task_stopped_while_down_is_not_resumed),
        cmocka_unit_test(round_goes_on_without_a_revoked_shop),
        cmocka_unit_test(round_lets_a_shop_in_with_the_next_roster),
        cmocka_unit_test(round_goes_on_in_a_new_epoch),
        cmocka_unit_test(round_expired_task_does_not_run),
        cmocka_unit_test(round_shops_without_a_task_are_held_without_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
