#include "common/plan/measured.h"

#include "common/base/alloc.h"
#include "common/plan/dyadic.h"
#include "common/privacy/encode.h"

#include <math.h>

#define Z95   1.959963984540054
#define CLEAR 4 /* a count below so many standard deviations of its noise tells nothing */

static const struct ft_figure withheld = { { NAN, NAN, NAN }, NAN, true };

/* ---- sums ---- */

void
ft_measured_unscale(const struct ft_measure_plan *plan, double *values)
{
    for (uint32_t i = 0; i < plan->count; i++)
        for (size_t c = 0; c < plan->blocks[i].cells; c++)
            values[plan->blocks[i].at + c] /= plan->blocks[i].scale;
}

/* ---- reading ---- */

/* Of a coordinate of the summed vectors: shares of noise, and what rounding to integers adds at most. */
static double
vector_noise(const struct ft_task *task, uint32_t shops, double customers)
{
    const double share = task->privacy.sigma_share, expected = ft_plan_q(task) * customers;
    return ft_privacy_quant_step(1, task->privacy.scale) * sqrt(shops * share * share + expected / 4);
}

double
ft_measure_noise(const struct ft_task *task, const struct ft_measure_block *b, uint32_t shops,
                 double customers)
{
    return task->noise == 0 ? 0 : vector_noise(task, shops, customers) / b->scale;
}

enum ft_status
ft_measured_init(struct ft_measured *m, const struct ft_task *task, const struct ft_model_found *found,
                 struct ft_error *err)
{
    enum ft_status st;

    *m = (struct ft_measured){ .found = found, .noisy = task->noise != 0, .q = 1 };
    st = ft_measure_plan_init(&m->plan, task);
    if (st != FT_OK)
        return ft_fail(err, st, "%s is no task that measures", task->name);
    if (found->count != m->plan.cells || found->shops < 1 || (m->noisy && found->customers == 0)) {
        st = ft_fail(err, FT_ERR_ARGUMENT, "a result of %zu sums of %u shops; the task %s makes %zu",
                     found->count, found->shops, task->name, m->plan.cells);
        ft_measured_clear(m);
        return st;
    }
    if (m->noisy) {
        m->noise = vector_noise(task, found->shops, (double)found->customers);
        m->q = ft_plan_q(task);
    }
    return FT_OK;
}

void
ft_measured_clear(struct ft_measured *m)
{
    ft_measure_plan_clear(&m->plan);
    *m = (struct ft_measured){ 0 };
}

double
ft_measured_block_noise(const struct ft_measured *m, const struct ft_measure_block *b)
{
    return m->noise / b->scale;
}

static bool
too_few(const struct ft_measured *m, double count)
{
    const double least = (double)m->found->min_group; /* 0 with unit store, whose noise may well leave less */
    return m->noisy ? least > 0 && count / m->q < least : count == FT_MEASURED_WITHHELD;
}

/* Without noise a figure's own sum may be withheld beside a count that is not. */
static bool
gone(const struct ft_measured *m, double sum)
{
    return !m->noisy && sum == FT_MEASURED_WITHHELD;
}

static double
half_of_count(const struct ft_measured *m, const struct ft_measure_block *b, double sum)
{
    const double noise = ft_measured_block_noise(m, b);
    return Z95 * sqrt(noise * noise + fmax(0, sum) * (1 - m->q)) / m->q;
}

double
ft_measured_reach(const struct ft_measured *m, const struct ft_measure_block *b)
{
    double most = 0;
    for (size_t c = 0; c < b->cells; c++)
        most = fmax(most, half_of_count(m, b, m->found->sums[b->at + c]));
    return most;
}

