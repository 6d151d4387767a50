#include "aggregator/commands/cmd_task_file.h"
#include "aggregator/commands/home.h"
#include "aggregator/commands/cmd_task_measures.h"
#include "aggregator/commands/cmd_task_privacy.h"

#include "common/base/alloc.h"
#include "common/base/config.h"
#include "common/base/date.h"
#include "common/base/env.h"
#include "common/base/file.h"
#include "common/base/keyfile.h"
#include "common/plan/round_plan.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define TEMPLATE_NAME "my_task"

const struct ft_cli_option ft_cmd_task_new_options[] = {
    { .name = "kind",
      .kind = FT_CLI_TEXT,
      .argument = "KIND",
      .help = "train; segments, by k-means; or statistics: figures and no model",
      .fallback = "train" },
    { .name = "out",
      .kind = FT_CLI_TEXT,
      .argument = "FILE",
      .help = "write it there (default: standard output)" },
    FT_CLI_OPTIONS_END,
};
const struct ft_cli_option ft_cmd_task_check_options[] = {
    FT_CLI_HOME, /* whose roster the task is compared with, if there is one */
    FT_CLI_OPTIONS_END,
};
const struct ft_cli_option ft_cmd_task_sign_options[] = {
    FT_CLI_HOME,
    { .name = "key",
      .kind = FT_CLI_TEXT,
      .argument = "FILE",
      .help = "the signing key (default: HOME/task-signing.key)" },
    { .name = "deployment",
      .kind = FT_CLI_TEXT,
      .argument = "HEX",
      .help = "the federation's id, 32 hex digits (default: from HOME/deployment)" },
    { .name = "out", .kind = FT_CLI_TEXT, .argument = "FILE", .required = true, .help = "the signed task" },
    FT_CLI_OPTIONS_END,
};

static int64_t
today(void)
{
    return ft_date_of_seconds((int64_t)(ft_env_system()->wall_ms(NULL) / 1000));
}

/* ---- new ---- */

int
ft_cmd_task_new(struct ft_cli *cli)
{
    const char *name = ft_cli_operand(cli, 0) != NULL ? ft_cli_operand(cli, 0) : TEMPLATE_NAME;
    const char *kind = ft_cli_text(cli, "kind"), *out = ft_cli_text(cli, "out"), *text = NULL, *at;
    struct ft_error err = { 0 };
    struct ft_buf buf = { 0 };
    enum ft_status st;
    int code = FT_EXIT_OK;

    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name) || strlen(name) > 48 ||
        name[0] == '\0')
        return ft_cli_usage(cli, "'%s' is no name for a task: 1 to 48 small letters, digits and underscores",
                            name);
    if (strcmp(kind, "train") == 0)
        text = ft_task_template();
    else if (strcmp(kind, "segments") == 0)
        text = ft_task_segments_template();
    else if (strcmp(kind, "statistics") == 0)
        text = ft_task_statistics_template();
    else
        return ft_cli_usage(cli, "--kind is '%.40s', expected train, segments or statistics", kind);
    at = strstr(text, TEMPLATE_NAME);
    FT_TRY(ft_buf_append(&buf, text, (size_t)(at - text)));
    FT_TRY(ft_buf_str(&buf, name));
    FT_TRY(ft_buf_str(&buf, at + strlen(TEMPLATE_NAME)));
    if (out != NULL)
        st = ft_file_write_new(out, ft_buf_bytes(&buf), 0644, &err);
    else if (!ft_cli_json(cli))
        fwrite(buf.data, 1, buf.size, stdout);
    if (st == FT_OK && ft_cli_json(cli))
        code = ft_cli_print_json(out != NULL
                                     ? json_pack("{s:s, s:s}", "task", name, "file", out)
                                     : json_pack("{s:s, s:s%}", "task", name, "yaml", buf.data, buf.size));
    else if (st == FT_OK && out != NULL)
        printf("%s written; fill in the lines without a value, then `task check %s`\n", out, out);
out:
    ft_buf_clear(&buf);
    return st == FT_OK ? code : ft_cli_fail(cli, st, &err);
}

/* ---- reading a task file ---- */

