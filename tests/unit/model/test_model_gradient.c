#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/model/model.h"
#include "reference.h"
#include "tests/support/approx.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define ROWS     37
#define FEATURES 5
#define PARAMS   256

static const struct ft_model_spec kinds[] = {
    { .kind = FT_MODEL_LINEAR, .features = FEATURES },
    { .kind = FT_MODEL_LOGISTIC, .features = FEATURES },
    { .kind = FT_MODEL_SOFTMAX, .features = FEATURES, .classes = 4 },
    { .kind = FT_MODEL_POISSON, .features = FEATURES },
    { .kind = FT_MODEL_MLP, .features = FEATURES, .hidden = { 6 }, .hidden_count = 1, .activation = FT_ACT_RELU },
    { .kind = FT_MODEL_MLP, .features = FEATURES, .classes = 2, .hidden = { 1, 7 }, .hidden_count = 2,
      .activation = FT_ACT_TANH },
    { .kind = FT_MODEL_MLP, .features = FEATURES, .classes = 3, .hidden = { 8, 5, 4 }, .hidden_count = 3,
      .activation = FT_ACT_TANH },
    { .kind = FT_MODEL_MLP, .features = FEATURES, .classes = 3, .hidden = { 7, 5 }, .hidden_count = 2,
      .activation = FT_ACT_RELU },
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static float x[2048 * FEATURES], y[2048];

static struct ft_dataset
make_data(const struct ft_model_spec *spec, size_t rows)
{
    const uint32_t outputs = ft_model_outputs(spec);
    for (size_t i = 0; i < rows * FEATURES; i++)
        x[i] = (float)reference_noise((uint32_t)i);
    for (size_t i = 0; i < rows; i++) {
        if (spec->kind == FT_MODEL_LINEAR)
            y[i] = (float)(3 * reference_noise((uint32_t)i + 90000));
        else if (spec->kind == FT_MODEL_POISSON)
            y[i] = (float)(i % 5);
        else
            y[i] = (float)(i % (outputs == 1 ? 2 : outputs));
    }
    return (struct ft_dataset){ x, y, rows };
}

static void
make_params(const struct ft_model_spec *spec, float *params)
{
    const uint64_t n = ft_model_parameters(spec);
    assert_true(n <= PARAMS);
    for (uint64_t i = 0; i < n; i++)
        params[i] = (float)(0.7 * reference_noise((uint32_t)i + 7000));
}

/* Every element of every kind's gradient equals the central difference of the plain double objective. */
static void
gradient_equals_central_difference_for_every_kind(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        const struct ft_model_spec *spec = &kinds[k];
        const struct ft_dataset data = make_data(spec, ROWS);
        const uint64_t n = ft_model_parameters(spec);
        const double step = 1e-6, weight_decay = 0.3;
        struct ft_model *m = NULL;
        float params[PARAMS], grad[PARAMS];
        double at[PARAMS], objective = 0;

        make_params(spec, params);
        assert_int_equal(ft_model_open(spec, &m, NULL), FT_OK);
        assert_int_equal(ft_model_gradient(m, params, &data, weight_decay, grad, &objective), FT_OK);
        for (uint64_t i = 0; i < n; i++)
            at[i] = (double)params[i];
        assert_approx(objective, reference_objective(spec, at, &data, weight_decay), 2e-6);
        for (uint64_t i = 0; i < n; i++) {
            double up, down;
            at[i] = (double)params[i] + step;
            up = reference_objective(spec, at, &data, weight_decay);
            at[i] = (double)params[i] - step;
            down = reference_objective(spec, at, &data, weight_decay);
            at[i] = (double)params[i];
            assert_approx((double)grad[i], (up - down) / (2 * step), 3e-6);
        }
        ft_model_close(m);
    }
}

