/* Contributions with noise, with the noise taken away again: what is left against plain references. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/vault/contribute.h"
#include "common/base/alloc.h"
#include "common/model/train.h"
#include "common/plan/round_plan.h"
#include "common/privacy/noise_internal.h"
#include "common/privacy/rotate.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#define CUSTOMERS 7
#define PER       3 /* rows a customer at most */
#define FEATURES  2
#define EVERYBODY UINT32_MAX /* in place of a customer: all rows */
#define ROOM      256

#define CROWDS                                                                                                         \
    "  shops: [{shop: a, customers: 500}, {shop: b, customers: 1000}, {shop: c, customers: 500},\n"                    \
    "          {shop: d, customers: 500}, {shop: e, customers: 500}, {shop: f, customers: 1000}]\n"
#define TASK(model, unit, privacy) TASK_OF(model, unit, CROWDS privacy)
#define STORE(model, privacy)                                                                                          \
    TASK_OF(model, "store", "  shops: [{shop: a}, {shop: b}, {shop: c}, {shop: d}, {shop: e}, {shop: f}]\n" privacy)
#define TASK_OF(model, unit, privacy)                                                                                     \
    "version: 1\ntask: sample\ntitle: A sample\npurpose: train/propensity\nowner: Central data team\n"                \
    "expires: 2027-12-31\nreview: 2027-06-30\nunit: " unit "\nexamples:\n"                                             \
    "  sql: SELECT customer_id, split, y, a, b FROM t\n  label: {column: y, min: 0, max: 1}\n  features:\n"            \
    "    - {name: a, min: 0, max: 10}\n    - {name: b, min: -1, max: 1}\n"                                             \
    "  rows_per_customer: 3\n  rows_max: 1000\nmodel: {kind: " model "}\n"                                             \
    "training: {rounds: 30, local_epochs: 2, batch_size: 0, learning_rate: 0.5, clip: 0.5, weight_cap: 2000,\n"        \
    "           server: {optimizer: fedavg, learning_rate: 1}}\nprivacy:\n"                                           \
    "  noise: discrete-gaussian\n  epsilon: 8\n  delta: 1.0e-5\n  m_stores: 1\n  spare_rounds: 2\n"                    \
    privacy            \
    "cohort: {n_min: 6, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n"                  \
    "         suite: aes-256-ctr, lane_bits: 64}\n"                                                                    \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"
/* Two segments in the same features. */
#define KMEANS(privacy) KMEANS_OF("customer", "  m_stores: 1\n" CROWDS privacy)
#define STORE_KMEANS(privacy)                                                                                          \
    KMEANS_OF("store", "  shops: [{shop: a}, {shop: b}, {shop: c}, {shop: d}, {shop: e}, {shop: f}]\n" privacy)
#define KMEANS_OF(unit, privacy)                                                                                       \
    "version: 1\ntask: sample\ntitle: A sample\npurpose: train/segmentation\nowner: Central data team\n"              \
    "expires: 2027-12-31\nreview: 2027-06-30\nunit: " unit "\nexamples:\n"                                            \
    "  sql: SELECT customer_id, split, a, b FROM t\n  features:\n"                                                     \
    "    - {name: a, min: 0, max: 10}\n    - {name: b, min: -1, max: 1}\n"                                             \
    "  rows_per_customer: 3\n  rows_max: 1000\nmodel: {kind: kmeans, clusters: 2}\n"                                   \
    "training: {rounds: 30, clip: 0.9}\nprivacy:\n"                                                                   \
    "  noise: discrete-gaussian\n  epsilon: 8\n  delta: 1.0e-5\n  spare_rounds: 2\n" privacy                              \
    "cohort: {n_min: 6, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n"                  \
    "         suite: aes-256-ctr, lane_bits: 64}\n"                                                                    \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"
