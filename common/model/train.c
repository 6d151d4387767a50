#include "common/model/train.h"
#include "common/base/alloc.h"
#include "common/model/fused.h"
#include "common/model/model_internal.h"

#include <assert.h>
#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <string.h>

struct ft_trainer {
    struct ft_train_config config;
    struct ft_model *model;
    size_t rows_max;
    size_t batch_max;   /* rows of `x`; 0 when all rows are one batch */
    uint64_t parameters;
    float *theta;       /* (parameters) */
    float *grad;        /* (parameters) */
    float *velocity;    /* (parameters); NULL without momentum */
    uint32_t *order;    /* (rows_max); NULL when all rows are one batch */
    float *x;           /* (batch_max, features); NULL when fused */
    float *y;           /* (batch_max); NULL when fused */
    struct fused *fused; /* small batches; NULL: OpenBLAS */
    double pull;         /* towards the start of the call */
    const float *shift;  /* (parameters), borrowed; NULL: none */
    const float *start;  /* (parameters), during a call */
};

static enum ft_status
config_check(const struct ft_train_config *c, size_t rows_max, struct ft_error *err)
{
    if (c->local_epochs < 1)
        return ft_fail(err, FT_ERR_ARGUMENT, "local training has no epochs; it needs 1 or more");
    if (!(c->learning_rate > 0) || !isfinite(c->learning_rate))
        return ft_fail(err, FT_ERR_ARGUMENT, "the learning rate is %g; it must be above 0", c->learning_rate);
    if (!(c->momentum >= 0 && c->momentum < 1))
        return ft_fail(err, FT_ERR_ARGUMENT, "the momentum is %g; it must be at least 0 and below 1", c->momentum);
    if (!(c->weight_decay >= 0) || !isfinite(c->weight_decay))
        return ft_fail(err, FT_ERR_ARGUMENT, "the weight decay is %g; it must be 0 or more", c->weight_decay);
    if (rows_max > UINT32_MAX || c->batch_size > INT_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "more rows than training can number");
    return FT_OK;
}