/* Rules that need the calendar, told where the dates are. */
static enum ft_status
check_dates(struct ft_bytes yaml, const struct ft_task *task, int64_t day, struct ft_findings *findings)
{
    struct ft_config *tree = NULL;
    enum ft_status st = ft_config_open(yaml, findings, &tree);

    if (st != FT_OK)
        return st;
    if (day > ft_task_expires_day(task))
        ft_config_find(tree, findings, "expires", "the task expired on %s, %lld days ago", task->expires,
                       (long long)(day - ft_task_expires_day(task)));
    if (day > ft_task_review_day(task))
        ft_config_find(tree, findings, "review", "the task's review was due on %s, %lld days ago",
                       task->review, (long long)(day - ft_task_review_day(task)));
    ft_config_close(tree);
    return findings->total == 0 ? FT_OK : FT_ERR_CONFIG;
}

static unsigned
last_stage(const struct ft_task *t)
{
    return t->kind == FT_TASK_STATISTICS ? FT_STAGE_STATISTICS : FT_STAGE_EVALUATE;
}

/* What noise leads to is filled in; the three kinds of rounds must fit into a secure sum. */
static enum ft_status
make_plans(struct ft_task *task, struct ft_round_plan plans[3], struct ft_findings *findings)
{
    struct ft_error wrong = { 0 };
    enum ft_status derived = ft_plan_privacy_derive(task, &wrong);

    if (derived == FT_ERR_NOMEM)
        return derived;
    if (derived != FT_OK) {
        ft_find(findings, 0, 0, "%s", wrong.status != FT_OK ? wrong.text : ft_status_str(derived));
        return FT_ERR_CONFIG;
    }
    memset(plans, 0, 3 * sizeof *plans);
    for (unsigned stage = FT_STAGE_STATISTICS; stage <= last_stage(task); stage++) {
        struct ft_error err = { 0 };
        enum ft_status st = ft_round_plan_init(&plans[stage - 1], task, (enum ft_stage)stage, &err);
        if (st == FT_ERR_NOMEM)
            return st;
        if (st != FT_OK)
            ft_find(findings, 0, 0, "%s", err.status != FT_OK ? err.text : ft_status_str(st));
    }
    return findings->total == 0 ? FT_OK : FT_ERR_CONFIG;
}

static enum ft_status
read_task(const char *path, const uint8_t deployment[16], int64_t day, struct ft_task *task,
          struct ft_round_plan plans[3], struct ft_findings *findings, struct ft_error *err)
{
    enum ft_status st;
    struct ft_buf text = { 0 };

    *task = (struct ft_task){ 0 };
    ft_findings_init(findings, path);
    FT_TRY(ft_file_read(path, FT_CONFIG_BYTES_MAX, &text, err));
    FT_TRY(ft_task_from_yaml_all(ft_buf_bytes(&text), path, deployment, task, findings));
    FT_TRY(check_dates(ft_buf_bytes(&text), task, day, findings));
    FT_TRY(make_plans(task, plans, findings));
out:
    if (st == FT_ERR_CONFIG)
        st = ft_findings_status(findings, err);
    if (st != FT_OK)
        ft_task_clear(task);
    ft_buf_clear(&text);
    return st;
}

/* ---- check ---- */

static const char *const stage_names[] = { "statistics", "training", "evaluation" };

/* One step of a training coordinate. */
static double
step_of(const struct ft_round_plan *plan)
{
    return plan->layout.sum_unit > 0 ? plan->layout.sum_unit : plan->codec.quant_step;
}

static void
print_verdict(const char *path, const struct ft_task *t, const struct ft_round_plan plans[3],
              const struct ft_task_privacy_answer *privacy)
{
    const uint32_t sizes[] = { t->n_min, t->n_cap };

    printf("%s: good\n", path);
    printf("  task         %s for %s, unit %s, owner %s\n", t->name, t->purpose, ft_unit_name(t->unit),
           t->owner);
    printf("  dates        expires %s, review %s\n", t->expires, t->review);
    if (t->kind == FT_TASK_STATISTICS)
        printf("  measures     %u of %u features, no model\n  rounds       1 statistics\n", t->measure_count,
               t->feature_count);
    else
        printf("  model        %s, %u features, %llu parameters\n  rounds       1 statistics, %u training, 1 "
               "evaluation\n",
               ft_model_kind_name(t->model), t->feature_count, (unsigned long long)ft_task_parameters(t), t->rounds);
    if (t->model == FT_MODEL_KMEANS)
        printf("  segments     %u clusters by sums and numbers alone; fewer than %u %s are not shown\n", t->clusters,
               t->min_cluster,
               t->unit == FT_UNIT_STORE    ? "shops, counted in parts,"
               : t->unit == FT_UNIT_RECORD ? "records"
                                           : "customers, counted in each shop,");
    for (unsigned i = 0; i < last_stage(t); i++)
        printf("  %-12s %zu coordinates in %llu words of %u-bit lanes: %llu bytes up a shop and round\n",
               stage_names[i], plans[i].layout.dim, (unsigned long long)plans[i].codec.words,
               plans[i].codec.lane_bits, (unsigned long long)plans[i].codec.words * 8);
    if (t->kind != FT_TASK_STATISTICS)
        printf("  precision    Q = floor((2^%u - 1) / %u) = %llu steps to each side; a step of the %s is %.3g\n",
               t->lane_bits - 1, t->n_cap, (unsigned long long)ft_task_quant_max(t),
               plans[1].layout.sum_unit > 0 ? "sums, in lanes of 64," : "weighted update", step_of(&plans[1]));
    for (int i = 0; i < (t->n_cap > t->n_min ? 2 : 1); i++) {
        const struct ft_task_cohort c = ft_task_cohort(t, sizes[i]);
        printf("  cohort of %-3u D = %u may drop out, %u survive, %lld of them honest; q = %u, t = %u\n", c.n,
               c.dropouts, c.survivors, (long long)c.honest, c.quorum, c.threshold);
    }
    ft_task_privacy_print(t, privacy);
    ft_task_measures_print(t);
}