/* A task that measures: the count and five measures of weights 1 (the count), 4, 1, 1, 1 and 1. */
#define MEASURES(unit, privacy)                                                                                        \
    "version: 1\nkind: statistics\ntask: sample\ntitle: A sample\npurpose: measure/propensity\n"                      \
    "owner: Central data team\nexpires: 2027-12-31\nreview: 2027-06-30\nunit: " unit "\nexamples:\n"                  \
    "  sql: SELECT customer_id, a, b FROM t\n  features:\n"                                                            \
    "    - {name: a, min: 0, max: 10}\n    - {name: b, min: -1, max: 1}\n"                                             \
    "  rows_per_customer: 3\n  rows_max: 1000\nstatistics:\n"                                                         \
    "  - {measure: mean, feature: a, weight: 4}\n  - {measure: deviation, feature: b}\n"                               \
    "  - {measure: histogram, feature: a, edges: [1, 4]}\n"                                                            \
    "  - {measure: quantiles, feature: a, at: [0.5], bins: 4}\n"                                                       \
    "  - {measure: cross, feature: a, bins: 2, with: b, with_bins: 2}\nprivacy:\n"                                     \
    "  noise: discrete-gaussian\n  epsilon: 8\n  delta: 1.0e-5\n  spare_rounds: 2\n" privacy                          \
    "cohort: {n_min: 6, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n"                  \
    "         suite: aes-256-ctr, lane_bits: 64}\n"                                                                    \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"
#define PEOPLE(privacy) MEASURES("customer", "  m_stores: 1\n  expected_customers: 4000\n" CROWDS privacy)
#define SHOPS(privacy)                                                                                                 \
    MEASURES("store", "  shops: [{shop: a}, {shop: b}, {shop: c}, {shop: d}, {shop: e}, {shop: f}]\n" privacy)
#define ALL      "  expected_customers: 4000\n"
#define GRADIENT "  contribution: gradient\n"
#define DELTA    "  contribution: local-delta\n"
#define ADAPTIVE "  adaptive_clip: {quantile: 0.5, rate: 0.2, min: 0.01, max: 10}\n"
#define ROTATED  "  rotation: true\n"

struct fixture {
    struct ft_task task;
    struct ft_round_plan plan;
    struct ft_model_state model;
    struct ft_examples e;
    float x[CUSTOMERS * PER * FEATURES], y[CUSTOMERS * PER];
    uint32_t whose[CUSTOMERS * PER];
    double means[FEATURES], stds[FEATURES];
    float params[2 * FEATURES]; /* of a logistic model the first three */
};

/* Customers' rows lie apart, as a query returns them: row r is of customer r mod CUSTOMERS; the first has only one. */
static void
open_fixture(struct fixture *f, const char *yaml, enum ft_stage stage)
{
    static const uint8_t deployment[16];
    struct ft_error err = { 0 };
    size_t rows = 0;

    memset(f, 0, sizeof *f);
    if (ft_task_from_yaml(FT_BYTES(yaml, strlen(yaml)), "t.yaml", deployment, &f->task, &err) != FT_OK ||
        ft_plan_privacy_derive(&f->task, &err) != FT_OK ||
        ft_round_plan_init(&f->plan, &f->task, stage, &err) != FT_OK)
        fail_msg("%s", err.text);
    for (size_t r = 0; r < CUSTOMERS * PER; r++) {
        if (r % CUSTOMERS == 0 && r > 0)
            continue;
        f->whose[rows] = (uint32_t)(r % CUSTOMERS);
        f->x[rows * FEATURES] = (float)((r * 7 + 1) % 11) * 0.9f;
        f->x[rows * FEATURES + 1] = (float)((r * 5 + 2) % 7) * 0.3f - 0.9f;
        f->y[rows] = (float)((r * 3 + r / 2) % 2);
        rows++;
    }
    f->e = (struct ft_examples){ .rows_train = rows,
                                 .rows_test = rows,
                                 .feature_count = FEATURES,
                                 .x_train = f->x,
                                 .y_train = f->y,
                                 .x_test = f->x,
                                 .y_test = f->y,
                                 .customer_train = f->whose,
                                 .customer_test = f->whose,
                                 .customers_train = CUSTOMERS,
                                 .customers_test = CUSTOMERS };
    f->means[0] = 4;
    f->stds[0] = 3;
    f->stds[1] = 0.5;
    for (int i = 0; i < 2 * FEATURES; i++)
        f->params[i] = 0.37f * (float)i - 0.29f;
    f->model = (struct ft_model_state){ .stage = stage,
                                        .means = f->means,
                                        .stds = f->stds,
                                        .features = FEATURES,
                                        .params = f->params,
                                        .parameters = ft_model_parameters(&f->plan.model) };
}

