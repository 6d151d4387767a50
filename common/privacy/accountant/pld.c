/* Epsilon and delta by the privacy loss' distribution: the grid, then both directions. */
#include "common/privacy/accountant/accountant_internal.h"

#include "common/base/alloc.h"
#include <math.h>

#define FINEST  1e-4   /* of the grid, in loss */
#define COARSE  5      /* grids to try, each 4 times as coarse, before giving up */
#define RESOLVE 24.0   /* cells a deviation of one step's loss */
#define CELLS   (1 << 21) /* of a law, for one shop */

/* The grid: 1e-4, finer for many steps of rare customers and where a step's loss is itself that small. */
static double
grid_step(const struct ft_account_event *events, size_t count)
{
    double step = FINEST, widest = 0;
    for (size_t i = 0; i < count; i++) {
        double deviation, low, high;
        ft_pld_spread(&events[i], &deviation, &low, &high);
        if (events[i].steps >= 5000 && events[i].q <= 0.002)
            step = fmin(step, FINEST / 4);
        step = fmin(step, deviation / RESOLVE);
        widest = fmax(widest, (high - low) * events[i].m);
    }
    return fmax(step, widest / CELLS);
}

struct question {
    bool want_delta;
    double given;
};

static enum ft_status
answer_at(const struct ft_account_event *events, size_t count, double step, const struct question *q,
          struct ft_pld_answer *answer)
{
    struct ft_pld_event *laws = ft_calloc(count, sizeof *laws);
    double both[2] = { 0, 0 };
    enum ft_status st = FT_ERR_NOMEM;

    if (laws == NULL)
        goto out;
    for (size_t i = 0; i < count; i++)
        FT_TRY(ft_pld_event_make(&events[i], step, &laws[i]));
    for (int d = 0; d < 2; d++)
        FT_TRY(q->want_delta ? ft_pld_tail(laws, count, d, step, q->given, &both[d])
                             : ft_pld_solve(laws, count, d, step, q->given, &both[d]));
    *answer = (struct ft_pld_answer){ both[0], both[1], fmax(both[0], both[1]) };
    st = FT_OK;
out:
    for (size_t i = 0; laws != NULL && i < count; i++)
        ft_pld_event_clear(&laws[i]);
    ft_free(laws);
    return st;
}

/* Events with steps, equal ones as one. */
static size_t
merged(const struct ft_account_event *events, size_t count, struct ft_account_event *out)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        size_t same = 0;
        if (events[i].steps == 0)
            continue;
        while (same < n && !(out[same].q == events[i].q && out[same].z == events[i].z && out[same].m == events[i].m))
            same++;
        if (same < n)
            out[same].steps += events[i].steps;
        else
            out[n++] = events[i];
    }
    return n;
}

static enum ft_status
ask(const struct ft_account_event *events, size_t count, const struct question *q, struct ft_pld_answer *answer)
{
    struct ft_account_event *list = NULL;
    enum ft_status st;

    FT_TRY(ft_account_events_check(events, count));
    list = ft_calloc(count + 1, sizeof *list);
    if (list == NULL)
        return FT_ERR_NOMEM;
    const size_t n = merged(events, count, list);
    if (n == 0) {
        *answer = (struct ft_pld_answer){ 0, 0, 0 };
        goto out;
    }
    double step = grid_step(list, n);
    st = FT_ERR_NONFINITE;
    if (!isfinite(step) || !(step > 0))
        goto out;
    for (int tries = 0; tries < COARSE; tries++, step *= 4) { /* a window too wide for the grid: still an upper bound */
        st = answer_at(list, n, step, q, answer);
        if (st != FT_ERR_LIMIT)
            break;
    }
out:
    ft_free(list);
    return st;
}

enum ft_status
ft_pld_epsilon(const struct ft_account_event *events, size_t count, double delta, struct ft_pld_answer *epsilon)
{
    const struct question q = { false, delta };
    const enum ft_status st = ft_account_delta_check(delta);
    return st != FT_OK ? st : ask(events, count, &q, epsilon);
}

enum ft_status
ft_pld_delta(const struct ft_account_event *events, size_t count, double epsilon, struct ft_pld_answer *delta)
{
    const struct question q = { true, epsilon };
    if (!(epsilon >= 0) || !isfinite(epsilon))
        return FT_ERR_LIMIT;
    return ask(events, count, &q, delta);
}
