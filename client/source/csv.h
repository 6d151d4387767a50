/*
 * A CSV reader: a file of any encoding becomes rows of chosen fields, streamed through fixed buffers.
 *
 *   quotes, doubled quotes, delimiters and line ends inside quotes, CRLF, LF or CR, byte order marks, empty
 * lines UTF-16 and Latin-1; fields arrive as UTF-8 (decode.h: iconv(3) would load its modules inside the
 * sandbox)
 *
 * Only the chosen columns' bytes are copied; the others are counted and passed over. A row with a stray or
 * unclosed quote, with a number of fields other than the header's, or with a chosen field that is no UTF-8 or
 * holds a NUL is reported as bad, and reading goes on with the next line.
 */
#ifndef FT_SOURCE_CSV_H
#define FT_SOURCE_CSV_H

#include "client/source/source.h"
#include "common/base/status.h"

#define FT_CSV_FIELD_MAX   ((size_t)1 << 20) /* bytes of one field */
#define FT_CSV_COLUMNS_MAX 1024              /* columns of one file */

struct ft_csv_field {
    const char *text; /* borrowed until the callback returns; terminated */
    size_t size;
};

struct ft_csv_spec {
    char delimiter;
    enum ft_encoding encoding;
    const struct ft_source_column *columns; /* what to choose, by header name */
    size_t column_count;                    /* 1 .. FT_SOURCE_COLUMNS_MAX */
    const bool *optional; /* (column_count); NULL: all must be there. A missing one reads as empty */
};

struct ft_csv_sink {
    /* One good row: fields in the order of spec.columns. Anything but FT_OK ends the reading with that
     * status. */
    enum ft_status (*row)(void *ctx, uint64_t line, const struct ft_csv_field *fields);
    /* One bad row. `column` is spec.columns[i].source's standard name or NULL. */
    enum ft_status (*bad)(void *ctx, uint64_t line, const char *column, const char *expected);
    void *ctx;
};

struct ft_csv_counts {
    uint64_t bytes, fields_kept, fields_passed_over;
    uint8_t hash[32]; /* BLAKE2b-256 of the file's bytes */
};

/* Errors: NOTFOUND, IO, FORMAT (directory, no text, no header, column missing from the header, field too
 * long), NOMEM, or what the sink returned. `counts` may be NULL. */
FT_NODISCARD enum ft_status ft_csv_read(const char *path, const struct ft_csv_spec *spec,
                                        const struct ft_csv_sink *sink, struct ft_csv_counts *counts,
                                        struct ft_error *err);

/* The same over bytes in memory; `name` stands for the file in messages. */
FT_NODISCARD enum ft_status ft_csv_read_bytes(const void *data, size_t size, const char *name,
                                              const struct ft_csv_spec *spec, const struct ft_csv_sink *sink,
                                              struct ft_csv_counts *counts, struct ft_error *err);

#endif
