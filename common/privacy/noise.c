#include "common/privacy/noise.h"
#include "common/privacy/noise_internal.h"

#include "common/base/alloc.h"
#include "common/base/plant.h"
#include "common/privacy/parameters.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#define FACTORIAL_12 479001600u /* the largest factorial below 2^32 */

void
ft_noise_words_open(struct ft_noise_words *w, const struct ft_env *env)
{
    env->random(env->ctx, w->key, sizeof w->key);
    if (FT_PLANT(NOISE_REUSED))
        memset(w->key, 7, sizeof w->key);
    w->refills = 0;
    w->at = FT_NOISE_WORDS;
}

void
ft_noise_words_close(struct ft_noise_words *w)
{
    sodium_memzero(w, sizeof *w);
}

static void
refill(struct ft_noise_words *w)
{
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    const uint64_t number = w->refills++;
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)(number >> (8 * i));
    crypto_stream_chacha20((unsigned char *)w->words, sizeof w->words, nonce, w->key);
    w->at = 0;
}

static inline uint32_t
next(struct ft_noise_words *w)
{
    if (__builtin_expect(w->at == FT_NOISE_WORDS, 0))
        refill(w);
    return w->words[w->at++];
}

/* Uniform on 0 .. n-1 for n < 2^32. Lemire's multiplication: the products x n whose low half lies below 2^32 mod n
 * are the surplus, and are drawn again. */
static inline uint32_t
uniform_32(struct ft_noise_words *w, uint32_t n)
{
    uint64_t product = (uint64_t)next(w) * n;
    if (__builtin_expect((uint32_t)product < n, 0)) {
        const uint32_t surplus = (uint32_t)(0 - n) % n;
        while ((uint32_t)product < surplus)
            product = (uint64_t)next(w) * n;
    }
    return (uint32_t)(product >> 32);
}

static uint64_t
uniform_64(struct ft_noise_words *w, uint64_t n)
{
    const uint64_t surplus = (0 - n) % n;
    unsigned __int128 product;
    do {
        const uint64_t high = next(w);
        product = (unsigned __int128)(high << 32 | next(w)) * n;
    } while ((uint64_t)product < surplus);
    return (uint64_t)(product >> 64);
}

uint64_t
ft_noise_uniform(struct ft_noise_words *w, uint64_t n)
{
    return n <= UINT32_MAX ? uniform_32(w, (uint32_t)n) : uniform_64(w, n);
}

/* Bernoulli(exp(-1)): the number K of turns of `k = 1; while uni(k) == 0: k += 1` has P(K > k) = 1/k!, so one number
 * uniform below 12! decides the first twelve turns at once. Odd K is true. */
static inline bool
bernoulli_exp1(struct ft_noise_words *w)
{
    static const uint32_t above[] = { /* 12!/k!: K > k iff the number is below */
        FACTORIAL_12 / 2, FACTORIAL_12 / 6, FACTORIAL_12 / 24, FACTORIAL_12 / 120, FACTORIAL_12 / 720,
        FACTORIAL_12 / 5040, FACTORIAL_12 / 40320, FACTORIAL_12 / 362880, 132, 12, 1,
    };
    const uint32_t u = uniform_32(w, FACTORIAL_12);
    uint32_t k = 2;
    if (u >= above[0]) /* half of the time */
        return false;
    if (u >= above[1])
        return true;
    for (k = 4; k <= 12; k++)
        if (u >= above[k - 2])
            return (k & 1) != 0;
    while (uniform_32(w, k) == 0)
        k++;
    return (k & 1) != 0;
}

/* Bernoulli(exp(-a/b)) for 0 <= a <= b; b k stays below 2^63, as b is at most 2^49. */
static inline bool
bernoulli_exp_fraction(struct ft_noise_words *w, uint64_t a, uint64_t b)
{
    uint64_t k = 1;
    while (ft_noise_uniform(w, b * k) < a)
        k++;
    return (k & 1) != 0;
}

/* Bernoulli(exp(-a/b)) for any a. */
static bool
bernoulli_exp_wide(struct ft_noise_words *w, unsigned __int128 a, uint64_t b)
{
    while (a > b) {
        if (!bernoulli_exp1(w))
            return false;
        a -= b;
    }
    return bernoulli_exp_fraction(w, (uint64_t)a, b);
}

static inline bool
bernoulli_exp(struct ft_noise_words *w, uint64_t a, uint64_t b)
{
    while (a > b) {
        if (!bernoulli_exp1(w))
            return false;
        a -= b;
    }
    return bernoulli_exp_fraction(w, a, b);
}

int64_t
ft_noise_sample(struct ft_noise_words *w, uint32_t sigma)
{
    const uint64_t two_variances = 2 * (uint64_t)sigma * sigma;
    for (;;) {
        uint32_t u;
        uint64_t v = 0;
        do
            u = uniform_32(w, sigma);
        while (!bernoulli_exp_fraction(w, u, sigma));
        while (bernoulli_exp1(w))
            v++;
        const uint64_t y = u + v * sigma; /* v cannot pass 2^38: it would take 2^38 heads in a row */
        const bool negative = next(w) >> 31 != 0;
        if (negative && y == 0)
            continue;
        const uint64_t distance = y > sigma ? y - sigma : sigma - y;
        const bool keep = __builtin_expect(distance <= UINT32_MAX, 1)
                              ? bernoulli_exp(w, distance * distance, two_variances)
                              : bernoulli_exp_wide(w, (unsigned __int128)distance * distance, two_variances);
        if (keep)
            return negative ? -(int64_t)y : (int64_t)y;
    }
}

enum ft_status
ft_noise_draw(const struct ft_env *env, uint64_t dim, uint32_t sigma, struct ft_noise **out)
{
    struct ft_noise_words words;
    struct ft_noise *n;

    *out = NULL;
    if (dim < 1 || dim > FT_PRIVACY_DIM_MAX || sigma < 1 || sigma > FT_PRIVACY_SHARE_MAX)
        return FT_ERR_ARGUMENT;
    n = ft_calloc(1, sizeof *n);
    if (n == NULL)
        return FT_ERR_NOMEM;
    n->dim = dim;
    n->sigma = sigma;
    n->values = ft_big_alloc((size_t)dim * sizeof *n->values);
    if (n->values == NULL) {
        ft_free(n);
        return FT_ERR_NOMEM;
    }
    ft_noise_words_open(&words, env);
    for (uint64_t i = 0; i < dim; i++)
        n->values[i] = FT_PLANT(NOISE_LEFT_OUT) ? 0 : ft_noise_sample(&words, sigma);
    ft_noise_words_close(&words);
    *out = n;
    return FT_OK;
}

void
ft_noise_close(struct ft_noise *n)
{
    if (n == NULL)
        return;
    sodium_memzero(n->values, (size_t)n->dim * sizeof *n->values);
    ft_big_free(n->values, (size_t)n->dim * sizeof *n->values);
    ft_free(n);
}
