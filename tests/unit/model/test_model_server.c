#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/model/server.h"
#include "tests/support/approx.h"

#include <math.h>
#include <string.h>

static const struct ft_server_config average = { .kind = FT_SERVER_FEDAVG, .learning_rate = 0.5 };
static const struct ft_server_config momentum = { .kind = FT_SERVER_MOMENTUM, .learning_rate = 1, .momentum = 0.9 };
static const struct ft_server_config adam = { .kind = FT_SERVER_FEDADAM, .learning_rate = 0.1, .momentum = 0.9,
                                              .beta2 = 0.99, .epsilon = 0.001 };

static struct ft_server *
opened(const struct ft_server_config *config, uint64_t parameters)
{
    struct ft_server *s = NULL;
    assert_int_equal(ft_server_open(config, parameters, &s, NULL), FT_OK);
    return s;
}

/* Shops of weight 1 and 3 with updates 4 and 8: the mean is 7, half of it is taken. */
static void
fedavg_takes_the_weighted_mean(void **state)
{
    const double sum[2] = { 1 * 4 + 3 * 8, -4 };
    float theta[2] = { 1, 1 };
    struct ft_server *s = opened(&average, 2);
    (void)state;
    assert_int_equal(ft_server_step(s, sum, 4, theta), FT_OK);
    assert_float_equal(theta[0], 4.5f, 0);
    assert_float_equal(theta[1], 0.5f, 0);
    assert_int_equal(ft_server_steps(s), 1);
    ft_server_close(s);
}

/* Mean updates 1 then 0 with momentum 0.9: steps of 1 and 0.9. */
static void
momentum_keeps_going(void **state)
{
    const double one[1] = { 2 }, none[1] = { 0 };
    float theta[1] = { 0 };
    struct ft_server *s = opened(&momentum, 1);
    (void)state;
    assert_int_equal(ft_server_step(s, one, 2, theta), FT_OK);
    assert_float_equal(theta[0], 1, 1e-7f);
    assert_int_equal(ft_server_step(s, none, 2, theta), FT_OK);
    assert_float_equal(theta[0], 1.9f, 1e-6f);
    ft_server_close(s);
}

/* Mean update 2: m = 0.2, v = 0.99e-6 + 0.04, step = 0.1 * 0.2 / (sqrt(0.04000099) + 0.001) = 0.0995012...;
 * then mean update 0: m = 0.18, v = 0.0396009801, step = 0.018 / (0.19900... + 0.001). */
static void
fedadam_matches_hand_working(void **state)
{
    const double two[1] = { 2 }, none[1] = { 0 };
    const double first = 0.02 / (sqrt(0.04000099) + 0.001), second = 0.018 / (sqrt(0.0396009801) + 0.001);
    float theta[1] = { 0 };
    struct ft_server *s = opened(&adam, 1);
    (void)state;
    assert_int_equal(ft_server_step(s, two, 1, theta), FT_OK);
    assert_approx((double)theta[0], first, 1e-8);
    assert_approx(first, 0.0995012, 1e-6);
    assert_int_equal(ft_server_step(s, none, 1, theta), FT_OK);
    assert_approx((double)theta[0], first + second, 2e-8);
    ft_server_close(s);
}

/* A sum with a NaN, or no weight, changes neither the model nor the state. */
static void
a_bad_sum_changes_nothing(void **state)
{
    const double good[2] = { 1, 1 }, bad[2] = { 1, (double)NAN }, huge[2] = { 1, 1e300 };
    float theta[2] = { 0, 0 }, before[2];
    struct ft_server *s = opened(&adam, 2);
    struct ft_buf a = { 0 }, b = { 0 };
    (void)state;
    assert_int_equal(ft_server_step(s, good, 1, theta), FT_OK);
    assert_int_equal(ft_server_encode(s, &a), FT_OK);
    memcpy(before, theta, sizeof theta);
    assert_int_equal(ft_server_step(s, bad, 1, theta), FT_ERR_NONFINITE);
    assert_int_equal(ft_server_step(s, huge, 1, theta), FT_ERR_NONFINITE); /* its square overflows */
    assert_int_equal(ft_server_step(s, good, 0, theta), FT_ERR_ARGUMENT);
    assert_int_equal(ft_server_step(s, good, (double)NAN, theta), FT_ERR_ARGUMENT);
    assert_int_equal(ft_server_encode(s, &b), FT_OK);
    assert_memory_equal(before, theta, sizeof theta);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    ft_buf_clear(&a);
    ft_buf_clear(&b);
    ft_server_close(s);
}

