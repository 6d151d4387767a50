/* A model on rows: the same numbers for any number of threads and processes. */
#ifndef FT_SIMULATE_SCORE_H
#define FT_SIMULATE_SCORE_H

#include "aggregator/simulate/data/dataset.h"
#include "aggregator/simulate/engine/pool.h"
#include "common/model/train.h"

struct ft_sim_score {
    double loss;     /* mean; NAN without rows; of k-means the inertia */
    double accuracy; /* NAN for regressions and k-means */
    double auc;      /* exact; NAN unless binary */
};

/* One model a thread; the processes share the rows unless `alone`. Errors: NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status sim_score(struct sim_pool *pool, struct ft_trainer *const *trainers, const float *params,
                                      const struct ft_sim_part *rows, uint32_t features, bool alone,
                                      struct ft_sim_score *out);

/* Right answers and rows of each class, (classes). For the accuracy on a client's own mix of labels. */
FT_NODISCARD enum ft_status sim_class_hits(struct ft_model *m, const float *params, const struct ft_sim_part *rows,
                                           uint32_t features, double *hits, double *counts);

#endif
