#include "client/vault/shop.h"

#include "client/consent/consent.h"
#include "client/consent/erase.h"
#include "client/source/forget.h"
#include "client/vault/contribute.h"
#include "client/vault/evidence.h"
#include "common/base/alloc.h"
#include "common/base/date.h"
#include "common/base/file.h"
#include "common/base/log.h"

#include <sodium.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>

#define CLOCK_STEP_S 60     /* the latest time seen is written down this often */
#define REFRESH_MS   60000u /* a changed export is noticed after at most this */

/* Columns a task's query reads: asked of SQLite once a task. */
struct uses {
    bool known;
    uint8_t task_hash[32];
    enum ft_status status;
    struct ft_examples_uses found;
    struct ft_policy_use list[FT_EXAMPLES_USES_MAX];
};

struct ft_shop {
    struct ft_shop_config config;
    char *policy_path, *state_dir;
    struct ft_node_key key;
    struct ft_db *db;
    struct ft_source *source;
    uint64_t refreshed_ms;
    struct ft_consent *consent;
    uint64_t erased; /* customers whose rows were taken out of the records last */
    struct ft_contributor *contributor;
    struct ft_budget *budget;
    char *name; /* in the federation */
    struct uses uses;

    /* Examples in hand, and what they were made from. */
    bool has_examples;
    uint8_t examples_task[32];
    struct ft_examples examples;
    struct ft_consent_mark mark;
    bool nobody; /* the last contribution is noise alone: no consent it could hang on */
    bool standardised;
    double *means_stds; /* (2 * features) of the standardisation */
    uint32_t means_features;
};

static void
drop_examples(struct ft_shop *s)
{
    if (s->has_examples)
        ft_examples_clear(&s->examples);
    s->has_examples = s->standardised = false;
    ft_free(s->means_stds);
    s->means_stds = NULL;
}

static uint64_t
wall_of(const struct ft_shop *s)
{
    return s->config.env->wall_ms(s->config.env->ctx);
}

static bool
is_erased(void *ctx, const struct ft_pseudonym *customer)
{
    return ft_consent_is_erased(ctx, customer);
}

/* Customers who asked to be forgotten are so after each import, and as soon as they asked. */
static enum ft_status
forget(struct ft_shop *s, bool imported, struct ft_error *err)
{
    uint64_t erased = 0;
    enum ft_status st;
    if (s->consent == NULL)
        return FT_OK;
    if (imported)
        s->erased = 0; /* they are back */
    FT_TRY(ft_consent_erased_count(s->consent, &erased));
    if (erased == s->erased)
        return FT_OK;
    FT_TRY(ft_db_forget(s->db, is_erased, s->consent, NULL, err));
    s->erased = erased;
    drop_examples(s);
out:
    return st;
}

/* Read the exports if they were never read, or not for a while. */
static enum ft_status
refresh(struct ft_shop *s)
{
    struct ft_error err = { 0 };
    bool changed = false;
    enum ft_status st = FT_OK;
    const uint64_t now = s->config.env->now_ms(s->config.env->ctx);
    if (s->source == NULL) {
        st = ft_source_open(s->config.source, &s->key, s->db, &s->source, &err);
        changed = st == FT_OK;
    } else if (now - s->refreshed_ms >= REFRESH_MS)
        st = ft_source_refresh(s->source, &changed, &err);
    else
        return forget(s, false, NULL);
    if (st == FT_OK)
        st = forget(s, changed, &err);
    if (st == FT_OK)
        s->refreshed_ms = now;
    else
        ft_log(FT_LOG_ERROR, "source.unreadable", "status=%s reason=%s", ft_status_name(st), err.text);
    if (changed)
        drop_examples(s);
    return st;
}

