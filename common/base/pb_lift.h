/*
 * The one long bytes field of a protobuf message, read and written where it lies. protobuf-c would copy it
 * into zeroed memory; the few bytes around it are still packed and unpacked by protobuf-c.
 */
#ifndef FT_BASE_PB_LIFT_H
#define FT_BASE_PB_LIFT_H

#include "common/base/buf.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_PB_LIFT_MIN 4096 /* a shorter field is not worth it */

struct ft_pb_lift {
    struct ft_bytes field; /* borrowed from the message */
    size_t rest_size;
    uint8_t rest[256]; /* the message without that field */
};

/* Take the bytes field `number` out of a message. False when there is nothing to gain or anything is unusual
 * (no such field, a short one, two of them, a long rest, not a message at all): unpack the message as a whole
 * then. */
bool ft_pb_lift(struct ft_bytes message, uint32_t number, struct ft_pb_lift *out);

/* What stands before the bytes of field `number`: append it to a packed message that lacks the field, then
 * send `size` bytes. */
FT_NODISCARD enum ft_status ft_pb_tail(struct ft_buf *out, uint32_t number, size_t size);

#endif
