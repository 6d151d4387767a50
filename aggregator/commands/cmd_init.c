/* fedtill-aggregator init: a new home, with every key and certificate a deployment needs. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "aggregator/registry/registrar.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/keyfile.h"
#include "common/rpc/pki.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DAY_S 86400

const struct ft_cli_option ft_cmd_init_options[] = {
    { .name = "home", .kind = FT_CLI_TEXT, .argument = "DIR", .required = true, .help = "folder to make" },
    { .name = "listen", .kind = FT_CLI_TEXT, .argument = "HOST:PORT", .help = "address to serve on",
      .fallback = "0.0.0.0:7443" },
    { .name = "public", .kind = FT_CLI_TEXT, .argument = "HOST:PORT",
      .help = "address shops reach it by (default: that of --listen)" },
    { .name = "name", .kind = FT_CLI_TEXT, .argument = "NAME", .help = "what the certificate authority is called",
      .fallback = "fedtill" },
    FT_CLI_OPTIONS_END,
};

/* The files of one home, written one after the other. */
struct making {
    const char *home;
    struct ft_error *err;
};

static enum ft_status
put_file(const struct making *m, const char *name, struct ft_bytes bytes, mode_t mode)
{
    char *path = ft_asprintf("%s/%s", m->home, name);
    enum ft_status st = path != NULL ? ft_file_write_new(path, bytes, mode, m->err) : FT_ERR_NOMEM;
    ft_free(path);
    return st;
}

static enum ft_status
put_public_key(const struct making *m, const char *name, const uint8_t key[32])
{
    char text[66];
    ft_hex(text, key, 32);
    text[64] = '\n';
    return put_file(m, name, FT_BYTES(text, 65), 0644);
}

