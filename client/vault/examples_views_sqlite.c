/*
 * The views a query sees. They are made anew for each query, from the shop's rules alone.
 *
 * ft_base_visible holds the customers who are eligible and not excluded; a line is seen when its customer is
 * in it.
 */
#include "client/vault/examples_internal.h"
#include "client/source/values.h"
#include "common/base/alloc.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static bool
has_column(struct ft_db *db, const char *table, const char *column)
{
    char base[64];
    snprintf(base, sizeof base, FT_BASE_PREFIX "%s", table);
    return sqlite3_table_column_metadata(db->handle, "main", base, column, NULL, NULL, NULL, NULL, NULL) ==
           SQLITE_OK;
}

enum ft_status
views_init(struct views *v, struct ft_db *db, struct ft_error *err)
{
    *v = (struct views){ .db = db };
    for (int t = 0; t < FT_TABLE_COUNT; t++) {
        v->table[t] = has_column(db, ft_schema[t].name, NULL);
        for (size_t i = 0; v->table[t] && i < ft_schema[t].column_count; i++)
            v->mapped[t][i] = has_column(db, ft_schema[t].name, ft_schema[t].columns[i].name);
    }
    return ft_db_exec(
        db, "CREATE TABLE IF NOT EXISTS ft_base_visible(customer_id TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID",
        "cannot prepare the views", err);
}

bool
views_mapped(void *ctx, const char *table, const char *column)
{
    const struct views *v = ctx;
    const int t = ft_schema_find_table(table);
    enum ft_column_type type; /* the schema has no rowid, SQLite's tables do */
    return t >= 0 && v->table[t] && ft_schema_column_type(&ft_schema[t], column, &type) &&
           has_column(v->db, table, column);
}

/* Append a text as an SQL literal. */
static enum ft_status
add_text(struct ft_buf *sql, const char *text)
{
    enum ft_status st;
    FT_TRY(ft_buf_u8(sql, '\''));
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            FT_TRY(ft_buf_u8(sql, '\''));
        FT_TRY(ft_buf_u8(sql, (uint8_t)*text));
    }
    FT_TRY(ft_buf_u8(sql, '\''));
out:
    return st;
}

static enum ft_status
add_value(struct ft_buf *sql, enum ft_column_type type, const char *value,
          const struct ft_examples_rules *rules, const struct ft_examples_exclude *rule, struct ft_error *err)
{
    struct ft_pseudonym pseudonym;
    double number;

    switch (type) {
    case FT_COLUMN_CUSTOMER:
        if (rules->key == NULL)
            return FT_ERR_ARGUMENT;
        ft_pseudonym_make(rules->key, value, strlen(value), &pseudonym);
        return add_text(sql, pseudonym.text);
    case FT_COLUMN_INTEGER:
    case FT_COLUMN_REAL:
        if (!ft_value_real(value, strlen(value), '.', &number))
            return ft_fail(err, FT_ERR_CONFIG, "exclude: %s.%s is a number, so its value must be one",
                           rule->table, rule->column);
        return ft_buf_printf(sql, "%.17g", number);
    case FT_COLUMN_TEXT:
    case FT_COLUMN_TIME:
        break;
    }
    return add_text(sql, value);
}

