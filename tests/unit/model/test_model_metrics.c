#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/model/metrics.h"
#include "reference.h"
#include "tests/support/approx.h"

#include <math.h>
#include <string.h>

static const struct ft_model_spec logistic = { .kind = FT_MODEL_LOGISTIC, .features = 1 };
static const float identity[2] = { 1, 0 }; /* z = x */
static const struct ft_dataset nothing = { 0 };

static struct ft_metrics_plan
plan_of(const struct ft_model_spec *model, uint32_t bins, uint32_t calibration_bins, uint64_t rows_max,
        double label_max)
{
    const struct ft_metrics_spec spec = { .model = *model, .bins = bins, .calibration_bins = calibration_bins,
                                          .rows_max = rows_max, .label_max = label_max };
    struct ft_metrics_plan plan;
    assert_int_equal(ft_metrics_plan_init(&plan, &spec, NULL), FT_OK);
    return plan;
}

static struct ft_model *
opened(const struct ft_model_spec *spec)
{
    struct ft_model *m = NULL;
    assert_int_equal(ft_model_open(spec, &m, NULL), FT_OK);
    return m;
}

/* Scores -1, 0.5, 2 with labels 0, 0, 1 and 4 bins over 1/(1+e^(-z/2)) = 0.378, 0.562, 0.731: counted by hand. */
static void
binary_counts_match_hand_working(void **state)
{
    const float x[3] = { -1, 0.5f, 2 }, y[3] = { 0, 0, 1 };
    const struct ft_dataset test = { x, y, 3 }, train = { x, y, 2 };
    const struct ft_metrics_plan plan = plan_of(&logistic, 4, 2, 100, 1);
    const struct ft_metric_group *g = plan.groups;
    const double losses[3] = { log(1 + exp(-1)), log(1 + exp(0.5)), log(1 + exp(-2)) };
    uint64_t v[64];
    struct ft_model *m = opened(&logistic);

    (void)state;
    assert_true(plan.value_count <= 64);
    assert_int_equal(ft_metrics_measure(&plan, m, identity, &test, &train, v, NULL), FT_OK);
    assert_int_equal(v[g[FT_METRIC_TEST_ROWS].at], 3);
    assert_int_equal(v[g[FT_METRIC_TEST_LOSS].at], llrint((losses[0] + losses[1] + losses[2]) * 0x1p20));
    assert_int_equal(v[g[FT_METRIC_TEST_CORRECT].at], 2);
    for (uint32_t b = 0; b < 4; b++) {
        assert_int_equal(v[g[FT_METRIC_NEGATIVES].at + b], b == 1 || b == 2 ? 1 : 0);
        assert_int_equal(v[g[FT_METRIC_POSITIVES].at + b], b == 2 ? 1 : 0);
    }
    assert_int_equal(v[g[FT_METRIC_CALIBRATION_ROWS].at], 1);
    assert_int_equal(v[g[FT_METRIC_CALIBRATION_ROWS].at + 1], 2);
    assert_int_equal(v[g[FT_METRIC_CALIBRATION_HITS].at], 0);
    assert_int_equal(v[g[FT_METRIC_CALIBRATION_HITS].at + 1], 1);
    assert_int_equal(v[g[FT_METRIC_CALIBRATION_SCORE].at], llrint(0x1p20 / (1 + exp(1))));
    assert_int_equal(v[g[FT_METRIC_TRAIN_ROWS].at], 2);
    assert_int_equal(v[g[FT_METRIC_TRAIN_LOSS].at], llrint((losses[0] + losses[1]) * 0x1p20));
    assert_int_equal(g[FT_METRIC_TEST_BASE].count, 0);
    ft_model_close(m);
}