/* Contribute with all randomness from `seed`, which draws the noise first: taken away, the sum itself is left. */
static void
sum_before_noise(const struct fixture *f, uint64_t seed, int64_t *z, struct ft_noise **noise_out)
{
    static const uint8_t hash[32];
    struct ft_env_seeded env, same;
    struct ft_contributor *c;
    struct ft_noise *noise;
    struct ft_error err = { 0 };
    struct ft_examples e = f->e;
    uint64_t *words, weight;
    bool standardised = false;
    const struct ft_work work = { &f->task, hash, &f->plan, &f->model, false };

    ft_env_seeded_init(&env, seed, 1);
    ft_env_seeded_init(&same, seed, 1);
    assert_int_equal(ft_contributor_open(&env.env, &c), FT_OK);
    if (ft_contribute(c, &work, &e, &standardised, &words, &err) != FT_OK)
        fail_msg("%s", err.text);
    assert_false(standardised); /* the rows stay raw */
    assert_int_equal(ft_contributor_faults(c), 0);
    assert_int_equal(ft_ss_unpack(&f->plan.codec, words, 1, z, &weight), FT_OK);
    assert_int_equal(weight, 0);
    ft_big_free(words, (size_t)f->plan.codec.words * 8);
    ft_contributor_close(c);
    assert_int_equal(ft_noise_draw(&same.env, f->plan.privacy.dim, f->plan.privacy.params.sigma_share, &noise), FT_OK);
    for (uint64_t i = 0; i < f->plan.privacy.dim; i++)
        z[i] -= noise->values[i];
    if (noise_out != NULL)
        *noise_out = noise;
    else
        ft_noise_close(noise);
}

/* Rows of one customer, standardised for all stages but statistics. */
static size_t
own_rows(const struct fixture *f, uint32_t who, float *x, float *y)
{
    const bool raw = f->plan.stage == FT_STAGE_STATISTICS;
    size_t n = 0;
    for (size_t r = 0; r < f->e.rows_train; r++) {
        if (f->whose[r] != who && who != EVERYBODY)
            continue;
        for (int j = 0; j < FEATURES; j++)
            x[n * FEATURES + (size_t)j] = raw ? f->x[r * FEATURES + (size_t)j]
                                              : (float)(((double)f->x[r * FEATURES + (size_t)j] - f->means[j]) / f->stds[j]);
        y[n++] = f->y[r];
    }
    return n;
}

/* The same of k-means: at the nearest of two centroids. */
static void
plain_clusters(const struct fixture *f, const float *x, size_t n, double *v)
{
    const double reach = sqrt(0.75) * f->plan.privacy.clip;

    for (size_t r = 0; r < n; r++) {
        double d[2] = { 0, 0 };
        for (int k = 0; k < 2; k++)
            for (int j = 0; j < FEATURES; j++)
                d[k] += pow((double)x[r * 2 + (size_t)j] - (double)f->params[2 * k + j], 2);
        const int k = d[1] < d[0];
        if (f->plan.stage == FT_STAGE_EVALUATE) { /* at most 2 a feature counts */
            v[0] += fmin(d[k], 4) / 4 / sqrt(2) / (double)n;
            v[1 + k] += 1 / sqrt(2) / (double)n;
            continue;
        }
        for (int j = 0; j < FEATURES; j++)
            v[3 * k + j] += ((double)x[r * 2 + (size_t)j] - (double)f->params[2 * k + j]) *
                            fmin(1, reach / sqrt(d[k])) / (double)n;
        v[3 * k + 2] += f->plan.privacy.clip / 2 / (double)n;
    }
}

/* What MEASURES asks for, cell by cell: a unit of length 1 is shared by the weights' square roots. */
static void
measured_vector(const float *x, size_t n, double *v)
{
    const double third = 1.0 / 3, half = third / sqrt(2), part = 1 / (double)n;

    v[0] = third;
    for (size_t r = 0; r < n; r++) {
        const double a = (double)x[2 * r], b = (double)x[2 * r + 1];
        v[1] += 2 * third * (a / 5 - 1) * part;
        v[2] += half * b * part;
        v[3] += half * (2 * b * b - 1) * part;
        v[4 + (a < 1 ? 0 : a < 4 ? 1 : 2)] += third * part;
        v[7 + (a < 5 ? 0 : 1)] += half * part;
        v[9 + (a < 2.5 ? 0 : a < 5 ? 1 : a < 7.5 ? 2 : 3)] += half * part;
        v[13 + (a < 5 ? 0 : 2) + (b < 0 ? 0 : 1)] += third * part;
    }
}

