#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/model/state.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

static const uint8_t task[32] = { 1, 2, 3 };
static const double means[2] = { 0.5, -1 }, stds[2] = { 1, 2 };
static const float params[3] = { 0.25f, -4, 0 };

static void
make_blob(enum ft_stage stage, struct ft_buf *blob)
{
    struct ft_model_state s;
    const bool empty = stage == FT_STAGE_STATISTICS;
    assert_int_equal(ft_model_state_init(&s, task, stage, 7, means, stds, empty ? 0 : 2, params, empty ? 0 : 3),
                     FT_OK);
    assert_int_equal(ft_model_state_encode(&s, blob), FT_OK);
    ft_model_state_clear(&s);
}

/* What was encoded comes back, in every stage. */
static void
state_survives_the_wire(void **state)
{
    (void)state;
    for (int stage = FT_STAGE_STATISTICS; stage <= FT_STAGE_EVALUATE; stage++) {
        struct ft_buf blob = { 0 };
        struct ft_model_state s;
        make_blob((enum ft_stage)stage, &blob);
        assert_int_equal(ft_model_state_decode(ft_buf_bytes(&blob), &s, NULL), FT_OK);
        assert_memory_equal(s.task_hash, task, 32);
        assert_int_equal(s.stage, stage);
        assert_int_equal(s.version, 7);
        if (stage == FT_STAGE_STATISTICS) {
            assert_int_equal(s.features, 0);
            assert_null(s.params);
        } else {
            assert_int_equal(s.features, 2);
            assert_int_equal(s.parameters, 3);
            assert_memory_equal(s.means, means, sizeof means);
            assert_memory_equal(s.stds, stds, sizeof stds);
            assert_memory_equal(s.params, params, sizeof params);
        }
        ft_model_state_clear(&s);
        ft_buf_clear(&blob);
    }
}

/* Cut short, lengthened by a field, or with a field twice: one model has one blob, so all are refused. */
static void
state_in_another_form_is_refused(void **state)
{
    struct ft_buf blob = { 0 };
    struct ft_model_state s;
    const uint8_t unknown[2] = { 0x78, 1 }; /* field 15 */
    const uint8_t twice[2] = { 0x18, 7 };   /* version 7 again */

    (void)state;
    make_blob(FT_STAGE_TRAIN, &blob);
    for (size_t size = 0; size < blob.size; size++)
        assert_int_equal(ft_model_state_decode(FT_BYTES(blob.data, size), &s, NULL), FT_ERR_FORMAT);
    assert_int_equal(ft_buf_append(&blob, unknown, 2), FT_OK);
    assert_int_equal(ft_model_state_decode(ft_buf_bytes(&blob), &s, NULL), FT_ERR_FORMAT);
    memcpy(blob.data + blob.size - 2, twice, 2);
    assert_int_equal(ft_model_state_decode(ft_buf_bytes(&blob), &s, NULL), FT_ERR_FORMAT);
    assert_null(s.params);
    ft_buf_clear(&blob);
}

