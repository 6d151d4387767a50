/*
 * Import: every table in one transaction, so that a refused import leaves what was there before.
 *
 * A table ft_base_<name> holds the mapped columns only. Rows go from the CSV reader's buffer straight into
 * one prepared INSERT; nothing is held but the row at hand.
 */
#include "client/source/csv.h"
#include "client/source/db_internal.h"
#include "client/source/files.h"
#include "client/source/source.h"
#include "client/source/values.h"
#include "common/base/alloc.h"

#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

struct ft_source {
    struct ft_db *db;
    struct ft_source_config config;
    struct ft_node_key *key;
    struct ft_source_files files[FT_TABLE_COUNT];
    struct ft_source_counts counts;
    struct ft_quarantine quarantine;
};

static const struct ft_source_table *
config_table(const struct ft_source_config *config, int table)
{
    switch (table) {
    case FT_TABLE_TRANSACTIONS:
        return &config->transactions;
    case FT_TABLE_CUSTOMERS:
        return &config->customers;
    default:
        return &config->products;
    }
}

/* One table being read. */
struct import {
    const struct ft_source *source;
    const struct ft_source_table *table;
    const char *timestamp;
    enum ft_column_type types[FT_SOURCE_COLUMNS_MAX];
    sqlite3_stmt *insert;
    struct ft_quarantine *quarantine;
    const char *file;
    uint64_t rows, rejected;
    struct ft_error *err;

    /* Lines of one basket follow each other, so the last customer's pseudonym is mostly the next one's. */
    char last_id[64];
    size_t last_size;
    struct ft_pseudonym last;
};

static enum ft_status
on_bad(void *ctx, uint64_t line, const char *column, const char *expected)
{
    struct import *im = ctx;
    im->rejected++;
    ft_quarantine_add(im->quarantine, im->file, line, column, expected);
    return FT_OK;
}

static const struct ft_pseudonym *
pseudonym(struct import *im, const struct ft_csv_field *field)
{
    if (field->size == im->last_size && memcmp(field->text, im->last_id, field->size) == 0)
        return &im->last;
    ft_pseudonym_make(im->source->key, field->text, field->size, &im->last);
    im->last_size = 0; /* an id is never empty here, so this matches none */
    if (field->size <= sizeof im->last_id) {
        memcpy(im->last_id, field->text, field->size);
        im->last_size = field->size;
    }
    return &im->last;
}

/* Bind one field. False when it is not what its column holds; then *expected says what that is. */
static bool
bind(struct import *im, int at, enum ft_column_type type, const struct ft_csv_field *field, int *code,
     const char **expected)
{
    char time[20];
    double real;
    int64_t integer;

    switch (type) {
    case FT_COLUMN_TEXT:
        *code = sqlite3_bind_text64(im->insert, at, field->text, field->size, SQLITE_STATIC, SQLITE_UTF8);
        return true;
    case FT_COLUMN_CUSTOMER:
        if (field->size == 0)
            *code = sqlite3_bind_null(im->insert, at);
        else
            *code = sqlite3_bind_text(im->insert, at, pseudonym(im, field)->text, FT_PSEUDONYM_LENGTH,
                                      SQLITE_STATIC);
        return true;
    case FT_COLUMN_TIME:
        *expected = "a date and time in the configured format";
        if (!ft_value_time(field->text, im->timestamp, time, NULL))
            return false;
        *code = sqlite3_bind_text(im->insert, at, time, -1, SQLITE_TRANSIENT);
        return true;
    case FT_COLUMN_INTEGER:
        *expected = "a whole number";
        if (field->size == 0)
            *code = sqlite3_bind_null(im->insert, at);
        else if (ft_value_integer(field->text, field->size, &integer))
            *code = sqlite3_bind_int64(im->insert, at, integer);
        else
            return false;
        return true;
    case FT_COLUMN_REAL:
        break;
    }
    *expected = "a number";
    if (field->size == 0)
        *code = sqlite3_bind_null(im->insert, at);
    else if (ft_value_real(field->text, field->size, im->table->decimal, &real))
        *code = sqlite3_bind_double(im->insert, at, real);
    else
        return false;
    return true;
}

static enum ft_status
on_row(void *ctx, uint64_t line, const struct ft_csv_field *fields)
{
    struct import *im = ctx;
    for (size_t i = 0; i < im->table->column_count; i++) {
        const char *expected = NULL;
        int code = SQLITE_OK;
        if (!bind(im, (int)i + 1, im->types[i], &fields[i], &code, &expected))
            return on_bad(im, line, im->table->columns[i].name, expected);
        if (code != SQLITE_OK)
            return ft_db_fail(im->source->db, "cannot import", im->err);
    }
    if (sqlite3_step(im->insert) != SQLITE_DONE)
        return ft_db_fail(im->source->db, "cannot import", im->err);
    sqlite3_reset(im->insert);
    im->rows++;
    return FT_OK;
}

