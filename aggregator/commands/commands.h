/* The commands of fedtill-aggregator, one file a group; main.c lists them. */
#ifndef FT_AGGREGATOR_COMMANDS_H
#define FT_AGGREGATOR_COMMANDS_H

#include "common/base/cli.h"

int ft_cmd_init(struct ft_cli *cli);
int ft_cmd_serve(struct ft_cli *cli);
int ft_cmd_status(struct ft_cli *cli);
int ft_cmd_check_config(struct ft_cli *cli);
int ft_cmd_store_invite(struct ft_cli *cli);
int ft_cmd_store_list(struct ft_cli *cli);
int ft_cmd_store_show(struct ft_cli *cli);
int ft_cmd_store_suspend(struct ft_cli *cli);
int ft_cmd_store_resume(struct ft_cli *cli);
int ft_cmd_store_revoke(struct ft_cli *cli);
int ft_cmd_registrar_init(struct ft_cli *cli);
int ft_cmd_registrar_request(struct ft_cli *cli);
int ft_cmd_registrar_sign(struct ft_cli *cli);
int ft_cmd_registrar_import(struct ft_cli *cli);
int ft_cmd_task_publish(struct ft_cli *cli);
int ft_cmd_task_list(struct ft_cli *cli);
int ft_cmd_task_start(struct ft_cli *cli);
int ft_cmd_task_pause(struct ft_cli *cli);
int ft_cmd_task_resume(struct ft_cli *cli);
int ft_cmd_task_stop(struct ft_cli *cli);
int ft_cmd_task_status(struct ft_cli *cli);
int ft_cmd_model_list(struct ft_cli *cli);
int ft_cmd_model_show(struct ft_cli *cli);
int ft_cmd_model_export(struct ft_cli *cli);
int ft_cmd_statistics_show(struct ft_cli *cli);
int ft_cmd_statistics_export(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_statistics_export_options[];
int ft_cmd_budget(struct ft_cli *cli);
int ft_cmd_report_model(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_report_options[];

/* The option tables that main.c refers to. */
extern const struct ft_cli_option ft_cmd_init_options[], ft_cmd_serve_options[];

#endif
