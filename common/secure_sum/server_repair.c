/*
 * Repair: where a survivor names other masks with a dropout than the dropout's escrow did, the survivor's
 * version counts, for it is what stands in its vector. Each difference is a bad pair.
 */
#include "common/secure_sum/server_internal.h"

#include <sodium.h>
#include <string.h>

/* The mask taken out for (dropout, survivor) on the escrow's word, or NULL. */
static const uint8_t *
escrowed(const struct ft_ss_server *s, uint32_t dropout, uint32_t survivor)
{
    for (size_t at = 0; at < s->job.applied_count; at++)
        if (s->job.applied[at].dropout == dropout && s->job.applied[at].survivor == survivor)
            return s->job.applied[at].mu;
    return NULL;
}

/* What the survivor says of this dropout, or NULL. Records are in ascending dropout. */
static const uint8_t *
claimed(const struct ft_buf *repair, uint32_t dropout)
{
    for (size_t at = 0; at < repair->size; at += FT_SS_REPAIR_RECORD)
        if (ft_get_u32(repair->data + at) == dropout)
            return repair->data + at + 4;
    return NULL;
}

/* Put the escrow's mask back and take the survivor's out. */
static enum ft_status
correct(struct ft_ss_server *s, uint32_t dropout, uint32_t survivor, const uint8_t *old, const uint8_t *new)
{
    const bool subtract = dropout > survivor;
    enum ft_status st = FT_OK;

    if (old != NULL && new != NULL && sodium_memcmp(old, new, 32) == 0)
        return FT_OK;
    if (old == NULL && new == NULL)
        return FT_OK;
    if (old != NULL)
        st = server_add_mask(s, old, !subtract);
    if (st == FT_OK && new != NULL)
        st = server_add_mask(s, new, subtract);
    return st == FT_OK ? server_bad_pair(s, dropout, survivor) : st;
}

enum ft_status
server_repair_masks(struct ft_ss_server *s)
{
    enum ft_status st = FT_OK;

    SERVER_EACH(s, survivor, s->u3)
    {
        const struct ft_buf *repair = s->clients[survivor].repair;
        if (repair == NULL) /* silent: the escrow's word stays */
            continue;
        SERVER_EACH(s, dropout, s->s)
        {
            if (ft_ss_bitmap_has(s->u3, dropout))
                continue;
            FT_TRY(correct(s, dropout, survivor, escrowed(s, dropout, survivor), claimed(repair, dropout)));
        }
    }
out:
    return st;
}
