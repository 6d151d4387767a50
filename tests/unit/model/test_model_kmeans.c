/* k-means: assignment against the plain loop, Lloyd's steps worked by hand, small clusters, agreement of
 * clusterings. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/env.h"
#include "common/model/kmeans.h"
#include "common/model/layout.h"
#include "common/model/metrics.h"
#include "common/model/per_customer.h"
#include "common/model/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define OK(call) assert_int_equal((call), FT_OK)

static struct ft_model_spec
spec_of(uint32_t features, uint32_t clusters)
{
    return (struct ft_model_spec){ .kind = FT_MODEL_KMEANS, .features = features, .classes = clusters };
}

static void
draw(struct ft_env_seeded *env, float *v, size_t count)
{
    for (size_t i = 0; i < count; i++)
        v[i] = (float)((double)(ft_random_u64(&env->env) >> 40) * 0x1p-24 * 4 - 2);
}

/* The nearest centroid in double, one after the other. */
static uint32_t
plain_nearest(const struct ft_model_spec *s, const float *c, const float *x, double *distance, double *second)
{
    uint32_t best = 0;
    *distance = *second = INFINITY;
    for (uint32_t k = 0; k < s->classes; k++) {
        double sum = 0;
        for (uint32_t j = 0; j < s->features; j++)
            sum += pow((double)x[j] - (double)c[k * s->features + j], 2);
        if (sum < *distance) {
            *second = *distance;
            *distance = sum;
            best = k;
        } else if (sum < *second) {
            *second = sum;
        }
    }
    return best;
}

/* Shapes that end inside and at the edge of a kernel's tile, more rows than a chunk: every row that is not
 * between two centroids to within float32 goes where the plain loop sends it. */
static void
rows_go_to_the_centroid_that_the_plain_loop_finds(void **state)
{
    static const uint32_t shapes[][3] = { { 1, 2, 5 },    { 3, 2, 700 },    { 8, 16, 513 },
                                          { 17, 5, 512 }, { 33, 64, 1100 }, { 64, 256, 600 } };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct ft_model_spec s = spec_of(shapes[i][0], shapes[i][1]);
        const size_t rows = shapes[i][2];
        float *c = calloc((size_t)s.classes * s.features, sizeof *c),
              *x = calloc(rows * s.features, sizeof *x);
        uint32_t *nearest = calloc(rows, sizeof *nearest);
        double *distances = calloc(rows, sizeof *distances),
               *block = calloc((size_t)s.classes * (s.features + 1), sizeof *block);
        double wanted_number = 0, number = 0;
        struct ft_env_seeded env;
        struct ft_model *m;

        ft_env_seeded_init(&env, 5, i);
        draw(&env, c, (size_t)s.classes * s.features);
        draw(&env, x, rows * s.features);
        OK(ft_model_open(&s, &m, NULL));
        ft_kmeans_assign(m, c, x, rows, nearest, distances);
        OK(ft_kmeans_sum(m, c, x, rows, block));
        for (size_t r = 0; r < rows; r++) {
            double distance, second;
            const uint32_t best = plain_nearest(&s, c, x + r * s.features, &distance, &second);
            if (nearest[r] != best)
                assert_true(second - distance < 1e-5 * s.features);
            else
                assert_true(fabs(distances[r] - distance) <= 1e-12 * (1 + distance));
            for (uint32_t j = 0; j < s.features; j++) /* taken away again */
                block[(size_t)nearest[r] * (s.features + 1) + j] -= (double)x[r * s.features + j];
            wanted_number += 1;
        }
        for (uint32_t k = 0; k < s.classes; k++) {
            number += block[(size_t)k * (s.features + 1) + s.features];
            for (uint32_t j = 0; j < s.features; j++)
                assert_true(fabs(block[(size_t)k * (s.features + 1) + j]) < 1e-9);
        }
        assert_true(number == wanted_number);
        ft_model_close(m);
        free(c);
        free(x);
        free(nearest);
        free(distances);
        free(block);
    }
}

