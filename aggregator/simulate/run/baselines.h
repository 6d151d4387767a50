/*
 * What federated training is measured against, beside every run:
 *   pooled   one model of all train rows: the optimum of a logistic, linear or Poisson model, else SGD
 *   local    each of the first so many clients trains alone by SGD on its own rows
 * k-means makes the federation's rounds from the same centroids. SGD takes the experiment's batch size and learning rate, momentum 0.9 unless it says otherwise, the rate
 * falling to zero along a half cosine over `evaluation.baseline_epochs`.
 */
#ifndef FT_SIMULATE_BASELINES_H
#define FT_SIMULATE_BASELINES_H

#include "aggregator/simulate/output/folder.h"

struct sim_baselines_job {
    const struct ft_sim_experiment *e;
    const struct ft_sim_data *data;
    const struct ft_sim_clients *clients;
    const struct ft_model_spec *spec;
    struct ft_sim_engine *engine; /* scores */
    unsigned threads;
    /* Told after every few models, in the caller's thread; false: leave (CANCELLED). NULL: quiet. */
    bool (*done)(void *ctx, uint64_t done, uint64_t all);
    void *ctx;
};

/* Errors: CANCELLED, NONFINITE, NOMEM, INTERNAL (threads). */
FT_NODISCARD enum ft_status sim_baselines_run(const struct sim_baselines_job *job,
                                              struct ft_sim_baselines *out, struct ft_error *err);

#endif
