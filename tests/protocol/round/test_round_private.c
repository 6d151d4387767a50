/* Rounds with noise: the next model from a noisy sum, without anybody's count. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#include "client/vault/contribute.h"
#include "common/base/alloc.h"
#include "common/plan/round_plan.h"
#include "common/privacy/encode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOPS     5
#define DECLARED  1000
#define PER_ROUND 500 /* customers that each shop adds: q of DECLARED */
#define ROUNDS    3
#define OK(call)  assert_int_equal((call), FT_OK)

static const float change[] = { 0.4f, -0.2f, 0.1f }; /* of every customer; shorter than the clip */

/* One customer's vector: half of the customers have x = 1/4 and y = 1/2, the others x = 3/4 and y = 1/2. */
static void
vector_of(const struct ft_work *work, uint32_t customer, float *v)
{
    const size_t count = work->plan->privacy.coordinates;
    const float scale = sqrtf(2 * RIG_FEATURES + 1), w = customer % 2 == 0 ? -0.5f : 0.5f;

    memset(v, 0, count * sizeof *v);
    switch (work->plan->stage) {
    case FT_STAGE_STATISTICS:
        v[0] = w / scale;
        v[RIG_FEATURES] = w * w / scale;
        v[2 * RIG_FEATURES] = 1 / scale;
        break;
    case FT_STAGE_TRAIN:
        memcpy(v, change, sizeof change);
        break;
    default: /* three of four are right; positives score high, negatives low, but for every tenth */
        v[0] = 0.5f;
        v[1] = customer % 4 == 0 ? 0 : 0.5f;
        v[2] = 0.5f * 0.25f;
        v[3 + (customer % 2 == 0 ? 0 : FT_PRIVATE_BINS) +
          ((customer % 2 == 0) != (customer % 10 < 1) ? 20 : 8)] = 0.5f;
    }
}

static enum ft_status
add_customers(struct rig_shop *shop, const struct ft_work *work, uint64_t **words)
{
    const struct ft_round_plan *plan = work->plan;
    const struct ft_encoder_config config = { .params = plan->privacy.params,
                                              .clip = plan->privacy.clip,
                                              .coordinates = plan->privacy.coordinates,
                                              .rotation_seed = plan->privacy.rotated
                                                                   ? work->task->privacy.rotation_seed
                                                                   : NULL,
                                              .indicator = plan->privacy.indicator,
                                              .coordinate_max = plan->codec.quant_max };
    struct ft_error err = { 0 };
    struct ft_noise *noise = NULL;
    struct ft_encoder *encoder = NULL;
    float *v = ft_calloc(plan->privacy.coordinates, sizeof *v);
    int64_t *x = ft_calloc((size_t)plan->privacy.dim, sizeof *x);

    assert_non_null(v);
    assert_non_null(x);
    OK(ft_noise_draw(&shop->env.env, plan->privacy.dim, plan->privacy.params.sigma_share, &noise));
    if (ft_encoder_open(&config, &shop->env.env, &noise, &encoder, &err) != FT_OK)
        fail_msg("%s", err.text);
    for (uint32_t c = 0; c < PER_ROUND; c++) {
        vector_of(work, c, v);
        ft_encoder_add(encoder, c, v);
    }
    OK(ft_encoder_finish(encoder, x));
    *words = ft_big_alloc((size_t)plan->codec.words * sizeof **words);
    assert_non_null(*words);
    OK(ft_ss_pack(&plan->codec, 0, x, *words));
    ft_encoder_close(encoder);
    ft_free(v);
    ft_free(x);
    return FT_OK;
}

static struct ft_task_shop declared[SHOPS];