/* On a line: 0, 1, 2 | 10, 11 with centroids 1.5 and 9. The means are 1 and 10.5. */
static void
a_step_moves_each_centroid_to_the_mean_of_its_rows(void **state)
{
    const struct ft_model_spec s = spec_of(1, 2);
    const struct ft_kmeans_rules rules = { .least = 1 };
    const float x[] = { 0, 1, 2, 10, 11 };
    float c[] = { 1.5f, 9 };
    double block[4] = { 0 };
    struct ft_kmeans_moved moved;
    struct ft_model *m;

    (void)state;
    OK(ft_model_open(&s, &m, NULL));
    OK(ft_kmeans_sum(m, c, x, 5, block));
    assert_true(block[0] == 3 && block[1] == 3 && block[2] == 21 && block[3] == 2);
    OK(ft_kmeans_step(&s, &rules, block, c, &moved));
    assert_true(c[0] == 1.0f && c[1] == 10.5f);
    assert_int_equal(moved.small, 0);
    assert_true(fabs(moved.length - sqrt(0.25 + 2.25)) < 1e-12);
    ft_model_close(m);
}

/* A tie goes to the lower number: the row at 5 is as far from 0 as from 10. */
static void
a_row_between_two_centroids_goes_to_the_lower_number(void **state)
{
    const struct ft_model_spec s = spec_of(1, 3);
    const float x[] = { 5 }, c[] = { 10, 0, 10 };
    uint32_t nearest;
    double distance;
    struct ft_model *m;

    (void)state;
    OK(ft_model_open(&s, &m, NULL));
    ft_kmeans_assign(m, c, x, 1, &nearest, &distance);
    assert_int_equal(nearest, 0);
    assert_true(distance == 25);
    ft_model_close(m);
}

/* Below the least number a centroid does not show the mean of its rows: put beside the largest cluster's,
 * from public numbers, in the first half of the rounds, and left where it was after that. */
static void
a_small_cluster_is_put_beside_the_largest_or_stays(void **state)
{
    const struct ft_model_spec s = spec_of(2, 4);
    const double block[] = { 50, 100, 50, 6, 3, 3, -300, 0, 100, 9, 9, 9 };
    float c[8] = { 9, 9, 8, 8, 7, 7, 6, 6 }, again[8], other[8];
    struct ft_kmeans_rules rules = { .least = 10, .reseed = true, .seed = 1, .version = 2 };
    struct ft_kmeans_moved moved;

    (void)state;
    memcpy(again, c, sizeof c);
    memcpy(other, c, sizeof c);
    OK(ft_kmeans_step(&s, &rules, block, c, &moved));
    assert_int_equal(moved.small, 2);
    assert_true(c[0] == 1 && c[1] == 2 && c[4] == -3 && c[5] == 0);
    /* The largest has 100: cluster 1 goes there. It counts 50 then, as cluster 0 does, which comes first. */
    assert_true(fabs((double)c[2] + 3) <= 0.25 && fabs((double)c[3]) <= 0.25 && (c[2] != -3 || c[3] != 0));
    assert_true(fabs((double)c[6] - 1) <= 0.25 && fabs((double)c[7] - 2) <= 0.25);
    OK(ft_kmeans_step(&s, &rules, block, again, NULL));
    assert_memory_equal(c, again, sizeof c);
    rules.reseed = false;
    OK(ft_kmeans_step(&s, &rules, block, other, &moved));
    assert_int_equal(moved.small, 2);
    assert_true(other[2] == 8 && other[3] == 8 && other[6] == 6 && other[7] == 6);
    assert_true(ft_kmeans_reseeds(0, 10) && ft_kmeans_reseeds(4, 10) && !ft_kmeans_reseeds(5, 10));
    assert_false(ft_kmeans_reseeds(0, 1));
}

/* All small: nothing moves and nothing is divided by. A noisy number may be anything. */
static void
nothing_is_divided_by_a_tiny_or_negative_number(void **state)
{
    const struct ft_model_spec s = spec_of(1, 3);
    const double block[] = { 1e6, 1e-9, -5, -40, 7, 0 };
    float c[] = { 1, 2, 3 };
    struct ft_kmeans_rules rules = { .least = 0, .reseed = true };
    struct ft_kmeans_moved moved;
    double bad[6];

    (void)state;
    OK(ft_kmeans_step(&s, &rules, block, c, &moved));
    assert_int_equal(moved.small, 3);
    assert_true(c[0] == 1 && c[1] == 2 && c[2] == 3);
    memcpy(bad, block, sizeof bad);
    bad[3] = NAN;
    assert_int_equal(ft_kmeans_step(&s, &rules, bad, c, NULL), FT_ERR_NONFINITE);
    bad[3] = INFINITY;
    assert_int_equal(ft_kmeans_step(&s, &rules, bad, c, NULL), FT_ERR_NONFINITE);
}

