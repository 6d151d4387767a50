#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/privacy/accountant/accountant.h"
#include "tests/support/approx.h"

#include <math.h>

/* The orders are those of the specification, each once. */
static void
orders_are_2_to_256_and_five_more(void **state)
{
    static const uint16_t more[] = { 320, 384, 512, 768, 1024 };
    (void)state;
    for (uint16_t i = 0; i < 255; i++)
        assert_int_equal(ft_rdp_orders[i], i + 2);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ft_rdp_orders[255 + i], more[i]);
}

/* Outside their ranges noise, delta, q, shops, orders and NaN are refused, and the result is left alone. */
static void
what_has_no_answer_is_refused(void **state)
{
    static const struct ft_account_event bad[] = {
        { 0.01, 0.29, 10, 1 }, { 0.01, NAN, 10, 1 },      { 0.01, INFINITY, 10, 1 }, { 0.01, -1, 10, 1 },
        { 0, 1, 10, 1 },       { -0.1, 1, 10, 1 },        { 1.1, 1, 10, 1 },         { NAN, 1, 10, 1 },
        { 0.01, 1, 10, 0 },    { 0.01, 1, 10, 65 },       { 0.01, 1, UINT64_C(1) << 33, 1 },
    };
    static const double deltas[] = { 0, 1e-13, 2e-3, 1, -1e-6, NAN, INFINITY };
    const struct ft_account_event good = { 0.01, 1, 10, 1 };
    struct ft_account_cost cost = { .rdp = 77 };
    struct ft_pld_answer pld = { 77, 77, 77 };
    struct ft_rdp rdp;
    double v = 77;
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ft_account_cost(&bad[i], 1, 1e-6, &cost), FT_ERR_LIMIT);
        assert_int_equal(ft_rdp_at(&bad[i], 1, 8, &v), FT_ERR_LIMIT);
        assert_int_equal(ft_pld_epsilon(&bad[i], 1, 1e-6, &pld), FT_ERR_LIMIT);
    }
    for (size_t i = 0; i < sizeof deltas / sizeof deltas[0]; i++) {
        assert_int_equal(ft_account_cost(&good, 1, deltas[i], &cost), FT_ERR_LIMIT);
        assert_int_equal(ft_pld_epsilon(&good, 1, deltas[i], &pld), FT_ERR_LIMIT);
        assert_int_equal(ft_account_noise(0.01, 10, 1, deltas[i], 1, FT_ACCOUNT_RDP, &v), FT_ERR_LIMIT);
        assert_int_equal(ft_account_filter(1, deltas[i], 8, &v), FT_ERR_LIMIT);
        assert_int_equal(ft_zcdp_epsilon(0.1, deltas[i], &v), FT_ERR_LIMIT);
        assert_int_equal(ft_gauss_epsilon(1, 1, deltas[i], &v), FT_ERR_LIMIT);
    }
    assert_int_equal(ft_rdp_at(&good, 1, 1, &v), FT_ERR_LIMIT);
    assert_int_equal(ft_rdp_at(&good, 1, 1025, &v), FT_ERR_LIMIT);
    assert_int_equal(ft_pld_delta(&good, 1, -1, &pld), FT_ERR_LIMIT);
    assert_int_equal(ft_pld_delta(&good, 1, NAN, &pld), FT_ERR_LIMIT);
    assert_int_equal(ft_account_noise(0.01, 10, 1, 1e-6, 0, FT_ACCOUNT_RDP, &v), FT_ERR_LIMIT);
    assert_int_equal(ft_account_noise(0.01, 10, 1, 1e-6, NAN, FT_ACCOUNT_PLD, &v), FT_ERR_LIMIT);
    assert_int_equal(ft_account_noise(1, UINT64_C(1) << 32, 1, 1e-6, 1e-3, FT_ACCOUNT_RDP, &v), FT_ERR_LIMIT);
    assert_true(v == 77 && cost.rdp == 77 && pld.worst == 77);
    for (int i = 0; i < FT_RDP_ORDER_COUNT; i++)
        rdp.total[i] = NAN;
    assert_int_equal(ft_rdp_epsilon(&rdp, 1e-6, FT_RDP_CKS2020, &v, NULL), FT_ERR_NONFINITE);
    for (int i = 0; i < FT_RDP_ORDER_COUNT; i++)
        rdp.total[i] = INFINITY;
    assert_int_equal(ft_rdp_epsilon(&rdp, 1e-6, FT_RDP_CKS2020, &v, NULL), FT_ERR_NONFINITE);
    assert_true(v == 77);
}

/* No step costs nothing; steps add up, in whatever order and however split. */
static void
composition_adds_up(void **state)
{
    const struct ft_account_event none = { 0.01, 1, 0, 1 };
    const struct ft_account_event whole[] = { { 0.01, 1.2, 800, 1 }, { 1, 20, 50, 1 } };
    const struct ft_account_event parts[] = { { 1, 20, 20, 1 }, { 0.01, 1.2, 300, 1 }, { 0.01, 1.2, 500, 1 }, none,
                                              { 1, 20, 30, 1 } };
    struct ft_account_cost a, b;
    (void)state;
    assert_int_equal(ft_account_cost(&none, 1, 1e-6, &a), FT_OK);
    assert_true(a.rdp == 0 && a.pld == 0);
    assert_int_equal(ft_account_cost(NULL, 0, 1e-6, &a), FT_OK);
    assert_true(a.rdp == 0 && a.pld == 0);
    assert_int_equal(ft_account_cost(whole, 2, 1e-6, &a), FT_OK);
    assert_int_equal(ft_account_cost(parts, 5, 1e-6, &b), FT_OK);
    assert_approx(a.rdp, b.rdp, 1e-12);
    assert_approx(a.pld, b.pld, 1e-6);
    assert_true(a.pld < a.rdp && a.pld > 0.9 * a.rdp);
}

