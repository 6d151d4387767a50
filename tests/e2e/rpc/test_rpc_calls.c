/* Calls over real connections: parking, cancelling, closing, streams and their flow control. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/alloc.h"
#include "tests/e2e/rpc/world.h"
#include "tests/support/relay.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
setup(void **state)
{
    static struct world w;
    world_open(&w);
    *state = &w;
    return 0;
}

static int
teardown(void **state)
{
    world_close(*state, 1000);
    return 0;
}

/* With a proxy set for everything, while no other thread reads the environment. */
static int
setup_with_proxy(void **state)
{
    return setenv("http_proxy", "http://127.0.0.1:1", 1) == 0 ? setup(state) : -1;
}

static int
teardown_with_proxy(void **state)
{
    teardown(state);
    return unsetenv("http_proxy");
}

/* A call that waits in another thread. */
struct waiter {
    pthread_t thread;
    struct ft_rpc_channel *ch;
    uint32_t deadline_ms;
    enum ft_status st;
    struct ft_rpc_result result;
    struct ft_buf out;
};

static void *
wait_parked(void *arg)
{
    struct waiter *t = arg;
    t->st = ft_rpc_unary(t->ch, PARK, FT_BYTES("wait", 4), t->deadline_ms, &t->out, &t->result);
    return NULL;
}

static void
waiter_start(struct waiter *t, struct ft_rpc_channel *ch, uint32_t deadline_ms)
{
    memset(t, 0, sizeof *t);
    t->ch = ch;
    t->deadline_ms = deadline_ms;
    assert_int_equal(pthread_create(&t->thread, NULL, wait_parked, t), 0);
}

static void
waiter_join(struct waiter *t)
{
    assert_int_equal(pthread_join(t->thread, NULL), 0);
}

/* A parked call is answered later, from a thread that is not a poller. */
static void
calls_parked_call_is_answered_from_another_thread(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct waiter t;
    enum ft_status st = FT_ERR_INTERNAL;

    waiter_start(&t, ch, PATIENCE_MS);
    await_count(&w->handled, 1);
    assert_true(world_answer(w, &st));
    assert_int_equal(st, FT_OK);
    waiter_join(&t);
    assert_int_equal(t.st, FT_OK);
    assert_int_equal(t.out.size, 4);
    assert_memory_equal(t.out.data, "late", 4);
    await_count(&w->closed_clean, 1);
    assert_int_equal(atomic_load(&w->closed_unclean), 0);
    ft_buf_clear(&t.out);
    ft_rpc_channel_close(ch);
}

/* The client's deadline takes a parked call out of the server. */
static void
calls_parked_call_is_dropped_at_the_clients_deadline(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct waiter t;

    /* A deadline that passed before the call got to the handler shows nothing: a longer one then. */
    for (uint32_t deadline_ms = 300; atomic_load(&w->handled) == 0; deadline_ms *= 2) {
        assert_true(deadline_ms < PATIENCE_MS);
        waiter_start(&t, ch, deadline_ms);
        waiter_join(&t);
        assert_int_equal(t.st, FT_ERR_TIMEOUT);
        assert_int_equal(t.result.code, FT_RPC_DEADLINE_EXCEEDED);
    }
    await_count(&w->closed_unclean, 1);
    while (world_parked(w) > 0) /* hangs until the test's time is up, if it is not dropped */
        nap_ms(5);
    ft_rpc_channel_close(ch);
}

/* The shop's channel, whose calls end when *flag is raised. */
static struct ft_rpc_channel *
cancellable(struct world *w, volatile sig_atomic_t *flag)
{
    const struct ft_rpc_channel_params p = { .target = w->target,
                                             .ca_pem = ft_buf_bytes(&w->ca_cert),
                                             .cert_pem = ft_buf_bytes(&w->shop.cert),
                                             .key_pem = ft_buf_bytes(&w->shop.key),
                                             .cancel = flag };
    struct ft_rpc_channel *ch;

    *flag = 0;
    assert_int_equal(ft_rpc_channel_open(&p, &ch, NULL), FT_OK);
    return ch;
}

/* A raised flag ends a waiting call at the client, and the server hears of it. */
static void
calls_raised_flag_cancels_a_waiting_call(void **state)
{
    struct world *w = *state;
    static volatile sig_atomic_t flag;
    struct ft_rpc_channel *ch = cancellable(w, &flag);
    struct waiter t;

    waiter_start(&t, ch, PATIENCE_MS);
    await_count(&w->handled, 1);
    __atomic_store_n(&flag, 1, __ATOMIC_RELAXED);
    waiter_join(&t);
    assert_int_equal(t.st, FT_ERR_CANCELLED);
    await_count(&w->closed_unclean, 1);
    ft_rpc_channel_close(ch);
}

/* A call that the server cancels, as one that is going away may do, is a failure of the peer that passes:
 * only the own flag is CANCELLED. */
