#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/audit/audit.h"
#include "aggregator/simulate/audit/federation.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static struct ft_audit_wish
wish_of(double noise)
{
    return (struct ft_audit_wish){ .shops = 13,
                                   .dropouts = 2,
                                   .corrupted = 2,
                                   .noise = noise,
                                   .delta = 1e-5,
                                   .q = 1,
                                   .rounds = 1,
                                   .canaries = 4000,
                                   .significance = 0.05,
                                   .seed = 1 };
}

static struct ft_audit_floor
floor_of(const struct ft_audit_wish *wish)
{
    struct ft_audit_floor out;
    struct ft_error err = { 0 };
    if (ft_audit_noise_floor(wish, &out, &err) != FT_OK)
        fail_msg("%s", err.text);
    return out;
}

static struct ft_audit_canaries
canaries_of(const struct ft_audit_wish *wish)
{
    struct ft_audit_canaries out;
    struct ft_error err = { 0 };
    if (ft_audit_run_canaries(wish, &out, &err) != FT_OK)
        fail_msg("%s", err.text);
    return out;
}

/* With the fewest shares that a sum may have, the decoded integers are as spread as the noise that is
 * credited. */
static void
the_fewest_survivors_carry_the_noise_that_is_credited(void **state)
{
    struct ft_audit_wish wish = wish_of(1);
    (void)state;
    for (int rotated = 0; rotated < 2; rotated++) {
        wish.rotated = rotated != 0;
        const struct ft_audit_floor f = floor_of(&wish);
        assert_true(f.pass);
        assert_true(f.integers >= 20000);
        assert_int_equal(f.claim.t_min, 8);
        assert_int_equal(f.claim.survivors, 11);
        assert_true(f.variance > f.least && f.variance < f.most);
    }
}

/* The reference figure of the specification: one round without sampling at noise multiplier 1 shows 1.95 +-
 * 0.2 of an epsilon of 4.38. */
static void
canaries_show_what_a_correct_build_shows(void **state)
{
    const struct ft_audit_wish wish = wish_of(1);
    const struct ft_audit_canaries c = canaries_of(&wish);
    (void)state;
    assert_true(c.pass);
    assert_true(fabs(c.claim.epsilon - 4.38) < 0.01);
    assert_true(fabs(c.lower - 1.95) <= 0.2);
}

/* A sampled task over several rounds, with rotation: the bound that the sums show stays below the stated one.
 */
static void
canaries_hold_with_sampling_rounds_and_rotation(void **state)
{
    struct ft_audit_wish wish = wish_of(1.5);
    (void)state;
    wish.q = 0.1;
    wish.rounds = 10;
    wish.canaries = 1000;
    wish.rotated = true;
    const struct ft_audit_canaries c = canaries_of(&wish);
    assert_true(c.pass);
    assert_int_equal(c.guesses, 33);
}

/* The attack on a released model finds no more members than (epsilon, delta) allows, and it is a real attack:
 * with hardly any noise it knows members from others. */
static void
membership_stays_within_what_is_stated(void **state)
{
    struct ft_audit_wish wish = wish_of(0);
    struct ft_audit_membership m;
    struct ft_error err = { 0 };
    (void)state;
    wish.epsilon = 1;
    assert_int_equal(ft_audit_run_membership(&wish, &m, &err), FT_OK);
    assert_true(m.pass && m.claim.epsilon <= 1 && m.allowed < 0.05);
    assert_true(fabs(m.auc - 0.5) < 0.12);
    wish.epsilon = 90;
    assert_int_equal(ft_audit_run_membership(&wish, &m, &err), FT_OK);
    assert_true(m.auc > 0.65);
}

/* The same seed gives the same audit. */
static void
a_seed_repeats_an_audit(void **state)
{
    struct ft_audit_wish wish = wish_of(1);
    (void)state;
    wish.canaries = 200;
    const struct ft_audit_canaries a = canaries_of(&wish), b = canaries_of(&wish);
    assert_memory_equal(&a, &b, sizeof a);
    wish.seed = 2;
    assert_int_not_equal(canaries_of(&wish).included, a.included);
}

