/* A run's folder read back, compared and shown: what is counted, and what bad or hostile files get. */
#include "aggregator/simulate/output/compare.h"
#include "aggregator/simulate/output/folder.h"
#include "aggregator/simulate/output/html.h"
#include "aggregator/simulate/output/partition_file.h"
#include "aggregator/simulate/output/plot.h"
#include "common/base/alloc.h"
#include "common/base/file.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HEADER "round,asked,came,learning_rate,seconds,bytes_up,loss,accuracy,auc,mask_seconds\n"
#define SUMMARY                                                                                              \
    "{\"name\":\"a\",\"algorithm\":\"fedavg\",\"rounds\":3,\"metrics\":{\"loss\":1,\"accuracy\":0.8,"        \
    "\"auc\":null}}"

static char top[64];

static void
put(const char *run, const char *name, const char *text)
{
    char path[200];
    struct ft_error err = { 0 };
    snprintf(path, sizeof path, "%s/%s", top, run);
    assert_int_equal(ft_dir_make(path, 0755, &err), FT_OK);
    snprintf(path, sizeof path, "%s/%s/%s", top, run, name);
    assert_int_equal(ft_file_write(path, FT_BYTES(text, strlen(text)), 0644, &err), FT_OK);
}

static const char *
dir_of(const char *run)
{
    static char paths[4][200];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", top, run);
    return path;
}

static void
put_run(const char *run, const char *rounds)
{
    put(run, "summary.json", SUMMARY);
    put(run, "rounds.csv", rounds);
    put(run, "experiment.yaml", "name: a\nseed: 1\ntraining:\n  rounds: 3\n");
}

static enum ft_status
open_status(const char *run, const char *word)
{
    struct sim_run files;
    struct ft_error err = { 0 };
    const enum ft_status st = sim_run_open(dir_of(run), &files, &err);
    if (st == FT_OK)
        sim_run_close(&files);
    else if (strstr(err.text, word) == NULL)
        fail_msg("no word of '%s' in: %s", word, err.text);
    return st;
}

static int
set_up(void **state)
{
    (void)state;
    strcpy(top, "/tmp/fedtill-report.XXXXXX");
    return mkdtemp(top) != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
    char command[100];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command);
}

/* Rounds to a target, as McMahan et al. 2017 count: the best so far, a straight line between two scored
 * rounds. Worked by hand: 0.5 at 2, a dip to 0.4 at 4, 0.7 at 6: 0.6 is reached half way between 4 and 6. */
static void
report_rounds_to_a_target_are_read_from_the_monotone_curve(void **state)
{
    struct sim_run run;
    struct ft_error err = { 0 };
    (void)state;
    put_run("curve",
            HEADER "1,1,1,0.1,0,0,,,,0\n2,1,1,0.1,0,0,1,0.5,,0\n3,1,1,0.1,0,0,,,,0\n4,1,1,0.1,0,0,1,0.4,,0\n"
                   "5,1,1,0.1,0,0,,,,0\n6,1,1,0.1,0,0,1,0.7,,0\n");
    assert_int_equal(sim_run_open(dir_of("curve"), &run, &err), FT_OK);
    assert_float_equal(sim_run_rounds_to(&run, SIM_ACCURACY, 0.6), 5, 1e-12);
    assert_float_equal(sim_run_rounds_to(&run, SIM_ACCURACY, 0.5), 2, 1e-12);
    assert_float_equal(sim_run_rounds_to(&run, SIM_ACCURACY, 0.3), 2, 1e-12);
    assert_float_equal(sim_run_rounds_to(&run, SIM_LOSS, 1), 2, 1e-12);
    assert_true(isnan(sim_run_rounds_to(&run, SIM_ACCURACY, 0.71)));
    assert_true(isnan(sim_run_rounds_to(&run, SIM_LOSS, 0.5)));
    sim_run_close(&run);
}

/* Each file that is missing or damaged is named with its line. */
static void
report_bad_files_are_named(void **state)
{
    (void)state;
    put("none", "rounds.csv", HEADER);
    assert_int_equal(open_status("none", "summary.json"), FT_ERR_NOTFOUND);
    assert_int_equal(open_status("nowhere", "summary.json"), FT_ERR_NOTFOUND);
    put_run("short", HEADER "1,1,1,0.1,0,0,1,0.5,,0\n2,1\n");
    assert_int_equal(open_status("short", "rounds.csv:3: 2 fields, expected 10"), FT_ERR_FORMAT);
    put_run("word", HEADER "1,1,1,0.1,0,0,1,half,,0\n");
    assert_int_equal(open_status("word", "rounds.csv:2: accuracy is 'half'"), FT_ERR_FORMAT);
    put_run("nan", HEADER "1,1,1,0.1,0,0,1,nan,,0\n");
    assert_int_equal(open_status("nan", "accuracy is 'nan'"), FT_ERR_FORMAT);
    put_run("back", HEADER "2,1,1,0.1,0,0,1,0.5,,0\n2,1,1,0.1,0,0,1,0.5,,0\n");
    assert_int_equal(open_status("back", "rounds.csv:3: round is '2'"), FT_ERR_FORMAT);
    put_run("empty", "");
    assert_int_equal(open_status("empty", "rounds.csv:1"), FT_ERR_FORMAT);
    put_run("json", HEADER);
    put("json", "summary.json", "{\"metrics\": {");
    assert_int_equal(open_status("json", "summary.json:1"), FT_ERR_FORMAT);
    put("json", "summary.json", "[]");
    assert_int_equal(open_status("json", "metrics"), FT_ERR_FORMAT);
    put_run("yaml", HEADER);
    put("yaml", "experiment.yaml", "a: [");
    assert_int_equal(open_status("yaml", "experiment.yaml"), FT_ERR_FORMAT);
    put_run("partition", HEADER);
    put("partition", "partition.csv", "client,name,rows,label_0\n0,,5,5\n1,,x,5\n");
    assert_int_equal(open_status("partition", "partition.csv:3: field 3 is 'x'"), FT_ERR_FORMAT);
    put("partition", "partition.csv", "client;name\n");
    assert_int_equal(open_status("partition", "partition.csv:1"), FT_ERR_FORMAT);
}

