/* Conditions P1 to P5 and the two tables of the specification's section 5. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/secure_sum/params.h"
#include "tests/unit/secure_sum/secure_sum_support.h"
#include <math.h>

static const struct ft_ss_params_policy graph_ok = { .graph_allowed = true, .graph_min = 64 };
static const struct ft_ss_params_policy graph_off = { .graph_allowed = false };

/* drop_permille so that D comes out as wanted. */
static struct ft_ss_rules
rules_for(uint32_t n, uint32_t corrupted, uint32_t dropouts, uint8_t sigma)
{
    const struct ft_ss_rules rules = { .n_min = 3,
                                       .n_cap = 20000,
                                       .h_min = 2,
                                       .corrupted = corrupted,
                                       .drop_permille = (uint16_t)((dropouts * 1000 + n - 1) / n),
                                       .sigma = sigma,
                                       .eta = 30 };
    assert_int_equal(ft_ss_dropouts_max(n, rules.drop_permille), dropouts);
    return rules;
}

/* The left table. The chooser computes for sigma + 1, so sigma 39 gives the table's sigma 40. */
static void
graph_table_is_reproduced(void **state)
{
    static const struct {
        uint32_t n, f, d;
        uint16_t k, t;
        uint32_t q;
        double degree;
        uint16_t e_max;
    } rows[] = {
        { 100, 10, 10, 31, 21, 56, 38.0, 75 },         { 200, 20, 10, 40, 30, 111, 38.5, 86 },
        { 500, 50, 25, 63, 46, 276, 42.0, 98 },        { 1000, 100, 50, 76, 55, 551, 43.8, 104 },
        { 2000, 200, 100, 82, 59, 1101, 45.1, 108 },   { 5000, 500, 250, 89, 64, 2751, 46.5, 112 },
        { 10000, 1000, 500, 93, 67, 5501, 47.5, 114 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct ft_ss_rules rules = rules_for(rows[i].n, rows[i].f, rows[i].d, 39);
        struct ft_ss_params p;
        struct ft_error err = { 0 };
        assert_int_equal(ft_ss_params_choose(&rules, rows[i].n, FT_SS_GRAPH, &p, &err), FT_OK);
        assert_int_equal(p.k, rows[i].k);
        assert_int_equal(p.t, rows[i].t);
        assert_int_equal(p.q, rows[i].q);
        assert_true(fabs(ldexp((double)p.p, -64) * (rows[i].n - 1) - rows[i].degree) <= 0.05);
        assert_int_equal(p.e_max, rows[i].e_max);
    }
}

/* The right table, and that one more dropout has no parameters. */
static void
classical_table_is_reproduced(void **state)
{
    static const struct {
        uint32_t n, f, t, q, d_max;
    } rows[] = { { 3, 1, 2, 3, 0 },    { 5, 1, 3, 4, 1 },      { 7, 2, 5, 5, 2 },     { 10, 3, 7, 7, 3 },
                 { 20, 6, 13, 14, 6 }, { 32, 10, 21, 22, 10 }, { 50, 16, 33, 34, 16 } };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ft_ss_rules rules = rules_for(rows[i].n, rows[i].f, rows[i].d_max, 40);
        struct ft_ss_params p;
        struct ft_error err = { 0 };
        assert_int_equal(ft_ss_params_choose(&rules, rows[i].n, FT_SS_CLASSICAL, &p, &err), FT_OK);
        assert_int_equal(p.k, rows[i].n - 1);
        assert_int_equal(p.t, rows[i].t);
        assert_int_equal(p.q, rows[i].q);
        assert_true(p.p == FT_SS_P_CLASSICAL);
        assert_int_equal(p.e_max, rows[i].n - 1);
        assert_int_equal(ft_ss_params_check(&rules, rows[i].n, &p, &graph_off, &err), FT_OK);
        rules = rules_for(rows[i].n, rows[i].f, rows[i].d_max + 1, 40);
        assert_int_equal(ft_ss_params_choose(&rules, rows[i].n, FT_SS_CLASSICAL, &p, &err), FT_ERR_COHORT);
        assert_true(err.text[0] != 0);
    }
}

