#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/model/kernel/kernel.h"
#include "common/model/train.h"
#include "reference.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#define ROWS 150

struct problem {
    struct ft_model_spec spec;
    uint32_t batch;
};

#define MLP(f, c, a, ...)                                                                                    \
    { .kind = FT_MODEL_MLP, .features = (f), .classes = (c), .activation = (a),                              \
      .hidden_count = sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), .hidden = { __VA_ARGS__ } }

/* Odd widths on both sides of a lane, a half tile, a tile and a panel; batches around the row groups. */
static const struct problem problems[] = {
    { { .kind = FT_MODEL_LINEAR, .features = 1 }, 1 },
    { { .kind = FT_MODEL_LOGISTIC, .features = 7 }, 3 },
    { { .kind = FT_MODEL_LOGISTIC, .features = 16 }, 4 },
    { { .kind = FT_MODEL_LOGISTIC, .features = 100 }, 10 },
    { { .kind = FT_MODEL_LOGISTIC, .features = 131 }, 13 },
    { { .kind = FT_MODEL_POISSON, .features = 33 }, 64 },
    { { .kind = FT_MODEL_SOFTMAX, .features = 5, .classes = 2 }, 2 },
    { { .kind = FT_MODEL_SOFTMAX, .features = 130, .classes = 17 }, 11 },
    { { .kind = FT_MODEL_SOFTMAX, .features = 9, .classes = 150 }, 10 },
    { MLP(20, 0, FT_ACT_RELU, 32), 32 },
    { MLP(3, 2, FT_ACT_TANH, 1, 7), 5 },
    { MLP(130, 10, FT_ACT_RELU, 129, 31), 10 },
    { MLP(61, 10, FT_ACT_TANH, 48, 200), 9 },
    { MLP(17, 3, FT_ACT_RELU, 65, 16, 33), 21 },
    { MLP(784, 10, FT_ACT_RELU, 200, 200), 10 },
};
#define PROBLEMS (sizeof problems / sizeof *problems)

static struct ft_dataset
make_rows(const struct ft_model_spec *spec, float *x, float *y)
{
    const uint32_t outputs = ft_model_outputs(spec);

    for (uint32_t i = 0; i < ROWS * spec->features; i++)
        x[i] = (float)reference_noise(i);
    for (uint32_t i = 0; i < ROWS; i++) {
        const double u = reference_noise(i + 77777) / 2 + 0.5;
        y[i] = ft_model_is_binary(spec) ? (float)(u > 0.5) : outputs > 1 ? (float)(uint32_t)(u * outputs) : (float)(4 * u);
        if (spec->kind == FT_MODEL_POISSON)
            y[i] = floorf(y[i]);
    }
    return (struct ft_dataset){ x, y, ROWS };
}

/* Train from the same seed with the named kernel; `extras` switches on everything a step can have. */
static enum ft_status
train_with(const char *kernel, const struct problem *p, const struct ft_dataset *data, bool extras, float *delta)
{
    const uint64_t parameters = ft_model_parameters(&p->spec);
    const struct ft_train_config config = { .local_epochs = 2, .batch_size = p->batch, .learning_rate = 0.05,
                                            .momentum = extras ? 0.8 : 0, .weight_decay = extras ? 0.01 : 0 };
    float *theta = ft_calloc(parameters, sizeof *theta), *shift = ft_calloc(parameters, sizeof *shift);
    struct ft_env_seeded env;
    struct ft_trainer *t = NULL;
    enum ft_status st;

    ft_env_seeded_init(&env, 9, 1);
    ft_model_init(&p->spec, 4, theta);
    for (uint32_t i = 0; i < parameters; i++)
        shift[i] = 0.01f * (float)reference_noise(i + 31);
    assert_int_equal(ft_model_use_kernel(kernel, NULL), FT_OK);
    assert_int_equal(ft_trainer_open(&p->spec, &config, ROWS, &t, NULL), FT_OK);
    assert_int_equal(ft_trainer_set_correction(t, extras ? 0.3 : 0, extras ? shift : NULL), FT_OK);
    st = ft_train_local(t, data, &env.env, theta, delta);
    ft_trainer_close(t);
    ft_free(theta);
    ft_free(shift);
    assert_int_equal(ft_model_use_kernel("auto", NULL), FT_OK);
    return st;
}

static double
norm_of_difference(const float *a, const float *b, uint64_t count, double *norm)
{
    double sum = 0, own = 0;
    for (uint64_t i = 0; i < count; i++) {
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        own += (double)a[i] * (double)a[i];
    }
    *norm = sqrt(own);
    return sqrt(sum);
}

typedef void check(const struct problem *p, const struct ft_dataset *data, bool extras, float *a, float *b);

