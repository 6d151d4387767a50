#include "aggregator/simulate/experiment/experiment.h"
#include "common/base/alloc.h"
#include "common/base/config.h"
#include "common/base/file.h"
#include "common/model/metrics.h"

#include <errno.h>
#include <float.h>
#include <libgen.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define X(member) offsetof(struct ft_sim_experiment, member)
#define F(member, name, kind, ...) FT_CFG(struct ft_sim_experiment, member, name, kind, __VA_ARGS__)
#define R                          FT_CONFIG_REQUIRED
#define CHOICE(member, name, flag, table) F(member, name, CHOICE, .flags = (flag), .choices = (table))
#define WHOLE(member, name, flag, low, high) F(member, name, UINT32, .flags = (flag), .least = (low), .most = (high))
#define REAL(member, name, flag, low, high)  F(member, name, REAL, .flags = (flag), .min = (low), .max = (high))
#define PATH(member, name)                   F(member, name, TEXT, .most = 4000)
#define GROUP(name, flag, table) { .key = (name), .type = FT_CONFIG_MAP, .flags = (flag), .fields = (table) }

static const struct ft_config_choice sources[] = { { "synthetic", FT_SIM_SYNTHETIC }, { "idx", FT_SIM_IDX },
                                                   { "libsvm", FT_SIM_LIBSVM },       { "csv", FT_SIM_CSV },
                                                   { "task", FT_SIM_TASK },           { NULL, 0 } };
static const struct ft_config_choice splits[] = { { "column", FT_SIM_COLUMN },       { "iid", FT_SIM_IID },
                                                  { "dirichlet", FT_SIM_DIRICHLET }, { "shards", FT_SIM_SHARDS },
                                                  { "quantity", FT_SIM_QUANTITY },   { NULL, 0 } };
static const struct ft_config_choice kinds[] = { { "linear", FT_MODEL_LINEAR },   { "logistic", FT_MODEL_LOGISTIC },
                                                 { "softmax", FT_MODEL_SOFTMAX }, { "poisson", FT_MODEL_POISSON },
                                                 { "mlp", FT_MODEL_MLP },         { "cnn", FT_MODEL_CNN },
                                                 { "kmeans", FT_MODEL_KMEANS },   { NULL, 0 } };
static const struct ft_config_choice activations[] = { { "relu", FT_ACT_RELU }, { "tanh", FT_ACT_TANH }, { NULL, 0 } };
static const struct ft_config_choice algorithms[] = {
    { "fedsgd", FT_SIM_FEDSGD },   { "fedavg", FT_SIM_FEDAVG },   { "fedavgm", FT_SIM_FEDAVGM },
    { "fedprox", FT_SIM_FEDPROX }, { "scaffold", FT_SIM_SCAFFOLD }, { "fedadam", FT_SIM_FEDADAM },
    { "fedyogi", FT_SIM_FEDYOGI }, { "fedadagrad", FT_SIM_FEDADAGRAD }, { "fednova", FT_SIM_FEDNOVA },
    { "ditto", FT_SIM_DITTO },     { "fedbuff", FT_SIM_FEDBUFF }, { "lloyd", FT_SIM_LLOYD }, { NULL, 0 }
};
static const struct ft_config_choice weightings[] = { { "rows", FT_SIM_BY_ROWS }, { "equal", FT_SIM_EQUAL }, { NULL, 0 } };
static const struct ft_config_choice schedules[] = { { "constant", FT_SIM_CONSTANT },
                                                     { "exponential", FT_SIM_EXPONENTIAL },
                                                     { "cosine", FT_SIM_COSINE },
                                                     { "inverse_sqrt", FT_SIM_INVERSE_SQRT },
                                                     { NULL, 0 } };
static const struct ft_config_choice secures[] = { { "none", FT_SIM_SECURE_NONE },
                                                   { "exact", FT_SIM_SECURE_EXACT },
                                                   { "cost", FT_SIM_SECURE_COST },
                                                   { NULL, 0 } };

static const struct ft_config_choice units[] = {
    { "none", FT_SIM_UNIT_NONE },
    { "customer", FT_SIM_UNIT_CUSTOMER },
    { "row", FT_SIM_UNIT_ROW },
    { "store", FT_SIM_UNIT_STORE },
    { NULL, 0 }
};
/* 0 is what a file leaves out. */
static const struct ft_config_choice methods[] = { { "rdp", FT_ACCOUNT_RDP }, { "pld", FT_ACCOUNT_PLD }, { NULL, 0 } };

