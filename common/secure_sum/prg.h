/*
 * The mask generator: a vector of words is cut into chunks of 8,192, and chunk c of PRG(seed) is keystream
 * under key `seed`, read as little-endian u64 words. Suite 1: ChaCha20, nonce u64(c), block counter from 0.
 * Suite 2: AES-256-CTR from counter block be64(c) || 0^8. Chunks are independent: seekable and parallel.
 * Source: specification section 2.
 *
 * The masks are added into the vector as they are made. Backends give the same words; the fastest one the
 * machine has is taken unless one is named. A plain one is kept for each suite as the oracle of the others
 * (its AES uses libcrypto's, not tables: nothing here looks up memory at a secret address).
 */
#ifndef FT_SECURE_SUM_PRG_H
#define FT_SECURE_SUM_PRG_H

#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_SS_CHUNK_WORDS 8192u
#define FT_SS_THREADS_MAX 64u

enum ft_ss_suite { FT_SS_SUITE_CHACHA20 = 1, FT_SS_SUITE_AES256CTR = 2 };

enum ft_ss_backend {
    FT_SS_BACKEND_BEST,   /* the fastest available */
    FT_SS_BACKEND_PLAIN,  /* portable C (ChaCha20) or one ECB block at a time (AES): the oracle */
    FT_SS_BACKEND_SODIUM, /* libsodium; suite 1 only */
    FT_SS_BACKEND_CRYPTO, /* libcrypto */
    FT_SS_BACKEND_AVX2,   /* own kernels, fused with the addition; suite 2 needs VAES */
    FT_SS_BACKEND_AVX512,
    FT_SS_BACKEND_COUNT
};

bool ft_ss_suite_known(uint16_t suite);
bool ft_ss_backend_available(uint16_t suite, enum ft_ss_backend backend);
const char *ft_ss_backend_name(enum ft_ss_backend backend);
/* The backend BEST stands for here, e.g. to print it. */
enum ft_ss_backend ft_ss_backend_best(uint16_t suite);
/* True when this machine has AES instructions, so that suite 2 is no burden to it. */
bool ft_ss_suite_fast_here(uint16_t suite);

/* One generator: owns cipher contexts, so that applying a mask allocates nothing. Not thread-safe. */
struct ft_ss_prg;

/* Errors: ARGUMENT (suite unknown, or backend not available here), NOMEM. *out is NULL unless FT_OK. */
FT_NODISCARD enum ft_status ft_ss_prg_open(uint16_t suite, enum ft_ss_backend backend,
                                           struct ft_ss_prg **out);
void ft_ss_prg_close(struct ft_ss_prg *prg); /* wipes; NULL is allowed */

/* acc[j] += or -= PRG(seed)[first + j] modulo 2^64, j < count. Errors: INTERNAL (libcrypto failed). */
FT_NODISCARD enum ft_status ft_ss_prg_apply(struct ft_ss_prg *prg, const uint8_t seed[32], bool subtract,
                                            uint64_t *acc, uint64_t first, size_t count);

/* out[j] = PRG(seed)[first + j]. */
FT_NODISCARD enum ft_status ft_ss_prg_words(struct ft_ss_prg *prg, const uint8_t seed[32], uint64_t *out,
                                            uint64_t first, size_t count);

/* One mask of many. */
struct ft_ss_mask {
    uint8_t seed[32];
    bool subtract;
};

/*
 * Apply `mask_count` masks to the words first .. first+count-1 of a vector, chunk-major: for one chunk all
 * seeds run while it stays in cache. With threads > 1 the chunks are shared out between that many threads (at
 * most FT_SS_THREADS_MAX, and never more than there are chunks); 0 and 1 work in the caller's. A failed call
 * leaves `acc` in no defined state. Errors: ARGUMENT, NOMEM, INTERNAL.
 */
FT_NODISCARD enum ft_status ft_ss_masks_apply(uint16_t suite, enum ft_ss_backend backend,
                                              const struct ft_ss_mask *masks, size_t mask_count,
                                              uint64_t *acc, uint64_t first, size_t count, unsigned threads);

#endif
