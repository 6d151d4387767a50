#include "aggregator/round/engine_internal.h"
#include "common/base/log.h"

/* Counts over the shops for one task. */
struct muster {
    uint32_t ready, expected, expected_ready;
};

static struct muster
muster(const struct ft_engine *e, const struct engine_task *task)
{
    struct muster m = { 0 };

    for (size_t i = 0; i < e->shop_count; i++) {
        const bool ready = engine_shop_ready(e, task, &e->shops[i]);
        const bool expected = engine_shop_expected(e, task, &e->shops[i]);
        m.ready += ready;
        m.expected += expected;
        m.expected_ready += ready && expected;
    }
    return m;
}

/*
 * When does a session open? With n_min shops ready, at once if nobody who can be expected is missing, and
 * after join_ms in any case: a shop that is down delays a round by that much once, not for good, because a
 * shop not heard of for presence_ms is no longer expected.
 */
enum ft_status
engine_schedule(struct ft_engine *e)
{
    struct engine_task *task = engine_running_task(e);
    const uint64_t now = engine_now(e);
    struct muster m;

    if (e->session != NULL || task == NULL || e->directory == NULL || e->building_dirty ||
        now < e->not_before_ms) {
        e->gather_since_ms = 0;
        return FT_OK;
    }
    m = muster(e, task);
    if (m.ready < task->task.n_min) {
        e->gather_since_ms = 0;
        return FT_OK;
    }
    if (e->gather_since_ms == 0)
        e->gather_since_ms = now;
    if (m.expected_ready < m.expected && m.ready < task->task.n_cap &&
        now < e->gather_since_ms + task->task.join_ms)
        return FT_OK;
    e->gather_since_ms = 0;
    return engine_session_open(e, task);
}

uint64_t
engine_schedule_due_ms(const struct ft_engine *e)
{
    struct engine_task *task = engine_running_task((struct ft_engine *)(uintptr_t)e);
    const uint64_t now = engine_now(e);
    uint64_t due = UINT64_MAX;

    if (e->session != NULL || task == NULL)
        return due;
    if (now < e->not_before_ms)
        return e->not_before_ms;
    if (e->gather_since_ms != 0)
        due = e->gather_since_ms + task->task.join_ms;
    /* Someone may cease to be expected, or be asked again. */
    for (size_t i = 0; i < e->shop_count; i++) {
        const struct engine_shop *shop = &e->shops[i];
        uint64_t at = UINT64_MAX;
        if (shop->calls == 0 && shop->seen && now - shop->seen_ms < e->config.presence_ms)
            at = shop->seen_ms + (shop->lost ? e->config.lost_ms : e->config.presence_ms);
        if (at <= now)
            at = UINT64_MAX;
        if (shop->refused_until_ms > now && shop->refused_until_ms < at)
            at = shop->refused_until_ms;
        due = at < due ? at : due;
    }
    return due;
}
