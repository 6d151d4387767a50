/* policy.yaml into struct ft_policy, and the contradictions a table of ranges cannot see. */
#include "client/policy/policy.h"

#include "common/base/alloc.h"
#include "common/base/config.h"
#include "common/base/hash.h"

#include <float.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What the file holds beside the policy itself. */
struct policy_file {
    struct ft_policy policy;
    uint32_t version, unnoised, anonymous, metered;
};

#define R                          FT_CONFIG_REQUIRED
#define P(member, name, kind, ...) FT_CFG(struct ft_policy, member, name, kind, __VA_ARGS__)
#define F(member, name, kind, ...) FT_CFG(struct policy_file, member, name, kind, __VA_ARGS__)
#define WHOLE(member, name, how, low, high)                                                                  \
    P(member, name, UINT32, .flags = (how), .least = (low), .most = (high))
#define GROUP(name, how, table)                                                                              \
    {                                                                                                        \
        .key = name, .type = FT_CONFIG_MAP, .flags = (how), .fields = (table)                                \
    }

#define IDENTIFIER "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

static const char *
is_identifier(const char *text)
{
    const size_t size = strspn(text, IDENTIFIER);
    return size > 0 && size <= 64 && text[size] == '\0' ? NULL : "a name of letters, digits and underscores";
}

static const char *
is_table_column(const char *text)
{
    const size_t table = strspn(text, IDENTIFIER);
    return table > 0 && table <= 64 && text[table] == '.' && is_identifier(text + table + 1) == NULL
               ? NULL
               : "table.column, such as transactions.week";
}

/* "HH:MM", 00:00 .. 24:00, as minutes; -1 when it is none. */
static int
clock_time(const char *text)
{
    int hours, minutes;
    if (text[0] < '0' || text[0] > '2' || text[1] < '0' || text[1] > '9' || text[2] != ':' || text[3] < '0' ||
        text[3] > '5' || text[4] < '0' || text[4] > '9')
        return -1;
    hours = (text[0] - '0') * 10 + (text[1] - '0');
    minutes = (text[3] - '0') * 10 + (text[4] - '0');
    return hours * 60 + minutes <= 24 * 60 ? hours * 60 + minutes : -1;
}

static const char *
is_window(const char *text)
{
    return strlen(text) == 11 && text[5] == '-' && clock_time(text) >= 0 && clock_time(text + 6) >= 0
               ? NULL
               : "local times as HH:MM-HH:MM, such as 22:00-06:00";
}

#define DIGITS "0123456789abcdef"

static const char *
is_plan(const char *text)
{
    return strspn(text, DIGITS) == 64 && text[64] == '\0' ? NULL : "64 hex digits, as `budget plan` prints them";
}

static const char *
is_domain(const char *text)
{
    const size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return size > 0 && size <= 48 && text[size] == '\0' ? NULL : "a name of 1 to 48 of a-z, 0-9, _ and -";
}

static const struct ft_config_choice units[] = { { "customer", FT_UNIT_CUSTOMER }, { "record", FT_UNIT_RECORD }, { "store", FT_UNIT_STORE }, { 0 } };
static const struct ft_config_choice modes[] = { { "planned", FT_BUDGET_PLANNED },
                                                 { "adaptive", FT_BUDGET_ADAPTIVE },
                                                 { 0 } };
static const struct ft_config_choice methods[] = { { "rdp", FT_BUDGET_RDP }, { "pld", FT_BUDGET_PLD }, { 0 } };
static const struct ft_config_choice owners[] = { { "root", FT_OWNER_ROOT },
                                                  { "self", FT_OWNER_SELF },
                                                  { 0 } };
static const struct ft_config_choice bases[] = {
    { "consent", FT_BASIS_CONSENT }, { "records", FT_BASIS_RECORDS }, { "none", FT_BASIS_NONE }, { 0 }
};
static const struct ft_config_choice allow_refuse[] = { { "allow", 1 }, { "refuse", 0 }, { 0 } };
static const struct ft_config_choice include_exclude[] = { { "include", 1 }, { "exclude", 0 }, { 0 } };
static const struct ft_config_choice days[] = { { "mon", 0 }, { "tue", 1 }, { "wed", 2 }, { "thu", 3 },
                                                { "fri", 4 }, { "sat", 5 }, { "sun", 6 }, { 0 } };

