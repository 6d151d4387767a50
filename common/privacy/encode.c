#include "common/privacy/encode.h"

#include "common/base/alloc.h"
#include "common/base/plant.h"
#include "common/privacy/noise_internal.h"
#include "common/privacy/round.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#define TRIES 8

struct ft_encoder {
    struct ft_encoder_config config;
    uint64_t dim;     /* of the sum */
    size_t rounded;   /* coordinates that are rounded: dim without the indicator */
    uint64_t gate_sq; /* delta_int_sq - lambda^2 */
    uint8_t key[32];  /* of the customers' seeds */
    struct ft_noise *noise;
    int64_t *sum;    /* (dim) */
    int32_t *w;      /* (rounded) one customer's integers */
    float *u;        /* (rounded) only if rotated */
    uint8_t *signs;  /* only if rotated */
    uint64_t faults;
    bool finished;
};

uint64_t
ft_encoded_dim(size_t coordinates, bool rotated, bool indicator)
{
    const size_t base = rotated ? ft_rotate_padded(coordinates) : coordinates;
    return base == 0 || base > FT_PRIVACY_DIM_MAX - 1 ? 0 : (uint64_t)base + indicator;
}

static enum ft_status
config_check(const struct ft_encoder_config *c, const struct ft_noise *noise, struct ft_error *err)
{
    const uint64_t dim = ft_encoded_dim(c->coordinates, c->rotation_seed != NULL, c->indicator);
    const enum ft_status st = ft_privacy_params_check(&c->params, err);
    if (st != FT_OK)
        return FT_ERR_ARGUMENT;
    if (dim == 0 || dim > c->params.dim)
        return ft_fail(err, FT_ERR_ARGUMENT, "a vector of %zu coordinates for parameters of %llu", c->coordinates,
                       (unsigned long long)c->params.dim);
    if (!(c->clip >= 1e-20) || !(c->clip <= 1e20) || c->coordinate_max < 1)
        return ft_fail(err, FT_ERR_ARGUMENT, "a clip of %g", c->clip);
    if (c->indicator && c->params.lambda == 0)
        return ft_fail(err, FT_ERR_ARGUMENT, "a clip indicator without a weight");
    if (noise == NULL || noise->dim != dim || noise->sigma != c->params.sigma_share)
        return ft_fail(err, FT_ERR_ARGUMENT, "there is no noise of the task's strength and length");
    return FT_OK;
}

enum ft_status
ft_encoder_open(const struct ft_encoder_config *config, const struct ft_env *env, struct ft_noise **noise,
                struct ft_encoder **out, struct ft_error *err)
{
    struct ft_encoder *e = NULL;
    struct ft_noise *taken = *noise;
    enum ft_status st;

