/* The courier over real gRPC and TLS, against a server that breaks things: the test plays the vault. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/round/wire_federation.h"
#include "client/courier/courier.h"
#include "client/link/federation.h"
#include "client/vault/outbox.h"
#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/rpc/pki.h"
#include "common/rpc/rpc_server.h"
#include "tests/support/relay.h"

#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BLOB_SIZE   (300u << 10)
#define PART        (64u << 10)
#define UPLOAD_SIZE ((300u << 10) + 8)
#define PATIENCE_MS 300000u

static struct world {
    struct ft_buf ca_key, ca, server_key, server, shop_key, shop;
    struct ft_rpc_server *rpc;
    struct relay *line;
    char target[32];
    pthread_mutex_t lock;
    /* What the server does, and what it saw. */
    int fail_syncs; /* the next calls are `failure` */
    enum ft_rpc_code failure;
    int hold_syncs; /* the next calls are not answered */
    int syncs;
    char from[8][80]; /* the connections they came over */
    struct ft_buf first_sync;
    bool same_bytes;
    enum ft_rpc_code sync_code;
    uint8_t blob[BLOB_SIZE];
    int break_downloads; /* streams that end after two chunks */
    uint64_t asked[8];   /* offsets of DownloadRequests */
    int downloads;
    bool wrong_offset;
    int break_uploads; /* streams that end after two chunks */
    enum ft_upload_answer upload_answer;
    uint64_t reject_after; /* bytes; answer before the end */
    struct ft_buf uploaded;
    int uploads;
    bool trailer_seen;
    /* The courier. */
    pthread_t thread;
    struct ft_link vault, courier_end;
    volatile sig_atomic_t cancel;
    enum ft_status ended;
} w;

static void
on_sync(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    (void)ctx;
    pthread_mutex_lock(&w.lock);
    snprintf(w.from[w.syncs++ % 8], sizeof w.from[0], "%s", ft_rpc_call_peer(call)->address);
    if (w.first_sync.size == 0)
        assert_int_equal(ft_buf_append(&w.first_sync, message.data, message.size), FT_OK);
    w.same_bytes = w.same_bytes && w.first_sync.size == message.size &&
                   memcmp(w.first_sync.data, message.data, message.size) == 0;
    const enum ft_rpc_code code = w.fail_syncs-- > 0 ? w.failure : w.sync_code;
    const bool hold = w.hold_syncs-- > 0;
    pthread_mutex_unlock(&w.lock);
    if (hold)
        return;
    ft_rpc_reply(call, code, FT_BYTES("the answer", 10), "told to");
}

static void
on_download(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    uint8_t hash[32];
    uint64_t offset;
    (void)ctx;
    if (ft_download_request_decode(message, hash, &offset) != FT_OK || hash[0] != 1) {
        ft_rpc_finish(call, FT_RPC_NOT_FOUND, "no such blob");
        return;
    }
    pthread_mutex_lock(&w.lock);
    w.asked[w.downloads++ % 8] = offset;
    const bool breaks = w.break_downloads-- > 0;
    const uint64_t lie = w.wrong_offset ? 1 : 0;
    pthread_mutex_unlock(&w.lock);
    for (int parts = 0; offset < BLOB_SIZE && !(breaks && parts == 2); parts++) {
        struct ft_buf b = { 0 };
        const size_t n = BLOB_SIZE - offset < PART ? (size_t)(BLOB_SIZE - offset) : PART;
        if (ft_download_chunk_encode(offset + lie, BLOB_SIZE + lie, FT_BYTES(w.blob + offset, n), &b) !=
            FT_OK)
            break;
        while (ft_rpc_send(call, ft_buf_bytes(&b)) == FT_ERR_LATER)
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        ft_buf_clear(&b);
        offset += n;
    }
    ft_rpc_finish(call, breaks ? FT_RPC_UNAVAILABLE : FT_RPC_OK, "end");
}

static void
answer_upload(struct ft_rpc_call *call, enum ft_upload_answer kind, uint64_t offset)
{
    struct ft_buf b = { 0 };
    if (ft_upload_reply_encode(&(struct ft_upload_reply){ .kind = kind, .offset = offset, .code = 77 }, &b) ==
        FT_OK)
        ft_rpc_send(call, ft_buf_bytes(&b));
    ft_buf_clear(&b);
}

static void
on_upload_open(void *ctx, struct ft_rpc_call *call)
{
    (void)ctx;
    pthread_mutex_lock(&w.lock);
    w.uploads++;
    pthread_mutex_unlock(&w.lock);
    ft_rpc_read_next(call);
}

