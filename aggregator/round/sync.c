#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/task/refusal_codes.h"

#include <string.h>

struct ft_engine_call {
    int64_t shop;
    struct ft_sync_request request;
    enum ft_status answer_status; /* what became of the answer */
    bool knew_ledger;             /* before this call */
    uint8_t ledger_head[FT_LEDGER_HEAD_SIZE];
};

uint32_t
engine_refusal_code(enum ft_status st)
{
    switch (st) {
    case FT_ERR_FORMAT:
        return FT_REFUSAL_MESSAGE_MALFORMED;
    case FT_ERR_VERIFY:
        return FT_REFUSAL_MESSAGE_SIGNATURE;
    case FT_ERR_DUPLICATE:
        return FT_REFUSAL_MESSAGE_CONFLICT;
    case FT_ERR_NOTFOUND:
        return FT_REFUSAL_SESSION_UNKNOWN;
    case FT_ERR_STATE:
        return FT_REFUSAL_SESSION_CLOSED;
    default:
        return FT_REFUSAL_INTERNAL;
    }
}

static bool
in_session(const struct ft_ss_position *p)
{
    return p->step != FT_SS_STEP_NONE || p->round != 0;
}

/* The answer to the last step. STATE means it came too late or too early: `next` tells the shop where things
 * stand. */
static enum ft_status
take_answer(struct ft_engine *e, const struct engine_shop *shop, const struct ft_sync_request *r)
{
    struct engine_session *s = e->session;
    enum ft_status st;

    if (r->answer.size == 0 || s == NULL || !shop->listed)
        return FT_OK;
    if (shop->barred && ft_ss_server_phase(s->server) == FT_SS_OPEN)
        return FT_ERR_NOTFOUND; /* whoever told it of the session: it does not join */
    s->bytes_in += r->answer.size;
    st = ft_ss_server_handle(s->server, shop->place, ft_buf_bytes(&r->answer));
    if (st == FT_ERR_STATE || st == FT_OK)
        return FT_OK;
    ft_log(FT_LOG_WARN, "round.answer_refused", "shop=%lld round=%llu step=%u status=%s",
           (long long)shop->row.id, (unsigned long long)s->row.round, r->position.step, ft_status_name(st));
    return st;
}

/* A shop that comes back without its place in the session, or with another key, can not join the open one. */
static void
update_shop(struct ft_engine *e, struct engine_shop *shop, const struct ft_sync_request *r)
{
    shop->seen = true;
    shop->seen_ms = engine_now(e);
    shop->lost = false;
    shop->idle = !in_session(&r->position);
    memcpy(shop->root, r->directory_root, sizeof shop->root);
    if (e->session != NULL && shop->announced && shop->idle &&
        memcmp(shop->root, e->session->directory->root, 32) != 0)
        shop->announced = false;
}

/* Of two verdicts on one task the later one counts. LATER: too many changes; the shop sends them again. */
static enum ft_status
take_verdicts(struct ft_engine *e, struct engine_shop *shop, const struct ft_sync_request *r)
{
    enum ft_status st = FT_OK;

    for (size_t i = 0; i < r->verdict_count && st == FT_OK; i++) {
        bool last = true;
        for (size_t j = i + 1; j < r->verdict_count && last; j++)
            last = memcmp(r->verdicts[i].task_hash, r->verdicts[j].task_hash, 32) != 0;
        if (last)
            st = engine_verdict(e, shop, &r->verdicts[i]);
    }
    return st;
}

enum ft_status
ft_engine_sync_begin(struct ft_engine *e, int64_t number, struct ft_bytes request,
                     struct ft_engine_call **out)
{
    enum ft_status st;
    struct engine_shop *shop = engine_shop(e, number);
    struct ft_engine_call *call;

    *out = NULL;
    if (shop == NULL || shop->row.state != FT_SHOP_ACTIVE)
        return FT_ERR_NOTFOUND;
    call = ft_calloc(1, sizeof *call);
    if (call == NULL)
        return FT_ERR_NOMEM;
    call->shop = number;
    st = ft_sync_request_decode(request, &call->request);
    if (st != FT_OK) {
        ft_free(call);
        return st;
    }
    update_shop(e, shop, &call->request);
    call->knew_ledger = shop->has_ledger_head;
    memcpy(call->ledger_head, shop->ledger_head, sizeof call->ledger_head);
    engine_ledger_seen(e, shop, &call->request);
    shop->calls++;
    if (call->request.has_epoch_key)
        call->answer_status = engine_epoch_key(e, shop, &call->request.epoch_key);
    st = take_verdicts(e, shop, &call->request);
    if (call->answer_status == FT_OK)
        call->answer_status = st;
    if (call->answer_status == FT_OK)
        call->answer_status = take_answer(e, shop, &call->request);
    *out = call;
    return FT_OK;
}

