#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/ledger/disk.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

/* ---- helpers ---- */

/* A ledger with one domain, two open tasks of 5 and 3 steps, two spends and a seal; its bytes are in the disk. */
static void
write_history(struct disk *disk)
{
    struct ft_ledger *l = disk_open(disk);
    const struct ft_ledger_reservation first = disk_task(1, 5), second = disk_task(2, 3);
    assert_int_equal(ft_ledger_open_domain(l, &disk_adaptive, NULL), FT_OK);
    assert_int_equal(ft_ledger_reserve(l, &first, NULL, NULL), FT_OK);
    assert_int_equal(ft_ledger_reserve(l, &second, NULL, NULL), FT_OK);
    assert_int_equal(ft_ledger_spend(l, first.task, 7, disk_session, NULL), FT_OK);
    assert_int_equal(ft_ledger_seal(l, first.task, 7, disk_session, NULL), FT_OK);
    assert_int_equal(ft_ledger_spend(l, second.task, 8, disk_session, NULL), FT_OK);
    ft_ledger_close(l);
}

/* ---- admission and counting ---- */

/* Opening a new ledger writes its GENESIS, and opening it again finds the same head. */
static void
a_new_ledger_is_made_once(void **state)
{
    struct disk disk = { 0 };
    struct ft_ledger_opened opened;
    struct ft_ledger_head first, again;
    struct ft_ledger *l;
    (void)state;

    assert_int_equal(disk_try(&disk, "shop-1", &l, &opened, NULL), FT_OK);
    assert_true(opened.created);
    ft_ledger_head(l, &first);
    assert_int_equal(first.seq, 0);
    ft_ledger_close(l);
    assert_int_equal(disk_try(&disk, "shop-1", &l, &opened, NULL), FT_OK);
    assert_false(opened.created);
    ft_ledger_head(l, &again);
    assert_memory_equal(&first, &again, sizeof first);
    ft_ledger_close(l);
    disk_clear(&disk);
}

/* What was written is what is read back: domain, reservations, spends, seal and close. */
static void
everything_survives_a_restart(void **state)
{
    struct disk disk = { 0 };
    const struct ft_ledger_reservation first = disk_task(1, 5);
    struct ft_ledger *l;
    (void)state;

    write_history(&disk);
    l = disk_open(&disk);
    assert_int_equal(ft_ledger_domain_count(l), 1);
    assert_string_equal(ft_ledger_domain_at(l, 0)->id, "customers-2026");
    assert_int_equal(ft_ledger_task_count(l), 2);
    const struct ft_ledger_task *t = ft_ledger_task_find(l, first.task);
    assert_int_equal(t->spent, 1);
    assert_int_equal(t->charged, 5); /* open: the whole reservation */
    assert_int_equal(t->reserved.delta_int_sq, first.delta_int_sq);
    assert_true(ft_ledger_round_spent(l, first.task, 7));
    assert_false(ft_ledger_round_spent(l, first.task, 8));
    assert_int_equal(ft_ledger_close_task(l, first.task, FT_LEDGER_FINISHED, NULL), FT_OK);
    ft_ledger_close(l);

    l = disk_open(&disk);
    t = ft_ledger_task_find(l, first.task);
    assert_false(t->open);
    assert_int_equal(t->reason, FT_LEDGER_FINISHED);
    assert_int_equal(t->charged, 1); /* closed: what was spent */
    ft_ledger_close(l);
    disk_clear(&disk);
}

/* A step is spent once: the same round again, one more than T, a closed or an unknown task are refused and nothing is
 * written. */
