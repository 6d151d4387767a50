/*
 * Pair secrets of one epoch: computed once, at first use, kept in secret memory and wiped with it. The owner
 * of a key loses nothing but time when it clears the cache. Not thread-safe. Source: specification section 3.
 */
#ifndef FT_SECURE_SUM_PAIR_H
#define FT_SECURE_SUM_PAIR_H

#include "common/base/status.h"
#include <stdint.h>

struct ft_ss_pairs;

/* For the client own_id (< universe) with its X25519 key pair of `epoch`; xsk is copied to secret memory.
 * Errors: ARGUMENT, NOMEM, VERIFY (xpk is not xsk's). *out is NULL unless FT_OK. */
FT_NODISCARD enum ft_status ft_ss_pairs_open(uint32_t universe, uint32_t own_id, const uint8_t xsk[32],
                                             const uint8_t xpk[32], const uint8_t deployment[16],
                                             uint32_t epoch, struct ft_ss_pairs **out);
void ft_ss_pairs_close(struct ft_ss_pairs *pairs); /* wipes; NULL is allowed */

/* P with `peer`, whose directory key is xpk_peer: a changed key is agreed anew. The pointer is to 32 secret
 * bytes, borrowed until the next call. Errors: ARGUMENT (own id or outside), VERIFY (low-order key); *out is
 * then NULL. */
FT_NODISCARD enum ft_status ft_ss_pairs_get(struct ft_ss_pairs *pairs, uint32_t peer,
                                            const uint8_t xpk_peer[32], const uint8_t **out);

#endif
