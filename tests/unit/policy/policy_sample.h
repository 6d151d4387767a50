/* One small good policy and a task it accepts. */
#ifndef FT_TEST_POLICY_SAMPLE_H
#define FT_TEST_POLICY_SAMPLE_H

#include "client/policy/policy.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define POLICY_SAMPLE                                                                                        \
    "version: 1\n"                                                                                           \
    "owner: self\n"                                                                                          \
    "review_by: 2027-12-31\n"                                                                                \
    "grace_days: 30\n"                                                                                       \
    "purposes: [train/propensity, train/demand]\n"                                                           \
    "auto_approve:\n"                                                                                        \
    "  purposes: [train/propensity]\n"                                                                       \
    "  rounds_max: 200\n"                                                                                    \
    "columns:\n"                                                                                             \
    "  train/propensity: [transactions.customer_id, transactions.week]\n"                                    \
    "  train/demand: [transactions.quantity]\n"                                                              \
    "training_basis: consent\n"                                                                              \
    "unnoised: allow\n"                                                                                      \
    "min_customers: 20\n"                                                                                    \
    "cohort: {n_min: 5, h_min: 3, corrupted: 2, drop_permille_max: 300, sigma_min: 40}\n"                    \
    "limits: {clip_max: 10, parameters_max: 1000000, rounds_max: 500, session_ms_max: 600000, query_ms: "    \
    "20000,\n"                                                                                               \
    "         query_rows: 500000, query_memory_mib: 512}\n"                                                  \
    "graph_profile: {allow: false, cohort_min: 512}\n"                                                       \
    "exclude:\n"                                                                                             \
    "  - {table: transactions, column: customer_id, equals: \"0\", reason: test card}\n"                     \
    "participation: {window: \"22:00-06:00\", days: [mon, tue, wed, thu, fri], min_gap_s: 60,\n"             \
    "                rounds_per_month: 100}\n"

#define NOW_S INT64_C(1804284000) /* Friday 2027-03-05 22:00:00 UTC */

/* The sample with the first `from` replaced by `to`; static storage. */
__attribute__((unused)) static const char *
policy_with(const char *from, const char *to)
{
    static char text[sizeof POLICY_SAMPLE + 1024];
    const char *at = strstr(POLICY_SAMPLE, from);
    assert(at != NULL);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - POLICY_SAMPLE), POLICY_SAMPLE, to, at + strlen(from));
    return text;
}

__attribute__((unused)) static enum ft_status
policy_read(const char *yaml, struct ft_policy *policy)
{
    static struct ft_findings findings;
    return ft_policy_parse(FT_BYTES(yaml, strlen(yaml)), "policy.yaml", policy, &findings);
}

static char sample_feature_name[] = "a", sample_purpose[] = "train/propensity", sample_name[] = "sample",
            sample_label[] = "y", sample_expires[] = "2027-12-31", sample_review[] = "2027-06-30",
            sample_sql[] = "SELECT 1";

__attribute__((unused)) static struct ft_task
sample_task(void)
{
    static struct ft_task_feature feature;
    feature = (struct ft_task_feature){ sample_feature_name, 0, 1 };
    return (struct ft_task){
        .name = sample_name,
        .purpose = sample_purpose,
        .owner = sample_name,
        .title = sample_name,
        .expires = sample_expires,
        .review = sample_review,
        .deployment = "0123456789abcde",
        .sql = sample_sql,
        .label = sample_label,
        .features = &feature,
        .feature_count = 1,
        .rows_per_customer = 1,
        .rows_max = 1000,
        .label_max = 1,
        .model = FT_MODEL_LOGISTIC,
        .rounds = 30,
        .local_epochs = 1,
        .learning_rate = 0.5,
        .clip = 5,
        .weight_cap = 100,
        .server = FT_SERVER_FEDAVG,
        .server_learning_rate = 1,
        .unit = FT_UNIT_CUSTOMER,
        .n_min = 6,
        .n_cap = 16,
        .h_min = 3,
        .corrupted = 2,
        .drop_permille = 250,
        .sigma = 40,
        .eta = 30,
        .suite = 2,
        .lane_bits = 32,
        .join_ms = 5000,
        .step_ms = 10000,
        .session_ms = 60000,
        .bins = 512,
        .calibration_bins = 10,
    };
}

__attribute__((unused)) static struct ft_policy_facts
sample_facts(void)
{
    static const struct ft_policy_use uses[] = { { "transactions", "customer_id" },
                                                 { "transactions", "week" } };
    return (struct ft_policy_facts){
        .now_s = NOW_S,
        .guard = FT_GUARD_SELF,
        .data_basis = FT_BASIS_CONSENT,
        .consent_ready = true,
        .customers_counted = true,
        .eligible_customers = 20,
        .deployment = "0123456789abcde",
        .uses = uses,
        .use_count = 2,
    };
}

#endif
