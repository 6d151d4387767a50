#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/secure_sum/shamir_internal.h"
#include "tests/unit/secure_sum/secure_sum_support.h"

#define K_MAX 64

/* A dealt secret. */
struct deal {
    uint8_t secret[32];
    uint8_t shares[K_MAX][32];
    uint16_t t, k;
};

static void
deal_random(const struct ft_env *env, uint16_t t, uint16_t k, struct deal *d)
{
    d->t = t;
    d->k = k;
    ft_ss_scalar_random(env, d->secret);
    assert_int_equal(ft_ss_shamir_deal(env, d->secret, t, k, d->shares), FT_OK);
}

/* A uniformly random ordered subset of `count` shares. */
static void
pick(const struct ft_env *env, const struct deal *d, uint16_t count, struct ft_ss_share *out)
{
    uint16_t order[K_MAX];
    for (uint16_t i = 0; i < d->k; i++)
        order[i] = (uint16_t)(i + 1);
    for (uint16_t i = 0; i < count; i++) {
        const uint16_t j = (uint16_t)(i + ft_random_below(env, (uint64_t)d->k - i));
        const uint16_t x = order[j];
        order[j] = order[i];
        order[i] = x;
        out[i].x = x;
        memcpy(out[i].y, d->shares[x - 1], 32);
    }
}

/* Horner's small multiplication against libsodium's scalar field, at the extremes and at random. */
static void
small_multiplication_agrees_with_libsodium(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 10);
    uint8_t one[32] = { 1 }, l_minus_1[32];
    (void)state;
    crypto_core_ristretto255_scalar_negate(l_minus_1, one);
    for (int i = 0; i < 4000; i++) {
        uint8_t a[32], b[32], x_wide[32] = { 0 }, expected[32], got[32];
        const uint16_t x = i % 5 == 0 ? 65535 : i % 5 == 1 ? 0 : (uint16_t)ft_random_below(env, 65536);
        ft_ss_scalar_random(env, a);
        ft_ss_scalar_random(env, b);
        if (i % 7 == 0)
            memcpy(a, l_minus_1, 32);
        if (i % 3 == 0)
            memcpy(b, l_minus_1, 32);
        if (i % 11 == 0)
            memset(b, 0, 32);
        ft_put_u16(x_wide, x);
        crypto_core_ristretto255_scalar_mul(expected, a, x_wide);
        crypto_core_ristretto255_scalar_add(expected, expected, b);
        ft_ss_scalar_muladd_small(got, a, x, b);
        assert_memory_equal(got, expected, 32);
        ft_ss_scalar_muladd_small(a, a, x, b); /* in place */
        assert_memory_equal(a, expected, 32);
    }
}

/* Only scalars below l pass: l - 1 does, l, l + 1 and all ones do not. */
static void
only_scalars_below_l_are_canonical(void **state)
{
    uint8_t one[32] = { 1 }, s[32];
    (void)state;
    crypto_core_ristretto255_scalar_negate(s, one);
    assert_true(ft_ss_scalar_canonical(s));
    s[0]++; /* l ends in ...ed */
    assert_hex(s, 32, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    assert_false(ft_ss_scalar_canonical(s));
    s[0]++;
    assert_false(ft_ss_scalar_canonical(s));
    memset(s, 0xff, 32);
    assert_false(ft_ss_scalar_canonical(s));
    memset(s, 0, 32);
    assert_true(ft_ss_scalar_canonical(s));
}

/* Any t of k shares in any order rebuild the secret, with and without a warm cache. */
static void
any_t_shares_rebuild_the_secret(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 11);
    struct ft_ss_lagrange cache = { 0 };
    struct ft_ss_share some[K_MAX];
    struct deal d;
    uint8_t back[32];
    (void)state;
    for (int i = 0; i < 60; i++) {
        const uint16_t k = (uint16_t)(2 + ft_random_below(env, K_MAX - 1));
        const uint16_t t = (uint16_t)(2 + ft_random_below(env, k - 1u));
        deal_random(env, t, k, &d);
        pick(env, &d, t, some);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(ft_ss_shamir_rebuild(&cache, some, t, back), FT_OK);
            assert_memory_equal(back, d.secret, 32);
        }
    }
    assert_true(cache.hits >= 60);
    ft_ss_lagrange_clear(&cache);
}

