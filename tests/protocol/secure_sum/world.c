#include "world.h"

#include "common/secure_sum/derive.h"
#include "common/secure_sum/prg.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <string.h>

#define WALL_START UINT64_C(1700000000000)
#define SESSION_MS UINT64_C(3600000)

struct world_options
world_options(uint64_t seed, uint32_t n, uint32_t corrupted, uint32_t dropouts)
{
    return (struct world_options){
        .seed = seed,
        .shops = n,
        .dim = 19,
        .lane_bits = 32,
        .n_min = n - dropouts < 3 ? 2 : 3,
        .n_cap = n,
        .h_min = 2,
        .corrupted = corrupted,
        .drop_permille =
            (uint16_t)((dropouts * 1000 + n - 1) / n), /* the least with floor(n x / 1000) = dropouts */
        .suite = FT_SS_SUITE_CHACHA20,
        .graph_min = 65,
        .slots = 2,
    };
}

static enum ft_status
world_store(void *ctx, enum ft_ss_record kind, struct ft_bytes record, bool sync)
{
    struct world *w = ctx;
    struct world_records *r = &w->records;
    (void)sync;
    w->store_calls++;
    if (w->store_calls == w->store_fail_at)
        return FT_ERR_FULL;
    struct ft_buf bytes = { 0 };
    void *more;
    if (ft_buf_append(&bytes, record.data, record.size) != FT_OK)
        return FT_ERR_NOMEM;
    more = ft_realloc(r->list, (r->count + 1) * sizeof *r->list);
    if (more == NULL) {
        ft_buf_clear(&bytes);
        return FT_ERR_NOMEM;
    }
    r->list = more;
    r->list[r->count].kind = kind;
    r->list[r->count++].bytes = bytes;
    return FT_OK;
}

static enum ft_status
shop_journal(void *ctx, const struct ft_ss_journal_record *record)
{
    struct shop *shop = ctx;
    if (shop->journal_fail_at == shop->journal_count + 1)
        return FT_ERR_FULL;
    void *more = ft_realloc(shop->journal, (shop->journal_count + 1) * sizeof *shop->journal);
    if (more == NULL)
        return FT_ERR_NOMEM;
    shop->journal = more;
    shop->journal[shop->journal_count++] = *record;
    return FT_OK;
}

static void
make_keys(struct world *w)
{
    w->roster =
        (struct ft_ss_roster){ .serial = 1, .count = w->options.shops, .corrupted = w->options.corrupted };
    memset(w->roster.deployment, 0xd0, sizeof w->roster.deployment);
    w->roster.members = ft_calloc(w->options.shops, sizeof *w->roster.members);
    assert_non_null(w->roster.members);
    for (uint32_t i = 0; i < w->options.shops; i++) {
        struct shop *shop = &w->shops[i];
        uint8_t seed[32];
        shop->id = i;
        ft_env_seeded_init(&shop->env, w->options.seed, i + 1);
        shop->env.env.random(shop->env.env.ctx, seed, sizeof seed);
        crypto_sign_seed_keypair(shop->pk, shop->sk, seed);
        memcpy(w->roster.members[i].ed25519_pk, shop->pk, 32);
        w->roster.members[i].status = FT_SS_ACTIVE;
        w->roster.members[i].not_after_ms = FT_SS_NEVER;
    }
}

static void
make_directory(struct world *w)
{
    struct ft_buf signed_roster = { 0 };
    assert_int_equal(ft_ss_roster_sign(&w->roster, w->registrar_sk, &signed_roster, NULL), FT_OK);
    ft_buf_clear(&signed_roster);
    assert_int_equal(ft_ss_directory_open(&w->roster, 5, &w->directory), FT_OK);
    for (uint32_t i = 0; i < w->options.shops; i++) {
        struct shop *shop = &w->shops[i];
        ft_ss_epoch_key_make(&shop->env.env, shop->sk, w->roster.deployment, i, 5, shop->xsk, &shop->key);
        assert_int_equal(ft_ss_directory_put(&w->directory, &shop->key, NULL), FT_OK);
        assert_int_equal(ft_ss_pairs_open(w->options.shops, i, shop->xsk, shop->key.xpk, w->roster.deployment,
                                          5, &shop->pairs),
                         FT_OK);
    }
}