/* A server restored from bytes goes on exactly as the one that never stopped. */
static void
a_restored_server_continues_bit_for_bit(void **state)
{
    const struct ft_server_config *all[3] = { &average, &momentum, &adam };
    (void)state;
    for (int k = 0; k < 3; k++) {
        const double sums[3][2] = { { 1, -2 }, { 0.5, 0.25 }, { -3, 1 } };
        float theta[2] = { 0, 0 }, other[2];
        struct ft_server *s = opened(all[k], 2), *t = opened(all[k], 2);
        struct ft_buf bytes = { 0 };
        assert_int_equal(ft_server_step(s, sums[0], 3, theta), FT_OK);
        assert_int_equal(ft_server_step(s, sums[1], 3, theta), FT_OK);
        assert_int_equal(ft_server_encode(s, &bytes), FT_OK);
        assert_int_equal(ft_server_decode(t, ft_buf_bytes(&bytes)), FT_OK);
        memcpy(other, theta, sizeof theta);
        assert_int_equal(ft_server_step(s, sums[2], 3, theta), FT_OK);
        assert_int_equal(ft_server_step(t, sums[2], 3, other), FT_OK);
        assert_memory_equal(theta, other, sizeof theta);
        assert_int_equal(ft_server_steps(t), 3);
        ft_buf_clear(&bytes);
        ft_server_close(s);
        ft_server_close(t);
    }
}

/* Bytes of another kind or size, cut short, too long, or with a negative second moment are refused. */
static void
foreign_state_is_refused(void **state)
{
    const double sum[2] = { 1, 2 };
    float theta[2] = { 0, 0 };
    struct ft_server *s = opened(&adam, 2), *m = opened(&momentum, 2), *three = opened(&adam, 3);
    struct ft_buf bytes = { 0 };
    (void)state;
    assert_int_equal(ft_server_step(s, sum, 1, theta), FT_OK);
    assert_int_equal(ft_server_encode(s, &bytes), FT_OK);
    assert_int_equal(ft_server_decode(m, ft_buf_bytes(&bytes)), FT_ERR_FORMAT);
    assert_int_equal(ft_server_decode(three, ft_buf_bytes(&bytes)), FT_ERR_FORMAT);
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(ft_server_decode(s, FT_BYTES(bytes.data, size)), FT_ERR_FORMAT);
    bytes.data[bytes.size - 1] |= 0x80; /* sign of the last second moment */
    assert_int_equal(ft_server_decode(s, ft_buf_bytes(&bytes)), FT_ERR_FORMAT);
    bytes.data[bytes.size - 1] &= 0x7f;
    assert_int_equal(ft_server_decode(s, ft_buf_bytes(&bytes)), FT_OK);
    assert_int_equal(ft_buf_u8(&bytes, 0), FT_OK);
    assert_int_equal(ft_server_decode(s, ft_buf_bytes(&bytes)), FT_ERR_FORMAT);
    ft_buf_clear(&bytes);
    ft_server_close(s);
    ft_server_close(m);
    ft_server_close(three);
}

/* Settings out of range are refused by name, and a failed allocation leaves nothing. */
static void
impossible_servers_are_refused(void **state)
{
    struct ft_server_config c = adam;
    struct ft_error err = { 0 };
    struct ft_server *s = NULL;
    const size_t live = ft_alloc_live();
    (void)state;
    c.beta2 = 1;
    assert_int_equal(ft_server_open(&c, 1, &s, &err), FT_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "beta2 is 1"));
    c = adam;
    c.epsilon = 0;
    assert_int_equal(ft_server_open(&c, 1, &s, NULL), FT_ERR_ARGUMENT);
    c.kind = (enum ft_server_kind)7;
    assert_int_equal(ft_server_open(&c, 1, &s, NULL), FT_ERR_ARGUMENT);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        ft_alloc_fail_at(nth, false);
        assert_int_equal(ft_server_open(&adam, 4, &s, NULL), FT_ERR_NOMEM);
        assert_null(s);
        assert_int_equal(ft_alloc_live(), live);
    }
    ft_alloc_fail_at(0, false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fedavg_takes_the_weighted_mean),
        cmocka_unit_test(momentum_keeps_going),
        cmocka_unit_test(fedadam_matches_hand_working),
        cmocka_unit_test(a_bad_sum_changes_nothing),
        cmocka_unit_test(a_restored_server_continues_bit_for_bit),
        cmocka_unit_test(foreign_state_is_refused),
        cmocka_unit_test(impossible_servers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
