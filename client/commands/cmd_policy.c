/* `policy check|explain`: the shop's own rules, and what they say to a task. */
#include "client/commands/commands.h"
#include "client/commands/node.h"
#include "common/base/alloc.h"
#include "common/task/refusal_codes.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct ft_cli_option ft_cmd_policy_explain_options[] = {
    FT_CLI_HOME,
    { .name = "task",
      .kind = FT_CLI_TEXT,
      .argument = "TASK",
      .required = true,
      .help = "name or hash of an offered task" },
    FT_CLI_OPTIONS_END,
};

int
ft_cmd_policy_check(struct ft_cli *cli)
{
    struct ft_node node;
    struct ft_policy policy;
    struct ft_error err = { 0 };
    enum ft_policy_guard guard = FT_GUARD_OK;
    int code;
    if (!ft_node_open(cli, &node, &code))
        return code;
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    if (findings == NULL) {
        ft_node_close(&node);
        return ft_cli_fail(cli, FT_ERR_NOMEM, NULL);
    }
    ft_findings_init(findings, node.config.policy);
    const enum ft_status st = ft_node_policy(&node, &policy, &guard, findings, &err);
    if (st == FT_ERR_CONFIG) {
        code = ft_cli_fail_findings(cli, findings);
    } else if (st != FT_OK) {
        code = ft_cli_fail(cli, st, &err);
    } else {
        const bool bad = guard == FT_GUARD_WRITABLE || guard == FT_GUARD_OWNER;
        if (ft_cli_json(cli))
            ft_cli_print_json(json_pack("{s:s, s:b, s:s}", "policy", node.config.policy, "good", !bad,
                                        "guard", ft_policy_guard_text(guard)));
        else
            printf("%s: %s\n", node.config.policy,
                   guard == FT_GUARD_OK ? "good" : ft_policy_guard_text(guard));
        ft_policy_clear(&policy);
        code = bad ? FT_EXIT_FINDINGS : FT_EXIT_OK;
    }
    ft_free(findings);
    ft_node_close(&node);
    return code;
}

static void
print_lines(const struct ft_policy_line *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct ft_policy_line *l = &lines[i];
        printf("%-8s %-22s %s", ft_rule_result_name(l->result), l->rule, l->text);
        if (l->line > 0)
            printf("  (%s, line %u)", l->path, l->line);
        if (ft_refusal_name(l->code) != NULL)
            printf("  %s", ft_refusal_name(l->code));
        printf("\n");
    }
}

static json_t *
lines_json(const struct ft_policy_line *lines, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct ft_policy_line *l = &lines[i];
        const char *name = ft_refusal_name(l->code);
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "rule", l->rule, "path",
                                              l->path != NULL ? l->path : "", "line", (json_int_t)l->line,
                                              "result", ft_rule_result_name(l->result), "code",
                                              name != NULL ? name : "", "text", l->text));
    }
    return list;
}

int
ft_cmd_policy_explain(struct ft_cli *cli)
{
    struct ft_node node;
    struct ft_vault_task record = { 0 };
    struct ft_task task = { 0 };
    struct ft_shop *shop = NULL;
    struct ft_error err = { 0 };
    struct ft_policy_line *lines = NULL;
    struct ft_policy_decision *decision = NULL;
    uint8_t hash[32];
    bool opened = false;
    enum ft_status st;
    int code;

    if (!ft_node_store(cli, &node, &code))
        return code;
    lines = ft_calloc(FT_POLICY_LINES_MAX, sizeof *lines);
    decision = ft_calloc(1, sizeof *decision);
    if (lines == NULL || decision == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(ft_node_find_task(&node, ft_cli_text(cli, "task"), &record, &err));
    FT_TRY(ft_task_open(ft_buf_bytes(&record.signed_task), (const uint8_t(*)[32])node.pinned.task_keys,
                        node.pinned.task_key_count, &task, hash, &err));
    opened = true;
    FT_TRY(ft_node_shop(&node, FT_BUDGET_LOOK, &shop, &err));
    const size_t count = ft_shop_explain(shop, &task, hash, record.approval, lines, decision);
    if (count == 0) {
        st = ft_fail(&err, FT_ERR_CONFIG, "%s cannot be read; `fedtill-client policy check` says why",
                     node.config.policy);
        goto out;
    }
    if (ft_cli_json(cli)) {
        ft_cli_print_json(json_pack("{s:s, s:s, s:o}", "task", task.name, "verdict",
                                    ft_verdict_name(decision->verdict), "rules", lines_json(lines, count)));
    } else {
        print_lines(lines, count);
        printf("\n%s: %s\n", task.name, ft_verdict_name(decision->verdict));
    }
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    else
        code = decision->verdict == FT_VERDICT_ACCEPTED ? FT_EXIT_OK : ft_refusals_exit(&decision->reasons);
    ft_shop_close(shop);
    if (opened)
        ft_task_clear(&task);
    ft_vault_task_clear(&record);
    ft_free(lines);
    ft_free(decision);
    ft_node_close(&node);
    return code;
}
