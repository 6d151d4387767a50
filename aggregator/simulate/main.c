#include "aggregator/simulate/cmd_baseline.h"

static const struct ft_cli_command commands[] = {
    { .name = "baseline", .help = "compare a federated model with pooled training and with each shop alone",
      .operands = "HOME...", .operands_least = 1, .operands_most = 4096, .options = ft_cmd_baseline_options,
      .example = "fedtill-simulate baseline --task cj_return.yaml --model model.json shops/store-367 shops/store-321",
      .details = "Each shop's rows are made by its own client's code, under its own policy and consent.",
      .run = ft_cmd_baseline },
    { .name = NULL },
};

static const struct ft_cli_program program = {
    .name = "fedtill-simulate",
    .help = "federations of virtual shops, and the baselines that a real one is measured against",
    .commands = commands,
};

int
main(int argc, char **argv)
{
    return ft_cli_main(&program, argc, argv);
}
