/* The aggregator is killed after each of its writes, and each of its writes fails once: rounds are committed
 * once, in order, and the model is the one that an undisturbed run gives (promise R4). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#include "common/base/alloc.h"

#include <math.h>
#include <string.h>

#define SHOPS 4

static bool
crashed_or_done(struct rig *r, void *hash)
{
    return r->store.crashed || rig_task_done(r, hash);
}

/* One commit a round number, stages in order, the log whole, the parameters exact. */
static void
check_outcome(struct rig *r, uint8_t hash[32])
{
    size_t count = 0, committed = 0;
    struct ft_round_row *rows = rig_rounds(r, &count);
    static const uint32_t stages[] = { FT_STAGE_STATISTICS, FT_STAGE_TRAIN, FT_STAGE_TRAIN,
                                       FT_STAGE_EVALUATE };
    uint64_t last = 0, size = 0;
    uint8_t head[32];

    for (size_t i = 0; i < count; i++) {
        if (rows[i].state != FT_ROUND_COMMITTED)
            continue;
        assert_true(rows[i].round > last);
        last = rows[i].round;
        assert_int_equal(rows[i].stage, stages[committed]);
        assert_int_equal(rows[i].survivors, SHOPS);
        committed++;
    }
    assert_int_equal(committed, 4);
    assert_int_equal(ft_store_log_head(r->db, &size, head), FT_OK);
    assert_int_equal(size, committed);
    assert_int_equal(ft_store_log_check(r->db, NULL), FT_OK);
    assert_true(fabs((double)rig_parameter(r, hash) - 2 * rig_mean_step(r, UINT32_MAX)) < 1e-6);
    ft_round_rows_free(rows, count);
}

static void
open_small(struct rig *r, uint8_t hash[32])
{
    rig_open(r, SHOPS);
    r->task.rounds = 2;
    r->task.n_min = SHOPS; /* so that every committed round has all of them, and the model is known exactly */
    rig_publish(r, "first", true, hash);
}

static uint64_t
writes_of_a_run(void)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t writes;

    open_small(&r, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    check_outcome(&r, hash);
    writes = r.store.writes;
    rig_close(&r);
    return writes;
}

static void
kill_at_every_write(bool lose)
{
    const uint64_t writes = writes_of_a_run();

    assert_true(writes > 20);
    for (uint64_t n = 1; n <= writes; n++) {
        struct rig r;
        uint8_t hash[32];

        open_small(&r, hash);
        r.store.crash_at = n;
        r.store.lose = lose;
        assert_true(rig_run(&r, crashed_or_done, hash, 60000));
        assert_true(r.store.crashed);
        rig_engine_down(&r);
        rig_engine_up(&r);
        if (!rig_run(&r, rig_task_done, hash, 300000))
            fail_msg("stuck after a restart at write %llu", (unsigned long long)n);
        check_outcome(&r, hash);
        rig_close(&r);
    }
}

/* Killed right after the n-th write, for every n: the restarted aggregator loses nothing and repeats nothing.
 */
static void
round_restarts_after_any_write(void **state)
{
    (void)state;
    kill_at_every_write(false);
}

/* Killed right before it, with all that was only in memory. */
static void
round_restarts_before_any_write(void **state)
{
    (void)state;
    kill_at_every_write(true);
}

/* Killed again and again, every few writes: still the same model. */
static void
round_restarts_again_and_again(void **state)
{
    (void)state;
    for (uint64_t every = 3; every <= 9; every += 3) {
        struct rig r;
        uint8_t hash[32];
        bool done = false;

        open_small(&r, hash);
        for (int life = 0; life < 60 && !done; life++) {
            r.store.crash_at = every + (uint64_t)life % 3;
            done = rig_run(&r, crashed_or_done, hash, 300000) && !r.store.crashed;
            rig_engine_down(&r);
            rig_engine_up(&r);
        }
        if (!done)
            assert_true(rig_run(&r, rig_task_done, hash, 300000));
        check_outcome(&r, hash);
        rig_close(&r);
    }
}

/* One write fails (a disk that hiccups): the same run goes on by itself. */
static void
round_goes_on_after_a_write_that_failed(void **state)
{
    const uint64_t writes = writes_of_a_run();

    (void)state;
    for (uint64_t n = 1; n <= writes; n++) {
        struct rig r;
        uint8_t hash[32];

        open_small(&r, hash);
        r.store.fail_at = n;
        if (!rig_run(&r, rig_task_done, hash, 300000))
            fail_msg("stuck after write %llu failed", (unsigned long long)n);
        check_outcome(&r, hash);
        rig_close(&r);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_restarts_after_any_write),
        cmocka_unit_test(round_restarts_before_any_write),
        cmocka_unit_test(round_restarts_again_and_again),
        cmocka_unit_test(round_goes_on_after_a_write_that_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
