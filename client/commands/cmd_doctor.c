/* `doctor`: everything a round needs, looked at one by one; each line OK, WARN or FAIL with its remedy. */
#include "client/commands/budget_text.h"
#include "client/commands/commands.h"
#include "client/commands/node.h"
#include "client/commands/run.h"
#include "client/consent/consent.h"
#include "client/sandbox/confine.h"
#include "client/source/check.h"
#include "client/vault/audit.h"
#include "common/base/alloc.h"
#include "common/base/env.h"
#include "common/base/file.h"
#include "common/rpc/pki.h"
#include "common/rpc/rpc_client.h"

#include <ctype.h>
#include <jansson.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define DISK_FAIL   ((uint64_t)64 << 20)
#define DISK_WARN   ((uint64_t)1 << 30)
#define MEMORY_WARN ((uint64_t)256 << 20)
#define DAY_S       86400
#define EXPIRY_DAYS 30
#define BUILT_S     1704067200 /* 2024-01-01: a clock before that was never set */
#define REACH_MS    15000u

enum level { OK, WARN, FAIL };

struct doctor {
    struct ft_cli *cli;
    struct ft_node *node;
    json_t *list;
    bool failed;
};

static void say(struct doctor *d, enum level level, const char *what, const char *remedy, const char *fmt,
                ...) FT_PRINTF(5, 6);

static void
say(struct doctor *d, enum level level, const char *what, const char *remedy, const char *fmt, ...)
{
    static const char *const names[] = { "OK", "WARN", "FAIL" };
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (level == FAIL)
        d->failed = true;
    if (!ft_cli_json(d->cli)) {
        printf("%-4s  %-11s %s\n", names[level], what, text);
        if (level != OK)
            printf("      %-11s -> %s\n", "", remedy);
    }
    json_array_append_new(d->list, json_pack("{s:s, s:s, s:s, s:s}", "check", what, "level", names[level],
                                             "text", text, "remedy", level == OK ? "" : remedy));
}

static int64_t
now_s(void)
{
    const struct ft_env *env = ft_env_system();
    return (int64_t)(env->wall_ms(env->ctx) / 1000);
}

static void
check_clock(struct doctor *d)
{
    int64_t seen = 0;
    const int64_t now = now_s();
    if (d->node->store != NULL && d->node->store->calls->clock_get(d->node->store, &seen) != FT_OK)
        seen = 0;
    if (now < BUILT_S)
        say(d, FAIL, "clock", "set the clock, best by NTP", "the clock stands before 2024");
    else if (seen > now + 300)
        say(d, FAIL, "clock", "set the clock right; the client takes no part while it is behind",
            "the clock is %lld s behind what was recorded", (long long)(seen - now));
    else
        say(d, OK, "clock", "", "plausible");
}

