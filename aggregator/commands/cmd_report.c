/* fedtill-aggregator report model: one page that says what a model is, what it promises and how good it is.
 * Every number comes from the signed task and the records; `fedtill-verify report` works out again what the
 * file itself can show. */
#include "aggregator/commands/commands.h"
#include "aggregator/commands/home.h"
#include "aggregator/commands/statement.h"
#include "aggregator/export/statistics_text.h"
#include "aggregator/export/statistics.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/task/task.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct ft_cli_option ft_cmd_report_options[] = {
    FT_CLI_HOME,
    { .name = "model-version",
      .kind = FT_CLI_UINT,
      .argument = "V",
      .help = "which version (default: the newest)" },
    { .name = "format", .kind = FT_CLI_TEXT, .argument = "F", .help = "text or json", .fallback = "text" },
    { .name = "out",
      .kind = FT_CLI_TEXT,
      .argument = "FILE",
      .help = "write it there (default: standard output)" },
    FT_CLI_OPTIONS_END,
};

/* ---- from the records ---- */

/* The round that made the model, and the one that measured it. Errors: VERIFY (no committed round made it).
 */
static enum ft_status
find_rounds(const struct ft_home *home, const struct ft_task_row *task, const uint8_t hash[32],
            const struct ft_round_row *rounds, size_t count, const struct ft_round_row **made,
            const struct ft_round_row **measured, struct ft_error *err)
{
    struct ft_model_row *models = NULL;
    size_t model_count = 0;
    enum ft_status st;

    *made = *measured = NULL;
    FT_TRY(ft_store_log_check(home->store, err));
    FT_TRY(ft_store_models(home->store, task->hash, &models, &model_count));
    for (size_t m = 0; m < model_count; m++)
        for (size_t i = 0; i < count && memcmp(models[m].hash, hash, 32) == 0; i++)
            if (rounds[i].state == FT_ROUND_COMMITTED && rounds[i].round == models[m].round)
                *made = &rounds[i];
    for (size_t i = 0; i < count; i++)
        if (rounds[i].state == FT_ROUND_COMMITTED && memcmp(rounds[i].model_hash, hash, 32) == 0)
            *measured = &rounds[i];
    if (*made == NULL)
        st = ft_fail(err, FT_ERR_VERIFY, "this version of %s is not in the log: no committed round made it",
                     task->name);
out:
    ft_free(models);
    return st;
}

static json_t *
log_json(const struct ft_home *home, const struct ft_round_row *made)
{
    uint64_t size = 0;
    uint8_t head[32] = { 0 };
    char a[65], b[65], c[65];

    if (ft_store_log_head(home->store, &size, head) != FT_OK)
        return json_null();
    return json_pack("{s:I, s:s, s:I, s:s, s:s}", "leaves", (json_int_t)size, "head", ft_hex(a, head, 32),
                     "round", (json_int_t)made->round, "result_hash", ft_hex(b, made->result_hash, 32),
                     "transcript", ft_hex(c, made->transcript, 32));
}

static json_t *
limits_json(const json_t *numbers)
{
    json_t *list = json_array();
    char text[300];

    json_array_append_new(list,
                          json_string("not checked by anybody: that every shop computed what it should"));
    snprintf(text, sizeof text, "made for %s; any other use needs its own task and its own purpose",
             json_string_value(json_object_get(numbers, "purpose")));
    json_array_append_new(list, json_string(text));
    if (strncmp(json_string_value(json_object_get(numbers, "purpose")), "measure/", 8) == 0)
        json_array_append_new(list, json_string("figures of the shops in the sum, not of other shops"));
    else
        json_array_append_new(
        list, json_string("measured on later weeks or held-out rows of the same shops, not on other shops"));
    return list;
}

static const char *
deletion(const json_t *statement)
{
    const char *unit = json_string_value(json_object_get(statement, "unit"));

    if (unit != NULL && strcmp(unit, ft_unit_name(FT_UNIT_STORE)) == 0)
        return "a customer who is erased later: the claim above is about shops; with or without one customer (or any "
               "number) of a shop, its vector differs by at most twice as much, which is the cost at half the noise "
               "multiplier; a shop's policy may ask for more";
    if (json_object_get(json_object_get(statement, "guarantee"), "epsilon") != NULL)
        return "a customer who is erased later: this model differs from one that never had them by at most "
               "the epsilon and "
               "delta above (k erased customers: the cost of a group of k); a shop's policy may ask for more";
    return "a customer who is erased later: no bound is claimed for this model; each shop's policy says "
           "whether it is "
           "retrained or retired";
}

static enum ft_status
find_figures(const json_t *statement, const struct ft_model_state *state, json_t **out, struct ft_error *err)
{
    struct ft_task task = { 0 };
    enum ft_status st;

    FT_TRY(ft_statement_task(statement, &task, err));
    FT_TRY(ft_statistics_figures(&task, &state->found, out, err));
out:
    ft_task_clear(&task);
    return st;
}

