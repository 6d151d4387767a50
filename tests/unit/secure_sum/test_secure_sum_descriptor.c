#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/secure_sum/codec.h"
#include "common/secure_sum/descriptor.h"
#include "tests/unit/secure_sum/secure_sum_support.h"
#include <math.h>

/* A descriptor every check accepts. */
static struct ft_ss_descriptor
good_descriptor(void)
{
    const struct ft_ss_codec_choice choice = {
        .lane_bits = 32, .dim = 1000, .n_cap = 16, .weight_max = 4000, .clip = 2.5
    };
    struct ft_ss_descriptor d = { .version = 1,
                                  .suite = 2,
                                  .round = 7,
                                  .attempt = 1,
                                  .epoch = 5,
                                  .n_min = 5,
                                  .h_min = 3,
                                  .corrupted = 2,
                                  .drop_permille = 250,
                                  .sigma = 40,
                                  .eta = 30,
                                  .deadline_ms = 1234567890123 };
    struct ft_ss_codec codec;
    memset(d.deployment, 0xd0, sizeof d.deployment);
    memset(d.task_hash, 1, 32);
    memset(d.directory_root, 2, 32);
    memset(d.model_hash, 3, 32);
    memset(d.lineage_hash, 4, 32);
    memset(d.server_nonce, 5, 32);
    assert_int_equal(ft_ss_codec_init(&choice, &codec, NULL), FT_OK);
    ft_ss_codec_describe(&codec, &d);
    return d;
}

/* The fields lie where the specification puts them, without padding. */
static void
fields_lie_where_the_specification_puts_them(void **state)
{
    const struct ft_ss_descriptor d = good_descriptor();
    uint8_t raw[FT_SS_DESCRIPTOR_SIZE];
    (void)state;
    ft_ss_descriptor_encode(&d, raw);
    assert_memory_equal(raw, "FLSA\x01\x00\x02\x00\xd0", 9);
    assert_int_equal(ft_get_u64(raw + 56), 7); /* round */
    assert_int_equal(ft_get_u32(raw + 68), 5); /* epoch */
    assert_int_equal(raw[72], 2);              /* directory_root */
    assert_int_equal(raw[104], 3);             /* model_hash */
    assert_int_equal(raw[136], 4);             /* lineage_hash */
    assert_int_equal(ft_get_u64(raw + 168), 1000);
    assert_int_equal(raw[176], 32);                            /* lane_bits */
    assert_int_equal(raw[177], 2);                             /* lanes */
    assert_true(ft_get_u64(raw + 180) == 0x4004000000000000u); /* clip 2.5 */
    assert_int_equal(ft_get_u32(raw + 196), 134217727);        /* quant_max: (2^31 - 1) / 16 */
    assert_int_equal(ft_get_u32(raw + 209), 16);               /* n_cap */
    assert_int_equal(ft_get_u16(raw + 225), 250);
    assert_int_equal(raw[227], 40);
    assert_int_equal(raw[228], 30);
    assert_true(ft_get_u64(raw + 229) == 1234567890123u);
    assert_int_equal(raw[237], 5);
    assert_int_equal(raw[268], 5);
}

/* What is written is read back, byte for byte. */
static void
a_good_descriptor_round_trips(void **state)
{
    const struct ft_ss_descriptor d = good_descriptor();
    struct ft_ss_descriptor back = { 0 };
    struct ft_ss_codec codec;
    uint8_t raw[FT_SS_DESCRIPTOR_SIZE], again[FT_SS_DESCRIPTOR_SIZE];
    struct ft_error err = { 0 };
    (void)state;
    ft_ss_descriptor_encode(&d, raw);
    assert_int_equal(ft_ss_descriptor_decode(FT_BYTES(raw, sizeof raw), &back, &err), FT_OK);
    ft_ss_descriptor_encode(&back, again);
    assert_memory_equal(raw, again, sizeof raw);
    assert_int_equal(ft_ss_codec_of(&back, &codec, &err), FT_OK);
    assert_true(codec.words == (2 + 1 + 1000 + 1) / 2);
}

/* Any other length and any other magic is refused. */
static void
other_lengths_and_magic_are_refused(void **state)
{
    const struct ft_ss_descriptor d = good_descriptor();
    struct ft_ss_descriptor back;
    uint8_t raw[FT_SS_DESCRIPTOR_SIZE + 1] = { 0 };
    (void)state;
    ft_ss_descriptor_encode(&d, raw);
    for (size_t size = 0; size <= sizeof raw; size++)
        if (size != FT_SS_DESCRIPTOR_SIZE)
            assert_int_equal(ft_ss_descriptor_decode(FT_BYTES(raw, size), &back, NULL), FT_ERR_FORMAT);
    raw[3] ^= 1;
    assert_int_equal(ft_ss_descriptor_decode(FT_BYTES(raw, FT_SS_DESCRIPTOR_SIZE), &back, NULL),
                     FT_ERR_FORMAT);
}

