/* fedtill-simulate sweep SWEEP.yaml, or EXPERIMENT.yaml --grid KEY=A,B,C: every cell of a grid. */
#ifndef FT_CMD_SWEEP_H
#define FT_CMD_SWEEP_H

#include "common/base/cli.h"

int ft_cmd_sweep(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_sweep_options[];

#endif
