/*
 * A simulated federation is the federation: cj_return on the twelve largest shops, by an experiment's YAML
 * and the engine, and beside it by what shops and aggregator run: each shop's update, clipped, quantised and
 * packed by the task's own plan of a round, ring words added, unpacked, and the server's step. Not here:
 * masks, which cancel, and the network.
 *
 * Batches are all rows, so training draws nothing; what differs is the rounding of lanes, drawn from other
 * streams.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/engine/engine.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/plan/round_plan.h"
#include "common/privacy/clip.h"
#include "tests/protocol/simulate/demo_shops.h"
#include "tests/support/approx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS     30
#define PARAMETERS 13

static char dir[] = "/tmp/fedtill-federation-XXXXXX";

static void
must(enum ft_status st, const struct ft_error *err)
{
    if (st != FT_OK)
        fail_msg("%s: %s", ft_status_name(st), err != NULL ? err->text : "");
}

/* ---- as shops and aggregator do it ---- */

struct sum {
    struct ft_round_plan plan;
    uint64_t words[64], total[64], weight;
    int64_t z[4096];
    uint32_t shops;
};

static void
begin(struct sum *s, enum ft_stage stage)
{
    struct ft_error err = { 0 };
    memset(s, 0, sizeof *s);
    must(ft_round_plan_init(&s->plan, &task, stage, &err), &err);
}

static void
add(struct sum *s, uint64_t weight, uint64_t *words, uint64_t *total)
{
    must(ft_ss_pack(&s->plan.codec, weight, s->z, words), NULL);
    for (uint64_t i = 0; i < s->plan.codec.words; i++)
        total[i] += words[i];
    s->shops++;
}

static void
statistics(void)
{
    static struct sum s;
    struct ft_bounds *bounds = ft_sim_bounds(&task);
    double sums[64], means[32], stds[32];

    begin(&s, FT_STAGE_STATISTICS);
    assert_true(s.plan.codec.words <= 64);
    for (int i = 0; i < SHOPS; i++) {
        must(ft_statistics_sum(shops[i].x_train, shops[i].rows_train, task.feature_count, bounds, sums, NULL),
             NULL);
        must(ft_layout_encode_sums(&s.plan.layout, sums, s.z), NULL);
        add(&s, ft_layout_weight(&s.plan.layout, shops[i].rows_train), s.words, s.total);
    }
    must(ft_ss_unpack(&s.plan.codec, s.total, s.shops, s.z, &s.weight), NULL);
    must(ft_layout_decode_sums(&s.plan.layout, s.z, s.shops, sums), NULL);
    must(ft_statistics_finish(sums, (double)s.weight, task.feature_count, bounds, means, stds), NULL);
    for (int i = 0; i < SHOPS; i++)
        must(ft_sim_standardise(&shops[i], bounds, means, stds), NULL);
    ft_free(bounds);
}

static void
one_round(struct ft_trainer *trainer, struct ft_server *server, const struct ft_env *env, float *params)
{
    static struct sum s;
    uint64_t *words, *total;
    double reals[PARAMETERS], norm;
    float delta[PARAMETERS];

    begin(&s, FT_STAGE_TRAIN);
    const size_t at = s.plan.layout.metric_coordinates;
    assert_true(s.plan.codec.dim <= 4096);
    words = ft_calloc(s.plan.codec.words, sizeof *words);
    total = ft_calloc(s.plan.codec.words, sizeof *total);
    for (int i = 0; i < SHOPS; i++) {
        const struct ft_dataset rows = { shops[i].x_train, shops[i].y_train, shops[i].rows_train };
        const uint64_t weight = ft_layout_weight(&s.plan.layout, rows.rows);
        must(ft_train_local(trainer, &rows, env, params, delta), NULL);
        must(ft_clip_l2(delta, PARAMETERS, task.clip, &norm), NULL);
        memset(s.z, 0, sizeof s.z);
        must(ft_ss_quantise_f32(&s.plan.codec, env, delta, (double)weight, PARAMETERS, s.z + at), NULL);
        add(&s, weight, words, total);
    }
    must(ft_ss_unpack(&s.plan.codec, total, s.shops, s.z, &s.weight), NULL);
    ft_ss_dequantise(&s.plan.codec, s.z + at, PARAMETERS, 1, reals);
    must(ft_server_step(server, reals, (double)s.weight, params), NULL);
    ft_free(words);
    ft_free(total);
}

