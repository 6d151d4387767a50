/* What a statistics task measures, against sums worked by hand, and its intervals against noise drawn many times. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/env.h"
#include "common/plan/dyadic.h"
#include "common/plan/measured.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TASK(measures, privacy)                                                                              \
    "version: 1\nkind: statistics\ntask: sample\ntitle: A sample\npurpose: measure/propensity\n"             \
    "owner: Central data team\nexpires: 2027-12-31\nreview: 2027-06-30\nunit: customer\nexamples:\n"         \
    "  sql: SELECT customer_id, a, b FROM t\n  features:\n"                                                  \
    "    - {name: a, min: 0, max: 8}\n    - {name: b, min: -1, max: 1}\n"                                    \
    "  rows_per_customer: 3\n  rows_max: 1000\nstatistics:\n" measures privacy                               \
    "cohort: {n_min: 6, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n"        \
    "         suite: aes-256-ctr, lane_bits: 64}\n"                                                          \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"
#define NOISY                                                                                                \
    "privacy:\n  noise: discrete-gaussian\n  noise_multiplier: 2\n  delta: 1.0e-5\n  m_stores: 1\n"          \
    "  expected_customers: 6000\n  shops: [{shop: a, customers: 1000}, {shop: b, customers: 1000},\n"        \
    "          {shop: c, customers: 1000}, {shop: d, customers: 1000}, {shop: e, customers: 1000},\n"        \
    "          {shop: f, customers: 1000}]\n"
#define ALL_MEASURES                                                                                         \
    "  - {measure: mean, feature: b, weight: 2}\n"                                                           \
    "  - {measure: deviation, feature: a}\n"                                                                 \
    "  - {measure: histogram, feature: a, edges: [2, 5]}\n"                                                  \
    "  - {measure: quantiles, feature: a, at: [0.25, 0.5, 0.9], bins: 8}\n"                                  \
    "  - {measure: cross, feature: a, bins: 2, with: b, with_bins: 2}\n"
enum { MEAN = 1, DEVIATION, HISTOGRAM, QUANTILES, CROSS };

static void
read_task(const char *yaml, struct ft_task *task)
{
    static const uint8_t deployment[16];
    struct ft_error err = { 0 };

    if (ft_task_from_yaml(FT_BYTES(yaml, strlen(yaml)), "t.yaml", deployment, task, &err) != FT_OK ||
        ft_plan_privacy_derive(task, &err) != FT_OK)
        fail_msg("%s", err.text);
}

/* Without noise a feature may be in one table only; that does not concern what a block's sums and figures are. */
static void
read_plain(struct ft_task *task)
{
    read_task(TASK(ALL_MEASURES, NOISY), task);
    task->noise = 0;
}

/* Ten customers with one row each: a 0.5 1 1.5 2 3 4 5 6 7 8 and b -1 in the first five, else 1. */
static const float ten[10][2] = { { 0.5f, -1 }, { 1, -1 }, { 1.5f, -1 }, { 2, -1 }, { 3, -1 },
                                  { 4, 1 },     { 5, 1 },  { 6, 1 },     { 7, 1 },  { 8, 1 } };

static void
add_ten(const struct ft_measure_plan *plan, double *sums)
{
    memset(sums, 0, plan->cells * sizeof *sums);
    for (int i = 0; i < 10; i++)
        ft_measure_add(plan, ten[i], 1, sums);
}

