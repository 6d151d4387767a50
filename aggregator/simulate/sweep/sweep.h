/*
 * Runs the cells of a grid, each in a process of its own (`fedtill-simulate run --resume`), several at a
 * time.
 *
 *   DIR/sweep.yaml     the grid as it was run        DIR/results.csv, results.json   one row a cell, in the
 * grid's order DIR/cells/NAME/    a run's folder                DIR/groups.csv                  mean and
 * deviation over seeds DIR/cells/NAME.log what it said                  DIR/costs.csv seconds, memory: what
 * no seed repeats DIR/sweep.svg, report.html      plots and tables
 *
 * Invariants
 *   1. results, groups and sweep.svg are the same bytes for any number of jobs, and when a sweep was killed
 * and gone on with.
 *   2. A finished cell is never run again; an unfinished one goes on from its last saved state.
 *   3. A cell that fails is told with its reason and stops no other.
 */
#ifndef FT_SIMULATE_SWEEP_H
#define FT_SIMULATE_SWEEP_H

#include "aggregator/simulate/sweep/grid.h"

#include <signal.h>

enum sim_cell_state { SIM_CELL_WAITING, SIM_CELL_RUNNING, SIM_CELL_DONE, SIM_CELL_INVALID, SIM_CELL_FAILED };

struct sim_cell {
    enum sim_cell_state state;
    char *name;         /* of its folder in cells/ */
    char *error;        /* INVALID, FAILED: why */
    int exit;           /* FAILED: the run's exit code, or minus the signal that ended it */
    bool before;        /* finished before this process began */
    uint32_t tries;     /* while another process held its folder */
    double not_before;  /* clock */
    struct sim_run run; /* DONE */
    double rounds_to;   /* NAN: no target, or never */
};

struct sim_sweep {
    const struct sim_grid *grid;
    const char *dir;
    struct sim_cell *cells; /* sim_grid_cells() */
    uint32_t count, done, failed, invalid;
    enum sim_metric metric;
    bool targets; /* cells have rounds_to: of the grid's target, else of each one's own (`stop`) */
};

struct sim_sweep_options {
    const char *dir, *program; /* program: what runs a cell */
    unsigned jobs, threads;    /* threads of each */
    bool force;                /* begin every cell anew */
    const volatile sig_atomic_t *stop;
    void (*progress)(void *ctx, const struct sim_sweep *sweep, unsigned running); /* NULL: quiet */
    void *ctx;
};

/* Check every cell's experiment, run what is not done, read the results. Errors: CONFIG (no cell is a valid
 * experiment, the first one's findings in *findings; the folder is another sweep's), LATER (another process
 * is in the folder), CANCELLED (stopped), IO, FULL, NOMEM. Close *out whatever comes. */
FT_NODISCARD enum ft_status sim_sweep_run(const struct sim_grid *grid,
                                          const struct sim_sweep_options *options, struct sim_sweep *out,
                                          struct ft_findings *findings, struct ft_error *err);
void sim_sweep_close(struct sim_sweep *sweep);

/* results.c: what came of it. */
FT_NODISCARD enum ft_status sim_sweep_write(const struct sim_sweep *sweep, struct ft_error *err);
json_t *sim_sweep_json(const struct sim_sweep *sweep);                /* results.json; NULL without memory */
double sim_cell_metric(const struct sim_sweep *sweep, uint32_t cell); /* NAN unless done */
uint32_t sim_sweep_best(const struct sim_sweep *sweep);               /* UINT32_MAX: none */

/* Cells that differ in nothing but the seed. */
struct sim_group {
    uint32_t first;                      /* its first cell */
    uint32_t count;                      /* finished cells */
    double mean, deviation, least, most; /* of the metric; deviation over n - 1, NAN below two */
};
/* *out, *count: in the grid's order; the caller's. Errors: NOMEM. */
FT_NODISCARD enum ft_status sim_sweep_groups(const struct sim_sweep *sweep, struct sim_group **out,
                                             uint32_t *count);
uint32_t sim_grid_seed_axis(const struct sim_grid *grid); /* UINT32_MAX: none */

/* page.c */
FT_NODISCARD enum ft_status sim_sweep_plot(const struct sim_sweep *sweep, bool standalone,
                                           struct ft_buf *out);
FT_NODISCARD enum ft_status sim_sweep_page(const struct sim_sweep *sweep, struct ft_buf *out);

#endif
