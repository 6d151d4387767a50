/* Rounds under differential privacy: what is summed, how much noise is on it, what it is said to cost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/engine/private_internal.h"
#include "common/model/per_customer.h"
#include "tests/unit/simulate/sim_world.h"

#include <math.h>
#include <sodium.h>

enum { CLIENTS = 12, EACH = 20, FEATURES = 30, ROWS = CLIENTS * EACH };

#define PRIVACY                                                                                              \
    "privacy: {unit: row, noise_multiplier: 1.5, delta: 1.0e-5, clip: 0.3, expected_customers: 60, t_min: "  \
    "9}\n"

static void
open_world(struct sim_world *w, const char *algorithm, const char *training, const char *privacy)
{
    static float rows[ROWS * (FEATURES + 1)];
    uint64_t counts[CLIENTS];
    struct sim_draw d;
    char *yaml = ft_asprintf(WORLD_HEAD "model: {kind: mlp, hidden: [40]}\nalgorithm: {name: %s}\n"
                                        "training: {rounds: 5, %s}\nclients: {fraction: 1}\n%s",
                             algorithm, training, privacy);
    sim_draw_init(&d, 1, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        rows[i] = i % (FEATURES + 1) == FEATURES ? (float)sim_draw_below(&d, 2) : (float)sim_draw_normal(&d);
    for (uint32_t k = 0; k < CLIENTS; k++)
        counts[k] = EACH;
    world_open(w, yaml, rows, FEATURES, 2, counts, CLIENTS);
    ft_free(yaml);
}

/* The same model for any number of threads, by gradients and by local training. */
static void
threads_change_no_bit_of_a_private_run(void **state)
{
    static const char *const ways[][2] = { { "fedsgd", "learning_rate: 0.5" },
                                           { "fedadam",
                                             "learning_rate: 0.1, local_epochs: 2, batch_size: 1" } };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct sim_world a, b;
        open_world(&a, ways[i][0], ways[i][1], PRIVACY);
        open_world(&b, ways[i][0], ways[i][1], PRIVACY);
        ft_sim_engine_close(b.engine);
        world_engine(&b, 3);
        for (int r = 0; r < 3; r++) {
            assert_int_equal(world_round(&a).came, CLIENTS);
            (void)world_round(&b);
        }
        assert_memory_equal(ft_sim_engine_params(a.engine), ft_sim_engine_params(b.engine),
                            ft_sim_engine_parameters(a.engine) * sizeof(float));
        world_close(&a);
        world_close(&b);
    }
}

/* Root mean square of what a round's step has beyond the clipped mean of everybody's gradient. */
static double
noise_of_a_round(struct sim_world *w, const uint32_t *first, uint64_t customers, const uint64_t *order)
{
    const size_t parameters = (size_t)ft_sim_engine_parameters(w->engine), n = FEATURES;
    const struct ft_sim_experiment *e = &w->e;
    float *before = ft_calloc(parameters, sizeof *before), *sum = ft_calloc(parameters, sizeof *sum);
    float *x = ft_calloc(ROWS * n, sizeof *x), *y = ft_calloc(ROWS, sizeof *y);
    struct ft_per_customer *p;
    double squares = 0;

    for (size_t i = 0; i < ROWS; i++) {
        memcpy(x + i * n, w->data.train.x + order[i] * n, n * sizeof *x);
        y[i] = w->data.train.y[order[i]];
    }
    memcpy(before, ft_sim_engine_params(w->engine), parameters * sizeof *before);
    assert_int_equal(ft_per_customer_open(&w->spec, &p, NULL), FT_OK);
    const struct ft_customer_rows rows = { x, y, first, customers };
    ft_per_customer_clipped_sum(p, before, &rows, e->privacy.clip, sum);
    (void)world_round(w);
    for (size_t i = 0; i < parameters; i++) {
        const double step = (double)ft_sim_engine_params(w->engine)[i] - (double)before[i];
        const double rest = step / e->training.learning_rate - (double)sum[i] / (double)customers;
        squares += rest * rest / (double)parameters;
    }
    ft_per_customer_close(p);
    ft_free(before);
    ft_free(sum);
    ft_free(x);
    ft_free(y);
    return sqrt(squares);
}

/* Without sampling a round's step is the clipped mean of all customers and noise: of every shop's share in a
 * federation, of the noise multiplier alone in the central baseline. */
