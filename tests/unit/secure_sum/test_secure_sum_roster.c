#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/secure_sum/hash.h"
#include "common/secure_sum/roster.h"
#include "tests/unit/secure_sum/secure_sum_support.h"

#define N 9

/* A registrar, nine shops and their epoch keys. */
struct world {
    struct ft_env_seeded seed;
    const struct ft_env *env;
    uint8_t registrar_pk[32], registrar_sk[64], deployment[16];
    uint8_t sk[N][64], xsk[N][32];
    struct ft_ss_member members[N];
    struct ft_ss_roster made; /* members borrowed */
    struct ft_buf bytes;
    struct ft_ss_roster roster;
    struct ft_ss_epoch_key keys[N];
    struct ft_ss_directory directory;
};

static void
world_open(struct world *w)
{
    uint8_t seed[32];
    struct ft_error err = { 0 };
    memset(w, 0, sizeof *w);
    w->env = seeded(&w->seed, 80);
    memset(w->deployment, 0xd0, 16);
    w->env->random(w->env->ctx, seed, sizeof seed);
    crypto_sign_seed_keypair(w->registrar_pk, w->registrar_sk, seed);
    for (uint32_t i = 0; i < N; i++) {
        w->env->random(w->env->ctx, seed, sizeof seed);
        crypto_sign_seed_keypair(w->members[i].ed25519_pk, w->sk[i], seed);
        w->members[i].status = FT_SS_ACTIVE;
        w->members[i].not_after_ms = FT_SS_NEVER;
        ft_ss_epoch_key_make(w->env, w->sk[i], w->deployment, i, 5, w->xsk[i], &w->keys[i]);
    }
    w->made = (struct ft_ss_roster){ .serial = 10, .count = N, .corrupted = 2, .members = w->members };
    memcpy(w->made.deployment, w->deployment, 16);
    assert_int_equal(ft_ss_roster_sign(&w->made, w->registrar_sk, &w->bytes, &err), FT_OK);
    assert_int_equal(
        ft_ss_roster_open(ft_buf_bytes(&w->bytes), w->registrar_pk, w->deployment, 10, &w->roster, &err),
        FT_OK);
    assert_int_equal(ft_ss_directory_open(&w->roster, 5, &w->directory), FT_OK);
}

static void
world_close(struct world *w)
{
    ft_ss_directory_clear(&w->directory);
    ft_ss_roster_clear(&w->roster);
    ft_buf_clear(&w->bytes);
}

/* The bytes are those of the specification, and all of it comes back. */
static void
a_roster_round_trips(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    assert_int_equal(w.bytes.size, 16 + 8 + 4 + 4 + N * 41 + 64);
    assert_int_equal(ft_get_u64(w.bytes.data + 16), 10);
    assert_int_equal(ft_get_u32(w.bytes.data + 24), N);
    assert_int_equal(ft_get_u32(w.bytes.data + 28), 2);
    assert_int_equal(w.roster.count, N);
    assert_int_equal(w.roster.corrupted, 2);
    assert_memory_equal(w.roster.hash, w.made.hash, 32);
    for (uint32_t i = 0; i < N; i++) {
        assert_memory_equal(w.roster.members[i].ed25519_pk, w.members[i].ed25519_pk, 32);
        assert_int_equal(ft_ss_roster_find(&w.roster, w.members[i].ed25519_pk), i);
    }
    assert_int_equal(ft_ss_roster_find(&w.roster, w.registrar_pk), N);
    world_close(&w);
}

/* Any flipped bit, a wrong length and another registrar fail; nothing is handed out. */
static void
a_tampered_roster_is_refused(void **state)
{
    struct world w;
    struct ft_ss_roster out;
    (void)state;
    world_open(&w);
    for (size_t at = 0; at < w.bytes.size; at += 7) {
        w.bytes.data[at] ^= 0x10;
        assert_int_not_equal(
            ft_ss_roster_open(ft_buf_bytes(&w.bytes), w.registrar_pk, w.deployment, 0, &out, NULL), FT_OK);
        assert_null(out.members);
        w.bytes.data[at] ^= 0x10;
    }
    for (size_t size = 0; size < w.bytes.size; size++)
        assert_int_not_equal(
            ft_ss_roster_open(FT_BYTES(w.bytes.data, size), w.registrar_pk, w.deployment, 0, &out, NULL),
            FT_OK);
    assert_int_equal(
        ft_ss_roster_open(ft_buf_bytes(&w.bytes), w.members[0].ed25519_pk, w.deployment, 0, &out, NULL),
        FT_ERR_VERIFY);
    world_close(&w);
}

