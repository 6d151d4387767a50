/* One simulated shop: the real participant over a store in memory that can fail, with made-up contributions. */
#include "sim.h"

#include "client/vault/participant.h"
#include "common/base/alloc.h"
#include "common/model/layout.h"
#include "common/task/refusal_codes.h"

#include <string.h>

struct sim_shop {
    struct sim *sim;
    const struct sim_world *world;
    uint32_t id;
    struct ft_env_seeded env;
    uint64_t lives; /* incarnations: each has its own randomness, as a restarted process has */
    struct ft_vault_store *disk;         /* outlives kills */
    struct ft_vault_store failing;       /* over disk, for the participant */
    struct ft_vault_store_calls calls;
    bool disk_broken; /* until restart */
    struct ft_participant *participant;
    struct sim_input input;
};

/* ---- a disk that fails now and then ---- */

static struct sim_shop *
shop_of(struct ft_vault_store *s)
{
    return (struct sim_shop *)((char *)s - offsetof(struct sim_shop, failing));
}

static bool
disk_fails(struct sim_shop *shop)
{
    if (!shop->disk_broken && sim_strikes(shop->sim, SIM_SHOP_DISK))
        shop->disk_broken = sim_draw(shop->sim, 4) == 0; /* once, or from then on */
    else if (!shop->disk_broken)
        return false;
    return true;
}

static enum ft_status
journal_put(struct ft_vault_store *s, const struct ft_ss_journal_record *record, int64_t at_s)
{
    struct sim_shop *shop = shop_of(s);
    if (disk_fails(shop)) /* half of the failures come after the bytes were written */
        return sim_draw(shop->sim, 2) == 0 || shop->disk->calls->journal_put(shop->disk, record, at_s) != FT_OK
                   ? FT_ERR_IO
                   : FT_ERR_FULL;
    return shop->disk->calls->journal_put(shop->disk, record, at_s);
}

static enum ft_status
journal_view(struct ft_vault_store *s, const uint8_t task[32], struct ft_ss_journal_view *out)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk_broken ? FT_ERR_IO : shop->disk->calls->journal_view(shop->disk, task, out);
}

static enum ft_status
roster_put(struct ft_vault_store *s, uint64_t serial, struct ft_bytes signed_roster)
{
    struct sim_shop *shop = shop_of(s);
    return disk_fails(shop) ? FT_ERR_IO : shop->disk->calls->roster_put(shop->disk, serial, signed_roster);
}

static enum ft_status
roster_get(struct ft_vault_store *s, uint64_t *serial, struct ft_buf *signed_roster)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->roster_get(shop->disk, serial, signed_roster);
}

static enum ft_status
task_put(struct ft_vault_store *s, const uint8_t hash[32], struct ft_bytes signed_task, const char *name,
         const char *purpose, uint64_t seen_ms)
{
    struct sim_shop *shop = shop_of(s);
    return disk_fails(shop) ? FT_ERR_IO
                            : shop->disk->calls->task_put(shop->disk, hash, signed_task, name, purpose, seen_ms);
}

static enum ft_status
task_get(struct ft_vault_store *s, const uint8_t hash[32], struct ft_vault_task *out)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->task_get(shop->disk, hash, out);
}

static enum ft_status
task_list(struct ft_vault_store *s, bool (*each)(void *ctx, const struct ft_vault_task *record), void *ctx)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->task_list(shop->disk, each, ctx);
}

static enum ft_status
task_approve(struct ft_vault_store *s, const uint8_t hash[32], enum ft_vault_approval approval, uint64_t at_ms)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->task_approve(shop->disk, hash, approval, at_ms);
}

static enum ft_status
task_decided(struct ft_vault_store *s, const uint8_t hash[32], uint32_t verdict, const uint32_t *codes,
             size_t code_count, uint64_t at_ms)
{
    struct sim_shop *shop = shop_of(s);
    return disk_fails(shop) ? FT_ERR_FULL
                            : shop->disk->calls->task_decided(shop->disk, hash, verdict, codes, code_count, at_ms);
}

static enum ft_status
approvals_changed(struct ft_vault_store *s, uint64_t *generation)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->approvals_changed(shop->disk, generation);
}

static enum ft_status
participations(struct ft_vault_store *s, int64_t since_s, uint32_t *count, int64_t *last_s)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->participations(shop->disk, since_s, count, last_s);
}

