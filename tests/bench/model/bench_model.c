/*
 * How fast the model module is, each case beside the floor measured in the same run: the bare matrix products of the
 * same shapes, or one pass over the same memory. Usage: bench_model [--json]
 */
#include "common/base/alloc.h"
#include "common/model/metrics.h"
#include "common/model/server.h"
#include "common/model/train.h"
#include "common/privacy/clip.h"

#include <cblas.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool json;

static double
now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
must(enum ft_status st)
{
    if (st != FT_OK) {
        (void)fprintf(stderr, "bench_model: %s\n", ft_status_str(st));
        exit(ft_status_exit(st));
    }
}

static float *
numbers(size_t count)
{
    float *v = ft_calloc(count, sizeof *v);
    uint32_t r = 1;
    if (v == NULL)
        must(FT_ERR_NOMEM);
    for (size_t i = 0; i < count; i++) {
        r = r * 1664525u + 1013904223u;
        v[i] = (float)(r >> 8) / 16777216.0f - 0.5f;
    }
    return v;
}

static void
print_case(const char *name, double seconds, double floor_s)
{
    if (json)
        printf("{\"case\":\"%s\",\"seconds\":%.9f,\"floor_s\":%.9f,\"ratio\":%.3f}\n", name, seconds, floor_s,
               seconds / floor_s);
    else
        printf("%-44s %10.3f ms   floor %10.3f ms   %5.2f times\n", name, seconds * 1e3, floor_s * 1e3,
               seconds / floor_s);
}

/* The least of several timings: what the machine can do when nobody disturbs it. */
#define LEAST_OF(repeats, statement, out)                                                                    \
    do {                                                                                                     \
        (out) = 1e9;                                                                                         \
        for (int least_ = 0; least_ < (repeats); least_++) {                                                 \
            const double begin_ = now_s();                                                                   \
            statement;                                                                                       \
            const double took_ = now_s() - begin_;                                                           \
            (out) = took_ < (out) ? took_ : (out);                                                           \
        }                                                                                                    \
    } while (0)

/* The products that one epoch cannot do without: forward, weight gradient, and down from every layer but the first. */
static void
bare_products(const struct ft_model_spec *spec, const float *x, const float *w, float *a, float *b, size_t rows,
              size_t batch)
{
    for (size_t from = 0; from < rows; from += batch) {
        int in = (int)spec->features;
        const int n = (int)(rows - from < batch ? rows - from : batch);
        const uint32_t hidden = spec->kind == FT_MODEL_MLP ? spec->hidden_count : 0;
        for (uint32_t l = 0; l <= hidden; l++) {
            const int out = l < hidden ? (int)spec->hidden[l] : (int)ft_model_outputs(spec);
            const float *input = l == 0 ? x + from * spec->features : a;
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, out, in, 1, input, in, w, out, 0, b, out);
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, in, out, n, 1, input, in, b, out, 0, a, out);
            if (l > 0)
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, in, out, 1, b, out, w, out, 0, a, in);
            in = out;
        }
    }
}

static void
bench_training(const char *name, const struct ft_model_spec *spec, size_t rows, uint32_t batch)
{
    const struct ft_train_config config = { .local_epochs = 1, .batch_size = batch, .learning_rate = 0.01 };
    const uint64_t parameters = ft_model_parameters(spec);
    const size_t most = rows * 256 + parameters;
    float *x = numbers(rows * spec->features), *y = numbers(rows), *theta = numbers(parameters);
    float *delta = numbers(parameters), *a = numbers(most), *b = numbers(most);
    const struct ft_dataset data = { x, y, rows };
    struct ft_trainer *t = NULL;
    double seconds, floor_s;

    for (size_t i = 0; i < rows; i++)
        y[i] = y[i] > 0 ? 1 : 0;
    ft_model_init(spec, 1, theta);
    must(ft_trainer_open(spec, &config, rows, &t, NULL));
    LEAST_OF(7, must(ft_train_local(t, &data, ft_env_system(), theta, delta)), seconds);
    LEAST_OF(7, bare_products(spec, x, theta, a, b, rows, batch > 0 ? batch : FT_MODEL_CHUNK), floor_s);
    print_case(name, seconds, floor_s);
    ft_trainer_close(t);
    ft_free(x);
    ft_free(y);
    ft_free(theta);
    ft_free(delta);
    ft_free(a);
    ft_free(b);
}

