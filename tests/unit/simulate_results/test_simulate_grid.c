/* Grids: what a sweep file or --grid says, and in which order its cells come. */
#include "aggregator/simulate/sweep/grid.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64], path[100];
static struct ft_findings findings;

static void
write_file(const char *text)
{
    struct ft_error err = { 0 };
    snprintf(path, sizeof path, "%s/sweep.yaml", top);
    assert_int_equal(ft_file_write(path, FT_BYTES(text, strlen(text)), 0644, &err), FT_OK);
}

static int
set_up(void **state)
{
    (void)state;
    strcpy(top, "/tmp/fedtill-grid.XXXXXX");
    return mkdtemp(top) != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(top);
}

/* The first key changes slowest; sets come before the cell's values, so that the grid wins. */
static void
grid_cells_come_in_order(void **state)
{
    struct sim_grid grid;
    struct ft_error err = { 0 };
    char base[100];
    (void)state;
    write_file(
        "experiment: base.yaml\nset: [\"training.rounds=5\"]\ngrid:\n  algorithm.name: [fedavg, fedadam]\n"
        "  seed: [1, 2, 3]\nmetric: auc\ntarget: 0.8\n");
    assert_int_equal(sim_grid_load(path, &grid, &findings, &err), FT_OK);
    snprintf(base, sizeof base, "%s/base.yaml", top);
    assert_string_equal(grid.experiment, base);
    assert_int_equal(sim_grid_cells(&grid), 6);
    assert_int_equal(grid.metric, SIM_AUC);
    assert_float_equal(grid.target, 0.8, 0);
    assert_int_equal(sim_grid_place(&grid, 4, 0), 1);
    assert_int_equal(sim_grid_place(&grid, 4, 1), 1);
    char **sets = sim_grid_sets(&grid, 5);
    assert_string_equal(sets[0], "training.rounds=5");
    assert_string_equal(sets[1], "algorithm.name=fedadam");
    assert_string_equal(sets[2], "seed=3");
    assert_null(sets[3]);
    sim_grid_sets_free(sets);
    sim_grid_clear(&grid);
}

/* Commas in brackets, braces and quotes part nothing; a key given again replaces its values. */
static void
grid_texts_are_parted_outside_brackets(void **state)
{
    struct sim_grid grid = { .target = NAN };
    struct ft_error err = { 0 };
    (void)state;
    assert_int_equal(sim_grid_add(&grid, "model.hidden=[200, 200],[100]", &err), FT_OK);
    assert_int_equal(sim_grid_add(&grid, "clients={count: 1, dropout: 0.1},\"a,b\"", &err), FT_OK);
    assert_int_equal(grid.axis_count, 2);
    assert_int_equal(grid.axes[0].count, 2);
    assert_string_equal(grid.axes[0].values[0], "[200, 200]");
    assert_string_equal(grid.axes[1].values[0], "{count: 1, dropout: 0.1}");
    assert_string_equal(grid.axes[1].values[1], "\"a,b\"");
    assert_int_equal(sim_grid_add(&grid, "model.hidden=[7]", &err), FT_OK);
    assert_int_equal(grid.axis_count, 2);
    assert_int_equal(grid.axes[0].count, 1);
    sim_grid_clear(&grid);
}

static void
refused_text(const char *text, const char *word)
{
    struct sim_grid grid = { .target = NAN };
    struct ft_error err = { 0 };
    assert_int_equal(sim_grid_add(&grid, text, &err), FT_ERR_CONFIG);
    if (strstr(err.text, word) == NULL)
        fail_msg("no word of '%s' in: %s", word, err.text);
    sim_grid_clear(&grid);
}

static void
refused_file(const char *yaml, const char *word)
{
    struct sim_grid grid;
    struct ft_error err = { 0 };
    write_file(yaml);
    assert_int_equal(sim_grid_load(path, &grid, &findings, &err), FT_ERR_CONFIG);
    if (strstr(err.text, word) == NULL)
        fail_msg("no word of '%s' in: %s", word, err.text);
}

/* Every kind of bad grid is refused with what was found. */
static void
grid_bad_input_is_named(void **state)
{
    struct sim_grid grid = { .target = NAN };
    struct ft_error err = { 0 };
    (void)state;
    refused_text("seed", "expected KEY=A,B,C");
    refused_text("=1,2", "expected KEY=A,B,C");
    refused_text("seed=", "expected KEY=A,B,C");
    refused_text("seed=1,,2", "empty value");
    refused_text("seed=1,", "empty value");
    refused_text("Seed!=1", "no key");
    refused_text("a..b=1", "no key");
    refused_file("experiment: a\ngrid:\n  seed: [1]\ntyp: 1\n", ":4:1: unknown key 'typ'");
    refused_file("grid:\n  seed: [1]\n", "experiment");
    refused_file("experiment: a\n", "grid");
    refused_file("experiment: a\ngrid:\n  seed: 1\n", "expected a list");
    refused_file("experiment: a\ngrid:\n  seed: [1]\n  seed: [2]\n", "seed");
    refused_file("experiment: a\ngrid:\n  seed: [1]\nmetric: f1\n", "f1");
    assert_int_equal(sim_grid_add(&grid, "seed=1,2,1", &err), FT_OK);
    assert_int_equal(sim_grid_check(&grid, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "seed has the value 1 twice"));
    sim_grid_clear(&grid);
    assert_int_equal(sim_grid_check(&grid, &err), FT_ERR_CONFIG);
}

/* 10,000 cells at most, however the keys multiply. */
static void
grid_is_bounded(void **state)
{
    struct sim_grid grid = { .target = NAN };
    struct ft_error err = { 0 };
    char text[1000] = "a=0", *end = text + 3;
    (void)state;
    for (int i = 1; i < 101; i++)
        end += sprintf(end, ",%d", i);
    for (char key = 'a'; key <= 'c'; key++) {
        text[0] = key;
        assert_int_equal(sim_grid_add(&grid, text, &err), FT_OK);
    }
    assert_int_equal(sim_grid_check(&grid, &err), FT_ERR_CONFIG);
    assert_non_null(strstr(err.text, "10000 cells"));
    sim_grid_clear(&grid);
}

/* A sweep file is known by its keys; an experiment, or what is no YAML at all, is none. */
static void
grid_knows_a_sweep_file(void **state)
{
    struct ft_error err = { 0 };
    bool sweep;
    (void)state;
    write_file("experiment: a\n");
    assert_int_equal(sim_grid_is_sweep(path, &sweep, &err), FT_OK);
    assert_true(sweep);
    write_file("name: a\nseed: 1\n");
    assert_int_equal(sim_grid_is_sweep(path, &sweep, &err), FT_OK);
    assert_false(sweep);
    write_file("a: [");
    assert_int_equal(sim_grid_is_sweep(path, &sweep, &err), FT_OK);
    assert_false(sweep);
    assert_int_equal(sim_grid_is_sweep("/nowhere/x.yaml", &sweep, &err), FT_ERR_NOTFOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grid_cells_come_in_order), cmocka_unit_test(grid_texts_are_parted_outside_brackets),
        cmocka_unit_test(grid_bad_input_is_named),  cmocka_unit_test(grid_is_bounded),
        cmocka_unit_test(grid_knows_a_sweep_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
