/*
 * A stream at the client: at most one operation of each kind is under way; their ends are picked up from the
 * stream's own completion queue by whichever function waits. Not thread-safe: its caller owns it.
 */
#include "common/base/alloc.h"
#include "common/rpc/rpc_client_internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum op { OP_START, OP_SEND, OP_DONE, OP_READ, OP_STATUS, OP_COUNT };

struct ft_rpc_stream {
    struct ft_rpc_channel *channel;
    grpc_completion_queue *cq;
    grpc_call *call;
    bool under_way[OP_COUNT];
    bool done_asked; /* we send no more */
    bool read_ended; /* the peer sends no more, or the stream broke */
    bool cancelled;  /* by us */
    grpc_byte_buffer *sent;
    grpc_byte_buffer *read;    /* arrived, not yet handed out */
    grpc_byte_buffer *reading; /* where gRPC puts the next one */
    grpc_byte_buffer *lent;    /* handed out until the next call */
    grpc_slice lent_slice;
    struct ft_buf flat;
    grpc_metadata_array initial, trailing;
    grpc_status_code code;
    grpc_slice details;
};

static bool
ended(const struct ft_rpc_stream *s)
{
    return !s->under_way[OP_STATUS];
}

static void
start(struct ft_rpc_stream *s, enum op which, const grpc_op *ops, size_t count)
{
    const grpc_call_error error =
        grpc_call_start_batch(s->call, ops, count, (void *)(uintptr_t)(which + 1), NULL);
    assert(error == GRPC_CALL_OK); /* any other is a mistake in this file */
    (void)error;
    s->under_way[which] = true;
}

static void
start_read(struct ft_rpc_stream *s)
{
    grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };
    if (s->under_way[OP_READ] || s->read != NULL || s->read_ended)
        return;
    op.data.recv_message.recv_message = &s->reading;
    start(s, OP_READ, &op, 1);
}

static void
lent_back(struct ft_rpc_stream *s)
{
    if (s->lent != NULL)
        grpc_byte_buffer_destroy(s->lent);
    s->lent = NULL;
    grpc_slice_unref(s->lent_slice);
    s->lent_slice = grpc_empty_slice();
}

static void
finished(struct ft_rpc_stream *s, enum op which, bool ok)
{
    s->under_way[which] = false;
    if (which == OP_SEND) {
        grpc_byte_buffer_destroy(s->sent);
        s->sent = NULL;
    } else if (which == OP_READ) {
        s->read = s->reading;
        s->reading = NULL;
        if (s->read == NULL || !ok)
            s->read_ended = true;
    }
}

/* Wait for one operation's end, until `until` (monotonic) at most; false at that time. Sees the flag. */
static bool
wait_one(struct ft_rpc_stream *s, gpr_timespec until)
{
    for (;;) {
        gpr_timespec slice = rpc_wait_until(FT_RPC_CANCEL_MS);
        grpc_event event;
        if (!s->cancelled && rpc_cancel_raised(s->channel)) {
            s->cancelled = true;
            grpc_call_cancel(s->call, NULL);
        }
        event = grpc_completion_queue_next(s->cq, gpr_time_min(slice, until), NULL);
        if (event.type == GRPC_OP_COMPLETE) {
            finished(s, (enum op)((uintptr_t)event.tag - 1), event.success != 0);
            return true;
        }
        if (gpr_time_cmp(gpr_now(GPR_CLOCK_MONOTONIC), until) >= 0)
            return false;
    }
}

static void
wait_for(struct ft_rpc_stream *s, enum op which)
{
    while (s->under_way[which])
        (void)wait_one(s, gpr_inf_future(GPR_CLOCK_MONOTONIC)); /* the call's deadline ends it */
}

/* The stream is over: with what? OK becomes `in_order`. */
static enum ft_status
end_status(struct ft_rpc_stream *s, enum ft_status in_order)
{
    const enum ft_status st = rpc_result_set(NULL, s->code, s->details);
    if (s->cancelled && s->code == GRPC_STATUS_CANCELLED)
        return FT_ERR_CANCELLED;
    return st == FT_OK ? in_order : st;
}

enum ft_status
ft_rpc_stream_open(struct ft_rpc_channel *ch, const char *path, uint32_t deadline_ms,
                   struct ft_rpc_stream **out)
{
    struct ft_rpc_stream *s = ft_calloc(1, sizeof *s);
    grpc_op ops[2];

