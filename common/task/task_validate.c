/* The rules of a task, each told with its arithmetic. */
#include "common/task/task_internal.h"

#include "common/base/date.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct checker {
    const struct ft_task *task;
    task_report *report;
    void *ctx;
};

static void tell(const struct checker *c, const char *path, const char *fmt, ...) FT_PRINTF(3, 4);
static void
tell(const struct checker *c, const char *path, const char *fmt, ...)
{
    char text[360];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    c->report(c->ctx, path, text);
}

const char *
task_is_name(const char *text)
{
    const size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return size > 0 && size <= 48 && text[size] == '\0' ? NULL
                                                        : "1 to 48 small letters, digits and underscores";
}

const char *
task_is_identifier(const char *text)
{
    const size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    return size > 0 && size <= 64 && text[size] == '\0' && (text[0] < '0' || text[0] > '9')
               ? NULL
               : "a column name: a letter, then letters, digits and underscores, at most 64";
}

/* Well-formed UTF-8 without control characters but line ends and tabs; protobuf-c does not look. */
static bool
clean_text(const char *text, bool lines)
{
    const unsigned char *p = (const unsigned char *)text;
    while (*p != '\0') {
        uint32_t c = *p++;
        int more = c < 0x80                ? 0
                   : c >= 0xc2 && c < 0xe0 ? 1
                   : c >= 0xe0 && c < 0xf0 ? 2
                   : c >= 0xf0 && c < 0xf5 ? 3
                                           : -1;
        if (more < 0 || c == 0x7f || (c < 0x20 && !(lines && (c == '\n' || c == '\t' || c == '\r'))))
            return false;
        if (more == 0)
            continue;
        c &= 0x3fu >> more;
        for (int i = 0; i < more; i++) {
            if ((*p & 0xc0) != 0x80)
                return false;
            c = c << 6 | (*p++ & 0x3fu);
        }
        if (c < (more == 1   ? 0x80u
                 : more == 2 ? 0x800u
                             : 0x10000u) ||
            (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
            return false;
    }
    return true;
}

static void
whole(const struct checker *c, const char *path, uint64_t value, uint64_t least, uint64_t most)
{
    if (value < least || value > most)
        tell(c, path, "%s is %llu, expected %llu to %llu", path, (unsigned long long)value,
             (unsigned long long)least, (unsigned long long)most);
}

/* above_zero: zero itself is refused. */
static void
real(const struct checker *c, const char *path, double value, double min, double max, bool above_zero)
{
    if (!(value >= min && value <= max && !(above_zero && value <= 0))) /* NaN lands here too */
        tell(c, path, "%s is %.9g, expected %s%.9g to %.9g", path, value, above_zero ? "more than " : "", min,
             max);
}

static void
check_text(const struct checker *c, const char *path, const char *text, size_t most, bool lines)
{
    if (text[0] == '\0')
        tell(c, path, "%s is empty", path);
    else if (strlen(text) > most)
        tell(c, path, "%s has %zu bytes, expected at most %zu", path, strlen(text), most);
    else if (!clean_text(text, lines))
        tell(c, path, "%s holds control characters or is not UTF-8", path);
}

static void
check_identity(const struct checker *c)
{
    const struct ft_task *t = c->task;
    int64_t expires, review;
    const bool has_expires = ft_date_parse(t->expires, &expires),
               has_review = ft_date_parse(t->review, &review);

    if (task_is_name(t->name) != NULL)
        tell(c, "task", "task, its name, must be %s", task_is_name(t->name));
    if (!ft_purpose_valid(t->purpose))
        tell(c, "purpose", "purpose must be %s", ft_config_is_purpose(t->purpose));
    else if (t->kind != FT_TASK_STATISTICS && strncmp(t->purpose, "measure/", 8) == 0)
        tell(c, "purpose", "purpose is %s, but the task trains a model: measure/... is for a task of kind statistics",
             t->purpose);
    check_text(c, "owner", t->owner, TASK_OWNER_MAX, false);
    check_text(c, "title", t->title, TASK_TITLE_MAX, false);
    if (!has_expires)
        tell(c, "expires", "expires must be a day of the calendar as YYYY-MM-DD");
    if (!has_review)
        tell(c, "review", "review must be a day of the calendar as YYYY-MM-DD");
    if (has_expires && has_review && review > expires)
        tell(c, "review", "review %s lies %lld days after the expiry %s, so the task would never be reviewed",
             t->review, (long long)(review - expires), t->expires);
    if (t->unit < FT_UNIT_CUSTOMER || t->unit > FT_UNIT_STORE)
        tell(c, "unit", "unit is %u, expected customer (1), record (2) or store (3)", (unsigned)t->unit);
}

static bool
has_privacy(const struct ft_task_privacy *p)
{
    return p->epsilon != 0 || p->noise_multiplier != 0 || p->delta != 0 || p->expected_customers != 0 ||
           p->shop_count != 0 || p->m_stores != 0 || p->spare_rounds != 0 || p->contribution != 0 ||
           p->clip_quantile != 0 || p->clip_rate != 0 || p->clip_min != 0 || p->clip_max != 0 || p->rotated ||
           (p->q_num | p->steps | p->dim | p->delta_int_sq | p->scale | p->lambda | p->sigma_share | p->t_min) != 0;
}

static void
check_shops(const struct checker *c)
{
    const struct ft_task_privacy *p = &c->task->privacy;

    if (p->shop_count < c->task->n_min)
        tell(c, "privacy.shops", "privacy.shops names %u shops, expected at least cohort.n_min %u", p->shop_count,
             c->task->n_min);
    for (uint32_t i = 0; i < p->shop_count; i++) {
        if (p->shops[i].name == NULL || p->shops[i].name[0] == '\0' || strlen(p->shops[i].name) > 64)
            tell(c, "privacy.shops", "shop %u has no name of 1 to 64 bytes", i + 1);
        else if (i > 0 && strcmp(p->shops[i - 1].name, p->shops[i].name) >= 0)
            tell(c, "privacy.shops", "shop %s comes after %s: names must be in ascending order, each once",
                 p->shops[i].name, p->shops[i - 1].name);
        if (p->shops[i].customers < 1 || p->shops[i].customers > TASK_CUSTOMERS_MAX)
            tell(c, "privacy.shops", "shop %u declares %llu customers, expected 1 to %llu", i + 1,
                 (unsigned long long)p->shops[i].customers, (unsigned long long)TASK_CUSTOMERS_MAX);
    }
}

static void
check_adaptive_clip(const struct checker *c)
{
    const struct ft_task_privacy *p = &c->task->privacy;

    if (p->clip_quantile == 0 && p->clip_rate == 0 && p->clip_min == 0 && p->clip_max == 0)
        return;
    real(c, "privacy.adaptive_clip.quantile", p->clip_quantile, 0, 0.99, true);
    real(c, "privacy.adaptive_clip.rate", p->clip_rate, 0, 10, true);
    real(c, "privacy.adaptive_clip.min", p->clip_min, 0, TASK_CLIP_MAX, true);
    real(c, "privacy.adaptive_clip.max", p->clip_max, 0, TASK_CLIP_MAX, true);
    if (!(p->clip_min <= c->task->clip && c->task->clip <= p->clip_max))
        tell(c, "privacy.adaptive_clip", "training.clip %.9g is not between adaptive_clip.min %.9g and max %.9g",
             c->task->clip, p->clip_min, p->clip_max);
}

/* Unit store: one vector of each shop in every round. */
static void
check_store_unit(const struct checker *c)
{
    const struct ft_task_privacy *p = &c->task->privacy;

    if (p->expected_customers != (double)p->shop_count)
        tell(c, "privacy.expected_customers",
             "privacy.expected_customers is %.9g, expected %u, each of the named shops, or no such key: with unit store "
             "there is no sampling (q = 1)",
             p->expected_customers, p->shop_count);
    if (p->m_stores != 1)
        tell(c, "privacy.m_stores", "privacy.m_stores is %u, expected 1 or no such key: with unit store a unit is one shop",
             p->m_stores);
    if (c->task->kind != FT_TASK_STATISTICS && c->task->model != FT_MODEL_KMEANS &&
        p->contribution != FT_CONTRIBUTION_DELTA)
        tell(c, "privacy.contribution",
             "privacy.contribution is %s, expected local-delta or no such key: with unit store a shop adds one vector, the "
             "change of the model over all its rows",
             p->contribution == FT_CONTRIBUTION_GRADIENT ? "gradient" : "missing");
    for (uint32_t i = 0; i < p->shop_count; i++)
        if (p->shops[i].customers != 1) {
            tell(c, "privacy.shops", "shop %u declares %llu customers, expected 1: with unit store a shop is one unit", i + 1,
                 (unsigned long long)p->shops[i].customers);
            break;
        }
}

/* What is wished for; what follows from it is common/plan/privacy_plan's. */
static void
check_privacy(const struct checker *c)
{
    const struct ft_task *t = c->task;
    const struct ft_task_privacy *p = &t->privacy;

    if (t->noise > 1) {
        tell(c, "privacy.noise", "privacy.noise is %u, expected none (0) or discrete-gaussian (1)", t->noise);
        return;
    }
    if (t->noise == 0 && t->unit == FT_UNIT_STORE) {
        tell(c, "privacy.noise",
             "privacy.noise is none, expected discrete-gaussian: unit store is a claim about shops, and without noise "
             "there is none; a task without noise is of unit customer or record");
        return;
    }
    if (t->noise == 0) {
        if (has_privacy(p))
            tell(c, "privacy.noise", "a task without noise makes no privacy claim: leave the other keys out");
        return;
    }
    if ((p->epsilon > 0) == (p->noise_multiplier > 0))
        tell(c, "privacy", "privacy needs one of epsilon and noise_multiplier");
    else if (p->epsilon != 0)
        real(c, "privacy.epsilon", p->epsilon, 0, TASK_BUDGET_MAX, true);
    else
        real(c, "privacy.noise_multiplier", p->noise_multiplier, TASK_NOISE_MIN, TASK_NOISE_MAX, false);
    real(c, "privacy.delta", p->delta, TASK_DELTA_MIN, TASK_DELTA_MAX, false);
    if (t->unit == FT_UNIT_STORE) {
        check_store_unit(c);
    } else {
        real(c, "privacy.expected_customers", p->expected_customers, 0, (double)TASK_CUSTOMERS_MAX, true);
        whole(c, "privacy.m_stores", p->m_stores, 1, TASK_STORES_MAX);
    }
    whole(c, "privacy.spare_rounds", p->spare_rounds, 0, FT_TASK_SPARE_MAX);
    if (t->model == FT_MODEL_KMEANS) {
        if (p->contribution != 0)
            tell(c, "privacy.contribution", "privacy.contribution is given, but kmeans contributes sums and numbers");
        if (p->clip_quantile != 0 || p->clip_rate != 0 || p->clip_min != 0 || p->clip_max != 0)
            tell(c, "privacy.adaptive_clip", "privacy.adaptive_clip is given, but a customer's number in kmeans has a "
                                             "fixed share of the clip");
    } else if (t->kind != FT_TASK_STATISTICS && t->unit != FT_UNIT_STORE && p->contribution != FT_CONTRIBUTION_GRADIENT &&
               p->contribution != FT_CONTRIBUTION_DELTA) {
        tell(c, "privacy.contribution", "privacy.contribution is missing, expected gradient or local-delta");
    }
    if (t->unit != FT_UNIT_STORE && p->contribution == FT_CONTRIBUTION_GRADIENT && t->model == FT_MODEL_CNN)
        tell(c, "privacy.contribution", "a cnn contributes by local-delta");
    check_shops(c);
    check_adaptive_clip(c);
}

/* A path of one feature; static storage is fine, the reporter copies. */
static void
check_features(const struct checker *c)
{
    const struct ft_task *t = c->task;
    char path[64];

    whole(c, "examples.features", t->feature_count, 1, FT_TASK_FEATURES_MAX);
    for (uint32_t i = 0; i < t->feature_count; i++) {
        const struct ft_task_feature *f = &t->features[i];
        if (task_is_identifier(f->name) != NULL) {
            snprintf(path, sizeof path, "examples.features[%u].name", i);
            tell(c, path, "the name of feature %u must be %s", i + 1, task_is_identifier(f->name));
            continue;
        }
        if (strcasecmp(f->name, "customer_id") == 0 || strcasecmp(f->name, "split") == 0 ||
            strcasecmp(f->name, t->label) == 0) {
            snprintf(path, sizeof path, "examples.features[%u].name", i);
            tell(c, path, "%s is the customer, the split or the label and cannot be a feature", f->name);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (f->name[0] == t->features[j].name[0] && strcmp(f->name, t->features[j].name) == 0) {
                snprintf(path, sizeof path, "examples.features[%u].name", i);
                tell(c, path, "feature %s is listed twice, as number %u and %u", f->name, j + 1, i + 1);
                break;
            }
        }
        snprintf(path, sizeof path, "examples.features[%u].min", i);
        if (!isfinite(f->min) || !isfinite(f->max) || fabs(f->min) > TASK_BOUND_MAX ||
            fabs(f->max) > TASK_BOUND_MAX)
            tell(c, path, "feature %s is unbounded: min %.9g and max %.9g must lie within %.0e of zero",
                 f->name, f->min, f->max, TASK_BOUND_MAX);
        else if (f->min >= f->max)
            tell(c, path, "feature %s has min %.9g, expected less than its max %.9g", f->name, f->min,
                 f->max);
    }
}

static void
check_label(const struct checker *c)
{
    const struct ft_task *t = c->task;
    if (t->model == FT_MODEL_KMEANS) {
        if (t->label[0] != '\0' || t->label_min != 0 || t->label_max != 0)
            tell(c, "examples.label", "the task has a label, but kmeans finds segments without one");
        return;
    }
    const bool binary = t->model == FT_MODEL_LOGISTIC || (task_is_network(t) && t->classes <= 2);
    const bool classes = t->model == FT_MODEL_SOFTMAX || (task_is_network(t) && t->classes > 2);
    const double last = classes ? (double)t->classes - 1 : 1;

    if (task_is_identifier(t->label) != NULL)
        tell(c, "examples.label.column", "the label must be %s", task_is_identifier(t->label));
    else if (strcasecmp(t->label, "customer_id") == 0 || strcasecmp(t->label, "split") == 0)
        tell(c, "examples.label.column", "%s cannot be the label", t->label);
    if (!isfinite(t->label_min) || !isfinite(t->label_max) || fabs(t->label_min) > TASK_BOUND_MAX ||
        fabs(t->label_max) > TASK_BOUND_MAX)
        tell(c, "examples.label",
             "the label is unbounded: min %.9g and max %.9g must lie within %.0e of zero", t->label_min,
             t->label_max, TASK_BOUND_MAX);
    else if (t->label_min >= t->label_max)
        tell(c, "examples.label.min", "the label has min %.9g, expected less than its max %.9g", t->label_min,
             t->label_max);
    else if ((binary || classes) && (t->label_min != 0 || t->label_max != last))
        tell(c, "examples.label", "the label runs from %.9g to %.9g, expected 0 to %.0f for this model",
             t->label_min, t->label_max, last);
    else if (t->model == FT_MODEL_POISSON && t->label_min < 0)
        tell(c, "examples.label.min", "the label has min %.9g, expected a count of 0 or more", t->label_min);
}

static void
check_examples(const struct checker *c)
{
    const struct ft_task *t = c->task;
    check_text(c, "examples.sql", t->sql, FT_TASK_SQL_MAX, true);
    if (t->kind != FT_TASK_STATISTICS)
        check_label(c);
    check_features(c);
    whole(c, "examples.rows_per_customer", t->rows_per_customer, 1, TASK_ROWS_PER_MAX);
    whole(c, "examples.rows_max", t->rows_max, 1, TASK_ROWS_MAX);
}

static void
check_convolutions(const struct checker *c)
{
    const struct ft_task *t = c->task;
    uint64_t height = t->image[0], width = t->image[1], channels = t->image[2];

    if (t->image_count != 3 || height > FT_TASK_FEATURES_MAX || width > FT_TASK_FEATURES_MAX ||
        channels > FT_TASK_FEATURES_MAX || height * width * channels != t->feature_count) {
        tell(c, "model.image", "model.image is %llu x %llu x %llu, expected height, width and channels of the %u features",
             (unsigned long long)height, (unsigned long long)width, (unsigned long long)channels, t->feature_count);
        return;
    }
    if (t->channels_count < 1 || t->channels_count > FT_TASK_CONV_MAX || t->kernels_count != t->channels_count ||
        t->pools_count != t->channels_count) {
        tell(c, "model.channels",
             "the model has %u channels, %u kernels and %u pools, expected one of each for 1 to %d convolutions",
             t->channels_count, t->kernels_count, t->pools_count, FT_TASK_CONV_MAX);
        return;
    }
    for (uint32_t i = 0; i < t->channels_count; i++) {
        const uint64_t kernel = t->kernels[i], pool = t->pools[i];
        whole(c, "model.channels", t->channels[i], 1, TASK_CHANNELS_MAX);
        if (kernel % 2 == 0 || kernel > TASK_KERNEL_MAX)
            tell(c, "model.kernels", "kernel %u is %llu, expected an odd number up to %d", i + 1,
                 (unsigned long long)kernel, TASK_KERNEL_MAX);
        if (pool < 1 || pool > TASK_POOL_MAX || pool > height || pool > width) {
            tell(c, "model.pools", "pool %u is %llu for an image of %llu x %llu, expected 1 to %d within the image", i + 1,
                 (unsigned long long)pool, (unsigned long long)height, (unsigned long long)width, TASK_POOL_MAX);
            return;
        }
        if (kernel <= TASK_KERNEL_MAX && (height * width * kernel * kernel * channels > TASK_PATCHES_MAX ||
                                          height * width * t->channels[i] > TASK_PATCHES_MAX))
            tell(c, "model.channels", "convolution %u is too large for its image", i + 1);
        height /= pool;
        width /= pool;
        channels = t->channels[i];
    }
}

static void
check_model(const struct checker *c)
{
    const struct ft_task *t = c->task;
    const bool network = task_is_network(t), cnn = t->model == FT_MODEL_CNN;

    if (t->model < FT_MODEL_LINEAR || t->model > FT_MODEL_KMEANS) {
        tell(c, "model.kind", "model.kind is %u, expected 1 to 7", (unsigned)t->model);
        return;
    }
    if (t->model == FT_MODEL_SOFTMAX)
        whole(c, "model.classes", t->classes, 2, TASK_CLASSES_MAX);
    else if (network && (t->classes == 1 || t->classes > TASK_CLASSES_MAX))
        tell(c, "model.classes", "model.classes is %u, expected 0 or 2 to %d", t->classes, TASK_CLASSES_MAX);
    else if (t->model != FT_MODEL_SOFTMAX && !network && t->classes != 0)
        tell(c, "model.classes", "model.classes is %u, but only softmax, mlp and cnn have classes", t->classes);
    if (t->model == FT_MODEL_KMEANS) {
        whole(c, "model.clusters", t->clusters, 2, TASK_CLUSTERS_MAX);
        whole(c, "model.min_cluster", t->min_cluster, 1, TASK_ROWS_MAX);
        if (t->noise == 0 && t->unit == FT_UNIT_CUSTOMER && t->rows_per_customer > 1)
            tell(c, "examples.rows_per_customer",
                 "examples.rows_per_customer is %u, expected 1: without noise kmeans counts a segment's rows, and one "
                 "customer with several would make a crowd of their own",
                 t->rows_per_customer);
    } else if (t->clusters != 0 || t->min_cluster != 0) {
        tell(c, "model", "model has clusters or min_cluster, but only kmeans has clusters");
    }
    if (network) {
        whole(c, "model.hidden", t->hidden_count, cnn ? 0 : 1, FT_TASK_HIDDEN_MAX);
        for (uint32_t i = 0; i < t->hidden_count && i < FT_TASK_HIDDEN_MAX; i++)
            whole(c, "model.hidden", t->hidden[i], 1, TASK_WIDTH_MAX);
        if (t->activation != FT_ACT_RELU && t->activation != FT_ACT_TANH)
            tell(c, "model.activation", "model.activation is missing, expected relu or tanh");
    } else {
        if (t->hidden_count != 0)
            tell(c, "model.hidden", "model.hidden has %u layers, but only mlp and cnn have hidden layers",
                 t->hidden_count);
        if (t->activation != 0)
            tell(c, "model.activation", "model.activation is given, but only mlp and cnn have an activation");
    }
    if (cnn)
        check_convolutions(c);
    else if (t->image_count + t->channels_count + t->kernels_count + t->pools_count != 0)
        tell(c, "model", "model has image, channels, kernels or pools, but only cnn has convolutions");
    if (t->hidden_count <= FT_TASK_HIDDEN_MAX && t->channels_count <= FT_TASK_CONV_MAX &&
        ft_task_parameters(t) > TASK_PARAMETERS_MAX)
        tell(c, "model", "the model has %llu parameters, expected at most %llu",
             (unsigned long long)ft_task_parameters(t), (unsigned long long)TASK_PARAMETERS_MAX);
}

static void
check_training(const struct checker *c)
{
    const struct ft_task *t = c->task;
    whole(c, "training.rounds", t->rounds, 1, TASK_ROUNDS_MAX);
    if (t->model == FT_MODEL_KMEANS) {
        if ((t->local_epochs | t->batch_size | t->weight_cap | (uint32_t)t->server) != 0 || t->learning_rate != 0 ||
            t->momentum != 0 || t->weight_decay != 0 || t->server_learning_rate != 0 || t->server_momentum != 0 ||
            t->server_beta2 != 0 || t->server_epsilon != 0)
            tell(c, "training", "kmeans has no local epochs, batches, learning rates, weight cap or server: a centroid "
                                "moves to the mean of its rows");
        if (t->noise != 0)
            real(c, "training.clip", t->clip, 0, TASK_CLIP_MAX, true);
        else if (t->clip != 0)
            tell(c, "training.clip", "training.clip is %.9g, but without noise the declared ranges bound the sums", t->clip);
        return;
    }
    whole(c, "training.local_epochs", t->local_epochs, 1, TASK_EPOCHS_MAX);
    whole(c, "training.batch_size", t->batch_size, 0, TASK_BATCH_MAX);
    real(c, "training.learning_rate", t->learning_rate, 0, TASK_RATE_MAX, true);
    real(c, "training.momentum", t->momentum, 0, TASK_MOMENTUM_MAX, false);
    real(c, "training.weight_decay", t->weight_decay, 0, TASK_DECAY_MAX, false);
    real(c, "training.clip", t->clip, 0, TASK_CLIP_MAX, true);
    whole(c, "training.weight_cap", t->weight_cap, 1, TASK_WEIGHT_MAX);
    if (t->server < FT_SERVER_FEDAVG || t->server > FT_SERVER_FEDADAM)
        tell(c, "training.server.optimizer", "training.server.optimizer is %u, expected 1 to 3",
             (unsigned)t->server);
    real(c, "training.server.learning_rate", t->server_learning_rate, 0, TASK_RATE_MAX, true);
    real(c, "training.server.momentum", t->server_momentum, 0, TASK_MOMENTUM_MAX, false);
    real(c, "training.server.beta2", t->server_beta2, 0, 0.999999, false);
    real(c, "training.server.epsilon", t->server_epsilon, 0, TASK_EPSILON_MAX, true);
}

struct ft_task_cohort
ft_task_cohort(const struct ft_task *task, uint32_t n)
{
    const uint64_t f = task->corrupted;
    struct ft_task_cohort a = { .n = n };
    uint64_t threshold = n > 0 ? ((uint64_t)n - 1 + f) / 2 + 1 : 2;

    a.dropouts = (uint32_t)((uint64_t)n * task->drop_permille / 1000);
    a.survivors = n - (a.dropouts < n ? a.dropouts : n);
    a.honest = (int64_t)a.survivors - (int64_t)f;
    a.quorum = (uint32_t)(((uint64_t)n + f) / 2 + 1);
    a.threshold = (uint32_t)(threshold > 2 ? threshold : 2);
    return a;
}

static bool
cohort_works(const struct ft_task *t, uint32_t n)
{
    const struct ft_task_cohort a = ft_task_cohort(t, n);
    return a.honest >= (int64_t)t->h_min && a.quorum <= a.survivors && a.threshold <= a.survivors;
}

/* P1 to P3 for every cohort the task admits. The first size that fails is told with its numbers, and what
 * would do. */
static void
check_cohort_arithmetic(const struct checker *c)
{
    const struct ft_task *t = c->task;
    uint32_t n = t->n_min, least = t->n_cap;
    char advice[96];

    while (n <= t->n_cap && cohort_works(t, n))
        n++;
    if (n > t->n_cap)
        return;
    while (least > 0 && cohort_works(t, least))
        least--;
    if (least < t->n_cap)
        snprintf(advice, sizeof advice, "; n_min %u would do", least + 1);
    else
        snprintf(advice, sizeof advice, "; no cohort up to n_cap %u works", t->n_cap);

    const struct ft_task_cohort a = ft_task_cohort(t, n);
    if (a.honest < (int64_t)t->h_min)
        tell(c, "cohort.h_min",
             "a cohort of %u with D = floor(%u * %u / 1000) = %u dropouts and F = %u corrupted leaves h = %u "
             "- %u - %u = "
             "%lld honest survivors, expected at least h_min %u%s",
             n, n, t->drop_permille, a.dropouts, t->corrupted, n, a.dropouts, t->corrupted,
             (long long)a.honest, t->h_min, advice);
    if (a.quorum > a.survivors)
        tell(c, "cohort.n_min",
             "a cohort of %u needs q = floor((%u + %u) / 2) + 1 = %u signatures, but only n - D = %u - %u = "
             "%u "
             "survive%s",
             n, n, t->corrupted, a.quorum, n, a.dropouts, a.survivors, advice);
    if (a.threshold > a.survivors)
        tell(c, "cohort.n_min",
             "a cohort of %u needs t = max(2, floor((%u - 1 + %u) / 2) + 1) = %u shares, but only n - D = %u "
             "- %u = %u "
             "survive%s",
             n, n, t->corrupted, a.threshold, n, a.dropouts, a.survivors, advice);
}

uint64_t
ft_task_quant_max(const struct ft_task *task)
{
    if (task->lane_bits < 2 || task->lane_bits > 64 || task->n_cap == 0)
        return 0;
    return ((UINT64_C(1) << (task->lane_bits - 1)) - 1) / task->n_cap;
}

static void
check_cohort(const struct checker *c)
{
    const struct ft_task *t = c->task;
    const uint32_t w = t->lane_bits;
    const bool ranges = t->n_min >= 2 && t->n_cap >= t->n_min && t->n_cap <= TASK_N_MAX &&
                        t->drop_permille <= TASK_DROP_MAX && t->corrupted <= TASK_N_MAX;

    whole(c, "cohort.n_min", t->n_min, 2, TASK_N_MAX);
    whole(c, "cohort.n_cap", t->n_cap, 2, TASK_N_MAX);
    if (t->n_cap < t->n_min)
        tell(c, "cohort.n_cap", "cohort.n_cap is %u, expected at least n_min %u", t->n_cap, t->n_min);
    whole(c, "cohort.h_min", t->h_min, 2, TASK_N_MAX);
    /* Every shop sees the model, so one curious shop subtracts its own input: F is at least 1. */
    whole(c, "cohort.corrupted", t->corrupted, 1, TASK_N_MAX);
    whole(c, "cohort.drop_permille", t->drop_permille, 0, TASK_DROP_MAX);
    whole(c, "cohort.sigma", t->sigma, TASK_SIGMA_MIN, TASK_SIGMA_MAX);
    whole(c, "cohort.eta", t->eta, TASK_ETA_MIN, TASK_SIGMA_MAX);
    whole(c, "cohort.suite", t->suite, 1, 2);
    if (w != 12 && w != 16 && w != 21 && w != 32 && w != 64)
        tell(c, "cohort.lane_bits", "cohort.lane_bits is %u, expected 12, 16, 21, 32 or 64", w);
    else if (t->n_cap >= 1 && t->n_cap <= TASK_N_MAX && ft_task_quant_max(t) < TASK_QUANT_MIN)
        tell(c, "cohort.lane_bits",
             "a sum over n_cap %u could wrap its lane of %u bits: Q = floor((2^%u - 1) / %u) = %llu steps, "
             "expected at "
             "least %d; use wider lanes or a smaller n_cap",
             t->n_cap, w, w - 1, t->n_cap, (unsigned long long)ft_task_quant_max(t), TASK_QUANT_MIN);
    if (ranges)
        check_cohort_arithmetic(c);
}

static void
check_schedule(const struct checker *c)
{
    const struct ft_task *t = c->task;
    whole(c, "schedule.join", t->join_ms, 1, TASK_DURATION_MAX);
    whole(c, "schedule.step", t->step_ms, 1, TASK_DURATION_MAX);
    whole(c, "schedule.session", t->session_ms, 1, TASK_DURATION_MAX);
    whole(c, "schedule.pause", t->pause_ms, 0, TASK_DURATION_MAX);
    if (t->session_ms < t->step_ms || t->session_ms < t->join_ms)
        tell(c, "schedule.session",
             "schedule.session is %llu ms, expected at least join %llu ms and step %llu ms",
             (unsigned long long)t->session_ms, (unsigned long long)t->join_ms,
             (unsigned long long)t->step_ms);
    if (t->kind == FT_TASK_STATISTICS)
        return;
    if (t->model == FT_MODEL_KMEANS) {
        if (t->bins != 0 || t->calibration_bins != 0)
            tell(c, "evaluation", "evaluation has bins, but kmeans has no scores");
        return;
    }
    whole(c, "evaluation.bins", t->bins, 2, TASK_BINS_MAX);
    whole(c, "evaluation.calibration_bins", t->calibration_bins, 1, TASK_CALIBRATION_MAX);
}

void
task_check(const struct ft_task *task, task_report *report, void *ctx)
{
    const struct checker c = { .task = task, .report = report, .ctx = ctx };
    check_identity(&c);
    check_examples(&c);
    if (task->kind > FT_TASK_STATISTICS)
        tell(&c, "kind", "kind is %u, expected train (0) or statistics (1)", task->kind);
    else if (task->kind == FT_TASK_STATISTICS)
        task_check_statistics(task, report, ctx);
    else if (task->measure_count != 0)
        tell(&c, "statistics", "statistics are measured by a task of kind statistics");
    if (task->kind != FT_TASK_STATISTICS) {
        check_model(&c);
        check_training(&c);
    }
    check_privacy(&c);
    check_cohort(&c);
    check_schedule(&c);
}

static void
first_into_error(void *ctx, const char *path, const char *sentence)
{
    struct ft_error *err = ctx;
    (void)ft_fail(err, FT_ERR_CONFIG, "%s: %s", path, sentence);
}

enum ft_status
ft_task_validate(const struct ft_task *task, struct ft_error *err)
{
    struct ft_error own = { 0 };
    task_check(task, first_into_error, &own);
    return own.status == FT_OK ? FT_OK : ft_fail(err, FT_ERR_CONFIG, "%s", own.text);
}
