#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/model/model.h"
#include "tests/protocol/simulate/demo_shops.h"
#include "tests/support/approx.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static char dir[] = "/tmp/fedtill-simulate-XXXXXX";

static void
must(enum ft_status st, const struct ft_error *err)
{
    if (st != FT_OK)
        fail_msg("%s: %s", ft_status_name(st), err != NULL ? err->text : "");
}

static void
run(const struct ft_exported_model *federated, struct ft_baseline *out)
{
    const struct ft_baseline_input input = { &task, shops, SHOPS, federated, ft_env_system() };
    struct ft_error err = { 0 };
    must(ft_baseline_run(&input, out, &err), &err);
}

/* Pooled and alone, on the twelve largest shops: the figures of an independent program, which shares nothing with
 * this one but SQLite. */
static void
figures_equal_those_of_an_independent_program(void **state)
{
    struct ft_baseline b;
    char command[512];
    size_t train = 0, test = 0, alone = 0;
    double pooled[3], own[3];
    FILE *reference;

    (void)state;
    (void)snprintf(command, sizeof command,
                   "python3 tests/protocol/simulate/reference.py tests/data/tasks/cj_return.sql %s/store-*.csv", dir);
    reference = popen(command, "r");
    assert_non_null(reference);
    assert_int_equal(fscanf(reference, "%zu %zu %lf %lf %lf %zu %lf %lf %lf", &train, &test, &pooled[0], &pooled[1],
                            &pooled[2], &alone, &own[0], &own[1], &own[2]),
                     9);
    assert_int_equal(pclose(reference), 0);
    run(NULL, &b);
    assert_int_equal(b.train_rows, train);
    assert_int_equal(b.test_rows, test);
    assert_approx(b.pooled.objective, pooled[0], 1e-8);
    assert_approx(b.pooled.auc, pooled[1], 1e-5);
    assert_approx(b.pooled.test_loss, pooled[2], 1e-6);
    assert_int_equal(b.alone_shops, alone);
    assert_approx(b.alone_auc_mean, own[0], 1e-4);
    assert_approx(b.alone_loss_mean, own[1], 1e-4);
    assert_approx(b.pooled.auc_mean, own[2], 1e-4);
    assert_false(b.has_federated);
}

/* A federated model that knows nothing scores log 2 and an AUC of one half; the exported file is the way in. */
static void
an_exported_model_is_scored_on_the_pooled_rows(void **state)
{
    const uint8_t hash[32] = { 1 };
    const double zero[12] = { 0 }, one[12] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
    const float params[13] = { 0 };
    struct ft_model_state model;
    json_t *statement = json_pack("{s:s}", "text", "none");
    const struct ft_export export_of = { &task, &model, statement };
    struct ft_exported_model back;
    struct ft_buf json = { 0 };
    struct ft_baseline b;

    (void)state;
    must(ft_model_state_init(&model, hash, FT_STAGE_EVALUATE, 1, zero, one, 12, params, 13), NULL);
    must(ft_export_json(&export_of, &json, NULL), NULL);
    must(ft_export_read_json(ft_buf_bytes(&json), &back, NULL), NULL);
    run(&back, &b);
    assert_true(b.has_federated);
    assert_approx(b.federated.objective, log(2), 1e-9);
    assert_approx(b.federated.test_loss, log(2), 1e-9);
    assert_approx(b.federated.auc, 0.5, 0);
    assert_approx(b.federated.auc_mean, 0.5, 1e-12);
    ft_exported_model_clear(&back);
    ft_model_state_clear(&model);
    ft_buf_clear(&json);
    json_decref(statement);
}

/* No rows at all, or a model of another shape: a sentence, not a table. */
static void
what_cannot_be_compared_is_refused(void **state)
{
    const struct ft_baseline_input none = { &task, NULL, 0, NULL, ft_env_system() };
    struct ft_exported_model other = { .spec = { .kind = FT_MODEL_POISSON, .features = 12 } };
    const struct ft_baseline_input foreign = { &task, shops, SHOPS, &other, ft_env_system() };
    struct ft_error err = { 0 };
    struct ft_baseline b;

    (void)state;
    assert_int_equal(ft_baseline_run(&none, &b, &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "no train rows"));
    memset(&err, 0, sizeof err);
    assert_int_equal(ft_baseline_run(&foreign, &b, &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "another shape"));
}

/* A perceptron, trained by SGD, comes near the logistic model's AUC and is the same each time for one seed. */
static void
a_perceptron_is_trained_by_sgd(void **state)
{
    const struct ft_task logistic = task;
    struct ft_baseline a, b, first;
    struct ft_env_seeded env;

    (void)state;
    run(NULL, &first);
    task.model = FT_MODEL_MLP;
    task.hidden_count = 1;
    task.hidden[0] = 8;
    task.activation = FT_ACT_RELU;
    for (int k = 0; k < 2; k++) {
        struct ft_baseline *out = k == 0 ? &a : &b;
        const struct ft_baseline_input input = { &task, shops, SHOPS, NULL, &env.env };
        ft_env_seeded_init(&env, 5, 0);
        must(ft_baseline_run(&input, out, NULL), NULL);
    }
    task = logistic;
    assert_memory_equal(&a.pooled.auc, &b.pooled.auc, sizeof a.pooled.auc);
    assert_true(a.pooled.auc > first.pooled.auc - 0.04);
    assert_true(a.pooled.objective < log(2));
}

static int
setup(void **state)
{
    (void)state;
    if (!demo_shops_open(dir))
        return 1;
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
        cmocka_unit_test(figures_equal_those_of_an_independent_program),
        cmocka_unit_test(an_exported_model_is_scored_on_the_pooled_rows),
        cmocka_unit_test(what_cannot_be_compared_is_refused),
        cmocka_unit_test(a_perceptron_is_trained_by_sgd),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
