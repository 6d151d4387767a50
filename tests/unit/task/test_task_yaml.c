/* The YAML form of a task: what it means, and what is wrong with a bad one, with the arithmetic. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "task_sample.h"

static struct ft_findings findings;

/* A line of the sample changed gives exactly this finding. */
static void
expect(const char *from, const char *to, const char *golden)
{
    struct ft_task task;
    char told[512];

    assert_int_equal(sample_read(sample_with(from, to), &task, &findings), FT_ERR_CONFIG);
    snprintf(told, sizeof told, "%u:%u: %s", findings.list[0].line, findings.list[0].column,
             findings.list[0].text);
    assert_string_equal(told, golden);
    assert_int_equal(findings.total, 1);
    assert_null(task.name);
}

/* Every field of the file arrives; the ones left out have their stated defaults. */
static void
task_yaml_good_file_fills_the_task(void **state)
{
    const size_t live = ft_alloc_live();
    struct ft_task t;
    (void)state;

    assert_int_equal(sample_read(TASK_SAMPLE, &t, &findings), FT_OK);
    assert_string_equal(t.name, "sample");
    assert_string_equal(t.purpose, "train/propensity");
    assert_string_equal(t.expires, "2027-12-31");
    assert_memory_equal(t.deployment, sample_deployment, 16);
    assert_int_equal(t.unit, FT_UNIT_CUSTOMER);
    assert_string_equal(t.sql, "SELECT customer_id, split, y, a, b FROM t");
    assert_string_equal(t.label, "y");
    assert_int_equal(t.feature_count, 2);
    assert_string_equal(t.features[1].name, "b");
    assert_true(t.features[0].max == 3.5 && t.features[1].min == -1);
    assert_int_equal(t.model, FT_MODEL_LOGISTIC);
    assert_int_equal(t.local_epochs, 2);
    assert_true(t.momentum == 0 && t.weight_decay == 0 && t.clip == 5);
    assert_int_equal(t.server, FT_SERVER_FEDAVG);
    assert_true(t.server_momentum == 0.9 && t.server_beta2 == 0.99 && t.server_epsilon == 1e-3);
    assert_int_equal(t.seed, 1);
    assert_int_equal(t.suite, 2);
    assert_int_equal(t.session_ms, 60000);
    assert_int_equal(t.bins, 512);
    assert_int_equal(t.calibration_bins, 10);
    assert_int_equal(ft_task_parameters(&t), 3);
    assert_int_equal(ft_task_expires_day(&t), 21183);
    ft_task_clear(&t);
    assert_int_equal(ft_alloc_live(), live);
}

/* Missing purpose, owner and expiry are all told, where and with what is expected. */
static void
task_yaml_missing_keys_are_all_told(void **state)
{
    struct ft_task task;
    (void)state;

    assert_int_equal(
        sample_read(
            sample_with("purpose: train/propensity\nowner: Central data team\nexpires: 2027-12-31\n", ""),
            &task, &findings),
        FT_ERR_CONFIG);
    assert_int_equal(findings.total, 3);
    assert_string_equal(findings.list[0].text, "missing key 'purpose', expected text");
    assert_string_equal(findings.list[1].text, "missing key 'owner', expected text");
    assert_string_equal(findings.list[2].text, "missing key 'expires', expected text");
}

