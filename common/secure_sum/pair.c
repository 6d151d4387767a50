#include "common/secure_sum/pair.h"
#include "common/base/alloc.h"
#include "common/secure_sum/bitmap.h"
#include "common/secure_sum/derive.h"

#include <sodium.h>
#include <string.h>

/* One peer's secret and the key it was agreed with. */
struct pair_entry {
    uint8_t secret[32];
    uint8_t xpk[32];
    uint8_t known;
};

struct ft_ss_pairs {
    uint32_t universe, own_id, epoch;
    uint8_t xpk[32];
    uint8_t deployment[16];
    uint8_t *xsk;               /* secret memory, 32 */
    struct pair_entry *entries; /* secret memory, (universe) */
};

enum ft_status
ft_ss_pairs_open(uint32_t universe, uint32_t own_id, const uint8_t xsk[32], const uint8_t xpk[32],
                 const uint8_t deployment[16], uint32_t epoch, struct ft_ss_pairs **out)
{
    enum ft_status st = FT_OK;
    struct ft_ss_pairs *pairs;
    uint8_t own[32];

    *out = NULL;
    if (own_id >= universe)
        return FT_ERR_ARGUMENT;
    if (crypto_scalarmult_base(own, xsk) != 0 || sodium_memcmp(own, xpk, 32) != 0)
        return FT_ERR_VERIFY;
    pairs = ft_calloc(1, sizeof *pairs);
    if (pairs == NULL)
        return FT_ERR_NOMEM;
    pairs->xsk = ft_secret_alloc(32);
    pairs->entries = ft_secret_alloc((size_t)universe * sizeof *pairs->entries);
    if (pairs->xsk == NULL || pairs->entries == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    pairs->universe = universe;
    pairs->own_id = own_id;
    pairs->epoch = epoch;
    memcpy(pairs->xsk, xsk, 32);
    memcpy(pairs->xpk, xpk, 32);
    memcpy(pairs->deployment, deployment, 16);
    *out = pairs;
    pairs = NULL;
out:
    ft_ss_pairs_close(pairs);
    return st;
}

void
ft_ss_pairs_close(struct ft_ss_pairs *pairs)
{
    if (pairs == NULL)
        return;
    ft_secret_free(pairs->xsk);
    ft_secret_free(pairs->entries);
    ft_free(pairs);
}

enum ft_status
ft_ss_pairs_get(struct ft_ss_pairs *pairs, uint32_t peer, const uint8_t xpk_peer[32], const uint8_t **out)
{
    struct pair_entry *entry;
    const bool own_is_lo = pairs->own_id < peer;
    enum ft_status st;

    *out = NULL;
    if (peer >= pairs->universe || peer == pairs->own_id)
        return FT_ERR_ARGUMENT;
    entry = &pairs->entries[peer];
    if (!entry->known || memcmp(entry->xpk, xpk_peer, 32) != 0) { /* public keys */
        entry->known = 0;
        st = ft_ss_derive_pair(entry->secret, pairs->xsk, xpk_peer, pairs->deployment, pairs->epoch,
                               own_is_lo ? pairs->own_id : peer, own_is_lo ? peer : pairs->own_id,
                               own_is_lo ? pairs->xpk : xpk_peer, own_is_lo ? xpk_peer : pairs->xpk);
        if (st != FT_OK)
            return st;
        memcpy(entry->xpk, xpk_peer, 32);
        entry->known = 1;
    }
    *out = entry->secret;
    return FT_OK;
}
