#include "aggregator/simulate/output/html.h"
#include "aggregator/simulate/output/plot.h"
#include "aggregator/simulate/output/report_parts.h"
#include "common/base/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define BINS       30
#define SHOWN_MOST 40

static int
compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Rows a client: each client's bar, largest first, when they are few; else how many clients have how many. */
static enum ft_status
rows_plot(struct ft_buf *out, const struct sim_run *run)
{
    double *rows = ft_calloc(run->client_count, sizeof *rows), bins[BINS] = { 0 };
    char names[BINS][40];
    const char *name_list[BINS];
    enum ft_status st = FT_ERR_NOMEM;
    if (rows == NULL)
        goto out;
    for (size_t k = 0; k < run->client_count; k++)
        rows[k] = run->clients[k].rows;
    qsort(rows, run->client_count, sizeof *rows, compare);
    if (run->client_count <= SHOWN_MOST) {
        for (size_t k = 0; k < run->client_count / 2; k++) {
            const double swap = rows[k];
            rows[k] = rows[run->client_count - 1 - k];
            rows[run->client_count - 1 - k] = swap;
        }
        st = sim_plot_bars(out, &(struct sim_bars){ .title = "Rows of each client",
                                                    .x_label = "clients, largest first",
                                                    .y_label = "train rows",
                                                    .values = rows,
                                                    .bars = run->client_count,
                                                    .parts = 1 });
        goto out;
    }
    if (rows[0] == rows[run->client_count - 1]) {
        char text[40];
        st = ft_buf_printf(out, "<p>Every client has %s rows.</p>\n", sim_number_text(text, rows[0]));
        goto out;
    }
    const double low = rows[0], high = rows[run->client_count - 1];
    const size_t count = high > low ? (high - low + 1 < BINS ? (size_t)(high - low) + 1 : BINS) : 1;
    const double width = (high - low + 1) / (double)count;
    for (size_t k = 0; k < run->client_count; k++) {
        const size_t bin = (size_t)((rows[k] - low) / width);
        bins[bin < count ? bin : count - 1]++;
    }
    for (size_t b = 0; b < count; b++) {
        (void)sim_number_text(names[b], floor(low + (double)b * width));
        name_list[b] = names[b];
    }
    st = sim_plot_bars(out, &(struct sim_bars){ .title = "How many rows clients have",
                                                .x_label = "train rows of a client, from",
                                                .y_label = "clients",
                                                .names = name_list,
                                                .values = bins,
                                                .bars = count,
                                                .parts = 1 });
out:
    ft_free(rows);
    return st;
}

/* Which clients to show: all, or SHOWN_MOST of them evenly. */
static size_t
shown(const struct sim_run *run, size_t k)
{
    return run->client_count <= SHOWN_MOST ? k : k * run->client_count / SHOWN_MOST;
}

static enum ft_status
labels_plot(struct ft_buf *out, const struct sim_run *run, size_t count)
{
    const size_t labels = run->label_count;
    double *shares = ft_calloc(count * labels, sizeof *shares);
    char(*names)[40] = ft_calloc(count + labels, sizeof *names);
    const char **list = ft_calloc(count + labels, sizeof *list);
    enum ft_status st = FT_ERR_NOMEM;
    if (shares == NULL || names == NULL || list == NULL)
        goto out;
    for (size_t k = 0; k < count; k++) {
        const size_t client = shown(run, k);
        for (size_t c = 0; c < labels && run->clients[client].rows > 0; c++)
            shares[k * labels + c] = run->labels[client * labels + c] / run->clients[client].rows;
        (void)snprintf(names[k], sizeof names[k], "%zu", client);
        list[k] = names[k];
    }
    for (size_t c = 0; c < labels; c++) {
        (void)snprintf(names[count + c], sizeof names[0], "label %zu", c);
        list[count + c] = names[count + c];
    }
    FT_TRY(sim_plot_bars(out, &(struct sim_bars){ .title = "Labels of each client",
                                                  .x_label = "client",
                                                  .y_label = "share of its rows",
                                                  .names = list,
                                                  .values = shares,
                                                  .part_names = list + count,
                                                  .bars = count,
                                                  .parts = labels }));
    FT_TRY(ft_buf_str(out, "<figcaption>"));
    for (size_t c = 0; c < labels && c < 16; c++)
        FT_TRY(ft_buf_printf(out, "<span class=\"swatch c%zu\"%s></span>%zu &#160; ", c % 8,
                             c / 8 % 2 == 1 ? " style=\"opacity:.55\"" : "", c));
    st = ft_buf_printf(out, "%s</figcaption>\n",
                       count < run->client_count ? "every so many-th client is shown" : "");
out:
    ft_free(shares);
    ft_free(names);
    ft_free(list);
    return st;
}

