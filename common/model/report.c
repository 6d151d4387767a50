/* The centre's half of metrics: estimates and intervals from summed values. */
#include "common/base/alloc.h"
#include "common/model/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define Z95 1.959963984540054

static const struct ft_estimate unknown = { NAN, NAN, NAN };

static double
between(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

/* A share of n with Wilson's interval (1927): never outside 0..1, sound for few rows. */
static struct ft_estimate
share_of(double hits, double n)
{
    const double p = hits / n, z2 = Z95 * Z95;
    const double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
    const double half = Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n);
    if (!(n > 0))
        return unknown;
    return (struct ft_estimate){ p, between(centre - half, 0, p), between(centre + half, p, 1) };
}

/*
 * DeLong's estimator (1988) on binned scores. A positive in bin b wins against the negatives below and half
 * of those in b: its placement. The AUC is the mean placement; its variance is that of the positives'
 * placements over their number plus the same of the negatives.
 */
struct ft_estimate
ft_auc_histogram(const uint64_t *positives, const uint64_t *negatives, size_t bins)
{
    double n_pos = 0, n_neg = 0, below_neg = 0, below_pos = 0, auc = 0, squares_pos = 0, squares_neg = 0,
           error;

    for (size_t b = 0; b < bins; b++) {
        n_pos += (double)positives[b];
        n_neg += (double)negatives[b];
    }
    if (!(n_pos > 0) || !(n_neg > 0))
        return unknown;
    for (size_t b = 0; b < bins; b++) {
        const double pos = (double)positives[b], neg = (double)negatives[b];
        const double wins = (below_neg + neg / 2) / n_neg, beaten = (n_pos - below_pos - pos / 2) / n_pos;
        auc += pos * wins;
        squares_pos += pos * wins * wins;
        squares_neg += neg * beaten * beaten;
        below_neg += neg;
        below_pos += pos;
    }
    auc /= n_pos;
    squares_pos = n_pos > 1 ? (squares_pos - n_pos * auc * auc) / (n_pos - 1) : 0.25;
    squares_neg = n_neg > 1 ? (squares_neg - n_neg * auc * auc) / (n_neg - 1) : 0.25;
    error = sqrt(fmax(squares_pos, 0) / n_pos + fmax(squares_neg, 0) / n_neg);
    return (struct ft_estimate){ auc, between(auc - Z95 * error, 0, 1), between(auc + Z95 * error, 0, 1) };
}

static double
summed(const struct ft_metrics_plan *plan, const uint64_t *sums, enum ft_metric metric, uint32_t index,
       double unit)
{
    return plan->groups[metric].count > index ? (double)sums[plan->groups[metric].at + index] * unit : 0;
}

/* Mean of the metric's loss with a normal interval. */
static struct ft_estimate
mean_loss(const struct ft_metrics_plan *plan, const uint64_t *sums, double rows)
{
    const double mean = summed(plan, sums, FT_METRIC_TEST_LOSS, 0, plan->loss_unit) / rows;
    const double square = summed(plan, sums, FT_METRIC_TEST_LOSS_SQUARED, 0, plan->loss_squared_unit) / rows;
    const double half = rows > 1 ? Z95 * sqrt(fmax(square - mean * mean, 0) / (rows - 1)) : INFINITY;
    if (!(rows > 0))
        return unknown;
    return (struct ft_estimate){ mean, fmax(mean - half, 0), mean + half };
}

/* Poisson's deviance half and its training loss differ by a number of the labels alone: mean(y - y log y). */
static double
base_shift(const struct ft_metrics_plan *plan, const uint64_t *sums, enum ft_metric base, double rows)
{
    if (plan->groups[base].count == 0 || !(rows > 0))
        return 0;
    return 1 - summed(plan, sums, base, 0, plan->loss_unit) / rows;
}

