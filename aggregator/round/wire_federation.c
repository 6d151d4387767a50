#include "aggregator/round/wire_federation.h"
#include "common/base/alloc.h"
#include "common/base/pb_lift.h"
#include "federation.pb-c.h"

#include <string.h>

/* Empty stands for zeros (proto3 leaves defaults out); any other size than `size` is malformed. */
static bool
fixed_or_zero(const ProtobufCBinaryData *field, void *out, size_t size)
{
    memset(out, 0, size);
    if (field->len == 0)
        return true;
    if (field->len != size)
        return false;
    memcpy(out, field->data, size);
    return true;
}

static ProtobufCBinaryData
borrow(struct ft_bytes bytes)
{
    return (ProtobufCBinaryData){ .len = bytes.size, .data = (uint8_t *)(uintptr_t)bytes.data };
}

static bool
read_position(const Fedtill__V1__Position *p, struct ft_ss_position *out)
{
    memset(out, 0, sizeof *out);
    if (p == NULL)
        return true;
    out->round = p->round;
    out->attempt = p->attempt;
    out->step = p->step;
    return p->step <= FT_SS_STEP_REPAIR && fixed_or_zero(&p->task_hash, out->task_hash, 32) &&
           fixed_or_zero(&p->transcript, out->transcript, 32);
}

static enum ft_status
read_verdicts(const Fedtill__V1__SyncRequest *m, struct ft_sync_request *out)
{
    if (m->n_verdicts > FT_SYNC_VERDICTS_MAX)
        return FT_ERR_FORMAT;
    if (m->n_verdicts == 0)
        return FT_OK;
    out->verdicts = ft_calloc(m->n_verdicts, sizeof *out->verdicts);
    if (out->verdicts == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < m->n_verdicts; i++) {
        const Fedtill__V1__TaskVerdict *v = m->verdicts[i];
        struct ft_sync_verdict *to = &out->verdicts[i];
        if (v->task_hash.len != 32 || v->verdict < FT_VERDICT_ACCEPTED || v->verdict > FT_VERDICT_LATER ||
            v->n_codes > FT_SYNC_CODES_MAX)
            return FT_ERR_FORMAT;
        memcpy(to->task_hash, v->task_hash.data, 32);
        to->verdict = v->verdict;
        to->code_count = (uint32_t)v->n_codes;
        for (size_t c = 0; c < v->n_codes; c++)
            to->codes[c] = v->codes[c];
    }
    out->verdict_count = m->n_verdicts;
    return FT_OK;
}

static enum ft_status
read_request(const Fedtill__V1__SyncRequest *m, struct ft_sync_request *out)
{
    enum ft_status st;

    out->protocol = m->protocol;
    out->roster_serial = m->roster_serial;
    out->epoch = m->epoch;
    out->wait_ms = m->wait_ms;
    out->tell_the_end = m->tell_the_end != 0;
    out->has_epoch_key = m->epoch_key.len > 0;
    out->has_ledger_head = m->ledger_head.len > 0;
    if (!fixed_or_zero(&m->directory_root, out->directory_root, 32) ||
        !fixed_or_zero(&m->ledger_head, out->ledger_head, sizeof out->ledger_head) ||
        !read_position(m->position, &out->position) || m->answer.len > FT_SS_MESSAGE_MAX)
        return FT_ERR_FORMAT;
    if (out->has_epoch_key)
        FT_TRY(ft_ss_epoch_key_decode(FT_BYTES(m->epoch_key.data, m->epoch_key.len), &out->epoch_key));
    FT_TRY(read_verdicts(m, out));
    FT_TRY(ft_buf_append(&out->answer, m->answer.data, m->answer.len));
out:
    return st;
}

enum ft_status
ft_sync_request_decode(struct ft_bytes bytes, struct ft_sync_request *out)
{
    enum ft_status st;
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Fedtill__V1__SyncRequest *m;

    memset(out, 0, sizeof *out);
    if (bytes.size > FT_SYNC_REQUEST_MAX)
        return FT_ERR_FORMAT;
    ft_pb_allocator_init(&allocator, &budget, 4 * bytes.size + 131072);
    m = fedtill__v1__sync_request__unpack(&allocator, bytes.size, bytes.data);
    if (m == NULL)
        return FT_ERR_FORMAT;
    st = read_request(m, out);
    fedtill__v1__sync_request__free_unpacked(m, &allocator);
    if (st != FT_OK)
        ft_sync_request_clear(out);
    return st;
}

