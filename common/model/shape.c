#include "common/model/model_internal.h"

#include <math.h>
#include <string.h>

bool
ft_model_is_network(const struct ft_model_spec *spec)
{
    return spec->kind == FT_MODEL_MLP || spec->kind == FT_MODEL_CNN;
}

/* The images' sizes through the convolutions; *outputs: values behind the last. */
static enum ft_status
conv_check(const struct ft_model_spec *spec, uint32_t *outputs, struct ft_error *err)
{
    uint64_t height = spec->image[0], width = spec->image[1], channels = spec->image[2];

    if (spec->conv_count < 1 || spec->conv_count > FT_MODEL_CONV_MAX)
        return ft_fail(err, FT_ERR_ARGUMENT, "a convolutional network has %u convolutions; 1 to %d are allowed",
                       spec->conv_count, FT_MODEL_CONV_MAX);
    if (height < 1 || width < 1 || channels < 1 || height > FT_MODEL_WIDTH_MAX || width > FT_MODEL_WIDTH_MAX ||
        channels > FT_MODEL_WIDTH_MAX || height * width * channels != spec->features)
        return ft_fail(err, FT_ERR_ARGUMENT, "an image of %llu x %llu pixels and %llu channels is not %u features",
                       (unsigned long long)height, (unsigned long long)width, (unsigned long long)channels,
                       spec->features);
    for (uint32_t l = 0; l < spec->conv_count; l++) {
        const struct ft_model_conv *c = &spec->conv[l];
        if (c->channels < 1 || c->channels > FT_MODEL_CHANNELS_MAX)
            return ft_fail(err, FT_ERR_ARGUMENT, "convolution %u has %u channels; 1 to %d are allowed", l + 1,
                           c->channels, FT_MODEL_CHANNELS_MAX);
        if (c->kernel < 1 || c->kernel > FT_MODEL_KERNEL_MAX || c->kernel % 2 == 0)
            return ft_fail(err, FT_ERR_ARGUMENT, "convolution %u has a kernel of %u; odd sides up to %d are allowed",
                           l + 1, c->kernel, FT_MODEL_KERNEL_MAX);
        if (c->pool < 1 || c->pool > FT_MODEL_POOL_MAX || c->pool > height || c->pool > width)
            return ft_fail(err, FT_ERR_ARGUMENT,
                           "convolution %u pools %u of %llu x %llu pixels; 1 to %d within the image are allowed", l + 1,
                           c->pool, (unsigned long long)height, (unsigned long long)width, FT_MODEL_POOL_MAX);
        if (height * width * c->kernel * c->kernel * channels > FT_MODEL_PATCHES_MAX ||
            height * width * c->channels > FT_MODEL_PATCHES_MAX)
            return ft_fail(err, FT_ERR_LIMIT, "convolution %u is too large for its image", l + 1);
        height /= c->pool;
        width /= c->pool;
        channels = c->channels;
    }
    if (height * width * channels > FT_MODEL_PARAMETERS_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "the convolutions' result is too large");
    *outputs = (uint32_t)(height * width * channels);
    return FT_OK;
}

