/* One small good task in YAML, and helpers to change a line of it. */
#ifndef FT_TEST_TASK_SAMPLE_H
#define FT_TEST_TASK_SAMPLE_H

#include "common/task/task.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define TASK_SAMPLE                                                                                          \
    "version: 1\n"                                                                                           \
    "task: sample\n"                                                                                         \
    "title: A sample\n"                                                                                      \
    "purpose: train/propensity\n"                                                                            \
    "owner: Central data team\n"                                                                             \
    "expires: 2027-12-31\n"                                                                                  \
    "review: 2027-06-30\n"                                                                                   \
    "unit: customer\n"                                                                                       \
    "examples:\n"                                                                                            \
    "  sql: SELECT customer_id, split, y, a, b FROM t\n"                                                     \
    "  label: {column: y, min: 0, max: 1}\n"                                                                 \
    "  features:\n"                                                                                          \
    "    - {name: a, min: 0, max: 3.5}\n"                                                                    \
    "    - {name: b, min: -1, max: 1}\n"                                                                     \
    "  rows_per_customer: 1\n"                                                                               \
    "  rows_max: 1000\n"                                                                                     \
    "model: {kind: logistic}\n"                                                                              \
    "training: {rounds: 30, local_epochs: 2, batch_size: 0, learning_rate: 0.5, clip: 5, weight_cap: "       \
    "2000,\n"                                                                                                \
    "           server: {optimizer: fedavg, learning_rate: 1}}\n"                                            \
    "privacy: {noise: none}\n"                                                                               \
    "cohort: {n_min: 6, n_cap: 16, h_min: 3, corrupted: 2, drop_permille: 250, sigma: 40, eta: 30,\n"        \
    "         suite: aes-256-ctr, lane_bits: 32}\n"                                                          \
    "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n"

static const uint8_t sample_deployment[16] = "0123456789abcdef";

/* The sample with the first `from` replaced by `to`; static storage. */
__attribute__((unused)) static const char *
sample_with(const char *from, const char *to)
{
    static char text[sizeof TASK_SAMPLE + 1024];
    const char *at = strstr(TASK_SAMPLE, from);
    assert(at != NULL);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - TASK_SAMPLE), TASK_SAMPLE, to, at + strlen(from));
    return text;
}

__attribute__((unused)) static enum ft_status
sample_read(const char *yaml, struct ft_task *task, struct ft_findings *findings)
{
    return ft_task_from_yaml_all(FT_BYTES(yaml, strlen(yaml)), "t.yaml", sample_deployment, task, findings);
}

#endif
