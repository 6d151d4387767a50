/* Plain sums: are they possible, and what is withheld of them before anything is stored. */
#include "common/plan/measured.h"

#include "common/base/alloc.h"
#include "common/plan/privacy_plan.h"

#include <math.h>
#include <string.h>

#define SOLVABLE                                                                                             \
    8 /* so few hidden counts may follow from the two sums of a deviation, and from being whole */

static bool
adds_up(const struct ft_measure_block *b)
{
    return b->kind == FT_MEASURE_HISTOGRAM || b->kind == FT_MEASURE_CROSS;
}

static bool
is_moments(const struct ft_measure_block *b)
{
    return b->kind == FT_MEASURE_MEAN || b->kind == FT_MEASURE_DEVIATION;
}

static double
total(const double *cells, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += cells[i];
    return sum;
}

/* The rounding of sums, many times over. */
static double
slack(double n)
{
    return 1e-6 * (n + 1);
}

enum ft_status
ft_measured_check(const struct ft_measure_plan *plan, const double *sums, uint64_t customers)
{
    const double n = (double)customers;

    if (customers < 1 || fabs(sums[0] - n) > slack(n))
        return FT_ERR_VERIFY;
    for (uint32_t i = 1; i < plan->count; i++) {
        const struct ft_measure_block *b = &plan->blocks[i];
        const double *cells = sums + b->at;
        for (size_t c = 0; c < b->cells; c++)
            if (!(cells[c] >= 0 && cells[c] <= n + slack(n)))
                return FT_ERR_VERIFY;
        if (adds_up(b) && fabs(total(cells, b->cells) - n) > slack(n))
            return FT_ERR_VERIFY;
        for (uint32_t l = 1; b->kind == FT_MEASURE_QUANTILES && l <= b->levels; l++)
            if (fabs(total(cells + ft_measure_level(l), (size_t)1 << l) - n) > slack(n))
                return FT_ERR_VERIFY;
        if (b->kind == FT_MEASURE_DEVIATION) {
            const double w = 2 * cells[0] / n - 1;
            if (cells[1] / n < w * w - 1e-6)
                return FT_ERR_VERIFY;
        }
    }
    return FT_OK;
}

/* ---- withholding ---- */

/* What the shown cells leave of n: those that are hidden hold it together. */
static double
hidden_of(const double *cells, size_t count, double n)
{
    for (size_t c = 0; c < count; c++)
        if (cells[c] != FT_MEASURED_WITHHELD)
            n -= cells[c];
    return n;
}

/* The smallest cells that are shown yet go too, until those that are hidden hold min_group customers
 * together. */
static void
withhold_cells(double *cells, size_t count, double n, double least)
{
    bool any = false;

    for (size_t c = 0; c < count; c++)
        if (cells[c] < least) {
            cells[c] = FT_MEASURED_WITHHELD;
            any = true;
        }
    while (any && hidden_of(cells, count, n) < least) {
        size_t next = count;
        for (size_t c = 0; c < count; c++)
            if (cells[c] != FT_MEASURED_WITHHELD && (next == count || cells[c] < cells[next]))
                next = c;
        if (next == count)
            return;
        cells[next] = FT_MEASURED_WITHHELD;
    }
}

/* Both halves of a node or neither, and nothing below a node that is hidden. */
static void
withhold_tree(uint32_t levels, double *cells, double least)
{
    for (uint32_t l = 1; l <= levels; l++) {
        double *level = cells + ft_measure_level(l);
        const double *above = l > 1 ? cells + ft_measure_level(l - 1) : NULL;
        for (size_t i = 0; i < (size_t)1 << l; i += 2)
            if (level[i] < least || level[i + 1] < least ||
                (above != NULL && above[i / 2] == FT_MEASURED_WITHHELD))
                level[i] = level[i + 1] = FT_MEASURED_WITHHELD;
    }
}

/* Hidden counts of the tables over a feature that what is shown leaves open. */
static size_t
open_counts(const struct ft_measure_plan *plan, const double *sums, uint32_t feature)
{
    size_t open = 0;

    for (uint32_t i = 1; i < plan->count; i++) {
        const struct ft_measure_block *b = &plan->blocks[i];
        size_t hidden = 0;
        if (is_moments(b) ||
            (b->axes[0].feature != feature && (b->kind != FT_MEASURE_CROSS || b->axes[1].feature != feature)))
            continue;
        for (size_t c = 0; c < b->cells; c++)
            hidden += sums[b->at + c] == FT_MEASURED_WITHHELD;
        open += b->kind == FT_MEASURE_QUANTILES ? hidden / 2 : hidden > 0 ? hidden - 1 : 0;
    }
    return open;
}

