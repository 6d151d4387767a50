/* A JSON export read back. Everything is checked: the file may come from anywhere. */
#include "aggregator/export/export_internal.h"
#include "common/base/alloc.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define JSON_SIZE_MAX ((size_t)1 << 30)

static bool
number_of(const json_t *v, double *out)
{
    if (!json_is_number(v))
        return false;
    *out = json_number_value(v);
    return isfinite(*out);
}

/* `count` numbers, as float32, to `out`. */
static bool
read_numbers(const json_t *list, size_t count, float *out)
{
    if (!json_is_array(list) || json_array_size(list) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        double v;
        if (!number_of(json_array_get(list, i), &v) || !isfinite((float)v))
            return false;
        out[i] = (float)v;
    }
    return true;
}

static enum ft_status
read_features(const json_t *list, struct ft_exported_model *m, struct ft_error *err)
{
    const size_t count = json_array_size(list);

    if (count < 1 || count > FT_MODEL_WIDTH_MAX)
        return ft_fail(err, FT_ERR_FORMAT, "the exported model has no usable list of features");
    m->names = ft_calloc(count, sizeof *m->names);
    m->bounds = ft_calloc(count, sizeof *m->bounds);
    m->state.means = ft_calloc(count, sizeof *m->state.means);
    m->state.stds = ft_calloc(count, sizeof *m->state.stds);
    if (m->names == NULL || m->bounds == NULL || m->state.means == NULL || m->state.stds == NULL)
        return FT_ERR_NOMEM;
    m->spec.features = m->state.features = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        const json_t *f = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(f, "name"));
        if (name == NULL || !number_of(json_object_get(f, "min"), &m->bounds[i].min) ||
            !number_of(json_object_get(f, "max"), &m->bounds[i].max) ||
            !number_of(json_object_get(f, "mean"), &m->state.means[i]) ||
            !number_of(json_object_get(f, "std"), &m->state.stds[i]) || !(m->state.stds[i] > 0) ||
            !(m->bounds[i].min < m->bounds[i].max))
            return ft_fail(err, FT_ERR_FORMAT, "feature %zu of the exported model is malformed", i + 1);
        m->names[i] = ft_strdup(name);
        if (m->names[i] == NULL)
            return FT_ERR_NOMEM;
    }
    return FT_OK;
}

/* Kind, activation, and the widths that the layers themselves show. */
static enum ft_status
read_shape(const json_t *model, const json_t *layers, const json_t *centroids, struct ft_model_spec *spec,
           struct ft_error *err)
{
    const char *kind = json_string_value(json_object_get(model, "kind"));
    const char *activation = json_string_value(json_object_get(model, "activation"));
    const size_t count = json_array_size(layers);
    const json_int_t outputs = json_integer_value(json_object_get(json_array_get(layers, count - 1), "outputs"));

    for (int k = FT_MODEL_LINEAR; kind != NULL && k <= FT_MODEL_KMEANS; k++) {
        const char *name = ft_export_kind_name((enum ft_model_kind)k);
        if (name != NULL && strcmp(kind, name) == 0)
            spec->kind = (enum ft_model_kind)k;
    }
    if (ft_model_is_clusters(spec)) {
        const size_t clusters = json_array_size(centroids);
        spec->classes = clusters <= FT_MODEL_CLUSTERS_MAX ? (uint32_t)clusters : 0;
        if (count != 0 || ft_model_spec_check(spec, NULL) != FT_OK)
            return ft_fail(err, FT_ERR_FORMAT, "the exported model's centroids are not possible");
        return FT_OK;
    }
    for (int a = FT_ACT_RELU; activation != NULL && a <= FT_ACT_TANH; a++)
        if (strcmp(activation, ft_export_activation_name((enum ft_activation)a)) == 0)
            spec->activation = (enum ft_activation)a;
    if (count < 1 || count > FT_MODEL_HIDDEN_MAX + 1 || (count > 1) != (spec->kind == FT_MODEL_MLP) || outputs < 1 ||
        outputs > FT_MODEL_CLASSES_MAX)
        return ft_fail(err, FT_ERR_FORMAT, "the exported model's kind and layers do not fit");
    spec->hidden_count = (uint32_t)count - 1;
    spec->classes = outputs > 1 ? (uint32_t)outputs : 0;
    for (size_t l = 0; l + 1 < count; l++) {
        const json_int_t width = json_integer_value(json_object_get(json_array_get(layers, l), "outputs"));
        if (width < 1 || width > FT_MODEL_WIDTH_MAX)
            return ft_fail(err, FT_ERR_FORMAT, "layer %zu of the exported model has no usable width", l + 1);
        spec->hidden[l] = (uint32_t)width;
    }
    if (ft_model_spec_check(spec, NULL) != FT_OK)
        return ft_fail(err, FT_ERR_FORMAT, "the exported model's shape is not possible");
    return FT_OK;
}

