/*
 * Pseudonyms: the customer key becomes a keyed hash on the way in. The key is made on the node and never
 * leaves it, so the same customer has different pseudonyms at two shops and nobody can link them.
 *
 * pseudonym = base64url(first 16 bytes of BLAKE2b(key = node key, "fedtill/customer" 0x00 customer id))
 */
#ifndef FT_SOURCE_PSEUDONYM_H
#define FT_SOURCE_PSEUDONYM_H

#include <stddef.h>
#include <stdint.h>

#define FT_NODE_KEY_SIZE 32

/* The node's own secret. 32 random bytes, made once, kept in the state folder with mode 0600. */
struct ft_node_key {
    uint8_t bytes[FT_NODE_KEY_SIZE];
};

#define FT_PSEUDONYM_LENGTH 22

struct ft_pseudonym {
    char text[FT_PSEUDONYM_LENGTH + 1]; /* [A-Za-z0-9_-]{22}, terminated */
};

/* `id` is the customer's key exactly as the source writes it, `size` bytes. */
void ft_pseudonym_make(const struct ft_node_key *key, const char *id, size_t size, struct ft_pseudonym *out);

#endif
