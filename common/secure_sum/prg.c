#include "common/secure_sum/prg.h"
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/secure_sum/prg_internal.h"

#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

#define PIECE_WORDS 512u /* of a library's keystream before it is added: stays in the first-level cache */
#define CHUNK_MASK  (FT_SS_CHUNK_WORDS - 1u)

struct ft_ss_prg {
    uint16_t suite;
    enum ft_ss_backend backend;
    uint32_t block_words;
    ft_ss_kernel *kernel; /* own kernels; NULL where a library makes the keystream */
    EVP_CIPHER_CTX *cipher;
    uint64_t piece[PIECE_WORDS];
    uint8_t
        pad[8 * PIECE_WORDS]; /* what libcrypto encrypts: zeros, or counter blocks in the plain AES backend */
};

bool
ft_ss_suite_known(uint16_t suite)
{
    return suite == FT_SS_SUITE_CHACHA20 || suite == FT_SS_SUITE_AES256CTR;
}

const char *
ft_ss_backend_name(enum ft_ss_backend backend)
{
    static const char *const names[FT_SS_BACKEND_COUNT] = { "best",      "plain", "libsodium",
                                                            "libcrypto", "avx2",  "avx512" };
    return (unsigned)backend < FT_SS_BACKEND_COUNT ? names[backend] : "unknown";
}

static ft_ss_kernel *
kernel_of(uint16_t suite, enum ft_ss_backend backend)
{
    const bool chacha = suite == FT_SS_SUITE_CHACHA20;
    if (backend == FT_SS_BACKEND_PLAIN && chacha)
        return ft_ss_chacha_plain;
#if defined(__x86_64__)
    const bool vaes = __builtin_cpu_supports("aes") && __builtin_cpu_supports("vaes");
    if (backend == FT_SS_BACKEND_AVX2 && __builtin_cpu_supports("avx2") && (chacha || vaes))
        return chacha ? ft_ss_chacha_avx2 : ft_ss_aes_avx2;
    if (backend == FT_SS_BACKEND_AVX512 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && (chacha || vaes))
        return chacha ? ft_ss_chacha_avx512 : ft_ss_aes_avx512;
#endif
    return NULL;
}

bool
ft_ss_backend_available(uint16_t suite, enum ft_ss_backend backend)
{
    if (!ft_ss_suite_known(suite))
        return false;
    switch (backend) {
    case FT_SS_BACKEND_BEST:
    case FT_SS_BACKEND_PLAIN:
    case FT_SS_BACKEND_CRYPTO:
        return true;
    case FT_SS_BACKEND_SODIUM:
        return suite == FT_SS_SUITE_CHACHA20;
    case FT_SS_BACKEND_AVX2:
    case FT_SS_BACKEND_AVX512:
        return kernel_of(suite, backend) != NULL;
    default:
        return false;
    }
}

enum ft_ss_backend
ft_ss_backend_best(uint16_t suite)
{
    if (ft_ss_backend_available(suite, FT_SS_BACKEND_AVX512))
        return FT_SS_BACKEND_AVX512;
    if (suite == FT_SS_SUITE_AES256CTR && ft_ss_backend_available(suite, FT_SS_BACKEND_AVX2))
        return FT_SS_BACKEND_AVX2;
    return FT_SS_BACKEND_CRYPTO; /* its AVX2 ChaCha20 measures 15 % faster than the one here */
}

bool
ft_ss_suite_fast_here(uint16_t suite)
{
    if (suite == FT_SS_SUITE_CHACHA20)
        return true;
#if defined(__x86_64__)
    return suite == FT_SS_SUITE_AES256CTR && __builtin_cpu_supports("aes");
#else
    return false; /* libcrypto may have them; the aggregator then keeps suite 1 */
#endif
}

static const EVP_CIPHER *
cipher_of(uint16_t suite, enum ft_ss_backend backend)
{
    if (suite == FT_SS_SUITE_CHACHA20)
        return backend == FT_SS_BACKEND_CRYPTO ? EVP_chacha20() : NULL;
    if (backend == FT_SS_BACKEND_CRYPTO)
        return EVP_aes_256_ctr();
    return backend == FT_SS_BACKEND_PLAIN ? EVP_aes_256_ecb() : NULL;
}