/* Columns and keys of a newer program are passed over; a name in quotes is one field. */
static void
report_reads_what_newer_programs_add(void **state)
{
    struct sim_run run;
    struct ft_error err = { 0 };
    (void)state;
    put_run("newer", "round,extra,accuracy\n1,zz,0.5\n2,zz,\n");
    put("newer", "partition.csv", "client,name,rows,label_0\n0,\"a, \"\"b\"\"\",5,5\r\n1,,2,2\n");
    assert_int_equal(sim_run_open(dir_of("newer"), &run, &err), FT_OK);
    assert_int_equal(run.round_count, 2);
    assert_float_equal(run.rounds[0].accuracy, 0.5, 0);
    assert_true(isnan(run.rounds[0].loss));
    assert_int_equal(run.client_count, 2);
    assert_string_equal(run.clients[0].name, "a, \"b\"");
    assert_null(run.clients[1].name);
    assert_float_equal(run.labels[1], 2, 0);
    assert_string_equal(sim_run_key(&run, "training.rounds"), "3");
    assert_null(sim_run_key(&run, "training"));
    sim_run_close(&run);
}

/* Markup in a text is text; control bytes and broken UTF-8 become the replacement character. */
static void
html_texts_are_escaped(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "<script>&\"'", "&lt;script&gt;&amp;&quot;&#39;" },
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "a\x01"
          "b\x7f",
          "a\xef\xbf\xbd"
          "b\xef\xbf\xbd" },
        { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* overlong */
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* a surrogate */
        { "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* cut */
        { "\xff", "\xef\xbf\xbd" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ft_buf out = { 0 };
        assert_int_equal(sim_html_text(&out, cases[i].in), FT_OK);
        assert_int_equal(ft_buf_u8(&out, 0), FT_OK);
        assert_string_equal(out.data, cases[i].out);
        ft_buf_clear(&out);
    }
}

static void
numbers_are_for_people(void **state)
{
    char text[40];
    (void)state;
    assert_string_equal(sim_number_text(text, 1234567), "1,234,567");
    assert_string_equal(sim_number_text(text, -1000), "-1,000");
    assert_string_equal(sim_number_text(text, 0.84), "0.84");
    assert_string_equal(sim_number_text(text, 0), "0");
    assert_string_equal(sim_number_text(text, NAN), "\xe2\x80\x93");
    assert_string_equal(sim_number_text(text, 1e-9), "1e-09");
    assert_string_equal(sim_bytes_text(text, 1536), "1.5 KiB");
    assert_string_equal(sim_bytes_text(text, 5), "5 B");
    assert_string_equal(sim_seconds_text(text, 3723), "62 min 03 s");
    assert_float_equal(sim_plot_step(0, 1, 5), 0.2, 1e-12);
    assert_float_equal(sim_plot_step(0, 97, 6), 20, 1e-9);
}

static size_t
count(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        n++;
    return n;
}

/* A million points make a small plot that keeps their peak; none, one point and equal points make one too. */
static void
plots_are_small_and_keep_peaks(void **state)
{
    enum { MANY = 1000000 };
    double *x = ft_calloc(MANY, sizeof *x), *y = ft_calloc(MANY, sizeof *y);
    struct sim_series series = { .name = "s", .x = x, .y = y, .count = MANY };
    struct sim_plot plot = {
        .title = "t", .x_label = "x", .y_label = "y", .series = &series, .series_count = 1
    };
    struct ft_buf out = { 0 };
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        x[i] = (double)i;
    y[777777] = 1;
    assert_int_equal(sim_plot_lines(&out, &plot), FT_OK);
    assert_int_equal(ft_buf_u8(&out, 0), FT_OK);
    assert_true(out.size < 60000);
    assert_non_null(strstr((const char *)out.data, " 34.0")); /* the top of the frame, where 1 is drawn */
    for (size_t n = 0; n < 4; n++) {
        ft_buf_clear(&out);
        series.count = n;
        assert_int_equal(sim_plot_lines(&out, &plot), FT_OK);
        assert_int_equal(ft_buf_u8(&out, 0), FT_OK);
        assert_int_equal(count((const char *)out.data, "nan"), 0);
        assert_int_equal(count((const char *)out.data, "inf"), 0);
        assert_int_equal(count((const char *)out.data, "<circle"), n);
    }
    ft_buf_clear(&out);
    ft_free(x);
    ft_free(y);
}

/* What the experiments differ in is found whichever run has the key; equal keys are not listed. */
static void
compare_finds_what_differs(void **state)
{
    struct sim_compare c;
    struct ft_error err = { 0 };
    (void)state;
    put_run("left", HEADER "1,1,1,0.1,0,0,1,0.5,,0\n");
    put_run("right", HEADER "1,1,1,0.1,0,0,1,0.9,,0\n");
    put("right", "experiment.yaml", "name: a\nseed: 2\ntraining:\n  rounds: 3\n  decay: 0.9\n");
    const char *dirs[] = { dir_of("left"), dir_of("right") };
    assert_int_equal(sim_compare_open(dirs, 2, 0, 0.8, &c, &err), FT_OK);
    assert_int_equal(c.metric, SIM_ACCURACY);
    assert_int_equal(c.differing_count, 2);
    assert_string_equal(c.differing[0], "seed");
    assert_string_equal(c.differing[1], "training.decay");
    assert_true(isnan(sim_compare_rounds_to(&c, 0)));
    assert_float_equal(sim_compare_rounds_to(&c, 1), 1, 0);
    json_t *o = sim_compare_json(&c);
    assert_true(
        json_is_null(json_array_get(json_object_get(json_object_get(o, "differing"), "training.decay"), 0)));
    json_decref(o);
    sim_compare_close(&c);
    assert_int_equal(sim_compare_open(dirs, 2, SIM_AUC, NAN, &c, &err), FT_ERR_CONFIG);
}

/* Rows and labels of each client, its name only where a client is an owner. */
static void
partition_file_counts_rows_and_labels(void **state)
{
    float y[] = { 0, 1, 1, 2, 0 };
    uint64_t offsets[] = { 0, 3, 5 };
    char *names[] = { (char *)"north, \"old\"", (char *)"south" };
    struct ft_sim_data data = {
        .classes = 3, .train = { .y = y, .rows = 5 }, .owners = 2, .owner_names = names
    };
    const struct ft_sim_clients clients = { 2, offsets };
    struct ft_error err = { 0 };
    struct ft_buf file = { 0 };
    char path[200];
    (void)state;
    put("parts", "x", "");
    snprintf(path, sizeof path, "%s/parts/partition.csv", top);
    for (int owners = 0; owners < 2; owners++) {
        assert_int_equal(ft_sim_write_partition(dir_of("parts"), &data, &clients, owners == 1, &err), FT_OK);
        assert_int_equal(ft_file_read(path, 1000, &file, &err), FT_OK);
        assert_int_equal(ft_buf_u8(&file, 0), FT_OK);
        assert_string_equal(
            file.data, owners == 1
                           ? "client,name,rows,label_0,label_1,label_2\n0,\"north, \"\"old\"\"\",3,1,2,0\n"
                             "1,\"south\",2,1,0,1\n"
                           : "client,name,rows,label_0,label_1,label_2\n0,,3,1,2,0\n1,,2,1,0,1\n");
        ft_buf_clear(&file);
    }
}

/* Each allocation in turn fails: a clean status, and nothing left behind. */
static void
report_survives_any_failed_allocation(void **state)
{
    const char *dirs[2];
    char path[200];
    struct ft_error err = { 0 };
    (void)state;
    put_run("memory", HEADER "1,1,1,0.1,0,0,1,0.5,,0\n2,1,1,0.1,0,0,1,0.6,,0\n");
    put("memory", "partition.csv", "client,name,rows,label_0\n0,x,5,5\n1,,4,4\n");
    dirs[0] = dirs[1] = dir_of("memory");
    snprintf(path, sizeof path, "%s/report.html", top);
    for (size_t runs = 1; runs <= 2; runs++)
        for (uint64_t nth = 1;; nth++) {
            const size_t live = ft_alloc_live();
            ft_alloc_fail_at(nth, false);
            const enum ft_status st = ft_sim_report(dirs, runs, path, &err);
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
        cmocka_unit_test(report_rounds_to_a_target_are_read_from_the_monotone_curve),
        cmocka_unit_test(report_bad_files_are_named),
        cmocka_unit_test(report_reads_what_newer_programs_add),
        cmocka_unit_test(html_texts_are_escaped),
        cmocka_unit_test(numbers_are_for_people),
        cmocka_unit_test(plots_are_small_and_keep_peaks),
        cmocka_unit_test(compare_finds_what_differs),
        cmocka_unit_test(partition_file_counts_rows_and_labels),
        cmocka_unit_test(report_survives_any_failed_allocation),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
