#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/model/train.h"
#include "reference.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

static const struct ft_model_spec line = { .kind = FT_MODEL_LINEAR, .features = 1 };

/* One row x = 2, y = 3 from theta = (w 1, b 0): z = 2, gradient (z - y) x = -2 and -1. Two full-batch steps with
 * rate 0.1 and momentum 0.5, weight decay 0.2 on w, worked by hand:
 *   step 1: g = (-2 + 0.2, -1) = (-1.8, -1);              v = g;                 w 1.18, b 0.1
 *   step 2: z = 2.46, g = (-1.08 + 0.236, -0.54);         v = 0.5 v + g = (-1.744, -1.04);  w 1.3544, b 0.204 */
static void
two_steps_with_momentum_and_decay_match_hand_working(void **state)
{
    const struct ft_train_config config = { .local_epochs = 2, .learning_rate = 0.1, .momentum = 0.5,
                                            .weight_decay = 0.2 };
    const float x[1] = { 2 }, y[1] = { 3 }, theta[2] = { 1, 0 };
    const struct ft_dataset data = { x, y, 1 };
    struct ft_trainer *t = NULL;
    float delta[2];

    (void)state;
    assert_int_equal(ft_trainer_open(&line, &config, 1, &t, NULL), FT_OK);
    for (int again = 0; again < 2; again++) { /* momentum does not survive from one call to the next */
        assert_int_equal(ft_train_local(t, &data, ft_env_system(), theta, delta), FT_OK);
        assert_float_equal(delta[0], 0.3544f, 1e-6f);
        assert_float_equal(delta[1], 0.204f, 1e-6f);
    }
    ft_trainer_close(t);
}

#define ROWS 101

static void
make_rows(float *x, float *y)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        x[2 * i] = (float)reference_noise(i);
        x[2 * i + 1] = (float)reference_noise(i + 5000);
        y[i] = x[2 * i] - x[2 * i + 1] > 0.1f ? 1 : 0;
    }
}

static void
train_with_seed(uint64_t seed, uint32_t batch, const float *x, const float *y, float *delta)
{
    const struct ft_model_spec spec = { .kind = FT_MODEL_MLP, .features = 2, .hidden = { 4 }, .hidden_count = 1,
                                        .activation = FT_ACT_TANH };
    const struct ft_train_config config = { .local_epochs = 3, .batch_size = batch, .learning_rate = 0.2,
                                            .momentum = 0.9 };
    const struct ft_dataset data = { x, y, ROWS };
    struct ft_env_seeded env;
    struct ft_trainer *t = NULL;
    float theta[17];

    ft_env_seeded_init(&env, seed, 1);
    ft_model_init(&spec, 5, theta);
    assert_int_equal(ft_trainer_open(&spec, &config, ROWS, &t, NULL), FT_OK);
    assert_int_equal(ft_train_local(t, &data, &env.env, theta, delta), FT_OK);
    ft_trainer_close(t);
}

/* The order of rows comes from the env alone: one seed one update, another seed another, and none for one batch. */
static void
order_of_rows_comes_from_the_env(void **state)
{
    float x[2 * ROWS], y[ROWS], a[17], b[17];

    (void)state;
    make_rows(x, y);
    train_with_seed(1, 16, x, y, a);
    train_with_seed(1, 16, x, y, b);
    assert_memory_equal(a, b, sizeof a);
    train_with_seed(2, 16, x, y, b);
    assert_memory_not_equal(a, b, sizeof a);
    train_with_seed(1, 0, x, y, a);
    train_with_seed(2, 0, x, y, b);
    assert_memory_equal(a, b, sizeof a);
}

/* One epoch visits each row once: row i is the i-th unit vector with target 1, so its weight moves by one rate
 * (less the little that the bias has moved before) for each visit. */
static void
an_epoch_visits_every_row_once(void **state)
{
    enum { N = 50 };
    const struct ft_model_spec spec = { .kind = FT_MODEL_LINEAR, .features = N };
    const double rate = 1e-6;
    const uint32_t batches[3] = { 1, 7, 49 };
    static float x[N * N], y[N], theta[N + 1], delta[N + 1];
    const struct ft_dataset data = { x, y, N };

    (void)state;
    for (int i = 0; i < N; i++) {
        x[i * N + i] = 1;
        y[i] = 1;
    }
    for (int k = 0; k < 3; k++) {
        const struct ft_train_config config = { .local_epochs = 1, .batch_size = batches[k], .learning_rate = rate };
        struct ft_trainer *t = NULL;
        assert_int_equal(ft_trainer_open(&spec, &config, N, &t, NULL), FT_OK);
        assert_int_equal(ft_train_local(t, &data, ft_env_system(), theta, delta), FT_OK);
        for (int i = 0; i < N; i++) {
            const double share = (double)delta[i] / rate; /* 1 / rows of the batch that held row i */
            assert_true(fabs(share * batches[k] - 1) < 1e-3 || fabs(share * (N % batches[k]) - 1) < 1e-3);
        }
        ft_trainer_close(t);
    }
}

