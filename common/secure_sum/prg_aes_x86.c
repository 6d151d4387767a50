/*
 * AES-256-CTR over vector AES instructions, fused with the vector addition: a keystream word goes from the
 * register straight into the accumulator. Two forms, 256 and 512 bits wide; both expand the key with AES-NI.
 * Constant time: no tables, no branch on data.
 */
#if defined(__x86_64__)

#include "common/secure_sum/prg_internal.h"

#include <immintrin.h>
#include <string.h>

#define ROUNDS    14
#define WIDE256   __attribute__((target("avx2,aes,vaes")))
#define WIDE512   __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,aes,vaes")))
#define AESNI     __attribute__((target("sse4.1,aes")))
#define INLINE256 static inline WIDE256 __attribute__((always_inline))
#define INLINE512 static inline WIDE512 __attribute__((always_inline))

/* k ^ (k << 32) ^ (k << 64) ^ (k << 96) ^ assist */
AESNI static __m128i
expand_step(__m128i k, __m128i assist)
{
    k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
    k = _mm_xor_si128(k, _mm_slli_si128(k, 8));
    return _mm_xor_si128(k, assist);
}

#define EXPAND_EVEN(i, rcon)                                                                                 \
    rk[i] = expand_step(rk[(i)-2], _mm_shuffle_epi32(_mm_aeskeygenassist_si128(rk[(i)-1], rcon), 0xFF))
#define EXPAND_ODD(i)                                                                                        \
    rk[i] = expand_step(rk[(i)-2], _mm_shuffle_epi32(_mm_aeskeygenassist_si128(rk[(i)-1], 0), 0xAA))

AESNI static void
expand_key(const uint8_t key[32], __m128i rk[ROUNDS + 1])
{
    rk[0] = _mm_loadu_si128((const __m128i *)(const void *)key);
    rk[1] = _mm_loadu_si128((const __m128i *)(const void *)(key + 16));
    EXPAND_EVEN(2, 0x01);
    EXPAND_ODD(3);
    EXPAND_EVEN(4, 0x02);
    EXPAND_ODD(5);
    EXPAND_EVEN(6, 0x04);
    EXPAND_ODD(7);
    EXPAND_EVEN(8, 0x08);
    EXPAND_ODD(9);
    EXPAND_EVEN(10, 0x10);
    EXPAND_ODD(11);
    EXPAND_EVEN(12, 0x20);
    EXPAND_ODD(13);
    EXPAND_EVEN(14, 0x40);
}

/* be64(chunk) || be64(block) for block = low 64 bits, held as integers until the byte swap. */
#define SWAP_LANE 0x0001020304050607LL, 0x08090A0B0C0D0E0FLL /* high quadword first, as set_epi64x has it */

#define AHEAD512 8 /* vectors in flight: 32 blocks, which hides the latency of a round */
#define AHEAD256 8

/* `live` vectors of 4 blocks. */
INLINE512 void
stripe512(const __m512i rk[ROUNDS + 1], __m512i counter, uint64_t *acc, enum ft_ss_mode mode, const int live)
{
    const __m512i swap = _mm512_set_epi64(SWAP_LANE, SWAP_LANE, SWAP_LANE, SWAP_LANE);
    const __m512i four = _mm512_set_epi64(0, 4, 0, 4, 0, 4, 0, 4);
    __m512i b[AHEAD512];
#pragma GCC unroll 8
    for (int i = 0; i < live; i++) {
        b[i] = _mm512_xor_si512(_mm512_shuffle_epi8(counter, swap), rk[0]);
        counter = _mm512_add_epi64(counter, four);
    }
#pragma GCC unroll 14
    for (int r = 1; r < ROUNDS; r++)
#pragma GCC unroll 8
        for (int i = 0; i < live; i++)
            b[i] = _mm512_aesenc_epi128(b[i], rk[r]);
#pragma GCC unroll 8
    for (int i = 0; i < live; i++) {
        const __m512i ks = _mm512_aesenclast_epi128(b[i], rk[ROUNDS]);
        const __m512i old = _mm512_loadu_si512(acc + 8 * i);
        _mm512_storeu_si512(acc + 8 * i, mode == FT_SS_PUT   ? ks
                                         : mode == FT_SS_ADD ? _mm512_add_epi64(old, ks)
                                                             : _mm512_sub_epi64(old, ks));
    }
}

