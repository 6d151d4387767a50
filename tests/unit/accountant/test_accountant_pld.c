#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/privacy/accountant/accountant_internal.h"
#include "tests/support/approx.h"

#include <math.h>
#include <stdlib.h>

/* The transform is that of the definition, and its inverse takes it back. */
static void
the_transform_convolves(void **state)
{
    (void)state;
    for (unsigned log2 = 0; log2 <= 9; log2++) {
        const size_t n = (size_t)1 << log2;
        struct ft_fft *f = ft_fft_new(log2);
        struct ft_complex *a = ft_calloc(n, sizeof *a), *b = ft_calloc(n, sizeof *b);
        double *pa = ft_calloc(n, sizeof *pa), *pb = ft_calloc(n, sizeof *pb);
        assert_true(f != NULL && a != NULL && b != NULL && pa != NULL && pb != NULL);
        for (size_t i = 0; i < n; i++) {
            a[i].re = pa[i] = sin(1.0 + (double)i);
            b[i].re = pb[i] = cos(2.5 * (double)i);
        }
        ft_fft_forward(f, a);
        ft_fft_forward(f, b);
        for (size_t i = 0; i < n; i++)
            a[i] = (struct ft_complex){ a[i].re * b[i].re - a[i].im * b[i].im, a[i].re * b[i].im + a[i].im * b[i].re };
        ft_fft_inverse(f, a);
        for (size_t k = 0; k < n; k++) {
            double sum = 0;
            for (size_t i = 0; i < n; i++)
                sum += pa[i] * pb[(k + n - i) % n];
            assert_approx(a[k].re / (double)n, sum, 1e-11);
            assert_approx(a[k].im / (double)n, 0, 1e-11);
        }
        ft_free(a);
        ft_free(b);
        ft_free(pa);
        ft_free(pb);
        ft_fft_free(f);
    }
}

/* A step's law on the grid is a probability law in both directions, and keeps the mass of the other hypothesis:
 * sum of mass e^-loss is at most 1. */
static void
a_law_on_the_grid_keeps_both_masses(void **state)
{
    static const struct ft_account_event events[] = {
        { 0.01, 1, 1, 1 }, { 1, 0.3, 1, 1 }, { 1e-4, 0.5, 1, 1 }, { 0.5, 8, 1, 1 }, { 0.02, 1.5, 1, 3 }, { 1, 9, 1, 4 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct ft_pld_event e;
        const double step = 1e-3;
        assert_int_equal(ft_pld_event_make(&events[i], step, &e), FT_OK);
        for (int d = 0; d < 2; d++) {
            double mass = e.law[d].infinite, other = 0;
            for (size_t k = 0; k < e.law[d].count; k++) {
                assert_true(e.law[d].mass[k] >= 0);
                mass += e.law[d].mass[k];
                other += e.law[d].mass[k] * exp(-step * (double)(e.law[d].first + (int64_t)k));
            }
            assert_approx(mass, 1, 1e-12);
            assert_approx(other, 1, 1e-9);
        }
        ft_pld_event_clear(&e);
    }
}

/* Without sampling the exact answer is known: PLD is never below it, and at most 0.2 % above. */
static void
pld_bounds_the_exact_gaussian_from_above(void **state)
{
    static const struct {
        double z;
        uint64_t steps;
    } cases[] = { { 1, 1 }, { 0.5, 1 }, { 4, 1 }, { 10, 100 }, { 50, 1000 }, { 100, 10000 }, { 300, 1000000 } };
    static const double deltas[] = { 1e-3, 1e-6, 1e-9, 1e-12 };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t d = 0; d < 4; d++) {
            const struct ft_account_event e = { 1, cases[i].z, cases[i].steps, 1 };
            struct ft_pld_answer pld, delta;
            double exact, exact_delta;
            assert_int_equal(ft_gauss_epsilon(e.z, e.steps, deltas[d], &exact), FT_OK);
            assert_int_equal(ft_pld_epsilon(&e, 1, deltas[d], &pld), FT_OK);
            assert_true(pld.worst >= exact - 1e-9);
            assert_true(pld.worst <= exact * 1.002 + 1e-4);
            assert_approx(pld.remove, pld.add, 1e-3 * exact + 1e-4); /* the mechanism is symmetric */
            if (((i + d) & 1) != 0) /* the way back, at every case and every delta, not at every pair */
                continue;
            assert_int_equal(ft_gauss_delta(e.z, e.steps, exact, &exact_delta), FT_OK);
            assert_int_equal(ft_pld_delta(&e, 1, exact, &delta), FT_OK);
            assert_true(delta.worst >= exact_delta * (1 - 1e-6) && delta.worst <= exact_delta * 1.02);
        }
}

static double
upper(double x)
{
    return 0.5 * erfc(x * M_SQRT1_2);
}

/* One sampled step can be integrated by hand: P(l > e) - exp(e) Q(l > e), either way round. */
static void
one_sampled_step_is_what_the_integral_gives(void **state)
{
    static const double qs[] = { 0.001, 0.03, 0.5 }, zs[] = { 0.4, 1, 3 }, es[] = { 0.05, 0.3, 1 };
    (void)state;
    for (int i = 0; i < 27; i++) {
        const double q = qs[i % 3], z = zs[i / 3 % 3], e = es[i / 9];
        const struct ft_account_event event = { q, z, 1, 1 };
        struct ft_pld_answer delta;
        const double x = z * z * (log(expm1(e) + q) - log(q)) + 0.5; /* loss e is here */
        const double out = (1 - q) * upper(x / z) + q * upper((x - 1) / z) - exp(e) * upper(x / z);
        double in = 0;
        if (-e > log1p(-q)) {
            const double y = z * z * (log(expm1(-e) + q) - log(q)) + 0.5; /* and here -e */
            in = upper(-y / z) - exp(e) * ((1 - q) * upper(-y / z) + q * upper((1 - y) / z));
        }
        assert_int_equal(ft_pld_delta(&event, 1, e, &delta), FT_OK);
        assert_true(delta.remove >= out * (1 - 1e-7));
        assert_true(delta.remove <= out * 1.01 + 2e-12);
        assert_true(delta.add >= in * (1 - 1e-7) - 1e-16);
        assert_true(delta.add <= in * 1.01 + 2e-12);
    }
}

