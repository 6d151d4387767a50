#include "aggregator/simulate/baseline.h"
#include "common/base/alloc.h"
#include "common/model/kmeans.h"
#include "common/model/metrics.h"
#include "common/model/pooled.h"
#include "common/plan/round_plan.h"

#include <math.h>
#include <string.h>

#define SGD_EPOCHS 60

/* A model that can score raw rows. */
struct scorer {
    struct ft_model_spec spec;
    struct ft_model *model;
    const struct ft_bounds *bounds; /* borrowed */
    double *means, *stds;
    float *params;
    double objective; /* of its training, when it was trained here; else NAN */
};

static void
scorer_clear(struct scorer *s)
{
    ft_model_close(s->model);
    ft_free(s->means);
    ft_free(s->stds);
    ft_free(s->params);
    memset(s, 0, sizeof *s);
}

static enum ft_status
scorer_init(struct scorer *s, const struct ft_model_spec *spec, const struct ft_bounds *bounds, struct ft_error *err)
{
    enum ft_status st;

    memset(s, 0, sizeof *s);
    s->spec = *spec;
    s->bounds = bounds;
    s->objective = NAN;
    FT_TRY(ft_model_open(spec, &s->model, err));
    s->means = ft_calloc(spec->features, sizeof *s->means);
    s->stds = ft_calloc(spec->features, sizeof *s->stds);
    s->params = ft_calloc((size_t)ft_model_parameters(spec), sizeof *s->params);
    if (s->means == NULL || s->stds == NULL || s->params == NULL)
        st = FT_ERR_NOMEM;
out:
    return st;
}

static bool
has_optimum(const struct ft_model_spec *spec)
{
    return spec->kind == FT_MODEL_LOGISTIC || ft_model_is_regression(spec);
}

/* The one optimum, in double; its float32 neighbour scores. */
static enum ft_status
fit_optimum(struct scorer *s, const struct ft_task *task, const struct ft_dataset *train)
{
    double *best = ft_calloc((size_t)s->spec.features + 1, sizeof *best);
    struct ft_pooled_result result;
    enum ft_status st;

    if (best == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_pooled_optimum(&s->spec, train, task->weight_decay, best, &result));
    for (uint32_t i = 0; i <= s->spec.features; i++)
        s->params[i] = (float)best[i];
    s->objective = result.objective;
out:
    ft_free(best);
    return st;
}

static enum ft_status
fit_sgd(struct scorer *s, const struct ft_task *task, const struct ft_dataset *train, const struct ft_env *env)
{
    const struct ft_train_config config = { .local_epochs = 1, .batch_size = 32, .learning_rate = 0.05,
                                            .momentum = 0.9, .weight_decay = task->weight_decay };
    struct ft_pooled_result result;
    enum ft_status st;

    ft_model_init(&s->spec, task->seed, s->params);
    FT_TRY(ft_pooled_sgd(&s->spec, train, &config, SGD_EPOCHS, env, s->params, &result));
    s->objective = result.objective;
out:
    return st;
}

/* The task's rounds from its first centroids; the objective is the inertia. */
static enum ft_status
fit_lloyd(struct scorer *s, const struct ft_task *task, const struct ft_dataset *train)
{
    struct ft_kmeans_rules rules;
    struct ft_model *m = NULL;
    enum ft_status st;

    ft_plan_kmeans_rules(task, 0, 0, 0, FT_MIN_GROUP, &rules);
    FT_TRY(ft_model_open(&s->spec, &m, NULL));
    ft_model_init(&s->spec, task->seed, s->params);
    ft_kmeans_clamp(&s->spec, s->bounds, s->means, s->stds, s->params);
    FT_TRY(ft_kmeans_pooled(m, train->x, train->rows, task->rounds, rules.least, task->seed, s->params));
    st = ft_model_loss(m, s->params, train, &s->objective);
out:
    ft_model_close(m);
    return st;
}

