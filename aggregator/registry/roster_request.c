#include "aggregator/registry/roster_request.h"
#include "aggregator/registry/registrar.h"
#include "common/base/alloc.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

static enum ft_ss_member_status
status_of(enum ft_shop_state state)
{
    return state == FT_SHOP_ACTIVE      ? FT_SS_ACTIVE
           : state == FT_SHOP_SUSPENDED ? FT_SS_SUSPENDED
                                        : FT_SS_REVOKED;
}

static json_t *
member_json(const struct ft_shop *shop, int64_t place)
{
    char hex[65];
    return json_pack("{s:I, s:s, s:s, s:i}", "place", (json_int_t)place, "shop", shop->name, "identity_key",
                     ft_hex(hex, shop->identity_key, 32), "status", (int)status_of(shop->state));
}

/* Places that exist come first, in their order; then the shops that have none yet, in the order of the
 * register. */
static json_t *
members_json(const struct ft_shop *shops, size_t count)
{
    json_t *list = json_array();
    int64_t place = 0;

    for (bool found = true; found;) {
        found = false;
        for (size_t i = 0; i < count && !found; i++) {
            if (shops[i].roster_index != place)
                continue;
            json_array_append_new(list, member_json(&shops[i], place));
            found = true;
        }
        place += found;
    }
    for (size_t i = 0; i < count; i++) {
        if (shops[i].roster_index >= 0 || shops[i].state == FT_SHOP_INVITED ||
            shops[i].fingerprint[0] == '\0' || shops[i].state == FT_SHOP_REVOKED)
            continue;
        json_array_append_new(list, member_json(&shops[i], place++));
    }
    return list;
}

static char *
hex_of(const struct ft_buf *b)
{
    char *hex = ft_calloc(2 * b->size + 1, 1);
    return hex != NULL ? ft_hex(hex, b->data, b->size) : NULL;
}

enum ft_status
ft_roster_request(struct ft_store *store, struct ft_buf *json, struct ft_error *err)
{
    enum ft_status st;
    struct ft_shop *shops = NULL;
    size_t count = 0;
    struct ft_buf previous = { 0 };
    uint64_t serial = 0;
    uint8_t deployment[16];
    char deployment_hex[33];
    char *previous_hex = NULL, *text = NULL;
    json_t *file = NULL, *members = NULL;

    *json = (struct ft_buf){ 0 };
    ft_store_deployment(store, deployment);
    FT_TRY(ft_store_shops(store, &shops, &count));
    st = ft_store_roster(store, &serial, &previous);
    if (st != FT_OK && st != FT_ERR_NOTFOUND)
        goto out;
    st = FT_ERR_NOMEM;
    members = members_json(shops, count);
    if (members == NULL)
        goto out;
    if (json_array_size(members) == 0) {
        st = ft_fail(err, FT_ERR_NOTFOUND, "no shop has enrolled yet: there is nothing to sign");
        goto out;
    }
    previous_hex = hex_of(&previous);
    file = json_pack("{s:i, s:s, s:s, s:O}", "version", 1, "deployment",
                     ft_hex(deployment_hex, deployment, 16), "previous", previous_hex, "members", members);
    text = file != NULL ? json_dumps(file, JSON_INDENT(1)) : NULL;
    if (text != NULL)
        st = ft_buf_printf(json, "%s\n", text);
out:
    free(text);
    ft_free(previous_hex);
    json_decref(file);
    json_decref(members);
    ft_buf_clear(&previous);
    ft_free(shops);
    return st;
}

/* ---- reading: the registrar's side, which trusts none of it ---- */

static enum ft_status
member_read(json_t *item, size_t place, struct ft_ss_member *out)
{
    json_int_t at = -1;
    int status = 0;
    const char *shop = NULL, *key = NULL;

    if (json_unpack_ex(item, NULL, JSON_STRICT, "{s:I, s:s, s:s, s:i}", "place", &at, "shop", &shop,
                       "identity_key", &key, "status", &status) != 0)
        return FT_ERR_FORMAT;
    if (at < 0 || (size_t)at != place || status < FT_SS_ACTIVE || status > FT_SS_REVOKED)
        return FT_ERR_FORMAT;
    out->status = (uint8_t)status;
    out->not_after_ms = FT_SS_NEVER;
    return ft_unhex(out->ed25519_pk, 32, key);
}

void
ft_roster_wish_clear(struct ft_roster_wish *w)
{
    ft_buf_clear(&w->previous);
    ft_free(w->members);
    memset(w, 0, sizeof *w);
}

enum ft_status
ft_roster_wish_read(struct ft_bytes json, struct ft_roster_wish *out, struct ft_error *err)
{
    enum ft_status st = FT_ERR_FORMAT;
    json_error_t where = { 0 };
    json_t *members = NULL;
    const char *deployment = NULL, *previous = NULL;
    int version = 0;
    json_t *file = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &where);

    memset(out, 0, sizeof *out);
    if (file == NULL ||
        json_unpack_ex(file, &where, JSON_STRICT, "{s:i, s:s, s:s, s:o}", "version", &version, "deployment",
                       &deployment, "previous", &previous, "members", &members) != 0) {
        st = ft_fail(err, FT_ERR_FORMAT, "roster request: line %d: %.200s", where.line, where.text);
        goto out;
    }
    out->count = (uint32_t)json_array_size(members);
    if (version != 1 || out->count == 0 || out->count > FT_SS_ROSTER_MAX ||
        ft_unhex(out->deployment, sizeof out->deployment, deployment) != FT_OK) {
        st = ft_fail(err, FT_ERR_FORMAT, "roster request: version, deployment or members not as expected");
        goto out;
    }
    out->members = ft_calloc(out->count, sizeof *out->members);
    if (out->members == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    for (uint32_t i = 0; i < out->count; i++) {
        st = member_read(json_array_get(members, i), i, &out->members[i]);
        if (st != FT_OK) {
            ft_fail(err, st, "roster request: member %u is not as expected", i);
            goto out;
        }
    }
    if (previous[0] != '\0') {
        const size_t size = strlen(previous) / 2;
        FT_TRY(ft_buf_reserve(&out->previous, size));
        out->previous.size = size;
        st = ft_unhex(out->previous.data, size, previous);
        if (st != FT_OK)
            ft_fail(err, st, "roster request: previous roster is not hex");
    }
out:
    json_decref(file);
    if (st != FT_OK)
        ft_roster_wish_clear(out);
    return st;
}