/* What the aggregator chooses for sigma + 1, every client accepts for sigma. */
static void
clients_accept_what_the_aggregator_chose(void **state)
{
    (void)state;
    for (uint32_t n = 65; n < 1500; n += 97) {
        const struct ft_ss_rules rules = rules_for(n, n / 10, n / 20, 40);
        struct ft_ss_params p;
        struct ft_error err = { 0 };
        assert_int_equal(ft_ss_params_choose(&rules, n, FT_SS_GRAPH, &p, &err), FT_OK);
        assert_int_equal(ft_ss_params_check(&rules, n, &p, &graph_ok, &err), FT_OK);
        assert_int_equal(ft_ss_params_check(&rules, n, &p, &graph_off, NULL), FT_ERR_REFUSED);
    }
}

/* Each parameter made worse by a little is refused, with a sentence. */
static void
clients_refuse_each_weakened_parameter(void **state)
{
    const struct ft_ss_rules rules = rules_for(1000, 100, 50, 40);
    struct ft_ss_params good, p;
    struct ft_error err = { 0 };
    (void)state;
    assert_int_equal(ft_ss_params_choose(&rules, 1000, FT_SS_GRAPH, &good, &err), FT_OK);
#define REFUSED_WITH(change, expected)                                                                       \
    do {                                                                                                     \
        p = good;                                                                                            \
        change;                                                                                              \
        memset(&err, 0, sizeof err);                                                                         \
        assert_int_equal(ft_ss_params_check(&rules, 1000, &p, &graph_ok, &err), expected);                   \
        assert_true(err.text[0] != 0);                                                                       \
    } while (0)
    REFUSED_WITH(p.q--, FT_ERR_VERIFY);
    REFUSED_WITH(p.q++, FT_ERR_VERIFY);
    REFUSED_WITH(p.t = (uint16_t)(p.t - 2), FT_ERR_VERIFY);
    REFUSED_WITH(p.t = 1, FT_ERR_VERIFY);
    REFUSED_WITH(p.k = (uint16_t)(p.t - 1), FT_ERR_VERIFY);
    REFUSED_WITH(p.k = 1000, FT_ERR_VERIFY);
    REFUSED_WITH(p.p = p.p / 10 * 9, FT_ERR_VERIFY);
    REFUSED_WITH(p.p = 0, FT_ERR_VERIFY);
    REFUSED_WITH(p.e_max = (uint16_t)(p.e_max - 10), FT_ERR_VERIFY);
    REFUSED_WITH(p.e_max = 1000, FT_ERR_VERIFY);
    REFUSED_WITH(p.p = FT_SS_P_CLASSICAL, FT_ERR_VERIFY); /* then k must be n - 1 */
#undef REFUSED_WITH
}

/* Cohorts outside the limits, and ones whose honest part is too small, fail P1. */
static void
cohorts_outside_the_limits_are_refused(void **state)
{
    struct ft_ss_rules rules = {
        .n_min = 5, .n_cap = 16, .h_min = 3, .corrupted = 2, .drop_permille = 250, .sigma = 40, .eta = 30
    };
    struct ft_ss_params p;
    struct ft_error err = { 0 };
    (void)state;
    assert_int_equal(ft_ss_params_choose(&rules, 4, FT_SS_CLASSICAL, &p, &err), FT_ERR_COHORT);
    assert_int_equal(ft_ss_params_choose(&rules, 17, FT_SS_CLASSICAL, &p, &err), FT_ERR_COHORT);
    assert_int_equal(ft_ss_params_choose(&rules, 12, FT_SS_CLASSICAL, &p, &err), FT_OK);
    rules.h_min = 8; /* 12 - 3 - 2 = 7 */
    assert_int_equal(ft_ss_params_check(&rules, 12, &p, &graph_off, &err), FT_ERR_COHORT);
    rules.h_min = 3;
    rules.corrupted = 12;
    assert_int_equal(ft_ss_params_check(&rules, 12, &p, &graph_off, &err), FT_ERR_COHORT);
    rules.corrupted = UINT32_MAX;
    assert_int_equal(ft_ss_params_check(&rules, 12, &p, &graph_off, &err), FT_ERR_COHORT);
}

