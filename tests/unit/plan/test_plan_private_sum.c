/* From noisy integers to numbers, with noise that the test draws itself. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/plan/private_sum.h"
#include "common/privacy/encode.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHOPS     4
#define CUSTOMERS 500 /* of each shop, all of them in every round */
#define OK(call)  assert_int_equal((call), FT_OK)

static struct ft_env_seeded env;

static struct ft_task
task_of(const char *more, double clip)
{
    static const uint8_t deployment[16];
    char yaml[4000];
    struct ft_task task;
    struct ft_error err = { 0 };

    snprintf(
        yaml, sizeof yaml,
        "version: 1\ntask: sample\ntitle: A sample\npurpose: train/propensity\nowner: Central data team\n"
        "expires: 2027-12-31\nreview: 2027-06-30\nunit: customer\nexamples:\n"
        "  sql: SELECT customer_id, split, y, a, b FROM t\n  label: {column: y, min: 0, max: 1}\n  "
        "features:\n"
        "    - {name: a, min: 0, max: 4}\n    - {name: b, min: -1, max: 1}\n"
        "  rows_per_customer: 1\n  rows_max: 1000\nmodel: {kind: logistic}\n"
        "training: {rounds: 30, local_epochs: 1, batch_size: 0, learning_rate: 0.5, weight_decay: 0, clip: "
        "%g, "
        "weight_cap: 2000,\n           server: {optimizer: fedavg, learning_rate: 1}}\n"
        "privacy:\n  noise: discrete-gaussian\n  noise_multiplier: 1\n  delta: 1.0e-6\n  expected_customers: "
        "2000\n"
        "  m_stores: 1\n  contribution: gradient\n"
        "  shops: [{shop: a, customers: 500}, {shop: b, customers: 500}, {shop: c, customers: 500},\n"
        "          {shop: d, customers: 500}]\n%s"
        "cohort: {n_min: 4, n_cap: 4, h_min: 3, corrupted: 1, drop_permille: 0, sigma: 40, eta: 30,\n"
        "         suite: aes-256-ctr, lane_bits: 32}\n"
        "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n",
        clip, more);
    if (ft_task_from_yaml(FT_BYTES(yaml, strlen(yaml)), "t.yaml", deployment, &task, &err) != FT_OK ||
        ft_plan_privacy_derive(&task, &err) != FT_OK)
        fail_msg("%s", err.text);
    return task;
}

typedef void vector_of(uint32_t customer, float *v);

/* The integers that the sum of all shops would be. */
static int64_t *
sum_of(const struct ft_task *task, const struct ft_round_plan *plan, vector_of *vector)
{
    const struct ft_privacy_plan *p = &plan->privacy;
    const struct ft_encoder_config config = { .params = p->params,
                                              .clip = p->clip,
                                              .coordinates = p->coordinates,
                                              .rotation_seed =
                                                  p->rotated ? task->privacy.rotation_seed : NULL,
                                              .indicator = p->indicator,
                                              .coordinate_max = plan->codec.quant_max };
    int64_t *sum = ft_calloc((size_t)p->dim, sizeof *sum), *x = ft_calloc((size_t)p->dim, sizeof *x);
    float *v = ft_calloc(p->coordinates, sizeof *v);

    for (uint32_t s = 0; s < SHOPS; s++) {
        struct ft_noise *noise = NULL;
        struct ft_encoder *e = NULL;
        OK(ft_noise_draw(&env.env, p->dim, p->params.sigma_share, &noise));
        OK(ft_encoder_open(&config, &env.env, &noise, &e, NULL));
        for (uint32_t c = 0; c < CUSTOMERS; c++) {
            memset(v, 0, p->coordinates * sizeof *v);
            vector(c, v);
            ft_encoder_add(e, c, v);
        }
        OK(ft_encoder_finish(e, x));
        for (uint64_t i = 0; i < p->dim; i++)
            sum[i] += x[i];
        ft_encoder_close(e);
    }
    ft_free(v);
    ft_free(x);
    return sum;
}

static double room[4096];

static struct ft_private_sum
decoded(const struct ft_task *task, struct ft_round_plan *plan, enum ft_stage stage, vector_of *vector)
{
    struct ft_private_sum sum;
    int64_t *z;

    OK(ft_round_plan_init(plan, task, stage, NULL));
    z = sum_of(task, plan, vector);
    OK(ft_private_sum_init(&sum, task, plan, z, SHOPS, SHOPS * CUSTOMERS, room, NULL));
    ft_free(z);
    return sum;
}

/* a is 1 or 3: mean 2, deviation 1. b is always 1/2: constant, so only the noise is left of its spread. */
static void
statistics_vector(uint32_t customer, float *v)
{
    const float scale = sqrtf(5), w = customer % 2 == 0 ? -0.5f : 0.5f;
    v[0] = w / scale;
    v[1] = 0.5f / scale;
    v[2] = w * w / scale;
    v[3] = 0.25f / scale;
    v[4] = 1 / scale;
}

/* Means and deviations come back to within the noise; a constant feature is not blown up. */
static void
private_sum_gives_means_and_deviations(void **state)
{
    struct ft_task task = task_of("", 1);
    struct ft_round_plan plan;
    struct ft_private_sum sum = decoded(&task, &plan, FT_STAGE_STATISTICS, statistics_vector);
    double means[2], stds[2];
    struct ft_estimate count;

    (void)state;
    ft_private_statistics(&sum, means, stds, &count);
    assert_true(count.low < 2000 && count.high > 2000 && count.high - count.low < 60);
    assert_true(fabs(means[0] - 2) < 0.02 && fabs(stds[0] - 1) < 0.05);
    assert_true(fabs(means[1] - 0.5) < 0.02);
    assert_true(stds[1] > 0.01 && stds[1] < 0.25);
    ft_task_clear(&task);
}

