/*
 * ChaCha20 with one block a 32-bit lane, 8 (AVX2) or 16 (AVX-512) blocks at once, transposed in registers and
 * fused with the vector addition.
 */
#if defined(__x86_64__)

#include "common/base/buf.h"
#include "common/secure_sum/prg_internal.h"

#include <immintrin.h>
#include <string.h>

#define WIDE256   __attribute__((target("avx2")))
#define WIDE512   __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define INLINE256 static inline WIDE256 __attribute__((always_inline))
#define INLINE512 static inline WIDE512 __attribute__((always_inline))

static const uint32_t sigma[4] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };

/* Row i of the start state for every lane alike; row 12 is the counter and made by the caller. */
static void
start_rows(const uint8_t key[32], uint64_t chunk, uint32_t rows[16])
{
    memcpy(rows, sigma, sizeof sigma);
    for (size_t i = 0; i < 8; i++)
        rows[4 + i] = ft_get_u32(key + 4 * i);
    rows[12] = rows[13] = 0; /* blocks are numbered below 2^32 within a chunk */
    rows[14] = (uint32_t)chunk;
    rows[15] = (uint32_t)(chunk >> 32);
}

#define QUARTER(ADD, XOR, ROT16, ROT12, ROT8, ROT7, a, b, c, d)                                              \
    do {                                                                                                     \
        v[a] = ADD(v[a], v[b]);                                                                              \
        v[d] = ROT16(XOR(v[d], v[a]));                                                                       \
        v[c] = ADD(v[c], v[d]);                                                                              \
        v[b] = ROT12(XOR(v[b], v[c]));                                                                       \
        v[a] = ADD(v[a], v[b]);                                                                              \
        v[d] = ROT8(XOR(v[d], v[a]));                                                                        \
        v[c] = ADD(v[c], v[d]);                                                                              \
        v[b] = ROT7(XOR(v[b], v[c]));                                                                        \
    } while (0)

#define DOUBLE_ROUND(Q)                                                                                      \
    do {                                                                                                     \
        Q(0, 4, 8, 12);                                                                                      \
        Q(1, 5, 9, 13);                                                                                      \
        Q(2, 6, 10, 14);                                                                                     \
        Q(3, 7, 11, 15);                                                                                     \
        Q(0, 5, 10, 15);                                                                                     \
        Q(1, 6, 11, 12);                                                                                     \
        Q(2, 7, 8, 13);                                                                                      \
        Q(3, 4, 9, 14);                                                                                      \
    } while (0)

#define R512_16(x) _mm512_rol_epi32(x, 16)
#define R512_12(x) _mm512_rol_epi32(x, 12)
#define R512_8(x)  _mm512_rol_epi32(x, 8)
#define R512_7(x)  _mm512_rol_epi32(x, 7)
#define Q512(a, b, c, d)                                                                                     \
    QUARTER(_mm512_add_epi32, _mm512_xor_si512, R512_16, R512_12, R512_8, R512_7, a, b, c, d)

/* Rows of 16 lanes to blocks: v[i] becomes the 64 bytes of block i. */
INLINE512 void
transpose512(__m512i v[16])
{
    __m512i t[16];
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) { /* 4x4 of 32-bit inside each 128-bit lane */
        const __m512i a = _mm512_unpacklo_epi32(v[i], v[i + 1]), b = _mm512_unpackhi_epi32(v[i], v[i + 1]);
        const __m512i c = _mm512_unpacklo_epi32(v[i + 2], v[i + 3]),
                      d = _mm512_unpackhi_epi32(v[i + 2], v[i + 3]);
        t[i] = _mm512_unpacklo_epi64(a, c);
        t[i + 1] = _mm512_unpackhi_epi64(a, c);
        t[i + 2] = _mm512_unpacklo_epi64(b, d);
        t[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) { /* t[4g + j] lane q: rows 4g..4g+3 of block 4q + j */
        const __m512i a = _mm512_shuffle_i32x4(t[j], t[4 + j], 0x88),
                      b = _mm512_shuffle_i32x4(t[j], t[4 + j], 0xDD);
        const __m512i c = _mm512_shuffle_i32x4(t[8 + j], t[12 + j], 0x88),
                      d = _mm512_shuffle_i32x4(t[8 + j], t[12 + j], 0xDD);
        v[j] = _mm512_shuffle_i32x4(a, c, 0x88);      /* block j */
        v[8 + j] = _mm512_shuffle_i32x4(a, c, 0xDD);  /* block 8 + j */
        v[4 + j] = _mm512_shuffle_i32x4(b, d, 0x88);  /* block 4 + j */
        v[12 + j] = _mm512_shuffle_i32x4(b, d, 0xDD); /* block 12 + j */
    }
}

