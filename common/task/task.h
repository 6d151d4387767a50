/*
 * The task: what the central team asks of the shops, and the only thing a shop decides on.
 *
 * Written as YAML, turned into canonical protobuf bytes, hashed, signed with Ed25519. The hash is bound into
 * every message of every round. A struct ft_task is immutable once validated; its strings and arrays are
 * owned by it. See proto/task.proto for the wire form and architecture.md's "The task".
 */
#ifndef FT_TASK_TASK_H
#define FT_TASK_TASK_H

#include "common/base/buf.h"
#include "common/base/findings.h"
#include "common/base/kinds.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define FT_TASK_HASH_SIZE    32
#define FT_TASK_FEATURES_MAX 4096
#define FT_TASK_HIDDEN_MAX   8
#define FT_TASK_CONV_MAX     4
#define FT_TASK_SQL_MAX      65536
#define FT_TASK_BYTES_MAX    ((size_t)1 << 20)
#define FT_TASK_MEASURES_MAX 256
#define FT_TASK_BINS_MAX     4096 /* cells of one measure */
#define FT_TASK_AXES_MAX     2
#define FT_TASK_POINTS_MAX   64 /* quantiles of one measure */

/*
 * Whom a task's privacy is about. STORE: all that one shop adds (privacy-accounting.md, section 8): one vector a shop,
 * the local change of the model over all its rows, in every round (q = 1), of n_pub 1. Its neighbour is the shop zeroed
 * out: it still takes part and still adds its noise. There is no task of unit store without noise.
 */
enum ft_unit { FT_UNIT_CUSTOMER = 1, FT_UNIT_RECORD = 2, FT_UNIT_STORE = 3 };

struct ft_task_feature {
    char *name;
    double min, max; /* declared range, min < max, finite */
};

/* What a task makes. The numbers are on the wire. */
enum ft_task_kind {
    FT_TASK_TRAIN = 0,      /* a model, after one round of statistics */
    FT_TASK_STATISTICS = 1, /* figures, from one round: no model, no label, no split */
};

enum ft_measure_kind {
    FT_MEASURE_COUNT = 1, /* always measured; listed for its weight */
    FT_MEASURE_MEAN = 2,
    FT_MEASURE_DEVIATION = 3, /* mean, variance and standard deviation */
    FT_MEASURE_HISTOGRAM = 4,
    FT_MEASURE_QUANTILES = 5, /* from dyadic counts over `bins`, a power of two */
    FT_MEASURE_CROSS = 6,     /* counts over the cells of two features */
};

/* A feature's declared range in cells: `bins` of equal width, or cut at `edges`, (edge_count) ascending inside the
 * range. */
struct ft_task_axis {
    char *feature;
    uint32_t bins; /* 0: by edges, or not cut at all */
    double *edges;
    uint32_t edge_count;
};

/* One entry of `statistics`; common/plan/measure_plan.h says what a customer adds to it. */
struct ft_task_measure {
    uint32_t kind; /* enum ft_measure_kind */
    struct ft_task_axis axes[FT_TASK_AXES_MAX]; /* none for a count, two for a cross table; the others' are empty */
    double *quantiles; /* (quantile_count) ascending, inside 0 .. 1 */
    uint32_t quantile_count;
    double weight; /* above 0; 1 unless said */
};

#define FT_TASK_SHOPS_MAX 16384
#define FT_TASK_SPARE_MAX 1000

/* What a customer's vector is. */
enum ft_contribution {
    FT_CONTRIBUTION_GRADIENT = 1, /* one gradient, over at most rows_per_customer rows */
    FT_CONTRIBUTION_DELTA = 2,    /* the model's change after local_epochs on those rows */
    /* 0: k-means, sums and numbers by cluster */
};

struct ft_task_shop {
    char *name;
    uint64_t customers; /* declared and rounded, never the true count: denominators only; 1 with unit store */
};

/*
 * Differential privacy (privacy-accounting.md, section 2). All zero with noise 0. `clip` of the task bounds one
 * customer's vector. What follows from the rest is in the signed bytes too, and every shop works it out again:
 * common/plan/privacy_plan.h fills it in (derive) and compares it (check).
 */
