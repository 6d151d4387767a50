/*
 * The little that the storage files share: run a statement, walk its rows, open a transaction.
 * Types of bound values: i int64_t, u uint64_t, t const char *, b struct ft_bytes, h const uint8_t * (32
 * bytes).
 */
#ifndef FT_STORAGE_SQL_INTERNAL_H
#define FT_STORAGE_SQL_INTERNAL_H

#include "aggregator/storage/storage.h"

struct sqlite3;
struct sqlite3_stmt;

struct ft_store {
    struct sqlite3 *db;
    uint8_t deployment[16];
};

struct sql_rows {
    struct sqlite3_stmt *stmt;
};

enum ft_status sql_status(int code);
FT_NODISCARD enum ft_status sql_run(struct ft_store *s, const char *sql, const char *types, ...);
/* As sql_run, and says how many rows it changed. */
FT_NODISCARD enum ft_status sql_change(struct ft_store *s, int64_t *changed, const char *sql,
                                       const char *types, ...);

/* Rows: open, then next until it gives NOTFOUND (the end) or an error; always close. */
FT_NODISCARD enum ft_status sql_open(struct ft_store *s, struct sql_rows *rows, const char *sql,
                                     const char *types, ...);
FT_NODISCARD enum ft_status sql_next(struct sql_rows *rows);
int64_t sql_int(struct sql_rows *rows, int column);
uint64_t sql_u64(struct sql_rows *rows, int column);
void sql_text(struct sql_rows *rows, int column, char *out, size_t size);
struct ft_bytes sql_blob(struct sql_rows *rows, int column); /* borrowed until next */
/* Zeros when the column is NULL or of another size. */
void sql_fixed(struct sql_rows *rows, int column, void *out, size_t size);
char *sql_strdup(struct sql_rows *rows, int column); /* ft_free it */
void sql_close(struct sql_rows *rows);

FT_NODISCARD enum ft_status sql_begin(struct ft_store *s);
/* Commit when st is FT_OK, else roll back; returns what holds afterwards. */
FT_NODISCARD enum ft_status sql_end(struct ft_store *s, enum ft_status st);

/* Room for one more of `size` bytes in a growing array. */
FT_NODISCARD enum ft_status sql_grow(void **array, size_t count, size_t size);

/* Shared between tasks_sqlite.c and rounds_sqlite.c. */
FT_NODISCARD enum ft_status store_progress_put(struct ft_store *s, const uint8_t task[32],
                                               const struct ft_task_progress *p);
/* Append the leaf of a committed round, inside the caller's transaction. */
FT_NODISCARD enum ft_status store_log_append(struct ft_store *s, const struct ft_round_row *row,
                                             const uint8_t next_model[32]);

#endif
