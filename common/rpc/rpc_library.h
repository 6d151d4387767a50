/* What server and client share of gRPC: start and stop, TLS 1.3 only, failed handshakes, slices. */
#ifndef FT_RPC_LIBRARY_H
#define FT_RPC_LIBRARY_H

#include "common/base/buf.h"
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>

/* What a stream may have under way before its reader asks: a fixed window, because gRPC's own estimate grows
 * to tens of MB a connection. 20 MB/s at a round trip of 50 ms. */
#define RPC_READ_AHEAD ((uint64_t)1 << 20)
#define RPC_FRAME_SIZE ((uint64_t)256 << 10) /* of HTTP/2; gRPC's own 16 KiB cut each chunk into many */

#define RPC_MESSAGE_MAX ((size_t)(16 << 20) + (64 << 10))

/*
 * grpc_init, once the process speaks TLS 1.3 only. C core asks OpenSSL for TLS 1.2 or newer and has no setter
 * in C, but each SSL_CTX starts from OpenSSL's system defaults, and a protocol switched off there stays off:
 * so these are set in memory (no file), and a trial SSL_CTX must show it. Errors: CONFIG.
 */
FT_NODISCARD enum ft_status rpc_library_open(struct ft_error *err);
void rpc_library_close(void); /* grpc_shutdown */

/* gRPC only logs a failed handshake; whoever listens hears of each one in this process. A listener must not
 * call rpc_listen_* from inside. */
struct rpc_listener {
    void (*handshake_failed)(void *ctx, const char *reason);
    void *ctx;
    struct rpc_listener *next;
};
void rpc_listen_start(struct rpc_listener *l);
void rpc_listen_stop(struct rpc_listener *l); /* when this returns, no call is under way */

/* A message of copied bytes, or of a buffer that gRPC frees when it is out; NULL without memory (then
 * the buffer is still the caller's). */
grpc_byte_buffer *rpc_message_copy(struct ft_bytes bytes);
grpc_byte_buffer *rpc_message_take(struct ft_buf *bytes);

/* The message's bytes in one run: its own slice if it has just one, else copied to `flat`, which grows as
 * needed. The view ends with `message`, `*slice` (unref it) or `flat`, whichever is first. */
FT_NODISCARD enum ft_status rpc_message_view(grpc_byte_buffer *message, grpc_slice *slice,
                                             struct ft_buf *flat, struct ft_bytes *out);

/* Copy a slice into a text of `size` bytes; control characters become '?'. */
void rpc_slice_text(char *out, size_t size, grpc_slice slice);

/* Channel arguments, at most RPC_ARGS_MAX, on the caller's stack. */
#define RPC_ARGS_MAX 24
struct rpc_args {
    grpc_arg list[RPC_ARGS_MAX];
    size_t count;
};
void rpc_arg_int(struct rpc_args *a, const char *key, uint64_t value); /* capped at INT_MAX */
void rpc_arg_text(struct rpc_args *a, const char *key, const char *value);

/* A PEM as the C string that gRPC wants; free with ft_secret_free. NULL without memory. */
char *rpc_pem_text(struct ft_bytes pem);

#endif
