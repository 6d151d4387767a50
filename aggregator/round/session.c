#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"
#include "common/base/plant.h"
#include "common/base/log.h"

#include <string.h>

bool
engine_session_is(const struct engine_session *s, const struct ft_ss_position *position)
{
    return s != NULL && s->row.round == position->round && s->row.attempt == position->attempt &&
           memcmp(s->row.task, position->task_hash, 32) == 0;
}

void
engine_session_ref(struct engine_session *s)
{
    s->refs++;
}

void
engine_session_drop_records(struct engine_session *s)
{
    for (size_t i = 0; i < s->record_count; i++)
        ft_buf_clear(&s->records[i].bytes);
    ft_free(s->records);
    s->records = NULL;
    s->record_count = 0;
}

void
engine_session_unref(struct engine_session *s)
{
    if (s == NULL || --s->refs > 0)
        return;
    ft_ss_server_close(s->server);
    engine_session_drop_records(s);
    engine_directory_unref(s->directory);
    ft_free(s);
}

struct engine_session *
engine_session_new(struct ft_engine *e, const struct engine_task *task, struct engine_directory *directory,
                   enum ft_stage stage)
{
    struct engine_session *s = ft_calloc(1, sizeof *s);

    if (s == NULL)
        return NULL;
    s->engine = e;
    s->refs = 1;
    s->directory = engine_directory_ref(directory);
    s->row.stage = stage;
    memcpy(s->row.task, task->row.hash, sizeof s->row.task);
    return s;
}

/* ---- the session's log ---- */

static enum ft_status
keep(struct engine_session *s, enum ft_ss_record kind, struct ft_bytes record)
{
    enum ft_status st;
    struct engine_record *list;
    const size_t n = s->record_count;

    if ((n & (n - 1)) == 0) {
        list = ft_realloc(s->records, (n == 0 ? 1 : 2 * n) * sizeof *list);
        if (list == NULL)
            return FT_ERR_NOMEM;
        s->records = list;
    }
    s->records[n] = (struct engine_record){ .kind = kind };
    st = ft_buf_append(&s->records[n].bytes, record.data, record.size);
    if (st == FT_OK)
        s->record_count++;
    return st;
}

/* All records so far, in one transaction. They stay at hand when that fails. */
static enum ft_status
flush(struct engine_session *s)
{
    const struct ft_round_store *store = &s->engine->config.store;
    struct ft_session_record *list;
    enum ft_status st;

    if (s->record_count == 0)
        return FT_OK;
    list = ft_calloc(s->record_count, sizeof *list);
    if (list == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < s->record_count; i++)
        list[i] = (struct ft_session_record){ .kind = s->records[i].kind,
                                              .bytes = ft_buf_bytes(&s->records[i].bytes) };
    st = store->session_append(store->ctx, list, s->record_count);
    ft_free(list);
    if (st == FT_OK)
        engine_session_drop_records(s);
    return st;
}

/* What ft_ss_server writes down. Buffered until it asks for sync: one transaction a phase. */
static enum ft_status
store_record(void *ctx, enum ft_ss_record kind, struct ft_bytes record, bool sync)
{
    struct engine_session *s = ctx;
    const struct ft_round_store *store = &s->engine->config.store;
    const size_t before = s->record_count;
    enum ft_status st;

    if (kind == FT_SS_RECORD_DONE || kind == FT_SS_RECORD_FAILED)
        return FT_OK; /* the round's own row says it, in the transaction that drops these records */
    if (kind == FT_SS_RECORD_OPENED) { /* the session's own row holds it: one transaction instead of two */
        st = FT_PLANT(RECORD_NOT_STORED) ? FT_OK : store->session_begin(store->ctx, &s->row, record);
        s->begun = st == FT_OK;
        goto out;
    }
    st = keep(s, kind, record);
    if (st == FT_OK && sync && !FT_PLANT(SYNC_SKIPPED)) {
        st = flush(s);
        if (st != FT_OK && s->record_count > before) { /* the server will hand it in again */
            ft_buf_clear(&s->records[--s->record_count].bytes);
        }
    }
out:
    s->store_status = st;
    if (st != FT_OK)
        ft_log(FT_LOG_ERROR, "round.store_failed", "round=%llu status=%s", (unsigned long long)s->row.round,
               ft_status_name(st));
    return st;
}

