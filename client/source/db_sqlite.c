#include "client/source/db.h"
#include "client/source/db_internal.h"
#include "common/base/alloc.h"

#include <sqlite3.h>
#include <stdio.h>

static enum ft_status
status_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return FT_OK;
    case SQLITE_NOMEM:
        return FT_ERR_NOMEM;
    case SQLITE_FULL:
        return FT_ERR_FULL;
    default:
        return FT_ERR_INTERNAL;
    }
}

enum ft_status
ft_db_fail(struct ft_db *db, const char *what, struct ft_error *err)
{
    enum ft_status st = status_of(sqlite3_errcode(db->handle));
    if (st == FT_OK)
        st = FT_ERR_INTERNAL;
    return ft_fail(err, st, "%s: %s", what, sqlite3_errmsg(db->handle));
}

enum ft_status
ft_db_exec(struct ft_db *db, const char *sql, const char *what, struct ft_error *err)
{
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
        return FT_OK;
    return ft_db_fail(db, what, err);
}

enum ft_status
ft_db_open(struct ft_db **out, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    struct ft_db *db = NULL;
    int on = 0;

    *out = NULL;
    db = ft_calloc(1, sizeof *db);
    if (db == NULL)
        return FT_ERR_NOMEM;
    if (sqlite3_open_v2(":memory:", &db->handle,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        st = ft_fail(err, db->handle == NULL ? FT_ERR_NOMEM : FT_ERR_INTERNAL,
                     "cannot open the in-memory database");
        goto out;
    }
    /* What could reach a file or run foreign code is off for every statement, the client's own included. */
    if (sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, &on) != SQLITE_OK ||
        on != 0 || sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, &on) != SQLITE_OK || on != 1 ||
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, &on) != SQLITE_OK || on != 0 ||
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DML, 0, &on) != SQLITE_OK || on != 0 ||
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DQS_DDL, 0, &on) != SQLITE_OK || on != 0 ||
        sqlite3_drop_modules(db->handle, NULL) != SQLITE_OK) {
        st = ft_fail(err, FT_ERR_INTERNAL, "this SQLite library cannot be locked down");
        goto out;
    }
    sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
    FT_TRY(ft_db_exec(db,
                      "PRAGMA temp_store = MEMORY;"
                      "CREATE TABLE ft_base_eligible(customer_id TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID",
                      "cannot set up the in-memory database", err));
    *out = db;
    db = NULL;
out:
    ft_db_close(db);
    return st;
}

void
ft_db_close(struct ft_db *db)
{
    if (db == NULL)
        return;
    sqlite3_finalize(db->eligible_add);
    sqlite3_close_v2(db->handle);
    ft_free(db);
}

enum ft_status
ft_db_eligible_begin(struct ft_db *db, struct ft_error *err)
{
    enum ft_status st;
    if (db->eligible_add != NULL)
        return FT_ERR_STATE;
    FT_TRY(ft_db_exec(db, "SAVEPOINT ft_eligible; DELETE FROM ft_base_eligible",
                      "cannot start the eligible set", err));
    if (sqlite3_prepare_v2(db->handle, "INSERT OR IGNORE INTO ft_base_eligible VALUES (?1)", -1,
                           &db->eligible_add, NULL) != SQLITE_OK) {
        st = ft_db_fail(db, "cannot start the eligible set", err);
        ft_db_eligible_abort(db);
    }
out:
    return st;
}

enum ft_status
ft_db_eligible_add(struct ft_db *db, const struct ft_pseudonym *customer, struct ft_error *err)
{
    if (db->eligible_add == NULL)
        return FT_ERR_STATE;
    sqlite3_reset(db->eligible_add);
    if (sqlite3_bind_text(db->eligible_add, 1, customer->text, -1, SQLITE_STATIC) != SQLITE_OK ||
        sqlite3_step(db->eligible_add) != SQLITE_DONE)
        return ft_db_fail(db, "cannot add to the eligible set", err);
    return FT_OK;
}

static enum ft_status
eligible_count(struct ft_db *db, uint64_t *count, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    sqlite3_stmt *stmt = NULL;
    if (count == NULL)
        return FT_OK;
    if (sqlite3_prepare_v2(db->handle, "SELECT count(*) FROM ft_base_eligible", -1, &stmt, NULL) !=
            SQLITE_OK ||
        sqlite3_step(stmt) != SQLITE_ROW)
        st = ft_db_fail(db, "cannot count the eligible set", err);
    else
        *count = (uint64_t)sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return st;
}

enum ft_status
ft_db_eligible_end(struct ft_db *db, uint64_t *count, struct ft_error *err)
{
    enum ft_status st;
    if (db->eligible_add == NULL)
        return FT_ERR_STATE;
    sqlite3_finalize(db->eligible_add);
    db->eligible_add = NULL;
    FT_TRY(ft_db_exec(db, "RELEASE ft_eligible", "cannot end the eligible set", err));
    FT_TRY(eligible_count(db, count, err));
out:
    return st;
}

void
ft_db_eligible_abort(struct ft_db *db)
{
    sqlite3_finalize(db->eligible_add);
    db->eligible_add = NULL;
    (void)sqlite3_exec(db->handle, "ROLLBACK TO ft_eligible; RELEASE ft_eligible", NULL, NULL, NULL);
}

enum ft_status
ft_db_eligible_everyone(struct ft_db *db, uint64_t *count, struct ft_error *err)
{
    enum ft_status st;
    if (db->eligible_add != NULL)
        return FT_ERR_STATE;
    FT_TRY(ft_db_exec(db,
                      "SAVEPOINT ft_everyone; DELETE FROM ft_base_eligible;"
                      "INSERT OR IGNORE INTO ft_base_eligible"
                      " SELECT customer_id FROM ft_base_transactions WHERE customer_id IS NOT NULL;"
                      "RELEASE ft_everyone",
                      "cannot make everyone eligible", err));
    FT_TRY(eligible_count(db, count, err));
out:
    if (st != FT_OK)
        (void)sqlite3_exec(db->handle, "ROLLBACK TO ft_everyone; RELEASE ft_everyone", NULL, NULL, NULL);
    return st;
}
