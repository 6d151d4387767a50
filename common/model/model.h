/*
 * One interface for every model: linear, logistic, softmax and Poisson regression are a network without
 * hidden layers; the multilayer perceptron has any. Parameters are one flat float32 vector, layer by layer:
 * weights (inputs, outputs) row-major, then biases (outputs).
 *
 *   kind      output z        loss of one row                        prediction
 *   linear    1               (z - y)^2 / 2                          z
 *   logistic  1               log(1 + e^z) - y z                     1 / (1 + e^-z)
 *   softmax   classes         log(sum e^z_k) - z_y                   e^z_k / sum
 *   Poisson   1               e^z - y z                              e^z
 *   MLP       as logistic (classes 0 or 2) or softmax (classes 3 and more)
 *   CNN       as MLP; convolutional layers (conv.h) before the hidden ones, their parameters first
 *   k-means   clusters    its least squared distance                 1 at the nearest, else 0: see kmeans.h; no gradient
 *
 * The objective is the mean loss + weight_decay/2 |w|^2 over the weights; biases are free. Losses are computed
 * without overflow (log1p and shifted exponentials). A NaN or infinity in any result is NONFINITE.
 *
 * A struct ft_model is the shape and one workspace, made once and reused: nothing is allocated by a call. Rows
 * are processed FT_MODEL_CHUNK at a time (product.h). Not thread-safe; programs call ft_model_setup() first.
 */
#ifndef FT_MODEL_MODEL_H
#define FT_MODEL_MODEL_H

#include "common/base/kinds.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_MODEL_HIDDEN_MAX     8
#define FT_MODEL_WIDTH_MAX      16384
#define FT_MODEL_CLASSES_MAX    1024
#define FT_MODEL_CLUSTERS_MAX   256
#define FT_MODEL_PARAMETERS_MAX ((uint64_t)1 << 26)
#define FT_MODEL_CHUNK          512 /* rows a pass: activations stay in cache; fewer with convolutions */
#define FT_MODEL_CONV_MAX       4
#define FT_MODEL_CHANNELS_MAX   1024
#define FT_MODEL_KERNEL_MAX     15
#define FT_MODEL_POOL_MAX       8
#define FT_MODEL_PATCHES_MAX    ((uint64_t)1 << 24) /* floats of one image's patches, or of a layer before pooling */

/* One convolution with edges padded by zeros, then max pooling, then the activation. */
struct ft_model_conv {
    uint32_t channels; /* out, 1 .. FT_MODEL_CHANNELS_MAX */
    uint32_t kernel;   /* side, odd, 1 .. FT_MODEL_KERNEL_MAX */
    uint32_t pool;     /* side of the pooled squares, 1 (none) .. FT_MODEL_POOL_MAX */
};

struct ft_model_spec {
    enum ft_model_kind kind;
    uint32_t features;                    /* 1 .. FT_MODEL_WIDTH_MAX */
    uint32_t classes;                     /* softmax 2 and more; MLP, CNN 0, 2 or more; k-means its clusters, 2 and more */
    uint32_t hidden[FT_MODEL_HIDDEN_MAX]; /* MLP and CNN widths, each 1 .. FT_MODEL_WIDTH_MAX */
    uint32_t hidden_count;                /* MLP 1 .. FT_MODEL_HIDDEN_MAX; CNN from 0; other kinds: not read */
    enum ft_activation activation;        /* MLP, CNN */
    uint32_t image[3];                    /* CNN: height, width, channels; their product is `features` */
    struct ft_model_conv conv[FT_MODEL_CONV_MAX]; /* CNN */
    uint32_t conv_count;                          /* CNN 1 .. FT_MODEL_CONV_MAX; other kinds: not read */
};

/* Rows to learn from or to score, borrowed. Features are standardised (state.h). */
struct ft_dataset {
    const float *x; /* (rows, features) row-major */
    const float *y; /* (rows) label; class number for softmax */
    size_t rows;
};

struct ft_model;

/* One thread in OpenBLAS: a program's processes share the machine and small products gain nothing. */
void ft_model_setup(void);

/*
 * What computes products, and trains batches of up to 256 rows: "auto" (the default: the best of this processor),
 * "plain", "avx2", "avx512" (the same bits, kernel/kernel.h), or "blas" (other bits, and they depend on the processor).
 * Before threads and trainers. Errors: ARGUMENT (unknown, or not for this processor; the choice stays).
 */
FT_NODISCARD enum ft_status ft_model_use_kernel(const char *name, struct ft_error *err);
const char *ft_model_kernel(void); /* the choice by name, never "auto": for the records of a run */
const char *ft_model_blas_name(void); /* OpenBLAS's version and build, likewise */

/* Errors: ARGUMENT (unknown kind, a width out of range), LIMIT (parameters). */
FT_NODISCARD enum ft_status ft_model_spec_check(const struct ft_model_spec *spec, struct ft_error *err);

uint64_t ft_model_parameters(const struct ft_model_spec *spec); /* of a checked spec */
uint32_t ft_model_outputs(const struct ft_model_spec *spec);    /* z values a row */
bool ft_model_is_binary(const struct ft_model_spec *spec);      /* one logistic output */
bool ft_model_is_regression(const struct ft_model_spec *spec);  /* linear or Poisson */
bool ft_model_is_network(const struct ft_model_spec *spec);     /* MLP or CNN */
bool ft_model_is_clusters(const struct ft_model_spec *spec);    /* k-means: no labels, no gradient */

/*
 * Initial parameters, the same bits on every machine. Regressions start at zero; centroids within a standard deviation of
 * the mean, apart from one another. MLP weights are uniform in
 * +-sqrt(6/inputs) (ReLU; He et al. 2015) or +-sqrt(6/(inputs+outputs)) (tanh and the last layer; Glorot and
 * Bengio 2010), drawn by number from SplitMix64; biases are zero.
 */
void ft_model_init(const struct ft_model_spec *spec, uint64_t seed, float *params);

/* Errors: as spec_check, NOMEM. */
FT_NODISCARD enum ft_status ft_model_open(const struct ft_model_spec *spec, struct ft_model **out,
                                          struct ft_error *err);
void ft_model_close(struct ft_model *m); /* NULL is allowed */
const struct ft_model_spec *ft_model_shape(const struct ft_model *m);

/* z, (rows, outputs), for any number of rows. Errors: NONFINITE. */
FT_NODISCARD enum ft_status ft_model_scores(struct ft_model *m, const float *params, const float *x, size_t rows,
                                            float *z);

/* From z to predictions (see the table), (rows, outputs), in place. */
void ft_model_predict(const struct ft_model *m, float *z, size_t rows);

/* The loss of each row, (rows), in double, from z; never NaN for finite z but for a label out of range. */
void ft_model_losses(const struct ft_model *m, const float *z, const float *y, size_t rows, double *losses);

/* Mean loss, without the penalty. rows 0 gives 0. Errors: NONFINITE. */
FT_NODISCARD enum ft_status ft_model_loss(struct ft_model *m, const float *params, const struct ft_dataset *data,
                                          double *loss);

/* Gradient of the objective, (parameters), and the objective itself (NULL is allowed: saves its time).
 * Errors: NONFINITE, ARGUMENT (no rows; k-means). */
FT_NODISCARD enum ft_status ft_model_gradient(struct ft_model *m, const float *params,
                                              const struct ft_dataset *data, double weight_decay, float *grad,
                                              double *objective);

/* weight_decay/2 |w|^2 over the weights. */
double ft_model_penalty(const struct ft_model_spec *spec, const float *params, double weight_decay);

#endif