/* After what was written to the ledger. A head that is not noted makes that check a weaker one, and nothing else. */
static void
note_ledger_head(struct ft_shop *s)
{
    struct ft_vault_store *store = s->config.store;
    struct ft_ledger_head head;

    if (ft_budget_head(s->budget, &head) && store->calls->ledger_put(store, head.seq, head.chain) != FT_OK)
        ft_log(FT_LOG_WARN, "ledger.head_unsaved", "seq=%llu", (unsigned long long)head.seq);
}

enum ft_status
ft_shop_open(const struct ft_shop_config *config, struct ft_shop **out, struct ft_error *err)
{
    enum ft_status st;
    char *db_path = NULL;
    struct ft_shop *s = ft_calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL)
        return FT_ERR_NOMEM;
    s->config = *config;
    s->policy_path = ft_strdup(config->policy_path);
    s->state_dir = ft_strdup(config->state_dir);
    db_path = ft_home_path(config->state_dir, FT_HOME_DB);
    s->name = ft_strdup(config->shop != NULL ? config->shop : "");
    if (s->policy_path == NULL || s->state_dir == NULL || s->name == NULL || db_path == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    tzset(); /* reads the zone now; later only localtime_r, which does not look again */
    FT_TRY(ft_home_secret(config->state_dir, FT_HOME_NODE, s->key.bytes, sizeof s->key.bytes, err));
    FT_TRY(ft_budget_open(config->state_dir, s->name, &s->key, config->env, config->budget, config->store,
                          &s->budget, err));
    FT_TRY(ft_db_open(&s->db, err));
    FT_TRY(ft_contributor_open(config->env, &s->contributor));
    if (config->basis == FT_BASIS_CONSENT)
        FT_TRY(ft_consent_open(db_path, &s->key, &s->consent, err));
    if (s->consent != NULL) /* an erasure that was interrupted */
        FT_TRY(ft_consent_scrub(s->consent, NULL, err));
    (void)!refresh(s);
    *out = s;
    s = NULL;
out:
    ft_free(db_path);
    ft_shop_close(s);
    return st;
}

void
ft_shop_close(struct ft_shop *s)
{
    if (s == NULL)
        return;
    drop_examples(s);
    ft_contributor_close(s->contributor);
    ft_consent_close(s->consent);
    ft_source_close(s->source);
    ft_db_close(s->db);
    ft_budget_close(s->budget);
    ft_free(s->name);
    ft_free(s->policy_path);
    ft_free(s->state_dir);
    sodium_memzero(&s->key, sizeof s->key);
    ft_free(s);
}

const struct ft_budget *
ft_shop_budget(const struct ft_shop *shop)
{
    return shop->budget;
}

static enum ft_status
load_policy(struct ft_shop *s, struct ft_policy *policy, enum ft_policy_guard *guard)
{
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    struct ft_error err = { 0 };
    enum ft_status st = FT_ERR_NOMEM;
    if (findings != NULL) {
        ft_findings_init(findings, s->policy_path);
        st = ft_policy_load(s->policy_path, s->config.service_uid,
                            (struct ft_policy_mapping){ ft_source_config_maps, s->config.source }, policy, guard,
                            findings, &err);
        if (st == FT_ERR_CONFIG)
            (void)!ft_findings_status(findings, &err);
    }
    if (st != FT_OK)
        ft_log(FT_LOG_ERROR, "policy.unreadable", "status=%s reason=%s", ft_status_name(st), err.text);
    ft_free(findings);
    return st;
}

/* Columns the query reads, as the policy takes them. */
static const struct uses *
uses_of(struct ft_shop *s, const struct ft_task *task, const uint8_t task_hash[32])
{
    struct uses *u = &s->uses;
    struct ft_error err = { 0 };
    if (u->known && memcmp(u->task_hash, task_hash, 32) == 0)
        return u;
    *u = (struct uses){ .known = true };
    memcpy(u->task_hash, task_hash, 32);
    u->status = ft_examples_find_uses(s->db, task->sql, &u->found, &err);
    if (u->status != FT_OK)
        ft_log(FT_LOG_WARN, "query.refused", "status=%s reason=%s", ft_status_name(u->status), err.text);
    u->known = u->status == FT_OK; /* what failed is looked at again */
    for (size_t i = 0; u->status == FT_OK && i < u->found.count; i++)
        u->list[i] = (struct ft_policy_use){ u->found.list[i].table, u->found.list[i].column };
    return u;
}

