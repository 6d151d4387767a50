#include "common/statement/statement_internal.h"

#include "common/base/alloc.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static json_t *
real_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *
hex_of(const uint8_t *data, size_t size)
{
    char hex[129];
    return json_string(ft_hex(hex, data, size));
}

static json_t *
base64_of(struct ft_bytes bytes)
{
    const int variant = sodium_base64_VARIANT_ORIGINAL;
    const size_t room = sodium_base64_encoded_len(bytes.size, variant);
    char *text = ft_calloc(room, 1);
    json_t *out;

    if (text == NULL)
        return NULL;
    sodium_bin2base64(text, room, bytes.data, bytes.size, variant);
    out = json_string(text);
    ft_free(text);
    return out;
}

/* ---- the parts ---- */

static json_t *
task_json(const struct statement *s)
{
    const struct ft_task *t = s->task;
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}", "name", t->name, "title", t->title,
                     "purpose", t->purpose, "owner", t->owner, "expires", t->expires, "review", t->review,
                     "hash", hex_of(s->hash, 32), "signer", hex_of(s->signer, 32), "signed",
                     base64_of(s->facts->signed_task));
}

static json_t *
rounds_json(const struct statement *s)
{
    const struct ft_statement_rounds *r = &s->facts->rounds;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "statistics",
                     (json_int_t)r->committed[FT_STAGE_STATISTICS], "train",
                     (json_int_t)r->committed[FT_STAGE_TRAIN], "evaluate",
                     (json_int_t)r->committed[FT_STAGE_EVALUATE], "abandoned", (json_int_t)r->abandoned,
                     "failed", (json_int_t)r->failed, "charged", (json_int_t)s->charged, "planned",
                     (json_int_t)s->planned, "least_survivors", (json_int_t)r->least_survivors);
}

static const char *
contribution_name(const struct ft_task *t)
{
    if (t->model == FT_MODEL_KMEANS)
        return "sums and numbers by segment";
    if (t->kind == FT_TASK_STATISTICS)
        return "figures";
    return t->privacy.contribution == FT_CONTRIBUTION_GRADIENT ? "gradient" : "local change";
}

static json_t *
mechanism_json(const struct statement *s)
{
    const struct ft_task *t = s->task;
    const struct ft_task_privacy *p = &t->privacy;
    json_t *m;

    if (t->noise == 0)
        return json_null();
    m = json_pack("{s:s, s:f, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:b, s:b, s:s, s:I, s:I}",
                  "noise", "discrete Gaussian, a share from each shop, added before masking", "q",
                  ft_plan_q(t), "q_num", (json_int_t)p->q_num, "z_eff", s->event.z, "t_min",
                  (json_int_t)p->t_min, "sigma_share", (json_int_t)p->sigma_share, "delta_int_sq",
                  (json_int_t)p->delta_int_sq, "scale", (json_int_t)p->scale, "lambda", (json_int_t)p->lambda,
                  "dim", (json_int_t)p->dim, "m_stores", (json_int_t)p->m_stores, "clip", ft_plan_clip(t),
                  "adaptive_clip", p->clip_quantile > 0, "rotation", (int)p->rotated, "contribution",
                  contribution_name(t), "n_pub",
                  (json_int_t)ft_plan_customers(t), "shops", (json_int_t)p->shop_count);
    return m;
}

static json_t *
cost_json(const struct ft_account_cost *c, uint64_t steps)
{
    return json_pack("{s:I, s:o, s:I, s:o, s:b}", "rounds", (json_int_t)steps, "rdp", real_or_null(c->rdp),
                     "rdp_order", (json_int_t)c->rdp_order, "pld", real_or_null(c->pld), "pld_is_rdp",
                     (int)c->pld_is_rdp);
}

static json_t *
guarantee_json(const struct statement *s)
{
    if (s->task->noise == 0)
        return json_pack("{s:s}", "kind", "none");
    return json_pack("{s:s, s:f, s:o, s:o, s:o, s:s}", "kind", "(epsilon, delta)-differential privacy",
                     "delta", s->task->privacy.delta, "epsilon", real_or_null(s->spent.rdp), "charged",
                     cost_json(&s->spent, s->charged), "planned", cost_json(&s->whole, s->planned), "domain",
                     s->task->unit == FT_UNIT_STORE
                         ? "this task; what other tasks spend on the same shops adds to it"
                         : "this task; what other tasks spend on the same customers adds to it");
}

static json_t *
model_json(const struct statement *s)
{
    const struct ft_statement_model *m = s->facts->model;
    if (m == NULL)
        return json_null();
    return json_pack("{s:I, s:o, s:I, s:f}", "version", (json_int_t)m->version, "hash", hex_of(m->hash, 32),
                     "stage", (json_int_t)m->stage, "clip", m->clip);
}

/* ---- the whole ---- */

static enum ft_status
cost_of(struct ft_account_event event, uint64_t steps, double delta, struct ft_account_cost *cost)
{
    memset(cost, 0, sizeof *cost);
    event.steps = steps;
    return steps == 0 ? FT_OK : ft_account_cost(&event, 1, delta, cost);
}

