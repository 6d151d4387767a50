/*
 * Every algorithm against its paper's rule, worked by hand on one linear model: z = w x + b, loss (z - y)^2 /
 * 2, so with r = z - y a row's gradient is (r x, r). Rate 0.1, from (0, 0). Two clients:
 *
 *   A  one row, x = 2, y = 1            gradient (2 r, r),  r = 2 w + b - 1
 *   B  three rows, x = 0, y = -2        gradient (0, r),    r = b + 2
 *
 * Steps on all rows: A goes to (0.2, 0.1), then r = -0.5: (0.3, 0.15); B to (0, -0.2), then r = 1.8: (0,
 * -0.38).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/approx.h"
#include "tests/unit/simulate/sim_world.h"

#include <sodium.h>

static const float rows[] = { 2, 1, 0, -2, 0, -2, 0, -2 };
static const uint64_t counts[] = { 1, 3 };

#define HEAD WORLD_HEAD "model:\n  kind: linear\nalgorithm:\n"
#define TRAINING(epochs, batch)                                                                              \
    "training:\n  rounds: 2\n  learning_rate: 0.1\n  local_epochs: " #epochs "\n  batch_size: " #batch "\n"
#define EVERYBODY "clients:\n  fraction: 1\n"

static void
open_two(struct sim_world *w, const char *yaml)
{
    world_open(w, yaml, rows, 1, 0, counts, 2);
}

/* Model after `rounds` rounds. */
static void
ends_at(const char *yaml, int rounds, double weight, double bias)
{
    struct sim_world w;
    open_two(&w, yaml);
    for (int i = 0; i < rounds; i++)
        (void)world_round(&w);
    assert_approx((double)ft_sim_engine_params(w.engine)[0], weight, 1e-6);
    assert_approx((double)ft_sim_engine_params(w.engine)[1], bias, 1e-6);
    world_close(&w);
}

/* One step each, weighted 1 to 3: (0.2 / 4, (0.1 - 3 * 0.2) / 4) = (0.05, -0.125). */
static void
fedsgd_is_one_step_on_the_weighted_mean_gradient(void **state)
{
    (void)state;
    ends_at(HEAD "  name: fedsgd\n" TRAINING(1, 0) EVERYBODY, 1, 0.05, -0.125);
}

/* Two steps each: (0.3 / 4, (0.15 - 3 * 0.38) / 4) = (0.075, -0.2475); counting equally (0.15, -0.115). A
 * server rate of 0.5 goes half the way. */
static void
fedavg_takes_the_mean_weighted_by_rows(void **state)
{
    (void)state;
    ends_at(HEAD "  name: fedavg\n" TRAINING(2, 0) EVERYBODY, 1, 0.075, -0.2475);
    ends_at(HEAD "  name: fedavg\n  weights: equal\n" TRAINING(2, 0) EVERYBODY, 1, 0.15, -0.115);
    ends_at(HEAD "  name: fedavg\n  server_learning_rate: 0.5\n" TRAINING(2, 0) EVERYBODY, 1, 0.0375,
            -0.12375);
}

/* D1 = (0.05, -0.125). From there r_A = -1.025, r_B = 1.875: D2 = (0.05125, -0.115), and m2 = 0.9 D1 + D2 =
 * (0.09625, -0.2275). */
static void
fedavgm_adds_the_momentum_of_the_mean_change(void **state)
{
    (void)state;
    ends_at(HEAD "  name: fedavgm\n  server_momentum: 0.9\n" TRAINING(1, 0) EVERYBODY, 1, 0.05, -0.125);
    ends_at(HEAD "  name: fedavgm\n  server_momentum: 0.9\n" TRAINING(1, 0) EVERYBODY, 2, 0.14625, -0.3525);
}

/* mu = 0.5 acts from the second step on: A's gradient (-1, -0.5) + 0.5 (0.2, 0.1) leads to (0.29, 0.145),
 * B's 1.8 - 0.1 to -0.37; the mean is (0.0725, (0.145 - 1.11) / 4). */
