/*
 * Federated training on real data reaches the optimum of pooled training. Real: the tasks' YAML and SELECT, one
 * database a shop, clipping (which binds nobody here), quantising, packing into ring words, their sum modulo 2^64,
 * unpacking, server step. Not here: masks, which cancel (tests of secure_sum), and the network.
 *
 * The reference figures were computed by another program (scikit-learn) on the pooled rows: tests/data/tasks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/rows.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/model/pooled.h"
#include "common/plan/round_plan.h"
#include "common/privacy/clip.h"
#include "tests/support/approx.h"

#include <glob.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOPS_MAX 128

struct federation {
    struct ft_task task;
    struct ft_examples shops[SHOPS_MAX]; /* those that have rows; one of Complete Journey has test rows only */
    size_t shop_count;
    struct ft_bounds *bounds;
    double means[32], stds[32];
    float params[64];
    uint64_t weight;   /* of the last round */
    double clipped;    /* largest share of the clip that an update took */
    struct ft_metrics_report report;
};

static void
must(enum ft_status st, const struct ft_error *err)
{
    if (st != FT_OK)
        fail_msg("%s: %s", ft_status_name(st), err != NULL ? err->text : "");
}

/* The task as it is given to shops, but for a cohort of all shops and a clip and weights that bind nobody. */
static void
load_task(struct federation *f, const char *path)
{
    const uint8_t deployment[16] = { 0 };
    struct ft_error err = { 0 };
    struct ft_buf yaml = { 0 };

    must(ft_file_read(path, FT_TASK_BYTES_MAX, &yaml, &err), &err);
    must(ft_task_from_yaml(ft_buf_bytes(&yaml), path, deployment, &f->task, &err), &err);
    ft_buf_clear(&yaml);
    f->task.n_cap = SHOPS_MAX;
    f->task.lane_bits = 32;
    f->task.clip = 4;
    f->task.weight_cap = 20000;
    f->task.server = FT_SERVER_MOMENTUM;
    f->task.server_learning_rate = 1;
    f->task.server_momentum = 0.9;
    f->bounds = ft_sim_bounds(&f->task);
    assert_non_null(f->bounds);
}