/* ---- opening ---- */

void
engine_session_config(struct ft_engine *e, struct engine_session *s, const struct engine_task *task,
                      struct ft_ss_server_config *out)
{
    *out = (struct ft_ss_server_config){
        .env = e->config.env,
        .directory = &s->directory->directory,
        .signing_sk = e->config.signing_sk,
        .graph_allowed = false,
        .graph_min = FT_SS_GRAPH_MIN_DEFAULT,
        .threads = e->config.threads,
        .slots = e->config.slots,
        .pool = &e->pool,
        .join_ms = task->task.join_ms,
        .step_ms = task->task.step_ms,
        .store = store_record,
        .store_ctx = s,
    };
}

static void
describe(struct ft_engine *e, const struct engine_session *s, const struct engine_task *task,
         struct ft_ss_descriptor *d)
{
    ft_round_plan_describe(&s->plan, &task->task, task->row.hash, d);
    d->round = s->row.round;
    d->attempt = s->row.attempt;
    d->epoch = s->directory->directory.epoch;
    memcpy(d->directory_root, s->directory->root, sizeof d->directory_root);
    memcpy(d->model_hash, task->row.progress.model_hash, sizeof d->model_hash);
    memcpy(d->lineage_hash, task->row.progress.lineage_hash, sizeof d->lineage_hash);
    d->deadline_ms = engine_wall(e) + task->task.session_ms;
}

static enum ft_status
keep_model(struct ft_engine *e, const uint8_t hash[32])
{
    struct ft_blob *blob = NULL;
    enum ft_status st;

    if (e->model != NULL && memcmp(e->model->hash, hash, 32) == 0)
        return FT_OK;
    st = engine_blob_read(e, hash, &blob);
    if (st == FT_OK) {
        engine_blob_unref(e->model);
        e->model = blob;
    }
    return st;
}

enum ft_status
engine_session_open(struct ft_engine *e, struct engine_task *task)
{
    static const uint8_t none[32];
    enum ft_status st;
    struct ft_error err = { 0 };
    struct ft_ss_server_config config;
    struct ft_ss_descriptor descriptor;
    struct engine_session *s = NULL;
    const struct ft_task_progress *p = &task->row.progress;

    if (memcmp(p->model_hash, none, 32) == 0)
        FT_TRY(engine_first_model(e, task));
    FT_TRY(keep_model(e, p->model_hash));
    s = engine_session_new(e, task, e->directory, (enum ft_stage)p->stage);
    if (s == NULL)
        return FT_ERR_NOMEM;
    s->row.round = p->round_open ? p->last_round : p->last_round + 1;
    s->row.attempt = p->round_open ? p->last_attempt + 1 : 1;
    s->row.started_ms = engine_wall(e);
    FT_TRY(ft_round_plan_init(&s->plan, &task->task, s->row.stage, &err));
    FT_TRY(engine_session_clip(e, task, s, &err));
    describe(e, s, task, &descriptor);
    engine_session_config(e, s, task, &config);
    FT_TRY(ft_ss_server_open(&config, &descriptor, &s->server, &err));
    task->row.progress.last_round = s->row.round;
    task->row.progress.last_attempt = s->row.attempt;
    task->row.progress.round_open = true;
    for (size_t i = 0; i < e->shop_count; i++)
        e->shops[i].announced = engine_shop_ready(e, task, &e->shops[i]);
    e->session = s;
    e->opened_any = true;
    e->version++;
    ft_log(FT_LOG_INFO, "round.opened", "task=%s round=%llu attempt=%u stage=%u", task->row.name,
           (unsigned long long)s->row.round, s->row.attempt, s->row.stage);
    return FT_OK;
out:
    ft_log(FT_LOG_ERROR, "round.open_failed", "task=%s status=%s reason=%s", task->row.name,
           ft_status_name(st), engine_words(&err));
    /* Stored but never announced: recovery ends it. */
    e->recover_wanted = s != NULL && s->begun;
    engine_session_unref(s);
    e->not_before_ms = engine_now(e) + ENGINE_BACKOFF_MAX_MS;
    return st;
}