static void
report_calibration(const struct ft_metrics_plan *plan, const uint64_t *sums, struct ft_metrics_report *r)
{
    double weighted = 0, rows = 0;

    r->calibration_count = plan->groups[FT_METRIC_CALIBRATION_ROWS].count;
    for (uint32_t b = 0; b < r->calibration_count; b++) {
        struct ft_calibration_row *row = &r->calibration[b];
        const double hits = summed(plan, sums, FT_METRIC_CALIBRATION_HITS, b, 1);
        row->rows = summed(plan, sums, FT_METRIC_CALIBRATION_ROWS, b, 1);
        row->score = NAN;
        row->rate = unknown;
        if (!(row->rows > 0))
            continue;
        row->score = summed(plan, sums, FT_METRIC_CALIBRATION_SCORE, b, FT_PROBABILITY_UNIT) / row->rows;
        row->rate = share_of(hits, row->rows);
        weighted += row->rows * fabs(row->score - row->rate.value);
        rows += row->rows;
    }
    r->calibration_error = rows > 0 ? weighted / rows : NAN;
}

void
ft_metrics_report(const struct ft_metrics_plan *plan, const uint64_t *sums, const float *params,
                  double weight_decay, struct ft_metrics_report *r)
{
    const double test = summed(plan, sums, FT_METRIC_TEST_ROWS, 0, 1);
    const double train = summed(plan, sums, FT_METRIC_TRAIN_ROWS, 0, 1);
    const double shift = base_shift(plan, sums, FT_METRIC_TEST_BASE, test);
    const struct ft_metric_group *pos = &plan->groups[FT_METRIC_POSITIVES],
                                 *neg = &plan->groups[FT_METRIC_NEGATIVES];

    memset(r, 0, sizeof *r);
    r->test_rows = sums[plan->groups[FT_METRIC_TEST_ROWS].at];
    r->train_rows = sums[plan->groups[FT_METRIC_TRAIN_ROWS].at];
    for (uint32_t b = 0; b < pos->count; b++) {
        r->positives += sums[pos->at + b];
        r->negatives += sums[neg->at + b];
    }
    r->test_loss = mean_loss(plan, sums, test);
    r->test_deviance = 2 * r->test_loss.value;
    r->test_loss.value += shift;
    r->test_loss.low += shift;
    r->test_loss.high += shift;
    r->accuracy = plan->groups[FT_METRIC_TEST_CORRECT].count > 0
                      ? share_of(summed(plan, sums, FT_METRIC_TEST_CORRECT, 0, 1), test)
                      : unknown;
    r->auc = pos->count > 0 ? ft_auc_histogram(sums + pos->at, sums + neg->at, pos->count) : unknown;
    report_calibration(plan, sums, r);
    r->cluster_count = plan->groups[FT_METRIC_CLUSTER_ROWS].count;
    for (uint32_t k = 0; k < r->cluster_count; k++) {
        r->clusters[k].rows = sums[plan->groups[FT_METRIC_CLUSTER_ROWS].at + k];
        r->clusters[k].share = share_of((double)r->clusters[k].rows, test);
    }
    r->train_loss = NAN;
    if (train > 0)
        r->train_loss = summed(plan, sums, FT_METRIC_TRAIN_LOSS, 0, plan->loss_unit) / train +
                        base_shift(plan, sums, FT_METRIC_TRAIN_BASE, train);
    r->objective = r->train_loss;
    if (params != NULL && !ft_model_is_clusters(&plan->spec.model))
        r->objective += ft_model_penalty(&plan->spec.model, params, weight_decay);
}

static struct ft_calibration_row
joined(const struct ft_calibration_row *a, const struct ft_calibration_row *b)
{
    const double rows = a->rows + b->rows;
    const double hits =
        (a->rows > 0 ? a->rate.value * a->rows : 0) + (b->rows > 0 ? b->rate.value * b->rows : 0);
    const double scores = (a->rows > 0 ? a->score * a->rows : 0) + (b->rows > 0 ? b->score * b->rows : 0);

    if (!(rows > 0))
        return (struct ft_calibration_row){ .score = NAN, .rate = unknown };
    return (struct ft_calibration_row){ rows, scores / rows, share_of(hits, rows) };
}

