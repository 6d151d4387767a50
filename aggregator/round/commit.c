#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"
#include "common/base/plant.h"
#include "common/base/log.h"
#include "common/model/state.h"
#include "common/secure_sum/derive.h"

#include <math.h>
#include <string.h>

static void
step_clear(struct engine_step *step)
{
    ft_model_state_clear(&step->next);
    ft_buf_clear(&step->blob);
    ft_buf_clear(&step->optimiser);
    ft_free(step->row.reasons);
    ft_free(step->row.metrics);
}

/* ---- rooms for the decoded sum: fresh pages are dear, so they are kept ---- */

static enum ft_status
make_room(struct ft_engine *e, size_t coordinates, size_t reals)
{
    if (coordinates > e->coordinates_room) {
        ft_big_free(e->coordinates, e->coordinates_room * sizeof *e->coordinates);
        e->coordinates = ft_big_alloc(coordinates * sizeof *e->coordinates);
        e->coordinates_room = e->coordinates != NULL ? coordinates : 0;
    }
    if (reals > e->reals_room) {
        ft_big_free(e->reals, e->reals_room * sizeof *e->reals);
        e->reals = ft_big_alloc(reals * sizeof *e->reals);
        e->reals_room = e->reals != NULL ? reals : 0;
    }
    return e->coordinates_room < coordinates || e->reals_room < reals ? FT_ERR_NOMEM : FT_OK;
}

/* ---- the first model ---- */

enum ft_status
engine_first_model(struct ft_engine *e, struct engine_task *task)
{
    enum ft_status st;
    struct ft_model_state state = { 0 };
    struct ft_task_progress p = task->row.progress;
    struct ft_buf blob = { 0 };

    FT_TRY(ft_model_state_init(&state, task->row.hash, FT_STAGE_STATISTICS, 0, NULL, NULL, 0, NULL, 0));
    FT_TRY(ft_model_state_encode(&state, &blob));
    p.stage = FT_STAGE_STATISTICS;
    FT_TRY(ft_model_blob_hash(ft_buf_bytes(&blob), p.model_hash));
    FT_TRY(e->config.store.model_first(e->config.store.ctx, task->row.hash, p.model_hash, ft_buf_bytes(&blob),
                                       &p));
    task->row.progress = p;
out:
    ft_model_state_clear(&state);
    ft_buf_clear(&blob);
    return st;
}

/* ---- from a sum to the next model ---- */

enum ft_status
engine_after_statistics(const struct engine_task *task, const struct engine_session *s, const double *means,
                        const double *stds, struct engine_step *step)
{
    enum ft_status st = FT_ERR_NOMEM;
    const uint64_t parameters = ft_model_parameters(&s->plan.model);
    float *params = ft_calloc((size_t)parameters, sizeof *params);

    if (params == NULL)
        goto out;
    ft_model_init(&s->plan.model, task->task.seed, params);
    if (ft_model_is_clusters(&s->plan.model))
        FT_TRY(engine_clamp_centroids(&task->task, &s->plan.model, means, stds, params));
    step->progress.stage = task->task.rounds > 0 ? FT_STAGE_TRAIN : FT_STAGE_EVALUATE;
    step->progress.version = 0;
    FT_TRY(ft_model_state_init(&step->next, task->row.hash, (enum ft_stage)step->progress.stage, 0, means,
                               stds, task->task.feature_count, params, parameters));
out:
    ft_free(params);
    return st;
}

static enum ft_status
after_statistics(struct ft_engine *e, const struct engine_task *task, const struct engine_session *s,
                 uint64_t weight_sum, struct engine_step *step)
{
    enum ft_status st = FT_ERR_NOMEM;
    const uint32_t features = task->task.feature_count;
    double *means = ft_calloc(features, sizeof *means);
    double *stds = ft_calloc(features, sizeof *stds);
    struct ft_bounds *bounds = ft_calloc(features, sizeof *bounds);

    if (means == NULL || stds == NULL || bounds == NULL)
        goto out;
    for (uint32_t i = 0; i < features; i++)
        bounds[i] =
            (struct ft_bounds){ .min = task->task.features[i].min, .max = task->task.features[i].max };
    FT_TRY(ft_statistics_finish(e->reals, (double)weight_sum, features, bounds, means, stds));
    FT_TRY(engine_after_statistics(task, s, means, stds, step));
out:
    ft_free(means);
    ft_free(stds);
    ft_free(bounds);
    return st;
}

