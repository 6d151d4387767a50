/* R2 MaskedInput: take the delivered shares, then mask the contribution and sign it. */
#include "common/base/alloc.h"
#include "common/base/plant.h"
#include "common/secure_sum/client_internal.h"
#include "common/secure_sum/prg.h"
#include "common/secure_sum/sha256.h"

#include <sodium.h>
#include <string.h>

static enum ft_ss_abort
judge_sharers(struct ft_ss_client *c, const struct ft_ss_down *m)
{
    uint8_t t2[32];

    if (!ft_ss_bitmap_valid(m->members, c->universe))
        return FT_SS_ABORT_BITMAP;
    ft_ss_derive_t2(t2, c->t[1], m->members);
    if (!ft_ss_view_verify(m->signature, t2, c->config.aggregator_pk))
        return FT_SS_ABORT_VIEW_SIGNATURE;
    if (!ft_ss_bitmap_has(m->members.data, c->config.id))
        return FT_SS_ABORT_SHARERS_MEMBER;
    if (!ft_ss_bitmap_subset(m->members.data, c->u1, c->universe))
        return FT_SS_ABORT_SHARERS_SUBSET;
    if (ft_ss_bitmap_count(m->members.data, c->universe) < c->n - c->dropouts_max)
        return FT_SS_ABORT_SHARERS_FEW;
    memcpy(c->t[2], t2, sizeof t2);
    c->t_known = 3;
    return FT_SS_ABORT_NONE;
}

/* Open one record into the next free place. A share that does not open counts as missing. */
static enum ft_status
open_share(struct ft_ss_client *c, const uint8_t *record, struct held_share *held, bool *good)
{
    const uint32_t dealer = ft_get_u32(record);
    const struct ft_ss_share_route route = { c->t[1], dealer, c->config.id, ft_get_u16(record + 4) };
    const uint8_t *pair = NULL;
    enum ft_status st;

    *good = false;
    st = ft_ss_pairs_get(c->config.pairs, dealer, c->config.directory->xpk[dealer], &pair);
    if (st == FT_ERR_VERIFY)
        return FT_OK;
    if (st != FT_OK)
        return st;
    st = ft_ss_share_open(pair, &route, record + 6, record + 6 + FT_SS_NONCE_SIZE, held->b, held->kappa);
    if (st == FT_ERR_VERIFY)
        return FT_OK;
    if (st != FT_OK)
        return st;
    held->dealer = dealer;
    held->x = route.x;
    *good = true;
    return FT_OK;
}

