/* What each message of a session is signed over: the transcript hash it follows, then its own fields. */
#include "common/secure_sum/hash.h"
#include "common/secure_sum/wire.h"

#include <assert.h>

#define RUN(array) FT_BYTES((array), sizeof(array))

/* H("body"; ...): over one string, the fields in their order. */
static void
body_hash(const struct ft_ss_up *up, uint8_t out[32])
{
    const struct ft_bytes shares[] = { RUN(up->commit_b), RUN(up->commit_k), up->records,
                                       RUN(up->escrow_nonce), up->escrow_ct };
    const struct ft_bytes unmask[] = { RUN(up->b), up->records };
    const struct ft_bytes *parts = up->kind == FT_SS_UP_SHARES   ? shares
                                   : up->kind == FT_SS_UP_UNMASK ? unmask
                                                                 : &up->records;
    const size_t count = up->kind == FT_SS_UP_SHARES ? 5 : up->kind == FT_SS_UP_UNMASK ? 2 : 1;
    struct ft_ss_hasher h;
    uint64_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += parts[i].size;
    ft_ss_hasher_begin(&h, "body");
    ft_ss_hasher_open_field(&h, size);
    for (size_t i = 0; i < count; i++)
        ft_ss_hasher_feed(&h, parts[i]);
    ft_ss_hasher_end(&h, out);
}

/* The label and fields of a client's message: `fields` has room for 4; returns their number. */
struct signed_fields {
    const char *label;
    struct ft_bytes list[4];
    size_t count;
    uint8_t id[4], step[4], code[4], body[32];
};

static void
fields_of(const struct ft_ss_up *up, const uint8_t t[32], struct signed_fields *f)
{
    static const char *const labels[] = {
        [FT_SS_UP_JOIN] = "join",     [FT_SS_UP_SHARES] = "shares", [FT_SS_UP_CONFIRM] = "confirm",
        [FT_SS_UP_UNMASK] = "unmask", [FT_SS_UP_REPAIR] = "repair", [FT_SS_UP_ABORT] = "abort"
    };
    assert(up->kind >= FT_SS_UP_JOIN && up->kind <= FT_SS_UP_ABORT);
    f->label = labels[up->kind];
    ft_put_u32(f->id, up->id);
    f->list[0] = FT_BYTES(t, 32);
    f->list[1] = RUN(f->id);
    f->count = 2;
    switch (up->kind) {
    case FT_SS_UP_JOIN:
        f->list[f->count++] = RUN(up->nu);
        break;
    case FT_SS_UP_SHARES:
    case FT_SS_UP_UNMASK:
    case FT_SS_UP_REPAIR:
        body_hash(up, f->body);
        f->list[f->count++] = RUN(f->body);
        break;
    case FT_SS_UP_CONFIRM:
        break;
    case FT_SS_UP_ABORT:
        ft_put_u32(f->step, up->step);
        ft_put_u32(f->code, up->code);
        f->list[f->count++] = RUN(f->step);
        f->list[f->count++] = RUN(f->code);
        break;
    }
}

void
ft_ss_up_sign(struct ft_ss_up *up, const uint8_t t[32], const uint8_t sk[64])
{
    struct signed_fields f;
    fields_of(up, t, &f);
    ft_ss_sign(up->signature, sk, f.label, f.list, f.count);
}

bool
ft_ss_up_verify(const struct ft_ss_up *up, const uint8_t t[32], const uint8_t pk[32])
{
    struct signed_fields f;
    fields_of(up, t, &f);
    return ft_ss_verify(up->signature, pk, f.label, f.list, f.count);
}

void
ft_ss_trailer_sign(struct ft_ss_trailer *trailer, const uint8_t t2[32], uint32_t id, const uint8_t sk[64])
{
    FT_SS_SIGN(trailer->signature, sk, "masked", FT_BYTES(t2, 32), FT_SS_U32(id), RUN(trailer->digest),
               RUN(trailer->audit));
}

bool
ft_ss_trailer_verify(const struct ft_ss_trailer *trailer, const uint8_t t2[32], uint32_t id,
                     const uint8_t pk[32])
{
    return FT_SS_VERIFY(trailer->signature, pk, "masked", FT_BYTES(t2, 32), FT_SS_U32(id),
                        RUN(trailer->digest), RUN(trailer->audit));
}

void
ft_ss_view_sign(uint8_t signature[64], const uint8_t t[32], const uint8_t sk[64])
{
    FT_SS_SIGN(signature, sk, "view", FT_BYTES(t, 32));
}

bool
ft_ss_view_verify(const uint8_t signature[64], const uint8_t t[32], const uint8_t pk[32])
{
    return FT_SS_VERIFY(signature, pk, "view", FT_BYTES(t, 32));
}

void
ft_ss_down_sign(struct ft_ss_down *down, const uint8_t sk[64])
{
    assert(down->kind >= FT_SS_DOWN_REPAIR && down->kind <= FT_SS_DOWN_ENDED);
    if (down->kind == FT_SS_DOWN_REPAIR)
        FT_SS_SIGN(down->signature, sk, "repair-request", RUN(down->prior));
    else if (down->kind == FT_SS_DOWN_RESULT)
        FT_SS_SIGN(down->signature, sk, "result", RUN(down->prior), RUN(down->result_hash));
    else
        FT_SS_SIGN(down->signature, sk, "ended", RUN(down->task_hash), FT_SS_U64(down->round),
                   FT_SS_U32(down->attempt), FT_SS_U32(down->code));
}

bool
ft_ss_down_verify(const struct ft_ss_down *down, const uint8_t pk[32])
{
    assert(down->kind >= FT_SS_DOWN_REPAIR && down->kind <= FT_SS_DOWN_ENDED);
    if (down->kind == FT_SS_DOWN_REPAIR)
        return FT_SS_VERIFY(down->signature, pk, "repair-request", RUN(down->prior));
    if (down->kind == FT_SS_DOWN_RESULT)
        return FT_SS_VERIFY(down->signature, pk, "result", RUN(down->prior), RUN(down->result_hash));
    return FT_SS_VERIFY(down->signature, pk, "ended", RUN(down->task_hash), FT_SS_U64(down->round),
                        FT_SS_U32(down->attempt), FT_SS_U32(down->code));
}
