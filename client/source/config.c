#include "client/source/csv.h"
#include "client/source/schema.h"
#include "client/source/source.h"
#include "client/source/values.h"
#include "common/base/alloc.h"

#include <string.h>

void
ft_source_config_init(struct ft_source_config *config)
{
    struct ft_source_table *tables[] = { &config->transactions, &config->customers, &config->products };
    *config = (struct ft_source_config){ .max_reject_ratio = 0.01 };
    for (size_t i = 0; i < FT_TABLE_COUNT; i++) {
        tables[i]->delimiter = ',';
        tables[i]->decimal = '.';
    }
}

void
ft_source_config_clear(struct ft_source_config *config)
{
    struct ft_source_table *tables[] = { &config->transactions, &config->customers, &config->products };
    for (size_t i = 0; i < FT_TABLE_COUNT; i++) {
        for (size_t k = 0; k < tables[i]->column_count; k++) {
            ft_free(tables[i]->columns[k].name);
            ft_free(tables[i]->columns[k].source);
        }
        ft_free(tables[i]->columns);
        ft_free(tables[i]->files);
        ft_free(tables[i]->timestamp);
    }
    ft_free(config->base_dir);
    *config = (struct ft_source_config){ 0 };
}

static enum ft_status
check_columns(const struct ft_schema_table *schema, const struct ft_source_table *table, struct ft_error *err)
{
    if (table->column_count == 0 || table->column_count > FT_SOURCE_COLUMNS_MAX)
        return ft_fail(err, FT_ERR_CONFIG, "source.%s: expected 1 to %d mapped columns", schema->name,
                       FT_SOURCE_COLUMNS_MAX);
    for (size_t i = 0; i < table->column_count; i++) {
        const struct ft_source_column *column = &table->columns[i];
        enum ft_column_type type;
        if (column->name == NULL || !ft_schema_column_type(schema, column->name, &type))
            return ft_fail(err, FT_ERR_CONFIG, "source.%s: %.48s is no column of the standard schema",
                           schema->name, column->name != NULL ? column->name : "(none)");
        if (column->source == NULL || column->source[0] == '\0')
            return ft_fail(err, FT_ERR_CONFIG, "source.%s: column %s has no source column", schema->name,
                           column->name);
        for (size_t k = 0; k < i; k++)
            if (strcmp(table->columns[k].name, column->name) == 0)
                return ft_fail(err, FT_ERR_CONFIG, "source.%s: column %s is mapped twice", schema->name,
                               column->name);
    }
    return FT_OK;
}

/* What ties a table to the lines: customers without their key could not be kept to those who agreed. */
static enum ft_status
check_key(const struct ft_schema_table *schema, const struct ft_source_table *table, const char *key,
          struct ft_error *err)
{
    for (size_t i = 0; table->files != NULL && i < table->column_count; i++)
        if (strcmp(table->columns[i].name, key) == 0)
            return FT_OK;
    if (table->files == NULL)
        return FT_OK;
    return ft_fail(err, FT_ERR_CONFIG, "source.%s: column %s must be mapped", schema->name, key);
}

static enum ft_status
check_table(const struct ft_schema_table *schema, const struct ft_source_table *table, struct ft_error *err)
{
    if (table->files[0] == '\0')
        return ft_fail(err, FT_ERR_CONFIG, "source.%s: files is empty", schema->name);
    if (strchr("\"\r\n. +-", table->delimiter) != NULL ||
        (unsigned char)table->delimiter >= 0x80 || /* '\0' too */
        (table->delimiter >= '0' && table->delimiter <= '9'))
        return ft_fail(err, FT_ERR_CONFIG,
                       "source.%s: the delimiter must be one character such as , ; | or a tab", schema->name);
    if (table->decimal != '.' && table->decimal != ',')
        return ft_fail(err, FT_ERR_CONFIG, "source.%s: the decimal mark must be . or ,", schema->name);
    if ((int)table->encoding < 0 || table->encoding > FT_ENCODING_AUTO)
        return ft_fail(err, FT_ERR_CONFIG, "source.%s: unknown encoding", schema->name);
    if (table->timestamp != NULL && !ft_value_time_format_ok(table->timestamp))
        return ft_fail(err, FT_ERR_CONFIG, "source.%s: the timestamp format must hold year, month and day",
                       schema->name);
    return check_columns(schema, table, err);
}

enum ft_status
ft_source_config_check(const struct ft_source_config *config, struct ft_error *err)
{
    const struct ft_source_table *tables[] = { &config->transactions, &config->customers, &config->products };
    enum ft_status st = FT_OK;

    if (config->transactions.files == NULL)
        return ft_fail(err, FT_ERR_CONFIG, "source.transactions is missing");
    if (!(config->max_reject_ratio >= 0.0 && config->max_reject_ratio <= 1.0))
        return ft_fail(err, FT_ERR_CONFIG, "source.max_reject_ratio: expected 0 to 1");
    for (size_t i = 0; i < FT_TABLE_COUNT && st == FT_OK; i++)
        if (tables[i]->files != NULL)
            st = check_table(&ft_schema[i], tables[i], err);
    if (st == FT_OK)
        st = check_key(&ft_schema[FT_TABLE_CUSTOMERS], &config->customers, "customer_id", err);
    if (st == FT_OK)
        st = check_key(&ft_schema[FT_TABLE_PRODUCTS], &config->products, "product_id", err);
    return st;
}
