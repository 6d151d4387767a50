/* The decision: every rule alone, all combinations together, and explain agreeing with enforcement. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "policy_sample.h"

#include "common/base/date.h"

struct world {
    struct ft_policy policy;
    struct ft_task task;
    struct ft_policy_facts facts;
};

static struct world
world_of(const char *yaml)
{
    struct world w = { .task = sample_task(), .facts = sample_facts() };
    assert_int_equal(policy_read(yaml, &w.policy), FT_OK);
    return w;
}

static bool
holds(const struct ft_policy_decision *d, enum ft_refusal_code code)
{
    for (size_t i = 0; i < d->code_count; i++)
        if (d->codes[i] == (uint32_t)code)
            return true;
    return false;
}

/* The one reason against it is `code`; 0: accepted. */
static void
expect_only(const struct world *w, enum ft_verdict verdict, uint32_t code)
{
    struct ft_policy_decision d;
    ft_policy_decide(&w->policy, &w->task, &w->facts, &d);
    assert_int_equal(d.verdict, verdict);
    assert_int_equal(d.code_count, code == 0 ? 0 : 1);
    if (code != 0) {
        assert_int_equal(d.codes[0], code);
        assert_string_equal(d.reasons.list[0].code, ft_refusal_name(code));
        assert_true(d.reasons.list[0].remedy[0] != '\0');
    }
}

static const char *
line_of(const struct world *w, const char *rule)
{
    static struct ft_policy_line lines[FT_POLICY_LINES_MAX];
    const size_t count = ft_policy_explain(&w->policy, &w->task, &w->facts, lines, NULL);
    for (size_t i = 0; i < count; i++)
        if (strcmp(lines[i].rule, rule) == 0)
            return lines[i].text;
    return "";
}

/* Figures have no model and no clip of their own: a vector is of length 1 at most, and what is sent are cells. */
static void
policy_explains_the_clip_and_the_cells_of_figures(void **state)
{
    struct world w = world_of(POLICY_SAMPLE);
    struct ft_task_measure measures[2] = { { .kind = FT_MEASURE_HISTOGRAM }, { .kind = FT_MEASURE_MEAN } };
    (void)state;
    w.task.kind = FT_TASK_STATISTICS;
    w.task.clip = 0;
    w.task.measures = measures;
    w.task.measure_count = 2;
    measures[0].axes[0].bins = 7;
    assert_non_null(strstr(line_of(&w, "clip"), "sums are bounded by the declared ranges"));
    assert_non_null(strstr(line_of(&w, "parameters"), "the sum has 9 cells; the policy allows"));
    w.task.noise = 1;
    assert_non_null(strstr(line_of(&w, "clip"), "the task clips a unit's vectors at 1; the policy allows"));
    ft_policy_clear(&w.policy);
}

/* Segments of too few: 10 members where the policy does not say; a shop's own floor is kept whatever the task says, with
 * noise and without; members of unit store are shops. */
static void
policy_has_a_floor_for_the_size_of_segments(void **state)
{
    struct world w = world_of(POLICY_SAMPLE);
    (void)state;
    assert_int_equal(w.policy.limits.min_cluster, 10);
    w.task.model = FT_MODEL_KMEANS;
    w.task.clusters = 3;
    w.task.min_cluster = 9;
    expect_only(&w, FT_VERDICT_REFUSED, FT_REFUSAL_CLUSTERS_TOO_SMALL);
    w.task.min_cluster = 10;
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);
    ft_policy_clear(&w.policy);
    w.policy = world_of(policy_with("limits: {clip_max", "limits: {min_cluster: 25, clip_max")).policy;
    w.task.min_cluster = 24;
    expect_only(&w, FT_VERDICT_REFUSED, FT_REFUSAL_CLUSTERS_TOO_SMALL);
    w.task.min_cluster = 25;
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);
    ft_policy_clear(&w.policy);
}

