/* Tasks of kind statistics: what they may say, and what is told with its line when they do not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "task_sample.h"

/* The sample's hash as it was before tasks had kinds. */
#define GOLDEN "b620715e1072548b8339aa6bebb02738809324b3fecf3d3060226696b39dec03"

/* Line 13 is the first feature, 18 the first measure. */
#define MEASURED                                                                                             \
    "version: 1\n"                                                                                           \
    "kind: statistics\n"                                                                                     \
    "task: sample\n"                                                                                         \
    "title: A sample\n"                                                                                      \
    "purpose: measure/propensity\n"                                                                          \
    "owner: Central data team\n"                                                                             \
    "expires: 2027-12-31\n"                                                                                  \
    "review: 2027-06-30\n"                                                                                   \
    "unit: customer\n"                                                                                       \
    "examples:\n"                                                                                            \
    "  sql: SELECT customer_id, a, b FROM t\n"                                                               \
    "  features:\n"                                                                                          \
    "    - {name: a, min: 0, max: 3.5}\n"                                                                    \
    "    - {name: b, min: -1, max: 1}\n"                                                                     \
    "  rows_per_customer: 2\n"                                                                               \
    "  rows_max: 1000\n"                                                                                     \
    "statistics:\n"                                                                                          \
    "  - {measure: histogram, feature: a, bins: 10}\n"                                                       \
    "  - {measure: histogram, feature: b, edges: [-0.5, 0, 0.25]}\n"                                         \
    "  - {measure: mean, feature: a, weight: 2}\n"                                                           \
    "  - {measure: deviation, feature: b}\n"                                                                 \
    "  - {measure: quantiles, feature: a, at: [0.25, 0.5]}\n"                                                \
    "  - {measure: cross, feature: a, bins: 2, with: b, with_edges: [0]}\n"                                  \
    "privacy: {noise: discrete-gaussian, epsilon: 8, delta: 1.0e-5, expected_customers: 900, m_stores: 1, " \
    "shops: [{shop: a, customers: 150}, {shop: b, customers: 150}, {shop: c, customers: 150}, {shop: d, customers: 150}, {shop: e, customers: 150}, {shop: f, customers: 150}]}\n" \
    "cohort: {n_min: 6, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n"        \
    "         suite: aes-256-ctr, lane_bits: 32}\n"                                                          \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"

static const char *
measured_with(const char *from, const char *to)
{
    static char text[sizeof MEASURED + 70000];
    const char *at = strstr(MEASURED, from);
    assert(at != NULL);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - MEASURED), MEASURED, to, at + strlen(from));
    return text;
}

/* All that was written is read, with the defaults: weight 1, 64 cells for quantiles; nothing of a model is there. */
static void
statistics_task_is_read_with_its_defaults(void **state)
{
    struct ft_findings findings;
    struct ft_task t;
    (void)state;

    if (sample_read(MEASURED, &t, &findings) != FT_OK)
        fail_msg("%s", findings.list[0].text);
    assert_int_equal(t.kind, FT_TASK_STATISTICS);
    assert_int_equal(t.measure_count, 6);
    assert_int_equal(t.measures[0].kind, FT_MEASURE_HISTOGRAM);
    assert_string_equal(t.measures[0].axes[0].feature, "a");
    assert_int_equal(t.measures[0].axes[0].bins, 10);
    assert_true(t.measures[0].weight == 1 && t.measures[2].weight == 2);
    assert_int_equal(t.measures[1].axes[0].edge_count, 3);
    assert_true(t.measures[1].axes[0].edges[2] == 0.25);
    assert_int_equal(t.measures[4].axes[0].bins, 64);
    assert_int_equal(t.measures[4].quantile_count, 2);
    assert_string_equal(t.measures[5].axes[1].feature, "b");
    assert_int_equal(t.measures[5].axes[1].edge_count, 1);
    assert_int_equal(ft_task_parameters(&t), 0);
    assert_string_equal(t.label, "");
    assert_int_equal(t.rounds, 0);
    ft_task_clear(&t);
}

/* There and back, byte for byte; every allocation that fails on the way is a clean error; no bit passes for another
 * task of the same hash. */
