#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"
#include "common/base/log.h"

struct ft_engine_upload {
    struct engine_session *session; /* a reference */
    struct ft_ss_slot_ref slot;
    int64_t shop;
    bool finished;
};

/* Our own trouble is worth another try; anything else the shop did is not. */
static void
reply_of(enum ft_status st, struct ft_upload_reply *reply)
{
    *reply = (struct ft_upload_reply){ 0 };
    switch (st) {
    case FT_ERR_DUPLICATE:
        reply->kind = FT_UPLOAD_DONE;
        break;
    case FT_ERR_NOMEM:
    case FT_ERR_IO:
    case FT_ERR_FULL:
    case FT_ERR_LATER:
    case FT_ERR_INTERNAL:
        reply->kind = FT_UPLOAD_RETRY;
        reply->retry_ms = 500;
        break;
    default:
        reply->kind = FT_UPLOAD_REJECTED;
        reply->code = engine_refusal_code(st);
    }
}

enum ft_status
ft_engine_upload_begin(struct ft_engine *e, int64_t number, struct ft_bytes header,
                       struct ft_engine_upload **out, struct ft_upload_reply *reply, bool *busy)
{
    enum ft_status st;
    const struct engine_shop *shop = engine_shop(e, number);
    struct ft_engine_upload *u;

    *out = NULL;
    *busy = false;
    if (shop == NULL || !shop->listed || e->session == NULL) {
        reply_of(FT_ERR_STATE, reply);
        return FT_OK;
    }
    u = ft_calloc(1, sizeof *u);
    if (u == NULL)
        return FT_ERR_NOMEM;
    *reply = (struct ft_upload_reply){ .kind = FT_UPLOAD_START };
    st = ft_ss_server_upload_begin(e->session->server, shop->place, header, &u->slot, &reply->offset);
    if (st == FT_OK) {
        u->session = e->session;
        u->shop = number;
        engine_session_ref(u->session);
        *out = u;
        return FT_OK;
    }
    ft_free(u);
    if (st == FT_ERR_LATER)
        *busy = true;
    else
        reply_of(st, reply);
    return FT_OK;
}

enum ft_status
ft_engine_upload_chunk(struct ft_engine_upload *upload, uint64_t offset, struct ft_bytes chunk)
{
    return ft_ss_server_upload_chunk(upload->session->server, upload->slot, offset, chunk);
}

void
ft_engine_upload_end(struct ft_engine *e, struct ft_engine_upload *upload, struct ft_bytes trailer,
                     struct ft_upload_reply *reply)
{
    const enum ft_status st = ft_ss_server_upload_end(upload->session->server, upload->slot, trailer);

    upload->finished = st != FT_ERR_STATE;
    if (upload->session == e->session)
        e->session->bytes_in += trailer.size + 8 * upload->session->plan.codec.words;
    switch (st) {
    case FT_OK:
        *reply = (struct ft_upload_reply){ .kind = FT_UPLOAD_DONE };
        break;
    case FT_ERR_DUPLICATE: /* a second, different vector */
        *reply = (struct ft_upload_reply){ .kind = FT_UPLOAD_REJECTED, .code = engine_refusal_code(st) };
        break;
    case FT_ERR_VERIFY: /* damaged on its way, say: once more from the start */
        *reply = (struct ft_upload_reply){ .kind = FT_UPLOAD_RETRY,
                                           .code = engine_refusal_code(st),
                                           .retry_ms = 100 };
        break;
    default:
        reply_of(st, reply);
    }
    if (st != FT_OK)
        ft_log(FT_LOG_WARN, "round.upload_refused", "shop=%lld status=%s", (long long)upload->shop,
               ft_status_name(st));
    e->version++; /* a slot is free */
}

void
ft_engine_upload_close(struct ft_engine *e, struct ft_engine_upload *upload)
{
    if (upload == NULL)
        return;
    if (!upload->finished)
        ft_ss_server_upload_drop(upload->session->server, upload->slot, false);
    engine_session_unref(upload->session);
    ft_free(upload);
    e->version++;
}
