#include "aggregator/simulate/cmd_sweep.h"

#include "aggregator/simulate/output/html.h"
#include "aggregator/simulate/run/run.h"
#include "aggregator/simulate/sweep/sweep.h"
#include "common/base/alloc.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const struct ft_cli_option ft_cmd_sweep_options[] = {
    { .name = "grid",
      .kind = FT_CLI_TEXTS,
      .argument = "KEY=A,B,C",
      .help = "values of one key; may be given often, and adds to a sweep file's grid" },
    { .name = "set",
      .kind = FT_CLI_TEXTS,
      .argument = "KEY=VALUE",
      .help = "one value of every cell; may be given often" },
    { .name = "metric",
      .kind = FT_CLI_TEXT,
      .argument = "accuracy|auc|loss",
      .help = "what cells are judged by (default: what the runs have)" },
    { .name = "target",
      .kind = FT_CLI_REAL,
      .argument = "T",
      .help = "also: rounds until the metric reaches it" },
    { .name = "out",
      .kind = FT_CLI_TEXT,
      .argument = "DIR",
      .help = "the sweep's folder (default: sweeps/NAME of FILE)" },
    { .name = "jobs",
      .kind = FT_CLI_UINT,
      .argument = "N",
      .least = 1,
      .most = 256,
      .help = "cells at a time (default: as many as there are processors)" },
    { .name = "threads",
      .kind = FT_CLI_UINT,
      .argument = "N",
      .least = 1,
      .most = 256,
      .help = "threads of each cell (default: the processors shared out)" },
    { .name = "dry-run", .kind = FT_CLI_FLAG, .help = "list the cells and run none" },
    { .name = "force", .kind = FT_CLI_FLAG, .help = "begin every cell anew" },
    FT_CLI_OPTIONS_END,
};

static volatile sig_atomic_t stop;

static void
on_signal(int number)
{
    (void)number;
    stop = 1;
}

static double
now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- progress ---- */

struct bar {
    bool lively;
    double begun, shown;
};

static void
show(void *ctx, const struct sim_sweep *s, unsigned running)
{
    struct bar *b = ctx;
    const double at = now();
    uint32_t before = 0;
    char track[25], left[40] = "-";
    if (!b->lively || at - b->shown < 0.1)
        return;
    b->shown = at;
    for (uint32_t i = 0; i < s->count; i++)
        before += s->cells[i].before;
    const uint32_t ended = s->done + s->failed + s->invalid, mine = s->done + s->failed - before;
    for (unsigned i = 0; i < 24; i++)
        track[i] = i < ended * 24u / s->count ? '=' : ' ';
    track[24] = '\0';
    if (mine > 0)
        (void)sim_seconds_text(left, (at - b->begun) / mine * (s->count - ended));
    fprintf(stderr, "\r\033[Kcells %u/%u [%s] %u running", ended, s->count, track, running);
    if (s->failed + s->invalid > 0)
        fprintf(stderr, ", %u failed", s->failed + s->invalid);
    fprintf(stderr, ", %s left", left);
    fflush(stderr);
}

/* ---- what came of it ---- */

static void
print_table(const struct sim_sweep *s)
{
    const struct sim_grid *g = s->grid;
    const uint32_t best = sim_sweep_best(s);
    char text[40];
    int width[SIM_AXES_MAX];
    for (uint32_t a = 0; a < g->axis_count; a++) {
        width[a] = (int)strlen(g->axes[a].key);
        for (uint32_t i = 0; i < g->axes[a].count; i++)
            width[a] =
                (int)strlen(g->axes[a].values[i]) > width[a] ? (int)strlen(g->axes[a].values[i]) : width[a];
    }
    printf("%5s", "cell");
    for (uint32_t a = 0; a < g->axis_count; a++)
        printf("  %-*s", width[a], g->axes[a].key);
    printf("  %10s%s\n", sim_metric_name(s->metric), s->targets ? "  to target" : "");
    for (uint32_t i = 0; i < s->count; i++) {
        const struct sim_cell *c = &s->cells[i];
        printf("%5u", i + 1);
        for (uint32_t a = 0; a < g->axis_count; a++)
            printf("  %-*s", width[a], g->axes[a].values[sim_grid_place(g, i, a)]);
        if (c->state != SIM_CELL_DONE) {
            printf("  %s: %s\n", c->state == SIM_CELL_INVALID ? "no valid experiment" : "failed",
                   c->error != NULL ? c->error : "");
            continue;
        }
        printf("  %10s",
               isfinite(sim_cell_metric(s, i)) ? sim_number_text(text, sim_cell_metric(s, i)) : "-");
        if (s->targets)
            printf("  %9s", isnan(c->rounds_to) ? "never" : sim_number_text(text, c->rounds_to));
        printf("%s\n", i == best && s->count > 1 ? "  best" : "");
    }
}

