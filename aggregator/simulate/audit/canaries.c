#include "aggregator/simulate/audit/federation.h"

#include "common/base/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REACH 1000.0 /* of a canary's feature and label: its gradient is all but along its own coordinate */

struct canary {
    double score;
    bool in;
};

static int
by_score(const void *a, const void *b)
{
    const double x = ((const struct canary *)a)->score, y = ((const struct canary *)b)->score;
    return (x > y) - (x < y);
}

/*
 * Canary i has feature i alone, as far as it reaches, and a label as far: from a model of zeros the descent
 * direction of its squared error is REACH^2 along coordinate i and REACH along the bias, clipped to Delta
 * along coordinate i.
 */
static enum ft_status
place(struct audit_federation *f, const struct canary *list, uint32_t count)
{
    const uint32_t shops = audit_honest(f);
    enum ft_status st = FT_OK;

    for (uint32_t s = 0; s < shops; s++) {
        struct ft_examples *e;
        size_t rows = 0;
        for (uint32_t i = s; i < count; i += shops)
            rows += list[i].in;
        FT_TRY(audit_give_customers(f, s, rows, &e));
        rows = 0;
        for (uint32_t i = s; i < count; i += shops)
            if (list[i].in) {
                e->x_train[rows * e->feature_count + i] = (float)REACH;
                e->y_train[rows++] = (float)REACH;
            }
    }
out:
    return st;
}

static enum ft_status
score(const struct ft_audit_wish *wish, struct audit_federation *f, struct canary *list, struct ft_error *err)
{
    double *values = ft_calloc(audit_parameters(f), sizeof *values);
    enum ft_status st = FT_ERR_NOMEM;

    if (values == NULL)
        goto out;
    for (uint64_t r = 0; r < wish->rounds; r++) {
        const int64_t *z;
        FT_TRY(audit_round(f, NULL, &z, err));
        FT_TRY(audit_values(f, z, values, err));
        for (uint32_t i = 0; i < wish->canaries; i++)
            list[i].score += values[i];
        if (wish->progress != NULL)
            wish->progress(wish->progress_ctx, "canaries", r + 1, wish->rounds);
    }
    st = FT_OK;
out:
    ft_free(values);
    return st;
}

/*
 * The r most extreme of the sorted scores, r fixed beforehand: without sampling the highest are guessed in
 * and the lowest out; with it a low score says nothing, so all guesses are "in", and no more than a sample
 * that is kept would bring to the top.
 */
static uint32_t
guesses_for(const struct ft_audit_wish *wish)
{
    const uint32_t tenth = wish->canaries / 10;
    const double kept = wish->q * wish->canaries / 3;
    return wish->q >= 1 || kept >= tenth ? tenth : kept < 10 ? 10 : (uint32_t)kept;
}

static uint32_t
right_guesses(const struct canary *sorted, uint32_t count, uint32_t guesses, bool both)
{
    const double median = sorted[count / 2].score;
    uint32_t right = 0, low = 0, high = count;

    for (uint32_t g = 0; g < guesses; g++) {
        if (both && median - sorted[low].score > sorted[high - 1].score - median)
            right += !sorted[low++].in;
        else
            right += sorted[--high].in;
    }
    return right;
}

enum ft_status
ft_audit_run_canaries(const struct ft_audit_wish *wish, struct ft_audit_canaries *out, struct ft_error *err)
{
    const struct audit_setting setting = { .model = FT_MODEL_LINEAR,
                                           .features = wish->canaries,
                                           .range = REACH,
                                           .label_max = REACH,
                                           .customers = wish->canaries,
                                           .rounds = wish->rounds,
                                           .learning_rate = 0.1 };
    struct audit_federation *f = NULL;
    struct canary *list = ft_calloc(wish->canaries, sizeof *list);
    struct ft_env_seeded coins;
    enum ft_status st = FT_ERR_NOMEM;

    *out = (struct ft_audit_canaries){ .canaries = wish->canaries, .guesses = guesses_for(wish) };
    if (list == NULL)
        goto out;
    ft_env_seeded_init(&coins, wish->seed, UINT64_C(0x636f696e73));
    for (uint32_t i = 0; i < wish->canaries; i++) {
        list[i].in = (ft_random_u64(&coins.env) & 1) != 0;
        out->included += list[i].in;
    }
    FT_TRY(audit_open(wish, &setting, &f, err));
    FT_TRY(audit_claim(f, wish->rounds, &out->claim));
    FT_TRY(place(f, list, wish->canaries));
    FT_TRY(score(wish, f, list, err));
    qsort(list, wish->canaries, sizeof *list, by_score);
    out->right = right_guesses(list, wish->canaries, out->guesses, wish->q >= 1);
    FT_TRY(ft_onerun_epsilon(wish->canaries, out->guesses, out->right, wish->delta, wish->significance,
                             &out->lower));
    out->pass = out->lower <= out->claim.epsilon;
out:
    audit_close(f);
    ft_free(list);
    return st;
}
