/* What consent_sqlite.c and import.c share; nobody else includes this. */
#ifndef FT_CONSENT_CONSENT_INTERNAL_H
#define FT_CONSENT_CONSENT_INTERNAL_H

#include "client/consent/consent.h"

/* Record an event whose customer is a pseudonym already; no check of its time. */
FT_NODISCARD enum ft_status consent_insert(struct ft_consent *consent, const struct ft_consent_event *event,
                                           uint64_t now_ms, bool *added, struct ft_error *err);
FT_NODISCARD enum ft_status consent_state(struct ft_consent *consent, const struct ft_pseudonym *customer,
                                          const char *purpose, uint64_t now_ms, enum ft_consent_state *state,
                                          struct ft_error *err);
const struct ft_node_key *consent_key(const struct ft_consent *consent);

/* One writing transaction around several records. */
FT_NODISCARD enum ft_status consent_begin(struct ft_consent *consent, struct ft_error *err);
FT_NODISCARD enum ft_status consent_commit(struct ft_consent *consent, struct ft_error *err);
void consent_rollback(struct ft_consent *consent);

/* For erase_sqlite.c. */
struct sqlite3;
struct sqlite3 *consent_handle(const struct ft_consent *consent);
enum ft_status consent_fail(const struct ft_consent *consent, const char *what, struct ft_error *err);
#define CONSENT_IS_KEPT                                                                                      \
    "CREATE TRIGGER IF NOT EXISTS consent_event_is_kept BEFORE DELETE ON consent_event"                      \
    " BEGIN SELECT RAISE(ABORT, 'the consent history is append-only'); END;"

#endif
