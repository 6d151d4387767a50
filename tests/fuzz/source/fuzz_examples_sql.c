/*
 * A task's SELECT of any text, under the rules of a shop: nothing that a query returns is a value of a
 * customer who is not eligible or of a column that is not allowed, and the records are the same afterwards.
 *
 * Once as a task of records, and once of unit store with noise, which reads on where records are refused.
 *
 * Those values are odd numbers that no sum or product of the others gives by chance.
 */
#include "client/source/db_internal.h"
#include "tests/unit/examples/shop_examples.h"

#include <assert.h>
#include <sqlite3.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char lines[] = "customer_id,basket_id,ts,product_id,amount,brand,quantity,week\n"
                            "101,b1,2017-01-01 08:00:00,p1,7654321.5,N,1,1\n"
                            "102,b2,2017-01-02 08:00:00,p1,7654321.5,P,3,2\n"
                            "103,b3,2017-01-03 08:00:00,p3,7654321.5,P,4,3\n"
                            "104,b4,2017-01-04 08:00:00,p1,1234567.25,P,1234567.25,4\n"
                            ",b6,2017-01-06 08:00:00,p2,1234567.25,P,1234567.25,6\n";

static void
open_shop(struct example_shop *s)
{
    static char feature[] = "f";
    void *state = NULL;
    struct ft_error err = { 0 };
    assert(example_setup(&state) == 0);
    *s = *(struct example_shop *)state;
    s->rules.key = &s->shop.key;
    s->task.features = s->features;
    shop_text(&s->shop, "lines.csv", lines);
    assert(ft_source_refresh(s->shop.source, NULL, &err) == FT_OK);
    free(state);
    s->features[0] = (struct ft_task_feature){ feature, -1e12, 1e12 };
    s->task.model = FT_MODEL_LINEAR;
    s->task.label_min = -1e12;
    s->task.label_max = 1e12;
    s->task.unit = FT_UNIT_RECORD;
    s->rules.query_ms = 50;
    s->rules.query_memory = (uint64_t)32 << 20;
}

static bool
is_secret(float v)
{
    return v == 7654321.5f || v == 1234567.25f || v == -7654321.5f || v == -1234567.25f;
}

/* Whether the number stands in the text itself: then it is the query's own. */
static bool
text_has_digits(const char *sql)
{
    return strstr(sql, "7654321") != NULL || strstr(sql, "1234567") != NULL;
}

static int
count_of(struct example_shop *s, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    assert(sqlite3_prepare_v2(s->shop.db->handle, sql, -1, &stmt, NULL) == SQLITE_OK);
    assert(sqlite3_step(stmt) == SQLITE_ROW);
    const int count = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    return count;
}

static void
build_as(struct example_shop *s, enum ft_unit unit, const char *sql)
{
    s->task.unit = unit;
    s->rules.one_by_one = unit == FT_UNIT_STORE;
    if (example_build(s, sql) == FT_OK && !text_has_digits(sql)) {
        for (size_t i = 0; i < s->out.rows_train; i++)
            assert(!is_secret(s->out.x_train[i]) && !is_secret(s->out.y_train[i]));
        for (size_t i = 0; i < s->out.rows_test; i++)
            assert(!is_secret(s->out.x_test[i]) && !is_secret(s->out.y_test[i]));
    }
    ft_examples_clear(&s->out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct example_shop *s;
    char *sql;

    if (s == NULL) {
        s = calloc(1, sizeof *s);
        open_shop(s);
        char command[300];
        snprintf(command, sizeof command, "rm -rf '%s'", s->shop.folder);
        assert(system(command) == 0);
    }
    const size_t live = ft_alloc_live();
    sql = calloc(1, size + 1);
    memcpy(sql, data, size);
    build_as(s, FT_UNIT_RECORD, sql);
    build_as(s, FT_UNIT_STORE, sql);
    free(sql);
    assert(ft_alloc_live() == live);
    assert(count_of(s, "SELECT count(*) FROM ft_base_transactions WHERE quantity > 0 AND amount > 0") == 5);
    assert(count_of(s, "SELECT count(*) FROM ft_base_eligible") == 3);
    assert(count_of(s, "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE 'ft_base_%'") == 0);
    return 0;
}
