/*
 * Convolutional layers in front of a network's dense ones: images in, a flat vector out. Channels come last:
 * an image is (height, width, channels), a layer's weights are (kernel, kernel, channels in, channels out). The edges
 * are padded with zeros so that a convolution keeps height and width; then comes max pooling over squares that do not
 * overlap (what is left over at the right and bottom is dropped), then the activation. Products (product.h)
 * go one image at a time: the patches of an image are laid out as rows, so a convolution is one matrix product.
 */
#ifndef FT_MODEL_CONV_H
#define FT_MODEL_CONV_H

#include "common/model/model.h"

struct conv_layer {
    uint32_t height, width, in; /* of its input */
    uint32_t out, kernel, pool;
    uint32_t out_height, out_width; /* after pooling */
    size_t weights;                 /* offset of (kernel * kernel * in, out) in the flat vector */
    size_t biases;                  /* offset of (out) */
};

/* Fills layers from a checked spec, offsets from 0; returns the parameters. */
size_t conv_layers(const struct ft_model_spec *spec, struct conv_layer layers[FT_MODEL_CONV_MAX]);

/* Values of one image after the layer; and of its weights. */
size_t conv_outputs(const struct conv_layer *layer);
size_t conv_weights(const struct conv_layer *layer);

/* Workspace of some rows. */
struct conv_work;
FT_NODISCARD enum ft_status conv_open(const struct ft_model_spec *spec, size_t rows_max, struct conv_work **out);
void conv_close(struct conv_work *w); /* wipes; NULL is allowed */

/* The rows' values after the last layer, (rows, outputs of the last layer); valid until the next call. `room`: PRODUCT_ROOM. */
const float *conv_forward(struct conv_work *w, const float *params, const float *x, size_t rows,
                          float *room);

/* After conv_forward of the same rows: adds the gradient of weights and biases to grad when `keep`, or writes it.
 * `down` is the gradient of conv_forward's result before the activation. */
void conv_backward(struct conv_work *w, const float *params, const float *x, size_t rows, bool keep, const float *down,
                   float *grad, float *room);

#endif
