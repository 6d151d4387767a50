#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/model/statistics.h"
#include "tests/support/approx.h"

#include <math.h>
#include <string.h>

static const struct ft_bounds bounds[3] = { { 0, 10 }, { -1, 1 }, { 5, 6 } };

/* Two shops with (1, 3) and (5) in the first feature: mean 3, population deviation sqrt(8/3); the second feature
 * is 0.5, -0.5, 0; the third is always 5.25, so its deviation is set to 1. */
static void
sums_of_shops_give_the_pooled_mean_and_deviation(void **state)
{
    const float a[6] = { 1, 0.5f, 5.25f, 3, -0.5f, 5.25f }, b[3] = { 5, 0, 5.25f };
    double sums[6], more[6], means[3], stds[3];
    uint64_t clipped[3] = { 0 };

    (void)state;
    assert_int_equal(ft_statistics_sum(a, 2, 3, bounds, sums, clipped), FT_OK);
    assert_int_equal(ft_statistics_sum(b, 1, 3, bounds, more, clipped), FT_OK);
    for (int i = 0; i < 6; i++)
        sums[i] += more[i];
    assert_int_equal(ft_statistics_finish(sums, 3, 3, bounds, means, stds), FT_OK);
    assert_approx(means[0], 3, 1e-14);
    assert_approx(stds[0], sqrt(8.0 / 3), 1e-14);
    assert_approx(means[1], 0, 1e-14);
    assert_approx(stds[1], sqrt(0.5 / 3), 1e-14);
    assert_approx(means[2], 5.25, 1e-14);
    assert_approx(stds[2], 1, 0);
    assert_int_equal(clipped[0] + clipped[1] + clipped[2], 0);
}

/* Values beyond the declared bounds count as the bound, and are counted, in sums and in standardised rows alike. */
static void
values_outside_the_bounds_are_clipped_and_counted(void **state)
{
    const double means[3] = { 5, 0, 5 }, stds[3] = { 5, 1, 1 };
    const float x[6] = { 12, -3, 5, -1, 0, 6.5f };
    double sums[6];
    uint64_t clipped[3] = { 0 };
    float out[6];

    (void)state;
    assert_int_equal(ft_statistics_sum(x, 2, 3, bounds, sums, clipped), FT_OK);
    assert_approx(sums[0], 1, 0);    /* 10 and 0 of 0..10 */
    assert_approx(sums[1], 0.5, 0);  /* -1 and 0 of -1..1 */
    assert_approx(sums[2], 1, 0);    /* 5 and 6 of 5..6 */
    assert_approx(sums[4], 0.25, 0); /* squares of the second */
    assert_int_equal(clipped[0], 2);
    assert_int_equal(clipped[1], 1);
    assert_int_equal(clipped[2], 1);
    assert_int_equal(ft_standardise(x, 2, 3, bounds, means, stds, out, clipped), FT_OK);
    assert_float_equal(out[0], 1, 0);
    assert_float_equal(out[3], -1, 0);
    assert_float_equal(out[5], 1, 0);
    assert_int_equal(clipped[0], 4); /* added to */
}

/* 0.1 as float32 lies above 0.1: a value at its bound is inside, and standardises as the bound itself. */
static void
a_bound_that_float32_rounded_is_inside(void **state)
{
    const struct ft_bounds tenth = { 0, 0.1 };
    const double means[1] = { 0 }, stds[1] = { 1 };
    const float x[1] = { 0.1f };
    uint64_t clipped[1] = { 0 };
    double sums[2];
    float out[1];
    (void)state;
    assert_true((double)x[0] > tenth.max);
    assert_int_equal(ft_statistics_sum(x, 1, 1, &tenth, sums, clipped), FT_OK);
    assert_approx(sums[0], 1, 0);
    assert_int_equal(ft_standardise(x, 1, 1, &tenth, means, stds, out, clipped), FT_OK);
    assert_int_equal(clipped[0], 0);
}

/* A NaN or an infinity is refused: clipping must not turn it into a bound. */
static void
features_that_are_not_finite_are_refused(void **state)
{
    const double means[1] = { 0 }, stds[1] = { 1 };
    const float bad[2] = { NAN, INFINITY };
    (void)state;
    for (int k = 0; k < 2; k++) {
        const float x[2] = { 1, bad[k] };
        double sums[2] = { -7, -7 };
        float out[2] = { -7, -7 };
        assert_int_equal(ft_statistics_sum(x, 2, 1, bounds, sums, NULL), FT_ERR_NONFINITE);
        assert_int_equal(ft_standardise(x, 2, 1, bounds, means, stds, out, NULL), FT_ERR_NONFINITE);
        assert_approx(sums[0], -7, 0);
        assert_float_equal(out[0], -7, 0);
    }
}

/* Sums that no rows within the bounds can have (a mean above 1, squares above the values) are refused. */
static void
impossible_sums_are_refused(void **state)
{
    const double above[2] = { 2.5, 1 }, squares[2] = { 1, 1.5 }, low[2] = { 1.8, 0.5 }, good[2] = { 1, 0.75 };
    double means[1], stds[1];
    (void)state;
    assert_int_equal(ft_statistics_finish(above, 2, 1, bounds, means, stds), FT_ERR_VERIFY);
    assert_int_equal(ft_statistics_finish(squares, 2, 1, bounds, means, stds), FT_ERR_VERIFY);
    assert_int_equal(ft_statistics_finish(low, 2, 1, bounds, means, stds), FT_ERR_VERIFY);
    assert_int_equal(ft_statistics_finish(good, 0, 1, bounds, means, stds), FT_ERR_ARGUMENT);
    assert_int_equal(ft_statistics_finish(good, 2, 1, bounds, means, stds), FT_OK);
}

/* A feature that is constant stays constant after a codec has rounded the sums of many shops. */
static void
a_constant_feature_survives_the_codec(void **state)
{
    const double u = 0.1 / 3, rows = 4338;
    double means[1], stds[1];
    (void)state;
    for (int k = -3; k <= 3; k++) {
        const double sums[2] = { rows * u + k * 1e-10, rows * u * u - k * 1e-10 };
        assert_int_equal(ft_statistics_finish(sums, rows, 1, bounds, means, stds), FT_OK);
        assert_approx(stds[0], 1, 0);
        assert_approx(means[0], u * 10, 1e-9);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_shops_give_the_pooled_mean_and_deviation),
        cmocka_unit_test(values_outside_the_bounds_are_clipped_and_counted),
        cmocka_unit_test(a_bound_that_float32_rounded_is_inside),
        cmocka_unit_test(features_that_are_not_finite_are_refused),
        cmocka_unit_test(impossible_sums_are_refused),
        cmocka_unit_test(a_constant_feature_survives_the_codec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
