#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/simulate/budget_table.h"
#include "common/base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REFERENCE "tests/data/privacy/dp_accounting.csv"
#define HEADER    "case_id,mechanism,quantity,q,noise_multiplier,steps,delta,accept_lower,accept_upper,conversion\n"
#define GOOD      "a,psg,eps_rdp,0.01,1,1000,1e-6,2.436,2.437,cks2020_prop12\n"

/* Every figure of the reference table lies in its interval, and there are as many as there should be. */
static void
every_reference_figure_is_reproduced(void **state)
{
    struct ft_budget_table table = { 0 };
    struct ft_findings findings;
    size_t failed = 0;
    (void)state;

    assert_int_equal(ft_budget_table_read(REFERENCE, &table, &findings, NULL), FT_OK);
    assert_int_equal(table.count, 135);
    for (size_t i = 0; i < table.count; i++) {
        struct ft_budget_row *r = &table.rows[i];
        ft_budget_row_run(r);
        if (!r->pass)
            print_error("line %u, %s %s %s: %.12g is not in [%.12g, %.12g]\n", r->line, r->case_id, r->mechanism,
                        r->quantity, r->value, r->field[FT_BUDGET_LOWER], r->field[FT_BUDGET_UPPER]);
        failed += !r->pass;
    }
    assert_int_equal(failed, 0);
    ft_budget_table_clear(&table);
}

/* An interval that a right answer is not in fails, and an accountant that refuses fails too. */
static void
a_wrong_interval_and_a_refusal_fail(void **state)
{
    struct ft_budget_row row = { .mechanism = "psg", .quantity = "eps_rdp", .conversion = "cks2020_prop12" };
    (void)state;
    row.field[FT_BUDGET_Q] = 0.01;
    row.field[FT_BUDGET_Z] = 1;
    row.field[FT_BUDGET_STEPS] = 1000;
    row.field[FT_BUDGET_DELTA] = 1e-6;
    row.field[FT_BUDGET_LOWER] = 2.5;
    row.field[FT_BUDGET_UPPER] = 3;
    ft_budget_row_run(&row);
    assert_false(row.pass);
    assert_true(fabs(row.value - 2.4366938030221488) < 1e-8);
    row.field[FT_BUDGET_LOWER] = 2;
    ft_budget_row_run(&row);
    assert_true(row.pass);
    row.field[FT_BUDGET_Z] = 0.2;
    row.field[FT_BUDGET_LOWER] = -1e300;
    row.field[FT_BUDGET_UPPER] = 1e300;
    ft_budget_row_run(&row);
    assert_false(row.pass);
    assert_int_equal(row.status, FT_ERR_LIMIT);
    assert_true(isnan(row.value));
}

/* Read a table from a text; returns the first finding as "line:column: text". */
static enum ft_status
read_text(const char *text, size_t size, struct ft_findings *findings)
{
    char path[] = "/tmp/budget-XXXXXX";
    struct ft_budget_table table = { 0 };
    const int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), (ssize_t)size);
    close(fd);
    const enum ft_status st = ft_budget_table_read(path, &table, findings, NULL);
    unlink(path);
    assert_true(st == FT_OK || table.rows == NULL);
    ft_budget_table_clear(&table);
    return st;
}

