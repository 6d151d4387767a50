#include "aggregator/storage/sql_internal.h"
#include "common/base/alloc.h"

#include <string.h>

const char *
ft_task_state_name(enum ft_task_state state)
{
    switch (state) {
    case FT_TASK_PUBLISHED:
        return "published";
    case FT_TASK_RUNNING:
        return "running";
    case FT_TASK_PAUSED:
        return "paused";
    case FT_TASK_STOPPED:
        return "stopped";
    case FT_TASK_DONE:
        return "done";
    }
    return "unknown";
}

#define TASK_COLUMNS                                                                                         \
    "hash, name, state, published_ms, changed_ms, stage, trained, version, last_round, last_attempt,"        \
    " round_open, model_hash, lineage_hash"

static void
task_of(struct sql_rows *rows, struct ft_task_row *out)
{
    memset(out, 0, sizeof *out);
    sql_fixed(rows, 0, out->hash, sizeof out->hash);
    sql_text(rows, 1, out->name, sizeof out->name);
    out->state = (enum ft_task_state)sql_int(rows, 2);
    out->published_ms = sql_u64(rows, 3);
    out->changed_ms = sql_u64(rows, 4);
    out->progress.stage = (uint32_t)sql_int(rows, 5);
    out->progress.trained = (uint32_t)sql_int(rows, 6);
    out->progress.version = sql_u64(rows, 7);
    out->progress.last_round = sql_u64(rows, 8);
    out->progress.last_attempt = (uint32_t)sql_int(rows, 9);
    out->progress.round_open = sql_int(rows, 10) != 0;
    sql_fixed(rows, 11, out->progress.model_hash, 32);
    sql_fixed(rows, 12, out->progress.lineage_hash, 32);
}

enum ft_status
store_progress_put(struct ft_store *s, const uint8_t task[32], const struct ft_task_progress *p)
{
    int64_t changed = 0;
    const enum ft_status st = sql_change(
        s, &changed,
        "UPDATE tasks SET stage = ?2, trained = ?3, version = ?4, last_round = ?5, last_attempt = ?6,"
        " round_open = ?7, model_hash = ?8, lineage_hash = ?9 WHERE hash = ?1",
        "hiiuuiihh", task, (int64_t)p->stage, (int64_t)p->trained, p->version, p->last_round,
        (int64_t)p->last_attempt, (int64_t)p->round_open, p->model_hash, p->lineage_hash);
    return st == FT_OK && changed != 1 ? FT_ERR_NOTFOUND : st;
}

enum ft_status
ft_store_task_put(struct ft_store *s, const uint8_t hash[32], const char *name, const uint8_t signed_hash[32],
                  struct ft_bytes signed_task, uint64_t now_ms)
{
    enum ft_status st = sql_begin(s);

    if (st != FT_OK)
        return st;
    st = ft_store_blob_put(s, signed_hash, "task", signed_task);
    if (st == FT_OK)
        st = sql_run(s,
                     "INSERT INTO tasks(hash, name, signed_hash, state, published_ms, changed_ms)"
                     " VALUES(?1, ?2, ?3, 1, ?4, ?4)",
                     "hthu", hash, name, signed_hash, now_ms);
    return sql_end(s, st);
}

enum ft_status
ft_store_tasks(struct ft_store *s, struct ft_task_row **out, size_t *count)
{
    struct sql_rows rows;
    struct ft_task_row *list = NULL;
    size_t n = 0;
    enum ft_status st = sql_open(s, &rows, "SELECT " TASK_COLUMNS " FROM tasks ORDER BY rowid", NULL);

    while (st == FT_OK && (st = sql_next(&rows)) == FT_OK) {
        st = sql_grow((void **)&list, n, sizeof *list);
        if (st == FT_OK)
            task_of(&rows, &list[n++]);
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

enum ft_status
ft_store_task(struct ft_store *s, const uint8_t hash[32], struct ft_task_row *out)
{
    struct sql_rows rows;
    enum ft_status st = sql_open(s, &rows, "SELECT " TASK_COLUMNS " FROM tasks WHERE hash = ?1", "h", hash);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK)
        task_of(&rows, out);
    sql_close(&rows);
    return st;
}

enum ft_status
ft_store_task_signed(struct ft_store *s, const uint8_t hash[32], uint8_t signed_hash[32],
                     struct ft_buf *signed_task)
{
    struct sql_rows rows;
    enum ft_status st = sql_open(s, &rows, "SELECT signed_hash FROM tasks WHERE hash = ?1", "h", hash);

    *signed_task = (struct ft_buf){ 0 };
    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK)
        sql_fixed(&rows, 0, signed_hash, 32);
    sql_close(&rows);
    return st == FT_OK ? ft_store_blob(s, signed_hash, signed_task) : st;
}

enum ft_status
ft_store_task_set_state(struct ft_store *s, const uint8_t hash[32], enum ft_task_state state, uint64_t now_ms)
{
    /* To the target state, the states it may be reached from: 1 published, 2 running, 3 paused. */
    static const char *const from[] = {
        [FT_TASK_PUBLISHED] = "0",     [FT_TASK_RUNNING] = "1, 3", [FT_TASK_PAUSED] = "2",
        [FT_TASK_STOPPED] = "1, 2, 3", [FT_TASK_DONE] = "2",
    };
    enum ft_status st;
    struct ft_task_row row;
    int64_t changed = 0;
    char *sql;

    if (state < FT_TASK_PUBLISHED || state > FT_TASK_DONE)
        return FT_ERR_ARGUMENT;
    sql = ft_asprintf("UPDATE tasks SET state = ?2, changed_ms = ?3 WHERE hash = ?1 AND state IN (%s)",
                      from[state]);
    if (sql == NULL)
        return FT_ERR_NOMEM;
    st = sql_change(s, &changed, sql, "hiu", hash, (int64_t)state, now_ms);
    ft_free(sql);
    if (st != FT_OK || changed == 1)
        return st;
    st = ft_store_task(s, hash, &row);
    if (st != FT_OK)
        return st;
    return row.state == state ? FT_OK : FT_ERR_REFUSED;
}

enum ft_status
ft_store_verdict_put(struct ft_store *s, const uint8_t task[32], int64_t shop, uint32_t verdict,
                     const char *codes, uint64_t now_ms)
{
    return sql_run(
        s, "INSERT OR REPLACE INTO verdicts(task, shop, verdict, codes, at_ms) VALUES(?1, ?2, ?3, ?4, ?5)",
        "hiitu", task, shop, (int64_t)verdict, codes, now_ms);
}

enum ft_status
ft_store_verdicts(struct ft_store *s, const uint8_t task[32], struct ft_verdict_row **out, size_t *count)
{
    struct sql_rows rows;
    struct ft_verdict_row *list = NULL;
    size_t n = 0;
    enum ft_status st =
        sql_open(s, &rows, "SELECT shop, verdict, codes, at_ms FROM verdicts WHERE task = ?1 ORDER BY shop",
                 "h", task);

    while (st == FT_OK && (st = sql_next(&rows)) == FT_OK) {
        st = sql_grow((void **)&list, n, sizeof *list);
        if (st != FT_OK)
            break;
        list[n].shop = sql_int(&rows, 0);
        list[n].verdict = (uint32_t)sql_int(&rows, 1);
        sql_text(&rows, 2, list[n].codes, sizeof list[n].codes);
        list[n].at_ms = sql_u64(&rows, 3);
        n++;
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
