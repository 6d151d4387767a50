#include "aggregator/simulate/budget_table.h"

#include "aggregator/simulate/budget_mechanisms.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include <csv.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 64

/* Numbers first, in the order of enum ft_budget_field; then the texts. */
enum { CASE_ID = FT_BUDGET_FIELDS, MECHANISM, QUANTITY, CONVERSION, NAMES };
static const char *const names[NAMES] = { "q",     "noise_multiplier", "steps",        "delta",   "epsilon",   "order",
                                          "p1",    "p2",               "p3",           "p4",      "accept_lower",
                                          "accept_upper", "case_id",   "mechanism",    "quantity", "conversion" };

struct reader {
    struct ft_budget_table table;
    size_t capacity;
    struct ft_findings *findings;
    int place[COLUMNS_MAX]; /* which name each column is, or -1 */
    size_t columns;
    bool have_header, seen[NAMES];
    struct ft_budget_row row;
    size_t at;               /* columns of the line being read */
    uint32_t line, column;   /* where the parser is */
    uint32_t field_line, field_column;
    bool field_begun, failed;
    enum ft_status status;
};

static void
header_field(struct reader *r, const char *text)
{
    int found = -1;
    for (int n = 0; n < NAMES; n++)
        if (strcmp(names[n], text) == 0)
            found = n;
    if (found >= 0 && r->seen[found])
        ft_find(r->findings, r->field_line, r->field_column, "a second column \"%s\"", text);
    if (found >= 0)
        r->seen[found] = true;
    if (r->columns == COLUMNS_MAX) {
        ft_find(r->findings, r->field_line, r->field_column, "more than %d columns", COLUMNS_MAX);
        r->failed = true;
        return;
    }
    r->place[r->columns++] = found;
}

static void
text_field(struct reader *r, char *out, size_t size, const char *name, const char *text)
{
    if (strlen(text) >= size)
        ft_find(r->findings, r->field_line, r->field_column, "%s is longer than %zu characters", name, size - 1);
    snprintf(out, size, "%s", text);
}

static void
number_field(struct reader *r, int field, const char *text)
{
    char *end;
    errno = 0;
    const double v = strtod(text, &end);
    /* strtod also takes "nan", "inf" and hexadecimal; a table of decimal numbers has none */
    if (strspn(text, "+-0123456789.eE") != strlen(text) || end == text || *end != '\0' || !isfinite(v)) {
        ft_find(r->findings, r->field_line, r->field_column, "%s is \"%.40s\", expected a number", names[field], text);
        r->row.given[field] = true; /* said once */
        return;
    }
    r->row.field[field] = v;
    r->row.given[field] = true;
}

static void
on_field(void *data, size_t size, void *ctx)
{
    struct reader *r = ctx;
    const char *text = data != NULL ? data : "";

    if (!r->field_begun) { /* empty: it begins where it ends */
        r->field_line = r->line;
        r->field_column = r->column;
    }
    r->field_begun = false;
    if (r->failed)
        return;
    if (strlen(text) != size) {
        ft_find(r->findings, r->field_line, r->field_column, "a zero byte in a field");
        return;
    }
    if (!r->have_header) {
        header_field(r, text);
        return;
    }
    if (r->at == 0)
        r->row = (struct ft_budget_row){ .line = r->field_line };
    const size_t column = r->at++;
    const int name = column < r->columns ? r->place[column] : -1;
    if (name == MECHANISM)
        r->row.column = r->field_column;
    if (name < 0 || size == 0)
        return;
    if (name == CASE_ID)
        text_field(r, r->row.case_id, sizeof r->row.case_id, names[name], text);
    else if (name == MECHANISM)
        text_field(r, r->row.mechanism, sizeof r->row.mechanism, names[name], text);
    else if (name == QUANTITY)
        text_field(r, r->row.quantity, sizeof r->row.quantity, names[name], text);
    else if (name == CONVERSION)
        text_field(r, r->row.conversion, sizeof r->row.conversion, names[name], text);
    else
        number_field(r, name, text);
}

static void
check_header(struct reader *r)
{
    static const int needed[] = { MECHANISM, QUANTITY, FT_BUDGET_LOWER, FT_BUDGET_UPPER };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!r->seen[needed[i]]) {
            ft_find(r->findings, 1, 1, "no column \"%s\" in the first line", names[needed[i]]);
            r->failed = true;
        }
}