/* Flip every bit of a blob in turn: never a crash, never a NaN or a deviation of 0 accepted. */
static void
state_decoder_keeps_its_rules_under_bit_flips(void **state)
{
    struct ft_buf blob = { 0 };
    size_t refused = 0;
    (void)state;
    make_blob(FT_STAGE_TRAIN, &blob);
    for (size_t bit = 0; bit < blob.size * 8; bit++) {
        struct ft_model_state s;
        blob.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (ft_model_state_decode(ft_buf_bytes(&blob), &s, NULL) == FT_OK) {
            for (uint32_t i = 0; i < s.features; i++)
                assert_true(isfinite(s.means[i]) && isfinite(s.stds[i]) && s.stds[i] > 0);
            for (uint64_t i = 0; i < s.parameters; i++)
                assert_true(isfinite((double)s.params[i]));
        } else {
            assert_null(s.means);
            refused++;
        }
        ft_model_state_clear(&s);
        blob.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_true(refused > 10);
    ft_buf_clear(&blob);
}

/* A NaN parameter, a deviation of 0, a statistics model with parameters are not made in the first place. */
static void
state_that_breaks_a_rule_is_not_made(void **state)
{
    const float bad[3] = { 0, NAN, 0 };
    const double zero[2] = { 1, 0 };
    struct ft_model_state s;
    (void)state;
    assert_int_equal(ft_model_state_init(&s, task, FT_STAGE_TRAIN, 0, means, stds, 2, bad, 3), FT_ERR_NONFINITE);
    assert_int_equal(ft_model_state_init(&s, task, FT_STAGE_TRAIN, 0, means, zero, 2, params, 3), FT_ERR_ARGUMENT);
    assert_int_equal(ft_model_state_init(&s, task, FT_STAGE_STATISTICS, 0, means, stds, 2, params, 3),
                     FT_ERR_ARGUMENT);
    assert_int_equal(ft_model_state_init(&s, task, (enum ft_stage)9, 0, means, stds, 2, params, 3), FT_ERR_ARGUMENT);
    assert_null(s.params);
}

/* A result of a statistics task keeps its sums to the last bit and says of how many shops they are; sums in any other
 * state, and a sum that is no number, are refused. */
static void
state_holds_the_sums_of_a_result(void **state)
{
    double sums[3] = { 12, -1.0 / 3, 1e300 };
    const struct ft_model_found found = { sums, 3, 7, 900, 10 };
    struct ft_model_state made, read;
    struct ft_buf blob = { 0 };
    (void)state;

    assert_int_equal(ft_model_state_init_found(&made, task, &found), FT_OK);
    assert_int_equal(ft_model_state_encode(&made, &blob), FT_OK);
    assert_int_equal(ft_model_state_decode(ft_buf_bytes(&blob), &read, NULL), FT_OK);
    assert_int_equal(read.stage, FT_STAGE_STATISTICS);
    assert_int_equal(read.version, 1);
    assert_int_equal(read.found.count, 3);
    assert_memory_equal(read.found.sums, sums, sizeof sums);
    assert_int_equal(read.found.shops, 7);
    assert_int_equal(read.found.customers, 900);
    assert_int_equal(read.found.min_group, 10);
    for (size_t size = 0; size < blob.size; size++) {
        struct ft_model_state cut;
        (void)!ft_model_state_decode(FT_BYTES(blob.data, size), &cut, NULL);
        ft_model_state_clear(&cut);
    }
    ft_model_state_clear(&read);
    made.version = 2;
    assert_int_equal(ft_model_state_encode(&made, &blob), FT_ERR_ARGUMENT);
    made.version = 1;
    made.found.shops = 0;
    assert_int_equal(ft_model_state_encode(&made, &blob), FT_ERR_ARGUMENT);
    sums[1] = NAN;
    assert_int_equal(ft_model_state_init_found(&read, task, &found), FT_ERR_NONFINITE);
    ft_model_state_clear(&made);
    ft_model_state_clear(&read);
    ft_buf_clear(&blob);
}

/* Fail each allocation in turn: a clean status, an empty state, no leak. */
static void
state_decode_survives_any_failed_allocation(void **state)
{
    struct ft_buf blob = { 0 };
    struct ft_model_state s;
    size_t live;
    enum ft_status st;
    (void)state;
    make_blob(FT_STAGE_TRAIN, &blob);
    live = ft_alloc_live();
    for (uint64_t nth = 1;; nth++) {
        ft_alloc_fail_at(nth, false);
        st = ft_model_state_decode(ft_buf_bytes(&blob), &s, NULL);
        if (!ft_alloc_fault_fired())
            break;
        assert_true(st == FT_ERR_NOMEM || st == FT_ERR_FORMAT); /* protobuf-c does not say which */
        assert_null(s.params);
        assert_int_equal(ft_alloc_live(), live);
    }
    ft_alloc_fail_at(0, false);
    assert_int_equal(st, FT_OK);
    ft_model_state_clear(&s);
    ft_buf_clear(&blob);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_survives_the_wire),
        cmocka_unit_test(state_in_another_form_is_refused),
        cmocka_unit_test(state_decoder_keeps_its_rules_under_bit_flips),
        cmocka_unit_test(state_that_breaks_a_rule_is_not_made),
        cmocka_unit_test(state_holds_the_sums_of_a_result),
        cmocka_unit_test(state_decode_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
