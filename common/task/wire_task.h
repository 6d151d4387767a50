/* The envelope of a signed task on the wire; its meaning is in task_sign.c. */
#ifndef FT_TASK_WIRE_TASK_H
#define FT_TASK_WIRE_TASK_H

#include "common/base/buf.h"

FT_NODISCARD enum ft_status wire_signed_task_encode(struct ft_bytes task, const uint8_t key[32],
                                                    const uint8_t signature[64], struct ft_buf *out);
/* The task's bytes are appended to *task. Errors: FORMAT (malformed or not canonical), LIMIT, NOMEM. */
FT_NODISCARD enum ft_status wire_signed_task_decode(struct ft_bytes signed_task, struct ft_buf *task,
                                                    uint8_t key[32], uint8_t signature[64]);

#endif
