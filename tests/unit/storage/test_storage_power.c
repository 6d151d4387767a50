/*
 * Power cuts under the aggregator's database (R4): a committed round is never lost, repeated or altered, and
 * a log that was extended stays so, wherever the power goes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "temporary.h"

#include "common/base/alloc.h"
#include "common/base/env.h"
#include "tests/support/power.h"

#include <fcntl.h>
#include <sodium.h>

#define CUTS   1000u
#define EVENTS 600u
#define ROUNDS 12

static const uint8_t task[32] = { 7 }, signed_hash[32] = { 8 };

static enum ft_status
commit_round(struct ft_store *s, uint64_t round, uint32_t attempt)
{
    struct ft_session_row session = { .round = round, .attempt = attempt, .stage = 2, .started_ms = 100 };
    const struct ft_session_record record = { .kind = 2, .index = 0, .bytes = FT_BYTES("join", 4) };
    struct ft_round_row row = { .round = round,
                                .attempt = attempt,
                                .stage = 2,
                                .state = FT_ROUND_COMMITTED,
                                .cohort = 5,
                                .survivors = 4,
                                .started_ms = 100,
                                .ended_ms = 200,
                                .reasons = (char *)(uintptr_t) "{}",
                                .metrics = (char *)(uintptr_t) "{}" };
    const struct ft_task_progress progress = {
        .stage = 2, .trained = (uint32_t)round, .last_round = round, .last_attempt = attempt, .version = round
    };
    uint8_t blob[2000];
    enum ft_status st;

    memset(blob, (int)round, sizeof blob);
    const struct ft_model_put model = { .hash = { (uint8_t)round, 1 },
                                        .blob = FT_BYTES(blob, sizeof blob),
                                        .version = round };
    memcpy(session.task, task, 32);
    memcpy(row.task, task, 32);
    row.transcript[0] = (uint8_t)round;
    FT_TRY(ft_store_session_begin(s, &session, FT_BYTES("d", 1)));
    FT_TRY(ft_store_session_append(s, &record, 1));
    st = ft_store_round_commit(s, &row, &progress, &model, FT_BYTES("opt", 3), false);
out:
    return st;
}

/* How many rounds are committed, all of them whole. */
static uint64_t
committed(struct ft_store *s, uint64_t cut)
{
    struct ft_round_row *rounds = NULL;
    struct ft_model_row *models = NULL;
    struct ft_task_row row;
    struct ft_error err = { 0 };
    size_t count = 0, model_count = 0;
    uint64_t size = 0, whole = 0;
    uint8_t head[32];

    if (ft_store_log_check(s, &err) != FT_OK)
        fail_msg("cut %llu: %s", (unsigned long long)cut, err.text);
    assert_int_equal(ft_store_rounds(s, task, 1000, &rounds, &count), FT_OK);
    assert_int_equal(ft_store_models(s, task, &models, &model_count), FT_OK);
    assert_int_equal(ft_store_task(s, task, &row), FT_OK);
    assert_int_equal(ft_store_log_head(s, &size, head), FT_OK);
    for (size_t i = 0; i < count; i++) /* what was given up is in the list too */
        if (rounds[i].state == FT_ROUND_COMMITTED) {
            assert_int_equal(rounds[i].transcript[0], (uint8_t)rounds[i].round);
            whole++;
        }
    assert_int_equal(size, whole);
    assert_int_equal(model_count, whole);
    assert_int_equal(row.progress.version, whole);
    for (size_t i = 0; i < model_count; i++) {
        struct ft_buf blob = { 0 };
        assert_int_equal(ft_store_blob(s, models[i].hash, &blob), FT_OK);
        assert_int_equal(blob.size, 2000);
        assert_int_equal(blob.data[1999], (uint8_t)models[i].version);
        ft_buf_clear(&blob);
    }
    ft_round_rows_free(rounds, count);
    ft_free(models);
    return whole;
}

/* A thousand power cuts: every acknowledged round is there once and whole, and at most the one under way
 * besides. */
static void
no_committed_round_is_lost_in_a_power_cut(void **state)
{
    const char *wanted = getenv("FT_POWER_CUTS");
    const uint64_t cuts = wanted != NULL ? strtoull(wanted, NULL, 10) : CUTS;
    struct ft_env_seeded dice;
    struct temporary t;
    uint64_t acknowledged = 0, within = 0, lost = 0;
    uint32_t attempt = 0;
    (void)state;
    snprintf(t.folder, sizeof t.folder, "/tmp/fedtill-power.XXXXXX");
    assert_non_null(mkdtemp(t.folder));
    snprintf(t.path, sizeof t.path, "%s/fedtill.db", t.folder);
    ft_env_seeded_init(&dice, 12, 0);
    for (uint64_t cut = 1; cut <= cuts; cut++) {
        struct ft_store *s = NULL;
        struct ft_error err = { 0 };
        enum ft_status st;
        if (cut % 10 == 1) { /* a new home, which is made before the first cut */
            if (cut > 1) {
                lost += power_lost();
                power_close();
                unlink(t.path);
            }
            power_open();
            assert_int_equal(ft_store_create(t.path, test_deployment, &err), FT_OK);
            s = temporary_open(&t);
            assert_int_equal(ft_store_task_put(s, task, "first", signed_hash, FT_BYTES("signed", 6), 1),
                             FT_OK);
            assert_int_equal(ft_store_task_set_state(s, task, FT_TASK_RUNNING, 2), FT_OK);
            ft_store_close(s);
            acknowledged = 0;
        }
        power_arm(1 + ft_random_below(&dice.env, EVENTS));
        st = ft_store_open(t.path, &s, &err);
        /* What the last cut left of a session is given up, as the engine does. */
        struct ft_session_row open;
        struct ft_buf descriptor = { 0 };
        if (st == FT_OK && ft_store_session(s, &open, &descriptor) == FT_OK) {
            struct ft_round_row row = { .round = open.round,
                                        .attempt = open.attempt,
                                        .stage = 2,
                                        .state = FT_ROUND_ABANDONED,
                                        .started_ms = 100,
                                        .ended_ms = 200,
                                        .reasons = (char *)(uintptr_t) "{}",
                                        .metrics = (char *)(uintptr_t) "{}" };
            const struct ft_task_progress progress = { .stage = 2,
                                                       .trained = (uint32_t)acknowledged,
                                                       .last_round = open.round,
                                                       .last_attempt = open.attempt,
                                                       .version = acknowledged };
            memcpy(row.task, task, 32);
            st = ft_store_round_end(s, &row, &progress);
        }
        ft_buf_clear(&descriptor);
        uint64_t tried = acknowledged;
        for (int i = 0; i < ROUNDS && st == FT_OK; i++) {
            tried = acknowledged + 1;
            st = commit_round(s, tried, ++attempt);
            if (st == FT_OK)
                acknowledged = tried;
        }
        within += st != FT_OK;
        ft_store_close(s);
        power_cut(cut);
        s = temporary_open(&t);
        const uint64_t got = committed(s, cut);
        if (got < acknowledged || got > tried)
            fail_msg("cut %llu: %llu rounds are committed, expected %llu to %llu", (unsigned long long)cut,
                     (unsigned long long)got, (unsigned long long)acknowledged, (unsigned long long)tried);
        acknowledged = got;
        ft_store_close(s);
    }
    assert_true(within > cuts / 2);
    assert_true(lost > cuts / 2);
    power_close();
    temporary_remove(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_committed_round_is_lost_in_a_power_cut),
    };
    if (sodium_init() < 0)
        return 70;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
