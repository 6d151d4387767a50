/* summary.json: what a program, a report and a comparison read of a run. */
#include "aggregator/simulate/output/folder.h"
#include "aggregator/simulate/output/privacy_json.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/model/model.h"

#include <jansson.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SUMMARY_MAX ((size_t)1 << 24)
#define FILES_SHOWN 4096 /* data.sha256 has all */

/* JSON has no NaN: what could not be measured is null. */
static json_t *
number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *
score_json(const struct ft_sim_score *s)
{
    return json_pack("{s:o, s:o, s:o}", "loss", number(s->loss), "accuracy", number(s->accuracy), "auc",
                     number(s->auc));
}

/* How far a baseline's clusters are those of the run. */
static json_t *
with_agreement(json_t *score, double index)
{
    if (isfinite(index))
        json_object_set_new(score, "adjusted_rand", json_real(index));
    return score;
}

static json_t *
baselines_json(const struct ft_sim_baselines *b)
{
    json_t *all = json_object();
    if (b->has_pooled)
        json_object_set_new(all, "pooled", with_agreement(score_json(&b->pooled), b->agreement_pooled));
    if (b->has_local) {
        json_t *local = score_json(&b->local);
        json_object_set_new(local, "clients", json_integer(b->local_clients));
        json_object_set_new(local, "accuracy_own_mix", number(b->local_accuracy_own_mix));
        json_object_set_new(all, "local", local);
    }
    if (b->has_without_privacy)
        json_object_set_new(all, "without_privacy",
                            with_agreement(score_json(&b->without_privacy), b->agreement_without_privacy));
    if (b->has_central)
        json_object_set_new(all, "central_dp", score_json(&b->central));
    return all;
}

/* What was read, file by file; or, of a great many, how many and where they stand. */
static json_t *
data_json(const struct ft_sim_result *r)
{
    json_t *o = json_pack("{s:I, s:I}", "train_rows", (json_int_t)r->train_rows, "test_rows",
                          (json_int_t)r->test_rows);
    json_t *list = r->files != NULL && r->files->count <= FILES_SHOWN ? json_array() : NULL;
    for (size_t i = 0; list != NULL && i < r->files->count; i++) {
        const struct sim_file *f = &r->files->list[i];
        json_t *path = json_string(f->path); /* NULL: no UTF-8 */
        json_array_append_new(list, json_pack("{s:o, s:I, s:s}", "path", path != NULL ? path : json_null(),
                                              "bytes", (json_int_t)f->bytes, "sha256", f->sha256));
    }
    if (list != NULL)
        json_object_set_new(o, "files", list);
    else if (r->files != NULL)
        json_object_set_new(o, "files", json_sprintf("%zu, in data.sha256", r->files->count));
    return o;
}

json_t *
ft_sim_summary_json(const struct ft_sim_experiment *e, const struct ft_sim_result *r)
{
    char hex[65];
    json_t *metrics = score_json(&r->score), *o;
    if (r->baselines.has_personal)
        json_object_set_new(metrics, "personal_accuracy", number(r->baselines.personal_accuracy));
    if (r->baselines.has_pooled && isfinite(r->baselines.agreement_pooled))
        json_object_set_new(metrics, "adjusted_rand_pooled", json_real(r->baselines.agreement_pooled));
    if (r->baselines.has_without_privacy && isfinite(r->baselines.agreement_without_privacy))
        json_object_set_new(metrics, "adjusted_rand_without_privacy", json_real(r->baselines.agreement_without_privacy));
    o = json_pack("{s:i, s:s, s:s, s:o, s:I, s:o, s:o, s:f, s:f, s:f, s:I, s:s}", "version", 1, "name",
                  e->name, "algorithm", ft_sim_algorithm_name(e->algorithm.kind), "seed",
                  e->seed <= INT64_MAX ? json_integer((json_int_t)e->seed)
                                       : json_sprintf("%llu", (unsigned long long)e->seed),
                  "rounds", (json_int_t)r->rounds, "metrics", metrics, "baselines",
                  baselines_json(&r->baselines), "seconds", r->seconds, "seconds_a_round",
                  r->rounds > 0 ? r->round_seconds / (double)r->rounds : 0, "clients_per_second",
                  r->round_seconds > 0 ? (double)r->clients_trained / r->round_seconds : 0, "peak_bytes",
                  (json_int_t)r->peak_bytes, "model_sha256", ft_hex(hex, r->model_sha256, 32));
    if (o == NULL)
        return NULL;
    json_object_set_new(o, "parameters", json_integer((json_int_t)r->parameters));
    json_object_set_new(o, "threads", json_integer(r->threads));
    json_object_set_new(o, "ranks", json_integer(r->ranks));
    json_object_set_new(o, "versions",
                        json_pack("{s:s, s:s, s:s, s:s}", "fedtill", FT_VERSION, "kernel", ft_model_kernel(),
                                  "openblas", ft_model_blas_name(), "sodium", sodium_version_string()));
    json_object_set_new(
        o, "clients",
        json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:I}", "count", (json_int_t)r->clients, "rows_least",
                  (json_int_t)r->spread.rows_least, "rows_median", (json_int_t)r->spread.rows_median,
                  "rows_most", (json_int_t)r->spread.rows_most, "classes_mean",
                  number(r->spread.classes_mean), "label_distance", number(r->spread.label_distance),
                  "trained", (json_int_t)r->clients_trained));
    json_object_set_new(o, "data", data_json(r));
    if (r->privacy.on)
        json_object_set_new(o, "privacy", sim_privacy_json(e, &r->privacy));
    if (e->stop.metric != 0) {
        json_object_set_new(
            o, "target",
            json_pack("{s:s, s:f}", "metric", sim_metric_name(e->stop.metric), "at", e->stop.at));
        json_object_set_new(o, "rounds_to_target", number(r->rounds_to_target));
    }
    json_object_set_new(o, "bytes_up", json_integer((json_int_t)r->bytes_up));
    json_object_set_new(o, "mask_seconds_a_client", number(r->mask_seconds));
    return o;
}

enum ft_status
ft_sim_write_summary(const char *dir, const struct ft_sim_experiment *e, const struct ft_sim_result *r,
                     struct ft_error *err)
{
    json_t *object = ft_sim_summary_json(e, r);
    char *text = object != NULL ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) : NULL;
    char *path = ft_asprintf("%s/summary.json", dir);
    const enum ft_status st = text != NULL && path != NULL
                                  ? ft_file_write(path, FT_BYTES(text, strlen(text)), 0644, err)
                                  : FT_ERR_NOMEM;
    free(text);
    ft_free(path);
    json_decref(object);
    return st;
}

enum ft_status
ft_sim_read_summary(const char *dir, json_t **out, struct ft_error *err)
{
    struct ft_buf text = { 0 };
    json_error_t why;
    char *path = ft_asprintf("%s/summary.json", dir);
    enum ft_status st = FT_ERR_NOMEM;

    *out = NULL;
    if (path == NULL)
        goto out;
    FT_TRY(ft_file_read(path, SUMMARY_MAX, &text, err));
    *out = json_loadb((const char *)text.data, text.size, 0, &why);
    if (*out == NULL || !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        st = ft_fail(err, FT_ERR_FORMAT, "%s:%d: %s, expected the JSON object of a summary", path, why.line,
                     why.text);
    }
out:
    ft_buf_clear(&text);
    ft_free(path);
    return st;
}
