#include "rig.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/round/wire_federation.h"
#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/plan/round_plan.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WALL_START 1760000000000u /* a day in 2025 */

#define OK(call) assert_int_equal((call), FT_OK)

/* ---- the task ---- */

static struct ft_task_feature features[RIG_FEATURES] = { { (char *)(uintptr_t) "x", 0, 1 },
                                                         { (char *)(uintptr_t) "y", 0, 1 } };

static char *
text(const char *s)
{
    return (char *)(uintptr_t)s;
}

static void
task_defaults(struct rig *r)
{
    r->task = (struct ft_task){
        .name = text("first"),
        .purpose = text("train/propensity"),
        .owner = text("central"),
        .title = text("a test"),
        .expires = text("2030-12-31"),
        .review = text("2030-06-30"),
        .sql = text("SELECT customer_id, split, label, x, y FROM transactions"),
        .label = text("label"),
        .features = features,
        .feature_count = RIG_FEATURES,
        .rows_per_customer = 1,
        .rows_max = 1000,
        .label_min = 0,
        .label_max = 1,
        .model = FT_MODEL_LOGISTIC,
        .rounds = 3,
        .local_epochs = 1,
        .learning_rate = 0.1,
        .clip = 1,
        .weight_cap = 100,
        .server = FT_SERVER_FEDAVG,
        .server_learning_rate = 1,
        .server_beta2 = 0.99,
        .server_epsilon = 0.001,
        .seed = 1,
        .unit = FT_UNIT_CUSTOMER,
        .n_min = 3,
        .n_cap = 16,
        .h_min = 2,
        .corrupted = 1,
        .drop_permille = 250,
        .sigma = 40,
        .eta = 30,
        .suite = 2,
        .lane_bits = 32,
        .join_ms = 5000,
        .step_ms = 3000,
        .session_ms = 60000,
        .bins = 16,
        .calibration_bins = 4,
    };
    memcpy(r->task.deployment, r->deployment, 16);
}

void
rig_publish(struct rig *r, const char *name, bool start, uint8_t hash[32])
{
    struct ft_error err = { 0 };
    struct ft_buf signed_task = { 0 }, canonical = { 0 };
    uint8_t signed_hash[32];
    struct ft_task task = r->task;

    task.name = text(name);
    if (ft_task_validate(&task, &err) != FT_OK || ft_plan_privacy_derive(&task, &err) != FT_OK)
        fail_msg("%s", err.text);
    OK(ft_task_encode(&task, &canonical));
    ft_task_hash(ft_buf_bytes(&canonical), hash);
    OK(ft_task_sign(&task, r->task_sk, &signed_task));
    ft_blob_hash(ft_buf_bytes(&signed_task), signed_hash);
    OK(ft_store_task_put(r->db, hash, name, signed_hash, ft_buf_bytes(&signed_task), r->env.wall));
    if (start)
        OK(ft_store_task_set_state(r->db, hash, FT_TASK_RUNNING, r->env.wall));
    ft_buf_clear(&canonical);
    ft_buf_clear(&signed_task);
    if (r->engine != NULL)
        OK(ft_engine_reload(r->engine));
}

/* ---- one shop ---- */

static void
decide(void *ctx, const struct ft_task *task, const uint8_t hash[32], enum ft_vault_approval approval,
       struct ft_decision *out)
{
    const struct rig_shop *s = ctx;

    (void)hash;
    (void)approval;
    memset(out, 0, sizeof *out);
    out->verdict = s->word;
    out->codes[0] = s->reason;
    out->code_count = s->reason != 0;
    out->limits = (struct ft_ss_limits){ .n_min = task->n_min,
                                         .h_min = task->h_min,
                                         .corrupted = task->corrupted,
                                         .sigma = (uint8_t)task->sigma,
                                         .drop_permille = (uint16_t)task->drop_permille,
                                         .clip = 1e9,
                                         .deadline_ms_max = task->session_ms,
                                         .words_max = 1u << 20,
                                         .results_visible = true,
                                         .repeat_model_unnoised = true };
    out->limits.suites[1] = out->limits.suites[2] = true;
}

