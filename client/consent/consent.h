/*
 * Consent registry: who agreed to which purpose, and when. Append-only, in the client's state.db.
 *
 * Invariants
 *   1. Unknown means no: a customer is eligible only while the latest event for that purpose is `given`, not
 * expired.
 *   2. The later event wins; at equal times a refusal or withdrawal wins over a grant. Order of recording is
 * of no account.
 *   3. An event once recorded is never changed or removed.
 *   4. The disk holds pseudonyms only, no customer id (client/source/pseudonym.h).
 *   5. One purpose never implies another.
 *   6. The same event recorded twice is one event.
 *
 * Times are milliseconds since 1970 (UTC). Not thread-safe.
 */
#ifndef FT_CONSENT_CONSENT_H
#define FT_CONSENT_CONSENT_H

#include "client/source/db.h"
#include "client/source/pseudonym.h"
#include "client/source/quarantine.h"
#include "client/source/source.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stdint.h>

enum ft_consent_state {
    FT_CONSENT_UNKNOWN = 0,
    FT_CONSENT_GIVEN = 1,
    FT_CONSENT_REFUSED = 2,
    FT_CONSENT_WITHDRAWN = 3,
    FT_CONSENT_EXPIRED = 4, /* was given, its time is over; never recorded, only found */
};
const char *ft_consent_state_name(enum ft_consent_state state); /* "given" */

/* verb/area: train, score, measure or synthesise, then segmentation, propensity, demand or personalisation.
 */
bool ft_purpose_known(const char *purpose);
/* The known purposes by index, 0 .. 15; false beyond. */
bool ft_purpose_at(size_t index, char out[32]);

#define FT_CONSENT_NOTICE_MAX 32

struct ft_consent_event {
    struct ft_pseudonym customer;
    char purpose[32];
    enum ft_consent_state state;            /* given, refused or withdrawn */
    char notice[FT_CONSENT_NOTICE_MAX + 1]; /* version of the notice the customer saw; may be empty */
    char method[17];                        /* e.g. "desk", "import", "app" */
    uint64_t at_ms;
    uint64_t expires_ms; /* 0: does not expire */
};

struct ft_consent;

/* Open or make the registry in the SQLite database at `path`. Refuses (STATE) unless the database reads back
 * as WAL and synchronous=FULL. `key` is copied. Errors: IO, FULL, FORMAT (not such a database), STATE, NOMEM.
 */
FT_NODISCARD enum ft_status ft_consent_open(const char *path, const struct ft_node_key *key,
                                            struct ft_consent **out, struct ft_error *err);
void ft_consent_close(struct ft_consent *consent); /* NULL is allowed */

/* Record one event; event->customer is made from `customer_id` here, what it holds is overlooked. `now_ms` is
 * the wall clock. *added (may be NULL) is false when it was there already. Errors: FORMAT (unknown purpose,
 * future date, a state that is not recorded, overlong text), IO, FULL, NOMEM. */
FT_NODISCARD enum ft_status ft_consent_record(struct ft_consent *consent, const char *customer_id,
                                              const struct ft_consent_event *event, uint64_t now_ms,
                                              bool *added, struct ft_error *err);

/* The customer's state for a purpose at `now_ms`. Errors: FORMAT, IO, NOMEM. */
FT_NODISCARD enum ft_status ft_consent_state_of(struct ft_consent *consent, const char *customer_id,
                                                const char *purpose, uint64_t now_ms,
                                                enum ft_consent_state *state, struct ft_error *err);

/* The customer's history for a purpose, oldest first; stops when `each` returns false. */
FT_NODISCARD enum ft_status ft_consent_history(struct ft_consent *consent, const char *customer_id,
                                               const char *purpose,
                                               bool (*each)(void *ctx, const struct ft_consent_event *event),
                                               void *ctx, struct ft_error *err);

/* What an eligible set was read from, to see later whether it still holds. */
struct ft_consent_mark {
    char purpose[32];
    uint64_t generation;  /* rises with every event for the purpose */
    uint64_t read_ms;     /* when the set was read */
    uint64_t valid_to_ms; /* the first expiry or coming into force among the events; UINT64_MAX: none */
};

/* Fill the eligible set of `db` for a purpose at `now_ms`: exactly those whose state is `given`. `count` is
 * how many customers are eligible by registry, whether or not they bought anything. After an error the set is
 * empty. Errors: FORMAT, IO, NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status ft_consent_eligible(struct ft_consent *consent, const char *purpose,
                                                uint64_t now_ms, struct ft_db *db, uint64_t *count,
                                                struct ft_consent_mark *mark, struct ft_error *err);

/* True while nothing happened that could change the eligible set read at `mark`: no event for the purpose
 * since, no expiry passed, and the clock not set back. Any error counts as a change. */
bool ft_consent_unchanged(struct ft_consent *consent, const struct ft_consent_mark *mark, uint64_t now_ms);

/* Customers by state for a purpose, in counts only. */
struct ft_consent_totals {
    uint64_t events;
    uint64_t given, refused, withdrawn, expired;
};
FT_NODISCARD enum ft_status ft_consent_totals(struct ft_consent *consent, const char *purpose,
                                              uint64_t now_ms, struct ft_consent_totals *out,
                                              struct ft_error *err);

#endif
