#include "aggregator/simulate/audit/federation.h"

#include "aggregator/simulate/engine/session.h"
#include "client/vault/contribute.h"
#include "common/base/alloc.h"
#include "common/plan/private_sum.h"
#include "common/secure_sum/prg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct member {
    struct ft_env_seeded env;
    struct ft_contributor *contributor;
    struct ft_examples examples;
};

struct audit_federation {
    struct ft_audit_wish wish;
    struct ft_task task;
    uint8_t hash[32];
    struct ft_round_plan plan;
    struct ft_model_state model;
    struct sim_pool *pool;
    struct sim_session *session;
    struct member *members; /* (t_min) */
    uint32_t honest;
    uint64_t rounds;  /* done */
    uint64_t **words; /* (shops) */
    uint64_t *sum;
    int64_t *z;
};

/* ---- the task ---- */

static enum ft_status
put_names(struct ft_task *t, const struct audit_setting *setting, uint32_t shops, uint64_t each)
{
    char name[32];
    enum ft_status st = FT_ERR_NOMEM;

    t->features = ft_calloc(setting->features, sizeof *t->features);
    t->privacy.shops = ft_calloc(shops, sizeof *t->privacy.shops);
    if (t->features == NULL || t->privacy.shops == NULL)
        goto out;
    for (; t->feature_count < setting->features; t->feature_count++) {
        (void)snprintf(name, sizeof name, "f%u", t->feature_count);
        t->features[t->feature_count] =
            (struct ft_task_feature){ ft_strdup(name), setting->least, setting->range };
        if (t->features[t->feature_count].name == NULL)
            goto out;
    }
    for (; t->privacy.shop_count < shops; t->privacy.shop_count++) {
        (void)snprintf(name, sizeof name, "shop-%05u", t->privacy.shop_count);
        t->privacy.shops[t->privacy.shop_count] = (struct ft_task_shop){ ft_strdup(name), each };
        if (t->privacy.shops[t->privacy.shop_count].name == NULL)
            goto out;
    }
    t->name = ft_strdup("audit");
    t->purpose = ft_strdup("train/segmentation");
    t->owner = ft_strdup("audit");
    t->title = ft_strdup("Does the build keep what it claims?");
    t->expires = ft_strdup("2099-12-31");
    t->review = ft_strdup("2099-06-30");
    t->sql = ft_strdup("SELECT customer_id, split, label FROM transactions");
    t->label = ft_strdup("label");
    if (t->name != NULL && t->purpose != NULL && t->owner != NULL && t->title != NULL && t->expires != NULL &&
        t->review != NULL && t->sql != NULL && t->label != NULL)
        st = FT_OK;
out:
    return st;
}

/* The claim is about the rounds that are run: a task's own statistics and evaluation are not among them. */
static enum ft_status
noise_for(const struct ft_audit_wish *w, uint64_t rounds, double *z, struct ft_error *err)
{
    const double q = ft_privacy_q(ft_privacy_q_num(w->q, 1));
    const enum ft_status st = ft_account_noise(q, rounds, 1, w->delta, w->epsilon, FT_ACCOUNT_RDP, z);
    if (st == FT_ERR_LIMIT)
        return ft_fail(err, FT_ERR_CONFIG, "no noise multiplier up to 1000 reaches epsilon %g in %llu rounds",
                       w->epsilon, (unsigned long long)rounds);
    return st;
}

static enum ft_status
make_task(const struct ft_audit_wish *w, const struct audit_setting *s, struct ft_task *out,
          struct ft_error *err)
{
    const uint64_t each = s->customers / w->shops > 0 ? s->customers / w->shops : 1;
    const struct ft_audit_cohort cohort = ft_audit_cohort(w);
    enum ft_status st;

