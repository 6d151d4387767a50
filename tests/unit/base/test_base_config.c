/* Strict configuration: what is wrong is told with line, column, what was found and what was expected. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/base/config.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

struct item {
    char *name;
    double min;
};
struct group {
    char *purpose;
    struct item *items;
    uint32_t count;
};
struct sample {
    char *name, *day, *secret;
    uint32_t kind, small;
    uint64_t large, wait_ms;
    double rate;
    bool flag;
    struct item *items;
    uint32_t item_count;
    struct group *groups;
    uint32_t group_count;
    uint32_t widths[3];
    uint32_t width_count;
};

#define S(member, name, kind, ...) FT_CFG(struct sample, member, name, kind, __VA_ARGS__)
static const struct ft_config_choice kinds[] = { { "red", 7 }, { "green", 9 }, { 0 } };
static const struct ft_config_field item_fields[] = {
    FT_CFG(struct item, name, "name", TEXT, .flags = FT_CONFIG_REQUIRED, .most = 8),
    FT_CFG(struct item, min, "min", REAL, .flags = FT_CONFIG_REQUIRED, .min = -10, .max = 10),
    FT_CONFIG_END,
};
static const struct ft_config_field item_one = { .key = "item",
                                                 .type = FT_CONFIG_MAP,
                                                 .fields = item_fields };
static const struct ft_config_field text_one = FT_CFG(struct item, name, "text", TEXT, .most = 8);
static const struct ft_config_field group_one =
    FT_CFG(struct group, items, "entries", LIST, .most = 4, .item = &text_one,
           .item_size = sizeof(struct item), .count_offset = offsetof(struct group, count));
static const struct ft_config_field width_one = {
    .key = "width", .type = FT_CONFIG_UINT32, .least = 1, .most = 99
};
static const struct ft_config_field nested_fields[] = {
    S(small, "small", UINT32, .flags = FT_CONFIG_REQUIRED, .least = 2, .most = 20),
    S(rate, "rate", REAL, .min = DBL_MIN, .max = 1),
    FT_CONFIG_END,
};
static const struct ft_config_field fields[] = {
    S(name, "name", TEXT, .flags = FT_CONFIG_REQUIRED, .most = 8),
    S(day, "day", TEXT, .most = 10, .check = ft_config_is_date),
    S(secret, "secret", TEXT, .flags = FT_CONFIG_PRIVATE, .most = 4),
    S(kind, "kind", CHOICE, .choices = kinds),
    S(large, "large", UINT64, .most = UINT64_MAX),
    S(wait_ms, "wait", DURATION, .least = 10, .most = 60000),
    S(flag, "flag", BOOL),
    { .key = "nested", .type = FT_CONFIG_MAP, .fields = nested_fields },
    S(items, "items", LIST, .most = 3, .item = &item_one, .item_size = sizeof(struct item),
      .count_offset = offsetof(struct sample, item_count)),
    S(groups, "groups", DICT, .flags = FT_CONFIG_EMPTY_OK, .most = 3, .item = &group_one,
      .item_size = sizeof(struct group), .count_offset = offsetof(struct sample, group_count),
      .key_offset = offsetof(struct group, purpose)),
    S(widths, "widths", LIST, .flags = FT_CONFIG_INLINE, .most = 3, .item = &width_one,
      .item_size = sizeof(uint32_t), .count_offset = offsetof(struct sample, width_count)),
    FT_CONFIG_END,
};

static enum ft_status
load_bytes(const void *yaml, size_t size, struct sample *out, struct ft_findings *findings)
{
    *out = (struct sample){ .small = 5 };
    return ft_config_load(FT_BYTES(yaml, size), "f.yaml", fields, out, findings, NULL);
}

/* Load and compare the findings, one a line as `line:column: text`. */
static void
expect(const char *yaml, const char *golden)
{
    static struct ft_findings findings;
    struct sample data;
    char told[8192] = "";
    size_t used = 0;

    assert_int_equal(load_bytes(yaml, strlen(yaml), &data, &findings), FT_ERR_CONFIG);
    for (size_t i = 0; i < findings.count; i++)
        used += (size_t)snprintf(told + used, sizeof told - used, "%s%u:%u: %s", i > 0 ? "\n" : "",
                                 findings.list[i].line, findings.list[i].column, findings.list[i].text);
    assert_string_equal(told, golden);
}

