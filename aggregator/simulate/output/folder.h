/*
 * A run's folder: everything that is needed to read the run, to repeat it, and to go on with it.
 *
 *   experiment.yaml    as it was resolved, defaults included
 *   rounds.csv         one row a round, with a header
 *   summary.json       rounds, metrics, baselines, seconds, clients_per_second, peak_bytes, model_sha256, seed, versions
 *   model.safetensors  the parameters, one float32 tensor
 *   report.html        plots and tables, readable without a network
 *   state.bin          to go on from; gone when the run is complete
 */
#ifndef FT_SIMULATE_FOLDER_H
#define FT_SIMULATE_FOLDER_H

#include "aggregator/simulate/engine/engine.h"

struct ft_sim_baselines {
    bool has_pooled, has_local, has_personal;
    struct ft_sim_score pooled; /* one model of all train rows */
    struct ft_sim_score local;  /* means over clients that train alone, on the test rows */
    uint32_t local_clients;
    double local_accuracy_own_mix; /* their accuracy on their own mix of labels; NAN without classes */
    double personal_accuracy;      /* Ditto's models, likewise */
};

struct ft_sim_result {
    uint64_t rounds, clients_trained;
    double seconds; /* of rounds, evaluation included, over all processes that worked on the run */
    double round_seconds;
    struct ft_sim_score score;
    struct ft_sim_baselines baselines;
    struct ft_sim_spread spread;
    uint64_t bytes_up;
    double mask_seconds;
    uint64_t peak_bytes;
    uint32_t clients, parameters_hidden;
    uint64_t parameters, train_rows, test_rows;
};

/* Make the folder. Errors: DUPLICATE (it holds a run, and `force` is not set), IO, FULL, NOMEM. */
FT_NODISCARD enum ft_status ft_sim_folder_make(const char *dir, bool force, struct ft_error *err);

FT_NODISCARD enum ft_status ft_sim_write_experiment(const char *dir, const struct ft_sim_experiment *e,
                                                    struct ft_error *err);
FT_NODISCARD enum ft_status ft_sim_write_summary(const char *dir, const struct ft_sim_experiment *e,
                                                 const struct ft_sim_result *r, const float *params,
                                                 struct ft_error *err);
FT_NODISCARD enum ft_status ft_sim_write_model(const char *dir, const struct ft_sim_experiment *e, const float *params,
                                               uint64_t parameters, struct ft_error *err);

/* The rounds' header and row, as text. */
extern const char ft_sim_rounds_header[];
FT_NODISCARD enum ft_status ft_sim_rounds_row(const struct ft_sim_round *round, struct ft_buf *out);

/* state.bin: the engine's state, the rows of rounds.csv so far, and the experiment they belong to. Errors of load:
 * NOTFOUND, CONFIG (of another experiment), FORMAT (damaged). */
FT_NODISCARD enum ft_status ft_sim_state_save(const char *dir, const struct ft_sim_experiment *e,
                                              const struct ft_sim_engine *engine, double seconds,
                                              const struct ft_buf *rounds, struct ft_error *err);
FT_NODISCARD enum ft_status ft_sim_state_load(const char *dir, const struct ft_sim_experiment *e,
                                              struct ft_sim_engine *engine, double *seconds, struct ft_buf *rounds,
                                              struct ft_error *err);

/* report.html from the folder's own files; several folders are put side by side. */
FT_NODISCARD enum ft_status ft_sim_report(const char *const *dirs, size_t count, const char *path, struct ft_error *err);

#endif
