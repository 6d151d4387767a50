#include "aggregator/simulate/engine/private_internal.h"
#include "aggregator/simulate/engine/ranks.h"

#include "common/base/alloc.h"
#include "common/model/kmeans.h"
#include "common/privacy/encode.h"
#include "common/privacy/sampler.h"

#include <math.h>
#include <string.h>

#define STREAM UINT64_C(0x70726976617465) /* "private" */

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
    if (w->nearest != NULL)
        ft_kmeans_assign(ft_trainer_model(g->trainers[w - p->workers]), g->server.params, w->x, rows, w->nearest, NULL);
    return (struct ft_customer_rows){ w->x, w->y, w->first, count };
}

void
private_change(struct ft_sim_engine *g, unsigned number, const struct ft_customer_rows *rows, size_t i,
               const struct ft_env *env, float *vector)
{
    const size_t from = rows->first[i], count = rows->first[i + 1] - from;
    const struct ft_dataset own = { rows->x + from * g->in.data->features, rows->y + from, count };

    if (ft_model_is_clusters(g->in.spec)) {
        ft_kmeans_customer(g->in.spec, g->server.params, own.x, g->private->workers[number].nearest + from, count,
                           g->private->params.clip, vector);
        return;
    }
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

/* k-means: from customers' parts to sums and numbers, and the noise that is in them. */
static void
to_block(struct ft_sim_engine *g, uint32_t came)
{
    struct sim_private *p = g->private;
    const struct ft_model_spec one = { .kind = FT_MODEL_KMEANS, .features = 1, .classes = 1 };
    double noise[2] = { 0 };

    g->server.noise_sum = p->central ? p->z * p->params.clip : p->params.sigma_share * sqrt(came) * p->codec.quant_step;
    noise[1] = g->server.noise_sum;
    ft_kmeans_from_customers(&one, (const float[1]){ 0 }, p->params.clip, noise);
    g->server.noise_number = noise[1];
    ft_kmeans_from_customers(g->in.spec, g->server.params, p->params.clip, p->sum);
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
    if (ft_model_is_clusters(g->in.spec))
        to_block(g, *came);
    else if (p->by_gradient)
        to_step(g, *weight);
out:
    return st == FT_OK
               ? st
               : ft_fail(err, st, "round %llu: %s", (unsigned long long)g->rounds + 1, ft_status_str(st));
}
