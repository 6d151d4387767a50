#include "aggregator/simulate/engine/engine_internal.h"
#include "aggregator/simulate/engine/private.h"
#include "aggregator/simulate/engine/ranks.h"
#include "common/base/alloc.h"
#include "common/model/kmeans.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define WAVE_BYTES ((uint64_t)256 << 20)

static double
now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t
rows_of(const struct ft_sim_engine *g, uint32_t client)
{
    return g->in.clients->offsets[client + 1] - g->in.clients->offsets[client];
}

static struct ft_dataset
data_of(const struct ft_sim_engine *g, uint32_t client)
{
    const uint64_t at = g->in.clients->offsets[client];
    return (struct ft_dataset){ g->in.data->train.x + at * g->in.data->features, g->in.data->train.y + at,
                                (size_t)rows_of(g, client) };
}

static uint64_t
most_rows(const struct ft_sim_engine *g)
{
    uint64_t most = 0;
    for (uint32_t k = 0; k < g->in.clients->count; k++)
        most = rows_of(g, k) > most ? rows_of(g, k) : most;
    return most;
}

static bool
secure(const struct ft_sim_engine *g)
{
    return g->in.e->secure.kind != FT_SIM_SECURE_NONE;
}

static enum ft_status
open_workers(struct ft_sim_engine *g, struct ft_error *err)
{
    const struct ft_sim_experiment *e = g->in.e;
    const struct ft_train_config train = { .local_epochs = e->training.local_epochs,
                                           .batch_size = e->training.batch_size,
                                           .learning_rate = ft_model_is_clusters(g->in.spec) ? 1 : e->training.learning_rate,
                                           .momentum = e->training.momentum,
                                           .weight_decay = e->training.weight_decay };
    enum ft_status st = sim_pool_open(g->in.threads, &g->pool);
    for (unsigned i = 0; st == FT_OK && i < sim_pool_threads(g->pool); i++) {
        st = ft_trainer_open(g->in.spec, &train, (size_t)most_rows(g), &g->trainers[i], err);
        g->workers[i].scratch = ft_calloc(2 * g->server.parameters, sizeof(float));
        if (st == FT_OK && g->workers[i].scratch == NULL)
            st = FT_ERR_NOMEM;
    }
    return st;
}

/* Words of 64 bits with lanes of 32 and more: as large as the vector, or a little more. */
static bool
passes_words_on(const struct ft_sim_engine *g)
{
    return g->in.e->secure.kind == FT_SIM_SECURE_EXACT && ft_sim_ranks() > 1;
}

static enum ft_status
open_wave(struct ft_sim_engine *g)
{
    const bool waits = !secure(g) || passes_words_on(g); /* a contribution stays until the wave is over */
    const uint64_t each = ((waits ? g->vector : 0) + (g->own != NULL ? g->server.parameters : 0)) * sizeof(float);
    uint64_t fit = each > 0 ? WAVE_BYTES / each : g->most;
    const unsigned threads = sim_pool_threads(g->pool);
    fit = fit < 2 * threads ? 2 * threads : fit;
    g->wave = fit < g->most ? (uint32_t)fit : g->most;
    g->vectors = ft_calloc(secure(g) ? threads : g->wave, g->vector * sizeof *g->vectors);
    g->changes = g->own != NULL ? ft_calloc(g->wave, g->server.parameters * sizeof *g->changes) : NULL;
    g->weights = ft_calloc(g->most, sizeof *g->weights);
    g->secure_sum = secure(g) ? ft_calloc(g->vector, sizeof *g->secure_sum) : NULL;
    sim_sum_open(&g->sum, g->vector);
    return g->vectors != NULL && g->weights != NULL && (g->secure_sum != NULL || !secure(g)) &&
                   (g->own == NULL || g->changes != NULL)
               ? FT_OK
               : FT_ERR_NOMEM;
}