/* Every cell of ten customers' sums is what a pencil gives: an end of a cell counts above, the last end inside. */
static void
measures_of_ten_customers_are_those_of_a_pencil(void **state)
{
    struct ft_task task;
    struct ft_measure_plan plan;
    double sums[64];
    (void)state;

    read_plain(&task);
    assert_int_equal(ft_measure_plan_init(&plan, &task), FT_OK);
    assert_int_equal(plan.cells, 1 + 1 + 2 + 3 + 14 + 4);
    assert_int_equal(plan.cells, ft_measure_cells(&task));
    add_ten(&plan, sums);
    /* count; sum of u = (b + 1)/2; sum of a/8 and of (a/4 - 1)^2 */
    const double squares = (0.875 * 0.875) + (0.75 * 0.75) + (0.625 * 0.625) + 0.25 + 0.0625 + 0 + 0.0625 + 0.25 +
                           0.5625 + 1;
    const double want[25] = { 10, 5, 38.0 / 8, squares, 3, 3, 4,
                              /* 2 cells, 4, 8 of width 1 */
                              5, 5, 3, 2, 2, 3, 1, 2, 1, 1, 1, 1, 1, 2,
                              /* a below 4 or not, b below 0 or not */
                              5, 0, 0, 5 };
    for (size_t i = 0; i < 25; i++)
        if (fabs(sums[i] - want[i]) > 1e-9)
            fail_msg("cell %zu is %g, expected %g", i, sums[i], want[i]);
    assert_int_equal(ft_measured_check(&plan, sums, 10), FT_OK);
    ft_measure_plan_clear(&plan);
    ft_task_clear(&task);
}

/* Several rows of one customer make one customer: the mean of their values. */
static void
measures_count_a_customer_once_however_many_rows(void **state)
{
    const float rows[4 * 2] = { 1, -1, 1, -1, 7, 1, 3, 1 };
    struct ft_task task;
    struct ft_measure_plan plan;
    double v[64];
    (void)state;

    read_plain(&task);
    assert_int_equal(ft_measure_plan_init(&plan, &task), FT_OK);
    ft_measure_values(&plan, rows, 4, v);
    const double want[] = { 1, 0.5, 0.375, (0.5625 * 2 + 0.5625 + 0.0625) / 4, 0.5, 0.25, 0.25, 0.75, 0.25 };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_true(fabs(v[i] - want[i]) < 1e-12);
    ft_measure_plan_clear(&plan);
    ft_task_clear(&task);
}

/* Whatever the rows and the weights, a vector has length 1 at most; a block's part of it is its weight's. */
static void
measures_make_vectors_of_length_one_at_most(void **state)
{
    struct ft_env_seeded random;
    struct ft_task task;
    struct ft_measure_plan plan;
    double values[64], longest = 0;
    float v[64], rows[3 * 2];
    (void)state;

    ft_env_seeded_init(&random, 7, 1);
    read_task(TASK("  - {measure: count, weight: 0.5}\n" ALL_MEASURES, NOISY), &task);
    assert_int_equal(ft_measure_plan_init(&plan, &task), FT_OK);
    assert_true(fabs(plan.blocks[0].scale - sqrt(0.5 / 6.5)) < 1e-12);
    assert_true(fabs(plan.blocks[MEAN].scale - sqrt(2 / 6.5)) < 1e-12);
    assert_true(fabs(plan.blocks[DEVIATION].scale - sqrt(1 / 6.5 / 2)) < 1e-12);
    assert_true(fabs(plan.blocks[QUANTILES].scale - sqrt(1 / 6.5 / 3)) < 1e-12);
    for (int trial = 0; trial < 2000; trial++) {
        const size_t n = 1 + ft_random_below(&random.env, 3);
        for (size_t i = 0; i < 6; i++) /* out of range too, and at the corners */
            rows[i] = (float)ft_random_below(&random.env, 13) - 2 - (i % 2 == 1 ? 4 : 0);
        ft_measure_values(&plan, rows, n, values);
        ft_measure_vector(&plan, values, v);
        double square = 0;
        for (size_t i = 0; i < plan.cells; i++)
            square += (double)v[i] * (double)v[i];
        longest = fmax(longest, square);
    }
    assert_true(longest <= 1 + 1e-6);
    assert_true(longest > 0.95); /* the corners nearly reach it: nothing of the noise is wasted */
    ft_measure_plan_clear(&plan);
    ft_task_clear(&task);
}

