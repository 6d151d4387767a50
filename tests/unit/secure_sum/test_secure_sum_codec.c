#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/secure_sum/codec.h"
#include "common/secure_sum/codec_internal.h"
#include "tests/unit/secure_sum/secure_sum_support.h"
#include <math.h>

static const uint32_t widths[] = { 8, 12, 16, 17, 21, 24, 32, 48, 64 };
#define WIDTHS (sizeof widths / sizeof widths[0])

static struct ft_ss_codec
codec_for(uint32_t lane_bits, uint64_t dim, uint32_t n_cap, uint64_t weight_max)
{
    const struct ft_ss_codec_choice choice = {
        .lane_bits = lane_bits, .dim = dim, .n_cap = n_cap, .weight_max = weight_max, .clip = 4.0
    };
    struct ft_ss_codec codec;
    struct ft_error err = { 0 };
    assert_int_equal(ft_ss_codec_init(&choice, &codec, &err), FT_OK);
    return codec;
}

/* The examples the specification gives for Q. */
static void
quant_max_is_what_the_specification_says(void **state)
{
    (void)state;
    assert_int_equal(ft_ss_quant_max(16, 50, 0), 655);
    assert_int_equal(ft_ss_quant_max(16, 100, 0), 327);
    assert_int_equal(ft_ss_quant_max(21, 1000, 0), 1048);
    assert_int_equal(ft_ss_quant_max(21, 10000, 0), 104);
    assert_int_equal(ft_ss_quant_max(32, 10000, 0), 214748);
    assert_int_equal(ft_ss_quant_max(12, 3000, 0), 0);
    assert_int_equal(ft_ss_quant_max(12, 10, 2037), 1);
    assert_int_equal(ft_ss_quant_max(12, 10, 2038), 0);
    assert_int_equal(ft_ss_quant_max(12, 10, INFINITY), 0);
    assert_int_equal(ft_ss_quant_max(64, 10, 9.3e18), 0);
    assert_int_equal(ft_ss_quant_max(64, 10, (double)NAN), 0);
}

/* Lanes of 64 bits have room for a larger Q than the descriptor's u32 can say; it is capped there. */
static void
quant_max_of_wide_lanes_fits_the_descriptor(void **state)
{
    (void)state;
    assert_true(ft_ss_quant_max(64, 2, 0) == UINT32_MAX);
    assert_true(ft_ss_quant_max(64, UINT32_MAX, 0) == 2147483648u);
}

/* tau = sigma_sum sqrt(2 ln(2 dim / 2^-40)), at least 100, and nothing without noise. */
static void
noise_margin_follows_its_formula(void **state)
{
    (void)state;
    assert_true(ft_ss_noise_margin(1000, 10, 0) == 0);
    assert_true(ft_ss_noise_margin(1000, 10, 0.5) == 100);
    /* sigma_sum = 100; 2 ln(2000 2^40) = 70.65, its root 8.4055 */
    assert_true(fabs(ft_ss_noise_margin(1000, 100, 100) - 840.55) < 0.05);
}

/* dim, check and weight lanes make exactly the words they need. */
static void
word_counts_are_exact(void **state)
{
    struct ft_ss_codec c = codec_for(21, 1000000, 1000, 100000);
    (void)state;
    assert_int_equal(c.lanes, 3);
    assert_int_equal(c.check_lanes, 3);
    assert_int_equal(c.weight_limb_bits, 10); /* 1048575 / 1000 = 1048 */
    assert_int_equal(c.weight_lanes, 2);      /* 17 bits */
    assert_true(c.words == (1000005 + 2) / 3);
    c = codec_for(64, 1, 2, 0);
    assert_true(c.words == 2 && c.weight_lanes == 0 && c.check_lanes == 1);
    assert_true(ft_ss_words_of(0, 3) == 0 && ft_ss_words_of(4, 3) == 2);
}

/* At 128 clients and a million coordinates of the precision 16-bit numbers have, the vector grows by less
 * than 1.25. */
