/*
 * The decision. Each rule is one function that states its outcome; deciding and explaining run the same
 * table, the one keeping what stands against the task, the other every line.
 *
 * Invariants
 *   1. REFUSED when any rule fails; else WAITING when a person must decide; else LATER; else ACCEPTED.
 *   2. The verdict counts every outcome, also those that no longer fit into the lists.
 *   3. Nothing here reads a clock, a file or a message: equal arguments give equal decisions.
 */
#include "client/policy/policy.h"

#include "common/base/config.h"
#include "common/base/date.h"
#include "common/plan/measure_plan.h"
#include "common/plan/privacy_plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CLOCK_TOLERANCE_S 300

struct ruling {
    const struct ft_policy *policy;
    const struct ft_task *task;
    const struct ft_policy_facts *facts;
    struct ft_policy_decision *decision;
    struct ft_policy_line *lines; /* NULL when only deciding */
    size_t line_count;
    bool failed, later, waiting;
    int64_t not_before_s; /* the latest of the times that time-bound rules ask for */
    bool time_bound;
};

static void
add_code(struct ft_policy_decision *d, uint32_t code)
{
    for (size_t i = 0; i < d->code_count; i++)
        if (d->codes[i] == code)
            return;
    if (d->code_count < FT_REFUSALS_MAX)
        d->codes[d->code_count++] = code;
}

/* State one outcome. code is ignored for PASS and OPEN. path is the key in policy.yaml, or NULL. */
static void state(struct ruling *r, const char *rule, const char *path, enum ft_rule_result result,
                  uint32_t code, const char *fmt, ...) FT_PRINTF(6, 7);
static void
state(struct ruling *r, const char *rule, const char *path, enum ft_rule_result result, uint32_t code,
      const char *fmt, ...)
{
    const bool against = result != FT_RULE_PASS && result != FT_RULE_OPEN;
    struct ft_policy_line line = { .rule = rule, .path = path, .result = result, .code = against ? code : 0 };
    va_list args;

    va_start(args, fmt);
    vsnprintf(line.text, sizeof line.text, fmt, args);
    va_end(args);
    r->failed |= result == FT_RULE_FAIL;
    r->later |= result == FT_RULE_LATER;
    r->waiting |= result == FT_RULE_WAITING;
    r->decision->open_count += result == FT_RULE_OPEN;
    if (against) {
        ft_refuse_code(&r->decision->reasons, (enum ft_refusal_code)code, "%s", line.text);
        add_code(r->decision, code);
    }
    if (r->lines == NULL || r->line_count == FT_POLICY_LINES_MAX)
        return;
    if (path != NULL)
        (void)ft_config_where(r->policy->source, path, &line.line, &line.column);
    r->lines[r->line_count++] = line;
}

static enum ft_rule_result
pass_if(bool good)
{
    return good ? FT_RULE_PASS : FT_RULE_FAIL;
}

/* ---- the policy itself and the clock ---- */

static void
rule_guard(struct ruling *r)
{
    const enum ft_policy_guard guard = r->facts->guard;
    state(r, "policy-file", "owner", pass_if(guard == FT_GUARD_OK || guard == FT_GUARD_SELF),
          FT_REFUSAL_POLICY_WRITABLE, "%s", ft_policy_guard_text(guard));
}

static void
rule_policy_review(struct ruling *r)
{
    const int64_t today = ft_date_of_seconds(r->facts->now_s);
    char last_text[11];
    int64_t review = 0;

    (void)ft_date_parse(r->policy->review_by, &review);
    ft_date_format(last_text, review + r->policy->grace_days);
    if (today <= review)
        state(r, "policy-review", "review_by", FT_RULE_PASS, 0, "the policy is to be reviewed by %s",
              r->policy->review_by);
    else if (today <= review + r->policy->grace_days)
        state(r, "policy-review", "review_by", FT_RULE_PASS, 0,
              "the policy's review was due on %s; grace ends on %s", r->policy->review_by, last_text);
    else
        state(r, "policy-review", "review_by", FT_RULE_FAIL, FT_REFUSAL_POLICY_EXPIRED,
              "the policy's review was due on %s and its grace ended on %s", r->policy->review_by, last_text);
}

