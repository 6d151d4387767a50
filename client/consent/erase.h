/*
 * Erasure: what the registry does when a customer asks to be forgotten (feature map, S-19).
 *
 * Invariants
 *   1. Afterwards no file of the state folder holds the customer's id or pseudonym: the events are deleted, the database
 *      is rewritten and its write-ahead log cut, and what is kept, a tombstone, is a keyed hash of the pseudonym.
 *   2. A tombstone is for good: later imports of consents or rows pass the customer over.
 *   3. The deletion and its tombstone are one commit. The rewriting behind it may be interrupted; it is owed, and done at
 *      the next open of whoever calls ft_consent_scrub.
 *   4. Every eligible set read before it counts as changed (ft_consent_unchanged).
 *
 * The one exception to the registry's invariant 3.
 */
#ifndef FT_CONSENT_ERASE_H
#define FT_CONSENT_ERASE_H

#include "client/consent/consent.h"

struct ft_erasure {
    uint64_t events;   /* deleted */
    bool again;        /* the customer was erased already */
    bool scrubbed;     /* invariant 1 holds; false: owed */
    char receipt[33];  /* random, names the request; says nothing of the customer */
};

/* Forget a customer. `customer_id` as the source writes it. Unknown customers get a tombstone too, and the same answer
 * in the same time. Errors: FORMAT (empty id), IO, FULL, NOMEM: then nothing has changed. */
FT_NODISCARD enum ft_status ft_consent_erase(struct ft_consent *consent, const char *customer_id, uint64_t now_ms,
                                             struct ft_erasure *out, struct ft_error *err);

/* Do what is owed of invariant 1, if anything is. *clean (may be NULL) tells whether it holds. LATER is no error here:
 * another process may hold the database. Errors: IO, FULL, NOMEM. */
FT_NODISCARD enum ft_status ft_consent_scrub(struct ft_consent *consent, bool *clean, struct ft_error *err);

/* How many customers are erased: a number that only grows. Errors: IO. */
FT_NODISCARD enum ft_status ft_consent_erased_count(struct ft_consent *consent, uint64_t *count);

/* Is this customer erased? Whatever cannot be read counts as erased. */
bool ft_consent_is_erased(struct ft_consent *consent, const struct ft_pseudonym *customer);

#endif
