/* Invariants of the engine, for every algorithm: threads, resuming and masks change no bit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/approx.h"
#include "tests/unit/simulate/sim_world.h"

#include <sodium.h>

enum { CLIENTS = 24, FEATURES = 5, ROUNDS = 4, SHAPE = 7 /* most rows of a client */ };

static const struct {
    const char *name, *more;
} algorithms[] = {
    { "fedavg", "" },
    { "fedavgm", "" },
    { "fedprox", "  mu: 0.1\n" },
    { "scaffold", "" },
    { "fedadam", "  tau: 0.01\n" },
    { "fedyogi", "  tau: 0.01\n" },
    { "fedadagrad", "  tau: 0.01\n" },
    { "fednova", "" },
    { "ditto", "  mu: 0.1\n" },
    { "fedbuff", "  buffer: 4\n  concurrency: 9\n" },
};
enum { COUNT = sizeof algorithms / sizeof algorithms[0], BUFFERED = COUNT - 1 };

static void
open_world(struct sim_world *w, size_t algorithm, const char *more)
{
    static float rows[CLIENTS * SHAPE * (FEATURES + 1)];
    uint64_t counts[CLIENTS];
    struct sim_draw d;
    char *yaml =
        ft_asprintf(WORLD_HEAD "model:\n  kind: mlp\n  hidden: [6]\nalgorithm:\n  name: %s\n%s"
                               "training:\n  rounds: %d\n  local_epochs: 3\n  batch_size: 2\n"
                               "  learning_rate: 0.1\n%s%s",
                    algorithms[algorithm].name, algorithms[algorithm].more, ROUNDS,
                    algorithm == BUFFERED ? "clients:\n  dropout: 0.2\n  stragglers: 0.3\n"
                                          : "clients:\n  fraction: 0.4\n  dropout: 0.2\n  stragglers: 0.3\n",
                    more);
    sim_draw_init(&d, 1, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        rows[i] = i % (FEATURES + 1) == FEATURES ? (float)sim_draw_below(&d, 3) : (float)sim_draw_normal(&d);
    for (uint32_t k = 0; k < CLIENTS; k++)
        counts[k] = k % (SHAPE + 1); /* some have none */
    world_open(w, yaml, rows, FEATURES, 3, counts, CLIENTS);
    ft_free(yaml);
}

static void
assert_same_model(const struct sim_world *a, const struct sim_world *b)
{
    assert_memory_equal(ft_sim_engine_params(a->engine), ft_sim_engine_params(b->engine),
                        ft_sim_engine_parameters(a->engine) * sizeof(float));
}

/* One thread, two and five: the same model bytes after every round. */
static void
threads_change_no_bit(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT; k++)
        for (unsigned threads = 2; threads < 6; threads += 3) {
            struct sim_world one, more;
            open_world(&one, k, "");
            open_world(&more, k, "");
            ft_sim_engine_close(more.engine);
            world_engine(&more, threads);
            for (int i = 0; i < ROUNDS; i++) {
                const struct ft_sim_round a = world_round(&one), b = world_round(&more);
                assert_int_equal(a.came, b.came);
                assert_same_model(&one, &more);
            }
            world_close(&one);
            world_close(&more);
        }
}

/* Saved after any round and loaded into a new engine: the rest of the run is the same, and so is what is
 * saved then. */
static void
a_resumed_run_is_the_run(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT; k++)
        for (int stop = 1; stop < ROUNDS; stop++) {
            struct sim_world whole, resumed;
            struct ft_buf saved = { 0 }, end = { 0 }, other_end = { 0 };
            open_world(&whole, k, "");
            open_world(&resumed, k, "");
            for (int i = 0; i < stop; i++)
                (void)world_round(&whole);
            assert_int_equal(ft_sim_engine_save(whole.engine, &saved), FT_OK);
            assert_int_equal(ft_sim_engine_load(resumed.engine, ft_buf_bytes(&saved)), FT_OK);
            assert_int_equal(ft_sim_engine_rounds(resumed.engine), stop);
            for (int i = stop; i < ROUNDS; i++) {
                (void)world_round(&whole);
                (void)world_round(&resumed);
            }
            assert_same_model(&whole, &resumed);
            assert_int_equal(ft_sim_engine_save(whole.engine, &end), FT_OK);
            assert_int_equal(ft_sim_engine_save(resumed.engine, &other_end), FT_OK);
            assert_int_equal(end.size, other_end.size);
            assert_memory_equal(end.data, other_end.data, end.size);
            ft_buf_clear(&saved);
            ft_buf_clear(&end);
            ft_buf_clear(&other_end);
            world_close(&whole);
            world_close(&resumed);
        }
}