static void
calls_cancelled_by_the_server_may_be_tried_again(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct waiter t;
    struct ft_rpc_call *call;

    waiter_start(&t, ch, PATIENCE_MS);
    await_count(&w->handled, 1);
    pthread_mutex_lock(&w->lock);
    call = w->parked[0];
    ft_rpc_call_hold(call);
    pthread_mutex_unlock(&w->lock);
    assert_int_equal(ft_rpc_reply(call, FT_RPC_CANCELLED, (struct ft_bytes){ NULL, 0 }, "going away"), FT_OK);
    ft_rpc_call_drop(call);
    waiter_join(&t);
    assert_int_equal(t.st, FT_ERR_PEER);
    assert_int_equal(t.result.code, FT_RPC_CANCELLED);
    ft_buf_clear(&t.out);
    ft_rpc_channel_close(ch);
}

/* A held call outlives its end: answering it then is refused, not a use after free. */
static void
calls_held_call_refuses_an_answer_after_its_end(void **state)
{
    struct world *w = *state;
    static volatile sig_atomic_t flag;
    struct ft_rpc_channel *ch = cancellable(w, &flag);
    struct waiter t;
    struct ft_rpc_call *call;

    waiter_start(&t, ch, PATIENCE_MS);
    await_count(&w->handled, 1);
    pthread_mutex_lock(&w->lock);
    assert_int_equal(w->parked_count, 1);
    call = w->parked[0];
    ft_rpc_call_hold(call);
    pthread_mutex_unlock(&w->lock);
    assert_true(ft_rpc_call_left_ms(call) <= PATIENCE_MS);
    __atomic_store_n(&flag, 1, __ATOMIC_RELAXED);
    waiter_join(&t);
    await_count(&w->closed_unclean, 1);
    assert_int_equal(ft_rpc_reply(call, FT_RPC_OK, FT_BYTES("x", 1), NULL), FT_ERR_CANCELLED);
    assert_string_equal(ft_rpc_call_peer(call)->common_name, "store-1");
    ft_rpc_call_drop(call);
    ft_rpc_channel_close(ch);
}

/* An answered call refuses a second answer. */
static void
calls_second_answer_is_refused(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct waiter t;
    struct ft_rpc_call *call;
    enum ft_status first, second;

    waiter_start(&t, ch, PATIENCE_MS);
    await_count(&w->handled, 1);
    pthread_mutex_lock(&w->lock);
    call = w->parked[0];
    first = ft_rpc_reply(call, FT_RPC_NOT_FOUND, (struct ft_bytes){ NULL, 0 }, "no such thing");
    second = ft_rpc_reply(call, FT_RPC_OK, FT_BYTES("x", 1), NULL);
    pthread_mutex_unlock(&w->lock);
    waiter_join(&t);
    assert_int_equal(first, FT_OK);
    assert_true(second == FT_ERR_STATE || second == FT_ERR_CANCELLED); /* the end may be in already */
    assert_int_equal(t.result.code, FT_RPC_NOT_FOUND);
    assert_string_equal(t.result.detail, "no such thing");
    assert_int_equal(t.st, FT_ERR_NOTFOUND);
    ft_rpc_channel_close(ch);
}

/* Closing the server with parked calls ends each of them, tells its handler, and returns. */
static void
calls_server_closes_with_parked_calls(void **state)
{
    struct world *w = *state;
    enum { N = 8 };
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct waiter t[N];

    for (int i = 0; i < N; i++)
        waiter_start(&t[i], ch, PATIENCE_MS);
    await_count(&w->handled, N);
    world_stop(w, 0);
    assert_int_equal(atomic_load(&w->closed_unclean), N); /* at once: close waits for them */
    assert_int_equal(world_parked(w), 0);
    for (int i = 0; i < N; i++) {
        waiter_join(&t[i]);
        assert_int_not_equal(t[i].st, FT_OK);
    }
    ft_rpc_channel_close(ch);
}

static void *
answer_soon(void *arg)
{
    struct world *w = arg;
    enum ft_status st;
    nap_ms(200);
    (void)world_answer(w, &st);
    return NULL;
}

/* With a grace period, a call that is answered within it gets its answer although the server is closing. */
static void
calls_server_closing_lets_a_call_finish_within_its_grace(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct waiter t;
    pthread_t answerer;

    waiter_start(&t, ch, PATIENCE_MS);
    await_count(&w->handled, 1);
    assert_int_equal(pthread_create(&answerer, NULL, answer_soon, w), 0);
    world_stop(w, PATIENCE_MS);
    pthread_join(answerer, NULL);
    waiter_join(&t);
    assert_int_equal(t.st, FT_OK);
    assert_int_equal(atomic_load(&w->closed_clean), 1);
    ft_buf_clear(&t.out);
    ft_rpc_channel_close(ch);
}