static void
rule_clock(struct ruling *r)
{
    const struct ft_policy_facts *f = r->facts;
    const bool good = f->now_s > 0 && f->latest_seen_s <= f->now_s + CLOCK_TOLERANCE_S;
    state(r, "clock", NULL, pass_if(good), FT_REFUSAL_CLOCK_BACK, "%s",
          good           ? "the clock has not been set back"
          : f->now_s > 0 ? "the clock is behind what was already recorded"
                         : "the clock is not set");
}

/* ---- the task ---- */

static void
rule_deployment(struct ruling *r)
{
    const bool same = memcmp(r->task->deployment, r->facts->deployment, sizeof r->task->deployment) == 0;
    state(r, "federation", NULL, pass_if(same), FT_REFUSAL_TASK_DEPLOYMENT, "%s",
          same ? "the task is for this shop's federation" : "the task is for another federation");
}

static void
rule_dates(struct ruling *r)
{
    const int64_t today = ft_date_of_seconds(r->facts->now_s);
    state(r, "task-expiry", NULL, pass_if(today <= ft_task_expires_day(r->task)), FT_REFUSAL_TASK_EXPIRED,
          "the task expires after %s", r->task->expires);
    state(r, "task-review", NULL, pass_if(today <= ft_task_review_day(r->task)), FT_REFUSAL_TASK_REVIEW_DUE,
          "the task is to be reviewed by %s", r->task->review);
}

static void
rule_purpose(struct ruling *r)
{
    const bool allowed = ft_policy_purpose_allowed(r->policy, r->task->purpose);
    state(r, "purpose", "purposes", pass_if(allowed), FT_REFUSAL_PURPOSE_NOT_ALLOWED,
          "purpose %s is %sin purposes", r->task->purpose, allowed ? "" : "not ");
}

static void
rule_columns(struct ruling *r)
{
    const struct ft_policy_facts *f = r->facts;
    size_t refused = 0;

    if (f->uses == NULL) {
        state(r, "columns", "columns", FT_RULE_OPEN, 0, "the columns the query reads are not known yet");
        return;
    }
    for (size_t i = 0; i < f->use_count; i++) {
        if (ft_policy_column_allowed(r->policy, r->task->purpose, f->uses[i].table, f->uses[i].column))
            continue;
        refused++;
        state(r, "columns", "columns", FT_RULE_FAIL, FT_REFUSAL_COLUMN_NOT_ALLOWED,
              "the query reads %.64s.%.64s, which is not allowed for %s", f->uses[i].table, f->uses[i].column,
              r->task->purpose);
    }
    if (refused == 0)
        state(r, "columns", "columns", FT_RULE_PASS, 0, "all %zu columns the query reads are allowed for %s",
              f->use_count, r->task->purpose);
}

static const char *
basis_name(enum ft_basis basis)
{
    return basis == FT_BASIS_CONSENT ? "consent" : basis == FT_BASIS_RECORDS ? "records" : "none";
}

static void
rule_basis(struct ruling *r)
{
    const enum ft_basis basis = r->policy->training_basis;
    const enum ft_unit needed = basis == FT_BASIS_CONSENT ? FT_UNIT_CUSTOMER : FT_UNIT_RECORD;

    if (basis == FT_BASIS_NONE) {
        state(r, "basis", "training_basis", FT_RULE_FAIL, FT_REFUSAL_BASIS_NONE,
              "training_basis is none: this shop contributes no data");
        return;
    }
    /* A shop's vector is of the rows that its basis lets be read: of customers who agreed, or of no people. */
    state(r, "basis", "training_basis", pass_if(r->task->unit == needed || r->task->unit == FT_UNIT_STORE),
          FT_REFUSAL_BASIS_MISMATCH, "training_basis %s covers unit %s%s; the task's unit is %s", basis_name(basis),
          ft_unit_name(needed), r->task->unit == FT_UNIT_STORE ? " and store" : "", ft_unit_name(r->task->unit));
    if (r->facts->data_basis != basis)
        state(r, "basis-of-data", "training_basis", FT_RULE_FAIL, FT_REFUSAL_BASIS_MISMATCH,
              "training_basis is %s but consent.basis in client.yaml is %s", basis_name(basis),
              basis_name(r->facts->data_basis));
    if (basis == FT_BASIS_CONSENT)
        state(r, "consent", "training_basis", pass_if(r->facts->consent_ready),
              FT_REFUSAL_CONSENT_SOURCE_MISSING, "%s",
              r->facts->consent_ready ? "a consent source is set up"
                                      : "no consent source is set up, so no customer is eligible");
}