/* A move inside its noise does not happen; one far outside it happens nearly whole. */
static void
a_noisy_move_counts_as_far_as_it_stands_out_of_the_noise(void **state)
{
    const struct ft_model_spec s = spec_of(4, 2);
    const double block[] = { 1, 1, 1, 1, 100, 1000, 1000, 1000, 1000, 100 };
    float c[8] = { 0 };
    const struct ft_kmeans_rules rules = { .least = 1, .noise = 10 };

    (void)state;
    OK(ft_kmeans_step(&s, &rules, block, c, NULL));
    for (int j = 0; j < 4; j++) {
        assert_true(c[j] == 0);
        assert_true(fabs((double)c[4 + j] - 10 * (1 - 2 * 0.01 / 400)) < 1e-5);
    }
}

/* A customer's vector is never longer than the clip, sums back to the plain block where nothing is cut, and
 * is zero for rows that are no numbers. */
static void
a_customers_vector_keeps_to_the_clip(void **state)
{
    enum { F = 3, K = 3, ROWS = 40 };
    const struct ft_model_spec s = spec_of(F, K);
    float x[ROWS * F], c[K * F], v[K * (F + 1)];
    double sum[K * (F + 1)] = { 0 }, block[K * (F + 1)] = { 0 };
    uint32_t nearest[ROWS];
    struct ft_env_seeded env;
    struct ft_model *m;

    (void)state;
    ft_env_seeded_init(&env, 3, 3);
    draw(&env, x, ROWS * F);
    draw(&env, c, K * F);
    OK(ft_model_open(&s, &m, NULL));
    OK(ft_kmeans_sum(m, c, x, ROWS, block));
    ft_kmeans_assign(m, c, x, ROWS, nearest, NULL);
    for (int r = 0; r < ROWS; r++) {
        ft_kmeans_customer(&s, c, x + r * F, nearest + r, 1, 100, v);
        for (int i = 0; i < K * (F + 1); i++)
            sum[i] += (double)v[i];
    }
    ft_kmeans_from_customers(&s, c, 100, sum);
    for (int i = 0; i < K * (F + 1); i++)
        assert_true(fabs(sum[i] - block[i]) < 1e-4);
    for (int i = 0; i < ROWS * F; i++)
        x[i] *= 30;
    for (int rows = 1; rows <= ROWS; rows++) {
        double square = 0;
        ft_kmeans_assign(m, c, x, (size_t)rows, nearest, NULL);
        ft_kmeans_customer(&s, c, x, nearest, (size_t)rows, 0.7, v);
        for (int i = 0; i < K * (F + 1); i++)
            square += (double)v[i] * (double)v[i];
        assert_true(sqrt(square) <= 0.7 * (1 + 1e-6));
        assert_true(rows > 1 || sqrt(square) > 0.6999);
    }
    x[4] = NAN;
    ft_kmeans_assign(m, c, x, 3, nearest, NULL);
    assert_int_equal(nearest[1], FT_KMEANS_NOWHERE);
    assert_int_not_equal(nearest[0], FT_KMEANS_NOWHERE);
    ft_kmeans_customer(&s, c, x, nearest, 3, 1, v);
    for (int i = 0; i < K * (F + 1); i++)
        assert_true(v[i] == 0);
    assert_int_equal(ft_kmeans_sum(m, c, x, 3, block), FT_ERR_NONFINITE);
    ft_model_close(m);
}

