/*
 * The courier: carries out what the vault asks for, one action at a time, over gRPC. It understands the
 * frames around a transfer and nothing of what is in them.
 *
 *   SYNC      the call is made again with the same bytes until it is answered
 *   DOWNLOAD  chunks are passed on as they come; a broken stream is resumed where it broke
 *   UPLOAD    chunks are pulled from the vault from the offset the aggregator names; a broken stream is
 * resumed
 *
 * A link that is down is tried again for ever, after a jittered back-off, and told in the log once each way.
 * Only what trying again cannot mend (refused, malformed, not found) goes back to the vault as FAILED.
 */
#ifndef FT_COURIER_COURIER_H
#define FT_COURIER_COURIER_H

#include "client/link/link.h"
#include "common/base/env.h"
#include "common/rpc/rpc_client.h"

struct ft_courier_config {
    struct ft_rpc_channel_params channel; /* `cancel` ends the courier too */
    const struct ft_env *env;
    uint32_t backoff_base_ms, backoff_cap_ms; /* 0: 200 and 30,000; up to 3,000 while the outage is young */
    uint32_t chunk_size;                      /* of uploads; 0: 512 KiB */
};

/* Serve until the vault says STOP or goes away (FT_OK), or `cancel` is raised (CANCELLED). Errors: CONFIG
 * (channel), FORMAT, LIMIT (a frame of the vault), NOMEM, IO. */
FT_NODISCARD enum ft_status ft_courier_run(const struct ft_courier_config *config, struct ft_link *link,
                                           struct ft_error *err);

#endif
