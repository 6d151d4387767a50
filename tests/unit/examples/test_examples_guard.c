#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/examples/shop_examples.h"

#include "client/source/db_internal.h"
#include <sqlite3.h>

/* The eight rows of the small shop in which 101, 102 and 103 are eligible. */
#define HEAD "SELECT customer_id, 'train' AS split, 0 AS y, "

/* What SQL may do: everything a task's features need, and nothing that leaves the consenting customers'
 * views. */
static void
examples_guard_decides_by_table(void **state)
{
    static const struct {
        const char *sql;
        enum ft_status status;
        const char *part; /* of the sentence */
    } table[] = {
        /* Allowed. */
        { HEAD "sum(quantity) AS f FROM transactions GROUP BY 1", FT_OK, NULL },
        { HEAD "f FROM (SELECT customer_id, sum(quantity) AS f FROM transactions GROUP BY 1)", FT_OK, NULL },
        { "WITH t AS (SELECT customer_id, quantity AS q FROM transactions) " HEAD
          "max(q) AS f FROM t GROUP BY 1",
          FT_OK, NULL },
        { "WITH transactions AS (SELECT customer_id, 7 AS q FROM main.transactions) " HEAD
          "max(q) AS f FROM transactions GROUP BY 1",
          FT_OK, NULL },
        { "WITH RECURSIVE k(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE i < 9) " HEAD
          "(SELECT max(i) FROM k) AS f FROM transactions GROUP BY 1",
          FT_OK, NULL },
        { HEAD "max(r) AS f FROM (SELECT customer_id, row_number() OVER (PARTITION BY customer_id ORDER BY "
               "ts) AS r FROM transactions) GROUP BY 1",
          FT_OK, NULL },
        { HEAD "max(coalesce(d, 0)) AS f FROM (SELECT customer_id, quantity - lag(quantity) OVER (ORDER BY "
               "ts) AS d FROM transactions) GROUP BY 1",
          FT_OK, NULL },
        { HEAD "ln(1 + sum(quantity)) + abs(sin(1)) + cos(0) + julianday('2017-01-02') - julianday(min(ts)) "
               "AS f FROM transactions GROUP BY 1",
          FT_OK, NULL },
        { HEAD "count(*) AS f FROM transactions t JOIN products p USING (product_id) WHERE p.category LIKE "
               "'%FOO%' GROUP BY 1",
          FT_OK, NULL },
        { HEAD "age + 0 AS f FROM customers", FT_OK, NULL },
        { "-- a comment\n" HEAD "count(*) AS f FROM transactions GROUP BY 1; -- and an end\n", FT_OK, NULL },
        { HEAD "(SELECT count(*) FROM transactions) AS f FROM customers", FT_OK, NULL },
        /* Forbidden columns, by every way there is to say them. */
        { HEAD "sum(amount) AS f FROM transactions GROUP BY 1", FT_ERR_REFUSED,
          "column transactions.amount is not allowed for purpose train/propensity" },
        { HEAD "sum(t.amount) AS f FROM transactions t GROUP BY 1", FT_ERR_REFUSED,
          "column transactions.amount is not allowed" },
        { HEAD "sum(main.transactions.\"amount\") AS f FROM main.transactions GROUP BY 1", FT_ERR_REFUSED,
          "transactions.amount" },
        { HEAD "sum([AmOuNt]) AS f FROM TRANSACTIONS GROUP BY 1", FT_ERR_REFUSED, "transactions.amount" },
        { HEAD "count(*) AS f FROM transactions WHERE amount > 2 GROUP BY 1", FT_ERR_REFUSED,
          "transactions.amount" },
        { HEAD "count(*) AS f FROM transactions GROUP BY 1 ORDER BY max(amount)", FT_ERR_REFUSED,
          "transactions.amount" },
        { HEAD "count(*) AS f FROM transactions GROUP BY 1 HAVING sum(amount) > 1", FT_ERR_REFUSED,
          "transactions.amount" },
        { HEAD "sum(x) AS f FROM (SELECT customer_id, amount AS x FROM transactions) GROUP BY 1",
          FT_ERR_REFUSED, "transactions.amount" },
        { "WITH t AS (SELECT * FROM transactions) " HEAD "sum(quantity) AS f FROM t GROUP BY 1",
          FT_ERR_REFUSED, "column transactions." },
        { "WITH transactions AS (SELECT customer_id, amount FROM main.transactions) " HEAD
          "sum(amount) AS f FROM transactions GROUP BY 1",
          FT_ERR_REFUSED, "transactions.amount" },
        { "SELECT *, 'train' AS split, 0 AS y, quantity AS f FROM transactions", FT_ERR_REFUSED,
          "column transactions." },
        { HEAD "count(*) AS f FROM transactions t WHERE EXISTS (SELECT 1 FROM customers c WHERE c.income = "
               "t.quantity) GROUP BY 1",
          FT_ERR_REFUSED, "column customers.income is not allowed" },
        { HEAD "sum(quantity) OVER (ORDER BY amount) AS f FROM transactions", FT_ERR_REFUSED,
          "transactions.amount" },
        { HEAD "sum(quantity) FILTER (WHERE brand = 'N') AS f FROM transactions GROUP BY 1", FT_ERR_REFUSED,
          "transactions.brand" },
        /* SQLite asks nobody about the column of USING: the view has none. */
        { HEAD "count(*) AS f FROM transactions JOIN (SELECT 1.5 AS amount) USING (amount) GROUP BY 1",
          FT_ERR_REFUSED,
          "uses a table or column that is not allowed or not mapped: cannot join using column amount" },
        { HEAD "discount AS f FROM transactions", FT_ERR_REFUSED,
          "column transactions.discount is not mapped by this shop's source" },
        { HEAD "rowid AS f FROM transactions", FT_ERR_REFUSED, "column transactions.ROWID is not mapped" },
        { HEAD "max(oid) AS f FROM transactions GROUP BY 1", FT_ERR_REFUSED, "ROWID" },
        { HEAD "max(_rowid_) AS f FROM customers", FT_ERR_REFUSED, "ROWID" },
        /* Other tables. */
        { HEAD "count(*) AS f FROM ft_base_transactions GROUP BY 1", FT_ERR_REFUSED,
          "reserved (ft_base_...)" },
        { HEAD "count(*) AS f FROM main.\"FT_Base_transactions\" GROUP BY 1", FT_ERR_REFUSED, "reserved" },
        { "WITH transactions AS (SELECT * FROM [ft_base_transactions]) " HEAD
          "sum(amount) AS f FROM transactions GROUP BY 1",
          FT_ERR_REFUSED, "reserved" },
        { HEAD "(SELECT count(*) FROM sqlite_master) AS f FROM transactions GROUP BY 1", FT_ERR_REFUSED,
          "sqlite_master" },
        { HEAD "(SELECT count(*) FROM sqlite_schema) AS f FROM transactions GROUP BY 1", FT_ERR_REFUSED,
          "table sqlite_" },
        { HEAD "(SELECT length(sql) FROM sqlite_schema) AS f FROM transactions GROUP BY 1", FT_ERR_REFUSED,
          "table sqlite_" },
        { HEAD "(SELECT count(*) FROM temp.sqlite_master) AS f FROM transactions GROUP BY 1", FT_ERR_REFUSED,
          "sqlite_" },
        { HEAD "(SELECT count(*) FROM pragma_table_info('transactions')) AS f FROM transactions GROUP BY 1",
          FT_ERR_REFUSED, NULL },
        { HEAD "(SELECT max(cid) FROM pragma_table_info('transactions')) AS f FROM transactions GROUP BY 1",
          FT_ERR_REFUSED, NULL },
        { HEAD "(SELECT count(*) FROM pragma_database_list) AS f FROM transactions GROUP BY 1",
          FT_ERR_REFUSED, NULL },
        { HEAD "(SELECT count(*) FROM json_each('[1]')) AS f FROM transactions GROUP BY 1", FT_ERR_FORMAT,
          "no such table: json_each" },
        { HEAD "(SELECT count(*) FROM dbstat) AS f FROM transactions GROUP BY 1", FT_ERR_FORMAT,
          "no such table: dbstat" },
        { HEAD "(SELECT count(*) FROM sqlite_stmt) AS f FROM transactions GROUP BY 1", FT_ERR_FORMAT,
          "no such table" },
        { HEAD "(SELECT count(*) FROM sqlite_dbpage) AS f FROM transactions GROUP BY 1", FT_ERR_FORMAT,
          "no such table" },
        { HEAD "(SELECT count(*) FROM fts5vocab) AS f FROM transactions GROUP BY 1", FT_ERR_FORMAT,
          "no such table" },
        { HEAD "(SELECT count(*) FROM generate_series(1, 2)) AS f FROM transactions GROUP BY 1",
          FT_ERR_FORMAT, "no such table" },
        /* Functions. */
        { HEAD "random() AS f FROM transactions", FT_ERR_REFUSED, "function random is not allowed" },
        { HEAD "length(randomblob(9)) AS f FROM transactions", FT_ERR_REFUSED,
          "function randomblob is not allowed" },
        { HEAD "load_extension('x') AS f FROM transactions", FT_ERR_REFUSED,
          "function load_extension is not allowed" },
        { HEAD "readfile('/etc/passwd') AS f FROM transactions", FT_ERR_FORMAT,
          "no such function: readfile" },
        { HEAD "sqlite_version() AS f FROM transactions", FT_ERR_REFUSED, "sqlite_version" },
        { HEAD "length(zeroblob(9)) AS f FROM transactions", FT_ERR_REFUSED, "zeroblob" },
        { HEAD "json_array_length('[]') AS f FROM transactions", FT_ERR_REFUSED, "json_array_length" },
        { HEAD "fts3_tokenizer('x') AS f FROM transactions", FT_ERR_REFUSED, "fts3_tokenizer" },
        { HEAD "changes() AS f FROM transactions", FT_ERR_REFUSED, "changes" },
        { HEAD "length(current_timestamp) AS f FROM transactions", FT_ERR_REFUSED, "current_timestamp" },
        { HEAD "quantity ->> '$' AS f FROM transactions", FT_ERR_REFUSED, "->>" },
        /* Other statements. */
        { "PRAGMA table_info(transactions)", FT_ERR_REFUSED, "something other than read" },
        { "PRAGMA query_only = 0", FT_ERR_REFUSED, "something other than read" },
        { "ATTACH 'x.db' AS x", FT_ERR_REFUSED, "something other than read" },
        { "DELETE FROM transactions", FT_ERR_FORMAT, "it is a view" },
        { "DELETE FROM ft_base_transactions", FT_ERR_REFUSED, "reserved" },
        { "INSERT INTO transactions(quantity) VALUES (1)", FT_ERR_REFUSED, "something other than read" },
        { "UPDATE transactions SET quantity = 1", FT_ERR_FORMAT, "it is a view" },
        { "CREATE TEMP TABLE x(a)", FT_ERR_REFUSED, "something other than read" },
        { "CREATE VIEW x AS SELECT 1", FT_ERR_REFUSED, "something other than read" },
        { "CREATE VIRTUAL TABLE x USING fts5(a)", FT_ERR_REFUSED, NULL },
        { "DROP VIEW transactions", FT_ERR_REFUSED, "something other than read" },
        { "BEGIN", FT_ERR_REFUSED, "something other than read" },
        { "COMMIT", FT_ERR_REFUSED, "something other than read" },
        { "SAVEPOINT x", FT_ERR_REFUSED, "something other than read" },
        { "VACUUM", FT_ERR_REFUSED, NULL },
        { "VACUUM INTO 'x.db'", FT_ERR_REFUSED, NULL },
        { "ANALYZE", FT_ERR_REFUSED, "something other than read" },
        { "REINDEX", FT_ERR_REFUSED, NULL },
        { "EXPLAIN SELECT customer_id FROM transactions", FT_ERR_REFUSED, "not one plain SELECT" },
        { "EXPLAIN QUERY PLAN SELECT customer_id FROM transactions", FT_ERR_REFUSED, "not one plain SELECT" },
        { HEAD "?1 AS f FROM transactions", FT_ERR_REFUSED, "not one plain SELECT" },
        { HEAD "count(*) AS f FROM transactions GROUP BY 1; SELECT 1", FT_ERR_REFUSED,
          "more than one statement" },
        { HEAD "count(*) AS f FROM transactions GROUP BY 1; DROP VIEW transactions", FT_ERR_REFUSED,
          "more than one statement" },
        { HEAD "count(*) AS f FROM transactions GROUP BY 1;;; PRAGMA user_version", FT_ERR_REFUSED,
          "more than one statement" },
        /* No SQL. */
        { "", FT_ERR_FORMAT, "empty" },
        { "-- nothing", FT_ERR_FORMAT, "empty" },
        { "SELEC customer_id", FT_ERR_FORMAT, "cannot be prepared" },
        { HEAD "\"amonut\" AS f FROM transactions", FT_ERR_FORMAT, "no such column" },
    };
    struct example_shop *s = *state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const enum ft_status st = example_build(s, table[i].sql);
        if (st != table[i].status || (table[i].part != NULL && strstr(s->err.text, table[i].part) == NULL))
            fail_msg("%s\n -> %s: %s", table[i].sql, ft_status_name(st), s->err.text);
        if (st == FT_OK)
            assert_true(s->out.rows_train == 3);
        else
            assert_true(s->out.rows_train == 0 && s->refusals.count > 0);
    }
}

