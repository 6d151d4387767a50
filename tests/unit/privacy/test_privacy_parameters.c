#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/privacy/parameters.h"

#include <math.h>
#include <stdio.h>

/* The derived values are those of the reference table and of the specification's worked example. */
static void
parameters_derive_the_reference_values(void **state)
{
    uint32_t share = 0;
    (void)state;
    assert_int_equal(ft_privacy_delta_int_sq(65536, 20000, 4096), 4311815119u);
    assert_int_equal(ft_privacy_delta_int_sq(16384, 1000, 0), 268452106u);
    assert_int_equal(ft_privacy_sigma_share(1.25, 4311815119u, 28, &share), FT_OK);
    assert_int_equal(share, 15512);
    assert_true(fabs(ft_privacy_z_eff(4311815119u, 28, 15512) - 1.2500193795825985) < 1.2e-12);
    assert_int_equal(ft_privacy_sigma_share(0.8, 268452106u, 5, &share), FT_OK);
    assert_int_equal(share, 5862);
    assert_true(fabs(ft_privacy_z_eff(268452106u, 5, 5862) - 0.8000136619106417) < 1e-12);

    assert_int_equal(ft_privacy_scale(20001), 4096);
    assert_int_equal(ft_privacy_delta_int_sq(4096, 20001, 256), 16851920);
    assert_int_equal(ft_privacy_sigma_share(1.00022746, 16851920, 28, &share), FT_OK);
    assert_int_equal(share, 776);
    assert_true(fabs(ft_privacy_z_eff(16851920, 28, 776) - 1.00026711) < 1e-8);
    assert_int_equal(ft_privacy_q_num(781.25, 100000), 1u << 25);
    const struct ft_privacy_adapt adapt = { 0.5, 0.2, 0.01, 10 };
    assert_true(fabs(ft_privacy_next_clip(&adapt, 0.5, 0.62) - 0.48814285487895465) < 1e-12);
}

/* Each constraint of the specification is checked, and says which. */
static void
parameters_out_of_range_are_refused(void **state)
{
    const struct ft_privacy_params good = { .q_num = 1u << 25, .dim = 20001, .clip = 1, .scale = 4096, .lambda = 256,
                                            .delta_int_sq = 16851920, .sigma_share = 776, .t_min = 28, .m_stores = 1,
                                            .steps = 1000 };
    struct ft_privacy_params bad[16];
    (void)state;
    assert_int_equal(ft_privacy_params_check(&good, NULL), FT_OK);
    for (int i = 0; i < 16; i++)
        bad[i] = good;
    bad[0].q_num = 0;
    bad[1].q_num = FT_PRIVACY_Q_ONE + 1;
    bad[2].dim = 0;
    bad[3].clip = 0;
    bad[4].clip = -1;
    bad[5].clip = NAN;
    bad[6].clip = INFINITY;
    bad[7].scale = 4097;
    bad[8].scale = 2048;
    bad[9].dim = 70000; /* 256 d > S^2 */
    bad[9].delta_int_sq = ft_privacy_delta_int_sq(4096, 70000, 256);
    bad[10].lambda = 1025;
    bad[10].delta_int_sq = ft_privacy_delta_int_sq(4096, 20001, 1025);
    bad[11].delta_int_sq--;
    bad[12].sigma_share = 7;
    bad[13].t_min = 0;
    bad[14].sigma_share = 100; /* z_eff below 0.3 */
    bad[15].steps = 0;
    for (int i = 0; i < 16; i++)
        assert_int_equal(ft_privacy_params_check(&bad[i], NULL), FT_ERR_CONFIG);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_derive_the_reference_values),
        cmocka_unit_test(parameters_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