/* Rows with u = 1/2 in half of them less and half of them more: mean 1/2, and a variance that is above zero.
 */
static enum ft_status
contribute(void *ctx, const struct ft_work *work, uint64_t **words, uint32_t *code)
{
    struct rig_shop *s = ctx;
    const struct ft_layout *layout = &work->plan->layout;
    const struct ft_ss_codec *codec = &work->plan->codec;
    int64_t *z = ft_calloc(layout->dim, sizeof *z);
    enum ft_status st;

    (void)code;
    assert_non_null(z);
    s->contributions++;
    if (s->die_before_join)
        s->dies = true;
    if (s->contribute != NULL) {
        ft_free(z);
        return s->contribute(s, work, words);
    }
    for (size_t i = 0; i < layout->real_coordinates; i++) {
        double v = RIG_WEIGHT * (s->index + 1) / 1000.0;
        if (layout->stage == FT_STAGE_STATISTICS)
            v = i < RIG_FEATURES ? 0.5 * RIG_WEIGHT : 0.3 * RIG_WEIGHT;
        z[layout->metric_coordinates + i] = (int64_t)(v / codec->quant_step + 0.5);
    }
    *words = ft_big_alloc((size_t)codec->words * sizeof **words);
    assert_non_null(*words);
    st = ft_ss_pack(codec, RIG_WEIGHT, z, *words);
    if (layout->stage == FT_STAGE_TRAIN)
        (*words)[codec->check_lanes / codec->lanes] +=
            (uint64_t)s->weight_lie << codec->check_lanes % codec->lanes * codec->lane_bits;
    ft_free(z);
    return st;
}

/* These shops have no ledger: what is spent is what a test wants to know. */
static bool
can_pay(void *ctx, const uint8_t task_hash[32], uint64_t round)
{
    const struct rig_shop *s = ctx;
    (void)task_hash;
    return round > s->spent_round;
}

static enum ft_status
spend(void *ctx, const uint8_t task_hash[32], uint64_t round, const uint8_t session[32])
{
    struct rig_shop *s = ctx;
    (void)task_hash;
    (void)session;
    s->spent_round = round;
    return FT_OK;
}

static bool
unchanged(void *ctx)
{
    (void)ctx;
    return true;
}

void
rig_shop_up(struct rig *r, uint32_t i)
{
    struct rig_shop *s = &r->shops[i];
    const struct ft_participant_config config = {
        .world = { .env = &s->env.env,
                   .store = s->store,
                   .ctx = s,
                   .decide = decide,
                   .contribute = contribute,
                   .unchanged = unchanged,
                   .can_pay = can_pay,
                   .spend = spend },
        .pins = { .task_keys = (const uint8_t(*)[32])r->task_pk, .task_key_count = 1 },
        .identity_sk = s->identity_sk,
        .wait_ms = 10000,
        .until_done = s->until_done,
    };
    struct ft_participant_config c = config;
    struct ft_error err = { 0 };

    memcpy(c.pins.deployment, r->deployment, 16);
    memcpy(c.pins.registrar_key, r->registrar_pk, 32);
    memcpy(c.pins.aggregator_key, r->signing_pk, 32);
    if (s->world != NULL)
        c.world = *s->world;
    assert_null(s->participant);
    if (ft_participant_open(&c, &s->participant, &err) != FT_OK)
        fail_msg("%s", err.text);
    s->dies = false;
    s->idle_until_ms = 0;
}

static void
drop_calls(struct rig *r, struct rig_shop *s)
{
    if (r->engine != NULL) {
        ft_engine_sync_lost(r->engine, s->call);
        ft_engine_upload_close(r->engine, s->upload);
    }
    s->call = NULL;
    s->upload = NULL;
    s->busy = false;
}

