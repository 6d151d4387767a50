/* The shop's budget: what a task may cost, when it is charged, and what makes all of it stop. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/vault/budget.h"
#include "client/vault/home.h"
#include "common/base/alloc.h"
#include "common/plan/privacy_plan.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define YAML(epsilon)                                                                                                  \
    "version: 1\ntask: sample\ntitle: A sample\npurpose: train/propensity\nowner: Central data team\n"                \
    "expires: 2027-12-31\nreview: 2027-06-30\nunit: customer\nexamples:\n"                                             \
    "  sql: SELECT customer_id, split, y, a, b FROM t\n  label: {column: y, min: 0, max: 1}\n  features:\n"            \
    "    - {name: a, min: 0, max: 10}\n    - {name: b, min: -1, max: 1}\n"                                             \
    "  rows_per_customer: 3\n  rows_max: 1000\nmodel: {kind: logistic}\n"                                              \
    "training: {rounds: 3, local_epochs: 2, batch_size: 0, learning_rate: 0.5, clip: 0.5, weight_cap: 2000,\n"         \
    "           server: {optimizer: fedavg, learning_rate: 1}}\nprivacy:\n"                                           \
    "  noise: discrete-gaussian\n  epsilon: " epsilon "\n  delta: 1.0e-5\n  m_stores: 1\n  spare_rounds: 1\n"          \
    "  expected_customers: 400\n  contribution: gradient\n"                                                            \
    "  shops: [{shop: a, customers: 500}, {shop: b, customers: 1000}, {shop: c, customers: 500},\n"                    \
    "          {shop: d, customers: 500}, {shop: e, customers: 500}, {shop: f, customers: 1000}]\n"                    \
    "cohort: {n_min: 6, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n"                  \
    "         suite: aes-256-ctr, lane_bits: 64}\n"                                                                    \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"

static const struct ft_node_key key = { .bytes = { 7 } };
static const uint8_t first_hash[32] = { 1 }, second_hash[32] = { 2 }, session[32] = { 9 };
static struct ft_policy_budget main_budget = { .domain = (char *)(uintptr_t) "main",
                                               .unit = FT_UNIT_CUSTOMER,
                                               .epsilon_max = 8,
                                               .delta = 1e-5,
                                               .mode = FT_BUDGET_ADAPTIVE,
                                               .method = FT_BUDGET_RDP };

struct fixture {
    char folder[64], path[96];
    struct ft_budget *b;
    struct ft_task task;
    struct ft_vault_store *store,
        failing; /* the shop's state, and one before it that a test has its way with */
    struct ft_vault_store_calls calls;
    struct ft_budget *spender; /* pays for the next round while the state is asked; NULL: nobody */
    uint64_t rounds;
    bool unreadable, full;
};

static struct ft_budget *
opened(const struct fixture *f, enum ft_budget_use use)
{
    struct ft_budget *b;
    struct ft_error err = { 0 };
    if (ft_budget_open(f->folder, "shop-a", &key, ft_env_system(), use, f->store, &b, &err) != FT_OK)
        fail_msg("%s", err.text);
    return b;
}

static int
setup(void **state)
{
    static const uint8_t deployment[16];
    struct fixture *f = ft_calloc(1, sizeof *f);
    struct ft_error err = { 0 };
    strcpy(f->folder, "/tmp/fedtill-budget.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/" FT_HOME_LEDGER, f->folder);
    if (ft_task_from_yaml(FT_BYTES(YAML("8"), strlen(YAML("8"))), "t.yaml", deployment, &f->task, &err) != FT_OK ||
        ft_plan_privacy_derive(&f->task, &err) != FT_OK)
        fail_msg("%s", err.text);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    ft_budget_close(f->b);
    ft_vault_store_close(f->store);
    ft_task_clear(&f->task);
    (void)unlink(f->path);
    (void)rmdir(f->folder);
    ft_free(f);
    return 0;
}