static const char drop_tables_sql[] =
    "DROP VIEW IF EXISTS transactions; DROP VIEW IF EXISTS customers; DROP VIEW IF EXISTS products;"
    "DROP TABLE IF EXISTS ft_base_transactions;"
    "DROP TABLE IF EXISTS ft_base_customers;"
    "DROP TABLE IF EXISTS ft_base_products";

/* CREATE TABLE and INSERT for the mapped columns; their names were checked to need no quoting. */
static enum ft_status
make_table(struct import *im, const char *name)
{
    enum ft_status st = FT_OK;
    struct ft_buf create = { 0 }, insert = { 0 };

    FT_TRY(ft_buf_printf(&create, "CREATE TABLE " FT_BASE_PREFIX "%s(", name));
    FT_TRY(ft_buf_printf(&insert, "INSERT INTO " FT_BASE_PREFIX "%s VALUES (", name));
    for (size_t i = 0; i < im->table->column_count; i++) {
        FT_TRY(ft_buf_printf(&create, "%s\"%s\" %s", i > 0 ? ", " : "", im->table->columns[i].name,
                             ft_column_type_sql(im->types[i])));
        FT_TRY(ft_buf_printf(&insert, "%s?%zu", i > 0 ? ", " : "", i + 1));
    }
    FT_TRY(ft_buf_append(&create, ")", 2)); /* with the terminator */
    FT_TRY(ft_buf_append(&insert, ")", 2));
    FT_TRY(ft_db_exec(im->source->db, (const char *)create.data, "cannot make the table", im->err));
    if (sqlite3_prepare_v3(im->source->db->handle, (const char *)insert.data, -1, SQLITE_PREPARE_PERSISTENT,
                           &im->insert, NULL) != SQLITE_OK)
        st = ft_db_fail(im->source->db, "cannot prepare the import", im->err);
out:
    ft_buf_clear(&create);
    ft_buf_clear(&insert);
    return st;
}

/* Hashes what another file of the same size makes a possible duplicate; true when an earlier file has this
 * content. */
static enum ft_status
is_duplicate(struct ft_source_files *files, size_t at, bool *duplicate, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    struct ft_source_file *file = &files->list[at];
    bool hashed = false;

    *duplicate = false;
    for (size_t i = 0; i < at && !*duplicate; i++) {
        if (files->list[i].size != file->size)
            continue;
        if (!hashed)
            FT_TRY(ft_source_file_hash(file->path, file->hash, err));
        hashed = true;
        *duplicate = memcmp(files->list[i].hash, file->hash, sizeof file->hash) == 0;
    }
out:
    return st;
}

static enum ft_status
import_files(struct import *im, struct ft_source_files *files, struct ft_source_counts *counts)
{
    enum ft_status st = FT_OK;
    const struct ft_csv_spec spec = { .delimiter = im->table->delimiter,
                                      .encoding = im->table->encoding,
                                      .columns = im->table->columns,
                                      .column_count = im->table->column_count };
    const struct ft_csv_sink sink = { on_row, on_bad, im };

    for (size_t i = 0; i < files->count; i++) {
        struct ft_source_file *file = &files->list[i];
        struct ft_csv_counts read;
        FT_TRY(is_duplicate(files, i, &file->duplicate, im->err));
        counts->files++;
        if (file->duplicate) {
            counts->duplicate_files++;
            continue;
        }
        im->file = file->path;
        FT_TRY(ft_csv_read(file->path, &spec, &sink, &read, im->err));
        memcpy(file->hash, read.hash, sizeof file->hash);
        counts->bytes += read.bytes;
        counts->fields_kept += read.fields_kept;
        counts->fields_passed_over += read.fields_passed_over;
    }
    counts->rows += im->rows;
    counts->rejected += im->rejected;
out:
    return st;
}

/* The sentence for too many bad rows: how many, how many may be, and the first few places. */
static enum ft_status
too_many(const struct import *im, const struct ft_quarantine *quarantine, double ratio_max,
         struct ft_error *err)
{
    char first[320];
    const uint64_t all = im->rows + im->rejected;
    ft_quarantine_sentence(quarantine, 3, first, sizeof first);
    return ft_fail(err, FT_ERR_FORMAT,
                   "%llu of %llu rows rejected, at most %g %% allowed; nothing was imported. %s",
                   (unsigned long long)im->rejected, (unsigned long long)all, ratio_max * 100, first);
}

static void
import_types(struct import *im, int table)
{
    for (size_t i = 0; i < im->table->column_count; i++)
        (void)ft_schema_column_type(&ft_schema[table], im->table->columns[i].name, &im->types[i]); /* checked at open */
}

