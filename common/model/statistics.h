/*
 * Feature statistics without any shop's own numbers: each shop adds up u and u^2 of its train rows, where
 * u = (x - min) / (max - min) lies in [0, 1] by the feature's declared bounds; the centre turns the secure sum
 * into means and standard deviations (of the population: divided by n). Every shop then standardises with those.
 */
#ifndef FT_MODEL_STATISTICS_H
#define FT_MODEL_STATISTICS_H

#include "common/base/status.h"
#include <stddef.h>
#include <stdint.h>

struct ft_bounds {
    double min, max; /* finite, min < max */
};

/*
 * sums (2 * features): sum of u of each feature, then sum of u^2 of each. Values outside the bounds are clipped
 * and counted in clipped (features; NULL is allowed; added to). x is (rows, features); a bound that float32 rounded
 * is inside. Errors: NONFINITE (sums untouched).
 */
FT_NODISCARD enum ft_status ft_statistics_sum(const float *x, size_t rows, uint32_t features,
                                              const struct ft_bounds *bounds, double *sums, uint64_t *clipped);

/* Means and standard deviations from the summed sums of `rows` rows. A feature that is constant to within the
 * sums' precision (1e-5 of its declared range) gets std 1. Errors: ARGUMENT (rows < 1), NONFINITE, VERIFY (sums no rows in the bounds can
 * have). */
FT_NODISCARD enum ft_status ft_statistics_finish(const double *sums, double rows, uint32_t features,
                                                 const struct ft_bounds *bounds, double *means, double *stds);

/*
 * out = (clip(x, bounds) - mean) / std as float32, (rows, features). Counts clipped values per feature (features;
 * NULL is allowed; added to). out may be x. Errors: NONFINITE (out untouched).
 */
FT_NODISCARD enum ft_status ft_standardise(const float *x, size_t rows, uint32_t features,
                                           const struct ft_bounds *bounds, const double *means,
                                           const double *stds, float *out, uint64_t *clipped);

#endif
