#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/model/conv.h"
#include "common/model/train.h"
#include "reference.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#define ROWS_MAX   70
#define VALUES_MAX 20000
#define SMALL(activation_, classes_)                                                                         \
    .kind = FT_MODEL_CNN, .activation = (activation_), .classes = (classes_)

/* Odd sizes, several channels in, no pooling, pooling that leaves a rest, a kernel wider than its image, no hidden
 * layer, a binary head. */
static const struct ft_model_spec specs[] = {
    { SMALL(FT_ACT_TANH, 3), .features = 30, .image = { 6, 5, 1 }, .conv = { { 2, 3, 2 } }, .conv_count = 1,
      .hidden = { 4 }, .hidden_count = 1 },
    { SMALL(FT_ACT_RELU, 4), .features = 98, .image = { 7, 7, 2 }, .conv = { { 3, 5, 2 }, { 4, 3, 3 } },
      .conv_count = 2, .hidden = { 5 }, .hidden_count = 1 },
    { SMALL(FT_ACT_TANH, 2), .features = 12, .image = { 2, 2, 3 }, .conv = { { 2, 5, 1 }, { 3, 1, 2 } },
      .conv_count = 2 },
    { SMALL(FT_ACT_RELU, 0), .features = 20, .image = { 4, 5, 1 }, .conv = { { 3, 3, 1 } }, .conv_count = 1 },
};
#define SPECS (sizeof specs / sizeof *specs)

/* One convolution as its definition says, with whole-number coordinates and nothing else: `in` to `out`. */
static void
reference_conv(const struct ft_model_conv *c, const uint32_t image[3], enum ft_activation activation, const double *w,
               const double *b, const double *in, double *out)
{
    const int height = (int)image[0], width = (int)image[1], channels = (int)image[2], half = (int)c->kernel / 2;
    const int side = (int)c->kernel, pool = (int)c->pool, n = (int)c->channels;

    for (int i = 0; i < height / pool; i++)
        for (int j = 0; j < width / pool; j++)
            for (int o = 0; o < n; o++) {
                double best = -INFINITY;
                for (int y = i * pool; y < (i + 1) * pool; y++)
                    for (int x = j * pool; x < (j + 1) * pool; x++) {
                        double z = b[o];
                        for (int p = 0; p < side; p++)
                            for (int q = 0; q < side; q++)
                                for (int k = 0; k < channels; k++) {
                                    const int v = y + p - half, u = x + q - half;
                                    if (v >= 0 && v < height && u >= 0 && u < width)
                                        z += in[(v * width + u) * channels + k] * w[((p * side + q) * channels + k) * n + o];
                                }
                        best = z > best ? z : best;
                    }
                out[(i * (width / pool) + j) * n + o] = activation == FT_ACT_RELU ? (best > 0 ? best : 0) : tanh(best);
            }
}

/* Mean loss and penalty: convolutions by the reference above, then the perceptron's own reference. */
static double
objective(const struct ft_model_spec *spec, const double *params, const struct ft_dataset *data, double decay)
{
    static double a[2048], b[2048];
    static float flat[2048];
    const double *at = params;
    double sum = 0, squares = 0;
    struct ft_model_spec dense = *spec;
    struct ft_dataset none = { 0 };

    dense.kind = spec->hidden_count > 0 ? FT_MODEL_MLP : spec->classes > 2 ? FT_MODEL_SOFTMAX : FT_MODEL_LOGISTIC;
    for (size_t r = 0; r < data->rows; r++) {
        uint32_t image[3] = { spec->image[0], spec->image[1], spec->image[2] };
        at = params;
        squares = 0;
        for (uint32_t k = 0; k < spec->features; k++)
            a[k] = (double)data->x[r * spec->features + k];
        for (uint32_t l = 0; l < spec->conv_count; l++) {
            const struct ft_model_conv *c = &spec->conv[l];
            const size_t weights = (size_t)c->kernel * c->kernel * image[2] * c->channels;
            reference_conv(c, image, spec->activation, at, at + weights, a, b);
            for (size_t k = 0; k < weights; k++)
                squares += at[k] * at[k];
            at += weights + c->channels;
            image[0] /= c->pool;
            image[1] /= c->pool;
            image[2] = c->channels;
            memcpy(a, b, sizeof a);
        }
        dense.features = image[0] * image[1] * image[2];
        for (uint32_t k = 0; k < dense.features; k++)
            flat[k] = (float)a[k];
        sum += reference_loss_of(&dense, at, a, data->y[r]);
    }
    none.rows = 1;
    none.x = flat;
    none.y = data->y;
    return sum / (double)data->rows + decay / 2 * squares + reference_objective(&dense, at, &none, decay) -
           reference_loss(&dense, at, flat, data->y[0]);
}