static void
a_round_is_the_clipped_mean_and_its_noise(void **state)
{
    uint32_t first[ROWS + 1];
    uint64_t order[ROWS];
    (void)state;
    for (uint32_t i = 0; i <= ROWS; i++)
        first[i] = i;
    for (uint64_t i = 0; i < ROWS; i++)
        order[i] = i;
    for (int central = 0; central < 2; central++) {
        struct sim_world w;
        open_world(
            &w, "fedsgd", "learning_rate: 0.25",
            "privacy: {unit: row, noise_multiplier: 0.4, delta: 1.0e-5, clip: 0.3, expected_customers: 240, "
            "t_min: 9}\n");
        w.e.privacy.central = central != 0;
        ft_sim_engine_close(w.engine);
        world_engine(&w, 1);
        const double shares = central ? 1 : sqrt((double)CLIENTS / 9);
        const double noise = 0.4 * 0.3 / ROWS * shares, found = noise_of_a_round(&w, first, ROWS, order);
        assert_true(found > 0.93 * noise && found < 1.07 * noise); /* 1322 parameters: 3.5 deviations */
        world_close(&w);
    }
}

/* Rows of one customer, wherever they lie in the shop, make one vector. */
static void
a_customers_rows_make_one_vector(void **state)
{
    enum { PEOPLE = 10 }; /* of each shop, two rows each */
    struct sim_world w;
    uint32_t first[CLIENTS * PEOPLE + 1];
    uint64_t order[ROWS];
    (void)state;
    open_world(&w, "fedsgd", "learning_rate: 0.25", "");
    ft_sim_engine_close(w.engine);
    w.data.customer = ft_calloc(ROWS, sizeof *w.data.customer);
    for (uint64_t i = 0; i < ROWS; i++)
        w.data.customer[i] = (uint32_t)(i % PEOPLE);
    w.e.privacy.unit = FT_SIM_UNIT_CUSTOMER;
    w.e.privacy.noise_multiplier = 0.3;
    w.e.privacy.delta = 1e-5;
    w.e.privacy.clip = 0.3;
    w.e.privacy.expected_customers = CLIENTS * PEOPLE;
    w.e.privacy.t_min = CLIENTS;
    world_engine(&w, 1);
    for (uint64_t c = 0; c < CLIENTS * PEOPLE; c++) {
        first[c] = (uint32_t)(2 * c);
        order[2 * c] = c / PEOPLE * EACH + c % PEOPLE;
        order[2 * c + 1] = order[2 * c] + PEOPLE;
    }
    first[CLIENTS * PEOPLE] = ROWS;
    const double noise = 0.3 * 0.3 / (CLIENTS * PEOPLE),
                 found = noise_of_a_round(&w, first, CLIENTS * PEOPLE, order);
    assert_true(found > 0.93 * noise && found < 1.07 * noise);
    world_close(&w);
}

#define STORES "privacy: {unit: store, noise_multiplier: 0.4, delta: 1.0e-3, clip: 0.3, t_min: 9}\n"

/* Unit store: a client's rows are one vector, clipped as one and in every round; in the central baseline too, which is
 * DP-FedAvg by one who sees all of it (McMahan et al. 2018). */
static void
a_stores_rows_make_one_vector(void **state)
{
    uint32_t first[CLIENTS + 1];
    uint64_t order[ROWS];
    (void)state;
    for (uint32_t i = 0; i <= CLIENTS; i++)
        first[i] = i * EACH;
    for (uint64_t i = 0; i < ROWS; i++)
        order[i] = i;
    for (int central = 0; central < 2; central++) {
        struct sim_world w;
        open_world(&w, "fedsgd", "learning_rate: 0.25", STORES);
        w.e.privacy.central = central != 0;
        ft_sim_engine_close(w.engine);
        world_engine(&w, 1);
        const double shares = central ? 1 : sqrt((double)CLIENTS / 9);
        const double noise = 0.4 * 0.3 / CLIENTS * shares, found = noise_of_a_round(&w, first, CLIENTS, order);
        assert_true(found > 0.93 * noise && found < 1.07 * noise);
        world_close(&w);
    }
}

/* A client without rows takes part with noise alone and is divided by like the others; any number of threads gives the
 * same model, and what is stated is for q 1 over the clients. */
