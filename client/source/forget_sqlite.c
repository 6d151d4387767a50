#include "client/source/forget.h"
#include "client/source/db_internal.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static const char *const tables[] = { "transactions", "customers" };

static bool
has_column(struct ft_db *db, const char *table, const char *column)
{
    char name[64];
    snprintf(name, sizeof name, FT_BASE_PREFIX "%s", table);
    return sqlite3_table_column_metadata(db->handle, NULL, name, column, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
}

/* Mark, then delete: a table is not changed while it is read. */
static enum ft_status
forget_in(struct ft_db *db, const char *table, bool (*gone)(void *ctx, const struct ft_pseudonym *customer), void *ctx,
          struct ft_error *err)
{
    char sql[160];
    sqlite3_stmt *read = NULL, *mark = NULL;
    struct ft_pseudonym customer;
    enum ft_status st = FT_OK;
    int rc;

    snprintf(sql, sizeof sql, "SELECT DISTINCT customer_id FROM " FT_BASE_PREFIX "%s WHERE customer_id IS NOT NULL",
             table);
    if (sqlite3_prepare_v2(db->handle, sql, -1, &read, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db->handle, "INSERT OR IGNORE INTO ft_base_gone VALUES (?1)", -1, &mark, NULL) != SQLITE_OK) {
        st = ft_db_fail(db, "cannot forget customers", err);
        goto out;
    }
    while ((rc = sqlite3_step(read)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(read, 0);
        if (text == NULL)
            continue;
        snprintf(customer.text, sizeof customer.text, "%s", text);
        if (!gone(ctx, &customer))
            continue;
        sqlite3_bind_text(mark, 1, text, -1, SQLITE_TRANSIENT);
        if (sqlite3_step(mark) != SQLITE_DONE)
            st = ft_db_fail(db, "cannot forget customers", err);
        sqlite3_reset(mark);
        if (st != FT_OK)
            goto out;
    }
    if (rc != SQLITE_DONE)
        st = ft_db_fail(db, "cannot forget customers", err);
    sqlite3_finalize(read);
    read = NULL;
    snprintf(sql, sizeof sql,
             "DELETE FROM " FT_BASE_PREFIX "%s WHERE customer_id IN (SELECT customer_id FROM ft_base_gone)", table);
    if (st == FT_OK)
        st = ft_db_exec(db, sql, "cannot forget customers", err);
out:
    sqlite3_finalize(read);
    sqlite3_finalize(mark);
    return st;
}

enum ft_status
ft_db_forget(struct ft_db *db, bool (*gone)(void *ctx, const struct ft_pseudonym *customer), void *ctx,
             uint64_t *customers, struct ft_error *err)
{
    enum ft_status st;
    sqlite3_stmt *count = NULL;

    if (customers != NULL)
        *customers = 0;
    FT_TRY(ft_db_exec(db,
                      "SAVEPOINT ft_forget;"
                      "CREATE TABLE ft_base_gone(customer_id TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID",
                      "cannot forget customers", err));
    for (size_t i = 0; st == FT_OK && i < sizeof tables / sizeof tables[0]; i++)
        if (has_column(db, tables[i], "customer_id"))
            st = forget_in(db, tables[i], gone, ctx, err);
    if (st == FT_OK && customers != NULL) {
        if (sqlite3_prepare_v2(db->handle, "SELECT count(*) FROM ft_base_gone", -1, &count, NULL) != SQLITE_OK ||
            sqlite3_step(count) != SQLITE_ROW)
            st = ft_db_fail(db, "cannot forget customers", err);
        else
            *customers = (uint64_t)sqlite3_column_int64(count, 0);
        sqlite3_finalize(count);
    }
    if (st == FT_OK)
        st = ft_db_exec(db, "DROP TABLE ft_base_gone; RELEASE ft_forget", "cannot forget customers", err);
    if (st != FT_OK)
        (void)sqlite3_exec(db->handle, "ROLLBACK TO ft_forget; RELEASE ft_forget", NULL, NULL, NULL);
out:
    return st;
}

enum ft_status
ft_db_customer_has(struct ft_db *db, const struct ft_pseudonym *customer, const char *table, const char *column,
                   const char *const *values, size_t value_count, double below, bool *has, struct ft_error *err)
{
    char sql[256];
    sqlite3_stmt *s = NULL;
    enum ft_status st = FT_OK;
    int rc;

    *has = false;
    if (!has_column(db, table, column) || !has_column(db, table, "customer_id"))
        return ft_fail(err, FT_ERR_CONFIG, "%s.%s is not mapped in client.yaml", table, column);
    /* Names are the mapping's, which allows [a-z0-9_] only. */
    snprintf(sql, sizeof sql,
             value_count > 0 ? "SELECT 1 FROM " FT_BASE_PREFIX "%s WHERE customer_id = ?1 AND CAST(%s AS TEXT) = ?2"
                             : "SELECT 1 FROM " FT_BASE_PREFIX
                               "%s WHERE customer_id = ?1 AND coalesce(CAST(%s AS REAL) < ?2, 1)",
             table, column);
    if (sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL) != SQLITE_OK)
        return ft_db_fail(db, "cannot look for a hold", err);
    for (size_t i = 0; st == FT_OK && !*has && i < (value_count > 0 ? value_count : 1); i++) {
        sqlite3_bind_text(s, 1, customer->text, -1, SQLITE_STATIC);
        if (value_count > 0)
            sqlite3_bind_text(s, 2, values[i], -1, SQLITE_STATIC);
        else
            sqlite3_bind_double(s, 2, below);
        rc = sqlite3_step(s);
        *has = rc == SQLITE_ROW;
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            st = ft_db_fail(db, "cannot look for a hold", err);
        sqlite3_reset(s);
    }
    sqlite3_finalize(s);
    return st;
}
