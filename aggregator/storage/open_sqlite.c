#include "aggregator/storage/sql_internal.h"
#include "common/base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 5000

static const char schema[] =
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE shops(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, state INTEGER NOT "
    "NULL,"
    " fingerprint TEXT UNIQUE, identity_key BLOB UNIQUE, certificate BLOB, roster_index INTEGER UNIQUE,"
    " invited_ms INTEGER NOT NULL, enrolled_ms INTEGER NOT NULL DEFAULT 0, changed_ms INTEGER NOT NULL);"
    "CREATE TABLE tokens(hash BLOB PRIMARY KEY, shop INTEGER NOT NULL REFERENCES shops(id),"
    " expires_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL DEFAULT 0, request_hash BLOB) WITHOUT ROWID;"
    "CREATE TABLE rosters(serial INTEGER PRIMARY KEY, bytes BLOB NOT NULL, stored_ms INTEGER NOT NULL);"
    "CREATE TABLE roster_keys(place INTEGER PRIMARY KEY, identity_key BLOB NOT NULL UNIQUE);"
    "CREATE TABLE epoch_keys(epoch INTEGER NOT NULL, place INTEGER NOT NULL, message BLOB NOT NULL,"
    " PRIMARY KEY(epoch, place)) WITHOUT ROWID;"
    "CREATE TABLE blobs(hash BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, bytes BLOB NOT NULL);"
    "CREATE TABLE tasks(hash BLOB NOT NULL UNIQUE, name TEXT NOT NULL, signed_hash BLOB NOT NULL,"
    " state INTEGER NOT NULL, published_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL,"
    " stage INTEGER NOT NULL DEFAULT 0, trained INTEGER NOT NULL DEFAULT 0, version INTEGER NOT NULL DEFAULT "
    "0,"
    " last_round INTEGER NOT NULL DEFAULT 0, last_attempt INTEGER NOT NULL DEFAULT 0,"
    " round_open INTEGER NOT NULL DEFAULT 0, model_hash BLOB, lineage_hash BLOB);"
    "CREATE TABLE verdicts(task BLOB NOT NULL, shop INTEGER NOT NULL, verdict INTEGER NOT NULL, codes TEXT "
    "NOT NULL,"
    " at_ms INTEGER NOT NULL, PRIMARY KEY(task, shop)) WITHOUT ROWID;"
    /* At most one session is open: the check on `one` makes a second row impossible. */
    "CREATE TABLE session(one INTEGER PRIMARY KEY CHECK(one = 1), task BLOB NOT NULL, round INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, stage INTEGER NOT NULL, started_ms INTEGER NOT NULL, descriptor BLOB NOT "
    "NULL);"
    "CREATE TABLE session_records(seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, place INTEGER NOT NULL,"
    " bytes BLOB NOT NULL);"
    "CREATE TABLE rounds(task BLOB NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " stage INTEGER NOT NULL, state INTEGER NOT NULL, cohort INTEGER NOT NULL, survivors INTEGER NOT NULL,"
    " started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER "
    "NOT NULL,"
    " model_hash BLOB NOT NULL, result_hash BLOB NOT NULL, transcript BLOB NOT NULL, reasons TEXT NOT NULL,"
    " metrics TEXT NOT NULL, UNIQUE(task, round, attempt));"
    "CREATE UNIQUE INDEX rounds_commit_once ON rounds(task, round) WHERE state = 1;"
    "CREATE TABLE models(task BLOB NOT NULL, version INTEGER NOT NULL, hash BLOB NOT NULL,"
    " created_ms INTEGER NOT NULL, round INTEGER NOT NULL, PRIMARY KEY(task, version));"
    "CREATE TABLE optimisers(task BLOB PRIMARY KEY, state BLOB NOT NULL);"
    "CREATE TABLE log(leaf_index INTEGER PRIMARY KEY, leaf BLOB NOT NULL, head BLOB NOT NULL);"
    "CREATE TRIGGER log_keeps BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;"
    "CREATE TRIGGER log_stays BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;";

/* Added since the first version: made in databases that do not have it yet. */
static const char added[] =
    "CREATE TABLE IF NOT EXISTS ledger_heads(shop INTEGER PRIMARY KEY, seq INTEGER NOT NULL, head BLOB NOT NULL);";

static enum ft_status
pragma_is(struct ft_store *s, const char *pragma, const char *wanted, struct ft_error *err)
{
    struct sql_rows rows;
    char got[32] = "";
    enum ft_status st = sql_open(s, &rows, pragma, NULL);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK)
        sql_text(&rows, 0, got, sizeof got);
    sql_close(&rows);
    if (st != FT_OK)
        return ft_fail(err, st, "database: %s: %s", pragma, ft_status_str(st));
    if (strcmp(got, wanted) != 0)
        return ft_fail(
            err, FT_ERR_CONFIG,
            "database: %s gives '%s', but committed rounds survive a power cut only with '%s'. Move the "
            "home folder to a local file system",
            pragma, got, wanted);
    return FT_OK;
}

