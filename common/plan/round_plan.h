/*
 * How a task's round becomes a secure sum: the layout of the coordinates, the codec around it and the
 * descriptor's fields that follow from the task alone. Shop and aggregator both compute it, so a descriptor
 * that differs in one bit from what the task says is refused by the shop.
 *
 *   ft_round_plan_init(&plan, &task, FT_STAGE_TRAIN, &err);
 *   shop:        ft_round_plan_describe(&plan, &task, hash, &facts.expected);
 *   aggregator:  ft_round_plan_describe(&plan, &task, hash, &descriptor), then round, epoch, hashes, deadline
 */
#ifndef FT_PLAN_ROUND_PLAN_H
#define FT_PLAN_ROUND_PLAN_H

#include "common/model/kmeans.h"
#include "common/model/layout.h"
#include "common/model/server.h"
#include "common/model/statistics.h"
#include "common/plan/privacy_plan.h"
#include "common/secure_sum/codec.h"
#include "common/secure_sum/descriptor.h"
#include "common/task/task.h"

struct ft_round_plan {
    enum ft_stage stage;
    struct ft_model_spec model;
    struct ft_layout layout; /* with privacy.on: no metrics, reals are what is summed */
    struct ft_ss_codec codec;
    struct ft_privacy_plan privacy;
};

/* A clustering's rules for the step after `version` of them: small clusters, and noise where there is some (standard
 * deviation of each sum; of each number as well). min_group: without noise no figure is about fewer, so no centroid is the
 * mean of fewer either, whatever the task's min_cluster says. */
void ft_plan_kmeans_rules(const struct ft_task *task, uint64_t version, double noise_sum, double noise_number,
                          uint64_t min_group, struct ft_kmeans_rules *out);

/* The task's model, metrics and optimiser as common/model wants them. */
void ft_plan_model_spec(const struct ft_task *task, struct ft_model_spec *out);
void ft_plan_server_config(const struct ft_task *task, struct ft_server_config *out);

/* Errors: CONFIG, LIMIT (the task cannot be summed: dimension or lanes), ARGUMENT. */
FT_NODISCARD enum ft_status ft_round_plan_init(struct ft_round_plan *plan, const struct ft_task *task,
                                               enum ft_stage stage, struct ft_error *err);

/* A round whose clip has moved from the task's (a training round with adaptive clip; other rounds are left alone):
 * `clip` is that of the model the round works on (struct ft_model_state), so a shop takes it from there too.
 * Errors: VERIFY (outside adaptive_clip's bounds). */
FT_NODISCARD enum ft_status ft_round_plan_clip(struct ft_round_plan *plan, const struct ft_task *task, double clip,
                                               struct ft_error *err);

/* Version, suite, deployment, task hash, codec fields, noise, cohort rules; every other field is zero. */
void ft_round_plan_describe(const struct ft_round_plan *plan, const struct ft_task *task,
                            const uint8_t task_hash[FT_TASK_HASH_SIZE], struct ft_ss_descriptor *out);

/* model_hash of a model blob: H("model"; SHA-256(blob)), since SHA-256 has instructions of its own and is three times as fast as H.
 * Errors: NOMEM, INTERNAL. The hash other blobs are fetched by: H("blob"; bytes). */
FT_NODISCARD enum ft_status ft_model_blob_hash(struct ft_bytes blob, uint8_t hash[32]);
void ft_blob_hash(struct ft_bytes bytes, uint8_t hash[32]);

#endif