static enum ft_status
make_report(const struct ft_home *home, const struct ft_task_row *row, uint64_t version, json_t **out,
            struct ft_error *err)
{
    struct ft_model_state state = { 0 };
    struct ft_buf signed_task = { 0 };
    struct ft_round_row *rounds = NULL;
    const struct ft_round_row *made, *measured;
    json_t *statement = NULL, *numbers = NULL, *figures = NULL, *quality;
    uint8_t hash[32], signed_hash[32];
    size_t count = 0;
    enum ft_status st;

    FT_TRY(ft_home_model(home, row, version, &state, hash, err));
    FT_TRY(ft_store_task_signed(home->store, row->hash, signed_hash, &signed_task));
    FT_TRY(ft_store_rounds(home->store, row->hash, 1000000, &rounds, &count));
    FT_TRY(find_rounds(home, row, hash, rounds, count, &made, &measured, err));
    FT_TRY(ft_home_statement(home, row, ft_buf_bytes(&signed_task), &state, hash, &statement, err));
    FT_TRY(ft_statement_check(statement, err));
    FT_TRY(ft_statement_numbers(statement, &numbers, err));
    quality = measured != NULL && measured->metrics != NULL ? json_loads(measured->metrics, 0, NULL) : NULL;
    const json_t *task = json_object_get(statement, "task");
    if (state.found.count > 0)
        FT_TRY(find_figures(statement, &state, &figures, err));
    *out = json_pack(
        "{s:o, s:s, s:s, s:I, s:o, s:O, s:o, s:{s:b, s:s}, s:o, s:{s:O, s:O}, s:s, s:o}", "figures",
        figures != NULL ? json_incref(figures) : json_null(), "report",
        "fedtill-model-report", "task", row->name, "model_version", (json_int_t)state.version, "numbers",
        numbers, "statement", statement, "quality", quality != NULL ? quality : json_null(), "fairness",
        "measured", 0, "why", "the task names no groups to compare; no figure is better than a made-up one",
        "limits", limits_json(numbers), "retention", "review", json_object_get(task, "review"), "expires",
        json_object_get(task, "expires"), "deletion", deletion(statement), "log", log_json(home, made));
    numbers = NULL; /* in *out */
    if (*out == NULL)
        st = FT_ERR_NOMEM;
out:
    json_decref(numbers);
    json_decref(figures);
    json_decref(statement);
    ft_round_rows_free(rounds, count);
    ft_model_state_clear(&state);
    ft_buf_clear(&signed_task);
    return st;
}

/* ---- as a page ---- */

static enum ft_status
estimate(struct ft_buf *out, const json_t *quality, const char *name)
{
    const json_t *v = json_object_get(quality, name);

    if (json_is_number(json_object_get(v, "value")))
        return ft_buf_printf(out, "  %-12s %.4f  (95 %%: %.4f to %.4f)\n", name,
                             json_number_value(json_object_get(v, "value")),
                             json_number_value(json_object_get(v, "low")),
                             json_number_value(json_object_get(v, "high")));
    if (v != NULL && json_object_get(quality, "noise") != NULL)
        return ft_buf_printf(out, "  %-12s the noise leaves it open\n", name);
    return FT_OK;
}

/* Share of each segment among the held-out members; loss is the mean squared distance to a segment's middle. */
static enum ft_status
segments(struct ft_buf *out, const json_t *quality)
{
    const json_t *list = json_object_get(quality, "clusters");
    const json_t *rest = json_object_get(json_object_get(json_object_get(quality, "other_clusters"), "share"), "value");
    enum ft_status st = FT_OK;

    for (size_t i = 0; st == FT_OK && i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i), *share = json_object_get(one, "share");
        const int number = (int)json_integer_value(json_object_get(one, "cluster"));
        if (json_is_number(json_object_get(share, "value")))
            st = ft_buf_printf(out, "  segment %-4d %.4f  (95 %%: %.4f to %.4f)\n", number,
                               json_number_value(json_object_get(share, "value")),
                               json_number_value(json_object_get(share, "low")),
                               json_number_value(json_object_get(share, "high")));
        else
            st = ft_buf_printf(out, "  segment %-4d withheld: too few members\n", number);
    }
    if (st == FT_OK && json_is_number(rest))
        st = ft_buf_printf(out, "  %-12s %.4f\n", "withheld", json_number_value(rest));
    return st;
}

static enum ft_status
lines(struct ft_buf *out, const char *head, const json_t *list)
{
    enum ft_status st = ft_buf_printf(out, "%s\n", head);

    for (size_t i = 0; st == FT_OK && i < json_array_size(list); i++)
        st = ft_buf_printf(out, "  - %s\n", json_string_value(json_array_get(list, i)));
    return st;
}

