#include "client/vault/participant_internal.h"

#include "common/base/alloc.h"
#include "common/base/plant.h"
#include "common/base/log.h"
#include "common/secure_sum/wire.h"

#include <sodium.h>
#include <string.h>

#define CLOCK_SKEW_MS 60000u /* shop and aggregator clocks may differ this much when a deadline is judged */
#define SLOT_MIN_MS   20u
#define SLOT_MAX_MS   1000u
#define REFUSED_MS    5000u  /* an announce that was not joined is not judged again before */

static const struct ft_task *
task_of(const struct ft_participant *p)
{
    return &p->tasks[p->session.task].task;
}

bool
participant_live(const struct ft_participant *p)
{
    if (!p->session.open)
        return false;
    const enum ft_ss_client_state s = ft_ss_client_state(p->session.client);
    return s != FT_SS_CLIENT_IDLE && s != FT_SS_CLIENT_ABORTED;
}

static void
drop_words(struct ft_participant *p)
{
    if (p->session.words != NULL) {
        sodium_memzero(p->session.words, (size_t)p->session.plan.codec.words * sizeof *p->session.words);
        ft_big_free(p->session.words, (size_t)p->session.plan.codec.words * sizeof *p->session.words);
    }
    p->session.words = NULL;
}

void
participant_session_close(struct ft_participant *p)
{
    drop_words(p);
    ft_ss_client_close(p->session.client);
    p->session = (struct session){ 0 };
}

/* Send `answer` (which may be empty) with the next SYNC, told as of this session even if the client has left it. */
static void
answer_with(struct ft_participant *p, struct ft_buf *answer, bool own_position)
{
    ft_buf_clear(&p->answer);
    p->answer = *answer;
    *answer = (struct ft_buf){ 0 };
    p->answer_own_position = own_position;
    p->answer_position = p->session.position;
}

/* The session is over for this shop, by its own decision. */
static void
left(struct ft_participant *p, struct ft_buf *answer)
{
    const enum ft_ss_abort code = ft_ss_client_abort_code(p->session.client);
    struct ft_bytes first, second;
    ft_log(FT_LOG_WARN, "session.left", "round=%llu code=%u reason=%s",
           (unsigned long long)p->session.position.round, (unsigned)code, ft_ss_abort_text(code));
    if (ft_ss_client_evidence(p->session.client, &first, &second) && p->config.world.evidence != NULL)
        p->config.world.evidence(p->config.world.ctx, first, second);
    p->status.rounds_aborted++;
    answer_with(p, answer, true);
    participant_session_close(p);
}

enum ft_status
participant_withdraw(struct ft_participant *p)
{
    struct ft_buf answer = { 0 };
    if (!p->session.open)
        return FT_OK;
    const enum ft_status st = ft_ss_client_cancel(p->session.client, &answer);
    left(p, &answer);
    ft_buf_clear(&answer);
    return st;
}

void
participant_tick(struct ft_participant *p)
{
    struct ft_buf none = { 0 };
    if (!p->session.open)
        return;
    switch (ft_ss_client_tick(p->session.client)) {
    case FT_SS_ABORTED:
        left(p, &none);
        break;
    case FT_SS_ENDED:
        p->status.rounds_ended++;
        participant_session_close(p);
        break;
    default:
        break;
    }
}

/* One contribution of a task with noise, written down before it can leave. */
static enum ft_status
pay(struct ft_participant *p, const struct ft_ss_journal_record *record)
{
    const struct ft_participant_world *w = &p->config.world;
    if (!p->session.plan.privacy.on || (FT_PLANT(LEDGER_AFTER_SEND) && record->step <= FT_SS_STEP_MASKED))
        return FT_OK;
    return w->spend != NULL ? w->spend(w->ctx, record->task_hash, record->round, record->t[0]) : FT_ERR_REFUSED;
}

/* The journal of the secure sum: durable before the message it permits. With `spent` goes what the next round must know
 * about this one. */
