#include "aggregator/simulate/run/baselines.h"
#include "aggregator/simulate/engine/engine.h"
#include "aggregator/simulate/engine/pool.h"
#include "common/base/alloc.h"
#include "common/base/env.h"
#include "common/model/kmeans.h"
#include "common/model/pooled.h"

#include <math.h>
#include <string.h>

#define NEWTON_COST ((double)4e10) /* rows x parameters^2 up to which the optimum itself is found */
#define POOLED      UINT32_MAX     /* in place of a client's number */

/* One model to train. */
struct lesson {
    uint32_t client; /* or POOLED */
    float *params;
    enum ft_status status;
};

struct school {
    const struct sim_baselines_job *job;
    uint64_t parameters;
    struct lesson *lessons; /* one a thread */
    unsigned count;
};

static struct ft_dataset
rows_of(const struct sim_baselines_job *j, uint32_t client)
{
    const uint64_t *o = j->clients->offsets;
    const uint64_t from = client == POOLED ? 0 : o[client],
                   to = client == POOLED ? j->data->train.rows : o[client + 1];
    return (struct ft_dataset){ j->data->train.x + from * j->data->features, j->data->train.y + from,
                                (size_t)(to - from) };
}

static enum ft_status
optimum(const struct school *s, const struct ft_dataset *rows, float *params)
{
    struct ft_pooled_result result;
    double *best = ft_calloc(s->parameters, sizeof *best);
    enum ft_status st = best != NULL ? FT_OK : FT_ERR_NOMEM;
    if (st == FT_OK)
        st = ft_pooled_optimum(s->job->spec, rows, s->job->e->training.weight_decay, best, &result);
    for (uint64_t i = 0; st == FT_OK && i < s->parameters; i++)
        params[i] = (float)best[i];
    ft_free(best);
    return st;
}

static enum ft_status
by_sgd(const struct school *s, uint32_t client, const struct ft_dataset *rows, float *params)
{
    const struct ft_sim_experiment *e = s->job->e;
    const struct ft_train_config config = { .local_epochs = 1,
                                            .batch_size =
                                                e->training.batch_size > 0 ? e->training.batch_size : 32,
                                            .learning_rate = e->training.learning_rate,
                                            .momentum = e->training.momentum,
                                            .weight_decay = e->training.weight_decay };
    struct ft_pooled_result result;
    struct ft_env_seeded env;
    ft_env_seeded_init(&env, e->seed, UINT64_C(0x626173650000000) << 4 | client); /* "base" */
    ft_model_init(s->job->spec, e->seed, params);
    return ft_pooled_sgd(s->job->spec, rows, &config, e->evaluation.baseline_epochs, &env.env, params,
                         &result);
}

/* As many rounds as the federation makes, from the same centroids. */
static enum ft_status
by_lloyd(const struct school *s, const struct ft_dataset *rows, float *params)
{
    const struct ft_sim_experiment *e = s->job->e;
    struct ft_model *m = NULL;
    enum ft_status st;

    FT_TRY(ft_model_open(s->job->spec, &m, NULL));
    ft_model_init(s->job->spec, e->seed, params);
    st = ft_kmeans_pooled(m, rows->x, rows->rows, e->training.rounds, e->model.min_cluster, e->seed, params);
out:
    ft_model_close(m);
    return st;
}

static void
learn(void *ctx, unsigned number)
{
    struct school *s = ctx;
    const struct ft_model_spec *spec = s->job->spec;
    struct lesson *l = &s->lessons[number];
    const bool has_optimum = spec->kind == FT_MODEL_LOGISTIC || ft_model_is_regression(spec);
    if (number >= s->count)
        return;
    const struct ft_dataset rows = rows_of(s->job, l->client);
    if (ft_model_is_clusters(spec)) {
        l->status = by_lloyd(s, &rows, l->params);
        return;
    }
    l->status = FT_ERR_LATER;
    if (l->client == POOLED && has_optimum &&
        (double)rows.rows * (double)s->parameters * (double)s->parameters <= NEWTON_COST)
        l->status = optimum(s, &rows, l->params);
    if (l->status == FT_ERR_LATER || l->status == FT_ERR_NONFINITE) /* e.g. separable rows have no optimum */
        l->status = by_sgd(s, l->client, &rows, l->params);
}

/* Running means over clients that train alone. */
struct means {
    double loss, accuracy, auc, own;
    uint32_t count, own_count;
};

