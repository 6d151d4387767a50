/* A safetensors file of ours, read back by those who check it. Every length and offset comes from a stranger.
 */
#include "aggregator/export/export.h"
#include "common/base/alloc.h"
#include "common/statement/statement.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define HEADER_MAX ((uint64_t)64 << 20)

struct file {
    const json_t *header;
    struct ft_bytes data;
};

struct found {
    const uint8_t *at;
    size_t count;
};

static enum ft_status
malformed(struct ft_error *err, const char *name)
{
    return ft_fail(err, FT_ERR_FORMAT, "tensor %s is missing or malformed", name);
}

/* The bytes of a tensor of `size`-byte numbers. */
static enum ft_status
find_tensor(const struct file *f, const char *name, size_t size, struct found *out, struct ft_error *err)
{
    const json_t *t = json_object_get(f->header, name), *offsets = json_object_get(t, "data_offsets"), *shape;
    const char *dtype = json_string_value(json_object_get(t, "dtype"));
    const json_int_t from = json_integer_value(json_array_get(offsets, 0)),
                     to = json_integer_value(json_array_get(offsets, 1));
    uint64_t count = 1;

    shape = json_object_get(t, "shape");
    if (dtype == NULL || strcmp(dtype, size == 8 ? "F64" : "F32") != 0 || json_array_size(offsets) != 2 ||
        from < 0 || to < from || (uint64_t)to > f->data.size || json_array_size(shape) < 1 ||
        json_array_size(shape) > 2)
        return malformed(err, name);
    for (size_t i = 0; i < json_array_size(shape); i++) {
        const json_int_t n = json_integer_value(json_array_get(shape, i));
        if (n < 1 || n > (1 << 28))
            return malformed(err, name);
        count *= (uint64_t)n;
    }
    if (count > SIZE_MAX / size || count * size != (uint64_t)(to - from))
        return malformed(err, name);
    *out = (struct found){ f->data.data + from, (size_t)count };
    return FT_OK;
}

static enum ft_status
read_features(const struct file *f, struct ft_exported_model *m, struct ft_error *err)
{
    static const char *const names[] = { "features.mean", "features.std", "features.min", "features.max" };
    struct found t[4];
    enum ft_status st;

    for (int i = 0; i < 4; i++) {
        FT_TRY(find_tensor(f, names[i], 8, &t[i], err));
        if (t[i].count != t[0].count || t[i].count > FT_TASK_FEATURES_MAX)
            return malformed(err, names[i]);
    }
    m->state.features = (uint32_t)t[0].count;
    m->state.means = ft_calloc(t[0].count, sizeof *m->state.means);
    m->state.stds = ft_calloc(t[0].count, sizeof *m->state.stds);
    m->bounds = ft_calloc(t[0].count, sizeof *m->bounds);
    if (m->state.means == NULL || m->state.stds == NULL || m->bounds == NULL)
        return FT_ERR_NOMEM;
    memcpy(m->state.means, t[0].at, t[0].count * 8);
    memcpy(m->state.stds, t[1].at, t[0].count * 8);
    for (size_t i = 0; i < t[0].count; i++) {
        memcpy(&m->bounds[i].min, t[2].at + 8 * i, 8);
        memcpy(&m->bounds[i].max, t[3].at + 8 * i, 8);
    }
out:
    return st;
}

/* Weights and biases of layer after layer, as long as there is one. */
static enum ft_status
read_layers(const struct file *f, struct ft_exported_model *m, struct ft_error *err)
{
    struct found parts[2 * (FT_MODEL_HIDDEN_MAX + 1)];
    enum ft_status st;
    size_t n = 0, total = 0, at = 0;
    char name[32];

    if (json_object_get(f->header, "centroids") != NULL) { /* k-means */
        FT_TRY(find_tensor(f, "centroids", 4, &parts[0], err));
        total = parts[0].count;
        n = 1;
    }
    for (bool layers = n == 0; layers && n < sizeof parts / sizeof *parts; n++) {
        snprintf(name, sizeof name, "layers.%zu.%s", n / 2, n % 2 == 0 ? "weight" : "bias");
        if (n % 2 == 0 && n > 0 && json_object_get(f->header, name) == NULL)
            break;
        FT_TRY(find_tensor(f, name, 4, &parts[n], err));
        total += parts[n].count; /* each is within the file, and there are few */
    }
    m->state.params = ft_calloc(total, sizeof *m->state.params);
    if (m->state.params == NULL)
        return FT_ERR_NOMEM;
    m->state.parameters = total;
    for (size_t i = 0; i < n; i++) {
        memcpy(m->state.params + at, parts[i].at, parts[i].count * 4);
        at += parts[i].count;
    }
    st = FT_OK;
out:
    return st;
}

static enum ft_status
read_metadata(const json_t *metadata, struct ft_exported_model *m, struct ft_error *err)
{
    const char *format = json_string_value(json_object_get(metadata, "format"));
    const char *hash = json_string_value(json_object_get(metadata, "task_hash"));
    const char *version = json_string_value(json_object_get(metadata, "model_version"));
    const char *statement = json_string_value(json_object_get(metadata, "statement"));
    char rest;
    unsigned long long number;

    if (format == NULL || strcmp(format, FT_EXPORT_FORMAT) != 0)
        return ft_fail(err, FT_ERR_FORMAT, "not a model that fedtill exported");
    if (hash == NULL || ft_unhex(m->state.task_hash, 32, hash) != FT_OK || version == NULL ||
        sscanf(version, "%19llu%c", &number, &rest) != 1)
        return ft_fail(err, FT_ERR_FORMAT, "the file does not say its task's hash and its version");
    m->state.version = number;
    m->statement = statement != NULL ? json_loads(statement, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (statement != NULL && m->statement == NULL)
        return ft_fail(err, FT_ERR_FORMAT, "the statement in the file is not JSON");
    return FT_OK;
}

enum ft_status
ft_export_read_safetensors(struct ft_bytes bytes, struct ft_exported_model *out, struct ft_error *err)
{
    struct ft_exported_model m = { 0 };
    struct ft_cursor cursor;
    struct file f = { 0 };
    json_error_t where;
    json_t *header = NULL;
    uint64_t size;
    enum ft_status st = FT_ERR_FORMAT;

    memset(out, 0, sizeof *out);
    cursor = ft_cursor_of(bytes);
    size = ft_read_u64(&cursor);
    if (bytes.size < 8 || size > HEADER_MAX || size > bytes.size - 8) {
        st = ft_fail(err, FT_ERR_FORMAT, "not a safetensors file");
        goto out;
    }
    header = json_loadb((const char *)bytes.data + 8, (size_t)size, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(header)) {
        st = ft_fail(err, FT_ERR_FORMAT, "the header is not JSON");
        goto out;
    }
    f = (struct file){ header, FT_BYTES(bytes.data + 8 + size, bytes.size - 8 - (size_t)size) };
    FT_TRY(read_metadata(json_object_get(header, "__metadata__"), &m, err));
    FT_TRY(read_features(&f, &m, err));
    FT_TRY(read_layers(&f, &m, err));
    *out = m;
    memset(&m, 0, sizeof m);
out:
    json_decref(header);
    ft_exported_model_clear(&m);
    return st;
}
