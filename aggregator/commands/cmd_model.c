/* fedtill-aggregator model list|show: the versions a task has made. Export is in cmd_model_export.c. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "aggregator/commands/show.h"
#include "common/base/alloc.h"

#include <jansson.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The committed round that measured the model with this hash, newest first; NULL when none did yet. */
static const struct ft_round_row *
measured_by(const struct ft_round_row *rounds, size_t count, const uint8_t hash[32])
{
    for (size_t i = count; i-- > 0;)
        if (rounds[i].state == FT_ROUND_COMMITTED && memcmp(rounds[i].model_hash, hash, 32) == 0)
            return &rounds[i];
    return NULL;
}

static json_t *
model_json(const struct ft_model_row *model, const struct ft_round_row *rounds, size_t round_count)
{
    const struct ft_round_row *round = measured_by(rounds, round_count, model->hash);
    char hex[65], stamp[32];
    const time_t s = (time_t)(model->created_ms / 1000);
    struct tm tm;
    json_t *metrics = round != NULL && round->metrics != NULL ? json_loads(round->metrics, JSON_DECODE_ANY, NULL) : NULL;

    ft_hex(hex, model->hash, 32);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&s, &tm));
    return json_pack("{s:I, s:s, s:I, s:s, s:I, s:o}", "version", (json_int_t)model->version, "hash", hex, "round",
                     (json_int_t)model->round, "created", stamp, "bytes", (json_int_t)model->size, "metrics",
                     metrics != NULL ? metrics : json_null());
}

static double
metric(const json_t *model, const char *name)
{
    const json_t *value = json_object_get(json_object_get(model, "metrics"), name);
    if (json_is_object(value))
        value = json_object_get(value, "value");
    return json_is_number(value) ? json_number_value(value) : -1;
}

static int
list_models(struct ft_cli *cli, bool one)
{
    struct ft_home home;
    struct ft_task_row task;
    struct ft_model_row *models = NULL;
    struct ft_round_row *rounds = NULL;
    size_t model_count = 0, round_count = 0;
    struct ft_error err = { 0 };
    enum ft_status st;
    json_t *list = json_array();
    uint64_t version = 0;
    int code = ft_home_open(cli, &home);

    if (code != FT_EXIT_OK) {
        json_decref(list);
        return code;
    }
    FT_TRY(ft_home_task(&home, ft_cli_operand(cli, 0), &task, &err));
    FT_TRY(ft_store_models(home.store, task.hash, &models, &model_count));
    FT_TRY(ft_store_rounds(home.store, task.hash, 1000000, &rounds, &round_count));
    version = one ? ft_cli_uint(cli, "model-version", task.progress.version) : 0;
    for (size_t i = 0; i < model_count; i++)
        if (!one || models[i].version == version)
            json_array_append_new(list, model_json(&models[i], rounds, round_count));
    if (one && json_array_size(list) == 0) {
        st = ft_fail(&err, FT_ERR_NOTFOUND, "%s has no model version %llu; `model list %s` shows them", task.name,
                     (unsigned long long)version, task.name);
        goto out;
    }
    if (ft_cli_json(cli)) {
        code = ft_cli_print_json(one ? json_incref(json_array_get(list, json_array_size(list) - 1))
                                     : json_pack("{s:s, s:O}", "task", task.name, "models", list));
    } else if (one) {
        char *text = json_dumps(json_array_get(list, json_array_size(list) - 1), JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        printf("%s\n", text != NULL ? text : "");
        free(text);
    } else {
        printf("%8s %-16s %8s %10s %10s %s\n", "version", "hash", "round", "loss", "auc", "created");
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *m = json_array_get(list, i);
            printf("%8lld %.16s %8lld %10.5f %10.5f %s\n",
                   (long long)json_integer_value(json_object_get(m, "version")),
                   json_string_value(json_object_get(m, "hash")),
                   (long long)json_integer_value(json_object_get(m, "round")), metric(m, "loss"), metric(m, "auc"),
                   json_string_value(json_object_get(m, "created")));
        }
    }
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    json_decref(list);
    ft_free(models);
    ft_round_rows_free(rounds, round_count);
    ft_home_close(&home);
    return code;
}

int
ft_cmd_model_list(struct ft_cli *cli)
{
    return list_models(cli, false);
}

int
ft_cmd_model_show(struct ft_cli *cli)
{
    return list_models(cli, true);
}
