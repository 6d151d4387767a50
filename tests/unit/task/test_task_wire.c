/* Canonical bytes and signatures of a task: one form, nothing else accepted. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/task/refusal_codes.h"
#include "task_sample.h"

#include <math.h>
#include <sodium.h>

static struct ft_findings findings;

struct world {
    struct ft_task task;
    struct ft_buf canonical, signed_task;
    uint8_t secret_key[64];
    uint8_t keys[2][32]; /* the second one is the signer's */
};

static int
setup(void **state)
{
    static struct world w;
    uint8_t seed[32] = { 1 }, other[64];

    memset(&w, 0, sizeof w);
    if (sodium_init() < 0)
        return -1;
    crypto_sign_seed_keypair(w.keys[1], w.secret_key, seed);
    seed[0] = 2;
    crypto_sign_seed_keypair(w.keys[0], other, seed);
    *state = &w;
    return sample_read(TASK_SAMPLE, &w.task, &findings) != FT_OK ||
           ft_task_encode(&w.task, &w.canonical) != FT_OK ||
           ft_task_sign(&w.task, w.secret_key, &w.signed_task) != FT_OK;
}

static int
teardown(void **state)
{
    struct world *w = *state;
    ft_task_clear(&w->task);
    ft_buf_clear(&w->canonical);
    ft_buf_clear(&w->signed_task);
    return 0;
}

/* Decoding and encoding again gives the same bytes, and the same task. */
static void
task_canonical_bytes_round_trip(void **state)
{
    struct world *w = *state;
    struct ft_task back;
    struct ft_buf again = { 0 };

    assert_int_equal(ft_task_decode(ft_buf_bytes(&w->canonical), &back, NULL), FT_OK);
    assert_int_equal(ft_task_encode(&back, &again), FT_OK);
    assert_int_equal(again.size, w->canonical.size);
    assert_memory_equal(again.data, w->canonical.data, again.size);
    assert_string_equal(back.sql, w->task.sql);
    assert_true(back.features[1].min == -1 && back.server_epsilon == 1e-3);
    assert_int_equal(back.session_ms, 60000);
    ft_buf_clear(&again);
    ft_task_clear(&back);
}

/* A network with convolutions keeps its shape; one list more than the others is refused. */
static void
task_convolutions_round_trip(void **state)
{
    struct world *w = *state;
    struct ft_task cnn = w->task, back;
    struct ft_buf bytes = { 0 };

    cnn.model = FT_MODEL_CNN;
    cnn.classes = 0;
    cnn.hidden_count = 0;
    cnn.activation = FT_ACT_RELU;
    cnn.image_count = 3;
    cnn.image[0] = 1;
    cnn.image[1] = cnn.feature_count;
    cnn.image[2] = 1;
    cnn.channels_count = cnn.kernels_count = cnn.pools_count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        cnn.channels[i] = 4 + i;
        cnn.kernels[i] = 3 + 2 * i;
        cnn.pools[i] = 1;
    }
    assert_int_equal(ft_task_encode(&cnn, &bytes), FT_OK);
    assert_int_equal(ft_task_decode(ft_buf_bytes(&bytes), &back, NULL), FT_OK);
    assert_int_equal(back.model, FT_MODEL_CNN);
    assert_int_equal(back.image_count, 3);
    assert_memory_equal(back.image, cnn.image, sizeof cnn.image);
    assert_int_equal(back.channels_count, 2);
    assert_memory_equal(back.channels, cnn.channels, 2 * sizeof(uint32_t));
    assert_memory_equal(back.kernels, cnn.kernels, 2 * sizeof(uint32_t));
    assert_memory_equal(back.pools, cnn.pools, 2 * sizeof(uint32_t));
    ft_task_clear(&back);
    cnn.pools_count = 3;
    cnn.pools[2] = 1;
    ft_buf_clear(&bytes);
    assert_int_equal(ft_task_encode(&cnn, &bytes), FT_OK);
    assert_int_equal(ft_task_decode(ft_buf_bytes(&bytes), &back, NULL), FT_ERR_CONFIG);
    ft_task_clear(&back);
    ft_buf_clear(&bytes);
}

