#include "common/base/alloc.h"
#include "common/base/plant.h"
#include "common/secure_sum/client_internal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "masked words are sent as they lie in memory");

enum ft_status
ft_ss_client_open(const struct ft_ss_client_config *config, struct ft_ss_client **out)
{
    struct ft_ss_client *c;

    *out = NULL;
    if (config->env == NULL || config->directory == NULL || config->pairs == NULL ||
        config->identity_sk == NULL || config->journal == NULL ||
        config->id >= config->directory->roster->count)
        return FT_ERR_ARGUMENT;
    c = ft_calloc(1, sizeof *c);
    if (c == NULL)
        return FT_ERR_NOMEM;
    c->identity_sk = ft_secret_alloc(FT_SS_SK_SIZE);
    if (c->identity_sk == NULL) {
        ft_free(c);
        return FT_ERR_NOMEM;
    }
    c->config = *config;
    memcpy(c->identity_sk, config->identity_sk, FT_SS_SK_SIZE);
    c->config.identity_sk = c->identity_sk;
    c->universe = config->directory->roster->count;
    ft_ss_directory_root(config->directory, c->root);
    *out = c;
    return FT_OK;
}

/* Unmasked if masking failed half-way. */
static void
free_words(struct ft_ss_client *c)
{
    if (c->words == NULL)
        return;
    sodium_memzero(c->words, c->word_count * sizeof *c->words);
    ft_big_free(c->words, c->word_count * sizeof *c->words);
    c->words = NULL;
}

void
client_wipe(struct ft_ss_client *c)
{
    ft_secret_free(c->secret);
    ft_secret_free(c->edges);
    ft_secret_free(c->held);
    c->secret = NULL;
    c->edges = NULL;
    c->held = NULL;
    c->edge_count = c->held_count = 0;
    free_words(c);
    ft_free(c->u1);
    ft_free(c->s);
    ft_free(c->u3);
    c->u1 = c->s = c->u3 = NULL;
    ft_buf_clear(&c->header);
    ft_buf_clear(&c->trailer);
    for (size_t i = 0; i <= FT_SS_STEP_REPAIR; i++) {
        ft_buf_clear(&c->exchange[i].message);
        ft_buf_clear(&c->exchange[i].answer);
    }
    sodium_memzero(c->nu, sizeof c->nu);
    c->awaiting_input = c->uploaded = c->spent = false;
    c->step = FT_SS_STEP_NONE;
}

void
ft_ss_client_close(struct ft_ss_client *c)
{
    if (c == NULL)
        return;
    client_wipe(c);
    ft_buf_clear(&c->evidence[0]);
    ft_buf_clear(&c->evidence[1]);
    ft_secret_free(c->identity_sk);
    ft_free(c);
}

static bool
live(const struct ft_ss_client *c)
{
    return c->state != FT_SS_CLIENT_IDLE && c->state != FT_SS_CLIENT_ABORTED;
}

enum ft_status
client_journal(struct ft_ss_client *c, enum ft_ss_step step)
{
    struct ft_ss_journal_record record = {
        .round = c->descriptor.round, .attempt = c->descriptor.attempt, .step = step, .spent = c->spent
    };
    memcpy(record.task_hash, c->descriptor.task_hash, sizeof record.task_hash);
    for (unsigned i = 0; i < c->t_known; i++)
        memcpy(record.t[i], c->t[i], 32);
    if (memcmp(c->own_task, record.task_hash, sizeof c->own_task) != 0) {
        memcpy(c->own_task, record.task_hash, sizeof c->own_task);
        c->own_journal = (struct ft_ss_journal_view){ 0 };
    }
    ft_ss_journal_fold(&c->own_journal, &record); /* even if the disk says no: what it kept is unknown */
    return c->config.journal(c->config.journal_ctx, &record);
}

enum ft_status
client_seal(const struct ft_ss_client *c, struct ft_ss_up *up, const uint8_t t[32], struct ft_buf *out)
{
    memcpy(up->t0, c->t[0], sizeof up->t0);
    up->id = c->config.id;
    ft_ss_up_sign(up, t, c->identity_sk);
    return ft_ss_up_encode(up, out);
}

enum ft_status
client_keep(const struct ft_ss_client *c, uint8_t **out, struct ft_bytes map)
{
    ft_free(*out);
    *out = ft_calloc(1, ft_ss_bitmap_size(c->universe));
    if (*out == NULL)
        return FT_ERR_NOMEM;
    memcpy(*out, map.data, ft_ss_bitmap_size(c->universe));
    return FT_OK;
}

