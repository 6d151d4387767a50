#include "common/task/task_internal.h"

#include "common/base/alloc.h"
#include "common/base/date.h"

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
    static const char *const names[] = { "unknown", "linear", "logistic", "softmax", "poisson", "mlp", "cnn" };
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

void
ft_task_clear(struct ft_task *task)
{
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