static void
make_descriptor(struct world *w)
{
    const struct world_options *o = &w->options;
    const struct ft_ss_codec_choice choice = {
        .lane_bits = o->lane_bits, .dim = o->dim, .n_cap = o->n_cap, .weight_max = 100, .clip = 1.0
    };
    struct ft_ss_descriptor *d = &w->descriptor;
    struct ft_error err = { 0 };

    if (ft_ss_codec_init(&choice, &w->codec, &err) != FT_OK)
        fail_msg("%s", err.text);
    *d = (struct ft_ss_descriptor){
        .version = FT_SS_VERSION,
        .suite = o->suite,
        .round = 7,
        .attempt = 1,
        .epoch = 5,
        .n_cap = o->n_cap,
        .n_min = o->n_min,
        .h_min = o->h_min,
        .corrupted = o->corrupted,
        .drop_permille = o->drop_permille,
        .sigma = 40,
        .eta = 30,
        .deadline_ms = WALL_START + SESSION_MS,
    };
    memcpy(d->deployment, w->roster.deployment, sizeof d->deployment);
    memset(d->task_hash, 0x7a, sizeof d->task_hash);
    memset(d->model_hash, 0x3d, sizeof d->model_hash);
    memset(d->lineage_hash, 0x11, sizeof d->lineage_hash);
    memset(d->server_nonce, 0x5e, sizeof d->server_nonce);
    ft_ss_directory_root(&w->directory, d->directory_root);
    ft_ss_codec_describe(&w->codec, d);
}

static void
open_client(struct world *w, struct shop *shop)
{
    const struct world_options *o = &w->options;
    shop->config = (struct ft_ss_client_config){
        .env = &shop->env.env,
        .directory = &w->directory,
        .pairs = shop->pairs,
        .id = shop->id,
        .identity_sk = shop->sk,
        .limits = { .n_min = o->n_min,
                    .h_min = o->h_min,
                    .corrupted = o->corrupted,
                    .sigma = 40,
                    .drop_permille = o->drop_permille,
                    .clip = 1.0,
                    .deadline_ms_max = SESSION_MS,
                    .words_max = 1u << 20,
                    .graph_allowed = o->graph,
                    .graph_min = o->graph_min,
                    .suites = { false, true, true },
                    .results_visible = true },
        .audit = o->audit,
        .threads = o->threads,
        .journal = shop_journal,
        .journal_ctx = shop,
    };
    memcpy(shop->config.aggregator_pk, w->aggregator_pk, 32);
    assert_int_equal(ft_ss_client_open(&shop->config, &shop->client), FT_OK);
}

static void
make_inputs(struct world *w)
{
    const int64_t bound =
        w->codec.coordinate_max < INT64_C(1) << 40 ? w->codec.coordinate_max : INT64_C(1) << 40;
    for (uint32_t i = 0; i < w->options.shops; i++) {
        struct shop *shop = &w->shops[i];
        shop->z = ft_calloc(w->options.dim, sizeof *shop->z);
        assert_non_null(shop->z);
        for (uint32_t j = 0; j < w->options.dim; j++) {
            switch (ft_random_below(&shop->env.env, 6)) {
            case 0:
                shop->z[j] = bound;
                break;
            case 1:
                shop->z[j] = -bound;
                break;
            default:
                shop->z[j] = (int64_t)ft_random_below(&shop->env.env, (uint64_t)bound * 2 + 1) - bound;
            }
        }
        shop->weight = 1 + ft_random_below(&shop->env.env, 100);
        shop->facts = (struct ft_ss_facts){ .expected = w->descriptor, .ledger_can_pay = true };
        memcpy(shop->facts.model_hash, w->descriptor.model_hash, 32);
    }
}

