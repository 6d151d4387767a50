/* `dsr delete`: a customer asks to be forgotten (feature map, S-19; models: S-20). */
#include "client/commands/commands.h"
#include "client/commands/budget_text.h"
#include "client/commands/node.h"
#include "client/consent/erase.h"
#include "client/source/forget.h"
#include "common/base/alloc.h"
#include "common/base/date.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/task/task.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ID_MAX 4096

const struct ft_cli_option ft_cmd_dsr_delete_options[] = {
    FT_CLI_HOME,
    { .name = "customer", .kind = FT_CLI_TEXT, .required = true, .argument = "ID",
      .help = "the customer, as the source writes it; - reads it from standard input" },
    { .name = "verified-by", .kind = FT_CLI_TEXT, .argument = "WHO",
      .help = "who made sure that the request is the customer's own; without it: 77" },
    { .name = "out", .kind = FT_CLI_TEXT, .argument = "FILE", .help = "write the receipt there, as JSON" },
    FT_CLI_DRY_RUN,
    FT_CLI_YES,
    FT_CLI_OPTIONS_END,
};

struct request {
    struct ft_cli *cli;
    struct ft_node *node;
    struct ft_node_key key;
    char id[ID_MAX + 1];
    struct ft_refusals refusals;
    struct ft_erasure erasure;
    struct ft_budget *budget; /* while it is being answered */
    uint64_t erased;          /* customers forgotten here so far, this one with them */
    json_t *models; /* what the customer may be in */
    int64_t at_s;
};

static enum ft_status
read_id(struct request *r, struct ft_error *err)
{
    const char *given = ft_cli_text(r->cli, "customer");
    if (strcmp(given, "-") != 0) {
        if (strlen(given) > ID_MAX)
            return ft_fail(err, FT_ERR_ARGUMENT, "--customer is longer than %d bytes", ID_MAX);
        strcpy(r->id, given);
    } else {
        if (fgets(r->id, sizeof r->id, stdin) == NULL)
            return ft_fail(err, FT_ERR_FORMAT, "standard input holds no customer id");
        r->id[strcspn(r->id, "\r\n")] = '\0';
    }
    return r->id[0] != '\0' ? FT_OK : ft_fail(err, FT_ERR_FORMAT, "the customer id is empty");
}

static void
held(struct request *r, const char *reason)
{
    ft_refuse(&r->refusals, "LEGAL_HOLD", "lift the hold in policy.yaml when it is over, then ask again",
              "a hold of the policy keeps this customer's data: %s", reason);
}

static const char *
value_of(const struct ft_policy_exclusion *e, size_t i)
{
    return e->kind == FT_EXCLUDE_EQUALS ? e->equals : e->one_of[i].text;
}

static size_t
value_count(const struct ft_policy_exclusion *e)
{
    return e->kind == FT_EXCLUDE_EQUALS ? 1 : e->kind == FT_EXCLUDE_ONE_OF ? e->one_of_count : 0;
}

/* Does this hold cover the customer? Whether by the id itself, or by what the shop's records say. */
static enum ft_status
look_at_hold(struct request *r, struct ft_db *db, const struct ft_pseudonym *customer, const struct ft_policy_exclusion *e,
             struct ft_error *err)
{
    const size_t count = value_count(e);
    const char **values = NULL;
    enum ft_status st = FT_OK;
    bool covered = false;

    if (strcmp(e->column, "customer_id") == 0) {
        for (size_t i = 0; i < count; i++)
            covered = covered || strcmp(value_of(e, i), r->id) == 0;
    } else if (strcmp(e->table, "products") != 0) {
        values = ft_calloc(count + 1, sizeof *values);
        if (values == NULL)
            return FT_ERR_NOMEM;
        for (size_t i = 0; i < count; i++)
            values[i] = value_of(e, i);
        st = ft_db_customer_has(db, customer, e->table, e->column, values, count, e->below, &covered, err);
        ft_free(values);
    }
    if (st == FT_OK && covered)
        held(r, e->reason);
    return st;
}

static enum ft_status
look_for_holds(struct request *r, struct ft_error *err)
{
    struct ft_policy policy = { 0 };
    enum ft_policy_guard guard;
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    struct ft_db *db = NULL;
    struct ft_source *source = NULL;
    struct ft_pseudonym customer = { { 0 } };
    enum ft_status st;

    if (findings == NULL)
        return FT_ERR_NOMEM;
    ft_findings_init(findings, r->node->config.policy);
    st = ft_node_policy(r->node, &policy, &guard, findings, err);
    if (st == FT_ERR_CONFIG)
        st = ft_findings_status(findings, err);
    ft_free(findings);
    if (st != FT_OK)
        return st;
    ft_pseudonym_make(&r->key, r->id, strlen(r->id), &customer);
    for (uint32_t i = 0; st == FT_OK && i < policy.exclude_count; i++) {
        const struct ft_policy_exclusion *e = &policy.exclude[i];
        if (!e->hold)
            continue;
        if (db == NULL && strcmp(e->column, "customer_id") != 0) {
            FT_TRY(ft_db_open(&db, err));
            FT_TRY(ft_source_open(&r->node->source, &r->key, db, &source, err));
        }
        st = look_at_hold(r, db, &customer, e, err);
    }
out:
    ft_source_close(source);
    ft_db_close(db);
    ft_policy_clear(&policy);
    sodium_memzero(&customer, sizeof customer);
    return st;
}

