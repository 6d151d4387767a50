#include "aggregator/simulate/engine/private_internal.h"
#include "aggregator/simulate/engine/ranks.h"

#include "common/base/alloc.h"
#include "common/privacy/encode.h"
#include "common/privacy/sampler.h"

#include <math.h>
#include <string.h>

#define STREAM UINT64_C(0x70726976617465) /* "private" */

static uint64_t
rows_of(const struct ft_sim_engine *g, uint32_t client)
{
    return g->in.clients->offsets[client + 1] - g->in.clients->offsets[client];
}

/* ---- customers ---- */

/* A client's rows by whose they are; every row its own when the data does not know. */
static enum ft_status
index_client(const struct ft_sim_engine *g, struct sim_private *p, uint32_t client)
{
    const uint64_t from = g->in.clients->offsets[client], rows = rows_of(g, client);
    const uint32_t *whose = g->in.e->privacy.unit == FT_SIM_UNIT_CUSTOMER ? g->in.data->customer : NULL;
    uint64_t count = whose != NULL ? 0 : rows, *at;

    for (uint64_t i = 0; whose != NULL && i < rows; i++)
        count = whose[from + i] + UINT64_C(1) > count ? whose[from + i] + UINT64_C(1) : count;
    at = ft_calloc(count + 1, sizeof *at);
    if (at == NULL)
        return FT_ERR_NOMEM;
    for (uint64_t i = 0; i < rows; i++)
        at[(whose != NULL ? whose[from + i] : i) + 1]++;
    for (uint64_t c = 0, base = from; c < count; c++) {
        const uint64_t own = at[c + 1];
        p->most_rows = own > p->most_rows ? own : p->most_rows;
        at[c] = base;
        base += own;
        if (own > 0) /* one without rows in this split is nobody here */
            p->first[p->customers++] = base;
    }
    for (uint64_t i = 0; i < rows; i++)
        p->order[at[whose != NULL ? whose[from + i] : i]++] = from + i;
    ft_free(at);
    return FT_OK;
}

static enum ft_status
index_customers(struct ft_sim_engine *g, struct sim_private *p)
{
    const uint32_t clients = g->in.clients->count;
    const uint64_t rows = g->in.data->train.rows;
    enum ft_status st = FT_ERR_NOMEM;

    p->order = ft_calloc(rows, sizeof *p->order);
    p->first = ft_calloc(rows + 1, sizeof *p->first);
    p->of_client = ft_calloc((size_t)clients + 1, sizeof *p->of_client);
    p->declared = ft_calloc(clients, sizeof *p->declared);
    if (p->order == NULL || p->first == NULL || p->of_client == NULL || p->declared == NULL)
        goto out;
    p->first++; /* ends first: shifted back below */
    for (uint32_t k = 0; k < clients; k++) {
        st = index_client(g, p, k);
        if (st != FT_OK) {
            p->first--;
            goto out;
        }
        p->of_client[k + 1] = p->customers;
        const uint64_t own = p->customers - p->of_client[k];
        p->declared[k] = (own + 9) / 10 * 10;
        p->most_customers = own > p->most_customers ? own : p->most_customers;
    }
    p->first--;
    st = FT_OK;
out:
    return st;
}

/* ---- parameters ---- */

static uint64_t
declared_all(const struct ft_sim_engine *g, const struct sim_private *p)
{
    uint64_t sum = 0;
    for (uint32_t k = 0; k < g->in.clients->count; k++)
        sum += p->declared[k];
    return sum;
}

static enum ft_status
find_noise(const struct ft_sim_engine *g, struct sim_private *p, struct ft_error *err)
{
    const struct ft_sim_experiment *e = g->in.e;
    const uint64_t n = declared_all(g, p);
    enum ft_status st = FT_OK;

    if (e->privacy.expected_customers > (double)n)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.expected_customers: %g of %llu customers",
                       e->privacy.expected_customers, (unsigned long long)n);
    if (e->privacy.delta * 10 * (double)n > 1 + 1e-9)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.delta: %g is above 1/(10 n) = %.3g for %llu customers",
                       e->privacy.delta, 0.1 / (double)n, (unsigned long long)n);
    p->params.q_num = ft_privacy_q_num(e->privacy.expected_customers, (double)n);
    p->q = ft_privacy_q(p->params.q_num);
    p->z = e->privacy.noise_multiplier;
    if (e->privacy.epsilon > 0)
        st = ft_account_noise(p->q, e->training.rounds, 1, e->privacy.delta, e->privacy.epsilon,
                              e->privacy.method, &p->z);
    if (st != FT_OK)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.epsilon: no noise multiplier up to 1000 reaches %g",
                       e->privacy.epsilon);
    return FT_OK;
}

