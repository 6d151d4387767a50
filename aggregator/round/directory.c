#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"
#include "common/base/log.h"

#include <string.h>

void
engine_roster_unref(struct engine_roster *r)
{
    if (r == NULL || --r->refs > 0)
        return;
    ft_ss_roster_clear(&r->roster);
    ft_buf_clear(&r->bytes);
    ft_free(r);
}

struct engine_directory *
engine_directory_ref(struct engine_directory *d)
{
    if (d != NULL)
        d->refs++;
    return d;
}

void
engine_directory_unref(struct engine_directory *d)
{
    if (d == NULL || --d->refs > 0)
        return;
    ft_ss_directory_clear(&d->directory);
    engine_roster_unref(d->roster);
    engine_blob_unref(d->blob);
    ft_free(d);
}

/* Takes `bytes` over. */
static enum ft_status
roster_new(const struct ft_engine *e, struct ft_buf *bytes, struct engine_roster **out, struct ft_error *err)
{
    enum ft_status st;
    struct engine_roster *r = ft_calloc(1, sizeof *r);

    *out = NULL;
    if (r == NULL)
        return FT_ERR_NOMEM;
    r->refs = 1;
    r->bytes = *bytes;
    *bytes = (struct ft_buf){ 0 };
    st = ft_ss_roster_open(ft_buf_bytes(&r->bytes), e->config.registrar_pk, e->config.deployment, 0,
                           &r->roster, err);
    if (st != FT_OK) {
        engine_roster_unref(r);
        return st;
    }
    *out = r;
    return FT_OK;
}

static enum ft_status
take_stored_key(void *ctx, const struct ft_epoch_key *stored)
{
    struct ft_engine *e = ctx;
    struct ft_ss_epoch_key key;
    struct ft_error err = { 0 };
    enum ft_status st = ft_ss_epoch_key_decode(stored->message, &key);

    if (st == FT_OK)
        st = ft_ss_directory_put(&e->building, &key, &err);
    if (st == FT_ERR_NOMEM)
        return st;
    if (st != FT_OK) /* that shop will be asked for another one */
        ft_log(FT_LOG_WARN, "round.stored_key_refused", "place=%u status=%s", stored->index,
               ft_status_name(st));
    return FT_OK;
}

/* The keys of the epoch over the present roster, as the store has them. */
static enum ft_status
rebuild(struct ft_engine *e)
{
    enum ft_status st;

    if (e->building_open)
        ft_ss_directory_clear(&e->building);
    e->building_open = false;
    if (e->roster == NULL)
        return FT_OK;
    FT_TRY(ft_ss_directory_open(&e->roster->roster, e->epoch, &e->building));
    e->building_open = true;
    FT_TRY(e->config.store.epoch_keys(e->config.store.ctx, e->epoch, take_stored_key, e));
    e->building_dirty = true;
    e->dirty_since_ms = engine_now(e);
out:
    return st;
}

/* The directory that was published last, from its blob. */
static enum ft_status
published_load(struct ft_engine *e, struct engine_directory **out)
{
    enum ft_status st;
    struct engine_directory *d = ft_calloc(1, sizeof *d);
    struct ft_buf bytes = { 0 }, roster = { 0 }, keys = { 0 };
    uint32_t epoch = 0, count = 0;

    *out = NULL;
    if (d == NULL)
        return FT_ERR_NOMEM;
    d->refs = 1;
    FT_TRY(e->config.store.directory(e->config.store.ctx, d->blob_hash, &bytes));
    FT_TRY(ft_directory_decode(ft_buf_bytes(&bytes), &roster, &epoch, &keys, &count));
    FT_TRY(roster_new(e, &roster, &d->roster, NULL));
    FT_TRY(ft_ss_directory_open(&d->roster->roster, epoch, &d->directory));
    for (uint32_t i = 0; i < count; i++) {
        struct ft_ss_epoch_key key;
        FT_TRY(ft_ss_epoch_key_decode(
            FT_BYTES(keys.data + (size_t)i * FT_SS_EPOCH_KEY_SIZE, FT_SS_EPOCH_KEY_SIZE), &key));
        FT_TRY(ft_ss_directory_put(&d->directory, &key, NULL));
    }
    ft_ss_directory_root(&d->directory, d->root);
    d->blob = engine_blob_new(d->blob_hash, &bytes);
    if (d->blob == NULL)
        st = FT_ERR_NOMEM;
out:
    ft_buf_clear(&bytes);
    ft_buf_clear(&roster);
    ft_buf_clear(&keys);
    if (st != FT_OK)
        engine_directory_unref(d);
    else
        *out = d;
    return st;
}