static void
for_each_problem(check *each)
{
    for (size_t i = 0; i < PROBLEMS; i++) {
        const struct problem *p = &problems[i];
        const uint64_t parameters = ft_model_parameters(&p->spec);
        float *x = ft_calloc(ROWS * p->spec.features, sizeof *x), *y = ft_calloc(ROWS, sizeof *y);
        float *a = ft_calloc(parameters, sizeof *a), *b = ft_calloc(parameters, sizeof *b);
        const struct ft_dataset data = make_rows(&p->spec, x, y);
        for (int extras = 0; extras < 2; extras++)
            each(p, &data, extras, a, b);
        ft_free(x);
        ft_free(y);
        ft_free(a);
        ft_free(b);
    }
}

static void
check_same_bits(const struct problem *p, const struct ft_dataset *data, bool extras, float *a, float *b)
{
    const struct model_kernel *list[3];
    const size_t n = kernel_list(list);

    assert_int_equal(train_with("plain", p, data, extras, a), FT_OK);
    for (size_t k = 1; k < n; k++) {
        assert_int_equal(train_with(list[k]->name, p, data, extras, b), FT_OK);
        assert_memory_equal(a, b, ft_model_parameters(&p->spec) * sizeof *a);
    }
}

/* Every kernel of this processor gives the oracle's bits, for every shape, with and without momentum, weight decay,
 * pull and shift. */
static void
every_kernel_gives_the_bits_of_the_plain_one(void **state)
{
    (void)state;
    for_each_problem(check_same_bits);
}

static void
check_close_to_blas(const struct problem *p, const struct ft_dataset *data, bool extras, float *a, float *b)
{
    const uint64_t parameters = ft_model_parameters(&p->spec);
    double norm;

    assert_int_equal(train_with("blas", p, data, extras, a), FT_OK);
    assert_int_equal(train_with("plain", p, data, extras, b), FT_OK);
    assert_true(norm_of_difference(a, b, parameters, &norm) < 2e-4 * norm + 1e-6);
    assert_true(norm > 1e-4);
}

/* The plain kernel follows the gradient that the gradient tests check: its update is OpenBLAS's within rounding. */
static void
the_plain_kernel_trains_like_the_checked_gradient(void **state)
{
    (void)state;
    for_each_problem(check_close_to_blas);
}

/* A NaN in a row, and a label that is no class, are refused by every kernel; what comes after is not touched by it. */
static void
every_kernel_refuses_what_is_not_finite(void **state)
{
    const struct model_kernel *list[3];
    const size_t n = kernel_list(list);
    float *x = ft_calloc(ROWS * 784, sizeof *x), *y = ft_calloc(ROWS, sizeof *y);
    float *delta = ft_calloc(300000, sizeof *delta);

    (void)state;
    for (size_t i = 0; i < PROBLEMS; i++)
        for (size_t k = 0; k < n; k++) {
            const struct problem *p = &problems[i];
            const struct ft_dataset data = make_rows(&p->spec, x, y);
            x[5 * p->spec.features] = NAN;
            assert_int_equal(train_with(list[k]->name, p, &data, false, delta), FT_ERR_NONFINITE);
            (void)make_rows(&p->spec, x, y);
            if (ft_model_outputs(&p->spec) > 1) {
                y[7] = (float)ft_model_outputs(&p->spec);
                assert_int_equal(train_with(list[k]->name, p, &data, false, delta), FT_ERR_NONFINITE);
            }
        }
    assert_float_equal(delta[0], 0, 0);
    ft_free(x);
    ft_free(y);
    ft_free(delta);
}

/* A pull alone, by hand: linear model, one row x = 2, y = 3, from (w 1, b 0), rate 0.1, pull 0.5. Step 1 as without:
 * g = (-2, -1), w 1.2, b 0.1; step 2: z = 2.5, g = (-1 + 0.5 * 0.2, -0.5 + 0.5 * 0.1), w 1.29, b 0.145. With a shift
 * of (1, 2) besides: step 1 g = (-1, 1), w 1.1, b -0.1; step 2: z = 2.1, g = (-1.8 + 0.05 + 1, -0.9 - 0.05 + 2),
 * w 1.175, b -0.205. */
