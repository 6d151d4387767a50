/*
 * The aggregator's process: ft_ss_server and nothing else, so that its memory can be read off the kernel.
 * Started anew for every session. Its log goes nowhere; its clock moves when a phase's deadline is to pass.
 */
#include "common/base/alloc.h"
#include "common/secure_sum/codec.h"
#include "common/secure_sum/server.h"
#include "tests/bench/secure_sum/bench_case.h"
#include "tests/bench/secure_sum/link.h"
#include "tests/bench/secure_sum/measure.h"

#include <sodium.h>
#include <string.h>

struct aggregator {
    int fd;
    uint64_t now;
    struct ft_env env;
    struct ft_ss_roster roster;
    struct ft_ss_directory directory;
    uint8_t signing_sk[64];
    struct ft_ss_codec codec;
    struct ft_ss_server *server;
};

static uint64_t
clock_ms(void *ctx)
{
    return ((struct aggregator *)ctx)->now;
}

static void
draw(void *ctx, void *out, size_t size)
{
    (void)ctx;
    randombytes_buf(out, size);
}

static enum ft_status
store(void *ctx, enum ft_ss_record kind, struct ft_bytes record, bool sync)
{
    (void)ctx;
    (void)kind;
    (void)record;
    (void)sync;
    return FT_OK;
}

/* Payload: wall clock u64, registrar key, signing key, descriptor, u32 size and signed roster, epoch keys. */
static void
setup(struct aggregator *a, struct ft_bytes payload)
{
    struct ft_cursor c = ft_cursor_of(payload);
    struct ft_ss_descriptor descriptor;
    struct ft_ss_server_config config = { 0 };
    struct ft_error err = { 0 };
    uint8_t registrar[32];
    uint32_t roster_size;

    a->now = ft_read_u64(&c);
    a->env = (struct ft_env){ clock_ms, clock_ms, draw, a };
    ft_read_into(&c, registrar, sizeof registrar);
    ft_read_into(&c, a->signing_sk, sizeof a->signing_sk);
    bench_must(ft_ss_descriptor_decode(ft_read_bytes(&c, FT_SS_DESCRIPTOR_SIZE), &descriptor, &err),
               "descriptor");
    roster_size = ft_read_u32(&c);
    bench_must(ft_ss_roster_open(ft_read_bytes(&c, roster_size), registrar, descriptor.deployment, 0,
                                 &a->roster, &err),
               "roster");
    bench_must(ft_ss_directory_open(&a->roster, descriptor.epoch, &a->directory), "directory");
    for (uint32_t i = 0; i < a->roster.count; i++) {
        struct ft_ss_epoch_key key;
        bench_must(ft_ss_epoch_key_decode(ft_read_bytes(&c, FT_SS_EPOCH_KEY_SIZE), &key), "epoch key");
        bench_must(ft_ss_directory_put(&a->directory, &key, &err), "epoch key");
    }
    bench_must(ft_ss_codec_of(&descriptor, &a->codec, &err), "codec");
    config.env = &a->env;
    config.directory = &a->directory;
    config.signing_sk = a->signing_sk;
    config.graph_allowed = a->roster.count > BENCH_GRAPH_ABOVE;
    config.graph_min = BENCH_GRAPH_ABOVE;
    config.threads = 1;
    config.store = store;
    bench_must(ft_ss_server_open(&config, &descriptor, &a->server, &err), err.text);
}

static void
expire(struct aggregator *a)
{
    const uint64_t next = ft_ss_server_next_deadline(a->server);
    if (next != UINT64_MAX && next > a->now)
        a->now = next;
    bench_must(ft_ss_server_tick(a->server), "tick");
}

static void
unmask(struct aggregator *a, struct bench_frame *reply)
{
    const double start = bench_cpu_s();
    reply->status = (int32_t)ft_ss_server_unmask(a->server);
    reply->seconds = bench_cpu_s() - start;
}

