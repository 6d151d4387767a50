#include "common/model/model_internal.h"

#include <math.h>
#include <string.h>

static bool
has_hidden(const struct ft_model_spec *spec)
{
    return spec->kind == FT_MODEL_MLP;
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
    case FT_MODEL_MLP:
        if (spec->classes == 1)
            return ft_fail(err, FT_ERR_ARGUMENT, "a perceptron has 1 class; it needs 0, 2 or more");
        if (spec->hidden_count < 1 || spec->hidden_count > FT_MODEL_HIDDEN_MAX)
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
    if ((spec->kind == FT_MODEL_SOFTMAX || spec->kind == FT_MODEL_MLP) && spec->classes > FT_MODEL_CLASSES_MAX)
        return ft_fail(err, FT_ERR_ARGUMENT, "a model has %u classes; at most %d are allowed", spec->classes,
                       FT_MODEL_CLASSES_MAX);
    in = spec->features;
    for (uint32_t l = 0; has_hidden(spec) && l < spec->hidden_count; l++) {
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
    if (spec->kind == FT_MODEL_SOFTMAX)
        return spec->classes;
    if (spec->kind == FT_MODEL_MLP && spec->classes > 2)
        return spec->classes;
    return 1;
}

bool
ft_model_is_binary(const struct ft_model_spec *spec)
{
    return spec->kind == FT_MODEL_LOGISTIC || (spec->kind == FT_MODEL_MLP && spec->classes <= 2);
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
    return ft_model_is_binary(spec) ? HEAD_LOGISTIC : HEAD_SOFTMAX;
}

void
model_shape_of(const struct ft_model_spec *spec, struct model_shape *shape)
{
    const uint32_t hidden = has_hidden(spec) ? spec->hidden_count : 0;
    size_t at = 0;
    uint32_t in = spec->features;

    memset(shape, 0, sizeof *shape);
    shape->layer_count = hidden + 1;
    shape->head = head_of(spec);
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
    shape->parameters = at;
}

uint64_t
ft_model_parameters(const struct ft_model_spec *spec)
{
    struct model_shape shape;
    model_shape_of(spec, &shape);
    return shape.parameters;
}

/* The i-th number of SplitMix64's sequence from `seed` (Steele et al. 2014): any element without the others. */
static uint64_t
splitmix(uint64_t seed, uint64_t i)
{
    uint64_t z = seed + (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void
ft_model_init(const struct ft_model_spec *spec, uint64_t seed, float *params)
{
    struct model_shape shape;

    model_shape_of(spec, &shape);
    memset(params, 0, shape.parameters * sizeof *params);
    if (!has_hidden(spec))
        return;
    for (uint32_t l = 0; l < shape.layer_count; l++) {
        const struct model_layer *layer = &shape.layers[l];
        const bool he = spec->activation == FT_ACT_RELU && l + 1 < shape.layer_count;
        const double fan = he ? layer->in : (double)layer->in + layer->out;
        /* sqrt and the division are exactly rounded by IEEE 754: the same bits everywhere */
        const double bound = sqrt(6.0 / fan);
        for (size_t i = layer->weights; i < layer->biases; i++) {
            const int64_t k = (int64_t)(splitmix(seed, i) >> 40) - (1 << 23); /* 24 bits around zero */
            params[i] = (float)(((double)k + 0.5) * bound * 0x1p-23);
        }
    }
}

double
ft_model_penalty(const struct ft_model_spec *spec, const float *params, double weight_decay)
{
    struct model_shape shape;
    double sum = 0;

    model_shape_of(spec, &shape);
    for (uint32_t l = 0; l < shape.layer_count; l++)
        for (size_t i = shape.layers[l].weights; i < shape.layers[l].biases; i++)
            sum += (double)params[i] * (double)params[i];
    return 0.5 * weight_decay * sum;
}
