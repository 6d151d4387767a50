/*
 * gRPC server: mutual TLS 1.3, asynchronous calls, a check of the peer's certificate on every call.
 *
 * Who gets in: a handshake needs TLS 1.3, and a client certificate, when given, that our CA issued for
 * clients and that is valid now. A method with needs_peer runs only for such a peer and only if `authorize`
 * says FT_RPC_OK: asked at each call and again at each message of a stream, so that a revoked shop is out at
 * its next message. Whoever is refused reaches no handler and leaves exactly one audit event.
 *
 * A call:   on_open -> on_message* -> on_half_close? -> on_closed      (unary: one on_message; no on_open)
 *           ft_rpc_reply / ft_rpc_finish may come at any time, from any thread.
 *
 * 1. Callbacks of one call never overlap; those of different calls do (one poller thread each). They must not
 * block.
 * 2. on_closed is the last callback and comes exactly once for each call whose on_open or on_message ran,
 * after the reply has left or when the peer gave up, its deadline passed, it was revoked or the server
 * closes.
 * 3. `call` is valid until on_closed returns, longer only under ft_rpc_call_hold(). On a call that is over,
 * reply, send and finish return ERR_CANCELLED and do nothing. No function here calls a callback from inside,
 * so they may be called under the caller's own lock.
 * 4. A stream's next message is read only after ft_rpc_read_next(): flow control holds the peer back
 * meanwhile.
 *
 * grpc_init happens in open, grpc_shutdown in close (reference-counted): fork before open, not after.
 */
#ifndef FT_RPC_SERVER_H
#define FT_RPC_SERVER_H

#include "common/base/buf.h"
#include "common/rpc/pki.h"
#include "common/rpc/rpc_status.h"
#include <stdbool.h>

struct ft_rpc_server;
struct ft_rpc_call;

enum ft_rpc_kind { FT_RPC_UNARY, FT_RPC_BIDI, FT_RPC_SERVER_STREAM };

/* Who calls. */
struct ft_rpc_peer {
    bool known;                        /* a certificate of our CA was shown; else the two below are empty */
    struct ft_fingerprint fingerprint; /* of the certificate */
    char common_name[FT_PKI_NAME_MAX + 1];
    char address[80]; /* "ipv4:127.0.0.1:40512" */
};

struct ft_rpc_method {
    const char *path; /* "/fedtill.v1.Federation/Sync" */
    enum ft_rpc_kind kind;
    bool needs_peer;    /* false: served without a client certificate, and without asking `authorize` */
    size_t message_max; /* bytes of one request; 0: the server's. Larger: RESOURCE_EXHAUSTED, no callback */

    /* Bidi only, may be NULL: the stream opened. Nothing is read before ft_rpc_read_next(); without on_open
     * the first message is read at once. */
    void (*on_open)(void *ctx, struct ft_rpc_call *call);
    /* The request, or a bidi stream's next message; borrowed until this returns. */
    void (*on_message)(void *ctx, struct ft_rpc_call *call, struct ft_bytes message);
    /* Bidi, may be NULL (then the call finishes OK): the peer sends no more. */
    void (*on_half_close)(void *ctx, struct ft_rpc_call *call);
    /* Streams, may be NULL: a send slot became free after a message has left. */
    void (*on_writable)(void *ctx, struct ft_rpc_call *call);
    /* May be NULL. `clean`: the reply or final status went out and nobody cancelled. */
    void (*on_closed)(void *ctx, struct ft_rpc_call *call, bool clean);
    void *ctx;
};

enum ft_rpc_audit_kind {
    FT_RPC_AUDIT_HANDSHAKE, /* no connection: wrong version, bad certificate, garbage, cut off. No peer. */
    FT_RPC_AUDIT_NO_CERTIFICATE, /* a method that needs a peer, called without one */
    FT_RPC_AUDIT_EXPIRED,        /* the certificate ran out while the connection was open */
    FT_RPC_AUDIT_UNAUTHORIZED,   /* `authorize` refused */
    FT_RPC_AUDIT_UNKNOWN_METHOD,
    FT_RPC_AUDIT_OVERSIZE, /* a message above the method's limit */
    FT_RPC_AUDIT_OVERLOAD, /* more calls at once than calls_max, or than calls_per_peer */
    FT_RPC_AUDIT_SILENT,   /* no message, or none taken, for silent_ms: ended with ABORTED */
};
const char *ft_rpc_audit_str(enum ft_rpc_audit_kind kind); /* "no_certificate" */

struct ft_rpc_server_params {
    const char *address;                 /* "host:port" or "[v6]:port"; port 0: any free one */
    struct ft_bytes ca_pem;              /* issuer of the client certificates */
    struct ft_bytes cert_pem, key_pem;   /* ours; copied */
    const struct ft_rpc_method *methods; /* borrowed until close */
    size_t method_count;

