#include "client/courier/courier.h"

#include "client/link/federation.h"
#include "client/vault/outbox.h"
#include "common/base/log.h"
#include "common/rpc/backoff.h"

#include <string.h>
#include <time.h>

#define SYNC_SLACK_MS  15000u  /* beyond the time the aggregator may hold a call */
#define STREAM_MS      600000u /* whole life of one stream; a longer transfer resumes */
#define STALL_MS       30000u  /* nothing came for so long: the stream is dead */
#define SLEEP_SLICE_MS 50u
/* A restarted aggregator must find its shops while the round's phase still lasts: in the first LONG_OUTAGE failures, some
 * minutes, no wait is longer than this, gRPC's own between two connections included. */
#define SHORT_CAP_MS   2000u
#define LONG_OUTAGE    80u
#define CHUNK_DEFAULT  ((uint32_t)256 << 10)

struct courier {
    const struct ft_courier_config *config;
    struct ft_link *link;
    struct ft_rpc_channel *channel;
    struct ft_rpc_channel_params channel_params;
    struct ft_backoff backoff;
    uint32_t chunk_size;
    uint32_t short_cap_ms, long_cap_ms;
    bool down;
    enum ft_status link_status; /* of the vault's end; not OK: it is over */
    struct ft_out instead;      /* an action that came where DATA was asked for: it ends the upload */
    struct ft_buf frame;        /* to the vault; reused */
};

static bool
cancelled(const struct courier *c)
{
    return c->config->channel.cancel != NULL && *c->config->channel.cancel != 0;
}

/* Sleep unless told to end. */
static enum ft_status
rest(const struct courier *c, uint64_t ms)
{
    const struct ft_env *env = c->config->env;
    const uint64_t end = env->now_ms(env->ctx) + ms;
    for (;;) {
        const uint64_t now = env->now_ms(env->ctx);
        if (cancelled(c))
            return FT_ERR_CANCELLED;
        if (now >= end)
            return FT_OK;
        const uint64_t slice = end - now < SLEEP_SLICE_MS ? end - now : SLEEP_SLICE_MS;
        const struct timespec t = { .tv_nsec = (long)slice * 1000000 };
        nanosleep(&t, NULL);
    }
}

static void
note_up(struct courier *c)
{
    if (c->down)
        ft_log(FT_LOG_INFO, "courier.up", "failures=%u", c->backoff.failures);
    c->down = false;
    c->backoff.cap_ms = c->short_cap_ms;
    ft_backoff_reset(&c->backoff);
}

/* gRPC begins to connect again by itself while nobody listens to it here, and a handshake that was left so can hold up the next
 * calls for ten seconds and more: what follows a lost connection begins with a channel of its own. */
static enum ft_status
new_channel(struct courier *c)
{
    struct ft_rpc_channel *fresh;
    const enum ft_status st = ft_rpc_channel_open(&c->channel_params, &fresh, NULL);
    if (st != FT_OK)
        return st;
    ft_rpc_channel_close(c->channel); /* second, so that the library stays open */
    c->channel = fresh;
    return FT_OK;
}

/* After a failure that may pass: tell it once, wait. */
static enum ft_status
note_down(struct courier *c, enum ft_status why)
{
    enum ft_status st;

    if (!c->down)
        ft_log(FT_LOG_WARN, "courier.down", "status=%s", ft_status_name(why));
    c->down = true;
    c->backoff.cap_ms = c->backoff.failures < LONG_OUTAGE ? c->short_cap_ms : c->long_cap_ms;
    FT_TRY(rest(c, ft_backoff_next_ms(&c->backoff, c->config->env)));
    st = why == FT_ERR_LATER ? FT_OK : new_channel(c);
out:
    return st;
}

static bool
may_pass(enum ft_status st)
{
    return st == FT_ERR_PEER || st == FT_ERR_TIMEOUT || st == FT_ERR_LATER;
}

