/*
 * The oracle of the model tests: the objective of every kind of model as plain loops in double, written from the
 * table in model.h and nothing else; and small deterministic data to try it on.
 */
#ifndef FT_TEST_MODEL_REFERENCE_H
#define FT_TEST_MODEL_REFERENCE_H

#include "common/model/model.h"

#include <math.h>

/* A number in [-1, 1) from a counter: a linear congruential generator's high bits. */
static inline double
reference_noise(uint32_t i)
{
    uint32_t v = i * 2654435761u + 12345u;
    v ^= v >> 15;
    v *= 2246822519u;
    v ^= v >> 13;
    return (double)v / 2147483648.0 - 1;
}

static inline double
reference_loss_of(const struct ft_model_spec *spec, const double *params, const double *x, float y)
{
    static double a[64], b[64];
    const uint32_t hidden = spec->kind == FT_MODEL_MLP ? spec->hidden_count : 0;
    uint32_t in = spec->features, outputs = 1;
    double sum = 0;

    if (spec->kind == FT_MODEL_SOFTMAX || (spec->kind == FT_MODEL_MLP && spec->classes > 2))
        outputs = spec->classes;
    for (uint32_t j = 0; j < in; j++)
        a[j] = x[j];
    for (uint32_t l = 0; l <= hidden; l++) {
        const uint32_t out = l < hidden ? spec->hidden[l] : outputs;
        for (uint32_t k = 0; k < out; k++) {
            b[k] = params[in * out + k];
            for (uint32_t j = 0; j < in; j++)
                b[k] += a[j] * params[j * out + k];
            if (l < hidden)
                b[k] = spec->activation == FT_ACT_RELU ? (b[k] > 0 ? b[k] : 0) : tanh(b[k]);
        }
        for (uint32_t k = 0; k < out; k++)
            a[k] = b[k];
        params += (in + 1) * out;
        in = out;
    }
    switch (spec->kind) {
    case FT_MODEL_LINEAR:
        return (a[0] - (double)y) * (a[0] - (double)y) / 2;
    case FT_MODEL_POISSON:
        return exp(a[0]) - (double)y * a[0];
    default:
        if (outputs == 1)
            return log(1 + exp(a[0])) - (double)y * a[0];
        for (uint32_t k = 0; k < outputs; k++)
            sum += exp(a[k]);
        return log(sum) - a[(uint32_t)y];
    }
}

static inline double
reference_loss(const struct ft_model_spec *spec, const double *params, const float *x, float y)
{
    double wide[64];
    for (uint32_t j = 0; j < spec->features; j++)
        wide[j] = (double)x[j];
    return reference_loss_of(spec, params, wide, y);
}

/* Mean loss + weight_decay/2 |w|^2, biases free. */
static inline double
reference_objective(const struct ft_model_spec *spec, const double *params, const struct ft_dataset *data,
                    double weight_decay)
{
    const uint32_t hidden = spec->kind == FT_MODEL_MLP ? spec->hidden_count : 0;
    uint32_t in = spec->features;
    double sum = 0, squares = 0;
    const double *at = params;

    for (size_t i = 0; i < data->rows; i++)
        sum += reference_loss(spec, params, data->x + i * spec->features, data->y[i]);
    for (uint32_t l = 0; l <= hidden; l++) {
        const uint32_t out = l < hidden ? spec->hidden[l] : ft_model_outputs(spec);
        for (uint32_t j = 0; j < in * out; j++)
            squares += at[j] * at[j];
        at += (in + 1) * out;
        in = out;
    }
    return sum / (double)data->rows + weight_decay / 2 * squares;
}

#endif