/* A handle with WAL and FULL in force. The file exists already. */
static enum ft_status
open_durable(const char *path, struct ft_store **out, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    struct ft_store *s = ft_calloc(1, sizeof *s);
    int code;

    *out = NULL;
    if (s == NULL)
        return FT_ERR_NOMEM;
    code = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
                           NULL);
    if (code != SQLITE_OK) {
        st = ft_fail(err, sql_status(code), "%s: cannot open: %s", path, sqlite3_errstr(code));
        goto out;
    }
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    code = sqlite3_exec(s->db,
                        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                        "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA secure_delete=ON;",
                        NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        st = ft_fail(err, sql_status(code), "%s: cannot prepare for durable writes: %s", path,
                     sqlite3_errstr(code));
        goto out;
    }
    FT_TRY(pragma_is(s, "PRAGMA journal_mode", "wal", err));
    FT_TRY(pragma_is(s, "PRAGMA synchronous", "2", err));
    *out = s;
    s = NULL;
out:
    ft_store_close(s);
    return st;
}

/* The tables and what the database knows of itself, in one transaction. */
static enum ft_status
write_schema(struct ft_store *s, const uint8_t deployment[16])
{
    enum ft_status st = sql_begin(s);

    if (st != FT_OK)
        return st;
    st = sql_status(sqlite3_exec(s->db, schema, NULL, NULL, NULL));
    if (st == FT_OK)
        st = sql_status(sqlite3_exec(s->db, added, NULL, NULL, NULL));
    if (st == FT_OK)
        st = sql_run(s, "INSERT INTO meta(key, value) VALUES('schema', ?1), ('deployment', ?2), ('epoch', 0)",
                     "ib", (int64_t)FT_STORE_SCHEMA_VERSION, FT_BYTES(deployment, 16));
    return sql_end(s, st);
}

enum ft_status
ft_store_create(const char *path, const uint8_t deployment[16], struct ft_error *err)
{
    enum ft_status st;
    struct ft_store *s = NULL;
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return ft_fail(err,
                       errno == EEXIST   ? FT_ERR_DUPLICATE
                       : errno == ENOSPC ? FT_ERR_FULL
                                         : FT_ERR_IO,
                       "%s: cannot create: %s", path, strerror(errno));
    close(fd);
    FT_TRY(open_durable(path, &s, err));
    FT_TRY(write_schema(s, deployment));
out:
    ft_store_close(s);
    if (st != FT_OK) {
        unlink(path);
        return ft_fail(err, st, "%s: cannot create: %s", path, ft_status_str(st));
    }
    return st;
}

/* quick_check gives one row, "ok", unless it found damage. */
static enum ft_status
check_whole(struct ft_store *s, const char *path, struct ft_error *err)
{
    struct sql_rows rows;
    char first[160] = "";
    enum ft_status st = sql_open(s, &rows, "PRAGMA quick_check(1)", NULL);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK)
        sql_text(&rows, 0, first, sizeof first);
    sql_close(&rows);
    if (st == FT_OK && strcmp(first, "ok") == 0)
        return FT_OK;
    if (st != FT_OK && st != FT_ERR_VERIFY)
        return ft_fail(err, st, "%s: cannot check: %s", path, ft_status_str(st));
    return ft_fail(
        err, FT_ERR_VERIFY,
        "%s: the database is damaged (%.120s). Stop here: keep the file and its -wal and -shm as they are, "
        "copy them away, then put back the newest backup of all three, or try sqlite3 %s '.recover'",
        path, first[0] != '\0' ? first : "not a database", path);
}