/* A failure towards the vault ends the courier; it must not be taken for one of the network, which passes. */
static enum ft_status
link_result(struct courier *c, enum ft_status st)
{
    if (st == FT_OK)
        return FT_OK;
    c->link_status = st;
    return FT_ERR_CANCELLED;
}

static enum ft_status
tell(struct courier *c, const struct ft_in *message)
{
    c->frame.size = 0;
    enum ft_status st = ft_in_encode_head(message, &c->frame);
    if (st == FT_OK)
        st = ft_link_send_parts(c->link, ft_buf_bytes(&c->frame), message->data);
    return link_result(c, st);
}

static enum ft_status
hear(struct courier *c, struct ft_out *action)
{
    struct ft_bytes frame;
    enum ft_status st = ft_link_receive(c->link, UINT32_MAX, &frame);
    if (st == FT_OK)
        st = ft_out_decode(frame, action);
    return link_result(c, st);
}

static enum ft_status
tell_failed(struct courier *c, uint64_t id, enum ft_status why)
{
    /* A blob may have been replaced while it was asked for: the vault asks anew. */
    ft_log(why == FT_ERR_NOTFOUND ? FT_LOG_INFO : FT_LOG_WARN, "courier.refused", "status=%s",
           ft_status_name(why));
    return tell(c, &(struct ft_in){ .kind = FT_IN_FAILED, .id = id, .status = why });
}

static enum ft_status
do_sync(struct courier *c, const struct ft_out *action)
{
    struct ft_buf reply = { 0 };
    enum ft_status st;
    for (;;) {
        reply.size = 0;
        st = ft_rpc_unary(c->channel, FT_FED_SYNC, action->request, action->wait_ms + SYNC_SLACK_MS, &reply,
                          NULL);
        if (!may_pass(st))
            break;
        FT_TRY(note_down(c, st));
    }
    if (st == FT_OK) {
        note_up(c);
        st = tell(c, &(struct ft_in){ .kind = FT_IN_REPLY, .id = action->id, .reply = ft_buf_bytes(&reply) });
    } else if (st != FT_ERR_CANCELLED) {
        st = tell_failed(c, action->id, st);
    }
out:
    ft_buf_clear(&reply);
    return st;
}

/* One stream of a download: from *offset on, as far as it goes. *done when the blob is complete. */
static enum ft_status
download_some(struct courier *c, const struct ft_out *action, uint64_t *offset, bool *done)
{
    struct ft_rpc_stream *stream = NULL;
    struct ft_fed_chunk chunk = { 0 };
    struct ft_buf request = { 0 };
    struct ft_bytes message;
    enum ft_status st;

    FT_TRY(ft_fed_download_encode(action->hash, *offset, &request));
    FT_TRY(ft_rpc_stream_open(c->channel, FT_FED_DOWNLOAD, STREAM_MS, &stream));
    FT_TRY(ft_rpc_stream_send(stream, ft_buf_bytes(&request)));
    FT_TRY(ft_rpc_stream_done(stream));
    while (!*done) {
        st = ft_rpc_stream_recv(stream, STALL_MS, &message);
        if (st ==
            FT_ERR_NOTFOUND) { /* the end of the stream, or of the blob's life: the call's own status tells */
            struct ft_rpc_result result;
            st = ft_rpc_stream_close(stream, &result);
            stream = NULL;
            if (st == FT_OK)
                st = FT_ERR_PEER; /* ended early: resume */
        }
        if (st != FT_OK)
            goto out;
        FT_TRY(ft_fed_chunk_decode(message, &chunk));
        if (chunk.offset != *offset || (chunk.data.size == 0 && chunk.total != chunk.offset)) {
            st = FT_ERR_FORMAT;
            goto out;
        }
        *offset += chunk.data.size;
        *done = *offset == chunk.total;
        FT_TRY(tell(c, &(struct ft_in){ .kind = FT_IN_CHUNK,
                                        .id = action->id,
                                        .offset = chunk.offset,
                                        .total = chunk.total,
                                        .data = chunk.data,
                                        .last = *done }));
        ft_fed_chunk_clear(&chunk);
        note_up(c);
    }
out:
    ft_fed_chunk_clear(&chunk);
    ft_buf_clear(&request);
    if (stream != NULL)
        (void)!ft_rpc_stream_close(stream, NULL);
    return st;
}