/* "1 when the row is to be left out, else 0", over alias b. */
static enum ft_status
add_condition(struct ft_buf *sql, enum ft_column_type type, const struct ft_examples_rules *rules,
              const struct ft_examples_exclude *rule, struct ft_error *err)
{
    enum ft_status st;
    const char *column = rule->column;

    if (rule->value_count > 0) {
        FT_TRY(ft_buf_printf(sql, "coalesce(b.\"%s\" IN (", column));
        for (size_t i = 0; i < rule->value_count; i++) {
            if (i > 0)
                FT_TRY(ft_buf_str(sql, ", "));
            FT_TRY(add_value(sql, type, rule->values[i], rules, rule, err));
        }
        FT_TRY(ft_buf_str(sql, "), 0)"));
    } else if (type == FT_COLUMN_INTEGER || type == FT_COLUMN_REAL) {
        FT_TRY(ft_buf_printf(sql, "(b.\"%s\" IS NULL OR b.\"%s\" < %.17g)", column, column, rule->below));
    } else if (type == FT_COLUMN_TEXT) {
        FT_TRY(ft_buf_printf(
            sql,
            "(b.\"%s\" NOT GLOB '[0-9]*' OR b.\"%s\" GLOB '*[^0-9.]*' OR b.\"%s\" GLOB '*.*.*' OR "
            "CAST(b.\"%s\" AS REAL) < %.17g)",
            column, column, column, column, rule->below));
    } else {
        st = ft_fail(err, FT_ERR_CONFIG, "exclude: %s.%s is no number, so `below` cannot apply", rule->table,
                     column);
    }
out:
    return st;
}

/* The rule's table, and its column's type. */
static enum ft_status
rule_target(const struct views *v, const struct ft_examples_exclude *rule, int *table,
            enum ft_column_type *type, struct ft_error *err)
{
    *table = ft_schema_find_table(rule->table);
    if (*table < 0 || !ft_schema_column_type(&ft_schema[*table], rule->column, type))
        return ft_fail(err, FT_ERR_CONFIG, "exclude: %.15s.%.48s is no column of the standard schema",
                       rule->table, rule->column);
    if (!v->table[*table] || !has_column(v->db, rule->table, rule->column))
        return ft_fail(err, FT_ERR_CONFIG, "exclude: column %s.%s is not mapped by this shop's source",
                       rule->table, rule->column);
    return FT_OK;
}

static bool
names_customers(int table, enum ft_column_type type)
{
    return table == FT_TABLE_CUSTOMERS || type == FT_COLUMN_CUSTOMER;
}

/* Take the customers a rule excludes out of ft_base_visible. `below` wants a number from everybody, so it
 * also takes out who has no row. */
static enum ft_status
exclude_customers(const struct views *v, const struct ft_examples_rules *rules,
                  const struct ft_examples_exclude *rule, int table, enum ft_column_type type,
                  struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf sql = { 0 };
    const char *name = ft_schema[table].name;

    FT_TRY(ft_buf_printf(
        &sql,
        "DELETE FROM ft_base_visible WHERE customer_id IN (SELECT b.customer_id FROM " FT_BASE_PREFIX
        "%s AS b WHERE ",
        name));
    FT_TRY(add_condition(&sql, type, rules, rule, err));
    FT_TRY(ft_buf_str(&sql, ")"));
    if (rule->value_count == 0)
        FT_TRY(ft_buf_printf(&sql,
                             "; DELETE FROM ft_base_visible WHERE customer_id NOT IN (SELECT b.customer_id "
                             "FROM " FT_BASE_PREFIX "%s AS b WHERE b.customer_id IS NOT NULL)",
                             name));
    FT_TRY(ft_buf_u8(&sql, 0));
    FT_TRY(ft_db_exec(v->db, (const char *)sql.data, "cannot apply an exclusion", err));
out:
    ft_buf_clear(&sql);
    return st;
}

static enum ft_status
keep_home_customers(const struct views *v, const struct ft_examples_home *home, struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf sql = { 0 };
    const char *const columns[] = { home->column, home->since };

    for (size_t i = 0; i < 2; i++)
        if (columns[i] != NULL && !has_column(v->db, "customers", columns[i])) {
            st = ft_fail(err, FT_ERR_CONFIG, "home_store: column customers.%s is not mapped by this shop's source",
                         columns[i]);
            goto out;
        }
    FT_TRY(ft_buf_printf(&sql,
                         "DELETE FROM ft_base_visible WHERE customer_id NOT IN (SELECT b.customer_id FROM " FT_BASE_PREFIX
                         "customers AS b WHERE b.customer_id IS NOT NULL) OR customer_id IN (SELECT b.customer_id "
                         "FROM " FT_BASE_PREFIX "customers AS b WHERE coalesce(b.\"%s\", '') <> ",
                         home->column));
    FT_TRY(add_text(&sql, home->is));
    if (home->since != NULL && home->not_after != NULL) {
        FT_TRY(ft_buf_printf(&sql,
                             " OR coalesce(b.\"%s\" NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' OR "
                             "substr(b.\"%s\", 1, 10) > ",
                             home->since, home->since));
        FT_TRY(add_text(&sql, home->not_after));
        FT_TRY(ft_buf_str(&sql, ", 1)"));
    }
    FT_TRY(ft_buf_str(&sql, ")"));
    FT_TRY(ft_buf_u8(&sql, 0));
    FT_TRY(ft_db_exec(v->db, (const char *)sql.data, "cannot keep to the home store's customers", err));
out:
    ft_buf_clear(&sql);
    return st;
}