/* Looking makes no file, and a shop without one has spent nothing. */
static void
budget_is_looked_at_without_a_trace(void **state)
{
    struct fixture *f = *state;
    struct ft_policy_ledger answer;
    f->b = opened(f, FT_BUDGET_LOOK);
    assert_null(ft_budget_ledger(f->b));
    assert_int_equal(ft_budget_fault(f->b, NULL), 0);
    ft_budget_ask(f->b, &main_budget, &f->task, first_hash, &answer);
    assert_true(answer.answered && answer.admitted && !answer.reserved);
    assert_true(answer.epsilon_now <= 0 && answer.epsilon_after <= 8 && answer.epsilon_after > 7.9);
    assert_true(access(f->path, F_OK) != 0);
    uint32_t code;
    assert_int_equal(ft_budget_reserve(f->b, &main_budget, &f->task, first_hash, &code, NULL), FT_ERR_STATE);
}

/* A task of epsilon 8 fits a budget of 8, for its own best order is fixed with it; no second one does. */
static void
budget_lets_one_task_use_all_of_it(void **state)
{
    struct fixture *f = *state;
    struct ft_policy_ledger answer;
    struct ft_error err = { 0 };
    uint32_t code = 0;
    f->b = opened(f, FT_BUDGET_KEEP);
    assert_int_equal(ft_budget_reserve(f->b, &main_budget, &f->task, first_hash, &code, &err), FT_OK);
    assert_int_equal(ft_budget_reserve(f->b, &main_budget, &f->task, first_hash, &code, &err), FT_OK); /* the same */
    ft_budget_ask(f->b, &main_budget, &f->task, second_hash, &answer);
    assert_false(answer.admitted);
    assert_true(answer.epsilon_now > 7.9 && answer.epsilon_after > 8);
    assert_int_equal(ft_budget_reserve(f->b, &main_budget, &f->task, second_hash, &code, &err), FT_ERR_REFUSED);
    assert_int_equal(code, FT_REFUSAL_REFUSED_BUDGET);
    assert_non_null(strstr(err.text, "has spent epsilon"));
    /* A larger number in policy.yaml refills nothing. */
    struct ft_policy_budget more = main_budget;
    more.epsilon_max = 100;
    assert_int_equal(ft_budget_reserve(f->b, &more, &f->task, second_hash, &code, NULL), FT_ERR_REFUSED);
}

/* What a customer can be told by, through this shop's data: with unit store at half the noise; a task whose unit is not
 * known any more counts as whichever is worse, for one customer and for many. */
static void
budget_bounds_a_customer_of_a_store_task_at_half_the_noise(void **state)
{
    const struct ft_ledger_task t = { .reserved = { .q_num = FT_PRIVACY_Q_ONE,
                                                    .delta_int_sq = UINT64_C(1) << 24,
                                                    .sigma_share = 20000,
                                                    .t_min = 8,
                                                    .m_stores = 1,
                                                    .steps = 10 },
                                      .spent = 3,
                                      .recovered = 1 };
    struct ft_ledger_task other = t;
    const double z = ft_privacy_z_eff(t.reserved.delta_int_sq, 8, 20000);
    double customer, store, unknown, most;
    struct ft_account_cost cost;
    (void)state;

    assert_true(ft_budget_customer_event(&t, FT_UNIT_CUSTOMER).z == z);
    assert_true(ft_budget_customer_event(&t, FT_UNIT_STORE).z == z / 2);
    assert_true(ft_budget_customer_event(&t, 0).z == z / 2);
    assert_int_equal(ft_budget_customer_event(&t, 0).steps, 4);
    assert_true(ft_budget_customer_bound(&t, FT_UNIT_CUSTOMER, 1e-5, 1, &customer));
    assert_true(ft_budget_customer_bound(&t, FT_UNIT_STORE, 1e-5, 1, &store));
    assert_true(ft_budget_customer_bound(&t, 0, 1e-5, 1, &unknown));
    assert_true(store > 1.5 * customer && unknown == store);
    assert_int_equal(ft_account_cost(&(struct ft_account_event){ 1, z / 2, 4, 1 }, 1, 1e-5, &cost), FT_OK);
    assert_true(store == cost.pld);
    /* Forty erased customers are all in the one vector; as customers of their own they cost more than that. */
    assert_true(ft_budget_customer_bound(&t, FT_UNIT_STORE, 1e-5, 40, &most) && most == store);
    assert_true(ft_budget_customer_bound(&t, FT_UNIT_CUSTOMER, 1e-5, 40, &customer));
    assert_true(ft_budget_customer_bound(&t, 0, 1e-5, 40, &unknown));
    assert_true(unknown == customer && customer > store);
    assert_false(ft_budget_customer_bound(&t, 0, 1e-5, UINT64_MAX, &unknown));
    /* Sampling or several shops: numbers that no task of unit store has. */
    other.reserved.m_stores = 4;
    assert_false(ft_budget_of_store(0, &other.reserved));
    assert_true(ft_budget_customer_event(&other, 0).z == z);
    other = t;
    other.reserved.q_num /= 2;
    assert_false(ft_budget_of_store(0, &other.reserved));
    other.spent = other.recovered = 0;
    assert_false(ft_budget_customer_bound(&other, 0, 1e-5, 1, &unknown));
}