/* The customer's vector by the book, in double. */
static void
plain_vector(const struct fixture *f, uint32_t who, double *v)
{
    float x[CUSTOMERS * PER * FEATURES], y[CUSTOMERS * PER], g[FEATURES + 1];
    const size_t n = own_rows(f, who, x, y);
    struct ft_env_seeded env;

    memset(v, 0, f->plan.privacy.coordinates * sizeof *v);
    if (f->task.kind == FT_TASK_STATISTICS) {
        measured_vector(x, n, v);
        return;
    }
    ft_env_seeded_init(&env, 1, 1);
    if (f->task.model == FT_MODEL_KMEANS && f->plan.stage != FT_STAGE_STATISTICS) {
        plain_clusters(f, x, n, v);
        return;
    }
    for (size_t r = 0; r < n; r++) {
        const double a[2] = { (double)x[r * 2], (double)x[r * 2 + 1] };
        const double z = (double)f->params[0] * a[0] + (double)f->params[1] * a[1] + (double)f->params[2];
        const double p = 1 / (1 + exp(-z));
        const bool positive = y[r] > 0.5f;
        if (f->plan.stage == FT_STAGE_STATISTICS) {
            const double w[2] = { a[0] / 5 - 1, a[1] };
            for (int j = 0; j < 2; j++) {
                v[j] += w[j] / sqrt(5) / (double)n;
                v[2 + j] += w[j] * w[j] / sqrt(5) / (double)n;
            }
            v[4] = 1 / sqrt(5);
        } else if (f->plan.stage == FT_STAGE_EVALUATE) {
            const double loss = fmin(positive ? -log(p) : -log1p(-p), FT_PRIVATE_LOSS_CAP) / FT_PRIVATE_LOSS_CAP;
            v[0] += 0.5 / (double)n;
            v[1] += (z > 0) == positive ? 0.5 / (double)n : 0;
            v[2] += 0.5 * loss / (double)n;
            v[3 + (positive ? 0 : FT_PRIVATE_BINS) + (int)(FT_PRIVATE_BINS / (1 + exp(-z / 2)))] += 0.5 / (double)n;
        } else if (f->task.privacy.contribution == FT_CONTRIBUTION_GRADIENT) {
            for (int j = 0; j < 2; j++)
                v[j] += (y[r] - p) * a[j] / (double)n;
            v[2] += (y[r] - p) / (double)n;
        }
    }
    if (f->plan.stage == FT_STAGE_TRAIN && f->task.privacy.contribution == FT_CONTRIBUTION_DELTA) {
        const struct ft_train_config config = { .local_epochs = 2, .learning_rate = 0.5 };
        const struct ft_dataset data = { x, y, n };
        struct ft_trainer *t;
        assert_int_equal(ft_trainer_open(&f->plan.model, &config, CUSTOMERS * PER, &t, NULL), FT_OK);
        assert_int_equal(ft_train_local(t, &data, &env.env, f->params, g), FT_OK);
        for (int j = 0; j <= FEATURES; j++)
            v[j] = (double)g[j];
        ft_trainer_close(t);
    }
}

static void
check_against_plain(const char *yaml, enum ft_stage stage)
{
    struct fixture f;
    int64_t z[ROOM];
    double back[ROOM] = { 0 }, want[ROOM] = { 0 }, v[ROOM];
    uint8_t signs[ROOM];

    open_fixture(&f, yaml, stage);
    const struct ft_privacy_plan *p = &f.plan.privacy;
    assert_true(p->dim <= ROOM);
    sum_before_noise(&f, 11, z, NULL);
    const size_t padded = (size_t)p->dim - p->indicator;
    for (size_t i = 0; i < padded; i++)
        back[i] = (double)z[i] * f.plan.codec.quant_step;
    if (p->rotated) {
        ft_rotate_signs(f.task.privacy.rotation_seed, signs, padded);
        ft_rotate_back(signs, back, padded);
    }
    int64_t below = 0;
    const bool store = f.task.unit == FT_UNIT_STORE;
    for (uint32_t who = 0; who < (store ? 1 : CUSTOMERS); who++) {
        double norm = 0;
        plain_vector(&f, store ? EVERYBODY : who, v);
        for (size_t i = 0; i < p->coordinates; i++)
            norm += v[i] * v[i];
        norm = sqrt(norm);
        below += norm <= p->clip ? 1 : -1;
        for (size_t i = 0; i < p->coordinates; i++)
            want[i] += v[i] * fmin(1, p->clip / norm);
    }
    /* each customer's coordinate is rounded by less than one step; a rotation spreads that over its coordinates */
    const double near = CUSTOMERS * f.plan.codec.quant_step * (p->rotated ? sqrt((double)padded) : 1) + 1e-5;
    double length = 0;
    for (size_t i = 0; i < p->coordinates; i++) {
        length += want[i] * want[i];
        if (!(fabs(back[i] - want[i]) <= near))
            fail_msg("coordinate %zu: %g, expected %g", i, back[i], want[i]);
    }
    assert_true(sqrt(length) > 20 * f.plan.codec.quant_step); /* there was something to compare */
    if (p->indicator)
        assert_int_equal(z[p->dim - 1], below * (int64_t)p->params.lambda);
    ft_task_clear(&f.task);
}

