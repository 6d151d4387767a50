#include "aggregator/storage/sql_internal.h"

#include <string.h>

/* Places are forever: a stored key stays where it is and no other place may hold it. */
static enum ft_status
place_key(struct ft_store *s, uint32_t place, const uint8_t key[32])
{
    struct sql_rows rows;
    bool same = false;
    enum ft_status st = sql_open(
        s, &rows,
        "SELECT place = ?1 AND identity_key = ?2 FROM roster_keys WHERE place = ?1 OR identity_key = ?2",
        "ih", (int64_t)place, key);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK)
        same = sql_int(&rows, 0) == 1;
    sql_close(&rows);
    if (st == FT_OK)
        return same ? FT_OK : FT_ERR_VERIFY;
    if (st != FT_ERR_NOTFOUND)
        return st;
    FT_TRY(
        sql_run(s, "INSERT INTO roster_keys(place, identity_key) VALUES(?1, ?2)", "ih", (int64_t)place, key));
    FT_TRY(
        sql_run(s, "UPDATE shops SET roster_index = ?1 WHERE identity_key = ?2", "ih", (int64_t)place, key));
out:
    return st;
}

static enum ft_status
put(struct ft_store *s, uint64_t serial, struct ft_bytes signed_roster, const uint8_t (*keys)[32],
    size_t count, uint64_t now_ms)
{
    enum ft_status st;
    struct sql_rows rows;
    uint64_t newest = 0, places = 0;

    st = sql_open(s, &rows, "SELECT ifnull(max(serial), 0), (SELECT count(*) FROM roster_keys) FROM rosters",
                  NULL);
    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK) {
        newest = sql_u64(&rows, 0);
        places = sql_u64(&rows, 1);
    }
    sql_close(&rows);
    if (st != FT_OK)
        return st;
    if (serial <= newest)
        return FT_ERR_DUPLICATE;
    if (count < places) /* a place would vanish */
        return FT_ERR_VERIFY;
    for (size_t i = 0; i < count; i++)
        FT_TRY(place_key(s, (uint32_t)i, keys[i]));
    FT_TRY(sql_run(s, "INSERT INTO rosters(serial, bytes, stored_ms) VALUES(?1, ?2, ?3)", "ubu", serial,
                   signed_roster, now_ms));
out:
    return st;
}

enum ft_status
ft_store_roster_put(struct ft_store *s, uint64_t serial, struct ft_bytes signed_roster,
                    const uint8_t (*keys)[32], size_t count, uint64_t now_ms)
{
    enum ft_status st = sql_begin(s);
    if (st != FT_OK)
        return st;
    return sql_end(s, put(s, serial, signed_roster, keys, count, now_ms));
}

enum ft_status
ft_store_roster(struct ft_store *s, uint64_t *serial, struct ft_buf *signed_roster)
{
    struct sql_rows rows;
    struct ft_buf bytes = { 0 };
    enum ft_status st =
        sql_open(s, &rows, "SELECT serial, bytes FROM rosters ORDER BY serial DESC LIMIT 1", NULL);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK) {
        *serial = sql_u64(&rows, 0);
        st = ft_buf_append(&bytes, sql_blob(&rows, 1).data, sql_blob(&rows, 1).size);
    }
    sql_close(&rows);
    if (st != FT_OK)
        ft_buf_clear(&bytes);
    *signed_roster = bytes;
    return st;
}

enum ft_status
ft_store_epoch(struct ft_store *s, uint32_t *epoch, uint64_t *started_ms)
{
    struct sql_rows rows;
    enum ft_status st = sql_open(s, &rows,
                                 "SELECT (SELECT value FROM meta WHERE key = 'epoch'),"
                                 " (SELECT value FROM meta WHERE key = 'epoch_started_ms')",
                                 NULL);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK) {
        *epoch = (uint32_t)sql_u64(&rows, 0);
        *started_ms = sql_u64(&rows, 1);
    }
    sql_close(&rows);
    return st;
}

