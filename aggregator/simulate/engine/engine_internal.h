#ifndef FT_SIMULATE_ENGINE_INTERNAL_H
#define FT_SIMULATE_ENGINE_INTERNAL_H

#include "aggregator/simulate/algorithm/algorithm.h"
#include "aggregator/simulate/engine/engine.h"
#include "aggregator/simulate/engine/sampling.h"
#include "aggregator/simulate/engine/sum.h"
#include "aggregator/simulate/partition/draw.h"
#include "common/secure_sum/codec.h"

#include <stdatomic.h>

/* One client's place in a round. */
struct sim_place {
    uint32_t client;
    uint32_t epochs;
    bool came;           /* it has rows, and was not dropped */
    const float *theta;  /* what it starts from */
    double factor;       /* of its weight: FedBuff's staleness; else 1 */
    uint64_t stream;     /* of its randomness */
};

/* What one thread works with. */
struct sim_worker {
    float *scratch;    /* (2 parameters) */
    int64_t *z;        /* (vector), secure sum */
    uint64_t *words;   /* one client's */
    uint64_t *total;   /* sum of this thread's clients */
    uint64_t masks_ns; /* processor time of masking */
    uint64_t masked;   /* clients */
};

struct sim_flight;

struct ft_sim_engine {
    struct ft_sim_input in;
    const struct sim_algorithm *algorithm;
    struct sim_server server;
    struct sim_sampling sampling;
    struct sim_pool *pool;
    struct ft_trainer *trainers[SIM_THREADS_MAX];
    struct sim_worker workers[SIM_THREADS_MAX];
    uint64_t vector;    /* length of a contribution */
    float **own;        /* (clients) of (parameters), NULL until a client's first turn */
    uint64_t rounds, turns;
    bool alone; /* scoring is process 0's */

    struct sim_asked *asked;
    struct sim_place *places;
    uint32_t most;      /* places */
    uint32_t place_count;

    /* Contributions of one wave: as many clients as fit the room. Under secure sum each is packed at once. */
    uint32_t wave;
    float *vectors, *changes; /* (wave, vector), or (threads, vector) under secure sum; (wave, parameters) */
    double *weights;          /* (most) of the round's places; 0: did not come */
    uint32_t from, to;        /* the wave at hand, of places */
    atomic_uint next;
    atomic_int status;
    double rate;
    struct sim_sum sum;
    double *secure_sum;       /* (vector); NULL without secure sum */
    uint32_t client_from, client_to; /* whose own state this process keeps */

    struct ft_ss_codec codec; /* secure sum */
    struct sim_session *session; /* exact: of the round at hand, in process 0 */
    uint64_t **packed;           /* exact: (places) in the other processes, of a wave */
    double number_most;       /* largest extra number */
    struct sim_flight *flight; /* FedBuff */
    struct sim_private *private; /* rounds under differential privacy; NULL: none */
};

/* Train every place and add up, all processes together: *sum (vector), *weight, *came. */
FT_NODISCARD enum ft_status sim_run_places(struct ft_sim_engine *g, const double **sum, double *weight, uint32_t *came,
                                           struct ft_error *err);

/* secure.c */
FT_NODISCARD enum ft_status sim_secure_open(struct ft_sim_engine *g, struct ft_error *err);
void sim_secure_close(struct ft_sim_engine *g);
/* Can this round's places make a sum, with so many lost? If not, the round changes nothing. */
bool sim_secure_possible(const struct ft_sim_engine *g);
FT_NODISCARD enum ft_status sim_secure_begin(struct ft_sim_engine *g, struct ft_error *err);
void sim_secure_done(struct ft_sim_engine *g); /* whatever happened */
FT_NODISCARD enum ft_status sim_secure_add(struct ft_sim_engine *g, unsigned number, const struct sim_place *p,
                                           uint64_t weight, float *vector);
/* exact, on several processes: what the others have packed since comes to process 0, which masks and uploads for their
 * clients. All together. */
FT_NODISCARD enum ft_status sim_secure_gather(struct ft_sim_engine *g);
FT_NODISCARD enum ft_status sim_secure_end(struct ft_sim_engine *g, uint32_t came, double *weight, struct ft_error *err);

/* buffered.c */
FT_NODISCARD enum ft_status sim_buffered_open(struct ft_sim_engine *g, struct ft_error *err);
void sim_buffered_close(struct ft_sim_engine *g);
FT_NODISCARD enum ft_status sim_buffered_plan(struct ft_sim_engine *g, uint32_t *asked); /* fills places */
FT_NODISCARD enum ft_status sim_buffered_done(struct ft_sim_engine *g); /* the server has stepped */
FT_NODISCARD enum ft_status sim_buffered_save(const struct ft_sim_engine *g, struct ft_buf *out);
FT_NODISCARD enum ft_status sim_buffered_load(struct ft_sim_engine *g, struct ft_bytes *in);

#endif
