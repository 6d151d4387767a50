/*
 * One call at the server.
 *
 * 1. `lock` guards every field below it; no callback runs and no other lock is taken under it.
 * 2. At most one thread is `dispatching`; it alone runs callbacks. Whoever finishes an operation meanwhile
 * only notes it, and the dispatcher picks it up before it leaves.
 * 3. One batch reads, one sends, one waits for the end: `pending` counts them. The call is closed once the
 * end is seen and nothing is pending; the grpc_call is gone before on_closed's caller lets go of its
 * reference.
 */
#include "common/base/alloc.h"
#include "common/rpc/rpc_internal.h"

#include <assert.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <string.h>

enum { EVENT_OPEN = 1, EVENT_MESSAGE = 2, EVENT_HALF_CLOSE = 4, EVENT_WRITABLE = 8 };

struct ft_rpc_call {
    struct ft_rpc_server *server;
    const struct ft_rpc_method *method; /* NULL: refused */
    struct ft_rpc_peer peer;
    gpr_timespec deadline;
    struct rpc_tag end_tag, read_tag, send_tag;
    atomic_uint references; /* one until closed, and one for each hold */
    _Atomic(void *) user;
    struct rpc_open open; /* its place in the server's list */
    struct ft_buf flat;   /* the dispatcher's: a message that came in pieces */

    pthread_mutex_t lock;
    grpc_call *grpc; /* NULL once closed */
    unsigned pending;
    unsigned events;
    bool dispatching;
    bool engaged;  /* a callback ran, so on_closed is owed */
    bool over;     /* for our user: nothing more can be sent or read */
    bool ended;    /* the end was seen */
    bool shut_out; /* ended by us: revoked, oversize */
    int cancelled;
    bool silent; /* ended for that */
    bool reading;
    uint64_t read_since_ms, send_since_ms;
    bool peer_done; /* the peer sends no more */
    grpc_byte_buffer *received;
    bool sending;
    bool initial_sent;
    grpc_byte_buffer *in_flight;
    grpc_byte_buffer *queue[RPC_WINDOW_MAX];
    uint32_t queue_head, queue_count;
    bool finish_set, finish_started, finish_sent;
    enum ft_rpc_code code;
    char detail[RPC_DETAIL_MAX];
};

static void
release(struct ft_rpc_call *c)
{
    if (atomic_fetch_sub(&c->references, 1) != 1)
        return;
    pthread_mutex_destroy(&c->lock);
    ft_buf_clear(&c->flat);
    ft_free(c);
}

static void
start(struct ft_rpc_call *c, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
    const grpc_call_error error = grpc_call_start_batch(c->grpc, ops, count, tag, NULL);
    assert(error == GRPC_CALL_OK); /* any other is a mistake in this file */
    (void)error;
    c->pending++;
}

static void
start_end(struct ft_rpc_call *c)
{
    grpc_op op = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER };
    op.data.recv_close_on_server.cancelled = &c->cancelled;
    start(c, &op, 1, &c->end_tag);
}

static void
start_read(struct ft_rpc_call *c)
{
    grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };
    op.data.recv_message.recv_message = &c->received;
    c->reading = true;
    c->read_since_ms = rpc_now_ms();
    start(c, &op, 1, &c->read_tag);
}

static void
queue_clear(struct ft_rpc_call *c)
{
    for (; c->queue_count > 0; c->queue_count--) {
        grpc_byte_buffer_destroy(c->queue[c->queue_head]);
        c->queue_head = (c->queue_head + 1) % RPC_WINDOW_MAX;
    }
}

/* Hand the next message, the status, or both to gRPC if it has room. */
static void
pump(struct ft_rpc_call *c)
{
    grpc_op ops[3];
    size_t count = 0;
    grpc_slice detail = grpc_empty_slice();

    if (c->sending || c->ended || c->finish_started || (c->queue_count == 0 && !c->finish_set))
        return;
    memset(ops, 0, sizeof ops);
    if (!c->initial_sent)
        ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
    c->initial_sent = true;
    if (c->queue_count > 0) {
        c->in_flight = c->queue[c->queue_head];
        c->queue_head = (c->queue_head + 1) % RPC_WINDOW_MAX;
        c->queue_count--;
        ops[count].op = GRPC_OP_SEND_MESSAGE;
        ops[count++].data.send_message.send_message = c->in_flight;
    }
    if (c->finish_set && c->queue_count == 0) {
        c->finish_started = true;
        detail = grpc_slice_from_copied_string(c->detail);
        ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
        ops[count].data.send_status_from_server.status = (grpc_status_code)c->code;
        ops[count++].data.send_status_from_server.status_details = &detail;
    }
    c->sending = true;
    c->send_since_ms = rpc_now_ms();
    start(c, ops, count, &c->send_tag);
    grpc_slice_unref(detail);
}

