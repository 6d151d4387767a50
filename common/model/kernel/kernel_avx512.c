/* 16 lanes: AVX-512 F, DQ and VL, and FMA. */
#if defined(__x86_64__)

#include <immintrin.h>

#define KERNEL_NAME      kernel_avx512
#define KERNEL_TEXT      "avx512"
#define TARGET           __attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma")))
#define V                __m512
#define VW               16
#define WIDE             2
#define ROW_MAX          10
#define PRODUCT_ROWS     12
#define STEP_INPUTS      8
#define LINE_QUADS       3
#define SET1(x)          _mm512_set1_ps(x)
#define ZERO()           _mm512_setzero_ps()
#define LOAD(p)          _mm512_loadu_ps(p)
#define LOAD_FIRST(p, n) _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1u), p)
#define STORE(p, v)      _mm512_storeu_ps(p, v)
#define FMA(a, b, c)     _mm512_fmadd_ps(a, b, c)
#define FNMA(a, b, c)    _mm512_fnmadd_ps(a, b, c)
#define ADD(a, b)        _mm512_add_ps(a, b)
#define SUB(a, b)        _mm512_sub_ps(a, b)
#define NOT_BELOW_ZERO(v) _mm512_max_ps(_mm512_setzero_ps(), v) /* a NaN stays one */
#define MUL(a, b)        _mm512_mul_ps(a, b)
#define WHERE_POSITIVE(a, v)                                                                                 \
    _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_GT_OQ), v)

TARGET static inline __attribute__((always_inline)) void
transpose(V m[VW])
{
    V t[VW];

    _Pragma("GCC unroll 16") for (int i = 0; i < 16; i += 2)
    {
        t[i] = _mm512_unpacklo_ps(m[i], m[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(m[i], m[i + 1]);
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < 16; i += 4)
    {
        m[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        m[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        m[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
        m[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < 4; i++)
    {
        t[i] = _mm512_shuffle_f32x4(m[i], m[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(m[i], m[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(m[i + 8], m[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(m[i + 8], m[i + 12], 0xdd);
    }
    _Pragma("GCC unroll 16") for (int i = 0; i < 4; i++)
    {
        m[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        m[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        m[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        m[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

TARGET static inline __attribute__((always_inline)) __m128
fold(const V part[1])
{
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(part[0]), _mm512_extractf32x8_ps(part[0], 1));
    return _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
}

#include "common/model/kernel/kernel_x86.h"

#else
typedef int kernel_avx512_is_for_x86;
#endif