/* From the left; what is left over at the right joins the last. */
static void
join_calibration(struct ft_metrics_report *r, double least)
{
    uint32_t kept = 0;

    for (uint32_t b = 0; b < r->calibration_count; b++) {
        if (kept > 0 && r->calibration[kept - 1].rows < least)
            r->calibration[kept - 1] = joined(&r->calibration[kept - 1], &r->calibration[b]);
        else
            r->calibration[kept++] = r->calibration[b];
    }
    while (kept > 1 && r->calibration[kept - 1].rows < least) {
        r->calibration[kept - 2] = joined(&r->calibration[kept - 2], &r->calibration[kept - 1]);
        kept--;
    }
    r->calibration_count = kept > 0 && r->calibration[0].rows >= least ? kept : 0;
}

/* The small clusters go together, and with them the smallest of the others while they are still too few: nothing about
 * one of them is left, nor a difference that would tell. */
static void
join_clusters(struct ft_metrics_report *r, uint64_t least)
{
    struct ft_cluster_row *rest = &r->cluster_rest;
    uint64_t total = 0;
    bool some = false;

    for (uint32_t k = 0; k < r->cluster_count; k++) {
        r->clusters[k].withheld = r->clusters[k].rows < least;
        some |= r->clusters[k].withheld;
        rest->rows += r->clusters[k].withheld ? r->clusters[k].rows : 0;
        total += r->clusters[k].rows;
    }
    while (some && rest->rows < least) {
        struct ft_cluster_row *smallest = NULL;
        for (uint32_t k = 0; k < r->cluster_count; k++)
            if (!r->clusters[k].withheld && (smallest == NULL || r->clusters[k].rows < smallest->rows))
                smallest = &r->clusters[k];
        if (smallest == NULL)
            break;
        smallest->withheld = true;
        rest->rows += smallest->rows;
    }
    for (uint32_t k = 0; k < r->cluster_count; k++)
        if (r->clusters[k].withheld)
            r->clusters[k] = (struct ft_cluster_row){ .share = unknown, .withheld = true };
    rest->withheld = rest->rows < least;
    rest->share = some && !rest->withheld ? share_of((double)rest->rows, (double)total) : unknown;
}

void
ft_metrics_withhold(struct ft_metrics_report *r, uint64_t group_min)
{
    const bool two_classes = r->positives + r->negatives > 0;

    r->test_withheld = r->test_rows < group_min;
    r->train_withheld = r->train_rows < group_min;
    r->classes_withheld = two_classes && (r->positives < group_min || r->negatives < group_min);
    if (r->test_withheld) {
        r->test_loss = r->accuracy = unknown;
        r->test_deviance = NAN;
    }
    if (r->test_withheld || r->classes_withheld)
        r->auc = unknown;
    if (r->train_withheld)
        r->train_loss = r->objective = NAN;
    join_calibration(r, (double)group_min);
    join_clusters(r, group_min);
    if (r->calibration_count == 0)
        r->calibration_error = NAN;
}

struct scored {
    float score;
    bool positive;
};

static int
scored_order(const void *a, const void *b)
{
    const float x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return (x > y) - (x < y);
}

enum ft_status
ft_auc_exact(const float *scores, const float *labels, size_t rows, double *auc)
{
    struct scored *sorted = ft_calloc(rows, sizeof *sorted);
    double wins = 0, below = 0, n_pos = 0;

    if (sorted == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < rows; i++)
        sorted[i] = (struct scored){ scores[i], labels[i] > 0.5f };
    qsort(sorted, rows, sizeof *sorted, scored_order);
    for (size_t i = 0, end; i < rows; i = end) {
        double pos = 0, neg = 0;
        for (end = i; end < rows && !(sorted[end].score > sorted[i].score); end++) {
            pos += sorted[end].positive;
            neg += !sorted[end].positive;
        }
        wins += pos * (below + neg / 2);
        below += neg;
        n_pos += pos;
    }
    *auc = n_pos > 0 && below > 0 ? wins / (n_pos * below) : NAN;
    ft_free(sorted);
    return FT_OK;
}
