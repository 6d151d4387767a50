/*
 * A table of people or things: one row a line. A column whose every value is a number is one feature; any other is one
 * feature a value, 1 where the row has it (values sorted by bytes; one that only test rows have is all zeros). An empty
 * number is 0. The columns of the label, the owner and the customer are no features.
 */
#include "aggregator/simulate/data/readers.h"
#include "client/source/csv.h"
#include "common/base/alloc.h"

#include <csv.h>
#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 65536
#define VALUES_MAX 1024 /* of one text column */

struct values {
    char **list; /* sorted */
    uint32_t count;
};

struct column {
    bool text, is_label, is_owner, is_customer;
    struct values values; /* of a text column, and of the owner's */
    uint32_t feature;     /* the first one */
};

/* A customer is told by a hash of the name: names may be many, and are shown nowhere. */
struct who {
    uint8_t hash[16];
};

struct table {
    const struct ft_sim_data_config *c;
    const char *path;
    struct ft_source_column names[FT_SOURCE_COLUMNS_MAX];
    struct column columns[FT_SOURCE_COLUMNS_MAX];
    size_t count;
    uint64_t rows;
    bool learn; /* the first reading: what the columns hold */
    struct ft_sim_data *data;
    struct ft_sim_part *part; /* the second reading: where rows go */
    struct who *who;          /* (train rows) and whose they are; NULL: nobody knows */
    struct ft_error *err;
};

