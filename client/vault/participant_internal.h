#ifndef FT_VAULT_PARTICIPANT_INTERNAL_H
#define FT_VAULT_PARTICIPANT_INTERNAL_H

#include "client/link/federation.h"
#include "client/vault/participant.h"
#include "common/task/refusal_codes.h"

#include <stdbool.h>

/* Roster and directory as accepted together; the directory borrows the roster. */
struct view {
    struct ft_ss_roster roster;
    struct ft_ss_directory directory;
    uint8_t root[32];
    uint8_t blob_hash[32];
};

struct known_task {
    bool used;
    uint8_t hash[32];
    bool valid; /* signature and form are right; else it is kept so as not to be fetched again */
    struct ft_task task;
    struct ft_decision decision;
    bool decided;
    bool report;        /* the verdict must go with the next SYNC */
    uint64_t decide_at; /* now_ms: decide again */
    uint64_t slot_ms;   /* contributions with noise leave at its multiples; 0: none was made yet */
    uint64_t touched_ms;
};

enum mode {
    MODE_SYNC,     /* talk to the aggregator */
    MODE_DOWNLOAD, /* fetch p->fetch */
    MODE_UPLOAD,   /* hand out the masked input */
    MODE_REST,     /* wait p->rest_ms, then p->after_rest */
    MODE_JOIN,     /* join p->announce: its moment has come */
};

enum blob { BLOB_DIRECTORY, BLOB_TASK, BLOB_MODEL };

struct fetch {
    enum blob what;
    uint8_t hash[32];
    uint8_t task_hash[32]; /* of a TASK */
    size_t limit;
    struct ft_buf bytes;
    uint64_t total;
};

/* The session at hand. */
struct session {
    bool open;   /* `client` exists */
    size_t task; /* index into tasks; stays put while open */
    struct ft_ss_client *client;
    struct ft_round_plan plan;
    struct ft_ss_facts facts;
    uint64_t *words; /* contribution waiting for Deliver */
    uint8_t t0[32];
    struct ft_ss_position position; /* of task, round and attempt, for an Abort */
};

struct ft_participant {
    struct ft_participant_config config;
    uint8_t identity_pk[32];

    bool has_roster; /* one has been accepted, now or before */
    uint64_t roster_serial;
    bool id_known;
    uint32_t id;

    bool has_epoch;
    struct ft_ss_epoch_key key;
    uint8_t *xsk; /* secret */
    bool send_key;

    struct view *view; /* NULL: none yet */
    struct ft_ss_pairs *pairs;

    struct known_task tasks[FT_PARTICIPANT_TASKS_MAX];
    uint64_t approvals;

    bool has_model;
    uint8_t model_hash[32];
    struct ft_model_state model;

    struct session session;
    struct ft_buf announce; /* waiting for its model */
    uint8_t refused_t0[32]; /* an announce not joined: it is not judged again at once */
    uint64_t refused_until;

    enum mode mode, after_rest;
    uint32_t rest_ms;
    uint32_t stumbles; /* replies in a row that led nowhere: rest longer each time */
    uint64_t asked_ms;    /* the SYNC at hand */
    uint32_t quick_replies; /* in a row that came at once and led nowhere */
    struct fetch fetch;
    bool outstanding;
    enum ft_out_kind action;
    uint64_t action_id;
    struct ft_buf request;
    struct ft_buf answer; /* to go with SYNC until a reply has come; empty: none */
    struct ft_ss_position answer_position;
    bool answer_own_position; /* use answer_position instead of the client's */
    struct ft_participant_status status;
    bool rolled_back; /* to be told */
};

static inline uint64_t
now_of(const struct ft_participant *p)
{
    return p->config.world.env->now_ms(p->config.world.env->ctx);
}

static inline uint64_t
wall_of(const struct ft_participant *p)
{
    return p->config.world.env->wall_ms(p->config.world.env->ctx);
}

/* Fetch a blob next. */
void participant_fetch(struct ft_participant *p, enum blob what, const uint8_t hash[32], size_t limit);
/* Rest before going on with `then`. */
void participant_rest(struct ft_participant *p, uint32_t ms, enum mode then);
/* A reply that led nowhere: rest, longer each time in a row. */
void participant_stumble(struct ft_participant *p);

/* participant_directory.c */
enum ft_status participant_epoch(struct ft_participant *p, const struct ft_fed_reply *reply);
enum ft_status participant_directory(struct ft_participant *p, struct ft_bytes blob);
void participant_directory_close(struct ft_participant *p);
enum ft_status participant_roster_restore(struct ft_participant *p, struct ft_error *err);

/* participant_tasks.c */
struct known_task *participant_find_task(struct ft_participant *p,
                                         const uint8_t hash[32]); /* NULL: unknown */
enum ft_status participant_load_task(struct ft_participant *p, const uint8_t hash[32],
                                     struct known_task **out);
enum ft_status participant_tasks_restore(struct ft_participant *p);
enum ft_status participant_task(struct ft_participant *p, const uint8_t hash[32],
                                struct ft_bytes signed_task);
enum ft_status participant_decide(struct ft_participant *p, struct known_task *k);
enum ft_status participant_decide_due(struct ft_participant *p);
/* Something other than the policy stands against taking part: tell it as a verdict. */
void participant_note(struct ft_participant *p, struct known_task *k, uint32_t verdict, uint32_t code);

/* participant_session.c */
enum ft_status participant_join(struct ft_participant *p); /* the announce whose contribution is ready */
enum ft_status participant_message(struct ft_participant *p, struct ft_bytes message);
enum ft_status participant_model(struct ft_participant *p, struct ft_bytes blob);
enum ft_status participant_uploaded(struct ft_participant *p, const struct ft_fed_upload_reply *reply);
enum ft_status participant_withdraw(struct ft_participant *p); /* leave the session, with an Abort to send */
void participant_session_close(struct ft_participant *p);
void participant_tick(struct ft_participant *p);
bool participant_live(const struct ft_participant *p);

#endif
