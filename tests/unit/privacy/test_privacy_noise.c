#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/privacy/noise.h"
#include "common/privacy/noise_internal.h"
#include "common/privacy/sampler.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>

#define SAMPLES 1000000

/* Upper 1e-6 quantile of chi-square by Wilson and Hilferty; z is the normal quantile of 1 - 1e-6. */
static double
chi_square_limit(double degrees)
{
    const double z = 4.753424, a = 2.0 / (9.0 * degrees);
    return degrees * pow(1.0 - a + z * sqrt(a), 3);
}

static void
draw(uint64_t seed, uint64_t count, uint32_t sigma, struct ft_noise **out)
{
    struct ft_env_seeded e;
    ft_env_seeded_init(&e, seed, 1);
    assert_int_equal(ft_noise_draw(&e.env, count, sigma, out), FT_OK);
}

/* At sigma 8 the counts of every value up to 24 fit the discrete Gaussian's probabilities. */
static void
noise_small_sigma_fits_its_distribution(void **state)
{
    struct ft_noise *n;
    double weights[51], total = 0, found[51] = { 0 }, statistic = 0;
    (void)state;
    draw(11, SAMPLES, 8, &n);
    for (int k = -200; k <= 200; k++)
        total += exp(-(double)k * k / 128.0);
    weights[49] = weights[50] = 0;
    for (int k = -24; k <= 24; k++)
        weights[k + 24] = exp(-(double)k * k / 128.0) / total;
    for (int k = 25; k <= 200; k++) {
        weights[49] += exp(-(double)k * k / 128.0) / total;
        weights[50] += exp(-(double)k * k / 128.0) / total;
    }
    for (size_t i = 0; i < SAMPLES; i++) {
        const int64_t v = n->values[i];
        found[v < -24 ? 49 : v > 24 ? 50 : v + 24]++;
    }
    for (int b = 0; b < 51; b++)
        statistic += pow(found[b] - weights[b] * SAMPLES, 2) / (weights[b] * SAMPLES);
    assert_true(statistic < chi_square_limit(50));
    ft_noise_close(n);
}

/* Mean, variance and kurtosis at the sigmas of real tasks are those of the distribution, and so is the share of
 * each sixteenth of the normal distribution. */
static void
noise_large_sigma_has_the_right_moments(void **state)
{
    static const uint32_t sigmas[] = { 776, UINT32_C(1) << 20 };
    (void)state;
    for (size_t s = 0; s < 2; s++) {
        struct ft_noise *n;
        double mean = 0, variance = 0, fourth = 0, cells[16] = { 0 }, statistic = 0;
        draw(12 + s, SAMPLES, sigmas[s], &n);
        for (size_t i = 0; i < SAMPLES; i++) {
            const double x = (double)n->values[i] / sigmas[s];
            const double u = 0.5 * erfc(-((double)n->values[i] + 0.5) / sigmas[s] / sqrt(2.0));
            mean += x / SAMPLES;
            variance += x * x / SAMPLES;
            fourth += x * x * x * x / SAMPLES;
            cells[u >= 1 ? 15 : (int)(u * 16)]++;
        }
        const double z = 4.891638; /* two-sided 1e-6 */
        assert_true(fabs(mean) < z / sqrt(SAMPLES));
        assert_true(fabs(variance - 1) < z * sqrt(2.0 / SAMPLES));
        assert_true(fabs(fourth - 3) < z * sqrt(96.0 / SAMPLES));
        for (int c = 0; c < 16; c++)
            statistic += pow(cells[c] - SAMPLES / 16.0, 2) / (SAMPLES / 16.0);
        if (sigmas[s] > 1000) /* cells of the continuous distribution: one integer is a small part of one */
            assert_true(statistic < chi_square_limit(15));
        ft_noise_close(n);
    }
}

/* Bounds that are no powers of two come out uniform, in the 32-bit and in the 64-bit path. */
static void
noise_uniform_is_uniform_at_any_bound(void **state)
{
    static const uint64_t bounds[] = { 3, 7, 1000, (UINT64_C(3) << 30), (UINT64_C(3) << 61) / 2, (UINT64_C(5) << 60) };
    struct ft_env_seeded e;
    struct ft_noise_words w;
    (void)state;
    ft_env_seeded_init(&e, 13, 1);
    ft_noise_words_open(&w, &e.env);
    for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++) {
        const uint64_t n = bounds[b], cells = n < 30 ? n : 30;
        double found[30] = { 0 }, statistic = 0;
        for (int i = 0; i < SAMPLES; i++) {
            const uint64_t v = ft_noise_uniform(&w, n);
            assert_true(v < n);
            found[(unsigned __int128)v * cells / n]++;
        }
        for (uint64_t c = 0; c < cells; c++) {
            /* values v with c <= v cells / n < c + 1 */
            const unsigned __int128 from = ((unsigned __int128)c * n + cells - 1) / cells;
            const unsigned __int128 to = ((unsigned __int128)(c + 1) * n + cells - 1) / cells;
            const double expected = (double)(to - from) / (double)n * SAMPLES;
            statistic += pow(found[c] - expected, 2) / expected;
        }
        assert_true(statistic < chi_square_limit((double)cells - 1));
    }
    ft_noise_words_close(&w);
}