/* Segments: as many as the policy allows, 32 where it does not say; other models have none to count. */
static void
policy_limits_the_number_of_segments(void **state)
{
    struct world w = world_of(POLICY_SAMPLE);
    struct ft_policy_line lines[FT_POLICY_LINES_MAX];
    size_t count, found = 0;
    (void)state;
    assert_int_equal(w.policy.limits.clusters_max, 32);
    w.task.clusters = 33; /* of no meaning for this model */
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);
    w.task.model = FT_MODEL_KMEANS;
    w.task.min_cluster = 10;
    expect_only(&w, FT_VERDICT_REFUSED, FT_REFUSAL_CLUSTERS_TOO_MANY);
    w.task.clusters = 32;
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);
    ft_policy_clear(&w.policy);
    w.policy = world_of(policy_with("limits: {clip_max", "limits: {clusters_max: 4, clip_max")).policy;
    expect_only(&w, FT_VERDICT_REFUSED, FT_REFUSAL_CLUSTERS_TOO_MANY);
    count = ft_policy_explain(&w.policy, &w.task, &w.facts, lines, NULL);
    for (size_t i = 0; i < count; i++)
        if (strcmp(lines[i].rule, "clusters") == 0) {
            found++;
            assert_true(lines[i].line > 0 && lines[i].column > 1);
            assert_string_equal(lines[i].text, "the task makes 32 segments; the policy allows 4");
        }
    assert_int_equal(found, 1);
    w.task.clusters = 4;
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);
    ft_policy_clear(&w.policy);
}

/* The sample's task under the sample's policy is accepted, by auto_approve. */
static void
policy_good_task_is_accepted(void **state)
{
    struct world w = world_of(POLICY_SAMPLE);
    struct ft_policy_decision d;
    (void)state;
    ft_policy_decide(&w.policy, &w.task, &w.facts, &d);
    assert_int_equal(d.verdict, FT_VERDICT_ACCEPTED);
    assert_true(d.automatic);
    assert_int_equal(d.open_count, 0);
    assert_int_equal(d.reasons.count, 0);
    ft_policy_clear(&w.policy);
}

/* Facts that nobody filled in refuse. */
static void
policy_zero_facts_refuse(void **state)
{
    struct world w = world_of(POLICY_SAMPLE);
    struct ft_policy_decision d;
    (void)state;
    w.facts = (struct ft_policy_facts){ 0 };
    ft_policy_decide(&w.policy, &w.task, &w.facts, &d);
    assert_int_equal(d.verdict, FT_VERDICT_REFUSED);
    assert_true(holds(&d, FT_REFUSAL_CLOCK_BACK));
    assert_true(holds(&d, FT_REFUSAL_CONSENT_SOURCE_MISSING));
    assert_true(holds(&d, FT_REFUSAL_BASIS_MISMATCH));
    assert_true(holds(&d, FT_REFUSAL_TASK_DEPLOYMENT));
    ft_policy_clear(&w.policy);
}

