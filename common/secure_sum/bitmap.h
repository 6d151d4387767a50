/*
 * Sets of client ids as bitmaps: id i at bit i mod 8 (least significant first) of byte i / 8, spare bits
 * zero. `universe` is N, the roster's size. A bitmap from outside goes through ft_ss_bitmap_valid first; the
 * other calls assume a valid one. Membership is public, so nothing here is constant time.
 */
#ifndef FT_SECURE_SUM_BITMAP_H
#define FT_SECURE_SUM_BITMAP_H

#include "common/base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline size_t
ft_ss_bitmap_size(uint32_t universe)
{
    return ((size_t)universe + 7) / 8;
}

static inline bool
ft_ss_bitmap_has(const uint8_t *map, uint32_t id)
{
    return (map[id / 8] >> (id % 8)) & 1;
}

static inline void
ft_ss_bitmap_add(uint8_t *map, uint32_t id)
{
    map[id / 8] = (uint8_t)(map[id / 8] | (1u << (id % 8)));
}

static inline void
ft_ss_bitmap_remove(uint8_t *map, uint32_t id)
{
    map[id / 8] = (uint8_t)(map[id / 8] & ~(1u << (id % 8)));
}

/* Exactly the size for `universe` and no spare bit set. */
bool ft_ss_bitmap_valid(struct ft_bytes map, uint32_t universe);
uint32_t ft_ss_bitmap_count(const uint8_t *map, uint32_t universe);
/* Number of members below `id`: its rank when it is one itself. */
uint32_t ft_ss_bitmap_rank(const uint8_t *map, uint32_t id);
/* The least member >= from, or `universe`. for (i = next(m,N,0); i < N; i = next(m,N,i+1)) */
uint32_t ft_ss_bitmap_next(const uint8_t *map, uint32_t universe, uint32_t from);
bool ft_ss_bitmap_subset(const uint8_t *inner, const uint8_t *outer, uint32_t universe);
bool ft_ss_bitmap_equal(const uint8_t *a, const uint8_t *b, uint32_t universe);

#endif