/* Train on `rows`' own train split, standardised by its own numbers. */
static enum ft_status
scorer_fit(struct scorer *s, const struct ft_task *task, const struct ft_examples *rows, const struct ft_env *env)
{
    struct ft_examples own = { 0 };
    enum ft_status st;

    FT_TRY(ft_sim_copy(rows, &own));
    FT_TRY(ft_sim_statistics(&own, s->bounds, s->means, s->stds));
    FT_TRY(ft_sim_standardise(&own, s->bounds, s->means, s->stds));
    const struct ft_dataset train = { own.x_train, own.y_train, own.rows_train };
    if (ft_model_is_clusters(&s->spec))
        FT_TRY(fit_lloyd(s, task, &train));
    else if (has_optimum(&s->spec))
        FT_TRY(fit_optimum(s, task, &train));
    else
        FT_TRY(fit_sgd(s, task, &train, env));
out:
    ft_examples_clear(&own);
    return st;
}

/* Share of rows whose predicted class is the label. */
static double
accuracy_of(const struct ft_model_spec *spec, const float *z, const float *y, size_t rows)
{
    const uint32_t outputs = ft_model_outputs(spec);
    size_t correct = 0;

    for (size_t i = 0; i < rows; i++) {
        const float *row = z + i * outputs;
        uint32_t best = 0;
        for (uint32_t k = 1; k < outputs; k++)
            best = row[k] > row[best] ? k : best;
        if (outputs == 1)
            best = row[0] > 0;
        correct += best == (uint32_t)y[i];
    }
    return rows > 0 && !ft_model_is_regression(spec) && !ft_model_is_clusters(spec) ? (double)correct / (double)rows : NAN;
}

/* Score raw test rows: AUC (NAN when a class is absent or the model is not binary), mean loss, accuracy. */
static enum ft_status
scorer_test(struct scorer *s, const struct ft_examples *rows, struct ft_baseline_score *out)
{
    const size_t n = rows->rows_test, outputs = ft_model_outputs(&s->spec);
    struct ft_examples own = { 0 };
    float *z = ft_calloc(n * outputs, sizeof *z);
    double *losses = ft_calloc(n, sizeof *losses), sum = 0;
    enum ft_status st = FT_ERR_NOMEM;

    out->auc = out->test_loss = out->accuracy = NAN;
    if (z == NULL || losses == NULL)
        goto out;
    FT_TRY(ft_sim_copy(rows, &own));
    FT_TRY(ft_sim_standardise(&own, s->bounds, s->means, s->stds));
    FT_TRY(ft_model_scores(s->model, s->params, own.x_test, n, z));
    if (ft_model_is_binary(&s->spec))
        FT_TRY(ft_auc_exact(z, own.y_test, n, &out->auc));
    ft_model_losses(s->model, z, own.y_test, n, losses);
    for (size_t i = 0; i < n; i++)
        sum += losses[i];
    out->test_loss = n > 0 ? sum / (double)n : NAN;
    out->accuracy = accuracy_of(&s->spec, z, own.y_test, n);
out:
    ft_free(z);
    ft_free(losses);
    ft_examples_clear(&own);
    return st;
}

/* The objective on raw train rows. */
static enum ft_status
scorer_objective(struct scorer *s, const struct ft_task *task, const struct ft_examples *rows, double *objective)
{
    struct ft_examples own = { 0 };
    enum ft_status st;

    FT_TRY(ft_sim_copy(rows, &own));
    FT_TRY(ft_sim_standardise(&own, s->bounds, s->means, s->stds));
    const struct ft_dataset train = { own.x_train, own.y_train, own.rows_train };
    FT_TRY(ft_model_loss(s->model, s->params, &train, objective));
    *objective += ft_model_penalty(&s->spec, s->params, task->weight_decay);
out:
    ft_examples_clear(&own);
    return st;
}

static bool
both_classes(const float *y, size_t rows)
{
    size_t positive = 0;
    for (size_t i = 0; i < rows; i++)
        positive += y[i] > 0.5f;
    return positive > 0 && positive < rows;
}

/* Can this shop's own model be made and scored? */
static bool
stands_alone(const struct ft_model_spec *spec, const struct ft_examples *shop)
{
    if (shop->rows_train == 0 || shop->rows_test == 0)
        return false;
    return !ft_model_is_binary(spec) ||
           (both_classes(shop->y_train, shop->rows_train) && both_classes(shop->y_test, shop->rows_test));
}

