/* A contribution read back out of its packed words, against numbers worked out here. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/vault/contribute.h"
#include "common/base/alloc.h"
#include "common/model/train.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#define ROWS     4
#define FEATURES 2

static struct ft_task_feature features[FEATURES] = { { (char *)(uintptr_t) "a", 0, 10 },
                                                     { (char *)(uintptr_t) "b", -1, 1 } };
static const float x_raw[ROWS * FEATURES] = { 0, -1, 10, 1, 5, 0, 2.5f, 0.5f };
static const float y_raw[ROWS] = { 0, 1, 1, 0 };

struct fixture {
    struct ft_env_seeded env;
    struct ft_task task;
    uint8_t hash[32];
    struct ft_round_plan plan;
    struct ft_model_state model;
    struct ft_examples examples;
    float x_train[ROWS * FEATURES], x_test[ROWS * FEATURES], y[ROWS];
    double means[FEATURES], stds[FEATURES];
    float params[FEATURES + 1];
    struct ft_contributor *contributor;
    bool standardised;
};

static void
open_fixture(struct fixture *f, enum ft_stage stage, double clip, double learning_rate)
{
    memset(f, 0, sizeof *f);
    ft_env_seeded_init(&f->env, 5, 1);
    f->task = (struct ft_task){
        .features = features,
        .feature_count = FEATURES,
        .rows_per_customer = 1,
        .rows_max = 100,
        .label_max = 1,
        .model = FT_MODEL_LOGISTIC,
        .rounds = 3,
        .local_epochs = 2,
        .learning_rate = learning_rate,
        .clip = clip,
        .weight_cap = 3,
        .n_min = 3,
        .n_cap = 8,
        .h_min = 2,
        .corrupted = 1,
        .sigma = 40,
        .eta = 30,
        .suite = 2,
        .lane_bits = 32,
        .bins = 8,
        .calibration_bins = 2,
        .unit = FT_UNIT_CUSTOMER,
    };
    assert_int_equal(ft_round_plan_init(&f->plan, &f->task, stage, NULL), FT_OK);
    memcpy(f->x_train, x_raw, sizeof x_raw);
    memcpy(f->x_test, x_raw, sizeof x_raw);
    memcpy(f->y, y_raw, sizeof y_raw);
    f->examples = (struct ft_examples){ .rows_train = ROWS,
                                        .rows_test = 2,
                                        .feature_count = FEATURES,
                                        .x_train = f->x_train,
                                        .y_train = f->y,
                                        .x_test = f->x_test,
                                        .y_test = f->y };
    f->means[0] = 5;
    f->stds[0] = 2;
    f->stds[1] = 0.5;
    f->model = (struct ft_model_state){ .stage = stage,
                                        .means = f->means,
                                        .stds = f->stds,
                                        .features = FEATURES,
                                        .params = f->params,
                                        .parameters = FEATURES + 1 };
    assert_int_equal(ft_contributor_open(&f->env.env, &f->contributor), FT_OK);
}

static enum ft_status
contribute(struct fixture *f, int64_t *z, uint64_t *weight)
{
    uint64_t *words;
    const struct ft_work work = { &f->task, f->hash, &f->plan, &f->model, false };
    const enum ft_status st =
        ft_contribute(f->contributor, &work, &f->examples, &f->standardised, &words, NULL);
    if (st == FT_OK) {
        assert_int_equal(ft_ss_unpack(&f->plan.codec, words, 1, z, weight), FT_OK);
        ft_big_free(words, (size_t)f->plan.codec.words * 8);
    } else {
        assert_null(words);
    }
    return st;
}

/* Statistics: u = (x - min) / (max - min) is 0, 1, 1/2, 1/4 and 0, 1, 1/2, 3/4; the rows are the weight. */
static void
statistics_are_sums_of_u_and_its_square(void **ctx)
{
    struct fixture f;
    int64_t z[4];
    uint64_t weight;
    (void)ctx;
    open_fixture(&f, FT_STAGE_STATISTICS, 1, 0.1);
    assert_int_equal(f.plan.layout.dim, 4);
    assert_int_equal(contribute(&f, z, &weight), FT_OK);
    assert_int_equal(weight, ROWS);
    const double want[4] = { 1.75, 2.25, 1.3125, 1.8125 };
    for (int i = 0; i < 4; i++)
        assert_true(fabs((double)z[i] * f.plan.layout.sum_unit - want[i]) < 1e-9);
    ft_contributor_close(f.contributor);
}

/* Training: the update is that of local training on standardised rows, weighted by the capped number of rows.
 */
