/*
 * The round engine: from shops that call to models that are committed. It knows the shops, asks them for what
 * a secure sum needs (epoch key, directory, a verdict on the task), opens sessions, drives ft_ss_server,
 * turns each sum into the next model and commits it. No sockets, no files, no clock of its own: time and
 * randomness come from ft_env, memory from ft_round_store, so that the simulator can own them all.
 *
 *   task:   STATISTICS -> TRAIN x rounds -> EVALUATE -> done         each arrow is one committed round
 *           kind statistics: STATISTICS -> done, its result stored as model version 1
 *   round:  idle -> session (ft_ss_server's phases)
 *             -> committed
 *             -> failed: nobody can have uploaded; the next attempt of the round
 *             -> abandoned: its number is spent; the next one does its work
 *
 * Invariants:
 *   1. A session's (task, round, attempt) is stored before it is announced and is above every earlier one.
 *   2. What follows from a round is stored in one transaction (R4) before anybody is told.
 *   3. A stored session is resumed from its records, or abandoned; never started again under its numbers.
 *   4. Every wait has a deadline: next_deadline is UINT64_MAX only when a shop or a command must move first.
 *   5. Small state per shop; one running sum and `slots` uploads in flight (ft_ss_server).
 *
 * Not thread-safe: the caller's lock guards every call, but for ft_engine_upload_chunk and ft_engine_work,
 * which run without it. `const uint8_t hash[32]` is borrowed for the call.
 */
#ifndef FT_ROUND_ENGINE_H
#define FT_ROUND_ENGINE_H

#include "aggregator/round/store.h"
#include "common/base/env.h"

struct ft_engine;
struct ft_engine_call;
struct ft_engine_upload;

/* For the progress line, the log and the simulator's oracle. All borrowed for the call. */
struct ft_engine_event {
    const struct ft_round_row *row; /* reasons and metrics are JSON */
    uint32_t trained;               /* TRAIN rounds committed so far */
    uint32_t rounds;                /* that the task asks for */
    uint32_t dropped;               /* of the cohort, without the survivors */
    bool task_done;
    const char *task_name;
    const uint64_t *sum_words; /* the packed sum, COMMITTED only */
    size_t sum_word_count;
    const uint8_t *survivors; /* bitmap over the roster, COMMITTED only */
    size_t survivors_size;
};

struct ft_engine_config {
    const struct ft_env *env;
    struct ft_round_store store;
    uint8_t deployment[16];
    const uint8_t *signing_sk; /* 64 bytes, borrowed; signs what shops must not be told two of */
    uint8_t registrar_pk[32];
    const uint8_t (*task_keys)[32]; /* borrowed */
    size_t task_key_count;
    uint32_t slots;       /* uploads in flight; 0: 8 */
    unsigned threads;     /* for unmasking; 0: 1 */
    uint64_t epoch_ms;    /* an epoch's length; 0: 24 h */
    uint64_t presence_ms; /* a shop not heard of for so long is not waited for; 0: 5,000 */
    uint64_t min_group;   /* figures about fewer rows are withheld from reports; 0: FT_MIN_GROUP */
    uint64_t lost_ms;     /* after its connection broke, a shop has so long to call again; 0: 1,500 */
    void (*event)(void *ctx, const struct ft_engine_event *event); /* may be NULL */
    void *ctx;
};

/* Read everything from the store and take an unfinished session up again. Errors: VERIFY (roster), and the
 * store's. */
FT_NODISCARD enum ft_status ft_engine_open(const struct ft_engine_config *config, struct ft_engine **out,
                                           struct ft_error *err);
void ft_engine_close(struct ft_engine *e); /* NULL is allowed; no call, upload or blob may be left */

/* Another process has changed the database: shops, roster, tasks. Errors: the store's. */
FT_NODISCARD enum ft_status ft_engine_reload(struct ft_engine *e);

/* Let time pass and do what is due. Errors: the store's: nothing is lost, call again; FULL is for the
 * operator. */