void
rig_shop_down(struct rig *r, uint32_t i)
{
    struct rig_shop *s = &r->shops[i];

    drop_calls(r, s);
    ft_participant_close(s->participant);
    s->participant = NULL;
}

/* Hand an outcome to the client. Returns DATA it gives out, if any. */
static struct ft_out
give(struct rig_shop *s, struct ft_in *in)
{
    struct ft_out reply = { 0 };
    bool over = false;

    in->id = s->action.id;
    OK(ft_participant_take(s->participant, in, &reply, &over));
    if (over)
        s->busy = false;
    if (s->tap != NULL && reply.kind != 0)
        s->tap(s, &reply);
    return reply;
}

static void
give_reply(struct rig_shop *s, const struct ft_buf *reply)
{
    struct ft_in in = { .kind = FT_IN_REPLY, .reply = ft_buf_bytes(reply) };
    (void)give(s, &in);
}

static void
give_failure(struct rig_shop *s, enum ft_status st)
{
    struct ft_in in = { .kind = FT_IN_FAILED, .status = st };
    (void)give(s, &in);
}

static void
count_error(struct rig *r, enum ft_status st)
{
    r->engine_errors += st != FT_OK;
}

/* True when the call was answered. */
static bool
poll_call(struct rig *r, struct rig_shop *s, bool last)
{
    struct ft_buf reply = { 0 };
    bool ready = false;
    const enum ft_status st = ft_engine_sync_poll(r->engine, s->call, last, &reply, &ready);

    if (st == FT_OK && !ready)
        return false;
    ft_engine_sync_end(r->engine, s->call);
    s->call = NULL;
    if (st == FT_OK)
        give_reply(s, &reply);
    else
        give_failure(s, FT_ERR_PEER);
    ft_buf_clear(&reply);
    return true;
}

static void
start_sync(struct rig *r, struct rig_shop *s)
{
    const enum ft_status st = ft_engine_sync_begin(r->engine, s->number, s->action.request, &s->call);

    if (st != FT_OK) {
        give_failure(s, st == FT_ERR_NOTFOUND ? FT_ERR_REFUSED : FT_ERR_PEER);
        return;
    }
    s->call_until_ms = r->env.now + ft_engine_sync_wait_ms(s->call);
}

static void
do_download(struct rig *r, struct rig_shop *s)
{
    struct ft_blob *blob = NULL;
    struct ft_in in = { .kind = FT_IN_CHUNK, .offset = s->action.offset, .last = true };

    if (ft_engine_blob(r->engine, s->action.hash, &blob) != FT_OK) {
        give_failure(s, FT_ERR_NOTFOUND);
        return;
    }
    in.total = ft_blob_bytes(blob).size;
    in.data = FT_BYTES(ft_blob_bytes(blob).data + in.offset, in.total - in.offset);
    (void)give(s, &in);
    ft_engine_blob_release(r->engine, blob);
}

static void
give_uploaded(struct rig_shop *s, const struct ft_upload_reply *answer)
{
    struct ft_buf bytes = { 0 };
    struct ft_in in = { .kind = FT_IN_UPLOADED };

    OK(ft_upload_reply_encode(answer, &bytes));
    in.reply = ft_buf_bytes(&bytes);
    (void)give(s, &in);
    ft_buf_clear(&bytes);
}

