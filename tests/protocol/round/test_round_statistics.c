/* A task that only measures, through the real engine, the shops' state machines and the vault's own contribution. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rig.h"

#include "client/vault/contribute.h"
#include "common/base/alloc.h"
#include "common/plan/measured.h"
#include "common/plan/round_plan.h"

#include <math.h>
#include <string.h>

#define SHOPS    5
#define PEOPLE   60 /* customers of each shop, two rows each */
#define FEATURES 2
#define OK(call) assert_int_equal((call), FT_OK)

#define HEAD                                                                                                 \
    "version: 1\nkind: statistics\ntask: figures\ntitle: Figures\npurpose: measure/demand\nowner: central\n" \
    "expires: 2030-12-31\nreview: 2030-06-30\nunit: customer\nexamples:\n"                                   \
    "  sql: SELECT customer_id, a, b FROM transactions\n  features:\n"                                       \
    "    - {name: a, min: 0, max: 4}\n    - {name: b, min: -1, max: 1}\n"                                    \
    "  rows_per_customer: 2\n  rows_max: 1000\nstatistics:\n"
/* Without noise each feature is in one table. */
#define ONCE                                                                                                 \
    "  - {measure: histogram, feature: b, bins: 4}\n  - {measure: deviation, feature: b}\n"                  \
    "  - {measure: quantiles, feature: a, at: [0.5], bins: 16}\n"
#define OFTEN                                                                                                \
    "  - {measure: histogram, feature: a, bins: 4}\n  - {measure: deviation, feature: b}\n"                  \
    "  - {measure: quantiles, feature: a, at: [0.5], bins: 16}\n"                                            \
    "  - {measure: cross, feature: a, bins: 2, with: b, with_edges: [0.5]}\n"
#define TAIL                                                                                                 \
    "cohort: {n_min: 5, n_cap: 5, h_min: 3, corrupted: 1, drop_permille: 200, sigma: 40, eta: 30,\n"         \
    "         suite: aes-256-ctr, lane_bits: 32}\n"                                                          \
    "schedule: {join: 1s, step: 2s, session: 30s, pause: 0s}\n"
#define PLAIN HEAD ONCE "privacy: {noise: none}\n" TAIL
#define NOISY                                                                                                \
    HEAD OFTEN "privacy:\n  noise: discrete-gaussian\n  noise_multiplier: 0.5\n  delta: 1.0e-5\n  m_stores: 1\n"    \
         "  expected_customers: 500\n  spare_rounds: 1\n"                                                     \
         "  shops: [{shop: shop-0, customers: 100}, {shop: shop-1, customers: 100},\n"                        \
         "          {shop: shop-2, customers: 100}, {shop: shop-3, customers: 100},\n"                        \
         "          {shop: shop-4, customers: 100}]\n" TAIL

/* Two rows of every customer, one after the other's: whole quarters, so that sums without noise are exact. */
static void
rows_of(uint32_t shop, float *x, uint32_t *whose)
{
    for (uint32_t r = 0; r < 2 * PEOPLE; r++) {
        const uint32_t who = r % PEOPLE;
        whose[r] = who;
        x[2 * r] = (float)((who + 3 * shop + r / PEOPLE) % 16) * 0.25f;
        x[2 * r + 1] = (float)((who * 5 + shop) % 9) * 0.25f - 1;
    }
}

static struct ft_examples
examples_of(uint32_t shop, float *x, float *y, uint32_t *whose)
{
    memset(y, 0, 2 * PEOPLE * sizeof *y);
    rows_of(shop, x, whose);
    return (struct ft_examples){ .rows_train = 2 * PEOPLE,
                                 .feature_count = FEATURES,
                                 .x_train = x,
                                 .y_train = y,
                                 .customer_train = whose,
                                 .customers_train = PEOPLE };
}

static enum ft_status
contribute(struct rig_shop *shop, const struct ft_work *work, uint64_t **words)
{
    float x[2 * PEOPLE * FEATURES], y[2 * PEOPLE];
    uint32_t whose[2 * PEOPLE];
    struct ft_examples e = examples_of(shop->index, x, y, whose);
    struct ft_contributor *c;
    struct ft_error err = { 0 };
    bool standardised = false;

    OK(ft_contributor_open(&shop->env.env, &c));
    if (ft_contribute(c, work, &e, &standardised, words, &err) != FT_OK)
        fail_msg("%s", err.text);
    ft_contributor_close(c);
    return FT_OK;
}

