/*
 * Rebuilding a secret from what its holders revealed (Finish, step 3): t shares; if the commitment says no,
 * all shares as a Reed-Solomon code; if that says no, other t-subsets, at most 64. False and left-out shares
 * become bad pairs.
 */
#include "common/base/alloc.h"
#include "common/secure_sum/server_internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SUBSETS_MAX 64

/* What holder revealed of dealer, or NULL. Its records are in ascending dealer. */
static const uint8_t *
share_of(const struct ft_ss_server *s, uint32_t holder, uint32_t dealer)
{
    const struct revealed *revealed = s->clients[holder].revealed;
    size_t low = 0, high;

    if (revealed == NULL)
        return NULL;
    high = revealed->records.size / FT_SS_REVEAL_RECORD;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const uint8_t *record = revealed->records.data + middle * FT_SS_REVEAL_RECORD;
        const uint32_t at = ft_get_u32(record);
        if (at == dealer)
            return record;
        if (at < dealer)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static uint32_t
holder_at(const struct ft_ss_server *s, uint32_t dealer, uint16_t place)
{
    return ft_get_u32(s->clients[dealer].dealt->records.data + (size_t)place * FT_SS_SHARE_RECORD);
}

uint32_t
server_shares_at_hand(const struct ft_ss_server *s, uint32_t dealer)
{
    uint32_t count = 0;
    for (uint16_t at = 0; at < s->params.k; at++)
        count += share_of(s, holder_at(s, dealer, at), dealer) != NULL;
    return count;
}

/* Shares at hand, in ascending x. A holder that answered without this one makes a bad pair. */
static enum ft_status
gather(struct ft_ss_server *s, uint32_t dealer, struct ft_ss_share *shares, uint16_t *count)
{
    enum ft_status st = FT_OK;

    *count = 0;
    for (uint16_t at = 0; at < s->params.k && st == FT_OK; at++) {
        const uint32_t holder = holder_at(s, dealer, at);
        const uint8_t *record = share_of(s, holder, dealer);
        if (record != NULL) {
            shares[*count].x = (uint16_t)(at + 1);
            memcpy(shares[(*count)++].y, record + 6, 32);
        } else if (s->clients[holder].revealed != NULL) {
            st = server_bad_pair(s, dealer, holder);
        }
    }
    return st;
}

static bool
matches(const struct ft_ss_server *s, uint32_t dealer, bool kappa, const uint8_t secret[32])
{
    const struct dealt *dealt = s->clients[dealer].dealt;
    uint8_t commitment[32];

    if (!ft_ss_scalar_canonical(secret))
        return false;
    if (kappa)
        ft_ss_derive_commit_k(commitment, secret, s->t[1], dealer);
    else
        ft_ss_derive_commit_b(commitment, secret, s->t[1], dealer);
    return sodium_memcmp(commitment, kappa ? dealt->commit_k : dealt->commit_b, 32) == 0;
}

/* With t good shares in front: every other share that does not fit in the place of the first is a lie. */
static enum ft_status
name_lies(struct ft_ss_server *s, uint32_t dealer, struct ft_ss_share *shares, uint16_t count,
          const uint8_t secret[32])
{
    const struct ft_ss_share first = shares[0];
    struct ft_ss_lagrange scratch = { 0 }; /* these sets do not come again */
    uint8_t other[32];
    enum ft_status st = FT_OK;

    for (uint16_t at = s->params.t; at < count && st == FT_OK; at++) {
        shares[0] = shares[at];
        st = ft_ss_shamir_rebuild(&scratch, shares, s->params.t, other);
        if (st == FT_OK && sodium_memcmp(other, secret, 32) != 0)
            st = server_bad_pair(s, dealer, holder_at(s, dealer, (uint16_t)(shares[at].x - 1)));
    }
    shares[0] = first;
    sodium_memzero(other, sizeof other);
    ft_ss_lagrange_clear(&scratch);
    return st;
}

/* Random t-subsets: each is brought to the front of `shares`. */
static enum ft_status
try_subsets(struct ft_ss_server *s, uint32_t dealer, bool kappa, struct ft_ss_share *shares, uint16_t count,
            uint8_t secret[32], bool *found)
{
    struct ft_ss_lagrange scratch = { 0 };
    enum ft_status st = FT_OK;

    for (int attempt = 0; attempt < SUBSETS_MAX && !*found && st == FT_OK; attempt++) {
        for (uint16_t at = 0; at < s->params.t; at++) {
            const uint16_t from = (uint16_t)(at + ft_random_below(s->config.env, (uint64_t)(count - at)));
            const struct ft_ss_share chosen = shares[from];
            shares[from] = shares[at];
            shares[at] = chosen;
        }
        st = ft_ss_shamir_rebuild(&scratch, shares, s->params.t, secret);
        *found = st == FT_OK && matches(s, dealer, kappa, secret);
    }
    ft_ss_lagrange_clear(&scratch);
    return st;
}

/* The slow road, for shares of which some lie. */
static enum ft_status
decode(struct ft_ss_server *s, uint32_t dealer, bool kappa, struct ft_ss_share *shares, uint16_t count,
       uint8_t secret[32], bool *found)
{
    bool *lies = ft_calloc(count, sizeof *lies);
    enum ft_status st;

    if (lies == NULL)
        return FT_ERR_NOMEM;
    st = ft_ss_shamir_decode(shares, count, s->params.t, secret, lies);
    *found = st == FT_OK && matches(s, dealer, kappa, secret);
    if (*found) {
        for (uint16_t at = 0; at < count && st == FT_OK; at++)
            if (lies[at])
                st = server_bad_pair(s, dealer, holder_at(s, dealer, (uint16_t)(shares[at].x - 1)));
    } else if (st == FT_OK || st == FT_ERR_VERIFY) {
        st = count > s->params.t ? try_subsets(s, dealer, kappa, shares, count, secret, found) : FT_OK;
        if (st == FT_OK && *found)
            st = name_lies(s, dealer, shares, count, secret);
    }
    ft_free(lies);
    return st;
}

enum ft_status
server_rebuild(struct ft_ss_server *s, uint32_t dealer, bool kappa, uint8_t secret[32], bool *found)
{
    struct ft_ss_share *shares = ft_secret_alloc(s->params.k * sizeof *shares);
    uint16_t count;
    enum ft_status st;

    *found = false;
    if (shares == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(gather(s, dealer, shares, &count));
    if (count < s->params.t)
        goto out;
    FT_TRY(ft_ss_shamir_rebuild(&s->job.lagrange, shares, s->params.t, secret));
    *found = matches(s, dealer, kappa, secret);
    if (!*found)
        st = decode(s, dealer, kappa, shares, count, secret, found);
out:
    if (!*found)
        sodium_memzero(secret, 32);
    ft_secret_free(shares);
    return st;
}
