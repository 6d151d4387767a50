#include "client/source/check.h"
#include "client/source/db_internal.h"
#include "client/source/schema.h"

#include <math.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DISTINCT_MAX       1000
#define DOMINANT_LINES_MIN 1000 /* below, a loyal customer of a small shop may well have a tenth */

static void FT_PRINTF(3, 4) warn(struct ft_source_summary *s, const char *name, const char *fmt, ...)
{
    va_list args;
    if (s->warning_count == FT_SOURCE_WARNINGS_MAX)
        return;
    struct ft_source_warning *w = &s->warnings[s->warning_count++];
    snprintf(w->name, sizeof w->name, "%s", name);
    va_start(args, fmt);
    vsnprintf(w->text, sizeof w->text, fmt, args);
    va_end(args);
}

/* Prepare, and step to the one row of a summary query. */
static enum ft_status
query_row(struct ft_db *db, const char *sql, sqlite3_stmt **stmt, struct ft_error *err)
{
    *stmt = NULL;
    if (sqlite3_prepare_v2(db->handle, sql, -1, stmt, NULL) != SQLITE_OK || sqlite3_step(*stmt) != SQLITE_ROW)
        return ft_db_fail(db, "cannot summarise the source", err);
    return FT_OK;
}

static enum ft_status
query_count(struct ft_db *db, const char *sql, uint64_t *out, struct ft_error *err)
{
    sqlite3_stmt *stmt;
    const enum ft_status st = query_row(db, sql, &stmt, err);
    if (st == FT_OK)
        *out = (uint64_t)sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return st;
}

static enum ft_status
summarise_number(struct ft_db *db, struct ft_column_summary *column, struct ft_error *err)
{
    char sql[256];
    sqlite3_stmt *stmt;
    enum ft_status st;

    snprintf(sql, sizeof sql,
             "SELECT count(*) - count(\"%s\"), min(\"%s\"), max(\"%s\") FROM ft_base_transactions",
             column->name, column->name, column->name);
    st = query_row(db, sql, &stmt, err);
    if (st == FT_OK) {
        column->numeric = true;
        column->missing = (uint64_t)sqlite3_column_int64(stmt, 0);
        column->min = sqlite3_column_type(stmt, 1) == SQLITE_NULL ? NAN : sqlite3_column_double(stmt, 1);
        column->max = sqlite3_column_type(stmt, 2) == SQLITE_NULL ? NAN : sqlite3_column_double(stmt, 2);
    }
    sqlite3_finalize(stmt);
    return st;
}

static enum ft_status
summarise_text(struct ft_db *db, struct ft_column_summary *column, bool distinct, struct ft_error *err)
{
    char sql[256];
    enum ft_status st;

    column->min = column->max = NAN;
    snprintf(sql, sizeof sql, "SELECT coalesce(sum(coalesce(\"%s\", '') = ''), 0) FROM ft_base_transactions",
             column->name);
    FT_TRY(query_count(db, sql, &column->missing, err));
    if (!distinct)
        goto out;
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM (SELECT DISTINCT \"%s\" FROM ft_base_transactions WHERE coalesce(\"%s\", "
             "'') <> ''"
             " LIMIT %d)",
             column->name, column->name, DISTINCT_MAX + 1);
    FT_TRY(query_count(db, sql, &column->distinct, err));
out:
    return st;
}

static enum ft_status
summarise_columns(const struct ft_source *source, struct ft_source_summary *s, struct ft_error *err)
{
    const struct ft_schema_table *table = &ft_schema[FT_TABLE_TRANSACTIONS];
    struct ft_db *db = ft_source_db(source);
    enum ft_status st = FT_OK;

    for (size_t i = 0; i < table->column_count; i++) {
        const enum ft_column_type type = table->columns[i].type;
        if (!ft_source_maps(source, table->name, table->columns[i].name))
            continue;
        struct ft_column_summary *column = &s->columns[s->column_count++];
        snprintf(column->name, sizeof column->name, "%s", table->columns[i].name);
        if (type == FT_COLUMN_INTEGER || type == FT_COLUMN_REAL)
            FT_TRY(summarise_number(db, column, err));
        else
            FT_TRY(summarise_text(db, column, type == FT_COLUMN_TEXT, err));
        if (s->rows > 0 && column->missing * 2 > s->rows)
            warn(s, "MISSING_VALUES", "column %s is empty in %.1f %% of the lines", column->name,
                 100.0 * (double)column->missing / (double)s->rows);
    }
out:
    return st;
}