static const struct ft_config_field purpose_item =
    FT_CFG(struct ft_policy_text, text, "purpose", TEXT, .most = 64, .check = ft_config_is_purpose);
static const struct ft_config_field column_item =
    FT_CFG(struct ft_policy_text, text, "column", TEXT, .most = 129, .check = is_table_column);
static const struct ft_config_field value_item = FT_CFG(
    struct ft_policy_text, text, "value", TEXT, .flags = FT_CONFIG_PRIVATE | FT_CONFIG_EMPTY_OK, .most = 256);
static const struct ft_config_field day_item = { .key = "day", .type = FT_CONFIG_CHOICE, .choices = days };

static const struct ft_config_field auto_fields[] = {
    P(auto_approve.purposes, "purposes", LIST, .flags = R | FT_CONFIG_EMPTY_OK, .most = 16,
      .item = &purpose_item, .item_size = sizeof(struct ft_policy_text),
      .count_offset = offsetof(struct ft_policy, auto_approve.purpose_count)),
    WHOLE(auto_approve.rounds_max, "rounds_max", R, 0, 100000),
    FT_CONFIG_END,
};
static const struct ft_config_field columns_item =
    FT_CFG(struct ft_policy_columns, columns, "columns", LIST, .most = 256, .item = &column_item,
           .item_size = sizeof(struct ft_policy_text),
           .count_offset = offsetof(struct ft_policy_columns, column_count));
