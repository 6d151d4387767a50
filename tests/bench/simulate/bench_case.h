/* One case of bench_simulate: a model, its clients and their generated rows. */
#ifndef BENCH_SIMULATE_CASE_H
#define BENCH_SIMULATE_CASE_H

#include "common/model/train.h"

struct bench_case {
    const char *name;
    struct ft_model_spec spec;
    struct ft_train_config train;
    uint32_t clients, rows; /* rows of each client */
    uint32_t sampled;       /* clients a round */
    uint32_t test_rows;
    double flops;           /* of a row: forward, backward, no step */
};

struct bench_data {
    float *x, *y;           /* (clients * rows, features), client after client */
    float *test_x, *test_y; /* (test_rows, features) */
    float *start;           /* initial parameters */
};

void bench_must(bool good, const char *what);
double bench_now(void);

/*
 * Rows from a seed. Ten classes: like handwritten digits in what counts for speed and difficulty, images of 28 x 28
 * in [0, 1], mostly background, strokes along a path of each class that is bent, shifted and drawn again with noise.
 * Two classes: normal features and a label drawn from a logistic model.
 */
void bench_data_make(const struct bench_case *c, struct bench_data *data);
void bench_data_free(struct bench_data *data);
/* As raw float32 files x, y, test_x, test_y and start in `folder`. */
void bench_data_write(const struct bench_case *c, const struct bench_data *data, const char *folder);

/* GFLOP/s of large matrix products in OpenBLAS on `threads` threads at once: the most that this machine does. */
double bench_peak(unsigned threads);

/* Share of the test rows that the parameters get right. */
double bench_accuracy(const struct bench_case *c, const struct bench_data *data, const float *params);

/* What is measured: rounds of the product's own code on `threads` threads. */
struct product;
struct product *product_open(const struct bench_case *c, const struct bench_data *data, unsigned threads);
double product_round(struct product *p, const uint32_t *sampled, uint64_t round); /* seconds */
const float *product_params(const struct product *p);
void product_close(struct product *p);

/* PyTorch rounds in a process of their own; NULL with a message when there is none. */
struct anchor;
struct anchor *anchor_open(const struct bench_case *c, const char *mode, const char *folder);
double anchor_round(struct anchor *a, const uint32_t *sampled, uint32_t count); /* seconds */
double anchor_accuracy(struct anchor *a);
void anchor_close(struct anchor *a);

#endif