enum ft_status
engine_next_version(const struct engine_task *task, const struct ft_model_state *model, struct engine_step *step)
{
    step->progress.trained++;
    step->progress.version = model->version + 1;
    step->progress.stage = step->progress.trained >= task->task.rounds ? FT_STAGE_EVALUATE : FT_STAGE_TRAIN;
    return ft_model_state_init(&step->next, task->row.hash, (enum ft_stage)step->progress.stage,
                               step->progress.version, model->means, model->stds, model->features, model->params,
                               model->parameters);
}

enum ft_status
engine_after_training(struct ft_engine *e, const struct engine_task *task, const struct ft_model_state *model,
                      double weight, struct engine_step *step)
{
    enum ft_status st;
    struct ft_server_config config;
    struct ft_server *server = NULL;
    struct ft_buf state = { 0 };

    ft_plan_server_config(&task->task, &config);
    FT_TRY(ft_server_open(&config, model->parameters, &server, NULL));
    FT_TRY(e->config.store.optimiser(e->config.store.ctx, task->row.hash, &state));
    if (state.size > 0)
        FT_TRY(ft_server_decode(server, ft_buf_bytes(&state)));
    FT_TRY(engine_next_version(task, model, step));
    FT_TRY(ft_server_step(server, e->reals, weight, step->next.params));
    FT_TRY(ft_server_encode(server, &step->optimiser));
out:
    ft_buf_clear(&state);
    ft_server_close(server);
    return st;
}

/* Each update has a norm of at most the task's clip, so their weighted sum has at most clip times all
 * weights: beyond that somebody lied about its weight or sent what it may not. */
static bool
within_clip(const struct ft_engine *e, const struct engine_task *task, const struct engine_session *s,
            uint64_t weight_sum, uint32_t shops)
{
    const size_t count = s->plan.layout.real_coordinates;
    const double rounding = shops * s->plan.codec.quant_step * sqrt((double)count);
    double norm_squared = 0;

    for (size_t i = 0; i < count; i++)
        norm_squared += e->reals[i] * e->reals[i];
    return sqrt(norm_squared) <= 1.01 * task->task.clip * (double)weight_sum + rounding;
}

