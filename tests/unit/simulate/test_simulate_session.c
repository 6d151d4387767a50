/* A round's secure sum in whole sessions of the production code: the sum of who came, and nothing when too
 * few did. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/engine/session.h"
#include "common/base/alloc.h"

#include <sodium.h>
#include <string.h>

#define DIM 21

struct round {
    struct sim_pool *pool;
    struct ft_ss_codec codec;
    struct sim_session *session;
};

static void
begin_round(struct round *r, uint32_t clients, uint32_t corrupted, uint64_t number)
{
    struct ft_ss_descriptor terms;
    struct ft_error err = { 0 };
    uint32_t lost;
    assert_true(sim_session_tolerates(clients, corrupted, &lost));
    sim_session_terms(&r->codec, clients, corrupted, lost, number, &terms);
    if (sim_session_begin(r->session, &terms, &err) != FT_OK)
        fail_msg("%s", err.text);
}

static void
open_round(struct round *r, uint32_t clients, uint32_t n_cap, uint32_t corrupted)
{
    const struct ft_ss_codec_choice choice = {
        .lane_bits = 32, .dim = DIM, .n_cap = n_cap, .weight_max = 9, .clip = 1
    };
    struct ft_error err = { 0 };
    assert_int_equal(sim_pool_open(3, &r->pool), FT_OK);
    assert_int_equal(ft_ss_codec_init(&choice, &r->codec, NULL), FT_OK);
    const struct sim_session_config config = { .clients = clients, .corrupted = corrupted, .seed = 77, .pool = r->pool };
    if (sim_session_open(&config, &r->session, &err) != FT_OK)
        fail_msg("%s", err.text);
    begin_round(r, clients, corrupted, 5);
}

static void
close_round(struct round *r)
{
    sim_session_close(r->session);
    sim_pool_close(r->pool);
}

static void
put(struct round *r, uint32_t client)
{
    uint64_t *words = ft_big_alloc(r->codec.words * sizeof *words), ns;
    int64_t z[DIM];
    for (int64_t i = 0; i < DIM; i++)
        z[i] = 1000 * client - 37 * i;
    assert_int_equal(ft_ss_pack(&r->codec, 1 + client % 9, z, words), FT_OK);
    assert_int_equal(sim_session_put(r->session, client, words, &ns), FT_OK);
}

/* 3 to 12 clients, as many lost as the cohort bears, in a codec for more: the survivors' sum, weights and
 * all. */
static void
session_sums_up_those_who_came(void **state)
{
    (void)state;
    for (uint32_t n = 3; n <= 12; n++) {
        struct round r;
        uint64_t *total, weights, weight = 0;
        int64_t z[DIM], want = 0;
        uint32_t lost, came = 0;
        assert_true(sim_session_tolerates(n, 1, &lost));
        open_round(&r, n, 15, 1);
        for (uint32_t i = lost; i < n; i++, came++) {
            put(&r, i);
            want += 1000 * (int64_t)i;
            weight += 1 + i % 9;
        }
        total = ft_calloc(r.codec.words, sizeof *total);
        assert_int_equal(sim_session_end(r.session, total, NULL, NULL), FT_OK);
        assert_int_equal(ft_ss_unpack(&r.codec, total, came, z, &weights), FT_OK);
        assert_int_equal(weights, weight);
        for (int64_t i = 0; i < DIM; i++)
            assert_true(z[i] == want - 37 * i * came);
        ft_free(total);
        close_round(&r);
    }
}

/* One federation, round after round, each with others lost, by as many threads as there are: each sum is its own round's. */
static void
a_federation_sums_round_after_round(void **state)
{
    enum { N = 7 };
    struct round r;
    (void)state;
    open_round(&r, N, N, 1);
    for (uint64_t number = 5; number < 8; number++) {
        uint64_t *words[N] = { NULL }, *total, weights;
        int64_t z[DIM], want = 0;
        uint32_t survivors;
        if (number > 5)
            begin_round(&r, N, 1, number);
        for (uint32_t i = 0; i < N; i++) {
            if (i == number % N)
                continue;
            for (int64_t k = 0; k < DIM; k++)
                z[k] = (int64_t)(number * 100 + i);
            want += z[0];
            words[i] = ft_big_alloc(r.codec.words * sizeof *words[i]);
            assert_int_equal(ft_ss_pack(&r.codec, 1, z, words[i]), FT_OK);
        }
        assert_int_equal(sim_session_put_all(r.session, words), FT_OK);
        total = ft_calloc(r.codec.words, sizeof *total);
        assert_int_equal(sim_session_end(r.session, total, &survivors, NULL), FT_OK);
        assert_int_equal(survivors, N - 1);
        assert_int_equal(ft_ss_unpack(&r.codec, total, survivors, z, &weights), FT_OK);
        assert_int_equal(weights, N - 1);
        assert_true(z[0] == want && z[DIM - 1] == want);
        ft_free(total);
    }
    close_round(&r);
}

/* One more lost than the cohort bears: no sum, a sentence, and the caller's words stay. */
static void
session_without_enough_survivors_reveals_nothing(void **state)
{
    struct round r;
    struct ft_error err = { 0 };
    uint64_t *total;
    uint32_t lost;
    (void)state;
    assert_true(sim_session_tolerates(9, 1, &lost));
    open_round(&r, 9, 9, 1);
    for (uint32_t i = lost + 1; i < 9; i++)
        put(&r, i);
    total = ft_calloc(r.codec.words, sizeof *total);
    assert_int_not_equal(sim_session_end(r.session, total, NULL, &err), FT_OK);
    assert_int_not_equal(err.status, FT_OK);
    for (uint64_t i = 0; i < r.codec.words; i++)
        assert_int_equal(total[i], 0);
    ft_free(total);
    close_round(&r);
}

/* Two clients cannot hide from each other; more that collude bear fewer losses. */
static void
session_tolerates_what_the_protocol_does(void **state)
{
    uint32_t lost;
    (void)state;
    assert_false(sim_session_tolerates(1, 1, &lost));
    assert_false(sim_session_tolerates(2, 1, &lost));
    assert_true(sim_session_tolerates(3, 1, &lost));
    assert_int_equal(lost, 0);
    assert_true(sim_session_tolerates(100, 1, &lost));
    assert_int_equal(lost, 49); /* the quorum is (100 + 1) / 2 + 1 = 51 */
    assert_true(sim_session_tolerates(100, 20, &lost));
    assert_int_equal(lost, 39);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_sums_up_those_who_came),
        cmocka_unit_test(a_federation_sums_round_after_round),
        cmocka_unit_test(session_without_enough_survivors_reveals_nothing),
        cmocka_unit_test(session_tolerates_what_the_protocol_does),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
