/*
 * A round's secure sum as it is in production: one session of common/secure_sum between a server and every
 * client that was asked, message by message. Clients join, deal shares, mask their packed contributions and
 * upload them; those whose update never comes fall silent after they dealt; the others confirm the survivors
 * and reveal shares, and the server takes the masks off the sum. Only keys come from the experiment's seed,
 * so that a run repeats itself.
 */
#ifndef FT_SIMULATE_SESSION_H
#define FT_SIMULATE_SESSION_H

#include "aggregator/simulate/engine/pool.h"
#include "common/secure_sum/codec.h"

#include <stdbool.h>

struct sim_session;

struct sim_session_config {
    const struct ft_ss_codec *codec;
    uint32_t clients;   /* of the round: those who come and those who do not */
    uint32_t corrupted; /* F: clients that may collude with the server */
    double clip;        /* |w u_j| */
    uint64_t seed, round;
    struct sim_pool *pool;
};

/* The most of n clients that may be lost without losing the sum; false when n cannot make one at all. */
bool sim_session_tolerates(uint32_t n, uint32_t corrupted, uint32_t *lost);

/* Every client has joined and dealt, and is asked for its contribution. Errors: CONFIG (a cohort that cannot
 * be), NOMEM, INTERNAL (a message was refused: the sentence says whose and why). */
FT_NODISCARD enum ft_status sim_session_open(const struct sim_session_config *config,
                                             struct sim_session **out, struct ft_error *err);
void sim_session_close(struct sim_session *s); /* wipes; NULL is allowed */

/* Client number `client` masks its packed contribution, `words` from ft_big_alloc (changes hands), and
 * uploads it. From any thread, each client once. *mask_ns: processor time of the masking. Errors: NOMEM,
 * INTERNAL. */
FT_NODISCARD enum ft_status sim_session_put(struct sim_session *s, uint32_t client, uint64_t *words,
                                            uint64_t *mask_ns);

/* Those who did not put are lost. The sum's words, as many as the codec has. Errors: COHORT (too many were
 * lost), NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status sim_session_end(struct sim_session *s, uint64_t *total, struct ft_error *err);

#endif