struct ft_task_privacy {
    double epsilon, noise_multiplier; /* one of them was asked for, the other is 0 */
    double delta;
    double expected_customers; /* of one round, all shops */
    struct ft_task_shop *shops;
    uint32_t shop_count;
    uint32_t m_stores;    /* shops one customer may contribute to */
    uint32_t spare_rounds; /* contributions beyond those the task needs, for rounds that fail late */
    uint32_t contribution; /* enum ft_contribution */
    double clip_quantile, clip_rate, clip_min, clip_max; /* adaptive clip; all 0: fixed */
    bool rotated;
    uint8_t rotation_seed[32]; /* derived from the task's seed */
    /* derived */
    uint64_t q_num, steps, dim, delta_int_sq;
    uint32_t scale, lambda, sigma_share, t_min;
};

struct ft_task {
    uint32_t kind; /* enum ft_task_kind; statistics: label "" and everything of model and training 0 */
    char *name;    /* [a-z0-9_]{1,48} */
    char *purpose; /* verb/area: train, score, measure or synthesise, then segmentation, propensity, demand or
                      personalisation */
    char *owner, *title;
    char *expires, *review; /* YYYY-MM-DD */
    uint8_t deployment[16];

    char *sql;   /* one SELECT */
    char *label; /* column of the label; "": k-means has none */
    struct ft_task_feature *features;
    uint32_t feature_count;
    uint32_t rows_per_customer; /* at most this many rows of one customer in each split, where the data has customers */
    uint32_t rows_max;
    double label_min, label_max;

    enum ft_model_kind model;
    uint32_t classes;
    uint32_t hidden[FT_TASK_HIDDEN_MAX];
    uint32_t hidden_count;
    enum ft_activation activation;
    uint32_t image[3]; /* CNN: height, width, channels of the features, in this order */
    uint32_t image_count;
    uint32_t channels[FT_TASK_CONV_MAX], kernels[FT_TASK_CONV_MAX], pools[FT_TASK_CONV_MAX]; /* CNN */
    uint32_t channels_count, kernels_count, pools_count;
    uint32_t clusters;    /* k-means */
    uint32_t min_cluster; /* k-means: a cluster of fewer members is neither moved to their mean nor shown. Members are
                           * customers with data in a shop (or records), with unit store parts of shops */

    /* Of what follows, k-means has rounds, seed and, with noise, clip; the rest is 0. */
    uint32_t rounds; /* training rounds */
    uint32_t local_epochs;
    uint32_t batch_size; /* 0: all rows in one batch */
    double learning_rate, momentum, weight_decay;
    double clip; /* L2 bound of one shop's update, > 0 */
    uint32_t weight_cap;
    enum ft_server_kind server;
    double server_learning_rate, server_momentum, server_beta2, server_epsilon;
    uint64_t seed;

    enum ft_unit unit;
    uint32_t noise; /* 0 none, 1 discrete Gaussian: then `privacy` counts */
    struct ft_task_privacy privacy;

    uint32_t n_min, n_cap, h_min, corrupted, drop_permille, sigma, eta, suite, lane_bits;
    uint64_t join_ms, step_ms, session_ms, pause_ms;
    uint32_t bins, calibration_bins;

    struct ft_task_measure *measures; /* kind statistics */
    uint32_t measure_count;
};

/* Read a task from YAML text. `origin` names it in errors ("task.yaml"), which give origin:line:column, what
 * was found and what was expected. deployment is filled from the argument. Errors: CONFIG, NOMEM. */
FT_NODISCARD enum ft_status ft_task_from_yaml(struct ft_bytes yaml, const char *origin,
                                              const uint8_t deployment[16], struct ft_task *out,
                                              struct ft_error *err);

/* The same, with every finding of the file, and not only as many as fit in an ft_error. findings is
 * initialised here. */
FT_NODISCARD enum ft_status ft_task_from_yaml_all(struct ft_bytes yaml, const char *origin,
                                                  const uint8_t deployment[16], struct ft_task *out,
                                                  struct ft_findings *findings);

/* A commented task to start from, as YAML that ft_task_from_yaml accepts once the marked lines are filled in.
 */
