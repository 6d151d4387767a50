/*
 * A whole session under a hostile wire: the bytes are a script of exchanges, damage, junk, time, kills.
 * Whatever it is, nothing crashes or leaks, a sum that comes out is the plain sum, and no shop reveals below
 * the minimum.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "world.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SHOPS 5u

struct script {
    struct ft_cursor at;
    uint8_t damage_shop, damage_at, damage_by; /* for the next message each way */
    bool damage_down, damage_up;
};

static enum verdict
damage(struct script *s, struct shop *shop, struct ft_buf *message, bool *armed)
{
    if (!*armed || shop->id != s->damage_shop || message->size == 0)
        return PASS;
    *armed = false;
    if (s->damage_by == 0)
        return DROP;
    message->data[(size_t)s->damage_at * message->size / 256] ^= s->damage_by;
    return PASS;
}

static enum verdict
down(struct world *w, struct shop *shop, struct ft_buf *message)
{
    struct script *s = w->user;
    return damage(s, shop, message, &s->damage_down);
}

static enum verdict
up(struct world *w, struct shop *shop, struct ft_buf *message)
{
    struct script *s = w->user;
    return damage(s, shop, message, &s->damage_up);
}

static void
step(struct world *w, struct script *s)
{
    const uint8_t op = ft_read_u8(&s->at);
    struct shop *shop = &w->shops[ft_read_u8(&s->at) % SHOPS];
    struct ft_bytes junk;
    enum ft_ss_action action;

    switch (op % 8) {
    case 0:
        world_pump(w);
        break;
    case 1:
        s->damage_shop = (uint8_t)shop->id;
        s->damage_at = ft_read_u8(&s->at);
        s->damage_by = ft_read_u8(&s->at);
        s->damage_down = true;
        break;
    case 2:
        s->damage_shop = (uint8_t)shop->id;
        s->damage_at = ft_read_u8(&s->at);
        s->damage_by = ft_read_u8(&s->at);
        s->damage_up = true;
        break;
    case 3:
        junk = ft_read_bytes(&s->at, ft_read_u8(&s->at));
        if (!shop->crashed)
            w->last = ft_ss_client_handle(shop->client, junk, &shop->answer, &action);
        break;
    case 4:
        junk = ft_read_bytes(&s->at, ft_read_u8(&s->at));
        w->last = ft_ss_server_handle(w->server, shop->id, junk);
        break;
    case 5:
        world_advance(w, ft_read_u16(&s->at));
        w->last = ft_ss_server_tick(w->server);
        break;
    case 6:
        if (ft_ss_server_phase(w->server) < FT_SS_DONE)
            world_restart_server(w, SIZE_MAX);
        break;
    case 7:
        shop->silent_at = (enum ft_ss_step)(ft_read_u8(&s->at) % 7);
        shop->half_upload = true;
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t live = ft_alloc_live();
    struct world_options o = world_options(3, SHOPS, 1, 1);
    struct script s = { .at = ft_cursor_of(FT_BYTES(data, size)) };
    struct ft_ss_server_counts counts;
    struct world w;

    o.dim = 6;
    world_open(&w, &o);
    w.user = &s;
    w.down = down;
    w.up = up;
    for (int i = 0; i < 60 && s.at.left > 0 && !s.at.failed; i++)
        step(&w, &s);
    world_run(&w);
    ft_ss_server_counts(w.server, &counts);
    if (world_done(&w)) {
        assert(counts.survivors >= o.n_min);
        world_check_sum(&w, counts.survivors);
    }
    for (uint32_t i = 0; i < SHOPS; i++)
        for (size_t r = 0; r < w.shops[i].journal_count; r++)
            assert(w.shops[i].journal[r].step < FT_SS_STEP_UNMASK || counts.survivors >= o.n_min);
    world_close(&w);
    assert(ft_alloc_live() == live);
    return 0;
}
