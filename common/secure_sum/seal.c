#include "common/secure_sum/seal.h"
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/secure_sum/derive.h"
#include "common/secure_sum/shamir.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SHARE_AD_SIZE  (32 + 4 + 4 + 2)
#define ESCROW_AD_SIZE (32 + 4)

static void
share_ad(uint8_t ad[SHARE_AD_SIZE], const struct ft_ss_share_route *route)
{
    memcpy(ad, route->t1, 32);
    ft_put_u32(ad + 32, route->dealer);
    ft_put_u32(ad + 36, route->holder);
    ft_put_u16(ad + 40, route->x);
}

static void
escrow_ad(uint8_t ad[ESCROW_AD_SIZE], const uint8_t t1[32], uint32_t id)
{
    memcpy(ad, t1, 32);
    ft_put_u32(ad + 32, id);
}

void
ft_ss_share_seal_with(const uint8_t nonce[24], const uint8_t pair[32], const struct ft_ss_share_route *route,
                      const uint8_t share_b[32], const uint8_t share_k[32], uint8_t ct[80])
{
    uint8_t key[32], ad[SHARE_AD_SIZE], plain[FT_SS_SHARE_PLAIN_SIZE];
    ft_ss_derive_share_key(key, pair, route->t1, route->dealer, route->holder);
    share_ad(ad, route);
    memcpy(plain, share_b, 32);
    memcpy(plain + 32, share_k, 32);
    crypto_aead_xchacha20poly1305_ietf_encrypt(ct, NULL, plain, sizeof plain, ad, sizeof ad, NULL, nonce,
                                               key);
    sodium_memzero(plain, sizeof plain);
    sodium_memzero(key, sizeof key);
}

void
ft_ss_share_seal(const struct ft_env *env, const uint8_t pair[32], const struct ft_ss_share_route *route,
                 const uint8_t share_b[32], const uint8_t share_k[32], uint8_t nonce[24], uint8_t ct[80])
{
    env->random(env->ctx, nonce, FT_SS_NONCE_SIZE);
    ft_ss_share_seal_with(nonce, pair, route, share_b, share_k, ct);
}

enum ft_status
ft_ss_share_open(const uint8_t pair[32], const struct ft_ss_share_route *route, const uint8_t nonce[24],
                 const uint8_t ct[80], uint8_t share_b[32], uint8_t share_k[32])
{
    enum ft_status st = FT_ERR_VERIFY;
    uint8_t key[32], ad[SHARE_AD_SIZE], plain[FT_SS_SHARE_PLAIN_SIZE] = { 0 };

    memset(share_b, 0, 32);
    memset(share_k, 0, 32);
    ft_ss_derive_share_key(key, pair, route->t1, route->dealer, route->holder);
    share_ad(ad, route);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, ct, FT_SS_SHARE_CT_SIZE, ad, sizeof ad,
                                                   nonce, key) == 0 &&
        ft_ss_scalar_canonical(plain) && ft_ss_scalar_canonical(plain + 32)) {
        memcpy(share_b, plain, 32);
        memcpy(share_k, plain + 32, 32);
        st = FT_OK;
    }
    sodium_memzero(plain, sizeof plain);
    sodium_memzero(key, sizeof key);
    return st;
}

enum ft_status
ft_ss_escrow_seal(const struct ft_env *env, const uint8_t kappa[32], const uint8_t t1[32], uint32_t id,
                  const struct ft_ss_escrow_entry *entries, size_t count, uint16_t e_max, uint8_t nonce[24],
                  uint8_t *ct)
{
    const size_t plain_size = (size_t)e_max * FT_SS_ESCROW_ENTRY;
    uint8_t key[32], ad[ESCROW_AD_SIZE];
    uint8_t *plain;

    if (count > e_max)
        return FT_ERR_LIMIT;
    plain = ft_secret_alloc(plain_size);
    if (plain == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < e_max; i++) {
        ft_put_u32(plain + i * FT_SS_ESCROW_ENTRY, i < count ? entries[i].id : FT_SS_ESCROW_NOBODY);
        if (i < count)
            memcpy(plain + i * FT_SS_ESCROW_ENTRY + 4, entries[i].seed, 32);
    }
    env->random(env->ctx, nonce, FT_SS_NONCE_SIZE);
    ft_ss_derive_escrow_key(key, kappa, t1, id);
    escrow_ad(ad, t1, id);
    crypto_aead_xchacha20poly1305_ietf_encrypt(ct, NULL, plain, plain_size, ad, sizeof ad, NULL, nonce, key);
    sodium_memzero(key, sizeof key);
    ft_secret_free(plain);
    return FT_OK;
}

static int
compare_u32(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* An escrow that lists one peer twice would take one mask out of the sum twice. */
static enum ft_status
entries_distinct(const struct ft_ss_escrow_entry *entries, size_t count)
{
    enum ft_status st = FT_OK;
    uint32_t *ids = ft_calloc(count, sizeof *ids);
    if (ids == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        ids[i] = entries[i].id;
    qsort(ids, count, sizeof *ids, compare_u32);
    for (size_t i = 1; i < count; i++)
        if (ids[i] == ids[i - 1])
            st = FT_ERR_VERIFY;
    ft_free(ids);
    return st;
}

enum ft_status
ft_ss_escrow_open(const uint8_t kappa[32], const uint8_t t1[32], uint32_t id, const uint8_t nonce[24],
                  const uint8_t *ct, uint16_t e_max, struct ft_ss_escrow_entry *entries, size_t *count)
{
    enum ft_status st = FT_OK;
    const size_t plain_size = (size_t)e_max * FT_SS_ESCROW_ENTRY;
    uint8_t key[32], ad[ESCROW_AD_SIZE];
    uint8_t *plain = ft_secret_alloc(plain_size);
    size_t n = 0;

    *count = 0;
    if (plain == NULL)
        return FT_ERR_NOMEM;
    ft_ss_derive_escrow_key(key, kappa, t1, id);
    escrow_ad(ad, t1, id);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, ct, ft_ss_escrow_ct_size(e_max), ad,
                                                   sizeof ad, nonce, key) != 0) {
        st = FT_ERR_VERIFY;
        goto out;
    }
    for (size_t i = 0; i < e_max; i++) {
        const uint8_t *at = plain + i * FT_SS_ESCROW_ENTRY;
        const uint32_t peer = ft_get_u32(at);
        if (peer == FT_SS_ESCROW_NOBODY)
            continue;
        entries[n].id = peer;
        memcpy(entries[n].seed, at + 4, 32);
        n++;
    }
    FT_TRY(entries_distinct(entries, n));
    *count = n;
out:
    if (st != FT_OK && n > 0)
        sodium_memzero(entries, n * sizeof *entries);
    sodium_memzero(key, sizeof key);
    ft_secret_free(plain);
    return st;
}