void
world_open(struct world *w, const struct world_options *options)
{
    uint8_t seed[32];

    *w = (struct world){ .options = *options };
    assert_true(sodium_init() >= 0);
    ft_env_seeded_init(&w->env, options->seed, 0);
    w->env.env.random(w->env.env.ctx, seed, sizeof seed);
    crypto_sign_seed_keypair(w->registrar_pk, w->registrar_sk, seed);
    w->env.env.random(w->env.env.ctx, seed, sizeof seed);
    crypto_sign_seed_keypair(w->aggregator_pk, w->aggregator_sk, seed);
    w->shops = ft_calloc(options->shops, sizeof *w->shops);
    assert_non_null(w->shops);
    make_keys(w);
    world_advance(w, 1000);
    w->env.wall = WALL_START;
    for (uint32_t i = 0; i < options->shops; i++)
        w->shops[i].env.wall = WALL_START;
    make_directory(w);
    make_descriptor(w);
    make_inputs(w);
    for (uint32_t i = 0; i < options->shops; i++)
        open_client(w, &w->shops[i]);
    w->config = (struct ft_ss_server_config){
        .env = &w->env.env,
        .directory = &w->directory,
        .signing_sk = w->aggregator_sk,
        .graph_allowed = options->graph,
        .graph_min = options->graph_min,
        .threads = options->threads,
        .slots = options->slots,
        .join_ms = 60000,
        .join_target = options->join_target,
        .store = world_store,
        .store_ctx = w,
    };
    assert_int_equal(ft_ss_server_open(&w->config, &w->descriptor, &w->server, NULL), FT_OK);
}

static void
clear_records(struct world_records *r, size_t from)
{
    for (size_t i = from; i < r->count; i++)
        ft_buf_clear(&r->list[i].bytes);
    if (r->count > from)
        r->count = from;
}

void
world_close(struct world *w)
{
    ft_ss_server_close(w->server);
    for (uint32_t i = 0; i < w->options.shops; i++) {
        struct shop *shop = &w->shops[i];
        ft_ss_client_close(shop->client);
        ft_ss_pairs_close(shop->pairs);
        ft_free(shop->journal);
        ft_free(shop->z);
        ft_buf_clear(&shop->sent);
        ft_buf_clear(&shop->answer);
    }
    clear_records(&w->records, 0);
    ft_free(w->records.list);
    ft_free(w->shops);
    ft_ss_directory_clear(&w->directory);
    ft_ss_roster_clear(&w->roster);
}

void
world_advance(struct world *w, uint64_t ms)
{
    w->env.now += ms;
    w->env.wall += ms;
    for (uint32_t i = 0; i < w->options.shops; i++) {
        w->shops[i].env.now += ms;
        w->shops[i].env.wall += ms;
    }
}

static void
note_abort(struct shop *shop)
{
    if (shop->aborted == FT_SS_ABORT_NONE)
        shop->aborted = ft_ss_client_abort_code(shop->client);
}

static void
keep_sent(const struct world *w, struct shop *shop, struct ft_bytes bytes)
{
    if (w->keep_sent)
        assert_int_equal(ft_buf_append(&shop->sent, bytes.data, bytes.size), FT_OK);
}

/* From shop to server. False when it was lost on the way. */
static bool
post(struct world *w, struct shop *shop)
{
    if (shop->answer.size == 0)
        return true;
    keep_sent(w, shop, ft_buf_bytes(&shop->answer));
    if (w->up != NULL && w->up(w, shop, &shop->answer) == DROP)
        return false;
    shop->refusal = ft_ss_server_handle(w->server, shop->id, ft_buf_bytes(&shop->answer)); /* part of life */
    return true;
}