static void
on_upload(void *ctx, struct ft_rpc_call *call, struct ft_bytes message)
{
    struct ft_upload_frame f;
    bool over = false;
    (void)ctx;
    if (ft_upload_frame_decode(message, &f) != FT_OK) {
        ft_rpc_finish(call, FT_RPC_INVALID_ARGUMENT, "frame");
        return;
    }
    pthread_mutex_lock(&w.lock);
    if (f.kind == FT_UPLOAD_HEADER) {
        answer_upload(call, FT_UPLOAD_START, w.uploaded.size);
    } else if (f.kind == FT_UPLOAD_CHUNK) {
        if (f.offset != w.uploaded.size || ft_buf_append(&w.uploaded, f.bytes.data, f.bytes.size) != FT_OK)
            over = true;
        if (w.break_uploads > 0 && w.uploaded.size >= 2 * PART) {
            w.break_uploads--;
            over = true;
        }
        if (w.reject_after != 0 && w.uploaded.size >= w.reject_after) {
            answer_upload(call, FT_UPLOAD_REJECTED, 0);
            ft_rpc_finish(call, FT_RPC_OK, NULL);
            goto out;
        }
        if (over)
            ft_rpc_finish(call, FT_RPC_UNAVAILABLE, "broken");
    } else {
        w.trailer_seen = true;
        answer_upload(call, w.upload_answer, 0);
        ft_rpc_finish(call, FT_RPC_OK, NULL);
        goto out;
    }
    if (!over)
        ft_rpc_read_next(call);
out:
    pthread_mutex_unlock(&w.lock);
    ft_upload_frame_clear(&f);
}

static enum ft_rpc_code
everybody(void *ctx, const struct ft_rpc_peer *peer, const char *path)
{
    (void)ctx;
    (void)path;
    return strcmp(peer->common_name, "store-1") == 0 ? FT_RPC_OK : FT_RPC_PERMISSION_DENIED;
}

static const struct ft_rpc_method methods[] = {
    { .path = FT_FED_SYNC, .kind = FT_RPC_UNARY, .needs_peer = true, .on_message = on_sync },
    { .path = FT_FED_DOWNLOAD, .kind = FT_RPC_SERVER_STREAM, .needs_peer = true, .on_message = on_download },
    { .path = FT_FED_UPLOAD,
      .kind = FT_RPC_BIDI,
      .needs_peer = true,
      .on_open = on_upload_open,
      .on_message = on_upload },
};

static void *
courier_thread(void *ctx)
{
    const struct ft_courier_config config = {
        .channel = { .target = w.target,
                     .ca_pem = ft_buf_bytes(&w.ca),
                     .cert_pem = ft_buf_bytes(&w.shop),
                     .key_pem = ft_buf_bytes(&w.shop_key),
                     .cancel = &w.cancel },
        .env = ft_env_system(),
        .backoff_base_ms = 5,
        .backoff_cap_ms = 50,
        .chunk_size = PART,
    };
    (void)ctx;
    w.ended = ft_courier_run(&config, &w.courier_end, NULL);
    ft_link_close(&w.courier_end);
    return NULL;
}

