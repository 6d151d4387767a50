/* The registrar: signs only on top of what it signed before, and the register takes only what it signed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/registry/registrar.h"
#include "common/base/alloc.h"
#include "common/secure_sum/roster.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OK(call) assert_int_equal((call), FT_OK)

struct bench {
    char folder[64];
    uint8_t registrar[32];
    struct ft_store *store;
    uint8_t next;
};

static int
setup(void **state)
{
    static const uint8_t deployment[16] = { 1 };
    struct bench *b = ft_calloc(1, sizeof *b);

    if (sodium_init() < 0 || b == NULL)
        return 1;
    snprintf(b->folder, sizeof b->folder, "/tmp/fedtill-registrar.XXXXXX");
    assert_non_null(mkdtemp(b->folder));
    OK(ft_registrar_init(b->folder, b->registrar, NULL));
    OK(ft_store_open_memory(deployment, &b->store, NULL));
    *state = b;
    return 0;
}

static int
teardown(void **state)
{
    struct bench *b = *state;
    char path[128];

    snprintf(path, sizeof path, "%s/" FT_REGISTRAR_KEY_FILE, b->folder);
    unlink(path);
    snprintf(path, sizeof path, "%s/" FT_REGISTRAR_ROSTER_FILE, b->folder);
    unlink(path);
    rmdir(b->folder);
    ft_store_close(b->store);
    ft_free(b);
    return 0;
}

/* A shop with a true Ed25519 key. */
static int64_t
enrol(struct bench *b, const char *name)
{
    uint8_t token[32] = { 0 }, pk[32], sk[64];
    char fingerprint[8];
    int64_t id = 0;

    token[0] = ++b->next;
    snprintf(fingerprint, sizeof fingerprint, "f%u", b->next);
    crypto_sign_keypair(pk, sk);
    OK(ft_store_shop_invite(b->store, name, token, 1000, 1, &id));
    OK(ft_store_shop_enrol(b->store, token, token, fingerprint, pk, FT_BYTES("c", 1), 2));
    return id;
}

static void
sign_and_import(struct bench *b, uint32_t corrupted, struct ft_roster_change *change)
{
    struct ft_buf request = { 0 }, roster = { 0 };
    struct ft_error err = { 0 };
    uint64_t serial = 0;
    uint32_t members = 0;

    OK(ft_roster_request(b->store, &request, &err));
    if (ft_registrar_sign(b->folder, ft_buf_bytes(&request), corrupted, &roster, change, &err) != FT_OK)
        fail_msg("%s", err.text);
    OK(ft_roster_import(b->store, b->registrar, ft_buf_bytes(&roster), 5, &serial, &members, &err));
    assert_int_equal(serial, change->serial);
    ft_buf_clear(&request);
    ft_buf_clear(&roster);
}

/* The first roster, a second with one shop more and one revoked: places stay, the tombstone stays. */
static void
registry_signs_rosters_one_on_top_of_the_other(void **state)
{
    struct bench *b = *state;
    struct ft_roster_change change;
    struct ft_ss_roster roster;
    struct ft_buf bytes = { 0 };
    struct ft_shop shop;
    uint8_t deployment[16];
    uint64_t serial;
    int64_t second;

    enrol(b, "store-1");
    second = enrol(b, "store-2");
    enrol(b, "store-3");
    sign_and_import(b, 1, &change);
    assert_int_equal(change.serial, 1);
    assert_int_equal(change.members, 3);
    assert_int_equal(change.added, 3);
    OK(ft_store_shop_set_state(b->store, second, FT_SHOP_REVOKED, 6));
    enrol(b, "store-4");
    sign_and_import(b, 0, &change);
    assert_int_equal(change.serial, 2);
    assert_int_equal(change.members, 4);
    assert_int_equal(change.added, 1);
    assert_int_equal(change.revoked, 1);
    assert_int_equal(change.corrupted, 1); /* kept from the first */
    ft_store_deployment(b->store, deployment);
    OK(ft_store_roster(b->store, &serial, &bytes));
    OK(ft_ss_roster_open(ft_buf_bytes(&bytes), b->registrar, deployment, 2, &roster, NULL));
    assert_int_equal(roster.members[1].status, FT_SS_REVOKED);
    OK(ft_store_shop_by_name(b->store, "store-4", &shop));
    assert_int_equal(shop.roster_index, 3);
    ft_ss_roster_clear(&roster);
    ft_buf_clear(&bytes);
}

/* A roster signed by another key, an altered one, and an old one are not taken. */
static void
registry_takes_only_the_registrars_newer_rosters(void **state)
{
    struct bench *b = *state;
    struct ft_roster_change change;
    struct ft_buf bytes = { 0 };
    uint8_t other[32] = { 0 };
    uint64_t serial = 0;
    uint32_t members = 0;

    enrol(b, "store-1");
    enrol(b, "store-2");
    sign_and_import(b, 1, &change);
    OK(ft_store_roster(b->store, &serial, &bytes));
    assert_int_equal(
        ft_roster_import(b->store, b->registrar, ft_buf_bytes(&bytes), 7, &serial, &members, NULL),
        FT_ERR_DUPLICATE);
    assert_int_equal(ft_roster_import(b->store, other, ft_buf_bytes(&bytes), 7, &serial, &members, NULL),
                     FT_ERR_VERIFY);
    for (size_t i = 0; i < bytes.size; i++) {
        bytes.data[i] ^= 0x40;
        assert_int_not_equal(
            ft_roster_import(b->store, b->registrar, ft_buf_bytes(&bytes), 7, &serial, &members, NULL),
            FT_OK);
        bytes.data[i] ^= 0x40;
    }
    ft_buf_clear(&bytes);
}

