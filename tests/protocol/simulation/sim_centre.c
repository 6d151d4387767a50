/* The simulated centre: the real round engine over a database in memory that can fail, and the oracle of its sums. */
#include "sim.h"

#include "aggregator/round/engine.h"
#include "aggregator/round/wire_federation.h"
#include "common/base/alloc.h"
#include "common/plan/round_plan.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS_MAX 4096

struct commit {
    uint64_t round;
    uint8_t result[32];
};

struct sim_centre {
    struct sim *sim;
    const struct sim_world *world;
    struct ft_env_seeded env;
    uint64_t lives;
    struct ft_store *database; /* outlives kills */
    struct ft_round_store disk;
    bool disk_broken;
    struct ft_engine *engine;
    struct commit commits[ROUNDS_MAX];
    size_t commit_count;
    uint64_t abandoned;
    uint64_t log_size;
    uint64_t phase_round;
    uint32_t phase_attempt;
    int phase_rank;
};

/* ---- a disk that fails now and then: before the write, or after it ---- */

static bool
disk_fails(struct sim_centre *c)
{
    if (c->disk_broken)
        return true;
    if (!sim_strikes(c->sim, SIM_CENTRE_DISK))
        return false;
    c->disk_broken = sim_draw(c->sim, 4) == 0;
    return true;
}

static enum ft_status
session_begin(void *ctx, const struct ft_session_row *row, struct ft_bytes descriptor)
{
    struct sim_centre *c = ctx;
    return disk_fails(c) ? FT_ERR_FULL : c->disk.session_begin(c->disk.ctx, row, descriptor);
}

static enum ft_status
session_append(void *ctx, const struct ft_session_record *records, size_t count)
{
    struct sim_centre *c = ctx;
    return disk_fails(c) ? FT_ERR_FULL : c->disk.session_append(c->disk.ctx, records, count);
}

static enum ft_status
round_end(void *ctx, const struct ft_round_row *row, const struct ft_task_progress *progress)
{
    struct sim_centre *c = ctx;
    return disk_fails(c) ? FT_ERR_IO : c->disk.round_end(c->disk.ctx, row, progress);
}

static enum ft_status
round_commit(void *ctx, const struct ft_round_row *row, const struct ft_task_progress *progress,
             const struct ft_model_put *model, struct ft_bytes optimiser, bool task_done)
{
    struct sim_centre *c = ctx;
    return disk_fails(c) ? FT_ERR_IO : c->disk.round_commit(c->disk.ctx, row, progress, model, optimiser, task_done);
}

static enum ft_status
epoch_key_put(void *ctx, uint32_t epoch, uint32_t index, struct ft_bytes message)
{
    struct sim_centre *c = ctx;
    return disk_fails(c) ? FT_ERR_FULL : c->disk.epoch_key_put(c->disk.ctx, epoch, index, message);
}

static enum ft_status
directory_put(void *ctx, const uint8_t hash[32], struct ft_bytes bytes)
{
    struct sim_centre *c = ctx;
    return disk_fails(c) ? FT_ERR_FULL : c->disk.directory_put(c->disk.ctx, hash, bytes);
}

static enum ft_status
verdict_put(void *ctx, const uint8_t task[32], int64_t shop, uint32_t verdict, const char *codes, uint64_t now_ms)
{
    struct sim_centre *c = ctx;
    return disk_fails(c) ? FT_ERR_FULL : c->disk.verdict_put(c->disk.ctx, task, shop, verdict, codes, now_ms);
}

static enum ft_status
shops(void *ctx, struct ft_shop **out, size_t *count)
{
    struct sim_centre *c = ctx;
    return c->disk.shops(c->disk.ctx, out, count);
}

static enum ft_status
roster(void *ctx, uint64_t *serial, struct ft_buf *out)
{
    struct sim_centre *c = ctx;
    return c->disk.roster(c->disk.ctx, serial, out);
}

static enum ft_status
epoch(void *ctx, uint32_t *out, uint64_t *started)
{
    struct sim_centre *c = ctx;
    return c->disk.epoch(c->disk.ctx, out, started);
}

static enum ft_status
epoch_set(void *ctx, uint32_t number, uint64_t started)
{
    struct sim_centre *c = ctx;
    return disk_fails(c) ? FT_ERR_IO : c->disk.epoch_set(c->disk.ctx, number, started);
}