static void
end_call(struct ft_engine *e, struct ft_engine_call *call, bool lost)
{
    struct engine_shop *shop;

    if (call == NULL)
        return;
    shop = engine_shop(e, call->shop);
    if (shop != NULL) {
        shop->calls--;
        shop->seen_ms = engine_now(e);
        shop->lost = lost;
    }
    ft_sync_request_clear(&call->request);
    ft_free(call);
}

void
ft_engine_sync_end(struct ft_engine *e, struct ft_engine_call *call)
{
    end_call(e, call, false);
}

void
ft_engine_sync_lost(struct ft_engine *e, struct ft_engine_call *call)
{
    end_call(e, call, true);
}

uint32_t
ft_engine_sync_wait_ms(const struct ft_engine_call *call)
{
    return call->request.wait_ms < ENGINE_SYNC_WAIT_MAX ? call->request.wait_ms : ENGINE_SYNC_WAIT_MAX;
}

/* Ends a session for a shop whose position nobody holds any more: from what the store says became of it. */
static enum ft_status
end_old_position(struct ft_engine *e, const struct ft_ss_position *position, struct ft_buf *message)
{
    struct ft_round_row row;
    enum ft_status st = e->config.store.round_find(e->config.store.ctx, position->task_hash, position->round,
                                                   position->attempt, &row);

    if (st == FT_OK && row.state == FT_ROUND_COMMITTED && position->step >= FT_SS_STEP_CONFIRM &&
        memcmp(position->transcript, row.transcript, 32) == 0)
        return ft_ss_result_message(e->config.signing_sk, row.transcript, row.result_hash, message);
    if (st != FT_OK && st != FT_ERR_NOTFOUND)
        return st;
    return ft_ss_ended_message(e->config.signing_sk, position,
                               st == FT_OK ? FT_SS_END_OVER : FT_SS_END_UNKNOWN_SESSION, message);
}

/* For a shop that stands in a session. *found is false when it must be left waiting. */
static enum ft_status
session_message(struct ft_engine *e, const struct engine_shop *shop, const struct ft_ss_position *position,
                struct ft_buf *message, bool *found)
{
    enum ft_status st;
    enum ft_ss_next next = FT_SS_NEXT_OTHER;
    struct engine_session *s = NULL;

    if (engine_session_is(e->session, position))
        s = e->session;
    else if (engine_session_is(e->previous, position))
        s = e->previous;
    *found = false;
    if (s != NULL && shop->listed) {
        st = ft_ss_server_next(s->server, shop->place, position, message, &next);
        if (st != FT_OK)
            return st;
    }
    if (next == FT_SS_NEXT_WAIT)
        return FT_OK;
    *found = true;
    return next == FT_SS_NEXT_MESSAGE ? FT_OK : end_old_position(e, position, message);
}

/* The Announce for an idle shop that can take part. */
static enum ft_status
announce(struct ft_engine *e, struct engine_shop *shop, const struct ft_sync_request *r,
         struct ft_buf *message, bool *found)
{
    enum ft_status st;
    enum ft_ss_next next = FT_SS_NEXT_NONE;
    struct engine_session *s = e->session;
    const struct engine_task *task;

    *found = false;
    if (s == NULL || ft_ss_server_phase(s->server) != FT_SS_OPEN)
        return FT_OK;
    task = engine_task(e, s->row.task);
    if (task == NULL || !engine_shop_ready(e, task, shop) || s->directory != e->directory)
        return FT_OK;
    st = ft_ss_server_next(s->server, shop->place, &r->position, message, &next);
    if (st == FT_OK && next == FT_SS_NEXT_MESSAGE) {
        shop->announced = true;
        *found = true;
    }
    return st;
}