enum ft_status
ft_ss_prg_open(uint16_t suite, enum ft_ss_backend backend, struct ft_ss_prg **out)
{
    enum ft_status st = FT_OK;
    struct ft_ss_prg *prg;
    const EVP_CIPHER *cipher;

    *out = NULL;
    if (!ft_ss_backend_available(suite, backend))
        return FT_ERR_ARGUMENT;
    if (backend == FT_SS_BACKEND_BEST)
        backend = ft_ss_backend_best(suite);
    prg = ft_calloc(1, sizeof *prg);
    if (prg == NULL)
        return FT_ERR_NOMEM;
    prg->suite = suite;
    prg->backend = backend;
    prg->block_words = suite == FT_SS_SUITE_CHACHA20 ? FT_SS_CHACHA_BLOCK_WORDS : FT_SS_AES_BLOCK_WORDS;
    prg->kernel = kernel_of(suite, backend);
    cipher = cipher_of(suite, backend);
    if (cipher != NULL) {
        prg->cipher = EVP_CIPHER_CTX_new();
        if (prg->cipher == NULL || EVP_EncryptInit_ex(prg->cipher, cipher, NULL, NULL, NULL) != 1) {
            st = FT_ERR_NOMEM;
            goto out;
        }
        EVP_CIPHER_CTX_set_padding(prg->cipher, 0);
    }
    *out = prg;
    prg = NULL;
out:
    ft_ss_prg_close(prg);
    return st;
}

void
ft_ss_prg_close(struct ft_ss_prg *prg)
{
    if (prg == NULL)
        return;
    EVP_CIPHER_CTX_free(prg->cipher); /* wipes its key schedule; NULL is allowed */
    sodium_memzero(prg, sizeof *prg);
    ft_free(prg);
}

/* Point libcrypto at block `block` of `chunk`. */
static bool
cipher_seek(struct ft_ss_prg *prg, const uint8_t seed[32], uint64_t chunk, uint64_t block)
{
    uint8_t iv[16];
    if (prg->suite == FT_SS_SUITE_CHACHA20) { /* counter || nonce, little-endian */
        ft_put_u64(iv, block);
        ft_put_u64(iv + 8, chunk);
    } else {
        for (size_t i = 0; i < 8; i++) {
            iv[i] = (uint8_t)(chunk >> (56 - 8 * i));
            iv[8 + i] = (uint8_t)(block >> (56 - 8 * i));
        }
    }
    return EVP_EncryptInit_ex(prg->cipher, NULL, NULL, seed,
                              prg->backend == FT_SS_BACKEND_PLAIN ? NULL : iv) == 1;
}

/* `count` blocks of keystream to `out`; the cipher stands at the first. */
static bool
cipher_blocks(struct ft_ss_prg *prg, struct ft_ss_span span, uint8_t *out)
{
    const size_t size = (size_t)span.count * prg->block_words * 8;
    int written = 0;
    if (prg->backend == FT_SS_BACKEND_PLAIN) { /* CTR spelt out: encrypt be64(chunk) || be64(block) */
        for (uint32_t i = 0; i < span.count; i++)
            for (size_t j = 0; j < 8; j++) {
                prg->pad[16 * i + j] = (uint8_t)(span.chunk >> (56 - 8 * j));
                prg->pad[16 * i + 8 + j] = (uint8_t)(((uint64_t)span.first + i) >> (56 - 8 * j));
            }
    }
    return EVP_EncryptUpdate(prg->cipher, out, &written, prg->pad, (int)size) == 1 && (size_t)written == size;
}

/* Whole blocks of one chunk through a library. */
static enum ft_status
library_blocks(struct ft_ss_prg *prg, const uint8_t seed[32], struct ft_ss_span span, uint64_t *acc,
               enum ft_ss_mode mode)
{
    const uint32_t per_piece = PIECE_WORDS / prg->block_words;
    uint8_t *const bytes = (uint8_t *)prg->piece;

