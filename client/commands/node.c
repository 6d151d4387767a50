#include "client/commands/node.h"

#include "common/base/alloc.h"
#include "common/base/env.h"

#include <string.h>
#include <unistd.h>

bool
ft_node_open(struct ft_cli *cli, struct ft_node *node, int *code)
{
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    struct ft_error err = { 0 };
    enum ft_status st;

    *node = (struct ft_node){ 0 };
    if (findings == NULL) {
        *code = ft_cli_fail(cli, FT_ERR_NOMEM, NULL);
        return false;
    }
    st = ft_client_config_load(ft_cli_text(cli, "home"), &node->config, findings, &err);
    if (st == FT_OK) {
        node->has_config = true;
        st = ft_client_source_config(&node->config, &node->source);
        node->has_source = st == FT_OK;
    }
    if (st == FT_ERR_CONFIG && findings->count > 0)
        *code = ft_cli_fail_findings(cli, findings);
    else if (st != FT_OK)
        *code = ft_cli_fail(cli, st, &err);
    ft_free(findings);
    return st == FT_OK;
}

bool
ft_node_enrolled(struct ft_cli *cli, struct ft_node *node, int *code)
{
    struct ft_error err = { 0 };
    if (!ft_node_open(cli, node, code))
        return false;
    enum ft_status st = ft_pinned_load(node->config.state, &node->pinned, &err);
    if (st == FT_ERR_NOTFOUND) {
        err = (struct ft_error){ 0 };
        st = ft_fail(&err, FT_ERR_NOTFOUND,
                     "shop %s is not enrolled: run `fedtill-client enrol` with its invitation first",
                     node->config.shop);
    } else if (st == FT_OK && strcmp(node->pinned.shop, node->config.shop) != 0) {
        st = ft_fail(&err, FT_ERR_CONFIG, "client.yaml says shop %s, the enrolment is for %s",
                     node->config.shop, node->pinned.shop);
    }
    if (st != FT_OK) {
        *code = ft_cli_fail(cli, st, &err);
        ft_node_close(node);
    }
    return st == FT_OK;
}

bool
ft_node_store(struct ft_cli *cli, struct ft_node *node, int *code)
{
    struct ft_error err = { 0 };
    if (!ft_node_enrolled(cli, node, code))
        return false;
    char *path = ft_home_path(node->config.state, FT_HOME_DB);
    enum ft_status st = path != NULL ? ft_vault_store_sqlite(path, &node->store, &err) : FT_ERR_NOMEM;
    ft_free(path);
    if (st != FT_OK) {
        *code = ft_cli_fail(cli, st, &err);
        ft_node_close(node);
    }
    return st == FT_OK;
}

void
ft_node_close(struct ft_node *node)
{
    ft_vault_store_close(node->store);
    ft_metered_close(node->metered);
    if (node->has_source)
        ft_source_config_clear(&node->source);
    if (node->has_config)
        ft_client_config_clear(&node->config);
    *node = (struct ft_node){ 0 };
}

enum ft_status
ft_node_metered(struct ft_node *node)
{
    return node->metered != NULL ? FT_OK
                                 : ft_metered_open(node->config.link.metered,
                                                   (const char *const *)node->config.link.interfaces,
                                                   node->config.link.interface_count, &node->metered);
}

enum ft_status
ft_node_policy(const struct ft_node *node, struct ft_policy *out, enum ft_policy_guard *guard,
               struct ft_findings *findings, struct ft_error *err)
{
    return ft_policy_load(node->config.policy, geteuid(),
                          (struct ft_policy_mapping){ ft_source_config_maps, &node->source }, out, guard, findings, err);
}

enum ft_status
ft_node_shop(struct ft_node *node, enum ft_budget_use budget, struct ft_shop **out, struct ft_error *err)
{
    struct ft_shop_config config = {
        .env = ft_env_system(),
        .store = node->store,
        .policy_path = node->config.policy,
        .state_dir = node->config.state,
        .source = &node->source,
        .basis = node->config.consent.basis,
        .service_uid = geteuid(),
        .shop = node->pinned.shop,
        .budget = budget,
    };
    const enum ft_status st = ft_node_metered(node);
    if (st != FT_OK)
        return st;
    config.metered = node->metered;
    memcpy(config.deployment, node->pinned.deployment, sizeof config.deployment);
    return ft_shop_open(&config, out, err);
}

struct search {
    const char *which;
    size_t size, matches;
    bool exact;
    uint8_t hash[32];
};

static bool
look(void *ctx, const struct ft_vault_task *t)
{
    struct search *s = ctx;
    char hex[65];
    ft_hex(hex, t->hash, 32);
    const bool exact = strcmp(t->name, s->which) == 0 || strcmp(hex, s->which) == 0;
    if (!exact && (s->size < 6 || strncmp(hex, s->which, s->size) != 0))
        return true;
    if (exact && !s->exact) { /* the newest of a name wins over older ones */
        s->exact = true;
        s->matches = 0;
    } else if (s->exact) {
        return true;
    }
    if (s->matches++ == 0)
        memcpy(s->hash, t->hash, 32);
    return true;
}

enum ft_status
ft_node_find_task(struct ft_node *node, const char *which, struct ft_vault_task *out, struct ft_error *err)
{
    struct search s = { .which = which, .size = strlen(which) };
    *out = (struct ft_vault_task){ 0 };
    enum ft_status st = node->store->calls->task_list(node->store, look, &s);
    if (st != FT_OK)
        return ft_fail(err, st, "state.db: cannot read the tasks");
    if (s.matches == 0)
        return ft_fail(err, FT_ERR_NOTFOUND,
                       "no task '%.80s' here; `fedtill-client task list` shows those offered", which);
    if (s.matches > 1)
        return ft_fail(err, FT_ERR_DUPLICATE, "%zu tasks begin with '%.80s'; give more of the hash",
                       s.matches, which);
    return node->store->calls->task_get(node->store, s.hash, out);
}

char *
ft_glob_folder(const char *pattern)
{
    size_t end = strcspn(pattern, "*?[");
    while (end > 0 && pattern[end - 1] != '/')
        end--;
    if (end == 0)
        return ft_strdup(".");
    char *folder = ft_strdup(pattern);
    if (folder != NULL)
        folder[end > 1 ? end - 1 : 1] = '\0';
    return folder;
}