/* A task with noise: its terms and its price, each at its boundary and one step beyond. min_customers does not count. */
static void
policy_budget_decides_on_tasks_with_noise(void **state)
{
    static struct ft_task_shop shops[] = { { (char *)(uintptr_t) "store-367", 100 } };
    struct world w = world_of(policy_with(
        "exclude:\n", "budgets:\n  main: {unit: customer, epsilon_max: 8, delta: 1.0e-6, epsilon_task_max: 3, t_min: 5,\n"
                      "         q_max: 0.5, m_stores: 2}\nexclude:\n"));
    (void)state;
    w.task.noise = 1;
    w.task.privacy = (struct ft_task_privacy){ .delta = 1e-6,
                                               .t_min = 5,
                                               .q_num = UINT64_C(1) << 31,
                                               .m_stores = 2,
                                               .shops = shops,
                                               .shop_count = 1 };
    w.facts.shop = "store-367";
    w.facts.ledger = (struct ft_policy_ledger){ .answered = true,
                                                .admitted = true,
                                                .epsilon_after = 8,
                                                .epsilon_max = 8,
                                                .epsilon_task = 3,
                                                .delta = 1e-6,
                                                .steps = 10 };
    w.facts.eligible_customers = 0; /* taking part must not tell how many there are */
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);
#define BEYOND(field, value, code)                                                                                     \
    do {                                                                                                               \
        const struct world kept = w;                                                                                   \
        w.field = value;                                                                                               \
        expect_only(&w, FT_VERDICT_REFUSED, FT_REFUSAL_##code);                                                        \
        w = kept;                                                                                                      \
    } while (0)
    BEYOND(task.privacy.delta, 1.1e-6, DELTA_TOO_LARGE);
    BEYOND(task.privacy.t_min, 4, SHARES_TOO_FEW);
    BEYOND(task.privacy.q_num, (UINT64_C(1) << 31) + 1, SAMPLING_TOO_HIGH);
    BEYOND(task.privacy.m_stores, 1, STORES_TOO_FEW);
    BEYOND(task.privacy.clip_max, 11, CLIP_TOO_LARGE);
    BEYOND(facts.shop, "store-1", SHOP_NOT_DECLARED);
    BEYOND(facts.ledger.epsilon_task, 3.001, EPSILON_TOO_LARGE);
    BEYOND(facts.ledger.admitted, false, REFUSED_BUDGET);
    BEYOND(facts.ledger.epsilon_after, 8.001, REFUSED_BUDGET);
    BEYOND(facts.ledger.answered, false, LEDGER_IO);
    BEYOND(facts.ledger.fault, FT_REFUSAL_LEDGER_CORRUPT, LEDGER_CORRUPT);
    BEYOND(facts.ledger.fault, FT_REFUSAL_LEDGER_ROLLBACK, LEDGER_ROLLBACK);
    BEYOND(facts.ledger.fault, FT_REFUSAL_NUMERIC_FAILURE, NUMERIC_FAILURE);
    BEYOND(facts.ledger.fault, FT_REFUSAL_BAD_PARAMETERS, BAD_PARAMETERS);
    BEYOND(policy.budget_count, 0, BUDGET_MISSING);
    /* What is paid for already stays accepted, whatever is left; what is over does not start again. */
    w.facts.ledger.reserved = true;
    w.facts.ledger.admitted = false;
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);
    w.facts.ledger.closed = true;
    expect_only(&w, FT_VERDICT_REFUSED, FT_REFUSAL_REFUSED_BUDGET);
    ft_policy_clear(&w.policy);
}

/* A task of unit store is paid for by a budget of that unit alone, however few customers the shop has. */
static void
policy_budget_of_a_store_pays_for_tasks_of_that_unit(void **state)
{
    static struct ft_task_shop shops[] = { { (char *)(uintptr_t) "store-367", 1 } };
    struct world w = world_of(policy_with("exclude:\n", "budgets:\n  people: {unit: customer, epsilon_max: 8, delta: 1.0e-6}\n"
                                                        "  shop: {unit: store, epsilon_max: 8, delta: 1.0e-3}\nexclude:\n"));
    (void)state;
    w.task.noise = 1;
    w.task.unit = FT_UNIT_STORE;
    w.task.privacy = (struct ft_task_privacy){
        .delta = 1e-3, .t_min = 5, .q_num = UINT64_C(1) << 32, .m_stores = 1, .shops = shops, .shop_count = 1
    };
    w.facts.shop = "store-367";
    w.facts.ledger = (struct ft_policy_ledger){ .answered = true, .admitted = true, .epsilon_after = 8, .epsilon_max = 8,
                                                .delta = 1e-3, .steps = 3 };
    w.facts.eligible_customers = 0; /* noise covers the shop with all of them: taking part must not tell how many */
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);
    assert_string_equal(ft_policy_budget_of(&w.policy, &w.task)->domain, "shop");
    BEYOND(task.privacy.delta, 1.1e-3, DELTA_TOO_LARGE);
    BEYOND(facts.shop, "store-1", SHOP_NOT_DECLARED);
    BEYOND(facts.ledger.epsilon_after, 8.001, REFUSED_BUDGET);
    w.policy.budget_count = 1; /* people alone, as they are listed first */
    expect_only(&w, FT_VERDICT_REFUSED, FT_REFUSAL_BUDGET_MISSING);
    w.policy.budget_count = 2;
    ft_policy_clear(&w.policy);
}