    *out = (struct ft_task){
        .rows_per_customer = 1,
        .rows_max = 1000000,
        .label_max = s->model == FT_MODEL_LINEAR ? s->label_max : 1,
        .model = s->model,
        .classes = s->model == FT_MODEL_MLP ? 2 : 0,
        .hidden = { s->hidden },
        .hidden_count = s->hidden > 0,
        .activation = s->model == FT_MODEL_MLP ? FT_ACT_RELU : 0,
        .rounds = (uint32_t)s->rounds,
        .local_epochs = 1,
        .learning_rate = s->learning_rate,
        .clip = 1,
        .weight_cap = 1,
        .server = FT_SERVER_FEDAVG,
        .server_learning_rate = 1,
        .server_beta2 = 0.99,
        .server_epsilon = 0.001,
        .seed = w->seed,
        .unit = FT_UNIT_CUSTOMER,
        .noise = 1,
        .privacy = { .noise_multiplier = w->noise,
                     .delta = w->delta,
                     .expected_customers = w->q * (double)(each * w->shops),
                     .m_stores = 1,
                     .contribution = FT_CONTRIBUTION_GRADIENT,
                     .rotated = w->rotated },
        .n_min = cohort.n_min,
        .n_cap = w->shops,
        .h_min = (uint32_t)cohort.t_min,
        .corrupted = w->corrupted,
        .drop_permille = cohort.drop_permille,
        .sigma = 40,
        .eta = 30,
        .suite = FT_SS_SUITE_AES256CTR,
        .lane_bits = 64,
        .join_ms = 1000,
        .step_ms = 1000,
        .session_ms = 3600000,
        .bins = 16,
        .calibration_bins = 4,
    };
    FT_TRY(put_names(out, s, w->shops, each));
    if (w->epsilon > 0)
        FT_TRY(noise_for(w, s->rounds, &out->privacy.noise_multiplier, err));
    FT_TRY(ft_plan_privacy_derive(out, err));
    FT_TRY(ft_task_validate(out, err));
out:
    return st;
}

static enum ft_status
open_members(struct audit_federation *f)
{
    enum ft_status st = FT_OK;

    f->members = ft_calloc(f->honest, sizeof *f->members);
    if (f->members == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t i = 0; i < f->honest; i++) {
        struct member *m = &f->members[i];
        ft_env_seeded_init(&m->env, f->wish.seed, UINT64_C(0x7661756c74) << 20 | i);
        m->examples.feature_count = f->task.feature_count;
        FT_TRY(ft_contributor_open(&m->env.env, &m->contributor));
    }
out:
    return st;
}

static enum ft_status
open_model(struct audit_federation *f)
{
    const uint32_t features = f->task.feature_count;
    const size_t parameters = audit_parameters(f);
    double *means = ft_calloc(features, sizeof *means), *stds = ft_calloc(features, sizeof *stds);
    float *params = ft_calloc(parameters, sizeof *params);
    enum ft_status st = FT_ERR_NOMEM;

    if (means != NULL && stds != NULL && params != NULL) {
        for (uint32_t i = 0; i < features; i++)
            stds[i] = 1;
        st = ft_model_state_init(&f->model, f->hash, FT_STAGE_TRAIN, 0, means, stds, features, params,
                                 parameters);
    }
    ft_free(means);
    ft_free(stds);
    ft_free(params);
    return st;
}

enum ft_status
audit_open(const struct ft_audit_wish *wish, const struct audit_setting *setting,
           struct audit_federation **out, struct ft_error *err)
{
    struct audit_federation *f = ft_calloc(1, sizeof *f);
    struct ft_buf canonical = { 0 };
    enum ft_status st = FT_ERR_NOMEM;