/* A smaller one counts from now on. */
static void
budget_made_smaller_by_the_policy_counts(void **state)
{
    struct fixture *f = *state;
    struct ft_policy_budget less = main_budget;
    uint32_t code = 0;
    f->b = opened(f, FT_BUDGET_KEEP);
    less.epsilon_max = 4;
    assert_int_equal(ft_budget_reserve(f->b, &less, &f->task, first_hash, &code, NULL), FT_ERR_REFUSED);
    assert_int_equal(code, FT_REFUSAL_REFUSED_BUDGET);
    assert_int_equal(ft_ledger_domain_count(ft_budget_ledger(f->b)), 0); /* nothing was opened for it */
}

/* Not one round twice, not beyond T, not without a reservation, not after the end. */
static void
budget_pays_each_round_once_and_no_more_than_t(void **state)
{
    struct fixture *f = *state;
    uint32_t code = 0;
    f->b = opened(f, FT_BUDGET_KEEP);
    assert_false(ft_budget_can_pay(f->b, first_hash, 1));
    assert_true(ft_budget_spend(f->b, first_hash, 1, session, NULL) != FT_OK);
    assert_int_equal(ft_budget_reserve(f->b, &main_budget, &f->task, first_hash, &code, NULL), FT_OK);
    for (uint64_t round = 1; round <= f->task.privacy.steps; round++) {
        assert_true(ft_budget_can_pay(f->b, first_hash, round));
        assert_int_equal(ft_budget_spend(f->b, first_hash, round, session, NULL), FT_OK);
        assert_false(ft_budget_can_pay(f->b, first_hash, round));
        assert_true(ft_budget_spend(f->b, first_hash, round, session, NULL) != FT_OK);
    }
    assert_false(ft_budget_can_pay(f->b, first_hash, 99));
    assert_true(ft_budget_spend(f->b, first_hash, 99, session, NULL) != FT_OK);
    assert_int_equal(ft_budget_end_task(f->b, first_hash, FT_LEDGER_FINISHED, NULL), FT_OK);
    assert_int_equal(ft_budget_end_task(f->b, first_hash, FT_LEDGER_FINISHED, NULL), FT_OK);
    assert_int_equal(ft_budget_reserve(f->b, &main_budget, &f->task, first_hash, &code, NULL), FT_ERR_STATE);
}

/* Less noise, a larger sample, fewer steps or a longer vector than the task's own wishes lead to: no terms are asked of
 * the ledger, and nothing is charged. There is no weak mode. */
static void
budget_refuses_numbers_that_do_not_agree(void **state)
{
    struct fixture *f = *state;
    struct ft_policy_ledger answer;
    const struct ft_task_privacy good = f->task.privacy;
    f->b = opened(f, FT_BUDGET_KEEP);
#define FALSE_NUMBER(field, value)                                                                                     \
    do {                                                                                                               \
        f->task.privacy.field = value;                                                                                 \
        ft_budget_ask(f->b, &main_budget, &f->task, first_hash, &answer);                                              \
        assert_int_equal(answer.fault, FT_REFUSAL_BAD_PARAMETERS);                                                     \
        assert_false(answer.admitted);                                                                                 \
        assert_true(answer.text[0] != 0);                                                                              \
        f->task.privacy = good;                                                                                        \
    } while (0)
    FALSE_NUMBER(sigma_share, good.sigma_share / 2);
    FALSE_NUMBER(sigma_share, 0);
    FALSE_NUMBER(q_num, good.q_num / 2);
    FALSE_NUMBER(steps, good.steps - 1);
    FALSE_NUMBER(delta_int_sq, good.delta_int_sq / 2);
    FALSE_NUMBER(t_min, good.t_min + 1);
    FALSE_NUMBER(scale, good.scale / 2);
    FALSE_NUMBER(delta, 0.5);
    FALSE_NUMBER(delta, 1e-4); /* above 1/(10 n_pub) */
}