static enum ft_status
put_signing_keys(const struct making *m)
{
    enum ft_status st;
    uint8_t pk[32];
    char *signing = ft_asprintf("%s/signing.key", m->home), *task = ft_asprintf("%s/task-signing.key", m->home);
    char *registrar = ft_asprintf("%s/registrar", m->home);

    if (signing == NULL || task == NULL || registrar == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(ft_keyfile_make(signing, pk, m->err));
    FT_TRY(ft_keyfile_make(task, pk, m->err));
    FT_TRY(put_public_key(m, "task-keys.pub", pk));
    FT_TRY(ft_registrar_init(registrar, pk, m->err));
    FT_TRY(put_public_key(m, "registrar.pub", pk));
out:
    ft_free(signing);
    ft_free(task);
    ft_free(registrar);
    return st;
}

/* The host of "host:port" or "[v6]:port". */
static void
host_of(const char *address, char *host, size_t size)
{
    const char *colon = strrchr(address, ':');
    size_t length = colon != NULL ? (size_t)(colon - address) : strlen(address);
    if (length >= 2 && address[0] == '[' && address[length - 1] == ']') {
        address++;
        length -= 2;
    }
    snprintf(host, size, "%.*s", (int)length, address);
}

static enum ft_status
put_certificates(const struct making *m, const char *name, const char *listen, const char *public_address,
                 struct ft_fingerprint *ca_fingerprint)
{
    enum ft_status st;
    struct ft_buf ca_key = { 0 }, ca_cert = { 0 }, key = { 0 }, cert = { 0 };
    const int64_t now = (int64_t)time(NULL);
    const struct ft_pki_validity ca_valid = { now - DAY_S, now + 3650LL * DAY_S };
    const struct ft_pki_validity server_valid = { now - DAY_S, now + 820LL * DAY_S };
    char public_host[256], listen_host[256];
    const char *names[4] = { public_host, "localhost", "127.0.0.1", listen_host };
    size_t count = 3;

    host_of(public_address, public_host, sizeof public_host);
    host_of(listen, listen_host, sizeof listen_host);
    if (strcmp(listen_host, "0.0.0.0") != 0 && strcmp(listen_host, "::") != 0)
        count = 4;
    FT_TRY(ft_pki_make_ca(name, ca_valid, &ca_key, &ca_cert, m->err));
    const struct ft_pki_ca ca = { ft_buf_bytes(&ca_key), ft_buf_bytes(&ca_cert) };
    FT_TRY(ft_pki_make_server(&ca, names, count, server_valid, &key, &cert, m->err));
    FT_TRY(ft_pki_fingerprint(ca.cert_pem, ca_fingerprint));
    FT_TRY(put_file(m, "ca.key", ft_buf_bytes(&ca_key), 0600));
    FT_TRY(put_file(m, "ca.pem", ft_buf_bytes(&ca_cert), 0644));
    FT_TRY(put_file(m, "server.key", ft_buf_bytes(&key), 0600));
    FT_TRY(put_file(m, "server.pem", ft_buf_bytes(&cert), 0644));
out:
    ft_buf_clear(&ca_key);
    ft_buf_clear(&ca_cert);
    ft_buf_clear(&key);
    ft_buf_clear(&cert);
    return st;
}

/* aggregator.yaml comes last: a home without it is one whose making was cut short, and is told so. */
static enum ft_status
put_config_and_data(const struct making *m, const char *listen, const char *public_address, uint8_t deployment[16])
{
    enum ft_status st;
    char hex[34];
    struct ft_aggregator_config parsed = { 0 };
    struct ft_findings findings = { 0 };
    char *text = ft_aggregator_config_text(listen, public_address);
    char *database = ft_asprintf("%s/fedtill.db", m->home);

    if (text == NULL || database == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    st = ft_aggregator_config_parse(FT_BYTES(text, strlen(text)), "aggregator.yaml", m->home, &parsed, &findings);
    if (st != FT_OK) { /* an address that the strict reader would not take */
        st = ft_findings_status(&findings, m->err);
        goto out;
    }
    randombytes_buf(deployment, 16);
    ft_hex(hex, deployment, 16);
    hex[32] = '\n';
    FT_TRY(put_file(m, "deployment", FT_BYTES(hex, 33), 0644));
    FT_TRY(ft_store_create(database, deployment, m->err));
    FT_TRY(put_file(m, "aggregator.yaml", FT_BYTES(text, strlen(text)), 0644));
out:
    ft_aggregator_config_clear(&parsed);
    ft_free(text);
    ft_free(database);
    return st;
}

int
ft_cmd_init(struct ft_cli *cli)
{
    enum ft_status st;
    struct ft_error err = { 0 };
    const char *listen = ft_cli_text(cli, "listen");
    const char *public_address = ft_cli_text(cli, "public") != NULL ? ft_cli_text(cli, "public") : listen;
    const struct making m = { ft_cli_text(cli, "home"), &err };
    struct ft_fingerprint ca = { { 0 } };
    uint8_t deployment[16];
    char ca_hex[65], deployment_hex[33];
    char *config = ft_asprintf("%s/aggregator.yaml", m.home);

    if (config == NULL)
        return ft_cli_fail(cli, FT_ERR_NOMEM, NULL);
    if (access(config, F_OK) == 0) {
        st = ft_fail(&err, FT_ERR_CONFIG, "%s: exists; init makes a new home and never overwrites one", config);
        goto out;
    }
    FT_TRY(ft_dir_make(m.home, 0700, &err));
    FT_TRY(put_certificates(&m, ft_cli_text(cli, "name"), listen, public_address, &ca));
    FT_TRY(put_signing_keys(&m));
    FT_TRY(put_config_and_data(&m, listen, public_address, deployment));
out:
    ft_free(config);
    if (st == FT_ERR_DUPLICATE)
        st = err.status = FT_ERR_CONFIG;
    if (st != FT_OK)
        return ft_cli_fail(cli, st, &err);
    ft_hex(ca_hex, ca.bytes, sizeof ca.bytes);
    ft_hex(deployment_hex, deployment, sizeof deployment);
    if (ft_cli_json(cli))
        return ft_cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s}", "home", m.home, "listen", listen, "public",
                                           public_address, "ca_fingerprint", ca_hex, "deployment", deployment_hex));
    printf("home            %s\nlisten          %s\npublic          %s\nCA fingerprint  %s\n", m.home, listen,
           public_address, ca_hex);
    printf("\nThe registrar's key lies in %s/registrar. It says who is a shop: move the folder to a machine that the\n"
           "aggregator's operators cannot reach, and run `registrar sign` there.\n",
           m.home);
    return FT_EXIT_OK;
}
