#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/model/pooled.h"
#include "reference.h"
#include "tests/support/approx.h"

#include <math.h>
#include <sodium.h>

#define ROWS     600
#define FEATURES 3

static float x[ROWS * FEATURES], y[ROWS];

static struct ft_dataset
make_data(enum ft_model_kind kind)
{
    for (uint32_t i = 0; i < ROWS; i++) {
        const double a = reference_noise(i), b = reference_noise(i + 10000), c = reference_noise(i + 20000);
        const double z = 1.5 * a - b + 0.5, u = (reference_noise(i + 30000) + 1) / 2;
        x[i * FEATURES] = (float)a;
        x[i * FEATURES + 1] = (float)b;
        x[i * FEATURES + 2] = (float)c;
        if (kind == FT_MODEL_LINEAR)
            y[i] = (float)(z + 0.3 * c * c);
        else if (kind == FT_MODEL_POISSON)
            y[i] = (float)floor(exp(z) * 2 * u);
        else
            y[i] = u < 1 / (1 + exp(-z)) ? 1 : 0;
    }
    return (struct ft_dataset){ x, y, ROWS };
}

/* At the optimum the plain objective rises along every axis, both ways, and is what the solver reports. */
static void
optimum_is_a_minimum_of_the_plain_objective(void **state)
{
    const enum ft_model_kind kinds[3] = { FT_MODEL_LINEAR, FT_MODEL_LOGISTIC, FT_MODEL_POISSON };
    (void)state;
    for (int k = 0; k < 3; k++) {
        const struct ft_model_spec spec = { .kind = kinds[k], .features = FEATURES };
        const struct ft_dataset data = make_data(kinds[k]);
        struct ft_pooled_result result = { 0 };
        double params[FEATURES + 1], best;

        assert_int_equal(ft_pooled_optimum(&spec, &data, 0.01, params, &result), FT_OK);
        best = reference_objective(&spec, params, &data, 0.01);
        assert_approx(result.objective, best, 1e-12);
        assert_true(result.gradient_norm <= 1e-8);
        for (int i = 0; i <= FEATURES; i++)
            for (int side = -1; side <= 1; side += 2) {
                const double keep = params[i];
                params[i] += side * 1e-3;
                assert_true(reference_objective(&spec, params, &data, 0.01) > best);
                params[i] = keep;
            }
    }
}

/* Four points whose least squares line is known: y = 2 x + 1 with residuals that cancel. */
static void
linear_optimum_matches_hand_working(void **state)
{
    const struct ft_model_spec spec = { .kind = FT_MODEL_LINEAR, .features = 1 };
    const float at[4] = { -1, -1, 1, 1 }, to[4] = { -2, 0, 2, 4 };
    const struct ft_dataset data = { at, to, 4 };
    struct ft_pooled_result result;
    double params[2];
    (void)state;
    assert_int_equal(ft_pooled_optimum(&spec, &data, 0, params, &result), FT_OK);
    assert_approx(params[0], 2, 1e-12);
    assert_approx(params[1], 1, 1e-12);
    assert_approx(result.objective, 0.5, 1e-12);
}

/* Two copies of one feature and no penalty: many optima, one of them is found. */
static void
collinear_features_are_survived(void **state)
{
    const struct ft_model_spec spec = { .kind = FT_MODEL_LOGISTIC, .features = 2 };
    const float at[12] = { 1, 1, 2, 2, -1, -1, 0, 0, 1, 1, -2, -2 }, to[6] = { 1, 1, 0, 1, 0, 0 };
    const struct ft_dataset data = { at, to, 6 };
    struct ft_pooled_result result;
    double params[3];
    (void)state;
    assert_int_equal(ft_pooled_optimum(&spec, &data, 0, params, &result), FT_OK);
    assert_true(result.gradient_norm < 1e-6);
}

/* Kinds without a single optimum and empty data are refused; a NaN is not solved around. */
static void
what_has_no_optimum_is_refused(void **state)
{
    const struct ft_model_spec softmax = { .kind = FT_MODEL_SOFTMAX, .features = 1, .classes = 3 };
    const struct ft_model_spec line = { .kind = FT_MODEL_LINEAR, .features = 1 };
    const float at[1] = { NAN }, to[1] = { 1 };
    struct ft_dataset data = { at, to, 1 };
    struct ft_pooled_result result;
    double params[8];
    (void)state;
    assert_int_equal(ft_pooled_optimum(&softmax, &data, 0, params, &result), FT_ERR_ARGUMENT);
    assert_int_equal(ft_pooled_optimum(&line, &data, 0, params, &result), FT_ERR_NONFINITE);
    data.rows = 0;
    assert_int_equal(ft_pooled_optimum(&line, &data, 0, params, &result), FT_ERR_ARGUMENT);
}

/* SGD over all rows comes within 1e-3 of the optimum that Newton finds for the same objective. */
static void
pooled_sgd_approaches_the_optimum(void **state)
{
    const struct ft_model_spec spec = { .kind = FT_MODEL_LOGISTIC, .features = FEATURES };
    const struct ft_dataset data = make_data(FT_MODEL_LOGISTIC);
    const struct ft_train_config config = { .local_epochs = 1, .batch_size = 32, .learning_rate = 0.2,
                                            .momentum = 0.9, .weight_decay = 0.01 };
    struct ft_pooled_result newton, sgd;
    struct ft_env_seeded env;
    double best[FEATURES + 1];
    float params[FEATURES + 1] = { 0 };
    (void)state;
    ft_env_seeded_init(&env, 3, 0);
    assert_int_equal(ft_pooled_optimum(&spec, &data, 0.01, best, &newton), FT_OK);
    assert_int_equal(ft_pooled_sgd(&spec, &data, &config, 60, &env.env, params, &sgd), FT_OK);
    assert_true(sgd.objective >= newton.objective - 1e-7);
    assert_true(sgd.objective <= newton.objective + 1e-3);
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
        cmocka_unit_test(optimum_is_a_minimum_of_the_plain_objective),
        cmocka_unit_test(linear_optimum_matches_hand_working),
        cmocka_unit_test(collinear_features_are_survived),
        cmocka_unit_test(what_has_no_optimum_is_refused),
        cmocka_unit_test(pooled_sgd_approaches_the_optimum),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
