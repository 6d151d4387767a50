/* Client internals: the channel, shared by rpc_client.c (channel, unary) and rpc_stream.c. */
#ifndef FT_RPC_CLIENT_INTERNAL_H
#define FT_RPC_CLIENT_INTERNAL_H

#include "common/rpc/rpc_client.h"
#include "common/rpc/rpc_library.h"
#include <grpc/support/time.h>

struct ft_rpc_channel {
    grpc_channel *grpc;
    const volatile sig_atomic_t *cancel;
    bool library_open;
};

gpr_timespec rpc_wait_until(uint64_t wait_ms);
bool rpc_cancel_raised(const struct ft_rpc_channel *ch);
/* The status of a code; fills in `result` unless it is NULL. */
enum ft_status rpc_result_set(struct ft_rpc_result *result, grpc_status_code code, grpc_slice details);
grpc_call *rpc_start_call(struct ft_rpc_channel *ch, grpc_completion_queue *cq, const char *path,
                          gpr_timespec deadline);
void rpc_queue_end(grpc_completion_queue *cq); /* every operation on it has been started before */

#endif