/* Every column and function that is not allowed is told at once, each once. */
static void
examples_guard_lists_all_that_is_forbidden(void **state)
{
    struct example_shop *s = *state;
    assert_int_equal(
        example_build(s, HEAD "sum(amount + amount) + random() AS f FROM transactions WHERE brand = 'N' AND "
                              "discount > 0 GROUP BY 1"),
        FT_ERR_REFUSED);
    assert_int_equal(s->refusals.count, 4);
    assert_string_equal(s->refusals.list[0].code, "COLUMN_NOT_ALLOWED");
}

/* Nothing is seen of those who did not agree, and of lines that are nobody's; not even how many there are. */
static void
examples_guard_shows_eligible_customers_only(void **state)
{
    static const char *const probes[] = {
        "(SELECT count(*) FROM transactions)",                                 /* 4 lines of 7 */
        "(SELECT sum(quantity) FROM transactions) - 6",                        /* 1+2+3+4 */
        "(SELECT count(*) FROM customers) + 1",                                /* 3 of 5 */
        "(SELECT max(week) FROM transactions) + 1",                            /* 3 */
        "(SELECT count(DISTINCT t.customer_id) + 1 FROM main.transactions t)", /* 3 */
        "(SELECT count(*) FROM transactions a LEFT JOIN customers b ON b.customer_id = a.customer_id)",
        "(SELECT count(*) FROM (SELECT customer_id FROM transactions UNION ALL SELECT NULL WHERE 0))",
    };
    struct example_shop *s = *state;
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++) {
        assert_int_equal(example_build(s, feature_sql(probes[i])), FT_OK);
        assert_int_equal(s->out.rows_train, 3);
        for (int row = 0; row < 3; row++)
            if (s->out.x_train[row] != 4.0f)
                fail_msg("%s gives %g", probes[i], (double)s->out.x_train[row]);
    }
    shop_eligible(&s->shop, (const char *const[]){ NULL });
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_OK);
    assert_int_equal(s->out.rows_train, 0);
    assert_int_equal(example_build(s, HEAD "count(*) AS f FROM transactions"),
                     FT_ERR_FORMAT); /* one row, nobody's */
}