/* A sum without noise, unpacked into e->coordinates. */
static enum ft_status
step_plain(struct ft_engine *e, const struct engine_task *task, const struct engine_session *s,
           const struct ft_model_state *model, uint32_t survivors, uint64_t weight_sum, struct engine_step *step)
{
    enum ft_status st;
    const struct ft_layout *layout = &s->plan.layout;
    const bool clusters = ft_model_is_clusters(&s->plan.model);
    struct ft_kmeans_rules rules;
    struct ft_kmeans_moved moved = { 0 };
    uint64_t *values = ft_calloc((size_t)layout->metrics.value_count + 1, sizeof *values);

    if (values == NULL)
        return FT_ERR_NOMEM;
    if (layout->metric_coordinates > 0)
        FT_TRY(ft_layout_decode_metrics(layout, e->coordinates, survivors, values));
    ft_ss_dequantise(&s->plan.codec, e->coordinates + layout->metric_coordinates, layout->real_coordinates,
                     1.0, e->reals);
    if (layout->sum_unit > 0)
        FT_TRY(ft_layout_decode_sums(layout, e->coordinates + layout->metric_coordinates, survivors, e->reals));
    if (clusters && s->row.stage == FT_STAGE_TRAIN) {
        if (!engine_block_possible(layout, &s->plan.model, e->reals, weight_sum, survivors)) {
            st = FT_ERR_VERIFY;
            goto out;
        }
    } else if (s->row.stage == FT_STAGE_TRAIN && !within_clip(e, task, s, weight_sum, survivors)) {
        st = FT_ERR_VERIFY;
        goto out;
    }
    if (task->task.kind == FT_TASK_STATISTICS) {
        st = engine_measured(e, task, survivors, weight_sum, step);
        goto out;
    }
    if (s->row.stage == FT_STAGE_STATISTICS)
        FT_TRY(after_statistics(e, task, s, weight_sum, step));
    else if (s->row.stage == FT_STAGE_TRAIN && clusters) {
        ft_plan_kmeans_rules(&task->task, model->version, 0, 0, e->config.min_group, &rules);
        FT_TRY(engine_after_clusters(e, task, s, model, &rules, &moved, step));
    } else if (s->row.stage == FT_STAGE_TRAIN)
        FT_TRY(engine_after_training(e, task, model, (double)weight_sum, step));
    else
        step->task_done = true;
    step->row.metrics = engine_metrics(&task->task, s, values, model->params, weight_sum, &moved, e->config.min_group);
    st = step->row.metrics != NULL ? FT_OK : FT_ERR_NOMEM;
out:
    ft_free(values);
    return st;
}

/* Decode the sum and compute all that follows from it. Any failure here is about the sum or our own memory;
 * nothing has been stored. */
