/* `fedtill-simulate audit`: does the build keep what it claims? */
#ifndef FT_SIMULATE_CMD_AUDIT_H
#define FT_SIMULATE_CMD_AUDIT_H

#include "common/base/cli.h"

extern const struct ft_cli_option ft_cmd_audit_options[];
int ft_cmd_audit(struct ft_cli *cli);

#endif
