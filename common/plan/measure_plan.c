#include "common/plan/measure_plan.h"

#include "common/base/alloc.h"

#include <math.h>
#include <string.h>

static uint32_t
axis_cells(const struct ft_task_axis *axis)
{
    return axis->edge_count > 0 ? axis->edge_count + 1 : axis->bins > 0 ? axis->bins : 1;
}

size_t
ft_measure_level(uint32_t level)
{
    return ((size_t)1 << level) - 2;
}

static size_t
block_cells(const struct ft_task_measure *m)
{
    switch (m->kind) {
    case FT_MEASURE_DEVIATION:
        return 2;
    case FT_MEASURE_HISTOGRAM:
        return axis_cells(&m->axes[0]);
    case FT_MEASURE_QUANTILES:
        return 2 * (size_t)axis_cells(&m->axes[0]) - 2;
    case FT_MEASURE_CROSS:
        return (size_t)axis_cells(&m->axes[0]) * axis_cells(&m->axes[1]);
    default:
        return 1;
    }
}

/* The entry that gives the count a weight, or NULL. */
static const struct ft_task_measure *
listed_count(const struct ft_task *task)
{
    for (uint32_t i = 0; i < task->measure_count; i++)
        if (task->measures[i].kind == FT_MEASURE_COUNT)
            return &task->measures[i];
    return NULL;
}

size_t
ft_measure_cells(const struct ft_task *task)
{
    size_t cells = 1;
    for (uint32_t i = 0; i < task->measure_count; i++)
        if (task->measures[i].kind != FT_MEASURE_COUNT)
            cells += block_cells(&task->measures[i]);
    return cells;
}

static double
block_length(const struct ft_measure_block *b)
{
    return b->kind == FT_MEASURE_DEVIATION ? sqrt(2) : b->kind == FT_MEASURE_QUANTILES ? sqrt(b->levels) : 1;
}

/* Ends of the cells; those of equal width by one division each, so that no rounding adds up. */
static void
cut(struct ft_measure_plan *plan, const struct ft_task_axis *from, struct ft_measure_axis *axis, size_t *used)
{
    double *ends = plan->ends + *used;
    float *cuts = plan->cuts + *used;

    axis->feature = ft_task_feature(plan->task, from->feature);
    axis->low = plan->task->features[axis->feature].min;
    axis->high = plan->task->features[axis->feature].max;
    axis->cells = axis_cells(from);
    if (axis->cells < 2)
        return;
    for (uint32_t i = 0; i <= axis->cells; i++)
        ends[i] = i == 0                 ? axis->low
                  : i == axis->cells     ? axis->high
                  : from->edge_count > 0 ? from->edges[i - 1]
                                         : axis->low + (axis->high - axis->low) * i / axis->cells;
    for (uint32_t i = 1; i < axis->cells; i++)
        cuts[i - 1] = (float)ends[i];
    axis->ends = ends;
    axis->cuts = cuts;
    *used += axis->cells + 1;
}

static void
place(struct ft_measure_plan *plan, uint32_t kind, uint32_t measure, double weight, size_t *used)
{
    struct ft_measure_block *b = &plan->blocks[plan->count++];
    const struct ft_task_measure *m = measure != UINT32_MAX ? &plan->task->measures[measure] : NULL;

    *b = (struct ft_measure_block){ .kind = kind, .measure = measure, .at = plan->cells, .cells = 1 };
    for (uint32_t a = 0; a < ft_measure_axes(kind); a++)
        cut(plan, &m->axes[a], &b->axes[a], used);
    if (m != NULL)
        b->cells = block_cells(m);
    if (kind == FT_MEASURE_QUANTILES)
        while ((1u << b->levels) < b->axes[0].cells)
            b->levels++;
    plan->cells += b->cells;
    b->scale = sqrt(weight) / block_length(b);
}

