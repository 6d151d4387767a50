/* A clock and a random source that a seed decides: for simulations and tests. It stands alone, so that no program
 * that works with a shop's data or its secrets has it (tests/e2e/hardening). */
#include "common/base/buf.h"
#include "common/base/env.h"

#include <sodium.h>
#include <string.h>

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