/* A head that is not ours or lies ahead of us: a fault for good, in this process; then nothing is paid. */
static void
budget_behind_what_others_have_seen_pays_nothing(void **state)
{
    struct fixture *f = *state;
    struct ft_ledger_head head;
    struct ft_error err = { 0 };
    uint32_t code = 0;
    f->b = opened(f, FT_BUDGET_KEEP);
    assert_int_equal(ft_budget_reserve(f->b, &main_budget, &f->task, first_hash, &code, NULL), FT_OK);
    assert_true(ft_budget_head(f->b, &head));
    assert_int_equal(ft_budget_seen(f->b, &head, NULL), FT_OK);
    head.chain[3] ^= 1;
    assert_int_equal(ft_budget_seen(f->b, &head, &err), FT_ERR_VERIFY);
    assert_non_null(strstr(err.text,
                           "LEDGER_ROLLBACK: record 2 of this shop's privacy ledger is not the one that the "
                           "aggregator has seen"));
    assert_int_equal(ft_budget_fault(f->b, NULL), FT_REFUSAL_LEDGER_ROLLBACK);
    assert_false(ft_budget_can_pay(f->b, first_hash, 1));
    assert_int_equal(ft_budget_spend(f->b, first_hash, 1, session, NULL), FT_ERR_REFUSED);
    ft_budget_close(f->b);
    f->b = opened(f, FT_BUDGET_KEEP); /* without that head it is good again, as far as it knows */
    head.chain[3] ^= 1;
    head.seq++;
    assert_int_equal(ft_budget_seen(f->b, &head, NULL), FT_ERR_VERIFY);
}

/* The state's head, noted as a shop does it: after the ledger. */
static void
note_head(struct fixture *f, struct ft_budget *b)
{
    struct ft_ledger_head head;
    assert_true(ft_budget_head(b, &head));
    assert_int_equal(f->store->calls->ledger_put(f->store, head.seq, head.chain), FT_OK);
}

/* What the shop's own state has seen is told as that, by the vault and by a command, whether the ledger is an
 * older one or none at all. */
static void
budget_behind_the_shops_own_state_names_it(void **state)
{
    struct fixture *f = *state;
    struct ft_error err = { 0 };
    struct ft_budget *b;
    const char *text;
    uint32_t code = 0;
    assert_int_equal(ft_vault_store_memory(&f->store), FT_OK);
    f->b = opened(f, FT_BUDGET_KEEP);
    assert_int_equal(ft_budget_reserve(f->b, &main_budget, &f->task, first_hash, &code, NULL), FT_OK);
    note_head(f, f->b);
    ft_budget_close(f->b);
    assert_int_equal(unlink(f->path), 0);
    f->b = opened(f, FT_BUDGET_LOOK);
    assert_int_equal(ft_budget_fault(f->b, &text), FT_REFUSAL_LEDGER_ROLLBACK);
    assert_string_equal(
        text, "LEDGER_ROLLBACK: there is no ledger, but this shop's own state has seen its record 2; put its "
              "newest copy back");
    assert_int_equal(
        ft_budget_open(f->folder, "shop-a", &key, ft_env_system(), FT_BUDGET_KEEP, f->store, &b, &err),
        FT_ERR_VERIFY);
    assert_null(b);
    assert_string_equal(
        err.text,
        "LEDGER_ROLLBACK: this shop's own state has seen record 2 of this shop's privacy ledger, but "
        "it ends at 0: an older copy was put back");
}

static struct fixture *
of(struct ft_vault_store *s)
{
    return (struct fixture *)(void *)((char *)s - offsetof(struct fixture, failing));
}