/* An upload arrives whole, in order, and its end is answered. */
static void
calls_upload_arrives_whole(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct ft_rpc_stream *s;
    struct ft_rpc_result result;
    struct ft_bytes message;
    static const uint8_t chunk[CHUNK] = { 1 };

    assert_int_equal(ft_rpc_stream_open(ch, LOAD, PATIENCE_MS, &s), FT_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(ft_rpc_stream_send(s, FT_BYTES(chunk, CHUNK)), FT_OK);
    assert_int_equal(ft_rpc_stream_done(s), FT_OK);
    assert_int_equal(ft_rpc_stream_recv(s, UINT32_MAX, &message), FT_OK);
    assert_int_equal(message.size, strlen("6553600"));
    assert_memory_equal(message.data, "6553600", message.size);
    assert_int_equal(ft_rpc_stream_recv(s, UINT32_MAX, &message), FT_ERR_NOTFOUND);
    assert_int_equal(ft_rpc_stream_close(s, &result), FT_OK);
    assert_int_equal(atomic_load(&w->got_messages), 100);
    await_count(&w->closed_clean, 1);
    ft_rpc_channel_close(ch);
}

struct sender {
    pthread_t thread;
    struct ft_rpc_stream *s;
    atomic_int accepted;
    enum ft_status st;
};

enum { FLOOD = 400, WINDOW = 4 }; /* messages; of the server by default */

static void *
flood(void *arg)
{
    struct sender *f = arg;
    static const uint8_t chunk[CHUNK] = { 1 };
    for (int i = 0; i < FLOOD && f->st == FT_OK; i++) {
        f->st = ft_rpc_stream_send(f->s, FT_BYTES(chunk, CHUNK));
        atomic_fetch_add(&f->accepted, 1);
    }
    return NULL;
}

/* While the server does not ask for more, the sender is held back; once it does, everything arrives. */
static void
calls_sender_is_held_back_while_the_server_does_not_read(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct sender f = { .st = FT_OK };
    struct ft_bytes message;
    int stuck = -1;

    atomic_store(&w->gated, true);
    assert_int_equal(ft_rpc_stream_open(ch, LOAD, PATIENCE_MS, &f.s), FT_OK);
    assert_int_equal(pthread_create(&f.thread, NULL, flood, &f), 0);
    await_count(&w->got_messages, 1);
    while (stuck != atomic_load(&f.accepted)) { /* until it has stood still for half a second */
        stuck = atomic_load(&f.accepted);
        nap_ms(500);
    }
    assert_true(stuck < FLOOD / 2); /* 200 chunks are 13 MB: what buffers hold is far less */
    assert_int_equal(atomic_load(&w->got_messages), 1);
    atomic_store(&w->gated, false);
    pthread_mutex_lock(&w->lock);
    assert_non_null(w->stream);
    assert_int_equal(ft_rpc_read_next(w->stream), FT_OK);
    pthread_mutex_unlock(&w->lock);
    pthread_join(f.thread, NULL);
    assert_int_equal(f.st, FT_OK);
    assert_int_equal(ft_rpc_stream_done(f.s), FT_OK);
    assert_int_equal(ft_rpc_stream_recv(f.s, UINT32_MAX, &message), FT_OK);
    assert_int_equal(ft_rpc_stream_recv(f.s, UINT32_MAX, &message), FT_ERR_NOTFOUND);
    assert_int_equal(ft_rpc_stream_close(f.s, NULL), FT_OK);
    assert_int_equal(atomic_load(&w->got_messages), FLOOD);
    assert_int_equal(atomic_load(&w->got_bytes), FLOOD * CHUNK);
    ft_rpc_channel_close(ch);
}

/* A client that goes away in the middle of an upload closes the call uncleanly, and no half-close is told. */
static void
calls_upload_given_up_is_closed_uncleanly(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct ft_rpc_stream *s;
    struct ft_rpc_result result;

    assert_int_equal(ft_rpc_stream_open(ch, LOAD, PATIENCE_MS, &s), FT_OK);
    assert_int_equal(ft_rpc_stream_send(s, FT_BYTES("abc", 3)), FT_OK);
    await_count(&w->got_messages, 1);
    assert_int_equal(ft_rpc_stream_close(s, &result), FT_ERR_CANCELLED);
    await_count(&w->closed_unclean, 1);
    assert_int_equal(atomic_load(&w->closed_clean), 0);
    ft_rpc_channel_close(ch);
}

/* Messages go back and forth on one stream; looking without waiting finds nothing before it is there. */
static void
calls_stream_goes_both_ways(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct ft_rpc_stream *s;
    struct ft_bytes message;

    assert_int_equal(ft_rpc_stream_open(ch, TALK, PATIENCE_MS, &s), FT_OK);
    assert_int_equal(ft_rpc_stream_recv(s, 0, &message), FT_ERR_LATER);
    for (uint8_t i = 0; i < 50; i++) {
        assert_int_equal(ft_rpc_stream_send(s, FT_BYTES(&i, 1)), FT_OK);
        assert_int_equal(ft_rpc_stream_recv(s, UINT32_MAX, &message), FT_OK);
        assert_int_equal(message.size, 1);
        assert_int_equal(message.data[0], i);
    }
    assert_int_equal(ft_rpc_stream_done(s), FT_OK);
    assert_int_equal(ft_rpc_stream_recv(s, UINT32_MAX, &message), FT_ERR_NOTFOUND);
    assert_int_equal(ft_rpc_stream_close(s, NULL), FT_OK);
    ft_rpc_channel_close(ch);
}

/* A shop revoked while its stream is open is out at its next message, which reaches no handler. */
static void
calls_revoked_during_a_stream_is_out_at_the_next_message(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct ft_rpc_stream *s;
    struct ft_rpc_result result;
    struct ft_bytes message;

    assert_int_equal(ft_rpc_stream_open(ch, TALK, PATIENCE_MS, &s), FT_OK);
    assert_int_equal(ft_rpc_stream_send(s, FT_BYTES("a", 1)), FT_OK);
    assert_int_equal(ft_rpc_stream_recv(s, UINT32_MAX, &message), FT_OK);
    atomic_store(&w->revoked, true);
    assert_int_equal(ft_rpc_stream_send(s, FT_BYTES("b", 1)), FT_OK);
    assert_int_equal(ft_rpc_stream_recv(s, UINT32_MAX, &message), FT_ERR_REFUSED);
    assert_int_equal(ft_rpc_stream_send(s, FT_BYTES("c", 1)), FT_ERR_REFUSED);
    assert_int_equal(ft_rpc_stream_close(s, &result), FT_ERR_REFUSED);
    assert_int_equal(result.code, FT_RPC_PERMISSION_DENIED);
    assert_int_equal(atomic_load(&w->handled), 1);
    await_count(&w->closed_unclean, 1);
    assert_int_equal(atomic_load(&w->audits), 1);
    ft_rpc_channel_close(ch);
}

/* A download arrives whole through a window of a few chunks. */
static void
calls_download_arrives_whole(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct ft_rpc_stream *s;
    struct ft_bytes message;
    int got = 0;

    w->send_total = 100;
    assert_int_equal(ft_rpc_stream_open(ch, FETCH, PATIENCE_MS, &s), FT_OK);
    assert_int_equal(ft_rpc_stream_send(s, FT_BYTES("x", 1)), FT_OK);
    assert_int_equal(ft_rpc_stream_done(s), FT_OK);
    while (ft_rpc_stream_recv(s, UINT32_MAX, &message) == FT_OK) {
        assert_int_equal(message.size, CHUNK);
        assert_int_equal(message.data[0], 7);
        got++;
    }
    assert_int_equal(got, 100);
    assert_int_equal(ft_rpc_stream_close(s, NULL), FT_OK);
    await_count(&w->closed_clean, 1);
    ft_rpc_channel_close(ch);
}

/* A client that does not read holds the server's download back; revoked meanwhile, it gets no more than was
 * under way. */
static void
calls_download_is_held_back_and_ends_when_revoked(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct ft_rpc_stream *s;
    struct ft_bytes message;
    enum ft_status st = FT_OK;
    int got = 0, stuck = -1, under_way;

    w->send_total = FLOOD;
    assert_int_equal(ft_rpc_stream_open(ch, FETCH, PATIENCE_MS, &s), FT_OK);
    assert_int_equal(ft_rpc_stream_send(s, FT_BYTES("x", 1)), FT_OK);
    assert_int_equal(ft_rpc_stream_done(s), FT_OK);
    await_count(&w->sent_messages, 1);
    while (stuck != atomic_load(&w->sent_messages)) {
        stuck = atomic_load(&w->sent_messages);
        nap_ms(300);
    }
    assert_true(stuck < FLOOD / 2);
    atomic_store(&w->revoked, true);
    under_way =
        atomic_load(&w->sent_messages) + WINDOW; /* a handler that was allowed just before fills the window */
    while ((st = ft_rpc_stream_recv(s, UINT32_MAX, &message)) == FT_OK)
        got++;
    assert_int_equal(st, FT_ERR_REFUSED);
    assert_true(got <= under_way);
    assert_int_equal(ft_rpc_stream_close(s, NULL), FT_ERR_REFUSED);
    assert_int_equal(atomic_load(&w->audits), 1);
    ft_rpc_channel_close(ch);
}

/* A server that answers before the client is done: the sender is told, and the answer is still there to read.
 */
static void
calls_early_answer_reaches_a_client_that_is_still_sending(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct sender f = { .st = FT_OK };
    struct ft_bytes message;

    atomic_store(&w->reject_at, 3);
    assert_int_equal(ft_rpc_stream_open(ch, LOAD, PATIENCE_MS, &f.s), FT_OK);
    (void)flood(&f);
    assert_int_equal(f.st, FT_ERR_LATER);
    assert_int_equal(ft_rpc_stream_recv(f.s, UINT32_MAX, &message), FT_OK);
    assert_int_equal(message.size, 2);
    assert_memory_equal(message.data, "no", 2);
    assert_int_equal(ft_rpc_stream_recv(f.s, UINT32_MAX, &message), FT_ERR_NOTFOUND);
    assert_int_equal(ft_rpc_stream_close(f.s, NULL), FT_OK);
    assert_int_equal(atomic_load(&w->got_messages), 3);
    ft_rpc_channel_close(ch);
}

/* An answer above the message limit is refused to the handler, which may then say something shorter. */
static void
calls_answer_above_the_limit_is_refused_to_the_handler(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct waiter t;
    struct ft_buf big = { 0 };
    enum ft_status first, second;

    assert_int_equal(ft_buf_reserve(&big, (size_t)20 << 20), FT_OK);
    big.size = (size_t)20 << 20;
    waiter_start(&t, ch, PATIENCE_MS);
    await_count(&w->handled, 1);
    pthread_mutex_lock(&w->lock);
    first = ft_rpc_reply(w->parked[0], FT_RPC_OK, ft_buf_bytes(&big), NULL);
    second = ft_rpc_reply(w->parked[0], FT_RPC_ABORTED, (struct ft_bytes){ NULL, 0 }, "too much to say");
    pthread_mutex_unlock(&w->lock);
    waiter_join(&t);
    assert_int_equal(first, FT_ERR_LIMIT);
    assert_int_equal(second, FT_OK);
    assert_int_equal(t.result.code, FT_RPC_ABORTED);
    ft_buf_clear(&big);
    ft_rpc_channel_close(ch);
}

/* Strangers who take all the places they can get leave the shops theirs. */
static void
calls_of_strangers_do_not_crowd_out_shops(void **state)
{
    struct world *w = *state;
    enum { CROWD = 4 };
    struct ft_rpc_channel *ch, *stranger;
    struct ft_rpc_stream *s[CROWD];

    world_stop(w, 0);
    assert_int_equal(world_serve(w, "127.0.0.1:0", 16, NULL), FT_OK); /* two places for strangers */
    ch = world_channel(w, &w->shop);
    stranger = world_channel(w, NULL);
    for (int i = 0; i < CROWD; i++) /* calls whose request does not come */
        assert_int_equal(ft_rpc_stream_open(stranger, OPEN, PATIENCE_MS, &s[i]), FT_OK);
    await_count(&w->audit_of[FT_RPC_AUDIT_OVERLOAD], CROWD - 2);
    assert_int_equal(echo(ch, ECHO, NULL), FT_OK);
    for (int i = 0; i < CROWD; i++)
        (void)ft_rpc_stream_close(s[i], NULL);
    ft_rpc_channel_close(ch);
    ft_rpc_channel_close(stranger);
}

/* A unary call without a request is refused and reaches no handler. */
static void
calls_unary_without_a_request_is_refused(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    struct ft_rpc_stream *s;
    struct ft_bytes message;

    assert_int_equal(ft_rpc_stream_open(ch, ECHO, PATIENCE_MS, &s), FT_OK);
    assert_int_equal(ft_rpc_stream_done(s), FT_OK);
    assert_int_equal(ft_rpc_stream_recv(s, UINT32_MAX, &message), FT_ERR_FORMAT);
    assert_int_equal(ft_rpc_stream_close(s, NULL), FT_ERR_FORMAT);
    assert_int_equal(atomic_load(&w->handled), 0);
    ft_rpc_channel_close(ch);
}

/* A port in use is a configuration error that names the address. */
static void
calls_port_in_use_is_a_clear_error(void **state)
{
    struct world *w = *state;
    static struct world second;
    struct ft_error err = { 0 };
    char address[32];

    second = *w;
    second.rpc = NULL;
    snprintf(address, sizeof address, "%s", w->target);
    assert_int_equal(world_serve(&second, address, 0, &err), FT_ERR_CONFIG);
    assert_null(second.rpc);
    assert_non_null(strstr(err.text, address));
    assert_non_null(strstr(err.text, "in use"));
    err = (struct ft_error){ 0 };
    assert_int_equal(world_serve(&second, "nonsense", 0, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "nonsense"));
    err = (struct ft_error){ 0 };
    assert_int_equal(world_serve(&second, "192.0.2.1:0", 0, &err), FT_ERR_CONFIG); /* TEST-NET: nobody's */
    assert_non_null(strstr(err.text, "192.0.2.1:0"));
    err = (struct ft_error){ 0 };
    assert_int_equal(world_serve(&second, "127.0.0.1:65536", 0, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "is not host:port")); /* and not what the kernel makes of it */
}

/* An aggregator that is down is PEER; the same channel works again once it is back. */
static void
calls_channel_survives_a_restart_of_the_server(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = NULL;
    char address[32];
    enum ft_status st = FT_ERR_CONFIG;

    for (int i = 0; i < 20 && st == FT_ERR_CONFIG; i++) { /* somebody else may take the port meanwhile */
        ft_rpc_channel_close(ch);
        ch = world_channel(w, &w->shop);
        assert_int_equal(echo(ch, ECHO, NULL), FT_OK);
        snprintf(address, sizeof address, "%s", w->target);
        world_stop(w, 0);
        assert_int_equal(echo(ch, ECHO, NULL), FT_ERR_PEER);
        st = world_serve(w, address, 0, NULL);
        if (st == FT_ERR_CONFIG)
            assert_int_equal(world_serve(w, "127.0.0.1:0", 0, NULL), FT_OK);
    }
    assert_int_equal(st, FT_OK);
    echo_at_last(ch, ECHO);
    ft_rpc_channel_close(ch);
}

/* A link that goes silent under a long poll is noticed by keepalive, long before the call's deadline. */
static void
calls_silent_link_is_noticed_by_keepalive(void **state)
{
    struct world *w = *state;
    struct relay *line = relay_open(ft_rpc_server_port(w->rpc));
    struct ft_rpc_channel_params p = { .target = w->target,
                                       .ca_pem = ft_buf_bytes(&w->ca_cert),
                                       .cert_pem = ft_buf_bytes(&w->shop.cert),
                                       .key_pem = ft_buf_bytes(&w->shop.key),
                                       .keepalive_ms = 1000,
                                       .keepalive_wait_ms = 3000 };
    struct ft_rpc_channel *ch;
    struct waiter t;

    snprintf(w->target, sizeof w->target, "127.0.0.1:%u", relay_port(line));
    assert_int_equal(ft_rpc_channel_open(&p, &ch, NULL), FT_OK);
    waiter_start(&t, ch, 3600 * 1000);
    await_count(&w->handled, 1);
    relay_silence(line);
    waiter_join(&t); /* hangs until the test's time is up, if nobody notices */
    assert_int_equal(t.st, FT_ERR_PEER);
    relay_close(line);
    await_count(&w->closed_unclean, 1);
    ft_rpc_channel_close(ch);
}

/* A proxy set for everything is not asked for this machine itself. */
static void
calls_loopback_needs_no_proxy(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, &w->shop);
    assert_int_equal(echo(ch, ECHO, NULL), FT_OK);
    ft_rpc_channel_close(ch);
}

