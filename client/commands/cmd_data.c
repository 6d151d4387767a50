/* `data minimise`: every mapped column, what uses it and since when nothing does (feature map, S-06). */
#include "client/commands/commands.h"
#include "client/commands/node.h"
#include "client/source/schema.h"
#include "common/base/alloc.h"
#include "common/base/date.h"
#include "common/task/task.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

const struct ft_cli_option ft_cmd_data_minimise_options[] = {
    FT_CLI_HOME,
    { .name = "strict", .kind = FT_CLI_FLAG, .help = "a column without use is a finding (exit 1)" },
    FT_CLI_OPTIONS_END,
};

#define COLUMNS_MAX (FT_TABLE_COUNT * FT_SOURCE_COLUMNS_MAX)

struct column {
    const char *table;
    const struct ft_column_map *map;
    json_t *uses;   /* names of tasks, "consent", "exclusion" */
    int64_t last_s; /* last round of any task that reads it, at work or not; 0 never */
};

struct survey {
    struct ft_node *node;
    struct ft_db *db;
    struct column list[COLUMNS_MAX];
    size_t count;
    enum ft_status status;
};

static void
add_table(struct survey *s, const char *name, const struct ft_client_table *table)
{
    for (uint32_t i = 0; i < table->column_count && s->count < COLUMNS_MAX; i++)
        s->list[s->count++] =
            (struct column){ .table = name, .map = &table->columns[i], .uses = json_array() };
}

static void
note_use(struct survey *s, const char *table, const char *column, const char *by, bool live, int64_t last_s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct column *c = &s->list[i];
        if (strcasecmp(c->table, table) != 0 || strcasecmp(c->map->standard, column) != 0)
            continue;
        if (live)
            json_array_append_new(c->uses, json_string(by));
        if (last_s > c->last_s)
            c->last_s = last_s;
    }
}

/* A task that a person denied or the policy refuses reads nothing here; what it once read stays dated. */
static bool
note_task(void *ctx, const struct ft_vault_task *t)
{
    struct survey *s = ctx;
    const struct ft_pinned *pins = &s->node->pinned;
    struct ft_examples_uses *uses = ft_calloc(1, sizeof *uses);
    struct ft_task task;
    uint8_t hash[32];
    int64_t last_s = 0;
    const bool live = t->approval != FT_VAULT_DENIED && t->verdict != FT_VERDICT_REFUSED;

    s->status =
        uses != NULL ? s->node->store->calls->last_of_task(s->node->store, t->hash, &last_s) : FT_ERR_NOMEM;
    if (s->status == FT_OK &&
        ft_task_open(ft_buf_bytes(&t->signed_task), (const uint8_t(*)[32])pins->task_keys,
                     pins->task_key_count, &task, hash, NULL) == FT_OK) {
        if (ft_examples_find_uses(s->db, task.sql, uses, NULL) == FT_OK)
            for (size_t i = 0; i < uses->count; i++)
                note_use(s, uses->list[i].table, uses->list[i].column, task.name, live, last_s);
        ft_task_clear(&task);
    }
    ft_free(uses);
    return s->status == FT_OK;
}

/* What the shop itself reads: who consented, and its standing exclusions. */
static enum ft_status
note_own_uses(struct survey *s, struct ft_error *err)
{
    struct ft_policy policy;
    enum ft_policy_guard guard;
    struct ft_findings *findings = ft_calloc(1, sizeof *findings);
    if (findings == NULL)
        return FT_ERR_NOMEM;
    ft_findings_init(findings, s->node->config.policy);
    enum ft_status st = ft_node_policy(s->node, &policy, &guard, findings, err);
    if (st == FT_ERR_CONFIG)
        st = ft_findings_status(findings, err);
    if (st == FT_OK) {
        if (s->node->config.consent.basis == FT_BASIS_CONSENT)
            note_use(s, "transactions", "customer_id", "consent", true, 0);
        for (uint32_t i = 0; i < policy.exclude_count; i++)
            note_use(s, policy.exclude[i].table, policy.exclude[i].column, "exclusion", true, 0);
        if (policy.home.column != NULL) {
            note_use(s, "customers", "customer_id", "home store", true, 0);
            note_use(s, "customers", policy.home.column, "home store", true, 0);
        }
        if (policy.home.since != NULL)
            note_use(s, "customers", policy.home.since, "home store", true, 0);
        ft_policy_clear(&policy);
    }
    ft_free(findings);
    return st;
}

static enum ft_status
look(struct survey *s, struct ft_error *err)
{
    enum ft_status st;
    FT_TRY(ft_db_open(&s->db, err));
    add_table(s, "transactions", &s->node->config.source.transactions);
    add_table(s, "customers", &s->node->config.source.customers);
    add_table(s, "products", &s->node->config.source.products);
    FT_TRY(note_own_uses(s, err));
    FT_TRY(s->node->store->calls->task_list(s->node->store, note_task, s));
    st = s->status;
out:
    ft_db_close(s->db);
    return st;
}

static void
print_column(const struct column *c)
{
    char last[11] = "never", name[128];
    size_t i;
    json_t *use;
    if (c->last_s > 0)
        ft_date_format(last, ft_date_of_seconds(c->last_s));
    snprintf(name, sizeof name, "%s.%s", c->table, c->map->standard);
    printf("%-32s %-24s %-10s  ", name, c->map->source, last);
    json_array_foreach(c->uses, i, use) printf("%s%s", i > 0 ? ", " : "", json_string_value(use));
    printf("%s\n", i > 0 ? "" : "UNUSED: take it out of client.yaml");
}

int
ft_cmd_data_minimise(struct ft_cli *cli)
{
    struct ft_node node;
    struct ft_error err = { 0 };
    int code;
    if (!ft_node_store(cli, &node, &code))
        return code;
    struct survey *s = ft_calloc(1, sizeof *s);
    enum ft_status st = FT_ERR_NOMEM;
    size_t unused = 0;
    if (s != NULL) {
        s->node = &node;
        st = look(s, &err);
    }
    if (st == FT_OK) {
        json_t *list = json_array();
        if (!ft_cli_json(cli))
            printf("%-32s %-24s %-10s  %s\n", "COLUMN", "READ FROM", "LAST USED", "USED BY");
        for (size_t i = 0; i < s->count; i++) {
            const struct column *c = &s->list[i];
            unused += json_array_size(c->uses) == 0;
            if (!ft_cli_json(cli))
                print_column(c);
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:O, s:I}", "table", c->table, "column",
                                                  c->map->standard, "source", c->map->source, "uses", c->uses,
                                                  "last_used_s", (json_int_t)c->last_s));
        }
        if (ft_cli_json(cli))
            ft_cli_print_json(json_pack("{s:o, s:I}", "columns", list, "unused", (json_int_t)unused));
        else
            json_decref(list);
        code = unused > 0 && ft_cli_flag(cli, "strict") ? FT_EXIT_FINDINGS : FT_EXIT_OK;
    } else {
        code = ft_cli_fail(cli, st, &err);
    }
    for (size_t i = 0; s != NULL && i < s->count; i++)
        json_decref(s->list[i].uses);
    ft_free(s);
    ft_node_close(&node);
    return code;
}