static int64_t
month_start(int64_t now_s, int32_t offset_s)
{
    int32_t year;
    uint32_t month;
    const int64_t day = ft_date_of_seconds(now_s + offset_s);
    int64_t first = day;
    ft_date_month(day, &year, &month);
    for (int32_t y; first > 0; first--) {
        uint32_t m;
        ft_date_month(first - 1, &y, &m);
        if (m != month || y != year)
            break;
    }
    return first * FT_DAY_S - offset_s;
}

/* Everything the policy wants to know about this machine. What cannot be found out refuses by being zero. */
static void
read_facts(struct ft_shop *s, const struct ft_policy *policy, const struct ft_task *task,
           const uint8_t task_hash[32], enum ft_vault_approval approval, enum ft_policy_guard guard,
           struct ft_policy_facts *f)
{
    struct ft_vault_store *store = s->config.store;
    struct ft_consent_totals totals = { 0 };
    uint64_t erased = 0;
    struct sysinfo info;
    struct tm local;
    const uint64_t wall = wall_of(s);
    const time_t now = (time_t)(wall / 1000);

    *f = (struct ft_policy_facts){ .now_s = (int64_t)now, .guard = guard, .data_basis = s->config.basis };
    if (localtime_r(&now, &local) != NULL)
        f->utc_offset_s = (int32_t)local.tm_gmtoff;
    if (store->calls->clock_get(store, &f->latest_seen_s) != FT_OK)
        f->latest_seen_s = INT64_MAX; /* not to be had: as if the clock had been set back */
    if (s->consent != NULL && ft_consent_totals(s->consent, task->purpose, wall, &totals, NULL) == FT_OK) {
        /* With noise one customer's erasure, be it of the only consents there were, must not show. */
        f->consent_ready = totals.events > 0 ||
                           (task->noise != 0 && ft_consent_erased_count(s->consent, &erased) == FT_OK && erased > 0);
        f->customers_counted = f->consent_ready;
        f->eligible_customers = totals.given;
    }
    if (store->calls->participations(store, month_start(f->now_s, f->utc_offset_s), &f->rounds_this_month,
                                     &f->last_round_s) != FT_OK)
        f->rounds_this_month = UINT32_MAX;
    f->metered = ft_metered_now(s->config.metered);
    if (sysinfo(&info) == 0)
        f->load = (double)info.loads[0] / (1 << SI_LOAD_SHIFT);
    f->approval = approval == FT_VAULT_APPROVED ? FT_APPROVAL_GIVEN
                  : approval == FT_VAULT_DENIED ? FT_APPROVAL_DENIED
                                                : FT_APPROVAL_NONE;
    memcpy(f->deployment, s->config.deployment, sizeof f->deployment);
    f->shop = s->name;
    const struct ft_policy_budget *budget = task->noise != 0 ? ft_policy_budget_of(policy, task) : NULL;
    if (budget != NULL)
        ft_budget_ask(s->budget, budget, task, task_hash, &f->ledger);
    const struct uses *uses = uses_of(s, task, task_hash);
    if (uses->status == FT_OK) {
        f->uses = uses->list;
        f->use_count = uses->found.count;
    }
    /* The latest time seen only moves on when it is not the clock itself that is in doubt. */
    if (f->now_s >= f->latest_seen_s + CLOCK_STEP_S && store->calls->clock_put(store, f->now_s) != FT_OK)
        ft_log(FT_LOG_WARN, "clock.unsaved", "now_s=%lld", (long long)f->now_s);
}

static void
refuse_with(struct ft_decision *out, uint32_t verdict, uint32_t code)
{
    *out = (struct ft_decision){ .verdict = verdict, .codes = { code }, .code_count = 1 };
}