static enum ft_status
do_download(struct courier *c, const struct ft_out *action)
{
    uint64_t offset = action->offset;
    bool done = false;
    enum ft_status st = FT_OK;
    while (!done) {
        st = download_some(c, action, &offset, &done);
        if (st == FT_OK)
            continue;
        if (!may_pass(st))
            return st == FT_ERR_CANCELLED ? st : tell_failed(c, action->id, st);
        st = note_down(c, st);
        if (st != FT_OK)
            return st;
    }
    return st;
}

/* Ask the vault for one part of the masked input and put it on the stream. */
static enum ft_status
send_part(struct courier *c, struct ft_rpc_stream *stream, const struct ft_out *action, uint64_t offset,
          uint64_t *sent)
{
    const uint64_t left = action->size - offset;
    const uint32_t want = left < c->chunk_size ? (uint32_t)left : c->chunk_size;
    struct ft_out data = { 0 };
    struct ft_buf frame = { 0 };
    enum ft_status st;

    FT_TRY(tell(c, &(struct ft_in){ .kind = FT_IN_WANT, .id = action->id, .offset = offset, .size = want }));
    FT_TRY(hear(c, &data));
    if (data.kind != FT_OUT_DATA) {
        c->instead = data;
        data = (struct ft_out){ 0 };
        st = FT_ERR_CANCELLED;
        goto out;
    }
    if (data.id != action->id || data.offset != offset || data.data.size != want) {
        st = link_result(c, FT_ERR_FORMAT);
        goto out;
    }
    FT_TRY(ft_fed_frame_chunk(offset, data.data, &frame));
    st = ft_rpc_stream_send_buf(stream, &frame);
    *sent = want;
out:
    ft_out_clear(&data);
    ft_buf_clear(&frame);
    return st;
}

/* One stream of an upload. `final` holds the reply's bytes when the aggregator has decided. */
static enum ft_status
upload_some(struct courier *c, const struct ft_out *action, struct ft_buf *final)
{
    struct ft_rpc_stream *stream = NULL;
    struct ft_fed_upload_reply reply = { 0 };
    struct ft_buf frame = { 0 };
    struct ft_bytes message;
    uint64_t offset = 0, sent = 0;
    enum ft_status st;

    FT_TRY(ft_fed_frame_header(action->header, &frame));
    FT_TRY(ft_rpc_stream_open(c->channel, FT_FED_UPLOAD, STREAM_MS, &stream));
    FT_TRY(ft_rpc_stream_send(stream, ft_buf_bytes(&frame)));
    /* No slot may be free yet: the aggregator holds the stream, and keepalive notices a dead link. */
    FT_TRY(ft_rpc_stream_recv(stream, UINT32_MAX, &message));
    FT_TRY(ft_fed_upload_reply_decode(message, &reply));
    if (reply.kind == FT_FED_UPLOAD_START) {
        if (reply.offset > action->size) {
            st = FT_ERR_FORMAT;
            goto out;
        }
        note_up(c);
        st = FT_OK;
        for (offset = reply.offset; st == FT_OK && offset < action->size; offset += sent)
            st = send_part(c, stream, action, offset, &sent);
        if (st == FT_OK) {
            frame.size = 0;
            FT_TRY(ft_fed_frame_trailer(action->trailer, &frame));
            st = ft_rpc_stream_send(stream, ft_buf_bytes(&frame));
        }
        if (st == FT_OK)
            st = ft_rpc_stream_done(stream);
        if (st != FT_OK && st != FT_ERR_LATER) /* LATER: it has answered before the end; read why */
            goto out;
        FT_TRY(ft_rpc_stream_recv(stream, UINT32_MAX, &message));
        FT_TRY(ft_fed_upload_reply_decode(message, &reply));
        if (reply.kind == FT_FED_UPLOAD_START) {
            st = FT_ERR_FORMAT;
            goto out;
        }
    }
    FT_TRY(ft_buf_append(final, message.data, message.size));
out:
    if (st == FT_ERR_NOTFOUND) { /* ended without a word */
        st = ft_rpc_stream_close(stream, NULL);
        stream = NULL;
        if (st == FT_OK)
            st = FT_ERR_PEER;
    }
    if (stream != NULL)
        (void)!ft_rpc_stream_close(stream, NULL);
    ft_buf_clear(&frame);
    return st;
}

