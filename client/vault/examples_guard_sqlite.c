/*
 * What a query may touch. Default: nothing. A column of a view is the policy's to decide; a base table is
 * read only through a view, and no query can name one, for a text that holds the prefix is refused before it
 * is prepared (SQLite gives a CTE's name where it gives a view's, so the name alone would prove nothing).
 */
#include "client/vault/examples_internal.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LENGTH_MAX        1000000 /* bytes of one value */
#define LIKE_LENGTH_MAX   1000    /* a long pattern takes quadratic time */
#define OPS_MAX           1000000
#define COMPOUND_MAX      100
#define PROGRESS_INTERVAL 1000
/* Of SQLite's machine, for one customer: from 10 to 100 times what a usual query takes. */
#define CUSTOMER_STEPS_LEAST UINT64_C(200000)
#define CUSTOMER_STEPS_MOST  UINT64_C(2000000)
#define STEPS_PER_MS         UINT64_C(100000)

/* Deterministic, of its arguments alone, small results. Sorted. */
static const char *const functions[] = {
    "abs",       "acos",         "asin",  "atan",      "atan2",  "avg",      "ceil",      "ceiling",
    "coalesce",  "cos",          "count", "cume_dist", "date",   "datetime", "degrees",   "dense_rank",
    "exp",       "first_value",  "floor", "glob",      "ifnull", "iif",      "instr",     "julianday",
    "lag",       "last_value",   "lead",  "length",    "like",   "ln",       "log",       "log10",
    "log2",      "lower",        "ltrim", "max",       "min",    "mod",      "nth_value", "ntile",
    "nullif",    "percent_rank", "pi",    "pow",       "power",  "radians",  "rank",      "replace",
    "round",     "row_number",   "rtrim", "sign",      "sin",    "sqrt",     "strftime",  "substr",
    "substring", "sum",          "tan",   "tanh",      "time",   "total",    "trim",      "trunc",
    "typeof",    "unixepoch",    "upper",
};

static bool
function_allowed(const char *name)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (sqlite3_stricmp(functions[i], name) == 0)
            return true;
    return false;
}

void
guard_deny(struct guard *g, enum ft_refusal_code code, const char *fmt, ...)
{
    char text[sizeof g->denied[0].text];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (size_t i = 0; i < g->denied_count; i++)
        if (strcmp(g->denied[i].text, text) == 0)
            return; /* SQLite asks once for each use */
    if (g->denied_count == GUARD_DENIED_MAX)
        return;
    g->denied[g->denied_count].code = code;
    memcpy(g->denied[g->denied_count++].text, text, sizeof text);
}

static void
note_use(struct guard *g, const char *table, const char *column)
{
    struct ft_examples_uses *uses = g->uses;
    for (size_t i = 0; i < uses->count; i++)
        if (strcmp(uses->list[i].table, table) == 0 && strcmp(uses->list[i].column, column) == 0)
            return;
    if (uses->count == FT_EXAMPLES_USES_MAX) {
        guard_deny(g, FT_REFUSAL_QUERY_REFUSED, "the query reads more than %d columns", FT_EXAMPLES_USES_MAX);
        return;
    }
    snprintf(uses->list[uses->count].table, sizeof uses->list[0].table, "%s", table);
    snprintf(uses->list[uses->count++].column, sizeof uses->list[0].column, "%s", column);
}

static int
verdict(const struct guard *g)
{
    return g->mode == GUARD_CHECK ? SQLITE_IGNORE : SQLITE_DENY;
}

/* A table read without a column, as count(*) does: how many rows there are is told by any allowed column too.
 */
static bool
any_column_allowed(const struct guard *g, int table)
{
    for (size_t i = 0; i < ft_schema[table].column_count; i++)
        if (g->rules->allowed != NULL &&
            g->rules->allowed(g->rules->allowed_ctx, ft_schema[table].name, ft_schema[table].columns[i].name))
            return true;
    return false;
}

static int
read_view(struct guard *g, int table, const char *column)
{
    const char *name = ft_schema[table].name;

    if (g->mode == GUARD_FIND) {
        if (column[0] != '\0')
            note_use(g, name, column);
        return SQLITE_OK;
    }
    if (column[0] == '\0') {
        if (any_column_allowed(g, table))
            return SQLITE_OK;
        guard_deny(g, FT_REFUSAL_COLUMN_NOT_ALLOWED, "no column of %s is allowed for purpose %s", name,
                   g->purpose);
        return verdict(g);
    }
    if (g->rules->allowed == NULL || !g->rules->allowed(g->rules->allowed_ctx, name, column)) {
        guard_deny(g, FT_REFUSAL_COLUMN_NOT_ALLOWED, "column %s.%s is not allowed for purpose %s", name,
                   column, g->purpose);
        return verdict(g);
    }
    if (!g->mapped(g->mapped_ctx, name, column)) {
        guard_deny(g, FT_REFUSAL_QUERY_REFUSED, "column %s.%s is not mapped by this shop's source", name,
                   column);
        return verdict(g);
    }
    return SQLITE_OK;
}

/* The standard table of that name, in any case: SQLite passes on a FROM item's name as the query wrote it. */
static int
find_view(const char *name)
{
    for (int i = 0; i < FT_TABLE_COUNT; i++)
        if (sqlite3_stricmp(ft_schema[i].name, name) == 0)
            return i;
    return -1;
}

