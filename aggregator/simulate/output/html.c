#include "aggregator/simulate/output/html.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Length of the UTF-8 character at p, 0 when it is none (overlong forms and surrogates are none). */
static size_t
utf8_size(const unsigned char *p)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const size_t size = p[0] < 0x80                   ? 1
                        : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                        : (p[0] & 0xf0) == 0xe0       ? 3
                        : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                                      : 0;
    uint32_t code = size > 1 ? p[0] & (0xffu >> (size + 1)) : p[0];
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80) /* the end of the text is no continuation either */
            return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    return size > 0 && code >= least[size] && code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000) &&
                   code != 0xfffe && code != 0xffff
               ? size
               : 0;
}

enum ft_status
sim_html_text(struct ft_buf *out, const char *text)
{
    enum ft_status st = FT_OK;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0';) {
        const size_t size = utf8_size(p);
        const char *instead = *p == '<'    ? "&lt;"
                              : *p == '>'  ? "&gt;"
                              : *p == '&'  ? "&amp;"
                              : *p == '"'  ? "&quot;"
                              : *p == '\'' ? "&#39;"
                              : size == 0 || (*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f
                                  ? "\xef\xbf\xbd"
                                  : NULL;
        if (instead != NULL)
            FT_TRY(ft_buf_str(out, instead));
        else
            FT_TRY(ft_buf_append(out, p, size));
        p += size > 0 ? size : 1;
    }
out:
    return st;
}

/* Colours: Okabe and Ito 2008, told apart by colour-blind readers; darker where they meet a light page. */
const char sim_html_style[] =
    ":root{--page:#fff;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--panel:#f6f8fa;"
    "--c0:#0072b2;--c1:#c45000;--c2:#00805b;--c3:#a8457f;--c4:#8a6d00;--c5:#2f7fb8;--c6:#5b5b5b;--c7:#7b3fb5;"
    "color-scheme:light dark}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#0d1117;--ink:#e6edf3;--soft:#9aa4af;--line:#30363d;--"
    "panel:#161b22;"
    "--c0:#56b4e9;--c1:#f0883e;--c2:#2cc295;--c3:#e08dbb;--c4:#e6c229;--c5:#8ecdf0;--c6:#b0b0b0;--c7:#c39bea}"
    "}\n"
    ".c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--"
    "c5)}"
    ".c6{--c:var(--c6)}.c7{--c:var(--c7)}\n"
    "svg text{fill:var(--ink);font:12px system-ui,sans-serif}svg .soft{fill:var(--soft)}svg "
    ".grid{stroke:var(--line);stroke-width:1}"
    "svg .axis{stroke:var(--soft);stroke-width:1}"
    "svg .curve{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round}svg "
    ".band{fill:var(--c);opacity:.18;stroke:none}"
    "svg .mark{stroke:var(--c);stroke-width:1.5;stroke-dasharray:2 4;fill:none}svg .dot{fill:var(--c)}svg "
    ".bar{fill:var(--c)}"
    "svg .d1{stroke-dasharray:7 4}svg .d2{stroke-dasharray:2 3}svg .d3{stroke-dasharray:9 3 2 3}\n";

static const char page_style[] =
    "*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 "
    "system-ui,sans-serif}\n"
    "main{max-width:1120px;margin:0 auto;padding:1.5rem 1rem 4rem}h1{font-size:1.7rem;margin:.2rem "
    "0;overflow-wrap:anywhere}"
    "h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid "
    "var(--line);padding-bottom:.25rem}h3{font-size:1rem;margin:1rem 0 .3rem}\n"
    "p.lead,figcaption,.note{color:var(--soft);margin:.2rem 0}figure{margin:0}figcaption{font-size:.85rem}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.7rem;margin:1rem 0}"
    ".card{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:.6rem .8rem}"
    ".card "
    "b{display:block;font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums;overflow-wrap:"
    "anywhere}.card span{color:var(--soft);font-size:.82rem}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));gap:1.2rem "
    "1.5rem}"
    "svg{width:100%;height:auto;display:block}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.4rem 0}"
    "th,td{text-align:left;padding:.25rem .7rem;border-bottom:1px solid var(--line);vertical-align:top}thead "
    "th{border-bottom:2px solid var(--line);white-space:nowrap}"
    "td.n,th.n{text-align:right;white-space:nowrap}tbody "
    "tr:hover{background:var(--panel)}caption{text-align:left;color:var(--soft);font-size:.85rem}\n"
    "details{margin:.3rem "
    "0}summary{cursor:pointer;color:var(--soft);font-size:.85rem}pre,code{font:13px/1.45 "
    "ui-monospace,monospace}"
    "pre{background:var(--panel);border:1px solid "
    "var(--line);border-radius:8px;padding:.8rem;overflow-x:auto}code.long{overflow-wrap:anywhere}\n"
    ".swatch{display:inline-block;width:.8em;height:.8em;border-radius:2px;background:var(--c);margin-right:."
    "4em}.best{font-weight:700}.bad{color:var(--c1)}\n"
    "@media print{details{display:block}summary{display:none}}\n";

