#include "common/model/statistics.h"
#include "common/model/model_internal.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Variance of u, in squares of the declared range, below which a feature counts as constant: above what the
 * rounding of sums (layout.h) and the subtraction of two doubles leave, below any spread worth a feature. */
#define CONSTANT_VARIANCE 1e-10

static bool
doubles_finite(const double *x, size_t count)
{
    bool good = true;
    for (size_t i = 0; i < count; i++)
        good &= (bool)isfinite(x[i]);
    return good;
}

/* x in the bounds; counts when it was outside. The bounds are compared as float32 too: x may be a bound itself,
 * rounded up. */
static double
clip(float x, const struct ft_bounds *b, uint64_t *clipped)
{
    const double v = (double)x;
    if (clipped != NULL && (x < (float)b->min || x > (float)b->max))
        (*clipped)++;
    return v < b->min ? b->min : v > b->max ? b->max : v;
}

enum ft_status
ft_statistics_sum(const float *x, size_t rows, uint32_t features, const struct ft_bounds *bounds, double *sums,
                  uint64_t *clipped)
{
    if (!floats_finite(x, rows * features))
        return FT_ERR_NONFINITE;
    for (uint32_t j = 0; j < features; j++) {
        const double range = bounds[j].max - bounds[j].min;
        double sum = 0, squares = 0;
        for (size_t i = 0; i < rows; i++) {
            const double in = clip(x[i * features + j], &bounds[j], clipped == NULL ? NULL : &clipped[j]);
            const double u = (in - bounds[j].min) / range;
            sum += u;
            squares += u * u;
        }
        sums[j] = sum;
        sums[features + j] = squares;
    }
    return FT_OK;
}

enum ft_status
ft_statistics_finish(const double *sums, double rows, uint32_t features, const struct ft_bounds *bounds,
                     double *means, double *stds)
{
    const double slack = 1e-6; /* relative: the codec's rounding, many times over */

    if (!(rows >= 1) || !isfinite(rows))
        return FT_ERR_ARGUMENT;
    if (!doubles_finite(sums, (size_t)features * 2))
        return FT_ERR_NONFINITE;
    for (uint32_t j = 0; j < features; j++) {
        const double mean = sums[j] / rows, square = sums[features + j] / rows;
        if (mean < -slack || mean > 1 + slack || square < -slack || square > mean + slack ||
            square < mean * mean - slack)
            return FT_ERR_VERIFY;
    }
    for (uint32_t j = 0; j < features; j++) {
        const double range = bounds[j].max - bounds[j].min;
        const double mean = sums[j] / rows, variance = sums[features + j] / rows - mean * mean;
        means[j] = bounds[j].min + mean * range;
        stds[j] = variance > CONSTANT_VARIANCE ? sqrt(variance) * range : 1;
    }
    return FT_OK;
}

enum ft_status
ft_standardise(const float *x, size_t rows, uint32_t features, const struct ft_bounds *bounds, const double *means,
               const double *stds, float *out, uint64_t *clipped)
{
    if (!floats_finite(x, rows * features))
        return FT_ERR_NONFINITE;
    for (size_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < features; j++) {
            const size_t at = i * features + j;
            const double in = clip(x[at], &bounds[j], clipped == NULL ? NULL : &clipped[j]);
            out[at] = (float)((in - means[j]) / stds[j]);
        }
    return FT_OK;
}
