#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"
#include "common/base/log.h"

#include <string.h>

/* While the records are read. */
struct reader {
    struct engine_session *session; /* NULL: only look */
    bool sharers;                   /* S was fixed: somebody may have uploaded */
};

static enum ft_status
read_record(void *ctx, const struct ft_session_record *record)
{
    struct reader *r = ctx;
    struct ft_error err = { 0 };
    enum ft_status st;

    r->sharers |= record->kind == FT_SS_RECORD_SHARERS;
    if (r->session == NULL)
        return FT_OK;
    st =
        ft_ss_server_restore_record(r->session->server, (enum ft_ss_record)record->kind, record->bytes, &err);
    if (st != FT_OK)
        ft_log(FT_LOG_ERROR, "round.record_refused", "kind=%u status=%s reason=%s", record->kind,
               ft_status_name(st), engine_words(&err));
    return st;
}

/* A session that cannot go on: its task was stopped, its directory is gone, or its records are no run's. */
static enum ft_status
give_up(struct ft_engine *e, const struct ft_session_row *row, const struct ft_task_row *task, bool sharers)
{
    enum ft_status st;
    struct engine_task *loaded = engine_task(e, row->task);
    struct ft_task_progress progress = task->progress;
    struct ft_round_row end = {
        .round = row->round,
        .attempt = row->attempt,
        .stage = row->stage,
        .state = sharers ? FT_ROUND_ABANDONED : FT_ROUND_FAILED,
        .started_ms = row->started_ms,
        .ended_ms = engine_wall(e),
        .reasons = "{\"session\":\"FAILED_RESTART\",\"shops\":{}}",
        .metrics = "{}",
    };

    memcpy(end.task, row->task, sizeof end.task);
    memcpy(end.model_hash, task->progress.model_hash, sizeof end.model_hash);
    progress.round_open = !sharers;
    FT_TRY(e->config.store.round_end(e->config.store.ctx, &end, &progress));
    if (loaded != NULL)
        loaded->row.progress = progress;
    ft_log(FT_LOG_WARN, "round.given_up", "round=%llu attempt=%u", (unsigned long long)row->round,
           row->attempt);
out:
    return st;
}

static enum ft_status
restore(struct ft_engine *e, const struct engine_task *task, const struct ft_session_row *row,
        const struct ft_buf *opened, struct reader *reader)
{
    enum ft_status st;
    struct ft_error err = { 0 };
    struct ft_ss_server_config config;
    struct engine_session *s = engine_session_new(e, task, e->directory, (enum ft_stage)row->stage);

    if (s == NULL)
        return FT_ERR_NOMEM;
    s->row = *row;
    s->begun = true;
    FT_TRY(ft_round_plan_init(&s->plan, &task->task, (enum ft_stage)row->stage, &err));
    FT_TRY(engine_session_clip(e, task, s, &err));
    engine_session_config(e, s, task, &config);
    FT_TRY(ft_ss_server_restore_begin(&config, &s->server, &err));
    reader->session = s;
    FT_TRY(ft_ss_server_restore_record(s->server, FT_SS_RECORD_OPENED, ft_buf_bytes(opened), &err));
    FT_TRY(e->config.store.session_records(e->config.store.ctx, read_record, reader));
    FT_TRY(ft_ss_server_restore_end(s->server, &err));
    e->session = s;
    ft_log(FT_LOG_INFO, "round.resumed", "task=%s round=%llu attempt=%u phase=%s", task->row.name,
           (unsigned long long)row->round, row->attempt, ft_ss_phase_name(ft_ss_server_phase(s->server)));
    return FT_OK;
out:
    ft_log(FT_LOG_WARN, "round.not_resumed", "round=%llu status=%s reason=%s", (unsigned long long)row->round,
           ft_status_name(st), engine_words(&err));
    reader->session = NULL;
    engine_session_unref(s);
    return st;
}

/* The session the store holds, if any: taken up again, or ended. */
enum ft_status
engine_recover(struct ft_engine *e)
{
    enum ft_status st;
    struct ft_session_row row;
    struct ft_task_row stored;
    struct ft_buf descriptor = { 0 };
    struct reader reader = { 0 };
    struct engine_task *task;

    st = e->config.store.session(e->config.store.ctx, &row, &descriptor);
    if (st == FT_ERR_NOTFOUND)
        return FT_OK;
    FT_TRY(st);
    FT_TRY(engine_task_row(e, row.task, &stored));
    task = engine_task(e, row.task);
    if (task != NULL && e->directory != NULL) {
        struct ft_blob *blob = NULL;
        FT_TRY(engine_blob_read(e, stored.progress.model_hash, &blob));
        engine_blob_unref(e->model);
        e->model = blob;
        st = restore(e, task, &row, &descriptor, &reader);
        if (st == FT_OK) {
            /* Who had been told is not written down: wait for all who could have been, up to the deadline. */
            for (size_t i = 0; i < e->shop_count; i++)
                e->shops[i].announced = e->shops[i].listed && task->verdicts[i] == FT_VERDICT_ACCEPTED;
            goto out;
        }
        if (st == FT_ERR_NOMEM || st == FT_ERR_IO || st == FT_ERR_LATER)
            goto out;
    }
    reader = (struct reader){ 0 };
    FT_TRY(e->config.store.session_records(e->config.store.ctx, read_record, &reader));
    FT_TRY(give_up(e, &row, &stored, reader.sharers));
out:
    ft_buf_clear(&descriptor);
    return st;
}
