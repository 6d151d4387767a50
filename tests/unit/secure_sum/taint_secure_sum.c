/*
 * Run under valgrind's memcheck: secrets are marked undefined, so a branch or an address that depends on one
 * is an error. The kernels that memcheck cannot run (AVX-512, vector AES) consist of arithmetic without
 * either.
 *
 *   valgrind -q --error-exitcode=1 taint_secure_sum
 *
 * With the argument `leak` it branches on a secret on purpose, to show that the check can fail.
 */
#include "common/secure_sum/codec_internal.h"
#include "common/secure_sum/derive.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/prg.h"
#include "common/secure_sum/seal.h"
#include "common/secure_sum/shamir_internal.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <valgrind/memcheck.h>

#define SECRET(p, size) (void)VALGRIND_MAKE_MEM_UNDEFINED(p, size)
#define PUBLIC(p, size) (void)VALGRIND_MAKE_MEM_DEFINED(p, size)

static void
dealing_does_not_look_at_the_secret(void)
{
    static uint8_t secret[32], coefficients[6][32], shares[12][32], sum[32];
    for (size_t i = 0; i < 6; i++)
        crypto_core_ristretto255_scalar_random(coefficients[i]);
    crypto_core_ristretto255_scalar_random(secret);
    SECRET(secret, sizeof secret);
    SECRET(coefficients, sizeof coefficients);
    ft_ss_shamir_eval(secret, (const uint8_t(*)[32])coefficients, 7, 12, shares);
    crypto_core_ristretto255_scalar_mul(sum, shares[0], shares[1]); /* as rebuilding does */
    crypto_core_ristretto255_scalar_add(sum, sum, shares[2]);
}

static void
deriving_does_not_look_at_keys_or_edges(void)
{
    static uint8_t pair[32], out[32];
    const uint8_t t[32] = { 1 };
    struct ft_ss_edge edge;
    randombytes_buf(pair, sizeof pair);
    SECRET(pair, sizeof pair);
    ft_ss_derive_edge(&edge, pair, t, UINT64_C(1) << 60);
    ft_ss_derive_mask(out, edge.seed, t);
    ft_ss_derive_share_key(out, pair, t, 3, 4);
    ft_ss_derive_self(out, pair, t, 3);
    ft_ss_derive_commit_b(out, pair, t, 3);
    ft_ss_derive_commit_k(out, pair, t, 3);
}

static void
sealing_does_not_look_at_shares(void)
{
    static uint8_t pair[32], share[32], ct[80], nonce[24];
    const uint8_t t[32] = { 1 };
    const struct ft_ss_share_route route = { t, 3, 4, 5 };
    SECRET(pair, sizeof pair);
    SECRET(share, sizeof share);
    ft_ss_share_seal_with(nonce, pair, &route, share, share, ct);
}

static void
masking_does_not_look_at_seed_or_vector(void)
{
    static uint64_t words[20000];
    static uint8_t seed[32];
    for (uint16_t suite = 1; suite <= 2; suite++)
        for (int b = 0; b < FT_SS_BACKEND_COUNT; b++) {
            struct ft_ss_prg *prg;
            if (ft_ss_prg_open(suite, (enum ft_ss_backend)b, &prg) != FT_OK)
                continue;
            SECRET(seed, sizeof seed);
            SECRET(words, sizeof words);
            if (ft_ss_prg_apply(prg, seed, b % 2 == 0, words, 3, 20000) != FT_OK)
                printf("suite %u, %s: failed\n", suite, ft_ss_backend_name((enum ft_ss_backend)b));
            ft_ss_prg_close(prg);
        }
}

static void
packing_does_not_look_at_coordinates(void)
{
    static double v[960];
    static int64_t z[960];
    static uint64_t words[960];
    static uint32_t random[960];
    uint64_t outcome = 0;
    static const unsigned widths[] = { 12, 16, 21, 32, 64 };
    const struct ft_ss_round how = { .step = 0.001, .q = 1000 };
    for (size_t i = 0; i < 960; i++)
        v[i] = (double)i * 0.002 - 0.9;
    SECRET(v, sizeof v);
    SECRET(random, sizeof random);
    outcome |= ft_ss_kernel_quantise(&how, v, random, 960, z);
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        outcome |= ft_ss_kernel_pack(widths[w], 64 / widths[w], 1000, z, 960 / (64 / widths[w]), words);
        outcome |= ft_ss_kernel_unpack(widths[w], 64 / widths[w], words, 960 / (64 / widths[w]), z);
    }
    PUBLIC(&outcome, sizeof outcome);
    if (outcome == UINT64_MAX) /* keeps the compiler from leaving the work out */
        printf("all bits set\n");
}

int
main(int argc, char **argv)
{
    if (sodium_init() < 0)
        return 1;
    if (!RUNNING_ON_VALGRIND) {
        fprintf(stderr, "taint_secure_sum shows nothing without valgrind\n");
        return 1;
    }
    if (argc == 2 && strcmp(argv[1], "leak") == 0) {
        static uint8_t secret[32];
        SECRET(secret, sizeof secret);
        if (secret[7] > 100)
            printf("leaked\n");
        PUBLIC(secret, sizeof secret);
        return 0;
    }
    dealing_does_not_look_at_the_secret();
    deriving_does_not_look_at_keys_or_edges();
    sealing_does_not_look_at_shares();
    masking_does_not_look_at_seed_or_vector();
    packing_does_not_look_at_coordinates();
    return 0;
}