static bool
send_vector(struct world *w, struct shop *shop)
{
    struct ft_ss_upload upload;
    struct ft_ss_slot_ref slot;
    struct ft_buf words = { 0 }, trailer = { 0 };
    uint64_t at = 0;
    enum ft_status st;

    if (shop->silent_at == FT_SS_STEP_MASKED && (!shop->half_upload || shop->half_sent))
        return false;
    shop->half_sent = true;
    assert_true(ft_ss_client_upload(shop->client, &upload));
    assert_int_equal(ft_buf_append(&words, upload.words.data, upload.words.size), FT_OK);
    assert_int_equal(ft_buf_append(&trailer, upload.trailer.data, upload.trailer.size), FT_OK);
    if (w->vector != NULL)
        w->vector(w, shop, &words, &trailer);
    keep_sent(w, shop, ft_buf_bytes(&words));
    keep_sent(w, shop, ft_buf_bytes(&trailer));
    st = ft_ss_server_upload_begin(w->server, shop->id, upload.header, &slot, &at);
    if (st == FT_ERR_DUPLICATE) {
        ft_ss_client_uploaded(shop->client);
        goto out;
    }
    while (st == FT_OK && at < words.size) {
        size_t piece = 1 + (size_t)ft_random_below(&w->env.env, 100);
        if (piece > words.size - at)
            piece = words.size - (size_t)at;
        st = ft_ss_server_upload_chunk(w->server, slot, at, FT_BYTES(words.data + at, piece));
        at += piece;
        if (shop->silent_at == FT_SS_STEP_MASKED && at >= words.size / 2)
            goto out; /* the line is cut here */
    }
    if (st == FT_OK)
        st = ft_ss_server_upload_end(w->server, slot, ft_buf_bytes(&trailer));
    if (st == FT_OK)
        ft_ss_client_uploaded(shop->client);
out:
    ft_buf_clear(&words);
    ft_buf_clear(&trailer);
    return st == FT_OK || st == FT_ERR_DUPLICATE;
}

static bool
act(struct world *w, struct shop *shop, enum ft_ss_action action)
{
    switch (action) {
    case FT_SS_IGNORED:
        return false;
    case FT_SS_ANSWER:
        return post(w, shop);
    case FT_SS_NEED_INPUT: {
        uint64_t *words = ft_big_alloc(w->codec.words * sizeof *words);
        assert_non_null(words);
        assert_int_equal(ft_ss_pack(&w->codec, shop->weight, shop->z, words), FT_OK);
        if (ft_ss_client_mask(shop->client, words, (size_t)w->codec.words) != FT_OK) {
            note_abort(shop);
            return true;
        }
        return send_vector(w, shop);
    }
    case FT_SS_UPLOAD:
        return send_vector(w, shop);
    case FT_SS_RESULT:
        shop->got_result = true;
        return true;
    case FT_SS_ENDED:
        return true;
    case FT_SS_ABORTED:
        note_abort(shop);
        return post(w, shop);
    }
    return false;
}

/* Would the answer to this message be one the shop no longer gives? */
static bool
falls_silent(const struct shop *shop, struct ft_bytes message)
{
    static const enum ft_ss_step steps[] = {
        [FT_SS_DOWN_ANNOUNCE] = FT_SS_STEP_JOIN,      [FT_SS_DOWN_COHORT] = FT_SS_STEP_SHARES,
        [FT_SS_DOWN_DELIVER] = FT_SS_STEP_MASKED,     [FT_SS_DOWN_SURVIVORS] = FT_SS_STEP_CONFIRM,
        [FT_SS_DOWN_CERTIFICATE] = FT_SS_STEP_UNMASK, [FT_SS_DOWN_REPAIR] = FT_SS_STEP_REPAIR,
        [FT_SS_DOWN_RESULT] = FT_SS_STEP_REPAIR,      [FT_SS_DOWN_ENDED] = FT_SS_STEP_REPAIR
    };
    struct ft_ss_down m;
    enum ft_ss_step step;
    if (shop->silent_at == FT_SS_STEP_NONE || ft_ss_down_decode(message, &m) != FT_OK)
        return false;
    step = steps[m.kind];
    ft_ss_down_clear(&m);
    return step > shop->silent_at || (step == shop->silent_at && step != FT_SS_STEP_MASKED);
}

