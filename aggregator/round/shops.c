#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"

#include <string.h>

/* The roster decides who may be in a cohort; the register decides who is served. Both must agree. */
static void
place_shops(struct ft_engine *e)
{
    const uint64_t wall = engine_wall(e);

    for (size_t i = 0; i < e->shop_count; i++) {
        struct engine_shop *shop = &e->shops[i];
        shop->listed = false;
        if (e->roster == NULL || shop->row.state != FT_SHOP_ACTIVE)
            continue;
        shop->place = ft_ss_roster_find(&e->roster->roster, shop->row.identity_key);
        shop->listed = shop->place < e->roster->roster.count &&
                       ft_ss_roster_active(&e->roster->roster, shop->place, wall);
    }
}

/* A shop never leaves the register, so known ones keep their slot and what is known of them. */
static enum ft_status
grow_tasks(struct ft_engine *e, size_t shop_count)
{
    for (size_t i = 0; i < e->task_count; i++) {
        struct engine_task *t = &e->tasks[i];
        uint8_t *verdicts = ft_calloc(shop_count + 1, sizeof *verdicts);
        uint32_t *reasons = ft_calloc(shop_count + 1, sizeof *reasons);
        uint64_t *asked = ft_calloc(shop_count + 1, sizeof *asked);
        if (verdicts == NULL || reasons == NULL || asked == NULL) {
            ft_free(verdicts);
            ft_free(reasons);
            ft_free(asked);
            return FT_ERR_NOMEM;
        }
        memcpy(verdicts, t->verdicts, e->shop_count * sizeof *verdicts);
        memcpy(reasons, t->reasons, e->shop_count * sizeof *reasons);
        memcpy(asked, t->asked_ms, e->shop_count * sizeof *asked);
        ft_free(t->verdicts);
        ft_free(t->reasons);
        ft_free(t->asked_ms);
        t->verdicts = verdicts;
        t->reasons = reasons;
        t->asked_ms = asked;
    }
    return FT_OK;
}

enum ft_status
engine_load_shops(struct ft_engine *e)
{
    enum ft_status st;
    struct ft_shop *rows = NULL;
    struct engine_shop *shops;
    size_t count = 0;

    FT_TRY(e->config.store.shops(e->config.store.ctx, &rows, &count));
    if (count > e->shop_count) {
        FT_TRY(grow_tasks(e, count));
        shops = ft_realloc(e->shops, count * sizeof *shops);
        if (shops == NULL) {
            st = FT_ERR_NOMEM;
            goto out;
        }
        memset(shops + e->shop_count, 0, (count - e->shop_count) * sizeof *shops);
        e->shops = shops;
        e->shop_count = count;
    }
    for (size_t i = 0; i < count; i++)
        e->shops[i].row = rows[i];
    for (size_t i = 0; i < e->task_count; i++)
        FT_TRY(engine_task_sizes(e, &e->tasks[i]));
    place_shops(e);
    FT_TRY(engine_load_ledgers(e));
out:
    ft_free(rows);
    return st;
}

struct engine_shop *
engine_shop(struct ft_engine *e, int64_t number)
{
    size_t low = 0, high = e->shop_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (e->shops[middle].row.id < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < e->shop_count && e->shops[low].row.id == number ? &e->shops[low] : NULL;
}

size_t
engine_shop_slot(const struct ft_engine *e, const struct engine_shop *shop)
{
    return (size_t)(shop - e->shops);
}

bool
engine_shop_away(const struct ft_engine *e, const struct engine_shop *shop)
{
    return shop->lost && shop->calls == 0 && engine_now(e) - shop->seen_ms >= e->config.lost_ms;
}

bool
engine_shop_present(const struct ft_engine *e, const struct engine_shop *shop)
{
    return shop->calls > 0 || (shop->seen && !engine_shop_away(e, shop) &&
                               engine_now(e) - shop->seen_ms < e->config.presence_ms);
}

static bool
willing(const struct ft_engine *e, const struct engine_task *task, const struct engine_shop *shop)
{
    const bool named = task->sizes == NULL || task->sizes[engine_shop_slot(e, shop)] > 0;

    return named && shop->listed && !shop->barred && engine_now(e) >= shop->refused_until_ms &&
           task->verdicts[engine_shop_slot(e, shop)] != FT_VERDICT_REFUSED;
}

bool
engine_shop_ready(const struct ft_engine *e, const struct engine_task *task, const struct engine_shop *shop)
{
    return willing(e, task, shop) && shop->calls > 0 && shop->idle && e->directory != NULL &&
           engine_key_published(e, shop) && memcmp(shop->root, e->directory->root, 32) == 0 &&
           task->verdicts[engine_shop_slot(e, shop)] == FT_VERDICT_ACCEPTED;
}

bool
engine_shop_expected(const struct ft_engine *e, const struct engine_task *task,
                     const struct engine_shop *shop)
{
    const uint8_t verdict = task->verdicts[engine_shop_slot(e, shop)];

    if (!willing(e, task, shop) || verdict == FT_VERDICT_WAITING || verdict == FT_VERDICT_LATER)
        return false;
    return !e->opened_any || engine_shop_present(e, shop);
}
