/* The messages on the wire: any bytes give a status within a memory budget, and what decodes encodes to the
 * same again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "world.h"

#include <string.h>

/* One of each kind, every field filled. */
static void
sample_down(enum ft_ss_down_kind kind, struct ft_buf *out)
{
    static uint8_t bytes[1024];
    struct ft_ss_down m = { .kind = kind };
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + 1);
    memcpy(m.prior, bytes + 3, 32);
    memcpy(m.join_root, bytes + 5, 32);
    memcpy(m.result_hash, bytes + 7, 32);
    memcpy(m.task_hash, bytes + 9, 32);
    memcpy(m.signature, bytes + 11, 64);
    m.descriptor = FT_BYTES(bytes, FT_SS_DESCRIPTOR_SIZE);
    m.members = FT_BYTES(bytes, 13);
    m.path = FT_BYTES(bytes, 96);
    m.records =
        FT_BYTES(bytes, kind == FT_SS_DOWN_DELIVER ? 3 * FT_SS_SHARE_RECORD : 3 * FT_SS_CONFIRM_RECORD);
    m.params = (struct ft_ss_params){ .k = 65535, .t = 300, .q = 70000, .p = UINT64_MAX, .e_max = 65535 };
    m.round = UINT64_MAX;
    m.attempt = UINT32_MAX;
    m.code = 25;
    ft_buf_clear(out);
    assert_int_equal(ft_ss_down_encode(&m, out), FT_OK);
}

static void
sample_up(enum ft_ss_up_kind kind, struct ft_buf *out)
{
    static uint8_t bytes[1024];
    struct ft_ss_up m = { .kind = kind, .id = 65534, .step = 4, .code = 80 };
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 5 + 3);
    memcpy(m.t0, bytes, 32);
    memcpy(m.signature, bytes + 1, 64);
    memcpy(m.nu, bytes + 2, 32);
    memcpy(m.commit_b, bytes + 3, 32);
    memcpy(m.commit_k, bytes + 4, 32);
    memcpy(m.escrow_nonce, bytes + 5, FT_SS_NONCE_SIZE);
    memcpy(m.b, bytes + 6, 32);
    m.escrow_ct = FT_BYTES(bytes, ft_ss_escrow_ct_size(5));
    m.records = FT_BYTES(bytes, kind == FT_SS_UP_SHARES   ? 4 * FT_SS_SHARE_RECORD
                                : kind == FT_SS_UP_UNMASK ? 4 * FT_SS_REVEAL_RECORD
                                                          : 4 * FT_SS_REPAIR_RECORD);
    ft_buf_clear(out);
    assert_int_equal(ft_ss_up_encode(&m, out), FT_OK);
}

/* Decode, encode again: the same bytes. */
static void
secure_sum_messages_survive_the_wire_unchanged(void **state)
{
    struct ft_buf bytes = { 0 }, again = { 0 };
    (void)state;
    for (int kind = FT_SS_DOWN_ANNOUNCE; kind <= FT_SS_DOWN_ENDED; kind++) {
        struct ft_ss_down m;
        sample_down((enum ft_ss_down_kind)kind, &bytes);
        assert_int_equal(ft_ss_down_decode(ft_buf_bytes(&bytes), &m), FT_OK);
        assert_int_equal(m.kind, kind);
        ft_buf_clear(&again);
        assert_int_equal(ft_ss_down_encode(&m, &again), FT_OK);
        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.data, bytes.data, bytes.size);
        ft_ss_down_clear(&m);
    }
    for (int kind = FT_SS_UP_JOIN; kind <= FT_SS_UP_ABORT; kind++) {
        struct ft_ss_up m;
        sample_up((enum ft_ss_up_kind)kind, &bytes);
        assert_int_equal(ft_ss_up_decode(ft_buf_bytes(&bytes), &m), FT_OK);
        assert_int_equal(m.kind, kind);
        ft_buf_clear(&again);
        assert_int_equal(ft_ss_up_encode(&m, &again), FT_OK);
        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.data, bytes.data, bytes.size);
        ft_ss_up_clear(&m);
    }
    ft_buf_clear(&bytes);
    ft_buf_clear(&again);
}