const char *ft_task_template(void);
const char *ft_task_statistics_template(void); /* the same for kind statistics */
const char *ft_task_segments_template(void);   /* the same for segments, by k-means */

/* Every rule a task must keep whatever its form (ranges, dates, unbounded feature, ring that could wrap for
 * n_cap, cohort arithmetic). Both from_yaml and decode call it. Errors: CONFIG. */
FT_NODISCARD enum ft_status ft_task_validate(const struct ft_task *task, struct ft_error *err);

/* Canonical bytes, and back. decode refuses bytes that are not canonical. Errors: FORMAT, CONFIG, LIMIT,
 * NOMEM. */
FT_NODISCARD enum ft_status ft_task_encode(const struct ft_task *task, struct ft_buf *out);
FT_NODISCARD enum ft_status ft_task_decode(struct ft_bytes canonical, struct ft_task *out,
                                           struct ft_error *err);

/* BLAKE2b-256 of enc("task-hash"; canonical bytes): the task's name in every protocol message. */
void ft_task_hash(struct ft_bytes canonical, uint8_t hash[FT_TASK_HASH_SIZE]);

/* A signed task: {canonical bytes, signer's key, signature}. sign needs the 64-byte Ed25519 secret key. open
 * verifies against the pinned keys (key_count of 32 bytes each) and hands out the decoded task and its hash.
 * Errors of open: VERIFY (bad signature or no pinned key), FORMAT, CONFIG. */
FT_NODISCARD enum ft_status ft_task_sign(const struct ft_task *task, const uint8_t secret_key[64],
                                         struct ft_buf *out);
FT_NODISCARD enum ft_status ft_task_open(struct ft_bytes signed_task, const uint8_t (*keys)[32],
                                         size_t key_count, struct ft_task *out,
                                         uint8_t hash[FT_TASK_HASH_SIZE], struct ft_error *err);

/* The key that a signed task names; whether its signature holds is ft_task_open's to say. Errors: FORMAT, NOMEM. */
FT_NODISCARD enum ft_status ft_task_signer(struct ft_bytes signed_task, uint8_t key[32], struct ft_error *err);

/* Number of model parameters (weights and biases, all layers); 0 of a task that only measures. */
uint64_t ft_task_parameters(const struct ft_task *task);

/* The cohort arithmetic of secure-aggregation.md, section 5, for a cohort of n. Classical profile: k = n - 1.
 */
struct ft_task_cohort {
    uint32_t n;
    uint32_t dropouts;  /* D = floor(n * drop_permille / 1000) */
    uint32_t survivors; /* n - D */
    int64_t honest;     /* h = n - D - F; may be negative */
    uint32_t quorum;    /* q = floor((n + F) / 2) + 1, must be <= n - D */
    uint32_t threshold; /* t = max(2, floor((n - 1 + F) / 2) + 1), must be <= n - D */
};
struct ft_task_cohort ft_task_cohort(const struct ft_task *task, uint32_t n);

/* Largest integer one coordinate may have so that n_cap of them cannot wrap a lane: Q =
 * floor((2^(W-1)-1)/n_cap). */
uint64_t ft_task_quant_max(const struct ft_task *task);

/* The purpose is one of the closed tree verb/area; verbs and areas never imply one another. */
bool ft_purpose_valid(const char *purpose);
const char *ft_config_is_purpose(const char *text); /* the same as a check of base/config.h */

/* Days since 1970 of the task's dates (validated tasks only). Work is allowed up to and including the day. */
int64_t ft_task_expires_day(const struct ft_task *task);
int64_t ft_task_review_day(const struct ft_task *task);

const char *ft_model_kind_name(enum ft_model_kind kind); /* "logistic" */
const char *ft_unit_name(enum ft_unit unit);             /* "customer" */
const char *ft_measure_name(uint32_t kind);              /* "histogram" */
/* Its axes: 0, 1 or 2. */
uint32_t ft_measure_axes(uint32_t kind);
/* The number of a feature, or feature_count when the task has none of that name. */
uint32_t ft_task_feature(const struct ft_task *task, const char *name);

void ft_task_clear(struct ft_task *task);

#endif