static void
a_store_without_rows_counts_like_any_other(void **state)
{
    struct sim_world a, b;
    struct ft_sim_privacy p;
    struct ft_account_cost cost;
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct sim_world *w = i == 0 ? &a : &b;
        open_world(w, "fedavg", "learning_rate: 0.1, local_epochs: 3, batch_size: 7",
                   "privacy: {unit: store, epsilon: 8, delta: 1.0e-3, clip: 0.3}\n");
        ft_sim_engine_close(w->engine);
        w->clients.offsets[5] = w->clients.offsets[4]; /* its rows go to the next one */
        world_engine(w, i == 0 ? 1 : 3);
    }
    const struct sim_private *k = a.engine->private;
    assert_int_equal(k->customers, CLIENTS - 1);
    assert_int_equal(k->of_client[5] - k->of_client[4], 0);
    assert_int_equal(k->most_rows, 2 * EACH);
    for (uint32_t c = 0; c < CLIENTS; c++)
        assert_int_equal(k->declared[c], 1);
    for (int r = 0; r < 5; r++) {
        assert_int_equal(world_round(&a).came, CLIENTS);
        (void)world_round(&b);
    }
    assert_memory_equal(ft_sim_engine_params(a.engine), ft_sim_engine_params(b.engine),
                        ft_sim_engine_parameters(a.engine) * sizeof(float));
    assert_int_equal(ft_sim_engine_privacy(a.engine, &p), FT_OK);
    const struct ft_account_event e = { 1, p.noise_multiplier, 5, 1 };
    assert_int_equal(ft_account_cost(&e, 1, 1e-3, &cost), FT_OK);
    assert_true(p.q == 1 && cost.rdp == p.epsilon_rdp && p.epsilon_rdp <= 8 && p.epsilon_rdp > 7.98);
    assert_int_equal(p.declared, CLIENTS);
    world_close(&a);
    world_close(&b);
}

/* The noise is the least that keeps the epsilon asked for, and what is stated is what the accountant says of
 * the rounds that were run. */
static void
what_is_stated_follows_from_what_was_run(void **state)
{
    struct sim_world w;
    struct ft_sim_privacy p;
    struct ft_account_cost cost;
    (void)state;
    open_world(&w, "fedsgd", "learning_rate: 0.25",
               "privacy: {unit: row, epsilon: 3, delta: 1.0e-5, clip: 0.3, expected_customers: 60}\n");
    for (int r = 0; r < 5; r++)
        (void)world_round(&w);
    assert_int_equal(ft_sim_engine_privacy(w.engine, &p), FT_OK);
    assert_true(p.on && p.epsilon_rdp <= 3 && p.epsilon_rdp > 2.98 && p.epsilon_pld < p.epsilon_rdp);
    assert_int_equal(p.t_min, CLIENTS - 1);
    assert_int_equal(p.steps, 5);
    const struct ft_account_event e = { p.q, p.noise_multiplier, 5, 1 };
    assert_int_equal(ft_account_cost(&e, 1, 1e-5, &cost), FT_OK);
    assert_true(cost.rdp == p.epsilon_rdp && cost.pld == p.epsilon_pld && p.q == 0.25);
    world_close(&w);
}

/* A customer at two clients costs more than one at one: the noise for the same epsilon grows, and a run that says one where
 * there are two is refused. */
static void
a_customer_at_two_clients_is_counted(void **state)
{
    struct sim_world one, two;
    struct ft_sim_privacy a, b;
    struct ft_error err = { 0 };
    (void)state;
    const char *wish = "privacy: {unit: customer, epsilon: 3, delta: 1.0e-5, clip: 0.3, expected_customers: 60, m_stores: 2}\n";
    open_world(&one, "fedsgd", "learning_rate: 0.25", "");
    open_world(&two, "fedsgd", "learning_rate: 0.25", "");
    for (int i = 0; i < 2; i++) {
        struct sim_world *w = i == 0 ? &one : &two;
        ft_sim_engine_close(w->engine);
        w->engine = NULL;
        ft_sim_experiment_clear(&w->e);
        char *yaml = ft_asprintf(WORLD_HEAD "model: {kind: mlp, hidden: [40]}\nalgorithm: {name: fedsgd}\n"
                                            "training: {rounds: 5, learning_rate: 0.25}\nclients: {fraction: 1}\n%s", wish);
        world_parse(yaml, &w->e);
        ft_free(yaml);
        w->e.privacy.m_stores = (uint32_t)i + 1;
        w->data.customer = ft_calloc(ROWS, sizeof *w->data.customer);
        for (uint64_t r = 0; r < ROWS; r++)
            w->data.customer[r] = (uint32_t)(r % EACH);
        w->data.customer_clients = (uint32_t)i + 1;
        world_engine(w, 1);
    }
    for (int r = 0; r < 5; r++) {
        (void)world_round(&one);
        (void)world_round(&two);
    }
    assert_int_equal(ft_sim_engine_privacy(one.engine, &a), FT_OK);
    assert_int_equal(ft_sim_engine_privacy(two.engine, &b), FT_OK);
    assert_true(b.noise_multiplier > 1.2 * a.noise_multiplier);
    assert_true(a.epsilon_rdp <= 3 && b.epsilon_rdp <= 3 && b.epsilon_rdp > 2.98);
    ft_sim_engine_close(two.engine);
    two.e.privacy.m_stores = 1;
    const struct ft_sim_input input = { &two.e, &two.data, &two.clients, &two.spec, 1 };
    assert_int_equal(ft_sim_engine_open(&input, &two.engine, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "privacy.m_stores: 1, but there is a customer with rows at 2 clients"));
    world_close(&one);
    world_close(&two);
}

