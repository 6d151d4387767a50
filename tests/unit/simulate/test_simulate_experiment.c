/* Experiments that are wrong, each told by line, key, what was found and what was expected; and one that is
 * right. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/experiment/experiment.h"
#include "common/base/alloc.h"

#include <math.h>
#include <string.h>

#define DATA      "data:\n  source: synthetic\n  rows: 100\n  classes: 10\n"
#define PARTITION "partition:\n  kind: iid\n  clients: 10\n"
#define MODEL     "model:\n  kind: mlp\n  hidden: [8]\n"
#define ALGORITHM "algorithm:\n  name: fedavg\n"
#define TRAINING  "training:\n  rounds: 2\n  learning_rate: 0.1\n"
#define CLIENTS   "clients:\n  fraction: 0.5\n"
#define HEAD      "name: t\nseed: 1\n"

static enum ft_status
parse(const char *yaml, struct ft_sim_experiment *e, struct ft_error *err)
{
    struct ft_findings findings;
    return ft_sim_experiment_parse(FT_BYTES(yaml, strlen(yaml)), "e.yaml", NULL, e, &findings, err);
}

/* Defaults are the field's: see experiment.h. */
static void
a_short_experiment_has_defaults(void **state)
{
    struct ft_sim_experiment e;
    struct ft_error err = { 0 };
    (void)state;
    if (parse(HEAD DATA PARTITION MODEL ALGORITHM TRAINING CLIENTS, &e, &err) != FT_OK)
        fail_msg("%s", err.text);
    assert_int_equal(e.training.local_epochs, 1);
    assert_int_equal(e.algorithm.weighting, FT_SIM_BY_ROWS);
    assert_int_equal(e.secure.kind, FT_SIM_SECURE_NONE);
    assert_int_equal(e.evaluation.every, 1);
    ft_sim_experiment_clear(&e);
}

