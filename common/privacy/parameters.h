/*
 * The parameters of the integer mechanism and everything that follows from them. A shop computes every derived
 * value itself and refuses a task that says otherwise. All of this is public.
 *
 *   q              probability q_num / 2^32 with which a customer enters a round, secretly, in the vault
 *   S              scale: integer units per clipping norm, a power of two
 *   lambda         weight of the clip indicator, 0 without one
 *   Delta^2        delta_int_sq: no customer's integer vector is longer
 *   sigma_share    standard deviation of one shop's share of the noise, in integer units
 *   t_min          shares credited: the honest survivors that every sum has
 *   z_eff          noise multiplier of the Gaussian mechanism whose bounds hold for what is released:
 *                  sqrt((t_min sigma_share^2 - 4) / delta_int_sq)
 *
 * Kairouz, Liu, Steinke, "The distributed discrete Gaussian mechanism", ICML 2021, with the slack of stochastic
 * rounding replaced by an exact gate on each customer's integers.
 */
#ifndef FT_PRIVACY_PARAMETERS_H
#define FT_PRIVACY_PARAMETERS_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_PRIVACY_Q_ONE      (UINT64_C(1) << 32) /* q_num of q = 1 */
#define FT_PRIVACY_SCALE_MIN  (UINT32_C(1) << 12)
#define FT_PRIVACY_SCALE_MAX  (UINT32_C(1) << 20)
#define FT_PRIVACY_SHARE_MIN  8u
#define FT_PRIVACY_SHARE_MAX  (UINT32_C(1) << 24)
#define FT_PRIVACY_DIM_MAX    (UINT64_C(1) << 28)
#define FT_PRIVACY_STORES_MAX 1024u
#define FT_PRIVACY_STEPS_MAX  (UINT64_C(1) << 32)
#define FT_PRIVACY_Z_MIN      0.3 /* below this the accountant does not answer */
#define FT_PRIVACY_DELTA_MIN  1e-12
#define FT_PRIVACY_DELTA_MAX  1e-3

struct ft_privacy_params {
    uint64_t q_num;        /* 1 .. 2^32 */
    uint64_t dim;          /* most coordinates of any of its vectors: padded if rotated, with the indicator */
    double clip;           /* C, > 0: L2 norm to which one customer's vector is scaled down */
    uint32_t scale;        /* S: 2^12 .. 2^20 and S^2 >= 256 dim */
    uint32_t lambda;       /* 0 .. S/4 */
    uint64_t delta_int_sq; /* derived */
    uint32_t sigma_share;  /* 8 .. 2^24 */
    uint32_t t_min;        /* 1 and more */
    uint32_t m_stores;     /* shops that one customer may contribute to, 1 and more */
    uint64_t steps;        /* T: most contributions of a shop, 1 and more */
};

/* Least power of two that is at least max(4096, 16 sqrt(dim)); 0 when it would pass 2^20. */
uint32_t ft_privacy_scale(uint64_t dim);

/* S^2 + S + (dim + 3)/4 + (isqrt(dim) + 2)/2 + lambda^2 in whole numbers, for arguments within their limits. */
uint64_t ft_privacy_delta_int_sq(uint32_t scale, uint64_t dim, uint32_t lambda);

/* Noise multiplier that the accountant may use; 0 when the shares are too small for any claim. */
double ft_privacy_z_eff(uint64_t delta_int_sq, uint32_t t_min, uint32_t sigma_share);

/* Least share with z_eff >= z. Errors: LIMIT (above FT_PRIVACY_SHARE_MAX), ARGUMENT. */
FT_NODISCARD enum ft_status ft_privacy_sigma_share(double z, uint64_t delta_int_sq, uint32_t t_min,
                                                   uint32_t *sigma_share);

/* q as a number, and q_num of an expected sample of `customers` out of n_pub (1 .. 2^32). */
double ft_privacy_q(uint64_t q_num);
uint64_t ft_privacy_q_num(double customers, double n_pub);

/* What one integer unit is worth: clip / (S (1 - 2^-20)). */
double ft_privacy_quant_step(double clip, uint32_t scale);

/* Every constraint on the fields, delta_int_sq included; err has the field, its value and the bound. Errors:
 * CONFIG. */
FT_NODISCARD enum ft_status ft_privacy_params_check(const struct ft_privacy_params *p, struct ft_error *err);

/* Adaptive clipping, after a round: `indicator` is the last coordinate of the sum, customers the public size of the
 * survivors. Both are released already, so this costs nothing. */
struct ft_privacy_adapt {
    double quantile;         /* gamma, 0 < gamma < 1 */
    double rate;             /* eta, > 0 */
    double clip_min, clip_max;
};
double ft_privacy_below_share(int64_t indicator, uint32_t lambda, uint64_t q_num, double customers);
double ft_privacy_next_clip(const struct ft_privacy_adapt *adapt, double clip, double below_share);

#endif