static uint32_t
place_of(const struct values *v, const char *text, bool *found)
{
    uint32_t low = 0, high = v->count;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (strcmp(v->list[mid], text) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < v->count && strcmp(v->list[low], text) == 0;
    return low;
}

static enum ft_status
note_value(struct values *v, const char *text, uint32_t most)
{
    bool found;
    const uint32_t at = place_of(v, text, &found);
    char **list;
    if (found)
        return FT_OK;
    if (v->count == most)
        return FT_ERR_LIMIT;
    list = ft_realloc(v->list, (v->count + 1) * sizeof *list);
    if (list == NULL)
        return FT_ERR_NOMEM;
    v->list = list;
    memmove(&list[at + 1], &list[at], (v->count - at) * sizeof *list);
    list[at] = ft_strdup(text);
    v->count++;
    return list[at] != NULL ? FT_OK : FT_ERR_NOMEM;
}

/* Without the blanks around it: published tables have them behind commas. */
static struct ft_bytes
bare(const struct ft_csv_field *field)
{
    size_t begin = 0, end = field->size;
    while (begin < end && field->text[begin] == ' ')
        begin++;
    while (end > begin && field->text[end - 1] == ' ')
        end--;
    return FT_BYTES(field->text + begin, end - begin);
}

static const char *
trimmed(const struct ft_csv_field *field, char *copy, size_t room)
{
    const struct ft_bytes text = bare(field);
    const size_t size = text.size < room ? text.size : room - 1;
    memcpy(copy, text.data, size);
    copy[size] = '\0';
    return copy;
}

static bool
as_number(const char *text, double *out)
{
    char *rest;
    if (text[0] == '\0') {
        *out = 0;
        return true;
    }
    *out = strtod(text, &rest);
    return *rest == '\0' && isfinite(*out) && strpbrk(text, "xX") == NULL;
}

static enum ft_status
fail_at(const struct table *t, uint64_t line, const char *column, const char *expected)
{
    return ft_fail(t->err, FT_ERR_FORMAT, "%s:%llu: column %s, expected %s", t->path, (unsigned long long)line,
                   column != NULL ? column : "(all)", expected);
}

static enum ft_status
learn_row(struct table *t, uint64_t line, const struct ft_csv_field *fields)
{
    char text[256];
    double v;
    t->rows++;
    for (size_t k = 0; k < t->count; k++) {
        struct column *c = &t->columns[k];
        enum ft_status st = FT_OK;
        (void)trimmed(&fields[k], text, sizeof text);
        if (c->is_customer && text[0] == '\0')
            return fail_at(t, line, t->names[k].source, "the name of a customer");
        if (c->is_customer && !c->is_owner)
            continue;
        if (!c->is_label && !c->is_owner && !as_number(text, &v))
            c->text = true;
        if (c->is_owner)
            st = note_value(&c->values, text, UINT32_MAX);
        else if (!c->is_label && c->values.count < VALUES_MAX)
            st = note_value(&c->values, text, VALUES_MAX);
        else if (c->text)
            return fail_at(t, line, t->names[k].source, "at most 1024 different texts");
        if (st != FT_OK)
            return st;
    }
    return FT_OK;
}

static enum ft_status
read_label(struct table *t, uint64_t line, const char *column, const char *text, float *out)
{
    double v;
    if (t->c->positive != NULL) {
        const size_t size = strlen(t->c->positive);
        /* Adult's test file writes a full stop behind the label. */
        *out = strncmp(text, t->c->positive, size) == 0 && (text[size] == '\0' || strcmp(text + size, ".") == 0);
        return FT_OK;
    }
    if (!as_number(text, &v) || text[0] == '\0')
        return fail_at(t, line, column, "a number, or data.positive in the experiment");
    if (t->c->classes > 0 && (v != floor(v) || v < 0 || v >= (double)t->c->classes)) {
        char expected[48];
        (void)snprintf(expected, sizeof expected, "a class from 0 to %u", t->c->classes - 1);
        return fail_at(t, line, column, expected);
    }
    if (!isfinite((float)v))
        return fail_at(t, line, column, "a number that a float32 holds");
    *out = (float)v;
    return FT_OK;
}

static enum ft_status
fill_row(struct table *t, uint64_t line, const struct ft_csv_field *fields)
{
    float *x = t->part->x + t->rows * t->data->features;
    char text[256];
    double v;
    for (size_t k = 0; k < t->count; k++) {
        struct column *c = &t->columns[k];
        bool found;
        (void)trimmed(&fields[k], text, sizeof text);
        if (c->is_customer && t->part == &t->data->train) {
            const struct ft_bytes name = bare(&fields[k]);
            (void)crypto_generichash(t->who[t->rows].hash, sizeof t->who->hash, name.data, name.size, NULL, 0);
        }
        if (c->is_label) {
            const enum ft_status st = read_label(t, line, t->names[k].source, text, &t->part->y[t->rows]);
            if (st != FT_OK)
                return st;
        } else if (c->is_customer && !c->is_owner) {
            continue;
        } else if (c->is_owner) {
            if (t->part == &t->data->train)
                t->data->owner[t->rows] = place_of(&c->values, text, &found);
        } else if (c->text) {
            const uint32_t at = place_of(&c->values, text, &found);
            if (found)
                x[c->feature + at] = 1;
        } else if (as_number(text, &v)) {
            x[c->feature] = (float)v;
            if (!isfinite(x[c->feature]))
                return fail_at(t, line, t->names[k].source, "a number that a float32 holds");
        } else {
            return fail_at(t, line, t->names[k].source, "a number, as in the train rows");
        }
    }
    t->rows++;
    return FT_OK;
}

static enum ft_status
on_row(void *ctx, uint64_t line, const struct ft_csv_field *fields)
{
    struct table *t = ctx;
    return t->learn ? learn_row(t, line, fields) : fill_row(t, line, fields);
}

static enum ft_status
on_bad(void *ctx, uint64_t line, const char *column, const char *expected)
{
    return fail_at(ctx, line, column, expected);
}

static enum ft_status
read_through(struct table *t, const char *path)
{
    const struct ft_csv_spec spec = {
        .delimiter = ',', .encoding = FT_ENCODING_AUTO, .columns = t->names, .column_count = t->count
    };
    const struct ft_csv_sink sink = { on_row, on_bad, t };
    t->path = path;
    t->rows = 0;
    return ft_csv_read(path, &spec, &sink, NULL, t->err);
}

struct header {
    struct table *t;
    enum ft_status status;
};

/* libcsv's field of the header: a column. */
static void
add_column(void *field, size_t size, void *ctx)
{
    struct header *h = ctx;
    struct table *t = h->t;
    struct column *c = &t->columns[t->count];
    char *name;
    if (h->status != FT_OK)
        return;
    if (t->count == FT_SOURCE_COLUMNS_MAX) {
        h->status = ft_fail(t->err, FT_ERR_LIMIT, "%s:1: more than %d columns", t->path, FT_SOURCE_COLUMNS_MAX);
        return;
    }
    name = ft_asprintf("%.*s", (int)size, (const char *)field);
    t->names[t->count].name = t->names[t->count].source = name;
    t->count++;
    if (name == NULL)
        h->status = FT_ERR_NOMEM;
    else if (name[0] == '\0')
        h->status = ft_fail(t->err, FT_ERR_FORMAT, "%s:1: column %zu has no name", t->path, t->count);
    else {
        c->is_label = strcmp(name, t->c->label) == 0;
        c->is_customer = t->c->customer != NULL && strcmp(name, t->c->customer) == 0;
        c->is_owner = t->c->by != NULL && strcmp(name, t->c->by) == 0;
    }
}

static enum ft_status
find_columns(const struct table *t)
{
    bool label = false, owner = t->c->by == NULL, customer = t->c->customer == NULL;
    for (size_t k = 0; k < t->count; k++) {
        label = label || t->columns[k].is_label;
        owner = owner || t->columns[k].is_owner;
        customer = customer || t->columns[k].is_customer;
        if (t->columns[k].is_label && (t->columns[k].is_owner || t->columns[k].is_customer))
            return ft_fail(t->err, FT_ERR_CONFIG, "%s:1: column %s is the label, expected another one for data.%s", t->path,
                           t->names[k].source, t->columns[k].is_owner ? "by" : "customer");
        for (size_t i = 0; i < k; i++)
            if (strcmp(t->names[i].source, t->names[k].source) == 0)
                return ft_fail(t->err, FT_ERR_FORMAT, "%s:1: column %s is there twice", t->path, t->names[k].source);
    }
    return label && owner && customer ? FT_OK
                                      : ft_fail(t->err, FT_ERR_FORMAT, "%s:1: no column %s", t->path,
                                                !label ? t->c->label : !owner ? t->c->by : t->c->customer);
}

/* Every column by its name in the header. */
static enum ft_status
read_header(struct table *t, const char *path)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of byte order */
    char *line = ft_calloc(1, HEADER_MAX);
    FILE *file = line != NULL ? fopen(path, "re") : NULL;
    struct header h = { t, FT_OK };
    struct csv_parser parser;

    t->path = path;
    if (line == NULL)
        return FT_ERR_NOMEM;
    if (file == NULL)
        h.status = ft_fail(t->err, FT_ERR_NOTFOUND, "%s: %s", path, strerror(errno));
    else if (fgets(line, HEADER_MAX, file) == NULL)
        h.status = ft_fail(t->err, FT_ERR_FORMAT, "%s:1: no header", path);
    if (file != NULL)
        (void)fclose(file);
    if (h.status == FT_OK && csv_init(&parser, CSV_APPEND_NULL) == 0) {
        const char *begin = strncmp(line, mark, 3) == 0 ? line + 3 : line;
        const size_t size = strcspn(begin, "\r\n");
        (void)csv_parse(&parser, begin, size, add_column, NULL, &h);
        (void)csv_fini(&parser, add_column, NULL, &h);
        csv_free(&parser);
        if (h.status == FT_OK)
            h.status = find_columns(t);
    }
    ft_free(line);
    return h.status;
}

