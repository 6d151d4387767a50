/* The YAML form of a task: one table a mapping, all of them filling the flat struct ft_task. */
#include "common/task/task_internal.h"

#include "common/base/alloc.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

/* What the file holds beside the task itself. */
struct task_file {
    struct ft_task task;
    uint32_t version;
};

#define R                                  FT_CONFIG_REQUIRED
#define T(member, name, kind, ...)         FT_CFG(struct ft_task, member, name, kind, __VA_ARGS__)
#define REAL(member, name, how, low, high) T(member, name, REAL, .flags = (how), .min = (low), .max = (high))
#define WHOLE(member, name, how, low, high)                                                                  \
    T(member, name, UINT32, .flags = (how), .least = (low), .most = (high))
#define CHOICE(member, name, how, table) T(member, name, CHOICE, .flags = (how), .choices = (table))
#define SPAN(member, name, low)                                                                              \
    T(member, name, DURATION, .flags = R, .least = (low), .most = TASK_DURATION_MAX)
#define GROUP(name, how, table)                                                                              \
    {                                                                                                        \
        .key = name, .type = FT_CONFIG_MAP, .flags = (how), .fields = (table)                                \
    }

static const struct ft_config_choice units[] = { { "customer", FT_UNIT_CUSTOMER },
                                                 { "record", FT_UNIT_RECORD },
                                                 { "store", FT_UNIT_STORE },
                                                 { 0 } };
static const struct ft_config_choice kinds[] = {
    { "linear", FT_MODEL_LINEAR },   { "logistic", FT_MODEL_LOGISTIC }, { "softmax", FT_MODEL_SOFTMAX },
    { "poisson", FT_MODEL_POISSON }, { "mlp", FT_MODEL_MLP },           { "cnn", FT_MODEL_CNN },
    { "kmeans", FT_MODEL_KMEANS },   { 0 }
};
static const struct ft_config_choice activations[] = { { "relu", FT_ACT_RELU },
                                                       { "tanh", FT_ACT_TANH },
                                                       { 0 } };
static const struct ft_config_choice optimizers[] = { { "fedavg", FT_SERVER_FEDAVG },
                                                      { "momentum", FT_SERVER_MOMENTUM },
                                                      { "fedadam", FT_SERVER_FEDADAM },
                                                      { 0 } };
static const struct ft_config_choice noises[] = { { "none", 0 }, { "discrete-gaussian", 1 }, { 0 } };
static const struct ft_config_choice contributions[] = { { "gradient", FT_CONTRIBUTION_GRADIENT },
                                                         { "local-delta", FT_CONTRIBUTION_DELTA },
                                                         { 0 } };
static const struct ft_config_choice suites[] = { { "chacha20", 1 }, { "aes-256-ctr", 2 }, { 0 } };

static const struct ft_config_field label_fields[] = {
    T(label, "column", TEXT, .flags = R, .most = 64, .check = task_is_identifier),
    REAL(label_min, "min", R, -TASK_BOUND_MAX, TASK_BOUND_MAX),
    REAL(label_max, "max", R, -TASK_BOUND_MAX, TASK_BOUND_MAX),
    FT_CONFIG_END,
};
static const struct ft_config_field feature_fields[] = {
    FT_CFG(struct ft_task_feature, name, "name", TEXT, .flags = R, .most = 64, .check = task_is_identifier),
    FT_CFG(struct ft_task_feature, min, "min", REAL, .flags = R, .min = -TASK_BOUND_MAX,
           .max = TASK_BOUND_MAX),
    FT_CFG(struct ft_task_feature, max, "max", REAL, .flags = R, .min = -TASK_BOUND_MAX,
           .max = TASK_BOUND_MAX),
    FT_CONFIG_END,
};
static const struct ft_config_field feature_item = GROUP("feature", 0, feature_fields);
static const struct ft_config_field examples_fields[] = {
    T(sql, "sql", TEXT, .flags = R, .most = FT_TASK_SQL_MAX),
    GROUP("label", 0, label_fields), /* needed but by kmeans, as others below: see the end of this file */
    T(features, "features", LIST, .flags = R, .most = FT_TASK_FEATURES_MAX, .item = &feature_item,
      .item_size = sizeof(struct ft_task_feature), .count_offset = offsetof(struct ft_task, feature_count)),
    WHOLE(rows_per_customer, "rows_per_customer", R, 1, TASK_ROWS_PER_MAX),
    WHOLE(rows_max, "rows_max", R, 1, TASK_ROWS_MAX),
    FT_CONFIG_END,
};
/* Kind statistics: no label. */
static const struct ft_config_field measured_fields[] = {
    T(sql, "sql", TEXT, .flags = R, .most = FT_TASK_SQL_MAX),
    T(features, "features", LIST, .flags = R, .most = FT_TASK_FEATURES_MAX, .item = &feature_item,
      .item_size = sizeof(struct ft_task_feature), .count_offset = offsetof(struct ft_task, feature_count)),
    WHOLE(rows_per_customer, "rows_per_customer", R, 1, TASK_ROWS_PER_MAX),
    WHOLE(rows_max, "rows_max", R, 1, TASK_ROWS_MAX),
    FT_CONFIG_END,
};
#define M(member, name, kind, ...) FT_CFG(struct ft_task_measure, member, name, kind, __VA_ARGS__)
#define POINTS(member, counter, name, entries, field)                                                        \
    M(member, name, LIST, .most = (entries), .item = &(field), .item_size = sizeof(double),                  \
      .count_offset = offsetof(struct ft_task_measure, counter))
