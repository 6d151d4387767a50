/* fedtill-aggregator model export: one version as safetensors or JSON, with its privacy statement. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "aggregator/commands/statement.h"
#include "aggregator/export/export.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/plan/round_plan.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

int
ft_cmd_model_export(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_home_trust trust = { 0 };
    struct ft_task_row row;
    struct ft_task task = { 0 };
    struct ft_model_state state = { 0 };
    struct ft_buf signed_task = { 0 }, file = { 0 };
    json_t *statement = NULL;
    struct ft_error err = { 0 };
    uint8_t hash[32], signed_hash[32], model_hash[32];
    const char *format = ft_cli_text(cli, "format"), *path = ft_cli_text(cli, "out");
    const bool json = strcmp(format, "json") == 0;
    enum ft_status st;
    int code;

    if (!json && strcmp(format, "safetensors") != 0)
        return ft_cli_usage(cli, "--format is '%s', expected safetensors or json", format);
    code = ft_home_open(cli, &home);
    if (code != FT_EXIT_OK)
        return code;
    FT_TRY(ft_home_task(&home, ft_cli_operand(cli, 0), &row, &err));
    FT_TRY(ft_home_trust(&home, &trust, &err));
    FT_TRY(ft_store_task_signed(home.store, row.hash, signed_hash, &signed_task));
    FT_TRY(ft_task_open(ft_buf_bytes(&signed_task), trust.trust.task_keys, trust.trust.task_key_count, &task, hash,
                        &err));
    if (task.kind == FT_TASK_STATISTICS) {
        st = ft_fail(&err, FT_ERR_NOTFOUND, "%s makes figures and no model: `statistics export %s`", row.name, row.name);
        goto out;
    }
    FT_TRY(ft_home_model(&home, &row, ft_cli_uint(cli, "model-version", row.progress.version), &state, model_hash,
                         &err));
    FT_TRY(ft_home_statement(&home, &row, ft_buf_bytes(&signed_task), &state, model_hash, &statement, &err));
    FT_TRY(ft_statement_check(statement, &err)); /* what goes out is what anybody will work out */
    FT_TRY(ft_statement_check_model(statement, &state, &err));
    const struct ft_export model = { &task, &state, statement };
    FT_TRY(json ? ft_export_json(&model, &file, &err) : ft_export_safetensors(&model, &file, &err));
    FT_TRY(ft_file_write(path, ft_buf_bytes(&file), 0644, &err));
    if (ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:s, s:s, s:s, s:I, s:I, s:O}", "file", path, "format", format, "task", row.name,
                                           "model_version", (json_int_t)state.version, "bytes", (json_int_t)file.size,
                                           "statement", statement));
    else
        printf("%s: %s version %llu, %zu bytes\n%s\n", path, row.name, (unsigned long long)state.version, file.size,
               ft_statement_text(statement));
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    ft_buf_clear(&file);
    json_decref(statement);
    ft_buf_clear(&signed_task);
    ft_model_state_clear(&state);
    ft_task_clear(&task);
    ft_home_trust_clear(&trust);
    ft_home_close(&home);
    return code;
}
