/* The file of a statistics task's result: what anybody works out again from it, and its CSV. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/export/statistics.h"
#include "aggregator/verify/verify.h"
#include "common/base/alloc.h"
#include "common/plan/round_plan.h"
#include "common/statement/statement.h"

#include <jansson.h>
#include <sodium.h>
#include <string.h>

#define OK(call) assert_int_equal((call), FT_OK)
#define W        (-1.0)

#define HEAD                                                                                                 \
    "version: 1\nkind: statistics\ntask: sample\ntitle: A sample\npurpose: measure/propensity\nowner: Us\n"  \
    "expires: 2027-12-31\nreview: 2027-06-30\nunit: customer\nexamples:\n"                                   \
    "  sql: SELECT customer_id, a FROM t\n"                                                                  \
    "  features:\n    - {name: a, min: 0, max: 8}\n  rows_per_customer: 1\n  rows_max: 1000\nstatistics:\n"  \
    "  - {measure: histogram, feature: a, bins: 4}\n"
#define PLAIN "privacy: {noise: none}\n"
#define NOISE                                                                                                \
    "privacy: {noise: discrete-gaussian, epsilon: 8, delta: 1.0e-5, expected_customers: 900, m_stores: 1, "  \
    "shops: [{shop: a, customers: 150}, {shop: b, customers: 150}, {shop: c, customers: 150}, {shop: d, "    \
    "customers: 150}, {shop: e, customers: 150}, {shop: f, customers: 150}]}\n"
#define TAIL                                                                                                 \
    "cohort: {n_min: 6, n_cap: 6, h_min: 3, corrupted: 1, drop_permille: 170, sigma: 40, eta: 30,\n"         \
    "         suite: aes-256-ctr, lane_bits: 32}\n"                                                          \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"

static struct ft_buf signed_bytes[2]; /* without noise, with */
static struct ft_task tasks[2];

static void
sign(const char *yaml, struct ft_task *out, struct ft_buf *bytes)
{
    static const uint8_t deployment[16] = { 7 };
    struct ft_error err = { 0 };
    uint8_t pk[32], sk[64];

    if (ft_task_from_yaml(FT_BYTES(yaml, strlen(yaml)), "t.yaml", deployment, out, &err) != FT_OK ||
        (out->noise != 0 && ft_plan_privacy_derive(out, &err) != FT_OK))
        fail_msg("%s", err.text);
    crypto_sign_keypair(pk, sk);
    OK(ft_task_sign(out, sk, bytes));
}

static int
setup(void **state)
{
    (void)state;
    assert_true(sodium_init() >= 0);
    sign(HEAD PLAIN TAIL, &tasks[0], &signed_bytes[0]);
    sign(HEAD NOISE TAIL, &tasks[1], &signed_bytes[1]);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        ft_buf_clear(&signed_bytes[i]);
        ft_task_clear(&tasks[i]);
    }
    return 0;
}

/* A file as the aggregator writes it, of a round of six shops; every number in it follows from the others. */
static enum ft_status
verify(int noisy, const struct ft_model_found *found, struct ft_error *err)
{
    struct ft_buf canonical = { 0 }, blob = { 0 }, file = { 0 };
    struct ft_statement_model of = { .version = 1, .stage = FT_STAGE_STATISTICS };
    const struct ft_statement_facts facts = { .signed_task = ft_buf_bytes(&signed_bytes[noisy]),
                                              .rounds = { .committed = { 0, 1, 0, 0 }, .least_survivors = 6 },
                                              .model = &of };
    struct ft_model_state state;
    json_t *statement = NULL, *again = NULL;
    uint8_t hash[32];

    OK(ft_task_encode(&tasks[noisy], &canonical));
    ft_task_hash(ft_buf_bytes(&canonical), hash);
    OK(ft_model_state_init_found(&state, hash, found));
    OK(ft_model_state_encode(&state, &blob));
    OK(ft_model_blob_hash(ft_buf_bytes(&blob), of.hash));
    if (ft_statement_make(&facts, &statement, err) != FT_OK ||
        ft_export_statistics_json(&tasks[noisy], &state, statement, &file, err) != FT_OK)
        fail_msg("%s", err->text);
    const enum ft_status st = ft_verify(ft_buf_bytes(&file), FT_VERIFY_RELEASE, NULL, &again, err);
    json_decref(again);
    json_decref(statement);
    ft_model_state_clear(&state);
    ft_buf_clear(&canonical);
    ft_buf_clear(&blob);
    ft_buf_clear(&file);
    return st;
}