/* A policy that allows no column of a table does not let its rows be counted. */
static bool
no_products(void *ctx, const char *table, const char *column)
{
    (void)ctx;
    (void)column;
    return strcmp(table, "products") != 0;
}
static bool
no_customers(void *ctx, const char *table, const char *column)
{
    (void)ctx;
    (void)column;
    return strcmp(table, "customers") != 0;
}

static void
examples_guard_counts_only_tables_with_an_allowed_column(void **state)
{
    struct example_shop *s = *state;
    s->rules.allowed = no_products;
    assert_int_equal(example_build(s, feature_sql("(SELECT count(*) FROM products)")), FT_ERR_REFUSED);
    if (strstr(s->err.text, "no column of products is allowed") == NULL)
        fail_msg("%s", s->err.text);
    s->rules.allowed = no_customers;
    assert_int_equal(example_build(s, feature_sql("(SELECT count(*) FROM customers)")), FT_ERR_REFUSED);
    assert_int_equal(example_build(s, feature_sql("EXISTS (SELECT 1 FROM customers)")), FT_ERR_REFUSED);
    s->rules.allowed = NULL;
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_ERR_REFUSED);
}

/* A view with a forbidden column left in it would still leak nothing: the column is not there, so NATURAL
 * JOIN cannot join by it either. */
