#include "common/task/task_internal.h"

#include "common/base/alloc.h"
#include "common/base/date.h"

#include <string.h>

bool
task_is_network(const struct ft_task *task)
{
    return task->model == FT_MODEL_MLP || task->model == FT_MODEL_CNN;
}

uint64_t
task_convolutions(const struct ft_task *task, uint64_t *outputs)
{
    uint64_t height = task->image[0], width = task->image[1], in = task->image[2], parameters = 0;

    for (uint32_t l = 0; l < task->channels_count && l < FT_TASK_CONV_MAX; l++) {
        const uint64_t side = task->kernels[l], pool = task->pools[l] > 0 ? task->pools[l] : 1;
        parameters += (side * side * in + 1) * task->channels[l];
        in = task->channels[l];
        height /= pool;
        width /= pool;
    }
    *outputs = height * width * in;
    return parameters;
}

uint64_t
ft_task_parameters(const struct ft_task *task)
{
    const bool network = task_is_network(task);
    const uint64_t outputs =
        task->model == FT_MODEL_SOFTMAX || (network && task->classes > 2) ? task->classes : 1;
    uint64_t in = task->feature_count, parameters = 0;

    if (task->kind == FT_TASK_STATISTICS)
        return 0;
    if (task->model == FT_MODEL_KMEANS)
        return in * task->clusters;

    if (task->model == FT_MODEL_CNN)
        parameters = task_convolutions(task, &in);
    for (uint32_t l = 0; network && l < task->hidden_count; l++) {
        parameters += (in + 1) * task->hidden[l];
        in = task->hidden[l];
    }
    return parameters +
           (in + 1) * outputs; /* widths are u32 and layers at most 9: far below 2^64 but for nonsense */
}

static int64_t
day_of(const char *date)
{
    int64_t days = 0;
    (void)ft_date_parse(date, &days); /* a validated task's dates parse; else 1970, long past */
    return days;
}

int64_t
ft_task_expires_day(const struct ft_task *task)
{
    return day_of(task->expires);
}

int64_t
ft_task_review_day(const struct ft_task *task)
{
    return day_of(task->review);
}

const char *
ft_model_kind_name(enum ft_model_kind kind)
{
    static const char *const names[] = { "unknown", "linear", "logistic", "softmax", "poisson", "mlp", "cnn", "kmeans" };
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : names[0];
}

const char *
ft_unit_name(enum ft_unit unit)
{
    return unit == FT_UNIT_CUSTOMER ? "customer"
           : unit == FT_UNIT_RECORD ? "record"
           : unit == FT_UNIT_STORE  ? "store"
                                    : "unknown";
}

const char *
ft_measure_name(uint32_t kind)
{
    static const char *const names[] = { "unknown", "count", "mean", "deviation", "histogram", "quantiles", "cross" };
    return kind < sizeof names / sizeof names[0] ? names[kind] : names[0];
}

uint32_t
ft_measure_axes(uint32_t kind)
{
    return kind == FT_MEASURE_COUNT ? 0 : kind == FT_MEASURE_CROSS ? 2 : 1;
}

uint32_t
ft_task_feature(const struct ft_task *task, const char *name)
{
    uint32_t i = 0;
    while (i < task->feature_count && strcmp(task->features[i].name, name) != 0)
        i++;
    return i;
}

void
ft_task_clear(struct ft_task *task)
{
    for (uint32_t i = 0; task->measures != NULL && i < task->measure_count; i++) {
        struct ft_task_measure *m = &task->measures[i];
        for (uint32_t a = 0; a < FT_TASK_AXES_MAX; a++) {
            ft_free(m->axes[a].feature);
            ft_free(m->axes[a].edges);
        }
        ft_free(m->quantiles);
    }
    ft_free(task->measures);
    ft_free(task->name);
    ft_free(task->purpose);
    ft_free(task->owner);
    ft_free(task->title);
    ft_free(task->expires);
    ft_free(task->review);
    ft_free(task->sql);
    ft_free(task->label);
    for (uint32_t i = 0; task->features != NULL && i < task->feature_count; i++)
        ft_free(task->features[i].name);
    ft_free(task->features);
    for (uint32_t i = 0; task->privacy.shops != NULL && i < task->privacy.shop_count; i++)
        ft_free(task->privacy.shops[i].name);
    ft_free(task->privacy.shops);
    *task = (struct ft_task){ 0 };
}