void
client_abort(struct ft_ss_client *c, enum ft_ss_abort code, struct ft_buf *answer)
{
    struct ft_ss_up up = { .kind = FT_SS_UP_ABORT, .step = (uint32_t)c->step, .code = (uint32_t)code };

    ft_buf_clear(answer);
    if (client_seal(c, &up, c->t[0], answer) != FT_OK)
        ft_buf_clear(answer); /* the aggregator finds out at its deadline */
    client_wipe(c);
    c->state = FT_SS_CLIENT_ABORTED;
    c->abort_code = code;
}

static void
leave(struct ft_ss_client *c, enum ft_ss_abort code, struct ft_buf *answer, enum ft_ss_action *action)
{
    client_abort(c, code, answer);
    *action = FT_SS_ABORTED;
}

/* Keep both messages of an equivocation; a failure to copy costs the evidence, not the abort. */
static void
keep_evidence(struct ft_ss_client *c, struct ft_bytes first, struct ft_bytes second)
{
    ft_buf_clear(&c->evidence[0]);
    ft_buf_clear(&c->evidence[1]);
    if (ft_buf_append(&c->evidence[0], first.data, first.size) != FT_OK ||
        ft_buf_append(&c->evidence[1], second.data, second.size) != FT_OK) {
        ft_buf_clear(&c->evidence[0]);
        ft_buf_clear(&c->evidence[1]);
    }
}

static bool
equal_bytes(const struct ft_buf *kept, struct ft_bytes message)
{
    return kept->size == message.size && memcmp(kept->data, message.data, message.size) == 0;
}

/* A message for a step already taken: the stored answer, or equivocation. */
static enum ft_status
again(struct ft_ss_client *c, enum ft_ss_step step, struct ft_bytes message, struct ft_buf *answer,
      enum ft_ss_action *action)
{
    const struct client_exchange *x = &c->exchange[step];

    if (!equal_bytes(&x->message, message)) {
        keep_evidence(c, ft_buf_bytes(&x->message), message);
        leave(c, FT_SS_ABORT_EQUIVOCATION, answer, action);
        return FT_OK;
    }
    if (step == FT_SS_STEP_MASKED) {
        *action = c->awaiting_input ? FT_SS_NEED_INPUT : FT_SS_UPLOAD;
        return FT_OK;
    }
    *action = FT_SS_ANSWER;
    return ft_buf_append(answer, x->answer.data, x->answer.size);
}

/* Remember what was accepted and answered, for resends. */
static enum ft_status
settle(struct ft_ss_client *c, enum ft_ss_step step, struct ft_bytes message, const struct ft_buf *answer)
{
    struct client_exchange *x = &c->exchange[step];
    enum ft_status st = ft_buf_append(&x->message, message.data, message.size);
    if (st == FT_OK && answer != NULL) {
        st = ft_buf_append(&x->answer, answer->data, answer->size);
        c->step = step;
    }
    return st;
}

/* The announcement of this session again, or another one for the same round and attempt, which is
 * equivocation. Another session's does not disturb this one. */
static enum ft_status
announce_while_live(struct ft_ss_client *c, const struct ft_ss_down *m, struct ft_bytes announce,
                    struct ft_buf *answer, enum ft_ss_action *action)
{
    struct ft_ss_descriptor d;
    uint8_t t0[32];

    if (equal_bytes(&c->exchange[FT_SS_STEP_JOIN].message, announce))
        return again(c, FT_SS_STEP_JOIN, announce, answer, action);
    ft_ss_derive_t0(t0, m->descriptor);
    c->abort_code = FT_SS_ABORT_SESSION_LIVE;
    if (ft_ss_view_verify(m->signature, t0, c->config.aggregator_pk) &&
        ft_ss_descriptor_decode(m->descriptor, &d, NULL) == FT_OK &&
        memcmp(d.task_hash, c->descriptor.task_hash, 32) == 0 && d.round == c->descriptor.round &&
        d.attempt == c->descriptor.attempt)
        return again(c, FT_SS_STEP_JOIN, announce, answer, action);
    return FT_OK;
}

enum ft_status
ft_ss_client_join(struct ft_ss_client *c, struct ft_bytes announce, const struct ft_ss_facts *facts,
                  struct ft_buf *answer, enum ft_ss_action *action)
{
    struct ft_ss_down m = { 0 };
    struct ft_ss_descriptor d = { 0 };
    struct ft_ss_codec codec;
    struct ft_ss_up up = { .kind = FT_SS_UP_JOIN };
    enum ft_ss_abort code;
    enum ft_status st;
    uint64_t wall;
    uint8_t t0[32];