/* A task this shop has to say something about. */
static struct engine_task *
task_to_ask(struct ft_engine *e, const struct engine_shop *shop)
{
    const size_t slot = engine_shop_slot(e, shop);
    const uint64_t now = engine_now(e);

    for (size_t i = 0; i < e->task_count; i++) {
        struct engine_task *t = &e->tasks[i];
        const bool waiting = t->verdicts[slot] == FT_VERDICT_WAITING || t->verdicts[slot] == FT_VERDICT_LATER;
        if (t->verdicts[slot] == FT_VERDICT_NONE)
            return t;
        if (waiting && now >= t->asked_ms[slot] + ENGINE_ASK_AGAIN_MS)
            return t;
    }
    return NULL;
}

/* What an idle shop needs before it can be announced a session. */
static bool
prepare(struct ft_engine *e, struct engine_shop *shop, const struct ft_sync_request *r,
        struct ft_sync_reply *reply)
{
    struct engine_task *t;

    if (!shop->listed || !e->building_open)
        return false; /* until the registrar has signed it in */
    reply->shop_index = shop->place;
    if (r->epoch != e->epoch || !ft_ss_directory_has(&e->building, shop->place)) {
        reply->kind = FT_SYNC_EPOCH;
        reply->epoch = e->epoch;
        return true;
    }
    if (engine_key_published(e, shop) && memcmp(r->directory_root, e->directory->root, 32) != 0) {
        reply->kind = FT_SYNC_DIRECTORY;
        reply->epoch = e->epoch;
        reply->blob_hash = e->directory->blob_hash;
        reply->blob_size = e->directory->blob->bytes.size;
        return true;
    }
    t = task_to_ask(e, shop);
    if (t != NULL) {
        t->asked_ms[engine_shop_slot(e, shop)] = engine_now(e);
        reply->kind = FT_SYNC_TASK;
        reply->task_hash = t->row.hash;
        reply->blob_hash = t->signed_hash;
        reply->blob_size = t->blob->bytes.size;
        return true;
    }
    return false;
}

/* Refused answers: those that were wrong for good, and those that our own memory or disk failed. */
static bool
refused(const struct ft_engine_call *call, struct ft_sync_reply *reply)
{
    switch (call->answer_status) {
    case FT_OK:
        return false;
    case FT_ERR_NOMEM:
    case FT_ERR_IO:
    case FT_ERR_FULL:
    case FT_ERR_LATER:
        reply->kind = FT_SYNC_RETRY;
        reply->retry_ms = 1000;
        return true;
    default:
        reply->kind = FT_SYNC_REJECTED;
        reply->code = engine_refusal_code(call->answer_status);
        return true;
    }
}

enum ft_status
ft_engine_sync_poll(struct ft_engine *e, struct ft_engine_call *call, bool last, struct ft_buf *out,
                    bool *ready)
{
    enum ft_status st = FT_OK;
    struct engine_shop *shop = engine_shop(e, call->shop);
    const struct ft_sync_request *r = &call->request;
    struct ft_sync_reply reply = { .kind = FT_SYNC_WAIT };
    struct ft_buf message = { 0 };
    bool found = true;

    *ready = false;
    if (shop == NULL || shop->row.state != FT_SHOP_ACTIVE) {
        reply.kind = FT_SYNC_REJECTED;
        reply.code = FT_REFUSAL_SHOP_SUSPENDED;
    } else if (r->protocol != 1) {
        reply.kind = FT_SYNC_REJECTED;
        reply.code = FT_REFUSAL_PROTOCOL_VERSION;
    } else if (!refused(call, &reply)) {
        if (in_session(&r->position))
            FT_TRY(session_message(e, shop, &r->position, &message, &found));
        else if (!prepare(e, shop, r, &reply))
            FT_TRY(announce(e, shop, r, &message, &found));
        if (message.size > 0) {
            reply.kind = FT_SYNC_SESSION;
            reply.task_hash = in_session(&r->position) ? r->position.task_hash : e->session->row.task;
            reply.message = ft_buf_bytes(&message);
        }
    }
    if (!found && r->tell_the_end && !in_session(&r->position) && !engine_tasks_left(e)) {
        reply.nothing_left = true;
        found = true;
    }
    if (!found && !last)
        goto out;
    if (call->knew_ledger &&
        (!r->has_ledger_head || memcmp(r->ledger_head, call->ledger_head, sizeof call->ledger_head) != 0))
        reply.ledger_head = call->ledger_head;
    FT_TRY(ft_sync_reply_encode(&reply, out));
    ft_engine_sent(e, out->size);
    *ready = true;
out:
    ft_buf_clear(&message);
    return st;
}
