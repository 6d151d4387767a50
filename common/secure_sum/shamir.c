/*
 * Dealing and rebuilding run on secrets and are constant time: one multiplication by a small public number
 * with its own reduction (Horner at small x), else libsodium's scalar arithmetic.
 */
#include "common/secure_sum/shamir.h"
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/secure_sum/shamir_internal.h"

#include <sodium.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

/* l = 2^252 + C */
static const uint64_t L0 = 0x5812631a5cf5d3edULL, L1 = 0x14def9dea2f79cd6ULL, L3 = 0x1000000000000000ULL;

bool
ft_ss_scalar_canonical(const uint8_t s[32])
{
    uint8_t wide[64] = { 0 }, reduced[32];
    bool same;
    memcpy(wide, s, 32);
    crypto_core_ristretto255_scalar_reduce(reduced, wide);
    same = sodium_memcmp(reduced, s, 32) == 0;
    sodium_memzero(wide, sizeof wide);
    sodium_memzero(reduced, sizeof reduced);
    return same;
}

void
ft_ss_scalar_random(const struct ft_env *env, uint8_t out[32])
{
    uint8_t wide[64]; /* 512 bits: the bias of the reduction is below 2^-250 */
    env->random(env->ctx, wide, sizeof wide);
    crypto_core_ristretto255_scalar_reduce(out, wide);
    sodium_memzero(wide, sizeof wide);
}

/* a - b with borrow in and out (0 or 1). */
static uint64_t
sub_borrow(uint64_t a, uint64_t b, uint64_t *borrow)
{
    const u128 d = (u128)a - b - *borrow;
    *borrow = (uint64_t)(d >> 64) & 1;
    return (uint64_t)d;
}

/* Add l once when `negative` (0 or 1). */
static void
add_l_if(uint64_t r[4], uint64_t negative)
{
    const uint64_t mask = 0 - negative;
    u128 c;
    c = (u128)r[0] + (L0 & mask);
    r[0] = (uint64_t)c;
    c = (c >> 64) + r[1] + (L1 & mask);
    r[1] = (uint64_t)c;
    c = (c >> 64) + r[2];
    r[2] = (uint64_t)c;
    c = (c >> 64) + r[3] + (L3 & mask);
    r[3] = (uint64_t)c;
}

void
ft_ss_scalar_muladd_small(uint8_t out[32], const uint8_t a[32], uint16_t x, const uint8_t b[32])
{
    uint64_t v[5], r[4], q, borrow = 0;
    u128 c = 0;

    for (size_t i = 0; i < 4; i++) {
        c += (u128)ft_get_u64(a + 8 * i) * x + ft_get_u64(b + 8 * i);
        v[i] = (uint64_t)c;
        c >>= 64;
    }
    v[4] = (uint64_t)c; /* a x + b < 2^269 */
    /* v = q 2^252 + low, and 2^252 = -C mod l: low - q C lies in (-2^143, 2^252) since q < 2^17 and C <
     * 2^125. */
    q = (v[3] >> 60) | (v[4] << 4);
    v[3] &= ((uint64_t)1 << 60) - 1;
    c = (u128)q * L0;
    r[0] = sub_borrow(v[0], (uint64_t)c, &borrow);
    c = (c >> 64) + (u128)q * L1;
    r[1] = sub_borrow(v[1], (uint64_t)c, &borrow);
    r[2] = sub_borrow(v[2], (uint64_t)(c >> 64), &borrow);
    r[3] = sub_borrow(v[3], 0, &borrow);
    add_l_if(r, borrow); /* now in [0, 2^252) or just below l: canonical either way */
    for (size_t i = 0; i < 4; i++)
        ft_put_u64(out + 8 * i, r[i]);
}

void
ft_ss_shamir_eval(const uint8_t secret[32], const uint8_t (*coefficients)[32], uint16_t t, uint16_t k,
                  uint8_t (*shares)[32])
{
    for (uint32_t x = 1; x <= k; x++) {
        uint8_t *acc = shares[x - 1];
        memset(acc, 0, 32);
        for (uint32_t j = t; j-- > 1;)
            ft_ss_scalar_muladd_small(acc, acc, (uint16_t)x, coefficients[j - 1]);
        ft_ss_scalar_muladd_small(acc, acc, (uint16_t)x, secret);
    }
}

