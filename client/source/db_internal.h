/* What *_sqlite.c files of the client share about a database; nobody else includes this. */
#ifndef FT_SOURCE_DB_INTERNAL_H
#define FT_SOURCE_DB_INTERNAL_H

#include "client/source/db.h"
#include "client/source/schema.h"

struct sqlite3;
struct sqlite3_stmt;

struct ft_db {
    struct sqlite3 *handle;
    struct sqlite3_stmt *eligible_add; /* while a new eligible set is being filled */
};

#define FT_BASE_PREFIX "ft_base_"

/* Run statements without results. Errors: NOMEM, FULL, INTERNAL; `what` begins the sentence. */
FT_NODISCARD enum ft_status ft_db_exec(struct ft_db *db, const char *sql, const char *what,
                                       struct ft_error *err);

/* The status for SQLite's last error on this connection, with its message unless it could show a value. */
enum ft_status ft_db_fail(struct ft_db *db, const char *what, struct ft_error *err);

#endif