static void
limits_of(const struct ft_policy *policy, struct ft_ss_limits *out)
{
    *out = (struct ft_ss_limits){
        .n_min = policy->cohort.n_min,
        .h_min = policy->cohort.h_min,
        .corrupted = policy->cohort.corrupted,
        .sigma = (uint8_t)policy->cohort.sigma_min,
        .drop_permille = (uint16_t)policy->cohort.drop_permille_max,
        .deadline_ms_max = policy->limits.session_ms_max,
        .graph_allowed = policy->graph_profile.allow,
        .graph_min = policy->graph_profile.cohort_min,
        .repeat_model_unnoised = policy->unnoised,
    };
}

/* A task whose date has passed is over: what it did not use is given back to its budget. */
static void
end_expired(struct ft_shop *s, const struct ft_task *task, const uint8_t task_hash[32])
{
    struct ft_error err = { 0 };
    if (task->noise != 0 && ft_date_of_seconds((int64_t)(wall_of(s) / 1000)) > ft_task_expires_day(task) &&
        ft_budget_end_task(s->budget, task_hash, FT_LEDGER_FINISHED, &err) != FT_OK)
        ft_log(FT_LOG_ERROR, "ledger.unsaved", "what=close reason=%s", err.text);
    note_ledger_head(s);
}

/* Everything is agreed: the task is charged before anybody is told. */
static void
reserve(struct ft_shop *s, const struct ft_policy *policy, const struct ft_task *task,
        const uint8_t task_hash[32], struct ft_decision *out)
{
    const struct ft_policy_budget *budget = ft_policy_budget_of(policy, task);
    struct ft_error err = { 0 };
    uint32_t code = FT_REFUSAL_BUDGET_MISSING;

    if (budget != NULL && ft_budget_reserve(s->budget, budget, task, task_hash, &code, &err) == FT_OK) {
        note_ledger_head(s);
        return;
    }
    ft_log(FT_LOG_WARN, "task.unpaid", "task=%s reason=%s", task->name, err.text);
    refuse_with(out, FT_WORD_REFUSED, code);
}

static void
decide(void *ctx, const struct ft_task *task, const uint8_t task_hash[32], enum ft_vault_approval approval,
       struct ft_decision *out)
{
    struct ft_shop *s = ctx;
    struct ft_policy policy;
    struct ft_policy_facts facts;
    enum ft_policy_guard guard;
    struct ft_policy_decision *d = ft_calloc(1, sizeof *d);

    refuse_with(out, FT_WORD_REFUSED, FT_REFUSAL_INTERNAL);
    if (d == NULL)
        return;
    if (load_policy(s, &policy, &guard) != FT_OK) {
        refuse_with(out, FT_WORD_REFUSED, FT_REFUSAL_POLICY_UNREADABLE);
        ft_free(d);
        return;
    }
    end_expired(s, task, task_hash);
    read_facts(s, &policy, task, task_hash, approval, guard, &facts);
    ft_policy_decide(&policy, task, &facts, d);
    *out = (struct ft_decision){ .verdict = (uint32_t)d->verdict };
    for (size_t i = 0; i < d->code_count && i < FT_VAULT_CODES_MAX; i++)
        out->codes[out->code_count++] = d->codes[i];
    out->next_ms = d->next_s > 0 ? (uint64_t)d->next_s * 1000 : 0;
    limits_of(&policy, &out->limits);
    if (facts.uses == NULL)
        refuse_with(out, FT_WORD_REFUSED,
                    s->uses.status == FT_ERR_FORMAT ? FT_REFUSAL_QUERY_RESULT : FT_REFUSAL_QUERY_REFUSED);
    else if (d->verdict == FT_VERDICT_ACCEPTED && refresh(s) != FT_OK && task->noise == 0)
        refuse_with(out, FT_WORD_LATER,
                    FT_REFUSAL_DATA_UNREADABLE); /* with noise it takes part: see contribute */
    if (out->verdict == FT_WORD_ACCEPTED && task->noise != 0)
        reserve(s, &policy, task, task_hash, out);
    const uint32_t fault = ft_budget_fault(s->budget, NULL);
    if (ft_refusal_exit(fault) == FT_EXIT_VERIFY) /* no participation in anything */
        refuse_with(out, FT_WORD_REFUSED, fault);
    ft_policy_clear(&policy);
    ft_free(d);
}

