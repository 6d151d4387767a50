/* What bench_simulate measures: experiments as `fedtill-simulate run` reads them, through the engine that it
 * runs. */
#ifndef BENCH_SIMULATE_CASE_H
#define BENCH_SIMULATE_CASE_H

#include "aggregator/simulate/engine/engine.h"
#include "aggregator/simulate/engine/sampling.h"

struct bench_case {
    const char *name;
    const char *classes; /* of the drawn rows, and their features */
    const char *model, *clients_a_round;
    uint32_t clients, rows, epochs; /* rows of each client */
    double rate;
    double flops; /* of a row: forward, backward, no step */
};

struct bench_world {
    struct ft_sim_experiment e;
    struct ft_sim_data data;
    struct ft_sim_clients clients;
    struct ft_model_spec spec;
    struct ft_sim_engine *engine;
    struct sim_sampling sampling; /* the engine's own draw of clients, for the others to follow */
    struct sim_asked *asked;
};

void bench_must(bool good, const char *what);
double bench_now(void);
double bench_processor(void); /* seconds of all threads */

void bench_world_open(const struct bench_case *c, unsigned threads, int rounds, struct bench_world *out);
void bench_world_close(struct bench_world *w);
/* Raw float32 files x, y, test_x, test_y and start (the first parameters) in `folder`, client after client.
 */
void bench_world_write(const struct bench_world *w, const char *folder);
/* The clients of a round (from 1), in w->asked; how many. */
uint32_t bench_world_asked(struct bench_world *w, uint64_t round);

/* GFLOP/s of large matrix products in OpenBLAS on `threads` threads at once: the most that this machine does.
 */
double bench_peak(unsigned threads);

/* PyTorch rounds in a process of their own; NULL with a message when there is none. */
struct anchor;
struct anchor *anchor_open(const struct bench_case *c, const struct bench_world *w, const char *mode,
                           const char *folder);
/* Seconds, and those of processors. */
double anchor_round(struct anchor *a, const struct sim_asked *asked, uint32_t count, double *processor);
double anchor_accuracy(struct anchor *a);
void anchor_close(struct anchor *a);

#endif
