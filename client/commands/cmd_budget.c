/* `budget`: what the customers' data have cost in tasks with noise, and what is left, from the ledger alone.
 */
#include "client/commands/budget_text.h"
#include "client/commands/commands.h"
#include "common/base/alloc.h"
#include "common/base/env.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum ft_status
ft_node_budget(struct ft_node *node, struct ft_budget **out, struct ft_error *err)
{
    struct ft_node_key key;
    enum ft_status st;

    *out = NULL;
    FT_TRY(ft_home_secret(node->config.state, FT_HOME_NODE, key.bytes, sizeof key.bytes, err));
    st = ft_budget_open(node->config.state, node->pinned.shop, &key, ft_env_system(), FT_BUDGET_LOOK,
                        node->store, out, err);
out:
    sodium_memzero(&key, sizeof key);
    return st;
}

enum ft_status
ft_budget_cost(const struct ft_ledger *l, const char *domain, double delta, bool spent_only,
               struct ft_account_cost *out)
{
    struct ft_account_event *events = NULL;
    size_t count = 0;
    enum ft_status st;

    *out = (struct ft_account_cost){ 0 };
    FT_TRY(ft_ledger_events(l, domain, spent_only, &events, &count));
    if (count > 0)
        FT_TRY(ft_account_cost(events, count, delta, out));
out:
    ft_free(events);
    return st;
}

#define PLAN_MAX 16 /* tasks, as in main.c */

/* The name under which a task was offered. */
struct naming {
    const uint8_t *hash;
    char *name; /* (49) */
};

static bool
take_name(void *ctx, const struct ft_vault_task *t)
{
    const struct naming *n = ctx;
    if (memcmp(t->hash, n->hash, 32) != 0)
        return true;
    snprintf(n->name, 49, "%s", t->name);
    return false;
}

static void
name_of(struct ft_node *node, const uint8_t hash[32], char name[49])
{
    struct naming n = { hash, name };
    snprintf(name, 49, "a task that is no longer here");
    (void)!node->store->calls->task_list(node->store, take_name, &n);
}

enum ft_unit
ft_record_unit(const struct ft_vault_task *record)
{
    const struct ft_bytes bytes = ft_buf_bytes(&record->signed_task);
    uint8_t key[1][32], hash[32];
    struct ft_task task = { 0 };
    enum ft_unit unit = 0;

    /* It was verified when it was taken in; here only the text is read again. */
    if (ft_task_signer(bytes, key[0], NULL) == FT_OK &&
        ft_task_open(bytes, (const uint8_t(*)[32])key, 1, &task, hash, NULL) == FT_OK)
        unit = task.unit;
    ft_task_clear(&task);
    return unit;
}

enum ft_unit
ft_node_task_unit(struct ft_node *node, const uint8_t hash[32])
{
    struct ft_vault_task record = { 0 };
    enum ft_unit unit = 0;

    if (node->store->calls->task_get(node->store, hash, &record) == FT_OK)
        unit = ft_record_unit(&record);
    ft_vault_task_clear(&record);
    return unit;
}

/* The unit of a domain's tasks: they share it. */
static enum ft_unit
domain_unit(struct ft_node *node, const struct ft_ledger *l, const struct ft_ledger_domain *d)
{
    enum ft_unit unit = 0;
    for (size_t i = 0; i < ft_ledger_task_count(l) && unit == 0; i++)
        if (strcmp(ft_ledger_task_at(l, i)->reserved.domain, d->id) == 0)
            unit = ft_node_task_unit(node, ft_ledger_task_at(l, i)->reserved.task);
    return unit;
}

/* ---- as JSON ---- */

static json_t *
task_json(struct ft_node *node, const struct ft_ledger_task *t)
{
    const struct ft_ledger_reservation *r = &t->reserved;
    char name[49], hex[65];
    name_of(node, r->task, name);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:f, s:I, s:I}", "task", name, "hash",
                     ft_hex(hex, r->task, 32), "state", t->open ? "open" : "over", "contributions_made",
                     (json_int_t)(t->spent + t->recovered), "contributions_charged", (json_int_t)t->charged,
                     "contributions_most", (json_int_t)r->steps, "q", ft_privacy_q(r->q_num),
                     "noise_multiplier", ft_privacy_z_eff(r->delta_int_sq, r->t_min, r->sigma_share), "t_min",
                     (json_int_t)r->t_min, "m_stores", (json_int_t)r->m_stores);
}