static bool
exchange(struct world *w, struct shop *shop)
{
    struct ft_ss_position position;
    struct ft_buf message = { 0 };
    enum ft_ss_next next;
    enum ft_ss_action action;
    enum ft_ss_client_state state;
    bool moved = false;

    if (shop->crashed)
        return false;
    if (ft_ss_client_tick(shop->client) == FT_SS_ABORTED)
        note_abort(shop);
    state = ft_ss_client_state(shop->client);
    if (state == FT_SS_CLIENT_ABORTED || shop->got_result)
        return false;
    ft_ss_client_position(shop->client, &position);
    assert_int_equal(ft_ss_server_next(w->server, shop->id, &position, &message, &next), FT_OK);
    if (next == FT_SS_NEXT_MESSAGE && !falls_silent(shop, ft_buf_bytes(&message)) &&
        (w->down == NULL || w->down(w, shop, &message) == PASS)) {
        enum ft_status st;
        if (state == FT_SS_CLIENT_IDLE)
            st =
                ft_ss_client_join(shop->client, ft_buf_bytes(&message), &shop->facts, &shop->answer, &action);
        else
            st = ft_ss_client_handle(shop->client, ft_buf_bytes(&message), &shop->answer, &action);
        if (st != FT_OK && shop->journal_fail_at == 0)
            fail_msg("shop %u: local failure %d", shop->id, (int)st);
        moved = act(w, shop, action);
    }
    ft_buf_clear(&message);
    return moved;
}

bool
world_pump(struct world *w)
{
    bool moved = false;
    for (uint32_t i = 0; i < w->options.shops; i++) {
        if (w->before != NULL)
            w->before(w);
        moved |= exchange(w, &w->shops[i]);
    }
    return moved;
}

static void
finish(struct world *w)
{
    w->last = ft_ss_server_unmask(w->server); /* a failure shows in finish */
    w->last = ft_ss_server_finish(w->server);
    if (ft_ss_server_phase(w->server) == FT_SS_DONE)
        ft_ss_server_publish(w->server);
}

void
world_run(struct world *w)
{
    /* A hook or a failing store may have lost what would have moved. */
    const int patience = w->down == NULL && w->up == NULL && w->store_fail_at == 0 ? 1 : 8;
    int idle = 0;
    for (int turn = 0; turn < 2000; turn++) {
        const bool moved = world_pump(w);
        enum ft_ss_phase phase = ft_ss_server_phase(w->server);
        if (w->before != NULL)
            w->before(w);
        phase = ft_ss_server_phase(w->server);
        if (phase == FT_SS_UNMASKING) {
            finish(w);
            continue;
        }
        idle = moved ? 0 : idle + 1;
        if (idle < patience)
            continue;
        idle = 0;
        if (phase == FT_SS_DONE || phase == FT_SS_FAILED)
            return;
        const uint64_t next = ft_ss_server_next_deadline(w->server);
        assert_true(next != UINT64_MAX);
        if (next > w->env.now)
            world_advance(w, next - w->env.now);
        w->last = ft_ss_server_tick(w->server); /* a store that failed is tried again */
    }
    fail_msg("the session does not end: phase %s", ft_ss_phase_name(ft_ss_server_phase(w->server)));
}

bool
world_done(const struct world *w)
{
    return ft_ss_server_phase(w->server) == FT_SS_DONE;
}

bool
world_in_survivors(const struct world *w, uint32_t id)
{
    return ft_ss_server_survivor(w->server, id);
}

void
world_check_sum(struct world *w, uint32_t expected_count)
{
    struct ft_ss_sum sum;
    int64_t *z = ft_calloc(w->options.dim, sizeof *z);
    uint64_t weight = 0, expected_weight = 0;

    assert_non_null(z);
    for (uint32_t i = 0; !world_done(w) && i < w->options.shops; i++)
        if (w->shops[i].aborted != FT_SS_ABORT_NONE)
            print_message("shop %u aborted: %s\n", i, ft_ss_abort_text(w->shops[i].aborted));
    if (!world_done(w))
        fail_msg("phase %s, %s", ft_ss_phase_name(ft_ss_server_phase(w->server)),
                 ft_ss_end_text(ft_ss_server_failure(w->server)));
    assert_true(ft_ss_server_result(w->server, &sum));
    assert_int_equal(sum.survivors, expected_count);
    assert_int_equal(ft_ss_unpack(&w->codec, sum.words, sum.survivors, z, &weight), FT_OK);
    for (uint32_t j = 0; j < w->options.dim; j++) {
        int64_t expected = 0;
        for (uint32_t i = 0; i < w->options.shops; i++)
            if (world_in_survivors(w, i))
                expected += w->shops[i].z[j];
        if (expected != z[j])
            fail_msg("coordinate %u: %lld, not %lld", j, (long long)z[j], (long long)expected);
    }
    for (uint32_t i = 0; i < w->options.shops; i++)
        if (world_in_survivors(w, i))
            expected_weight += w->shops[i].weight;
    assert_int_equal(weight, expected_weight);
    ft_free(z);
}

