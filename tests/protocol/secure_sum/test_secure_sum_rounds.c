/* The sum is exact, whoever drops out and whenever, within what the cohort tolerates; beyond it nothing is
 * summed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "world.h"

#include "common/secure_sum/prg.h"

#include <stdio.h>
#include <string.h>

/* Dropouts that a cohort of n with F colluders may tolerate: q = floor((n+F)/2)+1 <= n-D and h = n-D-F >= 2.
 */
static uint32_t
dropouts_limit(uint32_t n, uint32_t corrupted)
{
    const uint32_t by_quorum = n - ((n + corrupted) / 2 + 1);
    const uint32_t by_honest = n >= corrupted + 2 ? n - corrupted - 2 : 0;
    return by_quorum < by_honest ? by_quorum : by_honest;
}

/* Everyone answers everything: the decoded sum is the plain sum, and every shop is told the result. */
static void
secure_sum_of_a_full_cohort_is_exact(void **state)
{
    (void)state;
    for (uint32_t n = 3; n <= 12; n++) {
        const struct world_options o = world_options(n, n, 1, 0);
        struct world w;
        world_open(&w, &o);
        world_run(&w);
        world_check_sum(&w, n);
        for (uint32_t i = 0; i < n; i++)
            assert_true(w.shops[i].got_result);
        world_close(&w);
    }
}

static const enum ft_ss_step steps[] = { FT_SS_STEP_SHARES, FT_SS_STEP_MASKED, FT_SS_STEP_CONFIRM,
                                         FT_SS_STEP_UNMASK };

/* Run with the given shops silent, and check the sum over exactly those whose upload was complete. */
static void
run_with_silence(const struct world_options *o, const enum ft_ss_step *silent_at, bool half)
{
    struct world w;
    uint32_t survivors = 0;

    world_open(&w, o);
    for (uint32_t i = 0; i < o->shops; i++) {
        w.shops[i].silent_at = silent_at[i];
        w.shops[i].half_upload = half;
        survivors += silent_at[i] == FT_SS_STEP_NONE || silent_at[i] > FT_SS_STEP_MASKED;
    }
    world_run(&w);
    world_check_sum(&w, survivors);
    for (uint32_t i = 0; i < o->shops; i++) {
        const bool complete = silent_at[i] == FT_SS_STEP_NONE || silent_at[i] > FT_SS_STEP_MASKED;
        assert_int_equal(world_in_survivors(&w, i), complete);
        assert_int_equal(w.shops[i].got_result, silent_at[i] == FT_SS_STEP_NONE);
    }
    world_close(&w);
}

/* Random cohorts, lane widths, dimensions, suites and dropouts in every phase: always the plain sum over U3.
 */
static void
secure_sum_is_exact_for_random_cohorts_and_dropouts(void **state)
{
    static const uint32_t widths[] = { 12, 16, 21, 32, 64 };
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct ft_env_seeded dice;
        ft_env_seeded_init(&dice, seed, 999);
        const uint32_t n = 3 + (uint32_t)ft_random_below(&dice.env, 38);
        const uint32_t corrupted = 1 + (uint32_t)ft_random_below(&dice.env, n / 3);
        const uint32_t limit = dropouts_limit(n, corrupted);
        const uint32_t dropouts = (uint32_t)ft_random_below(&dice.env, limit + 1);
        struct world_options o = world_options(seed, n, corrupted, dropouts);
        enum ft_ss_step silent_at[64] = { FT_SS_STEP_NONE };

        o.dim = 1 + (uint32_t)ft_random_below(&dice.env, seed % 10 == 0 ? 40000 : 200);
        o.lane_bits = widths[ft_random_below(&dice.env, 5)];
        o.suite = ft_random_below(&dice.env, 2) ? FT_SS_SUITE_AES256CTR : FT_SS_SUITE_CHACHA20;
        o.audit = ft_random_below(&dice.env, 2);
        o.threads = 1 + (unsigned)ft_random_below(&dice.env, 3);
        for (uint32_t d = 0; d < dropouts; d++)
            silent_at[ft_random_below(&dice.env, n)] = steps[ft_random_below(&dice.env, 4)];
        run_with_silence(&o, silent_at, ft_random_below(&dice.env, 2));
    }
}

/* Every set of at most D dropouts, each silent at every step, in small cohorts. */
static void
secure_sum_survives_every_dropout_pattern_it_tolerates(void **state)
{
    static const struct {
        uint32_t n, corrupted, dropouts;
    } cohorts[] = { { 5, 1, 1 }, { 6, 1, 2 } };
    (void)state;
    for (size_t c = 0; c < sizeof cohorts / sizeof cohorts[0]; c++) {
        const uint32_t n = cohorts[c].n;
        const struct world_options o = world_options(c + 1, n, cohorts[c].corrupted, cohorts[c].dropouts);
        for (uint32_t a = 0; a < n; a++)
            for (uint32_t at_a = 0; at_a < 4; at_a++) {
                enum ft_ss_step silent_at[8] = { FT_SS_STEP_NONE };
                silent_at[a] = steps[at_a];
                run_with_silence(&o, silent_at, true);
                for (uint32_t b = a + 1; cohorts[c].dropouts > 1 && b < n; b++)
                    for (uint32_t at_b = 0; at_b < 4; at_b++) {
                        silent_at[b] = steps[at_b];
                        run_with_silence(&o, silent_at, false);
                        silent_at[b] = FT_SS_STEP_NONE;
                    }
            }
    }
}