/* Calls beyond calls_max are turned away at once, with one audit event each; a free place serves again. */
static void
calls_above_the_limit_are_turned_away(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch;
    struct waiter t[2];
    enum ft_status st;

    world_stop(w, 0);
    assert_int_equal(world_serve(w, "127.0.0.1:0", 2, NULL), FT_OK);
    ch = world_channel(w, &w->shop);
    for (int i = 0; i < 2; i++)
        waiter_start(&t[i], ch, PATIENCE_MS);
    await_count(&w->handled, 2);
    assert_int_equal(echo(ch, ECHO, NULL), FT_ERR_LATER);
    assert_int_equal(atomic_load(&w->audits), 1);
    assert_int_equal(atomic_load(&w->audit_of[FT_RPC_AUDIT_OVERLOAD]), 1);
    assert_true(world_answer(w, &st));
    echo_at_last(ch, ECHO);
    assert_true(world_answer(w, &st));
    for (int i = 0; i < 2; i++) {
        waiter_join(&t[i]);
        assert_int_equal(t[i].st, FT_OK);
        ft_buf_clear(&t[i].out);
    }
    ft_rpc_channel_close(ch);
}

/* One shop's calls leave room for the other shops', however many it opens. */
static void
calls_of_one_shop_do_not_take_the_others_places(void **state)
{
    struct world *w = *state;
    struct identity other = { 0 };
    struct ft_rpc_channel *ch, *others;
    struct waiter t[2];
    enum ft_status st;

    world_stop(w, 0);
    w->calls_per_peer = 2;
    assert_int_equal(world_serve(w, "127.0.0.1:0", 4, NULL), FT_OK);
    make_client(&w->ca_key, &w->ca_cert, "store-2", days(-1, 30), &other);
    ch = world_channel(w, &w->shop);
    others = world_channel(w, &other);
    for (int i = 0; i < 2; i++)
        waiter_start(&t[i], ch, PATIENCE_MS);
    await_count(&w->handled, 2);
    assert_int_equal(echo(ch, ECHO, NULL), FT_ERR_LATER);
    assert_int_equal(atomic_load(&w->audit_of[FT_RPC_AUDIT_OVERLOAD]), 1);
    assert_int_equal(echo(others, ECHO, NULL), FT_OK);
    for (int i = 0; i < 2; i++)
        assert_true(world_answer(w, &st));
    for (int i = 0; i < 2; i++) {
        waiter_join(&t[i]);
        assert_int_equal(t[i].st, FT_OK);
        ft_buf_clear(&t[i].out);
    }
    echo_at_last(ch, ECHO);
    ft_rpc_channel_close(ch);
    ft_rpc_channel_close(others);
    identity_clear(&other);
}