/* Lanes in which the largest shop's sum has room; else those of 64 bits. */
static enum ft_status
find_lanes(const struct ft_sim_engine *g, struct sim_private *p, struct ft_error *err)
{
    const double sample = p->q * (double)p->most_customers, share = p->params.sigma_share;
    struct ft_ss_codec_choice choice = { .lane_bits = 32,
                                         .dim = g->vector,
                                         .n_cap = g->in.clients->count < 2 ? 2 : g->in.clients->count,
                                         .clip = p->params.clip,
                                         .noise_var = share * share,
                                         .quant_step =
                                             ft_privacy_quant_step(p->params.clip, p->params.scale) };
    if (ft_ss_codec_init(&choice, &p->codec, err) == FT_OK &&
        (double)p->codec.quant_max >= p->params.scale * (sample + 8 * sqrt(sample)))
        return FT_OK;
    choice.lane_bits = 64;
    return ft_ss_codec_init(&choice, &p->codec, err);
}

static enum ft_status
find_parameters(struct ft_sim_engine *g, struct sim_private *p, struct ft_error *err)
{
    const struct ft_sim_experiment *e = g->in.e;
    const uint32_t clients = g->in.clients->count, away = (uint32_t)ceil(e->clients.dropout * clients);
    const uint32_t credited = e->privacy.t_min > 0 ? e->privacy.t_min
                              : clients > away + 1 ? clients - away - 1
                                                   : 1;
    enum ft_status st;

    if (credited > clients - away)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.t_min: %u shares of %u shops of which %u may drop out",
                       credited, clients, away);
    FT_TRY(find_noise(g, p, err));
    p->params.dim = g->vector;
    p->params.clip = e->privacy.clip;
    p->params.scale = ft_privacy_scale(g->vector);
    p->params.t_min = credited;
    p->params.m_stores = 1;
    p->params.steps = e->training.rounds;
    p->params.delta_int_sq = ft_privacy_delta_int_sq(p->params.scale, g->vector, 0);
    st = ft_privacy_sigma_share(p->z, p->params.delta_int_sq, credited, &p->params.sigma_share);
    if (st != FT_OK || p->params.scale == 0) {
        st =
            ft_fail(err, FT_ERR_CONFIG,
                    "privacy: a noise multiplier of %g from %u shops needs too large shares", p->z, credited);
        goto out;
    }
    if (p->params.sigma_share < FT_PRIVACY_SHARE_MIN)
        p->params.sigma_share = FT_PRIVACY_SHARE_MIN;
    FT_TRY(ft_privacy_params_check(&p->params, err));
    st = find_lanes(g, p, err);
out:
    return st;
}

static enum ft_status
open_worker(struct ft_sim_engine *g, struct sim_private *p, struct private_worker *w, struct ft_error *err)
{
    const size_t block = PRIVATE_BLOCK * p->most_rows, most = p->central ? p->customers : p->most_customers;

    w->drawn = ft_calloc(most + 1, sizeof *w->drawn);
    w->x = ft_calloc(block + 1, g->in.data->features * sizeof *w->x);
    w->y = ft_calloc(block + 1, sizeof *w->y);
    w->first = ft_calloc(PRIVATE_BLOCK + 1, sizeof *w->first);
    w->vector = ft_calloc(g->vector, sizeof *w->vector);
    w->z = ft_calloc(g->vector, sizeof *w->z);
    w->words = ft_calloc(p->codec.words, sizeof *w->words);
    w->total = ft_calloc(p->codec.words, sizeof *w->total);
    if (w->drawn == NULL || w->x == NULL || w->y == NULL || w->first == NULL || w->vector == NULL ||
        w->z == NULL || w->words == NULL || w->total == NULL)
        return FT_ERR_NOMEM;
    return p->by_gradient ? ft_per_customer_open(g->in.spec, &w->gradients, err) : FT_OK;
}