static void
expansion_at_a_million_coordinates_is_small(void **state)
{
    /* 2^15 - 1 steps each way for every client, summed over 128: 23 bits, of which two share a word */
    const struct ft_ss_codec c = codec_for(32, 1000000, 128, 1000);
    (void)state;
    assert_true((double)c.words * 8 / (1e6 * 4) < 1.01);
}

/* Sums at both extremes of every lane come back exactly, for every width and any tail. */
static void
extreme_sums_unpack_exactly(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 30);
    int64_t z[64], sum_z[64], back[64];
    uint64_t one[80], sum[80], weight_sum;
    (void)state;
    for (size_t w = 0; w < WIDTHS; w++)
        for (uint64_t dim = 1; dim <= 33; dim += 4) {
            const uint32_t n = 5;
            const struct ft_ss_codec c = codec_for(widths[w], dim, n, 13);
            assert_true(c.words <= 80);
            memset(sum, 0, sizeof sum);
            memset(sum_z, 0, sizeof sum_z);
            for (uint32_t client = 0; client < n; client++) {
                for (size_t i = 0; i < dim; i++) { /* all at one extreme, or anything */
                    const int64_t q = c.coordinate_max;
                    z[i] = i % 3 == 0   ? q
                           : i % 3 == 1 ? -q
                                        : (int64_t)ft_random_below(env, (uint64_t)q) - q / 2;
                    sum_z[i] += z[i];
                }
                assert_int_equal(ft_ss_pack(&c, client + 9, z, one), FT_OK);
                for (size_t i = 0; i < c.words; i++)
                    sum[i] += one[i];
            }
            assert_int_equal(ft_ss_unpack(&c, sum, n, back, &weight_sum), FT_OK);
            assert_int_equal(ft_ss_check_sum(&c, sum, n), FT_OK);
            assert_memory_equal(back, sum_z, dim * sizeof *back);
            assert_true(weight_sum == 9 + 10 + 11 + 12 + 13);
        }
}

/* A coordinate beyond what the ring bears, a weight that does not fit: LIMIT, and nothing is left in the
 * words. */
static void
what_does_not_fit_is_not_packed(void **state)
{
    uint64_t words[40];
    int64_t z[64] = { 0 };
    (void)state;
    for (size_t w = 0; w < WIDTHS; w++) {
        const struct ft_ss_codec c = codec_for(widths[w], 33, 5, 13);
        const int64_t bad[] = { c.coordinate_max + 1, -c.coordinate_max - 1, INT64_MIN, INT64_MAX };
        for (size_t b = 0; b < 4; b++)
            for (size_t at = 0; at < 33; at += 8) {
                memset(z, 0, sizeof z);
                z[at] = bad[b];
                memset(words, 0xee, sizeof words);
                assert_int_equal(ft_ss_pack(&c, 1, z, words), FT_ERR_LIMIT);
                for (size_t i = 0; i < c.words; i++)
                    assert_true(words[i] == 0);
            }
        memset(z, 0, sizeof z);
        if (c.weight_lanes * c.weight_limb_bits < 64)
            assert_int_equal(ft_ss_pack(&c, (uint64_t)1 << (c.weight_lanes * c.weight_limb_bits), z, words),
                             FT_ERR_LIMIT);
    }
}