/* The graph profile is only for cohorts above 64 and above the policy's own size. */
static void
the_graph_profile_needs_a_large_cohort(void **state)
{
    const struct ft_ss_rules small = rules_for(60, 3, 3, 40), large = rules_for(400, 20, 20, 40);
    const struct ft_ss_params_policy standard = { .graph_allowed = true,
                                                  .graph_min = FT_SS_GRAPH_MIN_DEFAULT };
    struct ft_ss_params p;
    struct ft_error err = { 0 };
    (void)state;
    assert_int_equal(ft_ss_params_choose(&small, 60, FT_SS_GRAPH, &p, &err), FT_ERR_COHORT);
    assert_int_equal(ft_ss_params_choose(&large, 400, FT_SS_GRAPH, &p, &err), FT_OK);
    assert_int_equal(ft_ss_params_check(&large, 400, &p, &standard, &err), FT_ERR_REFUSED);
    assert_int_equal(ft_ss_params_check(&large, 400, &p, &graph_ok, &err), FT_OK);
}

/*
 * Taken literally, P4 sums over nothing when h - D is 1 and so admits p = 0: no client would share a mask
 * with another, and opening the self masks would show every input. Such cohorts have no graph profile here.
 */
static void
a_cohort_whose_p4_sum_is_empty_gets_no_graph(void **state)
{
    const struct ft_ss_rules rules = rules_for(600, 1, 299, 40); /* h = 300, m = 1 */
    struct ft_ss_params p = { .k = 2, .t = 2, .q = 301, .p = 0, .e_max = 0 };
    struct ft_error err = { 0 };
    (void)state;
    assert_true(ft_ss_ln_disconnected(1, 0) == -INFINITY); /* the literal condition holds */
    assert_int_equal(ft_ss_params_check(&rules, 600, &p, &graph_ok, &err), FT_ERR_VERIFY);
    assert_non_null(strstr(err.text, "P4"));
    assert_int_equal(ft_ss_params_choose(&rules, 600, FT_SS_GRAPH, &p, NULL), FT_ERR_COHORT);
}

/* Tails against sums small enough to do by hand. */
static void
tails_agree_with_hand_computed_ones(void **state)
{
    const uint64_t half = (uint64_t)1 << 63;
    (void)state;
    /* 3 of 10 with 4 bad: Pr[>= 2] = (C(4,2) C(6,1) + C(4,3)) / C(10,3) = 40 / 120 */
    assert_true(fabs(exp(ft_ss_ln_hypergeometric_tail(10, 4, 3, 2)) - 1.0 / 3.0) < 1e-12);
    assert_true(ft_ss_ln_hypergeometric_tail(10, 4, 3, 4) == -INFINITY);
    assert_true(ft_ss_ln_hypergeometric_tail(10, 4, 3, 0) == 0.0);
    assert_true(ft_ss_ln_hypergeometric_tail(10, 8, 5, 3) ==
                0.0); /* five drawn hit at least three of eight bad */
    /* four coins, at least three heads: 5 / 16 */
    assert_true(fabs(exp(ft_ss_ln_binomial_tail(4, half, 3)) - 5.0 / 16.0) < 1e-12);
    assert_true(ft_ss_ln_binomial_tail(4, half, 5) == -INFINITY);
    assert_true(ft_ss_ln_binomial_tail(4, 0, 1) == -INFINITY);
    /* m = 4, p = 1/2: 4 / 8 + 6 / 16 */
    assert_true(fabs(exp(ft_ss_ln_disconnected(4, half)) - 0.875) < 1e-12);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graph_table_is_reproduced),
        cmocka_unit_test(classical_table_is_reproduced),
        cmocka_unit_test(clients_accept_what_the_aggregator_chose),
        cmocka_unit_test(clients_refuse_each_weakened_parameter),
        cmocka_unit_test(cohorts_outside_the_limits_are_refused),
        cmocka_unit_test(the_graph_profile_needs_a_large_cohort),
        cmocka_unit_test(a_cohort_whose_p4_sum_is_empty_gets_no_graph),
        cmocka_unit_test(tails_agree_with_hand_computed_ones),
    };
    return cmocka_run_group_tests(tests, support_setup, NULL);
}
