/* What a client at a given position is sent next. Only what is durable is handed out. */
#include "common/base/alloc.h"
#include "common/secure_sum/server_internal.h"

#include <string.h>

static enum ft_status
send_announce(const struct ft_ss_server *s, struct ft_buf *out)
{
    struct ft_ss_down d = { .kind = FT_SS_DOWN_ANNOUNCE,
                            .descriptor = FT_BYTES(s->descriptor_bytes, sizeof s->descriptor_bytes) };
    memcpy(d.signature, s->view[0], sizeof d.signature);
    return ft_ss_down_encode(&d, out);
}

static enum ft_status
send_cohort(const struct ft_ss_server *s, uint32_t client, struct ft_buf *out)
{
    uint8_t path[FT_SS_MERKLE_DEPTH_MAX][32];
    const uint32_t length = ft_ss_merkle_path(&s->tree, ft_ss_bitmap_rank(s->u1, client), path);
    struct ft_ss_down d = { .kind = FT_SS_DOWN_COHORT,
                            .members = server_map(s, s->u1),
                            .path = FT_BYTES(path, (size_t)length * 32),
                            .params = s->params };
    memcpy(d.prior, s->t[0], 32);
    memcpy(d.join_root, s->join_root, sizeof d.join_root);
    memcpy(d.signature, s->view[1], sizeof d.signature);
    return ft_ss_down_encode(&d, out);
}

/* The dealers' records, with the dealer in place of the holder. */
static enum ft_status
send_deliver(const struct ft_ss_server *s, uint32_t client, struct ft_buf *out)
{
    const uint32_t from = s->delivery_first[client], to = s->delivery_first[client + 1];
    struct ft_ss_down d = { .kind = FT_SS_DOWN_DELIVER, .members = server_map(s, s->s) };
    struct ft_buf records = { 0 };
    enum ft_status st = ft_buf_reserve(&records, (size_t)(to - from) * FT_SS_SHARE_RECORD + 1);

    if (st != FT_OK)
        return st;
    for (uint32_t at = from; at < to; at++) {
        const struct delivery *delivery = &s->deliveries[at];
        uint8_t *record = records.data + records.size;
        memcpy(record,
               s->clients[delivery->dealer].dealt->records.data +
                   (size_t)delivery->place * FT_SS_SHARE_RECORD,
               FT_SS_SHARE_RECORD);
        ft_put_u32(record, delivery->dealer);
        records.size += FT_SS_SHARE_RECORD;
    }
    memcpy(d.prior, s->t[1], 32);
    memcpy(d.signature, s->view[2], sizeof d.signature);
    d.records = ft_buf_bytes(&records);
    st = ft_ss_down_encode(&d, out);
    ft_buf_clear(&records);
    return st;
}

static enum ft_status
send_survivors(const struct ft_ss_server *s, struct ft_buf *out)
{
    struct ft_ss_down d = { .kind = FT_SS_DOWN_SURVIVORS, .members = server_map(s, s->u3) };
    memcpy(d.prior, s->t[2], 32);
    memcpy(d.signature, s->view[3], sizeof d.signature);
    return ft_ss_down_encode(&d, out);
}

static enum ft_status
send_certificate(const struct ft_ss_server *s, struct ft_buf *out)
{
    struct ft_ss_down d = { .kind = FT_SS_DOWN_CERTIFICATE };
    struct ft_buf records = { 0 };
    uint32_t left = s->params.q; /* a quorum is all a client looks at */
    enum ft_status st = ft_buf_reserve(&records, (size_t)left * FT_SS_CONFIRM_RECORD);

    if (st != FT_OK)
        return st;
    SERVER_EACH(s, id, s->certificate)
    {
        if (left-- == 0)
            break;
        ft_put_u32(records.data + records.size, id);
        memcpy(records.data + records.size + 4, s->clients[id].confirmation, 64);
        records.size += FT_SS_CONFIRM_RECORD;
    }
    memcpy(d.prior, s->t[3], 32);
    d.records = ft_buf_bytes(&records);
    st = ft_ss_down_encode(&d, out);
    ft_buf_clear(&records);
    return st;
}