/* Sums of standardised features and sums of u are the same thing. */
static void
units_and_back_are_the_same_sums(void **state)
{
    const struct ft_model_spec s = spec_of(2, 2);
    const struct ft_bounds bounds[] = { { 0, 10 }, { -5, 5 } };
    const double means[] = { 4, 0 }, stds[] = { 2, 3 };
    double block[] = { 1.5, -2, 3, 0, 0, 0 }; /* x: mean 0.5, raw 5; -2/3, raw -2 */

    (void)state;
    ft_kmeans_to_units(&s, bounds, means, stds, block);
    assert_true(fabs(block[0] - 1.5) < 1e-15 && fabs(block[1] - 0.9) < 1e-15 && block[2] == 3 &&
                block[3] == 0);
    ft_kmeans_from_units(&s, bounds, means, stds, block);
    assert_true(fabs(block[0] - 1.5) < 1e-14 && fabs(block[1] + 2) < 1e-14);
}

/* The start is public, the same for the same seed, apart, and inside the declared ranges after clamping. */
static void
centroids_start_apart_within_the_ranges(void **state)
{
    const struct ft_model_spec s = spec_of(3, 8);
    const struct ft_bounds bounds[] = { { 0, 1 }, { 0, 1 }, { 0, 1 } };
    const double means[] = { 0.05, 0.5, 0.95 }, stds[] = { 0.2, 0.2, 0.2 };
    float a[24], b[24], other[24];

    (void)state;
    ft_model_init(&s, 7, a);
    ft_model_init(&s, 7, b);
    ft_model_init(&s, 8, other);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, other, sizeof a);
    for (int k = 0; k < 8; k++)
        for (int l = 0; l < k; l++)
            assert_true(hypot(hypot((double)(a[3 * k] - a[3 * l]), (double)(a[3 * k + 1] - a[3 * l + 1])),
                              (double)(a[3 * k + 2] - a[3 * l + 2])) > 0.3);
    for (int i = 0; i < 24; i++)
        assert_true(fabsf(a[i]) < 1);
    ft_kmeans_clamp(&s, bounds, means, stds, a);
    bool cut = false;
    for (int k = 0; k < 8; k++) {
        assert_true((double)a[3 * k] >= -0.25 - 1e-6 && (double)a[3 * k + 2] <= 0.25 + 1e-6);
        assert_true(a[3 * k + 1] == b[3 * k + 1]);
        cut |= a[3 * k] != b[3 * k];
    }
    assert_true(cut);
}

/* Values of the literature and by hand: Hubert and Arabie's index is 1 for the same partition under other
 * numbers; the partitions {0,0,1,2} and {0,0,1,1} agree by 4/7 and {0,0,0,0} with {0,1,2,3} by 0
 * (scikit-learn's documentation of adjusted_rand_score), {0,0,1,1} and {0,1,0,1} by -1/2. */
static void
adjusted_rand_has_its_published_values(void **state)
{
    const uint32_t a[] = { 0, 0, 1, 1 }, renamed[] = { 1, 1, 0, 0 }, three[] = { 0, 0, 1, 2 },
                   one[] = { 0, 0, 0, 0 }, four[] = { 0, 1, 2, 3 }, crossed[] = { 0, 1, 0, 1 };
    double index;

    (void)state;
    OK(ft_adjusted_rand(a, renamed, 4, 2, &index));
    assert_true(fabs(index - 1) < 1e-15);
    OK(ft_adjusted_rand(three, a, 4, 3, &index));
    assert_true(fabs(index - 4.0 / 7) < 1e-15);
    OK(ft_adjusted_rand(one, four, 4, 4, &index));
    assert_true(fabs(index) < 1e-15);
    OK(ft_adjusted_rand(a, crossed, 4, 2, &index));
    assert_true(fabs(index + 0.5) < 1e-15);
    OK(ft_adjusted_rand(one, one, 4, 1, &index));
    assert_true(index == 1);
    OK(ft_adjusted_rand(one, one, 1, 1, &index));
    assert_true(isnan(index));
}

/* Three groups far apart are found from any public start: so far apart they are, with dead centroids put to
 * use on the way. */
