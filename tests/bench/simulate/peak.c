#include "bench_case.h"
#include "common/base/alloc.h"

#include <cblas.h>
#include <pthread.h>

enum { SIZE = 1024, REPEATS = 12, THREADS_MAX = 64 };

struct products {
    float *a, *b, *c;
    double best;
};

static void *
multiply(void *arg)
{
    struct products *p = arg;

    p->best = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        const double begin = bench_now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIZE, SIZE, SIZE, 1, p->a, SIZE, p->b, SIZE, 0, p->c,
                    SIZE);
        const double took = bench_now() - begin;
        p->best = took < p->best ? took : p->best;
    }
    return NULL;
}

double
bench_peak(unsigned threads)
{
    struct products p[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    double best = 1e9;

    bench_must(threads <= THREADS_MAX, "too many threads");
    for (unsigned t = 0; t < threads; t++) {
        p[t].a = ft_calloc(3 * (size_t)SIZE * SIZE, sizeof(float));
        bench_must(p[t].a != NULL, "out of memory");
        for (size_t i = 0; i < 2 * (size_t)SIZE * SIZE; i++)
            p[t].a[i] = (float)(i % 97) / 97;
        p[t].b = p[t].a + (size_t)SIZE * SIZE;
        p[t].c = p[t].b + (size_t)SIZE * SIZE;
        bench_must(pthread_create(&ids[t], NULL, multiply, &p[t]) == 0, "no thread");
    }
    for (unsigned t = 0; t < threads; t++) {
        (void)pthread_join(ids[t], NULL);
        best = p[t].best < best ? p[t].best : best;
        ft_free(p[t].a);
    }
    return threads * (2.0 * SIZE * SIZE * SIZE / best) * 1e-9; /* the least disturbed thread's, for each */
}