/* More rows than one pass holds give the same loss as the plain loop over all of them. */
static void
loss_over_several_chunks_equals_plain_loop(void **state)
{
    const size_t rows = 3 * FT_MODEL_CHUNK + 41;
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        const struct ft_model_spec *spec = &kinds[k];
        const struct ft_dataset data = make_data(spec, rows);
        const uint64_t n = ft_model_parameters(spec);
        struct ft_model *m = NULL;
        float params[PARAMS], grad[PARAMS];
        double at[PARAMS], loss = -1, objective = -1;

        make_params(spec, params);
        for (uint64_t i = 0; i < n; i++)
            at[i] = (double)params[i];
        assert_int_equal(ft_model_open(spec, &m, NULL), FT_OK);
        assert_int_equal(ft_model_loss(m, params, &data, &loss), FT_OK);
        assert_approx(loss, reference_objective(spec, at, &data, 0), 2e-6);
        assert_int_equal(ft_model_gradient(m, params, &data, 0, grad, &objective), FT_OK);
        assert_approx(objective, loss, 1e-12);
        ft_model_close(m);
    }
}

/* Scores far beyond what e^z can hold still give the exact loss: |z| for the wrong side, 0 for the right one. */
static void
logistic_and_softmax_losses_survive_huge_scores(void **state)
{
    const struct ft_model_spec logistic = { .kind = FT_MODEL_LOGISTIC, .features = 1 };
    const struct ft_model_spec softmax = { .kind = FT_MODEL_SOFTMAX, .features = 1, .classes = 2 };
    const float huge[2] = { 1e4f, -1e4f }, one = 1, w[2] = { 1, 0 }, classes[4] = { 1, -1, 0, 0 };
    const float zeros[2] = { 0, 0 };
    struct ft_dataset data = { huge, zeros, 2 };
    struct ft_model *m = NULL;
    float grad[4], z[2];
    double losses[2], loss = 0;

    (void)state;
    assert_int_equal(ft_model_open(&logistic, &m, NULL), FT_OK);
    assert_int_equal(ft_model_scores(m, w, huge, 2, z), FT_OK);
    ft_model_losses(m, z, zeros, 2, losses);
    assert_approx(losses[0], 1e4, 1e-9);
    assert_approx(losses[1], 0, 1e-9);
    assert_int_equal(ft_model_gradient(m, w, &data, 0, grad, &loss), FT_OK);
    assert_approx(loss, 5e3, 1e-9);
    ft_model_predict(m, z, 2);
    assert_float_equal(z[0], 1, 0);
    assert_float_equal(z[1], 0, 0);
    ft_model_close(m);

    data = (struct ft_dataset){ huge, &one, 1 };
    assert_int_equal(ft_model_open(&softmax, &m, NULL), FT_OK);
    assert_int_equal(ft_model_gradient(m, classes, &data, 0, grad, &loss), FT_OK);
    assert_approx(loss, 2e4, 1e-6);
    ft_model_close(m);
}

/* The vectorised tanh is the real one to within 3e-7 over the whole range, saturation and zero included. */
static void
tanh_of_a_hidden_unit_is_exact_to_float(void **state)
{
    const struct ft_model_spec spec = { .kind = FT_MODEL_MLP, .features = 1, .hidden = { 1 }, .hidden_count = 1,
                                        .activation = FT_ACT_TANH };
    const float params[4] = { 1, 0, 1, 0 }; /* z = tanh(x) */
    struct ft_model *m = NULL;
    float at[2001], z[2001];

    (void)state;
    for (int i = 0; i <= 2000; i++)
        at[i] = (float)((i - 1000) * fabs(i - 1000.0) / 50000.0); /* -20 .. 20, dense at 0 */
    at[0] = -3e38f;
    at[2000] = 3e38f;
    assert_int_equal(ft_model_open(&spec, &m, NULL), FT_OK);
    assert_int_equal(ft_model_scores(m, params, at, 2001, z), FT_OK);
    for (int i = 0; i <= 2000; i++)
        assert_approx((double)z[i], tanh((double)at[i]), 3e-7);
    assert_float_equal(z[1000], 0, 0);
    ft_model_close(m);
}

