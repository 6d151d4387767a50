/*
 * A grid of experiments: one base experiment, and lists of values for some of its keys. A sweep file:
 *
 *   experiment: base.yaml                     # relative to this file
 *   set: ["training.rounds=50"]               # for every cell; may be left out
 *   grid:
 *     algorithm.name: [fedavg, fedadam]
 *     training.learning_rate: [0.01, 0.1]
 *     model.hidden: ["[200, 200]", "[100]"]   # lists in quotes
 *     seed: [1, 2, 3]                         # repetitions: results are also told as mean and deviation over
 * seeds metric: accuracy                          # accuracy, auc or loss; default: what the runs have
 *   target: 0.85                              # also: rounds until the metric reaches it
 *
 * The first key changes slowest. A cell is its resolved experiment: that names its folder, so that finished
 * cells stay finished when the grid grows, and none is taken for another when the experiment changes.
 */
#ifndef FT_SIMULATE_GRID_H
#define FT_SIMULATE_GRID_H

#include "aggregator/simulate/output/run_files.h"
#include "common/base/findings.h"

#define SIM_AXES_MAX  16
#define SIM_CELLS_MAX 10000

struct sim_axis {
    char *key;
    char **values;
    uint32_t count;
};

struct sim_grid {
    char *experiment; /* its file */
    char **sets;
    uint32_t set_count;
    struct sim_axis *axes;
    uint32_t axis_count;
    uint32_t metric; /* enum sim_metric; 0: what the runs have */
    double target;   /* NAN: none */
};

/* Is this a sweep file (it has a key `grid` or `experiment`) or an experiment? Errors: as ft_file_read,
 * FORMAT. */
FT_NODISCARD enum ft_status sim_grid_is_sweep(const char *path, bool *sweep, struct ft_error *err);

/* Read a sweep file. Errors: CONFIG (findings), NOTFOUND, NOMEM. Clear *out. */
FT_NODISCARD enum ft_status sim_grid_load(const char *path, struct sim_grid *out,
                                          struct ft_findings *findings, struct ft_error *err);
/* "KEY=A,B,C": an axis added, or the axis of that key replaced. Commas within brackets or quotes do not part
 * values. Errors: CONFIG (form), NOMEM. */
FT_NODISCARD enum ft_status sim_grid_add(struct sim_grid *grid, const char *text, struct ft_error *err);
FT_NODISCARD enum ft_status sim_grid_set(struct sim_grid *grid, const char *assignment); /* for every cell */
/* Sizes and twice-given values. Errors: CONFIG. */
FT_NODISCARD enum ft_status sim_grid_check(const struct sim_grid *grid, struct ft_error *err);
void sim_grid_clear(struct sim_grid *grid);

uint32_t sim_grid_cells(const struct sim_grid *grid);
/* Which value of an axis a cell has. */
uint32_t sim_grid_place(const struct sim_grid *grid, uint32_t cell, uint32_t axis);
/* "KEY=VALUE" for every set and axis, (set_count + axis_count) and a NULL; free each and the list. NULL
 * without memory. */
char **sim_grid_sets(const struct sim_grid *grid, uint32_t cell);
void sim_grid_sets_free(char **sets);

#endif