static void
examples_guard_natural_join_ignores_forbidden_columns(void **state)
{
    struct example_shop *s = *state;
    assert_int_equal(
        example_build(s, HEAD "count(*) AS f FROM transactions NATURAL JOIN (SELECT 1.5 AS amount, 'b1' AS "
                              "basket_id) GROUP BY 1"),
        FT_OK);
    assert_int_equal(s->out.rows_train, 1);
    assert_true(s->out.x_train[0] == 2.0f); /* both lines of b1, also the one whose amount is 2.5 */
}

static uint64_t
racing_clock(void *ctx)
{
    return *(uint64_t *)ctx += 1;
}

static uint64_t
still_clock(void *ctx)
{
    (void)ctx;
    return 1;
}

/* A query that would not end is ended by time, and says which limit it was. */
static void
examples_guard_bounds_time(void **state)
{
    struct example_shop *s = *state;
    uint64_t clock = 0;
    const struct ft_env env = { .now_ms = racing_clock, .ctx = &clock };
    s->rules.env = &env;
    s->rules.query_ms = 500;
    assert_int_equal(example_build(s, "WITH RECURSIVE k(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k) " HEAD
                                      "(SELECT max(i) FROM k) AS f FROM transactions GROUP BY 1"),
                     FT_ERR_LIMIT);
    assert_string_equal(s->err.text, "the query takes longer than 500 ms");
    assert_string_equal(s->refusals.list[0].code, "QUERY_TOO_LARGE");
}