/* No prefix of a task decodes, nor the task with bytes behind it. */
static void
task_truncated_bytes_are_refused(void **state)
{
    struct world *w = *state;
    struct ft_task task;
    const size_t live = ft_alloc_live();

    for (size_t size = 0; size < w->canonical.size; size++) {
        uint8_t *exact =
            ft_calloc(1, size > 0 ? size : 1); /* its own block, so that ASan sees a read past the end */
        memcpy(exact, w->canonical.data, size);
        assert_int_not_equal(ft_task_decode(FT_BYTES(exact, size), &task, NULL), FT_OK);
        assert_null(task.name);
        ft_free(exact);
    }
    assert_int_equal(ft_buf_u8(&w->canonical, 0), FT_OK);
    assert_int_not_equal(ft_task_decode(ft_buf_bytes(&w->canonical), &task, NULL), FT_OK);
    w->canonical.size--;
    assert_int_equal(ft_alloc_live(), live);
}

/* A flipped bit either is refused or names another valid task with another hash; it never passes for the
 * same. */
static void
task_flipped_bits_never_pass_for_the_same_task(void **state)
{
    struct world *w = *state;
    uint8_t hash[32], other[32];
    size_t refused = 0, accepted = 0;

    ft_task_hash(ft_buf_bytes(&w->canonical), hash);
    for (size_t bit = 0; bit < w->canonical.size * 8; bit++) {
        struct ft_task task;
        w->canonical.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (ft_task_decode(ft_buf_bytes(&w->canonical), &task, NULL) == FT_OK) {
            struct ft_buf again = { 0 };
            accepted++;
            assert_int_equal(ft_task_encode(&task, &again), FT_OK);
            assert_memory_equal(again.data, w->canonical.data, again.size);
            ft_task_hash(ft_buf_bytes(&w->canonical), other);
            assert_memory_not_equal(hash, other, 32);
            ft_buf_clear(&again);
            ft_task_clear(&task);
        } else {
            refused++;
        }
        w->canonical.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(refused > 0); /* both happen: letters of the title may change, its length may not */
    assert_true(accepted > 0);
}

/* The same content in another order of bytes, or with an unknown field, is not canonical. */
static void
task_other_forms_of_the_same_task_are_refused(void **state)
{
    static const uint8_t unknown_field[] = { 0xf8, 0x07, 0x01 }; /* field 127, varint 1 */
    static const uint8_t version_again[] = { 0x08, 0x01 };       /* field 1, which was there already */
    struct world *w = *state;
    struct ft_buf other = { 0 };
    struct ft_task task;
    struct ft_error err = { 0 };

    assert_int_equal(ft_buf_append(&other, w->canonical.data, w->canonical.size), FT_OK);
    assert_int_equal(ft_buf_append(&other, unknown_field, sizeof unknown_field), FT_OK);
    assert_int_equal(ft_task_decode(ft_buf_bytes(&other), &task, &err), FT_ERR_FORMAT);
    assert_non_null(strstr(err.text, "canonical"));
    ft_buf_clear(&other);
    assert_int_equal(ft_buf_append(&other, w->canonical.data, w->canonical.size), FT_OK);
    assert_int_equal(ft_buf_append(&other, version_again, sizeof version_again), FT_OK);
    assert_int_equal(ft_task_decode(ft_buf_bytes(&other), &task, NULL), FT_ERR_FORMAT);
    ft_buf_clear(&other);
}

/* What the YAML form would refuse is refused in bytes too: NaN, bad text, broken cohorts. */
static void
task_bytes_keep_the_same_rules(void **state)
{
    struct world *w = *state;
    struct ft_buf bytes = { 0 };
    struct ft_task task;
    struct ft_error err = { 0 };
    char bad_title[] = "a\xff";
    char *title = w->task.title;

    w->task.features[0].max = NAN;
    assert_int_equal(ft_task_encode(&w->task, &bytes), FT_OK);
    assert_int_equal(ft_task_decode(ft_buf_bytes(&bytes), &task, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "feature a is unbounded"));
    w->task.features[0].max = 3.5;
    ft_buf_clear(&bytes);

    w->task.title = bad_title;
    assert_int_equal(ft_task_encode(&w->task, &bytes), FT_OK);
    assert_int_equal(ft_task_decode(ft_buf_bytes(&bytes), &task, NULL), FT_ERR_CONFIG);
    w->task.title = title;
    ft_buf_clear(&bytes);

    w->task.n_min = 4;
    assert_int_equal(ft_task_encode(&w->task, &bytes), FT_OK);
    assert_int_equal(ft_task_decode(ft_buf_bytes(&bytes), &task, NULL), FT_ERR_CONFIG);
    assert_int_equal(ft_task_sign(&w->task, w->secret_key, &bytes), FT_ERR_CONFIG);
    ft_buf_clear(&bytes);
}

/* Bytes that would decode into far more memory than they have are stopped by the budget. */
static void
task_decode_memory_is_bounded(void **state)
{
    struct ft_buf bytes = { 0 };
    struct ft_task task;
    const size_t features = 400000; /* empty features: 2 bytes on the wire, an allocation each */
    (void)state;

    /* examples (field 9): length of 3 bytes, then features (field 3) of length 0 */
    const size_t size = 2 * features;
    assert_int_equal(ft_buf_u8(&bytes, 9 << 3 | 2), FT_OK);
    assert_int_equal(ft_buf_u8(&bytes, (uint8_t)(0x80 | (size & 0x7f))), FT_OK);
    assert_int_equal(ft_buf_u8(&bytes, (uint8_t)(0x80 | (size >> 7 & 0x7f))), FT_OK);
    assert_int_equal(ft_buf_u8(&bytes, (uint8_t)(size >> 14)), FT_OK);
    for (size_t i = 0; i < features; i++) {
        assert_int_equal(ft_buf_u8(&bytes, 3 << 3 | 2), FT_OK);
        assert_int_equal(ft_buf_u8(&bytes, 0), FT_OK);
    }
    assert_int_equal(ft_task_decode(ft_buf_bytes(&bytes), &task, NULL), FT_ERR_FORMAT);
    ft_buf_clear(&bytes);
}

/* A signed task opens under a pinned key and gives the task and its hash. */
static void
task_open_gives_the_signed_task(void **state)
{
    struct world *w = *state;
    uint8_t hash[32], expected[32];
    struct ft_task task;

    assert_int_equal(ft_task_open(ft_buf_bytes(&w->signed_task), w->keys, 2, &task, hash, NULL), FT_OK);
    ft_task_hash(ft_buf_bytes(&w->canonical), expected);
    assert_memory_equal(hash, expected, 32);
    assert_string_equal(task.name, "sample");
    ft_task_clear(&task);
}

/* Without the signer among the pinned keys, or with any bit changed, nothing opens. */
static void
task_open_refuses_tampering_and_foreign_keys(void **state)
{
    struct world *w = *state;
    struct ft_error err = { 0 };
    struct ft_task task;
    uint8_t hash[32], zero[32] = { 0 };

    assert_int_equal(ft_task_open(ft_buf_bytes(&w->signed_task), w->keys, 1, &task, hash, &err),
                     FT_ERR_VERIFY);
    assert_non_null(strstr(err.text, "not pinned"));
    assert_int_equal(ft_task_open(ft_buf_bytes(&w->signed_task), NULL, 0, &task, hash, NULL), FT_ERR_VERIFY);
    for (size_t bit = 0; bit < w->signed_task.size * 8; bit++) {
        w->signed_task.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum ft_status st = ft_task_open(ft_buf_bytes(&w->signed_task), w->keys, 2, &task, hash, NULL);
        assert_true(st == FT_ERR_VERIFY || st == FT_ERR_FORMAT);
        assert_null(task.name);
        assert_memory_equal(hash, zero, 32);
        w->signed_task.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < w->signed_task.size; size++)
        assert_int_not_equal(ft_task_open(FT_BYTES(w->signed_task.data, size), w->keys, 2, &task, hash, NULL),
                             FT_OK);
}

/* Fail each allocation in turn while opening: a clean status and nothing left behind. */
static void
task_open_survives_any_failed_allocation(void **state)
{
    struct world *w = *state;
    const size_t live = ft_alloc_live();
    struct ft_task task;
    uint8_t hash[32];
    enum ft_status st = FT_OK;
    uint64_t nth;

    for (nth = 1; nth < 2000; nth++) {
        ft_alloc_fail_at(nth, false);
        st = ft_task_open(ft_buf_bytes(&w->signed_task), w->keys, 2, &task, hash, NULL);
        const bool fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        if (!fired)
            break;
        assert_int_not_equal(st, FT_OK);
        assert_int_equal(ft_alloc_live(), live);
    }
    assert_in_range(nth, 20, 1999);
    assert_int_equal(st, FT_OK);
    ft_task_clear(&task);
}

/* Refusal codes: names and numbers are unique and lead to each other, and every one has a remedy. */
static void
task_refusal_codes_are_one_to_one(void **state)
{
    static const uint32_t numbers[] = {
#define X(name, number, exit, remedy) number,
        FT_REFUSAL_MAP(X)
#undef X
    };
    struct ft_refusals r = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        assert_int_equal(ft_refusal_number(ft_refusal_name(numbers[i])), numbers[i]);
        assert_true(ft_refusal_exit(numbers[i]) >= FT_EXIT_DATA);
        assert_true(strlen(ft_refusal_remedy(numbers[i])) < sizeof r.list[0].remedy);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(numbers[i], numbers[j]);
    }
    assert_null(ft_refusal_name(0));
    assert_null(ft_refusal_name(99999));
    assert_int_equal(ft_refusal_number("NO_SUCH_CODE"), 0);
}

