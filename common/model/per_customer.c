#include "common/model/per_customer.h"
#include "common/base/alloc.h"
#include "common/model/model_internal.h"
#include "common/model/product.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#define PASS        256                  /* rows of one pass, always */
#define BLOCK_FLOAT ((size_t)1 << 18)    /* floats of one block of vectors: stays in cache */
#define BLOCK_MOST  256

struct ft_per_customer {
    struct ft_model *model;
    float *dz[FT_MODEL_HIDDEN_MAX + 1]; /* dloss/dz of each layer, (PASS, out) */
    float *x, *y;                       /* one pass, filled up with zeros */
    float *gram[2];                     /* (PASS, PASS): inner products of one customer's rows */
    float *block;                       /* (block_most, parameters) */
    size_t block_most;
    double *lengths; /* (block_most) */
    float *arena;
    size_t arena_count;
};

static size_t
arena_layout(struct ft_per_customer *p, float *base)
{
    const struct model_shape *s = &p->model->shape;
    size_t at = 0;

    for (uint32_t l = 0; l < s->layer_count; l++) {
        p->dz[l] = base != NULL ? base + at : NULL;
        at += (size_t)s->layers[l].out * PASS;
    }
    p->x = base != NULL ? base + at : NULL;
    at += (size_t)p->model->spec.features * PASS;
    p->y = base != NULL ? base + at : NULL;
    at += PASS;
    for (int i = 0; i < 2; i++, at += (size_t)PASS * PASS)
        p->gram[i] = base != NULL ? base + at : NULL;
    p->block = base != NULL ? base + at : NULL;
    return at + p->block_most * (size_t)s->parameters;
}

enum ft_status
ft_per_customer_open(const struct ft_model_spec *spec, struct ft_per_customer **out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_per_customer *p = NULL;

    *out = NULL;
    if (spec->kind == FT_MODEL_CNN || ft_model_is_clusters(spec))
        return ft_fail(err, FT_ERR_ARGUMENT, "gradients by customer need a model that has them, without convolutions");
    p = ft_calloc(1, sizeof *p);
    if (p == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_model_open(spec, &p->model, err));
    p->block_most = BLOCK_FLOAT / (size_t)p->model->shape.parameters;
    p->block_most = p->block_most < 1 ? 1 : p->block_most > BLOCK_MOST ? BLOCK_MOST : p->block_most;
    p->arena_count = arena_layout(p, NULL);
    p->arena = ft_calloc(p->arena_count, sizeof *p->arena);
    p->lengths = ft_calloc(p->block_most, sizeof *p->lengths);
    if (p->arena == NULL || p->lengths == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    (void)arena_layout(p, p->arena);
    *out = p;
    p = NULL;
out:
    ft_per_customer_close(p);
    return st;
}

void
ft_per_customer_close(struct ft_per_customer *p)
{
    if (p == NULL)
        return;
    if (p->arena != NULL)
        explicit_bzero(p->arena, p->arena_count * sizeof *p->arena);
    if (p->lengths != NULL)
        explicit_bzero(p->lengths, p->block_most * sizeof *p->lengths);
    ft_free(p->arena);
    ft_free(p->lengths);
    ft_model_close(p->model);
    ft_free(p);
}

/* Activations and dz of all layers for `count` rows, in a pass of full size. */
static void
run_pass(struct ft_per_customer *p, const float *params, const float *x, const float *y, size_t count)
{
    struct ft_model *m = p->model;
    const struct model_shape *s = &m->shape;
    const size_t features = m->spec.features;
    const uint32_t last = s->layer_count - 1;

    memcpy(p->x, x, count * features * sizeof *x);
    memset(p->x + count * features, 0, (PASS - count) * features * sizeof *x);
    memcpy(p->y, y, count * sizeof *y);
    memset(p->y + count, 0, (PASS - count) * sizeof *y);
    model_forward(m, params, p->x, PASS);
    head_gradient(s->head, s->layers[last].out, m->act[last], p->y, PASS, -1.0f, p->dz[last]);
    for (uint32_t l = last; l > 0; l--)
        model_layer_backward(m, l, params, p->dz[l], PASS, p->dz[l - 1]);
}

static const float *
input_of(const struct ft_per_customer *p, uint32_t layer)
{
    return layer == 0 ? p->x : p->model->act[layer - 1];
}

static double
square(const float *v, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)v[i] * (double)v[i];
    return sum;
}