/* Each limit at its boundary passes, and one step beyond it is refused with its own code only. */
static void
policy_each_limit_refuses_one_step_beyond(void **state)
{
    struct world w = world_of(POLICY_SAMPLE);
    (void)state;
#define BOUNDARY(field, good, bad, code)                                                                     \
    do {                                                                                                     \
        const struct world kept = w;                                                                         \
        w.field = (good);                                                                                    \
        expect_only(&w, FT_VERDICT_ACCEPTED, 0);                                                             \
        w.field = (bad);                                                                                     \
        expect_only(&w, FT_VERDICT_REFUSED, FT_REFUSAL_##code);                                              \
        w = kept;                                                                                            \
    } while (0)
    BOUNDARY(task.n_min, 5, 4, COHORT_TOO_SMALL);
    BOUNDARY(task.h_min, 3, 2, HONEST_TOO_FEW);
    BOUNDARY(task.corrupted, 2, 1, CORRUPTED_TOO_FEW);
    BOUNDARY(task.drop_permille, 300, 301, DROPOUT_TOO_HIGH);
    BOUNDARY(task.sigma, 40, 39, SIGMA_TOO_LOW);
    BOUNDARY(task.clip, 10, 10.000001, CLIP_TOO_LARGE);
    BOUNDARY(task.rows_max, 500000, 500001, ROWS_TOO_MANY);
    BOUNDARY(task.session_ms, 600000, 600001, SESSION_TOO_LONG);
    BOUNDARY(task.feature_count, 999999, 1000000, PARAMETERS_TOO_MANY);
    BOUNDARY(facts.eligible_customers, 20, 19, CUSTOMERS_TOO_FEW);
    BOUNDARY(facts.guard, FT_GUARD_OK, FT_GUARD_WRITABLE, POLICY_WRITABLE);
    BOUNDARY(facts.guard, FT_GUARD_SELF, FT_GUARD_OWNER, POLICY_WRITABLE);
    BOUNDARY(facts.latest_seen_s, NOW_S + 300, NOW_S + 301, CLOCK_BACK);
    BOUNDARY(facts.consent_ready, true, false, CONSENT_SOURCE_MISSING);
    BOUNDARY(facts.data_basis, FT_BASIS_CONSENT, FT_BASIS_NONE, BASIS_MISMATCH);
    BOUNDARY(facts.approval, FT_APPROVAL_GIVEN, FT_APPROVAL_DENIED, TASK_DENIED);
    BOUNDARY(task.deployment[0], '0', '1', TASK_DEPLOYMENT);
    char expired[] = "2027-03-04", today[] = "2027-03-05";
    BOUNDARY(task.expires, today, expired, TASK_EXPIRED);
    BOUNDARY(task.review, today, expired, TASK_REVIEW_DUE);
    w.facts.approval = FT_APPROVAL_GIVEN;
    BOUNDARY(task.rounds, 500, 501, ROUNDS_TOO_MANY);
    ft_policy_clear(&w.policy);
}

/* All reasons come at once, in the order of the rules, and as text too. */
static void
policy_all_reasons_come_at_once(void **state)
{
    static const enum ft_refusal_code codes[] = {
        FT_REFUSAL_TASK_EXPIRED,      FT_REFUSAL_PURPOSE_NOT_ALLOWED, FT_REFUSAL_COLUMN_NOT_ALLOWED,
        FT_REFUSAL_COHORT_TOO_SMALL,  FT_REFUSAL_CLIP_TOO_LARGE,      FT_REFUSAL_CUSTOMERS_TOO_FEW,
        FT_REFUSAL_TASK_NOT_APPROVED,
    };
    struct world w = world_of(POLICY_SAMPLE);
    struct ft_policy_decision d;
    char purpose[] = "score/propensity", expired[] = "2027-03-04";
    (void)state;

    w.task.purpose = purpose;
    w.task.expires = expired;
    w.task.n_min = 2;
    w.task.clip = 100;
    w.facts.eligible_customers = 0;
    ft_policy_decide(&w.policy, &w.task, &w.facts, &d);
    assert_int_equal(d.verdict, FT_VERDICT_REFUSED);
    assert_int_equal(d.code_count, sizeof codes / sizeof codes[0]);
    for (size_t i = 0; i < d.code_count; i++)
        assert_int_equal(d.codes[i], codes[i]);
    assert_int_equal(d.reasons.count, 8); /* both columns are named, under one code */
    assert_string_equal(
        d.reasons.list[2].reason,
        "the query reads transactions.customer_id, which is not allowed for score/propensity");
    assert_string_equal(d.reasons.list[3].reason,
                        "the query reads transactions.week, which is not allowed for score/propensity");
    assert_int_equal(ft_refusals_exit(&d.reasons), FT_EXIT_VERIFY); /* the expired task is the gravest */
    ft_policy_clear(&w.policy);
}

/* Purpose by purpose: allowed is exactly what is listed, all 16 against all 16. */
static void
policy_purpose_never_implies_another(void **state)
{
    static const char *const verbs[] = { "train", "score", "measure", "synthesise" };
    static const char *const areas[] = { "segmentation", "propensity", "demand", "personalisation" };
    char listed[48], asked[48], yaml[256];
    (void)state;

    for (int l = 0; l < 16; l++) {
        snprintf(listed, sizeof listed, "%s/%s", verbs[l / 4], areas[l % 4]);
        snprintf(yaml, sizeof yaml,
                 "purposes: [%s]\nauto_approve:\n  purposes: [%s]\n  rounds_max: 200\ncolumns:\n  %s: [",
                 listed, listed, listed);
        /* replace the block from purposes to the last column list of the sample */
        char text[sizeof POLICY_SAMPLE + 512];
        const char *from = strstr(POLICY_SAMPLE, "purposes: ["),
                   *to = strstr(POLICY_SAMPLE, "training_basis");
        assert_true(from != NULL && to != NULL);
        snprintf(text, sizeof text, "%.*s%stransactions.customer_id, transactions.week]\n%s",
                 (int)(from - POLICY_SAMPLE), POLICY_SAMPLE, yaml, to);
        struct world w = world_of(text);
        for (int a = 0; a < 16; a++) {
            struct ft_policy_decision d;
            snprintf(asked, sizeof asked, "%s/%s", verbs[a / 4], areas[a % 4]);
            w.task.purpose = asked;
            ft_policy_decide(&w.policy, &w.task, &w.facts, &d);
            assert_int_equal(d.verdict, a == l ? FT_VERDICT_ACCEPTED : FT_VERDICT_REFUSED);
            assert_int_equal(holds(&d, FT_REFUSAL_PURPOSE_NOT_ALLOWED), a != l);
            assert_int_equal(holds(&d, FT_REFUSAL_COLUMN_NOT_ALLOWED), a != l);
        }
        ft_policy_clear(&w.policy);
    }
}

/* Basis of the policy, unit of the task and basis of the data: the table, all 27 cases. Unit store is covered by either basis. */
static void
policy_basis_decision_table(void **state)
{
    static const char *const names[] = { "training_basis: none", "training_basis: consent",
                                         "training_basis: records" };
    static const enum ft_basis bases[] = { FT_BASIS_NONE, FT_BASIS_CONSENT, FT_BASIS_RECORDS };
    static const enum ft_unit units[] = { FT_UNIT_CUSTOMER, FT_UNIT_RECORD, FT_UNIT_STORE };
    (void)state;

    for (int p = 0; p < 3; p++) {
        struct world w = world_of(policy_with("training_basis: consent", names[p]));
        for (int u = 0; u < 3; u++) {
            for (int d = 0; d < 3; d++) {
                struct ft_policy_decision decision;
                const bool good = p == d && p != 0 && (u == 2 || u == p - 1);
                w.task.unit = units[u];
                w.facts.data_basis = bases[d];
                ft_policy_decide(&w.policy, &w.task, &w.facts, &decision);
                assert_int_equal(decision.verdict, good ? FT_VERDICT_ACCEPTED : FT_VERDICT_REFUSED);
                assert_int_equal(holds(&decision, FT_REFUSAL_BASIS_NONE), p == 0);
                assert_int_equal(holds(&decision, FT_REFUSAL_BASIS_MISMATCH), p != 0 && !good);
            }
        }
        ft_policy_clear(&w.policy);
    }
}

/* A task without noise needs the policy's word. */
static void
policy_unnoised_must_be_allowed(void **state)
{
    struct world w = world_of(policy_with("unnoised: allow", "unnoised: refuse"));
    (void)state;
    expect_only(&w, FT_VERDICT_REFUSED, FT_REFUSAL_UNNOISED_NOT_ALLOWED);
    ft_policy_clear(&w.policy);
}

/* The policy's review: on the day, in its grace, after its grace. */
static void
policy_review_has_a_grace(void **state)
{
    struct world w = world_of(
        policy_with("review_by: 2027-12-31\ngrace_days: 30", "review_by: 2027-03-03\ngrace_days: 2"));
    (void)state;
    w.policy.participation.days = 0x7f;
    expect_only(&w, FT_VERDICT_ACCEPTED, 0); /* Friday the 5th is the last day of grace */
    w.facts.now_s += FT_DAY_S;
    expect_only(&w, FT_VERDICT_REFUSED, FT_REFUSAL_POLICY_EXPIRED);
    ft_policy_clear(&w.policy);
}

/* Approval: given or by auto_approve; otherwise it waits, and a person's denial beats auto_approve. */
static void
policy_approval_decision_table(void **state)
{
    struct world w = world_of(POLICY_SAMPLE);
    static const struct ft_policy_use quantity[] = { { "transactions", "quantity" } };
    char demand[] = "train/demand";
    struct ft_policy_decision d;
    (void)state;

    w.task.rounds = 200;
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);
    w.task.rounds = 201;
    expect_only(&w, FT_VERDICT_WAITING, FT_REFUSAL_TASK_NOT_APPROVED);
    w.facts.approval = FT_APPROVAL_GIVEN;
    ft_policy_decide(&w.policy, &w.task, &w.facts, &d);
    assert_int_equal(d.verdict, FT_VERDICT_ACCEPTED);
    assert_false(d.automatic);
    w.facts.approval = FT_APPROVAL_NONE;
    w.task.rounds = 30;
    w.task.purpose = demand;
    w.facts.uses = quantity;
    w.facts.use_count = 1;
    expect_only(&w, FT_VERDICT_WAITING, FT_REFUSAL_TASK_NOT_APPROVED);
    w.facts.approval = FT_APPROVAL_DENIED;
    expect_only(&w, FT_VERDICT_REFUSED, FT_REFUSAL_TASK_DENIED);
    ft_policy_clear(&w.policy);
}

