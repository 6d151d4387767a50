/* The durable store, and the one in memory beside it: the same rules hold for both. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/vault/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], path[96];
static const uint8_t task_a[32] = { 1 }, task_b[32] = { 2 };

static int
set_up(void **ctx)
{
    (void)ctx;
    strcpy(folder, "/tmp/fedtill-store.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/state.db", folder);
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

static struct ft_vault_store *
open_sqlite(void)
{
    struct ft_vault_store *s;
    struct ft_error err = { 0 };
    if (ft_vault_store_sqlite(path, &s, &err) != FT_OK)
        fail_msg("%s", err.text);
    return s;
}

static struct ft_vault_store *
open_memory(void)
{
    struct ft_vault_store *s;
    assert_int_equal(ft_vault_store_memory(&s), FT_OK);
    return s;
}

static void
put(struct ft_vault_store *s, const uint8_t task[32], uint64_t round, uint32_t attempt, uint32_t step,
    bool spent)
{
    struct ft_ss_journal_record r = { .round = round, .attempt = attempt, .step = step, .spent = spent };
    memcpy(r.task_hash, task, 32);
    assert_int_equal(s->calls->journal_put(s, &r, 1000 + (int64_t)round), FT_OK);
}

/* The newest session is the highest (round, attempt); a spent round stays spent; tasks are apart. */
static void
journal_rules(struct ft_vault_store *s)
{
    struct ft_ss_journal_view v;
    uint32_t count;
    int64_t last;
    assert_int_equal(s->calls->journal_view(s, task_a, &v), FT_OK);
    assert_false(v.any);
    put(s, task_a, 1, 1, FT_SS_STEP_JOIN, false);
    put(s, task_a, 2, 1, FT_SS_STEP_MASKED, true);
    put(s, task_a, 2, 1, FT_SS_STEP_CONFIRM, false); /* does not take `spent` back */
    put(s, task_a, 2, 2, FT_SS_STEP_JOIN, false);
    put(s, task_b, 9, 1, FT_SS_STEP_JOIN, false);
    assert_int_equal(s->calls->journal_view(s, task_a, &v), FT_OK);
    assert_true(v.any);
    assert_int_equal(v.round, 2);
    assert_int_equal(v.attempt, 2);
    assert_true(v.any_spent);
    assert_int_equal(v.spent_round, 2);
    assert_int_equal(s->calls->participations(s, 0, &count, &last), FT_OK);
    assert_int_equal(count, 1);
    assert_int_equal(last, 1002);
    assert_int_equal(s->calls->participations(s, 1003, &count, &last), FT_OK);
    assert_int_equal(count, 0);
    assert_int_equal(s->calls->last_of_task(s, task_a, &last), FT_OK);
    assert_int_equal(last, 1002);
    assert_int_equal(s->calls->last_of_task(s, task_b, &last), FT_OK);
    assert_int_equal(last, 0);
}

/* A roster never goes back; the same serial again is fine. */
static void
roster_rules(struct ft_vault_store *s)
{
    struct ft_buf b = { 0 };
    uint64_t serial = 0;
    assert_int_equal(s->calls->roster_get(s, &serial, &b), FT_ERR_NOTFOUND);
    assert_int_equal(s->calls->roster_put(s, 5, FT_BYTES("five", 4)), FT_OK);
    assert_int_equal(s->calls->roster_put(s, 5, FT_BYTES("five", 4)), FT_OK);
    assert_int_equal(s->calls->roster_put(s, 4, FT_BYTES("four", 4)), FT_ERR_STATE);
    assert_int_equal(s->calls->roster_get(s, &serial, &b), FT_OK);
    assert_int_equal(serial, 5);
    assert_int_equal(b.size, 4);
    assert_memory_equal(b.data, "five", 4);
    ft_buf_clear(&b);
}

