/*
 * Deterministic simulation of faults (harness 1 of the reliability document): the real participant and the real round engine
 * in one thread, over virtual time and a network that loses, repeats, delays, cuts and alters. One seed gives one
 * run, byte for byte; ties in time are broken by the order in which events were made.
 *
 *   safety phase    faults on, invariants checked after each event
 *   liveness phase  everything heals; the task must be done within SIM_LIVENESS_MS of virtual time
 */
#ifndef FT_TEST_SIM_H
#define FT_TEST_SIM_H

#include "common/base/buf.h"
#include "common/base/env.h"
#include "common/task/task.h"

#define SIM_SHOPS_MAX   9
#define SIM_LIVENESS_MS 900000u

/* Every kind of fault; a long run must have met each. */
#define SIM_FAULTS(X)                                                                                        \
    X(LOSE_REQUEST)                                                                                          \
    X(LOSE_REPLY)                                                                                            \
    X(REPEAT_REQUEST)                                                                                        \
    X(DELAY)                                                                                                 \
    X(ALTER_REQUEST)                                                                                         \
    X(ALTER_REPLY)                                                                                           \
    X(CUT_UPLOAD)                                                                                            \
    X(CUT_DOWNLOAD)                                                                                          \
    X(KILL_SHOP)                                                                                             \
    X(KILL_CENTRE)                                                                                           \
    X(KILL_IN_UPLOAD)                                                                                        \
    X(KILL_CENTRE_AFTER_UPLOAD)                                                                              \
    X(SHOP_DISK)                                                                                             \
    X(CENTRE_DISK)                                                                                           \
    X(SPLIT_LINK)                                                                                            \
    X(CLOCK_JUMP)                                                                                            \
    X(LOCAL_FAILURE)                                                                                         \
    X(CONSENT_CHANGE)
enum sim_fault {
#define X(name) SIM_##name,
    SIM_FAULTS(X)
#undef X
        SIM_FAULT_COUNT
};
const char *sim_fault_name(enum sim_fault f);

struct sim_report {
    bool ok;
    char violation[400];  /* the first invariant broken, or what did not happen in time */
    uint8_t trace[32];    /* hash of every event and message */
    uint64_t events, commits, abandoned, restarts;
    uint64_t faults[SIM_FAULT_COUNT];
};

/* Run one seed. */
void sim_run(uint64_t seed, struct sim_report *report);

/* ---- between the files of the harness ---- */

struct sim;