/* Each field outside its bounds is refused with a sentence, and nothing is handed out. */
static void
each_bad_field_is_refused(void **state)
{
    const struct ft_ss_descriptor good = good_descriptor();
    struct ft_ss_descriptor d, back;
    struct ft_error err;
    uint8_t raw[FT_SS_DESCRIPTOR_SIZE];
    (void)state;
#define REFUSED(change)                                                                                      \
    do {                                                                                                     \
        d = good;                                                                                            \
        change;                                                                                              \
        memset(&err, 0, sizeof err);                                                                         \
        memset(&back, 0, sizeof back);                                                                       \
        ft_ss_descriptor_encode(&d, raw);                                                                    \
        assert_int_equal(ft_ss_descriptor_decode(FT_BYTES(raw, sizeof raw), &back, &err), FT_ERR_VERIFY);    \
        assert_true(err.text[0] != 0);                                                                       \
        assert_int_equal(back.version, 0);                                                                   \
    } while (0)
    REFUSED(d.version = 2);
    REFUSED(d.suite = 0);
    REFUSED(d.suite = 3);
    REFUSED(d.clip = (double)NAN);
    REFUSED(d.clip = INFINITY);
    REFUSED(d.clip = -1);
    REFUSED(d.clip = -0.0);
    REFUSED(d.clip = 3); /* quant_step no longer follows */
    REFUSED(d.quant_step = (double)NAN);
    REFUSED(d.quant_step = -1);
    REFUSED(d.quant_step *= 2);
    REFUSED(d.noise_var = (double)NAN);
    REFUSED(d.noise_var = 1);
    REFUSED(d.noise_kind = 1);
    REFUSED(d.noise_kind = 2; d.noise_var = 1);
    REFUSED(d.dim = 0);
    REFUSED(d.dim = UINT64_MAX);
    REFUSED(d.lane_bits = 0);
    REFUSED(d.lane_bits = 65);
    REFUSED(d.lane_bits = 21); /* lanes no longer follow */
    REFUSED(d.lanes = 1);
    REFUSED(d.lanes = 0);
    REFUSED(d.check_lanes = 1); /* 32 bits of checks are too few */
    REFUSED(d.check_lanes = 255);
    REFUSED(d.weight_lanes = 255);
    REFUSED(d.quant_max = 0);
    REFUSED(d.quant_max++; d.quant_step = d.clip / d.quant_max); /* the cohort's sum could wrap */
    REFUSED(d.n_cap = 17);                                       /* the same */
    REFUSED(d.n_cap = 0);
    REFUSED(d.n_cap = 4);
    REFUSED(d.n_min = 2);
    REFUSED(d.n_min = 17);
    REFUSED(d.h_min = 1);
    REFUSED(d.h_min = 0);
    REFUSED(d.drop_permille = 1001);
    REFUSED(d.sigma = 0);
    REFUSED(d.eta = 0);
#undef REFUSED
}

/* Flipped bits never crash the decoder; what it accepts it writes back unchanged. */
static void
flipped_descriptors_never_crash(void **state)
{
    const struct ft_ss_descriptor d = good_descriptor();
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 60);
    uint8_t raw[FT_SS_DESCRIPTOR_SIZE], again[FT_SS_DESCRIPTOR_SIZE];
    int accepted = 0, refused = 0;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct ft_ss_descriptor back;
        ft_ss_descriptor_encode(&d, raw);
        for (uint64_t flips = 1 + ft_random_below(env, 4); flips > 0; flips--)
            raw[ft_random_below(env, sizeof raw)] ^= (uint8_t)(1u << ft_random_below(env, 8));
        if (ft_ss_descriptor_decode(FT_BYTES(raw, sizeof raw), &back, NULL) == FT_OK) {
            ft_ss_descriptor_encode(&back, again);
            assert_memory_equal(raw, again, sizeof raw);
            accepted++;
        } else {
            refused++;
        }
    }
    assert_true(accepted > 1000 && refused > 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_lie_where_the_specification_puts_them),
        cmocka_unit_test(a_good_descriptor_round_trips),
        cmocka_unit_test(other_lengths_and_magic_are_refused),
        cmocka_unit_test(each_bad_field_is_refused),
        cmocka_unit_test(flipped_descriptors_never_crash),
    };
    return cmocka_run_group_tests(tests, support_setup, NULL);
}
