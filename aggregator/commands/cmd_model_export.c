/* fedtill-aggregator model export: one version as safetensors or JSON, with its privacy statement. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "aggregator/export/export.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/plan/round_plan.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* What this model promises and to whom, in words. Numbers come from the task and the committed rounds. */
static enum ft_status
privacy_statement(const struct ft_home *home, const struct ft_task *task, const struct ft_task_row *row,
                  struct ft_buf *out)
{
    enum ft_status st;
    struct ft_round_row *rounds = NULL;
    size_t count = 0;
    uint32_t committed = 0, least = UINT32_MAX;

    FT_TRY(ft_store_rounds(home->store, row->hash, 1000000, &rounds, &count));
    for (size_t i = 0; i < count; i++)
        if (rounds[i].state == FT_ROUND_COMMITTED) {
            committed++;
            least = rounds[i].survivors < least ? rounds[i].survivors : least;
        }
    FT_TRY(ft_buf_printf(out,
                         "Secure aggregation: each of %u committed rounds revealed one sum over at least %u shops, and no "
                         "shop's own contribution, to anyone; this holds while at most %u shops collude with the "
                         "aggregator. Unit of the data: %s, at most %u rows each; each shop's update was clipped to an "
                         "L2 norm of %g. Differential privacy: none; no noise was added, so no bound is claimed on what "
                         "the sums themselves tell about one %s.",
                         committed, committed > 0 ? least : 0, task->corrupted,
                         task->unit == FT_UNIT_CUSTOMER ? "customer" : "record",
                         task->unit == FT_UNIT_CUSTOMER ? task->rows_per_customer : 1u, task->clip,
                         task->unit == FT_UNIT_CUSTOMER ? "customer" : "record"));
    FT_TRY(ft_buf_u8(out, 0));
out:
    ft_round_rows_free(rounds, count);
    return st;
}

/* The model blob of a version. Errors: NOTFOUND. */
static enum ft_status
version_state(const struct ft_home *home, const struct ft_task_row *task, uint64_t version,
              struct ft_model_state *state, struct ft_error *err)
{
    enum ft_status st;
    struct ft_model_row *models = NULL;
    struct ft_buf blob = { 0 };
    size_t count = 0;
    uint8_t hash[32];
    const struct ft_model_row *found = NULL;

    FT_TRY(ft_store_models(home->store, task->hash, &models, &count));
    for (size_t i = 0; i < count; i++)
        if (models[i].version == version)
            found = &models[i]; /* the last one: trained parameters, not the blob of the statistics round */
    if (found == NULL) {
        st = ft_fail(err, FT_ERR_NOTFOUND, "%s has no model version %llu; `model list %s` shows them", task->name,
                     (unsigned long long)version, task->name);
        goto out;
    }
    FT_TRY(ft_store_blob(home->store, found->hash, &blob));
    ft_model_blob_hash(ft_buf_bytes(&blob), hash);
    if (memcmp(hash, found->hash, sizeof hash) != 0) {
        st = ft_fail(err, FT_ERR_VERIFY, "the stored model of version %llu does not match its hash",
                     (unsigned long long)version);
        goto out;
    }
    FT_TRY(ft_model_state_decode(ft_buf_bytes(&blob), state, err));
    if (state->stage == FT_STAGE_STATISTICS) {
        ft_model_state_clear(state);
        st = ft_fail(err, FT_ERR_NOTFOUND, "%s has no parameters yet: its statistics round has not been committed",
                     task->name);
    }
out:
    ft_free(models);
    ft_buf_clear(&blob);
    return st;
}

int
ft_cmd_model_export(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_home_trust trust = { 0 };
    struct ft_task_row row;
    struct ft_task task = { 0 };
    struct ft_model_state state = { 0 };
    struct ft_buf signed_task = { 0 }, statement = { 0 }, file = { 0 };
    struct ft_error err = { 0 };
    uint8_t hash[32], signed_hash[32];
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
    FT_TRY(version_state(&home, &row, ft_cli_uint(cli, "model-version", row.progress.version), &state, &err));
    FT_TRY(privacy_statement(&home, &task, &row, &statement));
    const struct ft_export model = { &task, &state, (const char *)statement.data };
    FT_TRY(json ? ft_export_json(&model, &file, &err) : ft_export_safetensors(&model, &file, &err));
    FT_TRY(ft_file_write(path, ft_buf_bytes(&file), 0644, &err));
    if (ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:s, s:s, s:s, s:I, s:I}", "file", path, "format", format, "task", row.name,
                                           "model_version", (json_int_t)state.version, "bytes", (json_int_t)file.size));
    else
        printf("%s: %s version %llu, %zu bytes\n%s\n", path, row.name, (unsigned long long)state.version, file.size,
               (const char *)statement.data);
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    ft_buf_clear(&file);
    ft_buf_clear(&statement);
    ft_buf_clear(&signed_task);
    ft_model_state_clear(&state);
    ft_task_clear(&task);
    ft_home_trust_clear(&trust);
    ft_home_close(&home);
    return code;
}