/* A sum of ones, as a count of customers. */
struct ft_figure
ft_measured_cell(const struct ft_measured *m, const struct ft_measure_block *b, size_t cell)
{
    const double sum = m->found->sums[b->at + cell], value = sum / m->q, half = half_of_count(m, b, sum);

    if (too_few(m, sum))
        return withheld;
    return (
        struct ft_figure){ { fmax(0, value), fmax(0, value - half), fmax(0, value + half) }, value, false };
}

struct ft_figure
ft_measured_count(const struct ft_measured *m)
{
    return ft_measured_cell(m, &m->plan.blocks[0], 0);
}

/* The count as a denominator: of those drawn. */
struct denominator {
    double n, noise;
    bool clear;
};

static struct denominator
denominator(const struct ft_measured *m)
{
    const double n = m->found->sums[0], noise = ft_measured_block_noise(m, &m->plan.blocks[0]);
    return (struct denominator){ n, noise, n > CLEAR * noise };
}

/* From w in -1 .. 1 to the feature's own range. */
static struct ft_estimate
in_range(const struct ft_measure_axis *axis, double value, double low, double high)
{
    const double half = (axis->high - axis->low) / 2;
#define BACK(w) (axis->low + half * (fmax(-1, fmin(1, (w))) + 1))
    return (struct ft_estimate){ isnan(value) ? NAN : BACK(value), BACK(low), BACK(high) };
#undef BACK
}

/* All m with (sum - m n)^2 <= z^2 (a^2 + m^2 b^2), a and b the noise of sum and count. */
static void
fieller(double sum, double a, const struct denominator *d, double *low, double *high)
{
    const double b2 = Z95 * Z95 * d->noise * d->noise, a2 = Z95 * Z95 * a * a;
    const double square = d->n * d->n - b2;
    const double root = sqrt(fmax(0, a2 * d->n * d->n + b2 * sum * sum - a2 * b2));

    *low = (sum * d->n - root) / square;
    *high = (sum * d->n + root) / square;
}

struct ft_figure
ft_measured_mean(const struct ft_measured *m, const struct ft_measure_block *b)
{
    const struct denominator d = denominator(m);
    const struct ft_measure_axis *axis = &b->axes[0];
    double sum = m->found->sums[b->at], low, high;

    if (too_few(m, d.n) || gone(m, sum))
        return withheld;
    if (!m->noisy)
        sum = 2 * sum - d.n;
    if (!d.clear)
        return (struct ft_figure){ in_range(axis, NAN, -1, 1), NAN, false };
    const double mean = fmax(-1, fmin(1, sum / d.n));
    if (!m->noisy)
        return (struct ft_figure){ in_range(axis, mean, mean, mean), in_range(axis, mean, mean, mean).value, false };
    fieller(sum, ft_measured_block_noise(m, b), &d, &low, &high);
    const double drawn = Z95 * sqrt((1 - m->q) * (1 - mean * mean) / d.n); /* at most: |w| <= 1 */
    const struct ft_estimate e =
        in_range(axis, mean, mean - hypot(mean - low, drawn), mean + hypot(high - mean, drawn));
    return (struct ft_figure){ e, e.value, false };
}

static struct ft_figure
root_of(const struct ft_figure *f)
{
    const struct ft_estimate e = { sqrt(f->estimate.value), sqrt(f->estimate.low), sqrt(f->estimate.high) };
    return (struct ft_figure){ e, e.value, f->withheld };
}

struct ft_figure
ft_measured_variance(const struct ft_measured *m, const struct ft_measure_block *b,
                     struct ft_figure *deviation)
{
    const struct denominator d = denominator(m);
    const double half = (b->axes[0].high - b->axes[0].low) / 2, unit = half * half;
    const double noise = ft_measured_block_noise(m, b);
    double sum = m->found->sums[b->at], squares = m->found->sums[b->at + 1];
    const bool shown = !too_few(m, d.n) && !gone(m, squares);
    struct ft_figure out = withheld;