/* Bytes through every decoder; what passes must encode, and decode to the same once more. */
static void
decode_all(struct ft_bytes bytes)
{
    struct ft_ss_down down;
    struct ft_ss_up up;
    struct ft_ss_header header;
    struct ft_ss_trailer trailer;
    struct ft_buf out = { 0 };
    enum ft_status st;

    if (ft_ss_down_decode(bytes, &down) == FT_OK) {
        assert_int_equal(ft_ss_down_encode(&down, &out), FT_OK);
        ft_ss_down_clear(&down);
        assert_int_equal(ft_ss_down_decode(ft_buf_bytes(&out), &down), FT_OK);
        ft_ss_down_clear(&down);
    }
    assert_null(down.owner);
    ft_buf_clear(&out);
    if (ft_ss_up_decode(bytes, &up) == FT_OK) {
        assert_int_equal(ft_ss_up_encode(&up, &out), FT_OK);
        ft_ss_up_clear(&up);
        assert_int_equal(ft_ss_up_decode(ft_buf_bytes(&out), &up), FT_OK);
        ft_ss_up_clear(&up);
    }
    assert_null(up.owner);
    ft_buf_clear(&out);
    st = ft_ss_header_decode(bytes, &header);
    assert_true(st == FT_OK || st == FT_ERR_FORMAT || st == FT_ERR_LIMIT);
    st = ft_ss_trailer_decode(bytes, &trailer);
    assert_true(st == FT_OK || st == FT_ERR_FORMAT || st == FT_ERR_LIMIT);
}

/* Every message cut at each byte, and with each bit flipped; then fields doubled and swapped at random. */
static void
secure_sum_decoders_take_any_bytes(void **state)
{
    struct ft_buf bytes = { 0 }, junk = { 0 };
    struct ft_env_seeded dice;
    const size_t live = ft_alloc_live();
    (void)state;
    ft_env_seeded_init(&dice, 91, 0);
    for (int kind = 0; kind < 14; kind++) {
        if (kind < 8)
            sample_down((enum ft_ss_down_kind)(kind + 1), &bytes);
        else
            sample_up((enum ft_ss_up_kind)(kind - 7), &bytes);
        for (size_t size = 0; size < bytes.size; size++)
            decode_all(FT_BYTES(bytes.data, size));
        for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
            bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            decode_all(ft_buf_bytes(&bytes));
            bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        for (int i = 0; i < 300; i++) {
            const size_t from = (size_t)ft_random_below(&dice.env, bytes.size);
            const size_t size = (size_t)ft_random_below(&dice.env, bytes.size - from + 1);
            ft_buf_clear(&junk);
            assert_int_equal(ft_buf_append(&junk, bytes.data, (size_t)ft_random_below(&dice.env, bytes.size)),
                             FT_OK);
            assert_int_equal(ft_buf_append(&junk, bytes.data + from, size), FT_OK);
            assert_int_equal(ft_buf_append(&junk, bytes.data, bytes.size), FT_OK);
            decode_all(ft_buf_bytes(&junk));
        }
    }
    ft_buf_clear(&bytes);
    ft_buf_clear(&junk);
    assert_int_equal(ft_alloc_live(), live);
}

/* A message of nothing but unknown two-byte fields makes protobuf-c allocate 60 times its size: the budget
 * stops it. */
static void
secure_sum_decoders_keep_to_their_budget(void **state)
{
    struct ft_buf bytes = { 0 };
    struct ft_ss_down down;
    struct ft_ss_up up;
    (void)state;
    for (int i = 0; i < 500000; i++) {
        assert_int_equal(ft_buf_u8(&bytes, 0x78), FT_OK); /* field 15, varint */
        assert_int_equal(ft_buf_u8(&bytes, 1), FT_OK);
    }
    assert_int_equal(ft_ss_down_decode(ft_buf_bytes(&bytes), &down), FT_ERR_FORMAT);
    assert_int_equal(ft_ss_up_decode(ft_buf_bytes(&bytes), &up), FT_ERR_FORMAT);
    assert_int_equal(ft_ss_down_decode(FT_BYTES(bytes.data, FT_SS_MESSAGE_MAX + 1), &down), FT_ERR_LIMIT);
    assert_int_equal(ft_ss_up_decode(FT_BYTES(bytes.data, FT_SS_MESSAGE_MAX + 1), &up), FT_ERR_LIMIT);
    ft_buf_clear(&bytes);
}

/* Codes are stable: these numbers are on disks and in other shops' programs. */
static void
secure_sum_codes_keep_their_numbers_and_names(void **state)
{
    (void)state;
    assert_int_equal(FT_SS_ABORT_EQUIVOCATION, 6);
    assert_int_equal(FT_SS_ABORT_ROUND_SPENT, 27);
    assert_int_equal(FT_SS_ABORT_MERKLE_PATH, 41);
    assert_int_equal(FT_SS_ABORT_CERTIFICATE, 80);
    assert_int_equal(FT_SS_END_FAILED_SUM, 6);
    assert_int_equal(FT_SS_END_LATE_INPUT, 22);
    assert_string_equal(ft_ss_abort_name(80), "CERTIFICATE");
    assert_string_equal(ft_ss_end_name(7), "FAILED_RESEND");
    assert_string_equal(ft_ss_abort_text(9999), "unknown code");
    assert_string_equal(ft_ss_end_text(0), "still in");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secure_sum_messages_survive_the_wire_unchanged),
        cmocka_unit_test(secure_sum_decoders_take_any_bytes),
        cmocka_unit_test(secure_sum_decoders_keep_to_their_budget),
        cmocka_unit_test(secure_sum_codes_keep_their_numbers_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
