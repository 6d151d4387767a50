#include "aggregator/simulate/output/compare.h"
#include "common/base/alloc.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static bool
has_metric(const struct sim_run *run, enum sim_metric metric)
{
    char path[40];
    (void)snprintf(path, sizeof path, "metrics.%s", sim_metric_name(metric));
    return isfinite(sim_run_number(run, path));
}

static enum ft_status
choose_metric(struct sim_compare *c, enum sim_metric wanted, struct ft_error *err)
{
    static const enum sim_metric order[] = { SIM_AUC, SIM_ACCURACY, SIM_LOSS };
    for (size_t m = 0; m < 3; m++) {
        const enum sim_metric metric = wanted != 0 ? wanted : order[m];
        size_t k = 0;
        while (k < c->count && has_metric(&c->runs[k], metric))
            k++;
        if (k == c->count) {
            c->metric = metric;
            return FT_OK;
        }
        if (wanted != 0)
            return ft_fail(err, FT_ERR_CONFIG, "%s has no %s, expected a metric that all runs have",
                           c->runs[k].dir, sim_metric_name(metric));
    }
    return c->count == 1 ? FT_OK : ft_fail(err, FT_ERR_CONFIG, "the runs have no metric in common");
}

static bool
is_listed(const struct sim_compare *c, const char *path)
{
    for (size_t i = 0; i < c->differing_count; i++)
        if (strcmp(c->differing[i], path) == 0)
            return true;
    return false;
}

static bool
differs(const struct sim_compare *c, const char *path)
{
    const char *first = sim_run_key(&c->runs[0], path);
    for (size_t k = 1; k < c->count; k++) {
        const char *other = sim_run_key(&c->runs[k], path);
        if ((first == NULL) != (other == NULL) || (first != NULL && strcmp(first, other) != 0))
            return true;
    }
    return false;
}

static enum ft_status
find_differences(struct sim_compare *c)
{
    for (size_t k = 0; k < c->count; k++)
        for (size_t i = 0; i < c->runs[k].key_count; i++) {
            const char *path = c->runs[k].keys[i].path;
            if ((k > 0 && sim_run_key(&c->runs[0], path) != NULL) || is_listed(c, path) || !differs(c, path))
                continue;
            char **more = ft_realloc(c->differing, (c->differing_count + 1) * sizeof *more);
            if (more == NULL)
                return FT_ERR_NOMEM;
            c->differing = more;
            if ((more[c->differing_count] = ft_strdup(path)) == NULL)
                return FT_ERR_NOMEM;
            c->differing_count++;
        }
    return FT_OK;
}

/* One folder's name for two runs: their paths instead. */
static enum ft_status
tell_apart(struct sim_compare *c)
{
    for (size_t k = 0; k < c->count; k++)
        for (size_t i = 0; i < c->count; i++)
            if (i != k && strcmp(c->runs[i].label, c->runs[k].label) == 0) {
                for (size_t r = 0; r < c->count; r++) {
                    ft_free(c->runs[r].label);
                    c->runs[r].label = ft_strdup(c->runs[r].dir);
                    if (c->runs[r].label == NULL)
                        return FT_ERR_NOMEM;
                }
                return FT_OK;
            }
    return FT_OK;
}

enum ft_status
sim_compare_open(const char *const *dirs, size_t count, enum sim_metric metric, double target,
                 struct sim_compare *out, struct ft_error *err)
{
    enum ft_status st = FT_ERR_NOMEM;
    *out = (struct sim_compare){ .target = target, .runs = ft_calloc(count, sizeof *out->runs) };
    if (out->runs == NULL)
        goto out;
    for (size_t k = 0; k < count; k++) {
        FT_TRY(sim_run_open(dirs[k], &out->runs[k], err));
        out->count++;
    }
    FT_TRY(choose_metric(out, metric, err));
    FT_TRY(find_differences(out));
    st = tell_apart(out);
out:
    if (st != FT_OK)
        sim_compare_close(out);
    return st;
}

void
sim_compare_close(struct sim_compare *c)
{
    for (size_t k = 0; k < c->count; k++)
        sim_run_close(&c->runs[k]);
    for (size_t i = 0; i < c->differing_count; i++)
        ft_free(c->differing[i]);
    ft_free(c->runs);
    ft_free(c->differing);
    *c = (struct sim_compare){ 0 };
}

double
sim_compare_final(const struct sim_compare *c, size_t run)
{
    char path[40];
    (void)snprintf(path, sizeof path, "metrics.%s", sim_metric_name(c->metric));
    return sim_run_number(&c->runs[run], path);
}

double
sim_compare_rounds_to(const struct sim_compare *c, size_t run)
{
    return isnan(c->target) ? NAN : sim_run_rounds_to(&c->runs[run], c->metric, c->target);
}

static json_t *
number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *
run_json(const struct sim_compare *c, size_t k)
{
    static const char *const copied[] = { "name",       "algorithm", "seed",       "rounds",
                                          "metrics",    "baselines", "seconds",    "clients_per_second",
                                          "peak_bytes", "bytes_up",  "parameters", "model_sha256" };
    const struct sim_run *run = &c->runs[k];
    json_t *o = json_pack("{s:s}", "dir", run->dir), *value;
    for (size_t i = 0; o != NULL && i < sizeof copied / sizeof copied[0]; i++)
        if ((value = json_object_get(run->summary, copied[i])) != NULL)
            (void)json_object_set(o, copied[i], value);
    if (o != NULL && !isnan(c->target))
        (void)json_object_set_new(o, "rounds_to_target", number(sim_compare_rounds_to(c, k)));
    return o;
}

json_t *
sim_compare_json(const struct sim_compare *c)
{
    json_t *runs = json_array(), *differing = json_object(), *o;
    for (size_t k = 0; k < c->count; k++)
        (void)json_array_append_new(runs, run_json(c, k));
    for (size_t i = 0; i < c->differing_count; i++) {
        json_t *values = json_array();
        for (size_t k = 0; k < c->count; k++) {
            const char *value = sim_run_key(&c->runs[k], c->differing[i]);
            (void)json_array_append_new(values, value != NULL ? json_string(value) : json_null());
        }
        (void)json_object_set_new(differing, c->differing[i], values);
    }
    o = json_pack("{s:s, s:o, s:o, s:o}", "metric", sim_metric_name(c->metric), "target", number(c->target),
                  "runs", runs, "differing", differing);
    return o;
}