static void
statistics_task_survives_the_wire(void **state)
{
    struct ft_findings findings;
    struct ft_task t, back;
    struct ft_buf bytes = { 0 }, again = { 0 };
    (void)state;

    assert_int_equal(sample_read(MEASURED, &t, &findings), FT_OK);
    assert_int_equal(ft_task_encode(&t, &bytes), FT_OK);
    assert_int_equal(ft_task_decode(ft_buf_bytes(&bytes), &back, NULL), FT_OK);
    assert_int_equal(ft_task_encode(&back, &again), FT_OK);
    assert_int_equal(bytes.size, again.size);
    assert_memory_equal(bytes.data, again.data, bytes.size);
    assert_int_equal(back.measure_count, 6);
    assert_true(back.measures[5].axes[1].edges[0] == 0);
    ft_task_clear(&back);
    const size_t live = ft_alloc_live();
    for (uint64_t nth = 1;; nth++) {
        ft_alloc_fail_at(nth, false);
        const enum ft_status st = ft_task_decode(ft_buf_bytes(&bytes), &back, NULL);
        if (!ft_alloc_fault_fired())
            break;
        assert_true(st == FT_ERR_NOMEM || st == FT_ERR_FORMAT);
        assert_int_equal(ft_alloc_live(), live);
    }
    ft_alloc_fail_at(0, false);
    ft_task_clear(&back);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (ft_task_decode(ft_buf_bytes(&bytes), &back, NULL) == FT_OK)
            ft_task_clear(&back);
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    ft_buf_clear(&bytes);
    ft_buf_clear(&again);
    ft_task_clear(&t);
}

/* A training task's canonical bytes hold nothing of all this: they end where they ended before there were kinds, and
 * `kind: train` says what leaving it out says. */
static void
training_task_has_the_bytes_it_had(void **state)
{
    struct ft_findings findings;
    struct ft_task t;
    struct ft_buf bytes = { 0 }, said = { 0 };
    uint8_t hash[32];
    char hex[65];
    (void)state;

    assert_int_equal(sample_read(TASK_SAMPLE, &t, &findings), FT_OK);
    assert_int_equal(ft_task_encode(&t, &bytes), FT_OK);
    ft_task_hash(ft_buf_bytes(&bytes), hash);
    assert_string_equal(ft_hex(hex, hash, 32), GOLDEN);
    ft_task_clear(&t);
    assert_int_equal(sample_read(sample_with("task: sample\n", "task: sample\nkind: train\n"), &t, &findings), FT_OK);
    assert_int_equal(ft_task_encode(&t, &said), FT_OK);
    assert_int_equal(said.size, bytes.size);
    assert_memory_equal(said.data, bytes.data, bytes.size);
    ft_task_clear(&t);
    ft_buf_clear(&bytes);
    ft_buf_clear(&said);
}

/* Each fault is told at its line and column, in words that name what was found and what is wanted. */
static void
faults_of_a_statistics_task_are_told_where_they_are(void **state)
{
    static const struct {
        const char *from, *to, *where, *words;
    } faults[] = {
        { "edges: [-0.5, 0, 0.25]", "edges: [-0.5, 0, 2]", "t.yaml:19:", "edge 2 lies outside the declared range of b, -1 to 1" },
        { "edges: [-0.5, 0, 0.25]", "edges: [0, -0.5]", "t.yaml:19:", "edges must ascend" },
        { "edges: [-0.5, 0, 0.25]", "edges: [-1, 0]", "t.yaml:19:", "an end of the declared range of b" },
        { "edges: [-0.5, 0, 0.25]", "edges: [.nan]", "t.yaml:19:", "'.nan', expected a number" },
        { "edges: [-0.5, 0, 0.25]", "edges: [0], bins: 4", "t.yaml:19:5", "needs one of bins and edges" },
        { "bins: 10", "bins: 0", "t.yaml:18:", "'bins' is '0', expected a whole number from 2 to 4096" },
        { "bins: 10", "bins: 4000000", "t.yaml:18:", "'bins' is '4000000'" },
        { "bins: 10", "bins: auto", "t.yaml:18:", "'bins' is" },
        { ", bins: 10", "", "t.yaml:18:5", "needs one of bins and edges" },
        { "bins: 10", "bins: 10, bounds: auto", "t.yaml:18:", "unknown key 'bounds'" },
        { "feature: a, bins: 10", "feature: c, bins: 10", "t.yaml:18:", "c is no feature of examples.features" },
        { "measure: mean, feature: a, weight: 2", "measure: mean", "t.yaml:20:5", "a mean needs a feature" },
        { "weight: 2", "weight: 0", "t.yaml:20:", "'weight' is '0'" },
        { "measure: mean, feature: a", "measure: mean, feature: a, bins: 3", "t.yaml:20:", "a mean has no cells" },
        { "measure: mean, feature: a", "measure: deviation, feature: b", "t.yaml:21:5", "deviation of b is measured already, by entry 3" },
        { "{measure: deviation, feature: b}", "{measure: mean, feature: a}", "t.yaml:21:5", "mean of a is measured already, by entry 3" },
        { "at: [0.25, 0.5]", "at: [0.5, 0.25]", "t.yaml:22:", "each more than the one before" },
        { "at: [0.25, 0.5]", "at: [0, 1]", "t.yaml:22:", "quantile 0: expected more than 0" },
        { ", at: [0.25, 0.5]", "", "t.yaml:22:5", "0 quantiles" },
        { "at: [0.25, 0.5]", "at: [0.5], bins: 48", "t.yaml:22:", "a power of two" },
        { "with: b, with_edges: [0]", "with: a, with_bins: 2", "t.yaml:23:", "a cross table of a with itself" },
        { "bins: 2, with: b, with_edges: [0]", "bins: 4096, with: b, with_bins: 4096", "t.yaml:23:5", "16777216 cells" },
        { ", with: b, with_edges: [0]", "", "t.yaml:23:5", "a cross needs a with" },
        { "  features:\n", "  label: {column: y, min: 0, max: 1}\n  features:\n", "t.yaml:12:", "has no label" },
        { "privacy: {noise", "model: {kind: logistic}\nprivacy: {noise", "t.yaml:24:", "has no model" },
        { "purpose: measure/propensity", "purpose: train/propensity", "t.yaml:5:", "a purpose measure/..." },
        { "kind: statistics", "kind: sums", "t.yaml:2:", "'kind' is 'sums'" },
        { "{name: a, min: 0, max: 3.5}", "{name: a, bounds: auto}", "t.yaml:13:", "unknown key 'bounds'" },
        { "measure: deviation", "measure: variance", "t.yaml:21:", "'measure' is 'variance'" },
    };
    (void)state;

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct ft_findings findings;
        struct ft_error err = { 0 };
        struct ft_task t;
        bool told = false;
        char line[512];
        assert_int_equal(sample_read(measured_with(faults[i].from, faults[i].to), &t, &findings), FT_ERR_CONFIG);
        for (uint32_t k = 0; k < findings.total && k < sizeof findings.list / sizeof findings.list[0]; k++) {
            snprintf(line, sizeof line, "t.yaml:%u:%u: %s", findings.list[k].line, findings.list[k].column,
                     findings.list[k].text);
            told |= strncmp(line, faults[i].where, strlen(faults[i].where)) == 0 && strstr(line, faults[i].words) != NULL;
        }
        (void)!ft_findings_status(&findings, &err);
        if (!told)
            fail_msg("%s: expected %s %s, got %s", faults[i].to, faults[i].where, faults[i].words, err.text);
    }
}