static enum ft_status
send_repair(const struct ft_ss_server *s, struct ft_buf *out)
{
    struct ft_ss_down d = { .kind = FT_SS_DOWN_REPAIR };
    memcpy(d.prior, s->t[3], 32);
    ft_ss_down_sign(&d, s->signing_sk);
    return ft_ss_down_encode(&d, out);
}

enum ft_status
ft_ss_result_message(const uint8_t signing_sk[64], const uint8_t t3[32], const uint8_t result_hash[32],
                     struct ft_buf *out)
{
    struct ft_ss_down d = { .kind = FT_SS_DOWN_RESULT };
    memcpy(d.prior, t3, 32);
    memcpy(d.result_hash, result_hash, 32);
    ft_ss_down_sign(&d, signing_sk);
    return ft_ss_down_encode(&d, out);
}

enum ft_status
ft_ss_ended_message(const uint8_t signing_sk[64], const struct ft_ss_position *position, enum ft_ss_end code,
                    struct ft_buf *out)
{
    struct ft_ss_down d = { .kind = FT_SS_DOWN_ENDED,
                            .round = position->round,
                            .attempt = position->attempt,
                            .code = (uint32_t)code };
    memcpy(d.task_hash, position->task_hash, sizeof d.task_hash);
    ft_ss_down_sign(&d, signing_sk);
    return ft_ss_down_encode(&d, out);
}

/* What to do for a client: wait, end, or one of the messages. */
enum choice { WAIT, END, ANNOUNCE, COHORT, DELIVER, SURVIVORS, CERTIFICATE, REPAIR, RESULT };

/* After its upload is due again (a restart lost it), that comes before all else. */
static bool
upload_lost(const struct ft_ss_server *s, uint32_t client)
{
    return !ft_ss_bitmap_has(s->counted, client) && s->phase <= FT_SS_REPAIRING &&
           s->phase != FT_SS_UNMASKING;
}

static enum choice
after_shares(const struct ft_ss_server *s, uint32_t client)
{
    if (s->phase == FT_SS_DEALING)
        return ft_ss_bitmap_has(s->shared, client) ? WAIT : COHORT;
    if (!ft_ss_bitmap_has(s->s, client))
        return END;
    if (s->phase == FT_SS_COLLECTING)
        return DELIVER;
    return ft_ss_bitmap_has(s->u3, client) ? DELIVER : END;
}

static enum choice
after_masked(const struct ft_ss_server *s, uint32_t client)
{
    if (s->phase == FT_SS_COLLECTING)
        return upload_lost(s, client) ? DELIVER : WAIT;
    if (!ft_ss_bitmap_has(s->u3, client))
        return END;
    return upload_lost(s, client) ? DELIVER : SURVIVORS;
}

static enum choice
after_confirm(const struct ft_ss_server *s, uint32_t client)
{
    if (!ft_ss_bitmap_has(s->u3, client))
        return END;
    if (upload_lost(s, client))
        return DELIVER;
    if (s->phase == FT_SS_CONFIRMING)
        return ft_ss_bitmap_has(s->confirmed, client) ? WAIT : SURVIVORS;
    if (s->phase == FT_SS_REVEALING)
        return CERTIFICATE;
    return s->published ? RESULT : WAIT;
}

static enum choice
after_unmask(const struct ft_ss_server *s, uint32_t client, bool repaired)
{
    if (!ft_ss_bitmap_has(s->u3, client))
        return END;
    if (upload_lost(s, client))
        return DELIVER;
    if (s->phase == FT_SS_REVEALING && !ft_ss_bitmap_has(s->unmasked, client))
        return CERTIFICATE;
    if (s->phase == FT_SS_REPAIRING && !(repaired && ft_ss_bitmap_has(s->repaired, client)))
        return ft_ss_bitmap_has(s->repaired, client) ? WAIT : REPAIR;
    return s->published ? RESULT : WAIT;
}