static void
wrong_experiments_are_refused_with_a_sentence(void **state)
{
    static const struct {
        const char *yaml, *says;
    } faults[] = {
        { HEAD DATA PARTITION MODEL ALGORITHM TRAINING "  momentun: 1\n" CLIENTS, "momentun" },
        { "name: t\nsed: 1\n" DATA PARTITION MODEL ALGORITHM TRAINING CLIENTS, "sed" },
        { HEAD PARTITION MODEL ALGORITHM TRAINING CLIENTS, "data" },
        { HEAD "data:\n  source: idx\n" PARTITION MODEL ALGORITHM TRAINING CLIENTS, "missing key 'folder'" },
        { HEAD "data:\n  source: csv\n  label: y\n" PARTITION MODEL ALGORITHM TRAINING CLIENTS,
          "missing key 'train'" },
        { HEAD "data:\n  source: nfs\n" PARTITION MODEL ALGORITHM TRAINING CLIENTS, "nfs" },
        { HEAD DATA "  by: shop\n" PARTITION MODEL ALGORITHM TRAINING CLIENTS, "'by' has no meaning here" },
        { HEAD DATA "partition:\n  kind: iid\n" MODEL ALGORITHM TRAINING CLIENTS, "missing key 'clients'" },
        { HEAD DATA "partition:\n  kind: shards\n  clients: 3\n" MODEL ALGORITHM TRAINING CLIENTS,
          "missing key 'shards_per_client'" },
        { HEAD DATA "partition:\n  kind: dirichlet\n  clients: 3\n" MODEL ALGORITHM TRAINING CLIENTS,
          "missing key 'alpha'" },
        { HEAD DATA PARTITION "model:\n  kind: mlp\n" ALGORITHM TRAINING CLIENTS, "missing key 'hidden'" },
        { HEAD DATA PARTITION "model:\n  kind: cnn\n  image: [28, 28]\n" ALGORITHM TRAINING CLIENTS,
          "a cnn has image" },
        { HEAD DATA PARTITION MODEL "algorithm:\n  name: fedprox\n" TRAINING CLIENTS, "missing key 'mu'" },
        { HEAD DATA PARTITION MODEL "algorithm:\n  name: fedavg\n  mu: 1\n" TRAINING CLIENTS,
          "'mu' has no meaning here" },
        { HEAD DATA PARTITION MODEL "algorithm:\n  name: fedbuff\n  buffer: 4\n  concurrency: 2\n" TRAINING,
          "a concurrency of at least as many" },
        { HEAD DATA PARTITION MODEL "algorithm:\n  name: fedbuff\n  buffer: 2\n  concurrency: 2\n" TRAINING
                                    "secure_sum:\n  kind: exact\n  clip: 1\n",
          "fedbuff cannot run under secure aggregation" },
        { HEAD DATA PARTITION MODEL ALGORITHM TRAINING CLIENTS "secure_sum:\n  kind: exact\n",
          "missing key 'clip'" },
        { HEAD DATA PARTITION MODEL ALGORITHM TRAINING, "expected one of fraction and count" },
        { HEAD DATA PARTITION MODEL ALGORITHM TRAINING CLIENTS "  count: 3\n", "clients has both" },
        { HEAD DATA PARTITION MODEL "algorithm:\n  name: fedsgd\n" TRAINING "  batch_size: 10\n" CLIENTS,
          "fedsgd takes one step on all rows" },
        { HEAD DATA PARTITION MODEL "algorithm:\n  name: scaffold\n" TRAINING "  momentum: 0.9\n" CLIENTS,
          "scaffold's corrections are for plain SGD" },
        { HEAD DATA PARTITION MODEL ALGORITHM "training:\n  rounds: 0\n  learning_rate: 0.1\n" CLIENTS,
          "rounds" },
        { HEAD DATA PARTITION MODEL ALGORITHM "training:\n  rounds: 1\n  learning_rate: -1\n" CLIENTS,
          "learning_rate" },
        { HEAD DATA PARTITION MODEL ALGORITHM TRAINING CLIENTS "stop:\n  at: 0.8\n", "missing key 'metric'" },
        { HEAD DATA PARTITION MODEL ALGORITHM TRAINING CLIENTS "stop:\n  metric: auc\n  at: 0\n",
          "'at' is 0, expected above 0 and at most 1 for auc" },
        { HEAD DATA PARTITION MODEL ALGORITHM TRAINING CLIENTS "stop: {metric: loss, at: 1, when: 3}\n", "when" },
        { "a: [", "e.yaml" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct ft_sim_experiment e;
        struct ft_error err = { 0 };
        const size_t live = ft_alloc_live();
        assert_int_equal(parse(faults[i].yaml, &e, &err), FT_ERR_CONFIG);
        if (strstr(err.text, faults[i].says) == NULL || strncmp(err.text, "e.yaml", 6) != 0)
            fail_msg("\"%s\" does not say \"%s\"", err.text, faults[i].says);
        assert_int_equal(ft_alloc_live(), live);
    }
}

/* A model that the labels do not allow is refused by what they are. */
static void
a_model_that_does_not_fit_the_labels_is_refused(void **state)
{
    const struct ft_sim_data numbers = { .features = 3 }, classes = { .features = 784, .classes = 10 };
    struct ft_sim_experiment e;
    struct ft_model_spec spec;
    struct ft_error err = { 0 };
    (void)state;
    assert_int_equal(parse(HEAD DATA PARTITION MODEL ALGORITHM TRAINING CLIENTS, &e, &err), FT_OK);
    assert_int_equal(ft_sim_experiment_model(&e, &classes, &spec, &err), FT_OK);
    assert_int_equal(spec.classes, 10);
    assert_int_equal(ft_sim_experiment_model(&e, &numbers, &spec, &err), FT_ERR_CONFIG);
    assert_string_equal(err.text, "model: mlp for labels that are numbers, expected linear or poisson");
    memset(&err, 0, sizeof err);
    e.model.kind = FT_MODEL_LOGISTIC;
    assert_int_equal(ft_sim_experiment_model(&e, &classes, &spec, &err), FT_ERR_CONFIG);
    assert_string_equal(err.text, "model: logistic for 10 classes, expected softmax");
    ft_sim_experiment_clear(&e);
}

/* What is resolved reads back as the same; a target is in it when there is one and leaves no trace when not. */
static void
a_resolved_experiment_reads_back_with_its_target(void **state)
{
    static const char *const stops[] = { "", "stop: {metric: loss, at: -0.25}\n", "stop: {metric: accuracy, at: 0.97}\n" };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct ft_sim_experiment e, again;
        struct ft_buf once = { 0 }, twice = { 0 };
        struct ft_error err = { 0 };
        char *yaml = ft_asprintf(HEAD DATA PARTITION MODEL ALGORITHM TRAINING CLIENTS "%s", stops[i]);
        assert_int_equal(parse(yaml, &e, &err), FT_OK);
        assert_int_equal(ft_sim_experiment_write(&e, &once), FT_OK);
        assert_int_equal(ft_buf_u8(&once, 0), FT_OK);
        assert_true((strstr((char *)once.data, "stop:") != NULL) == (i > 0));
        if (parse((char *)once.data, &again, &err) != FT_OK)
            fail_msg("%s", err.text);
        assert_int_equal(ft_sim_experiment_write(&again, &twice), FT_OK);
        assert_memory_equal(once.data, twice.data, twice.size);
        assert_int_equal(again.stop.metric, i == 0 ? 0 : i == 1 ? SIM_LOSS : SIM_ACCURACY);
        assert_true(i == 0 || again.stop.at == e.stop.at);
        ft_buf_clear(&once);
        ft_buf_clear(&twice);
        ft_sim_experiment_clear(&e);
        ft_sim_experiment_clear(&again);
        ft_free(yaml);
    }
}

