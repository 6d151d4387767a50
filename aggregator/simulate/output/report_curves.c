#include "aggregator/simulate/output/html.h"
#include "aggregator/simulate/output/plot.h"
#include "aggregator/simulate/output/report_parts.h"
#include "common/base/alloc.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

size_t
sim_table_rounds(const struct sim_run *run, bool scored, size_t index[SIM_TABLE_ROUNDS + 1])
{
    size_t there = 0, count = 0, seen = 0;
    for (size_t i = 0; i < run->round_count; i++)
        there += !scored || isfinite(run->rounds[i].loss);
    for (size_t i = 0; i < run->round_count && count <= SIM_TABLE_ROUNDS; i++) {
        if (scored && !isfinite(run->rounds[i].loss))
            continue;
        if (there <= SIM_TABLE_ROUNDS || seen == there - 1 ||
            seen * (SIM_TABLE_ROUNDS - 1) / there != (seen + 1) * (SIM_TABLE_ROUNDS - 1) / there || seen == 0)
            index[count++] = i;
        seen++;
    }
    return count;
}

/* One column of the rounds; free with ft_free. */
static double *
column(const struct sim_run *run, size_t offset, double unit)
{
    double *values = ft_calloc(run->round_count + 1, sizeof *values);
    for (size_t i = 0; values != NULL && i < run->round_count; i++)
        memcpy(&values[i], (const char *)&run->rounds[i] + offset, sizeof *values);
    for (size_t i = 0; values != NULL && unit > 0 && i < run->round_count; i++)
        values[i] /= unit;
    return values;
}

static bool
changes(const double *v, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (isfinite(v[i]) && isfinite(v[0]) && v[i] != v[0])
            return true;
    return false;
}

struct curve {
    const char *title, *y_label, *caption;
    size_t offset;
    const char *levels; /* key of the baselines' values, NULL: none */
    bool from_zero, if_it_changes;
    double unit; /* values are told in it; 0: 1 */
};

static enum ft_status
plot_one(struct ft_buf *out, const struct sim_run *run, const struct curve *c, const double *rounds)
{
    static const char *const kinds[] = { "pooled", "local" };
    static const char *const names[] = { "pooled training", "each client alone (mean)" };
    double *values = column(run, c->offset, c->unit);
    struct sim_level levels[2];
    size_t level_count = 0, there = 0;
    enum ft_status st = values != NULL ? FT_OK : FT_ERR_NOMEM;
    FT_TRY(st);

    for (size_t i = 0; i < run->round_count; i++)
        there += isfinite(values[i]);
    if (there == 0 || (c->if_it_changes && !changes(values, run->round_count)))
        goto out;
    for (unsigned k = 0; c->levels != NULL && k < 2; k++) {
        char path[60];
        (void)snprintf(path, sizeof path, "baselines.%s.%s", kinds[k], c->levels);
        const double y = sim_run_number(run, path);
        if (isfinite(y))
            levels[level_count++] = (struct sim_level){ names[k], y, k + 1 };
    }
    const struct sim_series series = {
        .name = "federated", .x = rounds, .y = values, .count = run->round_count
    };
    FT_TRY(ft_buf_str(out, "<figure>\n"));
    FT_TRY(sim_plot_lines(out, &(struct sim_plot){ .title = c->title,
                                                   .x_label = "round",
                                                   .y_label = c->y_label,
                                                   .series = &series,
                                                   .series_count = 1,
                                                   .levels = levels,
                                                   .level_count = level_count,
                                                   .from_zero = c->from_zero }));
    if (c->caption != NULL)
        FT_TRY(ft_buf_printf(out, "<figcaption>%s</figcaption>\n", c->caption));
    st = ft_buf_str(out, "</figure>\n");
out:
    ft_free(values);
    return st;
}

