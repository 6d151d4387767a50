/*
 * Power cuts under the vault's store (R4, R5): at each of a thousand cuts, in the middle of a write as often
 * as between two, whatever was acknowledged is there afterwards, and the database is whole.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/vault/store.h"
#include "common/base/env.h"
#include "tests/support/power.h"

#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CUTS    1000u
#define OPS_MAX 60
#define EVENTS  400u

static char folder[64], path[96];
static const uint8_t task[32] = { 1 };

static int
set_up(void **ctx)
{
    (void)ctx;
    strcpy(folder, "/tmp/fedtill-power.XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/state.db", folder);
    power_open();
    return 0;
}

static int
tear_down(void **ctx)
{
    char command[100];
    (void)ctx;
    power_close();
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* What the store has said yes to, and what it may have done besides: the operation at the cut. */
struct promised {
    uint64_t round, spent, serial, approvals, previous;
    uint64_t participations;
    bool task;
};

/* One random operation; the promise moves on only when the store says so. */
static enum ft_status
act(struct ft_vault_store *s, struct ft_env *dice, struct promised *p, struct promised *at_most)
{
    struct ft_ss_journal_record r = { .round = p->round + 1, .attempt = 1, .step = FT_SS_STEP_JOIN };
    struct ft_ss_previous previous = { .any = true, .round = p->round + 1, .model_hash = { 1 } };
    uint8_t bytes[3000];
    enum ft_status st;

    memcpy(r.task_hash, task, 32);
    memset(bytes, (int)(p->serial + 1), sizeof bytes);
    switch (ft_random_below(dice, 6)) {
    case 0: /* a session begins */
        at_most->round = r.round;
        st = s->calls->journal_put(s, &r, 1000);
        if (st == FT_OK)
            p->round = r.round;
        break;
    case 1: /* and is spent: what the next round must know goes before, without a sync of its own */
        r.spent = true;
        r.step = FT_SS_STEP_MASKED;
        at_most->round = at_most->spent = at_most->previous = r.round;
        at_most->participations = p->participations + 1;
        st = s->calls->previous_put(s, task, &previous);
        if (st == FT_OK)
            st = s->calls->journal_put(s, &r, 1000);
        if (st == FT_OK) {
            p->round = p->spent = p->previous = r.round;
            p->participations++;
        }
        break;
    case 2:
        at_most->serial = p->serial + 1;
        st = s->calls->roster_put(s, p->serial + 1, FT_BYTES(bytes, sizeof bytes));
        if (st == FT_OK)
            p->serial++;
        break;
    case 3:
        at_most->task = true;
        st = s->calls->task_put(s, task, FT_BYTES(bytes, 200), "t", "train/propensity", 5);
        if (st == FT_OK)
            p->task = true;
        break;
    case 4:
        if (!p->task)
            return FT_OK;
        at_most->approvals = p->approvals + 1;
        st = s->calls->task_approve(s, task, FT_VAULT_APPROVED, 7);
        if (st == FT_OK)
            p->approvals++;
        break;
    default:
        st = s->calls->clock_put(s, (int64_t)p->round + 100);
        break;
    }
    return st;
}

static void
must_hold(uint64_t cut, const char *what, uint64_t got, uint64_t least, uint64_t most)
{
    if (got < least || got > most)
        fail_msg("cut %llu: %s is %llu, expected %llu to %llu", (unsigned long long)cut, what,
                 (unsigned long long)got, (unsigned long long)least, (unsigned long long)most);
}

static void
judge(uint64_t cut, struct ft_vault_store *s, const struct promised *p, const struct promised *at_most)
{
    struct ft_ss_journal_view view;
    struct ft_ss_previous previous;
    struct ft_buf roster = { 0 };
    struct ft_vault_task t;
    uint64_t serial = 0, approvals;
    uint32_t participations;
    int64_t last;

    assert_int_equal(s->calls->journal_view(s, task, &view), FT_OK);
    must_hold(cut, "the journal's last round", view.any ? view.round : 0, p->round, at_most->round);
    must_hold(cut, "the last spent round", view.any_spent ? view.spent_round : 0, p->spent, at_most->spent);
    assert_int_equal(s->calls->previous_get(s, task, &previous), FT_OK);
    must_hold(cut, "the previous round", previous.any ? previous.round : 0, p->previous, at_most->previous);
    assert_int_equal(s->calls->participations(s, 0, &participations, &last), FT_OK);
    must_hold(cut, "the number of participations", participations, p->participations,
              at_most->participations);
    if (s->calls->roster_get(s, &serial, &roster) == FT_OK) {
        assert_int_equal(roster.size, 3000);
        assert_int_equal(roster.data[0], (uint8_t)serial);
        assert_int_equal(roster.data[2999], (uint8_t)serial);
    }
    ft_buf_clear(&roster);
    must_hold(cut, "the roster's serial", serial, p->serial, at_most->serial);
    assert_int_equal(s->calls->approvals_changed(s, &approvals), FT_OK);
    must_hold(cut, "the number of approvals", approvals, p->approvals, at_most->approvals);
    const bool known = s->calls->task_get(s, task, &t) == FT_OK;
    must_hold(cut, "the task", known, p->task, at_most->task);
    ft_vault_task_clear(&t);
}