/* What is not known yet is left open and counted; it is no reason against the task. */
static void
policy_unknown_facts_are_open(void **state)
{
    struct world w = world_of(POLICY_SAMPLE);
    struct ft_policy_decision d;
    (void)state;
    w.facts.uses = NULL;
    w.facts.customers_counted = false;
    ft_policy_decide(&w.policy, &w.task, &w.facts, &d);
    assert_int_equal(d.verdict, FT_VERDICT_ACCEPTED);
    assert_int_equal(d.open_count, 2);
    ft_policy_clear(&w.policy);
}

/* Windows past midnight belong to the day they open on; the next opening is named, in local time. */
static void
policy_window_opens_and_closes_by_local_time(void **state)
{
    static const struct {
        int64_t after_s; /* after Friday 22:00 UTC */
        int32_t offset_s;
        bool open;
        int64_t next_after_s;
    } cases[] = {
        { 0, 0, true, 0 },
        { -1, 0, false, 0 },                                 /* one second early */
        { 8 * 3600 - 1, 0, true, 0 },                        /* Saturday 05:59:59 is Friday's window */
        { 8 * 3600, 0, false, 3 * FT_DAY_S },                /* Saturday 06:00: Monday 22:00 */
        { FT_DAY_S, 0, false, 3 * FT_DAY_S },                /* Saturday 22:00 is not chosen */
        { 2 * FT_DAY_S + 4 * 3600, 0, false, 3 * FT_DAY_S }, /* Monday 02:00 would be Sunday's window */
        { -3600, 3600, true, 0 },                            /* 21:00 UTC is 22:00 local */
        { 0, -3600, false, 3600 },                           /* 22:00 UTC is 21:00 local */
    };
    struct ft_policy p;
    (void)state;
    assert_int_equal(policy_read(POLICY_SAMPLE, &p), FT_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int64_t now = NOW_S + cases[i].after_s;
        int64_t next;
        assert_int_equal(ft_policy_window_open(&p, now, cases[i].offset_s, &next), cases[i].open);
        if (!cases[i].open)
            assert_int_equal(next - NOW_S, cases[i].next_after_s);
    }
    ft_policy_clear(&p);
}

