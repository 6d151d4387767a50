#include "aggregator/simulate/rows.h"
#include "client/source/schema.h"
#include "client/source/source.h"
#include "common/base/alloc.h"

#include <stdio.h>
#include <string.h>

#define HEADER_MAX 4096

/* Map every header field that is a standard column of transactions to itself. */
static enum ft_status
map_header(const char *path, struct ft_source_table *table, struct ft_error *err)
{
    char line[HEADER_MAX], *rest = NULL;
    FILE *file = fopen(path, "re");
    bool read;

    if (file == NULL)
        return ft_fail(err, FT_ERR_NOTFOUND, "%s: cannot be opened", path);
    read = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    if (!read)
        return ft_fail(err, FT_ERR_FORMAT, "%s: there is no header", path);
    table->columns = ft_calloc(FT_SOURCE_COLUMNS_MAX, sizeof *table->columns);
    if (table->columns == NULL)
        return FT_ERR_NOMEM;
    for (char *name = strtok_r(line, ",\r\n", &rest); name != NULL; name = strtok_r(NULL, ",\r\n", &rest)) {
        struct ft_source_column *column = &table->columns[table->column_count];
        enum ft_column_type type;
        if (!ft_schema_column_type(&ft_schema[FT_TABLE_TRANSACTIONS], name, &type) ||
            table->column_count == FT_SOURCE_COLUMNS_MAX)
            continue;
        column->name = ft_strdup(name);
        column->source = ft_strdup(name);
        table->column_count++;
        if (column->name == NULL || column->source == NULL)
            return FT_ERR_NOMEM;
    }
    return FT_OK;
}

static bool
maps_column(const struct ft_source_table *table, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return true;
    return false;
}

/* A date without an hour, as in "2018-01-02": the first line's `ts` decides. */
static bool
has_hours(const char *path)
{
    char line[HEADER_MAX];
    FILE *file = fopen(path, "re");
    bool hours = false;

    if (file == NULL)
        return false;
    if (fgets(line, sizeof line, file) != NULL && fgets(line, sizeof line, file) != NULL)
        hours = strchr(line, ':') != NULL;
    (void)fclose(file);
    return hours;
}

static bool
all_allowed(void *ctx, const char *table, const char *column)
{
    (void)ctx;
    (void)table;
    (void)column;
    return true;
}

enum ft_status
ft_sim_rows_from_csv(const char *path, const struct ft_task *task, struct ft_examples *out, struct ft_error *err)
{
    enum ft_status st;
    struct ft_source_config config;
    struct ft_source *source = NULL;
    struct ft_db *db = NULL;
    const struct ft_node_key key = { { 0 } }; /* published data: nobody to hide, and the same order each time */
    struct ft_examples_rules rules = { .allowed = all_allowed, .key = &key, .env = ft_env_system(),
                                       .query_ms = 600000, .consent_source = true };

    memset(out, 0, sizeof *out);
    ft_source_config_init(&config);
    config.transactions.files = ft_strdup(path);
    config.transactions.timestamp = ft_strdup(has_hours(path) ? "%Y-%m-%d %H:%M:%S" : "%Y-%m-%d");
    if (config.transactions.files == NULL || config.transactions.timestamp == NULL) {
        st = FT_ERR_NOMEM;
        goto out;
    }
    FT_TRY(map_header(path, &config.transactions, err));
    FT_TRY(ft_db_open(&db, err));
    FT_TRY(ft_source_open(&config, &key, db, &source, err));
    rules.basis = FT_EXAMPLES_RECORDS;
    if (maps_column(&config.transactions, "customer_id")) {
        rules.basis = FT_EXAMPLES_CONSENT;
        FT_TRY(ft_db_eligible_everyone(db, NULL, err));
    }
    FT_TRY(ft_examples_build(db, task, &rules, out, NULL, err));
out:
    ft_source_close(source);
    ft_db_close(db);
    ft_source_config_clear(&config);
    return st;
}

