#include "client/commands/task_text.h"

#include "client/policy/policy.h"
#include "common/plan/measure_plan.h"
#include "common/task/refusal_codes.h"

#include <jansson.h>

static const char *
model_name(enum ft_model_kind kind)
{
    static const char *const names[] = { "?",
                                         "linear regression",
                                         "logistic regression",
                                         "softmax regression",
                                         "Poisson regression",
                                         "multilayer perceptron",
                                         "convolutional network",
                                         "k-means clustering" };
    return (unsigned)kind < sizeof names / sizeof names[0] ? names[kind] : names[0];
}

json_t *
ft_codes_json(const uint32_t *codes, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const char *name = ft_refusal_name(codes[i]);
        json_array_append_new(list, json_string(name != NULL ? name : "UNKNOWN"));
    }
    return list;
}

static const char *
people(const struct ft_task *t)
{
    return t->unit == FT_UNIT_CUSTOMER ? "customers who agreed to this purpose"
           : t->unit == FT_UNIT_STORE  ? "shops"
                                       : "records without people";
}

/* What a count in a task's figures is of. */
static const char *
counted(const struct ft_task *t)
{
    return t->unit == FT_UNIT_CUSTOMER ? "customers" : t->unit == FT_UNIT_STORE ? "shops" : "records";
}

static void
print_axis(const struct ft_task *t, const struct ft_task_axis *axis, FILE *out)
{
    const struct ft_task_feature *f = &t->features[ft_task_feature(t, axis->feature)];
    fprintf(out, "%s from %g to %g", f->name, f->min, f->max);
    if (axis->edge_count + axis->bins > 0)
        fprintf(out, " in %u steps", axis->edge_count > 0 ? axis->edge_count + 1 : axis->bins);
}

/* One line a measure, in words. */
static void
print_measure(const struct ft_task *t, const struct ft_task_measure *m, FILE *out)
{
    static const char *const words[] = { "",
                                         "how many there are",
                                         "the mean of ",
                                         "mean and spread of ",
                                         "how many have ",
                                         "quantiles of ",
                                         "how many have each pair of " };
    fprintf(out, "    - %s", words[m->kind]);
    for (uint32_t a = 0; a < ft_measure_axes(m->kind); a++) {
        fprintf(out, "%s", a > 0 ? " and " : "");
        print_axis(t, &m->axes[a], out);
    }
    fprintf(out, "\n");
}

static void
print_statistics(const struct ft_task *t, FILE *out)
{
    bool listed = false;

    fprintf(out, "\nWhat is computed here\n");
    fprintf(out, "  No model: figures about %s, each of %s counts once%s:\n", people(t),
            t->unit == FT_UNIT_CUSTOMER ? "whom" : "which",
            t->unit == FT_UNIT_STORE                                      ? ", by the mean of all its rows"
            : t->unit == FT_UNIT_CUSTOMER && t->rows_per_customer > 1 ? ", by the mean of the rows"
                                                                      : "");
    for (uint32_t i = 0; i < t->measure_count; i++)
        listed |= t->measures[i].kind == FT_MEASURE_COUNT;
    if (!listed)
        fprintf(out, "    - how many there are\n");
    for (uint32_t i = 0; i < t->measure_count; i++)
        print_measure(t, &t->measures[i], out);
    fprintf(out, "\nWhat leaves this shop\n");
    fprintf(out,
            "  Once: one vector of %zu numbers, the sums of the above over this shop, masked so that the aggregator\n"
            "  can read nothing but the sum over at least %u shops. No row, no customer number and no figure of this\n"
            "  shop alone.\n",
            ft_measure_cells(t), t->n_min);
    if (t->noise == 0)
        fprintf(out, "  Noise on the sum: none. Counts of too few over all shops are not released.\n");
    else
        fprintf(out,
                "  Noise on the sum: yes. All that one %s adds has length 1 at most, and noise of %u shops'\n"
                "  shares hides it; the budget of this shop pays for %llu such sums at most.\n",
                t->unit == FT_UNIT_CUSTOMER ? "customer" : t->unit == FT_UNIT_STORE ? "shop" : "record",
                t->privacy.t_min, (unsigned long long)t->privacy.steps);
}

static void print_rest(const struct ft_task *t, const struct ft_vault_task *record, FILE *out);

