/*
 * Lloyd's rounds of k-means over clients: client k contributes the sums and numbers of each cluster's rows,
 * per row of its own; the server moves each centroid to the mean of all its rows (Lloyd 1982;
 * common/model/kmeans.h). With every client in every round the centroids are those of pooled rows. With
 * privacy a customer's part is cut at the clip, and `noise` is what the server reckons with.
 */
#include "aggregator/simulate/algorithm/algorithm.h"
#include "common/base/alloc.h"
#include "common/model/kmeans.h"

#include <math.h>

#define CLEAR 4 /* a number of so few standard deviations of its noise is not divided by */

static enum ft_status
client(struct sim_turn *t)
{
    const struct ft_model_spec *spec = &t->server->spec;
    const size_t count = (size_t)spec->classes * (spec->features + 1);
    double *block = ft_calloc(count, sizeof *block);
    enum ft_status st = block != NULL ? FT_OK : FT_ERR_NOMEM;

    if (st == FT_OK)
        st = ft_kmeans_sum(ft_trainer_model(t->trainer), t->theta, t->data.x, t->data.rows, block);
    for (size_t i = 0; st == FT_OK && i < count; i++)
        t->vector[i] = (float)(block[i] / (double)t->data.rows);
    ft_free(block);
    return st;
}

static enum ft_status
server(struct sim_server *s, const double *sum, double weight, uint32_t clients)
{
    const struct ft_kmeans_rules rules = { .least = fmax(s->e->model.min_cluster, CLEAR * s->noise_number),
                                           .noise = s->noise_sum,
                                           .reseed = ft_kmeans_reseeds(s->rounds, s->e->training.rounds),
                                           .seed = s->e->seed,
                                           .version = s->rounds };
    (void)weight;
    (void)clients;
    return ft_kmeans_step(&s->spec, &rules, sum, s->params, NULL);
}

const struct sim_algorithm sim_lloyd = { .kind = FT_SIM_LLOYD, .client = client, .server = server };
