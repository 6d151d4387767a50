/* The database file itself: what is refused at start, and the register of shops. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "temporary.h"

#include "common/base/alloc.h"

#include <fcntl.h>
#include <sqlite3.h>

#define OK(call) assert_int_equal((call), FT_OK)

/* A new database has mode 0600, its deployment, and refuses to be made twice. */
static void
storage_makes_a_private_database_once(void **state)
{
    struct temporary t;
    struct stat info;
    struct ft_store *s;
    uint8_t deployment[16];

    (void)state;
    temporary_make(&t);
    assert_int_equal(stat(t.path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(ft_store_create(t.path, test_deployment, NULL), FT_ERR_DUPLICATE);
    s = temporary_open(&t);
    ft_store_deployment(s, deployment);
    assert_memory_equal(deployment, test_deployment, 16);
    ft_store_close(s);
    temporary_remove(&t);
}

/* WAL and FULL are in force on the file that the store has opened. */
static void
storage_runs_with_wal_and_full(void **state)
{
    struct temporary t;
    struct ft_store *s;
    sqlite3 *db;
    sqlite3_stmt *stmt;

    (void)state;
    temporary_make(&t);
    s = temporary_open(&t);
    assert_int_equal(sqlite3_open(t.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "wal");
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    ft_store_close(s);
    temporary_remove(&t);
}

static void
must_refuse(const struct temporary *t, enum ft_status status, const char *words)
{
    struct ft_store *s = NULL;
    struct ft_error err = { 0 };

    assert_int_equal(ft_store_open(t->path, &s, &err), status);
    assert_null(s);
    if (strstr(err.text, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, words);
}

/* A file others can read is refused, with the command that mends it. */
static void
storage_refuses_a_file_others_can_read(void **state)
{
    struct temporary t;

    (void)state;
    temporary_make(&t);
    assert_int_equal(chmod(t.path, 0640), 0);
    must_refuse(&t, FT_ERR_CONFIG, "chmod 600");
    temporary_remove(&t);
    must_refuse(&t, FT_ERR_NOTFOUND, "fedtill-aggregator init");
}

static void
overwrite(const struct temporary *t, off_t at, size_t size)
{
    uint8_t junk[4096];
    const int fd = open(t->path, O_RDWR | O_CLOEXEC);

    memset(junk, 0xA5, sizeof junk);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, junk, size, at), (ssize_t)size);
    close(fd);
}

/* Damage in the middle of the file, or at its head, stops the start; the sentence says how to restore. */
static void
storage_refuses_a_damaged_database(void **state)
{
    static const off_t places[] = { 0, 4096, 3 * 4096, 7 * 4096 };

    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct temporary t;
        temporary_make(&t);
        overwrite(&t, places[i], 512);
        must_refuse(&t, FT_ERR_VERIFY, "backup");
        temporary_remove(&t);
    }
}

/* Another program's database, and one of another schema version, are told apart from damage. */
static void
storage_refuses_other_databases(void **state)
{
    struct temporary t;
    sqlite3 *db;

    (void)state;
    temporary_make(&t);
    assert_int_equal(sqlite3_open(t.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE meta SET value = 99 WHERE key = 'schema'", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    must_refuse(&t, FT_ERR_CONFIG, "schema version 99");
    assert_int_equal(sqlite3_open(t.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DROP TABLE meta", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    must_refuse(&t, FT_ERR_CONFIG, "not a fedtill aggregator database");
    temporary_remove(&t);
}

/* ---- shops ---- */

static const uint8_t token_a[32] = { 1 }, token_b[32] = { 2 }, request[32] = { 9 }, key_a[32] = { 3 },
                     key_b[32] = { 4 };

/* Invited, enrolled with the token, and found by its fingerprint. */
static void
storage_enrols_with_a_token_once(void **state)
{
    struct temporary t;
    struct ft_store *s;
    struct ft_shop shop;
    struct ft_token token;
    int64_t id = 0;

    (void)state;
    temporary_make(&t);
    s = temporary_open(&t);
    OK(ft_store_shop_invite(s, "store-1", token_a, 1000, 10, &id));
    OK(ft_store_shop_by_name(s, "store-1", &shop));
    assert_int_equal(shop.state, FT_SHOP_INVITED);
    OK(ft_store_shop_enrol(s, token_a, request, "ab", key_a, FT_BYTES("pem", 3), 20));
    assert_int_equal(ft_store_shop_enrol(s, token_a, request, "cd", key_b, FT_BYTES("pem", 3), 21),
                     FT_ERR_REFUSED);
    OK(ft_store_shop_by_fingerprint(s, "ab", &shop));
    assert_int_equal(shop.id, id);
    assert_int_equal(shop.state, FT_SHOP_ACTIVE);
    assert_int_equal(shop.enrolled_ms, 20);
    assert_int_equal(ft_store_shop_by_fingerprint(s, "cd", &shop), FT_ERR_NOTFOUND);
    OK(ft_store_token(s, token_a, &token));
    assert_int_equal(token.used_ms, 20);
    assert_memory_equal(token.request_hash, request, 32);
    assert_int_equal(ft_store_shop_invite(s, "store-1", token_b, 1000, 30, &id), FT_ERR_DUPLICATE);
    ft_store_close(s);
    temporary_remove(&t);
}

/* A token past its time, a second invitation's former token, and another shop's keys do not enrol anybody. */
static void
storage_refuses_stale_tokens_and_foreign_keys(void **state)
{
    struct temporary t;
    struct ft_store *s;
    struct ft_shop shop;
    int64_t id = 0;

    (void)state;
    temporary_make(&t);
    s = temporary_open(&t);
    OK(ft_store_shop_invite(s, "store-1", token_a, 1000, 10, &id));
    assert_int_equal(ft_store_shop_enrol(s, token_a, request, "ab", key_a, FT_BYTES("p", 1), 1000),
                     FT_ERR_REFUSED);
    OK(ft_store_shop_invite(s, "store-1", token_b, 5000, 1001, &id)); /* invited anew */
    assert_int_equal(ft_store_shop_enrol(s, token_a, request, "ab", key_a, FT_BYTES("p", 1), 500),
                     FT_ERR_REFUSED);
    OK(ft_store_shop_enrol(s, token_b, request, "ab", key_a, FT_BYTES("p", 1), 1002));
    OK(ft_store_shop_invite(s, "store-2", token_a, 9000, 1003, &id));
    assert_int_equal(ft_store_shop_enrol(s, token_a, request, "ab", key_b, FT_BYTES("p", 1), 1004),
                     FT_ERR_DUPLICATE);
    assert_int_equal(ft_store_shop_enrol(s, token_a, request, "ef", key_a, FT_BYTES("p", 1), 1004),
                     FT_ERR_DUPLICATE);
    /* A refused enrolment has not spent the token. */
    OK(ft_store_shop_by_name(s, "store-2", &shop));
    assert_int_equal(shop.state, FT_SHOP_INVITED);
    OK(ft_store_shop_enrol(s, token_a, request, "ef", key_b, FT_BYTES("p", 1), 1005));
    ft_store_close(s);
    temporary_remove(&t);
}

/* States move along the diagram only, and revoked is for good. */
static void
storage_moves_shops_along_the_diagram(void **state)
{
    struct temporary t;
    struct ft_store *s;
    int64_t id = 0;

    (void)state;
    temporary_make(&t);
    s = temporary_open(&t);
    OK(ft_store_shop_invite(s, "store-1", token_a, 1000, 10, &id));
    assert_int_equal(ft_store_shop_set_state(s, id, FT_SHOP_ACTIVE, 11), FT_ERR_REFUSED);
    assert_int_equal(ft_store_shop_set_state(s, id, FT_SHOP_SUSPENDED, 11), FT_ERR_REFUSED);
    OK(ft_store_shop_enrol(s, token_a, request, "ab", key_a, FT_BYTES("p", 1), 20));
    OK(ft_store_shop_set_state(s, id, FT_SHOP_SUSPENDED, 21));
    OK(ft_store_shop_set_state(s, id, FT_SHOP_ACTIVE, 22));
    OK(ft_store_shop_set_state(s, id, FT_SHOP_REVOKED, 23));
    assert_int_equal(ft_store_shop_set_state(s, id, FT_SHOP_ACTIVE, 24), FT_ERR_REFUSED);
    assert_int_equal(ft_store_shop_set_state(s, id, FT_SHOP_REVOKED, 24), FT_ERR_REFUSED);
    assert_int_equal(ft_store_shop_set_state(s, 99, FT_SHOP_REVOKED, 24), FT_ERR_NOTFOUND);
    assert_int_equal(ft_store_shop_invite(s, "store-1", token_b, 1000, 30, &id), FT_ERR_REFUSED);
    ft_store_close(s);
    temporary_remove(&t);
}

/* Places in the roster are forever: no key moves, none vanishes, serials only rise. */
static void
storage_keeps_every_place_of_the_roster(void **state)
{
    struct temporary t;
    struct ft_store *s;
    struct ft_shop shop;
    struct ft_buf bytes = { 0 };
    uint8_t keys[2][32] = { { 3 }, { 4 } }, swapped[2][32] = { { 4 }, { 3 } };
    uint64_t serial = 0;
    int64_t id = 0;

    (void)state;
    temporary_make(&t);
    s = temporary_open(&t);
    OK(ft_store_shop_invite(s, "store-1", token_a, 1000, 10, &id));
    OK(ft_store_shop_enrol(s, token_a, request, "ab", key_b, FT_BYTES("p", 1), 20));
    OK(ft_store_roster_put(s, 5, FT_BYTES("r5", 2), (const uint8_t(*)[32])keys, 2, 30));
    OK(ft_store_shop_by_name(s, "store-1", &shop));
    assert_int_equal(shop.roster_index, 1);
    assert_int_equal(ft_store_roster_put(s, 5, FT_BYTES("r", 1), (const uint8_t(*)[32])keys, 2, 31),
                     FT_ERR_DUPLICATE);
    assert_int_equal(ft_store_roster_put(s, 6, FT_BYTES("r", 1), (const uint8_t(*)[32])keys, 1, 31),
                     FT_ERR_VERIFY);
    assert_int_equal(ft_store_roster_put(s, 6, FT_BYTES("r", 1), (const uint8_t(*)[32])swapped, 2, 31),
                     FT_ERR_VERIFY);
    OK(ft_store_roster(s, &serial, &bytes));
    assert_int_equal(serial, 5);
    assert_memory_equal(bytes.data, "r5", 2);
    ft_buf_clear(&bytes);
    ft_store_close(s);
    temporary_remove(&t);
}

/* What another process writes shows as a new data_version; one's own writes do not. */
static void
storage_sees_changes_of_other_processes(void **state)
{
    struct temporary t;
    struct ft_store *a, *b;
    uint64_t before = 0, own = 0, after = 0;
    int64_t id = 0;

    (void)state;
    temporary_make(&t);
    a = temporary_open(&t);
    b = temporary_open(&t);
    OK(ft_store_data_version(a, &before));
    OK(ft_store_shop_invite(a, "store-1", token_a, 1000, 10, &id));
    OK(ft_store_data_version(a, &own));
    assert_int_equal(own, before);
    OK(ft_store_shop_invite(b, "store-2", token_b, 1000, 10, &id));
    OK(ft_store_data_version(a, &after));
    assert_int_not_equal(after, before);
    ft_store_close(a);
    ft_store_close(b);
    temporary_remove(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storage_makes_a_private_database_once),
        cmocka_unit_test(storage_runs_with_wal_and_full),
        cmocka_unit_test(storage_refuses_a_file_others_can_read),
        cmocka_unit_test(storage_refuses_a_damaged_database),
        cmocka_unit_test(storage_refuses_other_databases),
        cmocka_unit_test(storage_enrols_with_a_token_once),
        cmocka_unit_test(storage_refuses_stale_tokens_and_foreign_keys),
        cmocka_unit_test(storage_moves_shops_along_the_diagram),
        cmocka_unit_test(storage_keeps_every_place_of_the_roster),
        cmocka_unit_test(storage_sees_changes_of_other_processes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
