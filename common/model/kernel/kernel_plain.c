/* The oracle: one loop nest an operation, each sum in the order that kernel.h states. */
#include "common/model/kernel/kernel_internal.h"

static void
forward(const struct kernel_layer *layer, const float *w, const float *in, size_t rows, size_t rows_max,
        enum kernel_activation activation, float *out)
{
    const float *tile = w + layer->weights;

    for (size_t c = 0; c < layer->out_padded; c += KERNEL_TILE) {
        const size_t width = tile_width(layer, c);
        for (size_t i = 0; i < rows; i++) {
            float *restrict z = out + c / KERNEL_PANEL * rows_max * KERNEL_PANEL + i * KERNEL_PANEL + c % KERNEL_PANEL;
            memcpy(z, w + layer->biases + c, width * sizeof *z);
            for (size_t k = 0; k < layer->in; k++) {
                const float x = in[k / KERNEL_PANEL * rows_max * KERNEL_PANEL + i * KERNEL_PANEL + k % KERNEL_PANEL];
                const float *restrict row = tile + k * width;
                for (size_t j = 0; j < width; j++)
                    z[j] = fmaf(x, row[j], z[j]);
            }
            kernel_activate(activation, z, width);
        }
        tile += layer->in_padded * width;
    }
}

static void
head(enum kernel_head kind, uint32_t outputs, const float *z, const float *y, size_t rows, size_t rows_max,
     float scale, float *dz)
{
    kernel_head(kind, outputs, z, y, rows, scale, rows_max, dz);
}

static void
down(const struct kernel_layer *layer, const float *w, const float *dz, size_t rows, size_t rows_max,
     enum kernel_activation activation, const float *act, size_t from, size_t to, float *into)
{
    for (size_t k = from; k < to; k++) {
        const size_t panel = k / KERNEL_PANEL * rows_max * KERNEL_PANEL + k % KERNEL_PANEL;
        for (size_t i = 0; i < rows; i++) {
            const size_t at = panel + i * KERNEL_PANEL;
            const float *tile = w + layer->weights;
            float sum = 0;
            for (size_t c = 0; c < layer->out_padded; c += KERNEL_TILE) {
                const size_t width = tile_width(layer, c);
                const float *z = dz + c / KERNEL_PANEL * rows_max * KERNEL_PANEL + i * KERNEL_PANEL + c % KERNEL_PANEL;
                for (size_t j = 0; j < width; j++)
                    sum = fmaf(z[j], tile[k * width + j], sum);
                tile += layer->in_padded * width;
            }
            into[at] = sum;
            kernel_slope(activation, act + at, into + at, 1);
        }
    }
}

static void
update(const struct kernel_layer *layer, const struct kernel_step *step, const float *in, const float *dz,
       size_t rows, size_t rows_max, size_t from, size_t to)
{
    size_t tile = layer->weights;

    for (size_t c = 0; c < layer->out_padded; c += KERNEL_TILE) {
        const size_t width = tile_width(layer, c);
        const float *z = dz + c / KERNEL_PANEL * rows_max * KERNEL_PANEL + c % KERNEL_PANEL;
        float g[KERNEL_TILE];
        for (size_t k = from; k < to; k++) {
            const float *x = in + k / KERNEL_PANEL * rows_max * KERNEL_PANEL + k % KERNEL_PANEL;
            memset(g, 0, sizeof g);
            for (size_t i = 0; i < rows; i++)
                for (size_t j = 0; j < width; j++)
                    g[j] = fmaf(x[i * KERNEL_PANEL], z[i * KERNEL_PANEL + j], g[j]);
            for (size_t j = 0; j < width; j++)
                kernel_step_one(step, tile + k * width + j, g[j], true);
        }
        if (from == 0) {
            memset(g, 0, sizeof g);
            for (size_t i = 0; i < rows; i++)
                for (size_t j = 0; j < width; j++)
                    g[j] += z[i * KERNEL_PANEL + j];
            for (size_t j = 0; j < width; j++)
                kernel_step_one(step, layer->biases + c + j, g[j], false);
        }
        tile += layer->in_padded * width;
    }
}

static float
dot(const float *x, const float *w, uint32_t in)
{
    float sum[KERNEL_HALF] = { 0 };

    for (uint32_t k = 0; k < in; k++)
        sum[k % KERNEL_HALF] = fmaf(x[k], w[k], sum[k % KERNEL_HALF]);
    for (size_t half = KERNEL_HALF / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            sum[l] += sum[l + half];
    return sum[0];
}

static void
line(const struct kernel_line *l, const struct kernel_step *step)
{
    const size_t bias = (l->in + KERNEL_HALF - 1) / KERNEL_HALF * KERNEL_HALF;
    const float scale = 1.0f / (float)l->count;
    float dz[KERNEL_LINE_ROWS], sum = 0;

    for (size_t i = 0; i < l->count; i++)
        dz[i] = kernel_head_one(l->head, dot(l->rows[i], step->w, l->in) + step->w[bias], l->y[i]) * scale;
    for (uint32_t k = 0; k < l->in; k++) {
        float g = 0;
        for (size_t i = 0; i < l->count; i++)
            g = fmaf(dz[i], l->rows[i][k], g);
        kernel_step_one(step, k, g, true);
    }
    for (size_t i = 0; i < l->count; i++)
        sum += dz[i];
    kernel_step_one(step, bias, sum, false);
}

static void
product(const struct kernel_product *p, float *room)
{
    (void)room;
    for (size_t i = 0; i < p->m; i++) {
        float *restrict c = p->c + i * p->c_row;
        if (!p->add)
            memset(c, 0, p->n * sizeof *c);
        for (size_t l = 0; l < p->k; l++) {
            const float one = p->a[i * p->a_row + l * p->a_step];
            for (size_t j = 0; j < p->n; j++)
                c[j] = fmaf(one, p->b[l * p->b_step + j * p->b_col], c[j]);
        }
    }
}

static void
dots(const float *x, size_t rows, size_t count, const float *w, float bias, float *out)
{
    for (size_t i = 0; i < rows; i++)
        out[i] = dot(x + i * count, w, (uint32_t)count) + bias;
}

const struct model_kernel kernel_plain = { "plain", forward, head, down, update, line, product, dots };
