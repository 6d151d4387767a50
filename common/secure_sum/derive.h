/*
 * Every key, seed, commitment and transcript hash of a session, in one place and by its name in the
 * specification (sections 3 to 6). Outputs are 32 bytes unless said otherwise.
 */
#ifndef FT_SECURE_SUM_DERIVE_H
#define FT_SECURE_SUM_DERIVE_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stdint.h>

/* What the aggregator fixes for a cohort; bound into T1. */
struct ft_ss_params {
    uint16_t k;     /* share holders of one client */
    uint16_t t;     /* shares that rebuild a secret */
    uint32_t q;     /* confirmations in a certificate */
    uint64_t p;     /* edge probability p / 2^64; UINT64_MAX is the classical profile: every edge */
    uint16_t e_max; /* escrow slots */
};
#define FT_SS_P_CLASSICAL UINT64_MAX

void ft_ss_derive_t0(uint8_t t0[32], struct ft_bytes descriptor);
void ft_ss_derive_t1(uint8_t t1[32], const uint8_t t0[32], struct ft_bytes u1, const uint8_t join_root[32],
                     const struct ft_ss_params *params);
void ft_ss_derive_t2(uint8_t t2[32], const uint8_t t1[32], struct ft_bytes s);
void ft_ss_derive_t3(uint8_t t3[32], const uint8_t t2[32], struct ft_bytes u3);
void ft_ss_derive_lineage(uint8_t out[32], const uint8_t model_hash[32], const uint8_t result_hash[32]);
/* H("result"; T3, SHA-256(result)): a result is as long as an upload, and SHA-256, with instructions of its own, takes a third of
 * H's time. Errors: NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status ft_ss_derive_result(uint8_t out[32], const uint8_t t3[32], struct ft_bytes result);
void ft_ss_derive_leaf(uint8_t out[32], uint32_t id, const uint8_t nu[32]); /* Merkle leaf of a join */

/* P_ij, the pair secret of an epoch. xsk is the own secret key; lo < hi. Errors: VERIFY (low-order key). */
FT_NODISCARD enum ft_status ft_ss_derive_pair(uint8_t pair[32], const uint8_t xsk[32],
                                              const uint8_t xpk_peer[32], const uint8_t deployment[16],
                                              uint32_t epoch, uint32_t lo, uint32_t hi,
                                              const uint8_t xpk_lo[32], const uint8_t xpk_hi[32]);

/* The edge between two clients of a session. Runs in time independent of whether it is active. */
struct ft_ss_edge {
    uint8_t seed[32]; /* secret; meaningful only when active */
    bool active;      /* secret in the graph profile */
};
void ft_ss_derive_edge(struct ft_ss_edge *edge, const uint8_t pair[32], const uint8_t t1[32], uint64_t p);
void ft_ss_derive_mask(uint8_t mu[32], const uint8_t edge_seed[32],
                       const uint8_t t2[32]); /* K(seed,"mask";T2) */
void ft_ss_derive_share_key(uint8_t key[32], const uint8_t pair[32], const uint8_t t1[32], uint32_t dealer,
                            uint32_t holder);
void ft_ss_derive_escrow_key(uint8_t key[32], const uint8_t kappa[32], const uint8_t t1[32], uint32_t id);
void ft_ss_derive_self(uint8_t seed[32], const uint8_t b[32], const uint8_t t1[32],
                       uint32_t id); /* K(b,"self";..) */
void ft_ss_derive_commit_b(uint8_t out[32], const uint8_t b[32], const uint8_t t1[32], uint32_t id);
void ft_ss_derive_commit_k(uint8_t out[32], const uint8_t kappa[32], const uint8_t t1[32], uint32_t id);
void ft_ss_derive_audit(uint8_t out[32], const uint8_t r[32], const uint8_t packed_sha256[32]);

#endif