enum ft_status
ft_sim_engine_open(const struct ft_sim_input *input, struct ft_sim_engine **out, struct ft_error *err)
{
    struct ft_sim_engine *g = ft_calloc(1, sizeof *g);
    float *params = NULL;
    enum ft_status st = FT_ERR_NOMEM;

    *out = NULL;
    if (g == NULL)
        return st;
    g->in = *input;
    g->algorithm = sim_algorithm(input->e->algorithm.kind);
    params = ft_calloc(ft_model_parameters(input->spec), sizeof *params);
    if (params == NULL)
        goto out;
    ft_model_init(input->spec, input->e->seed, params);
    FT_TRY(sim_server_open(input->e, input->spec, input->clients->count, params, &g->server, err));
    g->vector = sim_vector(g->algorithm, g->server.parameters);
    if (ft_model_is_clusters(input->spec))
        g->vector += input->spec->classes; /* a number of each cluster */
    FT_TRY(sim_sampling_open(input->e, input->clients->count, &g->sampling, err));
    g->most = g->algorithm->kind == FT_SIM_FEDBUFF ? input->e->algorithm.buffer : sim_sampling_most(&g->sampling);
    g->asked = ft_calloc(g->most, sizeof *g->asked);
    g->places = ft_calloc(g->most, sizeof *g->places);
    g->client_from = (uint32_t)((uint64_t)input->clients->count * ft_sim_rank() / ft_sim_ranks());
    g->client_to = (uint32_t)((uint64_t)input->clients->count * (ft_sim_rank() + 1) / ft_sim_ranks());
    g->own = g->algorithm->own_state ? ft_calloc(input->clients->count, sizeof *g->own) : NULL;
    if (g->asked == NULL || g->places == NULL || (g->algorithm->own_state && g->own == NULL)) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(open_workers(g, err));
    FT_TRY(open_wave(g));
    if (secure(g))
        FT_TRY(sim_secure_open(g, err));
    if (g->algorithm->kind == FT_SIM_FEDBUFF)
        FT_TRY(sim_buffered_open(g, err));
    if (input->e->privacy.unit != FT_SIM_UNIT_NONE)
        FT_TRY(sim_private_open(g, err));
    *out = g;
    g = NULL;
out:
    ft_free(params);
    ft_sim_engine_close(g);
    return st;
}

void
ft_sim_engine_close(struct ft_sim_engine *g)
{
    if (g == NULL)
        return;
    for (unsigned i = 0; i < SIM_THREADS_MAX; i++) {
        ft_trainer_close(g->trainers[i]);
        ft_free(g->workers[i].scratch);
    }
    sim_secure_close(g);
    sim_buffered_close(g);
    sim_private_close(g);
    sim_pool_close(g->pool);
    for (uint32_t k = 0; g->own != NULL && k < g->in.clients->count; k++)
        ft_free(g->own[k]);
    ft_free(g->own);
    ft_free(g->asked);
    ft_free(g->places);
    ft_free(g->vectors);
    ft_free(g->changes);
    ft_free(g->weights);
    ft_free(g->secure_sum);
    sim_sum_close(&g->sum);
    sim_sampling_close(&g->sampling);
    sim_server_close(&g->server);
    ft_free(g);
}

/* ---- one wave ---- */

/* Without its staleness. */
static uint64_t
weight_of(const struct ft_sim_engine *g, const struct sim_place *p)
{
    return g->algorithm->equal_weights || g->in.e->algorithm.weighting == FT_SIM_EQUAL ? 1 : rows_of(g, p->client);
}

static enum ft_status
take_turn(struct ft_sim_engine *g, unsigned number, uint32_t at)
{
    const struct sim_place *p = &g->places[g->from + at];
    const uint64_t rows = rows_of(g, p->client), batch = g->in.e->training.batch_size;
    struct ft_env_seeded env;
    struct ft_trainer *trainer = g->trainers[number];
    struct sim_turn t = { .server = &g->server,
                          .trainer = trainer,
                          .data = data_of(g, p->client),
                          .env = &env.env,
                          .epochs = p->epochs,
                          .steps = p->epochs * (batch == 0 ? 1 : (rows + batch - 1) / batch),
                          .rate = g->rate,
                          .theta = p->theta,
                          .own = g->own != NULL ? g->own[p->client] : NULL,
                          .own_change = g->changes != NULL ? g->changes + at * g->server.parameters : NULL,
                          .vector = g->vectors + (secure(g) ? number : at) * g->vector,
                          .scratch = g->workers[number].scratch };
    enum ft_status st;

    ft_env_seeded_init(&env, g->in.e->seed, p->stream);
    ft_trainer_set_rate(trainer, g->rate);
    ft_trainer_set_epochs(trainer, p->epochs);
    FT_TRY(ft_trainer_set_correction(trainer, 0, NULL));
    FT_TRY(g->algorithm->client(&t));
    if (secure(g))
        FT_TRY(sim_secure_add(g, number, p, weight_of(g, p), t.vector));
out:
    return st;
}

