/* The two processes of `run`, so that the test build's `probe` starts exactly the same ones. */
#ifndef FT_CLIENT_RUN_H
#define FT_CLIENT_RUN_H

#include "client/commands/node.h"

/* What each process does instead of its work, inside its sandbox. Each returns an exit code. */
struct ft_run_probe {
    int (*vault)(const struct ft_node *node, int link_fd);
    int (*courier)(const struct ft_node *node, int link_fd);
};

/* Returns the exit code. The caller ends the process with _exit. `probe` NULL: the real thing. */
int ft_run_processes(struct ft_cli *cli, struct ft_node *node, bool until_done,
                     const struct ft_run_probe *probe);

uint16_t ft_target_port(const char *target); /* 0: none */
bool ft_proxy_configured(void);

#endif
