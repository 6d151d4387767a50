/* The participant against a courier and an aggregator that send what they like. No session ever begins here.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/round/wire_federation.h"
#include "client/vault/participant.h"
#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/task/refusal_codes.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>

struct fixture {
    struct ft_env_seeded env;
    struct ft_vault_store *store;
    uint8_t identity_pk[32], identity_sk[64], registrar_pk[32], registrar_sk[64], task_pk[1][32], task_sk[64];
    struct ft_participant *p;
    uint64_t decisions, contributions;
};

static void
decide(void *ctx, const struct ft_task *task, const uint8_t hash[32], enum ft_vault_approval approval,
       struct ft_decision *out)
{
    struct fixture *f = ctx;
    (void)task;
    (void)hash;
    (void)approval;
    f->decisions++;
    *out = (struct ft_decision){ .verdict = FT_WORD_ACCEPTED };
}

static enum ft_status
contribute(void *ctx, const struct ft_work *work, uint64_t **words, uint32_t *code)
{
    struct fixture *f = ctx;
    (void)work;
    f->contributions++;
    *words = NULL;
    *code = 0;
    return FT_ERR_INTERNAL;
}

static bool
unchanged(void *ctx)
{
    (void)ctx;
    return true;
}

static void
open_fixture(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    ft_env_seeded_init(&f->env, 3, 1);
    f->env.now = 1000;
    f->env.wall = 1760000000000;
    crypto_sign_keypair(f->identity_pk, f->identity_sk);
    crypto_sign_keypair(f->registrar_pk, f->registrar_sk);
    crypto_sign_keypair(f->task_pk[0], f->task_sk);
    assert_int_equal(ft_vault_store_memory(&f->store), FT_OK);
    struct ft_participant_config c = {
        .world = { .env = &f->env.env,
                   .store = f->store,
                   .ctx = f,
                   .decide = decide,
                   .contribute = contribute,
                   .unchanged = unchanged },
        .pins = { .task_keys = (const uint8_t(*)[32])f->task_pk, .task_key_count = 1, .deployment = { 9 } },
        .identity_sk = f->identity_sk,
    };
    memcpy(c.pins.registrar_key, f->registrar_pk, 32);
    assert_int_equal(ft_participant_open(&c, &f->p, NULL), FT_OK);
}

static void
close_fixture(struct fixture *f)
{
    ft_participant_close(f->p);
    ft_vault_store_close(f->store);
}

static struct ft_out
next(struct fixture *f)
{
    struct ft_out action;
    assert_int_equal(ft_participant_next(f->p, &action), FT_OK);
    return action;
}

static enum ft_status
take(struct fixture *f, const struct ft_in *in, bool *over)
{
    struct ft_out reply;
    return ft_participant_take(f->p, in, &reply, over);
}

/* Answer the SYNC at hand; rests are slept through. */
static void
answer(struct fixture *f, uint64_t id, const struct ft_sync_reply *r)
{
    struct ft_buf b = { 0 };
    bool over = false;
    assert_int_equal(ft_sync_reply_encode(r, &b), FT_OK);
    const struct ft_in in = { .kind = FT_IN_REPLY, .id = id, .reply = ft_buf_bytes(&b) };
    assert_int_equal(take(f, &in, &over), FT_OK);
    assert_true(over);
    ft_buf_clear(&b);
}

/* The next SYNC, decoded; clear it. */
static struct ft_sync_request
next_sync(struct fixture *f, uint64_t *id)
{
    struct ft_sync_request r;
    struct ft_out action = next(f);
    bool over = false;
    while (action.kind == FT_OUT_IDLE) {
        assert_true(action.wait_ms <= 60000); /* no wait without end */
        f->env.now += action.wait_ms;
        f->env.wall += action.wait_ms;
        assert_int_equal(take(f, &(struct ft_in){ .kind = FT_IN_RESTED, .id = action.id }, &over), FT_OK);
        action = next(f);
    }
    assert_int_equal(action.kind, FT_OUT_SYNC);
    assert_int_equal(ft_sync_request_decode(action.request, &r), FT_OK);
    *id = action.id;
    return r;
}

/* Outcomes that are not of the action at hand, or not of its kind, are refused and change nothing. */
static void
participant_refuses_outcomes_that_are_not_of_its_action(void **state)
{
    struct fixture f;
    bool over = false;
    (void)state;
    open_fixture(&f);
    const struct ft_out sync = next(&f);
    static const enum ft_in_kind wrong[] = { FT_IN_CHUNK,  FT_IN_WANT,         FT_IN_UPLOADED,
                                             FT_IN_RESTED, (enum ft_in_kind)0, (enum ft_in_kind)77 };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(take(&f, &(struct ft_in){ .kind = wrong[i], .id = sync.id, .size = 1 }, &over),
                         FT_ERR_FORMAT);
    assert_int_equal(take(&f, &(struct ft_in){ .kind = FT_IN_REPLY, .id = sync.id + 1 }, &over),
                     FT_ERR_FORMAT);
    assert_int_equal(take(&f, &(struct ft_in){ .kind = FT_IN_REPLY, .id = 0 }, &over), FT_ERR_FORMAT);
    assert_false(over);
    struct ft_out again;
    assert_int_equal(ft_participant_next(f.p, &again), FT_ERR_STATE); /* still outstanding */
    answer(&f, sync.id, &(struct ft_sync_reply){ .kind = FT_SYNC_WAIT });
    close_fixture(&f);
}