/* Figures of the ten: mean and variance of the population, quantiles in the cell that holds the tenth in question. */
static void
figures_without_noise_are_exact(void **state)
{
    struct ft_task task;
    struct ft_measured m;
    double sums[64];
    struct ft_model_found found = { sums, 25, 6, 0, 1 };
    struct ft_figure f, deviation, q[3];
    (void)state;

    read_plain(&task);
    assert_int_equal(ft_measured_init(&m, &task, &found, NULL), FT_OK);
    add_ten(&m.plan, sums);
    f = ft_measured_count(&m);
    assert_true(f.estimate.value == 10 && f.estimate.low == 10 && f.estimate.high == 10 && !f.withheld);
    f = ft_measured_mean(&m, &m.plan.blocks[MEAN]);
    assert_true(fabs(f.estimate.value) < 1e-12);
    f = ft_measured_mean(&m, &m.plan.blocks[DEVIATION]);
    assert_true(fabs(f.estimate.value - 3.8) < 1e-12 && f.estimate.low == f.estimate.value && f.estimate.high == f.estimate.value);
    /* squares: 0.25 1 2.25 4 9 16 25 36 49 64 = 206.5; 20.65 - 14.44 */
    f = ft_measured_variance(&m, &m.plan.blocks[DEVIATION], &deviation);
    assert_true(fabs(f.estimate.value - 6.21) < 1e-9 && fabs(f.estimate.low - 6.21) < 1e-9);
    assert_true(fabs(deviation.estimate.value - sqrt(6.21)) < 1e-9);
    assert_int_equal(ft_measured_quantiles(&m, &m.plan.blocks[QUANTILES], q), FT_OK);
    /* 2.5 of ten: in [1, 2), which holds the second and third; 5: the one in [3, 4); 9: in [7, 8] */
    assert_true(q[0].estimate.low == 1 && q[0].estimate.high == 2 && q[0].estimate.value == 1.75);
    assert_true(q[1].estimate.low == 3 && q[1].estimate.high == 4 && q[1].estimate.value == 4);
    assert_true(q[2].estimate.low == 7 && q[2].estimate.high == 8 && q[2].estimate.value == 7.5);
    ft_measured_clear(&m);
    ft_task_clear(&task);
}

/* What is below the minimum crowd goes, and so does what would tell it: the next smallest cell where only one was
 * hidden, both halves of a node, and all of it when there are too few in all. */
static void
counts_of_too_few_cannot_be_had_by_subtraction(void **state)
{
    struct ft_task task;
    struct ft_measure_plan plan;
    double sums[64];
    struct ft_model_found found = { sums, 25, 6, 0, 4 };
    struct ft_measured m;
    struct ft_figure q[3];
    (void)state;

    read_plain(&task);
    assert_int_equal(ft_measure_plan_init(&plan, &task), FT_OK);
    add_ten(&plan, sums);
    const double *cells = sums + plan.blocks[HISTOGRAM].at, *tree = sums + plan.blocks[QUANTILES].at;
    sums[plan.blocks[HISTOGRAM].at] = 5; /* 5, 1, 4: the 1 alone would be told by the others */
    sums[plan.blocks[HISTOGRAM].at + 1] = 1;
    sums[plan.blocks[HISTOGRAM].at + 2] = 4;
    ft_measured_withhold(&plan, sums, 4);
    assert_true(cells[0] == 5 && cells[1] == FT_MEASURED_WITHHELD && cells[2] == FT_MEASURED_WITHHELD);
    assert_true(tree[0] == 5 && tree[1] == 5); /* 2 halves of 5; below them 3 and 2, 2 and 3: hidden, and all below */
    for (size_t i = 2; i < 14; i++)
        assert_true(tree[i] == FT_MEASURED_WITHHELD);
    assert_int_equal(ft_measured_init(&m, &task, &found, NULL), FT_OK);
    assert_true(ft_measured_cell(&m, &plan.blocks[HISTOGRAM], 1).withheld);
    assert_false(ft_measured_cell(&m, &plan.blocks[HISTOGRAM], 0).withheld);
    assert_int_equal(ft_measured_quantiles(&m, &plan.blocks[QUANTILES], q), FT_OK);
    assert_true(q[0].estimate.low == 0 && q[0].estimate.high == 4 && q[2].estimate.low == 4);
    add_ten(&plan, sums);
    ft_measured_withhold(&plan, sums, 11);
    for (size_t i = 0; i < plan.cells; i++)
        assert_true(sums[i] == FT_MEASURED_WITHHELD);
    assert_true(ft_measured_count(&m).withheld && ft_measured_mean(&m, &plan.blocks[MEAN]).withheld);
    ft_measured_clear(&m);
    ft_measure_plan_clear(&plan);
    ft_task_clear(&task);
}