/* Sums of shops report what the pooled rows give: loss, accuracy, calibration, and the AUC to a bin's width. */
static void
summed_shops_report_the_pooled_numbers(void **state)
{
    enum { SHOPS = 7, ROWS = 900 };
    static float x[ROWS], y[ROWS];
    const struct ft_metrics_plan plan = plan_of(&logistic, 256, 10, ROWS, 1);
    static uint64_t sums[1024], v[1024];
    static struct ft_metrics_report r;
    struct ft_model *m = opened(&logistic);
    double auc = 0, loss = 0, correct = 0;

    (void)state;
    assert_true(plan.value_count <= 1024);
    for (uint32_t i = 0; i < ROWS; i++) {
        x[i] = (float)(3 * reference_noise(i));
        y[i] = (reference_noise(i + 4000) + 1) / 2 < 1 / (1 + exp(-(double)x[i])) ? 1 : 0;
        loss += log(1 + exp((double)x[i])) - (double)y[i] * (double)x[i];
        correct += (x[i] > 0) == (y[i] > 0);
    }
    for (uint32_t s = 0; s < SHOPS; s++) { /* shops of uneven size; one is empty */
        const size_t from = (size_t)ROWS * s * s / (SHOPS * SHOPS), to = (size_t)ROWS * (s + 1) * (s + 1) / (SHOPS * SHOPS);
        const struct ft_dataset rows = { x + from, y + from, to - from };
        assert_int_equal(ft_metrics_measure(&plan, m, identity, &rows, &rows, v, NULL), FT_OK);
        for (uint32_t i = 0; i < plan.value_count; i++)
            sums[i] += v[i];
    }
    assert_int_equal(ft_metrics_measure(&plan, m, identity, &nothing, &nothing, v, NULL), FT_OK);
    for (uint32_t i = 0; i < plan.value_count; i++)
        assert_int_equal(v[i], 0);
    ft_metrics_report(&plan, sums, identity, 0.5, &r);
    assert_int_equal(r.test_rows, ROWS);
    assert_int_equal(r.positives + r.negatives, ROWS);
    assert_approx(r.test_loss.value, loss / ROWS, 1e-6);
    assert_approx(r.train_loss, loss / ROWS, 1e-6);
    assert_approx(r.objective, loss / ROWS + 0.25, 1e-6); /* 0.5/2 of the weight 1 */
    assert_approx(r.accuracy.value, correct / ROWS, 1e-12);
    assert_int_equal(ft_auc_exact(x, y, ROWS, &auc), FT_OK);
    assert_approx(r.auc.value, auc, 1e-3);
    assert_true(r.auc.low < r.auc.value && r.auc.value < r.auc.high && r.auc.high - r.auc.low < 0.1);
    assert_true(r.test_loss.low < r.test_loss.value && r.test_loss.value < r.test_loss.high);
    assert_true(r.calibration_error < 0.06); /* the labels were drawn from the scores */
    assert_int_equal(r.calibration_count, 10);
    ft_model_close(m);
}

/* Positives 1 in bin 2, 1 in bin 1; negatives 1 in bin 0, 1 in bin 1: pairs won 2 + 1 + 1/2 of 4 = 0.875. */
static void
auc_of_histograms_counts_ties_half(void **state)
{
    const uint64_t pos[3] = { 0, 1, 1 }, neg[3] = { 1, 1, 0 }, none[3] = { 0 };
    const float scores[4] = { 0.5f, 0.9f, 0.1f, 0.5f }, labels[4] = { 1, 1, 0, 0 };
    struct ft_estimate auc = ft_auc_histogram(pos, neg, 3);
    double exact = 0;
    (void)state;
    assert_approx(auc.value, 0.875, 1e-15);
    /* DeLong: placements of positives 0.75 and 1, variance 1/32; of negatives 1 and 0.75, the same */
    assert_approx(auc.value - auc.low, 1.959963984540054 * sqrt(1.0 / 32), 1e-12);
    assert_approx(auc.high, 1, 0);
    assert_int_equal(ft_auc_exact(scores, labels, 4, &exact), FT_OK);
    assert_approx(exact, 0.875, 1e-15);
    auc = ft_auc_histogram(pos, none, 3);
    assert_true(isnan(auc.value) && isnan(auc.low) && isnan(auc.high));
}

/* The 95 % interval of DeLong covers the true AUC of normal scores one deviation apart, Phi(1/sqrt 2) = 0.760250,
 * in about 95 of 100 samples. */