    *out = NULL;
    if (f == NULL)
        return st;
    f->wish = *wish;
    f->honest = (uint32_t)ft_audit_cohort(wish).t_min;
    FT_TRY(make_task(wish, setting, &f->task, err));
    FT_TRY(ft_task_encode(&f->task, &canonical));
    ft_task_hash(ft_buf_bytes(&canonical), f->hash);
    FT_TRY(ft_round_plan_init(&f->plan, &f->task, FT_STAGE_TRAIN, err));
    FT_TRY(open_model(f));
    FT_TRY(open_members(f));
    FT_TRY(sim_pool_open(wish->threads > 0 ? wish->threads : 1, &f->pool));
    const struct sim_session_config config = { .clients = wish->shops,
                                               .corrupted = f->task.corrupted,
                                               .deployment = f->task.deployment,
                                               .seed = wish->seed,
                                               .pool = f->pool };
    FT_TRY(sim_session_open(&config, &f->session, err));
    f->words = ft_calloc(wish->shops, sizeof *f->words);
    f->sum = ft_calloc(f->plan.codec.words, sizeof *f->sum);
    f->z = ft_calloc(f->plan.layout.dim, sizeof *f->z);
    if (f->words == NULL || f->sum == NULL || f->z == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    *out = f;
    f = NULL;
out:
    ft_buf_clear(&canonical);
    audit_close(f);
    return st;
}

void
audit_close(struct audit_federation *f)
{
    if (f == NULL)
        return;
    for (uint32_t i = 0; f->members != NULL && i < f->honest; i++) {
        ft_contributor_close(f->members[i].contributor);
        ft_examples_clear(&f->members[i].examples);
    }
    sim_session_close(f->session);
    sim_pool_close(f->pool);
    ft_model_state_clear(&f->model);
    ft_task_clear(&f->task);
    ft_free(f->members);
    ft_free(f->words);
    ft_free(f->sum);
    ft_free(f->z);
    ft_free(f);
}

const struct ft_task *
audit_task(const struct audit_federation *f)
{
    return &f->task;
}

size_t
audit_parameters(const struct audit_federation *f)
{
    return (size_t)ft_task_parameters(&f->task);
}

size_t
audit_dim(const struct audit_federation *f)
{
    return f->plan.layout.dim;
}

uint32_t
audit_honest(const struct audit_federation *f)
{
    return f->honest;
}

enum ft_status
audit_give_customers(struct audit_federation *f, uint32_t shop, size_t rows, struct ft_examples **out)
{
    struct ft_examples *e = &f->members[shop].examples;

    ft_examples_clear(e);
    e->feature_count = f->task.feature_count;
    e->x_train = ft_calloc(rows + 1, e->feature_count * sizeof *e->x_train);
    e->y_train = ft_calloc(rows + 1, sizeof *e->y_train);
    e->customer_train = ft_calloc(rows + 1, sizeof *e->customer_train);
    if (e->x_train == NULL || e->y_train == NULL || e->customer_train == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < rows; i++)
        e->customer_train[i] = (uint32_t)i;
    e->rows_train = rows;
    e->customers_train = rows;
    *out = e;
    return FT_OK;
}

/* ---- a round ---- */

static enum ft_status
contribution_of(struct audit_federation *f, uint32_t shop, uint64_t **words, struct ft_error *err)
{
    const struct ft_work work = { &f->task, f->hash, &f->plan, &f->model, false };
    bool standardised = false;
    enum ft_status st;

    if (shop < f->honest) {
#ifdef FT_PLANTED
        ft_planted = shop < f->wish.plant_shops ? f->wish.plant : FT_PLANT_NOTHING;
#endif
        st = ft_contribute(f->members[shop].contributor, &work, &f->members[shop].examples, &standardised,
                           words, err);
#ifdef FT_PLANTED
        ft_planted = FT_PLANT_NOTHING;
#endif
        return st;
    }
    *words = ft_big_alloc((size_t)f->plan.codec.words * sizeof **words);
    if (*words == NULL)
        return FT_ERR_NOMEM;
    memset(f->z, 0, f->plan.layout.dim * sizeof *f->z);
    st = ft_ss_pack(&f->plan.codec, 0, f->z, *words);
    return st;
}

enum ft_status
audit_round(struct audit_federation *f, const float *params, const int64_t **z, struct ft_error *err)
{
    const uint32_t shops = f->wish.shops, staying = f->wish.shops - f->wish.dropouts;
    const size_t size = (size_t)f->plan.codec.words * sizeof(uint64_t);
    struct ft_ss_descriptor terms;
    uint32_t survivors = 0;
    uint64_t weight;
    enum ft_status st = FT_OK;

    if (params != NULL)
        memcpy(f->model.params, params, f->model.parameters * sizeof *params);
    for (uint32_t i = 0; i < staying; i++)
        FT_TRY(contribution_of(f, i, &f->words[i], err));
    f->rounds++;
    ft_round_plan_describe(&f->plan, &f->task, f->hash, &terms);
    terms.round = f->rounds;
    terms.attempt = 1;
    ft_put_u64(terms.model_hash, f->rounds); /* a model of its own in every round */
    ft_put_u64(terms.lineage_hash, f->rounds);
    FT_TRY(sim_session_begin(f->session, &terms, err));
    FT_TRY(sim_session_put_all(f->session, f->words));
    FT_TRY(sim_session_end(f->session, f->sum, &survivors, err));
    if (survivors != staying) {
        st = ft_fail(err, FT_ERR_COHORT, "%u shops in the sum, expected %u", survivors, staying);
        goto out;
    }
    FT_TRY(ft_ss_unpack(&f->plan.codec, f->sum, survivors, f->z, &weight));
    *z = f->z;
out:
    for (uint32_t i = 0; i < shops; i++) {
        if (f->words[i] != NULL)
            ft_big_free(f->words[i], size);
        f->words[i] = NULL;
    }
    return st;
}

enum ft_status
audit_values(struct audit_federation *f, const int64_t *z, double *values, struct ft_error *err)
{
    const uint32_t survivors = f->wish.shops - f->wish.dropouts;
    uint64_t declared = 0;
    double *room = ft_calloc(f->plan.layout.dim, sizeof *room);
    struct ft_private_sum sum;
    enum ft_status st = FT_ERR_NOMEM;

    if (room == NULL)
        goto out;
    for (uint32_t i = 0; i < survivors; i++)
        declared += f->task.privacy.shops[i].customers;
    FT_TRY(ft_private_sum_init(&sum, &f->task, &f->plan, z, survivors, declared, room, err));
    memcpy(values, sum.values, f->plan.privacy.coordinates * sizeof *values);
out:
    ft_free(room);
    return st;
}

/* ---- the claim ---- */

enum ft_status
audit_claim(const struct audit_federation *f, uint64_t rounds, struct ft_audit_claim *out)
{
    const struct ft_account_event e = ft_plan_privacy_event(&f->task, rounds);
    const struct ft_task_privacy *p = &f->task.privacy;
    struct ft_account_cost cost;
    double exact;
    enum ft_status st;

    FT_TRY(ft_account_cost(&e, 1, p->delta, &cost));
    *out = (struct ft_audit_claim){ .noise_multiplier = e.z,
                                    .epsilon = cost.pld,
                                    .t_min = p->t_min,
                                    .survivors = f->wish.shops - f->wish.dropouts,
                                    .sigma_share = p->sigma_share,
                                    .delta_int_sq = p->delta_int_sq };
    if (e.q >= 1) {
        FT_TRY(ft_gauss_epsilon(e.z, e.steps, p->delta, &exact));
        out->epsilon = fmin(out->epsilon, exact + FT_ACCOUNT_SLACK);
    }
out:
    return st;
}

/* ---- laws ---- */

double
audit_binomial_tail(uint64_t n, double p, uint64_t k)
{
    int sign;
    double sum = 0;

    if (k == 0)
        return 1;
    if (!(p > 0) || k > n)
        return 0;
    if (p >= 1)
        return 1;
    for (uint64_t i = n + 1; i-- > k;)
        sum += exp(lgamma_r((double)n + 1, &sign) - lgamma_r((double)i + 1, &sign) -
                   lgamma_r((double)(n - i) + 1, &sign) + (double)i * log(p) + (double)(n - i) * log1p(-p));
    return fmin(sum, 1);
}

double
audit_least_rate(uint64_t n, uint64_t k, double chance)
{
    double low = 0, high = 1;
    for (int i = 0; i < 60 && k > 0; i++) {
        const double middle = low + (high - low) / 2;
        if (audit_binomial_tail(n, middle, k) < chance)
            low = middle;
        else
            high = middle;
    }
    return low;
}

double
audit_chi_square(double degrees, double deviations)
{
    const double a = 2 / (9 * degrees);
    return pow(1 - a + deviations * sqrt(a), 3);
}