/* The bound of a task with noise, as the ledger has it. False: it is none. */
static bool
add_bound(const struct request *r, const struct ft_vault_task *record, json_t *model)
{
    const uint8_t *task_hash = record->hash;
    const enum ft_unit unit = ft_record_unit(record);
    const struct ft_ledger *l = r->budget != NULL ? ft_budget_ledger(r->budget) : NULL;
    const struct ft_ledger_task *t = l != NULL ? ft_ledger_task_find(l, task_hash) : NULL;
    const struct ft_ledger_domain *d = t != NULL ? ft_ledger_domain_find(l, t->reserved.domain) : NULL;
    double epsilon, group;
    char text[640];

    if (d == NULL || !ft_budget_customer_bound(t, unit, d->delta, 1, &epsilon))
        return false;
    const bool here = ft_budget_of_store(unit, &t->reserved);
    int size = snprintf(text, sizeof text,
                        "%s differ from models without the customer by at most epsilon %.4g, delta %.3g, in "
                        "%llu contributions%s",
                        here ? "through this shop's data the models" : "the models", epsilon, d->delta,
                        (unsigned long long)(t->spent + t->recovered),
                        here ? ", and what another shop tells of the same customer adds to it" : "");
    json_object_set_new(model, "through",
                        json_string(here ? "this shop's data" : "all shops that the task reckons with"));
    json_object_set_new(model, "epsilon", json_real(epsilon));
    json_object_set_new(model, "delta", json_real(d->delta));
    json_object_set_new(model, "contributions", json_integer((json_int_t)(t->spent + t->recovered)));
    json_object_set_new(model, "erased_customers", json_integer((json_int_t)r->erased));
    if (r->erased > 1 && ft_budget_customer_bound(t, unit, d->delta, r->erased, &group)) {
        json_object_set_new(model, "group_epsilon", json_real(group));
        size += snprintf(text + size, sizeof text - (size_t)size,
                         "; for the %llu customers erased so far together by at most epsilon %.4g",
                         (unsigned long long)r->erased, group);
    } else if (r->erased > 1) {
        size += snprintf(text + size, sizeof text - (size_t)size,
                         "; %llu customers have been erased, for whom together no useful bound holds",
                         (unsigned long long)r->erased);
    }
    if (epsilon > 1 || r->erased > 1)
        snprintf(text + size, sizeof text - (size_t)size,
                 ". A bound is not an erasure: training again from scratch without them is");
    json_object_set_new(model, "bound", json_string(text));
    return true;
}

/* Every task this shop has trained may hold the customer in its models: who was in which round is not kept. */
static bool
note_model(void *ctx, const struct ft_vault_task *t)
{
    struct request *r = ctx;
    struct ft_vault_store *store = r->node->store;
    char hash[65], day[11];
    int64_t last_s = 0;
    if (store->calls->last_of_task(store, t->hash, &last_s) != FT_OK || last_s <= 0)
        return true;
    ft_date_format(day, ft_date_of_seconds(last_s));
    json_t *model = json_pack("{s:s, s:s, s:s, s:s}", "task", t->name, "hash", ft_hex(hash, t->hash, 32), "last_round", day,
                              "treatment", "dp_bound");
    if (!add_bound(r, t, model))
        json_object_set_new(model, "bound",
                            json_string(ft_record_unit(t) == FT_UNIT_STORE
                                            ? "none of one customer's own that helps: the task's claim is about the "
                                              "shop as a whole; ask the central team to train again without the customer"
                                            : "none: the task made no privacy claim; ask the central team to train again "
                                              "without the customer"));
    json_array_append_new(r->models, model);
    return true;
}

static json_t *
receipt(const struct request *r)
{
    char day[11];
    ft_date_format(day, ft_date_of_seconds(r->at_s));
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:s, s:O}", "receipt", r->erasure.receipt, "request", "delete",
                     "date", day, "verified_by", ft_cli_text(r->cli, "verified-by"), "state_rewritten",
                     (int)r->erasure.scrubbed, "tombstone", 1, "from_now_on",
                     "no row of this customer is read, and no consent of theirs is taken; copies in the shop's own "
                     "systems are not this program's",
                     "models", r->models);
}

static void
print_receipt(const struct request *r)
{
    size_t i;
    json_t *model;
    printf("deleted; receipt %s, verified by %s\n", r->erasure.receipt, ft_cli_text(r->cli, "verified-by"));
    printf("  The customer's consents and everything derived from their purchases are gone from this client, and\n"
           "  later imports pass the customer over. The exports and the till's own records are not this client's.\n");
    if (json_array_size(r->models) == 0)
        printf("  No model was trained here: none holds anything of the customer.\n");
    json_array_foreach(r->models, i, model)
        printf("  model of task %s (last round %s): privacy bound %s\n",
               json_string_value(json_object_get(model, "task")), json_string_value(json_object_get(model, "last_round")),
               json_string_value(json_object_get(model, "bound")));
}

