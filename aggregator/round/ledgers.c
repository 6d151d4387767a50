/*
 * The highest head of each shop's privacy ledger, kept for the shop: one that put an older ledger back is
 * shown what it had already written. The aggregator draws no conclusion of its own; the shop decides
 * (vault/budget.h).
 */
#include "aggregator/round/engine_internal.h"
#include "common/base/log.h"

#include <string.h>

#define FLUSH_MS 200 /* heads that move this close together are one write */

enum ft_status
engine_load_ledgers(struct ft_engine *e)
{
    struct ft_ledger_row *rows = NULL;
    size_t count = 0;
    enum ft_status st;

    FT_TRY(e->config.store.ledger_heads(e->config.store.ctx, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        struct engine_shop *shop = engine_shop(e, rows[i].shop);
        if (shop == NULL || shop->has_ledger_head)
            continue;
        shop->has_ledger_head = true;
        memcpy(shop->ledger_head, rows[i].head, FT_LEDGER_HEAD_SIZE);
    }
out:
    ft_free(rows);
    return st;
}

void
engine_ledger_seen(struct ft_engine *e, struct engine_shop *shop, const struct ft_sync_request *r)
{
    const uint64_t seq = ft_get_u64(r->ledger_head), known = ft_get_u64(shop->ledger_head);

    if (!r->has_ledger_head)
        return;
    if (shop->has_ledger_head && seq <= known) {
        if (memcmp(r->ledger_head, shop->ledger_head, FT_LEDGER_HEAD_SIZE) != 0 && !shop->ledger_told)
            ft_log(FT_LOG_WARN, "shop.ledger_behind", "shop=%s seq=%llu known=%llu", shop->row.name,
                   (unsigned long long)seq, (unsigned long long)known);
        shop->ledger_told |= seq < known;
        return;
    }
    memcpy(shop->ledger_head, r->ledger_head, FT_LEDGER_HEAD_SIZE);
    shop->has_ledger_head = shop->ledger_dirty = true;
    if (e->ledgers_due_ms == 0)
        e->ledgers_due_ms = engine_now(e) + FLUSH_MS;
}

enum ft_status
engine_store_ledgers(struct ft_engine *e)
{
    struct ft_ledger_row *rows = NULL;
    size_t count = 0;
    enum ft_status st = FT_OK;

    if (e->ledgers_due_ms == 0 || engine_now(e) < e->ledgers_due_ms)
        return FT_OK;
    rows = ft_calloc(e->shop_count + 1, sizeof *rows);
    if (rows == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < e->shop_count; i++)
        if (e->shops[i].ledger_dirty) {
            rows[count].shop = e->shops[i].row.id;
            memcpy(rows[count++].head, e->shops[i].ledger_head, FT_LEDGER_HEAD_SIZE);
        }
    FT_TRY(e->config.store.ledger_heads_put(e->config.store.ctx, rows, count));
    for (size_t i = 0; i < e->shop_count; i++)
        e->shops[i].ledger_dirty = false;
    e->ledgers_due_ms = 0;
out:
    ft_free(rows);
    return st;
}
