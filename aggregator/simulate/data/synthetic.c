/*
 * Rows from a seed. Ten classes: what handwritten digits are in speed and difficulty, images of 28 x 28 in [0, 1], mostly
 * background, strokes along a path of each class that is bent, shifted and drawn again with noise. Two classes: normal
 * features and a label drawn from a logistic model whose weights have deviation 0.4.
 */
#include "aggregator/simulate/data/readers.h"
#include "aggregator/simulate/partition/draw.h"
#include "common/base/env.h"

#include <math.h>
#include <string.h>

#define SIDE    28
#define POINTS  14
#define CLASSES 10


/* Near enough to normal: four uniform numbers. */
static double
normal(struct sim_draw *d)
{
    const double a = sim_draw_uniform(d), b = sim_draw_uniform(d), c = sim_draw_uniform(d);
    return (a + b + c + sim_draw_uniform(d) - 2) * 1.7320508;
}

/* The path of a class: a walk of POINTS points in the middle of the image. */
static void
make_path(struct sim_draw *d, double path[POINTS][2])
{
    double angle = sim_draw_uniform(d), x = 9 + 10 * sim_draw_uniform(d), y = 9 + 10 * sim_draw_uniform(d);

    for (int i = 0; i < POINTS; i++) {
        path[i][0] = x;
        path[i][1] = y;
        angle += (sim_draw_uniform(d) - 0.5) * 0.35;
        x = fmin(21, fmax(6, x + 2.6 * ft_real_cos_turn(angle)));
        y = fmin(21, fmax(6, y + 2.6 * ft_real_cos_turn(angle - 0.25)));
    }
}

/* A dot of ink, one pixel around: e^-(distance squared), row by column. */
static void
draw_dot(float *image, double x, double y, double ink)
{
    const int cx = (int)lround(x), cy = (int)lround(y);
    double down[3], across[3];

    for (int i = 0; i < 3; i++) {
        down[i] = ink * ft_real_exp(-(cy - 1 + i - y) * (cy - 1 + i - y));
        across[i] = ft_real_exp(-(cx - 1 + i - x) * (cx - 1 + i - x));
    }
    for (int i = cy > 0 ? 0 : 1 - cy; i < 3 && cy - 1 + i < SIDE; i++)
        for (int j = cx > 0 ? 0 : 1 - cx; j < 3 && cx - 1 + j < SIDE; j++) {
            float *at = &image[(cy - 1 + i) * SIDE + cx - 1 + j];
            const double v = (double)*at + down[i] * across[j];
            *at = (float)(v < 1 ? v : 1);
        }
}

static void
draw_image(struct sim_draw *d, double path[POINTS][2], float *image)
{
    const double dx = normal(d), dy = normal(d), turn = 0.04 * normal(d), size = 1 + 0.12 * normal(d);
    const double cosine = ft_real_cos_turn(turn), sine = ft_real_cos_turn(turn - 0.25);
    double at[POINTS][2];

    memset(image, 0, sizeof *image * SIDE * SIDE);
    for (int i = 0; i < POINTS; i++) {
        const double x = path[i][0] - 14 + 0.9 * normal(d), y = path[i][1] - 14 + 0.9 * normal(d);
        at[i][0] = 14 + dx + size * (x * cosine - y * sine);
        at[i][1] = 14 + dy + size * (x * sine + y * cosine);
    }
    for (int i = 0; i + 1 < POINTS; i++)
        for (int s = 0; s < 4; s++)
            draw_dot(image, at[i][0] + (at[i + 1][0] - at[i][0]) * s / 4, at[i][1] + (at[i + 1][1] - at[i][1]) * s / 4,
                     0.7);
}

static void
make_images(struct sim_draw *d, double paths[CLASSES][POINTS][2], struct ft_sim_part *part)
{
    for (uint64_t i = 0; i < part->rows; i++) {
        const int label = (int)(sim_draw_uniform(d) * CLASSES);
        draw_image(d, paths[label], part->x + i * SIDE * SIDE);
        part->y[i] = (float)label;
    }
}

static void
make_lines(struct sim_draw *d, const float *w, uint32_t features, struct ft_sim_part *part)
{
    for (uint64_t i = 0; i < part->rows; i++) {
        float *x = part->x + i * features;
        double z = 0;
        for (uint32_t k = 0; k < features; k++) {
            x[k] = (float)normal(d);
            z += (double)w[k] * (double)x[k];
        }
        part->y[i] = sim_draw_uniform(d) < 1 / (1 + ft_real_exp(-z)) ? 1 : 0;
    }
}

enum ft_status
sim_read_synthetic(const struct ft_sim_data_config *c, uint64_t seed, struct ft_sim_data *out, struct ft_error *err)
{
    double paths[CLASSES][POINTS][2];
    float w[FT_MODEL_WIDTH_MAX];
    struct sim_draw d = { seed };
    enum ft_status st;

    out->classes = c->classes;
    out->features = c->classes == CLASSES ? SIDE * SIDE : c->features;
    if (c->classes != CLASSES && c->classes != 2)
        return ft_fail(err, FT_ERR_CONFIG, "data.classes is %u, expected 2 or %d for synthetic rows", c->classes, CLASSES);
    if (out->features < 1 || out->features > FT_MODEL_WIDTH_MAX)
        return ft_fail(err, FT_ERR_CONFIG, "data.features is %u, expected 1 to %d", c->features, FT_MODEL_WIDTH_MAX);
    FT_TRY(sim_part_room(&out->train, c->rows, out->features, err));
    FT_TRY(sim_part_room(&out->test, c->test_rows, out->features, err));
    if (c->classes == CLASSES) {
        for (int k = 0; k < CLASSES; k++)
            make_path(&d, paths[k]);
        make_images(&d, paths, &out->train);
        make_images(&d, paths, &out->test);
    } else {
        for (uint32_t k = 0; k < out->features; k++)
            w[k] = (float)(normal(&d) * 0.4);
        make_lines(&d, w, out->features, &out->train);
        make_lines(&d, w, out->features, &out->test);
    }
out:
    return st;
}