static void
corrections_match_hand_working(void **state)
{
    const struct ft_model_spec spec = { .kind = FT_MODEL_LINEAR, .features = 1 };
    const float x[1] = { 2 }, y[1] = { 3 }, theta[2] = { 1, 0 }, shift[2] = { 1, 2 };
    const struct ft_dataset data = { x, y, 1 };
    const char *const kernels[2] = { "plain", "blas" };

    (void)state;
    for (int k = 0; k < 2; k++) {
        const struct ft_train_config config = { .local_epochs = 2, .batch_size = 1, .learning_rate = 0.1 };
        struct ft_trainer *t = NULL;
        float delta[2];
        assert_int_equal(ft_model_use_kernel(kernels[k], NULL), FT_OK);
        assert_int_equal(ft_trainer_open(&spec, &config, 1, &t, NULL), FT_OK);
        assert_int_equal(ft_trainer_set_correction(t, 0.5, NULL), FT_OK);
        assert_int_equal(ft_train_local(t, &data, ft_env_system(), theta, delta), FT_OK);
        assert_float_equal(delta[0], 0.29f, 1e-6f);
        assert_float_equal(delta[1], 0.145f, 1e-6f);
        assert_int_equal(ft_trainer_set_correction(t, 0.5, shift), FT_OK);
        assert_int_equal(ft_train_local(t, &data, ft_env_system(), theta, delta), FT_OK);
        assert_float_equal(delta[0], 0.175f, 1e-6f);
        assert_float_equal(delta[1], -0.205f, 1e-6f);
        assert_int_equal(ft_trainer_set_correction(t, -1, NULL), FT_ERR_ARGUMENT);
        assert_int_equal(ft_trainer_set_correction(t, NAN, NULL), FT_ERR_ARGUMENT);
        ft_trainer_close(t);
    }
    assert_int_equal(ft_model_use_kernel("auto", NULL), FT_OK);
}

/* The choice is by name, and a name that is none is refused with the names that are; the choice stays. */
static void
the_choice_of_a_kernel_is_by_name(void **state)
{
    struct ft_error err = { 0 };

    (void)state;
    assert_int_equal(ft_model_use_kernel("plain", NULL), FT_OK);
    assert_string_equal(ft_model_kernel(), "plain");
    assert_int_equal(ft_model_use_kernel("sse", &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "\"sse\""));
    assert_non_null(strstr(err.text, "avx512"));
    assert_string_equal(ft_model_kernel(), "plain");
    assert_int_equal(ft_model_use_kernel("blas", NULL), FT_OK);
    assert_string_equal(ft_model_kernel(), "blas");
    assert_int_equal(ft_model_use_kernel("auto", NULL), FT_OK);
    assert_string_not_equal(ft_model_kernel(), "auto");
}

/* Packing puts every weight where the change is taken from, and zeros everywhere else; what is not finite is told. */
static void
packing_and_unpacking_give_the_same_weights(void **state)
{
    static const float none[130 * 49] = { 0 };
    const uint32_t shapes[5][2] = { { 1, 1 }, { 16, 32 }, { 17, 33 }, { 5, 48 }, { 130, 49 } };

    (void)state;
    for (int i = 0; i < 5; i++) {
        const uint32_t in = shapes[i][0], out = shapes[i][1];
        struct kernel_layer layer;
        const size_t packed = kernel_layer_init(&layer, in, out, 16);
        float *w = ft_calloc(in * out, sizeof *w), *b = ft_calloc(out, sizeof *b), *p = ft_calloc(packed, sizeof *p);
        float *w2 = ft_calloc(in * out, sizeof *w), *b2 = ft_calloc(out, sizeof *b);
        size_t filled = 0;
        for (uint32_t k = 0; k < in * out; k++)
            w[k] = (float)k + 1;
        for (uint32_t k = 0; k < out; k++)
            b[k] = -(float)k - 1;
        for (size_t k = 16; k < packed; k++)
            p[k] = NAN;
        kernel_pack(&layer, w, b, p);
        assert_true(kernel_change(&layer, p, none, none, w2, b2));
        assert_memory_equal(w, w2, in * out * sizeof *w);
        assert_memory_equal(b, b2, out * sizeof *b);
        assert_true(kernel_change(&layer, p, w, b, w2, b2));
        assert_memory_equal(w2, none, in * out * sizeof *w);
        assert_memory_equal(b2, none, out * sizeof *b);
        for (size_t k = 0; k < packed; k++)
            filled += p[k] < 0 || p[k] > 0;
        assert_int_equal(filled, in * out + out);
        w[in * out - 1] = INFINITY;
        kernel_pack(&layer, w, b, p);
        assert_false(kernel_change(&layer, p, none, none, w2, b2));
        ft_free(w);
        ft_free(b);
        ft_free(p);
        ft_free(w2);
        ft_free(b2);
    }
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
        cmocka_unit_test(every_kernel_gives_the_bits_of_the_plain_one),
        cmocka_unit_test(the_plain_kernel_trains_like_the_checked_gradient),
        cmocka_unit_test(every_kernel_refuses_what_is_not_finite),
        cmocka_unit_test(corrections_match_hand_working),
        cmocka_unit_test(the_choice_of_a_kernel_is_by_name),
        cmocka_unit_test(packing_and_unpacking_give_the_same_weights),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