static enum ft_status
page(const json_t *report, struct ft_buf *out)
{
    const json_t *n = json_object_get(report, "numbers"), *s = json_object_get(report, "statement"),
                 *q = json_object_get(report, "quality"), *log = json_object_get(report, "log");
    const json_t *customers = json_object_get(n, "customers_at_most_about");
    enum ft_status st;
#define WORD(object, name) json_string_value(json_object_get(object, name))

    FT_TRY(ft_buf_printf(out, "%s, version %lld\n%s\n\n", WORD(report, "task"),
                         (long long)json_integer_value(json_object_get(report, "model_version")),
                         WORD(n, "title")));
    FT_TRY(ft_buf_printf(
        out, "Purpose      %s\nOwner        %s\nData         %s\nModel        %s of %zu features, %s%s\n",
        WORD(n, "purpose"), WORD(n, "owner"), WORD(n, "data"), WORD(n, "model"),
        json_array_size(json_object_get(n, "features")), WORD(n, "label")[0] != '\0' ? "label " : "no label",
        WORD(n, "label")));
    if (json_is_integer(customers))
        FT_TRY(ft_buf_printf(out, "Shops        %lld named, about %lld customers at most as declared\n",
                             (long long)json_integer_value(json_object_get(n, "shops_named")),
                             (long long)json_integer_value(customers)));
    else if (json_is_integer(json_object_get(n, "shops_named"))) /* unit store */
        FT_TRY(ft_buf_printf(out, "Shops        %lld named, each one vector, however many its customers\n",
                             (long long)json_integer_value(json_object_get(n, "shops_named"))));
    FT_TRY(ft_buf_printf(out, "Sums         %lld rounds, at least %lld shops in each\n\nPrivacy\n%s\n\n",
                         (long long)json_integer_value(json_object_get(n, "rounds_charged")),
                         (long long)json_integer_value(json_object_get(n, "least_survivors")),
                         ft_statement_text(s)));
    FT_TRY(lines(out, "Covered", json_object_get(s, "covered")));
    FT_TRY(lines(out, "Not covered", json_object_get(s, "not_covered")));
    FT_TRY(lines(out, "Assumed", json_object_get(s, "assumptions")));
    const json_t *figures = json_object_get(report, "figures");
    FT_TRY(ft_buf_str(out, json_is_object(figures) ? "\nFigures\n" : "\nQuality\n"));
    if (json_is_object(figures))
        FT_TRY(ft_statistics_text(figures, out));
    else if (json_object_get(q, "loss") == NULL)
        FT_TRY(ft_buf_str(out, "  this version has not been measured\n"));
    FT_TRY(estimate(out, q, "auc"));
    FT_TRY(estimate(out, q, "accuracy"));
    FT_TRY(estimate(out, q, "loss"));
    FT_TRY(segments(out, q));
    FT_TRY(ft_buf_printf(out, "Fairness     not measured: %s\n\n",
                         WORD(json_object_get(report, "fairness"), "why")));
    FT_TRY(lines(out, "Limits", json_object_get(report, "limits")));
    FT_TRY(ft_buf_printf(out, "\nRetention    review by %s, not after %s\nDeletion     %s\n",
                         WORD(json_object_get(report, "retention"), "review"),
                         WORD(json_object_get(report, "retention"), "expires"), WORD(report, "deletion")));
    FT_TRY(ft_buf_printf(out, "Log          %lld leaves, head %s; round %lld made this version, result %s\n",
                         (long long)json_integer_value(json_object_get(log, "leaves")), WORD(log, "head"),
                         (long long)json_integer_value(json_object_get(log, "round")),
                         WORD(log, "result_hash")));
#undef WORD
out:
    return st;
}

int
ft_cmd_report_model(struct ft_cli *cli)
{
    struct ft_home home;
    struct ft_task_row row;
    struct ft_error err = { 0 };
    struct ft_buf text = { 0 };
    json_t *report = NULL;
    const char *format = ft_cli_text(cli, "format"), *path = ft_cli_text(cli, "out");
    const bool json = ft_cli_json(cli) || strcmp(format, "json") == 0;
    char *dump = NULL;
    enum ft_status st;
    int code;

    if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0)
        return ft_cli_usage(cli, "--format is '%.40s', expected text or json", format);
    code = ft_home_open(cli, &home);
    if (code != FT_EXIT_OK)
        return code;
    FT_TRY(ft_home_task(&home, ft_cli_operand(cli, 0), &row, &err));
    FT_TRY(make_report(&home, &row, ft_cli_uint(cli, "model-version", row.progress.version), &report, &err));
    if (json) {
        dump = json_dumps(report, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        FT_TRY(dump != NULL ? ft_buf_str(&text, dump) : FT_ERR_NOMEM);
        FT_TRY(ft_buf_str(&text, "\n"));
    } else {
        FT_TRY(page(report, &text));
    }
    if (path != NULL)
        FT_TRY(ft_file_write(path, ft_buf_bytes(&text), 0644, &err));
    else
        fwrite(text.data, 1, text.size, stdout);
    if (path != NULL && ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:s, s:s}", "file", path, "task", row.name));
    else if (path != NULL)
        printf("%s: the report of %s\n", path, row.name);
out:
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    free(dump);
    json_decref(report);
    ft_buf_clear(&text);
    ft_home_close(&home);
    return code;
}
