#include "common/base/env.h"
#include "common/rpc/pki_internal.h"
#include "common/rpc/rpc_internal.h"

#include <grpc/support/alloc.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static int64_t
now_s(struct ft_rpc_server *s)
{
    const struct ft_env *env = ft_env_system();
    const uint64_t ms = s->params.wall_ms != NULL ? s->params.wall_ms(s->params.ctx) : env->wall_ms(env->ctx);
    return (int64_t)(ms / 1000);
}

static enum ft_status
read_certificate(struct rpc_peers *peers, struct ft_bytes pem, struct ft_pki_info *info)
{
    uint8_t digest[32];
    size_t slot;
    bool found;
    enum ft_status st;

    crypto_generichash(digest, sizeof digest, pem.data, pem.size, NULL, 0);
    slot = digest[0]; /* RPC_PEERS slots */
    pthread_mutex_lock(&peers->lock);
    found = memcmp(peers->slots[slot].digest, digest, sizeof digest) == 0;
    if (found)
        *info = peers->slots[slot].info;
    pthread_mutex_unlock(&peers->lock);
    if (found)
        return FT_OK;
    st = ft_pki_read(pem, info);
    if (st != FT_OK)
        return st;
    pthread_mutex_lock(&peers->lock);
    memcpy(peers->slots[slot].digest, digest, sizeof digest);
    peers->slots[slot].info = *info;
    pthread_mutex_unlock(&peers->lock);
    return FT_OK;
}

void
rpc_peer_read(struct ft_rpc_server *s, grpc_call *call, struct ft_rpc_peer *out, bool *expired)
{
    grpc_auth_context *auth = grpc_call_auth_context(call);
    grpc_auth_property_iterator it;
    const grpc_auth_property *pem;
    struct ft_pki_info info;
    char *address = grpc_call_get_peer(call);

    memset(out, 0, sizeof *out);
    *expired = false;
    if (address != NULL)
        snprintf(out->address, sizeof out->address, "%s", address);
    gpr_free(address);
    if (auth == NULL)
        return;
    it = grpc_auth_context_find_properties_by_name(auth, GRPC_X509_PEM_CERT_PROPERTY_NAME);
    pem = grpc_auth_property_iterator_next(&it);
    /* The handshake has verified its chain: a certificate that fails there never gets this far. */
    if (pem != NULL && read_certificate(&s->peers, FT_BYTES(pem->value, pem->value_length), &info) == FT_OK) {
        out->known = true;
        out->fingerprint = info.fingerprint;
        memcpy(out->common_name, info.common_name, sizeof out->common_name);
        *expired = now_s(s) < info.validity.not_before_s || now_s(s) >= info.validity.not_after_s;
    }
    grpc_auth_context_release(auth);
}
