/* The shop's half of metrics: the plan of values and the counting. */
#include "common/model/metrics.h"
#include "common/base/alloc.h"
#include "common/base/real.h"
#include "common/model/model_internal.h"

#include <math.h>
#include <string.h>

static uint32_t
bits_for(uint64_t max)
{
    uint32_t bits = 1;
    while ((max >> bits) != 0)
        bits++;
    return bits;
}

/* The smallest power of two that is at least v. */
static double
power_above(double v)
{
    int exponent;
    const double fraction = frexp(v, &exponent);
    return ldexp(1, fraction == 0.5 ? exponent - 1 : exponent);
}

static enum ft_status
spec_check(const struct ft_metrics_spec *spec, struct ft_error *err)
{
    enum ft_status st;

    FT_TRY(ft_model_spec_check(&spec->model, err));
    if (spec->bins < 2 || spec->bins > FT_METRIC_BINS_MAX)
        return ft_fail(err, FT_ERR_ARGUMENT, "%u score bins; 2 to %d are allowed", spec->bins, FT_METRIC_BINS_MAX);
    if (spec->calibration_bins < 1 || spec->calibration_bins > FT_CALIBRATION_BINS_MAX)
        return ft_fail(err, FT_ERR_ARGUMENT, "%u calibration bins; 1 to %d are allowed", spec->calibration_bins,
                       FT_CALIBRATION_BINS_MAX);
    if (spec->rows_max < 1 || spec->rows_max > (1u << 24))
        return ft_fail(err, FT_ERR_ARGUMENT, "rows_max is %llu; 1 to 16777216 are allowed",
                       (unsigned long long)spec->rows_max);
    if (ft_model_is_regression(&spec->model)) {
        if (!isfinite(spec->label_min) || !isfinite(spec->label_max) || !(spec->label_min < spec->label_max) ||
            fabs(spec->label_min) > 1e12 || fabs(spec->label_max) > 1e12)
            return ft_fail(err, FT_ERR_ARGUMENT, "the label's range %g to %g is not usable", spec->label_min,
                           spec->label_max);
        if (spec->model.kind == FT_MODEL_POISSON && spec->label_min < 0)
            return ft_fail(err, FT_ERR_ARGUMENT, "counts start at 0, not at %g", spec->label_min);
    }
out:
    return st;
}

/* The size of an ordinary row's loss, from which the fixed-point unit follows: 28 bits are left above 2^-20 of
 * it for the sum over rows. */
static double
loss_scale(const struct ft_metrics_spec *spec)
{
    const double range = spec->label_max - spec->label_min;
    if (ft_model_is_clusters(&spec->model))
        return power_above(spec->model.features);
    if (spec->model.kind == FT_MODEL_LINEAR)
        return power_above(range * range / 8 > 0x1p-40 ? range * range / 8 : 0x1p-40);
    if (spec->model.kind == FT_MODEL_POISSON)
        return power_above(spec->label_max > 1 ? spec->label_max : 1);
    return 1;
}

enum ft_status
ft_metrics_plan_init(struct ft_metrics_plan *plan, const struct ft_metrics_spec *spec, struct ft_error *err)
{
    const bool binary = ft_model_is_binary(&spec->model), regression = ft_model_is_regression(&spec->model);
    const bool poisson = spec->model.kind == FT_MODEL_POISSON;
    const bool clusters = ft_model_is_clusters(&spec->model), classes = !regression && !clusters;
    const uint32_t classified = classes ? 1 : 0, calibration = classes ? spec->calibration_bins : 0;
    enum ft_status st;
    uint32_t count_bits, at = 0;

    memset(plan, 0, sizeof *plan);
    FT_TRY(spec_check(spec, err));
    count_bits = bits_for(spec->rows_max);
    plan->spec = *spec;
    plan->loss_unit = loss_scale(spec) * 0x1p-20;
    plan->loss_squared_unit = loss_scale(spec) * loss_scale(spec) * 0x1p-16;
    {
        const struct ft_metric_group groups[FT_METRIC_COUNT] = {
            [FT_METRIC_TEST_ROWS] = { 1, 0, count_bits },
            [FT_METRIC_TEST_LOSS] = { 1, 0, FT_METRIC_BITS_MAX },
            [FT_METRIC_TEST_LOSS_SQUARED] = { 1, 0, FT_METRIC_BITS_MAX },
            [FT_METRIC_TEST_BASE] = { poisson, 0, FT_METRIC_BITS_MAX },
            [FT_METRIC_TEST_CORRECT] = { classified, 0, count_bits },
            [FT_METRIC_POSITIVES] = { binary ? spec->bins : 0, 0, count_bits },
            [FT_METRIC_NEGATIVES] = { binary ? spec->bins : 0, 0, count_bits },
            [FT_METRIC_CALIBRATION_ROWS] = { calibration, 0, count_bits },
            [FT_METRIC_CALIBRATION_SCORE] = { calibration, 0, count_bits + 21 },
            [FT_METRIC_CALIBRATION_HITS] = { calibration, 0, count_bits },
            [FT_METRIC_TRAIN_ROWS] = { 1, 0, count_bits },
            [FT_METRIC_TRAIN_LOSS] = { 1, 0, FT_METRIC_BITS_MAX },
            [FT_METRIC_TRAIN_BASE] = { poisson, 0, FT_METRIC_BITS_MAX },
            [FT_METRIC_CLUSTER_ROWS] = { clusters ? spec->model.classes : 0, 0, count_bits },
        };
        memcpy(plan->groups, groups, sizeof groups);
    }
    for (int g = 0; g < FT_METRIC_COUNT; g++) {
        plan->groups[g].at = at;
        at += plan->groups[g].count;
    }
    plan->value_count = at;
out:
    return st;
}

