/* A statement against itself: its records lead to every number and word in it, or to the first difference. */
#include "common/statement/statement_internal.h"

#include "common/base/alloc.h"
#include "common/plan/round_plan.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOSE                                                                                                \
    1e-6 /* relative: another machine's mathematics library may differ in the last digits of an epsilon */
#define DEPTH 8

/* ---- what it says its records are ---- */

static enum ft_status
bad(struct ft_error *err, const char *what)
{
    return ft_fail(err, FT_ERR_FORMAT, "the statement has no usable %s", what);
}

static bool
read_count(const json_t *object, const char *name, uint32_t *out)
{
    const json_t *v = json_object_get(object, name);

    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > 100000000)
        return false;
    *out = (uint32_t)json_integer_value(v);
    return true;
}

static enum ft_status
read_rounds(const json_t *statement, struct ft_statement_rounds *r, struct ft_error *err)
{
    const json_t *o = json_object_get(statement, "rounds");

    memset(r, 0, sizeof *r);
    if (!read_count(o, "statistics", &r->committed[FT_STAGE_STATISTICS]) ||
        !read_count(o, "train", &r->committed[FT_STAGE_TRAIN]) ||
        !read_count(o, "evaluate", &r->committed[FT_STAGE_EVALUATE]) ||
        !read_count(o, "abandoned", &r->abandoned) || !read_count(o, "failed", &r->failed) ||
        !read_count(o, "least_survivors", &r->least_survivors))
        return bad(err, "counts of rounds");
    return FT_OK;
}

static enum ft_status
read_model(const json_t *statement, struct ft_statement_model *m, bool *has, struct ft_error *err)
{
    const json_t *o = json_object_get(statement, "model"), *version, *stage, *clip;
    const char *hash;

    *has = json_is_object(o);
    if (json_is_null(o))
        return FT_OK;
    version = json_object_get(o, "version");
    stage = json_object_get(o, "stage");
    clip = json_object_get(o, "clip");
    hash = json_string_value(json_object_get(o, "hash"));
    if (!json_is_integer(version) || json_integer_value(version) < 0 || !json_is_integer(stage) ||
        !json_is_number(clip) || json_integer_value(stage) < FT_STAGE_STATISTICS ||
        json_integer_value(stage) > FT_STAGE_EVALUATE || hash == NULL || ft_unhex(m->hash, 32, hash) != FT_OK)
        return bad(err, "model");
    m->version = (uint64_t)json_integer_value(version);
    m->stage = (enum ft_stage)json_integer_value(stage);
    m->clip = json_number_value(clip);
    return FT_OK;
}

static enum ft_status
read_signed_task(const json_t *statement, struct ft_buf *out, struct ft_error *err)
{
    const char *text = json_string_value(json_object_get(json_object_get(statement, "task"), "signed"));
    const size_t size = text != NULL ? strlen(text) : 0;
    enum ft_status st;

    if (size == 0 || size > 2 * FT_TASK_BYTES_MAX)
        return bad(err, "signed task");
    FT_TRY(ft_buf_reserve(out, size));
    if (sodium_base642bin(out->data, size, text, size, NULL, &out->size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        st = bad(err, "signed task");
out:
    return st;
}

enum ft_status
ft_statement_task(const json_t *statement, struct ft_task *task, struct ft_error *err)
{
    struct ft_buf bytes = { 0 };
    uint8_t signer[1][32], hash[32];
    enum ft_status st;

    FT_TRY(read_signed_task(statement, &bytes, err));
    FT_TRY(ft_task_signer(ft_buf_bytes(&bytes), signer[0], err));
    FT_TRY(ft_task_open(ft_buf_bytes(&bytes), (const uint8_t(*)[32])signer, 1, task, hash, err));
out:
    ft_buf_clear(&bytes);
    return st;
}

/* ---- the first difference ---- */

static void
shorten(const json_t *value, char out[100])
{
    char *text = value != NULL ? ft_statement_dump(value) : NULL;

    snprintf(out, 100, "%.96s", text != NULL ? text : "nothing");
    free(text);
}

static bool same(const json_t *said, const json_t *found, char *path, size_t size, int depth,
                 struct ft_error *err);

static bool
differ(const json_t *said, const json_t *found, const char *path, struct ft_error *err)
{
    char a[100], b[100];

    shorten(said, a);
    shorten(found, b);
    (void)ft_fail(err, FT_ERR_VERIFY, "%s: the statement says %s, its own records lead to %s", path, a, b);
    return false;
}

static bool
same_members(const json_t *said, const json_t *found, char *path, size_t size, int depth,
             struct ft_error *err)
{
    const size_t at = strlen(path);
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)found, key, value)
    {
        snprintf(path + at, size - at, "%s%s", at > 0 ? "." : "", key);
        if (!same(json_object_get(said, key), value, path, size, depth + 1, err))
            return false;
    }
    json_object_foreach((json_t *)(uintptr_t)said, key, value)
    {
        snprintf(path + at, size - at, "%s%.60s", at > 0 ? "." : "", key);
        if (json_object_get(found, key) == NULL)
            return differ(value, NULL, path, err);
    }
    path[at] = '\0';
    return true;
}

