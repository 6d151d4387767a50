/*
 * Prepare, check, run and collect. The query is prepared twice: first over views in which what is not allowed
 * is NULL, so that the authorizer can name every such column; then over views that do not have those columns
 * at all, for there are ways to use a column that SQLite does not ask the authorizer about (USING and NATURAL
 * JOIN).
 */
#include "client/vault/examples_internal.h"
#include "common/base/alloc.h"

#include <assert.h>
#include <math.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SPLIT_TRAIN = 0, SPLIT_TEST = 1 };

/* One split's matrices while they grow. */
struct matrix {
    float *x, *y;
    uint32_t *customer;
    size_t rows, capacity;
};

struct run {
    struct ft_db *db;
    const struct ft_task *task;
    const struct ft_examples_rules *rules;
    struct ft_refusals *refusals;
    struct ft_error *err;
    struct guard guard;
    struct views views;
    sqlite3_stmt *query;

    int at_customer, at_split, at_label;
    int *at_feature;       /* (feature_count) result columns */
    uint64_t *bad_feature; /* (feature_count) rows whose value is no finite number */
    uint64_t bad_label, label_outside, bad_split, bad_customer, strange_customer, result_rows;

    struct id_counts ids; /* unit customer: all visible ones, from the start */
    struct ft_buf names;  /* one_by_one: the same as text, each ended by a NUL */
    const char *only;     /* one_by_one: whose rows are being read */
    struct matrix split[2];
    struct ft_examples out;
};

/* Refuse with a code: a reason for people, the first of them also the error. */
static enum ft_status FT_PRINTF(4, 5)
    refuse(struct run *r, enum ft_status st, enum ft_refusal_code code, const char *fmt, ...)
{
    char text[360];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (r->refusals != NULL)
        ft_refuse_code(r->refusals, code, "%s", text);
    return ft_fail(r->err, st, "%s", text);
}

/* What the guard noted, or SQLite's own complaint about the text. */
static enum ft_status
prepare_failed(struct run *r)
{
    if (r->guard.out_of_time)
        return refuse(r, FT_ERR_LIMIT, FT_REFUSAL_QUERY_TOO_LARGE, "the query takes longer than %llu ms",
                      (unsigned long long)r->rules->query_ms);
    if (r->guard.out_of_memory)
        return refuse(r, FT_ERR_LIMIT, FT_REFUSAL_QUERY_TOO_LARGE,
                      "the query takes more than %llu MiB of memory",
                      (unsigned long long)(r->rules->query_memory >> 20));
    for (size_t i = 0; i < r->guard.denied_count; i++)
        (void)refuse(r, FT_ERR_REFUSED, r->guard.denied[i].code, "%s", r->guard.denied[i].text);
    if (r->guard.denied_count > 0)
        return FT_ERR_REFUSED;
    if (sqlite3_errcode(r->db->handle) == SQLITE_NOMEM)
        return FT_ERR_NOMEM;
    if (r->views.narrow) /* it was well-formed with those columns there */
        return refuse(r, FT_ERR_REFUSED, FT_REFUSAL_QUERY_REFUSED,
                      "the query uses a table or column that is not allowed or not mapped: %.200s",
                      sqlite3_errmsg(r->db->handle));
    return refuse(r, FT_ERR_FORMAT, FT_REFUSAL_QUERY_RESULT, "the query cannot be prepared: %.200s",
                  sqlite3_errmsg(r->db->handle));
}

/* No query may hold the prefix of the base tables, so none can name one. */
static bool
names_base_table(const char *sql)
{
    for (; *sql != '\0'; sql++)
        if (sqlite3_strnicmp(sql, FT_BASE_PREFIX, (int)strlen(FT_BASE_PREFIX)) == 0)
            return true;
    return false;
}

