#include "common/model/fused.h"
#include "common/base/alloc.h"

#include <string.h>

#define PART_LEAST 64 /* inputs of a part of the first layer: fewer make its loops short */

/* One block of floats, aligned for the kernels. */
struct floats {
    float *memory;
    float *at;
    size_t count;
};

struct fused {
    const struct model_kernel *kernel;
    struct kernel_layer layers[FT_MODEL_HIDDEN_MAX + 1];
    struct model_layer flat[FT_MODEL_HIDDEN_MAX + 1];
    uint32_t layer_count;
    enum kernel_activation activation;
    enum kernel_head head;
    bool line;         /* one output, no hidden layer */
    size_t rows_max;
    size_t packed;     /* floats of the packed parameters */
    struct floats w, velocity, start, shift;
    struct floats in[FT_MODEL_HIDDEN_MAX + 2]; /* input panels of each layer; the last is z */
    struct floats dz[FT_MODEL_HIDDEN_MAX + 1];
    float y[FUSED_ROWS_MAX];
    struct kernel_step step;
};

static enum ft_status
floats_make(struct floats *v, size_t count)
{
    const size_t spare = KERNEL_ALIGN / sizeof(float);

    v->memory = ft_calloc(count + spare, sizeof *v->memory);
    if (v->memory == NULL)
        return FT_ERR_NOMEM;
    v->at = (float *)(((uintptr_t)v->memory + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN);
    v->count = count;
    return FT_OK;
}

static void
floats_free(struct floats *v)
{
    if (v->memory != NULL)
        explicit_bzero(v->at, v->count * sizeof *v->at); /* traces of the rows */
    ft_free(v->memory);
}

const struct model_kernel *
fused_kernel(const struct ft_model_spec *spec, uint32_t batch_rows)
{
    if (spec->kind == FT_MODEL_CNN || ft_model_is_clusters(spec))
        return NULL;
    return batch_rows > 0 && batch_rows <= FUSED_ROWS_MAX ? model_kernel_chosen() : NULL;
}

static enum kernel_head
head_of(enum model_head head)
{
    switch (head) {
    case HEAD_LOGISTIC:
        return KERNEL_HEAD_LOGISTIC;
    case HEAD_SOFTMAX:
        return KERNEL_HEAD_SOFTMAX;
    case HEAD_POISSON:
        return KERNEL_HEAD_POISSON;
    case HEAD_LINEAR:
    default:
        return KERNEL_HEAD_LINEAR;
    }
}

static enum ft_status
make_layers(struct fused *f, const struct model_shape *shape)
{
    enum ft_status st = FT_OK;

    for (uint32_t l = 0; l < shape->layer_count; l++) {
        f->flat[l] = shape->layers[l];
        f->packed = kernel_layer_init(&f->layers[l], shape->layers[l].in, shape->layers[l].out, f->packed);
    }
    if (f->line) {
        f->packed = f->layers[0].in_padded + (size_t)KERNEL_HALF;
        return FT_OK;
    }
    for (uint32_t l = 0; l < f->layer_count; l++) {
        FT_TRY(floats_make(&f->in[l], kernel_panel_floats(f->layers[l].in_padded, f->rows_max)));
        FT_TRY(floats_make(&f->dz[l], kernel_panel_floats(f->layers[l].out_padded, f->rows_max)));
    }
    FT_TRY(floats_make(&f->in[f->layer_count],
                       kernel_panel_floats(f->layers[f->layer_count - 1].out_padded, f->rows_max)));
out:
    return st;
}

enum ft_status
fused_open(const struct ft_model *m, const struct model_kernel *kernel, uint32_t batch_rows, bool momentum,
           struct fused **out)
{
    enum ft_status st;
    struct fused *f = ft_calloc(1, sizeof *f);

    *out = NULL;
    if (f == NULL)
        return FT_ERR_NOMEM;
    f->kernel = kernel;
    f->layer_count = m->shape.layer_count;
    f->head = head_of(m->shape.head);
    f->activation = m->spec.activation == FT_ACT_TANH ? KERNEL_ACT_TANH : KERNEL_ACT_RELU;
    f->line = m->shape.layer_count == 1 && m->shape.layers[0].out == 1;
    f->rows_max = batch_rows;
    FT_TRY(make_layers(f, &m->shape));
    FT_TRY(floats_make(&f->w, f->packed));
    if (momentum)
        FT_TRY(floats_make(&f->velocity, f->packed));
    *out = f;
    f = NULL;
out:
    fused_close(f);
    return st;
}

void
fused_close(struct fused *f)
{
    if (f == NULL)
        return;
    floats_free(&f->w);
    floats_free(&f->velocity);
    floats_free(&f->start);
    floats_free(&f->shift);
    for (uint32_t l = 0; l <= f->layer_count; l++)
        floats_free(&f->in[l]);
    for (uint32_t l = 0; l < f->layer_count; l++)
        floats_free(&f->dz[l]);
    explicit_bzero(f, sizeof *f);
    ft_free(f);
}

enum ft_status
fused_reserve(struct fused *f, bool pull, bool shift)
{
    enum ft_status st = FT_OK;

    if (pull && f->start.at == NULL)
        FT_TRY(floats_make(&f->start, f->packed));
    if (shift && f->shift.at == NULL)
        FT_TRY(floats_make(&f->shift, f->packed));
out:
    return st;
}

/* Padding is written too: a refused call may have left a NaN there. */
static void
pack(const struct fused *f, const float *flat, float *packed)
{
    if (f->line) {
        memset(packed, 0, f->packed * sizeof *packed);
        memcpy(packed, flat, f->layers[0].in * sizeof *packed);
        packed[f->layers[0].in_padded] = flat[f->layers[0].in];
        return;
    }
    for (uint32_t l = 0; l < f->layer_count; l++)
        kernel_pack(&f->layers[l], flat + f->flat[l].weights, flat + f->flat[l].biases, packed);
}

void
fused_begin(struct fused *f, const struct ft_train_config *config, const float *theta, double pull,
            const float *shift)
{
    f->step = (struct kernel_step){
        .rate = (float)config->learning_rate,
        .momentum = (float)config->momentum,
        .decay = (float)config->weight_decay,
        .pull = (float)pull,
        .w = f->w.at,
        .velocity = f->velocity.at,
        .start = pull > 0 ? f->start.at : NULL,
        .shift = shift != NULL ? f->shift.at : NULL,
    };
    pack(f, theta, f->w.at);
    if (f->velocity.at != NULL)
        memset(f->velocity.at, 0, f->packed * sizeof *f->velocity.at);
    if (pull > 0)
        memcpy(f->start.at, f->w.at, f->packed * sizeof *f->start.at);
    if (shift != NULL)
        pack(f, shift, f->shift.at);
}

static void
line_batch(struct fused *f, const struct ft_dataset *data, const uint32_t *order, size_t count, size_t ahead)
{
    const size_t features = f->layers[0].in;
    const float *rows[FUSED_ROWS_MAX], *next[FUSED_ROWS_MAX];
    struct kernel_line line = { .rows = rows, .y = f->y, .count = count, .in = f->layers[0].in, .head = f->head,
                                .next = next, .next_count = ahead < FUSED_ROWS_MAX ? ahead : FUSED_ROWS_MAX };

    for (size_t i = 0; i < count; i++) {
        rows[i] = data->x + order[i] * features;
        f->y[i] = data->y[order[i]];
    }
    for (size_t i = 0; i < line.next_count; i++)
        next[i] = data->x + order[count + i] * features;
    f->kernel->line(&line, &f->step);
}

/* The rows of a batch into the panels of the first layer. */
static void
gather(struct fused *f, const struct ft_dataset *data, const uint32_t *order, size_t count)
{
    const size_t features = f->layers[0].in, panel = f->rows_max * KERNEL_PANEL;

    for (size_t i = 0; i < count; i++) {
        const float *from = data->x + order[i] * features;
        float *to = f->in[0].at + i * KERNEL_PANEL;
        for (size_t c = 0; c < features; c += KERNEL_PANEL, to += panel)
            memcpy(to, from + c, (features - c < KERNEL_PANEL ? features - c : KERNEL_PANEL) * sizeof *to);
        f->y[i] = data->y[order[i]];
    }
}

/* A row of the next batch into the second-level cache, while the processor multiplies. */
static void
fetch_row(const struct fused *f, const struct ft_dataset *data, uint32_t row)
{
    const size_t features = f->layers[0].in;

    for (size_t k = 0; k < features; k += KERNEL_ALIGN / sizeof(float))
        __builtin_prefetch(data->x + row * features + k, 0, 2);
}

/* The gradient of each group of weights goes down before the group is changed, while it is in the cache. The first layer
 * is the longest: the next rows are fetched between its parts, a row at a time. */
static void
backward(struct fused *f, size_t count, const struct ft_dataset *data, const uint32_t *next, size_t ahead)
{
    const struct model_kernel *kernel = f->kernel;
    const size_t inputs = ((size_t)f->layers[0].in + 7) / 8 * 8;
    size_t part = inputs, fetched = 0;

    for (uint32_t l = f->layer_count - 1; l > 0; l--) {
        const struct kernel_layer *layer = &f->layers[l];
        for (size_t k = 0; k < layer->in_padded; k += KERNEL_HALF) {
            kernel->down(layer, f->w.at, f->dz[l].at, count, f->rows_max, f->activation, f->in[l].at, k,
                         k + KERNEL_HALF, f->dz[l - 1].at);
            kernel->update(layer, &f->step, f->in[l].at, f->dz[l].at, count, f->rows_max, k, k + KERNEL_HALF);
        }
    }
    if (ahead > 0)
        part = (inputs / ahead + 7) / 8 * 8;
    part = part < PART_LEAST ? PART_LEAST : part;
    for (size_t k = 0; k < inputs; k += part) {
        for (size_t until = (k + part) * ahead / inputs; fetched < ahead && fetched < until; fetched++)
            fetch_row(f, data, next[fetched]);
        kernel->update(&f->layers[0], &f->step, f->in[0].at, f->dz[0].at, count, f->rows_max, k,
                       inputs - k < part ? inputs : k + part);
    }
}

void
fused_batch(struct fused *f, const struct ft_dataset *data, const uint32_t *order, size_t count, size_t ahead)
{
    const uint32_t last = f->layer_count - 1;

    if (f->line) {
        line_batch(f, data, order, count, ahead);
        return;
    }
    gather(f, data, order, count);
    for (uint32_t l = 0; l <= last; l++)
        f->kernel->forward(&f->layers[l], f->w.at, f->in[l].at, count, f->rows_max,
                           l < last ? f->activation : KERNEL_ACT_NONE, f->in[l + 1].at);
    f->kernel->head(f->head, f->layers[last].out, f->in[last + 1].at, f->y, count, f->rows_max,
                    1.0f / (float)count, f->dz[last].at);
    backward(f, count, data, order + count, ahead);
}

bool
fused_finite(const struct fused *f)
{
    return floats_finite(f->w.at, f->packed);
}

bool
fused_change(const struct fused *f, const float *start, float *change)
{
    bool finite = true;

    if (f->line) {
        const size_t in = f->layers[0].in;
        for (size_t k = 0; k < in; k++)
            change[k] = f->w.at[k] - start[k];
        change[in] = f->w.at[f->layers[0].in_padded] - start[in];
        return floats_finite(change, in + 1);
    }
    for (uint32_t l = 0; l < f->layer_count; l++)
        finite &= kernel_change(&f->layers[l], f->w.at, start + f->flat[l].weights, start + f->flat[l].biases,
                                change + f->flat[l].weights, change + f->flat[l].biases);
    return finite;
}
