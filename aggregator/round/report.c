#include "aggregator/round/engine_internal.h"
#include "common/base/alloc.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- why shops were left out ---- */

static const char *
not_told(struct ft_engine *e, const struct engine_task *task, const struct engine_shop *shop)
{
    const uint8_t verdict = task != NULL ? task->verdicts[engine_shop_slot(e, shop)] : FT_VERDICT_NONE;

    if (shop->barred)
        return "BARRED";
    if (!engine_shop_present(e, shop))
        return "OFFLINE";
    switch (verdict) {
    case FT_VERDICT_REFUSED:
        return "TASK_REFUSED";
    case FT_VERDICT_WAITING:
        return "TASK_WAITING_FOR_APPROVAL";
    case FT_VERDICT_LATER:
        return "TASK_NOT_NOW";
    case FT_VERDICT_NONE:
        return "TASK_UNDECIDED";
    default:
        return shop->refused_until_ms > engine_now(e) ? "REFUSED_BEFORE" : "NOT_READY";
    }
}

/* NULL when the shop is in the sum, or would not have been waited for at all. */
static json_t *
reason_of(struct ft_engine *e, const struct engine_task *task, const struct engine_session *s,
          const struct engine_shop *shop)
{
    uint32_t abort_code = 0;
    const enum ft_ss_end end = ft_ss_server_client_end(s->server, shop->place, &abort_code);

    if (ft_ss_server_survivor(s->server, shop->place))
        return NULL;
    if (task != NULL && task->sizes != NULL && task->sizes[engine_shop_slot(e, shop)] == 0)
        return json_string("TASK_DOES_NOT_NAME_IT"); /* it was never told */
    if (end == FT_SS_END_ABORTED)
        return json_sprintf("ABORTED:%s", ft_ss_abort_name(abort_code));
    if (!shop->announced && (end == FT_SS_END_NONE || end == FT_SS_END_LATE_JOIN))
        return json_string(not_told(e, task, shop));
    if (end != FT_SS_END_NONE)
        return json_string(ft_ss_end_name(end));
    return ft_ss_server_phase(s->server) == FT_SS_FAILED ? NULL : json_string("LATE_JOIN");
}

static char *
dump(json_t *object)
{
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    char *out = ft_strdup(text);

    free(text);
    json_decref(object);
    return out;
}

char *
engine_reasons(struct ft_engine *e, const struct engine_task *task, const struct engine_session *s,
               const char *failure)
{
    json_t *shops = json_object();
    json_t *object = json_object();

    for (size_t i = 0; s->server != NULL && i < e->shop_count; i++) {
        const struct engine_shop *shop = &e->shops[i];
        json_t *reason = shop->listed ? reason_of(e, task, s, shop) : NULL;
        if (reason != NULL)
            json_object_set_new(shops, shop->row.name, reason);
    }
    if (failure != NULL)
        json_object_set_new(object, "session", json_string(failure));
    json_object_set_new(object, "shops", shops);
    return dump(object);
}

/* ---- what the sum said ---- */

static json_t *
number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static void
put_estimate(json_t *object, const char *name, const struct ft_estimate *e)
{
    json_object_set_new(object, name,
                        json_pack("{s:o, s:o, s:o}", "value", number(e->value), "low", number(e->low), "high",
                                  number(e->high)));
}

static json_t *
calibration(const struct ft_calibration_row *rows, uint32_t count)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < count; i++) {
        const struct ft_calibration_row *row = &rows[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:o, s:o}", "rows", number(row->rows), "score",
                                              number(row->score), "rate", number(row->rate.value), "low",
                                              number(row->rate.low), "high", number(row->rate.high)));
    }
    return list;
}

/* A count; null when it is of too few. */
static void
put_rows(json_t *object, const char *name, uint64_t rows, bool withheld)
{
    json_object_set_new(object, name, withheld ? json_null() : json_integer((json_int_t)rows));
}

/* What a step of the centroids did: nobody's figures. */
static void
put_moved(json_t *object, const struct ft_kmeans_moved *moved)
{
    json_object_set_new(object, "small_clusters", json_integer(moved->small));
    json_object_set_new(object, "moved", number(moved->length));
}