static enum ft_status
epoch_keys(void *ctx, uint32_t number, ft_epoch_key_visit *visit, void *visit_ctx)
{
    struct sim_centre *c = ctx;
    return c->disk.epoch_keys(c->disk.ctx, number, visit, visit_ctx);
}

static enum ft_status
directory(void *ctx, uint8_t hash[32], struct ft_buf *out)
{
    struct sim_centre *c = ctx;
    return c->disk.directory(c->disk.ctx, hash, out);
}

static enum ft_status
blob(void *ctx, const uint8_t hash[32], struct ft_buf *out)
{
    struct sim_centre *c = ctx;
    return c->disk.blob(c->disk.ctx, hash, out);
}

static enum ft_status
tasks(void *ctx, struct ft_task_row **out, size_t *count)
{
    struct sim_centre *c = ctx;
    return c->disk.tasks(c->disk.ctx, out, count);
}

static enum ft_status
task_signed(void *ctx, const uint8_t hash[32], uint8_t signed_hash[32], struct ft_buf *out)
{
    struct sim_centre *c = ctx;
    return c->disk.task_signed(c->disk.ctx, hash, signed_hash, out);
}

static enum ft_status
verdicts(void *ctx, const uint8_t task[32], struct ft_verdict_row **out, size_t *count)
{
    struct sim_centre *c = ctx;
    return c->disk.verdicts(c->disk.ctx, task, out, count);
}

static enum ft_status
session(void *ctx, struct ft_session_row *out, struct ft_buf *descriptor)
{
    struct sim_centre *c = ctx;
    return c->disk.session(c->disk.ctx, out, descriptor);
}

static enum ft_status
session_records(void *ctx, ft_record_visit *visit, void *visit_ctx)
{
    struct sim_centre *c = ctx;
    return c->disk.session_records(c->disk.ctx, visit, visit_ctx);
}

static enum ft_status
round_find(void *ctx, const uint8_t task[32], uint64_t round, uint32_t attempt, struct ft_round_row *out)
{
    struct sim_centre *c = ctx;
    return c->disk.round_find(c->disk.ctx, task, round, attempt, out);
}

static enum ft_status
model_first(void *ctx, const uint8_t task[32], const uint8_t hash[32], struct ft_bytes bytes,
            const struct ft_task_progress *progress)
{
    struct sim_centre *c = ctx;
    return disk_fails(c) ? FT_ERR_FULL : c->disk.model_first(c->disk.ctx, task, hash, bytes, progress);
}

static enum ft_status
ledger_heads(void *ctx, struct ft_ledger_row **out, size_t *count)
{
    struct sim_centre *c = ctx;
    return c->disk.ledger_heads(c->disk.ctx, out, count);
}

static enum ft_status
ledger_heads_put(void *ctx, const struct ft_ledger_row *rows, size_t count)
{
    struct sim_centre *c = ctx;
    return disk_fails(c) ? FT_ERR_IO : c->disk.ledger_heads_put(c->disk.ctx, rows, count);
}

static enum ft_status
optimiser(void *ctx, const uint8_t task[32], struct ft_buf *out)
{
    struct sim_centre *c = ctx;
    return c->disk.optimiser(c->disk.ctx, task, out);
}

/* ---- what comes out ---- */

