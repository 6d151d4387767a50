#include "common/plan/privacy_plan.h"
#include "common/plan/measure_plan.h"
#include "common/plan/round_plan.h"
#include "common/privacy/encode.h"
#include "common/secure_sum/codec.h"
#include "common/secure_sum/hash.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

uint64_t
ft_plan_customers(const struct ft_task *task)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < task->privacy.shop_count; i++)
        sum += task->privacy.shops[i].customers;
    return sum;
}

uint64_t
ft_plan_shop_customers(const struct ft_task *task, const char *shop)
{
    uint32_t low = 0, high = task->privacy.shop_count; /* names ascend */

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = strcmp(task->privacy.shops[middle].name, shop);
        if (order == 0)
            return task->privacy.shops[middle].customers;
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return 0;
}

uint64_t
ft_plan_rounds(const struct ft_task *task)
{
    return task->kind == FT_TASK_STATISTICS ? 1 : (uint64_t)task->rounds + 2;
}

double
ft_plan_q(const struct ft_task *task)
{
    return ft_privacy_q(task->privacy.q_num);
}

struct ft_account_event
ft_plan_privacy_event(const struct ft_task *task, uint64_t steps)
{
    const struct ft_task_privacy *p = &task->privacy;
    return (struct ft_account_event){ ft_plan_q(task), ft_privacy_z_eff(p->delta_int_sq, p->t_min, p->sigma_share),
                                      steps, p->m_stores };
}

struct ft_account_event
ft_plan_customer_event(const struct ft_task *task, uint64_t steps)
{
    struct ft_account_event event = ft_plan_privacy_event(task, steps);
    if (task->unit == FT_UNIT_STORE)
        event.z /= 2;
    return event;
}

double
ft_plan_mean_noise(const struct ft_task *task, uint32_t shares, double customers)
{
    const struct ft_task_privacy *p = &task->privacy;
    return p->sigma_share * sqrt(shares) / (p->scale * (1 - 0x1p-20) * ft_plan_q(task) * customers);
}

/* ---- stages ---- */

static size_t
coordinates_of(const struct ft_task *task, const struct ft_model_spec *spec, enum ft_stage stage)
{
    switch (stage) {
    case FT_STAGE_STATISTICS:
        if (task->kind == FT_TASK_STATISTICS)
            return ft_measure_cells(task);
        return 2 * (size_t)task->feature_count + 1;
    case FT_STAGE_TRAIN:
        return (size_t)ft_task_parameters(task) + (ft_model_is_clusters(spec) ? task->clusters : 0);
    default:
        if (ft_model_is_clusters(spec))
            return 1 + (size_t)task->clusters;
        return 3 + (ft_model_is_binary(spec) ? 2 * FT_PRIVATE_BINS : 0);
    }
}

static bool
adaptive(const struct ft_task *task)
{
    return task->privacy.clip_quantile > 0;
}

static uint64_t
dim_of(const struct ft_task *task, const struct ft_model_spec *spec, enum ft_stage stage)
{
    return ft_encoded_dim(coordinates_of(task, spec, stage), task->privacy.rotated,
                          adaptive(task) && stage == FT_STAGE_TRAIN);
}

double
ft_plan_clip(const struct ft_task *task)
{
    return task->kind == FT_TASK_STATISTICS ? 1 : task->clip;
}

static enum ft_stage
last_stage(const struct ft_task *task)
{
    return task->kind == FT_TASK_STATISTICS ? FT_STAGE_STATISTICS : FT_STAGE_EVALUATE;
}

static struct ft_privacy_params
params_of(const struct ft_task *task)
{
    const struct ft_task_privacy *p = &task->privacy;
    return (struct ft_privacy_params){ .q_num = p->q_num,
                                       .dim = p->dim,
                                       .clip = ft_plan_clip(task),
                                       .scale = p->scale,
                                       .lambda = p->lambda,
                                       .delta_int_sq = p->delta_int_sq,
                                       .sigma_share = p->sigma_share,
                                       .t_min = p->t_min,
                                       .m_stores = p->m_stores,
                                       .steps = p->steps };
}