static enum ft_status
last_of_task(struct ft_vault_store *s, const uint8_t task[32], int64_t *last_s)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->last_of_task(shop->disk, task, last_s);
}

static enum ft_status
previous_put(struct ft_vault_store *s, const uint8_t task[32], const struct ft_ss_previous *previous)
{
    struct sim_shop *shop = shop_of(s);
    return disk_fails(shop) ? FT_ERR_IO : shop->disk->calls->previous_put(shop->disk, task, previous);
}

static enum ft_status
previous_get(struct ft_vault_store *s, const uint8_t task[32], struct ft_ss_previous *out)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->previous_get(shop->disk, task, out);
}

static enum ft_status
trained_on(struct ft_vault_store *s, const uint8_t task[32], const uint8_t model[32], bool *out)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->trained_on(shop->disk, task, model, out);
}

static enum ft_status
clock_put(struct ft_vault_store *s, int64_t wall_s)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->clock_put(shop->disk, wall_s);
}

static enum ft_status
clock_get(struct ft_vault_store *s, int64_t *wall_s)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->clock_get(shop->disk, wall_s);
}

static enum ft_status
ledger_put(struct ft_vault_store *s, uint64_t seq, const uint8_t chain[32])
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->ledger_put(shop->disk, seq, chain);
}

static enum ft_status
ledger_get(struct ft_vault_store *s, uint64_t *seq, uint8_t chain[32])
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->ledger_get(shop->disk, seq, chain);
}

static enum ft_status
opened_put(struct ft_vault_store *s, const char *domain, const char *day)
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->opened_put(shop->disk, domain, day);
}

static enum ft_status
opened_get(struct ft_vault_store *s, const char *domain, char day[FT_VAULT_DAY_SIZE])
{
    struct sim_shop *shop = shop_of(s);
    return shop->disk->calls->opened_get(shop->disk, domain, day);
}

static void
keep_disk(struct ft_vault_store *s)
{
    (void)s;
}

/* ---- the shop's side of the world ---- */

static void
decide(void *ctx, const struct ft_task *task, const uint8_t task_hash[32], enum ft_vault_approval approval,
       struct ft_decision *out)
{
    (void)ctx;
    (void)task_hash;
    (void)approval;
    *out = (struct ft_decision){ .verdict = FT_WORD_ACCEPTED };
    out->limits = (struct ft_ss_limits){
        .n_min = task->n_min, .h_min = task->h_min, .corrupted = task->corrupted, .sigma = 40,
        .drop_permille = (uint16_t)task->drop_permille, .deadline_ms_max = task->session_ms * 2,
        .suites = { false, true, true }, .results_visible = true, .repeat_model_unnoised = true,
    };
}