static void
rule_noise(struct ruling *r)
{
    const bool noised = r->task->noise != 0;
    state(r, "noise", "unnoised", pass_if(noised || r->policy->unnoised), FT_REFUSAL_UNNOISED_NOT_ALLOWED,
          "the task adds %s; unnoised is %s%s", noised ? "noise" : "no noise",
          r->policy->unnoised ? "allow" : "refuse",
          !noised && r->policy->unnoised && r->policy->budget_count > 0
              ? ": what it shows of customers is bounded by nothing and counted in no budget"
              : "");
}

static void
rule_cohort(struct ruling *r)
{
    const struct ft_task *t = r->task;
    const struct ft_policy *p = r->policy;
    state(r, "cohort-size", "cohort.n_min", pass_if(t->n_min >= p->cohort.n_min), FT_REFUSAL_COHORT_TOO_SMALL,
          "the task's rounds have at least %u shops; the policy asks for %u", t->n_min, p->cohort.n_min);
    state(r, "cohort-honest", "cohort.h_min", pass_if(t->h_min >= p->cohort.h_min), FT_REFUSAL_HONEST_TOO_FEW,
          "the task keeps at least %u honest shops in a sum; the policy asks for %u", t->h_min,
          p->cohort.h_min);
    state(r, "cohort-corrupted", "cohort.corrupted", pass_if(t->corrupted >= p->cohort.corrupted),
          FT_REFUSAL_CORRUPTED_TOO_FEW, "the task withstands %u colluding shops; the policy asks for %u",
          t->corrupted, p->cohort.corrupted);
    state(r, "cohort-dropouts", "cohort.drop_permille_max",
          pass_if(t->drop_permille <= p->cohort.drop_permille_max), FT_REFUSAL_DROPOUT_TOO_HIGH,
          "the task lets %u in 1000 shops drop out; the policy allows %u", t->drop_permille,
          p->cohort.drop_permille_max);
    state(r, "cohort-sigma", "cohort.sigma_min", pass_if(t->sigma >= p->cohort.sigma_min),
          FT_REFUSAL_SIGMA_TOO_LOW, "the task's statistical security is %u bits; the policy asks for %u",
          t->sigma, p->cohort.sigma_min);
    state(r, "graph-profile", "graph_profile", FT_RULE_PASS, 0, "%s",
          p->graph_profile.allow ? "sparse cohorts are allowed from graph_profile.cohort_min on"
                                 : "sparse cohorts are refused in every round");
}