static void
bench_metrics(void)
{
    const size_t rows = 100000;
    const struct ft_metrics_spec spec = { .model = { .kind = FT_MODEL_LOGISTIC, .features = 20 }, .bins = 512,
                                          .calibration_bins = 10, .rows_max = rows };
    struct ft_metrics_plan plan;
    struct ft_model *m = NULL;
    float *x = numbers(rows * 20), *y = numbers(rows), *z = numbers(rows), params[21];
    const struct ft_dataset data = { x, y, rows }, none = { 0 };
    uint64_t *values;
    double seconds, floor_s;

    for (size_t i = 0; i < rows; i++)
        y[i] = y[i] > 0 ? 1 : 0;
    for (int i = 0; i < 21; i++)
        params[i] = 0.3f;
    must(ft_metrics_plan_init(&plan, &spec, NULL));
    must(ft_model_open(&spec.model, &m, NULL));
    values = ft_calloc(plan.value_count, sizeof *values);
    LEAST_OF(7, must(ft_metrics_measure(&plan, m, params, &data, &none, values, NULL)), seconds);
    LEAST_OF(7, must(ft_model_scores(m, params, x, rows, z)), floor_s);
    print_case("metrics of 100,000 rows, 20 features (scores)", seconds, floor_s);
    ft_model_close(m);
    ft_free(values);
    ft_free(x);
    ft_free(y);
    ft_free(z);
}

static void
bench_vector(void)
{
    const size_t n = 200000;
    const struct ft_server_config config = { .kind = FT_SERVER_FEDADAM, .learning_rate = 0.1, .momentum = 0.9,
                                             .beta2 = 0.99, .epsilon = 1e-3 };
    struct ft_server *s = NULL;
    float *v = numbers(n), *w = numbers(n);
    double *sum = ft_calloc(n, sizeof *sum), seconds, floor_s;

    for (size_t i = 0; i < n; i++)
        sum[i] = (double)w[i];
    must(ft_server_open(&config, n, &s, NULL));
    LEAST_OF(9, memcpy(w, v, n * sizeof *v), floor_s);
    LEAST_OF(9, must(ft_clip_l2(v, n, 1e6, NULL)), seconds);
    print_case("clip of 200,000 (one copy)", seconds, floor_s);
    LEAST_OF(9, must(ft_server_step(s, sum, 10, v)), seconds);
    print_case("FedAdam step of 200,000 (one copy)", seconds, floor_s);
    ft_server_close(s);
    ft_free(v);
    ft_free(w);
    ft_free(sum);
}

int
main(int argc, char **argv)
{
    const struct ft_model_spec logistic = { .kind = FT_MODEL_LOGISTIC, .features = 20 };
    const struct ft_model_spec small = { .kind = FT_MODEL_MLP, .features = 20, .hidden = { 32 }, .hidden_count = 1,
                                         .activation = FT_ACT_RELU };
    const struct ft_model_spec large = { .kind = FT_MODEL_MLP, .features = 784, .classes = 10, .hidden = { 200, 200 },
                                         .hidden_count = 2, .activation = FT_ACT_RELU };
    const struct ft_model_spec tanh_model = { .kind = FT_MODEL_MLP, .features = 784, .classes = 10,
                                              .hidden = { 200, 200 }, .hidden_count = 2, .activation = FT_ACT_TANH };

    json = argc > 1 && strcmp(argv[1], "--json") == 0;
    if (argc > 2 || (argc == 2 && !json)) {
        (void)fprintf(stderr, "usage: bench_model [--json]\n");
        return FT_EXIT_USAGE;
    }
    if (sodium_init() < 0)
        return FT_EXIT_INTERNAL;
    ft_model_setup();
    bench_training("logistic 20, 100,000 rows, full batch", &logistic, 100000, 0);
    bench_training("logistic 20, 100,000 rows, batch 32", &logistic, 100000, 32);
    bench_training("MLP 20-32-1 ReLU, 100,000 rows, batch 32", &small, 100000, 32);
    bench_training("MLP 784-200-200-10 ReLU, 2,000 rows, batch 10", &large, 2000, 10);
    bench_training("MLP 784-200-200-10 ReLU, 2,000 rows, full", &large, 2000, 0);
    bench_training("MLP 784-200-200-10 tanh, 2,000 rows, full", &tanh_model, 2000, 0);
    bench_metrics();
    bench_vector();
    return 0;
}
