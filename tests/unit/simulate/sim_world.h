/* An engine over a handful of rows that live in memory, from an experiment's YAML. */
#ifndef FT_TEST_SIM_WORLD_H
#define FT_TEST_SIM_WORLD_H

#include "aggregator/simulate/engine/engine_internal.h"
#include "common/base/alloc.h"

#include <string.h>

struct sim_world {
    struct ft_sim_experiment e;
    struct ft_sim_data data;
    struct ft_sim_clients clients;
    struct ft_model_spec spec;
    struct ft_sim_engine *engine;
};

#define WORLD_HEAD                                                                                           \
    "name: test\nseed: 7\ndata:\n  source: csv\n  train: x\n  label: y\npartition:\n  kind: column\n"

static inline void
world_parse(const char *yaml, struct ft_sim_experiment *e)
{
    struct ft_findings findings;
    struct ft_error err = { 0 };
    if (ft_sim_experiment_parse(FT_BYTES(yaml, strlen(yaml)), "test", NULL, e, &findings, &err) != FT_OK)
        fail_msg("%s", err.text);
}

static inline void
world_engine(struct sim_world *w, unsigned threads)
{
    const struct ft_sim_input input = { &w->e, &w->data, &w->clients, &w->spec, threads };
    struct ft_error err = { 0 };
    if (ft_sim_engine_open(&input, &w->engine, &err) != FT_OK)
        fail_msg("%s", err.text);
}

/* rows of `features` numbers and a label; `counts` rows a client. classes 0: the label is a number. */
static inline void
world_open(struct sim_world *w, const char *yaml, const float *rows, uint32_t features, uint32_t classes,
           const uint64_t *counts, uint32_t clients)
{
    struct ft_error err = { 0 };
    memset(w, 0, sizeof *w);
    world_parse(yaml, &w->e);
    w->clients.count = clients;
    w->clients.offsets = ft_calloc((size_t)clients + 1, sizeof *w->clients.offsets);
    for (uint32_t k = 0; k < clients; k++)
        w->clients.offsets[k + 1] = w->clients.offsets[k] + counts[k];
    w->data = (struct ft_sim_data){ .features = features, .classes = classes };
    w->data.train.rows = w->clients.offsets[clients];
    w->data.train.x = ft_calloc(w->data.train.rows * features, sizeof(float));
    w->data.train.y = ft_calloc(w->data.train.rows, sizeof(float));
    for (uint64_t i = 0; i < w->data.train.rows; i++) {
        memcpy(w->data.train.x + i * features, rows + i * (features + 1), features * sizeof(float));
        w->data.train.y[i] = rows[i * (features + 1) + features];
    }
    if (ft_sim_experiment_model(&w->e, &w->data, &w->spec, &err) != FT_OK)
        fail_msg("%s", err.text);
    world_engine(w, 1);
}

static inline struct ft_sim_round
world_round(struct sim_world *w)
{
    struct ft_sim_round round;
    struct ft_error err = { 0 };
    if (ft_sim_engine_round(w->engine, &round, &err) != FT_OK)
        fail_msg("%s", err.text);
    return round;
}

static inline void
world_close(struct sim_world *w)
{
    ft_sim_engine_close(w->engine);
    ft_sim_clients_clear(&w->clients);
    ft_sim_data_clear(&w->data);
    ft_sim_experiment_clear(&w->e);
}

#endif
