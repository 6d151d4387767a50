#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/base/pb_lift.h"

#include <string.h>

#define LONG ((size_t)5000)

/* 1: varint 300; 9: `size` bytes; 10: varint 7; 2: fixed 64; 3: fixed 32. */
static void
make(struct ft_buf *b, size_t size)
{
    uint8_t *data = ft_calloc(1, size + 1);
    memset(data, 0x5a, size);
    assert_int_equal(ft_buf_append(b, "\x08\xac\x02", 3), FT_OK);
    assert_int_equal(ft_pb_tail(b, 9, size), FT_OK);
    assert_int_equal(ft_buf_append(b, data, size), FT_OK);
    assert_int_equal(ft_buf_append(b,
                                   "\x50\x07\x11"
                                   "12345678\x1d"
                                   "abcd",
                                   16),
                     FT_OK);
    ft_free(data);
}

/* The long field is found where it lies, and all others stay, in order. */
static void
a_long_field_is_lifted_and_the_rest_stays(void **ctx)
{
    struct ft_buf b = { 0 };
    struct ft_pb_lift lift;
    (void)ctx;
    make(&b, LONG);
    assert_true(ft_pb_lift(ft_buf_bytes(&b), 9, &lift));
    assert_int_equal(lift.field.size, LONG);
    assert_true(lift.field.data > b.data && lift.field.data + LONG < b.data + b.size);
    assert_int_equal(lift.field.data[0], 0x5a);
    assert_int_equal(lift.field.data[LONG - 1], 0x5a);
    assert_int_equal(lift.rest_size, 19);
    assert_memory_equal(lift.rest,
                        "\x08\xac\x02\x50\x07\x11"
                        "12345678\x1d"
                        "abcd",
                        19);
    ft_buf_clear(&b);
}

/* A short field, another number and a field that comes twice are left to the unpacker. */
static void
anything_unusual_is_left_alone(void **ctx)
{
    struct ft_buf b = { 0 };
    struct ft_pb_lift lift;
    (void)ctx;
    make(&b, LONG);
    assert_false(ft_pb_lift(ft_buf_bytes(&b), 8, &lift));
    assert_false(ft_pb_lift(ft_buf_bytes(&b), 1, &lift));
    make(&b, LONG);
    assert_false(ft_pb_lift(ft_buf_bytes(&b), 9, &lift));
    b.size = 0;
    make(&b, 100);
    assert_false(ft_pb_lift(ft_buf_bytes(&b), 9, &lift));
    b.size = 0;
    make(&b, LONG);
    assert_int_equal(ft_pb_tail(&b, 3, 300), FT_OK); /* a rest that is too long */
    for (int i = 0; i < 300; i++)
        assert_int_equal(ft_buf_u8(&b, 1), FT_OK);
    assert_false(ft_pb_lift(ft_buf_bytes(&b), 9, &lift));
    ft_buf_clear(&b);
}

/* Cut anywhere, with any byte of its head changed: never read past the end, never a field that is not inside.
 */
static void
hostile_bytes_stay_within_the_message(void **ctx)
{
    struct ft_buf b = { 0 };
    struct ft_pb_lift lift;
    (void)ctx;
    make(&b, LONG);
    for (size_t cut = 0; cut < b.size; cut++) {
        uint8_t *copy = ft_calloc(1, cut + 1); /* its own block, so that a read beyond it is seen */
        memcpy(copy, b.data, cut);
        if (ft_pb_lift(FT_BYTES(copy, cut), 9, &lift))
            assert_true(lift.field.data + lift.field.size <= copy + cut);
        ft_free(copy);
    }
    for (size_t at = 0; at < 8; at++)
        for (int value = 0; value < 256; value++) {
            const uint8_t was = b.data[at];
            b.data[at] = (uint8_t)value;
            if (ft_pb_lift(ft_buf_bytes(&b), 9, &lift))
                assert_true(lift.field.data >= b.data &&
                            lift.field.size <= b.size - (size_t)(lift.field.data - b.data));
            b.data[at] = was;
        }
    ft_buf_clear(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_field_is_lifted_and_the_rest_stays),
        cmocka_unit_test(anything_unusual_is_left_alone),
        cmocka_unit_test(hostile_bytes_stay_within_the_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
