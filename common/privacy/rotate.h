/*
 * The optional public rotation: u -> H diag(s) u / sqrt(P), H the Walsh-Hadamard matrix of a power of two P, s signs
 * from a public seed. It flattens a vector, so that narrower lanes suffice, and keeps its length; undoing it is
 * post-processing.
 */
#ifndef FT_PRIVACY_ROTATE_H
#define FT_PRIVACY_ROTATE_H

#include "common/base/status.h"
#include <stddef.h>
#include <stdint.h>

#define FT_ROTATE_SEED_SIZE 32

/* Least power of two that is at least count; 0 above 2^28. */
size_t ft_rotate_padded(size_t count);

/* Signs, one bit each, bytes in order, least significant bit first: (padded + 7)/8 bytes of the ChaCha20 key
 * stream under the seed, zero nonce, counter from 0. */
void ft_rotate_signs(const uint8_t seed[FT_ROTATE_SEED_SIZE], uint8_t *signs, size_t padded);

/* In place on u (padded, a power of two; its tail beyond the vector is zero). */
void ft_rotate(const uint8_t *signs, float *u, size_t padded);
void ft_rotate_back(const uint8_t *signs, double *u, size_t padded);

/* The transform alone, without signs and scaling. */
void ft_hadamard_f32(float *u, size_t padded);
void ft_hadamard_f64(double *u, size_t padded);

#endif
