/* client.yaml: what it means for the source, and its contradictions. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/commands/client_config.h"
#include "common/base/alloc.h"
#include "common/base/log.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define CLIENT_SAMPLE                                                                                        \
    "version: 1\n"                                                                                           \
    "shop: store-367\n"                                                                                      \
    "aggregator: 127.0.0.1:7443\n"                                                                           \
    "state: state\n"                                                                                         \
    "policy: /etc/fedtill/policy.yaml\n"                                                                     \
    "source:\n"                                                                                              \
    "  type: csv\n"                                                                                          \
    "  transactions:\n"                                                                                      \
    "    files: data/*.csv\n"                                                                                \
    "    delimiter: \";\"\n"                                                                                 \
    "    encoding: latin-1\n"                                                                                \
    "    decimal: \",\"\n"                                                                                   \
    "    timestamp: \"%d.%m.%Y\"\n"                                                                          \
    "    columns: {customer_id: Karte, week: Woche}\n"                                                       \
    "  max_reject_ratio: 0.05\n"                                                                             \
    "consent: {basis: consent, file: consent.csv}\n"

static struct ft_findings findings;

static const char *
client_with(const char *from, const char *to)
{
    static char text[sizeof CLIENT_SAMPLE + 512];
    const char *at = strstr(CLIENT_SAMPLE, from);
    assert(at != NULL);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - CLIENT_SAMPLE), CLIENT_SAMPLE, to, at + strlen(from));
    return text;
}

static void
expect(const char *from, const char *to, const char *golden)
{
    const char *yaml = client_with(from, to);
    struct ft_client_config c;
    char told[512];
    assert_int_equal(
        ft_client_config_parse(FT_BYTES(yaml, strlen(yaml)), "client.yaml", "/shop", &c, &findings),
        FT_ERR_CONFIG);
    snprintf(told, sizeof told, "%u:%u: %s", findings.list[0].line, findings.list[0].column,
             findings.list[0].text);
    assert_string_equal(told, golden);
    assert_int_equal(findings.total, 1);
}

/* File names are taken from the file's folder unless absolute, and the source gets what the file says. */
static void
policy_client_config_becomes_the_source(void **state)
{
    const size_t live = ft_alloc_live();
    struct ft_client_config c;
    struct ft_source_config s;
    (void)state;

    assert_int_equal(ft_client_config_parse(FT_BYTES(CLIENT_SAMPLE, strlen(CLIENT_SAMPLE)), "client.yaml",
                                            "/shop", &c, &findings),
                     FT_OK);
    assert_string_equal(c.shop, "store-367");
    assert_string_equal(c.state, "/shop/state");
    assert_string_equal(c.policy, "/etc/fedtill/policy.yaml");
    assert_string_equal(c.consent.file, "/shop/consent.csv");
    assert_int_equal(c.consent.basis, FT_BASIS_CONSENT);
    assert_int_equal(c.log_level, FT_LOG_INFO);
    assert_int_equal(ft_client_source_config(&c, &s), FT_OK);
    assert_string_equal(s.transactions.files, "/shop/data/*.csv");
    assert_int_equal(s.transactions.delimiter, ';');
    assert_int_equal(s.transactions.decimal, ',');
    assert_int_equal(s.transactions.encoding, FT_ENCODING_LATIN1);
    assert_string_equal(s.transactions.timestamp, "%d.%m.%Y");
    assert_int_equal(s.transactions.column_count, 2);
    assert_string_equal(s.transactions.columns[1].name, "week");
    assert_string_equal(s.transactions.columns[1].source, "Woche");
    assert_null(s.products.files);
    assert_true(s.max_reject_ratio == 0.05);
    ft_source_config_clear(&s);
    ft_client_config_clear(&c);
    assert_int_equal(ft_alloc_live(), live);
}

/* What is wrong is told at its place. */
static void
policy_client_config_faults_are_told_at_their_place(void **state)
{
    (void)state;
    expect("week: Woche", "wek: Woche", "14:35: 'wek' is no column of transactions, did you mean 'week'?");
    expect(
        "customer_id: Karte, ", "",
        "16:11: 'basis' is consent, but no column is mapped to customer_id, so no customer could be known");
    expect("basis: consent, file: consent.csv", "basis: records",
           "16:11: 'basis' is records, which is data without people, but customers are mapped");
    expect("basis: consent", "basis: none", "16:24: 'file' is given, but only basis consent reads consents");
    expect("basis: consent, ", "", "16:1: missing key 'basis', expected one of consent, records, none");
    expect("delimiter: \";\"", "delimiter: \",\"",
           "12:5: 'decimal' and 'delimiter' are both ',', expected two different characters");
    expect("delimiter: \";\"", "delimiter: \"\\\"\"",
           "10:16: 'delimiter' is the text '\"', expected one character, such as \",\" or \";\" or \"\\t\"");
    expect("encoding: latin-1", "encoding: ebcdic",
           "11:15: 'encoding' is 'ebcdic', expected one of utf-8, utf-16le, utf-16be, latin-1, auto");
    expect("type: csv", "type: odbc", "7:9: 'type' is 'odbc', expected csv");
    expect("127.0.0.1:7443", "127.0.0.1",
           "3:13: 'aggregator' is '127.0.0.1', expected host:port, or [address]:port for IPv6");
    expect("shop: store-367", "shop: ../367",
           "2:7: 'shop' is '../367', expected the shop's name in its invitation: 1 to 64 small letters, "
           "digits and "
           "hyphens");
    expect("max_reject_ratio: 0.05", "max_reject_ratio: 1.5",
           "15:21: 'max_reject_ratio' is '1.5', expected a number from 0 to 1");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_client_config_becomes_the_source),
        cmocka_unit_test(policy_client_config_faults_are_told_at_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
