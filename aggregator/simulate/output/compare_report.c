#include "aggregator/simulate/output/compare.h"
#include "aggregator/simulate/output/html.h"
#include "aggregator/simulate/output/plot.h"
#include "common/base/alloc.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define CURVES_MAX 24 /* more lines are no plot */

/* ---- the table ---- */

static enum ft_status
table_head(const struct sim_compare *c, struct ft_buf *out)
{
    enum ft_status st;
    char text[80], value[40];
    FT_TRY(ft_buf_str(out, "<section>\n<h2>What they reach</h2>\n<div class=\"wide\"><table>\n<thead><tr>"));
    FT_TRY(sim_html_heading(out, "run", false));
    FT_TRY(sim_html_heading(out, "algorithm", false));
    FT_TRY(sim_html_heading(out, sim_metric_name(c->metric), true));
    if (c->metric != SIM_LOSS)
        FT_TRY(sim_html_heading(out, "loss", true));
    FT_TRY(sim_html_heading(out, "pooled", true));
    FT_TRY(sim_html_heading(out, "rounds", true));
    if (!isnan(c->target)) {
        (void)snprintf(text, sizeof text, "rounds to %s", sim_number_text(value, c->target));
        FT_TRY(sim_html_heading(out, text, true));
    }
    FT_TRY(sim_html_heading(out, "from clients", true));
    FT_TRY(sim_html_heading(out, "time", true));
    FT_TRY(sim_html_heading(out, "clients/s", true));
    FT_TRY(sim_html_heading(out, "memory", true));
    FT_TRY(sim_html_heading(out, "model", false));
    st = ft_buf_str(out, "</tr></thead>\n<tbody>\n");
out:
    return st;
}

static size_t
best_run(const struct sim_compare *c)
{
    size_t best = 0;
    for (size_t k = 1; k < c->count; k++) {
        const double a = sim_compare_final(c, k), b = sim_compare_final(c, best);
        if (c->metric == SIM_LOSS ? a < b : a > b)
            best = k;
    }
    return best;
}

static enum ft_status
text_number(struct ft_buf *out, const char *text)
{
    return ft_buf_printf(out, "<td class=\"n\">%s</td>", text);
}

static enum ft_status
table_row(const struct sim_compare *c, size_t k, bool best, struct ft_buf *out)
{
    const struct sim_run *run = &c->runs[k];
    char text[40], path[60];
    enum ft_status st;
    FT_TRY(ft_buf_printf(out, "<tr%s><th scope=\"row\"><span class=\"swatch c%zu\"></span>",
                         best ? " class=\"best\"" : "", k % 8));
    FT_TRY(sim_html_text(out, run->label));
    FT_TRY(ft_buf_str(out, "</th>"));
    FT_TRY(sim_html_cell(out, sim_run_text(run, "algorithm")));
    FT_TRY(sim_html_number(out, sim_compare_final(c, k)));
    if (c->metric != SIM_LOSS)
        FT_TRY(sim_html_number(out, sim_run_number(run, "metrics.loss")));
    (void)snprintf(path, sizeof path, "baselines.pooled.%s", sim_metric_name(c->metric));
    FT_TRY(sim_html_number(out, sim_run_number(run, path)));
    FT_TRY(sim_html_number(out, sim_run_number(run, "rounds")));
    if (!isnan(c->target)) {
        const double rounds = sim_compare_rounds_to(c, k);
        FT_TRY(isnan(rounds) ? text_number(out, "not reached") : sim_html_number(out, rounds));
    }
    FT_TRY(text_number(out, sim_bytes_text(text, sim_run_number(run, "bytes_up"))));
    FT_TRY(text_number(out, sim_seconds_text(text, sim_run_number(run, "seconds"))));
    FT_TRY(sim_html_number(out, round(sim_run_number(run, "clients_per_second"))));
    FT_TRY(text_number(out, sim_bytes_text(text, sim_run_number(run, "peak_bytes"))));
    FT_TRY(ft_buf_str(out, "<td><code>"));
    (void)snprintf(text, sizeof text, "%.8s", sim_run_text(run, "model_sha256"));
    FT_TRY(sim_html_text(out, text));
    st = ft_buf_str(out, "</code></td></tr>\n");
out:
    return st;
}