/* When a target may end the run, what is stated is the cost of all rounds there may be: when it ends is read off what they
 * told. */
static void
a_run_that_may_end_at_a_target_has_paid_for_all_rounds(void **state)
{
    struct sim_world whole, target;
    struct ft_sim_privacy a, b;
    (void)state;
    open_world(&whole, "fedsgd", "learning_rate: 0.25", PRIVACY);
    open_world(&target, "fedsgd", "learning_rate: 0.25", PRIVACY);
    target.e.stop.metric = SIM_ACCURACY;
    for (int r = 0; r < 5; r++)
        (void)world_round(&whole);
    (void)world_round(&target);
    assert_int_equal(ft_sim_engine_privacy(whole.engine, &a), FT_OK);
    assert_int_equal(ft_sim_engine_privacy(target.engine, &b), FT_OK);
    assert_int_equal(b.steps, 5);
    assert_true(a.epsilon_rdp == b.epsilon_rdp && a.epsilon_pld == b.epsilon_pld);
    world_close(&whole);
    world_close(&target);
}

/* A sum of fewer shops than the shares that are credited stays closed, and the model as it was. */
static void
too_few_shops_make_no_model(void **state)
{
    struct sim_world w;
    unsigned closed = 0;
    (void)state;
    open_world(&w, "fedsgd", "learning_rate: 0.25",
               "privacy: {unit: row, noise_multiplier: 1, delta: 1.0e-5, clip: 0.3, expected_customers: 60, "
               "t_min: 7}\n");
    w.e.clients.dropout = 0.4;
    ft_sim_engine_close(w.engine);
    world_engine(&w, 1);
    for (int r = 0; r < 30; r++) {
        float before = ft_sim_engine_params(w.engine)[0];
        const struct ft_sim_round round = world_round(&w);
        assert_true(round.came == 0 || round.came >= 7);
        if (round.came == 0) {
            closed++;
            assert_true(memcmp(&before, ft_sim_engine_params(w.engine), sizeof before) == 0);
        }
    }
    assert_true(closed > 0 && closed < 30);
    world_close(&w);
}