static void
no_step_is_spent_twice_or_beyond_its_task(void **state)
{
    struct disk disk = { 0 };
    struct ft_ledger *l = disk_open(&disk);
    const struct ft_ledger_reservation task = disk_task(1, 3), other = disk_task(2, 1);
    struct ft_error err = { 0 };
    (void)state;

    assert_int_equal(ft_ledger_open_domain(l, &disk_adaptive, NULL), FT_OK);
    assert_int_equal(ft_ledger_spend(l, task.task, 1, disk_session, NULL), FT_ERR_NOTFOUND);
    assert_int_equal(ft_ledger_reserve(l, &task, NULL, NULL), FT_OK);
    assert_int_equal(ft_ledger_reserve(l, &task, NULL, NULL), FT_OK); /* again: no second charge */
    assert_int_equal(ft_ledger_task_count(l), 1);
    assert_int_equal(ft_ledger_spend(l, task.task, 5, disk_session, NULL), FT_OK);
    size_t size = disk.durable.size;
    assert_int_equal(ft_ledger_spend(l, task.task, 5, disk_session, NULL), FT_ERR_STATE);
    assert_int_equal(ft_ledger_seal(l, task.task, 6, disk_session, NULL), FT_ERR_STATE);
    assert_int_equal(disk.durable.size, size);
    assert_int_equal(ft_ledger_spend(l, task.task, 2, disk_session, NULL), FT_OK); /* an earlier number is another round */
    assert_int_equal(ft_ledger_spend(l, task.task, 9, disk_session, NULL), FT_OK);
    size = disk.durable.size;
    assert_int_equal(ft_ledger_spend(l, task.task, 10, disk_session, &err), FT_ERR_REFUSED);
    assert_non_null(strstr(err.text, "REFUSED_BUDGET"));
    assert_int_equal(ft_ledger_close_task(l, task.task, FT_LEDGER_FINISHED, NULL), FT_OK);
    assert_int_equal(ft_ledger_spend(l, task.task, 11, disk_session, NULL), FT_ERR_STATE);
    assert_int_equal(ft_ledger_close_task(l, task.task, FT_LEDGER_FINISHED, NULL), FT_ERR_STATE);
    assert_int_equal(ft_ledger_close_task(l, other.task, FT_LEDGER_FINISHED, NULL), FT_ERR_NOTFOUND);
    assert_true(disk.durable.size > size); /* the close alone */
    ft_ledger_close(l);
    disk_clear(&disk);
}

/* A task that the domain cannot pay for is refused with the numbers, and nothing is written; the same task with its
 * charge lowered by a close of an earlier one fits. */
static void
a_budget_admits_exactly_what_it_can_pay(void **state)
{
    struct disk disk = { 0 };
    struct ft_ledger *l = disk_open(&disk);
    const struct ft_ledger_reservation first = disk_task(1, 1000), second = disk_task(2, 1000);
    struct ft_ledger_quote quote;
    struct ft_error err = { 0 };
    (void)state;

    assert_int_equal(ft_ledger_open_domain(l, &disk_adaptive, NULL), FT_OK);
    assert_int_equal(ft_ledger_reserve(l, &first, &quote, NULL), FT_OK);
    assert_true(quote.admitted);
    assert_true(quote.rdp_now == 0 && quote.epsilon_now == 0);
    assert_true(quote.rdp_after <= quote.rdp_budget && quote.epsilon_after <= quote.epsilon_max);
    const size_t size = disk.durable.size;
    assert_int_equal(ft_ledger_reserve(l, &second, &quote, &err), FT_ERR_REFUSED);
    assert_false(quote.admitted);
    assert_true(quote.epsilon_now > 0 && quote.epsilon_now < quote.epsilon_max);
    assert_true(quote.epsilon_after > quote.epsilon_max);
    assert_non_null(strstr(err.text, "REFUSED_BUDGET"));
    assert_int_equal(disk.durable.size, size);

    assert_int_equal(ft_ledger_spend(l, first.task, 1, disk_session, NULL), FT_OK);
    assert_int_equal(ft_ledger_close_task(l, first.task, FT_LEDGER_WITHDRAWN, NULL), FT_OK);
    assert_int_equal(ft_ledger_reserve(l, &second, &quote, NULL), FT_OK);
    ft_ledger_close(l);
    disk_clear(&disk);
}

/* A failed audit closes a task, and its whole reservation stays charged. */
static void
a_failed_audit_keeps_the_charge(void **state)
{
    struct disk disk = { 0 };
    struct ft_ledger *l = disk_open(&disk);
    const struct ft_ledger_reservation task = disk_task(1, 40);
    (void)state;

    assert_int_equal(ft_ledger_open_domain(l, &disk_adaptive, NULL), FT_OK);
    assert_int_equal(ft_ledger_reserve(l, &task, NULL, NULL), FT_OK);
    assert_int_equal(ft_ledger_spend(l, task.task, 1, disk_session, NULL), FT_OK);
    assert_int_equal(ft_ledger_close_task(l, task.task, FT_LEDGER_FAILED_AUDIT, NULL), FT_OK);
    assert_int_equal(ft_ledger_task_find(l, task.task)->charged, 40);
    ft_ledger_close(l);
    disk_clear(&disk);
}

