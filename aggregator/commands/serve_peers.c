#include "aggregator/commands/serve.h"
#include "common/base/alloc.h"
#include "common/base/log.h"

#include <stdlib.h>
#include <string.h>

static int
by_fingerprint(const void *a, const void *b)
{
    return memcmp(((const struct serve_peer *)a)->fingerprint, ((const struct serve_peer *)b)->fingerprint,
                  32);
}

enum ft_status
serve_peers_load(struct serve *s)
{
    enum ft_status st;
    struct ft_shop *shops = NULL;
    struct serve_peer *peers = NULL;
    size_t count = 0, n = 0;

    FT_TRY(ft_store_shops(s->home->store, &shops, &count));
    peers = ft_calloc(count + 1, sizeof *peers);
    if (peers == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        if (ft_unhex(peers[n].fingerprint, 32, shops[i].fingerprint) != FT_OK)
            continue; /* invited, not enrolled */
        peers[n].shop = shops[i].id;
        peers[n++].active = shops[i].state == FT_SHOP_ACTIVE;
    }
    qsort(peers, n, sizeof *peers, by_fingerprint);
    pthread_rwlock_wrlock(&s->peers_lock);
    ft_free(s->peers);
    s->peers = peers;
    s->peer_count = n;
    pthread_rwlock_unlock(&s->peers_lock);
out:
    ft_free(shops);
    return st;
}

static bool
look_up(struct serve *s, const struct ft_rpc_peer *peer, int64_t *shop)
{
    struct serve_peer key;
    const struct serve_peer *found;
    bool active = false;

    memcpy(key.fingerprint, peer->fingerprint.bytes, sizeof key.fingerprint);
    pthread_rwlock_rdlock(&s->peers_lock);
    found = s->peer_count > 0 ? bsearch(&key, s->peers, s->peer_count, sizeof key, by_fingerprint) : NULL;
    if (found != NULL) {
        *shop = found->shop;
        active = found->active;
    }
    pthread_rwlock_unlock(&s->peers_lock);
    return active;
}

enum ft_rpc_code
serve_authorize(void *ctx, const struct ft_rpc_peer *peer, const char *path)
{
    struct serve *s = ctx;
    int64_t shop = 0;

    (void)path;
    if (look_up(s, peer, &shop))
        return FT_RPC_OK;
    atomic_fetch_add(&s->refusals, 1);
    return FT_RPC_PERMISSION_DENIED;
}

void
serve_audit(void *ctx, enum ft_rpc_audit_kind kind, const struct ft_rpc_peer *peer, const char *path,
            const char *detail)
{
    char hex[65] = "";

    (void)ctx;
    (void)detail;
    if (peer != NULL && peer->known)
        ft_hex(hex, peer->fingerprint.bytes, 32);
    ft_log(FT_LOG_WARN, "rpc.refused", "kind=%s path=%s fingerprint=%s", ft_rpc_audit_str(kind),
           path != NULL ? path : "", hex);
}

bool
serve_shop(struct serve *s, const struct ft_rpc_call *call, int64_t *shop)
{
    return look_up(s, ft_rpc_call_peer(call), shop);
}