/* Every kind of value arrives, optional ones keep the caller's, and nothing leaks. */
static void
base_config_good_file_is_read_whole(void **state)
{
    static const char yaml[] = "name: shop # a comment\n"
                               "day: 2024-02-29\n"
                               "kind: green\n"
                               "large: 18446744073709551615\n"
                               "wait: 2s\n"
                               "flag: true\n"
                               "items:\n"
                               "  - {name: a, min: -1.5}\n"
                               "  - name: \"b\"\n"
                               "    min: 1e1\n"
                               "groups: {x: [p, q], y: [r]}\n"
                               "widths: [1, 22]\n";
    const size_t live = ft_alloc_live();
    struct sample s;
    (void)state;

    assert_int_equal(load_bytes(yaml, strlen(yaml), &s, NULL), FT_OK);
    assert_string_equal(s.name, "shop");
    assert_string_equal(s.day, "2024-02-29");
    assert_null(s.secret);
    assert_int_equal(s.kind, 9);
    assert_int_equal(s.small, 5);
    assert_true(s.large == UINT64_MAX);
    assert_int_equal(s.wait_ms, 2000);
    assert_true(s.flag);
    assert_int_equal(s.item_count, 2);
    assert_string_equal(s.items[1].name, "b");
    assert_true(s.items[0].min == -1.5 && s.items[1].min == 10);
    assert_int_equal(s.group_count, 2);
    assert_string_equal(s.groups[0].purpose, "x");
    assert_int_equal(s.groups[0].count, 2);
    assert_string_equal(s.groups[0].items[1].name, "q");
    assert_int_equal(s.width_count, 2);
    assert_int_equal(s.widths[1], 22);
    ft_config_clear(fields, &s);
    assert_int_equal(ft_alloc_live(), live);
}

/* An unknown key is told at the key, with the nearest known one or the list. */
static void
base_config_unknown_key_is_told_with_the_nearest(void **state)
{
    (void)state;
    expect("name: a\nnested:\n  smal: 3\n  small: 4\n", "3:3: unknown key 'smal', did you mean 'small'?");
    expect("name: a\nnested: {small: 3, zzz: 1}\n", "2:20: unknown key 'zzz', expected one of small, rate");
}

/* A duplicate key is told at its second place and names the line of the first. */
static void
base_config_duplicate_key_is_told_with_the_first_line(void **state)
{
    (void)state;
    expect("name: a\nflag: true\nname: b\n", "3:1: duplicate key 'name', first given on line 1");
}

/* A missing key is told where its mapping is, with what it should hold. */
static void
base_config_missing_key_is_told_at_its_mapping(void **state)
{
    (void)state;
    expect("flag: true\nnested: {}\n", "1:1: missing key 'name', expected text\n"
                                       "2:1: missing key 'small', expected a whole number from 2 to 20");
    expect("name: a\nitems:\n  - min: 1\n", "3:5: missing key 'name', expected text");
}

