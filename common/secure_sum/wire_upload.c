#include "common/base/alloc.h"
#include "common/secure_sum/wire.h"

#include "secure_sum.pb-c.h"

#include <string.h>

#define HEADER_SIZE_MAX 512 /* both messages are under 150 bytes */

static ProtobufCBinaryData
field_of(const uint8_t *data, size_t size)
{
    return (ProtobufCBinaryData){ size, (uint8_t *)(uintptr_t)data };
}

static bool
take(uint8_t *out, size_t size, const ProtobufCBinaryData *field)
{
    if (field->len != size)
        return false;
    memcpy(out, field->data, size);
    return true;
}

enum ft_status
ft_ss_header_decode(struct ft_bytes bytes, struct ft_ss_header *out)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Fedtill__V1__SumUploadHeader *m;
    bool good;

    *out = (struct ft_ss_header){ 0 };
    if (bytes.size > HEADER_SIZE_MAX)
        return FT_ERR_LIMIT;
    ft_pb_allocator_init(&allocator, &budget, 16 * bytes.size + 4096);
    m = fedtill__v1__sum_upload_header__unpack(&allocator, bytes.size, bytes.data);
    if (m == NULL)
        return FT_ERR_FORMAT;
    good = take(out->t0, 32, &m->t0) && take(out->t2, 32, &m->t2);
    out->id = m->id;
    out->words = m->words;
    fedtill__v1__sum_upload_header__free_unpacked(m, &allocator);
    return good ? FT_OK : FT_ERR_FORMAT;
}

enum ft_status
ft_ss_header_encode(const struct ft_ss_header *header, struct ft_buf *out)
{
    Fedtill__V1__SumUploadHeader m = FEDTILL__V1__SUM_UPLOAD_HEADER__INIT;
    enum ft_status st;

    m.t0 = field_of(header->t0, 32);
    m.id = header->id;
    m.t2 = field_of(header->t2, 32);
    m.words = header->words;
    st = ft_buf_reserve(out, fedtill__v1__sum_upload_header__get_packed_size(&m));
    if (st == FT_OK)
        out->size += fedtill__v1__sum_upload_header__pack(&m, out->data + out->size);
    return st;
}

enum ft_status
ft_ss_trailer_decode(struct ft_bytes bytes, struct ft_ss_trailer *out)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Fedtill__V1__SumUploadTrailer *m;
    bool good;

    *out = (struct ft_ss_trailer){ 0 };
    if (bytes.size > HEADER_SIZE_MAX)
        return FT_ERR_LIMIT;
    ft_pb_allocator_init(&allocator, &budget, 16 * bytes.size + 4096);
    m = fedtill__v1__sum_upload_trailer__unpack(&allocator, bytes.size, bytes.data);
    if (m == NULL)
        return FT_ERR_FORMAT;
    good = take(out->digest, 32, &m->digest) && take(out->audit, 32, &m->audit) &&
           take(out->signature, 64, &m->signature);
    fedtill__v1__sum_upload_trailer__free_unpacked(m, &allocator);
    return good ? FT_OK : FT_ERR_FORMAT;
}

enum ft_status
ft_ss_trailer_encode(const struct ft_ss_trailer *trailer, struct ft_buf *out)
{
    Fedtill__V1__SumUploadTrailer m = FEDTILL__V1__SUM_UPLOAD_TRAILER__INIT;
    enum ft_status st;

    m.digest = field_of(trailer->digest, 32);
    m.audit = field_of(trailer->audit, 32);
    m.signature = field_of(trailer->signature, 64);
    st = ft_buf_reserve(out, fedtill__v1__sum_upload_trailer__get_packed_size(&m));
    if (st == FT_OK)
        out->size += fedtill__v1__sum_upload_trailer__pack(&m, out->data + out->size);
    return st;
}
