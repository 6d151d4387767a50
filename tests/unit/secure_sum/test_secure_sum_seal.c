/* Sealed shares, escrows, pair secrets and edges. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/secure_sum/derive.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/pair.h"
#include "common/secure_sum/seal.h"
#include "common/secure_sum/shamir.h"
#include "tests/unit/secure_sum/secure_sum_support.h"
#include <math.h>

static const uint8_t t1[32] = { 0xa5, 1 }, other_t1[32] = { 0xa5, 2 };

/* A share opens only under its pair, session, direction and position, and only unchanged. */
static void
a_share_opens_only_where_it_belongs(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 90);
    const struct ft_ss_share_route route = { .t1 = t1, .dealer = 3, .holder = 7, .x = 5 };
    const struct ft_ss_share_route wrong[] = {
        { other_t1, 3, 7, 5 }, { t1, 7, 3, 5 }, { t1, 4, 7, 5 }, { t1, 3, 8, 5 }, { t1, 3, 7, 6 }
    };
    uint8_t pair[32] = { 1 }, other_pair[32] = { 2 }, b[32], k[32], nonce[24], ct[80], out_b[32], out_k[32];
    const uint8_t zero[32] = { 0 };
    (void)state;
    ft_ss_scalar_random(env, b);
    ft_ss_scalar_random(env, k);
    ft_ss_share_seal(env, pair, &route, b, k, nonce, ct);
    assert_int_equal(ft_ss_share_open(pair, &route, nonce, ct, out_b, out_k), FT_OK);
    assert_memory_equal(out_b, b, 32);
    assert_memory_equal(out_k, k, 32);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(ft_ss_share_open(pair, &wrong[i], nonce, ct, out_b, out_k), FT_ERR_VERIFY);
        assert_memory_equal(out_b, zero, 32);
        assert_memory_equal(out_k, zero, 32);
    }
    assert_int_equal(ft_ss_share_open(other_pair, &route, nonce, ct, out_b, out_k), FT_ERR_VERIFY);
    for (size_t i = 0; i < 80; i++) {
        ct[i] ^= 1;
        assert_int_equal(ft_ss_share_open(pair, &route, nonce, ct, out_b, out_k), FT_ERR_VERIFY);
        ct[i] ^= 1;
    }
    nonce[0] ^= 1;
    assert_int_equal(ft_ss_share_open(pair, &route, nonce, ct, out_b, out_k), FT_ERR_VERIFY);
}

/* A dealer who seals a scalar that is not canonical is found out, whichever of the two it is. */
static void
sealed_scalars_must_be_canonical(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 91);
    const struct ft_ss_share_route route = { .t1 = t1, .dealer = 3, .holder = 7, .x = 5 };
    uint8_t pair[32] = { 1 }, good[32] = { 9 }, bad[32], nonce[24], ct[80], out_b[32], out_k[32];
    (void)state;
    memset(bad, 0xff, sizeof bad);
    ft_ss_share_seal(env, pair, &route, bad, good, nonce, ct);
    assert_int_equal(ft_ss_share_open(pair, &route, nonce, ct, out_b, out_k), FT_ERR_VERIFY);
    ft_ss_share_seal(env, pair, &route, good, bad, nonce, ct);
    assert_int_equal(ft_ss_share_open(pair, &route, nonce, ct, out_b, out_k), FT_ERR_VERIFY);
}

/* An escrow gives back its entries without the padding, has one size whatever it holds, and refuses
 * tampering. */
static void
an_escrow_hides_how_many_edges_it_holds(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 92);
    struct ft_ss_escrow_entry in[6], out[6];
    uint8_t kappa[32], nonce[24], ct[6 * 36 + 16];
    size_t count;
    (void)state;
    assert_int_equal(ft_ss_escrow_ct_size(6), sizeof ct);
    ft_ss_scalar_random(env, kappa);
    for (uint32_t i = 0; i < 6; i++) {
        in[i].id = 10 * i;
        env->random(env->ctx, in[i].seed, 32);
    }
    for (size_t n = 0; n <= 6; n++) {
        assert_int_equal(ft_ss_escrow_seal(env, kappa, t1, 4, in, n, 6, nonce, ct), FT_OK);
        assert_int_equal(ft_ss_escrow_open(kappa, t1, 4, nonce, ct, 6, out, &count), FT_OK);
        assert_int_equal(count, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(out[i].id, in[i].id);
            assert_memory_equal(out[i].seed, in[i].seed, 32);
        }
    }
    assert_int_equal(ft_ss_escrow_open(kappa, other_t1, 4, nonce, ct, 6, out, &count), FT_ERR_VERIFY);
    assert_int_equal(ft_ss_escrow_open(kappa, t1, 5, nonce, ct, 6, out, &count), FT_ERR_VERIFY);
    ct[100] ^= 1;
    assert_int_equal(ft_ss_escrow_open(kappa, t1, 4, nonce, ct, 6, out, &count), FT_ERR_VERIFY);
    assert_int_equal(count, 0);
    assert_int_equal(ft_ss_escrow_seal(env, kappa, t1, 4, in, 6, 5, nonce, ct), FT_ERR_LIMIT);
}