/* A statistics task: what it measures of every customer, each once by the mean of their rows; or of the shop as one. */
static void
a_private_measurement_sums_what_each_customer_is(void **ctx)
{
    (void)ctx;
    check_against_plain(PEOPLE(""), FT_STAGE_STATISTICS);
    check_against_plain(PEOPLE(ROTATED), FT_STAGE_STATISTICS);
    check_against_plain(SHOPS(""), FT_STAGE_STATISTICS);
}

/* Training by gradients: the clipped sum of every customer's mean descent direction. */
static void
a_private_training_round_sums_clipped_gradients(void **ctx)
{
    (void)ctx;
    check_against_plain(TASK("logistic", "customer", ALL GRADIENT), FT_STAGE_TRAIN);
    check_against_plain(TASK("logistic", "customer", ALL GRADIENT ADAPTIVE ROTATED), FT_STAGE_TRAIN);
}

/* Training by local changes: each customer's own, from that customer's rows alone. */
static void
a_private_training_round_sums_clipped_local_changes(void **ctx)
{
    (void)ctx;
    check_against_plain(TASK("logistic", "customer", ALL DELTA), FT_STAGE_TRAIN);
    check_against_plain(TASK("logistic", "customer", ALL DELTA ADAPTIVE ROTATED), FT_STAGE_TRAIN);
}

/* k-means: each customer's part of sums and numbers, at the clip and below it; and inertia and shares. */
static void
private_segments_sum_the_customers_parts(void **ctx)
{
    (void)ctx;
    check_against_plain(KMEANS(ALL), FT_STAGE_STATISTICS);
    check_against_plain(KMEANS(ALL), FT_STAGE_TRAIN);
    check_against_plain(KMEANS(ALL ROTATED), FT_STAGE_TRAIN);
    check_against_plain(KMEANS(ALL), FT_STAGE_EVALUATE);
}

/* Statistics and evaluation go the same way, with their own vectors. */
static void
private_statistics_and_evaluation_sum_their_vectors(void **ctx)
{
    (void)ctx;
    check_against_plain(TASK("logistic", "customer", ALL GRADIENT), FT_STAGE_STATISTICS);
    check_against_plain(TASK("logistic", "customer", ALL GRADIENT ROTATED), FT_STAGE_STATISTICS);
    check_against_plain(TASK("logistic", "customer", ALL GRADIENT), FT_STAGE_EVALUATE);
    check_against_plain(TASK("logistic", "customer", ALL GRADIENT ROTATED), FT_STAGE_EVALUATE);
}

/* Unit store: one vector, the change of the model by local training on all rows, or their mean in the other stages. */
static void
a_store_contributes_one_vector_of_all_its_rows(void **ctx)
{
    (void)ctx;
    for (unsigned stage = FT_STAGE_STATISTICS; stage <= FT_STAGE_EVALUATE; stage++) {
        check_against_plain(STORE("logistic", ""), (enum ft_stage)stage);
        check_against_plain(STORE("logistic", ADAPTIVE ROTATED), (enum ft_stage)stage);
        check_against_plain(STORE_KMEANS(""), (enum ft_stage)stage);
    }
}

static unsigned __int128
distance_sq(const int64_t *a, const int64_t *b, uint64_t dim)
{
    unsigned __int128 sum = 0;
    for (uint64_t i = 0; i < dim; i++) {
        const __int128 d = (__int128)a[i] - b[i];
        sum += (unsigned __int128)(d * d);
    }
    return sum;
}

