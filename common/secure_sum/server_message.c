/* A client's small messages: verify, store, apply. Nothing of a refused message stays. */
#include "common/base/alloc.h"
#include "common/secure_sum/server_internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Where a message of each kind is awaited. */
static enum ft_status
awaited(const struct ft_ss_server *s, const struct ft_ss_up *up)
{
    switch (up->kind) {
    case FT_SS_UP_JOIN:
        if (s->phase != FT_SS_OPEN || s->chosen || ft_ss_bitmap_has(s->gone, up->id) ||
            ft_ss_bitmap_count(s->joined, s->universe) >= s->descriptor.n_cap)
            return FT_ERR_STATE;
        /* Time may have ended a membership since the log was written. */
        return s->restoring || server_may_join(s, up->id) ? FT_OK : FT_ERR_NOTFOUND;
    case FT_SS_UP_SHARES:
        if (s->phase != FT_SS_DEALING || s->chosen || ft_ss_bitmap_has(s->gone, up->id))
            return FT_ERR_STATE;
        return ft_ss_bitmap_has(s->u1, up->id) ? FT_OK : FT_ERR_NOTFOUND;
    case FT_SS_UP_CONFIRM: /* one that comes after the certificate was closed does no harm */
        if (s->phase < FT_SS_CONFIRMING || s->phase > FT_SS_REPAIRING)
            return FT_ERR_STATE;
        return ft_ss_bitmap_has(s->u3, up->id) ? FT_OK : FT_ERR_NOTFOUND;
    case FT_SS_UP_UNMASK:
        if (s->phase != FT_SS_REVEALING)
            return FT_ERR_STATE;
        return ft_ss_bitmap_has(s->u3, up->id) ? FT_OK : FT_ERR_NOTFOUND;
    case FT_SS_UP_REPAIR:
        if (s->phase != FT_SS_REPAIRING)
            return FT_ERR_STATE;
        return ft_ss_bitmap_has(s->u3, up->id) ? FT_OK : FT_ERR_NOTFOUND;
    case FT_SS_UP_ABORT:
        return FT_OK;
    }
    return FT_ERR_FORMAT;
}

/* The transcript hash a kind follows. */
static const uint8_t *
transcript_of(const struct ft_ss_server *s, enum ft_ss_up_kind kind)
{
    return kind == FT_SS_UP_JOIN || kind == FT_SS_UP_ABORT ? s->t[0]
           : kind == FT_SS_UP_SHARES                       ? s->t[1]
                                                           : s->t[3];
}

/* Exactly k records for k distinct other members, x in order, and an escrow of the full size. */
static enum ft_status
check_dealing(const struct ft_ss_server *s, const struct ft_ss_up *up)
{
    uint8_t *seen;
    enum ft_status st = FT_OK;

    if (up->records.size != (size_t)s->params.k * FT_SS_SHARE_RECORD ||
        up->escrow_ct.size != ft_ss_escrow_ct_size(s->params.e_max))
        return FT_ERR_FORMAT;
    seen = ft_calloc(1, ft_ss_bitmap_size(s->universe));
    if (seen == NULL)
        return FT_ERR_NOMEM;
    for (uint16_t at = 0; at < s->params.k && st == FT_OK; at++) {
        const uint8_t *record = up->records.data + (size_t)at * FT_SS_SHARE_RECORD;
        const uint32_t holder = ft_get_u32(record);
        if (holder >= s->universe || holder == up->id || !ft_ss_bitmap_has(s->u1, holder) ||
            ft_ss_bitmap_has(seen, holder) || ft_get_u16(record + 4) != at + 1)
            st = FT_ERR_FORMAT;
        else
            ft_ss_bitmap_add(seen, holder);
    }
    ft_free(seen);
    return st;
}

static enum ft_status
keep_dealing(struct server_client *c, const struct ft_ss_up *up)
{
    struct dealt *dealt = ft_calloc(1, sizeof *dealt);
    enum ft_status st;

    if (dealt == NULL)
        return FT_ERR_NOMEM;
    memcpy(dealt->commit_b, up->commit_b, sizeof dealt->commit_b);
    memcpy(dealt->commit_k, up->commit_k, sizeof dealt->commit_k);
    memcpy(dealt->escrow_nonce, up->escrow_nonce, sizeof dealt->escrow_nonce);
    FT_TRY(ft_buf_append(&dealt->records, up->records.data, up->records.size));
    FT_TRY(ft_buf_append(&dealt->escrow_ct, up->escrow_ct.data, up->escrow_ct.size));
    c->dealt = dealt;
    return FT_OK;
out:
    ft_buf_clear(&dealt->records);
    ft_free(dealt);
    return st;
}

