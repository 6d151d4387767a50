/* The join tree and the bitmaps its ranks come from. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/secure_sum/bitmap.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/merkle.h"
#include "tests/unit/secure_sum/secure_sum_support.h"

/* The root as the specification words it, level by level. */
static void
plain_root(const uint8_t (*leaves)[32], uint32_t count, uint8_t root[32])
{
    static uint8_t level[64][32];
    memcpy(level, leaves, (size_t)count * 32);
    while (count > 1) {
        uint32_t up = 0;
        for (uint32_t i = 0; i < count; i += 2, up++)
            if (i + 1 < count)
                FT_SS_H(level[up], "node", FT_BYTES(level[i], 32), FT_BYTES(level[i + 1], 32));
            else
                memmove(level[up], level[i], 32);
        count = up;
    }
    memcpy(root, level[0], 32);
}

/* Every leaf of every tree up to 40 leaves leads to the root, and only at its own rank. */
static void
every_path_leads_to_the_root(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 70);
    uint8_t leaves[40][32], root[32], expected[32], path[FT_SS_MERKLE_DEPTH_MAX][32];
    (void)state;
    env->random(env->ctx, leaves, sizeof leaves);
    for (uint32_t n = 1; n <= 40; n++) {
        struct ft_ss_merkle tree;
        assert_int_equal(ft_ss_merkle_build((const uint8_t(*)[32])leaves, n, &tree), FT_OK);
        ft_ss_merkle_root(&tree, root);
        plain_root((const uint8_t(*)[32])leaves, n, expected);
        assert_memory_equal(root, expected, 32);
        for (uint32_t rank = 0; rank < n; rank++) {
            const uint32_t length = ft_ss_merkle_path(&tree, rank, path);
            const uint8_t(*p)[32] = (const uint8_t(*)[32])path;
            assert_int_equal(length, ft_ss_merkle_path_length(rank, n));
            assert_true(ft_ss_merkle_check(root, leaves[rank], rank, n, p, length));
            assert_false(ft_ss_merkle_check(root, leaves[rank], rank, n, p, length + 1));
            assert_false(ft_ss_merkle_check(root, leaves[rank], rank + n, n, p, length));
            if (n > 1) {
                assert_false(ft_ss_merkle_check(root, leaves[(rank + 1) % n], rank, n, p, length));
                assert_false(ft_ss_merkle_check(root, leaves[rank], (rank + 1) % n, n, p, length));
                assert_false(ft_ss_merkle_check(root, leaves[rank], rank, n, p, length - 1));
                path[length - 1][5] ^= 1;
                assert_false(ft_ss_merkle_check(root, leaves[rank], rank, n, p, length));
            }
        }
        ft_ss_merkle_clear(&tree);
    }
}

/* No leaves make no tree, and a tree of one is its leaf. */
static void
an_empty_tree_is_refused(void **state)
{
    struct ft_ss_merkle tree;
    uint8_t leaf[1][32] = { { 1 } };
    (void)state;
    assert_int_equal(ft_ss_merkle_build((const uint8_t(*)[32])leaf, 0, &tree), FT_ERR_ARGUMENT);
    assert_null(tree.nodes);
    assert_false(ft_ss_merkle_check(leaf[0], leaf[0], 0, 0, NULL, 0));
    assert_true(ft_ss_merkle_check(leaf[0], leaf[0], 0, 1, NULL, 0));
}

/* Count, rank, next and subset against a plain array of booleans. */
static void
bitmaps_agree_with_plain_sets(void **state)
{
    struct ft_env_seeded e;
    const struct ft_env *env = seeded(&e, 71);
    (void)state;
    for (uint32_t n = 1; n < 70; n++) {
        uint8_t map[9] = { 0 }, outer[9];
        bool in[70];
        uint32_t count = 0, id;
        for (uint32_t i = 0; i < n; i++) {
            in[i] = ft_random_below(env, 3) == 0;
            if (in[i])
                ft_ss_bitmap_add(map, i);
        }
        assert_true(ft_ss_bitmap_valid(FT_BYTES(map, ft_ss_bitmap_size(n)), n));
        id = ft_ss_bitmap_next(map, n, 0);
        for (uint32_t i = 0; i < n; i++) {
            assert_int_equal(ft_ss_bitmap_has(map, i), in[i]);
            assert_int_equal(ft_ss_bitmap_rank(map, i), count);
            if (in[i]) {
                assert_int_equal(id, i);
                id = ft_ss_bitmap_next(map, n, i + 1);
                count++;
            }
        }
        assert_int_equal(id, n);
        assert_int_equal(ft_ss_bitmap_count(map, n), count);
        memcpy(outer, map, sizeof outer);
        ft_ss_bitmap_add(outer, n - 1);
        assert_true(ft_ss_bitmap_subset(map, outer, n));
        assert_int_equal(ft_ss_bitmap_subset(outer, map, n), in[n - 1]);
        assert_int_equal(ft_ss_bitmap_equal(outer, map, n), in[n - 1]);
        ft_ss_bitmap_remove(outer, n - 1);
        assert_false(ft_ss_bitmap_has(outer, n - 1));
    }
}

/* A spare bit or a byte more or less makes a bitmap invalid: two spellings of one set would be two hashes. */
static void
bitmaps_with_spare_bits_are_refused(void **state)
{
    uint8_t map[3] = { 0xff, 0x0f, 0 };
    (void)state;
    assert_true(ft_ss_bitmap_valid(FT_BYTES(map, 2), 12));
    assert_false(ft_ss_bitmap_valid(FT_BYTES(map, 3), 12));
    assert_false(ft_ss_bitmap_valid(FT_BYTES(map, 1), 12));
    for (int bit = 4; bit < 8; bit++) {
        map[1] = (uint8_t)(0x0f | 1 << bit);
        assert_false(ft_ss_bitmap_valid(FT_BYTES(map, 2), 12));
    }
    assert_true(ft_ss_bitmap_valid(FT_BYTES(map, 2), 16));
    assert_true(ft_ss_bitmap_valid(FT_BYTES(map, 0), 0));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_leads_to_the_root),
        cmocka_unit_test(an_empty_tree_is_refused),
        cmocka_unit_test(bitmaps_agree_with_plain_sets),
        cmocka_unit_test(bitmaps_with_spare_bits_are_refused),
    };
    return cmocka_run_group_tests(tests, support_setup, NULL);
}
