#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/source/csv.h"
#include "common/base/alloc.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* What the sink saw, as text: "line:a|b;" for rows and "line!column!reason;" for bad ones. */
struct seen {
    char text[4096];
    size_t size, columns;
};

static enum ft_status
on_row(void *ctx, uint64_t line, const struct ft_csv_field *fields)
{
    struct seen *s = ctx;
    s->size +=
        (size_t)snprintf(s->text + s->size, sizeof s->text - s->size, "%llu:", (unsigned long long)line);
    for (size_t i = 0; i < s->columns; i++)
        s->size += (size_t)snprintf(s->text + s->size, sizeof s->text - s->size, "%s%s", i > 0 ? "|" : "",
                                    fields[i].text);
    s->size += (size_t)snprintf(s->text + s->size, sizeof s->text - s->size, ";");
    return FT_OK;
}

static enum ft_status
on_bad(void *ctx, uint64_t line, const char *column, const char *expected)
{
    struct seen *s = ctx;
    s->size += (size_t)snprintf(s->text + s->size, sizeof s->text - s->size, "%llu!%s!%s;",
                                (unsigned long long)line, column != NULL ? column : "", expected);
    return FT_OK;
}

static const struct ft_source_column ab[] = { { (char *)"first", (char *)"a" },
                                              { (char *)"second", (char *)"b" } };

static enum ft_status
read_seen(const void *data, size_t size, char delimiter, enum ft_encoding encoding, struct seen *seen,
          struct ft_csv_counts *counts, struct ft_error *err)
{
    const struct ft_csv_spec spec = {
        .delimiter = delimiter, .encoding = encoding, .columns = ab, .column_count = 2
    };
    const struct ft_csv_sink sink = { on_row, on_bad, seen };
    *seen = (struct seen){ .columns = 2 };
    *err = (struct ft_error){ 0 };
    return ft_csv_read_bytes(data, size, "t.csv", &spec, &sink, counts, err);
}

#define OK_CASE(data, want)                                                                                  \
    do {                                                                                                     \
        struct seen seen;                                                                                    \
        struct ft_error err;                                                                                 \
        assert_int_equal(read_seen(data, sizeof(data) - 1, ',', FT_ENCODING_UTF8, &seen, NULL, &err),        \
                         FT_OK);                                                                             \
        assert_string_equal(seen.text, want);                                                                \
    } while (0)

/* Quotes, doubled quotes, delimiters and line ends inside quotes, all three line ends, empty lines, no last
 * line end, columns in any order. Lines are counted as an editor counts them. */
static void
source_csv_reads_what_the_format_allows(void **state)
{
    (void)state;
    OK_CASE("a,b\n1,2\n3,4\n", "2:1|2;3:3|4;");
    OK_CASE("a,b\r\n1,2\r\n3,4", "2:1|2;3:3|4;");
    OK_CASE("a,b\r1,2\r3,4\r", "2:1|2;3:3|4;");
    OK_CASE("b,x,a\n1,z,2\n", "2:2|1;");
    OK_CASE("a,b\n\"x,y\",\"say \"\"hi\"\"\"\n5,6\n", "2:x,y|say \"hi\";3:5|6;");
    OK_CASE("a,b\n\"two\nlines\",1\nnext,2\n", "2:two\nlines|1;4:next|2;");
    OK_CASE("a,b\r\n\"two\r\nlines\",1\r\nnext,2\r\n", "2:two\r\nlines|1;4:next|2;");
    OK_CASE("a,b\n\n\n1,2\n\n", "4:1|2;");
    OK_CASE("a,b\n1,\n,2\n,\n", "2:1|;3:|2;4:|;");
    OK_CASE("\xEF\xBB\xBF"
            "a,b\n1,2\n",
            "2:1|2;");
    OK_CASE("a,b\n  1 ,\t2\n\" 1 \",2\n", "2:1|2;3: 1 |2;");
    OK_CASE("a,b\n", "");
}

/* A row that is no row is reported with its line, and reading goes on with the next. */
static void
source_csv_puts_bad_rows_aside(void **state)
{
    (void)state;
    OK_CASE("a,b\n1\n2,2\n1,2,3\n4,4\n",
            "2!!2 fields as in the header, found 1;3:2|2;4!!2 fields as in the header, found 3;5:4|4;");
    OK_CASE("a,b\n1,x\"y\"\n2,2\n", "2!!quotes around a whole field only;3:2|2;");
    OK_CASE("a,b\n\"1\"x,2\n3,3\n", "2!!quotes around a whole field only;3:3|3;");
    OK_CASE("a,b\r\"1\"x,2\r3,3\r", "2!!quotes around a whole field only;3:3|3;");
    OK_CASE("a,b\n1,\xFF\n2,2\n", "2!second!text in the configured encoding;3:2|2;");
    /* An open quote swallows lines: every one of them is counted as lost. */
    OK_CASE("a,b\n1,\"2\n3,3\n4,4\n",
            "2!!a closing quote before the file's end;3!!a closing quote before the file's end;"
            "4!!a closing quote before the file's end;5!!a closing quote before the file's end;");
    OK_CASE("a,b\n1,\"2\n3,\"x\"\n4,4\n",
            "2!!quotes around a whole field only;3!!quotes around a whole field only;4:4|4;");
}

