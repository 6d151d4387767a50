#include "common/model/kernel/kernel_internal.h"

size_t
kernel_list(const struct model_kernel *list[3])
{
    size_t n = 0;

    list[n++] = &kernel_plain;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        list[n++] = &kernel_avx2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
        list[n++] = &kernel_avx512;
#endif
    return n;
}

const struct model_kernel *
kernel_best(void)
{
    const struct model_kernel *list[3];
    const struct model_kernel *best = list[kernel_list(list) - 1];
#if defined(__FP_FAST_FMAF)
    return best;
#else
    return best != &kernel_plain ? best : NULL;
#endif
}

const struct model_kernel *
kernel_by_name(const char *name)
{
    const struct model_kernel *list[3];
    const size_t n = kernel_list(list);

    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i]->name, name) == 0)
            return list[i];
    return NULL;
}

static uint32_t
padded(uint32_t n)
{
    return (n + KERNEL_HALF - 1) / KERNEL_HALF * KERNEL_HALF;
}

size_t
kernel_layer_init(struct kernel_layer *layer, uint32_t in, uint32_t out, size_t at)
{
    layer->in = in;
    layer->out = out;
    layer->in_padded = padded(in);
    layer->out_padded = padded(out);
    layer->weights = at;
    layer->biases = at + (size_t)layer->in_padded * layer->out_padded;
    return layer->biases + layer->out_padded;
}

void
kernel_pack(const struct kernel_layer *layer, const float *weights, const float *biases, float *packed)
{
    float *to = packed + layer->weights;

    for (size_t c = 0; c < layer->out_padded; c += KERNEL_TILE) {
        const size_t width = tile_width(layer, c), n = layer->out - c < width ? layer->out - c : width;
        for (size_t k = 0; k < layer->in; k++, to += width) {
            memcpy(to, weights + k * layer->out + c, n * sizeof *to);
            for (size_t j = n; j < width; j++)
                to[j] = 0;
        }
        memset(to, 0, (layer->in_padded - layer->in) * width * sizeof *to);
        to += (layer->in_padded - layer->in) * width;
    }
    memset(packed + layer->biases, 0, layer->out_padded * sizeof *packed);
    memcpy(packed + layer->biases, biases, layer->out * sizeof *packed);
}

/* to = from - start; not 0 when one is not finite. */
static uint32_t
subtract(const float *restrict from, const float *restrict start, size_t count, float *restrict to)
{
    uint32_t bad = 0;

    for (size_t j = 0; j < count; j++) {
        const float d = from[j] - start[j];
        uint32_t bits;
        memcpy(&bits, &d, sizeof bits);
        bad |= (uint32_t)((bits & 0x7f800000u) == 0x7f800000u);
        to[j] = d;
    }
    return bad;
}

bool
kernel_change(const struct kernel_layer *layer, const float *packed, const float *start_weights,
              const float *start_biases, float *weights, float *biases)
{
    const float *from = packed + layer->weights;
    uint32_t bad = 0;

    for (size_t c = 0; c < layer->out_padded; c += KERNEL_TILE) {
        const size_t width = tile_width(layer, c), n = layer->out - c < width ? layer->out - c : width;
        for (size_t k = 0; k < layer->in; k++) {
            const size_t at = k * layer->out + c;
            bad |= subtract(from + k * width, start_weights + at, n, weights + at);
        }
        from += (size_t)layer->in_padded * width;
    }
    return (bad | subtract(packed + layer->biases, start_biases, layer->out, biases)) == 0;
}

size_t
kernel_panel_floats(size_t columns, size_t rows_max)
{
    return (columns + KERNEL_PANEL - 1) / KERNEL_PANEL * KERNEL_PANEL * rows_max;
}
