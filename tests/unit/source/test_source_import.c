#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/shop.h"

#include <sqlite3.h>
#include "client/source/db_internal.h"

#define BASIC  "customer_id basket_id ts quantity amount"
#define HEADER "customer_id,basket_id,ts,quantity,amount,card_number\n"

/* The whole table as text, in its order. */
static char *
dump(struct test_shop *shop, const char *sql)
{
    struct ft_buf out = { 0 };
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(shop->db->handle, sql, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(stmt); i++) {
            const char *text = (const char *)sqlite3_column_text(stmt, i);
            assert_int_equal(ft_buf_printf(&out, "%s%s", i > 0 ? "|" : "", text != NULL ? text : "NULL"),
                             FT_OK);
        }
        assert_int_equal(ft_buf_str(&out, ";"), FT_OK);
    }
    sqlite3_finalize(stmt);
    assert_int_equal(ft_buf_u8(&out, 0), FT_OK);
    char *text = strdup((const char *)out.data);
    ft_buf_clear(&out);
    return text;
}

static void
expect_dump(struct test_shop *shop, const char *sql, const char *want)
{
    char *text = dump(shop, sql);
    assert_string_equal(text, want);
    free(text);
}

static int
setup(void **state)
{
    struct test_shop *shop = calloc(1, sizeof *shop);
    shop_init(shop);
    shop_map(&shop->config.transactions, "*.csv", BASIC);
    *state = shop;
    return 0;
}

static int
teardown(void **state)
{
    shop_close(*state);
    free(*state);
    return 0;
}

/* Rows arrive typed: numbers as numbers, an empty number as NULL, a line without a customer with NULL. */
static void
source_import_keeps_mapped_columns_typed(void **state)
{
    struct test_shop *shop = *state;
    shop_text(shop, "a.csv", HEADER "906,b1,2017-01-01 07:30:27,1,1.50,X\n,b2,2017-01-02 00:00:00,-2,,X\n");
    assert_int_equal(shop_open(shop), FT_OK);
    expect_dump(
        shop,
        "SELECT basket_id, ts, typeof(quantity), quantity, amount, customer_id IS NULL, length(customer_id) "
        "FROM ft_base_transactions",
        "b1|2017-01-01 07:30:27|real|1.0|1.5|0|22;b2|2017-01-02 00:00:00|real|-2.0|NULL|1|NULL;");
    assert_int_equal(ft_source_counts(shop->source)->rows, 2);
    assert_true(ft_source_maps(shop->source, "transactions", "amount"));
    assert_false(ft_source_maps(shop->source, "transactions", "discount"));
    assert_false(ft_source_maps(shop->source, "customers", "customer_id"));
}

/* Neither a customer's id nor a column that is not mapped is anywhere in the database. */
static void
source_import_holds_no_unmapped_value_and_no_raw_id(void **state)
{
    struct test_shop *shop = *state;
    sqlite3_int64 size = 0;
    shop_text(shop, "a.csv", HEADER "IDCANARY77,b1,2017-01-01 07:30:27,1,1.5,CARDCANARY99\n");
    assert_int_equal(shop_open(shop), FT_OK);
    unsigned char *image = sqlite3_serialize(shop->db->handle, "main", &size, 0);
    assert_non_null(image);
    assert_null(memmem(image, (size_t)size, "CARDCANARY99", 12));
    assert_null(memmem(image, (size_t)size, "IDCANARY77", 10));
    assert_non_null(memmem(image, (size_t)size, "2017-01-01 07:30:27", 19)); /* the search can find */
    sqlite3_free(image);
    assert_int_equal(ft_source_counts(shop->source)->fields_kept, 5);
    assert_int_equal(ft_source_counts(shop->source)->fields_passed_over, 1);
}

static void
write_rows(struct test_shop *shop, int good, int bad)
{
    struct ft_buf text = { 0 };
    assert_int_equal(ft_buf_str(&text, HEADER), FT_OK);
    for (int i = 0; i < bad; i++)
        assert_int_equal(ft_buf_str(&text, "1,b,2017-01-01 00:00:00,SECRETVALUE,1,x\n"), FT_OK);
    for (int i = 0; i < good; i++)
        assert_int_equal(ft_buf_str(&text, "1,b,2017-01-01 00:00:00,1,1,x\n"), FT_OK);
    shop_file(shop, "a.csv", text.data, text.size);
    ft_buf_clear(&text);
}