/* Rules of single fields, each at its own line and column. */
static void
task_yaml_single_rules_are_told_at_their_place(void **state)
{
    (void)state;
    expect("task: sample", "task: Sample",
           "2:7: 'task' is 'Sample', expected 1 to 48 small letters, digits and underscores");
    expect(
        "train/propensity", "train/everything",
        "4:10: 'purpose' is 'train/everything', expected train, score, measure or synthesise, a slash, and "
        "segmentation, propensity, demand or personalisation");
    expect("purpose: train/propensity", "purpose: propensity",
           "4:10: 'purpose' is 'propensity', expected train, score, measure or synthesise, a slash, and "
           "segmentation, "
           "propensity, demand or personalisation");
    expect("review: 2027-06-30", "review: 2028-01-01",
           "7:1: review 2028-01-01 lies 1 days after the expiry 2027-12-31, so the task would never be "
           "reviewed");
    expect("max: 3.5", "max: .inf", "13:30: 'max' is '.inf', expected a number from -1e+09 to 1e+09");
    expect(", max: 3.5", "", "13:7: missing key 'max', expected a number from -1e+09 to 1e+09");
    expect("min: 0, max: 3.5", "min: 3.5, max: 3.5",
           "13:17: feature a has min 3.5, expected less than its max 3.5");
    expect("name: b", "name: a", "14:8: feature a is listed twice, as number 1 and 2");
    expect("name: b", "name: split",
           "14:8: split is the customer, the split or the label and cannot be a feature");
    expect("name: b", "name: y", "14:8: y is the customer, the split or the label and cannot be a feature");
    expect("name: b", "name: 'b b'",
           "14:14: 'name' is the text 'b b', expected a column name: a letter, then letters, digits and "
           "underscores, at "
           "most 64");
    expect("min: 0, max: 1}", "min: 0, max: 2}",
           "11:3: the label runs from 0 to 2, expected 0 to 1 for this model");
    expect("kind: logistic", "kind: tree",
           "17:15: 'kind' is 'tree', expected one of linear, logistic, softmax, poisson, mlp, cnn, kmeans");
    expect("{kind: logistic}", "{kind: logistic, hidden: [3]}",
           "17:25: model.hidden has 1 layers, but only mlp and cnn have hidden layers");
    expect("{kind: logistic}", "{kind: mlp, hidden: [3]}",
           "17:1: model.activation is missing, expected relu or tanh");
    expect("{kind: logistic}", "{kind: mlp, activation: relu}", "17:1: model.hidden is 0, expected 1 to 8");
    expect("{kind: logistic}", "{kind: mlp, activation: relu, hidden: [16384, 16384]}",
           "17:1: the model has 268517377 parameters, expected at most 16777216");
    expect("{kind: logistic}", "{kind: logistic, image: [1, 2, 1]}",
           "17:1: model has image, channels, kernels or pools, but only cnn has convolutions");
    expect("{kind: logistic}", "{kind: cnn, activation: relu, image: [1, 3, 1]}",
           "17:38: model.image is 1 x 3 x 1, expected height, width and channels of the 2 features");
    expect("{kind: logistic}", "{kind: cnn, activation: relu, image: [1, 2, 1], channels: [4, 4], kernels: [3]}",
           "17:56: the model has 2 channels, 1 kernels and 0 pools, expected one of each for 1 to 4 convolutions");
    expect("{kind: logistic}",
           "{kind: cnn, activation: relu, image: [1, 2, 1], channels: [4], kernels: [2], pools: [1]}",
           "17:71: kernel 1 is 2, expected an odd number up to 15");
    expect("{kind: logistic}",
           "{kind: cnn, activation: relu, image: [1, 2, 1], channels: [4], kernels: [3], pools: [2]}",
           "17:85: pool 1 is 2 for an image of 1 x 2, expected 1 to 8 within the image");
    expect("clip: 5", "clip: 0", "18:82: 'clip' is '0', expected a number above 0 and at most 1000000");
    expect("noise: none", "noise: gauss", "20:18: 'noise' is 'gauss', expected one of none, discrete-gaussian");
    expect("lane_bits: 32", "lane_bits: 20", "22:30: cohort.lane_bits is 20, expected 12, 16, 21, 32 or 64");
    expect("suite: aes-256-ctr", "suite: rc4",
           "22:17: 'suite' is 'rc4', expected one of chacha20, aes-256-ctr");
    expect("session: 60s", "session: 5s",
           "23:33: schedule.session is 5000 ms, expected at least join 5000 ms and step 10000 ms");
    expect("session: 60s", "session: 60",
           "23:42: 'session' is '60', expected a duration from 1ms to 30d with its unit, such as 500ms, 5s "
           "or 2m");
    expect("  rows_max: 1000", "  rowsmax: 1000\n  rows_max: 1000",
           "16:3: unknown key 'rowsmax', did you mean 'rows_max'?");
}