/* Room for rows_train and rows_test, which are set. */
static enum ft_status
make_room(struct ft_examples *e)
{
    e->x_train = ft_calloc(e->rows_train * e->feature_count, sizeof *e->x_train);
    e->y_train = ft_calloc(e->rows_train, sizeof *e->y_train);
    e->x_test = ft_calloc(e->rows_test * e->feature_count, sizeof *e->x_test);
    e->y_test = ft_calloc(e->rows_test, sizeof *e->y_test);
    if (e->x_train == NULL || e->y_train == NULL || e->x_test == NULL || e->y_test == NULL) {
        ft_examples_clear(e);
        return FT_ERR_NOMEM;
    }
    return FT_OK;
}

enum ft_status
ft_sim_pool(const struct ft_examples *shops, size_t count, struct ft_examples *out)
{
    enum ft_status st;
    size_t train = 0, test = 0;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < count; i++) {
        out->rows_train += shops[i].rows_train;
        out->rows_test += shops[i].rows_test;
        out->customers_train += shops[i].customers_train;
        out->customers_test += shops[i].customers_test;
        out->clipped_values += shops[i].clipped_values;
        if (shops[i].feature_count > out->feature_count)
            out->feature_count = shops[i].feature_count;
    }
    FT_TRY(make_room(out));
    for (size_t i = 0; i < count; i++) {
        const struct ft_examples *s = &shops[i];
        const size_t features = out->feature_count;
        if (s->rows_train > 0) {
            memcpy(out->x_train + train * features, s->x_train, s->rows_train * features * sizeof *s->x_train);
            memcpy(out->y_train + train, s->y_train, s->rows_train * sizeof *s->y_train);
        }
        if (s->rows_test > 0) {
            memcpy(out->x_test + test * features, s->x_test, s->rows_test * features * sizeof *s->x_test);
            memcpy(out->y_test + test, s->y_test, s->rows_test * sizeof *s->y_test);
        }
        train += s->rows_train;
        test += s->rows_test;
    }
out:
    return st;
}

enum ft_status
ft_sim_copy(const struct ft_examples *from, struct ft_examples *out)
{
    const enum ft_status st = ft_sim_pool(from, 1, out);

    if (st != FT_OK || from->customer_train == NULL)
        return st;
    out->customer_train = ft_calloc(from->rows_train + 1, sizeof *out->customer_train);
    if (out->customer_train == NULL) {
        ft_examples_clear(out);
        return FT_ERR_NOMEM;
    }
    memcpy(out->customer_train, from->customer_train, from->rows_train * sizeof *out->customer_train);
    out->customers_train = from->customers_train;
    return FT_OK;
}

enum ft_status
ft_sim_statistics(const struct ft_examples *rows, const struct ft_bounds *bounds, double *means, double *stds)
{
    const uint32_t features = (uint32_t)rows->feature_count;
    double *sums = ft_calloc(2 * (size_t)features, sizeof *sums);
    enum ft_status st;

    if (sums == NULL)
        return FT_ERR_NOMEM;
    FT_TRY(ft_statistics_sum(rows->x_train, rows->rows_train, features, bounds, sums, NULL));
    FT_TRY(ft_statistics_finish(sums, (double)rows->rows_train, features, bounds, means, stds));
out:
    ft_free(sums);
    return st;
}

enum ft_status
ft_sim_standardise(struct ft_examples *rows, const struct ft_bounds *bounds, const double *means,
                   const double *stds)
{
    const uint32_t features = (uint32_t)rows->feature_count;
    enum ft_status st;

    FT_TRY(ft_standardise(rows->x_train, rows->rows_train, features, bounds, means, stds, rows->x_train, NULL));
    FT_TRY(ft_standardise(rows->x_test, rows->rows_test, features, bounds, means, stds, rows->x_test, NULL));
out:
    return st;
}

struct ft_bounds *
ft_sim_bounds(const struct ft_task *task)
{
    struct ft_bounds *bounds = ft_calloc(task->feature_count, sizeof *bounds);
    for (uint32_t i = 0; bounds != NULL && i < task->feature_count; i++)
        bounds[i] = (struct ft_bounds){ task->features[i].min, task->features[i].max };
    return bounds;
}