/* What is wrong with a table is told with its line and column, all of it at once. */
static void
a_fault_is_told_with_its_line_and_column(void **state)
{
    static const struct {
        const char *text;
        uint32_t line, column;
        const char *says;
    } cases[] = {
        { "", 1, 1, "empty" },
        { "case_id,mechanism,quantity,accept_lower\n", 1, 1, "accept_upper" },
        { "mechanism,quantity,accept_lower,accept_upper,q,q\n", 1, 48, "second column" },
        { HEADER "a,psg,eps_rdp,0.01,x1,1000,1e-6,1,2,cks2020_prop12\n", 2, 20, "noise_multiplier is \"x1\"" },
        { HEADER GOOD "a,psg,eps_rdp,nan,1,1000,1e-6,1,2,cks2020_prop12\n", 3, 15, "q is \"nan\"" },
        { HEADER "a,psg,eps_rdp,0x1,1,1000,1e-6,1,2,cks2020_prop12\n", 2, 15, "expected a number" },
        { HEADER "a,psg,eps_rdp,1e999,1,1000,1e-6,1,2,cks2020_prop12\n", 2, 15, "expected a number" },
        { HEADER "a,pzg,eps_rdp,0.01,1,1000,1e-6,1,2,cks2020_prop12\n", 2, 3, "\"pzg\" is unknown" },
        { HEADER "a,psg,eps,0.01,1,1000,1e-6,1,2,cks2020_prop12\n", 2, 3, "no quantity \"eps\"" },
        { HEADER "a,psg,eps_rdp,0.01,1,1000,1e-6,1,2,\n", 2, 3, "conversion \"\"" },
        { HEADER "a,psg,eps_rdp,0.01,1,,1e-6,1,2,cks2020_prop12\n", 2, 3, "\"steps\"" },
        { HEADER "a,psg,eps_rdp,0.01,1,1000,1e-6,,2,cks2020_prop12\n", 2, 3, "\"accept_lower\"" },
        { HEADER "a,psg,eps_rdp,0.01,1,1000,1e-6,3,2,cks2020_prop12\n", 2, 3, "above accept_upper" },
        { HEADER "a,psg,eps_rdp,0.01\n", 2, 1, "4 fields" },
        { HEADER GOOD "a,psg,\"eps", 3, 11, "quoted" },
        { HEADER "a,p\"sg,eps_rdp,0.01,1,1000,1e-6,1,2,cks2020_prop12\n", 2, 4, "" },
        { HEADER "a,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,eps_rdp,0.01,1,1000,1e-6,1,2,cks2020_prop12\n", 2, 3,
          "longer than 31" },
    };
    struct ft_findings findings;
    (void)state;

    assert_int_equal(read_text(HEADER GOOD, strlen(HEADER GOOD), &findings), FT_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(read_text(cases[i].text, strlen(cases[i].text), &findings), FT_ERR_FORMAT);
        assert_true(findings.total >= 1);
        assert_int_equal(findings.list[0].line, cases[i].line);
        assert_int_equal(findings.list[0].column, cases[i].column);
        assert_non_null(strstr(findings.list[0].text, cases[i].says));
    }
    const char zero[] = HEADER "a,ps\0g,eps_rdp,0.01,1,1000,1e-6,1,2,cks2020_prop12\n";
    assert_int_equal(read_text(zero, sizeof zero - 1, &findings), FT_ERR_FORMAT);
    const char two[] = HEADER "a,psg,eps_rdp,x,y,1000,1e-6,1,2,cks2020_prop12\nb,psg\n";
    assert_int_equal(read_text(two, sizeof two - 1, &findings), FT_ERR_FORMAT);
    assert_int_equal(findings.total, 3);
}

/* Columns may stand in any order, among others, with carriage returns and quotes as spreadsheets write them. */
static void
a_spreadsheets_table_is_read(void **state)
{
    static const char text[] = "remark,accept_upper,accept_lower,quantity,mechanism,p1,delta,conversion\r\n"
                               "\"a \"\"b\"\", c\",2.5,2,eps_zcdp,zcdp,0.1,1e-6,cks2020_optimal\r\n\r\n";
    struct ft_findings findings;
    (void)state;
    assert_int_equal(read_text(text, sizeof text - 1, &findings), FT_OK);
}

/* Memory that runs out while a table is read leaves nothing behind. */
static void
a_failed_allocation_leaves_nothing(void **state)
{
    struct ft_budget_table table = { 0 };
    struct ft_findings findings;
    const size_t live = ft_alloc_live();
    uint64_t nth = 1;
    (void)state;
    for (;; nth++) {
        ft_alloc_fail_at(nth, false);
        const enum ft_status st = ft_budget_table_read(REFERENCE, &table, &findings, NULL);
        const bool fired = ft_alloc_fault_fired();
        ft_alloc_fail_at(0, false);
        if (!fired) {
            assert_int_equal(st, FT_OK);
            break;
        }
        assert_int_equal(st, FT_ERR_NOMEM);
        assert_int_equal(ft_alloc_live(), live);
    }
    assert_true(nth > 3);
    ft_budget_table_clear(&table);
    assert_int_equal(ft_alloc_live(), live);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reference_figure_is_reproduced),
        cmocka_unit_test(a_wrong_interval_and_a_refusal_fail),
        cmocka_unit_test(a_fault_is_told_with_its_line_and_column),
        cmocka_unit_test(a_spreadsheets_table_is_read),
        cmocka_unit_test(a_failed_allocation_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
