/* Tasks that find segments: what they have, what they have not, and that both forms of a task say the same.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/file.h"
#include "common/plan/round_plan.h"
#include "task_sample.h"

#include <string.h>

static const char sample[] =
    "version: 1\ntask: sample\ntitle: A sample\npurpose: train/segmentation\nowner: Us\nexpires: 2027-12-31\n"
    "review: 2027-06-30\nunit: customer\nexamples:\n"
    "  sql: SELECT customer_id, split, a, b FROM t\n"
    "  features:\n    - {name: a, min: 0, max: 3.5}\n    - {name: b, min: -1, max: 1}\n"
    "  rows_per_customer: 1\n  rows_max: 1000\n"
    "model: {kind: kmeans, clusters: 4, min_cluster: 15}\n"
    "training: {rounds: 20, seed: 3}\n"
    "privacy: {noise: none}\n"
    "cohort: {n_min: 6, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n"
    "         suite: aes-256-ctr, lane_bits: 32}\n"
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n";
#define NOISE                                                                                                \
    "privacy: {noise: discrete-gaussian, epsilon: 8, delta: 1.0e-5, expected_customers: 900, m_stores: 1, "  \
    "shops: [{shop: a, customers: 150}, {shop: b, customers: 150}, {shop: c, customers: 150}, {shop: d, "    \
    "customers: 150}, {shop: e, customers: 150}, {shop: f, customers: 150}]"

static struct ft_findings findings;
static char text[8192];

/* The sample with one text put for another, up to two times. */
static const char *
with(const char *from, const char *to, const char *from2, const char *to2)
{
    const char *at = strstr(sample, from);
    char once[8192];

    assert_non_null(at);
    snprintf(once, sizeof once, "%.*s%s%s", (int)(at - sample), sample, to, at + strlen(from));
    if (from2 == NULL) {
        snprintf(text, sizeof text, "%s", once);
        return text;
    }
    at = strstr(once, from2);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - once), once, to2, at + strlen(from2));
    return text;
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

/* No label, no rates, no server; and what it has is in the signed bytes. */
static void
a_segments_task_is_read_and_encoded(void **state)
{
    struct ft_task task, again;
    struct ft_buf bytes = { 0 };
    struct ft_error err = { 0 };
    struct ft_round_plan plan;

    (void)state;
    assert_int_equal(sample_read(sample, &task, &findings), FT_OK);
    assert_int_equal(task.model, FT_MODEL_KMEANS);
    assert_int_equal(task.clusters, 4);
    assert_int_equal(task.min_cluster, 15);
    assert_string_equal(task.label, "");
    assert_int_equal(task.bins + task.local_epochs + task.server, 0);
    assert_int_equal(ft_task_parameters(&task), 8);
    assert_int_equal(ft_task_encode(&task, &bytes), FT_OK);
    assert_int_equal(ft_task_decode(ft_buf_bytes(&bytes), &again, &err), FT_OK);
    assert_int_equal(again.clusters, 4);
    assert_int_equal(again.min_cluster, 15);
    for (unsigned stage = FT_STAGE_STATISTICS; stage <= FT_STAGE_EVALUATE; stage++)
        if (ft_round_plan_init(&plan, &task, (enum ft_stage)stage, &err) != FT_OK)
            fail_msg("%s", err.text);
    ft_task_clear(&task);
    ft_task_clear(&again);
    ft_buf_clear(&bytes);
    assert_int_equal(sample_read(with(", min_cluster: 15", "", NULL, NULL), &task, &findings), FT_OK);
    assert_int_equal(task.min_cluster, 10);
    ft_task_clear(&task);
}

