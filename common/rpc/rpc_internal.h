/* Server internals: shared by rpc_server.c (life of the server), rpc_call.c (one call), rpc_peer.c and
 * rpc_health.c. */
#ifndef FT_RPC_INTERNAL_H
#define FT_RPC_INTERNAL_H

#include "common/rpc/rpc_library.h"
#include "common/rpc/rpc_server.h"
#include "common/rpc/wire_health.h"
#include <grpc/grpc_security.h>
#include <pthread.h>
#include <stdatomic.h>

#define RPC_ACCEPTS     16 /* calls that may arrive at the same instant */
#define RPC_THREADS_MAX 64
#define RPC_WINDOW_MAX  64
#define RPC_DETAIL_MAX  240
#define RPC_PEERS       256
#define RPC_BUCKETS     1024
#define HEALTH_SERVICES 16
#define HEALTH_WATCHERS 64
#define HEALTH_METHODS  2

/* What a completion queue hands back: `done` runs on a poller thread. */
struct rpc_tag {
    void (*done)(struct rpc_tag *tag, bool ok);
    void *owner;
};

struct rpc_accept {
    struct rpc_tag tag;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
};

/* A call's place among the open ones; guarded by the server's lock. */
struct rpc_open {
    struct rpc_open *next, **link;
    struct ft_rpc_call *call;
    const struct ft_rpc_peer *peer;
};

struct rpc_watcher {
    struct ft_rpc_call *call;
    struct rpc_watcher *next;
    char service[HEALTH_SERVICE_MAX + 1];
    int sent; /* enum health_status, or -1: nothing yet */
};

struct rpc_health {
    pthread_mutex_t lock;
    struct {
        char name[HEALTH_SERVICE_MAX + 1];
        bool serving;
    } services[HEALTH_SERVICES];
    size_t service_count;
    struct rpc_watcher *watchers;
    size_t watcher_count, watchers_max;
    bool ended;
    struct ft_rpc_method methods[HEALTH_METHODS];
};

/* Certificates read before, found again by the digest of their PEM: OpenSSL takes 0.1 ms to read one, a third
 * of a small call. Holds nothing but what stands in the PEM, so an entry is never out of date. */
struct rpc_peers {
    pthread_mutex_t lock;
    struct {
        uint8_t digest[32]; /* all zero: free */
        struct ft_pki_info info;
    } slots[RPC_PEERS];
};

struct ft_rpc_server {
    struct ft_rpc_server_params params; /* defaults filled in; address and PEMs are not kept */
    grpc_server *grpc;
    grpc_completion_queue *cq;
    pthread_t threads[RPC_THREADS_MAX];
    uint32_t thread_count;
    uint16_t port;
    bool library_open;
    struct rpc_listener listener;
    struct rpc_accept accepts[RPC_ACCEPTS];
    struct rpc_tag shutdown;
    struct rpc_health health;
    struct rpc_peers peers;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t calls_open[2];             /* of strangers, of known peers; under lock, as all below */
    struct rpc_open *open[RPC_BUCKETS]; /* all of them, by fingerprint */
    bool down;                          /* the shutdown tag has come back */
    atomic_bool closing;
    atomic_uint_fast64_t sweep_ms; /* when to look for silent calls next */
};

/* A call has come in; takes over `call`. */
void rpc_call_arrived(struct ft_rpc_server *s, grpc_call *call, const grpc_call_details *details);
/* Does this call say nothing, or take nothing, for longer than it may? Then it is ended: true once. Any
 * thread. */
bool rpc_call_end_if_silent(struct ft_rpc_call *c, uint64_t now_ms);
void rpc_call_audit_silent(struct ft_rpc_call *c);
uint64_t rpc_now_ms(void); /* monotonic */

/* List and count one open call (call and peer are filled in): false when there are too many, of all peers or
 * of this one (it is counted all the same). */
bool rpc_server_call_opened(struct ft_rpc_server *s, struct rpc_open *open);
void rpc_server_call_unlisted(struct ft_rpc_server *s, struct rpc_open *open);
void rpc_server_call_closed(struct ft_rpc_server *s, bool known); /* the server may be gone after it */
void rpc_server_audit(struct ft_rpc_server *s, enum ft_rpc_audit_kind kind, const struct ft_rpc_peer *peer,
                      const char *path, const char *detail);

/* Who is at the other end. `expired`: the certificate is no longer (or not yet) valid, or not one for
 * clients. */
void rpc_peer_read(struct ft_rpc_server *s, grpc_call *call, struct ft_rpc_peer *out, bool *expired);

/* Watching is for anybody and lasts: half of the strangers' calls are left for Enrol. */
void rpc_health_open(struct rpc_health *h, uint32_t strangers);
uint32_t rpc_server_strangers_max(const struct ft_rpc_server *s);
void rpc_health_end(struct rpc_health *h);   /* nothing serves any more; watchers are told and finished */
void rpc_health_close(struct rpc_health *h); /* no call is left */

#endif