/* A NaN in the rows, also behind a ReLU, an infinite parameter or an overflowing Poisson mean is refused. */
static void
what_is_not_finite_is_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        const struct ft_model_spec *spec = &kinds[k];
        const struct ft_dataset data = make_data(spec, ROWS);
        struct ft_model *m = NULL;
        float params[PARAMS], grad[PARAMS];
        double loss = -7;

        make_params(spec, params);
        assert_int_equal(ft_model_open(spec, &m, NULL), FT_OK);
        x[11] = NAN;
        assert_int_equal(ft_model_gradient(m, params, &data, 0, grad, NULL), FT_ERR_NONFINITE);
        assert_int_equal(ft_model_loss(m, params, &data, &loss), FT_ERR_NONFINITE);
        x[11] = 0;
        y[3] = NAN;
        assert_int_equal(ft_model_gradient(m, params, &data, 0, grad, NULL), FT_ERR_NONFINITE);
        assert_int_equal(ft_model_loss(m, params, &data, &loss), FT_ERR_NONFINITE);
        assert_true(loss < -6); /* not written */
        ft_model_close(m);
    }
    {
        const float w[2] = { 1000, 0 }, one[1] = { 1 };
        const struct ft_model_spec poisson = { .kind = FT_MODEL_POISSON, .features = 1 };
        const struct ft_dataset data = { one, one, 1 };
        struct ft_model *m = NULL;
        float grad[2];
        assert_int_equal(ft_model_open(&poisson, &m, NULL), FT_OK);
        assert_int_equal(ft_model_gradient(m, w, &data, 0, grad, NULL), FT_ERR_NONFINITE);
        ft_model_close(m);
    }
}

/* A class number that the model does not have is refused, not taken for another class. */
static void
softmax_label_out_of_range_is_refused(void **state)
{
    const struct ft_model_spec *spec = &kinds[2];
    const struct ft_dataset data = make_data(spec, ROWS);
    struct ft_model *m = NULL;
    float params[PARAMS], grad[PARAMS];

    (void)state;
    make_params(spec, params);
    assert_int_equal(ft_model_open(spec, &m, NULL), FT_OK);
    y[5] = 4;
    assert_int_equal(ft_model_gradient(m, params, &data, 0, grad, NULL), FT_ERR_NONFINITE);
    y[5] = -1;
    assert_int_equal(ft_model_gradient(m, params, &data, 0, grad, NULL), FT_ERR_NONFINITE);
    ft_model_close(m);
}

/* Initial weights are the same bits on every machine: the hash of a perceptron's is fixed here
 * (computed independently from the formula in Python). */
static void
initial_parameters_depend_on_the_seed_alone(void **state)
{
    const struct ft_model_spec *spec = &kinds[7];
    const uint64_t n = ft_model_parameters(spec);
    float a[PARAMS], b[PARAMS];
    uint8_t hash[16];
    char hex[33];

    (void)state;
    ft_model_init(spec, 42, a);
    ft_model_init(spec, 43, b);
    assert_memory_not_equal(a, b, n * sizeof *a);
    assert_int_equal(crypto_generichash(hash, sizeof hash, (const uint8_t *)a, n * sizeof *a, NULL, 0), 0);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    assert_string_equal(hex, "7a2a2078f1a9ee0fc55099843865be3d");
    for (int j = 0; j < 7; j++)
        assert_float_equal(a[FEATURES * 7 + j], 0, 0); /* biases */
    for (int j = 0; j < FEATURES * 7; j++) {
        assert_true(fabs((double)a[j]) <= sqrt(6.0 / FEATURES));
        assert_true(a[j] < 0 || a[j] > 0);
    }
}