enum ft_status
ft_privacy_plan_init(struct ft_privacy_plan *plan, const struct ft_task *task, enum ft_stage stage,
                     struct ft_error *err)
{
    struct ft_model_spec spec;

    *plan = (struct ft_privacy_plan){ 0 };
    if (task->noise == 0)
        return FT_OK;
    ft_plan_model_spec(task, &spec);
    plan->on = true;
    plan->params = params_of(task);
    plan->rotated = task->privacy.rotated;
    plan->indicator = adaptive(task) && stage == FT_STAGE_TRAIN;
    plan->clip = stage == FT_STAGE_TRAIN ? task->clip : 1;
    plan->coordinates = coordinates_of(task, &spec, stage);
    plan->dim = dim_of(task, &spec, stage);
    const double range = task->label_max - task->label_min;
    plan->loss_cap = task->model == FT_MODEL_LINEAR ? range * range / 2 : FT_PRIVATE_LOSS_CAP;
    if (ft_model_is_clusters(&spec))
        plan->loss_cap = FT_PRIVATE_CLUSTER_CAP * task->feature_count;
    if (plan->dim == 0)
        return ft_fail(err, FT_ERR_LIMIT, "too many coordinates");
    return FT_OK;
}

/* ---- derived numbers ---- */

static enum ft_status
bad(struct ft_error *err, const char *path, const char *text)
{
    return ft_fail(err, FT_ERR_CONFIG, "%s: %s", path, text);
}

static uint64_t
largest_shop(const struct ft_task_privacy *p)
{
    uint64_t largest = 0;
    for (uint32_t i = 0; i < p->shop_count; i++)
        largest = p->shops[i].customers > largest ? p->shops[i].customers : largest;
    return largest;
}

double
ft_plan_quant_need(const struct ft_task *task)
{
    const struct ft_task_privacy *p = &task->privacy;
    const double sample = ft_plan_q(task) * (double)largest_shop(p);
    const double need =
        task->unit == FT_UNIT_STORE ? sqrt((double)p->delta_int_sq) : p->scale * (sample + 8 * sqrt(sample));

    return p->rotated ? need * fmin(1, 8 / sqrt((double)ft_rotate_padded((size_t)p->dim))) : need;
}

/* Unit store: each named shop is one unit, in every round, in no shop but itself (section 8). */
static enum ft_status
check_store(const struct ft_task *task, uint64_t n_pub, uint64_t q_num, struct ft_error *err)
{
    const struct ft_task_privacy *p = &task->privacy;

    if (n_pub != p->shop_count)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.shops: n_pub is %" PRIu64 " for %u shops, expected one each with unit store",
                       n_pub, p->shop_count);
    if (q_num != FT_PRIVACY_Q_ONE)
        return ft_fail(err, FT_ERR_CONFIG,
                       "privacy.expected_customers: %.9g of %u shops is q = %.9g, expected q = 1 with unit store",
                       p->expected_customers, p->shop_count, ft_privacy_q(q_num));
    if (p->m_stores != 1)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.m_stores: %u, expected 1 with unit store", p->m_stores);
    if (task->kind != FT_TASK_STATISTICS && task->model != FT_MODEL_KMEANS && p->contribution != FT_CONTRIBUTION_DELTA)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.contribution: expected local-delta with unit store");
    return FT_OK;
}

