#include "client/vault/participant_internal.h"

#include "common/base/alloc.h"
#include "common/base/log.h"

#include <sodium.h>
#include <string.h>

#define WAIT_DEFAULT_MS   20000u
#define WAIT_PENDING_MS   2000u /* while a person's word is awaited: look often */
#define REST_MAX_MS       60000u
#define STUMBLE_FIRST_MS  100u
#define QUICK_REPLY_MS    50u
#define QUICK_REPLIES_MAX 8u
#define STUMBLE_MAX_MS    5000u
#define FETCH_KEEP_MAX    ((size_t)4 << 20)
#define REFUSED_REST_MS                                                                                      \
    10000u /* the aggregator does not serve this shop: suspended, revoked, or not yet known */

void
participant_rest(struct ft_participant *p, uint32_t ms, enum mode then)
{
    p->rest_ms = ms < REST_MAX_MS ? ms : REST_MAX_MS;
    p->mode = MODE_REST;
    p->after_rest = then;
}

void
participant_stumble(struct ft_participant *p)
{
    uint32_t ms = STUMBLE_FIRST_MS;
    for (uint32_t i = 0; i < p->stumbles && ms < STUMBLE_MAX_MS; i++)
        ms *= 2;
    if (p->stumbles < 16)
        p->stumbles++;
    participant_rest(p, ms < STUMBLE_MAX_MS ? ms : STUMBLE_MAX_MS, MODE_SYNC);
}

enum ft_status
ft_participant_open(const struct ft_participant_config *config, struct ft_participant **out,
                    struct ft_error *err)
{
    enum ft_status st;
    struct ft_participant *p = ft_calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL)
        return FT_ERR_NOMEM;
    p->config = *config;
    if (p->config.wait_ms == 0)
        p->config.wait_ms = WAIT_DEFAULT_MS;
    p->xsk = ft_secret_alloc(32);
    if (p->xsk == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    crypto_sign_ed25519_sk_to_pk(p->identity_pk, config->identity_sk);
    p->mode = MODE_SYNC;
    FT_TRY(participant_roster_restore(p, err));
    FT_TRY(config->world.store->calls->approvals_changed(config->world.store, &p->approvals));
    if (participant_tasks_restore(p) != FT_OK) /* what was not restored is fetched again when it is offered */
        ft_log(FT_LOG_WARN, "store.failed", "what=tasks");
    *out = p;
    p = NULL;
out:
    ft_participant_close(p);
    return st;
}

void
ft_participant_close(struct ft_participant *p)
{
    if (p == NULL)
        return;
    participant_session_close(p);
    participant_directory_close(p);
    for (size_t i = 0; i < FT_PARTICIPANT_TASKS_MAX; i++)
        if (p->tasks[i].used && p->tasks[i].valid)
            ft_task_clear(&p->tasks[i].task);
    if (p->has_model)
        ft_model_state_clear(&p->model);
    ft_secret_free(p->xsk);
    ft_buf_clear(&p->announce);
    ft_buf_clear(&p->fetch.bytes);
    ft_buf_clear(&p->request);
    ft_buf_clear(&p->answer);
    ft_free(p);
}

/* The SYNC to send: where the shop stands, what it was asked for, and the answer that has had no reply yet.
 */
