#include "client/vault/vault.h"

#include "common/base/log.h"

#include <time.h>

#define AUDIT_RETRY_MS 2000u
#define SLICE_MS       50u

struct vault {
    const struct ft_vault_config *config;
    struct ft_buf frame;   /* reused */
    struct ft_buf trailer; /* of the upload at hand */
};

static bool
stopped(const struct vault *v)
{
    return v->config->link->stop != NULL && *v->config->link->stop != 0;
}

static enum ft_status
rest(const struct vault *v, uint32_t ms)
{
    for (uint32_t done = 0; done < ms; done += SLICE_MS) {
        const struct timespec t = { .tv_nsec = (long)SLICE_MS * 1000000 };
        if (stopped(v))
            return FT_ERR_CANCELLED;
        nanosleep(&t, NULL);
    }
    return FT_OK;
}

/* What the audit line of a message is about: its bytes. A part of a masked input is told by its place and the upload's
 * signed trailer, which holds the digest of the whole vector: one that differs is never counted. */
static enum ft_status
audit_line(struct vault *v, const struct ft_out *message, bool sync)
{
    const size_t head = v->frame.size;
    enum ft_status st = FT_OK;
    if (message->kind == FT_OUT_UPLOAD) {
        v->trailer.size = 0;
        st = ft_buf_append(&v->trailer, message->trailer.data, message->trailer.size);
    } else if (message->kind == FT_OUT_DATA) {
        st = ft_buf_append(&v->frame, v->trailer.data, v->trailer.size);
    }
    if (st == FT_OK)
        st = ft_audit_append(v->config->audit, ft_out_kind_name(message->kind), head + message->data.size,
                             ft_buf_bytes(&v->frame), sync);
    v->frame.size = head;
    return st;
}

/* The one place where anything leaves the vault. */
static enum ft_status
hand_out(struct vault *v, const struct ft_out *message)
{
    bool told = false;
    v->frame.size = 0;
    enum ft_status st = ft_out_encode_head(message, &v->frame);
    if (st != FT_OK)
        return st;
    const bool sync =
        message->kind == FT_OUT_UPLOAD; /* the release: its line is there even after a power cut */
    for (;;) {
        st = audit_line(v, message, sync);
        if (st == FT_OK)
            break;
        if (!told)
            ft_log(FT_LOG_ERROR, "audit.failed",
                   "status=%s remedy=free space in the state folder; nothing is sent", ft_status_name(st));
        told = true;
        st = rest(v, AUDIT_RETRY_MS);
        if (st != FT_OK)
            return st;
    }
    return ft_link_send_parts(v->config->link, ft_buf_bytes(&v->frame), message->data);
}

/* One action from its start to its end. */
static enum ft_status
one_action(struct vault *v)
{
    struct ft_out action, reply;
    struct ft_in outcome;
    struct ft_bytes frame;
    bool over = false;
    enum ft_status st = ft_participant_next(v->config->participant, &action);
    if (st == FT_OK)
        st = hand_out(v, &action);
    while (st == FT_OK && !over) {
        st = ft_link_receive(v->config->link, UINT32_MAX, &frame);
        if (st == FT_OK)
            st = ft_in_decode(frame, &outcome);
        if (st != FT_OK)
            break;
        st = ft_participant_take(v->config->participant, &outcome, &reply, &over);
        if (st == FT_OK && reply.kind != 0)
            st = hand_out(v, &reply);
        ft_in_clear(&outcome);
    }
    return st;
}

enum ft_status
ft_vault_run(const struct ft_vault_config *config)
{
    struct vault v = { .config = config };
    struct ft_participant_status status;
    enum ft_status st;
    do {
        st = stopped(&v) ? FT_ERR_CANCELLED : one_action(&v);
        ft_participant_status(config->participant, &status);
    } while (st == FT_OK && !status.rolled_back && !(config->until_done && status.finished));
    if (st == FT_OK && status.rolled_back)
        st = FT_ERR_VERIFY;
    if (st == FT_OK)
        (void)!hand_out(&v, &(struct ft_out){ .kind = FT_OUT_STOP });
    if (st == FT_ERR_FORMAT || st == FT_ERR_LIMIT)
        ft_log(FT_LOG_ERROR, "courier.broke_rules", "status=%s", ft_status_name(st));
    ft_buf_clear(&v.frame);
    ft_buf_clear(&v.trailer);
    return st;
}
