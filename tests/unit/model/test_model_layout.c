#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/model/layout.h"
#include "tests/support/approx.h"

#include <math.h>
#include <string.h>

static struct ft_layout_params
params_of(enum ft_stage stage, uint32_t n_cap, uint32_t lane_bits)
{
    return (struct ft_layout_params){
        .stage = stage,
        .metrics = { .model = { .kind = FT_MODEL_LOGISTIC, .features = 12 }, .bins = 64, .calibration_bins = 10,
                     .rows_max = 500000 },
        .n_cap = n_cap,
        .lane_bits = lane_bits,
        .weight_cap = 400,
        .clip = 2,
    };
}

/* The demo's task, counted by hand: n_cap 16 in lanes of 32 bits leaves floor(log2(134217727)) = 26 bits a limb.
 * rows_max 500000 takes 19 bits: one limb for each of 3 rows and correct counts, 128 histogram and 20 calibration
 * counts; 40 bits for 10 score sums, two limbs; 48 bits for 3 losses, two limbs: 151 + 20 + 6. */
static void
layout_of_the_demo_is_counted_by_hand(void **state)
{
    struct ft_layout l;
    struct ft_layout_params p = params_of(FT_STAGE_TRAIN, 16, 32);
    (void)state;
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_OK);
    assert_int_equal(l.limb_bits, 26);
    assert_int_equal(l.metric_coordinates, 177);
    assert_int_equal(l.real_coordinates, 13);
    assert_int_equal(l.dim, 190);
    assert_approx(l.real_clip, 800, 0);
    assert_int_equal(ft_layout_weight(&l, 399), 399);
    assert_int_equal(ft_layout_weight(&l, 401), 400);
    p.stage = FT_STAGE_EVALUATE;
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_OK);
    assert_int_equal(l.dim, 177);
    assert_int_equal(l.real_coordinates, 0);
    p.stage = FT_STAGE_STATISTICS;
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_OK);
    assert_int_equal(l.lane_bits, 64);
    assert_int_equal(l.metric_coordinates, 0);
    assert_int_equal(l.dim, 24);
    assert_approx(l.real_clip, 500000, 0);
    assert_int_equal(ft_layout_weight(&l, 401), 401);
    assert_int_equal(l.metrics.value_count, 0);
}

/* The groups follow each other without gap or overlap, and together make up metric_coordinates. */
static void
groups_tile_the_coordinates(void **state)
{
    (void)state;
    for (int kind = FT_MODEL_LINEAR; kind <= FT_MODEL_MLP; kind++) {
        struct ft_layout_params p = params_of(FT_STAGE_TRAIN, 1000, 21);
        struct ft_layout l;
        size_t at = 0;
        p.metrics.model.kind = (enum ft_model_kind)kind;
        p.metrics.model.classes = kind == FT_MODEL_SOFTMAX ? 3 : 0;
        p.metrics.model.hidden_count = 1;
        p.metrics.model.hidden[0] = 4;
        p.metrics.model.activation = FT_ACT_RELU;
        p.metrics.label_max = 10;
        assert_int_equal(ft_layout_init(&l, &p, NULL), FT_OK);
        for (int g = 0; g < FT_METRIC_COUNT; g++) {
            if (l.metrics.groups[g].count == 0)
                continue;
            assert_int_equal(l.coordinates[g], at);
            assert_true(l.limbs[g] * l.limb_bits >= l.metrics.groups[g].bits);
            at += (size_t)l.metrics.groups[g].count * l.limbs[g];
        }
        assert_int_equal(at, l.metric_coordinates);
    }
}

/* For every lane width, n_cap shops that each send the largest values come back as their exact sum, and no lane's
 * sum leaves its lane. */