/* ---- in what they differ ---- */

static enum ft_status
differences(const struct sim_compare *c, struct ft_buf *out)
{
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "<section>\n<h2>In what the experiments differ</h2>\n"));
    if (c->differing_count == 0) {
        st = ft_buf_str(out, "<p>In nothing: every key has the same value in all runs.</p>\n</section>\n");
        goto out;
    }
    FT_TRY(ft_buf_str(out, "<div class=\"wide\"><table>\n<thead><tr>"));
    FT_TRY(sim_html_heading(out, "key", false));
    for (size_t k = 0; k < c->count; k++)
        FT_TRY(sim_html_heading(out, c->runs[k].label, false));
    FT_TRY(ft_buf_str(out, "</tr></thead>\n<tbody>\n"));
    for (size_t i = 0; i < c->differing_count; i++) {
        FT_TRY(ft_buf_str(out, "<tr>"));
        FT_TRY(sim_html_row_heading(out, c->differing[i]));
        for (size_t k = 0; k < c->count; k++) {
            const char *value = sim_run_key(&c->runs[k], c->differing[i]);
            FT_TRY(sim_html_cell(out, value != NULL ? value : "\xe2\x80\x93"));
        }
        FT_TRY(ft_buf_str(out, "</tr>\n"));
    }
    st = ft_buf_str(out, "</tbody></table></div>\n</section>\n");
out:
    return st;
}

/* ---- curves ---- */

enum by { BY_ROUND, BY_BYTES, BY_SECONDS };

static enum ft_status
curves(const struct sim_compare *c, enum by by, struct ft_buf *out)
{
    static const char *const labels[] = { "round", "GiB from clients", "seconds" };
    static const char *const what[] = { "by round", "by what clients send", "by time" };
    const size_t count = c->count < CURVES_MAX ? c->count : (size_t)CURVES_MAX;
    struct sim_series *series = ft_calloc(count, sizeof *series);
    double **numbers = ft_calloc(count, sizeof *numbers);
    char title[80];
    enum ft_status st = FT_ERR_NOMEM;
    if (series == NULL || numbers == NULL)
        goto out;
    for (size_t k = 0; k < count; k++) {
        const struct sim_run *run = &c->runs[k];
        double bytes = 0, seconds = 0;
        numbers[k] = ft_calloc(2 * run->round_count + 1, sizeof **numbers);
        if (numbers[k] == NULL)
            goto out;
        for (size_t i = 0; i < run->round_count; i++) {
            const struct sim_run_round *r = &run->rounds[i];
            bytes += isfinite(r->bytes_up) ? r->bytes_up : 0;
            seconds += isfinite(r->seconds) ? r->seconds : 0;
            numbers[k][i] = by == BY_ROUND ? r->round : by == BY_BYTES ? bytes / 0x1p30 : seconds;
            numbers[k][run->round_count + i] = sim_round_metric(r, c->metric);
        }
        series[k] = (struct sim_series){ .name = run->label,
                                         .x = numbers[k],
                                         .y = numbers[k] + run->round_count,
                                         .count = run->round_count,
                                         .colour = (unsigned)k };
    }
    const struct sim_level level = { "target", c->target, 6 };
    (void)snprintf(title, sizeof title, "%s %s", c->metric == SIM_AUC ? "AUC" : sim_metric_name(c->metric),
                   what[by]);
    title[0] = (char)(title[0] >= 'a' ? title[0] - 32 : title[0]);
    FT_TRY(ft_buf_str(out, "<figure>\n"));
    FT_TRY(sim_plot_lines(out, &(struct sim_plot){ .title = title,
                                                   .x_label = labels[by],
                                                   .y_label = sim_metric_name(c->metric),
                                                   .series = series,
                                                   .series_count = count,
                                                   .levels = &level,
                                                   .level_count = (size_t)!isnan(c->target) }));
    st = ft_buf_str(out, "</figure>\n");
out:
    for (size_t k = 0; numbers != NULL && k < count; k++)
        ft_free(numbers[k]);
    ft_free(numbers);
    ft_free(series);
    return st;
}

