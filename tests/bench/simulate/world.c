#include "bench_case.h"
#include "common/base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEST_ROWS 10000

static char *
yaml_of(const struct bench_case *c, int rounds)
{
    return ft_asprintf(
        "name: %s\n"
        "seed: 1\n"
        "data:\n  source: synthetic\n%s  rows: %u\n  test_rows: %d\n"
        "partition:\n  kind: iid\n  clients: %u\n"
        "model:\n%s"
        "algorithm:\n  name: fedavg\n"
        "training:\n  rounds: %d\n  local_epochs: %u\n  batch_size: 10\n  learning_rate: %.9g\n"
        "clients:\n  fraction: %s\n"
        "evaluation:\n  every: 10000000\n",
        c->name, c->classes, c->clients * c->rows, TEST_ROWS, c->clients, c->model, rounds, c->epochs,
        c->rate, c->clients_a_round);
}

static void
must(enum ft_status st, const struct ft_error *err)
{
    if (st != FT_OK)
        bench_must(false, err->text[0] != '\0' ? err->text : ft_status_name(st));
}

void
bench_world_open(const struct bench_case *c, unsigned threads, int rounds, struct bench_world *w)
{
    struct ft_findings findings;
    struct ft_error err = { 0 };
    char *yaml = yaml_of(c, rounds);

    memset(w, 0, sizeof *w);
    bench_must(yaml != NULL, "out of memory");
    must(ft_sim_experiment_parse(FT_BYTES(yaml, strlen(yaml)), c->name, NULL, &w->e, &findings, &err), &err);
    ft_free(yaml);
    must(ft_sim_data_open(&w->e.data, w->e.seed, &w->data, &err), &err);
    must(ft_sim_partition(&w->e.partition, w->e.seed, &w->data, &w->clients, &err), &err);
    must(ft_sim_experiment_model(&w->e, &w->data, &w->spec, &err), &err);
    const struct ft_sim_input input = { &w->e, &w->data, &w->clients, &w->spec, threads };
    must(ft_sim_engine_open(&input, &w->engine, &err), &err);
    must(sim_sampling_open(&w->e, w->clients.count, &w->sampling, &err), &err);
    w->asked = ft_calloc(sim_sampling_most(&w->sampling), sizeof *w->asked);
    bench_must(w->asked != NULL, "out of memory");
}

void
bench_world_close(struct bench_world *w)
{
    ft_free(w->asked);
    sim_sampling_close(&w->sampling);
    ft_sim_engine_close(w->engine);
    ft_sim_clients_clear(&w->clients);
    ft_sim_data_clear(&w->data);
    ft_sim_experiment_clear(&w->e);
}

uint32_t
bench_world_asked(struct bench_world *w, uint64_t round)
{
    return sim_sample(&w->sampling, round, w->asked);
}

static void
write_floats(const char *folder, const char *name, const float *v, size_t count)
{
    char path[512];
    FILE *f;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    bench_must(f != NULL && fwrite(v, sizeof *v, count, f) == count && fclose(f) == 0,
               "cannot write the rows");
}

void
bench_world_write(const struct bench_world *w, const char *folder)
{
    const size_t features = w->data.features;

    write_floats(folder, "x", w->data.train.x, w->data.train.rows * features);
    write_floats(folder, "y", w->data.train.y, w->data.train.rows);
    write_floats(folder, "test_x", w->data.test.x, w->data.test.rows * features);
    write_floats(folder, "test_y", w->data.test.y, w->data.test.rows);
    write_floats(folder, "start", ft_sim_engine_params(w->engine), ft_sim_engine_parameters(w->engine));
}