static int
set_up(void **state)
{
    static const char *const names[] = { "127.0.0.1" };
    const int64_t now = (int64_t)time(NULL);
    const struct ft_pki_validity validity = { now - 3600, now + 86400 };
    struct ft_buf csr = { 0 };
    int fds[2];
    (void)state;
    memset(&w, 0, sizeof w);
    pthread_mutex_init(&w.lock, NULL);
    w.same_bytes = true;
    w.failure = FT_RPC_UNAVAILABLE;
    w.upload_answer = FT_UPLOAD_DONE;
    randombytes_buf(w.blob, sizeof w.blob);
    assert_int_equal(ft_pki_make_ca("test", validity, &w.ca_key, &w.ca, NULL), FT_OK);
    const struct ft_pki_ca ca = { ft_buf_bytes(&w.ca_key), ft_buf_bytes(&w.ca) };
    assert_int_equal(ft_pki_make_server(&ca, names, 1, validity, &w.server_key, &w.server, NULL), FT_OK);
    assert_int_equal(ft_pki_make_request("store-1", &w.shop_key, &csr, NULL), FT_OK);
    assert_int_equal(ft_pki_issue_client(&ca, ft_buf_bytes(&csr), "store-1", validity, &w.shop, NULL), FT_OK);
    ft_buf_clear(&csr);
    const struct ft_rpc_server_params params = { .address = "127.0.0.1:0",
                                                 .ca_pem = ft_buf_bytes(&w.ca),
                                                 .cert_pem = ft_buf_bytes(&w.server),
                                                 .key_pem = ft_buf_bytes(&w.server_key),
                                                 .methods = methods,
                                                 .method_count = sizeof methods / sizeof methods[0],
                                                 .authorize = everybody };
    struct ft_error err = { 0 };
    if (ft_rpc_server_open(&params, &w.rpc, &err) != FT_OK)
        fail_msg("%s", err.text);
    w.line = relay_open(ft_rpc_server_port(w.rpc));
    snprintf(w.target, sizeof w.target, "127.0.0.1:%u", relay_port(w.line));
    assert_int_equal(ft_link_pair(fds, NULL), FT_OK);
    assert_int_equal(ft_link_open(&w.vault, fds[0], FT_IN_FRAME_MAX, NULL), FT_OK);
    assert_int_equal(ft_link_open(&w.courier_end, fds[1], FT_OUT_FRAME_MAX, &w.cancel), FT_OK);
    assert_int_equal(pthread_create(&w.thread, NULL, courier_thread, NULL), 0);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    ft_link_close(&w.vault); /* the courier ends with its vault */
    pthread_join(w.thread, NULL);
    ft_rpc_server_close(w.rpc, 0);
    relay_close(w.line);
    struct ft_buf *const all[] = { &w.ca_key,   &w.ca,   &w.server_key, &w.server,
                                   &w.shop_key, &w.shop, &w.first_sync, &w.uploaded };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ft_buf_clear(all[i]);
    return 0;
}

static void
hand_out(const struct ft_out *action)
{
    struct ft_buf b = { 0 };
    assert_int_equal(ft_out_encode(action, &b), FT_OK);
    assert_int_equal(ft_link_send(&w.vault, ft_buf_bytes(&b)), FT_OK);
    ft_buf_clear(&b);
}

/* The next outcome; clear it. */
static struct ft_in
outcome(void)
{
    struct ft_bytes frame;
    struct ft_in in;
    assert_int_equal(ft_link_receive(&w.vault, PATIENCE_MS, &frame), FT_OK);
    assert_int_equal(ft_in_decode(frame, &in), FT_OK);
    return in;
}

/* A call that fails is made again with the same bytes until it is answered. */
static void
client_courier_syncs_again_with_identical_bytes(void **state)
{
    (void)state;
    w.fail_syncs = 3;
    hand_out(&(struct ft_out){
        .kind = FT_OUT_SYNC, .id = 7, .request = FT_BYTES("request", 7), .wait_ms = PATIENCE_MS });
    struct ft_in in = outcome();
    assert_int_equal(in.kind, FT_IN_REPLY);
    assert_int_equal(in.id, 7);
    assert_memory_equal(in.reply.data, "the answer", 10);
    ft_in_clear(&in);
    assert_int_equal(w.syncs, 4);
    assert_true(w.same_bytes);
    assert_memory_equal(w.first_sync.data, "request", 7);
}

static void
sync_and_hear_the_answer(uint64_t id)
{
    hand_out(&(struct ft_out){
        .kind = FT_OUT_SYNC, .id = id, .request = FT_BYTES("request", 7), .wait_ms = PATIENCE_MS });
    struct ft_in in = outcome();
    assert_int_equal(in.kind, FT_IN_REPLY);
    assert_int_equal(in.id, id);
    ft_in_clear(&in);
}

/* After a failure of the link each attempt has a connection of its own: none waits for what the one before it
 * left behind. Calls that are answered share one, and being told to come later is an answer. */
static void
client_courier_tries_a_lost_link_again_over_a_new_connection(void **state)
{
    (void)state;
    w.fail_syncs = 2;
    sync_and_hear_the_answer(1);
    assert_int_equal(w.syncs, 3);
    assert_string_not_equal(w.from[0], w.from[1]);
    assert_string_not_equal(w.from[1], w.from[2]);
    assert_string_not_equal(w.from[0], w.from[2]);
    sync_and_hear_the_answer(2);
    assert_string_equal(w.from[2], w.from[3]);
    w.failure = FT_RPC_RESOURCE_EXHAUSTED;
    w.fail_syncs = 2;
    sync_and_hear_the_answer(3);
    assert_int_equal(w.syncs, 7);
    for (int i = 4; i < 7; i++)
        assert_string_equal(w.from[i], w.from[3]);
}

