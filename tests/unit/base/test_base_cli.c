/* The command line: what reaches a command, what is refused with 64, and how failures are told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/base/cli.h"
#include "common/base/date.h"
#include "common/base/hash.h"
#include "common/base/nearest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    int calls;
    bool force, json;
    char home[64], file[64];
    uint64_t count;
    char tags[64]; /* joined by '|' */
} seen;

static int
run_list(struct ft_cli *cli)
{
    seen.calls++;
    seen.force = ft_cli_flag(cli, "force");
    seen.json = ft_cli_json(cli);
    seen.count = ft_cli_uint(cli, "count", 77);
    seen.tags[0] = '\0';
    snprintf(seen.home, sizeof seen.home, "%s", ft_cli_text(cli, "home"));
    snprintf(seen.file, sizeof seen.file, "%s",
             ft_cli_operand(cli, 0) != NULL ? ft_cli_operand(cli, 0) : "none");
    return FT_EXIT_FINDINGS;
}

static int
run_tag(struct ft_cli *cli)
{
    size_t count;
    const char *const *tags = ft_cli_texts(cli, "tag", &count);
    seen.calls++;
    seen.tags[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        strcat(seen.tags, tags[i]);
        strcat(seen.tags, "|");
    }
    return FT_EXIT_OK;
}

static int
run_refused(struct ft_cli *cli)
{
    struct ft_refusals r = { 0 };
    ft_refuse(&r, "A_CODE", "mend it", "it is broken");
    return ft_cli_fail_refusals(cli, &r);
}

static int
run_remove(struct ft_cli *cli)
{
    struct ft_error err = { 0 };
    enum ft_status st = ft_cli_confirm(cli, "Remove it?", &err);
    return st == FT_OK ? FT_EXIT_OK : ft_cli_fail(cli, st, &err);
}

static const struct ft_cli_option list_options[] = {
    FT_CLI_HOME,
    { .name = "force", .letter = 'f', .kind = FT_CLI_FLAG, .help = "go on" },
    { .name = "count", .kind = FT_CLI_UINT, .argument = "N", .help = "how many", .least = 2, .most = 9 },
    FT_CLI_OPTIONS_END,
};
static const struct ft_cli_option remove_options[] = { FT_CLI_YES, FT_CLI_OPTIONS_END };
static const struct ft_cli_option need_options[] = {
    { .name = "out", .kind = FT_CLI_TEXT, .argument = "FILE", .required = true, .help = "where to" },
    FT_CLI_OPTIONS_END,
};
static const struct ft_cli_option tag_options[] = {
    { .name = "tag", .kind = FT_CLI_TEXTS, .argument = "TEXT", .help = "may be given often" },
    FT_CLI_OPTIONS_END,
};
static const struct ft_cli_command commands[] = {
    { .name = "task list",
      .help = "list them",
      .operands = "[FILE]",
      .operands_most = 1,
      .options = list_options,
      .example = "prog task list --home shop",
      .run = run_list },
    { .name = "serve", .help = "serve", .example = "prog serve", .run = run_refused },
    { .name = "remove",
      .help = "remove",
      .options = remove_options,
      .example = "prog remove --yes",
      .run = run_remove },
    { .name = "need",
      .help = "need",
      .options = need_options,
      .operands = "FILE",
      .operands_least = 1,
      .operands_most = 1,
      .example = "prog need --out o f",
      .run = run_list },
    { .name = "tag", .help = "tag", .options = tag_options, .example = "prog tag --tag a", .run = run_tag },
    { .name = NULL },
};
static const struct ft_cli_program program = { .name = "prog", .help = "a program", .commands = commands };

/* Run with the words of `line`; what was written to stdout and stderr is kept. */
static char out_text[8192], err_text[4096];
static void
slurp(FILE *from, char *to, size_t size)
{
    rewind(from);
    size_t n = fread(to, 1, size - 1, from);
    to[n] = '\0';
    fclose(from);
}
static int
run(const char *line)
{
    char words[256], *argv[32] = { (char *)(uintptr_t) "prog" }, *rest = NULL;
    FILE *out = tmpfile(), *err = tmpfile();
    int argc = 1, code, old_out, old_err;

    assert_true(out != NULL && err != NULL);
    snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok_r(words, " ", &rest); w != NULL; w = strtok_r(NULL, " ", &rest))
        argv[argc++] = w;
    memset(&seen, 0, sizeof seen);
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

