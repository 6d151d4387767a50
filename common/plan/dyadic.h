/*
 * Dyadic counts made consistent: a binary tree of noisy counts, levels 1 .. L below a root, in which each
 * node should be the sum of its two halves and with independent noise is not. Least squares puts that right
 * and lowers the noise (Hay, Rastogi, Miklau, Suciu: Boosting the accuracy of differentially private
 * histograms through consistency, VLDB 2010, section 4; here with a root of its own variance). All of it is
 * post-processing.
 *
 * nodes: level l at ft_measure_level(l), 2^l of them, each with the same variance; the root has 1 /
 * root_weight of it.
 */
#ifndef FT_PLAN_DYADIC_H
#define FT_PLAN_DYADIC_H

#include <stddef.h>
#include <stdint.h>

/* leaves (2^levels) = the least-squares counts; room has 2^(levels + 1) doubles. root_weight 0: no root is
 * known. */
void ft_dyadic_fit(uint32_t levels, const double *nodes, double root, double root_weight, double *leaves,
                   double *room);

/* Variance of sum functional[i] leaves[i], in units of a node's variance. room has 4 * 2^levels doubles. */
double ft_dyadic_variance(uint32_t levels, double root_weight, const double *functional, double *room);

/* The same of the functional that a quantile's test needs, the leaves below the k-th less p of all of them: in O(levels)
 * and without room. k 0 .. 2^levels. */
double ft_dyadic_rank_variance(uint32_t levels, double root_weight, size_t k, double p);

#endif