/* Prepare exactly one read-only SELECT under the guard. */
static enum ft_status
prepare(struct run *r, const char *sql)
{
    const char *tail = NULL;
    sqlite3_stmt *second = NULL;

    sqlite3_finalize(r->query);
    r->query = NULL;
    if (strlen(sql) > FT_TASK_SQL_MAX)
        return refuse(r, FT_ERR_LIMIT, FT_REFUSAL_QUERY_TOO_LARGE, "the query's text is longer than %d bytes",
                      FT_TASK_SQL_MAX);
    if (names_base_table(sql))
        return refuse(r, FT_ERR_REFUSED, FT_REFUSAL_QUERY_REFUSED,
                      "the query's text holds a name that is reserved (" FT_BASE_PREFIX "...)");
    const int code = sqlite3_prepare_v2(r->db->handle, sql, -1, &r->query, &tail);
    if (code != SQLITE_OK || r->guard.denied_count > 0)
        return prepare_failed(r);
    if (r->query == NULL)
        return refuse(r, FT_ERR_FORMAT, FT_REFUSAL_QUERY_RESULT, "the query is empty");
    while (*tail != '\0') {
        const char *rest = tail;
        const int more = sqlite3_prepare_v2(r->db->handle, rest, -1, &second, &tail);
        sqlite3_finalize(second);
        if (more != SQLITE_OK || second != NULL || tail == rest)
            return refuse(r, FT_ERR_REFUSED, FT_REFUSAL_QUERY_REFUSED,
                          "the query is more than one statement");
    }
    if (!sqlite3_stmt_readonly(r->query) || sqlite3_stmt_isexplain(r->query) ||
        sqlite3_column_count(r->query) == 0 || sqlite3_bind_parameter_count(r->query) > 0)
        return refuse(r, FT_ERR_REFUSED, FT_REFUSAL_QUERY_REFUSED, "the query is not one plain SELECT");
    return FT_OK;
}

/* The result column of that name, or -1 when there is none or more than one. */
static int
result_column(sqlite3_stmt *query, const char *name)
{
    int found = -1;
    for (int i = 0; i < sqlite3_column_count(query); i++) {
        if (strcmp(sqlite3_column_name(query, i), name) != 0)
            continue;
        if (found >= 0)
            return -1;
        found = i;
    }
    return found;
}

static enum ft_status
map_one(struct run *r, const char *name, int *at)
{
    *at = result_column(r->query, name);
    if (*at >= 0)
        return FT_OK;
    return refuse(r, FT_ERR_FORMAT, FT_REFUSAL_QUERY_RESULT,
                  "the query does not return exactly one column %.64s", name);
}

/* Then there is no label and no split: all rows are train rows. */
static bool
only_measures(const struct ft_task *task)
{
    return task->kind == FT_TASK_STATISTICS;
}

static bool
has_label(const struct ft_task *task)
{
    return !only_measures(task) && task->model != FT_MODEL_KMEANS;
}

/* Find the declared columns in the result; every missing one is named. */
static enum ft_status
map_result(struct run *r)
{
    enum ft_status first = map_one(r, "customer_id", &r->at_customer), st;
    if (!only_measures(r->task)) {
        st = map_one(r, "split", &r->at_split);
        first = first != FT_OK ? first : st;
        st = has_label(r->task) ? map_one(r, r->task->label, &r->at_label) : FT_OK;
        first = first != FT_OK ? first : st;
    }
    for (uint32_t i = 0; i < r->task->feature_count; i++) {
        st = map_one(r, r->task->features[i].name, &r->at_feature[i]);
        first = first != FT_OK ? first : st;
    }
    return first;
}

/* Both prepares and the result's columns. On FT_OK r->query is ready to run, over the narrow views. */
static enum ft_status
compile(struct run *r)
{
    enum ft_status st;
    const struct ft_examples_rules *rules = r->rules;

    r->views.narrow = false;
    FT_TRY(views_make(&r->views, rules, r->err));
    r->guard.mode = GUARD_CHECK;
    guard_on(&r->guard);
    st = prepare(r, r->task->sql);
    guard_off(&r->guard);
    if (st == FT_OK)
        st = map_result(r);
    sqlite3_finalize(r->query);
    r->query = NULL;
    FT_TRY(st);

    r->views.narrow = true;
    FT_TRY(views_make(&r->views, rules, r->err));
    r->guard.mode = GUARD_RUN;
    guard_on(&r->guard);
    st = prepare(r, r->task->sql);
    guard_off(&r->guard);
    FT_TRY(st);
    FT_TRY(map_result(r));
out:
    return st;
}