static void
randomise(struct fixture *f, struct ft_env_seeded *random)
{
    static const float hard[] = { 0, 10, -1, 1, 3e38f, -3e38f, NAN, INFINITY, 1e-40f };
    for (size_t r = 0; r < f->e.rows_train; r++) {
        for (int j = 0; j < FEATURES; j++) {
            const uint64_t any = ft_random_below(&random->env, 40);
            f->x[r * FEATURES + (size_t)j] = any < 9 ? hard[any] : (float)any / 4 - 2;
        }
        f->y[r] = (float)ft_random_below(&random->env, 2);
    }
}

/* Whatever the rows hold, a customer who is added or taken out moves the integers before noise by at most Delta, to
 * the last unit, and one whose rows are all changed by twice that; rotation, indicator and rounding are on. */
static void
one_customer_moves_the_integers_by_at_most_delta(void **ctx)
{
    static const char *const yaml[] = { TASK("logistic", "customer", ALL GRADIENT ADAPTIVE ROTATED),
                                        TASK("logistic", "customer", ALL DELTA ADAPTIVE ROTATED),
                                        TASK("linear", "customer", ALL GRADIENT), KMEANS(ALL), KMEANS(ALL ROTATED),
                                        PEOPLE(""), PEOPLE(ROTATED) };
    struct ft_env_seeded random;
    unsigned __int128 farthest = 0;
    (void)ctx;
    ft_env_seeded_init(&random, 99, 1);
    for (size_t t = 0; t < sizeof yaml / sizeof yaml[0]; t++)
        for (unsigned stage = FT_STAGE_STATISTICS; stage <= (t < 5 ? FT_STAGE_EVALUATE : FT_STAGE_STATISTICS); stage++)
            for (uint64_t trial = 0; trial < 40; trial++) {
                struct fixture f;
                int64_t with[ROOM], without[ROOM], other[ROOM];
                open_fixture(&f, yaml[t], (enum ft_stage)stage);
                randomise(&f, &random);
                for (int i = 0; i <= FEATURES; i++)
                    f.params[i] = (float)ft_random_below(&random.env, 100) / 5 - 10;
                sum_before_noise(&f, trial, with, NULL);
                struct fixture g = f;
                g.e.x_train = g.e.x_test = g.x;
                g.e.y_train = g.e.y_test = g.y;
                randomise(&g, &random);
                for (size_t r = 0; r < f.e.rows_train; r++) /* only customer 3 has other rows */
                    if (f.whose[r] != 3) {
                        memcpy(g.x + r * FEATURES, f.x + r * FEATURES, FEATURES * sizeof(float));
                        g.y[r] = f.y[r];
                    }
                sum_before_noise(&g, trial, other, NULL);
                const unsigned __int128 most = f.plan.privacy.params.delta_int_sq;
                assert_true(distance_sq(with, other, f.plan.privacy.dim) <= 4 * most);
                size_t rows = 0; /* the last customer has never been here */
                for (size_t r = 0; r < f.e.rows_train; r++)
                    if (f.whose[r] != CUSTOMERS - 1) {
                        memmove(f.x + rows * FEATURES, f.x + r * FEATURES, FEATURES * sizeof(float));
                        f.y[rows] = f.y[r];
                        f.whose[rows++] = f.whose[r];
                    }
                f.e.rows_train = f.e.rows_test = rows;
                f.e.customers_train = f.e.customers_test = CUSTOMERS - 1;
                f.e.customer_train = f.e.customer_test = f.whose;
                sum_before_noise(&f, trial, without, NULL);
                const unsigned __int128 moved = distance_sq(with, without, f.plan.privacy.dim);
                assert_true(moved <= most);
                farthest = moved > farthest ? moved : farthest;
                ft_task_clear(&f.task);
            }
    assert_true(farthest > (UINT64_C(1) << 24) / 2); /* clipped vectors reach the bound: S^2 is 2^24 */
}

/* Zeroing a store out, exactly: nothing is left of it in any coordinate, not in a count and not in the indicator, and
 * whatever its rows held it moves the integers before noise by at most Delta, to the last unit, in every stage. */