/* One bad row in a hundred is quarantined; the sentence names file, line and column, never the value. */
static void
source_import_quarantines_up_to_the_limit(void **state)
{
    struct test_shop *shop = *state;
    char text[200];
    write_rows(shop, 99, 1);
    assert_int_equal(shop_open(shop), FT_OK);
    assert_int_equal(ft_source_counts(shop->source)->rows, 99);
    assert_int_equal(ft_source_counts(shop->source)->rejected, 1);
    ft_quarantine_sentence(ft_source_quarantine(shop->source), 5, text, sizeof text);
    assert_string_equal(text, "a.csv:2: column quantity: expected a number");
}

/* One more and nothing is imported at all. */
static void
source_import_above_the_limit_is_rolled_back(void **state)
{
    struct test_shop *shop = *state;
    write_rows(shop, 98, 2);
    assert_int_equal(shop_open(shop), FT_ERR_FORMAT);
    assert_null(shop->source);
    assert_non_null(strstr(shop->err.text,
                           "2 of 100 rows rejected, at most 1 % allowed; nothing was imported. "
                           "a.csv:2: column quantity: expected a number; a.csv:3: "));
    assert_null(strstr(shop->err.text, "SECRETVALUE"));
    expect_dump(shop, "SELECT count(*) FROM ft_base_transactions", "0;");
}

/* Each kind of bad value has its own sentence, with the standard column's name. */
static void
source_import_names_column_and_expectation(void **state)
{
    static const struct {
        const char *row, *reason;
    } table[] = {
        { "1,b,2017-02-30 00:00:00,1,1,x\n",
          "a.csv:2: column ts: expected a date and time in the configured format" },
        { "1,b,,1,1,x\n", "a.csv:2: column ts: expected a date and time in the configured format" },
        { "1,b,2017-02-03 00:00:00,1.2.3,1,x\n", "a.csv:2: column quantity: expected a number" },
        { "1,b,2017-02-03 00:00:00,1,inf,x\n", "a.csv:2: column amount: expected a number" },
        { "1,b,2017-02-03 00:00:00,1,nan,x\n", "a.csv:2: column amount: expected a number" },
        { "1,b,2017-02-03 00:00:00,1,1\n", "a.csv:2: expected 6 fields as in the header, found 5" },
        { "1,\"b,2017-02-03 00:00:00,1,1,x\n", "a.csv:2: expected a closing quote before the file's end" },
        { "1,\xC3,2017-02-03 00:00:00,1,1,x\n",
          "a.csv:2: column basket_id: expected text in the configured encoding" },
    };
    struct test_shop *shop = *state;
    shop->config.max_reject_ratio = 1.0;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char text[300], file[300];
        snprintf(file, sizeof file, HEADER "%s", table[i].row);
        shop_text(shop, "a.csv", file);
        assert_int_equal(shop_open(shop), FT_OK);
        ft_quarantine_sentence(ft_source_quarantine(shop->source), 1, text, sizeof text);
        assert_string_equal(text, table[i].reason);
        ft_source_close(shop->source);
        shop->source = NULL;
    }
}

/* A file with the same content as another is taken in once, by whatever name; in the golden order of names.
 */
static void
source_import_takes_each_content_once(void **state)
{
    struct test_shop *shop = *state;
    shop_text(shop, "b.csv", HEADER "1,b1,2017-01-01 00:00:00,1,1,x\n");
    shop_text(shop, "a.csv", HEADER "1,a1,2017-01-01 00:00:00,1,1,x\n");
    shop_text(shop, "c.csv", HEADER "1,b1,2017-01-01 00:00:00,1,1,x\n");
    assert_int_equal(shop_open(shop), FT_OK);
    expect_dump(shop, "SELECT basket_id FROM ft_base_transactions", "a1;b1;");
    assert_int_equal(ft_source_counts(shop->source)->files, 3);
    assert_int_equal(ft_source_counts(shop->source)->duplicate_files, 1);
}

/* Decimal commas, another delimiter, another date format, UTF-16: the golden rows of the plain file come out.
 */