INLINE512 void
run512(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, const enum ft_ss_mode mode)
{
    __m128i narrow[ROUNDS + 1];
    __m512i rk[ROUNDS + 1], counter;
    uint32_t left = span.count;

    expand_key(key, narrow);
    for (int r = 0; r <= ROUNDS; r++)
        rk[r] = _mm512_broadcast_i32x4(narrow[r]);
    /* After the swap a lane reads be64(chunk) || be64(block): the chunk is the lane's high quadword here. */
    counter =
        _mm512_set_epi64((long long)span.chunk, span.first + 3LL, (long long)span.chunk, span.first + 2LL,
                         (long long)span.chunk, span.first + 1LL, (long long)span.chunk, span.first + 0LL);
    while (left >= 4 * AHEAD512) {
        stripe512(rk, counter, acc, mode, AHEAD512);
        counter = _mm512_add_epi64(counter, _mm512_set_epi64(0, 32, 0, 32, 0, 32, 0, 32));
        acc += 8 * AHEAD512;
        left -= 4 * AHEAD512;
    }
    while (left >= 4) {
        stripe512(rk, counter, acc, mode, 1);
        counter = _mm512_add_epi64(counter, _mm512_set_epi64(0, 4, 0, 4, 0, 4, 0, 4));
        acc += 8;
        left -= 4;
    }
    if (left > 0) {
        uint64_t last[8] = { 0 };
        memcpy(last, acc, left * 16);
        stripe512(rk, counter, last, mode, 1);
        memcpy(acc, last, left * 16);
    }
}

WIDE512 void
ft_ss_aes_avx512(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, enum ft_ss_mode mode)
{
    if (mode == FT_SS_ADD)
        run512(key, span, acc, FT_SS_ADD);
    else if (mode == FT_SS_SUB)
        run512(key, span, acc, FT_SS_SUB);
    else
        run512(key, span, acc, FT_SS_PUT);
}

/* `live` vectors of 2 blocks. */
INLINE256 void
stripe256(const __m256i rk[ROUNDS + 1], __m256i counter, uint64_t *acc, enum ft_ss_mode mode, const int live)
{
    const __m256i swap = _mm256_set_epi64x(SWAP_LANE, SWAP_LANE);
    const __m256i two = _mm256_set_epi64x(0, 2, 0, 2);
    __m256i b[AHEAD256];
#pragma GCC unroll 8
    for (int i = 0; i < live; i++) {
        b[i] = _mm256_xor_si256(_mm256_shuffle_epi8(counter, swap), rk[0]);
        counter = _mm256_add_epi64(counter, two);
    }
#pragma GCC unroll 14
    for (int r = 1; r < ROUNDS; r++)
#pragma GCC unroll 8
        for (int i = 0; i < live; i++)
            b[i] = _mm256_aesenc_epi128(b[i], rk[r]);
#pragma GCC unroll 8
    for (int i = 0; i < live; i++) {
        __m256i *const at = (__m256i *)(void *)(acc + 4 * i);
        const __m256i ks = _mm256_aesenclast_epi128(b[i], rk[ROUNDS]);
        const __m256i old = _mm256_loadu_si256(at);
        _mm256_storeu_si256(at, mode == FT_SS_PUT   ? ks
                                : mode == FT_SS_ADD ? _mm256_add_epi64(old, ks)
                                                    : _mm256_sub_epi64(old, ks));
    }
}

INLINE256 void
run256(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, const enum ft_ss_mode mode)
{
    __m128i narrow[ROUNDS + 1];
    __m256i rk[ROUNDS + 1], counter;
    uint32_t left = span.count;

    expand_key(key, narrow);
    for (int r = 0; r <= ROUNDS; r++)
        rk[r] = _mm256_broadcastsi128_si256(narrow[r]);
    counter =
        _mm256_set_epi64x((long long)span.chunk, span.first + 1LL, (long long)span.chunk, span.first + 0LL);
    while (left >= 2 * AHEAD256) {
        stripe256(rk, counter, acc, mode, AHEAD256);
        counter = _mm256_add_epi64(counter, _mm256_set_epi64x(0, 16, 0, 16));
        acc += 4 * AHEAD256;
        left -= 2 * AHEAD256;
    }
    while (left >= 2) {
        stripe256(rk, counter, acc, mode, 1);
        counter = _mm256_add_epi64(counter, _mm256_set_epi64x(0, 2, 0, 2));
        acc += 4;
        left -= 2;
    }
    if (left > 0) {
        uint64_t last[4] = { acc[0], acc[1], 0, 0 };
        stripe256(rk, counter, last, mode, 1);
        memcpy(acc, last, 16);
    }
}

WIDE256 void
ft_ss_aes_avx2(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, enum ft_ss_mode mode)
{
    if (mode == FT_SS_ADD)
        run256(key, span, acc, FT_SS_ADD);
    else if (mode == FT_SS_SUB)
        run256(key, span, acc, FT_SS_SUB);
    else
        run256(key, span, acc, FT_SS_PUT);
}

#endif