    if (shown && !d.clear)
        out = (struct ft_figure){ { NAN, 0, unit }, NAN, false };
    else if (shown) {
        if (!m->noisy) {
            sum = 2 * sum - d.n;
            squares = 2 * squares - d.n;
        }
        const double mean = sum / d.n, square = (squares / d.n + 1) / 2;
        const double v = fmax(0, fmin(1, square - mean * mean));
        /* Slopes of (squares / n + 1) / 2 - (sum / n)^2, each times n. */
        const double first =
            hypot(noise * sqrt(0.25 + 4 * mean * mean), d.noise * (2 * mean * mean - (2 * square - 1) / 2)) /
            d.n;
        const double second = Z95 * Z95 * (noise * noise + d.noise * d.noise) / (d.n * d.n);
        const double drawn = sqrt((1 - m->q) * 4 * v / d.n); /* at most: (w - mean)^4 <= 4 (w - mean)^2 */
        const double reach = Z95 * hypot(first, drawn) + second;
        out = (struct ft_figure){ { v * unit, fmax(0, v - reach) * unit, fmin(1, v + reach) * unit },
                                  v * unit,
                                  false };
    }
    if (deviation != NULL)
        *deviation = root_of(&out);
    return out;
}

/* ---- quantiles ---- */

/* Without noise: down the tree as far as counts are known, then a straight line through the cell. */
static struct ft_figure
plain_quantile(const struct ft_measured *m, const struct ft_measure_block *b, double p)
{
    const double *cells = m->found->sums + b->at;
    const struct ft_measure_axis *axis = &b->axes[0];
    double left = p * m->found->sums[0], count = m->found->sums[0];
    uint32_t level = 0;
    size_t node = 0;

    while (level < b->levels && cells[ft_measure_level(level + 1) + 2 * node] != FT_MEASURED_WITHHELD) {
        const double *halves = cells + ft_measure_level(++level) + 2 * node;
        const bool upper = left > halves[0];
        node = 2 * node + upper;
        left -= upper ? halves[0] : 0;
        count = halves[upper];
    }
    const size_t wide = axis->cells >> level;
    const double low = axis->ends[node * wide], high = axis->ends[(node + 1) * wide];
    const double value = low + (high - low) * (count > 0 ? fmin(1, left / count) : 0);
    return (struct ft_figure){ { value, low, high }, value, false };
}

/* The fitted counts below each end of a cell, made to ascend: pool adjacent violators. levels (cells + 1). */
static void
ascend(double *below, double *pooled, double *weight, size_t ends)
{
    size_t blocks = 0, at = 0;

    for (size_t i = 0; i < ends; i++) {
        pooled[blocks] = below[i];
        weight[blocks++] = 1;
        while (blocks > 1 && pooled[blocks - 2] > pooled[blocks - 1]) {
            const double both = weight[blocks - 2] + weight[blocks - 1];
            pooled[blocks - 2] =
                (pooled[blocks - 2] * weight[blocks - 2] + pooled[blocks - 1] * weight[blocks - 1]) / both;
            weight[blocks - 2] = both;
            blocks--;
        }
    }
    for (size_t i = 0; i < blocks; i++)
        for (double k = 0; k < weight[i]; k++)
            below[at++] = pooled[i];
}

struct tree {
    const struct ft_measure_axis *axis;
    uint32_t levels;
    size_t cells;
    double noise, root_weight, q, all; /* all: customers in the fitted tree */
    double *leaves, *below, *pooled, *room;
};

/* Where the line through the ascending counts reaches p of all. */
static double
point_of(const struct tree *t, double p)
{
    const double want = p * t->all;
    size_t k = 0;

    while (k < t->cells - 1 && t->below[k] < want)
        k++;
    const double from = k > 0 ? t->below[k - 1] : 0, to = k < t->cells - 1 ? t->below[k] : t->all;
    const double part = to > from ? (want - from) / (to - from) : 0.5;
    return t->axis->ends[k] + (t->axis->ends[k + 1] - t->axis->ends[k]) * fmax(0, fmin(1, part));
}