static void
source_import_reads_a_foreign_export(void **state)
{
    struct test_shop *shop = *state;
    struct ft_source_table *t = &shop->config.transactions;
    static const char text[] = "Kunde;Bon;Datum;Menge;Betrag\n906;b1;31.01.2017 07:30;1;1,50\n";
    uint8_t wide[2 * sizeof text];
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        wide[2 * i] = (uint8_t)text[i];
        wide[2 * i + 1] = 0;
    }
    for (size_t i = 0; i < t->column_count; i++) {
        static const char *const german[] = { "Kunde", "Bon", "Datum", "Menge", "Betrag" };
        ft_free(t->columns[i].source);
        t->columns[i].source = ft_strdup(german[i]);
    }
    t->delimiter = ';';
    t->decimal = ',';
    t->encoding = FT_ENCODING_UTF16LE;
    t->timestamp = ft_strdup("%d.%m.%Y %H:%M");
    shop_file(shop, "a.csv", wide, 2 * (sizeof text - 1));
    assert_int_equal(shop_open(shop), FT_OK);
    expect_dump(shop, "SELECT basket_id, ts, quantity, amount FROM ft_base_transactions",
                "b1|2017-01-31 07:30:00|1.0|1.5;");
}

/* Customers and products are read beside the lines, with the shop's own further columns as text. */
static void
source_import_reads_customers_and_products(void **state)
{
    struct test_shop *shop = *state;
    ft_free(shop->config.transactions.files);
    shop->config.transactions.files = ft_strdup("lines-*.csv");
    shop_map(&shop->config.customers, "customers.csv", "customer_id=id age=years");
    shop_map(&shop->config.products, "products.csv", "product_id brand");
    shop_text(shop, "lines-1.csv", HEADER "906,b1,2017-01-01 00:00:00,1,1,x\n");
    shop_text(shop, "customers.csv", "id,years,name\n906,41,Somebody\n");
    shop_text(shop, "products.csv", "product_id,brand\n7,National\n");
    assert_int_equal(shop_open(shop), FT_OK);
    expect_dump(
        shop,
        "SELECT c.age, p.brand FROM ft_base_transactions t JOIN ft_base_customers c USING (customer_id), "
        "ft_base_products p",
        "41|National;");
}

/* Nothing to read is told apart from something unreadable. */
static void
source_import_names_file_level_errors(void **state)
{
    struct test_shop *shop = *state;
    assert_int_equal(shop_open(shop), FT_ERR_NOTFOUND);
    assert_non_null(strstr(shop->err.text, "no file matches"));
    /* a query can be looked at all the same: whether it may run is no matter of today's export */
    expect_dump(shop, "SELECT count(*), count(amount) FROM ft_base_transactions", "0|0;");
    shop_text(shop, "a.csv", "customer_id,basket_id,ts,amount\n");
    assert_int_equal(shop_open(shop), FT_ERR_FORMAT);
    assert_non_null(strstr(shop->err.text,
                           "a.csv: column quantity is missing; the header has: customer_id, basket_id, "
                           "ts, amount"));
    shop_text(shop, "a.csv", "");
    assert_int_equal(shop_open(shop), FT_ERR_FORMAT);
    assert_non_null(strstr(shop->err.text, "empty"));
    char path[256];
    snprintf(path, sizeof path, "%s/a.csv", shop->folder);
    assert_int_equal(remove(path), 0);
    assert_int_equal(ft_dir_make(path, 0700, NULL), FT_OK);
    assert_int_equal(shop_open(shop), FT_ERR_FORMAT);
    assert_non_null(strstr(shop->err.text, "not a regular file"));
}

/* A mapping that cannot be is refused before any file is opened. */
static void
source_import_checks_its_configuration(void **state)
{
    struct test_shop *shop = *state;
    struct ft_source_config *c = &shop->config;
    assert_int_equal(ft_source_config_check(c, NULL), FT_OK);
    ft_free(c->transactions.columns[0].name);
    c->transactions.columns[0].name = ft_strdup("customer_name");
    assert_int_equal(ft_source_config_check(c, &shop->err), FT_ERR_CONFIG);
    assert_non_null(strstr(shop->err.text, "customer_name is no column of the standard schema"));
    ft_free(c->transactions.columns[0].name);
    c->transactions.columns[0].name = ft_strdup("ts");
    assert_int_equal(ft_source_config_check(c, NULL), FT_ERR_CONFIG);
    ft_free(c->transactions.columns[0].name);
    c->transactions.columns[0].name = ft_strdup("customer_id");
    c->max_reject_ratio = 1.5;
    assert_int_equal(ft_source_config_check(c, NULL), FT_ERR_CONFIG);
    c->max_reject_ratio = 0;
    c->transactions.delimiter = '"';
    assert_int_equal(ft_source_config_check(c, NULL), FT_ERR_CONFIG);
    c->transactions.delimiter = '\t';
    assert_int_equal(ft_source_config_check(c, NULL), FT_OK);
    shop_map(&c->customers, "c.csv", "age");
    assert_int_equal(ft_source_config_check(c, NULL), FT_ERR_CONFIG);
}