    *noise = NULL;
    *out = NULL;
    FT_TRY(config_check(config, taken, err));
    e = ft_calloc(1, sizeof *e);
    if (e == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    e->config = *config;
    e->dim = taken->dim;
    e->rounded = (size_t)taken->dim - config->indicator;
    e->gate_sq = config->params.delta_int_sq - (uint64_t)config->params.lambda * config->params.lambda;
    e->noise = taken;
    taken = NULL;
    e->sum = ft_big_alloc((size_t)e->dim * sizeof *e->sum);
    e->w = ft_big_alloc(e->rounded * sizeof *e->w);
    if (e->sum == NULL || e->w == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    memset(e->sum, 0, (size_t)e->dim * sizeof *e->sum);
    if (config->rotation_seed != NULL) {
        e->u = ft_big_alloc(e->rounded * sizeof *e->u);
        e->signs = ft_calloc((e->rounded + 7) / 8, 1);
        if (e->u == NULL || e->signs == NULL) {
            st = FT_ERR_NOMEM;
            goto out;
        }
        ft_rotate_signs(config->rotation_seed, e->signs, e->rounded);
    }
    env->random(env->ctx, e->key, sizeof e->key);
    *out = e;
    e = NULL;
out:
    ft_noise_close(taken);
    ft_encoder_close(e);
    return st;
}

static void
seed_of(const struct ft_encoder *e, uint64_t customer, struct ft_round_bits *bits)
{
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)(customer >> (8 * i));
    crypto_stream_chacha20((unsigned char *)bits, sizeof *bits, nonce, e->key);
}

/* Steps 6 and 7: integers of u times factor whose squared length is at most the gate's. False: there are none. */
static bool
round_through_gate(struct ft_encoder *e, uint64_t customer, const float *u, size_t count, double factor)
{
    struct ft_round_bits bits;
    bool inside = false;

    seed_of(e, customer, &bits);
    for (int i = 0; i < TRIES && !inside; i++)
        inside = ft_round_fairly(u, factor, count, &bits, e->w) <= e->gate_sq || FT_PLANT(CLIP_OFF);
    sodium_memzero(&bits, sizeof bits);
    return inside || ft_round_to_zero(u, factor, count, e->w) <= e->gate_sq;
}

void
ft_encoder_add(struct ft_encoder *e, uint64_t customer, const float *v)
{
    const struct ft_encoder_config *c = &e->config;
    const double unit = (double)c->params.scale * (1.0 - 0x1p-20);
    double norm = ft_round_norm(v, c->coordinates);
    const bool finite = isfinite(norm) != 0;
    double factor;

    if (!finite)
        norm = 0; /* the vector counts as zero */
    factor = !finite ? 0 : unit / (norm > c->clip && !FT_PLANT(CLIP_OFF) ? norm : c->clip);
    const float *u = v;
    size_t count = finite ? c->coordinates : 0;
    if (e->u != NULL && finite) {
        for (size_t i = 0; i < c->coordinates; i++)
            e->u[i] = (float)((double)v[i] * factor);
        memset(e->u + c->coordinates, 0, (e->rounded - c->coordinates) * sizeof *e->u);
        ft_rotate(e->signs, e->u, e->rounded);
        u = e->u;
        count = e->rounded;
        factor = 1;
    }
    if (round_through_gate(e, customer, u, count, factor))
        ft_round_add(e->sum, e->w, count);
    else
        e->faults++;
    if (c->indicator)
        e->sum[e->rounded] += norm <= c->clip ? (int64_t)c->params.lambda : -(int64_t)c->params.lambda;
}

void
ft_encoder_add_rows(struct ft_encoder *e, uint64_t first, const float *rows, size_t count, size_t stride)
{
    for (size_t i = 0; i < count; i++)
        ft_encoder_add(e, first + i, rows + i * stride);
}

static void
wipe(struct ft_encoder *e)
{
    const size_t dim = (size_t)e->dim;
    if (e->sum != NULL) {
        sodium_memzero(e->sum, dim * sizeof *e->sum);
        ft_big_free(e->sum, dim * sizeof *e->sum);
    }
    if (e->w != NULL) {
        sodium_memzero(e->w, e->rounded * sizeof *e->w);
        ft_big_free(e->w, e->rounded * sizeof *e->w);
    }
    if (e->u != NULL) {
        sodium_memzero(e->u, e->rounded * sizeof *e->u);
        ft_big_free(e->u, e->rounded * sizeof *e->u);
    }
    e->sum = NULL;
    e->w = NULL;
    e->u = NULL;
    ft_noise_close(e->noise);
    e->noise = NULL;
    sodium_memzero(e->key, sizeof e->key);
}

enum ft_status
ft_encoder_finish(struct ft_encoder *e, int64_t *x)
{
    const int64_t most = e->config.coordinate_max;
    if (e->finished)
        return FT_ERR_STATE;
    for (uint64_t i = 0; i < e->dim; i++) {
        const int64_t s = e->sum[i];
        x[i] = (s > most ? most : s < -most ? -most : s) + e->noise->values[i];
    }
    e->finished = true;
    wipe(e);
    return FT_OK;
}

uint64_t
ft_encoder_faults(const struct ft_encoder *e)
{
    return e->faults;
}

void
ft_encoder_close(struct ft_encoder *e)
{
    if (e == NULL)
        return;
    wipe(e);
    ft_free(e->signs);
    ft_free(e);
}