enum ft_status
ft_measure_plan_init(struct ft_measure_plan *plan, const struct ft_task *task)
{
    const struct ft_task_measure *count = listed_count(task);
    double weights = count != NULL ? 0 : 1;
    size_t ends = 1, used = 0;

    *plan = (struct ft_measure_plan){ .task = task };
    if (task->kind != FT_TASK_STATISTICS)
        return FT_ERR_ARGUMENT;
    for (uint32_t i = 0; i < task->measure_count; i++) {
        weights += task->measures[i].weight;
        for (uint32_t a = 0; a < FT_TASK_AXES_MAX; a++)
            ends += (size_t)axis_cells(&task->measures[i].axes[a]) + 1;
    }
    plan->blocks = ft_calloc((size_t)task->measure_count + 1, sizeof *plan->blocks);
    plan->ends = ft_calloc(ends, sizeof *plan->ends);
    plan->cuts = ft_calloc(ends, sizeof *plan->cuts);
    if (plan->blocks == NULL || plan->ends == NULL || plan->cuts == NULL) {
        ft_measure_plan_clear(plan);
        return FT_ERR_NOMEM;
    }
    place(plan, FT_MEASURE_COUNT, count != NULL ? (uint32_t)(count - task->measures) : UINT32_MAX,
          (count != NULL ? count->weight : 1) / weights, &used);
    for (uint32_t i = 0; i < task->measure_count; i++)
        if (task->measures[i].kind != FT_MEASURE_COUNT)
            place(plan, task->measures[i].kind, i, task->measures[i].weight / weights, &used);
    return FT_OK;
}

void
ft_measure_plan_clear(struct ft_measure_plan *plan)
{
    ft_free(plan->blocks);
    ft_free(plan->ends);
    ft_free(plan->cuts);
    *plan = (struct ft_measure_plan){ 0 };
}

uint32_t
ft_measure_cell(const struct ft_measure_axis *axis, float x)
{
    uint32_t low = 0, high = axis->cells - 1; /* how many cuts are at most x */

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (x >= axis->cuts[middle])
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static double
unit_of(const struct ft_measure_axis *axis, float x)
{
    const double u = ((double)x - axis->low) / (axis->high - axis->low);
    return !(u > 0) ? 0 : u > 1 ? 1 : u;
}

static void
add_row(const struct ft_measure_block *b, const float *x, double part, double *cells)
{
    const struct ft_measure_axis *axis = &b->axes[0];
    const float value = x[axis->feature]; /* of a count: not used */
    const double u = b->kind == FT_MEASURE_COUNT ? 1 : unit_of(axis, value);

    switch (b->kind) {
    case FT_MEASURE_HISTOGRAM:
        cells[ft_measure_cell(axis, value)] += part;
        break;
    case FT_MEASURE_QUANTILES:
        for (uint32_t level = b->levels, cell = ft_measure_cell(axis, value); level > 0; level--, cell /= 2)
            cells[ft_measure_level(level) + cell] += part;
        break;
    case FT_MEASURE_CROSS:
        cells[(size_t)ft_measure_cell(axis, value) * b->axes[1].cells +
              ft_measure_cell(&b->axes[1], x[b->axes[1].feature])] += part;
        break;
    case FT_MEASURE_DEVIATION:
        cells[1] += (2 * u - 1) * (2 * u - 1) * part;
        cells[0] += u * part;
        break;
    default:
        cells[0] += u * part;
        break;
    }
}

void
ft_measure_add(const struct ft_measure_plan *plan, const float *x, double part, double *cells)
{
    for (uint32_t b = 0; b < plan->count; b++)
        add_row(&plan->blocks[b], x, part, cells + plan->blocks[b].at);
}

void
ft_measure_values(const struct ft_measure_plan *plan, const float *x, size_t rows, double *values)
{
    memset(values, 0, plan->cells * sizeof *values);
    for (size_t r = 0; r < rows; r++)
        ft_measure_add(plan, x + r * plan->task->feature_count, 1 / (double)rows, values);
    values[0] = 1;
}

void
ft_measure_vector(const struct ft_measure_plan *plan, const double *values, float *v)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct ft_measure_block *b = &plan->blocks[i];
        const bool centred = b->kind == FT_MEASURE_MEAN || b->kind == FT_MEASURE_DEVIATION;
        for (size_t c = b->at; c < b->at + b->cells; c++)
            v[c] = (float)(b->scale * (centred ? 2 * values[c] - 1 : values[c]));
    }
}
