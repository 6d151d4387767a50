/*
 * The two ciphertexts of a session: a pair of shares for one holder, and the escrow of a client's edges.
 * XChaCha20-Poly1305-IETF; nonces come from the environment. Source: specification section 6, R1.
 */
#ifndef FT_SECURE_SUM_SEAL_H
#define FT_SECURE_SUM_SEAL_H

#include "common/base/env.h"
#include "common/base/status.h"
#include <stddef.h>
#include <stdint.h>

#define FT_SS_NONCE_SIZE       24
#define FT_SS_SHARE_PLAIN_SIZE 64 /* share_b || share_kappa */
#define FT_SS_SHARE_CT_SIZE    80
#define FT_SS_ESCROW_ENTRY     36 /* u32(j) || seed */
#define FT_SS_ESCROW_NOBODY    0xFFFFFFFFu

static inline size_t
ft_ss_escrow_ct_size(uint16_t e_max)
{
    return (size_t)e_max * FT_SS_ESCROW_ENTRY + 16;
}

/* Where a share goes: bound as associated data. x is the holder's 1-based position in the dealer's list. */
struct ft_ss_share_route {
    const uint8_t *t1; /* 32 */
    uint32_t dealer, holder;
    uint16_t x;
};

void ft_ss_share_seal(const struct ft_env *env, const uint8_t pair[32], const struct ft_ss_share_route *route,
                      const uint8_t share_b[32], const uint8_t share_k[32], uint8_t nonce[24],
                      uint8_t ct[80]);
/* As ft_ss_share_seal under a given nonce: for known answers. */
void ft_ss_share_seal_with(const uint8_t nonce[24], const uint8_t pair[32],
                           const struct ft_ss_share_route *route, const uint8_t share_b[32],
                           const uint8_t share_k[32], uint8_t ct[80]);
/* Errors: VERIFY (does not authenticate, or a share is not canonical); both shares are then zeroed. */
FT_NODISCARD enum ft_status ft_ss_share_open(const uint8_t pair[32], const struct ft_ss_share_route *route,
                                             const uint8_t nonce[24], const uint8_t ct[80],
                                             uint8_t share_b[32], uint8_t share_k[32]);

/* One escrowed edge. */
struct ft_ss_escrow_entry {
    uint32_t id;
    uint8_t seed[32]; /* edge seed, not yet bound to T2 */
};

/* Seal `count` <= e_max entries, padded to e_max. `ct` has ft_ss_escrow_ct_size(e_max) bytes.
 * Errors: LIMIT (more active edges than slots: the client aborts), NOMEM. */
FT_NODISCARD enum ft_status ft_ss_escrow_seal(const struct ft_env *env, const uint8_t kappa[32],
                                              const uint8_t t1[32], uint32_t id,
                                              const struct ft_ss_escrow_entry *entries, size_t count,
                                              uint16_t e_max, uint8_t nonce[24], uint8_t *ct);
/* Open into `entries`, room for e_max; *count without the padding. Entries come from a client that may lie:
 * ids are not checked against any cohort, but one that occurs twice makes the escrow false. Errors: VERIFY,
 * NOMEM. */
FT_NODISCARD enum ft_status ft_ss_escrow_open(const uint8_t kappa[32], const uint8_t t1[32], uint32_t id,
                                              const uint8_t nonce[24], const uint8_t *ct, uint16_t e_max,
                                              struct ft_ss_escrow_entry *entries, size_t *count);

#endif
