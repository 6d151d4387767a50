#include "common/base/hash.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

void
ft_hash_labelled(uint8_t out[FT_HASH_SIZE], const char *label, struct ft_bytes bytes)
{
    static const char prefix[] = "FLSA1/";
    crypto_generichash_state state;
    uint8_t size[4];

    assert(bytes.size <= UINT32_MAX);
    crypto_generichash_init(&state, NULL, 0, FT_HASH_SIZE);
    ft_put_u32(size, (uint32_t)(sizeof prefix - 1 + strlen(label)));
    crypto_generichash_update(&state, size, sizeof size);
    crypto_generichash_update(&state, (const uint8_t *)prefix, sizeof prefix - 1);
    crypto_generichash_update(&state, (const uint8_t *)label, strlen(label));
    ft_put_u32(size, (uint32_t)bytes.size);
    crypto_generichash_update(&state, size, sizeof size);
    crypto_generichash_update(&state, bytes.data, bytes.size);
    crypto_generichash_final(&state, out, FT_HASH_SIZE);
}