/* One step of an upload: begin, a chunk, or the trailer. False while it waits for a slot. */
static bool
step_upload(struct rig *r, struct rig_shop *s)
{
    struct ft_upload_reply answer = { 0 };
    bool busy = false;

    if (s->upload == NULL) {
        OK(ft_engine_upload_begin(r->engine, s->number, s->action.header, &s->upload, &answer, &busy));
        if (busy)
            return false;
        s->uploaded = answer.offset;
        if (s->upload == NULL)
            give_uploaded(s, &answer);
        return true;
    }
    if (s->uploaded < s->action.size) {
        const uint64_t left = s->action.size - s->uploaded;
        struct ft_in want = { .kind = FT_IN_WANT,
                              .offset = s->uploaded,
                              .size = left < 4096 ? (uint32_t)left : 4096 };
        const struct ft_out data = give(s, &want);
        if (data.kind != FT_OUT_DATA || ft_engine_upload_chunk(s->upload, s->uploaded, data.data) != FT_OK) {
            ft_engine_upload_close(r->engine, s->upload);
            s->upload = NULL;
            if (s->busy)
                give_failure(s, FT_ERR_PEER);
            return true;
        }
        s->uploaded += want.size;
        return true;
    }
    ft_engine_upload_end(r->engine, s->upload, s->action.trailer, &answer);
    ft_engine_upload_close(r->engine, s->upload);
    s->upload = NULL;
    give_uploaded(s, &answer);
    return true;
}

/* Let one shop do one thing. True when something happened. */
static bool
step_shop(struct rig *r, struct rig_shop *s)
{
    struct ft_participant_status status;

    if (s->participant == NULL)
        return false;
    s->env.now = r->env.now;
    s->env.wall = r->env.wall;
    ft_participant_status(s->participant, &status);
    if (s->dies ||
        (s->die_at_step != FT_SS_STEP_NONE && status.session_step == s->die_at_step && s->call != NULL)) {
        rig_shop_down(r, s->index);
        return true;
    }
    if (s->call != NULL)
        return poll_call(r, s, r->env.now >= s->call_until_ms);
    if (!s->busy) {
        OK(ft_participant_next(s->participant, &s->action));
        s->busy = true;
        if (s->tap != NULL)
            s->tap(s, &s->action);
        if (s->action.kind == FT_OUT_IDLE)
            s->idle_until_ms = r->env.now + s->action.wait_ms;
        if (s->action.kind == FT_OUT_SYNC)
            start_sync(r, s);
        return true;
    }
    switch (s->action.kind) {
    case FT_OUT_DOWNLOAD:
        do_download(r, s);
        return true;
    case FT_OUT_UPLOAD:
        return step_upload(r, s);
    case FT_OUT_IDLE:
        if (r->env.now < s->idle_until_ms)
            return false;
        struct ft_in rested = { .kind = FT_IN_RESTED };
        (void)give(s, &rested);
        return true;
    default:
        return false;
    }
}

/* ---- the engine ---- */

static void
on_event(void *ctx, const struct ft_engine_event *event)
{
    struct rig *r = ctx;
    r->round_events[event->row->state]++;
}

void
rig_engine_up(struct rig *r)
{
    struct ft_engine_config config = {
        .env = &r->env.env,
        .signing_sk = r->signing_sk,
        .task_keys = (const uint8_t(*)[32])r->task_pk,
        .task_key_count = 1,
        .slots = r->slots,
        .event = on_event,
        .ctx = r,
    };
    struct ft_error err = { 0 };

    assert_null(r->engine);
    memcpy(config.deployment, r->deployment, 16);
    memcpy(config.registrar_pk, r->registrar_pk, 32);
    rig_store_over(&r->store, r->db, &config.store);
    if (ft_engine_open(&config, &r->engine, &err) != FT_OK)
        fail_msg("%s", err.text);
}

void
rig_engine_down(struct rig *r)
{
    for (uint32_t i = 0; i < r->shop_count; i++) {
        struct rig_shop *s = &r->shops[i];
        const bool busy = s->busy && s->action.kind != FT_OUT_IDLE;
        const bool idle = s->busy && !busy;
        drop_calls(r, s);
        if (busy && s->participant != NULL) {
            s->busy = true;
            give_failure(
                s, FT_ERR_PEER); /* the courier would keep trying; the client only sees that it took long */
        }
        s->busy = s->busy || idle;
    }
    ft_engine_close(r->engine);
    r->engine = NULL;
}

void
rig_reload(struct rig *r)
{
    OK(ft_engine_reload(r->engine));
}