static void
finish(struct aggregator *a, struct bench_frame *reply)
{
    const double start = bench_cpu_s();
    reply->status = (int32_t)ft_ss_server_finish(a->server);
    reply->seconds = bench_cpu_s() - start;
    reply->value = ft_ss_server_phase(a->server);
}

/* sum z_j (2j + 1) mod 2^64: enough to tell a wrong sum, and linear, so that the clients can add theirs up.
 */
static void
result(struct aggregator *a, struct bench_frame *reply)
{
    struct ft_ss_sum sum;
    int64_t *z = ft_calloc(a->codec.dim, sizeof *z);
    uint64_t weight = 0, checksum = 0;

    if (z == NULL || !ft_ss_server_result(a->server, &sum))
        bench_die("no result");
    bench_must(ft_ss_unpack(&a->codec, sum.words, sum.survivors, z, &weight), "result");
    for (uint64_t j = 0; j < a->codec.dim; j++)
        checksum += (uint64_t)z[j] * (2 * j + 1);
    ft_free(z);
    reply->value = checksum;
    reply->seconds = (double)weight;
    reply->client = sum.survivors;
}

static struct ft_ss_slot_ref
slot_of(uint64_t value)
{
    return (struct ft_ss_slot_ref){ (uint32_t)(value >> 32), (uint32_t)value };
}

/* True when a reply is due. */
static bool
serve(struct aggregator *a, const struct bench_frame *request, struct ft_bytes payload,
      struct bench_frame *reply, struct ft_buf *message)
{
    struct ft_ss_position position;
    struct ft_ss_slot_ref slot;
    enum ft_ss_next next = FT_SS_NEXT_NONE;
    uint64_t offset;

    switch ((enum bench_op)request->op) {
    case BENCH_SETUP:
        setup(a, payload);
        return true;
    case BENCH_NEXT:
        memcpy(&position, payload.data, sizeof position);
        reply->status = (int32_t)ft_ss_server_next(a->server, request->client, &position, message, &next);
        reply->value = next;
        return true;
    case BENCH_HANDLE:
        reply->status = (int32_t)ft_ss_server_handle(a->server, request->client, payload);
        return true;
    case BENCH_BEGIN:
        reply->status =
            (int32_t)ft_ss_server_upload_begin(a->server, request->client, payload, &slot, &offset);
        reply->value = (uint64_t)slot.index << 32 | slot.generation;
        return true;
    case BENCH_CHUNK:
        bench_must(ft_ss_server_upload_chunk(a->server, slot_of(request->value), (uint64_t)request->seconds,
                                             payload),
                   "chunk");
        return false;
    case BENCH_END:
        reply->status = (int32_t)ft_ss_server_upload_end(a->server, slot_of(request->value), payload);
        return true;
    case BENCH_EXPIRE:
        expire(a);
        return true;
    case BENCH_PHASE:
        reply->value = ft_ss_server_phase(a->server);
        return true;
    case BENCH_UNMASK:
        unmask(a, reply);
        return true;
    case BENCH_FINISH:
        finish(a, reply);
        return true;
    case BENCH_RESULT:
        result(a, reply);
        return true;
    case BENCH_PEAK:
        reply->value = bench_peak_bytes();
        return true;
    }
    bench_die("unknown request");
}

int
bench_aggregator(int fd)
{
    struct aggregator a = { .fd = fd };
    struct bench_frame request;
    struct ft_buf payload = { 0 }, message = { 0 };

    if (sodium_init() < 0)
        bench_die("libsodium");
    while (bench_receive(fd, &request, &payload)) {
        struct bench_frame reply = { .op = request.op };
        message.size = 0;
        if (serve(&a, &request, ft_buf_bytes(&payload), &reply, &message))
            bench_send(fd, reply, ft_buf_bytes(&message));
    }
    ft_ss_server_close(a.server);
    ft_ss_directory_clear(&a.directory);
    ft_ss_roster_clear(&a.roster);
    ft_buf_clear(&payload);
    ft_buf_clear(&message);
    return FT_EXIT_OK;
}
