#include "client/source/check.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>

static double
rate(uint64_t part, uint64_t all)
{
    return all > 0 ? (double)part / (double)all : 0.0;
}

static void
print_column(const struct ft_column_summary *c, uint64_t rows, FILE *out)
{
    fprintf(out, "  %-14s %6.2f %% missing", c->name, 100.0 * rate(c->missing, rows));
    if (c->numeric && !isnan(c->min))
        fprintf(out, ", %g to %g", c->min, c->max);
    else if (c->distinct > 1000)
        fprintf(out, ", more than 1000 values");
    else if (c->distinct > 0)
        fprintf(out, ", %" PRIu64 " values", c->distinct);
    fputc('\n', out);
}

void
ft_source_summary_print(const struct ft_source_summary *s, const struct ft_quarantine *q, FILE *out)
{
    fprintf(out, "files      %" PRIu64 " (%" PRIu64 " skipped as duplicates)\n", s->files,
            s->duplicate_files);
    fprintf(out, "lines      %" PRIu64 " (%" PRIu64 " rejected)\n", s->rows, s->rejected);
    fprintf(out, "customers  %" PRIu64 " (%" PRIu64 " lines without one)\n", s->customers,
            s->lines_without_customer);
    fprintf(out, "baskets    %" PRIu64 "\nproducts   %" PRIu64 "\n", s->baskets, s->products);
    if (s->first_ts[0] != '\0')
        fprintf(out, "dates      %s to %s\n", s->first_ts, s->last_ts);
    fprintf(out, "columns\n");
    for (size_t i = 0; i < s->column_count; i++)
        print_column(&s->columns[i], s->rows, out);
    for (size_t i = 0; i < s->warning_count; i++)
        fprintf(out, "warning[%s]: %s\n", s->warnings[i].name, s->warnings[i].text);
    for (size_t i = 0; i < q->kept; i++)
        fprintf(out, "rejected %s:%" PRIu64 ": %s\n", q->first[i].file, q->first[i].line, q->first[i].reason);
    if (q->count > q->kept)
        fprintf(out, "and %" PRIu64 " more rejected rows\n", q->count - q->kept);
}

static json_t *
integer(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *
column_json(const struct ft_column_summary *c, uint64_t rows)
{
    json_t *object = json_object();
    json_object_set_new(object, "name", json_string(c->name));
    json_object_set_new(object, "missing", integer(c->missing));
    json_object_set_new(object, "missing_rate", json_real(rate(c->missing, rows)));
    if (c->numeric) {
        json_object_set_new(object, "min", isnan(c->min) ? json_null() : json_real(c->min));
        json_object_set_new(object, "max", isnan(c->max) ? json_null() : json_real(c->max));
    } else if (c->distinct > 0) {
        json_object_set_new(object, "distinct", integer(c->distinct));
    }
    return object;
}

static json_t *
pair_json(const char *first, json_t *value, const char *second, const char *text)
{
    json_t *object = json_object();
    json_object_set_new(object, first, value);
    json_object_set_new(object, second, json_string(text));
    return object;
}

json_t *
ft_source_summary_json(const struct ft_source_summary *s, const struct ft_quarantine *q)
{
    json_t *object = json_object(), *columns = json_array(), *warnings = json_array(),
           *rejected = json_array();
    if (object == NULL || columns == NULL || warnings == NULL || rejected == NULL) {
        json_decref(object);
        json_decref(columns);
        json_decref(warnings);
        json_decref(rejected);
        return NULL;
    }
    json_object_set_new(object, "version", json_integer(1));
    json_object_set_new(object, "files", integer(s->files));
    json_object_set_new(object, "duplicate_files", integer(s->duplicate_files));
    json_object_set_new(object, "rows", integer(s->rows));
    json_object_set_new(object, "rejected", integer(s->rejected));
    json_object_set_new(object, "customers", integer(s->customers));
    json_object_set_new(object, "lines_without_customer", integer(s->lines_without_customer));
    json_object_set_new(object, "baskets", integer(s->baskets));
    json_object_set_new(object, "products", integer(s->products));
    json_object_set_new(object, "first_ts", s->first_ts[0] != '\0' ? json_string(s->first_ts) : json_null());
    json_object_set_new(object, "last_ts", s->last_ts[0] != '\0' ? json_string(s->last_ts) : json_null());
    for (size_t i = 0; i < s->column_count; i++)
        json_array_append_new(columns, column_json(&s->columns[i], s->rows));
    for (size_t i = 0; i < s->warning_count; i++)
        json_array_append_new(
            warnings, pair_json("name", json_string(s->warnings[i].name), "text", s->warnings[i].text));
    for (size_t i = 0; i < q->kept; i++) {
        json_t *row = pair_json("line", integer(q->first[i].line), "reason", q->first[i].reason);
        json_object_set_new(row, "file", json_string(q->first[i].file));
        json_array_append_new(rejected, row);
    }
    json_object_set_new(object, "columns", columns);
    json_object_set_new(object, "warnings", warnings);
    json_object_set_new(object, "rejected_rows", rejected);
    return object;
}
