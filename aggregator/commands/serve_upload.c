#include "aggregator/commands/serve.h"
#include "aggregator/round/wire_federation.h"
#include "common/base/alloc.h"

/* One upload stream. Its callbacks never overlap; the lock guards what serve_retry_waiting touches. */
struct serve_stream {
    struct serve_stream *next; /* on the list of those without a slot */
    struct ft_rpc_call *rpc;
    struct ft_engine_upload *upload;
    struct ft_buf header; /* kept while it waits */
    bool waiting;
};

static void
reply(struct ft_rpc_call *rpc, const struct ft_upload_reply *r, bool last)
{
    struct ft_buf bytes = { 0 };

    if (ft_upload_reply_encode(r, &bytes) == FT_OK)
        ft_rpc_send_buf(rpc, &bytes);
    ft_buf_clear(&bytes);
    if (last)
        ft_rpc_finish(rpc, FT_RPC_OK, NULL);
}

/* With the lock. False while all slots are taken. */
static bool
begin(struct serve *s, struct serve_stream *u, int64_t shop)
{
    struct ft_upload_reply r = { 0 };
    bool busy = false;
    enum ft_status st =
        ft_engine_upload_begin(s->engine, shop, ft_buf_bytes(&u->header), &u->upload, &r, &busy);

    if (st == FT_OK && busy)
        return false;
    if (st != FT_OK)
        r = (struct ft_upload_reply){ .kind = FT_UPLOAD_RETRY, .retry_ms = 500 };
    ft_buf_clear(&u->header);
    reply(u->rpc, &r, u->upload == NULL);
    if (u->upload != NULL)
        ft_rpc_read_next(u->rpc);
    return true;
}

void
serve_retry_waiting(struct serve *s)
{
    for (struct serve_stream **link = &s->waiting; *link != NULL;) {
        struct serve_stream *u = *link;
        int64_t shop = 0;
        if (!serve_shop(s, u->rpc, &shop)) { /* withdrawn while it waited */
            ft_rpc_finish(u->rpc, FT_RPC_PERMISSION_DENIED, "this certificate is not served");
        } else if (!begin(s, u, shop)) {
            link = &u->next;
            continue;
        }
        u->waiting = false;
        *link = u->next;
    }
}

static void
on_header(struct serve *s, struct serve_stream *u, struct ft_bytes header)
{
    const struct ft_upload_reply retry = { .kind = FT_UPLOAD_RETRY, .retry_ms = 500 };
    int64_t shop = 0;

    pthread_mutex_lock(&s->lock);
    if (u->upload != NULL || u->waiting || s->stopping || !serve_shop(s, u->rpc, &shop) ||
        ft_buf_append(&u->header, header.data, header.size) != FT_OK) {
        reply(u->rpc, &retry, true);
    } else if (!begin(s, u, shop)) {
        u->waiting = true;
        u->next = s->waiting;
        s->waiting = u;
    }
    pthread_mutex_unlock(&s->lock);
}

static void
on_trailer(struct serve *s, struct serve_stream *u, struct ft_bytes trailer)
{
    struct ft_upload_reply r = { .kind = FT_UPLOAD_RETRY, .retry_ms = 100 };

    pthread_mutex_lock(&s->lock);
    if (u->upload != NULL) {
        ft_engine_upload_end(s->engine, u->upload, trailer, &r);
        ft_engine_upload_close(s->engine, u->upload);
        u->upload = NULL;
    }
    reply(u->rpc, &r, true);
    serve_service(s);
    pthread_mutex_unlock(&s->lock);
}

/* The slow part, without the lock: the slot is this stream's own. */
static void
on_chunk(struct serve_stream *u, uint64_t offset, struct ft_bytes chunk)
{
    const struct ft_upload_reply again = { .kind = FT_UPLOAD_RETRY, .retry_ms = 100 };

    if (u->upload == NULL || ft_engine_upload_chunk(u->upload, offset, chunk) != FT_OK)
        reply(u->rpc, &again, true);
    else
        ft_rpc_read_next(u->rpc);
}

void
serve_on_upload_open(void *ctx, struct ft_rpc_call *rpc)
{
    struct serve_stream *u = ft_calloc(1, sizeof *u);

    (void)ctx;
    if (u == NULL) {
        ft_rpc_finish(rpc, FT_RPC_UNAVAILABLE, "out of memory");
        return;
    }
    u->rpc = rpc;
    ft_rpc_call_set_user(rpc, u);
    ft_rpc_read_next(rpc);
}

void
serve_on_upload(void *ctx, struct ft_rpc_call *rpc, struct ft_bytes message)
{
    struct serve *s = ctx;
    struct serve_stream *u = ft_rpc_call_user(rpc);
    struct ft_upload_frame frame;

    if (u == NULL)
        return;
    if (ft_upload_frame_decode(message, &frame) != FT_OK) {
        ft_rpc_finish(rpc, FT_RPC_INVALID_ARGUMENT, "not an upload frame");
        return;
    }
    if (frame.kind == FT_UPLOAD_HEADER)
        on_header(s, u, frame.bytes);
    else if (frame.kind == FT_UPLOAD_CHUNK)
        on_chunk(u, frame.offset, frame.bytes);
    else
        on_trailer(s, u, frame.bytes);
    ft_upload_frame_clear(&frame);
}

void
serve_on_upload_closed(void *ctx, struct ft_rpc_call *rpc, bool clean)
{
    struct serve *s = ctx;
    struct serve_stream *u = ft_rpc_call_user(rpc);

    (void)clean;
    if (u == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    for (struct serve_stream **link = &s->waiting; u->waiting && *link != NULL; link = &(*link)->next) {
        if (*link != u)
            continue;
        *link = u->next;
        break;
    }
    if (u->upload != NULL)
        ft_engine_upload_close(s->engine, u->upload);
    serve_service(s);
    pthread_mutex_unlock(&s->lock);
    ft_buf_clear(&u->header);
    ft_free(u);
}