/* Note the first violation. */
void sim_violated(struct sim *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Does a fault of this kind strike now? Draws only when the run has faults of that kind. */
bool sim_strikes(struct sim *s, enum sim_fault fault);
uint64_t sim_faults(const struct sim *s, enum sim_fault fault); /* struck so far */
uint64_t sim_draw(struct sim *s, uint64_t bound);
uint64_t sim_now(const struct sim *s);
void sim_trace(struct sim *s, const char *what, uint64_t a, uint64_t b, struct ft_bytes bytes);

/* The world both sides were set up with. */
struct sim_world {
    uint32_t shops;
    struct ft_task task;
    uint8_t task_hash[32];
    struct ft_buf signed_task, signed_roster;
    uint8_t deployment[16];
    uint8_t registrar_pk[32], task_pk[32], aggregator_pk[32];
    uint8_t aggregator_sk[64];
    uint8_t identity_pk[SIM_SHOPS_MAX][32], identity_sk[SIM_SHOPS_MAX][64];
    uint64_t roster_serial;
};

/* What the shops put in, for judging what comes out. */
struct sim_input {
    bool made;
    uint64_t version; /* of the model it was computed on */
    uint32_t stage;
    uint64_t *words;
    size_t count;
};
const struct sim_input *sim_shop_input(const struct sim *s, uint32_t shop);

/* ---- shops: sim_shop.c ---- */
struct sim_shop;
struct sim_shop *sim_shop_open(struct sim *s, const struct sim_world *w, uint32_t id);
void sim_shop_close(struct sim_shop *shop); /* for good: the store too */
void sim_shop_kill(struct sim_shop *shop);
bool sim_shop_start(struct sim_shop *shop); /* after a kill */
bool sim_shop_alive(const struct sim_shop *shop);
struct ft_env_seeded *sim_shop_clock(struct sim_shop *shop);

/* The action at hand, copied: kind, bytes. Returns false when the shop is dead. */
enum sim_action { SIM_SYNC = 1, SIM_DOWNLOAD, SIM_UPLOAD, SIM_IDLE };
struct sim_request {
    enum sim_action action;
    uint64_t id;
    struct ft_buf bytes; /* SYNC: the request; UPLOAD: the header */
    struct ft_buf trailer;
    uint8_t hash[32];
    uint64_t offset, size;
    uint32_t wait_ms;
};
void sim_request_clear(struct sim_request *r);
bool sim_shop_next(struct sim_shop *shop, struct sim_request *out);
/* Outcomes. Each returns true when the action is over. */
bool sim_shop_reply(struct sim_shop *shop, uint64_t id, struct ft_bytes reply);
bool sim_shop_chunk(struct sim_shop *shop, uint64_t id, uint64_t offset, uint64_t total, struct ft_bytes data, bool last);
bool sim_shop_want(struct sim_shop *shop, uint64_t id, uint64_t offset, uint32_t size, struct ft_buf *data);
bool sim_shop_uploaded(struct sim_shop *shop, uint64_t id, struct ft_bytes reply);
bool sim_shop_rested(struct sim_shop *shop, uint64_t id);
bool sim_shop_failed(struct sim_shop *shop, uint64_t id);
/* Is the round this shop is sending masked bytes for durably spent in its journal? */
bool sim_shop_spent(struct sim_shop *shop, uint64_t round);
uint64_t sim_shop_round(const struct sim_shop *shop); /* of the session it is in; 0 none */
const struct sim_input *sim_shop_last_input(const struct sim_shop *shop);

/* ---- the centre: sim_centre.c ---- */
struct sim_centre;
struct sim_centre *sim_centre_open(struct sim *s, const struct sim_world *w);
void sim_centre_close(struct sim_centre *c);
void sim_centre_kill(struct sim_centre *c);
bool sim_centre_start(struct sim_centre *c);
bool sim_centre_alive(const struct sim_centre *c);
bool sim_centre_done(struct sim_centre *c); /* the task is */
struct ft_env_seeded *sim_centre_clock(struct sim_centre *c);
/* Calls of a shop. begin gives a handle, or NULL when the request was refused as malformed. poll: true with a reply. */
void *sim_centre_sync(struct sim_centre *c, uint32_t shop, struct ft_bytes request);
bool sim_centre_poll(struct sim_centre *c, void *call, bool last, struct ft_buf *reply);
void sim_centre_end(struct sim_centre *c, void *call);
enum sim_upload { SIM_UPLOAD_START, SIM_UPLOAD_ANSWERED, SIM_UPLOAD_BUSY, SIM_UPLOAD_BROKEN };
enum sim_upload sim_centre_upload(struct sim_centre *c, uint32_t shop, struct ft_bytes header, void **upload,
                                  uint64_t *offset, struct ft_buf *reply);
bool sim_centre_upload_chunk(struct sim_centre *c, void *upload, uint64_t offset, struct ft_bytes chunk);
void sim_centre_upload_end(struct sim_centre *c, uint32_t shop, void *upload, struct ft_bytes trailer,
                           struct ft_buf *reply);
void sim_centre_upload_close(struct sim_centre *c, void *upload);
bool sim_centre_blob(struct sim_centre *c, const uint8_t hash[32], struct ft_buf *out);
void sim_centre_tick(struct sim_centre *c); /* also unmasks when there is something to unmask */
uint64_t sim_centre_deadline(const struct sim_centre *c);
uint64_t sim_centre_version(const struct sim_centre *c);
void sim_centre_check(struct sim_centre *c); /* invariants of the engine and its store */
void sim_centre_counts(const struct sim_centre *c, uint64_t *commits, uint64_t *abandoned);

#endif
