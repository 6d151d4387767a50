/* The health service's two messages, in and out of bytes. */
#ifndef FT_RPC_WIRE_HEALTH_H
#define FT_RPC_WIRE_HEALTH_H

#include "common/base/buf.h"

#define HEALTH_SERVICE_MAX 128 /* bytes of a service's name */

enum health_status { HEALTH_UNKNOWN, HEALTH_SERVING, HEALTH_NOT_SERVING, HEALTH_SERVICE_UNKNOWN };

/* The service asked for. Errors: FORMAT (also a longer name), NOMEM. */
FT_NODISCARD enum ft_status wire_health_request(struct ft_bytes bytes, char service[HEALTH_SERVICE_MAX + 1]);
FT_NODISCARD enum ft_status wire_health_reply(enum health_status status, struct ft_buf *out);

#endif