static struct ft_dataset
make_rows(const struct ft_model_spec *spec, size_t rows, float *x, float *y)
{
    for (uint32_t i = 0; i < rows * spec->features; i++)
        x[i] = (float)reference_noise(i);
    for (uint32_t i = 0; i < rows; i++)
        y[i] = (float)(i % (spec->classes > 2 ? spec->classes : 2));
    return (struct ft_dataset){ x, y, rows };
}

/* The objective is the reference's, and each element of the gradient its central difference. */
static void
the_gradient_is_that_of_plain_loops(void **state)
{
    static float x[VALUES_MAX], y[ROWS_MAX], params[2048], grad[2048];
    static double exact[2048];

    (void)state;
    for (size_t i = 0; i < SPECS; i++) {
        const struct ft_dataset data = make_rows(&specs[i], 4, x, y);
        const uint64_t count = ft_model_parameters(&specs[i]);
        struct ft_model *m = NULL;
        double value;
        assert_in_range(count, 1, 2048);
        ft_model_init(&specs[i], 3, params);
        for (uint64_t k = 0; k < count; k++) {
            params[k] += 0.1f * (float)reference_noise((uint32_t)k + 999);
            exact[k] = (double)params[k];
        }
        assert_int_equal(ft_model_open(&specs[i], &m, NULL), FT_OK);
        assert_int_equal(ft_model_gradient(m, params, &data, 0.3, grad, &value), FT_OK);
        assert_float_equal((float)value, (float)objective(&specs[i], exact, &data, 0.3), 1e-5f * (float)value);
        for (uint64_t k = 0; k < count; k++) {
            const double step = 1e-6, middle = exact[k];
            double up, down;
            exact[k] = middle + step;
            up = objective(&specs[i], exact, &data, 0.3);
            exact[k] = middle - step;
            down = objective(&specs[i], exact, &data, 0.3);
            exact[k] = middle;
            assert_true(fabs((up - down) / (2 * step) - (double)grad[k]) < 1e-5 + 1e-4 * fabs((double)grad[k]));
        }
        ft_model_close(m);
    }
}

/* More rows than fit in a pass: the gradient is the mean of those of the parts. */
static void
the_gradient_of_many_rows_is_the_mean_of_its_parts(void **state)
{
    static float x[VALUES_MAX], y[ROWS_MAX], params[2048], whole[2048], part[2048];
    static double sum[2048];

    (void)state;
    for (size_t i = 0; i < SPECS; i++) {
        const struct ft_dataset data = make_rows(&specs[i], ROWS_MAX, x, y);
        const uint64_t count = ft_model_parameters(&specs[i]);
        struct ft_model *m = NULL;
        memset(sum, 0, sizeof sum);
        ft_model_init(&specs[i], 3, params);
        assert_int_equal(ft_model_open(&specs[i], &m, NULL), FT_OK);
        assert_int_equal(ft_model_gradient(m, params, &data, 0, whole, NULL), FT_OK);
        for (size_t r = 0; r < ROWS_MAX; r++) {
            const struct ft_dataset one = { x + r * specs[i].features, y + r, 1 };
            assert_int_equal(ft_model_gradient(m, params, &one, 0, part, NULL), FT_OK);
            for (uint64_t k = 0; k < count; k++)
                sum[k] += (double)part[k] / ROWS_MAX;
        }
        for (uint64_t k = 0; k < count; k++)
            assert_float_equal(whole[k], (float)sum[k], 2e-6f);
        ft_model_close(m);
    }
}

/* The network of McMahan et al. 2017 has the parameters that the paper counts. */
static void
the_papers_network_has_its_number_of_parameters(void **state)
{
    const struct ft_model_spec spec = { SMALL(FT_ACT_RELU, 10), .features = 784, .image = { 28, 28, 1 },
                                        .conv = { { 32, 5, 2 }, { 64, 5, 2 } }, .conv_count = 2, .hidden = { 512 },
                                        .hidden_count = 1 };

    (void)state;
    assert_int_equal(ft_model_spec_check(&spec, NULL), FT_OK);
    assert_int_equal(ft_model_parameters(&spec), 1663370);
}

/* Local training makes a net that tells a vertical stroke from a horizontal one wherever it lies, which no linear
 * model can; the same env gives the same bits. */
