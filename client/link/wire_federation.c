#include "client/link/federation.h"

#include "client/vault/outbox.h"
#include "common/base/alloc.h"
#include "common/base/pb_lift.h"
#include "common/secure_sum/roster.h"
#include "federation.pb-c.h"

#include <string.h>

static ProtobufCBinaryData
as_field(struct ft_bytes b)
{
    return (ProtobufCBinaryData){ .len = b.size, .data = (uint8_t *)(uintptr_t)b.data };
}

static struct ft_bytes
as_bytes(ProtobufCBinaryData b)
{
    return FT_BYTES(b.data, b.len);
}

static enum ft_status
pack(const ProtobufCMessage *message, struct ft_buf *out)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    const enum ft_status st = ft_buf_reserve(out, size);
    if (st == FT_OK)
        out->size += protobuf_c_message_pack(message, out->data + out->size);
    return st;
}

static void *
unpack(const ProtobufCMessageDescriptor *what, struct ft_bytes bytes, size_t limit)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    if (bytes.size > limit)
        return NULL;
    ft_pb_allocator_init(&allocator, &budget, 16 * bytes.size + ((size_t)64 << 10));
    return protobuf_c_message_unpack(what, &allocator, bytes.size, bytes.data);
}

static void
release(void **owner)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    if (*owner == NULL)
        return;
    ft_pb_allocator_init(&allocator, &budget, 0);
    protobuf_c_message_free_unpacked(*owner, &allocator);
    *owner = NULL;
}

/* Exactly `size` bytes, or none at all where absence is allowed. */
static bool
take(void *out, size_t size, ProtobufCBinaryData field, bool may_be_absent)
{
    memset(out, 0, size);
    if (field.len == 0 && may_be_absent)
        return true;
    if (field.len != size)
        return false;
    memcpy(out, field.data, size);
    return true;
}

static bool
is_zero(const uint8_t *p, size_t size)
{
    uint8_t any = 0;
    while (size-- > 0)
        any |= *p++;
    return any == 0;
}

enum ft_status
ft_fed_sync_encode(const struct ft_fed_sync *request, struct ft_buf *out)
{
    Fedtill__V1__SyncRequest pb = FEDTILL__V1__SYNC_REQUEST__INIT;
    Fedtill__V1__Position position = FEDTILL__V1__POSITION__INIT;
    Fedtill__V1__TaskVerdict verdicts[FT_FED_VERDICTS_MAX];
    Fedtill__V1__TaskVerdict *list[FT_FED_VERDICTS_MAX];
    const struct ft_ss_position *at = &request->position;
    if (request->verdict_count > FT_FED_VERDICTS_MAX)
        return FT_ERR_LIMIT;

    pb.protocol = FT_FED_PROTOCOL;
    pb.roster_serial = request->roster_serial;
    pb.epoch = request->epoch;
    if (!is_zero(request->directory_root, 32))
        pb.directory_root = as_field(FT_BYTES(request->directory_root, 32));
    pb.epoch_key = as_field(request->epoch_key);
    for (size_t i = 0; i < request->verdict_count; i++) {
        const struct ft_fed_verdict *v = &request->verdicts[i];
        fedtill__v1__task_verdict__init(&verdicts[i]);
        verdicts[i].task_hash = as_field(FT_BYTES(v->task_hash, 32));
        verdicts[i].verdict = v->verdict;
        verdicts[i].n_codes = v->code_count;
        verdicts[i].codes = (uint32_t *)(uintptr_t)v->codes;
        list[i] = &verdicts[i];
    }
    pb.n_verdicts = request->verdict_count;
    pb.verdicts = list;
    if (!is_zero(at->task_hash, 32)) {
        position.task_hash = as_field(FT_BYTES(at->task_hash, 32));
        position.round = at->round;
        position.attempt = at->attempt;
        position.step = at->step;
        if (!is_zero(at->transcript, 32))
            position.transcript = as_field(FT_BYTES(at->transcript, 32));
        pb.position = &position;
    }
    pb.answer = as_field(request->answer);
    pb.wait_ms = request->wait_ms;
    pb.tell_the_end = request->tell_the_end;
    if (request->has_ledger_head)
        pb.ledger_head = as_field(FT_BYTES(request->ledger_head, sizeof request->ledger_head));
    return pack(&pb.base, out);
}