enum ft_status
engine_load_directory(struct ft_engine *e, struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf bytes = { 0 };
    uint64_t serial = 0;
    struct engine_roster *roster = NULL;
    const struct ft_round_store *store = &e->config.store;

    st = store->roster(store->ctx, &serial, &bytes);
    if (st == FT_ERR_NOTFOUND)
        return FT_OK; /* the registrar has not signed one yet */
    FT_TRY(st);
    if (e->roster != NULL && e->roster->roster.serial == serial)
        goto out;
    FT_TRY(roster_new(e, &bytes, &roster, err));
    if (e->building_open)
        ft_ss_directory_clear(&e->building);
    e->building_open = false;
    engine_roster_unref(e->roster);
    e->roster = roster;
    if (e->epoch == 0) {
        e->epoch = 1;
        e->epoch_started_ms = engine_wall(e);
        FT_TRY(store->epoch_set(store->ctx, e->epoch, e->epoch_started_ms));
    }
    FT_TRY(rebuild(e));
    if (e->directory == NULL) {
        st = published_load(e, &e->directory);
        if (st == FT_ERR_VERIFY || st == FT_ERR_FORMAT || st == FT_ERR_NOTFOUND || st == FT_ERR_DUPLICATE)
            st = FT_OK; /* it will be published anew */
    }
    if (e->directory != NULL && e->directory->roster->roster.serial == serial &&
        e->directory->directory.epoch == e->epoch) {
        uint8_t root[32];
        ft_ss_directory_root(&e->building, root);
        e->building_dirty = memcmp(root, e->directory->root, 32) != 0;
    }
    ft_log(FT_LOG_INFO, "round.roster", "serial=%llu places=%u epoch=%u", (unsigned long long)serial,
           e->roster->roster.count, e->epoch);
out:
    ft_buf_clear(&bytes);
    return st;
}

bool
engine_key_published(const struct ft_engine *e, const struct engine_shop *shop)
{
    return e->directory != NULL && e->building_open && e->directory->directory.epoch == e->epoch &&
           ft_ss_directory_has(&e->directory->directory, shop->place) &&
           ft_ss_directory_has(&e->building, shop->place) &&
           memcmp(e->directory->directory.xpk[shop->place], e->building.xpk[shop->place], 32) == 0;
}

/* A key for the present epoch from its owner. Kept before it counts. */
enum ft_status
engine_epoch_key(struct ft_engine *e, struct engine_shop *shop, const struct ft_ss_epoch_key *key)
{
    enum ft_status st;
    uint8_t bytes[FT_SS_EPOCH_KEY_SIZE];
    struct ft_error err = { 0 };
    bool change;

    if (!e->building_open || !shop->listed || key->epoch != e->epoch)
        return FT_OK; /* late or early: the shop will be asked for the right one */
    if (key->id != shop->place)
        return FT_ERR_VERIFY;
    change = ft_ss_directory_has(&e->building, shop->place);
    if (change && memcmp(e->building.xpk[shop->place], key->xpk, 32) == 0)
        return FT_OK;
    if (change && engine_now(e) < shop->key_not_before_ms)
        return FT_ERR_LATER;
    st = ft_ss_directory_put(&e->building, key, &err);
    if (st != FT_OK) {
        ft_log(FT_LOG_WARN, "round.epoch_key_refused", "shop=%lld status=%s", (long long)shop->row.id,
               ft_status_name(st));
        return st;
    }
    if (change) { /* it lost the one it had; all others have to fetch the new one */
        if (engine_now(e) >= shop->key_not_before_ms + ENGINE_KEY_CALM_MS)
            shop->key_changes = 0;
        shop->key_not_before_ms =
            engine_now(e) +
            ((uint64_t)ENGINE_KEY_AGAIN_MS
             << (shop->key_changes < ENGINE_KEY_DOUBLINGS ? shop->key_changes : ENGINE_KEY_DOUBLINGS));
        shop->key_changes++;
    }
    if (!e->building_dirty)
        e->dirty_since_ms = engine_now(e);
    e->building_dirty = true;
    ft_ss_epoch_key_encode(key, bytes);
    return e->config.store.epoch_key_put(e->config.store.ctx, e->epoch, shop->place,
                                         FT_BYTES(bytes, sizeof bytes));
}

