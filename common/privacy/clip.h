/*
 * The L2 bound of one shop's update. It is a privacy bound, so it is rounded down: the norm of what comes out,
 * computed exactly, is at most clip. Source: DP-FedAvg, McMahan et al., ICLR 2018.
 */
#ifndef FT_PRIVACY_CLIP_H
#define FT_PRIVACY_CLIP_H

#include "common/base/status.h"
#include <stddef.h>

#define FT_CLIP_MIN 1e-20 /* below this, rounding of subnormal numbers would count */

/* Scale delta, (dim) float32, in place so that its L2 norm is at most clip (finite, at least FT_CLIP_MIN). *norm, NULL allowed, is
 * the norm before: it is the shop's own number and never leaves it. Errors: NONFINITE (delta untouched),
 * ARGUMENT. */
FT_NODISCARD enum ft_status ft_clip_l2(float *delta, size_t dim, double clip, double *norm);

#endif
