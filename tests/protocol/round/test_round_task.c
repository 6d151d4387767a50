/* A whole task: statistics, training, evaluation, with the model that plain arithmetic gives. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#include "common/base/alloc.h"

#include <string.h>

/* Five shops: every round commits, in order, with all of them, and the parameters are the sum of the mean
 * steps. */
static void
round_task_runs_from_statistics_to_evaluation(void **state)
{
    struct rig r;
    uint8_t hash[32];
    size_t count = 0;
    struct ft_round_row *rows;
    static const uint32_t stages[] = { FT_STAGE_STATISTICS, FT_STAGE_TRAIN, FT_STAGE_TRAIN, FT_STAGE_TRAIN,
                                       FT_STAGE_EVALUATE };

    (void)state;
    rig_open(&r, 5);
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(count, 5);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].round, i + 1);
        assert_int_equal(rows[i].stage, stages[i]);
        assert_int_equal(rows[i].state, FT_ROUND_COMMITTED);
        assert_int_equal(rows[i].cohort, 5);
        assert_int_equal(rows[i].survivors, 5);
    }
    assert_true(rig_parameter(&r, hash) > 3 * rig_mean_step(&r, UINT32_MAX) - 1e-6);
    assert_true(rig_parameter(&r, hash) < 3 * rig_mean_step(&r, UINT32_MAX) + 1e-6);
    assert_int_equal(ft_store_log_check(r.db, NULL), FT_OK);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* With one slot the uploads come one after the other, and nobody is lost. */
static void
round_uploads_wait_for_the_only_slot(void **state)
{
    struct rig r;
    uint8_t hash[32];

    (void)state;
    rig_open(&r, 6);
    rig_engine_down(&r);
    r.slots = 1;
    rig_engine_up(&r);
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    assert_int_equal(r.round_events[FT_ROUND_COMMITTED], 5);
    assert_int_equal(r.round_events[FT_ROUND_ABANDONED], 0);
    rig_close(&r);
}

/* A shop that refuses the task is told of no session; the others do without it, and the rounds say why. */
static void
round_goes_on_without_a_shop_that_refuses_the_task(void **state)
{
    struct rig r;
    uint8_t hash[32];
    size_t count = 0;
    struct ft_round_row *rows;

    (void)state;
    rig_open(&r, 5);
    r.shops[2].word = FT_WORD_REFUSED;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    rows = rig_rounds(&r, &count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].cohort, 4);
        assert_non_null(strstr(rows[i].reasons, "\"shop-2\":\"TASK_REFUSED\""));
    }
    assert_int_equal(r.shops[2].contributions, 0);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* Metrics and statistics are in the rows: 50 rows of weight, and an evaluation without a model change. */
static void
round_rows_hold_what_the_sum_said(void **state)
{
    struct rig r;
    uint8_t hash[32];
    size_t count = 0, models = 0;
    struct ft_round_row *rows;
    struct ft_model_row *list = NULL;

    (void)state;
    rig_open(&r, 5);
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    rows = rig_rounds(&r, &count);
    assert_non_null(strstr(rows[0].metrics, "\"train_rows\":50"));
    assert_non_null(strstr(rows[4].metrics, "\"auc\""));
    assert_int_equal(ft_store_models(r.db, hash, &list, &models), FT_OK);
    assert_int_equal(models, 4); /* the initial one and one a training round */
    assert_int_equal(list[3].version, 3);
    assert_memory_equal(list[3].hash, rows[4].model_hash, 32);
    ft_free(list);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_task_runs_from_statistics_to_evaluation),
        cmocka_unit_test(round_uploads_wait_for_the_only_slot),
        cmocka_unit_test(round_goes_on_without_a_shop_that_refuses_the_task),
        cmocka_unit_test(round_rows_hold_what_the_sum_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