static void
fedprox_pulls_every_step_towards_the_global_model(void **state)
{
    (void)state;
    ends_at(HEAD "  name: fedprox\n  mu: 0.5\n" TRAINING(2, 0) EVERYBODY, 1, 0.0725, -0.24125);
}

/*
 * Round 1, no control variates yet: the plain mean (0.15, -0.115). Then c_k = -delta / (2 * 0.1): c_A =
 * (-1.5, -0.75), c_B = (0, 1.9), c = (-0.75, 0.575). Round 2: A's gradients carry c - c_A = (0.75, 1.325):
 * (0.238, -0.166), then r = -0.69: (0.301, -0.2295). B's carry
 * (-0.75, -1.325): (0.225, -0.171), then (0.3, -0.2214). The mean change is (0.1505, -0.11045).
 * c_A = c_A - c - delta_A / 0.2 = (-1.505, -0.7525), c_B = (0, 1.857), c = (-0.7525, 0.55225).
 */
static void
scaffold_corrects_every_gradient_by_control_variates(void **state)
{
    static const char yaml[] = HEAD "  name: scaffold\n" TRAINING(2, 0) EVERYBODY;
    struct sim_world w;
    (void)state;
    ends_at(yaml, 1, 0.15, -0.115);
    open_two(&w, yaml);
    (void)world_round(&w);
    assert_approx((double)w.engine->own[0][0], -1.5, 1e-5);
    assert_approx((double)w.engine->own[1][1], 1.9, 1e-5);
    assert_approx((double)w.engine->server.shared[0], -0.75, 1e-5);
    assert_approx((double)w.engine->server.shared[1], 0.575, 1e-5);
    (void)world_round(&w);
    assert_approx((double)ft_sim_engine_params(w.engine)[0], 0.3005, 1e-5);
    assert_approx((double)ft_sim_engine_params(w.engine)[1], -0.22545, 1e-5);
    assert_approx((double)w.engine->own[0][0], -1.505, 1e-5);
    assert_approx((double)w.engine->own[0][1], -0.7525, 1e-5);
    assert_approx((double)w.engine->own[1][0], 0, 1e-5);
    assert_approx((double)w.engine->own[1][1], 1.857, 1e-5);
    assert_approx((double)w.engine->server.shared[0], -0.7525, 1e-5);
    assert_approx((double)w.engine->server.shared[1], 0.55225, 1e-5);
    world_close(&w);
}

/* Two of four clients came with changes of c that sum to (2, -6): c moves by 2/4 of their mean, (0.5, -1.5).
 */
static void
scaffold_moves_the_server_variate_by_the_share_that_came(void **state)
{
    const double sum[4] = { 0.2, 0.4, 2, -6 };
    struct sim_world w;
    (void)state;
    open_two(&w, HEAD "  name: scaffold\n" TRAINING(1, 0) EVERYBODY);
    w.engine->server.population = 4;
    assert_int_equal(w.engine->algorithm->server(&w.engine->server, sum, 2, 2), FT_OK);
    assert_approx((double)w.engine->server.params[0], 0.1, 1e-7);
    assert_approx((double)w.engine->server.params[1], 0.2, 1e-7);
    assert_approx((double)w.engine->server.shared[0], 0.5, 1e-7);
    assert_approx((double)w.engine->server.shared[1], -1.5, 1e-7);
    world_close(&w);
}

#define ADAPTIVE(name, momentum)                                                                             \
    HEAD "  name: " name "\n  server_momentum: " momentum "\n  beta2: 0.99\n  tau: 0.1\n" TRAINING(1, 0)     \
        EVERYBODY

/* D = (0.05, -0.125), m = 0.1 D, v = 0.99 * 0.01 + 0.01 D^2 = (0.009925, 0.01005625): steps m / (sqrt(v) +
 * 0.1). */
static void
fedadam_divides_by_the_root_of_the_second_moment(void **state)
{
    (void)state;
    ends_at(ADAPTIVE("fedadam", "0.9"), 1, 0.02504705, -0.06241236);
}