/* States that are cut, or of another algorithm's shape, are refused. */
static void
a_state_of_another_shape_is_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT; k++) {
        struct sim_world w, other;
        struct ft_buf saved = { 0 };
        open_world(&w, k, "");
        open_world(&other, (k + 3) % COUNT, "");
        (void)world_round(&w);
        assert_int_equal(ft_sim_engine_save(w.engine, &saved), FT_OK);
        assert_int_equal(ft_sim_engine_load(other.engine, ft_buf_bytes(&saved)), FT_ERR_FORMAT);
        for (size_t size = 0; size < saved.size; size += 1 + saved.size / 50)
            assert_int_equal(ft_sim_engine_load(w.engine, FT_BYTES(saved.data, size)), FT_ERR_FORMAT);
        assert_int_equal(ft_sim_engine_load(w.engine, ft_buf_bytes(&saved)), FT_OK);
        ft_buf_clear(&saved);
        world_close(&w);
        world_close(&other);
    }
}

/* Masks cancel: with them and without them the same bits, dropouts included; and both near the plain sum, as
 * 32-bit lanes round to clip / 2^20 or so a client. */
static void
masks_change_no_bit_and_lanes_little(void **state)
{
    (void)state;
    for (size_t k = 0; k < BUFFERED; k++) {
        struct sim_world exact, cost, plain;
        open_world(&exact, k, "secure_sum:\n  kind: exact\n  clip: 100\n");
        open_world(&cost, k, "secure_sum:\n  kind: cost\n  clip: 100\n");
        open_world(&plain, k, "");
        for (int i = 0; i < ROUNDS; i++) {
            const struct ft_sim_round a = world_round(&exact), b = world_round(&cost);
            (void)world_round(&plain);
            assert_int_equal(a.bytes_up, b.bytes_up);
            assert_same_model(&exact, &cost);
        }
        for (uint64_t i = 0; i < ft_sim_engine_parameters(plain.engine); i++)
            assert_approx((double)ft_sim_engine_params(exact.engine)[i],
                          (double)ft_sim_engine_params(plain.engine)[i], 0.02);
        world_close(&exact);
        world_close(&cost);
        world_close(&plain);
    }
}

/* Updates of FedBuff come from models of different age, its clients overlap, and lost ones are replaced:
 * every step has `buffer` updates. */
static void
fedbuff_fills_its_buffer_from_models_of_different_age(void **state)
{
    struct sim_world w;
    uint32_t stale = 0, fresh = 0, lost = 0;
    (void)state;
    open_world(&w, BUFFERED, "");
    for (int i = 0; i < 50; i++) {
        const struct ft_sim_round r = world_round(&w);
        assert_int_equal(r.came, 4);
        lost += r.asked - r.came;
        for (uint32_t p = 0; p < w.engine->place_count; p++) {
            const double factor = w.engine->places[p].factor;
            fresh += factor >= 1;
            stale += factor < 1;
            assert_true(factor > 0.1 && factor <= 1);
        }
    }
    assert_true(stale > 50 && fresh > 20); /* nine in the air, four a step: most are a step or two old */
    assert_true(lost > 10);                /* a fifth, and three of 24 clients have no rows */
    world_close(&w);
}

/* A federation whose clients have no rows has nothing to wait for: FedBuff says so. */
static void
fedbuff_without_rows_ends(void **state)
{
    const float none[] = { 0 };
    const uint64_t counts[] = { 0, 0 };
    struct sim_world w;
    struct ft_sim_round round;
    struct ft_error err = { 0 };
    (void)state;
    world_open(&w,
               WORLD_HEAD
               "model:\n  kind: linear\nalgorithm:\n  name: fedbuff\n  buffer: 1\n  concurrency: 1\n"
               "training:\n  rounds: 1\n  learning_rate: 0.1\n",
               none, 1, 0, counts, 2);
    assert_int_equal(ft_sim_engine_round(w.engine, &round, &err), FT_ERR_LATER);
    assert_string_equal(err.text,
                        "round 1: no update comes: every client that trains is without rows or is lost");
    world_close(&w);
}

/* A rate far too large: the round and the remedy are named. */
static void
divergence_names_its_round(void **state)
{
    struct sim_world w;
    struct ft_sim_round round;
    struct ft_error err = { 0 };
    enum ft_status st = FT_OK;
    (void)state;
    open_world(&w, 0, "");
    w.e.training.learning_rate = 1e6;
    for (int i = 0; st == FT_OK && i < ROUNDS; i++)
        st = ft_sim_engine_round(w.engine, &round, &err);
    assert_int_equal(st, FT_ERR_NONFINITE);
    assert_non_null(strstr(err.text, "training diverged: use a smaller learning rate"));
    world_close(&w);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(a_resumed_run_is_the_run),
        cmocka_unit_test(a_state_of_another_shape_is_refused),
        cmocka_unit_test(masks_change_no_bit_and_lanes_little),
        cmocka_unit_test(fedbuff_fills_its_buffer_from_models_of_different_age),
        cmocka_unit_test(fedbuff_without_rows_ends),
        cmocka_unit_test(divergence_names_its_round),
    };
    ft_model_setup();
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests_name("simulate_engine", tests, NULL, NULL);
}
