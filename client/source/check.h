/*
 * Check before use: what a shop's data look like, in counts and ranges only; no row is shown. Warnings are
 * named.
 *
 *   EMPTY_SOURCE          no transaction lines
 *   FUTURE_DATES          lines dated after now
 *   NEGATIVE_QUANTITIES   lines with a quantity below 0 (returns; also a sign error of an export)
 *   DOMINANT_CUSTOMER     one customer has more than a tenth of all lines, of 1,000 or more (a till's default
 * card) REJECTED_ROWS         rows in the quarantine MISSING_VALUES        a mapped column is empty in more
 * than half of the lines
 */
#ifndef FT_SOURCE_CHECK_H
#define FT_SOURCE_CHECK_H

#include "client/source/source.h"
#include <stdio.h>

struct ft_column_summary {
    char name[48];
    bool numeric;
    uint64_t missing;  /* NULL or empty */
    double min, max;   /* numbers only; NaN when there is none */
    uint64_t distinct; /* text only, customer_id left out (0): up to 1000, then 1001 for "more" */
};

struct ft_source_warning {
    char name[24];
    char text[160];
};

#define FT_SOURCE_WARNINGS_MAX 32

struct ft_source_summary {
    uint64_t files, duplicate_files, rows, rejected;
    uint64_t customers, lines_without_customer, baskets, products;
    char first_ts[20], last_ts[20];                          /* empty when `ts` is not mapped */
    struct ft_column_summary columns[FT_SOURCE_COLUMNS_MAX]; /* of transactions */
    size_t column_count;
    struct ft_source_warning warnings[FT_SOURCE_WARNINGS_MAX];
    size_t warning_count;
};

/* `wall_ms` is now. Errors: NOMEM, INTERNAL. */
FT_NODISCARD enum ft_status ft_source_summarise(const struct ft_source *source, uint64_t wall_ms,
                                                struct ft_source_summary *out, struct ft_error *err);

void ft_source_summary_print(const struct ft_source_summary *s, const struct ft_quarantine *q, FILE *out);

typedef struct json_t json_t; /* jansson */
/* A new object, or NULL without memory. */
json_t *ft_source_summary_json(const struct ft_source_summary *s, const struct ft_quarantine *q);

#endif
