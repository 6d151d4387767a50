/*
 * A CSV file of any bytes: the first byte chooses encoding and delimiter, the rest is the file. Whatever
 * comes out as a row is text, has all its fields and a line of the file; nothing leaks; reading twice gives
 * the same.
 */
#include "client/source/csv.h"
#include "client/source/values.h"
#include "common/base/alloc.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t rows, bad, fields, last_line, sum;
};

static enum ft_status
on_row(void *ctx, uint64_t line, const struct ft_csv_field *fields)
{
    struct seen *s = ctx;
    double real;
    int64_t integer;
    char iso[20];
    s->rows++;
    assert(line >= 1 && line >= s->last_line);
    s->last_line = line;
    for (size_t i = 0; i < 2; i++) {
        assert(strlen(fields[i].text) == fields[i].size);
        assert(ft_value_utf8(fields[i].text, fields[i].size));
        if (ft_value_real(fields[i].text, fields[i].size, ',', &real))
            assert(real == real && real - real == 0);
        (void)ft_value_integer(fields[i].text, fields[i].size, &integer);
        if (ft_value_time(fields[i].text, "%d.%m.%Y %H:%M", iso, NULL))
            assert(strlen(iso) == 19);
        s->sum += fields[i].size;
    }
    return FT_OK;
}

static enum ft_status
on_bad(void *ctx, uint64_t line, const char *column, const char *expected)
{
    struct seen *s = ctx;
    (void)column;
    assert(line >= 1 && expected[0] != '\0');
    s->bad++;
    return s->bad > 100000 ? FT_ERR_LIMIT : FT_OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char a[] = "a", b[] = "b";
    static const struct ft_source_column columns[] = { { a, a }, { b, b } };
    static const bool optional[] = { false, true };
    static const char delimiters[] = ",;\t|";
    const size_t live = ft_alloc_live();
    struct seen seen[2] = { { 0 } };
    struct ft_csv_counts counts[2];
    enum ft_status st[2];

    if (size == 0)
        return 0;
    const struct ft_csv_spec spec = { .delimiter = delimiters[data[0] / 8 % 4],
                                      .encoding = (enum ft_encoding)(data[0] % 5),
                                      .columns = columns,
                                      .column_count = 2,
                                      .optional = optional };
    for (int i = 0; i < 2; i++) {
        const struct ft_csv_sink sink = { on_row, on_bad, &seen[i] };
        struct ft_error err = { 0 };
        st[i] = ft_csv_read_bytes(data + 1, size - 1, "f.csv", &spec, &sink, &counts[i], &err);
        assert(st[i] == FT_OK || st[i] == FT_ERR_LIMIT || err.text[0] != '\0');
    }
    assert(st[0] == st[1] && memcmp(&seen[0], &seen[1], sizeof seen[0]) == 0);
    if (st[0] == FT_OK)
        assert(memcmp(&counts[0], &counts[1], sizeof counts[0]) == 0 && counts[0].bytes == size - 1);
    assert(ft_alloc_live() == live);
    return 0;
}
