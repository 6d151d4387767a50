#include "common/rpc/rpc_status.h"

#include <stddef.h>

static const char *const names[] = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

const char *
ft_rpc_code_str(enum ft_rpc_code code)
{
    return (size_t)code < sizeof names / sizeof *names ? names[code] : "UNKNOWN";
}

enum ft_status
ft_rpc_code_status(enum ft_rpc_code code)
{
    switch (code) {
    case FT_RPC_OK:
        return FT_OK;
    case FT_RPC_INVALID_ARGUMENT:
    case FT_RPC_OUT_OF_RANGE:
        return FT_ERR_FORMAT;
    case FT_RPC_DEADLINE_EXCEEDED:
        return FT_ERR_TIMEOUT;
    case FT_RPC_NOT_FOUND:
        return FT_ERR_NOTFOUND;
    case FT_RPC_ALREADY_EXISTS:
        return FT_ERR_DUPLICATE;
    case FT_RPC_PERMISSION_DENIED:
    case FT_RPC_UNAUTHENTICATED:
        return FT_ERR_REFUSED;
    case FT_RPC_RESOURCE_EXHAUSTED:
    case FT_RPC_ABORTED:
        return FT_ERR_LATER;
    case FT_RPC_FAILED_PRECONDITION:
        return FT_ERR_STATE;
    case FT_RPC_CANCELLED: /* by the peer, as a server that is going away does: who cancels himself knows it */
    case FT_RPC_UNKNOWN:
    case FT_RPC_UNIMPLEMENTED:
    case FT_RPC_INTERNAL:
    case FT_RPC_UNAVAILABLE:
    case FT_RPC_DATA_LOSS:
        break;
    }
    return FT_ERR_PEER;
}

enum ft_rpc_code
ft_rpc_code_of(enum ft_status st)
{
    switch (st) {
    case FT_OK:
        return FT_RPC_OK;
    case FT_ERR_CANCELLED:
        return FT_RPC_CANCELLED;
    case FT_ERR_ARGUMENT:
    case FT_ERR_FORMAT:
    case FT_ERR_NONFINITE:
        return FT_RPC_INVALID_ARGUMENT;
    case FT_ERR_TIMEOUT:
        return FT_RPC_DEADLINE_EXCEEDED;
    case FT_ERR_NOTFOUND:
        return FT_RPC_NOT_FOUND;
    case FT_ERR_DUPLICATE:
        return FT_RPC_ALREADY_EXISTS;
    case FT_ERR_REFUSED:
    case FT_ERR_VERIFY:
    case FT_ERR_EQUIVOCATION:
        return FT_RPC_PERMISSION_DENIED;
    case FT_ERR_LIMIT:
    case FT_ERR_LATER:
        return FT_RPC_RESOURCE_EXHAUSTED;
    case FT_ERR_STATE:
    case FT_ERR_COHORT:
        return FT_RPC_FAILED_PRECONDITION;
    case FT_ERR_NOMEM:
    case FT_ERR_FULL:
    case FT_ERR_IO:
    case FT_ERR_PEER:
        return FT_RPC_UNAVAILABLE; /* our trouble, not the caller's: it may come back */
    case FT_ERR_CONFIG:
    case FT_ERR_INTERNAL:
    case FT_STATUS_COUNT:
        break;
    }
    return FT_RPC_INTERNAL;
}