/* One line in dsr.jsonl: that there was a request, and nothing of whom. */
static enum ft_status
log_request(const struct request *r, struct ft_error *err)
{
    char *path = ft_asprintf("%s/dsr.jsonl", r->node->config.state);
    json_t *line = json_pack("{s:s, s:s, s:I, s:s}", "receipt", r->erasure.receipt, "request", "delete", "time_s",
                             (json_int_t)r->at_s, "verified_by", ft_cli_text(r->cli, "verified-by"));
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT) : NULL;
    enum ft_status st = path != NULL && text != NULL ? FT_OK : FT_ERR_NOMEM;
    const int fd = st == FT_OK ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (st == FT_OK &&
        (fd < 0 || dprintf(fd, "%s\n", text) != (int)strlen(text) + 1 || fdatasync(fd) != 0))
        st = ft_fail(err, ft_status_of_errno(errno), "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    free(text);
    json_decref(line);
    ft_free(path);
    return st;
}

static enum ft_status
write_receipt(const struct request *r, struct ft_error *err)
{
    const char *path = ft_cli_text(r->cli, "out");
    json_t *object = path != NULL ? receipt(r) : NULL;
    char *text = object != NULL ? json_dumps(object, JSON_INDENT(2)) : NULL;
    enum ft_status st = FT_OK;
    if (path != NULL)
        st = text != NULL ? ft_file_write_new(path, FT_BYTES(text, strlen(text)), 0600, err) : FT_ERR_NOMEM;
    free(text);
    json_decref(object);
    return st;
}

static enum ft_status
erase(struct request *r, struct ft_error *err)
{
    enum ft_status st;
    struct ft_consent *consent = NULL;
    const struct ft_env *env = ft_env_system();
    const uint64_t now_ms = env->wall_ms(env->ctx);
    char *db_path = ft_home_path(r->node->config.state, FT_HOME_DB);

    r->at_s = (int64_t)(now_ms / 1000);
    if (db_path == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_consent_open(db_path, &r->key, &consent, err));
    FT_TRY(ft_consent_erase(consent, r->id, now_ms, &r->erasure, err));
    FT_TRY(ft_consent_erased_count(consent, &r->erased));
    FT_TRY(ft_node_budget(r->node, &r->budget, err));
    FT_TRY(r->node->store->calls->task_list(r->node->store, note_model, r));
    FT_TRY(log_request(r, err));
    FT_TRY(write_receipt(r, err));
out:
    ft_budget_close(r->budget);
    r->budget = NULL;
    ft_consent_close(consent);
    ft_free(db_path);
    return st;
}

static int
tell(const struct request *r)
{
    if (ft_cli_json(r->cli))
        (void)ft_cli_print_json(receipt(r));
    else
        print_receipt(r);
    if (r->erasure.scrubbed)
        return FT_EXIT_OK;
    (void)fprintf(stderr, "fedtill-client: another program holds the state: old copies are overwritten at the next start\n");
    return FT_EXIT_LATER;
}

static int
serve(struct request *r, struct ft_error *err)
{
    enum ft_status st;
    if (ft_cli_text(r->cli, "verified-by") == NULL || ft_cli_text(r->cli, "verified-by")[0] == '\0') {
        ft_refuse(&r->refusals, "NOT_VERIFIED", "make sure that it is the customer who asks, then give --verified-by",
                  "nobody has verified the request");
        return ft_cli_fail_refusals(r->cli, &r->refusals);
    }
    FT_TRY(read_id(r, err));
    FT_TRY(ft_home_secret(r->node->config.state, FT_HOME_NODE, r->key.bytes, sizeof r->key.bytes, err));
    FT_TRY(look_for_holds(r, err));
    if (r->refusals.count > 0)
        return ft_cli_fail_refusals(r->cli, &r->refusals);
    if (ft_cli_flag(r->cli, "dry-run")) {
        printf("the customer would be forgotten for good; nothing was changed (--dry-run)\n");
        return FT_EXIT_OK;
    }
    FT_TRY(ft_cli_confirm(r->cli, "Forget this customer for good?", err));
    FT_TRY(erase(r, err));
    return tell(r);
out:
    return ft_cli_fail(r->cli, st, err);
}

int
ft_cmd_dsr_delete(struct ft_cli *cli)
{
    struct ft_node node;
    struct ft_error err = { 0 };
    int code;
    if (!ft_node_store(cli, &node, &code))
        return code;
    struct request *r = ft_secret_alloc(sizeof *r);
    if (r != NULL) {
        r->cli = cli;
        r->node = &node;
        r->models = json_array();
        code = serve(r, &err);
        json_decref(r->models);
    } else {
        code = ft_cli_fail(cli, FT_ERR_NOMEM, NULL);
    }
    ft_secret_free(r);
    ft_node_close(&node);
    return code;
}