enum ft_status
views_choose_customers(const struct views *v, const struct ft_examples_rules *rules, struct ft_error *err)
{
    enum ft_status st;
    FT_TRY(ft_db_exec(v->db, "DELETE FROM ft_base_visible", "cannot choose the customers", err));
    if (rules->basis == FT_EXAMPLES_CONSENT && rules->consent_source)
        FT_TRY(ft_db_exec(v->db, "INSERT INTO ft_base_visible SELECT customer_id FROM ft_base_eligible",
                          "cannot choose the customers", err));
    if (rules->home.column != NULL)
        FT_TRY(keep_home_customers(v, &rules->home, err));
    for (size_t i = 0; i < rules->exclude_count; i++) {
        enum ft_column_type type;
        int table;
        FT_TRY(rule_target(v, &rules->exclude[i], &table, &type, err));
        if (names_customers(table, type))
            FT_TRY(exclude_customers(v, rules, &rules->exclude[i], table, type, err));
    }
out:
    return st;
}

/* AND NOT ... for each rule that leaves out rows of `table`. */
static enum ft_status
add_exclusions(struct ft_buf *sql, const struct views *v, const struct ft_examples_rules *rules, int table,
               struct ft_error *err)
{
    enum ft_status st = FT_OK;
    for (size_t i = 0; i < rules->exclude_count; i++) {
        const struct ft_examples_exclude *rule = &rules->exclude[i];
        enum ft_column_type type;
        int target;
        FT_TRY(rule_target(v, rule, &target, &type, err));
        if (names_customers(target, type))
            continue;
        if (target == table) {
            FT_TRY(ft_buf_str(sql, " AND NOT "));
            FT_TRY(add_condition(sql, type, rules, rule, err));
        } else if (target == FT_TABLE_PRODUCTS && table == FT_TABLE_TRANSACTIONS) {
            if (!has_column(v->db, "transactions", "product_id")) {
                st = ft_fail(err, FT_ERR_CONFIG,
                             "exclude: products.%s cannot apply, the lines have no product_id", rule->column);
                goto out;
            }
            FT_TRY(ft_buf_str(
                sql, " AND NOT coalesce(b.product_id IN (SELECT b.product_id FROM main.ft_base_products"
                     " AS b WHERE "));
            FT_TRY(add_condition(sql, type, rules, rule, err));
            FT_TRY(ft_buf_str(sql, "), 0)"));
            if (rule->value_count == 0)
                FT_TRY(
                    ft_buf_str(sql, " AND b.product_id IN (SELECT product_id FROM main.ft_base_products)"));
        }
    }
out:
    return st;
}

/* One column of a view; the narrow view leaves out what is not allowed or not mapped. */
static enum ft_status
add_column(struct ft_buf *sql, const struct views *v, const struct ft_examples_rules *rules, int table,
           const char *column, bool mapped, bool *first)
{
    const bool allowed =
        rules->allowed != NULL && rules->allowed(rules->allowed_ctx, ft_schema[table].name, column);
    const char *comma = *first ? "" : ", ";
    if (v->narrow && !(allowed && mapped))
        return FT_OK;
    *first = false;
    if (allowed && mapped)
        return ft_buf_printf(sql, "%sb.\"%s\" AS \"%s\"", comma, column, column);
    return ft_buf_printf(sql, "%sNULL AS \"%s\"", comma, column);
}

