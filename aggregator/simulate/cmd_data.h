/* fedtill-simulate data --stores N --customers M --out DIR: shops that never were, and what was planted in
 * them. */
#ifndef FT_CMD_DATA_H
#define FT_CMD_DATA_H

#include "common/base/cli.h"

int ft_cmd_data(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_data_options[];

#endif
