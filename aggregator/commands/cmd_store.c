/* fedtill-aggregator store ...: the register of shops. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void
when_text(uint64_t ms, char out[32])
{
    const time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (ms == 0)
        snprintf(out, 32, "-");
    else
        strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&s, &tm));
}

static json_t *
shop_json(const struct ft_shop *shop)
{
    char invited[32], enrolled[32], key[65];
    when_text(shop->invited_ms, invited);
    when_text(shop->enrolled_ms, enrolled);
    ft_hex(key, shop->identity_key, 32);
    return json_pack("{s:I, s:s, s:s, s:I, s:s, s:s, s:s, s:s}", "id", (json_int_t)shop->id, "name", shop->name,
                     "state", ft_shop_state_name(shop->state), "roster_index", (json_int_t)shop->roster_index,
                     "fingerprint", shop->fingerprint, "identity_key", shop->enrolled_ms ? key : "", "invited",
                     invited, "enrolled", enrolled);
}

int
ft_cmd_store_invite(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_home_trust trust = { 0 };
    struct ft_buf json = { 0 };
    struct ft_error err = { 0 };
    const char *name = ft_cli_operand(cli, 0);
    const uint32_t days = (uint32_t)ft_cli_uint(cli, "days", 7);
    char *out_path = NULL;
    int64_t id = 0;
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    out_path = ft_cli_text(cli, "out") ? ft_strdup(ft_cli_text(cli, "out")) : ft_asprintf("%s.invitation.json", name);
    if (out_path == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(ft_home_trust(&home, &trust, &err));
    FT_TRY(ft_invite(home.store, ft_env_system(), &trust.trust, name, days, &json, &id, &err));
    FT_TRY(ft_file_write_new(out_path, ft_buf_bytes(&json), 0600, &err));
    code = FT_EXIT_OK;
    if (ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:s, s:I, s:s, s:i}", "shop", name, "id", (json_int_t)id, "file",
                                           out_path, "days", (int)days));
    else
        printf("%s: invited for %u days. Carry %s to the shop; its token works once.\n", name, days, out_path);
out:
    ft_buf_clear(&json);
    ft_home_trust_clear(&trust);
    ft_home_close(&home);
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    ft_free(out_path);
    return code;
}

int
ft_cmd_store_list(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_shop *shops = NULL;
    size_t count = 0;
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    st = ft_store_shops(home.store, &shops, &count);
    if (st != FT_OK) {
        code = ft_cli_fail(cli, st, NULL);
    } else if (ft_cli_json(cli)) {
        json_t *list = json_array();
        for (size_t i = 0; i < count; i++)
            json_array_append_new(list, shop_json(&shops[i]));
        code = ft_cli_print_json(json_pack("{s:o}", "shops", list));
    } else {
        printf("%-6s %-32s %-10s %-7s %s\n", "id", "name", "state", "roster", "enrolled");
        for (size_t i = 0; i < count; i++) {
            char enrolled[32], place[24] = "-";
            when_text(shops[i].enrolled_ms, enrolled);
            if (shops[i].roster_index >= 0)
                snprintf(place, sizeof place, "%lld", (long long)shops[i].roster_index);
            printf("%-6lld %-32s %-10s %-7s %s\n", (long long)shops[i].id, shops[i].name,
                   ft_shop_state_name(shops[i].state), place, enrolled);
        }
    }
    ft_free(shops);
    ft_home_close(&home);
    return code;
}

int
ft_cmd_store_show(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_shop shop;
    struct ft_error err = { 0 };
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    st = ft_store_shop_by_name(home.store, ft_cli_operand(cli, 0), &shop);
    if (st == FT_ERR_NOTFOUND)
        ft_fail(&err, st, "no shop '%s'; `store list` shows them", ft_cli_operand(cli, 0));
    if (st != FT_OK) {
        code = ft_cli_fail(cli, st, &err);
    } else {
        json_t *object = shop_json(&shop);
        if (ft_cli_json(cli)) {
            code = ft_cli_print_json(object);
        } else {
            const char *key;
            json_t *value;
            json_object_foreach(object, key, value) {
                if (json_is_integer(value))
                    printf("%-14s %lld\n", key, (long long)json_integer_value(value));
                else
                    printf("%-14s %s\n", key, json_string_value(value));
            }
            json_decref(object);
        }
    }
    ft_home_close(&home);
    return code;
}

static int
set_state(struct ft_cli *cli, enum ft_shop_state state, bool ask)
{
    struct ft_home home;
    struct ft_shop shop;
    struct ft_error err = { 0 };
    const char *name = ft_cli_operand(cli, 0);
    char question[160];
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    st = ft_store_shop_by_name(home.store, name, &shop);
    if (st == FT_ERR_NOTFOUND)
        ft_fail(&err, st, "no shop '%s'; `store list` shows them", name);
    if (st == FT_OK && ask && ft_cli_flag(cli, "dry-run")) {
        printf("%s: %s would become %s\n", name, ft_shop_state_name(shop.state), ft_shop_state_name(state));
        ft_home_close(&home);
        return FT_EXIT_OK;
    }
    if (st == FT_OK && ask) {
        snprintf(question, sizeof question, "Revoke %s for good? It cannot come back under this name.", name);
        st = ft_cli_confirm(cli, question, &err);
    }
    if (st == FT_OK)
        st = ft_store_shop_set_state(home.store, shop.id, state, ft_env_system()->wall_ms(NULL));
    if (st == FT_ERR_REFUSED)
        ft_fail(&err, st, "%s is %s and cannot become %s", name, ft_shop_state_name(shop.state),
                ft_shop_state_name(state));
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    else if (ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:s, s:s}", "shop", name, "state", ft_shop_state_name(state)));
    else
        printf("%s: %s\n", name, ft_shop_state_name(state));
    ft_home_close(&home);
    return code;
}

int
ft_cmd_store_suspend(struct ft_cli *cli)
{
    return set_state(cli, FT_SHOP_SUSPENDED, false);
}

int
ft_cmd_store_resume(struct ft_cli *cli)
{
    return set_state(cli, FT_SHOP_ACTIVE, false);
}

int
ft_cmd_store_revoke(struct ft_cli *cli)
{
    return set_state(cli, FT_SHOP_REVOKED, true);
}
