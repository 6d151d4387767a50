#include "aggregator/storage/sql_internal.h"
#include "common/base/alloc.h"

#include <string.h>

const char *
ft_round_state_name(enum ft_round_state state)
{
    switch (state) {
    case FT_ROUND_COMMITTED:
        return "committed";
    case FT_ROUND_FAILED:
        return "failed";
    case FT_ROUND_ABANDONED:
        return "abandoned";
    }
    return "unknown";
}

/* What every ending does: the session's records go (they hold shares, which nobody needs again), the round's
 * row and the task's progress come. The session must be the open one. */
static enum ft_status
end_session(struct ft_store *s, const struct ft_round_row *row, const struct ft_task_progress *progress)
{
    enum ft_status st;
    int64_t changed = 0;

    FT_TRY(sql_change(s, &changed, "DELETE FROM session WHERE task = ?1 AND round = ?2 AND attempt = ?3",
                      "hui", row->task, row->round, (int64_t)row->attempt));
    if (changed != 1)
        return FT_ERR_DUPLICATE;
    FT_TRY(sql_run(s, "DELETE FROM session_records", NULL));
    FT_TRY(sql_run(
        s,
        "INSERT INTO rounds(task, round, attempt, stage, state, cohort, survivors, started_ms, ended_ms,"
        " bytes_in, bytes_out, model_hash, result_hash, transcript, reasons, metrics)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        "huiiiiiuuuuhhhtt", row->task, row->round, (int64_t)row->attempt, (int64_t)row->stage,
        (int64_t)row->state, (int64_t)row->cohort, (int64_t)row->survivors, row->started_ms, row->ended_ms,
        row->bytes_in, row->bytes_out, row->model_hash, row->result_hash, row->transcript,
        row->reasons != NULL ? row->reasons : "{}", row->metrics != NULL ? row->metrics : "{}"));
    FT_TRY(store_progress_put(s, row->task, progress));
out:
    return st;
}

enum ft_status
ft_store_round_end(struct ft_store *s, const struct ft_round_row *row,
                   const struct ft_task_progress *progress)
{
    enum ft_status st;

    if (row->state == FT_ROUND_COMMITTED)
        return FT_ERR_ARGUMENT;
    st = sql_begin(s);
    if (st != FT_OK)
        return st;
    return sql_end(s, end_session(s, row, progress));
}

static enum ft_status
model_put(struct ft_store *s, const uint8_t task[32], const struct ft_model_put *model, uint64_t round,
          uint64_t now_ms)
{
    enum ft_status st;

    FT_TRY(ft_store_blob_put(s, model->hash, "model", model->blob));
    FT_TRY(sql_run(s, "INSERT INTO models(task, version, hash, created_ms, round) VALUES(?1, ?2, ?3, ?4, ?5)",
                   "huhuu", task, model->version, model->hash, now_ms, round));
out:
    return st;
}

static enum ft_status
commit(struct ft_store *s, const struct ft_round_row *row, const struct ft_task_progress *progress,
       const struct ft_model_put *model, struct ft_bytes optimiser, bool task_done)
{
    static const uint8_t none[32];
    enum ft_status st;

    FT_TRY(end_session(s, row, progress));
    if (model != NULL)
        FT_TRY(model_put(s, row->task, model, row->round, row->ended_ms));
    if (optimiser.size > 0)
        FT_TRY(sql_run(s, "INSERT OR REPLACE INTO optimisers(task, state) VALUES(?1, ?2)", "hb", row->task,
                       optimiser));
    FT_TRY(store_log_append(s, row, model != NULL ? model->hash : none));
    /* A task stopped in the meantime stays stopped. */
    if (task_done)
        FT_TRY(sql_run(s, "UPDATE tasks SET state = 5, changed_ms = ?2 WHERE hash = ?1 AND state IN (2, 3)",
                       "hu", row->task, row->ended_ms));
out:
    return st;
}

enum ft_status
ft_store_round_commit(struct ft_store *s, const struct ft_round_row *row,
                      const struct ft_task_progress *progress, const struct ft_model_put *model,
                      struct ft_bytes optimiser, bool task_done)
{
    enum ft_status st;

    if (row->state != FT_ROUND_COMMITTED)
        return FT_ERR_ARGUMENT;
    st = sql_begin(s);
    if (st != FT_OK)
        return st;
    return sql_end(s, commit(s, row, progress, model, optimiser, task_done));
}

enum ft_status
ft_store_model_first(struct ft_store *s, const uint8_t task[32], const uint8_t hash[32], struct ft_bytes blob,
                     const struct ft_task_progress *progress)
{
    enum ft_status st = sql_begin(s);

    if (st != FT_OK)
        return st;
    st = ft_store_blob_put(s, hash, "model", blob);
    if (st == FT_OK)
        st = store_progress_put(s, task, progress);
    return sql_end(s, st);
}