/* Random bytes as replies: never a crash, never a wait without end, never a contribution, nothing left
 * behind. */
static void
participant_bears_any_reply(void **state)
{
    struct fixture f;
    uint8_t bytes[200];
    (void)state;
    open_fixture(&f);
    for (int i = 0; i < 3000; i++) {
        uint64_t id;
        struct ft_sync_request r = next_sync(&f, &id);
        bool over = false;
        size_t size = (size_t)ft_random_below(&f.env.env, sizeof bytes);
        f.env.env.random(f.env.env.ctx, bytes, size);
        if (i % 2 == 0 && size > 3) { /* a well-formed SESSION around garbage */
            bytes[0] = 0x08;
            bytes[1] = FT_SYNC_SESSION;
            bytes[2] = 0x32;
            bytes[3] = (uint8_t)(size - 4);
            if (size - 4 > 127)
                size = 4 + (bytes[3] = 100);
        }
        assert_int_equal(
            take(&f, &(struct ft_in){ .kind = FT_IN_REPLY, .id = id, .reply = FT_BYTES(bytes, size) }, &over),
            FT_OK);
        ft_sync_request_clear(&r);
        if (!over)
            continue;
        struct ft_out action = { 0 };
        if (ft_participant_next(f.p, &action) == FT_OK && action.kind == FT_OUT_DOWNLOAD) {
            assert_int_equal(
                take(&f, &(struct ft_in){ .kind = FT_IN_FAILED, .id = action.id, .status = FT_ERR_NOTFOUND },
                     &over),
                FT_OK);
        } else if (action.kind == FT_OUT_SYNC) {
            answer(&f, action.id, &(struct ft_sync_reply){ .kind = FT_SYNC_WAIT });
        } else {
            assert_int_equal(action.kind, FT_OUT_IDLE);
            f.env.now += action.wait_ms;
            assert_int_equal(take(&f, &(struct ft_in){ .kind = FT_IN_RESTED, .id = action.id }, &over),
                             FT_OK);
        }
    }
    assert_int_equal(f.contributions, 0);
    close_fixture(&f);
}

/* Ask for a blob and hand back what the test gives. */
static void
offer_blob(struct fixture *f, enum ft_sync_kind kind, struct ft_bytes blob, const uint8_t task_hash[32])
{
    uint64_t id;
    uint8_t hash[32];
    bool over = false;
    struct ft_sync_request r = next_sync(f, &id);
    ft_sync_request_clear(&r);
    ft_blob_hash(blob, hash);
    answer(f, id,
           &(struct ft_sync_reply){
               .kind = kind, .blob_hash = hash, .blob_size = blob.size, .task_hash = task_hash });
    const struct ft_out action = next(f);
    assert_int_equal(action.kind, FT_OUT_DOWNLOAD);
    assert_memory_equal(action.hash, hash, 32);
    assert_int_equal(
        take(f,
             &(struct ft_in){
                 .kind = FT_IN_CHUNK, .id = action.id, .total = blob.size, .data = blob, .last = true },
             &over),
        FT_OK);
    assert_true(over);
}

/* Chunks must follow one another; a blob that claims to be larger than its kind may be is given up at once.
 */