/* Sums of one shop while it counts. */
struct tally {
    const struct ft_metrics_plan *plan;
    uint64_t *values;
    double loss, loss_squared, base;
    double score[FT_CALIBRATION_BINS_MAX];
};

static uint64_t *
value_of(const struct tally *t, enum ft_metric metric, uint32_t index)
{
    return &t->values[t->plan->groups[metric].at + index];
}

/* Store a non-negative sum in units; one that cannot be held is refused. */
static enum ft_status
store(struct tally *t, enum ft_metric metric, uint32_t index, double sum, double unit, struct ft_error *err)
{
    const double units = rint((sum > 0 ? sum : 0) / unit);

    if (!isfinite(sum))
        return ft_fail(err, FT_ERR_NONFINITE, "a sum of losses is not finite");
    if (units >= ldexp(1, (int)t->plan->groups[metric].bits))
        return ft_fail(err, FT_ERR_LIMIT, "a metric does not fit its %u bits", t->plan->groups[metric].bits);
    *value_of(t, metric, index) = (uint64_t)units;
    return FT_OK;
}

static uint32_t
bin_of(double share, uint32_t bins)
{
    const double at = share * bins;
    return at < 1 ? 0 : at >= bins ? bins - 1 : (uint32_t)at;
}

static double
sigmoid(double z)
{
    const double e = ft_real_exp(-fabs(z));
    return (z >= 0 ? 1 : e) / (1 + e);
}

static void
tally_calibration(struct tally *t, double probability, bool hit)
{
    const uint32_t bin = bin_of(probability, t->plan->spec.calibration_bins);
    *value_of(t, FT_METRIC_CALIBRATION_ROWS, bin) += 1;
    *value_of(t, FT_METRIC_CALIBRATION_HITS, bin) += hit;
    t->score[bin] += probability;
}

static void
tally_binary(struct tally *t, const float *z, const float *y, size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        const bool positive = y[i] > 0.5f;
        const uint32_t bin = bin_of(sigmoid((double)z[i] / 2), t->plan->spec.bins);
        *value_of(t, positive ? FT_METRIC_POSITIVES : FT_METRIC_NEGATIVES, bin) += 1;
        *value_of(t, FT_METRIC_TEST_CORRECT, 0) += (z[i] > 0) == positive;
        tally_calibration(t, sigmoid((double)z[i]), positive);
    }
}

static void
tally_classes(struct tally *t, const float *z, const float *y, size_t rows, uint32_t classes)
{
    for (size_t i = 0; i < rows; i++) {
        const float *row = z + i * classes;
        uint32_t best = 0;
        double sum = 0;
        for (uint32_t k = 1; k < classes; k++)
            best = row[k] > row[best] ? k : best;
        for (uint32_t k = 0; k < classes; k++)
            sum += ft_real_exp((double)row[k] - (double)row[best]);
        *value_of(t, FT_METRIC_TEST_CORRECT, 0) += best == (uint32_t)y[i];
        tally_calibration(t, 1 / sum, best == (uint32_t)y[i]);
    }
}

static void
tally_clusters(struct tally *t, float *z, size_t rows, uint32_t clusters, const struct ft_model *m)
{
    ft_model_predict(m, z, rows); /* 1 at the nearest */
    for (size_t i = 0; i < rows; i++)
        for (uint32_t k = 0; k < clusters; k++)
            *value_of(t, FT_METRIC_CLUSTER_ROWS, k) += z[i * clusters + k] > 0;
}

static double
log_term(double y)
{
    return y > 0 ? y * ft_real_log(y) - y : 0;
}