static bool
number_at(sqlite3_stmt *query, int column, double *value)
{
    const int type = sqlite3_column_type(query, column);
    if (type != SQLITE_INTEGER && type != SQLITE_FLOAT)
        return false;
    *value = sqlite3_column_double(query, column);
    return isfinite(*value) != 0;
}

/* The nearest float that is inside [min, max]; the bounds are doubles, and rounding must not leave them. */
static float
float_inside(double value, double min, double max)
{
    float f = (float)value;
    if ((double)f > max)
        f = nextafterf(f, -INFINITY);
    if ((double)f < min)
        f = nextafterf(f, INFINITY);
    return f;
}

static float
clip_count(double value, double min, double max, uint64_t *clipped)
{
    if (value < min || value > max) {
        (*clipped)++;
        value = value < min ? min : max;
    }
    return float_inside(value, min, max);
}

static bool
label_is_class(const struct ft_task *task)
{
    return task->model != FT_MODEL_LINEAR && task->model != FT_MODEL_POISSON;
}

static double
classes_of(const struct ft_task *task)
{
    return task->classes > 2 ? (double)task->classes : 2.0;
}

static enum ft_status
matrix_reserve(struct run *r, struct matrix *m)
{
    const size_t features = r->task->feature_count ? r->task->feature_count : 1;
    size_t capacity;
    uint32_t *customer;
    float *x, *y;

    if (m->rows < m->capacity)
        return FT_OK;
    capacity = m->capacity ? m->capacity * 2 : 1024;
    if (capacity > SIZE_MAX / sizeof *x / (features + 1) / 2)
        return FT_ERR_LIMIT;
    r->guard.own_memory += (capacity - m->capacity) * (features + 2) * sizeof *x;
    if (guard_expired(&r->guard))
        return FT_ERR_LIMIT;
    x = ft_realloc(m->x, capacity * features * sizeof *x);
    if (x == NULL)
        return FT_ERR_NOMEM;
    m->x = x;
    y = ft_realloc(m->y, capacity * sizeof *y);
    if (y == NULL)
        return FT_ERR_NOMEM;
    m->y = y;
    customer = ft_realloc(m->customer, capacity * sizeof *customer);
    if (customer == NULL)
        return FT_ERR_NOMEM;
    m->customer = customer;
    m->capacity = capacity;
    return FT_OK;
}

/* Write one row's values after the last; what is bad is counted, so that the whole result is told at once. */
static bool
fill_row(struct run *r, struct matrix *m)
{
    const struct ft_task *task = r->task;
    float *x = m->x + m->rows * task->feature_count;
    bool good = true;
    double value;

    for (uint32_t i = 0; i < task->feature_count; i++) {
        if (!number_at(r->query, r->at_feature[i], &value)) {
            r->bad_feature[i]++;
            good = false;
            continue;
        }
        x[i] = clip_count(value, task->features[i].min, task->features[i].max, &r->out.clipped_values);
    }
    if (!has_label(task)) {
        m->y[m->rows] = 0;
        return good;
    }
    if (!number_at(r->query, r->at_label, &value)) {
        r->bad_label++;
        return false;
    }
    if (label_is_class(task)) {
        if (value != floor(value) || value < 0 || value >= classes_of(task) || value < task->label_min ||
            value > task->label_max) {
            r->label_outside++;
            return false;
        }
        m->y[m->rows] = (float)value;
        return good;
    }
    m->y[m->rows] = clip_count(value, task->label_min, task->label_max, &r->out.clipped_values);
    return good;
}

/* The visible customers, held beside the query: a statement of our own would be prepared again under the
 * guard, which would refuse it. */