/* Two vectors drawn one after the other have nothing to do with each other. */
static void
noise_is_new_each_time(void **state)
{
    struct ft_env_seeded e;
    struct ft_noise *a, *b;
    double product = 0;
    size_t same = 0;
    (void)state;
    ft_env_seeded_init(&e, 14, 1);
    assert_int_equal(ft_noise_draw(&e.env, 100000, 776, &a), FT_OK);
    assert_int_equal(ft_noise_draw(&e.env, 100000, 776, &b), FT_OK);
    for (size_t i = 0; i < 100000; i++) {
        product += (double)a->values[i] * (double)b->values[i] / (776.0 * 776.0);
        same += a->values[i] == b->values[i];
    }
    assert_true(fabs(product) < 4.89 * sqrt(100000));
    assert_true(same < 200);
    ft_noise_close(a);
    ft_noise_close(b);
}

/* Strengths and lengths beyond the limits are refused. */
static void
noise_out_of_range_is_refused(void **state)
{
    struct ft_noise *n;
    (void)state;
    assert_int_equal(ft_noise_draw(ft_env_system(), 0, 8, &n), FT_ERR_ARGUMENT);
    assert_null(n);
    assert_int_equal(ft_noise_draw(ft_env_system(), 1, 0, &n), FT_ERR_ARGUMENT);
    assert_int_equal(ft_noise_draw(ft_env_system(), 1, (1u << 24) + 1, &n), FT_ERR_ARGUMENT);
    assert_int_equal(ft_noise_draw(ft_env_system(), ((uint64_t)1 << 28) + 1, 8, &n), FT_ERR_ARGUMENT);
}

/* Each customer is drawn with probability q, independently; q = 1 draws everybody. */
static void
sampler_draws_each_customer_with_probability_q(void **state)
{
    enum { CUSTOMERS = 50, TURNS = 40000 };
    const uint64_t q_num = UINT64_C(858993459); /* 0.2 */
    struct ft_env_seeded e;
    uint32_t drawn[CUSTOMERS];
    double each[CUSTOMERS] = { 0 }, sizes = 0, squares = 0, statistic = 0;
    const double q = (double)q_num / 4294967296.0;
    (void)state;
    ft_env_seeded_init(&e, 15, 1);
    for (int t = 0; t < TURNS; t++) {
        const size_t count = ft_sample_customers(&e.env, q_num, CUSTOMERS, drawn);
        sizes += (double)count;
        squares += (double)count * (double)count;
        for (size_t i = 0; i < count; i++) {
            assert_true(i == 0 || drawn[i] > drawn[i - 1]);
            each[drawn[i]]++;
        }
    }
    for (int c = 0; c < CUSTOMERS; c++)
        statistic += pow(each[c] - TURNS * q, 2) / (TURNS * q * (1 - q));
    assert_true(statistic < chi_square_limit(CUSTOMERS));
    const double mean = sizes / TURNS, variance = squares / TURNS - mean * mean;
    assert_true(fabs(mean - CUSTOMERS * q) < 4.9 * sqrt(CUSTOMERS * q * (1 - q) / TURNS));
    assert_true(fabs(variance / (CUSTOMERS * q * (1 - q)) - 1) < 4.9 * sqrt(2.1 / TURNS)); /* binomial, not fixed */
    assert_int_equal(ft_sample_customers(&e.env, UINT64_C(1) << 32, CUSTOMERS, drawn), CUSTOMERS);
    for (uint32_t i = 0; i < CUSTOMERS; i++)
        assert_int_equal(drawn[i], i);
    assert_int_equal(ft_sample_customers(&e.env, UINT64_C(1) << 32, 0, drawn), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_small_sigma_fits_its_distribution),
        cmocka_unit_test(noise_large_sigma_has_the_right_moments),
        cmocka_unit_test(noise_uniform_is_uniform_at_any_bound),
        cmocka_unit_test(noise_is_new_each_time),
        cmocka_unit_test(noise_out_of_range_is_refused),
        cmocka_unit_test(sampler_draws_each_customer_with_probability_q),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
