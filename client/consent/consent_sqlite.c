/*
 * The registry in SQLite. One table of events; what is true now is always found from the events, never
 * stored.
 *
 * A customer's state for a purpose is the event with the latest time; among equal times one that is not a
 * grant comes first (`state > 1` sorts above `state = 1`). Events later than `now` do not count yet.
 */
#include "client/consent/consent.h"
#include "client/consent/consent_internal.h"
#include "client/consent/erase.h"
#include "common/base/alloc.h"

#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

struct ft_consent {
    sqlite3 *handle;
    struct ft_node_key *key;
    sqlite3_stmt *insert, *latest, *generation;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS consent_event("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    " customer TEXT NOT NULL CHECK(length(customer) = 22),"
    " purpose TEXT NOT NULL,"
    " state INTEGER NOT NULL CHECK(state IN (1, 2, 3)),"
    " at_ms INTEGER NOT NULL CHECK(at_ms >= 0),"
    " notice TEXT NOT NULL,"
    " method TEXT NOT NULL,"
    " expires_ms INTEGER NOT NULL CHECK(expires_ms >= 0)," /* 0: never */
    " recorded_ms INTEGER NOT NULL,"
    " UNIQUE(purpose, customer, at_ms, state, notice, method, expires_ms)) STRICT;"
    "CREATE TRIGGER IF NOT EXISTS consent_event_stays BEFORE UPDATE ON consent_event"
    " BEGIN SELECT RAISE(ABORT, 'the consent history is append-only'); END;"
    CONSENT_IS_KEPT
    "CREATE TABLE IF NOT EXISTS consent_erased("
    " tombstone BLOB PRIMARY KEY CHECK(length(tombstone) = 32), at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS consent_scrub(one INTEGER PRIMARY KEY CHECK(one = 1), owed INTEGER NOT NULL) STRICT;"
    "INSERT INTO consent_scrub VALUES(1, 0) ON CONFLICT DO NOTHING;";

static const char insert_sql[] =
    "INSERT INTO consent_event(customer, purpose, state, at_ms, notice, method, expires_ms, recorded_ms)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    " ON CONFLICT(purpose, customer, at_ms, state, notice, method, expires_ms) DO NOTHING";

static const char latest_sql[] =
    "SELECT state, expires_ms FROM consent_event WHERE purpose = ?1 AND customer = ?2 AND at_ms <= ?3"
    " ORDER BY at_ms DESC, state > 1 DESC, expires_ms = 0, expires_ms LIMIT 1";

/* An erasure may take the last event away: it counts for more than any event. */
static const char generation_sql[] = "SELECT coalesce(max(seq), 0) + (SELECT count(*) FROM consent_erased) * (1 << 40)"
                                     " FROM consent_event WHERE purpose = ?1";

/* Each customer's latest event for a purpose. Of two grants of one time the earlier expiry counts. */
#define LATEST_OF_ALL                                                                                        \
    "SELECT customer, state, expires_ms FROM ("                                                              \
    "SELECT customer, state, expires_ms, row_number() OVER (PARTITION BY customer"                           \
    " ORDER BY at_ms DESC, state > 1 DESC, expires_ms = 0, expires_ms) AS place"                             \
    " FROM consent_event WHERE purpose = ?1 AND at_ms <= ?2) WHERE place = 1"

static enum ft_status
db_fail(sqlite3 *handle, const char *what, struct ft_error *err)
{
    enum ft_status st;
    switch (sqlite3_errcode(handle) & 0xff) {
    case SQLITE_NOMEM:
        st = FT_ERR_NOMEM;
        break;
    case SQLITE_FULL:
        st = FT_ERR_FULL;
        break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        st = FT_ERR_FORMAT;
        break;
    default:
        st = FT_ERR_IO;
        break;
    }
    return ft_fail(err, st, "%s: %s", what, sqlite3_errmsg(handle));
}

sqlite3 *
consent_handle(const struct ft_consent *consent)
{
    return consent->handle;
}

enum ft_status
consent_fail(const struct ft_consent *consent, const char *what, struct ft_error *err)
{
    return db_fail(consent->handle, what, err);
}

static enum ft_status
run(sqlite3 *handle, const char *sql, const char *what, struct ft_error *err)
{
    return sqlite3_exec(handle, sql, NULL, NULL, NULL) == SQLITE_OK ? FT_OK : db_fail(handle, what, err);
}

static enum ft_status
prepare(sqlite3 *handle, const char *sql, sqlite3_stmt **out, struct ft_error *err)
{
    if (sqlite3_prepare_v3(handle, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) == SQLITE_OK)
        return FT_OK;
    return db_fail(handle, "consent registry: cannot prepare", err);
}

/* True when the pragma reads back as this text. */
static bool
pragma_is(sqlite3 *handle, const char *sql, const char *want)
{
    sqlite3_stmt *stmt = NULL;
    bool same = false;
    if (sqlite3_prepare_v2(handle, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        same = strcmp((const char *)sqlite3_column_text(stmt, 0), want) == 0;
    sqlite3_finalize(stmt);
    return same;
}

enum ft_status
ft_consent_open(const char *path, const struct ft_node_key *key, struct ft_consent **out,
                struct ft_error *err)
{
    enum ft_status st;
    struct ft_consent *c = NULL;

    *out = NULL;
    c = ft_calloc(1, sizeof *c);
    if (c == NULL)
        return FT_ERR_NOMEM;
    c->key = ft_secret_alloc(sizeof *c->key);
    if (c->key == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    *c->key = *key;
    if (sqlite3_open_v2(path, &c->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        st = c->handle == NULL ? FT_ERR_NOMEM : db_fail(c->handle, "consent registry: cannot open", err);
        goto out;
    }
    sqlite3_busy_timeout(c->handle, 30000);
    FT_TRY(run(c->handle, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
               "PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY",
               "consent registry: cannot set up", err));
    if (!pragma_is(c->handle, "PRAGMA journal_mode", "wal") ||
        !pragma_is(c->handle, "PRAGMA synchronous", "2")) {
        st = ft_fail(err, FT_ERR_STATE,
                     "consent registry: the database does not take WAL with synchronous=FULL");
        goto out;
    }
    FT_TRY(run(c->handle, schema, "consent registry: cannot set up", err));
    FT_TRY(prepare(c->handle, insert_sql, &c->insert, err));
    FT_TRY(prepare(c->handle, latest_sql, &c->latest, err));
    FT_TRY(prepare(c->handle, generation_sql, &c->generation, err));
    *out = c;
    c = NULL;
out:
    ft_consent_close(c);
    return st;
}

void
ft_consent_close(struct ft_consent *consent)
{
    if (consent == NULL)
        return;
    sqlite3_finalize(consent->insert);
    sqlite3_finalize(consent->latest);
    sqlite3_finalize(consent->generation);
    sqlite3_close_v2(consent->handle);
    ft_secret_free(consent->key);
    ft_free(consent);
}

const struct ft_node_key *
consent_key(const struct ft_consent *consent)
{
    return consent->key;
}

enum ft_status
consent_begin(struct ft_consent *consent, struct ft_error *err)
{
    return run(consent->handle, "BEGIN IMMEDIATE", "consent registry: cannot write", err);
}

enum ft_status
consent_commit(struct ft_consent *consent, struct ft_error *err)
{
    return run(consent->handle, "COMMIT", "consent registry: cannot write", err);
}

void
consent_rollback(struct ft_consent *consent)
{
    (void)sqlite3_exec(consent->handle, "ROLLBACK", NULL, NULL, NULL);
}

static void
bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
    sqlite3_bind_text(stmt, at, text, -1,
                      SQLITE_STATIC); /* without memory the NULL it leaves breaks NOT NULL */
}

enum ft_status
consent_insert(struct ft_consent *consent, const struct ft_consent_event *event, uint64_t now_ms, bool *added,
               struct ft_error *err)
{
    enum ft_status st = FT_OK;
    sqlite3_stmt *s = consent->insert;

    if (added != NULL)
        *added = false;
    if (ft_consent_is_erased(consent, &event->customer))
        return FT_OK;
    bind_text(s, 1, event->customer.text);
    bind_text(s, 2, event->purpose);
    sqlite3_bind_int(s, 3, (int)event->state);
    sqlite3_bind_int64(s, 4, (sqlite3_int64)event->at_ms);
    bind_text(s, 5, event->notice);
    bind_text(s, 6, event->method);
    sqlite3_bind_int64(s, 7, (sqlite3_int64)event->expires_ms);
    sqlite3_bind_int64(s, 8, (sqlite3_int64)now_ms);
    if (sqlite3_step(s) != SQLITE_DONE)
        st = db_fail(consent->handle, "consent registry: cannot record", err);
    else if (added != NULL)
        *added = sqlite3_changes(consent->handle) > 0;
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return st;
}

static enum ft_status
check_event(const struct ft_consent_event *event, uint64_t now_ms, struct ft_error *err)
{
    if (memchr(event->purpose, '\0', sizeof event->purpose) == NULL || !ft_purpose_known(event->purpose))
        return ft_fail(err, FT_ERR_FORMAT,
                       "unknown purpose; expected train, score, measure or synthesise, then /, then "
                       "segmentation, propensity, demand or personalisation");
    if (event->state != FT_CONSENT_GIVEN && event->state != FT_CONSENT_REFUSED &&
        event->state != FT_CONSENT_WITHDRAWN)
        return ft_fail(err, FT_ERR_FORMAT, "a consent event is given, refused or withdrawn");
    if (memchr(event->notice, '\0', sizeof event->notice) == NULL ||
        memchr(event->method, '\0', sizeof event->method) == NULL)
        return ft_fail(err, FT_ERR_FORMAT, "notice or method is too long");
    if (event->at_ms > now_ms)
        return ft_fail(err, FT_ERR_FORMAT, "the event's time lies in the future");
    if (event->expires_ms > INT64_MAX || (event->expires_ms != 0 && event->expires_ms <= event->at_ms))
        return ft_fail(err, FT_ERR_FORMAT, "the consent would expire before it is given");
    return FT_OK;
}

enum ft_status
ft_consent_record(struct ft_consent *consent, const char *customer_id, const struct ft_consent_event *event,
                  uint64_t now_ms, bool *added, struct ft_error *err)
{
    enum ft_status st;
    struct ft_consent_event own = *event;

    if (added != NULL)
        *added = false;
    if (customer_id[0] == '\0')
        return ft_fail(err, FT_ERR_FORMAT, "the customer id is empty");
    FT_TRY(check_event(event, now_ms, err));
    ft_pseudonym_make(consent->key, customer_id, strlen(customer_id), &own.customer);
    FT_TRY(consent_insert(consent, &own, now_ms, added, err));
out:
    return st;
}

static enum ft_consent_state
state_now(int state, uint64_t expires_ms, uint64_t now_ms)
{
    if (state == FT_CONSENT_GIVEN && expires_ms != 0 && expires_ms <= now_ms)
        return FT_CONSENT_EXPIRED;
    return (enum ft_consent_state)state;
}

enum ft_status
consent_state(struct ft_consent *consent, const struct ft_pseudonym *customer, const char *purpose,
              uint64_t now_ms, enum ft_consent_state *state, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    sqlite3_stmt *s = consent->latest;

    *state = FT_CONSENT_UNKNOWN;
    bind_text(s, 1, purpose);
    bind_text(s, 2, customer->text);
    sqlite3_bind_int64(s, 3, (sqlite3_int64)now_ms);
    switch (sqlite3_step(s)) {
    case SQLITE_ROW:
        *state = state_now(sqlite3_column_int(s, 0), (uint64_t)sqlite3_column_int64(s, 1), now_ms);
        break;
    case SQLITE_DONE:
        break;
    default:
        st = db_fail(consent->handle, "consent registry: cannot read", err);
        break;
    }
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return st;
}

enum ft_status
ft_consent_state_of(struct ft_consent *consent, const char *customer_id, const char *purpose, uint64_t now_ms,
                    enum ft_consent_state *state, struct ft_error *err)
{
    struct ft_pseudonym customer;
    *state = FT_CONSENT_UNKNOWN;
    if (!ft_purpose_known(purpose))
        return ft_fail(err, FT_ERR_FORMAT, "unknown purpose");
    ft_pseudonym_make(consent->key, customer_id, strlen(customer_id), &customer);
    return consent_state(consent, &customer, purpose, now_ms, state, err);
}

enum ft_status
ft_consent_history(struct ft_consent *consent, const char *customer_id, const char *purpose,
                   bool (*each)(void *ctx, const struct ft_consent_event *event), void *ctx,
                   struct ft_error *err)
{
    enum ft_status st;
    sqlite3_stmt *s = NULL;
    struct ft_consent_event event = { 0 };
    int code;

    ft_pseudonym_make(consent->key, customer_id, strlen(customer_id), &event.customer);
    snprintf(event.purpose, sizeof event.purpose, "%s", purpose);
    FT_TRY(prepare(consent->handle,
                   "SELECT state, at_ms, notice, method, expires_ms FROM consent_event"
                   " WHERE purpose = ?1 AND customer = ?2 ORDER BY at_ms, state > 1, seq",
                   &s, err));
    bind_text(s, 1, purpose);
    bind_text(s, 2, event.customer.text);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        event.state = (enum ft_consent_state)sqlite3_column_int(s, 0);
        event.at_ms = (uint64_t)sqlite3_column_int64(s, 1);
        snprintf(event.notice, sizeof event.notice, "%s", (const char *)sqlite3_column_text(s, 2));
        snprintf(event.method, sizeof event.method, "%s", (const char *)sqlite3_column_text(s, 3));
        event.expires_ms = (uint64_t)sqlite3_column_int64(s, 4);
        if (!each(ctx, &event))
            goto out;
    }
    if (code != SQLITE_DONE)
        st = db_fail(consent->handle, "consent registry: cannot read", err);
out:
    sqlite3_finalize(s);
    return st;
}

static enum ft_status
read_generation(struct ft_consent *consent, const char *purpose, uint64_t *generation, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    sqlite3_stmt *s = consent->generation;
    bind_text(s, 1, purpose);
    if (sqlite3_step(s) == SQLITE_ROW)
        *generation = (uint64_t)sqlite3_column_int64(s, 0);
    else
        st = db_fail(consent->handle, "consent registry: cannot read", err);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return st;
}

/* When the passing of time alone next changes anything: the first expiry after now, or the first event that
 * is dated after now (a clock that was ahead once). */
static enum ft_status
read_valid_to(struct ft_consent *consent, const char *purpose, uint64_t now_ms, uint64_t *valid_to,
              struct ft_error *err)
{
    enum ft_status st;
    sqlite3_stmt *s = NULL;

    *valid_to = UINT64_MAX;
    FT_TRY(
        prepare(consent->handle,
                "SELECT min(at) FROM ("
                "SELECT expires_ms AS at FROM consent_event WHERE purpose = ?1 AND expires_ms > ?2 UNION ALL "
                "SELECT at_ms FROM consent_event WHERE purpose = ?1 AND at_ms > ?2)",
                &s, err));
    bind_text(s, 1, purpose);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)now_ms);
    if (sqlite3_step(s) != SQLITE_ROW)
        st = db_fail(consent->handle, "consent registry: cannot read", err);
    else if (sqlite3_column_type(s, 0) == SQLITE_INTEGER)
        *valid_to = (uint64_t)sqlite3_column_int64(s, 0);
out:
    sqlite3_finalize(s);
    return st;
}

static enum ft_status
fill_eligible(struct ft_consent *consent, const char *purpose, uint64_t now_ms, struct ft_db *db,
              struct ft_error *err)
{
    enum ft_status st;
    sqlite3_stmt *s = NULL;
    struct ft_pseudonym customer;
    int code;

    FT_TRY(prepare(consent->handle, LATEST_OF_ALL, &s, err));
    bind_text(s, 1, purpose);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)now_ms);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (state_now(sqlite3_column_int(s, 1), (uint64_t)sqlite3_column_int64(s, 2), now_ms) !=
            FT_CONSENT_GIVEN)
            continue;
        snprintf(customer.text, sizeof customer.text, "%s", (const char *)sqlite3_column_text(s, 0));
        FT_TRY(ft_db_eligible_add(db, &customer, err));
    }
    if (code != SQLITE_DONE)
        st = db_fail(consent->handle, "consent registry: cannot read", err);
