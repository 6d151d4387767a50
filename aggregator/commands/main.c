/* fedtill-aggregator: the table of its commands. */
#include "aggregator/commands/cmd_task_file.h"
#include "aggregator/commands/commands.h"

static const struct ft_cli_option home_only[] = { FT_CLI_HOME, FT_CLI_OPTIONS_END };
static const struct ft_cli_option home_yes[] = { FT_CLI_HOME, FT_CLI_YES, FT_CLI_OPTIONS_END };
static const struct ft_cli_option revoke_options[] = { FT_CLI_HOME, FT_CLI_YES, FT_CLI_DRY_RUN, FT_CLI_OPTIONS_END };
static const struct ft_cli_option invite_options[] = {
    FT_CLI_HOME,
    { .name = "out", .kind = FT_CLI_TEXT, .argument = "FILE", .help = "the invitation (default: SHOP.invitation.json)" },
    { .name = "days", .kind = FT_CLI_UINT, .argument = "N", .help = "how long its token works (default 7)", .least = 1,
      .most = 365 },
    FT_CLI_OPTIONS_END,
};
static const struct ft_cli_option registrar_init_options[] = {
    { .name = "folder", .kind = FT_CLI_TEXT, .argument = "DIR", .required = true, .help = "the registrar's folder" },
    FT_CLI_OPTIONS_END,
};
static const struct ft_cli_option request_options[] = {
    FT_CLI_HOME,
    { .name = "out", .kind = FT_CLI_TEXT, .argument = "FILE", .required = true, .help = "the request to write" },
    FT_CLI_OPTIONS_END,
};
static const struct ft_cli_option sign_options[] = {
    { .name = "folder", .kind = FT_CLI_TEXT, .argument = "DIR", .required = true, .help = "the registrar's folder" },
    { .name = "request", .kind = FT_CLI_TEXT, .argument = "FILE", .required = true, .help = "what `request` wrote" },
    { .name = "corrupted", .kind = FT_CLI_UINT, .argument = "F",
      .help = "how many shops may collude with the aggregator; needed for the first roster", .least = 1,
      .most = 4095 },
    { .name = "out", .kind = FT_CLI_TEXT, .argument = "FILE", .required = true, .help = "the signed roster to write" },
    FT_CLI_OPTIONS_END,
};
static const struct ft_cli_option model_show_options[] = {
    FT_CLI_HOME,
    { .name = "model-version", .kind = FT_CLI_UINT, .argument = "V", .help = "which version (default: the newest)" },
    FT_CLI_OPTIONS_END,
};
static const struct ft_cli_option model_export_options[] = {
    FT_CLI_HOME,
    { .name = "model-version", .kind = FT_CLI_UINT, .argument = "V", .help = "which version (default: the newest)" },
    { .name = "format", .kind = FT_CLI_TEXT, .argument = "F", .help = "safetensors or json", .fallback = "safetensors" },
    { .name = "out", .kind = FT_CLI_TEXT, .argument = "FILE", .required = true, .help = "the file to write" },
    FT_CLI_OPTIONS_END,
};

