/* Rounds in the database: one transaction each, ended once, and a log that only grows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "temporary.h"

#include "common/base/alloc.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

#define OK(call) assert_int_equal((call), FT_OK)

static const uint8_t task[32] = { 7 }, signed_hash[32] = { 8 };

static void
put_task(struct ft_store *s)
{
    OK(ft_store_task_put(s, task, "first", signed_hash, FT_BYTES("signed", 6), 1));
    OK(ft_store_task_set_state(s, task, FT_TASK_RUNNING, 2));
}

static struct ft_session_row
session_of(uint64_t round, uint32_t attempt)
{
    struct ft_session_row row = { .round = round, .attempt = attempt, .stage = 2, .started_ms = 100 };
    memcpy(row.task, task, 32);
    return row;
}

static struct ft_round_row
row_of(uint64_t round, uint32_t attempt, enum ft_round_state state)
{
    struct ft_round_row row = { .round = round,
                                .attempt = attempt,
                                .stage = 2,
                                .state = state,
                                .cohort = 5,
                                .survivors = 4,
                                .started_ms = 100,
                                .ended_ms = 200,
                                .reasons = (char *)(uintptr_t) "{\"shops\":{}}",
                                .metrics = (char *)(uintptr_t) "{\"loss\":1}" };
    memcpy(row.task, task, 32);
    row.transcript[0] = (uint8_t)round;
    return row;
}

static void
commit_round(struct ft_store *s, uint64_t round, enum ft_status expected)
{
    const struct ft_session_row session = session_of(round, 1);
    const struct ft_session_record record = { .kind = 2, .index = 0, .bytes = FT_BYTES("join", 4) };
    const struct ft_round_row row = row_of(round, 1, FT_ROUND_COMMITTED);
    const struct ft_task_progress progress = {
        .stage = 2, .trained = (uint32_t)round, .last_round = round, .last_attempt = 1, .version = round
    };
    struct ft_model_put model = { .hash = { (uint8_t)round, 1 },
                                  .blob = FT_BYTES("model", 5),
                                  .version = round };

    OK(ft_store_session_begin(s, &session, FT_BYTES("d", 1)));
    OK(ft_store_session_append(s, &record, 1));
    assert_int_equal(ft_store_round_commit(s, &row, &progress, &model, FT_BYTES("opt", 3), false), expected);
}

static enum ft_status
count_records(void *ctx, const struct ft_session_record *record)
{
    (void)record;
    ++*(int *)ctx;
    return FT_OK;
}

/* A commit leaves the round, the model, the optimiser, the progress and a leaf, and no session. */
static void
storage_commits_a_round_as_one(void **state)
{
    struct temporary t;
    struct ft_store *s;
    struct ft_session_row session;
    struct ft_task_row row;
    struct ft_round_row *rounds = NULL;
    struct ft_model_row *models = NULL;
    struct ft_buf bytes = { 0 };
    size_t count = 0;
    uint64_t size = 0;
    uint8_t head[32];
    int records = 0;

    (void)state;
    temporary_make(&t);
    s = temporary_open(&t);
    put_task(s);
    commit_round(s, 1, FT_OK);
    assert_int_equal(ft_store_session(s, &session, &bytes), FT_ERR_NOTFOUND);
    OK(ft_store_session_records(s, count_records, &records));
    assert_int_equal(records, 0);
    OK(ft_store_task(s, task, &row));
    assert_int_equal(row.progress.version, 1);
    assert_int_equal(row.progress.last_round, 1);
    OK(ft_store_rounds(s, task, 10, &rounds, &count));
    assert_int_equal(count, 1);
    assert_int_equal(rounds[0].survivors, 4);
    assert_string_equal(rounds[0].metrics, "{\"loss\":1}");
    ft_round_rows_free(rounds, count);
    OK(ft_store_models(s, NULL, &models, &count));
    assert_int_equal(count, 1);
    assert_int_equal(models[0].size, 5);
    ft_free(models);
    OK(ft_store_optimiser(s, task, &bytes));
    assert_memory_equal(bytes.data, "opt", 3);
    ft_buf_clear(&bytes);
    OK(ft_store_log_head(s, &size, head));
    assert_int_equal(size, 1);
    OK(ft_store_log_check(s, NULL));
    ft_store_close(s);
    temporary_remove(&t);
}

