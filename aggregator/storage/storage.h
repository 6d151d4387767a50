/*
 * What the aggregator must remember: shops, rosters, tasks, models, rounds and the transparency log, in one
 * SQLite database (`fedtill.db`). Nothing outside the *_sqlite.c files knows SQLite.
 *
 * Invariants:
 *   1. The database runs with journal_mode=WAL and synchronous=FULL; both are read back at open and anything
 *      else is refused. The file has mode 0600. So a call that returned FT_OK survives a power cut.
 *   2. A round is committed by one transaction: round row, model, optimiser state, the task's progress, log
 *      leaf, and the deletion of its session's records. There is no state in between.
 *   3. (task, round, attempt) ends once: a second commit or end of it is refused with DUPLICATE.
 *   4. The log only grows; leaf i holds the head over the leaves before it.
 *   5. A roster serial, and the place of an identity key in the roster, never change once stored.
 *
 * Several processes may have the database open (the server and its commands). Not thread-safe: one handle,
 * one thread at a time. Every call may return IO, FULL (disk), NOMEM or LATER (another process held the lock
 * too long), beside the errors named with it. Arrays handed out are freed with ft_free.
 */
#ifndef FT_STORAGE_STORAGE_H
#define FT_STORAGE_STORAGE_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_STORE_SCHEMA_VERSION 1
#define FT_SHOP_NAME_MAX        64
#define FT_TASK_NAME_MAX        48

struct ft_store;

/* Make a database that does not exist yet. Errors: DUPLICATE. */
FT_NODISCARD enum ft_status ft_store_create(const char *path, const uint8_t deployment[16],
                                            struct ft_error *err);

/* Open one. Errors: NOTFOUND; VERIFY (damaged; the sentence says how to restore); CONFIG (another schema
 * version, a mode that lets others read, WAL or FULL not in force). */
FT_NODISCARD enum ft_status ft_store_open(const char *path, struct ft_store **out, struct ft_error *err);

/* One in memory, for tests and simulations: nothing of it survives the handle. */
FT_NODISCARD enum ft_status ft_store_open_memory(const uint8_t deployment[16], struct ft_store **out,
                                                 struct ft_error *err);
void ft_store_close(struct ft_store *s); /* NULL is allowed */

void ft_store_deployment(struct ft_store *s, uint8_t out[16]);

/* A number that changes whenever another process has changed the database. */
FT_NODISCARD enum ft_status ft_store_data_version(struct ft_store *s, uint64_t *out);

/* ---- shops ------------------------------------------------------------------------------------------------
 *
 *   INVITED --enrol--> ACTIVE <--suspend, resume--> SUSPENDED;    any --revoke--> REVOKED, for good
 */
enum ft_shop_state { FT_SHOP_INVITED = 1, FT_SHOP_ACTIVE = 2, FT_SHOP_SUSPENDED = 3, FT_SHOP_REVOKED = 4 };
const char *ft_shop_state_name(enum ft_shop_state state);

struct ft_shop {
    int64_t id;                      /* number in the register, never reused */
    char name[FT_SHOP_NAME_MAX + 1]; /* [a-z0-9-]{1,64} */
    enum ft_shop_state state;
    char fingerprint[65]; /* SHA-256 of the client certificate in lower-case hex; empty before enrolment */
    uint8_t identity_key[32]; /* Ed25519; zeros before enrolment */
    int64_t roster_index;     /* place in the roster, -1 before the registrar has signed it in */
    uint64_t invited_ms, enrolled_ms, changed_ms; /* wall clock; 0 when it has not happened */
};

/* Invite a shop: a new row, or another token for one that has not enrolled yet (earlier tokens of it stop
 * working). Errors: DUPLICATE (enrolled already), REFUSED (revoked). */
FT_NODISCARD enum ft_status ft_store_shop_invite(struct ft_store *s, const char *name,
                                                 const uint8_t token_hash[32], uint64_t expires_ms,
                                                 uint64_t now_ms, int64_t *id);

/* What a token stands for. Errors: NOTFOUND. */
struct ft_token {
    int64_t shop;
    uint64_t expires_ms, used_ms; /* used_ms 0: unused */
    uint8_t request_hash[32];     /* of the request that used it: the same bytes again get the same answer */
};
FT_NODISCARD enum ft_status ft_store_token(struct ft_store *s, const uint8_t token_hash[32],
                                           struct ft_token *out);