/* A domain's terms are for good: the same again change nothing, others are refused. */
static void
a_domain_never_refills(void **state)
{
    struct disk disk = { 0 };
    struct ft_ledger *l = disk_open(&disk);
    struct ft_ledger_domain more = disk_adaptive, bad = disk_adaptive;
    (void)state;

    assert_int_equal(ft_ledger_open_domain(l, &disk_adaptive, NULL), FT_OK);
    const size_t size = disk.durable.size;
    assert_int_equal(ft_ledger_open_domain(l, &disk_adaptive, NULL), FT_OK);
    more.epsilon_max *= 2;
    assert_int_equal(ft_ledger_open_domain(l, &more, NULL), FT_ERR_DUPLICATE);
    strcpy(bad.id, "other");
    bad.delta = 1e-2;
    assert_int_equal(ft_ledger_open_domain(l, &bad, NULL), FT_ERR_LIMIT);
    bad.delta = NAN;
    assert_int_equal(ft_ledger_open_domain(l, &bad, NULL), FT_ERR_LIMIT);
    bad = disk_adaptive;
    strcpy(bad.id, "other");
    bad.method = FT_ACCOUNT_PLD; /* not valid when tasks are chosen adaptively */
    assert_int_equal(ft_ledger_open_domain(l, &bad, NULL), FT_ERR_LIMIT);
    assert_int_equal(disk.durable.size, size);
    ft_ledger_close(l);
    disk_clear(&disk);
}

/* A plan is fixed before its first step: its tasks are admitted by PLD, spending needs exactly the hashed list, and no
 * task joins later. */
static void
a_planned_domain_spends_its_plan_and_nothing_else(void **state)
{
    struct disk disk = { 0 };
    struct ft_ledger *l = disk_open(&disk);
    struct ft_ledger_reservation plan[2] = { disk_task(1, 200), disk_task(2, 100) };
    struct ft_ledger_reservation late = disk_task(3, 1);
    struct ft_ledger_domain d = { .id = "plan", .mode = FT_LEDGER_PLANNED, .method = FT_ACCOUNT_PLD,
                                  .epsilon_max = 4, .delta = 1e-6 };
    (void)state;

    for (int i = 0; i < 2; i++)
        strcpy(plan[i].domain, "plan");
    strcpy(late.domain, "plan");
    ft_ledger_plan_hash(plan, 2, d.plan_hash);
    assert_int_equal(ft_ledger_open_domain(l, &d, NULL), FT_OK);
    assert_int_equal(ft_ledger_reserve(l, &plan[0], NULL, NULL), FT_OK);
    assert_int_equal(ft_ledger_spend(l, plan[0].task, 1, disk_session, NULL), FT_ERR_STATE); /* half a plan */
    assert_int_equal(ft_ledger_reserve(l, &plan[1], NULL, NULL), FT_OK);
    assert_int_equal(ft_ledger_spend(l, plan[0].task, 1, disk_session, NULL), FT_OK);
    assert_int_equal(ft_ledger_reserve(l, &late, NULL, NULL), FT_ERR_REFUSED);
    ft_ledger_close(l);
    l = disk_open(&disk); /* the same rules hold when it is read back */
    assert_int_equal(ft_ledger_task_count(l), 2);
    ft_ledger_close(l);
    disk_clear(&disk);
}

/* Noise too small for any claim, shops beyond the accountant's limit and zero steps are refused before the budget is
 * asked. */
static void
a_reservation_without_a_claim_is_refused(void **state)
{
    struct disk disk = { 0 };
    struct ft_ledger *l = disk_open(&disk);
    struct ft_ledger_reservation t = disk_task(1, 10);
    (void)state;

    assert_int_equal(ft_ledger_open_domain(l, &disk_adaptive, NULL), FT_OK);
    t.sigma_share = 100; /* z_eff below 0.3 */
    assert_int_equal(ft_ledger_reserve(l, &t, NULL, NULL), FT_ERR_LIMIT);
    t = disk_task(1, 0);
    assert_int_equal(ft_ledger_reserve(l, &t, NULL, NULL), FT_ERR_LIMIT);
    t = disk_task(1, 10);
    t.m_stores = FT_ACCOUNT_STORES_MAX + 1;
    assert_int_equal(ft_ledger_reserve(l, &t, NULL, NULL), FT_ERR_LIMIT);
    t = disk_task(1, 10);
    strcpy(t.domain, "nowhere");
    assert_int_equal(ft_ledger_reserve(l, &t, NULL, NULL), FT_ERR_NOTFOUND);
    assert_int_equal(ft_ledger_task_count(l), 0);
    ft_ledger_close(l);
    disk_clear(&disk);
}

