/* `status`: where this shop stands, from its own state alone. */
#include "client/commands/budget_text.h"
#include "client/commands/commands.h"
#include "client/commands/node.h"
#include "client/vault/audit.h"
#include "common/base/alloc.h"
#include "common/base/env.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

struct tally {
    size_t all, accepted, waiting, refused;
};

static bool
count_task(void *ctx, const struct ft_vault_task *t)
{
    struct tally *n = ctx;
    n->all++;
    n->accepted += t->verdict == FT_VERDICT_ACCEPTED;
    n->waiting += t->verdict == FT_VERDICT_WAITING;
    n->refused += t->verdict == FT_VERDICT_REFUSED;
    return true;
}

static const char *
utc(int64_t seconds, char out[32])
{
    struct tm tm;
    const time_t t = (time_t)seconds;
    if (seconds <= 0 || gmtime_r(&t, &tm) == NULL || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return "never";
    return out;
}

/* One line on the privacy ledger. */
static enum ft_status
budget_line(struct ft_node *node, char *out, size_t size, struct ft_error *err)
{
    struct ft_budget *budget = NULL;
    const char *text;
    enum ft_status st;

    FT_TRY(ft_node_budget(node, &budget, err));
    const struct ft_ledger *l = ft_budget_ledger(budget);
    if (ft_budget_fault(budget, &text) != 0)
        snprintf(out, size, "not to be trusted: %s", text);
    else if (l == NULL || ft_ledger_domain_count(l) == 0)
        snprintf(out, size, "nothing spent");
    else
        for (size_t i = 0, at = 0; i < ft_ledger_domain_count(l) && at < size; i++) {
            const struct ft_ledger_domain *d = ft_ledger_domain_at(l, i);
            double charged;
            FT_TRY(ft_ledger_charged(l, d, &charged));
            at += (size_t)snprintf(out + at, size - at, "%s%s: epsilon %.4g of %.4g", i > 0 ? "; " : "", d->id, charged,
                                   d->epsilon_max);
        }
out:
    ft_budget_close(budget);
    return st;
}

int
ft_cmd_status(struct ft_cli *cli)
{
    struct ft_node node;
    struct tally n = { 0 };
    struct ft_buf roster = { 0 };
    struct ft_error err = { 0 };
    uint64_t serial = 0, lines = 0;
    uint32_t rounds = 0;
    int64_t last_s = 0, seen_s = 0;
    char last[32], seen[32], deployment[33], budget[256], *audit = NULL;
    enum ft_status st;
    int code;

    if (!ft_node_store(cli, &node, &code))
        return code;
    const struct ft_vault_store_calls *calls = node.store->calls;
    FT_TRY(calls->task_list(node.store, count_task, &n));
    FT_TRY(calls->participations(node.store, 0, &rounds, &last_s));
    FT_TRY(calls->clock_get(node.store, &seen_s));
    st = calls->roster_get(node.store, &serial, &roster);
    if (st != FT_OK && st != FT_ERR_NOTFOUND)
        goto out;
    audit = ft_home_path(node.config.state, FT_HOME_AUDIT);
    if (audit == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    st = ft_audit_verify(audit, &lines, &err);
    if (st == FT_ERR_NOTFOUND) {
        err = (struct ft_error){ 0 };
        st = FT_OK;
    }
    if (st != FT_OK)
        goto out;
    FT_TRY(budget_line(&node, budget, sizeof budget, &err));
    ft_hex(deployment, node.pinned.deployment, 16);
    if (ft_cli_json(cli)) {
        code = ft_cli_print_json(json_pack(
            "{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:I, s:s, s:{s:I, s:I, s:I, s:I}}", "shop", node.pinned.shop,
            "aggregator", node.config.aggregator, "deployment", deployment, "shop_id",
            (json_int_t)node.pinned.shop_id, "roster_serial", (json_int_t)serial, "rounds",
            (json_int_t)rounds, "last_round", utc(last_s, last), "last_seen", utc(seen_s, seen),
            "audit_lines", (json_int_t)lines, "budget", budget, "tasks", "offered", (json_int_t)n.all, "accepted",
            (json_int_t)n.accepted, "waiting", (json_int_t)n.waiting, "refused", (json_int_t)n.refused));
        goto done;
    }
    printf("shop         %s (number %u in the register)\n", node.pinned.shop, node.pinned.shop_id);
    printf("aggregator   %s, deployment %s\n", node.config.aggregator, deployment);
    if (serial > 0)
        printf("roster       serial %" PRIu64 "\n", serial);
    else
        printf("roster       none yet: `fedtill-client run` fetches it\n");
    printf("tasks        %zu offered, %zu accepted, %zu waiting for approval, %zu refused\n", n.all,
           n.accepted, n.waiting, n.refused);
    printf("rounds       %u contributed to, the last at %s\n", rounds, utc(last_s, last));
    printf("budget       %s\n", budget);
    printf("audit log    %" PRIu64 " lines, chain intact\n", lines);
    code = FT_EXIT_OK;
    goto done;
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
done:
    ft_buf_clear(&roster);
    ft_free(audit);
    ft_node_close(&node);
    return code;
}