/* Losses of one chunk, as the metrics define them: never negative. */
static void
tally_losses(struct tally *t, const float *y, size_t rows, double *losses)
{
    if (t->plan->spec.model.kind == FT_MODEL_POISSON)
        for (size_t i = 0; i < rows; i++) {
            losses[i] += log_term((double)y[i]);
            t->base += log_term((double)y[i]) + 1;
        }
    const double most = ft_model_is_clusters(&t->plan->spec.model)
                            ? FT_CLUSTER_LOSS_CAP * (double)t->plan->spec.model.features
                            : INFINITY;
    for (size_t i = 0; i < rows; i++) {
        losses[i] = losses[i] > most ? most : losses[i];
        const double loss = losses[i] > 0 ? losses[i] : losses[i] <= 0 ? 0 : NAN; /* rounding may leave -1e-17 */
        t->loss += loss;
        t->loss_squared += loss * loss;
    }
}

static enum ft_status
labels_check(const struct ft_metrics_spec *spec, const struct ft_dataset *data, struct ft_error *err)
{
    const uint32_t classes = ft_model_is_binary(&spec->model) ? 2 : spec->model.classes;

    if (data->rows > spec->rows_max)
        return ft_fail(err, FT_ERR_LIMIT, "a split has more rows than the task's rows_max, %llu",
                       (unsigned long long)spec->rows_max);
    for (size_t i = 0; i < data->rows; i++) {
        const float y = data->y[i];
        if (!isfinite(y))
            return ft_fail(err, FT_ERR_NONFINITE, "a label is not finite");
        if (spec->model.kind == FT_MODEL_POISSON && y < 0)
            return ft_fail(err, FT_ERR_FORMAT, "a label is below 0 where a count is needed");
        if (ft_model_is_clusters(&spec->model)) /* none is read */
            continue;
        if (!ft_model_is_regression(&spec->model) && !(y >= 0 && y < (float)classes && y == floorf(y)))
            return ft_fail(err, FT_ERR_FORMAT, "a label is not one of the %u classes", classes);
    }
    return FT_OK;
}

/* Count one split; the test split has everything, the train split its loss. */
static enum ft_status
measure_split(struct tally *t, struct ft_model *m, const float *params, const struct ft_dataset *data, bool test,
              struct ft_error *err)
{
    const struct ft_metrics_spec *spec = &t->plan->spec;
    const uint32_t last = m->shape.layer_count - 1, outputs = m->shape.layers[last].out;
    enum ft_status st;

    t->loss = t->loss_squared = t->base = 0;
    FT_TRY(labels_check(spec, data, err));
    for (size_t from = 0, n; from < data->rows; from += n) {
        float *z = m->act[last];
        const float *y = data->y + from;
        n = data->rows - from < m->chunk ? data->rows - from : m->chunk;
        model_forward(m, params, data->x + from * m->spec.features, n);
        if (!floats_finite(z, n * outputs))
            return ft_fail(err, FT_ERR_NONFINITE, "a score is not finite");
        ft_model_losses(m, z, y, n, m->losses);
        tally_losses(t, y, n, m->losses);
        if (test && ft_model_is_binary(&spec->model))
            tally_binary(t, z, y, n);
        else if (test && ft_model_is_clusters(&spec->model))
            tally_clusters(t, z, n, outputs, m);
        else if (test && !ft_model_is_regression(&spec->model))
            tally_classes(t, z, y, n, outputs);
    }
    *value_of(t, test ? FT_METRIC_TEST_ROWS : FT_METRIC_TRAIN_ROWS, 0) = data->rows;
    FT_TRY(store(t, test ? FT_METRIC_TEST_LOSS : FT_METRIC_TRAIN_LOSS, 0, t->loss, t->plan->loss_unit, err));
    if (test)
        FT_TRY(store(t, FT_METRIC_TEST_LOSS_SQUARED, 0, t->loss_squared, t->plan->loss_squared_unit, err));
    if (spec->model.kind == FT_MODEL_POISSON)
        FT_TRY(store(t, test ? FT_METRIC_TEST_BASE : FT_METRIC_TRAIN_BASE, 0, t->base, t->plan->loss_unit, err));
    for (uint32_t bin = 0; test && bin < t->plan->groups[FT_METRIC_CALIBRATION_SCORE].count; bin++)
        FT_TRY(store(t, FT_METRIC_CALIBRATION_SCORE, bin, t->score[bin], FT_PROBABILITY_UNIT, err));
out:
    return st;
}

enum ft_status
ft_metrics_measure(const struct ft_metrics_plan *plan, struct ft_model *m, const float *params,
                   const struct ft_dataset *test, const struct ft_dataset *train, uint64_t *values,
                   struct ft_error *err)
{
    enum ft_status st;
    struct tally t = { .plan = plan };

    t.values = ft_calloc(plan->value_count, sizeof *t.values);
    if (t.values == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(measure_split(&t, m, params, test, true, err));
    FT_TRY(measure_split(&t, m, params, train, false, err));
    memcpy(values, t.values, plan->value_count * sizeof *values);
out:
    explicit_bzero(t.values, plan->value_count * sizeof *t.values);
    ft_free(t.values);
    return st;
}