static void
work(struct rig *r)
{
    count_error(r, ft_engine_tick(r->engine));
    if (!ft_engine_work_take(r->engine))
        return;
    ft_engine_work(r->engine);
    count_error(r, ft_engine_work_finish(r->engine));
}

static uint64_t
next_due(const struct rig *r)
{
    uint64_t due = ft_engine_next_deadline(r->engine);

    for (uint32_t i = 0; i < r->shop_count; i++) {
        const struct rig_shop *s = &r->shops[i];
        uint64_t at = UINT64_MAX;
        if (s->participant == NULL)
            continue;
        if (s->call != NULL)
            at = s->call_until_ms;
        else if (s->busy && s->action.kind == FT_OUT_IDLE)
            at = s->idle_until_ms;
        due = at < due ? at : due;
    }
    return due;
}

bool
rig_run(struct rig *r, bool (*until)(struct rig *, void *), void *ctx, uint64_t limit_ms)
{
    const uint64_t end = r->env.now + limit_ms;

    while (r->env.now <= end) {
        bool moved = false;
        uint64_t due;

        work(r);
        if (until(r, ctx))
            return true;
        for (uint32_t i = 0; i < r->shop_count; i++)
            moved |= step_shop(r, &r->shops[i]);
        if (moved)
            continue;
        work(r);
        due = next_due(r);
        if (due > end)
            break;
        if (due <= r->env.now)
            due = r->env.now + 1;
        r->env.wall += due - r->env.now;
        r->env.now = due;
    }
    return until(r, ctx);
}

/* ---- conditions and answers ---- */

bool
rig_never(struct rig *r, void *ctx)
{
    (void)r;
    (void)ctx;
    return false;
}

struct ft_task_row
rig_task_row(struct rig *r, const uint8_t hash[32])
{
    struct ft_task_row row;
    OK(ft_store_task(r->db, hash, &row));
    return row;
}

bool
rig_task_done(struct rig *r, void *hash)
{
    return rig_task_row(r, hash).state == FT_TASK_DONE;
}

struct ft_round_row *
rig_rounds(struct rig *r, size_t *count)
{
    struct ft_round_row *rows = NULL;
    OK(ft_store_rounds(r->db, NULL, 10000, &rows, count));
    return rows;
}

bool
rig_rounds_ended(struct rig *r, void *count)
{
    size_t n = 0;
    struct ft_round_row *rows = rig_rounds(r, &n);
    ft_round_rows_free(rows, n);
    return n >= *(const uint64_t *)count;
}

float
rig_parameter(struct rig *r, const uint8_t hash[32])
{
    struct ft_model_row *rows = NULL;
    struct ft_model_state state;
    struct ft_buf blob = { 0 };
    size_t count = 0;
    float value;

    OK(ft_store_models(r->db, hash, &rows, &count));
    assert_true(count > 0);
    OK(ft_store_blob(r->db, rows[count - 1].hash, &blob));
    OK(ft_model_state_decode(ft_buf_bytes(&blob), &state, NULL));
    value = state.params[0];
    ft_model_state_clear(&state);
    ft_buf_clear(&blob);
    ft_free(rows);
    return value;
}

double
rig_mean_step(const struct rig *r, uint32_t except)
{
    double sum = 0, n = 0;

    for (uint32_t i = 0; i < r->shop_count; i++) {
        if (i == except)
            continue;
        sum += (i + 1) / 1000.0;
        n++;
    }
    return sum / n;
}

/* ---- the whole ---- */

static void
enrol_all(struct rig *r)
{
    for (uint32_t i = 0; i < r->shop_count; i++) {
        struct rig_shop *s = &r->shops[i];
        char name[32], fingerprint[65];
        uint8_t token[32], request[32], pk[32];

        snprintf(name, sizeof name, "shop-%u", i);
        memset(token, (int)(i + 1), sizeof token);
        memset(request, (int)(i + 1), sizeof request);
        crypto_sign_keypair(pk, s->identity_sk);
        ft_hex(fingerprint, token, 32);
        OK(ft_store_shop_invite(r->db, name, token, r->env.wall + 1000, r->env.wall, &s->number));
        OK(ft_store_shop_enrol(r->db, token, request, fingerprint, pk, FT_BYTES("c", 1), r->env.wall));
    }
}