/* Numbers strictly rise: a session below or equal to the last is refused, and so is a second open one. */
static void
storage_refuses_a_session_that_was_there_before(void **state)
{
    struct temporary t;
    struct ft_store *s;
    struct ft_session_row row = session_of(1, 1), next = session_of(2, 1);

    (void)state;
    temporary_make(&t);
    s = temporary_open(&t);
    put_task(s);
    commit_round(s, 1, FT_OK);
    assert_int_equal(ft_store_session_begin(s, &row, FT_BYTES("d", 1)), FT_ERR_DUPLICATE);
    OK(ft_store_session_begin(s, &next, FT_BYTES("d", 1)));
    next.attempt = 2;
    assert_int_equal(ft_store_session_begin(s, &next, FT_BYTES("d", 1)), FT_ERR_DUPLICATE);
    ft_store_close(s);
    temporary_remove(&t);
}

/* A round ends once: no second commit, no failure after a commit, no commit without its session. */
static void
storage_ends_a_round_once(void **state)
{
    struct temporary t;
    struct ft_store *s;
    const struct ft_round_row again = row_of(1, 1, FT_ROUND_COMMITTED),
                              failed = row_of(1, 1, FT_ROUND_FAILED);
    const struct ft_task_progress progress = { .last_round = 1 };
    uint64_t size = 0;
    uint8_t head[32];

    (void)state;
    temporary_make(&t);
    s = temporary_open(&t);
    put_task(s);
    commit_round(s, 1, FT_OK);
    assert_int_equal(ft_store_round_commit(s, &again, &progress, NULL, FT_BYTES(NULL, 0), false),
                     FT_ERR_DUPLICATE);
    assert_int_equal(ft_store_round_end(s, &failed, &progress), FT_ERR_DUPLICATE);
    assert_int_equal(ft_store_round_end(s, &again, &progress), FT_ERR_ARGUMENT);
    OK(ft_store_log_head(s, &size, head));
    assert_int_equal(size, 1);
    ft_store_close(s);
    temporary_remove(&t);
}

/* A failed attempt keeps the round's number open; the row says why. */
static void
storage_keeps_failed_attempts(void **state)
{
    struct temporary t;
    struct ft_store *s;
    const struct ft_session_row session = session_of(1, 1), second = session_of(1, 2);
    const struct ft_round_row failed = row_of(1, 1, FT_ROUND_FAILED);
    const struct ft_task_progress progress = { .last_round = 1, .last_attempt = 1, .round_open = true };
    struct ft_round_row found;
    struct ft_task_row row;

    (void)state;
    temporary_make(&t);
    s = temporary_open(&t);
    put_task(s);
    OK(ft_store_session_begin(s, &session, FT_BYTES("d", 1)));
    OK(ft_store_round_end(s, &failed, &progress));
    OK(ft_store_task(s, task, &row));
    assert_true(row.progress.round_open);
    OK(ft_store_session_begin(s, &second, FT_BYTES("d", 1)));
    OK(ft_store_round_find(s, task, 1, 1, &found));
    assert_int_equal(found.state, FT_ROUND_FAILED);
    assert_int_equal(ft_store_round_find(s, task, 1, 2, &found), FT_ERR_NOTFOUND);
    ft_store_close(s);
    temporary_remove(&t);
}

