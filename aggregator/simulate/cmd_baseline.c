#include "aggregator/simulate/cmd_baseline.h"
#include "aggregator/simulate/baseline.h"
#include "aggregator/export/statistics_text.h"
#include "aggregator/simulate/home.h"
#include "aggregator/simulate/pooled_figures.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/model/model.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define MODEL_FILE_MAX ((size_t)1 << 30)

const struct ft_cli_option ft_cmd_baseline_options[] = {
    { .name = "task", .kind = FT_CLI_TEXT, .required = true, .argument = "FILE",
      .help = "the task, as YAML or signed" },
    { .name = "model", .kind = FT_CLI_TEXT, .argument = "FILE",
      .help = "a federated model exported as JSON, to score beside the others" },
    { .name = "csv", .kind = FT_CLI_FLAG,
      .help = "each operand is one shop's CSV file of transactions, not a home; everybody is eligible" },
    FT_CLI_OPTIONS_END,
};

/* JSON has no NaN: what could not be measured is null. */
static json_t *
number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *
score_json(const struct ft_baseline_score *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "objective", number(s->objective), "auc", number(s->auc),
                     "test_loss", number(s->test_loss), "accuracy", number(s->accuracy), "auc_mean_of_shops",
                     number(s->auc_mean));
}

static json_t *
baseline_json(const struct ft_task *task, const struct ft_baseline *b)
{
    json_t *root = json_pack("{s:s, s:I, s:I, s:I, s:o, s:{s:I, s:o, s:o, s:o, s:o}}", "task", task->name, "shops",
                             (json_int_t)b->shops, "train_rows", (json_int_t)b->train_rows, "test_rows",
                             (json_int_t)b->test_rows, "pooled", score_json(&b->pooled), "alone", "shops",
                             (json_int_t)b->alone_shops, "auc_mean", number(b->alone_auc_mean), "auc_min",
                             number(b->alone_auc_low), "auc_max", number(b->alone_auc_high), "test_loss_mean",
                             number(b->alone_loss_mean));
    if (root != NULL && b->has_federated)
        (void)json_object_set_new(root, "federated", score_json(&b->federated));
    return root;
}

static void
print_number(double v, int width, int decimals)
{
    if (isfinite(v))
        printf("  %*.*f", width, decimals, v);
    else
        printf("  %*s", width, "-");
}

static void
print_row(const char *name, const struct ft_baseline_score *s)
{
    printf("%-28s", name);
    print_number(s->objective, 10, 6);
    print_number(s->auc, 8, 4);
    print_number(s->test_loss, 9, 4);
    print_number(s->auc_mean, 15, 4);
    printf("\n");
}

static void
print_table(const struct ft_task *task, const struct ft_baseline *b)
{
    const struct ft_baseline_score alone = { NAN, NAN, b->alone_loss_mean, NAN, b->alone_auc_mean };
    printf("%s: %zu shops, %zu train and %zu test rows\n", task->name, b->shops, b->train_rows, b->test_rows);
    printf("%-28s  %10s  %8s  %9s  %15s\n", "", "objective", "AUC", "test loss", "AUC, shop mean");
    if (b->has_federated)
        print_row("federated", &b->federated);
    print_row("pooled", &b->pooled);
    print_row("each shop alone", &alone);
    if (b->alone_shops < b->shops)
        printf("%zu of %zu shops can be scored alone; the shop means are over these.\n", b->alone_shops, b->shops);
}

static enum ft_status
load_model(const char *path, struct ft_exported_model *model, struct ft_error *err)
{
    struct ft_buf file = { 0 };
    enum ft_status st;

    FT_TRY(ft_file_read(path, MODEL_FILE_MAX, &file, err));
    FT_TRY(ft_export_read_json(ft_buf_bytes(&file), model, err));
out:
    ft_buf_clear(&file);
    return st;
}

static enum ft_status
run(struct ft_cli *cli, struct ft_task *task, struct ft_baseline *result, json_t **figures, struct ft_error *err)
{
    const size_t count = ft_cli_operand_count(cli);
    const bool csv = ft_cli_flag(cli, "csv");
    const char *model_path = ft_cli_text(cli, "model");
    struct ft_exported_model model = { 0 };
    struct ft_examples *shops = ft_calloc(count, sizeof *shops);
    struct ft_env_seeded env;
    enum ft_status st = FT_ERR_NOMEM;

    if (shops == NULL)
        goto out;
    FT_TRY(ft_sim_task(ft_cli_text(cli, "task"), csv ? NULL : ft_cli_operand(cli, 0), task, err));
    for (size_t i = 0; i < count; i++)
        FT_TRY(csv ? ft_sim_rows_from_csv(ft_cli_operand(cli, i), task, &shops[i], err)
                   : ft_sim_rows_from_home(ft_cli_operand(cli, i), task, &shops[i], err));
    if (task->kind == FT_TASK_STATISTICS) {
        st = model_path != NULL ? ft_fail(err, FT_ERR_ARGUMENT, "--model: a task of kind statistics trains none")
                                : ft_sim_pooled_figures(task, shops, count, figures, err);
        goto out;
    }
    if (model_path != NULL)
        FT_TRY(load_model(model_path, &model, err));
    ft_env_seeded_init(&env, task->seed, 0); /* the same table each time */
    const struct ft_baseline_input input = { task, shops, count, model_path != NULL ? &model : NULL, &env.env };
    FT_TRY(ft_baseline_run(&input, result, err));
out:
    for (size_t i = 0; shops != NULL && i < count; i++)
        ft_examples_clear(&shops[i]);
    ft_free(shops);
    ft_exported_model_clear(&model);
    return st;
}

static enum ft_status
print_figures(const struct ft_task *task, const json_t *figures)
{
    struct ft_buf text = { 0 };
    enum ft_status st;

    FT_TRY(ft_buf_printf(&text, "%s: pooled, without noise, nothing withheld\n", task->name));
    FT_TRY(ft_statistics_text(figures, &text));
    fwrite(text.data, 1, text.size, stdout);
out:
    ft_buf_clear(&text);
    return st;
}

int
ft_cmd_baseline(struct ft_cli *cli)
{
    struct ft_error err = { 0 };
    struct ft_task task = { 0 };
    struct ft_baseline result;
    json_t *figures = NULL;
    int code = FT_EXIT_OK;
    enum ft_status st;

    ft_model_setup();
    st = run(cli, &task, &result, &figures, &err);
    if (st == FT_OK && figures != NULL && !ft_cli_json(cli))
        st = print_figures(&task, figures);
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    else if (figures != NULL && ft_cli_json(cli))
        code = ft_cli_print_json(json_pack("{s:s, s:I, s:O, s:O, s:O}", "task", task.name, "shops",
                                           (json_int_t)ft_cli_operand_count(cli), "unit", json_object_get(figures, "unit"),
                                           "count", json_object_get(figures, "count"), "figures",
                                           json_object_get(figures, "figures")));
    else if (figures != NULL)
        code = FT_EXIT_OK;
    else if (ft_cli_json(cli))
        code = ft_cli_print_json(baseline_json(&task, &result));
    else
        print_table(&task, &result);
    json_decref(figures);
    ft_task_clear(&task);
    return code;
}