/* Reports: events of one domain, of all, charged or spent. */
static void
events_are_whole_counts(void **state)
{
    struct disk disk = { 0 };
    struct ft_account_event *events;
    size_t count;
    struct ft_ledger *l;
    (void)state;

    write_history(&disk);
    l = disk_open(&disk);
    assert_int_equal(ft_ledger_events(l, "customers-2026", false, &events, &count), FT_OK);
    assert_int_equal(count, 2);
    assert_int_equal(events[0].steps, 5);
    assert_int_equal(events[1].steps, 3);
    assert_true(fabs(events[0].z - 1.00026711) < 1e-8 && events[0].q == 1.0 / 128);
    ft_free(events);
    assert_int_equal(ft_ledger_events(l, NULL, true, &events, &count), FT_OK);
    assert_int_equal(count, 2);
    assert_int_equal(events[0].steps, 1);
    ft_free(events);
    assert_int_equal(ft_ledger_events(l, "none", false, &events, &count), FT_OK);
    assert_int_equal(count, 0);
    ft_free(events);
    ft_ledger_close(l);
    disk_clear(&disk);
}

/* ---- damage ---- */

/* Cut anywhere: on a record's end the older state opens as it was (only the head tells); within a record the torn end
 * is cut off and every open task pays one step. The charge never falls below what the kept records spent. */
static void
a_file_cut_at_any_byte_is_mended_at_a_price_or_refused(void **state)
{
    struct disk whole = { 0 };
    struct ft_ledger_head head, older;
    size_t torn_cuts = 0, clean_cuts = 0;
    struct ft_ledger *l;
    (void)state;

    write_history(&whole);
    l = disk_open(&whole);
    ft_ledger_head(l, &head);
    ft_ledger_close(l);
    for (size_t size = 0; size < whole.durable.size; size++) {
        struct disk cut = { 0 };
        struct ft_ledger_opened opened;
        struct ft_error err = { 0 };
        disk_copy(&cut, &whole, size);
        assert_int_equal(disk_try(&cut, "shop-1", &l, &opened, &err), FT_OK);
        uint64_t open = 0;
        for (size_t i = 0; i < ft_ledger_task_count(l); i++) {
            const struct ft_ledger_task *t = ft_ledger_task_at(l, i);
            assert_int_equal(t->recovered, opened.torn > 0 ? 1 : 0);
            assert_int_equal(t->charged, t->reserved.steps);
            open += t->open;
        }
        assert_int_equal(opened.recovered, opened.torn > 0 ? open : 0);
        ft_ledger_head(l, &older); /* the aggregator knows a later one, or another at that number */
        assert_int_equal(ft_ledger_check_head(l, &head, "the aggregator", NULL), FT_ERR_VERIFY);
        torn_cuts += opened.torn > 0;
        clean_cuts += opened.torn == 0;
        ft_ledger_close(l);
        assert_int_equal(disk_try(&cut, "shop-1", &l, &opened, NULL), FT_OK); /* mended once */
        assert_int_equal(opened.torn, 0);
        ft_ledger_close(l);
        disk_clear(&cut);
    }
    assert_int_equal(clean_cuts, 7); /* the empty file and six ends of records */
    assert_true(torn_cuts > 300);
    disk_clear(&whole);
}

/* A flipped bit anywhere: refused as corrupt, or (in the last record only) taken for a torn end and paid for. It never
 * opens as if nothing had happened. */
static void
a_flipped_bit_is_never_overlooked(void **state)
{
    struct disk whole = { 0 };
    struct ft_ledger *l;
    size_t corrupt = 0, torn = 0;
    (void)state;

    write_history(&whole);
    for (size_t at = 0; at < whole.durable.size; at++)
        for (int bit = 0; bit < 8; bit++) {
            struct disk bad = { 0 };
            struct ft_ledger_opened opened = { 0 };
            struct ft_error err = { 0 };
            disk_copy(&bad, &whole, whole.durable.size);
            bad.durable.data[at] ^= (uint8_t)(1u << bit);
            const enum ft_status st = disk_try(&bad, "shop-1", &l, &opened, &err);
            if (st == FT_OK) {
                assert_true(opened.torn > 0 && opened.recovered == 2);
                torn++;
            } else {
                assert_int_equal(st, FT_ERR_VERIFY);
                assert_non_null(strstr(err.text, "LEDGER_CORRUPT"));
                corrupt++;
            }
            ft_ledger_close(l);
            disk_clear(&bad);
        }
    assert_true(torn == 0 || torn < corrupt / 100);
    disk_clear(&whole);
}

