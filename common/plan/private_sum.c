#include "common/plan/private_sum.h"

#include "common/base/alloc.h"
#include "common/model/per_customer.h"
#include "common/privacy/rotate.h"

#include <math.h>
#include <string.h>

#define Z95   1.959963984540054
#define CLEAR 4 /* a count below so many standard deviations of its noise tells nothing */

static const struct ft_estimate unknown = { NAN, NAN, NAN };

uint32_t
ft_private_least_shops(const struct ft_task *task)
{
    return task->privacy.t_min + task->corrupted;
}

static enum ft_status
rotate_back(const struct ft_task *task, double *values, size_t padded)
{
    uint8_t *signs = ft_calloc((padded + 7) / 8, 1);

    if (signs == NULL)
        return FT_ERR_NOMEM;
    ft_rotate_signs(task->privacy.rotation_seed, signs, padded);
    ft_rotate_back(signs, values, padded);
    ft_free(signs);
    return FT_OK;
}

enum ft_status
ft_private_sum_init(struct ft_private_sum *sum, const struct ft_task *task, const struct ft_round_plan *plan,
                    const int64_t *z, uint32_t shops, uint64_t customers, double *room, struct ft_error *err)
{
    const struct ft_privacy_plan *p = &plan->privacy;
    const size_t count = (size_t)p->dim - p->indicator;
    const double step = plan->codec.quant_step;
    enum ft_status st = FT_OK;

    memset(sum, 0, sizeof *sum);
    if (!p->on || customers == 0)
        return ft_fail(err, FT_ERR_ARGUMENT, "a sum without noise, or of no declared customers");
    if (shops < ft_private_least_shops(task))
        return ft_fail(err, FT_ERR_COHORT,
                       "%u shops in a sum whose noise needs %u shares beside %u that may be corrupted", shops,
                       task->privacy.t_min, task->corrupted);
    *sum = (struct ft_private_sum){ .task = task,
                                    .plan = plan,
                                    .shops = shops,
                                    .customers = customers,
                                    .expected = ft_plan_q(task) * (double)customers,
                                    .values = room,
                                    .noise = task->privacy.sigma_share * sqrt(shops) * step,
                                    .below_share = NAN };
    for (size_t i = 0; i < count; i++)
        room[i] = (double)z[i] * step;
    if (p->rotated)
        st = rotate_back(task, room, count);
    if (p->indicator)
        sum->below_share =
            ft_privacy_below_share(z[count], task->privacy.lambda, task->privacy.q_num, (double)customers);
    return st;
}

/* ---- statistics ---- */

static struct ft_estimate
normal(double value, double deviation)
{
    return (struct ft_estimate){ value, value - Z95 * deviation, value + Z95 * deviation };
}

/* A count that is a coordinate of the vector, in the unit `scale`; the declared size where the noise hides
 * it. */
static double
count_of(const struct ft_private_sum *sum, size_t at, double scale)
{
    const double count = sum->values[at] * scale;
    return count > CLEAR * sum->noise * scale ? count : sum->expected;
}

void
ft_private_statistics(const struct ft_private_sum *sum, double *means, double *stds,
                      struct ft_estimate *count)
{
    const struct ft_task *task = sum->task;
    const uint32_t features = task->feature_count;
    const double scale = sqrt(2.0 * features + 1), noise = sum->noise * scale;
    const double n = count_of(sum, 2 * (size_t)features, scale);

    if (count != NULL)
        *count = normal(sum->values[2 * (size_t)features] * scale, noise);
    for (uint32_t j = 0; j < features; j++) {
        const double half = (task->features[j].max - task->features[j].min) / 2;
        const double mean = fmax(-1, fmin(1, sum->values[j] * scale / n));
        const double square = fmin(1, sum->values[features + j] * scale / n);
        /* Of square - mean^2: noise of both sums and of the count. */
        const double open = noise / n * sqrt(1 + 4 * mean * mean + square * square);
        const double variance = fmin(1, fmax(square - mean * mean, fmax(2 * open, 1e-8)));
        means[j] = task->features[j].min + half * (mean + 1);
        stds[j] = half * sqrt(variance);
    }
}

/* ---- training ---- */

