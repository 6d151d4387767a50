/* `source check` and `consent import`: the shop's data and its customers' word, before anything is trained.
 */
#include "client/commands/commands.h"
#include "client/commands/node.h"
#include "client/consent/import.h"
#include "client/source/check.h"
#include "common/base/alloc.h"
#include "common/base/env.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

const struct ft_cli_option ft_cmd_consent_import_options[] = {
    FT_CLI_HOME,
    { .name = "file",
      .kind = FT_CLI_TEXT,
      .argument = "FILE",
      .help = "CSV (default: consent.file of client.yaml)" },
    { .name = "purpose",
      .kind = FT_CLI_TEXT,
      .argument = "PURPOSE",
      .help = "for a file without a purpose column" },
    { .name = "delimiter", .kind = FT_CLI_TEXT, .argument = "CHAR", .help = "between fields (default ,)" },
    { .name = "time-format",
      .kind = FT_CLI_TEXT,
      .argument = "FORMAT",
      .help = "of the time column, as strptime" },
    { .name = "max-reject-ratio",
      .kind = FT_CLI_REAL,
      .argument = "R",
      .help = "more bad rows than this and nothing is imported (default 0.01)" },
    FT_CLI_YES,
    FT_CLI_DRY_RUN,
    FT_CLI_OPTIONS_END,
};

/* The node's key where there is one; without, a throw-away key: counts and ranges are the same. */
static void
node_key(const struct ft_node *node, struct ft_node_key *key)
{
    if (ft_home_secret(node->config.state, FT_HOME_NODE, key->bytes, sizeof key->bytes, NULL) != FT_OK)
        randombytes_buf(key->bytes, sizeof key->bytes);
}

int
ft_cmd_source_check(struct ft_cli *cli)
{
    struct ft_node node;
    struct ft_node_key key;
    struct ft_error err = { 0 };
    struct ft_db *db = NULL;
    struct ft_source *source = NULL;
    struct ft_source_summary *summary = NULL;
    const struct ft_env *env = ft_env_system();
    enum ft_status st;
    int code;

    if (!ft_node_open(cli, &node, &code))
        return code;
    node_key(&node, &key);
    summary = ft_calloc(1, sizeof *summary);
    if (summary == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(ft_db_open(&db, &err));
    FT_TRY(ft_source_open(&node.source, &key, db, &source, &err));
    FT_TRY(ft_source_summarise(source, env->wall_ms(env->ctx), summary, &err));
    if (ft_cli_json(cli))
        ft_cli_print_json(ft_source_summary_json(summary, ft_source_quarantine(source)));
    else
        ft_source_summary_print(summary, ft_source_quarantine(source), stdout);
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    else
        code = summary->warning_count > 0 ? FT_EXIT_FINDINGS : FT_EXIT_OK;
    ft_source_close(source);
    ft_db_close(db);
    ft_free(summary);
    sodium_memzero(&key, sizeof key);
    ft_node_close(&node);
    return code;
}

static void
print_summary(const struct ft_consent_import_summary *s, FILE *out)
{
    char places[400];
    fprintf(out, "rows %llu: %llu grants, %llu refusals, %llu withdrawals; %llu known already\n",
            (unsigned long long)s->rows, (unsigned long long)s->grants, (unsigned long long)s->refusals,
            (unsigned long long)s->withdrawals, (unsigned long long)s->unchanged);
    if (s->ambiguous > 0)
        fprintf(out, "%llu rows are ambiguous and count as refusals\n", (unsigned long long)s->ambiguous);
    if (s->quarantine.count > 0) {
        ft_quarantine_sentence(&s->quarantine, 5, places, sizeof places);
        fprintf(out, "%llu rows cannot be read: %s\n", (unsigned long long)s->quarantine.count, places);
    }
}

struct import {
    struct ft_cli *cli;
    struct ft_error err;
    enum ft_status answer;
};

/* The summary is shown before anything is recorded. */
static bool
confirm(void *ctx, const struct ft_consent_import_summary *summary)
{
    struct import *i = ctx;
    print_summary(summary, stderr);
    if (ft_cli_flag(i->cli, "dry-run"))
        i->answer = FT_ERR_CANCELLED;
    else
        i->answer = ft_cli_confirm(i->cli, "Record these decisions?", &i->err);
    return i->answer == FT_OK;
}

static json_t *
summary_json(const struct ft_consent_import_summary *s, bool recorded)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "rows", (json_int_t)s->rows, "grants",
                     (json_int_t)s->grants, "refusals", (json_int_t)s->refusals, "withdrawals",
                     (json_int_t)s->withdrawals, "ambiguous", (json_int_t)s->ambiguous, "unchanged",
                     (json_int_t)s->unchanged, "rejected", (json_int_t)s->quarantine.count, "recorded",
                     recorded);
}

int
ft_cmd_consent_import(struct ft_cli *cli)
{
    struct ft_node node;
    struct ft_node_key key;
    struct ft_consent *consent = NULL;
    struct ft_consent_import_summary *summary = NULL;
    struct import ctx = { .cli = cli };
    const struct ft_env *env = ft_env_system();
    const char *delimiter = ft_cli_text(cli, "delimiter");
    char *db_path = NULL;
    enum ft_status st;
    int code;

    if (!ft_node_store(cli, &node, &code))
        return code;
    struct ft_consent_import_config config = {
        .file = ft_cli_text(cli, "file") != NULL ? ft_cli_text(cli, "file") : node.config.consent.file,
        .delimiter = delimiter != NULL ? delimiter[0] : 0,
        .encoding = FT_ENCODING_AUTO,
        .time_format = ft_cli_text(cli, "time-format"),
        .purpose = ft_cli_text(cli, "purpose"),
        .max_reject_ratio = ft_cli_real(cli, "max-reject-ratio", 0.01),
    };
    summary = ft_calloc(1, sizeof *summary);
    db_path = ft_home_path(node.config.state, FT_HOME_DB);
    if (summary == NULL || db_path == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    if (config.file == NULL) {
        ft_node_close(&node);
        ft_free(summary);
        ft_free(db_path);
        return ft_cli_usage(cli, "no --file, and client.yaml names no consent.file");
    }
    FT_TRY(ft_home_secret(node.config.state, FT_HOME_NODE, key.bytes, sizeof key.bytes, &ctx.err));
    FT_TRY(ft_consent_open(db_path, &key, &consent, &ctx.err));
    st = ft_consent_import(consent, &config, env->wall_ms(env->ctx), confirm, &ctx, summary, &ctx.err);
    if (st == FT_ERR_CANCELLED && ft_cli_flag(cli, "dry-run"))
        st = FT_OK;
    else if (st == FT_ERR_CANCELLED && ctx.answer != FT_OK)
        st = ctx.answer;
    if (st == FT_OK && ft_cli_json(cli))
        ft_cli_print_json(summary_json(summary, !ft_cli_flag(cli, "dry-run")));
    else if (st == FT_OK)
        printf("%s\n", ft_cli_flag(cli, "dry-run") ? "nothing was recorded (--dry-run)" : "recorded");
out:
    code = st == FT_OK ? FT_EXIT_OK : ft_cli_fail(cli, st, &ctx.err);
    ft_consent_close(consent);
    ft_free(summary);
    ft_free(db_path);
    sodium_memzero(&key, sizeof key);
    ft_node_close(&node);
    return code;
}
