#include "aggregator/storage/sql_internal.h"
#include "common/base/alloc.h"

#include <string.h>

const char *
ft_shop_state_name(enum ft_shop_state state)
{
    switch (state) {
    case FT_SHOP_INVITED:
        return "invited";
    case FT_SHOP_ACTIVE:
        return "active";
    case FT_SHOP_SUSPENDED:
        return "suspended";
    case FT_SHOP_REVOKED:
        return "revoked";
    }
    return "unknown";
}

#define SHOP_COLUMNS                                                                                         \
    "id, name, state, fingerprint, identity_key, ifnull(roster_index, -1), invited_ms, enrolled_ms, "        \
    "changed_ms"

static void
shop_of(struct sql_rows *rows, struct ft_shop *out)
{
    memset(out, 0, sizeof *out);
    out->id = sql_int(rows, 0);
    sql_text(rows, 1, out->name, sizeof out->name);
    out->state = (enum ft_shop_state)sql_int(rows, 2);
    sql_text(rows, 3, out->fingerprint, sizeof out->fingerprint);
    sql_fixed(rows, 4, out->identity_key, sizeof out->identity_key);
    out->roster_index = sql_int(rows, 5);
    out->invited_ms = sql_u64(rows, 6);
    out->enrolled_ms = sql_u64(rows, 7);
    out->changed_ms = sql_u64(rows, 8);
}

static enum ft_status
invite(struct ft_store *s, const char *name, const uint8_t token_hash[32], uint64_t expires_ms,
       uint64_t now_ms, int64_t *id)
{
    enum ft_status st;
    struct ft_shop shop;

    st = ft_store_shop_by_name(s, name, &shop);
    if (st == FT_ERR_NOTFOUND) {
        FT_TRY(sql_run(s, "INSERT INTO shops(name, state, invited_ms, changed_ms) VALUES(?1, 1, ?2, ?2)",
                       "tu", name, now_ms));
        st = ft_store_shop_by_name(s, name, &shop);
    }
    if (st != FT_OK)
        return st;
    if (shop.state != FT_SHOP_INVITED)
        return shop.state == FT_SHOP_REVOKED ? FT_ERR_REFUSED : FT_ERR_DUPLICATE;
    FT_TRY(sql_run(s, "DELETE FROM tokens WHERE shop = ?1", "i", shop.id));
    FT_TRY(sql_run(s, "INSERT INTO tokens(hash, shop, expires_ms) VALUES(?1, ?2, ?3)", "hiu", token_hash,
                   shop.id, expires_ms));
    *id = shop.id;
out:
    return st;
}

enum ft_status
ft_store_shop_invite(struct ft_store *s, const char *name, const uint8_t token_hash[32], uint64_t expires_ms,
                     uint64_t now_ms, int64_t *id)
{
    enum ft_status st = sql_begin(s);
    if (st != FT_OK)
        return st;
    return sql_end(s, invite(s, name, token_hash, expires_ms, now_ms, id));
}

enum ft_status
ft_store_token(struct ft_store *s, const uint8_t token_hash[32], struct ft_token *out)
{
    struct sql_rows rows;
    enum ft_status st =
        sql_open(s, &rows, "SELECT shop, expires_ms, used_ms, request_hash FROM tokens WHERE hash = ?1", "h",
                 token_hash);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK) {
        out->shop = sql_int(&rows, 0);
        out->expires_ms = sql_u64(&rows, 1);
        out->used_ms = sql_u64(&rows, 2);
        sql_fixed(&rows, 3, out->request_hash, sizeof out->request_hash);
    }
    sql_close(&rows);
    return st;
}

static enum ft_status
enrol(struct ft_store *s, const uint8_t token_hash[32], const uint8_t request_hash[32],
      const char *fingerprint, const uint8_t identity_key[32], struct ft_bytes certificate, uint64_t now_ms)
{
    enum ft_status st;
    int64_t changed = 0;

    FT_TRY(sql_change(s, &changed,
                      "UPDATE tokens SET used_ms = ?2, request_hash = ?3"
                      " WHERE hash = ?1 AND used_ms = 0 AND expires_ms > ?2",
                      "huh", token_hash, now_ms, request_hash));
    if (changed != 1)
        return FT_ERR_REFUSED;
    FT_TRY(sql_change(s, &changed,
                      "UPDATE shops SET state = 2, fingerprint = ?2, identity_key = ?3, certificate = ?4,"
                      " enrolled_ms = ?5, changed_ms = ?5"
                      " WHERE id = (SELECT shop FROM tokens WHERE hash = ?1) AND state = 1",
                      "hthbu", token_hash, fingerprint, identity_key, certificate, now_ms));
    if (changed != 1)
        return FT_ERR_REFUSED;
out:
    return st;
}

