/* Finish: which masks stand in the sum, taking them out, and judging what is left. */
#include "common/base/alloc.h"
#include "common/base/plant.h"
#include "common/secure_sum/server_internal.h"

#include <sodium.h>
#include <string.h>

/* A longer secret list; the old one is wiped. */
static enum ft_status
grow(void **list, size_t item, size_t count, size_t *room)
{
    const size_t more = *room ? 2 * *room : 64;
    void *bigger;

    if (count < *room)
        return FT_OK;
    bigger = ft_secret_alloc(more * item);
    if (bigger == NULL)
        return FT_ERR_NOMEM;
    if (count > 0)
        memcpy(bigger, *list, count * item);
    ft_secret_free(*list);
    *list = bigger;
    *room = more;
    return FT_OK;
}

enum ft_status
server_add_mask(struct ft_ss_server *s, const uint8_t mu[32], bool subtract)
{
    struct unmask_job *job = &s->job;
    void *list = job->masks;
    enum ft_status st = grow(&list, sizeof *job->masks, job->mask_count, &job->mask_room);

    job->masks = list;
    if (st != FT_OK)
        return st;
    memcpy(job->masks[job->mask_count].seed, mu, 32);
    job->masks[job->mask_count++].subtract = subtract;
    return FT_OK;
}

static enum ft_status
remember(struct ft_ss_server *s, uint32_t dropout, uint32_t survivor, const uint8_t mu[32])
{
    struct unmask_job *job = &s->job;
    void *list = job->applied;
    enum ft_status st = grow(&list, sizeof *job->applied, job->applied_count, &job->applied_room);

    job->applied = list;
    if (st != FT_OK)
        return st;
    job->applied[job->applied_count].dropout = dropout;
    job->applied[job->applied_count].survivor = survivor;
    memcpy(job->applied[job->applied_count++].mu, mu, 32);
    return FT_OK;
}

/* The self mask of a survivor: from itself if it fits the commitment, else from its holders. */
static enum ft_status
self_mask(struct ft_ss_server *s, uint32_t survivor, uint8_t secret[32], bool *found)
{
    const struct server_client *c = &s->clients[survivor];
    uint8_t commitment[32], seed[32];
    enum ft_status st = FT_OK;

    *found = false;
    if (c->revealed != NULL && ft_ss_scalar_canonical(c->revealed->b)) {
        memcpy(secret, c->revealed->b, 32);
        ft_ss_derive_commit_b(commitment, secret, s->t[1], survivor);
        *found = sodium_memcmp(commitment, c->dealt->commit_b, 32) == 0;
    }
    if (!*found)
        st = server_rebuild(s, survivor, false, secret, found);
    if (st != FT_OK || !*found)
        return st;
    ft_ss_derive_self(seed, secret, s->t[1], survivor);
    st = server_add_mask(s, seed, true);
    sodium_memzero(seed, sizeof seed);
    return st;
}

/* The masks a dropout left in the survivors' vectors, as its escrow names them. */
static enum ft_status
open_escrow(struct ft_ss_server *s, uint32_t dropout, const uint8_t kappa[32], bool *opened)
{
    const struct dealt *dealt = s->clients[dropout].dealt;
    struct ft_ss_escrow_entry *entries = ft_secret_alloc(((size_t)s->params.e_max + 1) * sizeof *entries);
    uint8_t mu[32];
    size_t count = 0;
    enum ft_status st = FT_ERR_NOMEM;

    *opened = false;
    if (entries == NULL)
        return st;
    st = ft_ss_escrow_open(kappa, s->t[1], dropout, dealt->escrow_nonce, dealt->escrow_ct.data,
                           s->params.e_max, entries, &count);
    if (st == FT_ERR_VERIFY) {
        st = FT_OK;
        goto out;
    }
    FT_TRY(st);
    *opened = true;
    for (size_t at = 0; at < count; at++) {
        const uint32_t survivor = entries[at].id;
        if (survivor >= s->universe || !ft_ss_bitmap_has(s->u3, survivor))
            continue;
        ft_ss_derive_mask(mu, entries[at].seed, s->t[2]);
        FT_TRY(server_add_mask(s, mu,
                               dropout > survivor)); /* stands in y with + when the dropout is the higher */
        FT_TRY(remember(s, dropout, survivor, mu));
    }
out:
    sodium_memzero(mu, sizeof mu);
    ft_secret_free(entries);
    return st;
}

