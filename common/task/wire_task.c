/* Canonical bytes of a task, and the envelope that carries its signature. */
#include "common/task/task_internal.h"
#include "common/task/wire_task.h"

#include "common/base/alloc.h"

#include <protobuf-c/protobuf-c.h>
#include <string.h>

#include "task.pb-c.h"

#define BUDGET_FACTOR 16 /* decoded structs against bytes on the wire, beside the fixed part */
#define BUDGET_FIXED  ((size_t)64 << 10)

static enum ft_status
pack(const ProtobufCMessage *message, struct ft_buf *out)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    enum ft_status st = ft_buf_reserve(out, size);
    if (st != FT_OK)
        return st;
    protobuf_c_message_pack(message, out->data + out->size);
    out->size += size;
    return FT_OK;
}

static void
fill_privacy(const struct ft_task_privacy *p, Fedtill__V1__TaskPrivacy *out)
{
    out->epsilon = p->epsilon;
    out->noise_multiplier = p->noise_multiplier;
    out->delta = p->delta;
    out->expected_customers = p->expected_customers;
    out->m_stores = p->m_stores;
    out->spare_rounds = p->spare_rounds;
    out->contribution = p->contribution;
    out->clip_quantile = p->clip_quantile;
    out->clip_rate = p->clip_rate;
    out->clip_min = p->clip_min;
    out->clip_max = p->clip_max;
    if (p->rotated)
        out->rotation_seed =
            (ProtobufCBinaryData){ .len = sizeof p->rotation_seed, .data = (uint8_t *)p->rotation_seed };
    out->q_num = p->q_num;
    out->steps = p->steps;
    out->dim = p->dim;
    out->delta_int_sq = p->delta_int_sq;
    out->scale = p->scale;
    out->lambda = p->lambda;
    out->sigma_share = p->sigma_share;
    out->t_min = p->t_min;
}

/* A measure as a message, with what it points to. */
struct wire_measure {
    Fedtill__V1__TaskMeasure message;
    Fedtill__V1__TaskAxis axis[FT_TASK_AXES_MAX], *axes[FT_TASK_AXES_MAX];
};

static void
fill_measure(const struct ft_task_measure *m, struct wire_measure *out)
{
    fedtill__v1__task_measure__init(&out->message);
    out->message.kind = m->kind;
    out->message.n_axes = ft_measure_axes(m->kind);
    out->message.axes = out->axes;
    for (uint32_t a = 0; a < out->message.n_axes; a++) {
        fedtill__v1__task_axis__init(&out->axis[a]);
        out->axis[a].feature = m->axes[a].feature;
        out->axis[a].bins = m->axes[a].bins;
        out->axis[a].n_edges = m->axes[a].edge_count;
        out->axis[a].edges = m->axes[a].edges;
        out->axes[a] = &out->axis[a];
    }
    out->message.n_quantiles = m->quantile_count;
    out->message.quantiles = m->quantiles;
    out->message.weight = m->weight;
}

