#include "common/model/model_internal.h"
#include "common/base/alloc.h"
#include "common/model/product.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#define CONV_CHUNK 32 /* images a pass */

void
ft_model_setup(void)
{
    openblas_set_num_threads(1);
}

const char *
ft_model_blas_name(void)
{
    return openblas_get_config();
}

enum ft_status
ft_model_open(const struct ft_model_spec *spec, struct ft_model **out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_model *m = NULL;
    size_t at = 0, width_sum = 0;

    *out = NULL;
    FT_TRY(ft_model_spec_check(spec, err));
    m = ft_calloc(1, sizeof *m);
    if (m == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    m->spec = *spec;
    model_shape_of(spec, &m->shape);
    for (uint32_t l = 0; l < m->shape.layer_count; l++)
        width_sum += m->shape.layers[l].out;
    m->chunk = FT_MODEL_CHUNK;
    if (m->shape.conv_count > 0) {
        m->chunk = CONV_CHUNK;
        FT_TRY(conv_open(spec, m->chunk, &m->conv));
    }
    m->arena_count = (width_sum + 2 * (size_t)m->shape.width_max + 1) * m->chunk;
    m->arena = ft_calloc(m->arena_count, sizeof *m->arena);
    m->room = ft_calloc(PRODUCT_ROOM, sizeof *m->room);
    if (m->arena == NULL || m->room == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    m->ones = m->arena;
    at = m->chunk;
    for (size_t i = 0; i < m->chunk; i++)
        m->ones[i] = 1.0f;
    for (uint32_t l = 0; l < m->shape.layer_count; l++) {
        m->act[l] = m->arena + at;
        at += (size_t)m->shape.layers[l].out * m->chunk;
    }
    for (int side = 0; side < 2; side++) {
        m->back[side] = m->arena + at;
        at += (size_t)m->shape.width_max * m->chunk;
    }
    *out = m;
    m = NULL;
out:
    ft_model_close(m);
    return st;
}

void
ft_model_close(struct ft_model *m)
{
    if (m == NULL)
        return;
    if (m->arena != NULL)
        explicit_bzero(m->arena, m->arena_count * sizeof *m->arena); /* traces of the rows */
    ft_free(m->arena);
    if (m->room != NULL)
        explicit_bzero(m->room, PRODUCT_ROOM * sizeof *m->room);
    ft_free(m->room);
    conv_close(m->conv);
    explicit_bzero(m->losses, sizeof m->losses);
    ft_free(m);
}

const struct ft_model_spec *
ft_model_shape(const struct ft_model *m)
{
    return &m->spec;
}

bool
floats_finite(const float *v, size_t count)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        bad |= (uint32_t)((bits & 0x7f800000u) == 0x7f800000u);
    }
    return bad == 0;
}

