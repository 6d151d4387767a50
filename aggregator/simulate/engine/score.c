#include "aggregator/simulate/engine/score.h"
#include "aggregator/simulate/engine/ranks.h"
#include "common/base/alloc.h"
#include "common/model/metrics.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#define CHUNK 512 /* rows; partial sums are of chunks, in their order */

struct scoring {
    struct ft_trainer *const *trainers;
    const float *params;
    const struct ft_sim_part *rows;
    uint32_t features, outputs;
    float *z;        /* (rows, outputs) */
    double *losses;  /* (rows) */
    uint64_t end;    /* chunks of this process */
    atomic_uint_fast64_t next;
    atomic_int status;
};

static void
score_chunks(void *ctx, unsigned number)
{
    struct scoring *s = ctx;
    struct ft_model *m = ft_trainer_model(s->trainers[number]);
    for (uint64_t c; (c = atomic_fetch_add(&s->next, 1)) < s->end;) {
        const uint64_t at = c * CHUNK, rows = s->rows->rows - at < CHUNK ? s->rows->rows - at : CHUNK;
        float *z = s->z + at * s->outputs;
        const enum ft_status st = ft_model_scores(m, s->params, s->rows->x + at * s->features, (size_t)rows, z);
        if (st != FT_OK)
            atomic_store(&s->status, (int)st);
        else
            ft_model_losses(m, z, s->rows->y + at, (size_t)rows, s->losses + at);
    }
}

static uint64_t
first_chunk(const struct scoring *s, unsigned rank)
{
    return (s->rows->rows + CHUNK - 1) / CHUNK * rank / ft_sim_ranks();
}

static void
share_out(struct scoring *s)
{
    atomic_store(&s->next, first_chunk(s, ft_sim_rank()));
    s->end = first_chunk(s, ft_sim_rank() + 1);
}

/* Everybody's z and losses to everybody. */
static enum ft_status
collect(struct scoring *s, enum ft_status st)
{
    const unsigned ranks = ft_sim_ranks();
    struct ft_error err = { 0 };
    uint64_t *starts;

    if (ranks == 1)
        return st;
    FT_TRY(sim_ranks_agree(st, &err));
    starts = ft_calloc(ranks + 1, sizeof *starts);
    if (starts == NULL) {
        sim_ranks_give_up(FT_ERR_NOMEM);
        return FT_ERR_NOMEM;
    }
    for (int part = 0; part < 2; part++) {
        const uint64_t size = part == 0 ? s->outputs * sizeof *s->z : sizeof *s->losses;
        for (unsigned r = 0; r <= ranks; r++) {
            const uint64_t row = first_chunk(s, r) * CHUNK;
            starts[r] = (row < s->rows->rows ? row : s->rows->rows) * size;
        }
        sim_ranks_share(part == 0 ? (void *)s->z : (void *)s->losses, starts);
    }
    ft_free(starts);
out:
    return st;
}

static uint32_t
answer(const float *z, uint32_t outputs)
{
    uint32_t best = outputs == 1 ? z[0] > 0 : 0;
    for (uint32_t k = 1; k < outputs; k++)
        best = z[k] > z[best] ? k : best;
    return best;
}

enum ft_status
sim_score(struct sim_pool *pool, struct ft_trainer *const *trainers, const float *params, const struct ft_sim_part *rows,
          uint32_t features, bool alone, struct ft_sim_score *out)
{
    const struct ft_model_spec *spec = ft_model_shape(ft_trainer_model(trainers[0]));
    struct scoring s = { .trainers = trainers, .params = params, .rows = rows, .features = features,
                         .outputs = ft_model_outputs(spec) };
    uint64_t right = 0;
    double sum = 0;
    enum ft_status st = FT_ERR_NOMEM;

    *out = (struct ft_sim_score){ NAN, NAN, NAN };
    if (rows->rows == 0)
        return FT_OK;
    s.z = ft_calloc((size_t)rows->rows, s.outputs * sizeof *s.z);
    s.losses = ft_calloc((size_t)rows->rows, sizeof *s.losses);
    if (s.z == NULL || s.losses == NULL)
        goto out;
    if (alone)
        s.end = (rows->rows + CHUNK - 1) / CHUNK;
    else
        share_out(&s);
    sim_pool_run(pool, score_chunks, &s);
    st = (enum ft_status)atomic_load(&s.status);
    if (!alone)
        st = collect(&s, st);
    if (st != FT_OK)
        goto out;
    for (uint64_t i = 0; i < rows->rows; i++) {
        sum += s.losses[i];
        right += answer(s.z + i * s.outputs, s.outputs) == (uint32_t)rows->y[i];
    }
    out->loss = sum / (double)rows->rows;
    if (!ft_model_is_regression(spec) && !ft_model_is_clusters(spec))
        out->accuracy = (double)right / (double)rows->rows;
    if (ft_model_is_binary(spec))
        st = ft_auc_exact(s.z, rows->y, (size_t)rows->rows, &out->auc);
out:
    ft_free(s.z);
    ft_free(s.losses);
    return st;
}

enum ft_status
sim_class_hits(struct ft_model *m, const float *params, const struct ft_sim_part *rows, uint32_t features, double *hits,
               double *counts)
{
    const uint32_t outputs = ft_model_outputs(ft_model_shape(m));
    float *z = ft_calloc(CHUNK, outputs * sizeof *z);
    enum ft_status st = z != NULL ? FT_OK : FT_ERR_NOMEM;
    for (uint64_t at = 0; st == FT_OK && at < rows->rows; at += CHUNK) {
        const uint64_t n = rows->rows - at < CHUNK ? rows->rows - at : CHUNK;
        st = ft_model_scores(m, params, rows->x + at * features, (size_t)n, z);
        for (uint64_t i = 0; st == FT_OK && i < n; i++) {
            const uint32_t label = (uint32_t)rows->y[at + i];
            counts[label]++;
            hits[label] += answer(z + i * outputs, outputs) == label;
        }
    }
    ft_free(z);
    return st;
}