static const struct ft_cli_command commands[] = {
    { .name = "init", .help = "make a new home: keys, certificates, configuration, database",
      .options = ft_cmd_init_options,
      .example = "fedtill-aggregator init --home /srv/fedtill --listen 0.0.0.0:7443 --public fl.example.org:7443",
      .run = ft_cmd_init },
    { .name = "serve", .help = "serve the shops and run the rounds", .options = ft_cmd_serve_options,
      .example = "fedtill-aggregator serve --home /srv/fedtill", .run = ft_cmd_serve },
    { .name = "status", .help = "the server, the register, the tasks and the log at a glance", .options = home_only,
      .example = "fedtill-aggregator status --home /srv/fedtill --json", .run = ft_cmd_status },
    { .name = "check-config", .help = "check everything `serve` would refuse to start with", .options = home_only,
      .example = "fedtill-aggregator check-config --home /srv/fedtill", .run = ft_cmd_check_config },
    { .name = "store invite", .help = "invite a shop: write the file it enrols with", .operands = "SHOP",
      .operands_least = 1, .operands_most = 1, .options = invite_options,
      .example = "fedtill-aggregator store invite store-367 --home /srv/fedtill --days 3",
      .run = ft_cmd_store_invite },
    { .name = "store list", .help = "list the shops", .options = home_only,
      .example = "fedtill-aggregator store list --home /srv/fedtill", .run = ft_cmd_store_list },
    { .name = "store show", .help = "show one shop", .operands = "SHOP", .operands_least = 1, .operands_most = 1,
      .options = home_only, .example = "fedtill-aggregator store show store-367 --home /srv/fedtill",
      .run = ft_cmd_store_show },
    { .name = "store suspend", .help = "serve a shop no more for now", .operands = "SHOP", .operands_least = 1,
      .operands_most = 1, .options = home_only,
      .example = "fedtill-aggregator store suspend store-367 --home /srv/fedtill", .run = ft_cmd_store_suspend },
    { .name = "store resume", .help = "serve a suspended shop again", .operands = "SHOP", .operands_least = 1,
      .operands_most = 1, .options = home_only,
      .example = "fedtill-aggregator store resume store-367 --home /srv/fedtill", .run = ft_cmd_store_resume },
    { .name = "store revoke", .help = "shut a shop out for good", .operands = "SHOP", .operands_least = 1,
      .operands_most = 1, .options = revoke_options,
      .example = "fedtill-aggregator store revoke store-367 --home /srv/fedtill --yes", .run = ft_cmd_store_revoke },
    { .name = "registrar init", .help = "make a registrar's key on its own machine", .options = registrar_init_options,
      .example = "fedtill-aggregator registrar init --folder registrar", .run = ft_cmd_registrar_init },
    { .name = "registrar request", .help = "write what the register would like the next roster to be",
      .options = request_options,
      .example = "fedtill-aggregator registrar request --home /srv/fedtill --out roster.request",
      .run = ft_cmd_registrar_request },
    { .name = "registrar sign", .help = "sign the next roster, on the registrar's machine", .options = sign_options,
      .example = "fedtill-aggregator registrar sign --folder registrar --request roster.request --corrupted 3 "
                 "--out roster.signed",
      .run = ft_cmd_registrar_sign },
    { .name = "registrar import", .help = "put a signed roster in force", .operands = "FILE", .operands_least = 1,
      .operands_most = 1, .options = home_only,
      .example = "fedtill-aggregator registrar import roster.signed --home /srv/fedtill",
      .run = ft_cmd_registrar_import },
    FT_CMD_TASK_FILE_COMMANDS,
    { .name = "task publish", .help = "take a signed task into the register", .operands = "FILE", .operands_least = 1,
      .operands_most = 1, .options = home_only,
      .example = "fedtill-aggregator task publish cj_return.task --home /srv/fedtill", .run = ft_cmd_task_publish },
    { .name = "task list", .help = "list the tasks", .options = home_only,
      .example = "fedtill-aggregator task list --home /srv/fedtill", .run = ft_cmd_task_list },
    { .name = "task start", .help = "offer a task to the shops and run its rounds", .operands = "TASK",
      .operands_least = 1, .operands_most = 1, .options = home_only,
      .example = "fedtill-aggregator task start cj_return --home /srv/fedtill", .run = ft_cmd_task_start },
    { .name = "task pause", .help = "start no further round for now", .operands = "TASK", .operands_least = 1,
      .operands_most = 1, .options = home_only,
      .example = "fedtill-aggregator task pause cj_return --home /srv/fedtill", .run = ft_cmd_task_pause },
    { .name = "task resume", .help = "go on with a paused task", .operands = "TASK", .operands_least = 1,
      .operands_most = 1, .options = home_only,
      .example = "fedtill-aggregator task resume cj_return --home /srv/fedtill", .run = ft_cmd_task_resume },
    { .name = "task stop", .help = "end a task for good", .operands = "TASK", .operands_least = 1, .operands_most = 1,
      .options = home_yes, .example = "fedtill-aggregator task stop cj_return --home /srv/fedtill --yes",
      .run = ft_cmd_task_stop },
    { .name = "task status", .help = "a task's rounds and the shops' verdicts", .operands = "TASK", .operands_least = 1,
      .operands_most = 1, .options = home_only,
      .example = "fedtill-aggregator task status cj_return --home /srv/fedtill --json", .run = ft_cmd_task_status },
    { .name = "model list", .help = "the versions of a task's model", .operands = "TASK", .operands_least = 1,
      .operands_most = 1, .options = home_only, .example = "fedtill-aggregator model list cj_return --home /srv/fedtill",
      .run = ft_cmd_model_list },
    { .name = "model show", .help = "one version and what it was measured at", .operands = "TASK", .operands_least = 1,
      .operands_most = 1, .options = model_show_options,
      .example = "fedtill-aggregator model show cj_return --home /srv/fedtill --model-version 20",
      .run = ft_cmd_model_show },
    { .name = "model export", .help = "write a model for use elsewhere", .operands = "TASK", .operands_least = 1,
      .operands_most = 1, .options = model_export_options,
      .example = "fedtill-aggregator model export cj_return --home /srv/fedtill --format json --out cj_return.json",
      .run = ft_cmd_model_export },
    { .name = "statistics show", .help = "what a task of kind statistics found, with intervals and bars",
      .operands = "TASK", .operands_least = 1, .operands_most = 1, .options = home_only,
      .example = "fedtill-aggregator statistics show cj_statistics --home /srv/fedtill", .run = ft_cmd_statistics_show },
    { .name = "statistics export", .help = "write the figures for use elsewhere", .operands = "TASK",
      .operands_least = 1, .operands_most = 1, .options = ft_cmd_statistics_export_options,
      .example = "fedtill-aggregator statistics export cj_statistics --home /srv/fedtill --format csv --out cj_statistics.csv",
      .run = ft_cmd_statistics_export },
    { .name = "budget", .help = "what the tasks have spent of their customers' privacy and may still spend",
      .operands = "[TASK]", .operands_most = 1, .options = home_only,
      .example = "fedtill-aggregator budget --home /srv/fedtill --json", .run = ft_cmd_budget },
    { .name = "report model", .help = "what a model is, what it promises and how good it is, on one page",
      .operands = "TASK", .operands_least = 1, .operands_most = 1, .options = ft_cmd_report_options,
      .example = "fedtill-aggregator report model cj_return --home /srv/fedtill --format json --out cj_return.report.json",
      .details = "Exit: 76 when the log does not pass its check or no committed round made the model.",
      .run = ft_cmd_report_model },
    { .name = NULL },
};

static const struct ft_cli_program program = {
    .name = "fedtill-aggregator",
    .help = "trains one model from many shops and sees none of them",
    .commands = commands,
};

int
main(int argc, char **argv)
{
    return ft_cli_main(&program, argc, argv);
}
