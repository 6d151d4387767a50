/*
 * What the core may ask of the world: time and randomness. Transport is a return value and storage a
 * callback of the module that needs it, so that a test or the simulator can own them all.
 */
#ifndef FT_BASE_ENV_H
#define FT_BASE_ENV_H

#include <stddef.h>
#include <stdint.h>

struct ft_env {
    uint64_t (*now_ms)(void *ctx);                        /* monotonic milliseconds; deadlines count in it */
    uint64_t (*wall_ms)(void *ctx);                       /* milliseconds since 1970, may jump */
    void (*random)(void *ctx, void *out, size_t size);    /* cannot fail */
    void *ctx;
};

/* The machine's clocks and libsodium's generator. sodium_init() must have been called. */
const struct ft_env *ft_env_system(void);

/*
 * A deterministic environment for tests and simulations: ChaCha20 keyed by (seed, stream), a clock that
 * moves only when told. Never reachable from a production program.
 */
struct ft_env_seeded {
    uint8_t key[32];
    uint64_t drawn;
    uint64_t now;  /* returned by now_ms */
    uint64_t wall; /* returned by wall_ms */
    struct ft_env env;
};
void ft_env_seeded_init(struct ft_env_seeded *e, uint64_t seed, uint64_t stream);

uint64_t ft_random_u64(const struct ft_env *env);
/* Uniform in 0 .. bound-1, without modulo bias; bound >= 1. */
uint64_t ft_random_below(const struct ft_env *env, uint64_t bound);

#endif
