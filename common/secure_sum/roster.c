#include "common/secure_sum/roster.h"
#include "common/base/alloc.h"
#include "common/secure_sum/hash.h"
#include "common/secure_sum/key_set_internal.h"

#include <string.h>

static size_t
roster_size(uint32_t count)
{
    return FT_SS_ROSTER_HEAD_SIZE + (size_t)count * FT_SS_ROSTER_ENTRY_SIZE;
}

/* The rules a roster must keep whoever made it. */
static enum ft_status
roster_check(const struct ft_ss_roster *roster, struct ft_error *err)
{
    uint32_t first, second;
    enum ft_status st;

    if (roster->count < 2 || roster->count > FT_SS_ROSTER_MAX)
        return ft_fail(err, FT_ERR_FORMAT, "roster: %u members, expected 2 to %u", roster->count,
                       FT_SS_ROSTER_MAX);
    if (roster->corrupted >= roster->count)
        return ft_fail(err, FT_ERR_FORMAT, "roster: F is %u of %u members", roster->corrupted, roster->count);
    for (uint32_t i = 0; i < roster->count; i++)
        if (roster->members[i].status < FT_SS_ACTIVE || roster->members[i].status > FT_SS_REVOKED)
            return ft_fail(err, FT_ERR_FORMAT, "roster: member %u has the unknown status %u", i,
                           roster->members[i].status);
    st = ft_ss_key_twice(roster->members[0].ed25519_pk, sizeof *roster->members, roster->count, NULL, &first,
                         &second);
    if (st == FT_ERR_DUPLICATE)
        return ft_fail(err, FT_ERR_VERIFY, "roster: members %u and %u have the same identity key", first,
                       second);
    return st;
}

enum ft_status
ft_ss_roster_sign(struct ft_ss_roster *roster, const uint8_t registrar_sk[64], struct ft_buf *out,
                  struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf b = { 0 };
    uint8_t signature[64];

    *out = b;
    if (roster_check(roster, err) != FT_OK)
        return FT_ERR_ARGUMENT;
    FT_TRY(ft_buf_reserve(&b, roster_size(roster->count) + 64));
    FT_TRY(ft_buf_append(&b, roster->deployment, sizeof roster->deployment));
    FT_TRY(ft_buf_u64(&b, roster->serial));
    FT_TRY(ft_buf_u32(&b, roster->count));
    FT_TRY(ft_buf_u32(&b, roster->corrupted));
    for (uint32_t i = 0; i < roster->count; i++) {
        FT_TRY(ft_buf_append(&b, roster->members[i].ed25519_pk, 32));
        FT_TRY(ft_buf_u8(&b, roster->members[i].status));
        FT_TRY(ft_buf_u64(&b, roster->members[i].not_after_ms));
    }
    FT_SS_H(roster->hash, "roster", ft_buf_bytes(&b));
    crypto_sign_detached(signature, NULL, roster->hash, 32, registrar_sk);
    FT_TRY(ft_buf_append(&b, signature, sizeof signature));
    *out = b;
    b = (struct ft_buf){ 0 };
out:
    ft_buf_clear(&b);
    return st;
}

enum ft_status
ft_ss_roster_open(struct ft_bytes signed_roster, const uint8_t registrar_pk[32], const uint8_t deployment[16],
                  uint64_t serial_min, struct ft_ss_roster *out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_ss_roster roster = { 0 };
    struct ft_cursor c;
    struct ft_bytes body;

    *out = roster;
    if (signed_roster.size < FT_SS_ROSTER_HEAD_SIZE + 64)
        return ft_fail(err, FT_ERR_FORMAT, "roster: %zu bytes are too few", signed_roster.size);
    body = (struct ft_bytes){ signed_roster.data, signed_roster.size - 64 };
    FT_SS_H(roster.hash, "roster", body);
    if (crypto_sign_verify_detached(body.data + body.size, roster.hash, 32, registrar_pk) != 0)
        return ft_fail(err, FT_ERR_VERIFY, "roster: the registrar's signature does not verify");
    c = ft_cursor_of(body);
    ft_read_into(&c, roster.deployment, sizeof roster.deployment);
    roster.serial = ft_read_u64(&c);
    roster.count = ft_read_u32(&c);
    roster.corrupted = ft_read_u32(&c);
    if (roster.count > FT_SS_ROSTER_MAX || roster_size(roster.count) != body.size)
        return ft_fail(err, FT_ERR_FORMAT, "roster: %zu bytes do not hold %u members", body.size,
                       roster.count);
    if (memcmp(roster.deployment, deployment, 16) != 0)
        return ft_fail(err, FT_ERR_VERIFY, "roster: it belongs to another deployment");
    if (roster.serial < serial_min)
        return ft_fail(err, FT_ERR_REFUSED,
                       "roster: serial %llu is older than %llu, which was accepted before",
                       (unsigned long long)roster.serial, (unsigned long long)serial_min);
    roster.members = ft_calloc(roster.count, sizeof *roster.members);
    if (roster.members == NULL)
        return FT_ERR_NOMEM;
    for (uint32_t i = 0; i < roster.count; i++) {
        ft_read_into(&c, roster.members[i].ed25519_pk, 32);
        roster.members[i].status = ft_read_u8(&c);
        roster.members[i].not_after_ms = ft_read_u64(&c);
    }
    FT_TRY(roster_check(&roster, err));
    *out = roster;
    roster.members = NULL;
out:
    ft_free(roster.members);
    return st;
}

void
ft_ss_roster_clear(struct ft_ss_roster *roster)
{
    ft_free(roster->members);
    *roster = (struct ft_ss_roster){ 0 };
}

bool
ft_ss_roster_active(const struct ft_ss_roster *roster, uint32_t id, uint64_t wall_ms)
{
    return id < roster->count && roster->members[id].status == FT_SS_ACTIVE &&
           (roster->members[id].not_after_ms == FT_SS_NEVER || wall_ms <= roster->members[id].not_after_ms);
}

uint32_t
ft_ss_roster_find(const struct ft_ss_roster *roster, const uint8_t ed25519_pk[32])
{
    uint32_t id = 0;
    while (id < roster->count && memcmp(roster->members[id].ed25519_pk, ed25519_pk, 32) != 0) /* public */
        id++;
    return id;
}