static void
train_wave(void *ctx, unsigned number)
{
    struct ft_sim_engine *g = ctx;
    for (uint32_t at; (at = atomic_fetch_add(&g->next, 1)) < g->to - g->from;) {
        const enum ft_status st = g->places[g->from + at].came ? take_turn(g, number, at) : FT_OK;
        if (st != FT_OK)
            atomic_store(&g->status, (int)st);
    }
}

static enum ft_status
own_states(struct ft_sim_engine *g)
{
    for (uint32_t at = g->from; g->own != NULL && at < g->to; at++) {
        float **own = &g->own[g->places[at].client];
        if (!g->places[at].came || *own != NULL)
            continue;
        *own = ft_calloc(g->server.parameters, sizeof **own);
        if (*own == NULL)
            return FT_ERR_NOMEM;
    }
    return FT_OK;
}

static void
change_own_states(struct ft_sim_engine *g)
{
    for (uint32_t at = g->from; g->own != NULL && at < g->to; at++) {
        const float *change = g->changes + (at - g->from) * g->server.parameters;
        float *own = g->own[g->places[at].client];
        for (uint64_t k = 0; g->places[at].came && k < g->server.parameters; k++)
            own[k] += change[k];
    }
}

/* Places from .. to of this process: about its share of the rows, or those whose state it keeps. */
static void
my_places(const struct ft_sim_engine *g, uint32_t *from, uint32_t *to)
{
    const uint64_t ranks = ft_sim_ranks(), self = ft_sim_rank();
    uint64_t all = 0, before = 0;
    uint32_t i = 0;

    *from = 0;
    *to = g->place_count;
    if (ranks == 1)
        return;
    if (g->own != NULL) { /* places are in the clients' order */
        while (i < g->place_count && g->places[i].client < g->client_from)
            i++;
        for (*from = i; i < g->place_count && g->places[i].client < g->client_to;)
            i++;
        *to = i;
        return;
    }
    for (i = 0; i < g->place_count; i++)
        all += g->places[i].came ? rows_of(g, g->places[i].client) : 0;
    for (i = 0; i < g->place_count && before * ranks < all * self; i++)
        before += g->places[i].came ? rows_of(g, g->places[i].client) : 0;
    for (*from = i; i < g->place_count && before * ranks < all * (self + 1); i++)
        before += g->places[i].came ? rows_of(g, g->places[i].client) : 0;
    *to = self + 1 == ranks ? g->place_count : i;
}

static enum ft_status
run_wave(struct ft_sim_engine *g, struct ft_error *err)
{
    enum ft_status st;

    FT_TRY(own_states(g));
    atomic_store(&g->next, 0);
    atomic_store(&g->status, FT_OK);
    sim_pool_run(g->pool, train_wave, g);
    st = (enum ft_status)atomic_load(&g->status);
    if (st != FT_OK) {
        st = ft_fail(err, st, "round %llu: %s", (unsigned long long)g->rounds + 1,
                     st == FT_ERR_NONFINITE ? "training diverged: use a smaller learning rate" : ft_status_str(st));
        goto out;
    }
    if (!secure(g))
        FT_TRY(sim_sum_add(&g->sum, g->pool, g->vectors, g->weights + g->from, g->from, g->to - g->from));
    change_own_states(g);
out:
    return st;
}

/* Train and add up this process's places. */
static enum ft_status
run_mine(struct ft_sim_engine *g, struct ft_error *err)
{
    uint32_t from, to;
    uint64_t waves;
    enum ft_status st = FT_OK;

    my_places(g, &from, &to);
    waves = (to - from + g->wave - 1) / g->wave;
    if (passes_words_on(g))
        sim_ranks_most_u64(&waves, 1); /* all pass on what they have after each */
    for (g->from = from; waves > 0; waves--, g->from = g->to) {
        g->to = to - g->from < g->wave ? to : g->from + g->wave;
        st = run_wave(g, err);
        if (passes_words_on(g)) {
            FT_TRY(sim_ranks_agree(st, err));
            FT_TRY(sim_secure_gather(g));
        }
        FT_TRY(st);
    }
out:
    return st;
}

