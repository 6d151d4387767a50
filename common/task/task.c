#include "common/task/task_internal.h"

#include "common/base/alloc.h"
#include "common/base/date.h"

uint64_t
ft_task_parameters(const struct ft_task *task)
{
    const bool mlp = task->model == FT_MODEL_MLP;
    const uint64_t outputs =
        task->model == FT_MODEL_SOFTMAX || (mlp && task->classes > 2) ? task->classes : 1;
    uint64_t in = task->feature_count, parameters = 0;

    for (uint32_t l = 0; mlp && l < task->hidden_count; l++) {
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
    static const char *const names[] = { "unknown", "linear", "logistic", "softmax", "poisson", "mlp" };
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : names[0];
}

const char *
ft_unit_name(enum ft_unit unit)
{
    return unit == FT_UNIT_CUSTOMER ? "customer" : unit == FT_UNIT_RECORD ? "record" : "unknown";
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
    *task = (struct ft_task){ 0 };
}
