/*
 * The vault's loop: carries the participant's actions to the courier and its outcomes back, and writes every
 * message to the audit log before it goes. A message whose line cannot be written is not sent: the loop waits
 * and tries again.
 */
#ifndef FT_VAULT_VAULT_H
#define FT_VAULT_VAULT_H

#include "client/link/link.h"
#include "client/vault/audit.h"
#include "client/vault/participant.h"

struct ft_vault_config {
    struct ft_link *link;
    struct ft_audit *audit;
    struct ft_participant *participant;
    bool until_done; /* end after the result of a task's last round */
};

/* Serve until `link->stop` is raised (CANCELLED), the last round is done with until_done (OK), or the courier
 * has gone (PEER). Errors: VERIFY (an older privacy ledger was put back; the aggregator has been told), FORMAT, LIMIT (a courier that breaks the rules), NOMEM, IO. */
FT_NODISCARD enum ft_status ft_vault_run(const struct ft_vault_config *config);

#endif