/* A task keeps its bytes, its approval and its last verdict; approvals are counted for whoever polls. */
static void
task_rules(struct ft_vault_store *s)
{
    struct ft_vault_task t;
    uint64_t before, after;
    const uint32_t codes[] = { 11, 12 };
    assert_int_equal(s->calls->task_get(s, task_a, &t), FT_ERR_NOTFOUND);
    assert_int_equal(s->calls->task_approve(s, task_a, FT_VAULT_APPROVED, 1), FT_ERR_NOTFOUND);
    assert_int_equal(s->calls->task_put(s, task_a, FT_BYTES("signed", 6), "cj", "train/propensity", 77),
                     FT_OK);
    assert_int_equal(s->calls->task_put(s, task_a, FT_BYTES("other", 5), "cj", "train/propensity", 78),
                     FT_OK);
    assert_int_equal(s->calls->approvals_changed(s, &before), FT_OK);
    assert_int_equal(s->calls->task_approve(s, task_a, FT_VAULT_DENIED, 2), FT_OK);
    assert_int_equal(s->calls->approvals_changed(s, &after), FT_OK);
    assert_true(after > before);
    assert_int_equal(s->calls->task_decided(s, task_a, 3, codes, 2, 99), FT_OK);
    assert_int_equal(s->calls->task_get(s, task_a, &t), FT_OK);
    assert_int_equal(t.signed_task.size, 6);
    assert_memory_equal(t.signed_task.data, "signed", 6);
    assert_string_equal(t.name, "cj");
    assert_int_equal(t.seen_ms, 77);
    assert_int_equal(t.approval, FT_VAULT_DENIED);
    assert_int_equal(t.verdict, 3);
    assert_int_equal(t.code_count, 2);
    assert_int_equal(t.codes[1], 12);
    ft_vault_task_clear(&t);
}

/* What the next round must know is kept for the latest round; the clock only moves on. */
static void
previous_and_clock_rules(struct ft_vault_store *s)
{
    struct ft_ss_previous p = { .any = true, .round = 4, .model_hash = { 4 }, .lineage_hash = { 5 } }, got;
    int64_t clock;
    assert_int_equal(s->calls->previous_get(s, task_a, &got), FT_OK);
    assert_false(got.any);
    assert_int_equal(s->calls->previous_put(s, task_a, &p), FT_OK);
    p.result_known = true;
    p.result_hash[0] = 9;
    assert_int_equal(s->calls->previous_put(s, task_a, &p), FT_OK);
    p.round = 3;
    p.result_known = false;
    assert_int_equal(s->calls->previous_put(s, task_a, &p), FT_OK);
    assert_int_equal(s->calls->previous_get(s, task_a, &got), FT_OK);
    assert_true(got.any && got.result_known);
    assert_int_equal(got.round, 4);
    assert_int_equal(got.lineage_hash[0], 5);
    assert_int_equal(got.result_hash[0], 9);
    /* A model stays known to have been trained on, whatever came after it; to its own task only. */
    bool trained = true;
    p = (struct ft_ss_previous){ .any = true, .round = 5, .model_hash = { 7 } };
    assert_int_equal(s->calls->trained_on(s, task_a, p.model_hash, &trained), FT_OK);
    assert_false(trained);
    assert_int_equal(s->calls->previous_put(s, task_a, &p), FT_OK);
    assert_int_equal(s->calls->trained_on(s, task_a, p.model_hash, &trained), FT_OK);
    assert_true(trained);
    assert_int_equal(s->calls->trained_on(s, task_a, got.model_hash, &trained), FT_OK);
    assert_true(trained); /* of round 4 */
    assert_int_equal(s->calls->trained_on(s, task_b, p.model_hash, &trained), FT_OK);
    assert_false(trained);
    assert_int_equal(s->calls->clock_put(s, 500), FT_OK);
    assert_int_equal(s->calls->clock_put(s, 400), FT_OK);
    assert_int_equal(s->calls->clock_get(s, &clock), FT_OK);
    assert_int_equal(clock, 500);
    /* The ledger's head moves up alone. */
    uint64_t seq = 0;
    uint8_t chain[32], first[32] = { 1 }, second[32] = { 2 };
    assert_int_equal(s->calls->ledger_get(s, &seq, chain), FT_ERR_NOTFOUND);
    assert_int_equal(s->calls->ledger_put(s, 7, second), FT_OK);
    assert_int_equal(s->calls->ledger_put(s, 6, first), FT_OK);
    assert_int_equal(s->calls->ledger_put(s, 7, first), FT_OK);
    assert_int_equal(s->calls->ledger_get(s, &seq, chain), FT_OK);
    assert_int_equal(seq, 7);
    assert_memory_equal(chain, second, 32);
    /* A budget's first date stays, later ones and earlier ones notwithstanding. */
    char day[FT_VAULT_DAY_SIZE];
    assert_int_equal(s->calls->opened_get(s, "people", day), FT_ERR_NOTFOUND);
    assert_int_equal(s->calls->opened_put(s, "people", "2027-01-31"), FT_OK);
    assert_int_equal(s->calls->opened_put(s, "people", "2027-02-01"), FT_OK);
    assert_int_equal(s->calls->opened_put(s, "people", "2026-12-31"), FT_OK);
    assert_int_equal(s->calls->opened_put(s, "shop", "2027-03-01"), FT_OK);
    assert_int_equal(s->calls->opened_get(s, "people", day), FT_OK);
    assert_string_equal(day, "2027-01-31");
    assert_int_equal(s->calls->opened_get(s, "shop", day), FT_OK);
    assert_string_equal(day, "2027-03-01");
}