static enum ft_status
load_visible(struct run *r)
{
    enum ft_status st = FT_OK;
    sqlite3_stmt *stmt = NULL;
    int code;

    if (sqlite3_prepare_v2(r->db->handle, "SELECT customer_id FROM ft_base_visible", -1, &stmt, NULL) !=
        SQLITE_OK)
        return ft_db_fail(r->db, "cannot list the customers", r->err);
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(stmt, 0);
        const size_t size = (size_t)sqlite3_column_bytes(stmt, 0);
        if (id == NULL || id_counts_add(&r->ids, id, size) == NULL ||
            (r->rules->one_by_one && ft_buf_append(&r->names, id, size + 1) != FT_OK)) {
            st = FT_ERR_NOMEM;
            break;
        }
    }
    if (st == FT_OK && code != SQLITE_DONE)
        st = ft_db_fail(r->db, "cannot list the customers", r->err);
    sqlite3_finalize(stmt);
    return st;
}

/* 0 train, 1 test, -1 neither. */
static int
split_at(struct run *r)
{
    if (only_measures(r->task))
        return SPLIT_TRAIN;
    if (sqlite3_column_type(r->query, r->at_split) != SQLITE_TEXT)
        return -1;
    const char *text = (const char *)sqlite3_column_text(r->query, r->at_split);
    if (text == NULL)
        return -1;
    return strcmp(text, "train") == 0 ? SPLIT_TRAIN : strcmp(text, "test") == 0 ? SPLIT_TEST : -1;
}

/* The rows are of customers, each of whom must be visible: always with unit customer, and with unit store
 * unless the shop's records have no people. */
static bool
has_people(const struct run *r)
{
    return r->task->unit == FT_UNIT_CUSTOMER ||
           (r->task->unit == FT_UNIT_STORE && r->rules->basis != FT_EXAMPLES_RECORDS);
}

/* Unit store: a row of no customer, where the shop lets them be seen, is the shop's own. */
static enum ft_status
take_row_of_nobody(struct run *r, int split)
{
    struct matrix *m = &r->split[split < 0 ? 0 : split];
    enum ft_status st;

    FT_TRY(matrix_reserve(r, m));
    if (split < 0)
        r->bad_split++;
    else if (fill_row(r, m))
        m->customer[m->rows++] = 0; /* nobody reads it: all rows are one unit */
out:
    return st;
}

static enum ft_status
take_row(struct run *r)
{
    enum ft_status st;
    const bool by_customer = has_people(r);
    const int split = split_at(r);
    const int type = sqlite3_column_type(r->query, r->at_customer);
    struct id_count *entry;

    if (type == SQLITE_NULL && by_customer && r->rules->anonymous_baskets) {
        if (r->task->unit == FT_UNIT_STORE)
            return take_row_of_nobody(r, split);
        r->out.rows_without_customer++;
        return FT_OK;
    }
    if (type == SQLITE_NULL || type == SQLITE_BLOB || (by_customer && type != SQLITE_TEXT)) {
        r->bad_customer++;
        return FT_OK;
    }
    const char *id = (const char *)sqlite3_column_text(r->query, r->at_customer);
    const int size = sqlite3_column_bytes(r->query, r->at_customer);
    if (id == NULL)
        return FT_ERR_NOMEM;
    if (split < 0) {
        r->bad_split++;
        return FT_OK;
    }
    entry =
        by_customer ? id_counts_find(&r->ids, id, (size_t)size) : id_counts_add(&r->ids, id, (size_t)size);
    if ((entry == NULL && by_customer) || (r->only != NULL && strcmp(id, r->only) != 0)) {
        r->strange_customer++;
        return FT_OK;
    }
    if (entry == NULL)
        return FT_ERR_NOMEM;
    if (by_customer && entry->seen[split] >= r->task->rows_per_customer) {
        r->out.rows_over_cap++;
        return FT_OK;
    }
    struct matrix *m = &r->split[split];
    FT_TRY(matrix_reserve(r, m));
    if (!fill_row(r, m))
        return FT_OK;
    if (entry->seen[split]++ == 0) {
        uint64_t *customers = split == SPLIT_TRAIN ? &r->out.customers_train : &r->out.customers_test;
        entry->number[split] = (uint32_t)(*customers)++;
    }
    m->customer[m->rows++] = entry->number[split];
out:
    return st;
}