/* Invariants 3, 4, 7 and 9: enough survivors; one commit a round; the sum of what they put in; one model. */
static void
judge_commit(struct sim_centre *c, const struct ft_engine_event *event)
{
    const struct ft_round_row *row = event->row;
    uint64_t *expected = NULL;
    uint32_t survivors = 0;

    for (size_t i = 0; i < c->commit_count; i++)
        if (c->commits[i].round == row->round)
            sim_violated(c->sim, "round %llu is committed twice", (unsigned long long)row->round);
    if (c->commit_count < ROUNDS_MAX) {
        c->commits[c->commit_count].round = row->round;
        memcpy(c->commits[c->commit_count++].result, row->result_hash, 32);
    }
    expected = ft_calloc(event->sum_word_count, 8);
    if (expected == NULL)
        return;
    bool known = true;
    uint64_t version = 0;
    for (uint32_t i = 0; i < c->world->shops; i++) {
        if ((event->survivors[i / 8] >> (i % 8) & 1) == 0)
            continue;
        const struct sim_input *input = sim_shop_input(c->sim, i);
        if (!input->made || input->count != event->sum_word_count || input->stage != row->stage) {
            sim_violated(c->sim, "round %llu counts shop %u, which has put in nothing of this form",
                         (unsigned long long)row->round, i);
            known = false;
            break;
        }
        if (survivors > 0 && input->version != version)
            sim_violated(c->sim, "round %llu adds updates to models %llu and %llu", (unsigned long long)row->round,
                         (unsigned long long)version, (unsigned long long)input->version);
        version = input->version;
        for (size_t w = 0; w < input->count; w++)
            expected[w] += input->words[w];
        survivors++;
    }
    const uint64_t due = row->stage == FT_STAGE_STATISTICS ? 0
                         : row->stage == FT_STAGE_TRAIN    ? event->trained - 1
                                                           : event->trained;
    if (known && version != due)
        sim_violated(c->sim, "round %llu adds updates to model %llu, model %llu was due", (unsigned long long)row->round,
                     (unsigned long long)version, (unsigned long long)due);
    if (known && survivors != row->survivors)
        sim_violated(c->sim, "round %llu says %u survivors, its bitmap %u", (unsigned long long)row->round, row->survivors,
                     survivors);
    if (survivors < c->world->task.n_min)
        sim_violated(c->sim, "round %llu reveals a sum over %u shops, the minimum is %u", (unsigned long long)row->round,
                     survivors, c->world->task.n_min);
    if (known && memcmp(expected, event->sum_words, event->sum_word_count * 8) != 0)
        sim_violated(c->sim, "round %llu: the revealed sum is not the sum of the survivors' inputs",
                     (unsigned long long)row->round);
    ft_free(expected);
}

static void
on_event(void *ctx, const struct ft_engine_event *event)
{
    struct sim_centre *c = ctx;
    sim_trace(c->sim, "round", event->row->round, (uint64_t)event->row->state, (struct ft_bytes){ event->row->result_hash, 32 });
    if (event->row->state == FT_ROUND_COMMITTED)
        judge_commit(c, event);
    else
        c->abandoned++;
    /* Everybody here is honest: a sum that fails its check is our own mistake, caught late. */
    if (event->row->reasons != NULL && (strstr(event->row->reasons, "SUM_UNUSABLE") != NULL ||
                                        strstr(event->row->reasons, "FAILED_SUM") != NULL))
        sim_violated(c->sim, "round %llu: the sum of honest shops fails its check", (unsigned long long)event->row->round);
}

/* Invariant 1: within a session, phases only move on (a restart starts again at what the log says). */
static int
rank_of(const char *phase)
{
    static const char *const order[] = { "idle",       "open",      "dealing",   "collecting", "confirming",
                                         "revealing", "unmasking", "repairing", "done",       "failed" };
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (strcasecmp(phase, order[i]) == 0)
            return (int)i;
    return -1;
}

void
sim_centre_check(struct sim_centre *c)
{
    struct ft_engine_status status;
    struct ft_error err = { 0 };
    uint64_t size = 0;
    uint8_t head[32];

    if (ft_store_log_head(c->database, &size, head) != FT_OK || size < c->log_size)
        sim_violated(c->sim, "the log shrank from %llu to %llu leaves", (unsigned long long)c->log_size,
                     (unsigned long long)size);
    if (size != c->log_size && ft_store_log_check(c->database, &err) != FT_OK)
        sim_violated(c->sim, "the log does not verify: %s", err.text);
    c->log_size = size;
    if (size < c->commit_count)
        sim_violated(c->sim, "%zu rounds were told to be committed, the log has %llu", c->commit_count,
                     (unsigned long long)size);
    if (c->engine == NULL)
        return;
    ft_engine_status(c->engine, &status);
    const int rank = rank_of(status.phase);
    if (rank < 0)
        sim_violated(c->sim, "a phase called '%s'", status.phase);
    if (status.session && status.round == c->phase_round && status.attempt == c->phase_attempt && rank < c->phase_rank &&
        !(c->phase_rank == rank_of("repairing") && rank == rank_of("unmasking")))
        sim_violated(c->sim, "round %llu went back to %s", (unsigned long long)status.round, status.phase);
    if (status.session && (status.round < c->phase_round ||
                           (status.round == c->phase_round && status.attempt < c->phase_attempt)))
        sim_violated(c->sim, "round %llu attempt %u comes after round %llu attempt %u", (unsigned long long)status.round,
                     status.attempt, (unsigned long long)c->phase_round, c->phase_attempt);
    if (status.session) {
        c->phase_round = status.round;
        c->phase_attempt = status.attempt;
        c->phase_rank = rank;
    }
}

