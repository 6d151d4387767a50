/* fedtill-client: the table of its commands. */
#include "client/commands/commands.h"

static const struct ft_cli_option home_only[] = { FT_CLI_HOME, FT_CLI_OPTIONS_END };

static const struct ft_cli_command commands[] = {
    { .name = "enrol",
      .help = "join a federation with an invitation",
      .options = ft_cmd_enrol_options,
      .example =
          "fedtill-client enrol --home shop --token-file store-367.invitation.json --fingerprint 1f:0a:...",
      .details =
          "Keys are made here and stay here. Exit: 0 enrolled, 69 aggregator unreachable, 76 another "
          "fingerprint\n"
          "or a certificate that does not fit (nothing counts), 77 token used, expired or of another shop.",
      .run = ft_cmd_enrol },
    { .name = "run",
      .help = "take part: the vault and the courier, until told to end",
      .options = ft_cmd_run_options,
      .example = "fedtill-client run --home shop",
      .details = "Two processes: the vault has the data and keys and no network, the courier the network and "
                 "nothing else.\n"
                 "Logs one JSON object a line on stderr. SIGTERM or Ctrl-C ends both. Exit: 0 ended, 66 not "
                 "enrolled,\n"
                 "70 a process ended by itself, 76 state damaged, 78 configuration.",
      .run = ft_cmd_run },
    { .name = "status",
      .help = "where this shop stands",
      .options = home_only,
      .example = "fedtill-client status --home shop --json",
      .run = ft_cmd_status },
    { .name = "doctor",
      .help = "check everything a round needs, with the remedy",
      .options = home_only,
      .example = "fedtill-client doctor --home shop",
      .details = "Exit: 0 nothing failed, 1 something did.",
      .run = ft_cmd_doctor },
    { .name = "source check",
      .help = "what the data look like, in counts and ranges",
      .options = home_only,
      .example = "fedtill-client source check --home shop",
      .details =
          "Shows no row. Exit: 0 good, 1 warnings, 65 cannot be imported, 66 no file, 78 configuration.",
      .run = ft_cmd_source_check },
    { .name = "data minimise",
      .help = "which columns are read, what for, and which for nothing",
      .options = ft_cmd_data_minimise_options,
      .example = "fedtill-client data minimise --home shop --strict",
      .details = "A column nobody uses can be taken out of client.yaml: what is not mapped is not read.\n"
                 "Exit: 0 done, 1 with --strict and a column without use, 66 not enrolled.",
      .run = ft_cmd_data_minimise },
    { .name = "consent import",
      .help = "record customers' decisions from a file",
      .options = ft_cmd_consent_import_options,
      .example = "fedtill-client consent import --home shop --file consent.csv --yes",
      .details = "What is ambiguous counts as a refusal. Importing the same file again changes nothing.",
      .run = ft_cmd_consent_import },
    { .name = "budget",
      .help = "what customers' privacy has cost in tasks with noise, and what is left",
      .options = home_only,
      .example = "fedtill-client budget --home shop --json",
      .details = "Reads the privacy ledger; works while the client runs. Exit: 0 done, 66 not enrolled, 70 the ledger cannot\n"
                 "be read, 76 it is damaged or another shop's.",
      .run = ft_cmd_budget },
    { .name = "budget plan",
      .help = "the hash of a plan of tasks, for a planned budget in policy.yaml",
      .operands = "TASK...",
      .operands_least = 1,
      .operands_most = 16,
      .options = home_only,
      .example = "fedtill-client budget plan cj_return cj_return_again --home shop",
      .details = "The tasks with noise in the order in which they will be accepted; none can be added later.",
      .run = ft_cmd_budget_plan },
    { .name = "policy check",
      .help = "is policy.yaml good, and who could change it",
      .options = home_only,
      .example = "fedtill-client policy check --home shop",
      .run = ft_cmd_policy_check },
    { .name = "policy explain",
      .help = "what the policy says to a task, rule by rule",
      .options = ft_cmd_policy_explain_options,
      .example = "fedtill-client policy explain --home shop --task cj_return",
      .details = "Exit: 0 accepted, 75 not now, 77 refused.",
      .run = ft_cmd_policy_explain },
    { .name = "dsr delete",
      .help = "forget a customer who asked for it, and write a receipt",
      .options = ft_cmd_dsr_delete_options,
      .example = "printf %s \"$ID\" | fedtill-client dsr delete --customer - --verified-by \"desk 3\" --out receipt.json --yes",
      .details = "Exit: 0 done, 75 old copies in the state are overwritten at the next start, 77 legal hold or not verified.\n"
                 "Later imports pass the customer over; a running client leaves them out from the next round.",
      .run = ft_cmd_dsr_delete },
    { .name = "task list",
      .help = "the tasks this shop was offered",
      .options = home_only,
      .example = "fedtill-client task list --home shop",
      .run = ft_cmd_task_list },
    { .name = "task show",
      .help = "a task in plain words: what is computed, what leaves the shop",
      .operands = "TASK",
      .operands_least = 1,
      .operands_most = 1,
      .options = home_only,
      .example = "fedtill-client task show cj_return --home shop",
      .run = ft_cmd_task_show },
    { .name = "task approve",
      .help = "let a task run here, within the policy",
      .operands = "TASK",
      .operands_least = 1,
      .operands_most = 1,
      .options = home_only,
      .example = "fedtill-client task approve cj_return --home shop",
      .run = ft_cmd_task_approve },
    { .name = "task deny",
      .help = "keep a task from running here",
      .operands = "TASK",
      .operands_least = 1,
      .operands_most = 1,
      .options = home_only,
      .example = "fedtill-client task deny cj_return --home shop",
      .run = ft_cmd_task_deny },
#ifdef FT_PROBE
    { .name = "probe",
      .help = "try to break out of both sandboxes",
      .options = home_only,
      .example = "fedtill-client-probe probe --home shop",
      .run = ft_cmd_probe },
#endif
    { 0 },
};

static const struct ft_cli_program program = {
    .name = "fedtill-client",
    .help = "a shop's part in a federation: its data stay here, only masked sums leave",
    .commands = commands,
};

int
main(int argc, char **argv)
{
    return ft_cli_main(&program, argc, argv);
}