static enum ft_status
step_failed(struct run *r, int code)
{
    const char *limit = NULL;
    if (r->guard.out_of_time || r->guard.out_of_memory)
        return prepare_failed(r);
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return FT_ERR_NOMEM;
    case SQLITE_TOOBIG:
        limit = "the query makes a value that is too long";
        break;
    default:
        break;
    }
    if (limit != NULL)
        return refuse(r, FT_ERR_LIMIT, FT_REFUSAL_QUERY_TOO_LARGE, "%s", limit);
    /* Not SQLite's own message: it may show a value. */
    return refuse(r, FT_ERR_FORMAT, FT_REFUSAL_QUERY_RESULT, "the query fails while it runs: %s",
                  sqlite3_errstr(code));
}

static uint64_t
rows_allowed(const struct run *r)
{
    return r->rules->query_rows > 0 && r->rules->query_rows < r->task->rows_max ? r->rules->query_rows
                                                                                : r->task->rows_max;
}

static enum ft_status
run_query(struct run *r)
{
    enum ft_status st = FT_OK;
    const uint64_t rows_max = rows_allowed(r);
    int code;

    while ((code = sqlite3_step(r->query)) == SQLITE_ROW) {
        if (++r->result_rows > rows_max) {
            st = refuse(r, FT_ERR_LIMIT, FT_REFUSAL_QUERY_TOO_LARGE, "the query returns more than %llu rows",
                        (unsigned long long)rows_max);
            goto out;
        }
        st = take_row(r);
        if (st == FT_ERR_LIMIT && (r->guard.out_of_memory || r->guard.out_of_time))
            st = prepare_failed(r);
        FT_TRY(st);
    }
    if (code != SQLITE_DONE)
        st = step_failed(r, code);
out:
    return st;
}

/* Drop what a customer's failed run had given. */
static void
take_back(struct run *r, const size_t rows[2], const uint64_t customers[2])
{
    r->split[SPLIT_TRAIN].rows = rows[SPLIT_TRAIN];
    r->split[SPLIT_TEST].rows = rows[SPLIT_TEST];
    r->out.customers_train = customers[SPLIT_TRAIN];
    r->out.customers_test = customers[SPLIT_TEST];
    r->out.customers_failed++;
}

/* A run that takes too many steps, or memory that is free again once it has ended, is the customer's own
 * fault: whether the shop takes part must not hang on one customer's rows. */
static bool
own_fault(struct run *r)
{
    struct guard *g = &r->guard;
    (void)sqlite3_reset(r->query);
    g->out_of_memory = false;
    return !guard_expired(g);
}

/* The query for the one customer who is visible. What fails for this customer alone is no error. */
static enum ft_status
run_for_one(struct run *r)
{
    const size_t rows[2] = { r->split[SPLIT_TRAIN].rows, r->split[SPLIT_TEST].rows };
    const uint64_t customers[2] = { r->out.customers_train, r->out.customers_test };
    enum ft_status st;
    int code;

    (void)sqlite3_reset(r->query); /* tells the last run's error again */
    guard_next_customer(&r->guard);
    while ((code = sqlite3_step(r->query)) == SQLITE_ROW) {
        st = take_row(r);
        if (st == FT_ERR_LIMIT && (r->guard.out_of_memory || r->guard.out_of_time)) {
            if (own_fault(r))
                break;
            st = prepare_failed(r);
        }
        if (st != FT_OK)
            return st;
    }
    if (code == SQLITE_DONE)
        return FT_OK;
    if ((r->guard.out_of_time || r->guard.out_of_memory || (code & 0xff) == SQLITE_NOMEM) && !own_fault(r))
        return step_failed(r, code);
    take_back(r, rows, customers);
    return FT_OK;
}

/* Rows that were left out, where nothing may be told of them. */
static void
count_unusable(struct run *r)
{
    r->out.rows_unusable =
        r->bad_customer + r->strange_customer + r->bad_split + r->bad_label + r->label_outside;
    for (uint32_t i = 0; i < r->task->feature_count; i++)
        r->out.rows_unusable += r->bad_feature[i];
}

/* Unit store: whether the shop takes part must not hang on its rows. A query that fails or passes its limits
 * over them gives none, and nothing of it is told; of more rows than allowed the first are used. */
