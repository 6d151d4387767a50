#include "aggregator/commands/serve.h"

void
serve_on_enrol(void *ctx, struct ft_rpc_call *rpc, struct ft_bytes message)
{
    struct serve *s = ctx;
    struct ft_buf reply = { 0 };
    enum ft_enrol_refusal refusal = FT_ENROL_OK;
    enum ft_status st;

    pthread_mutex_lock(&s->lock);
    st = s->stopping ? FT_ERR_LATER : ft_enrol(&s->enrolment, message, &reply, &refusal);
    if (st == FT_OK && refusal == FT_ENROL_OK) {
        /* Our own connection made the change, so it shows in no data_version. */
        st = serve_peers_load(s);
        if (st == FT_OK)
            st = ft_engine_reload(s->engine);
        serve_service(s);
    }
    serve_fail(s, st);
    pthread_mutex_unlock(&s->lock);
    if (st == FT_OK)
        ft_rpc_reply_buf(rpc, &reply);
    else
        ft_rpc_reply(rpc, st == FT_ERR_FORMAT ? FT_RPC_INVALID_ARGUMENT : FT_RPC_UNAVAILABLE,
                     (struct ft_bytes){ 0 }, ft_status_str(st));
    ft_buf_clear(&reply);
}
