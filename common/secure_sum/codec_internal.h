/* The loops over coordinates: a plain form each, and the same compiled for wider vectors, chosen at run time.
 */
#ifndef FT_SECURE_SUM_CODEC_INTERNAL_H
#define FT_SECURE_SUM_CODEC_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exact stochastic rounding of v / step with 32 random bits each, clamped to +-q. False when a value is not
 * finite. */
struct ft_ss_round {
    double step;
    double q;
};
bool ft_ss_kernel_quantise(const struct ft_ss_round *how, const double *v, const uint32_t *random,
                           size_t count, int64_t *z);
bool ft_ss_kernel_quantise_f32(const struct ft_ss_round *how, const float *u, double weight,
                               const uint32_t *random, size_t count, int64_t *z);

/* words whole words from z (words * lanes coordinates). Returns false when some |z| > z_max; all are packed
 * anyway. */
bool ft_ss_kernel_pack(unsigned lane_bits, unsigned lanes, int64_t z_max, const int64_t *z, size_t words,
                       uint64_t *out);
/* The reverse. Returns the OR of all bits of v above the lanes. */
uint64_t ft_ss_kernel_unpack(unsigned lane_bits, unsigned lanes, const uint64_t *sum, size_t words,
                             int64_t *z);

/* That OR alone. */
uint64_t ft_ss_kernel_spare(unsigned lane_bits, unsigned lanes, const uint64_t *sum, size_t words);

/* Plain forms, the oracles. */
bool ft_ss_plain_quantise(const struct ft_ss_round *how, const double *v, const uint32_t *random,
                          size_t count, int64_t *z);
bool ft_ss_plain_pack(unsigned lane_bits, unsigned lanes, int64_t z_max, const int64_t *z, size_t words,
                      uint64_t *out);
uint64_t ft_ss_plain_unpack(unsigned lane_bits, unsigned lanes, const uint64_t *sum, size_t words,
                            int64_t *z);

#endif
