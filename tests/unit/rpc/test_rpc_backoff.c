/* Back-off and the mapping of status codes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/rpc/backoff.h"
#include "common/rpc/rpc_status.h"

/* The n-th wait is within min(cap, base * 2^n), and over many draws comes near both ends. */
static void
backoff_waits_fill_their_range(void **state)
{
    struct ft_env_seeded e;
    (void)state;
    ft_env_seeded_init(&e, 1, 1);
    for (uint32_t failures = 0; failures < 40; failures++) {
        const uint64_t doubled = failures < 20 ? UINT64_C(100) << failures : UINT64_MAX;
        const uint32_t bound = doubled < 60000 ? (uint32_t)doubled : 60000;
        uint32_t least = UINT32_MAX, most = 0;
        for (int i = 0; i < 400; i++) {
            struct ft_backoff b;
            uint32_t wait;
            ft_backoff_init(&b, 100, 60000);
            b.failures = failures;
            wait = ft_backoff_next_ms(&b, &e.env);
            assert_true(wait <= bound);
            least = wait < least ? wait : least;
            most = wait > most ? wait : most;
        }
        assert_true(most > bound - bound / 10); /* 400 draws all below 90 %: 5e-19 */
        assert_true(least < bound / 10);
    }
}

/* Each failure widens the range, a success narrows it to the start. */
static void
backoff_counts_failures_until_reset(void **state)
{
    struct ft_env_seeded e;
    struct ft_backoff b;
    (void)state;
    ft_env_seeded_init(&e, 2, 1);
    ft_backoff_init(&b, 1, UINT32_MAX);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(b.failures, i);
        (void)ft_backoff_next_ms(&b, &e.env);
    }
    ft_backoff_reset(&b);
    assert_true(ft_backoff_next_ms(&b, &e.env) <= 1);
}

/* Two shops with different randomness do not wait the same; the same seed waits the same. */
static void
backoff_is_jittered_and_reproducible(void **state)
{
    struct ft_env_seeded e[3];
    uint32_t waits[3][10];
    int same = 0;
    (void)state;
    for (int k = 0; k < 3; k++) {
        struct ft_backoff b;
        ft_env_seeded_init(&e[k], 7, k == 1 ? 2 : 1);
        ft_backoff_init(&b, 1000, 300000);
        for (int i = 0; i < 10; i++)
            waits[k][i] = ft_backoff_next_ms(&b, &e[k].env);
    }
    assert_memory_equal(waits[0], waits[2], sizeof waits[0]);
    for (int i = 0; i < 10; i++)
        same += waits[0][i] == waits[1][i];
    assert_true(same < 3);
}

/* The caller can tell what to do from the code: wait, give up, or ask a person. */
static void
status_codes_map_to_what_the_caller_does(void **state)
{
    (void)state;
    assert_int_equal(ft_rpc_code_status(FT_RPC_OK), FT_OK);
    assert_int_equal(ft_rpc_code_status(FT_RPC_UNAVAILABLE), FT_ERR_PEER);
    assert_int_equal(ft_rpc_code_status(FT_RPC_DEADLINE_EXCEEDED), FT_ERR_TIMEOUT);
    assert_int_equal(ft_rpc_code_status(FT_RPC_UNAUTHENTICATED), FT_ERR_REFUSED);
    assert_int_equal(ft_rpc_code_status(FT_RPC_PERMISSION_DENIED), FT_ERR_REFUSED);
    assert_int_equal(ft_rpc_code_status(FT_RPC_RESOURCE_EXHAUSTED), FT_ERR_LATER);
    assert_int_equal(ft_rpc_code_status(FT_RPC_CANCELLED), FT_ERR_PEER); /* not ours: try again */
    assert_int_equal(ft_rpc_code_status((enum ft_rpc_code)99), FT_ERR_PEER);
    assert_string_equal(ft_rpc_code_str(FT_RPC_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(ft_rpc_code_str((enum ft_rpc_code)99), "UNKNOWN");
}

/* Only success is told as success. */
static void
status_failures_never_map_to_success(void **state)
{
    (void)state;
    assert_int_equal(ft_rpc_code_of(FT_OK), FT_RPC_OK);
    for (int st = FT_OK + 1; st < FT_STATUS_COUNT; st++)
        assert_int_not_equal(ft_rpc_code_of((enum ft_status)st), FT_RPC_OK);
    for (int code = FT_RPC_OK + 1; code <= FT_RPC_UNAUTHENTICATED; code++)
        assert_int_not_equal(ft_rpc_code_status((enum ft_rpc_code)code), FT_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backoff_waits_fill_their_range),
        cmocka_unit_test(backoff_counts_failures_until_reset),
        cmocka_unit_test(backoff_is_jittered_and_reproducible),
        cmocka_unit_test(status_codes_map_to_what_the_caller_does),
        cmocka_unit_test(status_failures_never_map_to_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