    ft_buf_clear(answer);
    *action = FT_SS_IGNORED;
    (void)ft_ss_client_tick(c); /* a session past its deadline is no longer live */
    st = ft_ss_down_decode(announce, &m);
    if (st == FT_ERR_NOMEM)
        return st;
    if (st != FT_OK || m.kind != FT_SS_DOWN_ANNOUNCE) {
        ft_ss_down_clear(&m);
        return FT_OK; /* nothing in it to answer to */
    }
    if (live(c)) {
        st = announce_while_live(c, &m, announce, answer, action);
        ft_ss_down_clear(&m);
        return st;
    }
    ft_ss_derive_t0(t0, m.descriptor);
    code = ft_ss_view_verify(m.signature, t0, c->config.aggregator_pk) ? FT_SS_ABORT_NONE
                                                                       : FT_SS_ABORT_VIEW_SIGNATURE;
    if (code == FT_SS_ABORT_NONE)
        code = client_judge(c, m.descriptor, facts, &d, NULL);
    if (code != FT_SS_ABORT_NONE) {
        up = (struct ft_ss_up){ .kind = FT_SS_UP_ABORT, .code = (uint32_t)code, .id = c->config.id };
        memcpy(up.t0, t0, sizeof t0);
        ft_ss_up_sign(&up, t0, c->identity_sk);
        c->abort_code = code;
        *action = FT_SS_ABORTED;
        FT_TRY(ft_ss_up_encode(&up, answer));
        goto out;
    }
    ft_buf_clear(&c->evidence[0]);
    ft_buf_clear(&c->evidence[1]);
    memset(c->t, 0, sizeof c->t);
    c->has_result = false;
    c->end_code = FT_SS_END_NONE;
    c->abort_code = FT_SS_ABORT_NONE;
    c->descriptor = d;
    st = ft_ss_codec_of(&d, &codec, NULL);
    assert(st == FT_OK); /* judged above */
    c->word_count = codec.words;
    wall = c->config.env->wall_ms(c->config.env->ctx);
    c->deadline =
        c->config.env->now_ms(c->config.env->ctx) + (d.deadline_ms > wall ? d.deadline_ms - wall : 0);
    memcpy(c->t[0], t0, sizeof t0);
    c->t_known = 1;
    c->config.env->random(c->config.env->ctx, c->nu, sizeof c->nu);
    memcpy(up.nu, c->nu, sizeof up.nu);
    c->state = FT_SS_CLIENT_JOINED;
    FT_TRY(client_journal(c, FT_SS_STEP_JOIN));
    FT_TRY(client_seal(c, &up, c->t[0], answer));
    FT_TRY(settle(c, FT_SS_STEP_JOIN, announce, answer));
    *action = FT_SS_ANSWER;
out:
    if (st != FT_OK && live(c))
        leave(c, FT_SS_ABORT_LOCAL, answer, action);
    ft_ss_down_clear(&m);
    return st;
}

/* Back to IDLE: nothing secret is left, the transcript stays for the records. */
static void
rest(struct ft_ss_client *c)
{
    client_wipe(c);
    c->state = FT_SS_CLIENT_IDLE;
}

/* Result and Ended, which leave the session. */
static enum ft_ss_abort
conclude(struct ft_ss_client *c, const struct ft_ss_down *m, enum ft_ss_action *action)
{
    if (!ft_ss_down_verify(m, c->config.aggregator_pk))
        return FT_SS_ABORT_REQUEST_SIGNATURE;
    if (m->kind == FT_SS_DOWN_RESULT) {
        memcpy(c->result_hash, m->result_hash, sizeof c->result_hash);
        c->has_result = true;
        *action = FT_SS_RESULT;
    } else {
        c->end_code = (enum ft_ss_end)m->code;
        *action = FT_SS_ENDED;
    }
    rest(c);
    return FT_SS_ABORT_NONE;
}