/* v = 0.01 - 0.01 * D^2 sign(0.01 - D^2): 0.01 is above 0.0025 and below 0.015625, so v = (0.009975,
 * 0.01015625). */
static void
fedyogi_moves_the_second_moment_by_the_sign_of_the_difference(void **state)
{
    (void)state;
    ends_at(ADAPTIVE("fedyogi", "0.9"), 1, 0.02501564, -0.06225775);
}

/* Without momentum m = D; v = 0.01 + D^2 = (0.0125, 0.025625). The second round's D2, from (0.23606798,
 * -0.48062484), is r_A = -1.00848888, r_B = 1.51937516: (0.05042444, -0.08874091); v adds its squares. */
static void
fedadagrad_adds_up_the_squares(void **state)
{
    const double d2[2] = { 0.05042444, -0.08874091 };
    (void)state;
    ends_at(ADAPTIVE("fedadagrad", "0"), 1, 0.23606798, -0.48062484);
    ends_at(ADAPTIVE("fedadagrad", "0"), 2, 0.23606798 + d2[0] / (sqrt(0.0125 + d2[0] * d2[0]) + 0.1),
            -0.48062484 + d2[1] / (sqrt(0.025625 + d2[1] * d2[1]) + 0.1));
}

/*
 * Batches of one row: A takes 1 step, B 3, to -0.2, -0.38 and -0.542. d_A = (0.2, 0.1), d_B = (0, -0.542 /
 * 3), tau_eff = 1/4 * 1 + 3/4 * 3 = 2.5; theta = 2.5 * (0.05, 0.025 - 0.1355). With momentum 0.5 three steps
 * weigh 1.75 + 1.5 + 1 = 4.25 gradients: v = 2, 2.8, 2.92 leads B to -0.772, tau_eff = 1/4 + 3/4 * 4.25
 * = 3.4375; theta = 3.4375 * (0.05, 0.025 - 3/4 * 0.772 / 4.25).
 */
static void
fednova_divides_by_what_local_steps_weigh(void **state)
{
    (void)state;
    ends_at(HEAD "  name: fednova\n" TRAINING(1, 1) EVERYBODY, 1, 0.125, -0.27625);
    ends_at(HEAD "  name: fednova\n" TRAINING(1, 1) "  momentum: 0.5\n" EVERYBODY, 1, 0.171875, -0.38237132);
}

/*
 * lambda = 0.5. Round 1 as FedProx from (0, 0): v_A = (0.29, 0.145), v_B = (0, -0.37); the global model is
 * FedAvg's (0.075, -0.2475). Round 2 goes on from v_A: r = -0.275, gradient (-0.55, -0.275) + 0.5 (0.215,
 * 0.3925) leads to (0.33425, 0.152875); then r = -0.178625 and 0.5 (0.25925, 0.400375) lead to (0.3570125,
 * 0.15071875).
 */
static void
ditto_keeps_a_model_for_each_client_beside_the_global_one(void **state)
{
    static const char yaml[] = HEAD "  name: ditto\n  mu: 0.5\n" TRAINING(2, 0) EVERYBODY;
    struct sim_world w;
    (void)state;
    open_two(&w, yaml);
    (void)world_round(&w);
    assert_approx((double)ft_sim_engine_params(w.engine)[0], 0.075, 1e-6);
    assert_approx((double)ft_sim_engine_params(w.engine)[1], -0.2475, 1e-6);
    assert_approx((double)w.engine->own[0][0], 0.29, 1e-6);
    assert_approx((double)w.engine->own[0][1], 0.145, 1e-6);
    assert_approx((double)w.engine->own[1][1], -0.37, 1e-6);
    (void)world_round(&w);
    assert_approx((double)w.engine->own[0][0], 0.3570125, 1e-6);
    assert_approx((double)w.engine->own[0][1], 0.15071875, 1e-6);
    world_close(&w);
}

/* Updates of staleness 0 and 3 weigh 1 and 1/2 whatever their clients' rows, and the sum is divided by K = 2:
 * with (1, 2) and (4, -4) the step is server_rate * (1.5, 0). */