static void
set_finish(struct ft_rpc_call *c, enum ft_rpc_code code, const char *detail)
{
    c->finish_set = true;
    c->code = code;
    snprintf(c->detail, sizeof c->detail, "%s", detail != NULL ? detail : "");
}

/* End the call against its handler's will. */
static void
shut_out(struct ft_rpc_call *c, enum ft_rpc_code code, const char *detail)
{
    c->over = true;
    c->shut_out = true;
    c->events = 0;
    if (c->finish_started || c->ended)
        return;
    queue_clear(c);
    set_finish(c, code, detail);
    pump(c);
}

/* May this peer go on? Asked without the lock. */
static enum ft_rpc_code
still_allowed(struct ft_rpc_call *c)
{
    struct ft_rpc_server *s = c->server;
    if (!c->method->needs_peer)
        return FT_RPC_OK;
    return s->params.authorize(s->params.ctx, &c->peer, c->method->path);
}

static void
deliver_message(struct ft_rpc_call *c)
{
    const struct ft_rpc_method *m = c->method;
    grpc_byte_buffer *message = c->received;
    const size_t limit = m->message_max != 0 ? m->message_max : c->server->params.message_max;
    enum ft_rpc_code code = FT_RPC_OK;
    const char *why = NULL;
    struct ft_bytes view = { NULL, 0 };
    grpc_slice slice = grpc_empty_slice();

    c->received = NULL;
    pthread_mutex_unlock(&c->lock);
    if (m->kind == FT_RPC_BIDI && (code = still_allowed(c)) != FT_RPC_OK) {
        why = "this certificate is not served";
        rpc_server_audit(c->server, FT_RPC_AUDIT_UNAUTHORIZED, &c->peer, m->path, "on an open stream");
    } else if (grpc_byte_buffer_length(message) > limit) {
        code = FT_RPC_RESOURCE_EXHAUSTED;
        why = "the message is above this method's limit";
        rpc_server_audit(c->server, FT_RPC_AUDIT_OVERSIZE, &c->peer, m->path, why);
    } else if (rpc_message_view(message, &slice, &c->flat, &view) != FT_OK) {
        code = FT_RPC_RESOURCE_EXHAUSTED;
        why = "no memory for the message";
    }
    if (code == FT_RPC_OK) {
        pthread_mutex_lock(&c->lock);
        c->engaged = true;
        pthread_mutex_unlock(&c->lock);
        m->on_message(m->ctx, c, view);
    }
    grpc_slice_unref(slice);
    grpc_byte_buffer_destroy(message);
    if (m->kind != FT_RPC_BIDI)
        ft_buf_clear(&c->flat); /* a parked call keeps nothing */
    pthread_mutex_lock(&c->lock);
    if (code != FT_RPC_OK)
        shut_out(c, code, why);
}

static void
deliver_half_close(struct ft_rpc_call *c)
{
    const struct ft_rpc_method *m = c->method;
    if (m->on_half_close == NULL) {
        if (!c->finish_set)
            set_finish(c, FT_RPC_OK, NULL);
        pump(c);
        return;
    }
    c->engaged = true;
    pthread_mutex_unlock(&c->lock);
    m->on_half_close(m->ctx, c);
    pthread_mutex_lock(&c->lock);
}

static void
deliver_writable(struct ft_rpc_call *c)
{
    const struct ft_rpc_method *m = c->method;
    enum ft_rpc_code code;
    pthread_mutex_unlock(&c->lock);
    code = still_allowed(c);
    if (code != FT_RPC_OK)
        rpc_server_audit(c->server, FT_RPC_AUDIT_UNAUTHORIZED, &c->peer, m->path, "on an open stream");
    else if (m->on_writable != NULL)
        m->on_writable(m->ctx, c);
    pthread_mutex_lock(&c->lock);
    if (code != FT_RPC_OK)
        shut_out(c, code, "this certificate is not served");
}

