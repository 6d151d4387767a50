#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/source/decode.h"

#include <iconv.h>
#include <stdlib.h>
#include <string.h>

/* Every code point but the surrogates, as UTF-8 by the table of RFC 3629. */
static size_t
all_code_points(char *out, uint32_t last)
{
    size_t n = 0;
    for (uint32_t c = 1; c <= last; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        if (c < 0x80) {
            out[n++] = (char)c;
        } else if (c < 0x800) {
            out[n++] = (char)(0xC0 | c >> 6);
            out[n++] = (char)(0x80 | (c & 63));
        } else if (c < 0x10000) {
            out[n++] = (char)(0xE0 | c >> 12);
            out[n++] = (char)(0x80 | (c >> 6 & 63));
            out[n++] = (char)(0x80 | (c & 63));
        } else {
            out[n++] = (char)(0xF0 | c >> 18);
            out[n++] = (char)(0x80 | (c >> 12 & 63));
            out[n++] = (char)(0x80 | (c >> 6 & 63));
            out[n++] = (char)(0x80 | (c & 63));
        }
    }
    return n;
}

/* Encode with iconv, decode in blocks of an awkward size, and get the text back. */
static void
round_trip(const char *iconv_name, enum ft_encoding encoding, uint32_t last, size_t block)
{
    char *text = calloc(5, 0x120000);
    const size_t size = all_code_points(text, last);
    uint8_t *coded = calloc(5, 0x120000), *out = calloc(6, 0x120000);
    char *in_at = text, *out_at = (char *)coded;
    size_t in_left = size, out_left = (size_t)5 * 0x120000, written = 0;
    struct ft_decoder d = { .encoding = encoding };

    iconv_t cd = iconv_open(iconv_name, "UTF-8");
    assert_true(cd != (iconv_t)-1);
    assert_int_equal(iconv(cd, &in_at, &in_left, &out_at, &out_left), 0);
    iconv_close(cd);
    const size_t coded_size = (size_t)((uint8_t *)out_at - coded);
    for (size_t at = 0; at < coded_size; at += block) {
        const size_t n = coded_size - at < block ? coded_size - at : block;
        written += ft_decode(&d, coded + at, n, at + n == coded_size, out + written);
    }
    assert_int_equal(written, size);
    assert_memory_equal(out, text, size);
    free(text);
    free(coded);
    free(out);
}

/* Whatever iconv encodes comes back, also when blocks cut units and surrogate pairs. */
static void
source_decode_agrees_with_iconv(void **state)
{
    (void)state;
    round_trip("UTF-16LE", FT_ENCODING_UTF16LE, 0x10FFFF, 65536);
    round_trip("UTF-16LE", FT_ENCODING_UTF16LE, 0x10FFFF, 7);
    round_trip("UTF-16BE", FT_ENCODING_UTF16BE, 0x10FFFF, 5);
    round_trip("LATIN1", FT_ENCODING_LATIN1, 0xFF, 3);
}

static void
expect(enum ft_encoding encoding, const char *in, size_t size, const char *want, size_t want_size)
{
    struct ft_decoder d = { .encoding = encoding };
    uint8_t out[64];
    const size_t n = ft_decode(&d, (const uint8_t *)in, size, true, out);
    assert_int_equal(n, want_size);
    assert_memory_equal(out, want, want_size);
}

/* A byte order mark is not text; `auto` follows it, and is UTF-8 without one. */
static void
source_decode_follows_the_byte_order_mark(void **state)
{
    (void)state;
    expect(FT_ENCODING_AUTO,
           "\xFF\xFE"
           "a\0",
           4, "a", 1);
    expect(FT_ENCODING_AUTO, "\xFE\xFF\0a", 4, "a", 1);
    expect(FT_ENCODING_AUTO,
           "\xEF\xBB\xBF"
           "a",
           4, "a", 1);
    expect(FT_ENCODING_AUTO, "ab", 2, "ab", 2);
    expect(FT_ENCODING_UTF8,
           "\xEF\xBB\xBF"
           "a",
           4, "a", 1);
    expect(FT_ENCODING_UTF16LE,
           "\xFF\xFE"
           "a\0",
           4, "a", 1);
}

/* Half a pair, or half a unit at the end, becomes a byte that no UTF-8 text holds. */
static void
source_decode_marks_what_is_no_text(void **state)
{
    (void)state;
    expect(FT_ENCODING_UTF16LE,
           "\x00\xD8"
           "a\0",
           4,
           "\xFF"
           "a",
           2);
    expect(FT_ENCODING_UTF16LE,
           "\x00\xDC"
           "a\0",
           4,
           "\xFF"
           "a",
           2);
    expect(FT_ENCODING_UTF16LE, "a\0b", 3, "a\xFF", 2);
    expect(FT_ENCODING_UTF16LE, "a\0\x3D\xD8", 4, "a\xFF", 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_decode_agrees_with_iconv),
        cmocka_unit_test(source_decode_follows_the_byte_order_mark),
        cmocka_unit_test(source_decode_marks_what_is_no_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
