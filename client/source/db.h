/*
 * The vault's in-memory database: one SQLite connection with no file behind it, holding the shop's records in
 * the standard schema. Opaque here, because only *_sqlite.c files know SQLite.
 *
 *   ft_base_transactions, ft_base_customers, ft_base_products   what the source read (client/source)
 *   ft_base_eligible(customer_id)                               who may be used, for one purpose
 * (client/consent) transactions, customers, products                           views a task's SELECT sees
 * (client/vault/examples)
 *
 * A table's name that begins with ft_base_ is never reachable from a task. Not thread-safe: its owner
 * serialises.
 */
#ifndef FT_SOURCE_DB_H
#define FT_SOURCE_DB_H

#include "common/base/status.h"
#include "client/source/pseudonym.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ft_db;

/* An empty database. *out is NULL unless FT_OK. Errors: NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status ft_db_open(struct ft_db **out, struct ft_error *err);
void ft_db_close(struct ft_db *db); /* frees every record; NULL is allowed */

/*
 * The eligible set: start anew (nobody), then add customers one by one between begin and end. Until end
 * returns FT_OK the former set stands; after an error it does too. client/consent is the production caller.
 * `count` may be NULL. Errors: STATE, NOMEM, INTERNAL.
 */
FT_NODISCARD enum ft_status ft_db_eligible_begin(struct ft_db *db, struct ft_error *err);
FT_NODISCARD enum ft_status ft_db_eligible_add(struct ft_db *db, const struct ft_pseudonym *customer,
                                               struct ft_error *err);
FT_NODISCARD enum ft_status ft_db_eligible_end(struct ft_db *db, uint64_t *count, struct ft_error *err);
void ft_db_eligible_abort(struct ft_db *db); /* after a failed add */

/* Every customer of the transactions is eligible. For research on published data and for tests: a shop's
 * client never calls it, there eligibility comes from the consent registry alone. */
FT_NODISCARD enum ft_status ft_db_eligible_everyone(struct ft_db *db, uint64_t *count, struct ft_error *err);

#endif
