/*
 * One round of k-means at a shop: the sums and numbers of each cluster, beside the plain loop over rows,
 * centroids and features (float32, the compiler's own vectors) and beside reading the rows once: least CPU
 * time of several turns in the same run, one core.
 *
 * Usage: bench_kmeans [--json]
 */
#include "common/base/alloc.h"
#include "common/model/kmeans.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define ROWS  100000
#define TURNS 7

struct work {
    struct ft_model_spec spec;
    struct ft_model *model;
    float *x, *params;
    double *block;
    volatile double sink;
};

static double
cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void
batched(struct work *w)
{
    memset(w->block, 0, (size_t)w->spec.classes * (w->spec.features + 1) * sizeof *w->block);
    if (ft_kmeans_sum(w->model, w->params, w->x, ROWS, w->block) != FT_OK)
        abort();
}

static void
loop(struct work *w)
{
    const uint32_t d = w->spec.features;
    memset(w->block, 0, (size_t)w->spec.classes * (d + 1) * sizeof *w->block);
    for (size_t i = 0; i < ROWS; i++) {
        uint32_t best = 0;
        float least = 0;
        for (uint32_t k = 0; k < w->spec.classes; k++) {
            float sum = 0;
            for (uint32_t j = 0; j < d; j++) {
                const float v = w->x[i * d + j] - w->params[(size_t)k * d + j];
                sum += v * v;
            }
            if (k == 0 || sum < least) {
                least = sum;
                best = k;
            }
        }
        for (uint32_t j = 0; j < d; j++)
            w->block[(size_t)best * (d + 1) + j] += (double)w->x[i * d + j];
        w->block[(size_t)best * (d + 1) + d] += 1;
    }
}

static void
read_rows(struct work *w)
{
    double sum = 0;
    for (size_t i = 0; i < (size_t)ROWS * w->spec.features; i++)
        sum += (double)w->x[i];
    w->sink = sum;
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

int
main(int argc, char **argv)
{
    static const uint32_t shapes[][2] = { { 5, 5 }, { 16, 16 }, { 64, 64 } };
    const bool json = argc > 1 && strcmp(argv[1], "--json") == 0;

    if (argc > 2 || (argc == 2 && !json)) {
        (void)fprintf(stderr, "usage: bench_kmeans [--json]\n");
        return FT_EXIT_USAGE;
    }
    ft_model_setup();
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        struct work w = { .spec = {
                              .kind = FT_MODEL_KMEANS, .features = shapes[s][0], .classes = shapes[s][1] } };
        const size_t count = (size_t)ROWS * w.spec.features;
        uint64_t state = 7;
        w.x = ft_calloc(count, sizeof *w.x);
        w.params = ft_calloc((size_t)w.spec.classes * w.spec.features, sizeof *w.params);
        w.block = ft_calloc((size_t)w.spec.classes * (w.spec.features + 1), sizeof *w.block);
        if (w.x == NULL || w.params == NULL || w.block == NULL ||
            ft_model_open(&w.spec, &w.model, NULL) != FT_OK)
            abort();
        for (size_t i = 0; i < count; i++) {
            state = state * UINT64_C(6364136223846793005) + 1;
            w.x[i] = (float)(state >> 40) * 0x1p-23f - 1;
        }
        ft_model_init(&w.spec, 1, w.params);
        const double ours = least(&w, batched), plain = least(&w, loop), read = least(&w, read_rows);
        printf(json ? "{\"rows\": %d, \"features\": %u, \"clusters\": %u, \"seconds\": %.6f, \"loop\": %.6f, "
                      "\"times\": %.2f, "
                      "\"read\": %.6f, \"of_read\": %.2f}\n"
                    : "%d rows, %u features, %u clusters: %.4f s, plain loop %.4f s (%.1f times), reading "
                      "the rows %.4f s (%.1f "
                      "times that)\n",
               ROWS, w.spec.features, w.spec.classes, ours, plain, plain / ours, read, ours / read);
        ft_model_close(w.model);
        ft_free(w.x);
        ft_free(w.params);
        ft_free(w.block);
    }
    return FT_EXIT_OK;
}