static void
fedbuff_weighs_by_staleness_and_divides_by_the_buffer(void **state)
{
    const double sum[2] = { 1 * 1 + 0.5 * 4, 1 * 2 + 0.5 * -4 };
    struct sim_world w;
    (void)state;
    open_two(&w, HEAD
             "  name: fedbuff\n  buffer: 2\n  concurrency: 2\n  server_learning_rate: 0.5\n" TRAINING(1, 0));
    assert_int_equal(w.engine->algorithm->server(&w.engine->server, sum, 1.5, 2), FT_OK);
    assert_approx((double)w.engine->server.params[0], 0.75, 1e-7);
    assert_approx((double)w.engine->server.params[1], 0, 1e-7);
    world_close(&w);
}

/* B alone, one at a time: its three rows count once, so a step takes the bias from 0 to -0.2 and -0.38. */
static void
fedbuff_of_one_client_at_a_time_is_its_own_training(void **state)
{
    const uint64_t three[] = { 3 };
    struct sim_world w;
    (void)state;
    world_open(&w, HEAD "  name: fedbuff\n  buffer: 1\n  concurrency: 1\n" TRAINING(1, 0), rows + 2, 1, 0,
               three, 1);
    (void)world_round(&w);
    assert_approx((double)ft_sim_engine_params(w.engine)[1], -0.2, 1e-7);
    (void)world_round(&w);
    assert_approx((double)ft_sim_engine_params(w.engine)[1], -0.38, 1e-7);
    world_close(&w);
}

/* A client that is dropped counts neither in the sum nor in the weight, and its own state stays. */
static void
a_dropped_client_counts_nowhere(void **state)
{
    struct sim_world w;
    const double *sum;
    double weight;
    uint32_t came;
    (void)state;
    open_two(&w, HEAD "  name: ditto\n  mu: 0.5\n" TRAINING(1, 0) EVERYBODY);
    for (uint32_t i = 0; i < 2; i++)
        w.engine->places[i] = (struct sim_place){
            .client = i, .epochs = 1, .came = i == 0, .theta = w.engine->server.params, .factor = 1
        };
    w.engine->place_count = 2;
    w.engine->rate = 0.1;
    assert_int_equal(sim_run_places(w.engine, &sum, &weight, &came, NULL), FT_OK);
    assert_int_equal(came, 1);
    assert_approx(weight, 1, 0);
    assert_approx(sum[0], 0.2, 1e-7);
    assert_approx(sum[1], 0.1, 1e-7);
    assert_non_null(w.engine->own[0]);
    assert_null(w.engine->own[1]);
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fedsgd_is_one_step_on_the_weighted_mean_gradient),
        cmocka_unit_test(fedavg_takes_the_mean_weighted_by_rows),
        cmocka_unit_test(fedavgm_adds_the_momentum_of_the_mean_change),
        cmocka_unit_test(fedprox_pulls_every_step_towards_the_global_model),
        cmocka_unit_test(scaffold_corrects_every_gradient_by_control_variates),
        cmocka_unit_test(scaffold_moves_the_server_variate_by_the_share_that_came),
        cmocka_unit_test(fedadam_divides_by_the_root_of_the_second_moment),
        cmocka_unit_test(fedyogi_moves_the_second_moment_by_the_sign_of_the_difference),
        cmocka_unit_test(fedadagrad_adds_up_the_squares),
        cmocka_unit_test(fednova_divides_by_what_local_steps_weigh),
        cmocka_unit_test(ditto_keeps_a_model_for_each_client_beside_the_global_one),
        cmocka_unit_test(fedbuff_weighs_by_staleness_and_divides_by_the_buffer),
        cmocka_unit_test(fedbuff_of_one_client_at_a_time_is_its_own_training),
        cmocka_unit_test(a_dropped_client_counts_nowhere),
    };
    ft_model_setup();
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("simulate_algorithm", tests, NULL, NULL);
}