static enum ft_status
make_sync(struct ft_participant *p, struct ft_out *action)
{
    uint8_t key[FT_SS_EPOCH_KEY_SIZE];
    struct ft_fed_verdict verdicts[FT_PARTICIPANT_TASKS_MAX];
    struct ft_fed_sync s = { .roster_serial = p->roster_serial,
                             .verdicts = verdicts,
                             .wait_ms = p->config.wait_ms };

    p->asked_ms = now_of(p);
    /* Within a session nothing would follow from it, and the database is asked each time. */
    if (!participant_live(p) && participant_decide_due(p) != FT_OK)
        ft_log(FT_LOG_WARN, "store.failed", "what=approvals");
    if (p->has_epoch)
        s.epoch = p->key.epoch;
    if (p->view != NULL)
        memcpy(s.directory_root, p->view->root, 32);
    if (p->has_epoch && p->send_key) {
        ft_ss_epoch_key_encode(&p->key, key);
        s.epoch_key = FT_BYTES(key, sizeof key);
    }
    for (size_t i = 0; i < FT_PARTICIPANT_TASKS_MAX; i++) {
        const struct known_task *k = &p->tasks[i];
        if (k->used && k->decided && k->decision.verdict == FT_WORD_WAITING && s.wait_ms > WAIT_PENDING_MS)
            s.wait_ms = WAIT_PENDING_MS;
        s.tell_the_end = s.tell_the_end || (k->used && p->config.until_done);
        if (!k->used || !k->report || s.verdict_count == FT_FED_VERDICTS_MAX)
            continue;
        struct ft_fed_verdict *v = &verdicts[s.verdict_count++];
        *v = (struct ft_fed_verdict){ .verdict = k->decision.verdict };
        memcpy(v->task_hash, k->hash, 32);
        for (size_t c = 0; c < k->decision.code_count && c < FT_FED_CODES_MAX; c++)
            v->codes[v->code_count++] = k->decision.codes[c];
    }
    if (p->answer_own_position)
        s.position = p->answer_position;
    else if (p->session.open)
        ft_ss_client_position(p->session.client, &s.position);
    s.answer = ft_buf_bytes(&p->answer);
    s.has_ledger_head =
        p->config.world.ledger_head != NULL && p->config.world.ledger_head(p->config.world.ctx, s.ledger_head);
    /* What the aggregator must learn now is not to be held back by a wait of its own; it may still hold the
     * next. */
    p->request.size = 0;
    const enum ft_status st = ft_fed_sync_encode(&s, &p->request);
    *action =
        (struct ft_out){ .kind = FT_OUT_SYNC, .request = ft_buf_bytes(&p->request), .wait_ms = s.wait_ms };
    return st;
}

enum ft_status
ft_participant_next(struct ft_participant *p, struct ft_out *action)
{
    struct ft_ss_upload upload;
    enum ft_status st = FT_OK;

    if (p->outstanding)
        return FT_ERR_STATE;
    participant_tick(p);
    if (p->mode == MODE_JOIN) {
        p->mode = MODE_SYNC;
        st = participant_join(p);
        if (st != FT_OK)
            return st;
    }
    if (p->mode == MODE_UPLOAD && (!p->session.open || !ft_ss_client_upload(p->session.client, &upload)))
        p->mode = MODE_SYNC;
    switch (p->mode) {
    case MODE_SYNC:
    case MODE_JOIN:
        st = make_sync(p, action);
        break;
    case MODE_DOWNLOAD:
        *action = (struct ft_out){ .kind = FT_OUT_DOWNLOAD, .offset = p->fetch.bytes.size };
        memcpy(action->hash, p->fetch.hash, 32);
        break;
    case MODE_UPLOAD:
        *action = (struct ft_out){ .kind = FT_OUT_UPLOAD,
                                   .header = upload.header,
                                   .trailer = upload.trailer,
                                   .size = upload.words.size };
        break;
    case MODE_REST:
        *action = (struct ft_out){ .kind = FT_OUT_IDLE, .wait_ms = p->rest_ms };
        break;
    }
    if (st != FT_OK)
        return st;
    action->id = ++p->action_id;
    p->action = action->kind;
    p->outstanding = true;
    return FT_OK;
}

void
participant_fetch(struct ft_participant *p, enum blob what, const uint8_t hash[32], size_t limit)
{
    struct ft_buf bytes = p->fetch.bytes;
    bytes.size = 0;
    p->fetch = (struct fetch){ .what = what, .limit = limit, .bytes = bytes };
    memcpy(p->fetch.hash, hash, 32);
    p->mode = MODE_DOWNLOAD;
}

