#include "common/rpc/backoff.h"

#include <assert.h>

void
ft_backoff_init(struct ft_backoff *b, uint32_t base_ms, uint32_t cap_ms)
{
    assert(base_ms >= 1 && base_ms <= cap_ms);
    *b = (struct ft_backoff){ base_ms, cap_ms, 0 };
}

uint32_t
ft_backoff_next_ms(struct ft_backoff *b, const struct ft_env *env)
{
    /* 2^32 times a base of 1 ms is above any cap, so the shift never needs more. */
    const uint32_t shift = b->failures < 32 ? b->failures : 32;
    uint64_t bound = (uint64_t)b->base_ms << shift;
    if (bound > b->cap_ms)
        bound = b->cap_ms;
    if (b->failures < UINT32_MAX)
        b->failures++;
    return (uint32_t)ft_random_below(env, bound + 1);
}

void
ft_backoff_reset(struct ft_backoff *b)
{
    b->failures = 0;
}
