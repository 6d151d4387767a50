#include "common/secure_sum/hash.h"

#include <assert.h>
#include <string.h>

#define PREFIX    "FLSA1/"
#define LABEL_MAX 48u

static void
hasher_length(struct ft_ss_hasher *h, uint64_t size)
{
    uint8_t raw[4];
    assert(size <= UINT32_MAX);
    ft_put_u32(raw, (uint32_t)size);
    crypto_generichash_update(&h->state, raw, sizeof raw);
}

static void
hasher_start(struct ft_ss_hasher *h, const uint8_t *key, const char *label, size_t out_size)
{
    const size_t label_size = strlen(label);
    assert(label_size <= LABEL_MAX);
    crypto_generichash_init(&h->state, key, key == NULL ? 0 : FT_SS_KEY_SIZE, out_size);
    h->owed = 0;
    hasher_length(h, sizeof PREFIX - 1 + label_size);
    crypto_generichash_update(&h->state, (const uint8_t *)PREFIX, sizeof PREFIX - 1);
    crypto_generichash_update(&h->state, (const uint8_t *)label, label_size);
}

static void
hasher_finish(struct ft_ss_hasher *h, uint8_t *out, size_t out_size)
{
    assert(h->owed == 0);
    crypto_generichash_final(&h->state, out, out_size);
    sodium_memzero(h, sizeof *h);
}

void
ft_ss_hasher_begin(struct ft_ss_hasher *h, const char *label)
{
    hasher_start(h, NULL, label, FT_SS_HASH_SIZE);
}

void
ft_ss_hasher_field(struct ft_ss_hasher *h, struct ft_bytes field)
{
    ft_ss_hasher_open_field(h, field.size);
    ft_ss_hasher_feed(h, field);
}

void
ft_ss_hasher_open_field(struct ft_ss_hasher *h, uint64_t size)
{
    assert(h->owed == 0);
    hasher_length(h, size);
    h->owed = size;
}

void
ft_ss_hasher_feed(struct ft_ss_hasher *h, struct ft_bytes part)
{
    assert(part.size <= h->owed);
    h->owed -= part.size;
    if (part.size > 0)
        crypto_generichash_update(&h->state, part.data, part.size);
}

void
ft_ss_hasher_end(struct ft_ss_hasher *h, uint8_t out[32])
{
    hasher_finish(h, out, FT_SS_HASH_SIZE);
}

static void
hash_fields(uint8_t *out, size_t out_size, const uint8_t *key, const char *label,
            const struct ft_bytes *fields, size_t count)
{
    struct ft_ss_hasher h;
    hasher_start(&h, key, label, out_size);
    for (size_t i = 0; i < count; i++)
        ft_ss_hasher_field(&h, fields[i]);
    hasher_finish(&h, out, out_size);
}

void
ft_ss_hash(uint8_t out[32], const char *label, const struct ft_bytes *fields, size_t count)
{
    hash_fields(out, 32, NULL, label, fields, count);
}

void
ft_ss_kdf(uint8_t out[32], const uint8_t key[32], const char *label, const struct ft_bytes *fields,
          size_t count)
{
    hash_fields(out, 32, key, label, fields, count);
}

void
ft_ss_kdf64(uint8_t out[64], const uint8_t key[32], const char *label, const struct ft_bytes *fields,
            size_t count)
{
    hash_fields(out, 64, key, label, fields, count);
}

/* H("sig/" || label; fields): what a signature is over. */
static void
signed_digest(uint8_t digest[32], const char *label, const struct ft_bytes *fields, size_t count)
{
    char full[LABEL_MAX + 1] = "sig/";
    const size_t size = strlen(label);
    assert(size <= LABEL_MAX - 4);
    memcpy(full + 4, label, size + 1);
    ft_ss_hash(digest, full, fields, count);
}

void
ft_ss_sign(uint8_t signature[64], const uint8_t sk[64], const char *label, const struct ft_bytes *fields,
           size_t count)
{
    uint8_t digest[32];
    signed_digest(digest, label, fields, count);
    crypto_sign_detached(signature, NULL, digest, sizeof digest, sk);
}

bool
ft_ss_verify(const uint8_t signature[64], const uint8_t pk[32], const char *label,
             const struct ft_bytes *fields, size_t count)
{
    uint8_t digest[32];
    signed_digest(digest, label, fields, count);
    return crypto_sign_verify_detached(signature, digest, sizeof digest, pk) == 0;
}