static enum choice
choose(const struct ft_ss_server *s, uint32_t client, uint32_t step)
{
    switch (step) {
    case FT_SS_STEP_JOIN:
        if (s->phase == FT_SS_OPEN && !ft_ss_bitmap_has(s->gone, client))
            return ft_ss_bitmap_has(s->joined, client) ? WAIT : ANNOUNCE;
        if (!ft_ss_bitmap_has(s->u1, client))
            return END;
        return s->phase == FT_SS_DEALING || ft_ss_bitmap_has(s->s, client) ? COHORT : END;
    case FT_SS_STEP_SHARES:
        return s->t_known > 1 ? after_shares(s, client) : END;
    case FT_SS_STEP_MASKED:
        return s->t_known > 2 ? after_masked(s, client) : END;
    case FT_SS_STEP_CONFIRM:
        return s->t_known > 3 ? after_confirm(s, client) : END;
    case FT_SS_STEP_UNMASK:
    case FT_SS_STEP_REPAIR:
        return s->t_known > 3 ? after_unmask(s, client, step == FT_SS_STEP_REPAIR) : END;
    default:
        return END;
    }
}

static enum ft_status
send(const struct ft_ss_server *s, enum choice choice, uint32_t client, struct ft_buf *out)
{
    switch (choice) {
    case ANNOUNCE:
        return send_announce(s, out);
    case COHORT:
        return send_cohort(s, client, out);
    case DELIVER:
        return send_deliver(s, client, out);
    case SURVIVORS:
        return send_survivors(s, out);
    case CERTIFICATE:
        return send_certificate(s, out);
    case REPAIR:
        return send_repair(s, out);
    case RESULT:
        return ft_ss_result_message(s->signing_sk, s->t[3], s->result_hash, out);
    case WAIT:
    case END:
        break;
    }
    return FT_ERR_INTERNAL;
}

/* Same session, and the same story so far? */
static bool
position_is_ours(const struct ft_ss_server *s, const struct ft_ss_position *position)
{
    return memcmp(position->task_hash, s->descriptor.task_hash, 32) == 0 &&
           position->round == s->descriptor.round && position->attempt == s->descriptor.attempt;
}

static bool
transcript_is_ours(const struct ft_ss_server *s, const struct ft_ss_position *position)
{
    static const unsigned which[] = { 0, 0, 1, 2, 3, 3, 3 };
    return position->step <= FT_SS_STEP_REPAIR && which[position->step] < s->t_known &&
           memcmp(position->transcript, s->t[which[position->step]], 32) == 0;
}

enum ft_status
ft_ss_server_next(const struct ft_ss_server *s, uint32_t client, const struct ft_ss_position *position,
                  struct ft_buf *message, enum ft_ss_next *next)
{
    enum ft_ss_end end = FT_SS_END_NONE;
    enum choice choice;
    enum ft_status st;

    ft_buf_clear(message);
    *next = FT_SS_NEXT_NONE;
    if (client >= s->universe)
        return FT_OK;
    if (position->step == FT_SS_STEP_NONE) {
        if (s->phase != FT_SS_OPEN || !server_may_join(s, client) || ft_ss_bitmap_has(s->gone, client))
            return FT_OK;
        st = send_announce(s, message);
        *next = st == FT_OK ? FT_SS_NEXT_MESSAGE : FT_SS_NEXT_NONE;
        return st;
    }
    if (!position_is_ours(s, position)) {
        *next = FT_SS_NEXT_OTHER;
        return FT_OK;
    }
    choice = END;
    if (s->phase == FT_SS_FAILED)
        end = s->failure;
    else if (!transcript_is_ours(s, position))
        end = FT_SS_END_UNKNOWN_SESSION;
    else if ((choice = choose(s, client, position->step)) == END)
        end = ft_ss_server_client_end(s, client, NULL);
    if (choice == WAIT) {
        *next = FT_SS_NEXT_WAIT;
        return FT_OK;
    }
    st = choice == END ? ft_ss_ended_message(s->signing_sk, position,
                                             end == FT_SS_END_NONE ? FT_SS_END_OVER : end, message)
                       : send(s, choice, client, message);
    if (st == FT_OK)
        *next = FT_SS_NEXT_MESSAGE;
    return st;
}
