/* Scalar helpers the sharing and the decoder have in common; exported for their tests. */
#ifndef FT_SECURE_SUM_SHAMIR_INTERNAL_H
#define FT_SECURE_SUM_SHAMIR_INTERNAL_H

#include "common/secure_sum/shamir.h"

/* out = a x + b mod l for canonical a, b. Constant time in a and b. `out` may be a or b. */
void ft_ss_scalar_muladd_small(uint8_t out[32], const uint8_t a[32], uint16_t x, const uint8_t b[32]);

/* Invert all in place with one inversion; none may be zero. `scratch` is (count, 32). */
void ft_ss_scalar_invert_all(uint8_t (*values)[32], size_t count, uint8_t (*scratch)[32]);

/* at_zero: Lagrange coefficients at 0, prod x_m / (x_m - x_i). Else barycentric weights 1 / prod (x_i - x_m).
 * Positions are distinct and not 0. Errors: NOMEM. */
FT_NODISCARD enum ft_status ft_ss_shamir_weights(const uint16_t *xs, uint16_t count, bool at_zero,
                                                 uint8_t (*weights)[32]);

/* Positions distinct and not 0 (ARGUMENT), values canonical (FORMAT). */
FT_NODISCARD enum ft_status ft_ss_shares_check(const struct ft_ss_share *shares, uint16_t count);

#endif