/* A text that takes long to prepare is ended before it runs; one whose plan would double with each line never
 * gets that far. */
static void
examples_guard_bounds_preparing(void **state)
{
    struct example_shop *s = *state;
    struct ft_buf sql = { 0 };
    uint64_t clock = 0;
    const struct ft_env env = { .now_ms = racing_clock, .ctx = &clock };
    s->rules.env = &env;
    s->rules.query_ms = 200;
    assert_int_equal(ft_buf_str(&sql, HEAD "sum(0"), FT_OK);
    for (int i = 0; i < 300; i++)
        assert_int_equal(ft_buf_str(&sql, " + quantity"), FT_OK);
    assert_int_equal(ft_buf_append(&sql, ") AS f FROM transactions", 25), FT_OK);
    assert_int_equal(example_build(s, (const char *)sql.data), FT_ERR_LIMIT);
    assert_string_equal(s->err.text, "the query takes longer than 200 ms");
    ft_buf_clear(&sql);

    s->rules.env = ft_env_system();
    s->rules.query_ms = 0;
    assert_int_equal(ft_buf_str(&sql, "WITH c0 AS (SELECT customer_id FROM transactions)"), FT_OK);
    for (int i = 1; i < 60; i++)
        assert_int_equal(
            ft_buf_printf(&sql, ", c%d AS (SELECT a.customer_id FROM c%d a, c%d b)", i, i - 1, i - 1), FT_OK);
    assert_int_equal(ft_buf_append(&sql, " " HEAD "1 AS f FROM c59", sizeof " " HEAD "1 AS f FROM c59"),
                     FT_OK);
    assert_int_equal(example_build(s, (const char *)sql.data), FT_ERR_FORMAT);
    ft_buf_clear(&sql);
}