/* Each shop by itself, and the pooled and federated models on the same shops' test rows. */
static enum ft_status
run_alone(const struct ft_baseline_input *in, const struct ft_bounds *bounds, struct scorer *pooled,
          struct scorer *federated, struct ft_baseline *out)
{
    enum ft_status st = FT_OK;
    struct scorer alone = { 0 };
    double n;

    out->alone_auc_mean = out->alone_loss_mean = out->pooled.auc_mean = out->federated.auc_mean = 0;
    out->alone_auc_low = INFINITY;
    out->alone_auc_high = -INFINITY;
    for (size_t i = 0; i < in->shop_count; i++) {
        struct ft_baseline_score own, one;
        if (!stands_alone(&pooled->spec, &in->shops[i]))
            continue;
        scorer_clear(&alone);
        FT_TRY(scorer_init(&alone, &pooled->spec, bounds, NULL));
        FT_TRY(scorer_fit(&alone, in->task, &in->shops[i], in->env));
        FT_TRY(scorer_test(&alone, &in->shops[i], &own));
        out->alone_auc_mean += own.auc;
        out->alone_auc_low = fmin(out->alone_auc_low, own.auc);
        out->alone_auc_high = fmax(out->alone_auc_high, own.auc);
        out->alone_loss_mean += own.test_loss;
        FT_TRY(scorer_test(pooled, &in->shops[i], &one));
        out->pooled.auc_mean += one.auc;
        if (federated != NULL) {
            FT_TRY(scorer_test(federated, &in->shops[i], &one));
            out->federated.auc_mean += one.auc;
        }
        out->alone_shops++;
    }
    n = out->alone_shops > 0 ? (double)out->alone_shops : NAN;
    out->alone_auc_mean /= n;
    out->alone_loss_mean /= n;
    out->pooled.auc_mean /= n;
    out->federated.auc_mean /= n;
out:
    scorer_clear(&alone);
    return st;
}

static enum ft_status
load_federated(struct scorer *s, const struct ft_exported_model *model, const struct ft_model_spec *spec,
               struct ft_error *err)
{
    const struct ft_model_state *state = &model->state;
    enum ft_status st;

    FT_TRY(scorer_init(s, spec, model->bounds, err));
    if (model->spec.kind != spec->kind || state->features != spec->features ||
        state->parameters != ft_model_parameters(spec))
        return ft_fail(err, FT_ERR_ARGUMENT, "the exported model has another shape than the task's model");
    memcpy(s->means, state->means, state->features * sizeof *s->means);
    memcpy(s->stds, state->stds, state->features * sizeof *s->stds);
    memcpy(s->params, state->params, (size_t)state->parameters * sizeof *s->params);
out:
    return st;
}

enum ft_status
ft_baseline_run(const struct ft_baseline_input *in, struct ft_baseline *out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_model_spec spec;
    struct ft_examples all = { 0 };
    struct scorer pooled = { 0 }, federated = { 0 };
    struct ft_bounds *bounds = ft_sim_bounds(in->task);

    memset(out, 0, sizeof *out);
    if (bounds == NULL)
        return FT_ERR_NOMEM;
    ft_export_spec(in->task, &spec);
    FT_TRY(ft_sim_pool(in->shops, in->shop_count, &all));
    out->shops = in->shop_count;
    out->train_rows = all.rows_train;
    out->test_rows = all.rows_test;
    if (all.rows_train == 0) {
        st = ft_fail(err, FT_ERR_ARGUMENT, "the shops have no train rows between them");
        goto out;
    }
    FT_TRY(scorer_init(&pooled, &spec, bounds, err));
    FT_TRY(scorer_fit(&pooled, in->task, &all, in->env));
    FT_TRY(scorer_test(&pooled, &all, &out->pooled));
    out->pooled.objective = pooled.objective;
    out->has_federated = in->federated != NULL;
    if (out->has_federated) {
        FT_TRY(load_federated(&federated, in->federated, &spec, err));
        FT_TRY(scorer_test(&federated, &all, &out->federated));
        FT_TRY(scorer_objective(&federated, in->task, &all, &out->federated.objective));
    }
    FT_TRY(run_alone(in, bounds, &pooled, out->has_federated ? &federated : NULL, out));
out:
    scorer_clear(&pooled);
    scorer_clear(&federated);
    ft_examples_clear(&all);
    ft_free(bounds);
    return st;
}
