/* The commands of fedtill-client: each a run function and, where it has options, their table. */
#ifndef FT_CLIENT_COMMANDS_H
#define FT_CLIENT_COMMANDS_H

#include "common/base/cli.h"

extern const struct ft_cli_option ft_cmd_enrol_options[];
int ft_cmd_enrol(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_run_options[];
int ft_cmd_run(struct ft_cli *cli);
int ft_cmd_status(struct ft_cli *cli);
int ft_cmd_doctor(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_data_minimise_options[];
int ft_cmd_data_minimise(struct ft_cli *cli);
int ft_cmd_source_check(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_consent_import_options[];
int ft_cmd_consent_import(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_dsr_delete_options[];
int ft_cmd_dsr_delete(struct ft_cli *cli);
int ft_cmd_budget(struct ft_cli *cli);
int ft_cmd_budget_plan(struct ft_cli *cli);
int ft_cmd_policy_check(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_policy_explain_options[];
int ft_cmd_policy_explain(struct ft_cli *cli);
int ft_cmd_task_list(struct ft_cli *cli);
int ft_cmd_task_show(struct ft_cli *cli);
int ft_cmd_task_approve(struct ft_cli *cli);
int ft_cmd_task_deny(struct ft_cli *cli);
int ft_cmd_probe(struct ft_cli *cli); /* test builds only */

#endif
