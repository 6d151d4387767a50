#include "aggregator/export/export_internal.h"
#include "common/statement/statement.h"

#include <string.h>

const char *
ft_export_kind_name(enum ft_model_kind kind)
{
    static const char *const names[] = { NULL, "linear", "logistic", "softmax", "poisson", "mlp", NULL, "kmeans" };
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : NULL;
}

const char *
ft_export_activation_name(enum ft_activation activation)
{
    if (activation == FT_ACT_RELU)
        return "relu";
    return activation == FT_ACT_TANH ? "tanh" : NULL;
}

void
ft_export_spec(const struct ft_task *task, struct ft_model_spec *spec)
{
    memset(spec, 0, sizeof *spec);
    spec->kind = task->model;
    spec->features = task->feature_count;
    spec->classes = task->model == FT_MODEL_KMEANS ? task->clusters : task->classes;
    spec->activation = task->activation;
    spec->hidden_count = task->hidden_count < FT_MODEL_HIDDEN_MAX ? task->hidden_count : FT_MODEL_HIDDEN_MAX;
    for (uint32_t i = 0; i < spec->hidden_count; i++)
        spec->hidden[i] = task->hidden[i];
}

const char *
export_prediction(const struct ft_model_spec *spec)
{
    if (spec->kind == FT_MODEL_LINEAR)
        return "z";
    if (spec->kind == FT_MODEL_POISSON)
        return "exp(z)";
    if (ft_model_is_clusters(spec))
        return "the k with the least sum_j (x_j - c_kj)^2";
    return ft_model_is_binary(spec) ? "1 / (1 + exp(-z))" : "exp(z_k) / sum(exp(z))";
}

enum ft_status
export_layers(const struct ft_export *model, struct ft_model_spec *spec,
              struct export_layer layers[FT_MODEL_HIDDEN_MAX + 1], uint32_t *count, struct ft_error *err)
{
    const struct ft_model_state *state = model->state;
    const float *at = state->params;
    uint32_t in, hidden;
    enum ft_status st;

    if (model->task->model == FT_MODEL_CNN)
        return ft_fail(err, FT_ERR_ARGUMENT, "a model with convolutions is not exported: no format here describes them");
    ft_export_spec(model->task, spec);
    FT_TRY(ft_model_spec_check(spec, err));
    if (ft_statement_text(model->statement) == NULL)
        return ft_fail(err, FT_ERR_ARGUMENT, "a model is exported with its privacy statement, or not at all");
    if (state->features != spec->features || state->parameters != ft_model_parameters(spec))
        return ft_fail(err, FT_ERR_ARGUMENT, "the model has %u features and %llu parameters, the task %u and %llu",
                       state->features, (unsigned long long)state->parameters, spec->features,
                       (unsigned long long)ft_model_parameters(spec));
    if (ft_model_is_clusters(spec)) {
        layers[0] = (struct export_layer){ spec->features, spec->classes, at, NULL };
        *count = 1;
        goto out;
    }
    hidden = spec->kind == FT_MODEL_MLP ? spec->hidden_count : 0;
    in = spec->features;
    for (uint32_t l = 0; l <= hidden; l++) {
        const uint32_t out = l < hidden ? spec->hidden[l] : ft_model_outputs(spec);
        layers[l] = (struct export_layer){ in, out, at, at + (size_t)in * out };
        at += ((size_t)in + 1) * out;
        in = out;
    }
    *count = hidden + 1;
out:
    return st;
}
