#include "aggregator/export/export_internal.h"
#include "common/base/alloc.h"
#include "common/statement/statement.h"

#include <jansson.h>
#include <string.h>

static json_t *
features_json(const struct ft_export *model)
{
    json_t *list = json_array();
    for (uint32_t i = 0; list != NULL && i < model->state->features; i++) {
        const struct ft_task_feature *f = &model->task->features[i];
        json_t *one = json_pack("{s:s, s:f, s:f, s:f, s:f}", "name", f->name, "min", f->min, "max", f->max, "mean",
                                model->state->means[i], "std", model->state->stds[i]);
        if (one == NULL || json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *
numbers_json(const float *v, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < count; i++)
        if (json_array_append_new(list, json_real((double)v[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* {"inputs", "outputs", "weights": [[outputs numbers] for each input], "biases"} */
static json_t *
layer_json(const struct export_layer *layer)
{
    json_t *rows = json_array();
    for (uint32_t i = 0; rows != NULL && i < layer->inputs; i++)
        if (json_array_append_new(rows, numbers_json(layer->weights + (size_t)i * layer->outputs, layer->outputs)) !=
            0) {
            json_decref(rows);
            return NULL;
        }
    if (rows == NULL)
        return NULL;
    return json_pack("{s:I, s:I, s:o, s:o}", "inputs", (json_int_t)layer->inputs, "outputs",
                     (json_int_t)layer->outputs, "weights", rows, "biases",
                     numbers_json(layer->biases, layer->outputs));
}

static json_t *
layers_json(const struct export_layer *layers, uint32_t count)
{
    json_t *list = json_array();
    for (uint32_t l = 0; list != NULL && l < count && layers[l].biases != NULL; l++)
        if (json_array_append_new(list, layer_json(&layers[l])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* (clusters) of (features) numbers, standardised or in the features' own units. */
static json_t *
centroids_json(const struct ft_export *model, const struct export_layer *c, bool own_units)
{
    json_t *list = json_array();

    for (uint32_t k = 0; list != NULL && k < c->outputs; k++) {
        const float *at = c->weights + (size_t)k * c->inputs;
        json_t *one = own_units ? json_array() : numbers_json(at, c->inputs);
        for (uint32_t j = 0; own_units && one != NULL && j < c->inputs; j++)
            (void)json_array_append_new(
                one, json_real(model->state->means[j] + model->state->stds[j] * (double)at[j]));
        if (json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *
shape_json(const struct ft_model_spec *spec)
{
    json_t *shape = json_pack("{s:s, s:I, s:s}", "kind", ft_export_kind_name(spec->kind), "outputs",
                              (json_int_t)ft_model_outputs(spec), "prediction", export_prediction(spec));
    if (shape != NULL && spec->kind == FT_MODEL_MLP)
        (void)json_object_set_new(shape, "activation", json_string(ft_export_activation_name(spec->activation)));
    return shape;
}

static int
append_text(const char *text, size_t size, void *ctx)
{
    return ft_buf_append(ctx, text, size) == FT_OK ? 0 : -1;
}

enum ft_status
ft_export_json(const struct ft_export *model, struct ft_buf *out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_model_spec spec;
    struct export_layer layers[FT_MODEL_HIDDEN_MAX + 1];
    uint32_t count = 0;
    const size_t before = out->size;
    char hash[65];
    json_t *root = NULL;

    FT_TRY(export_layers(model, &spec, layers, &count, err));
    ft_hex(hash, model->state->task_hash, 32);
    root = json_pack("{s:s, s:i, s:{s:s, s:s, s:s, s:s}, s:I, s:o, s:o, s:o, s:s, s:o}", "format", FT_EXPORT_FORMAT,
                     "format_version", FT_EXPORT_VERSION, "task", "name", model->task->name, "hash", hash, "purpose",
                     model->task->purpose, "label", model->task->label, "model_version",
                     (json_int_t)model->state->version, "model", shape_json(&spec), "features",
                     features_json(model), "layers", layers_json(layers, count), "privacy", ft_statement_text(model->statement), "statement",
                     json_deep_copy(model->statement));
    if (root != NULL && ft_model_is_clusters(&spec) &&
        (json_object_set_new(root, "centroids", centroids_json(model, &layers[0], false)) != 0 ||
         json_object_set_new(root, "centroids_in_units", centroids_json(model, &layers[0], true)) != 0)) {
        json_decref(root);
        root = NULL;
    }
    if (root == NULL || json_dump_callback(root, append_text, out, JSON_COMPACT | JSON_REAL_PRECISION(17)) != 0 ||
        ft_buf_append(out, "\n", 1) != FT_OK) {
        out->size = before;
        st = FT_ERR_NOMEM;
        goto out;
    }
out:
    json_decref(root);
    return st;
}
