#include "common/base/env.h"
#include "common/base/buf.h"

#include <sodium.h>
#include <string.h>
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

static uint64_t
seeded_now_ms(void *ctx)
{
    return ((struct ft_env_seeded *)ctx)->now;
}

static uint64_t
seeded_wall_ms(void *ctx)
{
    return ((struct ft_env_seeded *)ctx)->wall;
}

static void
seeded_random(void *ctx, void *out, size_t size)
{
    struct ft_env_seeded *e = ctx;
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    ft_put_u64(nonce, e->drawn++);
    if (size > 0)
        crypto_stream_chacha20(out, size, nonce, e->key);
}

void
ft_env_seeded_init(struct ft_env_seeded *e, uint64_t seed, uint64_t stream)
{
    uint8_t input[16];
    memset(e, 0, sizeof *e);
    ft_put_u64(input, seed);
    ft_put_u64(input + 8, stream);
    crypto_generichash(e->key, sizeof e->key, input, sizeof input, NULL, 0);
    e->env = (struct ft_env){ seeded_now_ms, seeded_wall_ms, seeded_random, e };
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