/* Both record kinds begin with an id, and are kept in ascending order of it. */
static int
by_id(const void *a, const void *b)
{
    const uint32_t x = ft_get_u32(a), y = ft_get_u32(b);
    return x < y ? -1 : x > y;
}

/* Sort by id and drop every record whose id occurs before. */
static void
sort_records(struct ft_buf *records, size_t size)
{
    size_t kept = 0;
    if (records->size == 0)
        return;
    qsort(records->data, records->size / size, size, by_id);
    for (size_t at = 0; at < records->size; at += size) {
        if (kept > 0 && by_id(records->data + kept - size, records->data + at) == 0)
            continue;
        memmove(records->data + kept, records->data + at, size);
        kept += size;
    }
    sodium_memzero(records->data + kept, records->size - kept);
    records->size = kept;
}

/* A share this holder can have: of a dealer in S that listed it at this very place. Anything else counts as
 * left out. */
static bool
share_plausible(const struct ft_ss_server *s, uint32_t holder, const uint8_t *record)
{
    const uint32_t dealer = ft_get_u32(record);
    const uint16_t x = ft_get_u16(record + 4);
    const struct dealt *dealt;

    if (dealer >= s->universe || !ft_ss_bitmap_has(s->s, dealer) || x == 0 || x > s->params.k)
        return false;
    dealt = s->clients[dealer].dealt;
    return ft_get_u32(dealt->records.data + (size_t)(x - 1) * FT_SS_SHARE_RECORD) == holder &&
           ft_ss_scalar_canonical(record + 6);
}

static enum ft_status
keep_revealed(struct ft_ss_server *s, struct server_client *c, const struct ft_ss_up *up)
{
    struct revealed *revealed;
    enum ft_status st;

    if (up->records.size / FT_SS_REVEAL_RECORD >= s->n)
        return FT_ERR_FORMAT;
    revealed = ft_calloc(1, sizeof *revealed);
    if (revealed == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_buf_reserve(&revealed->records, up->records.size + 1));
    for (size_t at = 0; at < up->records.size; at += FT_SS_REVEAL_RECORD)
        if (share_plausible(s, up->id, up->records.data + at)) {
            memcpy(revealed->records.data + revealed->records.size, up->records.data + at,
                   FT_SS_REVEAL_RECORD);
            revealed->records.size += FT_SS_REVEAL_RECORD;
        }
    sort_records(&revealed->records, FT_SS_REVEAL_RECORD);
    memcpy(revealed->b, up->b, sizeof revealed->b);
    c->revealed = revealed;
    return FT_OK;
out:
    ft_free(revealed);
    return st;
}

static enum ft_status
keep_repair(struct ft_ss_server *s, struct server_client *c, const struct ft_ss_up *up)
{
    struct ft_buf *repair;
    enum ft_status st;

    if (up->records.size / FT_SS_REPAIR_RECORD >= s->n)
        return FT_ERR_FORMAT;
    repair = ft_calloc(1, sizeof *repair);
    if (repair == NULL)
        return FT_ERR_NOMEM;
    st = ft_buf_reserve(repair, up->records.size + 1);
    if (st != FT_OK) {
        ft_free(repair);
        return st;
    }
    for (size_t at = 0; at < up->records.size; at += FT_SS_REPAIR_RECORD) {
        const uint32_t dropout = ft_get_u32(up->records.data + at);
        if (dropout >= s->universe || !ft_ss_bitmap_has(s->s, dropout) || ft_ss_bitmap_has(s->u3, dropout))
            continue;
        memcpy(repair->data + repair->size, up->records.data + at, FT_SS_REPAIR_RECORD);
        repair->size += FT_SS_REPAIR_RECORD;
    }
    sort_records(repair, FT_SS_REPAIR_RECORD);
    c->repair = repair;
    return FT_OK;
}