/* PLD is below RDP, by as much as the specification says, and never by more than is possible. */
static void
pld_lies_below_rdp(void **state)
{
    unsigned seed = 12345;
    (void)state;
    for (int i = 0; i < 24; i++) {
        double r[4];
        for (int k = 0; k < 4; k++) {
            seed = seed * 1103515245u + 12345u;
            r[k] = (double)(seed >> 8 & 0xffff) / 65536;
        }
        const struct ft_account_event e = { pow(10, -4 + 3.5 * r[0]), 0.5 + 3 * r[1], 1 + (uint64_t)pow(10, 3.5 * r[2]),
                                            1 + (uint32_t)(2 * r[3]) };
        struct ft_pld_answer pld;
        double rdp;
        assert_int_equal(ft_account_cost_rdp(&e, 1, 1e-6, &rdp, NULL), FT_OK);
        assert_int_equal(ft_pld_epsilon(&e, 1, 1e-6, &pld), FT_OK);
        assert_true(pld.worst <= rdp * 1.001 + 1e-3);
        struct ft_pld_answer delta; /* there and back */
        assert_int_equal(ft_pld_delta(&e, 1, pld.worst, &delta), FT_OK);
        assert_true(delta.worst <= 1.02e-6);
        assert_true(pld.worst < 1e-6 || delta.worst >= 0.97e-6);
    }
}

/* The noise that is found is enough, and hardly less would not be; by PLD it takes less than by RDP. */
static void
calibration_finds_the_least_noise(void **state)
{
    static const double targets[] = { 0.5, 2, 8 };
    (void)state;
    for (int i = 0; i < 3; i++)
        for (int method = FT_ACCOUNT_RDP; method <= FT_ACCOUNT_PLD; method++) {
            struct ft_account_event e = { 0.02, 0, 400, 1 };
            struct ft_account_cost cost;
            assert_int_equal(ft_account_noise(e.q, e.steps, 1, 1e-6, targets[i], (enum ft_account_method)method, &e.z),
                             FT_OK);
            assert_int_equal(ft_account_cost(&e, 1, 1e-6, &cost), FT_OK);
            assert_true((method == FT_ACCOUNT_RDP ? cost.rdp : cost.pld) <= targets[i]);
            e.z *= 0.9995;
            assert_int_equal(ft_account_cost(&e, 1, 1e-6, &cost), FT_OK);
            assert_true((method == FT_ACCOUNT_RDP ? cost.rdp : cost.pld) > targets[i]);
        }
    double z; /* so little is asked that the least noise allowed will do */
    assert_int_equal(ft_account_noise(1e-8, 1, 1, 1e-3, 5, FT_ACCOUNT_PLD, &z), FT_OK);
    assert_true(z == FT_PRIVACY_Z_MIN);
}

/* Extreme events: an upper bound that is a number, or a refusal; never an endless run or a NaN. */
static void
extreme_events_answer_or_refuse(void **state)
{
    static const struct ft_account_event events[] = {
        { 1, 0.3, 1, 1 },       { 1, 0.3, 1000, 1 },     { 1e-9, 1, 1000000, 1 }, { 1e-9, 0.3, 1, 1 },
        { 0.999, 0.3, 100, 1 }, { 0.01, 1e6, 1000, 1 },  { 0.01, 0.3, 10, 8 },    { 0.5, 1, UINT64_C(1) << 32, 1 },
        { 1, 1e6, 1, 1 },       { 1e-6, 1000, 1000, 1 }, { 0.2, 2, 50, 64 },      { 0.01, 1, UINT64_C(1) << 22, 1 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct ft_account_cost cost = { .pld = -1 };
        const enum ft_status st = ft_account_cost(&events[i], 1, 1e-6, &cost);
        assert_true(st == FT_OK || st == FT_ERR_NONFINITE);
        assert_true(st != FT_OK || (isfinite(cost.pld) && cost.pld >= 0 && cost.pld <= cost.rdp));
    }
}

/* Memory that runs out is told, and leaves nothing behind. */
static void
a_failed_allocation_leaves_nothing(void **state)
{
    const struct ft_account_event events[] = { { 0.01, 1.2, 8, 1 }, { 1, 20, 5, 1 } };
    const size_t live = ft_alloc_live();
    uint64_t nth = 1;
    (void)state;
    for (;; nth++) {
        struct ft_pld_answer pld;
        ft_alloc_fail_at(nth, false);
        const enum ft_status st = ft_pld_epsilon(events, 2, 1e-6, &pld);
        const bool fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        assert_int_equal(st, fired ? FT_ERR_NOMEM : FT_OK);
        assert_int_equal(ft_alloc_live(), live);
        if (!fired)
            break;
    }
    assert_true(nth > 6);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_transform_convolves),
        cmocka_unit_test(a_law_on_the_grid_keeps_both_masses),
        cmocka_unit_test(pld_bounds_the_exact_gaussian_from_above),
        cmocka_unit_test(one_sampled_step_is_what_the_integral_gives),
        cmocka_unit_test(pld_lies_below_rdp),
        cmocka_unit_test(calibration_finds_the_least_noise),
        cmocka_unit_test(extreme_events_answer_or_refuse),
        cmocka_unit_test(a_failed_allocation_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