enum ft_status
ft_fed_reply_decode(struct ft_bytes bytes, struct ft_fed_reply *out)
{
    *out = (struct ft_fed_reply){ 0 };
    Fedtill__V1__SyncReply *pb = unpack(&fedtill__v1__sync_reply__descriptor, bytes, FT_FED_REPLY_MAX);
    if (pb == NULL)
        return FT_ERR_FORMAT;
    out->owner = pb;
    out->kind = (enum ft_fed_kind)pb->kind;
    out->epoch = pb->epoch;
    out->blob_size = pb->blob_size;
    out->message = as_bytes(pb->message);
    out->code = pb->code;
    out->retry_ms = pb->retry_ms;
    out->shop_index = pb->shop_index;
    out->nothing_left = pb->nothing_left;
    const bool names_blob = out->kind == FT_FED_DIRECTORY || out->kind == FT_FED_TASK;
    bool good = out->kind >= FT_FED_WAIT && out->kind <= FT_FED_RETRY;
    good = good && take(out->blob_hash, 32, pb->blob_hash, !names_blob);
    good = good && take(out->task_hash, 32, pb->task_hash, out->kind != FT_FED_TASK);
    out->has_ledger_head = pb->ledger_head.len > 0;
    good = good && take(out->ledger_head, sizeof out->ledger_head, pb->ledger_head, true);
    good = good && (out->kind != FT_FED_SESSION || out->message.size > 0);
    if (!good)
        ft_fed_reply_clear(out);
    return good ? FT_OK : FT_ERR_FORMAT;
}

void
ft_fed_reply_clear(struct ft_fed_reply *reply)
{
    release(&reply->owner);
    *reply = (struct ft_fed_reply){ 0 };
}

enum ft_status
ft_fed_directory_decode(struct ft_bytes bytes, struct ft_fed_directory *out)
{
    *out = (struct ft_fed_directory){ 0 };
    Fedtill__V1__Directory *pb = unpack(&fedtill__v1__directory__descriptor, bytes, FT_FED_REPLY_MAX);
    if (pb == NULL)
        return FT_ERR_FORMAT;
    out->owner = pb;
    out->roster = as_bytes(pb->roster);
    out->epoch = pb->epoch;
    bool good = pb->n_epoch_keys <= FT_SS_ROSTER_MAX;
    if (good) {
        out->keys = ft_calloc(pb->n_epoch_keys + 1, sizeof *out->keys);
        if (out->keys == NULL) {
            ft_fed_directory_clear(out);
            return FT_ERR_NOMEM;
        }
    }
    for (size_t i = 0; good && i < pb->n_epoch_keys; i++) {
        out->keys[i] = as_bytes(pb->epoch_keys[i]);
        good = out->keys[i].size == FT_SS_EPOCH_KEY_SIZE;
        out->key_count++;
    }
    if (!good)
        ft_fed_directory_clear(out);
    return good ? FT_OK : FT_ERR_FORMAT;
}

void
ft_fed_directory_clear(struct ft_fed_directory *directory)
{
    ft_free(directory->keys);
    release(&directory->owner);
    *directory = (struct ft_fed_directory){ 0 };
}

enum ft_status
ft_fed_frame_header(struct ft_bytes header, struct ft_buf *out)
{
    Fedtill__V1__UploadFrame pb = FEDTILL__V1__UPLOAD_FRAME__INIT;
    pb.header = as_field(header);
    return pack(&pb.base, out);
}

enum ft_status
ft_fed_frame_chunk(uint64_t offset, struct ft_bytes chunk, struct ft_buf *out)
{
    Fedtill__V1__UploadFrame pb = FEDTILL__V1__UPLOAD_FRAME__INIT;
    pb.offset = offset;
    pb.chunk = as_field(chunk);
    return pack(&pb.base, out);
}

enum ft_status
ft_fed_frame_trailer(struct ft_bytes trailer, struct ft_buf *out)
{
    Fedtill__V1__UploadFrame pb = FEDTILL__V1__UPLOAD_FRAME__INIT;
    pb.trailer = as_field(trailer);
    return pack(&pb.base, out);
}

