/*
 * `enrol`: the shop's keys are made here, a certificate is asked for with the invitation's one-time token,
 * and what the invitation names is pinned. trust.json is written last: with it the shop is enrolled, without
 * it nothing counts.
 *
 * The keys and the request are on the disk before the request goes out, so that an enrolment whose answer is
 * lost can be asked for again with the same bytes; a refusal takes them away again.
 */
#include "client/commands/commands.h"
#include "client/commands/node.h"
#include "client/link/federation.h"
#include "common/base/alloc.h"
#include "common/base/env.h"
#include "common/base/file.h"
#include "common/rpc/pki.h"
#include "common/rpc/rpc_client.h"
#include "common/secure_sum/hash.h"
#include "common/task/refusal_codes.h"

#include <ctype.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REQUEST     "enrol.csr"
#define DEADLINE_MS 60000u
#define ENROL_CODES 100u /* EnrolReply.refusal counts from here in the list of refusal codes */

const struct ft_cli_option ft_cmd_enrol_options[] = {
    FT_CLI_HOME,
    { .name = "token-file",
      .kind = FT_CLI_TEXT,
      .argument = "FILE",
      .required = true,
      .help = "the invitation the central team sent" },
    { .name = "aggregator",
      .kind = FT_CLI_TEXT,
      .argument = "HOST:PORT",
      .help = "where to reach the aggregator (default: client.yaml)" },
    { .name = "fingerprint",
      .kind = FT_CLI_TEXT,
      .argument = "HEX",
      .help = "the CA's fingerprint as the central team told it; another one ends with 76" },
    FT_CLI_YES,
    FT_CLI_OPTIONS_END,
};

struct enrolment {
    struct ft_cli *cli;
    struct ft_node *node;
    struct ft_token_file token;
    struct ft_fingerprint ca;
    const char *target;
    uint8_t identity_sk[64], identity_pk[32], node_key[32];
    struct ft_buf tls_key, csr;
    struct ft_fed_enrolled reply;
    struct ft_buf reply_bytes;
};

/* Lower-case digits only: people copy fingerprints with colons, blanks and capitals. */
static void
plain_hex(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (; *text != '\0' && n + 1 < size; text++)
        if (isxdigit((unsigned char)*text))
            out[n++] = (char)tolower((unsigned char)*text);
        else if (*text != ':' && *text != ' ')
            out[n++] = '?';
    out[n] = '\0';
}

/* The person compares, or the option does. */
static enum ft_status
compare_fingerprint(struct enrolment *e, struct ft_error *err)
{
    char have[65], want[80];
    const char *given = ft_cli_text(e->cli, "fingerprint");
    ft_hex(have, e->ca.bytes, sizeof e->ca.bytes);
    fprintf(stderr, "the aggregator's CA has the fingerprint (SHA-256)\n  ");
    for (size_t i = 0; i < 64; i += 2)
        fprintf(stderr, "%.2s%s", have + i, i == 62 ? "\n" : ":");
    if (given != NULL) {
        plain_hex(given, want, sizeof want);
        if (strcmp(have, want) != 0)
            return ft_fail(err, FT_ERR_VERIFY,
                           "the fingerprint differs from the one given: the invitation is not the central "
                           "team's; nothing "
                           "was written");
        return FT_OK;
    }
    if (!isatty(STDIN_FILENO))
        return FT_OK;
    return ft_cli_confirm(e->cli, "Is this what the central team told you?", err);
}

static enum ft_status
write_secret(struct enrolment *e, const char *name, struct ft_bytes bytes, struct ft_error *err)
{
    char *path = ft_home_path(e->node->config.state, name);
    const enum ft_status st = path != NULL ? ft_file_write(path, bytes, 0600, err) : FT_ERR_NOMEM;
    ft_free(path);
    return st;
}

static void
forget(struct enrolment *e)
{
    static const char *const names[] = { REQUEST, FT_HOME_IDENTITY, FT_HOME_NODE, FT_HOME_TLS_KEY };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = ft_home_path(e->node->config.state, names[i]);
        if (path != NULL)
            unlink(path);
        ft_free(path);
    }
}

/* The keys of an enrolment that was cut off, if all of them are there. */
static bool
resume(struct enrolment *e)
{
    const char *state = e->node->config.state;
    char *path = ft_home_path(state, REQUEST);
    const bool found = path != NULL && ft_file_read(path, FT_PKI_CSR_MAX, &e->csr, NULL) == FT_OK &&
                       ft_home_secret(state, FT_HOME_IDENTITY, e->identity_sk, 64, NULL) == FT_OK &&
                       ft_home_secret(state, FT_HOME_NODE, e->node_key, 32, NULL) == FT_OK &&
                       ft_home_secret_text(state, FT_HOME_TLS_KEY, &e->tls_key, NULL) == FT_OK;
    ft_free(path);
    if (!found) {
        ft_buf_clear(&e->csr);
        ft_buf_clear(&e->tls_key);
    }
    return found;
}

