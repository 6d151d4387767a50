/* Epoch keys and the directory of them; the contract is in roster.h. */
#include "common/base/alloc.h"
#include "common/base/env.h"
#include "common/secure_sum/bitmap.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/key_set_internal.h"
#include "common/secure_sum/roster.h"

#include <string.h>

void
ft_ss_epoch_key_encode(const struct ft_ss_epoch_key *key, uint8_t out[FT_SS_EPOCH_KEY_SIZE])
{
    ft_put_u32(out, key->id);
    ft_put_u32(out + 4, key->epoch);
    memcpy(out + 8, key->xpk, 32);
    memcpy(out + 40, key->signature, 64);
}

enum ft_status
ft_ss_epoch_key_decode(struct ft_bytes bytes, struct ft_ss_epoch_key *out)
{
    if (bytes.size != FT_SS_EPOCH_KEY_SIZE)
        return FT_ERR_FORMAT;
    out->id = ft_get_u32(bytes.data);
    out->epoch = ft_get_u32(bytes.data + 4);
    memcpy(out->xpk, bytes.data + 8, 32);
    memcpy(out->signature, bytes.data + 40, 64);
    return FT_OK;
}

void
ft_ss_epoch_key_make(const struct ft_env *env, const uint8_t identity_sk[64], const uint8_t deployment[16],
                     uint32_t id, uint32_t epoch, uint8_t xsk[32], struct ft_ss_epoch_key *out)
{
    env->random(env->ctx, xsk, 32);
    (void)crypto_scalarmult_base(out->xpk, xsk); /* cannot fail: the base point has prime order */
    out->id = id;
    out->epoch = epoch;
    FT_SS_SIGN(out->signature, identity_sk, "epoch", FT_BYTES(deployment, 16), FT_SS_U32(epoch),
               FT_SS_U32(id), FT_BYTES(out->xpk, 32));
}

/* Below 2^255 - 19: every key has one spelling, so that comparing bytes compares keys. */
static bool
key_is_canonical(const uint8_t xpk[32])
{
    uint8_t middle = 0xFF;
    if ((xpk[31] & 0x80) != 0)
        return false;
    for (size_t i = 1; i < 31; i++)
        middle &= xpk[i];
    return !(xpk[31] == 0x7F && middle == 0xFF && xpk[0] >= 0xED);
}

static bool
key_has_full_order(const uint8_t xpk[32])
{
    static const uint8_t any_scalar[32] = { 8 };
    uint8_t shared[32];
    return key_is_canonical(xpk) && crypto_scalarmult(shared, any_scalar, xpk) == 0;
}

enum ft_status
ft_ss_epoch_key_check(const struct ft_ss_roster *roster, const struct ft_ss_epoch_key *key,
                      struct ft_error *err)
{
    if (key->id >= roster->count)
        return ft_fail(err, FT_ERR_VERIFY, "epoch key: the roster has no member %u", key->id);
    if (!FT_SS_VERIFY(key->signature, roster->members[key->id].ed25519_pk, "epoch",
                      FT_BYTES(roster->deployment, 16), FT_SS_U32(key->epoch), FT_SS_U32(key->id),
                      FT_BYTES(key->xpk, 32)))
        return ft_fail(err, FT_ERR_VERIFY, "epoch key: the signature of member %u does not verify", key->id);
    if (!key_has_full_order(key->xpk))
        return ft_fail(err, FT_ERR_VERIFY, "epoch key: the key of member %u is of low order or not canonical",
                       key->id);
    return FT_OK;
}

enum ft_status
ft_ss_directory_open(const struct ft_ss_roster *roster, uint32_t epoch, struct ft_ss_directory *out)
{
    struct ft_ss_directory d = { .roster = roster, .epoch = epoch };
    d.xpk = ft_calloc(roster->count, sizeof *d.xpk);
    d.signature = ft_calloc(roster->count, sizeof *d.signature);
    d.present = ft_calloc(1, ft_ss_bitmap_size(roster->count));
    *out = d;
    if (d.xpk != NULL && d.signature != NULL && d.present != NULL)
        return FT_OK;
    ft_ss_directory_clear(out);
    return FT_ERR_NOMEM;
}

void
ft_ss_directory_clear(struct ft_ss_directory *d)
{
    ft_free(d->xpk);
    ft_free(d->signature);
    ft_free(d->present);
    *d = (struct ft_ss_directory){ 0 };
}

enum ft_status
ft_ss_directory_put(struct ft_ss_directory *d, const struct ft_ss_epoch_key *key, struct ft_error *err)
{
    enum ft_status st;
    const uint32_t id = key->id;

    if (id >= d->roster->count)
        return ft_fail(err, FT_ERR_NOTFOUND, "epoch key: the roster has no member %u", id);
    if (key->epoch != d->epoch)
        return ft_fail(err, FT_ERR_VERIFY, "epoch key: member %u sent one of epoch %u, this is epoch %u", id,
                       key->epoch, d->epoch);
    if (ft_ss_directory_has(d, id) && memcmp(d->xpk[id], key->xpk, 32) == 0 &&
        memcmp(d->signature[id], key->signature, 64) == 0)
        return FT_OK;
    for (uint32_t i = 0; i < d->roster->count; i++)
        if (i != id && ft_ss_directory_has(d, i) && memcmp(d->xpk[i], key->xpk, 32) == 0)
            return ft_fail(err, FT_ERR_DUPLICATE, "epoch key: members %u and %u present the same key", i, id);
    st = ft_ss_epoch_key_check(d->roster, key, err);
    if (st != FT_OK)
        return st;
    memcpy(d->xpk[id], key->xpk, 32);
    memcpy(d->signature[id], key->signature, 64);
    ft_ss_bitmap_add(d->present, id);
    return FT_OK;
}

enum ft_status
ft_ss_directory_check(const struct ft_ss_directory *d, uint32_t own_id, const uint8_t own_xpk[32],
                      const uint8_t root[32], struct ft_error *err)
{
    uint8_t mine[32];
    uint32_t first, second;
    enum ft_status st;

    if (!ft_ss_directory_has(d, own_id) || memcmp(d->xpk[own_id], own_xpk, 32) != 0)
        return ft_fail(err, FT_ERR_VERIFY, "directory: the entry of this client is not its own key");
    st = ft_ss_key_twice(d->xpk[0], sizeof *d->xpk, d->roster->count, d->present, &first, &second);
    if (st == FT_ERR_DUPLICATE)
        return ft_fail(err, FT_ERR_VERIFY, "directory: members %u and %u present the same key", first,
                       second);
    if (st != FT_OK)
        return st;
    ft_ss_directory_root(d, mine);
    if (memcmp(mine, root, 32) != 0)
        return ft_fail(err, FT_ERR_VERIFY, "directory: its root is not the one of the descriptor");
    return FT_OK;
}

void
ft_ss_directory_root(const struct ft_ss_directory *d, uint8_t root[32])
{
    FT_SS_H(root, "directory", FT_BYTES(d->roster->hash, 32), FT_SS_U32(d->epoch),
            FT_BYTES(d->xpk, (size_t)d->roster->count * 32));
}
