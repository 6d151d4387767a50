/* Appendix A of the secure aggregation specification, value by value. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/secure_sum/bitmap.h"
#include "common/secure_sum/codec_internal.h"
#include "common/secure_sum/derive.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/merkle.h"
#include "common/secure_sum/pair.h"
#include "common/secure_sum/prg.h"
#include "common/secure_sum/seal.h"
#include "common/secure_sum/shamir.h"
#include "tests/unit/secure_sum/secure_sum_support.h"

#define XPK_3 "07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c"
#define XPK_7 "5869aff450549732cbaaed5e5df9b30a6da31cb0e5742bad5ad4a1a768f1a67b"
#define P_37  "0fabaf93716c5c82363ab021450b91388aff649131fda49b1815120e77cc7a22"
#define SEED  "06c780b593d8a00e462cebda59ccb71e1dbfb81dd6ff6b02fb183419baa44968"
#define CT_3_7                                                                                               \
    "cee3de682e0d77f4fadc382635d8eb9b781dd2e5ffea2b6df5872e061a754a3dd357405d62635b5f7becf14d34b39dcf"       \
    "840d21ff2ec710fa3175a82f435b67e5b9b982ba1107c70554209b230f84b1ab"

static uint8_t xsk_3[32], xsk_7[32], deployment[16], t1[32];

static int
setup(void **state)
{
    for (uint8_t i = 0; i < 32; i++) {
        xsk_3[i] = (uint8_t)(i + 1);
        xsk_7[i] = (uint8_t)(i + 33);
    }
    memset(deployment, 0xd0, sizeof deployment);
    memset(t1, 0xa5, sizeof t1);
    return support_setup(state);
}

/* The encoding under H, whole and fed in pieces. */
static void
encoding_gives_the_known_hash(void **state)
{
    static const char expected[] = "5818ed2f455bbc8fdbf8e3b340f942f1938c8c3da1dd414a3237f1048aad1235";
    struct ft_ss_hasher h;
    uint8_t out[32];
    (void)state;
    FT_SS_H(out, "kat", FT_BYTES("", 0), FT_BYTES("abc", 3));
    assert_hex(out, 32, expected);
    ft_ss_hasher_begin(&h, "kat");
    ft_ss_hasher_field(&h, FT_BYTES("", 0));
    ft_ss_hasher_open_field(&h, 3);
    ft_ss_hasher_feed(&h, FT_BYTES("a", 1));
    ft_ss_hasher_feed(&h, FT_BYTES("bc", 2));
    ft_ss_hasher_end(&h, out);
    assert_hex(out, 32, expected);
}

/* Fields that would run together in a plain concatenation give different hashes. */
static void
encoding_is_injective(void **state)
{
    uint8_t a[32], b[32], c[32];
    (void)state;
    FT_SS_H(a, "kat", FT_BYTES("ab", 2), FT_BYTES("c", 1));
    FT_SS_H(b, "kat", FT_BYTES("a", 1), FT_BYTES("bc", 2));
    FT_SS_H(c, "kat", FT_BYTES("abc", 3));
    assert_memory_not_equal(a, b, 32);
    assert_memory_not_equal(a, c, 32);
    assert_memory_not_equal(b, c, 32);
}

/* Both clients of a pair, and the cache of each, come to the same secret. */
static void
pair_secret_is_known_and_shared(void **state)
{
    uint8_t xpk_3[32], xpk_7[32], pair[32];
    struct ft_ss_pairs *of_3, *of_7;
    const uint8_t *p;
    (void)state;
    assert_int_equal(crypto_scalarmult_base(xpk_3, xsk_3), 0);
    assert_int_equal(crypto_scalarmult_base(xpk_7, xsk_7), 0);
    assert_hex(xpk_3, 32, XPK_3);
    assert_hex(xpk_7, 32, XPK_7);
    assert_int_equal(ft_ss_derive_pair(pair, xsk_7, xpk_3, deployment, 5, 3, 7, xpk_3, xpk_7), FT_OK);
    assert_hex(pair, 32, P_37);
    assert_int_equal(ft_ss_pairs_open(12, 3, xsk_3, xpk_3, deployment, 5, &of_3), FT_OK);
    assert_int_equal(ft_ss_pairs_open(12, 7, xsk_7, xpk_7, deployment, 5, &of_7), FT_OK);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(ft_ss_pairs_get(of_3, 7, xpk_7, &p), FT_OK);
        assert_hex(p, 32, P_37);
        assert_int_equal(ft_ss_pairs_get(of_7, 3, xpk_3, &p), FT_OK);
        assert_hex(p, 32, P_37);
    }
    ft_ss_pairs_close(of_3);
    ft_ss_pairs_close(of_7);
}