/* The same figures over all rows in one place. */
static void
pool(const struct ft_measure_plan *plan, double *sums)
{
    memset(sums, 0, plan->cells * sizeof *sums);
    for (uint32_t shop = 0; shop < SHOPS; shop++) {
        float x[2 * PEOPLE * FEATURES];
        uint32_t whose[2 * PEOPLE];
        rows_of(shop, x, whose);
        for (uint32_t r = 0; r < 2 * PEOPLE; r++)
            ft_measure_add(plan, x + FEATURES * r, 0.5, sums);
    }
}

struct world {
    struct rig rig;
    struct ft_task task, kept; /* kept: what the rig made itself */
    uint8_t hash[32];
    struct ft_model_state result;
    double truth[128];
};

/* One round to its end; the result as it was stored. */
static void
measure(struct world *w, const char *yaml)
{
    struct ft_error err = { 0 };
    struct ft_model_row *models = NULL;
    struct ft_round_row *rounds;
    struct ft_buf blob = { 0 };
    struct ft_measure_plan plan;
    size_t count = 0;
    uint8_t hash[32];

    memset(w, 0, sizeof *w);
    rig_open(&w->rig, SHOPS);
    if (ft_task_from_yaml(FT_BYTES(yaml, strlen(yaml)), "t.yaml", w->rig.deployment, &w->task, &err) != FT_OK ||
        ft_plan_privacy_derive(&w->task, &err) != FT_OK)
        fail_msg("%s", err.text);
    w->kept = w->rig.task;
    w->rig.task = w->task;
    for (uint32_t i = 0; i < SHOPS; i++)
        w->rig.shops[i].contribute = contribute;
    rig_publish(&w->rig, "figures", true, w->hash);
    assert_true(rig_run(&w->rig, rig_task_done, w->hash, 60000));
    w->rig.task = w->kept;
    rounds = rig_rounds(&w->rig, &count);
    assert_int_equal(count, 1);
    assert_int_equal(rounds[0].stage, FT_STAGE_STATISTICS);
    assert_int_equal(rounds[0].survivors, SHOPS);
    ft_round_rows_free(rounds, count);
    OK(ft_store_models(w->rig.db, w->hash, &models, &count));
    assert_int_equal(count, 1);
    assert_int_equal(models[0].version, 1);
    OK(ft_store_blob(w->rig.db, models[0].hash, &blob));
    OK(ft_model_blob_hash(ft_buf_bytes(&blob), hash));
    assert_memory_equal(hash, models[0].hash, 32);
    assert_memory_equal(hash, rig_task_row(&w->rig, w->hash).progress.model_hash, 32);
    OK(ft_model_state_decode(ft_buf_bytes(&blob), &w->result, &err));
    OK(ft_store_log_check(w->rig.db, &err));
    OK(ft_measure_plan_init(&plan, &w->task));
    pool(&plan, w->truth);
    ft_measure_plan_clear(&plan);
    ft_buf_clear(&blob);
    ft_free(models);
}

static void
end(struct world *w)
{
    ft_model_state_clear(&w->result);
    ft_task_clear(&w->task);
    rig_close(&w->rig);
}

/* Without noise the released sums are those of the pooled rows, to the last bit; one round, one version, in the log. */
static void
statistics_without_noise_are_the_pooled_ones(void **state)
{
    struct world w;
    (void)state;

    measure(&w, PLAIN);
    assert_int_equal(w.result.found.count, ft_measure_cells(&w.task));
    assert_int_equal(w.result.found.shops, SHOPS);
    assert_int_equal(w.result.found.min_group, FT_MIN_GROUP);
    assert_true(w.truth[0] == SHOPS * PEOPLE);
    for (size_t i = 0; i < w.result.found.count; i++)
        if (w.result.found.sums[i] != w.truth[i])
            fail_msg("cell %zu is %.17g, expected %.17g", i, w.result.found.sums[i], w.truth[i]);
    end(&w);
}

/* With noise (0.5 from three of five shares) every sum is off by its stated noise, and no sum is the truth itself; count and
 * median lie in their intervals. */