/* With t - 1 shares every secret is as likely: for any other secret there is a polynomial through them. */
static void
t_minus_1_shares_fit_every_secret(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 12);
    struct ft_ss_lagrange cache = { 0 };
    struct deal d;
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct ft_ss_share given[K_MAX], all[K_MAX];
        uint8_t other[32], weight_of_zero[32], rebuilt[32], y[32], term[32];
        uint16_t xs[K_MAX];
        uint8_t lambdas[K_MAX][32];
        deal_random(env, 7, 12, &d);
        pick(env, &d, 7, given);
        ft_ss_scalar_random(env, other);
        /* Keep six shares and move the seventh so that the secret becomes `other`: y_7 += (other - s) /
         * lambda_7. */
        for (size_t j = 0; j < 7; j++)
            xs[j] = given[j].x;
        assert_int_equal(ft_ss_shamir_weights(xs, 7, true, lambdas), FT_OK);
        assert_int_equal(crypto_core_ristretto255_scalar_invert(weight_of_zero, lambdas[6]), 0);
        crypto_core_ristretto255_scalar_sub(term, other, d.secret);
        crypto_core_ristretto255_scalar_mul(term, term, weight_of_zero);
        crypto_core_ristretto255_scalar_add(y, given[6].y, term);
        memcpy(all, given, sizeof all);
        memcpy(all[6].y, y, 32);
        assert_int_equal(ft_ss_shamir_rebuild(&cache, all, 7, rebuilt), FT_OK);
        assert_memory_equal(rebuilt, other, 32);
    }
    ft_ss_lagrange_clear(&cache);
}

/* Up to floor((count - t) / 2) lies are borne and named; shares may come in any order. */
static void
decoding_bears_and_names_the_lies(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 13);
    struct ft_ss_share some[K_MAX];
    struct deal d;
    uint8_t back[32];
    bool lies[K_MAX];
    (void)state;
    for (int i = 0; i < 40; i++) {
        const uint16_t k = (uint16_t)(4 + ft_random_below(env, 28));
        const uint16_t t = (uint16_t)(2 + ft_random_below(env, k - 1u));
        const uint16_t count = (uint16_t)(t + ft_random_below(env, (uint64_t)k - t + 1));
        const uint16_t most = (uint16_t)((count - t) / 2);
        const uint16_t liars = i % 2 == 0 ? most : (uint16_t)ft_random_below(env, most + 1u);
        deal_random(env, t, k, &d);
        if (i % 9 == 0) { /* the zero secret and a degenerate polynomial are shares too */
            memset(d.secret, 0, 32);
            memset(d.shares, 0, sizeof d.shares);
        }
        pick(env, &d, count, some);
        for (uint16_t j = 0; j < liars; j++)
            some[j].y[0] ^= 1;
        assert_int_equal(ft_ss_shamir_decode(some, count, t, back, lies), FT_OK);
        assert_memory_equal(back, d.secret, 32);
        for (uint16_t j = 0; j < count; j++)
            assert_int_equal(lies[j], j < liars);
    }
}

/* One lie too many is refused rather than decoded to something else. */
static void
decoding_refuses_one_lie_too_many(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 14);
    struct ft_ss_share some[K_MAX];
    struct deal d;
    uint8_t back[32];
    (void)state;
    for (int i = 0; i < 10; i++) {
        deal_random(env, 6, 15, &d);
        pick(env, &d, 15, some);
        for (size_t j = 0; j < 5; j++)
            ft_ss_scalar_random(env, some[j].y);
        assert_int_equal(ft_ss_shamir_decode(some, 15, 6, back, NULL), FT_ERR_VERIFY);
    }
}

