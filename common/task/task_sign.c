#include "common/task/task.h"
#include "common/task/wire_task.h"

#include "common/base/alloc.h"

#include <sodium.h>
#include <string.h>

/* H(label; bytes) of the protocol's encoding: BLAKE2b-256 over lp("FLSA1/" || label) || lp(bytes), with
 * lp(s) = u32(|s|) || s. The secure sum's hash.c has the general form; a task needs this one. */
static void
labelled_hash(uint8_t out[32], const char *label, struct ft_bytes bytes)
{
    static const char prefix[] = "FLSA1/";
    crypto_generichash_state state;
    uint8_t size[4];

    crypto_generichash_init(&state, NULL, 0, 32);
    ft_put_u32(size, (uint32_t)(sizeof prefix - 1 + strlen(label)));
    crypto_generichash_update(&state, size, sizeof size);
    crypto_generichash_update(&state, (const uint8_t *)prefix, sizeof prefix - 1);
    crypto_generichash_update(&state, (const uint8_t *)label, strlen(label));
    ft_put_u32(size, (uint32_t)bytes.size); /* at most FT_TASK_BYTES_MAX */
    crypto_generichash_update(&state, size, sizeof size);
    crypto_generichash_update(&state, bytes.data, bytes.size);
    crypto_generichash_final(&state, out, 32);
}

void
ft_task_hash(struct ft_bytes canonical, uint8_t hash[FT_TASK_HASH_SIZE])
{
    labelled_hash(hash, "task-hash", canonical);
}

enum ft_status
ft_task_sign(const struct ft_task *task, const uint8_t secret_key[64], struct ft_buf *out)
{
    enum ft_status st;
    struct ft_buf canonical = { 0 };
    uint8_t digest[32], signature[64];

    FT_TRY(ft_task_validate(task, NULL));
    FT_TRY(ft_task_encode(task, &canonical));
    if (canonical.size > FT_TASK_BYTES_MAX) {
        st = FT_ERR_LIMIT;
        goto out;
    }
    labelled_hash(digest, "sig/task-sign", ft_buf_bytes(&canonical));
    crypto_sign_detached(signature, NULL, digest, sizeof digest, secret_key);
    FT_TRY(wire_signed_task_encode(ft_buf_bytes(&canonical), secret_key + 32, signature, out));
out:
    ft_buf_clear(&canonical);
    return st;
}

enum ft_status
ft_task_open(struct ft_bytes signed_task, const uint8_t (*keys)[32], size_t key_count, struct ft_task *out,
             uint8_t hash[FT_TASK_HASH_SIZE], struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf canonical = { 0 };
    uint8_t key[32], signature[64], digest[32];
    bool pinned = false;

    *out = (struct ft_task){ 0 };
    memset(hash, 0, FT_TASK_HASH_SIZE);
    FT_TRY(wire_signed_task_decode(signed_task, &canonical, key, signature));
    for (size_t i = 0; i < key_count; i++)
        pinned |= memcmp(keys[i], key, sizeof key) == 0;
    if (!pinned) {
        st = ft_fail(err, FT_ERR_VERIFY, "the task is signed by a key that is not pinned here");
        goto out;
    }
    labelled_hash(digest, "sig/task-sign", ft_buf_bytes(&canonical));
    if (crypto_sign_verify_detached(signature, digest, sizeof digest, key) != 0) {
        st = ft_fail(err, FT_ERR_VERIFY, "the task's signature does not verify");
        goto out;
    }
    FT_TRY(ft_task_decode(ft_buf_bytes(&canonical), out, err)); /* only signed bytes are looked into */
    ft_task_hash(ft_buf_bytes(&canonical), hash);
out:
    if (st != FT_OK)
        (void)ft_fail(err, st, "the signed task: %s", ft_status_str(st));
    ft_buf_clear(&canonical);
    return st;
}