static enum ft_status
print_groups(const struct sim_sweep *s)
{
    struct sim_group *groups = NULL;
    uint32_t count = 0;
    char mean[40], deviation[40];
    enum ft_status st;
    if (sim_grid_seed_axis(s->grid) == UINT32_MAX || s->grid->axes[sim_grid_seed_axis(s->grid)].count < 2)
        return FT_OK;
    FT_TRY(sim_sweep_groups(s, &groups, &count));
    printf("\nover seeds\n");
    for (uint32_t k = 0; k < count; k++) {
        for (uint32_t a = 0; a < s->grid->axis_count; a++)
            if (a != sim_grid_seed_axis(s->grid))
                printf("  %s=%s", s->grid->axes[a].key,
                       s->grid->axes[a].values[sim_grid_place(s->grid, groups[k].first, a)]);
        printf("  %s %s, deviation %s, %u runs\n", sim_metric_name(s->metric),
               isfinite(groups[k].mean) ? sim_number_text(mean, groups[k].mean) : "-",
               isfinite(groups[k].deviation) ? sim_number_text(deviation, groups[k].deviation) : "-",
               groups[k].count);
    }
out:
    ft_free(groups);
    return st;
}

static int
tell(const struct ft_cli *cli, const struct sim_sweep *s)
{
    const int code = s->failed + s->invalid > 0 ? FT_EXIT_FINDINGS : FT_EXIT_OK;
    if (ft_cli_json(cli)) {
        json_t *o = sim_sweep_json(s);
        if (o == NULL)
            return ft_cli_fail(cli, FT_ERR_NOMEM, NULL);
        (void)json_object_set_new(o, "folder", json_string(s->dir));
        const int printed = ft_cli_print_json(o);
        return printed != FT_EXIT_OK ? printed : code;
    }
    print_table(s);
    if (print_groups(s) != FT_OK)
        return FT_EXIT_INTERNAL;
    printf("\n%u cells: %u done, %u failed, %u no valid experiment; tables and plots in %s\n", s->count,
           s->done, s->failed, s->invalid, s->dir);
    return code;
}

static int
list_cells(const struct ft_cli *cli, const struct sim_grid *g)
{
    const uint32_t count = sim_grid_cells(g);
    json_t *all = ft_cli_json(cli) ? json_array() : NULL;
    for (uint32_t i = 0; i < count; i++) {
        json_t *one = all != NULL ? json_object() : NULL;
        if (all == NULL)
            printf("%5u", i + 1);
        for (uint32_t a = 0; a < g->axis_count; a++) {
            const char *value = g->axes[a].values[sim_grid_place(g, i, a)];
            if (all == NULL)
                printf("  %s=%s", g->axes[a].key, value);
            else
                (void)json_object_set_new(one, g->axes[a].key, json_string(value));
        }
        if (all == NULL)
            printf("\n");
        else
            (void)json_array_append_new(all, one);
    }
    return all != NULL ? ft_cli_print_json(json_pack("{s:o}", "cells", all)) : FT_EXIT_OK;
}

/* ---- the grid ---- */

/* Real paths, so that a cell is the same from whatever folder the command is given in. */
static enum ft_status
real_path(char **path, struct ft_error *err)
{
    char *found = realpath(*path, NULL), *copy;
    if (found == NULL)
        return ft_fail(err, errno == ENOENT ? FT_ERR_NOTFOUND : FT_ERR_IO, "%s: %s", *path, strerror(errno));
    copy = ft_strdup(found);
    free(found);
    if (copy == NULL)
        return FT_ERR_NOMEM;
    ft_free(*path);
    *path = copy;
    return FT_OK;
}

