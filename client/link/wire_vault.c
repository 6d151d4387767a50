#include "client/vault/outbox.h"

#include "common/base/alloc.h"
#include "common/base/pb_lift.h"
#include "vault.pb-c.h"

#include <string.h>

const char *
ft_out_kind_name(enum ft_out_kind kind)
{
    static const char *const names[] = { "none", "sync", "download", "upload", "data", "idle", "stop" };
    return kind <= FT_OUT_STOP ? names[kind] : names[0];
}

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

#define OUT_DATA 9 /* fields of proto/vault.proto that may be long */
#define IN_DATA  6

/* Everything but the long field `number`, whose bytes the caller adds. */
static enum ft_status
pack(const ProtobufCMessage *message, size_t limit, uint32_t number, struct ft_bytes data, struct ft_buf *out)
{
    const size_t size = protobuf_c_message_get_packed_size(message);
    if (size > limit || data.size > limit - size)
        return FT_ERR_LIMIT;
    const enum ft_status st = ft_buf_reserve(out, size + 16);
    if (st != FT_OK)
        return st;
    out->size += protobuf_c_message_pack(message, out->data + out->size);
    return data.size > 0 ? ft_pb_tail(out, number, data.size) : FT_OK;
}

/* The message without its long field `number`, which stays in the frame: *data. */
static ProtobufCMessage *
unpack(const ProtobufCMessageDescriptor *what, struct ft_bytes frame, uint32_t number, struct ft_bytes *data)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    struct ft_pb_lift lift;
    const bool lifted = ft_pb_lift(frame, number, &lift);

    *data = lifted ? lift.field : FT_BYTES(NULL, 0);
    if (lifted)
        frame = FT_BYTES(lift.rest, lift.rest_size);
    ft_pb_allocator_init(&allocator, &budget, 16 * frame.size + ((size_t)64 << 10));
    return protobuf_c_message_unpack(what, &allocator, frame.size, frame.data);
}

/* Every block came from ft_calloc, so any allocator of that seam can give it back. */
static void
clear(void **owner)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    if (*owner == NULL)
        return;
    ft_pb_allocator_init(&allocator, &budget, 0);
    protobuf_c_message_free_unpacked(*owner, &allocator);
    *owner = NULL;
}

enum ft_status
ft_out_encode_head(const struct ft_out *message, struct ft_buf *out)
{
    Fedtill__V1__Outbound pb = FEDTILL__V1__OUTBOUND__INIT;
    pb.kind = (Fedtill__V1__Outbound__Kind)message->kind;
    pb.id = message->id;
    pb.request = as_field(message->request);
    if (message->kind == FT_OUT_DOWNLOAD)
        pb.hash = as_field(FT_BYTES(message->hash, sizeof message->hash));
    pb.offset = message->offset;
    pb.header = as_field(message->header);
    pb.trailer = as_field(message->trailer);
    pb.size = message->size;
    pb.wait_ms = message->wait_ms;
    return pack(&pb.base, FT_OUT_FRAME_MAX, OUT_DATA, message->data, out);
}

enum ft_status
ft_out_encode(const struct ft_out *message, struct ft_buf *out)
{
    const enum ft_status st = ft_out_encode_head(message, out);
    return st == FT_OK ? ft_buf_append(out, message->data.data, message->data.size) : st;
}

