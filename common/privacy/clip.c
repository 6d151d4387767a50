#include "common/privacy/clip.h"

#include <float.h>
#include <math.h>

/* Sum of squares in eight double accumulators: float32 squares are exact in double, their sum of at most 2^40
 * elements cannot overflow, and its relative error is far below the margin that ft_clip_l2 keeps. */
static double
sum_of_squares(const float *v, size_t dim)
{
    double acc[8] = { 0 };
    size_t i = 0;
    for (; i + 8 <= dim; i += 8)
        for (size_t k = 0; k < 8; k++)
            acc[k] += (double)v[i + k] * (double)v[i + k];
    for (; i < dim; i++)
        acc[0] += (double)v[i] * (double)v[i];
    return ((acc[0] + acc[1]) + (acc[2] + acc[3])) + ((acc[4] + acc[5]) + (acc[6] + acc[7]));
}

enum ft_status
ft_clip_l2(float *delta, size_t dim, double clip, double *norm)
{
    /* Rounded down by 1e-6, which exceeds the errors of the norm (double), the factor and the products (float32,
     * 2^-24 each). */
    const double bound = clip * (1.0 - 1e-6);
    double found;

    if (!(clip >= FT_CLIP_MIN) || !isfinite(clip))
        return FT_ERR_ARGUMENT;
    found = sqrt(sum_of_squares(delta, dim));
    if (!isfinite(found)) /* NaN > bound is false, so a poisoned update would pass unclipped */
        return FT_ERR_NONFINITE;
    if (found > bound) {
        const double ratio = bound / found;
        const float factor = ratio < (double)FLT_MIN ? 0 : (float)ratio; /* a subnormal one could round far up */
        for (size_t i = 0; i < dim; i++)
            delta[i] *= factor;
    }
    if (norm != NULL)
        *norm = found;
    return FT_OK;
}