/* A lower serial is a rollback, and another deployment's roster is not ours, however well signed. */
static void
old_and_foreign_rosters_are_refused(void **state)
{
    struct world w;
    struct ft_ss_roster out;
    struct ft_error err = { 0 };
    const uint8_t other[16] = { 1 };
    (void)state;
    world_open(&w);
    assert_int_equal(ft_ss_roster_open(ft_buf_bytes(&w.bytes), w.registrar_pk, w.deployment, 11, &out, &err),
                     FT_ERR_REFUSED);
    assert_non_null(strstr(err.text, "serial 10"));
    assert_int_equal(ft_ss_roster_open(ft_buf_bytes(&w.bytes), w.registrar_pk, other, 0, &out, NULL),
                     FT_ERR_VERIFY);
    world_close(&w);
}

/* A signed roster whose count does not match its bytes is malformed, also at counts whose size would wrap. */
static void
a_signed_count_that_lies_is_malformed(void **state)
{
    static const uint32_t counts[] = { 0, 1, N - 1, N + 1, 65536, 0x6400000, UINT32_MAX };
    struct world w;
    struct ft_ss_roster out;
    uint8_t hash[32];
    (void)state;
    world_open(&w);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        ft_put_u32(w.bytes.data + 24, counts[i]);
        FT_SS_H(hash, "roster", FT_BYTES(w.bytes.data, w.bytes.size - 64));
        crypto_sign_detached(w.bytes.data + w.bytes.size - 64, NULL, hash, 32, w.registrar_sk);
        assert_int_equal(
            ft_ss_roster_open(ft_buf_bytes(&w.bytes), w.registrar_pk, w.deployment, 0, &out, NULL),
            FT_ERR_FORMAT);
    }
    world_close(&w);
}

/* Two members with one identity key, an unknown status, F as large as the roster: not even the registrar may
 * sign it. */
static void
rosters_that_break_a_rule_are_not_signed(void **state)
{
    struct world w;
    struct ft_buf out;
    struct ft_error err = { 0 };
    (void)state;
    world_open(&w);
    memcpy(w.members[7].ed25519_pk, w.members[2].ed25519_pk, 32);
    assert_int_equal(ft_ss_roster_sign(&w.made, w.registrar_sk, &out, &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "2 and 7"));
    w.members[7].ed25519_pk[0] ^= 1;
    w.members[3].status = 0;
    assert_int_equal(ft_ss_roster_sign(&w.made, w.registrar_sk, &out, NULL), FT_ERR_ARGUMENT);
    w.members[3].status = 4;
    assert_int_equal(ft_ss_roster_sign(&w.made, w.registrar_sk, &out, NULL), FT_ERR_ARGUMENT);
    w.members[3].status = FT_SS_REVOKED;
    w.made.corrupted = N;
    assert_int_equal(ft_ss_roster_sign(&w.made, w.registrar_sk, &out, NULL), FT_ERR_ARGUMENT);
    w.made.corrupted = 2;
    assert_int_equal(ft_ss_roster_sign(&w.made, w.registrar_sk, &out, NULL), FT_OK);
    ft_buf_clear(&out);
    world_close(&w);
}

/* Active means: in the roster, of that status, and not past its date. */
static void
only_active_members_in_time_take_part(void **state)
{
    struct world w;
    (void)state;
    world_open(&w);
    w.roster.members[1].status = FT_SS_SUSPENDED;
    w.roster.members[2].status = FT_SS_REVOKED;
    w.roster.members[3].not_after_ms = 1000;
    assert_true(ft_ss_roster_active(&w.roster, 0, UINT64_MAX));
    assert_false(ft_ss_roster_active(&w.roster, 1, 0));
    assert_false(ft_ss_roster_active(&w.roster, 2, 0));
    assert_true(ft_ss_roster_active(&w.roster, 3, 1000));
    assert_false(ft_ss_roster_active(&w.roster, 3, 1001));
    assert_false(ft_ss_roster_active(&w.roster, N, 0));
    assert_false(ft_ss_roster_active(&w.roster, UINT32_MAX, 0));
    world_close(&w);
}