/* With noise: its own clip, no contribution; a vector of sums and numbers, and one of inertia and shares. */
static void
a_segments_task_with_noise_is_derived(void **state)
{
    struct ft_task task;
    struct ft_error err = { 0 };
    struct ft_round_plan plan;

    (void)state;
    if (sample_read(with("privacy: {noise: none", NOISE, "rounds: 20", "rounds: 20, clip: 2"), &task,
                    &findings) != FT_OK)
        fail_msg("%s", findings.list[0].text);
    if (ft_plan_privacy_derive(&task, &err) != FT_OK ||
        ft_round_plan_init(&plan, &task, FT_STAGE_TRAIN, &err) != FT_OK)
        fail_msg("%s", err.text);
    assert_int_equal(plan.privacy.coordinates, 4 * 3);
    assert_true(plan.privacy.clip == 2);
    assert_int_equal(ft_round_plan_init(&plan, &task, FT_STAGE_EVALUATE, &err), FT_OK);
    assert_int_equal(plan.privacy.coordinates, 1 + 4);
    assert_true(plan.privacy.clip == 1 && plan.privacy.loss_cap == 4);
    assert_int_equal(task.privacy.dim, 12);
    ft_task_clear(&task);
}

/* Each with its line and column, what was found and what was expected. */
static void
what_segments_cannot_have_is_told_at_its_place(void **state)
{
    (void)state;
    expect(with("clusters: 4", "clusters: 0", NULL, NULL),
           "16:33: 'clusters' is '0', expected a whole number from 2 to 256");
    expect(with("clusters: 4", "clusters: 1", NULL, NULL),
           "16:33: 'clusters' is '1', expected a whole number from 2 to 256");
    expect(with("clusters: 4", "clusters: 257", NULL, NULL),
           "16:33: 'clusters' is '257', expected a whole number from 2 to 256");
    expect(with("clusters: 4, ", "", NULL, NULL),
           "16:1: missing key 'clusters', expected a whole number from 2 to 256");
    expect(with("min_cluster: 15", "min_cluster: 0", NULL, NULL), "16:49: 'min_cluster' is '0'");
    expect(with("  features:", "  label: {column: y, min: 0, max: 1}\n  features:", NULL, NULL),
           "11:3: 'label' has no meaning for kmeans: segments are found without one");
    expect(with("rounds: 20", "rounds: 20, local_epochs: 2", NULL, NULL),
           "17:24: 'local_epochs' has no meaning for kmeans");
    expect(with("rounds: 20", "rounds: 20, server: {optimizer: fedavg, learning_rate: 1}", NULL, NULL),
           "17:24: 'server' has no meaning for kmeans");
    expect(with("rows_per_customer: 1", "rows_per_customer: 50", NULL, NULL),
           "14:3: examples.rows_per_customer is 50, expected 1: without noise kmeans counts a segment's rows");
    expect(with("purpose: train/segmentation", "purpose: measure/segmentation", NULL, NULL),
           "4:1: purpose is measure/segmentation, but the task trains a model: measure/... is for a task of kind "
           "statistics");
    expect(with("rounds: 20", "rounds: 20, clip: 5", NULL, NULL),
           "17:24: training.clip is 5, but without noise the declared ranges bound the sums");
    expect(with("schedule:", "evaluation: {bins: 512, calibration_bins: 10}\nschedule:", NULL, NULL),
           "21:14: 'bins' has no meaning for kmeans: there are no scores; inertia and shares are measured");
    expect(with("model: {kind: kmeans, ", "model: {kind: kmeans, hidden: [3], ", NULL, NULL),
           "only mlp and cnn have hidden layers");
    expect(with("clusters: 4", "clusters: 4, classes: 3", NULL, NULL),
           "only softmax, mlp and cnn have classes");
    expect(with("privacy: {noise: none", NOISE, NULL, NULL),
           "17:1: missing key 'clip', expected a number above 0");
    expect(
        with("privacy: {noise: none", NOISE ", contribution: gradient", "rounds: 20", "rounds: 20, clip: 2"),
        "'contribution' has no meaning for kmeans: sums and numbers by cluster are contributed");
}

