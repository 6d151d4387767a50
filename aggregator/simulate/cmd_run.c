#include "aggregator/simulate/cmd_run.h"
#include "aggregator/simulate/engine/pool.h"
#include "aggregator/simulate/engine/ranks.h"
#include "aggregator/simulate/run/progress.h"
#include "aggregator/simulate/run/run.h"
#include "common/base/alloc.h"
#include "common/model/model.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <string.h>

const struct ft_cli_option ft_cmd_run_options[] = {
    { .name = "set",
      .kind = FT_CLI_TEXTS,
      .argument = "KEY=VALUE",
      .help = "one value of the experiment changed or added, e.g. training.rounds=5; may be given often" },
    { .name = "threads",
      .kind = FT_CLI_UINT,
      .argument = "N",
      .least = 1,
      .most = SIM_THREADS_MAX,
      .help = "threads to train in (default: as many as there are processors; the result does not depend on "
              "it)" },
    { .name = "out",
      .kind = FT_CLI_TEXT,
      .argument = "DIR",
      .help = "the run's folder (default: runs/NAME)" },
    { .name = "resume", .kind = FT_CLI_FLAG, .help = "go on with the run in the folder, or begin it there" },
    { .name = "force", .kind = FT_CLI_FLAG, .help = "replace the run in the folder" },
    { .name = "save-every",
      .kind = FT_CLI_UINT,
      .argument = "ROUNDS",
      .least = 1,
      .most = 1000000000,
      .help = "rounds between saved states (default: as often as costs little)" },
    FT_CLI_OPTIONS_END,
};

static volatile sig_atomic_t stop;

static void
on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* The first signal asks for an orderly end, the second ends at once. */
static void
catch_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

