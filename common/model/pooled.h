/*
 * Baselines: the model that one would train with all rows in one place. Only for rows that are in one place
 * anyway (simulation, tests, one shop's own). Linear, logistic and Poisson regression have one optimum, found
 * in double precision by Newton's method with a line search; the others are trained by SGD.
 *
 * Newton's linear algebra is BLAS's, whose last bits depend on the processor: it leads to the same optimum, within
 * the gradient norm that is asked for, and not to the same bits. SGD gives the same bits everywhere, as all training.
 */
#ifndef FT_MODEL_POOLED_H
#define FT_MODEL_POOLED_H

#include "common/model/train.h"

struct ft_pooled_result {
    double objective;     /* mean loss + weight_decay/2 |w|^2 */
    double gradient_norm; /* L2, at the solution; 0 for SGD */
    uint32_t steps;       /* Newton steps, or epochs */
};

/* The optimum, (features + 1) double in model order: weights, then bias. Rows with weight_decay 0 and collinear
 * features still give an answer (the Hessian is damped). Errors: ARGUMENT (another kind, no rows), NONFINITE,
 * LATER (not converged in 200 steps), NOMEM. */
FT_NODISCARD enum ft_status ft_pooled_optimum(const struct ft_model_spec *spec, const struct ft_dataset *data,
                                              double weight_decay, double *params,
                                              struct ft_pooled_result *result);

/* SGD on all rows for `epochs`, the learning rate falling to zero along a half cosine; params (parameters) in
 * and out. Errors: as ft_train_local. */
FT_NODISCARD enum ft_status ft_pooled_sgd(const struct ft_model_spec *spec, const struct ft_dataset *data,
                                          const struct ft_train_config *config, uint32_t epochs,
                                          const struct ft_env *env, float *params,
                                          struct ft_pooled_result *result);

#endif
