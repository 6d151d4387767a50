#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/privacy/clip.h"
#include "tests/support/approx.h"

#include <math.h>
#include <string.h>

/* The norm in long double: wide enough to be exact to far below float32's last bit. */
static long double
exact_norm(const float *v, size_t dim)
{
    long double sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += (long double)v[i] * (long double)v[i];
    return sqrtl(sum);
}

/* (3, 4) has norm 5: clipped to 1 it keeps its direction, and what it was is told. */
static void
clip_scales_a_long_update_to_the_bound(void **state)
{
    float v[2] = { 3, 4 };
    double norm = 0;
    (void)state;
    assert_int_equal(ft_clip_l2(v, 2, 1, &norm), FT_OK);
    assert_approx(norm, 5, 1e-12);
    assert_float_equal(v[0], 0.6f, 2e-6f);
    assert_float_equal(v[1], 0.8f, 2e-6f);
}

/* An update inside the bound leaves as it came, bit by bit. */
static void
clip_leaves_a_short_update_alone(void **state)
{
    float v[3] = { 0.1f, -0.2f, 0.3f };
    const float before[3] = { 0.1f, -0.2f, 0.3f };
    (void)state;
    assert_int_equal(ft_clip_l2(v, 3, 1, NULL), FT_OK);
    assert_memory_equal(v, before, sizeof v);
    assert_int_equal(ft_clip_l2(NULL, 0, 1, NULL), FT_OK);
}

/* The exact norm of what comes out never exceeds the bound, for 2,000 vectors of many lengths and sizes and bounds
 * on both sides of their norms, down to subnormal results. */
static void
clip_never_exceeds_the_bound(void **state)
{
    static float v[1003];
    uint64_t r = 88172645463325252u;
    (void)state;
    for (int trial = 0; trial < 2000; trial++) {
        const size_t dim = 1 + (size_t)(trial * 7) % 1003;
        const double size = pow(10, trial % 60 - 30), clip = size * pow(10, trial % 7 - 3);
        for (size_t i = 0; i < dim; i++) {
            r ^= r << 13;
            r ^= r >> 7;
            r ^= r << 17;
            v[i] = (float)(((double)(r >> 11) * 0x1p-53 - 0.5) * size);
        }
        if (clip < FT_CLIP_MIN)
            continue;
        assert_int_equal(ft_clip_l2(v, dim, clip, NULL), FT_OK);
        assert_true(exact_norm(v, dim) <= (long double)clip);
    }
    for (size_t i = 0; i < 1000; i++)
        v[i] = 3e38f;
    assert_int_equal(ft_clip_l2(v, 1000, 1e-3, NULL), FT_OK); /* the factor would be subnormal */
    assert_true(exact_norm(v, 1000) <= 1e-3L);
}

/* One NaN or infinity anywhere is refused and nothing is changed: a poisoned update must not pass unclipped. */
static void
clip_refuses_what_is_not_finite(void **state)
{
    const float bad[3] = { NAN, INFINITY, -INFINITY };
    (void)state;
    for (size_t at = 0; at < 19; at++)
        for (int k = 0; k < 3; k++) {
            float v[19], before[19];
            double norm = -1;
            for (int i = 0; i < 19; i++)
                v[i] = 100;
            v[at] = bad[k];
            memcpy(before, v, sizeof v);
            assert_int_equal(ft_clip_l2(v, 19, 1, &norm), FT_ERR_NONFINITE);
            assert_memory_equal(v, before, sizeof v);
            assert_true(norm < 0);
        }
}

/* A bound that bounds nothing is refused. */
static void
clip_refuses_a_useless_bound(void **state)
{
    float v[1] = { 1 };
    (void)state;
    assert_int_equal(ft_clip_l2(v, 1, 0, NULL), FT_ERR_ARGUMENT);
    assert_int_equal(ft_clip_l2(v, 1, -1, NULL), FT_ERR_ARGUMENT);
    assert_int_equal(ft_clip_l2(v, 1, (double)NAN, NULL), FT_ERR_ARGUMENT);
    assert_int_equal(ft_clip_l2(v, 1, (double)INFINITY, NULL), FT_ERR_ARGUMENT);
    assert_float_equal(v[0], 1, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clip_scales_a_long_update_to_the_bound),
        cmocka_unit_test(clip_leaves_a_short_update_alone),
        cmocka_unit_test(clip_never_exceeds_the_bound),
        cmocka_unit_test(clip_refuses_what_is_not_finite),
        cmocka_unit_test(clip_refuses_a_useless_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