/* Room in a lane for the sums of the largest shop (section 6, step 8). */
static enum ft_status
check_lanes(const struct ft_task *task, struct ft_error *err)
{
    const struct ft_task_privacy *p = &task->privacy;
    const double variance = (double)p->sigma_share * p->sigma_share;
    const uint64_t q_max =
        ft_ss_quant_max(task->lane_bits, task->n_cap, ft_ss_noise_margin(p->dim, task->n_cap, variance));
    const double sample = ft_plan_q(task) * (double)largest_shop(p), need = ft_plan_quant_need(task);

    if ((double)q_max < need && task->unit == FT_UNIT_STORE)
        return ft_fail(err, FT_ERR_CONFIG,
                       "cohort.lane_bits: lanes of %u bits leave Q = %" PRIu64 " to a shop beside the noise of n_cap %u "
                       "shares of %u, but the one vector of a shop of clip %u needs %.0f; use wider lanes or rotation",
                       task->lane_bits, q_max, task->n_cap, p->sigma_share, p->scale, need);
    if ((double)q_max < need)
        return ft_fail(err, FT_ERR_CONFIG,
                       "cohort.lane_bits: lanes of %u bits leave Q = %" PRIu64 " to a shop beside the noise of n_cap %u "
                       "shares of %u, but %.0f sampled customers of clip %u need %.0f; use wider lanes, fewer expected "
                       "customers or rotation",
                       task->lane_bits, q_max, task->n_cap, p->sigma_share, sample, p->scale, need);
    return FT_OK;
}

/* Everything but the share. */
static enum ft_status
derive(const struct ft_task *task, struct ft_task *out, struct ft_error *err)
{
    struct ft_model_spec spec;
    struct ft_task_privacy *p = &out->privacy;
    const uint64_t n_pub = ft_plan_customers(task);
    uint8_t seed[8];

    *out = *task;
    ft_plan_model_spec(task, &spec);
    if (p->delta * 10 * (double)n_pub > 1 + 1e-9)
        return ft_fail(err, FT_ERR_CONFIG,
                       "privacy.delta: %g is above 1/(10 n_pub) = %.3g for the %" PRIu64 " %s of privacy.shops",
                       p->delta, 0.1 / (double)n_pub, n_pub, task->unit == FT_UNIT_STORE ? "shops" : "customers");
    if (p->expected_customers > (double)n_pub)
        return ft_fail(err, FT_ERR_CONFIG, "privacy.expected_customers: %g of %" PRIu64 " customers", p->expected_customers,
                       n_pub);
    p->q_num = ft_privacy_q_num(p->expected_customers, (double)n_pub);
    if (task->unit == FT_UNIT_STORE) {
        const enum ft_status st = check_store(task, n_pub, p->q_num, err);
        if (st != FT_OK)
            return st;
    }
    p->steps = ft_plan_rounds(task) + p->spare_rounds;
    p->t_min = task->h_min;
    p->dim = 0;
    for (unsigned stage = FT_STAGE_STATISTICS; stage <= last_stage(task); stage++) {
        const uint64_t dim = dim_of(task, &spec, (enum ft_stage)stage);
        p->dim = dim > p->dim ? dim : p->dim;
        if (dim == 0)
            return bad(err, "model", "too many parameters for noise");
    }
    p->scale = ft_privacy_scale(p->dim);
    if (p->scale == 0)
        return bad(err, "model", "too many parameters for noise");
    p->lambda = adaptive(task) ? p->scale / 16 : 0;
    p->delta_int_sq = ft_privacy_delta_int_sq(p->scale, p->dim, p->lambda);
    memset(p->rotation_seed, 0, sizeof p->rotation_seed);
    if (p->rotated) {
        for (int i = 0; i < 8; i++)
            seed[i] = (uint8_t)(task->seed >> (8 * i));
        FT_SS_H(p->rotation_seed, "rotation", FT_BYTES(seed, sizeof seed));
    }
    return FT_OK;
}