static enum ft_status
journal(void *ctx, const struct ft_ss_journal_record *record)
{
    struct ft_participant *p = ctx;
    struct ft_vault_store *store = p->config.world.store;
    enum ft_status st = FT_OK;
    if (record->spent) {
        const struct ft_ss_descriptor *d = ft_ss_client_descriptor(p->session.client);
        struct ft_ss_previous previous = { .any = true, .round = record->round };
        memcpy(previous.model_hash, p->session.facts.model_hash, 32);
        if (d != NULL)
            memcpy(previous.lineage_hash, d->lineage_hash, 32);
        if (record->step <= FT_SS_STEP_MASKED) {
            st = pay(p, record);
            if (st == FT_OK)
                st = store->calls->previous_put(store, record->task_hash, &previous);
        }
        if (FT_PLANT(LEDGER_AFTER_SEND) && record->step == FT_SS_STEP_CONFIRM)
            st = pay(p, record);
    }
    return st == FT_OK ? store->calls->journal_put(store, record, (int64_t)(wall_of(p) / 1000)) : st;
}

static enum ft_status
open_client(struct ft_participant *p, const struct known_task *k)
{
    struct ft_ss_client_config config = {
        .env = p->config.world.env,
        .directory = &p->view->directory,
        .pairs = p->pairs,
        .id = p->id,
        .identity_sk = p->config.identity_sk,
        .limits = k->decision.limits,
        .journal = journal,
        .journal_ctx = p,
    };
    memcpy(config.aggregator_pk, p->config.pins.aggregator_key, 32);
    /* The policy has judged the task's clip and size; here they must be exactly the task's, in the codec's units. */
    config.limits.clip = p->session.plan.codec.clip;
    config.limits.words_max = p->session.plan.codec.words;
    config.limits.deadline_ms_max += CLOCK_SKEW_MS;
    config.limits.results_visible = true;
    config.limits.suites[1] = config.limits.suites[2] = true;
    return ft_ss_client_open(&config, &p->session.client);
}

/* The announce at hand is not for this shop now. */
static void
refuse_announce(struct ft_participant *p, struct ft_bytes descriptor)
{
    ft_ss_derive_t0(p->refused_t0, descriptor);
    p->refused_until = now_of(p) + REFUSED_MS;
    p->announce.size = 0;
}

/* The ledger is written before the state, so a round that the state knows as contributed to and the ledger
 * would pay for once more means that an older ledger was put back, or a new one begun, whether the aggregator
 * remembers it or not. */
static bool
ledger_can_pay(const struct ft_participant *p, const struct known_task *k, uint64_t round,
               const struct ft_ss_previous *previous)
{
    const struct ft_participant_world *w = &p->config.world;
    if (w->can_pay == NULL)
        return false;
    if (previous->any && w->can_pay(w->ctx, k->hash, previous->round)) {
        ft_log(FT_LOG_ERROR, "ledger.behind",
               "round=%llu reason=the privacy ledger does not know a contribution that was made",
               (unsigned long long)previous->round);
        return false;
    }
    return w->can_pay(w->ctx, k->hash, round);
}

static enum ft_status
read_facts(struct ft_participant *p, const struct known_task *k, uint64_t round)
{
    struct ft_vault_store *store = p->config.world.store;
    struct ft_ss_facts *f = &p->session.facts;
    enum ft_status st;
    ft_round_plan_describe(&p->session.plan, &k->task, k->hash, &f->expected);
    memcpy(f->model_hash, p->model_hash, 32);
    FT_TRY(store->calls->previous_get(store, k->hash, &f->previous));
    f->ledger_can_pay = !p->session.plan.privacy.on /* a sum without noise spends nothing */
                        || ledger_can_pay(p, k, round, &f->previous);
    FT_TRY(store->calls->trained_on(store, k->hash, p->model_hash, &f->model_trained_on));
    FT_TRY(store->calls->journal_view(store, k->hash, &f->journal));
out:
    return st;
}