static const struct ft_config_field cohort_fields[] = {
    WHOLE(cohort.n_min, "n_min", R, 2, 16384),
    WHOLE(cohort.h_min, "h_min", R, 2, 16384),
    WHOLE(cohort.corrupted, "corrupted", R, 1, 16384),
    WHOLE(cohort.drop_permille_max, "drop_permille_max", R, 0, 499),
    WHOLE(cohort.sigma_min, "sigma_min", R, 30, 128),
    FT_CONFIG_END,
};
static const struct ft_config_field limits_fields[] = {
    P(limits.clip_max, "clip_max", REAL, .flags = R, .min = DBL_MIN, .max = 1e6),
    P(limits.parameters_max, "parameters_max", UINT64, .flags = R, .least = 1, .most = UINT64_C(1) << 24),
    WHOLE(limits.clusters_max, "clusters_max", 0, 1, 256),
    WHOLE(limits.min_cluster, "min_cluster", 0, 2, 1000000),
    WHOLE(limits.rounds_max, "rounds_max", R, 1, 100000),
    P(limits.session_ms_max, "session_ms_max", UINT64, .flags = R, .least = 1, .most = UINT64_C(2592000000)),
    WHOLE(limits.query_ms, "query_ms", R, 1, 3600000),
    WHOLE(limits.query_rows, "query_rows", R, 1, 1u << 24),
    WHOLE(limits.query_memory_mib, "query_memory_mib", R, 1, 65536),
    FT_CONFIG_END,
};
static const struct ft_config_field graph_fields[] = {
    P(graph_profile.allow, "allow", BOOL, .flags = R),
    WHOLE(graph_profile.cohort_min, "cohort_min", R, 65, 16384),
    FT_CONFIG_END,
};
static const struct ft_config_field exclusion_fields[] = {
    FT_CFG(struct ft_policy_exclusion, table, "table", TEXT, .flags = R, .most = 64, .check = is_identifier),
    FT_CFG(struct ft_policy_exclusion, column, "column", TEXT, .flags = R, .most = 64,
           .check = is_identifier),
    FT_CFG(struct ft_policy_exclusion, equals, "equals", TEXT,
           .flags = FT_CONFIG_PRIVATE | FT_CONFIG_EMPTY_OK, .most = 256),
    FT_CFG(struct ft_policy_exclusion, one_of, "one_of", LIST, .flags = FT_CONFIG_PRIVATE, .most = 4096,
           .item = &value_item, .item_size = sizeof(struct ft_policy_text),
           .count_offset = offsetof(struct ft_policy_exclusion, one_of_count)),
    FT_CFG(struct ft_policy_exclusion, below, "below", REAL, .min = -1e300, .max = 1e300),
    FT_CFG(struct ft_policy_exclusion, reason, "reason", TEXT, .flags = R, .most = 200),
    FT_CFG(struct ft_policy_exclusion, hold, "hold", BOOL),
    FT_CONFIG_END,
};
static const struct ft_config_field exclusion_item = GROUP("rule", 0, exclusion_fields);
static const struct ft_config_field participation_fields[] = {
    P(participation.window, "window", TEXT, .most = 11, .check = is_window),
    P(participation.day_list, "days", LIST, .most = 7, .item = &day_item, .item_size = sizeof(uint32_t),
      .count_offset = offsetof(struct ft_policy, participation.day_count)),
    P(participation.min_gap_s, "min_gap_s", UINT64, .most = 31622400),
    WHOLE(participation.rounds_per_month, "rounds_per_month", 0, 1, 1000000),
    F(metered, "metered", CHOICE, .choices = allow_refuse),
    P(participation.load_max, "load_max", REAL, .min = 0, .max = 10000),
    FT_CONFIG_END,
};
static const struct ft_config_field home_fields[] = {
    P(home.column, "column", TEXT, .flags = R, .most = 64, .check = is_identifier),
    P(home.is, "is", TEXT, .flags = R, .most = 128),
    P(home.since, "since", TEXT, .most = 64, .check = is_identifier),
    FT_CONFIG_END,
};
#define B(member, name, kind, ...) FT_CFG(struct ft_policy_budget, member, name, kind, __VA_ARGS__)
static const struct ft_config_field budget_fields[] = {
    B(unit, "unit", CHOICE, .flags = R, .choices = units),
    B(epsilon_max, "epsilon_max", REAL, .flags = R, .min = 1e-6, .max = 1e6),
    B(delta, "delta", REAL, .flags = R, .min = 1e-12, .max = 1e-3),
    B(epsilon_task_max, "epsilon_task_max", REAL, .min = 1e-6, .max = 1e6),
    B(t_min, "t_min", UINT32, .least = 1, .most = 16384),
    B(q_max, "q_max", REAL, .min = 1e-9, .max = 1),
    B(m_stores, "m_stores", UINT32, .least = 1, .most = 64),
    B(mode, "mode", CHOICE, .choices = modes),
    B(order, "order", UINT32, .least = 2, .most = 1024),
    B(plan, "plan", TEXT, .most = 64, .check = is_plan),
    B(method, "method", CHOICE, .choices = methods),
    B(purposes, "purposes", LIST, .most = 16, .item = &purpose_item, .item_size = sizeof(struct ft_policy_text),
      .count_offset = offsetof(struct ft_policy_budget, purpose_count)),
    B(opened, "opened", TEXT, .most = 10, .check = ft_config_is_date),
    FT_CONFIG_END,
};
static const struct ft_config_field budget_item = GROUP("domain", 0, budget_fields);
/* struct ft_policy comes first in struct policy_file, so its offsets hold for both. */
static const struct ft_config_field policy_fields[] = {
    F(version, "version", UINT32, .flags = R, .least = 1, .most = 1),
    P(owner, "owner", CHOICE, .flags = R, .choices = owners),
    P(review_by, "review_by", TEXT, .flags = R, .most = 10, .check = ft_config_is_date),
    WHOLE(grace_days, "grace_days", R, 0, 366),
    P(purposes, "purposes", LIST, .flags = R | FT_CONFIG_EMPTY_OK, .most = 16, .item = &purpose_item,
      .item_size = sizeof(struct ft_policy_text), .count_offset = offsetof(struct ft_policy, purpose_count)),
    GROUP("auto_approve", 0, auto_fields),
    P(columns, "columns", DICT, .flags = R | FT_CONFIG_EMPTY_OK, .most = 16, .item = &columns_item,
      .item_size = sizeof(struct ft_policy_columns),
      .count_offset = offsetof(struct ft_policy, columns_count),
      .key_offset = offsetof(struct ft_policy_columns, purpose), .key_check = ft_config_is_purpose),
    P(training_basis, "training_basis", CHOICE, .flags = R, .choices = bases),
    F(unnoised, "unnoised", CHOICE, .flags = R, .choices = allow_refuse),
    F(anonymous, "anonymous_baskets", CHOICE, .choices = include_exclude),
    WHOLE(min_customers, "min_customers", R, 1, 1000000000),
    GROUP("cohort", R, cohort_fields),
    GROUP("limits", R, limits_fields),
    GROUP("graph_profile", 0, graph_fields),
    P(exclude, "exclude", LIST, .flags = FT_CONFIG_EMPTY_OK, .most = 256, .item = &exclusion_item,
      .item_size = sizeof(struct ft_policy_exclusion),
      .count_offset = offsetof(struct ft_policy, exclude_count)),
    GROUP("home_store", 0, home_fields),
    P(budgets, "budgets", DICT, .flags = FT_CONFIG_EMPTY_OK, .most = 64, .item = &budget_item,
      .item_size = sizeof(struct ft_policy_budget), .count_offset = offsetof(struct ft_policy, budget_count),
      .key_offset = offsetof(struct ft_policy_budget, domain), .key_check = is_domain),
    GROUP("participation", 0, participation_fields),
    FT_CONFIG_END,
};
_Static_assert(offsetof(struct policy_file, policy) == 0, "the tables name offsets in struct ft_policy");
_Static_assert(sizeof(enum ft_basis) == sizeof(uint32_t), "a choice is read as uint32_t");