void
rig_roster(struct rig *r, uint64_t serial, uint32_t listed)
{
    struct ft_ss_roster roster = { .serial = serial, .count = listed, .corrupted = 1 };
    struct ft_buf signed_roster = { 0 };
    struct ft_error err = { 0 };
    uint8_t keys[RIG_SHOPS_MAX][32];

    memcpy(roster.deployment, r->deployment, 16);
    roster.members = ft_calloc(listed, sizeof *roster.members);
    assert_non_null(roster.members);
    for (uint32_t i = 0; i < listed; i++) {
        crypto_sign_ed25519_sk_to_pk(keys[i], r->shops[i].identity_sk);
        memcpy(roster.members[i].ed25519_pk, keys[i], 32);
        roster.members[i].status = FT_SS_ACTIVE;
        roster.members[i].not_after_ms = FT_SS_NEVER;
    }
    if (ft_ss_roster_sign(&roster, r->registrar_sk, &signed_roster, &err) != FT_OK)
        fail_msg("%s", err.text);
    OK(ft_store_roster_put(r->db, serial, ft_buf_bytes(&signed_roster), (const uint8_t(*)[32])keys, listed,
                           r->env.wall));
    ft_buf_clear(&signed_roster);
    ft_ss_roster_clear(&roster);
    if (r->engine != NULL)
        rig_reload(r);
}

void
rig_open(struct rig *r, uint32_t shops)
{
    rig_open_at(r, shops, shops, NULL);
}

void
rig_open_listing(struct rig *r, uint32_t shops, uint32_t listed)
{
    rig_open_at(r, shops, listed, NULL);
}

void
rig_open_at(struct rig *r, uint32_t shops, uint32_t listed, const char *path)
{
    memset(r, 0, sizeof *r);
    assert_true(sodium_init() >= 0);
    ft_log_open("test", getenv("RIG_LOG") != NULL ? FT_LOG_DEBUG : FT_LOG_ERROR,
                getenv("RIG_LOG") != NULL ? STDERR_FILENO : open("/dev/null", O_WRONLY | O_CLOEXEC));
    ft_env_seeded_init(&r->env, 1, 0);
    r->env.now = 1000;
    r->env.wall = WALL_START;
    r->shop_count = shops;
    r->env.env.random(r->env.env.ctx, r->deployment, 16);
    crypto_sign_keypair(r->registrar_pk, r->registrar_sk);
    crypto_sign_keypair(r->signing_pk, r->signing_sk);
    crypto_sign_keypair(r->task_pk[0], r->task_sk);
    if (path == NULL) {
        OK(ft_store_open_memory(r->deployment, &r->db, NULL));
    } else {
        OK(ft_store_create(path, r->deployment, NULL));
        OK(ft_store_open(path, &r->db, NULL));
    }
    task_defaults(r);
    for (uint32_t i = 0; i < shops; i++) {
        struct rig_shop *s = &r->shops[i];
        s->rig = r;
        s->index = i;
        s->word = FT_WORD_ACCEPTED;
        ft_env_seeded_init(&s->env, 1, i + 1);
        s->env.now = r->env.now;
        s->env.wall = r->env.wall;
        OK(ft_vault_store_memory(&s->store));
    }
    enrol_all(r);
    rig_roster(r, 1, listed);
    rig_engine_up(r);
    for (uint32_t i = 0; i < shops; i++)
        rig_shop_up(r, i);
}

void
rig_close(struct rig *r)
{
    for (uint32_t i = 0; i < r->shop_count; i++) {
        rig_shop_down(r, i);
        ft_vault_store_close(r->shops[i].store);
    }
    ft_engine_close(r->engine);
    ft_store_close(r->db);
}
