#include "common/rpc/rpc_server.h"
#include "common/base/alloc.h"
#include "common/rpc/rpc_internal.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RPC_SWEEP 64 /* silent calls ended at a time */

static const char *const audit_names[] = { "handshake",      "no_certificate", "expired",  "unauthorized",
                                           "unknown_method", "oversize",       "overload", "silent" };

const char *
ft_rpc_audit_str(enum ft_rpc_audit_kind kind)
{
    return (size_t)kind < sizeof audit_names / sizeof *audit_names ? audit_names[kind] : "unknown";
}

void
rpc_server_audit(struct ft_rpc_server *s, enum ft_rpc_audit_kind kind, const struct ft_rpc_peer *peer,
                 const char *path, const char *detail)
{
    if (s->params.audit != NULL)
        s->params.audit(s->params.ctx, kind, peer, path, detail);
}

static struct rpc_open **
bucket(struct ft_rpc_server *s, const struct ft_rpc_peer *peer)
{
    const uint8_t *f = peer->fingerprint.bytes;
    return &s->open[((uint32_t)f[0] | (uint32_t)f[1] << 8) % RPC_BUCKETS];
}

/* Strangers have a share of their own, so that they cannot take the shops' places. */
uint32_t
rpc_server_strangers_max(const struct ft_rpc_server *s)
{
    return s->params.calls_max / 8 > 0 ? s->params.calls_max / 8 : 1;
}

bool
rpc_server_call_opened(struct ft_rpc_server *s, struct rpc_open *open)
{
    const uint32_t strangers = rpc_server_strangers_max(s);
    const bool known = open->peer->known;
    struct rpc_open **list = bucket(s, open->peer);
    uint32_t same = 0;
    bool room;

    pthread_mutex_lock(&s->lock);
    if (known)
        for (const struct rpc_open *o = *list; o != NULL && same < s->params.calls_per_peer; o = o->next)
            same += memcmp(&o->peer->fingerprint, &open->peer->fingerprint, sizeof o->peer->fingerprint) == 0;
    room =
        s->calls_open[known] < (known ? s->params.calls_max : strangers) && same < s->params.calls_per_peer;
    s->calls_open[known]++;
    open->next = *list;
    open->link = list;
    if (open->next != NULL)
        open->next->link = &open->next;
    *list = open;
    pthread_mutex_unlock(&s->lock);
    return room;
}

void
rpc_server_call_unlisted(struct ft_rpc_server *s, struct rpc_open *open)
{
    pthread_mutex_lock(&s->lock);
    *open->link = open->next;
    if (open->next != NULL)
        open->next->link = open->link;
    pthread_mutex_unlock(&s->lock);
}

void
rpc_server_call_closed(struct ft_rpc_server *s, bool known)
{
    pthread_mutex_lock(&s->lock);
    s->calls_open[known]--;
    pthread_cond_broadcast(
        &s->changed); /* under the lock: the closer frees the server once it has seen zero */
    pthread_mutex_unlock(&s->lock);
}

static void
handshake_failed(void *ctx, const char *reason)
{
    struct ft_rpc_server *s = ctx;
    if (!atomic_load(&s->closing)) /* closing ends handshakes that are nobody's fault */
        rpc_server_audit(s, FT_RPC_AUDIT_HANDSHAKE, NULL, NULL, reason);
}

static void
accept_start(struct ft_rpc_server *s, struct rpc_accept *a)
{
    a->call = NULL;
    grpc_call_details_init(&a->details);
    grpc_metadata_array_init(&a->metadata);
    const grpc_call_error error =
        grpc_server_request_call(s->grpc, &a->call, &a->details, &a->metadata, s->cq, s->cq, &a->tag);
    assert(error == GRPC_CALL_OK);
    (void)error;
}

static void
accept_done(struct rpc_tag *tag, bool ok)
{
    struct ft_rpc_server *s = tag->owner;
    struct rpc_accept *a = (struct rpc_accept *)(void *)((char *)tag - offsetof(struct rpc_accept, tag));
    struct rpc_accept got = *a;
    if (ok) {
        /* Ask for the next one first: while this call is open the server cannot be down, nor the queue shut.
         * A request made after the shutdown began comes straight back as not ok. */
        accept_start(s, a);
        rpc_call_arrived(s, got.call, &got.details);
    }
    grpc_call_details_destroy(&got.details);
    grpc_metadata_array_destroy(&got.metadata);
}

