/*
 * Metrics as non-negative integers that can be added over shops: each shop counts, the secure sum adds, the
 * centre computes. Values lie in groups, in the order of enum ft_metric, each value with a declared bit width
 * that one shop's number must fit: one that does not is refused (LIMIT), never wrapped.
 *
 * Sums of losses are fixed point: value = round(sum / unit). The unit depends on the kind and the label's
 * declared range only, so both sides know it.
 *
 *   linear    loss (z - y)^2 / 2
 *   logistic  loss log(1 + e^z) - y z
 *   k-means   loss is the squared distance to the nearest centroid, a row's at most FT_CLUSTER_LOSS_CAP x features
 *   Poisson   loss is half the deviance: y log(y/mu) - (y - mu); `base` holds y log y - y + 1 so that the
 *             training loss e^z - y z = loss - (base - 1) is known too
 *
 * Binary models add score histograms of positives and negatives over 1/(1 + e^(-z/2)), a monotone function of
 * the probability that spreads rare events over more bins; equal bins there give the AUC with ties counted half.
 * Calibration bins are equal in probability (binary: of a positive; softmax: of the predicted class).
 */
#ifndef FT_MODEL_METRICS_H
#define FT_MODEL_METRICS_H

#include "common/model/model.h"

#define FT_MIN_GROUP_LEAST      2  /* what the centre may say */
#define FT_MIN_GROUP            10 /* no figure about fewer rows is reported, unless the centre says otherwise */
#define FT_METRIC_BITS_MAX      48
#define FT_METRIC_BINS_MAX      4096
#define FT_CALIBRATION_BINS_MAX 100

enum ft_metric {
    FT_METRIC_TEST_ROWS,
    FT_METRIC_TEST_LOSS,         /* unit loss_unit */
    FT_METRIC_TEST_LOSS_SQUARED, /* of each row's loss; unit loss_squared_unit */
    FT_METRIC_TEST_BASE,         /* Poisson */
    FT_METRIC_TEST_CORRECT,      /* classification */
    FT_METRIC_POSITIVES,         /* binary, (bins) */
    FT_METRIC_NEGATIVES,         /* binary, (bins) */
    FT_METRIC_CALIBRATION_ROWS,  /* classification, (calibration_bins) */
    FT_METRIC_CALIBRATION_SCORE, /* sum of probabilities, unit FT_PROBABILITY_UNIT */
    FT_METRIC_CALIBRATION_HITS,  /* positives, or correct ones */
    FT_METRIC_TRAIN_ROWS,
    FT_METRIC_TRAIN_LOSS,
    FT_METRIC_TRAIN_BASE, /* Poisson */
    FT_METRIC_CLUSTER_ROWS, /* k-means, (clusters): test rows of each */
    FT_METRIC_COUNT
};
#define FT_PROBABILITY_UNIT (1.0 / (1 << 20))
#define FT_CLUSTER_LOSS_CAP 256 /* so that the squares of a few far rows fit the field */

struct ft_metrics_spec {
    struct ft_model_spec model;
    uint32_t bins;               /* 2 .. FT_METRIC_BINS_MAX */
    uint32_t calibration_bins;   /* 1 .. FT_CALIBRATION_BINS_MAX */
    uint64_t rows_max;           /* the most rows of one shop in a split, 1 .. 2^24 */
    double label_min, label_max; /* declared label range, used by the regressions */
};

struct ft_metric_group {
    uint32_t count; /* values; 0: this kind of model has none */
    uint32_t at;    /* index of the first value */
    uint32_t bits;  /* width of each value from one shop */
};

struct ft_metrics_plan {
    struct ft_metrics_spec spec;
    struct ft_metric_group groups[FT_METRIC_COUNT];
    uint32_t value_count;
    double loss_unit;
    double loss_squared_unit;
};

/* Errors: ARGUMENT, LIMIT. */
FT_NODISCARD enum ft_status ft_metrics_plan_init(struct ft_metrics_plan *plan, const struct ft_metrics_spec *spec,
                                                 struct ft_error *err);

/*
 * Measure one shop: `values` (value_count) from the model's scores on its test and train rows. Either set may be
 * empty. Labels of classifiers must be whole numbers in range. Errors: LIMIT (a value does not fit its width),
 * NONFINITE, FORMAT (label), NOMEM. values is written only on FT_OK.
 */
FT_NODISCARD enum ft_status ft_metrics_measure(const struct ft_metrics_plan *plan, struct ft_model *m,
                                               const float *params, const struct ft_dataset *test,
                                               const struct ft_dataset *train, uint64_t *values,
                                               struct ft_error *err);

/* A number with its 95 % interval. A number that cannot be had (no rows, one class only) is NAN three times. */
struct ft_estimate {
    double value, low, high;
};

struct ft_calibration_row {
    double rows;
    double score;            /* mean predicted probability */
    struct ft_estimate rate; /* share of positives (or correct), Wilson's interval */
};

struct ft_cluster_row {
    uint64_t rows;            /* of the test split */
    struct ft_estimate share; /* Wilson's interval */
    bool withheld;            /* too few: its figures are in cluster_rest */
};

struct ft_metrics_report {
    uint64_t test_rows, train_rows, positives, negatives;
    bool test_withheld, train_withheld, classes_withheld; /* ft_metrics_withhold: these counts, and what comes of them */
    struct ft_estimate test_loss; /* mean; Poisson: e^z - y z, as in training */
    double test_deviance;         /* Poisson: mean deviance; linear: mean squared error; else mean 2 x loss */
    struct ft_estimate accuracy;  /* Wilson's interval */
    struct ft_estimate auc;       /* DeLong's variance on the binned scores */
    double calibration_error;     /* expected calibration error; NAN for regressions */
    double train_loss;            /* mean */
    double objective;             /* train_loss + weight_decay/2 |w|^2 */
    uint32_t calibration_count;
    struct ft_calibration_row calibration[FT_CALIBRATION_BINS_MAX];
    uint32_t cluster_count; /* k-means; 0 for the others */
    struct ft_cluster_row clusters[FT_MODEL_CLUSTERS_MAX];
    struct ft_cluster_row cluster_rest; /* those withheld, together */
};

/* What the summed values say about the model `params` (NULL: no penalty, objective is the train loss). */
void ft_metrics_report(const struct ft_metrics_plan *plan, const uint64_t *sums, const float *params,
                       double weight_decay, struct ft_metrics_report *report);

/*
 * Keep to the minimum crowd: no figure about fewer than `group_min` rows stays in a report. Counts below it are withheld
 * with the figures that come of them (NAN), those of a class with the other's and the AUC; calibration bins are joined with
 * their neighbours until each has as many, so that no difference to the total says what a bin was.
 * Clusters below it are told together, with the smallest of the others until they are as many.
 */
void ft_metrics_withhold(struct ft_metrics_report *report, uint64_t group_min);

/* AUC and DeLong's interval from histograms, lowest scores first; NAN when a class is absent. */
struct ft_estimate ft_auc_histogram(const uint64_t *positives, const uint64_t *negatives, size_t bins);

/* Exact AUC of scores with ties counted half; label > 0.5 is positive. For rows in one place. NOMEM. */
FT_NODISCARD enum ft_status ft_auc_exact(const float *scores, const float *labels, size_t rows, double *auc);

#endif
