/* The engine's insides, shared by its files. See engine.h. */
#ifndef FT_ROUND_ENGINE_INTERNAL_H
#define FT_ROUND_ENGINE_INTERNAL_H

#include "aggregator/round/engine.h"
#include "aggregator/round/wire_federation.h"
#include "common/base/alloc.h"
#include "common/model/state.h"
#include "common/plan/private_sum.h"
#include "common/plan/round_plan.h"
#include "common/secure_sum/server.h"

#define ENGINE_SETTLE_MS      200   /* keys arriving this close together make one directory */
#define ENGINE_ASK_AGAIN_MS   10000 /* a shop that said "later" is asked again */
#define ENGINE_BACKOFF_MS     500   /* after a failed session, doubled up to */
#define ENGINE_BACKOFF_MAX_MS 30000
#define ENGINE_TASKS_MAX      32 /* unfinished tasks at a time */
#define ENGINE_KEY_AGAIN_MS                                                                                  \
    1000 /* a shop may change its key of an epoch once; then after so long, doubled                          \
          */
#define ENGINE_KEY_DOUBLINGS 4
#define ENGINE_KEY_CALM_MS   60000                  /* ... and all is forgotten after so long without */
#define ENGINE_WORDS_MAX     (2 * ENGINE_TASKS_MAX) /* verdicts a shop may change at once */
#define ENGINE_WORD_MS       1000                   /* ... and one more after so long each */
#define ENGINE_OLD_BLOBS     4 /* read from the store for shops that fell behind, at a time */
#define ENGINE_SYNC_WAIT_MAX 60000

/* What the engine knows of a shop. */
struct engine_shop {
    struct ft_shop row;
    bool listed;    /* in the roster, and active there */
    uint32_t place; /* in the roster, when listed */
    uint32_t calls; /* Sync calls at hand */
    bool seen;
    uint64_t seen_ms;          /* when the last one ended or came */
    bool lost;                 /* ... and broke off, with no other one since */
    bool idle;                 /* the last one stood in no session */
    uint8_t root[32];          /* the directory it has checked */
    uint64_t refused_until_ms; /* left alone after refusing an Announce */
    uint32_t refusals;
    bool barred;    /* lied for certain: in no cohort any more, until the aggregator is started again */
    bool announced; /* in the open session: has been, or is being, told of it */
    /* Every changed key makes all others fetch a directory, every changed verdict is a write: both by
     * measure. */
    uint32_t key_changes;
    uint64_t key_not_before_ms;
    bool has_ledger_head, ledger_dirty, ledger_told;
    uint8_t ledger_head[FT_LEDGER_HEAD_SIZE]; /* the highest seen of its privacy ledger */
    uint32_t words;    /* verdicts changed */
    uint64_t words_ms; /* when that was last lessened */
};

struct engine_task {
    struct ft_task_row row;
    struct ft_task task;
    uint8_t signed_hash[32];
    struct ft_blob *blob;
    uint8_t *verdicts;  /* (shops) enum ft_verdict */
    uint32_t *reasons;  /* (shops) a hash of the codes that came with it, so that others are noticed */
    uint64_t *sizes;    /* (shops) declared customers; NULL without noise; 0: the task does not name the shop */
    uint64_t *asked_ms; /* (shops) when TASK was last sent */
    bool expired_told;
};

struct engine_roster {
    uint32_t refs;
    struct ft_ss_roster roster;
    struct ft_buf bytes;
};

/* A published directory; immutable. */
struct engine_directory {
    uint32_t refs;
    struct engine_roster *roster;
    struct ft_ss_directory directory;
    uint8_t root[32];
    uint8_t blob_hash[32];
    struct ft_blob *blob;
};

struct ft_blob {
    uint32_t refs;
    struct ft_blob **place; /* where an old one is listed; NULL: nowhere */
    uint8_t hash[32];
    struct ft_buf bytes;
};

/* One session. Uploads hold references, because their chunks run outside the lock. */
struct engine_session {
    struct ft_engine *engine;
    uint32_t refs;
    struct ft_ss_server *server;
    struct engine_directory *directory;
    struct ft_session_row row;
    struct ft_round_plan plan;
    bool begun;   /* stored */
    bool working; /* taken for unmasking: hands off */
    bool worked;  /* unmask has run, finish has not */
    uint64_t server_version;
    uint64_t bytes_in, bytes_out;
    /* Records accepted and not yet durable. */
    struct engine_record {
        uint32_t kind;
        struct ft_buf bytes;
    } * records;
    size_t record_count;
    enum ft_status store_status; /* of the last store that failed */
};

