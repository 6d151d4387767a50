/* report.html of one run; several are put side by side by compare_report.c. */
#include "aggregator/simulate/output/compare.h"
#include "aggregator/simulate/output/folder.h"
#include "aggregator/simulate/output/html.h"
#include "aggregator/simulate/output/report_parts.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FILES_SHOWN 8

static enum ft_status
card(struct ft_buf *out, const char *value, const char *name)
{
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "<div class=\"card\"><b>"));
    FT_TRY(sim_html_text(out, value));
    FT_TRY(ft_buf_str(out, "</b><span>"));
    FT_TRY(sim_html_text(out, name));
    st = ft_buf_str(out, "</span></div>\n");
out:
    return st;
}

/* A key of the summary for people: "personal_accuracy" as "personal accuracy". */
static void
spaced(char out[60], const char *key)
{
    (void)snprintf(out, 60, "%s", strcmp(key, "auc") == 0 ? "AUC" : key);
    for (char *p = out; *p != '\0'; p++)
        if (*p == '_')
            *p = ' ';
}

static enum ft_status
cards(struct ft_buf *out, const struct sim_run *run)
{
    char text[40], name[60];
    const char *key;
    json_t *value;
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "<div class=\"cards\">\n"));
    json_object_foreach(json_object_get(run->summary, "metrics"), key, value) if (json_is_number(value))
    {
        spaced(name, key);
        FT_TRY(card(out, sim_number_text(text, json_number_value(value)), name));
    }
    FT_TRY(card(out, sim_number_text(text, sim_run_number(run, "rounds")), "rounds"));
    if (isfinite(sim_run_number(run, "target.at"))) {
        const double reached = sim_run_number(run, "rounds_to_target");
        (void)snprintf(name, sizeof name, "rounds to %.20s %.20s", sim_run_text(run, "target.metric"),
                       sim_number_text(text, sim_run_number(run, "target.at")));
        FT_TRY(card(out, isfinite(reached) ? sim_number_text(text, reached) : "not reached", name));
    }
    FT_TRY(card(out, sim_number_text(text, sim_run_number(run, "clients.count")), "clients"));
    FT_TRY(card(out, sim_number_text(text, sim_run_number(run, "parameters")), "parameters"));
    FT_TRY(card(out, sim_number_text(text, round(sim_run_number(run, "clients_per_second"))),
                "clients trained a second"));
    FT_TRY(card(out, sim_seconds_text(text, sim_run_number(run, "seconds")), "in all"));
    FT_TRY(card(out, sim_bytes_text(text, sim_run_number(run, "peak_bytes")), "memory at most"));
    FT_TRY(card(out, sim_bytes_text(text, sim_run_number(run, "bytes_up")), "from clients"));
    st = ft_buf_str(out, "</div>\n");
out:
    return st;
}

static enum ft_status
baseline_row(struct ft_buf *out, const char *name, const json_t *scores, const json_t *metrics)
{
    const char *key;
    json_t *value;
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "<tr>"));
    FT_TRY(sim_html_row_heading(out, name));
    json_object_foreach((json_t *)metrics, key, value)
    {
        if (!json_is_number(value))
            continue;
        const json_t *mine = json_object_get(scores, key);
        FT_TRY(sim_html_number(out, json_is_number(mine) ? json_number_value(mine) : NAN));
    }
    st = ft_buf_str(out, "</tr>\n");
out:
    return st;
}

enum ft_status
sim_report_baselines(struct ft_buf *out, const struct sim_run *run)
{
    const json_t *metrics = json_object_get(run->summary, "metrics");
    json_t *baselines = json_object_get(run->summary, "baselines"), *value;
    const double own = sim_run_number(run, "baselines.local.accuracy_own_mix");
    const char *key;
    char name[80], spaced_name[60];
    enum ft_status st;

    FT_TRY(ft_buf_str(
        out,
        "<section>\n<h2>Beside the baselines</h2>\n<div class=\"wide\"><table>\n<caption>On the test rows. "
        "Pooled: one model of all clients' rows. Local: each client alone, the "
        "mean.</caption>\n<thead><tr>"));
    FT_TRY(sim_html_heading(out, "model", false));
    json_object_foreach((json_t *)metrics, key, value)
    {
        if (!json_is_number(value))
            continue;
        spaced(spaced_name, key);
        FT_TRY(sim_html_heading(out, spaced_name, true));
    }
    FT_TRY(ft_buf_str(out, "</tr></thead>\n<tbody>\n"));
    FT_TRY(baseline_row(out, "federated", metrics, metrics));
    json_object_foreach(baselines, key, value)
    {
        if (!json_is_object(value))
            continue;
        spaced(spaced_name, key);
        (void)snprintf(name, sizeof name, "%s", spaced_name);
        if (json_is_number(json_object_get(value, "clients")))
            (void)snprintf(name, sizeof name, "%s (%lld clients)", spaced_name,
                           (long long)json_integer_value(json_object_get(value, "clients")));
        FT_TRY(baseline_row(out, name, value, metrics));
    }
    FT_TRY(ft_buf_str(out, "</tbody></table></div>\n"));
    if (isfinite(own))
        FT_TRY(ft_buf_printf(
            out, "<p class=\"note\">Local models on their own client's mix of labels: accuracy %.4f.</p>\n",
            own));
    st = ft_buf_str(out, "</section>\n");
out:
    return st;
}