out:
    sqlite3_finalize(s);
    return st;
}

enum ft_status
ft_consent_eligible(struct ft_consent *consent, const char *purpose, uint64_t now_ms, struct ft_db *db,
                    uint64_t *count, struct ft_consent_mark *mark, struct ft_error *err)
{
    enum ft_status st;
    struct ft_consent_mark now = { .read_ms = now_ms };
    bool filling = false, reading = false;

    if (count != NULL)
        *count = 0;
    if (!ft_purpose_known(purpose)) {
        st = ft_fail(err, FT_ERR_FORMAT, "unknown purpose");
        goto out;
    }
    snprintf(now.purpose, sizeof now.purpose, "%s", purpose);
    FT_TRY(
        run(consent->handle, "BEGIN", "consent registry: cannot read", err)); /* one snapshot for all three */
    reading = true;
    FT_TRY(read_generation(consent, purpose, &now.generation, err));
    FT_TRY(read_valid_to(consent, purpose, now_ms, &now.valid_to_ms, err));
    FT_TRY(ft_db_eligible_begin(db, err));
    filling = true;
    FT_TRY(fill_eligible(consent, purpose, now_ms, db, err));
    filling = false;
    FT_TRY(ft_db_eligible_end(db, count, err));
    if (mark != NULL)
        *mark = now;
out:
    if (filling)
        ft_db_eligible_abort(db);
    if (reading)
        (void)sqlite3_exec(consent->handle, "COMMIT", NULL, NULL, NULL);
    if (st != FT_OK && ft_db_eligible_begin(db, NULL) == FT_OK) /* fail closed: nobody */
        (void)(ft_db_eligible_end(db, NULL, NULL) == FT_OK);
    return st;
}