static enum ft_status
domain_json(struct ft_node *node, const struct ft_ledger *l, const struct ft_ledger_domain *d, json_t *list)
{
    struct ft_account_cost spent, charged;
    double decides;
    json_t *tasks = json_array();
    enum ft_status st;

    FT_TRY(ft_budget_cost(l, d->id, d->delta, true, &spent));
    FT_TRY(ft_budget_cost(l, d->id, d->delta, false, &charged));
    FT_TRY(ft_ledger_charged(l, d, &decides));
    for (size_t i = 0; i < ft_ledger_task_count(l); i++)
        if (strcmp(ft_ledger_task_at(l, i)->reserved.domain, d->id) == 0)
            json_array_append_new(tasks, task_json(node, ft_ledger_task_at(l, i)));
    const enum ft_unit unit = domain_unit(node, l, d);
    json_array_append_new(
        list, json_pack("{s:s, s:s, s:s, s:s, s:I, s:f, s:f, s:f, s:f, s:{s:f, s:f}, s:{s:f, s:f}, s:O}", "domain",
                        d->id, "unit", ft_unit_name(unit), "mode", d->mode == FT_LEDGER_ADAPTIVE ? "adaptive" : "planned", "method",
                        d->method == FT_ACCOUNT_PLD ? "pld" : "rdp", "order", (json_int_t)d->order,
                        "epsilon_max", d->epsilon_max, "delta", d->delta, "epsilon_charged", decides,
                        "epsilon_left", fmax(0, d->epsilon_max - decides), "spent", "rdp", spent.rdp, "pld",
                        spent.pld, "charged", "rdp", charged.rdp, "pld", charged.pld, "tasks", tasks));
out:
    json_decref(tasks);
    return st;
}

/* ---- in words ---- */

static enum ft_status
print_domain(struct ft_node *node, const struct ft_ledger *l, const struct ft_ledger_domain *d)
{
    struct ft_account_cost spent, charged;
    const bool store = domain_unit(node, l, d) == FT_UNIT_STORE;
    double decides;
    enum ft_status st;

    FT_TRY(ft_budget_cost(l, d->id, d->delta, true, &spent));
    FT_TRY(ft_budget_cost(l, d->id, d->delta, false, &charged));
    FT_TRY(ft_ledger_charged(l, d, &decides));
    printf("\nbudget %s\n", d->id);
    if (store)
        printf("  protects    all data of this shop together, as if they had counted for nothing; that the shop takes part "
               "is no\n"
               "              secret, and one customer has no claim of their own (whether they are in this shop's data or "
               "not\n"
               "              makes at most twice the difference, and so again in each further shop they are in)\n");
    printf("  allowed     epsilon %.4g at delta %.3g, fixed when the budget was opened; it never refills\n",
           d->epsilon_max, d->delta);
    printf("  used        epsilon %.4g by contributions made; %.4g with those still promised to open tasks\n",
           spent.rdp, decides);
    printf("  left        epsilon %.4g\n", fmax(0, d->epsilon_max - decides));
    if (d->mode == FT_LEDGER_ADAPTIVE)
        printf("  method      Renyi filter at order %u, for tasks chosen one after the other (RDP)\n",
               d->order);
    else
        printf("  method      a plan of tasks fixed beforehand, by %s\n",
               d->method == FT_ACCOUNT_PLD ? "PLD" : "RDP");
    printf("  tight       epsilon %.4g made, %.4g with promises (PLD, for information)\n", spent.pld,
           charged.pld);
    printf("  in words    with what has been released, nobody's guess about %s gets better than by "
           "a factor\n"
           "              of %.3g, but for a chance of %.3g\n",
           store ? "this shop's data" : "one customer", exp(spent.pld), d->delta);
    for (size_t i = 0; i < ft_ledger_task_count(l); i++) {
        const struct ft_ledger_task *t = ft_ledger_task_at(l, i);
        const struct ft_ledger_reservation *r = &t->reserved;
        char name[49];
        if (strcmp(r->domain, d->id) != 0)
            continue;
        name_of(node, r->task, name);
        printf("  task        %s: %s, %llu of at most %llu contributions made\n", name,
               t->open ? "open" : "over", (unsigned long long)(t->spent + t->recovered),
               (unsigned long long)r->steps);
        if (ft_node_task_unit(node, r->task) == FT_UNIT_STORE) {
            printf("              each uses all of this shop's rows as one vector, under noise of %.4g times what it can "
                   "add,\n"
                   "              from %u honest shops or more\n",
                   ft_privacy_z_eff(r->delta_int_sq, r->t_min, r->sigma_share), r->t_min);
            continue;
        }
        printf("              each uses a customer with probability %.4g, under noise of %.4g times what one "
               "can add,\n"
               "              from %u honest shops or more; a customer counts as being in %u shop%s\n",
               ft_privacy_q(r->q_num), ft_privacy_z_eff(r->delta_int_sq, r->t_min, r->sigma_share), r->t_min,
               r->m_stores, r->m_stores == 1 ? "" : "s");
    }
out:
    return st;
}