/* A record left out of the middle, two swapped, one repeated, and bytes behind the end are all corrupt. */
static void
records_out_of_order_are_corrupt(void **state)
{
    struct disk whole = { 0 }, bad = { 0 };
    struct ft_ledger *l;
    (void)state;

    write_history(&whole);
    const size_t spend = 13 + 72 + 32, last = whole.durable.size - spend, before = last - spend;
    for (int how = 0; how < 4; how++) {
        disk_copy(&bad, &whole, whole.durable.size);
        if (how == 0) { /* left out */
            memcpy(bad.durable.data + before, whole.durable.data + last, spend);
            bad.durable.size -= spend;
        } else if (how == 1) { /* swapped */
            memcpy(bad.durable.data + before, whole.durable.data + last, spend);
            memcpy(bad.durable.data + last, whole.durable.data + before, spend);
        } else if (how == 2) { /* repeated */
            assert_int_equal(ft_buf_append(&bad.durable, whole.durable.data + last, spend), FT_OK);
        } else { /* something else behind the end */
            assert_int_equal(ft_buf_append(&bad.durable, "what is this", 12), FT_OK);
        }
        struct ft_error err = { 0 };
        assert_int_equal(disk_try(&bad, "shop-1", &l, NULL, &err), FT_ERR_VERIFY);
        assert_non_null(strstr(err.text, "LEDGER_CORRUPT"));
        assert_null(l);
        disk_clear(&bad);
    }
    disk_clear(&whole);
}

/* A file system may leave zeros where an append did not arrive: a torn end, and paid for. */
static void
zeros_behind_the_end_are_a_torn_end(void **state)
{
    struct disk disk = { 0 };
    struct ft_ledger_opened opened;
    struct ft_ledger *l;
    uint8_t zeros[117] = { 0 };
    (void)state;

    write_history(&disk);
    assert_int_equal(ft_buf_append(&disk.durable, zeros, sizeof zeros), FT_OK);
    assert_int_equal(disk_try(&disk, "shop-1", &l, &opened, NULL), FT_OK);
    assert_int_equal(opened.torn, sizeof zeros);
    assert_int_equal(opened.recovered, 2);
    ft_ledger_close(l);
    disk_clear(&disk);
}

/* The last record has its length, and its last bytes never arrived, be it one of them or all but its head: a torn end, cut
 * off and paid for (privacy-accounting.md, section 10, rule 4). */
static void
zeros_for_the_end_of_the_last_record_are_a_torn_end(void **state)
{
    struct disk whole = { 0 };
    const size_t spend = 13 + 72 + 32;
    (void)state;

    write_history(&whole);
    for (size_t lost = 1; lost <= spend - 13; lost++) {
        struct disk bad = { 0 };
        struct ft_ledger_opened opened = { 0 };
        struct ft_error err = { 0 };
        struct ft_ledger *l;
        disk_copy(&bad, &whole, whole.durable.size);
        memset(bad.durable.data + whole.durable.size - lost, 0, lost);
        if (disk_try(&bad, "shop-1", &l, &opened, &err) != FT_OK)
            fail_msg("%zu bytes lost: %s", lost, err.text);
        if (memcmp(bad.durable.data, whole.durable.data, whole.durable.size) != 0) {
            assert_int_equal(opened.torn, spend);
            assert_int_equal(opened.recovered, 2);
        }
        ft_ledger_close(l);
        disk_clear(&bad);
    }
    disk_clear(&whole);
}

/* Another shop's ledger, another key's, and a file that is no ledger open for nobody. */
static void
a_foreign_ledger_is_refused(void **state)
{
    struct disk disk = { 0 };
    struct ft_error err = { 0 };
    struct ft_ledger *l;
    (void)state;

    write_history(&disk);
    assert_int_equal(disk_try(&disk, "shop-2", &l, NULL, &err), FT_ERR_VERIFY);
    assert_non_null(strstr(err.text, "LEDGER_FOREIGN"));
    disk.key[0] ^= 1;
    err = (struct ft_error){ 0 };
    assert_int_equal(disk_try(&disk, "shop-1", &l, NULL, &err), FT_ERR_VERIFY);
    assert_non_null(strstr(err.text, "LEDGER_CORRUPT"));
    disk_clear(&disk);
    assert_int_equal(ft_buf_append(&disk.durable, "customer_id,week\n17,3\n", 22), FT_OK);
    assert_int_equal(disk_try(&disk, "shop-1", &l, NULL, NULL), FT_ERR_VERIFY);
    disk_clear(&disk);
}