/* The conditions of a cohort, each failed on purpose and worked by hand. */
static void
task_yaml_cohort_arithmetic_is_in_the_message(void **state)
{
    (void)state;
    expect("n_min: 6", "n_min: 5",
           "21:31: a cohort of 5 with D = floor(5 * 250 / 1000) = 1 dropouts and F = 2 corrupted leaves h = "
           "5 - 1 - 2 = "
           "2 honest survivors, expected at least h_min 3; n_min 6 would do");
    expect("h_min: 3", "h_min: 20",
           "21:31: a cohort of 6 with D = floor(6 * 250 / 1000) = 1 dropouts and F = 2 corrupted leaves h = "
           "6 - 1 - 2 = "
           "3 honest survivors, expected at least h_min 20; no cohort up to n_cap 16 works");
    expect("h_min: 3, corrupted: 2, drop_permille: 250", "h_min: 2, corrupted: 2, drop_permille: 400",
           "21:10: a cohort of 6 needs q = floor((6 + 2) / 2) + 1 = 5 signatures, but only n - D = 6 - 2 = 4 "
           "survive; "
           "n_min 11 would do");
    expect("n_cap: 16", "n_cap: 4", "21:20: cohort.n_cap is 4, expected at least n_min 6");
    /* (2^11 - 1) / 40 = 51 */
    expect("n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n         suite: "
           "aes-256-ctr, "
           "lane_bits: 32",
           "n_cap: 40, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n         suite: "
           "aes-256-ctr, "
           "lane_bits: 12",
           "22:30: a sum over n_cap 40 could wrap its lane of 12 bits: Q = floor((2^11 - 1) / 40) = 51 "
           "steps, expected at "
           "least 64; use wider lanes or a smaller n_cap");
}

/* The formulas of P1 to P3 against numbers worked by hand. */
static void
task_cohort_formulas(void **state)
{
    const struct ft_task t = { .corrupted = 2, .drop_permille = 250, .lane_bits = 32, .n_cap = 16 };
    const struct ft_task_cohort twelve = ft_task_cohort(&t, 12),
                                two = ft_task_cohort(&(struct ft_task){ 0 }, 2);
    (void)state;
    assert_int_equal(twelve.dropouts, 3);
    assert_int_equal(twelve.survivors, 9);
    assert_int_equal(twelve.honest, 7);
    assert_int_equal(twelve.quorum, 8);
    assert_int_equal(twelve.threshold, 7);
    assert_int_equal(two.threshold, 2);
    assert_int_equal(ft_task_quant_max(&t), 134217727);
}

/* Numbers of parameters worked by hand: 12 features. */
static void
task_parameters_are_weights_and_biases(void **state)
{
    struct ft_task t = { .feature_count = 12, .model = FT_MODEL_LOGISTIC };
    (void)state;
    assert_int_equal(ft_task_parameters(&t), 13);
    t.model = FT_MODEL_SOFTMAX;
    t.classes = 3;
    assert_int_equal(ft_task_parameters(&t), 39);
    t.model = FT_MODEL_MLP;
    t.classes = 2;
    t.hidden_count = 2;
    t.hidden[0] = 32;
    t.hidden[1] = 5;
    assert_int_equal(ft_task_parameters(&t), 13 * 32 + 33 * 5 + 6);
    t.classes = 4;
    assert_int_equal(ft_task_parameters(&t), 13 * 32 + 33 * 5 + 6 * 4);
    t = (struct ft_task){ .feature_count = 784, .model = FT_MODEL_CNN, .classes = 10, .image = { 28, 28, 1 },
                          .image_count = 3, .channels = { 32, 64 }, .channels_count = 2, .kernels = { 5, 5 },
                          .kernels_count = 2, .pools = { 2, 2 }, .pools_count = 2, .hidden = { 512 },
                          .hidden_count = 1 };
    assert_int_equal(ft_task_parameters(&t), 1663370);
}

/* The purpose tree is closed and exact. */
static void
task_purpose_tree_is_closed(void **state)
{
    static const char *const bad[] = { "",
                                       "train",
                                       "train/",
                                       "/demand",
                                       "train/demand/",
                                       "Train/demand",
                                       "train/Demand",
                                       "train/demand ",
                                       "score",
                                       "train//demand",
                                       "trainx/demand",
                                       "trai/demand" };
    (void)state;
    assert_true(ft_purpose_valid("train/segmentation"));
    assert_true(ft_purpose_valid("score/propensity"));
    assert_true(ft_purpose_valid("measure/demand"));
    assert_true(ft_purpose_valid("synthesise/personalisation"));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(ft_purpose_valid(bad[i]));
}

