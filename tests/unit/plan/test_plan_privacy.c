#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/plan/round_plan.h"

#include <math.h>
#include <string.h>

#define PRIVATE_TASK(privacy)                                                                                          \
    "version: 1\ntask: sample\ntitle: A sample\npurpose: train/propensity\nowner: Central data team\n"                \
    "expires: 2027-12-31\nreview: 2027-06-30\nunit: customer\nexamples:\n"                                             \
    "  sql: SELECT customer_id, split, y, a, b FROM t\n  label: {column: y, min: 0, max: 1}\n  features:\n"            \
    "    - {name: a, min: 0, max: 3.5}\n    - {name: b, min: -1, max: 1}\n"                                            \
    "  rows_per_customer: 4\n  rows_max: 1000\nmodel: {kind: logistic}\n"                                              \
    "training: {rounds: 30, local_epochs: 2, batch_size: 0, learning_rate: 0.5, clip: 1, weight_cap: 2000,\n"          \
    "           server: {optimizer: fedavg, learning_rate: 1}}\nprivacy:\n" privacy                                    \
    "cohort: {n_min: 6, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n"                  \
    "         suite: aes-256-ctr, lane_bits: 32}\n"                                                                    \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"
#define SHOPS                                                                                                          \
    "  shops: [{shop: a, customers: 500}, {shop: b, customers: 1000}, {shop: c, customers: 500},\n"                    \
    "          {shop: d, customers: 500}, {shop: e, customers: 500}, {shop: f, customers: 1000}]\n"
#define GOOD                                                                                                           \
    "  noise: discrete-gaussian\n  epsilon: 4\n  delta: 1.0e-5\n  expected_customers: 200\n  m_stores: 1\n"            \
    "  spare_rounds: 2\n  contribution: gradient\n" SHOPS

static enum ft_status
read_task(const char *yaml, struct ft_task *task, struct ft_error *err)
{
    static const uint8_t deployment[16];
    return ft_task_from_yaml(FT_BYTES(yaml, strlen(yaml)), "t.yaml", deployment, task, err);
}

static struct ft_task
derived(const char *yaml)
{
    struct ft_task task;
    struct ft_error err = { 0 };
    if (read_task(yaml, &task, &err) != FT_OK || ft_plan_privacy_derive(&task, &err) != FT_OK)
        fail_msg("%s", err.text);
    return task;
}

/* The derived numbers follow from the wishes and keep the epsilon that was asked for. */
static void
privacy_plan_derives_what_the_wishes_need(void **unused)
{
    (void)unused;
    struct ft_task t = derived(PRIVATE_TASK(GOOD));
    const struct ft_task_privacy *p = &t.privacy;
    const struct ft_account_event e = ft_plan_privacy_event(&t, p->steps);
    uint32_t order;
    double epsilon;
    assert_int_equal(ft_plan_customers(&t), 4000);
    assert_int_equal(p->q_num, (UINT64_C(1) << 32) / 20);
    assert_int_equal(p->steps, 34);
    assert_int_equal(p->t_min, 3);
    assert_int_equal(p->dim, 3 + 2 * FT_PRIVATE_BINS);
    assert_int_equal(p->scale, 4096);
    assert_int_equal(ft_account_cost_rdp(&e, 1, p->delta, &epsilon, &order), FT_OK);
    assert_true(epsilon <= 4 && epsilon > 3.98);
    ft_task_clear(&t);
}

/* Signed bytes carry the section, and what is read back passes the check. */
static void
privacy_plan_survives_the_signed_bytes(void **unused)
{
    (void)unused;
    struct ft_task t = derived(PRIVATE_TASK(GOOD "  rotation: true\n"
                                                 "  adaptive_clip: {quantile: 0.5, rate: 0.2, min: 0.1, max: 10}\n")),
                   back;
    struct ft_buf bytes = { 0 };
    struct ft_round_plan plan;
    struct ft_error err = { 0 };
    assert_int_equal(ft_task_encode(&t, &bytes), FT_OK);
    assert_int_equal(ft_task_decode(ft_buf_bytes(&bytes), &back, &err), FT_OK);
    assert_int_equal(ft_plan_privacy_check(&back, &err), FT_OK);
    assert_true(back.privacy.rotated);
    assert_int_equal(back.privacy.lambda, back.privacy.scale / 16);
    assert_string_equal(back.privacy.shops[5].name, "f");
    assert_int_equal(ft_round_plan_init(&plan, &back, FT_STAGE_TRAIN, &err), FT_OK);
    assert_int_equal(plan.privacy.dim, 5); /* three parameters, padded, and the indicator */
    assert_int_equal(plan.codec.weight_lanes, 0);
    assert_true(fabs(plan.codec.noise_var - pow(back.privacy.sigma_share, 2)) < 1e-9);
    assert_int_equal(ft_round_plan_clip(&plan, &back, 2, &err), FT_OK);
    assert_true(fabs(plan.codec.quant_step * back.privacy.scale - 2) < 1e-5);
    assert_int_equal(ft_round_plan_clip(&plan, &back, 11, &err), FT_ERR_VERIFY);
    ft_buf_clear(&bytes);
    ft_task_clear(&back);
    ft_task_clear(&t);
}

