/*
 * fedtill-simulate baseline: the table federated, pooled, alone.
 *   fedtill-simulate baseline --task FILE [--model FILE.json] [--csv] HOME...
 * HOME is a client's home folder; with --csv each operand is one shop's CSV file, everybody eligible.
 */
#ifndef FT_CMD_BASELINE_H
#define FT_CMD_BASELINE_H

#include "common/base/cli.h"

int ft_cmd_baseline(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_baseline_options[];

#endif
