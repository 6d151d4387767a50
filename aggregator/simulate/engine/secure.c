/*
 * The round's sum as the secure sum makes it: clip, quantise, pack, add modulo 2^64, unpack. `exact` also masks every
 * vector as a client does (one mask a peer, one of its own) and takes away what survivors' shares would let a server
 * take away: own masks of those who came, pairwise masks towards those who did not. `cost` leaves the masks out.
 */
#include "aggregator/simulate/engine/engine_internal.h"
#include "aggregator/simulate/engine/ranks.h"
#include "common/base/alloc.h"
#include "common/privacy/clip.h"
#include "common/secure_sum/prg.h"

#include <sodium.h>
#include <string.h>
#include <time.h>

#define SUITE FT_SS_SUITE_AES256CTR

static uint64_t
weight_most(const struct ft_sim_engine *g)
{
    uint64_t most = 1;
    const bool equal = g->algorithm->equal_weights || g->in.e->algorithm.weighting == FT_SIM_EQUAL;
    for (uint32_t k = 0; !equal && k < g->in.clients->count; k++) {
        const uint64_t rows = g->in.clients->offsets[k + 1] - g->in.clients->offsets[k];
        most = rows > most ? rows : most;
    }
    return most;
}

/* Extra numbers (FedNova's step weights) have a range of their own: from 0 to this, mapped to 0 .. clip. */
static double
number_most(const struct ft_sim_engine *g)
{
    uint64_t rows = 1;
    const uint64_t batch = g->in.e->training.batch_size;
    for (uint32_t k = 0; k < g->in.clients->count; k++) {
        const uint64_t own = g->in.clients->offsets[k + 1] - g->in.clients->offsets[k];
        rows = own > rows ? own : rows;
    }
    return (double)(batch == 0 ? 1 : (rows + batch - 1) / batch) * g->in.e->training.local_epochs /
           (1 - g->in.e->training.momentum);
}

enum ft_status
sim_secure_open(struct ft_sim_engine *g, struct ft_error *err)
{
    const uint64_t weight = weight_most(g);
    const struct ft_ss_codec_choice choice = { .lane_bits = g->in.e->secure.lane_bits,
                                               .dim = g->vector,
                                               .n_cap = g->most,
                                               .weight_max = weight,
                                               .clip = g->in.e->secure.clip * (double)weight };
    enum ft_status st = ft_ss_codec_init(&choice, &g->codec, err);
    g->number_most = number_most(g);
    for (unsigned i = 0; st == FT_OK && i < sim_pool_threads(g->pool); i++) {
        struct sim_worker *w = &g->workers[i];
        w->z = ft_calloc(g->vector, sizeof *w->z);
        w->words = ft_calloc(g->codec.words, sizeof *w->words);
        w->total = ft_calloc(g->codec.words, sizeof *w->total);
        if (w->z == NULL || w->words == NULL || w->total == NULL)
            st = FT_ERR_NOMEM;
    }
    return st;
}

void
sim_secure_close(struct ft_sim_engine *g)
{
    for (unsigned i = 0; i < SIM_THREADS_MAX; i++) {
        ft_free(g->workers[i].z);
        ft_free(g->workers[i].words);
        ft_free(g->workers[i].total);
    }
}

void
sim_secure_begin(struct ft_sim_engine *g)
{
    for (unsigned i = 0; i < sim_pool_threads(g->pool); i++) {
        memset(g->workers[i].total, 0, g->codec.words * sizeof *g->workers[i].total);
        g->workers[i].masks_ns = 0;
    }
}

/* The seed two clients share in this round, or a client's own (a == b). */
static void
seed_of(const struct ft_sim_engine *g, uint32_t a, uint32_t b, uint8_t out[32])
{
    const uint64_t in[4] = { g->in.e->seed, g->rounds, a < b ? a : b, a < b ? b : a };
    (void)crypto_generichash(out, 32, (const uint8_t *)in, sizeof in, NULL, 0);
}

