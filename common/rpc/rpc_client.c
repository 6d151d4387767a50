#include "common/rpc/rpc_client.h"
#include "common/base/alloc.h"
#include "common/rpc/pki.h"
#include "common/rpc/rpc_client_internal.h"

#include <grpc/grpc_security.h>
#include <stdio.h>
#include <string.h>

/* A wait is cut in slices, after each of which the flag is looked at. */
gpr_timespec
rpc_wait_until(uint64_t wait_ms)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis((int64_t)wait_ms, GPR_TIMESPAN));
}

bool
rpc_cancel_raised(const struct ft_rpc_channel *ch)
{
    /* Raised by a signal handler or by another thread. */
    return ch->cancel != NULL && __atomic_load_n(ch->cancel, __ATOMIC_RELAXED) != 0;
}

enum ft_status
rpc_result_set(struct ft_rpc_result *result, grpc_status_code code, grpc_slice details)
{
    const enum ft_rpc_code known = code >= GRPC_STATUS_OK && code <= GRPC_STATUS_UNAUTHENTICATED
                                       ? (enum ft_rpc_code)code
                                       : FT_RPC_UNKNOWN;
    if (result != NULL) {
        result->code = known;
        rpc_slice_text(result->detail, sizeof result->detail, details);
    }
    return ft_rpc_code_status(known);
}

static grpc_channel_credentials *
make_credentials(const struct ft_rpc_channel_params *p)
{
    char *ca = rpc_pem_text(p->ca_pem), *key = rpc_pem_text(p->key_pem), *cert = rpc_pem_text(p->cert_pem);
    grpc_ssl_pem_key_cert_pair pair = { key, cert };
    grpc_channel_credentials *creds = NULL;
    if (ca != NULL && key != NULL && cert != NULL)
        creds = grpc_ssl_credentials_create_ex(ca, p->cert_pem.size > 0 ? &pair : NULL, NULL, NULL);
    ft_secret_free(ca);
    ft_secret_free(key);
    ft_secret_free(cert);
    return creds;
}

static enum ft_status
check_params(const struct ft_rpc_channel_params *p, struct ft_error *err)
{
    struct ft_pki_info info;
    if (p->target == NULL || p->target[0] == '\0' || strrchr(p->target, ':') == NULL)
        return ft_fail(err, FT_ERR_CONFIG, "the aggregator's address is not host:port");
    if (ft_pki_read(p->ca_pem, &info) != FT_OK)
        return ft_fail(err, FT_ERR_CONFIG, "the CA's certificate is not a PEM certificate");
    if ((p->cert_pem.size > 0 || p->key_pem.size > 0) && ft_pki_match(p->key_pem, p->cert_pem) != FT_OK)
        return ft_fail(err, FT_ERR_CONFIG, "the client's key does not belong to its certificate");
    return FT_OK;
}

/* This machine itself: no proxy can be meant, although one may be set for everything. */
static bool
is_loopback(const char *target)
{
    return strncmp(target, "127.", 4) == 0 || strncmp(target, "[::1]:", 6) == 0 ||
           strncmp(target, "localhost:", 10) == 0;
}