/* The exit code of several refusals is the gravest one's; only postponements give 75. */
static void
task_refusals_exit_is_the_gravest(void **state)
{
    struct ft_refusals r = { 0 };
    (void)state;
    assert_int_equal(ft_refusals_exit(&r), FT_EXIT_OK);
    ft_refuse_code(&r, FT_REFUSAL_TOO_SOON, "later");
    assert_int_equal(ft_refusals_exit(&r), FT_EXIT_LATER);
    ft_refuse_code(&r, FT_REFUSAL_CLIP_TOO_LARGE, "too large");
    assert_int_equal(ft_refusals_exit(&r), FT_EXIT_REFUSED);
    ft_refuse_code(&r, FT_REFUSAL_TASK_EXPIRED, "expired");
    assert_int_equal(ft_refusals_exit(&r), FT_EXIT_VERIFY);
    assert_string_equal(r.list[1].code, "CLIP_TOO_LARGE");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(task_canonical_bytes_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(task_convolutions_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(task_truncated_bytes_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(task_flipped_bits_never_pass_for_the_same_task, setup, teardown),
        cmocka_unit_test_setup_teardown(task_other_forms_of_the_same_task_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(task_bytes_keep_the_same_rules, setup, teardown),
        cmocka_unit_test(task_decode_memory_is_bounded),
        cmocka_unit_test_setup_teardown(task_open_gives_the_signed_task, setup, teardown),
        cmocka_unit_test_setup_teardown(task_open_refuses_tampering_and_foreign_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(task_open_survives_any_failed_allocation, setup, teardown),
        cmocka_unit_test(task_refusal_codes_are_one_to_one),
        cmocka_unit_test(task_refusals_exit_is_the_gravest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
