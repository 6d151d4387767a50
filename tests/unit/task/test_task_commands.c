/* The aggregator's task new, check and sign as a person runs them, and aggregator.yaml. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/commands/aggregator_config.h"
#include "aggregator/commands/cmd_task_file.h"
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/keyfile.h"
#include "common/base/log.h"
#include "task_sample.h"

#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct ft_cli_command commands[] = { FT_CMD_TASK_FILE_COMMANDS, { .name = NULL } };
static const struct ft_cli_program program = { .name = "prog", .help = "a program", .commands = commands };

static char folder[] = "/tmp/fedtill-task-XXXXXX";
static char out_text[16384], err_text[8192];

static void
slurp(FILE *from, char *to, size_t size)
{
    rewind(from);
    size_t n = fread(to, 1, size - 1, from);
    to[n] = '\0';
    fclose(from);
}

/* Run a line in the test's folder and keep what was told. */
static int
run(const char *line)
{
    char words[512], *argv[32] = { (char *)(uintptr_t) "prog" }, *rest = NULL;
    FILE *out = tmpfile(), *err = tmpfile();
    int argc = 1, code, old_out, old_err;

    assert_true(out != NULL && err != NULL);
    snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok_r(words, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest))
        argv[argc++] = w;
    fflush(stdout);
    fflush(stderr);
    old_out = dup(1);
    old_err = dup(2);
    dup2(fileno(out), 1);
    dup2(fileno(err), 2);
    code = ft_cli_main(&program, argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(old_out, 1);
    dup2(old_err, 2);
    close(old_out);
    close(old_err);
    slurp(out, out_text, sizeof out_text);
    slurp(err, err_text, sizeof err_text);
    return code;
}

static void
write_file(const char *name, const char *text)
{
    assert_int_equal(ft_file_write(name, FT_BYTES(text, strlen(text)), 0644, NULL), FT_OK);
}

/* The sample, with dates that no run of this test will reach. */
static const char *
lasting_sample(void)
{
    static char text[sizeof TASK_SAMPLE + 16];
    snprintf(
        text, sizeof text, "%s",
        sample_with("expires: 2027-12-31\nreview: 2027-06-30", "expires: 9998-12-31\nreview: 9998-06-30"));
    return text;
}

static int
setup(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL || chdir(folder) != 0;
}

static int
teardown(void **state)
{
    static const char *const names[] = { "new.yaml", "t.yaml",           "old.yaml",
                                         "t.task",   "task-signing.key", "deployment" };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlink(names[i]);
    return chdir("/") != 0 || rmdir(folder) != 0;
}

/* A new task names what is still missing, and an existing file is not overwritten. */
static void
task_new_then_check_names_what_is_missing(void **state)
{
    (void)state;
    assert_int_equal(run("task new my_own --out new.yaml"), FT_EXIT_OK);
    assert_int_equal(run("task new my_own --out new.yaml"), FT_EXIT_DATA);
    assert_int_equal(run("task check new.yaml"), FT_EXIT_CONFIG);
    assert_non_null(strstr(err_text, "new.yaml:7:7: 'owner' is nothing, expected text"));
    assert_non_null(strstr(err_text, "'purpose' is nothing"));
    assert_non_null(strstr(err_text, "'expires' is nothing"));
    assert_int_equal(run("task new Not-A-Name"), FT_EXIT_USAGE);
    assert_int_equal(run("task new my_own"), FT_EXIT_OK);
    assert_non_null(strstr(out_text, "\ntask: my_own "));
}

static double
first_of(const char *name)
{
    json_t *object = json_loads(out_text, 0, NULL);
    const double v = json_number_value(json_object_get(json_array_get(json_object_get(object, "measures"), 0), name));
    json_decref(object);
    return v;
}

