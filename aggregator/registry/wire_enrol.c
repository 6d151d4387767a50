#include "aggregator/registry/wire_enrol.h"
#include "common/base/alloc.h"
#include "federation.pb-c.h"

#include <sodium.h>
#include <string.h>

static bool
fixed(const ProtobufCBinaryData *field, void *out, size_t size)
{
    if (field->len != size)
        return false;
    memcpy(out, field->data, size);
    return true;
}

enum ft_status
ft_enrol_request_decode(struct ft_bytes bytes, struct ft_enrol_request *out)
{
    enum ft_status st = FT_ERR_FORMAT;
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Fedtill__V1__EnrolRequest *m;

    memset(out, 0, sizeof *out);
    if (bytes.size > FT_ENROL_REQUEST_MAX)
        return FT_ERR_FORMAT;
    ft_pb_allocator_init(&allocator, &budget, 16 * bytes.size + 65536);
    m = fedtill__v1__enrol_request__unpack(&allocator, bytes.size, bytes.data);
    if (m == NULL)
        return FT_ERR_FORMAT;
    if (fixed(&m->token, out->token, sizeof out->token) &&
        fixed(&m->identity_key, out->identity_key, sizeof out->identity_key) &&
        fixed(&m->identity_proof, out->identity_proof, sizeof out->identity_proof) &&
        strlen(m->shop) < sizeof out->shop) {
        memcpy(out->shop, m->shop, strlen(m->shop));
        st = ft_buf_append(&out->csr_der, m->csr_der.data, m->csr_der.len);
    }
    sodium_memzero(m->token.data, m->token.len);
    fedtill__v1__enrol_request__free_unpacked(m, &allocator);
    if (st != FT_OK)
        ft_enrol_request_clear(out);
    return st;
}

void
ft_enrol_request_clear(struct ft_enrol_request *r)
{
    ft_buf_clear(&r->csr_der);
    sodium_memzero(r, sizeof *r);
}

static ProtobufCBinaryData
borrow(struct ft_bytes bytes)
{
    return (ProtobufCBinaryData){ .len = bytes.size, .data = (uint8_t *)(uintptr_t)bytes.data };
}

enum ft_status
ft_enrol_reply_encode(const struct ft_enrol_reply *r, struct ft_buf *out)
{
    enum ft_status st;
    Fedtill__V1__EnrolReply m = FEDTILL__V1__ENROL_REPLY__INIT;

    m.refusal = r->refusal;
    if (r->refusal == 0) {
        m.certificate_pem = borrow(r->certificate_pem);
        m.ca_pem = borrow(r->ca_pem);
        m.shop_id = r->shop_id;
        m.deployment = borrow(FT_BYTES(r->deployment, 16));
    }
    st = ft_buf_reserve(out, fedtill__v1__enrol_reply__get_packed_size(&m));
    if (st == FT_OK)
        out->size += fedtill__v1__enrol_reply__pack(&m, out->data + out->size);
    return st;
}
