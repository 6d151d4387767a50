#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "common/base/env.h"
#include "tests/e2e/rpc/world.h"
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void
nap_ms(unsigned ms)
{
    const struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    nanosleep(&t, NULL);
}

void
await_count(atomic_int *counter, int value)
{
    for (unsigned i = 0; i < PATIENCE_MS / 5 && atomic_load(counter) < value; i++)
        nap_ms(5);
    assert_true(atomic_load(counter) >= value);
}

struct ft_pki_validity
days(int from, int until)
{
    const int64_t now = (int64_t)time(NULL);
    return (struct ft_pki_validity){ now + (int64_t)from * 86400, now + (int64_t)until * 86400 };
}

void
make_client(const struct ft_buf *ca_key, const struct ft_buf *ca_cert, const char *shop,
            struct ft_pki_validity validity, struct identity *out)
{
    const struct ft_pki_ca ca = { ft_buf_bytes(ca_key), ft_buf_bytes(ca_cert) };
    struct ft_buf csr;
    assert_int_equal(ft_pki_make_request(shop, &out->key, &csr, NULL), FT_OK);
    assert_int_equal(ft_pki_issue_client(&ca, ft_buf_bytes(&csr), shop, validity, &out->cert, NULL), FT_OK);
    ft_buf_clear(&csr);
}

void
identity_clear(struct identity *id)
{
    ft_buf_clear(&id->key);
    ft_buf_clear(&id->cert);
}

static void
on_echo(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    struct world *w = ctx;
    atomic_fetch_add(&w->handled, 1);
    (void)ft_rpc_reply(call, FT_RPC_OK, message, NULL);
}

static void
on_park(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    struct world *w = ctx;
    (void)message;
    pthread_mutex_lock(&w->lock);
    assert_true(w->parked_count < 64);
    w->parked[w->parked_count++] = call;
    pthread_mutex_unlock(&w->lock);
    atomic_fetch_add(&w->handled, 1);
}

static void
on_closed(void *ctx, struct ft_rpc_call *call, bool clean)
{
    struct world *w = ctx;
    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < w->parked_count; i++)
        if (w->parked[i] == call) {
            memmove(&w->parked[i], &w->parked[i + 1],
                    (size_t)(w->parked_count - i - 1) * sizeof w->parked[0]);
            w->parked_count--;
            break;
        }
    if (w->stream == call)
        w->stream = NULL;
    pthread_mutex_unlock(&w->lock);
    atomic_fetch_add(clean ? &w->closed_clean : &w->closed_unclean, 1);
}

bool
world_answer(struct world *w, enum ft_status *st)
{
    bool any;
    pthread_mutex_lock(&w->lock); /* on_closed takes it too, so the call cannot go while we answer */
    any = w->parked_count > 0;
    if (any) {
        *st = ft_rpc_reply(w->parked[0], FT_RPC_OK, FT_BYTES("late", 4), NULL);
        memmove(&w->parked[0], &w->parked[1], (size_t)--w->parked_count * sizeof w->parked[0]);
    }
    pthread_mutex_unlock(&w->lock);
    return any;
}

int
world_parked(struct world *w)
{
    int count;
    pthread_mutex_lock(&w->lock);
    count = w->parked_count;
    pthread_mutex_unlock(&w->lock);
    return count;
}

static void
on_load_open(void *ctx, struct ft_rpc_call *call)
{
    struct world *w = ctx;
    atomic_fetch_add(&w->handled, 1);
    pthread_mutex_lock(&w->lock);
    w->stream = call;
    pthread_mutex_unlock(&w->lock);
    (void)ft_rpc_read_next(call); /* the client may be gone already */
}

static void
on_load(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    struct world *w = ctx;
    const bool gated = atomic_load(&w->gated); /* before the count, which the test waits for */
    atomic_fetch_add(&w->got_bytes, message.size);
    if (atomic_fetch_add(&w->got_messages, 1) + 1 == atomic_load(&w->reject_at)) {
        (void)ft_rpc_send(call, FT_BYTES("no", 2));
        (void)ft_rpc_finish(call, FT_RPC_OK, NULL);
        return;
    }
    if (!gated)
        (void)ft_rpc_read_next(call);
}

