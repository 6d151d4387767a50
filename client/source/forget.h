/* Rows of customers who are to be forgotten, taken out of the in-memory records after each import. */
#ifndef FT_SOURCE_FORGET_H
#define FT_SOURCE_FORGET_H

#include "client/source/db.h"

/* Delete every row of the customers for whom `gone` is true; *customers (may be NULL) counts them. A database without
 * records, or without customers, has nothing to forget. Errors: NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status ft_db_forget(struct ft_db *db, bool (*gone)(void *ctx, const struct ft_pseudonym *customer),
                                         void *ctx, uint64_t *customers, struct ft_error *err);

/* Does any row of `table` (transactions, customers) of this customer have `column` equal, as text, to one of `values`
 * (value_count > 0), or below the bound as a number? Errors: CONFIG (a column that is not mapped), NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status ft_db_customer_has(struct ft_db *db, const struct ft_pseudonym *customer, const char *table,
                                               const char *column, const char *const *values, size_t value_count,
                                               double below, bool *has, struct ft_error *err);

#endif
