#include "common/plan/dyadic.h"

#include "common/plan/measure_plan.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define LEVELS_MAX 24

/* Inverse variances of a node's best estimate from its own subtree, by level, a node's own being 1. */
static void
weigh(uint32_t levels, double root_weight, double weights[LEVELS_MAX + 1])
{
    weights[levels] = 1;
    for (uint32_t l = levels; l-- > 0;)
        weights[l] = weights[l + 1] / 2 + (l > 0 ? 1 : root_weight);
}

/* Upwards each node takes the mean of its own count and its halves', by inverse variance; downwards what is
 * left over is shared by the halves alike. `nodes` NULL: only the leaves count, from `leaves`. */
static void
fit(uint32_t levels, const double *nodes, double root, double root_weight, double *leaves, double *room)
{
    double weights[LEVELS_MAX + 1];
    double *best = room; /* level l at 2^l - 1 */

    assert(levels >= 1 && levels <= LEVELS_MAX);
    weigh(levels, root_weight, weights);
    for (size_t i = 0; i < (size_t)1 << levels; i++)
        best[((size_t)1 << levels) - 1 + i] = nodes != NULL ? nodes[ft_measure_level(levels) + i] : leaves[i];
    for (uint32_t l = levels; l-- > 0;) {
        const double own = l > 0 ? 1 : root_weight;
        for (size_t i = 0; i < (size_t)1 << l; i++) {
            const double *halves = best + ((size_t)1 << (l + 1)) - 1 + 2 * i;
            const double count = nodes == NULL ? 0 : l > 0 ? nodes[ft_measure_level(l) + i] : root;
            best[((size_t)1 << l) - 1 + i] =
                ((halves[0] + halves[1]) * (weights[l + 1] / 2) + count * own) / weights[l];
        }
    }
    for (uint32_t l = 0; l < levels; l++)
        for (size_t i = 0; i < (size_t)1 << l; i++) {
            double *halves = best + ((size_t)1 << (l + 1)) - 1 + 2 * i;
            const double rest = (best[((size_t)1 << l) - 1 + i] - halves[0] - halves[1]) / 2;
            halves[0] += rest;
            halves[1] += rest;
        }
    memcpy(leaves, best + ((size_t)1 << levels) - 1, ((size_t)1 << levels) * sizeof *leaves);
}

void
ft_dyadic_fit(uint32_t levels, const double *nodes, double root, double root_weight, double *leaves,
              double *room)
{
    fit(levels, nodes, root, root_weight, leaves, room);
}

/* The fit is linear: leaves = S X^T W y with S the covariance in question. For y that is `functional` in the
 * leaves and 0 elsewhere, X^T W y is the functional itself, so the fit of it is S a, and a^T S a is what is
 * asked for. */
double
ft_dyadic_variance(uint32_t levels, double root_weight, const double *functional, double *room)
{
    const size_t count = (size_t)1 << levels;
    double *leaves = room + 2 * count, sum = 0;

    memcpy(leaves, functional, count * sizeof *leaves);
    fit(levels, NULL, 0, root_weight, leaves, room);
    for (size_t i = 0; i < count; i++)
        sum += functional[i] * leaves[i];
    return sum;
}

/*
 * With e the leaves below k and 1 all of them: e^T S e - 2 p e^T S 1 + p^2 1^T S 1. Upwards a node's best, times its
 * weight, is the mean of its halves' and so the part of its leaves in the functional. Of 1 all nodes of a level are
 * alike, so the root's 1 / weight is shared by the leaves alike. Of e the sum that is asked for is that of the final
 * values of the nodes that lie below k and end there, one a level at most, beside the way from the root to k.
 */
double
ft_dyadic_rank_variance(uint32_t levels, double root_weight, size_t k, double p)
{
    const double part = (double)k / (double)((size_t)1 << levels);
    double weights[LEVELS_MAX + 1], sum = 0, node, inside = part; /* of the node at hand: final value, part below k */

    assert(levels >= 1 && levels <= LEVELS_MAX && k <= (size_t)1 << levels);
    weigh(levels, root_weight, weights);
    node = inside / weights[0];
    for (uint32_t l = 1; l <= levels && inside > 0 && inside < 1; l++) {
        const double left = fmin(1, 2 * inside), right = 2 * inside - left;
        const double rest = (node - (left + right) / weights[l]) / 2;
        if (left >= 1)
            sum += 1 / weights[l] + rest;
        inside = left >= 1 ? right : left;
        node = inside / weights[l] + rest;
    }
    if (inside >= 1) /* k is the end of all */
        sum = node;
    return sum - 2 * p * part / weights[0] + p * p / weights[0];
}