/* ---- contradictions ---- */

static bool
listed(const struct ft_policy_text *list, uint32_t count, const char *text)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(list[i].text, text) == 0)
            return true;
    return false;
}

static void
check_purposes(const struct ft_policy *p, struct ft_findings *findings)
{
    char path[160];

    for (uint32_t i = 0; i < p->purpose_count; i++) {
        const char *purpose = p->purposes[i].text;
        bool columns = false;
        snprintf(path, sizeof path, "purposes[%u]", i);
        if (listed(p->purposes, i, purpose))
            ft_config_find(p->source, findings, path, "purpose %s is listed twice", purpose);
        for (uint32_t j = 0; j < p->columns_count; j++)
            columns |= strcmp(p->columns[j].purpose, purpose) == 0;
        if (!columns)
            ft_config_find(p->source, findings, path,
                           "purpose %s has no entry in columns, so no task of it could read anything",
                           purpose);
    }
    for (uint32_t i = 0; i < p->columns_count; i++) {
        snprintf(path, sizeof path, "columns.%s", p->columns[i].purpose);
        if (!listed(p->purposes, p->purpose_count, p->columns[i].purpose))
            ft_config_find(p->source, findings, path, "columns for %s, which is not in purposes",
                           p->columns[i].purpose);
    }
    for (uint32_t i = 0; i < p->auto_approve.purpose_count; i++) {
        snprintf(path, sizeof path, "auto_approve.purposes[%u]", i);
        if (!listed(p->purposes, p->purpose_count, p->auto_approve.purposes[i].text))
            ft_config_find(p->source, findings, path, "auto_approve names %s, which is not in purposes",
                           p->auto_approve.purposes[i].text);
    }
}

static void
check_exclusions(struct ft_policy *p, struct ft_findings *findings)
{
    for (uint32_t i = 0; i < p->exclude_count; i++) {
        struct ft_policy_exclusion *e = &p->exclude[i];
        uint32_t line, column;
        char path[64];

        snprintf(path, sizeof path, "exclude[%u].below", i);
        const bool below = ft_config_where(p->source, path, &line, &column);
        snprintf(path, sizeof path, "exclude[%u]", i);
        if ((e->equals != NULL) + (e->one_of_count > 0) + below != 1)
            ft_config_find(p->source, findings, path,
                           "an exclusion needs exactly one of equals, one_of and below");
        e->kind = e->equals != NULL ? FT_EXCLUDE_EQUALS : below ? FT_EXCLUDE_BELOW : FT_EXCLUDE_ONE_OF;
    }
}

static void
check_home(const struct ft_policy *p, struct ft_findings *findings)
{
    if (p->home.column != NULL && p->training_basis == FT_BASIS_RECORDS)
        ft_config_find(p->source, findings, "home_store",
                       "home_store is for data with customers; training_basis is records");
    for (uint32_t i = 0; i < p->budget_count; i++) {
        const struct ft_policy_budget *b = &p->budgets[i];
        if (p->home.since != NULL && b->unit == FT_UNIT_CUSTOMER && b->opened == NULL)
            ft_config_find(p->source, findings, b->where,
                           "home_store.since lets customers move, so the budget needs opened: the date after which "
                           "who comes to this shop is not used by it");
        if (p->home.since == NULL && b->opened != NULL)
            ft_config_find(p->source, findings, b->where,
                           "opened says which customers came later, and needs home_store.since to tell");
    }
}

