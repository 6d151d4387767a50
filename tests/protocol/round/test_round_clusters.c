/* k-means through the real engine, with what shops really contribute: without noise the centroids of pooled
 * rows, with noise near them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#include "client/vault/contribute.h"
#include "common/base/alloc.h"
#include "common/model/kmeans.h"
#include "common/model/state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOPS    5
#define CLUSTERS 3
#define F        RIG_FEATURES
#define ROWS_MAX 900 /* of one shop */
#define OK(call) assert_int_equal((call), FT_OK)

static float rows_of[SHOPS][ROWS_MAX * F];
static size_t row_count[SHOPS];
static const struct ft_bounds bounds[F] = { { 0, 1 }, { 0, 1 } };

/* Three groups in uneven shares over shops of uneven size. */
static void
make_rows(size_t each)
{
    static const float middle[3][F] = { { 0.2f, 0.3f }, { 0.7f, 0.25f }, { 0.5f, 0.8f } };
    struct ft_env_seeded env;

    ft_env_seeded_init(&env, 42, 1);
    for (uint32_t s = 0; s < SHOPS; s++) {
        row_count[s] = each - each / 8 * s;
        for (size_t r = 0; r < row_count[s]; r++) {
            const uint64_t group = ft_random_below(&env.env, 4 + s) % 3;
            for (int j = 0; j < F; j++)
                rows_of[s][r * F + (size_t)j] =
                    middle[group][j] + (float)((double)ft_random_below(&env.env, 1000) / 1000 - 0.5) * 0.2f;
        }
    }
}

/* The shop's rows through the vault's own contribution. */
static enum ft_status
contribute_rows(struct rig_shop *shop, const struct ft_work *work, uint64_t **words)
{
    const size_t n = row_count[shop->index];
    float x[2][ROWS_MAX * F], y[ROWS_MAX] = { 0 };
    uint32_t whose[ROWS_MAX];
    struct ft_examples e = { .rows_train = n,
                             .rows_test = n,
                             .feature_count = F,
                             .x_train = x[0],
                             .y_train = y,
                             .x_test = x[1],
                             .y_test = y,
                             .customer_train = whose,
                             .customer_test = whose,
                             .customers_train = n,
                             .customers_test = n };
    struct ft_contributor *c;
    struct ft_error err = { 0 };
    bool standardised = false;

    for (uint32_t i = 0; i < n; i++)
        whose[i] = i;
    memcpy(x[0], rows_of[shop->index], sizeof x[0]);
    memcpy(x[1], rows_of[shop->index], sizeof x[1]);
    OK(ft_contributor_open(&shop->env.env, &c));
    if (ft_contribute(c, work, &e, &standardised, words, &err) != FT_OK)
        fail_msg("%s", err.text);
    ft_contributor_close(c);
    return FT_OK;
}

static void
make_task(struct rig *r)
{
    struct ft_task *t = &r->task;

    t->model = FT_MODEL_KMEANS;
    t->clusters = CLUSTERS;
    t->min_cluster = 10;
    t->purpose = (char *)(uintptr_t) "train/segmentation";
    t->label = (char *)(uintptr_t) "";
    t->label_max = t->learning_rate = t->server_learning_rate = t->server_beta2 = t->server_epsilon =
        t->clip = 0;
    t->local_epochs = t->weight_cap = t->bins = t->calibration_bins = 0;
    t->server = (enum ft_server_kind)0;
    t->rounds = 10;
    for (uint32_t i = 0; i < r->shop_count; i++)
        r->shops[i].contribute = contribute_rows;
}

static void
newest_model(struct rig *r, const uint8_t hash[32], struct ft_model_state *state)
{
    struct ft_model_row *rows = NULL;
    struct ft_buf blob = { 0 };
    size_t count = 0;

    OK(ft_store_models(r->db, hash, &rows, &count));
    assert_true(count > 0);
    OK(ft_store_blob(r->db, rows[count - 1].hash, &blob));
    OK(ft_model_state_decode(ft_buf_bytes(&blob), state, NULL));
    ft_buf_clear(&blob);
    ft_free(rows);
}

/* Everything in one place: means and deviations, the same first centroids, Lloyd's rounds. */
static void
pooled(const struct rig *r, float *params, double *inertia)
{
    static float all[SHOPS * ROWS_MAX * F];
    const struct ft_model_spec spec = { .kind = FT_MODEL_KMEANS, .features = F, .classes = CLUSTERS };
    double sums[2 * F], means[F], stds[F];
    struct ft_model *m;
    size_t n = 0;

    for (uint32_t s = 0; s < SHOPS; s++) {
        memcpy(all + n * F, rows_of[s], row_count[s] * F * sizeof *all);
        n += row_count[s];
    }
    OK(ft_statistics_sum(all, n, F, bounds, sums, NULL));
    OK(ft_statistics_finish(sums, (double)n, F, bounds, means, stds));
    OK(ft_standardise(all, n, F, bounds, means, stds, all, NULL));
    OK(ft_model_open(&spec, &m, NULL));
    ft_model_init(&spec, r->task.seed, params);
    ft_kmeans_clamp(&spec, bounds, means, stds, params);
    OK(ft_kmeans_pooled(m, all, n, r->task.rounds, r->task.min_cluster, r->task.seed, params));
    OK(ft_model_loss(m, params, &(struct ft_dataset){ all, all, n }, inertia));
    ft_model_close(m);
}

static double
value_in(const char *json, const char *name)
{
    const char *at = strstr(json, name);
    double v = NAN;
    if (at != NULL && (at = strpbrk(at + strlen(name), "0123456789-")) != NULL)
        v = strtod(at, NULL);
    return v;
}