/* The last act; the lock is let go for good. */
static void
close_call(struct ft_rpc_call *c)
{
    const struct ft_rpc_method *m = c->method;
    const bool clean = c->finish_sent && c->cancelled == 0 && !c->shut_out;
    const bool tell = c->engaged && m->on_closed != NULL;
    struct ft_rpc_server *s = c->server;
    grpc_call *grpc = c->grpc;
    const bool known = c->peer.known;

    c->grpc = NULL;
    if (c->received != NULL)
        grpc_byte_buffer_destroy(c->received);
    c->received = NULL;
    queue_clear(c);
    pthread_mutex_unlock(&c->lock);
    if (tell)
        m->on_closed(m->ctx, c, clean);
    grpc_call_unref(grpc);
    rpc_server_call_unlisted(s, &c->open);
    release(c);
    rpc_server_call_closed(s, known); /* after this the server may be gone */
}

/* Run the callbacks that are due, in order; called and left with the lock held, unless the call closes: then
 * `c` is gone and the lock with it. */
static void
dispatch_and_unlock(struct ft_rpc_call *c)
{
    if (c->dispatching) {
        pthread_mutex_unlock(&c->lock);
        return;
    }
    c->dispatching = true;
    for (;;) {
        const unsigned due = c->over || c->finish_set ? 0 : c->events; /* after that, only the end is told */
        if (due & EVENT_OPEN) {
            c->events &= ~(unsigned)EVENT_OPEN;
            c->engaged = true;
            pthread_mutex_unlock(&c->lock);
            c->method->on_open(c->method->ctx, c);
            pthread_mutex_lock(&c->lock);
        } else if (due & EVENT_WRITABLE) {
            c->events &= ~(unsigned)EVENT_WRITABLE;
            deliver_writable(c);
        } else if (due & EVENT_MESSAGE) {
            c->events &= ~(unsigned)EVENT_MESSAGE;
            deliver_message(c);
        } else if (due & EVENT_HALF_CLOSE) {
            c->events &= ~(unsigned)EVENT_HALF_CLOSE;
            deliver_half_close(c);
        } else {
            break;
        }
    }
    if (c->ended && c->pending == 0) {
        close_call(c); /* `dispatching` stays set: nobody comes after */
        return;
    }
    c->dispatching = false;
    pthread_mutex_unlock(&c->lock);
}

static void
end_done(struct rpc_tag *tag, bool ok)
{
    struct ft_rpc_call *c = tag->owner;
    (void)ok; /* always */
    pthread_mutex_lock(&c->lock);
    c->pending--;
    c->ended = true;
    c->over = true;
    queue_clear(c);
    dispatch_and_unlock(c);
}

static void
read_done(struct rpc_tag *tag, bool ok)
{
    struct ft_rpc_call *c = tag->owner;
    pthread_mutex_lock(&c->lock);
    c->pending--;
    c->reading = false;
    if (c->received != NULL) {
        c->events |= EVENT_MESSAGE;
    } else if (ok && grpc_call_failed_before_recv_message(c->grpc) == 0) {
        c->peer_done = true;
        if (c->method->kind == FT_RPC_BIDI)
            c->events |= EVENT_HALF_CLOSE;
        else if (!c->over)
            shut_out(c, FT_RPC_INVALID_ARGUMENT, "the call has no request");
    } /* else the end comes by itself */
    dispatch_and_unlock(c);
}

static void
send_done(struct rpc_tag *tag, bool ok)
{
    struct ft_rpc_call *c = tag->owner;
    pthread_mutex_lock(&c->lock);
    c->pending--;
    c->sending = false;
    if (c->in_flight != NULL) {
        grpc_byte_buffer_destroy(c->in_flight);
        c->in_flight = NULL;
        if (!c->finish_set && c->method->kind != FT_RPC_UNARY)
            c->events |= EVENT_WRITABLE;
    }
    if (c->finish_started && ok)
        c->finish_sent = true;
    if (ok) {
        pump(c);
    } else {
        queue_clear(c);
        if (!c->ended) /* a message that could not be sent: no status will follow it, so end it this way */
            grpc_call_cancel(c->grpc, NULL);
    }
    dispatch_and_unlock(c);
}

static const struct ft_rpc_method *
find_method(struct ft_rpc_server *s, grpc_slice path)
{
    for (size_t i = 0; i < s->params.method_count; i++)
        if (grpc_slice_str_cmp(path, s->params.methods[i].path) == 0)
            return &s->params.methods[i];
    for (size_t i = 0; i < HEALTH_METHODS; i++)
        if (grpc_slice_str_cmp(path, s->health.methods[i].path) == 0)
            return &s->health.methods[i];
    return NULL;
}