static enum ft_status
compute(struct ft_engine *e, struct engine_task *task, const struct engine_session *s,
        const struct ft_ss_sum *sum, struct engine_step *step)
{
    enum ft_status st;
    const struct ft_layout *layout = &s->plan.layout;
    struct ft_model_state model = { 0 };
    uint64_t weight_sum = 0;

    FT_TRY(make_room(e, layout->dim, layout->real_coordinates + 1));
    FT_TRY(ft_ss_unpack(&s->plan.codec, sum->words, sum->survivors, e->coordinates, &weight_sum));
    FT_TRY(ft_model_state_decode(ft_buf_bytes(&e->model->bytes), &model, NULL));
    step->progress = task->row.progress;
    step->progress.round_open = false;
    if (s->plan.privacy.on)
        FT_TRY(engine_step_private(e, task, s, &model, sum->survivors, step));
    else
        FT_TRY(step_plain(e, task, s, &model, sum->survivors, weight_sum, step));
    step->row.reasons = engine_reasons(e, task, s, NULL);
    if (step->row.reasons == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    ft_ss_derive_lineage(step->progress.lineage_hash, task->row.progress.model_hash, sum->result_hash);
    if (!step->task_done || step->result) {
        FT_TRY(ft_model_state_encode(&step->next, &step->blob));
        FT_TRY(ft_model_blob_hash(ft_buf_bytes(&step->blob), step->blob_hash));
        memcpy(step->progress.model_hash, step->blob_hash, 32);
    }
out:
    ft_model_state_clear(&model);
    return st;
}

static void
fill_row(const struct ft_engine *e, const struct engine_task *task, const struct engine_session *s,
         struct ft_round_row *row)
{
    struct ft_ss_server_counts counts;

    ft_ss_server_counts(s->server, &counts);
    memcpy(row->task, s->row.task, sizeof row->task);
    row->round = s->row.round;
    row->attempt = s->row.attempt;
    row->stage = s->row.stage;
    row->cohort = counts.cohort;
    row->survivors = counts.survivors;
    row->started_ms = s->row.started_ms;
    row->ended_ms = engine_wall(e);
    row->bytes_in = s->bytes_in;
    row->bytes_out = s->bytes_out;
    memcpy(row->model_hash, task->row.progress.model_hash, sizeof row->model_hash);
}

static void
tell(struct ft_engine *e, const struct engine_task *task, const struct ft_round_row *row,
     const struct ft_ss_sum *sum, bool task_done)
{
    const struct ft_engine_event event = {
        .row = row,
        .trained = task->row.progress.trained,
        .rounds = task->task.rounds,
        .dropped = row->cohort - row->survivors,
        .task_done = task_done,
        .task_name = task->row.name,
        .sum_words = sum != NULL ? sum->words : NULL,
        .sum_word_count = sum != NULL ? sum->word_count : 0,
        .survivors = sum != NULL ? sum->members : NULL,
        .survivors_size = sum != NULL ? (e->session->directory->roster->roster.count + 7) / 8 : 0,
    };

    if (e->config.event != NULL)
        e->config.event(e->config.ctx, &event);
}

void
engine_session_retire(struct ft_engine *e, bool keep)
{
    engine_session_unref(e->previous);
    e->previous = NULL;
    if (keep)
        e->previous = e->session;
    else
        engine_session_unref(e->session);
    e->session = NULL;
    for (size_t i = 0; i < e->shop_count; i++)
        e->shops[i].announced = false;
    e->version++;
}

/* Shops that declined are left alone for a while; whoever was in the sum starts afresh. */
static void
note_refusals(struct ft_engine *e, struct engine_task *task, const struct engine_session *s)
{
    for (size_t i = 0; i < e->shop_count; i++) {
        struct engine_shop *shop = &e->shops[i];
        uint32_t code = 0;
        if (!shop->listed)
            continue;
        if (ft_ss_server_survivor(s->server, shop->place))
            shop->refusals = 0;
        if (ft_ss_server_barred(s->server, shop->place) && !shop->barred) {
            shop->barred = true;
            ft_log(FT_LOG_ERROR, "round.barred", "shop=%lld round=%llu", (long long)shop->row.id,
                   (unsigned long long)s->row.round);
        }
        if (ft_ss_server_client_end(s->server, shop->place, &code) != FT_SS_END_ABORTED || code < 10 ||
            code > 39)
            continue;
        shop->refused_until_ms =
            engine_now(e) + (UINT64_C(1000) << (shop->refusals < 6 ? shop->refusals : 6));
        shop->refusals++;
        if (code == FT_SS_ABORT_TASK_UNKNOWN)
            engine_verdict_forget(task, i);
        ft_log(FT_LOG_WARN, "round.declined", "shop=%lld round=%llu code=%s", (long long)shop->row.id,
               (unsigned long long)s->row.round, ft_ss_abort_name(code));
    }
}

static void
log_bad_pairs(const struct engine_session *s)
{
    size_t count = 0;
    const struct ft_ss_bad_pair *pairs = ft_ss_server_bad_pairs(s->server, &count);

    for (size_t i = 0; i < count; i++)
        ft_log(FT_LOG_WARN, "round.bad_pair", "round=%llu dealer=%u other=%u",
               (unsigned long long)s->row.round, pairs[i].dealer, pairs[i].other);
}

/* The model cached for the next round is the one just made. */
static void
keep_next(struct ft_engine *e, struct engine_step *step)
{
    struct ft_blob *blob = step->task_done ? NULL : engine_blob_new(step->blob_hash, &step->blob);

    if (blob == NULL) /* read again when it is needed */
        return;
    engine_blob_unref(e->model);
    e->model = blob;
}

enum ft_status
engine_commit(struct ft_engine *e)
{
    enum ft_status st;
    struct engine_session *s = e->session;
    struct engine_task *task = engine_task(e, s->row.task);
    struct ft_ss_sum sum;
    struct engine_step step = { 0 };
    struct ft_model_put model = { 0 };

    if (task == NULL || !ft_ss_server_result(s->server, &sum))
        return FT_ERR_INTERNAL;
    st = compute(e, task, s, &sum, &step);
    if (st == FT_ERR_NOMEM || st == FT_ERR_IO || st == FT_ERR_LATER || st == FT_ERR_FULL)
        goto out; /* the sum is still there: once more later */
    if (st != FT_OK) {
        ft_log(FT_LOG_ERROR, "round.sum_unusable", "task=%s round=%llu status=%s", task->row.name,
               (unsigned long long)s->row.round, ft_status_name(st));
        st = engine_session_failed(e, "SUM_UNUSABLE");
        goto out;
    }
    fill_row(e, task, s, &step.row);
    step.row.state = FT_ROUND_COMMITTED;
    memcpy(step.row.result_hash, sum.result_hash, sizeof step.row.result_hash);
    memcpy(step.row.transcript, sum.t3, sizeof step.row.transcript);
    memcpy(model.hash, step.blob_hash, sizeof model.hash);
    model.blob = ft_buf_bytes(&step.blob);
    model.version = step.progress.version;
    if (FT_PLANT(TOLD_BEFORE_STORED))
        tell(e, task, &step.row, &sum, step.task_done);
    FT_TRY(e->config.store.round_commit(e->config.store.ctx, &step.row, &step.progress,
                                        step.task_done && !step.result ? NULL : &model, ft_buf_bytes(&step.optimiser),
                                        step.task_done));
    /* Committed: now it may be told. */
    task->row.progress = step.progress;
    if (step.task_done)
        task->row.state = FT_TASK_DONE;
    e->failures = 0;
    e->not_before_ms = engine_now(e) + task->task.pause_ms;
    ft_log(FT_LOG_INFO, "round.committed", "task=%s round=%llu stage=%u cohort=%u survivors=%u",
           task->row.name, (unsigned long long)s->row.round, s->row.stage, step.row.cohort,
           step.row.survivors);
    log_bad_pairs(s);
    note_refusals(e, task, s);
    if (!FT_PLANT(TOLD_BEFORE_STORED))
        tell(e, task, &step.row, &sum, step.task_done);
    ft_ss_server_publish(s->server);
    keep_next(e, &step);
    engine_session_retire(e, true);
    if (step.task_done)
        st = engine_load_tasks(e);
out:
    step_clear(&step);
    return st;
}

enum ft_status
engine_session_failed(struct ft_engine *e, const char *why)
{
    static const uint8_t none[32];
    enum ft_status st;
    struct engine_session *s = e->session;
    struct engine_task *task = engine_task(e, s->row.task);
    struct ft_round_row row = { 0 };
    struct ft_task_progress progress;
    uint8_t t[4][32];
    const bool keep = ft_ss_server_phase(s->server) == FT_SS_FAILED;

    if (task == NULL)
        return FT_ERR_INTERNAL;
    fill_row(e, task, s, &row);
    /* Once S is fixed a shop may have uploaded, and its contribution counts as released: the number is spent.
     */
    ft_ss_server_transcript(s->server, t);
    row.state = memcmp(t[2], none, 32) != 0 ? FT_ROUND_ABANDONED : FT_ROUND_FAILED;
    if (why == NULL)
        why = ft_ss_end_name(ft_ss_server_failure(s->server));
    row.reasons = engine_reasons(e, task, s, why);
    row.metrics = ft_strdup("{}");
    progress = task->row.progress;
    progress.round_open = row.state == FT_ROUND_FAILED;
    FT_TRY(e->config.store.round_end(e->config.store.ctx, &row, &progress));
    task->row.progress = progress;
    e->not_before_ms = engine_now(e) +
                       (e->failures < 6 ? (uint64_t)ENGINE_BACKOFF_MS << e->failures : ENGINE_BACKOFF_MAX_MS);
    e->failures++;
    ft_log(FT_LOG_WARN, row.state == FT_ROUND_FAILED ? "round.failed" : "round.abandoned",
           "task=%s round=%llu attempt=%u stage=%u reason=%s", task->row.name, (unsigned long long)row.round,
           row.attempt, row.stage, why);
    log_bad_pairs(s);
    note_refusals(e, task, s);
    tell(e, task, &row, NULL, false);
    engine_session_retire(e, keep);
out:
    ft_free(row.reasons);
    ft_free(row.metrics);
    return st;
}
