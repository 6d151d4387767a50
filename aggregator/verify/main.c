/* fedtill-verify: is what a file claims what its own records lead to? No keys, no network. */
#include "aggregator/verify/confine.h"
#include "aggregator/verify/verify.h"
#include "common/base/cli.h"
#include "common/base/file.h"
#include "common/statement/statement.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const struct ft_cli_option options[] = {
    { .name = "task-key",
      .kind = FT_CLI_TEXT,
      .argument = "HEX",
      .help = "the public key, 64 hex digits, that the task must be signed by" },
    FT_CLI_OPTIONS_END,
};

static int
run(struct ft_cli *cli, enum ft_verify_kind kind)
{
    const char *path = ft_cli_operand(cli, 0), *hex = ft_cli_text(cli, "task-key");
    struct ft_error err = { 0 };
    struct ft_buf file = { 0 };
    uint8_t signer[32];
    json_t *statement = NULL;
    enum ft_status st;
    int code = FT_EXIT_OK;

    if (hex != NULL && ft_unhex(signer, 32, hex) != FT_OK)
        return ft_cli_usage(cli, "--task-key is '%.80s', expected 64 hex digits", hex);
    FT_TRY(ft_file_read(path, FT_VERIFY_BYTES_MAX, &file, &err));
    FT_TRY(ft_verify_confine(&err));
    FT_TRY(ft_verify(ft_buf_bytes(&file), kind, hex != NULL ? signer : NULL, &statement, &err));
    if (ft_cli_json(cli))
        code = ft_cli_print_json(
            json_pack("{s:s, s:s, s:O}", "file", path, "verdict", "good", "statement", statement));
    else
        printf("%s: good; every number follows from the signed task and the rounds it names\nsigned by "
               "%s\n\n%s\n",
               path, json_string_value(json_object_get(json_object_get(statement, "task"), "signer")),
               ft_statement_text(statement));
out:
    json_decref(statement);
    ft_buf_clear(&file);
    if (st != FT_OK && err.status != FT_OK && st != FT_ERR_NOTFOUND) {
        struct ft_error told = { 0 };
        (void)ft_fail(&told, st, "%.120s: %.340s", path, err.text);
        return ft_cli_fail(cli, st, &told);
    }
    return st == FT_OK ? code : ft_cli_fail(cli, st, &err);
}

static int
run_release(struct ft_cli *cli)
{
    return run(cli, FT_VERIFY_RELEASE);
}

static int
run_statement(struct ft_cli *cli)
{
    return run(cli, FT_VERIFY_STATEMENT);
}

static int
run_report(struct ft_cli *cli)
{
    return run(cli, FT_VERIFY_REPORT);
}

#define EXITS                                                                                                \
    "Exit: 0 every number follows; 65 not such a file; 66 no such file; 76 a number does not follow, the "   \
    "first is named."

static const struct ft_cli_command commands[] = {
    { .name = "release",
      .help = "a model as exported, with its statement",
      .operands = "FILE",
      .operands_least = 1,
      .operands_most = 1,
      .options = options,
      .example = "fedtill-verify release cj_return.safetensors",
      .details = EXITS,
      .run = run_release },
    { .name = "statement",
      .help = "a privacy statement",
      .operands = "FILE",
      .operands_least = 1,
      .operands_most = 1,
      .options = options,
      .example = "fedtill-verify statement statement.json",
      .details = EXITS,
      .run = run_statement },
    { .name = "report",
      .help = "a model's report",
      .operands = "FILE",
      .operands_least = 1,
      .operands_most = 1,
      .options = options,
      .example = "fedtill-verify report cj_return.report.json",
      .details = EXITS,
      .run = run_report },
    { .name = NULL },
};

static const struct ft_cli_program program = {
    .name = "fedtill-verify",
    .help = "works out again what a file of fedtill claims; needs no keys and no network",
    .commands = commands,
};

int
main(int argc, char **argv)
{
    return ft_cli_main(&program, argc, argv);
}