static void
make_private(struct rig *r)
{
    static char names[SHOPS][8];

    for (uint32_t i = 0; i < SHOPS; i++) {
        snprintf(names[i], sizeof names[i], "shop-%u", i);
        declared[i] = (struct ft_task_shop){ names[i], DECLARED };
        r->shops[i].contribute = add_customers;
    }
    r->task.noise = 1;
    r->task.rounds = ROUNDS;
    r->task.lane_bits = 32;
    r->task.n_min = 5;
    r->task.n_cap = 5;
    r->task.h_min = 3;
    r->task.drop_permille = 200;
    r->task.privacy = (struct ft_task_privacy){ .noise_multiplier = 1,
                                                .delta = 1e-6,
                                                .expected_customers = SHOPS * PER_ROUND,
                                                .shops = declared,
                                                .shop_count = SHOPS,
                                                .m_stores = 1,
                                                .contribution = FT_CONTRIBUTION_DELTA };
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

/* Five shops of 1,000 declared customers: the model moves by what every customer asks for, to within the
 * noise; the rows hold declared and noisy numbers and no weight. */
static void
round_with_noise_moves_the_model_by_the_customers_mean(void **state)
{
    struct rig r;
    uint8_t hash[32];
    size_t count = 0;
    struct ft_round_row *rows;

    (void)state;
    rig_open(&r, SHOPS);
    make_private(&r);
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(count, ROUNDS + 2);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].state, FT_ROUND_COMMITTED);
        assert_null(strstr(rows[i].metrics, "weight"));
        assert_null(strstr(rows[i].metrics, "rows\":5"));
        assert_true(value_in(rows[i].metrics, "customers_declared") == SHOPS * DECLARED);
    }
    /* Half of the customers have x = 1/4, half 3/4. */
    const char *x = strstr(rows[0].metrics, "\"name\":\"x\"");
    assert_non_null(x);
    assert_true(fabs(value_in(x, "deviation") - 0.25) < 0.02);
    assert_true(fabs(value_in(x, "mean\":{\"value") - 0.5) < 0.02);
    const double noise = value_in(rows[1].metrics, "of_mean");
    assert_true(noise > 0.0001 && noise < 0.01);
    assert_true(fabs(rig_parameter(&r, hash) - ROUNDS * (double)change[0]) < 6 * noise * sqrt(ROUNDS));
    assert_true(fabs(rig_parameter(&r, hash) - ROUNDS * (double)change[0]) > 0); /* there is noise */
    assert_true(fabs(value_in(rows[4].metrics, "accuracy\":{\"value") - 0.75) < 0.02);
    assert_true(fabs(value_in(rows[4].metrics, "loss\":{\"value") - 1) < 0.05);
    assert_true(fabs(value_in(rows[4].metrics, "auc\":{\"value") - 0.85) < 0.1);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* With two of five gone before their input, four would have had to stay: no sum is revealed and the model is
 * as before. */
static void
round_with_noise_reveals_nothing_below_the_least_survivors(void **state)
{
    struct rig r;
    uint8_t hash[32];
    size_t count = 0, models = 0;
    uint64_t one = 1;
    struct ft_round_row *rows;
    struct ft_model_row *list = NULL;

    (void)state;
    rig_open(&r, SHOPS);
    make_private(&r);
    r.shops[1].die_before_join = r.shops[3].die_before_join = true;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &one, 60000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(rows[0].state, FT_ROUND_FAILED);
    assert_string_equal(rows[0].metrics, "{}");
    OK(ft_store_models(r.db, hash, &list, &models));
    assert_int_equal(models, 0);
    assert_int_equal(r.round_events[FT_ROUND_COMMITTED], 0);
    ft_free(list);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* A shop that the task does not name has declared nothing: it is told of no session, and the round says why.
 */
static void
round_with_noise_leaves_out_a_shop_the_task_does_not_name(void **state)
{
    struct rig r;
    uint8_t hash[32];
    size_t count = 0;
    struct ft_round_row *rows;

    (void)state;
    rig_open(&r, SHOPS + 1);
    make_private(&r);
    r.task.rounds = 1;
    rig_publish(&r, "first", true, hash);
    assert_true(rig_run(&r, rig_task_done, hash, 60000));
    rows = rig_rounds(&r, &count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].cohort, SHOPS);
        assert_non_null(strstr(rows[i].reasons, "\"shop-5\":\"TASK_DOES_NOT_NAME_IT\""));
    }
    assert_int_equal(r.shops[SHOPS].contributions, 0);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

/* ---- unit store ---- */

#define ROWS 40

/* The shop's own contribution over its own rows, as the vault makes it: every shop has the same ones but the last, which
 * has none. */
