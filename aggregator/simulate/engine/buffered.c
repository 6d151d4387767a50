/*
 * FedBuff's clock: `concurrency` clients train at any time; who is done is replaced at once by another, drawn at random,
 * who starts from the newest model. A turn lasts its rows and epochs times a factor drawn for it (log-normal, deviation
 * 0.5; stragglers ten times as long). A server step is made of the next `buffer` updates to come; one that is lost is not
 * counted, and who follows the update that fills the buffer starts from the model after the step.
 *
 * Models are kept while somebody trains on them: at most as many as there are clients under way, and one more.
 */
#include "aggregator/simulate/engine/engine_internal.h"
#include "common/base/alloc.h"

#include <math.h>
#include <string.h>

struct version {
    uint64_t number;
    uint32_t users; /* in the air, or in this step */
    float *params;
};

struct turn {
    uint32_t client;
    uint64_t version, number;
    double done; /* time */
};

struct sim_flight {
    uint32_t count; /* turns in the air */
    struct turn *turns;
    struct version *versions; /* (count + buffer + 1) */
    uint32_t version_count, version_room;
    uint64_t version, started;
    uint64_t *landed; /* (buffer) versions of this step's places */
    uint32_t last;    /* the turn that filled the buffer: its place is free until the step is done */
};

static struct version *
find_version(const struct sim_flight *f, uint64_t number)
{
    for (uint32_t i = 0; i < f->version_count; i++)
        if (f->versions[i].number == number)
            return &f->versions[i];
    return NULL;
}

static enum ft_status
keep_version(struct ft_sim_engine *g)
{
    struct sim_flight *f = g->flight;
    const size_t size = g->server.parameters * sizeof(float);
    float *params = ft_calloc(1, size);
    if (params == NULL)
        return FT_ERR_NOMEM;
    memcpy(params, g->server.params, size);
    f->versions[f->version_count++] = (struct version){ f->version, 0, params };
    return FT_OK;
}

/* Models nobody trains on any more, but for the newest. */
static void
drop_versions(struct sim_flight *f)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->version_count; i++) {
        if (f->versions[i].users == 0 && f->versions[i].number != f->version)
            ft_free(f->versions[i].params);
        else
            f->versions[kept++] = f->versions[i];
    }
    f->version_count = kept;
}

static struct turn
take_off(struct ft_sim_engine *g, double at)
{
    struct sim_flight *f = g->flight;
    struct sim_draw draw;
    struct turn t = { .version = f->version, .number = f->started++ };
    double length;
    sim_draw_init(&draw, g->in.e->seed, UINT64_C(0x666c6967687400) + t.number); /* "flight" */
    t.client = (uint32_t)sim_draw_below(&draw, g->in.clients->count);
    length = (double)(g->in.clients->offsets[t.client + 1] - g->in.clients->offsets[t.client] + 1) *
             g->in.e->training.local_epochs * ft_real_exp(0.5 * sim_draw_normal(&draw));
    if (sim_draw_uniform(&draw) < g->in.e->clients.stragglers)
        length *= 10;
    t.done = at + length;
    find_version(f, t.version)->users++;
    return t;
}

enum ft_status
sim_buffered_open(struct ft_sim_engine *g, struct ft_error *err)
{
    struct sim_flight *f = ft_calloc(1, sizeof *f);
    enum ft_status st = FT_ERR_NOMEM;
    (void)err;
    g->flight = f;
    if (f == NULL)
        return st;
    f->count = g->in.e->algorithm.concurrency;
    f->version_room = f->count + g->most + 2;
    f->turns = ft_calloc(f->count, sizeof *f->turns);
    f->versions = ft_calloc(f->version_room, sizeof *f->versions);
    f->landed = ft_calloc(g->most, sizeof *f->landed);
    if (f->turns == NULL || f->versions == NULL || f->landed == NULL)
        return st;
    FT_TRY(keep_version(g));
    for (uint32_t i = 0; i < f->count; i++)
        f->turns[i] = take_off(g, 0);
out:
    return st;
}

void
sim_buffered_close(struct ft_sim_engine *g)
{
    struct sim_flight *f = g->flight;
    if (f == NULL)
        return;
    for (uint32_t i = 0; f->versions != NULL && i < f->version_count; i++)
        ft_free(f->versions[i].params);
    ft_free(f->versions);
    ft_free(f->turns);
    ft_free(f->landed);
    ft_free(f);
    g->flight = NULL;
}

/* The turn that ends first. */
static uint32_t
first_done(const struct sim_flight *f)
{
    uint32_t first = 0;
    for (uint32_t k = 1; k < f->count; k++)
        if (f->turns[k].done < f->turns[first].done ||
            (f->turns[k].done <= f->turns[first].done && f->turns[k].number < f->turns[first].number))
            first = k;
    return first;
}