/* Squared length of the sum of the gradients of rows at .. at + n - 1 of the pass. */
static double
squared_length(struct ft_per_customer *p, size_t at, size_t n)
{
    const struct model_shape *s = &p->model->shape;
    double total = 0;

    for (uint32_t l = 0; l < s->layer_count; l++) {
        const size_t in = s->layers[l].in, out = s->layers[l].out;
        const float *a = input_of(p, l) + at * in, *d = p->dz[l] + at * out;
        if (n == 1) {
            total += (square(a, in) + 1) * square(d, out);
            continue;
        }
        product_right_turned(n, n, in, a, a, false, p->gram[0], p->model->room);
        product_right_turned(n, n, out, d, d, false, p->gram[1], p->model->room);
        for (size_t i = 0; i < n * n; i++)
            total += ((double)p->gram[0][i] + 1) * (double)p->gram[1][i];
    }
    return total > 0 || isnan(total) ? total : 0;
}

/* v (parameters) = keep v + sum of the gradients of those rows. */
static void
write_sum(struct ft_per_customer *p, size_t at, size_t n, bool keep, float *v)
{
    const struct model_shape *s = &p->model->shape;

    for (uint32_t l = 0; l < s->layer_count; l++) {
        const struct model_layer *layer = &s->layers[l];
        const size_t in = layer->in, out = layer->out;
        const float *a = input_of(p, l) + at * in, *d = p->dz[l] + at * out;
        float *dw = v + layer->weights, *db = v + layer->biases;
        if (n == 1 && !keep) {
            for (size_t i = 0; i < in; i++)
                for (size_t j = 0; j < out; j++)
                    dw[i * out + j] = a[i] * d[j];
            memcpy(db, d, out * sizeof *db);
            continue;
        }
        if (!keep) { /* beta 0 alone may keep a NaN of an earlier customer */
            memset(dw, 0, in * out * sizeof *dw);
            memset(db, 0, out * sizeof *db);
        }
        product_left_turned(in, out, n, a, d, true, dw, p->model->room);
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < out; j++)
                db[j] += d[i * out + j];
    }
}

static void
divide(float *v, size_t count, size_t rows)
{
    const float by = 1.0f / (float)rows;
    if (rows > 1)
        for (size_t i = 0; i < count; i++)
            v[i] *= by;
}

struct emit {
    struct ft_per_customer *p;
    const float *params;
    const struct ft_customer_rows *rows;
    ft_customer_take *take; /* NULL: lengths alone */
    void *ctx;
    double *lengths; /* (customers), with take NULL */
    size_t filled, block_first;
};

struct clipped {
    float *sum;
    size_t parameters;
    double clip;
};

static void
flush(struct emit *e)
{
    if (e->filled > 0)
        e->take(e->ctx, e->block_first, e->p->block, e->p->lengths, e->filled);
    e->block_first += e->filled;
    e->filled = 0;
}

/* The next customer's vector and its length; `write` fills it. */
static float *
next_vector(struct emit *e)
{
    if (e->filled == e->p->block_most)
        flush(e);
    return e->p->block + e->filled * (size_t)e->p->model->shape.parameters;
}

static void
done_vector(struct emit *e, size_t customer, double length)
{
    if (e->take == NULL)
        e->lengths[customer] = length;
    else
        e->p->lengths[e->filled++] = length;
}

/* A customer whose rows do not fit in one pass: the sum is made over several, its length from itself. */
static void
large_customer(struct emit *e, size_t c)
{
    struct ft_per_customer *p = e->p;
    const size_t features = p->model->spec.features, parameters = (size_t)p->model->shape.parameters;
    const size_t from = e->rows->first[c], n = e->rows->first[c + 1] - from;
    float *v = e->take != NULL ? next_vector(e) : p->block;

    for (size_t at = 0, k; at < n; at += k) {
        k = n - at < PASS ? n - at : PASS;
        run_pass(p, e->params, e->rows->x + (from + at) * features, e->rows->y + from + at, k);
        write_sum(p, 0, k, at > 0, v);
    }
    divide(v, parameters, n);
    done_vector(e, c, sqrt(square(v, parameters)));
}

