/* The inside of a model, shared by the files of this folder only. */
#ifndef FT_MODEL_MODEL_INTERNAL_H
#define FT_MODEL_MODEL_INTERNAL_H

#include "common/model/conv.h"
#include "common/model/model.h"

/* What turns the last layer's z into a loss. */
enum model_head { HEAD_LINEAR, HEAD_LOGISTIC, HEAD_SOFTMAX, HEAD_POISSON, HEAD_CLUSTERS };

struct model_layer {
    uint32_t in, out;
    size_t weights; /* offset of (in, out) in the flat vector */
    size_t biases;  /* offset of (out) */
};

struct model_shape {
    struct conv_layer conv[FT_MODEL_CONV_MAX]; /* before the others; their result is the first layer's input */
    uint32_t conv_count;
    struct model_layer layers[FT_MODEL_HIDDEN_MAX + 1];
    uint32_t layer_count;
    uint32_t width_max; /* widest layer output */
    enum model_head head;
    uint64_t parameters;
};

struct ft_model {
    struct ft_model_spec spec;
    struct model_shape shape;
    size_t chunk; /* rows a pass, at most FT_MODEL_CHUNK */
    struct conv_work *conv; /* NULL without convolutions */
    const float *conv_out;  /* of the last model_forward */
    float *arena;
    size_t arena_count;
    float *act[FT_MODEL_HIDDEN_MAX + 1]; /* output of each layer, (chunk, out); the last is z */
    float *back[2];                      /* gradients going down, (chunk, width_max) each */
    float *ones;                         /* (chunk) */
    float *room;                         /* (PRODUCT_ROOM) */
    double losses[FT_MODEL_CHUNK];
};

/* Layers and offsets of a checked spec. */
void model_shape_of(const struct ft_model_spec *spec, struct model_shape *shape);

/* Weights lie in blocks, with biases between: each block's offset and size. */
uint32_t model_weight_blocks(const struct model_shape *shape);
size_t model_weight_block(const struct model_shape *shape, uint32_t block, uint32_t *count);

/* Activations of `rows` <= m->chunk rows; z is m->act[last]. */
void model_forward(struct ft_model *m, const float *params, const float *x, size_t rows);

/* After model_forward: dz of layer - 1 from dz of `layer` (1 and more), (rows, in). */
void model_layer_backward(struct ft_model *m, uint32_t layer, const float *params, const float *dz, size_t rows,
                          float *down);

/* The gradient of at least one row, unchecked: a NaN passes on. Returns the sum of the losses, or 0 without. */
double model_gradient(struct ft_model *m, const float *params, const struct ft_dataset *data, double weight_decay,
                      bool with_loss, float *grad);

/* The input of layer 0 in the last model_forward: the rows themselves, or what the convolutions made of them. */
const float *model_input(const struct ft_model *m, const float *x);

/* Activations in place, and gradients through the activation whose output is `act`. */
void model_activate(enum ft_activation activation, float *v, size_t count);
void model_slope(enum ft_activation activation, const float *act, size_t count, float *v);

/* The first of the least of z (clusters): the nearest centroid. */
uint32_t head_nearest(const float *z, uint32_t clusters);
/* The head: loss of each row, and dloss/dz times `scale` written over nothing but `dz`. */
void head_losses(enum model_head head, uint32_t outputs, const float *z, const float *y, size_t rows,
                 double *losses);
void head_gradient(enum model_head head, uint32_t outputs, const float *z, const float *y, size_t rows, float scale,
                   float *dz);
void head_predict(enum model_head head, uint32_t outputs, float *z, size_t rows);

/* The kernels of small batches; NULL for OpenBLAS. */
struct model_kernel;
const struct model_kernel *model_kernel_chosen(void);

/* The i-th number of SplitMix64's sequence from `seed` (Steele et al. 2014): any element without the others. */
uint64_t model_splitmix(uint64_t seed, uint64_t i);
void model_kmeans_init(const struct ft_model_spec *spec, uint64_t seed, float *params);

/* True when no element is a NaN or infinity. Integer arithmetic, so it vectorises. */
bool floats_finite(const float *v, size_t count);

#endif
