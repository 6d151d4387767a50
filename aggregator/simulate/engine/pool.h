/* Threads that do one thing at a time together: run(job) calls it once in each and returns when all are done. */
#ifndef FT_SIMULATE_POOL_H
#define FT_SIMULATE_POOL_H

#include "common/base/status.h"

#define SIM_THREADS_MAX 256

struct sim_pool;

/* The caller works too, as number 0. Errors: NOMEM, INTERNAL (no thread to be had). */
FT_NODISCARD enum ft_status sim_pool_open(unsigned threads, struct sim_pool **out);
void sim_pool_close(struct sim_pool *pool); /* NULL is allowed */
unsigned sim_pool_threads(const struct sim_pool *pool);
void sim_pool_run(struct sim_pool *pool, void (*job)(void *ctx, unsigned number), void *ctx);

#endif
