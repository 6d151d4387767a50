#include "aggregator/commands/serve.h"
#include "aggregator/round/wire_federation.h"
#include "common/base/alloc.h"

struct serve_download {
    struct serve *serve;
    struct ft_blob *blob;
    uint64_t offset;
    bool finished;
};

/* As much as the stream takes now; on_writable goes on. An empty rest still makes one chunk, which says the
 * total. */
static void
send_more(struct serve_download *d, struct ft_rpc_call *rpc)
{
    const struct ft_bytes all = ft_blob_bytes(d->blob);
    enum ft_status st = FT_OK;

    while (!d->finished && st == FT_OK) {
        struct ft_buf chunk = { 0 };
        const size_t left = all.size - (size_t)d->offset;
        const size_t size = left < SERVE_CHUNK_SIZE ? left : SERVE_CHUNK_SIZE;

        st = ft_download_chunk_encode(d->offset, all.size, FT_BYTES(all.data + d->offset, size), &chunk);
        if (st == FT_OK)
            st = ft_rpc_send_buf(rpc, &chunk);
        ft_buf_clear(&chunk);
        if (st != FT_OK)
            continue;
        d->offset += size;
        if (d->offset == all.size) {
            d->finished = true;
            ft_rpc_finish(rpc, FT_RPC_OK, NULL);
        }
    }
    if (st != FT_OK && st != FT_ERR_LATER && !d->finished) {
        d->finished = true;
        ft_rpc_finish(rpc, FT_RPC_UNAVAILABLE, "cannot send");
    }
}

void
serve_on_download(void *ctx, struct ft_rpc_call *rpc, struct ft_bytes message)
{
    struct serve *s = ctx;
    struct serve_download *d = ft_calloc(1, sizeof *d);
    uint8_t hash[32];
    uint64_t offset = 0;
    enum ft_status st = d != NULL ? ft_download_request_decode(message, hash, &offset) : FT_ERR_NOMEM;

    if (st == FT_OK) {
        d->serve = s;
        pthread_mutex_lock(&s->lock);
        st = ft_engine_blob(s->engine, hash, &d->blob);
        if (st == FT_OK && offset <= ft_blob_bytes(d->blob).size)
            ft_engine_sent(s->engine, ft_blob_bytes(d->blob).size - offset);
        pthread_mutex_unlock(&s->lock);
    }
    if (st == FT_OK && offset > ft_blob_bytes(d->blob).size)
        st = FT_ERR_LIMIT;
    if (st != FT_OK) {
        if (d != NULL && d->blob != NULL) {
            pthread_mutex_lock(&s->lock);
            ft_engine_blob_release(s->engine, d->blob);
            pthread_mutex_unlock(&s->lock);
        }
        ft_free(d);
        ft_rpc_finish(rpc,
                      st == FT_ERR_NOTFOUND ? FT_RPC_NOT_FOUND
                      : st == FT_ERR_LIMIT  ? FT_RPC_OUT_OF_RANGE
                      : st == FT_ERR_FORMAT ? FT_RPC_INVALID_ARGUMENT
                                            : FT_RPC_UNAVAILABLE,
                      ft_status_str(st));
        return;
    }
    d->offset = offset;
    ft_rpc_call_set_user(rpc, d);
    send_more(d, rpc);
}

void
serve_on_download_writable(void *ctx, struct ft_rpc_call *rpc)
{
    struct serve_download *d = ft_rpc_call_user(rpc);

    (void)ctx;
    if (d != NULL && !d->finished)
        send_more(d, rpc);
}

void
serve_on_download_closed(void *ctx, struct ft_rpc_call *rpc, bool clean)
{
    struct serve_download *d = ft_rpc_call_user(rpc);

    (void)ctx;
    (void)clean;
    if (d == NULL)
        return;
    pthread_mutex_lock(&d->serve->lock);
    ft_engine_blob_release(d->serve->engine, d->blob);
    pthread_mutex_unlock(&d->serve->lock);
    ft_free(d);
}