FT_NODISCARD enum ft_status ft_engine_tick(struct ft_engine *e);
uint64_t ft_engine_next_deadline(const struct ft_engine *e); /* in now_ms */
/* Changes whenever a parked call may have an answer, or an upload that was told to wait a slot. */
uint64_t ft_engine_version(const struct ft_engine *e);

/* Unmasking takes long, so it runs without the lock: when take() says so, call work() without and then
 * finish() with the lock. Only one thread does this. */
bool ft_engine_work_waits(const struct ft_engine *e); /* take would say so */
bool ft_engine_work_take(struct ft_engine *e);
void ft_engine_work(struct ft_engine *e);
FT_NODISCARD enum ft_status ft_engine_work_finish(struct ft_engine *e);

/*
 * A Sync call of the shop with this number in the register. begin takes in what the request brings: epoch
 * key, verdicts, the answer to the last step. poll then says what to reply; without an answer yet, *ready is
 * false and the call is parked: poll again when the version has changed, and with `last` when its time is up
 * (then there always is one). Errors of begin: FORMAT (not a SyncRequest), NOTFOUND (no such shop), NOMEM. Of
 * poll: NOMEM.
 */
FT_NODISCARD enum ft_status ft_engine_sync_begin(struct ft_engine *e, int64_t shop, struct ft_bytes request,
                                                 struct ft_engine_call **out);
FT_NODISCARD enum ft_status ft_engine_sync_poll(struct ft_engine *e, struct ft_engine_call *call, bool last,
                                                struct ft_buf *reply, bool *ready);
uint32_t ft_engine_sync_wait_ms(const struct ft_engine_call *call); /* how long it may be parked */
void ft_engine_sync_end(struct ft_engine *e,
                        struct ft_engine_call *call); /* answered; NULL is allowed, also below */
/* The end of a call whose connection broke. A shop that does not call again within lost_ms is not waited for
 * where the cohort can do without it. */
void ft_engine_sync_lost(struct ft_engine *e, struct ft_engine_call *call);

/*
 * An upload. begin answers the header: *upload is set and START with an offset, or NULL and DONE, REJECTED or
 * RETRY. With *busy all slots are taken: nothing to reply yet, begin again when the version changes. chunk
 * runs without the lock; its errors (STATE, ARGUMENT, LIMIT) end the stream: the shop starts a new one. end
 * answers the trailer. close releases the reference; a slot that is not finished stays reserved for a resume.
 */
struct ft_upload_reply;
FT_NODISCARD enum ft_status ft_engine_upload_begin(struct ft_engine *e, int64_t shop, struct ft_bytes header,
                                                   struct ft_engine_upload **upload,
                                                   struct ft_upload_reply *reply, bool *busy);
FT_NODISCARD enum ft_status ft_engine_upload_chunk(struct ft_engine_upload *upload, uint64_t offset,
                                                   struct ft_bytes chunk);
void ft_engine_upload_end(struct ft_engine *e, struct ft_engine_upload *upload, struct ft_bytes trailer,
                          struct ft_upload_reply *reply);
void ft_engine_upload_close(struct ft_engine *e, struct ft_engine_upload *upload);

/* A blob that shops may fetch: the directory, tasks, models. The reference keeps the bytes alive. `sent`
 * counts what goes out into the round's bytes. Errors: NOTFOUND, LATER (too many old ones are being fetched),
 * the store's. */
struct ft_blob;
FT_NODISCARD enum ft_status ft_engine_blob(struct ft_engine *e, const uint8_t hash[32], struct ft_blob **out);
struct ft_bytes ft_blob_bytes(const struct ft_blob *blob);
void ft_engine_blob_release(struct ft_engine *e, struct ft_blob *blob);
void ft_engine_sent(struct ft_engine *e, uint64_t size);

/* For `status` and tests. */
struct ft_engine_status {
    bool session;
    uint8_t task[32]; /* of the session, else of the running task; zeros when none */
    uint64_t round;
    uint32_t attempt, stage;
    const char *phase; /* "idle" without a session */
    uint32_t shops, present, ready;
    uint32_t joined, uploaded;
    uint32_t epoch;
    uint64_t roster_serial;
};
void ft_engine_status(const struct ft_engine *e, struct ft_engine_status *out);

#endif