/* Wrong types and values out of range are told at the value, with both sides. */
static void
base_config_wrong_values_are_told_with_both_sides(void **state)
{
    static const struct {
        const char *yaml, *golden;
    } cases[] = {
        { "flag: yes", "1:7: 'flag' is 'yes', expected true or false" },
        { "flag: \"true\"", "1:7: 'flag' is the text 'true', expected true or false" },
        { "kind: blue", "1:7: 'kind' is 'blue', expected one of red, green" },
        { "large: -1", "1:8: 'large' is '-1', expected a whole number from 0 to 18446744073709551615" },
        { "large: 18446744073709551616",
          "1:8: 'large' is '18446744073709551616', expected a whole number from 0 to 18446744073709551615" },
        { "large: 0x10", "1:8: 'large' is '0x10', expected a whole number from 0 to 18446744073709551615" },
        { "large: 010", "1:8: 'large' is '010', expected a whole number from 0 to 18446744073709551615" },
        { "large: 1.0", "1:8: 'large' is '1.0', expected a whole number from 0 to 18446744073709551615" },
        { "large: [1]", "1:8: 'large' is a list, expected a whole number from 0 to 18446744073709551615" },
        { "large:", "1:7: 'large' is nothing, expected a whole number from 0 to 18446744073709551615" },
        { "nested: {small: 21}", "1:17: 'small' is '21', expected a whole number from 2 to 20" },
        { "nested: {small: 2, rate: 0}", "1:26: 'rate' is '0', expected a number above 0 and at most 1" },
        { "nested: {small: 2, rate: nan}", "1:26: 'rate' is 'nan', expected a number above 0 and at most 1" },
        { "nested: {small: 2, rate: .inf}",
          "1:26: 'rate' is '.inf', expected a number above 0 and at most 1" },
        { "nested: {small: 2, rate: 1e999}",
          "1:26: 'rate' is '1e999', expected a number above 0 and at most 1" },
        { "nested: 3", "1:9: 'nested' is '3', expected a mapping of keys" },
        { "wait: 5",
          "1:7: 'wait' is '5', expected a duration from 10ms to 1m with its unit, such as 500ms, 5s or 2m" },
        { "wait: 2m",
          "1:7: 'wait' is '2m', expected a duration from 10ms to 1m with its unit, such as 500ms, 5s or 2m" },
        { "day: 2023-02-29", "1:6: 'day' is '2023-02-29', expected a day of the calendar as YYYY-MM-DD" },
        { "items: a", "1:8: 'items' is 'a', expected a list" },
        { "items: []", "1:8: 'items' has 0 entries, expected 1 to 3 entries" },
        { "widths: [1, 2, 3, 4]", "1:9: 'widths' has 4 entries, expected 1 to 3 entries" },
        { "widths: [1, 0]", "1:13: '0', expected a whole number from 1 to 99" },
        { "groups: {x: {}}", "1:13: 'x' is a mapping, expected a list" },
        { "secret: hunter2", "1:9: 'secret' is another value, expected text of at most 4 bytes" },
    };
    char yaml[128], golden[256];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(yaml, sizeof yaml, "%s\nname: a\n", cases[i].yaml);
        snprintf(golden, sizeof golden, "%s", cases[i].golden);
        expect(yaml, golden);
    }
    expect("name: ''\n", "1:7: 'name' is the text '', expected text");
    expect("name: ~\n", "1:7: 'name' is nothing, expected text");
    expect("name: much too long\n", "1:7: 'name' is 'much too long', expected text of at most 8 bytes");
    expect("- a\n", "1:1: a list, expected a mapping of keys");
}

/* All findings of a file are listed at once, in the order of the file, and fit into one error text. */
static void
base_config_all_findings_are_listed_in_order(void **state)
{
    static const char yaml[] = "nam: a\nflag: 1\nkind: red\nkind: red\nwidths: [0]\n";
    struct ft_error err = { 0 };
    struct sample s = { 0 };
    (void)state;

    expect(yaml, "1:1: unknown key 'nam', did you mean 'name'?\n"
                 "1:1: missing key 'name', expected text\n"
                 "2:7: 'flag' is '1', expected true or false\n"
                 "4:1: duplicate key 'kind', first given on line 3\n"
                 "5:10: '0', expected a whole number from 1 to 99");
    assert_int_equal(ft_config_load(FT_BYTES(yaml, strlen(yaml)), "f.yaml", fields, &s, NULL, &err),
                     FT_ERR_CONFIG);
    assert_string_equal(err.text, "f.yaml:1:1: unknown key 'nam', did you mean 'name'?\n"
                                  "f.yaml:1:1: missing key 'name', expected text\n"
                                  "f.yaml:2:7: 'flag' is '1', expected true or false\n"
                                  "f.yaml:4:1: duplicate key 'kind', first given on line 3\n"
                                  "f.yaml:5:10: '0', expected a whole number from 1 to 99");
}