static enum ft_status
do_upload(struct courier *c, const struct ft_out *action)
{
    struct ft_buf final = { 0 };
    enum ft_status st;
    for (;;) {
        st = upload_some(c, action, &final);
        if (!may_pass(st))
            break;
        FT_TRY(note_down(c, st));
    }
    if (st == FT_OK) {
        note_up(c);
        st = tell(c,
                  &(struct ft_in){ .kind = FT_IN_UPLOADED, .id = action->id, .reply = ft_buf_bytes(&final) });
    } else if (st != FT_ERR_CANCELLED) {
        st = tell_failed(c, action->id, st);
    }
out:
    ft_buf_clear(&final);
    return st;
}

static enum ft_status
do_idle(struct courier *c, const struct ft_out *action)
{
    const enum ft_status st = rest(c, action->wait_ms);
    return st == FT_OK ? tell(c, &(struct ft_in){ .kind = FT_IN_RESTED, .id = action->id }) : st;
}

static enum ft_status
serve(struct courier *c)
{
    for (;;) {
        struct ft_out action = c->instead;
        enum ft_status st = FT_OK;
        c->instead = (struct ft_out){ 0 };
        if (action.kind == 0)
            st = hear(c, &action);
        if (st != FT_OK)
            return st;
        switch (action.kind) {
        case FT_OUT_SYNC:
            st = do_sync(c, &action);
            break;
        case FT_OUT_DOWNLOAD:
            st = do_download(c, &action);
            break;
        case FT_OUT_UPLOAD:
            st = do_upload(c, &action);
            break;
        case FT_OUT_IDLE:
            st = do_idle(c, &action);
            break;
        case FT_OUT_STOP:
            ft_out_clear(&action);
            return FT_OK;
        case FT_OUT_DATA:
            st = link_result(c, FT_ERR_FORMAT); /* nobody asked */
            break;
        }
        ft_out_clear(&action);
        if (st != FT_OK && c->instead.kind == 0)
            return st;
    }
}

enum ft_status
ft_courier_run(const struct ft_courier_config *config, struct ft_link *link, struct ft_error *err)
{
    struct courier c = { .config = config, .link = link };
    enum ft_status st;

    c.chunk_size = config->chunk_size != 0 ? config->chunk_size : CHUNK_DEFAULT;
    if (c.chunk_size > FT_CHUNK_MAX)
        c.chunk_size = (uint32_t)FT_CHUNK_MAX;
    c.long_cap_ms = config->backoff_cap_ms != 0 ? config->backoff_cap_ms : 30000;
    c.short_cap_ms = c.long_cap_ms < SHORT_CAP_MS ? c.long_cap_ms : SHORT_CAP_MS;
    ft_backoff_init(&c.backoff, config->backoff_base_ms != 0 ? config->backoff_base_ms : 200, c.short_cap_ms);
    c.channel_params = config->channel;
    if (c.channel_params.reconnect_ms_max == 0) /* gRPC's own back-off would outlast a phase of a round */
        c.channel_params.reconnect_ms_max = SHORT_CAP_MS;
    st = ft_rpc_channel_open(&c.channel_params, &c.channel, err);
    if (st == FT_OK)
        st = serve(&c);
    if (c.link_status != FT_OK)
        st = c.link_status == FT_ERR_PEER ? FT_OK : c.link_status; /* the vault has gone: so do we */
    ft_rpc_channel_close(c.channel);
    ft_out_clear(&c.instead);
    ft_buf_clear(&c.frame);
    return st;
}