    if (prg->cipher != NULL && !cipher_seek(prg, seed, span.chunk, span.first))
        return FT_ERR_INTERNAL;
    while (span.count > 0) {
        const struct ft_ss_span now = { span.chunk, span.first,
                                        span.count < per_piece ? span.count : per_piece };
        const size_t words = (size_t)now.count * prg->block_words;
        if (prg->cipher != NULL) {
            if (!cipher_blocks(prg, now, bytes))
                return FT_ERR_INTERNAL;
        } else {
            uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
            ft_put_u64(nonce, now.chunk);
            memset(bytes, 0, words * 8);
            crypto_stream_chacha20_xor_ic(bytes, bytes, words * 8, nonce, now.first, seed);
        }
        ft_ss_blend(acc, bytes, words, mode);
        acc += words;
        span.first += now.count;
        span.count -= now.count;
    }
    return FT_OK;
}

static enum ft_status
whole_blocks(struct ft_ss_prg *prg, const uint8_t seed[32], struct ft_ss_span span, uint64_t *acc,
             enum ft_ss_mode mode)
{
    if (span.count == 0)
        return FT_OK;
    if (prg->kernel == NULL)
        return library_blocks(prg, seed, span, acc, mode);
    prg->kernel(seed, span, acc, mode);
    return FT_OK;
}

/* A part of one block: `skip` words of it are left out, `count` used. */
static enum ft_status
part_block(struct ft_ss_prg *prg, const uint8_t seed[32], uint64_t chunk, uint32_t block, uint32_t skip,
           uint32_t count, uint64_t *acc, enum ft_ss_mode mode)
{
    uint64_t words[FT_SS_CHACHA_BLOCK_WORDS] = { 0 };
    const enum ft_status st =
        whole_blocks(prg, seed, (struct ft_ss_span){ chunk, block, 1 }, words, FT_SS_PUT);
    for (uint32_t i = 0; st == FT_OK && i < count; i++) {
        const uint64_t w = words[skip + i];
        acc[i] = mode == FT_SS_PUT ? w : mode == FT_SS_ADD ? acc[i] + w : acc[i] - w;
    }
    sodium_memzero(words, sizeof words);
    return st;
}

/* Words first .. first+count-1 of the chunk, which they do not leave. */
static enum ft_status
within_chunk(struct ft_ss_prg *prg, const uint8_t seed[32], uint64_t chunk, uint32_t first, uint32_t count,
             uint64_t *acc, enum ft_ss_mode mode)
{
    enum ft_status st = FT_OK;
    const uint32_t width = prg->block_words;
    const uint32_t skip = first % width;
    uint32_t block = first / width;

    if (skip != 0) {
        const uint32_t n = count < width - skip ? count : width - skip;
        FT_TRY(part_block(prg, seed, chunk, block, skip, n, acc, mode));
        acc += n;
        count -= n;
        block++;
    }
    FT_TRY(whole_blocks(prg, seed, (struct ft_ss_span){ chunk, block, count / width }, acc, mode));
    if (count % width != 0)
        FT_TRY(part_block(prg, seed, chunk, block + count / width, 0, count % width,
                          acc + count - count % width, mode));
out:
    return st;
}

static enum ft_status
run(struct ft_ss_prg *prg, const uint8_t seed[32], uint64_t *acc, uint64_t first, size_t count,
    enum ft_ss_mode mode)
{
    while (count > 0) {
        const uint32_t at = (uint32_t)(first & CHUNK_MASK);
        const uint32_t n = count < FT_SS_CHUNK_WORDS - at ? (uint32_t)count : FT_SS_CHUNK_WORDS - at;
        const enum ft_status st = within_chunk(prg, seed, first / FT_SS_CHUNK_WORDS, at, n, acc, mode);
        if (st != FT_OK)
            return st;
        acc += n;
        first += n;
        count -= n;
    }
    return FT_OK;
}

enum ft_status
ft_ss_prg_apply(struct ft_ss_prg *prg, const uint8_t seed[32], bool subtract, uint64_t *acc, uint64_t first,
                size_t count)
{
    return run(prg, seed, acc, first, count, subtract ? FT_SS_SUB : FT_SS_ADD);
}

enum ft_status
ft_ss_prg_words(struct ft_ss_prg *prg, const uint8_t seed[32], uint64_t *out, uint64_t first, size_t count)
{
    return run(prg, seed, out, first, count, FT_SS_PUT);
}