static enum ft_status
table(struct ft_buf *out, const struct sim_run *run, const struct curve *curves, size_t count, bool scored)
{
    size_t index[SIM_TABLE_ROUNDS + 1];
    const size_t rows = sim_table_rounds(run, scored, index);
    enum ft_status st;
    FT_TRY(ft_buf_printf(
        out,
        "<details><summary>The numbers as a table</summary><div class=\"wide\"><table>\n<caption>%zu of "
        "%zu rounds; all are in rounds.csv</caption>\n<thead><tr>",
        rows, run->round_count));
    FT_TRY(sim_html_heading(out, "round", true));
    for (size_t c = 0; c < count; c++)
        FT_TRY(sim_html_heading(out, curves[c].y_label, true));
    FT_TRY(ft_buf_str(out, "</tr></thead>\n<tbody>\n"));
    for (size_t i = 0; i < rows; i++) {
        FT_TRY(
            ft_buf_printf(out, "<tr><th scope=\"row\" class=\"n\">%.0f</th>", run->rounds[index[i]].round));
        for (size_t c = 0; c < count; c++) {
            double v;
            memcpy(&v, (const char *)&run->rounds[index[i]] + curves[c].offset, sizeof v);
            FT_TRY(sim_html_number(out, curves[c].unit > 0 ? v / curves[c].unit : v));
        }
        FT_TRY(ft_buf_str(out, "</tr>\n"));
    }
    st = ft_buf_str(out, "</tbody></table></div></details>\n");
out:
    return st;
}

static enum ft_status
section(struct ft_buf *out, const struct sim_run *run, const char *title, const struct curve *curves,
        size_t count, bool scored)
{
    double *rounds = column(run, offsetof(struct sim_run_round, round), 1);
    enum ft_status st = rounds != NULL ? FT_OK : FT_ERR_NOMEM;
    FT_TRY(st);
    FT_TRY(ft_buf_printf(out, "<section>\n<h2>%s</h2>\n<div class=\"plots\">\n", title));
    for (size_t c = 0; c < count; c++)
        FT_TRY(plot_one(out, run, &curves[c], rounds));
    FT_TRY(ft_buf_str(out, "</div>\n"));
    FT_TRY(table(out, run, curves, count, scored));
    st = ft_buf_str(out, "</section>\n");
out:
    ft_free(rounds);
    return st;
}

#define AT(member) offsetof(struct sim_run_round, member)

enum ft_status
sim_report_curves(struct ft_buf *out, const struct sim_run *run)
{
    static const struct curve curves[] = {
        { "Accuracy on the test rows", "accuracy", NULL, AT(accuracy), "accuracy", false, false, 0 },
        { "Area under the ROC curve, test rows", "AUC", NULL, AT(auc), "auc", false, false, 0 },
        { "Loss on the test rows", "loss", NULL, AT(loss), "loss", false, false, 0 },
        { "Clients' learning rate", "learning rate", NULL, AT(learning_rate), NULL, true, true, 0 },
    };
    return section(out, run, "How it learns", curves, sizeof curves / sizeof curves[0], true);
}

enum ft_status
sim_report_clients(struct ft_buf *out, const struct sim_run *run)
{
    static const char *const units[] = { "bytes up", "KiB up", "MiB up", "GiB up" };
    struct curve curves[] = {
        { "Clients whose update came", "clients", NULL, AT(came), NULL, true, false, 0 },
        { "Bytes from clients", "MiB up",
          "All contributions of a round: packed words under secure aggregation, else float32.", AT(bytes_up),
          NULL, true, false, 0x1p20 },
        { "Seconds a round", "seconds",
          "Without the evaluation. Wall-clock time of this machine: the one plot that no seed repeats.",
          AT(seconds), NULL, true, false, 0 },
        { "Masking", "mask seconds", "Processor seconds of masking, one client.", AT(mask_seconds), NULL,
          true, true, 0 },
    };
    double most = 0;
    unsigned unit = 0;
    for (size_t k = 0; k < run->round_count; k++)
        most = fmax(most, run->rounds[k].bytes_up);
    for (; most >= 1024 && unit < 3; unit++)
        most /= 1024;
    curves[1].y_label = units[unit];
    curves[1].unit = exp2(10 * unit);
    return section(out, run, "Clients, bytes, time", curves, sizeof curves / sizeof curves[0], false);
}
