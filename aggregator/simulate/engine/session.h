/*
 * A secure sum as it is in production, in one process: sessions of common/secure_sum between a server and
 * every client that was asked, message by message, with keys, signatures, masks and dropouts. Messages are
 * handed over instead of sent, and no time passes. Runs (secure_sum: exact) and audits sum by it.
 *
 *   open                     identities of a federation, from the seed
 *     begin                  a round: all have joined and dealt, and are asked for their contributions
 *     put (any thread)       one of them masks and uploads; its memory is given back at once
 *     end                    those who did not put are lost; the others confirm, reveal, and the masks come
 * off close
 *
 * Deterministic in the seed and the order of begin. But for put, not thread-safe.
 */
#ifndef FT_SIMULATE_SESSION_H
#define FT_SIMULATE_SESSION_H

#include "aggregator/simulate/engine/pool.h"
#include "common/secure_sum/codec.h"
#include "common/secure_sum/descriptor.h"

#include <stdbool.h>

struct sim_session;

struct sim_session_config {
    uint32_t clients;
    uint32_t corrupted;        /* F: clients that may collude with the server */
    const uint8_t *deployment; /* 16 bytes, copied; NULL: drawn */
    uint64_t seed, stream;     /* of keys */
    struct sim_pool *pool;     /* borrowed while open */
};

/* The most of n clients that may be lost without losing the sum; false when n cannot make one at all. */
bool sim_session_tolerates(uint32_t n, uint32_t corrupted, uint32_t *lost);

/* What a round of n clients that bears `lost` is described by; a federation with a task has its own. */
void sim_session_terms(const struct ft_ss_codec *codec, uint32_t n, uint32_t corrupted, uint32_t lost,
                       uint64_t round, struct ft_ss_descriptor *out);

/* Errors: NOMEM, VERIFY, INTERNAL. */
FT_NODISCARD enum ft_status sim_session_open(const struct sim_session_config *config,
                                             struct sim_session **out, struct ft_error *err);
void sim_session_close(struct sim_session *s); /* wipes; NULL is allowed */

/* A round; of `terms`, deployment, epoch, nonce, directory and deadline are filled in here. Errors: CONFIG (a
 * cohort that cannot be), NOMEM, INTERNAL (a message was refused: the sentence says whose and why). */
FT_NODISCARD enum ft_status sim_session_begin(struct sim_session *s, const struct ft_ss_descriptor *terms,
                                              struct ft_error *err);

/* Client number `client` masks its packed contribution, `words` from ft_big_alloc (changes hands), and
 * uploads it. From any thread, each client once. *mask_ns: processor time of the masking; may be NULL.
 * Errors: NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status sim_session_put(struct sim_session *s, uint32_t client, uint64_t *words,
                                            uint64_t *mask_ns);
/* The same for all that have some, shared out between the threads; words[i] NULL: lost. All change hands. */
FT_NODISCARD enum ft_status sim_session_put_all(struct sim_session *s, uint64_t **words);

/* Ends the round whatever comes. The sum's words, as many as the codec has, over *survivors (may be NULL).
 * Errors: COHORT (too many were lost), NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status sim_session_end(struct sim_session *s, uint64_t *total, uint32_t *survivors,
                                            struct ft_error *err);

#endif