/* A segment's crowd is a crowd of customers: with noise, or of records, there may be several rows. */
static void
rows_are_one_a_customer_only_where_they_are_counted(void **state)
{
    struct ft_task task;

    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *yaml = with("rows_per_customer: 1", "rows_per_customer: 50", i == 0 ? "unit: customer" : "privacy: {noise: none",
                                i == 0 ? "unit: record" : NOISE);
        char kept[8192];
        snprintf(kept, sizeof kept, "%s", yaml);
        char *clip = i == 0 ? NULL : strstr(kept, "rounds: 20");
        if (clip != NULL) {
            memmove(clip + 19, clip + 10, strlen(clip + 10) + 1);
            memcpy(clip, "rounds: 20, clip: 2", 19);
        }
        if (sample_read(kept, &task, &findings) != FT_OK)
            fail_msg("%s", findings.list[0].text);
        ft_task_clear(&task);
    }
}

/* Without noise no centroid is the mean of fewer than the aggregator's own crowd either, and of no fewer than the task
 * asks for; with noise it is the noise that counts. */
static void
no_centroid_is_the_mean_of_fewer_than_the_crowd(void **state)
{
    struct ft_task task;
    struct ft_kmeans_rules rules;

    (void)state;
    assert_int_equal(sample_read(with("min_cluster: 15", "min_cluster: 1", NULL, NULL), &task, &findings), FT_OK);
    ft_plan_kmeans_rules(&task, 3, 0, 0, 10, &rules);
    assert_true(rules.least == 10);
    task.min_cluster = 15;
    ft_plan_kmeans_rules(&task, 3, 0, 0, 10, &rules);
    assert_true(rules.least == 15);
    task.noise = 1;
    task.min_cluster = 1;
    ft_plan_kmeans_rules(&task, 3, 1, 6, 10, &rules);
    assert_true(rules.least == 24);
    ft_plan_kmeans_rules(&task, 3, 1, 1, 10, &rules);
    assert_true(rules.least == 4);
    ft_task_clear(&task);
}

/* Bytes of a task that only measures have no segments in them, whatever a stranger puts there. */
static void
a_statistics_task_has_no_segments(void **state)
{
    static const char measures[] =
        "version: 1\nkind: statistics\ntask: sample\ntitle: A sample\npurpose: measure/demand\nowner: Us\n"
        "expires: 2027-12-31\nreview: 2027-06-30\nunit: customer\nexamples:\n  sql: SELECT customer_id, a FROM t\n"
        "  features: [{name: a, min: 0, max: 10}]\n  rows_per_customer: 3\n  rows_max: 1000\n"
        "statistics: [{measure: mean, feature: a}]\nprivacy: {noise: none}\n"
        "cohort: {n_min: 6, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n"
        "         suite: aes-256-ctr, lane_bits: 32}\nschedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n";
    struct ft_task task, again;

    (void)state;
    assert_int_equal(sample_read(measures, &task, &findings), FT_OK);
    for (int i = 0; i < 3; i++) {
        struct ft_buf bytes = { 0 };
        struct ft_error err = { 0 };
        task.clusters = i == 1 ? 4 : 0;
        task.min_cluster = i == 2 ? 10 : 0;
        assert_int_equal(ft_task_encode(&task, &bytes), FT_OK);
        const enum ft_status st = ft_task_decode(ft_buf_bytes(&bytes), &again, &err);
        assert_int_equal(st, i == 0 ? FT_OK : FT_ERR_CONFIG);
        if (i > 0 && strstr(err.text, "a task of kind statistics has no model") == NULL)
            fail_msg("%s", err.text);
        ft_task_clear(&again);
        ft_buf_clear(&bytes);
    }
    ft_task_clear(&task);
}

/* And the other way round: keys that all other models need are still missed in the same words, and clusters
 * are k-means'. */