static void
on_load_half_close(void *ctx, struct ft_rpc_call *call)
{
    struct world *w = ctx;
    char text[32];
    const int n = snprintf(text, sizeof text, "%zu", atomic_load(&w->got_bytes));
    (void)ft_rpc_send(call, FT_BYTES(text, (size_t)n));
    (void)ft_rpc_finish(call, FT_RPC_OK, NULL);
}

static void
on_talk(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    struct world *w = ctx;
    atomic_fetch_add(&w->handled, 1);
    (void)ft_rpc_send(call, message);
    (void)ft_rpc_read_next(call);
}

/* Send until the window is full; the user pointer counts what this call has sent. */
static void
fetch_pump(void *ctx, struct ft_rpc_call *call)
{
    struct world *w = ctx;
    static const uint8_t chunk[CHUNK] = { 7 };
    intptr_t sent = (intptr_t)ft_rpc_call_user(call);
    while (sent < w->send_total && ft_rpc_send(call, FT_BYTES(chunk, CHUNK)) == FT_OK) {
        sent++;
        atomic_fetch_add(&w->sent_messages, 1);
    }
    ft_rpc_call_set_user(call, (void *)sent);
    if (sent == w->send_total)
        (void)ft_rpc_finish(call, FT_RPC_OK, NULL);
}

static void
on_fetch(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    struct world *w = ctx;
    (void)message;
    atomic_fetch_add(&w->handled, 1);
    fetch_pump(ctx, call);
}

static enum ft_rpc_code
authorize(void *ctx, const struct ft_rpc_peer *peer, const char *path)
{
    struct world *w = ctx;
    (void)path;
    atomic_fetch_add(&w->authorized, 1);
    return !peer->known || atomic_load(&w->revoked) ? FT_RPC_PERMISSION_DENIED : FT_RPC_OK;
}

static void
audit(void *ctx, enum ft_rpc_audit_kind kind, const struct ft_rpc_peer *peer, const char *path,
      const char *detail)
{
    struct world *w = ctx;
    (void)peer, (void)path, (void)detail;
    atomic_fetch_add(&w->audit_of[kind], 1);
    atomic_fetch_add(&w->audits, 1);
}

static uint64_t
wall(void *ctx)
{
    struct world *w = ctx;
    return (uint64_t)time(NULL) * 1000 + w->wall_shift_ms;
}

enum ft_status
world_serve(struct world *w, const char *address, uint32_t calls_max, struct ft_error *err)
{
    const struct ft_rpc_server_params p = { .address = address,
                                            .ca_pem = ft_buf_bytes(&w->ca_cert),
                                            .cert_pem = ft_buf_bytes(&w->server.cert),
                                            .key_pem = ft_buf_bytes(&w->server.key),
                                            .methods = w->methods,
                                            .method_count = WORLD_METHODS,
                                            .authorize = authorize,
                                            .audit = audit,
                                            .wall_ms = wall,
                                            .ctx = w,
                                            .calls_max = calls_max,
                                            .calls_per_peer = w->calls_per_peer,
                                            .silent_ms = w->silent_ms,
                                            .handshake_ms =
                                                w->handshake_ms != 0 ? w->handshake_ms : PATIENCE_MS };
    enum ft_status st = ft_rpc_server_open(&p, &w->rpc, err);
    if (st == FT_OK)
        snprintf(w->target, sizeof w->target, "127.0.0.1:%u", ft_rpc_server_port(w->rpc));
    return st;
}