/* The mapped tables without a row, so that a query can be looked at whatever the exports are like. */
static enum ft_status
make_empty_tables(struct ft_source *source, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    struct import *im = ft_calloc(1, sizeof *im);

    if (im == NULL)
        return FT_ERR_NOMEM;
    *im = (struct import){ .source = source, .err = err };
    FT_TRY(ft_db_exec(source->db, drop_tables_sql, "cannot drop the tables", err));
    for (int table = 0; table < FT_TABLE_COUNT; table++) {
        im->table = config_table(&source->config, table);
        if (im->table->files == NULL)
            continue;
        import_types(im, table);
        FT_TRY(make_table(im, ft_schema[table].name));
        sqlite3_finalize(im->insert);
        im->insert = NULL;
    }
out:
    sqlite3_finalize(im->insert);
    ft_free(im);
    return st;
}

static enum ft_status
import_table(struct ft_source *source, int table, struct ft_source_files *files,
             struct ft_source_counts *counts, struct ft_quarantine *quarantine, struct ft_error *err)
{
    enum ft_status st = FT_OK;
    struct import *im = NULL;
    const struct ft_source_table *config = config_table(&source->config, table);
    const uint64_t quarantined = quarantine->count;

    if (config->files == NULL)
        return FT_OK;
    im = ft_calloc(1, sizeof *im);
    if (im == NULL)
        return FT_ERR_NOMEM;
    im->source = source;
    im->table = config;
    im->timestamp = config->timestamp != NULL ? config->timestamp : "%Y-%m-%d %H:%M:%S";
    im->quarantine = quarantine;
    im->err = err;
    import_types(im, table);
    FT_TRY(make_table(im, ft_schema[table].name));
    FT_TRY(import_files(im, files, counts));
    if (quarantine->count > quarantined &&
        (double)im->rejected > source->config.max_reject_ratio * (double)(im->rows + im->rejected))
        st = too_many(im, quarantine, source->config.max_reject_ratio, err);
out:
    sqlite3_finalize(im->insert);
    sodium_memzero(im->last_id, sizeof im->last_id);
    ft_free(im);
    return st;
}

/* List, read and commit all tables, or nothing. */
static enum ft_status
import_all(struct ft_source *source, struct ft_source_files files[FT_TABLE_COUNT], struct ft_error *err)
{
    enum ft_status st;
    struct ft_source_counts counts = { 0 };
    struct ft_quarantine *quarantine = ft_calloc(1, sizeof *quarantine);

    if (quarantine == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_db_exec(source->db, "SAVEPOINT ft_import", "cannot start the import", err));
    st = ft_db_exec(source->db, drop_tables_sql, "cannot start the import", err);
    for (int table = 0; table < FT_TABLE_COUNT && st == FT_OK; table++)
        st = import_table(source, table, &files[table], &counts, quarantine, err);
    if (st == FT_OK)
        st = ft_db_exec(source->db, "RELEASE ft_import", "cannot finish the import", err);
    if (st != FT_OK) {
        (void)sqlite3_exec(source->db->handle, "ROLLBACK TO ft_import; RELEASE ft_import", NULL, NULL, NULL);
        goto out;
    }
    source->counts = counts;
    source->quarantine = *quarantine;
out:
    ft_free(quarantine);
    return st;
}

static enum ft_status
list_all(const struct ft_source *source, struct ft_source_files files[FT_TABLE_COUNT], struct ft_error *err)
{
    enum ft_status st = FT_OK;
    for (int table = 0; table < FT_TABLE_COUNT && st == FT_OK; table++) {
        const struct ft_source_table *config = config_table(&source->config, table);
        if (config->files != NULL)
            st = ft_source_files_list(source->config.base_dir, config->files, &files[table], err);
    }
    return st;
}

static void
files_clear(struct ft_source_files files[FT_TABLE_COUNT])
{
    for (int table = 0; table < FT_TABLE_COUNT; table++)
        ft_source_files_clear(&files[table]);
}

static enum ft_status
table_copy(const struct ft_source_table *from, struct ft_source_table *to)
{
    *to = *from;
    to->files = ft_strdup(from->files);
    to->timestamp = ft_strdup(from->timestamp);
    to->columns = NULL;
    to->column_count = 0;
    if (from->files == NULL)
        return FT_OK;
    to->columns = ft_calloc(from->column_count, sizeof *to->columns);
    if (to->columns == NULL || to->files == NULL || (to->timestamp == NULL && from->timestamp != NULL))
        return FT_ERR_NOMEM;
    for (; to->column_count < from->column_count; to->column_count++) {
        struct ft_source_column *column = &to->columns[to->column_count];
        column->name = ft_strdup(from->columns[to->column_count].name);
        column->source = ft_strdup(from->columns[to->column_count].source);
        if (column->name == NULL || column->source == NULL) {
            to->column_count++; /* so that clear frees the half of it */
            return FT_ERR_NOMEM;
        }
    }
    return FT_OK;
}