/* Not joining because of the shop's own side. */
static void
cannot(struct ft_participant *p, struct known_task *k, enum ft_status st, uint32_t code, struct ft_bytes descriptor)
{
    ft_log(FT_LOG_WARN, "contribution.none", "status=%s code=%u", ft_status_name(st), code);
    participant_note(p, k, st == FT_ERR_REFUSED || st == FT_ERR_FORMAT ? FT_WORD_REFUSED : FT_WORD_LATER,
                     code != 0 ? code : FT_REFUSAL_INTERNAL);
    refuse_announce(p, descriptor);
}

static enum ft_status
join(struct ft_participant *p, struct ft_bytes announce)
{
    struct ft_buf answer = { 0 };
    enum ft_ss_action action = FT_SS_IGNORED;
    enum ft_status st = ft_ss_client_join(p->session.client, announce, &p->session.facts, &answer, &action);
    if (st == FT_OK && action == FT_SS_ANSWER) {
        p->status.rounds_joined++;
        answer_with(p, &answer, false);
        ft_log(FT_LOG_INFO, "session.joined", "round=%llu attempt=%u stage=%d",
               (unsigned long long)p->session.position.round, p->session.position.attempt,
               (int)p->session.plan.stage);
    } else {
        left(p, &answer);
    }
    ft_buf_clear(&answer);
    return st;
}

/* How long a contribution with noise took depends on who was drawn. What follows it waits for the end of the
 * task's time slot, which is nearly always long enough; a contribution that takes longer doubles it for good,
 * so that the times of all of a task's rounds together tell no more than how often that happened, a few times
 * at most. */
static uint32_t
slot_left(struct known_task *k, uint64_t took_ms, uint64_t deadline_ms)
{
    const uint64_t eighth = k->task.join_ms / 8, latest = deadline_ms / 8 * 7;

    if (k->slot_ms == 0)
        k->slot_ms = eighth < SLOT_MIN_MS ? SLOT_MIN_MS : eighth > SLOT_MAX_MS ? SLOT_MAX_MS : eighth;
    while (k->slot_ms <= took_ms && k->slot_ms < latest)
        k->slot_ms *= 2;
    const uint64_t end = k->slot_ms < latest ? k->slot_ms : latest;
    return end > took_ms ? (uint32_t)(end - took_ms) : 0;
}

static enum ft_status
join_at_its_time(struct ft_participant *p, struct known_task *k, struct ft_bytes announce, uint64_t took_ms)
{
    if (announce.data != p->announce.data) {
        p->announce.size = 0;
        const enum ft_status st = ft_buf_append(&p->announce, announce.data, announce.size);
        if (st != FT_OK)
            return st;
    }
    participant_rest(p, slot_left(k, took_ms, k->task.join_ms), MODE_JOIN);
    return FT_OK;
}

/* Model, task and directory are here: judge the announce, make the contribution, join. */
static enum ft_status
begin(struct ft_participant *p, struct known_task *k, struct ft_bytes announce, const struct ft_ss_down *m,
      const struct ft_ss_descriptor *d)
{
    struct ft_error err = { 0 };
    const uint64_t began = now_of(p);
    uint32_t code = 0;
    enum ft_status st;

    participant_session_close(p);
    st = ft_round_plan_init(&p->session.plan, &k->task, p->model.stage, &err);
    if (st == FT_OK)
        st = ft_round_plan_clip(&p->session.plan, &k->task, d->clip, &err);
    if (st != FT_OK) {
        cannot(p, k, st, FT_REFUSAL_TASK_FORMAT, m->descriptor);
        return st == FT_ERR_NOMEM ? st : FT_OK;
    }
    FT_TRY(read_facts(p, k, d->round));
    FT_TRY(open_client(p, k));
    p->session.open = true;
    p->session.task = (size_t)(k - p->tasks);
    memcpy(p->session.position.task_hash, d->task_hash, 32);
    p->session.position.round = d->round;
    p->session.position.attempt = d->attempt;
    ft_ss_derive_t0(p->session.t0, m->descriptor);
    const enum ft_ss_abort verdict = ft_ss_client_check(p->session.client, announce, &p->session.facts, NULL, &err);
    if (verdict != FT_SS_ABORT_NONE) {
        ft_log(FT_LOG_WARN, "session.refused", "round=%llu code=%u reason=%s", (unsigned long long)d->round,
               (unsigned)verdict, err.text);
        refuse_announce(p, m->descriptor);
        return join(p, announce); /* refused there too: this makes the Abort that tells the code */
    }
    const struct ft_work work = { &k->task, k->hash, &p->session.plan, &p->model, false };
    st = p->config.world.contribute(p->config.world.ctx, &work, &p->session.words, &code);
    if (st != FT_OK) {
        participant_session_close(p);
        cannot(p, k, st, code, m->descriptor);
        return st == FT_ERR_NOMEM ? st : FT_OK;
    }
    st = p->session.plan.privacy.on ? join_at_its_time(p, k, announce, now_of(p) - began) : join(p, announce);
out:
    if (st != FT_OK)
        participant_session_close(p);
    return st;
}