void
world_open(struct world *w)
{
    static const char *const names[] = { "127.0.0.1", "aggregator.test" };
    struct ft_pki_ca ca;
    struct ft_error err = { 0 };

    assert_true(sodium_init() >= 0);
    memset(w, 0, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    assert_int_equal(ft_pki_make_ca("test CA", days(-1, 30), &w->ca_key, &w->ca_cert, NULL), FT_OK);
    ca = (struct ft_pki_ca){ ft_buf_bytes(&w->ca_key), ft_buf_bytes(&w->ca_cert) };
    assert_int_equal(ft_pki_make_server(&ca, names, 2, days(-1, 30), &w->server.key, &w->server.cert, NULL),
                     FT_OK);
    make_client(&w->ca_key, &w->ca_cert, "store-1", days(-1, 30), &w->shop);
    w->methods[0] = (struct ft_rpc_method){ .path = ECHO,
                                            .kind = FT_RPC_UNARY,
                                            .needs_peer = true,
                                            .message_max = METHOD_LIMIT,
                                            .on_message = on_echo };
    w->methods[1] = (struct ft_rpc_method){ .path = OPEN, .kind = FT_RPC_UNARY, .on_message = on_echo };
    w->methods[2] = (struct ft_rpc_method){
        .path = PARK, .kind = FT_RPC_UNARY, .needs_peer = true, .on_message = on_park
    };
    w->methods[3] = (struct ft_rpc_method){ .path = LOAD,
                                            .kind = FT_RPC_BIDI,
                                            .needs_peer = true,
                                            .on_open = on_load_open,
                                            .on_message = on_load,
                                            .on_half_close = on_load_half_close };
    w->methods[4] = (struct ft_rpc_method){ .path = FETCH,
                                            .kind = FT_RPC_SERVER_STREAM,
                                            .needs_peer = true,
                                            .on_message = on_fetch,
                                            .on_writable = fetch_pump };
    w->methods[5] = (struct ft_rpc_method){
        .path = TALK, .kind = FT_RPC_BIDI, .needs_peer = true, .on_message = on_talk
    };
    for (int i = 0; i < WORLD_METHODS; i++) {
        w->methods[i].on_closed = on_closed;
        w->methods[i].ctx = w;
    }
    if (world_serve(w, "127.0.0.1:0", 0, &err) != FT_OK)
        fail_msg("%s", err.text);
}

void
world_stop(struct world *w, uint32_t grace_ms)
{
    ft_rpc_server_close(w->rpc, grace_ms);
    w->rpc = NULL;
}

void
world_close(struct world *w, uint32_t grace_ms)
{
    world_stop(w, grace_ms);
    ft_buf_clear(&w->ca_key);
    ft_buf_clear(&w->ca_cert);
    identity_clear(&w->server);
    identity_clear(&w->shop);
    pthread_mutex_destroy(&w->lock);
}

struct ft_rpc_channel *
world_channel(struct world *w, const struct identity *id)
{
    struct ft_rpc_channel_params p = { .target = w->target, .ca_pem = ft_buf_bytes(&w->ca_cert) };
    struct ft_rpc_channel *ch = NULL;
    struct ft_error err = { 0 };
    if (id != NULL) {
        p.cert_pem = ft_buf_bytes(&id->cert);
        p.key_pem = ft_buf_bytes(&id->key);
    }
    if (ft_rpc_channel_open(&p, &ch, &err) != FT_OK)
        fail_msg("%s", err.text);
    return ch;
}

enum ft_status
echo(struct ft_rpc_channel *ch, const char *path, struct ft_rpc_result *result)
{
    struct ft_buf out = { 0 };
    enum ft_status st = ft_rpc_unary(ch, path, FT_BYTES("hello", 5), PATIENCE_MS, &out, result);
    if (st == FT_OK) {
        assert_int_equal(out.size, 5);
        assert_memory_equal(out.data, "hello", 5);
    }
    ft_buf_clear(&out);
    return st;
}

void
echo_at_last(struct ft_rpc_channel *ch, const char *path)
{
    enum ft_status st = echo(ch, path, NULL);
    for (unsigned i = 0; i < PATIENCE_MS / 5 && st != FT_OK; i++) {
        nap_ms(5);
        st = echo(ch, path, NULL);
    }
    assert_int_equal(st, FT_OK);
}