static enum ft_status
spend_and_get(struct ft_vault_store *s, uint64_t *seq, uint8_t chain[32])
{
    struct fixture *f = of(s);
    if (f->spender != NULL) {
        assert_int_equal(ft_budget_spend(f->spender, first_hash, ++f->rounds, session, NULL), FT_OK);
        note_head(f, f->spender);
    }
    return f->store->calls->ledger_get(f->store, seq, chain);
}

static enum ft_status
opened_get(struct ft_vault_store *s, const char *domain, char day[FT_VAULT_DAY_SIZE])
{
    struct fixture *f = of(s);
    return f->unreadable ? FT_ERR_IO : f->store->calls->opened_get(f->store, domain, day);
}

static enum ft_status
opened_put(struct ft_vault_store *s, const char *domain, const char *day)
{
    struct fixture *f = of(s);
    return f->full ? FT_ERR_FULL : f->store->calls->opened_put(f->store, domain, day);
}

static struct ft_budget *
opened_by(struct fixture *f, enum ft_budget_use use)
{
    struct ft_budget *b;
    struct ft_error err = { 0 };
    if (f->store == NULL) {
        assert_int_equal(ft_vault_store_memory(&f->store), FT_OK);
        f->calls = *f->store->calls;
        f->calls.ledger_get = spend_and_get;
        f->calls.opened_get = opened_get;
        f->calls.opened_put = opened_put;
        f->failing.calls = &f->calls;
    }
    if (ft_budget_open(f->folder, "shop-a", &key, ft_env_system(), use, &f->failing, &b, &err) != FT_OK)
        fail_msg("%s", err.text);
    return b;
}

/* A shop that pays just as a command asks its state: the ledger that is read then is the newer one, and no
 * fault. */
static void
budget_of_a_running_shop_is_looked_at_without_a_false_fault(void **state)
{
    struct fixture *f = *state;
    uint32_t code = 0;
    f->b = opened_by(f, FT_BUDGET_KEEP);
    assert_int_equal(ft_budget_reserve(f->b, &main_budget, &f->task, first_hash, &code, NULL), FT_OK);
    note_head(f, f->b);
    f->spender = f->b;
    for (uint64_t i = 1; i <= 2; i++) {
        struct ft_budget *look = opened_by(f, FT_BUDGET_LOOK);
        const char *text;
        if (ft_budget_fault(look, &text) != 0)
            fail_msg("%s", text);
        assert_int_equal(ft_ledger_task_find(ft_budget_ledger(look), first_hash)->spent, i);
        ft_budget_close(look);
    }
    f->spender = NULL;
}

/* The date of the first task that was charged binds the domain: a later one, or none, is refused with both
 * dates, for the task that is paid for too; an earlier one is fine, and other domains have their own. What
 * was not charged binds nothing. */
static void
budget_opened_later_than_at_its_first_task_is_refused(void **state)
{
    struct fixture *f = *state;
    char first[] = "2027-01-31", later[] = "2027-02-01", earlier[] = "2026-12-31", other[] = "other";
    char *const wrong[] = { later, NULL };
    struct ft_policy_budget from = main_budget;
    struct ft_policy_ledger answer;
    uint32_t code = 0;
    f->b = opened_by(f, FT_BUDGET_KEEP);
    from.opened = later;
    from.epsilon_max = 4;
    assert_int_equal(ft_budget_reserve(f->b, &from, &f->task, first_hash, &code, NULL), FT_ERR_REFUSED);
    from.epsilon_max = 20;
    from.opened = first;
    assert_int_equal(ft_budget_reserve(f->b, &from, &f->task, first_hash, &code, NULL), FT_OK);
    for (size_t i = 0; i < 2; i++) {
        struct ft_error err = { 0 };
        from.opened = wrong[i];
        for (int paid = 0; paid < 2; paid++) {
            ft_budget_ask(f->b, &from, &f->task, paid ? first_hash : second_hash, &answer);
            assert_int_equal(answer.fault, FT_REFUSAL_BUDGET_MISSING);
            assert_false(answer.admitted || answer.answered);
            assert_string_equal(
                answer.text, i == 0
                                 ? "budget main was opened for who came by 2027-01-31; policy.yaml says "
                                   "opened: 2027-02-01 now, and another shop may have charged who came after"
                                 : "budget main was opened for who came by 2027-01-31; policy.yaml says "
                                   "opened: nothing now, and another shop may have charged who came after");
            assert_int_equal(
                ft_budget_reserve(f->b, &from, &f->task, paid ? first_hash : second_hash, &code, &err),
                FT_ERR_REFUSED);
            assert_int_equal(code, FT_REFUSAL_BUDGET_MISSING);
        }
    }
    assert_int_equal(ft_budget_fault(f->b, NULL), 0); /* the ledger itself is good */
    from.opened = earlier;
    ft_budget_ask(f->b, &from, &f->task, first_hash, &answer);
    assert_true(answer.answered && answer.reserved);
    from.opened = first; /* and back */
    assert_int_equal(ft_budget_reserve(f->b, &from, &f->task, first_hash, &code, NULL), FT_OK);
    from.domain = other;
    from.opened = later;
    assert_int_equal(ft_budget_reserve(f->b, &from, &f->task, second_hash, &code, NULL), FT_OK);
}

