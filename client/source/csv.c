#include "client/source/csv.h"
#include "client/source/decode.h"
#include "client/source/values.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <csv.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SIZE        ((size_t)64 << 10)
#define ROW_SIZE_MAX      ((size_t)8 << 20) /* kept bytes of one row */
#define NO_SLOT           (-1)
#define CSV_ROW_NOT_BEGUN 0 /* libcsv's pstate between rows */

struct reader {
    const struct ft_csv_spec *spec;
    const struct ft_csv_sink *sink;
    struct ft_csv_counts counts;
    const char *name; /* without its folder */
    struct ft_error *err;
    enum ft_status status; /* what a callback ran into; libcsv itself cannot be told to stop */

    struct csv_parser parser;
    bool have_header;
    struct ft_buf header;         /* names, each terminated */
    size_t header_count;          /* columns of the file */
    int slot[FT_CSV_COLUMNS_MAX]; /* file column -> slot, NO_SLOT: passed over */
    size_t slot_count;
    int slot_of[FT_SOURCE_COLUMNS_MAX]; /* chosen column -> slot, NO_SLOT: not in this file */

    char *row; /* kept fields of this row, each terminated */
    size_t row_size, row_capacity;
    size_t start[FT_SOURCE_COLUMNS_MAX], size[FT_SOURCE_COLUMNS_MAX]; /* by slot */
    size_t field;                                                     /* next field's index in this row */

    uint64_t line;     /* physical line being read, 1-based */
    uint64_t row_line; /* line on which this row began */
    uint64_t cr_rows;  /* rows of this chunk that ended in CR */
    bool last_cr;      /* the last row ended in CR */
    bool cut_crlf;     /* the last chunk ended in a CR that was counted, so an LF at once belongs to it */
    bool skipping;     /* after a quoting error: to the line's end */
};

static enum ft_status
parser_start(struct reader *r)
{
    if (csv_init(&r->parser, CSV_STRICT | CSV_STRICT_FINI) != 0)
        return FT_ERR_INTERNAL;
    csv_set_delim(&r->parser, (unsigned char)r->spec->delimiter);
    csv_set_realloc_func(&r->parser, ft_realloc);
    csv_set_free_func(&r->parser, ft_free);
    return FT_OK;
}

/* Room for `size` more bytes in the row. */
static enum ft_status
row_reserve(struct reader *r, size_t size)
{
    size_t capacity = r->row_capacity;
    char *row;
    if (size > ROW_SIZE_MAX - r->row_size)
        return ft_fail(r->err, FT_ERR_FORMAT, "%s:%llu: the row is longer than %zu MiB", r->name,
                       (unsigned long long)r->row_line, ROW_SIZE_MAX >> 20);
    if (r->row_size + size <= capacity)
        return FT_OK;
    while (capacity < r->row_size + size)
        capacity = capacity ? capacity * 2 : 4096;
    row = ft_realloc(r->row, capacity);
    if (row == NULL)
        return FT_ERR_NOMEM;
    r->row = row;
    r->row_capacity = capacity;
    return FT_OK;
}

static void
on_field(void *data, size_t size, void *ctx)
{
    struct reader *r = ctx;
    const size_t at = r->field++;

    if (r->status != FT_OK)
        return;
    if (!r->have_header) {
        if (at >= FT_CSV_COLUMNS_MAX) {
            r->status =
                ft_fail(r->err, FT_ERR_FORMAT, "%s: more than %d columns", r->name, FT_CSV_COLUMNS_MAX);
            return;
        }
        if (!ft_value_utf8(data, size)) {
            r->status = ft_fail(
                r->err, FT_ERR_FORMAT,
                "%s: the first line is no text in the configured encoding; expected a CSV header", r->name);
            return;
        }
        r->status = ft_buf_append(&r->header, data, size);
        if (r->status == FT_OK)
            r->status = ft_buf_u8(&r->header, 0);
        return;
    }
    if (at >= r->header_count || r->slot[at] == NO_SLOT) {
        r->counts.fields_passed_over++;
        return;
    }
    r->status = row_reserve(r, size + 1);
    if (r->status != FT_OK)
        return;
    r->start[r->slot[at]] = r->row_size;
    r->size[r->slot[at]] = size;
    if (size > 0)
        memcpy(r->row + r->row_size, data, size);
    r->row[r->row_size + size] = '\0';
    r->row_size += size + 1;
    r->counts.fields_kept++;
}