void
ft_sync_request_clear(struct ft_sync_request *r)
{
    ft_buf_clear(&r->answer);
    ft_free(r->verdicts);
    memset(r, 0, sizeof *r);
}

enum ft_status
ft_sync_reply_encode(const struct ft_sync_reply *r, struct ft_buf *out)
{
    enum ft_status st;
    Fedtill__V1__SyncReply m = FEDTILL__V1__SYNC_REPLY__INIT;

    m.kind = (Fedtill__V1__SyncReply__Kind)r->kind;
    m.epoch = r->epoch;
    if (r->blob_hash != NULL)
        m.blob_hash = borrow(FT_BYTES(r->blob_hash, 32));
    m.blob_size = r->blob_size;
    if (r->task_hash != NULL)
        m.task_hash = borrow(FT_BYTES(r->task_hash, 32));
    m.message = borrow(r->message);
    m.code = r->code;
    m.retry_ms = r->retry_ms;
    m.shop_index = r->shop_index;
    m.nothing_left = r->nothing_left;
    if (r->ledger_head != NULL)
        m.ledger_head = borrow(FT_BYTES(r->ledger_head, 40));
    st = ft_buf_reserve(out, fedtill__v1__sync_reply__get_packed_size(&m));
    if (st == FT_OK)
        out->size += fedtill__v1__sync_reply__pack(&m, out->data + out->size);
    return st;
}

#define FRAME_CHUNK 3 /* UploadFrame.chunk */

enum ft_status
ft_upload_frame_decode(struct ft_bytes bytes, struct ft_upload_frame *out)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Fedtill__V1__UploadFrame *m;
    struct ft_pb_lift lift;
    struct ft_bytes chunk;
    bool lifted;

    memset(out, 0, sizeof *out);
    if (bytes.size > FT_UPLOAD_FRAME_MAX)
        return FT_ERR_FORMAT;
    lifted = ft_pb_lift(bytes, FRAME_CHUNK, &lift);
    if (lifted)
        bytes = FT_BYTES(lift.rest, lift.rest_size);
    ft_pb_allocator_init(&allocator, &budget, 2 * bytes.size + 65536);
    m = fedtill__v1__upload_frame__unpack(&allocator, bytes.size, bytes.data);
    if (m == NULL)
        return FT_ERR_FORMAT;
    /* Freed without the budget, which only counts what is taken. */
    out->message = m;
    out->offset = m->offset;
    chunk = lifted ? lift.field : FT_BYTES(m->chunk.data, m->chunk.len);
    if (m->header.len > 0 && chunk.size == 0 && m->trailer.len == 0) {
        out->kind = FT_UPLOAD_HEADER;
        out->bytes = FT_BYTES(m->header.data, m->header.len);
    } else if (chunk.size > 0 && m->header.len == 0 && m->trailer.len == 0) {
        out->kind = FT_UPLOAD_CHUNK;
        out->bytes = chunk;
    } else if (m->trailer.len > 0 && m->header.len == 0 && chunk.size == 0) {
        out->kind = FT_UPLOAD_TRAILER;
        out->bytes = FT_BYTES(m->trailer.data, m->trailer.len);
    } else {
        ft_upload_frame_clear(out);
        return FT_ERR_FORMAT;
    }
    return FT_OK;
}

void
ft_upload_frame_clear(struct ft_upload_frame *f)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;

    if (f->message == NULL)
        return;
    ft_pb_allocator_init(&allocator, &budget, 0);
    fedtill__v1__upload_frame__free_unpacked(f->message, &allocator);
    memset(f, 0, sizeof *f);
}

enum ft_status
ft_upload_reply_encode(const struct ft_upload_reply *r, struct ft_buf *out)
{
    enum ft_status st;
    Fedtill__V1__UploadReply m = FEDTILL__V1__UPLOAD_REPLY__INIT;

    m.kind = (Fedtill__V1__UploadReply__Kind)r->kind;
    m.offset = r->offset;
    m.code = r->code;
    m.retry_ms = r->retry_ms;
    st = ft_buf_reserve(out, fedtill__v1__upload_reply__get_packed_size(&m));
    if (st == FT_OK)
        out->size += fedtill__v1__upload_reply__pack(&m, out->data + out->size);
    return st;
}

