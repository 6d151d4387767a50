/* 8 lanes: AVX2 and FMA. */
#if defined(__x86_64__)

#include <immintrin.h>

#define KERNEL_NAME      kernel_avx2
#define KERNEL_TEXT      "avx2"
#define TARGET           __attribute__((target("avx2,fma")))
#define V                __m256
#define VW               8
#define WIDE             2
#define ROW_MAX          6
#define PRODUCT_ROWS     6
#define STEP_INPUTS      4
#define LINE_QUADS       1
#define SET1(x)          _mm256_set1_ps(x)
#define ZERO()           _mm256_setzero_ps()
#define LOAD(p)          _mm256_loadu_ps(p)
#define LOAD_FIRST(p, n) _mm256_maskload_ps(p, first_lanes(n))
#define STORE(p, v)      _mm256_storeu_ps(p, v)
#define FMA(a, b, c)     _mm256_fmadd_ps(a, b, c)
#define FNMA(a, b, c)    _mm256_fnmadd_ps(a, b, c)
#define ADD(a, b)        _mm256_add_ps(a, b)
#define SUB(a, b)        _mm256_sub_ps(a, b)
#define NOT_BELOW_ZERO(v) _mm256_max_ps(_mm256_setzero_ps(), v) /* a NaN stays one */
#define MUL(a, b)        _mm256_mul_ps(a, b)
#define WHERE_POSITIVE(a, v)                                                                                 \
    _mm256_and_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_GT_OQ), v)

TARGET static inline __attribute__((always_inline)) __m256i
first_lanes(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

TARGET static inline __attribute__((always_inline)) void
transpose(V m[VW])
{
    V t[VW];

    _Pragma("GCC unroll 8") for (int i = 0; i < 8; i += 2)
    {
        t[i] = _mm256_unpacklo_ps(m[i], m[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(m[i], m[i + 1]);
    }
    _Pragma("GCC unroll 8") for (int i = 0; i < 8; i += 4)
    {
        m[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        m[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        m[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        m[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    _Pragma("GCC unroll 8") for (int i = 0; i < 4; i++)
    {
        t[i] = _mm256_permute2f128_ps(m[i], m[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(m[i], m[i + 4], 0x31);
    }
    _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++)
        m[i] = t[i];
}

TARGET static inline __attribute__((always_inline)) __m128
fold(const V part[2])
{
    const __m256 eight = _mm256_add_ps(part[0], part[1]);
    return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
}

#include "common/model/kernel/kernel_x86.h"

#else
typedef int kernel_avx2_is_for_x86;
#endif