static bool
same_elements(const json_t *said, const json_t *found, char *path, size_t size, int depth, struct ft_error *err)
{
    const size_t at = strlen(path);

    for (size_t i = 0; i < json_array_size(found); i++) {
        snprintf(path + at, size - at, "[%zu]", i);
        if (!same(json_array_get(said, i), json_array_get(found, i), path, size, depth + 1, err))
            return false;
    }
    path[at] = '\0';
    return json_array_size(said) == json_array_size(found) ? true : differ(said, found, path, err);
}

static bool
same(const json_t *said, const json_t *found, char *path, size_t size, int depth, struct ft_error *err)
{
    if (depth > DEPTH)
        return differ(said, found, path, err);
    if (json_is_object(found) && json_is_object(said))
        return same_members(said, found, path, size, depth, err);
    if (json_is_array(found) && json_is_array(said))
        return same_elements(said, found, path, size, depth, err);
    if (json_is_real(found) && json_is_number(said)) {
        const double a = json_number_value(said), b = json_real_value(found);
        if (fabs(a - b) <= CLOSE * fmax(fabs(a), fabs(b)))
            return true;
    } else if (json_equal((json_t *)(uintptr_t)said, (json_t *)(uintptr_t)found)) {
        return true;
    }
    return differ(said, found, path, err);
}

enum ft_status
ft_statement_compare(const json_t *said, const json_t *found, char *path, struct ft_error *err)
{
    return same(said, found, path, 512, 0, err) ? FT_OK : FT_ERR_VERIFY;
}

enum ft_status
ft_statement_check(const json_t *statement, struct ft_error *err)
{
    struct ft_statement_model model = { 0 };
    struct ft_buf signed_task = { 0 };
    struct ft_statement_facts facts = { 0 };
    char path[512] = "";
    const char *kind = json_string_value(json_object_get(statement, "statement"));
    json_t *found = NULL;
    enum ft_status st;
    bool has_model = false;

    if (kind == NULL || strcmp(kind, FT_STATEMENT_KIND) != 0)
        return ft_fail(err, FT_ERR_FORMAT, "not a privacy statement");
    if (json_integer_value(json_object_get(statement, "version")) != FT_STATEMENT_VERSION)
        return ft_fail(err, FT_ERR_FORMAT, "a privacy statement of another version than %d",
                       FT_STATEMENT_VERSION);
    FT_TRY(read_rounds(statement, &facts.rounds, err));
    FT_TRY(read_model(statement, &model, &has_model, err));
    FT_TRY(read_signed_task(statement, &signed_task, err));
    facts.signed_task = ft_buf_bytes(&signed_task);
    facts.model = has_model ? &model : NULL;
    st = ft_statement_make(&facts, &found, err);
    if (st == FT_ERR_LIMIT || st == FT_ERR_CONFIG || st == FT_ERR_FORMAT)
        st = FT_ERR_VERIFY; /* well-formed, and not what a task and its rounds can lead to */
    if (st == FT_OK && !same(statement, found, path, sizeof path, 0, err))
        st = FT_ERR_VERIFY;
out:
    json_decref(found);
    ft_buf_clear(&signed_task);
    return st;
}