enum ft_status
client_deliver(struct ft_ss_client *c, const struct ft_ss_down *m, enum ft_ss_abort *code)
{
    const size_t count = m->records.size / FT_SS_SHARE_RECORD;
    uint8_t *seen = NULL;
    enum ft_status st = FT_OK;

    *code = judge_sharers(c, m);
    if (*code != FT_SS_ABORT_NONE)
        return FT_OK;
    if (count >= c->n) {
        *code = FT_SS_ABORT_DELIVERY;
        return FT_OK;
    }
    FT_TRY(client_keep(c, &c->s, m->members));
    seen = ft_calloc(1, ft_ss_bitmap_size(c->universe));
    c->held = ft_secret_alloc((count + 1) * sizeof *c->held);
    if (seen == NULL || c->held == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (size_t at = 0; at < count; at++) {
        const uint8_t *record = m->records.data + at * FT_SS_SHARE_RECORD;
        const uint32_t dealer = ft_get_u32(record);
        bool good;
        if (dealer >= c->universe || dealer == c->config.id || !ft_ss_bitmap_has(c->s, dealer) ||
            ft_ss_bitmap_has(seen, dealer)) {
            *code = FT_SS_ABORT_DELIVERY;
            goto out;
        }
        ft_ss_bitmap_add(seen, dealer);
        FT_TRY(open_share(c, record, &c->held[c->held_count], &good));
        c->held_count += good;
    }
    c->awaiting_input = true;
out:
    ft_free(seen);
    return st;
}

/* y = pack(x) + self mask + masks towards higher ids - masks towards lower ids. */
static enum ft_status
apply_masks(struct ft_ss_client *c)
{
    struct ft_ss_mask *masks = ft_secret_alloc((c->edge_count + 1) * sizeof *masks);
    size_t count = 0;
    enum ft_status st;

    if (masks == NULL)
        return FT_ERR_NOMEM;
    ft_ss_derive_self(masks[count].seed, c->secret->b, c->t[1], c->config.id);
    masks[count++].subtract = false;
    for (size_t at = 0; at < c->edge_count; at++) {
        if (!ft_ss_bitmap_has(c->s, c->edges[at].id))
            continue;
        ft_ss_derive_mask(masks[count].seed, c->edges[at].seed, c->t[2]);
        masks[count++].subtract = c->edges[at].id < c->config.id;
    }
    st = ft_ss_masks_apply(c->descriptor.suite, FT_SS_BACKEND_BEST, masks, count, c->words, 0,
                           (size_t)c->word_count, c->config.threads);
    ft_secret_free(masks);
    return st;
}

static enum ft_status
commit_to_input(struct ft_ss_client *c, struct ft_ss_trailer *trailer)
{
    uint8_t digest[32];
    enum ft_status st;

    c->config.env->random(c->config.env->ctx, c->secret->audit_r, sizeof c->secret->audit_r);
    st = ft_ss_sha256(FT_BYTES(c->words, c->word_count * sizeof *c->words), digest);
    if (st == FT_OK)
        ft_ss_derive_audit(trailer->audit, c->secret->audit_r, digest);
    sodium_memzero(digest, sizeof digest);
    return st;
}

static enum ft_status
write_frames(struct ft_ss_client *c, struct ft_ss_trailer *trailer)
{
    struct ft_ss_header header = { .id = c->config.id, .words = c->word_count };
    enum ft_status st;

    memcpy(header.t0, c->t[0], sizeof header.t0);
    memcpy(header.t2, c->t[2], sizeof header.t2);
    st = ft_ss_sha256(FT_BYTES(c->words, c->word_count * sizeof *c->words), trailer->digest);
    if (st != FT_OK)
        return st;
    ft_ss_trailer_sign(trailer, c->t[2], c->config.id, c->identity_sk);
    st = ft_ss_header_encode(&header, &c->header);
    return st == FT_OK ? ft_ss_trailer_encode(trailer, &c->trailer) : st;
}

enum ft_status
ft_ss_client_mask(struct ft_ss_client *c, uint64_t *words, size_t count)
{
    struct ft_ss_trailer trailer = { 0 };
    struct ft_buf unused = { 0 };
    enum ft_status st = FT_OK;

    if (ft_ss_client_tick(c) != FT_SS_IGNORED || !c->awaiting_input) {
        sodium_memzero(words, count * sizeof *words);
        ft_big_free(words, count * sizeof *words);
        return FT_ERR_STATE;
    }
    if (count != c->word_count) {
        sodium_memzero(words, count * sizeof *words);
        ft_big_free(words, count * sizeof *words);
        st = FT_ERR_ARGUMENT;
        goto out;
    }
    c->words = words;
    c->awaiting_input = false;
    c->spent = true;
    if (!FT_PLANT(SPEND_AFTER_SEND))
        FT_TRY(client_journal(c, FT_SS_STEP_MASKED));
    if (c->config.audit)
        FT_TRY(commit_to_input(c, &trailer));
    FT_TRY(apply_masks(c));
    FT_TRY(write_frames(c, &trailer));
    sodium_memzero(c->secret->kappa, sizeof c->secret->kappa); /* only others ever need it again */
    c->state = FT_SS_CLIENT_MASKED;
out:
    if (st != FT_OK) {
        client_abort(c, FT_SS_ABORT_LOCAL, &unused);
        ft_buf_clear(&unused);
    }
    return st;
}