static void
pooled_rounds_find_groups_that_are_there(void **state)
{
    enum { ROWS = 900, F = 2 };
    static const float middle[3][F] = { { -1.2f, -1.2f }, { 1.3f, -0.2f }, { 0, 1.4f } };
    const struct ft_model_spec s = spec_of(F, 3);
    float x[ROWS * F];
    uint32_t planted[ROWS], found[ROWS];
    struct ft_env_seeded env;
    struct ft_model *m;

    (void)state;
    ft_env_seeded_init(&env, 17, 0);
    draw(&env, x, ROWS * F);
    for (uint32_t r = 0; r < ROWS; r++) {
        planted[r] = r % 3;
        for (int j = 0; j < F; j++)
            x[r * F + (uint32_t)j] = middle[r % 3][j] + 0.1f * x[r * F + (uint32_t)j];
    }
    OK(ft_model_open(&s, &m, NULL));
    for (uint64_t seed = 0; seed < 20; seed++) {
        float c[3 * F];
        double index;
        ft_model_init(&s, seed, c);
        OK(ft_kmeans_pooled(m, x, ROWS, 20, 10, seed, c));
        ft_kmeans_assign(m, c, x, ROWS, found, NULL);
        OK(ft_adjusted_rand(planted, found, ROWS, 3, &index));
        assert_true(index > 0.999);
    }
    ft_model_close(m);
}

/* Loss and prediction of the model itself; what it does not have is refused. */
static void
a_kmeans_model_scores_and_has_no_gradient(void **state)
{
    struct ft_model_spec s = spec_of(2, 2);
    const struct ft_train_config config = { .local_epochs = 1, .learning_rate = 1 };
    const float x[] = { 3, 4, 0, 1 }, c[] = { 0, 0, 0, 2 };
    const struct ft_dataset rows = { x, NULL, 2 };
    struct ft_per_customer *p;
    struct ft_env_seeded env;
    struct ft_trainer *t;
    struct ft_model *m;
    float z[4], grad[4];
    double losses[2], mean;

    (void)state;
    assert_int_equal(ft_model_parameters(&s), 4);
    assert_int_equal(ft_model_outputs(&s), 2);
    OK(ft_model_open(&s, &m, NULL));
    OK(ft_model_scores(m, c, x, 2, z));
    assert_true(z[0] == 25 && z[1] == 13 && z[2] == 1 && z[3] == 1);
    ft_model_losses(m, z, NULL, 2, losses);
    assert_true(losses[0] == 13 && losses[1] == 1);
    ft_model_predict(m, z, 2);
    assert_true(z[0] == 0 && z[1] == 1 && z[2] == 1 && z[3] == 0);
    OK(ft_model_loss(m, c, &(struct ft_dataset){ x, z, 2 }, &mean));
    assert_true(mean == 7);
    assert_int_equal(ft_model_gradient(m, c, &rows, 0, grad, NULL), FT_ERR_ARGUMENT);
    ft_env_seeded_init(&env, 1, 1);
    OK(ft_trainer_open(&s, &config, 2, &t, NULL));
    assert_int_equal(ft_train_local(t, &rows, &env.env, c, grad), FT_ERR_ARGUMENT);
    ft_trainer_close(t);
    assert_int_equal(ft_per_customer_open(&s, &p, NULL), FT_ERR_ARGUMENT);
    ft_model_close(m);
    for (uint32_t bad = 0; bad < 2; bad++) {
        s.classes = bad;
        assert_int_equal(ft_model_spec_check(&s, NULL), FT_ERR_ARGUMENT);
    }
    s.classes = FT_MODEL_CLUSTERS_MAX + 1;
    assert_int_equal(ft_model_spec_check(&s, NULL), FT_ERR_ARGUMENT);
}

