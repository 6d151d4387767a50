/* Finds a public key that occurs twice, in n log n. */
#ifndef FT_SECURE_SUM_KEY_SET_INTERNAL_H
#define FT_SECURE_SUM_KEY_SET_INTERNAL_H

#include "common/base/status.h"
#include <stddef.h>
#include <stdint.h>

/* `count` keys of 32 bytes, `stride` bytes apart; with `present` (a bitmap) only those. Errors: DUPLICATE
 * (*first and *second are the two, ascending), NOMEM. */
FT_NODISCARD enum ft_status ft_ss_key_twice(const uint8_t *keys, size_t stride, uint32_t count,
                                            const uint8_t *present, uint32_t *first, uint32_t *second);

#endif
