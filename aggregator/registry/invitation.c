#include "aggregator/registry/invitation.h"
#include "common/base/alloc.h"
#include "common/secure_sum/hash.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

bool
ft_shop_name_valid(const char *name)
{
    const size_t size = strlen(name);

    if (size == 0 || size > FT_SHOP_NAME_MAX || name[0] == '-')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

void
ft_token_hash(const uint8_t token[FT_TOKEN_SIZE], uint8_t hash[32])
{
    FT_SS_H(hash, "token", FT_BYTES(token, FT_TOKEN_SIZE));
}

static json_t *
hex_json(const uint8_t *data, size_t size)
{
    char hex[129];
    return json_string(ft_hex(hex, data, size));
}

static enum ft_status
write_json(const struct ft_trust *trust, const uint8_t deployment[16], const char *shop,
           const uint8_t token[32], uint64_t expires_ms, struct ft_buf *out)
{
    enum ft_status st = FT_ERR_NOMEM;
    json_t *keys = json_array();
    json_t *file = NULL;
    char *text = NULL;
    struct ft_buf b = { 0 };

    for (size_t i = 0; keys != NULL && i < trust->task_key_count; i++)
        json_array_append_new(keys, hex_json(trust->task_keys[i], 32));
    file = json_pack("{s:i, s:s, s:o, s:s%, s:o, s:o, s:o, s:s, s:I, s:o}", "version", FT_INVITATION_VERSION,
                     "aggregator", trust->aggregator, "deployment", hex_json(deployment, 16), "ca_pem",
                     (const char *)trust->ca_pem.data, trust->ca_pem.size, "registrar_key",
                     hex_json(trust->registrar_key, 32), "aggregator_key",
                     hex_json(trust->aggregator_key, 32), "task_keys", keys, "shop", shop, "expires_ms",
                     (json_int_t)expires_ms, "token", hex_json(token, FT_TOKEN_SIZE));
    if (file == NULL)
        goto out;
    text = json_dumps(file, JSON_INDENT(2));
    if (text == NULL)
        goto out;
    FT_TRY(ft_buf_printf(&b, "%s\n", text));
    *out = b;
out:
    if (st != FT_OK)
        ft_buf_clear(&b);
    if (text != NULL) {
        sodium_memzero(text, strlen(text));
        free(text);
    }
    json_decref(file);
    return st;
}

enum ft_status
ft_invite(struct ft_store *store, const struct ft_env *env, const struct ft_trust *trust, const char *shop,
          uint32_t lifetime_days, struct ft_buf *json, int64_t *shop_id, struct ft_error *err)
{
    enum ft_status st;
    uint8_t token[FT_TOKEN_SIZE], hash[32], deployment[16];
    const uint64_t now = env->wall_ms(env->ctx);
    const uint64_t expires = now + (uint64_t)lifetime_days * 86400000u;

    *json = (struct ft_buf){ 0 };
    if (!ft_shop_name_valid(shop))
        return ft_fail(err, FT_ERR_ARGUMENT, "'%.80s' is not a shop name: 1 to %d of a-z, 0-9 and '-'", shop,
                       FT_SHOP_NAME_MAX);
    if (lifetime_days == 0 || lifetime_days > FT_INVITATION_DAYS_MAX)
        return ft_fail(err, FT_ERR_ARGUMENT, "an invitation lasts 1 to %d days, not %u",
                       FT_INVITATION_DAYS_MAX, lifetime_days);
    env->random(env->ctx, token, sizeof token);
    ft_token_hash(token, hash);
    ft_store_deployment(store, deployment);
    FT_TRY(write_json(trust, deployment, shop, token, expires, json));
    st = ft_store_shop_invite(store, shop, hash, expires, now, shop_id);
    if (st == FT_ERR_DUPLICATE)
        ft_fail(err, st, "'%s' has enrolled already; revoke it and invite it under a new name to start over",
                shop);
    else if (st == FT_ERR_REFUSED)
        ft_fail(err, st, "'%s' is revoked for good; invite the shop under a new name", shop);
    else if (st != FT_OK)
        ft_fail(err, st, "cannot store the invitation: %s", ft_status_str(st));
out:
    sodium_memzero(token, sizeof token);
    if (st != FT_OK)
        ft_buf_clear(json);
    return st;
}