/* What a figure may be off by holds who is drawn too: of 900 with q = 0.1 that alone is 1.96 sqrt(900 x 9) = 176. */
static void
task_check_tells_what_drawing_adds_to_the_noise(void **state)
{
    static const char text[] =
        "version: 1\nkind: statistics\ntask: sample\ntitle: A sample\npurpose: measure/propensity\nowner: Us\n"
        "expires: 9998-12-31\nreview: 9998-06-30\nunit: customer\nexamples:\n"
        "  sql: SELECT customer_id, a FROM t\n"
        "  features:\n    - {name: a, min: 0, max: 8}\n  rows_per_customer: 1\n  rows_max: 1000\nstatistics:\n"
        "  - {measure: mean, feature: a}\n"
        "privacy: {noise: discrete-gaussian, epsilon: 8, delta: 1.0e-5, expected_customers: %s, m_stores: 1, "
        "shops: [{shop: a, customers: 150}, {shop: b, customers: 150}, {shop: c, customers: 150}, {shop: d, "
        "customers: 150}, {shop: e, customers: 150}, {shop: f, customers: 150}]}\n"
        "cohort: {n_min: 6, n_cap: 6, h_min: 3, corrupted: 1, drop_permille: 170, sigma: 40, eta: 30,\n"
        "         suite: aes-256-ctr, lane_bits: 32}\n"
        "schedule: {join: 5s, step: 10s, session: 60s, pause: 0s}\n";
    char filled[sizeof text + 16];
    double drawn;
    (void)state;

    snprintf(filled, sizeof filled, text, "90");
    write_file("t.yaml", filled);
    assert_int_equal(run("task check t.yaml --json"), FT_EXIT_OK);
    drawn = first_of("count_reach");
    assert_true(drawn >= 176 && drawn < 400);
    snprintf(filled, sizeof filled, text, "900");
    write_file("t.yaml", filled);
    assert_int_equal(run("task check t.yaml --json"), FT_EXIT_OK);
    assert_true(first_of("count_reach") > 1 && first_of("count_reach") < 60);
}

/* The verdict comes with the arithmetic: 2 features give 3 parameters and, at n = 16, D = 4, q = 10, t = 9.
 */
static void
task_check_shows_the_arithmetic(void **state)
{
    json_t *object;
    json_int_t parameters = 0, words = 0, bytes = 0;
    int quorum = 0, threshold = 0, dropouts = 0, survivors = 0;
    (void)state;

    write_file("t.yaml", lasting_sample());
    assert_int_equal(run("task check t.yaml"), FT_EXIT_OK);
    assert_non_null(strstr(out_text, "3 parameters"));
    assert_non_null(
        strstr(out_text, "cohort of 16  D = 4 may drop out, 12 survive, 10 of them honest; q = 10, t = 9"));
    assert_int_equal(run("task check t.yaml --json"), FT_EXIT_OK);
    object = json_loads(out_text, 0, NULL);
    assert_non_null(object);
    json_unpack(object, "{s:I, s:{s:{s:I, s:I}}}", "parameters", &parameters, "stages", "training", "words",
                &words, "upload_bytes", &bytes);
    json_unpack(json_array_get(json_object_get(object, "cohorts"), 1), "{s:i, s:i, s:i, s:i}", "dropouts",
                &dropouts, "survivors", &survivors, "quorum", &quorum, "threshold", &threshold);
    assert_int_equal(parameters, 3);
    assert_true(words > 0 && bytes == words * 8);
    assert_int_equal(dropouts, 4);
    assert_int_equal(survivors, 12);
    assert_int_equal(quorum, 10);
    assert_int_equal(threshold, 9);
    json_decref(object);
    assert_int_equal(run("task check nowhere.yaml"), FT_EXIT_NOINPUT);
}

/* A task past its dates is told where they are, and is not signed. */
static void
task_past_its_dates_is_not_signed(void **state)
{
    struct stat info;
    uint8_t public_key[32];
    (void)state;

    write_file("old.yaml", sample_with("expires: 2027-12-31\nreview: 2027-06-30",
                                       "expires: 2001-12-31\nreview: 2001-06-30"));
    assert_int_equal(run("task check old.yaml"), FT_EXIT_CONFIG);
    assert_non_null(strstr(err_text, "old.yaml:6:1: the task expired on 2001-12-31"));
    assert_non_null(strstr(err_text, "old.yaml:7:1: the task's review was due on 2001-06-30"));
    assert_int_equal(ft_keyfile_make("task-signing.key", public_key, NULL), FT_OK);
    assert_int_equal(run("task sign old.yaml --deployment 30313233343536373839616263646566 --out t.task"),
                     FT_EXIT_CONFIG);
    assert_int_equal(stat("t.task", &info), -1);
    unlink("task-signing.key");
}