INLINE512 void
stripe512(const uint32_t rows[16], uint32_t first, uint64_t *acc, const enum ft_ss_mode mode)
{
    const __m512i counter =
        _mm512_add_epi32(_mm512_set1_epi32((int)first),
                         _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    __m512i v[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        v[i] = i == 12 ? counter : _mm512_set1_epi32((int)rows[i]);
    for (int round = 0; round < 10; round++)
        DOUBLE_ROUND(Q512);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        v[i] = _mm512_add_epi32(v[i], i == 12 ? counter : _mm512_set1_epi32((int)rows[i]));
    transpose512(v);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        const __m512i old = _mm512_loadu_si512(acc + 8 * i);
        _mm512_storeu_si512(acc + 8 * i, mode == FT_SS_PUT   ? v[i]
                                         : mode == FT_SS_ADD ? _mm512_add_epi64(old, v[i])
                                                             : _mm512_sub_epi64(old, v[i]));
    }
}

INLINE512 void
run512(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, const enum ft_ss_mode mode)
{
    uint32_t rows[16];
    uint64_t last[16 * FT_SS_CHACHA_BLOCK_WORDS] = { 0 };

    start_rows(key, span.chunk, rows);
    while (span.count >= 16) {
        stripe512(rows, span.first, acc, mode);
        span.first += 16;
        span.count -= 16;
        acc += 16 * FT_SS_CHACHA_BLOCK_WORDS;
    }
    if (span.count > 0) {
        memcpy(last, acc, span.count * 64);
        stripe512(rows, span.first, last, mode);
        memcpy(acc, last, span.count * 64);
    }
}

WIDE512 void
ft_ss_chacha_avx512(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, enum ft_ss_mode mode)
{
    if (mode == FT_SS_ADD)
        run512(key, span, acc, FT_SS_ADD);
    else if (mode == FT_SS_SUB)
        run512(key, span, acc, FT_SS_SUB);
    else
        run512(key, span, acc, FT_SS_PUT);
}

#define ROT256_BYTES16                                                                                       \
    _mm256_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2, 13, 12, 15, 14, 9, 8, 11, 10, 5,   \
                    4, 7, 6, 1, 0, 3, 2)
#define ROT256_BYTES8                                                                                        \
    _mm256_set_epi8(14, 13, 12, 15, 10, 9, 8, 11, 6, 5, 4, 7, 2, 1, 0, 3, 14, 13, 12, 15, 10, 9, 8, 11, 6,   \
                    5, 4, 7, 2, 1, 0, 3)
#define R256_16(x) _mm256_shuffle_epi8(x, rot16)
#define R256_8(x)  _mm256_shuffle_epi8(x, rot8)
INLINE256 __m256i
rotate256(__m256i x, const int by)
{
    return _mm256_or_si256(_mm256_slli_epi32(x, by), _mm256_srli_epi32(x, 32 - by));
}
#define R256_12(x) rotate256(x, 12)
#define R256_7(x)  rotate256(x, 7)
#define Q256(a, b, c, d)                                                                                     \
    QUARTER(_mm256_add_epi32, _mm256_xor_si256, R256_16, R256_12, R256_8, R256_7, a, b, c, d)

/* Four rows (v[i..i+3], 8 lanes) to 16-byte quarters: out[j] holds blocks j (low lane) and j + 4 (high lane).
 */
INLINE256 void
transpose256(const __m256i *v, __m256i out[4])
{
    const __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
    const __m256i c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
    out[0] = _mm256_unpacklo_epi64(a, c);
    out[1] = _mm256_unpackhi_epi64(a, c);
    out[2] = _mm256_unpacklo_epi64(b, d);
    out[3] = _mm256_unpackhi_epi64(b, d);
}

INLINE256 void
blend256(uint64_t *acc, __m256i ks, const enum ft_ss_mode mode)
{
    __m256i *const at = (__m256i *)(void *)acc;
    const __m256i old = _mm256_loadu_si256(at);
    _mm256_storeu_si256(at, mode == FT_SS_PUT   ? ks
                            : mode == FT_SS_ADD ? _mm256_add_epi64(old, ks)
                                                : _mm256_sub_epi64(old, ks));
}

INLINE256 void
stripe256(const uint32_t rows[16], uint32_t first, uint64_t *acc, const enum ft_ss_mode mode)
{
    const __m256i rot16 = ROT256_BYTES16, rot8 = ROT256_BYTES8;
    const __m256i counter =
        _mm256_add_epi32(_mm256_set1_epi32((int)first), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
    __m256i v[16], low[4], high[4];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        v[i] = i == 12 ? counter : _mm256_set1_epi32((int)rows[i]);
    for (int round = 0; round < 10; round++)
        DOUBLE_ROUND(Q256);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        v[i] = _mm256_add_epi32(v[i], i == 12 ? counter : _mm256_set1_epi32((int)rows[i]));
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) { /* rows 8 half .. 8 half + 7 are bytes 32 half .. of each block */
        transpose256(v + 8 * half, low);
        transpose256(v + 8 * half + 4, high);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            blend256(acc + 8 * j + 4 * half, _mm256_permute2x128_si256(low[j], high[j], 0x20), mode);
            blend256(acc + 8 * (j + 4) + 4 * half, _mm256_permute2x128_si256(low[j], high[j], 0x31), mode);
        }
    }
}

INLINE256 void
run256(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, const enum ft_ss_mode mode)
{
    uint32_t rows[16];
    uint64_t last[8 * FT_SS_CHACHA_BLOCK_WORDS] = { 0 };

    start_rows(key, span.chunk, rows);
    while (span.count >= 8) {
        stripe256(rows, span.first, acc, mode);
        span.first += 8;
        span.count -= 8;
        acc += 8 * FT_SS_CHACHA_BLOCK_WORDS;
    }
    if (span.count > 0) {
        memcpy(last, acc, span.count * 64);
        stripe256(rows, span.first, last, mode);
        memcpy(acc, last, span.count * 64);
    }
}

WIDE256 void
ft_ss_chacha_avx2(const uint8_t key[32], struct ft_ss_span span, uint64_t *acc, enum ft_ss_mode mode)
{
    if (mode == FT_SS_ADD)
        run256(key, span, acc, FT_SS_ADD);
    else if (mode == FT_SS_SUB)
        run256(key, span, acc, FT_SS_SUB);
    else
        run256(key, span, acc, FT_SS_PUT);
}

#endif