enum ft_status
ft_statement_check_model(const json_t *statement, struct ft_model_state *state, struct ft_error *err)
{
    const char *task = json_string_value(json_object_get(json_object_get(statement, "task"), "hash"));
    struct ft_statement_model model = { 0 };
    struct ft_buf blob = { 0 };
    uint8_t hash[32], task_hash[32];
    bool has = false;
    enum ft_status st;

    FT_TRY(read_model(statement, &model, &has, err));
    if (!has) {
        st = ft_fail(err, FT_ERR_VERIFY, "model: the statement speaks of no model");
        goto out;
    }
    if (task == NULL || ft_unhex(task_hash, 32, task) != FT_OK ||
        memcmp(task_hash, state->task_hash, 32) != 0) {
        st = ft_fail(err, FT_ERR_VERIFY, "task.hash: the statement is about another task than the model");
        goto out;
    }
    state->stage = model.stage;
    state->clip = model.clip;
    if (state->version != model.version) {
        st = ft_fail(err, FT_ERR_VERIFY, "model.version: the statement says %llu, the file %llu",
                     (unsigned long long)model.version, (unsigned long long)state->version);
        goto out;
    }
    FT_TRY(ft_model_state_encode(state, &blob));
    FT_TRY(ft_model_blob_hash(ft_buf_bytes(&blob), hash));
    if (memcmp(hash, model.hash, 32) != 0)
        st = ft_fail(err, FT_ERR_VERIFY,
                     "model.hash: the numbers in the file are not those the statement speaks of");
out:
    ft_buf_clear(&blob);
    return st;
}

/* ---- reports ---- */

/* Customers in steps that name nobody: the declared sum, rounded up to one digit and a half. */
static uint64_t
bucket(uint64_t n)
{
    uint64_t step = 1;

    while (n / step >= 20)
        step *= 10;
    return (n + step - 1) / step * step;
}

static const char *
data_kind(const struct ft_task *t)
{
    return t->unit == FT_UNIT_CUSTOMER
               ? "till transactions of consenting customers, as features of one customer each"
           : t->unit == FT_UNIT_STORE
               ? "each shop's own rows as one vector a shop, of consenting customers or without persons"
               : "records without persons";
}

enum ft_status
ft_statement_numbers(const json_t *statement, json_t **out, struct ft_error *err)
{
    const json_t *rounds = json_object_get(statement, "rounds");
    struct ft_task t = { 0 };
    json_t *features = NULL;
    enum ft_status st;

    *out = NULL;
    FT_TRY(ft_statement_task(statement, &t, err));
    features = json_array();
    for (uint32_t i = 0; i < t.feature_count; i++)
        json_array_append_new(features, json_string(t.features[i].name));
    *out = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:O, s:s, s:s, s:o, s:o, s:I, s:O, s:O}", "title", t.title, "purpose",
        t.purpose, "owner", t.owner, "data", data_kind(&t), "label", t.kind == FT_TASK_STATISTICS ? "none" : t.label,
        "features", features, "model", t.kind == FT_TASK_STATISTICS ? "none: figures" : ft_model_kind_name(t.model), "unit", ft_unit_name(t.unit), "shops_named",
        t.noise != 0 ? json_integer(t.privacy.shop_count) : json_null(), "customers_at_most_about",
        t.noise != 0 && t.unit != FT_UNIT_STORE /* which declares shops only */
            ? json_integer((json_int_t)bucket(ft_plan_customers(&t)))
            : json_null(),
        "rows_per_customer", (json_int_t)t.rows_per_customer, "rounds_charged",
        json_object_get(rounds, "charged"), "least_survivors", json_object_get(rounds, "least_survivors"));
    if (*out == NULL)
        st = FT_ERR_NOMEM;
out:
    json_decref(features);
    ft_task_clear(&t);
    return st;
}

enum ft_status
ft_statement_check_report(const json_t *report, const json_t *statement, struct ft_error *err)
{
    char path[512] = "numbers";
    json_t *found = NULL;
    enum ft_status st;

    FT_TRY(ft_statement_numbers(statement, &found, err));
    if (!same(json_object_get(report, "numbers"), found, path, sizeof path, 0, err))
        st = FT_ERR_VERIFY;
out:
    json_decref(found);
    return st;
}