void
ft_task_print(const struct ft_task *t, const struct ft_vault_task *record, FILE *out)
{
    char hex[65];
    fprintf(out, "%s: %s\n", t->name, t->title);
    fprintf(out, "  asked by    %s, until %s, to be reviewed by %s\n", t->owner, t->expires, t->review);
    fprintf(out, "  purpose     %s\n", t->purpose);
    fprintf(out, "  hash        %s\n", ft_hex(hex, record->hash, 32));
    if (t->kind == FT_TASK_STATISTICS) {
        print_statistics(t, out);
        print_rest(t, record, out);
        return;
    }
    fprintf(out, "\nWhat is computed here\n");
    const char *whose =
        t->unit == FT_UNIT_CUSTOMER ? "customers who agreed to this purpose"
        : t->unit == FT_UNIT_STORE  ? "this shop's rows: of customers who agreed to this purpose, or of no people"
                                    : "records without people";
    if (t->model == FT_MODEL_KMEANS)
        fprintf(out, "  A %s finds %u segments in %u features of %s.\n", model_name(t->model), t->clusters,
                t->feature_count, whose);
    else
        fprintf(out, "  A %s with %llu numbers learns \"%s\" from %u features of %s.\n", model_name(t->model),
                (unsigned long long)ft_task_parameters(t), t->label, t->feature_count, whose);
    fprintf(out, "  At most %u rows of one customer count; at most %u rows in all.\n", t->rows_per_customer,
            t->rows_max);
    fprintf(out, "\nWhat leaves this shop\n");
    fprintf(out,
            "  In each of %u training rounds, and in one before and one after: one vector of numbers, masked "
            "so that\n"
            "  the aggregator can read nothing but the sum over at least %u shops. It holds ",
            t->rounds, t->n_min);
    if (t->model == FT_MODEL_KMEANS)
        fprintf(out,
                "for each segment the\n"
                "  sums of its members' features and their number, and how far members are from the middle. A segment\n"
                "  of fewer than %u %s is not shown, and no customer's segment is told to anybody.\n",
                t->min_cluster, t->unit == FT_UNIT_STORE ? "shops, counted in parts," : counted(t));
    else
        fprintf(out,
                "the change of the model\n"
                "  (limited to length %g), how many rows were used, and counts of right and wrong predictions.\n",
                t->clip);
    fprintf(out, "  No row, no customer number and no figure of this shop alone.\n");
    fprintf(out, "  Noise on the sum: %s.\n",
            t->noise == 0               ? "none"
            : t->unit == FT_UNIT_STORE  ? "yes, so much that it hides this shop as a whole"
            : t->unit == FT_UNIT_RECORD ? "yes, so much that it hides each record"
                                        : "yes, so much that it hides each customer");
    print_rest(t, record, out);
}

static void
print_rest(const struct ft_task *t, const struct ft_vault_task *record, FILE *out)
{
    fprintf(out, "\nThe query\n%s\n", t->sql);
    fprintf(out, "\nDecision: %s",
            record->verdict == 0 ? "none yet" : ft_verdict_name((enum ft_verdict)record->verdict));
    for (size_t i = 0; i < record->code_count; i++) {
        const char *name = ft_refusal_name(record->codes[i]);
        fprintf(out, "%s%s", i == 0 ? " because of " : ", ", name != NULL ? name : "UNKNOWN");
    }
    fprintf(out, "\n");
}

static json_t *
measure_json(const struct ft_task_measure *m)
{
    json_t *one = json_pack("{s:s}", "measure", ft_measure_name(m->kind));
    for (uint32_t a = 0; a < ft_measure_axes(m->kind); a++) {
        const struct ft_task_axis *axis = &m->axes[a];
        json_object_set_new(one, a == 0 ? "feature" : "with", json_string(axis->feature));
        if (axis->edge_count + axis->bins > 0)
            json_object_set_new(one, a == 0 ? "cells" : "with_cells",
                                json_integer(axis->edge_count > 0 ? axis->edge_count + 1 : axis->bins));
    }
    return one;
}

json_t *
ft_task_json(const struct ft_task *t, const struct ft_vault_task *record)
{
    char hex[65];
    json_t *features = json_array();
    for (uint32_t i = 0; i < t->feature_count; i++)
        json_array_append_new(features, json_pack("{s:s, s:f, s:f}", "name", t->features[i].name, "min",
                                                  t->features[i].min, "max", t->features[i].max));
    json_t *measures = json_array();
    for (uint32_t i = 0; i < t->measure_count; i++)
        json_array_append_new(measures, measure_json(&t->measures[i]));
    return json_pack(
        "{s:s, s:o, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:f, s:i, s:s, s:o}",
        "kind", t->kind == FT_TASK_STATISTICS ? "statistics" : "train", "measures", measures, "cells",
        (json_int_t)(t->kind == FT_TASK_STATISTICS ? ft_measure_cells(t) : 0),
        "name", t->name, "title", t->title, "purpose", t->purpose, "owner", t->owner, "expires", t->expires,
        "review", t->review, "hash", ft_hex(hex, record->hash, 32), "model",
        t->kind == FT_TASK_STATISTICS ? "none" : model_name(t->model), "label",
        t->label, "sql", t->sql, "features", features, "parameters", (json_int_t)ft_task_parameters(t),
        "rounds", (json_int_t)t->rounds, "cohort_min", (json_int_t)t->n_min, "rows_max",
        (json_int_t)t->rows_max, "clip", t->clip, "noise", (int)t->noise, "verdict",
        record->verdict == 0 ? "none" : ft_verdict_name((enum ft_verdict)record->verdict), "reasons",
        ft_codes_json(record->codes, record->code_count));
}