static void
zeroing_a_store_moves_the_integers_by_at_most_delta(void **ctx)
{
    static const char *const yaml[] = { STORE("logistic", ADAPTIVE ROTATED), STORE("logistic", ADAPTIVE),
                                        STORE("linear", ROTATED), STORE_KMEANS(ROTATED), SHOPS("") };
    struct ft_env_seeded random;
    (void)ctx;
    ft_env_seeded_init(&random, 98, 1);
    for (size_t t = 0; t < sizeof yaml / sizeof yaml[0]; t++)
        for (unsigned stage = FT_STAGE_STATISTICS; stage <= (t < 4 ? FT_STAGE_EVALUATE : FT_STAGE_STATISTICS); stage++) {
            unsigned __int128 farthest = 0;
            struct fixture f;
            for (uint64_t trial = 0; trial < 40; trial++) {
                int64_t with[ROOM], zeroed[ROOM];
                open_fixture(&f, yaml[t], (enum ft_stage)stage);
                if (trial > 0) /* first come rows that are as they should be */
                    randomise(&f, &random);
                for (int i = 0; i <= FEATURES; i++)
                    f.params[i] = (float)ft_random_below(&random.env, 100) / 5 - 10;
                sum_before_noise(&f, trial, with, NULL);
                f.e.rows_train = f.e.rows_test = 0;
                f.e.customers_train = f.e.customers_test = 0;
                sum_before_noise(&f, trial, zeroed, NULL);
                for (uint64_t i = 0; i < f.plan.privacy.dim; i++)
                    assert_int_equal(zeroed[i], 0);
                const unsigned __int128 far = distance_sq(with, zeroed, f.plan.privacy.dim);
                assert_true(far <= f.plan.privacy.params.delta_int_sq);
                farthest = far > farthest ? far : farthest;
                ft_task_clear(&f.task);
            }
            assert_true(farthest > f.plan.privacy.params.delta_int_sq / 4); /* and it does move them */
        }
}

/* No customers, one or many: words of the same number, and always noise of the task's strength. */
static void
a_shop_without_customers_sends_noise_all_the_same(void **ctx)
{
    struct fixture f;
    int64_t z[ROOM];
    struct ft_noise *noise;
    (void)ctx;
    for (unsigned stage = FT_STAGE_STATISTICS; stage <= FT_STAGE_EVALUATE; stage++) {
        open_fixture(&f, TASK("logistic", "customer", ALL GRADIENT ROTATED), (enum ft_stage)stage);
        f.e = (struct ft_examples){ .feature_count = FEATURES };
        sum_before_noise(&f, 3, z, &noise);
        double square = 0;
        for (uint64_t i = 0; i < f.plan.privacy.dim; i++) {
            assert_int_equal(z[i], 0);
            square += (double)noise->values[i] * (double)noise->values[i];
        }
        assert_true(square > 0);
        ft_noise_close(noise);
        ft_task_clear(&f.task);
    }
}

/* A model that makes scores which are no number, or rows that cannot be standardised: the customers count as
 * zero in every coordinate, as in training, and no bin is looked up by a NaN. */
static void
scores_that_are_no_number_count_as_zero(void **ctx)
{
    struct fixture f;
    int64_t z[ROOM];
    (void)ctx;
    for (int i = 0; i < 2; i++) {
        open_fixture(&f, TASK("logistic", "customer", ALL GRADIENT), FT_STAGE_EVALUATE);
        if (i == 0)
            f.params[0] = NAN;
        else
            f.stds[0] = NAN;
        sum_before_noise(&f, 5, z, NULL);
        for (uint64_t k = 0; k < f.plan.privacy.dim; k++)
            assert_int_equal(z[k], 0);
        ft_task_clear(&f.task);
    }
}

/* With q below 1 the coins decide: over many contributions the sum's size is that of the share q of
 * customers, and it differs from one contribution to the next. */
static void
customers_are_drawn_anew_for_every_contribution(void **ctx)
{
    struct fixture f;
    int64_t z[ROOM];
    double total = 0;
    unsigned seen = 0;
    (void)ctx;
    open_fixture(&f, TASK("logistic", "customer", "  expected_customers: 1000\n" GRADIENT), FT_STAGE_STATISTICS);
    for (uint64_t seed = 0; seed < 400; seed++) {
        sum_before_noise(&f, seed, z, NULL);
        const double drawn = (double)z[4] * f.plan.codec.quant_step * sqrt(5); /* the third block counts customers */
        assert_true(fabs(drawn - rint(drawn)) < 0.02);
        seen |= 1u << (unsigned)rint(drawn);
        total += rint(drawn);
    }
    /* 2800 coins of 1/4: 700 +- 23 */
    assert_true(fabs(total - 700) < 5 * 23);
    assert_true((seen & 0xf) == 0xf);
    ft_task_clear(&f.task);
}