static enum ft_status
mark(const struct school *s, const struct lesson *l, struct ft_sim_baselines *out, struct means *m)
{
    struct ft_sim_score score = { NAN, NAN, NAN };
    double own = NAN;
    enum ft_status st = l->status;
    if (st == FT_OK)
        st = ft_sim_engine_score(s->job->engine, l->params, &score);
    if (st == FT_OK && l->client != POOLED)
        st = ft_sim_engine_own_mix(s->job->engine, l->client, l->params, &own);
    if (st == FT_ERR_NONFINITE) /* diverged: this baseline has no figures */
        st = FT_OK;
    if (st != FT_OK)
        return st;
    if (l->client == POOLED) {
        out->pooled = score;
        return ft_sim_engine_agreement(s->job->engine, l->params, ft_sim_engine_params(s->job->engine),
                                       &out->agreement_pooled);
    }
    if (!isfinite(score.loss))
        return FT_OK;
    m->loss += score.loss;
    m->accuracy += score.accuracy;
    m->auc += score.auc;
    m->count++;
    if (isfinite(own)) {
        m->own += own;
        m->own_count++;
    }
    return FT_OK;
}

/* The next model to train: pooled first, then clients with rows. */
static bool
next_lesson(const struct sim_baselines_job *j, bool *pooled, uint32_t *client, uint32_t *left,
            struct lesson *l)
{
    if (*pooled) {
        *pooled = false;
        l->client = POOLED;
        return true;
    }
    while (*left > 0 && *client < j->clients->count) {
        l->client = (*client)++;
        if (j->clients->offsets[l->client + 1] == j->clients->offsets[l->client])
            continue;
        (*left)--;
        return true;
    }
    return false;
}

enum ft_status
sim_baselines_run(const struct sim_baselines_job *job, struct ft_sim_baselines *out, struct ft_error *err)
{
    const struct ft_sim_experiment *e = job->e;
    struct school s = { .job = job, .parameters = ft_model_parameters(job->spec) };
    struct means m = { 0 };
    struct sim_pool *pool = NULL;
    bool pooled = e->evaluation.pooled;
    uint32_t client = 0, left = e->evaluation.local ? e->evaluation.local_clients : 0;
    uint64_t done = 0;
    const uint64_t all = pooled + (left < job->clients->count ? left : job->clients->count);
    unsigned threads = 0;
    enum ft_status st;

    *out = (struct ft_sim_baselines){ .has_pooled = pooled,
                                      .has_local = left > 0,
                                      .pooled = { NAN, NAN, NAN },
                                      .local = { NAN, NAN, NAN },
                                      .local_accuracy_own_mix = NAN,
                                      .personal_accuracy = NAN,
                                      .agreement_pooled = NAN,
                                      .agreement_without_privacy = NAN };
    FT_TRY(sim_pool_open(job->threads, &pool));
    threads = sim_pool_threads(pool);
    s.lessons = ft_calloc(threads, sizeof *s.lessons);
    if (s.lessons == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (unsigned i = 0; i < threads; i++) {
        s.lessons[i].params = ft_calloc(s.parameters, sizeof *s.lessons[i].params);
        if (s.lessons[i].params == NULL) {
            st = FT_ERR_NOMEM;
            goto out;
        }
    }
    for (;;) {
        s.count = 0;
        while (s.count < threads && next_lesson(job, &pooled, &client, &left, &s.lessons[s.count]))
            s.count++;
        if (s.count == 0)
            break;
        sim_pool_run(pool, learn, &s);
        for (unsigned i = 0; i < s.count; i++) {
            st = mark(&s, &s.lessons[i], out, &m);
            if (st != FT_OK) {
                st = ft_fail(err, st, "baselines: %s", ft_status_str(st));
                goto out;
            }
        }
        done += s.count;
        if (job->done != NULL && !job->done(job->ctx, done, all)) {
            st = ft_fail(err, FT_ERR_CANCELLED, "stopped after the last round, in the baselines; --resume makes them");
            goto out;
        }
    }
    out->local_clients = m.count;
    if (m.count > 0)
        out->local = (struct ft_sim_score){ m.loss / m.count, m.accuracy / m.count, m.auc / m.count };
    if (m.own_count > 0)
        out->local_accuracy_own_mix = m.own / m.own_count;
out:
    for (unsigned i = 0; s.lessons != NULL && i < threads; i++)
        ft_free(s.lessons[i].params);
    ft_free(s.lessons);
    sim_pool_close(pool);
    return st;
}
