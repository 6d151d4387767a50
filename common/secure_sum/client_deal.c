/* R1 ShareKeys: judge the cohort, draw this session's secrets, share them, escrow the edges. */
#include "common/base/alloc.h"
#include "common/secure_sum/client_internal.h"
#include "common/secure_sum/merkle.h"
#include "common/secure_sum/shamir.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static enum ft_ss_abort
judge_members(const struct ft_ss_client *c, const struct ft_ss_down *m)
{
    const struct ft_ss_directory *directory = c->config.directory;
    const uint64_t wall = c->config.env->wall_ms(c->config.env->ctx);
    const uint8_t *map = m->members.data;

    for (uint32_t i = ft_ss_bitmap_next(map, c->universe, 0); i < c->universe;
         i = ft_ss_bitmap_next(map, c->universe, i + 1)) {
        if (!ft_ss_roster_active(directory->roster, i, wall))
            return FT_SS_ABORT_MEMBER_INACTIVE;
        if (!ft_ss_directory_has(directory, i))
            return FT_SS_ABORT_MEMBER_ABSENT;
    }
    return FT_SS_ABORT_NONE;
}

/* Every check of R1. On NONE n, T1 and the parameters are set. */
static enum ft_ss_abort
judge_cohort(struct ft_ss_client *c, const struct ft_ss_down *m)
{
    const struct ft_ss_rules rules = ft_ss_rules_of(&c->descriptor);
    const struct ft_ss_params_policy policy = { c->config.limits.graph_allowed, c->config.limits.graph_min };
    uint8_t t1[32], leaf[32];
    uint32_t n;

    if (!ft_ss_bitmap_valid(m->members, c->universe))
        return FT_SS_ABORT_BITMAP;
    ft_ss_derive_t1(t1, c->t[0], m->members, m->join_root, &m->params);
    if (!ft_ss_view_verify(m->signature, t1, c->config.aggregator_pk))
        return FT_SS_ABORT_VIEW_SIGNATURE;
    if (!ft_ss_bitmap_has(m->members.data, c->config.id))
        return FT_SS_ABORT_NOT_MEMBER;
    n = ft_ss_bitmap_count(m->members.data, c->universe);
    ft_ss_derive_leaf(leaf, c->config.id, c->nu);
    if (m->path.size / 32 > FT_SS_MERKLE_DEPTH_MAX ||
        !ft_ss_merkle_check(m->join_root, leaf, ft_ss_bitmap_rank(m->members.data, c->config.id), n,
                            (const uint8_t(*)[32])(const void *)m->path.data, (uint32_t)(m->path.size / 32)))
        return FT_SS_ABORT_MERKLE_PATH;
    switch (ft_ss_params_check(&rules, n, &m->params, &policy, NULL)) {
    case FT_OK:
        break;
    case FT_ERR_COHORT:
        return FT_SS_ABORT_COHORT_SIZE;
    case FT_ERR_REFUSED:
        return FT_SS_ABORT_PROFILE;
    default:
        return FT_SS_ABORT_PARAMS;
    }
    c->n = n;
    c->dropouts_max = ft_ss_dropouts_max(n, c->descriptor.drop_permille);
    c->params = m->params;
    memcpy(c->t[1], t1, sizeof t1);
    c->t_known = 2;
    return judge_members(c, m);
}

/* The other members in a uniformly random order, as far as `k`: a partial Fisher-Yates shuffle. */
static void
draw_holders(const struct ft_ss_client *c, uint32_t *others)
{
    for (uint32_t at = 0; at < c->params.k; at++) {
        const uint32_t from = at + (uint32_t)ft_random_below(c->config.env, c->n - 1 - at);
        const uint32_t chosen = others[from];
        others[from] = others[at];
        others[at] = chosen;
    }
}

static enum ft_status
pair_with(struct ft_ss_client *c, uint32_t peer, const uint8_t **pair, enum ft_ss_abort *code)
{
    const enum ft_status st = ft_ss_pairs_get(c->config.pairs, peer, c->config.directory->xpk[peer], pair);
    if (st != FT_ERR_VERIFY)
        return st;
    *code = FT_SS_ABORT_PEER_KEY;
    return FT_OK;
}

/* One sealed pair of shares for each holder, as records. */
static enum ft_status
seal_shares(struct ft_ss_client *c, const uint32_t *holders, const uint8_t (*shares_b)[32],
            const uint8_t (*shares_k)[32], struct ft_buf *records, enum ft_ss_abort *code)
{
    enum ft_status st = ft_buf_reserve(records, (size_t)c->params.k * FT_SS_SHARE_RECORD);
    if (st != FT_OK)
        return st;
    for (uint16_t at = 0; at < c->params.k; at++) {
        const struct ft_ss_share_route route = { c->t[1], c->config.id, holders[at], (uint16_t)(at + 1) };
        uint8_t *record = records->data + records->size;
        const uint8_t *pair = NULL;
        st = pair_with(c, holders[at], &pair, code);
        if (st != FT_OK || *code != FT_SS_ABORT_NONE)
            return st;
        ft_put_u32(record, route.holder);
        ft_put_u16(record + 4, route.x);
        ft_ss_share_seal(c->config.env, pair, &route, shares_b[at], shares_k[at], record + 6,
                         record + 6 + FT_SS_NONCE_SIZE);
        records->size += FT_SS_SHARE_RECORD;
    }
    return FT_OK;
}