/* More noise costs less; more steps, customers, shops and a smaller delta cost more. */
static void
cost_moves_the_right_way(void **state)
{
    const struct ft_account_event base = { 0.01, 1, 1000, 1 };
    struct ft_account_event other = base;
    struct ft_account_cost here, there;
    (void)state;
    assert_int_equal(ft_account_cost(&base, 1, 1e-6, &here), FT_OK);
    other.z = 1.1;
    assert_int_equal(ft_account_cost(&other, 1, 1e-6, &there), FT_OK);
    assert_true(there.rdp < here.rdp && there.pld < here.pld);
    for (int i = 0; i < 4; i++) {
        other = base;
        other.q = i == 0 ? 0.011 : base.q;
        other.steps = i == 1 ? 1100 : base.steps;
        other.m = i == 2 ? 2 : base.m;
        assert_int_equal(ft_account_cost(&other, 1, i == 3 ? 1e-7 : 1e-6, &there), FT_OK);
        assert_true(there.rdp > here.rdp && there.pld > here.pld);
    }
}

/* Without sampling m shops are one Gaussian moved by m; with it the mixture of one shop is the sampled Gaussian. */
static void
several_shops_agree_with_what_is_known(void **state)
{
    double many, one;
    (void)state;
    assert_int_equal(ft_rdp_step(1, 6, 3, 8, &many), FT_OK);
    assert_int_equal(ft_rdp_step(1, 2, 1, 8, &one), FT_OK);
    assert_approx(many, one, 1e-14);
    /* for whole orders E[r^a] of Binomial(2, q) at order 2 is sum w_i w_j e^(ij/z^2) */
    const double q = 0.1, z = 1.3, w[3] = { 0.81, 0.18, 0.01 };
    double sum = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            sum += w[i] * w[j] * exp(i * j / (z * z));
    assert_int_equal(ft_rdp_step(q, z, 2, 2, &many), FT_OK);
    assert_approx(many, log(sum), 1e-13);
    assert_int_equal(ft_rdp_step(q, z, 1, 2, &one), FT_OK);
    assert_approx(one, log1p(q * q * expm1(1 / (z * z))), 1e-14);
}

/* A Renyi filter stops where the conversion reaches epsilon, and its order is a good one for that epsilon. */
static void
a_filter_is_the_conversion_turned_round(void **state)
{
    (void)state;
    for (uint32_t order = 2; order <= 64; order *= 2) {
        double budget;
        struct ft_rdp rdp;
        double epsilon;
        assert_int_equal(ft_account_filter(8, 1e-6, order, &budget), FT_OK);
        for (int i = 0; i < FT_RDP_ORDER_COUNT; i++)
            rdp.total[i] = ft_rdp_orders[i] == order ? budget : INFINITY;
        uint32_t at = 0;
        if (budget < 0)
            continue;
        assert_int_equal(ft_rdp_epsilon(&rdp, 1e-6, FT_RDP_CKS2020, &epsilon, &at), FT_OK);
        assert_approx(epsilon, 8, 1e-12);
        assert_int_equal(at, order);
    }
    assert_true(ft_account_filter_order(8, 1e-6) >= 3 && ft_account_filter_order(8, 1e-6) <= 8);
    assert_true(ft_account_filter_order(1, 1e-6) >= 16);
}

/* An event may be as extreme as its ranges allow: there is an answer that is an upper bound, or a refusal. */
static void
extreme_events_answer_or_refuse(void **state)
{
    static const double qs[] = { 1e-9, 1e-4, 0.3, 0.999, 1 }, zs[] = { 0.3, 1, 1e6 };
    static const uint64_t steps[] = { 1, 1000, UINT64_C(1) << 32 };
    static const uint32_t ms[] = { 1, 3 };
    (void)state;
    for (size_t q = 0; q < 5; q++)
        for (size_t z = 0; z < 3; z++)
            for (size_t t = 0; t < 3; t++)
                for (size_t m = 0; m < 2; m++) {
                    const struct ft_account_event e = { qs[q], zs[z], steps[t], ms[m] };
                    double epsilon = -1;
                    const enum ft_status st = ft_account_cost_rdp(&e, 1, 1e-6, &epsilon, NULL);
                    assert_true(st == FT_OK || st == FT_ERR_NONFINITE);
                    assert_true(st == FT_OK ? isfinite(epsilon) && epsilon >= 0 : epsilon == -1);
                }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_2_to_256_and_five_more),
        cmocka_unit_test(what_has_no_answer_is_refused),
        cmocka_unit_test(composition_adds_up),
        cmocka_unit_test(cost_moves_the_right_way),
        cmocka_unit_test(several_shops_agree_with_what_is_known),
        cmocka_unit_test(a_filter_is_the_conversion_turned_round),
        cmocka_unit_test(extreme_events_answer_or_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