/* Each cluster's share of the test rows; small ones are told together. */
static void
put_clusters(json_t *object, const struct ft_metrics_report *r)
{
    json_t *list = json_array(), *rest = json_object();

    for (uint32_t k = 0; k < r->cluster_count; k++) {
        json_t *one = json_pack("{s:i}", "cluster", (int)k);
        put_rows(one, "rows", r->clusters[k].rows, r->clusters[k].withheld);
        put_estimate(one, "share", &r->clusters[k].share);
        json_array_append_new(list, one);
    }
    put_rows(rest, "rows", r->cluster_rest.rows, r->cluster_rest.withheld);
    put_estimate(rest, "share", &r->cluster_rest.share);
    json_object_set_new(object, "clusters", list);
    json_object_set_new(object, "other_clusters", rest);
}

char *
engine_metrics(const struct ft_task *task, const struct engine_session *s, const uint64_t *values, const float *params,
               uint64_t weight_sum, const struct ft_kmeans_moved *moved, uint64_t group_min)
{
    json_t *object = json_object();
    struct ft_metrics_report *r;

    if (task->min_cluster > group_min)
        group_min = task->min_cluster;
    json_object_set_new(object, "min_group", json_integer((json_int_t)group_min));
    put_rows(object, "weight", weight_sum, weight_sum < group_min);
    if (s->row.stage == FT_STAGE_STATISTICS) {
        put_rows(object, "train_rows", weight_sum, weight_sum < group_min);
        return dump(object);
    }
    r = ft_calloc(1, sizeof *r);
    if (r == NULL) {
        json_decref(object);
        return NULL;
    }
    ft_metrics_report(&s->plan.layout.metrics, values, params, task->weight_decay, r);
    ft_metrics_withhold(r, group_min);
    put_rows(object, "test_rows", r->test_rows, r->test_withheld);
    put_rows(object, "train_rows", r->train_rows, r->train_withheld);
    put_estimate(object, "loss", &r->test_loss);
    json_object_set_new(object, "train_loss", number(r->train_loss));
    if (ft_model_is_clusters(&s->plan.model)) {
        put_clusters(object, r);
        if (s->row.stage == FT_STAGE_TRAIN)
            put_moved(object, moved);
        ft_free(r);
        return dump(object);
    }
    put_rows(object, "positives", r->positives, r->classes_withheld);
    put_rows(object, "negatives", r->negatives, r->classes_withheld);
    put_estimate(object, "accuracy", &r->accuracy);
    put_estimate(object, "auc", &r->auc);
    json_object_set_new(object, "deviance", number(r->test_deviance));
    json_object_set_new(object, "calibration_error", number(r->calibration_error));
    json_object_set_new(object, "objective", number(r->objective));
    json_object_set_new(object, "calibration", calibration(r->calibration, r->calibration_count));
    ft_free(r);
    return dump(object);
}

/* ---- what a sum with noise said ---- */

/* What is counted: `customers` (or records), or `shops` with unit store. */
static const char *
counted(const struct ft_private_sum *sum)
{
    return sum->task->unit == FT_UNIT_STORE ? "shops" : "customers";
}

static void
put_sizes(json_t *object, const struct ft_private_sum *sum)
{
    char name[40];

    snprintf(name, sizeof name, "%s_declared", counted(sum));
    json_object_set_new(object, name, json_integer((json_int_t)sum->customers));
    snprintf(name, sizeof name, "%s_expected", counted(sum));
    json_object_set_new(object, name, number(sum->expected));
}

/* Figures about fewer customers than the minimum crowd are withheld, though each stands for nobody for certain. With unit
 * store they are about shops, of which the least survivors are crowd enough. */