/* Options and operands in any order reach the command, and its exit code is the program's. */
static void
base_cli_command_gets_its_options(void **state)
{
    (void)state;
    assert_int_equal(run("task list x.yaml --home=h -f --count 4"), FT_EXIT_FINDINGS);
    assert_int_equal(seen.calls, 1);
    assert_string_equal(seen.home, "h");
    assert_string_equal(seen.file, "x.yaml");
    assert_true(seen.force && !seen.json);
    assert_int_equal(seen.count, 4);
    assert_int_equal(run("task list --json"), FT_EXIT_FINDINGS);
    assert_string_equal(seen.home, ".");
    assert_int_equal(seen.count, 77);
    assert_true(seen.json && !seen.force);
}

/* Wrong usage ends with 64, runs nothing, says what is wrong and the nearest match. */
static void
base_cli_wrong_usage_is_64_with_the_nearest_match(void **state)
{
    static const struct {
        const char *line, *told;
    } cases[] = {
        { "task lst", "unknown command 'task lst', did you mean 'task list'?" },
        { "sevre", "unknown command 'sevre', did you mean 'serve'?" },
        { "zzzzzz", "unknown command 'zzzzzz'" },
        { "task list --hoem x", "unknown option '--hoem', did you mean '--home'?" },
        { "task list --zzzzzzzzz", "unknown option '--zzzzzzzzz'" },
        { "task list --count 1", "--count is '1', expected a whole number from 2 to 9" },
        { "task list --count=-3", "--count is '-3', expected a whole number from 2 to 9" },
        { "task list --count x", "--count is 'x', expected a whole number from 2 to 9" },
        { "task list --home a --home b", "--home is given twice" },
        { "task list --home", "missing argument" },
        { "task list a b", "'b' is too much, expected [FILE]" },
        { "serve now", "'now' is too much, expected options only" },
        { "need f", "--out FILE is missing" },
        { "need --out f", "FILE is missing" },
        { "--json serve", "'--json' comes before the command" },
        { "", "Usage: prog" },
        { "task", "task list" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(run(cases[i].line), FT_EXIT_USAGE);
        assert_int_equal(seen.calls, 0);
        assert_non_null(strstr(err_text, cases[i].told));
        assert_string_equal(out_text, "");
    }
}

/* An option that may be given often keeps every text, in order, and the last is what a single question gets. */
static void
base_cli_texts_given_often_are_all_kept(void **state)
{
    (void)state;
    assert_int_equal(run("tag --tag one --tag=two --tag three"), FT_EXIT_OK);
    assert_string_equal(seen.tags, "one|two|three|");
    assert_int_equal(run("tag"), FT_EXIT_OK);
    assert_string_equal(seen.tags, "");
}

/* Help goes to stdout, names every command, and each command's help has its options and its example. */
static void
base_cli_help_shows_options_and_example(void **state)
{
    (void)state;
    assert_int_equal(run("--help"), FT_EXIT_OK);
    for (const struct ft_cli_command *c = commands; c->name != NULL; c++)
        assert_non_null(strstr(out_text, c->name));
    assert_int_equal(run("task list --help"), FT_EXIT_OK);
    assert_int_equal(seen.calls, 0);
    assert_non_null(strstr(out_text, "prog task list --home shop"));
    assert_non_null(strstr(out_text, "-f, --force"));
    assert_non_null(strstr(out_text, "--json"));
    assert_non_null(strstr(out_text, "(default .)"));
    assert_string_equal(err_text, "");
    assert_int_equal(run("need --help"), FT_EXIT_OK); /* help does not ask for what is required */
    assert_int_equal(run("--version"), FT_EXIT_OK);
    assert_non_null(strstr(out_text, "prog " FT_VERSION));
}

/* With --json a failure is one object on stdout, also when the usage itself is wrong. */
static void
base_cli_json_failure_is_one_object(void **state)
{
    json_t *object;
    const char *code;
    int exit_code = 0, version = 0;
    (void)state;

    assert_int_equal(run("serve --json"), FT_EXIT_REFUSED);
    object = json_loads(out_text, 0, NULL);
    assert_non_null(object);
    assert_int_equal(json_unpack(object, "{s:i, s:{s:i, s:[{s:s}]}}", "version", &version, "error", "exit",
                                 &exit_code, "refusals", "code", &code),
                     0);
    assert_int_equal(version, FT_CLI_JSON_VERSION);
    assert_int_equal(exit_code, FT_EXIT_REFUSED);
    assert_string_equal(code, "A_CODE");
    json_decref(object);
    assert_non_null(strstr(err_text, "refused[A_CODE]: it is broken. What to do: mend it."));
    assert_int_equal(run("task list --nope --json"), FT_EXIT_USAGE);
    object = json_loads(out_text, 0, NULL);
    assert_non_null(object);
    json_decref(object);
    assert_int_equal(run("serve"), FT_EXIT_REFUSED);
    assert_string_equal(out_text, "");
}

/* Without a terminal a destructive command needs --yes and never asks. */
static void
base_cli_confirm_without_terminal_needs_yes(void **state)
{
    FILE *nothing = tmpfile();
    int old = dup(0);
    (void)state;

    dup2(fileno(nothing), 0);
    assert_int_equal(run("remove"), FT_EXIT_USAGE);
    assert_non_null(strstr(err_text, "needs --yes"));
    assert_int_equal(run("remove --yes"), FT_EXIT_OK);
    dup2(old, 0);
    close(old);
    fclose(nothing);
}

/* Colour and progress never go to a file. */
static void
base_cli_file_is_not_lively(void **state)
{
    FILE *file = tmpfile();
    (void)state;
    assert_false(ft_cli_lively(file));
    fclose(file);
}

/* Edit distances worked by hand; a word that is far from all gives no suggestion. */
static void
base_nearest_word_needs_to_be_near(void **state)
{
    struct ft_nearest n = { 0 };
    (void)state;
    assert_int_equal(ft_edit_distance("kitten", "sitting"), 3);
    assert_int_equal(ft_edit_distance("ab", "ba"), 1);
    assert_int_equal(ft_edit_distance("", "abc"), 3);
    ft_nearest_offer(&n, "rouns", "purpose");
    assert_null(n.word);
    ft_nearest_offer(&n, "rouns", "round");
    ft_nearest_offer(&n, "rouns", "rounds");
    assert_string_equal(n.word, "round"); /* equally near: the first */
}

/* Days of the calendar: leap years, ends of months, week days and months known from outside. */
static void
base_date_known_days(void **state)
{
    static const struct {
        const char *text;
        int64_t days;
        unsigned weekday;
    } known[] = { { "1970-01-01", 0, 3 },
                  { "2000-02-29", 11016, 1 },
                  { "2027-12-31", 21183, 4 },
                  { "2024-03-01", 19783, 4 } };
    static const char *const bad[] = {
        "2023-02-29", "2024-04-31",  "1969-12-31", "2024-13-01", "2024-00-10",
        "2024-1-01",  "2024-01-01 ", "24-01-01",   "2024/01/01", "2100-02-29"
    };
    char text[11];
    int64_t days;
    int32_t year;
    uint32_t month;
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_true(ft_date_parse(known[i].text, &days));
        assert_int_equal(days, known[i].days);
        assert_string_equal(ft_date_format(text, days), known[i].text);
        assert_int_equal(ft_date_weekday(days), known[i].weekday);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(ft_date_parse(bad[i], &days));
    ft_date_month(19782, &year, &month);
    assert_int_equal(year, 2024);
    assert_int_equal(month, 2);
    assert_int_equal(ft_date_of_seconds(-1), -1);
    assert_int_equal(ft_date_of_seconds(86400), 1);
}

/* The labelled hash is BLAKE2b-256 over lp("FLSA1/model") lp("abc"), computed with Python's hashlib. */
static void
base_hash_known_answer(void **state)
{
    uint8_t hash[FT_HASH_SIZE];
    char hex[2 * FT_HASH_SIZE + 1];
    (void)state;
    ft_hash_labelled(hash, "model", FT_BYTES("abc", 3));
    assert_string_equal(ft_hex(hex, hash, sizeof hash),
                        "68bc2e374bddc36e3106d2223e8a49967ad6d60de17f2b88fc03034152fb4fb3");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_cli_command_gets_its_options),
        cmocka_unit_test(base_cli_wrong_usage_is_64_with_the_nearest_match),
        cmocka_unit_test(base_cli_texts_given_often_are_all_kept),
        cmocka_unit_test(base_cli_help_shows_options_and_example),
        cmocka_unit_test(base_cli_json_failure_is_one_object),
        cmocka_unit_test(base_cli_confirm_without_terminal_needs_yes),
        cmocka_unit_test(base_cli_file_is_not_lively),
        cmocka_unit_test(base_nearest_word_needs_to_be_near),
        cmocka_unit_test(base_date_known_days),
        cmocka_unit_test(base_hash_known_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