static void
auc_interval_covers_the_truth(void **state)
{
    const double truth = 0.5 * erfc(-0.5);
    int covered = 0;
    (void)state;
    for (uint32_t trial = 0; trial < 400; trial++) {
        uint64_t pos[128] = { 0 }, neg[128] = { 0 };
        struct ft_estimate auc;
        for (uint32_t i = 0; i < 400; i++) { /* twelve uniforms make a normal number */
            double z = 0;
            int bin;
            for (uint32_t k = 0; k < 12; k++)
                z += reference_noise(trial * 100003u + i * 12 + k) / 2;
            z += i % 2 ? 0.5 : -0.5;
            bin = (int)((z + 5) * 12.8);
            (i % 2 ? pos : neg)[bin < 0 ? 0 : bin > 127 ? 127 : bin]++;
        }
        auc = ft_auc_histogram(pos, neg, 128);
        covered += auc.low <= truth && truth <= auc.high;
    }
    assert_in_range(covered, 366, 392); /* 380 +- 13 */
}

/* Poisson: loss counts half the deviance, and with the base the training loss e^z - y z comes back exactly. */
static void
poisson_report_gives_deviance_and_training_loss(void **state)
{
    const struct ft_model_spec poisson = { .kind = FT_MODEL_POISSON, .features = 1 };
    const float x[3] = { 0, 1, -0.5f }, y[3] = { 0, 5, 1 };
    const struct ft_dataset rows = { x, y, 3 };
    const struct ft_metrics_plan plan = plan_of(&poisson, 2, 1, 10, 20);
    static struct ft_metrics_report r;
    struct ft_model *m = opened(&poisson);
    double loss = 0, deviance = 0;
    uint64_t v[16];

    (void)state;
    for (int i = 0; i < 3; i++) {
        const double mu = exp((double)x[i]), label = (double)y[i];
        loss += (mu - label * (double)x[i]) / 3;
        deviance += 2 * ((label > 0 ? label * log(label / mu) : 0) - (label - mu)) / 3;
    }
    assert_int_equal(ft_metrics_measure(&plan, m, identity, &rows, &rows, v, NULL), FT_OK);
    ft_metrics_report(&plan, v, identity, 0, &r);
    assert_approx(r.test_deviance, deviance, 1e-4);
    assert_approx(r.test_loss.value, loss, 1e-4);
    assert_approx(r.objective, loss, 1e-4);
    assert_true(isnan(r.auc.value) && isnan(r.accuracy.value) && isnan(r.calibration_error));
    ft_model_close(m);
}

/* Linear with labels up to a million: the unit follows the range, and nothing saturates. */
static void
linear_losses_of_large_labels_keep_their_precision(void **state)
{
    const struct ft_model_spec line = { .kind = FT_MODEL_LINEAR, .features = 1 };
    const float x[2] = { 0, 1000 }, y[2] = { 1e6f, 500 };
    const struct ft_dataset rows = { x, y, 2 };
    const struct ft_metrics_plan plan = plan_of(&line, 2, 1, 1000000, 1e6);
    static struct ft_metrics_report r;
    struct ft_model *m = opened(&line);
    uint64_t v[16];

    (void)state;
    assert_int_equal(ft_metrics_measure(&plan, m, identity, &rows, &nothing, v, NULL), FT_OK);
    ft_metrics_report(&plan, v, NULL, 0, &r);
    assert_approx(r.test_loss.value / ((5e11 + 125000) / 2), 1, 1e-6);
    assert_approx(r.test_deviance, 2 * r.test_loss.value, 1e-3);
    assert_true(isnan(r.train_loss));
    ft_model_close(m);
}

/* Softmax: correct and calibration of the predicted class, three rows of which one is wrong. */
static void
softmax_counts_the_predicted_class(void **state)
{
    const struct ft_model_spec softmax = { .kind = FT_MODEL_SOFTMAX, .features = 1, .classes = 3 };
    const float w[6] = { 1, 0, -1, 0, 0, 0 }, x[3] = { 5, -5, 5 }, y[3] = { 0, 2, 1 };
    const struct ft_dataset rows = { x, y, 3 };
    const struct ft_metrics_plan plan = plan_of(&softmax, 2, 4, 10, 1);
    static struct ft_metrics_report r;
    struct ft_model *m = opened(&softmax);
    uint64_t v[32];

    (void)state;
    assert_int_equal(ft_metrics_measure(&plan, m, w, &rows, &nothing, v, NULL), FT_OK);
    ft_metrics_report(&plan, v, NULL, 0, &r);
    assert_approx(r.accuracy.value, 2.0 / 3, 1e-12);
    assert_approx(r.calibration[3].rows, 3, 0);
    assert_approx(r.calibration[3].score, 1 / (1 + exp(-5) + exp(-10)), 1e-5);
    assert_approx(r.calibration_error, 1 / (1 + exp(-5) + exp(-10)) - 2.0 / 3, 1e-5);
    ft_model_close(m);
}

