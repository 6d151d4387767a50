#include "aggregator/simulate/engine/sum.h"
#include "aggregator/simulate/engine/ranks.h"
#include "common/base/alloc.h"

#include <string.h>

#define BLOCK 1024 /* coordinates: the roots' blocks stay in cache while a wave passes */

void
sim_sum_open(struct sim_sum *s, uint64_t length)
{
    *s = (struct sim_sum){ .length = length };
}

void
sim_sum_close(struct sim_sum *s)
{
    for (unsigned i = 0; i < SIM_SUM_ROOTS; i++)
        ft_free(s->data[i]);
    *s = (struct sim_sum){ 0 };
}

void
sim_sum_begin(struct sim_sum *s)
{
    s->count = 0;
}

static enum ft_status
make_room(struct sim_sum *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (s->data[i] != NULL)
            continue;
        s->data[i] = ft_calloc(s->length, sizeof *s->data[i]);
        if (s->data[i] == NULL)
            return FT_ERR_NOMEM;
    }
    return FT_OK;
}

static bool
siblings(const struct sim_root *a, const struct sim_root *b)
{
    return a->level == b->level && a->index % 2 == 0 && a->index + 1 == b->index;
}

/* to = to + from, or just what there is. */
static void
join(bool to_empty, bool from_empty, double *restrict to, const double *restrict from, uint64_t n)
{
    if (from_empty || n == 0)
        return;
    if (to_empty)
        memcpy(to, from, n * sizeof *to);
    else
        for (uint64_t i = 0; i < n; i++)
            to[i] += from[i];
}

/* The newest root is complete: join it with its left half as long as it is a right one. Coordinates from ..
 * to. */
static unsigned
settle(double *const *data, struct sim_root *roots, unsigned count, uint64_t from, uint64_t to)
{
    while (count > 1 && siblings(&roots[count - 2], &roots[count - 1])) {
        struct sim_root *left = &roots[count - 2];
        const struct sim_root *right = &roots[count - 1];
        join(left->empty, right->empty, data[count - 2] + from, data[count - 1] + from, to - from);
        *left = (struct sim_root){ left->level + 1, left->index / 2, left->empty && right->empty };
        count--;
    }
    return count;
}

struct wave {
    struct sim_sum *s;
    struct sim_pool *pool;
    const float *vectors;
    const double *weights;
    uint32_t first, count;
};

/* One block of coordinates: every place of the wave, from the roots as they were before it. */
static void
add_block(const struct wave *w, uint64_t from, uint64_t to)
{
    const struct sim_sum *s = w->s;
    struct sim_root roots[SIM_SUM_ROOTS];
    unsigned count = s->count;

    memcpy(roots, s->roots, sizeof roots);
    for (uint32_t i = 0; i < w->count; i++) {
        const double weight = w->weights[i];
        const float *restrict v = w->vectors + i * s->length;
        double *restrict leaf = s->data[count];
        roots[count++] = (struct sim_root){ 0, w->first + i, !(weight > 0) };
        for (uint64_t k = from; weight > 0 && k < to; k++)
            leaf[k] = weight * (double)v[k];
        count = settle(s->data, roots, count, from, to);
    }
}

static void
add_share(void *ctx, unsigned number)
{
    const struct wave *w = ctx;
    const uint64_t blocks = (w->s->length + BLOCK - 1) / BLOCK, threads = sim_pool_threads(w->pool);
    for (uint64_t b = blocks * number / threads; b < blocks * (number + 1) / threads; b++)
        add_block(w, b * BLOCK, (b + 1) * BLOCK < w->s->length ? (b + 1) * BLOCK : w->s->length);
}

enum ft_status
sim_sum_add(struct sim_sum *s, struct sim_pool *pool, const float *vectors, const double *weights,
            uint32_t first, uint32_t count)
{
    struct wave w = { s, pool, vectors, weights, first, count };
    struct sim_root roots[SIM_SUM_ROOTS];
    unsigned at = s->count, most = at + 1;
    enum ft_status st;

    memcpy(roots, s->roots, sizeof roots);
    for (uint32_t i = 0; i < count; i++) { /* the same steps without numbers: how much room they take */
        roots[at++] = (struct sim_root){ 0, first + i, !(weights[i] > 0) };
        most = at > most ? at : most;
        at = settle(s->data, roots, at, 0, 0);
    }
    FT_TRY(make_room(s, most));
    sim_pool_run(pool, add_share, &w);
    memcpy(s->roots, roots, sizeof roots);
    s->count = at;
out:
    return st;
}

/* Process 0 takes in the roots of the others, in their order. */
static enum ft_status
take_in(struct sim_sum *s)
{
    const size_t size = s->length * sizeof **s->data;
    enum ft_status st = FT_OK;

    if (ft_sim_rank() > 0) {
        uint32_t count = s->count;
        sim_ranks_send(0, &count, sizeof count);
        for (unsigned i = 0; i < s->count; i++) {
            sim_ranks_send(0, &s->roots[i], sizeof s->roots[i]);
            if (!s->roots[i].empty)
                sim_ranks_send(0, s->data[i], size);
        }
        return make_room(s, 1);
    }
    for (unsigned r = 1; r < ft_sim_ranks(); r++) {
        uint32_t count;
        sim_ranks_receive(r, &count, sizeof count);
        for (uint32_t i = 0; i < count; i++) {
            if (st == FT_OK)
                st = make_room(s, s->count + 1);
            sim_ranks_receive(r, &s->roots[s->count], sizeof s->roots[0]);
            if (st != FT_OK)
                return st;
            if (!s->roots[s->count].empty)
                sim_ranks_receive(r, s->data[s->count], size);
            s->count = settle(s->data, s->roots, s->count + 1, 0, s->length);
        }
    }
    return st;
}

enum ft_status
sim_sum_end(struct sim_sum *s, const double **out)
{
    enum ft_status st;

    FT_TRY(make_room(s, 1));
    if (ft_sim_ranks() > 1)
        FT_TRY(take_in(s));
    if (ft_sim_rank() == 0) {
        if (s->count == 0)
            s->roots[s->count++].empty = true;
        for (; s->count > 1; s->count--) {
            join(s->roots[s->count - 2].empty, s->roots[s->count - 1].empty, s->data[s->count - 2],
                 s->data[s->count - 1], s->length);
            s->roots[s->count - 2].empty = s->roots[s->count - 2].empty && s->roots[s->count - 1].empty;
        }
        if (s->roots[0].empty)
            memset(s->data[0], 0, s->length * sizeof **s->data);
    }
    sim_ranks_tell(s->data[0], s->length * sizeof **s->data);
    *out = s->data[0];
out:
    if (st != FT_OK)
        sim_ranks_give_up(st);
    return st;
}