enum ft_status
sim_run_places(struct ft_sim_engine *g, const double **sum, double *weight, uint32_t *came, struct ft_error *err)
{
    enum ft_status st;

    *weight = 0;
    *came = 0;
    if (secure(g) && !sim_secure_possible(g)) /* too few stay: nobody learns anything, and nobody need train */
        for (uint32_t i = 0; i < g->place_count; i++)
            g->places[i].came = false;
    for (uint32_t i = 0; i < g->place_count; i++) {
        const struct sim_place *p = &g->places[i];
        g->weights[i] = p->came ? p->factor * (double)weight_of(g, p) : 0;
        *weight += g->weights[i];
        *came += p->came;
    }
    sim_sum_begin(&g->sum);
    if (secure(g) && *came > 0)
        FT_TRY(sim_ranks_agree(sim_secure_begin(g, err), err));
    FT_TRY(sim_ranks_agree(run_mine(g, err), err));
    *sum = g->secure_sum;
    if (!secure(g))
        FT_TRY(sim_sum_end(&g->sum, sum));
    else if (*came > 0)
        FT_TRY(sim_secure_end(g, *came, weight, err));
out:
    sim_secure_done(g);
    return st;
}

/* ---- one round ---- */

static void
plan(struct ft_sim_engine *g, uint32_t *asked)
{
    const uint64_t round = g->rounds + 1;
    g->place_count = sim_sample(&g->sampling, round, g->asked);
    *asked = g->place_count;
    for (uint32_t i = 0; i < g->place_count; i++)
        g->places[i] = (struct sim_place){ .client = g->asked[i].client,
                                           .epochs = g->asked[i].epochs,
                                           .came = !g->asked[i].dropped && rows_of(g, g->asked[i].client) > 0,
                                           .theta = g->server.params,
                                           .factor = 1,
                                           .stream = round << 32 | g->asked[i].client };
}

enum ft_status
ft_sim_engine_round(struct ft_sim_engine *g, struct ft_sim_round *out, struct ft_error *err)
{
    const struct ft_sim_experiment *e = g->in.e;
    const bool buffered = g->flight != NULL;
    const double begin = now();
    const double *sum = NULL;
    uint64_t masks_ns = 0;
    double weight = 0;
    enum ft_status st = FT_OK;

    *out = (struct ft_sim_round){ .round = g->rounds + 1, .score = { NAN, NAN, NAN } };
    g->rate = out->rate = sim_rate(e, out->round);
    if (!buffered)
        plan(g, &out->asked);
    else if (sim_buffered_plan(g, &out->asked) != FT_OK) {
        st = ft_fail(err, FT_ERR_LATER, "round %llu: no update comes: every client that trains is without rows or is lost",
                     (unsigned long long)out->round);
        goto out;
    }
    FT_TRY(g->private != NULL ? sim_private_round(g, &sum, &weight, &out->came, err)
                              : sim_run_places(g, &sum, &weight, &out->came, err));
    if (out->came > 0) { /* a round of nobody leaves the model as it was */
        g->server.rounds = g->rounds;
        st = g->algorithm->server(&g->server, sum, weight, out->came);
        if (st != FT_OK) {
            st = ft_fail(err, st, "round %llu: the server's step is not finite", (unsigned long long)out->round);
            goto out;
        }
    }
    if (buffered)
        FT_TRY(sim_buffered_done(g));
    g->rounds++;
    g->turns += out->came;
    out->bytes_up = (uint64_t)out->came * (secure(g) ? g->codec.words * 8 : g->vector * sizeof(float));
    if (g->private != NULL)
        out->bytes_up = out->came * sim_private_bytes(g);
    for (unsigned i = 0; i < sim_pool_threads(g->pool); i++)
        masks_ns += g->workers[i].masks_ns;
    sim_ranks_add_u64(&masks_ns, 1);
    out->mask_seconds = out->came > 0 ? (double)masks_ns * 1e-9 / out->came : 0;
    out->seconds = now() - begin;
    out->scored = g->rounds % e->evaluation.every == 0 || g->rounds == e->training.rounds;
    if (out->scored)
        st = ft_sim_engine_score(g, g->server.params, &out->score);
out:
    return st;
}

uint64_t
ft_sim_engine_rounds(const struct ft_sim_engine *g)
{
    return g->rounds;
}

