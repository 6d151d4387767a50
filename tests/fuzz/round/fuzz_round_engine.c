/*
 * Bytes become events for the round engine among four real shops: time passes, shops die and come back, the
 * aggregator restarts, tasks are paused and resumed, and shop 3 sends whatever the input holds in its own
 * name. Whatever happens, each round number is committed at most once, the log is whole, and nothing crashes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#include "common/base/alloc.h"
#include "aggregator/round/wire_federation.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SHOPS 4

static void
raw_sync(struct rig *r, struct ft_bytes bytes)
{
    struct ft_engine_call *call = NULL;
    struct ft_buf reply = { 0 };
    bool ready = false;

    if (ft_engine_sync_begin(r->engine, r->shops[SHOPS - 1].number, bytes, &call) != FT_OK)
        return;
    if (ft_engine_sync_poll(r->engine, call, true, &reply, &ready) == FT_OK)
        assert(ready);
    ft_buf_clear(&reply);
    ft_engine_sync_end(r->engine, call);
}

static void
raw_upload(struct rig *r, struct ft_bytes bytes)
{
    struct ft_engine_upload *upload = NULL;
    struct ft_upload_reply reply = { 0 };
    bool busy = false;

    if (ft_engine_upload_begin(r->engine, r->shops[SHOPS - 1].number, bytes, &upload, &reply, &busy) !=
            FT_OK ||
        upload == NULL)
        return;
    if (ft_engine_upload_chunk(upload, reply.offset, bytes) == FT_OK)
        ft_engine_upload_end(r->engine, upload, bytes, &reply);
    ft_engine_upload_close(r->engine, upload);
}

static void
event(struct rig *r, uint8_t hash[32], struct ft_cursor *in)
{
    const uint8_t what = ft_read_u8(in), detail = ft_read_u8(in);
    const uint32_t shop = detail % SHOPS;

    switch (what % 8) {
    case 0:
    case 1:
        rig_run(r, rig_never, NULL, (uint64_t)detail * 20);
        break;
    case 2:
        if (r->shops[shop].participant != NULL)
            rig_shop_down(r, shop);
        else
            rig_shop_up(r, shop);
        break;
    case 3:
        rig_engine_down(r);
        rig_engine_up(r);
        break;
    case 4:
        if (ft_store_task_set_state(r->db, hash, detail % 2 == 0 ? FT_TASK_PAUSED : FT_TASK_RUNNING,
                                    r->env.wall) == FT_OK)
            rig_reload(r);
        break;
    case 5:
        raw_sync(r, ft_read_bytes(in, detail < in->left ? detail : in->left));
        break;
    case 6:
        raw_upload(r, ft_read_bytes(in, detail < in->left ? detail : in->left));
        break;
    default:
        r->store.fail_at = r->store.writes + 1 + detail % 4;
    }
}

static void
check(struct rig *r)
{
    size_t count = 0;
    uint64_t last = 0;
    struct ft_round_row *rows = rig_rounds(r, &count);

    for (size_t i = 0; i < count; i++) {
        if (rows[i].state != FT_ROUND_COMMITTED)
            continue;
        assert(rows[i].round > last);
        assert(rows[i].survivors >= r->task.n_min && rows[i].survivors <= rows[i].cohort);
        last = rows[i].round;
    }
    assert(ft_store_log_check(r->db, NULL) == FT_OK);
    ft_round_rows_free(rows, count);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ft_cursor in = ft_cursor_of(FT_BYTES(data, size));
    struct rig *r = calloc(1, sizeof *r);
    uint8_t hash[32];

    assert(r != NULL);
    rig_open(r, SHOPS);
    rig_publish(r, "first", true, hash);
    for (int events = 0; in.left > 0 && events < 40; events++)
        event(r, hash, &in);
    check(r);
    rig_close(r);
    free(r);
    return 0;
}