/* Least share that keeps the wish. */
static enum ft_status
derive_share(struct ft_task *task, struct ft_error *err)
{
    struct ft_task_privacy *p = &task->privacy;
    double z = p->noise_multiplier;

    if (p->epsilon > 0) {
        const enum ft_status st =
            ft_account_noise(ft_plan_q(task), p->steps, p->m_stores, p->delta, p->epsilon, FT_ACCOUNT_RDP, &z);
        if (st == FT_ERR_LIMIT)
            return ft_fail(err, FT_ERR_CONFIG, "privacy.epsilon: no noise multiplier up to 1000 reaches %g", p->epsilon);
        if (st != FT_OK)
            return ft_fail(err, st, "privacy.epsilon: %s", ft_status_str(st));
    }
    if (ft_privacy_sigma_share(z, p->delta_int_sq, p->t_min, &p->sigma_share) != FT_OK)
        return ft_fail(err, FT_ERR_CONFIG, "privacy: a noise multiplier of %g from %u shops needs shares above %u", z,
                       p->t_min, FT_PRIVACY_SHARE_MAX);
    if (p->sigma_share < FT_PRIVACY_SHARE_MIN)
        p->sigma_share = FT_PRIVACY_SHARE_MIN;
    return FT_OK;
}

/* Limits of the mechanism, and the wish: what the share gives must not fall short of it. */
static enum ft_status
check_share(const struct ft_task *task, struct ft_error *err)
{
    const struct ft_task_privacy *p = &task->privacy;
    const struct ft_privacy_params params = params_of(task);
    const struct ft_account_event event = ft_plan_privacy_event(task, p->steps);
    enum ft_status st;
    uint32_t order;
    double epsilon;

    FT_TRY(ft_privacy_params_check(&params, err));
    FT_TRY(check_lanes(task, err));
    if (event.z < p->noise_multiplier * (1 - 1e-12))
        return ft_fail(err, FT_ERR_CONFIG, "privacy.sigma_share: shares of %u make a noise multiplier of %.9g, below %.9g",
                       p->sigma_share, event.z, p->noise_multiplier);
    if (p->epsilon > 0) {
        st = ft_account_cost_rdp(&event, 1, p->delta, &epsilon, &order);
        if (st != FT_OK)
            return ft_fail(err, st, "privacy.sigma_share: the accountant has no number for it");
        if (epsilon > p->epsilon * (1 + 1e-9))
            return ft_fail(err, FT_ERR_CONFIG, "privacy.sigma_share: shares of %u cost epsilon %.9g, above %.9g",
                           p->sigma_share, epsilon, p->epsilon);
    }
out:
    return st;
}

enum ft_status
ft_plan_privacy_derive(struct ft_task *task, struct ft_error *err)
{
    struct ft_task full;
    enum ft_status st;

    if (task->noise == 0)
        return FT_OK;
    FT_TRY(derive(task, &full, err));
    FT_TRY(derive_share(&full, err));
    FT_TRY(check_share(&full, err));
    task->privacy = full.privacy; /* the lists are the same */
out:
    return st;
}

enum ft_status
ft_plan_privacy_check(const struct ft_task *task, struct ft_error *err)
{
    const struct ft_task_privacy *p = &task->privacy, *q;
    struct ft_task full;
    enum ft_status st;

    if (task->noise == 0)
        return FT_OK;
    st = derive(task, &full, err);
    if (st != FT_OK)
        return st;
    q = &full.privacy;
#define SAME(field)                                                                                                    \
    if (p->field != q->field)                                                                                          \
    return ft_fail(err, FT_ERR_CONFIG, "privacy." #field ": the task says %" PRIu64 ", its own numbers lead to %" PRIu64, \
                   (uint64_t)p->field, (uint64_t)q->field)
    SAME(q_num);
    SAME(steps);
    SAME(dim);
    SAME(scale);
    SAME(lambda);
    SAME(delta_int_sq);
    SAME(t_min);
#undef SAME
    if (memcmp(p->rotation_seed, q->rotation_seed, sizeof p->rotation_seed) != 0)
        return bad(err, "privacy.rotation_seed", "it does not follow from the task's seed");
    return check_share(task, err);
}