/* All active edges into c->edges, in the members' order. Every candidate is written and the place moves on by
 * the edge bit: no branch depends on it (the degree itself may show). */
static enum ft_status
find_edges(struct ft_ss_client *c, enum ft_ss_abort *code)
{
    const size_t room = c->params.e_max;
    struct ft_ss_edge *edge = ft_secret_alloc(sizeof *edge);
    enum ft_status st = FT_OK;
    size_t count = 0;

    c->edges = ft_secret_alloc((room + 1) * sizeof *c->edges); /* the last place takes what is not kept */
    if (edge == NULL || c->edges == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (uint32_t j = ft_ss_bitmap_next(c->u1, c->universe, 0); j < c->universe;
         j = ft_ss_bitmap_next(c->u1, c->universe, j + 1)) {
        struct ft_ss_escrow_entry *entry = &c->edges[count < room ? count : room];
        const uint8_t *pair = NULL;
        if (j == c->config.id)
            continue;
        FT_TRY(pair_with(c, j, &pair, code));
        if (*code != FT_SS_ABORT_NONE)
            goto out;
        ft_ss_derive_edge(edge, pair, c->t[1], c->params.p);
        entry->id = j;
        memcpy(entry->seed, edge->seed, sizeof entry->seed);
        count += edge->active;
    }
    if (count > room)
        *code = FT_SS_ABORT_ESCROW_FULL;
    else
        c->edge_count = count;
out:
    ft_secret_free(edge);
    return st;
}

static enum ft_status
seal_escrow(struct ft_ss_client *c, struct ft_ss_up *up, struct ft_buf *ct)
{
    enum ft_status st = ft_buf_reserve(ct, ft_ss_escrow_ct_size(c->params.e_max));
    if (st != FT_OK)
        return st;
    st = ft_ss_escrow_seal(c->config.env, c->secret->kappa, c->t[1], c->config.id, c->edges, c->edge_count,
                           c->params.e_max, up->escrow_nonce, ct->data);
    if (st == FT_OK)
        ct->size = ft_ss_escrow_ct_size(c->params.e_max);
    return st;
}

/* Draw, share, seal: everything that happens once per T1. */
static enum ft_status
deal(struct ft_ss_client *c, struct ft_ss_up *up, struct ft_buf *records, struct ft_buf *escrow,
     enum ft_ss_abort *code)
{
    const uint16_t k = c->params.k;
    uint32_t *others = ft_calloc(c->n, sizeof *others);
    uint8_t(*shares)[32] = ft_secret_alloc(2 * (size_t)k * 32);
    enum ft_status st = FT_ERR_NOMEM;
    uint32_t count = 0;

    c->secret = ft_secret_alloc(sizeof *c->secret);
    if (others == NULL || shares == NULL || c->secret == NULL)
        goto out;
    for (uint32_t j = ft_ss_bitmap_next(c->u1, c->universe, 0); j < c->universe;
         j = ft_ss_bitmap_next(c->u1, c->universe, j + 1))
        if (j != c->config.id)
            others[count++] = j;
    assert(count == c->n - 1 && k <= count);
    draw_holders(c, others);

    ft_ss_scalar_random(c->config.env, c->secret->b);
    ft_ss_scalar_random(c->config.env, c->secret->kappa);
    ft_ss_derive_commit_b(up->commit_b, c->secret->b, c->t[1], c->config.id);
    ft_ss_derive_commit_k(up->commit_k, c->secret->kappa, c->t[1], c->config.id);
    FT_TRY(ft_ss_shamir_deal(c->config.env, c->secret->b, c->params.t, k, shares));
    FT_TRY(ft_ss_shamir_deal(c->config.env, c->secret->kappa, c->params.t, k, shares + k));
    FT_TRY(seal_shares(c, others, (const uint8_t(*)[32])shares, (const uint8_t(*)[32])(shares + k), records,
                       code));
    if (*code != FT_SS_ABORT_NONE)
        goto out;
    FT_TRY(find_edges(c, code));
    if (*code != FT_SS_ABORT_NONE)
        goto out;
    st = seal_escrow(c, up, escrow);
out:
    ft_free(others);
    ft_secret_free(shares);
    return st;
}

enum ft_status
client_deal(struct ft_ss_client *c, const struct ft_ss_down *m, struct ft_buf *answer, enum ft_ss_abort *code)
{
    struct ft_ss_up up = { .kind = FT_SS_UP_SHARES };
    struct ft_buf records = { 0 }, escrow = { 0 };
    enum ft_status st = FT_OK;

    *code = judge_cohort(c, m);
    if (*code != FT_SS_ABORT_NONE)
        return FT_OK;
    FT_TRY(client_keep(c, &c->u1, m->members));
    c->state = FT_SS_CLIENT_DEALT;
    FT_TRY(client_journal(c, FT_SS_STEP_SHARES)); /* T1 is on disk before anything is drawn under it */
    FT_TRY(deal(c, &up, &records, &escrow, code));
    if (*code != FT_SS_ABORT_NONE)
        goto out;
    up.records = ft_buf_bytes(&records);
    up.escrow_ct = ft_buf_bytes(&escrow);
    FT_TRY(client_seal(c, &up, c->t[1], answer));
out:
    ft_buf_clear(&records);
    ft_buf_clear(&escrow);
    return st;
}