static void
participant_takes_chunks_in_order_and_within_limits(void **state)
{
    struct fixture f;
    uint64_t id;
    bool over = false;
    static const uint8_t hash[32] = { 1 }, task[32] = { 2 };
    (void)state;
    open_fixture(&f);
    struct ft_sync_request r = next_sync(&f, &id);
    ft_sync_request_clear(&r);
    answer(&f, id, &(struct ft_sync_reply){ .kind = FT_SYNC_TASK, .blob_hash = hash, .task_hash = task });
    struct ft_out action = next(&f);
    assert_int_equal(action.kind, FT_OUT_DOWNLOAD);
    struct ft_in chunk = { .kind = FT_IN_CHUNK, .id = action.id, .total = 10, .data = FT_BYTES("abcd", 4) };
    assert_int_equal(take(&f, &chunk, &over), FT_OK);
    assert_int_equal(take(&f, &chunk, &over), FT_ERR_FORMAT); /* the same offset again */
    chunk.offset = 5;
    assert_int_equal(take(&f, &chunk, &over), FT_ERR_FORMAT); /* a gap */
    chunk.offset = 4;
    chunk.total = 11;
    assert_int_equal(take(&f, &chunk, &over), FT_ERR_FORMAT); /* another total */
    assert_false(over);
    chunk.total = 10;
    assert_int_equal(take(&f, &chunk, &over), FT_OK);
    chunk.offset = 8;
    chunk.data.size = 2;
    assert_int_equal(take(&f, &chunk, &over), FT_OK);
    assert_true(over); /* complete; its hash is wrong, so it is dropped */
    assert_int_equal(f.decisions, 0);

    r = next_sync(&f, &id);
    ft_sync_request_clear(&r);
    answer(&f, id, &(struct ft_sync_reply){ .kind = FT_SYNC_TASK, .blob_hash = hash, .task_hash = task });
    action = next(&f);
    const size_t live = ft_alloc_live();
    chunk = (struct ft_in){
        .kind = FT_IN_CHUNK, .id = action.id, .total = (uint64_t)1 << 40, .data = FT_BYTES("x", 1)
    };
    over = false;
    assert_int_equal(take(&f, &chunk, &over), FT_OK);
    assert_true(over);
    assert_true(ft_alloc_live() <= live);
    close_fixture(&f);
}

/* A task that is not signed by a pinned key is refused by its hash, with the reason, and not asked for again.
 */
static void
participant_refuses_a_task_of_an_unknown_signer(void **state)
{
    struct fixture f;
    uint64_t id;
    static const uint8_t task[32] = { 2 };
    (void)state;
    open_fixture(&f);
    offer_blob(&f, FT_SYNC_TASK, FT_BYTES("no task at all", 14), task);
    struct ft_sync_request r = next_sync(&f, &id);
    assert_int_equal(r.verdict_count, 1);
    assert_memory_equal(r.verdicts[0].task_hash, task, 32);
    assert_int_equal(r.verdicts[0].verdict, FT_WORD_REFUSED);
    assert_int_equal(r.verdicts[0].codes[0], FT_REFUSAL_TASK_FORMAT);
    ft_sync_request_clear(&r);
    assert_int_equal(f.decisions, 0);
    answer(&f, id, &(struct ft_sync_reply){ .kind = FT_SYNC_TASK, .blob_hash = task, .task_hash = task });
    r = next_sync(&f, &id); /* no DOWNLOAD in between: it is known to be bad */
    assert_int_equal(r.verdict_count, 1);
    ft_sync_request_clear(&r);
    close_fixture(&f);
}

/* A roster that the pinned registrar did not sign is not believed: no directory, and an old serial stays
 * refused. */
static void
participant_refuses_a_foreign_roster(void **state)
{
    struct fixture f;
    struct ft_participant_status status;
    struct ft_ss_roster roster = { .deployment = { 9 }, .serial = 5, .count = 2, .corrupted = 0 };
    struct ft_ss_member members[2] = { { .status = FT_SS_ACTIVE, .not_after_ms = FT_SS_NEVER },
                                       { .status = FT_SS_ACTIVE, .not_after_ms = FT_SS_NEVER } };
    struct ft_ss_directory directory;
    struct ft_ss_epoch_key key;
    struct ft_error err = { 0 };
    uint64_t id;
    (void)state;
    open_fixture(&f);
    uint8_t other_pk[32], other_sk[64];
    crypto_sign_keypair(other_pk, other_sk);
    memcpy(members[0].ed25519_pk, f.identity_pk, 32);
    memcpy(members[1].ed25519_pk, other_pk, 32);
    roster.members = members;

    /* First an epoch key, which the directory must hold. */
    struct ft_sync_request r = next_sync(&f, &id);
    ft_sync_request_clear(&r);
    answer(&f, id, &(struct ft_sync_reply){ .kind = FT_SYNC_EPOCH, .epoch = 1 });
    r = next_sync(&f, &id);
    assert_true(r.has_epoch_key);
    key = r.epoch_key;
    ft_sync_request_clear(&r);
    answer(&f, id, &(struct ft_sync_reply){ .kind = FT_SYNC_WAIT });

    const uint8_t *const signers[] = { f.registrar_sk, other_sk, f.registrar_sk };
    const uint64_t serials[] = { 5, 6, 4 };
    const bool good[] = { true, false, false };
    for (int i = 0; i < 3; i++) {
        struct ft_buf bytes = { 0 }, blob = { 0 };
        roster.serial = serials[i];
        if (ft_ss_roster_sign(&roster, signers[i], &bytes, &err) != FT_OK)
            fail_msg("%s", err.text);
        assert_int_equal(ft_ss_directory_open(&roster, 1, &directory), FT_OK);
        assert_int_equal(ft_ss_directory_put(&directory, &key, &err), FT_OK);
        assert_int_equal(ft_directory_encode(ft_buf_bytes(&bytes), &directory, &blob), FT_OK);
        offer_blob(&f, FT_SYNC_DIRECTORY, ft_buf_bytes(&blob), NULL);
        ft_participant_status(f.p, &status);
        assert_true(status.has_directory);
        assert_int_equal(status.roster_serial, 5);
        assert_int_equal(status.id, 0);
        if (good[i]) {
            r = next_sync(&f, &id);
            assert_int_equal(r.roster_serial, 5);
            ft_sync_request_clear(&r);
            answer(&f, id, &(struct ft_sync_reply){ .kind = FT_SYNC_WAIT });
        }
        ft_ss_directory_clear(&directory);
        ft_buf_clear(&bytes);
        ft_buf_clear(&blob);
    }
    close_fixture(&f);
}