/* Replace a member of the request and try to have it signed. */
static enum ft_status
sign_altered(struct bench *b, size_t member, const char *field, json_t *value, bool drop_last,
             bool drop_previous)
{
    struct ft_buf request = { 0 }, roster = { 0 };
    struct ft_roster_change change;
    enum ft_status st;
    json_t *file, *members;
    char *text;

    OK(ft_roster_request(b->store, &request, NULL));
    file = json_loadb((const char *)request.data, request.size, 0, NULL);
    members = json_object_get(file, "members");
    if (value != NULL)
        json_object_set_new(json_array_get(members, member), field, value);
    if (drop_last)
        json_array_remove(members, json_array_size(members) - 1);
    if (drop_previous)
        json_object_set_new(file, "previous", json_string(""));
    text = json_dumps(file, 0);
    st = ft_registrar_sign(b->folder, FT_BYTES(text, strlen(text)), 1, &roster, &change, NULL);
    free(text);
    json_decref(file);
    ft_buf_clear(&request);
    ft_buf_clear(&roster);
    return st;
}

/* An aggregator that was taken over asks for a place to change hands, to vanish, or to come back from the
 * dead. */
static void
registry_registrar_refuses_to_rewrite_history(void **state)
{
    struct bench *b = *state;
    struct ft_roster_change change;
    uint8_t pk[32], sk[64];
    char hex[65];
    int64_t first = enrol(b, "store-1");

    enrol(b, "store-2");
    enrol(b, "store-3");
    sign_and_import(b, 1, &change);
    OK(ft_store_shop_set_state(b->store, first, FT_SHOP_REVOKED, 6));
    sign_and_import(b, 0, &change);
    crypto_sign_keypair(pk, sk);
    assert_int_equal(sign_altered(b, 1, "identity_key", json_string(ft_hex(hex, pk, 32)), false, false),
                     FT_ERR_VERIFY);
    assert_int_equal(sign_altered(b, 0, "status", json_integer(FT_SS_ACTIVE), false, false), FT_ERR_VERIFY);
    assert_int_equal(sign_altered(b, 0, NULL, NULL, true, false), FT_ERR_VERIFY);
    assert_int_equal(sign_altered(b, 0, NULL, NULL, false, true), FT_ERR_VERIFY);
    assert_int_equal(sign_altered(b, 0, "place", json_integer(2), false, false), FT_ERR_FORMAT);
    assert_int_equal(sign_altered(b, 0, "status", json_integer(7), false, false), FT_ERR_FORMAT);
}

/* The first roster needs F to be said; F of everybody is refused; nothing to sign is told; nonsense is no
 * request. */
static void
registry_registrar_refuses_careless_requests(void **state)
{
    struct bench *b = *state;
    struct ft_buf request = { 0 }, roster = { 0 };
    struct ft_roster_change change;
    struct ft_error err = { 0 };

    assert_int_equal(ft_roster_request(b->store, &request, NULL), FT_ERR_NOTFOUND);
    enrol(b, "store-1");
    enrol(b, "store-2");
    OK(ft_roster_request(b->store, &request, NULL));
    assert_int_equal(ft_registrar_sign(b->folder, ft_buf_bytes(&request), 0, &roster, &change, &err),
                     FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "--corrupted"));
    assert_int_equal(ft_registrar_sign(b->folder, ft_buf_bytes(&request), 2, &roster, &change, NULL),
                     FT_ERR_ARGUMENT);
    assert_int_equal(ft_registrar_sign(b->folder, FT_BYTES("{}", 2), 1, &roster, &change, NULL),
                     FT_ERR_FORMAT);
    assert_int_equal(ft_registrar_sign(b->folder, FT_BYTES("x", 1), 1, &roster, &change, NULL),
                     FT_ERR_FORMAT);
    assert_int_equal(ft_registrar_sign("/nonexistent", ft_buf_bytes(&request), 1, &roster, &change, NULL),
                     FT_ERR_NOTFOUND);
    ft_buf_clear(&request);
}

/* The key's file is private, made once, and refused when others can read it. */
static void
registry_registrar_key_is_private(void **state)
{
    struct bench *b = *state;
    uint8_t pk[32];
    char path[128];
    struct stat info;

    snprintf(path, sizeof path, "%s/" FT_REGISTRAR_KEY_FILE, b->folder);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    OK(ft_registrar_public(b->folder, pk, NULL));
    assert_memory_equal(pk, b->registrar, 32);
    assert_int_equal(ft_registrar_init(b->folder, pk, NULL), FT_ERR_DUPLICATE);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(ft_registrar_public(b->folder, pk, NULL), FT_ERR_CONFIG);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(registry_signs_rosters_one_on_top_of_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(registry_takes_only_the_registrars_newer_rosters, setup, teardown),
        cmocka_unit_test_setup_teardown(registry_registrar_refuses_to_rewrite_history, setup, teardown),
        cmocka_unit_test_setup_teardown(registry_registrar_refuses_careless_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(registry_registrar_key_is_private, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