static const struct ft_config_field data_fields[] = {
    CHOICE(data.source, "source", R, sources),
    PATH(data.folder, "folder"),
    PATH(data.train, "train"),
    PATH(data.test, "test"),
    F(data.label, "label", TEXT, .most = 200),
    F(data.by, "by", TEXT, .most = 200),
    F(data.customer, "customer", TEXT, .most = 200),
    F(data.positive, "positive", TEXT, .most = 200),
    PATH(data.task, "task"),
    PATH(data.files, "files"),
    REAL(data.test_share, "test_share", 0, 0.001, 0.9),
    F(data.standardise, "standardise", BOOL),
    F(data.declared_ranges, "declared_ranges", BOOL),
    WHOLE(data.rows, "rows", 0, 1, UINT32_MAX),
    WHOLE(data.test_rows, "test_rows", 0, 1, UINT32_MAX),
    WHOLE(data.features, "features", 0, 0, FT_MODEL_WIDTH_MAX),
    WHOLE(data.classes, "classes", 0, 0, FT_MODEL_CLASSES_MAX),
    FT_CONFIG_END,
};
static const struct ft_config_field partition_fields[] = {
    CHOICE(partition.kind, "kind", R, splits),
    WHOLE(partition.clients, "clients", 0, 1, 100000000),
    WHOLE(partition.shards_per_client, "shards_per_client", 0, 1, 100000),
    REAL(partition.alpha, "alpha", 0, 1e-6, 1e9),
    WHOLE(partition.rows_least, "rows_least", 0, 0, 1000000000),
    FT_CONFIG_END,
};
static const struct ft_config_field number_item = {
    .key = "number", .type = FT_CONFIG_UINT32, .least = 1, .most = FT_MODEL_WIDTH_MAX
};
#define NUMBERS(member, name, entries)                                                                       \
    F(member, name, LIST, .flags = FT_CONFIG_INLINE, .most = (entries), .item = &number_item,                \
      .item_size = sizeof(uint32_t), .count_offset = X(member##_count))
static const struct ft_config_field model_fields[] = {
    CHOICE(model.kind, "kind", R, kinds),
    NUMBERS(model.hidden, "hidden", FT_MODEL_HIDDEN_MAX),
    CHOICE(model.activation, "activation", 0, activations),
    NUMBERS(model.image, "image", 3),
    NUMBERS(model.channels, "channels", FT_MODEL_CONV_MAX),
    NUMBERS(model.kernels, "kernels", FT_MODEL_CONV_MAX),
    NUMBERS(model.pools, "pools", FT_MODEL_CONV_MAX),
    WHOLE(model.clusters, "clusters", 0, 2, FT_MODEL_CLUSTERS_MAX),
    WHOLE(model.min_cluster, "min_cluster", 0, 1, 1000000000),
    FT_CONFIG_END,
};
static const struct ft_config_field algorithm_fields[] = {
    CHOICE(algorithm.kind, "name", R, algorithms),
    CHOICE(algorithm.weighting, "weights", 0, weightings),
    REAL(algorithm.server_rate, "server_learning_rate", 0, DBL_MIN, 1e6),
    REAL(algorithm.server_momentum, "server_momentum", 0, 0, 0.999999),
    REAL(algorithm.beta2, "beta2", 0, 0, 0.999999),
    REAL(algorithm.tau, "tau", 0, DBL_MIN, 1e6),
    REAL(algorithm.mu, "mu", 0, 0, 1e6),
    WHOLE(algorithm.buffer, "buffer", 0, 1, 100000),
    WHOLE(algorithm.concurrency, "concurrency", 0, 1, 100000),
    FT_CONFIG_END,
};
static const struct ft_config_field training_fields[] = {
    WHOLE(training.rounds, "rounds", R, 1, 10000000),
    WHOLE(training.local_epochs, "local_epochs", 0, 1, 10000),
    WHOLE(training.batch_size, "batch_size", 0, 0, 1000000),
    REAL(training.learning_rate, "learning_rate", 0, DBL_MIN, 1e6), /* k-means has none */
    REAL(training.momentum, "momentum", 0, 0, 0.999999),
    REAL(training.weight_decay, "weight_decay", 0, 0, 1e6),
    CHOICE(training.schedule, "schedule", 0, schedules),
    REAL(training.decay, "decay", 0, 1e-6, 1),
    FT_CONFIG_END,
};
static const struct ft_config_field clients_fields[] = {
    REAL(clients.fraction, "fraction", 0, 1e-9, 1),
    WHOLE(clients.count, "count", 0, 1, 100000000),
    REAL(clients.dropout, "dropout", 0, 0, 0.99),
    REAL(clients.stragglers, "stragglers", 0, 0, 1),
    PATH(clients.availability, "availability"),
    FT_CONFIG_END,
};
static const struct ft_config_field secure_fields[] = {
    CHOICE(secure.kind, "kind", R, secures),
    REAL(secure.clip, "clip", 0, DBL_MIN, 1e9),
    WHOLE(secure.lane_bits, "lane_bits", 0, 12, 64),
    WHOLE(secure.corrupted, "corrupted", 0, 1, 65535),
    FT_CONFIG_END,
};
static const struct ft_config_field privacy_fields[] = {
    CHOICE(privacy.unit, "unit", R, units),
    REAL(privacy.epsilon, "epsilon", 0, 1e-3, 100),
    REAL(privacy.noise_multiplier, "noise_multiplier", 0, FT_PRIVACY_Z_MIN, 1000),
    REAL(privacy.delta, "delta", 0, FT_PRIVACY_DELTA_MIN, FT_PRIVACY_DELTA_MAX),
    REAL(privacy.clip, "clip", 0, 1e-6, 1e6),
    REAL(privacy.expected_customers, "expected_customers", 0, 1, 1e12),
    WHOLE(privacy.t_min, "t_min", 0, 1, 65535),
    WHOLE(privacy.m_stores, "m_stores", 0, 1, FT_ACCOUNT_STORES_MAX),
    CHOICE(privacy.method, "accountant", 0, methods),
    FT_CONFIG_END,
};
static const struct ft_config_field evaluation_fields[] = {
    WHOLE(evaluation.every, "every", 0, 1, 10000000),
    F(evaluation.pooled, "pooled", BOOL),
    F(evaluation.local, "local", BOOL),
    WHOLE(evaluation.local_clients, "local_clients", 0, 1, 1000000),
    WHOLE(evaluation.baseline_epochs, "baseline_epochs", 0, 1, 100000),
    F(evaluation.central, "central", BOOL),
    F(evaluation.without_privacy, "without_privacy", BOOL),
    FT_CONFIG_END,
};
static const struct ft_config_choice metrics[] = {
    { "accuracy", SIM_ACCURACY }, { "auc", SIM_AUC }, { "loss", SIM_LOSS }, { NULL, 0 }
};
static const struct ft_config_field stop_fields[] = {
    CHOICE(stop.metric, "metric", R, metrics),
    REAL(stop.at, "at", R, -1e9, 1e9),
    FT_CONFIG_END,
};
static const struct ft_config_field experiment_fields[] = {
    F(name, "name", TEXT, .flags = R, .most = 48, .check = ft_config_is_name),
    F(seed, "seed", UINT64, .flags = R, .most = UINT64_MAX),
    GROUP("data", R, data_fields),
    GROUP("partition", R, partition_fields),
    GROUP("model", R, model_fields),
    GROUP("algorithm", R, algorithm_fields),
    GROUP("training", R, training_fields),
    GROUP("clients", 0, clients_fields),
    GROUP("secure_sum", 0, secure_fields),
    GROUP("privacy", 0, privacy_fields),
    GROUP("evaluation", 0, evaluation_fields),
    GROUP("stop", 0, stop_fields),
    FT_CONFIG_END,
};

static const char *
choice_name(const struct ft_config_choice *table, uint32_t value)
{
    for (; table->text != NULL; table++)
        if (table->value == value)
            return table->text;
    return "?";
}

const char *
ft_sim_algorithm_name(enum ft_sim_algorithm_kind kind)
{
    return choice_name(algorithms, kind);
}

struct checker {
    const struct ft_sim_experiment *e;
    const struct ft_config *config;
    struct ft_findings *findings;
};

static void
needs(const struct checker *c, bool there, const char *path, const char *why)
{
    if (!there)
        ft_config_find(c->config, c->findings, path, "missing key '%s', %s", strrchr(path, '.') + 1, why);
}

static void
has_no(const struct checker *c, bool there, const char *path, const char *why)
{
    if (there)
        ft_config_find(c->config, c->findings, path, "'%s' has no meaning here, %s", strrchr(path, '.') + 1, why);
}

static void
check_data(const struct checker *c)
{
    const struct ft_sim_data_config *d = &c->e->data;
    const bool table = d->source == FT_SIM_LIBSVM || d->source == FT_SIM_CSV;
    needs(c, d->source != FT_SIM_IDX || d->folder != NULL, "data.folder", "source idx reads a folder");
    needs(c, !table || d->train != NULL, "data.train", "the file with the train rows");
    needs(c, d->source != FT_SIM_CSV || d->label != NULL, "data.label", "the label's column");
    needs(c, d->source != FT_SIM_TASK || d->task != NULL, "data.task", "the task's YAML");
    needs(c, d->source != FT_SIM_TASK || d->files != NULL, "data.files", "one CSV a shop");
    needs(c, d->source != FT_SIM_SYNTHETIC || d->rows > 0, "data.rows", "source synthetic draws so many");
    has_no(c, d->source != FT_SIM_IDX && d->folder != NULL, "data.folder", "only source idx reads a folder");
    has_no(c, !table && d->train != NULL, "data.train", "only libsvm and csv read it");
    has_no(c, d->source != FT_SIM_CSV && d->source != FT_SIM_TASK && d->by != NULL, "data.by",
           "only csv and task have columns");
    has_no(c, d->source != FT_SIM_CSV && d->customer != NULL, "data.customer",
           "only csv has columns; source task knows its customers");
    has_no(c, c->e->partition.kind == FT_SIM_COLUMN && c->e->partition.clients > 0, "partition.clients",
           "column: as many as there are owners");
    needs(c, c->e->partition.kind == FT_SIM_COLUMN || c->e->partition.clients > 0, "partition.clients",
          "how many clients the rows are dealt out to");
    needs(c, c->e->partition.kind != FT_SIM_SHARDS || c->e->partition.shards_per_client > 0, "partition.shards_per_client",
          "shards are dealt out so many a client");
    needs(c, (c->e->partition.kind != FT_SIM_DIRICHLET && c->e->partition.kind != FT_SIM_QUANTITY) ||
                 c->e->partition.alpha > 0,
          "partition.alpha", "the concentration of the Dirichlet distribution");
}

static void
check_model(const struct checker *c)
{
    const struct ft_sim_experiment *e = c->e;
    const bool network = e->model.kind == FT_MODEL_MLP || e->model.kind == FT_MODEL_CNN;
    needs(c, e->model.kind != FT_MODEL_MLP || e->model.hidden_count > 0, "model.hidden", "an mlp has 1 to 8 hidden layers");
    has_no(c, !network && e->model.hidden_count > 0, "model.hidden", "only mlp and cnn have hidden layers");
    if (e->model.kind == FT_MODEL_CNN &&
        (e->model.image_count != 3 || e->model.channels_count < 1 || e->model.kernels_count != e->model.channels_count ||
         e->model.pools_count != e->model.channels_count))
        ft_config_find(c->config, c->findings, "model",
                       "a cnn has image [height, width, channels], and channels, kernels and pools of one length");
}

static void
check_clusters(const struct checker *c)
{
    const struct ft_sim_experiment *e = c->e;
    const bool kmeans = e->model.kind == FT_MODEL_KMEANS, lloyd = e->algorithm.kind == FT_SIM_LLOYD;
    const char *const why = "k-means moves a centroid to the mean of its rows";
    needs(c, !kmeans || e->model.clusters > 0, "model.clusters", "how many kmeans makes");
    has_no(c, !kmeans && e->model.clusters > 0, "model.clusters", "only kmeans has clusters");
    has_no(c, !kmeans && e->model.min_cluster > 0, "model.min_cluster", "only kmeans has clusters");
    if (kmeans != lloyd)
        ft_config_find(c->config, c->findings, "algorithm.name", "%s", kmeans ? "kmeans is trained by lloyd's rounds, expected lloyd" : "lloyd's rounds are of kmeans, expected another algorithm");
    if (!kmeans) {
        ft_config_need(c->config, c->findings, "training", training_fields, "learning_rate");
        return;
    }
    has_no(c, e->training.learning_rate > 0, "training.learning_rate", why);
    has_no(c, e->training.momentum > 0, "training.momentum", why);
    has_no(c, e->training.weight_decay > 0, "training.weight_decay", why);
    has_no(c, e->training.batch_size > 0, "training.batch_size", why);
    has_no(c, e->training.local_epochs > 1, "training.local_epochs", why);
    has_no(c, e->algorithm.weighting == FT_SIM_EQUAL, "algorithm.weights", "every row counts the same");
}

static void
check_algorithm(const struct checker *c)
{
    const struct ft_sim_experiment *e = c->e;
    const enum ft_sim_algorithm_kind kind = e->algorithm.kind;
    const bool proximal = kind == FT_SIM_FEDPROX || kind == FT_SIM_DITTO, buffered = kind == FT_SIM_FEDBUFF;
    needs(c, !proximal || e->algorithm.mu > 0, "algorithm.mu", "fedprox and ditto pull towards the global model");
    has_no(c, !proximal && e->algorithm.mu > 0, "algorithm.mu", "only fedprox and ditto have it");
    needs(c, !buffered || (e->algorithm.buffer > 0 && e->algorithm.concurrency >= e->algorithm.buffer),
          "algorithm.buffer", "fedbuff has a buffer, and a concurrency of at least as many");
    has_no(c, !buffered && e->algorithm.buffer > 0, "algorithm.buffer", "only fedbuff has it");
    if (buffered && e->secure.kind != FT_SIM_SECURE_NONE)
        ft_config_find(c->config, c->findings, "secure_sum.kind",
                       "fedbuff cannot run under secure aggregation: updates of different models are not one sum; expected "
                       "none, or another algorithm");
    if (e->secure.kind != FT_SIM_SECURE_NONE && e->clients.count > 0 &&
        e->clients.count < e->secure.corrupted + 2)
        ft_config_find(c->config, c->findings, "clients.count",
                       "a secure sum over %u clients hides nobody when %u may collude, expected %u and more", e->clients.count,
                       e->secure.corrupted, e->secure.corrupted + 2);
    needs(c, e->secure.kind == FT_SIM_SECURE_NONE || e->secure.clip > 0, "secure_sum.clip",
          "lanes of a sum need a bound on each contribution");
    has_no(c, buffered && e->clients.fraction > 0, "clients.fraction", "fedbuff's concurrency says how many train");
    has_no(c, buffered && e->clients.count > 0, "clients.count", "fedbuff's concurrency says how many train");
    if ((e->clients.fraction > 0) == (e->clients.count > 0) && !buffered)
        ft_config_find(c->config, c->findings, "clients", "clients has %s, expected one of fraction and count",
                       e->clients.count > 0 ? "both" : "neither");
    if (kind == FT_SIM_FEDSGD && (e->training.local_epochs != 1 || e->training.batch_size != 0))
        ft_config_find(c->config, c->findings, "training",
                       "fedsgd takes one step on all rows: expected local_epochs 1 and batch_size 0");
    if (kind == FT_SIM_SCAFFOLD && e->training.momentum > 0)
        ft_config_find(c->config, c->findings, "training.momentum", "scaffold's corrections are for plain SGD, expected 0");
}

static bool
sums_changes_alone(enum ft_sim_algorithm_kind kind)
{
    return kind == FT_SIM_FEDSGD || kind == FT_SIM_FEDAVG || kind == FT_SIM_FEDAVGM || kind == FT_SIM_FEDADAM ||
           kind == FT_SIM_FEDYOGI || kind == FT_SIM_FEDADAGRAD || kind == FT_SIM_LLOYD;
}

static void
check_privacy(const struct checker *c)
{
    const struct ft_sim_experiment *e = c->e;
    const bool on = e->privacy.unit != FT_SIM_UNIT_NONE, store = e->privacy.unit == FT_SIM_UNIT_STORE, every = e->clients.fraction >= 1 && e->clients.count == 0;

    if (!on) {
        has_no(c, e->privacy.epsilon > 0, "privacy.epsilon", "unit is none");
        has_no(c, e->privacy.noise_multiplier > 0, "privacy.noise_multiplier", "unit is none");
        has_no(c, e->privacy.m_stores > 1, "privacy.m_stores", "unit is none");
        return;
    }
    has_no(c, e->privacy.unit == FT_SIM_UNIT_ROW && e->privacy.m_stores > 1, "privacy.m_stores", "a row is at one client");
    if (store && e->model.kind == FT_MODEL_KMEANS)
        ft_config_find(c->config, c->findings, "privacy.unit",
                       "unit is store, but kmeans makes segments of customers or rows here, expected customer or row");
    has_no(c, store && e->privacy.m_stores > 1, "privacy.m_stores", "with unit store a unit is one client: expected 1");
    has_no(c, store && e->privacy.expected_customers > 0, "privacy.expected_customers",
           "with unit store each client is in every round (q = 1)");
    if ((e->privacy.epsilon > 0) == (e->privacy.noise_multiplier > 0))
        ft_config_find(c->config, c->findings, "privacy", "privacy has %s, expected one of epsilon and noise_multiplier",
                       e->privacy.epsilon > 0 ? "both" : "neither");
    needs(c, e->privacy.delta > 0, "privacy.delta",
          store ? "at most 1/(10 n) for n clients" : "at most 1/(10 n) for n customers");
    needs(c, e->privacy.clip > 0, "privacy.clip",
          store ? "the bound on one client's vector" : "the bound on one customer's vector");
    needs(c, store || e->privacy.expected_customers > 0, "privacy.expected_customers", "how many a round draws on average");
    if (!sums_changes_alone(e->algorithm.kind))
        ft_config_find(c->config, c->findings, "algorithm.name",
                       "with privacy one vector of a customer is summed and nothing else; expected fedsgd, fedavg, fedavgm, "
                       "fedadam, fedyogi or fedadagrad");
    if (!every)
        ft_config_find(c->config, c->findings, "clients",
                       "with privacy every shop sends its share of noise in every round, and draws its customers itself; "
                       "expected fraction 1");
    if (e->clients.stragglers > 0)
        ft_config_find(c->config, c->findings, "clients.stragglers", "a customer's vector may not depend on the shop's pace, "
                                                                     "expected 0 with privacy");
    if (e->secure.kind != FT_SIM_SECURE_NONE)
        ft_config_find(c->config, c->findings, "secure_sum.kind",
                       "with privacy the sum is the packed one already, expected none");
    if (e->data.source == FT_SIM_TASK && !e->data.declared_ranges)
        ft_config_find(c->config, c->findings, "data.declared_ranges",
                       "means and deviations of the rows are outside the privacy budget, expected true with privacy");
    if (e->data.standardise)
        ft_config_find(c->config, c->findings, "data.standardise",
                       "means and deviations of the rows are outside the privacy budget, expected false with privacy");
}

static void
check_stop(const struct checker *c)
{
    const double at = c->e->stop.at;
    if (c->e->stop.metric == SIM_LOSS || isnan(at) || c->e->stop.metric == 0)
        return;
    if (!(at > 0 && at <= 1))
        ft_config_find(c->config, c->findings, "stop.at", "'at' is %g, expected above 0 and at most 1 for %s", at,
                       sim_metric_name(c->e->stop.metric));
}

/* Paths are relative to the file's folder. */
static enum ft_status
resolve(struct ft_sim_experiment *e, const char *folder)
{
    char **paths[] = { &e->data.folder, &e->data.train,  &e->data.test,           &e->data.task,
                       &e->data.files,  &e->clients.availability };
    enum ft_status st = FT_OK;
    for (size_t i = 0; st == FT_OK && folder != NULL && i < sizeof paths / sizeof paths[0]; i++)
        st = ft_config_join(folder, paths[i]);
    return st;
}

enum ft_status
ft_sim_experiment_parse(struct ft_bytes yaml, const char *origin, const char *folder, struct ft_sim_experiment *out,
                        struct ft_findings *findings, struct ft_error *err)
{
    struct ft_config *config = NULL;
    enum ft_status st;

    *out = (struct ft_sim_experiment){
        .data = { .test_share = 0.2, .test_rows = 10000 },
        .model = { .activation = FT_ACT_RELU },
        .algorithm = { .weighting = FT_SIM_BY_ROWS, .server_rate = 1, .server_momentum = 0.9, .beta2 = 0.99, .tau = 1e-3 },
        .training = { .local_epochs = 1, .schedule = FT_SIM_CONSTANT, .decay = 1 },
        .secure = { .kind = FT_SIM_SECURE_NONE, .lane_bits = 32, .corrupted = 1 },
        .privacy = { .unit = FT_SIM_UNIT_NONE, .m_stores = 1 },
        .evaluation = { .every = 1, .central = true, .pooled = true, .local = true, .local_clients = 20, .baseline_epochs = 20, .without_privacy = true },
        .stop = { .at = NAN },
    };
    ft_findings_init(findings, origin);
    FT_TRY(ft_config_open(yaml, findings, &config));
    FT_TRY(ft_config_read(config, experiment_fields, out, findings));
    if (out->model.kind == FT_MODEL_KMEANS && out->model.min_cluster == 0)
        out->model.min_cluster = FT_MIN_GROUP;
    const struct checker c = { out, config, findings };
    check_data(&c);
    check_model(&c);
    check_clusters(&c);
    check_algorithm(&c);
    check_privacy(&c);
    check_stop(&c);
    if (findings->total > 0) {
        st = FT_ERR_CONFIG;
        goto out;
    }
    FT_TRY(resolve(out, folder));
out:
    ft_config_close(config);
    if (st == FT_ERR_CONFIG)
        st = ft_findings_status(findings, err);
    if (st != FT_OK)
        ft_sim_experiment_clear(out);
    return st;
}

void
ft_sim_experiment_clear(struct ft_sim_experiment *e)
{
    ft_config_clear(experiment_fields, e);
}

enum ft_status
ft_sim_experiment_load(const char *path, const char *const *sets, size_t set_count, struct ft_sim_experiment *out,
                       struct ft_findings *findings, struct ft_error *err)
{
    struct ft_buf yaml = { 0 }, next = { 0 };
    char *copy = ft_strdup(path), *origin = NULL, folder[PATH_MAX];
    enum ft_status st = FT_ERR_NOMEM;

    *out = (struct ft_sim_experiment){ 0 };
    ft_findings_init(findings, path);
    if (copy == NULL)
        goto out;
    FT_TRY(ft_file_read(path, FT_CONFIG_BYTES_MAX, &yaml, err));
    origin = set_count > 0 ? ft_asprintf("%s with --set", path) : ft_strdup(path);
    if (origin == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (size_t i = 0; i < set_count; i++) {
        FT_TRY(ft_sim_yaml_set(&yaml, sets[i], &next, err));
        ft_buf_clear(&yaml);
        yaml = next;
        next = (struct ft_buf){ 0 };
    }
    if (realpath(dirname(copy), folder) == NULL) { /* whole, so that a resumed run finds them from any folder */
        st = ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
        goto out;
    }
    st = ft_sim_experiment_parse(ft_buf_bytes(&yaml), origin, folder, out, findings, err);
out:
    ft_buf_clear(&yaml);
    ft_buf_clear(&next);
    ft_free(copy);
    ft_free(origin);
    return st;
}

enum ft_status
ft_sim_experiment_model(const struct ft_sim_experiment *e, const struct ft_sim_data *data, struct ft_model_spec *out,
                        struct ft_error *err)
{
    const bool number = e->model.kind == FT_MODEL_LINEAR || e->model.kind == FT_MODEL_POISSON;
    *out = (struct ft_model_spec){ .kind = e->model.kind,
                                   .features = data->features,
                                   .activation = e->model.activation,
                                   .hidden_count = e->model.hidden_count,
                                   .conv_count = e->model.channels_count };
    if (e->model.kind == FT_MODEL_KMEANS) { /* whatever the labels are */
        out->classes = e->model.clusters;
        return ft_model_spec_check(out, err);
    }
    memcpy(out->hidden, e->model.hidden, sizeof out->hidden);
    memcpy(out->image, e->model.image, sizeof out->image);
    for (uint32_t i = 0; i < e->model.channels_count; i++)
        out->conv[i] = (struct ft_model_conv){ e->model.channels[i], e->model.kernels[i], e->model.pools[i] };
    if (number != (data->classes == 0))
        return ft_fail(err, FT_ERR_CONFIG, "model: %s for labels that are %s, expected %s", choice_name(kinds, e->model.kind),
                       data->classes == 0 ? "numbers" : "classes",
                       data->classes == 0 ? "linear or poisson" : "logistic, softmax, mlp or cnn");
    if (e->model.kind == FT_MODEL_LOGISTIC && data->classes != 2)
        return ft_fail(err, FT_ERR_CONFIG, "model: logistic for %u classes, expected softmax", data->classes);
    out->classes = data->classes > 2 || e->model.kind == FT_MODEL_SOFTMAX ? data->classes : 0;
    if ((e->stop.metric == SIM_ACCURACY && number) || (e->stop.metric == SIM_AUC && !ft_model_is_binary(out)))
        return ft_fail(err, FT_ERR_CONFIG, "stop.metric: %s of labels that are %s, expected %s", sim_metric_name(e->stop.metric),
                       number ? "numbers" : "more than two classes", number ? "loss" : "accuracy or loss");
    if (e->stop.metric != 0 && data->test.rows == 0)
        return ft_fail(err, FT_ERR_CONFIG, "stop: there are no test rows to score, expected some");
    return ft_model_spec_check(out, err);
}

/* ---- resolved YAML ---- */

static enum ft_status
add(struct ft_buf *out, char *text)
{
    enum ft_status st = text != NULL ? ft_buf_append(out, text, strlen(text)) : FT_ERR_NOMEM;
    ft_free(text);
    return st;
}

/* A text in double quotes; everything JSON escapes YAML reads too. */
static enum ft_status
add_text(struct ft_buf *out, const char *indent, const char *key, const char *text)
{
    struct ft_buf quoted = { 0 };
    enum ft_status st = FT_OK;
    if (text == NULL)
        return FT_OK;
    for (const char *p = text; st == FT_OK && *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            st = ft_buf_u8(&quoted, '\\');
        if (st == FT_OK)
            st = ft_buf_u8(&quoted, (uint8_t)*p);
    }
    if (st == FT_OK)
        st = add(out, ft_asprintf("%s%s: \"%.*s\"\n", indent, key, (int)quoted.size, (const char *)quoted.data));
    ft_buf_clear(&quoted);
    return st;
}

/* As few digits as read back as the same number. */
static void
shortest(char out[32], double v)
{
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(out, 32, "%.*g", digits, v);
        if (memcmp(&(double){ strtod(out, NULL) }, &v, sizeof v) == 0)
            return;
    }
}

static enum ft_status
add_fields(struct ft_buf *out, const char *indent, const struct ft_config_field *fields, const void *data)
{
    enum ft_status st = FT_OK;
    for (const struct ft_config_field *f = fields; st == FT_OK && f->key != NULL; f++) {
        const uint8_t *at = (const uint8_t *)data + f->offset;
        uint32_t u32, count;
        uint64_t u64;
        double real;
        char *text, number[32];
        const size_t before = out->size;
        size_t head;
        switch (f->type) {
        case FT_CONFIG_MAP:
            st = add(out, ft_asprintf("%s%s:\n", indent, f->key));
            head = out->size;
            if (st == FT_OK)
                st = add_fields(out, "  ", f->fields, data);
            if (out->size == head) /* nothing in it, nothing of it */
                out->size = before;
            break;
        case FT_CONFIG_TEXT:
            memcpy(&text, at, sizeof text);
            st = add_text(out, indent, f->key, text);
            break;
        case FT_CONFIG_CHOICE:
            memcpy(&u32, at, sizeof u32);
            if (u32 != 0)
                st = add(out, ft_asprintf("%s%s: %s\n", indent, f->key, choice_name(f->choices, u32)));
            break;
        case FT_CONFIG_UINT32:
            memcpy(&u32, at, sizeof u32);
            if (u32 >= f->least && (u32 > 0 || f->least == 0))
                st = add(out, ft_asprintf("%s%s: %u\n", indent, f->key, u32));
            break;
        case FT_CONFIG_UINT64:
            memcpy(&u64, at, sizeof u64);
            st = add(out, ft_asprintf("%s%s: %llu\n", indent, f->key, (unsigned long long)u64));
            break;
        case FT_CONFIG_REAL:
            memcpy(&real, at, sizeof real);
            shortest(number, real);
            if (real >= f->min)
                st = add(out, ft_asprintf("%s%s: %s\n", indent, f->key, number));
            break;
        case FT_CONFIG_BOOL:
            st = add(out, ft_asprintf("%s%s: %s\n", indent, f->key, *(const bool *)at ? "true" : "false"));
            break;
        case FT_CONFIG_LIST:
            memcpy(&count, (const uint8_t *)data + f->count_offset, sizeof count);
            if (count == 0)
                break;
            st = add(out, ft_asprintf("%s%s: [", indent, f->key));
            for (uint32_t i = 0; st == FT_OK && i < count; i++) {
                memcpy(&u32, at + i * sizeof u32, sizeof u32);
                st = add(out, ft_asprintf("%s%u", i > 0 ? ", " : "", u32));
            }
            if (st == FT_OK)
                st = add(out, ft_strdup("]\n"));
            break;
        default:
            st = FT_ERR_INTERNAL;
            break;
        }
    }
    return st;
}

enum ft_status
ft_sim_experiment_write(const struct ft_sim_experiment *e, struct ft_buf *out)
{
    struct ft_sim_experiment copy = *e;
    if (copy.algorithm.kind != FT_SIM_FEDPROX && copy.algorithm.kind != FT_SIM_DITTO)
        copy.algorithm.mu = -1;
    if (copy.clients.count > 0)
        copy.clients.fraction = -1;
    if (copy.secure.kind == FT_SIM_SECURE_NONE)
        copy.secure.clip = -1;
    if (copy.privacy.m_stores == 1)
        copy.privacy.m_stores = 0; /* what a file leaves out */
    return add_fields(out, "", experiment_fields, &copy);
}