/* Bytes that are no text in a column that nobody chose do not matter, for nobody reads them. */
static void
source_csv_passes_over_other_columns(void **state)
{
    static const char data[] = "a,secret,b\n1,\xFF\xFE,2\n3,CANARY,4\n";
    struct ft_csv_counts counts;
    struct ft_error err;
    struct seen seen;
    (void)state;
    assert_int_equal(read_seen(data, sizeof data - 1, ',', FT_ENCODING_UTF8, &seen, &counts, &err), FT_OK);
    assert_string_equal(seen.text, "2:1|2;3:3|4;");
    assert_int_equal(counts.fields_kept, 4);
    assert_int_equal(counts.fields_passed_over, 2);
    assert_int_equal(counts.bytes, sizeof data - 1);
}

/* The same table in four encodings and with another delimiter gives the same rows. */
static void
source_csv_reads_other_encodings(void **state)
{
    static const char latin[] = "a;b\ncaf\xE9;1\n";
    static const char le[] = "\xFF\xFE"
                             "a\0;\0b\0\n\0c\0a\0f\0\xE9\0;\0001\0\n\0";
    static const char be[] = "\0a\0;\0b\0\n\0c\0a\0f\0\xE9\0;\0001\0\n";
    struct ft_error err;
    struct seen seen;
    (void)state;
    assert_int_equal(read_seen(latin, sizeof latin - 1, ';', FT_ENCODING_LATIN1, &seen, NULL, &err), FT_OK);
    assert_string_equal(seen.text, "2:caf\xC3\xA9|1;");
    assert_int_equal(read_seen(le, sizeof le - 1, ';', FT_ENCODING_AUTO, &seen, NULL, &err), FT_OK);
    assert_string_equal(seen.text, "2:caf\xC3\xA9|1;");
    assert_int_equal(read_seen(le, sizeof le - 1, ';', FT_ENCODING_UTF16LE, &seen, NULL, &err), FT_OK);
    assert_string_equal(seen.text, "2:caf\xC3\xA9|1;");
    assert_int_equal(read_seen(be, sizeof be - 1, ';', FT_ENCODING_UTF16BE, &seen, NULL, &err), FT_OK);
    assert_string_equal(seen.text, "2:caf\xC3\xA9|1;");
}

static void
expect_error(const char *data, size_t size, enum ft_encoding encoding, enum ft_status status,
             const char *part)
{
    struct ft_error err;
    struct seen seen;
    assert_int_equal(read_seen(data, size, ',', encoding, &seen, NULL, &err), status);
    if (strstr(err.text, part) == NULL)
        fail_msg("%s", err.text);
    assert_string_equal(seen.text, "");
}

static enum ft_status
skip_row(void *ctx, uint64_t line, const struct ft_csv_field *fields)
{
    (void)line;
    (void)fields;
    (void)ctx;
    return FT_OK;
}

/* Line numbers stay right when a block of the file ends before, between or after CR and LF. */
static void
source_csv_counts_lines_across_blocks(void **state)
{
    const size_t block = (size_t)64 << 10;
    const struct ft_csv_spec spec = { .delimiter = ',', .columns = ab, .column_count = 2 };
    char *data = calloc(1, block + 64);
    (void)state;
    for (size_t cut = 0; cut < 6; cut++) {
        struct seen seen = { .columns = 2 };
        const struct ft_csv_sink sink = { skip_row, on_bad, &seen };
        size_t at = 7;
        memcpy(data, "a,b\r\n1,", 7);
        while (at < block - 4 + cut)
            data[at++] = 'x';
        strcpy(data + at, "\r\n2\r\n\"3\"x,3\r\n4\r\n");
        assert_int_equal(ft_csv_read_bytes(data, strlen(data), "t.csv", &spec, &sink, NULL, NULL), FT_OK);
        assert_string_equal(seen.text,
                            "3!!2 fields as in the header, found 1;4!!quotes around a whole field only;"
                            "5!!2 fields as in the header, found 1;");
    }
    free(data);
}

/* A file that is no table is refused as a whole, with the file's name. */
static void
source_csv_refuses_files_that_are_no_table(void **state)
{
    (void)state;
    expect_error("", 0, FT_ENCODING_UTF8, FT_ERR_FORMAT, "t.csv: the file is empty");
    expect_error("\x1F\x8B\x08\0\0\0", 6, FT_ENCODING_UTF8, FT_ERR_FORMAT, "t.csv: holds NUL bytes");
    expect_error("a\0,\0b\0\n\0", 8, FT_ENCODING_UTF8, FT_ERR_FORMAT, "NUL bytes");
    expect_error("\x89PNG\r\n", 6, FT_ENCODING_UTF8, FT_ERR_FORMAT, "no text in the configured encoding");
    expect_error("a,a,b\n1,2,3\n", 12, FT_ENCODING_UTF8, FT_ERR_FORMAT, "column a twice");
    expect_error("\"a\"x,b\n", 7, FT_ENCODING_UTF8, FT_ERR_FORMAT, "stray quote");
    expect_error("a,c\n1,2\n", 8, FT_ENCODING_UTF8, FT_ERR_FORMAT,
                 "column b is missing; the header has: a, c");
}