static void
number_features(struct table *t)
{
    for (size_t k = 0; k < t->count; k++) {
        struct column *c = &t->columns[k];
        if (c->is_label || c->is_owner || c->is_customer)
            continue;
        c->feature = t->data->features;
        t->data->features += c->text ? c->values.count : 1;
    }
}

static void
clear_table(struct table *t)
{
    for (size_t k = 0; k < t->count; k++) {
        for (uint32_t i = 0; i < t->columns[k].values.count; i++)
            ft_free(t->columns[k].values.list[i]);
        ft_free(t->columns[k].values.list);
        ft_free(t->names[k].source);
    }
    ft_free(t->who);
    ft_free(t);
}

/* The owners' names go over to the data once no row is looked up any more. */
static void
take_owner_names(struct table *t)
{
    for (size_t k = 0; k < t->count; k++)
        if (t->columns[k].is_owner) {
            t->data->owners = t->columns[k].values.count;
            t->data->owner_names = t->columns[k].values.list;
            t->columns[k].values = (struct values){ 0 };
        }
}

static int
by_hash(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct who));
}

/* Customers as numbers, in the order of their hashes. */
static enum ft_status
number_customers(struct table *t, uint64_t rows)
{
    struct who *all = ft_calloc(rows, sizeof *all);
    uint32_t count = 0;

    t->data->customer = ft_calloc(rows, sizeof *t->data->customer);
    if (all == NULL || t->data->customer == NULL) {
        ft_free(all);
        return FT_ERR_NOMEM;
    }
    memcpy(all, t->who, rows * sizeof *all);
    qsort(all, rows, sizeof *all, by_hash);
    for (uint64_t i = 0; i < rows; i++)
        if (i == 0 || by_hash(&all[i], &all[count - 1]) != 0)
            all[count++] = all[i];
    for (uint64_t i = 0; i < rows; i++)
        t->data->customer[i] = (uint32_t)((struct who *)bsearch(&t->who[i], all, count, sizeof *all, by_hash) - all);
    t->data->customers = count;
    ft_free(all);
    return FT_OK;
}