/* A query that hoards memory is ended by memory. */
static void
examples_guard_bounds_memory(void **state)
{
    struct example_shop *s = *state;
    const struct ft_env env = { .now_ms = still_clock };
    s->rules.env = &env;
    s->rules.query_memory = (uint64_t)8 << 20;
    assert_int_equal(
        example_build(s, "WITH RECURSIVE k(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k) " HEAD
                         "(SELECT count(*) FROM (SELECT i FROM k ORDER BY -i)) AS f FROM transactions"),
        FT_ERR_LIMIT);
    assert_string_equal(s->err.text, "the query takes more than 8 MiB of memory");
    /* One long value is refused by its length. */
    assert_int_equal(
        example_build(s,
                      feature_sql("length(replace(replace(replace('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'a', "
                                  "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'), 'a', "
                                  "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'), 'a', "
                                  "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'))")),
        FT_ERR_LIMIT);
    assert_string_equal(s->err.text, "the query makes a value that is too long");
}

/* More rows than the task or the shop allows are refused, not cut off. */
static void
examples_guard_bounds_rows(void **state)
{
    struct example_shop *s = *state;
    s->task.rows_max = 3;
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_OK);
    s->rules.query_rows = 2;
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_ERR_LIMIT);
    assert_string_equal(s->err.text, "the query returns more than 2 rows");
    s->rules.query_rows = 0;
    s->task.rows_max = 2;
    assert_int_equal(example_build(s, feature_sql("count(*)")), FT_ERR_LIMIT);
}

/* What a query reads is found without records, for the policy to decide on before anything is run. */
static void
examples_find_uses_names_tables_and_columns(void **state)
{
    struct ft_examples_uses uses;
    struct ft_db *db;
    char text[400] = "";
    (void)state;
    assert_int_equal(ft_db_open(&db, NULL), FT_OK);
    assert_int_equal(
        ft_examples_find_uses(db,
                              "SELECT customer_id, ln(sum(t.amount)), (SELECT count(*) FROM products) FROM "
                              "transactions t WHERE week > 3 AND t.amount > 0 GROUP BY 1",
                              &uses, NULL),
        FT_OK);
    for (size_t i = 0; i < uses.count; i++) {
        strcat(text, uses.list[i].table);
        strcat(text, ".");
        strcat(text, uses.list[i].column);
        strcat(text, " ");
    }
    assert_non_null(strstr(text, "transactions.customer_id "));
    assert_non_null(strstr(text, "transactions.amount "));
    assert_non_null(strstr(text, "transactions.week "));
    assert_int_equal(uses.count, 3); /* count(*) reads no column: build looks after the table */
    assert_int_equal(ft_examples_find_uses(db, "SELECT sql FROM sqlite_schema", &uses, NULL), FT_ERR_REFUSED);
    assert_int_equal(uses.count, 0);
    ft_db_close(db);
}

/* After a query, whatever came of it, none of its views or limits are left on the database. */
static void
examples_guard_leaves_nothing_behind(void **state)
{
    static const char *const queries[] = { HEAD "count(*) AS f FROM transactions GROUP BY 1",
                                           HEAD "sum(amount) AS f FROM transactions GROUP BY 1", "SELEC" };
    struct example_shop *s = *state;
    for (size_t i = 0; i < 3; i++) {
        sqlite3_stmt *stmt = NULL;
        (void)(example_build(s, queries[i]) == FT_OK);
        assert_int_equal(
            sqlite3_prepare_v2(
                s->shop.db->handle,
                "SELECT count(*) FROM sqlite_schema WHERE type = 'view' OR name LIKE '%visible%'", -1, &stmt,
                NULL),
            SQLITE_OK);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(stmt, 0), 0);
        sqlite3_finalize(stmt);
        assert_int_equal(sqlite3_limit(s->shop.db->handle, SQLITE_LIMIT_COMPOUND_SELECT, -1), 500);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, example_setup, example_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(examples_guard_decides_by_table),
        TEST(examples_guard_lists_all_that_is_forbidden),
        TEST(examples_guard_shows_eligible_customers_only),
        TEST(examples_guard_counts_only_tables_with_an_allowed_column),
        TEST(examples_guard_natural_join_ignores_forbidden_columns),
        TEST(examples_guard_bounds_time),
        TEST(examples_guard_bounds_preparing),
        TEST(examples_guard_bounds_memory),
        TEST(examples_guard_bounds_rows),
        cmocka_unit_test(examples_find_uses_names_tables_and_columns),
        TEST(examples_guard_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