/* A changed file is read again; touching it is no change; a broken new version leaves the old records
 * standing. */
static void
source_refresh_follows_the_files(void **state)
{
    struct test_shop *shop = *state;
    bool changed = true;
    shop_text(shop, "a.csv", HEADER "1,a1,2017-01-01 00:00:00,1,1,x\n");
    assert_int_equal(shop_open(shop), FT_OK);
    assert_int_equal(ft_source_refresh(shop->source, &changed, NULL), FT_OK);
    assert_false(changed);
    shop_text(shop, "a.csv", HEADER "1,a1,2017-01-01 00:00:00,1,1,x\n");
    assert_int_equal(ft_source_refresh(shop->source, &changed, NULL), FT_OK);
    assert_false(changed);
    shop_text(shop, "a.csv", HEADER "1,a2,2017-01-01 00:00:00,1,1,x\n"); /* same size */
    assert_int_equal(ft_source_refresh(shop->source, &changed, NULL), FT_OK);
    assert_true(changed);
    expect_dump(shop, "SELECT basket_id FROM ft_base_transactions", "a2;");
    shop_text(shop, "b.csv", HEADER "1,b1,2017-01-01 00:00:00,1,1,x\n");
    assert_int_equal(ft_source_refresh(shop->source, &changed, NULL), FT_OK);
    assert_true(changed);
    expect_dump(shop, "SELECT basket_id FROM ft_base_transactions", "a2;b1;");
    shop_text(shop, "b.csv", HEADER "1,b1,2017-01-01 00:00:00,many,1,x\n");
    assert_int_equal(ft_source_refresh(shop->source, &changed, NULL), FT_ERR_FORMAT);
    assert_false(changed);
    expect_dump(shop, "SELECT basket_id FROM ft_base_transactions", "a2;b1;");
    shop_text(shop, "b.csv", HEADER "1,b3,2017-01-01 00:00:00,1,1,x\n");
    assert_int_equal(ft_source_refresh(shop->source, &changed, NULL), FT_OK);
    assert_true(changed);
    expect_dump(shop, "SELECT basket_id FROM ft_base_transactions", "a2;b3;");
}

/* Fail each allocation of our own and all later ones: no leak, and no records left behind. */
static void
source_import_survives_any_failed_allocation(void **state)
{
    struct test_shop *shop = *state;
    const size_t live = ft_alloc_live();
    enum ft_status st;
    shop_text(shop, "a.csv", HEADER "1,a1,2017-01-01 00:00:00,1,1,x\n");
    for (uint64_t nth = 1;; nth++) {
        ft_alloc_fail_at(nth, true);
        st = shop_open(shop);
        const bool fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        if (!fired)
            break;
        assert_int_equal(st, FT_ERR_NOMEM);
        assert_null(shop->source);
        assert_int_equal(ft_alloc_live(), live);
        expect_dump(shop, "SELECT count(*) FROM sqlite_schema WHERE name = 'ft_base_transactions'", "0;");
    }
    assert_int_equal(st, FT_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(source_import_keeps_mapped_columns_typed),
        TEST(source_import_holds_no_unmapped_value_and_no_raw_id),
        TEST(source_import_quarantines_up_to_the_limit),
        TEST(source_import_above_the_limit_is_rolled_back),
        TEST(source_import_names_column_and_expectation),
        TEST(source_import_takes_each_content_once),
        TEST(source_import_reads_a_foreign_export),
        TEST(source_import_reads_customers_and_products),
        TEST(source_import_names_file_level_errors),
        TEST(source_import_checks_its_configuration),
        TEST(source_refresh_follows_the_files),
        TEST(source_import_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
