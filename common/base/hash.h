/*
 * H of the protocol's encoding over one field, for what lies outside the secure sum:
 * H(label; bytes) = BLAKE2b-256(lp("FLSA1/" || label) || lp(bytes)), lp(s) = u32(|s|) || s.
 */
#ifndef FT_BASE_HASH_H
#define FT_BASE_HASH_H

#include "common/base/buf.h"

#define FT_HASH_SIZE 32

/* bytes.size is below 2^32 (asserted). */
void ft_hash_labelled(uint8_t out[FT_HASH_SIZE], const char *label, struct ft_bytes bytes);

#endif