/* Not now is no refusal: 75, with the earliest time when all clocks agree. */
static void
policy_not_now_names_the_next_time(void **state)
{
    struct world w = world_of(POLICY_SAMPLE);
    struct ft_policy_decision d;
    (void)state;

    w.facts.last_round_s = NOW_S - 59; /* min_gap_s is 60 */
    ft_policy_decide(&w.policy, &w.task, &w.facts, &d);
    assert_int_equal(d.verdict, FT_VERDICT_LATER);
    assert_int_equal(d.next_s, NOW_S + 1);
    assert_int_equal(ft_refusals_exit(&d.reasons), FT_EXIT_LATER);
    w.facts.last_round_s = NOW_S - 60;
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);

    w.facts.rounds_this_month = 99;
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);
    w.facts.rounds_this_month = 100;
    ft_policy_decide(&w.policy, &w.task, &w.facts, &d);
    assert_int_equal(d.verdict, FT_VERDICT_LATER);
    /* Thursday 2027-04-01 00:00 lies in the window that opened on Wednesday. */
    assert_int_equal(d.next_s, INT64_C(1806537600));
    w.facts.rounds_this_month = 0;

    w.facts.now_s = NOW_S + 9 * 3600; /* Saturday 07:00 */
    ft_policy_decide(&w.policy, &w.task, &w.facts, &d);
    assert_int_equal(d.verdict, FT_VERDICT_LATER);
    assert_int_equal(d.next_s, NOW_S + 3 * FT_DAY_S);
    assert_true(holds(&d, FT_REFUSAL_OUTSIDE_WINDOW));
    w.facts.now_s = NOW_S;

    w.facts.metered = true; /* no time makes a metered link free */
    ft_policy_decide(&w.policy, &w.task, &w.facts, &d);
    assert_int_equal(d.verdict, FT_VERDICT_LATER);
    assert_int_equal(d.next_s, 0);
    ft_policy_clear(&w.policy);
    w = world_of(policy_with("min_gap_s: 60,", "min_gap_s: 60, metered: allow, load_max: 1.5,"));
    w.facts.metered = true;
    w.facts.load = 1.5;
    expect_only(&w, FT_VERDICT_ACCEPTED, 0);
    w.facts.load = 1.6;
    expect_only(&w, FT_VERDICT_LATER, FT_REFUSAL_BUSY);
    ft_policy_clear(&w.policy);
}