size_t
ft_shop_explain(struct ft_shop *s, const struct ft_task *task, const uint8_t task_hash[32],
                enum ft_vault_approval approval, struct ft_policy_line *lines,
                struct ft_policy_decision *decision)
{
    struct ft_policy policy;
    struct ft_policy_facts facts;
    enum ft_policy_guard guard;
    struct ft_policy_line *all = lines != NULL ? lines : ft_calloc(FT_POLICY_LINES_MAX, sizeof *all);
    size_t count = 0;
    if (all != NULL && load_policy(s, &policy, &guard) == FT_OK) {
        read_facts(s, &policy, task, task_hash, approval, guard, &facts);
        count = ft_policy_explain(&policy, task, &facts, all, decision);
        ft_policy_clear(&policy);
    }
    if (lines == NULL)
        ft_free(all);
    return count;
}

struct column_rule {
    const struct ft_policy *policy;
    const char *purpose;
};

static bool
column_allowed(void *ctx, const char *table, const char *column)
{
    const struct column_rule *r = ctx;
    return ft_policy_column_allowed(r->policy, r->purpose, table, column);
}

/* The policy's exclusions as the examples take them; texts stay the policy's. */
static enum ft_status
exclusions(const struct ft_policy *policy, struct ft_examples_exclude **list, const char ***values)
{
    size_t count = 0, at = 0;
    for (uint32_t i = 0; i < policy->exclude_count; i++)
        count += policy->exclude[i].kind == FT_EXCLUDE_ONE_OF ? policy->exclude[i].one_of_count : 1;
    *list = ft_calloc(policy->exclude_count + 1, sizeof **list);
    *values = ft_calloc(count + 1, sizeof **values);
    if (*list == NULL || *values == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t i = 0; i < policy->exclude_count; i++) {
        const struct ft_policy_exclusion *from = &policy->exclude[i];
        struct ft_examples_exclude *to = &(*list)[i];
        *to = (struct ft_examples_exclude){
            .table = from->table, .column = from->column, .below = from->below, .values = *values + at
        };
        if (from->kind == FT_EXCLUDE_EQUALS) {
            (*values)[at++] = from->equals;
            to->value_count = 1;
        } else if (from->kind == FT_EXCLUDE_ONE_OF) {
            for (uint32_t v = 0; v < from->one_of_count; v++)
                (*values)[at++] = from->one_of[v].text;
            to->value_count = from->one_of_count;
        }
    }
    return FT_OK;
}

/* What the signed task says this shop has: a public number. 0: nothing. */
static uint64_t
declared_customers(const struct ft_shop *s, const struct ft_task *task)
{
    for (uint32_t i = 0; i < task->privacy.shop_count; i++)
        if (strcmp(task->privacy.shops[i].name, s->name) == 0)
            return task->privacy.shops[i].customers;
    return 0;
}