/* ---- going on ---- */

/* OPEN ends early when everyone who was told has joined or declined. */
static enum ft_status
close_join_if_complete(struct ft_engine *e, struct engine_session *s)
{
    struct ft_ss_server_counts counts;
    uint32_t told = 0, declined = 0;
    enum ft_status st;

    for (size_t i = 0; i < e->shop_count; i++) {
        const struct engine_shop *shop = &e->shops[i];
        if (!shop->announced || !shop->listed)
            continue;
        told++;
        declined += ft_ss_server_client_end(s->server, shop->place, NULL) != FT_SS_END_NONE ||
                    (engine_shop_away(e, shop) && shop->idle);
    }
    ft_ss_server_counts(s->server, &counts);
    if (told == 0 || counts.joined + declined < told)
        return FT_OK;
    st = ft_ss_server_close_join(s->server);
    /* Too few: those who come late may still make a cohort, until the deadline. */
    return st == FT_ERR_LATER ? FT_OK : st;
}

enum ft_status
engine_session_pump(struct ft_engine *e)
{
    enum ft_status st;
    struct engine_session *s = e->session;

    if (s == NULL || s->working)
        return FT_OK;
    for (size_t i = 0; i < e->shop_count; i++)
        if (e->shops[i].listed)
            ft_ss_server_set_away(s->server, e->shops[i].place, engine_shop_away(e, &e->shops[i]));
    FT_TRY(ft_ss_server_tick(s->server));
    if (ft_ss_server_phase(s->server) == FT_SS_OPEN)
        FT_TRY(close_join_if_complete(e, s));
    if (ft_ss_server_phase(s->server) >= FT_SS_COLLECTING && e->previous != NULL) {
        /* Its shops have moved on; the sum's memory is wanted. Latecomers are answered from the store. */
        engine_session_unref(e->previous);
        e->previous = NULL;
    }
    if (ft_ss_server_version(s->server) != s->server_version) {
        s->server_version = ft_ss_server_version(s->server);
        e->version++;
    }
    if (ft_ss_server_phase(s->server) == FT_SS_DONE)
        st = engine_commit(e);
    else if (ft_ss_server_phase(s->server) == FT_SS_FAILED)
        st = engine_session_failed(e, NULL);
out:
    return st;
}

/* ---- unmasking, without the lock ---- */

bool
ft_engine_work_waits(const struct ft_engine *e)
{
    const struct engine_session *s = e->session;

    return s != NULL && !s->working && ft_ss_server_phase(s->server) == FT_SS_UNMASKING;
}

bool
ft_engine_work_take(struct ft_engine *e)
{
    if (!ft_engine_work_waits(e))
        return false;
    e->session->working = true;
    return true;
}

void
ft_engine_work(struct ft_engine *e)
{
    struct engine_session *s = e->session;
    enum ft_status st;

    if (s->worked) /* finish could not write; the sum is there */
        return;
    st = ft_ss_server_unmask(s->server);
    if (st != FT_OK) /* finish turns it into a failed session */
        ft_log(FT_LOG_ERROR, "round.unmask_failed", "round=%llu status=%s", (unsigned long long)s->row.round,
               ft_status_name(st));
    s->worked = true;
}

enum ft_status
ft_engine_work_finish(struct ft_engine *e)
{
    struct engine_session *s = e->session;
    const enum ft_status st = ft_ss_server_finish(s->server);

    s->working = false;
    if (st != FT_OK)
        return st;
    s->worked = false;
    return ft_engine_tick(e);
}