static enum ft_status
count_row(void *ctx, uint64_t line, const struct ft_csv_field *fields)
{
    struct table *t = ctx;
    (void)line;
    (void)fields;
    t->rows++;
    return FT_OK;
}

static enum ft_status
fill(struct table *t, const char *path, struct ft_sim_part *part, uint64_t rows)
{
    enum ft_status st;
    FT_TRY(sim_part_room(part, rows, t->data->features, t->err));
    t->part = part;
    FT_TRY(read_through(t, path));
out:
    return st;
}

static enum ft_status
read_test(struct table *t)
{
    const struct ft_csv_spec spec = {
        .delimiter = ',', .encoding = FT_ENCODING_AUTO, .columns = t->names, .column_count = t->count
    };
    const struct ft_csv_sink counting = { count_row, on_bad, t };
    enum ft_status st;
    t->path = t->c->test;
    t->rows = 0;
    FT_TRY(ft_csv_read(t->c->test, &spec, &counting, NULL, t->err));
    st = fill(t, t->c->test, &t->data->test, t->rows);
out:
    return st;
}

enum ft_status
sim_read_csv(const struct ft_sim_data_config *c, uint64_t seed, struct ft_sim_data *out, struct ft_error *err)
{
    struct table *t = ft_calloc(1, sizeof *t);
    enum ft_status st;

    if (t == NULL)
        return FT_ERR_NOMEM;
    t->c = c;
    t->data = out;
    t->err = err;
    t->learn = true;
    FT_TRY(read_header(t, c->train));
    FT_TRY(read_through(t, c->train));
    number_features(t);
    if (out->features < 1 || out->features > FT_MODEL_WIDTH_MAX || t->rows == 0) {
        st = ft_fail(err, FT_ERR_FORMAT, "%s: %llu rows of %u features, expected some and at most %d features", c->train,
                     (unsigned long long)t->rows, out->features, FT_MODEL_WIDTH_MAX);
        goto out;
    }
    t->learn = false;
    out->owner = c->by != NULL ? ft_calloc(t->rows, sizeof *out->owner) : NULL;
    t->who = c->customer != NULL ? ft_calloc(t->rows, sizeof *t->who) : NULL;
    if ((c->by != NULL && out->owner == NULL) || (c->customer != NULL && t->who == NULL)) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(fill(t, c->train, &out->train, t->rows));
    if (c->customer != NULL)
        FT_TRY(number_customers(t, out->train.rows));
    if (c->test != NULL)
        FT_TRY(read_test(t));
    take_owner_names(t);
    if (c->test == NULL)
        FT_TRY(sim_set_aside(out, c->test_share, seed, err));
    out->classes = c->positive != NULL ? 2 : c->classes;
    if (c->standardise)
        sim_standardise(out);
out:
    clear_table(t);
    return st;
}
