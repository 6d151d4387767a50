/*
 * Shamir sharing over the ristretto255 scalar field Z_l: f(X) = s + a_1 X + ... + a_{t-1} X^{t-1}, the share
 * at x in 1..k is f(x). x is a position in the dealer's holder list, public. Shares and secrets are handled
 * in constant time (libsodium's scalar arithmetic); positions are not secret and are not. Source:
 * specification section 2; Gao, A new algorithm for decoding Reed-Solomon codes, 2003.
 */
#ifndef FT_SECURE_SUM_SHAMIR_H
#define FT_SECURE_SUM_SHAMIR_H

#include "common/base/env.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_SS_SCALAR_SIZE 32

/* Below l. Every scalar from outside MUST pass this. */
bool ft_ss_scalar_canonical(const uint8_t s[32]);
/* Uniform in Z_l, from the environment. */
void ft_ss_scalar_random(const struct ft_env *env, uint8_t out[32]);

/* A share and where it stands. */
struct ft_ss_share {
    uint16_t x; /* 1 .. k */
    uint8_t y[32];
};

/* shares (k, 32): shares[x-1] = f(x). 2 <= t <= k. Errors: ARGUMENT, NOMEM. */
FT_NODISCARD enum ft_status ft_ss_shamir_deal(const struct ft_env *env, const uint8_t secret[32], uint16_t t,
                                              uint16_t k, uint8_t (*shares)[32]);
/* The same with given coefficients a_1 .. a_{t-1}, (t-1, 32): for known answers. */
void ft_ss_shamir_eval(const uint8_t secret[32], const uint8_t (*coefficients)[32], uint16_t t, uint16_t k,
                       uint8_t (*shares)[32]);

/*
 * Lagrange coefficients at 0 of recent position sets. With few holders missing the same sets recur. Not
 * thread-safe. Zero-initialise to start; clear to free.
 */
#define FT_SS_LAGRANGE_SLOTS 16
struct ft_ss_lagrange {
    struct {
        uint16_t *xs;           /* (count) as given */
        uint8_t (*lambdas)[32]; /* (count) */
        uint16_t count;
        uint64_t used; /* for least recently used */
    } slots[FT_SS_LAGRANGE_SLOTS];
    uint64_t clock;
    uint64_t hits;
};
void ft_ss_lagrange_clear(struct ft_ss_lagrange *cache);

/* Rebuild f(0) from exactly t shares at distinct positions. The result is only as good as the shares: check
 * it against its commitment. Errors: ARGUMENT (a position of 0 or twice, t < 1), FORMAT (a share not
 * canonical), NOMEM. */
FT_NODISCARD enum ft_status ft_ss_shamir_rebuild(struct ft_ss_lagrange *cache,
                                                 const struct ft_ss_share *shares, uint16_t t,
                                                 uint8_t secret[32]);

/*
 * Rebuild f(0) from count >= t shares of which up to (count - t) / 2 may be lies. `lies` (count), or NULL:
 * true where the share does not lie on the polynomial found. More lies than that give VERIFY (or, where they
 * conspire, another polynomial: check the commitment). Not constant time in the lies. Errors: ARGUMENT,
 * FORMAT, VERIFY, NOMEM.
 */
FT_NODISCARD enum ft_status ft_ss_shamir_decode(const struct ft_ss_share *shares, uint16_t count, uint16_t t,
                                                uint8_t secret[32], bool *lies);

#endif