static void
federate(float params[PARAMETERS])
{
    const struct ft_train_config config = { task.local_epochs, task.batch_size, task.learning_rate,
                                            task.momentum, task.weight_decay };
    struct ft_server_config server_config;
    struct ft_model_spec spec;
    struct ft_trainer *trainer = NULL;
    struct ft_server *server = NULL;
    struct ft_env_seeded env;

    ft_env_seeded_init(&env, 7, 0);
    ft_plan_model_spec(&task, &spec);
    ft_plan_server_config(&task, &server_config);
    must(ft_trainer_open(&spec, &config, 100000, &trainer, NULL), NULL);
    must(ft_server_open(&server_config, PARAMETERS, &server, NULL), NULL);
    ft_model_init(&spec, task.seed, params);
    for (int round = 0; round < ROUNDS; round++)
        one_round(trainer, server, &env.env, params);
    ft_trainer_close(trainer);
    ft_server_close(server);
}

/* ---- as an experiment ---- */

struct simulation {
    struct ft_sim_experiment e;
    struct ft_sim_data data;
    struct ft_sim_clients clients;
    struct ft_model_spec spec;
};

static void
open_simulation(struct simulation *s, const char *files, const char *by, const char *secure)
{
    struct ft_findings findings;
    struct ft_error err = { 0 };
    char *yaml = ft_asprintf(
        "name: cj-return\nseed: 1\n"
        "data:\n  source: task\n  task: deploy/tasks/cj_return.yaml\n  files: \"%s/%s\"\n%s"
        "partition:\n  kind: column\nmodel:\n  kind: logistic\nalgorithm:\n  name: fedavg\n"
        "training:\n  rounds: %d\n  batch_size: 0\n  learning_rate: %.17g\n  weight_decay: %.17g\n"
        "clients:\n  fraction: 1\n%s",
        dir, files, by, ROUNDS, task.learning_rate, task.weight_decay, secure);
    must(ft_sim_experiment_parse(FT_BYTES(yaml, strlen(yaml)), "test", NULL, &s->e, &findings, &err), &err);
    ft_free(yaml);
    must(ft_sim_data_open(&s->e.data, s->e.seed, &s->data, &err), &err);
    must(ft_sim_partition(&s->e.partition, s->e.seed, &s->data, &s->clients, &err), &err);
    must(ft_sim_experiment_model(&s->e, &s->data, &s->spec, &err), &err);
}

static void
close_simulation(struct simulation *s)
{
    ft_sim_clients_clear(&s->clients);
    ft_sim_data_clear(&s->data);
    ft_sim_experiment_clear(&s->e);
}

static void
simulate(const char *secure, float params[PARAMETERS], struct ft_sim_score *score)
{
    struct simulation s;
    struct ft_sim_engine *engine = NULL;
    struct ft_sim_round round;
    struct ft_error err = { 0 };

    open_simulation(&s, "store-*.csv", "", secure);
    const struct ft_sim_input input = { &s.e, &s.data, &s.clients, &s.spec, 2 };
    must(ft_sim_engine_open(&input, &engine, &err), &err);
    for (int i = 0; i < ROUNDS; i++)
        must(ft_sim_engine_round(engine, &round, &err), &err);
    assert_int_equal(round.came, SHOPS);
    *score = round.score;
    assert_int_equal(ft_sim_engine_parameters(engine), PARAMETERS);
    memcpy(params, ft_sim_engine_params(engine), PARAMETERS * sizeof *params);
    ft_sim_engine_close(engine);
    close_simulation(&s);
}

/* ---- what is shown ---- */

