#include "aggregator/storage/sql_internal.h"

#include <string.h>

static enum ft_status
begin(struct ft_store *s, const struct ft_session_row *row, struct ft_bytes descriptor)
{
    enum ft_status st;
    int64_t changed = 0;

    FT_TRY(sql_run(s,
                   "INSERT INTO session(one, task, round, attempt, stage, started_ms, descriptor)"
                   " VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6)",
                   "huiiub", row->task, row->round, (int64_t)row->attempt, (int64_t)row->stage,
                   row->started_ms, descriptor));
    /* A session's place is above every earlier one's: a restart cannot announce the same one again. */
    FT_TRY(sql_change(s, &changed,
                      "UPDATE tasks SET last_round = ?2, last_attempt = ?3, round_open = 1 WHERE hash = ?1"
                      " AND (last_round < ?2 OR (last_round = ?2 AND last_attempt < ?3))",
                      "hui", row->task, row->round, (int64_t)row->attempt));
    if (changed != 1)
        return FT_ERR_DUPLICATE;
out:
    return st;
}

enum ft_status
ft_store_session_begin(struct ft_store *s, const struct ft_session_row *row, struct ft_bytes descriptor)
{
    enum ft_status st = sql_begin(s);
    if (st != FT_OK)
        return st;
    return sql_end(s, begin(s, row, descriptor));
}

enum ft_status
ft_store_session_append(struct ft_store *s, const struct ft_session_record *records, size_t count)
{
    enum ft_status st = sql_begin(s);

    if (st != FT_OK)
        return st;
    for (size_t i = 0; st == FT_OK && i < count; i++)
        st = sql_run(s, "INSERT INTO session_records(kind, place, bytes) VALUES(?1, ?2, ?3)", "iib",
                     (int64_t)records[i].kind, (int64_t)records[i].index, records[i].bytes);
    return sql_end(s, st);
}

enum ft_status
ft_store_session(struct ft_store *s, struct ft_session_row *out, struct ft_buf *descriptor)
{
    struct sql_rows rows;
    struct ft_buf bytes = { 0 };
    enum ft_status st =
        sql_open(s, &rows, "SELECT task, round, attempt, stage, started_ms, descriptor FROM session", NULL);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK) {
        sql_fixed(&rows, 0, out->task, sizeof out->task);
        out->round = sql_u64(&rows, 1);
        out->attempt = (uint32_t)sql_int(&rows, 2);
        out->stage = (uint32_t)sql_int(&rows, 3);
        out->started_ms = sql_u64(&rows, 4);
        st = ft_buf_append(&bytes, sql_blob(&rows, 5).data, sql_blob(&rows, 5).size);
    }
    sql_close(&rows);
    if (st != FT_OK)
        ft_buf_clear(&bytes);
    *descriptor = bytes;
    return st;
}

enum ft_status
ft_store_session_records(struct ft_store *s,
                         enum ft_status (*visit)(void *ctx, const struct ft_session_record *r), void *ctx)
{
    struct sql_rows rows;
    enum ft_status st =
        sql_open(s, &rows, "SELECT kind, place, bytes FROM session_records ORDER BY seq", NULL);

    while (st == FT_OK && (st = sql_next(&rows)) == FT_OK) {
        const struct ft_session_record r = { .kind = (uint32_t)sql_int(&rows, 0),
                                             .index = (uint32_t)sql_int(&rows, 1),
                                             .bytes = sql_blob(&rows, 2) };
        st = visit(ctx, &r);
    }
    sql_close(&rows);
    return st == FT_ERR_NOTFOUND ? FT_OK : st;
}