/* True when the first line is known to be a header, by another chosen column in it, and every name could be a
 * column's: so a file without a header does not show its first row in a message. */
static bool
header_is_plausible(const struct reader *r)
{
    const char *name = (const char *)r->header.data;
    bool known = false;
    for (size_t i = 0; i < r->header_count; i++, name += strlen(name) + 1) {
        const unsigned char first = (unsigned char)name[0];
        if (!(first == '_' || (first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z')) ||
            strlen(name) > 40 || strchr(name, '@') != NULL)
            return false;
        for (size_t k = 0; k < r->spec->column_count; k++)
            known = known || strcmp(name, r->spec->columns[k].source) == 0;
    }
    return known;
}

static enum ft_status
column_missing(struct reader *r, const char *wanted)
{
    char found[240] = "";
    const char *name = (const char *)r->header.data;
    size_t at = 0;

    if (!header_is_plausible(r))
        return ft_fail(r->err, FT_ERR_FORMAT,
                       "%s: column %.60s is missing: the first line does not look like a header (not shown)",
                       r->name, wanted);
    for (size_t i = 0; i < r->header_count && at < sizeof found; i++, name += strlen(name) + 1)
        at += (size_t)snprintf(found + at, sizeof found - at, "%s%s", i > 0 ? ", " : "", name);
    return ft_fail(r->err, FT_ERR_FORMAT, "%s: column %.60s is missing; the header has: %s", r->name, wanted,
                   found);
}

/* The header is complete: find where each chosen column is. */
static enum ft_status
header_done(struct reader *r)
{
    r->header_count = r->field;
    for (size_t i = 0; i < r->header_count; i++)
        r->slot[i] = NO_SLOT;
    for (size_t k = 0; k < r->spec->column_count; k++) {
        const char *name = (const char *)r->header.data;
        const char *wanted = r->spec->columns[k].source;
        size_t found = SIZE_MAX;
        for (size_t i = 0; i < r->header_count; i++, name += strlen(name) + 1) {
            if (strcmp(name, wanted) != 0)
                continue;
            if (found != SIZE_MAX)
                return ft_fail(r->err, FT_ERR_FORMAT, "%s: the header has column %.60s twice", r->name,
                               wanted);
            found = i;
        }
        r->slot_of[k] = NO_SLOT;
        if (found == SIZE_MAX) {
            if (r->spec->optional != NULL && r->spec->optional[k])
                continue;
            return column_missing(r, wanted);
        }
        if (r->slot[found] == NO_SLOT)
            r->slot[found] = (int)r->slot_count++;
        r->slot_of[k] = r->slot[found];
    }
    r->have_header = true;
    return FT_OK;
}

static enum ft_status
row_done(struct reader *r)
{
    struct ft_csv_field fields[FT_SOURCE_COLUMNS_MAX];
    char expected[64];

    if (r->field != r->header_count) {
        snprintf(expected, sizeof expected, "%zu fields as in the header, found %zu", r->header_count,
                 r->field);
        return r->sink->bad(r->sink->ctx, r->row_line, NULL, expected);
    }
    for (size_t k = 0; k < r->spec->column_count; k++) {
        const int slot = r->slot_of[k];
        fields[k] = (struct ft_csv_field){ "", 0 };
        if (slot == NO_SLOT)
            continue;
        fields[k] = (struct ft_csv_field){ r->row + r->start[slot], r->size[slot] };
        if (!ft_value_utf8(fields[k].text, fields[k].size))
            return r->sink->bad(r->sink->ctx, r->row_line, r->spec->columns[k].name,
                                "text in the configured encoding");
    }
    return r->sink->row(r->sink->ctx, r->row_line, fields);
}

static void
on_row(int c, void *ctx)
{
    struct reader *r = ctx;
    if (r->status == FT_OK)
        r->status = r->have_header ? row_done(r) : header_done(r);
    r->field = 0;
    r->row_size = 0;
    r->last_cr = c == '\r';
    if (r->last_cr)
        r->cr_rows++;
    r->row_line = r->line + r->cr_rows;
}

/* A stray or open quote: every line from the row's beginning on is lost, so every one is counted. */
static enum ft_status
quote_error(struct reader *r, const char *expected)
{
    enum ft_status st = FT_OK;
    if (!r->have_header)
        return ft_fail(r->err, FT_ERR_FORMAT, "%s: the header has a stray quote", r->name);
    for (uint64_t line = r->row_line; st == FT_OK && line <= r->line + r->cr_rows; line++)
        st = r->sink->bad(r->sink->ctx, line, NULL, expected);
    r->field = 0;
    r->row_size = 0;
    csv_free(&r->parser);
    if (st == FT_OK)
        st = parser_start(r);
    return st;
}

/* Parse a run without a line feed but at its end. */
static enum ft_status
chunk(struct reader *r, const uint8_t *p, size_t size)
{
    const bool ends_line = p[size - 1] == '\n';
    const bool ends_crlf = ends_line && (size > 1 ? p[size - 2] == '\r' : r->cut_crlf);

    r->cr_rows = 0;
    r->last_cr = r->cut_crlf && size == 1;
    for (size_t at = 0; at < size;) {
        if (r->skipping) {
            while (at < size && p[at] != '\r' && p[at] != '\n')
                at++;
            if (at == size)
                break;
            r->skipping = false;
            if (p[at] == '\r') {
                r->cr_rows++;
                r->last_cr = true;
            }
        }
        if (r->parser.pstate == CSV_ROW_NOT_BEGUN)
            r->row_line = r->line + r->cr_rows;
        at += csv_parse(&r->parser, p + at, size - at, on_field, on_row, r);
        if (r->status != FT_OK)
            return r->status;
        if (at == size)
            break;
        if (csv_error(&r->parser) != CSV_EPARSE)
            return FT_ERR_NOMEM;
        if ((r->status = quote_error(r, "quotes around a whole field only")) != FT_OK)
            return r->status;
        r->skipping = true;
    }
    if (r->parser.entry_pos > FT_CSV_FIELD_MAX)
        return ft_fail(r->err, FT_ERR_FORMAT,
                       "%s:%llu: a field is longer than %zu MiB; is a quote left open?", r->name,
                       (unsigned long long)r->row_line, FT_CSV_FIELD_MAX >> 20);
    r->line += r->cr_rows;
    if (ends_line && !(ends_crlf && r->last_cr))
        r->line++;
    r->cut_crlf = !ends_line && p[size - 1] == '\r' && r->last_cr;
    return FT_OK;
}

static enum ft_status
text(struct reader *r, const uint8_t *p, size_t size)
{
    enum ft_status st = FT_OK;
    while (size > 0 && st == FT_OK) {
        const uint8_t *end = memchr(p, '\n', size);
        const size_t run = end != NULL ? (size_t)(end - p) + 1 : size;
        st = chunk(r, p, run);
        p += run;
        size -= run;
    }
    return st;
}

static enum ft_status
finish(struct reader *r)
{
    if (r->status == FT_OK && !r->skipping && csv_fini(&r->parser, on_field, on_row, r) != 0 &&
        r->status == FT_OK)
        r->status = quote_error(r, "a closing quote before the file's end");
    if (r->status == FT_OK && !r->have_header)
        r->status = ft_fail(r->err, FT_ERR_FORMAT, "%s: the file is empty; expected a CSV header", r->name);
    return r->status;
}

/* Where bytes come from: a file, or memory when `fd` is -1. */
struct input {
    int fd;
    const uint8_t *data;
    size_t left;
};

/* Fill `block`, short only at the end. */
static enum ft_status
input_read(struct input *in, uint8_t *block, size_t *size, struct reader *r)
{
    *size = 0;
    if (in->fd < 0) {
        *size = in->left < BLOCK_SIZE ? in->left : BLOCK_SIZE;
        if (*size > 0)
            memcpy(block, in->data, *size);
        in->data += *size;
        in->left -= *size;
        return FT_OK;
    }
    while (*size < BLOCK_SIZE) {
        const ssize_t got = read(in->fd, block + *size, BLOCK_SIZE - *size);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ft_fail(r->err, FT_ERR_IO, "%s: cannot read: %s", r->name, strerror(errno));
        *size += (size_t)got;
    }
    return FT_OK;
}

static enum ft_status
read_all(struct input *in, const char *name, const struct ft_csv_spec *spec, const struct ft_csv_sink *sink,
         struct ft_csv_counts *counts, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    struct reader *r = NULL;
    uint8_t *block = NULL, *decoded = NULL;
    struct ft_decoder decoder = { .encoding = spec->encoding };
    crypto_generichash_state hash;
    const char *slash = strrchr(name, '/');
    size_t size = BLOCK_SIZE;
    bool first = true;

    if (spec->column_count == 0 || spec->column_count > FT_SOURCE_COLUMNS_MAX)
        return FT_ERR_ARGUMENT;
    r = ft_calloc(1, sizeof *r);
    block = ft_calloc(1, BLOCK_SIZE);
    decoded = ft_calloc(1, FT_DECODE_ROOM(BLOCK_SIZE));
    if (r == NULL || block == NULL || decoded == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    r->spec = spec;
    r->sink = sink;
    r->err = err;
    r->name = slash != NULL ? slash + 1 : name;
    r->line = r->row_line = 1;
    FT_TRY(parser_start(r));
    crypto_generichash_init(&hash, NULL, 0, sizeof r->counts.hash);
    while (size == BLOCK_SIZE) {
        FT_TRY(input_read(in, block, &size, r));
        crypto_generichash_update(&hash, block, size);
        r->counts.bytes += size;
        const size_t got = ft_decode(&decoder, block, size, size < BLOCK_SIZE, decoded);
        if (first && memchr(decoded, '\0', got) != NULL) {
            st = ft_fail(err, FT_ERR_FORMAT,
                         "%s: holds NUL bytes, so it is no text in the configured encoding", r->name);
            goto out;
        }
        first = false;
        FT_TRY(text(r, decoded, got));
    }
    FT_TRY(finish(r));
    crypto_generichash_final(&hash, r->counts.hash, sizeof r->counts.hash);
    if (counts != NULL)
        *counts = r->counts;
out:
    if (r != NULL) {
        csv_free(&r->parser);
        ft_buf_clear(&r->header);
        if (r->row != NULL)
            sodium_memzero(r->row, r->row_capacity);
        ft_free(r->row);
    }
    ft_free(r);
    ft_free(block);
    ft_free(decoded);
    return st;
}

enum ft_status
ft_csv_read(const char *path, const struct ft_csv_spec *spec, const struct ft_csv_sink *sink,
            struct ft_csv_counts *counts, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    struct input in = { .fd = -1 };
    struct stat info;

    in.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a pipe must not hold the vault up */
    if (in.fd < 0 || fstat(in.fd, &info) != 0) {
        const int errnum = errno;
        st = ft_fail(err, ft_status_of_errno(errnum), "%s: cannot open: %s", path, strerror(errnum));
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        st = ft_fail(err, FT_ERR_FORMAT, "%s: not a regular file", path);
        goto out;
    }
    FT_TRY(read_all(&in, path, spec, sink, counts, err));
out:
    if (in.fd >= 0)
        close(in.fd);
    return st;
}

enum ft_status
ft_csv_read_bytes(const void *data, size_t size, const char *name, const struct ft_csv_spec *spec,
                  const struct ft_csv_sink *sink, struct ft_csv_counts *counts, struct ft_error *err)
{
    struct input in = { .fd = -1, .data = data, .left = size };
    return read_all(&in, name, spec, sink, counts, err);
}