enum ft_status
ft_task_encode(const struct ft_task *t, struct ft_buf *out)
{
    enum ft_status st;
    struct wire_measure *measures = NULL;
    Fedtill__V1__TaskMeasure **measure_list = NULL;
    Fedtill__V1__TaskShop *shops = NULL, **shop_list = NULL;
    Fedtill__V1__TaskFeature *features = NULL, **list = NULL;
    Fedtill__V1__Task task = FEDTILL__V1__TASK__INIT;
    Fedtill__V1__TaskExamples examples = FEDTILL__V1__TASK_EXAMPLES__INIT;
    Fedtill__V1__TaskModel model = FEDTILL__V1__TASK_MODEL__INIT;
    Fedtill__V1__TaskTraining training = FEDTILL__V1__TASK_TRAINING__INIT;
    Fedtill__V1__TaskPrivacy privacy = FEDTILL__V1__TASK_PRIVACY__INIT;
    Fedtill__V1__TaskCohort cohort = FEDTILL__V1__TASK_COHORT__INIT;
    Fedtill__V1__TaskSchedule schedule = FEDTILL__V1__TASK_SCHEDULE__INIT;
    Fedtill__V1__TaskEvaluation evaluation = FEDTILL__V1__TASK_EVALUATION__INIT;
    uint32_t hidden[FT_TASK_HIDDEN_MAX], image[3];
    uint32_t channels[FT_TASK_CONV_MAX], kernels[FT_TASK_CONV_MAX], pools[FT_TASK_CONV_MAX];

    features = ft_calloc(t->feature_count, sizeof *features);
    list = ft_calloc(t->feature_count, sizeof *list);
    shops = ft_calloc((size_t)t->privacy.shop_count + 1, sizeof *shops);
    shop_list = ft_calloc((size_t)t->privacy.shop_count + 1, sizeof *shop_list);
    measures = ft_calloc((size_t)t->measure_count + 1, sizeof *measures);
    measure_list = ft_calloc((size_t)t->measure_count + 1, sizeof *measure_list);
    if (features == NULL || list == NULL || shops == NULL || shop_list == NULL || measures == NULL ||
        measure_list == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (uint32_t i = 0; i < t->feature_count; i++) {
        fedtill__v1__task_feature__init(&features[i]);
        features[i].name = t->features[i].name;
        features[i].min = t->features[i].min;
        features[i].max = t->features[i].max;
        list[i] = &features[i];
    }
    examples.sql = t->sql;
    examples.label = t->label;
    examples.n_features = t->feature_count;
    examples.features = list;
    examples.rows_per_customer = t->rows_per_customer;
    examples.rows_max = t->rows_max;
    examples.label_min = t->label_min;
    examples.label_max = t->label_max;
    memcpy(hidden, t->hidden, sizeof hidden);
    memcpy(image, t->image, sizeof image);
    memcpy(channels, t->channels, sizeof channels);
    memcpy(kernels, t->kernels, sizeof kernels);
    memcpy(pools, t->pools, sizeof pools);
    model.kind = (uint32_t)t->model;
    model.classes = t->classes;
    model.n_hidden = t->hidden_count;
    model.hidden = hidden;
    model.activation = (uint32_t)t->activation;
    model.n_image = t->image_count;
    model.image = image;
    model.n_channels = t->channels_count;
    model.channels = channels;
    model.n_kernels = t->kernels_count;
    model.kernels = kernels;
    model.n_pools = t->pools_count;
    model.pools = pools;
    model.clusters = t->clusters;
    model.min_cluster = t->min_cluster;
    training.rounds = t->rounds;
    training.local_epochs = t->local_epochs;
    training.batch_size = t->batch_size;
    training.learning_rate = t->learning_rate;
    training.momentum = t->momentum;
    training.weight_decay = t->weight_decay;
    training.clip = t->clip;
    training.weight_cap = t->weight_cap;
    training.server_optimizer = (uint32_t)t->server;
    training.server_learning_rate = t->server_learning_rate;
    training.server_momentum = t->server_momentum;
    training.server_beta2 = t->server_beta2;
    training.server_epsilon = t->server_epsilon;
    training.seed = t->seed;
    privacy.unit = (uint32_t)t->unit;
    privacy.noise = t->noise;
    for (uint32_t i = 0; i < t->privacy.shop_count; i++) {
        fedtill__v1__task_shop__init(&shops[i]);
        shops[i].name = t->privacy.shops[i].name;
        shops[i].customers = t->privacy.shops[i].customers;
        shop_list[i] = &shops[i];
    }
    privacy.n_shops = t->privacy.shop_count;
    privacy.shops = shop_list;
    fill_privacy(&t->privacy, &privacy);
    cohort.n_min = t->n_min;
    cohort.n_cap = t->n_cap;
    cohort.h_min = t->h_min;
    cohort.corrupted = t->corrupted;
    cohort.drop_permille = t->drop_permille;
    cohort.sigma = t->sigma;
    cohort.eta = t->eta;
    cohort.suite = t->suite;
    cohort.lane_bits = t->lane_bits;
    schedule.join_ms = t->join_ms;
    schedule.step_ms = t->step_ms;
    schedule.session_ms = t->session_ms;
    schedule.pause_ms = t->pause_ms;
    evaluation.bins = t->bins;
    evaluation.calibration_bins = t->calibration_bins;
    task.version = 1;
    task.name = t->name;
    task.purpose = t->purpose;
    task.owner = t->owner;
    task.title = t->title;
    task.expires = t->expires;
    task.review = t->review;
    task.deployment = (ProtobufCBinaryData){ .len = sizeof t->deployment, .data = (uint8_t *)t->deployment };
    task.examples = &examples;
    task.model = &model;
    task.training = &training;
    task.privacy = &privacy;
    task.cohort = &cohort;
    task.schedule = &schedule;
    task.evaluation = &evaluation;
    task.kind = t->kind;
    for (uint32_t i = 0; i < t->measure_count; i++) {
        fill_measure(&t->measures[i], &measures[i]);
        measure_list[i] = &measures[i].message;
    }
    task.n_statistics = t->measure_count;
    task.statistics = measure_list;
    st = pack(&task.base, out);
out:
    ft_free(measure_list);
    ft_free(measures);
    ft_free(shop_list);
    ft_free(shops);
    ft_free(list);
    ft_free(features);
    return st;
}

static enum ft_status
copy_string(char **out, const char *text)
{
    *out = ft_strdup(text);
    return *out != NULL ? FT_OK : FT_ERR_NOMEM;
}

static enum ft_status
copy_features(const Fedtill__V1__TaskExamples *examples, struct ft_task *out)
{
    enum ft_status st = FT_OK;

    if (examples->n_features > FT_TASK_FEATURES_MAX)
        return FT_ERR_LIMIT;
    out->features = ft_calloc(examples->n_features, sizeof *out->features);
    if (out->features == NULL)
        return FT_ERR_NOMEM;
    out->feature_count = (uint32_t)examples->n_features;
    for (uint32_t i = 0; i < out->feature_count; i++) {
        FT_TRY(copy_string(&out->features[i].name, examples->features[i]->name));
        out->features[i].min = examples->features[i]->min;
        out->features[i].max = examples->features[i]->max;
    }
out:
    return st;
}

static enum ft_status
copy_privacy(const Fedtill__V1__TaskPrivacy *from, struct ft_task_privacy *to)
{
    enum ft_status st = FT_OK;

    if (from->n_shops > FT_TASK_SHOPS_MAX)
        return FT_ERR_LIMIT;
    if (from->n_shops > 0) {
        to->shops = ft_calloc(from->n_shops, sizeof *to->shops);
        if (to->shops == NULL)
            return FT_ERR_NOMEM;
    }
    to->shop_count = (uint32_t)from->n_shops;
    for (uint32_t i = 0; i < to->shop_count; i++) {
        FT_TRY(copy_string(&to->shops[i].name, from->shops[i]->name));
        to->shops[i].customers = from->shops[i]->customers;
    }
    to->epsilon = from->epsilon;
    to->noise_multiplier = from->noise_multiplier;
    to->delta = from->delta;
    to->expected_customers = from->expected_customers;
    to->m_stores = from->m_stores;
    to->spare_rounds = from->spare_rounds;
    to->contribution = from->contribution;
    to->clip_quantile = from->clip_quantile;
    to->clip_rate = from->clip_rate;
    to->clip_min = from->clip_min;
    to->clip_max = from->clip_max;
    to->rotated = from->rotation_seed.len == sizeof to->rotation_seed;
    if (to->rotated)
        memcpy(to->rotation_seed, from->rotation_seed.data, sizeof to->rotation_seed);
    to->q_num = from->q_num;
    to->steps = from->steps;
    to->dim = from->dim;
    to->delta_int_sq = from->delta_int_sq;
    to->scale = from->scale;
    to->lambda = from->lambda;
    to->sigma_share = from->sigma_share;
    to->t_min = from->t_min;
out:
    return st;
}

static enum ft_status
copy_points(const double *from, size_t count, size_t most, double **to, uint32_t *to_count)
{
    if (count > most)
        return FT_ERR_LIMIT;
    if (count == 0)
        return FT_OK;
    *to = ft_calloc(count, sizeof **to);
    if (*to == NULL)
        return FT_ERR_NOMEM;
    memcpy(*to, from, count * sizeof **to);
    *to_count = (uint32_t)count;
    return FT_OK;
}

static enum ft_status
copy_measures(const Fedtill__V1__Task *from, struct ft_task *to)
{
    enum ft_status st = FT_OK;

    if (from->n_statistics > FT_TASK_MEASURES_MAX)
        return FT_ERR_LIMIT;
    if (from->n_statistics == 0)
        return FT_OK;
    to->measures = ft_calloc(from->n_statistics, sizeof *to->measures);
    if (to->measures == NULL)
        return FT_ERR_NOMEM;
    to->measure_count = (uint32_t)from->n_statistics;
    for (uint32_t i = 0; i < to->measure_count; i++) {
        const Fedtill__V1__TaskMeasure *m = from->statistics[i];
        struct ft_task_measure *out = &to->measures[i];
        if (m->n_axes > FT_TASK_AXES_MAX)
            return FT_ERR_LIMIT;
        out->kind = m->kind;
        out->weight = m->weight;
        FT_TRY(copy_points(m->quantiles, m->n_quantiles, FT_TASK_POINTS_MAX, &out->quantiles, &out->quantile_count));
        for (uint32_t a = 0; a < FT_TASK_AXES_MAX; a++) {
            FT_TRY(copy_string(&out->axes[a].feature, a < m->n_axes ? m->axes[a]->feature : ""));
            if (a >= m->n_axes)
                continue;
            out->axes[a].bins = m->axes[a]->bins;
            FT_TRY(copy_points(m->axes[a]->edges, m->axes[a]->n_edges, FT_TASK_BINS_MAX, &out->axes[a].edges,
                               &out->axes[a].edge_count));
        }
    }
out:
    return st;
}

static uint32_t
copy_numbers(const uint32_t *from, size_t count, uint32_t *to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = from[i];
    return (uint32_t)count;
}

static enum ft_status
copy_task(const Fedtill__V1__Task *task, struct ft_task *out)
{
    enum ft_status st;

    if (task->version != 1 || task->examples == NULL || task->model == NULL || task->training == NULL ||
        task->privacy == NULL || task->cohort == NULL || task->schedule == NULL || task->evaluation == NULL ||
        task->deployment.len != sizeof out->deployment)
        return FT_ERR_FORMAT;
    if (task->model->n_hidden > FT_TASK_HIDDEN_MAX || task->model->n_image > 3 ||
        task->model->n_channels > FT_TASK_CONV_MAX || task->model->n_kernels > FT_TASK_CONV_MAX ||
        task->model->n_pools > FT_TASK_CONV_MAX)
        return FT_ERR_LIMIT;
    FT_TRY(copy_string(&out->name, task->name));
    FT_TRY(copy_string(&out->purpose, task->purpose));
    FT_TRY(copy_string(&out->owner, task->owner));
    FT_TRY(copy_string(&out->title, task->title));
    FT_TRY(copy_string(&out->expires, task->expires));
    FT_TRY(copy_string(&out->review, task->review));
    memcpy(out->deployment, task->deployment.data, sizeof out->deployment);
    FT_TRY(copy_string(&out->sql, task->examples->sql));
    FT_TRY(copy_string(&out->label, task->examples->label));
    FT_TRY(copy_features(task->examples, out));
    out->rows_per_customer = task->examples->rows_per_customer;
    out->rows_max = task->examples->rows_max;
    out->label_min = task->examples->label_min;
    out->label_max = task->examples->label_max;
    out->model = (enum ft_model_kind)task->model->kind;
    out->classes = task->model->classes;
    out->hidden_count = (uint32_t)task->model->n_hidden;
    for (uint32_t i = 0; i < out->hidden_count; i++)
        out->hidden[i] = task->model->hidden[i];
    out->activation = (enum ft_activation)task->model->activation;
    out->image_count = copy_numbers(task->model->image, task->model->n_image, out->image);
    out->channels_count = copy_numbers(task->model->channels, task->model->n_channels, out->channels);
    out->kernels_count = copy_numbers(task->model->kernels, task->model->n_kernels, out->kernels);
    out->pools_count = copy_numbers(task->model->pools, task->model->n_pools, out->pools);
    out->clusters = task->model->clusters;
    out->min_cluster = task->model->min_cluster;
    out->rounds = task->training->rounds;
    out->local_epochs = task->training->local_epochs;
    out->batch_size = task->training->batch_size;
    out->learning_rate = task->training->learning_rate;
    out->momentum = task->training->momentum;
    out->weight_decay = task->training->weight_decay;
    out->clip = task->training->clip;
    out->weight_cap = task->training->weight_cap;
    out->server = (enum ft_server_kind)task->training->server_optimizer;
    out->server_learning_rate = task->training->server_learning_rate;
    out->server_momentum = task->training->server_momentum;
    out->server_beta2 = task->training->server_beta2;
    out->server_epsilon = task->training->server_epsilon;
    out->seed = task->training->seed;
    out->unit = (enum ft_unit)task->privacy->unit;
    out->noise = task->privacy->noise;
    FT_TRY(copy_privacy(task->privacy, &out->privacy));
    out->n_min = task->cohort->n_min;
    out->n_cap = task->cohort->n_cap;
    out->h_min = task->cohort->h_min;
    out->corrupted = task->cohort->corrupted;
    out->drop_permille = task->cohort->drop_permille;
    out->sigma = task->cohort->sigma;
    out->eta = task->cohort->eta;
    out->suite = task->cohort->suite;
    out->lane_bits = task->cohort->lane_bits;
    out->join_ms = task->schedule->join_ms;
    out->step_ms = task->schedule->step_ms;
    out->session_ms = task->schedule->session_ms;
    out->pause_ms = task->schedule->pause_ms;
    out->kind = task->kind;
    FT_TRY(copy_measures(task, out));
    out->bins = task->evaluation->bins;
    out->calibration_bins = task->evaluation->calibration_bins;
out:
    return st;
}

enum ft_status
ft_task_decode(struct ft_bytes canonical, struct ft_task *out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Fedtill__V1__Task *message = NULL;
    struct ft_task task = { 0 };
    struct ft_buf again = { 0 };

    *out = task;
    if (canonical.size > FT_TASK_BYTES_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "a task of %zu bytes, expected at most %zu", canonical.size,
                       FT_TASK_BYTES_MAX);
    ft_pb_allocator_init(&allocator, &budget, BUDGET_FACTOR * canonical.size + BUDGET_FIXED);
    message = fedtill__v1__task__unpack(&allocator, canonical.size, canonical.data);
    if (message == NULL) {
        st = ft_fail(err, FT_ERR_FORMAT, "the task's bytes are malformed");
        goto out;
    }
    FT_TRY(copy_task(message, &task));
    FT_TRY(ft_task_encode(&task, &again));
    if (again.size != canonical.size || memcmp(again.data, canonical.data, again.size) != 0) {
        st = ft_fail(err, FT_ERR_FORMAT, "the task's bytes are not in canonical form");
        goto out;
    }
    FT_TRY(ft_task_validate(&task, err));
    *out = task;
    task = (struct ft_task){ 0 };
out:
    if (st != FT_OK)
        (void)ft_fail(err, st, "the task's bytes: %s", ft_status_str(st));
    if (message != NULL)
        fedtill__v1__task__free_unpacked(message, &allocator);
    ft_buf_clear(&again);
    ft_task_clear(&task);
    return st;
}

enum ft_status
wire_signed_task_encode(struct ft_bytes task, const uint8_t key[32], const uint8_t signature[64],
                        struct ft_buf *out)
{
    Fedtill__V1__SignedTask message = FEDTILL__V1__SIGNED_TASK__INIT;
    message.task = (ProtobufCBinaryData){ .len = task.size, .data = (uint8_t *)task.data };
    message.key = (ProtobufCBinaryData){ .len = 32, .data = (uint8_t *)key };
    message.signature = (ProtobufCBinaryData){ .len = 64, .data = (uint8_t *)signature };
    return pack(&message.base, out);
}

enum ft_status
wire_signed_task_decode(struct ft_bytes signed_task, struct ft_buf *task, uint8_t key[32],
                        uint8_t signature[64])
{
    enum ft_status st = FT_ERR_FORMAT;
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Fedtill__V1__SignedTask *message;
    struct ft_buf again = { 0 };

    if (signed_task.size > FT_TASK_BYTES_MAX + 256)
        return FT_ERR_LIMIT;
    ft_pb_allocator_init(&allocator, &budget, 4 * signed_task.size + BUDGET_FIXED);
    message = fedtill__v1__signed_task__unpack(&allocator, signed_task.size, signed_task.data);
    if (message == NULL)
        return FT_ERR_FORMAT;
    if (message->key.len != 32 || message->signature.len != 64 || message->task.len == 0)
        goto out;
    memcpy(key, message->key.data, 32);
    memcpy(signature, message->signature.data, 64);
    FT_TRY(wire_signed_task_encode(FT_BYTES(message->task.data, message->task.len), key, signature, &again));
    if (again.size != signed_task.size || memcmp(again.data, signed_task.data, again.size) != 0) {
        st = FT_ERR_FORMAT; /* fields repeated, out of order or unknown */
        goto out;
    }
    FT_TRY(ft_buf_append(task, message->task.data, message->task.len));
out:
    ft_buf_clear(&again);
    fedtill__v1__signed_task__free_unpacked(message, &allocator);
    return st;
}
