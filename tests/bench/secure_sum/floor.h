/*
 * The floor: the same number of mask bytes as raw keystream, written to a buffer that stays in cache, and a
 * vector addition of that buffer. Nothing can unmask with fewer bytes; a kernel that adds as it makes them
 * can be faster.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stddef.h>
#include <stdint.h>

/* Processor seconds for `mask_count` masks of `words` words in the fastest of the generators at hand and of
 * two buffer sizes, tried first on a part of the work. */
double bench_floor_s(uint16_t suite, size_t mask_count, size_t words);

#endif