void
ft_private_update(struct ft_private_sum *sum, const float *params, double *norm)
{
    const struct ft_task *task = sum->task;
    const size_t count = sum->plan->privacy.coordinates;
    double square = 0;

    for (size_t i = 0; i < count; i++) {
        sum->values[i] /= sum->expected;
        square += sum->values[i] * sum->values[i];
    }
    if (norm != NULL)
        *norm = sqrt(square);
    if (task->privacy.contribution != FT_CONTRIBUTION_GRADIENT)
        return;
    ft_model_decay(&sum->plan->model, params, task->weight_decay, sum->values);
    for (size_t i = 0; i < count; i++)
        sum->values[i] *= task->learning_rate;
}

void
ft_private_block(struct ft_private_sum *sum, const float *params, double *noise_sum, double *noise_number)
{
    const struct ft_model_spec *spec = &sum->plan->model;
    double unit[2] = { 0, sum->noise }; /* noise in a number, as a block of one cluster and no features */
    const struct ft_model_spec one = { .kind = FT_MODEL_KMEANS, .features = 1, .classes = 1 };

    ft_kmeans_from_customers(&one, (const float[1]){ 0 }, sum->plan->privacy.clip, unit);
    ft_kmeans_from_customers(spec, params, sum->plan->privacy.clip, sum->values);
    *noise_sum = sum->noise;
    *noise_number = unit[1];
}

double
ft_private_next_clip(const struct ft_private_sum *sum)
{
    const struct ft_task_privacy *p = &sum->task->privacy;
    const struct ft_privacy_adapt adapt = { p->clip_quantile, p->clip_rate, p->clip_min, p->clip_max };

    return sum->plan->privacy.indicator
               ? ft_privacy_next_clip(&adapt, sum->plan->privacy.clip, sum->below_share)
               : sum->task->clip;
}

/* ---- evaluation ---- */

static double
sigmoid(double z)
{
    const double e = exp(-fabs(z));
    return (z >= 0 ? 1 : e) / (1 + e);
}

double
ft_private_bin_probability(uint32_t bin)
{
    const double u = (bin + 0.5) / FT_PRIVATE_BINS;
    return sigmoid(2 * log(u / (1 - u)));
}

/* A share of n with noise of variance `noise_sq` times n^2. Wilson's term keeps the interval open at 0 and 1.
 */
static struct ft_estimate
share_of(double p, double n, double noise_sq)
{
    const double half = Z95 * sqrt(p * (1 - p) / n + Z95 * Z95 / (4 * n * n) + noise_sq / (n * n));
    return (struct ft_estimate){ p, fmax(0, p - half), fmin(1, p + half) };
}

static double
portion(double part, double n)
{
    return fmax(0, fmin(1, part / n));
}

/* Mean loss: its own spread is not known and bounded by (cap - L) L (Bhatia and Davis). */
static struct ft_estimate
loss_of(double share, double n, double noise, double cap)
{
    const double p = portion(share, n);
    const double half = Z95 * sqrt(p * (1 - p) / n + noise * noise * (1 + p * p) / (n * n));
    return (struct ft_estimate){ cap * p, cap * fmax(0, p - half), cap * fmin(1, p + half) };
}

/*
 * As ft_auc_histogram, with noise in every bin. The numerator is free of bias, since positives and negatives
 * carry independent noise; what the noise adds to the variance follows from the slope in each bin.
 */
static struct ft_estimate
auc_of(const double *positives, const double *negatives, double noise)
{
    uint64_t pos[FT_PRIVATE_BINS], neg[FT_PRIVATE_BINS];
    double n_pos = 0, n_neg = 0, below_neg = 0, below_pos = 0, auc = 0, slopes = 0;

    for (int b = 0; b < FT_PRIVATE_BINS; b++) {
        n_pos += positives[b];
        n_neg += negatives[b];
        pos[b] = (uint64_t)fmax(0, rint(positives[b]));
        neg[b] = (uint64_t)fmax(0, rint(negatives[b]));
    }
    const double least = CLEAR * noise * sqrt(FT_PRIVATE_BINS);
    if (!(n_pos > least) || !(n_neg > least))
        return unknown;
    for (int b = 0; b < FT_PRIVATE_BINS; b++) {
        auc += positives[b] * (below_neg + negatives[b] / 2);
        below_neg += negatives[b];
    }
    auc /= n_pos * n_neg;
    below_neg = 0;
    for (int b = 0; b < FT_PRIVATE_BINS; b++) {
        const double wins = (below_neg + negatives[b] / 2) / n_neg;
        const double beaten = (n_pos - below_pos - positives[b] / 2) / n_pos;
        slopes += pow((wins - auc) / n_pos, 2) + pow((beaten - auc) / n_neg, 2);
        below_neg += negatives[b];
        below_pos += positives[b];
    }
    const struct ft_estimate sampled = ft_auc_histogram(pos, neg, FT_PRIVATE_BINS);
    const double spread = fmax(sampled.high - sampled.value, sampled.value - sampled.low);
    const double half = sqrt(spread * spread + Z95 * Z95 * noise * noise * slopes);
    auc = fmax(0, fmin(1, auc));
    return (struct ft_estimate){ auc, fmax(0, auc - half), fmin(1, auc + half) };
}

