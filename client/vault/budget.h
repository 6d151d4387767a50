/*
 * The shop's privacy budget: its ledger in the state folder, and what a policy's domains make of a task with
 * noise. Nothing a peer sends changes it; the one thing a peer can do is to show that this copy is not the
 * newest.
 *
 *   KEEP   the vault's: exclusive lock, written. A ledger that cannot be trusted opens nothing: the client
 * ends. LOOK   for commands: no lock, nothing is written; a fault is a code, and a shop without a ledger has
 * spent nothing.
 *
 * Invariants
 *   1. With a fault (ft_budget_fault) nothing is admitted and nothing can be spent, whatever was reserved.
 *   2. reserve is durable before a task is told to be accepted, spend before the first masked byte exists.
 *   3. A domain keeps the terms with which it was opened. policy.yaml may ask for less than they allow, never
 * for more. Its `opened` is one of them, kept by the shop's state: see ft_budget_check_opened.
 */
#ifndef FT_VAULT_BUDGET_H
#define FT_VAULT_BUDGET_H

#include "client/policy/policy.h"
#include "client/source/pseudonym.h"
#include "client/vault/ledger/ledger.h"
#include "client/vault/store.h"
#include "common/base/env.h"

struct ft_budget;

enum ft_budget_use { FT_BUDGET_LOOK, FT_BUDGET_KEEP };

/* `store` is the shop's state, borrowed while the budget is open; NULL: nothing is remembered. It knows how
 * far the ledger has come: an older one put back, or none, is an error of KEEP and a fault of LOOK. It is
 * asked before the ledger is read, and a running shop writes the ledger first, so LOOK finds no fault in one
 * that is being written. Errors of KEEP: the ledger's (VERIFY, LATER, IO, FULL), the store's, NOMEM. Of LOOK:
 * NOMEM. */
FT_NODISCARD enum ft_status ft_budget_open(const char *state_dir, const char *shop,
                                           const struct ft_node_key *key, const struct ft_env *env,
                                           enum ft_budget_use use, struct ft_vault_store *store,
                                           struct ft_budget **out, struct ft_error *err);
void ft_budget_close(struct ft_budget *b); /* NULL is allowed */

uint32_t ft_budget_fault(const struct ft_budget *b,
                         const char **text); /* LEDGER_*; 0: none. text may be NULL */
const struct ft_ledger *
ft_budget_ledger(const struct ft_budget *b); /* NULL: none yet, or not to be trusted */

/* What the ledger says of a task with noise: facts for the policy's rules. Writes nothing. */
void ft_budget_ask(const struct ft_budget *b, const struct ft_policy_budget *domain,
                   const struct ft_task *task, const uint8_t task_hash[32], struct ft_policy_ledger *out);

/* Whose data a domain pays for: with home_store.since those of customers who were here by its `opened`, and
 * another shop has charged who came later. The state keeps the date of the first task that was charged; an
 * earlier one uses fewer, a later one, or none, is REFUSED (told as BUDGET_MISSING, both dates in the text).
 * NULL: nothing is remembered. The store's errors. */
FT_NODISCARD enum ft_status ft_budget_check_opened(struct ft_vault_store *store,
                                                   const struct ft_policy_budget *domain,
                                                   struct ft_error *err);

/* Open the domain if this is its first task, and charge the task. *code says what to answer when it is not
 * FT_OK. */
FT_NODISCARD enum ft_status ft_budget_reserve(struct ft_budget *b, const struct ft_policy_budget *domain,
                                              const struct ft_task *task, const uint8_t task_hash[32],
                                              uint32_t *code, struct ft_error *err);

/* May a contribution to this round of a reserved task be made? Not twice, not beyond T, not with a fault. */
bool ft_budget_can_pay(const struct ft_budget *b, const uint8_t task_hash[32], uint64_t round);
FT_NODISCARD enum ft_status ft_budget_spend(struct ft_budget *b, const uint8_t task_hash[32], uint64_t round,
                                            const uint8_t session[32], struct ft_error *err);
/* The task is over: its charge falls to what was spent. Nothing for one that is not open here. */
FT_NODISCARD enum ft_status ft_budget_end_task(struct ft_budget *b, const uint8_t task_hash[32],
                                               enum ft_ledger_close_reason reason, struct ft_error *err);

bool ft_budget_head(const struct ft_budget *b, struct ft_ledger_head *head); /* false: nothing to show */
/* The highest head that the aggregator has seen of this ledger. VERIFY: ours is older or another, a fault
 * from now on. */
FT_NODISCARD enum ft_status ft_budget_seen(struct ft_budget *b, const struct ft_ledger_head *seen,
                                           struct ft_error *err);

/* Is a task's vector the whole shop's? Of a task whose unit is no longer known (0): may it be, by its numbers? */
bool ft_budget_of_store(enum ft_unit unit, const struct ft_ledger_reservation *r);
/* The contributions that were made, as they tell of one customer through this shop's data: with unit store the customer
 * moves the shop's vector by at most twice its bound, so that the noise multiplier counts half. Where nobody enforces
 * that a customer is in one shop alone, each further shop's comes to it. */
struct ft_account_event ft_budget_customer_event(const struct ft_ledger_task *t, enum ft_unit unit);
/* The same as epsilon, of so many customers together; of an unknown unit the worst. False: no useful bound. */
bool ft_budget_customer_bound(const struct ft_ledger_task *t, enum ft_unit unit, double delta, uint64_t customers,
                              double *epsilon);

/* A task's reservation, for the plan of a planned domain (domain left empty). */
void ft_budget_reservation(const struct ft_task *task, const uint8_t task_hash[32],
                           struct ft_ledger_reservation *out);

#endif
