/*
 * The state of a run of any bytes, for four algorithms that keep different things (the first byte chooses):
 * refused, or it saves as the same bytes and the next round ends in some way.
 */
#include "aggregator/simulate/engine/engine.h"
#include "common/base/alloc.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD                                                                                                 \
    "name: f\nseed: 1\ndata:\n  source: csv\n  train: x\n  label: y\npartition:\n  kind: column\n"           \
    "model:\n  kind: linear\ntraining:\n  rounds: 3\n  learning_rate: 0.1\n"
#define SOME "clients:\n  fraction: 0.5\nalgorithm:\n"
static const char *const texts[4] = { HEAD SOME "  name: scaffold\n", HEAD SOME "  name: fedadam\n",
                                      HEAD SOME "  name: fedyogi\n",
                                      HEAD "algorithm:\n  name: fedbuff\n  buffer: 2\n  concurrency: 3\n" };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    float x[4] = { 1, 2, 3, 4 }, y[4] = { 1, 0, 1, 0 };
    uint64_t offsets[5] = { 0, 1, 2, 3, 4 };
    const struct ft_sim_data rows = { .features = 1, .train = { x, y, 4 } };
    const struct ft_sim_clients clients = { 4, offsets };
    const size_t live = ft_alloc_live();
    struct ft_sim_experiment e;
    struct ft_findings findings;
    struct ft_model_spec spec;
    struct ft_sim_engine *engine = NULL;
    struct ft_sim_round round;
    struct ft_buf saved = { 0 };
    struct ft_error err = { 0 };

    if (size == 0)
        return 0;
    const char *text = texts[data[0] % 4];
    assert(ft_sim_experiment_parse(FT_BYTES(text, strlen(text)), "fuzz", NULL, &e, &findings, &err) == FT_OK);
    assert(ft_sim_experiment_model(&e, &rows, &spec, &err) == FT_OK);
    const struct ft_sim_input input = { &e, &rows, &clients, &spec, 1 };
    assert(ft_sim_engine_open(&input, &engine, &err) == FT_OK);
    if (ft_sim_engine_load(engine, FT_BYTES(data + 1, size - 1)) == FT_OK) {
        assert(ft_sim_engine_save(engine, &saved) == FT_OK);
        assert(saved.size == size - 1 && memcmp(saved.data, data + 1, saved.size) == 0);
        assert(ft_sim_engine_round(engine, &round, &err) == FT_OK || err.text[0] != '\0');
    }
    ft_buf_clear(&saved);
    ft_sim_engine_close(engine);
    ft_sim_experiment_clear(&e);
    assert(ft_alloc_live() == live);
    return 0;
}
