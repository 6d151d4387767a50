/*
 * Files of Ed25519 secret keys: 128 hex digits (libsodium's 64-byte form, the public half last) and a newline,
 * mode 0600. A file that others may read is refused.
 */
#ifndef FT_BASE_KEYFILE_H
#define FT_BASE_KEYFILE_H

#include "common/base/status.h"
#include <stdint.h>

/* Make a key pair and its file, which must not exist. Errors: DUPLICATE, IO, FULL. */
FT_NODISCARD enum ft_status ft_keyfile_make(const char *path, uint8_t public_key[32], struct ft_error *err);

/* Read one; the caller wipes it. Errors: NOTFOUND, FORMAT (no key, or its halves do not belong together), CONFIG
 * (mode), IO. */
FT_NODISCARD enum ft_status ft_keyfile_read(const char *path, uint8_t secret_key[64], struct ft_error *err);

/* Its public half alone. */
FT_NODISCARD enum ft_status ft_keyfile_public(const char *path, uint8_t public_key[32], struct ft_error *err);

#endif
