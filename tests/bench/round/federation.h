/*
 * A federation of the shipped programs in a fresh folder under /tmp: one aggregator, N shops with a few rows each, one
 * task whose model is an MLP with two hidden layers. Any failure ends the benchmark with a sentence.
 */
#ifndef FT_BENCH_FEDERATION_H
#define FT_BENCH_FEDERATION_H

#include <stdint.h>
#include <sys/types.h>

#define BENCH_SHOPS_MAX 64u

struct bench_federation {
    char dir[64];
    unsigned shops, rounds, width;
    uint64_t parameters;
    pid_t aggregator, vault[BENCH_SHOPS_MAX];
};

/* What a run of the training rounds took. Times are a round; the first two rounds are left out of all of them. */
struct bench_figures {
    unsigned rounds; /* measured */
    double seconds, fastest, slowest;
    double cpu_aggregator, cpu_vaults, cpu_couriers; /* all shops together */
    double bytes_in, bytes_out;                      /* at the aggregator, a shop */
    double rss_vault, rss_courier, rss_aggregator;   /* MiB, highest seen; of the shops the largest */
    double rss_vault_idle, rss_courier_idle;         /* MiB, before the first round */
};

void bench_federation_open(struct bench_federation *f);
void bench_federation_run(struct bench_federation *f, struct bench_figures *out);
void bench_federation_close(struct bench_federation *f);

#endif