static enum ft_status
summarise_customers(const struct ft_source *source, struct ft_source_summary *s, struct ft_error *err)
{
    struct ft_db *db = ft_source_db(source);
    uint64_t most = 0;
    enum ft_status st;

    s->lines_without_customer = s->rows;
    if (!ft_source_maps(source, "transactions", "customer_id"))
        return FT_OK;
    FT_TRY(
        query_count(db, "SELECT count(DISTINCT customer_id) FROM ft_base_transactions", &s->customers, err));
    FT_TRY(query_count(db, "SELECT count(*) - count(customer_id) FROM ft_base_transactions",
                       &s->lines_without_customer, err));
    FT_TRY(query_count(db,
                       "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM ft_base_transactions"
                       " WHERE customer_id IS NOT NULL GROUP BY customer_id)",
                       &most, err));
    if (s->rows >= DOMINANT_LINES_MIN && most * 10 > s->rows)
        warn(s, "DOMINANT_CUSTOMER", "one customer has %.1f %% of all lines: is it a till's default card?",
             100.0 * (double)most / (double)s->rows);
out:
    return st;
}

static enum ft_status
summarise_times(const struct ft_source *source, uint64_t wall_ms, struct ft_source_summary *s,
                struct ft_error *err)
{
    struct ft_db *db = ft_source_db(source);
    sqlite3_stmt *stmt = NULL;
    enum ft_status st;
    char sql[160], now[24];
    uint64_t future = 0;
    struct tm tm;
    /* Local times are compared with UTC: a day of grace covers every time zone. */
    const time_t limit = (time_t)(wall_ms / 1000) + 86400;

    if (!ft_source_maps(source, "transactions", "ts"))
        return FT_OK;
    FT_TRY(query_row(db, "SELECT min(ts), max(ts) FROM ft_base_transactions", &stmt, err));
    if (sqlite3_column_type(stmt, 0) == SQLITE_TEXT) {
        snprintf(s->first_ts, sizeof s->first_ts, "%s", (const char *)sqlite3_column_text(stmt, 0));
        snprintf(s->last_ts, sizeof s->last_ts, "%s", (const char *)sqlite3_column_text(stmt, 1));
    }
    gmtime_r(&limit, &tm);
    strftime(now, sizeof now, "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM ft_base_transactions WHERE ts > '%s'", now);
    FT_TRY(query_count(db, sql, &future, err));
    if (future > 0)
        warn(s, "FUTURE_DATES", "%llu lines are dated after now", (unsigned long long)future);
out:
    sqlite3_finalize(stmt);
    return st;
}

enum ft_status
ft_source_summarise(const struct ft_source *source, uint64_t wall_ms, struct ft_source_summary *s,
                    struct ft_error *err)
{
    const struct ft_source_counts *counts = ft_source_counts(source);
    struct ft_db *db = ft_source_db(source);
    enum ft_status st;
    uint64_t negative = 0;

    *s = (struct ft_source_summary){ .files = counts->files,
                                     .duplicate_files = counts->duplicate_files,
                                     .rejected = counts->rejected };
    FT_TRY(query_count(db, "SELECT count(*) FROM ft_base_transactions", &s->rows, err));
    if (s->rows == 0)
        warn(s, "EMPTY_SOURCE", "the files hold no transaction lines");
    FT_TRY(summarise_customers(source, s, err));
    if (ft_source_maps(source, "transactions", "basket_id"))
        FT_TRY(
            query_count(db, "SELECT count(DISTINCT basket_id) FROM ft_base_transactions", &s->baskets, err));
    if (ft_source_maps(source, "transactions", "product_id"))
        FT_TRY(query_count(db, "SELECT count(DISTINCT product_id) FROM ft_base_transactions", &s->products,
                           err));
    FT_TRY(summarise_times(source, wall_ms, s, err));
    if (ft_source_maps(source, "transactions", "quantity"))
        FT_TRY(
            query_count(db, "SELECT count(*) FROM ft_base_transactions WHERE quantity < 0", &negative, err));
    if (negative > 0)
        warn(s, "NEGATIVE_QUANTITIES", "%llu lines have a quantity below 0", (unsigned long long)negative);
    FT_TRY(summarise_columns(source, s, err));
    if (s->rejected > 0)
        warn(s, "REJECTED_ROWS", "%llu rows were rejected", (unsigned long long)s->rejected);
out:
    return st;
}