static enum ft_status
fact(struct ft_buf *out, const char *name, const char *value)
{
    enum ft_status st;
    if (value == NULL || *value == '\0')
        return FT_OK;
    FT_TRY(ft_buf_str(out, "<tr>"));
    FT_TRY(sim_html_row_heading(out, name));
    FT_TRY(ft_buf_str(out, "<td><code class=\"long\">"));
    FT_TRY(sim_html_text(out, value));
    st = ft_buf_str(out, "</code></td></tr>\n");
out:
    return st;
}

/* What was read; data.sha256 in the folder has all of many files. */
static enum ft_status
file_facts(struct ft_buf *out, const json_t *files)
{
    enum ft_status st = FT_OK;
    char name[400];
    for (size_t i = 0; i < json_array_size(files) && i < FILES_SHOWN; i++) {
        const json_t *f = json_array_get(files, i);
        const char *path = json_string_value(json_object_get(f, "path"));
        (void)snprintf(name, sizeof name, "SHA-256 of %.380s", path != NULL ? path : "a file");
        FT_TRY(fact(out, name, json_string_value(json_object_get(f, "sha256"))));
    }
    if (json_array_size(files) > FILES_SHOWN)
        FT_TRY(ft_buf_printf(out, "<tr><th scope=\"row\">and</th><td>%zu more files, in data.sha256</td></tr>\n",
                             json_array_size(files) - FILES_SHOWN));
out:
    return st;
}

static enum ft_status
repeat_section(struct ft_buf *out, const struct sim_run *run)
{
    enum ft_status st;
    FT_TRY(ft_buf_str(
        out, "<section>\n<h2>To repeat it</h2>\n<p class=\"lead\">The same experiment, seed and program give "
             "the same model bytes, for any number of threads:</p>\n<pre>fedtill-simulate run "
             "experiment.yaml --out AGAIN\n</pre>\n<div class=\"wide\"><table><tbody>\n"));
    FT_TRY(fact(out, "seed", sim_run_key(run, "seed")));
    FT_TRY(fact(out, "fedtill", sim_run_text(run, "versions.fedtill")));
    FT_TRY(fact(out, "kernel", sim_run_text(run, "versions.kernel")));
    FT_TRY(fact(out, "SHA-256 of the model", sim_run_text(run, "model_sha256")));
    FT_TRY(file_facts(out, json_object_get(json_object_get(run->summary, "data"), "files")));
    FT_TRY(ft_buf_str(
        out,
        "</tbody></table></div>\n</section>\n<section>\n<h2>The experiment as it was resolved</h2>\n<pre>"));
    if (run->yaml.size > 0) {
        FT_TRY(ft_buf_u8((struct ft_buf *)&run->yaml, 0)); /* text for a moment */
        st = sim_html_text(out, (const char *)run->yaml.data);
        ((struct ft_buf *)&run->yaml)->size--;
        FT_TRY(st);
    }
    st = ft_buf_str(out, "</pre>\n</section>\n");
out:
    return st;
}

enum ft_status
sim_report_page(struct ft_buf *out, const struct sim_run *run)
{
    const char *name = sim_run_text(run, "name"), *secure = sim_run_key(run, "secure_sum.kind");
    enum ft_status st;
    FT_TRY(sim_html_begin(out, *name != '\0' ? name : run->label));
    FT_TRY(ft_buf_str(out, "<header>\n<h1>"));
    FT_TRY(sim_html_text(out, *name != '\0' ? name : run->label));
    FT_TRY(ft_buf_str(out, "</h1>\n<p class=\"lead\">"));
    FT_TRY(sim_html_text(out, sim_run_text(run, "algorithm")));
    FT_TRY(ft_buf_str(out, " &#183; "));
    FT_TRY(sim_html_text(out, sim_run_key(run, "model.kind") != NULL ? sim_run_key(run, "model.kind") : ""));
    FT_TRY(ft_buf_str(out, " &#183; data: "));
    FT_TRY(
        sim_html_text(out, sim_run_key(run, "data.source") != NULL ? sim_run_key(run, "data.source") : ""));
    if (secure != NULL) {
        FT_TRY(ft_buf_str(out, " &#183; secure sum: "));
        FT_TRY(sim_html_text(out, secure));
    }
    FT_TRY(ft_buf_str(out, "</p>\n</header>\n"));
    FT_TRY(cards(out, run));
    FT_TRY(sim_report_curves(out, run));
    FT_TRY(sim_report_baselines(out, run));
    FT_TRY(sim_report_privacy(out, run));
    FT_TRY(sim_report_partition(out, run));
    FT_TRY(sim_report_clients(out, run));
    FT_TRY(repeat_section(out, run));
    st = sim_html_end(out);
out:
    return st;
}

enum ft_status
ft_sim_report(const char *const *dirs, size_t count, const char *path, struct ft_error *err)
{
    struct sim_compare compare = { 0 };
    struct ft_buf page = { 0 };
    enum ft_status st;

    FT_TRY(sim_compare_open(dirs, count, 0, NAN, &compare, err));
    if (count == 1)
        FT_TRY(sim_report_page(&page, &compare.runs[0]));
    else
        FT_TRY(sim_compare_page(&compare, NULL, &page));
    st = ft_file_write(path, ft_buf_bytes(&page), 0644, err);
out:
    sim_compare_close(&compare);
    ft_buf_clear(&page);
    return st;
}
