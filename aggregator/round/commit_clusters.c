/* k-means: from the sums and numbers of each cluster to the next centroids. */
#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"

#include <math.h>

static struct ft_bounds *
bounds_of(const struct ft_task *task)
{
    struct ft_bounds *bounds = ft_calloc(task->feature_count, sizeof *bounds);

    for (uint32_t i = 0; bounds != NULL && i < task->feature_count; i++)
        bounds[i] = (struct ft_bounds){ .min = task->features[i].min, .max = task->features[i].max };
    return bounds;
}

enum ft_status
engine_clamp_centroids(const struct ft_task *task, const struct ft_model_spec *spec, const double *means,
                       const double *stds, float *params)
{
    struct ft_bounds *bounds = bounds_of(task);

    if (bounds == NULL)
        return FT_ERR_NOMEM;
    ft_kmeans_clamp(spec, bounds, means, stds, params);
    ft_free(bounds);
    return FT_OK;
}

bool
engine_block_possible(const struct ft_layout *layout, const struct ft_model_spec *spec, const double *block,
                      uint64_t weight_sum, uint32_t shops)
{
    const double rounding = shops * layout->sum_unit;
    double all = 0;

    for (uint32_t k = 0; k < spec->classes; k++) {
        const double *own = block + (size_t)k * (spec->features + 1), number = own[spec->features];
        if (number != rint(number))
            return false;
        for (uint32_t j = 0; j < spec->features; j++)
            if (own[j] > number + rounding)
                return false;
        all += number;
    }
    return all == (double)weight_sum;
}

enum ft_status
engine_after_clusters(struct ft_engine *e, const struct engine_task *task, const struct engine_session *s,
                      const struct ft_model_state *model, const struct ft_kmeans_rules *rules,
                      struct ft_kmeans_moved *moved, struct engine_step *step)
{
    const struct ft_model_spec *spec = &s->plan.model;
    struct ft_bounds *bounds = bounds_of(&task->task);
    enum ft_status st = FT_ERR_NOMEM;

    if (bounds == NULL)
        goto out;
    if (!s->plan.privacy.on)
        ft_kmeans_from_units(spec, bounds, model->means, model->stds, e->reals);
    FT_TRY(engine_next_version(task, model, step));
    FT_TRY(ft_kmeans_step(spec, rules, e->reals, step->next.params, moved));
    ft_kmeans_clamp(spec, bounds, model->means, model->stds, step->next.params);
out:
    ft_free(bounds);
    return st;
}