static void
train_vector(uint32_t customer, float *v)
{
    (void)customer;
    v[0] = 3; /* longer than the clip: comes out with length 2 */
    v[2] = -4;
}

/* The mean of clipped vectors comes out of the rotation; the step is the learning rate times it; everybody
 * was above the clip, so the clip grows by e^(rate * quantile) to within the noise. */
static void
private_sum_undoes_rotation_and_adapts_the_clip(void **state)
{
    struct ft_task task =
        task_of("  rotation: true\n  adaptive_clip: {quantile: 0.5, rate: 0.2, min: 0.5, max: 10}\n", 2);
    struct ft_round_plan plan;
    struct ft_private_sum sum = decoded(&task, &plan, FT_STAGE_TRAIN, train_vector);
    const float params[3] = { 0 };
    double norm;

    (void)state;
    assert_true(plan.privacy.rotated && plan.privacy.indicator);
    assert_true(sum.below_share < 0.05);
    assert_true(fabs(ft_private_next_clip(&sum) - 2 * exp(0.1)) < 0.03);
    const double noise = sum.noise / sum.expected;
    ft_private_update(&sum, params, &norm);
    assert_true(fabs(norm - 2) < 6 * noise * 2);
    assert_true(fabs(sum.values[0] - 0.5 * 1.2) < 6 * noise);
    assert_true(fabs(sum.values[1]) < 6 * noise);
    assert_true(fabs(sum.values[2] + 0.5 * 1.6) < 6 * noise);
    ft_task_clear(&task);
}

/* Half are positive; scores in two places, nine of ten right: AUC 0.9, accuracy 0.9, mean loss 1. */
static void
evaluation_vector(uint32_t customer, float *v)
{
    const bool positive = customer % 2 == 0, right = customer % 20 > 1;
    v[0] = 0.5f;
    v[1] = right ? 0.5f : 0;
    v[2] = 0.5f * (float)(1 / FT_PRIVATE_LOSS_CAP);
    v[3 + (positive ? 0 : FT_PRIVATE_BINS) + (positive == right ? 24 : 8)] = 0.5f;
}

/* The estimates come out and their intervals hold the truth, over forty draws of the noise: 95 % each, so 30
 * is missed about once in 10^7 runs. */
static void
private_sum_intervals_hold_the_truth(void **state)
{
    struct ft_task task = task_of("", 1);
    struct ft_round_plan plan;
    int auc = 0, accuracy = 0, loss = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        struct ft_private_sum sum = decoded(&task, &plan, FT_STAGE_EVALUATE, evaluation_vector);
        struct ft_private_metrics m;
        ft_private_metrics(&sum, &m);
        auc += m.auc.low <= 0.9 && 0.9 <= m.auc.high;
        accuracy += m.accuracy.low <= 0.9 && 0.9 <= m.accuracy.high;
        loss += m.loss.low <= 1 && 1 <= m.loss.high;
        assert_true(m.auc.high - m.auc.low < 0.15 && m.accuracy.high - m.accuracy.low < 0.06);
        assert_true(m.calibration_count >= 2);
    }
    assert_true(auc >= 30 && accuracy >= 30 && loss >= 30);
    ft_task_clear(&task);
}

static void
nobody(uint32_t customer, float *v)
{
    (void)customer;
    (void)v;
}

/* Nobody there: no figure is made up of noise. */
static void
private_sum_of_nobody_gives_no_figures(void **state)
{
    struct ft_task task = task_of("", 1);
    struct ft_round_plan plan;
    struct ft_private_sum sum = decoded(&task, &plan, FT_STAGE_EVALUATE, nobody);
    struct ft_private_metrics m;

    (void)state;
    ft_private_metrics(&sum, &m);
    assert_true(isnan(m.auc.value) && isnan(m.accuracy.value) && isnan(m.loss.value) &&
                isnan(m.calibration_error));
    ft_task_clear(&task);
}

/* A sum of fewer shops than t_min and F is refused, whatever it holds, with the numbers. */
static void
private_sum_below_the_least_shops_is_refused(void **state)
{
    struct ft_task task = task_of("", 1);
    struct ft_round_plan plan;
    struct ft_private_sum sum;
    struct ft_error err = { 0 };
    const int64_t z[128] = { 0 };

    (void)state;
    OK(ft_round_plan_init(&plan, &task, FT_STAGE_TRAIN, NULL));
    assert_int_equal(ft_private_least_shops(&task), 4);
    assert_int_equal(ft_private_sum_init(&sum, &task, &plan, z, 3, 1500, room, &err), FT_ERR_COHORT);
    assert_non_null(strstr(err.text, "3 shops"));
    assert_null(sum.values);
    ft_task_clear(&task);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_sum_gives_means_and_deviations),
        cmocka_unit_test(private_sum_undoes_rotation_and_adapts_the_clip),
        cmocka_unit_test(private_sum_intervals_hold_the_truth),
        cmocka_unit_test(private_sum_of_nobody_gives_no_figures),
        cmocka_unit_test(private_sum_below_the_least_shops_is_refused),
    };
    ft_env_seeded_init(&env, 3, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
