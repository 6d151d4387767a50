#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/secure_sum/prg.h"
#include "tests/unit/secure_sum/secure_sum_support.h"

#define WORDS (3 * FT_SS_CHUNK_WORDS + 101)

static void
draw(const struct ft_env *env, void *out, size_t size)
{
    env->random(env->ctx, out, size);
}

/* Run `check` with every backend of every suite against the plain one of that suite. */
static void
each_backend(void (*check)(struct ft_ss_prg *tested, struct ft_ss_prg *plain))
{
    for (uint16_t suite = 1; suite <= 2; suite++)
        for (int b = 0; b < FT_SS_BACKEND_COUNT; b++) {
            struct ft_ss_prg *tested, *plain;
            if (!ft_ss_backend_available(suite, (enum ft_ss_backend)b)) {
                assert_int_equal(ft_ss_prg_open(suite, (enum ft_ss_backend)b, &tested), FT_ERR_ARGUMENT);
                assert_null(tested);
                continue;
            }
            assert_int_equal(ft_ss_prg_open(suite, (enum ft_ss_backend)b, &tested), FT_OK);
            assert_int_equal(ft_ss_prg_open(suite, FT_SS_BACKEND_PLAIN, &plain), FT_OK);
            check(tested, plain);
            ft_ss_prg_close(tested);
            ft_ss_prg_close(plain);
        }
}

/* One call over several chunks, ragged at both ends, added and taken away. */
static void
compare_whole(struct ft_ss_prg *tested, struct ft_ss_prg *plain)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 1);
    uint64_t *a = ft_calloc(WORDS, sizeof *a), *b = ft_calloc(WORDS, sizeof *b);
    uint8_t seed[32];
    assert_non_null(a);
    assert_non_null(b);
    draw(env, seed, sizeof seed);
    draw(env, a, WORDS * sizeof *a);
    memcpy(b, a, WORDS * sizeof *a);
    assert_int_equal(ft_ss_prg_apply(tested, seed, false, a, 8191, WORDS), FT_OK);
    assert_int_equal(ft_ss_prg_apply(plain, seed, false, b, 8191, WORDS), FT_OK);
    assert_memory_equal(a, b, WORDS * sizeof *a);
    assert_int_equal(ft_ss_prg_words(tested, seed, b, 8191, WORDS), FT_OK);
    assert_int_equal(ft_ss_prg_apply(tested, seed, true, a, 8191, WORDS), FT_OK);
    assert_int_equal(ft_ss_prg_apply(plain, seed, false, a, 8191, WORDS), FT_OK);
    for (size_t i = 0; i < WORDS; i++)
        a[i] -= b[i];
    draw(seeded(&e, 1), seed, sizeof seed);
    draw(&e.env, b, WORDS * sizeof *b);
    assert_memory_equal(a, b, WORDS * sizeof *a); /* back at the start */
    ft_free(a);
    ft_free(b);
}

static void
every_backend_gives_the_words_of_the_plain_one(void **state)
{
    (void)state;
    each_backend(compare_whole);
}

/* Any range equals the same range of a whole expansion: seekable at every word. */
static void
compare_ranges(struct ft_ss_prg *tested, struct ft_ss_prg *plain)
{
    static uint64_t whole[2 * FT_SS_CHUNK_WORDS], part[2 * FT_SS_CHUNK_WORDS + 1];
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 2);
    uint8_t seed[32];
    draw(env, seed, sizeof seed);
    assert_int_equal(ft_ss_prg_words(plain, seed, whole, 5 * FT_SS_CHUNK_WORDS, 2 * FT_SS_CHUNK_WORDS),
                     FT_OK);
    for (int i = 0; i < 300; i++) {
        const size_t from = ft_random_below(env, i < 150 ? 40 : 2 * FT_SS_CHUNK_WORDS);
        const size_t most = 2 * FT_SS_CHUNK_WORDS - from;
        const size_t count = ft_random_below(env, (i % 2 == 0 && most > 70 ? 70 : most) + 1);
        part[count] = 0xAAAAAAAAAAAAAAAAu; /* nothing is written behind the range */
        assert_int_equal(ft_ss_prg_words(tested, seed, part, 5 * FT_SS_CHUNK_WORDS + from, count), FT_OK);
        assert_memory_equal(part, whole + from, count * 8);
        assert_true(part[count] == 0xAAAAAAAAAAAAAAAAu);
    }
}

static void
every_range_equals_that_part_of_the_whole(void **state)
{
    (void)state;
    each_backend(compare_ranges);
}

/* A chunk number above 2^32 reaches the nonce whole. */
static void
compare_far(struct ft_ss_prg *tested, struct ft_ss_prg *plain)
{
    const uint8_t seed[32] = { 9 };
    uint64_t a[40], b[40], near[40];
    const uint64_t far = ((uint64_t)5 << 33) * FT_SS_CHUNK_WORDS;
    assert_int_equal(ft_ss_prg_words(tested, seed, a, far + 7, 40), FT_OK);
    assert_int_equal(ft_ss_prg_words(plain, seed, b, far + 7, 40), FT_OK);
    assert_int_equal(ft_ss_prg_words(plain, seed, near, 7, 40), FT_OK);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, near, sizeof a);
}

static void
far_chunks_are_not_near_ones(void **state)
{
    (void)state;
    each_backend(compare_far);
}

