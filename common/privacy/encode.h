/*
 * From customers' vectors to the integers that go into the secure sum. Whatever the floating-point code before it
 * did, each customer adds one integer vector whose squared length, computed exactly, is at most delta_int_sq.
 *
 *   open(noise) --add a customer, add a customer, ...--> finish --> close
 *
 * Invariants
 *   1. There is no encoder without noise of the task's sigma_share and of the vector's length: open takes it, and
 *      nothing comes out without it. Noise is used once, because open takes it away.
 *   2. The exact norm gate is the last thing that happens to a customer's vector before it is added.
 *   3. What one customer adds depends on that customer's vector, number and the encoder's randomness only.
 *   4. The sums before noise are clamped to +-coordinate_max, which is non-expansive.
 *   5. A vector with a NaN or infinity counts as zero; nothing tells which.
 *
 * The randomness of rounding decides how fair it is, not how private: the gate bounds whatever it makes. It is a
 * fast generator, seeded for each customer from ChaCha20 under fresh system randomness. Not thread-safe.
 */
#ifndef FT_PRIVACY_ENCODE_H
#define FT_PRIVACY_ENCODE_H

#include "common/base/env.h"
#include "common/privacy/noise.h"
#include "common/privacy/parameters.h"
#include "common/privacy/rotate.h"
#include <stdbool.h>
#include <stddef.h>

struct ft_encoder;

struct ft_encoder_config {
    struct ft_privacy_params params; /* checked */
    double clip;                     /* of this round: params.clip, or where adaptation has taken it */
    size_t coordinates;              /* of one customer's vector, before padding and the indicator */
    const uint8_t *rotation_seed;    /* 32 bytes, or NULL: not rotated */
    bool indicator;                  /* the last coordinate tells whether the vector was within clip (params.lambda) */
    int64_t coordinate_max;          /* Q of the secure sum's lanes */
};

/* Coordinates of what such a configuration makes: padded if rotated, one more with the indicator. 0: too many. */
uint64_t ft_encoded_dim(size_t coordinates, bool rotated, bool indicator);

/* Open, for one contribution. *noise changes hands and becomes NULL, whatever the outcome. Errors: ARGUMENT (noise
 * of another length or strength, or none; a configuration out of its limits), NOMEM. */
FT_NODISCARD enum ft_status ft_encoder_open(const struct ft_encoder_config *config, const struct ft_env *env,
                                            struct ft_noise **noise, struct ft_encoder **out,
                                            struct ft_error *err);

/* Add customer number `customer` of this contribution (each number once), v (coordinates). Costs the same for a vector
 * of zeros. */
void ft_encoder_add(struct ft_encoder *e, uint64_t customer, const float *v);

/* The same for each of `count` customers, numbered from `first`; rows of `stride` floats. */
void ft_encoder_add_rows(struct ft_encoder *e, uint64_t first, const float *rows, size_t count, size_t stride);

/* x (ft_encoded_dim) = clamped sum plus noise; once. Everything behind it is wiped. Errors: STATE. */
FT_NODISCARD enum ft_status ft_encoder_finish(struct ft_encoder *e, int64_t *x);

/* Vectors that passed the gate in no way and count as zero: a fault of this machine, told to its operator only. */
uint64_t ft_encoder_faults(const struct ft_encoder *e);
void ft_encoder_close(struct ft_encoder *e); /* wipes; NULL is allowed */

#endif
