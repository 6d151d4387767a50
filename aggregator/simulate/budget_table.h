/*
 * A table of privacy figures, each with the interval that a right answer lies in: a CSV file with the columns of
 * tests/data/privacy/dp_accounting.csv (its README.md says what they mean). Anyone's own table will do.
 *
 * The columns mechanism, quantity, accept_lower and accept_upper must be there; of the others those that a row's
 * mechanism needs. Columns of other names are passed over.
 */
#ifndef FT_SIMULATE_BUDGET_TABLE_H
#define FT_SIMULATE_BUDGET_TABLE_H

#include "common/base/findings.h"

#include <stdbool.h>

#define FT_BUDGET_TABLE_SIZE_MAX ((size_t)16 << 20)
#define FT_BUDGET_TABLE_ROWS_MAX 100000u

enum ft_budget_field {
    FT_BUDGET_Q,
    FT_BUDGET_Z,
    FT_BUDGET_STEPS,
    FT_BUDGET_DELTA,
    FT_BUDGET_EPSILON,
    FT_BUDGET_ORDER,
    FT_BUDGET_P1,
    FT_BUDGET_P2,
    FT_BUDGET_P3,
    FT_BUDGET_P4,
    FT_BUDGET_LOWER,
    FT_BUDGET_UPPER,
    FT_BUDGET_FIELDS,
};

struct ft_budget_row {
    uint32_t line;
    uint32_t column; /* of the mechanism's field */
    char case_id[32], mechanism[32], quantity[32], conversion[48];
    double field[FT_BUDGET_FIELDS];
    bool given[FT_BUDGET_FIELDS];
    bool conversion_given;
    double value;          /* computed; NaN when the accountant refused */
    enum ft_status status; /* of computing it */
    bool pass;
};

struct ft_budget_table {
    struct ft_budget_row *rows;
    size_t count;
};

/* Read and check a table; everything wrong with it is in *findings. Errors: NOTFOUND, IO, LIMIT, NOMEM, FORMAT (see
 * findings). */
FT_NODISCARD enum ft_status ft_budget_table_read(const char *path, struct ft_budget_table *table,
                                                 struct ft_findings *findings, struct ft_error *err);
void ft_budget_table_clear(struct ft_budget_table *table);

/* Compute one row: value, status, pass. */
void ft_budget_row_run(struct ft_budget_row *row);

#endif