/* A file without a header begins with somebody's row: the message must not show it. */
static void
source_csv_does_not_show_a_row_as_header(void **state)
{
    static const char *const data[] = { "906,31198705046\n907,3\n", "Somebody,Street\nElse,Road\n",
                                        "a,Somebody@home\n" };
    struct ft_error err;
    struct seen seen;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(read_seen(data[i], strlen(data[i]), ',', FT_ENCODING_UTF8, &seen, NULL, &err),
                         FT_ERR_FORMAT);
        assert_null(strstr(err.text, "906"));
        assert_null(strstr(err.text, "Somebody"));
        assert_non_null(
            strstr(err.text, "is missing: the first line does not look like a header (not shown)"));
    }
}

/* A quote that is never closed in a large file ends the reading instead of filling the memory. */
static void
source_csv_bounds_a_field(void **state)
{
    const size_t size = FT_CSV_FIELD_MAX + 200000;
    char *data = malloc(size);
    struct ft_error err;
    struct seen seen;
    (void)state;
    memset(data, 'x', size);
    memcpy(data, "a,b\n1,\"", 7);
    assert_int_equal(read_seen(data, size, ',', FT_ENCODING_UTF8, &seen, NULL, &err), FT_ERR_FORMAT);
    assert_non_null(strstr(err.text, "t.csv:2: a field is longer than 1 MiB"));
    free(data);
}

static enum ft_status
count_row(void *ctx, uint64_t line, const struct ft_csv_field *fields)
{
    (void)line;
    (void)fields;
    (*(uint64_t *)ctx)++;
    return FT_OK;
}

static enum ft_status
no_bad(void *ctx, uint64_t line, const char *column, const char *expected)
{
    (void)ctx;
    (void)line;
    (void)column;
    (void)expected;
    return FT_ERR_INTERNAL;
}

/* Reading 300,000 rows from a file takes no memory that grows with it. */
static void
source_csv_streams_in_fixed_memory(void **state)
{
    char name[] = "/tmp/fedtill-stream-XXXXXX";
    const int fd = mkstemp(name);
    FILE *f = fdopen(fd, "w");
    uint64_t rows = 0;
    const struct ft_csv_spec spec = { .delimiter = ',', .columns = ab, .column_count = 2 };
    const struct ft_csv_sink sink = { count_row, no_bad, &rows };
    struct ft_csv_counts counts;
    struct rusage before, after;
    (void)state;
    fputs("x,a,b\n", f);
    for (int i = 0; i < 300000; i++)
        fprintf(f, "passed over for its name,%d,some text\n", i);
    fclose(f);
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(ft_csv_read(name, &spec, &sink, &counts, NULL), FT_OK);
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(rows, 300000);
    assert_int_equal(counts.fields_passed_over, 300000);
    assert_true(counts.bytes > 10000000);
    assert_true(after.ru_maxrss - before.ru_maxrss < 4096); /* KiB; the file has more than twice that */
    remove(name);
}

/* Fail each allocation and all later ones: a clean status and no leak. (One alone libcsv may make good with
 * less.) */
static void
source_csv_survives_any_failed_allocation(void **state)
{
    static const char data[] = "a,b\n\"long enough to make the parser grow its buffer more than once\",2\n";
    const size_t live = ft_alloc_live();
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct ft_error err;
        struct seen seen;
        ft_alloc_fail_at(nth, true);
        const enum ft_status st = read_seen(data, sizeof data - 1, ',', FT_ENCODING_UTF8, &seen, NULL, &err);
        const bool fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        assert_int_equal(ft_alloc_live(), live);
        if (!fired) {
            assert_int_equal(st, FT_OK);
            break;
        }
        assert_int_equal(st, FT_ERR_NOMEM);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_csv_reads_what_the_format_allows),
        cmocka_unit_test(source_csv_puts_bad_rows_aside),
        cmocka_unit_test(source_csv_passes_over_other_columns),
        cmocka_unit_test(source_csv_reads_other_encodings),
        cmocka_unit_test(source_csv_counts_lines_across_blocks),
        cmocka_unit_test(source_csv_refuses_files_that_are_no_table),
        cmocka_unit_test(source_csv_does_not_show_a_row_as_header),
        cmocka_unit_test(source_csv_bounds_a_field),
        cmocka_unit_test(source_csv_streams_in_fixed_memory),
        cmocka_unit_test(source_csv_survives_any_failed_allocation),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
