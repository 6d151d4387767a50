#include "aggregator/storage/sql_internal.h"
#include "common/base/alloc.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum ft_status
sql_status(int code)
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
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return FT_ERR_LATER;
    case SQLITE_CONSTRAINT:
        return FT_ERR_DUPLICATE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return FT_ERR_VERIFY;
    case SQLITE_TOOBIG:
        return FT_ERR_LIMIT;
    default:
        return FT_ERR_IO;
    }
}

static int
bind_one(sqlite3_stmt *stmt, int place, char type, va_list *args)
{
    switch (type) {
    case 'i':
        return sqlite3_bind_int64(stmt, place, va_arg(*args, int64_t));
    case 'u':
        return sqlite3_bind_int64(stmt, place, (sqlite3_int64)va_arg(*args, uint64_t));
    case 't':
        return sqlite3_bind_text(stmt, place, va_arg(*args, const char *), -1, SQLITE_TRANSIENT);
    case 'h':
        return sqlite3_bind_blob(stmt, place, va_arg(*args, const uint8_t *), 32, SQLITE_TRANSIENT);
    case 'b': {
        const struct ft_bytes bytes = va_arg(*args, struct ft_bytes);
        /* SQLite reads a NULL pointer as NULL, not as an empty blob. The caller keeps the bytes until the
         * statement has run: a model is not copied once more. */
        return sqlite3_bind_blob64(stmt, place, bytes.data != NULL ? (const void *)bytes.data : "",
                                   bytes.size, SQLITE_STATIC);
    }
    default:
        return SQLITE_MISUSE;
    }
}

static enum ft_status
prepare(struct ft_store *s, sqlite3_stmt **out, const char *sql, const char *types, va_list *args)
{
    int code = sqlite3_prepare_v2(s->db, sql, -1, out, NULL);

    for (int i = 0; code == SQLITE_OK && types != NULL && types[i] != '\0'; i++)
        code = bind_one(*out, i + 1, types[i], args);
    if (code == SQLITE_OK)
        return FT_OK;
    sqlite3_finalize(*out);
    *out = NULL;
    return sql_status(code);
}

static enum ft_status
run(struct ft_store *s, const char *sql, const char *types, va_list *args)
{
    sqlite3_stmt *stmt = NULL;
    enum ft_status st = prepare(s, &stmt, sql, types, args);

    if (st != FT_OK)
        return st;
    st = sql_status(sqlite3_step(stmt));
    sqlite3_finalize(stmt);
    return st;
}

enum ft_status
sql_run(struct ft_store *s, const char *sql, const char *types, ...)
{
    va_list args;
    enum ft_status st;

    va_start(args, types);
    st = run(s, sql, types, &args);
    va_end(args);
    return st;
}

enum ft_status
sql_change(struct ft_store *s, int64_t *changed, const char *sql, const char *types, ...)
{
    va_list args;
    enum ft_status st;

    va_start(args, types);
    st = run(s, sql, types, &args);
    va_end(args);
    *changed = st == FT_OK ? sqlite3_changes64(s->db) : 0;
    return st;
}

enum ft_status
sql_open(struct ft_store *s, struct sql_rows *rows, const char *sql, const char *types, ...)
{
    va_list args;
    enum ft_status st;

    rows->stmt = NULL;
    va_start(args, types);
    st = prepare(s, &rows->stmt, sql, types, &args);
    va_end(args);
    return st;
}

enum ft_status
sql_next(struct sql_rows *rows)
{
    const int code = sqlite3_step(rows->stmt);

    if (code == SQLITE_ROW)
        return FT_OK;
    return code == SQLITE_DONE ? FT_ERR_NOTFOUND : sql_status(code);
}

int64_t
sql_int(struct sql_rows *rows, int column)
{
    return sqlite3_column_int64(rows->stmt, column);
}

uint64_t
sql_u64(struct sql_rows *rows, int column)
{
    return (uint64_t)sqlite3_column_int64(rows->stmt, column);
}

void
sql_text(struct sql_rows *rows, int column, char *out, size_t size)
{
    const unsigned char *text = sqlite3_column_text(rows->stmt, column);
    snprintf(out, size, "%s", text != NULL ? (const char *)text : "");
}

struct ft_bytes
sql_blob(struct sql_rows *rows, int column)
{
    const void *data = sqlite3_column_blob(rows->stmt, column);
    return FT_BYTES(data, (size_t)sqlite3_column_bytes(rows->stmt, column));
}

void
sql_fixed(struct sql_rows *rows, int column, void *out, size_t size)
{
    const struct ft_bytes bytes = sql_blob(rows, column);

    memset(out, 0, size);
    if (bytes.size == size && bytes.data != NULL)
        memcpy(out, bytes.data, size);
}

char *
sql_strdup(struct sql_rows *rows, int column)
{
    const unsigned char *text = sqlite3_column_text(rows->stmt, column);
    return ft_strdup(text != NULL ? (const char *)text : "");
}

void
sql_close(struct sql_rows *rows)
{
    sqlite3_finalize(rows->stmt);
    rows->stmt = NULL;
}

enum ft_status
sql_begin(struct ft_store *s)
{
    /* IMMEDIATE takes the write lock first, so that no transaction fails half way for want of it. */
    return sql_run(s, "BEGIN IMMEDIATE", NULL);
}

enum ft_status
sql_end(struct ft_store *s, enum ft_status st)
{
    if (st == FT_OK)
        st = sql_run(s, "COMMIT", NULL);
    if (st != FT_OK && !sqlite3_get_autocommit(s->db)) {
        /* Whatever the rollback says, the transaction is not committed. */
        const enum ft_status ignored = sql_run(s, "ROLLBACK", NULL);
        (void)ignored;
    }
    return st;
}

enum ft_status
sql_grow(void **array, size_t count, size_t size)
{
    void *bigger;

    if ((count & (count - 1)) != 0) /* grown to powers of two only */
        return FT_OK;
    bigger = ft_realloc(*array, (count == 0 ? 1 : 2 * count) * size);
    if (bigger == NULL)
        return FT_ERR_NOMEM;
    *array = bigger;
    return FT_OK;
}
