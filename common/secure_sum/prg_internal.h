/*
 * Kernels of the mask generator. A kernel handles whole cipher blocks inside one chunk; prg.c cuts ranges to
 * that and deals with the ragged ends. In FT_SS_PUT mode it stores keystream, else it adds to or subtracts
 * from acc.
 */
#ifndef FT_SECURE_SUM_PRG_INTERNAL_H
#define FT_SECURE_SUM_PRG_INTERNAL_H

#include "common/secure_sum/prg.h"

#define FT_SS_CHACHA_BLOCK_WORDS 8u
#define FT_SS_AES_BLOCK_WORDS    2u

enum ft_ss_mode { FT_SS_PUT, FT_SS_ADD, FT_SS_SUB };

/* Where in the keystream: blocks first .. first+count-1 of chunk `chunk`. */
struct ft_ss_span {
    uint64_t chunk;
    uint32_t first, count;
};

/* acc (span.count * words a block), 8-byte aligned. */
typedef void ft_ss_kernel(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, enum ft_ss_mode mode);

void ft_ss_chacha_plain(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, enum ft_ss_mode mode);
#if defined(__x86_64__)
void ft_ss_chacha_avx2(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, enum ft_ss_mode mode);
void ft_ss_chacha_avx512(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, enum ft_ss_mode mode);
void ft_ss_aes_avx2(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, enum ft_ss_mode mode);
void ft_ss_aes_avx512(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, enum ft_ss_mode mode);
#endif

/* acc[i] += or -= or = stream[i]; stream is raw little-endian bytes. */
void ft_ss_blend(uint64_t *acc, const uint8_t *stream, size_t words, enum ft_ss_mode mode);

#endif
