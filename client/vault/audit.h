/*
 * The shop's audit log: one JSON line for every message the vault hands out, written before it goes. No
 * content: only what left, when, how large, and its hash. (Of a part of a masked input: the hash of its head and of the
 * upload's trailer, whose SHA-256 is that of the whole vector; hashing the same bytes twice would cost as much as masking.)
 *
 *   {"seq":12,"time_ms":...,"kind":"sync","size":231,"blake2b":"...","prev":"..."}
 *
 * `prev` is BLAKE2b-256 of the line before (without its end of line), 64 zeros at the very start, so that no
 * line can be changed, taken out or put in without all later ones changing. At FT_AUDIT_ROTATE_SIZE the file
 * is renamed to audit.<first seq>.jsonl and the chain goes on in a new one; nothing is ever deleted here.
 *
 * A line cut off by a crash belongs to a message that was never sent; it is taken off at the next start.
 */
#ifndef FT_VAULT_AUDIT_H
#define FT_VAULT_AUDIT_H

#include "common/base/buf.h"
#include "common/base/env.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_AUDIT_ROTATE_SIZE ((uint64_t)32 << 20)

struct ft_audit;

/* Open or make audit.jsonl in a folder, mode 0600. Errors: IO, FULL, VERIFY (the last line is not one of
 * ours), NOMEM. */
FT_NODISCARD enum ft_status ft_audit_open(const char *dir, const struct ft_env *env, uint64_t rotate_size,
                                          struct ft_audit **out, struct ft_error *err);
void ft_audit_close(struct ft_audit *audit); /* NULL is allowed */

/* Append one line; `sync` waits until it is on the disk. `kind` is a short word, `size` the message's. Errors: IO, FULL; the log is
 * then as it was, and the message must not go. */
FT_NODISCARD enum ft_status ft_audit_append(struct ft_audit *audit, const char *kind, uint64_t size,
                                            struct ft_bytes payload, bool sync);

/* Check the chain of one file; `lines` (may be NULL) counts them. Errors: NOTFOUND, IO, VERIFY (with the
 * line), NOMEM. */
FT_NODISCARD enum ft_status ft_audit_verify(const char *path, uint64_t *lines, struct ft_error *err);

#endif