static json_t *
cohort_json(const struct ft_task *t, uint32_t n)
{
    const struct ft_task_cohort c = ft_task_cohort(t, n);
    return json_pack("{s:i, s:i, s:i, s:I, s:i, s:i}", "n", (int)c.n, "dropouts", (int)c.dropouts,
                     "survivors", (int)c.survivors, "honest", (json_int_t)c.honest, "quorum", (int)c.quorum,
                     "threshold", (int)c.threshold);
}

static int
print_verdict_json(const struct ft_task *t, const struct ft_round_plan plans[3],
                   const struct ft_task_privacy_answer *privacy)
{
    json_t *stages = json_object(), *cohorts = json_array();

    for (unsigned i = 0; i < last_stage(t); i++)
        json_object_set_new(stages, stage_names[i],
                            json_pack("{s:I, s:I, s:i, s:I}", "dim", (json_int_t)plans[i].layout.dim, "words",
                                      (json_int_t)plans[i].codec.words, "lane_bits",
                                      (int)plans[i].codec.lane_bits, "upload_bytes",
                                      (json_int_t)(plans[i].codec.words * 8)));
    json_array_append_new(cohorts, cohort_json(t, t->n_min));
    if (t->n_cap > t->n_min)
        json_array_append_new(cohorts, cohort_json(t, t->n_cap));
    if (t->kind == FT_TASK_STATISTICS)
        return ft_cli_print_json(
            json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o}", "verdict", "good", "task", t->name, "kind",
                      "statistics", "purpose", t->purpose, "features", (int)t->feature_count, "rounds", 1, "stages",
                      stages, "cohorts", cohorts, "privacy", ft_task_privacy_json(t, privacy), "measures",
                      ft_task_measures_json(t)));
    return ft_cli_print_json(
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:i, s:I, s:f, s:o, s:o, s:o}", "verdict", "good", "task",
                  t->name, "purpose", t->purpose, "model", ft_model_kind_name(t->model), "features",
                  (int)t->feature_count, "parameters", (json_int_t)ft_task_parameters(t), "rounds",
                  (int)t->rounds, "quant_max", (json_int_t)ft_task_quant_max(t), "quant_step",
                  step_of(&plans[1]), "stages", stages, "cohorts", cohorts, "privacy",
                  ft_task_privacy_json(t, privacy)));
}

int
ft_cmd_task_check(struct ft_cli *cli)
{
    static const uint8_t any_deployment[16];
    const char *path = ft_cli_operand(cli, 0);
    struct ft_round_plan plans[3];
    struct ft_findings findings;
    struct ft_task_privacy_answer privacy;
    struct ft_error err = { 0 };
    struct ft_task task;
    enum ft_status st = read_task(path, any_deployment, today(), &task, plans, &findings, &err);
    int code = FT_EXIT_OK;

    if (st != FT_OK)
        return findings.total > 0 ? ft_cli_fail_findings(cli, &findings) : ft_cli_fail(cli, st, &err);
    st = ft_task_privacy_answer(
        &task, &plans[task.kind == FT_TASK_STATISTICS ? FT_STAGE_STATISTICS - 1 : FT_STAGE_TRAIN - 1], &privacy, &err);
    if (st != FT_OK)
        code = ft_cli_fail(cli, st, &err);
    else if (ft_cli_json(cli))
        code = print_verdict_json(&task, plans, &privacy);
    else
        print_verdict(path, &task, plans, &privacy);
    const uint32_t roster = ft_home_corrupted_at(ft_cli_text(cli, "home"));
    if (task.corrupted < roster) /* another federation's roster, perhaps: a warning */
        fprintf(stderr,
                "%s: warning: cohort.corrupted is %u, and the roster of %s says that up to %u shops may collude: no shop of it "
                "would join a round, and `task publish` refuses there\n",
                path, task.corrupted, ft_cli_text(cli, "home"), roster);
    ft_task_clear(&task);
    return code;
}