static void
statistics_with_noise_lie_in_their_intervals(void **state)
{
    struct world w;
    struct ft_measured m;
    struct ft_figure f;
    double square = 0;
    size_t cells = 0;
    (void)state;

    measure(&w, NOISY);
    OK(ft_measured_init(&m, &w.task, &w.result.found, NULL));
    assert_int_equal(w.result.found.customers, 500);
    for (uint32_t k = 0; k < m.plan.count; k++) {
        const struct ft_measure_block *b = &m.plan.blocks[k];
        const bool centred = b->kind == FT_MEASURE_DEVIATION;
        for (size_t c = b->at; c < b->at + b->cells; c++) {
            const double truth = centred ? 2 * w.truth[c] - w.truth[0] : w.truth[c],
                         off = fabs(w.result.found.sums[c] - truth) / ft_measured_block_noise(&m, b);
            if (!(off > 0 && off < 5))
                fail_msg("cell %zu of kind %u is %g, expected %g +- %g", c, b->kind, w.result.found.sums[c], truth,
                         ft_measured_block_noise(&m, b));
            square += off * off;
            cells++;
        }
    }
    /* The noise is what is stated: of 41 squares of a normal number each, four standard deviations to either side. */
    if (fabs(square / (double)cells - 1) > 4 * sqrt(2.0 / (double)cells))
        fail_msg("mean square %g of %zu", square / (double)cells, cells);
    f = ft_measured_count(&m);
    assert_true(f.estimate.low <= 300 && 300 <= f.estimate.high && f.estimate.high - f.estimate.low < 20);
    OK(ft_measured_quantiles(&m, &m.plan.blocks[3], &f));
    assert_true(f.estimate.low <= 1.9 && 1.7 <= f.estimate.high && f.estimate.high - f.estimate.low <= 2);
    ft_measured_clear(&m);
    end(&w);
}

/* A shop that claims more customers than its cells hold makes the sum unusable: it is refused, and nothing is kept. */
static enum ft_status
lie(struct rig_shop *shop, const struct ft_work *work, uint64_t **words)
{
    struct ft_layout layout = work->plan->layout;
    int64_t *z = ft_calloc(layout.dim, sizeof *z);
    const uint64_t count = shop->index == 2 ? 90 : PEOPLE;

    assert_non_null(z);
    for (size_t i = 0; i < layout.dim; i++)
        z[i] = 0;
    z[0] = (int64_t)((double)PEOPLE / layout.sum_unit);
    *words = ft_big_alloc((size_t)work->plan->codec.words * sizeof **words);
    assert_non_null(*words);
    OK(ft_ss_pack(&work->plan->codec, count, z, *words));
    ft_free(z);
    return FT_OK;
}

static void
sums_that_do_not_add_up_are_not_released(void **state)
{
    struct rig r;
    struct ft_task task, kept;
    struct ft_model_row *models = NULL;
    struct ft_round_row *rounds;
    size_t count = 0, made = 0;
    uint64_t one = 1;
    uint8_t hash[32];
    (void)state;

    rig_open(&r, SHOPS);
    OK(ft_task_from_yaml(FT_BYTES(PLAIN, sizeof PLAIN - 1), "t.yaml", r.deployment, &task, NULL));
    kept = r.task;
    r.task = task;
    for (uint32_t i = 0; i < SHOPS; i++)
        r.shops[i].contribute = lie;
    rig_publish(&r, "figures", true, hash);
    assert_true(rig_run(&r, rig_rounds_ended, &one, 60000));
    r.task = kept;
    rounds = rig_rounds(&r, &count);
    assert_int_equal(rounds[0].state, FT_ROUND_ABANDONED);
    assert_non_null(strstr(rounds[0].reasons, "SUM_UNUSABLE"));
    OK(ft_store_models(r.db, hash, &models, &made));
    assert_int_equal(made, 0);
    ft_free(models);
    ft_round_rows_free(rounds, count);
    ft_task_clear(&task);
    rig_close(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_without_noise_are_the_pooled_ones),
        cmocka_unit_test(statistics_with_noise_lie_in_their_intervals),
        cmocka_unit_test(sums_that_do_not_add_up_are_not_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
