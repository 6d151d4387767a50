/*
 * What a file of fedtill claims, worked out again: a released model (safetensors or JSON), the figures of a statistics
 * task (JSON), a privacy statement, a report. Everything needed is in the file. Any bytes may come.
 */
#ifndef FT_VERIFY_VERIFY_H
#define FT_VERIFY_VERIFY_H

#include "common/base/buf.h"

typedef struct json_t json_t;

enum ft_verify_kind { FT_VERIFY_RELEASE = 1, FT_VERIFY_STATEMENT = 2, FT_VERIFY_REPORT = 3 };

#define FT_VERIFY_BYTES_MAX ((size_t)1 << 30)

/* The verified statement in a file of this kind; `signer`, 32 bytes or NULL, is the key its task must be
 * signed by. Errors: FORMAT (not such a file), VERIFY (the first difference), NOMEM. */
FT_NODISCARD enum ft_status ft_verify(struct ft_bytes file, enum ft_verify_kind kind, const uint8_t *signer,
                                      json_t **statement, struct ft_error *err);

#endif