/* A NaN feature, a rate that diverges, no rows, too many rows: refused, and delta is not written. */
static void
training_that_cannot_give_an_update_is_refused(void **state)
{
    const struct ft_train_config config = { .local_epochs = 300, .learning_rate = 1e6 };
    float x[2] = { 2, NAN }, y[2] = { 3, 1 }, delta[2] = { 7, 7 };
    const float theta[2] = { 1, 0 };
    struct ft_dataset data = { x, y, 2 };
    struct ft_trainer *t = NULL;

    (void)state;
    assert_int_equal(ft_trainer_open(&line, &config, 2, &t, NULL), FT_OK);
    assert_int_equal(ft_train_local(t, &data, ft_env_system(), theta, delta), FT_ERR_NONFINITE);
    x[1] = 1;
    assert_int_equal(ft_train_local(t, &data, ft_env_system(), theta, delta), FT_ERR_NONFINITE); /* diverges */
    data.rows = 0;
    assert_int_equal(ft_train_local(t, &data, ft_env_system(), theta, delta), FT_ERR_ARGUMENT);
    data.rows = 3;
    assert_int_equal(ft_train_local(t, &data, ft_env_system(), theta, delta), FT_ERR_LIMIT);
    assert_float_equal(delta[0], 7, 0);
    assert_float_equal(delta[1], 7, 0);
    ft_trainer_close(t);
}

/* A refused call leaves nothing behind: the next one with sound rows gives what a new trainer gives, for a model of
 * each product (one output and several). */
static void
a_trainer_recovers_after_a_refusal(void **state)
{
    const struct ft_model_spec specs[2] = {
        { .kind = FT_MODEL_LOGISTIC, .features = 2 },
        { .kind = FT_MODEL_MLP, .features = 2, .classes = 3, .hidden = { 3 }, .hidden_count = 1,
          .activation = FT_ACT_TANH },
    };
    const struct ft_train_config config = { .local_epochs = 2, .learning_rate = 0.5, .momentum = 0.5 };
    float x[2 * ROWS], bad[2 * ROWS], y[ROWS], theta[32], first[32], again[32];

    (void)state;
    make_rows(x, y);
    for (int i = 0; i < 2 * ROWS; i++)
        bad[i] = NAN;
    for (int k = 0; k < 2; k++) {
        const struct ft_dataset data = { x, y, ROWS }, poisoned = { bad, y, ROWS };
        const uint64_t n = ft_model_parameters(&specs[k]);
        struct ft_trainer *t = NULL;
        ft_model_init(&specs[k], 3, theta);
        assert_int_equal(ft_trainer_open(&specs[k], &config, ROWS, &t, NULL), FT_OK);
        assert_int_equal(ft_train_local(t, &data, ft_env_system(), theta, first), FT_OK);
        assert_int_equal(ft_train_local(t, &poisoned, ft_env_system(), theta, again), FT_ERR_NONFINITE);
        assert_int_equal(ft_train_local(t, &data, ft_env_system(), theta, again), FT_OK);
        assert_memory_equal(first, again, n * sizeof *first);
        ft_trainer_close(t);
    }
}

/* Settings that cannot train are refused by name. */
static void
impossible_settings_are_refused(void **state)
{
    struct ft_train_config c = { .local_epochs = 1, .learning_rate = 0 };
    struct ft_error err = { 0 };
    struct ft_trainer *t = NULL;

    (void)state;
    assert_int_equal(ft_trainer_open(&line, &c, 1, &t, &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "learning rate is 0"));
    c = (struct ft_train_config){ .local_epochs = 1, .learning_rate = 0.1, .momentum = 1 };
    assert_int_equal(ft_trainer_open(&line, &c, 1, &t, NULL), FT_ERR_ARGUMENT);
    c = (struct ft_train_config){ .local_epochs = 1, .learning_rate = 0.1, .weight_decay = -1 };
    assert_int_equal(ft_trainer_open(&line, &c, 1, &t, NULL), FT_ERR_ARGUMENT);
    c = (struct ft_train_config){ .local_epochs = 0, .learning_rate = 0.1 };
    assert_int_equal(ft_trainer_open(&line, &c, 1, &t, NULL), FT_ERR_ARGUMENT);
    assert_null(t);
}

/* Fail each allocation in turn: a clean status, no object, no leak. */
static void
trainer_open_survives_any_failed_allocation(void **state)
{
    const struct ft_train_config config = { .local_epochs = 1, .batch_size = 4, .learning_rate = 1, .momentum = 0.5 };
    const size_t live = ft_alloc_live();
    struct ft_trainer *t = NULL;
    enum ft_status st;

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        ft_alloc_fail_at(nth, false);
        st = ft_trainer_open(&line, &config, 50, &t, NULL);
        if (!ft_alloc_fault_fired())
            break;
        assert_int_equal(st, FT_ERR_NOMEM);
        assert_null(t);
        assert_int_equal(ft_alloc_live(), live);
    }
    ft_alloc_fail_at(0, false);
    assert_int_equal(st, FT_OK);
    ft_trainer_close(t);
}

static int
setup(void **state)
{
    (void)state;
    ft_model_setup();
    return sodium_init() < 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_steps_with_momentum_and_decay_match_hand_working),
        cmocka_unit_test(order_of_rows_comes_from_the_env),
        cmocka_unit_test(an_epoch_visits_every_row_once),
        cmocka_unit_test(training_that_cannot_give_an_update_is_refused),
        cmocka_unit_test(a_trainer_recovers_after_a_refusal),
        cmocka_unit_test(impossible_settings_are_refused),
        cmocka_unit_test(trainer_open_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