static enum ft_status
count_rounds(struct statement *s, struct ft_error *err)
{
    const struct ft_statement_rounds *r = &s->facts->rounds;

    s->charged = (uint64_t)r->committed[1] + r->committed[2] + r->committed[3] + r->abandoned;
    if (r->committed[0] != 0 || r->committed[FT_STAGE_STATISTICS] > 1 ||
        r->committed[FT_STAGE_EVALUATE] > 1 || r->committed[FT_STAGE_TRAIN] > s->task->rounds)
        return ft_fail(err, FT_ERR_LIMIT,
                       "%u, %u and %u committed rounds of statistics, training and evaluation; the task "
                       "has 1, %u and 1",
                       r->committed[FT_STAGE_STATISTICS], r->committed[FT_STAGE_TRAIN],
                       r->committed[FT_STAGE_EVALUATE], s->task->rounds);
    if (s->task->kind == FT_TASK_STATISTICS && r->committed[FT_STAGE_EVALUATE] != 0)
        return ft_fail(err, FT_ERR_LIMIT, "an evaluation in a task that only measures");
    if (s->facts->model != NULL &&
        (s->facts->model->stage == FT_STAGE_STATISTICS) != (s->task->kind == FT_TASK_STATISTICS))
        return ft_fail(err, FT_ERR_LIMIT, "a result of another kind than the task makes");
    if (s->task->kind == FT_TASK_STATISTICS && s->facts->model != NULL &&
        (s->facts->model->version != 1 || r->committed[FT_STAGE_STATISTICS] != 1))
        return ft_fail(err, FT_ERR_LIMIT, "a result of version %llu after %u rounds; the task has one of each",
                       (unsigned long long)s->facts->model->version, r->committed[FT_STAGE_STATISTICS]);
    if (s->task->kind != FT_TASK_STATISTICS && s->facts->model != NULL &&
        s->facts->model->version > r->committed[FT_STAGE_TRAIN])
        return ft_fail(err, FT_ERR_LIMIT,
                       "a model of version %llu after %u training rounds: each makes one version",
                       (unsigned long long)s->facts->model->version, r->committed[FT_STAGE_TRAIN]);
    if (s->task->noise == 0) {
        s->planned = ft_plan_rounds(s->task);
        return FT_OK;
    }
    const uint32_t least = s->task->privacy.t_min + s->task->corrupted;
    if (r->least_survivors < least && r->committed[1] + r->committed[2] + r->committed[3] > 0)
        return ft_fail(err, FT_ERR_LIMIT, "a sum over %u shops; this task's noise needs %u", r->least_survivors, least);
    s->planned = s->task->privacy.steps;
    /* A shop pays for `steps` contributions at most, whatever the aggregator tries. */
    if (s->charged > s->planned)
        s->charged = s->planned;
    s->event = ft_plan_privacy_event(s->task, 1);
    return FT_OK;
}

/* The key in a signed task, so that it can be opened by it; who it is, is for the reader to compare. */
static enum ft_status
open_task(struct ft_bytes signed_task, struct ft_task *task, uint8_t hash[32], uint8_t signer[32],
          struct ft_error *err)
{
    enum ft_status st = ft_task_signer(signed_task, signer, err);

    if (st == FT_OK)
        st = ft_task_open(signed_task, (const uint8_t(*)[32])signer, 1, task, hash, err);
    if (st == FT_OK)
        st = ft_plan_privacy_check(task, err);
    return st;
}

enum ft_status
ft_statement_make(const struct ft_statement_facts *facts, json_t **out, struct ft_error *err)
{
    struct ft_task task = { 0 };
    struct statement s = { .facts = facts, .task = &task };
    enum ft_status st;
    json_t *object = NULL, *text;

    *out = NULL;
    FT_TRY(open_task(facts->signed_task, &task, s.hash, s.signer, err));
    FT_TRY(count_rounds(&s, err));
    if (task.noise != 0) {
        FT_TRY(cost_of(s.event, s.charged, task.privacy.delta, &s.spent));
        FT_TRY(cost_of(s.event, s.planned, task.privacy.delta, &s.whole));
    }
    object = json_pack("{s:s, s:i, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:i, s:o, s:o, s:o}", "statement",
                       FT_STATEMENT_KIND, "version", FT_STATEMENT_VERSION, "task", task_json(&s), "model",
                       model_json(&s), "rounds", rounds_json(&s), "unit", ft_unit_name(task.unit), "relation",
                       statement_relation(&s), "guarantee", guarantee_json(&s), "mechanism",
                       mechanism_json(&s), "corrupted", (int)task.corrupted, "covered", statement_covered(&s),
                       "not_covered", statement_not_covered(&s), "assumptions", statement_assumptions(&s));
    text = object != NULL ? statement_words(&s) : NULL;
    if (text == NULL || json_object_set_new(object, "text", text) != 0) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    *out = object;
    object = NULL;
out:
    json_decref(object);
    ft_task_clear(&task);
    return st;
}

const char *
ft_statement_text(const json_t *statement)
{
    return json_string_value(json_object_get(statement, "text"));
}

char *
ft_statement_dump(const json_t *value)
{
    return json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY);
}
