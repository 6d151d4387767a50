/*
 * Examples: the task's SELECT, run over the shop's records under the shop's rules, into training matrices.
 *
 * Invariants
 *   1. The query sees transactions, customers and products as views over eligible customers, after the
 * standing exclusions; nothing else of the database exists for it.
 *   2. It is one SELECT; columns and functions are allowed by name, everything else is refused when it is
 * prepared.
 *   3. It ends within its limits of time, memory and rows, or is refused with the limit's name.
 *   4. Every value is finite and inside its declared bounds; what was clipped is counted.
 *   5. Unit customer, and unit store where the records have people: at most rows_per_customer rows of one customer in
 * each split, and every row's customer is an eligible one (else a query could give one customer's rows many names).
 *
 * Result columns by name, in any order: customer_id, split ('train' or 'test'), the label (k-means has none) and every feature.
 * A task of kind statistics has no label, and no split: all rows are train rows, and y is 0.
 * Further columns are read by nobody, but must be allowed all the same.
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
    FT_EXAMPLES_RECORDS,  /* records without people, of unit record or store: refused when the source has
                             customers, or the unit is customer */
};

/* A standing exclusion: rows whose column is one of `values` (compared as text, or as numbers in a number
 * column), or, without values, rows whose column is below a bound or no number. A rule on customers, or on
 * transactions.customer_id, leaves the whole customer out; a rule on products leaves out that product's
 * lines. customer_id is given as the source writes it. */
struct ft_examples_exclude {
    const char *table, *column;
    const char *const *values; /* (value_count) */
    size_t value_count;
    double below; /* when value_count is 0 */
};

/* Only customers of whom every row of `customers` says so are this shop's; who has no row is not. */
struct ft_examples_home {
    const char *column, *is; /* column NULL: everybody is */
    const char *since;       /* column with a date, YYYY-MM-DD; what is no date counts as too late. NULL: none */
    const char *not_after;   /* the last date that counts; NULL: any */
};

struct ft_examples_rules {
    enum ft_examples_basis basis;
    struct ft_examples_home home;
    bool anonymous_baskets; /* lines without a customer are visible too; they make no example of unit customer,
                               and with unit store the shop's own, beyond rows_per_customer */
    bool consent_source;    /* false: no registry is set up, so nobody is eligible, whatever the set in the db
                               says */
    /* The policy's column allow-list for the task's purpose. */
    bool (*allowed)(void *ctx, const char *table, const char *column);
    void *allowed_ctx;
    const struct ft_node_key *key; /* turns an excluded customer_id into its pseudonym */
    const struct ft_examples_exclude *exclude;
    size_t exclude_count;
    uint64_t query_ms;        /* 0: 20,000 */
    uint64_t query_rows;      /* result rows; 0: task->rows_max alone */
    uint64_t query_memory;    /* bytes SQLite may take beyond what it holds already; 0: 512 MiB. SQLite counts
                                 for the whole    process, so other threads' databases count with it. */
    /* For a task with noise of unit customer: the query is run for one customer after the other, each seeing
     * nobody else's rows and no anonymous basket, so that a row depends on its own customer whatever the
     * query does. A row that cannot be used, or a query that fails for a customer, leaves out that row or
     * customer, and nothing of it is told: DATA_NONFINITE, the values' QUERY_RESULT, the row limit and
     * min_customers do not apply. Nor is there a limit on all customers together, which one customer more could
     * break: each has its share of query_ms, in steps of SQLite's machine, and what the query itself may take of
     * query_memory. Of unit record: the query runs once as ever, and a row that cannot be used is left out in the
     * same silence. Of unit store: as of unit record; and since it is the shop that is hidden, a query that fails
     * while it runs, or passes its limits of time or memory, gives no rows and no refusal (customers_failed is 1),
     * and of more rows than allowed the first are used (rows_over_cap): whether the shop takes part must not tell
     * what its rows are. */
    bool one_by_one;
    uint64_t declared_customers; /* one_by_one: this shop's, in the signed task; 0: not known */
    uint64_t min_customers;   /* fewer train customers (unit customer) are refused; 0: no minimum */
    const struct ft_env *env; /* its monotonic clock times the query; NULL: the machine's */
};

/* Owned by the caller; clear with ft_examples_clear. Row-major, in the query's order within each split. */
struct ft_examples {
    bool ran; /* after an error too: it is in the rows, not in the rules or the query's text */
    size_t rows_train, rows_test, feature_count;
    float *x_train;                           /* (rows_train, feature_count), within the declared bounds */
    float *y_train;                           /* (rows_train); zeros where the task has no label */
    float *x_test;                            /* (rows_test, feature_count) */
    float *y_test;                            /* (rows_test) */
    uint32_t *customer_train; /* (rows_train) whose row it is: 0 .. customers_train - 1 */
    uint32_t *customer_test;  /* (rows_test) */
    uint64_t customers_train, customers_test; /* distinct customer_id values */
    uint64_t clipped_values;                  /* features, and labels of linear and Poisson models */
    uint64_t rows_over_cap;                   /* dropped by rows_per_customer */
    uint64_t rows_without_customer;           /* dropped: unit customer and anonymous_baskets */
    uint64_t rows_unusable, customers_failed; /* left out by one_by_one; for the shop's own log */
    char zero_reason[160];                    /* why there are no rows by rule; empty otherwise */
    uint32_t zero_code;                       /* enum ft_refusal_code of zero_reason; 0 otherwise */
};

/*
 * Build the examples. Every reason is added to `refusals` (NULL is allowed) by the codes of
 * common/task/refusal_codes.h; the first goes to *err.
 *
 *   REFUSED  COLUMN_NOT_ALLOWED for each column; QUERY_REFUSED: a function, statement or table that is not
 * allowed, a column the source does not map; BASIS_MISMATCH; CUSTOMERS_TOO_FEW FORMAT   QUERY_RESULT: not
 * SQL, a result column missing, a bad split, label or customer_id DATA_NONFINITE: a feature or label that is
 * no number in some rows LIMIT    QUERY_TOO_LARGE: time, memory or rows CONFIG   an exclusion of an unmapped
 * column NOMEM, INTERNAL
 */
FT_NODISCARD enum ft_status ft_examples_build(struct ft_db *db, const struct ft_task *task,
                                              const struct ft_examples_rules *rules, struct ft_examples *out,
                                              struct ft_refusals *refusals, struct ft_error *err);

/* The columns of the standard tables that a query reads, each once, by SQLite's own account; what the policy
 * would say of them does not matter here. A table that is only counted has no column in the list: build
 * refuses it unless the policy allows a column of it. */
#define FT_EXAMPLES_USES_MAX 256
struct ft_examples_use {
    char table[16];
    char column[48];
};
struct ft_examples_uses {
    struct ft_examples_use list[FT_EXAMPLES_USES_MAX];
    size_t count;
};
/* Works without records: `db` may be freshly opened. Errors: FORMAT, REFUSED (as build), NOMEM. */
FT_NODISCARD enum ft_status ft_examples_find_uses(struct ft_db *db, const char *sql,
                                                  struct ft_examples_uses *out, struct ft_error *err);

void ft_examples_clear(struct ft_examples *examples); /* wipes and frees */

#endif
