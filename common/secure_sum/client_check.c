/* Is a descriptor one this shop may join? Specification section 4; each rule has its own code. */
#include "common/secure_sum/client_internal.h"

#include <string.h>

static bool
same(const uint8_t a[32], const uint8_t b[32])
{
    return memcmp(a, b, 32) == 0; /* hashes are public */
}

/* What the task says and the descriptor repeats. */
static bool
task_limits_equal(const struct ft_ss_descriptor *d, const struct ft_ss_descriptor *task)
{
    return d->suite == task->suite && d->dim == task->dim && d->lane_bits == task->lane_bits &&
           d->lanes == task->lanes && d->check_lanes == task->check_lanes &&
           d->weight_lanes == task->weight_lanes && d->quant_max == task->quant_max &&
           d->clip == task->clip && d->quant_step == task->quant_step && d->noise_kind == task->noise_kind &&
           d->noise_var == task->noise_var && d->n_cap == task->n_cap && d->n_min == task->n_min &&
           d->h_min == task->h_min && d->corrupted == task->corrupted &&
           d->drop_permille == task->drop_permille && d->sigma == task->sigma && d->eta == task->eta;
}

static enum ft_ss_abort
judge_limits(const struct ft_ss_client *c, const struct ft_ss_descriptor *d, struct ft_error *err)
{
    const struct ft_ss_limits *l = &c->config.limits;
    struct ft_ss_codec codec;

    if (d->n_min < l->n_min)
        return FT_SS_ABORT_N_MIN;
    if (d->h_min < l->h_min || d->h_min < 2)
        return FT_SS_ABORT_H_MIN;
    if (d->corrupted < l->corrupted || d->corrupted < c->config.directory->roster->corrupted ||
        (l->results_visible && d->corrupted < 1))
        return FT_SS_ABORT_CORRUPTED;
    if (d->sigma < l->sigma)
        return FT_SS_ABORT_SIGMA;
    if (d->drop_permille > l->drop_permille)
        return FT_SS_ABORT_DROP_RATE;
    if (d->clip > l->clip)
        return FT_SS_ABORT_CLIP;
    if (d->suite >= sizeof l->suites / sizeof l->suites[0] || !l->suites[d->suite])
        return FT_SS_ABORT_SUITE;
    if (ft_ss_codec_of(d, &codec, err) != FT_OK)
        return FT_SS_ABORT_DESCRIPTOR_FORM;
    if (codec.words > l->words_max)
        return FT_SS_ABORT_WORDS;
    return FT_SS_ABORT_NONE;
}

static enum ft_ss_abort
judge_deadline(const struct ft_ss_client *c, const struct ft_ss_descriptor *d)
{
    const uint64_t wall = c->config.env->wall_ms(c->config.env->ctx);
    if (d->deadline_ms <= wall)
        return FT_SS_ABORT_DEADLINE_PAST;
    if (d->deadline_ms - wall > c->config.limits.deadline_ms_max)
        return FT_SS_ABORT_DEADLINE_FAR;
    return FT_SS_ABORT_NONE;
}

/* Does the model follow from what this client knows, and may it be trained on (again)? */
static enum ft_ss_abort
judge_model(const struct ft_ss_client *c, const struct ft_ss_descriptor *d, const struct ft_ss_facts *facts)
{
    const struct ft_ss_previous *last = &facts->previous;
    const bool repeated = last->any && same(d->model_hash, last->model_hash);
    uint8_t lineage[32];

    if (!same(d->model_hash, facts->model_hash))
        return FT_SS_ABORT_MODEL;
    /* Two sums of nearly the same updates give away who is in one of them only: never again, but for the round after one
     * that failed. */
    if (facts->model_trained_on && !(repeated && !last->result_known))
        return FT_SS_ABORT_MODEL_REPEATED;
    if (!last->any)
        return FT_SS_ABORT_NONE;
    if (last->result_known) {
        if (repeated)
            return FT_SS_ABORT_MODEL_REPEATED;
        ft_ss_derive_lineage(lineage, last->model_hash, last->result_hash);
        /* Only the round right after is known to follow from that result. */
        if (last->round + 1 == d->round && !same(d->lineage_hash, lineage))
            return FT_SS_ABORT_LINEAGE;
        return FT_SS_ABORT_NONE;
    }
    if (repeated) { /* the last round failed: its work is done again */
        if (!same(d->lineage_hash, last->lineage_hash))
            return FT_SS_ABORT_LINEAGE;
        if (d->noise_kind == 0 && !c->config.limits.repeat_model_unnoised)
            return FT_SS_ABORT_MODEL_REPEATED;
    }
    return FT_SS_ABORT_NONE;
}

