#include "common/task/task.h"
#include "common/task/wire_task.h"

#include "common/base/hash.h"

#include <sodium.h>
#include <string.h>

void
ft_task_hash(struct ft_bytes canonical, uint8_t hash[FT_TASK_HASH_SIZE])
{
    ft_hash_labelled(hash, "task-hash", canonical);
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
    ft_hash_labelled(digest, "sig/task-sign", ft_buf_bytes(&canonical));
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
    ft_hash_labelled(digest, "sig/task-sign", ft_buf_bytes(&canonical));
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

enum ft_status
ft_task_signer(struct ft_bytes signed_task, uint8_t key[32], struct ft_error *err)
{
    struct ft_buf canonical = { 0 };
    uint8_t signature[64];
    const enum ft_status st = wire_signed_task_decode(signed_task, &canonical, key, signature);

    ft_buf_clear(&canonical);
    return st == FT_OK ? FT_OK : ft_fail(err, st, "the signed task: %s", ft_status_str(st));
}