static enum ft_status
run_for_store(struct run *r)
{
    static const size_t no_rows[2];
    static const uint64_t nobody[2];
    enum ft_status st = FT_OK;
    int code;

    while ((code = sqlite3_step(r->query)) == SQLITE_ROW && r->result_rows < rows_allowed(r)) {
        r->result_rows++;
        st = take_row(r);
        if (st == FT_ERR_LIMIT && (r->guard.out_of_memory || r->guard.out_of_time))
            break;
        if (st != FT_OK)
            return st;
    }
    r->out.rows_over_cap += code == SQLITE_ROW && st == FT_OK;
    if (st != FT_OK || (code != SQLITE_ROW && code != SQLITE_DONE))
        take_back(r, no_rows, nobody);
    count_unusable(r);
    return FT_OK;
}

static enum ft_status
run_one_by_one(struct run *r)
{
    sqlite3 *db = r->db->handle;
    sqlite3_stmt *nobody = NULL, *one = NULL;
    enum ft_status st = FT_OK;

    if (sqlite3_prepare_v2(db, "DELETE FROM ft_base_visible", -1, &nobody, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "INSERT INTO ft_base_visible VALUES(?1)", -1, &one, NULL) != SQLITE_OK) {
        st = ft_db_fail(r->db, "cannot choose a customer", r->err);
        goto out;
    }
    guard_on(&r->guard);
    for (size_t at = 0; at < r->names.size && st == FT_OK; at += strlen(r->only) + 1) {
        r->only = (const char *)r->names.data + at;
        (void)sqlite3_reset(r->query);
        (void)sqlite3_reset(nobody);
        (void)sqlite3_reset(one);
        r->guard.ours = true;
        const bool chosen = sqlite3_step(nobody) == SQLITE_DONE &&
                            sqlite3_bind_text(one, 1, r->only, -1, SQLITE_STATIC) == SQLITE_OK &&
                            sqlite3_step(one) == SQLITE_DONE;
        r->guard.ours = false;
        if (!chosen)
            st = r->guard.out_of_time || r->guard.out_of_memory
                     ? prepare_failed(r)
                     : ft_db_fail(r->db, "cannot choose a customer", r->err);
        else
            st = run_for_one(r);
    }
    guard_off(&r->guard);
    count_unusable(r);
out:
    sqlite3_finalize(nobody);
    sqlite3_finalize(one);
    return st;
}

/* Everything wrong with the values, in counts; the first decides the status. */
static enum ft_status
check_values(struct run *r)
{
    const unsigned long long all = r->result_rows;
    enum ft_status st = FT_OK;

    if (r->bad_customer > 0)
        st = refuse(r, FT_ERR_FORMAT, FT_REFUSAL_QUERY_RESULT, "customer_id is missing in %llu of %llu rows",
                    (unsigned long long)r->bad_customer, all);
    if (r->strange_customer > 0)
        st = refuse(r, FT_ERR_FORMAT, FT_REFUSAL_QUERY_RESULT,
                    "customer_id is not a customer of this shop in %llu of %llu rows",
                    (unsigned long long)r->strange_customer, all);
    if (r->bad_split > 0)
        st = refuse(r, FT_ERR_FORMAT, FT_REFUSAL_QUERY_RESULT,
                    "split is neither train nor test in %llu of %llu rows", (unsigned long long)r->bad_split,
                    all);
    for (uint32_t i = 0; i < r->task->feature_count; i++)
        if (r->bad_feature[i] > 0)
            st = refuse(r, FT_ERR_FORMAT, FT_REFUSAL_DATA_NONFINITE,
                        "feature %s is no number in %llu of %llu rows", r->task->features[i].name,
                        (unsigned long long)r->bad_feature[i], all);
    if (r->bad_label > 0)
        st = refuse(r, FT_ERR_FORMAT, FT_REFUSAL_DATA_NONFINITE, "label %s is no number in %llu of %llu rows",
                    r->task->label, (unsigned long long)r->bad_label, all);
    if (r->label_outside > 0)
        st = refuse(r, FT_ERR_FORMAT, FT_REFUSAL_QUERY_RESULT,
                    "label %s is no class from %g to %g in %llu of %llu rows", r->task->label,
                    r->task->label_min, r->task->label_max, (unsigned long long)r->label_outside, all);
    if (st == FT_OK && r->task->unit == FT_UNIT_CUSTOMER && r->out.customers_train < r->rules->min_customers)
        st = refuse(r, FT_ERR_REFUSED, FT_REFUSAL_CUSTOMERS_TOO_FEW,
                    "fewer than %llu customers have train rows", (unsigned long long)r->rules->min_customers);
    return st;
}