/* What came has been used, or was not wanted. Room for an ordinary model stays for the next one. */
static void
fetch_done(struct ft_participant *p)
{
    p->fetch.bytes.size = 0;
    if (p->fetch.bytes.capacity > FETCH_KEEP_MAX)
        ft_buf_clear(&p->fetch.bytes);
}

static void
fetch_blob(struct ft_participant *p, const struct ft_fed_reply *r, enum blob what, size_t limit)
{
    participant_fetch(p, what, r->blob_hash, limit);
    memcpy(p->fetch.task_hash, r->task_hash, 32);
}

static enum ft_status
offered_task(struct ft_participant *p, const struct ft_fed_reply *r)
{
    struct known_task *k = NULL;
    const enum ft_status st = participant_load_task(p, r->task_hash, &k);
    if (st != FT_OK)
        return st;
    if (k == NULL) {
        fetch_blob(p, r, BLOB_TASK, FT_TASK_BYTES_MAX + 4096);
        return FT_OK;
    }
    k->report = true; /* it asks again: it has forgotten, or the answer may have changed */
    if (++p->stumbles > 2)
        participant_stumble(p);
    return participant_decide(p, k);
}

/* The aggregator refused what this shop sent: leave, and do not send it again. */
static enum ft_status
rejected(struct ft_participant *p, uint32_t code)
{
    const char *name = ft_refusal_name(code);
    ft_log(FT_LOG_WARN, "sync.rejected", "code=%u name=%s", code, name != NULL ? name : "-");
    participant_stumble(p);
    const enum ft_status st = participant_withdraw(p);
    ft_buf_clear(&p->answer);
    p->answer_own_position = false;
    return st;
}

/* An aggregator that does not hold calls, or has a shop repeat itself, must not keep it busy and its audit
 * log growing: too many quick replies in a row that lead nowhere are rested from. */
static bool
rest_from_quick_replies(struct ft_participant *p)
{
    p->quick_replies = now_of(p) - p->asked_ms < QUICK_REPLY_MS ? p->quick_replies + 1 : 0;
    if (p->quick_replies <= QUICK_REPLIES_MAX)
        return false;
    participant_stumble(p);
    return true;
}

/* An older ledger was put back: out of the session, and every task is answered with that. */
static enum ft_status
rolled_back(struct ft_participant *p)
{
    enum ft_status st = participant_withdraw(p);
    p->rolled_back = true;
    ft_buf_clear(&p->announce);
    for (size_t i = 0; i < FT_PARTICIPANT_TASKS_MAX && st == FT_OK; i++)
        if (p->tasks[i].used && p->tasks[i].valid) {
            st = participant_decide(p, &p->tasks[i]);
            p->tasks[i].report = true;
        }
    return st;
}

