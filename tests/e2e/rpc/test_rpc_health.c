/* The standard health service, asked by our own client and by an independent one (python3-grpcio). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/e2e/rpc/world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK "/grpc.health.v1.Health/Check"
#define WATCH "/grpc.health.v1.Health/Watch"

/* HealthCheckRequest{service = "fedtill.v1.Federation"} and statuses, encoded by hand. */
#define SERVICE "fedtill.v1.Federation"
static const char request[] = "\x0a\x15" SERVICE;
#define REQUEST FT_BYTES(request, sizeof request - 1)
static const uint8_t serving[] = { 0x08, 1 }, not_serving[] = { 0x08, 2 }, service_unknown[] = { 0x08, 3 };

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

/* Check follows what the server says of itself, for a caller without a certificate too. */
static void
health_check_follows_the_server(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, NULL);
    struct ft_buf out = { 0 };

    assert_int_equal(ft_rpc_unary(ch, CHECK, REQUEST, PATIENCE_MS, &out, NULL), FT_ERR_NOTFOUND);
    assert_int_equal(ft_rpc_server_set_health(w->rpc, SERVICE, true), FT_OK);
    assert_int_equal(ft_rpc_unary(ch, CHECK, REQUEST, PATIENCE_MS, &out, NULL), FT_OK);
    assert_int_equal(out.size, 2);
    assert_memory_equal(out.data, serving, 2);
    assert_int_equal(ft_rpc_server_set_health(w->rpc, SERVICE, false), FT_OK);
    ft_buf_clear(&out);
    assert_int_equal(ft_rpc_unary(ch, CHECK, REQUEST, PATIENCE_MS, &out, NULL), FT_OK);
    assert_memory_equal(out.data, not_serving, 2);
    ft_buf_clear(&out);
    assert_int_equal(ft_rpc_unary(ch, CHECK, FT_BYTES("\x0a\x7f", 2), PATIENCE_MS, &out, NULL),
                     FT_ERR_FORMAT);
    ft_rpc_channel_close(ch);
}

static void
assert_next(struct ft_rpc_stream *s, const uint8_t *want)
{
    struct ft_bytes message;
    assert_int_equal(ft_rpc_stream_recv(s, UINT32_MAX, &message), FT_OK);
    assert_int_equal(message.size, 2);
    assert_memory_equal(message.data, want, 2);
}

/* Watch tells the state at once and every change, and ends when the server closes. */
static void
health_watch_tells_every_change(void **state)
{
    struct world *w = *state;
    struct ft_rpc_channel *ch = world_channel(w, NULL);
    struct ft_rpc_stream *s;
    struct ft_bytes message;

    assert_int_equal(ft_rpc_stream_open(ch, WATCH, PATIENCE_MS, &s), FT_OK);
    assert_int_equal(ft_rpc_stream_send(s, REQUEST), FT_OK);
    assert_int_equal(ft_rpc_stream_done(s), FT_OK);
    assert_next(s, service_unknown);
    assert_int_equal(ft_rpc_server_set_health(w->rpc, SERVICE, true), FT_OK);
    assert_next(s, serving);
    assert_int_equal(ft_rpc_server_set_health(w->rpc, SERVICE, true), FT_OK); /* no change: nothing to tell */
    assert_int_equal(ft_rpc_server_set_health(w->rpc, SERVICE, false), FT_OK);
    assert_next(s, not_serving);
    world_stop(w, PATIENCE_MS);
    assert_int_equal(ft_rpc_stream_recv(s, UINT32_MAX, &message), FT_ERR_PEER);
    assert_int_equal(ft_rpc_stream_close(s, NULL), FT_ERR_PEER);
    ft_rpc_channel_close(ch);
}

/* Strangers cannot fill the server with watchers. */
static void
health_watchers_are_bounded(void **state)
{
    struct world *w = *state;
    enum { MORE = 70, CHANNELS = 3 }; /* a connection carries 32 calls at once */
    struct ft_rpc_channel *ch[CHANNELS];
    static struct ft_rpc_stream *s[MORE];
    struct ft_bytes message;
    int told = 0, refused = 0;

    for (int i = 0; i < CHANNELS; i++)
        ch[i] = world_channel(w, NULL);
    for (int i = 0; i < MORE; i++) {
        enum ft_status st;
        assert_int_equal(ft_rpc_stream_open(ch[i % CHANNELS], WATCH, PATIENCE_MS, &s[i]), FT_OK);
        assert_int_equal(ft_rpc_stream_send(s[i], FT_BYTES("", 0)), FT_OK);
        assert_int_equal(ft_rpc_stream_done(s[i]), FT_OK);
        st = ft_rpc_stream_recv(s[i], UINT32_MAX, &message);
        told += st == FT_OK;
        refused += st == FT_ERR_PEER;
    }
    assert_int_equal(told, 64);
    assert_int_equal(refused, MORE - 64);
    for (int i = 0; i < MORE; i++)
        (void)ft_rpc_stream_close(s[i], NULL);
    for (int i = 0; i < CHANNELS; i++)
        ft_rpc_channel_close(ch[i]);
}

/* Run the independent client; its three lines go to `out`. */
static void
ask_python(struct world *w, const char *ca_file, const char *service, char *out, size_t size)
{
    char command[512];
    FILE *p;
    size_t n;
    snprintf(command, sizeof command, "/usr/bin/python3 tests/e2e/rpc/health_check.py %s %s '%s'", w->target,
             ca_file, service);
    p = popen(command, "r");
    assert_non_null(p);
    n = fread(out, 1, size - 1, p);
    out[n] = '\0';
    assert_int_equal(pclose(p), 0);
}

/* An independent client gets what the standard says: status, NOT_FOUND from Check and SERVICE_UNKNOWN from
 * Watch. A compressed message is refused: a small one could unpack to gigabytes. */
static void
health_answers_an_independent_client(void **state)
{
    struct world *w = *state;
    char path[] = "/tmp/fedtill-health-XXXXXX", out[256];
    const int fd = mkstemp(path);

    if (system("/usr/bin/python3 -c 'import grpc' 2>/dev/null") != 0) {
        print_message("python3-grpcio is not installed: the independent client is left out\n");
        close(fd);
        unlink(path);
        skip();
    }
    assert_int_equal(write(fd, w->ca_cert.data, w->ca_cert.size), (ssize_t)w->ca_cert.size);
    close(fd);
    assert_int_equal(ft_rpc_server_set_health(w->rpc, "", true), FT_OK);
    assert_int_equal(ft_rpc_server_set_health(w->rpc, SERVICE, false), FT_OK);
    ask_python(w, path, "", out, sizeof out);
    assert_string_equal(out, "OK 0801\n0801\nUNIMPLEMENTED\n");
    ask_python(w, path, SERVICE, out, sizeof out);
    assert_string_equal(out, "OK 0802\n0802\nUNIMPLEMENTED\n");
    ask_python(w, path, "no.such.Service", out, sizeof out);
    assert_string_equal(out, "NOT_FOUND\n0803\nUNIMPLEMENTED\n");
    unlink(path);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(health_check_follows_the_server),
        CASE(health_watch_tells_every_change),
        CASE(health_watchers_are_bounded),
        CASE(health_answers_an_independent_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