static void
rule_limits(struct ruling *r)
{
    const struct ft_task *t = r->task;
    const struct ft_policy *p = r->policy;
    const bool figures = t->kind == FT_TASK_STATISTICS;
    const double train = t->noise != 0 && t->privacy.clip_max > t->clip ? t->privacy.clip_max : t->clip;
    const uint64_t parameters = figures ? ft_measure_cells(t) : ft_task_parameters(t);
    const double clip = figures ? ft_plan_clip(t) : train;

    if ((figures || t->model == FT_MODEL_KMEANS) && t->noise == 0)
        state(r, "clip", "limits.clip_max", FT_RULE_PASS, 0, "sums %sare bounded by the declared ranges",
              figures ? "" : "by segment ");
    else
        state(r, "clip", "limits.clip_max", pass_if(clip <= p->limits.clip_max), FT_REFUSAL_CLIP_TOO_LARGE,
          "the task clips %s at %.9g; the policy allows up to %.9g", t->noise != 0 ? "a unit's vectors" : "updates",
          clip, p->limits.clip_max);
    state(r, "parameters", "limits.parameters_max", pass_if(parameters <= p->limits.parameters_max),
          FT_REFUSAL_PARAMETERS_TOO_MANY, "%s has %llu %s; the policy allows %llu", figures ? "the sum" : "the model",
          (unsigned long long)parameters, figures ? "cells" : "parameters", (unsigned long long)p->limits.parameters_max);
    if (t->model == FT_MODEL_KMEANS)
        state(r, "clusters", "limits.clusters_max", pass_if(t->clusters <= p->limits.clusters_max),
              FT_REFUSAL_CLUSTERS_TOO_MANY, "the task makes %u segments; the policy allows %u", t->clusters,
              p->limits.clusters_max);
    if (t->model == FT_MODEL_KMEANS && t->unit == FT_UNIT_STORE)
        state(r, "min-cluster", "limits.min_cluster", FT_RULE_PASS, 0,
              "a segment's members are shops, and noise covers each as a whole");
    else if (t->model == FT_MODEL_KMEANS)
        state(r, "min-cluster", "limits.min_cluster", pass_if(t->min_cluster >= p->limits.min_cluster),
              FT_REFUSAL_CLUSTERS_TOO_SMALL, "the task shows segments of %u members; the policy asks for %u at least",
              t->min_cluster, p->limits.min_cluster);
    state(r, "rounds", "limits.rounds_max", pass_if(t->rounds <= p->limits.rounds_max),
          FT_REFUSAL_ROUNDS_TOO_MANY, "the task trains %u rounds; the policy allows %u", t->rounds,
          p->limits.rounds_max);
    state(r, "session", "limits.session_ms_max", pass_if(t->session_ms <= p->limits.session_ms_max),
          FT_REFUSAL_SESSION_TOO_LONG, "a round may take %llu ms; the policy allows %llu",
          (unsigned long long)t->session_ms, (unsigned long long)p->limits.session_ms_max);
    state(r, "rows", "limits.query_rows", pass_if(t->rows_max <= p->limits.query_rows),
          FT_REFUSAL_ROWS_TOO_MANY, "the query may return %u rows; the policy allows %u", t->rows_max,
          p->limits.query_rows);
}

/* ---- the shop, now ---- */

static void
rule_customers(struct ruling *r)
{
    const struct ft_policy_facts *f = r->facts;
    if (r->task->unit == FT_UNIT_STORE)
        state(r, "customers", "min_customers", FT_RULE_PASS, 0,
              "noise covers the shop as a whole, however few its customers are: taking part must not tell how many");
    else if (r->task->unit != FT_UNIT_CUSTOMER)
        state(r, "customers", "min_customers", FT_RULE_PASS, 0,
              "the task's unit is a record: no customers to count");
    else if (r->task->noise != 0)
        state(r, "customers", "min_customers", FT_RULE_PASS, 0,
              "noise covers each customer, however few there are: taking part must not tell how many");
    else if (!f->customers_counted)
        state(r, "customers", "min_customers", FT_RULE_OPEN, 0, "the eligible customers are not counted yet");
    else /* the count itself stays in the shop's own output: it is no customer's data, and the officer needs
            it */
        state(r, "customers", "min_customers", pass_if(f->eligible_customers >= r->policy->min_customers),
              FT_REFUSAL_CUSTOMERS_TOO_FEW, "%llu customers are eligible; the policy asks for %u",
              (unsigned long long)f->eligible_customers, r->policy->min_customers);
}

static char *
time_text(char out[40], int64_t seconds, int32_t utc_offset_s)
{
    char date[11];
    const int64_t local = seconds + utc_offset_s;
    const int64_t day = ft_date_of_seconds(local);
    const int64_t minute = (local - day * FT_DAY_S) / 60;
    snprintf(out, 40, "%s %02d:%02d", ft_date_format(date, day), (int)(minute / 60), (int)(minute % 60));
    return out;
}

static void
not_before(struct ruling *r, int64_t seconds)
{
    r->time_bound = true;
    if (seconds > r->not_before_s)
        r->not_before_s = seconds;
}

