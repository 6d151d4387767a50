/*
 * Consent import: decisions from a loyalty or CRM export, as CSV.
 *
 * Standard columns: customer_id, decision (both needed); purpose, time, notice, opt_out (may be absent).
 *   decision   given: given, grant, granted, yes, y, true, 1, opt-in, accepted
 *              refused: refused, refuse, no, n, false, 0, opt-out, declined; withdrawn: withdrawn, withdraw,
 * revoked purpose    a known purpose; `*` or `all` means every purpose, for a refusal or withdrawal only time
 * in the configured format, UTC opt_out    a global opt-out flag (e.g. GPC): unless empty, no, n, false or 0
 * it refuses every purpose
 *
 * What is ambiguous is a refusal, never a grant: a decision that is none of these words, a time that cannot
 * be read or lies in the future, a grant for every purpose. Such a refusal counts from the time of the
 * import, and only where the customer's state is `given` then, so importing the same file again changes
 * nothing. A row without a customer, or for a purpose nobody knows, goes to the quarantine.
 */
#ifndef FT_CONSENT_IMPORT_H
#define FT_CONSENT_IMPORT_H

#include "client/consent/consent.h"

struct ft_consent_import_config {
    const char *file;     /* path */
    const char *base_dir; /* of a relative path; NULL: the working directory */
    char delimiter;       /* 0: ',' */
    enum ft_encoding encoding;
    const char *time_format; /* strptime; NULL: "%Y-%m-%d %H:%M:%S", and a date alone is accepted too */
    const char *purpose;     /* for a file without a purpose column; NULL otherwise */
    const struct ft_source_column *columns; /* NULL: every standard column under its own name */
    size_t column_count;
    double max_reject_ratio;
};

struct ft_consent_import_summary {
    uint64_t rows;
    uint64_t grants, refusals, withdrawals; /* events that would be new */
    uint64_t ambiguous;                     /* of the rows, taken as refusals */
    uint64_t unchanged;                     /* of the events, there already */
    struct ft_quarantine quarantine;
};

/* Read, tell `confirm` (NULL: yes) what would change, and commit only when it returns true; otherwise nothing
 * is recorded and CANCELLED comes back. Errors: NOTFOUND, IO, FORMAT (columns, too many bad rows), FULL,
 * NOMEM. */
FT_NODISCARD enum ft_status
ft_consent_import(struct ft_consent *consent, const struct ft_consent_import_config *config, uint64_t now_ms,
                  bool (*confirm)(void *ctx, const struct ft_consent_import_summary *summary), void *ctx,
                  struct ft_consent_import_summary *summary, struct ft_error *err);

#endif