bool
ft_consent_unchanged(struct ft_consent *consent, const struct ft_consent_mark *mark, uint64_t now_ms)
{
    uint64_t generation;
    if (read_generation(consent, mark->purpose, &generation, NULL) != FT_OK)
        return false;
    return generation == mark->generation && now_ms >= mark->read_ms && now_ms < mark->valid_to_ms;
}

enum ft_status
ft_consent_totals(struct ft_consent *consent, const char *purpose, uint64_t now_ms,
                  struct ft_consent_totals *out, struct ft_error *err)
{
    enum ft_status st;
    sqlite3_stmt *s = NULL;
    int code;

    *out = (struct ft_consent_totals){ 0 };
    FT_TRY(prepare(consent->handle, "SELECT count(*) FROM consent_event WHERE purpose = ?1", &s, err));
    bind_text(s, 1, purpose);
    if (sqlite3_step(s) != SQLITE_ROW) {
        st = db_fail(consent->handle, "consent registry: cannot read", err);
        goto out;
    }
    out->events = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    s = NULL;
    FT_TRY(prepare(consent->handle, LATEST_OF_ALL, &s, err));
    bind_text(s, 1, purpose);
    sqlite3_bind_int64(s, 2, (sqlite3_int64)now_ms);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        switch (state_now(sqlite3_column_int(s, 1), (uint64_t)sqlite3_column_int64(s, 2), now_ms)) {
        case FT_CONSENT_GIVEN:
            out->given++;
            break;
        case FT_CONSENT_REFUSED:
            out->refused++;
            break;
        case FT_CONSENT_WITHDRAWN:
            out->withdrawn++;
            break;
        case FT_CONSENT_EXPIRED:
            out->expired++;
            break;
        case FT_CONSENT_UNKNOWN:
            break;
        }
    }
    if (code != SQLITE_DONE)
        st = db_fail(consent->handle, "consent registry: cannot read", err);
out:
    sqlite3_finalize(s);
    return st;
}