static enum ft_status
make_grid(const struct ft_cli *cli, struct sim_grid *grid, struct ft_findings *findings, struct ft_error *err)
{
    const char *file = ft_cli_operand(cli, 0), *metric = ft_cli_text(cli, "metric");
    size_t count;
    const char *const *texts = ft_cli_texts(cli, "grid", &count);
    bool sweep;
    enum ft_status st;

    FT_TRY(sim_grid_is_sweep(file, &sweep, err));
    if (sweep)
        FT_TRY(sim_grid_load(file, grid, findings, err));
    else if ((grid->experiment = ft_strdup(file)) == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(real_path(&grid->experiment, err));
    for (size_t i = 0; i < count; i++)
        FT_TRY(sim_grid_add(grid, texts[i], err));
    texts = ft_cli_texts(cli, "set", &count);
    for (size_t i = 0; i < count; i++)
        FT_TRY(sim_grid_set(grid, texts[i]));
    if (ft_cli_given(cli, "target"))
        grid->target = ft_cli_real(cli, "target", 0);
    for (enum sim_metric m = SIM_ACCURACY; metric != NULL && m <= SIM_LOSS; m++)
        if (strcmp(metric, sim_metric_name(m)) == 0)
            grid->metric = m;
out:
    return st;
}

static char *
folder_of(const struct ft_cli *cli)
{
    const char *file = ft_cli_operand(cli, 0), *slash = strrchr(file, '/'),
               *base = slash != NULL ? slash + 1 : file;
    const char *dot = strrchr(base, '.');
    if (ft_cli_text(cli, "out") != NULL)
        return ft_strdup(ft_cli_text(cli, "out"));
    return ft_asprintf("sweeps/%.*s", (int)(dot != NULL && dot != base ? dot - base : (long)strlen(base)),
                       base);
}

static int
run_grid(struct ft_cli *cli, const struct sim_grid *grid, const char *dir)
{
    const unsigned processors = ft_sim_threads(), cells = sim_grid_cells(grid);
    const unsigned jobs = (unsigned)ft_cli_uint(cli, "jobs", processors < cells ? processors : cells);
    struct bar bar = { .lively = ft_cli_lively(stderr), .begun = now() };
    const struct sim_sweep_options options = {
        .dir = dir,
        .program = "/proc/self/exe",
        .jobs = jobs,
        .threads = (unsigned)ft_cli_uint(cli, "threads", processors > jobs ? processors / jobs : 1),
        .force = ft_cli_flag(cli, "force"),
        .stop = &stop,
        .progress = show,
        .ctx = &bar,
    };
    struct sigaction action = { .sa_handler = on_signal };
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    struct ft_error err = { 0 };
    struct sim_sweep sweep = { 0 };
    enum ft_status st = FT_ERR_NOMEM;
    int code;

    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    if (findings != NULL)
        st = sim_sweep_run(grid, &options, &sweep, findings, &err);
    if (bar.lively)
        fprintf(stderr, "\r\033[K");
    if (st == FT_OK)
        code = tell(cli, &sweep);
    else if (findings != NULL && findings->total > 0)
        code = ft_cli_fail_findings(cli, findings);
    else
        code = ft_cli_fail(cli, st, &err);
    sim_sweep_close(&sweep);
    ft_free(findings);
    return code;
}

int
ft_cmd_sweep(struct ft_cli *cli)
{
    const char *metric = ft_cli_text(cli, "metric");
    struct sim_grid grid = { .target = NAN };
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    struct ft_error err = { 0 };
    char *dir = folder_of(cli);
    enum ft_status st = findings != NULL && dir != NULL ? FT_OK : FT_ERR_NOMEM;
    int code;

    if (metric != NULL && strcmp(metric, "accuracy") != 0 && strcmp(metric, "auc") != 0 &&
        strcmp(metric, "loss") != 0) {
        code = ft_cli_usage(cli, "--metric is '%s', expected accuracy, auc or loss", metric);
        goto out;
    }
    if (st == FT_OK)
        st = make_grid(cli, &grid, findings, &err);
    if (st == FT_OK && grid.axis_count == 0) {
        code = ft_cli_usage(cli, "no grid: give --grid KEY=A,B,C, or a sweep file with a key grid");
        goto out;
    }
    if (st == FT_OK)
        st = sim_grid_check(&grid, &err);
    if (st != FT_OK)
        code = findings != NULL && findings->total > 0 ? ft_cli_fail_findings(cli, findings)
                                                       : ft_cli_fail(cli, st, &err);
    else if (ft_cli_flag(cli, "dry-run"))
        code = list_cells(cli, &grid);
    else
        code = run_grid(cli, &grid, dir);
out:
    sim_grid_clear(&grid);
    ft_free(findings);
    ft_free(dir);
    return code;
}
