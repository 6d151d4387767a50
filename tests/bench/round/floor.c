#include "tests/bench/round/floor.h"

#include "common/base/alloc.h"
#include "common/rpc/pki.h"
#include "common/rpc/rpc_client.h"
#include "common/rpc/rpc_server.h"
#include "common/secure_sum/prg.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK ((size_t)512 << 10)

static double
clock_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
must(enum ft_status st, const char *what)
{
    if (st == FT_OK)
        return;
    fprintf(stderr, "bench_round: floor: %s: %s\n", what, ft_status_str(st));
    exit(1);
}

struct keys {
    struct ft_buf ca_key, ca, server_key, server, key, cert;
};

static void
make_keys(struct keys *k)
{
    static const char *const names[] = { "127.0.0.1" };
    const int64_t now = (int64_t)time(NULL);
    const struct ft_pki_validity day = { now - 3600, now + 86400 };
    struct ft_buf csr = { 0 };

    must(ft_pki_make_ca("bench", day, &k->ca_key, &k->ca, NULL), "CA");
    const struct ft_pki_ca ca = { ft_buf_bytes(&k->ca_key), ft_buf_bytes(&k->ca) };
    must(ft_pki_make_server(&ca, names, 1, day, &k->server_key, &k->server, NULL), "server certificate");
    must(ft_pki_make_request("bench", &k->key, &csr, NULL), "request");
    must(ft_pki_issue_client(&ca, ft_buf_bytes(&csr), "bench", day, &k->cert, NULL), "client certificate");
    ft_buf_clear(&csr);
}

/* ---- the server: takes bytes, gives bytes ---- */

static void
on_load(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    (void)ctx, (void)message;
    (void)ft_rpc_read_next(call);
}

static void
pump(void *ctx, struct ft_rpc_call *call)
{
    static uint8_t chunk[CHUNK];
    uint64_t left = (uint64_t)(uintptr_t)ft_rpc_call_user(call);

    (void)ctx;
    while (left > 0) {
        const size_t size = left < CHUNK ? (size_t)left : CHUNK;
        if (ft_rpc_send(call, FT_BYTES(chunk, size)) != FT_OK)
            break;
        left -= size;
    }
    ft_rpc_call_set_user(call, (void *)(uintptr_t)left);
    if (left == 0)
        (void)ft_rpc_finish(call, FT_RPC_OK, NULL);
}

static void
on_fetch(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    uint64_t size = 0;
    memcpy(&size, message.data, sizeof size);
    ft_rpc_call_set_user(call, (void *)(uintptr_t)size);
    pump(ctx, call);
}

static enum ft_rpc_code
authorize(void *ctx, const struct ft_rpc_peer *peer, const char *path)
{
    (void)ctx, (void)peer, (void)path;
    return FT_RPC_OK;
}

static const struct ft_rpc_method methods[] = {
    { .path = "/b/Load", .kind = FT_RPC_BIDI, .needs_peer = true, .on_message = on_load },
    { .path = "/b/Fetch", .kind = FT_RPC_SERVER_STREAM, .needs_peer = true, .on_message = on_fetch, .on_writable = pump },
};

/* Serve until the pipe closes. */
static void
serve(const struct keys *k, int tell, int until)
{
    const struct ft_rpc_server_params params = { .address = "127.0.0.1:0",
                                                 .ca_pem = ft_buf_bytes(&k->ca),
                                                 .cert_pem = ft_buf_bytes(&k->server),
                                                 .key_pem = ft_buf_bytes(&k->server_key),
                                                 .methods = methods,
                                                 .method_count = sizeof methods / sizeof *methods,
                                                 .authorize = authorize };
    struct ft_rpc_server *server;
    uint8_t byte;
    must(ft_rpc_server_open(&params, &server, NULL), "server");
    const uint16_t port = ft_rpc_server_port(server);
    if (write(tell, &port, sizeof port) != sizeof port)
        exit(1);
    (void)!read(until, &byte, 1);
    ft_rpc_server_close(server, 0);
}

/* ---- a shop ---- */

static void
one_turn(struct ft_rpc_channel *channel, uint64_t up, uint64_t down)
{
    struct ft_rpc_stream *stream;
    struct ft_bytes message;
    uint64_t got = 0;

    must(ft_rpc_stream_open(channel, "/b/Fetch", 60000, &stream), "fetch");
    must(ft_rpc_stream_send(stream, FT_BYTES(&down, sizeof down)), "fetch");
    must(ft_rpc_stream_done(stream), "fetch");
    while (ft_rpc_stream_recv(stream, UINT32_MAX, &message) == FT_OK)
        got += message.size;
    must(ft_rpc_stream_close(stream, NULL), "fetch");
    must(got == down ? FT_OK : FT_ERR_FORMAT, "fetch");
    must(ft_rpc_stream_open(channel, "/b/Load", 60000, &stream), "load");
    for (uint64_t sent = 0; sent < up;) {
        const size_t size = up - sent < CHUNK ? (size_t)(up - sent) : CHUNK;
        struct ft_buf part = { 0 };
        must(ft_buf_reserve(&part, size), "memory");
        memset(part.data, 1, size);
        part.size = size;
        must(ft_rpc_stream_send_buf(stream, &part), "load");
        sent += size;
    }
    must(ft_rpc_stream_done(stream), "load");
    (void)!ft_rpc_stream_recv(stream, UINT32_MAX, &message);
    must(ft_rpc_stream_close(stream, NULL), "load");
}