/* An epoch key holds for its own member, epoch and deployment only. */
static void
epoch_keys_hold_for_one_member_and_epoch(void **state)
{
    struct world w;
    struct ft_ss_epoch_key key, back;
    uint8_t raw[FT_SS_EPOCH_KEY_SIZE];
    (void)state;
    world_open(&w);
    ft_ss_epoch_key_encode(&w.keys[4], raw);
    assert_int_equal(ft_ss_epoch_key_decode(FT_BYTES(raw, sizeof raw), &back), FT_OK);
    assert_memory_equal(&back, &w.keys[4], sizeof back);
    assert_int_equal(ft_ss_epoch_key_decode(FT_BYTES(raw, sizeof raw - 1), &back), FT_ERR_FORMAT);
    assert_int_equal(ft_ss_directory_put(&w.directory, &w.keys[4], NULL), FT_OK);
    key = w.keys[4];
    key.id = 5;
    assert_int_equal(ft_ss_epoch_key_check(&w.roster, &key, NULL), FT_ERR_VERIFY);
    key = w.keys[4];
    key.epoch = 6;
    assert_int_equal(ft_ss_directory_put(&w.directory, &key, NULL), FT_ERR_VERIFY);
    key = w.keys[4];
    key.xpk[0] ^= 1;
    assert_int_equal(ft_ss_directory_put(&w.directory, &key, NULL), FT_ERR_VERIFY);
    key = w.keys[4];
    key.id = N;
    assert_int_equal(ft_ss_directory_put(&w.directory, &key, NULL), FT_ERR_NOTFOUND);
    world_close(&w);
}

/* Low-order points and second spellings of a point are refused although well signed. */
static void
low_order_and_noncanonical_keys_are_refused(void **state)
{
    static const char *const bad[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* 9 + p: the base point again */
        "0900000000000000000000000000000000000000000000000000000000000080", /* 9 with the ignored bit set */
    };
    struct world w;
    (void)state;
    world_open(&w);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ft_ss_epoch_key key = { .id = 1, .epoch = 5 };
        struct ft_error err = { 0 };
        from_hex(key.xpk, 32, bad[i]);
        FT_SS_SIGN(key.signature, w.sk[1], "epoch", FT_BYTES(w.deployment, 16), FT_SS_U32(5u), FT_SS_U32(1u),
                   FT_BYTES(key.xpk, 32));
        assert_int_equal(ft_ss_directory_put(&w.directory, &key, &err), FT_ERR_VERIFY);
        assert_non_null(strstr(err.text, "low order"));
    }
    assert_false(ft_ss_directory_has(&w.directory, 1));
    world_close(&w);
}

/* A key another client holds is refused; a client may replace its own, and then the root changes. */
static void
a_key_belongs_to_one_client(void **state)
{
    struct world w;
    struct ft_ss_epoch_key stolen = { .id = 3, .epoch = 5 }, fresh;
    struct ft_error err = { 0 };
    uint8_t before[32], after[32], xsk[32];
    (void)state;
    world_open(&w);
    assert_int_equal(ft_ss_directory_put(&w.directory, &w.keys[2], NULL), FT_OK);
    memcpy(stolen.xpk, w.keys[2].xpk, 32);
    FT_SS_SIGN(stolen.signature, w.sk[3], "epoch", FT_BYTES(w.deployment, 16), FT_SS_U32(5u), FT_SS_U32(3u),
               FT_BYTES(stolen.xpk, 32));
    assert_int_equal(ft_ss_directory_put(&w.directory, &stolen, &err), FT_ERR_DUPLICATE);
    assert_int_equal(ft_ss_directory_put(&w.directory, &w.keys[3], NULL), FT_OK);
    ft_ss_directory_root(&w.directory, before);
    ft_ss_epoch_key_make(w.env, w.sk[3], w.deployment, 3, 5, xsk, &fresh);
    assert_int_equal(ft_ss_directory_put(&w.directory, &fresh, NULL), FT_OK);
    ft_ss_directory_root(&w.directory, after);
    assert_memory_not_equal(before, after, 32);
    world_close(&w);
}