static void
training_learns_strokes_wherever_they_lie(void **state)
{
    enum { N = 400, SIDE = 8 };
    const struct ft_model_spec spec = { SMALL(FT_ACT_RELU, 2), .features = SIDE * SIDE, .image = { SIDE, SIDE, 1 },
                                        .conv = { { 4, 3, 8 } }, .conv_count = 1 };
    const struct ft_train_config config = { .local_epochs = 30, .batch_size = 10, .learning_rate = 0.1, .momentum = 0.5 };
    static float x[N * SIDE * SIDE], y[N], theta[64], delta[64], again[64], z[N];
    const struct ft_dataset data = { x, y, N };
    struct ft_env_seeded env;
    struct ft_trainer *t = NULL;
    size_t right = 0;

    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t row = (i / 2) % 6, column = (i / 12) % 6;
        y[i] = (float)(i % 2);
        for (uint32_t k = 0; k < 3; k++)
            x[i * SIDE * SIDE + (i % 2 != 0 ? (row + k) * SIDE + column : row * SIDE + column + k)] = 1;
    }
    ft_model_init(&spec, 1, theta);
    assert_int_equal(ft_trainer_open(&spec, &config, N, &t, NULL), FT_OK);
    for (int k = 0; k < 2; k++) {
        ft_env_seeded_init(&env, 5, 1);
        assert_int_equal(ft_train_local(t, &data, &env.env, theta, k == 0 ? delta : again), FT_OK);
    }
    assert_memory_equal(delta, again, ft_model_parameters(&spec) * sizeof *delta);
    for (uint64_t k = 0; k < ft_model_parameters(&spec); k++)
        theta[k] += delta[k];
    assert_int_equal(ft_model_scores(ft_trainer_model(t), theta, x, N, z), FT_OK);
    for (int i = 0; i < N; i++)
        right += (z[i] > 0) == (y[i] > 0.5f);
    assert_true(right > N * 98 / 100);
    ft_trainer_close(t);
}

/* Shapes that cannot be are refused, each in a sentence that names what is wrong. */
static void
impossible_shapes_are_refused(void **state)
{
    struct ft_model_spec s = specs[0];
    struct ft_error err = { 0 };

    (void)state;
    s.image[1] = 6;
    assert_int_equal(ft_model_spec_check(&s, &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "6 x 6 pixels and 1 channels is not 30 features"));
    err = (struct ft_error){ 0 };
    s = specs[0];
    s.conv[0].kernel = 4;
    assert_int_equal(ft_model_spec_check(&s, &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "kernel of 4"));
    err = (struct ft_error){ 0 };
    s = specs[0];
    s.conv[0].pool = 6;
    assert_int_equal(ft_model_spec_check(&s, &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "pools 6"));
    s = specs[0];
    s.conv[0].channels = 0;
    assert_int_equal(ft_model_spec_check(&s, NULL), FT_ERR_ARGUMENT);
    s = specs[0];
    s.conv_count = 0;
    assert_int_equal(ft_model_spec_check(&s, NULL), FT_ERR_ARGUMENT);
    s.conv_count = FT_MODEL_CONV_MAX + 1;
    assert_int_equal(ft_model_spec_check(&s, NULL), FT_ERR_ARGUMENT);
    s = (struct ft_model_spec){ SMALL(FT_ACT_RELU, 2), .features = 16384, .image = { 128, 128, 1 },
                                .conv = { { 1024, 1, 1 }, { 1024, 15, 1 } }, .conv_count = 2 };
    assert_int_equal(ft_model_spec_check(&s, NULL), FT_ERR_LIMIT);
}

/* Fail each allocation in turn: a clean status, no object, no leak. */
static void
opening_survives_any_failed_allocation(void **state)
{
    const size_t live = ft_alloc_live();
    struct ft_model *m = NULL;
    enum ft_status st;

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        ft_alloc_fail_at(nth, false);
        st = ft_model_open(&specs[1], &m, NULL);
        if (!ft_alloc_fault_fired())
            break;
        assert_int_equal(st, FT_ERR_NOMEM);
        assert_null(m);
        assert_int_equal(ft_alloc_live(), live);
    }
    ft_alloc_fail_at(0, false);
    assert_int_equal(st, FT_OK);
    ft_model_close(m);
    assert_int_equal(ft_alloc_live(), live);
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
        cmocka_unit_test(the_gradient_is_that_of_plain_loops),
        cmocka_unit_test(the_gradient_of_many_rows_is_the_mean_of_its_parts),
        cmocka_unit_test(the_papers_network_has_its_number_of_parameters),
        cmocka_unit_test(training_learns_strokes_wherever_they_lie),
        cmocka_unit_test(impossible_shapes_are_refused),
        cmocka_unit_test(opening_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