/* *tell becomes false once nothing is left to go wrong but for the data. */
static enum ft_status
build(struct ft_shop *s, const struct ft_work *work, uint32_t *code, bool *tell)
{
    struct ft_policy policy = { 0 };
    enum ft_policy_guard guard;
    struct ft_examples_exclude *exclude = NULL;
    const char **values = NULL;
    struct ft_refusals *refusals = ft_calloc(1, sizeof *refusals);
    struct ft_error err = { 0 };
    uint64_t count = 0;
    bool have_policy = false;
    enum ft_status st = FT_ERR_NOMEM;

    *tell = true;
    drop_examples(s);
    if (refusals == NULL)
        goto out;
    *code = FT_REFUSAL_POLICY_UNREADABLE;
    FT_TRY(load_policy(s, &policy, &guard));
    have_policy = true;
    *code = FT_REFUSAL_INTERNAL;
    FT_TRY(exclusions(&policy, &exclude, &values));
    struct column_rule rule = { &policy, work->task->purpose };
    const struct ft_policy_budget *budget =
        work->task->noise != 0 ? ft_policy_budget_of(&policy, work->task) : NULL;
    /* policy.yaml is read anew: it may say something else than when the task was accepted */
    if (budget != NULL) {
        *code = FT_REFUSAL_BUDGET_MISSING;
        FT_TRY(ft_budget_check_opened(s->config.store, budget, &err));
        *code = FT_REFUSAL_INTERNAL;
    }
    const struct ft_examples_rules rules = {
        .basis = s->config.basis == FT_BASIS_RECORDS   ? FT_EXAMPLES_RECORDS
                 : s->config.basis == FT_BASIS_CONSENT ? FT_EXAMPLES_CONSENT
                                                       : FT_EXAMPLES_NONE,
        .anonymous_baskets = policy.anonymous_baskets,
        .consent_source = s->consent != NULL,
        .allowed = column_allowed,
        .allowed_ctx = &rule,
        .key = &s->key,
        .exclude = exclude,
        .exclude_count = policy.exclude_count,
        .home = { .column = policy.home.column,
                  .is = policy.home.is,
                  .since = policy.home.since,
                  .not_after = budget != NULL ? budget->opened : NULL },
        .query_ms = policy.limits.query_ms,
        .query_rows = policy.limits.query_rows,
        .query_memory = (uint64_t)policy.limits.query_memory_mib << 20,
        .min_customers = work->task->noise != 0 ? 0 : policy.min_customers, /* policy_decide.c says why */
        .one_by_one = work->task->noise != 0,
        .declared_customers = declared_customers(s, work->task),
        .env = s->config.env,
    };
    *tell = false;
    if (s->consent != NULL)
        FT_TRY(
            ft_consent_eligible(s->consent, work->task->purpose, wall_of(s), s->db, &count, &s->mark, &err));
    st = ft_examples_build(s->db, work->task, &rules, &s->examples, refusals, &err);
    if (st != FT_OK) {
        *tell = !s->examples.ran;
        *code = refusals->count > 0 ? ft_refusal_number(refusals->list[0].code) : FT_REFUSAL_INTERNAL;
        goto out;
    }
    s->has_examples = true;
    memcpy(s->examples_task, work->task_hash, 32);
    if (s->examples.rows_unusable + s->examples.customers_failed > 0)
        ft_log(FT_LOG_WARN, "examples.left_out", "rows=%llu customers=%llu",
               (unsigned long long)s->examples.rows_unusable,
               (unsigned long long)s->examples.customers_failed);
    if (s->examples.rows_train == 0 && work->task->noise == 0) {
        *code = s->config.basis == FT_BASIS_CONSENT && s->examples.zero_reason[0] != '\0'
                    ? FT_REFUSAL_CONSENT_SOURCE_MISSING
                    : FT_REFUSAL_CUSTOMERS_TOO_FEW;
        st = ft_fail(&err, FT_ERR_LATER, "no examples: %s", s->examples.zero_reason);
    }
out:
    if (st != FT_OK) {
        ft_log(FT_LOG_WARN, "examples.none", "status=%s reason=%s", ft_status_name(st), err.text);
        drop_examples(s);
    }
    if (have_policy)
        ft_policy_clear(&policy);
    ft_free(exclude);
    ft_free(values);
    ft_free(refusals);
    return st;
}