enum ft_status
ft_ss_shamir_deal(const struct ft_env *env, const uint8_t secret[32], uint16_t t, uint16_t k,
                  uint8_t (*shares)[32])
{
    uint8_t(*coefficients)[32];
    if (t < 2 || t > k || !ft_ss_scalar_canonical(secret))
        return FT_ERR_ARGUMENT;
    coefficients = ft_secret_alloc((size_t)(t - 1) * 32);
    if (coefficients == NULL)
        return FT_ERR_NOMEM;
    for (size_t j = 0; j + 1 < t; j++)
        ft_ss_scalar_random(env, coefficients[j]);
    ft_ss_shamir_eval(secret, (const uint8_t(*)[32])coefficients, t, k, shares);
    ft_secret_free(coefficients);
    sodium_stackzero(1024); /* what the inlined arithmetic left behind */
    return FT_OK;
}

void
ft_ss_scalar_invert_all(uint8_t (*values)[32], size_t count, uint8_t (*scratch)[32])
{
    uint8_t inverse[32], next[32];
    if (count == 0)
        return;
    memcpy(scratch[0], values[0], 32);
    for (size_t i = 1; i < count; i++)
        crypto_core_ristretto255_scalar_mul(scratch[i], scratch[i - 1], values[i]);
    if (crypto_core_ristretto255_scalar_invert(inverse, scratch[count - 1]) != 0)
        memset(inverse, 0, sizeof inverse); /* a zero among the values, which callers exclude */
    for (size_t i = count; i-- > 1;) {
        crypto_core_ristretto255_scalar_mul(next, inverse, values[i]);
        crypto_core_ristretto255_scalar_mul(values[i], inverse, scratch[i - 1]);
        memcpy(inverse, next, 32);
    }
    memcpy(values[0], inverse, 32);
}

/* A product of small integers in Z_l, gathered in 64-bit pieces: positions are small and public. */
struct small_product {
    uint8_t value[32];
    uint64_t piece;
    bool negative;
};

static void
product_init(struct small_product *p)
{
    *p = (struct small_product){ .value = { 1 }, .piece = 1 };
}

static void
product_flush(struct small_product *p)
{
    uint8_t factor[32] = { 0 };
    ft_put_u64(factor, p->piece);
    crypto_core_ristretto255_scalar_mul(p->value, p->value, factor);
    p->piece = 1;
}

static void
product_multiply(struct small_product *p, int32_t by)
{
    p->negative ^= by < 0;
    p->piece *= (uint64_t)(by < 0 ? -(int64_t)by : by); /* below 2^48 before, 2^16 the factor */
    if (p->piece >> 48 != 0)
        product_flush(p);
}

static void
product_end(struct small_product *p, uint8_t out[32])
{
    product_flush(p);
    if (p->negative)
        crypto_core_ristretto255_scalar_negate(out, p->value);
    else
        memcpy(out, p->value, 32);
}

enum ft_status
ft_ss_shamir_weights(const uint16_t *xs, uint16_t count, bool at_zero, uint8_t (*weights)[32])
{
    struct small_product below, above;
    uint8_t(*scratch)[32] = ft_calloc(count, sizeof *scratch);
    uint8_t numerator[32];

    if (scratch == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        product_init(&below);
        for (size_t m = 0; m < count; m++)
            if (m != i)
                product_multiply(&below, at_zero ? (int32_t)xs[m] - xs[i] : (int32_t)xs[i] - xs[m]);
        product_end(&below, weights[i]);
    }
    ft_ss_scalar_invert_all(weights, count, scratch);
    for (size_t i = 0; at_zero && i < count; i++) {
        product_init(&above);
        for (size_t m = 0; m < count; m++)
            if (m != i)
                product_multiply(&above, xs[m]);
        product_end(&above, numerator);
        crypto_core_ristretto255_scalar_mul(weights[i], weights[i], numerator);
    }
    ft_free(scratch);
    return FT_OK;
}