static void
largest_values_of_a_full_cohort_sum_exactly(void **state)
{
    const uint32_t lanes[6] = { 12, 16, 21, 32, 48, 64 }, caps[6] = { 400, 50, 10000, 16384, 128, 16384 };
    static int64_t coordinates[16384], sums[16384];
    static uint64_t values[1024], back[1024];

    (void)state;
    for (int k = 0; k < 6; k++) {
        const struct ft_layout_params p = params_of(FT_STAGE_TRAIN, caps[k], lanes[k]);
        struct ft_layout l;
        assert_int_equal(ft_layout_init(&l, &p, NULL), FT_OK);
        assert_true(l.metric_coordinates <= 16384 && l.metrics.value_count <= 1024);
        for (int g = 0; g < FT_METRIC_COUNT; g++)
            for (uint32_t i = 0; i < l.metrics.groups[g].count; i++)
                values[l.metrics.groups[g].at + i] = (UINT64_C(1) << l.metrics.groups[g].bits) - 1;
        assert_int_equal(ft_layout_encode_metrics(&l, values, coordinates), FT_OK);
        for (size_t i = 0; i < l.metric_coordinates; i++) {
            sums[i] = coordinates[i] * caps[k];
            assert_true(sums[i] >= 0 && sums[i] <= (int64_t)((UINT64_C(1) << (lanes[k] - 1)) - 1));
        }
        assert_int_equal(ft_layout_decode_metrics(&l, sums, caps[k], back), FT_OK);
        for (uint32_t i = 0; i < l.metrics.value_count; i++)
            assert_true(back[i] == values[i] * caps[k]);
    }
}

/* Different values of several shops come back as their sums. */
static void
metrics_of_shops_add_up(void **state)
{
    const struct ft_layout_params p = params_of(FT_STAGE_EVALUATE, 16, 16);
    struct ft_layout l;
    static int64_t one[8192], sums[8192];
    static uint64_t values[1024], total[1024], back[1024];
    uint64_t r = 99;

    (void)state;
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_OK);
    for (int shop = 0; shop < 11; shop++) {
        for (int g = 0; g < FT_METRIC_COUNT; g++)
            for (uint32_t i = 0; i < l.metrics.groups[g].count; i++) {
                const uint32_t at = l.metrics.groups[g].at + i;
                r = r * 6364136223846793005u + 1442695040888963407u;
                values[at] = (r >> 16) & ((UINT64_C(1) << l.metrics.groups[g].bits) - 1);
                total[at] += values[at];
            }
        assert_int_equal(ft_layout_encode_metrics(&l, values, one), FT_OK);
        for (size_t i = 0; i < l.metric_coordinates; i++)
            sums[i] += one[i];
    }
    assert_int_equal(ft_layout_decode_metrics(&l, sums, 11, back), FT_OK);
    assert_memory_equal(back, total, l.metrics.value_count * sizeof *total);
}

/* A value one too large for its field is refused before anything is written. */
static void
a_value_too_wide_is_refused(void **state)
{
    const struct ft_layout_params p = params_of(FT_STAGE_TRAIN, 16, 32);
    struct ft_layout l;
    static int64_t coordinates[512];
    static uint64_t values[512];

    (void)state;
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_OK);
    for (int g = 0; g < FT_METRIC_COUNT; g++) {
        if (l.metrics.groups[g].count == 0)
            continue;
        memset(values, 0, sizeof values);
        coordinates[0] = -7;
        values[l.metrics.groups[g].at] = UINT64_C(1) << l.metrics.groups[g].bits;
        assert_int_equal(ft_layout_encode_metrics(&l, values, coordinates), FT_ERR_LIMIT);
        assert_int_equal(coordinates[0], -7);
        values[l.metrics.groups[g].at] -= 1;
        assert_int_equal(ft_layout_encode_metrics(&l, values, coordinates), FT_OK);
    }
}

/* A sum below zero, or above what the shops can add up to, is refused: somebody's limb was no limb. */
static void
impossible_sums_are_refused(void **state)
{
    const struct ft_layout_params p = params_of(FT_STAGE_TRAIN, 16, 32);
    struct ft_layout l;
    static int64_t sums[512];
    static uint64_t values[512];

    (void)state;
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_OK);
    assert_int_equal(ft_layout_decode_metrics(&l, sums, 3, values), FT_OK);
    assert_int_equal(ft_layout_decode_metrics(&l, sums, 0, values), FT_ERR_ARGUMENT);
    assert_int_equal(ft_layout_decode_metrics(&l, sums, 17, values), FT_ERR_ARGUMENT);
    sums[5] = -1;
    assert_int_equal(ft_layout_decode_metrics(&l, sums, 3, values), FT_ERR_VERIFY);
    sums[5] = 3 * ((1 << 26) - 1) + 1;
    assert_int_equal(ft_layout_decode_metrics(&l, sums, 3, values), FT_ERR_VERIFY);
    sums[5] = 0;
    sums[0] = 3 * ((1 << 19) - 1) + 1; /* row counts have 19 bits each */
    assert_int_equal(ft_layout_decode_metrics(&l, sums, 3, values), FT_ERR_VERIFY);
    sums[0] -= 1;
    assert_int_equal(ft_layout_decode_metrics(&l, sums, 3, values), FT_OK);
}

