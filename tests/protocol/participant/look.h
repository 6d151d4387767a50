/* What a SYNC says, for tests that also know the client's policy (whose words for verdicts the aggregator
 * shares). */
#ifndef TEST_PARTICIPANT_LOOK_H
#define TEST_PARTICIPANT_LOOK_H

#include "common/base/buf.h"

#include <stdbool.h>

struct look {
    bool has_verdict;
    uint32_t verdict, code; /* of the first; code 0 when it has none */
    uint32_t answer;        /* enum ft_ss_up_kind; 0: none */
};

/* False when the bytes are no SyncRequest, or its answer no secure-sum message. */
bool look_at_sync(struct ft_bytes request, struct look *out);

#endif