/* May this call run? If not: the code, a sentence for the peer, and one audit event. */
static enum ft_rpc_code
admit(struct ft_rpc_server *s, struct ft_rpc_call *c, const struct ft_rpc_method *m, bool room, bool expired,
      grpc_slice path, const char **why)
{
    char text[128];
    enum ft_rpc_code code;

    rpc_slice_text(text, sizeof text, path);
    if (!room) {
        *why = "too many calls at once";
        rpc_server_audit(s, FT_RPC_AUDIT_OVERLOAD, &c->peer, text, *why);
        return FT_RPC_RESOURCE_EXHAUSTED;
    }
    if (c->peer.known && expired) {
        *why = "the certificate is not valid at this time";
        rpc_server_audit(s, FT_RPC_AUDIT_EXPIRED, &c->peer, text, *why);
        return FT_RPC_UNAUTHENTICATED;
    }
    if (m == NULL && c->peer.known) {
        *why = "no such method";
        rpc_server_audit(s, FT_RPC_AUDIT_UNKNOWN_METHOD, &c->peer, text, *why);
        return FT_RPC_UNIMPLEMENTED;
    }
    if (!c->peer.known && (m == NULL || m->needs_peer)) {
        *why = "a client certificate is needed";
        rpc_server_audit(s, FT_RPC_AUDIT_NO_CERTIFICATE, &c->peer, text, *why);
        return FT_RPC_UNAUTHENTICATED;
    }
    if (!m->needs_peer)
        return FT_RPC_OK;
    code = s->params.authorize(s->params.ctx, &c->peer, m->path);
    if (code != FT_RPC_OK) {
        *why = "this certificate is not served";
        rpc_server_audit(s, FT_RPC_AUDIT_UNAUTHORIZED, &c->peer, text, *why);
    }
    return code;
}