/* Columns of an open table that the shop maps beyond the standard ones. */
static enum ft_status
add_open_columns(struct ft_buf *sql, const struct views *v, const struct ft_examples_rules *rules, int table,
                 bool *first, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    sqlite3_stmt *stmt = NULL;
    char pragma[80];

    if (!v->table[table] || !ft_schema[table].open)
        return FT_OK;
    snprintf(pragma, sizeof pragma, "PRAGMA main.table_info(" FT_BASE_PREFIX "%s)", ft_schema[table].name);
    if (sqlite3_prepare_v2(v->db->handle, pragma, -1, &stmt, NULL) != SQLITE_OK)
        return ft_db_fail(v->db, "cannot list the columns", err);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        const char *column = (const char *)sqlite3_column_text(stmt, 1);
        bool standard = false;
        for (size_t i = 0; i < ft_schema[table].column_count; i++)
            standard = standard || strcmp(ft_schema[table].columns[i].name, column) == 0;
        if (!standard)
            FT_TRY(add_column(sql, v, rules, table, column, true, first));
    }
out:
    sqlite3_finalize(stmt);
    return st;
}

static enum ft_status
add_visible(struct ft_buf *sql, const struct views *v, const struct ft_examples_rules *rules, int table)
{
    if (table == FT_TABLE_PRODUCTS || rules->basis == FT_EXAMPLES_RECORDS)
        return FT_OK; /* records: build refused when the source has customers */
    if (rules->basis != FT_EXAMPLES_CONSENT)
        return ft_buf_str(sql, " AND 0");
    if (!v->mapped[table][0]) /* lines that name no customer are all anonymous */
        return ft_buf_str(sql, rules->anonymous_baskets ? "" : " AND 0");
    if (table == FT_TABLE_TRANSACTIONS && rules->anonymous_baskets)
        return ft_buf_str(sql, " AND (b.customer_id IS NULL OR b.customer_id IN main.ft_base_visible)");
    return ft_buf_str(sql, " AND b.customer_id IN main.ft_base_visible");
}

static enum ft_status
make_view(const struct views *v, const struct ft_examples_rules *rules, int table, struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf sql = { 0 };
    const struct ft_schema_table *schema = &ft_schema[table];
    bool first = true;

    FT_TRY(ft_buf_printf(&sql, "CREATE VIEW main.%s AS SELECT ", schema->name));
    for (size_t i = 0; i < schema->column_count; i++)
        FT_TRY(add_column(&sql, v, rules, table, schema->columns[i].name, v->mapped[table][i], &first));
    FT_TRY(add_open_columns(&sql, v, rules, table, &first, err));
    if (first)
        goto out; /* nothing of this table is allowed: it is not there at all */
    if (v->table[table]) {
        FT_TRY(ft_buf_printf(&sql, " FROM main." FT_BASE_PREFIX "%s AS b WHERE 1", schema->name));
        FT_TRY(add_visible(&sql, v, rules, table));
        FT_TRY(add_exclusions(&sql, v, rules, table, err));
    } else {
        FT_TRY(ft_buf_str(&sql, " WHERE 0"));
    }
    FT_TRY(ft_buf_u8(&sql, 0));
    FT_TRY(ft_db_exec(v->db, (const char *)sql.data, "cannot make a view", err));
out:
    ft_buf_clear(&sql);
    return st;
}

enum ft_status
views_make(const struct views *v, const struct ft_examples_rules *rules, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    views_drop(v->db);
    for (int table = 0; table < FT_TABLE_COUNT && st == FT_OK; table++)
        st = make_view(v, rules, table, err);
    return st;
}

void
views_drop(struct ft_db *db)
{
    (void)sqlite3_exec(
        db->handle,
        "DROP VIEW IF EXISTS transactions; DROP VIEW IF EXISTS customers; DROP VIEW IF EXISTS products", NULL,
        NULL, NULL);
}
