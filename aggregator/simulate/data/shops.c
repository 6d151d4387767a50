#include "aggregator/simulate/data/shops.h"
#include "client/source/csv.h"
#include "client/source/schema.h"
#include "common/base/alloc.h"
#include "common/base/buf.h"
#include "common/base/file.h"

#include <csv.h>
#include <errno.h>
#include <glob.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEADER_MAX 65536
#define SHOPS_MAX  100000

/* A file's name without its folder and ending. */
static char *
name_of(const char *path)
{
    char *copy = ft_strdup(path), *name = copy != NULL ? ft_strdup(basename(copy)) : NULL;
    char *dot = name != NULL ? strrchr(name, '.') : NULL;
    if (dot != NULL)
        *dot = '\0';
    ft_free(copy);
    return name;
}

static enum ft_status
make_room(struct sim_shops *s, size_t count)
{
    s->paths = ft_calloc(count, sizeof *s->paths);
    s->names = ft_calloc(count, sizeof *s->names);
    return s->paths != NULL && s->names != NULL ? FT_OK : FT_ERR_NOMEM;
}

enum ft_status
sim_shops_find(const char *pattern, struct sim_shops *out, struct ft_error *err)
{
    glob_t found = { 0 };
    enum ft_status st;

    *out = (struct sim_shops){ 0 };
    if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc == 0) {
        st = ft_fail(err, FT_ERR_NOTFOUND, "data.files: no file matches %s", pattern);
        goto out;
    }
    FT_TRY(make_room(out, found.gl_pathc));
    for (; out->count < found.gl_pathc; out->count++) {
        out->paths[out->count] = ft_strdup(found.gl_pathv[out->count]);
        out->names[out->count] = name_of(found.gl_pathv[out->count]);
        if (out->paths[out->count] == NULL || out->names[out->count] == NULL) {
            st = FT_ERR_NOMEM;
            goto out;
        }
    }
out:
    globfree(&found);
    if (st != FT_OK)
        sim_shops_clear(out);
    return st;
}

struct shop {
    char *name;
    struct ft_buf lines;
};

struct split {
    const char *path, *by;
    struct ft_source_column columns[FT_SOURCE_COLUMNS_MAX]; /* the last is `by` */
    size_t count;
    struct shop *shops; /* by name */
    size_t shop_count;
    enum ft_status status; /* of the header */
    bool has_by;
    struct ft_error *err;
};

/* Standard columns are kept. */
static void
on_header(void *field, size_t size, void *ctx)
{
    struct split *s = ctx;
    enum ft_column_type type;
    char *name = ft_asprintf("%.*s", (int)size, (const char *)field);
    if (name == NULL) {
        s->status = FT_ERR_NOMEM;
        return;
    }
    s->has_by = s->has_by || strcmp(name, s->by) == 0;
    if (strcmp(name, s->by) == 0 || s->count + 1 >= FT_SOURCE_COLUMNS_MAX ||
        !ft_schema_column_type(&ft_schema[FT_TABLE_TRANSACTIONS], name, &type)) {
        ft_free(name);
        return;
    }
    s->columns[s->count].name = s->columns[s->count].source = name;
    s->count++;
}

static enum ft_status
read_header(struct split *s)
{
    char *line = ft_calloc(1, HEADER_MAX);
    FILE *file = line != NULL ? fopen(s->path, "re") : NULL;
    struct csv_parser parser;

    if (line == NULL)
        return FT_ERR_NOMEM;
    if (file == NULL)
        s->status = ft_fail(s->err, FT_ERR_NOTFOUND, "%s: %s", s->path, strerror(errno));
    else if (fgets(line, HEADER_MAX, file) == NULL)
        s->status = ft_fail(s->err, FT_ERR_FORMAT, "%s:1: no header", s->path);
    if (file != NULL)
        (void)fclose(file);
    if (s->status == FT_OK && csv_init(&parser, 0) == 0) {
        const char *begin = strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line;
        (void)csv_parse(&parser, begin, strcspn(begin, "\r\n"), on_header, NULL, s);
        (void)csv_fini(&parser, on_header, NULL, s);
        csv_free(&parser);
        if (s->status == FT_OK && !s->has_by)
            s->status = ft_fail(s->err, FT_ERR_FORMAT, "%s:1: no column %s", s->path, s->by);
        if (s->status == FT_OK && s->count == 0)
            s->status = ft_fail(s->err, FT_ERR_FORMAT, "%s:1: no standard column of transactions", s->path);
    }
    ft_free(line);
    s->columns[s->count].name = s->columns[s->count].source = ft_strdup(s->by);
    return s->status == FT_OK && s->columns[s->count].name == NULL ? FT_ERR_NOMEM : s->status;
}

/* "text", or nothing and a comma or a line's end. */
static enum ft_status
add_field(struct ft_buf *out, const char *text, size_t size, char end)
{
    enum ft_status st = ft_buf_reserve(out, 2 * size + 3);
    if (st != FT_OK)
        return st;
    out->size += csv_write((char *)out->data + out->size, 2 * size + 2, text, size);
    return ft_buf_u8(out, (uint8_t)end);
}

