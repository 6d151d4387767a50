/* k-means contributions: sums and numbers of each cluster, of a shop's rows or of customers drawn for a round
 * with noise. */
#include "client/vault/contribute_internal.h"

#include "common/model/kmeans.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

enum ft_status
contribute_clusters(struct ft_contributor *c, const struct ft_work *work, const float *x, size_t rows,
                    int64_t *z)
{
    const struct ft_round_plan *plan = work->plan;
    const size_t count = plan->layout.real_coordinates;
    const struct ft_bounds *bounds = contributor_bounds(c, work->task);
    double *block = contributor_room(&c->sums, count, sizeof *block);
    enum ft_status st;

    if (bounds == NULL || block == NULL)
        return FT_ERR_NOMEM;
    memset(block, 0, count * sizeof *block);
    FT_TRY(ft_kmeans_sum(ft_trainer_model(c->trainer), work->model->params, x, rows, block));
    ft_kmeans_to_units(&plan->model, bounds, work->model->means, work->model->stds, block);
    FT_TRY(ft_layout_encode_sums(&plan->layout, block, z));
out:
    sodium_memzero(block, count * sizeof *block);
    return st;
}

/* (loss/cap, 1 at the nearest cluster) / sqrt(2), the mean over the rows; zeros where one is nowhere. */
static void
evaluation_vector(const struct ft_round_plan *plan, const uint32_t *nearest, const double *distances,
                  size_t rows, float *vector)
{
    const double unit = sqrt(0.5) / (double)rows, cap = plan->privacy.loss_cap;

    memset(vector, 0, plan->privacy.coordinates * sizeof *vector);
    for (size_t r = 0; r < rows; r++) {
        if (nearest[r] == FT_KMEANS_NOWHERE) {
            memset(vector, 0, plan->privacy.coordinates * sizeof *vector);
            return;
        }
        vector[0] += (float)(unit * (distances[r] < cap ? distances[r] : cap) / cap);
        vector[1 + nearest[r]] += (float)unit;
    }
}

enum ft_status
contribute_cluster_customers(struct ft_contributor *c, const struct ft_work *work,
                             const struct ft_customer_rows *block, uint64_t number,
                             struct ft_encoder *encoder)
{
    struct people *a = &c->people;
    const struct ft_round_plan *plan = work->plan;
    const size_t rows = block->first[block->customers], features = plan->model.features;
    uint32_t *nearest = contributor_room(&a->z, rows, sizeof *nearest);
    double *distances = contributor_room(&a->losses, rows, sizeof *distances);
    float *vector = a->vector.data;

    if (nearest == NULL || distances == NULL)
        return FT_ERR_NOMEM;
    ft_kmeans_assign(ft_trainer_model(c->trainer), work->model->params, block->x, rows, nearest, distances);
    for (size_t i = 0; i < block->customers; i++) {
        const size_t from = block->first[i], own = block->first[i + 1] - from;
        if (plan->stage == FT_STAGE_EVALUATE)
            evaluation_vector(plan, nearest + from, distances + from, own, vector);
        else
            ft_kmeans_customer(&plan->model, work->model->params, block->x + from * features, nearest + from,
                               own, plan->privacy.clip, vector);
        ft_encoder_add(encoder, number + i, vector);
    }
    return FT_OK;
}