/* ---- life and death ---- */

static enum ft_status
fill_database(struct sim_centre *c, const struct sim_world *w)
{
    enum ft_status st;
    uint8_t signed_hash[32];

    for (uint32_t i = 0; i < w->shops; i++) {
        char name[32], fingerprint[65];
        uint8_t token_hash[32], request_hash[32] = { 0 };
        int64_t id = 0;
        snprintf(name, sizeof name, "shop-%u", i);
        memset(token_hash, (int)i + 1, sizeof token_hash);
        ft_hex(fingerprint, token_hash, sizeof token_hash);
        FT_TRY(ft_store_shop_invite(c->database, name, token_hash, UINT64_MAX / 4, 1, &id));
        FT_TRY(ft_store_shop_enrol(c->database, token_hash, request_hash, fingerprint, w->identity_pk[i],
                                   FT_BYTES("pem", 3), 1));
    }
    FT_TRY(ft_store_roster_put(c->database, w->roster_serial, ft_buf_bytes(&w->signed_roster),
                               (const uint8_t(*)[32])w->identity_pk, w->shops, 1));
    ft_blob_hash(ft_buf_bytes(&w->signed_task), signed_hash);
    FT_TRY(ft_store_task_put(c->database, w->task_hash, w->task.name, signed_hash, ft_buf_bytes(&w->signed_task), 1));
    FT_TRY(ft_store_task_set_state(c->database, w->task_hash, FT_TASK_RUNNING, 1));
out:
    return st;
}

bool
sim_centre_start(struct sim_centre *c)
{
    const uint64_t now = c->env.now, wall = c->env.wall;
    struct ft_error err = { 0 };

    ft_env_seeded_init(&c->env, ft_random_u64(&c->env.env), 1000 + ++c->lives);
    c->env.now = now;
    c->env.wall = wall;
    c->disk_broken = false;
    c->phase_rank = 0; /* what its log says; the round itself may not go back */
    struct ft_engine_config config = {
        .env = &c->env.env,
        .store = { c, shops, roster, epoch, epoch_set, epoch_key_put, epoch_keys, directory_put, directory, blob, tasks,
                   task_signed, verdict_put, verdicts, session_begin, session_append, session, session_records, round_end,
                   round_commit, round_find, model_first, optimiser, ledger_heads, ledger_heads_put },
        .signing_sk = c->world->aggregator_sk,
        .task_keys = &c->world->task_pk,
        .task_key_count = 1,
        .slots = 2,
        .threads = 1,
        .event = on_event,
        .ctx = c,
    };
    memcpy(config.deployment, c->world->deployment, 16);
    memcpy(config.registrar_pk, c->world->registrar_pk, 32);
    const enum ft_status st = ft_engine_open(&config, &c->engine, &err);
    if (st != FT_OK && !c->disk_broken && st != FT_ERR_IO && st != FT_ERR_FULL)
        sim_violated(c->sim, "the centre does not start: %s %s", ft_status_name(st), err.text);
    return st == FT_OK;
}

struct sim_centre *
sim_centre_open(struct sim *s, const struct sim_world *w)
{
    struct sim_centre *c = ft_calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->sim = s;
    c->world = w;
    ft_env_seeded_init(&c->env, sim_draw(s, UINT64_MAX), 999);
    if (ft_store_open_memory(w->deployment, &c->database, NULL) != FT_OK || fill_database(c, w) != FT_OK) {
        sim_violated(s, "the register cannot be made");
        sim_centre_close(c);
        return NULL;
    }
    ft_round_store_over(c->database, &c->disk);
    return c;
}

void
sim_centre_kill(struct sim_centre *c)
{
    ft_engine_close(c->engine);
    c->engine = NULL;
}

void
sim_centre_close(struct sim_centre *c)
{
    if (c == NULL)
        return;
    sim_centre_kill(c);
    ft_store_close(c->database);
    ft_free(c);
}

