#include "aggregator/simulate/engine/sampling.h"
#include "aggregator/simulate/partition/draw.h"
#include "common/base/alloc.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
by_client(const void *a, const void *b)
{
    const struct sim_spell *x = a, *y = b;
    return (x->client > y->client) - (x->client < y->client);
}

/* `client,from,to` a line, behind a header of these words. */
static enum ft_status
read_trace(struct sim_sampling *s, const char *path, struct ft_error *err)
{
    char line[256];
    uint64_t number = 0;
    size_t room = 0;
    enum ft_status st = FT_OK;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return ft_fail(err, FT_ERR_NOTFOUND, "%s: %s", path, strerror(errno));
    while (st == FT_OK && fgets(line, sizeof line, file) != NULL) {
        struct sim_spell spell;
        int end = 0;
        number++;
        line[strcspn(line, "\r\n")] = '\0';
        if (number == 1 ? strcmp(line, "client,from,to") != 0
                        : sscanf(line, "%" SCNu32 ",%" SCNu64 ",%" SCNu64 "%n", &spell.client, &spell.from, &spell.to,
                                 &end) != 3 ||
                              line[end] != '\0' || spell.client >= s->population || spell.from > spell.to) {
            st = ft_fail(err, FT_ERR_FORMAT, "%s:%" PRIu64 ": expected %s", path, number,
                         number == 1 ? "the header client,from,to"
                                     : "a client's number (from 0), and the first and last round it is there");
            break;
        }
        if (number == 1)
            continue;
        if (s->spell_count == room) {
            struct sim_spell *more = ft_realloc(s->spells, (room = 2 * room + 64) * sizeof *more);
            if (more == NULL)
                st = FT_ERR_NOMEM;
            else
                s->spells = more;
        }
        if (st == FT_OK)
            s->spells[s->spell_count++] = spell;
    }
    fclose(file);
    if (st == FT_OK && s->spell_count == 0)
        st = ft_fail(err, FT_ERR_FORMAT, "%s: no client is ever there", path);
    if (st == FT_OK)
        qsort(s->spells, s->spell_count, sizeof *s->spells, by_client);
    return st;
}

enum ft_status
sim_sampling_open(const struct ft_sim_experiment *e, uint32_t population, struct sim_sampling *out, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    *out = (struct sim_sampling){ .e = e, .population = population };
    if (e->clients.count > population)
        return ft_fail(err, FT_ERR_CONFIG, "clients.count is %u of %u clients", e->clients.count, population);
    out->all = ft_calloc(population, sizeof *out->all);
    if (out->all == NULL)
        st = FT_ERR_NOMEM;
    else if (e->clients.availability != NULL)
        st = read_trace(out, e->clients.availability, err);
    if (st != FT_OK)
        sim_sampling_close(out);
    return st;
}

void
sim_sampling_close(struct sim_sampling *s)
{
    ft_free(s->spells);
    ft_free(s->all);
    *s = (struct sim_sampling){ 0 };
}

/* Those who are there, into s->all. */
static uint32_t
present(struct sim_sampling *s, uint64_t round)
{
    uint32_t count = 0;
    if (s->spells == NULL) {
        for (uint32_t i = 0; i < s->population; i++)
            s->all[count++] = i;
        return count;
    }
    for (size_t i = 0; i < s->spell_count; i++) {
        const struct sim_spell *spell = &s->spells[i];
        if (round >= spell->from && round <= spell->to && (count == 0 || s->all[count - 1] != spell->client))
            s->all[count++] = spell->client;
    }
    return count;
}

static uint32_t
wanted(const struct sim_sampling *s, uint32_t present_count)
{
    uint32_t count = s->e->clients.count;
    if (s->e->clients.fraction > 0) { /* at least one, as McMahan et al. 2017 have it */
        count = (uint32_t)llround(s->e->clients.fraction * (double)present_count);
        count = count < 1 ? 1 : count;
    }
    return count < present_count ? count : present_count;
}

uint32_t
sim_sampling_most(const struct sim_sampling *s)
{
    return wanted(s, s->population);
}

static int
ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

uint32_t
sim_sample(struct sim_sampling *s, uint64_t round, struct sim_asked *asked)
{
    struct sim_draw draw;
    const uint32_t there = present(s, round), count = wanted(s, there);
    const uint32_t epochs = s->e->training.local_epochs;

    sim_draw_init(&draw, s->e->seed, UINT64_C(0x73616d706c650000) + round); /* "sample" */
    for (uint32_t i = 0; i < count; i++) { /* Fisher and Yates, the first `count` steps */
        const uint32_t j = i + (uint32_t)sim_draw_below(&draw, there - i), swap = s->all[i];
        s->all[i] = s->all[j];
        s->all[j] = swap;
    }
    qsort(s->all, count, sizeof *s->all, ascending);
    for (uint32_t i = 0; i < count; i++) {
        const bool late = sim_draw_uniform(&draw) < s->e->clients.stragglers;
        const uint32_t fewer = epochs > 1 ? 1 + (uint32_t)sim_draw_below(&draw, epochs - 1) : 1;
        asked[i] = (struct sim_asked){ .client = s->all[i],
                                       .dropped = sim_draw_uniform(&draw) < s->e->clients.dropout,
                                       .epochs = late ? fewer : epochs };
    }
    return count;
}

double
sim_rate(const struct ft_sim_experiment *e, uint64_t round)
{
    const double r = e->training.learning_rate;
    switch (e->training.schedule) {
    case FT_SIM_EXPONENTIAL:
        return r * ft_real_power(e->training.decay, round - 1);
    case FT_SIM_COSINE: /* to zero behind the last round; Loshchilov and Hutter 2017 */
        return r * 0.5 * (1 + ft_real_cos_turn(0.5 * (double)(round - 1) / (double)e->training.rounds));
    case FT_SIM_INVERSE_SQRT:
        return r / sqrt((double)round);
    case FT_SIM_CONSTANT:
        break;
    }
    return r;
}
