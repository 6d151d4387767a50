/* The output layers: losses, gradients and predictions from z, without overflow, the same bits on every machine. */
#include "common/base/real.h"
#include "common/model/kernel/kernel_internal.h"
#include "common/model/model_internal.h"

#include <math.h>
#include <string.h>

static double
softplus(double z)
{
    return (z > 0 ? z : 0) + ft_real_log1p(ft_real_exp(-fabs(z)));
}

/* Below the smallest normal number e^x is 0. */
static float
exponential(float x)
{
    return x < -87.0f ? 0.0f : kernel_exp(x);
}

static float
sigmoid(float z)
{
    const float e = exponential(-fabsf(z));
    return (z >= 0 ? 1.0f : e) / (1.0f + e);
}

/* Class number of a label, or `classes` for one that is none. */
static uint32_t
class_of(float y, uint32_t classes)
{
    return y >= 0 && y < (float)classes ? (uint32_t)y : classes;
}

static double
softmax_loss(const float *z, uint32_t classes, float y)
{
    const uint32_t label = class_of(y, classes);
    double top = (double)z[0], sum = 0;

    if (label == classes)
        return NAN;
    for (uint32_t k = 1; k < classes; k++)
        if ((double)z[k] > top)
            top = (double)z[k];
    for (uint32_t k = 0; k < classes; k++)
        sum += ft_real_exp((double)z[k] - top);
    return ft_real_log(sum) + top - (double)z[label];
}

uint32_t
head_nearest(const float *z, uint32_t clusters)
{
    uint32_t best = 0;
    for (uint32_t k = 1; k < clusters; k++)
        best = z[k] < z[best] ? k : best;
    return best;
}

void
head_losses(enum model_head head, uint32_t outputs, const float *z, const float *y, size_t rows, double *losses)
{
    switch (head) {
    case HEAD_LINEAR:
        for (size_t i = 0; i < rows; i++) {
            const double d = (double)z[i] - (double)y[i];
            losses[i] = 0.5 * d * d;
        }
        break;
    case HEAD_LOGISTIC:
        for (size_t i = 0; i < rows; i++)
            losses[i] = softplus((double)z[i]) - (double)y[i] * (double)z[i];
        break;
    case HEAD_SOFTMAX:
        for (size_t i = 0; i < rows; i++)
            losses[i] = softmax_loss(z + i * outputs, outputs, y[i]);
        break;
    case HEAD_POISSON:
        for (size_t i = 0; i < rows; i++)
            losses[i] = ft_real_exp((double)z[i]) - (double)y[i] * (double)z[i];
        break;
    case HEAD_CLUSTERS:
        for (size_t i = 0; i < rows; i++)
            losses[i] = (double)z[i * outputs + head_nearest(z + i * outputs, outputs)];
        break;
    }
}

/* Probabilities in place: shifted by the largest, so that no exponential overflows. */
static void
softmax_row(float *z, uint32_t classes)
{
    float top = z[0], sum = 0;
    for (uint32_t k = 1; k < classes; k++)
        top = z[k] > top ? z[k] : top;
    for (uint32_t k = 0; k < classes; k++) {
        z[k] = exponential(z[k] - top);
        sum += z[k];
    }
    for (uint32_t k = 0; k < classes; k++)
        z[k] /= sum;
}

void
head_predict(enum model_head head, uint32_t outputs, float *z, size_t rows)
{
    switch (head) {
    case HEAD_LINEAR:
        break;
    case HEAD_LOGISTIC:
        for (size_t i = 0; i < rows; i++)
            z[i] = sigmoid(z[i]);
        break;
    case HEAD_SOFTMAX:
        for (size_t i = 0; i < rows; i++)
            softmax_row(z + i * outputs, outputs);
        break;
    case HEAD_POISSON:
        for (size_t i = 0; i < rows; i++)
            z[i] = exponential(z[i]);
        break;
    case HEAD_CLUSTERS:
        for (size_t i = 0; i < rows; i++) {
            const uint32_t best = head_nearest(z + i * outputs, outputs);
            for (uint32_t k = 0; k < outputs; k++)
                z[i * outputs + k] = k == best;
        }
        break;
    }
}

void
head_gradient(enum model_head head, uint32_t outputs, const float *z, const float *y, size_t rows, float scale,
              float *dz)
{
    const size_t count = rows * outputs;

    memcpy(dz, z, count * sizeof *dz);
    head_predict(head, outputs, dz, rows);
    if (head == HEAD_SOFTMAX) {
        for (size_t i = 0; i < rows; i++) {
            const uint32_t label = class_of(y[i], outputs);
            if (label < outputs)
                dz[i * outputs + label] -= 1.0f;
            else
                dz[i * outputs] = NAN; /* no such class: the gradient is refused as not finite */
        }
    } else {
        for (size_t i = 0; i < rows; i++)
            dz[i] -= y[i];
    }
    for (size_t i = 0; i < count; i++)
        dz[i] *= scale;
}
