#include "common/model/conv.h"
#include "common/base/alloc.h"
#include "common/model/model_internal.h"
#include "common/model/product.h"

#include <string.h>

struct conv_work {
    struct conv_layer layers[FT_MODEL_CONV_MAX];
    uint32_t count;
    enum ft_activation activation;
    size_t rows_max;
    float *patches;   /* (pixels, kernel * kernel * in) of one image */
    float *z;         /* (pixels, out) of one image, before pooling; and its gradient */
    float *ones;      /* (pixels) */
    float *act[FT_MODEL_CONV_MAX];    /* (rows_max, outputs), after activation */
    uint8_t *top[FT_MODEL_CONV_MAX];  /* which of a square was the largest */
    float *back[FT_MODEL_CONV_MAX];   /* gradients of `act`; the last is the caller's */
    size_t patches_max, z_max, turned_max;
    float *turned; /* one layer's weights, (channels out, patch) */
};

static size_t
pixels(const struct conv_layer *layer)
{
    return (size_t)layer->height * layer->width;
}

static size_t
patch(const struct conv_layer *layer)
{
    return (size_t)layer->kernel * layer->kernel * layer->in;
}

size_t
conv_outputs(const struct conv_layer *layer)
{
    return (size_t)layer->out_height * layer->out_width * layer->out;
}

size_t
conv_weights(const struct conv_layer *layer)
{
    return patch(layer) * layer->out;
}

size_t
conv_layers(const struct ft_model_spec *spec, struct conv_layer layers[FT_MODEL_CONV_MAX])
{
    uint32_t height = spec->image[0], width = spec->image[1], in = spec->image[2];
    size_t at = 0;

    for (uint32_t l = 0; l < spec->conv_count; l++) {
        const struct ft_model_conv *c = &spec->conv[l];
        layers[l] = (struct conv_layer){ .height = height, .width = width, .in = in, .out = c->channels,
                                         .kernel = c->kernel, .pool = c->pool, .out_height = height / c->pool,
                                         .out_width = width / c->pool, .weights = at };
        at += conv_weights(&layers[l]);
        layers[l].biases = at;
        at += c->channels;
        height /= c->pool;
        width /= c->pool;
        in = c->channels;
    }
    return at;
}

static size_t
most(size_t a, size_t b)
{
    return a > b ? a : b;
}

enum ft_status
conv_open(const struct ft_model_spec *spec, size_t rows_max, struct conv_work **out)
{
    struct conv_work *w = ft_calloc(1, sizeof *w);
    size_t pixels_max = 0;
    bool good = true;

    *out = NULL;
    if (w == NULL)
        return FT_ERR_NOMEM;
    w->count = spec->conv_count;
    w->activation = spec->activation;
    w->rows_max = rows_max;
    (void)conv_layers(spec, w->layers);
    for (uint32_t l = 0; l < w->count; l++) {
        const struct conv_layer *layer = &w->layers[l];
        w->patches_max = most(w->patches_max, pixels(layer) * patch(layer));
        w->z_max = most(w->z_max, pixels(layer) * layer->out);
        w->turned_max = most(w->turned_max, patch(layer) * layer->out);
        pixels_max = most(pixels_max, pixels(layer));
    }
    w->patches = ft_calloc(w->patches_max, sizeof *w->patches);
    w->z = ft_calloc(w->z_max, sizeof *w->z);
    w->ones = ft_calloc(pixels_max, sizeof *w->ones);
    w->turned = ft_calloc(w->turned_max, sizeof *w->turned);
    good = w->patches != NULL && w->z != NULL && w->ones != NULL && w->turned != NULL;
    for (uint32_t l = 0; good && l < w->count; l++) {
        const size_t values = rows_max * conv_outputs(&w->layers[l]);
        w->act[l] = ft_calloc(values, sizeof *w->act[l]);
        w->top[l] = ft_calloc(values, sizeof *w->top[l]);
        w->back[l] = l + 1 < w->count ? ft_calloc(values, sizeof *w->back[l]) : NULL;
        good = w->act[l] != NULL && w->top[l] != NULL && (l + 1 == w->count || w->back[l] != NULL);
    }
    if (!good) {
        conv_close(w);
        return FT_ERR_NOMEM;
    }
    for (size_t i = 0; i < pixels_max; i++)
        w->ones[i] = 1;
    *out = w;
    return FT_OK;
}

