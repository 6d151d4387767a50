/*
 * The vault's store in SQLite. One connection, WAL and synchronous=FULL: with NORMAL, acknowledged commits
 * are lost at a power cut. Invariant 2 of store.h is kept by the SQL itself (max(), WHERE serial <), so that
 * no code path can get around it.
 */
#include "client/vault/store.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define BUSY_MS        5000

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS vault_meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS journal(task BLOB NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " t0 BLOB NOT NULL, t1 BLOB NOT NULL, t2 BLOB NOT NULL, t3 BLOB NOT NULL, step INTEGER NOT NULL,"
    " spent INTEGER NOT NULL, PRIMARY KEY(task, round, attempt)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS roster(one INTEGER PRIMARY KEY CHECK(one = 1), serial INTEGER NOT NULL,"
    " bytes BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS tasks(hash BLOB PRIMARY KEY, bytes BLOB NOT NULL, name TEXT NOT NULL,"
    " purpose TEXT NOT NULL, seen_ms INTEGER NOT NULL, approval INTEGER NOT NULL DEFAULT 0,"
    " approved_ms INTEGER NOT NULL DEFAULT 0, verdict INTEGER NOT NULL DEFAULT 0, codes BLOB,"
    " decided_ms INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE IF NOT EXISTS participation(task BLOB NOT NULL, round INTEGER NOT NULL, at_s INTEGER NOT "
    "NULL,"
    " PRIMARY KEY(task, round)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS participation_at ON participation(at_s);"
    "CREATE TABLE IF NOT EXISTS ledger_head(one INTEGER PRIMARY KEY CHECK(one = 1), seq INTEGER NOT NULL, "
    "chain BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS budget_opened(domain TEXT PRIMARY KEY, day TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS previous(task BLOB PRIMARY KEY, round INTEGER NOT NULL, model BLOB NOT NULL,"
    " lineage BLOB NOT NULL, result BLOB NOT NULL, result_known INTEGER NOT NULL);"
    /* Every model a contribution was made on, noted with `previous` in one statement. (OR IGNORE in a trigger
     * gives way to how the statement that fires it takes conflicts.) */
    "CREATE TABLE IF NOT EXISTS trained(task BLOB NOT NULL, model BLOB NOT NULL, PRIMARY KEY(task, model)) "
    "WITHOUT ROWID;"
    "CREATE TRIGGER IF NOT EXISTS trained_first AFTER INSERT ON previous BEGIN"
    " INSERT INTO trained SELECT NEW.task, NEW.model WHERE NOT EXISTS"
    " (SELECT 1 FROM trained WHERE task = NEW.task AND model = NEW.model); END;"
    "CREATE TRIGGER IF NOT EXISTS trained_next AFTER UPDATE OF model ON previous BEGIN"
    " INSERT INTO trained SELECT NEW.task, NEW.model WHERE NOT EXISTS"
    " (SELECT 1 FROM trained WHERE task = NEW.task AND model = NEW.model); END;"
    "INSERT OR IGNORE INTO trained SELECT task, model FROM previous;";

struct sqlite_store {
    struct ft_vault_store base;
    sqlite3 *db;
};

static sqlite3 *
db_of(struct ft_vault_store *s)
{
    return ((struct sqlite_store *)s)->db;
}

static enum ft_status
status_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return FT_OK;
    case SQLITE_NOMEM:
        return FT_ERR_NOMEM;
    case SQLITE_FULL:
        return FT_ERR_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return FT_ERR_VERIFY;
    default:
        return FT_ERR_IO;
    }
}