enum ft_status
ft_store_shop_enrol(struct ft_store *s, const uint8_t token_hash[32], const uint8_t request_hash[32],
                    const char *fingerprint, const uint8_t identity_key[32], struct ft_bytes certificate,
                    uint64_t now_ms)
{
    enum ft_status st = sql_begin(s);
    if (st != FT_OK)
        return st;
    return sql_end(s, enrol(s, token_hash, request_hash, fingerprint, identity_key, certificate, now_ms));
}

enum ft_status
ft_store_shops(struct ft_store *s, struct ft_shop **out, size_t *count)
{
    struct sql_rows rows;
    struct ft_shop *list = NULL;
    size_t n = 0;
    enum ft_status st = sql_open(s, &rows, "SELECT " SHOP_COLUMNS " FROM shops ORDER BY id", NULL);

    while (st == FT_OK && (st = sql_next(&rows)) == FT_OK) {
        st = sql_grow((void **)&list, n, sizeof *list);
        if (st == FT_OK)
            shop_of(&rows, &list[n++]);
    }
    sql_close(&rows);
    if (st != FT_ERR_NOTFOUND) {
        ft_free(list);
        list = NULL;
        n = 0;
    } else {
        st = FT_OK;
    }
    *out = list;
    *count = n;
    return st;
}

static enum ft_status
shop_by(struct ft_store *s, const char *sql, const char *key, struct ft_shop *out)
{
    struct sql_rows rows;
    enum ft_status st = sql_open(s, &rows, sql, "t", key);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK)
        shop_of(&rows, out);
    sql_close(&rows);
    return st;
}

enum ft_status
ft_store_shop_by_name(struct ft_store *s, const char *name, struct ft_shop *out)
{
    return shop_by(s, "SELECT " SHOP_COLUMNS " FROM shops WHERE name = ?1", name, out);
}

enum ft_status
ft_store_shop_by_fingerprint(struct ft_store *s, const char *fingerprint, struct ft_shop *out)
{
    return shop_by(s, "SELECT " SHOP_COLUMNS " FROM shops WHERE fingerprint = ?1", fingerprint, out);
}

enum ft_status
ft_store_shop_certificate(struct ft_store *s, int64_t id, struct ft_buf *out)
{
    struct sql_rows rows;
    struct ft_buf bytes = { 0 };
    enum ft_status st = sql_open(
        s, &rows, "SELECT certificate FROM shops WHERE id = ?1 AND certificate IS NOT NULL", "i", id);

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
ft_store_shop_set_state(struct ft_store *s, int64_t id, enum ft_shop_state state, uint64_t now_ms)
{
    enum ft_status st;
    int64_t changed = 0;
    /* To the target state, the states it may be reached from. */
    const char *sql =
        state == FT_SHOP_REVOKED ? "UPDATE shops SET state = ?2, changed_ms = ?3 WHERE id = ?1 AND state <> 4"
        : state == FT_SHOP_SUSPENDED
            ? "UPDATE shops SET state = ?2, changed_ms = ?3 WHERE id = ?1 AND state = 2"
            : "UPDATE shops SET state = ?2, changed_ms = ?3 WHERE id = ?1 AND state = 3 AND ?2 = 2";
    struct sql_rows rows;

    st = sql_change(s, &changed, sql, "iiu", id, (int64_t)state, now_ms);
    if (st != FT_OK || changed == 1)
        return st;
    st = sql_open(s, &rows, "SELECT 1 FROM shops WHERE id = ?1", "i", id);
    if (st == FT_OK)
        st = sql_next(&rows);
    sql_close(&rows);
    return st == FT_OK ? FT_ERR_REFUSED : st;
}