/* A wrong mask on any word of checks, a bit above the lanes or in the padding is noticed. */
static void
spoilt_sums_are_noticed(void **state)
{
    const struct ft_ss_codec c =
        codec_for(21, 7, 5, 13); /* 3 checks, 1 weight, 7 coordinates: one lane of padding */
    int64_t z[7] = { 1, -2, 3, -4, 5, -6, 7 }, back[7];
    uint64_t words[8], spoilt[8], weight;
    (void)state;
    assert_int_equal(c.words, 4);
    assert_int_equal(ft_ss_pack(&c, 13, z, words), FT_OK);
    assert_int_equal(ft_ss_unpack(&c, words, 1, back, &weight), FT_OK);
    assert_int_equal(ft_ss_unpack(&c, words, 2, back, &weight), FT_ERR_VERIFY);
    for (int bit = 0; bit < 63; bit++) { /* the word of checks */
        memcpy(spoilt, words, sizeof spoilt);
        spoilt[0] ^= (uint64_t)1 << bit;
        assert_int_equal(ft_ss_unpack(&c, spoilt, 1, back, &weight), FT_ERR_VERIFY);
        assert_int_equal(ft_ss_check_sum(&c, spoilt, 1), FT_ERR_VERIFY);
    }
    for (size_t i = 0; i < 4; i++) { /* the spare bit of each */
        memcpy(spoilt, words, sizeof spoilt);
        spoilt[i] ^= (uint64_t)1 << 63;
        assert_int_equal(ft_ss_unpack(&c, spoilt, 1, back, &weight), FT_ERR_VERIFY);
        assert_int_equal(ft_ss_check_sum(&c, spoilt, 1), FT_ERR_VERIFY);
    }
    memcpy(spoilt, words, sizeof spoilt);
    spoilt[3] += (uint64_t)1 << 42; /* padding */
    assert_int_equal(ft_ss_unpack(&c, spoilt, 1, back, &weight), FT_ERR_VERIFY);
    assert_int_equal(ft_ss_check_sum(&c, spoilt, 1), FT_ERR_VERIFY);
    memcpy(spoilt, words, sizeof spoilt);
    spoilt[1] -= 14; /* the weight below zero */
    assert_int_equal(ft_ss_unpack(&c, spoilt, 1, back, &weight), FT_ERR_LIMIT);
    assert_int_equal(ft_ss_check_sum(&c, spoilt, 1), FT_ERR_LIMIT);
}

/* Random words never crash the unpacking and are refused: a wrong mask passes with probability 2^-48. */
static void
random_sums_are_refused(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 31);
    int64_t back[40];
    uint64_t words[60], weight;
    (void)state;
    for (size_t w = 0; w < WIDTHS; w++)
        for (int i = 0; i < 200; i++) {
            const struct ft_ss_codec c = codec_for(widths[w], 37, 5, 100);
            env->random(env->ctx, words, sizeof words);
            assert_int_not_equal(ft_ss_unpack(&c, words, 5, back, &weight), FT_OK);
            assert_int_not_equal(ft_ss_check_sum(&c, words, 5), FT_OK);
        }
}

/* The compiled-wide loops give the bits of the plain ones. */
static void
wide_loops_equal_plain_ones(void **state)
{
    enum { COORDINATES = 5 * 8 * 64 };
    static int64_t z[COORDINATES], a[COORDINATES], b[COORDINATES];
    static uint64_t words_a[COORDINATES], words_b[COORDINATES];
    static double v[COORDINATES];
    static uint32_t random[COORDINATES];
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 32);
    (void)state;
    for (size_t w = 0; w < WIDTHS; w++) {
        const unsigned lanes = 64 / widths[w];
        const size_t words = COORDINATES / lanes;
        const int64_t max = (int64_t)(((uint64_t)1 << (widths[w] - 1)) - 1);
        env->random(env->ctx, z, sizeof z);
        assert_int_equal(ft_ss_kernel_pack(widths[w], lanes, max, z, words, words_a),
                         ft_ss_plain_pack(widths[w], lanes, max, z, words, words_b));
        assert_memory_equal(words_a, words_b, words * 8);
        assert_true(ft_ss_kernel_unpack(widths[w], lanes, words_a, words, a) ==
                    ft_ss_plain_unpack(widths[w], lanes, words_a, words, b));
        assert_memory_equal(a, b, words * lanes * 8);
    }
    for (int i = 0; i < 200; i++) {
        const struct ft_ss_round how = { .step = ldexp(1.0, (int)ft_random_below(env, 40) - 30),
                                         .q = (double)(1 + ft_random_below(env, i % 2 ? UINT32_MAX : 500)) };
        env->random(env->ctx, random, sizeof random);
        for (size_t j = 0; j < COORDINATES; j++) {
            v[j] =
                ((double)ft_random_u64(env) - 0x1p63) * ldexp(how.step, (int)ft_random_below(env, 45) - 75);
            if (j % 17 == 0)
                v[j] = nearbyint(v[j] / how.step) * how.step; /* exact multiples, zero among them */
            if (j % 97 == 0)
                v[j] = how.q * how.step * (j % 2 ? 1 : -1);
        }
        assert_true(ft_ss_kernel_quantise(&how, v, random, COORDINATES, a));
        assert_true(ft_ss_plain_quantise(&how, v, random, COORDINATES, b));
        assert_memory_equal(a, b, sizeof a);
    }
}

