/* What a statement says in words. Every number in it is one that the statement also holds for programs. */
#include "common/statement/statement_internal.h"

#include <stdio.h>

static const char *
unit_word(enum ft_unit unit)
{
    return unit == FT_UNIT_CUSTOMER ? "customer" : unit == FT_UNIT_STORE ? "shop" : "record";
}

static const char *
one_of(const struct statement *s)
{
    return unit_word(s->task->unit);
}

static bool
is_store(const struct statement *s)
{
    return s->task->unit == FT_UNIT_STORE;
}

const char *
ft_statement_relation(enum ft_unit unit)
{
    return unit == FT_UNIT_CUSTOMER ? "add or remove one customer with all their transactions"
           : unit == FT_UNIT_STORE
               ? "zero out one shop: it still takes part and adds its noise, and its data count for nothing"
               : "add or remove one record";
}

const char *
statement_relation(const struct statement *s)
{
    return ft_statement_relation(s->task->unit);
}

static void
add(json_t *list, const char *text)
{
    json_array_append_new(list, json_string(text));
}

json_t *
statement_covered(const struct statement *s)
{
    json_t *list = json_array();
    char text[400];

    if (s->task->kind == FT_TASK_STATISTICS)
        snprintf(text, sizeof text, "the sum of this task, with all %u measures and every figure made from it",
                 s->task->measure_count);
    else
        snprintf(text, sizeof text,
                 "every sum of this task: feature means and deviations, %u training rounds and the evaluation, "
                 "with the models "
                 "and figures made from them",
                 s->task->rounds);
    add(list, text);
    if (s->task->noise == 0)
        return list;
    snprintf(text, sizeof text, "all rows of one %s in up to %u shop%s, however many they are", one_of(s),
             s->task->privacy.m_stores, s->task->privacy.m_stores == 1 ? "" : "s");
    add(list, is_store(s) ? FT_STATEMENT_SHOP_COVERED : text);
    add(list, "everything computed from those sums later, by anybody");
    return list;
}

json_t *
statement_not_covered(const struct statement *s)
{
    json_t *list = json_array();

    if (s->task->noise == 0)
        add(list, FT_STATEMENT_NO_NOISE);
    add(list, is_store(s) ? "other tasks over the same shops; each shop's ledger adds them up"
                          : "other tasks over the same customers; each shop's ledger adds them up");
    add(list, FT_STATEMENT_POPULATION);
    if (is_store(s)) {
        add(list, FT_STATEMENT_SHOP_LEAVES);
        add(list, FT_STATEMENT_SHOP_CUSTOMER);
    } else {
        add(list, FT_STATEMENT_SHOPS);
    }
    add(list, "what a shop does with its own data and its own scores");
    return list;
}

json_t *
statement_assumptions(const struct statement *s)
{
    const struct ft_task *t = s->task;
    json_t *list = json_array();
    char text[400];

    snprintf(text, sizeof text, "at most %u shops collude with the aggregator or leave their noise out",
             t->corrupted);
    add(list, text);
    add(list, "the other shops run their programs unchanged, and keep their keys");
    add(list, "the ciphers behind masks and random numbers are sound");
    if (t->noise == 0)
        return list;
    snprintf(text, sizeof text,
             "no sum was revealed of fewer than %u shops, so at least %u honest shares of noise are in each; "
             "only those count",
             t->privacy.t_min + t->corrupted, t->privacy.t_min);
    add(list, text);
    if (is_store(s)) {
        add(list, "a shop's data reach a sum through that shop's own vector alone");
        return list;
    }
    snprintf(text, sizeof text, "no customer's data lies in more than %u of the task's shops",
             t->privacy.m_stores);
    add(list, text);
    if (t->privacy.q_num < FT_PRIVACY_Q_ONE)
        add(list, "each shop draws who is in a round afresh and tells nobody");
    return list;
}

enum ft_status
ft_statement_say(const struct ft_statement_claim *c, struct ft_buf *out)
{
    const char *one = unit_word(c->unit);
    const bool store = c->unit == FT_UNIT_STORE;
    enum ft_status st;

    FT_TRY(ft_buf_printf(
        out,
        "Differential privacy: epsilon %.4g at delta %.3g, for %s (%s), over the %llu rounds that are "
        "charged (accountant: RDP, order %u; PLD gives %.4g). ",
        c->spent.rdp, c->delta, one, ft_statement_relation(c->unit), (unsigned long long)c->charged,
        c->spent.rdp_order, c->spent.pld));
    if (c->planned > 0)
        FT_TRY(ft_buf_printf(out, "If all %llu planned rounds are used: %.4g (PLD %.4g). ",
                             (unsigned long long)c->planned, c->whole.rdp, c->whole.pld));
    FT_TRY(ft_buf_printf(
        out,
        "In plain words: whatever anybody concludes from %s about one %s, they would have "
        "concluded with odds at most e^%.4g times different, had that %s never been in the data%s, but for a "
        "chance of %.3g. ",
        c->figures ? "these figures" : "this model", one, c->spent.rdp, one, store ? " and taken part all the same" : "", c->delta));
    if (store)
        return ft_buf_printf(
            out,
            "Mechanism: each shop is in each round (q = 1) with one vector, %s over all its rows, "
            "clipped to length %.6g%s; each shop adds discrete Gaussian noise before masking; t_min = %u shares are "
            "counted, a noise multiplier of z_eff = %.6g. ",
            c->figures ? "the mean" : c->segments ? "the mean of sums and numbers by segment" : "the change of the model", c->clip, c->adaptive_clip ? " (adapted from noisy sums)" : "", c->t_min, c->z);
    FT_TRY(ft_buf_printf(
        out,
        "Mechanism: each %s is in a round with probability q = %.6g; their vector is clipped to length "
        "%.6g%s; each shop adds discrete Gaussian noise before masking; t_min = %u shares are counted, a "
        "noise multiplier of z_eff = %.6g; at most m = %u shops a customer. ",
        one, c->q, c->clip, c->adaptive_clip ? " (adapted from noisy sums)" : "", c->t_min, c->z,
        c->m_stores));
out:
    return st;
}