/* Edge bits and seed, mask key and share key of the pair. */
static void
edge_and_keys_of_a_pair_are_known(void **state)
{
    uint8_t pair[32], e[64], t2[32], out[32];
    struct ft_ss_edge edge;
    (void)state;
    from_hex(pair, 32, P_37);
    FT_SS_K64(e, pair, "edge", FT_BYTES(t1, 32));
    assert_hex(e, 32, "b4ae758a3ba83cc41b87e563462079296bd21e2acde9005a61b4de3d913e6a6b");
    assert_true(ft_get_u64(e) == 14140361903716019892u);
    ft_ss_derive_edge(&edge, pair, t1, FT_SS_P_CLASSICAL);
    assert_true(edge.active);
    assert_hex(edge.seed, 32, SEED);
    ft_ss_derive_edge(&edge, pair, t1, 14140361903716019892u); /* active iff strictly below p */
    assert_false(edge.active);
    ft_ss_derive_edge(&edge, pair, t1, 14140361903716019893u);
    assert_true(edge.active);
    memset(t2, 0x5a, sizeof t2);
    ft_ss_derive_mask(out, edge.seed, t2);
    assert_hex(out, 32, "27c049ef5ef813fac3df23a4cd4a6ebac3e888c7052ddff9e8ca138acb120e0d");
    ft_ss_derive_share_key(out, pair, t1, 3, 7);
    assert_hex(out, 32, "b9f737acf222bb2937cd6a395c0e86a49f896377554ae9595b938ad3afcb37a5");
}

/* The first words of two chunks in both suites, through every backend this machine has. */
static void
both_generators_give_the_known_words_in_every_backend(void **state)
{
    static const char *const expected[2][2] = {
        { "991ea22541a7d9ab560161c0cf64c5c82b6398c73be91d52544fafc1913826b1",
          "156a0d8622dcd31cb6869b9fc8f89a8b72c7db834bbf483a5d20c1a7fb0ab0f3" },
        { "628a764886513bc3f80d97794c323eabd48ea15e4de3b9784c76c64a9f5dab7a",
          "06da69dafeea2cccb6d6ccbb430597827073eb8050286e43542abd59d13bcbc2" },
    };
    uint8_t seed[32], bytes[32];
    int tried = 0;
    (void)state;
    from_hex(seed, 32, SEED);
    for (uint16_t suite = 1; suite <= 2; suite++)
        for (int b = 0; b < FT_SS_BACKEND_COUNT; b++) {
            struct ft_ss_prg *prg;
            if (!ft_ss_backend_available(suite, (enum ft_ss_backend)b))
                continue;
            assert_int_equal(ft_ss_prg_open(suite, (enum ft_ss_backend)b, &prg), FT_OK);
            for (unsigned chunk = 0; chunk < 2; chunk++) {
                uint64_t words[4];
                assert_int_equal(ft_ss_prg_words(prg, seed, words, (uint64_t)chunk * FT_SS_CHUNK_WORDS, 4),
                                 FT_OK);
                for (size_t i = 0; i < 4; i++)
                    ft_put_u64(bytes + 8 * i, words[i]);
                assert_hex(bytes, 32, expected[suite - 1][chunk]);
            }
            ft_ss_prg_close(prg);
            tried++;
        }
    assert_true(tried >= 7); /* best, plain and libcrypto of both, libsodium */
}

/* The join tree of three clients (the third leaf promoted) and the cohort hash over it. */
static void
cohort_of_three_has_the_known_root_and_t1(void **state)
{
    static const uint32_t ids[3] = { 3, 7, 9 };
    const struct ft_ss_params params = { .k = 2, .t = 2, .q = 3, .p = FT_SS_P_CLASSICAL, .e_max = 2 };
    uint8_t leaves[3][32], nu[32], t0[32], root[32], out[32], u1[2] = { 0 };
    struct ft_ss_merkle tree;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        memset(nu, (int)ids[i], sizeof nu);
        ft_ss_derive_leaf(leaves[i], ids[i], nu);
        ft_ss_bitmap_add(u1, ids[i]);
    }
    assert_hex(u1, 2, "8802");
    assert_int_equal(ft_ss_merkle_build((const uint8_t(*)[32])leaves, 3, &tree), FT_OK);
    ft_ss_merkle_root(&tree, root);
    assert_hex(root, 32, "cd7776cda51ae742801de716b4a53b8551554ac4076ded6162985d94b0cb515c");
    memset(t0, 0x0f, sizeof t0);
    ft_ss_derive_t1(out, t0, FT_BYTES(u1, 2), root, &params);
    assert_hex(out, 32, "a28bf901f11b05ecbf9dc7aba111df005ca5dabf29a1782ce2daedafca398dad");
    ft_ss_merkle_clear(&tree);
}

