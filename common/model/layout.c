#include "common/model/layout.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define DIM_MAX  ((size_t)1 << 27)
#define SUM_BITS 48

/* floor(log2((2^(W-1) - 1) / n_cap)); 0 when not even one bit fits. */
static uint32_t
limb_bits_of(uint32_t lane_bits, uint32_t n_cap)
{
    const uint64_t share = ((UINT64_C(1) << (lane_bits - 1)) - 1) / n_cap;
    uint32_t bits = 0;
    while (bits < 62 && (share >> (bits + 1)) > 0)
        bits++;
    return bits;
}

/* The power of two that gives rows_max SUM_BITS bits: 48 bits times n_cap shops fit in a lane of 64. */
static double
sum_unit_of(uint64_t rows_max)
{
    int bits = 0;
    while ((rows_max >> bits) != 0)
        bits++;
    return ldexp(1, bits - SUM_BITS);
}

/* Coordinates that are sums in fixed point. */
static size_t
sums_of(const struct ft_layout_params *p)
{
    const struct ft_model_spec *spec = &p->metrics.model;
    if (p->stage == FT_STAGE_STATISTICS)
        return p->sums > 0 ? p->sums : 2 * (size_t)spec->features;
    return p->stage == FT_STAGE_TRAIN && ft_model_is_clusters(spec) ? (size_t)spec->classes * (spec->features + 1) : 0;
}

static enum ft_status
params_check(const struct ft_layout_params *p, struct ft_error *err)
{
    if ((p->stage != FT_STAGE_STATISTICS && p->stage != FT_STAGE_TRAIN && p->stage != FT_STAGE_EVALUATE) ||
        (p->sums > 0 && p->stage != FT_STAGE_STATISTICS))
        return ft_fail(err, FT_ERR_ARGUMENT, "unknown stage %u", (unsigned)p->stage);
    if (p->n_cap < 1 || p->n_cap > 16384)
        return ft_fail(err, FT_ERR_ARGUMENT, "n_cap is %u; 1 to 16384 are allowed", p->n_cap);
    if (p->stage != FT_STAGE_STATISTICS && (p->lane_bits < 12 || p->lane_bits > 64))
        return ft_fail(err, FT_ERR_ARGUMENT, "lane_bits is %u; 12 to 64 are allowed", p->lane_bits);
    if (p->weight_cap < 1)
        return ft_fail(err, FT_ERR_ARGUMENT, "weight_cap is 0; it must be 1 or more");
    if (p->stage == FT_STAGE_TRAIN && sums_of(p) == 0 && (!(p->clip > 0) || !isfinite(p->clip)))
        return ft_fail(err, FT_ERR_ARGUMENT, "clip is %g; it must be above 0", p->clip);
    return FT_OK;
}

/* Place the metrics' limbs. A lane needs at least two bits a limb, or a count would take dozens of them. */
static enum ft_status
place_metrics(struct ft_layout *layout, struct ft_error *err)
{
    uint64_t at = 0;

    if (layout->limb_bits < 2)
        return ft_fail(err, FT_ERR_LIMIT, "lanes of %u bits are too narrow for %u shops", layout->lane_bits,
                       layout->n_cap);
    for (int g = 0; g < FT_METRIC_COUNT; g++) {
        const struct ft_metric_group *group = &layout->metrics.groups[g];
        layout->limbs[g] = (group->bits + layout->limb_bits - 1) / layout->limb_bits;
        layout->coordinates[g] = (uint32_t)at;
        at += (uint64_t)group->count * layout->limbs[g];
    }
    layout->metric_coordinates = (size_t)at; /* at most 2 * 4096 + 300 values of 24 limbs */
    return FT_OK;
}

enum ft_status
ft_layout_init(struct ft_layout *layout, const struct ft_layout_params *params, struct ft_error *err)
{
    enum ft_status st;

    memset(layout, 0, sizeof *layout);
    FT_TRY(params_check(params, err));
    layout->stage = params->stage;
    layout->n_cap = params->n_cap;
    layout->lane_bits = sums_of(params) > 0 ? FT_STATISTICS_LANE_BITS : params->lane_bits;
    layout->limb_bits = limb_bits_of(layout->lane_bits, params->n_cap);
    if (params->sums == 0) /* else there is no model */
        FT_TRY(ft_metrics_plan_init(&layout->metrics, &params->metrics, err));
    if (params->stage == FT_STAGE_STATISTICS) {
        const struct ft_metrics_spec spec = layout->metrics.spec;
        memset(&layout->metrics, 0, sizeof layout->metrics);
        layout->metrics.spec = spec;
    } else {
        FT_TRY(place_metrics(layout, err));
    }
    if (sums_of(params) > 0) {
        layout->real_coordinates = sums_of(params);
        layout->real_clip = (double)params->metrics.rows_max; /* u is at most 1 in each row */
        layout->sum_unit = sum_unit_of(params->metrics.rows_max);
        layout->weight_max = params->metrics.rows_max;
    } else {
        layout->weight_max = params->weight_cap;
        if (params->stage == FT_STAGE_TRAIN) {
            layout->real_coordinates = (size_t)ft_model_parameters(&params->metrics.model);
            layout->real_clip = params->clip * params->weight_cap;
        }
    }
    layout->dim = layout->metric_coordinates + layout->real_coordinates;
    if (layout->dim > DIM_MAX)
        st = ft_fail(err, FT_ERR_LIMIT, "a contribution of %zu coordinates is too long", layout->dim);
out:
    if (st != FT_OK)
        memset(layout, 0, sizeof *layout);
    return st;
}

