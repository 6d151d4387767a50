/* What the kernels share: the tables, and arithmetic that gives the same bits at any number of lanes. */
#ifndef FT_MODEL_KERNEL_KERNEL_INTERNAL_H
#define FT_MODEL_KERNEL_KERNEL_INTERNAL_H

#include "common/model/kernel/kernel.h"

#include <math.h>
#include <string.h>

extern const struct model_kernel kernel_plain;
#if defined(__x86_64__)
extern const struct model_kernel kernel_avx2, kernel_avx512;
#endif

#define KERNEL_INLINE static inline __attribute__((always_inline))

/* Columns of the tile that starts at column c. */
KERNEL_INLINE size_t
tile_width(const struct kernel_layer *layer, size_t c)
{
    return layer->out_padded - c >= KERNEL_TILE ? KERNEL_TILE : KERNEL_HALF;
}

/* e^x within 2 units in the last place, by products and sums that vectorise; overflows to infinity, and stays at
 * the smallest normal number below it. */
KERNEL_INLINE float
kernel_exp(float x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: the sum's low bits are the rounded whole number */
    const float low = x < -87.0f ? -87.0f : x, v = low > 88.0f ? 88.0f : low;
    const float shifted = v * 1.44269504088896341f + magic, n = shifted - magic;
    const float r = (v - n * 0.693359375f) - n * -2.12194440e-4f;
    const float high = 8.3334519073e-3f + r * (1.3981999507e-3f + r * 1.9875691500e-4f); /* Cephes */
    const float p = 1.0f + (r + r * r * (5.0000001201e-1f + r * (1.6666665459e-1f + r * (4.1665795894e-2f + r * high))));
    uint32_t bits;
    float scale;

    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000u; /* what magic adds to the bits is shifted out */
    memcpy(&scale, &bits, sizeof scale);
    return x > 88.0f ? INFINITY : p * scale;
}

KERNEL_INLINE float
kernel_sigmoid(float z)
{
    const float e = kernel_exp(-fabsf(z));
    return (z >= 0 ? 1.0f : e) / (1.0f + e);
}

/* tanh as a quotient of polynomials on [-7.905, 7.905], beyond which float32 has nothing left: within 3e-7, and
 * without branches or calls, so that it vectorises. Coefficients: Eigen's float tanh. */
KERNEL_INLINE float
kernel_tanh(float v)
{
    const float top = v > 7.90531110763549805f ? 7.90531110763549805f : v;
    const float x = top < -7.90531110763549805f ? -7.90531110763549805f : top;
    const float x2 = x * x;
    const float high = -8.60467152213735e-11f + x2 * (2.00018790482477e-13f + x2 * -2.76076847742355e-16f);
    const float low = 1.48572235717979e-05f + x2 * (5.12229709037114e-08f + x2 * high);
    const float p = x * (4.89352455891786e-03f + x2 * (6.37261928875436e-04f + x2 * low));
    const float q = 4.89352518554385e-03f +
                    x2 * (2.26843463243900e-03f + x2 * (1.18534705686654e-04f + x2 * 1.19825839466702e-06f));
    return p / q;
}

/* One row of `count` (a multiple of 16) outputs of a layer. */
KERNEL_INLINE void
kernel_activate(enum kernel_activation activation, float *restrict v, size_t count)
{
    if (activation == KERNEL_ACT_RELU)
        for (size_t i = 0; i < count; i++)
            v[i] = v[i] < 0 ? 0 : v[i]; /* a NaN stays one */
    else if (activation == KERNEL_ACT_TANH)
        for (size_t i = 0; i < count; i++)
            v[i] = kernel_tanh(v[i]);
}

/* Gradients through the activation whose output is `act`. */
KERNEL_INLINE void
kernel_slope(enum kernel_activation activation, const float *restrict act, float *restrict v, size_t count)
{
    if (activation == KERNEL_ACT_RELU)
        for (size_t i = 0; i < count; i++)
            v[i] = act[i] > 0 ? v[i] : 0;
    else if (activation == KERNEL_ACT_TANH)
        for (size_t i = 0; i < count; i++)
            v[i] *= 1.0f - act[i] * act[i];
}

/* One row of a softmax: exponentials of 16 columns at a time, their sum upwards. z is in panels of one row. */
KERNEL_INLINE void
kernel_softmax_row(uint32_t outputs, const float *z, float y, size_t panel, float scale, float *dz)
{
    const uint32_t label = y >= 0 && y < (float)outputs ? (uint32_t)y : outputs;
    float top = z[0], sum = 0;

    for (size_t c = 0; c < outputs; c++) {
        const float v = z[c / KERNEL_PANEL * panel + c % KERNEL_PANEL];
        top = v > top ? v : top;
    }
    for (size_t c = 0; c < outputs; c += KERNEL_HALF) {
        const float *from = z + c / KERNEL_PANEL * panel + c % KERNEL_PANEL;
        float *to = dz + c / KERNEL_PANEL * panel + c % KERNEL_PANEL;
        const size_t n = outputs - c < KERNEL_HALF ? outputs - c : KERNEL_HALF;
        float e[KERNEL_HALF];
        for (size_t i = 0; i < KERNEL_HALF; i++)
            e[i] = kernel_exp(from[i] - top);
        for (size_t i = 0; i < n; i++) {
            to[i] = e[i];
            sum += e[i];
        }
    }
    for (size_t c = 0; c < outputs; c++) {
        float *to = dz + c / KERNEL_PANEL * panel + c % KERNEL_PANEL;
        *to = (*to / sum - (c == label ? 1.0f : 0)) * scale;
    }
    if (label == outputs)
        dz[0] = NAN; /* no such class: the step is refused as not finite */
}

/* dz of the heads with one output, from z and y. */
KERNEL_INLINE float
kernel_head_one(enum kernel_head head, float z, float y)
{
    if (head == KERNEL_HEAD_LOGISTIC)
        return kernel_sigmoid(z) - y;
    if (head == KERNEL_HEAD_POISSON)
        return kernel_exp(z) - y;
    return z - y;
}

KERNEL_INLINE void
kernel_head(enum kernel_head head, uint32_t outputs, const float *z, const float *y, size_t rows, float scale,
            size_t rows_max, float *dz)
{
    if (head == KERNEL_HEAD_SOFTMAX) {
        for (size_t i = 0; i < rows; i++)
            kernel_softmax_row(outputs, z + i * KERNEL_PANEL, y[i], rows_max * KERNEL_PANEL, scale,
                               dz + i * KERNEL_PANEL);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        dz[i * KERNEL_PANEL] = kernel_head_one(head, z[i * KERNEL_PANEL], y[i]) * scale;
}

/* The step of one number; the vector kernels do the same in lanes. */
KERNEL_INLINE void
kernel_step_one(const struct kernel_step *s, size_t at, float g, bool weight)
{
    if (weight && s->decay > 0)
        g = fmaf(s->decay, s->w[at], g);
    if (s->start != NULL)
        g = fmaf(s->pull, s->w[at] - s->start[at], g);
    if (s->shift != NULL)
        g = g + s->shift[at];
    if (s->velocity != NULL)
        g = s->velocity[at] = fmaf(s->momentum, s->velocity[at], g);
    s->w[at] = fmaf(-s->rate, g, s->w[at]);
}

#endif
