/* Restart: the records, in their order, bring a session back to where its log ends. Vectors are gone. */
#include "common/base/alloc.h"
#include "common/secure_sum/server_internal.h"

#include <string.h>

enum ft_status
ft_ss_server_restore_begin(const struct ft_ss_server_config *config, struct ft_ss_server **out,
                           struct ft_error *err)
{
    enum ft_status st = server_new(config, out, err);
    if (st == FT_OK)
        (*out)->restoring = true;
    return st;
}

static enum ft_status
restore_opened(struct ft_ss_server *s, struct ft_bytes record, struct ft_error *err)
{
    struct ft_ss_descriptor descriptor;
    enum ft_status st = ft_ss_descriptor_decode(record, &descriptor, err);
    return st == FT_OK ? server_begin(s, &descriptor, err) : st;
}

/* A set as stored: within what it was chosen from. A failed store may have left the same record twice. */
static enum ft_status
restore_set(struct ft_ss_server *s, struct ft_bytes record, uint8_t *set, const uint8_t *within, bool *again)
{
    if (!ft_ss_bitmap_valid(record, s->universe) || !ft_ss_bitmap_subset(record.data, within, s->universe))
        return FT_ERR_FORMAT;
    if (*again)
        return ft_ss_bitmap_equal(record.data, set, s->universe) ? FT_OK : FT_ERR_VERIFY;
    memcpy(set, record.data, record.size);
    return FT_OK;
}

static enum ft_status
restore_cohort(struct ft_ss_server *s, struct ft_bytes record)
{
    const size_t map_size = ft_ss_bitmap_size(s->universe);
    struct ft_cursor c = ft_cursor_of(record);
    const struct ft_bytes map = ft_read_bytes(&c, map_size);
    struct ft_ss_params params;
    bool again = s->phase == FT_SS_DEALING;
    enum ft_status st;

    params.k = ft_read_u16(&c);
    params.t = ft_read_u16(&c);
    params.q = ft_read_u32(&c);
    params.p = ft_read_u64(&c);
    params.e_max = ft_read_u16(&c);
    if (!ft_cursor_done(&c))
        return FT_ERR_FORMAT;
    if (s->phase != FT_SS_OPEN && !again)
        return FT_ERR_VERIFY;
    st = restore_set(s, map, s->u1, s->joined, &again);
    if (st != FT_OK || again)
        return st;
    s->n = ft_ss_bitmap_count(s->u1, s->universe);
    if (params.t < 2 || params.t > params.k || params.k >= s->n || params.e_max >= s->n)
        return FT_ERR_FORMAT;
    s->params = params;
    return server_enter_dealing(s);
}

static enum ft_status
restore_sharers(struct ft_ss_server *s, struct ft_bytes record)
{
    bool again = s->phase == FT_SS_COLLECTING;
    enum ft_status st;
    if (s->phase != FT_SS_DEALING && !again)
        return FT_ERR_VERIFY;
    st = restore_set(s, record, s->s, s->shared, &again);
    return st != FT_OK || again ? st : server_enter_collecting(s);
}

static enum ft_status
restore_survivors(struct ft_ss_server *s, struct ft_bytes record)
{
    bool again = s->phase == FT_SS_CONFIRMING;
    enum ft_status st;
    if (s->phase != FT_SS_COLLECTING && !again)
        return FT_ERR_VERIFY;
    st = restore_set(s, record, s->u3, s->s, &again);
    if (st == FT_OK && !again)
        server_enter_confirming(s);
    return st;
}

static enum ft_status
restore_certificate(struct ft_ss_server *s, struct ft_bytes record)
{
    bool again = s->phase == FT_SS_REVEALING;
    enum ft_status st;
    if (s->phase != FT_SS_CONFIRMING && !again)
        return FT_ERR_VERIFY;
    st = restore_set(s, record, s->certificate, s->confirmed, &again);
    if (st == FT_OK && !again)
        server_enter(s, FT_SS_REVEALING);
    return st;
}

static enum ft_status
restore_trailer(struct ft_ss_server *s, struct ft_bytes record)
{
    struct ft_cursor c = ft_cursor_of(record);
    const uint32_t id = ft_read_u32(&c);
    uint8_t digest[32];

    ft_read_into(&c, digest, sizeof digest);
    if (!ft_cursor_done(&c) || id >= s->universe)
        return FT_ERR_FORMAT;
    memcpy(s->clients[id].vector_digest, digest, sizeof digest);
    s->clients[id].signed_vector = true;
    return FT_OK;
}

static enum ft_status
restore_message(struct ft_ss_server *s, struct ft_bytes record)
{
    struct ft_ss_up up;
    enum ft_status st = ft_ss_up_decode(record, &up);
    const uint32_t id = up.id;
    if (st != FT_OK)
        return st;
    ft_ss_up_clear(&up);
    st = ft_ss_server_handle(s, id, record);
    return st == FT_ERR_STATE || st == FT_ERR_NOTFOUND ? FT_ERR_VERIFY : st;
}

static enum ft_status
restore(struct ft_ss_server *s, enum ft_ss_record kind, struct ft_bytes record, struct ft_error *err)
{
    struct ft_cursor c = ft_cursor_of(record);

    if (kind == FT_SS_RECORD_OPENED)
        return s->opened ? FT_ERR_VERIFY : restore_opened(s, record, err);
    if (!s->opened || server_over(s))
        return FT_ERR_VERIFY;
    switch (kind) {
    case FT_SS_RECORD_MESSAGE:
        return restore_message(s, record);
    case FT_SS_RECORD_COHORT:
        return restore_cohort(s, record);
    case FT_SS_RECORD_SHARERS:
        return restore_sharers(s, record);
    case FT_SS_RECORD_TRAILER:
        return restore_trailer(s, record);
    case FT_SS_RECORD_SURVIVORS:
        return restore_survivors(s, record);
    case FT_SS_RECORD_CERTIFICATE:
        return restore_certificate(s, record);
    case FT_SS_RECORD_REPAIR:
        if (s->phase != FT_SS_REVEALING && s->phase != FT_SS_REPAIRING)
            return FT_ERR_VERIFY;
        s->repair_asked = true;
        server_enter(s, FT_SS_REPAIRING);
        return FT_OK;
    case FT_SS_RECORD_DONE: /* the sum it stood for is gone with the process, unless it was committed */
        return record.size == 32 ? FT_OK : FT_ERR_FORMAT;
    case FT_SS_RECORD_FAILED:
        s->failure = (enum ft_ss_end)ft_read_u32(&c);
        if (!ft_cursor_done(&c))
            return FT_ERR_FORMAT;
        server_enter(s, FT_SS_FAILED);
        return FT_OK;
    case FT_SS_RECORD_OPENED:
        break;
    }
    return FT_ERR_FORMAT;
}

enum ft_status
ft_ss_server_restore_record(struct ft_ss_server *s, enum ft_ss_record kind, struct ft_bytes record,
                            struct ft_error *err)
{
    enum ft_status st;
    if (!s->restoring)
        return FT_ERR_STATE;
    st = restore(s, kind, record, err);
    if (st != FT_OK)
        (void)ft_fail(err, st, "a session record of kind %d does not fit the ones before it", (int)kind);
    return st;
}

enum ft_status
ft_ss_server_restore_end(struct ft_ss_server *s, struct ft_error *err)
{
    if (!s->restoring || !s->opened)
        return ft_fail(err, FT_ERR_STATE, "the session's records do not begin with its descriptor");
    s->restoring = false;
    if (!server_over(s))
        server_enter(s, s->phase); /* its deadline starts anew */
    return server_advance(s);
}