/* Sums that no customers can have are refused. */
static void
sums_that_no_rows_lead_to_are_refused(void **state)
{
    struct ft_task task;
    struct ft_measure_plan plan;
    double sums[64];
    const struct {
        size_t at;
        double value;
    } bad[] = { { 0, 11 }, { 1, -0.1 }, { 1, 10.1 }, { 3, 0.01 }, { 4, 4 }, { 7, 6 }, { 15, 9 }, { 21, 6 } };
    (void)state;

    read_plain(&task);
    assert_int_equal(ft_measure_plan_init(&plan, &task), FT_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        add_ten(&plan, sums);
        sums[bad[i].at] = bad[i].value;
        if (ft_measured_check(&plan, sums, 10) != FT_ERR_VERIFY)
            fail_msg("cell %zu may be %g", bad[i].at, bad[i].value);
    }
    add_ten(&plan, sums);
    assert_int_equal(ft_measured_check(&plan, sums, 0), FT_ERR_VERIFY);
    ft_measure_plan_clear(&plan);
    ft_task_clear(&task);
}

/* ---- dyadic counts ---- */

/* The least-squares leaves by Gaussian elimination on the normal equations, and the covariance's quadratic form. */
static void
solve(uint32_t levels, const double *nodes, double root, double root_weight, double *leaves, const double *functional,
      double *variance)
{
    const size_t n = (size_t)1 << levels;
    double a[16][18] = { { 0 } };

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            for (uint32_t l = 0; l <= levels; l++) /* a node above both counts for both */
                if (i >> (levels - l) == j >> (levels - l))
                    a[i][j] += l == 0 ? root_weight : 1;
        for (uint32_t l = 0; l <= levels; l++)
            a[i][n] += l == 0 ? root_weight * root : nodes[ft_measure_level(l) + (i >> (levels - l))];
        a[i][n + 1] = functional[i];
    }
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < n; i++) {
            const double by = i == k ? 0 : a[i][k] / a[k][k];
            for (size_t j = k; j < n + 2 && i != k; j++)
                a[i][j] -= by * a[k][j];
        }
    *variance = 0;
    for (size_t i = 0; i < n; i++) {
        leaves[i] = a[i][n] / a[i][i];
        *variance += functional[i] * a[i][n + 1] / a[i][i];
    }
}

/* The fit in two passes is the least-squares fit, and its variance the covariance's, to the last digits; of one level
 * by hand: each half takes root_weight / (1 + 2 root_weight) of what is left over. */
static void
dyadic_counts_fit_like_least_squares(void **state)
{
    struct ft_env_seeded random;
    (void)state;

    ft_env_seeded_init(&random, 5, 1);
    double one[2], room[8];
    ft_dyadic_fit(1, (const double[]){ 3, 4 }, 10, 2, one, room);
    assert_true(fabs(one[0] - (3 + 3 * 0.4)) < 1e-12 && fabs(one[1] - (4 + 3 * 0.4)) < 1e-12);
    for (uint32_t levels = 1; levels <= 4; levels++)
        for (int trial = 0; trial < 50; trial++) {
            double nodes[30], functional[16], leaves[16], want[16], space[64], variance;
            for (size_t i = 0; i < 30; i++)
                nodes[i] = (double)ft_random_below(&random.env, 1000) - 300;
            for (size_t i = 0; i < 16; i++)
                functional[i] = (double)ft_random_below(&random.env, 9) - 4;
            const double root = (double)ft_random_below(&random.env, 3000),
                         weight = (double)ft_random_below(&random.env, 4);
            ft_dyadic_fit(levels, nodes, root, weight, leaves, space);
            solve(levels, nodes, root, weight, want, functional, &variance);
            for (size_t i = 0; i < (size_t)1 << levels; i++)
                assert_true(fabs(leaves[i] - want[i]) < 1e-8);
            assert_true(fabs(ft_dyadic_variance(levels, weight, functional, space) - variance) < 1e-9 * (1 + variance));
        }
}

