#include "common/base/env.h"
#include "common/base/buf.h"

#include <sodium.h>
#include <time.h>

static uint64_t
clock_ms(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

static uint64_t
system_now_ms(void *ctx)
{
    (void)ctx;
    return clock_ms(CLOCK_MONOTONIC);
}

static uint64_t
system_wall_ms(void *ctx)
{
    (void)ctx;
    return clock_ms(CLOCK_REALTIME);
}

static void
system_random(void *ctx, void *out, size_t size)
{
    (void)ctx;
    randombytes_buf(out, size);
}

const struct ft_env *
ft_env_system(void)
{
    static const struct ft_env env = { system_now_ms, system_wall_ms, system_random, NULL };
    return &env;
}

uint64_t
ft_random_u64(const struct ft_env *env)
{
    uint8_t raw[8];
    env->random(env->ctx, raw, sizeof raw);
    return ft_get_u64(raw);
}

uint64_t
ft_random_below(const struct ft_env *env, uint64_t bound)
{
    const uint64_t skip = (0 - bound) % bound; /* 2^64 mod bound values at the bottom would be favoured */
    uint64_t v;
    do
        v = ft_random_u64(env);
    while (v < skip);
    return v % bound;
}