/* Neighbouring bins are put together until a row stands clear of its noise and holds its part of all. */
static void
calibrate(struct ft_private_metrics *m, const double *positives, const double *negatives, double noise,
          double part)
{
    double pos = 0, neg = 0, weight = 0, score = 0, cells = 0, error = 0, rows = 0;

    for (uint32_t b = 0; b < FT_PRIVATE_BINS; b++) {
        const double seen = fmax(0, positives[b]) + fmax(0, negatives[b]);
        pos += positives[b];
        neg += negatives[b];
        weight += seen;
        score += seen * ft_private_bin_probability(b);
        cells++;
        const bool clear = pos + neg > CLEAR * noise * sqrt(2 * cells);
        if (!clear || (pos + neg < part && b + 1 < FT_PRIVATE_BINS))
            continue;
        struct ft_calibration_row *row = &m->calibration[m->calibration_count++];
        row->rows = pos + neg;
        row->score = score / weight;
        const double rate = portion(pos, pos + neg);
        row->rate =
            share_of(rate, pos + neg, cells * noise * noise * (rate * rate + (1 - rate) * (1 - rate)));
        error += row->rows * fabs(row->score - row->rate.value);
        rows += row->rows;
        pos = neg = weight = score = cells = 0;
    }
    m->calibration_error = rows > 0 ? error / rows : NAN;
}

/* k-means: inertia and shares. The customers are the sum of all shares, each with its own noise. */
static void
cluster_metrics(const struct ft_private_sum *sum, struct ft_private_metrics *m)
{
    const uint32_t clusters = sum->plan->model.classes;
    const double scale = sqrt(2), noise = scale * sum->noise, all = noise * sqrt(clusters);
    double n = 0;

    m->cluster_count = clusters;
    for (uint32_t k = 0; k < clusters; k++) {
        n += scale * sum->values[1 + k];
        m->clusters[k] = unknown;
    }
    m->customers = normal(n, all);
    if (!(n > CLEAR * all))
        return;
    m->loss = loss_of(scale * sum->values[0], n, fmax(noise, all), sum->plan->privacy.loss_cap);
    for (uint32_t k = 0; k < clusters; k++) {
        const double own = scale * sum->values[1 + k], p = portion(own, n);
        if (own > CLEAR * noise && own >= sum->task->min_cluster)
            m->clusters[k] = share_of(p, n, noise * noise * (1 + p * p * clusters));
    }
}

void
ft_private_metrics(const struct ft_private_sum *sum, struct ft_private_metrics *m)
{
    const struct ft_privacy_plan *plan = &sum->plan->privacy;
    const double noise = 2 * sum->noise; /* the vector is halved */
    double counts[3 + 2 * FT_PRIVATE_BINS] = { 0 };
    const double *positives = counts + 3, *negatives = counts + 3 + FT_PRIVATE_BINS;
    const bool binary = ft_model_is_binary(&sum->plan->model);

    memset(m, 0, sizeof *m);
    m->loss = m->accuracy = m->auc = unknown;
    m->positives = m->negatives = m->calibration_error = NAN;
    if (ft_model_is_clusters(&sum->plan->model)) {
        cluster_metrics(sum, m);
        return;
    }
    for (size_t i = 0; i < plan->coordinates; i++)
        counts[i] = 2 * sum->values[i];
    m->customers = normal(counts[0], noise);
    if (!(counts[0] > CLEAR * noise))
        return;
    const double right = portion(counts[1], counts[0]);
    m->loss = loss_of(counts[2], counts[0], noise, plan->loss_cap);
    if (!ft_model_is_regression(&sum->plan->model))
        m->accuracy = share_of(right, counts[0], noise * noise * (1 + right * right));
    if (!binary)
        return;
    m->positives = m->negatives = 0;
    for (int b = 0; b < FT_PRIVATE_BINS; b++) {
        m->positives += positives[b];
        m->negatives += negatives[b];
    }
    m->auc = auc_of(positives, negatives, noise);
    calibrate(m, positives, negatives, noise, counts[0] / sum->task->calibration_bins);
}