/* One more dropout than tolerated, in any phase up to the confirmation: FAILED, and no shop has revealed
 * anything. */
static void
secure_sum_with_too_many_dropouts_fails_and_reveals_nothing(void **state)
{
    static const struct {
        enum ft_ss_step at;
        enum ft_ss_end end;
    } cases[] = { { FT_SS_STEP_JOIN, FT_SS_END_FAILED_JOIN },
                  { FT_SS_STEP_SHARES, FT_SS_END_FAILED_SHARES },
                  { FT_SS_STEP_MASKED, FT_SS_END_FAILED_INPUTS },
                  { FT_SS_STEP_CONFIRM, FT_SS_END_FAILED_CONFIRM } };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct world_options o = world_options(c, 7, 2, 2);
        struct world w;
        if (cases[c].at == FT_SS_STEP_JOIN)
            o.n_min = 6;
        world_open(&w, &o);
        for (uint32_t i = 0; i < 3; i++)
            w.shops[2 * i].silent_at = cases[c].at;
        world_run(&w);
        assert_int_equal(ft_ss_server_phase(w.server), FT_SS_FAILED);
        assert_int_equal(ft_ss_server_failure(w.server), cases[c].end);
        for (uint32_t i = 0; i < o.shops; i++)
            for (size_t r = 0; r < w.shops[i].journal_count; r++)
                assert_true(w.shops[i].journal[r].step < FT_SS_STEP_UNMASK);
        for (uint32_t i = 1; i < o.shops; i += 2) /* the live ones were told, and rest */
            assert_int_equal(ft_ss_client_state(w.shops[i].client), FT_SS_CLIENT_IDLE);
        world_close(&w);
    }
}

/* After the certificate, as many may stay silent as leave t holders: here k = 6, t = 5, so two of seven. */
static void
secure_sum_whose_self_masks_cannot_be_rebuilt_fails(void **state)
{
    const struct world_options o = world_options(3, 7, 2, 2);
    struct world w;
    (void)state;
    world_open(&w, &o);
    for (uint32_t i = 0; i < 3; i++)
        w.shops[i].silent_at = FT_SS_STEP_UNMASK;
    world_run(&w);
    assert_int_equal(ft_ss_server_phase(w.server), FT_SS_FAILED);
    assert_int_equal(ft_ss_server_failure(w.server), FT_SS_END_FAILED_UNMASK);
    world_close(&w);
}

/* Shops that never join cost nothing: the cohort is who came, at the deadline. */
static void
secure_sum_cohort_is_who_joined_in_time(void **state)
{
    struct world_options o = world_options(11, 9, 1, 1);
    struct world w;
    (void)state;
    o.drop_permille = 150; /* D = 1 of 7 */
    world_open(&w, &o);
    w.shops[0].silent_at = w.shops[8].silent_at = FT_SS_STEP_JOIN;
    w.shops[3].silent_at = FT_SS_STEP_MASKED;
    world_run(&w);
    world_check_sum(&w, 6);
    assert_int_equal(ft_ss_server_client_end(w.server, 0, NULL), FT_SS_END_LATE_JOIN);
    assert_int_equal(ft_ss_server_client_end(w.server, 3, NULL), FT_SS_END_LATE_INPUT);
    assert_int_equal(ft_ss_server_client_end(w.server, 4, NULL), FT_SS_END_NONE);
    world_close(&w);
}

/* A cohort closes at n_cap or at the asked-for number of joins; who comes later is told so. */
static void
secure_sum_cohort_closes_at_its_target(void **state)
{
    struct world_options o = world_options(12, 9, 1, 0);
    struct world w;
    (void)state;
    o.join_target = 5;
    world_open(&w, &o);
    world_run(&w);
    world_check_sum(&w, 5);
    world_close(&w);
}

/* The graph profile, with the published parameters for n = 100, dropouts in each phase, and more shops than
 * that. */
static void
secure_sum_in_the_graph_profile_is_exact(void **state)
{
    (void)state;
    for (uint32_t n = 100; n <= 160; n += 60) {
        struct world_options o = world_options(n, n, n / 10, n / 10);
        enum ft_ss_step silent_at[160] = { FT_SS_STEP_NONE };
        o.graph = true;
        o.graph_min = 99;
        o.dim = 300;
        for (uint32_t d = 0; d < n / 10; d++)
            silent_at[d * 7 % n] = steps[d % 4];
        run_with_silence(&o, silent_at, false);
    }
}

