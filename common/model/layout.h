/*
 * What the coordinates of a contribution mean. Both sides compute the same layout from plain numbers of the task
 * and the stage; the secure sum's codec then adds its own check and weight lanes before them.
 *
 *   coordinates = [ metric limbs | reals ]
 *
 *   stage       lanes W     metrics                             reals                             weight
 *   STATISTICS  64          none                                sum u, sum u^2 (2 * features),    train rows
 *                                                               fixed point in units of sum_unit
 *   TRAIN       lane_bits   test split and train loss of the    w * delta (parameters)            w = min(train
 *                           incoming model (metrics.h)                                            rows, weight_cap)
 *   EVALUATE    lane_bits   as TRAIN                            none                              as TRAIN
 *
 * TRAIN of k-means uses lanes of 64 and the train rows as weight, as STATISTICS: its reals are the block of kmeans.h in sums
 * of u and numbers of rows, fixed point in units of sum_unit.
 *
 * A metric of b bits is cut into limbs of limb_bits = floor(log2((2^(W-1) - 1) / n_cap)), lowest first, so that
 * no sum over n_cap shops leaves its lane. The reals of TRAIN are quantised by the codec, which clamps each to
 * +-real_clip. The sums of STATISTICS are rounded here, to 48 bits: a variance is a small difference of large sums,
 * for which the codec's 32-bit quantiser is too coarse.
 */
#ifndef FT_MODEL_LAYOUT_H
#define FT_MODEL_LAYOUT_H

#include "common/model/metrics.h"

#define FT_STATISTICS_LANE_BITS 64

struct ft_layout_params {
    enum ft_stage stage;
    struct ft_metrics_spec metrics; /* the model (features, ...), bins, rows_max, label range */
    uint32_t n_cap;                 /* the most shops in a sum, 1 .. 16384 */
    uint32_t lane_bits;             /* of TRAIN and EVALUATE: 12 .. 64; STATISTICS uses 64 whatever it says */
    uint32_t weight_cap;            /* 1 and more */
    double clip;                    /* L2 bound of one shop's update, > 0 */
    size_t sums; /* STATISTICS of a task without a model: so many sums of values in 0 .. 1, in place of 2 * features;
                    the weight is how many were added up. 0: as the table says */
};

struct ft_layout {
    enum ft_stage stage;
    uint32_t lane_bits; /* W of this stage */
    uint32_t limb_bits;
    uint32_t n_cap;
    struct ft_metrics_plan metrics;         /* value_count is 0 for STATISTICS */
    uint32_t limbs[FT_METRIC_COUNT];        /* limbs of one value of the group */
    uint32_t coordinates[FT_METRIC_COUNT];  /* first coordinate of the group */
    size_t metric_coordinates;
    size_t real_coordinates;
    size_t dim;         /* metric_coordinates + real_coordinates */
    double real_clip;   /* each real lies in +-real_clip: the codec's clip */
    double sum_unit;    /* STATISTICS, k-means: value of one step of a coordinate; else 0 */
    uint64_t weight_max; /* largest weight of one shop in this stage */
};

/* Errors: ARGUMENT, LIMIT (a lane too narrow for n_cap, too many coordinates). */
FT_NODISCARD enum ft_status ft_layout_init(struct ft_layout *layout, const struct ft_layout_params *params,
                                           struct ft_error *err);

/* This shop's weight for `rows` train rows. */
uint64_t ft_layout_weight(const struct ft_layout *layout, uint64_t rows);

/* Metric values (value_count) to coordinates (metric_coordinates). Errors: LIMIT (a value too wide for its
 * field; coordinates untouched). */
FT_NODISCARD enum ft_status ft_layout_encode_metrics(const struct ft_layout *layout, const uint64_t *values,
                                                     int64_t *coordinates);

/* TRAIN: reals (real_coordinates) = weight * delta. */
void ft_layout_encode_update(const struct ft_layout *layout, const float *delta, uint64_t weight, float *reals);

/* STATISTICS: sums (2 * features) of one shop to coordinates; TRAIN of k-means: its block (real_coordinates). Errors: LIMIT
 * (a sum below 0 or above rows_max), NONFINITE; coordinates untouched. */
FT_NODISCARD enum ft_status ft_layout_encode_sums(const struct ft_layout *layout, const double *sums,
                                                  int64_t *coordinates);
/* And back from the summed coordinates of `shops` contributions. Errors: VERIFY, ARGUMENT as decode_metrics. */
FT_NODISCARD enum ft_status ft_layout_decode_sums(const struct ft_layout *layout, const int64_t *coordinates,
                                                  uint32_t shops, double *sums);

/* Summed metric coordinates of `shops` contributions to summed values (value_count). Errors: VERIFY (a limb
 * below zero or above what `shops` shops can add up to), ARGUMENT (shops 0 or above n_cap). */
FT_NODISCARD enum ft_status ft_layout_decode_metrics(const struct ft_layout *layout, const int64_t *sums,
                                                     uint32_t shops, uint64_t *values);

#endif