static enum ft_status
mask(const struct ft_sim_engine *g, const struct sim_place *me, uint64_t *words)
{
    struct ft_ss_mask *masks = ft_calloc(g->place_count, sizeof *masks);
    size_t count = 0;
    enum ft_status st = FT_ERR_NOMEM;
    if (masks == NULL)
        return st;
    for (uint32_t i = 0; i < g->place_count; i++) {
        seed_of(g, me->client, g->places[i].client, masks[count].seed);
        masks[count++].subtract = g->places[i].client < me->client;
    }
    st = ft_ss_masks_apply(SUITE, FT_SS_BACKEND_BEST, masks, count, words, 0, (size_t)g->codec.words, 1);
    ft_free(masks);
    return st;
}

static uint64_t
thread_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

enum ft_status
sim_secure_add(struct ft_sim_engine *g, unsigned number, const struct sim_place *p, uint64_t weight, float *vector)
{
    struct sim_worker *w = &g->workers[number];
    const uint64_t vectors = g->vector - g->algorithm->extra_numbers;
    struct ft_env_seeded env;
    double norm;
    uint64_t begin;
    enum ft_status st;

    ft_env_seeded_init(&env, g->in.e->seed ^ UINT64_C(0x726f756e64), p->stream); /* "round": of rounding */
    FT_TRY(ft_clip_l2(vector, (size_t)vectors, g->in.e->secure.clip, &norm));
    for (uint64_t i = vectors; i < g->vector; i++)
        vector[i] = (float)((double)vector[i] * g->in.e->secure.clip / g->number_most);
    FT_TRY(ft_ss_quantise_f32(&g->codec, &env.env, vector, (double)weight, (size_t)g->vector, w->z));
    FT_TRY(ft_ss_pack(&g->codec, weight, w->z, w->words));
    begin = thread_ns();
    if (g->in.e->secure.kind == FT_SIM_SECURE_EXACT)
        FT_TRY(mask(g, p, w->words));
    w->masks_ns += thread_ns() - begin;
    for (uint64_t i = 0; i < g->codec.words; i++)
        w->total[i] += w->words[i];
out:
    return st;
}

/* Own masks of those who came, and pairwise ones towards those who did not. */
static enum ft_status
unmask(const struct ft_sim_engine *g, uint64_t *total)
{
    uint32_t lost = 0;
    size_t count = 0, most = 0;
    struct ft_ss_mask *masks;
    enum ft_status st;

    for (uint32_t i = 0; i < g->place_count; i++)
        lost += !g->places[i].came;
    most = (size_t)(g->place_count - lost) * (1 + lost);
    masks = ft_calloc(most, sizeof *masks);
    if (masks == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t i = 0; i < g->place_count; i++)
        for (uint32_t j = 0; g->places[i].came && j < g->place_count; j++) {
            if (i != j && g->places[j].came)
                continue;
            seed_of(g, g->places[i].client, g->places[j].client, masks[count].seed);
            masks[count++].subtract = !(g->places[j].client < g->places[i].client);
        }
    st = ft_ss_masks_apply(SUITE, FT_SS_BACKEND_BEST, masks, count, total, 0, (size_t)g->codec.words,
                           sim_pool_threads(g->pool));
    ft_free(masks);
    return st;
}

enum ft_status
sim_secure_end(struct ft_sim_engine *g, uint32_t came, double *weight, struct ft_error *err)
{
    uint64_t *total = g->workers[0].total, weight_sum = 0;
    int64_t *z = g->workers[0].z;
    enum ft_status st = FT_OK;

    for (unsigned i = 1; i < sim_pool_threads(g->pool); i++)
        for (uint64_t k = 0; k < g->codec.words; k++)
            total[k] += g->workers[i].total[k];
    sim_ranks_add_u64(total, g->codec.words);
    if (g->in.e->secure.kind == FT_SIM_SECURE_EXACT)
        FT_TRY(unmask(g, total));
    st = ft_ss_unpack(&g->codec, total, came, z, &weight_sum);
    if (st != FT_OK) {
        st = ft_fail(err, st, "round %llu: the sum does not unpack: a mask was not taken off",
                     (unsigned long long)g->rounds + 1);
        goto out;
    }
    ft_ss_dequantise(&g->codec, z, (size_t)g->vector, 1, g->secure_sum);
    for (uint64_t i = g->vector - g->algorithm->extra_numbers; i < g->vector; i++)
        g->secure_sum[i] *= g->number_most / g->in.e->secure.clip;
    *weight = (double)weight_sum;
out:
    return st;
}
