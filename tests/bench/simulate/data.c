#include "bench_case.h"
#include "common/base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDE    28
#define POINTS  14
#define CLASSES 10

static uint64_t random_state;

static double
uniform(void)
{
    uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* Near enough to normal: 4 uniform numbers. */
static double
normal(void)
{
    return (uniform() + uniform() + uniform() + uniform() - 2) * 1.7320508;
}

/* The path of a class: a walk of POINTS points in the middle of the image. */
static void
make_path(double path[POINTS][2])
{
    double angle = uniform() * 6.283, x = 9 + 10 * uniform(), y = 9 + 10 * uniform();

    for (int i = 0; i < POINTS; i++) {
        path[i][0] = x;
        path[i][1] = y;
        angle += (uniform() - 0.5) * 2.2;
        x = fmin(21, fmax(6, x + 2.6 * cos(angle)));
        y = fmin(21, fmax(6, y + 2.6 * sin(angle)));
    }
}

/* A dot of ink, one pixel around. */
static void
draw_dot(float *image, double x, double y, double ink)
{
    const int cx = (int)lround(x), cy = (int)lround(y);

    for (int i = cy - 1; i <= cy + 1; i++)
        for (int j = cx - 1; j <= cx + 1; j++) {
            const double d2 = (i - y) * (i - y) + (j - x) * (j - x);
            if (i >= 0 && i < SIDE && j >= 0 && j < SIDE)
                image[i * SIDE + j] = (float)fmin(1, (double)image[i * SIDE + j] + ink * exp(-d2));
        }
}

static void
draw_image(double path[POINTS][2], float *image)
{
    const double dx = normal(), dy = normal(), turn = 0.25 * normal(), size = 1 + 0.12 * normal();
    double at[POINTS][2];

    memset(image, 0, sizeof *image * SIDE * SIDE);
    for (int i = 0; i < POINTS; i++) {
        const double x = path[i][0] - 14 + 0.9 * normal(), y = path[i][1] - 14 + 0.9 * normal();
        at[i][0] = 14 + dx + size * (x * cos(turn) - y * sin(turn));
        at[i][1] = 14 + dy + size * (x * sin(turn) + y * cos(turn));
    }
    for (int i = 0; i + 1 < POINTS; i++)
        for (int s = 0; s < 4; s++)
            draw_dot(image, at[i][0] + (at[i + 1][0] - at[i][0]) * s / 4, at[i][1] + (at[i + 1][1] - at[i][1]) * s / 4,
                     0.7);
}

static void
make_images(double paths[CLASSES][POINTS][2], size_t rows, float *x, float *y)
{
    for (size_t i = 0; i < rows; i++) {
        const int label = (int)(uniform() * CLASSES);
        draw_image(paths[label], x + i * SIDE * SIDE);
        y[i] = (float)label;
    }
}

static void
make_lines(const double *w, uint32_t features, size_t rows, float *x, float *y)
{
    for (size_t i = 0; i < rows; i++) {
        double z = 0;
        for (uint32_t k = 0; k < features; k++) {
            x[i * features + k] = (float)normal();
            z += w[k] * (double)x[i * features + k];
        }
        y[i] = uniform() < 1 / (1 + exp(-z)) ? 1 : 0;
    }
}

static float *
floats(size_t count)
{
    float *v = ft_calloc(count, sizeof *v);
    bench_must(v != NULL, "out of memory");
    return v;
}

void
bench_data_make(const struct bench_case *c, struct bench_data *data)
{
    const size_t rows = (size_t)c->clients * c->rows, features = c->spec.features;
    double paths[CLASSES][POINTS][2], w[128];

    random_state = 7;
    data->x = floats(rows * features);
    data->y = floats(rows);
    data->test_x = floats(c->test_rows * features);
    data->test_y = floats(c->test_rows);
    data->start = floats(ft_model_parameters(&c->spec));
    ft_model_init(&c->spec, 1, data->start);
    if (c->spec.kind == FT_MODEL_LOGISTIC) {
        for (uint32_t k = 0; k < features; k++)
            w[k] = normal() * 0.4;
        make_lines(w, c->spec.features, rows, data->x, data->y);
        make_lines(w, c->spec.features, c->test_rows, data->test_x, data->test_y);
        return;
    }
    for (int k = 0; k < CLASSES; k++)
        make_path(paths[k]);
    make_images(paths, rows, data->x, data->y);
    make_images(paths, c->test_rows, data->test_x, data->test_y);
}

void
bench_data_free(struct bench_data *data)
{
    ft_free(data->x);
    ft_free(data->y);
    ft_free(data->test_x);
    ft_free(data->test_y);
    ft_free(data->start);
    memset(data, 0, sizeof *data);
}

static void
write_floats(const char *folder, const char *name, const float *v, size_t count)
{
    char path[512];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    bench_must(f != NULL && fwrite(v, sizeof *v, count, f) == count && fclose(f) == 0, "cannot write the rows");
}

void
bench_data_write(const struct bench_case *c, const struct bench_data *data, const char *folder)
{
    const size_t rows = (size_t)c->clients * c->rows, features = c->spec.features;

    write_floats(folder, "x", data->x, rows * features);
    write_floats(folder, "y", data->y, rows);
    write_floats(folder, "test_x", data->test_x, c->test_rows * features);
    write_floats(folder, "test_y", data->test_y, c->test_rows);
    write_floats(folder, "start", data->start, ft_model_parameters(&c->spec));
}

double
bench_accuracy(const struct bench_case *c, const struct bench_data *data, const float *params)
{
    const uint32_t outputs = ft_model_outputs(&c->spec);
    float *z = floats((size_t)c->test_rows * outputs);
    struct ft_model *m = NULL;
    size_t right = 0;

    bench_must(ft_model_open(&c->spec, &m, NULL) == FT_OK, "cannot open the model");
    bench_must(ft_model_scores(m, params, data->test_x, c->test_rows, z) == FT_OK, "scores are not finite");
    for (size_t i = 0; i < c->test_rows; i++) {
        uint32_t best = outputs == 1 ? z[i] > 0 : 0;
        for (uint32_t k = 1; k < outputs; k++)
            best = z[i * outputs + k] > z[i * outputs + best] ? k : best;
        right += best == (uint32_t)data->test_y[i];
    }
    ft_model_close(m);
    ft_free(z);
    return (double)right / (double)c->test_rows;
}
