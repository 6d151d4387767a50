/* What a run promises one customer, and what it does not: the summary's words and numbers, nothing else. */
#include "aggregator/simulate/output/html.h"
#include "aggregator/simulate/output/report_parts.h"
#include "common/statement/statement.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static enum ft_status
list_of(struct ft_buf *out, const json_t *privacy, const char *key, const char *heading)
{
    const json_t *list = json_object_get(privacy, key);
    enum ft_status st = FT_OK;
    if (json_array_size(list) == 0)
        return st;
    FT_TRY(ft_buf_printf(out, "<h3>%s</h3>\n<ul>\n", heading));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        FT_TRY(ft_buf_str(out, "<li>"));
        FT_TRY(sim_html_text(out, text != NULL ? text : ""));
        FT_TRY(ft_buf_str(out, "</li>\n"));
    }
    st = ft_buf_str(out, "</ul>\n");
out:
    return st;
}

static enum ft_status
row(struct ft_buf *out, const char *name, const json_t *value)
{
    char text[40];
    enum ft_status st = FT_OK;
    if (!json_is_number(value) && !json_is_string(value))
        return st;
    FT_TRY(ft_buf_str(out, "<tr>"));
    FT_TRY(sim_html_row_heading(out, name));
    if (json_is_string(value)) {
        FT_TRY(sim_html_cell(out, json_string_value(value)));
    } else {
        (void)snprintf(text, sizeof text, "%.6g", json_number_value(value));
        FT_TRY(ft_buf_printf(out, "<td class=\"n\">%s</td>", text));
    }
    st = ft_buf_str(out, "</tr>\n");
out:
    return st;
}

static enum ft_status
numbers(struct ft_buf *out, const json_t *privacy)
{
    const char *unit = json_string_value(json_object_get(privacy, "unit"));
    const bool store = unit != NULL && strcmp(unit, "store") == 0;
    const struct {
        const char *key, *name;
    } rows[] = { { "epsilon_rdp", "epsilon, by RDP" },
                 { "epsilon_pld", "epsilon, by PLD" },
                 { "delta", "delta" },
                 { "unit", "of one" },
                 { "relation", "neighbours" },
                 { "rounds", "rounds that are charged" },
                 { "q", "q, the chance to be in a round" },
                 { "noise_multiplier", "noise multiplier" },
                 { "clip", "clip, the length of one vector" },
                 { "t_min", "shares of noise that count" },
                 { "m_stores", "clients of one customer, at most" },
                 { "customers", store ? "clients with rows" : "customers" },
                 { "n_pub", store ? "clients, each counted as one" : "customers, as declared" } };
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "<div class=\"wide\"><table><tbody>\n"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        FT_TRY(row(out, rows[i].name, json_object_get(privacy, rows[i].key)));
    st = ft_buf_str(out, "</tbody></table></div>\n");
out:
    return st;
}

/* A secure sum hides contributions from the server; it bounds nothing of what the sum tells. */
static enum ft_status
without_noise(struct ft_buf *out, const struct sim_run *run)
{
    const char *kind = sim_run_key(run, "secure_sum.kind"),
               *corrupted = sim_run_key(run, "secure_sum.corrupted");
    const bool masked = kind != NULL && strcmp(kind, "none") != 0;
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "<p>No differential privacy is claimed. Not covered: " FT_STATEMENT_NO_NOISE
                           ".</p>\n<p>"));
    if (!masked) {
        st = ft_buf_str(
            out, "Nor does a secure sum hide the clients' updates from the server (secure_sum: none).</p>\n");
        goto out;
    }
    FT_TRY(ft_buf_str(out, "The server sees sums over clients and no client's own update, while at most "));
    FT_TRY(sim_html_text(out, corrupted != NULL ? corrupted : "1"));
    st = ft_buf_printf(
        out, " of them collude with it%s.</p>\n",
        strcmp(kind, "cost") == 0 ? "; here the masks were left out, and only their cost was counted" : "");
out:
    return st;
}

enum ft_status
sim_report_privacy(struct ft_buf *out, const struct sim_run *run)
{
    const json_t *privacy = json_object_get(run->summary, "privacy");
    enum ft_status st;
    FT_TRY(ft_buf_str(out, "<section>\n<h2>Privacy</h2>\n"));
    if (!json_is_object(privacy)) {
        FT_TRY(without_noise(out, run));
    } else {
        const char *text = json_string_value(json_object_get(privacy, "text"));
        FT_TRY(ft_buf_str(out, "<p>"));
        FT_TRY(sim_html_text(out, text != NULL ? text : ""));
        FT_TRY(ft_buf_str(out, "</p>\n"));
        FT_TRY(numbers(out, privacy));
        FT_TRY(list_of(out, privacy, "covered", "Covered"));
        FT_TRY(list_of(out, privacy, "not_covered", "Not covered"));
        FT_TRY(list_of(out, privacy, "assumptions", "What it rests on"));
    }
    st = ft_buf_str(out, "</section>\n");
out:
    return st;
}