/* Bind by a letter each: h 32-byte blob, b struct ft_bytes, i int64, t text. */
static int
bind_all(sqlite3_stmt *stmt, const char *kinds, va_list args)
{
    int rc = SQLITE_OK;
    for (int at = 1; *kinds != '\0' && rc == SQLITE_OK; kinds++, at++) {
        struct ft_bytes b;
        switch (*kinds) {
        case 'h':
            rc = sqlite3_bind_blob(stmt, at, va_arg(args, const uint8_t *), 32, SQLITE_STATIC);
            break;
        case 'b':
            b = va_arg(args, struct ft_bytes);
            rc = sqlite3_bind_blob64(stmt, at, b.size > 0 ? b.data : (const uint8_t *)"", b.size,
                                     SQLITE_STATIC);
            break;
        case 'i':
            rc = sqlite3_bind_int64(stmt, at, va_arg(args, int64_t));
            break;
        default:
            rc = sqlite3_bind_text(stmt, at, va_arg(args, const char *), -1, SQLITE_STATIC);
            break;
        }
    }
    return rc;
}

/* A statement of this text, prepared once and kept with the connection: parsing costs as much as running. */
static int
prepared(sqlite3 *db, const char *sql, sqlite3_stmt **stmt)
{
    *stmt = NULL;
    while ((*stmt = sqlite3_next_stmt(db, *stmt)) != NULL)
        if (!sqlite3_stmt_busy(*stmt) && strcmp(sqlite3_sql(*stmt), sql) == 0)
            return SQLITE_OK;
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL);
}

/* Done with a statement, until the next time; lets go of what it read and was given. */
static void
put_back(sqlite3_stmt *stmt)
{
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt);
}

static void
close_db(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    while (db != NULL && (stmt = sqlite3_next_stmt(db, NULL)) != NULL)
        sqlite3_finalize(stmt);
    sqlite3_close(db);
}

/* Prepare and bind; the caller steps and puts back. */
static enum ft_status
query(sqlite3 *db, sqlite3_stmt **stmt, const char *sql, const char *kinds, ...)
{
    va_list args;
    int rc = prepared(db, sql, stmt);
    if (rc == SQLITE_OK) {
        va_start(args, kinds);
        rc = bind_all(*stmt, kinds, args);
        va_end(args);
    }
    if (rc != SQLITE_OK && *stmt != NULL) {
        put_back(*stmt);
        *stmt = NULL;
    }
    return status_of(rc);
}

/* Run one statement that changes something; *changes (may be NULL) counts the rows. */
static enum ft_status
change(sqlite3 *db, int *changes, const char *sql, const char *kinds, ...)
{
    sqlite3_stmt *stmt = NULL;
    va_list args;
    int rc = prepared(db, sql, &stmt);
    if (rc == SQLITE_OK) {
        va_start(args, kinds);
        rc = bind_all(stmt, kinds, args);
        va_end(args);
    }
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (changes != NULL)
        *changes = rc == SQLITE_DONE ? sqlite3_changes(db) : 0;
    if (stmt != NULL)
        put_back(stmt);
    return rc == SQLITE_ROW ? FT_OK : status_of(rc);
}

/* Changes that need no sync of their own: the next one that is synced takes them along, since both lie in one
 * log. */
static enum ft_status
begin_lazy(sqlite3 *db)
{
    return status_of(sqlite3_exec(db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL));
}

static enum ft_status
end_lazy(sqlite3 *db, enum ft_status st)
{
    const enum ft_status back = status_of(sqlite3_exec(db, "PRAGMA synchronous=FULL", NULL, NULL, NULL));
    return st != FT_OK ? st : back;
}

/* One row of one integer column. NOTFOUND without a row. */
static enum ft_status
finish_one(sqlite3_stmt *stmt, int64_t *out)
{
    const int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(stmt, 0);
    put_back(stmt);
    return rc == SQLITE_DONE ? FT_ERR_NOTFOUND : status_of(rc);
}

static void
column_hash(sqlite3_stmt *stmt, int column, uint8_t out[32])
{
    memset(out, 0, 32);
    if (sqlite3_column_bytes(stmt, column) == 32)
        memcpy(out, sqlite3_column_blob(stmt, column), 32);
}

