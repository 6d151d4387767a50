#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/ledger/disk.h"

#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* One shop's life: a domain, two tasks, rounds in turn, a close. Each vector is "sent" right after its SPEND returned
 * FT_OK. Goes on from where the ledger stands, as a restarted client would. Returns when a write fails. */
static void
live(struct disk *d, unsigned sent[2])
{
    const struct ft_ledger_reservation task[2] = { disk_task(1, 4), disk_task(2, 3) };
    struct ft_ledger *l = NULL;

    if (disk_try(d, "shop-1", &l, NULL, NULL) != FT_OK)
        return;
    if (ft_ledger_open_domain(l, &disk_adaptive, NULL) != FT_OK)
        goto out;
    for (int i = 0; i < 2; i++) {
        const struct ft_ledger_task *t = ft_ledger_task_find(l, task[i].task);
        if ((t == NULL || t->open) && ft_ledger_reserve(l, &task[i], NULL, NULL) != FT_OK)
            goto out;
    }
    for (uint64_t round = 1; round <= 3; round++)
        for (int i = 0; i < 2; i++) {
            if (ft_ledger_round_spent(l, task[i].task, round))
                continue; /* rule 3: lost for this shop if it was not sealed */
            const enum ft_status st = ft_ledger_spend(l, task[i].task, round, disk_session, NULL);
            if (st == FT_ERR_REFUSED || (st == FT_ERR_STATE && ft_ledger_writable(l)))
                continue; /* its steps are used up, or it is closed */
            if (st != FT_OK)
                goto out;
            sent[i]++;
            if (ft_ledger_seal(l, task[i].task, round, disk_session, NULL) != FT_OK)
                goto out;
        }
    if (ft_ledger_close_task(l, task[0].task, FT_LEDGER_FINISHED, NULL) != FT_OK)
        goto out; /* closed before, or the disk failed */
out:
    ft_ledger_close(l);
}

/* Kill the process at every write and every sync, with none, some or all of the bytes on the disk, and at every write
 * of the recovery after it: what is charged and counted as used is never less than what was sent. */
static void
charged_steps_are_never_fewer_than_vectors_sent(void **state)
{
    static const size_t keeps[] = { 0, 1, 3, 5, 12, 60, 116, 117, 1000 };
    unsigned kills = 0, recoveries = 0;
    (void)state;

    for (size_t k = 0; k < sizeof keeps / sizeof keeps[0]; k++)
        for (unsigned first = 1; first < 40; first++)
            for (unsigned second = 0; second < 8; second++) {
                struct disk d = { .fail_at = first, .keep = keeps[k] };
                unsigned sent[2] = { 0, 0 };
                live(&d, sent);
                const bool killed = d.dead;
                d.dead = false;
                d.fail_at = second; /* 0: the restart goes well */
                live(&d, sent);
                d.dead = false;
                d.fail_at = 0;
                live(&d, sent);
                kills += killed;

                struct ft_ledger *l = disk_open(&d);
                for (uint8_t i = 0; i < 2; i++) {
                    const struct ft_ledger_reservation task = disk_task((uint8_t)(i + 1), 1);
                    const struct ft_ledger_task *t = ft_ledger_task_find(l, task.task);
                    assert_true(t->spent + t->recovered >= sent[i]);
                    assert_true(t->charged >= sent[i]);
                    assert_true(sent[i] <= t->reserved.steps);
                    recoveries += t->recovered > 0;
                }
                ft_ledger_close(l);
                disk_clear(&d);
                if (!killed)
                    break;
            }
    assert_true(kills > 500 && recoveries > 100); /* the faults did fire */
}

/* The restart after a torn end is cut off itself, at any write: however often, every open task is charged for
 * the end that may have been durable. */
