#include "client/source/schema.h"

#include <string.h>

static const struct ft_schema_column transactions[] = {
    { "customer_id", FT_COLUMN_CUSTOMER }, { "basket_id", FT_COLUMN_TEXT },
    { "line", FT_COLUMN_INTEGER },         { "ts", FT_COLUMN_TIME },
    { "product_id", FT_COLUMN_TEXT },      { "department", FT_COLUMN_TEXT },
    { "category", FT_COLUMN_TEXT },        { "brand", FT_COLUMN_TEXT },
    { "quantity", FT_COLUMN_REAL },        { "amount", FT_COLUMN_REAL },
    { "discount", FT_COLUMN_REAL },        { "coupon", FT_COLUMN_REAL },
    { "coupon_match", FT_COLUMN_REAL },    { "week", FT_COLUMN_INTEGER },
};
static const struct ft_schema_column customers[] = { { "customer_id", FT_COLUMN_CUSTOMER } };
static const struct ft_schema_column products[] = {
    { "product_id", FT_COLUMN_TEXT },
    { "department", FT_COLUMN_TEXT },
    { "category", FT_COLUMN_TEXT },
    { "brand", FT_COLUMN_TEXT },
};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
const struct ft_schema_table ft_schema[FT_TABLE_COUNT] = {
    [FT_TABLE_TRANSACTIONS] = { "transactions", transactions, COUNT(transactions), false },
    [FT_TABLE_CUSTOMERS] = { "customers", customers, COUNT(customers), true },
    [FT_TABLE_PRODUCTS] = { "products", products, COUNT(products), true },
};

int
ft_schema_find_table(const char *name)
{
    for (int i = 0; i < FT_TABLE_COUNT; i++)
        if (strcmp(ft_schema[i].name, name) == 0)
            return i;
    return -1;
}

/* [a-z][a-z0-9_]{0,47}: a name that needs no quoting anywhere. */
static bool
name_is_plain(const char *name)
{
    size_t n = 0;
    if (!(name[0] >= 'a' && name[0] <= 'z'))
        return false;
    for (; name[n] != '\0'; n++)
        if (!((name[n] >= 'a' && name[n] <= 'z') || (name[n] >= '0' && name[n] <= '9') || name[n] == '_'))
            return false;
    return n <= 47;
}

bool
ft_schema_column_type(const struct ft_schema_table *table, const char *column, enum ft_column_type *type)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i].name, column) == 0) {
            *type = table->columns[i].type;
            return true;
        }
    }
    *type = FT_COLUMN_TEXT;
    return table->open && name_is_plain(column) && strncmp(column, "ft_", 3) != 0 &&
           strcmp(column, "rowid") != 0 && strcmp(column, "oid") != 0;
}

const char *
ft_column_type_sql(enum ft_column_type type)
{
    switch (type) {
    case FT_COLUMN_INTEGER:
        return "INTEGER";
    case FT_COLUMN_REAL:
        return "REAL";
    case FT_COLUMN_TEXT:
    case FT_COLUMN_CUSTOMER:
    case FT_COLUMN_TIME:
        break;
    }
    return "TEXT";
}
