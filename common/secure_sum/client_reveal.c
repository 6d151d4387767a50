/* R3, R4 and Repair: confirm one survivor set, and reveal only what its certificate allows. */
#include "common/base/alloc.h"
#include "common/base/plant.h"
#include "common/secure_sum/client_internal.h"

#include <sodium.h>
#include <string.h>

static enum ft_ss_abort
judge_survivors(struct ft_ss_client *c, const struct ft_ss_down *m)
{
    const uint32_t least = c->n - c->dropouts_max;
    uint8_t t3[32];
    uint32_t count;

    if (!ft_ss_bitmap_valid(m->members, c->universe))
        return FT_SS_ABORT_BITMAP;
    ft_ss_derive_t3(t3, c->t[2], m->members);
    if (!ft_ss_view_verify(m->signature, t3, c->config.aggregator_pk))
        return FT_SS_ABORT_VIEW_SIGNATURE;
    if (!ft_ss_bitmap_has(m->members.data, c->config.id))
        return FT_SS_ABORT_SURVIVOR_MEMBER;
    if (!ft_ss_bitmap_subset(m->members.data, c->s, c->universe))
        return FT_SS_ABORT_SURVIVOR_SUBSET;
    count = ft_ss_bitmap_count(m->members.data, c->universe);
    if ((count < least || count < c->descriptor.n_min) && !FT_PLANT(BELOW_MINIMUM))
        return FT_SS_ABORT_SURVIVORS_FEW;
    memcpy(c->t[3], t3, sizeof t3);
    c->t_known = 4;
    return FT_SS_ABORT_NONE;
}

enum ft_status
client_confirm(struct ft_ss_client *c, const struct ft_ss_down *m, struct ft_buf *answer,
               enum ft_ss_abort *code)
{
    struct ft_ss_up up = { .kind = FT_SS_UP_CONFIRM };
    enum ft_status st;

    *code = judge_survivors(c, m);
    if (*code != FT_SS_ABORT_NONE)
        return FT_OK;
    c->uploaded = true; /* or this client would not be a survivor */
    FT_TRY(client_keep(c, &c->u3, m->members));
    FT_TRY(client_journal(c, FT_SS_STEP_CONFIRM)); /* (T1, T3) is on disk: no other T3 will be signed */
    FT_TRY(client_seal(c, &up, c->t[3], answer));
    c->state = FT_SS_CLIENT_CONFIRMED;
out:
    return st;
}

/* At least q signatures of distinct survivors over this client's own T3? */
static enum ft_status
check_certificate(const struct ft_ss_client *c, struct ft_bytes records, enum ft_ss_abort *code)
{
    const size_t count = records.size / FT_SS_CONFIRM_RECORD;
    const struct ft_ss_roster *roster = c->config.directory->roster;
    uint8_t *seen = ft_calloc(1, ft_ss_bitmap_size(c->universe));
    uint32_t valid = 0;

    if (seen == NULL)
        return FT_ERR_NOMEM;
    /* More records than the cohort has members would only make us verify for nothing. */
    for (size_t at = 0; at < count && count <= c->n && valid < c->params.q; at++) {
        const uint8_t *record = records.data + at * FT_SS_CONFIRM_RECORD;
        struct ft_ss_up up = { .kind = FT_SS_UP_CONFIRM, .id = ft_get_u32(record) };
        if (up.id >= c->universe || !ft_ss_bitmap_has(c->u3, up.id) || ft_ss_bitmap_has(seen, up.id))
            continue;
        ft_ss_bitmap_add(seen, up.id);
        memcpy(up.signature, record + 4, sizeof up.signature);
        valid += ft_ss_up_verify(&up, c->t[3], roster->members[up.id].ed25519_pk);
    }
    ft_free(seen);
    if (valid < c->params.q)
        *code = FT_SS_ABORT_CERTIFICATE;
    return FT_OK;
}

/* For each dealer the one share its place in the survivor set calls for; the other is never copied. */
static enum ft_status
reveal_shares(const struct ft_ss_client *c, struct ft_buf *records)
{
    enum ft_status st = ft_buf_reserve(records, c->held_count * FT_SS_REVEAL_RECORD + 1);
    if (st != FT_OK)
        return st;
    for (size_t at = 0; at < c->held_count; at++) {
        const struct held_share *held = &c->held[at];
        uint8_t *record = records->data + records->size;
        ft_put_u32(record, held->dealer);
        ft_put_u16(record + 4, held->x);
        memcpy(record + 6, ft_ss_bitmap_has(c->u3, held->dealer) ? held->b : held->kappa, 32);
        records->size += FT_SS_REVEAL_RECORD;
    }
    return FT_OK;
}

/* Only the edges to dropouts can still be asked for. */
static void
forget_edges_to_survivors(struct ft_ss_client *c)
{
    size_t kept = 0;
    for (size_t at = 0; at < c->edge_count; at++)
        if (ft_ss_bitmap_has(c->s, c->edges[at].id) && !ft_ss_bitmap_has(c->u3, c->edges[at].id))
            c->edges[kept++] = c->edges[at];
    sodium_memzero(c->edges + kept, (c->edge_count - kept) * sizeof *c->edges);
    c->edge_count = kept;
}

enum ft_status
client_reveal(struct ft_ss_client *c, const struct ft_ss_down *m, struct ft_buf *answer,
              enum ft_ss_abort *code)
{
    struct ft_ss_up up = { .kind = FT_SS_UP_UNMASK };
    struct ft_buf records = { 0 };
    enum ft_status st;

    FT_TRY(check_certificate(c, m->records, code));
    if (*code != FT_SS_ABORT_NONE)
        goto out;
    FT_TRY(client_journal(c, FT_SS_STEP_UNMASK));
    FT_TRY(reveal_shares(c, &records));
    ft_secret_free(c->held);
    c->held = NULL;
    c->held_count = 0;
    memcpy(up.b, c->secret->b, sizeof up.b);
    sodium_memzero(c->secret->b, sizeof c->secret->b);
    up.records = ft_buf_bytes(&records);
    FT_TRY(client_seal(c, &up, c->t[3], answer));
    forget_edges_to_survivors(c);
    c->state = FT_SS_CLIENT_REVEALED;
out:
    ft_buf_clear(&records);
    sodium_memzero(&up, sizeof up);
    return st;
}

enum ft_status
client_repair(struct ft_ss_client *c, struct ft_buf *answer)
{
    struct ft_ss_up up = { .kind = FT_SS_UP_REPAIR };
    struct ft_buf records = { 0 };
    enum ft_status st;

    FT_TRY(client_journal(c, FT_SS_STEP_REPAIR));
    FT_TRY(ft_buf_reserve(&records, c->edge_count * FT_SS_REPAIR_RECORD + 1));
    for (size_t at = 0; at < c->edge_count; at++) {
        uint8_t *record = records.data + records.size;
        ft_put_u32(record, c->edges[at].id);
        ft_ss_derive_mask(record + 4, c->edges[at].seed, c->t[2]);
        records.size += FT_SS_REPAIR_RECORD;
    }
    up.records = ft_buf_bytes(&records);
    FT_TRY(client_seal(c, &up, c->t[3], answer));
out:
    ft_buf_clear(&records);
    return st;
}