/* f(X) = 7 + 11 X - X^2 at 1 to 5: 17, 25, 31, 35, 37. */
static void
shares_of_seven_are_known(void **state)
{
    static const uint8_t values[5] = { 17, 25, 31, 35, 37 };
    uint8_t secret[32] = { 7 }, coefficients[2][32] = { { 11 } }, one[32] = { 1 }, shares[5][32];
    (void)state;
    crypto_core_ristretto255_scalar_negate(coefficients[1], one);
    ft_ss_shamir_eval(secret, (const uint8_t(*)[32])coefficients, 3, 5, shares);
    for (size_t x = 0; x < 5; x++) {
        uint8_t expected[32] = { values[x] };
        assert_memory_equal(shares[x], expected, 32);
    }
}

/* The ciphertext from 3 to 7 at x = 5, and back. */
static void
sealed_shares_are_known(void **state)
{
    const struct ft_ss_share_route route = { .t1 = t1, .dealer = 3, .holder = 7, .x = 5 };
    uint8_t pair[32], nonce[24], share[32] = { 37 }, ct[80], b[32], k[32];
    (void)state;
    from_hex(pair, 32, P_37);
    memset(nonce, 0x42, sizeof nonce);
    ft_ss_share_seal_with(nonce, pair, &route, share, share, ct);
    assert_hex(ct, 80, CT_3_7);
    assert_int_equal(ft_ss_share_open(pair, &route, nonce, ct, b, k), FT_OK);
    assert_memory_equal(b, share, 32);
    assert_memory_equal(k, share, 32);
}

/* The self seed of b_3 = 7 and its commitment. */
static void
self_seed_and_commitment_are_known(void **state)
{
    uint8_t b[32] = { 7 }, out[32];
    (void)state;
    ft_ss_derive_self(out, b, t1, 3);
    assert_hex(out, 32, "0de249c54f1acc52545a1f492d03c7450367e82c135041f9ceb2e4edf46f4914");
    ft_ss_derive_commit_b(out, b, t1, 3);
    assert_hex(out, 32, "f799875b43b64502bad9e994e3ff8409a99b584d626c8756c1541ccda2100faa");
}

/* Signed lanes of 21 bits, borrows and all. */
static void
lanes_of_21_bits_pack_to_the_known_word(void **state)
{
    static const int64_t z[3] = { -1, 1000, -1000 };
    uint64_t word;
    int64_t back[3];
    (void)state;
    assert_true(ft_ss_kernel_pack(21, 3, 2000, z, 1, &word));
    assert_true(word == 0xfff060007cffffffu);
    assert_true(ft_ss_kernel_unpack(21, 3, &word, 1, back) == 0);
    assert_memory_equal(back, z, sizeof z);
}

/* A result's hash is H over its SHA-256; by an independent program. */
static void
hash_of_a_result_is_known(void **state)
{
    uint8_t t3[32], out[32];
    (void)state;
    memset(t3, 0x33, sizeof t3);
    assert_int_equal(ft_ss_derive_result(out, t3, FT_BYTES("abc", 3)), FT_OK);
    assert_hex(out, 32, "cb0860d9e3e8b89dfa2cf336cb00bfa73ffc85b367628619952bc804b20bc516");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_gives_the_known_hash),
        cmocka_unit_test(encoding_is_injective),
        cmocka_unit_test(pair_secret_is_known_and_shared),
        cmocka_unit_test(edge_and_keys_of_a_pair_are_known),
        cmocka_unit_test(both_generators_give_the_known_words_in_every_backend),
        cmocka_unit_test(cohort_of_three_has_the_known_root_and_t1),
        cmocka_unit_test(shares_of_seven_are_known),
        cmocka_unit_test(sealed_shares_are_known),
        cmocka_unit_test(self_seed_and_commitment_are_known),
        cmocka_unit_test(lanes_of_21_bits_pack_to_the_known_word),
        cmocka_unit_test(hash_of_a_result_is_known),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
