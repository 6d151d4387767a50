/*
 * Jittered exponential back-off ("full jitter"): the n-th wait is uniform in 0 .. min(cap, base * 2^n), so
 * that many shops that lost the same aggregator do not come back together. Pure: randomness comes from `env`.
 * Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
#ifndef FT_RPC_BACKOFF_H
#define FT_RPC_BACKOFF_H

#include "common/base/env.h"

struct ft_backoff {
    uint32_t base_ms; /* 1 .. cap_ms */
    uint32_t cap_ms;
    uint32_t failures; /* since the last success */
};

void ft_backoff_init(struct ft_backoff *b, uint32_t base_ms, uint32_t cap_ms);
/* One more failure: how long to wait before the next attempt, 0 .. cap_ms. */
uint32_t ft_backoff_next_ms(struct ft_backoff *b, const struct ft_env *env);
void ft_backoff_reset(struct ft_backoff *b); /* after a success */

#endif