/* Text that is no YAML is told where the parser stopped. */
static void
base_config_broken_yaml_is_told_with_its_place(void **state)
{
    (void)state;
    expect("name: a\nitems: [1, 2\n", "3:1: not valid YAML: did not find expected ',' or ']', while parsing "
                                      "a flow sequence that began on line 2");
    expect("name: a\n\tflag: true\n", "2:1: not valid YAML: found a tab character that violates indentation, "
                                      "while scanning a plain scalar that "
                                      "began on line 1");
    expect("", "1:1: an empty file, expected a mapping of keys");
    expect("# nothing\n", "1:1: an empty file, expected a mapping of keys");
    expect("name: a\n---\nname: b\n", "3:1: a second document, expected one");
}

/* Anchors, aliases, tags, complex keys and control bytes are refused. */
static void
base_config_dangerous_yaml_is_refused(void **state)
{
    static struct ft_findings findings;
    struct sample s;
    (void)state;

    expect("name: &a x\n",
           "1:7: an anchor (&), expected a plain value: anchors and aliases are not accepted");
    expect("items: &a [1]\n",
           "1:8: an anchor (&), expected a plain value: anchors and aliases are not accepted");
    expect("name: *a\n", "1:7: an alias (*), expected a plain value: anchors and aliases are not accepted");
    expect("name: !!str x\n", "1:7: a tag (!), expected a plain value: tags are not accepted");
    expect("? [a]\n: b\n", "1:3: a list or mapping as a key, expected a name");
    expect("name: \"a\\0b\"\n", "1:7: a NUL character, expected text without one");
    assert_int_equal(load_bytes("name: a\nx\0y: 1\n", 14, &s, &findings), FT_ERR_CONFIG);
    assert_string_equal(findings.list[0].text, "byte 0x00, expected text in UTF-8");
    assert_int_equal(findings.list[0].line, 2);
    assert_int_equal(findings.list[0].column, 2);
    assert_int_equal(load_bytes("name: \xff\xfe\n", 9, &s, &findings), FT_ERR_CONFIG);
    assert_non_null(strstr(findings.list[0].text, "not UTF-8"));
}

/* Depth, number of values and size are bounded. */
static void
base_config_huge_yaml_is_refused_early(void **state)
{
    static struct ft_findings findings;
    struct sample s;
    char *big = ft_calloc(FT_CONFIG_BYTES_MAX + 1, 1);
    size_t used = 0;
    (void)state;

    assert_non_null(big);
    memset(big, '[', 100000);
    assert_int_equal(load_bytes(big, 100000, &s, &findings), FT_ERR_CONFIG);
    assert_string_equal(findings.list[0].text, "nested too deeply for a configuration file");
    memset(big, ' ', FT_CONFIG_BYTES_MAX + 1);
    assert_int_equal(load_bytes(big, FT_CONFIG_BYTES_MAX + 1, &s, &findings), FT_ERR_CONFIG);
    assert_string_equal(findings.list[0].text, "1048577 bytes, expected at most 1048576");
    used = (size_t)snprintf(big, 16, "widths: [1");
    while (used < 2 * FT_CONFIG_NODES_MAX + 20) {
        memcpy(big + used, ",1", 2);
        used += 2;
    }
    assert_int_equal(load_bytes(big, used, &s, &findings), FT_ERR_CONFIG);
    assert_string_equal(findings.list[0].text, "too many values for a configuration file");
    for (used = 0; used < 20000;)
        used += (size_t)snprintf(big + used, 16, "k%zu: 1\n", used);
    assert_int_equal(load_bytes(big, used, &s, &findings), FT_ERR_CONFIG);
    assert_string_equal(findings.list[0].text, "too many keys in one mapping");
    ft_free(big);
}