/* The template lacks only what a person must decide, and is good once that is filled in. */
static void
task_template_lacks_only_the_persons_lines(void **state)
{
    char text[8192];
    struct ft_task task;
    const char *keys[] = { "title:", "purpose:", "owner:", "expires:", "review:" };
    const char *values[] = { "A title", "train/propensity", "Us", "2030-01-02", "2030-01-01" };
    (void)state;

    assert_int_equal(sample_read(ft_task_template(), &task, &findings), FT_ERR_CONFIG);
    assert_int_equal(findings.total, 5);
    snprintf(text, sizeof text, "%s", ft_task_template());
    for (int i = 0; i < 5; i++) {
        char rest[8192], *at = strstr(text, keys[i]);
        assert_non_null(at);
        at += strlen(keys[i]);
        snprintf(rest, sizeof rest, "%s", strchr(at, '\n'));
        snprintf(at, sizeof text - (size_t)(at - text), " %s%s", values[i], rest);
    }
    assert_int_equal(sample_read(text, &task, &findings), FT_OK);
    assert_int_equal(task.model, FT_MODEL_LOGISTIC);
    ft_task_clear(&task);
}

/* The tasks that ship are good, and have the features their queries return. */
static void
task_shipped_tasks_are_good(void **state)
{
    static const struct {
        const char *path;
        uint32_t features;
        enum ft_unit unit;
    } shipped[] = { { "deploy/tasks/cj_return.yaml", 12, FT_UNIT_CUSTOMER },
                    { "deploy/tasks/cj_return_store.yaml", 12, FT_UNIT_STORE },
                    { "deploy/tasks/iowa_reorder.yaml", 19, FT_UNIT_RECORD } };
    (void)state;
    for (size_t i = 0; i < sizeof shipped / sizeof shipped[0]; i++) {
        struct ft_buf text = { 0 };
        struct ft_task task;
        struct ft_error err = { 0 };
        assert_int_equal(ft_file_read(shipped[i].path, 1 << 20, &text, NULL), FT_OK);
        assert_int_equal(
            ft_task_from_yaml(ft_buf_bytes(&text), shipped[i].path, sample_deployment, &task, &err), FT_OK);
        assert_int_equal(task.feature_count, shipped[i].features);
        assert_int_equal(task.unit, shipped[i].unit);
        for (uint32_t f = 0; f < task.feature_count; f++) {
            char alias[80];
            snprintf(alias, sizeof alias, " AS %s", task.features[f].name);
            assert_non_null(strstr(task.sql, alias));
        }
        ft_task_clear(&task);
        ft_buf_clear(&text);
    }
}

/* Fail each allocation in turn: a clean status and nothing left behind. */
static void
task_yaml_survives_any_failed_allocation(void **state)
{
    const size_t live = ft_alloc_live();
    struct ft_task task;
    enum ft_status st = FT_OK;
    uint64_t nth;
    (void)state;

    for (nth = 1; nth < 2000; nth++) {
        ft_alloc_fail_at(nth, false);
        st = sample_read(TASK_SAMPLE, &task, &findings);
        const bool fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        if (!fired)
            break;
        assert_int_equal(st, FT_ERR_NOMEM);
        assert_int_equal(ft_alloc_live(), live);
    }
    assert_in_range(nth, 20, 1999);
    assert_int_equal(st, FT_OK);
    ft_task_clear(&task);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(task_yaml_good_file_fills_the_task),
        cmocka_unit_test(task_yaml_missing_keys_are_all_told),
        cmocka_unit_test(task_yaml_single_rules_are_told_at_their_place),
        cmocka_unit_test(task_yaml_cohort_arithmetic_is_in_the_message),
        cmocka_unit_test(task_cohort_formulas),
        cmocka_unit_test(task_parameters_are_weights_and_biases),
        cmocka_unit_test(task_purpose_tree_is_closed),
        cmocka_unit_test(task_template_lacks_only_the_persons_lines),
        cmocka_unit_test(task_shipped_tasks_are_good),
        cmocka_unit_test(task_yaml_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