/* A customer's data are the same in every domain: what all of them together cost. *here: a task may be of unit store,
 * whose bound is through this shop's data alone. */
static enum ft_status
sum_of(struct ft_node *node, const struct ft_ledger *l, double *delta, struct ft_account_cost *out, bool *here)
{
    const size_t tasks = ft_ledger_task_count(l);
    struct ft_account_event *events = ft_calloc(tasks + 1, sizeof *events);
    size_t count = 0;
    enum ft_status st = FT_OK;

    *delta = 0;
    *here = false;
    *out = (struct ft_account_cost){ 0 };
    if (events == NULL)
        return FT_ERR_NOMEM;
    for (size_t i = 0; i < ft_ledger_domain_count(l); i++)
        *delta += ft_ledger_domain_at(l, i)->delta;
    for (size_t i = 0; i < tasks; i++) {
        const struct ft_ledger_task *t = ft_ledger_task_at(l, i);
        const enum ft_unit unit = ft_node_task_unit(node, t->reserved.task);
        if (t->spent + t->recovered == 0)
            continue;
        *here |= ft_budget_of_store(unit, &t->reserved);
        events[count++] = ft_budget_customer_event(t, unit);
    }
    if (count > 0)
        st = ft_account_cost(events, count, fmin(*delta, FT_PRIVACY_DELTA_MAX), out);
    if (st == FT_ERR_LIMIT) { /* half of a small noise is below what the accountant answers for */
        out->rdp = out->pld = NAN;
        st = FT_OK;
    }
    ft_free(events);
    return st;
}