struct ft_engine {
    struct ft_engine_config config;
    struct engine_shop *shops; /* by number in the register */
    size_t shop_count;
    struct engine_task *tasks; /* unfinished ones, by age */
    size_t task_count;
    struct engine_roster *roster;
    uint32_t epoch;
    uint64_t epoch_started_ms;       /* wall clock */
    struct ft_ss_directory building; /* keys as they come in */
    bool building_open, building_dirty;
    uint64_t dirty_since_ms;
    struct engine_directory *directory; /* published */
    struct engine_session *session;
    struct engine_session *previous;       /* committed last; answers its shops until the next one collects */
    struct ft_blob *model;                 /* the current one, kept at hand */
    struct ft_blob *old[ENGINE_OLD_BLOBS]; /* those that shops hold now; no references of the engine's */
    struct ft_big_pool pool;               /* the sum and the staging vectors, from round to round */
    int64_t *coordinates;                  /* a decoded sum: made once, reused by every round that fits */
    double *reals;
    size_t coordinates_room, reals_room;
    bool recover_wanted;      /* a session was stored, and could not be opened */
    bool reload_wanted;       /* a change came while the session was being unmasked */
    bool opened_any;          /* a session since the start: absent shops need not be waited for */
    uint64_t not_before_ms;   /* no session before */
    uint32_t failures;        /* sessions failed in a row */
    uint64_t gather_since_ms; /* since when there have been enough; 0: not now */
    uint64_t ledgers_due_ms;  /* heads of ledgers are to be stored; 0: none */
    uint64_t version;
};

uint64_t engine_now(const struct ft_engine *e);
uint64_t engine_wall(const struct ft_engine *e);
/* A sentence as one word, for a field of the log. */
const char *engine_words(struct ft_error *err);

/* For the wire: enum ft_refusal_code. */
uint32_t engine_refusal_code(enum ft_status st);

/* shops.c */
FT_NODISCARD enum ft_status engine_load_shops(struct ft_engine *e);
struct engine_shop *engine_shop(struct ft_engine *e, int64_t number); /* NULL when there is none */
size_t engine_shop_slot(const struct ft_engine *e, const struct engine_shop *shop);
/* Its connection broke, and it has had its time to come back. */
bool engine_shop_away(const struct ft_engine *e, const struct engine_shop *shop);
bool engine_shop_present(const struct ft_engine *e, const struct engine_shop *shop);
/* Can be announced a session of the task now. */
bool engine_shop_ready(const struct ft_engine *e, const struct engine_task *task,
                       const struct engine_shop *shop);
/* Worth waiting for while a cohort gathers. */
bool engine_shop_expected(const struct ft_engine *e, const struct engine_task *task,
                          const struct engine_shop *shop);

/* ledgers.c */
FT_NODISCARD enum ft_status engine_load_ledgers(struct ft_engine *e);
void engine_ledger_seen(struct ft_engine *e, struct engine_shop *shop, const struct ft_sync_request *r);
FT_NODISCARD enum ft_status engine_store_ledgers(struct ft_engine *e); /* when due */

/* directory.c */
FT_NODISCARD enum ft_status engine_load_directory(struct ft_engine *e, struct ft_error *err);
FT_NODISCARD enum ft_status engine_epoch_key(struct ft_engine *e, struct engine_shop *shop,
                                             const struct ft_ss_epoch_key *key);
FT_NODISCARD enum ft_status engine_publish_if_due(struct ft_engine *e);
uint64_t engine_publish_due_ms(const struct ft_engine *e);
bool engine_key_published(const struct ft_engine *e, const struct engine_shop *shop);
struct engine_directory *engine_directory_ref(struct engine_directory *d);
void engine_directory_unref(struct engine_directory *d);
void engine_roster_unref(struct engine_roster *r);

/* tasks.c */
FT_NODISCARD enum ft_status engine_load_tasks(struct ft_engine *e);
/* The row as stored, whatever its state. */
FT_NODISCARD enum ft_status engine_task_row(struct ft_engine *e, const uint8_t hash[32],
                                            struct ft_task_row *out);
void engine_task_clear(struct engine_task *t);
/* task->sizes for the shops of the register. Errors: NOMEM. */
FT_NODISCARD enum ft_status engine_task_sizes(const struct ft_engine *e, struct engine_task *t);
struct engine_task *engine_task(struct ft_engine *e, const uint8_t hash[32]);
struct engine_task *engine_running_task(struct ft_engine *e); /* the oldest RUNNING one; NULL */
bool engine_tasks_left(const struct ft_engine *e);            /* published, running or paused */
FT_NODISCARD enum ft_status engine_verdict(struct ft_engine *e, struct engine_shop *shop,
                                           const struct ft_sync_verdict *v);
void engine_verdict_forget(struct engine_task *t, size_t slot);

/* schedule.c */
FT_NODISCARD enum ft_status engine_schedule(struct ft_engine *e);
uint64_t engine_schedule_due_ms(const struct ft_engine *e);

/* session.c */
FT_NODISCARD enum ft_status engine_session_open(struct ft_engine *e, struct engine_task *task);
FT_NODISCARD enum ft_status engine_session_pump(struct ft_engine *e); /* tick, and end it when it is over */
void engine_session_config(struct ft_engine *e, struct engine_session *s, const struct engine_task *task,
                           struct ft_ss_server_config *out);
struct engine_session *engine_session_new(struct ft_engine *e, const struct engine_task *task,
                                          struct engine_directory *directory, enum ft_stage stage);