/* Every mask that the reveals give, into job->masks. */
static enum ft_status
collect_masks(struct ft_ss_server *s, bool *b_lost)
{
    uint8_t *secret = ft_secret_alloc(32);
    bool found;
    enum ft_status st = FT_OK;

    *b_lost = false;
    if (secret == NULL)
        return FT_ERR_NOMEM;
    SERVER_EACH(s, id, s->u3)
    {
        FT_TRY(self_mask(s, id, secret, &found));
        if (!found) {
            *b_lost = true;
            goto out;
        }
    }
    SERVER_EACH(s, id, s->s)
    {
        if (ft_ss_bitmap_has(s->u3, id) || FT_PLANT(DROPOUT_MASKS_KEPT))
            continue;
        FT_TRY(server_rebuild(s, id, true, secret, &found));
        if (found)
            FT_TRY(open_escrow(s, id, secret, &found));
        if (!found)
            s->job.kappa_lost = true;
    }
out:
    ft_secret_free(secret);
    return st;
}

static enum ft_status
take_masks_out(struct ft_ss_server *s)
{
    struct unmask_job *job = &s->job;
    enum ft_status st = FT_OK;
    if (job->mask_count > 0)
        st = ft_ss_masks_apply(s->descriptor.suite, FT_SS_BACKEND_BEST, job->masks, job->mask_count, s->sum,
                               0, (size_t)s->codec.words, s->config.threads);
    ft_secret_free(job->masks);
    job->masks = NULL;
    job->mask_count = job->mask_room = 0;
    return st;
}

static enum ft_status
unmask(struct ft_ss_server *s)
{
    struct unmask_job *job = &s->job;
    bool b_lost = false, right = false;
    enum ft_status st = FT_OK;

    if (!job->masks_out) {
        FT_TRY(collect_masks(s, &b_lost));
        if (b_lost) {
            job->outcome = UNMASK_LOST_B;
            goto out;
        }
        FT_TRY(take_masks_out(s));
        job->masks_out = true;
    }
    if (s->repair_asked) {
        FT_TRY(server_repair_masks(s));
        FT_TRY(take_masks_out(s));
    }
    right = ft_ss_check_sum(&s->codec, s->sum, ft_ss_bitmap_count(s->u3, s->universe)) == FT_OK;
    right = right || FT_PLANT(DROPOUT_MASKS_KEPT) || FT_PLANT(NO_DUPLICATE_CHECK);
    if (right) /* here, without the caller's lock: hashing takes half a second a gigabyte */
        FT_TRY(ft_ss_derive_result(s->result_hash, s->t[3], FT_BYTES(s->sum, s->codec.words * sizeof *s->sum)));
    job->outcome = right ? UNMASK_RIGHT : UNMASK_WRONG;
out:
    return st;
}

enum ft_status
ft_ss_server_unmask(struct ft_ss_server *s)
{
    enum ft_status st;
    if (s->phase != FT_SS_UNMASKING || s->job.outcome != UNMASK_NOT_RUN)
        return FT_ERR_STATE;
    st = unmask(s);
    if (st != FT_OK)
        s->job.outcome = UNMASK_LOCAL; /* the sum is in no defined state */
    return st;
}

enum ft_status
ft_ss_server_finish(struct ft_ss_server *s)
{
    const bool repairable = !s->repair_asked && !ft_ss_bitmap_equal(s->s, s->u3, s->universe);
    enum ft_status st;

    if (s->phase != FT_SS_UNMASKING || s->job.outcome == UNMASK_NOT_RUN)
        return FT_ERR_STATE;
    if (s->cancelled)
        return server_fail(s, FT_SS_END_FAILED_CANCELLED);
    switch (s->job.outcome) {
    case UNMASK_RIGHT: /* step 5, publishing */
        st = server_store(s, FT_SS_RECORD_DONE, FT_BYTES(s->result_hash, sizeof s->result_hash), true);
        if (st == FT_OK)
            server_enter(s, FT_SS_DONE);
        return st;
    case UNMASK_WRONG:
        if (!repairable)
            return server_fail(s, FT_SS_END_FAILED_SUM);
        st = server_store(s, FT_SS_RECORD_REPAIR, FT_BYTES(NULL, 0), true);
        if (st != FT_OK)
            return st;
        s->repair_asked = true;
        server_enter(s, FT_SS_REPAIRING);
        return server_advance(s);
    case UNMASK_LOST_B:
        return server_fail(s, FT_SS_END_FAILED_UNMASK);
    case UNMASK_LOCAL:
    case UNMASK_NOT_RUN:
        break;
    }
    return server_fail(s, FT_SS_END_FAILED_LOCAL);
}