static void
a_torn_end_is_charged_though_its_recovery_is_cut_off(void **state)
{
    static const size_t keeps[] = { 0, 1, 12, 60, 77, 78 };
    (void)state;

    for (size_t k = 0; k < sizeof keeps / sizeof keeps[0]; k++)
        for (unsigned cut = 1; cut <= 10; cut++)
            for (unsigned again = 0; again <= 10; again++) {
                struct disk d = { .keep = 20 };
                const struct ft_ledger_reservation task[2] = { disk_task(1, 4), disk_task(2, 3) };
                struct ft_ledger *l = disk_open(&d);
                assert_int_equal(ft_ledger_open_domain(l, &disk_adaptive, NULL), FT_OK);
                for (int i = 0; i < 2; i++)
                    assert_int_equal(ft_ledger_reserve(l, &task[i], NULL, NULL), FT_OK);
                d.fail_at = d.operations + 1;
                assert_int_equal(ft_ledger_spend(l, task[0].task, 1, disk_session, NULL), FT_ERR_IO);
                ft_ledger_close(l);
                for (int restart = 0; restart < 2; restart++) {
                    d.dead = false;
                    d.keep = keeps[k];
                    d.fail_at = restart == 0 ? cut : again;
                    if (disk_try(&d, "shop-1", &l, NULL, NULL) == FT_OK)
                        ft_ledger_close(l);
                }
                d.dead = false;
                d.fail_at = 0;
                l = disk_open(&d);
                for (int i = 0; i < 2; i++)
                    assert_true(ft_ledger_task_find(l, task[i].task)->recovered >= 1);
                ft_ledger_close(l);
                disk_clear(&d);
            }
}

/* After a write that failed nothing more is written, though the disk would take it again; opening anew mends it. */
static void
a_failed_write_makes_the_ledger_read_only(void **state)
{
    (void)state;
    for (unsigned fail = 1; fail <= 2; fail++) { /* the append, the sync */
        struct disk d = { 0 };
        const struct ft_ledger_reservation task = disk_task(1, 5);
        struct ft_error err = { 0 };
        struct ft_ledger *l = disk_open(&d);
        assert_int_equal(ft_ledger_open_domain(l, &disk_adaptive, NULL), FT_OK);
        assert_int_equal(ft_ledger_reserve(l, &task, NULL, NULL), FT_OK);
        d.fail_at = d.operations + fail;
        d.keep = 20;
        d.failure = fail == 1 ? FT_ERR_FULL : FT_OK;
        assert_int_equal(ft_ledger_spend(l, task.task, 1, disk_session, &err), fail == 1 ? FT_ERR_FULL : FT_ERR_IO);
        assert_non_null(strstr(err.text, "LEDGER_IO"));
        assert_false(ft_ledger_writable(l));
        assert_false(ft_ledger_round_spent(l, task.task, 1));
        d.dead = false;
        d.fail_at = 0;
        const unsigned operations = d.operations;
        assert_int_equal(ft_ledger_spend(l, task.task, 1, disk_session, NULL), FT_ERR_IO);
        assert_int_equal(ft_ledger_close_task(l, task.task, FT_LEDGER_FINISHED, NULL), FT_ERR_IO);
        assert_int_equal(d.operations, operations); /* not even tried */
        ft_ledger_close(l);
        l = disk_open(&d);
        assert_true(ft_ledger_writable(l));
        ft_ledger_close(l);
        disk_clear(&d);
    }
}

/* Memory that runs out leaves the ledger as it was, on the disk and in use. */
static void
a_failed_allocation_changes_nothing(void **state)
{
    struct disk d = { 0 };
    const struct ft_ledger_reservation task = disk_task(1, 100);
    struct ft_ledger *l = disk_open(&d);
    unsigned failures = 0;
    (void)state;

    assert_int_equal(ft_ledger_open_domain(l, &disk_adaptive, NULL), FT_OK);
    assert_int_equal(ft_buf_reserve(&d.cached, 4096), FT_OK); /* the disk itself has room */
    assert_int_equal(ft_buf_reserve(&d.durable, 4096), FT_OK);
    for (uint64_t nth = 1;; nth++) {
        const size_t size = d.durable.size;
        ft_alloc_fail_at(nth, false);
        const enum ft_status st = ft_ledger_reserve(l, &task, NULL, NULL);
        const bool fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        assert_int_equal(st, fired ? FT_ERR_NOMEM : FT_OK);
        if (!fired)
            break;
        failures++;
        assert_int_equal(ft_ledger_task_count(l), 0);
        assert_int_equal(d.durable.size, size);
        assert_true(ft_ledger_writable(l));
    }
    assert_int_equal(ft_ledger_task_count(l), 1);
    assert_true(failures > 0);
    ft_ledger_close(l);
    disk_clear(&d);
}

/* ---- the real file ---- */