/* A figure of the summary; NAN when there is none. */
static double
figure(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static void
print_figure(const json_t *o, const char *key)
{
    const double v = figure(o, key);
    if (isfinite(v))
        printf("  %9.4f", v);
    else
        printf("  %9s", "-");
}

static void
print_row(const char *name, const json_t *metrics)
{
    if (metrics == NULL)
        return;
    printf("%-24s", name);
    print_figure(metrics, "loss");
    print_figure(metrics, "accuracy");
    print_figure(metrics, "auc");
    printf("\n");
}

/* "row added or removed" */
static const char *
privacy_unit(const json_t *privacy)
{
    const char *unit = json_string_value(json_object_get(privacy, "unit"));
    return strcmp(unit, "store") == 0      ? "client zeroed out (it still takes part and adds its noise)"
           : strcmp(unit, "customer") == 0 ? "customer added or removed"
                                           : "row added or removed";
}

static void
print_summary(const json_t *s, const char *dir)
{
    const json_t *baselines = json_object_get(s, "baselines"), *metrics = json_object_get(s, "metrics");
    printf("%s: %s, %.0f rounds in %.2f s, %.0f clients/s, peak %.0f MiB\n",
           json_string_value(json_object_get(s, "name")), json_string_value(json_object_get(s, "algorithm")),
           figure(s, "rounds"), figure(s, "seconds"), figure(s, "clients_per_second"),
           figure(s, "peak_bytes") / 1048576);
    printf("%-24s  %9s  %9s  %9s\n", "on the test rows", "loss", "accuracy", "AUC");
    print_row("federated", metrics);
    print_row("central DP", json_object_get(baselines, "central_dp"));
    print_row("without privacy", json_object_get(baselines, "without_privacy"));
    print_row("pooled", json_object_get(baselines, "pooled"));
    print_row("each alone (mean)", json_object_get(baselines, "local"));
    const json_t *target = json_object_get(s, "target"), *reached = json_object_get(s, "rounds_to_target");
    if (target != NULL && json_is_number(reached))
        printf("%s %g reached in %.4g rounds\n", json_string_value(json_object_get(target, "metric")), figure(target, "at"),
               json_number_value(reached));
    else if (target != NULL)
        printf("%s %g not reached\n", json_string_value(json_object_get(target, "metric")), figure(target, "at"));
    const json_t *privacy = json_object_get(s, "privacy");
    if (privacy != NULL)
        printf("privacy: epsilon %.4g by RDP, %.4g by PLD at delta %g, for one %s; %.0f rounds, q %.4g, noise "
               "multiplier %.4g from %.0f shares\n",
               figure(privacy, "epsilon_rdp"), figure(privacy, "epsilon_pld"), figure(privacy, "delta"),
               privacy_unit(privacy), figure(privacy, "rounds"), figure(privacy, "q"),
               figure(privacy, "noise_multiplier"), figure(privacy, "t_min"));
    if (isfinite(figure(metrics, "adjusted_rand_pooled")))
        printf("same segments as pooled rows give: adjusted Rand index %.4f\n", figure(metrics, "adjusted_rand_pooled"));
    if (isfinite(figure(metrics, "adjusted_rand_without_privacy")))
        printf("stability, same segments as without privacy: adjusted Rand index %.4f\n",
               figure(metrics, "adjusted_rand_without_privacy"));
    if (isfinite(figure(metrics, "personal_accuracy")))
        printf("personal models, on their own mix of labels: accuracy %.4f\n",
               figure(metrics, "personal_accuracy"));
    printf("model %.16s..., in %s\n", json_string_value(json_object_get(s, "model_sha256")), dir);
}

/* What is printed is what the folder holds. */
static int
print_result(struct ft_cli *cli, const char *dir)
{
    struct ft_error err = { 0 };
    json_t *summary = NULL;
    const enum ft_status st = ft_sim_read_summary(dir, &summary, &err);
    int code = FT_EXIT_OK;
    if (st != FT_OK)
        return ft_cli_fail(cli, st, &err);
    if (ft_cli_json(cli)) {
        json_object_set_new(summary, "folder", json_string(dir));
        return ft_cli_print_json(summary);
    }
    print_summary(summary, dir);
    json_decref(summary);
    return code;
}

static int
run_in(struct ft_cli *cli, const struct ft_sim_experiment *e, const char *dir)
{
    struct ft_error err = { 0 };
    struct ft_sim_result result;
    struct sim_bar bar;
    const struct ft_sim_run_options options = { .dir = dir,
                                                .threads = (unsigned)ft_cli_uint(cli, "threads", 0),
                                                .save_every = (uint32_t)ft_cli_uint(cli, "save-every", 0),
                                                .resume = ft_cli_flag(cli, "resume"),
                                                .force = ft_cli_flag(cli, "force"),
                                                .stop = &stop,
                                                .progress = sim_bar_show,
                                                .ctx = &bar };
    enum ft_status st;

    sim_bar_open(&bar);
    catch_signals();
    st = ft_sim_run(e, &options, &result, &err);
    sim_bar_close(&bar);
    return st == FT_OK ? print_result(cli, dir) : ft_cli_fail(cli, st, &err);
}

static int
run_experiment(struct ft_cli *cli)
{
    struct ft_error err = { 0 };
    struct ft_findings findings;
    struct ft_sim_experiment e;
    size_t set_count;
    const char *const *sets = ft_cli_texts(cli, "set", &set_count);
    char *dir;
    enum ft_status st;
    int code;

    st = sim_ranks_agree(ft_sim_experiment_load(ft_cli_operand(cli, 0), sets, set_count, &e, &findings, &err), &err);
    if (findings.total > 0)
        return ft_cli_fail_findings(cli, &findings);
    if (st != FT_OK) {
        ft_sim_experiment_clear(&e);
        return ft_cli_fail(cli, st, &err);
    }
    dir = ft_cli_text(cli, "out") != NULL ? ft_strdup(ft_cli_text(cli, "out")) : ft_asprintf("runs/%s", e.name);
    code = dir != NULL ? run_in(cli, &e, dir) : ft_cli_fail(cli, FT_ERR_NOMEM, NULL);
    ft_free(dir);
    ft_sim_experiment_clear(&e);
    return code;
}

int
ft_cmd_run(struct ft_cli *cli)
{
    int code;

    if (ft_cli_flag(cli, "resume") && ft_cli_flag(cli, "force"))
        return ft_cli_usage(cli, "--resume goes on with a run and --force begins anew, expected one of them");
    if (ft_sim_ranks_open())
        return ft_cli_usage(cli, "started by mpirun, but this program was built without MPI: install libopenmpi-dev, build again");
    if (ft_sim_rank() > 0 && (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL))
        return FT_EXIT_INTERNAL; /* process 0 speaks for all */
    ft_model_setup();
    ft_alloc_keep();
    code = run_experiment(cli);
    ft_sim_ranks_close();
    return code;
}