/* More findings than are kept are counted, and the error says how many it leaves out. */
static void
base_config_findings_beyond_the_limit_are_counted(void **state)
{
    static struct ft_findings findings;
    struct sample s;
    struct ft_error err = { 0 };
    char yaml[2048] = "";
    size_t used = 0;
    (void)state;

    for (int i = 0; i < 100; i++)
        used += (size_t)snprintf(yaml + used, sizeof yaml - used, "zz%02d: 1\n", i);
    assert_int_equal(load_bytes(yaml, used, &s, &findings), FT_ERR_CONFIG);
    assert_int_equal(findings.count, FT_FINDINGS_MAX);
    assert_int_equal(findings.total, 101);
    assert_int_equal(ft_findings_status(&findings, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "\nand "));
    assert_string_equal(err.text + strlen(err.text) - 5, " more");
}

/* Positions can be asked for by path, and fall back to the nearest parent. */
static void
base_config_where_finds_paths(void **state)
{
    static const char yaml[] = "a:\n  b: [x, {c: 1}]\n";
    static struct ft_findings findings;
    struct ft_config *config;
    uint32_t line, column;
    (void)state;

    ft_findings_init(&findings, "f");
    assert_int_equal(ft_config_open(FT_BYTES(yaml, strlen(yaml)), &findings, &config), FT_OK);
    assert_true(ft_config_where(config, "a.b[1].c", &line, &column));
    assert_int_equal(line, 2);
    assert_int_equal(column, 11);
    assert_true(ft_config_where(config, "a.b[0]", &line, &column));
    assert_int_equal(column, 7);
    assert_false(ft_config_where(config, "a.b[7].q", &line, &column));
    assert_int_equal(line, 2);
    assert_int_equal(column, 3);
    assert_false(ft_config_where(config, "zz", &line, &column));
    assert_int_equal(line, 1);
    ft_config_close(config);
}

/* Fail each allocation in turn: a clean status and nothing left behind. */
static void
base_config_survives_any_failed_allocation(void **state)
{
    static const char yaml[] = "name: a\nitems: [{name: x, min: 1}]\ngroups: {g: [a, b]}\n";
    static struct ft_findings findings;
    const size_t live = ft_alloc_live();
    struct sample s;
    enum ft_status st = FT_OK;
    uint64_t nth = 0;
    (void)state;

    for (nth = 1; nth < 1000; nth++) {
        ft_alloc_fail_at(nth, false);
        st = load_bytes(yaml, strlen(yaml), &s, &findings);
        const bool fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        if (!fired)
            break;
        assert_int_equal(st, FT_ERR_NOMEM);
        assert_int_equal(ft_alloc_live(), live);
    }
    assert_in_range(nth, 10, 999);
    assert_int_equal(st, FT_OK);
    ft_config_clear(fields, &s);
    assert_int_equal(ft_alloc_live(), live);
}

/* Addresses: a host or bracketed IPv6, a colon, a port up to 65535. */
static void
base_config_host_port_form(void **state)
{
    static const char *const good[] = { "127.0.0.1:7443", "fl.example.org:1", "[::1]:65535", "[fe80::1]:80" };
    static const char *const bad[] = { "host",    ":1",    "host:", "host:65536", "host:-1",   "::1:80",
                                       "[::1:80", "a b:1", "[]:1",  "host:0x1",   "http://h:1" };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_null(ft_config_is_host_port(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(ft_config_is_host_port(bad[i]));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_config_good_file_is_read_whole),
        cmocka_unit_test(base_config_unknown_key_is_told_with_the_nearest),
        cmocka_unit_test(base_config_duplicate_key_is_told_with_the_first_line),
        cmocka_unit_test(base_config_missing_key_is_told_at_its_mapping),
        cmocka_unit_test(base_config_wrong_values_are_told_with_both_sides),
        cmocka_unit_test(base_config_all_findings_are_listed_in_order),
        cmocka_unit_test(base_config_broken_yaml_is_told_with_its_place),
        cmocka_unit_test(base_config_dangerous_yaml_is_refused),
        cmocka_unit_test(base_config_huge_yaml_is_refused_early),
        cmocka_unit_test(base_config_findings_beyond_the_limit_are_counted),
        cmocka_unit_test(base_config_where_finds_paths),
        cmocka_unit_test(base_config_survives_any_failed_allocation),
        cmocka_unit_test(base_config_host_port_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