static void
shop(const struct keys *k, uint16_t port, uint64_t up, uint64_t down, unsigned repeat, int ready, int go)
{
    char target[32];
    struct ft_rpc_channel *channel;
    uint8_t byte = 0;

    snprintf(target, sizeof target, "127.0.0.1:%u", port);
    const struct ft_rpc_channel_params params = { .target = target,
                                                  .ca_pem = ft_buf_bytes(&k->ca),
                                                  .cert_pem = ft_buf_bytes(&k->cert),
                                                  .key_pem = ft_buf_bytes(&k->key) };
    must(ft_rpc_channel_open(&params, &channel, NULL), "channel");
    one_turn(channel, up, down);
    if (write(ready, &byte, 1) != 1)
        exit(1);
    (void)!read(go, &byte, 1);
    for (unsigned i = 0; i < repeat; i++)
        one_turn(channel, up, down);
    ft_rpc_channel_close(channel);
}

/* Processes are forked before gRPC is started in any of them; this one never uses it. */
double
bench_floor_wire(unsigned shops, uint64_t up, uint64_t down, unsigned repeat)
{
    struct keys keys = { 0 };
    int tell[2], until[2], ready[2], go[2], port_pipe[2], status;
    pid_t server, *pids = ft_calloc(shops, sizeof *pids);
    uint16_t port = 0;
    uint8_t byte;

    if (pids == NULL || pipe(tell) != 0 || pipe(until) != 0 || pipe(ready) != 0 || pipe(go) != 0 || pipe(port_pipe) != 0)
        must(FT_ERR_NOMEM, "pipes");
    make_keys(&keys);
    server = fork();
    if (server == 0) {
        close(until[1]);
        serve(&keys, tell[1], until[0]);
        _exit(0);
    }
    if (read(tell[0], &port, sizeof port) != sizeof port)
        must(FT_ERR_IO, "server");
    for (unsigned i = 0; i < shops; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            close(until[1]);
            close(go[1]);
            shop(&keys, port, up, down, repeat, ready[1], go[0]);
            _exit(0);
        }
    }
    close(go[0]);
    for (unsigned i = 0; i < shops; i++)
        if (read(ready[0], &byte, 1) != 1)
            must(FT_ERR_IO, "shop");
    const double start = clock_s(CLOCK_MONOTONIC);
    close(go[1]);
    for (unsigned i = 0; i < shops; i++)
        if (waitpid(pids[i], &status, 0) != pids[i] || status != 0)
            must(FT_ERR_PEER, "shop");
    const double took = clock_s(CLOCK_MONOTONIC) - start;
    close(until[1]);
    waitpid(server, &status, 0);
    ft_free(pids);
    return took / repeat;
}

double
bench_floor_keystream(unsigned shops, uint64_t words)
{
    const unsigned masks = shops * (shops - 1) + shops + shops;
    struct ft_ss_prg *prg;
    uint64_t *sum = ft_calloc(words, sizeof *sum);
    uint8_t seed[32] = { 7 };

    must(sum != NULL ? FT_OK : FT_ERR_NOMEM, "vector");
    must(ft_ss_prg_open(FT_SS_SUITE_AES256CTR, FT_SS_BACKEND_BEST, &prg), "generator");
    const double start = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < masks; i++) {
        seed[1] = (uint8_t)i;
        must(ft_ss_prg_apply(prg, seed, false, sum, 0, words), "keystream");
    }
    const double took = clock_s(CLOCK_PROCESS_CPUTIME_ID) - start;
    ft_ss_prg_close(prg);
    ft_free(sum);
    return took;
}

static int
by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double
bench_floor_sync(void)
{
    char path[] = "/tmp/fedtill-bench-sync.XXXXXX", page[4096] = { 1 };
    double took[50];
    const int fd = mkstemp(path);

    must(fd >= 0 ? FT_OK : FT_ERR_IO, path);
    unlink(path);
    for (unsigned i = 0; i < 50; i++) {
        const double start = clock_s(CLOCK_MONOTONIC);
        if (write(fd, page, sizeof page) != (ssize_t)sizeof page || fdatasync(fd) != 0)
            must(FT_ERR_IO, path);
        took[i] = clock_s(CLOCK_MONOTONIC) - start;
    }
    close(fd);
    qsort(took, 50, sizeof took[0], by_size);
    return took[25];
}