enum ft_status
ft_ss_shares_check(const struct ft_ss_share *shares, uint16_t count)
{
    uint8_t seen[8192] = { 0 };
    for (size_t i = 0; i < count; i++) {
        const uint16_t x = shares[i].x;
        if (x == 0 || (seen[x / 8] >> (x % 8)) & 1)
            return FT_ERR_ARGUMENT;
        seen[x / 8] = (uint8_t)(seen[x / 8] | 1u << (x % 8));
        if (!ft_ss_scalar_canonical(shares[i].y))
            return FT_ERR_FORMAT;
    }
    return FT_OK;
}

static void
slot_clear(struct ft_ss_lagrange *cache, size_t slot)
{
    ft_free(cache->slots[slot].xs);
    ft_free(cache->slots[slot].lambdas);
    memset(&cache->slots[slot], 0, sizeof cache->slots[slot]);
}

void
ft_ss_lagrange_clear(struct ft_ss_lagrange *cache)
{
    for (size_t i = 0; i < FT_SS_LAGRANGE_SLOTS; i++)
        slot_clear(cache, i);
    *cache = (struct ft_ss_lagrange){ 0 };
}

static bool
slot_is(const struct ft_ss_lagrange *cache, size_t slot, const struct ft_ss_share *shares, uint16_t count)
{
    if (cache->slots[slot].xs == NULL || cache->slots[slot].count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (cache->slots[slot].xs[i] != shares[i].x)
            return false;
    return true;
}

/* The coefficients of this position set, from the cache or put there. */
static enum ft_status
lambdas_of(struct ft_ss_lagrange *cache, const struct ft_ss_share *shares, uint16_t count,
           const uint8_t (**lambdas)[32])
{
    enum ft_status st;
    size_t oldest = 0;

    cache->clock++;
    for (size_t i = 0; i < FT_SS_LAGRANGE_SLOTS; i++) {
        if (slot_is(cache, i, shares, count)) {
            cache->hits++;
            cache->slots[i].used = cache->clock;
            *lambdas = (const uint8_t(*)[32])cache->slots[i].lambdas;
            return FT_OK;
        }
        if (cache->slots[i].used < cache->slots[oldest].used)
            oldest = i;
    }
    slot_clear(cache, oldest);
    cache->slots[oldest].xs = ft_calloc(count, sizeof *cache->slots[oldest].xs);
    cache->slots[oldest].lambdas = ft_calloc(count, sizeof *cache->slots[oldest].lambdas);
    if (cache->slots[oldest].xs == NULL || cache->slots[oldest].lambdas == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (size_t i = 0; i < count; i++)
        cache->slots[oldest].xs[i] = shares[i].x;
    FT_TRY(ft_ss_shamir_weights(cache->slots[oldest].xs, count, true, cache->slots[oldest].lambdas));
    cache->slots[oldest].count = count;
    cache->slots[oldest].used = cache->clock;
    *lambdas = (const uint8_t(*)[32])cache->slots[oldest].lambdas;
    return FT_OK;
out:
    slot_clear(cache, oldest);
    return st;
}

enum ft_status
ft_ss_shamir_rebuild(struct ft_ss_lagrange *cache, const struct ft_ss_share *shares, uint16_t t,
                     uint8_t secret[32])
{
    enum ft_status st;
    const uint8_t(*lambdas)[32];
    uint8_t sum[32] = { 0 }, term[32];

    memset(secret, 0, 32);
    if (t < 1)
        return FT_ERR_ARGUMENT;
    st = ft_ss_shares_check(shares, t);
    if (st == FT_OK)
        st = lambdas_of(cache, shares, t, &lambdas);
    if (st != FT_OK)
        return st;
    for (size_t i = 0; i < t; i++) {
        crypto_core_ristretto255_scalar_mul(term, lambdas[i], shares[i].y);
        crypto_core_ristretto255_scalar_add(sum, sum, term);
    }
    memcpy(secret, sum, 32);
    sodium_memzero(sum, sizeof sum);
    sodium_memzero(term, sizeof term);
    return FT_OK;
}
