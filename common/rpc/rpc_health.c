/* grpc.health.v1.Health: Check answers once, Watch tells every change. */
#include "common/base/alloc.h"
#include "common/rpc/rpc_internal.h"

#include <string.h>

/* Under the lock. "" is the server as a whole: always known, not serving until it is said to. */
static enum health_status
status_of(const struct rpc_health *h, const char *service)
{
    for (size_t i = 0; i < h->service_count; i++)
        if (strcmp(h->services[i].name, service) == 0)
            return h->services[i].serving ? HEALTH_SERVING : HEALTH_NOT_SERVING;
    return service[0] == '\0' ? HEALTH_NOT_SERVING : HEALTH_SERVICE_UNKNOWN;
}

static void
on_check(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    struct rpc_health *h = ctx;
    char service[HEALTH_SERVICE_MAX + 1];
    enum health_status status;
    struct ft_buf out = { 0 };

    if (wire_health_request(message, service) != FT_OK) {
        (void)ft_rpc_reply(call, FT_RPC_INVALID_ARGUMENT, (struct ft_bytes){ NULL, 0 }, "malformed request");
        return;
    }
    pthread_mutex_lock(&h->lock);
    status = status_of(h, service);
    pthread_mutex_unlock(&h->lock);
    if (status == HEALTH_SERVICE_UNKNOWN)
        (void)ft_rpc_reply(call, FT_RPC_NOT_FOUND, (struct ft_bytes){ NULL, 0 }, "unknown service");
    else if (wire_health_reply(status, &out) != FT_OK)
        (void)ft_rpc_reply(call, FT_RPC_RESOURCE_EXHAUSTED, (struct ft_bytes){ NULL, 0 }, NULL);
    else
        (void)ft_rpc_reply_buf(call, &out);
    ft_buf_clear(&out);
}

/* Under the lock: send what the watcher does not know yet. A full window is caught up by on_writable. */
static void
tell(const struct rpc_health *h, struct rpc_watcher *w)
{
    const enum health_status now = status_of(h, w->service);
    struct ft_buf out = { 0 };
    if (w->sent == (int)now)
        return;
    if (wire_health_reply(now, &out) == FT_OK && ft_rpc_send_buf(w->call, &out) == FT_OK)
        w->sent = (int)now;
    ft_buf_clear(&out);
}

static void
on_watch(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    struct rpc_health *h = ctx;
    struct rpc_watcher *w = ft_calloc(1, sizeof *w);

    if (w == NULL || wire_health_request(message, w->service) != FT_OK) {
        (void)ft_rpc_finish(call, w == NULL ? FT_RPC_RESOURCE_EXHAUSTED : FT_RPC_INVALID_ARGUMENT, NULL);
        ft_free(w);
        return;
    }
    w->call = call;
    w->sent = -1;
    pthread_mutex_lock(&h->lock);
    if (h->watcher_count < h->watchers_max && !h->ended) {
        w->next = h->watchers;
        h->watchers = w;
        h->watcher_count++;
        ft_rpc_call_set_user(call, w);
        tell(h, w);
        w = NULL;
    }
    pthread_mutex_unlock(&h->lock);
    if (w != NULL)
        (void)ft_rpc_finish(call, FT_RPC_UNAVAILABLE, "too many watchers");
    ft_free(w);
}

static void
on_watch_writable(void *ctx, struct ft_rpc_call *call)
{
    struct rpc_health *h = ctx;
    pthread_mutex_lock(&h->lock);
    if (ft_rpc_call_user(call) != NULL)
        tell(h, ft_rpc_call_user(call));
    pthread_mutex_unlock(&h->lock);
}

static void
on_watch_closed(void *ctx, struct ft_rpc_call *call, bool clean)
{
    struct rpc_health *h = ctx;
    struct rpc_watcher *w = ft_rpc_call_user(call);
    (void)clean;
    if (w == NULL)
        return;
    pthread_mutex_lock(&h->lock);
    for (struct rpc_watcher **at = &h->watchers; *at != NULL; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            h->watcher_count--;
            break;
        }
    pthread_mutex_unlock(&h->lock);
    ft_free(w);
}

void
rpc_health_open(struct rpc_health *h, uint32_t strangers)
{
    pthread_mutex_init(&h->lock, NULL);
    h->watchers_max = strangers / 2 < HEALTH_WATCHERS ? strangers / 2 : HEALTH_WATCHERS;
    h->methods[0] = (struct ft_rpc_method){ .path = "/grpc.health.v1.Health/Check",
                                            .kind = FT_RPC_UNARY,
                                            .message_max = HEALTH_SERVICE_MAX + 16,
                                            .on_message = on_check,
                                            .ctx = h };
    h->methods[1] = (struct ft_rpc_method){ .path = "/grpc.health.v1.Health/Watch",
                                            .kind = FT_RPC_SERVER_STREAM,
                                            .message_max = HEALTH_SERVICE_MAX + 16,
                                            .on_message = on_watch,
                                            .on_writable = on_watch_writable,
                                            .on_closed = on_watch_closed,
                                            .ctx = h };
}

void
rpc_health_end(struct rpc_health *h)
{
    pthread_mutex_lock(&h->lock);
    h->ended = true;
    for (size_t i = 0; i < h->service_count; i++)
        h->services[i].serving = false;
    for (struct rpc_watcher *w = h->watchers; w != NULL; w = w->next) {
        tell(h, w);
        (void)ft_rpc_finish(w->call, FT_RPC_UNAVAILABLE, "the server is closing");
    }
    pthread_mutex_unlock(&h->lock);
}

void
rpc_health_close(struct rpc_health *h)
{
    pthread_mutex_destroy(&h->lock);
}

enum ft_status
ft_rpc_server_set_health(struct ft_rpc_server *s, const char *service, bool serving)
{
    struct rpc_health *h = &s->health;
    enum ft_status st = FT_OK;
    size_t i = 0;

    if (strlen(service) > HEALTH_SERVICE_MAX)
        return FT_ERR_LIMIT;
    pthread_mutex_lock(&h->lock);
    while (i < h->service_count && strcmp(h->services[i].name, service) != 0)
        i++;
    if (i == HEALTH_SERVICES) {
        st = FT_ERR_LIMIT;
    } else {
        if (i == h->service_count) {
            memcpy(h->services[i].name, service, strlen(service) + 1);
            h->service_count++;
        }
        h->services[i].serving = serving;
        for (struct rpc_watcher *w = h->watchers; w != NULL; w = w->next)
            tell(h, w);
    }
    pthread_mutex_unlock(&h->lock);
    return st;
}
