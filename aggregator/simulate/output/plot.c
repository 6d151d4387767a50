#include "aggregator/simulate/output/plot.h"
#include "aggregator/simulate/output/html.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH    560
#define HEIGHT   320
#define LEFT     64
#define RIGHT    14
#define TOP      34
#define BOTTOM   46
#define STRIPS   (WIDTH - LEFT - RIGHT)
#define DOTS_MAX 60

struct frame {
    double x_low, x_high, y_low, y_high;
    bool log_x;
    double top; /* of the plotting area: legends take room */
};

static double
to_x(const struct frame *f, double v)
{
    return LEFT + (v - f->x_low) / (f->x_high - f->x_low) * STRIPS;
}

static double
to_y(const struct frame *f, double v)
{
    return HEIGHT - BOTTOM - (v - f->y_low) / (f->y_high - f->y_low) * (HEIGHT - BOTTOM - f->top);
}

double
sim_plot_step(double low, double high, int wanted)
{
    const double raw = (high - low) / wanted, power = pow(10, floor(log10(raw))), rest = raw / power;
    return (rest <= 1 ? 1 : rest <= 2 ? 2 : rest <= 2.5 ? 2.5 : rest <= 5 ? 5 : 10) * power;
}

static void
widen(double *low, double *high)
{
    if (!(*low <= *high)) {
        *low = 0;
        *high = 1;
    } else if (!(*high - *low > fabs(*high) * 1e-9)) {
        const double room = *low != 0 ? fabs(*low) * 0.05 : 0.5;
        *low -= room;
        *high += room;
    }
}

static double
x_of(const struct frame *f, const struct sim_series *s, size_t i)
{
    return f->log_x ? (s->x[i] > 0 ? log10(s->x[i]) : NAN) : s->x[i];
}

static void
take(double v, double *low, double *high)
{
    if (isfinite(v)) {
        *low = fmin(*low, v);
        *high = fmax(*high, v);
    }
}

static struct frame
frame_of(const struct sim_plot *p)
{
    struct frame f = { INFINITY, -INFINITY, INFINITY, -INFINITY, p->log_x, TOP };
    double step;
    for (size_t k = 0; k < p->series_count; k++) {
        const struct sim_series *s = &p->series[k];
        for (size_t i = 0; i < s->count; i++) {
            if (!isfinite(x_of(&f, s, i)) || !isfinite(s->y[i]))
                continue;
            take(x_of(&f, s, i), &f.x_low, &f.x_high);
            take(s->y[i], &f.y_low, &f.y_high);
            if (s->low != NULL) {
                take(s->low[i], &f.y_low, &f.y_high);
                take(s->high[i], &f.y_low, &f.y_high);
            }
        }
    }
    for (size_t k = 0; k < p->level_count; k++)
        take(p->levels[k].y, &f.y_low, &f.y_high);
    if (p->from_zero)
        take(0, &f.y_low, &f.y_high);
    widen(&f.x_low, &f.x_high);
    widen(&f.y_low, &f.y_high);
    step = sim_plot_step(f.y_low, f.y_high, 5);
    f.y_low = floor(f.y_low / step + 1e-9) * step;
    f.y_high = ceil(f.y_high / step - 1e-9) * step;
    f.top =
        TOP +
        17.0 *
            (double)((p->series_count + p->level_count > 1 ? p->series_count + p->level_count + 1 : 0) / 2);
    if (f.top > HEIGHT / 2.0)
        f.top = HEIGHT / 2.0;
    return f;
}

