/*
 * The shop behind the participant: its policy, consent registry, data source and training, as the callbacks
 * of participant.h. Fails closed: whatever cannot be read or checked is a refusal, and the reason is logged
 * without a row or a name.
 *
 * policy.yaml is read again for every decision and the consent registry for every contribution, so that a
 * change counts from the next round without a restart.
 */
#ifndef FT_VAULT_SHOP_H
#define FT_VAULT_SHOP_H

#include "client/policy/policy.h"
#include "client/source/source.h"
#include "client/vault/budget.h"
#include "client/vault/examples.h"
#include "client/vault/home.h"
#include "client/vault/metered.h"
#include "client/vault/participant.h"

struct ft_shop_config {
    const struct ft_env *env;
    struct ft_vault_store *store;
    const char *policy_path;
    const char *state_dir;
    const struct ft_source_config *source; /* borrowed while the shop is open */
    enum ft_basis basis;                   /* client.yaml's consent.basis */
    uint8_t deployment[16];
    uid_t service_uid;
    const struct ft_metered *metered; /* borrowed; NULL: not metered */
    const char *shop;                 /* its name in the federation */
    enum ft_budget_use budget;        /* KEEP: the vault's own, locked; LOOK: for commands */
};

struct ft_shop;

/* Opens the privacy ledger. Reads the data. A source that cannot be read is no error here: every decision is then DATA_UNREADABLE until
 * it can. Errors: NOTFOUND, VERIFY (node.key), the ledger's when it is kept, and the registry's; NOMEM. */
FT_NODISCARD enum ft_status ft_shop_open(const struct ft_shop_config *config, struct ft_shop **out,
                                         struct ft_error *err);
void ft_shop_close(struct ft_shop *shop); /* wipes; NULL is allowed */

/* A task's raw rows, exactly as a contribution would use them, for fedtill-simulate: borrowed until the next
 * call or close. Errors: as the source, the policy and ft_examples_build; LATER (no rows by rule). */
FT_NODISCARD enum ft_status ft_shop_examples(struct ft_shop *shop, const struct ft_task *task,
                                             const struct ft_examples **out);

/* Fill decide, contribute, unchanged, evidence and ctx of a world; env and store are the config's. */
void ft_shop_world(struct ft_shop *shop, struct ft_participant_world *world);

/* For `policy explain` and `task show`: everything that `decide` would look at. `lines` may be NULL. */
size_t ft_shop_explain(struct ft_shop *shop, const struct ft_task *task, const uint8_t task_hash[32],
                       enum ft_vault_approval approval, struct ft_policy_line *lines,
                       struct ft_policy_decision *decision);
const struct ft_budget *ft_shop_budget(const struct ft_shop *shop);

#endif