static struct ft_ledger *
open_real(const char *path, struct ft_error *err, enum ft_status expected)
{
    static const uint8_t key[32] = { 9 }, id[16] = { 1 };
    struct ft_ledger_file file;
    struct ft_ledger *l = NULL;
    assert_int_equal(ft_ledger_file_posix(path, &file), FT_OK);
    assert_int_equal(ft_ledger_open(file, key, "shop-1", id, &l, NULL, err), expected);
    return l;
}

/* One process has the ledger; a file that others may read, or a link, is refused; what is written is there again. */
static void
a_real_ledger_is_locked_private_and_lasting(void **state)
{
    char folder[] = "/tmp/ledger-XXXXXX", path[64], link_path[64];
    const struct ft_ledger_reservation task = disk_task(1, 5);
    struct ft_error err = { 0 };
    struct stat s;
    (void)state;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/ledger.bin", folder);
    snprintf(link_path, sizeof link_path, "%s/link.bin", folder);
    struct ft_ledger *l = open_real(path, NULL, FT_OK);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    assert_int_equal(ft_ledger_open_domain(l, &disk_adaptive, NULL), FT_OK);
    assert_int_equal(ft_ledger_reserve(l, &task, NULL, NULL), FT_OK);
    assert_null(open_real(path, &err, FT_ERR_LATER));
    assert_non_null(strstr(err.text, "LEDGER_BUSY"));
    ft_ledger_close(l);

    l = open_real(path, NULL, FT_OK);
    assert_int_equal(ft_ledger_task_count(l), 1);
    ft_ledger_close(l);
    assert_int_equal(symlink(path, link_path), 0);
    assert_null(open_real(link_path, NULL, FT_ERR_IO));
    assert_int_equal(chmod(path, 0644), 0);
    assert_null(open_real(path, NULL, FT_ERR_VERIFY));
    unlink(link_path);
    unlink(path);
    rmdir(folder);
}

/* A process killed between rounds, many times over, at no moment of its own choosing: the ledger opens, and has counted
 * every vector that the process said it sent. */
static void
a_killed_process_has_sent_no_more_than_was_charged(void **state)
{
    char folder[] = "/tmp/ledger-XXXXXX", path[64];
    uint64_t sent = 0, round = 1;
    const struct ft_ledger_reservation task = disk_task(1, 1000);
    (void)state;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/ledger.bin", folder);
    for (int life = 0; life < 12; life++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)close(ends[0]);
            struct ft_ledger *l = open_real(path, NULL, FT_OK);
            if (ft_ledger_open_domain(l, &disk_adaptive, NULL) != FT_OK ||
                ft_ledger_reserve(l, &task, NULL, NULL) != FT_OK)
                _exit(2);
            for (uint64_t r = round;; r++) {
                if (ft_ledger_spend(l, task.task, r, disk_session, NULL) != FT_OK)
                    _exit(0);
                if (write(ends[1], &r, sizeof r) != (ssize_t)sizeof r)
                    _exit(0);
            }
        }
        (void)close(ends[1]);
        uint64_t r = 0, last = round;
        for (int seen = 0; seen <= life && read(ends[0], &r, sizeof r) == (ssize_t)sizeof r; seen++) {
            sent++;
            last = r + 1;
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(ends[0], &r, sizeof r) == (ssize_t)sizeof r) { /* sent before it died */
            sent++;
            last = r + 1;
        }
        (void)close(ends[0]);
        assert_int_equal(waitpid(child, NULL, 0), child);
        struct ft_ledger *l = open_real(path, NULL, FT_OK);
        const struct ft_ledger_task *t = ft_ledger_task_find(l, task.task);
        if (t != NULL) {
            assert_true(t->spent + t->recovered >= sent);
            for (round = last; ft_ledger_round_spent(l, task.task, round); round++)
                continue;
        }
        ft_ledger_close(l);
    }
    assert_true(sent > 50);
    unlink(path);
    rmdir(folder);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charged_steps_are_never_fewer_than_vectors_sent),
        cmocka_unit_test(a_torn_end_is_charged_though_its_recovery_is_cut_off),
        cmocka_unit_test(a_failed_write_makes_the_ledger_read_only),
        cmocka_unit_test(a_failed_allocation_changes_nothing),
        cmocka_unit_test(a_real_ledger_is_locked_private_and_lasting),
        cmocka_unit_test(a_killed_process_has_sent_no_more_than_was_charged),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
