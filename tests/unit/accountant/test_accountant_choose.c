#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/privacy/accountant/choose.h"
#include "tests/support/approx.h"

#include <math.h>
#include <string.h>

/* The specification's example: 40 shops, 6 may drop out, 6 may be corrupted. */
static const struct ft_choose_wish example = {
    .q_num = UINT64_C(1) << 25, .steps = 1000, .m_stores = 1, .delta = 1e-6, .epsilon = 2, .method = FT_ACCOUNT_RDP,
    .shops = 40, .dropouts = 6, .corrupted = 6, .n_pub = 100000, .dim = 20001, .adaptive = true,
};

/* Every figure of the example follows. */
static void
the_worked_example_follows(void **state)
{
    struct ft_choose_answer a;
    (void)state;
    assert_int_equal(ft_choose(&example, &a, NULL), FT_OK);
    assert_approx(a.z, 1.00022746, 1e-8);
    assert_int_equal(a.t_min, 28);
    assert_int_equal(a.scale, 4096);
    assert_int_equal(a.lambda, 256);
    assert_int_equal(a.delta_int_sq, 16851920);
    assert_int_equal(a.sigma_share, 776);
    assert_approx(a.z_eff, 1.00026711, 1e-8);
    assert_approx(a.cost.rdp, 1.99967, 5e-6);
    assert_int_equal(a.cost.rdp_order, 9);
    assert_approx(a.cost.pld, 1.63822, 3e-5);
    assert_int_equal(a.lane_bits, 32);
    assert_true(a.quant_max == 53686017);
    assert_true(a.quant_need < a.quant_max);
    assert_approx(a.mean_noise_low, 0.00128, 5e-6);
    assert_approx(a.mean_noise_high, 0.00153, 5e-6);
}

/* PLD needs less noise for the same epsilon; a share as it stands tells its epsilon; a noise is taken as it is. */
static void
each_way_of_asking_agrees(void **state)
{
    struct ft_choose_wish w = example;
    struct ft_choose_answer a, b;
    (void)state;
    w.method = FT_ACCOUNT_PLD;
    assert_int_equal(ft_choose(&w, &a, NULL), FT_OK);
    assert_true(a.z < 0.95 && a.cost.pld <= 2 && a.cost.rdp > 2);
    w = example;
    w.epsilon = 0;
    w.sigma_share = 776;
    assert_int_equal(ft_choose(&w, &b, NULL), FT_OK);
    assert_approx(b.z_eff, 1.00026711, 1e-8);
    assert_approx(b.cost.rdp, 1.99967, 5e-6);
    w.sigma_share = 0;
    w.z = 1;
    w.shops = 0;
    assert_int_equal(ft_choose(&w, &b, NULL), FT_OK);
    assert_approx(b.cost.rdp, 2.00193092, 1e-7);
    assert_int_equal(b.sigma_share, 0);
}

/* A large cohort and clip need wider lanes, and are given them unless a width was fixed. */
static void
lanes_widen_where_a_sum_needs_it(void **state)
{
    struct ft_choose_wish w = example;
    struct ft_choose_answer a;
    (void)state;
    w.dim = 1 << 20;
    w.n_pub = 100000;
    w.largest = 20000;
    w.cap = 4096;
    assert_int_equal(ft_choose(&w, &a, NULL), FT_OK);
    assert_int_equal(a.lane_bits, 64);
    assert_true(a.bits_needed > 32 && a.quant_max >= a.quant_need);
    w.lane_bits = 32;
    assert_int_equal(ft_choose(&w, &a, NULL), FT_OK);
    assert_int_equal(a.lane_bits, 32);
    assert_true(a.quant_max < a.quant_need);
}

/* What cannot be is refused with the field and its bound. */
static void
a_wish_that_cannot_be_is_refused_with_the_numbers(void **state)
{
    struct {
        struct ft_choose_wish w;
        const char *says;
    } cases[14];
    (void)state;
    for (size_t i = 0; i < 14; i++)
        cases[i].w = example;
    cases[0].w.q_num = 0, cases[0].says = "q is 0";
    cases[1].w.steps = 0, cases[1].says = "0 rounds";
    cases[2].w.m_stores = 65, cases[2].says = "65 shops of one customer";
    cases[3].w.delta = 1e-2, cases[3].says = "delta is 0.01";
    cases[4].w.delta = 2e-6, cases[4].says = "at most 1/(10 n_pub) = 1e-06";
    cases[5].w.z = 1, cases[5].says = "one of epsilon";
    cases[6].w.epsilon = NAN, cases[6].says = "epsilon is";
    cases[7].w.epsilon = 0, cases[7].w.z = 0.2, cases[7].says = "noise multiplier is 0.2";
    cases[8].w.dropouts = 34, cases[8].says = "leave no share";
    cases[9].w.corrupted = 0, cases[9].says = "knows its own share";
    cases[10].w.dim = 0, cases[10].says = "dim is 0";
    cases[11].w.cap = 39, cases[11].says = "fewer than the 40 shops";
    cases[12].w.epsilon = 1e-3, cases[12].w.steps = UINT64_C(1) << 32, cases[12].says = "no noise multiplier";
    cases[13].w.epsilon = 0, cases[13].w.sigma_share = 100, cases[13].says = "make a noise multiplier";
    for (size_t i = 0; i < 14; i++) {
        struct ft_choose_answer a;
        struct ft_error err = { 0 };
        assert_int_equal(ft_choose(&cases[i].w, &a, &err), FT_ERR_LIMIT);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].says);
    }
}

/* Without sampling the answer is the closed form, at once; PLD on its grid agrees to within what it may be high by. */
static void
cost_without_sampling_is_the_closed_form(void **state)
{
    const struct ft_account_event events[2] = { { 1, 15, 34, 4 }, { 1, 20, 10, 1 } };
    struct ft_account_cost one, both;
    struct ft_pld_answer pld;
    double exact;

    (void)state;
    assert_int_equal(ft_account_cost(events, 1, 1e-5, &one), FT_OK);
    assert_int_equal(ft_gauss_epsilon(15.0 / 4, 34, 1e-5, &exact), FT_OK);
    assert_true(fabs(one.pld - exact) < 1e-8);
    assert_int_equal(ft_account_cost(events, 2, 1e-5, &both), FT_OK);
    assert_int_equal(ft_pld_epsilon(events, 2, 1e-5, &pld), FT_OK);
    assert_true(both.pld > one.pld && both.pld < both.rdp);
    assert_true(both.pld <= pld.worst + 1e-6 && both.pld > pld.worst - 0.05);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cost_without_sampling_is_the_closed_form),
        cmocka_unit_test(the_worked_example_follows),
        cmocka_unit_test(each_way_of_asking_agrees),
        cmocka_unit_test(lanes_widen_where_a_sum_needs_it),
        cmocka_unit_test(a_wish_that_cannot_be_is_refused_with_the_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