enum ft_status
ft_model_spec_check(const struct ft_model_spec *spec, struct ft_error *err)
{
    uint32_t in;
    uint64_t parameters = 0;

    switch (spec->kind) {
    case FT_MODEL_LINEAR:
    case FT_MODEL_LOGISTIC:
    case FT_MODEL_POISSON:
        break;
    case FT_MODEL_SOFTMAX:
        if (spec->classes < 2)
            return ft_fail(err, FT_ERR_ARGUMENT, "a softmax model has %u classes; it needs 2 or more",
                           spec->classes);
        break;
    case FT_MODEL_KMEANS:
        if (spec->classes < 2 || spec->classes > FT_MODEL_CLUSTERS_MAX)
            return ft_fail(err, FT_ERR_ARGUMENT, "k-means with %u clusters; 2 to %d are allowed", spec->classes,
                           FT_MODEL_CLUSTERS_MAX);
        break;
    case FT_MODEL_MLP:
    case FT_MODEL_CNN:
        if (spec->classes == 1)
            return ft_fail(err, FT_ERR_ARGUMENT, "a perceptron has 1 class; it needs 0, 2 or more");
        if ((spec->hidden_count < 1 && spec->kind == FT_MODEL_MLP) || spec->hidden_count > FT_MODEL_HIDDEN_MAX)
            return ft_fail(err, FT_ERR_ARGUMENT, "a perceptron has %u hidden layers; 1 to %d are allowed",
                           spec->hidden_count, FT_MODEL_HIDDEN_MAX);
        if (spec->activation != FT_ACT_RELU && spec->activation != FT_ACT_TANH)
            return ft_fail(err, FT_ERR_ARGUMENT, "unknown activation %u", (unsigned)spec->activation);
        break;
    default:
        return ft_fail(err, FT_ERR_ARGUMENT, "unknown kind of model %u", (unsigned)spec->kind);
    }
    if (spec->features < 1 || spec->features > FT_MODEL_WIDTH_MAX)
        return ft_fail(err, FT_ERR_ARGUMENT, "a model has %u features; 1 to %d are allowed", spec->features,
                       FT_MODEL_WIDTH_MAX);
    if ((spec->kind == FT_MODEL_SOFTMAX || ft_model_is_network(spec)) && spec->classes > FT_MODEL_CLASSES_MAX)
        return ft_fail(err, FT_ERR_ARGUMENT, "a model has %u classes; at most %d are allowed", spec->classes,
                       FT_MODEL_CLASSES_MAX);
    in = spec->features;
    if (spec->kind == FT_MODEL_CNN) {
        struct conv_layer conv[FT_MODEL_CONV_MAX];
        const enum ft_status st = conv_check(spec, &in, err);
        if (st != FT_OK)
            return st;
        parameters = conv_layers(spec, conv);
    }
    for (uint32_t l = 0; ft_model_is_network(spec) && l < spec->hidden_count; l++) {
        if (spec->hidden[l] < 1 || spec->hidden[l] > FT_MODEL_WIDTH_MAX)
            return ft_fail(err, FT_ERR_ARGUMENT, "hidden layer %u has width %u; 1 to %d are allowed", l + 1,
                           spec->hidden[l], FT_MODEL_WIDTH_MAX);
        parameters += ((uint64_t)in + 1) * spec->hidden[l];
        in = spec->hidden[l];
    }
    parameters += ((uint64_t)in + 1) * ft_model_outputs(spec);
    if (parameters > FT_MODEL_PARAMETERS_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "a model has %llu parameters; at most %llu are allowed",
                       (unsigned long long)parameters, (unsigned long long)FT_MODEL_PARAMETERS_MAX);
    return FT_OK;
}

uint32_t
ft_model_outputs(const struct ft_model_spec *spec)
{
    if (spec->kind == FT_MODEL_SOFTMAX || ft_model_is_clusters(spec))
        return spec->classes;
    if (ft_model_is_network(spec) && spec->classes > 2)
        return spec->classes;
    return 1;
}

bool
ft_model_is_clusters(const struct ft_model_spec *spec)
{
    return spec->kind == FT_MODEL_KMEANS;
}

bool
ft_model_is_binary(const struct ft_model_spec *spec)
{
    return spec->kind == FT_MODEL_LOGISTIC || (ft_model_is_network(spec) && spec->classes <= 2);
}

bool
ft_model_is_regression(const struct ft_model_spec *spec)
{
    return spec->kind == FT_MODEL_LINEAR || spec->kind == FT_MODEL_POISSON;
}

static enum model_head
head_of(const struct ft_model_spec *spec)
{
    if (spec->kind == FT_MODEL_LINEAR)
        return HEAD_LINEAR;
    if (spec->kind == FT_MODEL_POISSON)
        return HEAD_POISSON;
    if (ft_model_is_clusters(spec))
        return HEAD_CLUSTERS;
    return ft_model_is_binary(spec) ? HEAD_LOGISTIC : HEAD_SOFTMAX;
}