static enum ft_status
make_keys(struct enrolment *e, struct ft_error *err)
{
    enum ft_status st;
    if (resume(e)) {
        crypto_sign_ed25519_sk_to_pk(e->identity_pk, e->identity_sk);
        return FT_OK;
    }
    crypto_sign_keypair(e->identity_pk, e->identity_sk);
    randombytes_buf(e->node_key, sizeof e->node_key);
    FT_TRY(ft_pki_make_request(e->node->config.shop, &e->tls_key, &e->csr, err));
    FT_TRY(ft_dir_make(e->node->config.state, 0700, err));
    FT_TRY(write_secret(e, FT_HOME_IDENTITY, FT_BYTES(e->identity_sk, 64), err));
    FT_TRY(write_secret(e, FT_HOME_NODE, FT_BYTES(e->node_key, 32), err));
    FT_TRY(write_secret(e, FT_HOME_TLS_KEY, ft_buf_bytes(&e->tls_key), err));
    FT_TRY(write_secret(e, REQUEST, ft_buf_bytes(&e->csr), err));
out:
    return st;
}

static enum ft_status
ask(struct enrolment *e, struct ft_error *err)
{
    struct ft_rpc_channel *channel = NULL;
    struct ft_rpc_result result = { 0 };
    struct ft_buf request = { 0 };
    struct ft_fed_enrol r = { .shop = e->node->config.shop, .csr_der = ft_buf_bytes(&e->csr) };
    const struct ft_rpc_channel_params params = { .target = e->target,
                                                  .ca_pem = ft_buf_bytes(&e->token.ca_pem) };
    enum ft_status st;

    memcpy(r.token, e->token.token, 32);
    memcpy(r.identity_key, e->identity_pk, 32);
    FT_SS_SIGN(r.identity_proof, e->identity_sk, "enrol", FT_BYTES(r.token, 32),
               FT_BYTES(r.shop, strlen(r.shop)), r.csr_der);
    FT_TRY(ft_fed_enrol_encode(&r, &request));
    FT_TRY(ft_rpc_channel_open(&params, &channel, err));
    st = ft_rpc_unary(channel, FT_FED_ENROL, ft_buf_bytes(&request), DEADLINE_MS, &e->reply_bytes, &result);
    if (st != FT_OK) {
        st = ft_fail(err, st, "%s: %s (%s)", e->target, ft_status_str(st), result.detail);
        goto out;
    }
    st = ft_fed_enrolled_decode(ft_buf_bytes(&e->reply_bytes), &e->reply);
    if (st != FT_OK)
        st = ft_fail(err, FT_ERR_VERIFY, "%s: its answer is not an EnrolReply", e->target);
out:
    sodium_memzero(&r, sizeof r);
    ft_buf_clear(&request);
    ft_rpc_channel_close(channel);
    return st;
}

static enum ft_status
check_answer(const struct enrolment *e, struct ft_error *err)
{
    const struct ft_env *env = ft_env_system();
    const int64_t now_s = (int64_t)(env->wall_ms(env->ctx) / 1000);
    struct ft_pki_info info;
    enum ft_status st;
    FT_TRY(
        ft_pki_verify(e->reply.certificate_pem, ft_buf_bytes(&e->token.ca_pem), FT_PKI_CLIENT, now_s, err));
    FT_TRY(ft_pki_match(ft_buf_bytes(&e->tls_key), e->reply.certificate_pem));
    FT_TRY(ft_pki_read(e->reply.certificate_pem, &info));
    if (strcmp(info.common_name, e->node->config.shop) != 0)
        st = ft_fail(err, FT_ERR_VERIFY, "the certificate is for %s", info.common_name);
    else if (memcmp(e->reply.deployment, e->token.pinned.deployment, 16) != 0)
        st = ft_fail(err, FT_ERR_VERIFY, "the aggregator is of another deployment than the invitation");
out:
    return st == FT_OK ? st : ft_fail(err, FT_ERR_VERIFY, "the certificate that came does not fit");
}

