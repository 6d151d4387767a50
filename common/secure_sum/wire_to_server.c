#include "common/base/alloc.h"
#include "common/secure_sum/session.h"
#include "common/secure_sum/wire.h"

#include "secure_sum.pb-c.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

typedef Fedtill__V1__SumToServer Envelope;

static bool
take(uint8_t *out, size_t size, const ProtobufCBinaryData *field)
{
    if (field->len != size)
        return false;
    memcpy(out, field->data, size);
    return true;
}

static bool
take_records(struct ft_bytes *out, size_t record, const ProtobufCBinaryData *field)
{
    *out = (struct ft_bytes){ field->data, field->len };
    return field->len % record == 0;
}

static bool
take_kind(struct ft_ss_up *out, const Envelope *e)
{
    switch (e->kind_case) {
    case FEDTILL__V1__SUM_TO_SERVER__KIND_JOIN:
        out->kind = FT_SS_UP_JOIN;
        return take(out->nu, 32, &e->join->nu);
    case FEDTILL__V1__SUM_TO_SERVER__KIND_SHARES:
        out->kind = FT_SS_UP_SHARES;
        out->escrow_ct = (struct ft_bytes){ e->shares->escrow_ct.data, e->shares->escrow_ct.len };
        return take(out->commit_b, 32, &e->shares->commit_b) &&
               take(out->commit_k, 32, &e->shares->commit_k) &&
               take_records(&out->records, FT_SS_SHARE_RECORD, &e->shares->shares) &&
               take(out->escrow_nonce, FT_SS_NONCE_SIZE, &e->shares->escrow_nonce);
    case FEDTILL__V1__SUM_TO_SERVER__KIND_CONFIRM:
        out->kind = FT_SS_UP_CONFIRM;
        return true;
    case FEDTILL__V1__SUM_TO_SERVER__KIND_UNMASK:
        out->kind = FT_SS_UP_UNMASK;
        return take(out->b, 32, &e->unmask->b) &&
               take_records(&out->records, FT_SS_REVEAL_RECORD, &e->unmask->shares);
    case FEDTILL__V1__SUM_TO_SERVER__KIND_REPAIR:
        out->kind = FT_SS_UP_REPAIR;
        return take_records(&out->records, FT_SS_REPAIR_RECORD, &e->repair->masks);
    case FEDTILL__V1__SUM_TO_SERVER__KIND_ABORT:
        out->kind = FT_SS_UP_ABORT;
        out->step = e->abort->step;
        out->code = e->abort->code;
        return true;
    default:
        return false;
    }
}

enum ft_status
ft_ss_up_decode(struct ft_bytes bytes, struct ft_ss_up *out)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Envelope *e;

    *out = (struct ft_ss_up){ 0 };
    if (bytes.size > FT_SS_MESSAGE_MAX)
        return FT_ERR_LIMIT;
    ft_pb_allocator_init(&allocator, &budget, 16 * bytes.size + 65536);
    e = fedtill__v1__sum_to_server__unpack(&allocator, bytes.size, bytes.data);
    if (e == NULL)
        return FT_ERR_FORMAT;
    out->owner = e;
    out->id = e->id;
    if (!take(out->t0, 32, &e->t0) || !take(out->signature, 64, &e->signature) || !take_kind(out, e)) {
        ft_ss_up_clear(out);
        return FT_ERR_FORMAT;
    }
    return FT_OK;
}

/* Shares, self-mask secrets and mask keys do not stay behind in freed memory. */
static void
wipe_secrets(Envelope *e)
{
    if (e->kind_case == FEDTILL__V1__SUM_TO_SERVER__KIND_UNMASK) {
        sodium_memzero(e->unmask->b.data, e->unmask->b.len);
        sodium_memzero(e->unmask->shares.data, e->unmask->shares.len);
    }
    if (e->kind_case == FEDTILL__V1__SUM_TO_SERVER__KIND_REPAIR)
        sodium_memzero(e->repair->masks.data, e->repair->masks.len);
}

void
ft_ss_up_clear(struct ft_ss_up *up)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    ft_pb_allocator_init(&allocator, &budget, 0);
    if (up->owner != NULL) {
        wipe_secrets(up->owner);
        fedtill__v1__sum_to_server__free_unpacked(up->owner, &allocator);
    }
    sodium_memzero(up, sizeof *up);
}

static ProtobufCBinaryData
field_of(const uint8_t *data, size_t size)
{
    return (ProtobufCBinaryData){ size, (uint8_t *)(uintptr_t)data };
}

#define FIELD(array) field_of((array), sizeof(array))
#define RUN(run)     field_of((run).data, (run).size)

enum ft_status
ft_ss_up_encode(const struct ft_ss_up *up, struct ft_buf *out)
{
    Envelope e = FEDTILL__V1__SUM_TO_SERVER__INIT;
    Fedtill__V1__SumJoin join = FEDTILL__V1__SUM_JOIN__INIT;
    Fedtill__V1__SumShareKeys shares = FEDTILL__V1__SUM_SHARE_KEYS__INIT;
    Fedtill__V1__SumConfirm confirm = FEDTILL__V1__SUM_CONFIRM__INIT;
    Fedtill__V1__SumUnmask unmask = FEDTILL__V1__SUM_UNMASK__INIT;
    Fedtill__V1__SumRepair repair = FEDTILL__V1__SUM_REPAIR__INIT;
    Fedtill__V1__SumAbort abort = FEDTILL__V1__SUM_ABORT__INIT;
    enum ft_status st;

    e.t0 = FIELD(up->t0);
    e.id = up->id;
    e.signature = FIELD(up->signature);
    switch (up->kind) {
    case FT_SS_UP_JOIN:
        join.nu = FIELD(up->nu);
        e.kind_case = FEDTILL__V1__SUM_TO_SERVER__KIND_JOIN;
        e.join = &join;
        break;
    case FT_SS_UP_SHARES:
        shares.commit_b = FIELD(up->commit_b);
        shares.commit_k = FIELD(up->commit_k);
        shares.shares = RUN(up->records);
        shares.escrow_nonce = FIELD(up->escrow_nonce);
        shares.escrow_ct = RUN(up->escrow_ct);
        e.kind_case = FEDTILL__V1__SUM_TO_SERVER__KIND_SHARES;
        e.shares = &shares;
        break;
    case FT_SS_UP_CONFIRM:
        e.kind_case = FEDTILL__V1__SUM_TO_SERVER__KIND_CONFIRM;
        e.confirm = &confirm;
        break;
    case FT_SS_UP_UNMASK:
        unmask.b = FIELD(up->b);
        unmask.shares = RUN(up->records);
        e.kind_case = FEDTILL__V1__SUM_TO_SERVER__KIND_UNMASK;
        e.unmask = &unmask;
        break;
    case FT_SS_UP_REPAIR:
        repair.masks = RUN(up->records);
        e.kind_case = FEDTILL__V1__SUM_TO_SERVER__KIND_REPAIR;
        e.repair = &repair;
        break;
    case FT_SS_UP_ABORT:
        abort.step = up->step;
        abort.code = up->code;
        e.kind_case = FEDTILL__V1__SUM_TO_SERVER__KIND_ABORT;
        e.abort = &abort;
        break;
    }
    assert(e.kind_case != FEDTILL__V1__SUM_TO_SERVER__KIND__NOT_SET);
    st = ft_buf_reserve(out, fedtill__v1__sum_to_server__get_packed_size(&e));
    if (st == FT_OK)
        out->size += fedtill__v1__sum_to_server__pack(&e, out->data + out->size);
    return st;
}