/* Spend the token and make the shop ACTIVE with this certificate and identity, in one transaction.
 * `certificate` is kept, so that a repeated request can be answered. Errors: REFUSED (token used or expired
 * meanwhile, shop not INVITED), DUPLICATE (fingerprint or identity key is another shop's). */
FT_NODISCARD enum ft_status ft_store_shop_enrol(struct ft_store *s, const uint8_t token_hash[32],
                                                const uint8_t request_hash[32], const char *fingerprint,
                                                const uint8_t identity_key[32], struct ft_bytes certificate,
                                                uint64_t now_ms);

FT_NODISCARD enum ft_status ft_store_shops(struct ft_store *s, struct ft_shop **out,
                                           size_t *count); /* by id */
FT_NODISCARD enum ft_status ft_store_shop_by_name(struct ft_store *s, const char *name, struct ft_shop *out);
FT_NODISCARD enum ft_status ft_store_shop_by_fingerprint(struct ft_store *s, const char *fingerprint,
                                                         struct ft_shop *out);
FT_NODISCARD enum ft_status ft_store_shop_certificate(struct ft_store *s, int64_t id, struct ft_buf *out);
/* Errors: NOTFOUND, REFUSED (move not in the diagram above). */
FT_NODISCARD enum ft_status ft_store_shop_set_state(struct ft_store *s, int64_t id, enum ft_shop_state state,
                                                    uint64_t now_ms);

/* The highest head of each shop's privacy ledger: number of a record (little-endian) and its chain. */
#define FT_LEDGER_HEAD_SIZE 40
struct ft_ledger_row {
    int64_t shop;
    uint8_t head[FT_LEDGER_HEAD_SIZE];
};
FT_NODISCARD enum ft_status ft_store_ledger_heads(struct ft_store *s, struct ft_ledger_row **out,
                                                  size_t *count); /* by shop */
/* All in one transaction; a stored head never falls. */
FT_NODISCARD enum ft_status ft_store_ledger_heads_put(struct ft_store *s, const struct ft_ledger_row *rows,
                                                      size_t count);

/* ---- rosters, epoch keys, blobs ---------------------------------------------------------------------------
 */

/* Store a signed roster whose serial is above every stored one, and give each shop its place: keys[i] is the
 * identity key at place i. Errors: DUPLICATE (serial not above), VERIFY (a shop's place would change). */
FT_NODISCARD enum ft_status ft_store_roster_put(struct ft_store *s, uint64_t serial,
                                                struct ft_bytes signed_roster, const uint8_t (*keys)[32],
                                                size_t count, uint64_t now_ms);
/* The newest one. Errors: NOTFOUND. */
FT_NODISCARD enum ft_status ft_store_roster(struct ft_store *s, uint64_t *serial,
                                            struct ft_buf *signed_roster);

struct ft_epoch_key {
    uint32_t index; /* place in the roster */
    struct ft_bytes message;
};
FT_NODISCARD enum ft_status ft_store_epoch(struct ft_store *s, uint32_t *epoch,
                                           uint64_t *started_ms); /* 0 before the first */
/* Also drops older keys. */
FT_NODISCARD enum ft_status ft_store_epoch_set(struct ft_store *s, uint32_t epoch, uint64_t started_ms);
FT_NODISCARD enum ft_status ft_store_epoch_key_put(struct ft_store *s, uint32_t epoch, uint32_t index,
                                                   struct ft_bytes message);
/* Calls visit for each key of the epoch, by index; the bytes are borrowed for the call. */
FT_NODISCARD enum ft_status
ft_store_epoch_keys(struct ft_store *s, uint32_t epoch,
                    enum ft_status (*visit)(void *ctx, const struct ft_epoch_key *key), void *ctx);

/* The published directory, as the blob shops fetch; a new one replaces it. A session is bound to it, so that
 * a restart finds it even when keys have come in since. Errors of the second: NOTFOUND. */
FT_NODISCARD enum ft_status ft_store_directory_put(struct ft_store *s, const uint8_t hash[32],
                                                   struct ft_bytes bytes);
FT_NODISCARD enum ft_status ft_store_directory(struct ft_store *s, uint8_t hash[32], struct ft_buf *out);

/* Blobs are found by the hash their owner gives them; storing one again changes nothing. */
FT_NODISCARD enum ft_status ft_store_blob_put(struct ft_store *s, const uint8_t hash[32], const char *kind,
                                              struct ft_bytes bytes);