static enum ft_status
keep(struct enrolment *e, struct ft_error *err)
{
    struct ft_buf trust = { 0 };
    struct ft_pinned pinned = e->token.pinned;
    enum ft_status st;
    pinned.shop_id = e->reply.shop_id;
    memcpy(pinned.ca_fingerprint, e->ca.bytes, 32);
    FT_TRY(write_secret(e, FT_HOME_CA, ft_buf_bytes(&e->token.ca_pem), err));
    FT_TRY(write_secret(e, FT_HOME_TLS_CERT, e->reply.certificate_pem, err));
    FT_TRY(ft_pinned_format(&pinned, &trust));
    FT_TRY(write_secret(e, FT_HOME_TRUST, ft_buf_bytes(&trust), err));
    char *request = ft_home_path(e->node->config.state, REQUEST);
    if (request != NULL)
        unlink(request);
    ft_free(request);
out:
    ft_buf_clear(&trust);
    return st;
}

static int
refused(struct enrolment *e)
{
    struct ft_refusals list = { 0 };
    const uint32_t code = e->reply.refusal < ENROL_CODES ? ENROL_CODES + e->reply.refusal : 0;
    const bool known = ft_refusal_name(code) != NULL;
    if (known)
        ft_refuse_code(&list, (enum ft_refusal_code)code, "the aggregator refused to enrol %s",
                       e->node->config.shop);
    else
        ft_refuse(&list, "ENROL_REFUSED", "ask the central team for a new invitation",
                  "the aggregator refused to enrol %s (code %u)", e->node->config.shop, e->reply.refusal);
    return ft_cli_fail_refusals(e->cli, &list);
}

static enum ft_status
read_token(struct enrolment *e, struct ft_error *err)
{
    const char *path = ft_cli_text(e->cli, "token-file");
    struct ft_buf bytes = { 0 };
    enum ft_status st;
    FT_TRY(ft_file_read(path, (size_t)128 << 10, &bytes, err));
    FT_TRY(ft_token_file_parse(ft_buf_bytes(&bytes), path, &e->token, err));
    if (ft_pki_fingerprint(ft_buf_bytes(&e->token.ca_pem), &e->ca) != FT_OK) {
        st = ft_fail(err, FT_ERR_FORMAT, "%s: \"ca_pem\" holds no certificate", path);
        goto out;
    }
    if (strcmp(e->token.pinned.shop, e->node->config.shop) != 0)
        st = ft_fail(err, FT_ERR_REFUSED, "%s: invites shop %s, client.yaml says %s", path,
                     e->token.pinned.shop, e->node->config.shop);
out:
    ft_buf_clear(&bytes);
    return st;
}

static bool
enrolled_already(const struct ft_node *node)
{
    char *path = ft_home_path(node->config.state, FT_HOME_TRUST);
    const bool there = path != NULL && access(path, F_OK) == 0;
    ft_free(path);
    return there;
}

static int
tell(const struct enrolment *e)
{
    char hex[65];
    if (ft_cli_json(e->cli))
        return ft_cli_print_json(json_pack("{s:s, s:s, s:I, s:s}", "shop", e->node->config.shop, "aggregator",
                                           e->target, "shop_id", (json_int_t)e->reply.shop_id,
                                           "ca_fingerprint", ft_hex(hex, e->ca.bytes, 32)));
    printf("shop %s is enrolled with %s (number %u in the register)\n", e->node->config.shop, e->target,
           e->reply.shop_id);
    printf("it takes part once the registrar has signed it into the roster: start `fedtill-client run`\n");
    return FT_EXIT_OK;
}

int
ft_cmd_enrol(struct ft_cli *cli)
{
    struct ft_node node;
    struct ft_error err = { 0 };
    struct enrolment e = { .cli = cli, .node = &node };
    enum ft_status st;
    int code;

    if (!ft_node_open(cli, &node, &code))
        return code;
    e.target =
        ft_cli_text(cli, "aggregator") != NULL ? ft_cli_text(cli, "aggregator") : node.config.aggregator;
    if (enrolled_already(&node)) {
        st = ft_fail(&err, FT_ERR_REFUSED, "shop %s is enrolled already; move %s away to enrol it anew",
                     node.config.shop, node.config.state);
        goto out;
    }
    FT_TRY(read_token(&e, &err));
    FT_TRY(compare_fingerprint(&e, &err));
    FT_TRY(make_keys(&e, &err));
    FT_TRY(ask(&e, &err));
    if (e.reply.refusal != 0) {
        forget(&e);
        code = refused(&e);
        goto done;
    }
    FT_TRY(check_answer(&e, &err));
    FT_TRY(keep(&e, &err));
out:
    code = st == FT_OK ? tell(&e) : ft_cli_fail(cli, st, &err);
done:
    ft_fed_enrolled_clear(&e.reply);
    ft_buf_clear(&e.reply_bytes);
    ft_buf_clear(&e.csr);
    ft_buf_clear(&e.tls_key);
    ft_token_file_clear(&e.token);
    sodium_memzero(&e, sizeof e);
    ft_node_close(&node);
    return code;
}