uint64_t
ft_sim_engine_turns(const struct ft_sim_engine *g)
{
    return g->turns;
}

const float *
ft_sim_engine_params(const struct ft_sim_engine *g)
{
    return g->server.params;
}

uint64_t
ft_sim_engine_parameters(const struct ft_sim_engine *g)
{
    return g->server.parameters;
}

void
ft_sim_engine_alone(struct ft_sim_engine *g, bool alone)
{
    g->alone = alone;
}

enum ft_status
ft_sim_engine_score(struct ft_sim_engine *g, const float *params, struct ft_sim_score *out)
{
    return sim_score(g->pool, g->trainers, params, &g->in.data->test, g->in.data->features, g->alone, out);
}

enum ft_status
ft_sim_engine_agreement(struct ft_sim_engine *g, const float *a, const float *b, double *index)
{
    const struct ft_sim_part *rows = &g->in.data->train;
    uint32_t *in_a = ft_calloc(2 * (size_t)rows->rows + 1, sizeof *in_a), *in_b = in_a + rows->rows;
    struct ft_model *m = ft_trainer_model(g->trainers[0]);
    enum ft_status st = in_a != NULL ? FT_OK : FT_ERR_NOMEM;

    *index = NAN;
    if (st != FT_OK || !ft_model_is_clusters(g->in.spec))
        goto out;
    ft_kmeans_assign(m, a, rows->x, (size_t)rows->rows, in_a, NULL);
    ft_kmeans_assign(m, b, rows->x, (size_t)rows->rows, in_b, NULL);
    for (uint64_t i = 0; i < 2 * rows->rows; i++)
        if (in_a[i] == FT_KMEANS_NOWHERE)
            st = FT_ERR_NONFINITE;
    if (st == FT_OK)
        st = ft_adjusted_rand(in_a, in_b, (size_t)rows->rows, g->in.spec->classes, index);
out:
    ft_free(in_a);
    return st;
}

enum ft_status
ft_sim_engine_own_mix(struct ft_sim_engine *g, uint32_t client, const float *params, double *accuracy)
{
    const uint32_t classes = g->in.data->classes;
    const struct ft_dataset data = data_of(g, client);
    double *hits = ft_calloc(2 * (size_t)classes + 1, sizeof *hits), right = 0, rows = 0;
    enum ft_status st = hits != NULL ? FT_OK : FT_ERR_NOMEM;

    *accuracy = NAN;
    if (ft_model_is_clusters(g->in.spec)) { /* segments are no classes */
        ft_free(hits);
        return st;
    }
    if (st == FT_OK && classes > 0)
        st = sim_class_hits(ft_trainer_model(g->trainers[0]), params, &g->in.data->test, g->in.data->features, hits,
                            hits + classes);
    for (size_t i = 0; st == FT_OK && classes > 0 && i < data.rows; i++) {
        const uint32_t c = (uint32_t)data.y[i]; /* classes that the test rows do not have say nothing */
        right += hits[classes + c] > 0 ? hits[c] / hits[classes + c] : 0;
        rows += hits[classes + c] > 0;
    }
    if (st == FT_OK && rows > 0)
        *accuracy = right / rows;
    ft_free(hits);
    return st;
}

enum ft_status
ft_sim_engine_personal(struct ft_sim_engine *g, double *accuracy, struct ft_error *err)
{
    float *own = ft_calloc(g->server.parameters, sizeof *own);
    double *each = ft_calloc(2 * (size_t)g->in.clients->count, sizeof *each), *counts = each + g->in.clients->count, sum = 0;
    double clients = 0;
    enum ft_status st = own != NULL && each != NULL ? FT_OK : FT_ERR_NOMEM;

    *accuracy = NAN;
    for (uint32_t k = 0;
         st == FT_OK && g->own != NULL && g->algorithm->kind == FT_SIM_DITTO && k < g->in.clients->count; k++) {
        if (g->own[k] == NULL || rows_of(g, k) == 0)
            continue;
        for (uint64_t i = 0; i < g->server.parameters; i++)
            own[i] = g->server.shared[i] + g->own[k][i];
        st = ft_sim_engine_own_mix(g, k, own, &each[k]);
        counts[k] = isfinite(each[k]);
        each[k] = isfinite(each[k]) ? each[k] : 0;
    }
    FT_TRY(sim_ranks_agree(st, err));
    sim_ranks_add_f64(each, 2 * (size_t)g->in.clients->count);
    for (uint32_t k = 0; k < g->in.clients->count; k++) {
        sum += each[k];
        clients += counts[k];
    }
    if (clients > 0)
        *accuracy = sum / clients;
out:
    ft_free(each);
    ft_free(own);
    return st;
}

