#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/source/pseudonym.h"
#include "client/source/values.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number is read only when the whole field is one, in the configured decimal mark, and finite. */
static void
source_real_is_strict(void **state)
{
    static const struct {
        const char *text;
        char decimal;
        bool good;
        double value;
    } table[] = {
        { "0", '.', true, 0 },
        { "-1.25", '.', true, -1.25 },
        { "+3", '.', true, 3 },
        { "1,5", ',', true, 1.5 },
        { ".5", '.', true, 0.5 },
        { "1e3", '.', true, 1000 },
        { "1.5E-2", '.', true, 0.015 },
        { "1e308", '.', true, 1e308 },
        { "12345678901234567890", '.', true, 12345678901234567890.0 },
        { "", '.', false, 0 },
        { "1.", '.', false, 0 },
        { ".", '.', false, 0 },
        { "-", '.', false, 0 },
        { "1,5", '.', false, 0 },
        { "1.5", ',', false, 0 },
        { "1 000", '.', false, 0 },
        { "1.5x", '.', false, 0 },
        { " 1", '.', false, 0 },
        { "nan", '.', false, 0 },
        { "inf", '.', false, 0 },
        { "-Infinity", '.', false, 0 },
        { "0x10", '.', false, 0 },
        { "1e", '.', false, 0 },
        { "1e999", '.', false, 0 },
        { "1.2.3", '.', false, 0 },
        { "--1", '.', false, 0 },
        { "1e+", '.', false, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        double value = -99;
        const bool good = ft_value_real(table[i].text, strlen(table[i].text), table[i].decimal, &value);
        if (good != table[i].good || (good && value != table[i].value))
            fail_msg("%s: %d %g", table[i].text, good, value);
    }
}

/* Short decimals take a shortcut; it agrees with strtod to the last bit. */
static void
source_real_rounds_as_strtod(void **state)
{
    uint64_t x = 88172645463325252ULL;
    char text[40];
    (void)state;
    for (int i = 0; i < 20000; i++) {
        double value;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        snprintf(text, sizeof text, "%llu.%0*llu", (unsigned long long)(x % 100000000),
                 (int)(x >> 40) % 8 + 1, (unsigned long long)(x >> 20) % 10);
        assert_true(ft_value_real(text, strlen(text), '.', &value));
        assert_true(value == strtod(text, NULL));
    }
}

/* Whole numbers cover exactly the 64-bit range. */
static void
source_integer_is_strict(void **state)
{
    static const char *const bad[] = {
        "",    "-",  "1.0", "1e3", "9223372036854775808", "-9223372036854775809",
        "0x1", " 1", "1 ",  "a",   "99999999999999999999"
    };
    int64_t value;
    (void)state;
    assert_true(ft_value_integer("9223372036854775807", 19, &value));
    assert_true(value == INT64_MAX);
    assert_true(ft_value_integer("-9223372036854775808", 20, &value));
    assert_true(value == INT64_MIN);
    assert_true(ft_value_integer("+42", 3, &value));
    assert_int_equal(value, 42);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(ft_value_integer(bad[i], strlen(bad[i]), &value));
}

/* A timestamp is a day and time that exist, all of the field, and comes out as ISO 8601. */
static void
source_time_is_validated(void **state)
{
    static const struct {
        const char *text, *format, *iso;
    } table[] = {
        { "2017-01-31 23:59:59", "%Y-%m-%d %H:%M:%S", "2017-01-31 23:59:59" },
        { "2016-02-29 00:00:00", "%Y-%m-%d %H:%M:%S", "2016-02-29 00:00:00" },
        { "2018-01-02", "%Y-%m-%d", "2018-01-02" },
        { "31.12.2019 7:05", "%d.%m.%Y %H:%M", "2019-12-31 07:05:00" },
        { "12/31/2019", "%m/%d/%Y", "2019-12-31" },
        { "2017-02-29 00:00:00", "%Y-%m-%d %H:%M:%S", NULL },
        { "1900-02-29", "%Y-%m-%d", NULL },
        { "2017-13-01", "%Y-%m-%d", NULL },
        { "2017-00-10", "%Y-%m-%d", NULL },
        { "2017-01-01 24:00:00", "%Y-%m-%d %H:%M:%S", NULL },
        { "2017-01-01", "%Y-%m-%d %H:%M:%S", NULL },
        { "2017-01-01 00:00:00x", "%Y-%m-%d %H:%M:%S", NULL },
        { "31.04.2019", "%d.%m.%Y", NULL },
        { "31.12.2019 junk", "%d.%m.%Y", NULL },
        { "", "%Y-%m-%d", NULL },
        { "", "%d.%m.%Y", NULL },
    };
    int64_t ms;
    char iso[20];
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const bool good = ft_value_time(table[i].text, table[i].format, iso, &ms);
        if (good != (table[i].iso != NULL) || (good && strcmp(iso, table[i].iso) != 0))
            fail_msg("%s %s", table[i].text, table[i].format);
    }
    assert_true(ft_value_time("1970-01-02 00:00:01", "%Y-%m-%d %H:%M:%S", iso, &ms));
    assert_true(ms == 86401000);
    assert_true(ft_value_time_format_ok("%d.%m.%y %H:%M"));
    assert_false(ft_value_time_format_ok("%H:%M"));
    assert_false(ft_value_time_format_ok("%Y-%m"));
    assert_false(ft_value_time_format_ok("2017"));
}

