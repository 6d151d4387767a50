#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/vault/audit.h"
#include "common/base/file.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96];
static struct ft_env_seeded env;

static int
set_up(void **ctx)
{
    (void)ctx;
    strcpy(folder, "/tmp/fedtill-audit.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/audit.jsonl", folder);
    ft_env_seeded_init(&env, 1, 1);
    env.wall = 1700000000000;
    return 0;
}

static int
tear_down(void **ctx)
{
    char command[100];
    (void)ctx;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void
append(struct ft_audit *audit, const char *text)
{
    assert_int_equal(ft_audit_append(audit, "sync", strlen(text), FT_BYTES(text, strlen(text)), true), FT_OK);
}

static struct ft_audit *
open_audit(uint64_t rotate_size)
{
    struct ft_audit *audit;
    struct ft_error err = { 0 };
    if (ft_audit_open(folder, &env.env, rotate_size, &audit, &err) != FT_OK)
        fail_msg("%s", err.text);
    return audit;
}

static char *
contents(void)
{
    struct ft_buf b = { 0 };
    assert_int_equal(ft_file_read(path, 1 << 20, &b, NULL), FT_OK);
    char *text = strndup((const char *)b.data, b.size);
    ft_buf_clear(&b);
    return text;
}

/* A line says what left, when and how large, and its hash; of the content nothing. */
static void
a_line_holds_the_hash_and_not_the_content(void **ctx)
{
    struct stat sb;
    uint8_t hash[32];
    char hex[65];
    (void)ctx;
    struct ft_audit *audit = open_audit(FT_AUDIT_ROTATE_SIZE);
    append(audit, "canary-4711");
    ft_audit_close(audit);
    char *text = contents();
    crypto_generichash(hash, 32, (const uint8_t *)"canary-4711", 11, NULL, 0);
    assert_non_null(strstr(text, ft_hex(hex, hash, 32)));
    assert_non_null(strstr(text, "\"size\":11"));
    assert_non_null(strstr(text, "\"time_ms\":1700000000000"));
    assert_null(strstr(text, "canary"));
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    free(text);
}

/* The chain goes on over restarts and verifies; one changed byte, or a line taken out, breaks it at its
 * place. */
static void
the_chain_shows_every_change(void **ctx)
{
    struct ft_error err = { 0 };
    uint64_t lines = 0;
    (void)ctx;
    for (int run = 0; run < 3; run++) {
        struct ft_audit *audit = open_audit(FT_AUDIT_ROTATE_SIZE);
        append(audit, "a");
        append(audit, "b");
        ft_audit_close(audit);
    }
    assert_int_equal(ft_audit_verify(path, &lines, &err), FT_OK);
    assert_int_equal(lines, 6);

    char *text = contents();
    char *second = strchr(text, '\n') + 1, *third = strchr(second, '\n') + 1;
    struct ft_buf without = { 0 };
    assert_int_equal(ft_buf_append(&without, text, (size_t)(second - text)), FT_OK);
    assert_int_equal(ft_buf_str(&without, third), FT_OK);
    assert_int_equal(ft_file_write(path, ft_buf_bytes(&without), 0600, NULL), FT_OK);
    assert_int_equal(ft_audit_verify(path, NULL, &err), FT_ERR_VERIFY);
    assert_non_null(strstr(err.text, "audit.jsonl:2"));

    strstr(second, "\"size\":1")[7] = '2';
    assert_int_equal(ft_file_write(path, FT_BYTES(text, strlen(text)), 0600, NULL), FT_OK);
    assert_int_equal(ft_audit_verify(path, NULL, NULL), FT_ERR_VERIFY);
    ft_buf_clear(&without);
    free(text);
}

/* A line cut off by a crash belongs to nothing that was sent: it goes, and the chain carries on. */
static void
a_torn_line_is_taken_off(void **ctx)
{
    uint64_t lines = 0;
    (void)ctx;
    struct ft_audit *audit = open_audit(FT_AUDIT_ROTATE_SIZE);
    append(audit, "a");
    append(audit, "b");
    ft_audit_close(audit);
    char *text = contents();
    const size_t whole = strlen(text);
    for (size_t cut = 1; cut < whole / 2; cut += 20) {
        assert_int_equal(ft_file_write(path, FT_BYTES(text, whole - cut), 0600, NULL), FT_OK);
        audit = open_audit(FT_AUDIT_ROTATE_SIZE);
        append(audit, "c");
        ft_audit_close(audit);
        assert_int_equal(ft_audit_verify(path, &lines, NULL), FT_OK);
        assert_int_equal(lines, 2);
    }
    free(text);
}

/* A file that does not end in one of our lines is not silently continued. */
static void
a_foreign_file_is_refused(void **ctx)
{
    struct ft_audit *audit;
    (void)ctx;
    assert_int_equal(ft_file_write(path, FT_BYTES("hello\n", 6), 0600, NULL), FT_OK);
    assert_int_equal(ft_audit_open(folder, &env.env, 1000, &audit, NULL), FT_ERR_VERIFY);
    assert_null(audit);
}

/* A full file is set aside and the chain runs on in the next one: both together verify as one. */
static void
rotation_keeps_the_chain(void **ctx)
{
    uint64_t lines = 0;
    char aside[128];
    struct ft_buf part = { 0 }, whole = { 0 };
    (void)ctx;
    struct ft_audit *audit = open_audit(400);
    for (int i = 0; i < 3; i++)
        append(audit, "x");
    ft_audit_close(audit);
    snprintf(aside, sizeof aside, "%s/audit.%020d.jsonl", folder, 0);
    assert_int_equal(ft_audit_verify(aside, &lines, NULL), FT_OK);
    assert_int_equal(lines, 2);
    assert_int_equal(ft_file_read(aside, 1 << 20, &whole, NULL), FT_OK);
    assert_int_equal(ft_file_read(path, 1 << 20, &part, NULL), FT_OK);
    assert_int_equal(ft_buf_append(&whole, part.data, part.size), FT_OK);
    assert_int_equal(ft_file_write(path, ft_buf_bytes(&whole), 0600, NULL), FT_OK);
    assert_int_equal(ft_audit_verify(path, &lines, NULL), FT_OK);
    assert_int_equal(lines, 3);
    ft_buf_clear(&part);
    ft_buf_clear(&whole);
}

/* With no space left the caller is told, and what was there stays whole; with space again the log goes on. */
static void
a_full_disk_is_told_and_survived(void **ctx)
{
    struct rlimit old, tight;
    uint64_t lines = 0;
    (void)ctx;
    struct ft_audit *audit = open_audit(FT_AUDIT_ROTATE_SIZE);
    append(audit, "a");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = old;
    tight.rlim_cur = 300; /* the next line fits in part only */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_not_equal(ft_audit_append(audit, "sync", 1, FT_BYTES("b", 1), true), FT_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(ft_audit_verify(path, &lines, NULL), FT_OK);
    assert_int_equal(lines, 1);
    append(audit, "c");
    ft_audit_close(audit);
    assert_int_equal(ft_audit_verify(path, &lines, NULL), FT_OK);
    assert_int_equal(lines, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_holds_the_hash_and_not_the_content, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_chain_shows_every_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_torn_line_is_taken_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_foreign_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rotation_keeps_the_chain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_told_and_survived, set_up, tear_down),
    };
    if (sodium_init() < 0)
        return 1;
    signal(SIGXFSZ, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
