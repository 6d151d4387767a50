#include "aggregator/simulate/engine/pool.h"
#include "common/base/alloc.h"

#include <pthread.h>
#include <stdbool.h>

struct sim_pool {
    unsigned threads, started;
    pthread_t ids[SIM_THREADS_MAX];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned turn, busy; /* a new turn is a new job */
    bool over;
    void (*job)(void *ctx, unsigned number);
    void *ctx;
};

struct start {
    struct sim_pool *pool;
    unsigned number;
};

static void *
work(void *arg)
{
    const struct start s = *(struct start *)arg;
    struct sim_pool *p = s.pool;
    unsigned seen = 0;
    ft_free(arg);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->turn == seen && !p->over)
            pthread_cond_wait(&p->changed, &p->lock);
        if (p->over)
            break;
        seen = p->turn;
        pthread_mutex_unlock(&p->lock);
        p->job(p->ctx, s.number);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0)
            pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum ft_status
sim_pool_open(unsigned threads, struct sim_pool **out)
{
    struct sim_pool *p = ft_calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL)
        return FT_ERR_NOMEM;
    p->threads = threads < 1 ? 1 : threads > SIM_THREADS_MAX ? SIM_THREADS_MAX : threads;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    for (unsigned i = 1; i < p->threads; i++) {
        struct start *s = ft_calloc(1, sizeof *s);
        if (s == NULL || (*s = (struct start){ p, i }, pthread_create(&p->ids[i], NULL, work, s) != 0)) {
            ft_free(s);
            sim_pool_close(p);
            return s == NULL ? FT_ERR_NOMEM : FT_ERR_INTERNAL;
        }
        p->started = i;
    }
    *out = p;
    return FT_OK;
}

void
sim_pool_close(struct sim_pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->over = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 1; i <= p->started; i++)
        pthread_join(p->ids[i], NULL);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    ft_free(p);
}

unsigned
sim_pool_threads(const struct sim_pool *p)
{
    return p->threads;
}

void
sim_pool_run(struct sim_pool *p, void (*job)(void *ctx, unsigned number), void *ctx)
{
    pthread_mutex_lock(&p->lock);
    p->job = job;
    p->ctx = ctx;
    p->busy = p->threads - 1;
    p->turn++;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    job(ctx, 0);
    pthread_mutex_lock(&p->lock);
    while (p->busy > 0)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