/* Unit record, for data without people: every row is a unit of its own. */
static void
records_are_clipped_one_by_one(void **ctx)
{
    struct fixture f;
    int64_t z[ROOM];
    (void)ctx;
    open_fixture(&f, TASK("logistic", "record", ALL GRADIENT), FT_STAGE_STATISTICS);
    f.e.customer_train = NULL;
    sum_before_noise(&f, 3, z, NULL);
    assert_true(fabs((double)z[4] * f.plan.codec.quant_step * sqrt(5) - (double)f.e.rows_train) < 0.05);
    ft_task_clear(&f.task);
}

/* A task with noise has no other way: every stage's words hold the noise, and two contributions never the same. */
static void
noise_is_never_used_twice(void **ctx)
{
    static const uint8_t hash[32];
    struct fixture f;
    struct ft_env_seeded env;
    struct ft_contributor *c;
    bool standardised = false;
    uint64_t *first, *second;
    (void)ctx;
    open_fixture(&f, TASK("logistic", "customer", ALL GRADIENT), FT_STAGE_TRAIN);
    const struct ft_work work = { &f.task, hash, &f.plan, &f.model, false };
    ft_env_seeded_init(&env, 1, 1);
    assert_int_equal(ft_contributor_open(&env.env, &c), FT_OK);
    assert_int_equal(ft_contribute(c, &work, &f.e, &standardised, &first, NULL), FT_OK);
    assert_int_equal(ft_contribute(c, &work, &f.e, &standardised, &second, NULL), FT_OK);
    assert_memory_not_equal(first, second, (size_t)f.plan.codec.words * 8);
    ft_big_free(first, (size_t)f.plan.codec.words * 8);
    ft_big_free(second, (size_t)f.plan.codec.words * 8);
    ft_contributor_close(c);
    ft_task_clear(&f.task);
}

/* Fail each allocation in turn: a clean status, no words, nothing left behind. */
static void
contributing_with_noise_survives_any_failed_allocation(void **ctx)
{
    static const uint8_t hash[32];
    enum ft_status st = FT_ERR_NOMEM;
    (void)ctx;
    for (unsigned stage = FT_STAGE_STATISTICS; stage <= FT_STAGE_EVALUATE; stage++)
        for (uint64_t nth = 1;; nth++) {
            struct fixture f;
            struct ft_env_seeded env;
            struct ft_contributor *c;
            bool standardised = false;
            uint64_t *words;
            open_fixture(&f, TASK("logistic", "customer", ALL GRADIENT ROTATED), (enum ft_stage)stage);
            const struct ft_work work = { &f.task, hash, &f.plan, &f.model, false };
            ft_env_seeded_init(&env, 1, 1);
            assert_int_equal(ft_contributor_open(&env.env, &c), FT_OK);
            ft_alloc_fail_at(nth, false);
            st = ft_contribute(c, &work, &f.e, &standardised, &words, NULL);
            const bool fired = ft_alloc_fault_fired();
            ft_alloc_fail_at(0, false);
            if (st == FT_OK)
                ft_big_free(words, (size_t)f.plan.codec.words * 8);
            ft_contributor_close(c);
            ft_task_clear(&f.task);
            if (!fired)
                break;
            assert_int_equal(st, FT_ERR_NOMEM);
            assert_null(words);
        }
    assert_int_equal(st, FT_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_private_measurement_sums_what_each_customer_is),
        cmocka_unit_test(a_private_training_round_sums_clipped_gradients),
        cmocka_unit_test(a_private_training_round_sums_clipped_local_changes),
        cmocka_unit_test(private_segments_sum_the_customers_parts),
        cmocka_unit_test(private_statistics_and_evaluation_sum_their_vectors),
        cmocka_unit_test(a_store_contributes_one_vector_of_all_its_rows),
        cmocka_unit_test(one_customer_moves_the_integers_by_at_most_delta),
        cmocka_unit_test(zeroing_a_store_moves_the_integers_by_at_most_delta),
        cmocka_unit_test(a_shop_without_customers_sends_noise_all_the_same),
        cmocka_unit_test(customers_are_drawn_anew_for_every_contribution),
        cmocka_unit_test(records_are_clipped_one_by_one),
        cmocka_unit_test(scores_that_are_no_number_count_as_zero),
        cmocka_unit_test(noise_is_never_used_twice),
        cmocka_unit_test(contributing_with_noise_survives_any_failed_allocation),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