static int
read_column(struct guard *g, const char *table, const char *column, const char *through)
{
    const int view = find_view(table);

    if (sqlite3_strnicmp(table, FT_BASE_PREFIX, (int)strlen(FT_BASE_PREFIX)) == 0) {
        const int base = find_view(table + strlen(FT_BASE_PREFIX));
        if (through != NULL && find_view(through) >= 0)
            return SQLITE_OK; /* inside one of our views */
        if (base >= 0 &&
            column[0] == '\0') /* one of our views, merged into the query, of which no column is used */
            return read_view(g, base, column);
    } else if (view >= 0) {
        return read_view(g, view, column);
    } else if (column[0] == '\0' && sqlite3_strnicmp(table, "sqlite_", 7) != 0 &&
               sqlite3_strnicmp(table, "pragma_", 7) != 0) {
        return SQLITE_OK; /* a CTE of the query itself, read without a column; virtual tables are not
                             registered */
    }
    guard_deny(g, FT_REFUSAL_QUERY_REFUSED, "table %.48s is not one a task may read", table);
    return SQLITE_DENY;
}

static int
on_authorize(void *ctx, int action, const char *a, const char *b, const char *database, const char *through)
{
    struct guard *g = ctx;
    (void)database;

    if (guard_expired(g)) /* a text can grow without bounds while it is prepared */
        return SQLITE_DENY;
    if (g->ours)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_READ:
        return read_column(g, a != NULL ? a : "", b != NULL ? b : "", through);
    case SQLITE_FUNCTION:
        if (b != NULL && function_allowed(b))
            return SQLITE_OK;
        guard_deny(g, FT_REFUSAL_QUERY_REFUSED, "function %.48s is not allowed", b != NULL ? b : "");
        return verdict(g);
    default:
        guard_deny(g, FT_REFUSAL_QUERY_REFUSED, "the query does something other than read");
        return SQLITE_DENY;
    }
}

bool
guard_expired(struct guard *g)
{
    if (!g->own_limits && !g->out_of_time && g->rules->env->now_ms(g->rules->env->ctx) > g->deadline_ms)
        g->out_of_time = true;
    if (!g->out_of_memory &&
        sqlite3_memory_used() + (g->own_limits ? 0 : (int64_t)g->own_memory) > g->memory_max)
        g->out_of_memory = true;
    return g->out_of_time || g->out_of_memory;
}

void
guard_begin(struct guard *g)
{
    g->deadline_ms = g->rules->env->now_ms(g->rules->env->ctx) + g->rules->query_ms;
    g->memory_max = sqlite3_memory_used() + (int64_t)(g->rules->query_memory & INT64_MAX);
}

/* The query's time, shared by as many customers as the shop declares: a public number, so that what one
 * customer may take does not tell, nor hang on, how many there are. */
static uint64_t
customer_steps(const struct ft_examples_rules *rules)
{
    const uint64_t ms = rules->query_ms < UINT32_MAX ? rules->query_ms : UINT32_MAX;
    const uint64_t steps =
        rules->declared_customers > 0 ? ms * STEPS_PER_MS / rules->declared_customers : CUSTOMER_STEPS_MOST;
    return steps < CUSTOMER_STEPS_LEAST  ? CUSTOMER_STEPS_LEAST
           : steps < CUSTOMER_STEPS_MOST ? steps
                                         : CUSTOMER_STEPS_MOST;
}

void
guard_next_customer(struct guard *g)
{
    guard_begin(g); /* what other customers' rows took is no part of it */
    g->own_limits = true;
    g->own_steps = customer_steps(g->rules) / PROGRESS_INTERVAL;
    g->out_of_steps = g->out_of_memory = false;
}

static int
on_progress(void *ctx)
{
    struct guard *g = ctx;
    if (g->rules->one_by_one && !g->ours)
        g->out_of_steps = g->own_steps == 0 || --g->own_steps == 0;
    return guard_expired(g) || g->out_of_steps;
}

void
guard_on(struct guard *g)
{
    struct sqlite3 *handle = g->db->handle;
    g->old_length = sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, LENGTH_MAX);
    g->old_like = sqlite3_limit(handle, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LIKE_LENGTH_MAX);
    g->old_ops = sqlite3_limit(handle, SQLITE_LIMIT_VDBE_OP, OPS_MAX);
    g->old_compound = sqlite3_limit(handle, SQLITE_LIMIT_COMPOUND_SELECT, COMPOUND_MAX);
    sqlite3_progress_handler(handle, PROGRESS_INTERVAL, on_progress, g);
    sqlite3_set_authorizer(handle, on_authorize, g);
}

void
guard_off(struct guard *g)
{
    struct sqlite3 *handle = g->db->handle;
    sqlite3_set_authorizer(handle, NULL, NULL);
    sqlite3_progress_handler(handle, 0, NULL, NULL);
    sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, g->old_length);
    sqlite3_limit(handle, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, g->old_like);
    sqlite3_limit(handle, SQLITE_LIMIT_VDBE_OP, g->old_ops);
    sqlite3_limit(handle, SQLITE_LIMIT_COMPOUND_SELECT, g->old_compound);
}