static json_t *
number_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static int
tell(struct ft_cli *cli, struct ft_node *node, const struct ft_ledger *l, struct ft_error *err)
{
    struct ft_account_cost all = { 0 };
    struct ft_ledger_head head = { 0 };
    double delta = 0;
    bool here = false;
    char hex[65] = "";
    json_t *domains = json_array();
    enum ft_status st = FT_OK;
    const size_t count = l != NULL ? ft_ledger_domain_count(l) : 0;

    if (l != NULL) {
        ft_ledger_head(l, &head);
        ft_hex(hex, head.chain, sizeof head.chain);
        FT_TRY(sum_of(node, l, &delta, &all, &here));
    }
    if (ft_cli_json(cli)) {
        for (size_t i = 0; i < count; i++)
            FT_TRY(domain_json(node, l, ft_ledger_domain_at(l, i), domains));
        json_t *object =
            json_pack("{s:s, s:s, s:I, s:s, s:O, s:{s:f, s:o, s:o, s:s}}", "shop", node->pinned.shop, "relation",
                      "add or remove one unit: a customer with all their rows, or a record; zero out the shop where a domain's "
                      "unit is store",
                      "records",
                      (json_int_t)(l != NULL ? head.seq + 1 : 0), "head", hex, "domains", domains,
                      "all_domains", "delta", delta, "rdp", number_or_null(all.rdp), "pld", number_or_null(all.pld), "through",
                      here ? "this shop's data" : "all shops that each task reckons with");
        json_decref(domains);
        return ft_cli_print_json(object);
    }
    printf("Privacy budget of shop %s\n", node->pinned.shop);
    printf("  protects    one customer with all their purchases (or one record, where the data have no "
           "people): whether\n"
           "              they are in the data at all, unless a budget says otherwise, against everybody who sees every model, sum and "
           "message\n");
    if (count == 0)
        printf("  nothing has been spent: no task with noise was accepted here\n");
    for (size_t i = 0; i < count; i++)
        FT_TRY(print_domain(node, l, ft_ledger_domain_at(l, i)));
    if (count > 1 && !isfinite(all.rdp))
        printf("\nall budgets together, for a customer who is in each: no useful bound\n");
    else if (count > 1)
        printf("\nall budgets together, for a customer who is in each%s: epsilon %.4g (RDP), %.4g (PLD) at "
               "delta %.3g%s\n",
               here ? ", through this shop's data" : "", all.rdp, all.pld, delta,
               here ? ";\nof a task of unit store, what another shop tells of the same customer adds to it" : "");
    if (l != NULL)
        printf("\nledger        %llu records, chain intact; keep a copy of ledger.bin on another device\n",
               (unsigned long long)head.seq + 1);
out:
    json_decref(domains);
    return st == FT_OK ? FT_EXIT_OK : ft_cli_fail(cli, st, err);
}

int
ft_cmd_budget(struct ft_cli *cli)
{
    struct ft_node node;
    struct ft_budget *budget = NULL;
    struct ft_error err = { 0 };
    const char *text;
    int code;

    if (!ft_node_store(cli, &node, &code))
        return code;
    const enum ft_status st = ft_node_budget(&node, &budget, &err);
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    else if (ft_budget_fault(budget, &text) != 0)
        code = ft_cli_fail(cli,
                           ft_fail(&err,
                                   ft_refusal_exit(ft_budget_fault(budget, NULL)) == FT_EXIT_VERIFY
                                       ? FT_ERR_VERIFY
                                       : FT_ERR_IO,
                                   "%s (%s)", text, ft_refusal_remedy(ft_budget_fault(budget, NULL))),
                           &err);
    else
        code = tell(cli, &node, ft_budget_ledger(budget), &err);
    ft_budget_close(budget);
    ft_node_close(&node);
    return code;
}

/* `budget plan TASK...`: what policy.yaml says as `plan` of a planned budget. */
int
ft_cmd_budget_plan(struct ft_cli *cli)
{
    struct ft_node node;
    struct ft_error err = { 0 };
    struct ft_ledger_reservation plan[PLAN_MAX];
    size_t count = 0;
    uint8_t hash[32];
    char hex[65];
    enum ft_status st = FT_OK;
    int code;

    if (!ft_node_store(cli, &node, &code))
        return code;
    for (const char *which; count < PLAN_MAX && (which = ft_cli_operand(cli, count)) != NULL; count++) {
        struct ft_vault_task record;
        struct ft_task task;
        FT_TRY(ft_node_find_task(&node, which, &record, &err));
        st = ft_task_open(ft_buf_bytes(&record.signed_task), (const uint8_t(*)[32])node.pinned.task_keys,
                          node.pinned.task_key_count, &task, hash, &err);
        ft_vault_task_clear(&record);
        FT_TRY(st);
        if (task.noise == 0)
            st = ft_fail(&err, FT_ERR_CONFIG, "task %s adds no noise: it is in no plan", task.name);
        ft_budget_reservation(&task, hash, &plan[count]);
        ft_task_clear(&task);
        FT_TRY(st);
    }
    ft_ledger_plan_hash(plan, count, hash);
    printf("%s\n", ft_hex(hex, hash, 32));
out:
    ft_node_close(&node);
    return st == FT_OK ? FT_EXIT_OK : ft_cli_fail(cli, st, &err);
}
