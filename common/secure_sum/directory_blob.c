#include "common/secure_sum/directory_blob.h"
#include "common/secure_sum/hash.h"

#include <string.h>

enum ft_status
ft_ss_directory_blob_encode(struct ft_bytes signed_roster, const struct ft_ss_directory *directory,
                            struct ft_buf *out)
{
    enum ft_status st;
    struct ft_buf b = { 0 };
    const uint32_t universe = directory->roster->count;
    uint32_t count = 0;

    for (uint32_t id = 0; id < universe; id++)
        count += ft_ss_directory_has(directory, id);
    FT_TRY(ft_buf_u32(&b, (uint32_t)signed_roster.size));
    FT_TRY(ft_buf_append(&b, signed_roster.data, signed_roster.size));
    FT_TRY(ft_buf_u32(&b, directory->epoch));
    FT_TRY(ft_buf_u32(&b, count));
    for (uint32_t id = 0; id < universe; id++) {
        struct ft_ss_epoch_key key = { .id = id, .epoch = directory->epoch };
        uint8_t bytes[FT_SS_EPOCH_KEY_SIZE];

        if (!ft_ss_directory_has(directory, id))
            continue;
        memcpy(key.xpk, directory->xpk[id], sizeof key.xpk);
        memcpy(key.signature, directory->signature[id], sizeof key.signature);
        ft_ss_epoch_key_encode(&key, bytes);
        FT_TRY(ft_buf_append(&b, bytes, sizeof bytes));
    }
    *out = b;
    return FT_OK;
out:
    ft_buf_clear(&b);
    return st;
}

enum ft_status
ft_ss_directory_blob_read(struct ft_bytes bytes, struct ft_ss_directory_blob *out)
{
    struct ft_cursor c = ft_cursor_of(bytes);
    struct ft_ss_directory_blob blob = { 0 };
    uint32_t before = 0;

    blob.signed_roster = ft_read_bytes(&c, ft_read_u32(&c));
    blob.epoch = ft_read_u32(&c);
    blob.count = ft_read_u32(&c);
    if (c.failed || blob.count > FT_SS_ROSTER_MAX)
        return FT_ERR_FORMAT;
    blob.keys = ft_read_bytes(&c, (size_t)blob.count * FT_SS_EPOCH_KEY_SIZE);
    if (!ft_cursor_done(&c))
        return FT_ERR_FORMAT;
    for (uint32_t i = 0; i < blob.count; i++) {
        struct ft_ss_epoch_key key;
        if (ft_ss_directory_blob_key(&blob, i, &key) != FT_OK || key.epoch != blob.epoch || (i > 0 && key.id <= before))
            return FT_ERR_FORMAT;
        before = key.id;
    }
    *out = blob;
    return FT_OK;
}

enum ft_status
ft_ss_directory_blob_key(const struct ft_ss_directory_blob *blob, uint32_t i, struct ft_ss_epoch_key *out)
{
    if (i >= blob->count)
        return FT_ERR_FORMAT;
    return ft_ss_epoch_key_decode(FT_BYTES(blob->keys.data + (size_t)i * FT_SS_EPOCH_KEY_SIZE, FT_SS_EPOCH_KEY_SIZE),
                                  out);
}

void
ft_ss_directory_blob_hash(struct ft_bytes bytes, uint8_t hash[32])
{
    FT_SS_H(hash, "directory-blob", bytes);
}
