/* A sweep's plot and page. The first key with several numbers is the plot's x axis; seeds are averaged; the
 * other keys make the curves. Without such a key the groups are bars. */
#include "aggregator/simulate/output/html.h"
#include "aggregator/simulate/output/plot.h"
#include "aggregator/simulate/sweep/sweep.h"
#include "common/base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CURVES_MAX 16
#define BARS_MAX   60

static double
value_number(const struct sim_axis *axis, uint32_t i)
{
    char *end;
    const double v = strtod(axis->values[i], &end);
    return *axis->values[i] != '\0' && *end == '\0' && isfinite(v) ? v : NAN;
}

static uint32_t
x_axis(const struct sim_grid *g)
{
    for (uint32_t a = 0; a < g->axis_count; a++) {
        uint32_t numbers = 0;
        for (uint32_t i = 0; i < g->axes[a].count; i++)
            numbers += isfinite(value_number(&g->axes[a], i)) != 0;
        if (numbers == g->axes[a].count && numbers > 1 && strcmp(g->axes[a].key, "seed") != 0)
            return a;
    }
    return UINT32_MAX;
}

/* "fedadam, 0.1": the values of a cell but for the seed and one axis. */
static void
label_of(const struct sim_grid *g, uint32_t cell, uint32_t but, char *out, size_t room)
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t a = 0; a < g->axis_count && used + 1 < room; a++) {
        if (a == but || strcmp(g->axes[a].key, "seed") == 0)
            continue;
        const char *dot = strrchr(g->axes[a].key, '.');
        const int n =
            snprintf(out + used, room - used, "%s%s %s", used > 0 ? ", " : "",
                     dot != NULL ? dot + 1 : g->axes[a].key, g->axes[a].values[sim_grid_place(g, cell, a)]);
        used += n > 0 && (size_t)n < room - used ? (size_t)n : room - used - 1;
    }
}

struct curve {
    char label[120];
    double x[1000], mean[1000], low[1000], high[1000];
    struct sim_series series;
};

static int
by_x(const void *a, const void *b)
{
    const double x = ((const double *)a)[0], y = ((const double *)b)[0];
    return x < y ? -1 : x > y;
}

/* Points in the order of x. */
static void
sort_curve(struct curve *c)
{
    double(*points)[4] = ft_calloc(c->series.count + 1, sizeof *points);
    for (size_t i = 0; points != NULL && i < c->series.count; i++)
        memcpy(points[i], (double[]){ c->x[i], c->mean[i], c->low[i], c->high[i] }, sizeof *points);
    if (points != NULL)
        qsort(points, c->series.count, sizeof *points, by_x);
    for (size_t i = 0; points != NULL && i < c->series.count; i++) {
        c->x[i] = points[i][0];
        c->mean[i] = points[i][1];
        c->low[i] = points[i][2];
        c->high[i] = points[i][3];
    }
    ft_free(points);
}

static enum ft_status
plot_curves(const struct sim_sweep *s, const struct sim_group *groups, uint32_t group_count, uint32_t x,
            bool standalone, struct ft_buf *out)
{
    const struct sim_grid *g = s->grid;
    struct curve *curves = ft_calloc(CURVES_MAX, sizeof *curves);
    struct sim_series series[CURVES_MAX];
    size_t count = 0;
    double low = INFINITY, high = 0;
    char title[160];
    bool seeds = false;
    enum ft_status st = FT_ERR_NOMEM;
    if (curves == NULL)
        return st;
    for (uint32_t k = 0; k < group_count; k++) {
        char label[120];
        size_t c = 0;
        label_of(g, groups[k].first, x, label, sizeof label);
        while (c < count && strcmp(curves[c].label, label) != 0)
            c++;
        if (c == CURVES_MAX || curves[c].series.count == 1000)
            continue;
        if (c == count) {
            memcpy(curves[c].label, label, sizeof label);
            count++;
        }
        struct curve *curve = &curves[c];
        const size_t i = curve->series.count++;
        curve->x[i] = value_number(&g->axes[x], sim_grid_place(g, groups[k].first, x));
        curve->mean[i] = groups[k].mean;
        curve->low[i] = groups[k].least;
        curve->high[i] = groups[k].most;
        low = fmin(low, curve->x[i]);
        high = fmax(high, curve->x[i]);
        seeds = seeds || groups[k].count > 1;
    }
    for (size_t c = 0; c < count; c++) {
        sort_curve(&curves[c]);
        series[c] = (struct sim_series){ .name = curves[c].label,
                                         .x = curves[c].x,
                                         .y = curves[c].mean,
                                         .low = seeds ? curves[c].low : NULL,
                                         .high = seeds ? curves[c].high : NULL,
                                         .count = curves[c].series.count,
                                         .colour = (unsigned)c };
    }
    (void)snprintf(title, sizeof title, "%s by %s%s",
                   s->metric == SIM_AUC ? "AUC" : sim_metric_name(s->metric), g->axes[x].key,
                   seeds ? " (mean, least and most over seeds)" : "");
    const struct sim_level level = { "target", g->target, 6 };
    st = sim_plot_lines(out, &(struct sim_plot){ .title = title,
                                                 .x_label = g->axes[x].key,
                                                 .y_label = sim_metric_name(s->metric),
                                                 .series = series,
                                                 .series_count = count,
                                                 .levels = &level,
                                                 .level_count = (size_t)!isnan(g->target),
                                                 .log_x = low > 0 && high >= 10 * low,
                                                 .dots = true,
                                                 .standalone = standalone });
    ft_free(curves);
    return st;
}

