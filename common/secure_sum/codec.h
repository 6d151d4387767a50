/*
 * From reals to Z_{2^64} and back: quantisation, signed lanes, check lanes, weight limbs.
 *
 * A vector is check_lanes lanes of constant 1, the weight in weight_lanes limbs, then `dim` coordinates,
 * zero-padded to whole words. Coordinates are signed integers (metrics as they are, reals through
 * ft_ss_quantise); a word holds `lanes` of them, and borrows cross lanes:
 *
 *   pack     word_w = sum_l z_{Lw+l} 2^{Wl} mod 2^64
 *   unpack   v = sum_w + sum_l 2^{Wl+W-1};  lane_l = ((v >> Wl) mod 2^W) - 2^{W-1}
 *
 * Exact while every lane's sum over the cohort lies in [-2^{W-1}, 2^{W-1}): n_cap Q + tau <= 2^{W-1} - 1.
 * Everything that touches a coordinate runs without branches or addresses that depend on it.
 * Source: specification section 9.
 */
#ifndef FT_SECURE_SUM_CODEC_H
#define FT_SECURE_SUM_CODEC_H

#include "common/base/env.h"
#include "common/base/status.h"
#include "common/secure_sum/descriptor.h"
#include <stddef.h>
#include <stdint.h>

#define FT_SS_LANE_BITS_MIN 8u
#define FT_SS_LANE_BITS_MAX 64u
#define FT_SS_DIM_MAX       ((uint64_t)1 << 28)
#define FT_SS_CHECK_BITS    48u /* least check_lanes * lane_bits */

/* A codec is plain numbers, all derived by ft_ss_codec_init or read from a descriptor; immutable after. */
struct ft_ss_codec {
    uint32_t lane_bits;        /* W */
    uint32_t lanes;            /* L = 64 / W */
    uint32_t check_lanes;      /* ceil(48 / W) */
    uint32_t weight_lanes;     /* limbs of the weight */
    uint32_t weight_limb_bits; /* floor(log2((2^{W-1}-1) / n_cap)) */
    uint32_t n_cap;
    uint64_t dim;   /* coordinates of the caller */
    uint64_t words; /* u64 words of the packed vector */
    double clip;    /* |w u| <= clip */
    double quant_step;
    uint32_t quant_max;     /* Q */
    double noise_var;       /* variance of one share, in steps^2; 0: no noise */
    int64_t coordinate_max; /* largest |z| a client may pack: floor((2^{W-1}-1-tau)/n_cap), or, with noise,
                               the lane's own range */
};

/* What one chooses; the rest follows. */
struct ft_ss_codec_choice {
    uint32_t lane_bits;
    uint64_t dim;
    uint32_t n_cap;
    uint64_t weight_max; /* largest weight of one client; 0: no weight lanes */
    double clip;         /* largest |w u_j| */
    double noise_var;    /* 0: none, and quant_step = clip / Q */
    double quant_step;   /* used with noise only */
};

/* Bits of one limb for this lane width and cohort, 0 when not even one bit fits. */
uint32_t ft_ss_limb_bits(uint32_t lane_bits, uint32_t n_cap);
/* Lanes one non-negative integer of `bits` bits takes. 0 when limb_bits is 0. */
uint32_t ft_ss_limbs(uint32_t limb_bits, uint32_t bits);
/* tau: 0 without noise, else max(100, sigma_sum sqrt(2 ln(2 dim / beta))), beta = 2^-40. */
double ft_ss_noise_margin(uint64_t dim, uint32_t n_cap, double noise_var);
/* Q = floor((2^{W-1}-1-tau)/n_cap), at most 2^32-1 (the descriptor's quant_max is a u32); 0 when nothing
 * fits. */
uint32_t ft_ss_quant_max(uint32_t lane_bits, uint32_t n_cap, double noise_margin);
/* Words for `lane_count` lanes. */
uint64_t ft_ss_words_of(uint64_t lane_count, uint32_t lanes);

/* Errors: CONFIG or LIMIT with a sentence (width, dimension, a ring that could wrap for n_cap, non-finite
 * clip). */
FT_NODISCARD enum ft_status ft_ss_codec_init(const struct ft_ss_codec_choice *choice, struct ft_ss_codec *out,
                                             struct ft_error *err);
/* The codec a checked descriptor describes. Errors: VERIFY (headroom n_cap Q + tau, lanes, check or weight
 * lanes). */
FT_NODISCARD enum ft_status ft_ss_codec_of(const struct ft_ss_descriptor *descriptor, struct ft_ss_codec *out,
                                           struct ft_error *err);
/* Fill the descriptor's codec fields. */
void ft_ss_codec_describe(const struct ft_ss_codec *codec, struct ft_ss_descriptor *descriptor);

/*
 * z = stochastic_round(v / quant_step), clamped to +-Q. The randomness is expanded from one key drawn from
 * env. `v` is already weighted. Errors: NONFINITE (a NaN or infinity; z is then zeroed).
 */
FT_NODISCARD enum ft_status ft_ss_quantise(const struct ft_ss_codec *codec, const struct ft_env *env,
                                           const double *v, size_t count, int64_t *z);
/* The same for weight * u with float32 updates. */
FT_NODISCARD enum ft_status ft_ss_quantise_f32(const struct ft_ss_codec *codec, const struct ft_env *env,
                                               const float *u, double weight, size_t count, int64_t *z);
/* v = z * quant_step / divisor; divisor is the sum of weights, or 1. */
void ft_ss_dequantise(const struct ft_ss_codec *codec, const int64_t *z, size_t count, double divisor,
                      double *v);

/* Pack z (dim) and the weight behind the check lanes into words (codec->words). Errors: LIMIT (|z| above
 * coordinate_max or a weight that does not fit; words are then zeroed). */
FT_NODISCARD enum ft_status ft_ss_pack(const struct ft_ss_codec *codec, uint64_t weight, const int64_t *z,
                                       uint64_t *words);

/* Unpack a sum over `survivors` clients: the sums (dim) and the sum of weights. Errors: VERIFY (a check lane
 * is not `survivors`, a spare bit above W L is set, or the padding is not zero: a mask is wrong), LIMIT
 * (weight sum). */
FT_NODISCARD enum ft_status ft_ss_unpack(const struct ft_ss_codec *codec, const uint64_t *words,
                                         uint32_t survivors, int64_t *z, uint64_t *weight_sum);

/* The judgement of ft_ss_unpack alone, without the coordinates: one pass over the words, no memory. */
FT_NODISCARD enum ft_status ft_ss_check_sum(const struct ft_ss_codec *codec, const uint64_t *words,
                                            uint32_t survivors);

#endif
