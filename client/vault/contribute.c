#include "client/vault/contribute_internal.h"

#include "common/base/alloc.h"
#include "common/privacy/clip.h"

#include <sodium.h>
#include <string.h>

enum ft_status
ft_contributor_open(const struct ft_env *env, struct ft_contributor **out)
{
    *out = ft_calloc(1, sizeof **out);
    if (*out == NULL)
        return FT_ERR_NOMEM;
    (*out)->env = env;
    return FT_OK;
}

void
contributor_room_clear(struct room *r)
{
    if (r->data != NULL) {
        sodium_memzero(r->data, r->size);
        ft_big_free(r->data, r->size);
    }
    *r = (struct room){ 0 };
}

void *
contributor_room(struct room *r, size_t count, size_t size)
{
    if (count > SIZE_MAX / 2 / size)
        return NULL;
    const size_t want = count * size + 1;
    if (r->size < want) {
        contributor_room_clear(r);
        r->data = ft_big_alloc(want);
        r->size = r->data != NULL ? want : 0;
    }
    return r->data;
}

void
ft_contributor_close(struct ft_contributor *c)
{
    if (c == NULL)
        return;
    ft_trainer_close(c->trainer);
    contribute_private_clear(c);
    contributor_room_clear(&c->z);
    contributor_room_clear(&c->delta);
    contributor_room_clear(&c->values);
    contributor_room_clear(&c->bounds);
    contributor_room_clear(&c->sums);
    ft_free(c);
}

uint64_t
ft_contributor_faults(const struct ft_contributor *c)
{
    return c->faults;
}

const struct ft_bounds *
contributor_bounds(struct ft_contributor *c, const struct ft_task *task)
{
    struct ft_bounds *b = contributor_room(&c->bounds, task->feature_count, sizeof *b);
    for (uint32_t i = 0; b != NULL && i < task->feature_count; i++)
        b[i] = (struct ft_bounds){ task->features[i].min, task->features[i].max };
    return b;
}

static enum ft_status
standardise(struct ft_contributor *c, const struct ft_task *task, const struct ft_model_state *model,
            float *x, size_t rows)
{
    const struct ft_bounds *bounds = contributor_bounds(c, task);
    if (bounds == NULL)
        return FT_ERR_NOMEM;
    return ft_standardise(x, rows, task->feature_count, bounds, model->means, model->stds, x, NULL);
}

static enum ft_status
statistics(struct ft_contributor *c, const struct ft_work *work, const struct ft_examples *e, int64_t *z)
{
    const uint32_t features = work->task->feature_count;
    const struct ft_bounds *bounds = contributor_bounds(c, work->task);
    double *sums = contributor_room(&c->sums, 2 * (size_t)features, sizeof *sums);
    enum ft_status st;
    if (bounds == NULL || sums == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_statistics_sum(e->x_train, e->rows_train, features, bounds, sums, NULL));
    FT_TRY(ft_layout_encode_sums(&work->plan->layout, sums, z));
out:
    sodium_memzero(sums, 2 * (size_t)features * sizeof *sums);
    return st;
}

/* The trainer of this task, made when the task or the number of rows asks for it. */
enum ft_status
contributor_trainer(struct ft_contributor *c, const struct ft_work *work, size_t rows, struct ft_error *err)
{
    const struct ft_task *t = work->task;
    const struct ft_train_config config = { .local_epochs = t->local_epochs,
                                            .batch_size = t->batch_size,
                                            .learning_rate = t->learning_rate,
                                            .momentum = t->momentum,
                                            .weight_decay = t->weight_decay };
    const struct ft_train_config none = { .local_epochs = 1, .learning_rate = 1 }; /* k-means: only the model in it */
    if (c->trainer != NULL && c->trainer_rows >= rows && memcmp(c->trainer_task, work->task_hash, 32) == 0)
        return FT_OK;
    ft_trainer_close(c->trainer);
    c->trainer = NULL;
    const enum ft_status st =
        ft_trainer_open(&work->plan->model, ft_model_is_clusters(&work->plan->model) ? &none : &config, rows > 0 ? rows : 1, &c->trainer, err);
    if (st == FT_OK) {
        c->trainer_rows = rows > 0 ? rows : 1;
        memcpy(c->trainer_task, work->task_hash, 32);
    }
    return st;
}

