/* fedtill-aggregator budget: what the tasks of this home have spent and may still spend, from their signed
 * parameters and the rounds in the database. The shops' own ledgers decide; this is the centre's view of the
 * same numbers. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "aggregator/commands/statement.h"
#include "common/base/alloc.h"
#include "common/plan/privacy_plan.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct total {
    struct ft_account_event events[FT_ACCOUNT_EVENTS_MAX];
    size_t count;
    double delta;
    bool stores; /* one of them is of unit store, where an event is of a customer of one shop */
};

static enum ft_status
one_task(const struct ft_home *home, const struct ft_task_row *row, json_t *list, struct total *total,
         struct ft_error *err)
{
    struct ft_buf signed_task = { 0 };
    struct ft_task task = { 0 };
    uint8_t signed_hash[32];
    json_t *s = NULL, *entry;
    enum ft_status st;

    FT_TRY(ft_store_task_signed(home->store, row->hash, signed_hash, &signed_task));
    FT_TRY(ft_home_statement(home, row, ft_buf_bytes(&signed_task), NULL, NULL, &s, err));
    FT_TRY(ft_statement_task(s, &task, err));
    const json_t *rounds = json_object_get(s, "rounds");
    const json_int_t charged = json_integer_value(json_object_get(rounds, "charged"));
    const json_int_t planned = json_integer_value(json_object_get(rounds, "planned"));
    const bool over = row->state == FT_TASK_DONE || row->state == FT_TASK_STOPPED;
    entry = json_pack("{s:s, s:s, s:O, s:O, s:O, s:O, s:I, s:I, s:I}", "task", row->name, "state",
                      ft_task_state_name(row->state), "unit", json_object_get(s, "unit"), "relation",
                      json_object_get(s, "relation"), "guarantee", json_object_get(s, "guarantee"),
                      "mechanism", json_object_get(s, "mechanism"), "rounds_charged", charged,
                      "rounds_planned", planned, "rounds_left", over ? (json_int_t)0 : planned - charged);
    if (entry == NULL || json_array_append_new(list, entry) != 0) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    /* Until a task is over, the shops hold all its planned rounds reserved. */
    if (task.noise != 0 && total->count < FT_ACCOUNT_EVENTS_MAX && (over ? charged : planned) > 0) {
        total->events[total->count++] = ft_plan_customer_event(&task, (uint64_t)(over ? charged : planned));
        total->delta += task.privacy.delta;
        total->stores |= task.unit == FT_UNIT_STORE;
    }
out:
    json_decref(s);
    ft_task_clear(&task);
    ft_buf_clear(&signed_task);
    return st;
}

static void
print_entry(const json_t *e)
{
    const json_t *g = json_object_get(e, "guarantee"), *charged = json_object_get(g, "charged"),
                 *planned = json_object_get(g, "planned");

    printf("%-20s %-10s", json_string_value(json_object_get(e, "task")),
           json_string_value(json_object_get(e, "state")));
    if (charged == NULL) {
        printf(" no noise, no claim\n");
        return;
    }
    printf(" epsilon spent %.4g (PLD %.4g), planned %.4g (PLD %.4g), delta %.3g; rounds %lld of %lld, %lld "
           "left\n",
           json_number_value(json_object_get(charged, "rdp")),
           json_number_value(json_object_get(charged, "pld")),
           json_number_value(json_object_get(planned, "rdp")),
           json_number_value(json_object_get(planned, "pld")), json_number_value(json_object_get(g, "delta")),
           (long long)json_integer_value(json_object_get(e, "rounds_charged")),
           (long long)json_integer_value(json_object_get(e, "rounds_planned")),
           (long long)json_integer_value(json_object_get(e, "rounds_left")));
    const double q = json_number_value(json_object_get(json_object_get(e, "mechanism"), "q"));
    printf("%31s unit %s: %s; q %.6g%s, z_eff %.6g\n", "", json_string_value(json_object_get(e, "unit")),
           json_string_value(json_object_get(e, "relation")), q, q < 1 ? " (drawn afresh in each vault)" : "",
           json_number_value(json_object_get(json_object_get(e, "mechanism"), "z_eff")));
}

static const char *
whom(const struct total *t)
{
    return t->stores ? "a customer in all of them, of unit store through one shop's data: each further shop adds to it"
                     : "a customer in all of them";
}

/* All tasks together, as if the same customers were in all of them. */
static json_t *
total_json(const struct total *t)
{
    struct ft_account_cost cost;

    if (t->count == 0)
        return json_null();
    if (ft_account_cost(t->events, t->count, t->delta, &cost) != FT_OK)
        return json_pack("{s:i, s:f, s:n, s:n, s:s}", "tasks", (int)t->count, "delta", t->delta, "rdp", "pld", "for",
                         whom(t));
    return json_pack("{s:i, s:f, s:f, s:f, s:s}", "tasks", (int)t->count, "delta", t->delta, "rdp", cost.rdp,
                     "pld", cost.pld, "for", whom(t));
}

int
ft_cmd_budget(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_task_row *rows = NULL, one;
    struct ft_error err = { 0 };
    struct total *total = NULL;
    json_t *list = json_array(), *all = NULL;
    size_t count = 0;
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK) {
        json_decref(list);
        return code;
    }
    total = ft_calloc(1, sizeof *total);
    if (total == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    if (ft_cli_operand(cli, 0) != NULL) {
        FT_TRY(ft_home_task(&home, ft_cli_operand(cli, 0), &one, &err));
        FT_TRY(one_task(&home, &one, list, total, &err));
    } else {
        FT_TRY(ft_store_tasks(home.store, &rows, &count));
        for (size_t i = 0; i < count; i++)
            FT_TRY(one_task(&home, &rows[i], list, total, &err));
    }
    all = total_json(total);
    if (ft_cli_json(cli)) {
        code = ft_cli_print_json(json_pack("{s:O, s:O}", "tasks", list, "together", all));
        goto out;
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        print_entry(json_array_get(list, i));
    if (json_is_object(all) && total->count > 1 && !json_is_number(json_object_get(all, "rdp")))
        printf("%-31s no bound for a customer in all of them: the accountant has no number for it\n", "together");
    else if (json_is_object(all) && total->count > 1)
        printf("%-31s epsilon at most %.4g (PLD %.4g), delta %.3g, for %s\n",
               "together", json_number_value(json_object_get(all, "rdp")),
               json_number_value(json_object_get(all, "pld")),
               json_number_value(json_object_get(all, "delta")), whom(total));
    if (json_array_size(list) == 0)
        printf("no tasks\n");
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    json_decref(all);
    json_decref(list);
    ft_free(rows);
    ft_free(total);
    ft_home_close(&home);
    return code;
}
