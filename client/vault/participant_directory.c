#include "client/vault/participant_internal.h"

#include "common/base/alloc.h"
#include "common/base/log.h"

#include <sodium.h>
#include <assert.h>
#include <string.h>

enum ft_status
participant_roster_restore(struct ft_participant *p, struct ft_error *err)
{
    struct ft_buf bytes = { 0 };
    struct ft_ss_roster roster = { 0 };
    uint64_t serial = 0;
    struct ft_vault_store *store = p->config.world.store;
    enum ft_status st = store->calls->roster_get(store, &serial, &bytes);

    if (st == FT_ERR_NOTFOUND) {
        st = FT_OK;
        goto out;
    }
    if (st != FT_OK)
        goto out;
    FT_TRY(ft_ss_roster_open(ft_buf_bytes(&bytes), p->config.pins.registrar_key, p->config.pins.deployment,
                             serial, &roster, err));
    p->has_roster = true;
    p->roster_serial = serial;
    const uint32_t id = ft_ss_roster_find(&roster, p->identity_pk);
    if (id < roster.count) {
        p->id = id;
        p->id_known = true;
    }
out:
    ft_ss_roster_clear(&roster);
    ft_buf_clear(&bytes);
    return st;
}

static void
make_key(struct ft_participant *p, uint32_t epoch)
{
    ft_ss_epoch_key_make(p->config.world.env, p->config.identity_sk, p->config.pins.deployment, p->id, epoch,
                         p->xsk, &p->key);
    p->has_epoch = true;
    p->send_key = true;
}

/* The aggregator asks for the key of an epoch: a new one, or the one at hand once more. */
enum ft_status
participant_epoch(struct ft_participant *p, const struct ft_fed_reply *reply)
{
    if (p->has_epoch && reply->epoch < p->key.epoch) {
        ft_log(FT_LOG_WARN, "epoch.backwards", "asked=%u have=%u", reply->epoch, p->key.epoch);
        participant_stumble(p);
        return FT_OK;
    }
    if (participant_live(p) && reply->epoch != p->key.epoch) {
        const enum ft_status st = participant_withdraw(p);
        if (st != FT_OK)
            return st;
    }
    /* Before any roster is known the place is the aggregator's word; a wrong one makes a key that fits
     * nobody. */
    if (!p->id_known)
        p->id = reply->shop_index;
    if (p->has_epoch && p->key.epoch == reply->epoch && p->key.id == p->id) {
        p->send_key = true;
        if (++p->stumbles > 1)
            participant_stumble(p);
        return FT_OK;
    }
    make_key(p, reply->epoch);
    ft_log(FT_LOG_INFO, "epoch.key", "epoch=%u id=%u", p->key.epoch, p->key.id);
    return FT_OK;
}

static void
view_free(struct view *v)
{
    if (v == NULL)
        return;
    ft_ss_directory_clear(&v->directory);
    ft_ss_roster_clear(&v->roster);
    ft_free(v);
}

void
participant_directory_close(struct ft_participant *p)
{
    view_free(p->view);
    p->view = NULL;
    ft_ss_pairs_close(p->pairs);
    p->pairs = NULL;
}

/* Check a directory wholly before anything of it is believed. */
static enum ft_status
open_view(struct ft_participant *p, const struct ft_fed_directory *d, struct view **out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_ss_epoch_key key;
    struct view *v = ft_calloc(1, sizeof *v);
    *out = NULL;
    if (v == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_ss_roster_open(d->roster, p->config.pins.registrar_key, p->config.pins.deployment,
                             p->has_roster ? p->roster_serial : 0, &v->roster, err));
    const uint32_t id = ft_ss_roster_find(&v->roster, p->identity_pk);
    if (id >= v->roster.count) {
        st = ft_fail(err, FT_ERR_NOTFOUND, "the roster does not have this shop yet");
        goto out;
    }
    p->id = id;
    p->id_known = true;
    if (!p->has_epoch || p->key.id != id) {
        /* The key was made for another place: make it anew, and the directory will follow. */
        p->has_epoch = false;
        st = ft_fail(err, FT_ERR_LATER, "the epoch key must be made for place %u", id);
        goto out;
    }
    if (d->epoch != p->key.epoch) {
        st = ft_fail(err, FT_ERR_LATER, "directory of epoch %u, key of epoch %u", d->epoch, p->key.epoch);
        goto out;
    }
    FT_TRY(ft_ss_directory_open(&v->roster, d->epoch, &v->directory));
    for (size_t i = 0; i < d->key_count; i++) {
        FT_TRY(ft_ss_epoch_key_decode(d->keys[i], &key));
        if (ft_ss_directory_has(&v->directory, key.id)) {
            st = ft_fail(err, FT_ERR_VERIFY, "two keys for place %u", key.id);
            goto out;
        }
        FT_TRY(ft_ss_directory_put(&v->directory, &key, err));
    }
    ft_ss_directory_root(&v->directory, v->root);
    FT_TRY(ft_ss_directory_check(&v->directory, id, p->key.xpk, v->root, err));
    *out = v;
    v = NULL;
out:
    view_free(v);
    return st;
}

enum ft_status
participant_directory(struct ft_participant *p, struct ft_bytes blob)
{
    struct ft_fed_directory d = { 0 };
    struct ft_ss_pairs *pairs = NULL;
    struct view *v = NULL;
    struct ft_error err = { 0 };
    struct ft_vault_store *store = p->config.world.store;
    enum ft_status st;

    FT_TRY(ft_fed_directory_decode(blob, &d));
    FT_TRY(open_view(p, &d, &v, &err));
    assert(v != NULL);
    ft_blob_hash(blob, v->blob_hash);
    FT_TRY(ft_ss_pairs_open(v->roster.count, p->id, p->xsk, p->key.xpk, p->config.pins.deployment,
                            p->key.epoch, &pairs));
    if (!p->has_roster || v->roster.serial != p->roster_serial)
        FT_TRY(store->calls->roster_put(store, v->roster.serial, d.roster));
    /* From here on it is ours; a session under the old directory could not go on. */
    if (participant_live(p))
        FT_TRY(participant_withdraw(p));
    participant_session_close(p);
    participant_directory_close(p);
    p->view = v;
    v = NULL;
    p->pairs = pairs;
    pairs = NULL;
    p->has_roster = true;
    p->roster_serial = p->view->roster.serial;
    p->send_key = false;
    p->stumbles = 0;
    ft_log(FT_LOG_INFO, "directory.accepted", "serial=%llu epoch=%u shops=%u",
           (unsigned long long)p->roster_serial, p->key.epoch, p->view->roster.count);
out:
    ft_fed_directory_clear(&d);
    view_free(v);
    ft_ss_pairs_close(pairs);
    if (st != FT_OK && st != FT_ERR_NOMEM) {
        ft_log(st == FT_ERR_LATER || st == FT_ERR_NOTFOUND ? FT_LOG_INFO : FT_LOG_ERROR, "directory.refused",
               "status=%s reason=%s", ft_status_name(st), err.text);
        participant_stumble(p);
        st = FT_OK;
    }
    return st;
}