static void
refused(struct ft_task *t, const char *field)
{
    struct ft_error err = { 0 };
    struct ft_round_plan plan;
    assert_int_equal(ft_plan_privacy_check(t, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, field));
    assert_int_equal(ft_round_plan_init(&plan, t, FT_STAGE_TRAIN, NULL), FT_ERR_CONFIG);
}

/* A derived field that does not follow from the rest is refused by its name, also when it is off by one. */
static void
privacy_plan_names_the_field_that_disagrees(void **unused)
{
    (void)unused;
    struct ft_task t = derived(PRIVATE_TASK(GOOD));
    const struct ft_task_privacy good = t.privacy;
#define OFF(field, by)                                                                                                 \
    t.privacy.field += (by);                                                                                           \
    refused(&t, "privacy." #field);                                                                                    \
    t.privacy = good
    OFF(q_num, 1);
    OFF(steps, 1);
    OFF(dim, 1);
    OFF(scale, 4096);
    OFF(lambda, 1);
    OFF(delta_int_sq, 1);
    OFF(t_min, 1);
    t.privacy.sigma_share -= 1;
    refused(&t, "privacy.sigma_share");
    t.privacy = good;
    t.h_min -= 1;
    refused(&t, "privacy.t_min");
    t.h_min += 1;
    t.lane_bits = 16;
    refused(&t, "cohort.lane_bits");
    ft_task_clear(&t);
}

static void
wrong(const char *yaml, const char *says)
{
    struct ft_task t;
    struct ft_error err = { 0 };
    enum ft_status st = read_task(yaml, &t, &err);
    if (st == FT_OK)
        st = ft_plan_privacy_derive(&t, &err);
    assert_int_equal(st, FT_ERR_CONFIG);
    if (strstr(err.text, says) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, says);
    ft_task_clear(&t);
}

/* Bad wishes are refused with the numbers. */
static void
privacy_plan_refuses_bad_wishes_with_the_numbers(void **unused)
{
    (void)unused;
    wrong(PRIVATE_TASK("  noise: discrete-gaussian\n"), "privacy needs one of epsilon and noise_multiplier");
    wrong(PRIVATE_TASK("  noise: none\n  epsilon: 4\n"), "a task without noise makes no privacy claim");
    wrong(PRIVATE_TASK("  noise: discrete-gaussian\n  epsilon: 4\n  delta: 1.0e-3\n  expected_customers: 200\n"
                       "  m_stores: 1\n  contribution: gradient\n" SHOPS),
          "privacy.delta: 0.001 is above 1/(10 n_pub) = 2.5e-05");
    wrong(PRIVATE_TASK("  noise: discrete-gaussian\n  epsilon: 4\n  delta: 1.0e-5\n  expected_customers: 9000\n"
                       "  m_stores: 1\n  contribution: gradient\n" SHOPS),
          "privacy.expected_customers: 9000 of 4000 customers");
    wrong(PRIVATE_TASK("  noise: discrete-gaussian\n  epsilon: 4\n  delta: 1.0e-5\n  expected_customers: 200\n"
                       "  m_stores: 1\n  contribution: gradient\n  shops: [{shop: a, customers: 500}]\n"),
          "privacy.shops names 1 shops, expected at least cohort.n_min 6");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(privacy_plan_derives_what_the_wishes_need),
        cmocka_unit_test(privacy_plan_survives_the_signed_bytes),
        cmocka_unit_test(privacy_plan_names_the_field_that_disagrees),
        cmocka_unit_test(privacy_plan_refuses_bad_wishes_with_the_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