static void
rules_hold_in_sqlite(void **ctx)
{
    struct ft_vault_store *s = open_sqlite();
    (void)ctx;
    journal_rules(s);
    roster_rules(s);
    task_rules(s);
    previous_and_clock_rules(s);
    ft_vault_store_close(s);
}

static void
rules_hold_in_memory(void **ctx)
{
    struct ft_vault_store *s = open_memory();
    (void)ctx;
    journal_rules(s);
    roster_rules(s);
    task_rules(s);
    previous_and_clock_rules(s);
    ft_vault_store_close(s);
}

/* What was acknowledged is there for the next process, even though this one never closed. */
static void
acknowledged_records_survive_a_kill(void **ctx)
{
    struct ft_ss_journal_view v;
    int status;
    (void)ctx;
    const pid_t pid = fork();
    if (pid == 0) {
        struct ft_vault_store *s = open_sqlite();
        put(s, task_a, 7, 1, FT_SS_STEP_MASKED, true);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    struct ft_vault_store *s = open_sqlite();
    assert_int_equal(s->calls->journal_view(s, task_a, &v), FT_OK);
    assert_int_equal(v.spent_round, 7);
    ft_vault_store_close(s);
}

/* The file is made with mode 0600; one that others may read is refused. */
static void
only_a_private_file_is_opened(void **ctx)
{
    struct stat sb;
    struct ft_vault_store *s = open_sqlite();
    (void)ctx;
    assert_int_equal(stat(path, &sb), 0);
    assert_int_equal(sb.st_mode & 0777, 0600);
    ft_vault_store_close(s);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(ft_vault_store_sqlite(path, &s, NULL), FT_ERR_VERIFY);
    assert_null(s);
}

/* A damaged file is told and left alone: nothing is decided on what may be half of the truth. */
static void
a_damaged_file_is_refused(void **ctx)
{
    struct ft_vault_store *s = open_sqlite();
    struct ft_error err = { 0 };
    static const char garbage[600] = { 'x' };
    (void)ctx;
    for (uint64_t r = 1; r < 200; r++)
        put(s, task_a, r, 1, FT_SS_STEP_JOIN, false);
    ft_vault_store_close(s);
    const int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, garbage, sizeof garbage, 4096), sizeof garbage);
    close(fd);
    assert_int_equal(ft_vault_store_sqlite(path, &s, &err), FT_ERR_VERIFY);
    assert_null(s);
    assert_non_null(strstr(err.text, "state.db"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rules_hold_in_sqlite, set_up, tear_down),
        cmocka_unit_test(rules_hold_in_memory),
        cmocka_unit_test_setup_teardown(acknowledged_records_survive_a_kill, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_a_private_file_is_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