/* What sign writes opens under its key, for the deployment that was named, with the hash it printed. */
static void
task_sign_writes_what_shops_can_open(void **state)
{
    uint8_t keys[1][32], hash[32];
    struct ft_buf signed_task = { 0 };
    struct ft_task task;
    char hex[65];
    (void)state;

    write_file("t.yaml", lasting_sample());
    assert_int_equal(run("task sign t.yaml --out t.task"), FT_EXIT_NOINPUT); /* no deployment yet */
    write_file("deployment", "30313233343536373839616263646566\n");
    assert_int_equal(run("task sign t.yaml --out t.task"), FT_EXIT_NOINPUT); /* no key yet */
    assert_int_equal(run("task sign t.yaml --out t.task --deployment 12"), FT_EXIT_USAGE);
    assert_int_equal(ft_keyfile_make("task-signing.key", keys[0], NULL), FT_OK);
    assert_int_equal(run("task sign t.yaml --out t.task"), FT_EXIT_OK);
    assert_int_equal(ft_file_read("t.task", 1 << 20, &signed_task, NULL), FT_OK);
    assert_int_equal(ft_task_open(ft_buf_bytes(&signed_task), keys, 1, &task, hash, NULL), FT_OK);
    assert_memory_equal(task.deployment, "0123456789abcdef", 16);
    assert_non_null(strstr(out_text, ft_hex(hex, hash, 32)));
    ft_task_clear(&task);
    ft_buf_clear(&signed_task);
}

/* aggregator.yaml: what init writes is read back; faults are told at their place. */
static void
task_aggregator_config_is_strict(void **state)
{
    static struct ft_findings findings;
    struct ft_aggregator_config c;
    char *text = ft_aggregator_config_text("127.0.0.1:7443", "fl.example.org:7443");
    const char *bad =
        "version: 1\nlisten: 127.0.0.1\npublic: a.b:0\ndata: x.db\nthreads: 0\nlog: loud\nlisten: b:1\n";
    (void)state;

    assert_non_null(text);
    assert_int_equal(
        ft_aggregator_config_parse(FT_BYTES(text, strlen(text)), "aggregator.yaml", "/srv", &c, &findings),
        FT_OK);
    assert_string_equal(c.listen, "127.0.0.1:7443");
    assert_string_equal(c.public_address, "fl.example.org:7443");
    assert_string_equal(c.data, "/srv/fedtill.db");
    assert_int_equal(c.uploads_in_flight, 8);
    assert_int_equal(c.threads, 2);
    assert_int_equal(c.log_level, FT_LOG_INFO);
    assert_int_equal(c.shops_max, 4096);
    ft_aggregator_config_clear(&c);
    ft_free(text);
    assert_int_equal(
        ft_aggregator_config_parse(FT_BYTES(bad, strlen(bad)), "aggregator.yaml", "/srv", &c, &findings),
        FT_ERR_CONFIG);
    assert_int_equal(findings.total, 4);
    assert_string_equal(findings.list[0].text,
                        "'listen' is '127.0.0.1', expected host:port, or [address]:port for IPv6");
    assert_string_equal(findings.list[1].text, "'threads' is '0', expected a whole number from 1 to 64");
    assert_string_equal(findings.list[2].text, "'log' is 'loud', expected one of debug, info, warn, error");
    assert_string_equal(findings.list[3].text, "duplicate key 'listen', first given on line 2");
    assert_int_equal(findings.list[3].line, 7);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(task_new_then_check_names_what_is_missing),
        cmocka_unit_test(task_check_shows_the_arithmetic),
        cmocka_unit_test(task_check_tells_what_drawing_adds_to_the_noise),
        cmocka_unit_test(task_past_its_dates_is_not_signed),
        cmocka_unit_test(task_sign_writes_what_shops_can_open),
        cmocka_unit_test(task_aggregator_config_is_strict),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
