/*
 * fedtill-simulate run: one experiment in one folder.
 *   fedtill-simulate run EXPERIMENT.yaml [--set key=value]... [--threads N] [--out DIR] [--resume | --force]
 */
#ifndef FT_CMD_RUN_H
#define FT_CMD_RUN_H

#include "common/base/cli.h"

int ft_cmd_run(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_run_options[];

#endif