/* Undo what `keep` allocated, when the message cannot be stored. */
static void
unkeep(struct server_client *c, enum ft_ss_up_kind kind)
{
    if (kind == FT_SS_UP_SHARES && c->dealt != NULL) {
        ft_buf_clear(&c->dealt->records);
        ft_buf_clear(&c->dealt->escrow_ct);
        ft_free(c->dealt);
        c->dealt = NULL;
    }
    if (kind == FT_SS_UP_UNMASK && c->revealed != NULL) {
        ft_buf_clear(&c->revealed->records);
        sodium_memzero(c->revealed, sizeof *c->revealed);
        ft_free(c->revealed);
        c->revealed = NULL;
    }
    if (kind == FT_SS_UP_REPAIR && c->repair != NULL) {
        ft_buf_clear(c->repair);
        ft_free(c->repair);
        c->repair = NULL;
    }
}

/* What can fail of a message, before it is stored. */
static enum ft_status
keep(struct ft_ss_server *s, struct server_client *c, const struct ft_ss_up *up)
{
    enum ft_status st;
    switch (up->kind) {
    case FT_SS_UP_SHARES:
        st = check_dealing(s, up);
        return st == FT_OK ? keep_dealing(c, up) : st;
    case FT_SS_UP_UNMASK:
        return keep_revealed(s, c, up);
    case FT_SS_UP_REPAIR:
        return keep_repair(s, c, up);
    case FT_SS_UP_JOIN:
    case FT_SS_UP_CONFIRM:
    case FT_SS_UP_ABORT:
        break;
    }
    return FT_OK;
}

/* What cannot fail, once it is stored. */
static void
apply(struct ft_ss_server *s, struct server_client *c, const struct ft_ss_up *up)
{
    switch (up->kind) {
    case FT_SS_UP_JOIN:
        memcpy(c->nu, up->nu, sizeof c->nu);
        ft_ss_bitmap_add(s->joined, up->id);
        break;
    case FT_SS_UP_SHARES:
        ft_ss_bitmap_add(s->shared, up->id);
        break;
    case FT_SS_UP_CONFIRM:
        memcpy(c->confirmation, up->signature, sizeof c->confirmation);
        ft_ss_bitmap_add(s->confirmed, up->id);
        break;
    case FT_SS_UP_UNMASK:
        ft_ss_bitmap_add(s->unmasked, up->id);
        break;
    case FT_SS_UP_REPAIR:
        ft_ss_bitmap_add(s->repaired, up->id);
        break;
    case FT_SS_UP_ABORT:
        c->abort_code = up->code;
        ft_ss_bitmap_add(s->gone, up->id);
        break;
    }
}

static enum ft_status
take(struct ft_ss_server *s, const struct ft_ss_up *up, struct ft_bytes message)
{
    struct server_client *c = &s->clients[up->id];
    const struct ft_ss_member *member = &s->config.directory->roster->members[up->id];
    uint8_t *said = c->said[up->kind], digest[16];
    enum ft_status st;

    crypto_generichash(digest, sizeof digest, message.data, message.size, NULL, 0);
    if (!sodium_is_zero(said, sizeof digest))
        return memcmp(said, digest, sizeof digest) == 0 ? server_advance(s) : FT_ERR_DUPLICATE;
    st = awaited(s, up);
    if (st != FT_OK)
        return st;
    if (!ft_ss_up_verify(up, transcript_of(s, up->kind), member->ed25519_pk))
        return FT_ERR_VERIFY;
    st = keep(s, c, up);
    if (st != FT_OK)
        return st;
    st = server_store(s, FT_SS_RECORD_MESSAGE, message, false);
    if (st != FT_OK) {
        unkeep(c, up->kind);
        return st;
    }
    memcpy(said, digest, sizeof digest);
    apply(s, c, up);
    return server_advance(s);
}

enum ft_status
ft_ss_server_handle(struct ft_ss_server *s, uint32_t client, struct ft_bytes message)
{
    struct ft_ss_up up;
    enum ft_status st;

    if (client >= s->universe)
        return FT_ERR_NOTFOUND;
    if (server_over(s))
        return FT_ERR_STATE;
    st = ft_ss_up_decode(message, &up);
    if (st != FT_OK)
        return st == FT_ERR_LIMIT ? FT_ERR_FORMAT : st;
    if (up.id != client)
        st = FT_ERR_VERIFY;
    else if (memcmp(up.t0, s->t[0], sizeof up.t0) != 0)
        st = FT_ERR_STATE;
    else
        st = take(s, &up, message);
    ft_ss_up_clear(&up);
    return st;
}