static const struct ft_config_choice measures[] = { { "count", FT_MEASURE_COUNT },
                                                    { "mean", FT_MEASURE_MEAN },
                                                    { "deviation", FT_MEASURE_DEVIATION },
                                                    { "histogram", FT_MEASURE_HISTOGRAM },
                                                    { "quantiles", FT_MEASURE_QUANTILES },
                                                    { "cross", FT_MEASURE_CROSS },
                                                    { 0 } };
static const struct ft_config_field edge_item = {
    .key = "edge", .type = FT_CONFIG_REAL, .min = -TASK_BOUND_MAX, .max = TASK_BOUND_MAX
};
static const struct ft_config_field point_item = {
    .key = "quantile", .type = FT_CONFIG_REAL, .min = 0, .max = 1
};
static const struct ft_config_field measure_fields[] = {
    M(kind, "measure", CHOICE, .flags = R, .choices = measures),
    M(axes[0].feature, "feature", TEXT, .most = 64, .check = task_is_identifier),
    M(axes[0].bins, "bins", UINT32, .least = 2, .most = FT_TASK_BINS_MAX),
    POINTS(axes[0].edges, axes[0].edge_count, "edges", FT_TASK_BINS_MAX, edge_item),
    M(axes[1].feature, "with", TEXT, .most = 64, .check = task_is_identifier),
    M(axes[1].bins, "with_bins", UINT32, .least = 2, .most = FT_TASK_BINS_MAX),
    POINTS(axes[1].edges, axes[1].edge_count, "with_edges", FT_TASK_BINS_MAX, edge_item),
    POINTS(quantiles, quantile_count, "at", FT_TASK_POINTS_MAX, point_item),
    M(weight, "weight", REAL, .min = TASK_WEIGHT_LEAST, .max = TASK_WEIGHT_MOST),
    FT_CONFIG_END,
};
static const struct ft_config_field measure_item = GROUP("measure", 0, measure_fields);
static const struct ft_config_field width_item = {
    .key = "width", .type = FT_CONFIG_UINT32, .least = 1, .most = TASK_WIDTH_MAX
};
static const struct ft_config_field image_item = {
    .key = "size", .type = FT_CONFIG_UINT32, .least = 1, .most = FT_TASK_FEATURES_MAX
};
static const struct ft_config_field channels_item = {
    .key = "channels", .type = FT_CONFIG_UINT32, .least = 1, .most = TASK_CHANNELS_MAX
};
static const struct ft_config_field kernel_item = {
    .key = "side", .type = FT_CONFIG_UINT32, .least = 1, .most = TASK_KERNEL_MAX
};
static const struct ft_config_field pool_item = {
    .key = "side", .type = FT_CONFIG_UINT32, .least = 1, .most = TASK_POOL_MAX
};
#define NUMBERS(member, name, entries, field)                                                                \
    T(member, name, LIST, .flags = FT_CONFIG_INLINE, .most = (entries), .item = &(field),                    \
      .item_size = sizeof(uint32_t), .count_offset = offsetof(struct ft_task, member##_count))
static const struct ft_config_field model_fields[] = {
    CHOICE(model, "kind", R, kinds),
    WHOLE(classes, "classes", 0, 2, TASK_CLASSES_MAX),
    T(hidden, "hidden", LIST, .flags = FT_CONFIG_INLINE, .most = FT_TASK_HIDDEN_MAX, .item = &width_item,
      .item_size = sizeof(uint32_t), .count_offset = offsetof(struct ft_task, hidden_count)),
    CHOICE(activation, "activation", 0, activations),
    NUMBERS(image, "image", 3, image_item),
    NUMBERS(channels, "channels", FT_TASK_CONV_MAX, channels_item),
    NUMBERS(kernels, "kernels", FT_TASK_CONV_MAX, kernel_item),
    NUMBERS(pools, "pools", FT_TASK_CONV_MAX, pool_item),
    WHOLE(clusters, "clusters", 0, 2, TASK_CLUSTERS_MAX),
    WHOLE(min_cluster, "min_cluster", 0, 1, TASK_ROWS_MAX),
    FT_CONFIG_END,
};
static const struct ft_config_field server_fields[] = {
    CHOICE(server, "optimizer", R, optimizers),
    REAL(server_learning_rate, "learning_rate", R, DBL_MIN, TASK_RATE_MAX),
    REAL(server_momentum, "momentum", 0, 0, TASK_MOMENTUM_MAX),
    REAL(server_beta2, "beta2", 0, 0, 0.999999),
    REAL(server_epsilon, "epsilon", 0, DBL_MIN, TASK_EPSILON_MAX),
    FT_CONFIG_END,
};
static const struct ft_config_field training_fields[] = {
    WHOLE(rounds, "rounds", R, 1, TASK_ROUNDS_MAX),
    WHOLE(local_epochs, "local_epochs", 0, 1, TASK_EPOCHS_MAX),
    WHOLE(batch_size, "batch_size", 0, 0, TASK_BATCH_MAX),
    REAL(learning_rate, "learning_rate", 0, DBL_MIN, TASK_RATE_MAX),
    REAL(momentum, "momentum", 0, 0, TASK_MOMENTUM_MAX),
    REAL(weight_decay, "weight_decay", 0, 0, TASK_DECAY_MAX),
    REAL(clip, "clip", 0, DBL_MIN, TASK_CLIP_MAX),
    WHOLE(weight_cap, "weight_cap", 0, 1, TASK_WEIGHT_MAX),
    GROUP("server", 0, server_fields),
    T(seed, "seed", UINT64, .most = UINT64_MAX),
    FT_CONFIG_END,
};
/* `customers` is asked for by finish_shops: unit store has none. */
static const struct ft_config_field shop_fields[] = {
    FT_CFG(struct ft_task_shop, name, "shop", TEXT, .flags = R, .most = 64),
    FT_CFG(struct ft_task_shop, customers, "customers", UINT64, .least = 1, .most = TASK_CUSTOMERS_MAX),
    FT_CONFIG_END,
};
static const struct ft_config_field shop_item = GROUP("shop", 0, shop_fields);
static const struct ft_config_field adapt_fields[] = {
    REAL(privacy.clip_quantile, "quantile", R, 0.01, 0.99),
    REAL(privacy.clip_rate, "rate", R, DBL_MIN, 10),
    REAL(privacy.clip_min, "min", R, DBL_MIN, TASK_CLIP_MAX),
    REAL(privacy.clip_max, "max", R, DBL_MIN, TASK_CLIP_MAX),
    FT_CONFIG_END,
};
/* Only `noise` must be there: the rest is asked for by task_check where there is noise. */
static const struct ft_config_field privacy_fields[] = {
    CHOICE(noise, "noise", R, noises),
    REAL(privacy.epsilon, "epsilon", 0, DBL_MIN, TASK_BUDGET_MAX),
    REAL(privacy.noise_multiplier, "noise_multiplier", 0, TASK_NOISE_MIN, TASK_NOISE_MAX),
    REAL(privacy.delta, "delta", 0, TASK_DELTA_MIN, TASK_DELTA_MAX),
    REAL(privacy.expected_customers, "expected_customers", 0, 1e-6, (double)TASK_CUSTOMERS_MAX),
    T(privacy.shops, "shops", LIST, .most = FT_TASK_SHOPS_MAX, .item = &shop_item,
      .item_size = sizeof(struct ft_task_shop), .count_offset = offsetof(struct ft_task, privacy.shop_count)),
    WHOLE(privacy.m_stores, "m_stores", 0, 1, TASK_STORES_MAX),
    WHOLE(privacy.spare_rounds, "spare_rounds", 0, 0, FT_TASK_SPARE_MAX),
    CHOICE(privacy.contribution, "contribution", 0, contributions),
    GROUP("adaptive_clip", 0, adapt_fields),
    T(privacy.rotated, "rotation", BOOL, .flags = 0),
    FT_CONFIG_END,
};
static const struct ft_config_field cohort_fields[] = {
    WHOLE(n_min, "n_min", R, 2, TASK_N_MAX),
    WHOLE(n_cap, "n_cap", R, 2, TASK_N_MAX),
    WHOLE(h_min, "h_min", R, 2, TASK_N_MAX),
    WHOLE(corrupted, "corrupted", R, 1, TASK_N_MAX),
    WHOLE(drop_permille, "drop_permille", R, 0, TASK_DROP_MAX),
    WHOLE(sigma, "sigma", R, TASK_SIGMA_MIN, TASK_SIGMA_MAX),
    WHOLE(eta, "eta", R, TASK_ETA_MIN, TASK_SIGMA_MAX),
    CHOICE(suite, "suite", R, suites),
    WHOLE(lane_bits, "lane_bits", R, 12, 64),
    FT_CONFIG_END,
};
static const struct ft_config_field schedule_fields[] = {
    SPAN(join_ms, "join", 1),
    SPAN(step_ms, "step", 1),
    SPAN(session_ms, "session", 1),
    SPAN(pause_ms, "pause", 0),
    FT_CONFIG_END,
};
static const struct ft_config_field evaluation_fields[] = {
    WHOLE(bins, "bins", R, 2, TASK_BINS_MAX),
    WHOLE(calibration_bins, "calibration_bins", R, 1, TASK_CALIBRATION_MAX),
    FT_CONFIG_END,
};
static const struct ft_config_choice task_kinds[] = { { "train", FT_TASK_TRAIN },
                                                      { "statistics", FT_TASK_STATISTICS },
                                                      { 0 } };
/* What every task has. */
#define COMMON_FIELDS                                                                                        \
    FT_CFG(struct task_file, version, "version", UINT32, .flags = R, .least = 1, .most = 1),                 \
        T(name, "task", TEXT, .flags = R, .most = 48, .check = task_is_name),                                \
        T(title, "title", TEXT, .flags = R, .most = TASK_TITLE_MAX),                                         \
        T(purpose, "purpose", TEXT, .flags = R, .most = 64, .check = ft_config_is_purpose),                  \
        T(owner, "owner", TEXT, .flags = R, .most = TASK_OWNER_MAX),                                         \
        T(expires, "expires", TEXT, .flags = R, .most = 10, .check = ft_config_is_date),                     \
        T(review, "review", TEXT, .flags = R, .most = 10, .check = ft_config_is_date),                       \
        CHOICE(kind, "kind", 0, task_kinds), CHOICE(unit, "unit", R, units),                                 \
        GROUP("privacy", R, privacy_fields), GROUP("cohort", R, cohort_fields),                              \
        GROUP("schedule", R, schedule_fields)
static const struct ft_config_field task_fields[] = {
    COMMON_FIELDS,
    GROUP("examples", R, examples_fields),
    GROUP("model", R, model_fields),
    GROUP("training", R, training_fields),
    GROUP("evaluation", 0, evaluation_fields),
    FT_CONFIG_END,
};
static const struct ft_config_field statistics_fields[] = {
    COMMON_FIELDS,
    GROUP("examples", R, measured_fields),
    T(measures, "statistics", LIST, .flags = R, .most = FT_TASK_MEASURES_MAX, .item = &measure_item,
      .item_size = sizeof(struct ft_task_measure), .count_offset = offsetof(struct ft_task, measure_count)),
    FT_CONFIG_END,
};
/* The kind decides which keys a file may have, so it is read first. */
static const struct ft_config_field kind_fields[] = { CHOICE(kind, "kind", 0, task_kinds), FT_CONFIG_END };
/* struct ft_task comes first in struct task_file, so its offsets hold for both. */
_Static_assert(offsetof(struct task_file, task) == 0, "the tables name offsets in struct ft_task");

/* ---- what a task has depends on its model ---- */

/* Keys that a model which learns labels needs, and k-means has not; `why` it has not. */
static const struct {
    const char *parent, *key;
    const struct ft_config_field *fields; /* NULL: not needed by the others either */
    const char *why;
} labelled[] = {
    { "examples", "label", examples_fields, "segments are found without one" },
    { "training", "local_epochs", training_fields, "a round is one pass over the rows" },
    { "training", "batch_size", training_fields, "a round is one pass over the rows" },
    { "training", "learning_rate", training_fields, "a centroid moves to the mean of its rows" },
    { "training", "momentum", NULL, "a centroid moves to the mean of its rows" },
    { "training", "weight_decay", NULL, "a centroid moves to the mean of its rows" },
    { "training", "weight_cap", training_fields, "every row counts the same" },
    { "training", "server", training_fields, "a centroid moves to the mean of its rows" },
    { "privacy", "contribution", NULL, "sums and numbers by cluster are contributed" },
    { "privacy", "adaptive_clip", NULL, "training.clip is that of a customer's sums and numbers" },
    { "evaluation", "bins", NULL, "there are no scores; inertia and shares are measured" },
    { "evaluation", "calibration_bins", NULL, "there are no probabilities; inertia and shares are measured" },
};

static void
check_keys(const struct ft_config *config, const struct ft_task *task, struct ft_findings *findings)
{
    const bool kmeans = task->model == FT_MODEL_KMEANS;
    char path[64];

    for (size_t i = 0; i < sizeof labelled / sizeof labelled[0]; i++) {
        uint32_t line, column;
        snprintf(path, sizeof path, "%s.%s", labelled[i].parent, labelled[i].key);
        if (!kmeans && labelled[i].fields != NULL)
            ft_config_need(config, findings, labelled[i].parent, labelled[i].fields, labelled[i].key);
        else if (kmeans && ft_config_where(config, path, &line, &column))
            ft_config_find(config, findings, path, "'%s' has no meaning for kmeans: %s", labelled[i].key,
                           labelled[i].why);
    }
    if (!kmeans || task->noise != 0)
        ft_config_need(config, findings, "training", training_fields, "clip");
    if (kmeans)
        ft_config_need(config, findings, "model", model_fields, "clusters");
}

static enum ft_status
empty_text(char **text)
{
    if (*text == NULL)
        *text = ft_strdup("");
    return *text != NULL ? FT_OK : FT_ERR_NOMEM;
}

/* What a task may leave out. None of it touches privacy. */
static enum ft_status
fill_in(const struct ft_config *config, struct ft_task *task)
{
    uint32_t line, column;

    if (task->model == FT_MODEL_KMEANS) {
        if (!ft_config_where(config, "model.min_cluster", &line, &column))
            task->min_cluster = task->unit == FT_UNIT_STORE ? 1 : TASK_CLUSTER_MIN;
        task->server_momentum = task->server_beta2 = task->server_epsilon = 0;
        task->bins = task->calibration_bins = 0;
    }
    return empty_text(&task->label);
}

struct locating {
    const struct ft_config *config;
    struct ft_findings *findings;
};

static void
report_at(void *ctx, const char *path, const char *sentence)
{
    const struct locating *l = ctx;
    ft_config_find(l->config, l->findings, path, "%s", sentence);
}

/* Unit store: each shop is one, listed by its name alone, and what a file may leave out follows. With any other unit
 * each shop declares its customers. */
static void
finish_shops(const struct ft_config *config, struct ft_task *task, struct ft_findings *findings)
{
    struct ft_task_privacy *p = &task->privacy;
    const bool store = task->unit == FT_UNIT_STORE;
    uint32_t line, column;
    char path[64];

    for (uint32_t i = 0; i < p->shop_count; i++) {
        snprintf(path, sizeof path, "privacy.shops[%u].customers", i);
        const bool given = ft_config_where(config, path, &line, &column);
        if (!store && !given)
            ft_config_find(config, findings, path, "missing key 'customers', expected a whole number from 1 to %llu",
                           (unsigned long long)TASK_CUSTOMERS_MAX);
        if (store && given)
            ft_config_find(config, findings, path,
                           "'customers' is %llu, but with unit store each shop counts as one: leave the key out",
                           (unsigned long long)p->shops[i].customers);
        if (store || !given)
            p->shops[i].customers = 1; /* so that nothing is told twice */
    }
    if (!store || task->noise == 0)
        return;
    p->m_stores = p->m_stores == 0 ? 1 : p->m_stores;
    if (task->kind != FT_TASK_STATISTICS && task->model != FT_MODEL_KMEANS)
        p->contribution = p->contribution == 0 ? FT_CONTRIBUTION_DELTA : p->contribution;
    p->expected_customers = p->expected_customers == 0 ? (double)p->shop_count : p->expected_customers;
}

/* FT_TASK_TRAIN too where the file does not say, or says it wrongly: that is told when all of it is read. */
static enum ft_status
read_kind(const struct ft_config *config, uint32_t *kind)
{
    struct task_file file = { 0 };
    struct ft_findings *others = ft_calloc(1, sizeof *others);

    if (others == NULL)
        return FT_ERR_NOMEM;
    ft_findings_init(others, "");
    (void)!ft_config_read(config, kind_fields, &file, others);
    ft_free(others);
    *kind = file.task.kind;
    return FT_OK;
}

/* What a statistics task may leave out, and what of a training task it has no use for. */
static enum ft_status
complete_statistics(const struct ft_config *config, struct ft_task *task, struct ft_findings *findings)
{
    static const char *const others[] = { "examples.label", "model", "training", "evaluation" };
    uint32_t line, column;
    enum ft_status st;

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (ft_config_where(config, others[i], &line, &column))
            ft_find(findings, line, column, "a task of kind statistics has no %s: leave it out",
                    i == 0 ? "label" : others[i]);
    FT_TRY(empty_text(&task->label));
    for (uint32_t i = 0; i < task->measure_count; i++) {
        struct ft_task_measure *m = &task->measures[i];
        for (uint32_t a = 0; a < FT_TASK_AXES_MAX; a++)
            FT_TRY(empty_text(&m->axes[a].feature));
        if (m->weight == 0)
            m->weight = 1;
        if (m->kind == FT_MEASURE_QUANTILES && m->axes[0].bins == 0)
            m->axes[0].bins = TASK_QUANTILE_BINS;
    }
out:
    return st;
}

static enum ft_status
read_any(const struct ft_config *config, struct task_file *file, struct ft_findings *findings)
{
    uint32_t kind;
    enum ft_status st;

    FT_TRY(read_kind(config, &kind));
    if (kind == FT_TASK_STATISTICS) {
        *file = (struct task_file){ 0 };
        st = ft_config_read(config, statistics_fields, file, findings);
        if (st != FT_ERR_NOMEM)
            FT_TRY(complete_statistics(config, &file->task, findings));
        return findings->total > 0 ? FT_ERR_CONFIG : st;
    }
    st = ft_config_read(config, task_fields, file, findings);
    if (st == FT_ERR_NOMEM)
        goto out;
    check_keys(config, &file->task, findings);
    if (findings->total > 0) {
        st = FT_ERR_CONFIG;
        goto out;
    }
    st = fill_in(config, &file->task);
out:
    return st;
}

enum ft_status
ft_task_from_yaml_all(struct ft_bytes yaml, const char *origin, const uint8_t deployment[16],
                      struct ft_task *out, struct ft_findings *findings)
{
    enum ft_status st;
    struct ft_config *config = NULL;
    struct task_file file = { .task = { .server_momentum = 0.9,
                                        .server_beta2 = 0.99,
                                        .server_epsilon = 1e-3,
                                        .seed = 1,
                                        .bins = 512,
                                        .calibration_bins = 10 } };

    *out = (struct ft_task){ 0 };
    ft_findings_init(findings, origin);
    FT_TRY(ft_config_open(yaml, findings, &config));
    FT_TRY(read_any(config, &file, findings));
    memcpy(file.task.deployment, deployment, sizeof file.task.deployment);
    finish_shops(config, &file.task, findings);
    task_check(&file.task, report_at, &(struct locating){ config, findings });
    if (findings->total > 0) {
        st = FT_ERR_CONFIG;
        goto out;
    }
    *out = file.task;
    file.task = (struct ft_task){ 0 };
out:
    ft_task_clear(&file.task);
    ft_config_close(config);
    return st;
}

enum ft_status
ft_task_from_yaml(struct ft_bytes yaml, const char *origin, const uint8_t deployment[16], struct ft_task *out,
                  struct ft_error *err)
{
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    enum ft_status st;

    if (findings == NULL) {
        *out = (struct ft_task){ 0 };
        return ft_fail(err, FT_ERR_NOMEM, "%s", ft_status_str(FT_ERR_NOMEM));
    }
    st = ft_task_from_yaml_all(yaml, origin, deployment, out, findings);
    if (st == FT_ERR_CONFIG)
        st = ft_findings_status(findings, err);
    else if (st != FT_OK)
        (void)ft_fail(err, st, "%s: %s", origin, ft_status_str(st));
    ft_free(findings);
    return st;
}
