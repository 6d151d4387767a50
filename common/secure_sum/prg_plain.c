/* ChaCha20 as its paper has it (Bernstein 2008: 64-bit counter, 64-bit nonce): the oracle of the fast
 * kernels. */
#include "common/base/buf.h"
#include "common/secure_sum/prg_internal.h"

#include <endian.h>
#include <string.h>

static uint32_t
rotl(uint32_t v, int by)
{
    return (v << by) | (v >> (32 - by));
}

static void
quarter_round(uint32_t s[16], int a, int b, int c, int d)
{
    s[a] += s[b];
    s[d] = rotl(s[d] ^ s[a], 16);
    s[c] += s[d];
    s[b] = rotl(s[b] ^ s[c], 12);
    s[a] += s[b];
    s[d] = rotl(s[d] ^ s[a], 8);
    s[c] += s[d];
    s[b] = rotl(s[b] ^ s[c], 7);
}

static void
chacha_block(const uint8_t key[32], uint64_t nonce, uint64_t counter, uint8_t out[64])
{
    uint32_t start[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 }, s[16];
    for (size_t i = 0; i < 8; i++)
        start[4 + i] = ft_get_u32(key + 4 * i);
    start[12] = (uint32_t)counter;
    start[13] = (uint32_t)(counter >> 32);
    start[14] = (uint32_t)nonce;
    start[15] = (uint32_t)(nonce >> 32);
    memcpy(s, start, sizeof s);
    for (int i = 0; i < 10; i++) {
        quarter_round(s, 0, 4, 8, 12);
        quarter_round(s, 1, 5, 9, 13);
        quarter_round(s, 2, 6, 10, 14);
        quarter_round(s, 3, 7, 11, 15);
        quarter_round(s, 0, 5, 10, 15);
        quarter_round(s, 1, 6, 11, 12);
        quarter_round(s, 2, 7, 8, 13);
        quarter_round(s, 3, 4, 9, 14);
    }
    for (size_t i = 0; i < 16; i++)
        ft_put_u32(out + 4 * i, s[i] + start[i]);
}

static inline uint64_t
load_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

void
ft_ss_blend(uint64_t *acc, const uint8_t *stream, size_t words, enum ft_ss_mode mode)
{
    if (mode == FT_SS_ADD)
        for (size_t i = 0; i < words; i++)
            acc[i] += load_le64(stream + 8 * i);
    else if (mode == FT_SS_SUB)
        for (size_t i = 0; i < words; i++)
            acc[i] -= load_le64(stream + 8 * i);
    else
        for (size_t i = 0; i < words; i++)
            acc[i] = load_le64(stream + 8 * i);
}

void
ft_ss_chacha_plain(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, enum ft_ss_mode mode)
{
    uint8_t block[64];
    for (uint32_t i = 0; i < span.count; i++) {
        chacha_block(key, span.chunk, (uint64_t)span.first + i, block);
        ft_ss_blend(acc + (size_t)i * FT_SS_CHACHA_BLOCK_WORDS, block, FT_SS_CHACHA_BLOCK_WORDS, mode);
    }
}
