/*
 * One run of one experiment: rows, clients, rounds, baselines, and the folder that holds what came of it.
 *
 *   data and partition --> [state.bin] --> rounds --> baselines --> summary, model, report
 *
 * A run that was cut off (power, kill -9, a signal) goes on from its last saved state and ends in the same
 * bytes as one that was not: everything drawn is drawn from the seed and the round's number.
 */
#ifndef FT_SIMULATE_RUN_H
#define FT_SIMULATE_RUN_H

#include "aggregator/simulate/output/folder.h"

#include <signal.h>

enum ft_sim_stage { FT_SIM_READING, FT_SIM_ROUNDS, FT_SIM_BASELINES, FT_SIM_WITHOUT_PRIVACY, FT_SIM_CENTRAL, FT_SIM_WRITING };

/* How far a run is; passed to a callback in the thread that called ft_sim_run. */
struct ft_sim_progress {
    enum ft_sim_stage stage;
    uint64_t done, all;               /* rounds, or baselines */
    uint64_t clients;                 /* that trained in this process's rounds */
    double seconds;                   /* since this process's first round */
    uint64_t done_before;             /* rounds of earlier processes */
    const struct ft_sim_round *round; /* the newest; NULL outside rounds */
};

struct ft_sim_run_options {
    const char *dir;                   /* the run's folder; NULL: nothing is written */
    unsigned threads;                  /* 0: as many as this process may use */
    uint32_t save_every;               /* rounds between saved states; 0: as often as costs little */
    bool resume;                       /* go on in `dir`; begin there when it holds no run */
    bool force;                        /* replace the run in `dir` */
    const volatile sig_atomic_t *stop; /* not 0: save and leave (CANCELLED); NULL: never */
    void (*progress)(void *ctx, const struct ft_sim_progress *p); /* NULL: quiet */
    void *ctx;
};

/* Errors: those of the data, the partition and the engine; CONFIG (the folder holds a run, or one of another
 * experiment); STATE (another process works in the folder); CANCELLED (stopped; the state is saved). */
FT_NODISCARD enum ft_status ft_sim_run(const struct ft_sim_experiment *e,
                                       const struct ft_sim_run_options *options, struct ft_sim_result *out,
                                       struct ft_error *err);

/* How many threads this process may use. */
unsigned ft_sim_threads(void);

#endif