enum ft_status
ft_store_optimiser(struct ft_store *s, const uint8_t task[32], struct ft_buf *out)
{
    struct sql_rows rows;
    struct ft_buf bytes = { 0 };
    enum ft_status st = sql_open(s, &rows, "SELECT state FROM optimisers WHERE task = ?1", "h", task);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK)
        st = ft_buf_append(&bytes, sql_blob(&rows, 0).data, sql_blob(&rows, 0).size);
    sql_close(&rows);
    if (st == FT_ERR_NOTFOUND)
        st = FT_OK;
    if (st != FT_OK)
        ft_buf_clear(&bytes);
    *out = bytes;
    return st;
}

void
ft_round_rows_free(struct ft_round_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ft_free(rows[i].reasons);
        ft_free(rows[i].metrics);
    }
    ft_free(rows);
}

#define ROUND_COLUMNS                                                                                        \
    "task, round, attempt, stage, state, cohort, survivors, started_ms, ended_ms, bytes_in, bytes_out,"      \
    " model_hash, result_hash, transcript"

static void
round_numbers(struct sql_rows *rows, struct ft_round_row *out)
{
    memset(out, 0, sizeof *out);
    sql_fixed(rows, 0, out->task, 32);
    out->round = sql_u64(rows, 1);
    out->attempt = (uint32_t)sql_int(rows, 2);
    out->stage = (uint32_t)sql_int(rows, 3);
    out->state = (enum ft_round_state)sql_int(rows, 4);
    out->cohort = (uint32_t)sql_int(rows, 5);
    out->survivors = (uint32_t)sql_int(rows, 6);
    out->started_ms = sql_u64(rows, 7);
    out->ended_ms = sql_u64(rows, 8);
    out->bytes_in = sql_u64(rows, 9);
    out->bytes_out = sql_u64(rows, 10);
    sql_fixed(rows, 11, out->model_hash, 32);
    sql_fixed(rows, 12, out->result_hash, 32);
    sql_fixed(rows, 13, out->transcript, 32);
}

static enum ft_status
round_of(struct sql_rows *rows, struct ft_round_row *out)
{
    round_numbers(rows, out);
    out->reasons = sql_strdup(rows, 14);
    out->metrics = sql_strdup(rows, 15);
    if (out->reasons != NULL && out->metrics != NULL)
        return FT_OK;
    ft_free(out->reasons);
    ft_free(out->metrics);
    return FT_ERR_NOMEM;
}

enum ft_status
ft_store_rounds(struct ft_store *s, const uint8_t *task, size_t limit, struct ft_round_row **out,
                size_t *count)
{
    struct sql_rows rows;
    struct ft_round_row *list = NULL;
    size_t n = 0;
    enum ft_status st =
        sql_open(s, &rows,
                 "SELECT * FROM (SELECT " ROUND_COLUMNS ", reasons, metrics, rowid AS place FROM rounds"
                 " WHERE ?1 = 0 OR task = ?2 ORDER BY place DESC LIMIT ?3) ORDER BY place",
                 "ibi", (int64_t)(task != NULL), FT_BYTES(task, task != NULL ? 32 : 0), (int64_t)limit);

    while (st == FT_OK && (st = sql_next(&rows)) == FT_OK) {
        st = sql_grow((void **)&list, n, sizeof *list);
        if (st == FT_OK)
            st = round_of(&rows, &list[n]);
        if (st == FT_OK)
            n++;
    }
    sql_close(&rows);
    if (st != FT_ERR_NOTFOUND) {
        ft_round_rows_free(list, n);
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
ft_store_round_find(struct ft_store *s, const uint8_t task[32], uint64_t round, uint32_t attempt,
                    struct ft_round_row *out)
{
    struct sql_rows rows;
    enum ft_status st = sql_open(
        s, &rows, "SELECT " ROUND_COLUMNS " FROM rounds WHERE task = ?1 AND round = ?2 AND attempt = ?3",
        "hui", task, round, (int64_t)attempt);

    if (st == FT_OK)
        st = sql_next(&rows);
    if (st == FT_OK)
        round_numbers(&rows, out);
    sql_close(&rows);
    return st;
}

enum ft_status
ft_store_models(struct ft_store *s, const uint8_t *task, struct ft_model_row **out, size_t *count)
{
    struct sql_rows rows;
    struct ft_model_row *list = NULL;
    size_t n = 0;
    enum ft_status st = sql_open(
        s, &rows,
        "SELECT m.task, m.version, m.hash, m.created_ms, m.round, length(b.bytes)"
        " FROM models m JOIN blobs b ON b.hash = m.hash WHERE ?1 = 0 OR m.task = ?2 ORDER BY m.rowid",
        "ib", (int64_t)(task != NULL), FT_BYTES(task, task != NULL ? 32 : 0));

    while (st == FT_OK && (st = sql_next(&rows)) == FT_OK) {
        st = sql_grow((void **)&list, n, sizeof *list);
        if (st != FT_OK)
            break;
        sql_fixed(&rows, 0, list[n].task, 32);
        list[n].version = sql_u64(&rows, 1);
        sql_fixed(&rows, 2, list[n].hash, 32);
        list[n].created_ms = sql_u64(&rows, 3);
        list[n].round = sql_u64(&rows, 4);
        list[n].size = sql_u64(&rows, 5);
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