static double
distance(const float *a, const float *b)
{
    double most = 0;
    for (int i = 0; i < PARAMETERS; i++)
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

/*
 * A lane's step is clip * weight_cap / 2^26 or less of a sum (32 bits, 16 shops: 27 bits and a sign), 1.5e-4;
 * over the rows of all (some 1,500) that is 1e-7 a shop and round, drawn to either side. Thirty rounds of
 * twelve shops stay within 5e-6, and so do simulations with masked lanes; the plain sum differs from both by
 * as little.
 */
static void
a_simulated_federation_reaches_the_same_model(void **state)
{
    float real[PARAMETERS], plain[PARAMETERS], masked[PARAMETERS];
    struct ft_sim_score plain_score, masked_score;
    (void)state;
    federate(real);
    simulate("", plain, &plain_score);
    simulate("secure_sum:\n  kind: exact\n  clip: 5\n", masked, &masked_score);
    print_message("largest distance: plain %.3g, masked %.3g; AUC %.6f\n", distance(real, plain),
                  distance(real, masked), plain_score.auc);
    assert_true(fabs((double)real[0]) > 0.01); /* it has gone somewhere */
    assert_true(distance(real, plain) < 5e-6);
    assert_true(distance(real, masked) < 5e-6);
    assert_approx(plain_score.auc, masked_score.auc, 1e-4);
}

/* The rows are those that shops make: to the bit but for the means, which the sums of shops carry in 48 bits.
 */
static void
simulated_shops_have_the_rows_of_shops(void **state)
{
    struct simulation s;
    uint64_t at = 0;
    (void)state;
    open_simulation(&s, "store-*.csv", "", "");
    assert_int_equal(s.clients.count, SHOPS);
    for (int k = 0; k < SHOPS; k++) {
        assert_int_equal(s.clients.offsets[k + 1] - s.clients.offsets[k], shops[k].rows_train);
        for (size_t i = 0; i < shops[k].rows_train; i++, at++) {
            assert_true(s.data.train.y[at] == shops[k].y_train[i]);
            for (uint32_t f = 0; f < task.feature_count; f++)
                assert_approx((double)s.data.train.x[at * task.feature_count + f],
                              (double)shops[k].x_train[i * task.feature_count + f], 2e-6);
        }
    }
    close_simulation(&s);
}

/* One file whose column store_id says whose each line is gives the bytes that one file a shop gives. */
static void
a_column_of_shops_is_one_file_a_shop(void **state)
{
    struct simulation files, column;
    char command[1024];
    (void)state;
    (void)snprintf(command, sizeof command,
                   "cd %s && for f in store-*.csv; do s=${f#store-}; s=${s%%.csv}; "
                   "[ -s all ] || sed -n 's/^/store_id,/;1p' $f >all; sed \"1d;s/^/$s,/\" $f >>all; done",
                   dir);
    assert_int_equal(system(command), 0);
    open_simulation(&files, "store-*.csv", "", "");
    open_simulation(&column, "all", "  by: store_id\n", "");
    assert_int_equal(column.clients.count, SHOPS);
    assert_memory_equal(files.clients.offsets, column.clients.offsets, (SHOPS + 1) * sizeof(uint64_t));
    assert_int_equal(files.data.train.rows, column.data.train.rows);
    assert_int_equal(files.data.test.rows, column.data.test.rows);
    assert_memory_equal(files.data.train.x, column.data.train.x,
                        files.data.train.rows * files.data.features * sizeof(float));
    assert_memory_equal(files.data.test.x, column.data.test.x,
                        files.data.test.rows * files.data.features * sizeof(float));
    close_simulation(&files);
    close_simulation(&column);
}

static void
refused(const char *files, const char *by, enum ft_status status, const char *message)
{
    char *path = ft_asprintf("%s/%s", dir, files), *text = ft_asprintf("%s%s", path, message);
    char yaml[] = "deploy/tasks/cj_return.yaml", *column = ft_strdup(by);
    const struct ft_sim_data_config c = { .source = FT_SIM_TASK, .task = yaml, .files = path, .by = column };
    struct ft_sim_data data;
    struct ft_error err = { 0 };
    assert_int_equal(ft_sim_data_open(&c, 1, &data, &err), status);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, text);
    ft_free(path);
    ft_free(text);
    ft_free(column);
}

/* No file, no such column, a line without a shop: by name and line. */
static void
wrong_files_of_shops_are_named(void **state)
{
    static const char lines[] = "shop,ts\n1,2017-01-01 00:00:00\n,2017-01-01 00:00:00\n";
    char *path = ft_asprintf("%s/nobody", dir);
    (void)state;
    assert_int_equal(ft_file_write(path, FT_BYTES(lines, strlen(lines)), 0600, NULL), FT_OK);
    refused("none-*.csv", NULL, FT_ERR_NOTFOUND, "");
    refused("none", "shop", FT_ERR_NOTFOUND, ": No such file or directory");
    refused("nobody", "store", FT_ERR_FORMAT, ":1: no column store");
    refused("nobody", "shop", FT_ERR_FORMAT, ":3: column shop is empty, expected a shop");
    ft_free(path);
}

static int
setup(void **state)
{
    (void)state;
    if (!demo_shops_open(dir))
        return 1;
    statistics(); /* the shops' rows are standardised by the sum of theirs */
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    return demo_shops_close(dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_simulated_federation_reaches_the_same_model),
        cmocka_unit_test(simulated_shops_have_the_rows_of_shops),
        cmocka_unit_test(a_column_of_shops_is_one_file_a_shop),
        cmocka_unit_test(wrong_files_of_shops_are_named),
    };
    return cmocka_run_group_tests_name("simulate_federation", tests, setup, teardown);
}