FT_NODISCARD enum ft_status ft_store_blob(struct ft_store *s, const uint8_t hash[32], struct ft_buf *out);

/* ---- tasks
 * -------------------------------------------------------------------------------------------------
 *
 *   PUBLISHED --start--> RUNNING <--pause, resume--> PAUSED;   RUNNING --> DONE;   all but DONE --stop-->
 * STOPPED
 */
enum ft_task_state {
    FT_TASK_PUBLISHED = 1,
    FT_TASK_RUNNING = 2,
    FT_TASK_PAUSED = 3,
    FT_TASK_STOPPED = 4,
    FT_TASK_DONE = 5,
};
const char *ft_task_state_name(enum ft_task_state state);

/* What a task has come to. Written together with the rounds it comes from. */
struct ft_task_progress {
    uint32_t stage;           /* of the next round; enum ft_stage of common/model/state */
    uint32_t trained;         /* TRAIN rounds committed */
    uint64_t version;         /* of the current model */
    uint64_t last_round;      /* highest round number ever announced; 0 none */
    uint32_t last_attempt;    /* of that round */
    bool round_open;          /* last_round may be attempted again; else the next number is due */
    uint8_t model_hash[32];   /* current model's blob; zeros before the first */
    uint8_t lineage_hash[32]; /* binds the current model to the round it came from; zeros before the first */
};

struct ft_task_row {
    uint8_t hash[32];
    char name[FT_TASK_NAME_MAX + 1];
    enum ft_task_state state;
    uint64_t published_ms, changed_ms;
    struct ft_task_progress progress;
};

/* `hash` names the task; its signed form is kept as a blob under signed_hash. Errors: DUPLICATE. */
FT_NODISCARD enum ft_status ft_store_task_put(struct ft_store *s, const uint8_t hash[32], const char *name,
                                              const uint8_t signed_hash[32], struct ft_bytes signed_task,
                                              uint64_t now_ms);
FT_NODISCARD enum ft_status ft_store_tasks(struct ft_store *s, struct ft_task_row **out, size_t *count);
FT_NODISCARD enum ft_status ft_store_task(struct ft_store *s, const uint8_t hash[32],
                                          struct ft_task_row *out);
FT_NODISCARD enum ft_status ft_store_task_signed(struct ft_store *s, const uint8_t hash[32],
                                                 uint8_t signed_hash[32], struct ft_buf *signed_task);
/* Errors: NOTFOUND, REFUSED (move not in the diagram above). Setting the state it has is fine. */
FT_NODISCARD enum ft_status ft_store_task_set_state(struct ft_store *s, const uint8_t hash[32],
                                                    enum ft_task_state state, uint64_t now_ms);

/* A shop's newest word on a task. `codes` is a list of u32 as little-endian bytes. */
struct ft_verdict_row {
    int64_t shop;
    uint32_t verdict;
    char codes[160]; /* decimal, separated by commas */
    uint64_t at_ms;
};
FT_NODISCARD enum ft_status ft_store_verdict_put(struct ft_store *s, const uint8_t task[32], int64_t shop,
                                                 uint32_t verdict, const char *codes, uint64_t now_ms);
FT_NODISCARD enum ft_status ft_store_verdicts(struct ft_store *s, const uint8_t task[32],
                                              struct ft_verdict_row **out, size_t *count);

/* ---- sessions and rounds
 * ----------------------------------------------------------------------------------- */

struct ft_session_row {
    uint8_t task[32];
    uint64_t round;
    uint32_t attempt;
    uint32_t stage;
    uint64_t started_ms;
};

/* Store a session's descriptor and move the task's last_round and last_attempt to it, in one transaction,
 * before anything of it is announced. Errors: DUPLICATE (a session is open, or (round, attempt) is not above
 * the last). */
FT_NODISCARD enum ft_status ft_store_session_begin(struct ft_store *s, const struct ft_session_row *row,
                                                   struct ft_bytes descriptor);

/* One message or decision of the open session, in the order they were accepted. */
struct ft_session_record {
    uint32_t kind;  /* the engine's */
    uint32_t index; /* roster place of the sender, or 0 */
    struct ft_bytes bytes;
};
/* Append all of them in one transaction. */
FT_NODISCARD enum ft_status ft_store_session_append(struct ft_store *s,
                                                    const struct ft_session_record *records, size_t count);
/* The open session, if there is one (NOTFOUND else), and its records in order (borrowed for the call). */
FT_NODISCARD enum ft_status ft_store_session(struct ft_store *s, struct ft_session_row *out,
                                             struct ft_buf *descriptor);
