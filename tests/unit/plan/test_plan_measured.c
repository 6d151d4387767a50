/* What is read from released sums: nothing that was to be withheld, and intervals that hold noise and
 * sampling. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/plan/dyadic.h"
#include "common/plan/measured.h"
#include "common/plan/privacy_plan.h"

#include <math.h>
#include <string.h>

#define W     FT_MEASURED_WITHHELD
#define GROUP 10

#define HEAD                                                                                                 \
    "version: 1\nkind: statistics\ntask: sample\ntitle: A sample\npurpose: measure/propensity\nowner: Us\n"  \
    "expires: 2027-12-31\nreview: 2027-06-30\nunit: customer\nexamples:\n"                                   \
    "  sql: SELECT customer_id, a, b FROM t\n"                                                               \
    "  features:\n    - {name: a, min: 0, max: 8}\n    - {name: b, min: 0, max: 1}\n"                        \
    "  rows_per_customer: 1\n  rows_max: 1000\nstatistics:\n"
#define PLAIN "privacy: {noise: none}\n"
#define NOISE                                                                                                \
    "privacy: {noise: discrete-gaussian, epsilon: 8, delta: 1.0e-5, expected_customers: 90, m_stores: 1, "   \
    "shops: [{shop: a, customers: 150}, {shop: b, customers: 150}, {shop: c, customers: 150}, {shop: d, "    \
    "customers: 150}, {shop: e, customers: 150}, {shop: f, customers: 150}]}\n"
#define TAIL                                                                                                 \
    "cohort: {n_min: 6, n_cap: 6, h_min: 3, corrupted: 1, drop_permille: 170, sigma: 40, eta: 30,\n"         \
    "         suite: aes-256-ctr, lane_bits: 32}\n"                                                          \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"
#define HISTOGRAM "  - {measure: histogram, feature: a, bins: 4}\n"
#define QUANTILES "  - {measure: quantiles, feature: a, at: [0.1, 0.5, 0.9], bins: 8}\n"
#define MEAN_A    "  - {measure: mean, feature: a}\n"
#define MEAN      "  - {measure: mean, feature: b}\n"
#define DEVIATION "  - {measure: deviation, feature: b}\n"

static struct ft_task
task_of(const char *yaml)
{
    static const uint8_t deployment[16] = { 7 };
    struct ft_task task;
    struct ft_error err = { 0 };
    if (ft_task_from_yaml(FT_BYTES(yaml, strlen(yaml)), "t.yaml", deployment, &task, &err) != FT_OK ||
        (task.noise != 0 && ft_plan_privacy_derive(&task, &err) != FT_OK))
        fail_msg("%s", err.text);
    return task;
}

/* What is left of sums; and withholding once more leaves it as it is, which is what anybody can check. */
static void
left_of(const char *yaml, const double *given, const double *expected)
{
    struct ft_task task = task_of(yaml);
    struct ft_measure_plan plan;
    struct ft_error err = { 0 };
    double sums[64];

    assert_int_equal(ft_measure_plan_init(&plan, &task), FT_OK);
    memcpy(sums, given, plan.cells * sizeof *sums);
    ft_measured_withhold(&plan, sums, GROUP);
    for (size_t c = 0; c < plan.cells; c++)
        if (sums[c] != expected[c])
            fail_msg("cell %zu is %g, expected %g", c, sums[c], expected[c]);
    const struct ft_model_found found = { sums, plan.cells, 6, 0, GROUP };
    if (ft_measured_check_found(&task, &found, 6, &err) != FT_OK)
        fail_msg("%s", err.text);
    ft_measure_plan_clear(&plan);
    ft_task_clear(&task);
}