static void
wipe_free(void *p, size_t size)
{
    if (p != NULL)
        explicit_bzero(p, size); /* traces of the rows */
    ft_free(p);
}

void
conv_close(struct conv_work *w)
{
    if (w == NULL)
        return;
    for (uint32_t l = 0; l < w->count; l++) {
        const size_t values = w->rows_max * conv_outputs(&w->layers[l]);
        wipe_free(w->act[l], values * sizeof *w->act[l]);
        wipe_free(w->top[l], values * sizeof *w->top[l]);
        wipe_free(w->back[l], values * sizeof *w->back[l]);
    }
    wipe_free(w->patches, w->patches_max * sizeof *w->patches);
    wipe_free(w->z, w->z_max * sizeof *w->z);
    ft_free(w->ones);
    wipe_free(w->turned, w->turned_max * sizeof *w->turned);
    ft_free(w);
}

/* The part of a kernel's row that lies inside the image: columns from .. to of the image for output column `j`. */
struct span {
    size_t from, count, skip; /* skip: kernel columns left of the image */
};

static struct span
span_of(const struct conv_layer *layer, size_t j)
{
    const size_t half = layer->kernel / 2, from = j > half ? j - half : 0;
    const size_t end = j + half + 1 < layer->width ? j + half + 1 : layer->width;
    return (struct span){ from, end - from, from + half - j };
}

/* Patches of one image: row (i, j) holds what the kernel at that pixel sees, zeros outside the image. */
static void
lay_out(const struct conv_layer *layer, const float *image, float *patches)
{
    const size_t half = layer->kernel / 2, row = (size_t)layer->kernel * layer->in;

    for (size_t i = 0; i < layer->height; i++)
        for (size_t j = 0; j < layer->width; j++) {
            const struct span s = span_of(layer, j);
            for (size_t k = 0; k < layer->kernel; k++, patches += row) {
                const size_t y = i + k; /* less half */
                if (y < half || y - half >= layer->height) {
                    memset(patches, 0, row * sizeof *patches);
                    continue;
                }
                memset(patches, 0, s.skip * layer->in * sizeof *patches);
                memcpy(patches + s.skip * layer->in, image + ((y - half) * layer->width + s.from) * layer->in,
                       s.count * layer->in * sizeof *patches);
                memset(patches + (s.skip + s.count) * layer->in, 0,
                       (layer->kernel - s.skip - s.count) * layer->in * sizeof *patches);
            }
        }
}

/* The other way: what each patch says about a pixel is added up. */
static void
gather_up(const struct conv_layer *layer, const float *patches, float *image)
{
    const size_t half = layer->kernel / 2, row = (size_t)layer->kernel * layer->in;

    memset(image, 0, pixels(layer) * layer->in * sizeof *image);
    for (size_t i = 0; i < layer->height; i++)
        for (size_t j = 0; j < layer->width; j++) {
            const struct span s = span_of(layer, j);
            for (size_t k = 0; k < layer->kernel; k++, patches += row) {
                const size_t y = i + k;
                const float *from = patches + s.skip * layer->in;
                float *to;
                if (y < half || y - half >= layer->height)
                    continue;
                to = image + ((y - half) * layer->width + s.from) * layer->in;
                for (size_t c = 0; c < s.count * layer->in; c++)
                    to[c] += from[c];
            }
        }
}

/* The largest of each square, and which it was; the first of equals. A NaN is kept. Numbers of one width, so that the
 * compiler makes vectors of it. */
