/*
 * k-means: rows in clusters around centroids, by Lloyd's rounds (Lloyd 1982). The model's parameters are the
 * centroids, (clusters, features) row-major, in the space of standardised features. What clients add up is,
 * for each cluster, the sum over its rows and their number; from that the server moves the centroids. Nothing
 * else is needed, so a federation makes the same rounds as one place with all rows would.
 *
 *   block     (clusters, features + 1): of each cluster the features' sums, then the number of rows
 *   z         (rows, clusters) squared distances to the centroids; the loss of a row is the least of them,
 * labels are not read; a prediction is 1 at the nearest centroid (ties: the lowest number) and 0 elsewhere
 *
 * With noise a customer adds x - c, not x (as the relative updates of Diaa, Humphries and Kerschbaum 2024):
 * near the end those are short, so the clip can be small beside the data, and the noise with it.
 */
#ifndef FT_MODEL_KMEANS_H
#define FT_MODEL_KMEANS_H

#include "common/model/model.h"
#include "common/model/statistics.h"

#define FT_KMEANS_NOWHERE UINT32_MAX /* a row whose distances are no numbers */

/* The nearest centroid of each row, (rows), or NOWHERE; and the squared distance to it (rows; NULL allowed;
 * NAN). */
void ft_kmeans_assign(struct ft_model *m, const float *params, const float *x, size_t rows, uint32_t *nearest,
                      double *distances);

/* Add the rows' sums and numbers to `block`. Errors: NONFINITE (the block is then of no use). */
FT_NODISCARD enum ft_status ft_kmeans_sum(struct ft_model *m, const float *params, const float *x,
                                          size_t rows, double *block);

/*
 * One customer's vector of length `clip` at most, (clusters, features + 1): the mean over their rows of
 * (x - c, shortened to sqrt(3)/2 clip; clip/2) at the nearest cluster, zeros elsewhere. Half the clip on the
 * number leaves it four noises clear from 8 noise multipliers of customers on, and costs the sums an eighth.
 * `nearest` (rows) is what assign said, of many customers at once; zeros when a row is nowhere.
 */
void ft_kmeans_customer(const struct ft_model_spec *spec, const float *params, const float *x,
                        const uint32_t *nearest, size_t rows, double clip, float *vector);
/* A sum of such vectors to a block as above, in place. */
void ft_kmeans_from_customers(const struct ft_model_spec *spec, const float *params, double clip,
                              double *block);

/* Sums of standardised features to sums of u (0 .. 1 over the declared range), and back, in place: what a
 * secure sum counts in fixed point. */
void ft_kmeans_to_units(const struct ft_model_spec *spec, const struct ft_bounds *bounds, const double *means,
                        const double *stds, double *block);
void ft_kmeans_from_units(const struct ft_model_spec *spec, const struct ft_bounds *bounds,
                          const double *means, const double *stds, double *block);

/*
 * One step of the server. A centroid moves to the mean of its rows where it has at least `least` of them
 * (never below one). A smaller cluster would show a mean of few people, or of noise: its centroid is put
 * beside that of the largest cluster, which it then splits, while `reseed` holds, and else stays where it
 * was. The place beside is drawn from `seed` and `version`, both public, never from rows.
 */
struct ft_kmeans_rules {
    double least;
    double noise; /* standard deviation of noise in each sum of features; 0: none */
    bool reseed;
    uint64_t seed, version; /* version: steps made before */
};
struct ft_kmeans_moved {
    uint32_t small; /* clusters below `least` */
    double length;  /* of the whole move, but for those put elsewhere */
};
/* With noise a move counts only as far as it stands out of it: it is shortened by James and Stein's factor
 * (1961; positive part), so that centroids that have arrived rest. Errors: NONFINITE (params untouched). */
FT_NODISCARD enum ft_status ft_kmeans_step(const struct ft_model_spec *spec,
                                           const struct ft_kmeans_rules *rules, const double *block,
                                           float *params, struct ft_kmeans_moved *moved);

/* Does step `version` + 1 of `rounds` still put small clusters elsewhere? In the first half. */
bool ft_kmeans_reseeds(uint64_t version, uint64_t rounds);

/* Centroids into the declared ranges: a row can lie nowhere else. */
void ft_kmeans_clamp(const struct ft_model_spec *spec, const struct ft_bounds *bounds, const double *means,
                     const double *stds, float *params);

/* Lloyd's rounds over rows that are in one place, params in and out: what a federation is measured against.
 * Errors: NONFINITE, NOMEM. */
FT_NODISCARD enum ft_status ft_kmeans_pooled(struct ft_model *m, const float *x, size_t rows, uint64_t rounds,
                                             double least, uint64_t seed, float *params);

/* How far two clusterings of the same rows agree, whatever the clusters' numbers (below `clusters`): 1 the
 * same, about 0 by chance (Hubert and Arabie 1985, "Comparing partitions"). NAN for fewer than two rows.
 * Errors: NOMEM. */
FT_NODISCARD enum ft_status ft_adjusted_rand(const uint32_t *a, const uint32_t *b, size_t rows,
                                             uint32_t clusters, double *index);

#endif
