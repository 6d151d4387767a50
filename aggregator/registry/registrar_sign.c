#include "aggregator/registry/registrar.h"
#include "aggregator/registry/registrar_internal.h"
#include "aggregator/registry/roster_request.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

/* The last roster signed here; count 0 when there is none. */
static enum ft_status
last_read(const char *path, const uint8_t public_key[32], const uint8_t deployment[16], struct ft_buf *bytes,
          struct ft_ss_roster *last, struct ft_error *err)
{
    struct stat info;
    enum ft_status st;

    if (stat(path, &info) != 0)
        return FT_OK;
    FT_TRY(ft_file_read(path, FT_ROSTER_FILE_MAX, bytes, err));
    FT_TRY(ft_ss_roster_open(ft_buf_bytes(bytes), public_key, deployment, 0, last, err));
out:
    return st;
}

/* The request must carry on from the last roster: nothing moves, nothing vanishes, nothing revoked comes
 * back. */
static enum ft_status
check_history(const struct ft_roster_wish *wish, const struct ft_buf *last_bytes,
              const struct ft_ss_roster *last, struct ft_error *err)
{
    if (wish->previous.size != last_bytes->size ||
        (last_bytes->size > 0 && memcmp(wish->previous.data, last_bytes->data, last_bytes->size) != 0))
        return ft_fail(
            err, FT_ERR_VERIFY,
            "the request does not build on roster %llu, the last one signed here. Import that one first, "
            "then export the request again",
            (unsigned long long)last->serial);
    if (wish->count < last->count)
        return ft_fail(err, FT_ERR_VERIFY, "the request drops places: %u where roster %llu has %u",
                       wish->count, (unsigned long long)last->serial, last->count);
    for (uint32_t i = 0; i < last->count; i++) {
        if (memcmp(wish->members[i].ed25519_pk, last->members[i].ed25519_pk, 32) != 0)
            return ft_fail(err, FT_ERR_VERIFY, "the request puts another key in place %u", i);
        if (last->members[i].status == FT_SS_REVOKED && wish->members[i].status != FT_SS_REVOKED)
            return ft_fail(err, FT_ERR_VERIFY, "the request brings back place %u, which is revoked", i);
    }
    return FT_OK;
}

static void
count_members(const struct ft_ss_roster *roster, struct ft_roster_change *change)
{
    change->serial = roster->serial;
    change->members = roster->count;
    change->corrupted = roster->corrupted;
    for (uint32_t i = 0; i < roster->count; i++) {
        change->suspended += roster->members[i].status == FT_SS_SUSPENDED;
        change->revoked += roster->members[i].status == FT_SS_REVOKED;
    }
}

enum ft_status
ft_registrar_sign(const char *folder, struct ft_bytes request, uint32_t corrupted,
                  struct ft_buf *signed_roster, struct ft_roster_change *change, struct ft_error *err)
{
    enum ft_status st;
    struct ft_roster_wish wish = { 0 };
    struct ft_ss_roster last = { 0 }, next = { 0 };
    struct ft_buf last_bytes = { 0 };
    uint8_t public_key[32], secret[64] = { 0 };
    char *path = ft_asprintf("%s/" FT_REGISTRAR_ROSTER_FILE, folder);

    *signed_roster = (struct ft_buf){ 0 };
    memset(change, 0, sizeof *change);
    if (path == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(registrar_key_read(folder, secret, err));
    memcpy(public_key, secret + 32, sizeof public_key);
    FT_TRY(ft_roster_wish_read(request, &wish, err));
    FT_TRY(last_read(path, public_key, wish.deployment, &last_bytes, &last, err));
    FT_TRY(check_history(&wish, &last_bytes, &last, err));
    if (corrupted == 0 && last.count == 0) {
        st = ft_fail(
            err, FT_ERR_ARGUMENT,
            "say how many shops may collude with the aggregator (--corrupted F): the first roster has no "
            "default for it");
        goto out;
    }
    memcpy(next.deployment, wish.deployment, sizeof next.deployment);
    next.serial = last.serial + 1;
    next.count = wish.count;
    next.corrupted = corrupted != 0 ? corrupted : last.corrupted;
    next.members = wish.members;
    wish.members = NULL;
    if (next.corrupted >= next.count) {
        st = ft_fail(err, FT_ERR_ARGUMENT,
                     "%u shops of %u cannot be assumed to collude: nobody honest would be left",
                     next.corrupted, next.count);
        goto out;
    }
    FT_TRY(ft_ss_roster_sign(&next, secret, signed_roster, err));
    /* Kept before it is handed out: what left this machine once is never forgotten. */
    FT_TRY(ft_file_write(path, ft_buf_bytes(signed_roster), 0600, err));
    change->added = next.count - last.count;
    count_members(&next, change);
out:
    if (st != FT_OK)
        ft_buf_clear(signed_roster);
    sodium_memzero(secret, sizeof secret);
    ft_buf_clear(&last_bytes);
    ft_roster_wish_clear(&wish);
    ft_ss_roster_clear(&next);
    ft_ss_roster_clear(&last);
    ft_free(path);
    return st;
}