static enum ft_status
clients_table(struct ft_buf *out, const struct sim_run *run, size_t count)
{
    char text[40];
    enum ft_status st;
    FT_TRY(ft_buf_printf(
        out,
        "<details><summary>The numbers as a table</summary><div class=\"wide\"><table>\n<caption>%zu of "
        "%zu clients; all are in partition.csv</caption>\n<thead><tr>",
        count, run->client_count));
    FT_TRY(sim_html_heading(out, "client", false));
    FT_TRY(sim_html_heading(out, "rows", true));
    for (size_t c = 0; c < run->label_count; c++) {
        (void)snprintf(text, sizeof text, "label %zu", c);
        FT_TRY(sim_html_heading(out, text, true));
    }
    FT_TRY(ft_buf_str(out, "</tr></thead>\n<tbody>\n"));
    for (size_t k = 0; k < count; k++) {
        const size_t client = shown(run, k);
        (void)snprintf(text, sizeof text, "%zu", client);
        FT_TRY(ft_buf_str(out, "<tr>"));
        FT_TRY(
            sim_html_row_heading(out, run->clients[client].name != NULL ? run->clients[client].name : text));
        FT_TRY(sim_html_number(out, run->clients[client].rows));
        for (size_t c = 0; c < run->label_count; c++)
            FT_TRY(sim_html_number(out, run->labels[client * run->label_count + c]));
        FT_TRY(ft_buf_str(out, "</tr>\n"));
    }
    st = ft_buf_str(out, "</tbody></table></div></details>\n");
out:
    return st;
}

static enum ft_status
spread_table(struct ft_buf *out, const struct sim_run *run)
{
    static const struct {
        const char *name, *path;
    } lines[] = {
        { "clients", "clients.count" },
        { "train rows", "data.train_rows" },
        { "test rows", "data.test_rows" },
        { "rows of the smallest client", "clients.rows_least" },
        { "rows of the median client", "clients.rows_median" },
        { "rows of the largest client", "clients.rows_most" },
        { "different labels a client has, on average", "clients.classes_mean" },
        { "distance of a client's labels from all (total variation, 0 to 1, mean)",
          "clients.label_distance" },
    };
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "<table><tbody>\n"));
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const double v = sim_run_number(run, lines[i].path);
        if (!isfinite(v))
            continue;
        FT_TRY(ft_buf_str(out, "<tr>"));
        FT_TRY(sim_html_row_heading(out, lines[i].name));
        FT_TRY(sim_html_number(out, v));
        FT_TRY(ft_buf_str(out, "</tr>\n"));
    }
    st = ft_buf_str(out, "</tbody></table>\n");
out:
    return st;
}

enum ft_status
sim_report_partition(struct ft_buf *out, const struct sim_run *run)
{
    const size_t count = run->client_count < SHOWN_MOST ? run->client_count : (size_t)SHOWN_MOST;
    const char *kind = sim_run_key(run, "partition.kind");
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "<section>\n<h2>Who has which rows</h2>\n<p class=\"lead\">"));
    FT_TRY(ft_buf_str(out, "Partition: <code>"));
    FT_TRY(sim_html_text(out, kind != NULL ? kind : "?"));
    FT_TRY(ft_buf_str(out, "</code>. Every train row has exactly one owner.</p>\n"));
    FT_TRY(spread_table(out, run));
    if (count > 0) {
        FT_TRY(ft_buf_str(out, "<div class=\"plots\">\n<figure>\n"));
        FT_TRY(rows_plot(out, run));
        FT_TRY(ft_buf_str(out, "</figure>\n"));
        if (run->label_count > 0) {
            FT_TRY(ft_buf_str(out, "<figure>\n"));
            FT_TRY(labels_plot(out, run, count));
            FT_TRY(ft_buf_str(out, "</figure>\n"));
        }
        FT_TRY(ft_buf_str(out, "</div>\n"));
        FT_TRY(clients_table(out, run, count));
    }
    st = ft_buf_str(out, "</section>\n");
out:
    return st;
}
