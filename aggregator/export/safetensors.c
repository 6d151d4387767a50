#include "aggregator/export/export_internal.h"
#include "common/base/alloc.h"
#include "common/statement/statement.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define TENSORS_MAX (2 * (FT_MODEL_HIDDEN_MAX + 1) + 4)

/* One tensor, in the order of the file's data: F64 first, so that every one is aligned to its type. */
struct tensor {
    char name[32];
    const double *f64; /* one of the two */
    const float *f32;
    uint32_t shape[2];
    uint32_t rank;
    size_t count;
};

static size_t
tensor_size(const struct tensor *t)
{
    return t->count * (t->f64 != NULL ? 8 : 4);
}

static void
tensor_f64(struct tensor *t, const char *name, const double *v, uint32_t count)
{
    memset(t, 0, sizeof *t);
    (void)snprintf(t->name, sizeof t->name, "features.%s", name);
    t->f64 = v;
    t->shape[0] = count;
    t->rank = 1;
    t->count = count;
}

static uint32_t
list_tensors(const struct ft_export *model, const struct export_layer *layers, uint32_t layer_count,
             const double *bounds, struct tensor tensors[TENSORS_MAX])
{
    const uint32_t features = model->state->features;
    uint32_t n = 0;

    tensor_f64(&tensors[n++], "mean", model->state->means, features);
    tensor_f64(&tensors[n++], "std", model->state->stds, features);
    tensor_f64(&tensors[n++], "min", bounds, features);
    tensor_f64(&tensors[n++], "max", bounds + features, features);
    if (layers[0].biases == NULL) {
        tensors[n] = (struct tensor){ .f32 = layers[0].weights, .shape = { layers[0].outputs, layers[0].inputs },
                                      .rank = 2, .count = (size_t)layers[0].inputs * layers[0].outputs };
        (void)snprintf(tensors[n++].name, sizeof tensors[n].name, "centroids");
        return n;
    }
    for (uint32_t l = 0; l < layer_count; l++) {
        const size_t count = (size_t)layers[l].inputs * layers[l].outputs;
        tensors[n] = (struct tensor){ .f32 = layers[l].weights, .shape = { layers[l].inputs, layers[l].outputs },
                                      .rank = 2, .count = count };
        (void)snprintf(tensors[n++].name, sizeof tensors[n].name, "layers.%u.weight", l);
        tensors[n] = (struct tensor){ .f32 = layers[l].biases, .shape = { layers[l].outputs }, .rank = 1,
                                      .count = layers[l].outputs };
        (void)snprintf(tensors[n++].name, sizeof tensors[n].name, "layers.%u.bias", l);
    }
    return n;
}

/* Every value a string, as the format wants it. */
static json_t *
metadata_json(const struct ft_export *model, const struct ft_model_spec *spec)
{
    char hash[65], version[24], format[16], *names_text = NULL, *statement = ft_statement_dump(model->statement);
    json_t *names = json_array(), *metadata = NULL;

    for (uint32_t i = 0; i < model->state->features; i++)
        (void)json_array_append_new(names, json_string(model->task->features[i].name));
    names_text = json_dumps(names, JSON_COMPACT);
    json_decref(names);
    if (names_text == NULL || statement == NULL)
        goto out;
    ft_hex(hash, model->state->task_hash, 32);
    (void)snprintf(version, sizeof version, "%llu", (unsigned long long)model->state->version);
    (void)snprintf(format, sizeof format, "%d", FT_EXPORT_VERSION);
    metadata = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "format", FT_EXPORT_FORMAT,
                         "format_version", format, "task", model->task->name, "task_hash", hash, "purpose",
                         model->task->purpose, "label", model->task->label, "model_version", version, "kind",
                         ft_export_kind_name(spec->kind), "prediction", export_prediction(spec), "features",
                         names_text, "privacy", ft_statement_text(model->statement), "statement", statement);
    if (metadata != NULL && spec->kind == FT_MODEL_MLP)
        (void)json_object_set_new(metadata, "activation", json_string(ft_export_activation_name(spec->activation)));
out:
    free(names_text);
    free(statement);
    return metadata;
}

static json_t *
header_json(const struct ft_export *model, const struct ft_model_spec *spec, const struct tensor *tensors,
            uint32_t count)
{
    json_t *root = json_pack("{s:o}", "__metadata__", metadata_json(model, spec));
    size_t at = 0;

    for (uint32_t i = 0; root != NULL && i < count; i++) {
        const size_t size = tensor_size(&tensors[i]);
        json_t *shape = json_array(), *one;
        for (uint32_t k = 0; k < tensors[i].rank; k++)
            (void)json_array_append_new(shape, json_integer(tensors[i].shape[k]));
        one = json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensors[i].f64 != NULL ? "F64" : "F32", "shape", shape,
                        "data_offsets", (json_int_t)at, (json_int_t)(at + size));
        if (json_object_set_new(root, tensors[i].name, one) != 0) {
            json_decref(root);
            return NULL;
        }
        at += size;
    }
    return root;
}

static enum ft_status
append_tensor(const struct tensor *t, struct ft_buf *out)
{
    enum ft_status st;

    FT_TRY(ft_buf_reserve(out, tensor_size(t)));
    for (size_t i = 0; i < t->count; i++) {
        uint32_t bits;
        if (t->f64 != NULL) {
            FT_TRY(ft_buf_f64(out, t->f64[i]));
            continue;
        }
        memcpy(&bits, &t->f32[i], sizeof bits);
        FT_TRY(ft_buf_u32(out, bits));
    }
out:
    return st;
}

/* u64 header size, the header padded with spaces to eight bytes, then the tensors' bytes without gaps. */
static enum ft_status
write_file(const char *header, const struct tensor *tensors, uint32_t count, struct ft_buf *out)
{
    const size_t size = strlen(header), padded = (size + 7) & ~(size_t)7;
    enum ft_status st;

    FT_TRY(ft_buf_u64(out, padded));
    FT_TRY(ft_buf_append(out, header, size));
    for (size_t i = size; i < padded; i++)
        FT_TRY(ft_buf_u8(out, ' '));
    for (uint32_t i = 0; i < count; i++)
        FT_TRY(append_tensor(&tensors[i], out));
out:
    return st;
}

enum ft_status
ft_export_safetensors(const struct ft_export *model, struct ft_buf *out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_model_spec spec;
    struct export_layer layers[FT_MODEL_HIDDEN_MAX + 1];
    struct tensor tensors[TENSORS_MAX];
    const size_t before = out->size;
    uint32_t layer_count = 0, count;
    double *bounds = NULL; /* (2, features): min, then max */
    json_t *header = NULL;
    char *text = NULL;

    FT_TRY(export_layers(model, &spec, layers, &layer_count, err));
    bounds = ft_calloc(2 * (size_t)spec.features, sizeof *bounds);
    if (bounds == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (uint32_t i = 0; i < spec.features; i++) {
        bounds[i] = model->task->features[i].min;
        bounds[spec.features + i] = model->task->features[i].max;
    }
    count = list_tensors(model, layers, layer_count, bounds, tensors);
    header = header_json(model, &spec, tensors, count);
    text = header != NULL ? json_dumps(header, JSON_COMPACT) : NULL;
    st = text != NULL ? write_file(text, tensors, count, out) : FT_ERR_NOMEM;
    if (st != FT_OK)
        out->size = before;
out:
    free(text);
    json_decref(header);
    ft_free(bounds);
    return st;
}
