/*
 * Examples: the task's SELECT, run over the shop's records under the shop's rules, into training matrices.
 *
 * Invariants
 *   1. The query sees transactions, customers and products as views over eligible customers, after the standing
 *      exclusions; nothing else of the database exists for it.
 *   2. It is one SELECT; columns and functions are allowed by name, everything else is refused when it is prepared.
 *   3. It ends within its limits of time, memory and rows, or is refused with the limit's name.
 *   4. Every value is finite and inside its declared bounds; what was clipped is counted.
 *   5. Unit customer: at most rows_per_customer rows of one customer in each split, and every row's customer is an
 *      eligible one (else a query could give one customer's rows many names).
 *
 * Result columns by name, in any order: customer_id, split ('train' or 'test'), the label and every feature. Further
 * columns are read by nobody, but must be allowed all the same.
 */
#ifndef FT_VAULT_EXAMPLES_H
#define FT_VAULT_EXAMPLES_H

#include "client/source/db.h"
#include "common/base/env.h"
#include "common/base/refusal.h"
#include "common/base/status.h"
#include "common/task/task.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What lets the shop use a record at all. */
enum ft_examples_basis {
    FT_EXAMPLES_NONE = 0, /* nothing: zero rows */
    FT_EXAMPLES_CONSENT,  /* the customer's consent: rows of the eligible set only */
    FT_EXAMPLES_RECORDS,  /* records without people: refused when the source has customers, or the unit is customer */
};

/* A standing exclusion. A rule on customers, or on transactions.customer_id, leaves the whole customer out; a rule on
 * products leaves out the lines of that product. customer_id is given as the source writes it. */
struct ft_examples_exclude {
    const char *table, *column, *equals;
};

struct ft_examples_rules {
    enum ft_examples_basis basis;
    bool consent_source; /* false: no registry is set up, so nobody is eligible, whatever the set in the db says */
    /* The policy's column allow-list for the task's purpose. */
    bool (*allowed)(void *ctx, const char *table, const char *column);
    void *allowed_ctx;
    const struct ft_node_key *key; /* turns an excluded customer_id into its pseudonym */
    const struct ft_examples_exclude *exclude;
    size_t exclude_count;
    uint64_t query_ms;     /* 0: 20,000 */
    uint64_t query_rows;   /* result rows; 0: task->rows_max alone */
    uint64_t query_memory; /* bytes SQLite may take beyond what it holds already; 0: 512 MiB */
    uint64_t min_customers; /* fewer train customers (unit customer): LATER. 0: no minimum */
    const struct ft_env *env; /* its monotonic clock times the query */
};

/* Owned by the caller; clear with ft_examples_clear. Row-major, in the query's order within each split. */
struct ft_examples {
    size_t rows_train, rows_test, feature_count;
    float *x_train; /* (rows_train, feature_count), within the declared bounds */
    float *y_train; /* (rows_train) */
    float *x_test;  /* (rows_test, feature_count) */
    float *y_test;  /* (rows_test) */
    uint64_t customers_train, customers_test; /* distinct customer_id values */
    uint64_t clipped_values;                  /* features, and labels of linear and Poisson models */
    uint64_t rows_over_cap;                   /* dropped by rows_per_customer */
    char zero_reason[160];                    /* why there are no rows by rule; empty otherwise */
};

/*
 * Build the examples. Everything wrong with the query's columns and functions is added to `refusals` (NULL is
 * allowed), the first goes to *err.
 * Errors: REFUSED (COLUMN_NOT_ALLOWED, COLUMN_NOT_MAPPED, FUNCTION_NOT_ALLOWED, QUERY_NOT_ALLOWED, BASIS),
 *         FORMAT (not SQL, a result column missing, a value that is no number, a bad split or label),
 *         LIMIT (time, memory, rows), CONFIG (exclusion of an unmapped column), LATER (min_customers), NOMEM.
 * Codes of refusals: those names, QUERY_LIMIT, EXAMPLES_INVALID, TOO_FEW_CUSTOMERS.
 */
FT_NODISCARD enum ft_status ft_examples_build(struct ft_db *db, const struct ft_task *task,
                                              const struct ft_examples_rules *rules, struct ft_examples *out,
                                              struct ft_refusals *refusals, struct ft_error *err);

/* Prepare the query and check it as build does, without running it: for `policy explain` and before approval. */
FT_NODISCARD enum ft_status ft_examples_check(struct ft_db *db, const struct ft_task *task,
                                              const struct ft_examples_rules *rules, struct ft_refusals *refusals,
                                              struct ft_error *err);

void ft_examples_clear(struct ft_examples *examples); /* wipes and frees */

#endif
