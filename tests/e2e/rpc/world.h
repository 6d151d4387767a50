/*
 * A deployment in one process: a CA and certificates of every kind, a server whose handlers count what they
 * see, and channels to it. Times come from the certificates; the machine's clock is the test's "now".
 */
#ifndef FT_TESTS_RPC_WORLD_H
#define FT_TESTS_RPC_WORLD_H

#include "common/rpc/pki.h"
#include "common/rpc/rpc_client.h"
#include "common/rpc/rpc_server.h"
#include <pthread.h>
#include <stdatomic.h>

#define WORLD_METHODS 6
#define PATIENCE_MS                                                                                          \
    300000u /* for what must happen: a call's deadline, a handshake's, a counter's; nothing waits so long */
#define CHUNK        ((size_t)64 << 10)
#define METHOD_LIMIT ((size_t)256 << 10)

struct identity {
    struct ft_buf key, cert;
};

struct world {
    struct ft_buf ca_key, ca_cert;
    struct identity server, shop; /* good ones */
    struct ft_rpc_method methods[WORLD_METHODS];
    struct ft_rpc_server *rpc;
    char target[32];
    uint64_t wall_shift_ms;             /* added to the server's clock */
    uint32_t calls_per_peer, silent_ms; /* for world_serve; 0: the server's own */
    uint32_t handshake_ms;              /* ... 0: PATIENCE_MS */

    atomic_int handled;      /* handler calls of any kind */
    atomic_int audits;       /* of any kind */
    atomic_int audit_of[16]; /* by kind */
    atomic_bool revoked;     /* authorize says PERMISSION_DENIED */
    atomic_int authorized;   /* times asked */
    atomic_int closed_clean, closed_unclean;

    pthread_mutex_t lock;
    struct ft_rpc_call *parked[64];
    int parked_count;
    struct ft_rpc_call *stream; /* the open bidi call */
    atomic_bool gated;          /* the bidi handler does not ask for more */
    atomic_int reject_at;       /* the bidi handler answers "no" and finishes at this message; 0: never */
    atomic_size_t got_bytes;
    atomic_int got_messages;
    atomic_int sent_messages;
    int send_total; /* messages a download has */
};

/* Methods; all but OPEN need a certificate. */
#define ECHO  "/t.Test/Echo"  /* unary: the same bytes back; limit METHOD_LIMIT */
#define OPEN  "/t.Test/Open"  /* the same, for anybody */
#define PARK  "/t.Test/Park"  /* unary: answered by world_answer */
#define LOAD  "/t.Test/Load"  /* bidi: counts, answers the total as text after the half-close */
#define FETCH "/t.Test/Fetch" /* server stream: send_total chunks of CHUNK bytes */
#define TALK  "/t.Test/Talk"  /* bidi: each message back at once */

void world_open(struct world *w);
void world_stop(struct world *w, uint32_t grace_ms); /* the server only */
enum ft_status world_serve(struct world *w, const char *address, uint32_t calls_max, struct ft_error *err);
void world_close(struct world *w, uint32_t grace_ms); /* the server first, if it still runs */

/* Certificates. `days_from`/`days_until` count from now. */
struct ft_pki_validity days(int from, int until);
void make_client(const struct ft_buf *ca_key, const struct ft_buf *ca_cert, const char *shop,
                 struct ft_pki_validity validity, struct identity *out);
void identity_clear(struct identity *id);

struct ft_rpc_channel *world_channel(struct world *w, const struct identity *id); /* NULL: no certificate */
enum ft_status echo(struct ft_rpc_channel *ch, const char *path, struct ft_rpc_result *result);
/* Again until it is answered: a place in the server is free only after the call that had it was told of its
 * end. */
void echo_at_last(struct ft_rpc_channel *ch, const char *path);

/* Answer the oldest parked call with "late"; false if there is none. */
bool world_answer(struct world *w, enum ft_status *st);
int world_parked(struct world *w);

/* Wait until the counter is `value` or more; it is another thread's. */
void await_count(atomic_int *counter, int value);
void nap_ms(unsigned ms);

#endif