/* Statistics: sums of a full cohort come back to within half a unit a shop, far finer than 32 bits; a sum that no
 * rows can have is refused on both sides. */
static void
statistics_sums_keep_48_bits(void **state)
{
    const struct ft_layout_params p = params_of(FT_STAGE_STATISTICS, 16384, 32);
    struct ft_layout l;
    double sums[24], back[24];
    int64_t z[24], total[24] = { 0 };

    (void)state;
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_OK);
    assert_approx(l.sum_unit, 0x1p-29, 0);
    for (int i = 0; i < 24; i++)
        sums[i] = i == 0 ? 500000 : 500000.0 / 3 / i;
    assert_int_equal(ft_layout_encode_sums(&l, sums, z), FT_OK);
    for (int i = 0; i < 24; i++)
        total[i] = z[i] * 16384;
    assert_int_equal(ft_layout_decode_sums(&l, total, 16384, back), FT_OK);
    for (int i = 0; i < 24; i++)
        assert_approx(back[i] / 16384, sums[i], 0x1p-30);
    total[3] = -1;
    assert_int_equal(ft_layout_decode_sums(&l, total, 16384, back), FT_ERR_VERIFY);
    total[3] = total[0] + 1;
    assert_int_equal(ft_layout_decode_sums(&l, total, 16384, back), FT_ERR_VERIFY);
    sums[1] = 500001;
    assert_int_equal(ft_layout_encode_sums(&l, sums, z), FT_ERR_LIMIT);
    sums[1] = -1e-9;
    assert_int_equal(ft_layout_encode_sums(&l, sums, z), FT_ERR_LIMIT);
    sums[1] = (double)NAN;
    assert_int_equal(ft_layout_encode_sums(&l, sums, z), FT_ERR_NONFINITE);
}

/* The real part of a training round is weight times update, in the model's order. */
static void
update_is_weighted(void **state)
{
    const struct ft_layout_params p = params_of(FT_STAGE_TRAIN, 16, 32);
    struct ft_layout l;
    float delta[13], reals[13];
    (void)state;
    for (int i = 0; i < 13; i++)
        delta[i] = (float)(i - 6) / 8;
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_OK);
    ft_layout_encode_update(&l, delta, 400, reals);
    for (int i = 0; i < 13; i++)
        assert_float_equal(reals[i], (float)(i - 6) * 50, 0);
}

/* Numbers that give no layout are refused, and the layout is left empty. */
static void
impossible_layouts_are_refused(void **state)
{
    struct ft_layout l;
    struct ft_error err = { 0 };
    struct ft_layout_params p = params_of(FT_STAGE_TRAIN, 1000, 12);
    (void)state;
    assert_int_equal(ft_layout_init(&l, &p, &err), FT_ERR_LIMIT);
    assert_non_null(strstr(err.text, "lanes of 12 bits are too narrow for 1000 shops"));
    assert_int_equal(l.dim, 0);
    p = params_of(FT_STAGE_TRAIN, 0, 32);
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_ERR_ARGUMENT);
    p = params_of((enum ft_stage)4, 16, 32);
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_ERR_ARGUMENT);
    p = params_of(FT_STAGE_TRAIN, 16, 65);
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_ERR_ARGUMENT);
    p = params_of(FT_STAGE_TRAIN, 16, 32);
    p.clip = (double)NAN;
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_ERR_ARGUMENT);
    p = params_of(FT_STAGE_TRAIN, 16, 32);
    p.metrics.bins = 0;
    assert_int_equal(ft_layout_init(&l, &p, NULL), FT_ERR_ARGUMENT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_of_the_demo_is_counted_by_hand),
        cmocka_unit_test(groups_tile_the_coordinates),
        cmocka_unit_test(largest_values_of_a_full_cohort_sum_exactly),
        cmocka_unit_test(metrics_of_shops_add_up),
        cmocka_unit_test(a_value_too_wide_is_refused),
        cmocka_unit_test(impossible_sums_are_refused),
        cmocka_unit_test(statistics_sums_keep_48_bits),
        cmocka_unit_test(update_is_weighted),
        cmocka_unit_test(impossible_layouts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