/* ---- intervals ---- */

static double
gauss(struct ft_env_seeded *random)
{
    const double u = ((double)ft_random_below(&random->env, 1000000) + 0.5) / 1e6,
                 v = (double)ft_random_below(&random->env, 1000000) / 1e6;
    return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* 600 customers, a = 8 t^2 for t spread over 0 .. 1, b = 1 - 2 t. */
static void
truth_of(const struct ft_measure_plan *plan, double *sums)
{
    double plain[64] = { 0 };

    for (int i = 0; i < 600; i++) {
        const double t = (i + 0.5) / 600;
        const float x[2] = { (float)(8 * t * t), (float)(1 - 2 * t) };
        ft_measure_add(plan, x, 1, plain);
    }
    for (uint32_t k = 0; k < plan->count; k++) {
        const struct ft_measure_block *b = &plan->blocks[k];
        const bool centred = b->kind == FT_MEASURE_MEAN || b->kind == FT_MEASURE_DEVIATION;
        for (size_t c = b->at; c < b->at + b->cells; c++)
            sums[c] = centred ? 2 * plain[c] - 600 : plain[c];
    }
}

static bool
holds(const struct ft_figure *f, double truth)
{
    return f->estimate.low <= truth && truth <= f->estimate.high;
}

/* Noise drawn 3,000 times: each kind of figure lies in its interval 95 times of 100, a quantile at least as often; a
 * count and its ends are never below 0, what the noise left is the same on average as the truth. */
static void
intervals_hold_what_they_say(void **state)
{
    const int draws = 3000;
    struct ft_env_seeded random;
    struct ft_task task;
    struct ft_measured m;
    double truth[64], sums[64], mean_noisy = 0;
    struct ft_model_found found = { sums, 25, 6, 6000, 2 };
    int count = 0, mean = 0, variance = 0, cell = 0, quantiles[3] = { 0 };
    (void)state;

    ft_env_seeded_init(&random, 3, 1);
    read_task(TASK(ALL_MEASURES, NOISY), &task);
    assert_int_equal(ft_measured_init(&m, &task, &found, NULL), FT_OK);
    truth_of(&m.plan, truth);
    /* z_eff 2 from 3 shares; 6 in the sum: sqrt(2) times that. Weights 1 of 7, so sqrt(7) times 2 sqrt(2). */
    assert_true(fabs(ft_measured_block_noise(&m, &m.plan.blocks[0]) - 2 * sqrt(14)) < 0.02);
    const double m_of_b = 0, m_of_a = 8.0 / 3, v_of_a = 64 * (1.0 / 5 - 1.0 / 9);
    for (int i = 0; i < draws; i++) {
        struct ft_figure f, q[3];
        for (uint32_t k = 0; k < m.plan.count; k++)
            for (size_t c = 0; c < m.plan.blocks[k].cells; c++)
                sums[m.plan.blocks[k].at + c] = truth[m.plan.blocks[k].at + c] +
                                                ft_measured_block_noise(&m, &m.plan.blocks[k]) * gauss(&random);
        f = ft_measured_count(&m);
        count += holds(&f, 600);
        f = ft_measured_mean(&m, &m.plan.blocks[MEAN]);
        mean += holds(&f, m_of_b);
        f = ft_measured_mean(&m, &m.plan.blocks[DEVIATION]);
        mean += holds(&f, m_of_a);
        f = ft_measured_variance(&m, &m.plan.blocks[DEVIATION], NULL);
        variance += holds(&f, v_of_a);
        f = ft_measured_cell(&m, &m.plan.blocks[CROSS], 0); /* nobody: a below 4 and b below 0 only for t > 0.5 */
        cell += f.withheld || holds(&f, truth[m.plan.blocks[CROSS].at]);
        assert_true(f.withheld || (f.estimate.low >= 0 && f.estimate.value >= 0));
        f = ft_measured_cell(&m, &m.plan.blocks[HISTOGRAM], 0);
        mean_noisy += f.noisy / draws;
        assert_int_equal(ft_measured_quantiles(&m, &m.plan.blocks[QUANTILES], q), FT_OK);
        const double p[3] = { 0.25, 0.5, 0.9 };
        for (int k = 0; k < 3; k++) {
            quantiles[k] += holds(&q[k], 8 * p[k] * p[k]);
            assert_true(q[k].estimate.low <= q[k].estimate.value && q[k].estimate.value <= q[k].estimate.high);
            assert_true(q[k].estimate.high - q[k].estimate.low <= 4); /* and it does say something */
        }
    }
    const int least = (int)(0.938 * draws), most = (int)(0.962 * draws); /* 3 standard deviations */
    assert_in_range(count, least, most);
    assert_in_range(mean / 2, least, most);
    assert_in_range(variance, least, (int)(0.985 * draws));
    assert_true(cell >= least);
    for (int k = 0; k < 3; k++)
        assert_true(quantiles[k] >= least);
    assert_true(fabs(mean_noisy - truth[m.plan.blocks[HISTOGRAM].at]) < 5 * 8 / sqrt(draws));
    ft_measured_clear(&m);
    ft_task_clear(&task);
}

/* A sum in which the noise hides how many there are leaves means and quantiles open, over their whole range. */
static void
figures_of_too_few_for_the_noise_are_open(void **state)
{
    struct ft_task task;
    struct ft_measured m;
    double sums[64] = { 0 };
    struct ft_model_found found = { sums, 25, 6, 6000, 2 };
    struct ft_figure f, q[3];
    (void)state;

    read_task(TASK(ALL_MEASURES, NOISY), &task);
    assert_int_equal(ft_measured_init(&m, &task, &found, NULL), FT_OK);
    sums[0] = 20; /* of noise 7.5 */
    f = ft_measured_mean(&m, &m.plan.blocks[DEVIATION]);
    assert_true(isnan(f.estimate.value) && f.estimate.low == 0 && f.estimate.high == 8 && !f.withheld);
    f = ft_measured_variance(&m, &m.plan.blocks[DEVIATION], NULL);
    assert_true(isnan(f.estimate.value) && f.estimate.low == 0 && f.estimate.high == 16);
    assert_int_equal(ft_measured_quantiles(&m, &m.plan.blocks[QUANTILES], q), FT_OK);
    assert_true(isnan(q[1].estimate.value) && q[1].estimate.low == 0 && q[1].estimate.high == 8);
    sums[0] = 1.5; /* below the minimum crowd */
    assert_true(ft_measured_count(&m).withheld);
    assert_true(ft_measured_mean(&m, &m.plan.blocks[MEAN]).withheld);
    ft_measured_clear(&m);
    found.count = 24; /* another task's */
    assert_int_equal(ft_measured_init(&m, &task, &found, NULL), FT_ERR_ARGUMENT);
    ft_task_clear(&task);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_of_ten_customers_are_those_of_a_pencil),
        cmocka_unit_test(measures_count_a_customer_once_however_many_rows),
        cmocka_unit_test(measures_make_vectors_of_length_one_at_most),
        cmocka_unit_test(figures_without_noise_are_exact),
        cmocka_unit_test(counts_of_too_few_cannot_be_had_by_subtraction),
        cmocka_unit_test(sums_that_no_rows_lead_to_are_refused),
        cmocka_unit_test(dyadic_counts_fit_like_least_squares),
        cmocka_unit_test(intervals_hold_what_they_say),
        cmocka_unit_test(figures_of_too_few_for_the_noise_are_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