static void
refuse(const char *algorithm, const char *rest, const char *says)
{
    char *yaml = ft_asprintf(WORLD_HEAD "model: {kind: logistic}\nalgorithm: {name: %s}\n"
                                        "training: {rounds: 5, learning_rate: 1}\n%s",
                             algorithm, rest);
    struct ft_sim_experiment e;
    struct ft_findings findings;
    struct ft_error err = { 0 };
    assert_int_equal(ft_sim_experiment_parse(FT_BYTES(yaml, strlen(yaml)), "test", NULL, &e, &findings, &err),
                     FT_ERR_CONFIG);
    if (strstr(err.text, says) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    ft_free(yaml);
}

/* Wishes that contradict themselves are told before anything is read. */
static void
wishes_that_cannot_be_are_told(void **state)
{
    (void)state;
    refuse("fedsgd",
           "clients: {fraction: 1}\nprivacy: {unit: row, epsilon: 1, noise_multiplier: 1, delta: 1.0e-5, "
           "clip: 1, "
           "expected_customers: 10}\n",
           "one of epsilon and noise_multiplier");
    refuse("fedsgd",
           "clients: {fraction: 1}\nprivacy: {unit: row, epsilon: 1, clip: 1, expected_customers: 10}\n",
           "missing key 'delta'");
    refuse(
        "fedsgd",
        "clients: {fraction: 1}\nprivacy: {unit: row, epsilon: 1, delta: 1.0e-5, expected_customers: 10}\n",
        "missing key 'clip'");
    refuse("fedsgd",
           "clients: {fraction: 1}\nprivacy: {unit: row, epsilon: 1, delta: 1.0e-5, clip: -1, "
           "expected_customers: 10}\n",
           "clip");
    refuse("scaffold",
           "clients: {fraction: 1}\nprivacy: {unit: row, epsilon: 1, delta: 1.0e-5, clip: 1, "
           "expected_customers: 10}\n",
           "expected fedsgd, fedavg");
    refuse("fedsgd",
           "clients: {fraction: 0.5}\nprivacy: {unit: row, epsilon: 1, delta: 1.0e-5, clip: 1, "
           "expected_customers: 10}\n",
           "expected fraction 1");
    refuse("fedsgd", "clients: {fraction: 1}\nprivacy: {unit: none, epsilon: 1}\n", "unit is none");
    refuse("fedsgd",
           "clients: {fraction: 1}\nprivacy: {unit: row, epsilon: 1, delta: 1.0e-5, clip: 1, expected_customers: 10, m_stores: "
           "2}\n",
           "'m_stores' has no meaning here, a row is at one client");
    refuse("fedavg",
           "clients: {fraction: 1}\nprivacy: {unit: store, epsilon: 1, delta: 1.0e-3, clip: 1, expected_customers: 6}\n",
           "'expected_customers' has no meaning here, with unit store each client is in every round (q = 1)");
    refuse("fedavg", "clients: {fraction: 1}\nprivacy: {unit: store, epsilon: 1, delta: 1.0e-3, clip: 1, m_stores: 2}\n",
           "'m_stores' has no meaning here, with unit store a unit is one client: expected 1");
    refuse("fedavg", "clients: {fraction: 1}\nprivacy: {unit: store, epsilon: 1, clip: 1}\n",
           "missing key 'delta', at most 1/(10 n) for n clients");
    refuse("fedavg", "clients: {fraction: 1}\nprivacy: {unit: shop, epsilon: 1, delta: 1.0e-3, clip: 1}\n",
           "expected one of none, customer, row, store");
    struct ft_sim_experiment e;
    struct ft_findings findings;
    struct ft_error err = { 0 };
    const char *yaml = WORLD_HEAD "model: {kind: kmeans, clusters: 3}\nalgorithm: {name: lloyd}\ntraining: {rounds: 2}\n"
                                  "clients: {fraction: 1}\nprivacy: {unit: store, epsilon: 1, delta: 1.0e-3, clip: 1}\n";
    assert_int_equal(ft_sim_experiment_parse(FT_BYTES(yaml, strlen(yaml)), "test", NULL, &e, &findings, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "unit is store, but kmeans makes segments of customers or rows"));
}

/* What only the rows can tell is told with its numbers when the engine opens. */
static void
wishes_beyond_the_rows_are_told(void **state)
{
    static const char *const says[] = { "1/(10 n)", "of 240 customers", "privacy.t_min", "reaches",
                                        "nothing says whose rows" };
    struct sim_world w;
    (void)state;
    open_world(&w, "fedsgd", "learning_rate: 1", PRIVACY);
    ft_sim_engine_close(w.engine);
    for (int i = 0; i < 5; i++) {
        struct ft_sim_experiment e = w.e;
        const struct ft_sim_input input = { &e, &w.data, &w.clients, &w.spec, 1 };
        struct ft_error err = { 0 };
        e.privacy.delta = i == 0 ? 1e-3 : e.privacy.delta;
        e.privacy.expected_customers = i == 1 ? 300 : e.privacy.expected_customers;
        e.privacy.t_min = i == 2 ? 13 : e.privacy.t_min;
        e.privacy.epsilon = i == 3 ? 1e-3 : 0;
        e.training.rounds = i == 3 ? 10000000 : e.training.rounds;
        e.privacy.unit = i == 4 ? FT_SIM_UNIT_CUSTOMER : e.privacy.unit;
        assert_int_equal(ft_sim_engine_open(&input, &w.engine, &err), FT_ERR_CONFIG);
        if (strstr(err.text, says[i]) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, says[i]);
    }
    w.engine = NULL;
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_change_no_bit_of_a_private_run),
        cmocka_unit_test(a_round_is_the_clipped_mean_and_its_noise),
        cmocka_unit_test(a_customers_rows_make_one_vector),
        cmocka_unit_test(a_stores_rows_make_one_vector),
        cmocka_unit_test(a_store_without_rows_counts_like_any_other),
        cmocka_unit_test(what_is_stated_follows_from_what_was_run),
        cmocka_unit_test(a_customer_at_two_clients_is_counted),
        cmocka_unit_test(a_run_that_may_end_at_a_target_has_paid_for_all_rounds),
        cmocka_unit_test(too_few_shops_make_no_model),
        cmocka_unit_test(wishes_that_cannot_be_are_told),
        cmocka_unit_test(wishes_beyond_the_rows_are_told),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