static enum ft_status
begin(struct ft_buf *out, const char *title, const char *description, bool standalone)
{
    enum ft_status st;
    FT_TRY(
        ft_buf_printf(out, "<svg %sviewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"",
                      standalone ? "xmlns=\"http://www.w3.org/2000/svg\" width=\"840\" height=\"480\" " : "",
                      WIDTH, HEIGHT));
    FT_TRY(sim_html_text(out, title));
    FT_TRY(ft_buf_str(out, "\">\n"));
    if (standalone) {
        FT_TRY(ft_buf_str(out, "<style>"));
        FT_TRY(sim_html_text(out, sim_html_style)); /* no character in it needs escaping */
        FT_TRY(
            ft_buf_str(out, "</style>\n<rect width=\"100%\" height=\"100%\" style=\"fill:var(--page)\"/>\n"));
    }
    FT_TRY(ft_buf_str(out, "<desc>"));
    FT_TRY(sim_html_text(out, description));
    FT_TRY(ft_buf_printf(out, "</desc>\n<text x=\"%d\" y=\"16\" style=\"font-weight:600;font-size:13px\">",
                         LEFT));
    FT_TRY(sim_html_text(out, title));
    st = ft_buf_str(out, "</text>\n");
out:
    return st;
}

static enum ft_status
axes(struct ft_buf *out, const struct frame *f, const char *x_label, const char *y_label, bool x_numbers)
{
    const double step = sim_plot_step(f->y_low, f->y_high, 5);
    const double x_step =
        f->log_x ? fmax(1, sim_plot_step(f->x_low, f->x_high, 5)) : sim_plot_step(f->x_low, f->x_high, 6);
    char text[40];
    enum ft_status st = FT_OK;

    for (int i = 0; i < 12 && f->y_low + i * step <= f->y_high + step * 1e-6; i++) {
        const double v = f->y_low + i * step, y = to_y(f, v);
        FT_TRY(ft_buf_printf(
            out,
            "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"soft\" "
            "x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y + 4,
            sim_tick_text(text, fabs(v) < step * 1e-6 ? 0 : v)));
    }
    FT_TRY(ft_buf_printf(out, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n", LEFT,
                         WIDTH - RIGHT, HEIGHT - BOTTOM, HEIGHT - BOTTOM));
    for (int i = 0; x_numbers && i < 14; i++) {
        const double v = (ceil(f->x_low / x_step - 1e-9) + i) * x_step;
        if (v > f->x_high + x_step * 1e-6)
            break;
        FT_TRY(ft_buf_printf(out,
                             "<text class=\"soft\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                             to_x(f, v), HEIGHT - BOTTOM + 17,
                             sim_tick_text(text, f->log_x                  ? pow(10, v)
                                                   : fabs(v) < x_step * 1e-6 ? 0
                                                                             : v)));
    }
    FT_TRY(
        ft_buf_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", LEFT + STRIPS / 2, HEIGHT - 8));
    FT_TRY(sim_html_text(out, x_label));
    FT_TRY(ft_buf_printf(
        out, "</text>\n<text x=\"14\" y=\"%.0f\" text-anchor=\"middle\" transform=\"rotate(-90 14 %.0f)\">",
        (f->top + HEIGHT - BOTTOM) / 2, (f->top + HEIGHT - BOTTOM) / 2));
    FT_TRY(sim_html_text(out, y_label));
    st = ft_buf_str(out, "</text>\n");
out:
    return st;
}

/* Two columns above the plot. */
static enum ft_status
legend(struct ft_buf *out, size_t place, const char *name, unsigned colour, bool level)
{
    const double x = LEFT + (double)(place % 2) * (STRIPS / 2.0), y = 32 + 17.0 * (double)(place / 2);
    enum ft_status st;
    if (y > HEIGHT / 2.0 - 4)
        return FT_OK; /* the table beside the plot has them all */
    FT_TRY(ft_buf_printf(
        out,
        "<line class=\"%s c%u d%u\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.0f\" y2=\"%.0f\"/><text x=\"%.0f\" "
        "y=\"%.0f\">",
        level ? "mark" : "curve", colour % 8, colour / 8 % 4, x, x + 22, y - 4, y - 4, x + 27, y));
    FT_TRY(sim_html_text(out, name));
    st = ft_buf_str(out, "</text>\n");
out:
    return st;
}

/* The least and the most of each strip, in order; all of them when there are few. `point` is told where. */
static enum ft_status
each_point(const struct frame *f, const struct sim_series *s, const double *y,
           enum ft_status (*point)(struct ft_buf *out, double x, double y, bool first), struct ft_buf *out)
{
    bool first = true;
    enum ft_status st = FT_OK;
    const bool thin = s->count > 2 * STRIPS;

    for (size_t i = 0; i < s->count;) {
        size_t low = i, high = i, end = i;
        const double x = x_of(f, s, i);
        if (!isfinite(x) || !isfinite(y[i])) {
            i++;
            continue;
        }
        for (; end < s->count && (end == i || (thin && floor(to_x(f, x_of(f, s, end))) <= floor(to_x(f, x))));
             end++) {
            if (isfinite(y[end]) && y[end] < y[low])
                low = end;
            if (isfinite(y[end]) && y[end] > y[high])
                high = end;
        }
        for (int k = 0; k < 2; k++) {
            const size_t at = (k == 0) == (low < high) ? low : high;
            if (k == 1 && low == high)
                break;
            FT_TRY(point(out, to_x(f, x_of(f, s, at)), to_y(f, y[at]), first));
            first = false;
        }
        i = end;
    }
out:
    return st;
}

static enum ft_status
path_point(struct ft_buf *out, double x, double y, bool first)
{
    return ft_buf_printf(out, "%s%.1f %.1f", first ? "M" : "L", x, y);
}

static enum ft_status
band(struct ft_buf *out, const struct frame *f, const struct sim_series *s)
{
    bool first = true;
    enum ft_status st;
    FT_TRY(ft_buf_printf(out, "<path class=\"band c%u\" d=\"", s->colour % 8));
    for (size_t i = 0; i < s->count; i++)
        if (isfinite(x_of(f, s, i)) && isfinite(s->high[i]) && isfinite(s->low[i])) {
            FT_TRY(path_point(out, to_x(f, x_of(f, s, i)), to_y(f, s->high[i]), first));
            first = false;
        }
    for (size_t i = s->count; i-- > 0;)
        if (isfinite(x_of(f, s, i)) && isfinite(s->high[i]) && isfinite(s->low[i]))
            FT_TRY(path_point(out, to_x(f, x_of(f, s, i)), to_y(f, s->low[i]), false));
    st = ft_buf_str(out, first ? "\"/>\n" : "Z\"/>\n");
out:
    return st;
}

static enum ft_status
dots(struct ft_buf *out, const struct frame *f, const struct sim_series *s)
{
    char x[40], y[40];
    enum ft_status st = FT_OK;
    const size_t every = (s->count + DOTS_MAX - 1) / DOTS_MAX;
    for (size_t i = 0; i < s->count; i++) {
        if (!isfinite(x_of(f, s, i)) || !isfinite(s->y[i]) || (i % every != 0 && i + 1 != s->count))
            continue;
        FT_TRY(ft_buf_printf(out, "<circle class=\"dot c%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"><title>",
                             s->colour % 8, to_x(f, x_of(f, s, i)), to_y(f, s->y[i])));
        FT_TRY(sim_html_text(out, s->name));
        FT_TRY(ft_buf_printf(out, ": %s at %s</title></circle>\n", sim_number_text(y, s->y[i]),
                             sim_number_text(x, s->x[i])));
    }
out:
    return st;
}

static enum ft_status
one_series(struct ft_buf *out, const struct frame *f, const struct sim_series *s, bool with_dots)
{
    enum ft_status st = FT_OK;
    if (s->low != NULL)
        FT_TRY(band(out, f, s));
    FT_TRY(ft_buf_printf(out, "<path class=\"curve c%u d%u\" d=\"", s->colour % 8, s->colour / 8 % 4));
    FT_TRY(each_point(f, s, s->y, path_point, out));
    FT_TRY(ft_buf_str(out, "\"/>\n"));
    if (with_dots || s->count <= DOTS_MAX)
        st = dots(out, f, s);
out:
    return st;
}

enum ft_status
sim_plot_lines(struct ft_buf *out, const struct sim_plot *p)
{
    const struct frame f = frame_of(p);
    char description[300];
    size_t place = 0;
    enum ft_status st;

    (void)snprintf(description, sizeof description, "%s by %s. The numbers are in the table.", p->y_label,
                   p->x_label);
    FT_TRY(begin(out, p->title, p->description != NULL ? p->description : description, p->standalone));
    FT_TRY(axes(out, &f, p->x_label, p->y_label, true));
    for (size_t k = 0; k < p->level_count; k++)
        if (isfinite(p->levels[k].y)) {
            const double y = to_y(&f, p->levels[k].y);
            FT_TRY(ft_buf_printf(out,
                                 "<line class=\"mark c%u\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                                 p->levels[k].colour % 8, LEFT, WIDTH - RIGHT, y, y));
        }
    for (size_t k = 0; k < p->series_count; k++)
        FT_TRY(one_series(out, &f, &p->series[k], p->dots));
    for (size_t k = 0; p->series_count + p->level_count > 1 && k < p->series_count; k++)
        FT_TRY(legend(out, place++, p->series[k].name, p->series[k].colour, false));
    for (size_t k = 0; k < p->level_count; k++)
        if (isfinite(p->levels[k].y))
            FT_TRY(legend(out, place++, p->levels[k].name, p->levels[k].colour, true));
    st = ft_buf_str(out, "</svg>\n");
out:
    return st;
}

static enum ft_status
bar_names(struct ft_buf *out, const struct sim_bars *b, double width)
{
    enum ft_status st = FT_OK;
    const size_t every = b->bars / 12 + 1;
    for (size_t i = 0; b->names != NULL && i < b->bars; i += every) {
        FT_TRY(ft_buf_printf(
            out, "<text class=\"soft\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" style=\"font-size:10px\">",
            LEFT + ((double)i + 0.5) * width, HEIGHT - BOTTOM + 15));
        FT_TRY(sim_html_text(out, b->names[i]));
        FT_TRY(ft_buf_str(out, "</text>\n"));
    }
out:
    return st;
}

enum ft_status
sim_plot_bars(struct ft_buf *out, const struct sim_bars *b)
{
    struct frame f = { 0, 1, 0, 0, false, TOP };
    const double width = (double)STRIPS / (double)(b->bars > 0 ? b->bars : 1), gap = width > 6 ? 1 : 0;
    char text[40], description[300];
    enum ft_status st;

    for (size_t i = 0; i < b->bars; i++) {
        double sum = 0;
        for (size_t p = 0; p < b->parts; p++)
            sum += b->values[i * b->parts + p];
        f.y_high = fmax(f.y_high, sum);
    }
    widen(&f.y_low, &f.y_high);
    f.y_low = 0;
    f.y_high = ceil(f.y_high / sim_plot_step(0, f.y_high, 5) - 1e-9) * sim_plot_step(0, f.y_high, 5);
    (void)snprintf(description, sizeof description, "%s by %s. The numbers are in the table.", b->y_label,
                   b->x_label);
    FT_TRY(begin(out, b->title, description, b->standalone));
    FT_TRY(axes(out, &f, b->x_label, b->y_label, false));
    for (size_t i = 0; i < b->bars; i++) {
        double base = 0;
        for (size_t p = 0; p < b->parts; p++) {
            const double v = b->values[i * b->parts + p];
            if (!(v > 0))
                continue;
            FT_TRY(ft_buf_printf(
                out,
                "<rect class=\"bar c%zu\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"%s><title>",
                p % 8, LEFT + (double)i * width + gap / 2, to_y(&f, base + v), width - gap,
                to_y(&f, base) - to_y(&f, base + v), p / 8 % 2 == 1 ? " opacity=\"0.55\"" : ""));
            if (b->names != NULL) {
                FT_TRY(sim_html_text(out, b->names[i]));
                FT_TRY(ft_buf_str(out, ", "));
            }
            if (b->part_names != NULL) {
                FT_TRY(sim_html_text(out, b->part_names[p]));
                FT_TRY(ft_buf_str(out, ": "));
            }
            FT_TRY(ft_buf_printf(out, "%s</title></rect>\n", sim_number_text(text, v)));
            base += v;
        }
    }
    FT_TRY(bar_names(out, b, width));
    st = ft_buf_str(out, "</svg>\n");
out:
    return st;
}