enum ft_status
ft_trainer_open(const struct ft_model_spec *spec, const struct ft_train_config *config, size_t rows_max,
                struct ft_trainer **out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_trainer *t = NULL;
    const struct model_kernel *kernel;

    *out = NULL;
    FT_TRY(config_check(config, rows_max, err));
    t = ft_calloc(1, sizeof *t);
    if (t == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(ft_model_open(spec, &t->model, err));
    kernel = fused_kernel(spec, config->batch_size);
    t->config = *config;
    t->rows_max = rows_max;
    t->parameters = ft_model_parameters(spec);
    if (config->batch_size > 0 && config->batch_size < rows_max)
        t->batch_max = config->batch_size;
    t->theta = ft_calloc(t->parameters, sizeof *t->theta);
    t->grad = ft_calloc(t->parameters, sizeof *t->grad);
    if (config->momentum > 0 && kernel == NULL)
        t->velocity = ft_calloc(t->parameters, sizeof *t->velocity);
    if (kernel != NULL)
        FT_TRY(fused_open(t->model, kernel, config->batch_size, config->momentum > 0, &t->fused));
    if (t->batch_max > 0 || t->fused != NULL)
        t->order = ft_calloc(rows_max, sizeof *t->order);
    if (t->batch_max > 0 && t->fused == NULL) {
        t->x = ft_calloc(t->batch_max * spec->features, sizeof *t->x);
        t->y = ft_calloc(t->batch_max, sizeof *t->y);
    }
    if (t->theta == NULL || t->grad == NULL || (config->momentum > 0 && t->fused == NULL && t->velocity == NULL) ||
        ((t->batch_max > 0 || t->fused != NULL) && t->order == NULL) ||
        (t->batch_max > 0 && t->fused == NULL && (t->x == NULL || t->y == NULL))) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    *out = t;
    t = NULL;
out:
    ft_trainer_close(t);
    return st;
}

static void
wipe_free(void *p, size_t size)
{
    if (p != NULL)
        explicit_bzero(p, size);
    ft_free(p);
}

void
ft_trainer_close(struct ft_trainer *t)
{
    if (t == NULL)
        return;
    wipe_free(t->theta, t->parameters * sizeof *t->theta);
    wipe_free(t->grad, t->parameters * sizeof *t->grad);
    wipe_free(t->velocity, t->parameters * sizeof *t->velocity);
    if (t->model != NULL)
        wipe_free(t->x, t->batch_max * ft_model_shape(t->model)->features * sizeof *t->x);
    wipe_free(t->y, t->batch_max * sizeof *t->y);
    ft_free(t->order);
    fused_close(t->fused);
    ft_model_close(t->model);
    ft_free(t);
}

struct ft_model *
ft_trainer_model(struct ft_trainer *t)
{
    return t->model;
}

void
ft_trainer_set_epochs(struct ft_trainer *t, uint32_t local_epochs)
{
    assert(local_epochs >= 1);
    t->config.local_epochs = local_epochs;
}

void
ft_trainer_set_rate(struct ft_trainer *t, double learning_rate)
{
    t->config.learning_rate = learning_rate;
}

enum ft_status
ft_trainer_set_correction(struct ft_trainer *t, double pull, const float *shift)
{
    enum ft_status st = FT_OK;

    if (!(pull >= 0) || !isfinite(pull))
        return FT_ERR_ARGUMENT;
    if (t->fused != NULL)
        FT_TRY(fused_reserve(t->fused, pull > 0, shift != NULL));
    t->pull = pull;
    t->shift = shift;
out:
    return st;
}

/* A small generator for the order of rows, seeded once a call: SplitMix64. */
static uint64_t
order_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Fisher and Yates. The multiply-and-shift bias over 2^32 is below rows / 2^32: an order, not a secret. */
static void
shuffle(uint32_t *order, size_t rows, uint64_t *state)
{
    for (size_t i = rows; i > 1; i--) {
        const size_t j = (size_t)(((order_next(state) >> 32) * (uint64_t)i) >> 32);
        const uint32_t swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}

/* One step from the gradient in t->grad. */
static void
descend(struct ft_trainer *t)
{
    const float lr = (float)t->config.learning_rate, momentum = (float)t->config.momentum, pull = (float)t->pull;
    float *restrict theta = t->theta;
    float *restrict velocity = t->velocity;
    float *restrict grad = t->grad;

    if (t->pull > 0)
        for (uint64_t i = 0; i < t->parameters; i++)
            grad[i] += pull * (theta[i] - t->start[i]);
    if (t->shift != NULL)
        for (uint64_t i = 0; i < t->parameters; i++)
            grad[i] += t->shift[i];
    if (velocity == NULL) {
        for (uint64_t i = 0; i < t->parameters; i++)
            theta[i] -= lr * grad[i];
        return;
    }
    for (uint64_t i = 0; i < t->parameters; i++) {
        velocity[i] = momentum * velocity[i] + grad[i];
        theta[i] -= lr * velocity[i];
    }
}

static void
epoch_in_batches(struct ft_trainer *t, const struct ft_dataset *data, uint64_t *state)
{
    const uint32_t features = ft_model_shape(t->model)->features;

    shuffle(t->order, data->rows, state);
    for (size_t from = 0; from < data->rows; from += t->batch_max) {
        const size_t n = data->rows - from < t->batch_max ? data->rows - from : t->batch_max;
        const struct ft_dataset batch = { t->x, t->y, n };
        for (size_t i = 0; i < n; i++) {
            const size_t row = t->order[from + i];
            memcpy(t->x + i * features, data->x + row * features, features * sizeof *t->x);
            t->y[i] = data->y[row];
        }
        (void)model_gradient(t->model, t->theta, &batch, t->config.weight_decay, false, t->grad);
        descend(t);
    }
}

/* All epochs through the kernels, and the change into t->grad. False when a number of it is not finite. */
static bool
train_fused(struct ft_trainer *t, const struct ft_dataset *data, bool shuffled, uint64_t *state)
{
    const size_t batch = t->config.batch_size;

    fused_begin(t->fused, &t->config, t->start, t->pull, t->shift);
    for (uint32_t epoch = 0; epoch < t->config.local_epochs; epoch++) {
        if (shuffled)
            shuffle(t->order, data->rows, state);
        for (size_t from = 0, n; from < data->rows; from += n) {
            const size_t left = data->rows - from;
            n = left < batch ? left : batch;
            fused_batch(t->fused, data, t->order + from, n, left - n < batch ? left - n : batch);
        }
        if (epoch + 1 < t->config.local_epochs && !fused_finite(t->fused))
            return false; /* a NaN anywhere in the epoch stays one in the weights */
    }
    return fused_change(t->fused, t->start, t->grad);
}

/* All epochs through OpenBLAS. */
static bool
train_in_chunks(struct ft_trainer *t, const struct ft_dataset *data, bool batches, uint64_t *state)
{
    memcpy(t->theta, t->start, t->parameters * sizeof *t->theta);
    if (t->velocity != NULL)
        memset(t->velocity, 0, t->parameters * sizeof *t->velocity);
    for (uint32_t epoch = 0; epoch < t->config.local_epochs; epoch++) {
        if (batches) {
            epoch_in_batches(t, data, state);
        } else {
            (void)model_gradient(t->model, t->theta, data, t->config.weight_decay, false, t->grad);
            descend(t);
        }
        if (!floats_finite(t->theta, t->parameters))
            return false;
    }
    for (uint64_t i = 0; i < t->parameters; i++)
        t->grad[i] = t->theta[i] - t->start[i];
    return floats_finite(t->grad, t->parameters);
}

enum ft_status
ft_train_local(struct ft_trainer *t, const struct ft_dataset *data, const struct ft_env *env, const float *theta,
               float *delta)
{
    const bool batches = t->batch_max > 0 && t->batch_max < data->rows;
    uint64_t state = 0;
    bool finite;

    if (data->rows == 0 || ft_model_is_clusters(ft_model_shape(t->model)))
        return FT_ERR_ARGUMENT;
    if (data->rows > t->rows_max)
        return FT_ERR_LIMIT;
    if (batches)
        state = ft_random_u64(env);
    for (size_t i = 0; t->order != NULL && i < data->rows; i++)
        t->order[i] = (uint32_t)i;
    t->start = theta;
    finite = t->fused != NULL ? train_fused(t, data, batches, &state) : train_in_chunks(t, data, batches, &state);
    t->start = NULL;
    if (!finite)
        return FT_ERR_NONFINITE;
    memcpy(delta, t->grad, t->parameters * sizeof *delta);
    return FT_OK;
}
