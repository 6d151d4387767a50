#include "common/base/alloc.h"
#include "common/secure_sum/server_internal.h"

#include <sodium.h>
#include <string.h>

#define SLOTS_DEFAULT       8u
#define SLOTS_MAX           256u
#define SLOT_IDLE_DEFAULT   10000u
#define STEP_DEFAULT        30000u
#define UPLOAD_RATE_DEFAULT 1000u /* bytes a millisecond */

const char *
ft_ss_phase_name(enum ft_ss_phase phase)
{
    static const char *const names[] = { "OPEN",      "DEALING",   "COLLECTING", "CONFIRMING", "REVEALING",
                                         "UNMASKING", "REPAIRING", "DONE",       "FAILED" };
    return (size_t)phase < sizeof names / sizeof names[0] ? names[phase] : "unknown";
}

enum ft_status
server_store(struct ft_ss_server *s, enum ft_ss_record kind, struct ft_bytes record, bool sync)
{
    return s->restoring ? FT_OK : s->config.store(s->config.store_ctx, kind, record, sync);
}

void
server_set_t(struct ft_ss_server *s, unsigned which, const uint8_t t[32])
{
    memcpy(s->t[which], t, 32);
    ft_ss_view_sign(s->view[which], t, s->signing_sk);
    s->t_known = which + 1;
}

/* One block for all sets. */
static enum ft_status
make_bitmaps(struct ft_ss_server *s)
{
    uint8_t **const sets[] = { &s->joined,   &s->u1,       &s->shared,    &s->s,
                               &s->counted,  &s->u3,       &s->confirmed, &s->certificate,
                               &s->unmasked, &s->repaired, &s->gone,      &s->away };
    const size_t count = sizeof sets / sizeof sets[0], size = ft_ss_bitmap_size(s->universe);

    s->bitmaps = ft_calloc(count, size);
    if (s->bitmaps == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < count; i++)
        *sets[i] = s->bitmaps + i * size;
    return FT_OK;
}

enum ft_status
server_new(const struct ft_ss_server_config *config, struct ft_ss_server **out, struct ft_error *err)
{
    struct ft_ss_server *s;
    enum ft_status st;

    *out = NULL;
    if (config->env == NULL || config->directory == NULL || config->signing_sk == NULL ||
        config->store == NULL || config->slots > SLOTS_MAX)
        return ft_fail(err, FT_ERR_ARGUMENT,
                       "a secure-sum session needs env, directory, signing key and store");
    s = ft_calloc(1, sizeof *s);
    if (s == NULL)
        return FT_ERR_NOMEM;
    s->config = *config;
    s->universe = config->directory->roster->count;
    if (s->config.slots == 0)
        s->config.slots = SLOTS_DEFAULT;
    if (s->config.slot_idle_ms == 0)
        s->config.slot_idle_ms = SLOT_IDLE_DEFAULT;
    if (s->config.step_ms == 0)
        s->config.step_ms = STEP_DEFAULT;
    if (s->config.upload_bytes_per_ms == 0)
        s->config.upload_bytes_per_ms = UPLOAD_RATE_DEFAULT;
    s->signing_sk = ft_secret_alloc(FT_SS_SK_SIZE);
    s->clients = ft_calloc(s->universe, sizeof *s->clients);
    st = s->signing_sk == NULL || s->clients == NULL ? FT_ERR_NOMEM : make_bitmaps(s);
    if (st == FT_OK)
        st = server_slots_open(s);
    if (st != FT_OK) {
        ft_ss_server_close(s);
        return st;
    }
    memcpy(s->signing_sk, config->signing_sk, FT_SS_SK_SIZE);
    s->config.signing_sk = s->signing_sk;
    *out = s;
    return FT_OK;
}

enum ft_status
server_begin(struct ft_ss_server *s, const struct ft_ss_descriptor *descriptor, struct ft_error *err)
{
    const struct ft_ss_directory *directory = s->config.directory;
    const uint64_t wall = s->config.env->wall_ms(s->config.env->ctx);
    uint8_t root[32], t0[32];
    enum ft_status st = ft_ss_descriptor_check(descriptor, err);

    if (st != FT_OK)
        return st;
    st = ft_ss_codec_of(descriptor, &s->codec, err);
    if (st != FT_OK)
        return st;
    ft_ss_directory_root(directory, root);
    if (descriptor->epoch != directory->epoch || memcmp(descriptor->directory_root, root, sizeof root) != 0 ||
        memcmp(descriptor->deployment, directory->roster->deployment, sizeof descriptor->deployment) != 0)
        return ft_fail(err, FT_ERR_ARGUMENT, "the descriptor is of another deployment, epoch or directory");
    s->descriptor = *descriptor;
    ft_ss_descriptor_encode(descriptor, s->descriptor_bytes);
    ft_ss_derive_t0(t0, FT_BYTES(s->descriptor_bytes, sizeof s->descriptor_bytes));
    server_set_t(s, 0, t0);
    s->session_deadline =
        server_now(s) + (descriptor->deadline_ms > wall ? descriptor->deadline_ms - wall : 0);
    s->opened = true;
    server_enter(s, FT_SS_OPEN);
    return FT_OK;
}

