#include "aggregator/simulate/algorithm/algorithm.h"
#include "common/base/alloc.h"

#include <math.h>
#include <string.h>

static const struct sim_algorithm *const all[] = { &sim_fedsgd,  &sim_fedavg,  &sim_fedavgm,    &sim_fedprox,
                                                   &sim_scaffold, &sim_fedadam, &sim_fedyogi,    &sim_fedadagrad,
                                                   &sim_fednova, &sim_ditto,   &sim_fedbuff,   &sim_lloyd };

const struct sim_algorithm *
sim_algorithm(enum ft_sim_algorithm_kind kind)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i]->kind == kind)
            return all[i];
    return NULL;
}

uint64_t
sim_vector(const struct sim_algorithm *a, uint64_t parameters)
{
    return parameters * (1 + a->extra_vectors) + a->extra_numbers;
}

static enum ft_status
open_product(struct sim_server *s, struct ft_error *err)
{
    struct ft_server_config c = { .learning_rate = s->e->algorithm.server_rate,
                                  .momentum = s->e->algorithm.server_momentum,
                                  .beta2 = s->e->algorithm.beta2,
                                  .epsilon = s->e->algorithm.tau };
    switch (s->algorithm->kind) {
    case FT_SIM_FEDAVGM:
        c.kind = FT_SERVER_MOMENTUM;
        break;
    case FT_SIM_FEDADAM:
        c.kind = FT_SERVER_FEDADAM;
        break;
    case FT_SIM_FEDSGD:
    case FT_SIM_FEDAVG:
    case FT_SIM_FEDPROX:
    case FT_SIM_DITTO:
        c.kind = FT_SERVER_FEDAVG;
        break;
    default:
        return FT_OK;
    }
    return ft_server_open(&c, s->parameters, &s->product, err);
}

enum ft_status
sim_server_open(const struct ft_sim_experiment *e, const struct ft_model_spec *spec, uint32_t population,
                const float *params, struct sim_server *out, struct ft_error *err)
{
    enum ft_status st = FT_ERR_NOMEM;
    struct sim_server s = { .algorithm = sim_algorithm(e->algorithm.kind), .e = e, .population = population, .spec = *spec };

    *out = (struct sim_server){ 0 };
    if (s.algorithm == NULL)
        return FT_ERR_ARGUMENT;
    s.parameters = ft_model_parameters(spec);
    s.params = ft_calloc(s.parameters, sizeof *s.params);
    s.shared = s.algorithm->shared ? ft_calloc(s.parameters, sizeof *s.shared) : NULL;
    s.m = s.algorithm->moments ? ft_calloc(s.parameters, sizeof *s.m) : NULL;
    s.v = s.algorithm->moments ? ft_calloc(s.parameters, sizeof *s.v) : NULL;
    if (s.params == NULL || (s.algorithm->shared && s.shared == NULL) ||
        (s.algorithm->moments && (s.m == NULL || s.v == NULL)))
        goto out;
    memcpy(s.params, params, s.parameters * sizeof *s.params);
    if (s.algorithm->kind == FT_SIM_DITTO)
        memcpy(s.shared, params, s.parameters * sizeof *s.shared);
    for (uint64_t i = 0; s.v != NULL && i < s.parameters; i++)
        s.v[i] = e->algorithm.tau * e->algorithm.tau;
    FT_TRY(open_product(&s, err));
    *out = s;
    s = (struct sim_server){ 0 };
out:
    sim_server_close(&s);
    return st;
}

void
sim_server_close(struct sim_server *s)
{
    ft_free(s->params);
    ft_free(s->shared);
    ft_free(s->m);
    ft_free(s->v);
    ft_server_close(s->product);
    *s = (struct sim_server){ 0 };
}

static enum ft_status
put(struct ft_buf *out, const void *data, size_t size)
{
    return data != NULL ? ft_buf_append(out, data, size) : FT_OK;
}

enum ft_status
sim_server_save(const struct sim_server *s, struct ft_buf *out)
{
    struct ft_buf product = { 0 };
    enum ft_status st;
    FT_TRY(put(out, s->params, s->parameters * sizeof *s->params));
    FT_TRY(put(out, s->shared, s->parameters * sizeof *s->shared));
    FT_TRY(put(out, s->m, s->parameters * sizeof *s->m));
    FT_TRY(put(out, s->v, s->parameters * sizeof *s->v));
    if (s->product != NULL) {
        FT_TRY(ft_server_encode(s->product, &product));
        FT_TRY(ft_buf_u64(out, product.size));
        FT_TRY(ft_buf_append(out, product.data, product.size));
    }
out:
    ft_buf_clear(&product);
    return st;
}

static enum ft_status
get(struct ft_bytes *in, void *data, size_t size)
{
    if (data == NULL)
        return FT_OK;
    if (in->size < size)
        return FT_ERR_FORMAT;
    memcpy(data, in->data, size);
    *in = FT_BYTES(in->data + size, in->size - size);
    return FT_OK;
}

enum ft_status
sim_server_load(struct sim_server *s, struct ft_bytes *in)
{
    uint8_t size[8];
    enum ft_status st;
    FT_TRY(get(in, s->params, s->parameters * sizeof *s->params));
    FT_TRY(get(in, s->shared, s->parameters * sizeof *s->shared));
    FT_TRY(get(in, s->m, s->parameters * sizeof *s->m));
    FT_TRY(get(in, s->v, s->parameters * sizeof *s->v));
    if (s->product != NULL) {
        FT_TRY(get(in, size, sizeof size));
        const uint64_t bytes = ft_get_u64(size);
        if (bytes > in->size) {
            st = FT_ERR_FORMAT;
            goto out;
        }
        FT_TRY(ft_server_decode(s->product, FT_BYTES(in->data, (size_t)bytes)));
        *in = FT_BYTES(in->data + bytes, in->size - (size_t)bytes);
    }
out:
    return st;
}

enum ft_status
sim_train(struct sim_turn *t)
{
    return ft_train_local(t->trainer, &t->data, t->env, t->theta, t->vector);
}

enum ft_status
sim_apply(struct sim_server *s, double rate, double (*step)(void *ctx, uint64_t i), void *ctx)
{
    for (uint64_t i = 0; i < s->parameters; i++) {
        const double next = (double)s->params[i] + rate * step(ctx, i);
        if (!isfinite((float)next))
            return FT_ERR_NONFINITE; /* the run ends here: what was changed before is of no use either */
        s->params[i] = (float)next;
    }
    return FT_OK;
}

struct mean {
    const double *sum;
    double divisor;
};

static double
mean_of(void *ctx, uint64_t i)
{
    const struct mean *m = ctx;
    return m->sum[i] / m->divisor;
}

enum ft_status
sim_apply_mean(struct sim_server *s, double rate, const double *sum, double divisor)
{
    struct mean m = { sum, divisor };
    return sim_apply(s, rate, mean_of, &m);
}