/* ---- sign ---- */

enum ft_status
ft_task_file_sign(const char *path, const uint8_t deployment[16], const uint8_t secret_key[64], int64_t day,
                  struct ft_buf *signed_task, uint8_t hash[FT_TASK_HASH_SIZE], struct ft_findings *findings,
                  struct ft_error *err)
{
    enum ft_status st;
    struct ft_round_plan plans[3];
    struct ft_buf canonical = { 0 };
    struct ft_task task;

    st = read_task(path, deployment, day, &task, plans, findings, err);
    if (st != FT_OK)
        return st;
    FT_TRY(ft_task_encode(&task, &canonical));
    FT_TRY(ft_task_sign(&task, secret_key, signed_task));
    ft_task_hash(ft_buf_bytes(&canonical), hash);
out:
    ft_buf_clear(&canonical);
    ft_task_clear(&task);
    return st;
}

static enum ft_status
find_deployment(const struct ft_cli *cli, uint8_t deployment[16], struct ft_error *err)
{
    const char *hex = ft_cli_text(cli, "deployment");
    struct ft_buf text = { 0 };
    enum ft_status st = FT_OK;
    char *path = NULL;

    if (hex == NULL) {
        if ((path = ft_asprintf("%s/deployment", ft_cli_text(cli, "home"))) == NULL)
            return FT_ERR_NOMEM;
        FT_TRY(ft_file_read(path, 256, &text, err));
        ((char *)text.data)[strcspn((char *)text.data, "\r\n")] = '\0'; /* ft_file_read ends it with a NUL */
        hex = (char *)text.data;
    }
    if (ft_unhex(deployment, 16, hex) != FT_OK)
        st = ft_fail(err, path == NULL ? FT_ERR_ARGUMENT : FT_ERR_FORMAT, "%s: expected 32 hex digits",
                     path == NULL ? "--deployment" : path);
out:
    ft_buf_clear(&text);
    ft_free(path);
    return st;
}

int
ft_cmd_task_sign(struct ft_cli *cli)
{
    const char *path = ft_cli_operand(cli, 0), *out = ft_cli_text(cli, "out");
    uint8_t deployment[16], secret_key[64] = { 0 }, hash[FT_TASK_HASH_SIZE];
    struct ft_findings findings = { 0 };
    struct ft_error err = { 0 };
    struct ft_buf signed_task = { 0 };
    char hex[65];
    enum ft_status st;
    int code = FT_EXIT_OK;
    char *key = ft_cli_text(cli, "key") != NULL
                    ? ft_strdup(ft_cli_text(cli, "key"))
                    : ft_asprintf("%s/task-signing.key", ft_cli_text(cli, "home"));

    if (key == NULL)
        return ft_cli_fail(cli, FT_ERR_NOMEM, NULL);
    FT_TRY(find_deployment(cli, deployment, &err));
    FT_TRY(ft_keyfile_read(key, secret_key, &err));
    FT_TRY(ft_task_file_sign(path, deployment, secret_key, today(), &signed_task, hash, &findings, &err));
    FT_TRY(ft_file_write(out, ft_buf_bytes(&signed_task), 0644, &err));
    ft_hex(hex, hash, sizeof hash);
    if (ft_cli_json(cli))
        code = ft_cli_print_json(
            json_pack("{s:s, s:s, s:I}", "file", out, "hash", hex, "bytes", (json_int_t)signed_task.size));
    else
        printf("%s: signed, hash %s\n", out, hex);
out:
    sodium_memzero(secret_key, sizeof secret_key);
    ft_buf_clear(&signed_task);
    ft_free(key);
    if (st != FT_OK)
        code = findings.total > 0 ? ft_cli_fail_findings(cli, &findings) : ft_cli_fail(cli, st, &err);
    return code;
}