static enum ft_status
update(struct ft_contributor *c, const struct ft_work *work, const struct ft_dataset *train, uint64_t weight,
       int64_t *z, struct ft_error *err)
{
    const size_t parameters = work->plan->layout.real_coordinates;
    float *delta = contributor_room(&c->delta, parameters, sizeof *delta);
    enum ft_status st;
    if (delta == NULL)
        return FT_ERR_NOMEM;
    if (train->rows == 0 || weight == 0) {
        memset(z, 0, parameters * sizeof *z);
        return FT_OK;
    }
    FT_TRY(ft_train_local(c->trainer, train, c->env, work->model->params, delta));
    FT_TRY(ft_clip_l2(delta, parameters, work->task->clip, NULL));
    FT_TRY(ft_ss_quantise_f32(&work->plan->codec, c->env, delta, (double)weight, parameters, z));
out:
    sodium_memzero(delta, parameters * sizeof *delta);
    return st == FT_ERR_NONFINITE ? ft_fail(err, st, "the update holds a NaN or infinity: training diverged")
                                  : st;
}

static enum ft_status
measure(struct ft_contributor *c, const struct ft_work *work, const struct ft_dataset *test,
        const struct ft_dataset *train, int64_t *z, struct ft_error *err)
{
    const struct ft_layout *layout = &work->plan->layout;
    uint64_t *values = contributor_room(&c->values, layout->metrics.value_count, sizeof *values);
    enum ft_status st;
    if (values == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_metrics_measure(&layout->metrics, ft_trainer_model(c->trainer), work->model->params, test,
                              train, values, err));
    FT_TRY(ft_layout_encode_metrics(layout, values, z));
out:
    sodium_memzero(values, layout->metrics.value_count * sizeof *values);
    return st;
}

enum ft_status
ft_contribute(struct ft_contributor *c, const struct ft_work *work, struct ft_examples *e, bool *standardised,
              uint64_t **words, struct ft_error *err)
{
    enum ft_status st;
    const struct ft_round_plan *plan = work->plan;
    const size_t size = (size_t)plan->codec.words * sizeof(uint64_t);
    const uint64_t weight = plan->privacy.on                          ? 0
                            : work->task->kind == FT_TASK_STATISTICS ? contribute_measures_weight(work, e)
                                                                      : ft_layout_weight(&plan->layout, e->rows_train);
    int64_t *z = contributor_room(&c->z, plan->layout.dim, sizeof *z);
    uint64_t *out = ft_big_alloc(size);
    *words = NULL;

    if (z == NULL || out == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    if (e->feature_count != work->task->feature_count) {
        st = ft_fail(err, FT_ERR_ARGUMENT, "examples with %zu features for a task with %u", e->feature_count,
                     work->task->feature_count);
        goto out;
    }
    if (plan->privacy.on) {
        if (*standardised) {
            st = ft_fail(err, FT_ERR_ARGUMENT, "a task with noise needs raw examples");
            goto out;
        }
        FT_TRY(contribute_private(c, work, e, z, err));
    } else if (plan->stage == FT_STAGE_STATISTICS) {
        if (*standardised) {
            st = ft_fail(err, FT_ERR_ARGUMENT, "statistics need raw examples");
            goto out;
        }
        FT_TRY(work->task->kind == FT_TASK_STATISTICS ? contribute_measures(c, work, e, z)
                                                      : statistics(c, work, e, z));
    } else {
        if (!*standardised) {
            *standardised = true; /* also after a failure: part of the rows may be */
            FT_TRY(standardise(c, work->task, work->model, e->x_train, e->rows_train));
            FT_TRY(standardise(c, work->task, work->model, e->x_test, e->rows_test));
        }
        const struct ft_dataset train = { e->x_train, e->y_train, e->rows_train };
        const struct ft_dataset test = { e->x_test, e->y_test, e->rows_test };
        FT_TRY(contributor_trainer(c, work, e->rows_train, err));
        FT_TRY(measure(c, work, &test, &train, z, err));
        if (plan->stage == FT_STAGE_TRAIN && ft_model_is_clusters(&plan->model))
            FT_TRY(contribute_clusters(c, work, train.x, train.rows, z + plan->layout.metric_coordinates));
        else if (plan->stage == FT_STAGE_TRAIN)
            FT_TRY(update(c, work, &train, weight, z + plan->layout.metric_coordinates, err));
    }
    FT_TRY(ft_ss_pack(&plan->codec, weight, z, out));
    *words = out;
    out = NULL;
out:
    if (z != NULL)
        sodium_memzero(z, plan->layout.dim * sizeof *z);
    if (out != NULL) {
        sodium_memzero(out, size);
        ft_big_free(out, size);
    }
    return st;
}