/* Rules that need no query. *zero: nothing is to be read at all, r->out says why. */
static enum ft_status
check_basis(struct run *r, bool *zero)
{
    const char *why = NULL;
    *zero = false;
    switch (r->rules->basis) {
    case FT_EXAMPLES_CONSENT:
        if (r->rules->consent_source)
            return FT_OK;
        why = "no consent source is set up, so no customer is eligible";
        r->out.zero_code = FT_REFUSAL_CONSENT_SOURCE_MISSING;
        break;
    case FT_EXAMPLES_RECORDS:
        if (r->task->unit == FT_UNIT_CUSTOMER)
            return refuse(r, FT_ERR_REFUSED, FT_REFUSAL_BASIS_MISMATCH,
                          "basis records is for tasks of unit record, this task's unit is customer");
        if (r->views.mapped[FT_TABLE_TRANSACTIONS][0] || r->views.table[FT_TABLE_CUSTOMERS])
            return refuse(r, FT_ERR_REFUSED, FT_REFUSAL_BASIS_MISMATCH,
                          "basis records is for data without people, but the source maps customer_id");
        return FT_OK;
    case FT_EXAMPLES_NONE:
    default: /* fail closed */
        why = "training_basis is none";
        r->out.zero_code = FT_REFUSAL_BASIS_NONE;
        break;
    }
    snprintf(r->out.zero_reason, sizeof r->out.zero_reason, "%s", why);
    *zero = true;
    return FT_OK;
}

/* `rules` are completed with the defaults in *full. */
static enum ft_status
run_init(struct run *r, struct ft_db *db, const struct ft_task *task, const struct ft_examples_rules *rules,
         struct ft_examples_rules *full, struct ft_refusals *refusals, struct ft_error *err)
{
    enum ft_status st;

    *full = *rules;
    full->one_by_one = rules->one_by_one && task->unit == FT_UNIT_CUSTOMER;
    full->anonymous_baskets = rules->anonymous_baskets && !full->one_by_one;
    full->query_ms = rules->query_ms > 0 ? rules->query_ms : 20000;
    full->env = rules->env != NULL ? rules->env : ft_env_system();
    full->query_memory = rules->query_memory > 0 ? rules->query_memory : (uint64_t)512 << 20;
    *r = (struct run){ .db = db, .task = task, .rules = full, .refusals = refusals, .err = err };
    r->out.feature_count = task->feature_count;
    r->guard = (struct guard){ .db = db, .rules = full, .purpose = task->purpose, .mapped = views_mapped };
    r->guard.mapped_ctx = &r->views;
    guard_begin(&r->guard);
    r->at_feature = ft_calloc(task->feature_count, sizeof *r->at_feature);
    r->bad_feature = ft_calloc(task->feature_count, sizeof *r->bad_feature);
    if (r->at_feature == NULL || r->bad_feature == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(views_init(&r->views, db, err));
out:
    return st;
}

static void
run_clear(struct run *r)
{
    sqlite3_finalize(r->query);
    views_drop(r->db);
    (void)sqlite3_exec(r->db->handle, "DROP TABLE IF EXISTS ft_base_visible", NULL, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        struct ft_examples half = { .x_train = r->split[i].x,
                                    .y_train = r->split[i].y,
                                    .customer_train = r->split[i].customer,
                                    .rows_train = r->split[i].rows,
                                    .feature_count = r->task->feature_count };
        ft_examples_clear(&half);
    }
    id_counts_clear(&r->ids);
    if (r->names.data != NULL)
        sodium_memzero(r->names.data, r->names.capacity);
    ft_buf_clear(&r->names);
    ft_free(r->at_feature);
    ft_free(r->bad_feature);
}

/* A customer's rows are looked up, not searched for. Once for each import: the tables are made anew then. */
static enum ft_status
index_customers(struct run *r)
{
    enum ft_status st = FT_OK;
    if (r->views.mapped[FT_TABLE_TRANSACTIONS][0])
        st =
            ft_db_exec(r->db, "CREATE INDEX IF NOT EXISTS ft_base_whose ON ft_base_transactions(customer_id)",
                       "cannot index the customers", r->err);
    if (st == FT_OK && r->views.table[FT_TABLE_CUSTOMERS])
        st = ft_db_exec(r->db, "CREATE INDEX IF NOT EXISTS ft_base_who ON ft_base_customers(customer_id)",
                        "cannot index the customers", r->err);
    return st;
}

enum ft_status
ft_examples_build(struct ft_db *db, const struct ft_task *task, const struct ft_examples_rules *rules,
                  struct ft_examples *out, struct ft_refusals *refusals, struct ft_error *err)
{
    enum ft_status st;
    struct ft_examples_rules full;
    struct run r;
    bool zero;