static enum ft_ss_abort
judge_round(const struct ft_ss_descriptor *d, const struct ft_ss_journal_view *j)
{
    if (j->any_spent && d->round <= j->spent_round)
        return d->round == j->spent_round ? FT_SS_ABORT_ROUND_SPENT : FT_SS_ABORT_ROUND_REPLAYED;
    if (j->any && (d->round < j->round || (d->round == j->round && d->attempt <= j->attempt)))
        return FT_SS_ABORT_ROUND_REPLAYED;
    return FT_SS_ABORT_NONE;
}

static enum ft_ss_abort
judge_fields(const struct ft_ss_client *c, const struct ft_ss_descriptor *d, const struct ft_ss_facts *facts,
             struct ft_error *err)
{
    const struct ft_ss_roster *roster = c->config.directory->roster;
    enum ft_ss_abort code;

    if (!same(d->task_hash, facts->expected.task_hash))
        return FT_SS_ABORT_TASK_UNKNOWN;
    if (memcmp(d->deployment, roster->deployment, sizeof d->deployment) != 0)
        return FT_SS_ABORT_DEPLOYMENT;
    if (d->epoch != c->config.directory->epoch)
        return FT_SS_ABORT_EPOCH;
    if (!same(d->directory_root, c->root))
        return FT_SS_ABORT_DIRECTORY;
    if (!ft_ss_roster_active(roster, c->config.id, c->config.env->wall_ms(c->config.env->ctx)))
        return FT_SS_ABORT_NOT_ACTIVE;
    if ((code = judge_deadline(c, d)) != FT_SS_ABORT_NONE)
        return code;
    if ((code = judge_limits(c, d, err)) != FT_SS_ABORT_NONE)
        return code;
    if (!task_limits_equal(d, &facts->expected))
        return FT_SS_ABORT_TASK_LIMIT;
    if ((code = judge_round(d, &facts->journal)) != FT_SS_ABORT_NONE)
        return code;
    if (same(d->task_hash, c->own_task) && (code = judge_round(d, &c->own_journal)) != FT_SS_ABORT_NONE)
        return code;
    if (c->state != FT_SS_CLIENT_IDLE && c->state != FT_SS_CLIENT_ABORTED)
        return FT_SS_ABORT_SESSION_LIVE;
    if ((code = judge_model(c, d, facts)) != FT_SS_ABORT_NONE)
        return code;
    return facts->ledger_can_pay ? FT_SS_ABORT_NONE : FT_SS_ABORT_LEDGER;
}

enum ft_ss_abort
client_judge(const struct ft_ss_client *c, struct ft_bytes bytes, const struct ft_ss_facts *facts,
             struct ft_ss_descriptor *out, struct ft_error *err)
{
    enum ft_ss_abort code;

    if (ft_ss_descriptor_decode(bytes, out, err) != FT_OK)
        return FT_SS_ABORT_DESCRIPTOR_FORM;
    code = judge_fields(c, out, facts, err);
    if (code != FT_SS_ABORT_NONE)
        (void)ft_fail(err, FT_ERR_REFUSED, "round %llu is not joined: %s", (unsigned long long)out->round,
                      ft_ss_abort_text(code));
    return code;
}

enum ft_ss_abort
ft_ss_client_check_descriptor(const struct ft_ss_client *client, struct ft_bytes descriptor_bytes,
                              const struct ft_ss_facts *facts, struct ft_ss_descriptor *descriptor,
                              struct ft_error *err)
{
    struct ft_ss_descriptor decoded = { 0 };
    const enum ft_ss_abort code = client_judge(client, descriptor_bytes, facts, &decoded, err);
    if (descriptor != NULL)
        *descriptor = decoded;
    return code;
}

enum ft_ss_abort
ft_ss_client_check(const struct ft_ss_client *client, struct ft_bytes announce,
                   const struct ft_ss_facts *facts, struct ft_ss_descriptor *descriptor, struct ft_error *err)
{
    struct ft_ss_down m;
    enum ft_ss_abort code;
    uint8_t t0[32];

    if (ft_ss_down_decode(announce, &m) != FT_OK) {
        (void)ft_fail(err, FT_ERR_FORMAT, "the announcement cannot be decoded");
        return FT_SS_ABORT_MALFORMED;
    }
    ft_ss_derive_t0(t0, m.descriptor);
    if (m.kind != FT_SS_DOWN_ANNOUNCE)
        code = FT_SS_ABORT_MALFORMED;
    else if (!ft_ss_view_verify(m.signature, t0, client->config.aggregator_pk))
        code = FT_SS_ABORT_VIEW_SIGNATURE;
    else
        code = ft_ss_client_check_descriptor(client, m.descriptor, facts, descriptor, err);
    if (code != FT_SS_ABORT_NONE)
        (void)ft_fail(err, FT_ERR_REFUSED, "the announced session is not joined: %s", ft_ss_abort_text(code));
    ft_ss_down_clear(&m);
    return code;
}