/* An older copy put back, and then written on, is told from the ledger that the aggregator has seen. */
static void
a_rolled_back_ledger_is_found_by_its_head(void **state)
{
    struct disk disk = { 0 }, older = { 0 };
    const struct ft_ledger_reservation second = disk_task(2, 3);
    struct ft_ledger_head seen, now;
    struct ft_error err = { 0 };
    struct ft_ledger *l;
    (void)state;

    write_history(&disk);
    disk_copy(&older, &disk, disk.durable.size);
    l = disk_open(&disk);
    ft_ledger_head(l, &now);
    assert_int_equal(ft_ledger_check_head(l, &now, "the aggregator", NULL), FT_OK);
    assert_int_equal(ft_ledger_spend(l, second.task, 20, disk_session, NULL), FT_OK);
    assert_int_equal(ft_ledger_check_head(l, &now, "the aggregator", NULL),
                     FT_OK); /* the aggregator may be behind */
    ft_ledger_head(l, &seen);
    ft_ledger_close(l);

    l = disk_open(&older);
    assert_int_equal(ft_ledger_check_head(l, &seen, "the aggregator", &err), FT_ERR_VERIFY);
    assert_non_null(strstr(err.text, "LEDGER_ROLLBACK: the aggregator has seen record "));
    assert_int_equal(ft_ledger_spend(l, second.task, 21, disk_session, NULL), FT_OK); /* the same number again */
    ft_ledger_head(l, &now);
    assert_int_equal(now.seq, seen.seq);
    assert_int_equal(ft_ledger_check_head(l, &seen, "the aggregator", NULL), FT_ERR_VERIFY);
    ft_ledger_close(l);
    disk_clear(&older);
    disk_clear(&disk);
}

/* To look at a ledger needs no lock and changes nothing; a torn end counts as it would. */
static void
a_view_counts_and_never_writes(void **state)
{
    struct disk disk = { 0 };
    const struct ft_ledger_reservation first = disk_task(1, 5);
    struct ft_ledger *l;
    (void)state;

    write_history(&disk);
    disk.durable.size -= 5;
    assert_int_equal(ft_ledger_view(ft_buf_bytes(&disk.durable), disk.key, NULL, &l, NULL), FT_OK);
    assert_string_equal(ft_ledger_shop(l), "shop-1");
    assert_false(ft_ledger_writable(l));
    assert_int_equal(ft_ledger_task_find(l, first.task)->recovered, 1);
    assert_int_equal(ft_ledger_spend(l, first.task, 50, disk_session, NULL), FT_ERR_STATE);
    ft_ledger_close(l);
    disk_clear(&disk);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_ledger_is_made_once),
        cmocka_unit_test(everything_survives_a_restart),
        cmocka_unit_test(no_step_is_spent_twice_or_beyond_its_task),
        cmocka_unit_test(a_budget_admits_exactly_what_it_can_pay),
        cmocka_unit_test(a_failed_audit_keeps_the_charge),
        cmocka_unit_test(a_domain_never_refills),
        cmocka_unit_test(a_planned_domain_spends_its_plan_and_nothing_else),
        cmocka_unit_test(a_reservation_without_a_claim_is_refused),
        cmocka_unit_test(events_are_whole_counts),
        cmocka_unit_test(a_file_cut_at_any_byte_is_mended_at_a_price_or_refused),
        cmocka_unit_test(a_flipped_bit_is_never_overlooked),
        cmocka_unit_test(records_out_of_order_are_corrupt),
        cmocka_unit_test(zeros_behind_the_end_are_a_torn_end),
        cmocka_unit_test(zeros_for_the_end_of_the_last_record_are_a_torn_end),
        cmocka_unit_test(a_foreign_ledger_is_refused),
        cmocka_unit_test(a_rolled_back_ledger_is_found_by_its_head),
        cmocka_unit_test(a_view_counts_and_never_writes),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
