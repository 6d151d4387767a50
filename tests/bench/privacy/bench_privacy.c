/*
 * What customer-level privacy costs a shop, each part beside the floor of its own kind in the same run: the
 * least CPU time of several turns (getrusage), one core.
 *
 *   lengths    each customer's gradient length, batch 256        / the plain gradient of the batch
 *   clip       the sum of the clipped gradients, without any one  / the same: clipping as central DP-SGD does
 * it vectors    each customer's vector written out                / the same gate       vectors through the
 * encoder: rounded, each one's integers measured and added / writing as many integers noise      exact
 * discrete Gaussian                           / the ChaCha20 words it uses at least (15 a sample) rotation
 * 2^20 coordinates                                  / copying them pld        epsilon of 10,000 steps by the
 * losses' distribution / by RDP, which only bounds it
 *
 * Usage: bench_privacy [--json]
 */
#include "common/base/alloc.h"
#include "common/base/env.h"
#include "common/model/per_customer.h"
#include "common/privacy/accountant/accountant.h"
#include "common/privacy/encode.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define BATCH    256
#define FEATURES 784
#define TURNS    9
#define NOISE    1000000
#define ROTATED  ((size_t)1 << 20)

static double
cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

struct work {
    struct ft_model *model;
    struct ft_per_customer *customers;
    struct ft_model_spec spec;
    size_t parameters;
    float *params, *grad, *x, *y, *scaled;
    uint32_t first[BATCH + 1];
    double lengths[BATCH];
    struct ft_customer_rows rows;
    struct ft_encoder *encoder;
    int32_t *integers;
    float *flat, *copy;
    uint8_t *signs, *stream;
    volatile float sink;
};

static void
must(enum ft_status st)
{
    if (st != FT_OK) {
        fprintf(stderr, "bench_privacy: %s\n", ft_status_str(st));
        exit(1);
    }
}

static double
least(struct work *w, void (*body)(struct work *))
{
    double best = 1e9;
    body(w);
    for (int i = 0; i < TURNS; i++) {
        const double start = cpu_seconds();
        body(w);
        const double t = cpu_seconds() - start;
        best = t < best ? t : best;
    }
    return best;
}

static void
plain(struct work *w)
{
    const struct ft_dataset data = { w->x, w->y, BATCH };
    must(ft_model_gradient(w->model, w->params, &data, 0, w->grad, NULL));
}

static void
lengths(struct work *w)
{
    ft_per_customer_lengths(w->customers, w->params, &w->rows, w->lengths);
}

static void
drop(void *ctx, size_t first, const float *vectors, const double *length, size_t count)
{
    struct work *w = ctx;
    (void)first;
    (void)length;
    (void)count;
    w->sink = vectors[0];
}

static void
vectors(struct work *w)
{
    ft_per_customer_gradients(w->customers, w->params, &w->rows, drop, w);
}

static void
clip(struct work *w)
{
    ft_per_customer_clipped_sum(w->customers, w->params, &w->rows, 1.0, w->grad);
}

static void
encode(void *ctx, size_t first, const float *v, const double *length, size_t count)
{
    struct work *w = ctx;
    (void)length;
    ft_encoder_add_rows(w->encoder, first, v, count, w->parameters);
}

static void
gate(struct work *w)
{
    ft_per_customer_gradients(w->customers, w->params, &w->rows, encode, w);
}

static void
write_integers(struct work *w)
{
    for (size_t c = 0; c < BATCH; c++)
        for (size_t i = 0; i < w->parameters; i++)
            w->integers[i] += (int32_t)c;
    w->sink = (float)w->integers[0];
}

static void
noise(struct work *w)
{
    struct ft_noise *n = NULL;
    (void)w;
    must(ft_noise_draw(ft_env_system(), NOISE, 776, &n));
    ft_noise_close(n);
}

static void
words(struct work *w)
{
    static const uint8_t key[32], nonce[crypto_stream_chacha20_NONCEBYTES];
    for (size_t at = 0; at < NOISE; at += NOISE / 10)
        crypto_stream_chacha20(w->stream, (size_t)NOISE / 10 * 60, nonce, key);
    w->sink = w->stream[5];
}

static void
rotation(struct work *w)
{
    ft_rotate(w->signs, w->flat, ROTATED);
}

static void
copy(struct work *w)
{
    memcpy(w->copy, w->flat, ROTATED * sizeof *w->copy);
    w->sink = w->copy[ROTATED / 2];
}

static const struct ft_account_event ten_thousand = { .q = 0.01, .z = 1, .steps = 10000, .m = 1 };

static void
pld(struct work *w)
{
    struct ft_pld_answer answer;
    must(ft_pld_epsilon(&ten_thousand, 1, 1e-6, &answer));
    w->sink = (float)answer.worst;
}

static void
rdp(struct work *w)
{
    double epsilon;
    must(ft_account_cost_rdp(&ten_thousand, 1, 1e-6, &epsilon, NULL));
    w->sink = (float)epsilon;
}

