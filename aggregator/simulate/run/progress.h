/* One line on a terminal that says how far a run is; nothing anywhere else. */
#ifndef FT_SIMULATE_PROGRESS_H
#define FT_SIMULATE_PROGRESS_H

#include "aggregator/simulate/run/run.h"

struct sim_bar {
    bool lively;               /* stderr is a terminal */
    double shown;              /* clock of the last line */
    struct ft_sim_score score; /* the newest */
};

void sim_bar_open(struct sim_bar *bar);
void sim_bar_show(void *bar, const struct ft_sim_progress *p); /* a struct ft_sim_run_options' progress */
void sim_bar_close(struct sim_bar *bar);                       /* takes the line away */

#endif