static void
check_tls(struct doctor *d)
{
    const char *state = d->node->config.state;
    const char *again = "enrol this shop anew: move the state folder away and ask for an invitation";
    struct ft_buf cert = { 0 }, ca = { 0 }, key = { 0 };
    struct ft_error err = { 0 };
    struct ft_pki_info info;
    enum ft_status st;
    char *cert_path = ft_home_path(state, FT_HOME_TLS_CERT), *ca_path = ft_home_path(state, FT_HOME_CA);
    if (cert_path == NULL || ca_path == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(ft_file_read(cert_path, FT_PKI_PEM_MAX, &cert, &err));
    FT_TRY(ft_file_read(ca_path, FT_PKI_PEM_MAX, &ca, &err));
    FT_TRY(ft_home_secret_text(state, FT_HOME_TLS_KEY, &key, &err));
    FT_TRY(ft_pki_verify(ft_buf_bytes(&cert), ft_buf_bytes(&ca), FT_PKI_CLIENT, now_s(), &err));
    st = ft_pki_match(ft_buf_bytes(&key), ft_buf_bytes(&cert));
    if (st != FT_OK) {
        (void)ft_fail(&err, st, "tls.key does not belong to tls.pem");
        goto out;
    }
    FT_TRY(ft_pki_read(ft_buf_bytes(&cert), &info));
    const int64_t days = (info.validity.not_after_s - now_s()) / DAY_S;
    if (days < EXPIRY_DAYS)
        say(d, WARN, "tls", "ask the central team for a new invitation in time",
            "the certificate ends in %lld days", (long long)days);
    else
        say(d, OK, "tls", "", "certificate of %s, good for %lld days", info.common_name, (long long)days);
out:
    if (st != FT_OK)
        say(d, FAIL, "tls", again, "%s", err.text[0] != '\0' ? err.text : ft_status_str(st));
    ft_buf_clear(&cert);
    ft_buf_clear(&ca);
    ft_buf_clear(&key);
    ft_free(cert_path);
    ft_free(ca_path);
}

static void
check_keys(struct doctor *d)
{
    uint8_t secret[64];
    struct ft_error err = { 0 };
    const char *state = d->node->config.state;
    enum ft_status st = ft_home_secret(state, FT_HOME_IDENTITY, secret, 64, &err);
    if (st == FT_OK)
        st = ft_home_secret(state, FT_HOME_NODE, secret, 32, &err);
    sodium_memzero(secret, sizeof secret);
    if (st == FT_ERR_VERIFY)
        say(d, FAIL, "keys", "chown the file to the client's user and chmod 600 it", "%s", err.text);
    else if (st != FT_OK)
        say(d, FAIL, "keys", "restore the state folder from its backup, or enrol anew and import again", "%s",
            err.text);
    else
        say(d, WARN, "keys", "nothing to do; keep the disk encrypted",
            "keys are files with mode 0600, not sealed by hardware");
}

static void
check_disk(struct doctor *d)
{
    struct statvfs fs;
    if (statvfs(d->node->config.state, &fs) != 0) {
        say(d, FAIL, "disk", "make the state folder and give it to the client's user", "%s cannot be read",
            d->node->config.state);
        return;
    }
    const uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
    const enum level level = left < DISK_FAIL ? FAIL : left < DISK_WARN ? WARN : OK;
    say(d, level, "disk", "free space on the disk of the state folder", "%llu MiB free",
        (unsigned long long)(left >> 20));
}

static void
check_memory(struct doctor *d)
{
    struct sysinfo info;
    if (sysinfo(&info) != 0)
        return;
    const uint64_t left = ((uint64_t)info.freeram + info.bufferram) * info.mem_unit;
    say(d, left < MEMORY_WARN ? WARN : OK, "memory", "stop other programs or add memory", "%llu MiB free",
        (unsigned long long)(left >> 20));
}

static void
check_source(struct doctor *d)
{
    struct ft_node_key key;
    struct ft_db *db = NULL;
    struct ft_source *source = NULL;
    struct ft_error err = { 0 };
    struct ft_source_summary *s = ft_calloc(1, sizeof *s);
    const struct ft_env *env = ft_env_system();
    const char *remedy = "run `fedtill-client source check` and mend the export or the mapping";
    enum ft_status st = s != NULL ? ft_db_open(&db, &err) : FT_ERR_NOMEM;

    randombytes_buf(&key, sizeof key);
    if (st == FT_OK)
        st = ft_source_open(&d->node->source, &key, db, &source, &err);
    if (st == FT_OK)
        st = ft_source_summarise(source, env->wall_ms(env->ctx), s, &err);
    if (st != FT_OK)
        say(d, FAIL, "source", remedy, "%s", err.text[0] != '\0' ? err.text : ft_status_str(st));
    else if (s->warning_count > 0)
        say(d, WARN, "source", remedy, "%llu rows in %llu files; %s", (unsigned long long)s->rows,
            (unsigned long long)s->files, s->warnings[0].text);
    else
        say(d, OK, "source", "", "%llu rows in %llu files", (unsigned long long)s->rows,
            (unsigned long long)s->files);
    ft_source_close(source);
    ft_db_close(db);
    ft_free(s);
}

/* A budget that reckons with a customer in one shop holds where one shop alone uses them. */
static void
check_home_store(struct doctor *d, const struct ft_policy *policy)
{
    for (uint32_t i = 0; i < policy->budget_count; i++) {
        const struct ft_policy_budget *b = &policy->budgets[i];
        struct ft_error err = { 0 };
        if (ft_budget_check_opened(d->node->store, b, &err) != FT_OK)
            say(d, FAIL, "home_store",
                "set opened in policy.yaml back to the date with which the budget was opened, or add a new "
                "budget; it adds to "
                "what was spent",
                "%s", err.text);
        if (b->unit != FT_UNIT_CUSTOMER || b->m_stores > 1)
            continue;
        if (policy->home.column != NULL)
            say(d, OK, "home_store", "", "%s: customers of this shop alone, by customers.%s", b->domain,
                policy->home.column);
        else
            say(d, WARN, "home_store",
                "set home_store in policy.yaml to the column that names a customer's one shop, or m_stores to the "
                "most shops that a customer can be in",
                "%s reckons with a customer in one shop (m_stores 1), and nothing here keeps another shop from using "
                "them too",
                b->domain);
    }
}

/* The policy, and by it the purposes whose consents count. */
static void
check_policy_and_consent(struct doctor *d)
{
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    struct ft_policy policy;
    struct ft_error err = { 0 };
    struct ft_consent *consent = NULL;
    struct ft_node_key key = { 0 };
    enum ft_policy_guard guard;
    char *db_path = NULL;
    enum ft_status st = FT_ERR_NOMEM;

    if (findings == NULL)
        return;
    ft_findings_init(findings, d->node->config.policy);
    st = ft_node_policy(d->node, &policy, &guard, findings, &err);
    if (st == FT_ERR_CONFIG)
        (void)!ft_findings_status(findings, &err);
    ft_free(findings);
    if (st != FT_OK) {
        say(d, FAIL, "policy", "mend policy.yaml; `fedtill-client policy check` lists what is wrong", "%s",
            err.text);
        return;
    }
    if (guard == FT_GUARD_WRITABLE || guard == FT_GUARD_OWNER)
        say(d, FAIL, "policy", "make policy.yaml and its folder writable by its owner only", "%s",
            ft_policy_guard_text(guard));
    else
        say(d, guard == FT_GUARD_OK ? OK : WARN, "policy",
            "give policy.yaml to root, and run the client as its own user", "%u purposes, review by %s%s%s",
            policy.purpose_count, policy.review_by, guard == FT_GUARD_OK ? "" : "; ",
            guard == FT_GUARD_OK ? "" : ft_policy_guard_text(guard));

    check_home_store(d, &policy);
    if (policy.unnoised && policy.budget_count > 0)
        say(d, WARN, "unnoised", "set unnoised to refuse in policy.yaml once no task without noise is wanted",
            "unnoised: allow stands beside budgets: what a task without noise shows of the same customers is bounded by nothing "
            "and counted in no budget");
    if (d->node->config.consent.basis == FT_BASIS_RECORDS) {
        say(d, OK, "consent", "", "records without people need none");
    } else if (d->node->config.consent.basis == FT_BASIS_NONE) {
        say(d, WARN, "consent", "set consent in client.yaml when there is a basis",
            "no basis: no customer's data is used");
    } else {
        uint64_t given = 0, events = 0;
        db_path = ft_home_path(d->node->config.state, FT_HOME_DB);
        (void)!ft_home_secret(d->node->config.state, FT_HOME_NODE, key.bytes, sizeof key.bytes, NULL);
        st = db_path != NULL && d->node->store != NULL ? ft_consent_open(db_path, &key, &consent, &err)
                                                       : FT_ERR_STATE;
        for (uint32_t i = 0; st == FT_OK && i < policy.purpose_count; i++) {
            struct ft_consent_totals totals;
            st = ft_consent_totals(consent, policy.purposes[i].text, (uint64_t)now_s() * 1000, &totals, &err);
            given += totals.given;
            events += totals.events;
        }
        if (st != FT_OK)
            say(d, FAIL, "consent", "restore state.db from its backup", "the registry cannot be read: %s",
                err.text);
        else if (events == 0)
            say(d, FAIL, "consent", "run `fedtill-client consent import`",
                "no consent is recorded: nobody is eligible");
        else if (given < policy.min_customers)
            say(d, WARN, "consent", "wait until more customers have agreed; min_customers is the floor",
                "%llu customers agree, the policy asks for %u", (unsigned long long)given,
                policy.min_customers);
        else
            say(d, OK, "consent", "", "%llu customers agree", (unsigned long long)given);
    }
    ft_consent_close(consent);
    sodium_memzero(&key, sizeof key);
    ft_free(db_path);
    ft_policy_clear(&policy);
}

static void
check_sandbox(struct doctor *d)
{
    const int abi = ft_landlock_abi();
    const char *host = d->node->config.aggregator;
    const bool by_address = host[0] == '[' || isdigit((unsigned char)host[0]);
    if (!ft_seccomp_available())
        say(d, FAIL, "sandbox",
            "use a kernel with CONFIG_SECCOMP_FILTER; the client does not start without it",
            "the kernel has no system call filter");
    else if (abi == 0 && !by_address)
        say(d, FAIL, "sandbox",
            "name the aggregator by its address in client.yaml, or use a kernel from 5.13 with Landlock",
            "no Landlock: the courier may open no file at all, so it cannot resolve a name");
    else if (abi == 0)
        say(d, WARN, "sandbox", "use a kernel from 5.13 on with Landlock switched on (lsm=landlock,...)",
            "no Landlock: the courier opens no file at all, the vault's files are guarded by mode alone");
    else if (abi < 4)
        say(d, WARN, "sandbox",
            "nothing to do; a kernel from 6.7 on also limits the courier to the aggregator's port",
            "seccomp, Landlock level %d", abi);
    else
        say(d, OK, "sandbox", "", "seccomp, Landlock level %d", abi);
}

static void
check_state(struct doctor *d)
{
    struct ft_error err = { 0 };
    uint64_t lines = 0;
    char *db = ft_home_path(d->node->config.state, FT_HOME_DB),
         *audit = ft_home_path(d->node->config.state, FT_HOME_AUDIT);
    enum ft_status st =
        db != NULL && audit != NULL ? ft_vault_store_sqlite(db, &d->node->store, &err) : FT_ERR_NOMEM;
    if (st != FT_OK)
        say(d, FAIL, "state", "restore state.db from its backup, or enrol anew", "%s", err.text);
    else
        say(d, OK, "state", "", "state.db is whole and syncs every commit");
    if (st == FT_OK) {
        st = ft_audit_verify(audit, &lines, &err);
        if (st == FT_OK || st == FT_ERR_NOTFOUND)
            say(d, OK, "audit", "", "%llu lines, chain intact", (unsigned long long)lines);
        else
            say(d, FAIL, "audit", "keep the file, it was changed from outside; then move it away", "%s",
                err.text);
    }
    ft_free(db);
    ft_free(audit);
}

/* A health call shows that the aggregator is there and is the one whose CA was pinned. */
static void
check_aggregator(struct doctor *d)
{
    struct ft_buf ca = { 0 }, reply = { 0 };
    struct ft_rpc_channel *channel = NULL;
    struct ft_rpc_result result = { 0 };
    struct ft_error err = { 0 };
    char *ca_path = ft_home_path(d->node->config.state, FT_HOME_CA);
    enum ft_status st = ca_path != NULL ? ft_file_read(ca_path, FT_PKI_PEM_MAX, &ca, &err) : FT_ERR_NOMEM;
    const struct ft_rpc_channel_params params = { .target = d->node->config.aggregator,
                                                  .ca_pem = ft_buf_bytes(&ca) };
    if (st == FT_OK)
        st = ft_rpc_channel_open(&params, &channel, &err);
    if (st == FT_OK)
        st =
            ft_rpc_unary(channel, "/grpc.health.v1.Health/Check", FT_BYTES("", 0), REACH_MS, &reply, &result);
    if (st == FT_OK)
        say(d, OK, "aggregator", "", "%s answers%s", d->node->config.aggregator,
            ft_proxy_configured() ? ", by way of a proxy" : "");
    else
        say(d, FAIL, "aggregator",
            "look at the address, the firewall (outgoing TCP), the proxy, and ask the central team", "%s: %s",
            d->node->config.aggregator, result.detail[0] != '\0' ? result.detail : ft_status_str(st));
    ft_rpc_channel_close(channel);
    ft_buf_clear(&ca);
    ft_buf_clear(&reply);
    ft_free(ca_path);
}

/* The privacy ledger: whole, this shop's, and what is left in it. */
static void
check_budget(struct doctor *d)
{
    struct ft_budget *budget = NULL;
    struct ft_error err = { 0 };
    const char *text = "";
    enum ft_status st = ft_node_budget(d->node, &budget, &err);
    const struct ft_ledger *l = st == FT_OK ? ft_budget_ledger(budget) : NULL;
    const uint32_t fault = st == FT_OK ? ft_budget_fault(budget, &text) : 0;

    if (st != FT_OK)
        say(d, FAIL, "budget", "mend the state folder", "%s", err.text);
    else if (fault != 0)
        say(d, FAIL, "budget", ft_refusal_remedy(fault), "%s", text);
    else if (l == NULL || ft_ledger_domain_count(l) == 0)
        say(d, OK, "budget", "", "no task with noise has been accepted yet");
    for (size_t i = 0; l != NULL && i < ft_ledger_domain_count(l); i++) {
        const struct ft_ledger_domain *domain = ft_ledger_domain_at(l, i);
        double charged;
        if (ft_ledger_charged(l, domain, &charged) != FT_OK)
            say(d, FAIL, "budget", "see `budget`", "the accountant has no figure for %s", domain->id);
        else if (charged >= domain->epsilon_max * 0.9)
            say(d, WARN, "budget", "the officer decides on a new budget; it adds to what was spent",
                "%s: epsilon %.4g of %.4g is spent or promised", domain->id, charged, domain->epsilon_max);
        else
            say(d, OK, "budget", "", "%s: epsilon %.4g of %.4g is spent or promised", domain->id, charged,
                domain->epsilon_max);
    }
    ft_budget_close(budget);
}

int
ft_cmd_doctor(struct ft_cli *cli)
{
    struct ft_node node;
    int code;
    if (!ft_node_enrolled(cli, &node, &code))
        return code;
    struct doctor d = { .cli = cli, .node = &node, .list = json_array() };
    check_state(&d);
    check_clock(&d);
    check_tls(&d);
    check_keys(&d);
    check_disk(&d);
    check_memory(&d);
    check_source(&d);
    check_policy_and_consent(&d);
    check_budget(&d);
    check_sandbox(&d);
    check_aggregator(&d);
    if (ft_cli_json(cli))
        ft_cli_print_json(json_pack("{s:b, s:o}", "good", !d.failed, "checks", d.list));
    else
        json_decref(d.list);
    ft_node_close(&node);
    return d.failed ? FT_EXIT_FINDINGS : FT_EXIT_OK;
}
