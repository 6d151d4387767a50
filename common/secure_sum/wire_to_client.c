#include "common/base/alloc.h"
#include "common/secure_sum/session.h"
#include "common/secure_sum/wire.h"

#include "secure_sum.pb-c.h"

#include <assert.h>
#include <string.h>

typedef Fedtill__V1__SumToClient Envelope;

/* Exactly `size` bytes, copied. */
static bool
take(uint8_t *out, size_t size, const ProtobufCBinaryData *field)
{
    if (field->len != size)
        return false;
    memcpy(out, field->data, size);
    return true;
}

static struct ft_bytes
view_of(const ProtobufCBinaryData *field)
{
    return (struct ft_bytes){ field->data, field->len };
}

static bool
take_records(struct ft_bytes *out, size_t record, const ProtobufCBinaryData *field)
{
    *out = view_of(field);
    return field->len % record == 0;
}

static bool
take_cohort(struct ft_ss_down *out, const Fedtill__V1__SumCohort *m)
{
    if (m->k > UINT16_MAX || m->t > UINT16_MAX || m->e_max > UINT16_MAX)
        return false;
    out->members = view_of(&m->members);
    out->params = (struct ft_ss_params){
        .k = (uint16_t)m->k, .t = (uint16_t)m->t, .q = m->q, .p = m->p, .e_max = (uint16_t)m->e_max
    };
    return take(out->prior, 32, &m->t0) && take(out->join_root, 32, &m->join_root) &&
           take_records(&out->path, 32, &m->path) && take(out->signature, 64, &m->view);
}

static bool
take_ended(struct ft_ss_down *out, const Fedtill__V1__SumEnded *m)
{
    out->round = m->round;
    out->attempt = m->attempt;
    out->code = m->code;
    return take(out->task_hash, 32, &m->task_hash) && take(out->signature, 64, &m->signature);
}

static bool
take_kind(struct ft_ss_down *out, const Envelope *e)
{
    switch (e->kind_case) {
    case FEDTILL__V1__SUM_TO_CLIENT__KIND_ANNOUNCE:
        out->kind = FT_SS_DOWN_ANNOUNCE;
        out->descriptor = view_of(&e->announce->descriptor);
        return take(out->signature, 64, &e->announce->view);
    case FEDTILL__V1__SUM_TO_CLIENT__KIND_COHORT:
        out->kind = FT_SS_DOWN_COHORT;
        return take_cohort(out, e->cohort);
    case FEDTILL__V1__SUM_TO_CLIENT__KIND_DELIVER:
        out->kind = FT_SS_DOWN_DELIVER;
        out->members = view_of(&e->deliver->members);
        return take(out->prior, 32, &e->deliver->t1) &&
               take_records(&out->records, FT_SS_SHARE_RECORD, &e->deliver->shares) &&
               take(out->signature, 64, &e->deliver->view);
    case FEDTILL__V1__SUM_TO_CLIENT__KIND_SURVIVORS:
        out->kind = FT_SS_DOWN_SURVIVORS;
        out->members = view_of(&e->survivors->members);
        return take(out->prior, 32, &e->survivors->t2) && take(out->signature, 64, &e->survivors->view);
    case FEDTILL__V1__SUM_TO_CLIENT__KIND_CERTIFICATE:
        out->kind = FT_SS_DOWN_CERTIFICATE;
        return take(out->prior, 32, &e->certificate->t3) &&
               take_records(&out->records, FT_SS_CONFIRM_RECORD, &e->certificate->confirmations);
    case FEDTILL__V1__SUM_TO_CLIENT__KIND_REPAIR:
        out->kind = FT_SS_DOWN_REPAIR;
        return take(out->prior, 32, &e->repair->t3) && take(out->signature, 64, &e->repair->signature);
    case FEDTILL__V1__SUM_TO_CLIENT__KIND_RESULT:
        out->kind = FT_SS_DOWN_RESULT;
        return take(out->prior, 32, &e->result->t3) && take(out->result_hash, 32, &e->result->result_hash) &&
               take(out->signature, 64, &e->result->signature);
    case FEDTILL__V1__SUM_TO_CLIENT__KIND_ENDED:
        out->kind = FT_SS_DOWN_ENDED;
        return take_ended(out, e->ended);
    default:
        return false;
    }
}

enum ft_status
ft_ss_down_decode(struct ft_bytes bytes, struct ft_ss_down *out)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    Envelope *e;

    *out = (struct ft_ss_down){ 0 };
    if (bytes.size > FT_SS_MESSAGE_MAX)
        return FT_ERR_LIMIT;
    ft_pb_allocator_init(&allocator, &budget, 16 * bytes.size + 65536);
    e = fedtill__v1__sum_to_client__unpack(&allocator, bytes.size, bytes.data);
    if (e == NULL)
        return FT_ERR_FORMAT;
    out->owner = e;
    if (!take_kind(out, e)) {
        ft_ss_down_clear(out);
        return FT_ERR_FORMAT;
    }
    return FT_OK;
}

