/* The round's sum: one association, whatever comes in waves, in threads, or does not come. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/engine/sum.h"
#include "aggregator/simulate/partition/draw.h"
#include "common/base/alloc.h"

#include <string.h>

#define MOST   70
#define LENGTH 2500 /* more than two blocks */

/* The definition: places from .. from + 2^level - 1, those past `count` or without weight not there. */
static bool
tree(const float *v, const double *w, uint32_t count, uint32_t level, uint32_t index, uint64_t k, double *out)
{
    const uint64_t from = (uint64_t)index << level;
    double left, right;
    bool has_left, has_right;
    if (from >= count)
        return false;
    if (level == 0) {
        *out = w[from] * (double)v[from * LENGTH + k];
        return w[from] > 0;
    }
    has_left = tree(v, w, count, level - 1, 2 * index, k, &left);
    has_right = tree(v, w, count, level - 1, 2 * index + 1, k, &right);
    *out = has_left && has_right ? left + right : has_left ? left : right;
    return has_left || has_right;
}

/* Any number of places, of which some did not come, in waves of any size, by any number of threads: the tree's bits. */
static void
sum_is_the_tree_whatever_the_waves_and_threads(void **state)
{
    float *v = ft_calloc((size_t)MOST * LENGTH, sizeof *v);
    double w[MOST];
    struct sim_draw d;
    (void)state;
    assert_non_null(v);
    sim_draw_init(&d, 5, 5);
    for (size_t i = 0; i < (size_t)MOST * LENGTH; i++)
        v[i] = (float)sim_draw_normal(&d);
    for (size_t i = 0; i < MOST; i++)
        w[i] = sim_draw_uniform(&d) < 0.2 ? 0 : (double)(1 + sim_draw_below(&d, 1000));
    for (uint32_t count = 1; count <= MOST; count++) {
        struct sim_pool *pool;
        struct sim_sum s;
        const double *sum;
        assert_int_equal(sim_pool_open(1 + count % 4, &pool), FT_OK);
        sim_sum_open(&s, LENGTH);
        for (int again = 0; again < 2; again++) { /* used again, nothing of before stays */
            sim_sum_begin(&s);
            for (uint32_t at = 0, n; at < count; at += n) {
                n = 1 + (count * 7 + at) % 13;
                n = n < count - at ? n : count - at;
                assert_int_equal(sim_sum_add(&s, pool, v + (size_t)at * LENGTH, w + at, at, n), FT_OK);
            }
            assert_int_equal(sim_sum_end(&s, &sum), FT_OK);
        }
        for (uint64_t k = 0; k < LENGTH; k += 97) {
            double want;
            if (!tree(v, w, count, 7, 0, k, &want))
                want = 0;
            assert_memory_equal(&sum[k], &want, sizeof want);
        }
        sim_sum_close(&s);
        sim_pool_close(pool);
    }
    ft_free(v);
}

/* A round of nobody, and one in which nobody came, sum up to zeros. */
static void
sum_of_nobody_is_zero(void **state)
{
    const float v[2] = { 3, 4 };
    const double w[2] = { 0, 0 };
    struct sim_pool *pool;
    struct sim_sum s;
    const double *sum;
    (void)state;
    assert_int_equal(sim_pool_open(2, &pool), FT_OK);
    sim_sum_open(&s, 1);
    sim_sum_begin(&s);
    assert_int_equal(sim_sum_end(&s, &sum), FT_OK);
    assert_true(sum[0] == 0);
    sim_sum_begin(&s);
    assert_int_equal(sim_sum_add(&s, pool, v, w, 0, 2), FT_OK);
    assert_int_equal(sim_sum_end(&s, &sum), FT_OK);
    assert_true(sum[0] == 0);
    sim_sum_close(&s);
    sim_pool_close(pool);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_is_the_tree_whatever_the_waves_and_threads),
        cmocka_unit_test(sum_of_nobody_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
