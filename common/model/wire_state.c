#include "common/base/alloc.h"
#include "common/model/model_internal.h"
#include "common/model/state.h"
#include "model.pb-c.h"

#include <math.h>
#include <string.h>

#define FOUND_MAX ((size_t)1 << 20)

static enum ft_status
found_check(const struct ft_model_state *s, struct ft_error *err)
{
    const struct ft_model_found *f = &s->found;

    if (f->count == 0 && (f->shops != 0 || f->customers != 0 || f->min_group != 0))
        return ft_fail(err, FT_ERR_ARGUMENT, "a result without sums");
    if (f->count > 0 &&
        (s->stage != FT_STAGE_STATISTICS || s->version != 1 || f->count > FOUND_MAX || f->shops < 1))
        return ft_fail(err, FT_ERR_ARGUMENT, "a result of version %llu with %zu sums of %u shops",
                       (unsigned long long)s->version, f->count, f->shops);
    for (size_t i = 0; i < f->count; i++)
        if (!isfinite(f->sums[i]))
            return ft_fail(err, FT_ERR_NONFINITE, "sum %zu is not finite", i);
    return FT_OK;
}

/* The rules that every state keeps, on both sides of the wire. */
static enum ft_status
state_check(const struct ft_model_state *s, struct ft_error *err)
{
    const enum ft_status st = found_check(s, err);

    if (st != FT_OK)
        return st;
    if (s->stage == FT_STAGE_STATISTICS) {
        if (s->features != 0 || s->parameters != 0 || s->clip != 0)
            return ft_fail(err, FT_ERR_ARGUMENT, "a statistics model has no features, no parameters and no clip");
        return FT_OK;
    }
    if (s->stage != FT_STAGE_TRAIN && s->stage != FT_STAGE_EVALUATE)
        return ft_fail(err, FT_ERR_ARGUMENT, "unknown stage %u", (unsigned)s->stage);
    if (s->features < 1 || s->features > FT_MODEL_WIDTH_MAX || s->parameters < 1 ||
        s->parameters > FT_MODEL_PARAMETERS_MAX)
        return ft_fail(err, FT_ERR_ARGUMENT, "a model of %u features and %llu parameters", s->features,
                       (unsigned long long)s->parameters);
    for (uint32_t i = 0; i < s->features; i++) {
        if (!isfinite(s->means[i]) || !isfinite(s->stds[i]))
            return ft_fail(err, FT_ERR_NONFINITE, "the mean or deviation of feature %u is not finite", i);
        if (!(s->stds[i] > 0))
            return ft_fail(err, FT_ERR_ARGUMENT, "the deviation of feature %u is not above 0", i);
    }
    if (!(s->clip >= 0) || !isfinite(s->clip) || (s->clip == 0 && signbit(s->clip)))
        return ft_fail(err, FT_ERR_ARGUMENT, "a clip of %g", s->clip);
    if (!floats_finite(s->params, (size_t)s->parameters))
        return ft_fail(err, FT_ERR_NONFINITE, "a parameter is not finite");
    return FT_OK;
}

static void *
copy_of(const void *data, size_t count, size_t size, enum ft_status *st)
{
    void *copy = NULL;
    if (count == 0)
        return NULL;
    copy = count > SIZE_MAX / size ? NULL : ft_realloc(NULL, count * size);
    if (copy == NULL)
        *st = FT_ERR_NOMEM;
    else
        memcpy(copy, data, count * size);
    return copy;
}

enum ft_status
ft_model_state_init(struct ft_model_state *state, const uint8_t task_hash[32], enum ft_stage stage,
                    uint64_t version, const double *means, const double *stds, uint32_t features,
                    const float *params, uint64_t parameters)
{
    enum ft_status st = FT_OK;

    memset(state, 0, sizeof *state);
    memcpy(state->task_hash, task_hash, sizeof state->task_hash);
    state->stage = stage;
    state->version = version;
    state->features = features;
    state->parameters = parameters;
    if (features > FT_MODEL_WIDTH_MAX || parameters > FT_MODEL_PARAMETERS_MAX) {
        st = FT_ERR_ARGUMENT;
        goto out;
    }
    state->means = copy_of(means, features, sizeof *means, &st);
    state->stds = copy_of(stds, features, sizeof *stds, &st);
    state->params = copy_of(params, (size_t)parameters, sizeof *params, &st);
    if (st == FT_OK)
        st = state_check(state, NULL);
out:
    if (st != FT_OK)
        ft_model_state_clear(state);
    return st;
}

enum ft_status
ft_model_state_init_found(struct ft_model_state *state, const uint8_t task_hash[32], const struct ft_model_found *found)
{
    enum ft_status st = FT_OK;

    memset(state, 0, sizeof *state);
    memcpy(state->task_hash, task_hash, sizeof state->task_hash);
    state->stage = FT_STAGE_STATISTICS;
    state->version = 1;
    state->found = *found;
    state->found.sums = copy_of(found->sums, found->count, sizeof *found->sums, &st);
    if (st == FT_OK)
        st = state_check(state, NULL);
    if (st != FT_OK)
        ft_model_state_clear(state);
    return st;
}