/* 100 customers of whom 3 have b: the mean would tell 3, and what it lacks of n as well. */
static void
a_mean_that_tells_a_small_count_is_withheld(void **state)
{
    (void)state;
    left_of(HEAD MEAN PLAIN TAIL, (double[]){ 100, 3 }, (double[]){ 100, W });
    left_of(HEAD MEAN PLAIN TAIL, (double[]){ 100, 97 }, (double[]){ 100, W });
    left_of(HEAD MEAN PLAIN TAIL, (double[]){ 100, 10 }, (double[]){ 100, 10 });
    left_of(HEAD MEAN PLAIN TAIL, (double[]){ 9, 5 }, (double[]){ W, W });
    left_of(HEAD DEVIATION PLAIN TAIL, (double[]){ 100, 3, 60 }, (double[]){ 100, W, W });
    /* 80 at one end, 3 in the middle, 17 at the other */
    left_of(HEAD DEVIATION PLAIN TAIL, (double[]){ 100, 18.5, 97 }, (double[]){ 100, 18.5, W });
    left_of(HEAD DEVIATION PLAIN TAIL, (double[]){ 100, 50, 40 }, (double[]){ 100, 50, 40 });
}

/* Two hidden cells hold 11 together; which of them holds how many a mean of the same feature would tell. */
static void
a_mean_does_not_solve_for_hidden_cells(void **state)
{
    (void)state;
    left_of(HEAD HISTOGRAM MEAN_A PLAIN TAIL, (double[]){ 100, 50, 39, 6, 5, 30 },
            (double[]){ 100, 50, 39, W, W, W });
    left_of(HEAD HISTOGRAM MEAN_A PLAIN TAIL, (double[]){ 100, 40, 30, 18, 12, 30 },
            (double[]){ 100, 40, 30, 18, 12, 30 });
    left_of(HEAD QUANTILES MEAN_A PLAIN TAIL,
            (double[]){ 100, 43, 57, 13, 30, 30, 27, 6, 7, 15, 15, 15, 15, 13, 14, 40 },
            (double[]){ 100, 43, 57, 13, 30, 30, 27, W, W, 15, 15, 15, 15, 13, 14, W });
}

/* The figures of a withheld sum are withheld, not worked out from what stands in its place. */
static void
figures_of_withheld_sums_are_withheld(void **state)
{
    struct ft_task task = task_of(HEAD DEVIATION PLAIN TAIL);
    double sums[] = { 100, 18.5, W };
    const struct ft_model_found found = { sums, 3, 6, 0, GROUP };
    struct ft_measured m;
    struct ft_figure deviation;

    (void)state;
    assert_int_equal(ft_measured_init(&m, &task, &found, NULL), FT_OK);
    assert_false(ft_measured_count(&m).withheld);
    assert_false(ft_measured_mean(&m, &m.plan.blocks[1]).withheld);
    assert_true(ft_measured_variance(&m, &m.plan.blocks[1], &deviation).withheld && deviation.withheld);
    sums[1] = W;
    assert_true(ft_measured_mean(&m, &m.plan.blocks[1]).withheld);
    ft_measured_clear(&m);
    ft_task_clear(&task);
}

static void
refused(const struct ft_task *task, const struct ft_model_found *found, const char *what)
{
    struct ft_error err = { 0 };
    assert_int_equal(ft_measured_check_found(task, found, 6, &err), FT_ERR_VERIFY);
    if (strstr(err.text, what) == NULL)
        fail_msg("%s, expected %s", err.text, what);
}