/* Mean squared distance and rows of each cluster; small ones are told together, with enough others. */
static void
cluster_figures_about_too_few_are_told_together(void **state)
{
    const struct ft_metrics_spec spec = {
        .model = spec_of(1, 4), .bins = 2, .calibration_bins = 1, .rows_max = 100
    };
    struct ft_metrics_plan plan;
    struct ft_metrics_report r;
    uint64_t values[32];
    float x[60], c[] = { 0, 10, 20, 30 };
    struct ft_model *m;
    size_t rows = 0;

    (void)state;
    for (int i = 0; i < 60; i++) /* 30, 15, 12 and 3 rows, each one off its centroid */
        x[rows++] = (i < 30 ? 0.0f : i < 45 ? 10.0f : i < 57 ? 20.0f : 30.0f) + (i % 2 == 0 ? 1 : -1);
    const struct ft_dataset data = { x, x, rows };
    OK(ft_metrics_plan_init(&plan, &spec, NULL));
    assert_true(plan.value_count <= 32);
    assert_int_equal(plan.groups[FT_METRIC_TEST_CORRECT].count, 0);
    assert_int_equal(plan.groups[FT_METRIC_CALIBRATION_ROWS].count, 0);
    OK(ft_model_open(&spec.model, &m, NULL));
    OK(ft_metrics_measure(&plan, m, c, &data, &data, values, NULL));
    ft_metrics_report(&plan, values, c, 1, &r);
    assert_true(fabs(r.test_loss.value - 1) < 1e-6 && fabs(r.objective - 1) < 1e-6);
    assert_int_equal(r.cluster_count, 4);
    assert_int_equal(r.clusters[0].rows, 30);
    assert_true(r.clusters[1].share.value == 0.25);
    ft_metrics_withhold(&r, 10);
    assert_true(!r.clusters[0].withheld && !r.clusters[1].withheld);
    assert_true(r.clusters[2].withheld && r.clusters[3].withheld); /* 3 alone would be told by the rest */
    assert_int_equal(r.clusters[3].rows, 0);
    assert_int_equal(r.cluster_rest.rows, 15);
    assert_true(r.cluster_rest.share.value == 0.25 && isnan(r.clusters[2].share.value));
    ft_model_close(m);
}

/* The block travels as sums in fixed point, in lanes of 64 whatever the task's: numbers come back exactly,
 * sums to half a step a shop. */
static void
a_block_goes_through_the_layout_exactly(void **state)
{
    const struct ft_layout_params params = {
        .stage = FT_STAGE_TRAIN,
        .metrics = { .model = spec_of(2, 2), .bins = 2, .calibration_bins = 1, .rows_max = 1000 },
        .n_cap = 8,
        .lane_bits = 12,
        .weight_cap = 1000
    };
    double block[] = { 1.0 / 3, 2, 3, 0, 0, 0 }, sums[6];
    struct ft_layout layout;
    int64_t z[64];

    (void)state;
    OK(ft_layout_init(&layout, &params, NULL));
    assert_int_equal(layout.lane_bits, 64);
    assert_int_equal(layout.real_coordinates, 6);
    assert_int_equal(layout.weight_max, 1000);
    assert_true(layout.dim == layout.metric_coordinates + 6 && layout.dim <= 64);
    OK(ft_layout_encode_sums(&layout, block, z));
    for (int i = 0; i < 6; i++)
        z[i] *= 8;
    OK(ft_layout_decode_sums(&layout, z, 8, sums));
    assert_true(sums[2] == 24 && sums[1] == 16 && sums[5] == 0);
    assert_true(fabs(sums[0] - 8.0 / 3) <= 4 * layout.sum_unit && layout.sum_unit < 1e-11);
    block[0] = 1001;
    assert_int_equal(ft_layout_encode_sums(&layout, block, z), FT_ERR_LIMIT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_go_to_the_centroid_that_the_plain_loop_finds),
        cmocka_unit_test(a_step_moves_each_centroid_to_the_mean_of_its_rows),
        cmocka_unit_test(a_row_between_two_centroids_goes_to_the_lower_number),
        cmocka_unit_test(a_small_cluster_is_put_beside_the_largest_or_stays),
        cmocka_unit_test(nothing_is_divided_by_a_tiny_or_negative_number),
        cmocka_unit_test(a_noisy_move_counts_as_far_as_it_stands_out_of_the_noise),
        cmocka_unit_test(a_customers_vector_keeps_to_the_clip),
        cmocka_unit_test(units_and_back_are_the_same_sums),
        cmocka_unit_test(centroids_start_apart_within_the_ranges),
        cmocka_unit_test(adjusted_rand_has_its_published_values),
        cmocka_unit_test(pooled_rounds_find_groups_that_are_there),
        cmocka_unit_test(a_kmeans_model_scores_and_has_no_gradient),
        cmocka_unit_test(cluster_figures_about_too_few_are_told_together),
        cmocka_unit_test(a_block_goes_through_the_layout_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