/* Many masks, any number of threads, any start: the sum of the single applications. */
static void
masks_in_chunk_order_equal_masks_one_by_one(void **state)
{
    static const unsigned threads[] = { 0, 1, 2, 3, 5, 200 };
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 3);
    struct ft_ss_mask masks[9];
    uint64_t *one = ft_calloc(WORDS, sizeof *one), *many = ft_calloc(WORDS, sizeof *many);
    (void)state;
    assert_non_null(one);
    assert_non_null(many);
    for (size_t i = 0; i < 9; i++) {
        draw(env, masks[i].seed, 32);
        masks[i].subtract = i % 3 == 0;
    }
    for (uint16_t suite = 1; suite <= 2; suite++) {
        struct ft_ss_prg *prg;
        assert_int_equal(ft_ss_prg_open(suite, FT_SS_BACKEND_CRYPTO, &prg), FT_OK);
        memset(one, 0, WORDS * sizeof *one);
        for (size_t i = 0; i < 9; i++)
            assert_int_equal(ft_ss_prg_apply(prg, masks[i].seed, masks[i].subtract, one, 77, WORDS), FT_OK);
        ft_ss_prg_close(prg);
        for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
            memset(many, 0, WORDS * sizeof *many);
            assert_int_equal(
                ft_ss_masks_apply(suite, FT_SS_BACKEND_BEST, masks, 9, many, 77, WORDS, threads[i]), FT_OK);
            assert_memory_equal(one, many, WORDS * sizeof *one);
        }
    }
    ft_free(one);
    ft_free(many);
}

/* An unknown suite is refused whatever else is asked, and nothing to do is done. */
static void
unknown_suites_are_refused_and_empty_work_is_fine(void **state)
{
    struct ft_ss_prg *prg;
    uint64_t acc[1] = { 5 };
    const struct ft_ss_mask mask = { .seed = { 1 } };
    (void)state;
    assert_false(ft_ss_suite_known(0));
    assert_false(ft_ss_suite_known(3));
    assert_int_equal(ft_ss_prg_open(3, FT_SS_BACKEND_BEST, &prg), FT_ERR_ARGUMENT);
    assert_int_equal(ft_ss_masks_apply(3, FT_SS_BACKEND_BEST, &mask, 1, acc, 0, 1, 1), FT_ERR_ARGUMENT);
    assert_int_equal(ft_ss_masks_apply(1, FT_SS_BACKEND_BEST, &mask, 0, acc, 0, 1, 1), FT_OK);
    assert_int_equal(ft_ss_masks_apply(1, FT_SS_BACKEND_BEST, &mask, 1, acc, 0, 0, 1), FT_OK);
    assert_int_equal(ft_ss_masks_apply(1, FT_SS_BACKEND_BEST, &mask, 1, acc, UINT64_MAX, 1, 1),
                     FT_ERR_ARGUMENT);
    assert_true(acc[0] == 5);
}

/* Fail each allocation in turn: a clean status and no leak. */
static void
masks_survive_any_failed_allocation(void **state)
{
    static uint64_t acc[2 * FT_SS_CHUNK_WORDS];
    const struct ft_ss_mask mask = { .seed = { 1 } };
    const size_t live = ft_alloc_live();
    enum ft_status st;
    int failures = 0;
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        ft_alloc_fail_at(nth, false);
        st = ft_ss_masks_apply(1, FT_SS_BACKEND_BEST, &mask, 1, acc, 0, 2 * FT_SS_CHUNK_WORDS, 2);
        assert_int_equal(ft_alloc_live(), live);
        if (!ft_alloc_fault_fired())
            break;
        assert_int_equal(st, FT_ERR_NOMEM);
        failures++;
    }
    ft_alloc_fail_at(0, false);
    assert_int_equal(st, FT_OK);
    assert_true(failures >= 1);
}

/* A masked constant is uniform: each bit of its words is set half the time, to within five deviations. */
static void
a_masked_constant_is_uniform(void **state)
{
    static uint64_t acc[65536];
    int set[64] = { 0 };
    (void)state;
    for (uint16_t suite = 1; suite <= 2; suite++) {
        const struct ft_ss_mask mask = { .seed = { 42, (uint8_t)suite }, .subtract = suite == 2 };
        memset(set, 0, sizeof set);
        for (size_t i = 0; i < 65536; i++)
            acc[i] = 0x0000000700000007u;
        assert_int_equal(ft_ss_masks_apply(suite, FT_SS_BACKEND_BEST, &mask, 1, acc, 0, 65536, 1), FT_OK);
        for (size_t i = 0; i < 65536; i++)
            for (int b = 0; b < 64; b++)
                set[b] += (int)(acc[i] >> b & 1);
        for (int b = 0; b < 64; b++)
            assert_in_range(set[b], 32768 - 640, 32768 + 640); /* deviation 128 */
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_backend_gives_the_words_of_the_plain_one),
        cmocka_unit_test(every_range_equals_that_part_of_the_whole),
        cmocka_unit_test(far_chunks_are_not_near_ones),
        cmocka_unit_test(masks_in_chunk_order_equal_masks_one_by_one),
        cmocka_unit_test(unknown_suites_are_refused_and_empty_work_is_fine),
        cmocka_unit_test(masks_survive_any_failed_allocation),
        cmocka_unit_test(a_masked_constant_is_uniform),
    };
    return cmocka_run_group_tests(tests, support_setup, NULL);
}