/* Over all 2^12 combinations of broken rules the verdict and codes are the union of the single ones, and
 * explain says the same, line by line, with the policy's own lines. */
static void
policy_explain_agrees_with_enforcement_on_all_combinations(void **state)
{
    static struct ft_policy_line lines[FT_POLICY_LINES_MAX];
    struct world good = world_of(POLICY_SAMPLE);
    char expired[] = "2027-03-04", purpose[] = "measure/demand";
    (void)state;

    for (unsigned mask = 0; mask < 1u << 12; mask++) {
        struct world w = good;
        struct ft_policy_decision decided, explained;
        unsigned fails = mask & 0x1ff, laters = mask >> 9 & 3, waits = mask >> 11;
        size_t against = 0, open = 0;

        if (mask & 0x001)
            w.facts.guard = FT_GUARD_WRITABLE;
        if (mask & 0x002)
            w.task.expires = expired;
        if (mask & 0x004) {
            w.task.purpose = purpose;
            w.facts.approval = FT_APPROVAL_GIVEN;
        }
        if (mask & 0x008)
            w.task.n_min = 2;
        if (mask & 0x010)
            w.task.clip = 1000;
        if (mask & 0x020)
            w.facts.consent_ready = false;
        if (mask & 0x040)
            w.facts.eligible_customers = 3;
        if (mask & 0x080)
            w.task.sigma = 30;
        if (mask & 0x100)
            w.facts.data_basis = FT_BASIS_RECORDS;
        if (mask & 0x200)
            w.facts.last_round_s = NOW_S;
        if (mask & 0x400)
            w.facts.metered = true;
        if (mask & 0x800 && !(mask & 0x004))
            w.task.rounds = 300;
        else
            waits = 0;
        ft_policy_decide(&w.policy, &w.task, &w.facts, &decided);
        assert_int_equal(decided.verdict, fails    ? FT_VERDICT_REFUSED
                                          : waits  ? FT_VERDICT_WAITING
                                          : laters ? FT_VERDICT_LATER
                                                   : FT_VERDICT_ACCEPTED);
        const size_t count = ft_policy_explain(&w.policy, &w.task, &w.facts, lines, &explained);
        assert_int_equal(explained.verdict, decided.verdict);
        assert_int_equal(explained.code_count, decided.code_count);
        assert_memory_equal(explained.codes, decided.codes, sizeof decided.codes);
        assert_int_equal(explained.next_s, decided.next_s);
        for (size_t i = 0; i < count; i++) {
            const bool stands_against = lines[i].result != FT_RULE_PASS && lines[i].result != FT_RULE_OPEN;
            assert_int_equal(lines[i].code != 0, stands_against);
            if (stands_against) {
                assert_true(holds(&decided, (enum ft_refusal_code)lines[i].code));
                assert_string_equal(lines[i].text, decided.reasons.list[against].reason);
            }
            against += stands_against;
            open += lines[i].result == FT_RULE_OPEN;
        }
        assert_int_equal(against, decided.reasons.count);
        assert_int_equal(open, 0);
    }
    ft_policy_clear(&good.policy);
}

