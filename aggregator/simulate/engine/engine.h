/*
 * Rounds of virtual clients around the training and server code that shops and aggregator run.
 *
 * Invariants
 *   1. The same experiment gives the same model bytes for any number of threads and processes (ranks.h): every client's
 *      randomness is its own (seed, round, client), and contributions are added up by one tree (sum.h).
 *   2. secure_sum exact and cost give the same bytes: masks cancel exactly.
 *   3. Memory does not grow with rounds, nor with clients but for the state that SCAFFOLD and Ditto keep for those who
 *      took part.
 */
#ifndef FT_SIMULATE_ENGINE_H
#define FT_SIMULATE_ENGINE_H

#include "aggregator/simulate/engine/score.h"
#include "aggregator/simulate/experiment/experiment.h"
#include "aggregator/simulate/partition/partition.h"
#include "common/base/buf.h"

struct ft_sim_engine;

struct ft_sim_input {
    const struct ft_sim_experiment *e; /* all borrowed while the engine is open */
    const struct ft_sim_data *data;
    const struct ft_sim_clients *clients;
    const struct ft_model_spec *spec;
    unsigned threads;
};

struct ft_sim_round {
    uint64_t round;          /* from 1 */
    uint32_t asked, came;    /* clients */
    double rate;             /* learning rate */
    double seconds;          /* of the round without its evaluation */
    bool scored;
    struct ft_sim_score score; /* on the test rows */
    uint64_t bytes_up;       /* of all contributions: packed words under secure sum, else float32 */
    double mask_seconds;     /* processor seconds of masking, secure_sum exact; of one client */
};

/* Errors: CONFIG, NOTFOUND, FORMAT (availability), LIMIT, NOMEM. */
FT_NODISCARD enum ft_status ft_sim_engine_open(const struct ft_sim_input *input, struct ft_sim_engine **out,
                                               struct ft_error *err);
void ft_sim_engine_close(struct ft_sim_engine *engine); /* NULL is allowed */

/* The next round; all processes together, as _score, _personal and _save. Errors: NONFINITE (diverged; says in which round), LIMIT (a sum that does not fit its lanes), NOMEM. */
FT_NODISCARD enum ft_status ft_sim_engine_round(struct ft_sim_engine *engine, struct ft_sim_round *out,
                                                struct ft_error *err);
uint64_t ft_sim_engine_rounds(const struct ft_sim_engine *engine); /* done so far */
const float *ft_sim_engine_params(const struct ft_sim_engine *engine);
uint64_t ft_sim_engine_parameters(const struct ft_sim_engine *engine);
uint64_t ft_sim_engine_turns(const struct ft_sim_engine *engine); /* clients that trained, so far */

/* What the rounds so far cost each customer, and what that follows from; `on` is false without privacy. */
struct ft_sim_privacy {
    bool on;
    double epsilon_rdp, epsilon_pld;
    uint32_t order;                /* of the RDP */
    double noise_multiplier, q;    /* z_eff of the shares */
    uint64_t steps;                /* rounds: those done, or all there may be when a target ends the run */
    uint64_t customers, declared;  /* there are, and rounded up */
    uint32_t t_min, sigma_share, scale, lane_bits;
};
/* Errors: those of the accountant. */
FT_NODISCARD enum ft_status ft_sim_engine_privacy(const struct ft_sim_engine *engine, struct ft_sim_privacy *out);

/* Score other parameters on the test rows, e.g. a baseline's. Errors: NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status ft_sim_engine_score(struct ft_sim_engine *engine, const float *params,
                                                struct ft_sim_score *out);

/* Adjusted Rand index of two sets of centroids over the train rows; NAN for other models. Errors: NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status ft_sim_engine_agreement(struct ft_sim_engine *engine, const float *a, const float *b,
                                                    double *index);

/* Accuracy of parameters on the test rows, weighted to one client's own mix of labels; NAN without classes or rows.
 * Errors: NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status ft_sim_engine_own_mix(struct ft_sim_engine *engine, uint32_t client, const float *params,
                                                  double *accuracy);

/* Accuracy of the clients' own models (Ditto), each on the test rows weighted to its own mix of labels, the mean over
 * those who have one and rows; NAN when no client has one. Errors: NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status ft_sim_engine_personal(struct ft_sim_engine *engine, double *accuracy, struct ft_error *err);

/* Score in process 0 alone, for what the others do not do (baselines); and together again. */
void ft_sim_engine_alone(struct ft_sim_engine *engine, bool alone);

/* Everything a later process needs to go on; `out` is whole in process 0. Errors: FORMAT, NOMEM. */
FT_NODISCARD enum ft_status ft_sim_engine_save(const struct ft_sim_engine *engine, struct ft_buf *out);
FT_NODISCARD enum ft_status ft_sim_engine_load(struct ft_sim_engine *engine, struct ft_bytes in);

#endif
