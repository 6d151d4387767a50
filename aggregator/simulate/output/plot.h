/*
 * Plots as SVG text. Colours come from the page's style (html.h); a standalone file carries the style itself.
 * Each plot says what it shows in <title> and <desc>; points tell their values when pointed at. More points
 * than the width can show are thinned: the least and the most of every strip stay.
 */
#ifndef FT_SIMULATE_PLOT_H
#define FT_SIMULATE_PLOT_H

#include "common/base/buf.h"

struct sim_series {
    const char *name;
    const double *x, *y;      /* (count); a pair with a NAN is passed over */
    const double *low, *high; /* (count) a band around, or NULL */
    size_t count;
    unsigned colour; /* 0 .. ; 8 colours, then dashes */
};

/* A dashed level across the plot: a baseline. */
struct sim_level {
    const char *name;
    double y;
    unsigned colour;
};

struct sim_plot {
    const char *title, *x_label, *y_label;
    const char *description; /* NULL: made from the labels */
    const struct sim_series *series;
    size_t series_count;
    const struct sim_level *levels;
    size_t level_count;
    bool from_zero; /* y begins at zero */
    bool log_x;     /* by powers of ten; x <= 0 is passed over */
    bool dots;      /* a dot at each point */
    bool standalone;
};

FT_NODISCARD enum ft_status sim_plot_lines(struct ft_buf *out, const struct sim_plot *plot);

/* Bars side by side, each cut into parts: bar b has values[b * parts + p]. One part: a histogram. */
struct sim_bars {
    const char *title, *x_label, *y_label;
    const char *const *names;      /* (bars) under each; NULL: none but the first and the last number */
    const double *values;          /* (bars, parts) */
    const char *const *part_names; /* (parts), or NULL with one part */
    size_t bars, parts;
    bool standalone;
};
FT_NODISCARD enum ft_status sim_plot_bars(struct ft_buf *out, const struct sim_bars *bars);

/* About `wanted` round steps between low and high: the step. */
double sim_plot_step(double low, double high, int wanted);

#endif