/* The line is cut under a call that the aggregator holds, and the next connections come to nothing: the same
 * bytes go out again over the first one that stands, and the vault hears of the answer alone. */
static void
client_courier_outlives_a_cut_line(void **state)
{
    struct ft_in in;
    (void)state;
    w.hold_syncs = 1;
    hand_out(&(struct ft_out){
        .kind = FT_OUT_SYNC, .id = 7, .request = FT_BYTES("request", 7), .wait_ms = PATIENCE_MS });
    for (int seen = 0; seen == 0;) { /* hangs until the test's time is up, if the call does not come */
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        pthread_mutex_lock(&w.lock);
        seen = w.syncs;
        pthread_mutex_unlock(&w.lock);
    }
    relay_cut(w.line, 3);
    in = outcome();
    assert_int_equal(in.kind, FT_IN_REPLY);
    assert_int_equal(in.id, 7);
    ft_in_clear(&in);
    assert_int_equal(w.syncs, 2);
    assert_true(w.same_bytes);
    assert_string_not_equal(w.from[0], w.from[1]);
    assert_true(relay_accepted(w.line) >= 5);
}

/* What trying again cannot mend goes back to the vault at once. */
static void
client_courier_tells_a_refusal(void **state)
{
    (void)state;
    w.sync_code = FT_RPC_PERMISSION_DENIED;
    hand_out(&(struct ft_out){
        .kind = FT_OUT_SYNC, .id = 1, .request = FT_BYTES("r", 1), .wait_ms = PATIENCE_MS });
    struct ft_in in = outcome();
    assert_int_equal(in.kind, FT_IN_FAILED);
    assert_int_equal(in.status, FT_ERR_REFUSED);
    ft_in_clear(&in);
    assert_int_equal(w.syncs, 1);
}

/* A broken download goes on where it broke; every byte arrives once, in order. */
static void
client_courier_resumes_a_download(void **state)
{
    struct ft_buf got = { 0 };
    bool last = false;
    (void)state;
    w.break_downloads = 2;
    hand_out(&(struct ft_out){ .kind = FT_OUT_DOWNLOAD, .id = 2, .hash = { 1 } });
    while (!last) {
        struct ft_in in = outcome();
        assert_int_equal(in.kind, FT_IN_CHUNK);
        assert_int_equal(in.offset, got.size);
        assert_int_equal(in.total, BLOB_SIZE);
        assert_int_equal(ft_buf_append(&got, in.data.data, in.data.size), FT_OK);
        last = in.last;
        ft_in_clear(&in);
    }
    assert_int_equal(got.size, BLOB_SIZE);
    assert_memory_equal(got.data, w.blob, BLOB_SIZE);
    assert_int_equal(w.downloads, 3);
    assert_int_equal(w.asked[1], 2 * PART);
    assert_int_equal(w.asked[2], 4 * PART);
    ft_buf_clear(&got);
}

/* A blob that is not there, and chunks from another place than asked for, are told. */
static void
client_courier_tells_a_bad_download(void **state)
{
    (void)state;
    hand_out(&(struct ft_out){ .kind = FT_OUT_DOWNLOAD, .id = 3, .hash = { 9 } });
    struct ft_in in = outcome();
    assert_int_equal(in.kind, FT_IN_FAILED);
    assert_int_equal(in.status, FT_ERR_NOTFOUND);
    ft_in_clear(&in);
    w.wrong_offset = true;
    hand_out(&(struct ft_out){ .kind = FT_OUT_DOWNLOAD, .id = 4, .hash = { 1 } });
    in = outcome();
    assert_int_equal(in.kind, FT_IN_FAILED);
    assert_int_equal(in.status, FT_ERR_FORMAT);
    ft_in_clear(&in);
}

static const struct ft_out upload = { .kind = FT_OUT_UPLOAD,
                                      .id = 5,
                                      .header = { (const uint8_t *)"head", 4 },
                                      .trailer = { (const uint8_t *)"tail", 4 },
                                      .size = UPLOAD_SIZE };
static uint8_t masked[UPLOAD_SIZE];