static enum ft_status
read_layers(const json_t *layers, const json_t *centroids, struct ft_exported_model *m, struct ft_error *err)
{
    const uint32_t count = m->spec.kind == FT_MODEL_MLP ? m->spec.hidden_count + 1 : 1;
    uint32_t in = m->spec.features;
    float *at;

    m->state.parameters = ft_model_parameters(&m->spec);
    m->state.params = at = ft_calloc((size_t)m->state.parameters, sizeof *at);
    if (at == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t k = 0; ft_model_is_clusters(&m->spec) && k < m->spec.classes; k++, at += in)
        if (!read_numbers(json_array_get(centroids, k), in, at))
            return ft_fail(err, FT_ERR_FORMAT, "centroid %u of the exported model is malformed", k + 1);
    for (uint32_t l = 0; !ft_model_is_clusters(&m->spec) && l < count; l++) {
        const json_t *layer = json_array_get(layers, l), *rows = json_object_get(layer, "weights");
        const uint32_t out = l + 1 < count ? m->spec.hidden[l] : ft_model_outputs(&m->spec);
        bool good = json_is_array(rows) && json_array_size(rows) == in;
        for (uint32_t i = 0; good && i < in; i++, at += out)
            good = read_numbers(json_array_get(rows, i), out, at);
        if (!good || !read_numbers(json_object_get(layer, "biases"), out, at))
            return ft_fail(err, FT_ERR_FORMAT, "the numbers of layer %u of the exported model are malformed", l + 1);
        at += out;
        in = out;
    }
    return FT_OK;
}

enum ft_status
ft_export_read_json(struct ft_bytes json, struct ft_exported_model *out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_exported_model m = { 0 };
    json_error_t where;
    const json_t *layers;
    const char *hash;
    json_t *root = NULL;

    memset(out, 0, sizeof *out);
    if (json.size > JSON_SIZE_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "an exported model of %zu bytes is too large", json.size);
    root = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &where);
    if (root == NULL) {
        st = ft_fail(err, FT_ERR_FORMAT, "line %d, column %d: not JSON", where.line, where.column);
        goto out;
    }
    if (json_string_value(json_object_get(root, "format")) == NULL ||
        strcmp(json_string_value(json_object_get(root, "format")), FT_EXPORT_FORMAT) != 0 ||
        json_integer_value(json_object_get(root, "format_version")) != FT_EXPORT_VERSION) {
        st = ft_fail(err, FT_ERR_FORMAT, "not a model that fedtill exported as JSON, version %d", FT_EXPORT_VERSION);
        goto out;
    }
    hash = json_string_value(json_object_get(json_object_get(root, "task"), "hash"));
    if (hash == NULL || ft_unhex(m.state.task_hash, 32, hash) != FT_OK) {
        st = ft_fail(err, FT_ERR_FORMAT, "the exported model does not say its task's hash");
        goto out;
    }
    layers = json_object_get(root, "layers");
    m.state.stage = FT_STAGE_EVALUATE;
    m.state.version = (uint64_t)json_integer_value(json_object_get(root, "model_version"));
    FT_TRY(read_features(json_object_get(root, "features"), &m, err));
    FT_TRY(read_shape(json_object_get(root, "model"), layers, json_object_get(root, "centroids"), &m.spec, err));
    FT_TRY(read_layers(layers, json_object_get(root, "centroids"), &m, err));
    m.statement = json_incref(json_object_get(root, "statement"));
    *out = m;
    memset(&m, 0, sizeof m);
out:
    json_decref(root);
    ft_exported_model_clear(&m);
    return st;
}

void
ft_exported_model_clear(struct ft_exported_model *m)
{
    for (uint32_t i = 0; m->names != NULL && i < m->state.features; i++)
        ft_free(m->names[i]);
    ft_free(m->names);
    ft_free(m->bounds);
    json_decref(m->statement);
    ft_model_state_clear(&m->state);
    memset(m, 0, sizeof *m);
}