/* Overlong forms, surrogates, cut sequences and NUL are no text. */
static void
source_utf8_is_well_formed(void **state)
{
    (void)state;
    assert_true(ft_value_utf8("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80", 14));
    assert_true(ft_value_utf8("", 0));
    assert_false(ft_value_utf8("a\0b", 3));
    assert_false(ft_value_utf8("\xC0\x80", 2));
    assert_false(ft_value_utf8("\xE0\x80\x80", 3));
    assert_false(ft_value_utf8("\xED\xA0\x80", 3));
    assert_false(ft_value_utf8("\xF4\x90\x80\x80", 4));
    assert_false(ft_value_utf8("\xE2\x82", 2));
    assert_false(ft_value_utf8("\xFF", 1));
}

/* The same customer has one pseudonym at a shop and another at the next; the id is not in it. */
static void
source_pseudonym_depends_on_the_node_key(void **state)
{
    struct ft_node_key a = { { 1 } }, b = { { 2 } };
    struct ft_pseudonym pa, pb, again;
    uint8_t hash[16];
    (void)state;
    ft_pseudonym_make(&a, "906", 3, &pa);
    ft_pseudonym_make(&a, "906", 3, &again);
    ft_pseudonym_make(&b, "906", 3, &pb);
    assert_string_equal(pa.text, again.text);
    assert_string_not_equal(pa.text, pb.text);
    assert_int_equal(strlen(pa.text), FT_PSEUDONYM_LENGTH);
    ft_pseudonym_make(&a, "9060", 4, &again);
    assert_string_not_equal(pa.text, again.text);
    /* The header's formula in one call of libsodium. */
    crypto_generichash(hash, sizeof hash,
                       (const unsigned char *)"fedtill/customer\0"
                                              "906",
                       20, a.bytes, sizeof a.bytes);
    char text[FT_PSEUDONYM_LENGTH + 1];
    sodium_bin2base64(text, sizeof text, hash, sizeof hash, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    assert_string_equal(pa.text, text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_real_is_strict),
        cmocka_unit_test(source_real_rounds_as_strtod),
        cmocka_unit_test(source_integer_is_strict),
        cmocka_unit_test(source_time_is_validated),
        cmocka_unit_test(source_utf8_is_well_formed),
        cmocka_unit_test(source_pseudonym_depends_on_the_node_key),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