enum ft_status
participant_join(struct ft_participant *p)
{
    if (!p->session.open || p->session.words == NULL || p->announce.size == 0)
        return FT_OK;
    const enum ft_status st = join(p, ft_buf_bytes(&p->announce));
    if (st != FT_OK)
        participant_session_close(p);
    return st;
}

/* The most bytes a model of this task can have. */
static size_t
model_limit(const struct ft_task *task)
{
    const uint64_t size = 4096 + (uint64_t)task->feature_count * 16 + ft_task_parameters(task) * 4;
    return size < FT_MODEL_BLOB_MAX ? (size_t)size : FT_MODEL_BLOB_MAX;
}

static enum ft_status
announced(struct ft_participant *p, struct ft_bytes message, const struct ft_ss_down *m)
{
    struct ft_ss_descriptor d;
    struct ft_error err = { 0 };
    struct known_task *k = NULL;
    uint8_t t0[32];
    enum ft_status st;

    if (participant_live(p))
        return join(p, message); /* the same: the stored Join again; another: the client knows what that means */
    ft_ss_derive_t0(t0, m->descriptor);
    if (memcmp(t0, p->refused_t0, 32) == 0 && now_of(p) < p->refused_until) {
        participant_stumble(p);
        return FT_OK;
    }
    if (p->view == NULL || ft_ss_descriptor_decode(m->descriptor, &d, &err) != FT_OK) {
        ft_log(FT_LOG_WARN, "announce.unusable", "reason=%s", p->view == NULL ? "no directory yet" : err.text);
        participant_stumble(p);
        return FT_OK;
    }
    st = participant_load_task(p, d.task_hash, &k);
    if (st != FT_OK)
        return st;
    if (k == NULL) {
        ft_log(FT_LOG_WARN, "announce.unknown_task", "round=%llu", (unsigned long long)d.round);
        participant_stumble(p);
        return FT_OK;
    }
    FT_TRY(participant_decide(p, k)); /* now: windows, consent and policy may have changed */
    if (!k->valid || k->decision.verdict != FT_WORD_ACCEPTED) {
        k->report = true;
        refuse_announce(p, m->descriptor);
        return FT_OK;
    }
    if (FT_PLANT(STALE_MODEL) && p->has_model)
        memcpy(p->model_hash, d.model_hash, 32);
    if (!p->has_model || memcmp(p->model_hash, d.model_hash, 32) != 0) {
        p->announce.size = 0;
        FT_TRY(ft_buf_append(&p->announce, message.data, message.size));
        participant_fetch(p, BLOB_MODEL, d.model_hash, model_limit(&k->task));
        return FT_OK;
    }
    st = begin(p, k, message, m, &d);
out:
    return st;
}

