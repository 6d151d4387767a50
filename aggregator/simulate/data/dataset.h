/*
 * The rows of an experiment: numbers in memory, train and test apart. Where they come from is one file a source in this
 * folder; which virtual client owns which train rows is the partition's business (partition/partition.h).
 *
 *   source      what it reads                                                                       standardised
 *   synthetic   rows drawn from a seed: ten classes of drawn images, or a logistic model            no
 *   idx         a folder with MNIST's four files, .gz or not (also Fashion-MNIST, EMNIST)           x / 255
 *   libsvm      `label index:value ...` lines; a test file, or a share of the rows set aside        as asked
 *   csv         a header and one row a line: numbers, and texts as one column a value               as asked
 *   task        a task's SELECT over each shop's transactions, by the code that shops run           by pooled means, or
 *                                                                                                   declared ranges
 */
#ifndef FT_SIMULATE_DATASET_H
#define FT_SIMULATE_DATASET_H

#include "common/base/status.h"
#include "common/model/model.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ft_sim_source { FT_SIM_SYNTHETIC = 1, FT_SIM_IDX, FT_SIM_LIBSVM, FT_SIM_CSV, FT_SIM_TASK };

/* Texts are the experiment's; NULL where a source does not have them. */
struct ft_sim_data_config {
    enum ft_sim_source source;
    char *folder;      /* idx */
    char *train, *test; /* libsvm, csv: files; test may be NULL */
    char *label;       /* csv: its column */
    char *by;          /* csv, task: the column that says whose row, or line, it is (partition: column) */
    char *customer;    /* csv: the column that says which customer's row it is, no feature; NULL: nobody knows */
    char *positive;    /* csv: the label that counts as 1; NULL: labels are numbers */
    char *task;        /* task: its YAML */
    char *files;       /* task: one CSV a shop, a glob; or the one CSV whose column `by` is the shop */
    double test_share; /* libsvm, csv without a test file: share of rows set aside; of customers where they are known */
    bool declared_ranges; /* task: features from their declared range to -1 .. 1, which needs no data; else standardised */
    bool standardise;  /* libsvm, csv: features to mean 0 and deviation 1 of the train rows */
    uint32_t rows, test_rows, features, classes; /* synthetic: classes 2 or 10; libsvm 0: binary; csv 0: a number */
};

struct ft_sim_part {
    float *x; /* (rows, features) row-major */
    float *y; /* (rows): 0 or 1, a class number, or a number */
    uint64_t rows;
};

struct ft_sim_data {
    uint32_t features;
    uint32_t classes; /* of the label: 2 and more; 0: a number */
    struct ft_sim_part train, test;
    uint32_t *owner;  /* (train.rows): the value of `by`, or the shop, as a number from 0; NULL: nobody's */
    uint32_t owners;
    uint32_t *customer; /* (train.rows): whose row it is, below `customers`; partitioned: from 0 within each client; NULL: not
                         * known. Source task knows a customer within one shop: one in two shops is two. */
    uint32_t customers;
    uint32_t customer_clients; /* partitioned: the most clients that one customer's rows are at */
    char **owner_names; /* (owners), or NULL */
};

/* Read or draw them; `seed` draws what is drawn. Errors: NOTFOUND, FORMAT (file and line, or offset), CONFIG, LIMIT,
 * NOMEM. Clear *out. */
FT_NODISCARD enum ft_status ft_sim_data_open(const struct ft_sim_data_config *config, uint64_t seed,
                                             struct ft_sim_data *out, struct ft_error *err);
void ft_sim_data_clear(struct ft_sim_data *data);

#endif