enum ft_status
ft_download_request_decode(struct ft_bytes bytes, uint8_t hash[32], uint64_t *offset)
{
    enum ft_status st = FT_ERR_FORMAT;
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Fedtill__V1__DownloadRequest *m;

    if (bytes.size > 1024)
        return FT_ERR_FORMAT;
    ft_pb_allocator_init(&allocator, &budget, 65536);
    m = fedtill__v1__download_request__unpack(&allocator, bytes.size, bytes.data);
    if (m == NULL)
        return FT_ERR_FORMAT;
    if (m->hash.len == 32) {
        memcpy(hash, m->hash.data, 32);
        *offset = m->offset;
        st = FT_OK;
    }
    fedtill__v1__download_request__free_unpacked(m, &allocator);
    return st;
}

enum ft_status
ft_download_chunk_encode(uint64_t offset, uint64_t total, struct ft_bytes data, struct ft_buf *out)
{
    enum ft_status st;
    Fedtill__V1__DownloadChunk m = FEDTILL__V1__DOWNLOAD_CHUNK__INIT;

    m.offset = offset;
    m.total = total;
    m.data = borrow(data);
    st = ft_buf_reserve(out, fedtill__v1__download_chunk__get_packed_size(&m));
    if (st == FT_OK)
        out->size += fedtill__v1__download_chunk__pack(&m, out->data + out->size);
    return st;
}

enum ft_status
ft_directory_encode(struct ft_bytes signed_roster, const struct ft_ss_directory *directory,
                    struct ft_buf *out)
{
    enum ft_status st = FT_ERR_NOMEM;
    Fedtill__V1__Directory m = FEDTILL__V1__DIRECTORY__INIT;
    const uint32_t universe = directory->roster->count;
    ProtobufCBinaryData *keys = ft_calloc(universe, sizeof *keys);
    uint8_t(*bytes)[FT_SS_EPOCH_KEY_SIZE] = ft_calloc(universe, sizeof *bytes);
    size_t count = 0;

    if (keys == NULL || bytes == NULL)
        goto out;
    for (uint32_t id = 0; id < universe; id++) {
        struct ft_ss_epoch_key key = { .id = id, .epoch = directory->epoch };
        if (!ft_ss_directory_has(directory, id))
            continue;
        memcpy(key.xpk, directory->xpk[id], sizeof key.xpk);
        memcpy(key.signature, directory->signature[id], sizeof key.signature);
        ft_ss_epoch_key_encode(&key, bytes[count]);
        keys[count] = borrow(FT_BYTES(bytes[count], FT_SS_EPOCH_KEY_SIZE));
        count++;
    }
    m.roster = borrow(signed_roster);
    m.epoch = directory->epoch;
    m.n_epoch_keys = count;
    m.epoch_keys = keys;
    FT_TRY(ft_buf_reserve(out, fedtill__v1__directory__get_packed_size(&m)));
    out->size += fedtill__v1__directory__pack(&m, out->data + out->size);
out:
    ft_free(keys);
    ft_free(bytes);
    return st;
}

enum ft_status
ft_directory_decode(struct ft_bytes bytes, struct ft_buf *signed_roster, uint32_t *epoch, struct ft_buf *keys,
                    uint32_t *count)
{
    enum ft_status st = FT_OK;
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Fedtill__V1__Directory *m;

    *signed_roster = *keys = (struct ft_buf){ 0 };
    ft_pb_allocator_init(&allocator, &budget, 16 * bytes.size + 65536);
    m = fedtill__v1__directory__unpack(&allocator, bytes.size, bytes.data);
    if (m == NULL)
        return FT_ERR_FORMAT;
    *epoch = m->epoch;
    *count = (uint32_t)m->n_epoch_keys;
    FT_TRY(ft_buf_append(signed_roster, m->roster.data, m->roster.len));
    for (size_t i = 0; i < m->n_epoch_keys; i++) {
        if (m->epoch_keys[i].len != FT_SS_EPOCH_KEY_SIZE) {
            st = FT_ERR_FORMAT;
            goto out;
        }
        FT_TRY(ft_buf_append(keys, m->epoch_keys[i].data, FT_SS_EPOCH_KEY_SIZE));
    }
out:
    fedtill__v1__directory__free_unpacked(m, &allocator);
    if (st != FT_OK) {
        ft_buf_clear(signed_roster);
        ft_buf_clear(keys);
    }
    return st;
}