static void
rule_window(struct ruling *r)
{
    const struct ft_policy_facts *f = r->facts;
    int64_t next;
    char when[40];
    const bool open = ft_policy_window_open(r->policy, f->now_s, f->utc_offset_s, &next);

    if (!open)
        not_before(r, next);
    state(r, "window", "participation.window", open ? FT_RULE_PASS : FT_RULE_LATER, FT_REFUSAL_OUTSIDE_WINDOW,
          open ? "%s: inside the window %s" : "%s: the window %s opens next",
          time_text(when, next, f->utc_offset_s), r->policy->participation.window);
}

static void
rule_gap(struct ruling *r)
{
    const struct ft_policy_facts *f = r->facts;
    const int64_t gap = (int64_t)r->policy->participation.min_gap_s;
    const int64_t free_at = f->last_round_s > 0 ? f->last_round_s + gap : 0;
    char when[40];

    if (f->now_s >= free_at) {
        state(r, "gap", "participation.min_gap_s", FT_RULE_PASS, 0, "%lld s or more since the last round",
              (long long)gap);
        return;
    }
    not_before(r, free_at);
    state(r, "gap", "participation.min_gap_s", FT_RULE_LATER, FT_REFUSAL_TOO_SOON,
          "the last round was less than %lld s ago; the next may start %s", (long long)gap,
          time_text(when, free_at, f->utc_offset_s));
}

/* Midnight, local, of the first day of the next month. */
static int64_t
next_month(int64_t now_s, int32_t utc_offset_s)
{
    int64_t day = ft_date_of_seconds(now_s + utc_offset_s);
    int32_t year, y;
    uint32_t month, m;

    ft_date_month(day, &year, &month);
    do {
        day++;
        ft_date_month(day, &y, &m);
    } while (y == year && m == month);
    return day * FT_DAY_S - utc_offset_s;
}

static void
rule_month(struct ruling *r)
{
    const struct ft_policy_facts *f = r->facts;
    const bool left = f->rounds_this_month < r->policy->participation.rounds_per_month;
    if (!left)
        not_before(r, next_month(f->now_s, f->utc_offset_s));
    state(r, "month", "participation.rounds_per_month", left ? FT_RULE_PASS : FT_RULE_LATER,
          FT_REFUSAL_MONTH_SPENT, "%u of %u rounds of this month are spent", f->rounds_this_month,
          r->policy->participation.rounds_per_month);
}

static void
rule_machine(struct ruling *r)
{
    const struct ft_policy_facts *f = r->facts;
    const double load_max = r->policy->participation.load_max;
    const bool link = !f->metered || r->policy->participation.metered;
    const bool idle = load_max <= 0 || f->load <= load_max;

    state(r, "link", "participation.metered", link ? FT_RULE_PASS : FT_RULE_LATER, FT_REFUSAL_METERED_LINK,
          "the link is %smetered", f->metered ? "" : "not ");
    if (load_max > 0)
        state(r, "load", "participation.load_max", idle ? FT_RULE_PASS : FT_RULE_LATER, FT_REFUSAL_BUSY,
              "the load is %.2f; the policy allows %.2f", f->load, load_max);
    else
        state(r, "load", "participation.load_max", FT_RULE_PASS, 0, "any load is allowed");
}