enum ft_status
ft_ss_server_open(const struct ft_ss_server_config *config, const struct ft_ss_descriptor *descriptor,
                  struct ft_ss_server **out, struct ft_error *err)
{
    struct ft_ss_descriptor d = *descriptor;
    struct ft_ss_server *s = NULL;
    enum ft_status st;

    *out = NULL;
    FT_TRY(server_new(config, &s, err));
    if (sodium_is_zero(d.server_nonce, sizeof d.server_nonce))
        config->env->random(config->env->ctx, d.server_nonce, sizeof d.server_nonce);
    FT_TRY(server_begin(s, &d, err));
    FT_TRY(server_store(s, FT_SS_RECORD_OPENED, FT_BYTES(s->descriptor_bytes, sizeof s->descriptor_bytes),
                        true));
    *out = s;
    return FT_OK;
out:
    ft_ss_server_close(s);
    return st;
}

static void
wipe_client(struct server_client *c)
{
    if (c->revealed != NULL) {
        ft_buf_clear(&c->revealed->records);
        sodium_memzero(c->revealed, sizeof *c->revealed);
        ft_free(c->revealed);
    }
    if (c->repair != NULL)
        ft_buf_clear(c->repair);
    ft_free(c->repair);
    c->revealed = NULL;
    c->repair = NULL;
}

void
server_wipe_secrets(struct ft_ss_server *s)
{
    for (uint32_t i = 0; s->clients != NULL && i < s->universe; i++)
        wipe_client(&s->clients[i]);
    ft_secret_free(s->job.applied);
    ft_secret_free(s->job.masks);
    s->job.applied = NULL;
    s->job.masks = NULL;
    s->job.applied_count = s->job.applied_room = s->job.mask_count = s->job.mask_room = 0;
    ft_ss_lagrange_clear(&s->job.lagrange);
    if (s->phase != FT_SS_DONE && s->sum != NULL) {
        sodium_memzero(s->sum, s->codec.words * sizeof *s->sum);
        ft_big_pool_give(s->config.pool, s->sum, s->codec.words * sizeof *s->sum);
        s->sum = NULL;
    }
}

void
ft_ss_server_close(struct ft_ss_server *s)
{
    if (s == NULL)
        return;
    s->phase = FT_SS_FAILED; /* so that the sum goes too */
    server_wipe_secrets(s);
    for (uint32_t i = 0; s->clients != NULL && i < s->universe; i++)
        if (s->clients[i].dealt != NULL) {
            ft_buf_clear(&s->clients[i].dealt->records);
            ft_buf_clear(&s->clients[i].dealt->escrow_ct);
            ft_free(s->clients[i].dealt);
        }
    server_slots_close(s);
    ft_ss_merkle_clear(&s->tree);
    ft_free(s->delivery_first);
    ft_free(s->deliveries);
    ft_free(s->clients);
    ft_free(s->bitmaps);
    ft_free(s->bad_pairs);
    ft_secret_free(s->signing_sk);
    ft_free(s);
}

uint64_t
ft_ss_server_version(const struct ft_ss_server *s)
{
    return s->version;
}

enum ft_status
ft_ss_server_cancel(struct ft_ss_server *s)
{
    if (server_over(s))
        return FT_OK;
    if (s->phase == FT_SS_UNMASKING) { /* unmask may be running: finish sees it */
        s->cancelled = true;
        return FT_OK;
    }
    return server_fail(s, FT_SS_END_FAILED_CANCELLED);
}

enum ft_ss_phase
ft_ss_server_phase(const struct ft_ss_server *s)
{
    return s->phase;
}

bool
ft_ss_server_result(const struct ft_ss_server *s, struct ft_ss_sum *out)
{
    *out = (struct ft_ss_sum){ 0 };
    if (s->phase != FT_SS_DONE)
        return false;
    out->words = s->sum;
    out->word_count = s->codec.words;
    out->survivors = ft_ss_bitmap_count(s->u3, s->universe);
    out->members = s->u3;
    memcpy(out->t3, s->t[3], sizeof out->t3);
    memcpy(out->result_hash, s->result_hash, sizeof out->result_hash);
    return true;
}

