/*
 * Status codes on the wire (gRPC's numbers) and what they mean to us.
 */
#ifndef FT_RPC_STATUS_H
#define FT_RPC_STATUS_H

#include "common/base/status.h"

enum ft_rpc_code {
    FT_RPC_OK = 0,
    FT_RPC_CANCELLED = 1,
    FT_RPC_UNKNOWN = 2,
    FT_RPC_INVALID_ARGUMENT = 3,
    FT_RPC_DEADLINE_EXCEEDED = 4,
    FT_RPC_NOT_FOUND = 5,
    FT_RPC_ALREADY_EXISTS = 6,
    FT_RPC_PERMISSION_DENIED = 7,
    FT_RPC_RESOURCE_EXHAUSTED = 8,
    FT_RPC_FAILED_PRECONDITION = 9,
    FT_RPC_ABORTED = 10,
    FT_RPC_OUT_OF_RANGE = 11,
    FT_RPC_UNIMPLEMENTED = 12,
    FT_RPC_INTERNAL = 13,
    FT_RPC_UNAVAILABLE = 14,
    FT_RPC_DATA_LOSS = 15,
    FT_RPC_UNAUTHENTICATED = 16,
};

const char *ft_rpc_code_str(enum ft_rpc_code code); /* "UNAVAILABLE" */

/* For the caller of an RPC: OK -> OK; UNAVAILABLE -> PEER; DEADLINE_EXCEEDED -> TIMEOUT;
 * UNAUTHENTICATED, PERMISSION_DENIED -> REFUSED; RESOURCE_EXHAUSTED, ABORTED -> LATER; NOT_FOUND
 * -> NOTFOUND; INVALID_ARGUMENT, OUT_OF_RANGE -> FORMAT; ALREADY_EXISTS -> DUPLICATE; FAILED_PRECONDITION ->
 * STATE; else PEER. */
enum ft_status ft_rpc_code_status(enum ft_rpc_code code);
/* For a handler: the code that tells the peer about our status. */
enum ft_rpc_code ft_rpc_code_of(enum ft_status st);

#endif