/* Anybody may watch the server's health, and a watch lasts; however many there are, newcomers can enrol. */
static void
calls_of_watching_strangers_leave_room_for_newcomers(void **state)
{
    enum { WATCHERS = 4 };
    struct world *w = *state;
    struct ft_rpc_channel *watching, *newcomer;
    struct ft_rpc_stream *s[WATCHERS];
    struct ft_bytes message;
    int told = 0;

    world_stop(w, 0);
    assert_int_equal(world_serve(w, "127.0.0.1:0", WATCHERS * 8, NULL), FT_OK);
    watching = world_channel(w, NULL);
    newcomer = world_channel(w, NULL);
    for (int i = 0; i < WATCHERS; i++) {
        assert_int_equal(ft_rpc_stream_open(watching, "/grpc.health.v1.Health/Watch", PATIENCE_MS, &s[i]),
                         FT_OK);
        (void)!ft_rpc_stream_send(s[i], FT_BYTES(NULL, 0));
        told += ft_rpc_stream_recv(s[i], UINT32_MAX, &message) == FT_OK;
    }
    assert_int_equal(told, WATCHERS / 2);
    echo_at_last(newcomer, OPEN);
    for (int i = 0; i < WATCHERS; i++)
        (void)ft_rpc_stream_close(s[i], NULL);
    ft_rpc_channel_close(watching);
    ft_rpc_channel_close(newcomer);
}