static void
good(int noisy, const struct ft_model_found *found)
{
    struct ft_error err = { 0 };
    if (verify(noisy, found, &err) != FT_OK)
        fail_msg("%s", err.text);
}

static void
bad(int noisy, const struct ft_model_found *found, const char *what)
{
    struct ft_error err = { 0 };
    assert_int_equal(verify(noisy, found, &err), FT_ERR_VERIFY);
    if (strstr(err.text, what) == NULL)
        fail_msg("%s, expected %s", err.text, what);
}

/* A result whose hashes are right and whose terms are not: shops and customers that the task and the round do
 * not have, and a count of 3 beside min_group 10. */
static void
a_result_is_held_to_its_own_terms(void **state)
{
    double plain[] = { 100, W, W, 50, 30 }, small[] = { 100, 3, 40, 37, 20 },
           noisy[] = { 880, 3, 400, 300, 180 };
    (void)state;
    good(0, &(struct ft_model_found){ plain, 5, 6, 0, 10 });
    bad(0, &(struct ft_model_found){ small, 5, 6, 0, 10 }, "sums[1]: 3 is told although");
    bad(0, &(struct ft_model_found){ plain, 5, 7, 0, 10 },
        "shops: the file says 7, the statement's round had 6");
    bad(0, &(struct ft_model_found){ plain, 5, 6, 0, 1 }, "min_group: 1, expected 2");
    good(1, &(struct ft_model_found){ noisy, 5, 6, 900, 10 });
    bad(1, &(struct ft_model_found){ noisy, 5, 5, 750, 10 }, "shops: the file says 5");
    bad(1, &(struct ft_model_found){ noisy, 5, 6, 1000000, 10 }, "customers_declared: 1000000");
}

/* A spreadsheet has a count as the noise left it, too, and below what number nothing is told. */
static void
csv_has_noisy_counts_and_min_group(void **state)
{
    double sums[] = { 880, -31, 400, 300, 180 };
    struct ft_model_found found = { sums, 5, 6, 900, 2 };
    struct ft_buf csv = { 0 };
    const char *line;

    (void)state;
    OK(ft_export_statistics_csv(&tasks[1], &found, &csv, NULL));
    OK(ft_buf_append(&csv, "", 1));
    assert_non_null(strstr((const char *)csv.data, "value,low,high,withheld,noisy,min_group\r\n"));
    line = strstr((const char *)csv.data,
                  "histogram,a,count,,0,2,,,,"); /* a negative count is below any group */
    assert_non_null(line);
    assert_int_equal(strncmp(line, "histogram,a,count,,0,2,,,,,,,withheld,,2\r\n", 42), 0);
    line = strstr((const char *)csv.data, "histogram,a,count,,2,4,,,,400,");
    assert_non_null(line);
    assert_int_equal(strncmp(strstr(line, "\r\n") - 7, ",,400,2\r\n", 9), 0);
    ft_buf_clear(&csv);
    found.min_group = 10;
    sums[1] = 12;
    OK(ft_export_statistics_csv(&tasks[1], &found, &csv, NULL));
    OK(ft_buf_append(&csv, "", 1));
    assert_non_null(strstr((const char *)csv.data, ",,12,10\r\n"));
    ft_buf_clear(&csv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_is_held_to_its_own_terms),
        cmocka_unit_test(csv_has_noisy_counts_and_min_group),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