    *out = (struct ft_examples){ 0 };
    FT_TRY(run_init(&r, db, task, rules, &full, refusals, err));
    FT_TRY(check_basis(&r, &zero));
    if (!zero) {
        FT_TRY(views_choose_customers(&r.views, &full, err));
        if (full.one_by_one)
            FT_TRY(index_customers(&r));
        guard_begin(&r.guard); /* what was needed so far grows with the data, not with the task's query */
        FT_TRY(compile(&r));
        out->ran = r.out.ran = true;
        if (has_people(&r))
            FT_TRY(load_visible(&r));
        if (full.one_by_one) {
            FT_TRY(run_one_by_one(&r));
        } else if (task->unit == FT_UNIT_STORE) {
            guard_on(&r.guard);
            st = run_for_store(&r);
            guard_off(&r.guard);
            FT_TRY(st);
        } else {
            guard_on(&r.guard);
            st = run_query(&r);
            guard_off(&r.guard);
            FT_TRY(st);
            if (rules->one_by_one) /* unit record */
                count_unusable(&r);
            else
                FT_TRY(check_values(&r));
        }
    }
    *out = r.out;
    out->rows_train = r.split[SPLIT_TRAIN].rows;
    out->rows_test = r.split[SPLIT_TEST].rows;
    out->x_train = r.split[SPLIT_TRAIN].x;
    out->y_train = r.split[SPLIT_TRAIN].y;
    out->customer_train = r.split[SPLIT_TRAIN].customer;
    out->customer_test = r.split[SPLIT_TEST].customer;
    out->x_test = r.split[SPLIT_TEST].x;
    out->y_test = r.split[SPLIT_TEST].y;
    memset(r.split, 0, sizeof r.split); /* ownership moved */
out:
    run_clear(&r);
    return st;
}

static bool
allow_all(void *ctx, const char *table, const char *column)
{
    (void)ctx;
    (void)table;
    (void)column;
    return true;
}

enum ft_status
ft_examples_find_uses(struct ft_db *db, const char *sql, struct ft_examples_uses *out, struct ft_error *err)
{
    enum ft_status st;
    const struct ft_examples_rules rules = { .allowed = allow_all };
    const struct ft_task task = { .purpose = (char[]){ "" } };
    struct ft_examples_rules full;
    struct run r;

    *out = (struct ft_examples_uses){ 0 };
    FT_TRY(run_init(&r, db, &task, &rules, &full, NULL, err));
    FT_TRY(views_choose_customers(&r.views, &full, err));
    FT_TRY(views_make(&r.views, &full, err));
    r.guard.mode = GUARD_FIND;
    r.guard.uses = out;
    guard_on(&r.guard);
    st = prepare(&r, sql);
    guard_off(&r.guard);
out:
    run_clear(&r);
    if (st != FT_OK)
        *out = (struct ft_examples_uses){ 0 };
    return st;
}
