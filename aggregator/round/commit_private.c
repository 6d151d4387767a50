/*
 * A round with noise: from the unpacked sum to the next model. All of it is post-processing of the sum
 * (common/plan/private_sum); nothing here knows or asks for a true count.
 */
#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"
#include "common/base/log.h"

/* n_U: what the task declares for the shops in the sum. They count by their place in the roster, also when
 * one has left the register since. */
static uint64_t
declared_customers(const struct ft_engine *e, const struct engine_task *task, const struct engine_session *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < e->shop_count; i++) {
        const int64_t place = e->shops[i].row.roster_index;
        if (place >= 0 && ft_ss_server_survivor(s->server, (uint32_t)place))
            sum += task->sizes[i];
    }
    return sum;
}

static enum ft_status
after_statistics(const struct engine_task *task, const struct engine_session *s,
                 const struct ft_private_sum *sum, struct engine_step *step)
{
    const uint32_t features = task->task.feature_count;
    double *means = ft_calloc(features, sizeof *means), *stds = ft_calloc(features, sizeof *stds);
    struct engine_statistics found = { .means = means, .stds = stds };
    enum ft_status st = FT_ERR_NOMEM;

    if (means == NULL || stds == NULL)
        goto out;
    ft_private_statistics(sum, means, stds, &found.count);
    FT_TRY(engine_after_statistics(task, s, means, stds, step));
    if (task->task.privacy.clip_quantile > 0)
        step->next.clip = task->task.clip;
    step->row.metrics = engine_private_metrics(sum, &found, NULL, 0, 0, 0);
out:
    ft_free(means);
    ft_free(stds);
    return st;
}

static enum ft_status
after_clusters(struct ft_engine *e, const struct engine_task *task, const struct engine_session *s,
               const struct ft_model_state *model, struct ft_private_sum *sum, struct engine_step *step)
{
    struct ft_kmeans_rules rules;
    struct ft_kmeans_moved moved;
    double noise_sum, noise_number;
    enum ft_status st;

    ft_private_block(sum, model->params, &noise_sum, &noise_number); /* in e->reals */
    ft_plan_kmeans_rules(&task->task, model->version, noise_sum, noise_number, e->config.min_group, &rules);
    FT_TRY(engine_after_clusters(e, task, s, model, &rules, &moved, step));
    step->row.metrics = engine_private_metrics(sum, NULL, &moved, moved.length, 0, 0);
out:
    return st;
}

static enum ft_status
after_training(struct ft_engine *e, const struct engine_task *task, const struct engine_session *s, const struct ft_model_state *model,
               struct ft_private_sum *sum, struct engine_step *step)
{
    const double clip = ft_private_next_clip(sum);
    enum ft_status st;
    double norm;

    if (ft_model_is_clusters(&sum->plan->model))
        return after_clusters(e, task, s, model, sum, step);
    ft_private_update(sum, model->params, &norm); /* in e->reals */
    FT_TRY(engine_after_training(e, task, model, 1, step));
    if (sum->plan->privacy.indicator)
        step->next.clip = clip;
    step->row.metrics = engine_private_metrics(sum, NULL, NULL, norm, clip, 0);
out:
    return st;
}

enum ft_status
engine_step_private(struct ft_engine *e, const struct engine_task *task, const struct engine_session *s,
                    const struct ft_model_state *model, uint32_t survivors, struct engine_step *step)
{
    struct ft_error err = { 0 };
    struct ft_private_sum sum;
    enum ft_status st;

    st = ft_private_sum_init(&sum, &task->task, &s->plan, e->coordinates, survivors,
                             declared_customers(e, task, s), e->reals, &err);
    if (st != FT_OK) {
        ft_log(FT_LOG_ERROR, "round.sum_refused", "task=%s round=%llu reason=%s", task->row.name,
               (unsigned long long)s->row.round, engine_words(&err));
        return st;
    }
    if (task->task.kind == FT_TASK_STATISTICS)
        FT_TRY(engine_measured_private(e, task, &sum, step));
    else if (s->row.stage == FT_STAGE_STATISTICS)
        FT_TRY(after_statistics(task, s, &sum, step));
    else if (s->row.stage == FT_STAGE_TRAIN)
        FT_TRY(after_training(e, task, s, model, &sum, step));
    else {
        step->task_done = true;
        step->row.metrics = engine_private_metrics(&sum, NULL, NULL, 0, 0, e->config.min_group);
    }
    st = step->row.metrics != NULL ? FT_OK : FT_ERR_NOMEM;
out:
    return st;
}

enum ft_status
engine_session_clip(const struct ft_engine *e, const struct engine_task *task, struct engine_session *s,
                    struct ft_error *err)
{
    struct ft_model_state model = { 0 };
    enum ft_status st;

    if (!s->plan.privacy.indicator)
        return FT_OK;
    FT_TRY(ft_model_state_decode(ft_buf_bytes(&e->model->bytes), &model, err));
    FT_TRY(ft_round_plan_clip(&s->plan, &task->task, model.clip, err));
out:
    ft_model_state_clear(&model);
    return st;
}
