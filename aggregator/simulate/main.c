#include "aggregator/simulate/cmd_audit.h"
#include "aggregator/simulate/cmd_baseline.h"
#include "aggregator/simulate/cmd_budget.h"
#include "aggregator/simulate/cmd_compare.h"
#include "aggregator/simulate/cmd_data.h"
#include "aggregator/simulate/cmd_run.h"
#include "aggregator/simulate/cmd_sweep.h"

static const struct ft_cli_command commands[] = {
    { .name = "run", .help = "run one experiment: virtual shops around the code that shops and aggregator run",
      .operands = "EXPERIMENT.yaml", .operands_least = 1, .operands_most = 1, .options = ft_cmd_run_options,
      .example = "fedtill-simulate run fashion.yaml --set training.rounds=50 --set algorithm.name=fedprox --set algorithm.mu=0.1",
      .details = "The folder gets experiment.yaml (resolved), rounds.csv, partition.csv, summary.json, model.safetensors and\n"
                 "report.html, a page with plots that needs nothing but itself. The same experiment gives the same model bytes for any number of threads, and when it was cut off and resumed.\n"
                 "Exit: 0 done, 65 bad data, 66 a file is missing, 75 stopped by a signal (--resume goes on), 78 the experiment\n"
                 "or the folder is not as it should be.",
      .run = ft_cmd_run },
    { .name = "audit", .help = "does the build keep the epsilon it states? noise floor, canaries, membership",
      .options = ft_cmd_audit_options,
      .example = "fedtill-simulate audit --noise 1 --delta 1e-5 --canaries 4000 --shops 13 --dropouts 2 --corrupted 2",
      .details = "Runs the shops' own contribution and a real secure sum; prints the lower bound that the sums show beside\n"
                 "the bound that is stated. --task takes the numbers of a task with noise,\n"
                 "unless they are given; a canary is in one shop, so the bound stated is that of m_stores 1. --only runs one of the three tests.\n"
                 "Exit: 0 the claim holds, 1 it is refuted, 64 a value out of its range.",
      .run = ft_cmd_audit },
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
    { .name = "compare", .help = "finished runs side by side: what they reach, at what cost, and in what they differ",
      .operands = "DIR...", .operands_least = 1, .operands_most = 1000, .options = ft_cmd_compare_options,
      .example = "fedtill-simulate compare runs/fedavg runs/fedprox --target 0.85 --out compare.html",
      .details = "DIR is the folder of a finished run. Rounds to the target are counted as in McMahan et al. 2017: on the\n"
                 "best value so far, between two scored rounds by a straight line.",
      .run = ft_cmd_compare },
    { .name = "data", .help = "make retail transactions from a seed, with what was planted in them",
      .options = ft_cmd_data_options,
      .example = "fedtill-simulate data --stores 50 --customers 100000 --skew 0.3 --out retail \\\n"
                 "      && fedtill-simulate run retail/experiment.yaml --out retail/run",
      .details = "DIR gets shops/, consent/, a task, an experiment, and the truth: segments, seasons, promotions, regions.",
      .run = ft_cmd_data },
    { .name = "sweep", .help = "run every cell of a grid, several at a time; killed or not, it goes on from where it was",
      .operands = "FILE.yaml", .operands_least = 1, .operands_most = 1, .options = ft_cmd_sweep_options,
      .example = "fedtill-simulate sweep fashion.yaml --grid training.learning_rate=0.01,0.03,0.1 --grid seed=1,2,3 --out lr",
      .details = "FILE is an experiment, or a sweep file with the keys experiment, set, grid, metric and target. The results\n"
                 "are the same bytes for any number of jobs. A cell that fails stops no other.\n"
                 "Exit: 0 done, 1 cells failed, 75 stopped (the same command goes on), 78 the grid or every cell is not valid.",
      .run = ft_cmd_sweep },
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
