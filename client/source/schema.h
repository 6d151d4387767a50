/* The standard schema: which columns a task may name, and what each holds. */
#ifndef FT_SOURCE_SCHEMA_H
#define FT_SOURCE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

enum ft_column_type {
    FT_COLUMN_TEXT,
    FT_COLUMN_CUSTOMER, /* text, stored as a pseudonym, NULL without a customer */
    FT_COLUMN_TIME,     /* text, YYYY-MM-DD or YYYY-MM-DD HH:MM:SS */
    FT_COLUMN_INTEGER,
    FT_COLUMN_REAL,
};

struct ft_schema_column {
    const char *name;
    enum ft_column_type type;
};

struct ft_schema_table {
    const char *name;
    const struct ft_schema_column *columns;
    size_t column_count;
    bool open; /* other names are text columns */
};

enum { FT_TABLE_TRANSACTIONS, FT_TABLE_CUSTOMERS, FT_TABLE_PRODUCTS, FT_TABLE_COUNT };
extern const struct ft_schema_table ft_schema[FT_TABLE_COUNT];

/* The table's index, or -1. */
int ft_schema_find_table(const char *name);
/* The type of a column; false when the table cannot have it. */
bool ft_schema_column_type(const struct ft_schema_table *table, const char *column,
                           enum ft_column_type *type);
const char *ft_column_type_sql(enum ft_column_type type); /* "TEXT" */

#endif
