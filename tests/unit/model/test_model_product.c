/* Products of matrices: the sums that kernel.h states, the same bits by every kernel, and in threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/model/model.h"
#include "common/model/product.h"
#include "reference.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

/* Around lanes, blocks of rows, panels of columns, and blocks of depth; 1 everywhere. */
static const size_t shapes[][3] = { { 1, 1, 1 },     { 1, 40, 7 },    { 5, 1, 9 },   { 7, 17, 3 },
                                    { 12, 32, 256 }, { 13, 33, 257 }, { 25, 31, 5 }, { 50, 300, 513 },
                                    { 784, 32, 25 }, { 64, 10, 784 } };
#define SHAPES (sizeof shapes / sizeof *shapes)

enum form { PLAIN, LEFT, RIGHT, FORMS };

static void
multiply(enum form form, const size_t s[3], const float *a, const float *b, bool add, float *c, float *room)
{
    if (form == PLAIN)
        product_plain(s[0], s[1], s[2], a, b, add, c, room);
    else if (form == LEFT)
        product_left_turned(s[0], s[1], s[2], a, b, add, c, room);
    else
        product_right_turned(s[0], s[1], s[2], a, b, add, c, room);
}

/* The definition, one fused step after the other. */
static void
by_definition(enum form form, const size_t s[3], const float *a, const float *b, bool add, float *c)
{
    const size_t m = s[0], n = s[1], k = s[2];
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float sum = add ? c[i * n + j] : 0;
            for (size_t l = 0; l < k; l++)
                sum = fmaf(form == LEFT ? a[l * m + i] : a[i * k + l],
                           form == RIGHT ? b[j * k + l] : b[l * n + j], sum);
            c[i * n + j] = sum;
        }
}

static float *
noise(size_t count, uint32_t from)
{
    float *v = ft_calloc(count, sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < count; i++)
        v[i] = (float)reference_noise((uint32_t)i + from);
    return v;
}

/* Every kernel gives the bits of the definition, whatever the shape, either side turned round, adding or not.
 */
static void
product_gives_the_bits_of_its_definition(void **state)
{
    const struct model_kernel *list[3];
    const size_t count = kernel_list(list);
    float *room = noise(PRODUCT_ROOM, 5);
    (void)state;
    for (size_t i = 0; i < SHAPES * FORMS * 2; i++) {
        const size_t *s = shapes[i / FORMS / 2];
        const enum form form = (enum form)(i / 2 % FORMS);
        const bool add = i % 2 == 1;
        float *a = noise(s[0] * s[2], 1), *b = noise(s[2] * s[1], 1000003), *c = noise(s[0] * s[1], 77);
        by_definition(form, s, a, b, add, c);
        for (size_t k = 0; k < count; k++) {
            float *got = noise(s[0] * s[1], 77);
            assert_int_equal(ft_model_use_kernel(list[k]->name, NULL), FT_OK);
            multiply(form, s, a, b, add, got, room);
            assert_memory_equal(got, c, s[0] * s[1] * sizeof *c);
            ft_free(got);
        }
        ft_free(a);
        ft_free(b);
        ft_free(c);
    }
    ft_free(room);
}

/* OpenBLAS, where it is asked for, says the same but for rounding. */
static void
product_by_blas_is_near(void **state)
{
    (void)state;
    float *room = noise(PRODUCT_ROOM, 5);
    for (size_t i = 0; i < SHAPES * FORMS; i++) {
        const size_t *s = shapes[i / FORMS];
        float *a = noise(s[0] * s[2], 1), *b = noise(s[2] * s[1], 1000003), *c = noise(s[0] * s[1], 77),
              *got = noise(s[0] * s[1], 77);
        by_definition((enum form)(i % FORMS), s, a, b, true, c);
        assert_int_equal(ft_model_use_kernel("blas", NULL), FT_OK);
        multiply((enum form)(i % FORMS), s, a, b, true, got, room);
        for (size_t j = 0; j < s[0] * s[1]; j++)
            assert_true(fabsf(got[j] - c[j]) < 1e-4f);
        ft_free(a);
        ft_free(b);
        ft_free(c);
        ft_free(got);
    }
    ft_free(room);
}