/* Regressions start from zero: the first gradient does not depend on chance. */
static void
regressions_start_at_zero(void **state)
{
    float params[PARAMS];
    (void)state;
    for (size_t k = 0; k < 4; k++) {
        memset(params, 1, sizeof params);
        ft_model_init(&kinds[k], 9, params);
        for (uint64_t i = 0; i < ft_model_parameters(&kinds[k]); i++)
            assert_float_equal(params[i], 0, 0);
    }
}

/* A shape that cannot be built is refused with the number that is wrong. */
static void
impossible_shapes_are_refused(void **state)
{
    struct ft_error err = { 0 };
    struct ft_model *m = NULL;
    struct ft_model_spec s = kinds[4];

    (void)state;
    s.hidden[0] = 0;
    assert_int_equal(ft_model_open(&s, &m, &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "hidden layer 1 has width 0"));
    assert_null(m);
    s = kinds[4];
    s.features = 0;
    assert_int_equal(ft_model_spec_check(&s, NULL), FT_ERR_ARGUMENT);
    s = kinds[4];
    s.hidden_count = FT_MODEL_HIDDEN_MAX + 1;
    assert_int_equal(ft_model_spec_check(&s, NULL), FT_ERR_ARGUMENT);
    s = kinds[4];
    s.hidden_count = 2;
    s.hidden[0] = s.hidden[1] = FT_MODEL_WIDTH_MAX;
    assert_int_equal(ft_model_spec_check(&s, NULL), FT_ERR_LIMIT);
    s = kinds[2];
    s.classes = 1;
    assert_int_equal(ft_model_spec_check(&s, NULL), FT_ERR_ARGUMENT);
    s.kind = (enum ft_model_kind)9;
    assert_int_equal(ft_model_spec_check(&s, NULL), FT_ERR_ARGUMENT);
}

/* Fail each allocation in turn: a clean status, no object, no leak. */
static void
model_open_survives_any_failed_allocation(void **state)
{
    const size_t live = ft_alloc_live();
    struct ft_model *m = NULL;
    enum ft_status st;

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        ft_alloc_fail_at(nth, false);
        st = ft_model_open(&kinds[6], &m, NULL);
        if (!ft_alloc_fault_fired())
            break;
        assert_int_equal(st, FT_ERR_NOMEM);
        assert_null(m);
        assert_int_equal(ft_alloc_live(), live);
    }
    ft_alloc_fail_at(0, false);
    assert_int_equal(st, FT_OK);
    ft_model_close(m);
}

/* A call on an open model allocates nothing: its workspace was made once. */
static void
gradient_allocates_nothing(void **state)
{
    const struct ft_dataset data = make_data(&kinds[6], ROWS);
    struct ft_model *m = NULL;
    float params[PARAMS], grad[PARAMS];
    double objective = 0;

    (void)state;
    make_params(&kinds[6], params);
    assert_int_equal(ft_model_open(&kinds[6], &m, NULL), FT_OK);
    ft_alloc_fail_at(1, true);
    assert_int_equal(ft_model_gradient(m, params, &data, 0.1, grad, &objective), FT_OK);
    assert_false(ft_alloc_fault_fired());
    ft_alloc_fail_at(0, false);
    ft_model_close(m);
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
        cmocka_unit_test(gradient_equals_central_difference_for_every_kind),
        cmocka_unit_test(loss_over_several_chunks_equals_plain_loop),
        cmocka_unit_test(logistic_and_softmax_losses_survive_huge_scores),
        cmocka_unit_test(tanh_of_a_hidden_unit_is_exact_to_float),
        cmocka_unit_test(what_is_not_finite_is_refused),
        cmocka_unit_test(softmax_label_out_of_range_is_refused),
        cmocka_unit_test(initial_parameters_depend_on_the_seed_alone),
        cmocka_unit_test(regressions_start_at_zero),
        cmocka_unit_test(impossible_shapes_are_refused),
        cmocka_unit_test(model_open_survives_any_failed_allocation),
        cmocka_unit_test(gradient_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