void
ft_ss_server_publish(struct ft_ss_server *s)
{
    if (s->phase != FT_SS_DONE || s->published)
        return;
    s->published = true;
    s->version++;
    server_wipe_secrets(s);
}

void
ft_ss_server_counts(const struct ft_ss_server *s, struct ft_ss_server_counts *out)
{
    *out = (struct ft_ss_server_counts){
        .roster = s->universe,
        .joined = ft_ss_bitmap_count(s->joined, s->universe),
        .cohort = s->n,
        .shared = ft_ss_bitmap_count(s->shared, s->universe),
        .uploaded = ft_ss_bitmap_count(s->counted, s->universe),
        .survivors = ft_ss_bitmap_count(s->u3, s->universe),
        .confirmed = ft_ss_bitmap_count(s->confirmed, s->universe),
        .unmasked = ft_ss_bitmap_count(s->unmasked, s->universe),
        .repaired = ft_ss_bitmap_count(s->repaired, s->universe),
        .slots_used = server_slots_used(s),
    };
}

void
ft_ss_server_transcript(const struct ft_ss_server *s, uint8_t t[4][32])
{
    memcpy(t, s->t, sizeof s->t);
}

const struct ft_ss_params *
ft_ss_server_params(const struct ft_ss_server *s)
{
    return s->t_known > 1 ? &s->params : NULL;
}

enum ft_ss_end
ft_ss_server_failure(const struct ft_ss_server *s)
{
    return s->failure;
}

enum ft_ss_end
ft_ss_server_client_end(const struct ft_ss_server *s, uint32_t client, uint32_t *abort_code)
{
    if (abort_code != NULL)
        *abort_code = client < s->universe ? s->clients[client].abort_code : 0;
    if (client >= s->universe)
        return FT_SS_END_LATE_JOIN;
    if (ft_ss_bitmap_has(s->gone, client))
        return FT_SS_END_ABORTED;
    if (s->t_known > 1 && !ft_ss_bitmap_has(s->u1, client))
        return s->n == s->descriptor.n_cap ? FT_SS_END_COHORT_FULL : FT_SS_END_LATE_JOIN;
    if (s->t_known > 2 && !ft_ss_bitmap_has(s->s, client))
        return FT_SS_END_LATE_SHARES;
    if (s->t_known > 3 && !ft_ss_bitmap_has(s->u3, client))
        return FT_SS_END_LATE_INPUT;
    if (s->phase == FT_SS_DONE && !ft_ss_bitmap_has(s->unmasked, client))
        return ft_ss_bitmap_has(s->confirmed, client) ? FT_SS_END_LATE_UNMASK : FT_SS_END_LATE_CONFIRM;
    return FT_SS_END_NONE;
}

bool
ft_ss_server_survivor(const struct ft_ss_server *s, uint32_t client)
{
    return client < s->universe && s->t_known > 3 && ft_ss_bitmap_has(s->u3, client);
}

enum ft_status
server_bad_pair(struct ft_ss_server *s, uint32_t dealer, uint32_t other)
{
    for (size_t i = 0; i < s->bad_pair_count; i++)
        if (s->bad_pairs[i].dealer == dealer && s->bad_pairs[i].other == other)
            return FT_OK;
    if (s->bad_pair_count == s->bad_pair_room) {
        const size_t room = s->bad_pair_room ? 2 * s->bad_pair_room : 16;
        struct ft_ss_bad_pair *more = ft_realloc(s->bad_pairs, room * sizeof *more);
        if (more == NULL)
            return FT_ERR_NOMEM;
        s->bad_pairs = more;
        s->bad_pair_room = room;
    }
    s->bad_pairs[s->bad_pair_count++] = (struct ft_ss_bad_pair){ dealer, other };
    return FT_OK;
}

const struct ft_ss_bad_pair *
ft_ss_server_bad_pairs(const struct ft_ss_server *s, size_t *count)
{
    *count = s->bad_pair_count;
    return s->bad_pairs;
}

bool
ft_ss_server_barred(const struct ft_ss_server *s, uint32_t client)
{
    uint32_t others = 0;
    for (size_t i = 0; i < s->bad_pair_count; i++) {
        const struct ft_ss_bad_pair pair = s->bad_pairs[i];
        bool counted = false;
        if (pair.dealer != client && pair.other != client)
            continue;
        for (size_t j = 0; j < i; j++) /* the same two the other way round are one other */
            counted |= s->bad_pairs[j].dealer == pair.other && s->bad_pairs[j].other == pair.dealer;
        others += !counted;
    }
    return others > s->descriptor.corrupted;
}