static void
other_models_still_need_what_they_need(void **state)
{
    (void)state;
    expect(sample_with("  label: {column: y, min: 0, max: 1}\n", ""), "9:1: missing key 'label', expected ");
    expect(sample_with("purpose: train/propensity", "purpose: measure/propensity"),
           "4:1: purpose is measure/propensity, but the task trains a model: measure/... is for a task of kind "
           "statistics");
    expect(sample_with("local_epochs: 2, ", ""),
           "18:1: missing key 'local_epochs', expected a whole number from 1 to 1000");
    expect(sample_with("batch_size: 0, ", ""), "missing key 'batch_size'");
    expect(sample_with("clip: 5, ", ""), "18:1: missing key 'clip', expected a number above 0");
    expect(sample_with("{kind: logistic}", "{kind: logistic, clusters: 3}"), "but only kmeans has clusters");
}

/* Bytes that no YAML leads to are refused too: a stranger may send any. */
static void
canonical_bytes_keep_the_same_rules(void **state)
{
    struct ft_task task, again;
    struct ft_error err = { 0 };

    (void)state;
    for (int i = 0; i < 7; i++) {
        struct ft_buf bytes = { 0 };
        assert_int_equal(sample_read(sample, &task, &findings), FT_OK);
        switch (i) {
        case 0:
            task.clusters = 1;
            break;
        case 1:
            task.clusters = 100000;
            break;
        case 2:
            task.min_cluster = 0;
            break;
        case 3:
            task.clip = 1;
            break;
        case 4:
            task.bins = 512;
            break;
        case 5:
            task.weight_cap = 7;
            break;
        default:
            task.label_max = 1;
        }
        assert_int_equal(ft_task_encode(&task, &bytes), FT_OK);
        memset(&err, 0, sizeof err);
        assert_int_equal(ft_task_decode(ft_buf_bytes(&bytes), &again, &err), FT_ERR_CONFIG);
        ft_task_clear(&task);
        ft_buf_clear(&bytes);
    }
}

/* The template lacks only what a person must decide. */
static void
the_segments_template_lacks_only_the_persons_lines(void **state)
{
    struct ft_task task;

    (void)state;
    assert_int_equal(sample_read(ft_task_segments_template(), &task, &findings), FT_ERR_CONFIG);
    assert_int_equal(findings.total, 5);
}

/* The shipped tasks are good, with noise and without. */
static void
the_shipped_segments_are_good(void **state)
{
    static const char *const paths[] = { "deploy/tasks/cj_segments.yaml",
                                         "deploy/tasks/cj_segments_private.yaml" };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct ft_buf yaml = { 0 };
        struct ft_error err = { 0 };
        struct ft_round_plan plan;
        struct ft_task task;
        assert_int_equal(ft_file_read(paths[i], 1 << 20, &yaml, NULL), FT_OK);
        if (ft_task_from_yaml(ft_buf_bytes(&yaml), paths[i], sample_deployment, &task, &err) != FT_OK ||
            ft_plan_privacy_derive(&task, &err) != FT_OK ||
            ft_round_plan_init(&plan, &task, FT_STAGE_TRAIN, &err) != FT_OK)
            fail_msg("%s", err.text);
        assert_int_equal(task.noise, i);
        ft_task_clear(&task);
        ft_buf_clear(&yaml);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segments_task_is_read_and_encoded),
        cmocka_unit_test(a_segments_task_with_noise_is_derived),
        cmocka_unit_test(what_segments_cannot_have_is_told_at_its_place),
        cmocka_unit_test(rows_are_one_a_customer_only_where_they_are_counted),
        cmocka_unit_test(no_centroid_is_the_mean_of_fewer_than_the_crowd),
        cmocka_unit_test(a_statistics_task_has_no_segments),
        cmocka_unit_test(other_models_still_need_what_they_need),
        cmocka_unit_test(canonical_bytes_keep_the_same_rules),
        cmocka_unit_test(the_segments_template_lacks_only_the_persons_lines),
        cmocka_unit_test(the_shipped_segments_are_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