static void
pool_image(const struct conv_layer *layer, const float *restrict z, float *restrict out, uint8_t *restrict top)
{
    const size_t channels = layer->out;
    int32_t which[FT_MODEL_CHANNELS_MAX];

    for (size_t i = 0; i < layer->out_height; i++)
        for (size_t j = 0; j < layer->out_width; j++, out += channels, top += channels) {
            const float *square = z + (i * layer->pool * layer->width + j * layer->pool) * channels;
            memcpy(out, square, channels * sizeof *out);
            memset(which, 0, channels * sizeof *which);
            for (size_t k = 1; k < (size_t)layer->pool * layer->pool; k++) {
                const float *at = square + (k / layer->pool * layer->width + k % layer->pool) * channels;
                for (size_t c = 0; c < channels; c++) {
                    const int32_t kept = -(int32_t)(at[c] <= out[c]); /* all bits, or none */
                    which[c] = (which[c] & kept) | ((int32_t)k & ~kept);
                    out[c] = at[c] <= out[c] ? out[c] : at[c];
                }
            }
            for (size_t c = 0; c < channels; c++)
                top[c] = (uint8_t)which[c];
        }
}

/* Gradients back to where the largest of each square was; zeros elsewhere. */
static void
unpool_image(const struct conv_layer *layer, const float *down, const uint8_t *top, float *dz)
{
    const size_t channels = layer->out;

    memset(dz, 0, pixels(layer) * channels * sizeof *dz);
    for (size_t i = 0; i < layer->out_height; i++)
        for (size_t j = 0; j < layer->out_width; j++, down += channels, top += channels) {
            float *square = dz + (i * layer->pool * layer->width + j * layer->pool) * channels;
            for (size_t c = 0; c < channels; c++)
                square[((size_t)(top[c] / layer->pool) * layer->width + top[c] % layer->pool) * channels + c] = down[c];
        }
}

const float *
conv_forward(struct conv_work *w, const float *params, const float *x, size_t rows, float *room)
{
    for (uint32_t l = 0; l < w->count; l++) {
        const struct conv_layer *layer = &w->layers[l];
        const size_t in = pixels(layer) * layer->in, out = conv_outputs(layer);
        const size_t n = pixels(layer), k = patch(layer), c = layer->out;
        const float *from = l == 0 ? x : w->act[l - 1];
        for (size_t r = 0; r < rows; r++) {
            lay_out(layer, from + r * in, w->patches);
            for (size_t i = 0; i < n; i++)
                memcpy(w->z + i * c, params + layer->biases, layer->out * sizeof *w->z);
            product_plain(n, c, k, w->patches, params + layer->weights, true, w->z, room);
            pool_image(layer, w->z, w->act[l] + r * out, w->top[l] + r * out);
        }
        model_activate(w->activation, w->act[l], rows * out);
    }
    return w->act[w->count - 1];
}

/* Once a pass, not once an image. */
static void
turn(const float *restrict weights, size_t rows, size_t columns, float *restrict out)
{
    for (size_t from = 0; from < rows; from += 16) /* blocks, so that neither side leaves the cache */
        for (size_t c = 0; c < columns; c++)
            for (size_t i = from; i < rows && i < from + 16; i++)
                out[c * rows + i] = weights[i * columns + c];
}

void
conv_backward(struct conv_work *w, const float *params, const float *x, size_t rows, bool keep, const float *down,
              float *grad, float *room)
{
    for (uint32_t l = w->count - 1;; l--) {
        const struct conv_layer *layer = &w->layers[l];
        const size_t in = pixels(layer) * layer->in, out = conv_outputs(layer);
        const size_t n = pixels(layer), k = patch(layer), c = layer->out;
        const float *from = l == 0 ? x : w->act[l - 1];
        const float *dact = l + 1 == w->count ? down : w->back[l];
        if (l + 1 < w->count)
            model_slope(w->activation, w->act[l], rows * out, w->back[l]);
        if (l > 0)
            turn(params + layer->weights, k, c, w->turned);
        for (size_t r = 0; r < rows; r++) {
            const bool add = r > 0 || keep;
            lay_out(layer, from + r * in, w->patches);
            unpool_image(layer, dact + r * out, w->top[l] + r * out, w->z);
            product_left_turned(k, c, n, w->patches, w->z, add, grad + layer->weights, room);
            product_sum_of_rows(w->z, n, c, w->ones, add, grad + layer->biases, room);
            if (l == 0)
                continue;
            product_plain(n, k, c, w->z, w->turned, false, w->patches, room);
            gather_up(layer, w->patches, w->back[l - 1] + r * in);
        }
        if (l == 0)
            break;
    }
}
