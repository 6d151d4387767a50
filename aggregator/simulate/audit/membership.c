#include "aggregator/simulate/audit/federation.h"

#include "common/base/alloc.h"
#include "common/privacy/parameters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PEOPLE   4000u
#define FEATURES 1000u /* random, so that a model without privacy would learn its rows by heart */
#define ROUNDS   20u
#define RATE     4.0 /* in clips a round */
#define ALARMS   0.001
#define CHANCE   0.0005 /* each end of a 99.9 % interval */

struct person {
    double score;
    bool in;
};

static int
by_score(const void *a, const void *b) /* the most likely members first */
{
    const double x = ((const struct person *)a)->score, y = ((const struct person *)b)->score;
    return (x < y) - (x > y);
}

static enum ft_status
place(struct audit_federation *f, const struct person *list, const float *x, const float *y)
{
    const uint32_t shops = audit_honest(f);
    enum ft_status st = FT_OK;

    for (uint32_t s = 0; s < shops; s++) {
        struct ft_examples *e;
        size_t rows = 0;
        for (uint32_t i = s; i < PEOPLE; i += shops)
            rows += list[i].in;
        FT_TRY(audit_give_customers(f, s, rows, &e));
        rows = 0;
        for (uint32_t i = s; i < PEOPLE; i += shops)
            if (list[i].in) {
                memcpy(e->x_train + rows * FEATURES, x + (size_t)i * FEATURES, FEATURES * sizeof *x);
                e->y_train[rows++] = y[i];
            }
    }
out:
    return st;
}

/* Steps of a fixed length along the noisy mean: what is released after the last one. */
static enum ft_status
train(const struct ft_audit_wish *wish, struct audit_federation *f, float *params, struct ft_error *err)
{
    const size_t count = audit_parameters(f);
    const double customers = ft_plan_q(audit_task(f)) * (double)ft_plan_customers(audit_task(f)) / 2;
    double *values = ft_calloc(count, sizeof *values);
    enum ft_status st = FT_ERR_NOMEM;

    if (values == NULL)
        goto out;
    for (uint64_t r = 0; r < ROUNDS; r++) {
        const int64_t *z;
        FT_TRY(audit_round(f, params, &z, err));
        FT_TRY(audit_values(f, z, values, err));
        for (size_t i = 0; i < count; i++)
            params[i] += (float)(RATE * values[i] / customers);
        if (wish->progress != NULL)
            wish->progress(wish->progress_ctx, "membership", r + 1, ROUNDS);
    }
    st = FT_OK;
out:
    ft_free(values);
    return st;
}

/* Margin of each person's own label: minus a falling function of the loss. */
static void
attack(const float *params, const float *x, const float *y, struct person *list)
{
    for (uint32_t i = 0; i < PEOPLE; i++) {
        double z = (double)params[FEATURES];
        for (uint32_t k = 0; k < FEATURES; k++)
            z += (double)params[k] * (double)x[(size_t)i * FEATURES + k];
        list[i].score = y[i] > 0.5f ? z : -z;
    }
}

static void
judge(struct person *list, double delta, struct ft_audit_membership *out)
{
    uint64_t found = 0, alarms = 0, best = 0, at = 0;
    double pairs = 0;
    const uint64_t allowed = (uint64_t)(ALARMS * (double)out->others);

    qsort(list, PEOPLE, sizeof *list, by_score);
    for (uint32_t i = 0; i < PEOPLE; i++) {
        if (list[i].in) {
            found++;
        } else {
            alarms++;
            pairs += (double)found;
        }
        if (alarms <= allowed) {
            best = found;
            at = alarms;
        }
    }
    out->auc = pairs / ((double)out->members * (double)out->others);
    out->false_rate = (double)at / (double)out->others;
    out->true_rate = (double)best / (double)out->members;
    out->true_least = audit_least_rate(out->members, best, CHANCE);
    /* the rate at which so few alarms are that unlikely: 1 minus the least rate of the rest */
    const double most = 1 - audit_least_rate(out->others, out->others - at, CHANCE);
    out->allowed = fmin(exp(out->claim.epsilon) * most + delta, 1);
    out->pass = out->true_least <= out->allowed;
}

/* The epsilon stated for the audit's rounds, over the rounds that are run here. */
static enum ft_status
same_epsilon(const struct ft_audit_wish *wish, struct ft_audit_wish *own)
{
    const struct ft_account_event e = { ft_privacy_q(ft_privacy_q_num(wish->q, 1)), wish->noise, wish->rounds,
                                        1 };
    enum ft_status st = FT_OK;
    uint32_t order;

    *own = *wish;
    if (wish->noise > 0) {
        st = ft_account_cost_rdp(&e, 1, wish->delta, &own->epsilon, &order);
        own->noise = 0;
    }
    return st;
}

enum ft_status
ft_audit_run_membership(const struct ft_audit_wish *wish, struct ft_audit_membership *out,
                        struct ft_error *err)
{
    const struct audit_setting setting = { .model = FT_MODEL_LOGISTIC,
                                           .features = FEATURES,
                                           .least = -1,
                                           .range = 1,
                                           .customers = PEOPLE,
                                           .rounds = ROUNDS,
                                           .learning_rate = 1 };
    struct ft_audit_wish own;
    struct ft_env_seeded draws;
    struct audit_federation *f = NULL;
    struct person *list = ft_calloc(PEOPLE, sizeof *list);
    float *x = ft_calloc((size_t)PEOPLE * FEATURES, sizeof *x), *y = ft_calloc(PEOPLE, sizeof *y);
    float *params = ft_calloc(FEATURES + 1, sizeof *params);
    enum ft_status st = FT_ERR_NOMEM;

    *out = (struct ft_audit_membership){ 0 };
    if (list == NULL || x == NULL || y == NULL || params == NULL)
        goto out;
    ft_env_seeded_init(&draws, wish->seed, UINT64_C(0x70656f706c65));
    for (uint32_t i = 0; i < PEOPLE; i++) {
        for (uint32_t k = 0; k < FEATURES; k++)
            x[(size_t)i * FEATURES + k] = (ft_random_u64(&draws.env) & 1) != 0 ? 1 : -1;
        y[i] = (float)(ft_random_u64(&draws.env) & 1);
        list[i].in = (ft_random_u64(&draws.env) & 1) != 0;
        out->members += list[i].in;
    }
    out->others = PEOPLE - out->members;
    FT_TRY(same_epsilon(wish, &own));
    FT_TRY(audit_open(&own, &setting, &f, err));
    FT_TRY(audit_claim(f, ROUNDS, &out->claim));
    FT_TRY(place(f, list, x, y));
    FT_TRY(train(wish, f, params, err));
    attack(params, x, y, list);
    judge(list, wish->delta, out);
out:
    audit_close(f);
    ft_free(list);
    ft_free(x);
    ft_free(y);
    ft_free(params);
    return st;
}