bool
sim_centre_alive(const struct sim_centre *c)
{
    return c->engine != NULL;
}

bool
sim_centre_done(struct sim_centre *c)
{
    struct ft_task_row row;
    return ft_store_task(c->database, c->world->task_hash, &row) == FT_OK && row.state == FT_TASK_DONE;
}

struct ft_env_seeded *
sim_centre_clock(struct sim_centre *c)
{
    return &c->env;
}

void
sim_centre_counts(const struct sim_centre *c, uint64_t *commits, uint64_t *abandoned)
{
    *commits = c->commit_count;
    *abandoned = c->abandoned;
}

/* ---- calls ---- */

void *
sim_centre_sync(struct sim_centre *c, uint32_t shop, struct ft_bytes request)
{
    struct ft_engine_call *call = NULL;
    const enum ft_status st = ft_engine_sync_begin(c->engine, (int64_t)shop + 1, request, &call);
    return st == FT_OK ? call : NULL;
}

bool
sim_centre_poll(struct sim_centre *c, void *call, bool last, struct ft_buf *reply)
{
    bool ready = false;
    reply->size = 0;
    if (ft_engine_sync_poll(c->engine, call, last, reply, &ready) != FT_OK)
        return false;
    if (last && !ready)
        sim_violated(c->sim, "a call whose time is up has no reply");
    return ready;
}

void
sim_centre_end(struct sim_centre *c, void *call)
{
    ft_engine_sync_end(c->engine, call);
}

enum sim_upload
sim_centre_upload(struct sim_centre *c, uint32_t shop, struct ft_bytes header, void **upload, uint64_t *offset,
                  struct ft_buf *reply)
{
    struct ft_engine_upload *u = NULL;
    struct ft_upload_reply answer = { 0 };
    bool busy = false;

    *upload = NULL;
    if (ft_engine_upload_begin(c->engine, (int64_t)shop + 1, header, &u, &answer, &busy) != FT_OK)
        return SIM_UPLOAD_BROKEN;
    if (busy)
        return SIM_UPLOAD_BUSY;
    if (u != NULL) {
        *upload = u;
        *offset = answer.offset;
        return SIM_UPLOAD_START;
    }
    reply->size = 0;
    if (ft_upload_reply_encode(&answer, reply) != FT_OK)
        return SIM_UPLOAD_BROKEN;
    return SIM_UPLOAD_ANSWERED;
}

bool
sim_centre_upload_chunk(struct sim_centre *c, void *upload, uint64_t offset, struct ft_bytes chunk)
{
    (void)c;
    return ft_engine_upload_chunk(upload, offset, chunk) == FT_OK;
}

void
sim_centre_upload_end(struct sim_centre *c, uint32_t shop, void *upload, struct ft_bytes trailer, struct ft_buf *reply)
{
    struct ft_upload_reply answer = { 0 };
    (void)shop;
    ft_engine_upload_end(c->engine, upload, trailer, &answer);
    reply->size = 0;
    if (ft_upload_reply_encode(&answer, reply) != FT_OK)
        sim_violated(c->sim, "out of memory");
}

void
sim_centre_upload_close(struct sim_centre *c, void *upload)
{
    ft_engine_upload_close(c->engine, upload);
}

bool
sim_centre_blob(struct sim_centre *c, const uint8_t hash[32], struct ft_buf *out)
{
    struct ft_blob *found = NULL;
    if (ft_engine_blob(c->engine, hash, &found) != FT_OK)
        return false;
    const struct ft_bytes bytes = ft_blob_bytes(found);
    const bool ok = ft_buf_append(out, bytes.data, bytes.size) == FT_OK;
    ft_engine_blob_release(c->engine, found);
    return ok;
}

void
sim_centre_tick(struct sim_centre *c)
{
    enum ft_status st = ft_engine_tick(c->engine);
    while (st == FT_OK && ft_engine_work_take(c->engine)) {
        ft_engine_work(c->engine);
        st = ft_engine_work_finish(c->engine);
    }
    (void)st; /* a failing store: nothing is lost, the next tick tries again */
}

uint64_t
sim_centre_deadline(const struct sim_centre *c)
{
    return ft_engine_next_deadline(c->engine);
}

uint64_t
sim_centre_version(const struct sim_centre *c)
{
    return ft_engine_version(c->engine);
}
