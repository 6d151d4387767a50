/* What the encoder may do with a vector of noise, and nobody else. */
#ifndef FT_PRIVACY_NOISE_INTERNAL_H
#define FT_PRIVACY_NOISE_INTERNAL_H

#include "common/privacy/noise.h"

struct ft_noise {
    uint64_t dim;
    uint32_t sigma;
    int64_t *values; /* (dim) */
};

#endif