uint64_t
ft_layout_weight(const struct ft_layout *layout, uint64_t rows)
{
    return rows < layout->weight_max ? rows : layout->weight_max;
}

enum ft_status
ft_layout_encode_metrics(const struct ft_layout *layout, const uint64_t *values, int64_t *coordinates)
{
    const uint64_t mask = (UINT64_C(1) << layout->limb_bits) - 1;

    for (int g = 0; g < FT_METRIC_COUNT; g++) {
        const struct ft_metric_group *group = &layout->metrics.groups[g];
        for (uint32_t i = 0; i < group->count; i++)
            if (values[group->at + i] >> group->bits != 0)
                return FT_ERR_LIMIT;
    }
    for (int g = 0; g < FT_METRIC_COUNT; g++) {
        const struct ft_metric_group *group = &layout->metrics.groups[g];
        int64_t *out = coordinates + layout->coordinates[g];
        for (uint32_t i = 0; i < group->count; i++) {
            uint64_t left = values[group->at + i];
            for (uint32_t l = 0; l < layout->limbs[g]; l++) {
                *out++ = (int64_t)(left & mask);
                left >>= layout->limb_bits;
            }
        }
    }
    return FT_OK;
}

void
ft_layout_encode_update(const struct ft_layout *layout, const float *delta, uint64_t weight, float *reals)
{
    const float w = (float)weight;
    for (size_t i = 0; i < layout->real_coordinates; i++)
        reals[i] = w * delta[i];
}

enum ft_status
ft_layout_encode_sums(const struct ft_layout *layout, const double *sums, int64_t *coordinates)
{
    assert(layout->sum_unit > 0);
    for (size_t i = 0; i < layout->real_coordinates; i++) {
        if (!isfinite(sums[i]))
            return FT_ERR_NONFINITE;
        if (sums[i] < 0 || sums[i] > layout->real_clip)
            return FT_ERR_LIMIT;
    }
    for (size_t i = 0; i < layout->real_coordinates; i++)
        coordinates[i] = (int64_t)rint(sums[i] / layout->sum_unit);
    return FT_OK;
}

enum ft_status
ft_layout_decode_sums(const struct ft_layout *layout, const int64_t *coordinates, uint32_t shops, double *sums)
{
    const int64_t most = (int64_t)(layout->real_clip / layout->sum_unit) * shops; /* below 2^62 */

    assert(layout->sum_unit > 0);
    if (shops < 1 || shops > layout->n_cap)
        return FT_ERR_ARGUMENT;
    for (size_t i = 0; i < layout->real_coordinates; i++)
        if (coordinates[i] < 0 || coordinates[i] > most)
            return FT_ERR_VERIFY;
    for (size_t i = 0; i < layout->real_coordinates; i++)
        sums[i] = (double)coordinates[i] * layout->sum_unit;
    return FT_OK;
}

enum ft_status
ft_layout_decode_metrics(const struct ft_layout *layout, const int64_t *sums, uint32_t shops, uint64_t *values)
{
    const int64_t limb_max = (int64_t)(((UINT64_C(1) << layout->limb_bits) - 1) * shops);

    if (shops < 1 || shops > layout->n_cap)
        return FT_ERR_ARGUMENT;
    for (size_t i = 0; i < layout->metric_coordinates; i++)
        if (sums[i] < 0 || sums[i] > limb_max)
            return FT_ERR_VERIFY;
    for (int g = 0; g < FT_METRIC_COUNT; g++) {
        const struct ft_metric_group *group = &layout->metrics.groups[g];
        const int64_t *in = sums + layout->coordinates[g];
        for (uint32_t i = 0; i < group->count; i++) {
            unsigned __int128 value = 0;
            for (uint32_t l = 0; l < layout->limbs[g]; l++)
                value += (unsigned __int128)(uint64_t)*in++ << (l * layout->limb_bits);
            if (value > (unsigned __int128)((UINT64_C(1) << group->bits) - 1) * shops)
                return FT_ERR_VERIFY;
            values[group->at + i] = (uint64_t)value; /* 48 bits times 16384 shops fit in 62 */
        }
    }
    return FT_OK;
}