/* Everyone who is here has sent a key: nothing to wait for. */
static bool
all_keys_here(struct ft_engine *e)
{
    for (size_t i = 0; i < e->shop_count; i++) {
        const struct engine_shop *shop = &e->shops[i];
        if (shop->listed && (!e->opened_any || engine_shop_present(e, shop)) &&
            !ft_ss_directory_has(&e->building, shop->place))
            return false;
    }
    return true;
}

static uint32_t
key_count(const struct ft_ss_directory *d)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->roster->count; i++)
        count += ft_ss_directory_has(d, i);
    return count;
}

static enum ft_status
publish(struct ft_engine *e)
{
    enum ft_status st;
    const uint32_t places = e->roster->roster.count;
    struct ft_buf bytes = { 0 };
    struct engine_directory *d = ft_calloc(1, sizeof *d);

    if (d == NULL)
        return FT_ERR_NOMEM;
    d->refs = 1;
    d->roster = e->roster;
    d->roster->refs++;
    FT_TRY(ft_ss_directory_open(&d->roster->roster, e->epoch, &d->directory));
    memcpy(d->directory.xpk, e->building.xpk, (size_t)places * sizeof *d->directory.xpk);
    memcpy(d->directory.signature, e->building.signature, (size_t)places * sizeof *d->directory.signature);
    memcpy(d->directory.present, e->building.present, ((size_t)places + 7) / 8);
    ft_ss_directory_root(&d->directory, d->root);
    FT_TRY(ft_directory_encode(ft_buf_bytes(&d->roster->bytes), &d->directory, &bytes));
    ft_blob_hash(ft_buf_bytes(&bytes), d->blob_hash);
    FT_TRY(e->config.store.directory_put(e->config.store.ctx, d->blob_hash, ft_buf_bytes(&bytes)));
    d->blob = engine_blob_new(d->blob_hash, &bytes);
    if (d->blob == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    engine_directory_unref(e->directory);
    e->directory = d;
    d = NULL;
    e->building_dirty = false;
    e->version++;
    ft_log(FT_LOG_INFO, "round.directory", "epoch=%u keys=%u", e->epoch, key_count(&e->directory->directory));
out:
    ft_buf_clear(&bytes);
    engine_directory_unref(d);
    return st;
}

/* A new epoch, between sessions: old keys go, every shop is asked for a new one. */
static enum ft_status
turn_epoch(struct ft_engine *e)
{
    enum ft_status st;

    e->epoch++;
    e->epoch_started_ms = engine_wall(e);
    FT_TRY(e->config.store.epoch_set(e->config.store.ctx, e->epoch, e->epoch_started_ms));
    FT_TRY(rebuild(e));
    for (size_t i = 0; i < e->shop_count; i++)
        e->shops[i].key_changes = 0;
    e->version++;
out:
    return st;
}

enum ft_status
engine_publish_if_due(struct ft_engine *e)
{
    enum ft_status st;

    if (e->roster == NULL || e->session != NULL)
        return FT_OK;
    if (engine_wall(e) > e->epoch_started_ms + e->config.epoch_ms) {
        st = turn_epoch(e);
        if (st != FT_OK)
            return st;
    }
    if (!e->building_dirty || key_count(&e->building) == 0)
        return FT_OK;
    if (!all_keys_here(e) && engine_now(e) < e->dirty_since_ms + ENGINE_SETTLE_MS)
        return FT_OK;
    return publish(e);
}

uint64_t
engine_publish_due_ms(const struct ft_engine *e)
{
    uint64_t due = UINT64_MAX;
    const uint64_t wall = engine_wall(e);

    if (e->roster == NULL || e->session != NULL)
        return due;
    if (e->building_dirty && key_count(&e->building) > 0)
        due = e->dirty_since_ms + ENGINE_SETTLE_MS;
    if (wall <= e->epoch_started_ms + e->config.epoch_ms) {
        const uint64_t turn = engine_now(e) + (e->epoch_started_ms + e->config.epoch_ms - wall) + 1;
        due = turn < due ? turn : due;
    } else {
        due = engine_now(e);
    }
    return due;
}
