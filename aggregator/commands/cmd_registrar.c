/* fedtill-aggregator registrar ...: the roster's way to the registrar and back. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "aggregator/registry/registrar.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* On the registrar's own machine: a folder with a new key. */
int
ft_cmd_registrar_init(struct ft_cli *cli)
{
    struct ft_error err = { 0 };
    uint8_t pk[32];
    char hex[65];
    enum ft_status st = ft_registrar_init(ft_cli_text(cli, "folder"), pk, &err);

    if (st == FT_ERR_DUPLICATE)
        st = err.status = FT_ERR_CONFIG;
    if (st != FT_OK)
        return ft_cli_fail(cli, st, &err);
    ft_hex(hex, pk, 32);
    if (ft_cli_json(cli))
        return ft_cli_print_json(json_pack("{s:s, s:s}", "folder", ft_cli_text(cli, "folder"), "public_key", hex));
    printf("registrar key  %s\nPut it into registrar.pub of the aggregator's home before the first invitation.\n", hex);
    return FT_EXIT_OK;
}

int
ft_cmd_registrar_request(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_buf json = { 0 };
    struct ft_error err = { 0 };
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    st = ft_roster_request(home.store, &json, &err);
    if (st == FT_OK)
        st = ft_file_write(ft_cli_text(cli, "out"), ft_buf_bytes(&json), 0644, &err);
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    else if (ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:s}", "file", ft_cli_text(cli, "out")));
    else
        printf("%s: carry it to the registrar and run `registrar sign`\n", ft_cli_text(cli, "out"));
    ft_buf_clear(&json);
    ft_home_close(&home);
    return code;
}

int
ft_cmd_registrar_sign(struct ft_cli *cli)
{
    struct ft_buf request = { 0 }, roster = { 0 };
    struct ft_roster_change change = { 0 };
    struct ft_error err = { 0 };
    const char *out_path = ft_cli_text(cli, "out");
    enum ft_status st;

    FT_TRY(ft_file_read(ft_cli_text(cli, "request"), FT_ROSTER_REQUEST_MAX, &request, &err));
    FT_TRY(ft_registrar_sign(ft_cli_text(cli, "folder"), ft_buf_bytes(&request),
                             (uint32_t)ft_cli_uint(cli, "corrupted", 0), &roster, &change, &err));
    FT_TRY(ft_file_write(out_path, ft_buf_bytes(&roster), 0644, &err));
out:
    ft_buf_clear(&request);
    ft_buf_clear(&roster);
    if (st != FT_OK)
        return ft_cli_fail(cli, st, &err);
    if (ft_cli_json(cli))
        return ft_cli_print_json(json_pack("{s:s, s:I, s:i, s:i, s:i, s:i, s:i}", "file", out_path, "serial",
                                           (json_int_t)change.serial, "members", (int)change.members, "added",
                                           (int)change.added, "suspended", (int)change.suspended, "revoked",
                                           (int)change.revoked, "corrupted", (int)change.corrupted));
    printf("roster %llu: %u shops (%u new, %u suspended, %u revoked), made for at most %u that collude\n"
           "%s: carry it back and run `registrar import`\n",
           (unsigned long long)change.serial, change.members, change.added, change.suspended, change.revoked,
           change.corrupted, out_path);
    return FT_EXIT_OK;
}

int
ft_cmd_registrar_import(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_home_trust trust = { 0 };
    struct ft_buf roster = { 0 };
    struct ft_error err = { 0 };
    uint64_t serial = 0;
    uint32_t members = 0;
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    FT_TRY(ft_home_trust(&home, &trust, &err));
    FT_TRY(ft_file_read(ft_cli_operand(cli, 0), FT_ROSTER_FILE_MAX, &roster, &err));
    FT_TRY(ft_roster_import(home.store, trust.trust.registrar_key, ft_buf_bytes(&roster),
                            ft_env_system()->wall_ms(NULL), &serial, &members, &err));
    if (ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:I, s:i}", "serial", (json_int_t)serial, "members", (int)members));
    else
        printf("roster %llu with %u shops is in force\n", (unsigned long long)serial, members);
out:
    ft_buf_clear(&roster);
    ft_home_trust_clear(&trust);
    ft_home_close(&home);
    return st == FT_OK ? code : ft_cli_fail(cli, st, &err);
}