enum ft_status
sim_html_begin(struct ft_buf *out, const char *title)
{
    enum ft_status st;
    FT_TRY(ft_buf_str(out,
                      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                      "'unsafe-inline'; img-src data:\"/>\n<title>"));
    FT_TRY(sim_html_text(out, title));
    FT_TRY(ft_buf_str(out, "</title>\n<style>\n"));
    FT_TRY(ft_buf_str(out, sim_html_style));
    FT_TRY(ft_buf_str(out, page_style));
    st = ft_buf_str(out, "</style>\n</head>\n<body>\n<main>\n");
out:
    return st;
}

enum ft_status
sim_html_end(struct ft_buf *out)
{
    return ft_buf_str(out, "</main>\n</body>\n</html>\n");
}

static enum ft_status
element(struct ft_buf *out, const char *open, const char *text, const char *close)
{
    enum ft_status st;
    FT_TRY(ft_buf_str(out, open));
    FT_TRY(sim_html_text(out, text));
    st = ft_buf_str(out, close);
out:
    return st;
}

enum ft_status
sim_html_heading(struct ft_buf *out, const char *text, bool number)
{
    return element(out, number ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">", text, "</th>");
}

enum ft_status
sim_html_row_heading(struct ft_buf *out, const char *text)
{
    return element(out, "<th scope=\"row\">", text, "</th>");
}

enum ft_status
sim_html_cell(struct ft_buf *out, const char *text)
{
    return element(out, "<td>", text, "</td>");
}

enum ft_status
sim_html_number(struct ft_buf *out, double v)
{
    char text[40];
    return element(out, "<td class=\"n\">", sim_number_text(text, v), "</td>");
}

char *
sim_number_text(char out[40], double v)
{
    char plain[40];
    size_t from = 0, to = 0, whole;

    if (!isfinite(v)) {
        strcpy(out, "\xe2\x80\x93"); /* en dash */
        return out;
    }
    if (fabs(v) >= 1e15 || (fabs(v) < 1e-4 && v != 0)) {
        (void)snprintf(out, 40, "%.4g", v);
        return out;
    }
    (void)snprintf(plain, sizeof plain, "%.*f",
                   fabs(v) >= 1e4 || v == floor(v) ? 0
                   : fabs(v) >= 100                ? 2
                   : fabs(v) >= 10                 ? 3
                   : fabs(v) >= 0.1                ? 4
                                                   : 6,
                   v);
    if (strchr(plain, '.') != NULL) {
        while (plain[strlen(plain) - 1] == '0')
            plain[strlen(plain) - 1] = '\0';
        if (plain[strlen(plain) - 1] == '.')
            plain[strlen(plain) - 1] = '\0';
    }
    whole = strcspn(plain, ".");
    for (; plain[from] != '\0'; from++) { /* thousands */
        out[to++] = plain[from];
        if (plain[from] != '-' && from + 1 < whole && (whole - from - 1) % 3 == 0)
            out[to++] = ',';
    }
    out[to] = '\0';
    return out;
}

char *
sim_tick_text(char out[40], double v)
{
    static const char *const units[] = { "k", "M", "G", "T", "P" };
    int unit = -1;
    if (!(fabs(v) >= 1e5))
        return sim_number_text(out, v);
    for (; fabs(v) >= 1000 && unit < 4; unit++)
        v /= 1000;
    (void)snprintf(out, 40, "%.4g %s", v, units[unit]);
    return out;
}

char *
sim_bytes_text(char out[40], double v)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    int unit = 0;
    if (!isfinite(v))
        return sim_number_text(out, v);
    for (; v >= 1024 && unit < 5; unit++)
        v /= 1024;
    (void)snprintf(out, 40, unit > 0 && v < 100 ? "%.1f %s" : "%.0f %s", v, units[unit]);
    return out;
}

char *
sim_seconds_text(char out[40], double v)
{
    if (!isfinite(v))
        return sim_number_text(out, v);
    if (v < 1)
        (void)snprintf(out, 40, "%.3g s", v);
    else if (v < 120)
        (void)snprintf(out, 40, "%.1f s", v);
    else
        (void)snprintf(out, 40, "%.0f min %02.0f s", floor(v / 60), floor(fmod(v, 60)));
    return out;
}
