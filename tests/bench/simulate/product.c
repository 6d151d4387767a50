/* Rounds of the library: threads take clients in turn, the sum is added up in the clients' order. */
#include "bench_case.h"
#include "common/base/alloc.h"
#include "common/model/server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS_MAX = 64 };

struct product {
    const struct bench_case *c;
    const struct bench_data *data;
    uint64_t parameters;
    float *params, *deltas; /* deltas: (sampled, parameters) */
    double *sum;
    struct ft_server *server;
    struct ft_trainer *trainers[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    unsigned threads;
    pthread_barrier_t begin, trained, added;
    const uint32_t *sampled; /* NULL: the threads end */
    uint64_t round;
    atomic_uint next;
};

struct worker {
    struct product *p;
    unsigned number;
};

static void
train_clients(struct product *p, struct ft_trainer *t)
{
    const size_t rows = p->c->rows;

    for (unsigned i; (i = atomic_fetch_add(&p->next, 1)) < p->c->sampled;) {
        const size_t first = p->sampled[i] * rows;
        const struct ft_dataset data = { p->data->x + first * p->c->spec.features, p->data->y + first, rows };
        struct ft_env_seeded env;
        ft_env_seeded_init(&env, p->round, p->sampled[i]);
        bench_must(ft_train_local(t, &data, &env.env, p->params, p->deltas + i * p->parameters) == FT_OK,
                   "training failed");
    }
}

/* This thread's share of the coordinates, all clients in order: the same sum for any number of threads. */
static void
add_up(struct product *p, unsigned number)
{
    const size_t from = p->parameters * number / p->threads, to = p->parameters * (number + 1) / p->threads;
    const double weight = p->c->rows;

    for (size_t k = from; k < to; k++)
        p->sum[k] = 0;
    for (uint32_t i = 0; i < p->c->sampled; i++) {
        const float *delta = p->deltas + i * p->parameters;
        for (size_t k = from; k < to; k++)
            p->sum[k] += weight * (double)delta[k];
    }
}

static void *
work(void *arg)
{
    const struct worker w = *(struct worker *)arg;

    ft_free(arg);
    for (;;) {
        (void)pthread_barrier_wait(&w.p->begin);
        if (w.p->sampled == NULL)
            return NULL;
        train_clients(w.p, w.p->trainers[w.number]);
        (void)pthread_barrier_wait(&w.p->trained);
        add_up(w.p, w.number);
        (void)pthread_barrier_wait(&w.p->added);
    }
}

struct product *
product_open(const struct bench_case *c, const struct bench_data *data, unsigned threads)
{
    const struct ft_server_config server = { .kind = FT_SERVER_FEDAVG, .learning_rate = 1 };
    struct product *p = ft_calloc(1, sizeof *p);

    bench_must(p != NULL && threads >= 1 && threads <= THREADS_MAX, "no product");
    p->c = c;
    p->data = data;
    p->threads = threads;
    p->parameters = ft_model_parameters(&c->spec);
    p->params = ft_calloc(p->parameters, sizeof *p->params);
    p->deltas = ft_calloc(p->parameters * c->sampled, sizeof *p->deltas);
    p->sum = ft_calloc(p->parameters, sizeof *p->sum);
    bench_must(p->params != NULL && p->deltas != NULL && p->sum != NULL, "out of memory");
    memcpy(p->params, data->start, p->parameters * sizeof *p->params);
    bench_must(ft_server_open(&server, p->parameters, &p->server, NULL) == FT_OK, "no server");
    (void)pthread_barrier_init(&p->begin, NULL, threads + 1);
    (void)pthread_barrier_init(&p->trained, NULL, threads);
    (void)pthread_barrier_init(&p->added, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++) {
        struct worker *w = ft_calloc(1, sizeof *w);
        bench_must(w != NULL && ft_trainer_open(&c->spec, &c->train, c->rows, &p->trainers[i], NULL) == FT_OK,
                   "no trainer");
        *w = (struct worker){ p, i };
        bench_must(pthread_create(&p->ids[i], NULL, work, w) == 0, "no thread");
    }
    return p;
}

double
product_round(struct product *p, const uint32_t *sampled, uint64_t round)
{
    const double begin = bench_now();

    p->sampled = sampled;
    p->round = round;
    atomic_store(&p->next, 0);
    (void)pthread_barrier_wait(&p->begin);
    (void)pthread_barrier_wait(&p->added);
    bench_must(ft_server_step(p->server, p->sum, (double)p->c->rows * p->c->sampled, p->params) == FT_OK,
               "the server's step failed");
    return bench_now() - begin;
}

const float *
product_params(const struct product *p)
{
    return p->params;
}

void
product_close(struct product *p)
{
    p->sampled = NULL;
    (void)pthread_barrier_wait(&p->begin);
    for (unsigned i = 0; i < p->threads; i++) {
        (void)pthread_join(p->ids[i], NULL);
        ft_trainer_close(p->trainers[i]);
    }
    (void)pthread_barrier_destroy(&p->begin);
    (void)pthread_barrier_destroy(&p->trained);
    (void)pthread_barrier_destroy(&p->added);
    ft_server_close(p->server);
    ft_free(p->params);
    ft_free(p->deltas);
    ft_free(p->sum);
    ft_free(p);
}
