#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/vault/home.h"
#include "common/base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define H32 "0101010101010101010101010101010101010101010101010101010101010101"
#define H16 "02020202020202020202020202020202"
#define PINS                                                                                                 \
    "\"version\":1,\"shop\":\"store-1\",\"aggregator\":\"a:1\",\"deployment\":\"" H16                        \
    "\",\"registrar_key\":\"" H32 "\",\"aggregator_key\":\"" H32 "\",\"task_keys\":[\"" H32 "\"]"

static char folder[64];

static int
set_up(void **ctx)
{
    (void)ctx;
    strcpy(folder, "/tmp/fedtill-home.XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int
tear_down(void **ctx)
{
    char command[100];
    (void)ctx;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static enum ft_status
parse_token(const char *json, struct ft_token_file *out, struct ft_error *err)
{
    memset(err, 0, sizeof *err);
    return ft_token_file_parse(FT_BYTES(json, strlen(json)), "token.json", out, err);
}

/* An invitation is read whole: pins, CA, token. */
static void
an_invitation_is_read(void **ctx)
{
    struct ft_token_file f;
    struct ft_error err;
    (void)ctx;
    assert_int_equal(
        parse_token("{" PINS ",\"token\":\"" H32 "\",\"ca_pem\":\"pem\",\"expires_ms\":5}", &f, &err), FT_OK);
    assert_string_equal(f.pinned.shop, "store-1");
    assert_int_equal(f.pinned.deployment[15], 2);
    assert_int_equal(f.token[0], 1);
    assert_int_equal(f.pinned.task_key_count, 1);
    assert_int_equal(f.expires_ms, 5);
    ft_token_file_clear(&f);
}

/* What is missing, unknown or malformed is named; nothing is taken from such a file. */
static void
a_bad_invitation_is_refused_by_name(void **ctx)
{
    static const char *const bad[][2] = {
        { "[]", "not a JSON object" },
        { "{" PINS ",\"ca_pem\":\"pem\"}", "\"token\"" },
        { "{" PINS ",\"token\":\"" H16 "\",\"ca_pem\":\"pem\"}", "\"token\"" },
        { "{" PINS ",\"token\":\"" H32 "\",\"ca_pem\":\"pem\",\"extra\":1}", "not known" },
        { "{" PINS ",\"token\":\"" H32 "\",\"ca_pem\":\"pem\",\"shop\":\"two\"}", "not a JSON object" },
        { "{\"version\":2}", "\"version\"" },
    };
    (void)ctx;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ft_token_file f;
        struct ft_error err;
        assert_int_equal(parse_token(bad[i][0], &f, &err), FT_ERR_FORMAT);
        assert_non_null(strstr(err.text, bad[i][1]));
        assert_non_null(strstr(err.text, "token.json"));
        assert_null(f.ca_pem.data);
    }
}

/* What was pinned is read back as it was. */
static void
pins_survive_the_file(void **ctx)
{
    struct ft_pinned p = { .shop = "store-9",
                           .aggregator = "fl.example.org:7443",
                           .deployment = { 1 },
                           .registrar_key = { 2 },
                           .aggregator_key = { 3 },
                           .task_keys = { { 4 }, { 5 } },
                           .task_key_count = 2,
                           .ca_fingerprint = { 6 },
                           .shop_id = 12 },
                     got;
    struct ft_buf b = { 0 };
    (void)ctx;
    assert_int_equal(ft_pinned_format(&p, &b), FT_OK);
    assert_int_equal(ft_pinned_parse(ft_buf_bytes(&b), "trust.json", &got, NULL), FT_OK);
    assert_memory_equal(&p, &got, sizeof p);
    ft_buf_clear(&b);
}

/* A key that others may read, of the wrong size or behind a symbolic link is refused before it is used. */
static void
only_private_keys_are_read(void **ctx)
{
    uint8_t key[32];
    char path[96], link_path[96];
    (void)ctx;
    snprintf(path, sizeof path, "%s/node.key", folder);
    snprintf(link_path, sizeof link_path, "%s/link.key", folder);
    assert_int_equal(ft_home_secret(folder, "node.key", key, 32, NULL), FT_ERR_NOTFOUND);
    assert_int_equal(ft_file_write(path, FT_BYTES("0123456789abcdef0123456789abcdef", 32), 0600, NULL),
                     FT_OK);
    assert_int_equal(ft_home_secret(folder, "node.key", key, 32, NULL), FT_OK);
    assert_memory_equal(key, "0123456789abcdef", 16);
    assert_int_equal(ft_home_secret(folder, "node.key", key, 31, NULL), FT_ERR_FORMAT);
    assert_int_equal(symlink(path, link_path), 0);
    assert_int_equal(ft_home_secret(folder, "link.key", key, 32, NULL), FT_ERR_VERIFY);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(ft_home_secret(folder, "node.key", key, 32, NULL), FT_ERR_VERIFY);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_invitation_is_read),
        cmocka_unit_test(a_bad_invitation_is_refused_by_name),
        cmocka_unit_test(pins_survive_the_file),
        cmocka_unit_test_setup_teardown(only_private_keys_are_read, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
