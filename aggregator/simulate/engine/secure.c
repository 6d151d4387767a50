/*
 * The round's sum as the secure sum makes it: clip, quantise, pack, add modulo 2^64, unpack. `exact` runs a whole session
 * (session.h), process 0 for all; `cost` adds the packed vectors up, and gives the same words because masks cancel exactly.
 */
#include "aggregator/simulate/engine/engine_internal.h"
#include "aggregator/simulate/engine/ranks.h"
#include "aggregator/simulate/engine/session.h"
#include "common/base/alloc.h"
#include "common/privacy/clip.h"

#include <string.h>

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

bool
sim_secure_possible(const struct ft_sim_engine *g)
{
    uint32_t lost = 0, most;
    for (uint32_t i = 0; i < g->place_count; i++)
        lost += !g->places[i].came;
    return sim_session_tolerates(g->place_count, g->in.e->secure.corrupted, &most) && lost <= most;
}

enum ft_status
sim_secure_begin(struct ft_sim_engine *g, struct ft_error *err)
{
    const uint32_t corrupted = g->in.e->secure.corrupted;
    const struct sim_session_config config = { .clients = g->place_count,
                                               .corrupted = corrupted,
                                               .seed = g->in.e->seed,
                                               .stream = g->rounds,
                                               .pool = g->pool };
    struct ft_ss_descriptor terms;
    uint32_t lost;
    enum ft_status st;
    for (unsigned i = 0; i < sim_pool_threads(g->pool); i++) {
        memset(g->workers[i].total, 0, g->codec.words * sizeof *g->workers[i].total);
        g->workers[i].masks_ns = 0;
    }
    if (g->in.e->secure.kind != FT_SIM_SECURE_EXACT)
        return FT_OK;
    if (ft_sim_rank() > 0) { /* what is packed here goes to process 0 */
        g->packed = ft_calloc(g->place_count, sizeof *g->packed);
        return g->packed != NULL ? FT_OK : FT_ERR_NOMEM;
    }
    if (!sim_session_tolerates(g->place_count, corrupted, &lost))
        return ft_fail(err, FT_ERR_CONFIG, "a secure sum of %u clients of which %u may collude cannot be", g->place_count,
                       corrupted);
    sim_session_terms(&g->codec, g->place_count, corrupted, lost, g->rounds + 1, &terms);
    st = sim_session_open(&config, &g->session, err);
    return st == FT_OK ? sim_session_begin(g->session, &terms, err) : st;
}

void
sim_secure_done(struct ft_sim_engine *g)
{
    sim_session_close(g->session);
    g->session = NULL;
    for (uint32_t i = 0; g->packed != NULL && i < g->place_count; i++)
        ft_big_free(g->packed[i], g->codec.words * sizeof **g->packed);
    ft_free(g->packed);
    g->packed = NULL;
}

static enum ft_status
put(struct ft_sim_engine *g, struct sim_worker *w, uint32_t place, uint64_t *words)
{
    uint64_t ns;
    const enum ft_status st = sim_session_put(g->session, place, words, &ns);
    w->masks_ns += ns;
    return st;
}

enum ft_status
sim_secure_add(struct ft_sim_engine *g, unsigned number, const struct sim_place *p, uint64_t weight, float *vector)
{
    struct sim_worker *w = &g->workers[number];
    const uint64_t vectors = g->vector - g->algorithm->extra_numbers;
    struct ft_env_seeded env;
    uint64_t *words;
    double norm;
    enum ft_status st;

    ft_env_seeded_init(&env, g->in.e->seed ^ UINT64_C(0x726f756e64), p->stream); /* "round": of rounding */
    FT_TRY(ft_clip_l2(vector, (size_t)vectors, g->in.e->secure.clip, &norm));
    for (uint64_t i = vectors; i < g->vector; i++)
        vector[i] = (float)((double)vector[i] * g->in.e->secure.clip / g->number_most);
    FT_TRY(ft_ss_quantise_f32(&g->codec, &env.env, vector, (double)weight, (size_t)g->vector, w->z));
    words = g->in.e->secure.kind == FT_SIM_SECURE_EXACT ? ft_big_alloc(g->codec.words * sizeof *words) : w->words;
    if (words == NULL)
        return FT_ERR_NOMEM;
    st = ft_ss_pack(&g->codec, weight, w->z, words);
    if (st != FT_OK && words != w->words)
        ft_big_free(words, g->codec.words * sizeof *words);
    if (st != FT_OK)
        goto out;
    if (words == w->words)
        for (uint64_t i = 0; i < g->codec.words; i++)
            w->total[i] += words[i];
    else if (g->session == NULL)
        g->packed[p - g->places] = words;
    else
        st = put(g, w, (uint32_t)(p - g->places), words);
out:
    return st;
}

enum ft_status
sim_secure_gather(struct ft_sim_engine *g)
{
    const size_t size = g->codec.words * sizeof(uint64_t);
    const unsigned ranks = ft_sim_ranks(), self = ft_sim_rank();
    uint64_t *owner = ft_calloc(g->place_count, sizeof *owner); /* number + 1; 0: did not come, or process 0's */
    enum ft_status st = owner != NULL ? FT_OK : FT_ERR_NOMEM;

    if (st != FT_OK)
        sim_ranks_give_up(st);
    for (uint32_t i = 0; st == FT_OK && self > 0 && i < g->place_count; i++)
        owner[i] = g->packed != NULL && g->packed[i] != NULL ? self + 1 : 0;
    if (st == FT_OK && ranks > 1)
        sim_ranks_add_u64(owner, g->place_count);
    for (uint32_t i = 0; st == FT_OK && i < g->place_count; i++) {
        if (self > 0 && owner[i] == self + 1) {
            sim_ranks_send(0, g->packed[i], size);
            ft_big_free(g->packed[i], size);
            g->packed[i] = NULL;
        }
        if (self > 0 || owner[i] == 0)
            continue;
        uint64_t *words = ft_big_alloc(size);
        if (words == NULL) {
            st = FT_ERR_NOMEM;
            sim_ranks_give_up(st);
            break;
        }
        sim_ranks_receive((unsigned)owner[i] - 1, words, size);
        st = put(g, &g->workers[0], i, words);
        if (st != FT_OK)
            sim_ranks_give_up(st);
    }
    ft_free(owner);
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
    if (g->in.e->secure.kind == FT_SIM_SECURE_EXACT) {
        if (g->session != NULL)
            st = sim_session_end(g->session, total, NULL, err);
        FT_TRY(sim_ranks_agree(st, err));
        sim_ranks_tell(total, g->codec.words * sizeof *total);
    } else {
        sim_ranks_add_u64(total, g->codec.words);
    }
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