static enum ft_status
plot_bars(const struct sim_sweep *s, const struct sim_group *groups, uint32_t count, bool standalone,
          struct ft_buf *out)
{
    double values[BARS_MAX];
    char names[BARS_MAX][120];
    const char *list[BARS_MAX];
    char title[100];
    const uint32_t shown = count < BARS_MAX ? count : BARS_MAX;
    for (uint32_t k = 0; k < shown; k++) {
        values[k] = isfinite(groups[k].mean) ? groups[k].mean : 0;
        label_of(s->grid, groups[k].first, UINT32_MAX, names[k], sizeof names[k]);
        if (names[k][0] == '\0')
            (void)snprintf(names[k], sizeof names[k], "all seeds");
        const char *space = shown > 1 && strchr(names[k], ',') == NULL ? strchr(names[k], ' ') : NULL;
        list[k] = space != NULL ? space + 1 : names[k];
    }
    (void)snprintf(title, sizeof title, "%s of each%s",
                   s->metric == SIM_AUC ? "AUC" : sim_metric_name(s->metric),
                   sim_grid_seed_axis(s->grid) != UINT32_MAX ? ", mean over seeds" : "");
    return sim_plot_bars(out, &(struct sim_bars){ .title = title,
                                                  .x_label = "cells",
                                                  .y_label = sim_metric_name(s->metric),
                                                  .names = list,
                                                  .values = values,
                                                  .bars = shown,
                                                  .parts = 1,
                                                  .standalone = standalone });
}

enum ft_status
sim_sweep_plot(const struct sim_sweep *s, bool standalone, struct ft_buf *out)
{
    struct sim_group *groups = NULL;
    uint32_t count = 0;
    const uint32_t x = x_axis(s->grid);
    enum ft_status st;
    FT_TRY(sim_sweep_groups(s, &groups, &count));
    if (x != UINT32_MAX)
        st = plot_curves(s, groups, count, x, standalone, out);
    else
        st = plot_bars(s, groups, count, standalone, out);
out:
    ft_free(groups);
    return st;
}

/* ---- tables ---- */

static enum ft_status
value_cells(const struct sim_sweep *s, uint32_t cell, bool seeds, struct ft_buf *out)
{
    enum ft_status st = FT_OK;
    for (uint32_t a = 0; a < s->grid->axis_count; a++)
        if (seeds || strcmp(s->grid->axes[a].key, "seed") != 0)
            FT_TRY(sim_html_cell(out, s->grid->axes[a].values[sim_grid_place(s->grid, cell, a)]));
out:
    return st;
}

static enum ft_status
key_headings(const struct sim_sweep *s, bool seeds, struct ft_buf *out)
{
    enum ft_status st = FT_OK;
    for (uint32_t a = 0; a < s->grid->axis_count; a++)
        if (seeds || strcmp(s->grid->axes[a].key, "seed") != 0)
            FT_TRY(sim_html_heading(out, s->grid->axes[a].key, false));
out:
    return st;
}

static enum ft_status
groups_table(const struct sim_sweep *s, struct ft_buf *out)
{
    struct sim_group *groups = NULL;
    uint32_t count = 0;
    enum ft_status st;
    FT_TRY(sim_sweep_groups(s, &groups, &count));
    FT_TRY(ft_buf_str(out, "<section>\n<h2>Over seeds</h2>\n<div class=\"wide\"><table>\n<thead><tr>"));
    FT_TRY(key_headings(s, false, out));
    FT_TRY(sim_html_heading(out, "runs", true));
    FT_TRY(sim_html_heading(out, "mean", true));
    FT_TRY(sim_html_heading(out, "deviation", true));
    FT_TRY(sim_html_heading(out, "least", true));
    FT_TRY(sim_html_heading(out, "most", true));
    FT_TRY(ft_buf_str(out, "</tr></thead>\n<tbody>\n"));
    for (uint32_t k = 0; k < count; k++) {
        FT_TRY(ft_buf_str(out, "<tr>"));
        FT_TRY(value_cells(s, groups[k].first, false, out));
        FT_TRY(sim_html_number(out, groups[k].count));
        FT_TRY(sim_html_number(out, groups[k].mean));
        FT_TRY(sim_html_number(out, groups[k].deviation));
        FT_TRY(sim_html_number(out, groups[k].least));
        FT_TRY(sim_html_number(out, groups[k].most));
        FT_TRY(ft_buf_str(out, "</tr>\n"));
    }
    st = ft_buf_str(out, "</tbody></table></div>\n</section>\n");
out:
    ft_free(groups);
    return st;
}