static void
shutdown_done(struct rpc_tag *tag, bool ok)
{
    struct ft_rpc_server *s = tag->owner;
    (void)ok;
    pthread_mutex_lock(&s->lock);
    s->down = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* End calls that have fallen silent: a peer that is up, but never sends or never takes what it should, would
 * keep its places for ever. */
static void
end_silent_calls(struct ft_rpc_server *s, uint64_t now_ms)
{
    struct ft_rpc_call *ended[RPC_SWEEP];
    size_t count = 0;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < RPC_BUCKETS; i++)
        for (const struct rpc_open *o = s->open[i]; o != NULL && count < RPC_SWEEP; o = o->next) {
            if (!rpc_call_end_if_silent(o->call, now_ms))
                continue;
            ft_rpc_call_hold(o->call);
            ended[count++] = o->call;
        }
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < count; i++) {
        rpc_call_audit_silent(ended[i]);
        ft_rpc_call_drop(ended[i]);
    }
}

static uint64_t
sweep_every_ms(const struct ft_rpc_server *s)
{
    const uint32_t part = s->params.silent_ms / 32;
    return part < 20 ? 20 : part;
}

/* One poller does it. */
static void
sweep_if_due(struct ft_rpc_server *s)
{
    const uint64_t now = rpc_now_ms();
    uint_fast64_t due = atomic_load(&s->sweep_ms);

    if (now >= due && atomic_compare_exchange_strong(&s->sweep_ms, &due, now + sweep_every_ms(s)))
        end_silent_calls(s, now);
}

static void *
poll_loop(void *arg)
{
    struct ft_rpc_server *s = arg;
    for (;;) {
        const gpr_timespec until = gpr_time_add(
            gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis((int64_t)sweep_every_ms(s), GPR_TIMESPAN));
        const grpc_event event = grpc_completion_queue_next(s->cq, until, NULL);
        struct rpc_tag *tag = event.tag;
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.type == GRPC_OP_COMPLETE)
            tag->done(tag, event.success != 0);
        sweep_if_due(s);
    }
}

static void
fill_defaults(struct ft_rpc_server_params *p)
{
    p->threads = p->threads != 0 ? p->threads : 2;
    p->message_max = p->message_max != 0 ? p->message_max : RPC_MESSAGE_MAX;
    p->calls_max = p->calls_max != 0 ? p->calls_max : 4096;
    p->calls_per_connection = p->calls_per_connection != 0 ? p->calls_per_connection : 32;
    p->calls_per_peer = p->calls_per_peer != 0 ? p->calls_per_peer : 64;
    p->silent_ms = p->silent_ms != 0 ? p->silent_ms : 300000;
    p->send_window = p->send_window != 0 ? p->send_window : 4;
    p->keepalive_ms = p->keepalive_ms != 0 ? p->keepalive_ms : 60000;
    p->handshake_ms = p->handshake_ms != 0 ? p->handshake_ms : 20000;
    p->memory_max = p->memory_max != 0 ? p->memory_max : (size_t)256 << 20;
    assert(p->threads <= RPC_THREADS_MAX && p->send_window <= RPC_WINDOW_MAX);
}

/* "host:port" or "[v6]:port" in two parts. */
static bool
split_address(const char *address, char host[256], char port[8])
{
    const char *colon = strrchr(address, ':');
    const char *from = address, *until = colon;
    if (colon == NULL || colon == address || strlen(colon + 1) == 0 || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || strtol(colon + 1, NULL, 10) > UINT16_MAX)
        return false;
    if (address[0] == '[' && colon[-1] == ']') {
        from++;
        until--;
    } else if (memchr(address, ':', (size_t)(colon - address)) != NULL) {
        return false; /* a bare v6 address: where would its port begin? */
    }
    if (until <= from || (size_t)(until - from) > 255)
        return false;
    memcpy(host, from, (size_t)(until - from));
    host[until - from] = '\0';
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return true;
}

/* gRPC does not say why it could not bind, so ask the kernel the same question. */
static const char *
bind_trouble(const char *host, const char *port)
{
    const struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    const int rc = getaddrinfo(host, port, &hints, &list);
    int errnum = 0;
    const int on = 1;

    if (rc != 0)
        return gai_strerror(rc);
    for (struct addrinfo *a = list; a != NULL && errnum == 0; a = a->ai_next) {
        const int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0)
            continue;
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, 1) != 0)
            errnum = errno;
        close(fd);
    }
    freeaddrinfo(list);
    return errnum != 0 ? strerrordesc_np(errnum) : "the address cannot be bound";
}