/* A state that cannot say or note the date: no task is taken, the ledger stays good, and the next time it is.
 */
static void
budget_whose_date_cannot_be_kept_takes_no_task(void **state)
{
    struct fixture *f = *state;
    char first[] = "2027-01-31", day[FT_VAULT_DAY_SIZE];
    struct ft_policy_budget from = main_budget;
    struct ft_policy_ledger answer;
    uint32_t code = 0;
    f->b = opened_by(f, FT_BUDGET_KEEP);
    from.opened = first;
    f->unreadable = true;
    ft_budget_ask(f->b, &from, &f->task, first_hash, &answer);
    assert_int_equal(answer.fault, FT_REFUSAL_LEDGER_IO);
    assert_int_equal(ft_budget_reserve(f->b, &from, &f->task, first_hash, &code, NULL), FT_ERR_IO);
    assert_int_equal(code, FT_REFUSAL_LEDGER_IO);
    f->unreadable = false;
    f->full = true;
    assert_int_equal(ft_budget_reserve(f->b, &from, &f->task, first_hash, &code, NULL), FT_ERR_FULL);
    assert_int_equal(code, FT_REFUSAL_LEDGER_IO);
    f->full = false;
    assert_int_equal(ft_budget_fault(f->b, NULL), 0);
    assert_int_equal(ft_budget_reserve(f->b, &from, &f->task, first_hash, &code, NULL), FT_OK);
    assert_int_equal(f->store->calls->opened_get(f->store, "main", day), FT_OK);
    assert_string_equal(day, first);
}

/* Another node key: another shop's ledger, or a forged one. */
static void
budget_of_another_key_is_no_budget(void **state)
{
    struct fixture *f = *state;
    const struct ft_node_key other = { .bytes = { 8 } };
    struct ft_budget *b;
    struct ft_error err = { 0 };
    const char *text;
    f->b = opened(f, FT_BUDGET_KEEP);
    ft_budget_close(f->b);
    f->b = NULL;
    assert_int_equal(
        ft_budget_open(f->folder, "shop-a", &other, ft_env_system(), FT_BUDGET_KEEP, NULL, &b, &err),
        FT_ERR_VERIFY);
    assert_int_equal(
        ft_budget_open(f->folder, "shop-a", &other, ft_env_system(), FT_BUDGET_LOOK, NULL, &f->b, NULL),
        FT_OK);
    assert_int_equal(ft_budget_fault(f->b, &text), FT_REFUSAL_LEDGER_CORRUPT);
    assert_non_null(strstr(text, "LEDGER_CORRUPT"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(budget_is_looked_at_without_a_trace),
        TEST(budget_lets_one_task_use_all_of_it),
        TEST(budget_bounds_a_customer_of_a_store_task_at_half_the_noise),
        TEST(budget_made_smaller_by_the_policy_counts),
        TEST(budget_pays_each_round_once_and_no_more_than_t),
        TEST(budget_refuses_numbers_that_do_not_agree),
        TEST(budget_behind_what_others_have_seen_pays_nothing),
        TEST(budget_behind_the_shops_own_state_names_it),
        TEST(budget_of_a_running_shop_is_looked_at_without_a_false_fault),
        TEST(budget_opened_later_than_at_its_first_task_is_refused),
        TEST(budget_whose_date_cannot_be_kept_takes_no_task),
        TEST(budget_of_another_key_is_no_budget),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