/* Rounding is unbiased: the mean of many roundings of 0.3 steps is 0.3, and -0.3 likewise. */
static void
rounding_is_unbiased_and_off_by_less_than_a_step(void **state)
{
    enum { N = 100000 };
    static double v[N];
    static int64_t z[N];
    struct ft_env_seeded e;
    const struct ft_ss_codec c = codec_for(32, N, 16, 0);
    const double steps[] = { 0.3, -0.3, 0.0, 7.0, -1000.25, 0.999 };
    (void)state;
    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        double sum = 0;
        for (size_t i = 0; i < N; i++)
            v[i] = steps[s] * c.quant_step;
        assert_int_equal(ft_ss_quantise(&c, seeded(&e, 33 + s), v, N, z), FT_OK);
        for (size_t i = 0; i < N; i++) {
            assert_true(fabs((double)z[i] - steps[s]) < 1.0);
            sum += (double)z[i];
        }
        assert_true(fabs(sum / N - steps[s]) < 0.008); /* five deviations of at most 0.5 / sqrt(N) */
    }
}

/* float32 updates times a weight come out as the same product in double does, and back again. */
static void
float_updates_are_quantised_with_their_weight(void **state)
{
    enum { N = 5000 };
    static float u[N];
    static double v[N], back[N];
    static int64_t a[N], b[N];
    struct ft_env_seeded e;
    const struct ft_ss_codec c = codec_for(32, N, 16, 0);
    const struct ft_env *env = seeded(&e, 40);
    (void)state;
    for (size_t i = 0; i < N; i++) {
        u[i] = (float)((double)ft_random_below(env, 2000001) / 1e6 - 1.0) * 0.1f;
        v[i] = (double)u[i] * 37.0;
    }
    assert_int_equal(ft_ss_quantise_f32(&c, seeded(&e, 41), u, 37.0, N, a), FT_OK);
    assert_int_equal(ft_ss_quantise(&c, seeded(&e, 41), v, N, b), FT_OK);
    assert_memory_equal(a, b, sizeof a);
    ft_ss_dequantise(&c, a, N, 37.0, back);
    for (size_t i = 0; i < N; i++)
        assert_true(fabs(back[i] - (double)u[i]) <= c.quant_step / 37.0 * 1.0000001);
}

/* Values beyond the clip are clamped to Q; a NaN or infinity anywhere is refused and leaves zeros. */
static void
clipping_and_nonfinite_values(void **state)
{
    struct ft_env_seeded e;
    const struct ft_ss_codec c = codec_for(16, 3, 50, 0);
    const double beyond[3] = { 4.0, -1e300, 4.0001 }, bad[3] = { (double)NAN, INFINITY, -INFINITY };
    double v[3];
    float f[3] = { 0, NAN, 0 };
    int64_t z[3];
    (void)state;
    assert_int_equal(ft_ss_quantise(&c, seeded(&e, 50), beyond, 3, z), FT_OK);
    assert_int_equal(z[0], 655);
    assert_int_equal(z[1], -655);
    assert_int_equal(z[2], 655);
    for (size_t b = 0; b < 3; b++)
        for (size_t at = 0; at < 3; at++) {
            v[0] = v[1] = v[2] = 1.0;
            v[at] = bad[b];
            memset(z, 0xee, sizeof z);
            assert_int_equal(ft_ss_quantise(&c, seeded(&e, 51), v, 3, z), FT_ERR_NONFINITE);
            assert_true(z[0] == 0 && z[1] == 0 && z[2] == 0);
        }
    assert_int_equal(ft_ss_quantise_f32(&c, seeded(&e, 52), f, 1.0, 3, z), FT_ERR_NONFINITE);
    f[1] = 1;
    assert_int_equal(ft_ss_quantise_f32(&c, seeded(&e, 53), f, (double)NAN, 3, z), FT_ERR_NONFINITE);
}

