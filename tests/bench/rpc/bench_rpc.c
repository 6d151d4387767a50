/*
 * What the transport costs: calls a second, GB/s up and down in chunks of several sizes over TLS on loopback
 * beside a plain memcpy of the same bytes, and resident memory of either side. One process serves, another
 * calls.
 *
 *   bench_rpc [--json]      one line (or object) a figure
 */
#include "common/base/alloc.h"
#include "common/rpc/pki.h"
#include "common/rpc/rpc_client.h"
#include "common/rpc/rpc_server.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TOTAL ((size_t)512 << 20)

static bool json;

struct deployment {
    struct ft_buf ca_key, ca, server_key, server, key, cert;
};

static void
must(enum ft_status st, const char *what)
{
    if (st == FT_OK)
        return;
    fprintf(stderr, "bench_rpc: %s: %s\n", what, ft_status_str(st));
    exit(1);
}

static double
now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double
rss_mib(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%lu %lu", &pages, &resident) != 2)
        resident = 0;
    if (f != NULL)
        fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* Processor time of this process: less upset by a busy machine than the clock on the wall. */
static double
cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static void
show(const char *name, size_t chunk, double value, const char *unit)
{
    if (json)
        printf("{\"figure\":\"%s\",\"chunk\":%zu,\"value\":%.4g,\"unit\":\"%s\"}\n", name, chunk, value,
               unit);
    else if (chunk > 0)
        printf("%-34s %6zu KiB %10.3f %s\n", name, chunk >> 10, value, unit);
    else
        printf("%-34s %10s %10.3f %s\n", name, "", value, unit);
    fflush(stdout);
}

static void
make_deployment(struct deployment *d)
{
    static const char *const names[] = { "127.0.0.1" };
    const int64_t now = (int64_t)time(NULL);
    const struct ft_pki_validity day = { now - 3600, now + 86400 };
    struct ft_pki_ca ca;
    struct ft_buf csr;
    must(ft_pki_make_ca("bench CA", day, &d->ca_key, &d->ca, NULL), "CA");
    ca = (struct ft_pki_ca){ ft_buf_bytes(&d->ca_key), ft_buf_bytes(&d->ca) };
    must(ft_pki_make_server(&ca, names, 1, day, &d->server_key, &d->server, NULL), "server certificate");
    must(ft_pki_make_request("store-1", &d->key, &csr, NULL), "request");
    must(ft_pki_issue_client(&ca, ft_buf_bytes(&csr), "store-1", day, &d->cert, NULL), "client certificate");
    ft_buf_clear(&csr);
}

/* ---- the serving side ---- */

static void
on_echo(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    (void)ctx;
    (void)ft_rpc_reply(call, FT_RPC_OK, message, NULL);
}

struct usage {
    double rss_mib, cpu_s;
};

static void
on_usage(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    const struct usage now = { rss_mib(), cpu_s() };
    (void)ctx, (void)message;
    (void)ft_rpc_reply(call, FT_RPC_OK, FT_BYTES(&now, sizeof now), NULL);
}

static void
on_park(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    (void)ctx, (void)call, (void)message;
}

static void
on_load(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    (void)ctx, (void)message;
    (void)ft_rpc_read_next(call);
}

static void
fetch_pump(void *ctx, struct ft_rpc_call *call)
{
    static uint8_t chunk[4 << 20];
    const size_t size = (size_t)(uintptr_t)ft_rpc_call_user(call) & 0xffffff;
    size_t left = (size_t)(uintptr_t)ft_rpc_call_user(call) >> 24;
    (void)ctx;
    while (left > 0 && ft_rpc_send(call, FT_BYTES(chunk, size)) == FT_OK)
        left--;
    ft_rpc_call_set_user(call, (void *)(uintptr_t)(left << 24 | size));
    if (left == 0)
        (void)ft_rpc_finish(call, FT_RPC_OK, NULL);
}

static void
on_fetch(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    uint64_t size;
    memcpy(&size, message.data, sizeof size);
    ft_rpc_call_set_user(call, (void *)(uintptr_t)((TOTAL / size) << 24 | size));
    fetch_pump(ctx, call);
}

static enum ft_rpc_code
authorize(void *ctx, const struct ft_rpc_peer *peer, const char *path)
{
    (void)ctx, (void)peer, (void)path;
    return FT_RPC_OK;
}

static const struct ft_rpc_method methods[] = {
    { .path = "/b/Echo", .kind = FT_RPC_UNARY, .needs_peer = true, .on_message = on_echo },
    { .path = "/b/Usage", .kind = FT_RPC_UNARY, .needs_peer = true, .on_message = on_usage },
    { .path = "/b/Park", .kind = FT_RPC_UNARY, .needs_peer = true, .on_message = on_park },
    { .path = "/b/Load", .kind = FT_RPC_BIDI, .needs_peer = true, .on_message = on_load },
    { .path = "/b/Fetch",
      .kind = FT_RPC_SERVER_STREAM,
      .needs_peer = true,
      .on_message = on_fetch,
      .on_writable = fetch_pump },
};

static void
serve(const struct deployment *d, int to_client, pid_t client)
{
    const struct ft_rpc_server_params p = { .address = "127.0.0.1:0",
                                            .ca_pem = ft_buf_bytes(&d->ca),
                                            .cert_pem = ft_buf_bytes(&d->server),
                                            .key_pem = ft_buf_bytes(&d->server_key),
                                            .methods = methods,
                                            .method_count = sizeof methods / sizeof *methods,
                                            .authorize = authorize,
                                            .calls_per_connection = 2000,
                                            .calls_per_peer = 2000 }; /* one certificate plays a thousand shops */
    struct ft_rpc_server *s;
    struct ft_error err = { 0 };
    uint16_t port;
    int status;
    must(ft_rpc_server_open(&p, &s, &err), err.text);
    port = ft_rpc_server_port(s);
    if (write(to_client, &port, sizeof port) != sizeof port)
        exit(1);
    if (waitpid(client, &status, 0) != client || status != 0)
        exit(1);
    ft_rpc_server_close(s, 0);
}

/* ---- the calling side ---- */

static struct usage
server_usage(struct ft_rpc_channel *ch)
{
    struct ft_buf out = { 0 };
    struct usage usage;
    must(ft_rpc_unary(ch, "/b/Usage", FT_BYTES("", 0), 10000, &out, NULL), "usage");
    memcpy(&usage, out.data, sizeof usage);
    ft_buf_clear(&out);
    return usage;
}

static void
server_rss(struct ft_rpc_channel *ch, const char *name)
{
    show(name, 0, server_usage(ch).rss_mib, "MiB");
}

/* What a transfer took: on the clock, and of both processors. */
struct meter {
    double wall_s, cpu_s;
};

static struct meter
meter_start(struct ft_rpc_channel *ch)
{
    struct meter m = { 0, server_usage(ch).cpu_s + cpu_s() };
    m.wall_s = now_s();
    return m;
}

static void
meter_show(struct meter from, struct ft_rpc_channel *ch, const char *name, size_t chunk)
{
    char cpu[64];
    show(name, chunk, (double)TOTAL / (now_s() - from.wall_s) * 1e-9, "GB/s");
    snprintf(cpu, sizeof cpu, "%s, processors of both sides", name);
    show(cpu, chunk, (server_usage(ch).cpu_s + cpu_s() - from.cpu_s) / ((double)TOTAL * 1e-9), "s/GB");
}

static void
upload(struct ft_rpc_channel *ch, size_t chunk)
{
    struct ft_rpc_stream *s;
    struct ft_bytes message;
    const struct meter start = meter_start(ch);
    must(ft_rpc_stream_open(ch, "/b/Load", 120000, &s), "upload");
    for (size_t sent = 0; sent < TOTAL; sent += chunk) {
        struct ft_buf b = { 0 };
        must(ft_buf_reserve(&b, chunk), "memory");
        b.size = chunk;
        must(ft_rpc_stream_send_buf(s, &b), "send");
    }
    must(ft_rpc_stream_done(s), "done");
    if (ft_rpc_stream_recv(s, UINT32_MAX, &message) != FT_ERR_NOTFOUND)
        exit(1);
    meter_show(start, ch, "upload", chunk);
    must(ft_rpc_stream_close(s, NULL), "upload");
}

static void
download(struct ft_rpc_channel *ch, size_t chunk)
{
    const uint64_t size = chunk;
    struct ft_rpc_stream *s;
    struct ft_bytes message;
    size_t got = 0;
    const struct meter start = meter_start(ch);
    must(ft_rpc_stream_open(ch, "/b/Fetch", 120000, &s), "download");
    must(ft_rpc_stream_send(s, FT_BYTES(&size, sizeof size)), "send");
    must(ft_rpc_stream_done(s), "done");
    while (ft_rpc_stream_recv(s, UINT32_MAX, &message) == FT_OK)
        got += message.size;
    if (got != TOTAL)
        exit(1);
    meter_show(start, ch, "download", chunk);
    must(ft_rpc_stream_close(s, NULL), "download");
}

static void
floor_memcpy(size_t chunk)
{
    uint8_t *a = ft_calloc(1, chunk), *b = ft_calloc(1, chunk);
    volatile uint8_t sink;
    double start;
    memset(a, 1, chunk);
    memset(b, 2, chunk);
    start = now_s();
    for (size_t done = 0; done < TOTAL; done += chunk) {
        memcpy(b, a, chunk);
        sink = b[done % chunk];
    }
    (void)sink;
    show("floor: memcpy", chunk, (double)TOTAL / (now_s() - start) * 1e-9, "GB/s");
    ft_free(a);
    ft_free(b);
}

static void
calls(struct ft_rpc_channel *ch)
{
    enum { N = 5000 };
    const double start = now_s(), cpu = cpu_s() + server_usage(ch).cpu_s;
    for (int i = 0; i < N; i++) {
        struct ft_buf out = { 0 };
        must(ft_rpc_unary(ch, "/b/Echo", FT_BYTES("0123456789abcdef", 16), 10000, &out, NULL), "echo");
        ft_buf_clear(&out);
    }
    show("unary round trip", 0, (now_s() - start) / N * 1e6, "us");
    show("unary, processors of both sides", 0, (cpu_s() + server_usage(ch).cpu_s - cpu) / N * 1e6, "us");
}

/* A thousand parked long polls, opened as streams so that one thread can hold them. */
static void
parked(struct ft_rpc_channel *ch)
{
    enum { N = 1000 };
    static struct ft_rpc_stream *s[N];
    for (int i = 0; i < N; i++) {
        must(ft_rpc_stream_open(ch, "/b/Park", 60000, &s[i]), "park");
        must(ft_rpc_stream_send(s[i], FT_BYTES("x", 1)), "park");
        must(ft_rpc_stream_done(s[i]), "park");
    }
    server_rss(ch, "server RSS, 1000 calls parked");
    for (int i = 0; i < N; i++)
        (void)ft_rpc_stream_close(s[i], NULL);
}

static int
call(const struct deployment *d, int from_server)
{
    static const size_t chunks[] = { 64 << 10, 256 << 10, 1 << 20, 4 << 20 };
    struct ft_rpc_channel_params p = { .ca_pem = ft_buf_bytes(&d->ca),
                                       .cert_pem = ft_buf_bytes(&d->cert),
                                       .key_pem = ft_buf_bytes(&d->key) };
    struct ft_rpc_channel *ch;
    char target[32];
    uint16_t port;

    if (read(from_server, &port, sizeof port) != sizeof port)
        return 1;
    snprintf(target, sizeof target, "127.0.0.1:%u", port);
    p.target = target;
    show("client RSS, before open", 0, rss_mib(), "MiB");
    must(ft_rpc_channel_open(&p, &ch, NULL), "channel");
    show("client RSS, channel open", 0, rss_mib(), "MiB");
    server_rss(ch, "server RSS, first call");
    show("client RSS, first call", 0, rss_mib(), "MiB");
    calls(ch);
    show("client RSS, 5000 calls", 0, rss_mib(), "MiB");
    parked(ch);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        floor_memcpy(chunks[i]);
        upload(ch, chunks[i]);
        show("client RSS, after upload", chunks[i], rss_mib(), "MiB");
        download(ch, chunks[i]);
        show("client RSS, after download", chunks[i], rss_mib(), "MiB");
    }
    server_rss(ch, "server RSS, at the end");
    ft_rpc_channel_close(ch);
    show("client RSS, channel closed", 0, rss_mib(), "MiB");
    return 0;
}

int
main(int argc, char **argv)
{
    struct deployment d = { 0 };
    int pipes[2];
    pid_t client;

    json = argc > 1 && strcmp(argv[1], "--json") == 0;
    if (sodium_init() < 0 || pipe(pipes) != 0)
        return 1;
    make_deployment(&d);
    client = fork(); /* before either side opens gRPC */
    if (client < 0)
        return 1;
    if (client == 0)
        return call(&d, pipes[0]);
    serve(&d, pipes[1], client);
    return 0;
}