/* A target that the labels have no metric for is refused by what they are. */
static void
a_target_that_does_not_fit_the_labels_is_refused(void **state)
{
    const struct ft_sim_data numbers = { .features = 3, .test.rows = 1 },
                             classes = { .features = 784, .classes = 10, .test.rows = 1 },
                             untested = { .features = 784, .classes = 10 };
    struct ft_sim_experiment e;
    struct ft_model_spec spec;
    struct ft_error err = { 0 };
    (void)state;
    assert_int_equal(parse(HEAD DATA PARTITION "model:\n  kind: softmax\n" ALGORITHM TRAINING CLIENTS
                           "stop: {metric: auc, at: 0.8}\n", &e, &err), FT_OK);
    assert_int_equal(ft_sim_experiment_model(&e, &classes, &spec, &err), FT_ERR_CONFIG);
    assert_string_equal(err.text, "stop.metric: auc of labels that are more than two classes, expected accuracy or loss");
    memset(&err, 0, sizeof err);
    e.stop.metric = SIM_ACCURACY;
    assert_int_equal(ft_sim_experiment_model(&e, &classes, &spec, &err), FT_OK);
    assert_int_equal(ft_sim_experiment_model(&e, &untested, &spec, &err), FT_ERR_CONFIG);
    assert_string_equal(err.text, "stop: there are no test rows to score, expected some");
    memset(&err, 0, sizeof err);
    e.model.kind = FT_MODEL_LINEAR;
    assert_int_equal(ft_sim_experiment_model(&e, &numbers, &spec, &err), FT_ERR_CONFIG);
    assert_string_equal(err.text, "stop.metric: accuracy of labels that are numbers, expected loss");
    ft_sim_experiment_clear(&e);
}

/* Hand-worked: 0.5 after 2 rounds, 0.4 after 4, 0.9 after 6; 0.7 lies halfway from the best so far, in a flat curve up to 4. */
static void
rounds_to_a_target_are_read_from_the_best_so_far(void **state)
{
    struct sim_reach r;
    (void)state;
    sim_reach_begin(&r);
    assert_false(sim_reach_add(&r, SIM_ACCURACY, 0.7, 1, NAN));
    assert_false(sim_reach_add(&r, SIM_ACCURACY, 0.7, 2, 0.5));
    assert_false(sim_reach_add(&r, SIM_ACCURACY, 0.7, 4, 0.4));
    assert_true(sim_reach_add(&r, SIM_ACCURACY, 0.7, 6, 0.9));
    assert_true(fabs(r.rounds_to - 5) < 1e-12);
    assert_true(sim_reach_add(&r, SIM_ACCURACY, 0.7, 8, 0.1)); /* once reached, reached */
    assert_true(fabs(r.rounds_to - 5) < 1e-12);
    sim_reach_begin(&r);
    assert_true(sim_reach_add(&r, SIM_LOSS, 0.7, 3, 0.7)); /* a loss falls; the first score says no more than its round */
    assert_true(r.rounds_to == 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_experiment_has_defaults),
        cmocka_unit_test(wrong_experiments_are_refused_with_a_sentence),
        cmocka_unit_test(a_model_that_does_not_fit_the_labels_is_refused),
        cmocka_unit_test(a_resolved_experiment_reads_back_with_its_target),
        cmocka_unit_test(a_target_that_does_not_fit_the_labels_is_refused),
        cmocka_unit_test(rounds_to_a_target_are_read_from_the_best_so_far),
    };
    return cmocka_run_group_tests_name("simulate_experiment", tests, NULL, NULL);
}