static enum ft_status
add_own_rows(struct rig_shop *shop, const struct ft_work *work, uint64_t **words)
{
    float x[ROWS * RIG_FEATURES], y[ROWS];
    const size_t rows = shop->index + 1 < SHOPS ? ROWS : 0;
    const struct ft_examples e = { .rows_train = rows, .rows_test = rows, .feature_count = RIG_FEATURES,
                                   .x_train = x, .y_train = y, .x_test = x, .y_test = y };
    struct ft_contributor *c;
    bool standardised = false;
    enum ft_status st;

    for (int i = 0; i < ROWS; i++) {
        x[2 * i] = i % 2 == 0 ? 0.25f : 0.75f;
        x[2 * i + 1] = i % 4 < 2 ? 0.25f : 0.75f;
        y[i] = (float)(i % 2);
    }
    OK(ft_contributor_open(&shop->env.env, &c));
    struct ft_examples own = e;
    st = ft_contribute(c, work, &own, &standardised, words, NULL);
    assert_false(standardised);
    assert_int_equal(ft_contributor_faults(c), 0);
    ft_contributor_close(c);
    return st;
}

/* Unit store through the real engine: each shop is one, with the local change of all its rows, a shop without rows takes
 * part like any other, and one that is lost on the way is no longer divided by. Declared are shops, by name alone. */
static void
round_of_unit_store_moves_the_model_by_the_mean_of_shops(void **state)
{
    struct rig r;
    uint8_t hash[32];
    size_t count = 0;
    struct ft_round_row *rows;

    (void)state;
    rig_open(&r, SHOPS);
    make_private(&r);
    for (uint32_t i = 0; i < SHOPS; i++) {
        declared[i].customers = 1;
        r.shops[i].contribute = add_own_rows;
    }
    r.task.unit = FT_UNIT_STORE;
    r.task.local_epochs = 50; /* far beyond the clip: each shop's change is as long as the clip, along the first feature */
    r.task.learning_rate = 0.5;
    r.task.privacy.noise_multiplier = 0.3;
    r.task.privacy.delta = 1e-3;
    r.task.privacy.expected_customers = SHOPS;
    r.shops[0].die_at_step = FT_SS_STEP_SHARES; /* in the first round, and does not come back */
    r.task.n_min = 4;
    rig_publish(&r, "first", true, hash);
    uint64_t one = 1;
    assert_true(rig_run(&r, rig_rounds_ended, &one, 60000));
    r.shops[0].die_at_step = FT_SS_STEP_NONE;
    rig_shop_up(&r, 0);
    assert_true(rig_run(&r, rig_task_done, hash, 120000));
    rows = rig_rounds(&r, &count);
    assert_int_equal(count, ROUNDS + 2);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].state, FT_ROUND_COMMITTED);
        assert_true(value_in(rows[i].metrics, "shops_declared") == (i == 0 ? SHOPS - 1 : SHOPS));
        assert_null(strstr(rows[i].metrics, "customers"));
        assert_null(strstr(rows[i].metrics, "weight"));
    }
    /* Four of five shops move by one clip, the fifth by nothing, and all five are divided by. */
    const double noise = value_in(rows[1].metrics, "of_mean"), moved = rig_parameter(&r, hash);
    assert_true(noise > 0.05 && noise < 0.1); /* 0.3 sqrt(5/3) / 5 of a clip */
    assert_true(moved > ROUNDS * 0.8 * 0.8 - 6 * noise * sqrt(ROUNDS));
    assert_true(moved < ROUNDS * 0.8 + 6 * noise * sqrt(ROUNDS));
    assert_true(fabs(moved) > 6 * noise * sqrt(ROUNDS)); /* it stands clear of what noise alone would do */
    /* A noisy count of the shops that have test rows. */
    const double shops = value_in(rows[4].metrics, "\"shops\":{\"value");
    assert_true(fabs(shops - (SHOPS - 1)) < 6 * 2 * noise * SHOPS);
    ft_round_rows_free(rows, count);
    rig_close(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_with_noise_moves_the_model_by_the_customers_mean),
        cmocka_unit_test(round_with_noise_reveals_nothing_below_the_least_survivors),
        cmocka_unit_test(round_with_noise_leaves_out_a_shop_the_task_does_not_name),
        cmocka_unit_test(round_of_unit_store_moves_the_model_by_the_mean_of_shops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