/* The model an announce waits for. Its hash has been compared. */
enum ft_status
participant_model(struct ft_participant *p, struct ft_bytes blob)
{
    struct ft_model_state model;
    struct ft_ss_descriptor d;
    struct ft_ss_down m;
    struct ft_error err = { 0 };
    struct ft_bytes announce = ft_buf_bytes(&p->announce);
    enum ft_status st = ft_ss_down_decode(announce, &m);
    if (st != FT_OK)
        return st;

    struct known_task *k = NULL;
    FT_TRY(ft_ss_descriptor_decode(m.descriptor, &d, NULL));
    k = participant_find_task(p, d.task_hash);
    if (k == NULL || !k->valid)
        goto out;
    st = ft_model_state_decode(blob, &model, &err);
    if (st == FT_ERR_NOMEM)
        goto out;
    const bool with_params = st == FT_OK && model.stage != FT_STAGE_STATISTICS;
    const bool wrong_stage = k->task.kind == FT_TASK_STATISTICS && (with_params || model.version != 0);
    if (st != FT_OK || wrong_stage || memcmp(model.task_hash, k->hash, 32) != 0 ||
        model.features != (with_params ? k->task.feature_count : 0) ||
        model.parameters != (with_params ? ft_task_parameters(&k->task) : 0)) {
        ft_log(FT_LOG_ERROR, "model.refused", "reason=%s", st != FT_OK ? err.text : "it is not a model of this task");
        if (st == FT_OK)
            ft_model_state_clear(&model);
        refuse_announce(p, m.descriptor);
        st = FT_OK;
        goto out;
    }
    if (p->has_model)
        ft_model_state_clear(&p->model);
    p->model = model;
    p->has_model = true;
    memcpy(p->model_hash, d.model_hash, 32);
    st = begin(p, k, announce, &m, &d);
out:
    ft_ss_down_clear(&m);
    return st;
}

/* Consent has changed since the contribution was made: once more. A change while that was computed leaves no
 * time for a third try: the shop withdraws or, in a task with noise, where dropping out must not depend on
 * data, sends its noise and nobody's data. */
static enum ft_status
contribute_again(struct ft_participant *p, struct known_task *k, uint32_t *code)
{
    const struct ft_participant_world *w = &p->config.world;
    struct ft_work work = { task_of(p), k->hash, &p->session.plan, &p->model, false };
    enum ft_status st;

    drop_words(p);
    ft_log(FT_LOG_INFO, "contribution.again", "reason=consent round=%llu",
           (unsigned long long)p->session.position.round);
    FT_TRY(participant_decide(p, k));
    if (k->decision.verdict != FT_WORD_ACCEPTED) {
        st = FT_ERR_REFUSED;
        goto out;
    }
    FT_TRY(w->contribute(w->ctx, &work, &p->session.words, code));
    if (w->unchanged(w->ctx))
        goto out;
    if (p->session.plan.privacy.on) {
        drop_words(p);
        work.nobody = true;
        st = w->contribute(w->ctx, &work, &p->session.words, code);
    } else {
        st = FT_ERR_LATER;
        *code = FT_REFUSAL_CONSENT_CHANGED;
    }
out:
    return st;
}

/* Deliver is accepted. Consent is read again: who withdrew meanwhile must not be in what is sealed (S-13). */
static enum ft_status
mask(struct ft_participant *p)
{
    struct known_task *k = &p->tasks[p->session.task];
    const uint64_t began = now_of(p);
    uint32_t code = 0;
    enum ft_status st = FT_OK;

    if (p->session.words == NULL)
        return participant_withdraw(p);
    if (!p->config.world.unchanged(p->config.world.ctx)) {
        st = contribute_again(p, k, &code);
        if (st != FT_OK) {
            if (code != 0)
                participant_note(p, k, FT_WORD_LATER, code);
            return participant_withdraw(p);
        }
    }
    uint64_t *words = p->session.words;
    p->session.words = NULL; /* it changes hands whatever the outcome */
    st = ft_ss_client_mask(p->session.client, words, (size_t)p->session.plan.codec.words);
    if (st != FT_OK)
        (void)!participant_withdraw(p);
    else if (p->session.plan.privacy.on) /* whether somebody's consent changed must not be seen either */
        participant_rest(p, slot_left(k, now_of(p) - began, k->task.step_ms), MODE_UPLOAD);
    else
        p->mode = MODE_UPLOAD;
    return st;
}

