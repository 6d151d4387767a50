#include "aggregator/verify/verify.h"

#include "aggregator/export/export.h"
#include "aggregator/export/statistics.h"
#include "common/plan/measured.h"
#include "common/statement/statement.h"

#include <jansson.h>
#include <string.h>

static bool
looks_like_json(struct ft_bytes file)
{
    for (size_t i = 0; i < file.size && i < 64; i++)
        if (strchr(" \t\r\n", file.data[i]) == NULL || file.data[i] == '\0')
            return file.data[i] == '{';
    return false;
}

/* The bounds of the features are part of how a model is used, and no hash covers them. */
static enum ft_status
check_bounds(const json_t *statement, const struct ft_exported_model *m, struct ft_error *err)
{
    struct ft_task task = { 0 };
    enum ft_status st;

    FT_TRY(ft_statement_task(statement, &task, err));
    if (task.feature_count != m->state.features) {
        st = ft_fail(err, FT_ERR_VERIFY, "features: the file has %u, the task %u", m->state.features,
                     task.feature_count);
        goto out;
    }
    for (uint32_t i = 0; i < task.feature_count && st == FT_OK; i++) {
        const struct ft_task_feature *f = &task.features[i];
        if (m->bounds[i].min != f->min || m->bounds[i].max != f->max)
            st = ft_fail(err, FT_ERR_VERIFY,
                         "features.%s: the file has the range %.17g to %.17g, the task %.17g to %.17g",
                         f->name, m->bounds[i].min, m->bounds[i].max, f->min, f->max);
        else if (m->names != NULL && strcmp(m->names[i], f->name) != 0)
            st = ft_fail(err, FT_ERR_VERIFY, "features: number %u is %s in the file, %s in the task", i + 1,
                         m->names[i], f->name);
    }
out:
    ft_task_clear(&task);
    return st;
}

static enum ft_status
verify_release(struct ft_bytes file, json_t **statement, struct ft_error *err)
{
    struct ft_exported_model m = { 0 };
    enum ft_status st;

    FT_TRY(looks_like_json(file) ? ft_export_read_json(file, &m, err)
                                 : ft_export_read_safetensors(file, &m, err));
    if (m.statement == NULL) {
        st = ft_fail(err, FT_ERR_VERIFY, "statement: the model carries none");
        goto out;
    }
    FT_TRY(ft_statement_check(m.statement, err));
    FT_TRY(ft_statement_check_model(m.statement, &m.state, err));
    FT_TRY(check_bounds(m.statement, &m, err));
    *statement = json_incref(m.statement);
out:
    ft_exported_model_clear(&m);
    return st;
}

/* A statistics task has one round, so its shops are the statement's fewest. */
static uint32_t
shops_of(const json_t *statement)
{
    const json_t *v = json_object_get(json_object_get(statement, "rounds"), "least_survivors");
    return (uint32_t)json_integer_value(v); /* ft_statement_check has read it */
}

/* Every figure follows from the sums, the sums are those that the statement's hash is of and keep to the terms of the
 * task that is in it. */
static enum ft_status
check_figures(const json_t *root, const json_t *statement, const struct ft_model_state *state, struct ft_error *err)
{
    struct ft_task task = { 0 };
    json_t *found = NULL;
    char path[512] = "count";
    enum ft_status st;

    FT_TRY(ft_statement_task(statement, &task, err));
    FT_TRY(ft_measured_check_found(&task, &state->found, shops_of(statement), err));
    st = ft_statistics_figures(&task, &state->found, &found, err);
    if (st == FT_ERR_ARGUMENT)
        st = FT_ERR_VERIFY; /* the sums of another task */
    FT_TRY(st);
    FT_TRY(ft_statement_compare(json_object_get(root, "count"), json_object_get(found, "count"), path, err));
    strcpy(path, "figures");
    FT_TRY(ft_statement_compare(json_object_get(root, "figures"), json_object_get(found, "figures"), path, err));
out:
    json_decref(found);
    ft_task_clear(&task);
    return st;
}

static enum ft_status
verify_statistics(const json_t *root, json_t **statement, struct ft_error *err)
{
    json_t *said = json_object_get(root, "statement");
    struct ft_model_state state = { 0 };
    enum ft_status st;

    FT_TRY(ft_export_read_statistics(root, &state, err));
    if (said == NULL) {
        st = ft_fail(err, FT_ERR_VERIFY, "statement: the figures carry none");
        goto out;
    }
    FT_TRY(ft_statement_check(said, err));
    FT_TRY(ft_statement_check_model(said, &state, err));
    FT_TRY(check_figures(root, said, &state, err));
    *statement = json_incref(said);
out:
    ft_model_state_clear(&state);
    return st;
}

static enum ft_status
verify_any_release(struct ft_bytes file, json_t **statement, struct ft_error *err)
{
    json_t *root = looks_like_json(file)
                       ? json_loadb((const char *)file.data, file.size, JSON_REJECT_DUPLICATES, NULL)
                       : NULL;
    const enum ft_status st = root != NULL && ft_export_is_statistics(root) ? verify_statistics(root, statement, err)
                                                                            : verify_release(file, statement, err);
    json_decref(root);
    return st;
}

static enum ft_status
verify_json(struct ft_bytes file, bool inside, json_t **statement, struct ft_error *err)
{
    json_error_t where;
    json_t *root = json_loadb((const char *)file.data, file.size, JSON_REJECT_DUPLICATES, &where), *found;
    enum ft_status st;

    if (root == NULL)
        return ft_fail(err, FT_ERR_FORMAT, "line %d, column %d: not JSON", where.line, where.column);
    found = json_object_get(root, "statement");
    if (!json_is_object(found))
        found = inside ? NULL : root;
    if (found == NULL) {
        st = ft_fail(err, FT_ERR_FORMAT, "the report holds no statement");
        goto out;
    }
    FT_TRY(ft_statement_check(found, err));
    if (found != root && inside)
        FT_TRY(ft_statement_check_report(root, found, err));
    *statement = json_incref(found);
out:
    json_decref(root);
    return st;
}

static enum ft_status
check_signer(const json_t *statement, const uint8_t *signer, struct ft_error *err)
{
    const char *said = json_string_value(json_object_get(json_object_get(statement, "task"), "signer"));
    char hex[65];

    if (signer == NULL || (said != NULL && strcmp(said, ft_hex(hex, signer, 32)) == 0))
        return FT_OK;
    return ft_fail(err, FT_ERR_VERIFY, "task.signer: the task is signed by %s, expected %s", said, hex);
}

enum ft_status
ft_verify(struct ft_bytes file, enum ft_verify_kind kind, const uint8_t *signer, json_t **statement,
          struct ft_error *err)
{
    enum ft_status st;

    *statement = NULL;
    if (file.size > FT_VERIFY_BYTES_MAX)
        return ft_fail(err, FT_ERR_LIMIT, "a file of %zu bytes is too large", file.size);
    FT_TRY(kind == FT_VERIFY_RELEASE ? verify_any_release(file, statement, err)
                                     : verify_json(file, kind == FT_VERIFY_REPORT, statement, err));
    FT_TRY(check_signer(*statement, signer, err));
out:
    if (st != FT_OK && *statement != NULL) {
        json_decref(*statement);
        *statement = NULL;
    }
    return st;
}