/* The metric of each run at some twenty rounds. */
static enum ft_status
curve_table(const struct sim_compare *c, struct ft_buf *out)
{
    double last = 0, step;
    enum ft_status st;
    for (size_t k = 0; k < c->count; k++)
        if (c->runs[k].round_count > 0)
            last = fmax(last, c->runs[k].rounds[c->runs[k].round_count - 1].round);
    step = last > 20 ? ceil(last / 20) : 1;
    FT_TRY(ft_buf_printf(
        out,
        "<details><summary>The numbers as a table</summary><div class=\"wide\"><table>\n<caption>%s; the "
        "last scored round up to each</caption>\n<thead><tr>",
        sim_metric_name(c->metric)));
    FT_TRY(sim_html_heading(out, "round", true));
    for (size_t k = 0; k < c->count; k++)
        FT_TRY(sim_html_heading(out, c->runs[k].label, true));
    FT_TRY(ft_buf_str(out, "</tr></thead>\n<tbody>\n"));
    for (double at = step; at < last + step; at += step) {
        FT_TRY(ft_buf_printf(out, "<tr><th scope=\"row\" class=\"n\">%.0f</th>", fmin(at, last)));
        for (size_t k = 0; k < c->count; k++) {
            double v = NAN;
            for (size_t i = 0; i < c->runs[k].round_count && c->runs[k].rounds[i].round <= fmin(at, last);
                 i++)
                if (isfinite(sim_round_metric(&c->runs[k].rounds[i], c->metric)))
                    v = sim_round_metric(&c->runs[k].rounds[i], c->metric);
            FT_TRY(sim_html_number(out, v));
        }
        FT_TRY(ft_buf_str(out, "</tr>\n"));
    }
    st = ft_buf_str(out, "</tbody></table></div></details>\n");
out:
    return st;
}

enum ft_status
sim_compare_page(const struct sim_compare *c, const char *title, struct ft_buf *out)
{
    char made[60];
    enum ft_status st;
    (void)snprintf(made, sizeof made, "%zu runs side by side", c->count);
    FT_TRY(sim_html_begin(out, title != NULL ? title : made));
    FT_TRY(ft_buf_str(out, "<h1>"));
    FT_TRY(sim_html_text(out, title != NULL ? title : made));
    FT_TRY(ft_buf_str(out, "</h1>\n"));
    FT_TRY(table_head(c, out));
    for (size_t k = 0; k < c->count; k++)
        FT_TRY(table_row(c, k, k == best_run(c) && c->count > 1, out));
    FT_TRY(ft_buf_str(out, "</tbody></table></div>\n</section>\n"));
    FT_TRY(differences(c, out));
    FT_TRY(ft_buf_str(out, "<section>\n<h2>How they learn</h2>\n<div class=\"plots\">\n"));
    FT_TRY(curves(c, BY_ROUND, out));
    FT_TRY(curves(c, BY_BYTES, out));
    FT_TRY(curves(c, BY_SECONDS, out));
    FT_TRY(ft_buf_str(out, "</div>\n"));
    if (c->count > CURVES_MAX)
        FT_TRY(ft_buf_printf(out, "<p class=\"note\">The first %d of %zu runs are drawn.</p>\n", CURVES_MAX,
                             c->count));
    FT_TRY(curve_table(c, out));
    FT_TRY(ft_buf_str(out, "</section>\n"));
    st = sim_html_end(out);
out:
    return st;
}
