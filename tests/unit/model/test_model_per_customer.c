#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/model/per_customer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FEATURES  7
#define CUSTOMERS 90

struct fixture {
    struct ft_model_spec spec;
    struct ft_per_customer *p;
    size_t parameters, rows;
    float *params, *x, *y, *vectors;
    double lengths[CUSTOMERS];
    uint32_t first[CUSTOMERS + 1];
    struct ft_customer_rows list;
    size_t taken;
};

static uint64_t state = 1;

static float
uniform(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (float)(state >> 40) / (float)(1 << 23) - 1.0f;
}

/* Customers of 0 to 6 rows, and one of 600: more than a pass. */
static struct fixture *
open_fixture(enum ft_model_kind kind)
{
    struct fixture *f = ft_calloc(1, sizeof *f);
    f->spec = (struct ft_model_spec){ .kind = kind, .features = FEATURES };
    if (kind == FT_MODEL_SOFTMAX)
        f->spec.classes = 3;
    if (kind == FT_MODEL_MLP) {
        f->spec.classes = 3;
        f->spec.hidden_count = 2;
        f->spec.hidden[0] = 9;
        f->spec.hidden[1] = 5;
        f->spec.activation = FT_ACT_TANH;
    }
    assert_int_equal(ft_per_customer_open(&f->spec, &f->p, NULL), FT_OK);
    f->parameters = (size_t)ft_model_parameters(&f->spec);
    for (size_t c = 0; c < CUSTOMERS; c++)
        f->first[c + 1] = f->first[c] + (c == 40 ? 600 : (uint32_t)(c % 7));
    f->rows = f->first[CUSTOMERS];
    f->params = ft_calloc(f->parameters, sizeof *f->params);
    f->x = ft_calloc(f->rows * FEATURES, sizeof *f->x);
    f->y = ft_calloc(f->rows, sizeof *f->y);
    f->vectors = ft_calloc(CUSTOMERS * f->parameters, sizeof *f->vectors);
    for (size_t i = 0; i < f->parameters; i++)
        f->params[i] = uniform();
    for (size_t i = 0; i < f->rows * FEATURES; i++)
        f->x[i] = 2 * uniform();
    for (size_t i = 0; i < f->rows; i++)
        f->y[i] = (float)(i % (f->spec.classes > 2 ? 3 : 2));
    f->list = (struct ft_customer_rows){ f->x, f->y, f->first, CUSTOMERS };
    return f;
}

static void
close_fixture(struct fixture *f)
{
    ft_per_customer_close(f->p);
    ft_free(f->params);
    ft_free(f->x);
    ft_free(f->y);
    ft_free(f->vectors);
    ft_free(f);
}

static void
keep(void *ctx, size_t first, const float *vectors, const double *lengths, size_t count)
{
    struct fixture *f = ctx;
    assert_int_equal(first, f->taken);
    memcpy(f->vectors + first * f->parameters, vectors, count * f->parameters * sizeof *vectors);
    memcpy(f->lengths + first, lengths, count * sizeof *lengths);
    f->taken += count;
}

static void
run(struct fixture *f)
{
    f->taken = 0;
    ft_per_customer_gradients(f->p, f->params, &f->list, keep, f);
    assert_int_equal(f->taken, f->list.customers);
}

static double
length_of(const float *v, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt(sum);
}

static const enum ft_model_kind kinds[] = { FT_MODEL_LINEAR, FT_MODEL_LOGISTIC, FT_MODEL_SOFTMAX, FT_MODEL_MLP };

/* A customer's vector is minus the gradient of the mean loss of that customer's rows alone. */
static void
per_customer_vectors_are_the_gradients_of_their_rows(void **unused)
{
    (void)unused;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct fixture *f = open_fixture(kinds[k]);
        struct ft_model *m;
        float *want = ft_calloc(f->parameters, sizeof *want);
        assert_int_equal(ft_model_open(&f->spec, &m, NULL), FT_OK);
        run(f);
        for (size_t c = 0; c < CUSTOMERS; c++) {
            const struct ft_dataset own = { f->x + (size_t)f->first[c] * FEATURES, f->y + f->first[c],
                                            f->first[c + 1] - f->first[c] };
            memset(want, 0, f->parameters * sizeof *want);
            if (own.rows > 0)
                assert_int_equal(ft_model_gradient(m, f->params, &own, 0, want, NULL), FT_OK);
            for (size_t i = 0; i < f->parameters; i++)
                assert_true(fabs((double)(f->vectors[c * f->parameters + i] + want[i])) <=
                            2e-5 * (1 + fabs((double)want[i])));
        }
        ft_model_close(m);
        ft_free(want);
        close_fixture(f);
    }
}

