#include "aggregator/simulate/cmd_compare.h"

#include "aggregator/simulate/output/compare.h"
#include "aggregator/simulate/output/html.h"
#include "aggregator/simulate/output/report_parts.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

const struct ft_cli_option ft_cmd_compare_options[] = {
    { .name = "metric",
      .kind = FT_CLI_TEXT,
      .argument = "accuracy|auc|loss",
      .help = "what they are judged by (default: what the runs have)" },
    { .name = "target",
      .kind = FT_CLI_REAL,
      .argument = "T",
      .help = "also: rounds until the metric reaches it" },
    { .name = "out",
      .kind = FT_CLI_TEXT,
      .argument = "FILE.html",
      .help = "write a page with table and plots; of one DIR its own report" },
    { .name = "force", .kind = FT_CLI_FLAG, .help = "replace FILE.html" },
    FT_CLI_OPTIONS_END,
};

/* The keys in which the experiments differ, below the table: what a reader wants to know next. */
static void
print_differences(const struct sim_compare *c)
{
    for (size_t i = 0; i < c->differing_count; i++) {
        printf("%s%s:", i == 0 ? "\ndiffering\n  " : "  ", c->differing[i]);
        for (size_t k = 0; k < c->count; k++) {
            const char *value = sim_run_key(&c->runs[k], c->differing[i]);
            printf("%s %s", k > 0 ? " |" : "", value != NULL ? value : "-");
        }
        printf("\n");
    }
}

static void
print_table(const struct sim_compare *c)
{
    char a[40], b[40], d[40], e[40], f[40], path[60];
    int width = 3;
    for (size_t k = 0; k < c->count; k++)
        width = (int)strlen(c->runs[k].label) > width ? (int)strlen(c->runs[k].label) : width;
    printf("%-*s  %-10s  %10s  %10s  %7s%s  %12s  %10s  %10s\n", width, "run", "algorithm",
           sim_metric_name(c->metric), "pooled", "rounds", isnan(c->target) ? "" : "   to target",
           "from clients", "time", "clients/s");
    for (size_t k = 0; k < c->count; k++) {
        const struct sim_run *run = &c->runs[k];
        const double rounds_to = sim_compare_rounds_to(c, k), pooled_from = sim_compare_final(c, k);
        char target[60] = "";
        (void)snprintf(path, sizeof path, "baselines.pooled.%s", sim_metric_name(c->metric));
        const double pooled = sim_run_number(run, path);
        if (!isnan(c->target))
            (void)snprintf(target, sizeof target, "  %10s",
                           isnan(rounds_to) ? "never" : sim_number_text(e, rounds_to));
        printf("%-*s  %-10s  %10s  %10s  %7s%s  %12s  %10s  %10s\n", width, run->label,
               sim_run_text(run, "algorithm"), isnan(pooled_from) ? "-" : sim_number_text(a, pooled_from),
               isnan(pooled) ? "-" : sim_number_text(b, pooled),
               sim_number_text(d, sim_run_number(run, "rounds")), target,
               sim_bytes_text(e, sim_run_number(run, "bytes_up")),
               sim_seconds_text(f, sim_run_number(run, "seconds")),
               sim_number_text(path, round(sim_run_number(run, "clients_per_second"))));
    }
    print_differences(c);
}

static enum ft_status
write_page(const struct sim_compare *c, const char *path, bool force, struct ft_error *err)
{
    struct ft_buf page = { 0 };
    enum ft_status st;
    FT_TRY(c->count == 1 ? sim_report_page(&page, &c->runs[0]) : sim_compare_page(c, NULL, &page));
    if (force)
        st = ft_file_write(path, ft_buf_bytes(&page), 0644, err);
    else
        st = ft_file_write_new(path, ft_buf_bytes(&page), 0644, err);
    if (st == FT_ERR_DUPLICATE)
        *err = (struct ft_error){ 0 };
    if (st == FT_ERR_DUPLICATE)
        st = ft_fail(err, FT_ERR_CONFIG, "%s is there already; --force replaces it", path);
out:
    ft_buf_clear(&page);
    return st;
}

int
ft_cmd_compare(struct ft_cli *cli)
{
    const char *metric_text = ft_cli_text(cli, "metric"), *out = ft_cli_text(cli, "out");
    const size_t count = ft_cli_operand_count(cli);
    enum sim_metric metric = 0;
    struct sim_compare compare = { 0 };
    struct ft_error err = { 0 };
    const char **dirs = ft_calloc(count, sizeof *dirs);
    enum ft_status st = dirs != NULL ? FT_OK : FT_ERR_NOMEM;
    int code = FT_EXIT_OK;

    for (enum sim_metric m = SIM_ACCURACY; metric_text != NULL && m <= SIM_LOSS; m++)
        if (strcmp(metric_text, sim_metric_name(m)) == 0)
            metric = m;
    if (metric_text != NULL && metric == 0) {
        ft_free(dirs);
        return ft_cli_usage(cli, "--metric is '%s', expected accuracy, auc or loss", metric_text);
    }
    for (size_t i = 0; st == FT_OK && i < count; i++)
        dirs[i] = ft_cli_operand(cli, i);
    FT_TRY(st);
    FT_TRY(sim_compare_open(dirs, count, metric,
                            ft_cli_given(cli, "target") ? ft_cli_real(cli, "target", 0) : NAN, &compare,
                            &err));
    if (out != NULL)
        FT_TRY(write_page(&compare, out, ft_cli_flag(cli, "force"), &err));
    if (ft_cli_json(cli))
        code = ft_cli_print_json(sim_compare_json(&compare));
    else
        print_table(&compare);
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    sim_compare_close(&compare);
    ft_free(dirs);
    return code;
}