    *out = NULL;
    if (s == NULL)
        return FT_ERR_NOMEM;
    s->channel = ch;
    s->lent_slice = grpc_empty_slice();
    s->details = grpc_empty_slice();
    s->code = GRPC_STATUS_UNKNOWN;
    grpc_metadata_array_init(&s->initial);
    grpc_metadata_array_init(&s->trailing);
    s->cq = grpc_completion_queue_create_for_next(NULL);
    s->call = rpc_start_call(ch, s->cq, path, rpc_wait_until(deadline_ms));
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[0].data.recv_status_on_client.status = &s->code;
    ops[0].data.recv_status_on_client.status_details = &s->details;
    ops[0].data.recv_status_on_client.trailing_metadata = &s->trailing;
    start(s, OP_STATUS, ops, 1);
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &s->initial;
    start(s, OP_START, ops, 2);
    start_read(s);
    *out = s;
    return FT_OK;
}

/* Send a copy of `bytes`, or `owned`. */
static enum ft_status
send_message(struct ft_rpc_stream *s, struct ft_bytes bytes, struct ft_buf *owned)
{
    grpc_op op = { .op = GRPC_OP_SEND_MESSAGE };

    assert(!s->done_asked);
    lent_back(s);
    wait_for(s, OP_SEND);
    while (!ended(s) && wait_one(s, gpr_inf_past(GPR_CLOCK_MONOTONIC)))
        ; /* what has come in meanwhile, without waiting */
    if (ended(s))
        return end_status(s, FT_ERR_LATER);
    if (s->cancelled)
        return FT_ERR_CANCELLED;
    s->sent = owned != NULL ? rpc_message_take(owned) : rpc_message_copy(bytes);
    op.data.send_message.send_message = s->sent;
    start(s, OP_SEND, &op, 1);
    return FT_OK;
}

enum ft_status
ft_rpc_stream_send(struct ft_rpc_stream *s, struct ft_bytes message)
{
    return send_message(s, message, NULL);
}

enum ft_status
ft_rpc_stream_send_buf(struct ft_rpc_stream *s, struct ft_buf *message)
{
    return send_message(s, (struct ft_bytes){ NULL, 0 }, message);
}

enum ft_status
ft_rpc_stream_done(struct ft_rpc_stream *s)
{
    const grpc_op op = { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT };
    lent_back(s);
    wait_for(s, OP_SEND);
    if (!s->done_asked && !ended(s)) {
        s->done_asked = true;
        start(s, OP_DONE, &op, 1);
    }
    return FT_OK;
}

enum ft_status
ft_rpc_stream_recv(struct ft_rpc_stream *s, uint32_t wait_ms, struct ft_bytes *message)
{
    const gpr_timespec until =
        wait_ms == UINT32_MAX ? gpr_inf_future(GPR_CLOCK_MONOTONIC) : rpc_wait_until(wait_ms);
    enum ft_status st;

    *message = (struct ft_bytes){ NULL, 0 };
    lent_back(s);
    while (s->read == NULL && !s->read_ended)
        if (!wait_one(s, until))
            return FT_ERR_LATER;
    if (s->read == NULL) {
        wait_for(s, OP_STATUS);
        return end_status(s, FT_ERR_NOTFOUND);
    }
    s->lent = s->read;
    s->read = NULL;
    st = rpc_message_view(s->lent, &s->lent_slice, &s->flat, message);
    start_read(s); /* the next one comes in while the caller works on this one */
    return st;
}

enum ft_status
ft_rpc_stream_close(struct ft_rpc_stream *s, struct ft_rpc_result *result)
{
    enum ft_status st;
    if (s == NULL)
        return FT_OK;
    lent_back(s);
    /* Once the peer's end has been read, its status is about to come; else nobody waits for it any more. */
    if (!ended(s) && !s->read_ended) {
        s->cancelled = true;
        grpc_call_cancel(s->call, NULL);
    }
    for (int which = 0; which < OP_COUNT; which++)
        wait_for(s, (enum op)which);
    st = rpc_result_set(result, s->code, s->details);
    if (s->cancelled && s->code == GRPC_STATUS_CANCELLED)
        st = FT_ERR_CANCELLED;
    if (s->read != NULL)
        grpc_byte_buffer_destroy(s->read);
    grpc_slice_unref(s->details);
    grpc_metadata_array_destroy(&s->initial);
    grpc_metadata_array_destroy(&s->trailing);
    grpc_call_unref(s->call);
    rpc_queue_end(s->cq);
    ft_buf_clear(&s->flat);
    ft_free(s);
    return st;
}