enum ft_status
ft_out_decode(struct ft_bytes frame, struct ft_out *out)
{
    *out = (struct ft_out){ 0 };
    if (frame.size > FT_OUT_FRAME_MAX)
        return FT_ERR_LIMIT;
    struct ft_bytes data;
    Fedtill__V1__Outbound *pb =
        (Fedtill__V1__Outbound *)unpack(&fedtill__v1__outbound__descriptor, frame, OUT_DATA, &data);
    if (pb == NULL)
        return FT_ERR_FORMAT;
    out->owner = pb;
    out->kind = (enum ft_out_kind)pb->kind;
    out->id = pb->id;
    out->request = as_bytes(pb->request);
    out->offset = pb->offset;
    out->header = as_bytes(pb->header);
    out->trailer = as_bytes(pb->trailer);
    out->size = pb->size;
    out->data = data.size > 0 ? data : as_bytes(pb->data);
    out->wait_ms = pb->wait_ms;
    bool good = false;
    switch (out->kind) {
    case FT_OUT_SYNC:
        good = pb->request.len > 0;
        break;
    case FT_OUT_DOWNLOAD:
        good = pb->hash.len == sizeof out->hash;
        if (good)
            memcpy(out->hash, pb->hash.data, sizeof out->hash);
        break;
    case FT_OUT_UPLOAD:
        good = pb->header.len > 0 && pb->trailer.len > 0 && pb->size > 0;
        break;
    case FT_OUT_DATA:
        good = out->data.size > 0 && out->data.size <= FT_CHUNK_MAX;
        break;
    case FT_OUT_IDLE:
    case FT_OUT_STOP:
        good = true;
        break;
    }
    if (!good)
        ft_out_clear(out);
    return good ? FT_OK : FT_ERR_FORMAT;
}

void
ft_out_clear(struct ft_out *message)
{
    clear(&message->owner);
    *message = (struct ft_out){ 0 };
}

enum ft_status
ft_in_encode_head(const struct ft_in *message, struct ft_buf *out)
{
    Fedtill__V1__Inbound pb = FEDTILL__V1__INBOUND__INIT;
    pb.kind = (Fedtill__V1__Inbound__Kind)message->kind;
    pb.id = message->id;
    pb.reply = as_field(message->reply);
    pb.offset = message->offset;
    pb.total = message->total;
    pb.last = message->last;
    pb.size = message->size;
    pb.status = (uint32_t)message->status;
    return pack(&pb.base, FT_IN_FRAME_MAX, IN_DATA, message->data, out);
}

enum ft_status
ft_in_encode(const struct ft_in *message, struct ft_buf *out)
{
    const enum ft_status st = ft_in_encode_head(message, out);
    return st == FT_OK ? ft_buf_append(out, message->data.data, message->data.size) : st;
}

enum ft_status
ft_in_decode(struct ft_bytes frame, struct ft_in *out)
{
    *out = (struct ft_in){ 0 };
    if (frame.size > FT_IN_FRAME_MAX)
        return FT_ERR_LIMIT;
    struct ft_bytes data;
    Fedtill__V1__Inbound *pb =
        (Fedtill__V1__Inbound *)unpack(&fedtill__v1__inbound__descriptor, frame, IN_DATA, &data);
    if (pb == NULL)
        return FT_ERR_FORMAT;
    out->owner = pb;
    out->kind = (enum ft_in_kind)pb->kind;
    out->id = pb->id;
    out->reply = as_bytes(pb->reply);
    out->offset = pb->offset;
    out->total = pb->total;
    out->data = data.size > 0 ? data : as_bytes(pb->data);
    out->last = pb->last;
    out->size = pb->size;
    bool good = false;
    switch (out->kind) {
    case FT_IN_REPLY:
    case FT_IN_UPLOADED:
    case FT_IN_RESTED:
        good = true;
        break;
    case FT_IN_CHUNK:
        good = out->data.size <= FT_CHUNK_MAX && out->offset <= out->total &&
               out->data.size <= out->total - out->offset;
        break;
    case FT_IN_WANT:
        good = out->size > 0 && out->size <= FT_CHUNK_MAX;
        break;
    case FT_IN_FAILED:
        good = pb->status > FT_OK && pb->status < FT_STATUS_COUNT;
        if (good)
            out->status = (enum ft_status)pb->status;
        break;
    }
    if (!good)
        ft_in_clear(out);
    return good ? FT_OK : FT_ERR_FORMAT;
}

void
ft_in_clear(struct ft_in *message)
{
    clear(&message->owner);
    *message = (struct ft_in){ 0 };
}