/* out = in W + b, (rows, out). */
static void
layer_forward(const struct model_layer *layer, const float *params, const float *in, size_t rows, float *out, float *room)
{
    const float *w = params + layer->weights, *b = params + layer->biases;

    if (layer->out == 1) {
        product_rows_by_vector(in, rows, layer->in, w, b[0], out);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        memcpy(out + i * layer->out, b, layer->out * sizeof *out);
    product_plain(rows, layer->out, layer->in, in, w, true, out, room);
}

/* The sum of squares in eight parts, which vectorise. */
static float
square_length(const float *v, size_t count)
{
    float parts[8] = { 0 };
    size_t i = 0;

    for (; i + 8 <= count; i += 8)
        for (size_t k = 0; k < 8; k++)
            parts[k] += v[i + k] * v[i + k];
    for (; i < count; i++)
        parts[i % 8] += v[i] * v[i];
    return (parts[0] + parts[4]) + (parts[1] + parts[5]) + ((parts[2] + parts[6]) + (parts[3] + parts[7]));
}

/* z = |x - c|^2 = |x|^2 - 2 x.c + |c|^2, (rows, clusters); rounding may not make it negative. */
static void
distances_forward(struct ft_model *m, const float *params, const float *x, size_t rows)
{
    const uint32_t features = m->spec.features, clusters = m->spec.classes;
    float *z = m->act[0], *lengths = m->back[0];

    product_right_turned(rows, clusters, features, x, params, false, z, m->room);
    for (uint32_t k = 0; k < clusters; k++)
        lengths[k] = square_length(params + (size_t)k * features, features);
    for (size_t i = 0; i < rows; i++) {
        const float own = square_length(x + i * features, features);
        for (uint32_t k = 0; k < clusters; k++) {
            const float d = own - 2 * z[i * clusters + k] + lengths[k];
            z[i * clusters + k] = d < 0 ? 0 : d; /* a NaN stays */
        }
    }
}

/* tanh as a quotient of polynomials on [-7.905, 7.905], beyond which float32 has nothing left: within 3e-7, and
 * without branches or calls, so that it vectorises. Coefficients: Eigen's float tanh. */
static float
fast_tanh(float v)
{
    const float x = v > 7.90531110763549805f ? 7.90531110763549805f
                    : v < -7.90531110763549805f ? -7.90531110763549805f
                                                : v;
    const float s = x * x;
    float p = -2.76076847742355e-16f, q = 1.19825839466702e-06f;
    p = p * s + 2.00018790482477e-13f;
    p = p * s - 8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    q = q * s + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    return x * p / q;
}

/* A NaN stays a NaN in both: it must reach the loss, where it is refused. */
void
model_activate(enum ft_activation activation, float *v, size_t count)
{
    if (activation == FT_ACT_RELU)
        for (size_t i = 0; i < count; i++)
            v[i] = v[i] < 0 ? 0 : v[i];
    else
        for (size_t i = 0; i < count; i++)
            v[i] = fast_tanh(v[i]);
}

void
model_slope(enum ft_activation activation, const float *act, size_t count, float *v)
{
    if (activation == FT_ACT_RELU)
        for (size_t i = 0; i < count; i++)
            v[i] = act[i] > 0 ? v[i] : 0;
    else
        for (size_t i = 0; i < count; i++)
            v[i] *= 1.0f - act[i] * act[i];
}

const float *
model_input(const struct ft_model *m, const float *x)
{
    return m->conv != NULL ? m->conv_out : x;
}

void
model_forward(struct ft_model *m, const float *params, const float *x, size_t rows)
{
    const float *in;

    if (m->shape.head == HEAD_CLUSTERS) {
        distances_forward(m, params, x, rows);
        return;
    }
    if (m->conv != NULL)
        m->conv_out = conv_forward(m->conv, params, x, rows, m->room);
    in = model_input(m, x);
    for (uint32_t l = 0; l < m->shape.layer_count; l++) {
        const struct model_layer *layer = &m->shape.layers[l];
        layer_forward(layer, params, in, rows, m->act[l], m->room);
        if (l + 1 < m->shape.layer_count)
            model_activate(m->spec.activation, m->act[l], rows * layer->out);
        in = m->act[l];
    }
}

/* grad = that of one layer, from dz (rows, out) and its input (rows, in); added to what is there when `keep`. */
static void
layer_gradient(const struct ft_model *m, const struct model_layer *layer, const float *in, const float *dz,
               size_t rows, bool keep, float *grad)
{
    product_left_turned(layer->in, layer->out, rows, in, dz, keep, grad + layer->weights, m->room);
    product_sum_of_rows(dz, rows, layer->out, m->ones, keep, grad + layer->biases, m->room);
}

/* down = (dz W^T) times the slope of the activation whose output is `act`, (rows, in). */
static void
layer_backward(const struct ft_model *m, const struct model_layer *layer, const float *params, const float *act,
               const float *dz, size_t rows, float *down)
{
    const float *w = params + layer->weights;

    if (layer->out == 1) {
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < layer->in; j++)
                down[i * layer->in + j] = dz[i] * w[j];
    } else {
        product_right_turned(rows, layer->in, layer->out, dz, w, false, down, m->room);
    }
    model_slope(m->spec.activation, act, rows * layer->in, down);
}

void
model_layer_backward(struct ft_model *m, uint32_t layer, const float *params, const float *dz, size_t rows, float *down)
{
    layer_backward(m, &m->shape.layers[layer], params, m->act[layer - 1], dz, rows, down);
}

