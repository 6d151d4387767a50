/* fedtill-aggregator task publish|list|start|pause|resume|stop|status: tasks in the register. */
#include "aggregator/commands/cmd_task_file.h"
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "aggregator/commands/show.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/plan/round_plan.h"
#include "common/task/task.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS_SHOWN 10000

/* A signed task file whose signature is by one of the keys that shops pin, stored as PUBLISHED. */
int
ft_cmd_task_publish(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_home_trust trust = { 0 };
    struct ft_buf signed_task = { 0 };
    struct ft_task task = { 0 };
    struct ft_error err = { 0 };
    uint8_t hash[32], signed_hash[32];
    char hex[65];
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    FT_TRY(ft_home_trust(&home, &trust, &err));
    FT_TRY(ft_file_read(ft_cli_operand(cli, 0), 2 * FT_TASK_BYTES_MAX, &signed_task, &err));
    FT_TRY(ft_task_open(ft_buf_bytes(&signed_task), trust.trust.task_keys, trust.trust.task_key_count, &task, hash,
                        &err));
    if (memcmp(task.deployment, home.deployment, sizeof task.deployment) != 0) {
        st = ft_fail(&err, FT_ERR_VERIFY, "%s: signed for another deployment than this home's", ft_cli_operand(cli, 0));
        goto out;
    }
    const uint32_t roster = ft_home_corrupted(&home);
    if (task.corrupted < roster) {
        st = ft_fail(&err, FT_ERR_CONFIG,
                     "%s: cohort.corrupted is %u, and the roster says that up to %u shops may collude: no shop would join a "
                     "round; expected %u or more",
                     ft_cli_operand(cli, 0), task.corrupted, roster, roster);
        goto out;
    }
    ft_blob_hash(ft_buf_bytes(&signed_task), signed_hash);
    st = ft_store_task_put(home.store, hash, task.name, signed_hash, ft_buf_bytes(&signed_task),
                           ft_env_system()->wall_ms(NULL));
    if (st == FT_ERR_DUPLICATE)
        ft_fail(&err, st, "%s is published already", task.name);
    if (st != FT_OK)
        goto out;
    ft_hex(hex, hash, 32);
    if (ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:s, s:s}", "task", task.name, "hash", hex));
    else
        printf("%s: published as %.16s; `task start %s` offers it to the shops\n", task.name, hex, task.name);
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    ft_task_clear(&task);
    ft_buf_clear(&signed_task);
    ft_home_trust_clear(&trust);
    ft_home_close(&home);
    return code;
}

static json_t *
task_json(const struct ft_task_row *row)
{
    char hex[65], model[65];
    ft_hex(hex, row->hash, 32);
    ft_hex(model, row->progress.model_hash, 32);
    return json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:s}", "task", row->name, "hash", hex, "state",
                     ft_task_state_name(row->state), "trained", (int)row->progress.trained, "version",
                     (json_int_t)row->progress.version, "last_round", (json_int_t)row->progress.last_round, "model_hash",
                     model);
}

int
ft_cmd_task_list(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_task_row *rows = NULL;
    size_t count = 0;
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    st = ft_store_tasks(home.store, &rows, &count);
    if (st != FT_OK) {
        code = ft_cli_fail(cli, st, NULL);
    } else if (ft_cli_json(cli)) {
        json_t *list = json_array();
        for (size_t i = 0; i < count; i++)
            json_array_append_new(list, task_json(&rows[i]));
        code = ft_cli_print_json(json_pack("{s:o}", "tasks", list));
    } else {
        printf("%-32s %-16s %-10s %8s %8s\n", "task", "hash", "state", "trained", "round");
        for (size_t i = 0; i < count; i++) {
            char hex[65];
            printf("%-32s %.16s %-10s %8u %8llu\n", rows[i].name, ft_hex(hex, rows[i].hash, 32),
                   ft_task_state_name(rows[i].state), rows[i].progress.trained,
                   (unsigned long long)rows[i].progress.last_round);
        }
    }
    ft_free(rows);
    ft_home_close(&home);
    return code;
}

