/*
 * A federation in one thread: the real engine, the real client state machines, virtual time. Shops add
 * numbers that the tests know beforehand: in a TRAIN round shop i moves every parameter by (i + 1) / 1000,
 * with weight 10.
 */
#ifndef TEST_ROUND_RIG_H
#define TEST_ROUND_RIG_H

#include "aggregator/round/engine.h"
#include "aggregator/storage/storage.h"
#include "client/vault/outbox.h"
#include "client/vault/participant.h"
#include "common/secure_sum/roster.h"

#define RIG_SHOPS_MAX 12
#define RIG_FEATURES  2
#define RIG_WEIGHT    10

struct rig;

struct rig_shop {
    struct rig *rig;
    uint32_t index;
    int64_t number; /* in the register */
    uint8_t identity_sk[64];
    struct ft_env_seeded env;
    struct ft_vault_store *store;
    struct ft_participant *participant; /* NULL: down */
    struct ft_engine_call *call;        /* parked */
    uint64_t call_until_ms, idle_until_ms;
    struct ft_out action; /* outstanding while `busy` */
    bool busy;
    struct ft_engine_upload *upload;
    uint64_t uploaded; /* bytes */
    /* What the shop is told to do. */
    bool until_done;
    uint32_t word;        /* its verdict on every task; enum ft_word */
    uint32_t reason;      /* ... and the code with it; 0: none */
    uint32_t die_at_step; /* dies once its answer of this step has arrived; FT_SS_STEP_NONE: never */
    uint64_t spent_round; /* the last round with noise that it paid for */
    bool die_before_join; /* dies when it is asked to contribute */
    bool dies;
    int64_t weight_lie; /* added to the weight it states, in TRAIN rounds */
    uint64_t contributions;
    /* What it adds instead of the numbers above; NULL: those. */
    enum ft_status (*contribute)(struct rig_shop *shop, const struct ft_work *work, uint64_t **words);
    /* For tests of a whole shop: its own world instead of the numbers above, and a look at all it hands out.
     */
    const struct ft_participant_world *world;
    void (*tap)(struct rig_shop *shop, const struct ft_out *message);
    void *tap_ctx;
};

/* A store that counts writes, and can fail one or end the process there. */
struct rig_store {
    struct ft_round_store table; /* over the database */
    struct ft_store *db;
    uint64_t writes;
    uint64_t fail_at;  /* this write fails with IO, once; 0: none */
    uint64_t crash_at; /* after this write every call fails: the process is gone; 0: never */
    bool lose;         /* ... and that write is lost with it */
    bool crashed;
};
void rig_store_over(struct rig_store *s, struct ft_store *db, struct ft_round_store *out);

struct rig {
    struct ft_env_seeded env;
    uint8_t deployment[16];
    uint8_t registrar_pk[32], registrar_sk[64];
    uint8_t signing_pk[32], signing_sk[64];
    uint8_t task_pk[1][32], task_sk[64];
    struct ft_store *db;
    struct rig_store store;
    struct ft_engine *engine;
    uint32_t slots;
    struct rig_shop shops[RIG_SHOPS_MAX];
    uint32_t shop_count;
    struct ft_task task;      /* what make_task starts from */
    uint64_t round_events[4]; /* by enum ft_round_state */
    uint64_t engine_errors;
};

void rig_open(struct rig *r, uint32_t shops);
/* As above, with only the first `listed` shops in the roster. */
void rig_open_listing(struct rig *r, uint32_t shops, uint32_t listed);
/* As above, with the database in a file that does not exist yet; NULL: in memory. */
void rig_open_at(struct rig *r, uint32_t shops, uint32_t listed, const char *path);
/* The registrar signs and the register takes a roster of the first `listed` shops. */
void rig_roster(struct rig *r, uint64_t serial, uint32_t listed);
void rig_close(struct rig *r);

/* Sign and publish a task like r->task under this name; started at once unless told otherwise. */
void rig_publish(struct rig *r, const char *name, bool start, uint8_t hash[32]);

void rig_shop_up(struct rig *r, uint32_t i);
void rig_shop_down(struct rig *r, uint32_t i); /* killed: the session at hand is lost, its store stays */

void rig_engine_up(struct rig *r);
void rig_engine_down(struct rig *r); /* killed: whatever is not in the database is lost */
void rig_reload(struct rig *r);

/* Let everything run until nothing moves at this moment; then time jumps to the next thing due. Stops when
 * `until` holds, or after limit_ms of virtual time. Returns whether it holds. */
bool rig_run(struct rig *r, bool (*until)(struct rig *r, void *ctx), void *ctx, uint64_t limit_ms);

/* Conditions. */
bool rig_task_done(struct rig *r, void *hash);     /* const uint8_t[32] */
bool rig_rounds_ended(struct rig *r, void *count); /* uint64_t *: rows of any state */
bool rig_never(struct rig *r, void *ctx);

struct ft_task_row rig_task_row(struct rig *r, const uint8_t hash[32]);
/* The rows of all rounds; ft_round_rows_free. */
struct ft_round_row *rig_rounds(struct rig *r, size_t *count);
/* The first parameter of the newest model. */
float rig_parameter(struct rig *r, const uint8_t hash[32]);
/* What the first parameter moves by when these shops train one round. */
double rig_mean_step(const struct rig *r, uint32_t except);

#endif