static enum ft_status
say_noise(const struct statement *s, struct ft_buf *out)
{
    const struct ft_task *t = s->task;
    const struct ft_task_privacy *p = &t->privacy;
    return ft_statement_say(&(struct ft_statement_claim){ .unit = t->unit,
                                                          .delta = p->delta,
                                                          .q = ft_plan_q(t),
                                                          .z = s->event.z,
                                                          .figures = t->kind == FT_TASK_STATISTICS,
                                                          .segments = t->model == FT_MODEL_KMEANS,
                                                          .clip = ft_plan_clip(t),
                                                          .adaptive_clip = p->clip_quantile > 0,
                                                          .t_min = p->t_min,
                                                          .m_stores = p->m_stores,
                                                          .charged = s->charged,
                                                          .planned = s->planned,
                                                          .spent = s->spent,
                                                          .whole = s->whole },
                            out);
}

/* What a segment is, and how few people one may be about. */
static enum ft_status
say_segments(const struct ft_task *t, struct ft_buf *out)
{
    return ft_buf_printf(out,
                         "Segments: of each of %u segments nothing was revealed but the sums and the number of its "
                         "members over all shops of a round%s; a segment with fewer than %u members (%s)%s was not moved "
                         "to their mean, and no figure about it is told. The model holds segment centres, no customer and "
                         "no customer's segment. ",
                         t->clusters, t->noise != 0 ? ", with noise" : "", t->min_cluster,
                         t->unit == FT_UNIT_STORE    ? "shops, each in parts by its rows"
                         : t->unit == FT_UNIT_RECORD ? "records"
                                                     : "customers, each once in every shop they are in",
                         t->noise != 0 ? ", or with a number that its noise hides," : "");
}

json_t *
statement_words(const struct statement *s)
{
    const struct ft_statement_rounds *r = &s->facts->rounds;
    const struct ft_task *t = s->task;
    struct ft_buf out = { 0 };
    json_t *text = NULL;
    enum ft_status st;

    FT_TRY(ft_buf_printf(
        &out,
        "Secure aggregation: each of %u committed rounds revealed one sum over at least %u shops, and no "
        "shop's own contribution, to anyone; this holds while at most %u shops collude with the "
        "aggregator. ",
        r->committed[1] + r->committed[2] + r->committed[3], r->least_survivors, t->corrupted));
    if (t->noise != 0)
        FT_TRY(say_noise(s, &out));
    else if (t->kind == FT_TASK_STATISTICS)
        FT_TRY(ft_buf_printf(
            &out,
            "Unit of the data: %s, at most %u rows each, which count as one: their mean. Differential privacy: none; no "
            "noise was added, so no bound is claimed on what the figures tell about one %s. ",
            one_of(s), t->unit == FT_UNIT_CUSTOMER ? t->rows_per_customer : 1u, one_of(s)));
    else if (t->model == FT_MODEL_KMEANS)
        FT_TRY(ft_buf_printf(
            &out,
            "Unit of the data: %s, at most %u rows each. Differential privacy: none; no noise was added, so no bound is "
            "claimed on what the sums themselves tell about one %s. ",
            one_of(s), t->unit == FT_UNIT_CUSTOMER ? t->rows_per_customer : 1u, one_of(s)));
    else
        FT_TRY(ft_buf_printf(
            &out,
            "Unit of the data: %s, at most %u rows each; each shop's update was clipped to an L2 norm of "
            "%g. Differential privacy: none; no noise was added, so no bound is claimed on what the sums "
            "themselves tell about one %s. ",
            one_of(s), t->unit == FT_UNIT_CUSTOMER ? t->rows_per_customer : 1u, t->clip, one_of(s)));
    if (t->model == FT_MODEL_KMEANS)
        FT_TRY(say_segments(t, &out));
    FT_TRY(ft_buf_str(
        &out, is_store(s)
                  ? "Not covered: other tasks over the same shops, which add to this one; that a shop takes part, for one "
                    "that leaves takes its noise with it; a claim of one customer's own, beyond that of their shop; and what "
                    "is true of people in general."
                  : "Not covered: other tasks over the same customers, which add to this one; and what is true of "
                    "people in general."));
    text = json_stringn((const char *)out.data, out.size);
out:
    ft_buf_clear(&out);
    return text;
}