    /* Is this peer served, for this method? Any thread, must be quick. Anything but FT_RPC_OK goes to the
     * peer. */
    enum ft_rpc_code (*authorize)(void *ctx, const struct ft_rpc_peer *peer, const char *path);
    /* One event per refusal. peer and path are NULL for a handshake. `detail` may be logged. NULL: not told.
     * Any thread, even gRPC's own inside the handshake: must be quick, and must not call back here. */
    void (*audit)(void *ctx, enum ft_rpc_audit_kind kind, const struct ft_rpc_peer *peer, const char *path,
                  const char *detail);
    /* Wall clock in ms, for the certificates' end; NULL: the machine's. */
    uint64_t (*wall_ms)(void *ctx);
    void *ctx;

    /* Limits; 0 takes the default. */
    uint32_t threads;              /* poller threads, 1 .. 64; 2 */
    size_t message_max;            /* bytes of one message, either way; 16 MiB + 64 KiB */
    uint32_t calls_max;            /* open calls of all shops; strangers get an eighth of it; 4096 */
    uint32_t calls_per_connection; /* 32 */
    uint32_t calls_per_peer;       /* open calls of one certificate, over all its connections; 64 */
    uint32_t silent_ms; /* a message awaited, or one to be taken, for so long ends the call; 300000. Strangers
                         * get an eighth */
    uint32_t send_window;  /* messages of a stream handed to ft_rpc_send and not yet out; 4 */
    uint32_t keepalive_ms; /* server pings an idle connection; 60000 */
    uint32_t handshake_ms; /* a connection must be up by then; 20000 */
    size_t memory_max;     /* gRPC's buffers in bytes (resource quota); 256 MiB */
};

/* Listen and serve. *out is NULL unless FT_OK. Errors: CONFIG (address in use or not ours, PEMs, TLS 1.3
 * cannot be enforced), NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status ft_rpc_server_open(const struct ft_rpc_server_params *params,
                                               struct ft_rpc_server **out, struct ft_error *err);
uint16_t ft_rpc_server_port(const struct ft_rpc_server *s);

/* Stop accepting, let calls finish for up to grace_ms, then cancel the rest; each call's on_closed has run
 * when this returns. Parked calls are told nothing before: reply to them first, or give 0. Not from a
 * callback. NULL allowed. */
void ft_rpc_server_close(struct ft_rpc_server *s, uint32_t grace_ms);

/* The standard health service (grpc.health.v1.Health, Check and Watch) answers for "" and for the services
 * named here; others are NOT_FOUND. Served without a client certificate. All start as not serving. Errors:
 * LIMIT, NOMEM. */
FT_NODISCARD enum ft_status ft_rpc_server_set_health(struct ft_rpc_server *s, const char *service,
                                                     bool serving);

/* ---- calls: any thread ---- */

void *ft_rpc_call_user(const struct ft_rpc_call *call);
void ft_rpc_call_set_user(struct ft_rpc_call *call, void *user);
const struct ft_rpc_peer *ft_rpc_call_peer(const struct ft_rpc_call *call);
uint64_t
ft_rpc_call_left_ms(const struct ft_rpc_call *call); /* until its deadline; UINT64_MAX: it has none */
void ft_rpc_call_hold(struct ft_rpc_call *call);     /* keep the struct (not the call) alive */
void ft_rpc_call_drop(struct ft_rpc_call *call);     /* undo one hold */

/* Unary: answer and end. `body` is copied; with a code other than OK, `body` is ignored and `detail` (may be
 * NULL) goes to the peer. Errors: CANCELLED (the call is over), STATE (already answered), LIMIT (above
 * message_max). */
enum ft_status ft_rpc_reply(struct ft_rpc_call *call, enum ft_rpc_code code, struct ft_bytes body,
                            const char *detail);
/* As above with OK; takes the buffer over without a copy (*body is empty afterwards, whatever comes back). */
enum ft_status ft_rpc_reply_buf(struct ft_rpc_call *call, struct ft_buf *body);

/* Bidi: allow one more message to be read. Errors: CANCELLED, STATE (a read is under way). */
enum ft_status ft_rpc_read_next(struct ft_rpc_call *call);
/* Streams: queue one message. LATER: the window is full, wait for on_writable. Errors: CANCELLED, STATE,
 * LIMIT. */
enum ft_status ft_rpc_send(struct ft_rpc_call *call, struct ft_bytes message);
/* As above without a copy; *message is taken over on FT_OK only. */
enum ft_status ft_rpc_send_buf(struct ft_rpc_call *call, struct ft_buf *message);
/* Streams: end, after what is queued has left. Errors: CANCELLED, STATE (already finished). */
enum ft_status ft_rpc_finish(struct ft_rpc_call *call, enum ft_rpc_code code, const char *detail);

#endif