/* Positions of 0 or twice, too few shares and scalars that are not canonical are refused. */
static void
malformed_shares_are_refused(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 15);
    struct ft_ss_lagrange cache = { 0 };
    struct ft_ss_share some[8];
    struct deal d;
    uint8_t back[32], zero[32] = { 0 };
    (void)state;
    deal_random(env, 4, 8, &d);
    pick(env, &d, 8, some);
    some[1].x = some[0].x;
    assert_int_equal(ft_ss_shamir_rebuild(&cache, some, 4, back), FT_ERR_ARGUMENT);
    assert_int_equal(ft_ss_shamir_decode(some, 8, 4, back, NULL), FT_ERR_ARGUMENT);
    some[1].x = 0;
    assert_int_equal(ft_ss_shamir_rebuild(&cache, some, 4, back), FT_ERR_ARGUMENT);
    pick(env, &d, 8, some);
    memset(some[2].y, 0xff, 32);
    assert_int_equal(ft_ss_shamir_rebuild(&cache, some, 4, back), FT_ERR_FORMAT);
    assert_int_equal(ft_ss_shamir_decode(some, 8, 4, back, NULL), FT_ERR_FORMAT);
    assert_int_equal(ft_ss_shamir_decode(some, 3, 4, back, NULL), FT_ERR_ARGUMENT);
    assert_memory_equal(back, zero, 32);
    memset(d.secret, 0xff, 32);
    assert_int_equal(ft_ss_shamir_deal(env, d.secret, 2, 3, d.shares), FT_ERR_ARGUMENT);
    memset(d.secret, 0, 32);
    assert_int_equal(ft_ss_shamir_deal(env, d.secret, 1, 3, d.shares), FT_ERR_ARGUMENT);
    assert_int_equal(ft_ss_shamir_deal(env, d.secret, 4, 3, d.shares), FT_ERR_ARGUMENT);
    ft_ss_lagrange_clear(&cache);
}

/* Positions up to the largest a u16 holds keep their products inside the arithmetic. */
static void
the_largest_positions_rebuild(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 16);
    struct ft_ss_lagrange cache = { 0 };
    struct ft_ss_share some[9];
    uint8_t secret[32], a1[32], back[32];
    (void)state;
    ft_ss_scalar_random(env, secret);
    ft_ss_scalar_random(env, a1);
    for (size_t i = 0; i < 9; i++) {
        some[i].x = (uint16_t)(i < 5 ? 65535 - i : i);
        ft_ss_scalar_muladd_small(some[i].y, a1, some[i].x, secret);
    }
    assert_int_equal(ft_ss_shamir_rebuild(&cache, some, 9, back), FT_OK);
    assert_memory_equal(back, secret, 32);
    some[8].y[3] ^= 4;
    assert_int_equal(ft_ss_shamir_decode(some, 9, 2, back, NULL), FT_OK);
    assert_memory_equal(back, secret, 32);
    ft_ss_lagrange_clear(&cache);
}

/* Fail each allocation in turn: NOMEM, nothing leaks. */
static void
sharing_survives_any_failed_allocation(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 17);
    const size_t live = ft_alloc_live();
    struct deal d;
    struct ft_ss_share some[8];
    uint8_t back[32];
    enum ft_status st;
    (void)state;
    deal_random(env, 4, 8, &d);
    pick(env, &d, 8, some);
    for (uint64_t nth = 1;; nth++) {
        struct ft_ss_lagrange cache = { 0 };
        ft_alloc_fail_at(nth, false);
        st = ft_ss_shamir_deal(env, d.secret, 4, 8, d.shares);
        if (st == FT_OK)
            st = ft_ss_shamir_rebuild(&cache, some, 4, back);
        if (st == FT_OK)
            st = ft_ss_shamir_decode(some, 8, 4, back, NULL);
        ft_ss_lagrange_clear(&cache);
        assert_int_equal(ft_alloc_live(), live);
        if (!ft_alloc_fault_fired())
            break;
        assert_int_equal(st, FT_ERR_NOMEM);
    }
    ft_alloc_fail_at(0, false);
    assert_int_equal(st, FT_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_multiplication_agrees_with_libsodium),
        cmocka_unit_test(only_scalars_below_l_are_canonical),
        cmocka_unit_test(any_t_shares_rebuild_the_secret),
        cmocka_unit_test(t_minus_1_shares_fit_every_secret),
        cmocka_unit_test(decoding_bears_and_names_the_lies),
        cmocka_unit_test(decoding_refuses_one_lie_too_many),
        cmocka_unit_test(malformed_shares_are_refused),
        cmocka_unit_test(the_largest_positions_rebuild),
        cmocka_unit_test(sharing_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, support_setup, NULL);
}