void
ft_ss_down_clear(struct ft_ss_down *down)
{
    struct ft_pb_budget budget;
    ProtobufCAllocator allocator;
    ft_pb_allocator_init(&allocator, &budget, 0);
    if (down->owner != NULL)
        fedtill__v1__sum_to_client__free_unpacked(down->owner, &allocator);
    *down = (struct ft_ss_down){ 0 };
}

/* protobuf-c's structs are not const-correct: packing does not write through these. */
static ProtobufCBinaryData
field_of(const uint8_t *data, size_t size)
{
    return (ProtobufCBinaryData){ size, (uint8_t *)(uintptr_t)data };
}

#define FIELD(array) field_of((array), sizeof(array))
#define RUN(run)     field_of((run).data, (run).size)

static enum ft_status
pack(const Envelope *e, struct ft_buf *out)
{
    const size_t size = fedtill__v1__sum_to_client__get_packed_size(e);
    enum ft_status st = ft_buf_reserve(out, size);
    if (st == FT_OK)
        out->size += fedtill__v1__sum_to_client__pack(e, out->data + out->size);
    return st;
}

enum ft_status
ft_ss_down_encode(const struct ft_ss_down *d, struct ft_buf *out)
{
    Envelope e = FEDTILL__V1__SUM_TO_CLIENT__INIT;
    Fedtill__V1__SumAnnounce announce = FEDTILL__V1__SUM_ANNOUNCE__INIT;
    Fedtill__V1__SumCohort cohort = FEDTILL__V1__SUM_COHORT__INIT;
    Fedtill__V1__SumDeliver deliver = FEDTILL__V1__SUM_DELIVER__INIT;
    Fedtill__V1__SumSurvivors survivors = FEDTILL__V1__SUM_SURVIVORS__INIT;
    Fedtill__V1__SumCertificate certificate = FEDTILL__V1__SUM_CERTIFICATE__INIT;
    Fedtill__V1__SumRepairRequest repair = FEDTILL__V1__SUM_REPAIR_REQUEST__INIT;
    Fedtill__V1__SumResult result = FEDTILL__V1__SUM_RESULT__INIT;
    Fedtill__V1__SumEnded ended = FEDTILL__V1__SUM_ENDED__INIT;

    switch (d->kind) {
    case FT_SS_DOWN_ANNOUNCE:
        announce.descriptor = RUN(d->descriptor);
        announce.view = FIELD(d->signature);
        e.kind_case = FEDTILL__V1__SUM_TO_CLIENT__KIND_ANNOUNCE;
        e.announce = &announce;
        break;
    case FT_SS_DOWN_COHORT:
        cohort.t0 = FIELD(d->prior);
        cohort.members = RUN(d->members);
        cohort.join_root = FIELD(d->join_root);
        cohort.path = RUN(d->path);
        cohort.k = d->params.k;
        cohort.t = d->params.t;
        cohort.q = d->params.q;
        cohort.p = d->params.p;
        cohort.e_max = d->params.e_max;
        cohort.view = FIELD(d->signature);
        e.kind_case = FEDTILL__V1__SUM_TO_CLIENT__KIND_COHORT;
        e.cohort = &cohort;
        break;
    case FT_SS_DOWN_DELIVER:
        deliver.t1 = FIELD(d->prior);
        deliver.members = RUN(d->members);
        deliver.shares = RUN(d->records);
        deliver.view = FIELD(d->signature);
        e.kind_case = FEDTILL__V1__SUM_TO_CLIENT__KIND_DELIVER;
        e.deliver = &deliver;
        break;
    case FT_SS_DOWN_SURVIVORS:
        survivors.t2 = FIELD(d->prior);
        survivors.members = RUN(d->members);
        survivors.view = FIELD(d->signature);
        e.kind_case = FEDTILL__V1__SUM_TO_CLIENT__KIND_SURVIVORS;
        e.survivors = &survivors;
        break;
    case FT_SS_DOWN_CERTIFICATE:
        certificate.t3 = FIELD(d->prior);
        certificate.confirmations = RUN(d->records);
        e.kind_case = FEDTILL__V1__SUM_TO_CLIENT__KIND_CERTIFICATE;
        e.certificate = &certificate;
        break;
    case FT_SS_DOWN_REPAIR:
        repair.t3 = FIELD(d->prior);
        repair.signature = FIELD(d->signature);
        e.kind_case = FEDTILL__V1__SUM_TO_CLIENT__KIND_REPAIR;
        e.repair = &repair;
        break;
    case FT_SS_DOWN_RESULT:
        result.t3 = FIELD(d->prior);
        result.result_hash = FIELD(d->result_hash);
        result.signature = FIELD(d->signature);
        e.kind_case = FEDTILL__V1__SUM_TO_CLIENT__KIND_RESULT;
        e.result = &result;
        break;
    case FT_SS_DOWN_ENDED:
        ended.task_hash = FIELD(d->task_hash);
        ended.round = d->round;
        ended.attempt = d->attempt;
        ended.code = d->code;
        ended.signature = FIELD(d->signature);
        e.kind_case = FEDTILL__V1__SUM_TO_CLIENT__KIND_ENDED;
        e.ended = &ended;
        break;
    }
    assert(e.kind_case != FEDTILL__V1__SUM_TO_CLIENT__KIND__NOT_SET);
    return pack(&e, out);
}