/* What a mechanism needs, and an interval that is one. */
static void
check_row(struct reader *r, const struct ft_budget_row *row)
{
    bool known;
    const struct ft_budget_mechanism *m =
        ft_budget_mechanism_find(row->mechanism, row->quantity, row->conversion, &known);

    if (m == NULL && !known)
        ft_find(r->findings, row->line, row->column, "mechanism \"%s\" is unknown", row->mechanism);
    else if (m == NULL)
        ft_find(r->findings, row->line, row->column, "mechanism %s has no quantity \"%s\" with conversion \"%s\"",
                row->mechanism, row->quantity, row->conversion);
    for (int f = 0; f < FT_BUDGET_FIELDS; f++) {
        const bool needed = f == FT_BUDGET_LOWER || f == FT_BUDGET_UPPER || (m != NULL && (m->needs >> f & 1) != 0);
        if (needed && !row->given[f])
            ft_find(r->findings, row->line, row->column, "%s %s needs a number in column \"%s\"", row->mechanism,
                    row->quantity, names[f]);
    }
    if (row->given[FT_BUDGET_LOWER] && row->given[FT_BUDGET_UPPER] &&
        row->field[FT_BUDGET_LOWER] > row->field[FT_BUDGET_UPPER])
        ft_find(r->findings, row->line, row->column, "accept_lower is above accept_upper");
}

static void
keep_row(struct reader *r)
{
    if (r->table.count == FT_BUDGET_TABLE_ROWS_MAX) {
        ft_find(r->findings, r->row.line, 1, "more than %u rows", FT_BUDGET_TABLE_ROWS_MAX);
        r->failed = true;
        return;
    }
    if (r->table.count == r->capacity) {
        const size_t more = r->capacity > 0 ? 2 * r->capacity : 64;
        struct ft_budget_row *rows = ft_realloc(r->table.rows, more * sizeof *rows);
        if (rows == NULL) {
            r->status = FT_ERR_NOMEM;
            r->failed = true;
            return;
        }
        r->table.rows = rows;
        r->capacity = more;
    }
    r->table.rows[r->table.count++] = r->row;
}

static void
on_line(int end, void *ctx)
{
    struct reader *r = ctx;
    (void)end;
    if (r->failed)
        return;
    if (!r->have_header) {
        r->have_header = true;
        check_header(r);
        return;
    }
    if (r->at != r->columns) {
        ft_find(r->findings, r->row.line, 1, "%zu fields, but the first line names %zu columns", r->at, r->columns);
    } else {
        const size_t before = r->findings->total;
        check_row(r, &r->row);
        if (r->findings->total == before)
            keep_row(r);
    }
    r->at = 0;
}

/* One byte at a time, so that every field's line and column is known. */
static void
parse(struct reader *r, struct csv_parser *parser, struct ft_bytes bytes)
{
    r->line = r->column = 1;
    for (size_t i = 0; i < bytes.size && !r->failed; i++) {
        const char c = (char)bytes.data[i];
        if (!r->field_begun && c != ',' && c != '\n' && c != '\r') {
            r->field_begun = true;
            r->field_line = r->line;
            r->field_column = r->column;
        }
        if (csv_parse(parser, &c, 1, on_field, on_line, r) != 1) {
            ft_find(r->findings, r->line, r->column, "%s", csv_strerror(csv_error(parser)));
            r->failed = true;
        }
        r->column++;
        if (c == '\n') {
            r->line++;
            r->column = 1;
        }
    }
    if (!r->failed && csv_fini(parser, on_field, on_line, r) != 0)
        ft_find(r->findings, r->line, r->column, "the file ends within a quoted field");
}

enum ft_status
ft_budget_table_read(const char *path, struct ft_budget_table *table, struct ft_findings *findings,
                     struct ft_error *err)
{
    struct reader r = { .findings = findings, .status = FT_OK };
    struct csv_parser parser;
    struct ft_buf file = { 0 };
    enum ft_status st;

    ft_findings_init(findings, path);
    FT_TRY(ft_file_read(path, FT_BUDGET_TABLE_SIZE_MAX, &file, err));
    if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    parse(&r, &parser, ft_buf_bytes(&file));
    csv_free(&parser);
    if (!r.failed && !r.have_header)
        ft_find(findings, 1, 1, "the file is empty");
    FT_TRY(r.status);
    if (findings->total > 0) {
        st = ft_fail(err, FT_ERR_FORMAT, "%s: %zu faults, nothing was computed", path, findings->total);
        goto out;
    }
    *table = r.table;
    r.table = (struct ft_budget_table){ 0 };
out:
    ft_budget_table_clear(&r.table);
    ft_buf_clear(&file);
    return st;
}

void
ft_budget_table_clear(struct ft_budget_table *table)
{
    ft_free(table->rows);
    *table = (struct ft_budget_table){ 0 };
}

void
ft_budget_row_run(struct ft_budget_row *row)
{
    bool known;
    const struct ft_budget_mechanism *m =
        ft_budget_mechanism_find(row->mechanism, row->quantity, row->conversion, &known);

    row->value = NAN;
    row->status = m != NULL ? m->run(row->field, &row->value) : FT_ERR_ARGUMENT;
    if (row->status != FT_OK)
        row->value = NAN;
    row->pass = row->status == FT_OK && row->value >= row->field[FT_BUDGET_LOWER] &&
                row->value <= row->field[FT_BUDGET_UPPER];
}
