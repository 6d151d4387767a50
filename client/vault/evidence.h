/*
 * Evidence against an aggregator that told two stories: both messages, beside the audit log, for whoever
 * judges it. Each is signed, so one pair proves the matter; an aggregator that goes on lying cannot fill the
 * shop's disk with its lies.
 */
#ifndef FT_VAULT_EVIDENCE_H
#define FT_VAULT_EVIDENCE_H

#include "common/base/buf.h"
#include "common/base/status.h"

#define FT_EVIDENCE_FILES_MAX 32                   /* evidence.<wall clock>.1.bin and .2.bin */
#define FT_EVIDENCE_BYTES_MAX ((uint64_t)64 << 20) /* of all of them together */

/* Keep a pair in the state folder. Errors: LIMIT (there is as much as is kept already; the oldest is kept),
 * IO, FULL, NOMEM; of a pair that is not whole nothing stays. */
FT_NODISCARD enum ft_status ft_evidence_keep(const char *state_dir, uint64_t wall_ms, struct ft_bytes first,
                                             struct ft_bytes second);

#endif
