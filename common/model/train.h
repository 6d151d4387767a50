/*
 * Local training: what a shop does with its rows between a model and the next contribution. Minibatch SGD with
 * momentum and weight decay, from the incoming parameters, for some epochs over the shop's rows:
 *
 *   v = momentum v + gradient(batch);   theta = theta - learning_rate v
 *
 * Each epoch visits every row once, in an order drawn from the caller's env (one batch needs none). The order
 * is the only randomness: the same env gives the same delta on every processor that has a kernel (kernel/kernel.h),
 * in any number of threads; others go through OpenBLAS.
 */
#ifndef FT_MODEL_TRAIN_H
#define FT_MODEL_TRAIN_H

#include "common/base/env.h"
#include "common/model/model.h"

struct ft_train_config {
    uint32_t local_epochs; /* 1 and more */
    uint32_t batch_size;   /* rows; 0: all in one batch */
    double learning_rate;  /* > 0 */
    double momentum;       /* 0 <= momentum < 1 */
    double weight_decay;   /* >= 0 */
};

/* Everything a shop's training needs, made once a task and reused every round. */
struct ft_trainer;

/* rows_max: the most rows a call will bring. Errors: ARGUMENT, LIMIT, NOMEM. */
FT_NODISCARD enum ft_status ft_trainer_open(const struct ft_model_spec *spec, const struct ft_train_config *config,
                                            size_t rows_max, struct ft_trainer **out, struct ft_error *err);
void ft_trainer_close(struct ft_trainer *t); /* wipes what the rows left behind; NULL is allowed */
struct ft_model *ft_trainer_model(struct ft_trainer *t); /* the model inside, for scores and metrics */

void ft_trainer_set_rate(struct ft_trainer *t, double learning_rate); /* for the calls to come; > 0 */

/* For the calls to come; 1 and more: a client that is late does less. */
void ft_trainer_set_epochs(struct ft_trainer *t, uint32_t local_epochs);

/* What an algorithm adds to every gradient of the calls to come: pull (theta - theta at the start) as FedProx does,
 * and shift (parameters; as SCAFFOLD does; borrowed until the next call of this; NULL: none). Errors: ARGUMENT (pull
 * below 0 or not finite), NOMEM. */
FT_NODISCARD enum ft_status ft_trainer_set_correction(struct ft_trainer *t, double pull, const float *shift);

/* delta = theta_local - theta, (parameters), written only on FT_OK. Errors: NONFINITE (training diverged, or a
 * NaN in the rows), ARGUMENT (no rows; k-means), LIMIT (more than rows_max). */
FT_NODISCARD enum ft_status ft_train_local(struct ft_trainer *t, const struct ft_dataset *data,
                                           const struct ft_env *env, const float *theta, float *delta);

#endif