void
ft_model_state_clear(struct ft_model_state *state)
{
    ft_free(state->found.sums);
    ft_free(state->means);
    ft_free(state->stds);
    ft_free(state->params);
    memset(state, 0, sizeof *state);
}

/* The message of a state; its fields stay the state's. */
static Fedtill__V1__ModelState
wire_of(const struct ft_model_state *s)
{
    Fedtill__V1__ModelState wire = FEDTILL__V1__MODEL_STATE__INIT;
    wire.task_hash.data = (uint8_t *)s->task_hash;
    wire.task_hash.len = sizeof s->task_hash;
    wire.stage = (uint32_t)s->stage;
    wire.version = s->version;
    wire.means = s->means;
    wire.stds = s->stds;
    wire.n_means = wire.n_stds = s->features;
    wire.params = s->params;
    wire.n_params = (size_t)s->parameters;
    wire.clip = s->clip;
    wire.sums = s->found.sums;
    wire.n_sums = s->found.count;
    wire.shops = s->found.shops;
    wire.customers = s->found.customers;
    wire.min_group = s->found.min_group;
    return wire;
}

enum ft_status
ft_model_state_encode(const struct ft_model_state *s, struct ft_buf *out)
{
    enum ft_status st;
    const Fedtill__V1__ModelState wire = wire_of(s);
    size_t size;

    FT_TRY(state_check(s, NULL));
    size = fedtill__v1__model_state__get_packed_size(&wire);
    FT_TRY(ft_buf_reserve(out, size));
    out->size += fedtill__v1__model_state__pack(&wire, out->data + out->size);
out:
    return st;
}

/* A protobuf-c buffer that compares what is written with what is there, so that nothing model-sized is made. */
struct comparison {
    ProtobufCBuffer base;
    struct ft_bytes left;
    bool same;
};

static void
compare(ProtobufCBuffer *buffer, size_t size, const uint8_t *data)
{
    struct comparison *c = (struct comparison *)buffer;
    c->same = c->same && size <= c->left.size && (size == 0 || memcmp(c->left.data, data, size) == 0);
    if (c->same)
        c->left = FT_BYTES(c->left.data + size, c->left.size - size);
}

/* True when `blob` is what encode writes for a checked `s`: one model has one blob, hence one hash. */
static bool
is_canonical(const struct ft_model_state *s, struct ft_bytes blob)
{
    const Fedtill__V1__ModelState wire = wire_of(s);
    struct comparison c = { { compare }, blob, true };
    (void)fedtill__v1__model_state__pack_to_buffer(&wire, &c.base);
    return c.same && c.left.size == 0;
}

enum ft_status
ft_model_state_decode(struct ft_bytes blob, struct ft_model_state *out, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    struct ft_model_state s = { 0 };
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Fedtill__V1__ModelState *wire = NULL;

    memset(out, 0, sizeof *out);
    if (blob.size > FT_MODEL_BLOB_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "a model blob of %zu bytes is too large", blob.size);
    ft_pb_allocator_init(&allocator, &budget, blob.size * 4 + 65536);
    wire = fedtill__v1__model_state__unpack(&allocator, blob.size, blob.data);
    if (wire == NULL || wire->task_hash.len != sizeof s.task_hash || wire->n_means != wire->n_stds ||
        wire->n_means > FT_MODEL_WIDTH_MAX || wire->n_params > FT_MODEL_PARAMETERS_MAX || wire->n_sums > FOUND_MAX) {
        st = ft_fail(err, FT_ERR_FORMAT, "the model blob is malformed");
        goto out;
    }
    memcpy(s.task_hash, wire->task_hash.data, sizeof s.task_hash);
    s.stage = (enum ft_stage)wire->stage;
    s.version = wire->version;
    s.features = (uint32_t)wire->n_means;
    s.parameters = wire->n_params;
    s.clip = wire->clip;
    s.found = (struct ft_model_found){ NULL, wire->n_sums, wire->shops, wire->customers, wire->min_group };
    s.found.sums = copy_of(wire->sums, wire->n_sums, sizeof *s.found.sums, &st);
    s.means = copy_of(wire->means, wire->n_means, sizeof *s.means, &st);
    s.stds = copy_of(wire->stds, wire->n_stds, sizeof *s.stds, &st);
    s.params = copy_of(wire->params, wire->n_params, sizeof *s.params, &st);
    fedtill__v1__model_state__free_unpacked(wire, &allocator);
    wire = NULL;
    if (st != FT_OK)
        goto out;
    st = state_check(&s, err);
    if (st == FT_ERR_ARGUMENT)
        st = FT_ERR_FORMAT;
    if (st != FT_OK)
        goto out;
    if (!is_canonical(&s, blob)) {
        st = ft_fail(err, FT_ERR_FORMAT, "the model blob is not in canonical form");
        goto out;
    }
    *out = s;
    memset(&s, 0, sizeof s);
out:
    if (wire != NULL)
        fedtill__v1__model_state__free_unpacked(wire, &allocator);
    ft_model_state_clear(&s);
    return st;
}
