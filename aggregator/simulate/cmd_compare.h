/* fedtill-simulate compare DIR... [--metric accuracy] [--target T] [--out report.html]: finished runs side by
 * side. */
#ifndef FT_CMD_COMPARE_H
#define FT_CMD_COMPARE_H

#include "common/base/cli.h"

int ft_cmd_compare(struct ft_cli *cli);
extern const struct ft_cli_option ft_cmd_compare_options[];

#endif