/* Two domains that would both pay for the same task. */
static const char *
shared_purpose(const struct ft_policy_budget *a, const struct ft_policy_budget *b)
{
    if (a->unit != b->unit)
        return NULL;
    if (a->purpose_count == 0 || b->purpose_count == 0)
        return "every purpose";
    for (uint32_t i = 0; i < a->purpose_count; i++)
        if (listed(b->purposes, b->purpose_count, a->purposes[i].text))
            return a->purposes[i].text;
    return NULL;
}

static void
finish_budgets(struct ft_policy *p, struct ft_findings *findings)
{
    for (uint32_t i = 0; i < p->budget_count; i++) {
        struct ft_policy_budget *b = &p->budgets[i];
        const char *path = b->where;
        b->t_min = b->t_min == 0 ? 1 : b->t_min;
        b->q_max = b->q_max == 0 ? 1 : b->q_max;
        b->m_stores = b->m_stores == 0 ? 1 : b->m_stores;
        b->mode = b->mode == 0 ? FT_BUDGET_ADAPTIVE : b->mode;
        snprintf(b->where, sizeof b->where, "budgets.%.48s", b->domain);
        if (b->unit == FT_UNIT_STORE && b->m_stores > 1)
            ft_config_find(p->source, findings, path,
                           "m_stores is %u, expected 1 or no such key: with unit store a unit is this shop", b->m_stores);
        if (b->unit == FT_UNIT_STORE && b->q_max < 1)
            ft_config_find(p->source, findings, path,
                           "q_max is %.9g, expected 1 or no such key: with unit store there is no sampling", b->q_max);
        if (b->mode == FT_BUDGET_PLANNED && (b->plan == NULL || b->order != 0))
            ft_config_find(p->source, findings, path, "a planned budget needs plan, and no order");
        if (b->mode == FT_BUDGET_ADAPTIVE && (b->plan != NULL || b->method != 0))
            ft_config_find(p->source, findings, path, "plan and method are for mode planned only");
        b->method = b->method == 0 ? FT_BUDGET_RDP : b->method;
        if (b->epsilon_task_max > b->epsilon_max)
            ft_config_find(p->source, findings, path, "epsilon_task_max %.9g is above epsilon_max %.9g",
                           b->epsilon_task_max, b->epsilon_max);
        for (uint32_t j = 0; j < b->purpose_count; j++)
            if (!listed(p->purposes, p->purpose_count, b->purposes[j].text))
                ft_config_find(p->source, findings, path, "the budget names %s, which is not in purposes",
                               b->purposes[j].text);
        for (uint32_t j = 0; j < i; j++) {
            const char *both = shared_purpose(b, &p->budgets[j]);
            if (both != NULL)
                ft_config_find(p->source, findings, path, "budgets %s and %s both cover %s of unit %s",
                               p->budgets[j].domain, b->domain, both, ft_unit_name(b->unit));
        }
    }
}

const struct ft_policy_budget *
ft_policy_budget_of(const struct ft_policy *policy, const struct ft_task *task)
{
    for (uint32_t i = 0; i < policy->budget_count; i++) {
        const struct ft_policy_budget *b = &policy->budgets[i];
        if (b->unit == task->unit &&
            (b->purpose_count == 0 || listed(b->purposes, b->purpose_count, task->purpose)))
            return b;
    }
    return NULL;
}

static enum ft_status
finish_participation(struct ft_policy *p, struct ft_findings *findings)
{
    if (p->participation.window == NULL && (p->participation.window = ft_strdup("00:00-24:00")) == NULL)
        return FT_ERR_NOMEM;
    p->participation.from_min = (uint32_t)clock_time(p->participation.window);
    p->participation.to_min = (uint32_t)clock_time(p->participation.window + 6);
    if (p->participation.from_min == p->participation.to_min)
        ft_config_find(p->source, findings, "participation.window",
                       "the window %s is empty, expected two different times (all day is 00:00-24:00)",
                       p->participation.window);
    else if (p->participation.from_min == 24 * 60 || p->participation.to_min == 0)
        ft_config_find(p->source, findings, "participation.window",
                       "the window %s is ambiguous, expected a start before 24:00 and an end after 00:00",
                       p->participation.window);
    p->participation.days = p->participation.day_count == 0 ? 0x7f : 0;
    for (uint32_t i = 0; i < p->participation.day_count; i++)
        p->participation.days |= 1u << p->participation.day_list[i];
    return FT_OK;
}

