#include "client/commands/task_text.h"

#include "client/policy/policy.h"
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
                                         "multilayer perceptron" };
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

void
ft_task_print(const struct ft_task *t, const struct ft_vault_task *record, FILE *out)
{
    char hex[65];
    fprintf(out, "%s: %s\n", t->name, t->title);
    fprintf(out, "  asked by    %s, until %s, to be reviewed by %s\n", t->owner, t->expires, t->review);
    fprintf(out, "  purpose     %s\n", t->purpose);
    fprintf(out, "  hash        %s\n", ft_hex(hex, record->hash, 32));
    fprintf(out, "\nWhat is computed here\n");
    fprintf(out, "  A %s with %llu numbers learns \"%s\" from %u features of %s.\n", model_name(t->model),
            (unsigned long long)ft_task_parameters(t), t->label, t->feature_count,
            t->unit == FT_UNIT_CUSTOMER ? "customers who agreed to this purpose"
            : t->unit == FT_UNIT_STORE  ? "this shop's rows: of customers who agreed to this purpose, or of no people"
                                        : "records without people");
    fprintf(out, "  At most %u rows of one customer count; at most %u rows in all.\n", t->rows_per_customer,
            t->rows_max);
    fprintf(out, "\nWhat leaves this shop\n");
    fprintf(out,
            "  In each of %u training rounds, and in one before and one after: one vector of numbers, masked "
            "so that\n"
            "  the aggregator can read nothing but the sum over at least %u shops. It holds the change of "
            "the model\n"
            "  (limited to length %g), how many rows were used, and counts of right and wrong predictions.\n",
            t->rounds, t->n_min, t->clip);
    fprintf(out, "  No row, no customer number and no figure of this shop alone.\n");
    fprintf(out, "  Noise on the sum: %s.\n",
            t->noise == 0               ? "none"
            : t->unit == FT_UNIT_STORE  ? "yes, so much that it hides this shop as a whole"
            : t->unit == FT_UNIT_RECORD ? "yes, so much that it hides each record"
                                        : "yes, so much that it hides each customer");
    fprintf(out, "\nThe query\n%s\n", t->sql);
    fprintf(out, "\nDecision: %s",
            record->verdict == 0 ? "none yet" : ft_verdict_name((enum ft_verdict)record->verdict));
    for (size_t i = 0; i < record->code_count; i++) {
        const char *name = ft_refusal_name(record->codes[i]);
        fprintf(out, "%s%s", i == 0 ? " because of " : ", ", name != NULL ? name : "UNKNOWN");
    }
    fprintf(out, "\n");
}

json_t *
ft_task_json(const struct ft_task *t, const struct ft_vault_task *record)
{
    char hex[65];
    json_t *features = json_array();
    for (uint32_t i = 0; i < t->feature_count; i++)
        json_array_append_new(features, json_pack("{s:s, s:f, s:f}", "name", t->features[i].name, "min",
                                                  t->features[i].min, "max", t->features[i].max));
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I, s:f, s:i, s:s, s:o}",
        "name", t->name, "title", t->title, "purpose", t->purpose, "owner", t->owner, "expires", t->expires,
        "review", t->review, "hash", ft_hex(hex, record->hash, 32), "model", model_name(t->model), "label",
        t->label, "sql", t->sql, "features", features, "parameters", (json_int_t)ft_task_parameters(t),
        "rounds", (json_int_t)t->rounds, "cohort_min", (json_int_t)t->n_min, "rows_max",
        (json_int_t)t->rows_max, "clip", t->clip, "noise", (int)t->noise, "verdict",
        record->verdict == 0 ? "none" : ft_verdict_name((enum ft_verdict)record->verdict), "reasons",
        ft_codes_json(record->codes, record->code_count));
}