/* The sum of a feature that is 0 or 1 is a count, and so is what it lacks of n; the sum of squares is one of
 * those that are at the ends of their range and not in its middle. */
static void
withhold_moments(const struct ft_measure_plan *plan, const struct ft_measure_block *b, double *sums,
                 double least)
{
    const double n = sums[0];
    const size_t open = open_counts(plan, sums, b->axes[0].feature);
    double *cells = sums + b->at;

    if (cells[0] < least || n - cells[0] < least || (open > 0 && open <= SOLVABLE))
        cells[0] = FT_MEASURED_WITHHELD;
    if (b->kind == FT_MEASURE_DEVIATION &&
        (cells[0] == FT_MEASURED_WITHHELD || cells[1] < least || n - cells[1] < least))
        cells[1] = FT_MEASURED_WITHHELD;
}

void
ft_measured_withhold(const struct ft_measure_plan *plan, double *sums, uint64_t min_group)
{
    const double least = (double)min_group - 1e-6; /* sums of parts of customers may be rounded */

    if (sums[0] < least) {
        for (size_t c = 0; c < plan->cells; c++)
            sums[c] = FT_MEASURED_WITHHELD;
        return;
    }
    for (uint32_t i = 1; i < plan->count; i++) {
        const struct ft_measure_block *b = &plan->blocks[i];
        if (adds_up(b))
            withhold_cells(sums + b->at, b->cells, sums[0], least);
        if (b->kind == FT_MEASURE_QUANTILES)
            withhold_tree(b->levels, sums + b->at, least);
    }
    for (uint32_t i = 1; i < plan->count; i++)
        if (is_moments(&plan->blocks[i]))
            withhold_moments(plan, &plan->blocks[i], sums, least);
}

/* ---- a result that somebody else has made ---- */

static enum ft_status
check_withheld(const struct ft_measure_plan *plan, const struct ft_model_found *found, struct ft_error *err)
{
    double *sums = ft_calloc(plan->cells, sizeof *sums);
    const double n = found->sums[0];
    enum ft_status st = FT_OK;

    if (sums == NULL)
        return FT_ERR_NOMEM;
    memcpy(sums, found->sums, plan->cells * sizeof *sums);
    ft_measured_withhold(plan, sums, found->min_group);
    for (size_t c = 0; c < plan->cells && st == FT_OK; c++)
        if (sums[c] != found->sums[c])
            st = ft_fail(err, FT_ERR_VERIFY,
                         "sums[%zu]: %.9g is told although it is about fewer than min_group %llu, or "
                         "leads to such a number",
                         c, found->sums[c], (unsigned long long)found->min_group);
        else if (sums[c] > n + slack(n))
            st = ft_fail(err, FT_ERR_VERIFY, "sums[%zu]: %.9g, of %.9g in all", c, sums[c], n);
    ft_free(sums);
    return st;
}

enum ft_status
ft_measured_check_found(const struct ft_task *task, const struct ft_model_found *found, uint32_t shops,
                        struct ft_error *err)
{
    const uint64_t most = ft_plan_customers(task);
    struct ft_measure_plan plan = { 0 };
    enum ft_status st;

    FT_TRY(ft_measure_plan_init(&plan, task));
    if (found->count != plan.cells)
        st = ft_fail(err, FT_ERR_VERIFY, "sums: there are %zu, the task makes %zu", found->count, plan.cells);
    else if (found->shops != shops)
        st = ft_fail(err, FT_ERR_VERIFY, "shops: the file says %u, the statement's round had %u",
                     found->shops, shops);
    else if (task->unit == FT_UNIT_STORE && found->min_group != 0)
        st = ft_fail(err, FT_ERR_VERIFY, "min_group: %llu, expected 0 with unit store, where counts are of shops",
                     (unsigned long long)found->min_group);
    else if (task->unit != FT_UNIT_STORE && found->min_group < FT_MIN_GROUP_LEAST)
        st = ft_fail(err, FT_ERR_VERIFY, "min_group: %llu, expected %d at least",
                     (unsigned long long)found->min_group, FT_MIN_GROUP_LEAST);
    else if (task->noise == 0 && found->customers != 0)
        st = ft_fail(err, FT_ERR_VERIFY, "customers_declared: %llu, a task without noise declares none",
                     (unsigned long long)found->customers);
    else if (task->noise != 0 && (found->customers < 1 || found->customers > most))
        st =
            ft_fail(err, FT_ERR_VERIFY, "customers_declared: %llu of %u shops, the task declares %llu in all",
                    (unsigned long long)found->customers, found->shops, (unsigned long long)most);
    else if (task->noise == 0)
        st = check_withheld(&plan, found, err);
out:
    ft_measure_plan_clear(&plan);
    return st;
}