static enum ft_status
journal_put(struct ft_vault_store *s, const struct ft_ss_journal_record *r, int64_t at_s)
{
    sqlite3 *db = db_of(s);
    enum ft_status st = change(db, NULL, "BEGIN IMMEDIATE", "");
    if (st != FT_OK)
        return st;
    FT_TRY(change(
        db, NULL,
        "INSERT INTO journal VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9) ON CONFLICT(task, round, attempt) DO UPDATE"
        " SET t0=?4, t1=?5, t2=?6, t3=?7, step=max(step, ?8), spent=max(spent, ?9)",
        "hiihhhhii", r->task_hash, (int64_t)r->round, (int64_t)r->attempt, r->t[0], r->t[1], r->t[2], r->t[3],
        (int64_t)r->step, (int64_t)r->spent));
    if (r->spent)
        FT_TRY(change(db, NULL, "INSERT INTO participation VALUES(?1,?2,?3) ON CONFLICT DO NOTHING", "hii",
                      r->task_hash, (int64_t)r->round, at_s));
    FT_TRY(change(db, NULL, "COMMIT", ""));
    return FT_OK;
out:
    (void)!change(db, NULL, "ROLLBACK", "");
    return st;
}

static enum ft_status
journal_view(struct ft_vault_store *s, const uint8_t task[32], struct ft_ss_journal_view *out)
{
    sqlite3_stmt *stmt;
    *out = (struct ft_ss_journal_view){ 0 };
    const enum ft_status st =
        query(db_of(s), &stmt, "SELECT round, attempt, step, spent FROM journal WHERE task=?1", "h", task);
    if (st != FT_OK)
        return st;
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ft_ss_journal_record r = { .round = (uint64_t)sqlite3_column_int64(stmt, 0),
                                          .attempt = (uint32_t)sqlite3_column_int64(stmt, 1),
                                          .step = (uint32_t)sqlite3_column_int(stmt, 2),
                                          .spent = sqlite3_column_int(stmt, 3) != 0 };
        memcpy(r.task_hash, task, 32);
        ft_ss_journal_fold(out, &r);
    }
    put_back(stmt);
    return status_of(rc);
}

static enum ft_status
roster_put(struct ft_vault_store *s, uint64_t serial, struct ft_bytes bytes)
{
    int changes;
    if (serial > INT64_MAX)
        return FT_ERR_LIMIT;
    const enum ft_status st = change(db_of(s), &changes,
                                     "INSERT INTO roster VALUES(1, ?1, ?2) ON CONFLICT(one) DO UPDATE"
                                     " SET serial=?1, bytes=?2 WHERE serial <= ?1",
                                     "ib", (int64_t)serial, bytes);
    return st == FT_OK && changes == 0 ? FT_ERR_STATE : st;
}

static enum ft_status
roster_get(struct ft_vault_store *s, uint64_t *serial, struct ft_buf *bytes)
{
    sqlite3_stmt *stmt;
    enum ft_status st = query(db_of(s), &stmt, "SELECT serial, bytes FROM roster", "");
    if (st != FT_OK)
        return st;
    const int rc = sqlite3_step(stmt);
    st = rc == SQLITE_DONE ? FT_ERR_NOTFOUND : status_of(rc);
    if (rc == SQLITE_ROW) {
        *serial = (uint64_t)sqlite3_column_int64(stmt, 0);
        st = ft_buf_append(bytes, sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1));
    }
    put_back(stmt);
    return st;
}

static enum ft_status
task_put(struct ft_vault_store *s, const uint8_t hash[32], struct ft_bytes signed_task, const char *name,
         const char *purpose, uint64_t seen_ms)
{
    return change(db_of(s), NULL,
                  "INSERT INTO tasks(hash, bytes, name, purpose, seen_ms) VALUES(?1,?2,?3,?4,?5)"
                  " ON CONFLICT(hash) DO NOTHING",
                  "hbtti", hash, signed_task, name, purpose, (int64_t)seen_ms);
}

