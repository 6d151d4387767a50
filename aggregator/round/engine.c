#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"
#include "common/base/log.h"

#include <string.h>

uint64_t
engine_now(const struct ft_engine *e)
{
    return e->config.env->now_ms(e->config.env->ctx);
}

uint64_t
engine_wall(const struct ft_engine *e)
{
    return e->config.env->wall_ms(e->config.env->ctx);
}

const char *
engine_words(struct ft_error *err)
{
    for (char *c = err->text; *c != '\0'; c++)
        if (*c == ' ' || *c == '=')
            *c = '_';
    return err->text;
}

enum ft_status
ft_engine_open(const struct ft_engine_config *config, struct ft_engine **out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_engine *e = ft_calloc(1, sizeof *e);

    *out = NULL;
    if (e == NULL)
        return FT_ERR_NOMEM;
    e->config = *config;
    if (e->config.epoch_ms == 0)
        e->config.epoch_ms = 86400000;
    if (e->config.presence_ms == 0)
        e->config.presence_ms = 5000;
    if (e->config.lost_ms == 0)
        e->config.lost_ms = 1500;
    if (e->config.min_group == 0)
        e->config.min_group = FT_MIN_GROUP;
    FT_TRY(e->config.store.epoch(e->config.store.ctx, &e->epoch, &e->epoch_started_ms));
    FT_TRY(engine_load_directory(e, err));
    FT_TRY(engine_load_shops(e));
    FT_TRY(engine_load_tasks(e));
    FT_TRY(engine_recover(e));
    *out = e;
    e = NULL;
out:
    if (st != FT_OK)
        ft_fail(err, st, "cannot start the round engine: %s", ft_status_str(st));
    ft_engine_close(e);
    return st;
}

void
ft_engine_close(struct ft_engine *e)
{
    if (e == NULL)
        return;
    engine_session_unref(e->session);
    engine_session_unref(e->previous);
    ft_big_pool_clear(&e->pool);
    for (size_t i = 0; i < e->task_count; i++)
        engine_task_clear(&e->tasks[i]);
    ft_free(e->tasks);
    if (e->building_open)
        ft_ss_directory_clear(&e->building);
    engine_directory_unref(e->directory);
    engine_roster_unref(e->roster);
    engine_blob_unref(e->model);
    ft_big_free(e->coordinates, e->coordinates_room * sizeof *e->coordinates);
    ft_big_free(e->reals, e->reals_room * sizeof *e->reals);
    ft_free(e->shops);
    ft_free(e);
}

/* A task that was stopped takes its session with it. */
static enum ft_status
cancel_if_stopped(struct ft_engine *e)
{
    enum ft_status st;
    struct ft_task_row row;

    if (e->session == NULL)
        return FT_OK;
    st = engine_task_row(e, e->session->row.task, &row);
    if (st != FT_OK || row.state != FT_TASK_STOPPED)
        return st;
    if (ft_ss_server_phase(e->session->server) == FT_SS_DONE)
        return engine_commit(e); /* it was over already */
    st = ft_ss_server_cancel(e->session->server);
    return st == FT_OK ? engine_session_failed(e, "TASK_STOPPED") : st;
}

enum ft_status
ft_engine_reload(struct ft_engine *e)
{
    enum ft_status st;

    FT_TRY(engine_load_directory(e, NULL));
    FT_TRY(engine_load_shops(e));
    e->version++;
    if (e->session != NULL && e->session->working) {
        e->reload_wanted = true; /* its server is being worked on: tasks wait until that is done */
        return FT_OK;
    }
    e->reload_wanted = false;
    FT_TRY(cancel_if_stopped(e));
    FT_TRY(engine_load_tasks(e));
out:
    return st;
}

enum ft_status
ft_engine_tick(struct ft_engine *e)
{
    enum ft_status st;

    FT_TRY(engine_session_pump(e));
    FT_TRY(engine_store_ledgers(e));
    if (e->reload_wanted && (e->session == NULL || !e->session->working))
        FT_TRY(ft_engine_reload(e));
    if (e->recover_wanted && e->session == NULL) {
        FT_TRY(engine_recover(e));
        e->recover_wanted = false;
    }
    FT_TRY(engine_publish_if_due(e));
    FT_TRY(engine_schedule(e));
out:
    return st;
}

/* When the next broken connection has had its time. */
static uint64_t
away_due_ms(const struct ft_engine *e)
{
    uint64_t due = UINT64_MAX;

    for (size_t i = 0; i < e->shop_count; i++) {
        const struct engine_shop *shop = &e->shops[i];
        const uint64_t at = shop->seen_ms + e->config.lost_ms;
        if (shop->lost && shop->calls == 0 && !engine_shop_away(e, shop) && at < due)
            due = at;
    }
    return due;
}

static uint64_t
session_due_ms(const struct ft_engine *e)
{
    const struct engine_session *s = e->session;
    uint64_t due = UINT64_MAX, at;

    if (s != NULL && s->working)
        return due;
    if (s != NULL) {
        const enum ft_ss_phase phase = ft_ss_server_phase(s->server);
        /* DONE and FAILED are left at once, unless the store could not write: again soon. */
        if (phase == FT_SS_DONE || phase == FT_SS_FAILED)
            return engine_now(e) + 500;
        at = away_due_ms(e);
        due = ft_ss_server_next_deadline(s->server);
        return at < due ? at : due;
    }
    at = engine_publish_due_ms(e);
    due = at < due ? at : due;
    at = engine_schedule_due_ms(e);
    return at < due ? at : due;
}

uint64_t
ft_engine_next_deadline(const struct ft_engine *e)
{
    const uint64_t due = session_due_ms(e);
    return e->ledgers_due_ms != 0 && e->ledgers_due_ms < due ? e->ledgers_due_ms : due;
}

uint64_t
ft_engine_version(const struct ft_engine *e)
{
    return e->version;
}

void
ft_engine_status(const struct ft_engine *e, struct ft_engine_status *out)
{
    struct ft_engine *mutable = (struct ft_engine *)(uintptr_t)e;
    const struct engine_task *task =
        e->session != NULL ? engine_task(mutable, e->session->row.task) : engine_running_task(mutable);
    struct ft_ss_server_counts counts;

    memset(out, 0, sizeof *out);
    out->phase = "idle";
    out->epoch = e->epoch;
    out->roster_serial = e->roster != NULL ? e->roster->roster.serial : 0;
    out->shops = (uint32_t)e->shop_count;
    if (task != NULL)
        memcpy(out->task, task->row.hash, sizeof out->task);
    for (size_t i = 0; i < e->shop_count; i++) {
        out->present += engine_shop_present(e, &e->shops[i]);
        out->ready += task != NULL && engine_shop_ready(e, task, &e->shops[i]);
    }
    if (e->session == NULL)
        return;
    out->session = true;
    out->round = e->session->row.round;
    out->attempt = e->session->row.attempt;
    out->stage = e->session->row.stage;
    out->phase = ft_ss_phase_name(ft_ss_server_phase(e->session->server));
    ft_ss_server_counts(e->session->server, &counts);
    out->joined = counts.joined;
    out->uploaded = counts.uploaded;
}