/* The lengths that come from layer inputs and output gradients are those of the vectors. */
static void
per_customer_lengths_need_no_vectors(void **unused)
{
    (void)unused;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct fixture *f = open_fixture(kinds[k]);
        double alone[CUSTOMERS];
        run(f);
        ft_per_customer_lengths(f->p, f->params, &f->list, alone);
        for (size_t c = 0; c < CUSTOMERS; c++) {
            const double is = length_of(f->vectors + c * f->parameters, f->parameters);
            assert_true(fabs(f->lengths[c] - is) <= 1e-4 * is);
            assert_true(memcmp(&alone[c], &f->lengths[c], sizeof alone[c]) == 0);
        }
        close_fixture(f);
    }
}

/* Who else is in the call, and in which place, changes no bit of a customer's vector. */
static void
per_customer_vectors_do_not_depend_on_other_customers(void **unused)
{
    (void)unused;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct fixture *f = open_fixture(kinds[k]);
        float *all = ft_calloc(CUSTOMERS * f->parameters, sizeof *all);
        run(f);
        memcpy(all, f->vectors, CUSTOMERS * f->parameters * sizeof *all);
        for (size_t c = 0; c < CUSTOMERS; c++) {
            const uint32_t n = f->first[c + 1] - f->first[c], one[2] = { 0, n };
            f->list = (struct ft_customer_rows){ f->x + (size_t)f->first[c] * FEATURES, f->y + f->first[c], one, 1 };
            run(f);
            assert_memory_equal(f->vectors, all + c * f->parameters, f->parameters * sizeof *all);
        }
        ft_free(all);
        close_fixture(f);
    }
}

/* A row that is no number spoils the vector of its own customer and no other bit. */
static void
per_customer_a_nan_stays_with_its_customer(void **unused)
{
    (void)unused;
    struct fixture *f = open_fixture(FT_MODEL_MLP);
    float *before = ft_calloc(CUSTOMERS * f->parameters, sizeof *before);
    run(f);
    memcpy(before, f->vectors, CUSTOMERS * f->parameters * sizeof *before);
    f->x[(size_t)f->first[12] * FEATURES + 3] = (float)NAN;
    run(f);
    for (size_t c = 0; c < CUSTOMERS; c++) {
        if (c == 12)
            assert_true(isfinite(f->lengths[c]) == 0);
        else
            assert_memory_equal(f->vectors + c * f->parameters, before + c * f->parameters,
                                f->parameters * sizeof *before);
    }
    ft_free(before);
    close_fixture(f);
}

/* The clipped sum made without vectors is the sum of the vectors, each scaled down to the clip. */
static void
per_customer_clipped_sum_is_the_sum_of_clipped_vectors(void **unused)
{
    (void)unused;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct fixture *f = open_fixture(kinds[k]);
        float *sum = ft_calloc(f->parameters, sizeof *sum);
        run(f);
        const double clip = f->lengths[3];
        ft_per_customer_clipped_sum(f->p, f->params, &f->list, clip, sum);
        for (size_t i = 0; i < f->parameters; i++) {
            double want = 0;
            for (size_t c = 0; c < CUSTOMERS; c++)
                want += (double)f->vectors[c * f->parameters + i] *
                        (f->lengths[c] > clip ? clip / f->lengths[c] : 1);
            assert_true(fabs(want - (double)sum[i]) <= 1e-3 * (1 + fabs(want)));
        }
        ft_free(sum);
        close_fixture(f);
    }
}

/* A network with convolutions is refused. */
static void
per_customer_gradients_refuse_convolutions(void **unused)
{
    (void)unused;
    const struct ft_model_spec cnn = { .kind = FT_MODEL_CNN, .features = 16, .image = { 4, 4, 1 }, .conv_count = 1,
                                       .conv = { { 2, 3, 1 } }, .activation = FT_ACT_RELU };
    struct ft_per_customer *p;
    assert_int_equal(ft_per_customer_open(&cnn, &p, NULL), FT_ERR_ARGUMENT);
    assert_null(p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(per_customer_vectors_are_the_gradients_of_their_rows),
        cmocka_unit_test(per_customer_lengths_need_no_vectors),
        cmocka_unit_test(per_customer_vectors_do_not_depend_on_other_customers),
        cmocka_unit_test(per_customer_a_nan_stays_with_its_customer),
        cmocka_unit_test(per_customer_clipped_sum_is_the_sum_of_clipped_vectors),
        cmocka_unit_test(per_customer_gradients_refuse_convolutions),
    };
    ft_model_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