/* No figure about fewer rows than the minimum crowd is reported: at the boundary all of them, one row below none; small
 * calibration bins are joined, and their rows stay the same in all. */
static void
figures_about_too_few_are_withheld(void **state)
{
    struct ft_metrics_report full = { .test_rows = 40, .train_rows = 10, .positives = 30, .negatives = 10,
                                      .test_loss = { 0.5, 0.4, 0.6 }, .test_deviance = 1, .accuracy = { 0.7, 0.6, 0.8 },
                                      .auc = { 0.8, 0.7, 0.9 }, .train_loss = 0.4, .objective = 0.41,
                                      .calibration_error = 0.1, .calibration_count = 6 };
    const double rows[6] = { 0, 3, 4, 20, 12, 1 };
    double sum = 0, hits = 0;
    (void)state;
    for (uint32_t b = 0; b < 6; b++)
        full.calibration[b] = (struct ft_calibration_row){ .rows = rows[b], .score = rows[b] > 0 ? 0.1 * b : NAN,
                                                           .rate = { rows[b] > 0 ? 1 : NAN, 0, 1 } };
    struct ft_metrics_report r = full;
    ft_metrics_withhold(&r, 10);
    assert_false(r.test_withheld || r.train_withheld || r.classes_withheld);
    assert_approx(r.auc.value, 0.8, 0);
    assert_int_equal(r.calibration_count, 2);
    for (uint32_t b = 0; b < r.calibration_count; b++) {
        assert_true(r.calibration[b].rows >= 10);
        sum += r.calibration[b].rows;
        hits += r.calibration[b].rate.value * r.calibration[b].rows;
    }
    assert_approx(sum, 40, 0);
    assert_approx(hits, 40, 1e-9);
    assert_approx(r.calibration[0].score, (3 * 0.1 + 4 * 0.2 + 20 * 0.3) / 27, 1e-12);

    r = full;
    ft_metrics_withhold(&r, 11); /* one short: the smaller class and the training rows */
    assert_true(r.classes_withheld && r.train_withheld && !r.test_withheld);
    assert_true(isnan(r.auc.value) && isnan(r.train_loss) && isnan(r.objective) && !isnan(r.accuracy.value));

    r = full;
    ft_metrics_withhold(&r, 41); /* nothing is left */
    assert_true(r.test_withheld && isnan(r.test_loss.value) && isnan(r.accuracy.value) && isnan(r.test_deviance));
    assert_int_equal(r.calibration_count, 0);
    assert_true(isnan(r.calibration_error));

    full.positives = full.negatives = 0; /* a regression has no classes to withhold */
    ft_metrics_withhold(&full, 10);
    assert_false(full.classes_withheld);
}

/* A loss beyond its field, too many rows, a label that is no class and a score that is no number are refused, and
 * nothing is written. */
