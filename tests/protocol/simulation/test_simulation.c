/*
 * Harness 1: seeds of the deterministic simulation. Usage: test_simulation [--seed N | --seeds FIRST COUNT | --plants | --plant BUG SEED]
 * A failure prints the seed and the one command that replays it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim.h"
#include "common/base/log.h"
#include "common/base/plant.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS       200
#define PLANT_SEEDS 1000

static void
print_report(uint64_t seed, const struct sim_report *r)
{
    char hex[65];
    printf("seed %llu: %s; %llu events, %llu commits, %llu abandoned, %llu restarts, trace %.16s\n",
           (unsigned long long)seed, r->ok ? "ok" : r->violation, (unsigned long long)r->events,
           (unsigned long long)r->commits, (unsigned long long)r->abandoned, (unsigned long long)r->restarts,
           ft_hex(hex, r->trace, 32));
    if (!r->ok)
        printf("  again: build/<preset>/tests/test_simulation --seed %llu\n", (unsigned long long)seed);
}

/* Under every mix of faults each revealed sum is right, nothing is lost or repeated, and healed federations finish. */
static void
two_hundred_seeds_keep_every_invariant(void **state)
{
    uint64_t met[SIM_FAULT_COUNT] = { 0 }, abandoned = 0;
    unsigned failed = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim_report r;
        sim_run(seed, &r);
        if (!r.ok) {
            print_report(seed, &r);
            failed++;
        }
        for (size_t i = 0; i < SIM_FAULT_COUNT; i++)
            met[i] += r.faults[i];
        abandoned += r.abandoned;
    }
    assert_int_equal(failed, 0);
    for (size_t i = 0; i < SIM_FAULT_COUNT; i++)
        if (met[i] == 0)
            fail_msg("no seed met the fault %s", sim_fault_name((enum sim_fault)i));
    assert_true(abandoned > 0);
}

/* The same seed gives the same run, byte for byte. */
static void
the_same_seed_gives_the_same_trace(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed <= SEEDS; seed += 10) {
        struct sim_report a, b;
        sim_run(seed, &a);
        sim_run(seed, &b);
        assert_memory_equal(a.trace, b.trace, sizeof a.trace);
        assert_true(a.events == b.events);
    }
}

#ifdef FT_PLANTED
/* The harness is tested too: each bug planted in the real code is found, and soon. */
static void
every_planted_bug_is_found(void **state)
{
    static const char *const texts[] = {
#define X(name, text) text,
        FT_PLANTS(X)
#undef X
    };
    unsigned missed = 0;
    (void)state;
    for (int bug = FT_PLANT_NOTHING + 1; bug < FT_PLANT_COUNT; bug++) {
        struct sim_report r = { .ok = true };
        uint64_t seed = 0;
        ft_planted = (enum ft_plant)bug;
        while (r.ok && seed < PLANT_SEEDS)
            sim_run(++seed, &r);
        ft_planted = FT_PLANT_NOTHING;
        if (r.ok)
            missed++;
        fflush(stdout);
        printf("%s: %s after %llu seeds%s%s\n", texts[bug], r.ok ? "MISSED" : "found", (unsigned long long)seed,
               r.ok ? "" : ": ", r.violation);
    }
    assert_int_equal(missed, 0);
}
#endif

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_seeds_keep_every_invariant),
        cmocka_unit_test(the_same_seed_gives_the_same_trace),
#ifdef FT_PLANTED
        cmocka_unit_test(every_planted_bug_is_found),
#endif
    };
    if (sodium_init() < 0)
        return 70;
    if (argc == 3 && strcmp(argv[1], "--seed") == 0) {
        struct sim_report r;
        sim_run(strtoull(argv[2], NULL, 10), &r);
        print_report(strtoull(argv[2], NULL, 10), &r);
        return r.ok ? 0 : 1;
    }
    ft_log_open("simulation", FT_LOG_ERROR + 1, 2);
#ifdef FT_PLANTED
    if (argc == 4 && strcmp(argv[1], "--plant") == 0) {
        struct sim_report r;
        ft_planted = (enum ft_plant)atoi(argv[2]);
        sim_run(strtoull(argv[3], NULL, 10), &r);
        print_report(strtoull(argv[3], NULL, 10), &r);
        return r.ok ? 0 : 1;
    }
    if (argc == 2 && strcmp(argv[1], "--plants") == 0) {
        const struct CMUnitTest plants[] = { cmocka_unit_test(every_planted_bug_is_found) };
        return cmocka_run_group_tests(plants, NULL, NULL);
    }
#endif
    if (argc == 4 && strcmp(argv[1], "--seeds") == 0) {
        const uint64_t first = strtoull(argv[2], NULL, 10), count = strtoull(argv[3], NULL, 10);
        uint64_t failed = 0;
        for (uint64_t seed = first; seed < first + count; seed++) {
            struct sim_report r;
            sim_run(seed, &r);
            if (!r.ok)
                print_report(seed, &r);
            failed += !r.ok;
        }
        printf("%llu seeds, %llu failed\n", (unsigned long long)count, (unsigned long long)failed);
        return failed == 0 ? 0 : 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
