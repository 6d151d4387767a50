#include "client/source/pseudonym.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

void
ft_pseudonym_make(const struct ft_node_key *key, const char *id, size_t size, struct ft_pseudonym *out)
{
    static const char domain[] = "fedtill/customer"; /* its terminator is hashed too */
    crypto_generichash_state state;
    uint8_t hash[16];
    int bad = 0;

    static_assert(sizeof out->text >=
                      sodium_base64_ENCODED_LEN(sizeof hash, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                  "a pseudonym holds the whole hash");
    bad |= crypto_generichash_init(&state, key->bytes, sizeof key->bytes, sizeof hash);
    bad |= crypto_generichash_update(&state, (const unsigned char *)domain, sizeof domain);
    bad |= crypto_generichash_update(&state, (const unsigned char *)id, size);
    bad |= crypto_generichash_final(&state, hash, sizeof hash);
    assert(bad == 0); /* only a wrong size makes it fail */
    (void)bad;
    sodium_bin2base64(out->text, sizeof out->text, hash, sizeof hash,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(&state, sizeof state);
}
