/*
 * The vault's brain: what this shop does in the federation, as a state machine without sockets, clock or
 * files. The caller carries its actions to the courier and brings the outcomes back; a simulation does the
 * same in one process.
 *
 *            next: SYNC           reply WAIT                    -> SYNC
 *                                 reply EPOCH                   -> make a key, SYNC with it
 *                                 reply DIRECTORY, TASK         -> DOWNLOAD, check, SYNC
 *                                 reply SESSION, an Announce    -> decide, DOWNLOAD the model, contribute,
 * join, SYNC reply SESSION, Deliver        -> check consent again, mask, UPLOAD, SYNC reply SESSION, other ->
 * answer, SYNC
 *
 * Invariants
 *   1. One action is outstanding at a time. Outcomes that are not of it, or not in its order, are the
 * courier's fault (FORMAT), and nothing changes.
 *   2. No contribution is computed before the shop's policy has accepted the task, now; none is masked unless
 * nothing happened since that could change who is eligible (S-13).
 *   3. What is sent twice has the same bytes.
 *   4. Every journal record is durable before the message it permits exists (secure_sum/client.h).
 *   5. Whatever the aggregator or the courier sends, memory stays within the limits below, and no wait is
 * without end.
 *
   6. A contribution with noise is paid for in the privacy ledger before its first masked byte exists, and joined at a
 * moment that does not tell how long it took.
 *
 * A crash loses the session at hand and nothing else: the shop is a dropout there and joins the next round.
 */
#ifndef FT_VAULT_PARTICIPANT_H
#define FT_VAULT_PARTICIPANT_H

#include "client/link/federation.h"
#include "client/vault/outbox.h"
#include "client/vault/store.h"
#include "common/base/env.h"
#include "common/model/state.h"
#include "common/plan/round_plan.h"
#include "common/secure_sum/client.h"
#include "common/task/task.h"

#define FT_PARTICIPANT_TASKS_MAX     16
#define FT_PARTICIPANT_DIRECTORY_MAX ((size_t)16 << 20)

/* One contribution to make. */
struct ft_work {
    const struct ft_task *task;
    const uint8_t *task_hash;
    const struct ft_round_plan *plan;
    const struct ft_model_state *model;
    bool nobody; /* a task with noise: this shop's noise and no customer, whatever its data */
};

/* Verdicts on the wire (TaskVerdict). */
enum ft_word { FT_WORD_ACCEPTED = 1, FT_WORD_WAITING = 2, FT_WORD_REFUSED = 3, FT_WORD_LATER = 4 };

struct ft_decision {
    uint32_t verdict; /* enum ft_word */
    uint32_t codes[FT_VAULT_CODES_MAX];
    size_t code_count;
    uint64_t next_ms;           /* wall clock: worth asking again; 0: not by time alone */
    struct ft_ss_limits limits; /* clip and words_max are filled from the task's plan */
};

struct ft_participant_world {
    const struct ft_env *env;
    struct ft_vault_store *store;
    void *ctx;
    /* What the shop's policy says to this task, now. Whatever goes wrong is a refusal. */
    void (*decide)(void *ctx, const struct ft_task *task, const uint8_t task_hash[32],
                   enum ft_vault_approval approval, struct ft_decision *out);
    /* The packed contribution, unmasked, plan->codec.words words from ft_big_alloc, which change hands. On an
     * error *code is an enum ft_refusal_code for the aggregator and nothing else is told. */
    enum ft_status (*contribute)(void *ctx, const struct ft_work *work, uint64_t **words, uint32_t *code);
    /* True while nothing has happened since the last contribute that could change who is eligible. */
    bool (*unchanged)(void *ctx);
    /* Keep two conflicting messages of the aggregator as evidence. NULL is allowed. */
    void (*evidence)(void *ctx, struct ft_bytes first, struct ft_bytes second);
    /*
     * The privacy ledger (budget.h), for tasks with noise; all NULL: there is none, and no such task can be paid for.
     * spend is durable when it returns FT_OK, and comes before the first masked byte exists. A failure of any of them
     * leaves the session.
     */
    bool (*can_pay)(void *ctx, const uint8_t task_hash[32], uint64_t round);
    enum ft_status (*spend)(void *ctx, const uint8_t task_hash[32], uint64_t round, const uint8_t session[32]);
    void (*task_over)(void *ctx, const uint8_t task_hash[32]); /* its last round is done */
    bool (*ledger_head)(void *ctx, uint8_t head[FT_FED_LEDGER_HEAD_SIZE]);
    /* Errors: VERIFY: an older ledger was put back; nothing is joined any more. */
    enum ft_status (*ledger_seen)(void *ctx, const uint8_t head[FT_FED_LEDGER_HEAD_SIZE]);
};

/* What the shop pinned when it enrolled. */
struct ft_pins {
    uint8_t deployment[16];
    uint8_t registrar_key[32];
    uint8_t aggregator_key[32];
    const uint8_t (*task_keys)[32];
    size_t task_key_count;
};

struct ft_participant_config {
    struct ft_participant_world world;
    struct ft_pins pins;        /* task_keys borrowed */
    const uint8_t *identity_sk; /* Ed25519, 64 bytes, borrowed */
    uint32_t wait_ms;           /* how long the aggregator may hold a call; 0: 20,000 */
    bool until_done;            /* ask to be told when no task is left, once one is known */
};

struct ft_participant;

/* Reads the store. *out is NULL unless FT_OK. Errors: ARGUMENT, VERIFY (stored roster), NOMEM, the store's.
 */
FT_NODISCARD enum ft_status ft_participant_open(const struct ft_participant_config *config,
                                                struct ft_participant **out, struct ft_error *err);
void ft_participant_close(struct ft_participant *p); /* wipes; NULL is allowed */

/* The action to carry out now, once the former one is over (else STATE). Its bytes are borrowed until the
 * next call of either function. Errors: STATE, NOMEM. */
FT_NODISCARD enum ft_status ft_participant_next(struct ft_participant *p, struct ft_out *action);

/* Take one outcome. `reply` is DATA to hand out at once when its kind is set (kind 0: nothing to hand out).
 * `over` tells that the action is over: call next. Errors: FORMAT (invariant 1), NOMEM. */
FT_NODISCARD enum ft_status ft_participant_take(struct ft_participant *p, const struct ft_in *outcome,
                                                struct ft_out *reply, bool *over);

struct ft_participant_status {
    bool enrolled_in_roster, has_epoch, has_directory, in_session;
    uint64_t roster_serial;
    uint32_t id, epoch, session_step;
    uint64_t session_round;
    uint64_t rounds_joined, rounds_done, rounds_ended, rounds_aborted;
    bool finished; /* a task's last round is done, or the aggregator has no task left */
    bool rolled_back; /* the ledger is not the newest: the aggregator has been told, the client must end */
};
void ft_participant_status(const struct ft_participant *p, struct ft_participant_status *out);

#endif
