/*
 * A run's folder: everything that is needed to read the run, to repeat it, and to go on with it.
 *
 *   experiment.yaml    as it was resolved, defaults included
 *   rounds.csv         one row a round, with a header
 *   summary.json       rounds, metrics, baselines, seconds, clients_per_second, peak_bytes, model_sha256, seed, versions
 *   model.safetensors  the parameters, one float32 tensor
 *   data.sha256        the files it reads, as sha256sum writes and checks them; none for drawn rows
 *   partition.csv      one row a client: its rows, and how many of each label
 *   report.html        plots and tables, readable without a network
 *   state.bin          to go on from; gone when the run is complete (summary.json is there)
 */
#ifndef FT_SIMULATE_FOLDER_H
#define FT_SIMULATE_FOLDER_H

#include "aggregator/simulate/data/files.h"
#include "aggregator/simulate/engine/engine.h"

struct ft_sim_baselines {
    bool has_pooled, has_local, has_personal, has_without_privacy, has_central;
    struct ft_sim_score pooled; /* one model of all train rows */
    struct ft_sim_score local;  /* means over clients that train alone, on the test rows */
    uint32_t local_clients;
    double local_accuracy_own_mix;       /* their accuracy on their own mix of labels; NAN without classes */
    double personal_accuracy;            /* Ditto's models, likewise */
    struct ft_sim_score without_privacy; /* the same rounds without clipping, lanes, masks and noise */
    struct ft_sim_score central;         /* central DP-SGD at the same epsilon */
    double agreement_pooled, agreement_without_privacy; /* k-means: adjusted Rand index with them over train rows; NAN */
};

struct ft_sim_result {
    uint64_t rounds, clients_trained;
    double seconds; /* of rounds, evaluation included, over all processes that worked on the run */
    double round_seconds;
    struct ft_sim_score score;
    struct ft_sim_baselines baselines;
    struct ft_sim_privacy privacy; /* on: the run had noise */
    struct ft_sim_spread spread;
    uint64_t bytes_up;
    double mask_seconds;
    uint64_t peak_bytes; /* resident, of the largest process */
    uint32_t clients;
    unsigned threads, ranks;
    uint64_t parameters, train_rows, test_rows;
    const struct sim_files *files; /* that were read, while the run lasts; NULL: none */
    double rounds_to_target; /* NAN: no target, or not reached */
    bool complete_before; /* resumed, and nothing was left to do: the folder has the figures, these are zeros
                           */
    uint8_t model_sha256[32]; /* of the parameters as float32, little-endian */
};

/* What of a run is in the folder. */
enum ft_sim_held { FT_SIM_NOTHING, FT_SIM_UNFINISHED, FT_SIM_COMPLETE };

/* Look, and change nothing. CONFIG when a run is there and neither `resume` nor `force` is set, or when it is
 * resumed by another experiment. */
FT_NODISCARD enum ft_status ft_sim_folder_look(const char *dir, const struct ft_sim_experiment *e,
                                               bool resume, bool force, enum ft_sim_held *held,
                                               struct ft_error *err);

/* Make the folder and keep other processes out of it; *lock is closed to let them in. Errors: LATER (another
 * process is in it), IO, FULL. */
FT_NODISCARD enum ft_status ft_sim_folder_enter(const char *dir, int *lock, struct ft_error *err);

/* Take a former run out of it. Errors: IO. */
FT_NODISCARD enum ft_status ft_sim_folder_empty(const char *dir, struct ft_error *err);

/* data.sha256. Errors of same: CONFIG (a file that is another one now, both hashes), NOTFOUND (no such list). */
FT_NODISCARD enum ft_status ft_sim_write_files(const char *dir, const struct sim_files *files, struct ft_error *err);
FT_NODISCARD enum ft_status ft_sim_same_files(const char *dir, const struct sim_files *files, struct ft_error *err);
FT_NODISCARD enum ft_status ft_sim_write_experiment(const char *dir, const struct ft_sim_experiment *e,
                                                    struct ft_error *err);
FT_NODISCARD enum ft_status ft_sim_write_summary(const char *dir, const struct ft_sim_experiment *e,
                                                 const struct ft_sim_result *r, struct ft_error *err);
FT_NODISCARD enum ft_status ft_sim_write_model(const char *dir, const struct ft_sim_experiment *e,
                                               const float *params, uint64_t parameters,
                                               struct ft_error *err);
/* The summary as it stands in the folder, a new reference. Errors: NOTFOUND, FORMAT. */
typedef struct json_t json_t;
FT_NODISCARD enum ft_status ft_sim_read_summary(const char *dir, json_t **out, struct ft_error *err);
/* The summary of a run, a new reference; NULL without memory. */
json_t *ft_sim_summary_json(const struct ft_sim_experiment *e, const struct ft_sim_result *r);

/* rounds.csv: the header, and one row a round. */
extern const char ft_sim_rounds_header[];
FT_NODISCARD enum ft_status ft_sim_rounds_row(const struct ft_sim_round *round, struct ft_buf *out);

/* What a run has used so far, over all processes that worked on it. */
struct ft_sim_totals {
    double seconds, round_seconds, mask_seconds; /* mask_seconds: of one client, summed over rounds */
    uint64_t bytes_up;
    uint64_t rounds_size;      /* bytes of rounds.csv that this state stands behind */
    struct ft_sim_score score; /* the newest */
    struct sim_reach reach;    /* of the experiment's target */
};

/* state.bin: the experiment it belongs to, the totals and the engine's state. Errors of load: NOTFOUND,
 * CONFIG (of another experiment), FORMAT (damaged). */
FT_NODISCARD enum ft_status ft_sim_state_save(const char *dir, const struct ft_sim_experiment *e,
                                              const struct ft_sim_engine *engine,
                                              const struct ft_sim_totals *totals, struct ft_error *err);
FT_NODISCARD enum ft_status ft_sim_state_load(const char *dir, const struct ft_sim_experiment *e,
                                              struct ft_sim_engine *engine, struct ft_sim_totals *totals,
                                              struct ft_error *err);

/* report.html from the folder's own files; several folders are put side by side. */
FT_NODISCARD enum ft_status ft_sim_report(const char *const *dirs, size_t count, const char *path,
                                          struct ft_error *err);

#endif