/* The step a message asks for, or NONE when it is of another session or out of order. */
static enum ft_ss_step
step_of(const struct ft_ss_client *c, const struct ft_ss_down *m)
{
    static const struct {
        enum ft_ss_step step;
        unsigned builds_on; /* index of the T it follows */
        enum ft_ss_client_state at_least;
    } rules[] = {
        [FT_SS_DOWN_COHORT] = { FT_SS_STEP_SHARES, 0, FT_SS_CLIENT_JOINED },
        [FT_SS_DOWN_DELIVER] = { FT_SS_STEP_MASKED, 1, FT_SS_CLIENT_DEALT },
        [FT_SS_DOWN_SURVIVORS] = { FT_SS_STEP_CONFIRM, 2, FT_SS_CLIENT_MASKED },
        [FT_SS_DOWN_CERTIFICATE] = { FT_SS_STEP_UNMASK, 3, FT_SS_CLIENT_CONFIRMED },
        [FT_SS_DOWN_REPAIR] = { FT_SS_STEP_REPAIR, 3, FT_SS_CLIENT_REVEALED },
    };
    if (m->kind < FT_SS_DOWN_COHORT || m->kind > FT_SS_DOWN_REPAIR)
        return FT_SS_STEP_NONE;
    if (c->state < rules[m->kind].at_least || memcmp(c->t[rules[m->kind].builds_on], m->prior, 32) != 0)
        return FT_SS_STEP_NONE;
    return rules[m->kind].step;
}

static enum ft_status
take_step(struct ft_ss_client *c, enum ft_ss_step step, const struct ft_ss_down *m, struct ft_bytes message,
          struct ft_buf *answer, enum ft_ss_abort *code, enum ft_ss_action *action)
{
    enum ft_status st = FT_OK;

    *code = FT_SS_ABORT_NONE;
    switch (step) {
    case FT_SS_STEP_SHARES:
        st = client_deal(c, m, answer, code);
        break;
    case FT_SS_STEP_MASKED:
        st = client_deliver(c, m, code);
        break;
    case FT_SS_STEP_CONFIRM:
        st = client_confirm(c, m, answer, code);
        break;
    case FT_SS_STEP_UNMASK:
        st = client_reveal(c, m, answer, code);
        break;
    case FT_SS_STEP_REPAIR:
        if (!ft_ss_down_verify(m, c->config.aggregator_pk))
            *code = FT_SS_ABORT_REQUEST_SIGNATURE;
        else
            st = client_repair(c, answer);
        break;
    case FT_SS_STEP_NONE:
    case FT_SS_STEP_JOIN:
        assert(!"a step without a message");
    }
    if (st != FT_OK || *code != FT_SS_ABORT_NONE)
        return st;
    *action = step == FT_SS_STEP_MASKED ? FT_SS_NEED_INPUT : FT_SS_ANSWER;
    return settle(c, step, message, step == FT_SS_STEP_MASKED ? NULL : answer);
}

enum ft_status
ft_ss_client_handle(struct ft_ss_client *c, struct ft_bytes message, struct ft_buf *answer,
                    enum ft_ss_action *action)
{
    struct ft_ss_down m = { 0 };
    enum ft_ss_abort code = FT_SS_ABORT_NONE;
    enum ft_ss_step step;
    enum ft_status st;

    ft_buf_clear(answer);
    *action = ft_ss_client_tick(c);
    if (!live(c))
        return FT_OK;
    st = ft_ss_down_decode(message, &m);
    if (st == FT_ERR_NOMEM)
        goto out;
    if (st != FT_OK) {
        leave(c, FT_SS_ABORT_MALFORMED, answer, action);
        return FT_OK;
    }
    step = step_of(c, &m);
    if (m.kind == FT_SS_DOWN_ANNOUNCE)
        st = announce_while_live(c, &m, message, answer, action);
    else if (m.kind == FT_SS_DOWN_ENDED && memcmp(m.task_hash, c->descriptor.task_hash, 32) == 0 &&
             m.round == c->descriptor.round && m.attempt == c->descriptor.attempt)
        code = conclude(c, &m, action);
    else if (m.kind == FT_SS_DOWN_RESULT && c->state >= FT_SS_CLIENT_CONFIRMED &&
             memcmp(m.prior, c->t[3], 32) == 0)
        code = conclude(c, &m, action);
    else if (step == FT_SS_STEP_NONE)
        code = FT_SS_ABORT_NONE;
    else if (step == FT_SS_STEP_UNMASK && c->state == FT_SS_CLIENT_REVEALED) {
        /* A certificate proves one T3 whichever signatures it holds: once is enough. */
        *action = FT_SS_ANSWER;
        st = ft_buf_append(answer, c->exchange[step].answer.data, c->exchange[step].answer.size);
    } else if (c->exchange[step].message.size > 0)
        st = again(c, step, message, answer, action);
    else
        st = take_step(c, step, &m, message, answer, &code, action);
out:
    ft_ss_down_clear(&m);
    if (st != FT_OK)
        leave(c, FT_SS_ABORT_LOCAL, answer, action);
    else if (code != FT_SS_ABORT_NONE)
        leave(c, code, answer, action);
    return st;
}

