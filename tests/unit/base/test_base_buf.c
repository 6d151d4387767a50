#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/base/buf.h"
#include <string.h>

/* What is written comes back in order, and then the cursor is done. */
static void
a_cursor_reads_back_what_was_written(void **state)
{
    struct ft_buf b = { 0 };
    struct ft_cursor c;
    (void)state;
    assert_int_equal(ft_buf_u8(&b, 0xab), FT_OK);
    assert_int_equal(ft_buf_u16(&b, 0x1234), FT_OK);
    assert_int_equal(ft_buf_u32(&b, 0xdeadbeef), FT_OK);
    assert_int_equal(ft_buf_u64(&b, 0x0123456789abcdefULL), FT_OK);
    assert_int_equal(ft_buf_f64(&b, -0.5), FT_OK);
    assert_int_equal(b.size, 1 + 2 + 4 + 8 + 8);
    assert_int_equal(b.data[1], 0x34); /* little-endian */
    c = ft_cursor_of(ft_buf_bytes(&b));
    assert_int_equal(ft_read_u8(&c), 0xab);
    assert_int_equal(ft_read_u16(&c), 0x1234);
    assert_int_equal(ft_read_u32(&c), 0xdeadbeef);
    assert_true(ft_read_u64(&c) == 0x0123456789abcdefULL);
    assert_true(ft_read_f64(&c) == -0.5);
    assert_true(ft_cursor_done(&c));
    ft_buf_clear(&b);
}

/* A read past the end gives zero, and every later read fails too, even one that would fit. */
static void
a_cursor_that_ran_out_stays_failed(void **state)
{
    static const uint8_t three[3] = { 1, 2, 3 };
    struct ft_cursor c = ft_cursor_of(FT_BYTES(three, sizeof three));
    uint8_t out[4] = { 9, 9, 9, 9 };
    (void)state;
    ft_read_into(&c, out, sizeof out);
    assert_int_equal(out[0] | out[1] | out[2] | out[3], 0);
    assert_int_equal(ft_read_u8(&c), 0);
    assert_false(ft_cursor_done(&c));
    assert_null(ft_read_bytes(&c, 1).data);
}

/* A size that would wrap is refused before anything is allocated. */
static void
a_reservation_that_would_wrap_is_refused(void **state)
{
    struct ft_buf b = { 0 };
    (void)state;
    assert_int_equal(ft_buf_u8(&b, 1), FT_OK);
    assert_int_equal(ft_buf_reserve(&b, SIZE_MAX - 1), FT_ERR_LIMIT);
    assert_int_equal(b.size, 1);
    ft_buf_clear(&b);
}

/* Growing under a failed allocation leaves the content as it was. */
static void
growth_survives_a_failed_allocation(void **state)
{
    struct ft_buf b = { 0 };
    const size_t live = ft_alloc_live();
    static const uint8_t block[100];
    (void)state;
    assert_int_equal(ft_buf_str(&b, "kept"), FT_OK);
    ft_alloc_fail_at(1, false);
    assert_int_equal(ft_buf_append(&b, block, sizeof block), FT_ERR_NOMEM);
    assert_true(ft_alloc_fault_fired());
    ft_alloc_fail_at(0, false);
    assert_int_equal(b.size, 4);
    assert_memory_equal(b.data, "kept", 4);
    ft_buf_clear(&b);
    assert_int_equal(ft_alloc_live(), live);
}

/* Hex goes out in lower case and comes back; a wrong length or digit is refused. */
static void
hex_round_trips_and_refuses_what_is_not_hex(void **state)
{
    static const uint8_t raw[3] = { 0x00, 0x9f, 0xff };
    char text[7];
    uint8_t back[3];
    (void)state;
    assert_string_equal(ft_hex(text, raw, sizeof raw), "009fff");
    assert_int_equal(ft_unhex(back, sizeof back, "009fff"), FT_OK);
    assert_memory_equal(back, raw, sizeof raw);
    assert_int_equal(ft_unhex(back, sizeof back, "009ff"), FT_ERR_FORMAT);
    assert_int_equal(ft_unhex(back, sizeof back, "009fg0"), FT_ERR_FORMAT);
    assert_int_equal(ft_unhex(back, sizeof back, "009fff00"), FT_ERR_FORMAT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_reads_back_what_was_written),
        cmocka_unit_test(a_cursor_that_ran_out_stays_failed),
        cmocka_unit_test(a_reservation_that_would_wrap_is_refused),
        cmocka_unit_test(growth_survives_a_failed_allocation),
        cmocka_unit_test(hex_round_trips_and_refuses_what_is_not_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