/* Without noise the sum is exact, and so are the centroids; the last row says inertia and shares. */
static void
rounds_without_noise_make_the_centroids_of_pooled_rows(void **state)
{
    struct rig r;
    uint8_t hash[32];
    size_t count = 0;
    struct ft_round_row *rows;
    struct ft_model_state model;
    float want[CLUSTERS * F];
    double inertia;

    (void)state;
    make_rows(160);
    rig_open(&r, SHOPS);
    make_task(&r);
    pooled(&r, want, &inertia);
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    newest_model(&r, hash, &model);
    assert_int_equal(model.version, 10);
    for (int i = 0; i < CLUSTERS * F; i++)
        if (!(fabs((double)model.params[i] - (double)want[i]) < 1e-6))
            fail_msg("centroid %d: %.9g, pooled %.9g", i, (double)model.params[i], (double)want[i]);
    rows = rig_rounds(&r, &count);
    assert_int_equal(count, 12);
    assert_true(fabs(value_in(rows[11].metrics, "\"loss\":{\"value") - inertia) < 1e-4);
    assert_true(value_in(rows[11].metrics, "\"clusters\":[{\"cluster\":0,\"rows") >= 10);
    assert_null(strstr(rows[11].metrics, "accuracy"));
    assert_true(value_in(rows[10].metrics, "small_clusters") == 0);
    assert_true(value_in(rows[10].metrics, "moved") < 1e-3); /* arrived */
    assert_true(value_in(rows[1].metrics, "moved") > 0.1);
    ft_round_rows_free(rows, count);
    ft_model_state_clear(&model);
    rig_close(&r);
}

/* With noise: near the same centroids, in nobody's true numbers. */
static void
rounds_with_noise_come_near_the_centroids_of_pooled_rows(void **state)
{
    static char names[SHOPS][8];
    static struct ft_task_shop declared[SHOPS];
    struct rig r;
    uint8_t hash[32];
    size_t count = 0;
    struct ft_round_row *rows;
    struct ft_model_state model;
    float want[CLUSTERS * F];
    double inertia, off = 0;

    (void)state;
    make_rows(ROWS_MAX);
    rig_open(&r, SHOPS);
    make_task(&r);
    pooled(&r, want, &inertia);
    for (uint32_t i = 0; i < SHOPS; i++) {
        snprintf(names[i], sizeof names[i], "shop-%u", i);
        declared[i] = (struct ft_task_shop){ names[i], 900 };
    }
    r.task.noise = 1;
    r.task.clip = 2;
    r.task.n_min = r.task.n_cap = 5;
    r.task.h_min = 3;
    r.task.drop_permille = 200;
    r.task.privacy = (struct ft_task_privacy){ .noise_multiplier = 3,
                                               .delta = 1e-6,
                                               .expected_customers = 4500,
                                               .shops = declared,
                                               .shop_count = SHOPS,
                                               .m_stores = 1 };
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    newest_model(&r, hash, &model);
    for (int i = 0; i < CLUSTERS * F; i++) {
        off = fmax(off, fabs((double)model.params[i] - (double)want[i]));
        assert_true(model.params[i] != want[i]);
    }
    if (!(off < 0.15))
        fail_msg("a centroid is %g off", off);
    rows = rig_rounds(&r, &count);
    assert_int_equal(count, 12);
    for (size_t i = 0; i < count; i++) {
        assert_null(strstr(rows[i].metrics, "rows"));
        assert_null(strstr(rows[i].metrics, "weight"));
    }
    assert_true(value_in(rows[11].metrics, "loss_cap") == 4);
    assert_true(fabs(value_in(rows[11].metrics, "\"loss\":{\"value") - inertia) < 0.1);
    assert_true(fabs(value_in(rows[11].metrics, "\"customers\":{\"value") - 3375) < 100);
    assert_true(value_in(rows[11].metrics, "\"clusters\":[{\"cluster\":0,\"share\":{\"value") > 0.05);
    ft_round_rows_free(rows, count);
    ft_model_state_clear(&model);
    rig_close(&r);
}

/* Sums that no rows in the declared ranges have, or numbers that are not the weight: the round is refused. */
static enum ft_status
lie(struct rig_shop *shop, const struct ft_work *work, uint64_t **words)
{
    const struct ft_round_plan *plan = work->plan;
    int64_t z[256] = { 0 };

    if (shop->index != 1 || plan->stage != FT_STAGE_TRAIN)
        return contribute_rows(shop, work, words);
    assert_true(plan->layout.dim <= 256);
    z[plan->layout.metric_coordinates + F] =
        (int64_t)(5 / plan->layout.sum_unit); /* five rows, and one is said */
    *words = ft_big_alloc((size_t)plan->codec.words * sizeof **words);
    assert_non_null(*words);
    return ft_ss_pack(&plan->codec, 1, z, *words);
}

static void
a_sum_that_no_rows_have_makes_no_model(void **state)
{
    struct rig r;
    uint8_t hash[32];
    uint64_t ended = 2;
    size_t count = 0;
    struct ft_round_row *rows;
    struct ft_model_state model;

    (void)state;
    make_rows(160);
    rig_open(&r, SHOPS);
    make_task(&r);
    r.shops[1].contribute = lie;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &ended, 60000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(rows[1].state, FT_ROUND_ABANDONED);
    assert_non_null(strstr(rows[1].reasons, "SUM_UNUSABLE"));
    newest_model(&r, hash, &model);
    assert_int_equal(model.version, 0);
    ft_model_state_clear(&model);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_without_noise_make_the_centroids_of_pooled_rows),
        cmocka_unit_test(rounds_with_noise_come_near_the_centroids_of_pooled_rows),
        cmocka_unit_test(a_sum_that_no_rows_have_makes_no_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
