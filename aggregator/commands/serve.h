/*
 * The running server: the round engine behind gRPC.
 *
 * One lock guards the engine, the database and the lists below. A handler takes it briefly, lets the engine
 * do what has become due, and answers every parked call that has an answer. Bytes of uploads and downloads
 * move outside of it, and so does unmasking (the main thread does that).
 *
 * A Sync call without an answer is parked: the engine says when to look again (ft_engine_version). An upload
 * for which no staging slot is free is not read any further, so gRPC's flow control holds the shop back.
 */
#ifndef FT_AGGREGATOR_SERVE_H
#define FT_AGGREGATOR_SERVE_H

#include "aggregator/commands/home.h"
#include "aggregator/registry/enrolment.h"
#include "aggregator/round/engine.h"
#include "common/rpc/rpc_server.h"

#include <pthread.h>
#include <stdatomic.h>

#define SERVE_POLL_MS    200 /* how soon another process' change is seen */
#define SERVE_CHUNK_SIZE ((size_t)256 << 10)

/* Where a shop's certificate leads. Sorted by fingerprint. */
struct serve_peer {
    uint8_t fingerprint[32];
    int64_t shop;
    bool active;
};

struct serve_parked; /* a Sync call that waits */
struct serve_stream; /* an upload */

struct serve {
    struct ft_home *home;
    struct ft_home_trust trust;
    const struct ft_env *env;
    struct ft_engine *engine;
    struct ft_enrolment enrolment;
    struct ft_rpc_server *rpc;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    uint64_t sleep_ms;            /* the main thread waits for `wake` until then; 0: it does not */
    struct serve_parked *parked;  /* list */
    struct serve_stream *waiting; /* list: uploads without a slot */
    uint64_t served_version;
    enum ft_status fatal; /* why the server must stop */
    bool stopping;

    pthread_rwlock_t peers_lock;
    struct serve_peer *peers;
    size_t peer_count;
    atomic_uint_fast64_t refusals; /* calls of unknown or inactive certificates */
};

/* serve_peers.c */
FT_NODISCARD enum ft_status serve_peers_load(struct serve *s); /* with the lock */
enum ft_rpc_code serve_authorize(void *ctx, const struct ft_rpc_peer *peer, const char *path);
void serve_audit(void *ctx, enum ft_rpc_audit_kind kind, const struct ft_rpc_peer *peer, const char *path,
                 const char *detail);
/* The shop that calls; false when its certificate has been withdrawn since. */
bool serve_shop(struct serve *s, const struct ft_rpc_call *call, int64_t *shop);

/* serve_sync.c, serve_upload.c, serve_download.c, serve_enrol.c: the methods */
void serve_on_sync(void *ctx, struct ft_rpc_call *call, struct ft_bytes message);
void serve_on_sync_closed(void *ctx, struct ft_rpc_call *call, bool clean);
void serve_on_upload_open(void *ctx, struct ft_rpc_call *call);
void serve_on_upload(void *ctx, struct ft_rpc_call *call, struct ft_bytes message);
void serve_on_upload_closed(void *ctx, struct ft_rpc_call *call, bool clean);
void serve_on_download(void *ctx, struct ft_rpc_call *call, struct ft_bytes message);
void serve_on_download_writable(void *ctx, struct ft_rpc_call *call);
void serve_on_download_closed(void *ctx, struct ft_rpc_call *call, bool clean);
void serve_on_enrol(void *ctx, struct ft_rpc_call *call, struct ft_bytes message);

/* All with the lock. service: let the engine do what is due and answer whoever can be answered. expire:
 * parked calls whose time is up, or all of them. */
void serve_service(struct serve *s);
void serve_wake(struct serve *s, uint64_t due_ms); /* wake the main thread if it would sleep beyond this */
void serve_answer_parked(struct serve *s);
void serve_expire_parked(struct serve *s, uint64_t now_ms, bool all);
uint64_t serve_parked_due_ms(const struct serve *s);
void serve_retry_waiting(struct serve *s);
void serve_fail(struct serve *s, enum ft_status st); /* NULL-safe on FT_OK and on what another try may mend */

/* serve_progress.c: an event of the engine as a line for people and as an object for programs. */
struct serve_progress {
    int json_fd; /* -1: none */
    bool owned;  /* close it */
    bool lively; /* lines on stdout */
};
FT_NODISCARD enum ft_status serve_progress_open(const struct ft_cli *cli, struct serve_progress *out,
                                                struct ft_error *err);
void serve_progress_event(void *ctx, const struct ft_engine_event *event);
void serve_progress_close(struct serve_progress *p);

#endif