static bool json;

/* `most`: what it may cost, as seconds or, when `times`, as a ratio; 0: no limit is set. */
static void
line(const char *name, double t, const char *floor_name, double floor, double most, bool times)
{
    if (json) {
        printf("{\"case\":\"%s\",\"seconds\":%.9f,\"floor\":\"%s\",\"floor_s\":%.9f,\"ratio\":%.3f", name, t,
               floor_name, floor, t / floor);
        if (most > 0)
            printf(",\"limit_%s\":%g,\"within\":%s", times ? "ratio" : "s", most,
                   (times ? t / floor : t) <= most ? "true" : "false");
        printf("}\n");
        return;
    }
    printf("%-10s %9.2f ms   %-22s %9.2f ms   ratio %6.2f", name, 1e3 * t, floor_name, 1e3 * floor,
           t / floor);
    if (most > 0 && times)
        printf("   limit %.2f", most);
    else if (most > 0)
        printf("   limit %.0f ms", 1e3 * most);
    printf("\n");
}

static void
fill(struct work *w)
{
    uint64_t s = 9;
    for (size_t i = 0; i < (size_t)BATCH * FEATURES; i++) {
        s = s * UINT64_C(6364136223846793005) + 1;
        w->x[i] = (float)(s >> 40) / (float)(1 << 23) - 1.0f;
    }
    for (uint32_t i = 0; i < BATCH; i++) {
        w->y[i] = (float)(i % 10);
        w->first[i + 1] = i + 1;
    }
    w->rows = (struct ft_customer_rows){ w->x, w->y, w->first, BATCH };
}

int
main(int argc, char **argv)
{
    static struct work w;
    struct ft_encoder_config config = { .clip = 1, .coordinate_max = INT64_C(1) << 40 };
    struct ft_noise *own = NULL;
    struct ft_error err = { 0 };

    json = argc > 1 && strcmp(argv[1], "--json") == 0;
    if (argc > 2 || (argc == 2 && !json)) {
        (void)fprintf(stderr, "usage: bench_privacy [--json]\n");
        return FT_EXIT_USAGE;
    }
    ft_model_setup();
    w.spec = (struct ft_model_spec){ .kind = FT_MODEL_MLP,
                                     .features = FEATURES,
                                     .classes = 10,
                                     .hidden = { 200, 200 },
                                     .hidden_count = 2,
                                     .activation = FT_ACT_RELU };
    must(ft_model_open(&w.spec, &w.model, NULL));
    must(ft_per_customer_open(&w.spec, &w.customers, NULL));
    w.parameters = (size_t)ft_model_parameters(&w.spec);
    w.params = ft_calloc(w.parameters, sizeof *w.params);
    w.grad = ft_calloc(w.parameters, sizeof *w.grad);
    w.x = ft_calloc((size_t)BATCH * FEATURES, sizeof *w.x);
    w.y = ft_calloc(BATCH, sizeof *w.y);
    w.integers = ft_calloc(w.parameters, sizeof *w.integers);
    w.flat = ft_calloc(ROTATED, sizeof *w.flat);
    w.copy = ft_calloc(ROTATED, sizeof *w.copy);
    w.signs = ft_calloc(ROTATED / 8, 1);
    w.stream = ft_calloc((size_t)NOISE / 10 * 60, 1);
    fill(&w);
    ft_model_init(&w.spec, 3, w.params);

    config.coordinates = w.parameters;
    config.params = (struct ft_privacy_params){ .q_num = FT_PRIVACY_Q_ONE,
                                                .dim = w.parameters,
                                                .clip = 1,
                                                .sigma_share = 1000,
                                                .t_min = 10,
                                                .m_stores = 1,
                                                .steps = 1 };
    config.params.scale = ft_privacy_scale(w.parameters);
    config.params.delta_int_sq = ft_privacy_delta_int_sq(config.params.scale, w.parameters, 0);
    must(ft_noise_draw(ft_env_system(), w.parameters, 1000, &own));
    must(ft_encoder_open(&config, ft_env_system(), &own, &w.encoder, &err));

    if (!json)
        printf("784-200-200-10, batch %d, %zu parameters; %s; least CPU time of %d turns\n", BATCH,
               w.parameters, ft_model_kernel(), TURNS);
    const double step = least(&w, plain);
    line("lengths", least(&w, lengths), "plain gradient", step, 0, false);
    line("clip", least(&w, clip), "plain gradient", step, 1.5, true);
    line("vectors", least(&w, vectors), "plain gradient", step, 0, false);
    line("gate", least(&w, gate), "adding 51 M integers", least(&w, write_integers), 0, false);
    line("noise", least(&w, noise), "60 MB of ChaCha20", least(&w, words), 0.25, false);
    line("rotation", least(&w, rotation), "copy of 4 MB", least(&w, copy), 0.01, false);
    line("pld", least(&w, pld), "RDP of the same", least(&w, rdp), 1, false);
    return 0;
}