/* A cell of 3 beside min_group 10, a hidden cell that the others give back, more shops than were there. */
static void
a_result_that_breaks_its_own_terms_is_found(void **state)
{
    struct ft_task task = task_of(HEAD HISTOGRAM PLAIN TAIL), noisy = task_of(HEAD HISTOGRAM NOISE TAIL);
    double small[] = { 100, 3, 40, 37, 20 }, alone[] = { 100, W, 43, 37, 20 - 3 },
           good[] = { 100, W, W, 50, 30 }, more[] = { 100, 20, 20, 20, 101 };
    (void)state;
    refused(&task, &(struct ft_model_found){ small, 5, 6, 0, GROUP }, "sums[1]: 3 is told");
    refused(&task, &(struct ft_model_found){ alone, 5, 6, 0, GROUP }, "sums[4]: 17 is told");
    refused(&task, &(struct ft_model_found){ more, 5, 6, 0, GROUP }, "sums[4]: 101, of 100");
    refused(&task, &(struct ft_model_found){ good, 5, 7, 0, GROUP }, "shops: the file says 7");
    refused(&task, &(struct ft_model_found){ good, 5, 6, 90, GROUP }, "customers_declared: 90");
    refused(&task, &(struct ft_model_found){ good, 5, 6, 0, 1 }, "min_group: 1");
    refused(&task, &(struct ft_model_found){ good, 4, 6, 0, GROUP }, "sums: there are 4");
    refused(&noisy, &(struct ft_model_found){ small, 5, 6, 901, GROUP }, "customers_declared: 901");
    refused(&noisy, &(struct ft_model_found){ small, 5, 6, 0, GROUP }, "customers_declared: 0");
    assert_int_equal(
        ft_measured_check_found(&noisy, &(struct ft_model_found){ small, 5, 6, 900, GROUP }, 6, NULL), FT_OK);
    assert_int_equal(
        ft_measured_check_found(&task, &(struct ft_model_found){ good, 5, 6, 0, GROUP }, 6, NULL), FT_OK);
    ft_task_clear(&task);
    ft_task_clear(&noisy);
}

/* With q = 0.1 most of what a count may be off by is who was drawn; the reach is that of the widest interval.
 */
static void
what_a_count_is_off_by_holds_the_sampling(void **state)
{
    struct ft_task task = task_of(HEAD HISTOGRAM NOISE TAIL);
    double sums[] = { 90, 80, 4, 3, 3 };
    const struct ft_model_found found = { sums, 5, 6, 900, GROUP };
    struct ft_measured m;

    (void)state;
    assert_int_equal(ft_measured_init(&m, &task, &found, NULL), FT_OK);
    const struct ft_measure_block *b = &m.plan.blocks[1];
    const struct ft_figure f = ft_measured_cell(&m, b, 0);
    assert_true(fabs(m.q - 0.1) < 1e-6);
    assert_true(fabs(ft_measured_reach(&m, b) - (f.estimate.high - f.estimate.value)) < 1e-6);
    assert_true(ft_measured_reach(&m, b) >= 1.959 * sqrt(800 * (1 - m.q) / m.q));
    ft_measured_clear(&m);
    ft_task_clear(&task);
}

/* The short way to the variance of a rank is the long way through the whole tree. */
static void
the_variance_of_a_rank_is_that_of_the_whole_fit(void **state)
{
    const double roots[] = { 0, 0.3, 1, 7 }, points[] = { 0, 0.1, 0.5, 0.93, 1 };
    double functional[64], room[4 * 64];

    (void)state;
    for (uint32_t levels = 1; levels <= 6; levels++)
        for (size_t r = 0; r < 4; r++)
            for (size_t k = 0; k <= (size_t)1 << levels; k++)
                for (size_t p = 0; p < 5; p++) {
                    for (size_t i = 0; i < (size_t)1 << levels; i++)
                        functional[i] = (i < k ? 1 : 0) - points[p];
                    const double whole = ft_dyadic_variance(levels, roots[r], functional, room);
                    const double quick = ft_dyadic_rank_variance(levels, roots[r], k, points[p]);
                    if (!(fabs(whole - quick) < 1e-10 * (1 + whole)))
                        fail_msg("%u levels, root %g, k %zu, p %g: %.12g, expected %.12g", levels, roots[r],
                                 k, points[p], quick, whole);
                }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mean_that_tells_a_small_count_is_withheld),
        cmocka_unit_test(a_mean_does_not_solve_for_hidden_cells),
        cmocka_unit_test(figures_of_withheld_sums_are_withheld),
        cmocka_unit_test(a_result_that_breaks_its_own_terms_is_found),
        cmocka_unit_test(what_a_count_is_off_by_holds_the_sampling),
        cmocka_unit_test(the_variance_of_a_rank_is_that_of_the_whole_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