#define TASK_COLUMNS                                                                                         \
    "SELECT hash, bytes, name, purpose, seen_ms, approval, verdict, codes, decided_ms FROM tasks "

static enum ft_status
read_task(sqlite3_stmt *stmt, struct ft_vault_task *r)
{
    *r = (struct ft_vault_task){ 0 };
    column_hash(stmt, 0, r->hash);
    const char *name = (const char *)sqlite3_column_text(stmt, 2);
    const char *purpose = (const char *)sqlite3_column_text(stmt, 3);
    strncpy(r->name, name ? name : "", sizeof r->name - 1);
    strncpy(r->purpose, purpose ? purpose : "", sizeof r->purpose - 1);
    r->seen_ms = (uint64_t)sqlite3_column_int64(stmt, 4);
    r->approval = (enum ft_vault_approval)sqlite3_column_int(stmt, 5);
    r->verdict = (uint32_t)sqlite3_column_int(stmt, 6);
    const uint8_t *codes = sqlite3_column_blob(stmt, 7);
    const size_t count = (size_t)sqlite3_column_bytes(stmt, 7) / 4;
    for (size_t i = 0; i < count && i < FT_VAULT_CODES_MAX; i++)
        r->codes[r->code_count++] = ft_get_u32(codes + 4 * i);
    r->decided_ms = (uint64_t)sqlite3_column_int64(stmt, 8);
    return ft_buf_append(&r->signed_task, sqlite3_column_blob(stmt, 1),
                         (size_t)sqlite3_column_bytes(stmt, 1));
}

static enum ft_status
task_get(struct ft_vault_store *s, const uint8_t hash[32], struct ft_vault_task *out)
{
    sqlite3_stmt *stmt;
    *out = (struct ft_vault_task){ 0 };
    enum ft_status st = query(db_of(s), &stmt, TASK_COLUMNS "WHERE hash=?1", "h", hash);
    if (st != FT_OK)
        return st;
    const int rc = sqlite3_step(stmt);
    st = rc == SQLITE_ROW ? read_task(stmt, out) : rc == SQLITE_DONE ? FT_ERR_NOTFOUND : status_of(rc);
    put_back(stmt);
    return st;
}

static enum ft_status
task_list(struct ft_vault_store *s, bool (*each)(void *ctx, const struct ft_vault_task *record), void *ctx)
{
    sqlite3_stmt *stmt;
    bool more = true;
    int rc = SQLITE_DONE;
    enum ft_status st = query(db_of(s), &stmt, TASK_COLUMNS "ORDER BY seen_ms DESC, hash", "");
    if (st != FT_OK)
        return st;
    while (st == FT_OK && more && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct ft_vault_task r;
        st = read_task(stmt, &r);
        if (st == FT_OK)
            more = each(ctx, &r);
        ft_vault_task_clear(&r);
    }
    put_back(stmt);
    return st != FT_OK ? st : status_of(rc);
}

static enum ft_status
task_approve(struct ft_vault_store *s, const uint8_t hash[32], enum ft_vault_approval approval,
             uint64_t at_ms)
{
    int changes = 0;
    sqlite3 *db = db_of(s);
    enum ft_status st = change(db, NULL, "BEGIN IMMEDIATE", "");
    if (st != FT_OK)
        return st;
    FT_TRY(change(db, &changes, "UPDATE tasks SET approval=?2, approved_ms=?3 WHERE hash=?1", "hii", hash,
                  (int64_t)approval, (int64_t)at_ms));
    FT_TRY(change(
        db, NULL,
        "INSERT INTO vault_meta VALUES('approvals', 1) ON CONFLICT(key) DO UPDATE SET value=value+1", ""));
    FT_TRY(change(db, NULL, "COMMIT", ""));
    return changes == 0 ? FT_ERR_NOTFOUND : FT_OK;
out:
    (void)!change(db, NULL, "ROLLBACK", "");
    return st;
}

