/*
 * The shop's data source: CSV exports read into the standard schema, in memory.
 *
 * Streamed: memory is a few fixed buffers besides the tables themselves. Only mapped columns are kept. A row
 * that does not hold what its columns promise goes to the quarantine (file, line, column and what was
 * expected, never the value); above max_reject_ratio nothing is imported at all. A file is taken in once: its
 * content's hash is remembered, and a second file with the same content is skipped and counted.
 *
 * Customer ids become pseudonyms on the way in (pseudonym.h). A line without a customer has customer_id NULL.
 *
 * Standard columns. transactions: customer_id, basket_id, ts, product_id, department, category, brand (text),
 * line, week (integer), quantity, amount, discount, coupon, coupon_match (real). customers: customer_id and
 * any other name, text. products: product_id, department, category, brand and any other name, text. An empty
 * number is NULL (missing); an empty text stays empty; `ts` must be there when it is mapped, and is kept as
 * YYYY-MM-DD HH:MM:SS, or YYYY-MM-DD where the format has no hour. Returns may have negative quantities.
 */
#ifndef FT_SOURCE_SOURCE_H
#define FT_SOURCE_SOURCE_H

#include "client/source/db.h"
#include "client/source/pseudonym.h"
#include "client/source/quarantine.h"
#include "common/base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_SOURCE_COLUMNS_MAX 64
#define FT_SOURCE_FILES_MAX   4096

enum ft_encoding {
    FT_ENCODING_UTF8 = 0, /* with or without a byte order mark */
    FT_ENCODING_UTF16LE,
    FT_ENCODING_UTF16BE,
    FT_ENCODING_LATIN1,
    FT_ENCODING_AUTO, /* by byte order mark; UTF-8 without one */
};

struct ft_source_column {
    char *name;   /* standard column, [a-z][a-z0-9_]{0,47} */
    char *source; /* the column's name in the file's header */
};

/* How one kind of CSV file looks. `files` NULL: this table is not there. Owned strings (ft_strdup). */
struct ft_source_table {
    char *files;    /* glob, relative to base_dir unless absolute */
    char delimiter; /* default ',' */
    enum ft_encoding encoding;
    char decimal;                     /* '.' or ',', default '.' */
    char *timestamp;                  /* strptime format; NULL: "%Y-%m-%d %H:%M:%S" */
    struct ft_source_column *columns; /* ft_calloc'd */
    size_t column_count;
};

struct ft_source_config {
    char *base_dir; /* folder of client.yaml; NULL: the working directory */
    struct ft_source_table transactions, customers, products;
    double max_reject_ratio; /* 0 .. 1, default 0.01 */
};

/* Defaults as named above, everything else empty. */
void ft_source_config_init(struct ft_source_config *config);
void ft_source_config_clear(struct ft_source_config *config);

/* Rules that need no file: known standard columns, no column mapped twice, sane delimiter and ratio, a
 * timestamp format that holds a full date. Errors: CONFIG with the sentence. ft_source_open calls it too. */
FT_NODISCARD enum ft_status ft_source_config_check(const struct ft_source_config *config,
                                                   struct ft_error *err);

struct ft_source;

/* What the last import read: counts only. */
struct ft_source_counts {
    uint64_t files, duplicate_files;
    uint64_t rows, rejected; /* rows of all tables kept and refused */
    uint64_t bytes;
    uint64_t fields_kept, fields_passed_over; /* fields of mapped columns; fields of all other columns */
};

/*
 * Read everything into `db` (borrowed; must outlive the source). `config` and `key` are copied.
 * Errors: CONFIG (column or glob in the configuration), NOTFOUND (no file matches), FORMAT (a column missing
 * from a header, a file that is no text, too many bad rows: file, line and reason of the first few), IO,
 * NOMEM. After an error *out is NULL and `db` holds no records; its tables are there, empty, unless `config` is wrong.
 */
FT_NODISCARD enum ft_status ft_source_open(const struct ft_source_config *config,
                                           const struct ft_node_key *key, struct ft_db *db,
                                           struct ft_source **out, struct ft_error *err);

/* Read again if a file was added, removed or changed its content; *changed tells (may be NULL). After an
 * error the records read before stand. Errors: as open. */
FT_NODISCARD enum ft_status ft_source_refresh(struct ft_source *source, bool *changed, struct ft_error *err);

const struct ft_source_counts *ft_source_counts(const struct ft_source *source);
const struct ft_quarantine *ft_source_quarantine(const struct ft_source *source);
/* True when the shop maps this standard column of "transactions", "customers" or "products". The first takes a
 * struct ft_source_config. */
bool ft_source_config_maps(const void *config, const char *table, const char *column);
bool ft_source_maps(const struct ft_source *source, const char *table, const char *column);

struct ft_db *ft_source_db(const struct ft_source *source); /* borrowed */

void ft_source_close(struct ft_source *source); /* the records stay until ft_db_close; NULL is allowed */

#endif