/* Its update comes: the client has rows, and it is not lost on the way. */
static bool
comes(const struct ft_sim_engine *g, const struct turn *t)
{
    struct sim_draw draw;
    sim_draw_init(&draw, g->in.e->seed, UINT64_C(0x6c616e64000000) + t->number); /* "land" */
    return g->in.clients->offsets[t->client + 1] > g->in.clients->offsets[t->client] &&
           sim_draw_uniform(&draw) >= g->in.e->clients.dropout;
}

enum ft_status
sim_buffered_plan(struct ft_sim_engine *g, uint32_t *asked)
{
    struct sim_flight *f = g->flight;
    const uint64_t patience = UINT64_C(100000) + UINT64_C(1000) * g->most; /* landings; dropout is at most 0.99 */

    g->place_count = 0;
    for (*asked = 0; *asked < patience; ++*asked) {
        const uint32_t k = first_done(f);
        const struct turn t = f->turns[k];
        f->last = k;
        if (comes(g, &t)) {
            f->landed[g->place_count] = t.version;
            g->places[g->place_count++] = (struct sim_place){
                .client = t.client,
                .epochs = g->in.e->training.local_epochs,
                .came = true,
                .theta = find_version(f, t.version)->params,
                .factor = 1 / sqrt(1 + (double)(f->version - t.version)),
                .stream = UINT64_C(1) << 63 | t.number,
            };
            if (g->place_count == g->most) {
                ++*asked;
                return FT_OK;
            }
        } else {
            find_version(f, t.version)->users--;
        }
        f->turns[k] = take_off(g, t.done);
    }
    return FT_ERR_LATER;
}

enum ft_status
sim_buffered_done(struct ft_sim_engine *g)
{
    struct sim_flight *f = g->flight;
    enum ft_status st;
    for (uint32_t i = 0; i < g->most; i++)
        find_version(f, f->landed[i])->users--;
    f->version++;
    drop_versions(f);
    st = keep_version(g);
    if (st == FT_OK)
        f->turns[f->last] = take_off(g, f->turns[f->last].done);
    return st;
}

enum ft_status
sim_buffered_save(const struct ft_sim_engine *g, struct ft_buf *out)
{
    const struct sim_flight *f = g->flight;
    enum ft_status st;
    FT_TRY(ft_buf_u64(out, f->version));
    FT_TRY(ft_buf_u64(out, f->started));
    for (uint32_t i = 0; i < f->count; i++) {
        FT_TRY(ft_buf_u32(out, f->turns[i].client));
        FT_TRY(ft_buf_u64(out, f->turns[i].version));
        FT_TRY(ft_buf_u64(out, f->turns[i].number));
        FT_TRY(ft_buf_f64(out, f->turns[i].done));
    }
    FT_TRY(ft_buf_u64(out, f->version_count));
    for (uint32_t i = 0; i < f->version_count; i++) {
        FT_TRY(ft_buf_u64(out, f->versions[i].number));
        FT_TRY(ft_buf_append(out, f->versions[i].params, g->server.parameters * sizeof(float)));
    }
out:
    return st;
}

enum ft_status
sim_buffered_load(struct ft_sim_engine *g, struct ft_bytes *in)
{
    struct sim_flight *f = g->flight;
    const size_t size = g->server.parameters * sizeof(float);
    struct ft_cursor c = ft_cursor_of(*in);
    uint64_t versions;

    for (uint32_t i = 0; i < f->version_count; i++)
        ft_free(f->versions[i].params);
    f->version_count = 0;
    f->version = ft_read_u64(&c);
    f->started = ft_read_u64(&c);
    for (uint32_t i = 0; i < f->count; i++) {
        f->turns[i].client = ft_read_u32(&c);
        f->turns[i].version = ft_read_u64(&c);
        f->turns[i].number = ft_read_u64(&c);
        f->turns[i].done = ft_read_f64(&c);
        if (c.failed || f->turns[i].client >= g->in.clients->count || f->turns[i].version > f->version ||
            !isfinite(f->turns[i].done))
            return FT_ERR_FORMAT;
    }
    versions = ft_read_u64(&c);
    if (c.failed || versions > f->version_room)
        return FT_ERR_FORMAT;
    for (uint64_t i = 0; i < versions; i++) {
        struct version v = { .number = ft_read_u64(&c), .params = ft_calloc(1, size) };
        const struct ft_bytes bytes = ft_read_bytes(&c, size);
        if (v.params == NULL)
            return FT_ERR_NOMEM;
        f->versions[f->version_count++] = v;
        if (c.failed || v.number > f->version)
            return FT_ERR_FORMAT;
        memcpy(v.params, bytes.data, size);
    }
    for (uint32_t i = 0; i < f->count; i++) {
        struct version *v = find_version(f, f->turns[i].version);
        if (v == NULL)
            return FT_ERR_FORMAT;
        v->users++;
    }
    *in = FT_BYTES(in->data + (in->size - c.left), c.left);
    return find_version(f, f->version) != NULL ? FT_OK : FT_ERR_FORMAT;
}