enum ft_status
ft_shop_examples(struct ft_shop *s, const struct ft_task *task, const struct ft_examples **out)
{
    static const uint8_t no_hash[32];
    const struct ft_work work = { .task = task, .task_hash = no_hash };
    uint32_t code = 0;
    bool tell;
    enum ft_status st;

    FT_TRY(refresh(s));
    FT_TRY(build(s, &work, &code, &tell));
    *out = &s->examples;
out:
    return st;
}

/* Can the examples in hand be used again for this work? */
static bool
usable(const struct ft_shop *s, const struct ft_work *work)
{
    const uint32_t n = work->task->feature_count;
    if (!s->has_examples || memcmp(s->examples_task, work->task_hash, 32) != 0)
        return false;
    if (s->consent != NULL && !ft_consent_unchanged(s->consent, &s->mark, wall_of(s)))
        return false;
    if (!s->standardised)
        return true;
    return work->plan->stage != FT_STAGE_STATISTICS && s->means_stds != NULL && s->means_features == n &&
           memcmp(s->means_stds, work->model->means, n * sizeof(double)) == 0 &&
           memcmp(s->means_stds + n, work->model->stds, n * sizeof(double)) == 0;
}

static enum ft_status
note_standardisation(struct ft_shop *s, const struct ft_work *work)
{
    const uint32_t n = work->task->feature_count;
    if (work->plan->stage == FT_STAGE_STATISTICS || s->standardised)
        return FT_OK;
    ft_free(s->means_stds);
    s->means_stds = ft_calloc(2 * (size_t)n, sizeof *s->means_stds);
    if (s->means_stds == NULL)
        return FT_ERR_NOMEM;
    memcpy(s->means_stds, work->model->means, n * sizeof(double));
    memcpy(s->means_stds + n, work->model->stds, n * sizeof(double));
    s->means_features = n;
    return FT_OK;
}

/* No row is looked at, so nothing of the data can stand against it. */
static enum ft_status
contribute_noise(struct ft_shop *s, const struct ft_work *work, uint64_t **words, uint32_t *code)
{
    struct ft_examples none = { .feature_count = work->task->feature_count };
    struct ft_error err = { 0 };
    bool raw = false;

    *code = FT_REFUSAL_INTERNAL;
    s->nobody = true;
    return work->plan->privacy.on ? ft_contribute(s->contributor, work, &none, &raw, words, &err)
                                  : FT_ERR_ARGUMENT;
}

/* *tell is false when what went wrong is in the data. */
static enum ft_status
contribute_data(struct ft_shop *s, const struct ft_work *work, uint64_t **words, uint32_t *code, bool *tell)
{
    struct ft_error err = { 0 };
    enum ft_status st;

    s->nobody = false;
    *tell = false;
    *code = FT_REFUSAL_DATA_UNREADABLE;
    FT_TRY(refresh(s));
    if (!usable(s, work))
        FT_TRY(build(s, work, code, tell));
    *tell = false;
    *code = FT_REFUSAL_INTERNAL;
    FT_TRY(note_standardisation(s, work));
    st = ft_contribute(s->contributor, work, &s->examples, &s->standardised, words, &err);
    if (st != FT_OK) {
        *code = st == FT_ERR_NONFINITE ? FT_REFUSAL_DATA_NONFINITE : FT_REFUSAL_INTERNAL;
        ft_log(FT_LOG_WARN, "contribution.failed", "status=%s reason=%s", ft_status_name(st), err.text);
        drop_examples(s); /* part of them may be standardised */
    }
out:
    return st;
}

/* In a task with noise, whether and when a shop takes part tells nothing of its data: where the data cannot
 * be used, the shop's noise goes alone, and its own operator is told. What the policy forbids, or the query's
 * text, is refused as ever. */
