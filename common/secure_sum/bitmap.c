#include "common/secure_sum/bitmap.h"

#include <string.h>

bool
ft_ss_bitmap_valid(struct ft_bytes map, uint32_t universe)
{
    if (map.size != ft_ss_bitmap_size(universe))
        return false;
    if (universe % 8 != 0 && (map.data[map.size - 1] >> (universe % 8)) != 0)
        return false;
    return true;
}

uint32_t
ft_ss_bitmap_count(const uint8_t *map, uint32_t universe)
{
    uint32_t count = 0;
    for (size_t i = 0; i < ft_ss_bitmap_size(universe); i++)
        count += (uint32_t)__builtin_popcount(map[i]);
    return count;
}

uint32_t
ft_ss_bitmap_rank(const uint8_t *map, uint32_t id)
{
    uint32_t rank = ft_ss_bitmap_count(map, id - id % 8);
    if (id % 8 != 0)
        rank += (uint32_t)__builtin_popcount(map[id / 8] & ((1u << (id % 8)) - 1));
    return rank;
}

uint32_t
ft_ss_bitmap_next(const uint8_t *map, uint32_t universe, uint32_t from)
{
    uint32_t id = from;
    while (id < universe) {
        const unsigned rest = (unsigned)map[id / 8] >> (id % 8);
        if (rest != 0)
            return id + (uint32_t)__builtin_ctz(rest);
        id += 8 - id % 8;
    }
    return universe;
}

bool
ft_ss_bitmap_subset(const uint8_t *inner, const uint8_t *outer, uint32_t universe)
{
    for (size_t i = 0; i < ft_ss_bitmap_size(universe); i++)
        if ((inner[i] & ~outer[i]) != 0)
            return false;
    return true;
}

bool
ft_ss_bitmap_equal(const uint8_t *a, const uint8_t *b, uint32_t universe)
{
    return memcmp(a, b, ft_ss_bitmap_size(universe)) == 0; /* public */
}
