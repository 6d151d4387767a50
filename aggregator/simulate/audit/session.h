/*
 * A real secure sum in one process: the shops' and the aggregator's state machines of common/secure_sum, with
 * keys, signatures, masks and dropouts, and messages handed over instead of sent. Time moves only to the next
 * deadline.
 *
 * Deterministic in the seed. Not thread-safe.
 */
#ifndef FT_SIMULATE_AUDIT_SESSION_H
#define FT_SIMULATE_AUDIT_SESSION_H

#include "common/base/status.h"
#include "common/plan/round_plan.h"

struct ft_sim_session;

struct ft_sim_session_config {
    const struct ft_task *task; /* borrowed while open */
    const uint8_t *task_hash;   /* 32 bytes, copied */
    uint32_t shops;             /* that join every round */
    uint64_t seed;
    unsigned threads; /* for masking; 0 and 1: the caller's */
};

/* Draw identities and epoch keys. Errors: ARGUMENT, NOMEM, VERIFY. */
FT_NODISCARD enum ft_status ft_sim_session_open(const struct ft_sim_session_config *config,
                                                struct ft_sim_session **out, struct ft_error *err);
void ft_sim_session_close(struct ft_sim_session *s); /* NULL is allowed */

/*
 * One round. words[i] (plan->codec.words, from ft_big_alloc) is shop i's packed contribution, which changes
 * hands whatever the outcome; NULL: the shop leaves once the cohort is closed. `sum` (plan->codec.words) is
 * what the aggregator learns, over *survivors shops. Errors: COHORT (the session failed; err says why),
 * NOMEM, INTERNAL.
 */
FT_NODISCARD enum ft_status ft_sim_session_sum(struct ft_sim_session *s, const struct ft_round_plan *plan,
                                               uint64_t round, uint64_t **words, uint64_t *sum,
                                               uint32_t *survivors, struct ft_error *err);

#endif