/* An aggregator that answers every poll at once cannot keep the shop busy: it rests, longer each time. */
static void
participant_rests_when_nobody_holds_its_calls(void **state)
{
    struct fixture f;
    uint64_t id;
    (void)state;
    open_fixture(&f);
    const uint64_t begin = f.env.now;
    for (int i = 0; i < 100; i++) {
        struct ft_sync_request r = next_sync(&f, &id);
        ft_sync_request_clear(&r);
        answer(&f, id, &(struct ft_sync_reply){ .kind = FT_SYNC_WAIT });
    }
    assert_true(f.env.now - begin > 60000);
    close_fixture(&f);
}

/* Nor can one that asks for a new key, or to try again, or offers another bad task each time. */
static void
participant_rests_whatever_it_is_kept_busy_with(void **state)
{
    static const enum ft_sync_kind kinds[] = { FT_SYNC_EPOCH, FT_SYNC_RETRY, FT_SYNC_TASK };
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct fixture f;
        open_fixture(&f);
        const uint64_t begin = f.env.now;
        for (uint32_t i = 1; i <= 100; i++) {
            uint64_t id;
            uint8_t hash[32] = { (uint8_t)i };
            if (kinds[k] == FT_SYNC_TASK) {
                offer_blob(&f, FT_SYNC_TASK, FT_BYTES("no task at all", 14), hash);
                continue;
            }
            struct ft_sync_request r = next_sync(&f, &id);
            ft_sync_request_clear(&r);
            answer(&f, id, &(struct ft_sync_reply){ .kind = kinds[k], .epoch = i });
        }
        assert_true(f.env.now - begin > 60000);
        close_fixture(&f);
    }
}

/* A link failure or a refusal brings the next SYNC, with what was to be said, after a rest. */
static void
participant_says_it_again_after_a_failure(void **state)
{
    struct fixture f;
    uint64_t id;
    bool over = false;
    (void)state;
    open_fixture(&f);
    struct ft_sync_request r = next_sync(&f, &id);
    ft_sync_request_clear(&r);
    answer(&f, id, &(struct ft_sync_reply){ .kind = FT_SYNC_EPOCH, .epoch = 3 });
    for (int i = 0; i < 3; i++) {
        r = next_sync(&f, &id);
        assert_int_equal(r.epoch, 3);
        assert_true(r.has_epoch_key);
        ft_sync_request_clear(&r);
        assert_int_equal(
            take(&f, &(struct ft_in){ .kind = FT_IN_FAILED, .id = id, .status = FT_ERR_REFUSED }, &over),
            FT_OK);
    }
    r = next_sync(&f, &id);
    ft_sync_request_clear(&r);
    answer(&f, id, &(struct ft_sync_reply){ .kind = FT_SYNC_RETRY, .retry_ms = 5 });
    r = next_sync(&f, &id);
    assert_true(r.has_epoch_key); /* RETRY is no receipt */
    ft_sync_request_clear(&r);
    answer(&f, id, &(struct ft_sync_reply){ .kind = FT_SYNC_WAIT });
    r = next_sync(&f, &id);
    assert_false(r.has_epoch_key);
    ft_sync_request_clear(&r);
    close_fixture(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(participant_refuses_outcomes_that_are_not_of_its_action),
        cmocka_unit_test(participant_bears_any_reply),
        cmocka_unit_test(participant_takes_chunks_in_order_and_within_limits),
        cmocka_unit_test(participant_refuses_a_task_of_an_unknown_signer),
        cmocka_unit_test(participant_refuses_a_foreign_roster),
        cmocka_unit_test(participant_rests_when_nobody_holds_its_calls),
        cmocka_unit_test(participant_rests_whatever_it_is_kept_busy_with),
        cmocka_unit_test(participant_says_it_again_after_a_failure),
    };
    if (sodium_init() < 0)
        return 1;
    ft_log_open("test", FT_LOG_ERROR, open("/dev/null", O_WRONLY | O_CLOEXEC));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