static enum ft_status
replied(struct ft_participant *p, struct ft_bytes bytes)
{
    struct ft_fed_reply r;
    enum ft_status st = ft_fed_reply_decode(bytes, &r);
    if (st == FT_ERR_NOMEM)
        return st;
    if (st != FT_OK) {
        ft_log(FT_LOG_WARN, "reply.malformed", "size=%llu", (unsigned long long)bytes.size);
        participant_stumble(p);
        return FT_OK;
    }
    if (r.kind != FT_FED_RETRY) { /* what was sent has arrived */
        ft_buf_clear(&p->answer);
        p->answer_own_position = false;
        for (size_t i = 0; i < FT_PARTICIPANT_TASKS_MAX; i++)
            p->tasks[i].report = false;
        if (r.kind != FT_FED_EPOCH)
            p->send_key = false;
    }
    if (p->rolled_back) {
        p->status.rolled_back |= r.kind != FT_FED_RETRY; /* the verdicts have arrived */
        participant_rest(p, REST_MAX_MS, MODE_SYNC);
    } else if (r.has_ledger_head && p->config.world.ledger_seen != NULL)
        st = p->config.world.ledger_seen(p->config.world.ctx, r.ledger_head);
    if (st == FT_ERR_VERIFY)
        st = rolled_back(p);
    if (st != FT_OK || p->rolled_back) {
        ft_fed_reply_clear(&r);
        return st;
    }
    switch (r.kind) {
    case FT_FED_WAIT:
        if (!rest_from_quick_replies(p))
            p->stumbles = 0;
        if (r.nothing_left) {
            p->status.finished = true;
            participant_rest(p, 1000, MODE_SYNC);
        }
        break;
    case FT_FED_EPOCH:
        st = participant_epoch(p, &r);
        if (p->mode == MODE_SYNC)
            (void)rest_from_quick_replies(p);
        break;
    case FT_FED_DIRECTORY:
        if (p->view != NULL && memcmp(p->view->blob_hash, r.blob_hash, 32) == 0)
            participant_stumble(p);
        else
            fetch_blob(p, &r, BLOB_DIRECTORY, FT_PARTICIPANT_DIRECTORY_MAX);
        break;
    case FT_FED_TASK:
        st = offered_task(p, &r);
        break;
    case FT_FED_SESSION:
        st = participant_message(p, r.message);
        break;
    case FT_FED_REJECTED:
        st = rejected(p, r.code);
        break;
    case FT_FED_RETRY:
        if (r.retry_ms >= QUICK_REPLY_MS || !rest_from_quick_replies(p))
            participant_rest(p, r.retry_ms > 10 ? r.retry_ms : 10, MODE_SYNC);
        break;
    }
    ft_fed_reply_clear(&r);
    return st;
}

/* The blob is complete: it must be what was named. */
static enum ft_status
fetched(struct ft_participant *p)
{
    uint8_t hash[32];
    const struct ft_bytes blob = ft_buf_bytes(&p->fetch.bytes);
    enum ft_status st = FT_OK;
    p->mode = MODE_SYNC;
    if (p->fetch.what == BLOB_MODEL)
        FT_TRY(ft_model_blob_hash(blob, hash));
    else
        ft_blob_hash(blob, hash);
    if (memcmp(hash, p->fetch.hash, 32) != 0) {
        ft_log(FT_LOG_ERROR, "blob.differs", "what=%d", (int)p->fetch.what);
        participant_stumble(p);
    } else if (p->fetch.what == BLOB_DIRECTORY) {
        st = participant_directory(p, blob);
    } else if (p->fetch.what == BLOB_TASK) {
        st = participant_task(p, p->fetch.task_hash, blob);
    } else {
        st = participant_model(p, blob);
    }
out:
    fetch_done(p);
    return st;
}

static enum ft_status
take_chunk(struct ft_participant *p, const struct ft_in *in, bool *over)
{
    struct fetch *f = &p->fetch;
    if (in->offset != f->bytes.size || (f->bytes.size > 0 && in->total != f->total))
        return FT_ERR_FORMAT;
    if (in->total > f->limit) { /* the aggregator's fault, not the courier's */
        ft_log(FT_LOG_WARN, "blob.too_large", "total=%llu", (unsigned long long)in->total);
        fetch_done(p);
        participant_stumble(p);
        *over = true;
        return FT_OK;
    }
    f->total = in->total;
    if (f->bytes.capacity < f->total) {
        const enum ft_status st = ft_buf_reserve(&f->bytes, (size_t)f->total - f->bytes.size);
        if (st != FT_OK)
            return st;
    }
    const enum ft_status st = ft_buf_append(&f->bytes, in->data.data, in->data.size);
    if (st != FT_OK || f->bytes.size < f->total)
        return st;
    *over = true;
    return fetched(p);
}

static enum ft_status
take_want(struct ft_participant *p, const struct ft_in *in, struct ft_out *reply, bool *over)
{
    struct ft_ss_upload upload;
    participant_tick(p);
    if (!p->session.open || !ft_ss_client_upload(p->session.client, &upload)) {
        p->mode = MODE_SYNC; /* the session is over: another action instead of DATA ends the upload */
        *over = true;
        return FT_OK;
    }
    if (in->offset >= upload.words.size || in->size > upload.words.size - in->offset)
        return FT_ERR_FORMAT;
    *reply = (struct ft_out){ .kind = FT_OUT_DATA,
                              .id = p->action_id,
                              .offset = in->offset,
                              .data = FT_BYTES(upload.words.data + in->offset, in->size) };
    return FT_OK;
}