/* A product that does not add leaves nothing of what was there, not even a NaN; depth 0 gives zeros. */
static void
product_without_adding_forgets_a_nan(void **state)
{
    static const char *const kernels[] = { "auto", "plain", "blas" };
    const float a[2] = { 2, 3 }, b[2] = { 5, 7 };
    float *room = noise(PRODUCT_ROOM, 5), c;
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        assert_int_equal(ft_model_use_kernel(kernels[k], NULL), FT_OK);
        c = NAN;
        product_plain(1, 1, 2, a, b, false, &c, room);
        assert_true(c == 31.0f);
        c = NAN;
        product_plain(1, 1, 0, a, b, false, &c, room);
        assert_true(c == 0.0f);
    }
    ft_free(room);
}

/* Dot products of rows: one order of 16 partial sums for every kernel. */
static void
product_rows_by_vector_is_the_same_for_every_kernel(void **state)
{
    const struct model_kernel *list[3];
    const size_t count = kernel_list(list);
    (void)state;
    for (size_t width = 1; width < 70; width++) {
        float *x = noise(9 * width, 3), *w = noise(width, 400), first[9], got[9];
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(ft_model_use_kernel(list[k]->name, NULL), FT_OK);
            product_rows_by_vector(x, 9, width, w, 0.25f, k == 0 ? first : got);
            if (k > 0)
                assert_memory_equal(first, got, sizeof got);
        }
        for (size_t i = 0; i < 9; i++) {
            double sum = 0.25;
            for (size_t l = 0; l < width; l++)
                sum += (double)x[i * width + l] * (double)w[l];
            assert_true(fabs(sum - (double)first[i]) < 1e-5);
        }
        ft_free(x);
        ft_free(w);
    }
}

struct job {
    const float *a, *b, *want;
    bool wrong;
};

static void *
many_times(void *ctx)
{
    static const size_t s[3] = { 50, 300, 513 };
    struct job *job = ctx;
    float *c = ft_calloc(s[0] * s[1], sizeof *c), *room = ft_calloc(PRODUCT_ROOM, sizeof *room);
    for (int i = 0; c != NULL && room != NULL && i < 30; i++) {
        multiply(PLAIN, s, job->a, job->b, false, c, room);
        job->wrong |= memcmp(c, job->want, s[0] * s[1] * sizeof *c) != 0;
    }
    job->wrong |= c == NULL || room == NULL;
    ft_free(c);
    ft_free(room);
    return NULL;
}

/* Threads do not get into each other's way: same bits, again and again. */
static void
product_in_threads_is_the_product(void **state)
{
    static const size_t s[3] = { 50, 300, 513 };
    static const char *const kernels[] = { "auto", "blas" };
    float *a = noise(s[0] * s[2], 1), *b = noise(s[2] * s[1], 1000003), *want = noise(s[0] * s[1], 0),
          *room = noise(PRODUCT_ROOM, 5);
    pthread_t ids[4];
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct job jobs[4];
        assert_int_equal(ft_model_use_kernel(kernels[k], NULL), FT_OK);
        multiply(PLAIN, s, a, b, false, want, room);
        for (int i = 0; i < 4; i++) {
            jobs[i] = (struct job){ a, b, want, false };
            assert_int_equal(pthread_create(&ids[i], NULL, many_times, &jobs[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(ids[i], NULL);
            assert_false(jobs[i].wrong);
        }
    }
    ft_free(a);
    ft_free(b);
    ft_free(want);
    ft_free(room);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_gives_the_bits_of_its_definition),
        cmocka_unit_test(product_by_blas_is_near),
        cmocka_unit_test(product_without_adding_forgets_a_nan),
        cmocka_unit_test(product_rows_by_vector_is_the_same_for_every_kernel),
        cmocka_unit_test(product_in_threads_is_the_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
