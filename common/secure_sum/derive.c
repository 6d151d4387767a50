#include "common/secure_sum/derive.h"
#include "common/base/plant.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/sha256.h"

#ifdef FT_PLANTED
static const uint8_t no_seed[32];
#else
#define no_seed NULL /* never used: FT_PLANT is 0 */
#endif

void
ft_ss_derive_t0(uint8_t t0[32], struct ft_bytes descriptor)
{
    FT_SS_H(t0, "task", descriptor);
}

void
ft_ss_derive_t1(uint8_t t1[32], const uint8_t t0[32], struct ft_bytes u1, const uint8_t join_root[32],
                const struct ft_ss_params *params)
{
    FT_SS_H(t1, "cohort", FT_BYTES(t0, 32), u1, FT_BYTES(join_root, 32), FT_SS_U16(params->k),
            FT_SS_U16(params->t), FT_SS_U32(params->q), FT_SS_U64(params->p), FT_SS_U16(params->e_max));
}

void
ft_ss_derive_t2(uint8_t t2[32], const uint8_t t1[32], struct ft_bytes s)
{
    FT_SS_H(t2, "shared", FT_BYTES(t1, 32), s);
}

void
ft_ss_derive_t3(uint8_t t3[32], const uint8_t t2[32], struct ft_bytes u3)
{
    FT_SS_H(t3, "survivors", FT_BYTES(t2, 32), u3);
}

void
ft_ss_derive_lineage(uint8_t out[32], const uint8_t model_hash[32], const uint8_t result_hash[32])
{
    FT_SS_H(out, "lineage", FT_BYTES(model_hash, 32), FT_BYTES(result_hash, 32));
}

enum ft_status
ft_ss_derive_result(uint8_t out[32], const uint8_t t3[32], struct ft_bytes result)
{
    uint8_t digest[32];
    const enum ft_status st = ft_ss_sha256(result, digest);
    if (st == FT_OK)
        FT_SS_H(out, "result", FT_BYTES(t3, 32), FT_BYTES(digest, sizeof digest));
    return st;
}

void
ft_ss_derive_leaf(uint8_t out[32], uint32_t id, const uint8_t nu[32])
{
    FT_SS_H(out, "leaf", FT_SS_U32(id), FT_BYTES(nu, 32));
}

enum ft_status
ft_ss_derive_pair(uint8_t pair[32], const uint8_t xsk[32], const uint8_t xpk_peer[32],
                  const uint8_t deployment[16], uint32_t epoch, uint32_t lo, uint32_t hi,
                  const uint8_t xpk_lo[32], const uint8_t xpk_hi[32])
{
    uint8_t shared[32];
    if (crypto_scalarmult(shared, xsk, xpk_peer) != 0) {
        sodium_memzero(shared, sizeof shared);
        sodium_memzero(pair, 32);
        return FT_ERR_VERIFY;
    }
    FT_SS_H(pair, "pair", FT_BYTES(shared, 32), FT_BYTES(deployment, 16), FT_SS_U32(epoch), FT_SS_U32(lo),
            FT_SS_U32(hi), FT_BYTES(xpk_lo, 32), FT_BYTES(xpk_hi, 32));
    sodium_memzero(shared, sizeof shared);
    return FT_OK;
}

/* 1 when a < b, else 0, without a branch. */
static uint64_t
less_than(uint64_t a, uint64_t b)
{
    return (a ^ ((a ^ b) | ((a - b) ^ b))) >> 63;
}

void
ft_ss_derive_edge(struct ft_ss_edge *edge, const uint8_t pair[32], const uint8_t t1[32], uint64_t p)
{
    uint8_t e[64];
    FT_SS_K64(e, pair, "edge", FT_BYTES(t1, 32));
    edge->active = (less_than(ft_get_u64(e), p) | (p == FT_SS_P_CLASSICAL)) != 0; /* p is public, e is not */
    for (size_t i = 0; i < 32; i++)
        edge->seed[i] = e[32 + i];
    sodium_memzero(e, sizeof e);
}

void
ft_ss_derive_mask(uint8_t mu[32], const uint8_t edge_seed[32], const uint8_t t2[32])
{
    FT_SS_K(mu, FT_PLANT(MASK_REUSED) ? no_seed : edge_seed, "mask", FT_BYTES(FT_PLANT(MASK_REUSED) ? no_seed : t2, 32));
}

void
ft_ss_derive_share_key(uint8_t key[32], const uint8_t pair[32], const uint8_t t1[32], uint32_t dealer,
                       uint32_t holder)
{
    FT_SS_K(key, pair, "share", FT_BYTES(t1, 32), FT_SS_U32(dealer), FT_SS_U32(holder));
}

void
ft_ss_derive_escrow_key(uint8_t key[32], const uint8_t kappa[32], const uint8_t t1[32], uint32_t id)
{
    FT_SS_K(key, kappa, "escrow", FT_BYTES(t1, 32), FT_SS_U32(id));
}

void
ft_ss_derive_self(uint8_t seed[32], const uint8_t b[32], const uint8_t t1[32], uint32_t id)
{
    FT_SS_K(seed, FT_PLANT(MASK_REUSED) ? no_seed : b, "self", FT_BYTES(FT_PLANT(MASK_REUSED) ? no_seed : t1, 32),
            FT_SS_U32(id));
}

void
ft_ss_derive_commit_b(uint8_t out[32], const uint8_t b[32], const uint8_t t1[32], uint32_t id)
{
    FT_SS_K(out, b, "commit-b", FT_BYTES(t1, 32), FT_SS_U32(id));
}

void
ft_ss_derive_commit_k(uint8_t out[32], const uint8_t kappa[32], const uint8_t t1[32], uint32_t id)
{
    FT_SS_K(out, kappa, "commit-k", FT_BYTES(t1, 32), FT_SS_U32(id));
}

void
ft_ss_derive_audit(uint8_t out[32], const uint8_t r[32], const uint8_t packed_sha256[32])
{
    FT_SS_H(out, "input", FT_BYTES(r, 32), FT_BYTES(packed_sha256, 32));
}
