#include "common/plan/round_plan.h"
#include "common/plan/measure_plan.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/sha256.h"

#include <string.h>

#define CLEAR 4 /* a number of so few standard deviations of its noise is not divided by */

void
ft_plan_model_spec(const struct ft_task *task, struct ft_model_spec *out)
{
    memset(out, 0, sizeof *out);
    out->kind = task->model;
    out->features = task->feature_count;
    out->classes = task->model == FT_MODEL_KMEANS ? task->clusters : task->classes;
    out->hidden_count = task->hidden_count;
    memcpy(out->hidden, task->hidden, sizeof task->hidden);
    out->activation = task->activation;
    memcpy(out->image, task->image, sizeof task->image);
    out->conv_count = task->channels_count;
    for (uint32_t l = 0; l < task->channels_count && l < FT_MODEL_CONV_MAX; l++)
        out->conv[l] = (struct ft_model_conv){ task->channels[l], task->kernels[l], task->pools[l] };
}

void
ft_plan_kmeans_rules(const struct ft_task *task, uint64_t version, double noise_sum, double noise_number,
                     uint64_t min_group, struct ft_kmeans_rules *out)
{
    const bool bare = task->noise == 0 && min_group > task->min_cluster;

    *out = (struct ft_kmeans_rules){ .least = bare ? (double)min_group : task->min_cluster,
                                     .noise = noise_sum,
                                     .reseed = ft_kmeans_reseeds(version, task->rounds),
                                     .seed = task->seed,
                                     .version = version };
    if (CLEAR * noise_number > out->least)
        out->least = CLEAR * noise_number;
}

void
ft_plan_server_config(const struct ft_task *task, struct ft_server_config *out)
{
    *out = (struct ft_server_config){ .kind = task->server,
                                      .learning_rate = task->server_learning_rate,
                                      .momentum = task->server_momentum,
                                      .beta2 = task->server_beta2,
                                      .epsilon = task->server_epsilon };
}

/* With noise: the encoder's integers, as many as they are, in lanes without weights. */
static enum ft_status
init_private(struct ft_round_plan *plan, const struct ft_task *task, struct ft_error *err)
{
    const struct ft_task_privacy *p = &task->privacy;
    enum ft_status st;

    FT_TRY(ft_plan_privacy_check(task, err));
    FT_TRY(ft_privacy_plan_init(&plan->privacy, task, plan->stage, err));
    plan->layout = (struct ft_layout){ .stage = plan->stage,
                                       .lane_bits = task->lane_bits,
                                       .n_cap = task->n_cap,
                                       .real_coordinates = (size_t)plan->privacy.dim,
                                       .dim = (size_t)plan->privacy.dim,
                                       .real_clip = plan->privacy.clip };
    const struct ft_ss_codec_choice choice = { .lane_bits = task->lane_bits,
                                               .dim = plan->privacy.dim,
                                               .n_cap = task->n_cap,
                                               .clip = plan->privacy.clip,
                                               .noise_var = (double)p->sigma_share * p->sigma_share,
                                               .quant_step = ft_privacy_quant_step(plan->privacy.clip, p->scale) };
    FT_TRY(ft_ss_codec_init(&choice, &plan->codec, err));
out:
    return st;
}

enum ft_status
ft_round_plan_clip(struct ft_round_plan *plan, const struct ft_task *task, double clip, struct ft_error *err)
{
    const struct ft_task_privacy *p = &task->privacy;

    if (!plan->privacy.indicator)
        return FT_OK;
    if (!(clip >= p->clip_min && clip <= p->clip_max))
        return ft_fail(err, FT_ERR_VERIFY, "clip is %g, expected %g to %g", clip, p->clip_min, p->clip_max);
    plan->privacy.clip = plan->layout.real_clip = plan->codec.clip = clip;
    plan->codec.quant_step = ft_privacy_quant_step(clip, p->scale);
    return FT_OK;
}

enum ft_status
ft_round_plan_init(struct ft_round_plan *plan, const struct ft_task *task, enum ft_stage stage,
                   struct ft_error *err)
{
    enum ft_status st;
    struct ft_layout_params params = {
        .stage = stage,
        .metrics = { .bins = task->bins,
                     .calibration_bins = task->calibration_bins,
                     .rows_max = task->rows_max,
                     .label_min = task->label_min,
                     .label_max = task->label_max },
        .n_cap = task->n_cap,
        .lane_bits = task->lane_bits,
        .weight_cap = task->weight_cap,
        .clip = task->clip,
    };
    struct ft_ss_codec_choice choice = { .n_cap = task->n_cap, .noise_var = 0 };

    memset(plan, 0, sizeof *plan);
    plan->stage = stage;
    if (task->kind == FT_TASK_STATISTICS && stage != FT_STAGE_STATISTICS)
        return ft_fail(err, FT_ERR_ARGUMENT, "a task of kind statistics has a round of statistics only");
    ft_plan_model_spec(task, &plan->model);
    if (task->kind == FT_TASK_STATISTICS) {
        params.sums = ft_measure_cells(task);
        params.weight_cap = 1; /* of training; not used */
    }
    if (task->noise != 0)
        return init_private(plan, task, err);
    if (ft_model_is_clusters(&plan->model)) { /* no scores, and every row counts */
        params.metrics.bins = 2;
        params.metrics.calibration_bins = 1;
        params.weight_cap = task->rows_max;
    }
    params.metrics.model = plan->model;
    FT_TRY(ft_layout_init(&plan->layout, &params, err));
    choice.lane_bits = plan->layout.lane_bits;
    choice.dim = plan->layout.dim;
    choice.weight_max = plan->layout.weight_max;
    /* An evaluation has no reals: any unit step will do, and this one is written down. */
    choice.clip = plan->layout.real_coordinates > 0 ? plan->layout.real_clip : 1.0;
    FT_TRY(ft_ss_codec_init(&choice, &plan->codec, err));
out:
    return st;
}

void
ft_round_plan_describe(const struct ft_round_plan *plan, const struct ft_task *task,
                       const uint8_t task_hash[FT_TASK_HASH_SIZE], struct ft_ss_descriptor *out)
{
    memset(out, 0, sizeof *out);
    out->version = FT_SS_VERSION;
    out->suite = (uint16_t)task->suite;
    memcpy(out->deployment, task->deployment, sizeof out->deployment);
    memcpy(out->task_hash, task_hash, sizeof out->task_hash);
    ft_ss_codec_describe(&plan->codec, out);
    out->noise_kind = (uint8_t)task->noise;
    out->n_cap = task->n_cap;
    out->n_min = task->n_min;
    out->h_min = task->h_min;
    out->corrupted = task->corrupted;
    out->drop_permille = (uint16_t)task->drop_permille;
    out->sigma = (uint8_t)task->sigma;
    out->eta = (uint8_t)task->eta;
}

enum ft_status
ft_model_blob_hash(struct ft_bytes blob, uint8_t hash[32])
{
    uint8_t digest[32];
    const enum ft_status st = ft_ss_sha256(blob, digest);
    if (st == FT_OK)
        FT_SS_H(hash, "model", FT_BYTES(digest, sizeof digest));
    return st;
}

void
ft_blob_hash(struct ft_bytes bytes, uint8_t hash[32])
{
    FT_SS_H(hash, "blob", bytes);
}