/* The shop of this name, made when it is new; NULL: no room. */
static struct shop *
shop_of(struct split *s, const char *name)
{
    size_t low = 0, high = s->shop_count;
    struct shop *more;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        const int order = strcmp(s->shops[mid].name, name);
        if (order == 0)
            return &s->shops[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (s->shop_count == SHOPS_MAX)
        return NULL;
    more = ft_realloc(s->shops, (s->shop_count + 1) * sizeof *more);
    if (more == NULL)
        return NULL;
    s->shops = more;
    memmove(&more[low + 1], &more[low], (s->shop_count - low) * sizeof *more);
    more[low] = (struct shop){ .name = ft_strdup(name) };
    s->shop_count++;
    if (more[low].name == NULL)
        return NULL;
    for (size_t k = 0; k < s->count; k++) { /* standard names need no quotes */
        const char *column = s->columns[k].source;
        if (ft_buf_append(&more[low].lines, column, strlen(column)) != FT_OK ||
            ft_buf_u8(&more[low].lines, k + 1 < s->count ? ',' : '\n') != FT_OK)
            return NULL;
    }
    return &more[low];
}

static enum ft_status
on_row(void *ctx, uint64_t line, const struct ft_csv_field *fields)
{
    struct split *s = ctx;
    struct shop *shop;
    enum ft_status st = FT_OK;
    if (fields[s->count].size == 0)
        return ft_fail(s->err, FT_ERR_FORMAT, "%s:%llu: column %s is empty, expected a shop", s->path,
                       (unsigned long long)line, s->by);
    shop = shop_of(s, fields[s->count].text);
    if (shop == NULL)
        return s->shop_count == SHOPS_MAX ? ft_fail(s->err, FT_ERR_LIMIT, "%s:%llu: more than %d shops",
                                                    s->path, (unsigned long long)line, SHOPS_MAX)
                                          : FT_ERR_NOMEM;
    for (size_t k = 0; st == FT_OK && k < s->count; k++)
        st = add_field(&shop->lines, fields[k].text, fields[k].size, k + 1 < s->count ? ',' : '\n');
    return st;
}

static enum ft_status
on_bad(void *ctx, uint64_t line, const char *column, const char *expected)
{
    const struct split *s = ctx;
    return ft_fail(s->err, FT_ERR_FORMAT, "%s:%llu: column %s, expected %s", s->path,
                   (unsigned long long)line, column != NULL ? column : "(all)", expected);
}

static enum ft_status
write_shops(struct split *s, struct sim_shops *out)
{
    const char *tmp = getenv("TMPDIR");
    enum ft_status st;

    FT_TRY(make_room(out, s->shop_count));
    out->folder = ft_asprintf("%s/fedtill-shops.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (out->folder == NULL || mkdtemp(out->folder) == NULL) {
        st = out->folder == NULL
                 ? FT_ERR_NOMEM
                 : ft_fail(s->err, FT_ERR_IO, "%s: cannot be made: %s", out->folder, strerror(errno));
        ft_free(out->folder);
        out->folder = NULL;
        goto out;
    }
    for (; out->count < s->shop_count; out->count++) {
        struct shop *shop = &s->shops[out->count];
        out->paths[out->count] = ft_asprintf("%s/%zu.csv", out->folder, out->count);
        out->names[out->count] = shop->name;
        shop->name = NULL;
        if (out->paths[out->count] == NULL) {
            st = FT_ERR_NOMEM;
            goto out;
        }
        FT_TRY(ft_file_write(out->paths[out->count], ft_buf_bytes(&shop->lines), 0600, s->err));
        ft_buf_clear(&shop->lines);
    }
out:
    return st;
}

enum ft_status
sim_shops_split(const char *path, const char *by, struct sim_shops *out, struct ft_error *err)
{
    struct split *s = ft_calloc(1, sizeof *s);
    const struct ft_csv_sink sink = { on_row, on_bad, s };
    enum ft_status st;

    *out = (struct sim_shops){ 0 };
    if (s == NULL)
        return FT_ERR_NOMEM;
    s->path = path;
    s->by = by;
    s->err = err;
    FT_TRY(read_header(s));
    const struct ft_csv_spec spec = {
        .delimiter = ',', .encoding = FT_ENCODING_AUTO, .columns = s->columns, .column_count = s->count + 1
    };
    FT_TRY(ft_csv_read(path, &spec, &sink, NULL, err));
    if (s->shop_count == 0) {
        st = ft_fail(err, FT_ERR_FORMAT, "%s: no line behind the header", path);
        goto out;
    }
    FT_TRY(write_shops(s, out));
out:
    for (size_t i = 0; i < s->shop_count; i++) {
        ft_free(s->shops[i].name);
        ft_buf_clear(&s->shops[i].lines);
    }
    ft_free(s->shops);
    for (size_t k = 0; k < FT_SOURCE_COLUMNS_MAX; k++)
        ft_free(s->columns[k].source);
    ft_free(s);
    if (st != FT_OK)
        sim_shops_clear(out);
    return st;
}

void
sim_shops_clear(struct sim_shops *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->folder != NULL && s->paths[i] != NULL)
            (void)unlink(s->paths[i]);
        ft_free(s->paths[i]);
        ft_free(s->names[i]);
    }
    if (s->folder != NULL)
        (void)rmdir(s->folder);
    ft_free(s->folder);
    ft_free(s->paths);
    ft_free(s->names);
    *s = (struct sim_shops){ 0 };
}
