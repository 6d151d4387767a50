/*
 * Baselines: what federated training is measured against. Given every shop's own rows:
 *
 *   pooled     one model of all train rows, features standardised by their pooled means; the optimum where there is
 *              one, SGD for softmax and perceptrons
 *   alone      each shop's model of its own train rows, standardised by its own means, scored on its own test rows;
 *              shops whose train or test rows hold one class only cannot be scored and are left out
 *   federated  an exported model, scored on all rows (optional)
 *
 * The AUC is exact, ties counted half; it is NAN where the model is not binary.
 */
#ifndef FT_SIMULATE_BASELINE_H
#define FT_SIMULATE_BASELINE_H

#include "aggregator/export/export.h"
#include "aggregator/simulate/rows.h"
#include "common/base/env.h"

/* One model on the pooled rows. */
struct ft_baseline_score {
    double objective; /* train: mean loss + weight_decay/2 |w|^2 */
    double auc;       /* test */
    double test_loss; /* test: mean loss */
    double accuracy;  /* test; NAN for regressions */
    double auc_mean;  /* mean of its AUCs on the test rows of each shop that `alone` counts */
};

struct ft_baseline {
    size_t shops, train_rows, test_rows;
    struct ft_baseline_score pooled;
    struct ft_baseline_score federated; /* when a model was given */
    bool has_federated;
    size_t alone_shops;    /* shops whose own model could be scored */
    double alone_auc_mean; /* NAN when there is none */
    double alone_auc_low, alone_auc_high;
    double alone_loss_mean; /* mean over the same shops (regressions: all shops) of the mean test loss */
};

struct ft_baseline_input {
    const struct ft_task *task;
    const struct ft_examples *shops; /* raw rows, (shop_count) */
    size_t shop_count;
    const struct ft_exported_model *federated; /* NULL: none */
    const struct ft_env *env;                  /* order of rows in SGD */
};

/* Errors: ARGUMENT (no train rows; a model of another shape than the task's), NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status ft_baseline_run(const struct ft_baseline_input *input, struct ft_baseline *out,
                                            struct ft_error *err);

#endif
