/* `task list|show|approve|deny`: what the central team asks, in plain words, and the shop's word on it. */
#include "client/commands/commands.h"
#include "client/commands/node.h"
#include "client/commands/task_text.h"
#include "common/base/env.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *
approval_name(enum ft_vault_approval approval)
{
    return approval == FT_VAULT_APPROVED ? "approved" : approval == FT_VAULT_DENIED ? "denied" : "open";
}

struct listing {
    json_t *array;
    bool text;
};

static bool
list_one(void *ctx, const struct ft_vault_task *t)
{
    struct listing *l = ctx;
    char hex[65];
    ft_hex(hex, t->hash, 32);
    const char *verdict = t->verdict == 0 ? "not decided" : ft_verdict_name((enum ft_verdict)t->verdict);
    if (l->text)
        printf("%.16s  %-24s %-24s %-9s %s\n", hex, t->name, t->purpose, approval_name(t->approval), verdict);
    json_array_append_new(l->array,
                          json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "hash", hex, "name", t->name, "purpose",
                                    t->purpose, "approval", approval_name(t->approval), "verdict", verdict,
                                    "reasons", ft_codes_json(t->codes, t->code_count)));
    return true;
}

int
ft_cmd_task_list(struct ft_cli *cli)
{
    struct ft_node node;
    int code;
    if (!ft_node_store(cli, &node, &code))
        return code;
    struct listing l = { .array = json_array(), .text = !ft_cli_json(cli) };
    if (l.text)
        printf("%-16s  %-24s %-24s %-9s %s\n", "HASH", "NAME", "PURPOSE", "APPROVAL", "VERDICT");
    const enum ft_status st = node.store->calls->task_list(node.store, list_one, &l);
    if (st != FT_OK) {
        json_decref(l.array);
        code = ft_cli_fail(cli, st, NULL);
    } else if (l.text) {
        json_decref(l.array);
        code = FT_EXIT_OK;
    } else {
        code = ft_cli_print_json(json_pack("{s:o}", "tasks", l.array));
    }
    ft_node_close(&node);
    return code;
}

/* Find and verify: what is shown and approved is what was signed. */
static enum ft_status
open_task(struct ft_node *node, const char *which, struct ft_vault_task *record, struct ft_task *task,
          struct ft_error *err)
{
    uint8_t hash[32];
    enum ft_status st = ft_node_find_task(node, which, record, err);
    if (st == FT_OK)
        st = ft_task_open(ft_buf_bytes(&record->signed_task), (const uint8_t(*)[32])node->pinned.task_keys,
                          node->pinned.task_key_count, task, hash, err);
    return st;
}

int
ft_cmd_task_show(struct ft_cli *cli)
{
    struct ft_node node;
    struct ft_vault_task record;
    struct ft_task task;
    struct ft_error err = { 0 };
    int code;
    if (!ft_node_store(cli, &node, &code))
        return code;
    const enum ft_status st = open_task(&node, ft_cli_operand(cli, 0), &record, &task, &err);
    if (st != FT_OK) {
        code = ft_cli_fail(cli, st, &err);
    } else if (ft_cli_json(cli)) {
        code = ft_cli_print_json(ft_task_json(&task, &record));
        ft_task_clear(&task);
    } else {
        ft_task_print(&task, &record, stdout);
        ft_task_clear(&task);
        code = FT_EXIT_OK;
    }
    ft_vault_task_clear(&record);
    ft_node_close(&node);
    return code;
}

static int
speak(struct ft_cli *cli, enum ft_vault_approval approval)
{
    struct ft_node node;
    struct ft_vault_task record;
    struct ft_task task;
    struct ft_error err = { 0 };
    const struct ft_env *env = ft_env_system();
    int code;
    if (!ft_node_store(cli, &node, &code))
        return code;
    enum ft_status st = open_task(&node, ft_cli_operand(cli, 0), &record, &task, &err);
    if (st == FT_OK) {
        st = node.store->calls->task_approve(node.store, record.hash, approval, env->wall_ms(env->ctx));
        ft_task_clear(&task);
    }
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    else if (ft_cli_json(cli))
        code = ft_cli_print_json(
            json_pack("{s:s, s:s}", "name", record.name, "approval", approval_name(approval)));
    else
        code = printf("%s is %s\n", record.name, approval_name(approval)) < 0 ? FT_EXIT_INTERNAL : FT_EXIT_OK;
    ft_vault_task_clear(&record);
    ft_node_close(&node);
    return code;
}

int
ft_cmd_task_approve(struct ft_cli *cli)
{
    return speak(cli, FT_VAULT_APPROVED);
}

int
ft_cmd_task_deny(struct ft_cli *cli)
{
    return speak(cli, FT_VAULT_DENIED);
}