static enum ft_status
check_pems(const struct ft_rpc_server_params *p, struct ft_error *err)
{
    struct ft_pki_info info;
    if (ft_pki_read(p->ca_pem, &info) != FT_OK)
        return ft_fail(err, FT_ERR_CONFIG, "the CA's certificate is not a PEM certificate");
    if (ft_pki_match(p->key_pem, p->cert_pem) != FT_OK)
        return ft_fail(err, FT_ERR_CONFIG, "the server's key does not belong to its certificate");
    return FT_OK;
}

static grpc_server_credentials *
make_credentials(const struct ft_rpc_server_params *p)
{
    char *ca = rpc_pem_text(p->ca_pem), *key = rpc_pem_text(p->key_pem), *cert = rpc_pem_text(p->cert_pem);
    grpc_ssl_pem_key_cert_pair pair = { key, cert };
    grpc_server_credentials *creds = NULL;
    if (ca != NULL && key != NULL && cert != NULL)
        creds = grpc_ssl_server_credentials_create_ex(ca, &pair, 1,
                                                      GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY, NULL);
    ft_secret_free(ca);
    ft_secret_free(key);
    ft_secret_free(cert);
    return creds;
}

static enum ft_status
make_server(struct ft_rpc_server *s)
{
    const struct ft_rpc_server_params *p = &s->params;
    const grpc_arg_pointer_vtable *vtable = grpc_resource_quota_arg_vtable();
    grpc_resource_quota *quota = grpc_resource_quota_create("fedtill");
    struct rpc_args a = { .count = 0 };
    grpc_channel_args args;

    grpc_resource_quota_resize(quota, p->memory_max);
    rpc_arg_int(&a, GRPC_ARG_ALLOW_REUSEPORT, 0); /* else a second server would share the port in silence */
    /* A little above our own limit, which answers with a reason and an audit event. */
    rpc_arg_int(&a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, p->message_max + (64 << 10));
    rpc_arg_int(&a, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, p->message_max);
    rpc_arg_int(&a, GRPC_ARG_MAX_CONCURRENT_STREAMS, p->calls_per_connection);
    rpc_arg_int(&a, GRPC_ARG_MAX_METADATA_SIZE, 16 << 10);
    rpc_arg_int(&a, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, p->handshake_ms);
    rpc_arg_int(&a, GRPC_ARG_KEEPALIVE_TIME_MS, p->keepalive_ms);
    rpc_arg_int(&a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000);
    rpc_arg_int(&a, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    rpc_arg_int(&a, GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                2 * 60 * 1000); /* no calls: a client just connects again */
    rpc_arg_int(&a, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10000);
    rpc_arg_int(&a, GRPC_ARG_HTTP2_BDP_PROBE, 0);
    rpc_arg_int(&a, GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, RPC_READ_AHEAD);
    rpc_arg_int(&a, GRPC_ARG_HTTP2_MAX_FRAME_SIZE, RPC_FRAME_SIZE);
    rpc_arg_int(&a, GRPC_ARG_ENABLE_CHANNELZ, 0);
    rpc_arg_int(&a, GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE, 0);
    /* Nobody here compresses, and a small message that unpacks to gigabytes must not get in. */
    rpc_arg_int(&a, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE);
    a.list[a.count++] = (grpc_arg){ .type = GRPC_ARG_POINTER,
                                    .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA,
                                    .value.pointer = { quota, vtable } };
    args = (grpc_channel_args){ a.count, a.list };
    s->grpc = grpc_server_create(&args, NULL);
    grpc_resource_quota_unref(quota);
    s->cq = grpc_completion_queue_create_for_next(NULL);
    if (s->grpc == NULL || s->cq == NULL)
        return FT_ERR_NOMEM;
    grpc_server_register_completion_queue(s->grpc, s->cq, NULL);
    return FT_OK;
}

static enum ft_status
listen_at(struct ft_rpc_server *s, const struct ft_rpc_server_params *p, struct ft_error *err)
{
    char host[256], port[8];
    grpc_server_credentials *creds;
    int bound;

    if (!split_address(p->address, host, port))
        return ft_fail(err, FT_ERR_CONFIG, "the address %s is not host:port", p->address);
    creds = make_credentials(p);
    if (creds == NULL)
        return ft_fail(err, FT_ERR_CONFIG, "gRPC does not accept the certificates");
    bound = grpc_server_add_http2_port(s->grpc, p->address, creds);
    grpc_server_credentials_release(creds);
    if (bound <= 0)
        return ft_fail(err, FT_ERR_CONFIG, "cannot listen on %s: %s", p->address, bind_trouble(host, port));
    s->port = (uint16_t)bound;
    return FT_OK;
}

static enum ft_status
start_threads(struct ft_rpc_server *s)
{
    for (uint32_t i = 0; i < s->params.threads; i++) {
        if (pthread_create(&s->threads[i], NULL, poll_loop, s) != 0)
            return FT_ERR_NOMEM;
        s->thread_count++;
    }
    return FT_OK;
}

/* Wait until `down` and no calls, or until the time is over (NULL: none). Under the lock. */
static bool
wait_idle(struct ft_rpc_server *s, const struct timespec *until)
{
    while (s->calls_open[false] + s->calls_open[true] > 0 || !s->down) {
        if (until == NULL)
            pthread_cond_wait(&s->changed, &s->lock);
        else if (pthread_cond_timedwait(&s->changed, &s->lock, until) == ETIMEDOUT)
            return false;
    }
    return true;
}

static void
stop_calls(struct ft_rpc_server *s, uint32_t grace_ms)
{
    struct timespec until;
    bool idle;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += grace_ms / 1000;
    until.tv_nsec += (long)(grace_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    grpc_server_shutdown_and_notify(s->grpc, s->cq, &s->shutdown);
    rpc_health_end(&s->health);
    pthread_mutex_lock(&s->lock);
    idle = wait_idle(s, &until);
    pthread_mutex_unlock(&s->lock);
    if (idle)
        return;
    grpc_server_cancel_all_calls(s->grpc);
    pthread_mutex_lock(&s->lock);
    (void)wait_idle(s, NULL);
    pthread_mutex_unlock(&s->lock);
}

void
ft_rpc_server_close(struct ft_rpc_server *s, uint32_t grace_ms)
{
    if (s == NULL)
        return;
    atomic_store(&s->closing, true);
    if (s->thread_count > 0)
        stop_calls(s, grace_ms);
    if (s->cq != NULL) {
        if (s->thread_count == 0 && s->grpc != NULL) {
            /* never started: nothing can be under way, but gRPC insists on a shutdown */
            grpc_server_shutdown_and_notify(s->grpc, s->cq, &s->shutdown);
            (void)grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        }
        grpc_completion_queue_shutdown(s->cq);
        for (uint32_t i = 0; i < s->thread_count; i++)
            pthread_join(s->threads[i], NULL);
        while (s->thread_count == 0 &&
               grpc_completion_queue_next(s->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
                   GRPC_QUEUE_SHUTDOWN)
            ;
    }
    rpc_listen_stop(&s->listener);
    if (s->grpc != NULL)
        grpc_server_destroy(s->grpc);
    if (s->cq != NULL)
        grpc_completion_queue_destroy(s->cq);
    if (s->library_open)
        rpc_library_close();
    rpc_health_close(&s->health);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->peers.lock);
    pthread_mutex_destroy(&s->lock);
    ft_free(s);
}

enum ft_status
ft_rpc_server_open(const struct ft_rpc_server_params *params, struct ft_rpc_server **out,
                   struct ft_error *err)
{
    struct ft_rpc_server *s = NULL;
    pthread_condattr_t monotonic;
    enum ft_status st;

    *out = NULL;
    for (size_t i = 0; i < params->method_count; i++)
        assert(params->methods[i].on_message != NULL &&
               (!params->methods[i].needs_peer || params->authorize != NULL));
    FT_TRY(check_pems(params, err));
    s = ft_calloc(1, sizeof *s);
    if (s == NULL)
        return FT_ERR_NOMEM;
    s->params = *params;
    fill_defaults(&s->params);
    s->listener = (struct rpc_listener){ handshake_failed, s, NULL };
    s->shutdown = (struct rpc_tag){ shutdown_done, s };
    atomic_init(&s->closing, false);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->peers.lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    rpc_health_open(&s->health, rpc_server_strangers_max(s));
    FT_TRY(rpc_library_open(err));
    s->library_open = true;
    FT_TRY(make_server(s));
    FT_TRY(listen_at(s, params, err));
    s->params.address = NULL;
    s->params.ca_pem = s->params.cert_pem = s->params.key_pem = (struct ft_bytes){ NULL, 0 };
    rpc_listen_start(&s->listener);
    grpc_server_start(s->grpc);
    for (size_t i = 0; i < RPC_ACCEPTS; i++) {
        s->accepts[i].tag = (struct rpc_tag){ accept_done, s };
        accept_start(s, &s->accepts[i]);
    }
    FT_TRY(start_threads(s));
    *out = s;
    s = NULL;
out:
    ft_rpc_server_close(s, 0);
    return st;
}

uint16_t
ft_rpc_server_port(const struct ft_rpc_server *s)
{
    return s->port;
}