/* Whatever was acknowledged before a power cut is there after it; of what was not, all or nothing. */
static void
nothing_acknowledged_is_lost_in_a_power_cut(void **ctx)
{
    const char *wanted = getenv("FT_POWER_CUTS");
    const uint64_t cuts = wanted != NULL ? strtoull(wanted, NULL, 10) : CUTS;
    struct promised p = { 0 }, at_most = { 0 };
    struct ft_env_seeded dice;
    uint64_t within = 0, lost = 0;
    (void)ctx;
    ft_env_seeded_init(&dice, 11, 0);
    for (uint64_t cut = 1; cut <= cuts; cut++) {
        struct ft_vault_store *s = NULL;
        struct ft_error err = { 0 };
        enum ft_status st;
        if (cut % 25 == 0) { /* a new machine: cuts while the file is made, and a short history to read */
            lost += power_lost();
            power_close();
            power_open();
            p = at_most = (struct promised){ 0 };
        }
        /* Also while the file is made and while it is opened. */
        power_arm(1 + ft_random_below(&dice.env, EVENTS));
        st = ft_vault_store_sqlite(path, &s, &err);
        for (int i = 0; i < OPS_MAX && st == FT_OK; i++) {
            at_most = p;
            st = act(s, &dice.env, &p, &at_most);
        }
        within += st != FT_OK;
        ft_vault_store_close(s);
        power_cut(cut);
        err = (struct ft_error){ 0 };
        if (ft_vault_store_sqlite(path, &s, &err) != FT_OK)
            fail_msg("cut %llu: %s", (unsigned long long)cut, err.text);
        judge(cut, s, &p, &at_most);
        /* What the cut operation has come to is known now. */
        struct ft_ss_journal_view view;
        struct ft_ss_previous previous;
        uint32_t participations;
        int64_t last;
        assert_int_equal(s->calls->journal_view(s, task, &view), FT_OK);
        p.round = view.any ? view.round : 0;
        p.spent = view.any_spent ? view.spent_round : 0;
        assert_int_equal(s->calls->participations(s, 0, &participations, &last), FT_OK);
        p.participations = participations;
        assert_int_equal(s->calls->previous_get(s, task, &previous), FT_OK);
        p.previous = previous.any ? previous.round : 0;
        struct ft_buf roster = { 0 };
        (void)!s->calls->roster_get(s, &p.serial, &roster);
        ft_buf_clear(&roster);
        assert_int_equal(s->calls->approvals_changed(s, &p.approvals), FT_OK);
        struct ft_vault_task t;
        p.task = s->calls->task_get(s, task, &t) == FT_OK;
        ft_vault_task_clear(&t);
        at_most = p;
        ft_vault_store_close(s);
    }
    assert_true(within > cuts / 2); /* cuts did fall inside operations, */
    assert_true(lost > cuts / 5);   /* and did cost what was not synced */
}

/* The control: the same cuts find a database that does not sync each commit. */
static void
a_store_that_skips_a_sync_is_found(void **ctx)
{
    static const char *const modes[] = { "PRAGMA synchronous=FULL", "PRAGMA synchronous=NORMAL" };
    uint64_t lost[2] = { 0 };
    (void)ctx;
    for (int mode = 0; mode < 2; mode++)
        for (uint64_t cut = 1; cut <= 100; cut++) {
            char name[64], sql[80];
            sqlite3 *db = NULL;
            sqlite3_stmt *stmt = NULL;
            int64_t said = 0, kept = -1;
            snprintf(name, sizeof name, "control.%d.db", mode);
            assert_int_equal(sqlite3_open(name, &db), SQLITE_OK);
            assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL), SQLITE_OK);
            assert_int_equal(sqlite3_exec(db, modes[mode], NULL, NULL, NULL), SQLITE_OK);
            assert_int_equal(
                sqlite3_exec(db, "CREATE TABLE IF NOT EXISTS t(n); DELETE FROM t", NULL, NULL, NULL),
                SQLITE_OK);
            power_arm(5 + cut % 40);
            for (int64_t i = 1; i < 100; i++) {
                snprintf(sql, sizeof sql, "INSERT INTO t VALUES(%lld)", (long long)i);
                if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
                    break;
                said = i;
            }
            sqlite3_close(db);
            power_cut(cut);
            assert_int_equal(sqlite3_open(name, &db), SQLITE_OK);
            if (sqlite3_prepare_v2(db, "SELECT max(n) FROM t", -1, &stmt, NULL) == SQLITE_OK &&
                sqlite3_step(stmt) == SQLITE_ROW)
                kept = sqlite3_column_int64(stmt, 0);
            sqlite3_finalize(stmt);
            sqlite3_close(db);
            lost[mode] += kept < said;
        }
    assert_int_equal(lost[0], 0);
    assert_true(lost[1] > 50);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_acknowledged_is_lost_in_a_power_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_store_that_skips_a_sync_is_found, set_up, tear_down),
    };
    if (sodium_init() < 0)
        return 70;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