/* The ends of a cell that the quantile can be above, and below: a test of "the count below this end is p of
 * all" at each. The statistic is linear in the counts, so its variance is exact. */
static struct ft_figure
noisy_quantile(const struct tree *t, double p)
{
    size_t low = 0, last = 0;
    bool open = true;
    double below = 0;

    for (size_t k = 1; k < t->cells; k++) {
        below += t->leaves[k - 1];
        const double noise =
            t->noise * t->noise * ft_dyadic_rank_variance(t->levels, t->root_weight, k, p);
        const double drawn = (1 - t->q) * fmax(0, t->all) * p * (1 - p);
        const double reach = Z95 * sqrt(noise + drawn), off = below - p * t->all;
        if (open && off + reach < 0)
            low = k; /* surely below the quantile, and so were all before */
        else
            open = false;
        if (off - reach <= 0)
            last = k; /* not surely above it */
    }
    return (struct ft_figure){ { point_of(t, p), t->axis->ends[low], t->axis->ends[last + 1] }, 0, false };
}

static void
clear_tree(struct tree *t)
{
    ft_free(t->leaves);
    ft_free(t->below);
    ft_free(t->pooled);
    ft_free(t->room);
}

static enum ft_status
fit_tree(const struct ft_measured *m, const struct ft_measure_block *b, struct tree *t)
{
    const size_t cells = b->axes[0].cells;
    const double noise = ft_measured_block_noise(m, b),
                 count = ft_measured_block_noise(m, &m->plan.blocks[0]);
    double sum = 0;

    *t = (struct tree){ .axis = &b->axes[0], .levels = b->levels, .cells = cells, .noise = noise, .q = m->q };
    t->root_weight = noise * noise / (count * count);
    t->leaves = ft_calloc(cells, sizeof *t->leaves);
    t->below = ft_calloc(cells, sizeof *t->below);
    t->pooled = ft_calloc(2 * cells, sizeof *t->pooled);
    t->room = ft_calloc(2 * cells, sizeof *t->room);
    if (t->leaves == NULL || t->below == NULL || t->pooled == NULL || t->room == NULL) {
        clear_tree(t);
        return FT_ERR_NOMEM;
    }
    ft_dyadic_fit(b->levels, m->found->sums + b->at, m->found->sums[0], t->root_weight, t->leaves, t->room);
    for (size_t i = 0; i < cells; i++)
        t->below[i] = sum += t->leaves[i];
    t->all = sum;
    ascend(t->below, t->pooled, t->pooled + cells, cells - 1);
    return FT_OK;
}

enum ft_status
ft_measured_quantiles(const struct ft_measured *m, const struct ft_measure_block *b, struct ft_figure *out)
{
    const struct ft_task_measure *asked = &m->plan.task->measures[b->measure];
    const struct denominator d = denominator(m);
    struct tree t = { 0 };

    if (m->noisy && d.clear && !too_few(m, d.n)) {
        const enum ft_status st = fit_tree(m, b, &t);
        if (st != FT_OK)
            return st;
    }
    for (uint32_t i = 0; i < asked->quantile_count; i++) {
        const double p = asked->quantiles[i];
        if (too_few(m, d.n))
            out[i] = withheld;
        else if (!m->noisy)
            out[i] = plain_quantile(m, b, p);
        else if (!d.clear || !(t.all > 0))
            out[i] = (struct ft_figure){ { NAN, b->axes[0].low, b->axes[0].high }, NAN, false };
        else
            out[i] = noisy_quantile(&t, p);
        if (m->noisy && !out[i].withheld) {
            struct ft_estimate *e = &out[i].estimate;
            if (!isnan(e->value))
                e->value = fmax(e->low, fmin(e->high, e->value));
            out[i].noisy = e->value;
        }
    }
    clear_tree(&t);
    return FT_OK;
}