/* ---- going on later ---- */

/* The own states of all clients go to process 0, which has *out; the others send theirs. */
static enum ft_status
save_own(const struct ft_sim_engine *g, struct ft_buf *out)
{
    const size_t size = g->server.parameters * sizeof **g->own;
    const uint32_t clients = g->in.clients->count;
    const unsigned self = ft_sim_rank();
    uint64_t *owner = ft_calloc(clients, sizeof *owner); /* number + 1; 0: no state */
    float *received = self == 0 && ft_sim_ranks() > 1 ? ft_calloc(1, size) : NULL;
    enum ft_status st = owner != NULL && (received != NULL || self > 0 || ft_sim_ranks() == 1) ? FT_OK : FT_ERR_NOMEM;

    if (st != FT_OK)
        sim_ranks_give_up(st);
    for (uint32_t k = 0; st == FT_OK && k < clients; k++)
        owner[k] = g->own[k] != NULL ? self + 1 : 0;
    if (st == FT_OK)
        sim_ranks_add_u64(owner, clients);
    for (uint32_t k = 0; st == FT_OK && k < clients; k++) {
        if (self > 0) {
            if (owner[k] == self + 1)
                sim_ranks_send(0, g->own[k], size);
            continue;
        }
        st = ft_buf_u8(out, owner[k] != 0);
        if (st == FT_OK && owner[k] > 1)
            sim_ranks_receive((unsigned)owner[k] - 1, received, size);
        if (st == FT_OK && owner[k] != 0)
            st = ft_buf_append(out, owner[k] > 1 ? received : g->own[k], size);
        if (st != FT_OK)
            sim_ranks_give_up(st);
    }
    ft_free(owner);
    ft_free(received);
    return st;
}

enum ft_status
ft_sim_engine_save(const struct ft_sim_engine *g, struct ft_buf *out)
{
    enum ft_status st;
    FT_TRY(ft_buf_u64(out, g->rounds));
    FT_TRY(ft_buf_u64(out, g->turns));
    FT_TRY(sim_server_save(&g->server, out));
    if (g->own != NULL)
        FT_TRY(save_own(g, out));
    if (g->flight != NULL)
        FT_TRY(sim_buffered_save(g, out));
out:
    return st;
}

static enum ft_status
load_own(struct ft_sim_engine *g, uint32_t k, struct ft_bytes *in)
{
    const size_t size = g->server.parameters * sizeof **g->own;
    const bool there = in->size > 0 && in->data[0] == 1;
    if (in->size < 1 + (there ? size : 0) || in->data[0] > 1)
        return FT_ERR_FORMAT;
    *in = FT_BYTES(in->data + 1, in->size - 1);
    ft_free(g->own[k]);
    g->own[k] = NULL;
    if (there && (k < g->client_from || k >= g->client_to)) { /* another process keeps it */
        *in = FT_BYTES(in->data + size, in->size - size);
        return FT_OK;
    }
    if (!there)
        return FT_OK;
    g->own[k] = ft_calloc(g->server.parameters, sizeof **g->own);
    if (g->own[k] == NULL)
        return FT_ERR_NOMEM;
    memcpy(g->own[k], in->data, size);
    *in = FT_BYTES(in->data + size, in->size - size);
    return FT_OK;
}

enum ft_status
ft_sim_engine_load(struct ft_sim_engine *g, struct ft_bytes in)
{
    enum ft_status st;
    if (in.size < 16)
        return FT_ERR_FORMAT;
    g->rounds = ft_get_u64(in.data);
    g->turns = ft_get_u64(in.data + 8);
    in = FT_BYTES(in.data + 16, in.size - 16);
    FT_TRY(sim_server_load(&g->server, &in));
    for (uint32_t k = 0; g->own != NULL && k < g->in.clients->count; k++)
        FT_TRY(load_own(g, k, &in));
    if (g->flight != NULL)
        FT_TRY(sim_buffered_load(g, &in));
    st = in.size == 0 ? FT_OK : FT_ERR_FORMAT;
out:
    return st;
}
