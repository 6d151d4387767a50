/*
 * What most commands begin with: the configuration, and from it the state folder's parts.
 */
#ifndef FT_CLIENT_NODE_H
#define FT_CLIENT_NODE_H

#include "client/commands/client_config.h"
#include "client/vault/home.h"
#include "client/vault/shop.h"
#include "client/vault/store.h"
#include "common/base/cli.h"

struct ft_node {
    struct ft_client_config config;
    struct ft_source_config source;
    bool has_config, has_source;
    struct ft_pinned pinned;
    struct ft_vault_store *store; /* NULL until ft_node_store */
    struct ft_metered *metered;   /* NULL until ft_node_metered */
};

/* Read client.yaml below --home. On failure the message is told and *code is the exit code. */
FT_NODISCARD bool ft_node_open(struct ft_cli *cli, struct ft_node *node, int *code);
/* Also trust.json; a shop that is not enrolled is told so (66). */
FT_NODISCARD bool ft_node_enrolled(struct ft_cli *cli, struct ft_node *node, int *code);
/* Also state.db. */
FT_NODISCARD bool ft_node_store(struct ft_cli *cli, struct ft_node *node, int *code);
/* Also the watch on the machine's route; to be had before a sandbox, and made by ft_node_shop otherwise. */
FT_NODISCARD enum ft_status ft_node_metered(struct ft_node *node);
void ft_node_close(struct ft_node *node);

/* The policy, held against client.yaml's mapping; as ft_policy_load for the user at hand. */
FT_NODISCARD enum ft_status ft_node_policy(const struct ft_node *node, struct ft_policy *out,
                                           enum ft_policy_guard *guard, struct ft_findings *findings,
                                           struct ft_error *err);
/* The shop's data, policy and consent for a command. */
FT_NODISCARD enum ft_status ft_node_shop(struct ft_node *node, enum ft_budget_use budget, struct ft_shop **out,
                                         struct ft_error *err);

/* A task of the store by its name, its hash or the beginning of its hash (at least 6 digits). Errors:
 * NOTFOUND, DUPLICATE (several begin so), the store's. Clear *out. */
FT_NODISCARD enum ft_status ft_node_find_task(struct ft_node *node, const char *which,
                                              struct ft_vault_task *out, struct ft_error *err);

/* The folder that holds every file a glob can match: the part before the first wildcard, up to its last '/'.
 */
char *ft_glob_folder(const char *pattern);

#endif
