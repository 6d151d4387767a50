/* What tasks that measure may ask for, and where it is told when they may not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "task_sample.h"

#include <string.h>

#define HEAD                                                                                                 \
    "version: 1\nkind: statistics\ntask: sample\ntitle: A sample\npurpose: measure/propensity\nowner: Us\n"  \
    "expires: 2027-12-31\nreview: 2027-06-30\nunit: customer\nexamples:\n"                                   \
    "  sql: SELECT customer_id, a, b, c FROM t\n"                                                            \
    "  features:\n    - {name: a, min: 0, max: 10}\n    - {name: b, min: 0, max: 1}\n"                       \
    "    - {name: c, min: -1, max: 1}\n  rows_per_customer: 1\n  rows_max: 1000\nstatistics:\n"
#define PLAIN "privacy: {noise: none}\n"
#define NOISE                                                                                                \
    "privacy: {noise: discrete-gaussian, epsilon: 8, delta: 1.0e-5, expected_customers: 900, m_stores: 1, "  \
    "shops: [{shop: a, customers: 150}, {shop: b, customers: 150}, {shop: c, customers: 150}, {shop: d, "    \
    "customers: 150}, {shop: e, customers: 150}, {shop: f, customers: 150}]}\n"
#define TAIL                                                                                                 \
    "cohort: {n_min: 6, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n"        \
    "         suite: aes-256-ctr, lane_bits: 32}\n"                                                          \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"

#define HISTOGRAM "  - {measure: histogram, feature: a, bins: 4}\n"
#define OTHER     "  - {measure: histogram, feature: a, edges: [1, 2]}\n"
#define QUANTILES "  - {measure: quantiles, feature: a, at: [0.5], bins: 8}\n"
#define CROSS     "  - {measure: cross, feature: b, bins: 2, with: a, with_edges: [5]}\n"
#define APART     "  - {measure: cross, feature: b, bins: 2, with: c, with_edges: [0]}\n"
#define MOMENTS   "  - {measure: deviation, feature: a}\n"

static struct ft_findings findings;

static void
good(const char *yaml)
{
    struct ft_task task;
    if (sample_read(yaml, &task, &findings) != FT_OK)
        fail_msg("%s", findings.list[0].text);
    ft_task_clear(&task);
}

static void
expect(const char *yaml, const char *what)
{
    struct ft_task task;
    char all[4096] = "";

    assert_int_equal(sample_read(yaml, &task, &findings), FT_ERR_CONFIG);
    for (size_t i = 0; i < findings.count; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%u:%u: %s\n", findings.list[i].line,
                 findings.list[i].column, findings.list[i].text);
    if (strstr(all, what) == NULL)
        fail_msg("found %s, expected %s", all, what);
}

/* Two tables of one feature would tell what each withholds: histogram - 40 30 - beside 43 57 of a tree. */
static void
without_noise_a_feature_is_cut_into_cells_once(void **state)
{
    (void)state;
    expect(HEAD HISTOGRAM QUANTILES PLAIN TAIL, "20:26: a is in the histogram of entry 1");
    expect(HEAD HISTOGRAM CROSS PLAIN TAIL, "20:43: a is in the histogram of entry 1");
    expect(HEAD HISTOGRAM OTHER PLAIN TAIL, "20:26: a is in the histogram of entry 1");
    expect(HEAD QUANTILES MOMENTS CROSS PLAIN TAIL, "21:43: a is in the quantiles of entry 1");
    expect(HEAD CROSS APART PLAIN TAIL, "20:22: b is in the cross of entry 1");
    good(HEAD HISTOGRAM APART MOMENTS PLAIN TAIL);
    good(HEAD QUANTILES MOMENTS PLAIN TAIL);
}

/* With it nothing is withheld for certain, and every table has its own noise. */
static void
with_noise_a_feature_is_cut_as_often_as_one_likes(void **state)
{
    (void)state;
    good(HEAD HISTOGRAM OTHER QUANTILES CROSS MOMENTS NOISE TAIL);
}

/* The same table twice is told once, as what it is. */
static void
a_figure_is_measured_once(void **state)
{
    (void)state;
    expect(HEAD HISTOGRAM HISTOGRAM PLAIN TAIL, "20:5: the histogram of a is measured already, by entry 1");
    assert_int_equal(findings.count, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_noise_a_feature_is_cut_into_cells_once),
        cmocka_unit_test(with_noise_a_feature_is_cut_as_often_as_one_likes),
        cmocka_unit_test(a_figure_is_measured_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