/* A training task that names measures is refused; so is a task of statistics that names none. */
static void
kinds_do_not_mix(void **state)
{
    struct ft_findings findings;
    struct ft_task t;
    (void)state;

    assert_int_equal(sample_read(sample_with("model: {kind", "statistics: [{measure: count}]\nmodel: {kind"), &t, &findings),
                     FT_ERR_CONFIG);
    assert_int_equal(sample_read(MEASURED, &t, &findings), FT_OK);
    const uint32_t count = t.measure_count;
    struct ft_error err = { 0 };
    t.measure_count = 0;
    assert_int_equal(ft_task_validate(&t, &err), FT_ERR_CONFIG);
    t.measure_count = count;
    t.kind = 2;
    assert_int_equal(ft_task_validate(&t, &err), FT_ERR_CONFIG);
    t.kind = FT_TASK_TRAIN;
    assert_int_equal(ft_task_validate(&t, &err), FT_ERR_CONFIG);
    t.kind = FT_TASK_STATISTICS;
    t.rounds = 3;
    assert_int_equal(ft_task_validate(&t, &err), FT_ERR_CONFIG);
    ft_task_clear(&t);
}

/* The template lacks only what a person must decide. */
static void
statistics_template_lacks_only_the_persons_lines(void **state)
{
    static const char *const lines[][2] = { { "title:  ", "title: T" },
                                            { "purpose:  ", "purpose: measure/demand" },
                                            { "owner:  ", "owner: O" },
                                            { "expires:  ", "expires: 2027-12-31" },
                                            { "review:  ", "review: 2027-06-30" } };
    struct ft_findings findings;
    char text[8192], filled[8192];
    struct ft_task t;
    (void)state;

    assert_int_equal(sample_read(ft_task_statistics_template(), &t, &findings), FT_ERR_CONFIG);
    assert_int_equal(findings.total, 5);
    snprintf(text, sizeof text, "%s", ft_task_statistics_template());
    for (size_t i = 0; i < 5; i++) {
        const char *at = strstr(text, lines[i][0]), *end = at != NULL ? strchr(at, '\n') : NULL;
        assert_non_null(end);
        snprintf(filled, sizeof filled, "%.*s%s%s", (int)(at - text), text, lines[i][1], end);
        memcpy(text, filled, sizeof text);
    }
    if (sample_read(text, &t, &findings) != FT_OK)
        fail_msg("%u: %s", findings.list[0].line, findings.list[0].text);
    ft_task_clear(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_task_is_read_with_its_defaults),
        cmocka_unit_test(statistics_task_survives_the_wire),
        cmocka_unit_test(training_task_has_the_bytes_it_had),
        cmocka_unit_test(faults_of_a_statistics_task_are_told_where_they_are),
        cmocka_unit_test(kinds_do_not_mix),
        cmocka_unit_test(statistics_template_lacks_only_the_persons_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
