/* Who is asked in a round, who does not answer, and who does less: drawn from the seed and the round's number alone. */
#ifndef FT_SIMULATE_SAMPLING_H
#define FT_SIMULATE_SAMPLING_H

#include "aggregator/simulate/experiment/experiment.h"

struct sim_spell {
    uint32_t client;
    uint64_t from, to; /* rounds, both included */
};

struct sim_sampling {
    const struct ft_sim_experiment *e;
    uint32_t population;
    struct sim_spell *spells; /* sorted by client; NULL: always there */
    size_t spell_count;
    uint32_t *all; /* (population) */
};

struct sim_asked {
    uint32_t client;
    bool dropped;    /* its update never comes */
    uint32_t epochs; /* what it does */
};

/* Reads the availability trace. Errors: NOTFOUND, FORMAT (file and line), NOMEM. */
FT_NODISCARD enum ft_status sim_sampling_open(const struct ft_sim_experiment *e, uint32_t population,
                                              struct sim_sampling *out, struct ft_error *err);
void sim_sampling_close(struct sim_sampling *s);

/* The most clients a round can ask. */
uint32_t sim_sampling_most(const struct sim_sampling *s);
/* Fill `asked` (sim_sampling_most) by ascending client; returns how many. 0: nobody is there in this round. */
uint32_t sim_sample(struct sim_sampling *s, uint64_t round, struct sim_asked *asked);

/* The clients' learning rate in a round, counted from 1. */
double sim_rate(const struct ft_sim_experiment *e, uint64_t round);

#endif