static void
rule_approval(struct ruling *r)
{
    const struct ft_policy *p = r->policy;
    bool listed = false;

    for (uint32_t i = 0; i < p->auto_approve.purpose_count; i++)
        listed |= strcmp(p->auto_approve.purposes[i].text, r->task->purpose) == 0;
    switch (r->facts->approval) {
    case FT_APPROVAL_GIVEN:
        state(r, "approval", "auto_approve", FT_RULE_PASS, 0, "approved by a person");
        return;
    case FT_APPROVAL_DENIED:
        state(r, "approval", "auto_approve", FT_RULE_FAIL, FT_REFUSAL_TASK_DENIED, "denied by a person");
        return;
    default:
        break;
    }
    if (listed && r->task->rounds <= p->auto_approve.rounds_max) {
        r->decision->automatic = true;
        state(r, "approval", "auto_approve", FT_RULE_PASS, 0,
              "approved by auto_approve: %s, %u of at most %u rounds", r->task->purpose, r->task->rounds,
              p->auto_approve.rounds_max);
    } else if (listed) {
        state(r, "approval", "auto_approve.rounds_max", FT_RULE_WAITING, FT_REFUSAL_TASK_NOT_APPROVED,
              "the task trains %u rounds and auto_approve covers %u, so a person decides", r->task->rounds,
              p->auto_approve.rounds_max);
    } else {
        state(r, "approval", "auto_approve", FT_RULE_WAITING, FT_REFUSAL_TASK_NOT_APPROVED,
              "auto_approve does not cover %s, so a person decides", r->task->purpose);
    }
}

/* ---- the privacy budget: tasks with noise ---- */

/* What the policy says of the task's own numbers. */
static void
rule_budget_terms(struct ruling *r, const struct ft_policy_budget *b)
{
    const char *path = b->where;
    const struct ft_task_privacy *p = &r->task->privacy;
    const double q = (double)p->q_num / 4294967296.0;
    bool named = false;

    state(r, "budget-delta", path, pass_if(p->delta <= b->delta), FT_REFUSAL_DELTA_TOO_LARGE,
          "the task claims its epsilon at delta %.3g; budget %s allows %.3g", p->delta, b->domain, b->delta);
    state(r, "budget-shares", path, pass_if(p->t_min >= b->t_min), FT_REFUSAL_SHARES_TOO_FEW,
          "the task credits the noise of %u honest shops; budget %s asks for %u", p->t_min, b->domain, b->t_min);
    state(r, "budget-sampling", path, pass_if(q <= b->q_max), FT_REFUSAL_SAMPLING_TOO_HIGH,
          "a round uses a %s with probability %.4g; budget %s allows %.4g",
          r->task->unit == FT_UNIT_STORE ? "shop" : "customer", q, b->domain, b->q_max);
    if (r->task->unit == FT_UNIT_STORE)
        state(r, "budget-stores", path, pass_if(p->m_stores >= b->m_stores), FT_REFUSAL_STORES_TOO_FEW,
              "a shop is in no shop but itself; its customers have no claim of their own here");
    else
        state(r, "budget-stores", path, pass_if(p->m_stores >= b->m_stores), FT_REFUSAL_STORES_TOO_FEW,
          "the task reckons with a customer in %u shop%s; budget %s says they are in up to %u", p->m_stores,
          p->m_stores == 1 ? "" : "s", b->domain, b->m_stores);
    if (r->facts->shop == NULL) {
        state(r, "budget-shop", NULL, FT_RULE_OPEN, 0, "this shop's name is not known yet");
        return;
    }
    for (uint32_t i = 0; i < p->shop_count && !named; i++)
        named = strcmp(p->shops[i].name, r->facts->shop) == 0;
    state(r, "budget-shop", NULL, pass_if(named), FT_REFUSAL_SHOP_NOT_DECLARED,
          "the task %s shop %.64s in privacy.shops", named ? "names" : "does not name", r->facts->shop);
}

/* What the ledger says: whether it can be trusted, and whether the task can still be paid for. */
static void
rule_budget_left(struct ruling *r, const struct ft_policy_budget *b)
{
    const char *path = b->where;
    const struct ft_policy_ledger *l = &r->facts->ledger;
    const double most = l->epsilon_max < b->epsilon_max ? l->epsilon_max : b->epsilon_max;

    if (l->fault != 0 || !l->answered) {
        state(r, "budget", path, FT_RULE_FAIL, l->fault != 0 ? l->fault : FT_REFUSAL_LEDGER_IO, "%s",
              l->text[0] != '\0' ? l->text : "the privacy ledger has not been asked");
        return;
    }
    if (l->reserved) {
        state(r, "budget", path, pass_if(!l->closed), FT_REFUSAL_REFUSED_BUDGET,
              l->closed ? "the task is over here: %llu of its %llu contributions were made"
                        : "the task is paid for: %llu of its %llu contributions are spent",
              (unsigned long long)l->spent, (unsigned long long)l->steps);
        return;
    }
    if (b->epsilon_task_max > 0)
        state(r, "budget-task", path, pass_if(l->epsilon_task <= b->epsilon_task_max), FT_REFUSAL_EPSILON_TOO_LARGE,
              "the task alone costs epsilon %.4g at delta %.3g; budget %s allows one task %.4g", l->epsilon_task,
              l->delta, b->domain, b->epsilon_task_max);
    state(r, "budget", path, pass_if(l->admitted && l->epsilon_after <= most), FT_REFUSAL_REFUSED_BUDGET,
          "budget %s has spent epsilon %.4g of %.4g at delta %.3g; with this task's %llu contributions it would be %.4g",
          b->domain, l->epsilon_now, most, l->delta, (unsigned long long)l->steps, l->epsilon_after);
}