/* Choices that could wrap the ring, or make no sense, are refused with a sentence. */
static void
choices_that_could_wrap_are_refused(void **state)
{
    const struct ft_ss_codec_choice good = {
        .lane_bits = 32, .dim = 10, .n_cap = 16, .weight_max = 100, .clip = 1
    };
    struct ft_ss_codec_choice c;
    struct ft_ss_codec out;
    struct ft_error err;
    (void)state;
    assert_int_equal(ft_ss_codec_init(&good, &out, NULL), FT_OK);
#define REFUSED(change)                                                                                      \
    do {                                                                                                     \
        c = good;                                                                                            \
        change;                                                                                              \
        memset(&err, 0, sizeof err);                                                                         \
        assert_int_not_equal(ft_ss_codec_init(&c, &out, &err), FT_OK);                                       \
        assert_true(err.text[0] != 0);                                                                       \
    } while (0)
    REFUSED(c.lane_bits = 7);
    REFUSED(c.lane_bits = 65);
    REFUSED(c.dim = 0);
    REFUSED(c.dim = FT_SS_DIM_MAX + 1);
    REFUSED(c.dim = UINT64_MAX);
    REFUSED(c.n_cap = 0);
    REFUSED(c.n_cap = 1);
    REFUSED(c.lane_bits = 12; c.n_cap = 2048);
    REFUSED(c.clip = (double)NAN);
    REFUSED(c.clip = -1);
    REFUSED(c.clip = INFINITY);
    REFUSED(c.noise_var = -1);
    REFUSED(c.noise_var = 1);                        /* with noise the step is chosen */
    REFUSED(c.noise_var = 1e30; c.quant_step = 0.1); /* noise alone would wrap */
    REFUSED(c.lane_bits = 8; c.n_cap = 100; c.weight_max = UINT64_MAX);
#undef REFUSED
}

/* With noise the margin comes off Q, and noise may reach the lane's own range. */
static void
noise_takes_its_margin(void **state)
{
    const struct ft_ss_codec_choice choice = {
        .lane_bits = 21, .dim = 1000, .n_cap = 100, .clip = 1, .noise_var = 100, .quant_step = 0.001
    };
    struct ft_ss_codec c;
    (void)state;
    assert_int_equal(ft_ss_codec_init(&choice, &c, NULL), FT_OK);
    assert_int_equal(c.quant_max, (1048575 - 841) / 100);
    assert_true(c.coordinate_max == 1048575);
    assert_true(c.quant_step == 0.001);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quant_max_is_what_the_specification_says),
        cmocka_unit_test(quant_max_of_wide_lanes_fits_the_descriptor),
        cmocka_unit_test(noise_margin_follows_its_formula),
        cmocka_unit_test(word_counts_are_exact),
        cmocka_unit_test(expansion_at_a_million_coordinates_is_small),
        cmocka_unit_test(extreme_sums_unpack_exactly),
        cmocka_unit_test(what_does_not_fit_is_not_packed),
        cmocka_unit_test(spoilt_sums_are_noticed),
        cmocka_unit_test(random_sums_are_refused),
        cmocka_unit_test(wide_loops_equal_plain_ones),
        cmocka_unit_test(rounding_is_unbiased_and_off_by_less_than_a_step),
        cmocka_unit_test(float_updates_are_quantised_with_their_weight),
        cmocka_unit_test(clipping_and_nonfinite_values),
        cmocka_unit_test(choices_that_could_wrap_are_refused),
        cmocka_unit_test(noise_takes_its_margin),
    };
    return cmocka_run_group_tests(tests, support_setup, NULL);
}