/* A client accepts a directory only with its own key in it, no key twice, and the root it was told. */
static void
a_directory_is_checked_before_use(void **state)
{
    struct world w;
    uint8_t root[32], other[32] = { 1 };
    struct ft_error err = { 0 };
    (void)state;
    world_open(&w);
    for (uint32_t i = 0; i < N; i++)
        if (i != 6)
            assert_int_equal(ft_ss_directory_put(&w.directory, &w.keys[i], NULL), FT_OK);
    ft_ss_directory_root(&w.directory, root);
    assert_int_equal(ft_ss_directory_check(&w.directory, 4, w.keys[4].xpk, root, &err), FT_OK);
    assert_int_equal(ft_ss_directory_check(&w.directory, 4, w.keys[5].xpk, root, NULL), FT_ERR_VERIFY);
    assert_int_equal(ft_ss_directory_check(&w.directory, 6, w.keys[6].xpk, root, NULL), FT_ERR_VERIFY);
    assert_int_equal(ft_ss_directory_check(&w.directory, 4, w.keys[4].xpk, other, NULL), FT_ERR_VERIFY);
    memcpy(w.directory.xpk[8], w.directory.xpk[0], 32);
    ft_ss_directory_root(&w.directory, root);
    assert_int_equal(ft_ss_directory_check(&w.directory, 4, w.keys[4].xpk, root, &err), FT_ERR_VERIFY);
    assert_non_null(strstr(err.text, "0 and 8"));
    world_close(&w);
}

/* Fail each allocation in turn: a clean status and no leak. */
static void
rosters_survive_any_failed_allocation(void **state)
{
    struct world w;
    struct ft_ss_roster roster = { 0 };
    struct ft_ss_directory directory = { 0 };
    struct ft_buf bytes = { 0 };
    uint8_t root[32];
    size_t live;
    enum ft_status st;
    (void)state;
    world_open(&w);
    ft_ss_directory_root(&w.directory, root);
    live = ft_alloc_live();
    for (uint64_t nth = 1;; nth++) {
        ft_alloc_fail_at(nth, false);
        st = ft_ss_roster_sign(&w.made, w.registrar_sk, &bytes, NULL);
        if (st == FT_OK)
            st = ft_ss_roster_open(ft_buf_bytes(&bytes), w.registrar_pk, w.deployment, 0, &roster, NULL);
        if (st == FT_OK)
            st = ft_ss_directory_open(&roster, 5, &directory);
        if (st == FT_OK)
            st = ft_ss_directory_put(&directory, &w.keys[4], NULL);
        if (st == FT_OK) {
            ft_ss_directory_root(&directory, root);
            st = ft_ss_directory_check(&directory, 4, w.keys[4].xpk, root, NULL);
        }
        ft_ss_directory_clear(&directory);
        ft_ss_roster_clear(&roster);
        ft_buf_clear(&bytes);
        assert_int_equal(ft_alloc_live(), live);
        if (!ft_alloc_fault_fired())
            break;
        assert_int_not_equal(st, FT_OK);
    }
    ft_alloc_fail_at(0, false);
    assert_int_equal(st, FT_OK);
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_roster_round_trips),
        cmocka_unit_test(a_tampered_roster_is_refused),
        cmocka_unit_test(old_and_foreign_rosters_are_refused),
        cmocka_unit_test(a_signed_count_that_lies_is_malformed),
        cmocka_unit_test(rosters_that_break_a_rule_are_not_signed),
        cmocka_unit_test(only_active_members_in_time_take_part),
        cmocka_unit_test(epoch_keys_hold_for_one_member_and_epoch),
        cmocka_unit_test(low_order_and_noncanonical_keys_are_refused),
        cmocka_unit_test(a_key_belongs_to_one_client),
        cmocka_unit_test(a_directory_is_checked_before_use),
        cmocka_unit_test(rosters_survive_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, support_setup, NULL);
}