static enum ft_status
finished(struct ft_participant *p)
{
    struct ft_vault_store *store = p->config.world.store;
    struct ft_ss_previous previous = p->session.facts.previous;
    const struct ft_ss_descriptor *d = ft_ss_client_descriptor(p->session.client);
    uint8_t t3[32];

    previous.any = previous.result_known = true;
    previous.round = p->session.position.round;
    memcpy(previous.model_hash, p->session.facts.model_hash, 32);
    if (d != NULL)
        memcpy(previous.lineage_hash, d->lineage_hash, 32);
    enum ft_status st = FT_OK;
    if (ft_ss_client_result(p->session.client, t3, previous.result_hash))
        st = store->calls->previous_put(store, p->session.position.task_hash, &previous);
    p->status.rounds_done++;
    if (p->session.plan.stage == FT_STAGE_EVALUATE || p->tasks[p->session.task].task.kind == FT_TASK_STATISTICS) {
        p->status.finished = true;
        if (p->session.plan.privacy.on && p->config.world.task_over != NULL)
            p->config.world.task_over(p->config.world.ctx, p->session.position.task_hash);
    }
    ft_log(FT_LOG_INFO, "session.done", "round=%llu stage=%d", (unsigned long long)previous.round,
           (int)p->session.plan.stage);
    participant_session_close(p);
    return st;
}

enum ft_status
participant_message(struct ft_participant *p, struct ft_bytes message)
{
    struct ft_ss_down m;
    struct ft_buf answer = { 0 };
    enum ft_ss_action action = FT_SS_IGNORED;
    enum ft_status st = ft_ss_down_decode(message, &m);

    if (st == FT_ERR_NOMEM)
        return st;
    if (st != FT_OK || (m.kind != FT_SS_DOWN_ANNOUNCE && !p->session.open)) {
        ft_log(FT_LOG_WARN, "session.ignored", "reason=%s", st != FT_OK ? "malformed" : "no session");
        if (st == FT_OK)
            ft_ss_down_clear(&m);
        participant_stumble(p);
        return FT_OK;
    }
    if (m.kind == FT_SS_DOWN_ANNOUNCE) {
        st = announced(p, message, &m);
        ft_ss_down_clear(&m);
        return st;
    }
    ft_ss_down_clear(&m);
    st = ft_ss_client_handle(p->session.client, message, &answer, &action);
    switch (st == FT_OK ? action : FT_SS_ABORTED) {
    case FT_SS_ANSWER:
        p->stumbles = p->quick_replies = 0;
        answer_with(p, &answer, false);
        break;
    case FT_SS_NEED_INPUT:
        p->stumbles = p->quick_replies = 0;
        st = mask(p);
        break;
    case FT_SS_UPLOAD:
        p->mode = MODE_UPLOAD;
        break;
    case FT_SS_RESULT:
        st = finished(p);
        break;
    case FT_SS_ENDED:
        ft_log(FT_LOG_INFO, "session.ended", "round=%llu code=%u reason=%s",
               (unsigned long long)p->session.position.round,
               (unsigned)ft_ss_client_end_code(p->session.client),
               ft_ss_end_text(ft_ss_client_end_code(p->session.client)));
        p->status.rounds_ended++;
        participant_session_close(p);
        break;
    case FT_SS_ABORTED:
        left(p, &answer);
        break;
    case FT_SS_IGNORED:
        participant_stumble(p);
        break;
    }
    ft_buf_clear(&answer);
    return st;
}

enum ft_status
participant_uploaded(struct ft_participant *p, const struct ft_fed_upload_reply *reply)
{
    if (!p->session.open)
        return FT_OK;
    switch (reply->kind) {
    case FT_FED_UPLOAD_DONE:
        ft_ss_client_uploaded(p->session.client);
        return FT_OK;
    case FT_FED_UPLOAD_RETRY:
        participant_rest(p, reply->retry_ms, MODE_UPLOAD);
        return FT_OK;
    case FT_FED_UPLOAD_REJECTED:
        ft_log(FT_LOG_WARN, "upload.rejected", "round=%llu code=%u",
               (unsigned long long)p->session.position.round, reply->code);
        return participant_withdraw(p);
    default:
        participant_stumble(p);
        return FT_OK;
    }
}
