#include "aggregator/export/statistics_text.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BAR_MAX 40

static double
real_of(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static bool
hidden(const json_t *estimate)
{
    return json_is_true(json_object_get(estimate, "withheld"));
}

/* "12.31", with as many digits as say something. */
static const char *
digits(double v, char out[32])
{
    snprintf(out, 32, fabs(v) >= 1000 ? "%.0f" : "%.4g", v);
    return out;
}

/* Without noise the ends say how finely it was measured, and nothing else. */
static enum ft_status
put_value(struct ft_buf *out, const char *title, const json_t *e, bool noisy)
{
    const double value = real_of(e, "value"), low = real_of(e, "low"), high = real_of(e, "high");
    char a[32], b[32], c[32];

    if (hidden(e))
        return ft_buf_printf(out, "  %-16s withheld: about too few\n", title);
    digits(low, b);
    digits(high, c);
    if (isnan(value))
        return ft_buf_printf(out, "  %-16s the noise leaves it open: %s to %s\n", title, b, c);
    if (low == value && high == value)
        return ft_buf_printf(out, "  %-16s %s\n", title, digits(value, a));
    return ft_buf_printf(out, "  %-16s %-12s %s%s to %s\n", title, digits(value, a),
                         noisy ? "95% interval " : "known to lie in ", b, c);
}

static double
largest(const json_t *cells)
{
    double most = 0;
    for (size_t i = 0; i < json_array_size(cells); i++)
        most = fmax(most, real_of(json_object_get(json_array_get(cells, i), "count"), "value"));
    return most;
}

/* "[0, 2)", "[50, 100]" */
static void
put_range(const json_t *cell, const char *from, const char *to, bool last, char out[72])
{
    char a[32], b[32];
    snprintf(out, 72, "[%s, %s%c", digits(real_of(cell, from), a), digits(real_of(cell, to), b),
             last ? ']' : ')');
}

static enum ft_status
put_cells(struct ft_buf *out, const json_t *cells, bool cross)
{
    const double most = largest(cells);
    const json_t *end = json_array_get(cells, json_array_size(cells) - 1);
    enum ft_status st = FT_OK;

    for (size_t i = 0; i < json_array_size(cells); i++) {
        const json_t *cell = json_array_get(cells, i), *count = json_object_get(cell, "count");
        const double value = real_of(count, "value");
        char range[72], with[72] = "", number[32], low[32], high[32], bar[BAR_MAX + 1] = "";
        put_range(cell, "from", "to", real_of(cell, "to") == real_of(end, "to"), range);
        if (cross)
            put_range(cell, "with_from", "with_to", real_of(cell, "with_to") == real_of(end, "with_to"),
                      with);
        if (hidden(count)) {
            FT_TRY(ft_buf_printf(out, "  %-18s %-18s %10s\n", range, with, "withheld"));
            continue;
        }
        if (most > 0)
            memset(bar, '#', (size_t)lrint(BAR_MAX * fmin(1, value / most)));
        if (real_of(count, "low") == real_of(count, "high"))
            FT_TRY(ft_buf_printf(out, "  %-18s %-18s %10s  %s\n", range, with, digits(value, number), bar));
        else
            FT_TRY(ft_buf_printf(out, "  %-18s %-18s %10s  (%s to %s)  %s\n", range, with,
                                 digits(value, number), digits(real_of(count, "low"), low),
                                 digits(real_of(count, "high"), high), bar));
    }
out:
    return st;
}

static enum ft_status
put_figure(struct ft_buf *out, const json_t *f, bool noisy)
{
    static const char *const moments[] = { "mean", "variance", "deviation" };
    const char *with = json_string_value(json_object_get(f, "with"));
    const json_t *quantiles = json_object_get(f, "quantiles"), *cells = json_object_get(f, "cells");
    char title[32];
    enum ft_status st;

    FT_TRY(ft_buf_printf(out, "\n%s%s%s: %s\n", json_string_value(json_object_get(f, "feature")),
                         with != NULL ? " and " : "", with != NULL ? with : "",
                         json_string_value(json_object_get(f, "measure"))));
    for (size_t i = 0; i < 3; i++)
        if (json_object_get(f, moments[i]) != NULL)
            FT_TRY(put_value(out, moments[i], json_object_get(f, moments[i]), noisy));
    for (size_t i = 0; i < json_array_size(quantiles); i++) {
        const json_t *q = json_array_get(quantiles, i);
        snprintf(title, sizeof title, "quantile %.4g", real_of(q, "at"));
        FT_TRY(put_value(out, title, q, noisy));
    }
    FT_TRY(put_cells(out, cells, with != NULL));
    if (json_is_number(json_object_get(f, "reach")))
        FT_TRY(ft_buf_printf(out, "  a count is off by at most %.0f either way, in 95 of 100 cases\n",
                             ceil(real_of(f, "reach"))));
out:
    return st;
}

static const char *
title_of(const char *unit)
{
    return strcmp(unit, "store") == 0 ? "shops with data" : strcmp(unit, "record") == 0 ? "records" : "customers";
}

enum ft_status
ft_statistics_text(const json_t *figures, struct ft_buf *out)
{
    const json_t *list = json_object_get(figures, "figures"),
                 *count = json_object_get(figures, "count");
    const char *unit = json_string_value(json_object_get(figures, "unit"));
    const bool noisy = json_object_get(count, "noisy") != NULL;
    enum ft_status st;

    FT_TRY(put_value(out, title_of(unit), count, noisy));
    for (size_t i = 0; i < json_array_size(list); i++)
        FT_TRY(put_figure(out, json_array_get(list, i), noisy));
out:
    return st;
}
