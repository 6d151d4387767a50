/*
 * A metric and the rounds until it reaches a target, as McMahan et al. 2017 (section 3) count them: the curve
 * is made monotone (the best so far) and read between two scored rounds by a straight line. One rule for runs
 * that stop there, for sweeps and for comparisons.
 */
#ifndef FT_SIMULATE_TARGET_H
#define FT_SIMULATE_TARGET_H

#include <stdbool.h>

/* What a run is judged by, on the test rows. */
enum sim_metric { SIM_ACCURACY = 1, SIM_AUC, SIM_LOSS };
const char *sim_metric_name(enum sim_metric metric); /* "accuracy" */

/* How far the curve is from the target. */
struct sim_reach {
    double best;      /* so far, larger is better; -INFINITY before the first score */
    double round;     /* the newest scored; 0 before the first */
    double rounds_to; /* NAN until the target is reached */
};
void sim_reach_begin(struct sim_reach *reach);
/* The next scored round, in order; NAN scores are passed over. True once the target is reached (a loss: at
 * most it; else at least). */
bool sim_reach_add(struct sim_reach *reach, enum sim_metric metric, double target, double round,
                   double value);

#endif
