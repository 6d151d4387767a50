/* fedtill-aggregator statistics show|export: what a statistics task found. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "aggregator/commands/statement.h"
#include "aggregator/export/statistics_text.h"
#include "aggregator/export/statistics.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/task/task.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

const struct ft_cli_option ft_cmd_statistics_export_options[] = {
    FT_CLI_HOME,
    { .name = "format", .kind = FT_CLI_TEXT, .argument = "F", .help = "json or csv", .fallback = "json" },
    { .name = "out", .kind = FT_CLI_TEXT, .argument = "FILE", .required = true, .help = "the file to write" },
    FT_CLI_OPTIONS_END,
};

/* A task's result with all that goes with it. */
struct result {
    struct ft_home home;
    struct ft_task_row row;
    struct ft_task task;
    struct ft_model_state state;
    json_t *statement;
    uint8_t hash[32];
};

static void
close_result(struct result *r)
{
    json_decref(r->statement);
    ft_model_state_clear(&r->state);
    ft_task_clear(&r->task);
    ft_home_close(&r->home);
}

static enum ft_status
open_result(struct ft_cli *cli, struct result *r, struct ft_error *err)
{
    struct ft_home_trust trust = { 0 };
    struct ft_buf signed_task = { 0 };
    uint8_t hash[32], signed_hash[32];
    enum ft_status st;

    FT_TRY(ft_home_task(&r->home, ft_cli_operand(cli, 0), &r->row, err));
    FT_TRY(ft_home_trust(&r->home, &trust, err));
    FT_TRY(ft_store_task_signed(r->home.store, r->row.hash, signed_hash, &signed_task));
    FT_TRY(ft_task_open(ft_buf_bytes(&signed_task), trust.trust.task_keys, trust.trust.task_key_count,
                        &r->task, hash, err));
    if (r->task.kind != FT_TASK_STATISTICS) {
        st = ft_fail(err, FT_ERR_NOTFOUND, "%s trains a model: `model show %s` tells of it", r->row.name,
                     r->row.name);
        goto out;
    }
    FT_TRY(ft_home_model(&r->home, &r->row, r->row.progress.version, &r->state, r->hash, err));
    FT_TRY(ft_home_statement(&r->home, &r->row, ft_buf_bytes(&signed_task), &r->state, r->hash, &r->statement,
                             err));
    FT_TRY(ft_statement_check(r->statement, err)); /* what goes out is what anybody will work out */
    FT_TRY(ft_statement_check_model(r->statement, &r->state, err));
out:
    ft_buf_clear(&signed_task);
    ft_home_trust_clear(&trust);
    return st;
}

static enum ft_status
print_text(const struct result *r, const json_t *figures)
{
    struct ft_buf text = { 0 };
    char hex[65];
    enum ft_status st;

    FT_TRY(ft_buf_printf(&text, "%s: %s\n", r->row.name, r->task.title));
    FT_TRY(ft_buf_printf(&text, "  %-16s %s\n", "hash", ft_hex(hex, r->hash, 32)));
    if (r->state.found.min_group > 0)
        FT_TRY(ft_buf_printf(&text, "  %-16s %u; %s %llu\n", "shops", r->state.found.shops,
                             r->task.noise != 0 ? "withheld is what the noise leaves below"
                                                : "withheld are counts, and sums that may be counts, of fewer than",
                             (unsigned long long)r->state.found.min_group));
    else
        FT_TRY(ft_buf_printf(&text, "  %-16s %u; each counts once, by the mean of its rows\n", "shops",
                             r->state.found.shops));
    FT_TRY(ft_statistics_text(figures, &text));
    FT_TRY(ft_buf_printf(&text, "\n%s\n", ft_statement_text(r->statement)));
    fwrite(text.data, 1, text.size, stdout);
out:
    ft_buf_clear(&text);
    return st;
}

static int
print_json(const struct result *r, const json_t *figures)
{
    char hex[65];
    return ft_cli_print_json(
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:O, s:O, s:O}", "task", r->row.name, "title", r->task.title,
                  "hash", ft_hex(hex, r->hash, 32), "shops", (json_int_t)r->state.found.shops, "min_group",
                  (json_int_t)r->state.found.min_group, "unit",
                  ft_unit_name(r->task.unit), "count", json_object_get(figures, "count"),
                  "figures", json_object_get(figures, "figures"), "statement", r->statement));
}

int
ft_cmd_statistics_show(struct ft_cli *cli)
{
    struct result r = { 0 };
    struct ft_error err = { 0 };
    json_t *figures = NULL;
    enum ft_status st;
    int code = ft_home_open(cli, &r.home);

    if (code != FT_EXIT_OK)
        return code;
    FT_TRY(open_result(cli, &r, &err));
    FT_TRY(ft_statistics_figures(&r.task, &r.state.found, &figures, &err));
    if (ft_cli_json(cli))
        code = print_json(&r, figures);
    else
        st = print_text(&r, figures);
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    json_decref(figures);
    close_result(&r);
    return code;
}

int
ft_cmd_statistics_export(struct ft_cli *cli)
{
    const char *format = ft_cli_text(cli, "format"), *path = ft_cli_text(cli, "out");
    const bool json = strcmp(format, "json") == 0;
    struct result r = { 0 };
    struct ft_buf file = { 0 };
    struct ft_error err = { 0 };
    enum ft_status st;
    int code;

    if (!json && strcmp(format, "csv") != 0)
        return ft_cli_usage(cli, "--format is '%.40s', expected json or csv", format);
    code = ft_home_open(cli, &r.home);
    if (code != FT_EXIT_OK)
        return code;
    FT_TRY(open_result(cli, &r, &err));
    FT_TRY(json ? ft_export_statistics_json(&r.task, &r.state, r.statement, &file, &err)
                : ft_export_statistics_csv(&r.task, &r.state.found, &file, &err));
    FT_TRY(ft_file_write(path, ft_buf_bytes(&file), 0644, &err));
    if (ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:s, s:s, s:s, s:I, s:O}", "file", path, "format", format,
                                           "task", r.row.name, "bytes", (json_int_t)file.size, "statement",
                                           r.statement));
    else
        printf("%s: figures of %s, %zu bytes\n%s\n", path, r.row.name, file.size,
               ft_statement_text(r.statement));
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    ft_buf_clear(&file);
    close_result(&r);
    return code;
}