/* Every shop's own CSV file, made by the script that the demonstration uses, and its rows. */
static void
load_shops(struct federation *f, const char *transactions, int lines_min)
{
    char dir[] = "/tmp/fedtill-model-XXXXXX", command[512];
    struct ft_error err = { 0 };
    glob_t found;

    assert_non_null(mkdtemp(dir));
    (void)snprintf(command, sizeof command, "tests/data/split.sh %s %s %d", transactions, dir, lines_min);
    assert_int_equal(system(command), 0);
    (void)snprintf(command, sizeof command, "%s/store-*.csv", dir);
    assert_int_equal(glob(command, 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        assert_true(f->shop_count < SHOPS_MAX);
        must(ft_sim_rows_from_csv(found.gl_pathv[i], &f->task, &f->shops[f->shop_count], &err), &err);
        if (f->shops[f->shop_count].rows_train + f->shops[f->shop_count].rows_test > 0)
            f->shop_count++;
        else
            ft_examples_clear(&f->shops[f->shop_count]);
    }
    globfree(&found);
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void
clear(struct federation *f)
{
    for (size_t i = 0; i < f->shop_count; i++)
        ft_examples_clear(&f->shops[i]);
    ft_free(f->bounds);
    ft_task_clear(&f->task);
}

/* One round's sum: each shop's coordinates are packed and added as ring words; what comes back is unpacked. */
struct sum {
    struct ft_round_plan plan;
    uint64_t *words, *total;
    int64_t *z;
    uint64_t weight;
    uint32_t shops;
};

static void
sum_begin(struct sum *s, const struct ft_task *task, enum ft_stage stage)
{
    struct ft_error err = { 0 };
    memset(s, 0, sizeof *s);
    must(ft_round_plan_init(&s->plan, task, stage, &err), &err);
    s->words = ft_calloc(s->plan.codec.words, sizeof *s->words);
    s->total = ft_calloc(s->plan.codec.words, sizeof *s->total);
    s->z = ft_calloc(s->plan.codec.dim, sizeof *s->z);
    assert_true(s->words != NULL && s->total != NULL && s->z != NULL);
}

static void
sum_add(struct sum *s, uint64_t weight)
{
    must(ft_ss_pack(&s->plan.codec, weight, s->z, s->words), NULL);
    for (uint64_t i = 0; i < s->plan.codec.words; i++)
        s->total[i] += s->words[i];
    s->shops++;
}

static void
sum_end(struct sum *s)
{
    must(ft_ss_unpack(&s->plan.codec, s->total, s->shops, s->z, &s->weight), NULL);
}

static void
sum_clear(struct sum *s)
{
    ft_free(s->words);
    ft_free(s->total);
    ft_free(s->z);
}

static void
statistics_round(struct federation *f)
{
    const uint32_t features = f->task.feature_count;
    double sums[64];
    struct sum s;

    sum_begin(&s, &f->task, FT_STAGE_STATISTICS);
    for (size_t i = 0; i < f->shop_count; i++) {
        const struct ft_examples *e = &f->shops[i];
        must(ft_statistics_sum(e->x_train, e->rows_train, features, f->bounds, sums, NULL), NULL);
        must(ft_layout_encode_sums(&s.plan.layout, sums, s.z), NULL);
        sum_add(&s, ft_layout_weight(&s.plan.layout, e->rows_train));
    }
    sum_end(&s);
    must(ft_layout_decode_sums(&s.plan.layout, s.z, s.shops, sums), NULL);
    must(ft_statistics_finish(sums, (double)s.weight, features, f->bounds, f->means, f->stds), NULL);
    f->weight = s.weight;
    sum_clear(&s);
    for (size_t i = 0; i < f->shop_count; i++)
        must(ft_sim_standardise(&f->shops[i], f->bounds, f->means, f->stds), NULL);
}

/* One training round: update, clip, quantise, sum, server step. */
static void
training_round(struct federation *f, struct sum *s, struct ft_trainer *trainer, struct ft_server *server,
               const struct ft_env *env)
{
    const size_t parameters = s->plan.layout.real_coordinates, at = s->plan.layout.metric_coordinates;
    double reals[64];
    float delta[64];

    memset(s->total, 0, s->plan.codec.words * sizeof *s->total);
    memset(s->z, 0, s->plan.codec.dim * sizeof *s->z);
    s->shops = 0;
    for (size_t i = 0; i < f->shop_count; i++) {
        const struct ft_examples *e = &f->shops[i];
        const struct ft_dataset train = { e->x_train, e->y_train, e->rows_train };
        const uint64_t weight = ft_layout_weight(&s->plan.layout, e->rows_train);
        double norm = 0;
        if (e->rows_train == 0)
            continue;
        must(ft_train_local(trainer, &train, env, f->params, delta), NULL);
        must(ft_clip_l2(delta, parameters, f->task.clip, &norm), NULL);
        if (norm / f->task.clip > f->clipped)
            f->clipped = norm / f->task.clip;
        memset(s->z, 0, at * sizeof *s->z); /* the metrics have a round of their own below */
        must(ft_ss_quantise_f32(&s->plan.codec, env, delta, (double)weight, parameters, s->z + at), NULL);
        sum_add(s, weight);
    }
    sum_end(s);
    ft_ss_dequantise(&s->plan.codec, s->z + at, parameters, 1, reals);
    must(ft_server_step(server, reals, (double)s->weight, f->params), NULL);
}

static void
evaluation_round(struct federation *f)
{
    static uint64_t values[4096];
    struct ft_error err = { 0 };
    struct ft_model *m = NULL;
    struct sum s;

    sum_begin(&s, &f->task, FT_STAGE_EVALUATE);
    assert_true(s.plan.layout.metrics.value_count <= 4096);
    must(ft_model_open(&s.plan.model, &m, &err), &err);
    for (size_t i = 0; i < f->shop_count; i++) {
        const struct ft_examples *e = &f->shops[i];
        const struct ft_dataset train = { e->x_train, e->y_train, e->rows_train };
        const struct ft_dataset test = { e->x_test, e->y_test, e->rows_test };
        must(ft_metrics_measure(&s.plan.layout.metrics, m, f->params, &test, &train, values, &err), &err);
        must(ft_layout_encode_metrics(&s.plan.layout, values, s.z), NULL);
        sum_add(&s, ft_layout_weight(&s.plan.layout, e->rows_train));
    }
    sum_end(&s);
    must(ft_layout_decode_metrics(&s.plan.layout, s.z, s.shops, values), NULL);
    ft_metrics_report(&s.plan.layout.metrics, values, f->params, f->task.weight_decay, &f->report);
    ft_model_close(m);
    sum_clear(&s);
}

static void
train(struct federation *f, int rounds)
{
    struct ft_train_config config = { f->task.local_epochs, f->task.batch_size, f->task.learning_rate,
                                      f->task.momentum, f->task.weight_decay };
    struct ft_server_config server_config;
    struct ft_env_seeded env;
    struct ft_trainer *trainer = NULL;
    struct ft_server *server = NULL;
    struct ft_error err = { 0 };
    size_t rows_max = 0;
    struct sum s;

    ft_env_seeded_init(&env, 7, 0);
    sum_begin(&s, &f->task, FT_STAGE_TRAIN);
    assert_true(s.plan.layout.real_coordinates <= 64);
    for (size_t i = 0; i < f->shop_count; i++)
        rows_max = f->shops[i].rows_train > rows_max ? f->shops[i].rows_train : rows_max;
    ft_plan_server_config(&f->task, &server_config);
    must(ft_trainer_open(&s.plan.model, &config, rows_max, &trainer, &err), &err);
    must(ft_server_open(&server_config, s.plan.layout.real_coordinates, &server, &err), &err);
    ft_model_init(&s.plan.model, f->task.seed, f->params);
    for (int round = 0; round < rounds; round++)
        training_round(f, &s, trainer, server, &env.env);
    sum_clear(&s);
    ft_trainer_close(trainer);
    ft_server_close(server);
    evaluation_round(f);
}

/* The pooled rows, standardised by the federated numbers: objective of the federated model and exact test AUC. */
static void
pooled_view(struct federation *f, double *objective, double *auc, struct ft_pooled_result *optimum)
{
    struct ft_examples all;
    struct ft_model_spec spec;
    struct ft_model *m = NULL;
    double best[64];
    float *z;

    must(ft_sim_pool(f->shops, f->shop_count, &all), NULL);
    ft_plan_model_spec(&f->task, &spec);
    must(ft_model_open(&spec, &m, NULL), NULL);
    const struct ft_dataset train_rows = { all.x_train, all.y_train, all.rows_train };
    must(ft_model_loss(m, f->params, &train_rows, objective), NULL);
    *objective += ft_model_penalty(&spec, f->params, f->task.weight_decay);
    z = ft_calloc(all.rows_test, sizeof *z);
    assert_non_null(z);
    must(ft_model_scores(m, f->params, all.x_test, all.rows_test, z), NULL);
    must(ft_auc_exact(z, all.y_test, all.rows_test, auc), NULL);
    must(ft_pooled_optimum(&spec, &train_rows, f->task.weight_decay, best, optimum), NULL);
    ft_free(z);
    ft_model_close(m);
    ft_examples_clear(&all);
}

/* cj_return on all 108 shops: means, deviations, optimum and AUC are those of the pooled rows. */
static void
complete_journey_reaches_the_pooled_optimum(void **state)
{
    static const double means[12] = { 1.65785496, 1.86759746, 1.40308489, 1.06741325, 0.98994502, 0.72150737,
                                      2.54561949, 0.47452289, 0.06984786, 0.29249209, 0.52979854, 1.16697375 };
    static const double stds[12] = { 1.05119057, 0.88692572, 1.18016274, 1.03247593, 0.95306036, 0.66258450,
                                     1.20918351, 0.33700978, 0.25489043, 0.30895044, 0.70239779, 0.95185153 };
    static struct federation f;
    struct ft_pooled_result optimum;
    double objective = 0, auc = 0;

    (void)state;
    load_task(&f, "deploy/tasks/cj_return.yaml");
    load_shops(&f, "tests/data/completejourney/transactions.csv.gz", 100);
    assert_int_equal(f.shop_count, 108);
    statistics_round(&f);
    assert_int_equal(f.weight, 4338);
    for (int i = 0; i < 12; i++) {
        assert_approx(f.means[i], means[i], 2e-8);
        assert_approx(f.stds[i], stds[i], 2e-8);
    }
    train(&f, 200);
    pooled_view(&f, &objective, &auc, &optimum);
    print_message("objective %.8f (optimum %.8f), secure-sum objective %.8f, AUC %.6f, secure-sum AUC %.6f "
                  "[%.4f, %.4f], log loss %.5f, ECE %.4f, clip used %.3f\n",
                  objective, optimum.objective, f.report.objective, auc, f.report.auc.value, f.report.auc.low,
                  f.report.auc.high, f.report.test_loss.value, f.report.calibration_error, f.clipped);
    assert_true(f.clipped < 1); /* the clip bound nobody */
    assert_approx(optimum.objective, 0.49192379, 1e-7);
    assert_true(objective >= optimum.objective - 1e-7);
    assert_approx(objective, 0.49192379, 1e-4);
    assert_approx(f.report.objective, objective, 1e-6);
    assert_approx(auc, 0.8253, 5e-4);
    assert_approx(f.report.auc.value, auc, 5e-4);
    assert_approx(f.report.test_loss.value, 0.5025, 5e-4);
    assert_int_equal(f.report.test_rows, 4463);
    clear(&f);
}

/* iowa_reorder on all 100 shops, a quarter of a million rows. */
static void
iowa_reaches_the_pooled_optimum(void **state)
{
    static struct federation f;
    struct ft_pooled_result optimum;
    double objective = 0, auc = 0;

    (void)state;
    load_task(&f, "deploy/tasks/iowa_reorder.yaml");
    load_shops(&f, "tests/data/iowa-liquor/transactions.csv.gz", 1);
    assert_int_equal(f.shop_count, 100);
    statistics_round(&f);
    assert_int_equal(f.weight, 246599);
    train(&f, 120);
    pooled_view(&f, &objective, &auc, &optimum);
    print_message("objective %.8f (optimum %.8f), secure-sum objective %.8f, AUC %.6f, secure-sum AUC %.6f, "
                  "clip used %.3f\n",
                  objective, optimum.objective, f.report.objective, auc, f.report.auc.value, f.clipped);
    assert_true(f.clipped < 1);
    assert_approx(optimum.objective, 0.51519191, 1e-7);
    assert_approx(objective, 0.51519191, 1e-4);
    assert_approx(f.report.objective, objective, 1e-6);
    assert_approx(auc, 0.7856, 5e-4);
    assert_approx(f.report.auc.value, auc, 5e-4);
    assert_int_equal(f.report.test_rows, 130378);
    clear(&f);
}

static int
setup(void **state)
{
    (void)state;
    ft_model_setup();
    return sodium_init() < 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(complete_journey_reaches_the_pooled_optimum),
        cmocka_unit_test(iowa_reaches_the_pooled_optimum),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