static enum ft_status
task_decided(struct ft_vault_store *s, const uint8_t hash[32], uint32_t verdict, const uint32_t *codes,
             size_t code_count, uint64_t at_ms)
{
    uint8_t packed[4 * FT_VAULT_CODES_MAX];
    size_t count = code_count < FT_VAULT_CODES_MAX ? code_count : FT_VAULT_CODES_MAX;
    for (size_t i = 0; i < count; i++)
        ft_put_u32(packed + 4 * i, codes[i]);
    return change(db_of(s), NULL, "UPDATE tasks SET verdict=?2, codes=?3, decided_ms=?4 WHERE hash=?1",
                  "hibi", hash, (int64_t)verdict, FT_BYTES(packed, 4 * count), (int64_t)at_ms);
}

static enum ft_status
meta_get(struct ft_vault_store *s, const char *key, int64_t *value)
{
    sqlite3_stmt *stmt;
    *value = 0;
    enum ft_status st = query(db_of(s), &stmt, "SELECT value FROM vault_meta WHERE key=?1", "t", key);
    if (st == FT_OK)
        st = finish_one(stmt, value);
    return st == FT_ERR_NOTFOUND ? FT_OK : st;
}

static enum ft_status
approvals_changed(struct ft_vault_store *s, uint64_t *generation)
{
    int64_t value;
    const enum ft_status st = meta_get(s, "approvals", &value);
    *generation = (uint64_t)value;
    return st;
}

static enum ft_status
participations(struct ft_vault_store *s, int64_t since_s, uint32_t *count, int64_t *last_s)
{
    sqlite3_stmt *stmt;
    int64_t n = 0;
    *last_s = 0;
    *count = 0;
    enum ft_status st =
        query(db_of(s), &stmt, "SELECT count(*) FROM participation WHERE at_s >= ?1", "i", since_s);
    if (st == FT_OK)
        st = finish_one(stmt, &n);
    *count = (uint32_t)n;
    if (st == FT_OK)
        st = query(db_of(s), &stmt, "SELECT coalesce(max(at_s), 0) FROM participation", "");
    if (st == FT_OK)
        st = finish_one(stmt, last_s);
    return st;
}

static enum ft_status
last_of_task(struct ft_vault_store *s, const uint8_t task[32], int64_t *last_s)
{
    sqlite3_stmt *stmt;
    *last_s = 0;
    const enum ft_status st =
        query(db_of(s), &stmt, "SELECT coalesce(max(at_s), 0) FROM participation WHERE task = ?1", "h", task);
    return st == FT_OK ? finish_one(stmt, last_s) : st;
}

static enum ft_status
previous_put(struct ft_vault_store *s, const uint8_t task[32], const struct ft_ss_previous *p)
{
    sqlite3 *db = db_of(s);
    const enum ft_status st = begin_lazy(db);
    if (st != FT_OK)
        return st;
    return end_lazy(
        db, change(db, NULL,
                   "INSERT INTO previous VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(task) DO UPDATE"
                   " SET round=?2, model=?3, lineage=?4, result=?5, result_known=?6 WHERE round <= ?2",
                   "hihhhi", task, (int64_t)p->round, p->model_hash, p->lineage_hash, p->result_hash,
                   (int64_t)p->result_known));
}

static enum ft_status
previous_get(struct ft_vault_store *s, const uint8_t task[32], struct ft_ss_previous *out)
{
    sqlite3_stmt *stmt;
    *out = (struct ft_ss_previous){ 0 };
    const enum ft_status st =
        query(db_of(s), &stmt,
              "SELECT round, model, lineage, result, result_known FROM previous WHERE task=?1", "h", task);
    if (st != FT_OK)
        return st;
    const int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        out->any = true;
        out->round = (uint64_t)sqlite3_column_int64(stmt, 0);
        column_hash(stmt, 1, out->model_hash);
        column_hash(stmt, 2, out->lineage_hash);
        column_hash(stmt, 3, out->result_hash);
        out->result_known = sqlite3_column_int(stmt, 4) != 0;
    }
    put_back(stmt);
    return status_of(rc);
}