bool
ft_ss_client_upload(const struct ft_ss_client *c, struct ft_ss_upload *out)
{
    *out = (struct ft_ss_upload){ 0 };
    if (c->trailer.size == 0 || c->words == NULL)
        return false;
    if (FT_PLANT(RESEND_DIFFERS))
        c->words[c->word_count - 1] += (uint64_t)1 << 40;
    out->header = ft_buf_bytes(&c->header);
    out->words = FT_BYTES(c->words, c->word_count * sizeof *c->words);
    out->trailer = ft_buf_bytes(&c->trailer);
    return true;
}

void
ft_ss_client_uploaded(struct ft_ss_client *c)
{
    if (c->state == FT_SS_CLIENT_MASKED) {
        c->uploaded = true;
        c->step = FT_SS_STEP_MASKED;
    }
}

void
ft_ss_client_drop_upload(struct ft_ss_client *c)
{
    if (c->uploaded)
        free_words(c);
}

enum ft_status
ft_ss_client_cancel(struct ft_ss_client *c, struct ft_buf *answer)
{
    ft_buf_clear(answer);
    if (live(c))
        client_abort(c, FT_SS_ABORT_CANCELLED, answer);
    return FT_OK;
}

enum ft_ss_action
ft_ss_client_tick(struct ft_ss_client *c)
{
    const bool revealed = c->state == FT_SS_CLIENT_REVEALED;
    if (!live(c) || c->config.env->now_ms(c->config.env->ctx) < c->deadline)
        return FT_SS_IGNORED;
    rest(c);
    if (revealed) { /* gave all it had to give; only the result is unknown */
        c->end_code = FT_SS_END_OVER;
        return FT_SS_ENDED;
    }
    c->state = FT_SS_CLIENT_ABORTED;
    c->abort_code = FT_SS_ABORT_DEADLINE;
    return FT_SS_ABORTED;
}

enum ft_ss_client_state
ft_ss_client_state(const struct ft_ss_client *c)
{
    return c->state;
}

enum ft_ss_abort
ft_ss_client_abort_code(const struct ft_ss_client *c)
{
    return c->abort_code;
}

enum ft_ss_end
ft_ss_client_end_code(const struct ft_ss_client *c)
{
    return c->end_code;
}

void
ft_ss_client_position(const struct ft_ss_client *c, struct ft_ss_position *out)
{
    static const unsigned transcript_of[] = { 0, 0, 1, 2, 3, 3, 3 };
    *out = (struct ft_ss_position){ 0 };
    if (!live(c))
        return;
    memcpy(out->task_hash, c->descriptor.task_hash, sizeof out->task_hash);
    out->round = c->descriptor.round;
    out->attempt = c->descriptor.attempt;
    out->step = (uint32_t)c->step;
    memcpy(out->transcript, c->t[transcript_of[c->step]], sizeof out->transcript);
}

const struct ft_ss_descriptor *
ft_ss_client_descriptor(const struct ft_ss_client *c)
{
    return live(c) ? &c->descriptor : NULL;
}

void
ft_ss_client_transcript(const struct ft_ss_client *c, uint8_t t[4][32])
{
    memcpy(t, c->t, sizeof c->t);
}

bool
ft_ss_client_result(const struct ft_ss_client *c, uint8_t t3[32], uint8_t result_hash[32])
{
    if (!c->has_result || c->state != FT_SS_CLIENT_IDLE)
        return false;
    memcpy(t3, c->t[3], 32);
    memcpy(result_hash, c->result_hash, 32);
    return true;
}

bool
ft_ss_client_evidence(const struct ft_ss_client *c, struct ft_bytes *first, struct ft_bytes *second)
{
    *first = ft_buf_bytes(&c->evidence[0]);
    *second = ft_buf_bytes(&c->evidence[1]);
    return c->evidence[0].size > 0;
}

bool
ft_ss_client_audit_opening(const struct ft_ss_client *c, uint8_t r[32])
{
    if (!c->config.audit || c->secret == NULL || c->trailer.size == 0)
        return false;
    memcpy(r, c->secret->audit_r, 32);
    return true;
}