FT_NODISCARD enum ft_status
ft_store_session_records(struct ft_store *s,
                         enum ft_status (*visit)(void *ctx, const struct ft_session_record *r), void *ctx);

enum ft_round_state { FT_ROUND_COMMITTED = 1, FT_ROUND_FAILED = 2, FT_ROUND_ABANDONED = 3 };
const char *ft_round_state_name(enum ft_round_state state);

/* How a session ended. FAILED: nobody can have uploaded, the round may be attempted again. ABANDONED: the
 * round's number is spent, the next does its work. */
struct ft_round_row {
    uint8_t task[32];
    uint64_t round;
    uint32_t attempt;
    uint32_t stage;
    enum ft_round_state state;
    uint32_t cohort, survivors;
    uint64_t started_ms, ended_ms;
    uint64_t bytes_in, bytes_out;
    uint8_t model_hash[32];  /* the model the round worked on */
    uint8_t result_hash[32]; /* H("result"; T3, SHA-256(result)); zeros unless COMMITTED */
    uint8_t transcript[32];  /* T3; zeros unless COMMITTED */
    char *reasons;           /* JSON: per shop, why it was left out; and why the session failed */
    char *metrics;           /* JSON: what the sum said about the model the round worked on */
};
void ft_round_rows_free(struct ft_round_row *rows, size_t count);

/* End the open session without a result. progress is the task's afterwards. */
FT_NODISCARD enum ft_status ft_store_round_end(struct ft_store *s, const struct ft_round_row *row,
                                               const struct ft_task_progress *progress);

/* The model a round made. `hash` is the blob's. */
struct ft_model_put {
    uint8_t hash[32];
    struct ft_bytes blob;
    uint64_t version;
};
/* Commit the open session: everything of invariant 2. `model` may be NULL (an evaluation makes none).
 * `optimiser` replaces the task's optimiser state unless empty. task_done moves the task to DONE. */
FT_NODISCARD enum ft_status ft_store_round_commit(struct ft_store *s, const struct ft_round_row *row,
                                                  const struct ft_task_progress *progress,
                                                  const struct ft_model_put *model, struct ft_bytes optimiser,
                                                  bool task_done);
/* What a task's first round works on, which no round made and which is no version of the model yet: blob and
 * progress in one transaction. */
FT_NODISCARD enum ft_status ft_store_model_first(struct ft_store *s, const uint8_t task[32],
                                                 const uint8_t hash[32], struct ft_bytes blob,
                                                 const struct ft_task_progress *progress);
/* The task's optimiser state; empty when none is stored. */
FT_NODISCARD enum ft_status ft_store_optimiser(struct ft_store *s, const uint8_t task[32],
                                               struct ft_buf *out);

/* Rounds of a task (all tasks when NULL), oldest first, at most the newest `limit`. */
FT_NODISCARD enum ft_status ft_store_rounds(struct ft_store *s, const uint8_t *task, size_t limit,
                                            struct ft_round_row **out, size_t *count);

/* One of them; its reasons and metrics are left NULL. Errors: NOTFOUND. */
FT_NODISCARD enum ft_status ft_store_round_find(struct ft_store *s, const uint8_t task[32], uint64_t round,
                                                uint32_t attempt, struct ft_round_row *out);

struct ft_model_row {
    uint8_t task[32];
    uint64_t version;
    uint8_t hash[32];
    uint64_t created_ms;
    uint64_t round; /* that made it; 0 for the first */
    uint64_t size;  /* bytes of the blob */
};
FT_NODISCARD enum ft_status ft_store_models(struct ft_store *s, const uint8_t *task,
                                            struct ft_model_row **out, size_t *count);

/* ---- transparency log
 * -------------------------------------------------------------------------------------- A leaf is the
 * canonical bytes of a committed round, with the head over all leaves before it: head_0 = zeros, head_{i+1} =
 * BLAKE2b-256("FLLOG1/leaf" || leaf_i), and leaf_i starts with u64(i) || head_i.
 */
FT_NODISCARD enum ft_status ft_store_log_head(struct ft_store *s, uint64_t *size, uint8_t head[32]);
/* Recompute the chain. Errors: VERIFY (with the first bad leaf in *err). */
FT_NODISCARD enum ft_status ft_store_log_check(struct ft_store *s, struct ft_error *err);

#endif