static enum ft_status
contribute(void *ctx, const struct ft_work *work, uint64_t **words, uint32_t *code)
{
    struct ft_shop *s = ctx;
    bool tell = false;
    enum ft_status st;

    *words = NULL;
    if (work->nobody)
        return contribute_noise(s, work, words, code);
    st = contribute_data(s, work, words, code, &tell);
    if (st == FT_OK || tell || !work->plan->privacy.on || st == FT_ERR_NOMEM)
        return st;
    ft_log(FT_LOG_ERROR, "contribution.noise_alone",
           "code=%u status=%s effect=the round goes on with this shop's noise and none of its data "
           "remedy=fedtill-client "
           "source check",
           *code, ft_status_name(st));
    return contribute_noise(s, work, words, code);
}

static bool
unchanged(void *ctx)
{
    struct ft_shop *s = ctx;
    return s->nobody || s->consent == NULL || ft_consent_unchanged(s->consent, &s->mark, wall_of(s));
}

/* Two different messages for one step: kept beside the audit log, for whoever judges the aggregator. */
static void
evidence(void *ctx, struct ft_bytes first, struct ft_bytes second)
{
    const struct ft_shop *s = ctx;
    const enum ft_status st = ft_evidence_keep(s->state_dir, wall_of(s), first, second);
    ft_log(FT_LOG_ERROR, st == FT_OK ? "evidence.saved" : "evidence.unsaved", "status=%s sizes=%llu",
           ft_status_name(st), (unsigned long long)(first.size + second.size));
}

/* ---- the ledger, for the participant ---- */

static bool
can_pay(void *ctx, const uint8_t task_hash[32], uint64_t round)
{
    const struct ft_shop *s = ctx;
    return ft_budget_can_pay(s->budget, task_hash, round);
}

static enum ft_status
spend(void *ctx, const uint8_t task_hash[32], uint64_t round, const uint8_t session[32])
{
    struct ft_shop *s = ctx;
    struct ft_error err = { 0 };
    const enum ft_status st = ft_budget_spend(s->budget, task_hash, round, session, &err);
    if (st != FT_OK)
        ft_log(FT_LOG_ERROR, "ledger.unspent", "round=%llu reason=%s", (unsigned long long)round, err.text);
    else
        note_ledger_head(s);
    return st;
}

static void
task_over(void *ctx, const uint8_t task_hash[32])
{
    struct ft_shop *s = ctx;
    struct ft_error err = { 0 };
    if (ft_budget_end_task(s->budget, task_hash, FT_LEDGER_FINISHED, &err) != FT_OK)
        ft_log(FT_LOG_ERROR, "ledger.unsaved", "what=close reason=%s", err.text);
    note_ledger_head(s);
}

static bool
ledger_head(void *ctx, uint8_t head[FT_FED_LEDGER_HEAD_SIZE])
{
    const struct ft_shop *s = ctx;
    struct ft_ledger_head h;
    if (!ft_budget_head(s->budget, &h))
        return false;
    ft_put_u64(head, h.seq);
    memcpy(head + 8, h.chain, sizeof h.chain);
    return true;
}

static enum ft_status
ledger_seen(void *ctx, const uint8_t head[FT_FED_LEDGER_HEAD_SIZE])
{
    struct ft_shop *s = ctx;
    struct ft_ledger_head seen = { .seq = ft_get_u64(head) };
    memcpy(seen.chain, head + 8, sizeof seen.chain);
    return ft_budget_seen(s->budget, &seen, NULL);
}

void
ft_shop_world(struct ft_shop *shop, struct ft_participant_world *world)
{
    /* NULL without a ledger of our own: LOOK pays for nothing */
    const bool kept = shop->config.budget == FT_BUDGET_KEEP;
    *world = (struct ft_participant_world){ .can_pay = kept ? can_pay : NULL,
                                            .spend = kept ? spend : NULL,
                                            .task_over = kept ? task_over : NULL,
                                            .ledger_head = kept ? ledger_head : NULL,
                                            .ledger_seen = kept ? ledger_seen : NULL,
                                            .env = shop->config.env,
                                            .store = shop->config.store,
                                            .ctx = shop,
                                            .decide = decide,
                                            .contribute = contribute,
                                            .unchanged = unchanged,
                                            .evidence = evidence };
}