enum ft_status
sim_private_open(struct ft_sim_engine *g, struct ft_error *err)
{
    struct sim_private *p = ft_calloc(1, sizeof *p);
    enum ft_status st;

    g->private = p;
    if (p == NULL)
        return FT_ERR_NOMEM;
    if (g->in.e->privacy.unit == FT_SIM_UNIT_CUSTOMER && g->in.data->customer == NULL)
        return ft_fail(err, FT_ERR_CONFIG,
                       "privacy.unit: customer, but only source task knows whose rows are whose; where "
                       "each row is a customer, expected row");
    p->central = g->in.e->privacy.central;
    p->by_gradient = g->algorithm->kind == FT_SIM_FEDSGD && g->in.spec->kind != FT_MODEL_CNN;
    p->sum = ft_calloc(g->vector, sizeof *p->sum);
    if (p->sum == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(index_customers(g, p));
    FT_TRY(find_parameters(g, p, err));
    for (unsigned i = 0; i < sim_pool_threads(g->pool); i++)
        FT_TRY(open_worker(g, p, &p->workers[i], err));
out:
    return st;
}

void
sim_private_close(struct ft_sim_engine *g)
{
    struct sim_private *p = g->private;
    if (p == NULL)
        return;
    for (unsigned i = 0; i < SIM_THREADS_MAX; i++) {
        struct private_worker *w = &p->workers[i];
        ft_per_customer_close(w->gradients);
        ft_free(w->drawn);
        ft_free(w->x);
        ft_free(w->y);
        ft_free(w->first);
        ft_free(w->vector);
        ft_free(w->z);
        ft_free(w->words);
        ft_free(w->total);
    }
    ft_free(p->sum);
    ft_free(p->order);
    ft_free(p->first);
    ft_free(p->of_client);
    ft_free(p->declared);
    ft_free(p);
    g->private = NULL;
}

uint64_t
sim_private_bytes(const struct ft_sim_engine *g)
{
    return g->private->codec.words * sizeof(uint64_t);
}

enum ft_status
ft_sim_engine_privacy(const struct ft_sim_engine *g, struct ft_sim_privacy *out)
{
    const struct sim_private *p = g->private;
    const struct ft_privacy_params *k;
    enum ft_status st;

    *out = (struct ft_sim_privacy){ 0 };
    if (p == NULL)
        return FT_OK;
    k = &p->params;
    const struct ft_account_event event = { p->q, ft_privacy_z_eff(k->delta_int_sq, k->t_min, k->sigma_share),
                                            g->rounds, 1 };
    struct ft_account_cost cost;
    FT_TRY(ft_account_cost(&event, 1, g->in.e->privacy.delta, &cost));
    *out = (struct ft_sim_privacy){ .on = true,
                                    .epsilon_rdp = cost.rdp,
                                    .order = cost.rdp_order,
                                    .epsilon_pld = cost.pld,
                                    .noise_multiplier = event.z,
                                    .q = p->q,
                                    .steps = g->rounds,
                                    .customers = p->customers,
                                    .declared = declared_all(g, p),
                                    .t_min = k->t_min,
                                    .sigma_share = k->sigma_share,
                                    .scale = k->scale,
                                    .lane_bits = p->codec.lane_bits };
out:
    return st;
}

/* ---- one client ---- */

struct ft_customer_rows
private_gather(const struct ft_sim_engine *g, struct private_worker *w, uint64_t base, size_t at,
               size_t drawn)
{
    const struct sim_private *p = g->private;
    const struct ft_sim_part *train = &g->in.data->train;
    const size_t n = g->in.data->features;
    size_t rows = 0, count = 0;

    w->first[0] = 0;
    for (; at + count < drawn && count < PRIVATE_BLOCK; count++) {
        const uint64_t who = base + w->drawn[at + count];
        for (uint64_t i = p->first[who]; i < p->first[who + 1]; i++, rows++) {
            memcpy(w->x + rows * n, train->x + p->order[i] * n, n * sizeof *w->x);
            w->y[rows] = train->y[p->order[i]];
        }
        w->first[count + 1] = (uint32_t)rows;
    }
    return (struct ft_customer_rows){ w->x, w->y, w->first, count };
}

void
private_change(struct ft_sim_engine *g, unsigned number, const struct ft_customer_rows *rows, size_t i,
               const struct ft_env *env, float *vector)
{
    const size_t from = rows->first[i], count = rows->first[i + 1] - from;
    const struct ft_dataset own = { rows->x + from * g->in.data->features, rows->y + from, count };

    ft_trainer_set_rate(g->trainers[number], g->rate);
    if (ft_train_local(g->trainers[number], &own, env, g->server.params, vector) != FT_OK)
        memset(vector, 0, g->vector * sizeof *vector);
}

struct taking {
    struct ft_encoder *encoder;
    uint64_t number;
    size_t parameters;
};

static void
take(void *ctx, size_t first, const float *vectors, const double *lengths, size_t count)
{
    const struct taking *t = ctx;
    (void)lengths;
    ft_encoder_add_rows(t->encoder, t->number + first, vectors, count, t->parameters);
}

static enum ft_status
contribute(struct ft_sim_engine *g, unsigned number, uint32_t client)
{
    const struct sim_private *p = g->private;
    struct private_worker *w = &g->private->workers[number];
    const uint64_t base = p->of_client[client], customers = p->of_client[client + 1] - base;
    const struct ft_encoder_config config = { .params = p->params,
                                              .clip = p->params.clip,
                                              .coordinates = g->vector,
                                              .coordinate_max = p->codec.quant_max };
    struct ft_env_seeded env;
    struct ft_noise *noise = NULL;
    struct ft_encoder *encoder = NULL;
    enum ft_status st;

    ft_env_seeded_init(&env, g->in.e->seed ^ STREAM, (g->rounds + 1) << 32 | client);
    FT_TRY(ft_noise_draw(&env.env, g->vector, p->params.sigma_share, &noise));
    FT_TRY(ft_encoder_open(&config, &env.env, &noise, &encoder, NULL));
    const size_t drawn = ft_sample_customers(&env.env, p->params.q_num, customers, w->drawn);
    for (size_t at = 0; at < drawn;) {
        const struct ft_customer_rows rows = private_gather(g, w, base, at, drawn);
        struct taking taking = { encoder, at, g->vector };
        if (p->by_gradient)
            ft_per_customer_gradients(w->gradients, g->server.params, &rows, take, &taking);
        for (size_t i = 0; !p->by_gradient && i < rows.customers; i++) {
            private_change(g, number, &rows, i, &env.env, w->vector);
            ft_encoder_add(encoder, at + i, w->vector);
        }
        at += rows.customers;
    }
    FT_TRY(ft_encoder_finish(encoder, w->z));
    FT_TRY(ft_ss_pack(&p->codec, 0, w->z, w->words));
    for (uint64_t i = 0; i < p->codec.words; i++)
        w->total[i] += w->words[i];
out:
    ft_noise_close(noise);
    ft_encoder_close(encoder);
    return st;
}

static void
contribute_all(void *ctx, unsigned number)
{
    struct ft_sim_engine *g = ctx;
    for (uint32_t at; (at = atomic_fetch_add(&g->next, 1)) < g->place_count;) {
        const uint32_t client = g->places[at].client;
        const bool mine = client >= g->client_from && client < g->client_to;
        const enum ft_status st = mine && g->places[at].came ? contribute(g, number, client) : FT_OK;
        if (st != FT_OK)
            atomic_store(&g->status, (int)st);
    }
}

/* ---- one round ---- */

/* What a mean descent direction becomes: a step of the learning rate, with the penalty, which needs no data.
 */
static void
to_step(struct ft_sim_engine *g, double weight)
{
    const double decay = g->in.e->training.weight_decay;
    for (uint64_t i = 0; i < g->vector; i++)
        g->private->sum[i] *= g->rate;
    if (decay > 0)
        ft_model_decay(g->in.spec, g->server.params, decay * g->rate * weight, g->private->sum);
}

static enum ft_status
sum_of_shops(struct ft_sim_engine *g, uint32_t came)
{
    struct sim_private *p = g->private;
    uint64_t *total = p->workers[0].total, none;
    enum ft_status st;

    for (unsigned i = 1; i < sim_pool_threads(g->pool); i++)
        for (uint64_t k = 0; k < p->codec.words; k++)
            total[k] += p->workers[i].total[k];
    sim_ranks_add_u64(total, p->codec.words);
    FT_TRY(ft_ss_unpack(&p->codec, total, came, p->workers[0].z, &none));
    ft_ss_dequantise(&p->codec, p->workers[0].z, g->vector, 1, g->private->sum);
out:
    return st;
}

enum ft_status
sim_private_round(struct ft_sim_engine *g, const double **sum, double *weight, uint32_t *came,
                  struct ft_error *err)
{
    struct sim_private *p = g->private;
    uint64_t declared = 0;
    enum ft_status st;

    *weight = 0;
    *came = 0;
    *sum = p->sum;
    if (p->central) {
        FT_TRY(private_central_round(g, weight));
        *came = 1;
    } else {
        for (uint32_t i = 0; i < g->place_count; i++) {
            g->places[i].came = !g->asked[i].dropped; /* a shop without customers sends its noise */
            *came += g->places[i].came;
            declared += g->places[i].came ? p->declared[g->places[i].client] : 0;
        }
        for (unsigned i = 0; i < sim_pool_threads(g->pool); i++)
            memset(p->workers[i].total, 0, p->codec.words * sizeof *p->workers[i].total);
        if (*came < p->params.t_min) {
            *came = 0;
            return FT_OK;
        }
        atomic_store(&g->next, 0);
        atomic_store(&g->status, FT_OK);
        sim_pool_run(g->pool, contribute_all, g);
        FT_TRY(sim_ranks_agree((enum ft_status)atomic_load(&g->status), err));
        FT_TRY(sum_of_shops(g, *came));
        *weight = p->q * (double)declared;
    }
    if (p->by_gradient)
        to_step(g, *weight);
out:
    return st == FT_OK
               ? st
               : ft_fail(err, st, "round %llu: %s", (unsigned long long)g->rounds + 1, ft_status_str(st));
}