enum ft_status
ft_policy_parse(struct ft_bytes yaml, const char *origin, struct ft_policy *out, struct ft_findings *findings)
{
    enum ft_status st;
    struct policy_file file = { .policy = { .limits = { .clusters_max = 32, .min_cluster = 10 }, .graph_profile = { .allow = false, .cohort_min = 512 },
                                            .participation = { .rounds_per_month = 1000000 } } };
    struct ft_policy *p = &file.policy;

    *out = (struct ft_policy){ 0 };
    ft_findings_init(findings, origin);
    FT_TRY(ft_config_open(yaml, findings, &p->source));
    FT_TRY(ft_config_read(p->source, policy_fields, &file, findings));
    p->unnoised = file.unnoised == 1;
    p->anonymous_baskets = file.anonymous == 1;
    p->participation.metered = file.metered == 1;
    check_purposes(p, findings);
    check_exclusions(p, findings);
    finish_budgets(p, findings);
    check_home(p, findings);
    FT_TRY(finish_participation(p, findings));
    if (findings->total > 0) {
        st = FT_ERR_CONFIG;
        goto out;
    }
    ft_hash_labelled(p->hash, "policy", yaml);
    if ((p->origin = ft_strdup(origin)) == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    *out = *p;
    *p = (struct ft_policy){ 0 };
out:
    ft_policy_clear(p);
    return st;
}

void
ft_policy_clear(struct ft_policy *policy)
{
    struct policy_file file = { .policy = *policy };
    ft_config_clear(policy_fields, &file);
    ft_config_close(policy->source);
    ft_free(policy->origin);
    *policy = (struct ft_policy){ 0 };
}

/* ---- columns ---- */

bool
ft_policy_purpose_allowed(const struct ft_policy *policy, const char *purpose)
{
    return listed(policy->purposes, policy->purpose_count, purpose);
}

bool
ft_policy_column_allowed(const struct ft_policy *policy, const char *purpose, const char *table,
                         const char *column)
{
    const size_t table_size = strlen(table);

    if (!ft_policy_purpose_allowed(policy, purpose))
        return false;
    for (uint32_t i = 0; i < policy->columns_count; i++) {
        if (strcmp(policy->columns[i].purpose, purpose) != 0)
            continue;
        for (uint32_t j = 0; j < policy->columns[i].column_count; j++) {
            const char *allowed = policy->columns[i].columns[j].text;
            if (strncasecmp(allowed, table, table_size) == 0 && allowed[table_size] == '.' &&
                strcasecmp(allowed + table_size + 1, column) == 0)
                return true;
        }
    }
    return false;
}

enum ft_status
ft_policy_check_mapping(const struct ft_policy *policy, struct ft_policy_mapping mapping,
                        struct ft_findings *findings)
{
    const char *const home[] = { policy->home.column, policy->home.since };

    for (size_t i = 0; i < 2; i++)
        if (home[i] != NULL && !mapping.maps(mapping.ctx, "customers", home[i]))
            ft_config_find(policy->source, findings, i == 0 ? "home_store.column" : "home_store.since",
                           "home_store names customers.%s, which is not mapped in client.yaml", home[i]);
    for (uint32_t i = 0; i < policy->exclude_count; i++) {
        const struct ft_policy_exclusion *e = &policy->exclude[i];
        char path[64];
        snprintf(path, sizeof path, "exclude[%u].column", i);
        if (!mapping.maps(mapping.ctx, e->table, e->column))
            ft_config_find(policy->source, findings, path,
                           "the exclusion '%s' names %s.%s, which is not mapped in client.yaml", e->reason,
                           e->table, e->column);
    }
    return findings->total == 0 ? FT_OK : FT_ERR_CONFIG;
}
