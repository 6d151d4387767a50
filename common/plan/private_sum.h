/*
 * What a sum with noise says: from the unpacked integers of a round to means, the next step and metrics.
 * Everything here is post-processing of what is released already, so it costs no privacy, and everybody who
 * has the sum gets the same numbers.
 *
 * No true count is known to anybody: a mean divides by q n_U, the declared size of the shops that are in the
 * sum, or by a count that carries noise itself. Intervals cover both the sampling of customers and the noise.
 *
 * Not thread-safe; works in room that the caller gives, so that a model-sized vector is made once.
 */
#ifndef FT_PLAN_PRIVATE_SUM_H
#define FT_PLAN_PRIVATE_SUM_H

#include "common/model/metrics.h"
#include "common/plan/round_plan.h"

struct ft_private_sum {
    const struct ft_task *task;
    const struct ft_round_plan *plan;
    uint32_t shops;     /* in the sum, each with its share of noise */
    uint64_t customers; /* n_U: their declared sizes */
    double expected;    /* q n_U: customers in the sum, as far as anybody knows */
    double *values; /* (plan->privacy.coordinates) summed vectors, in the vector's own unit; in the caller's
                       room */
    double noise;   /* standard deviation of the noise in each of them */
    double below_share; /* of customers whose vector was within the clip; NAN without an adaptive clip */
};

/*
 * Undo rounding and rotation. z (plan->privacy.dim) is what ft_ss_unpack gave; room has as many doubles.
 * Errors: COHORT (fewer shops than the task's least survivors: t_min and the shops that may be corrupted),
 * ARGUMENT (no customers declared, a plan without noise), NOMEM.
 */
FT_NODISCARD enum ft_status ft_private_sum_init(struct ft_private_sum *sum, const struct ft_task *task,
                                                const struct ft_round_plan *plan, const int64_t *z,
                                                uint32_t shops, uint64_t customers, double *room,
                                                struct ft_error *err);

/* Fewest shops a sum of the task may have: t_min + F. */
uint32_t ft_private_least_shops(const struct ft_task *task);

/* STATISTICS: means and stds (features) of the features. A spread that the noise hides counts as two of its
 * standard deviations, so that no feature is blown up. *count is the noisy number of customers, NULL allowed.
 */
void ft_private_statistics(const struct ft_private_sum *sum, double *means, double *stds,
                           struct ft_estimate *count);

/*
 * TRAIN: what the server's optimiser takes, (parameters), in place of sum->values.
 *   gradient  learning_rate (mean descent direction - weight_decay theta)
 *   delta     the mean of the customers' changes
 * *norm is the length of the mean before the learning rate; NULL allowed.
 */
void ft_private_update(struct ft_private_sum *sum, const float *params, double *norm);

/* TRAIN of k-means: the block of all customers (kmeans.h), in place of sum->values, and the standard deviation of noise
 * in its sums and numbers. */
void ft_private_block(struct ft_private_sum *sum, const float *params, double *noise_sum, double *noise_number);

/* TRAIN: the clip of the next round; the task's own where it is not adaptive. */
double ft_private_next_clip(const struct ft_private_sum *sum);

/* EVALUATE. A number that the noise leaves open is NAN. */
struct ft_private_metrics {
    struct ft_estimate customers; /* in the sum */
    struct ft_estimate loss;      /* of a customer, each row's at most the plan's loss_cap */
    struct ft_estimate accuracy;  /* classification */
    struct ft_estimate auc;       /* two classes, scores in FT_PRIVATE_BINS bins */
    double positives, negatives;  /* customers' shares of rows, with noise */
    double calibration_error;     /* over the rows below; noise makes it larger, not smaller */
    uint32_t calibration_count;
    struct ft_calibration_row calibration[FT_PRIVATE_BINS]; /* rows: customers with noise */
    uint32_t cluster_count;                                 /* k-means: loss is the inertia */
    struct ft_estimate clusters[FT_MODEL_CLUSTERS_MAX];     /* share of each; NAN where the noise hides it or it has fewer than min_cluster */
};
void ft_private_metrics(const struct ft_private_sum *sum, struct ft_private_metrics *out);

/* The probability in the middle of a bin of scores: equal steps of 1/(1 + e^(-z/2)), as in metrics.h. */
double ft_private_bin_probability(uint32_t bin);

#endif