static void
fill_args(struct rpc_args *a, const struct ft_rpc_channel_params *p)
{
    const size_t message_max = p->message_max != 0 ? p->message_max : RPC_MESSAGE_MAX;
    const uint32_t reconnect = p->reconnect_ms_max != 0 ? p->reconnect_ms_max : 5000;

    rpc_arg_int(a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, message_max);
    rpc_arg_int(a, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, message_max);
    rpc_arg_int(a, GRPC_ARG_MAX_METADATA_SIZE, 16 << 10);
    rpc_arg_int(a, GRPC_ARG_KEEPALIVE_TIME_MS, p->keepalive_ms != 0 ? p->keepalive_ms : 30000);
    rpc_arg_int(a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, p->keepalive_wait_ms != 0 ? p->keepalive_wait_ms : 10000);
    rpc_arg_int(a, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA,
                0); /* a long poll is pinged for as long as it lasts */
    rpc_arg_int(a, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, reconnect < 200 ? reconnect : 200);
    rpc_arg_int(a, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, reconnect);
    /* A lost connection waits for the name to be resolved again; gRPC's own least interval, 30 s from the
     * last time, would keep every shop away from an aggregator that is back after one. */
    rpc_arg_int(a, GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, reconnect < 500 ? reconnect : 500);
    /* Our callers repeat a call themselves, with identical bytes; gRPC would keep copies for its own retries.
     */
    rpc_arg_int(a, GRPC_ARG_ENABLE_RETRIES, 0);
    rpc_arg_int(a, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    rpc_arg_int(a, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    rpc_arg_int(a, GRPC_ARG_HTTP2_BDP_PROBE, 0);
    rpc_arg_int(a, GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, RPC_READ_AHEAD);
    rpc_arg_int(a, GRPC_ARG_HTTP2_MAX_FRAME_SIZE, RPC_FRAME_SIZE);
    rpc_arg_int(a, GRPC_ARG_ENABLE_CHANNELZ, 0);
    rpc_arg_int(a, GRPC_ARG_MAX_CHANNEL_TRACE_EVENT_MEMORY_PER_NODE, 0);
    rpc_arg_int(a, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE);
    if (is_loopback(p->target))
        rpc_arg_int(a, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    if (p->server_name != NULL)
        rpc_arg_text(a, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, p->server_name);
}

enum ft_status
ft_rpc_channel_open(const struct ft_rpc_channel_params *params, struct ft_rpc_channel **out,
                    struct ft_error *err)
{
    enum ft_status st;
    struct ft_rpc_channel *ch = NULL;
    grpc_channel_credentials *creds = NULL;
    struct rpc_args a = { .count = 0 };
    grpc_channel_args args;

    *out = NULL;
    FT_TRY(check_params(params, err));
    ch = ft_calloc(1, sizeof *ch);
    if (ch == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(rpc_library_open(err));
    ch->library_open = true;
    ch->cancel = params->cancel;
    creds = make_credentials(params);
    if (creds == NULL) {
        st = ft_fail(err, FT_ERR_CONFIG, "gRPC does not accept the certificates");
        goto out;
    }
    fill_args(&a, params);
    args = (grpc_channel_args){ a.count, a.list };
    ch->grpc = grpc_channel_create(params->target, creds, &args);
    if (ch->grpc == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    *out = ch;
    ch = NULL;
out:
    if (creds != NULL)
        grpc_channel_credentials_release(creds);
    ft_rpc_channel_close(ch);
    return st;
}

void
ft_rpc_channel_close(struct ft_rpc_channel *ch)
{
    if (ch == NULL)
        return;
    if (ch->grpc != NULL)
        grpc_channel_destroy(ch->grpc);
    if (ch->library_open)
        rpc_library_close();
    ft_free(ch);
}

grpc_call *
rpc_start_call(struct ft_rpc_channel *ch, grpc_completion_queue *cq, const char *path, gpr_timespec deadline)
{
    const grpc_slice method = grpc_slice_from_copied_string(path);
    grpc_call *call =
        grpc_channel_create_call(ch->grpc, NULL, GRPC_PROPAGATE_DEFAULTS, cq, method, NULL, deadline, NULL);
    grpc_slice_unref(method);
    return call;
}

void
rpc_queue_end(grpc_completion_queue *cq)
{
    grpc_completion_queue_shutdown(cq);
    while (grpc_completion_queue_next(cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
           GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(cq);
}

/* Append a message to `out`. */
static enum ft_status
append_message(grpc_byte_buffer *message, struct ft_buf *out)
{
    struct ft_buf flat = { 0 };
    struct ft_bytes view;
    grpc_slice slice;
    enum ft_status st = rpc_message_view(message, &slice, &flat, &view);
    if (st == FT_OK && out->size == 0 && out->capacity == 0 && flat.size > 0) {
        *out = flat; /* in pieces, now in one: no second copy */
        flat = (struct ft_buf){ 0 };
    } else if (st == FT_OK) {
        st = ft_buf_append(out, view.data, view.size);
    }
    grpc_slice_unref(slice);
    ft_buf_clear(&flat);
    return st;
}

enum ft_status
ft_rpc_unary(struct ft_rpc_channel *ch, const char *path, struct ft_bytes request, uint32_t deadline_ms,
             struct ft_buf *response, struct ft_rpc_result *result)
{
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    grpc_call *call = rpc_start_call(ch, cq, path, rpc_wait_until(deadline_ms));
    grpc_byte_buffer *sent = rpc_message_copy(request), *got = NULL;
    grpc_metadata_array initial, trailing;
    grpc_status_code code = GRPC_STATUS_UNKNOWN;
    grpc_slice details = grpc_empty_slice();
    grpc_op ops[6];
    bool raised = false;
    enum ft_status st;

    grpc_metadata_array_init(&initial);
    grpc_metadata_array_init(&trailing);
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = sent;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &got;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.status = &code;
    ops[5].data.recv_status_on_client.status_details = &details;
    ops[5].data.recv_status_on_client.trailing_metadata = &trailing;
    if (grpc_call_start_batch(call, ops, 6, call, NULL) == GRPC_CALL_OK) {
        while (grpc_completion_queue_next(cq, rpc_wait_until(FT_RPC_CANCEL_MS), NULL).type ==
               GRPC_QUEUE_TIMEOUT)
            if (!raised && rpc_cancel_raised(ch)) {
                raised = true;
                grpc_call_cancel(call, NULL);
            }
    }
    st = rpc_result_set(result, code, details);
    if (raised && code == GRPC_STATUS_CANCELLED)
        st = FT_ERR_CANCELLED;
    if (st == FT_OK)
        st = got != NULL ? append_message(got, response) : FT_ERR_PEER;
    if (got != NULL)
        grpc_byte_buffer_destroy(got);
    grpc_byte_buffer_destroy(sent);
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_call_unref(call);
    rpc_queue_end(cq);
    return st;
}