static void
take_failure(struct ft_participant *p, enum ft_status why)
{
    ft_log(why == FT_ERR_NOTFOUND ? FT_LOG_INFO : FT_LOG_WARN, "action.failed", "action=%s status=%s",
           ft_out_kind_name(p->action), ft_status_name(why));
    if (p->action == FT_OUT_DOWNLOAD)
        fetch_done(p);
    if (why == FT_ERR_REFUSED)
        participant_rest(p, REFUSED_REST_MS, MODE_SYNC);
    else
        participant_stumble(p);
    /* An upload that cannot be done: the aggregator says with the next SYNC whether it still waits for it. */
}

static enum ft_status
take(struct ft_participant *p, const struct ft_in *in, struct ft_out *reply, bool *over)
{
    struct ft_fed_upload_reply uploaded;
    static const enum ft_out_kind of_action[] = {
        [FT_IN_REPLY] = FT_OUT_SYNC,      [FT_IN_CHUNK] = FT_OUT_DOWNLOAD, [FT_IN_WANT] = FT_OUT_UPLOAD,
        [FT_IN_UPLOADED] = FT_OUT_UPLOAD, [FT_IN_RESTED] = FT_OUT_IDLE,
    };
    if (in->kind == FT_IN_FAILED) {
        *over = true;
        p->mode = MODE_SYNC;
        take_failure(p, in->status);
        return FT_OK;
    }
    if (in->kind < FT_IN_REPLY || in->kind > FT_IN_RESTED || of_action[in->kind] != p->action)
        return FT_ERR_FORMAT;
    switch (in->kind) {
    case FT_IN_REPLY:
        *over = true;
        p->mode = MODE_SYNC;
        return replied(p, in->reply);
    case FT_IN_CHUNK:
        return take_chunk(p, in, over);
    case FT_IN_WANT:
        return take_want(p, in, reply, over);
    case FT_IN_UPLOADED:
        if (ft_fed_upload_reply_decode(in->reply, &uploaded) != FT_OK)
            return FT_ERR_FORMAT;
        *over = true;
        p->mode = MODE_SYNC;
        return participant_uploaded(p, &uploaded);
    default:
        *over = true;
        p->mode = p->after_rest;
        return FT_OK;
    }
}

enum ft_status
ft_participant_take(struct ft_participant *p, const struct ft_in *outcome, struct ft_out *reply, bool *over)
{
    *reply = (struct ft_out){ 0 };
    *over = false;
    if (!p->outstanding || outcome->id != p->action_id)
        return FT_ERR_FORMAT;
    participant_tick(p);
    enum ft_status st = take(p, outcome, reply, over);
    if (st != FT_OK && st != FT_ERR_FORMAT && st != FT_ERR_NOMEM) {
        /* A failure of the store: nothing that depends on it has gone out. Leave the session and try later.
         */
        ft_log(FT_LOG_ERROR, "store.failed", "status=%s", ft_status_name(st));
        participant_session_close(p);
        participant_stumble(p);
        *over = true;
        st = FT_OK;
    }
    if (*over)
        p->outstanding = false;
    return st;
}

void
ft_participant_status(const struct ft_participant *p, struct ft_participant_status *out)
{
    struct ft_ss_position at = { 0 };
    *out = p->status;
    out->enrolled_in_roster = p->id_known;
    out->has_epoch = p->has_epoch;
    out->has_directory = p->view != NULL;
    out->in_session = participant_live(p);
    out->roster_serial = p->roster_serial;
    out->id = p->id;
    out->epoch = p->has_epoch ? p->key.epoch : 0;
    if (p->session.open)
        ft_ss_client_position(p->session.client, &at);
    out->session_step = at.step;
    out->session_round = at.round;
}
