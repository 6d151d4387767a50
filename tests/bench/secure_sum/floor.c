#include "tests/bench/secure_sum/floor.h"
#include "common/base/alloc.h"
#include "common/secure_sum/prg.h"
#include "tests/bench/secure_sum/measure.h"

#include <string.h>

/* One way to do it. */
struct way {
    enum ft_ss_backend backend;
    size_t piece; /* words of keystream between two additions */
};

static void
add(uint64_t *restrict acc, const uint64_t *restrict stream, size_t words)
{
    for (size_t i = 0; i < words; i++)
        acc[i] += stream[i];
}

static double
run(uint16_t suite, struct way way, size_t mask_count, uint64_t *acc, size_t words)
{
    static uint64_t stream[FT_SS_CHUNK_WORDS];
    struct ft_ss_prg *prg;
    double start;

    bench_must(ft_ss_prg_open(suite, way.backend, &prg), "generator");
    start = bench_cpu_s();
    for (size_t chunk = 0; chunk < words; chunk += FT_SS_CHUNK_WORDS) {
        const size_t end = words - chunk < FT_SS_CHUNK_WORDS ? words : chunk + FT_SS_CHUNK_WORDS;
        for (size_t m = 0; m < mask_count; m++) {
            uint8_t seed[32] = { 1 };
            memcpy(seed + 8, &m, sizeof m);
            for (size_t at = chunk; at < end; at += way.piece) {
                const size_t n = end - at < way.piece ? end - at : way.piece;
                bench_must(ft_ss_prg_words(prg, seed, stream, at, n), "keystream");
                add(acc + at, stream, n);
            }
        }
    }
    start = bench_cpu_s() - start;
    ft_ss_prg_close(prg);
    return start;
}

double
bench_floor_s(uint16_t suite, size_t mask_count, size_t words)
{
    static const size_t pieces[] = { 1024, FT_SS_CHUNK_WORDS };
    const size_t trial = words < 8 * FT_SS_CHUNK_WORDS ? words : 8 * FT_SS_CHUNK_WORDS;
    uint64_t *acc = ft_big_alloc(words * sizeof *acc);
    struct way best = { FT_SS_BACKEND_CRYPTO, 1024 };
    double best_s = -1, seconds[3];

    if (acc == NULL)
        bench_die("out of memory");
    for (int b = FT_SS_BACKEND_SODIUM; b < FT_SS_BACKEND_COUNT; b++)
        for (size_t p = 0; p < 2; p++) {
            const struct way way = { (enum ft_ss_backend)b, pieces[p] };
            double s;
            if (!ft_ss_backend_available(suite, way.backend))
                continue;
            s = run(suite, way, 16, acc, trial);
            if (best_s < 0 || s < best_s) {
                best_s = s;
                best = way;
            }
        }
    for (size_t i = 0; i < 3; i++) {
        seconds[i] = run(suite, best, mask_count, acc, words);
        if (i == 0 && seconds[0] > 1.0) { /* long enough to be steady */
            seconds[1] = seconds[2] = seconds[0];
            break;
        }
    }
    ft_big_free(acc, words * sizeof *acc);
    return bench_median(seconds, 3);
}