/* Tails of the binomial law and quantiles of chi-square are those of the tables. */
static void
laws_are_those_of_the_tables(void **state)
{
    (void)state;
    assert_true(fabs(audit_binomial_tail(10, 0.5, 8) - 56.0 / 1024) < 1e-12);
    assert_true(audit_binomial_tail(10, 0.5, 0) == 1 && audit_binomial_tail(10, 0.5, 11) == 0);
    assert_true(fabs(audit_binomial_tail(10, 0.5, audit_least_rate(10, 10, 1) > 0 ? 10 : 11) - 1.0 / 1024) <
                1e-12);
    assert_true(fabs(audit_least_rate(20, 5, 0.025) - 0.0866) < 1e-4); /* Clopper and Pearson */
    assert_true(audit_least_rate(20, 0, 0.025) == 0);
    assert_true(fabs(100 * audit_chi_square(100, 1.644854) - 124.342) < 0.01);
    assert_true(fabs(100 * audit_chi_square(100, -1.644854) - 77.929) < 0.01);
}

#ifdef FT_PLANTED
/* One shop of the fewest leaves its noise out: the floor test finds it, though the canaries can't. */
static void
noise_left_out_in_one_shop_is_found(void **state)
{
    struct ft_audit_wish wish = wish_of(1);
    (void)state;
    wish.plant = FT_PLANT_NOISE_LEFT_OUT;
    wish.plant_shops = 1;
    const struct ft_audit_floor f = floor_of(&wish);
    assert_false(f.pass);
    assert_true(f.variance < f.least);
}

/* All but one leave it out: what the sums show refutes the claim. */
static void
noise_of_one_share_refutes_the_claim(void **state)
{
    struct ft_audit_wish wish = wish_of(1.5);
    (void)state;
    wish.plant = FT_PLANT_NOISE_LEFT_OUT;
    wish.plant_shops = 7;
    const struct ft_audit_canaries c = canaries_of(&wish);
    assert_false(c.pass);
    assert_true(c.lower > c.claim.epsilon);
}

/* Vectors that nobody scales down or measures stand out of any noise. */
static void
a_clip_that_is_off_is_found(void **state)
{
    struct ft_audit_wish wish = wish_of(4);
    (void)state;
    wish.plant = FT_PLANT_CLIP_OFF;
    wish.plant_shops = wish.shops;
    assert_false(canaries_of(&wish).pass);
}

/* Noise that comes again in the next round can be taken away: the difference of two rounds shows it, in one
 * shop too. */
static void
noise_that_is_used_again_is_found(void **state)
{
    struct ft_audit_wish wish = wish_of(1);
    (void)state;
    wish.plant = FT_PLANT_NOISE_REUSED;
    for (uint32_t shops = 1; shops <= 13; shops += 12) {
        wish.plant_shops = shops;
        const struct ft_audit_floor f = floor_of(&wish);
        assert_false(f.pass);
    }
}

/* A sample drawn once and kept has those in it in every round: the claim, which rests on new draws, is
 * refuted. */
static void
a_sample_that_is_not_fresh_is_found(void **state)
{
    struct ft_audit_wish wish = wish_of(1.6);
    (void)state;
    wish.q = 0.05;
    wish.rounds = 60;
    wish.canaries = 2000;
    wish.plant = FT_PLANT_SAMPLE_KEPT;
    wish.plant_shops = wish.shops;
    const struct ft_audit_canaries c = canaries_of(&wish);
    assert_false(c.pass);
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fewest_survivors_carry_the_noise_that_is_credited),
        cmocka_unit_test(canaries_show_what_a_correct_build_shows),
        cmocka_unit_test(canaries_hold_with_sampling_rounds_and_rotation),
        cmocka_unit_test(membership_stays_within_what_is_stated),
        cmocka_unit_test(a_seed_repeats_an_audit),
        cmocka_unit_test(laws_are_those_of_the_tables),
#ifdef FT_PLANTED
        cmocka_unit_test(noise_left_out_in_one_shop_is_found),
        cmocka_unit_test(noise_of_one_share_refutes_the_claim),
        cmocka_unit_test(a_clip_that_is_off_is_found),
        cmocka_unit_test(noise_that_is_used_again_is_found),
        cmocka_unit_test(a_sample_that_is_not_fresh_is_found),
#endif
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