void
model_shape_of(const struct ft_model_spec *spec, struct model_shape *shape)
{
    const uint32_t hidden = ft_model_is_network(spec) ? spec->hidden_count : 0;
    size_t at = 0;
    uint32_t in = spec->features;

    memset(shape, 0, sizeof *shape);
    shape->layer_count = hidden + 1;
    shape->head = head_of(spec);
    if (spec->kind == FT_MODEL_CNN) {
        shape->conv_count = spec->conv_count;
        at = conv_layers(spec, shape->conv);
        in = (uint32_t)conv_outputs(&shape->conv[spec->conv_count - 1]);
        shape->width_max = in;
    }
    for (uint32_t l = 0; l <= hidden; l++) {
        struct model_layer *layer = &shape->layers[l];
        layer->in = in;
        layer->out = l < hidden ? spec->hidden[l] : ft_model_outputs(spec);
        layer->weights = at;
        layer->biases = at + (size_t)layer->in * layer->out;
        at = layer->biases + layer->out;
        if (layer->out > shape->width_max)
            shape->width_max = layer->out;
        in = layer->out;
    }
    if (ft_model_is_clusters(spec)) /* no biases */
        at = shape->layers[0].biases;
    shape->parameters = at;
}

uint64_t
ft_model_parameters(const struct ft_model_spec *spec)
{
    struct model_shape shape;
    model_shape_of(spec, &shape);
    return shape.parameters;
}

uint64_t
model_splitmix(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Uniform in +-sqrt(6 / fan). */
static void
draw(uint64_t seed, double fan, size_t from, size_t to, float *params)
{
    /* sqrt and the division are exactly rounded by IEEE 754: the same bits everywhere */
    const double bound = sqrt(6.0 / fan);

    for (size_t i = from; i < to; i++) {
        const int64_t k = (int64_t)(model_splitmix(seed, i) >> 40) - (1 << 23); /* 24 bits around zero */
        params[i] = (float)(((double)k + 0.5) * bound * 0x1p-23);
    }
}

void
ft_model_init(const struct ft_model_spec *spec, uint64_t seed, float *params)
{
    struct model_shape shape;

    model_shape_of(spec, &shape);
    if (ft_model_is_clusters(spec)) {
        model_kmeans_init(spec, seed, params);
        return;
    }
    memset(params, 0, shape.parameters * sizeof *params);
    if (!ft_model_is_network(spec))
        return;
    for (uint32_t l = 0; l < shape.conv_count; l++) {
        const struct conv_layer *layer = &shape.conv[l];
        const double in = (double)layer->kernel * layer->kernel * layer->in;
        const double out = (double)layer->kernel * layer->kernel * layer->out;
        draw(seed, spec->activation == FT_ACT_RELU ? in : in + out, layer->weights, layer->biases, params);
    }
    for (uint32_t l = 0; l < shape.layer_count; l++) {
        const struct model_layer *layer = &shape.layers[l];
        const bool he = spec->activation == FT_ACT_RELU && l + 1 < shape.layer_count;
        draw(seed, he ? layer->in : (double)layer->in + layer->out, layer->weights, layer->biases, params);
    }
}

uint32_t
model_weight_blocks(const struct model_shape *shape)
{
    return shape->conv_count + shape->layer_count;
}

size_t
model_weight_block(const struct model_shape *shape, uint32_t block, uint32_t *count)
{
    const bool conv = block < shape->conv_count;
    const uint32_t l = conv ? block : block - shape->conv_count;
    const size_t weights = conv ? shape->conv[l].weights : shape->layers[l].weights;

    *count = (uint32_t)((conv ? shape->conv[l].biases : shape->layers[l].biases) - weights);
    return weights;
}

double
ft_model_penalty(const struct ft_model_spec *spec, const float *params, double weight_decay)
{
    struct model_shape shape;
    double sum = 0;

    model_shape_of(spec, &shape);
    for (uint32_t b = 0, count; b < model_weight_blocks(&shape); b++) {
        const float *w = params + model_weight_block(&shape, b, &count);
        for (uint32_t i = 0; i < count; i++)
            sum += (double)w[i] * (double)w[i];
    }
    return 0.5 * weight_decay * sum;
}