/* A client that escrows one peer twice would have that mask taken out of the sum twice: refused. */
static void
an_escrow_with_a_peer_twice_is_false(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 93);
    struct ft_ss_escrow_entry in[3] = { { .id = 5 }, { .id = 8 }, { .id = 5 } }, out[4];
    uint8_t kappa[32] = { 3 }, nonce[24], ct[4 * 36 + 16];
    size_t count;
    (void)state;
    assert_int_equal(ft_ss_escrow_seal(env, kappa, t1, 4, in, 3, 4, nonce, ct), FT_OK);
    assert_int_equal(ft_ss_escrow_open(kappa, t1, 4, nonce, ct, 4, out, &count), FT_ERR_VERIFY);
    assert_int_equal(count, 0);
}

/* Signatures hold for one label and one list of fields. */
static void
signatures_bind_label_and_fields(void **state)
{
    uint8_t seed[32] = { 7 }, pk[32], sk[64], signature[64];
    (void)state;
    crypto_sign_seed_keypair(pk, sk, seed);
    FT_SS_SIGN(signature, sk, "join", FT_BYTES(t1, 32), FT_SS_U32(4u));
    assert_true(FT_SS_VERIFY(signature, pk, "join", FT_BYTES(t1, 32), FT_SS_U32(4u)));
    assert_false(FT_SS_VERIFY(signature, pk, "confirm", FT_BYTES(t1, 32), FT_SS_U32(4u)));
    assert_false(FT_SS_VERIFY(signature, pk, "join", FT_BYTES(t1, 32), FT_SS_U32(5u)));
    assert_false(FT_SS_VERIFY(signature, pk, "join", FT_BYTES(t1, 32)));
    signature[10] ^= 1;
    assert_false(FT_SS_VERIFY(signature, pk, "join", FT_BYTES(t1, 32), FT_SS_U32(4u)));
}

/* The cache refuses itself, strangers and low-order keys, and agrees anew when a peer's key changes. */
static void
pair_secrets_follow_the_directory(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 94);
    const uint8_t deployment[16] = { 1 }, low[32] = { 1 };
    uint8_t xsk[3][32], xpk[3][32], first[32];
    struct ft_ss_pairs *pairs;
    const uint8_t *p;
    const size_t live = ft_alloc_live();
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        env->random(env->ctx, xsk[i], 32);
        assert_int_equal(crypto_scalarmult_base(xpk[i], xsk[i]), 0);
    }
    assert_int_equal(ft_ss_pairs_open(5, 5, xsk[0], xpk[0], deployment, 1, &pairs), FT_ERR_ARGUMENT);
    assert_int_equal(ft_ss_pairs_open(5, 2, xsk[0], xpk[1], deployment, 1, &pairs), FT_ERR_VERIFY);
    assert_null(pairs);
    assert_int_equal(ft_ss_pairs_open(5, 2, xsk[0], xpk[0], deployment, 1, &pairs), FT_OK);
    assert_int_equal(ft_ss_pairs_get(pairs, 2, xpk[1], &p), FT_ERR_ARGUMENT);
    assert_int_equal(ft_ss_pairs_get(pairs, 5, xpk[1], &p), FT_ERR_ARGUMENT);
    assert_int_equal(ft_ss_pairs_get(pairs, 1, low, &p), FT_ERR_VERIFY);
    assert_null(p);
    assert_int_equal(ft_ss_pairs_get(pairs, 1, xpk[1], &p), FT_OK);
    memcpy(first, p, 32);
    assert_int_equal(ft_ss_pairs_get(pairs, 1, xpk[2], &p), FT_OK);
    assert_memory_not_equal(first, p, 32);
    assert_int_equal(ft_ss_pairs_get(pairs, 1, xpk[1], &p), FT_OK);
    assert_memory_equal(first, p, 32);
    assert_int_equal(ft_ss_pairs_get(pairs, 3, xpk[1], &p), FT_OK); /* the ids are part of the secret */
    assert_memory_not_equal(first, p, 32);
    ft_ss_pairs_close(pairs);
    assert_int_equal(ft_alloc_live(), live);
}

/* Edges are there with probability p: the number of active ones is within five deviations. */
static void
the_edge_rate_is_p(void **state)
{
    static const double rates[] = { 0.0, 0.044, 0.5, 0.9 };
    enum { EDGES = 20000 };
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 95);
    (void)state;
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        const uint64_t p = (uint64_t)ldexp(rates[r], 64);
        const double expected = EDGES * rates[r], deviation = sqrt(EDGES * rates[r] * (1 - rates[r]));
        int active = 0;
        for (int i = 0; i < EDGES; i++) {
            struct ft_ss_edge edge;
            uint8_t pair[32];
            env->random(env->ctx, pair, sizeof pair);
            ft_ss_derive_edge(&edge, pair, t1, p);
            active += edge.active;
        }
        assert_true(fabs(active - expected) <= 5 * deviation);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_opens_only_where_it_belongs),
        cmocka_unit_test(sealed_scalars_must_be_canonical),
        cmocka_unit_test(an_escrow_hides_how_many_edges_it_holds),
        cmocka_unit_test(an_escrow_with_a_peer_twice_is_false),
        cmocka_unit_test(signatures_bind_label_and_fields),
        cmocka_unit_test(pair_secrets_follow_the_directory),
        cmocka_unit_test(the_edge_rate_is_p),
    };
    return cmocka_run_group_tests(tests, support_setup, NULL);
}
