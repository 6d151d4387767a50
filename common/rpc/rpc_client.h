/*
 * gRPC client: blocking calls over mutual TLS 1.3, each with a deadline.
 *
 * The aggregator must show a certificate of `ca_pem` for servers that carries the host's name. Without a
 * client certificate only Enrol and Health are served. Connects when first used and again after a loss.
 * gRPC's own proxies apply (grpc_proxy, https_proxy, http_proxy; no_grpc_proxy, no_proxy), but never to a
 * loopback target.
 *
 * A channel may be used by several threads; a stream by one. ft_rpc_cancel is a flag that any thread or
 * signal handler may raise: calls that watch it end with ERR_CANCELLED within FT_RPC_CANCEL_MS.
 * grpc_init happens in open, grpc_shutdown in close (reference-counted): fork before open, not after.
 */
#ifndef FT_RPC_CLIENT_H
#define FT_RPC_CLIENT_H

#include "common/base/buf.h"
#include "common/rpc/rpc_status.h"
#include <signal.h>
#include <stdbool.h>

#define FT_RPC_CANCEL_MS 100

struct ft_rpc_channel;
struct ft_rpc_stream;

struct ft_rpc_channel_params {
    const char *target;                  /* "host:port" */
    struct ft_bytes ca_pem;              /* the only issuer trusted; copied, as the two below */
    struct ft_bytes cert_pem, key_pem;   /* ours; both empty: server-authenticated only, for Enrol */
    const char *server_name;             /* name expected in the certificate; NULL: the target's host */
    const volatile sig_atomic_t *cancel; /* not 0: end all calls; NULL: never. Borrowed */

    /* 0 takes the default. */
    size_t message_max;         /* bytes of one message, either way; 16 MiB + 64 KiB */
    uint32_t keepalive_ms;      /* ping while a call is open; 30000 (below 10000 the server hangs up) */
    uint32_t keepalive_wait_ms; /* no answer to a ping for so long: the link is dead; 10000 */
    uint32_t reconnect_ms_max;  /* gRPC's own wait between connection attempts, at most; 5000 */
};

/* How a call ended. */
struct ft_rpc_result {
    enum ft_rpc_code code;
    char detail[240]; /* the peer's or gRPC's sentence */
};

/* *out is NULL unless FT_OK; does not connect. Errors: CONFIG (target, PEMs, TLS 1.3 cannot be enforced),
 * NOMEM. */
FT_NODISCARD enum ft_status ft_rpc_channel_open(const struct ft_rpc_channel_params *params,
                                                struct ft_rpc_channel **out, struct ft_error *err);
void ft_rpc_channel_close(struct ft_rpc_channel *ch); /* streams first; NULL allowed */

/* One call: `request` is borrowed, the answer is appended to `response`. The status is that of result->code
 * (ft_rpc_code_status); CANCELLED when the flag was raised. `result` may be NULL. */
FT_NODISCARD enum ft_status ft_rpc_unary(struct ft_rpc_channel *ch, const char *path, struct ft_bytes request,
                                         uint32_t deadline_ms, struct ft_buf *response,
                                         struct ft_rpc_result *result);

/* Start a stream; deadline_ms bounds its whole life. Errors: NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status ft_rpc_stream_open(struct ft_rpc_channel *ch, const char *path,
                                               uint32_t deadline_ms, struct ft_rpc_stream **out);
/* Send one message. It is on its way while the caller makes the next: this waits only for the one before.
 * Errors: LATER (the peer has finished in order: read its last messages with recv), else as the code says. */
FT_NODISCARD enum ft_status ft_rpc_stream_send(struct ft_rpc_stream *s, struct ft_bytes message);
/* As above without a copy; *message is taken over on FT_OK only. */
FT_NODISCARD enum ft_status ft_rpc_stream_send_buf(struct ft_rpc_stream *s, struct ft_buf *message);
/* We send no more (needed before the first recv of a server stream). */
FT_NODISCARD enum ft_status ft_rpc_stream_done(struct ft_rpc_stream *s);
/* The next message, borrowed until the next call on this stream. wait_ms 0 only looks; UINT32_MAX waits as
 * long as the deadline. Errors: LATER (none within wait_ms), NOTFOUND (the peer finished in order: no more),
 * else as the code says. */
FT_NODISCARD enum ft_status ft_rpc_stream_recv(struct ft_rpc_stream *s, uint32_t wait_ms,
                                               struct ft_bytes *message);
/* End and free. A stream whose end recv has not told yet is cancelled. `result` may be NULL. NULL stream
 * allowed. */
enum ft_status ft_rpc_stream_close(struct ft_rpc_stream *s, struct ft_rpc_result *result);

#endif
