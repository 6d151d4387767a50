/*
 * SHA-256 of a masked input, over its bytes as they arrive. libcrypto's, which uses the machine's SHA
 * instructions.
 */
#ifndef FT_SECURE_SUM_SHA256_H
#define FT_SECURE_SUM_SHA256_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include <stdint.h>

struct ft_ss_sha256; /* one running digest; reusable */

/* *out is NULL unless FT_OK. Errors: NOMEM. */
FT_NODISCARD enum ft_status ft_ss_sha256_open(struct ft_ss_sha256 **out);
void ft_ss_sha256_close(struct ft_ss_sha256 *sha); /* NULL is allowed */
/* Errors of these: INTERNAL (libcrypto failed). */
FT_NODISCARD enum ft_status ft_ss_sha256_begin(struct ft_ss_sha256 *sha);
FT_NODISCARD enum ft_status ft_ss_sha256_feed(struct ft_ss_sha256 *sha, struct ft_bytes part);
FT_NODISCARD enum ft_status ft_ss_sha256_end(struct ft_ss_sha256 *sha, uint8_t digest[32]);
/* In one go. Errors: NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status ft_ss_sha256(struct ft_bytes bytes, uint8_t digest[32]);

#endif
