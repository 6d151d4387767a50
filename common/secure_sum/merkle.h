/*
 * The join tree: leaves H("leaf"; u32(i), nu_i) of the cohort in ascending id, inner nodes H("node"; left,
 * right), an odd last node promoted. A path holds the siblings from the leaf up; levels where the node is
 * promoted have none, so the rank and the count fix its length. Source: specification section 6, R0.
 */
#ifndef FT_SECURE_SUM_MERKLE_H
#define FT_SECURE_SUM_MERKLE_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_SS_MERKLE_DEPTH_MAX 32

/* Owns all levels. */
struct ft_ss_merkle {
    uint8_t (*nodes)[32]; /* level after level, leaves first */
    uint32_t leaf_count;
};

/* Build over leaves (count, 32), count >= 1. Errors: ARGUMENT, NOMEM. */
FT_NODISCARD enum ft_status ft_ss_merkle_build(const uint8_t (*leaves)[32], uint32_t count,
                                               struct ft_ss_merkle *out);
void ft_ss_merkle_clear(struct ft_ss_merkle *tree);
void ft_ss_merkle_root(const struct ft_ss_merkle *tree, uint8_t root[32]);

/* Number of siblings on the path of the leaf at `rank` among `count`. */
uint32_t ft_ss_merkle_path_length(uint32_t rank, uint32_t count);
/* Write the path of `rank` (room for FT_SS_MERKLE_DEPTH_MAX nodes); returns its length. */
uint32_t ft_ss_merkle_path(const struct ft_ss_merkle *tree, uint32_t rank, uint8_t (*path)[32]);
/* Does this leaf at this rank among `count` lead to the root? A path of another length never does. */
FT_NODISCARD bool ft_ss_merkle_check(const uint8_t root[32], const uint8_t leaf[32], uint32_t rank,
                                     uint32_t count, const uint8_t (*path)[32], uint32_t path_length);

#endif
