/*
 * A run's folder, read back for reports and comparisons. Nothing of it is trusted: a file may be another
 * program's, cut, or edited. What newer programs add (columns, keys) is passed over.
 */
#ifndef FT_SIMULATE_RUN_FILES_H
#define FT_SIMULATE_RUN_FILES_H

#include "aggregator/simulate/experiment/target.h"
#include "common/base/buf.h"

/* One line of rounds.csv; NAN where the field is empty or there is no such column. */
struct sim_run_round {
    double round, asked, came, learning_rate, seconds, bytes_up, loss, accuracy, auc, mask_seconds;
};

/* One line of partition.csv; names and label counts are the folder's. */
struct sim_run_client {
    char *name; /* NULL: its number */
    double rows;
};

/* One scalar of the experiment: "training.rounds", "100". Lists as they stand in flow style: "[200, 100]". */
struct sim_run_key {
    char *path, *value;
};

typedef struct json_t json_t; /* jansson */

struct sim_run {
    char *dir;
    char *label; /* what tells it from others: the folder's last name */
    json_t *summary;
    struct ft_buf yaml; /* experiment.yaml; empty: there is none */
    struct sim_run_key *keys;
    size_t key_count;
    struct sim_run_round *rounds;
    size_t round_count;
    struct sim_run_client *clients; /* NULL: no partition.csv */
    size_t client_count;
    double *labels; /* (client_count, label_count) rows of each label */
    size_t label_count;
};

/* Errors: NOTFOUND (no summary.json: no run, or one that is not complete), FORMAT (file and line), LIMIT,
 * NOMEM. Clear *out. */
FT_NODISCARD enum ft_status sim_run_open(const char *dir, struct sim_run *out, struct ft_error *err);
void sim_run_close(struct sim_run *run);

/* A number of the summary by path ("metrics.accuracy"); NAN without one. */
double sim_run_number(const struct sim_run *run, const char *path);
const char *sim_run_text(const struct sim_run *run, const char *path); /* "" without one */
const char *sim_run_key(const struct sim_run *run,
                        const char *path); /* of the experiment; NULL without one */

/* What the run is judged by: the value of the last scored round. */
enum sim_metric
sim_run_metric(const struct sim_run *run); /* auc for binary labels, accuracy for classes, else loss */
double sim_round_metric(const struct sim_run_round *round, enum sim_metric metric);

/* Rounds until the metric reaches a target (target.h); NAN when it never does. */
double sim_run_rounds_to(const struct sim_run *run, enum sim_metric metric, double target);

#endif