enum { SILENT_MS = 1500 }; /* long beside what a call's own message needs, on a machine with other work too */

/* A call whose message never comes, or whose messages cease, is ended by the server, with an audit event; one
 * that the server itself keeps waiting is not. */
static void
calls_that_fall_silent_are_ended(void **state)
{
    static const char *const paths[] = { ECHO, LOAD, LOAD, OPEN };
    struct world *w = *state;
    struct ft_rpc_channel *ch, *stranger;
    struct ft_rpc_stream *s[4];
    struct ft_rpc_result result;
    struct ft_bytes message;
    struct waiter t;
    enum ft_status st;

    world_stop(w, 0);
    w->silent_ms = SILENT_MS;
    assert_int_equal(world_serve(w, "127.0.0.1:0", 0, NULL), FT_OK);
    ch = world_channel(w, &w->shop);
    stranger = world_channel(w, NULL);
    waiter_start(&t, ch, PATIENCE_MS);
    await_count(&w->handled, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(ft_rpc_stream_open(i < 3 ? ch : stranger, paths[i], PATIENCE_MS, &s[i]), FT_OK);
    (void)!ft_rpc_stream_send(s[2], FT_BYTES("abc", 3));
    for (int i = 0; i < 4; i++) {
        assert_int_not_equal(ft_rpc_stream_recv(s[i], UINT32_MAX, &message), FT_OK);
        (void)ft_rpc_stream_close(s[i], &result);
        assert_int_equal(result.code, FT_RPC_ABORTED);
    }
    await_count(&w->audit_of[FT_RPC_AUDIT_SILENT], 4);
    await_count(&w->closed_unclean, 2);
    assert_int_equal(world_parked(w), 1);
    assert_true(world_answer(w, &st));
    waiter_join(&t);
    assert_int_equal(t.st, FT_OK);
    ft_buf_clear(&t.out);
    ft_rpc_channel_close(ch);
    ft_rpc_channel_close(stranger);
}

/* A shop that asks for a download and never takes it is ended as well. */
static void
calls_whose_answers_are_not_taken_are_ended(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch;
    struct ft_rpc_stream *s;

    world_stop(w, 0);
    w->silent_ms = SILENT_MS;
    w->send_total = 4000;
    assert_int_equal(world_serve(w, "127.0.0.1:0", 0, NULL), FT_OK);
    ch = world_channel(w, &w->shop);
    assert_int_equal(ft_rpc_stream_open(ch, FETCH, PATIENCE_MS, &s), FT_OK);
    assert_int_equal(ft_rpc_stream_send(s, FT_BYTES("x", 1)), FT_OK);
    await_count(&w->closed_unclean, 1);
    await_count(&w->audit_of[FT_RPC_AUDIT_SILENT], 1); /* told after the call was ended, by another thread */
    (void)ft_rpc_stream_close(s, NULL);
    ft_rpc_channel_close(ch);
}

struct churn {
    pthread_t thread;
    struct world *w;
    unsigned seed;
    int failures;
};

/* A client that mixes good calls, short deadlines, broken-off streams and new connections. */
static void *
churn(void *arg)
{
    struct churn *c = arg;
    struct ft_rpc_channel *ch = world_channel(c->w, &c->w->shop);
    for (int i = 0; i < 60; i++) {
        const int dice = rand_r(&c->seed) % 10;
        struct ft_buf out = { 0 };
        struct ft_rpc_stream *s;
        if (dice < 4) {
            c->failures += echo(ch, ECHO, NULL) != FT_OK;
        } else if (dice < 7) {
            (void)!ft_rpc_unary(ch, PARK, FT_BYTES("x", 1), 1 + (uint32_t)rand_r(&c->seed) % 30, &out, NULL);
        } else if (dice < 9) {
            c->failures += ft_rpc_stream_open(ch, LOAD, PATIENCE_MS, &s) != FT_OK;
            for (int k = rand_r(&c->seed) % 4; k > 0; k--)
                c->failures += ft_rpc_stream_send(s, FT_BYTES("abc", 3)) != FT_OK;
            (void)ft_rpc_stream_close(s, NULL);
        } else {
            ft_rpc_channel_close(ch);
            ch = world_channel(c->w, &c->w->shop);
        }
        ft_buf_clear(&out);
    }
    ft_rpc_channel_close(ch);
    return NULL;
}

static atomic_bool answering;

static void *
answer_all(void *arg)
{
    enum ft_status st;
    while (atomic_load(&answering))
        if (!world_answer(arg, &st))
            nap_ms(1);
    return NULL;
}

/* Clients that come, time out and break off while another thread answers: every opened call is closed once.
 */
static void
calls_survive_clients_that_come_and_go(void **state)
{
    struct world *w = *state;
    enum { CLIENTS = 6 };
    static struct churn c[CLIENTS];
    pthread_t answerer;
    int failures = 0;

    atomic_store(&answering, true);
    assert_int_equal(pthread_create(&answerer, NULL, answer_all, w), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        c[i] = (struct churn){ .w = w, .seed = i + 1 };
        assert_int_equal(pthread_create(&c[i].thread, NULL, churn, &c[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(c[i].thread, NULL);
        failures += c[i].failures;
    }
    world_stop(w, 5000);
    atomic_store(&answering, false);
    pthread_join(answerer, NULL);
    assert_int_equal(failures, 0);
    assert_int_equal(atomic_load(&w->closed_clean) + atomic_load(&w->closed_unclean),
                     atomic_load(&w->handled));
    /* A channel that is closed in its handshake is one event, and these are. */
    assert_int_equal(atomic_load(&w->audits), atomic_load(&w->audit_of[FT_RPC_AUDIT_HANDSHAKE]));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(calls_parked_call_is_answered_from_another_thread),
        CASE(calls_parked_call_is_dropped_at_the_clients_deadline),
        CASE(calls_raised_flag_cancels_a_waiting_call),
        CASE(calls_cancelled_by_the_server_may_be_tried_again),
        CASE(calls_held_call_refuses_an_answer_after_its_end),
        CASE(calls_second_answer_is_refused),
        CASE(calls_server_closes_with_parked_calls),
        CASE(calls_server_closing_lets_a_call_finish_within_its_grace),
        CASE(calls_upload_arrives_whole),
        CASE(calls_sender_is_held_back_while_the_server_does_not_read),
        CASE(calls_upload_given_up_is_closed_uncleanly),
        CASE(calls_stream_goes_both_ways),
        CASE(calls_revoked_during_a_stream_is_out_at_the_next_message),
        CASE(calls_download_arrives_whole),
        CASE(calls_download_is_held_back_and_ends_when_revoked),
        CASE(calls_early_answer_reaches_a_client_that_is_still_sending),
        CASE(calls_answer_above_the_limit_is_refused_to_the_handler),
        CASE(calls_of_strangers_do_not_crowd_out_shops),
        CASE(calls_unary_without_a_request_is_refused),
        CASE(calls_port_in_use_is_a_clear_error),
        CASE(calls_channel_survives_a_restart_of_the_server),
        CASE(calls_silent_link_is_noticed_by_keepalive),
        cmocka_unit_test_setup_teardown(calls_loopback_needs_no_proxy, setup_with_proxy, teardown_with_proxy),
        CASE(calls_above_the_limit_are_turned_away),
        CASE(calls_of_one_shop_do_not_take_the_others_places),
        CASE(calls_of_watching_strangers_leave_room_for_newcomers),
        CASE(calls_that_fall_silent_are_ended),
        CASE(calls_whose_answers_are_not_taken_are_ended),
        CASE(calls_survive_clients_that_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