/* Why there is no result, across the columns of results. */
static enum ft_status
reason_cells(const struct sim_sweep *s, const struct sim_cell *c, struct ft_buf *out)
{
    enum ft_status st;
    FT_TRY(ft_buf_printf(out, "<td class=\"bad\" colspan=\"%d\">%s: ", s->targets ? 6 : 5,
                         c->state == SIM_CELL_INVALID ? "not a valid experiment" : "failed"));
    FT_TRY(sim_html_text(out, c->error != NULL ? c->error : ""));
    st = ft_buf_str(out, "</td>");
out:
    return st;
}

static enum ft_status
result_cells(const struct sim_sweep *s, uint32_t i, struct ft_buf *out)
{
    const struct sim_cell *c = &s->cells[i];
    char text[40];
    enum ft_status st;
    FT_TRY(sim_html_number(out, sim_cell_metric(s, i)));
    FT_TRY(sim_html_number(out, sim_run_number(&c->run, "metrics.loss")));
    FT_TRY(sim_html_number(out, sim_run_number(&c->run, "rounds")));
    if (s->targets)
        FT_TRY(sim_html_number(out, c->rounds_to));
    FT_TRY(ft_buf_printf(out, "<td class=\"n\">%s</td>",
                         sim_seconds_text(text, sim_run_number(&c->run, "seconds"))));
    /* a name has letters, digits and . _ = , - alone */
    st = ft_buf_printf(out, "<td><a href=\"cells/%s/report.html\">report</a></td>", c->name);
out:
    return st;
}

static enum ft_status
cell_row(const struct sim_sweep *s, uint32_t i, bool best, struct ft_buf *out)
{
    enum ft_status st;
    FT_TRY(ft_buf_printf(out, "<tr%s><th scope=\"row\" class=\"n\">%u</th>", best ? " class=\"best\"" : "",
                         i + 1));
    FT_TRY(value_cells(s, i, true, out));
    if (s->cells[i].state == SIM_CELL_DONE)
        FT_TRY(result_cells(s, i, out));
    else
        FT_TRY(reason_cells(s, &s->cells[i], out));
    st = ft_buf_str(out, "</tr>\n");
out:
    return st;
}

static enum ft_status
cells_table(const struct sim_sweep *s, struct ft_buf *out)
{
    const uint32_t best = sim_sweep_best(s);
    char text[80], value[40];
    enum ft_status st;
    FT_TRY(ft_buf_str(
        out, "<section>\n<h2>Every cell</h2>\n<div class=\"wide\"><table>\n<caption>The best is bold. Times "
             "are this machine's.</caption>\n<thead><tr>"));
    FT_TRY(sim_html_heading(out, "cell", true));
    FT_TRY(key_headings(s, true, out));
    FT_TRY(sim_html_heading(out, sim_metric_name(s->metric), true));
    FT_TRY(sim_html_heading(out, "loss", true));
    FT_TRY(sim_html_heading(out, "rounds", true));
    if (s->targets) {
        (void)snprintf(text, sizeof text, "rounds to %s",
                       isnan(s->grid->target) ? "target" : sim_number_text(value, s->grid->target));
        FT_TRY(sim_html_heading(out, text, true));
    }
    FT_TRY(sim_html_heading(out, "time", true));
    FT_TRY(sim_html_heading(out, "", false));
    FT_TRY(ft_buf_str(out, "</tr></thead>\n<tbody>\n"));
    for (uint32_t i = 0; i < s->count; i++)
        FT_TRY(cell_row(s, i, i == best, out));
    st = ft_buf_str(out, "</tbody></table></div>\n</section>\n");
out:
    return st;
}

enum ft_status
sim_sweep_page(const struct sim_sweep *s, struct ft_buf *out)
{
    const char *slash = strrchr(s->grid->experiment, '/'),
               *file = slash != NULL ? slash + 1 : s->grid->experiment;
    enum ft_status st;
    FT_TRY(sim_html_begin(out, "Sweep"));
    FT_TRY(ft_buf_str(out, "<h1>Sweep of "));
    FT_TRY(sim_html_text(out, file));
    FT_TRY(ft_buf_printf(
        out,
        "</h1>\n<p class=\"lead\">%u cells: %u done, %u failed, %u no valid experiment. Judged by %s.</p>\n",
        s->count, s->done, s->failed, s->invalid, sim_metric_name(s->metric)));
    FT_TRY(ft_buf_str(out, "<figure style=\"max-width:760px\">\n"));
    FT_TRY(sim_sweep_plot(s, false, out));
    FT_TRY(ft_buf_str(out, "</figure>\n"));
    if (sim_grid_seed_axis(s->grid) != UINT32_MAX)
        FT_TRY(groups_table(s, out));
    FT_TRY(cells_table(s, out));
    FT_TRY(ft_buf_str(
        out, "<p class=\"note\">All numbers: results.csv, results.json, groups.csv, costs.csv.</p>\n"));
    st = sim_html_end(out);
out:
    return st;
}