/* Serve WANTs until something else comes. */
static struct ft_in
serve_parts(int *wants)
{
    for (*wants = 0;; ++*wants) {
        struct ft_in in = outcome();
        if (in.kind != FT_IN_WANT)
            return in;
        assert_true(in.offset + in.size <= UPLOAD_SIZE);
        hand_out(&(struct ft_out){ .kind = FT_OUT_DATA,
                                   .id = 5,
                                   .offset = in.offset,
                                   .data = FT_BYTES(masked + in.offset, in.size) });
        ft_in_clear(&in);
    }
}

/* A broken upload is taken up at the aggregator's offset; what arrives is what the vault has, once. */
static void
client_courier_resumes_an_upload(void **state)
{
    struct ft_fed_upload_reply reply;
    int wants;
    (void)state;
    randombytes_buf(masked, sizeof masked);
    w.break_uploads = 1;
    hand_out(&upload);
    struct ft_in in = serve_parts(&wants);
    assert_int_equal(in.kind, FT_IN_UPLOADED);
    assert_int_equal(ft_fed_upload_reply_decode(in.reply, &reply), FT_OK);
    assert_int_equal(reply.kind, FT_FED_UPLOAD_DONE);
    ft_in_clear(&in);
    assert_int_equal(w.uploads, 2);
    assert_int_equal(w.uploaded.size, UPLOAD_SIZE);
    assert_memory_equal(w.uploaded.data, masked, UPLOAD_SIZE);
    assert_true(w.trailer_seen);
}

/* An answer before the end ends the upload: it is passed on, and nothing is sent again. */
static void
client_courier_passes_on_an_early_rejection(void **state)
{
    struct ft_fed_upload_reply reply;
    int wants;
    (void)state;
    w.reject_after = PART;
    hand_out(&upload);
    struct ft_in in = serve_parts(&wants);
    assert_int_equal(in.kind, FT_IN_UPLOADED);
    assert_int_equal(ft_fed_upload_reply_decode(in.reply, &reply), FT_OK);
    assert_int_equal(reply.kind, FT_FED_UPLOAD_REJECTED);
    assert_int_equal(reply.code, 77);
    ft_in_clear(&in);
    assert_int_equal(w.uploads, 1);
    assert_false(w.trailer_seen);
}

/* Another action instead of DATA: the vault has given the session up, and the courier does the new one. */
static void
client_courier_drops_an_upload_the_vault_gives_up(void **state)
{
    (void)state;
    hand_out(&upload);
    struct ft_in in = outcome();
    assert_int_equal(in.kind, FT_IN_WANT);
    ft_in_clear(&in);
    hand_out(&(struct ft_out){ .kind = FT_OUT_IDLE, .id = 6, .wait_ms = 1 });
    in = outcome();
    assert_int_equal(in.kind, FT_IN_RESTED);
    assert_int_equal(in.id, 6);
    ft_in_clear(&in);
    assert_false(w.trailer_seen);
}

/* STOP and the cancel flag end it. */
static void
client_courier_ends_when_told(void **state)
{
    (void)state;
    hand_out(&(struct ft_out){ .kind = FT_OUT_STOP });
    struct ft_bytes frame;
    assert_int_equal(ft_link_receive(&w.vault, PATIENCE_MS, &frame), FT_ERR_PEER);
    assert_int_equal(w.ended, FT_OK);
}

static void
client_courier_ends_when_cancelled_in_a_call(void **state)
{
    (void)state;
    w.fail_syncs = INT32_MAX; /* it would try for ever */
    hand_out(&(struct ft_out){
        .kind = FT_OUT_SYNC, .id = 1, .request = FT_BYTES("r", 1), .wait_ms = PATIENCE_MS });
    nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    w.cancel = 1;
    struct ft_bytes frame;
    assert_int_equal(ft_link_receive(&w.vault, PATIENCE_MS, &frame), FT_ERR_PEER);
    assert_int_equal(w.ended, FT_ERR_CANCELLED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(client_courier_syncs_again_with_identical_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_courier_tries_a_lost_link_again_over_a_new_connection, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(client_courier_outlives_a_cut_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_courier_tells_a_refusal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_courier_resumes_a_download, set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_courier_tells_a_bad_download, set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_courier_resumes_an_upload, set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_courier_passes_on_an_early_rejection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_courier_drops_an_upload_the_vault_gives_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_courier_ends_when_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_courier_ends_when_cancelled_in_a_call, set_up, tear_down),
    };
    if (sodium_init() < 0)
        return 1;
    signal(SIGPIPE, SIG_IGN);
    ft_log_open("test", FT_LOG_ERROR, open("/dev/null", O_WRONLY | O_CLOEXEC));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