/* Customers c .. end - 1, whose rows make one pass. */
static void
one_pass(struct emit *e, size_t c, size_t end)
{
    struct ft_per_customer *p = e->p;
    const uint32_t *first = e->rows->first;
    const size_t from = first[c], parameters = (size_t)p->model->shape.parameters;

    run_pass(p, e->params, e->rows->x + from * p->model->spec.features, e->rows->y + from, first[end] - from);
    for (; c < end; c++) {
        const size_t at = first[c] - from, n = first[c + 1] - first[c];
        const double length = n > 0 ? sqrt(squared_length(p, at, n)) / (double)n : 0;
        if (e->take != NULL) {
            float *v = next_vector(e);
            if (n == 0)
                memset(v, 0, parameters * sizeof *v);
            else
                write_sum(p, at, n, false, v);
            divide(v, parameters, n);
        }
        done_vector(e, c, length);
    }
}

static void
all_customers(struct emit *e)
{
    const uint32_t *first = e->rows->first;

    for (size_t c = 0, end; c < e->rows->customers; c = end) {
        if (first[c + 1] - first[c] > PASS) {
            large_customer(e, c);
            end = c + 1;
            continue;
        }
        for (end = c + 1; end < e->rows->customers && first[end + 1] - first[c] <= PASS; end++)
            ;
        one_pass(e, c, end);
    }
    if (e->take != NULL)
        flush(e);
}

void
ft_per_customer_gradients(struct ft_per_customer *p, const float *params, const struct ft_customer_rows *rows,
                          ft_customer_take *take, void *ctx)
{
    all_customers(&(struct emit){ .p = p, .params = params, .rows = rows, .take = take, .ctx = ctx });
}

void
ft_per_customer_lengths(struct ft_per_customer *p, const float *params, const struct ft_customer_rows *rows,
                        double *lengths)
{
    all_customers(&(struct emit){ .p = p, .params = params, .rows = rows, .lengths = lengths });
}

/* Scale each customer's rows of dz, so that the pass's own gradient is the clipped sum. */
static void
weigh_pass(struct ft_per_customer *p, const uint32_t *first, size_t c, size_t end, double clip)
{
    const struct model_shape *s = &p->model->shape;

    for (const size_t from = first[c]; c < end; c++) {
        const size_t at = first[c] - from, n = first[c + 1] - first[c];
        const double length = n > 0 ? sqrt(squared_length(p, at, n)) / (double)n : 0;
        const float by = n == 0 || !isfinite(length) ? 0 : (float)((length > clip ? clip / length : 1) / (double)n);
        for (uint32_t l = 0; l < s->layer_count; l++) {
            float *d = p->dz[l] + at * s->layers[l].out;
            for (size_t i = 0; i < n * s->layers[l].out; i++)
                d[i] = isfinite(length) ? d[i] * by : 0;
        }
    }
}

static void
add_scaled(void *ctx, size_t first, const float *vectors, const double *lengths, size_t count)
{
    const struct clipped *s = ctx;
    (void)first;
    (void)count; /* one */
    const float scale = (float)(lengths[0] > s->clip ? s->clip / lengths[0] : 1);
    for (size_t i = 0; isfinite(lengths[0]) && i < s->parameters; i++) /* not by BLAS, which fuses where the processor can */
        s->sum[i] += scale * vectors[i];
}

void
ft_per_customer_clipped_sum(struct ft_per_customer *p, const float *params, const struct ft_customer_rows *rows,
                            double clip, float *sum)
{
    const uint32_t *first = rows->first;
    const size_t parameters = (size_t)p->model->shape.parameters;
    struct clipped scaled = { sum, parameters, clip };

    memset(sum, 0, parameters * sizeof *sum);
    for (size_t c = 0, end; c < rows->customers; c = end) {
        if (first[c + 1] - first[c] > PASS) {
            struct emit one = { .p = p, .params = params, .rows = rows, .take = add_scaled, .ctx = &scaled };
            large_customer(&one, c);
            flush(&one);
            end = c + 1;
            continue;
        }
        for (end = c + 1; end < rows->customers && first[end + 1] - first[c] <= PASS; end++)
            ;
        const size_t from = first[c], n = first[end] - from;
        run_pass(p, params, rows->x + from * p->model->spec.features, rows->y + from, n);
        weigh_pass(p, first, c, end, clip);
        if (n > 0)
            write_sum(p, 0, n, true, sum);
    }
}

void
ft_model_decay(const struct ft_model_spec *spec, const float *params, double decay, double *sum)
{
    struct model_shape shape;

    model_shape_of(spec, &shape);
    for (uint32_t b = 0, count; b < model_weight_blocks(&shape); b++) {
        const size_t at = model_weight_block(&shape, b, &count);
        for (size_t i = at; i < at + count; i++)
            sum[i] -= decay * (double)params[i];
    }
}