uint64_t
rpc_now_ms(void)
{
    const gpr_timespec now = gpr_now(GPR_CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool
rpc_call_end_if_silent(struct ft_rpc_call *c, uint64_t now_ms)
{
    const uint64_t limit = c->peer.known ? c->server->params.silent_ms : c->server->params.silent_ms / 8;
    bool silent;

    pthread_mutex_lock(&c->lock);
    silent = c->grpc != NULL && !c->ended && !c->silent &&
             ((c->reading && now_ms > c->read_since_ms + limit) ||
              (c->sending && now_ms > c->send_since_ms + limit));
    if (silent) {
        c->silent = true;
        grpc_call_cancel_with_status(c->grpc, GRPC_STATUS_ABORTED, "the call has been silent for too long",
                                     NULL);
    }
    pthread_mutex_unlock(&c->lock);
    return silent;
}

void
rpc_call_audit_silent(struct ft_rpc_call *c)
{
    rpc_server_audit(c->server, FT_RPC_AUDIT_SILENT, &c->peer, c->method != NULL ? c->method->path : NULL,
                     "too long without a message");
}

void
rpc_call_arrived(struct ft_rpc_server *s, grpc_call *call, const grpc_call_details *details)
{
    const struct ft_rpc_method *m = find_method(s, details->method);
    struct ft_rpc_call *c = ft_calloc(1, sizeof *c);
    enum ft_rpc_code code;
    const char *why = NULL;
    bool expired, room;

    if (c == NULL) {
        grpc_call_cancel(call, NULL);
        grpc_call_unref(call);
        return;
    }
    c->server = s;
    c->grpc = call;
    c->deadline = details->deadline;
    c->end_tag = (struct rpc_tag){ end_done, c };
    c->read_tag = (struct rpc_tag){ read_done, c };
    c->send_tag = (struct rpc_tag){ send_done, c };
    atomic_init(&c->references, 1);
    atomic_init(&c->user, NULL);
    pthread_mutex_init(&c->lock, NULL);
    rpc_peer_read(s, call, &c->peer, &expired);
    c->open = (struct rpc_open){ .call = c, .peer = &c->peer };
    room = rpc_server_call_opened(s, &c->open);
    code = admit(s, c, m, room, expired, details->method, &why);

    pthread_mutex_lock(&c->lock);
    start_end(c);
    if (code != FT_RPC_OK) {
        c->over = true;
        set_finish(c, code, why);
        pump(c);
    } else {
        c->method = m;
        if (m->kind == FT_RPC_BIDI && m->on_open != NULL)
            c->events |= EVENT_OPEN;
        else
            start_read(c);
    }
    dispatch_and_unlock(c);
}

/* ---- what handlers may call ---- */

void *
ft_rpc_call_user(const struct ft_rpc_call *call)
{
    return atomic_load(&call->user);
}

void
ft_rpc_call_set_user(struct ft_rpc_call *call, void *user)
{
    atomic_store(&call->user, user);
}

const struct ft_rpc_peer *
ft_rpc_call_peer(const struct ft_rpc_call *call)
{
    return &call->peer;
}

uint64_t
ft_rpc_call_left_ms(const struct ft_rpc_call *call)
{
    const gpr_timespec deadline = gpr_convert_clock_type(call->deadline, GPR_CLOCK_MONOTONIC);
    gpr_timespec left;
    if (gpr_time_cmp(deadline, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
        return UINT64_MAX;
    left = gpr_time_sub(deadline, gpr_now(GPR_CLOCK_MONOTONIC));
    return gpr_time_cmp(left, gpr_time_0(GPR_TIMESPAN)) <= 0 ? 0 : (uint64_t)gpr_time_to_millis(left);
}

void
ft_rpc_call_hold(struct ft_rpc_call *call)
{
    atomic_fetch_add(&call->references, 1);
}

void
ft_rpc_call_drop(struct ft_rpc_call *call)
{
    release(call);
}

/* Queue one message, from a copy of `bytes` or by taking `owned`, and if it is the last one the end. */
static enum ft_status
submit(struct ft_rpc_call *c, struct ft_bytes bytes, struct ft_buf *owned, bool last)
{
    enum ft_status st = FT_OK;
    grpc_byte_buffer *message;

    pthread_mutex_lock(&c->lock);
    if (c->over)
        st = FT_ERR_CANCELLED;
    else if (c->finish_set)
        st = FT_ERR_STATE;
    else if ((owned != NULL ? owned->size : bytes.size) > c->server->params.message_max)
        st = FT_ERR_LIMIT;
    else if (c->queue_count + (c->in_flight != NULL ? 1u : 0u) >= c->server->params.send_window)
        st = FT_ERR_LATER;
    if (st == FT_OK) {
        message = owned != NULL ? rpc_message_take(owned) : rpc_message_copy(bytes);
        c->queue[(c->queue_head + c->queue_count) % RPC_WINDOW_MAX] = message;
        c->queue_count++;
        if (last)
            set_finish(c, FT_RPC_OK, NULL);
        pump(c);
    }
    pthread_mutex_unlock(&c->lock);
    return st;
}

enum ft_status
ft_rpc_reply(struct ft_rpc_call *call, enum ft_rpc_code code, struct ft_bytes body, const char *detail)
{
    assert(call->method->kind == FT_RPC_UNARY);
    return code == FT_RPC_OK ? submit(call, body, NULL, true) : ft_rpc_finish(call, code, detail);
}

enum ft_status
ft_rpc_reply_buf(struct ft_rpc_call *call, struct ft_buf *body)
{
    enum ft_status st;
    assert(call->method->kind == FT_RPC_UNARY);
    st = submit(call, (struct ft_bytes){ NULL, 0 }, body, true);
    ft_buf_clear(body);
    return st;
}

enum ft_status
ft_rpc_send(struct ft_rpc_call *call, struct ft_bytes message)
{
    assert(call->method->kind != FT_RPC_UNARY);
    return submit(call, message, NULL, false);
}

enum ft_status
ft_rpc_send_buf(struct ft_rpc_call *call, struct ft_buf *message)
{
    assert(call->method->kind != FT_RPC_UNARY);
    return submit(call, (struct ft_bytes){ NULL, 0 }, message, false);
}

enum ft_status
ft_rpc_finish(struct ft_rpc_call *call, enum ft_rpc_code code, const char *detail)
{
    enum ft_status st = FT_OK;
    pthread_mutex_lock(&call->lock);
    if (call->over)
        st = FT_ERR_CANCELLED;
    else if (call->finish_set)
        st = FT_ERR_STATE;
    if (st == FT_OK) {
        set_finish(call, code, detail);
        pump(call);
    }
    pthread_mutex_unlock(&call->lock);
    return st;
}

enum ft_status
ft_rpc_read_next(struct ft_rpc_call *call)
{
    enum ft_status st = FT_OK;
    assert(call->method->kind == FT_RPC_BIDI);
    pthread_mutex_lock(&call->lock);
    if (call->over)
        st = FT_ERR_CANCELLED;
    else if (call->reading || call->peer_done || (call->events & EVENT_MESSAGE) != 0)
        st = FT_ERR_STATE;
    else
        start_read(call);
    pthread_mutex_unlock(&call->lock);
    return st;
}
