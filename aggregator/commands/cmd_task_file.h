/*
 * fedtill-aggregator task new|check|sign: work on a task file, before it is published.
 *   task new [NAME] [--out F]         a commented template (stdout without --out)
 *   task check FILE                   verdict and arithmetic: parameters, words, bytes, q, t, D, survivors
 *   task sign FILE --key K --out F    canonical bytes, hash, Ed25519 signature
 * All take --home for the deployment id (HOME/deployment, 32 hex digits), or --deployment HEX.
 */
#ifndef FT_CMD_TASK_FILE_H
#define FT_CMD_TASK_FILE_H

#include "common/base/buf.h"
#include "common/base/cli.h"
#include "common/task/task.h"

int ft_cmd_task_new(struct ft_cli *cli);
int ft_cmd_task_check(struct ft_cli *cli);
int ft_cmd_task_sign(struct ft_cli *cli);

/* The three rows for the program's table of commands. */
extern const struct ft_cli_option ft_cmd_task_new_options[], ft_cmd_task_check_options[],
    ft_cmd_task_sign_options[];
#define FT_CMD_TASK_FILE_COMMANDS                                                                            \
    { .name = "task new",                                                                                    \
      .help = "write a commented task to start from",                                                        \
      .operands = "[NAME]",                                                                                  \
      .operands_most = 1,                                                                                    \
      .options = ft_cmd_task_new_options,                                                                    \
      .example = "fedtill-aggregator task new cj_return --out cj_return.yaml",                               \
      .run = ft_cmd_task_new },                                                                              \
        { .name = "task check",                                                                              \
          .help = "check a task file and show its arithmetic",                                               \
          .operands = "FILE",                                                                                \
          .operands_least = 1,                                                                               \
          .operands_most = 1,                                                                                \
          .options = ft_cmd_task_check_options,                                                              \
          .example = "fedtill-aggregator task check cj_return.yaml",                                         \
          .run = ft_cmd_task_check },                                                                        \
    {                                                                                                        \
        .name = "task sign", .help = "sign a task file", .operands = "FILE", .operands_least = 1,            \
        .operands_most = 1, .options = ft_cmd_task_sign_options,                                             \
        .example = "fedtill-aggregator task sign cj_return.yaml --home HOME --out cj_return.task",           \
        .run = ft_cmd_task_sign                                                                              \
    }

/* Read and sign FILE with the 64-byte secret key: for `task publish`, which signs and stores in one go.
 * Errors: as ft_task_from_yaml_all (findings), and CONFIG when the task has expired on `today` (days since
 * 1970). */
FT_NODISCARD enum ft_status ft_task_file_sign(const char *path, const uint8_t deployment[16],
                                              const uint8_t secret_key[64], int64_t today,
                                              struct ft_buf *signed_task, uint8_t hash[FT_TASK_HASH_SIZE],
                                              struct ft_findings *findings, struct ft_error *err);

#endif