static void
what_does_not_fit_is_refused_not_wrapped(void **state)
{
    const float huge[2] = { 1e9f, 0 }, x[3] = { 1, 1, 1 }, half[1] = { 0.5f }, nan[1] = { NAN };
    const float zero[3] = { 0, 0, 0 }, two[1] = { 2 };
    const struct ft_metrics_plan plan = plan_of(&logistic, 4, 2, 2, 1);
    struct ft_model *m = opened(&logistic);
    struct ft_error err = { 0 };
    uint64_t v[64] = { 7 };
    struct ft_dataset rows = { x, zero, 2 };

    (void)state;
    assert_int_equal(ft_metrics_measure(&plan, m, huge, &rows, &nothing, v, &err), FT_ERR_LIMIT);
    assert_non_null(strstr(err.text, "48 bits"));
    assert_int_equal(ft_metrics_measure(&plan, m, huge, &nothing, &rows, v, NULL), FT_ERR_LIMIT);
    rows.rows = 3;
    assert_int_equal(ft_metrics_measure(&plan, m, identity, &rows, &nothing, v, NULL), FT_ERR_LIMIT);
    rows = (struct ft_dataset){ x, half, 1 };
    assert_int_equal(ft_metrics_measure(&plan, m, identity, &rows, &nothing, v, NULL), FT_ERR_FORMAT);
    rows = (struct ft_dataset){ x, two, 1 };
    assert_int_equal(ft_metrics_measure(&plan, m, identity, &rows, &nothing, v, NULL), FT_ERR_FORMAT);
    rows = (struct ft_dataset){ nan, zero, 1 };
    assert_int_equal(ft_metrics_measure(&plan, m, identity, &rows, &nothing, v, NULL), FT_ERR_NONFINITE);
    rows = (struct ft_dataset){ x, nan, 1 };
    assert_int_equal(ft_metrics_measure(&plan, m, identity, &rows, &nothing, v, NULL), FT_ERR_NONFINITE);
    assert_int_equal(v[0], 7);
    ft_model_close(m);
}

/* The largest sum that 48 bits hold is 2^28 less one unit: a loss of 2^28 is refused, the float below it counts. */
static void
the_last_value_that_fits_is_kept(void **state)
{
    const float y[1] = { 0 }, over[1] = { 0x1p28f }, under[1] = { 0x1p28f - 16 };
    const struct ft_metrics_plan plan = plan_of(&logistic, 2, 1, 10, 1);
    struct ft_model *m = opened(&logistic);
    struct ft_dataset train = { over, y, 1 };
    uint64_t v[32];

    (void)state;
    assert_int_equal(ft_metrics_measure(&plan, m, identity, &nothing, &train, v, NULL), FT_ERR_LIMIT);
    train.x = under;
    assert_int_equal(ft_metrics_measure(&plan, m, identity, &nothing, &train, v, NULL), FT_OK);
    assert_true(v[plan.groups[FT_METRIC_TRAIN_LOSS].at] == (UINT64_C(1) << 48) - (UINT64_C(16) << 20));
    ft_model_close(m);
}

/* Plans out of range are refused by name. */
static void
impossible_plans_are_refused(void **state)
{
    struct ft_metrics_spec spec = { .model = logistic, .bins = 1, .calibration_bins = 2, .rows_max = 10 };
    struct ft_metrics_plan plan;
    struct ft_error err = { 0 };
    (void)state;
    assert_int_equal(ft_metrics_plan_init(&plan, &spec, &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "1 score bins"));
    spec.bins = 8;
    spec.rows_max = 0;
    assert_int_equal(ft_metrics_plan_init(&plan, &spec, NULL), FT_ERR_ARGUMENT);
    spec.rows_max = 10;
    spec.model.kind = FT_MODEL_POISSON;
    spec.label_min = -1;
    spec.label_max = 5;
    assert_int_equal(ft_metrics_plan_init(&plan, &spec, NULL), FT_ERR_ARGUMENT);
    spec.label_min = 0;
    spec.label_max = (double)INFINITY;
    assert_int_equal(ft_metrics_plan_init(&plan, &spec, NULL), FT_ERR_ARGUMENT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binary_counts_match_hand_working),
        cmocka_unit_test(summed_shops_report_the_pooled_numbers),
        cmocka_unit_test(auc_of_histograms_counts_ties_half),
        cmocka_unit_test(auc_interval_covers_the_truth),
        cmocka_unit_test(poisson_report_gives_deviance_and_training_loss),
        cmocka_unit_test(linear_losses_of_large_labels_keep_their_precision),
        cmocka_unit_test(figures_about_too_few_are_withheld),
        cmocka_unit_test(softmax_counts_the_predicted_class),
        cmocka_unit_test(what_does_not_fit_is_refused_not_wrapped),
        cmocka_unit_test(the_last_value_that_fits_is_kept),
        cmocka_unit_test(impossible_plans_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
