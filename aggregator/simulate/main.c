#include "aggregator/simulate/cmd_baseline.h"
#include "aggregator/simulate/cmd_budget.h"

static const struct ft_cli_command commands[] = {
    { .name = "baseline", .help = "compare a federated model with pooled training and with each shop alone",
      .operands = "HOME...", .operands_least = 1, .operands_most = 4096, .options = ft_cmd_baseline_options,
      .example = "fedtill-simulate baseline --task cj_return.yaml --model model.json shops/store-367 shops/store-321",
      .details = "Each shop's rows are made by its own client's code, under its own policy and consent.",
      .run = ft_cmd_baseline },
    { .name = "budget", .help = "what a noise costs in epsilon, what noise an epsilon takes, or a table checked",
      .options = ft_cmd_budget_options,
      .example = "fedtill-simulate budget --epsilon 2 --delta 1e-6 --steps 1000 --batch 781.25 --n-pub 100000 \\\n"
                 "      --shops 40 --dropouts 6 --corrupted 6 --dim 20001 --adaptive",
      .details = "The table's columns are those of tests/data/privacy/dp_accounting.csv.\n"
                 "Exit: 0 done, 1 a row of the table fails, 64 a value out of its range, 65 the table is malformed.",
      .run = ft_cmd_budget },
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