void engine_session_ref(struct engine_session *s);
void engine_session_unref(struct engine_session *s);
bool engine_session_is(const struct engine_session *s, const struct ft_ss_position *position);
void engine_session_drop_records(struct engine_session *s);

/* What a round leads to, before it is stored. */
struct engine_step {
    struct ft_model_state next; /* empty after an evaluation */
    struct ft_buf blob;
    uint8_t blob_hash[32];
    struct ft_buf optimiser;
    struct ft_task_progress progress;
    struct ft_round_row row;
    bool task_done;
    bool result; /* of a task that is done: next is its result and stored as a model is */
};

/* commit.c, commit_private.c, report.c, recover.c, blob.c */
/* The next model from means of the features; from the mean update e->reals over `weight`. */
FT_NODISCARD enum ft_status engine_after_statistics(const struct engine_task *task, const struct engine_session *s,
                                                    const double *means, const double *stds, struct engine_step *step);
FT_NODISCARD enum ft_status engine_after_training(struct ft_engine *e, const struct engine_task *task,
                                                  const struct ft_model_state *model, double weight,
                                                  struct engine_step *step);
/* A step's progress, and its model as a copy of the one before. */
FT_NODISCARD enum ft_status engine_next_version(const struct engine_task *task, const struct ft_model_state *model,
                                                struct engine_step *step);
/* commit_clusters.c: k-means. The first centroids into the declared ranges; whether e->reals can be sums of rows within
 * them; the next centroids from e->reals, with noise a block, else in units. */
FT_NODISCARD enum ft_status engine_clamp_centroids(const struct ft_task *task, const struct ft_model_spec *spec,
                                                   const double *means, const double *stds, float *params);
bool engine_block_possible(const struct ft_layout *layout, const struct ft_model_spec *spec, const double *block,
                           uint64_t weight_sum, uint32_t shops);
FT_NODISCARD enum ft_status engine_after_clusters(struct ft_engine *e, const struct engine_task *task,
                                                  const struct engine_session *s, const struct ft_model_state *model,
                                                  const struct ft_kmeans_rules *rules, struct ft_kmeans_moved *moved,
                                                  struct engine_step *step);
/* A sum with noise, unpacked into e->coordinates: to the next model and the metrics. */
FT_NODISCARD enum ft_status engine_step_private(struct ft_engine *e, const struct engine_task *task,
                                                const struct engine_session *s, const struct ft_model_state *model,
                                                uint32_t survivors, struct engine_step *step);
/* The clip of the round, from the model it works on. Errors: VERIFY. */
FT_NODISCARD enum ft_status engine_session_clip(const struct ft_engine *e, const struct engine_task *task,
                                                struct engine_session *s, struct ft_error *err);
/* commit_measured.c: a statistics task's only round is over. Plain sums in e->reals; or a private sum. */
FT_NODISCARD enum ft_status engine_measured(struct ft_engine *e, const struct engine_task *task, uint32_t shops,
                                            uint64_t customers, struct engine_step *step);
FT_NODISCARD enum ft_status engine_measured_private(struct ft_engine *e, const struct engine_task *task,
                                                    struct ft_private_sum *sum, struct engine_step *step);
FT_NODISCARD enum ft_status engine_commit(struct ft_engine *e);
FT_NODISCARD enum ft_status engine_first_model(struct ft_engine *e, struct engine_task *task);
/* End the open session without a result. `why` replaces the server's own reason unless NULL. */
FT_NODISCARD enum ft_status engine_session_failed(struct ft_engine *e, const char *why);
void engine_session_retire(struct ft_engine *e,
                           bool keep); /* it is over and stored; keep it to answer its shops */
char *engine_reasons(struct ft_engine *e, const struct engine_task *task, const struct engine_session *s,
                     const char *failure); /* JSON; ft_free */
/* What a statistics round with noise found. */
struct engine_statistics {
    const double *means, *stds; /* (features) */
    struct ft_estimate count;
};
/* `moved` is of k-means; NULL: it is none, or none is moved. JSON; ft_free. */
char *engine_private_metrics(const struct ft_private_sum *sum, const struct engine_statistics *statistics,
                             const struct ft_kmeans_moved *moved, double norm, double clip_next, uint64_t group_min);
char *engine_metrics(const struct ft_task *task, const struct engine_session *s, const uint64_t *values,
                     const float *params, uint64_t weight_sum, const struct ft_kmeans_moved *moved, uint64_t group_min);
FT_NODISCARD enum ft_status engine_recover(struct ft_engine *e);
struct ft_blob *engine_blob_new(const uint8_t hash[32], struct ft_buf *bytes); /* takes the bytes over */
struct ft_blob *engine_blob_ref(struct ft_blob *blob);
void engine_blob_unref(struct ft_blob *blob);
/* As ft_engine_blob, for the engine's own use: not held back by what shops fetch. */
FT_NODISCARD enum ft_status engine_blob_read(struct ft_engine *e, const uint8_t hash[32],
                                             struct ft_blob **out);

#endif