static enum ft_status
read_meta(struct ft_store *s, const char *path, struct ft_error *err)
{
    struct sql_rows rows;
    int64_t version = 0;
    size_t deployment_size = 0;
    enum ft_status st = sql_open(s, &rows,
                                 "SELECT (SELECT value FROM meta WHERE key='schema'),"
                                 " (SELECT value FROM meta WHERE key='deployment')",
                                 NULL);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK) {
        version = sql_int(&rows, 0);
        deployment_size = sql_blob(&rows, 1).size;
        sql_fixed(&rows, 1, s->deployment, sizeof s->deployment);
    }
    sql_close(&rows);
    if (st != FT_OK || deployment_size != sizeof s->deployment)
        return ft_fail(err, FT_ERR_CONFIG, "%s: not a fedtill aggregator database", path);
    if (version != FT_STORE_SCHEMA_VERSION)
        return ft_fail(err, FT_ERR_CONFIG, "%s: schema version %lld, this program knows %d", path,
                       (long long)version, FT_STORE_SCHEMA_VERSION);
    return FT_OK;
}

enum ft_status
ft_store_open(const char *path, struct ft_store **out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_store *s = NULL;
    struct stat info;

    *out = NULL;
    if (stat(path, &info) != 0)
        return ft_fail(err, errno == ENOENT || errno == ENOTDIR ? FT_ERR_NOTFOUND : FT_ERR_IO,
                       "%s: %s. Run `fedtill-aggregator init` first", path, strerror(errno));
    if ((info.st_mode & 077) != 0)
        return ft_fail(err, FT_ERR_CONFIG, "%s: mode %03o lets others in; run chmod 600", path,
                       (unsigned)(info.st_mode & 0777));
    st = open_durable(path, &s, err);
    if (st == FT_ERR_VERIFY && err != NULL)
        err->status = FT_OK; /* said better below */
    if (st == FT_ERR_VERIFY)
        st = ft_fail(
            err, st,
            "%s: the database is damaged (not readable as a database). Stop here: keep the file and its -wal "
            "and -shm as they are, copy them away, then put back the newest backup of all three",
            path);
    if (st != FT_OK)
        goto out;
    FT_TRY(check_whole(s, path, err));
    FT_TRY(read_meta(s, path, err));
    FT_TRY(sql_status(sqlite3_exec(s->db, added, NULL, NULL, NULL)));
    *out = s;
    s = NULL;
out:
    ft_store_close(s);
    return st;
}

enum ft_status
ft_store_open_memory(const uint8_t deployment[16], struct ft_store **out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_store *s = ft_calloc(1, sizeof *s);

    *out = NULL;
    if (s == NULL)
        return FT_ERR_NOMEM;
    st = sql_status(sqlite3_open_v2(":memory:", &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL));
    if (st == FT_OK)
        st = write_schema(s, deployment);
    if (st != FT_OK) {
        ft_store_close(s);
        return ft_fail(err, st, "database in memory: %s", ft_status_str(st));
    }
    memcpy(s->deployment, deployment, sizeof s->deployment);
    *out = s;
    return FT_OK;
}

void
ft_store_close(struct ft_store *s)
{
    if (s == NULL)
        return;
    sqlite3_close_v2(s->db);
    ft_free(s);
}

void
ft_store_deployment(struct ft_store *s, uint8_t out[16])
{
    memcpy(out, s->deployment, sizeof s->deployment);
}

enum ft_status
ft_store_data_version(struct ft_store *s, uint64_t *out)
{
    struct sql_rows rows;
    enum ft_status st = sql_open(s, &rows, "PRAGMA data_version", NULL);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK)
        *out = sql_u64(&rows, 0);
    sql_close(&rows);
    return st;
}