enum ft_status
ft_fed_upload_reply_decode(struct ft_bytes bytes, struct ft_fed_upload_reply *out)
{
    *out = (struct ft_fed_upload_reply){ 0 };
    void *owner = unpack(&fedtill__v1__upload_reply__descriptor, bytes, 4096);
    const Fedtill__V1__UploadReply *pb = owner;
    if (pb == NULL)
        return FT_ERR_FORMAT;
    *out = (struct ft_fed_upload_reply){
        .kind = (enum ft_fed_upload_kind)pb->kind,
        .offset = pb->offset,
        .code = pb->code,
        .retry_ms = pb->retry_ms,
    };
    release(&owner);
    return out->kind >= FT_FED_UPLOAD_START && out->kind <= FT_FED_UPLOAD_RETRY ? FT_OK : FT_ERR_FORMAT;
}

enum ft_status
ft_fed_download_encode(const uint8_t hash[32], uint64_t offset, struct ft_buf *out)
{
    Fedtill__V1__DownloadRequest pb = FEDTILL__V1__DOWNLOAD_REQUEST__INIT;
    pb.hash = as_field(FT_BYTES(hash, 32));
    pb.offset = offset;
    return pack(&pb.base, out);
}

#define CHUNK_DATA        3 /* DownloadChunk.data */
#define CHUNK_MESSAGE_MAX (FT_CHUNK_MAX + ((size_t)64 << 10))

enum ft_status
ft_fed_chunk_decode(struct ft_bytes bytes, struct ft_fed_chunk *out)
{
    struct ft_pb_lift lift;
    const bool lifted = bytes.size <= CHUNK_MESSAGE_MAX && ft_pb_lift(bytes, CHUNK_DATA, &lift);
    *out = (struct ft_fed_chunk){ 0 };
    Fedtill__V1__DownloadChunk *pb =
        unpack(&fedtill__v1__download_chunk__descriptor,
               lifted ? FT_BYTES(lift.rest, lift.rest_size) : bytes, CHUNK_MESSAGE_MAX);
    if (pb == NULL)
        return FT_ERR_FORMAT;
    *out = (struct ft_fed_chunk){ pb->offset, pb->total, lifted ? lift.field : as_bytes(pb->data), pb };
    if (out->data.size > FT_CHUNK_MAX || out->offset > out->total ||
        out->data.size > out->total - out->offset) {
        ft_fed_chunk_clear(out);
        return FT_ERR_FORMAT;
    }
    return FT_OK;
}

void
ft_fed_chunk_clear(struct ft_fed_chunk *chunk)
{
    release(&chunk->owner);
    *chunk = (struct ft_fed_chunk){ 0 };
}

enum ft_status
ft_fed_enrol_encode(const struct ft_fed_enrol *request, struct ft_buf *out)
{
    Fedtill__V1__EnrolRequest pb = FEDTILL__V1__ENROL_REQUEST__INIT;
    pb.token = as_field(FT_BYTES(request->token, sizeof request->token));
    pb.shop = (char *)(uintptr_t)request->shop;
    pb.csr_der = as_field(request->csr_der);
    pb.identity_key = as_field(FT_BYTES(request->identity_key, sizeof request->identity_key));
    pb.identity_proof = as_field(FT_BYTES(request->identity_proof, sizeof request->identity_proof));
    return pack(&pb.base, out);
}

enum ft_status
ft_fed_enrolled_decode(struct ft_bytes bytes, struct ft_fed_enrolled *out)
{
    *out = (struct ft_fed_enrolled){ 0 };
    Fedtill__V1__EnrolReply *pb = unpack(&fedtill__v1__enrol_reply__descriptor, bytes, (size_t)1 << 18);
    if (pb == NULL)
        return FT_ERR_FORMAT;
    out->owner = pb;
    out->refusal = pb->refusal;
    out->certificate_pem = as_bytes(pb->certificate_pem);
    out->ca_pem = as_bytes(pb->ca_pem);
    out->shop_id = pb->shop_id;
    if (!take(out->deployment, 16, pb->deployment, pb->refusal != 0) ||
        (pb->refusal == 0 && out->certificate_pem.size == 0)) {
        ft_fed_enrolled_clear(out);
        return FT_ERR_FORMAT;
    }
    return FT_OK;
}

void
ft_fed_enrolled_clear(struct ft_fed_enrolled *reply)
{
    release(&reply->owner);
    *reply = (struct ft_fed_enrolled){ 0 };
}