void
world_restart_server(struct world *w, size_t records)
{
    struct ft_error err = { 0 };
    enum ft_status st;

    ft_ss_server_close(w->server);
    w->server = NULL;
    clear_records(&w->records, records < w->records.count ? records : w->records.count);
    assert_int_equal(ft_ss_server_restore_begin(&w->config, &w->server, &err), FT_OK);
    for (size_t i = 0; i < w->records.count; i++) {
        st = ft_ss_server_restore_record(w->server, w->records.list[i].kind,
                                         ft_buf_bytes(&w->records.list[i].bytes), &err);
        if (st != FT_OK)
            fail_msg("record %zu: %s (%s)", i, err.text, ft_status_name(st));
    }
    st = ft_ss_server_restore_end(w->server, &err);
    if (st != FT_OK)
        fail_msg("restore: %s (%s)", err.text, ft_status_name(st));
}

void
world_crash_shop(struct world *w, uint32_t id)
{
    ft_ss_client_close(w->shops[id].client);
    w->shops[id].client = NULL;
    w->shops[id].crashed = true;
}

void
world_revive_shop(struct world *w, uint32_t id)
{
    struct shop *shop = &w->shops[id];
    open_client(w, shop);
    shop->crashed = false;
    shop->facts.journal = (struct ft_ss_journal_view){ 0 };
    for (size_t i = 0; i < shop->journal_count; i++)
        ft_ss_journal_fold(&shop->facts.journal, &shop->journal[i]);
}

void
world_announce(struct world *w, const struct ft_ss_descriptor *descriptor, struct ft_buf *out)
{
    uint8_t bytes[FT_SS_DESCRIPTOR_SIZE], t0[32];
    struct ft_ss_down down = { .kind = FT_SS_DOWN_ANNOUNCE };

    ft_ss_descriptor_encode(descriptor, bytes);
    ft_ss_derive_t0(t0, FT_BYTES(bytes, sizeof bytes));
    ft_ss_view_sign(down.signature, t0, w->aggregator_sk);
    down.descriptor = FT_BYTES(bytes, sizeof bytes);
    ft_buf_clear(out);
    assert_int_equal(ft_ss_down_encode(&down, out), FT_OK);
}

enum ft_ss_abort
world_judge(struct world *w, uint32_t id, const struct ft_ss_descriptor *descriptor)
{
    struct shop *shop = &w->shops[id];
    struct ft_buf announce = { 0 };
    enum ft_ss_abort code;

    world_announce(w, descriptor, &announce);
    code = ft_ss_client_check(shop->client, ft_buf_bytes(&announce), &shop->facts, NULL, NULL);
    ft_buf_clear(&announce);
    return code;
}

bool
world_sent_contains(const struct shop *shop, const void *needle, size_t size)
{
    return shop->sent.size >= size && memmem(shop->sent.data, shop->sent.size, needle, size) != NULL;
}

void
world_edit_down(struct ft_buf *message, void (*edit)(struct ft_ss_down *down, void *ctx), void *ctx)
{
    struct ft_ss_down m;
    struct ft_buf out = { 0 };

    assert_int_equal(ft_ss_down_decode(ft_buf_bytes(message), &m), FT_OK);
    edit(&m, ctx);
    assert_int_equal(ft_ss_down_encode(&m, &out), FT_OK);
    ft_ss_down_clear(&m);
    ft_buf_clear(message);
    *message = out;
}
