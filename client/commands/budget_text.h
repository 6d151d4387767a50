/* What the commands ask of the privacy ledger, without its lock. */
#ifndef FT_CLIENT_BUDGET_TEXT_H
#define FT_CLIENT_BUDGET_TEXT_H

#include "client/commands/node.h"
#include "client/vault/budget.h"
#include "common/task/task.h"

/* The ledger of the state folder, to look at. Errors: NOTFOUND, VERIFY (node.key), NOMEM. */
FT_NODISCARD enum ft_status ft_node_budget(struct ft_node *node, struct ft_budget **out,
                                           struct ft_error *err);

/* The unit of a task that was offered here; 0 when it is no longer here. */
enum ft_unit ft_node_task_unit(struct ft_node *node, const uint8_t hash[32]);
/* Of a record at hand; 0 when it cannot be read. */
enum ft_unit ft_record_unit(const struct ft_vault_task *record);

/* What a domain's contributions (NULL: all domains') cost one unit, by both accountants; zero without any. */
FT_NODISCARD enum ft_status ft_budget_cost(const struct ft_ledger *l, const char *domain, double delta,
                                           bool spent_only, struct ft_account_cost *out);

#endif