/* The graph profile really was used: fewer holders than members, and an edge probability below one. */
static void
secure_sum_of_a_large_cohort_uses_the_graph_only_when_asked(void **state)
{
    (void)state;
    for (int graph = 0; graph < 2; graph++) {
        struct world_options o = world_options(5, 100, 10, 10);
        struct world w;
        o.graph = graph;
        o.graph_min = 99;
        o.dim = 5;
        world_open(&w, &o);
        world_run(&w);
        world_check_sum(&w, 100);
        assert_int_equal(ft_ss_server_params(w.server)->k, graph ? 31 : 99);
        assert_int_equal(ft_ss_server_params(w.server)->p == FT_SS_P_CLASSICAL, !graph);
        world_close(&w);
    }
}

static enum verdict
lose_some(struct world *w, struct shop *shop, struct ft_buf *message)
{
    (void)shop;
    (void)message;
    return ft_random_below(&w->env.env, 3) == 0 ? DROP : PASS;
}

static enum verdict
deliver_twice_or_lose(struct world *w, struct shop *shop, struct ft_buf *message)
{
    if (ft_random_below(&w->env.env, 3) == 0)
        return DROP;
    shop->refusal = ft_ss_server_handle(w->server, shop->id, ft_buf_bytes(message));
    assert_int_equal(shop->refusal, FT_OK);
    return PASS; /* and again: the resend is accepted too */
}

/* Lost and doubled messages in both directions cost time, and change nothing: a resend has the same bytes. */
static void
secure_sum_survives_lost_and_doubled_messages(void **state)
{
    struct ft_ss_server_counts counts;
    int done = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct world_options o = world_options(seed, 8, 2, 1);
        struct world w;
        world_open(&w, &o);
        w.down = lose_some;
        w.up = deliver_twice_or_lose;
        world_run(&w);
        ft_ss_server_counts(w.server, &counts);
        if (world_done(&w))
            world_check_sum(&w, counts.survivors);
        done += world_done(&w);
        for (uint32_t i = 0; i < o.shops; i++)
            assert_int_equal(w.shops[i].aborted, FT_SS_ABORT_NONE);
        world_close(&w);
    }
    assert_true(done > 10);
}

struct replayer {
    struct ft_buf kept[4096];
    size_t count;
};

/* Every message ever sent to this shop is delivered again, in another order, before the next one. */
static enum verdict
replay_all(struct world *w, struct shop *shop, struct ft_buf *message)
{
    struct replayer *r = w->user;
    enum ft_ss_action action;
    struct ft_buf answer = { 0 };

    if (shop->id != 2)
        return PASS;
    for (size_t i = r->count; i-- > 0;) {
        assert_int_equal(ft_ss_client_handle(shop->client, ft_buf_bytes(&r->kept[i]), &answer, &action),
                         FT_OK);
        assert_true(action == FT_SS_IGNORED || action == FT_SS_ANSWER || action == FT_SS_UPLOAD);
    }
    ft_buf_clear(&answer);
    assert_int_equal(ft_buf_append(&r->kept[r->count++], message->data, message->size), FT_OK);
    return PASS;
}

/* Old messages of the session, in any order, get their stored answers or nothing. */
static void
secure_sum_ignores_reordered_messages(void **state)
{
    const struct world_options o = world_options(21, 6, 1, 1);
    static struct replayer r;
    struct world w;
    (void)state;
    world_open(&w, &o);
    w.down = replay_all;
    w.user = &r;
    w.shops[4].silent_at = FT_SS_STEP_MASKED;
    world_run(&w);
    world_check_sum(&w, 5);
    for (size_t i = 0; i < r.count; i++)
        ft_buf_clear(&r.kept[i]);
    world_close(&w);
}

/* Closing everything at any moment leaves no allocation behind. */
static void
secure_sum_leaves_no_memory_behind(void **state)
{
    (void)state;
    for (int turns = 0; turns < 8; turns++) {
        const size_t live = ft_alloc_live();
        const struct world_options o = world_options(31, 5, 1, 1);
        struct world w;
        world_open(&w, &o);
        w.shops[1].silent_at = FT_SS_STEP_MASKED;
        w.shops[1].half_upload = true;
        for (int i = 0; i < turns; i++)
            world_pump(&w);
        world_close(&w);
        assert_int_equal(ft_alloc_live(), live);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secure_sum_of_a_full_cohort_is_exact),
        cmocka_unit_test(secure_sum_is_exact_for_random_cohorts_and_dropouts),
        cmocka_unit_test(secure_sum_survives_every_dropout_pattern_it_tolerates),
        cmocka_unit_test(secure_sum_with_too_many_dropouts_fails_and_reveals_nothing),
        cmocka_unit_test(secure_sum_whose_self_masks_cannot_be_rebuilt_fails),
        cmocka_unit_test(secure_sum_cohort_is_who_joined_in_time),
        cmocka_unit_test(secure_sum_cohort_closes_at_its_target),
        cmocka_unit_test(secure_sum_in_the_graph_profile_is_exact),
        cmocka_unit_test(secure_sum_of_a_large_cohort_uses_the_graph_only_when_asked),
        cmocka_unit_test(secure_sum_survives_lost_and_doubled_messages),
        cmocka_unit_test(secure_sum_ignores_reordered_messages),
        cmocka_unit_test(secure_sum_leaves_no_memory_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