/* The log refuses to shrink or change, and a leaf altered behind its back is found. */
static void
storage_log_only_grows(void **state)
{
    struct temporary t;
    struct ft_store *s;
    struct ft_error err = { 0 };
    sqlite3 *db;

    (void)state;
    temporary_make(&t);
    s = temporary_open(&t);
    put_task(s);
    for (uint64_t round = 1; round <= 3; round++)
        commit_round(s, round, FT_OK);
    OK(ft_store_log_check(s, NULL));
    assert_int_equal(sqlite3_open(t.path, &db), SQLITE_OK);
    assert_int_not_equal(sqlite3_exec(db, "DELETE FROM log WHERE leaf_index = 2", NULL, NULL, NULL),
                         SQLITE_OK);
    assert_int_not_equal(sqlite3_exec(db, "UPDATE log SET head = x'00'", NULL, NULL, NULL), SQLITE_OK);
    OK(ft_store_log_check(s, NULL));
    assert_int_equal(sqlite3_exec(db,
                                  "DROP TRIGGER log_stays;"
                                  "UPDATE log SET leaf = substr(leaf, 1, 50) || x'ff' || substr(leaf, 52)"
                                  " WHERE leaf_index = 1",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(ft_store_log_check(s, &err), FT_ERR_VERIFY);
    assert_non_null(strstr(err.text, "leaf 1"));
    ft_store_close(s);
    temporary_remove(&t);
}

/* Task states move along the diagram; setting the one it has is fine; a finished task stays finished. */
static void
storage_moves_tasks_along_the_diagram(void **state)
{
    struct temporary t;
    struct ft_store *s;
    static const uint8_t nobody[32] = { 99 };

    (void)state;
    temporary_make(&t);
    s = temporary_open(&t);
    OK(ft_store_task_put(s, task, "first", signed_hash, FT_BYTES("signed", 6), 1));
    assert_int_equal(ft_store_task_put(s, task, "first", signed_hash, FT_BYTES("signed", 6), 1),
                     FT_ERR_DUPLICATE);
    assert_int_equal(ft_store_task_set_state(s, task, FT_TASK_PAUSED, 2), FT_ERR_REFUSED);
    OK(ft_store_task_set_state(s, task, FT_TASK_RUNNING, 2));
    OK(ft_store_task_set_state(s, task, FT_TASK_RUNNING, 2));
    OK(ft_store_task_set_state(s, task, FT_TASK_PAUSED, 3));
    OK(ft_store_task_set_state(s, task, FT_TASK_RUNNING, 4));
    OK(ft_store_task_set_state(s, task, FT_TASK_STOPPED, 5));
    assert_int_equal(ft_store_task_set_state(s, task, FT_TASK_RUNNING, 6), FT_ERR_REFUSED);
    assert_int_equal(ft_store_task_set_state(s, nobody, FT_TASK_RUNNING, 6), FT_ERR_NOTFOUND);
    ft_store_close(s);
    temporary_remove(&t);
}

/* A child commits rounds as fast as it can and writes each number to a pipe once the commit has returned. */
static void
commit_for_ever(const struct temporary *t, int pipe_fd)
{
    struct ft_store *s = NULL;
    struct ft_error err = { 0 };

    if (ft_store_open(t->path, &s, &err) != FT_OK)
        _exit(1);
    for (uint64_t round = 1;; round++) {
        const struct ft_session_row session = session_of(round, 1);
        const struct ft_round_row row = row_of(round, 1, FT_ROUND_COMMITTED);
        const struct ft_task_progress progress = {
            .stage = 2, .last_round = round, .last_attempt = 1, .version = round
        };
        const struct ft_model_put model = { .hash = { (uint8_t)round, (uint8_t)(round >> 8), 1 },
                                            .blob = FT_BYTES("model", 5),
                                            .version = round };
        if (ft_store_session_begin(s, &session, FT_BYTES("d", 1)) != FT_OK ||
            ft_store_round_commit(s, &row, &progress, &model, FT_BYTES("o", 1), false) != FT_OK ||
            write(pipe_fd, &round, sizeof round) != sizeof round)
            _exit(1);
    }
}

/* Killed at any moment: every acknowledged round is there once, whole, and the next one is either all there
 * or not at all. */
static void
storage_keeps_acknowledged_rounds_over_a_kill(void **state)
{
    (void)state;
    for (int life = 0; life < 12; life++) {
        struct temporary t;
        struct ft_store *s;
        struct ft_task_row row;
        struct ft_round_row *rounds = NULL;
        uint64_t acknowledged = 0, seen, size = 0;
        uint8_t head[32];
        size_t count = 0, models_count = 0;
        struct ft_model_row *models = NULL;
        int fds[2];
        pid_t child;

        temporary_make(&t);
        s = temporary_open(&t);
        put_task(s);
        ft_store_close(s);
        assert_int_equal(pipe(fds), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0)
            commit_for_ever(&t, fds[1]);
        close(fds[1]);
        while (acknowledged < (uint64_t)(3 + 2 * life) && read(fds[0], &seen, sizeof seen) == sizeof seen)
            acknowledged = seen;
        usleep((useconds_t)(137 * life));
        kill(child, SIGKILL);
        while (read(fds[0], &seen, sizeof seen) == sizeof seen)
            acknowledged = seen;
        close(fds[0]);
        assert_int_equal(waitpid(child, NULL, 0), child);
        s = temporary_open(&t);
        OK(ft_store_rounds(s, task, 100000, &rounds, &count));
        OK(ft_store_models(s, task, &models, &models_count));
        OK(ft_store_task(s, task, &row));
        OK(ft_store_log_head(s, &size, head));
        OK(ft_store_log_check(s, NULL));
        assert_in_range(count, acknowledged, acknowledged + 1);
        assert_int_equal(models_count, count);
        assert_int_equal(size, count);
        assert_int_equal(row.progress.version, count);
        ft_round_rows_free(rounds, count);
        ft_free(models);
        ft_store_close(s);
        temporary_remove(&t);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storage_commits_a_round_as_one),
        cmocka_unit_test(storage_refuses_a_session_that_was_there_before),
        cmocka_unit_test(storage_ends_a_round_once),
        cmocka_unit_test(storage_keeps_failed_attempts),
        cmocka_unit_test(storage_log_only_grows),
        cmocka_unit_test(storage_moves_tasks_along_the_diagram),
        cmocka_unit_test(storage_keeps_acknowledged_rounds_over_a_kill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
