/*
 * Many masks over one vector. Chunks are the unit of work: each is taken by one thread from a common counter,
 * all seeds run over it while it stays in cache, and no two threads ever write the same word.
 */
#include "common/base/alloc.h"
#include "common/secure_sum/prg.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>

/* What all threads read; only the two atomics change. */
struct mask_job {
    const struct ft_ss_mask *masks;
    size_t mask_count;
    uint64_t *acc;
    uint64_t first, end; /* words of the vector */
    uint64_t first_chunk, chunks;
    atomic_uint_fast64_t next; /* chunk to take, counted from first_chunk */
    atomic_int status;         /* enum ft_status of the first failure */
};

struct mask_worker {
    struct mask_job *job;
    struct ft_ss_prg *prg;
    pthread_t thread;
};

static enum ft_status
job_chunk(const struct mask_job *job, struct ft_ss_prg *prg, uint64_t chunk)
{
    const uint64_t begin = chunk * FT_SS_CHUNK_WORDS, end = begin + FT_SS_CHUNK_WORDS;
    const uint64_t from = begin > job->first ? begin : job->first;
    const uint64_t to = end < job->end ? end : job->end;
    for (size_t i = 0; i < job->mask_count; i++) {
        const enum ft_status st = ft_ss_prg_apply(prg, job->masks[i].seed, job->masks[i].subtract,
                                                  job->acc + (from - job->first), from, (size_t)(to - from));
        if (st != FT_OK)
            return st;
    }
    return FT_OK;
}

static void *
worker_main(void *arg)
{
    struct mask_worker *const w = arg;
    struct mask_job *const job = w->job;
    for (;;) {
        const uint64_t i = atomic_fetch_add(&job->next, 1);
        enum ft_status st;
        if (i >= job->chunks || atomic_load(&job->status) != FT_OK) {
            sodium_stackzero(8192); /* round keys and keystream that the kernels spilt */
            return NULL;
        }
        st = job_chunk(job, w->prg, job->first_chunk + i);
        if (st != FT_OK)
            atomic_store(&job->status, (int)st);
    }
}

enum ft_status
ft_ss_masks_apply(uint16_t suite, enum ft_ss_backend backend, const struct ft_ss_mask *masks,
                  size_t mask_count, uint64_t *acc, uint64_t first, size_t count, unsigned threads)
{
    enum ft_status st = FT_OK;
    struct mask_worker workers[FT_SS_THREADS_MAX] = { 0 };
    struct mask_job job = {
        .masks = masks, .mask_count = mask_count, .acc = acc, .first = first, .end = first + count
    };
    unsigned opened = 0, started = 0;

    if (first > UINT64_MAX / 4 || count > UINT64_MAX / 4)
        return FT_ERR_ARGUMENT;
    if (count == 0 || mask_count == 0)
        return ft_ss_backend_available(suite, backend) ? FT_OK : FT_ERR_ARGUMENT;
    job.first_chunk = first / FT_SS_CHUNK_WORDS;
    job.chunks = (job.end - 1) / FT_SS_CHUNK_WORDS - job.first_chunk + 1;
    threads = threads < 1 ? 1 : threads > FT_SS_THREADS_MAX ? FT_SS_THREADS_MAX : threads;
    if (threads > job.chunks)
        threads = (unsigned)job.chunks;
    for (; opened < threads; opened++) {
        workers[opened].job = &job;
        FT_TRY(ft_ss_prg_open(suite, backend, &workers[opened].prg));
    }
    /* The caller is the first worker. A thread that cannot be had is done without. */
    for (started = 1; started < threads; started++)
        if (pthread_create(&workers[started].thread, NULL, worker_main, &workers[started]) != 0)
            break;
    (void)worker_main(&workers[0]);
    for (unsigned i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    st = (enum ft_status)atomic_load(&job.status);
out:
    for (unsigned i = 0; i < opened; i++)
        ft_ss_prg_close(workers[i].prg);
    return st;
}
