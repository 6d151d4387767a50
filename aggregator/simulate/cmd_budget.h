/* `fedtill-simulate budget`: epsilon for a noise, noise for an epsilon, or a table of figures to be checked. */
#ifndef FT_SIMULATE_CMD_BUDGET_H
#define FT_SIMULATE_CMD_BUDGET_H

#include "common/base/cli.h"

extern const struct ft_cli_option ft_cmd_budget_options[];
int ft_cmd_budget(struct ft_cli *cli);

#endif