static void
rule_budget(struct ruling *r)
{
    const struct ft_policy_budget *b = ft_policy_budget_of(r->policy, r->task);

    if (r->task->noise == 0)
        return; /* nothing is claimed and nothing is charged: rule_noise decides */
    if (b == NULL) {
        state(r, "budget", "budgets", FT_RULE_FAIL, FT_REFUSAL_BUDGET_MISSING,
              "no domain of budgets pays for unit %s and purpose %s", ft_unit_name(r->task->unit), r->task->purpose);
        return;
    }
    rule_budget_terms(r, b);
    rule_budget_left(r, b);
}

/* ---- deciding ---- */

static void (*const rules[])(struct ruling *r) = {
    rule_guard,   rule_policy_review, rule_clock, rule_deployment, rule_dates,    rule_purpose,
    rule_columns, rule_basis,         rule_noise, rule_cohort,     rule_limits,   rule_customers,
    rule_budget,  rule_window,        rule_gap,   rule_month,      rule_machine,  rule_approval,
};

static void
run_rules(struct ruling *r)
{
    struct ft_policy_decision *d = r->decision;

    *d = (struct ft_policy_decision){ 0 };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        rules[i](r);
    d->verdict = r->failed    ? FT_VERDICT_REFUSED
                 : r->waiting ? FT_VERDICT_WAITING
                 : r->later   ? FT_VERDICT_LATER
                              : FT_VERDICT_ACCEPTED;
    d->automatic = d->automatic && d->verdict == FT_VERDICT_ACCEPTED;
    if (d->verdict == FT_VERDICT_LATER && r->time_bound) {
        int64_t next;
        /* When the gap or the month is over the window may be closed. */
        d->next_s = r->not_before_s;
        if (!ft_policy_window_open(r->policy, d->next_s, r->facts->utc_offset_s, &next))
            d->next_s = next;
    }
}

void
ft_policy_decide(const struct ft_policy *policy, const struct ft_task *task,
                 const struct ft_policy_facts *facts, struct ft_policy_decision *out)
{
    struct ruling r = { .policy = policy, .task = task, .facts = facts, .decision = out };
    run_rules(&r);
}

size_t
ft_policy_explain(const struct ft_policy *policy, const struct ft_task *task,
                  const struct ft_policy_facts *facts, struct ft_policy_line lines[FT_POLICY_LINES_MAX],
                  struct ft_policy_decision *decision)
{
    struct ft_policy_decision own;
    struct ruling r = { .policy = policy,
                        .task = task,
                        .facts = facts,
                        .lines = lines,
                        .decision = decision != NULL ? decision : &own };
    run_rules(&r);
    return r.line_count;
}

const char *
ft_rule_result_name(enum ft_rule_result result)
{
    static const char *const names[] = { "pass", "FAIL", "later", "waiting", "open" };
    return (unsigned)result < sizeof names / sizeof names[0] ? names[result] : "unknown";
}

const char *
ft_verdict_name(enum ft_verdict verdict)
{
    static const char *const names[] = { "none", "accepted", "waiting", "refused", "later" };
    return (unsigned)verdict < sizeof names / sizeof names[0] ? names[verdict] : "unknown";
}
