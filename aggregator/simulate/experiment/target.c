#include "aggregator/simulate/experiment/target.h"

#include <math.h>

const char *
sim_metric_name(enum sim_metric metric)
{
    return metric == SIM_ACCURACY ? "accuracy" : metric == SIM_AUC ? "auc" : "loss";
}

void
sim_reach_begin(struct sim_reach *reach)
{
    *reach = (struct sim_reach){ -INFINITY, 0, NAN };
}

bool
sim_reach_add(struct sim_reach *r, enum sim_metric metric, double target, double round, double value)
{
    const double sign = metric == SIM_LOSS ? -1 : 1, at = sign * value, goal = sign * target;

    if (!isnan(r->rounds_to))
        return true;
    if (isnan(at))
        return false;
    if (at >= goal)
        r->rounds_to =
            isfinite(r->best) ? r->round + (round - r->round) * (goal - r->best) / (at - r->best) : round;
    r->best = fmax(r->best, at);
    r->round = round; /* the monotone curve is flat up to here */
    return !isnan(r->rounds_to);
}