static enum ft_status
config_copy(const struct ft_source_config *from, struct ft_source_config *to)
{
    enum ft_status st;
    to->max_reject_ratio = from->max_reject_ratio;
    to->base_dir = ft_strdup(from->base_dir);
    if (to->base_dir == NULL && from->base_dir != NULL)
        return FT_ERR_NOMEM;
    FT_TRY(table_copy(&from->transactions, &to->transactions));
    FT_TRY(table_copy(&from->customers, &to->customers));
    FT_TRY(table_copy(&from->products, &to->products));
out:
    return st;
}

enum ft_status
ft_source_open(const struct ft_source_config *config, const struct ft_node_key *key, struct ft_db *db,
               struct ft_source **out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_source *source = NULL;

    *out = NULL;
    FT_TRY(ft_source_config_check(config, err));
    source = ft_calloc(1, sizeof *source);
    if (source == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    source->db = db;
    source->key = ft_secret_alloc(sizeof *source->key);
    if (source->key == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    *source->key = *key;
    FT_TRY(config_copy(config, &source->config));
    st = list_all(source, source->files, err);
    if (st == FT_OK)
        st = import_all(source, source->files, err);
    if (st != FT_OK) {
        (void)!make_empty_tables(source, NULL); /* the reason is told already */
        goto out;
    }
    *out = source;
    source = NULL;
out:
    ft_source_close(source);
    return st;
}

/* True when every file that a stat shows as touched still has the content that was read. */
static bool
content_same(const struct ft_source_files *now, const struct ft_source_files *before)
{
    uint8_t hash[32];
    if (now->count != before->count)
        return false;
    for (size_t i = 0; i < now->count; i++) {
        if (strcmp(now->list[i].path, before->list[i].path) != 0 ||
            now->list[i].size != before->list[i].size ||
            ft_source_file_hash(now->list[i].path, hash, NULL) != FT_OK ||
            memcmp(hash, before->list[i].hash, sizeof hash) != 0)
            return false;
    }
    return true;
}

enum ft_status
ft_source_refresh(struct ft_source *source, bool *changed, struct ft_error *err)
{
    enum ft_status st;
    struct ft_source_files now[FT_TABLE_COUNT] = { { 0 } };
    bool touched = false;

    if (changed != NULL)
        *changed = false;
    FT_TRY(list_all(source, now, err));
    for (int table = 0; table < FT_TABLE_COUNT; table++) {
        if (ft_source_files_same(&now[table], &source->files[table]))
            continue;
        if (!content_same(&now[table], &source->files[table])) {
            touched = true;
            continue;
        }
        for (size_t i = 0; i < now[table].count; i++) { /* only times moved */
            memcpy(now[table].list[i].hash, source->files[table].list[i].hash, 32);
            now[table].list[i].duplicate = source->files[table].list[i].duplicate;
        }
        ft_source_files_clear(&source->files[table]);
        source->files[table] = now[table];
        now[table] = (struct ft_source_files){ 0 };
    }
    if (!touched)
        goto out;
    files_clear(now);
    FT_TRY(list_all(source, now, err));
    FT_TRY(import_all(source, now, err));
    files_clear(source->files);
    memcpy(source->files, now, sizeof now);
    memset(now, 0, sizeof now);
    if (changed != NULL)
        *changed = true;
out:
    files_clear(now);
    return st;
}

const struct ft_source_counts *
ft_source_counts(const struct ft_source *source)
{
    return &source->counts;
}

const struct ft_quarantine *
ft_source_quarantine(const struct ft_source *source)
{
    return &source->quarantine;
}

struct ft_db *
ft_source_db(const struct ft_source *source)
{
    return source->db;
}

bool
ft_source_config_maps(const void *ctx, const char *table, const char *column)
{
    const struct ft_source_config *config = ctx;
    const int at = ft_schema_find_table(table);
    if (at < 0)
        return false;
    const struct ft_source_table *t = config_table(config, at);
    for (size_t i = 0; i < t->column_count; i++)
        if (strcmp(t->columns[i].name, column) == 0)
            return true;
    return false;
}

bool
ft_source_maps(const struct ft_source *source, const char *table, const char *column)
{
    return ft_source_config_maps(&source->config, table, column);
}

void
ft_source_close(struct ft_source *source)
{
    if (source == NULL)
        return;
    files_clear(source->files);
    ft_source_config_clear(&source->config);
    ft_secret_free(source->key);
    ft_free(source);
}