/* A line of an explanation points at the rule's key in the file. */
static void
policy_explain_points_into_the_file(void **state)
{
    static struct ft_policy_line lines[FT_POLICY_LINES_MAX];
    struct world w = world_of(POLICY_SAMPLE);
    const size_t count = ft_policy_explain(&w.policy, &w.task, &w.facts, lines, NULL);
    size_t seen = 0;
    (void)state;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(lines[i].rule, "clip") == 0) {
            assert_string_equal(lines[i].path, "limits.clip_max");
            assert_int_equal(lines[i].line, 16);
            assert_int_equal(lines[i].column, 10);
            assert_string_equal(lines[i].text, "the task clips updates at 5; the policy allows up to 10");
            seen++;
        } else if (strcmp(lines[i].rule, "federation") == 0) {
            assert_int_equal(lines[i].line, 0); /* no key loosens it */
            seen++;
        } else {
            assert_true(lines[i].line > 0 || lines[i].path == NULL);
        }
    }
    assert_int_equal(seen, 2);
    ft_policy_clear(&w.policy);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_good_task_is_accepted),
        cmocka_unit_test(policy_zero_facts_refuse),
        cmocka_unit_test(policy_budget_decides_on_tasks_with_noise),
        cmocka_unit_test(policy_budget_of_a_store_pays_for_tasks_of_that_unit),
        cmocka_unit_test(policy_each_limit_refuses_one_step_beyond),
        cmocka_unit_test(policy_all_reasons_come_at_once),
        cmocka_unit_test(policy_purpose_never_implies_another),
        cmocka_unit_test(policy_basis_decision_table),
        cmocka_unit_test(policy_unnoised_must_be_allowed),
        cmocka_unit_test(policy_review_has_a_grace),
        cmocka_unit_test(policy_approval_decision_table),
        cmocka_unit_test(policy_unknown_facts_are_open),
        cmocka_unit_test(policy_window_opens_and_closes_by_local_time),
        cmocka_unit_test(policy_limits_the_number_of_segments),
        cmocka_unit_test(policy_explains_the_clip_and_the_cells_of_figures),
        cmocka_unit_test(policy_has_a_floor_for_the_size_of_segments),
        cmocka_unit_test(policy_not_now_names_the_next_time),
        cmocka_unit_test(policy_explain_agrees_with_enforcement_on_all_combinations),
        cmocka_unit_test(policy_explain_points_into_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