static enum ft_status
trained_on(struct ft_vault_store *s, const uint8_t task[32], const uint8_t model[32], bool *out)
{
    sqlite3_stmt *stmt;
    int64_t count = 0;
    *out = true; /* not to be had: as if it had been */
    enum ft_status st =
        query(db_of(s), &stmt, "SELECT count(*) FROM trained WHERE task=?1 AND model=?2", "hh", task, model);
    if (st == FT_OK)
        st = finish_one(stmt, &count);
    if (st == FT_OK)
        *out = count > 0;
    return st;
}

static enum ft_status
clock_put(struct ft_vault_store *s, int64_t wall_s)
{
    sqlite3 *db = db_of(s);
    const enum ft_status st = begin_lazy(db);
    if (st != FT_OK)
        return st;
    return end_lazy(db, change(db, NULL,
                               "INSERT INTO vault_meta VALUES('clock', ?1) ON CONFLICT(key) DO UPDATE"
                               " SET value=max(value, ?1)",
                               "i", wall_s));
}

static enum ft_status
clock_get(struct ft_vault_store *s, int64_t *wall_s)
{
    return meta_get(s, "clock", wall_s);
}

static enum ft_status
ledger_put(struct ft_vault_store *s, uint64_t seq, const uint8_t chain[32])
{
    sqlite3 *db = db_of(s);
    const enum ft_status st = begin_lazy(db);
    if (st != FT_OK)
        return st;
    return end_lazy(db, change(db, NULL,
                               "INSERT INTO ledger_head VALUES(1, ?1, ?2) ON CONFLICT(one) DO UPDATE"
                               " SET seq=?1, chain=?2 WHERE seq < ?1",
                               "ih", (int64_t)seq, chain));
}

static enum ft_status
ledger_get(struct ft_vault_store *s, uint64_t *seq, uint8_t chain[32])
{
    sqlite3_stmt *stmt;
    const enum ft_status st = query(db_of(s), &stmt, "SELECT seq, chain FROM ledger_head", "");
    if (st != FT_OK)
        return st;
    const int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        *seq = (uint64_t)sqlite3_column_int64(stmt, 0);
        column_hash(stmt, 1, chain);
    }
    put_back(stmt);
    return rc == SQLITE_DONE ? FT_ERR_NOTFOUND : status_of(rc);
}

static enum ft_status
opened_put(struct ft_vault_store *s, const char *domain, const char *day)
{
    return change(db_of(s), NULL, "INSERT INTO budget_opened VALUES(?1, ?2) ON CONFLICT(domain) DO NOTHING",
                  "tt", domain, day);
}

static enum ft_status
opened_get(struct ft_vault_store *s, const char *domain, char day[FT_VAULT_DAY_SIZE])
{
    sqlite3_stmt *stmt;
    enum ft_status st = query(db_of(s), &stmt, "SELECT day FROM budget_opened WHERE domain=?1", "t", domain);
    if (st != FT_OK)
        return st;
    const int rc = sqlite3_step(stmt);
    st = rc == SQLITE_DONE ? FT_ERR_NOTFOUND : status_of(rc);
    if (rc == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        if (text != NULL && strlen(text) == FT_VAULT_DAY_SIZE - 1)
            memcpy(day, text, FT_VAULT_DAY_SIZE);
        else
            st = FT_ERR_VERIFY;
    }
    put_back(stmt);
    return st;
}

static void
store_close(struct ft_vault_store *s)
{
    close_db(db_of(s));
    ft_free(s);
}

static const struct ft_vault_store_calls calls = {
    .journal_put = journal_put,
    .journal_view = journal_view,
    .roster_put = roster_put,
    .roster_get = roster_get,
    .task_put = task_put,
    .task_get = task_get,
    .task_list = task_list,
    .task_approve = task_approve,
    .task_decided = task_decided,
    .approvals_changed = approvals_changed,
    .participations = participations,
    .last_of_task = last_of_task,
    .previous_put = previous_put,
    .previous_get = previous_get,
    .trained_on = trained_on,
    .clock_put = clock_put,
    .clock_get = clock_get,
    .ledger_put = ledger_put,
    .ledger_get = ledger_get,
    .opened_put = opened_put,
    .opened_get = opened_get,
    .close = store_close,
};

