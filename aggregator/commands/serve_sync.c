#include "aggregator/commands/serve.h"
#include "common/base/alloc.h"

#include <string.h>

struct serve_parked {
    struct serve_parked *next, **link;
    struct ft_rpc_call *rpc;
    struct ft_engine_call *call;
    int64_t shop;
    uint64_t until_ms;
};

static void
park(struct serve *s, struct serve_parked *p)
{
    p->next = s->parked;
    p->link = &s->parked;
    if (p->next != NULL)
        p->next->link = &p->next;
    s->parked = p;
}

static void
unpark(struct serve_parked *p)
{
    *p->link = p->next;
    if (p->next != NULL)
        p->next->link = p->link;
}

static void
let_go(struct serve *s, struct serve_parked *p, bool lost)
{
    ft_rpc_call_set_user(p->rpc, NULL);
    if (lost)
        ft_engine_sync_lost(s->engine, p->call);
    else
        ft_engine_sync_end(s->engine, p->call);
    ft_free(p);
}

/* True when the call has been answered; it is then over and freed, but still on the list. */
static bool
answer(struct serve *s, struct serve_parked *p, bool last)
{
    struct ft_buf reply = { 0 };
    bool ready = false;
    const enum ft_status st = ft_engine_sync_poll(s->engine, p->call, last, &reply, &ready);

    if (st != FT_OK) {
        serve_fail(s, st);
        ft_rpc_reply(p->rpc, FT_RPC_UNAVAILABLE, (struct ft_bytes){ 0 }, "busy, try again");
        ready = true;
    } else if (ready) {
        ft_rpc_reply_buf(p->rpc, &reply);
    }
    ft_buf_clear(&reply);
    return ready;
}

void
serve_answer_parked(struct serve *s)
{
    struct serve_parked *next;

    for (struct serve_parked *p = s->parked; p != NULL; p = next) {
        next = p->next;
        if (!answer(s, p, false))
            continue;
        unpark(p);
        let_go(s, p, false);
    }
}

void
serve_expire_parked(struct serve *s, uint64_t now_ms, bool all)
{
    struct serve_parked *next;

    for (struct serve_parked *p = s->parked; p != NULL; p = next) {
        next = p->next;
        if (!all && now_ms < p->until_ms)
            continue;
        (void)answer(s, p, true);
        unpark(p);
        let_go(s, p, false);
    }
}

/* A shop's newer call stands for its older ones: those are answered with what there is, so that half-open links
 * pile nothing up. */
static void
supersede(struct serve *s, int64_t shop)
{
    struct serve_parked *next;

    for (struct serve_parked *p = s->parked; p != NULL; p = next) {
        next = p->next;
        if (p->shop != shop)
            continue;
        (void)answer(s, p, true);
        unpark(p);
        let_go(s, p, false);
    }
}

uint64_t
serve_parked_due_ms(const struct serve *s)
{
    uint64_t due = UINT64_MAX;

    for (const struct serve_parked *p = s->parked; p != NULL; p = p->next)
        due = p->until_ms < due ? p->until_ms : due;
    return due;
}

static enum ft_rpc_code
code_of(enum ft_status st)
{
    switch (st) {
    case FT_ERR_FORMAT:
        return FT_RPC_INVALID_ARGUMENT;
    case FT_ERR_NOTFOUND: /* the certificate was withdrawn a moment ago */
        return FT_RPC_PERMISSION_DENIED;
    default:
        return FT_RPC_UNAVAILABLE;
    }
}

void
serve_on_sync(void *ctx, struct ft_rpc_call *rpc, struct ft_bytes message)
{
    struct serve *s = ctx;
    struct serve_parked *p = ft_calloc(1, sizeof *p);
    enum ft_status st = p != NULL ? FT_OK : FT_ERR_NOMEM;
    int64_t shop = 0;

    pthread_mutex_lock(&s->lock);
    if (st == FT_OK && s->stopping)
        st = FT_ERR_LATER;
    if (st == FT_OK && !serve_shop(s, rpc, &shop))
        st = FT_ERR_NOTFOUND;
    if (st == FT_OK)
        st = ft_engine_sync_begin(s->engine, shop, message, &p->call);
    if (st == FT_OK) {
        supersede(s, shop);
        p->shop = shop;
        p->rpc = rpc;
        p->until_ms = s->env->now_ms(s->env->ctx) + ft_engine_sync_wait_ms(p->call);
        ft_rpc_call_set_user(rpc, p);
        park(s, p);
        /* Whatever the engine has to say by now; what the request changed may answer others too. */
        if (answer(s, p, false)) {
            unpark(p);
            let_go(s, p, false);
        } else {
            serve_wake(s, p->until_ms);
        }
        serve_service(s);
        p = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    if (st != FT_OK)
        ft_rpc_reply(rpc, code_of(st), (struct ft_bytes){ 0 }, ft_status_str(st));
    ft_free(p);
}

void
serve_on_sync_closed(void *ctx, struct ft_rpc_call *rpc, bool clean)
{
    struct serve *s = ctx;
    struct serve_parked *p;

    (void)clean;
    pthread_mutex_lock(&s->lock);
    p = ft_rpc_call_user(rpc);
    if (p != NULL) { /* the shop gave up, or its certificate was withdrawn */
        unpark(p);
        let_go(s, p, true);
        serve_service(s);
    }
    pthread_mutex_unlock(&s->lock);
}