static void
a_training_round_adds_the_weighted_local_update(void **ctx)
{
    struct fixture f;
    struct ft_trainer *trainer;
    float x[ROWS * FEATURES], delta[FEATURES + 1];
    uint64_t weight;
    (void)ctx;
    open_fixture(&f, FT_STAGE_TRAIN, 100, 0.1);
    int64_t *z = ft_calloc(f.plan.layout.dim, sizeof *z);
    assert_int_equal(contribute(&f, z, &weight), FT_OK);
    assert_int_equal(weight, 3); /* four rows, weight_cap 3 */

    for (int i = 0; i < ROWS; i++) {
        x[2 * i] = (x_raw[2 * i] - 5) / 2;
        x[2 * i + 1] = x_raw[2 * i + 1] / 0.5f;
        assert_true(fabsf(x[2 * i] - f.x_train[2 * i]) < 1e-6f);
    }
    const struct ft_train_config config = { .local_epochs = 2, .learning_rate = 0.1 };
    const struct ft_dataset rows = { x, y_raw, ROWS };
    assert_int_equal(ft_trainer_open(&f.plan.model, &config, ROWS, &trainer, NULL), FT_OK);
    assert_int_equal(ft_train_local(trainer, &rows, &f.env.env, f.params, delta), FT_OK);
    for (int i = 0; i <= FEATURES; i++) {
        const double got = (double)z[f.plan.layout.metric_coordinates + (size_t)i] * f.plan.codec.quant_step;
        assert_true(fabs(got - 3 * (double)delta[i]) <= 2 * f.plan.codec.quant_step);
    }
    ft_trainer_close(trainer);
    ft_contributor_close(f.contributor);
    ft_free(z);
}

/* However large the step, what is added is no longer than clip times the weight. */
static void
an_update_is_clipped_before_it_is_quantised(void **ctx)
{
    struct fixture f;
    uint64_t weight;
    double norm = 0;
    (void)ctx;
    open_fixture(&f, FT_STAGE_TRAIN, 0.01, 50);
    int64_t *z = ft_calloc(f.plan.layout.dim, sizeof *z);
    assert_int_equal(contribute(&f, z, &weight), FT_OK);
    for (int i = 0; i <= FEATURES; i++) {
        const double v = (double)z[f.plan.layout.metric_coordinates + (size_t)i] * f.plan.codec.quant_step;
        norm += v * v;
    }
    assert_true(sqrt(norm) <= 0.01 * 3 + 3 * f.plan.codec.quant_step);
    assert_true(sqrt(norm) > 0.01 * 3 * 0.9);
    ft_contributor_close(f.contributor);
    ft_free(z);
}

/* A second round on the same rows does not standardise them twice. */
static void
rows_are_standardised_once(void **ctx)
{
    struct fixture f;
    uint64_t weight;
    (void)ctx;
    open_fixture(&f, FT_STAGE_EVALUATE, 1, 0.1);
    int64_t *z = ft_calloc(f.plan.layout.dim, sizeof *z), *again = ft_calloc(f.plan.layout.dim, sizeof *z);
    assert_int_equal(contribute(&f, z, &weight), FT_OK);
    assert_true(f.standardised);
    assert_int_equal(contribute(&f, again, &weight), FT_OK);
    assert_memory_equal(z, again, f.plan.layout.dim * sizeof *z);
    ft_contributor_close(f.contributor);
    ft_free(z);
    ft_free(again);
}

/* A NaN in the rows or a training that runs away gives no contribution at all. */
static void
what_is_not_finite_is_refused(void **ctx)
{
    struct fixture f;
    uint64_t weight;
    (void)ctx;
    open_fixture(&f, FT_STAGE_TRAIN, 1, 0.1);
    int64_t *z = ft_calloc(f.plan.layout.dim, sizeof *z);
    f.x_train[1] = NAN;
    assert_int_equal(contribute(&f, z, &weight), FT_ERR_NONFINITE);
    ft_contributor_close(f.contributor);
    ft_free(z);
    open_fixture(&f, FT_STAGE_TRAIN, 1, 1e6);
    f.task.model = FT_MODEL_POISSON; /* its mean is e^z: two steps of this size are enough */
    assert_int_equal(ft_round_plan_init(&f.plan, &f.task, FT_STAGE_TRAIN, NULL), FT_OK);
    z = ft_calloc(f.plan.layout.dim, sizeof *z);
    assert_int_equal(contribute(&f, z, &weight), FT_ERR_NONFINITE);
    ft_contributor_close(f.contributor);
    ft_free(z);
}

/* Fail each allocation in turn: a clean status, no words, nothing left behind. */
static void
contributing_survives_any_failed_allocation(void **ctx)
{
    enum ft_status st;
    (void)ctx;
    for (uint64_t nth = 1;; nth++) {
        struct fixture f;
        uint64_t *words;
        open_fixture(&f, FT_STAGE_TRAIN, 1, 0.1);
        const struct ft_work work = { &f.task, f.hash, &f.plan, &f.model, false };
        ft_alloc_fail_at(nth, false);
        st = ft_contribute(f.contributor, &work, &f.examples, &f.standardised, &words, NULL);
        const bool fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        if (st == FT_OK)
            ft_big_free(words, (size_t)f.plan.codec.words * 8);
        ft_contributor_close(f.contributor);
        if (!fired)
            break;
        assert_int_equal(st, FT_ERR_NOMEM);
        assert_null(words);
    }
    assert_int_equal(st, FT_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_are_sums_of_u_and_its_square),
        cmocka_unit_test(a_training_round_adds_the_weighted_local_update),
        cmocka_unit_test(an_update_is_clipped_before_it_is_quantised),
        cmocka_unit_test(rows_are_standardised_once),
        cmocka_unit_test(what_is_not_finite_is_refused),
        cmocka_unit_test(contributing_survives_any_failed_allocation),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