/* The file is ours and nobody else's; one that is not there is made with the right mode. */
static enum ft_status
check_file(const char *path, struct ft_error *err)
{
    struct stat sb;
    const int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
    const int rc = fstat(fd, &sb);
    close(fd);
    if (rc != 0)
        return ft_fail(err, FT_ERR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(sb.st_mode) || sb.st_uid != geteuid() || (sb.st_mode & 077) != 0)
        return ft_fail(err, FT_ERR_VERIFY,
                       "%s: must be a file of the user that runs the client, with mode 0600", path);
    return FT_OK;
}

static bool
pragma_is(sqlite3 *db, const char *sql, const char *want)
{
    sqlite3_stmt *stmt = NULL;
    bool same = false;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW) {
        const char *got = (const char *)sqlite3_column_text(stmt, 0);
        same = got != NULL && strcmp(got, want) == 0;
    }
    sqlite3_finalize(stmt);
    return same;
}

static enum ft_status
check_version(sqlite3 *db, const char *path, struct ft_error *err)
{
    sqlite3_stmt *stmt;
    int64_t version = 0;
    enum ft_status st;
    FT_TRY(change(db, NULL, "INSERT INTO vault_meta VALUES('schema', ?1) ON CONFLICT DO NOTHING", "i",
                  (int64_t)SCHEMA_VERSION));
    FT_TRY(query(db, &stmt, "SELECT value FROM vault_meta WHERE key='schema'", ""));
    FT_TRY(finish_one(stmt, &version));
    if (version != SCHEMA_VERSION)
        return ft_fail(err, FT_ERR_VERIFY, "%s: schema version %lld, this program knows %d", path,
                       (long long)version, SCHEMA_VERSION);
out:
    return st == FT_OK ? st : ft_fail(err, st, "%s: %s", path, sqlite3_errmsg(db));
}

enum ft_status
ft_vault_store_sqlite(const char *path, struct ft_vault_store **out, struct ft_error *err)
{
    enum ft_status st;
    int rc;
    struct sqlite_store *s = ft_calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL)
        return ft_fail(err, FT_ERR_NOMEM, "out of memory");
    s->base.calls = &calls;
    FT_TRY(check_file(path, err));
    rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        st = ft_fail(err, status_of(rc), "%s: %s", path, sqlite3_errstr(rc));
        goto out;
    }
    sqlite3_busy_timeout(s->db, BUSY_MS);
    if (!pragma_is(s->db, "PRAGMA quick_check(1)", "ok")) {
        st = ft_fail(err, FT_ERR_VERIFY, "%s: damaged (quick_check); restore it from a backup", path);
        goto out;
    }
    /* temp_store: no file outside the state folder; trusted_schema: a tampered file runs no function of ours.
     */
    if (!pragma_is(s->db, "PRAGMA journal_mode=WAL", "wal") ||
        sqlite3_exec(s->db, "PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;",
                     NULL, NULL, NULL) != SQLITE_OK ||
        !pragma_is(s->db, "PRAGMA synchronous", "2")) {
        st = ft_fail(err, FT_ERR_STATE, "%s: cannot have journal_mode=WAL with synchronous=FULL here", path);
        goto out;
    }
    rc = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
    if (rc != SQLITE_OK) {
        st = ft_fail(err, status_of(rc), "%s: %s", path, sqlite3_errmsg(s->db));
        goto out;
    }
    FT_TRY(check_version(s->db, path, err));
    *out = &s->base;
    s = NULL;
out:
    if (s != NULL) {
        close_db(s->db);
        ft_free(s);
    }
    return st;
}