static void
put_evaluation(json_t *object, const struct ft_private_sum *sum, uint64_t group_min)
{
    struct ft_private_metrics m;
    uint32_t kept = 0;

    ft_private_metrics(sum, &m);
    put_estimate(object, counted(sum), &m.customers);
    if (sum->task->unit == FT_UNIT_STORE)
        group_min = 0;
    json_object_set_new(object, "min_group", json_integer((json_int_t)group_min));
    if (!(m.customers.value >= (double)group_min))
        return;
    if (m.cluster_count > 0) {
        json_t *list = json_array();
        for (uint32_t k = 0; k < m.cluster_count; k++) {
            json_t *one = json_pack("{s:i}", "cluster", (int)k);
            put_estimate(one, "share", &m.clusters[k]);
            json_array_append_new(list, one);
        }
        put_estimate(object, "loss", &m.loss);
        json_object_set_new(object, "loss_cap", number(sum->plan->privacy.loss_cap));
        json_object_set_new(object, "clusters", list);
        return;
    }
    for (uint32_t i = 0; i < m.calibration_count; i++)
        if (m.calibration[i].rows >= (double)group_min)
            m.calibration[kept++] = m.calibration[i];
    m.calibration_count = kept;
    put_estimate(object, "loss", &m.loss);
    put_estimate(object, "accuracy", &m.accuracy);
    put_estimate(object, "auc", &m.auc);
    json_object_set_new(object, "positives", number(m.positives));
    json_object_set_new(object, "negatives", number(m.negatives));
    json_object_set_new(object, "loss_cap", number(sum->plan->privacy.loss_cap));
    json_object_set_new(object, "calibration_error", number(m.calibration_error));
    json_object_set_new(object, "calibration", calibration(m.calibration, m.calibration_count));
}

/* Mean and deviation of each feature over its declared range; the interval of the mean covers noise and sampling. */
static json_t *
features_json(const struct ft_private_sum *sum, const struct engine_statistics *s)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < sum->task->feature_count; i++) {
        const struct ft_task_feature *f = &sum->task->features[i];
        const double half = (f->max - f->min) / 2, at = (s->means[i] - f->min) / half - 1;
        const double scale = sqrt(2.0 * sum->task->feature_count + 1);
        const double noise = half * sum->noise * scale / sum->expected * sqrt(1 + at * at);
        const double reach = 1.96 * sqrt(noise * noise + s->stds[i] * s->stds[i] / sum->expected);
        json_t *one = json_pack("{s:s, s:f, s:f, s:o}", "name", f->name, "min", f->min, "max", f->max, "deviation",
                                number(s->stds[i]));
        const struct ft_estimate mean = { s->means[i], s->means[i] - reach, s->means[i] + reach };
        put_estimate(one, "mean", &mean);
        json_array_append_new(list, one);
    }
    return list;
}

char *
engine_private_metrics(const struct ft_private_sum *sum, const struct engine_statistics *statistics,
                       const struct ft_kmeans_moved *moved, double norm, double clip_next, uint64_t group_min)
{
    json_t *object = json_object(), *noise = json_object();
    const size_t coordinates = sum->plan->privacy.coordinates;
    const double of_mean = sum->noise / sum->expected;

    /* n_U and q n_U are the task's own numbers; nobody counted anything. */
    put_sizes(object, sum);
    json_object_set_new(noise, "of_sum", number(sum->noise));
    json_object_set_new(noise, "of_mean", number(of_mean));
    json_object_set_new(noise, "length_of_mean", number(of_mean * sqrt((double)coordinates)));
    json_object_set_new(object, "noise", noise);
    if (sum->plan->stage == FT_STAGE_STATISTICS && statistics != NULL) {
        put_estimate(object, counted(sum), &statistics->count);
        json_object_set_new(object, "features", features_json(sum, statistics));
    }
    if (moved != NULL)
        put_moved(object, moved);
    else if (sum->plan->stage == FT_STAGE_TRAIN) {
        json_object_set_new(object, "length_of_update", number(norm));
        json_object_set_new(object, "clip", number(sum->plan->privacy.clip));
        json_object_set_new(object, "clip_next", number(clip_next));
        json_object_set_new(object, "below_clip", number(sum->below_share));
    }
    if (sum->plan->stage == FT_STAGE_EVALUATE)
        put_evaluation(object, sum, group_min);
    return dump(object);
}