static int
move(struct ft_cli *cli, enum ft_task_state state, enum ft_task_state only_from)
{
    struct ft_home home;
    struct ft_task_row row;
    struct ft_error err = { 0 };
    const char *name = ft_cli_operand(cli, 0);
    char question[160];
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    FT_TRY(ft_home_task(&home, name, &row, &err));
    if ((row.state == FT_TASK_DONE || row.state == FT_TASK_STOPPED) && row.state != state) {
        st = ft_fail(&err, FT_ERR_NOTFOUND, "%s has ended: it is %s. Publish a new task to go on", row.name,
                     ft_task_state_name(row.state));
        goto out;
    }
    if (only_from != 0 && row.state != only_from && row.state != state) {
        st = ft_fail(&err, FT_ERR_REFUSED, "%s is %s, expected %s", row.name, ft_task_state_name(row.state),
                     ft_task_state_name(only_from));
        goto out;
    }
    if (state == FT_TASK_STOPPED) {
        snprintf(question, sizeof question, "Stop %s for good? Its models stay.", row.name);
        FT_TRY(ft_cli_confirm(cli, question, &err));
    }
    st = ft_store_task_set_state(home.store, row.hash, state, ft_env_system()->wall_ms(NULL));
    if (st == FT_ERR_REFUSED)
        ft_fail(&err, st, "%s is %s and cannot become %s", row.name, ft_task_state_name(row.state),
                ft_task_state_name(state));
    if (st != FT_OK)
        goto out;
    if (ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:s, s:s}", "task", row.name, "state", ft_task_state_name(state)));
    else
        printf("%s: %s\n", row.name, ft_task_state_name(state));
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    ft_home_close(&home);
    return code;
}

int
ft_cmd_task_start(struct ft_cli *cli)
{
    return move(cli, FT_TASK_RUNNING, FT_TASK_PUBLISHED);
}

int
ft_cmd_task_pause(struct ft_cli *cli)
{
    return move(cli, FT_TASK_PAUSED, FT_TASK_RUNNING);
}

int
ft_cmd_task_resume(struct ft_cli *cli)
{
    return move(cli, FT_TASK_RUNNING, FT_TASK_PAUSED);
}

int
ft_cmd_task_stop(struct ft_cli *cli)
{
    return move(cli, FT_TASK_STOPPED, 0);
}

/* One task, the shops' verdicts on it and its rounds. */
int
ft_cmd_task_status(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_task_row row;
    struct ft_round_row *rounds = NULL;
    struct ft_verdict_row *verdicts = NULL;
    size_t round_count = 0, verdict_count = 0;
    struct ft_error err = { 0 };
    enum ft_status st;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK)
        return code;
    FT_TRY(ft_home_task(&home, ft_cli_operand(cli, 0), &row, &err));
    FT_TRY(ft_store_rounds(home.store, row.hash, ROUNDS_SHOWN, &rounds, &round_count));
    FT_TRY(ft_store_verdicts(home.store, row.hash, &verdicts, &verdict_count));
    if (ft_cli_json(cli)) {
        json_t *object = task_json(&row), *list = json_array(), *words = json_array();
        for (size_t i = 0; i < round_count; i++)
            json_array_append_new(list, ft_round_json(&rounds[i]));
        for (size_t i = 0; i < verdict_count; i++)
            json_array_append_new(words, json_pack("{s:I, s:i, s:s}", "shop", (json_int_t)verdicts[i].shop, "verdict",
                                                   (int)verdicts[i].verdict, "codes", verdicts[i].codes));
        json_object_set_new(object, "rounds", list);
        json_object_set_new(object, "verdicts", words);
        code = ft_cli_print_json(object);
    } else {
        printf("%s: %s, %u training rounds committed, model version %llu\n", row.name, ft_task_state_name(row.state),
               row.progress.trained, (unsigned long long)row.progress.version);
        ft_rounds_print(rounds, round_count, stdout);
    }
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    ft_round_rows_free(rounds, round_count);
    ft_free(verdicts);
    ft_home_close(&home);
    return code;
}