/* A contribution of the right form whose numbers are drawn: the sum of any of them decodes. */
static enum ft_status
contribute(void *ctx, const struct ft_work *work, uint64_t **words, uint32_t *code)
{
    struct sim_shop *shop = ctx;
    const struct ft_layout *layout = &work->plan->layout;
    const struct ft_ss_codec *codec = &work->plan->codec;
    enum ft_status st = FT_OK;
    int64_t *z = NULL;
    uint64_t *values = NULL;

    if (sim_strikes(shop->sim, SIM_LOCAL_FAILURE)) {
        *code = FT_REFUSAL_DATA_UNREADABLE;
        return FT_ERR_IO;
    }
    *words = ft_big_alloc(codec->words * 8);
    z = ft_calloc(layout->dim, sizeof *z);
    values = ft_calloc(layout->metrics.value_count + 1, sizeof *values);
    if (*words == NULL || z == NULL || values == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (uint32_t i = 0; i < layout->metrics.value_count; i++)
        values[i] = ft_random_below(&shop->env.env, 50);
    if (layout->metrics.value_count > 0)
        FT_TRY(ft_layout_encode_metrics(layout, values, z));
    for (size_t i = 0; i < layout->real_coordinates; i++) {
        double v;
        if (work->plan->stage == FT_STAGE_STATISTICS) /* sums of u and u^2 of 100 rows: mean 0.4 to 0.5, some spread */
            v = i < layout->real_coordinates / 2 ? 40 + (double)ft_random_below(&shop->env.env, 10) : 35;
        else
            v = ((double)ft_random_below(&shop->env.env, 2001) - 1000) / 1000 * layout->real_clip / 100;
        z[layout->metric_coordinates + i] = (int64_t)(v / codec->quant_step);
    }
    FT_TRY(ft_ss_pack(codec, 100, z, *words));
    shop->input.words = ft_realloc(shop->input.words, codec->words * 8);
    if (shop->input.words == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    memcpy(shop->input.words, *words, codec->words * 8);
    shop->input.count = codec->words;
    shop->input.made = true;
    shop->input.stage = work->plan->stage;
    shop->input.version = work->model->version;
out:
    if (st != FT_OK) {
        sim_violated(shop->sim, "shop %u cannot make a contribution: %s", shop->id, ft_status_name(st));
        ft_big_free(*words, codec->words * 8);
        *words = NULL;
        *code = FT_REFUSAL_INTERNAL;
    }
    ft_free(z);
    ft_free(values);
    return st;
}

static bool
unchanged(void *ctx)
{
    struct sim_shop *shop = ctx;
    return !sim_strikes(shop->sim, SIM_CONSENT_CHANGE);
}

/* An honest centre never tells two stories, whatever it went through; a reply altered on the way may look like one. */
static void
evidence(void *ctx, struct ft_bytes first, struct ft_bytes second)
{
    struct sim_shop *shop = ctx;
    (void)first;
    (void)second;
    if (sim_faults(shop->sim, SIM_ALTER_REPLY) == 0)
        sim_violated(shop->sim, "shop %u was told two stories by an honest centre", shop->id);
}

/* ---- life and death ---- */

bool
sim_shop_start(struct sim_shop *shop)
{
    const uint64_t now = shop->env.now, wall = shop->env.wall;
    struct ft_error err = { 0 };

    ft_env_seeded_init(&shop->env, ft_random_u64(&shop->env.env), ++shop->lives);
    shop->env.now = now;
    shop->env.wall = wall;
    shop->disk_broken = false;
    const struct ft_participant_config config = {
        .world = { &shop->env.env, &shop->failing, shop, decide, contribute, unchanged, evidence },
        .pins = { .task_keys = &shop->world->task_pk, .task_key_count = 1 },
        .identity_sk = shop->world->identity_sk[shop->id],
        .wait_ms = 5000,
    };
    struct ft_participant_config mine = config;
    memcpy(mine.pins.deployment, shop->world->deployment, 16);
    memcpy(mine.pins.registrar_key, shop->world->registrar_pk, 32);
    memcpy(mine.pins.aggregator_key, shop->world->aggregator_pk, 32);
    const enum ft_status st = ft_participant_open(&mine, &shop->participant, &err);
    if (st != FT_OK)
        sim_violated(shop->sim, "shop %u does not start: %s %s", shop->id, ft_status_name(st), err.text);
    return st == FT_OK;
}

struct sim_shop *
sim_shop_open(struct sim *s, const struct sim_world *w, uint32_t id)
{
    struct sim_shop *shop = ft_calloc(1, sizeof *shop);
    if (shop == NULL)
        return NULL;
    shop->sim = s;
    shop->world = w;
    shop->id = id;
    shop->calls = (struct ft_vault_store_calls){
        journal_put,  journal_view, roster_put,   roster_get,        task_put,       task_get,
        task_list,    task_approve, task_decided, approvals_changed, participations, last_of_task,
        previous_put, previous_get, trained_on,   clock_put,         clock_get,      ledger_put,
        ledger_get,   opened_put,   opened_get,   keep_disk,
    };
    shop->failing.calls = &shop->calls;
    ft_env_seeded_init(&shop->env, sim_draw(s, UINT64_MAX), id);
    if (ft_vault_store_memory(&shop->disk) != FT_OK || !sim_shop_start(shop)) {
        sim_shop_close(shop);
        return NULL;
    }
    return shop;
}

void
sim_shop_kill(struct sim_shop *shop)
{
    ft_participant_close(shop->participant);
    shop->participant = NULL;
}

void
sim_shop_close(struct sim_shop *shop)
{
    if (shop == NULL)
        return;
    sim_shop_kill(shop);
    ft_vault_store_close(shop->disk);
    ft_free(shop->input.words);
    ft_free(shop);
}

bool
sim_shop_alive(const struct sim_shop *shop)
{
    return shop->participant != NULL;
}

struct ft_env_seeded *
sim_shop_clock(struct sim_shop *shop)
{
    return &shop->env;
}

const struct sim_input *
sim_shop_last_input(const struct sim_shop *shop)
{
    return &shop->input;
}

uint64_t
sim_shop_round(const struct sim_shop *shop)
{
    struct ft_participant_status status;
    ft_participant_status(shop->participant, &status);
    return status.in_session ? status.session_round : 0;
}

bool
sim_shop_spent(struct sim_shop *shop, uint64_t round)
{
    struct ft_ss_journal_view view = { 0 };
    return shop->disk->calls->journal_view(shop->disk, shop->world->task_hash, &view) == FT_OK && view.any_spent &&
           view.spent_round >= round;
}

/* ---- actions and outcomes ---- */

void
sim_request_clear(struct sim_request *r)
{
    ft_buf_clear(&r->bytes);
    ft_buf_clear(&r->trailer);
    *r = (struct sim_request){ 0 };
}

bool
sim_shop_next(struct sim_shop *shop, struct sim_request *out)
{
    struct ft_out action = { 0 };
    enum ft_status st = ft_participant_next(shop->participant, &action);

    *out = (struct sim_request){ .id = action.id, .offset = action.offset, .size = action.size, .wait_ms = action.wait_ms };
    if (st == FT_OK && action.kind == FT_OUT_SYNC) {
        out->action = SIM_SYNC;
        st = ft_buf_append(&out->bytes, action.request.data, action.request.size);
    } else if (st == FT_OK && action.kind == FT_OUT_DOWNLOAD) {
        out->action = SIM_DOWNLOAD;
        memcpy(out->hash, action.hash, 32);
    } else if (st == FT_OK && action.kind == FT_OUT_UPLOAD) {
        out->action = SIM_UPLOAD;
        st = ft_buf_append(&out->bytes, action.header.data, action.header.size);
        if (st == FT_OK)
            st = ft_buf_append(&out->trailer, action.trailer.data, action.trailer.size);
    } else if (st == FT_OK) {
        out->action = SIM_IDLE;
    }
    if (st != FT_OK)
        sim_violated(shop->sim, "shop %u has no next action: %s", shop->id, ft_status_name(st));
    return st == FT_OK;
}

static bool
take(struct sim_shop *shop, const struct ft_in *in, struct ft_buf *data)
{
    struct ft_out reply = { 0 };
    bool over = false;
    const enum ft_status st = ft_participant_take(shop->participant, in, &reply, &over);
    if (st != FT_OK)
        sim_violated(shop->sim, "shop %u calls an outcome the courier's fault: %s", shop->id, ft_status_name(st));
    if (data != NULL) {
        data->size = 0;
        if (reply.kind == FT_OUT_DATA && ft_buf_append(data, reply.data.data, reply.data.size) != FT_OK)
            sim_violated(shop->sim, "out of memory");
    }
    return over;
}

bool
sim_shop_reply(struct sim_shop *shop, uint64_t id, struct ft_bytes reply)
{
    return take(shop, &(struct ft_in){ .kind = FT_IN_REPLY, .id = id, .reply = reply }, NULL);
}

bool
sim_shop_chunk(struct sim_shop *shop, uint64_t id, uint64_t offset, uint64_t total, struct ft_bytes data, bool last)
{
    return take(shop,
                &(struct ft_in){ .kind = FT_IN_CHUNK, .id = id, .offset = offset, .total = total, .data = data, .last = last },
                NULL);
}

bool
sim_shop_want(struct sim_shop *shop, uint64_t id, uint64_t offset, uint32_t size, struct ft_buf *data)
{
    return take(shop, &(struct ft_in){ .kind = FT_IN_WANT, .id = id, .offset = offset, .size = size }, data);
}

bool
sim_shop_uploaded(struct sim_shop *shop, uint64_t id, struct ft_bytes reply)
{
    return take(shop, &(struct ft_in){ .kind = FT_IN_UPLOADED, .id = id, .reply = reply }, NULL);
}

bool
sim_shop_rested(struct sim_shop *shop, uint64_t id)
{
    return take(shop, &(struct ft_in){ .kind = FT_IN_RESTED, .id = id }, NULL);
}

bool
sim_shop_failed(struct sim_shop *shop, uint64_t id)
{
    return take(shop, &(struct ft_in){ .kind = FT_IN_FAILED, .id = id, .status = FT_ERR_NOTFOUND }, NULL);
}