static void
model_backward(struct ft_model *m, const float *params, const float *x, const float *y, size_t rows, float scale,
               bool keep, float *grad)
{
    const uint32_t last = m->shape.layer_count - 1;
    int side = 0;

    head_gradient(m->shape.head, m->shape.layers[last].out, m->act[last], y, rows, scale, m->back[side]);
    for (uint32_t l = last;; l--) {
        const struct model_layer *layer = &m->shape.layers[l];
        const float *in = l == 0 ? model_input(m, x) : m->act[l - 1];
        layer_gradient(m, layer, in, m->back[side], rows, keep, grad);
        if (l == 0 && m->conv == NULL)
            return;
        layer_backward(m, layer, params, in, m->back[side], rows, m->back[1 - side]);
        side = 1 - side;
        if (l == 0)
            break;
    }
    conv_backward(m->conv, params, x, rows, keep, m->back[side], grad, m->room);
}

static size_t
chunk_rows(const struct ft_model *m, size_t rows, size_t from)
{
    return rows - from < m->chunk ? rows - from : m->chunk;
}

enum ft_status
ft_model_scores(struct ft_model *m, const float *params, const float *x, size_t rows, float *z)
{
    const uint32_t last = m->shape.layer_count - 1, outputs = m->shape.layers[last].out;

    for (size_t from = 0, n; from < rows; from += n) {
        n = chunk_rows(m, rows, from);
        model_forward(m, params, x + from * m->spec.features, n);
        memcpy(z + from * outputs, m->act[last], n * outputs * sizeof *z);
    }
    return floats_finite(z, rows * outputs) ? FT_OK : FT_ERR_NONFINITE;
}

void
ft_model_predict(const struct ft_model *m, float *z, size_t rows)
{
    head_predict(m->shape.head, m->shape.layers[m->shape.layer_count - 1].out, z, rows);
}

void
ft_model_losses(const struct ft_model *m, const float *z, const float *y, size_t rows, double *losses)
{
    head_losses(m->shape.head, m->shape.layers[m->shape.layer_count - 1].out, z, y, rows, losses);
}

/* Sum of the losses of the chunk whose z was just computed. */
static double
chunk_loss(struct ft_model *m, const float *y, size_t rows)
{
    double sum = 0;
    ft_model_losses(m, m->act[m->shape.layer_count - 1], y, rows, m->losses);
    for (size_t i = 0; i < rows; i++)
        sum += m->losses[i];
    return sum;
}

enum ft_status
ft_model_loss(struct ft_model *m, const float *params, const struct ft_dataset *data, double *loss)
{
    double sum = 0;

    for (size_t from = 0, n; from < data->rows; from += n) {
        n = chunk_rows(m, data->rows, from);
        model_forward(m, params, data->x + from * m->spec.features, n);
        sum += chunk_loss(m, data->y + from, n);
    }
    if (!isfinite(sum))
        return FT_ERR_NONFINITE;
    *loss = data->rows > 0 ? sum / (double)data->rows : 0;
    return FT_OK;
}

double
model_gradient(struct ft_model *m, const float *params, const struct ft_dataset *data, double weight_decay,
               bool with_loss, float *grad)
{
    const float scale = 1.0f / (float)data->rows;
    double sum = 0;

    for (size_t from = 0, n; from < data->rows; from += n) {
        n = chunk_rows(m, data->rows, from);
        model_forward(m, params, data->x + from * m->spec.features, n);
        if (with_loss)
            sum += chunk_loss(m, data->y + from, n);
        model_backward(m, params, data->x + from * m->spec.features, data->y + from, n, scale, from > 0,
                       grad);
    }
    for (uint32_t b = 0, count; weight_decay > 0 && b < model_weight_blocks(&m->shape); b++) {
        const size_t at = model_weight_block(&m->shape, b, &count);
        for (uint32_t i = 0; i < count; i++) /* not by BLAS, which fuses where the processor can */
            grad[at + i] += (float)weight_decay * params[at + i];
    }
    return sum;
}

enum ft_status
ft_model_gradient(struct ft_model *m, const float *params, const struct ft_dataset *data, double weight_decay,
                  float *grad, double *objective)
{
    double sum;

    if (data->rows == 0 || m->shape.head == HEAD_CLUSTERS)
        return FT_ERR_ARGUMENT;
    sum = model_gradient(m, params, data, weight_decay, objective != NULL, grad);
    if (!floats_finite(grad, m->shape.parameters) || !isfinite(sum))
        return FT_ERR_NONFINITE;
    if (objective != NULL)
        *objective = sum / (double)data->rows + ft_model_penalty(&m->spec, params, weight_decay);
    return FT_OK;
}