enum ft_status
ft_store_epoch_set(struct ft_store *s, uint32_t epoch, uint64_t started_ms)
{
    enum ft_status st = sql_begin(s);

    if (st != FT_OK)
        return st;
    st = sql_run(s, "INSERT OR REPLACE INTO meta(key, value) VALUES('epoch', ?1), ('epoch_started_ms', ?2)",
                 "iu", (int64_t)epoch, started_ms);
    if (st == FT_OK)
        st = sql_run(s, "DELETE FROM epoch_keys WHERE epoch < ?1", "i", (int64_t)epoch);
    return sql_end(s, st);
}

enum ft_status
ft_store_epoch_key_put(struct ft_store *s, uint32_t epoch, uint32_t index, struct ft_bytes message)
{
    return sql_run(s, "INSERT OR REPLACE INTO epoch_keys(epoch, place, message) VALUES(?1, ?2, ?3)", "iib",
                   (int64_t)epoch, (int64_t)index, message);
}

enum ft_status
ft_store_epoch_keys(struct ft_store *s, uint32_t epoch,
                    enum ft_status (*visit)(void *ctx, const struct ft_epoch_key *key), void *ctx)
{
    struct sql_rows rows;
    enum ft_status st =
        sql_open(s, &rows, "SELECT place, message FROM epoch_keys WHERE epoch = ?1 ORDER BY place", "i",
                 (int64_t)epoch);

    while (st == FT_OK && (st = sql_next(&rows)) == FT_OK) {
        const struct ft_epoch_key key = { .index = (uint32_t)sql_int(&rows, 0),
                                          .message = sql_blob(&rows, 1) };
        st = visit(ctx, &key);
    }
    sql_close(&rows);
    return st == FT_ERR_NOTFOUND ? FT_OK : st;
}

enum ft_status
ft_store_blob_put(struct ft_store *s, const uint8_t hash[32], const char *kind, struct ft_bytes bytes)
{
    return sql_run(s, "INSERT OR IGNORE INTO blobs(hash, kind, bytes) VALUES(?1, ?2, ?3)", "htb", hash, kind,
                   bytes);
}

enum ft_status
ft_store_blob(struct ft_store *s, const uint8_t hash[32], struct ft_buf *out)
{
    struct sql_rows rows;
    struct ft_buf bytes = { 0 };
    enum ft_status st = sql_open(s, &rows, "SELECT bytes FROM blobs WHERE hash = ?1", "h", hash);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK)
        st = ft_buf_append(&bytes, sql_blob(&rows, 0).data, sql_blob(&rows, 0).size);
    sql_close(&rows);
    if (st != FT_OK)
        ft_buf_clear(&bytes);
    *out = bytes;
    return st;
}

enum ft_status
ft_store_directory_put(struct ft_store *s, const uint8_t hash[32], struct ft_bytes bytes)
{
    enum ft_status st = sql_begin(s);

    if (st != FT_OK)
        return st;
    st = sql_run(s, "DELETE FROM blobs WHERE kind = 'directory'", NULL);
    if (st == FT_OK)
        st = ft_store_blob_put(s, hash, "directory", bytes);
    return sql_end(s, st);
}

enum ft_status
ft_store_directory(struct ft_store *s, uint8_t hash[32], struct ft_buf *out)
{
    struct sql_rows rows;
    struct ft_buf bytes = { 0 };
    enum ft_status st = sql_open(s, &rows, "SELECT hash, bytes FROM blobs WHERE kind = 'directory'", NULL);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK) {
        sql_fixed(&rows, 0, hash, 32);
        st = ft_buf_append(&bytes, sql_blob(&rows, 1).data, sql_blob(&rows, 1).size);
    }
    sql_close(&rows);
    if (st != FT_OK)
        ft_buf_clear(&bytes);
    *out = bytes;
    return st;
}
